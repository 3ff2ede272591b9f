"""`bgs publish` writes a page that holds all of a run and asks no network, as a whole or not at all."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgs_engine.cli.main import main
from bgs_engine.core.files import read_json
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import read_ply, write_ply
from bgs_engine.io.run_folder import open_run
from bgs_engine.output import publish, publish_columns
from bgs_engine.output.publish_columns import columns_of
from tests.helpers.labelled_scene import LAYOUT, write_labelled_run
from tools.environments import ROOT

DTYPES = {"means": "<f4", "codes": "<u4", "quats": "i1", "rest": "i1"}  # the others are unsigned bytes


@pytest.fixture(scope="module")
def run(small_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled_run(small_scene, tmp_path_factory.mktemp("labelled") / "living_room")


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "page"
    assert main(["publish", str(run), "-o", str(out), "--title", "A <room> & more"]) == 0
    return out


def head_of(page: Path) -> dict[str, Any]:
    text = (page / "data" / "head.js").read_text(encoding="utf-8")
    found = re.fullmatch(r"pageHead\((.*)\);\n", text)
    assert found
    return json.loads(found[1])


def column(page: Path, name: str) -> np.ndarray:
    """The values of a column, decoded as data.js does."""
    head = head_of(page)
    facts = next(one for one in head["columns"] if one["name"] == name)
    data = b""
    for number in range(facts["parts"]):
        text = (page / "data" / f"{name}_{number}.js").read_text(encoding="ascii")
        found = re.fullmatch(rf'pagePart\("{name}", {number}, "([A-Za-z0-9+/=]+)"\);\n', text)
        assert found
        data += gzip.decompress(base64.b64decode(found[1]))
    size = facts["bytes"]
    array = np.frombuffer(data, np.uint8)
    array = array.reshape(size, -1).T.copy().reshape(-1) if facts["planes"] else array
    values = array.view(DTYPES.get(name, "u1")).reshape(head["count"], facts["width"])
    return values if name in ("means", "codes") else facts["low"] + facts["step"] * values.astype(np.float64)


class Links(HTMLParser):
    """The files that a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.files += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_asks_for_its_own_files_alone(page: Path) -> None:
    links = Links()
    links.feed((page / "index.html").read_text(encoding="utf-8"))
    asked = [name for name in links.files if not name.startswith("data:")]
    files = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    assert set(asked) <= files and len(set(asked)) == len(asked)
    assert files - set(asked) == {"index.html", "page.json", "playcanvas-LICENSE.txt"}
    assert set(read_json(page / "page.json")["files"]) == files
    for name in files - {publish.RENDERER_FILE}:
        text = (page / name).read_text(encoding="utf-8")
        # Modules and fetched files do not open from a folder.
        assert not re.search(r"https?://|\bfetch\(|^import\b|\bimport\(|^export\b", text, re.MULTILINE), name
    renderer = (page / publish.RENDERER_FILE).read_text(encoding="utf-8")
    # A namespace of SVG and the address of a bug in a comment of a shader: nothing is loaded from either.
    assert set(re.findall(r"https?://[^\s\"'`)]+", renderer)) == {
        "http://www.w3.org/2000/svg", "https://github.com/playcanvas/engine/issues/8874",
    }  # fmt: skip


def test_the_page_holds_the_run(run: Path, page: Path) -> None:
    source, head = open_run(run), head_of(page)
    splat = load_gaussians(source.ply)
    assert splat.sh is not None
    assert head["count"] == len(splat) and head["level_bits"] == list(LAYOUT.level_bits)
    assert (column(page, "means") == splat.means).all()
    assert (column(page, "codes")[:, 0] == source.codes.view(np.uint32)).all()
    steps = {one["name"]: one["step"] for one in head["columns"]}
    # Half a step is the rounding. The ends of the range are cut off for colours, so most but not all are that near.
    assert np.abs(column(page, "scales") - np.log(splat.scales)).max() <= 0.51 * steps["scales"]
    assert np.abs(column(page, "quats") / 127 - splat.quats).max() <= 0.51 / 127
    assert np.abs(column(page, "opacities")[:, 0] / 255 - splat.opacities).max() <= 0.51 / 255
    near = np.abs(column(page, "colors") - splat.sh[:, 0]) <= 0.51 * steps["colors"]
    assert near.mean() > 0.99
    rest = splat.sh[:, 1:].transpose(0, 2, 1).reshape(len(splat), -1)
    assert (np.abs(column(page, "rest") - rest) <= 0.51 * steps["rest"]).mean() > 0.99


