"""The steps of `python build.py test`: each runs, fails, or says plainly that and why it was left out."""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools import blender_chroot, environments, package
from tools.environments import FAKE_BPY, ROOT, call

REAL_ENGINE_WITH = "4.5.15"  # one wheel runs the real engine too: that takes minutes and differs in nothing else
PYTEST = ("-m", "pytest", "-q", "--durations=15")
PACKAGES = ("bgs_engine", "blender_bgs")
WRITTEN = ("build", "dist", "demo")  # folders that programs write
NEEDS_BLENDER = ("extension", "blender")  # folders of tests/ that have steps of their own
IMPORTS_BLENDER = re.compile(r"^\s*(import|from) (bpy|bl_ext|blender_bgs|gpu|mathutils)\b", re.MULTILINE)


@dataclass
class Result:
    """The parts of a step: which passed, which failed, and which did not run and why."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, part: str, succeeded: bool) -> None:
        """Note how one part ended."""
        (self.passed if succeeded else self.failed).append(part)

    def leave_out(self, part: str) -> None:
        """Note, and say at once, that one part does not run."""
        self.left_out.append(part)
        sys.stderr.write(f"build.py: left out: {part}\n")

    @property
    def word(self) -> str:
        """One failure fails the step; a step of which nothing ran was left out."""
        return "FAILED" if self.failed else "passed" if self.passed else "left out"


def lint() -> Result:
    """Ruff, rules and format."""
    python, result = environments.engine_python(), Result()
    result.add("rules", not call([python, "-m", "ruff", "check", "."]))
    result.add("format", not call([python, "-m", "ruff", "format", "--check", "."]))
    return result


def types() -> Result:
    """mypy: the engine and what is beside the packages; what imports Blender is checked against its stubs."""
    mypy, result = [environments.engine_python(), "-m", "mypy"], Result()
    result.add("bgs_engine", not call([*mypy, "bgs_engine"]))
    plain, importing = sources_beside_the_packages()
    # Folders of tests are no packages: mypy then names a module by its path.
    by_path = "--explicit-package-bases"
    result.add("benchmarks, docs, tests, tools", not call([*mypy, by_path, *plain]))
    for version in FAKE_BPY:
        command = _mypy_against(version, mypy, ROOT / "blender_bgs" / "mypy.ini")
        result.add(f"blender_bgs against Blender {version}", not call([*command, "blender_bgs"]))
    newest = _mypy_against(FAKE_BPY[-1], mypy, ROOT / "tools" / "mypy-with-blender.ini")
    result.add(f"tests and benchmarks with Blender {FAKE_BPY[-1]}", not call([*newest, by_path, *importing]))
    return result


def _mypy_against(version: str, mypy: Sequence[object], config: Path) -> list[object]:
    """The command that checks types against the stubs of one Blender."""
    return [*mypy, "--config-file", config, "--python-executable", environments.types_python(version)]


def sources_beside_the_packages() -> tuple[list[Path], list[Path]]:
    """Python files of the repository outside the two packages: those without Blender, and those that import it.

    A file also imports Blender through another file of the list.
    """
    folders = [path for path in sorted(ROOT.iterdir()) if path.is_dir() and path.name[0] != "."]
    beside = [folder for folder in folders if folder.name not in (*PACKAGES, *WRITTEN)]
    sources = [*sorted(ROOT.glob("*.py")), *(path for folder in beside for path in sorted(folder.rglob("*.py")))]
    texts = {path: path.read_text(encoding="utf-8") for path in sources}
    importing = {path for path, text in texts.items() if IMPORTS_BLENDER.search(text)}
    while True:
        names = "|".join(re.escape(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in importing)
        through = re.compile(rf"^\s*(import|from) ({names})\b", re.MULTILINE)
        found = {path for path, text in texts.items() if path not in importing and through.search(text)}
        if not found:
            return [path for path in sources if path not in importing], [p for p in sources if p in importing]
        importing |= found


def engine() -> Result:
    """All tests that need no Blender: the engine's, the extension's plain-Python ones, the repository's."""
    python, result = environments.engine_python(), Result()
    result.add("tests without Blender", not call([python, *PYTEST, *engine_folders()]))
    return result


def engine_folders() -> list[Path]:
    """Folders of tests/ with tests that need no Blender."""
    folders = sorted(path for path in (ROOT / "tests").iterdir() if path.name not in NEEDS_BLENDER)
    return [folder for folder in folders if any(folder.rglob("test_*.py"))]


def extension() -> Result:
    """The extension's tests in every bpy wheel whose Python is here."""
    zipped, result = package.make_zip(), Result()
    for version, needed in environments.BPY.items():
        python = environments.bpy_python(version)
        if python is None:
            result.leave_out(f"bpy {version}: no Python {needed} on this machine")
            continue
        print(f"build.py: bpy {version}", flush=True)
        settings = {"BGS_TEST_ZIP": str(zipped), "PYTHONDONTWRITEBYTECODE": "1"}
        if version == REAL_ENGINE_WITH:
            settings["BGS_TEST_ENGINE"] = str(environments.engine_python())
        command = [python, *PYTEST, "-p", "no:cacheprovider", "tests/extension"]
        result.add(f"bpy {version}", not call(command, settings))
    return result


def blender() -> Result:
    """The real programs with their window, in chroots."""
    result = Result()
    missing_requirement = blender_chroot.missing_requirement()
    if missing_requirement:
        result.leave_out(f"real Blender programs: {missing_requirement}")
        return result
    zipped = package.make_zip()
    for suite, version in blender_chroot.SUITES.items():
        try:
            failure = blender_chroot.test(suite, zipped)
        except blender_chroot.ChrootError as error:
            result.leave_out(f"Blender {version}: {error}")
            continue
        result.add(f"Blender {version}" + (f" ({failure})" if failure else ""), not failure)
    return result


STEPS: dict[str, Callable[[], Result]] = {
    "lint": lint,
    "types": types,
    "engine": engine,
    "extension": extension,
    "blender": blender,
}


def default_steps(*, blender: bool) -> list[str]:
    """All steps; the real programs only if asked for."""
    return [name for name in STEPS if blender or name != "blender"]


def run(names: Sequence[str]) -> int:
    """Run the steps, then say what passed, failed and was left out; 0 if nothing failed."""
    results = []
    for name in names:
        print(f"\nbuild.py: {name}", flush=True)
        started = time.monotonic()
        results.append((name, STEPS[name](), time.monotonic() - started))
    if "blender" not in names:
        results.append(("blender", Result(left_out=["real Blender programs: run `python build.py test --blender`"]), 0))
    print()
    for name, result, seconds in results:
        for line in _lines(name, result, seconds):
            print(line)
    words = [result.word for _, result, _ in results]
    counts = (f"{words.count(word)} {word.lower()}" for word in ("passed", "FAILED", "left out"))
    print(f"steps: {', '.join(counts)}", flush=True)
    return 1 if "FAILED" in words else 0


def _lines(name: str, result: Result, seconds: float) -> Iterator[str]:
    """One line for the step, and one for each part of it that was left out."""
    if result.word != "left out":
        yield _line(result.word, name, f"{seconds:.0f} s", *(result.failed or result.passed))
    for part in result.left_out:
        yield _line("left out", name, part)


def _line(word: str, name: str, *parts: str) -> str:
    return f"{word:<8}  {name:<9}  {', '.join(parts)}".rstrip()
