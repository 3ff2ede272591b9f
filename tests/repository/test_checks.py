"""`build.py test` says what it did, and what it did not do."""

import re
import subprocess

import pytest

from tools import checks
from tools.environments import ROOT


def _step(passed: str = "", failed: str = "", left_out: str = "") -> checks.Result:
    return checks.Result(*([part] if part else [] for part in (passed, failed, left_out)))


def test_a_step_of_which_nothing_ran_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = {
        "lint": lambda: _step(passed="rules"),
        "extension": lambda: _step(passed="bpy 1", left_out="bpy 2: no Python 9"),
        "blender": lambda: _step(left_out="real Blender programs: no root"),
    }
    monkeypatch.setattr(checks, "STEPS", steps)
    assert checks.run(list(steps)) == 0
    assert re.sub(r" +", " ", capsys.readouterr().out).strip().splitlines()[-5:] == [
        "passed lint 0 s, rules",
        "passed extension 0 s, bpy 1",
        "left out extension bpy 2: no Python 9",
        "left out blender real Blender programs: no root",
        "steps: 2 passed, 0 failed, 1 left out",
    ]


def test_one_failed_part_fails_the_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(checks, "STEPS", {"lint": lambda: _step(passed="rules", failed="format")})
    assert checks.run(["lint"]) == 1
    assert re.search(r"FAILED +lint +0 s, format", capsys.readouterr().out)


def test_every_folder_of_tests_belongs_to_a_step() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    homes = {*checks.engine_folders(), *(ROOT / "tests" / name for name in checks.NEEDS_BLENDER)}
    assert [f for f in folders if not homes & {f, *f.parents}] == []
    assert all(home.is_dir() for home in homes)


def test_every_source_is_type_checked() -> None:
    """A file is in one of the two lists, or in a package that is checked as a whole."""
    plain, importing = checks.sources_beside_the_packages()
    assert ROOT / "tests" / "engine" / "test_ply.py" in plain
    assert ROOT / "tools" / "checks.py" in importing  # through tools/environments.py
    assert ROOT / "tests" / "extension" / "conftest.py" in importing
    listed = [*plain, *importing, *(path for name in checks.PACKAGES for path in (ROOT / name).rglob("*.py"))]
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert len(listed) == len(set(listed))
    assert [name for name in tracked if (ROOT / name).is_file() and ROOT / name not in listed] == []