def test_labels_with_their_colours_and_names(run: Path, page: Path) -> None:
    table = open_run(run).labels()
    for rows, shown in zip(table.levels, head_of(page)["levels"], strict=True):
        assert [(row.label, row.name, row.count) for row in rows] == [
            (one["label"], one["name"], one["count"]) for one in shown
        ]
        assert len({tuple(one["color"]) for one in shown}) == len(shown)
        assert len({one["file"].casefold() for one in shown}) == len(shown)
        assert not any(set(one["file"]) & set('<>"/') for one in shown)


def test_a_title_and_a_name_cannot_add_to_the_page(page: Path) -> None:
    text = (page / "index.html").read_text(encoding="utf-8")
    assert "<title>A &lt;room&gt; &amp; more</title>" in text and "<room>" not in text
    assert "{{" not in text and "floor" not in text


def test_a_page_is_the_same_each_time(run: Path, page: Path, tmp_path: Path) -> None:
    assert main(["publish", str(run), "-o", str(tmp_path / "again"), "--title", "A <room> & more"]) == 0
    for path in page.rglob("*"):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(page)).read_bytes() == path.read_bytes()


def test_an_earlier_page_is_replaced_and_other_files_stay(run: Path, page: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    assert main(["publish", str(run), "-o", str(out)]) == 0
    (out / "notes.txt").write_text("mine")
    assert main(["publish", str(run), "-o", str(out), "--sh", "0"]) == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "data" / "rest_0.js").exists()
    assert [one["name"] for one in head_of(out)["columns"]][-1] == "colors"
    assert "<h1>living_room</h1>" in (out / "index.html").read_text(encoding="utf-8")


def test_places_and_degrees_that_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert main(["publish", str(run), "-o", str(tmp_path / "mine")]) == 2
    assert "no web page has written, for example letter.txt" in capsys.readouterr().err
    assert main(["publish", str(run), "-o", str(run)]) == 2
    for degree in ("4", "-1"):
        assert main(["publish", str(run), "-o", str(tmp_path / "new"), "--sh", degree]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_a_large_column_comes_in_parts(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser unpacks one part at a time."""
    monkeypatch.setattr(publish_columns, "PART_BYTES", 10_000)
    assert main(["publish", str(run), "-o", str(tmp_path / "page")]) == 0
    splat = load_gaussians(open_run(run).ply)
    assert (tmp_path / "page" / "data" / "means_14.js").is_file()  # 12,000 Gaussians of 12 bytes
    assert (column(tmp_path / "page", "means") == splat.means).all()


def test_odd_values(run: Path, tmp_path: Path) -> None:
    """Infinite opacities are legal, and Gaussians that are not drawn keep their rows."""
    ply = open_run(run).ply
    rows = ply.take(np.arange(100)).copy()
    rows["opacity"][:2] = np.inf, -np.inf
    rows["x"][2] = np.nan
    rows["scale_0"][3] = -200
    rows["f_dc_0"][:] = 1e6
    write_ply(tmp_path / "odd.ply", rows.dtype, iter([rows]), len(rows))
    splat = load_gaussians(read_ply(tmp_path / "odd.ply"))
    columns = {one.name: one for one in columns_of(splat, np.zeros(100, np.int32), 3)}
    assert columns["opacities"].values[:3, 0].tolist() == [255, 0, 0]
    assert all(len(one.values) == 100 for one in columns.values())
    assert np.isfinite(columns["means"].values).all()


def test_the_renderer_is_the_one_that_is_listed(page: Path) -> None:
    listed = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    assert hashlib.sha256((page / publish.RENDERER_FILE).read_bytes()).hexdigest() == publish.RENDERER_SHA256
    assert publish.RENDERER_SHA256 in listed and publish.RENDERER in listed
    assert "Permission is hereby granted" in (page / publish.RENDERER_LICENCE).read_text(encoding="utf-8")


def test_every_file_of_the_page_is_in_the_wheel_and_written() -> None:
    folder = ROOT / "bgs_engine" / "output" / "page"
    own = {*publish.PAGE_FILES, "index.html", publish.RENDERER_LICENCE, f"{publish.RENDERER_FILE}.gz"}
    assert {path.name for path in folder.iterdir()} == own
    assert '"bgs_engine.output" = ["page/*"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
