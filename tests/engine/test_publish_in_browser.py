"""A published page in a real browser: its pictures, its buttons and its files, compared with the engine's own.

Chromium draws with WebGL in software, so this takes half a minute.
"""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bgs_engine.cli.main import main
from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.core.palette import TINT_SHARE
from bgs_engine.io.gaussians import SH_C0, Gaussians, load_gaussians
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import codes_in, open_run
from bgs_engine.output.label_pictures import LabelColors
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.cpu.label_maps import label_map
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.semantics import EMPTY_CODE
from tests.helpers.chromium import MISSING, Answers, answer_of, find_chromium
from tests.helpers.labelled_scene import LAYOUT, write_labelled_run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_chromium() is None, reason=MISSING)]

WINDOW = (780, 300)  # pixels; the panel takes 380 of the width
PICKS = [(x, y) for y in range(20, 290, 15) for x in range(20, 390, 15)]
CLICKED = (360, 200)  # an armchair
# dB, of pictures with values 0 to 255. Rounded values alone give 40 and more; the renderer also drops what is faint.
LEAST_PSNR = 34.0


@pytest.fixture(scope="module")
def run(small_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled_run(small_scene, tmp_path_factory.mktemp("labelled") / "room")


@pytest.fixture(scope="module")
def seen(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a script saw that pressed the buttons of the page."""
    folder = tmp_path_factory.mktemp("browser")
    page = folder / "page"
    assert main(["publish", str(run), "-o", str(page)]) == 0
    return _drive(page, folder)


def _drive(page: Path, folder: Path) -> dict[str, Any]:
    driver = (Path(__file__).parents[1] / "helpers" / "drive_page.js").read_text(encoding="utf-8")
    with Answers() as answers:
        given = {"ANSWER": answers.url, "PICKS": PICKS, "CLICKED": CLICKED}
        constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in given.items())
        (page / "drive.js").write_text(constants + driver, encoding="utf-8")
        text = (page / "index.html").read_text(encoding="utf-8")
        text = text.replace("</body>", '<script src="drive.js"></script></body>')
        (page / "driven.html").write_text(text, encoding="utf-8")
        seen = answer_of(page / "driven.html", answers, folder / "profile", WINDOW)
    assert "failed" not in seen, seen["failed"]
    return seen


def picture(seen: dict[str, Any], name: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(seen["pictures"][name]))) as image:
        return np.asarray(image.convert("RGB")).astype(np.float64)


def camera_of(seen: dict[str, Any]) -> Camera:
    (width, height), first = seen["size"], seen["camera"]
    focal = max(width, height) / 2 / np.tan(np.radians(first["fov"] / 2))
    pose = look_at(*(np.array(first[name]) for name in ("eye", "target", "up")))
    return Camera("first", width, height, focal, focal, width / 2, height / 2, pose)


def drawn(gaussians: Gaussians, seen: dict[str, Any]) -> np.ndarray:
    """The engine's picture of the first view, 0 to 255."""
    return 255 * render_color(RasterScene.from_gaussians(gaussians), camera_of(seen)).astype(np.float64)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((a - b) ** 2).mean()))


def tinted(gaussians: Gaussians, color: np.ndarray) -> Gaussians:
    """With label colours [N, 3] mixed in."""
    assert gaussians.sh is not None
    sh = (1 - TINT_SHARE) * gaussians.sh
    sh[:, 0] += TINT_SHARE * (color - 0.5) / SH_C0
    return replace(gaussians, sh=sh)


def test_the_page_has_no_errors_and_asks_for_files_alone(seen: dict[str, Any]) -> None:
    assert seen["errors"] == []
    assert {url.partition(":")[0] for url in seen["asked"]} <= {"file", "blob", "data"}


def test_the_picture_is_the_engines(run: Path, seen: dict[str, Any]) -> None:
    expected = drawn(load_gaussians(open_run(run).ply), seen)
    assert expected.mean() > 20  # the room fills much of the view
    assert psnr(picture(seen, "captured"), expected) > LEAST_PSNR


