"""SPZ out and in by the file dialogs of a real window, and a format that the engine converts, as a job."""

import json
from pathlib import Path

import pytest

from tests.blender.conftest import OUT, blender


@pytest.fixture(scope="module")
def seen(installed: str, coded: Path, engine: Path, screen: dict[str, str]) -> dict:
    (OUT / "formats.json").unlink(missing_ok=True)
    script = "/mnt/repo/tests/blender/inside/formats.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", coded, engine, env=screen)
    assert (OUT / "formats.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "formats.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def test_the_ending_follows_the_format_in_the_dialog(seen: dict) -> None:
    chosen, name = seen["proposed"]
    assert name == {"compressed PLY": "coded.compressed.ply", "SPZ": "coded.spz"}[chosen]  # how far Down goes differs


def test_spz_goes_out_and_comes_in_with_its_labels(seen: dict) -> None:
    assert "*.spz" in seen["pattern"] and (OUT / "out.spz.labels").is_file()
    assert seen["open"]["splats"] == []
    assert seen["spz"] == {"splats": seen["imported"]["splats"], "chair": True, "source": "out.spz"}


def test_the_engine_converts_as_a_job_of_one_undo_step(seen: dict) -> None:
    assert seen["splats_at_once"] == 0  # the window goes on while the engine works
    assert seen["back"] == {"splats": seen["imported"]["splats"], "chair": True, "source": "out.lacking"}
    assert seen["undone"]["splats"] == []
