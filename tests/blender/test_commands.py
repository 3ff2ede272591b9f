"""`blender --command bgs ...` in the real programs: files, exit codes, progress."""

from pathlib import Path

import pytest

from tests.blender.conftest import blender
from tests.helpers import made_splat


def bgs(*arguments: object, env: dict[str, str] | None = None):
    return blender("--command", "bgs", *arguments, env=env)


def test_help_and_usage(installed: str) -> None:
    run = bgs("--help")
    assert run.returncode == 0 and "segment" in run.stdout
    assert bgs("segment").returncode == 2
    assert bgs("fly").returncode == 2


def test_export_gives_the_bytes_back(installed: str, scene: Path, coded: Path, tmp_path: Path) -> None:
    for source in (scene, coded):
        blend, out = tmp_path / f"{source.stem}.blend", tmp_path / f"{source.stem}.ply"
        assert bgs("import", source, "-o", blend).returncode == 0
        run = bgs("export", blend, "-o", out)
        assert run.returncode == 0, run.stderr
        assert out.read_bytes() == source.read_bytes()


def test_labels_to_files(installed: str, coded: Path, tmp_path: Path) -> None:
    run = bgs("export", coded, "-o", tmp_path / "parts", "--level", 1, "--plain")
    files = sorted((tmp_path / "parts").glob("*.ply"))
    assert run.returncode == 0 and len(files) == 4, run.stderr
    # 62 floats a Gaussian, 1500 Gaussians a ball.
    assert all(len(made_splat.body(f)) == 1500 * 62 * 4 for f in files)


def test_bad_input_says_so(installed: str, tmp_path: Path) -> None:
    (tmp_path / "bad.ply").write_text("ply\nnonsense\n")
    run = bgs("import", tmp_path / "bad.ply", "-o", tmp_path / "bad.blend")
    assert run.returncode == 3 and "bad.ply" in run.stderr and not (tmp_path / "bad.blend").exists()
    assert "Traceback" not in run.stderr


def test_segment_saves_a_labelled_tree(installed: str, scene: Path, engine: Path, tmp_path: Path) -> None:
    blend = tmp_path / "out.blend"
    run = bgs("segment", scene, "-o", blend, "--level", 2, "--engine", engine)
    assert run.returncode == 0, run.stderr
    assert "training" in run.stdout and "8 objects" in run.stdout
    code = "import bpy; print('PARTS', sum(o.bgs.whole is not None for o in bpy.data.objects))"
    assert "PARTS 8" in blender("-b", blend, "--python-expr", code).stdout


@pytest.mark.parametrize(("mode", "code"), [("bad", 3), ("crash", 3)])
def test_engine_failures_become_exit_codes(installed, scene, engine, tmp_path, mode: str, code: int) -> None:
    run = bgs("segment", scene, "-o", tmp_path / "x.blend", "--engine", engine, env={"BGS_FAKE_ENGINE": mode})
    assert run.returncode == code and not (tmp_path / "x.blend").exists()


def test_no_engine_is_said(installed: str, scene: Path, tmp_path: Path) -> None:
    run = bgs("segment", scene, "-o", tmp_path / "x.blend", env={"BGS_ENGINE_PYTHON": ""})
    assert run.returncode == 4 and "Install Engine" in run.stderr


def test_batch_goes_past_a_bad_one(installed: str, scene: Path, engine: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a_bad.ply").write_text("ply\n")
    (tmp_path / "in" / "b_good.ply").write_bytes(scene.read_bytes())
    run = bgs("batch", tmp_path / "in", "-o", tmp_path / "out", "--engine", engine)
    assert run.returncode == 3 and "a_bad.ply" in run.stderr and "1 of 2" in run.stdout
    assert (tmp_path / "out" / "b_good.blend").is_file()


def test_render_shows_labels(installed: str, coded: Path, tmp_path: Path) -> None:
    picture = tmp_path / "labels.png"
    run = bgs("render", coded, "-o", picture, "--level", 1, "--size", "160x120", "--samples", 4)
    assert run.returncode == 0 and picture.stat().st_size > 1000, run.stderr
