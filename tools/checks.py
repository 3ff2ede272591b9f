"""The steps of `python build.py test`: each runs, fails, or says plainly that and why it was left out."""

import sys
import time
from collections.abc import Callable, Sequence

from tools import blender_chroot, environments, package
from tools.environments import ROOT, call

REAL_ENGINE_WITH = "4.5.15"  # one wheel runs the real engine too: that takes minutes and differs in nothing else
FAKE_BPY = ("4.2", "5.2")  # types of the oldest and the newest Blender we run in


def lint() -> str:
    """Ruff, rules and format."""
    python = environments.engine_python()
    codes = [call([python, "-m", "ruff", *what, "."]) for what in (["check"], ["format", "--check"])]
    return "" if not any(codes) else "ruff"


def types() -> str:
    """mypy: the engine, then the extension against each fake-bpy-module."""
    python = environments.engine_python()
    failed = ["bgs_engine"] if call([python, "-m", "mypy", "bgs_engine"]) else []
    config = ROOT / "blender_bgs" / "mypy.ini"
    for version in FAKE_BPY:
        stubs = environments.types_python(version)
        command = [python, "-m", "mypy", "--config-file", config, "--python-executable", stubs, "blender_bgs"]
        if call(command, {"MYPYPATH": str(ROOT)}):
            failed.append(f"blender_bgs against Blender {version}")
    return ", ".join(failed)


def engine() -> str:
    """The engine's tests and the extension's plain-Python ones."""
    python = environments.engine_python()
    folders = [f for f in ("tests/unit", "tests/engine", "tests/unit_extension") if (ROOT / f).is_dir()]
    return "" if not call([python, "-m", "pytest", "-q", *folders]) else "engine tests"


def extension() -> str:
    """The extension's tests in every bpy wheel whose Python is here."""
    zipped = package.make_zip()
    failed, missing = [], []
    for version in environments.BPY:
        python = environments.bpy_python(version)
        if python is None:
            missing.append(f"bpy {version} (no Python {environments.BPY[version]} on this machine)")
            continue
        print(f"build.py: bpy {version}", flush=True)
        settings = {"BGS_TEST_ZIP": str(zipped), "PYTHONDONTWRITEBYTECODE": "1"}
        if version == REAL_ENGINE_WITH:
            settings["BGS_TEST_ENGINE"] = str(environments.engine_python())
        if call([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/extension"], settings):
            failed.append(f"bpy {version}")
    for name in missing:
        _leave_out(name)
    return ", ".join(failed)


def blender() -> str:
    """The real programs with their window, in chroots."""
    why_not = blender_chroot.why_not()
    if why_not:
        _leave_out(f"real Blender programs: {why_not}")
        return ""
    zipped = package.make_zip()
    failed = []
    for suite, version in blender_chroot.SUITES.items():
        try:
            if not blender_chroot.test(suite, zipped):
                failed.append(suite)
        except blender_chroot.ChrootError as error:
            _leave_out(f"Blender {version}: {error}")
    return ", ".join(failed)


STEPS: dict[str, Callable[[], str]] = {
    "lint": lint,
    "types": types,
    "engine": engine,
    "extension": extension,
    "blender": blender,
}
_left_out: list[str] = []


def default_steps(*, blender: bool) -> list[str]:
    """All steps; the real programs only if asked for."""
    return [name for name in STEPS if blender or name != "blender"]


def run(names: Sequence[str]) -> int:
    """Run the steps, then say what passed, failed and was left out; 0 if nothing failed."""
    results = []
    for name in names:
        print(f"\nbuild.py: {name}", flush=True)
        started = time.monotonic()
        failure = STEPS[name]()
        results.append((name, failure, time.monotonic() - started))
    print()
    for name, failure, seconds in results:
        print(f"{'FAILED' if failure else 'passed'}  {name}  {seconds:.0f} s  {failure}".rstrip())
    for text in _left_out:
        print(f"left out  {text}")
    if "blender" not in names:
        print("left out  real Blender programs: run `python build.py test --blender`")
    failed = sum(bool(failure) for _, failure, _ in results)
    print(f"{len(results) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def _leave_out(text: str) -> None:
    _left_out.append(text)
    sys.stderr.write(f"build.py: left out: {text}\n")
