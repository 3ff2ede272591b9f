"""Real Blender programs from Debian in chroots, so that the host stays as it is. Needs root, Linux and mmdebstrap."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.environments import ROOT

SUITES = {"trixie": "4.3.2", "sid": "5.2.2"}  # Debian suite: the Blender it had when this was written
CACHE = ROOT / ".cache" / "blender"
TRIES = 2  # mirrors hiccup
PACKAGES = (
    "blender", "xvfb", "xauth", "x11-utils", "xdotool", "imagemagick", "libgl1-mesa-dri", "libegl1",
    "python3-numpy", "python3-zstandard", "python3-requests", "python3-cattr", "python3-pytest",
)  # fmt: skip
ENTER = """
PATH=$PATH:/usr/sbin:/sbin
d=$1; shift
mount -t proc proc "$d/proc"
mount --rbind /sys "$d/sys" 2>/dev/null || true
mount --rbind /dev "$d/dev"
mount -t tmpfs -o mode=1777 tmpfs "$d/tmp"
mount --bind "$BGS_REPO" "$d/mnt/repo"
mount --bind "$BGS_OUT" "$d/mnt/out"
chroot "$d" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb "$@"
exit $?
"""


class ChrootError(Exception):
    """A chroot could not be built: no network, no such suite any more."""


def missing_requirement() -> str:
    """What this machine lacks, or nothing."""
    if sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "chroots need root on Linux"
    if shutil.which("mmdebstrap") is None and not _install_mmdebstrap():
        return "mmdebstrap is missing (apt-get install mmdebstrap)"
    return ""


def _install_mmdebstrap() -> bool:
    """In CI the machine is ours to add to; elsewhere a person decides."""
    if os.environ.get("CI") != "true" or shutil.which("apt-get") is None:
        return False
    subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=subprocess.DEVNULL)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap", "debian-archive-keyring"]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    return shutil.which("mmdebstrap") is not None


def make(suite: str) -> Path:
    """The chroot of a suite, built when absent (two minutes, 1.5 GB)."""
    folder = CACHE / suite
    if (folder / "bgs-ready").is_file():
        return folder
    print(f"build.py: building a chroot with Debian {suite}'s Blender", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [
        "mmdebstrap", "--mode=root", "--variant=apt", "--quiet", f"--include={','.join(PACKAGES)}",
        '--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"',
        # A mirror that lags behind is good enough for tests.
        '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Retries "3"',
        "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*", suite, str(folder), *_mirror(),
    ]  # fmt: skip
    for _ in range(TRIES):
        if subprocess.run(command).returncode == 0:
            break
        shutil.rmtree(folder, ignore_errors=True)
    else:
        raise ChrootError(f"no chroot with Debian {suite}'s Blender could be built")
    (folder / "bgs-ready").touch()
    return folder


def _mirror() -> list[str]:
    """The mirror that this machine's own apt uses; nothing leaves the choice to mmdebstrap."""
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    lines = sources.read_text().splitlines() if sources.is_file() else []
    return [line.split()[1] for line in lines if line.startswith("URIs:") and "security" not in line][:1]


def enter(folder: Path, out: Path, command: list[str]) -> int:
    """Run a command in a chroot, in namespaces of its own; the repository is /mnt/repo, `out` is /mnt/out."""
    for name in ("repo", "out"):
        (folder / "mnt" / name).mkdir(parents=True, exist_ok=True)
    settings = {**os.environ, "BGS_REPO": str(ROOT), "BGS_OUT": str(out)}
    # --kill-child: nothing survives that we started, whatever it started.
    prefix = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", ENTER, "_", str(folder)]
    return subprocess.run([*prefix, *command], env=settings).returncode


def test(suite: str, zipped: Path) -> str:
    """Let the suite's Blender validate the zip, then run tests/blender in its chroot; returns what failed, or nothing.

    Pictures land in dist/pictures-SUITE.
    """
    folder = make(suite)
    out = ROOT / "dist" / f"pictures-{suite}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copy(zipped, out / "extension.zip")
    if enter(folder, out, ["blender", "--command", "extension", "validate", "/mnt/out/extension.zip"]):
        return "it says that the zip is no valid extension"
    command = ["python3", "-m", "pytest", "-q", "--durations=15", "-p", "no:cacheprovider", "-c", "/dev/null",
               "--rootdir=/mnt/repo/tests/blender", "/mnt/repo/tests/blender"]  # fmt: skip
    return "tests/blender" if enter(folder, out, ["env", "PYTHONDONTWRITEBYTECODE=1", *command]) else ""