def test_labels_colour_the_picture(run: Path, seen: dict[str, Any]) -> None:
    source = open_run(run)
    colors = LabelColors(source.codes, LAYOUT).of(1)
    labels = LAYOUT.labels(source.codes, 1)
    color = np.array([colors[label] for label in labels.tolist()])
    gaussians = tinted(load_gaussians(source.ply), color)
    assert psnr(picture(seen, "labels"), drawn(gaussians, seen)) > LEAST_PSNR
    alone, others = (np.flatnonzero((labels == seen["isolated"]) == wanted) for wanted in (True, False))
    expected = drawn(gaussians.take(alone), seen)
    assert expected.max() > 100 and expected[:, :100].max() == 0  # on the right, and nothing else
    assert psnr(picture(seen, "isolated"), expected) > LEAST_PSNR
    assert psnr(picture(seen, "hidden"), drawn(load_gaussians(source.ply).take(others), seen)) > LEAST_PSNR
    assert seen["shown"] == len(alone)


def test_the_slider_lists_each_level(run: Path, seen: dict[str, Any]) -> None:
    table = open_run(run).labels()
    assert seen["lists"] == [[[row.label, row.name, f"{row.count:,}"] for row in rows] for rows in table.levels]


def test_a_click_finds_the_label_that_the_engine_sees(run: Path, seen: dict[str, Any]) -> None:
    source = open_run(run)
    gaussians = load_gaussians(source.ply)
    scene = RasterScene.from_gaussians(gaussians)
    codes, opacities = scene.from_file_order(source.codes), scene.from_file_order(gaussians.opacities)
    found = label_map(ViewBuilder(scene).build(camera_of(seen)), opacities, codes, LAYOUT.total)
    for level, picked in enumerate(seen["picks"], 1):
        own = np.array([-1 if label is None else label for label in picked])
        at = found[[y for _, y in PICKS], [x for x, _ in PICKS]]
        filled = at != EMPTY_CODE
        assert filled.sum() > 100 and len(np.unique(own[filled])) > 3
        # The map votes for each bit, the page for each label; they differ where two things share a pixel.
        assert (own[filled] == LAYOUT.labels(at[filled], level)).mean() > 0.9
        assert own[found[[y for _, y in PICKS], [x for x, _ in PICKS]] == EMPTY_CODE].max(initial=-1) >= -1
    assert seen["clicked"] == seen["isolated"] and str(seen["clicked"]) == seen["marked"]


def test_the_search_finds_names(run: Path, seen: dict[str, Any]) -> None:
    names = [row.name for row in open_run(run).labels().levels[0]]
    assert seen["found"] == [name for name in names if names[1].lower() in name.lower()]


def test_downloads_are_splats_with_the_objects_rows(run: Path, seen: dict[str, Any], tmp_path: Path) -> None:
    source = open_run(run)
    splat = load_gaussians(source.ply)
    labels = LAYOUT.labels(source.codes, 2)
    rows_of = source.labels().levels[1]
    assert len(seen["files"]) == len(rows_of) + 1  # and "shown"
    for row in rows_of:
        name = next(name for name in seen["files"] if name.endswith(f"_{row.label}.ply"))
        (tmp_path / "one.ply").write_bytes(base64.b64decode(seen["files"][name]))
        ply = read_ply(tmp_path / "one.ply")
        mine = np.flatnonzero(labels == row.label)
        assert ply.count == row.count == len(mine)
        codes, one, whole = codes_in(ply), load_gaussians(ply), splat.take(mine)
        assert codes is not None and (codes == source.codes[mine]).all()
        assert (one.means == whole.means).all()
        assert one.sh is not None and whole.sh is not None and one.sh.shape == whole.sh.shape
        assert np.abs(one.opacities - whole.opacities).max() < 1 / 255  # half a step, and the ends moved inwards
        assert np.abs(np.log(one.scales / whole.scales)).max() < 0.02  # half a step of 1/255 of the range of the room
        assert np.abs(one.quats - whole.quats).max() < 0.01  # half a step of 1/127, and the length made 1 again
        assert np.abs(one.sh - whole.sh).mean() < 0.005  # a mixed-up order gives a hundred times that


def test_a_page_with_a_missing_file_says_so(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    assert main(["publish", str(run), "-o", str(page)]) == 0
    (page / "data" / "scales_0.js").unlink()
    assert _drive(page, tmp_path)["message"] == "data/scales_0.js is missing. Copy the whole folder."
