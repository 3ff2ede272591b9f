"""Opening and writing splats of any format, and the labels beside them, with a small format made for the test."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import EnvironmentLacksError, InputError, UsageError
from bgs_engine.core.label_table import LabelTable, build_label_table
from bgs_engine.formats import read
from bgs_engine.formats.format import Format
from bgs_engine.formats.labels_file import labels_file_of
from bgs_engine.formats.raw_splat import RawSplat, SplatLabels
from bgs_engine.formats.read import PLY, by_name, open_splat
from bgs_engine.formats.write import losses, refuse_target, write_splat
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.run_folder import codes_in, finish, partial_folder, write_run
from tests.helpers import made_files
from tests.helpers.made_format import BLIND, LACKING, MADE, write_made

COUNT, LAYOUT = 40, BitLayout((3, 2))


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(read, "FORMATS", (*read.FORMATS, MADE, LACKING, BLIND))
    yield


@pytest.fixture
def ply(tmp_path: Path) -> SplatPly:
    dtype = made_files.splat_dtype(9, [("mood", "<f4")])
    return made_files.write_splat(tmp_path / "source.ply", made_files.splat_rows(COUNT, dtype))


def labels_of(ply: SplatPly, name: str = "Chair") -> SplatLabels:
    splat = load_gaussians(ply)
    codes = np.random.default_rng(1).integers(0, 1 << LAYOUT.total, ply.count).astype(np.int32)
    table = build_label_table(LAYOUT, codes, splat.means, splat.opacities, splat.base_colors)
    table.levels[0][0].name = name
    return SplatLabels(codes, LAYOUT, table)


def names(table: LabelTable) -> list[list[str]]:
    return [[label.name for label in level] for level in table.levels]


def test_a_ply_opens_as_its_rows(ply: SplatPly) -> None:
    found = open_splat(ply.path)
    assert found.format is PLY and found.labels is None and found.notes == ()
    assert found.ply.dtype == ply.dtype


@pytest.mark.parametrize("name", ["scene.made", "scene.MADE", "scene.bin"])
def test_another_format_opens_by_its_beginning(tmp_path: Path, ply: SplatPly, name: str) -> None:
    write_made(tmp_path / name, RawSplat.of_ply(ply))
    found = open_splat(tmp_path / name)
    assert found.format is MADE and found.ply.path == tmp_path / name
    np.testing.assert_array_equal(found.ply.columns("xyz"), ply.columns("xyz")[::-1])


def test_labels_beside_are_in_the_order_of_the_file(tmp_path: Path, ply: SplatPly) -> None:
    labels = labels_of(ply)
    written = write_splat(tmp_path / "scene.made", ply, labels)
    assert written.labels_file == tmp_path / "scene.made.labels"
    found = open_splat(tmp_path / "scene.made")
    assert found.labels is not None and found.labels.layout == LAYOUT
    np.testing.assert_array_equal(found.labels.codes, labels.codes[::-1])  # the writer turned the rows
    assert names(found.labels.table) == names(labels.table) and "Chair" in names(labels.table)[0]


def test_other_programs_can_read_a_labels_file(tmp_path: Path, ply: SplatPly) -> None:
    labels = labels_of(ply)
    write_splat(tmp_path / "scene.made", ply, labels)
    with np.load(labels_file_of(tmp_path / "scene.made")) as stored:
        np.testing.assert_array_equal(stored["codes"], labels.codes[::-1])
    with zipfile.ZipFile(labels_file_of(tmp_path / "scene.made")) as packed:
        assert json.loads(packed.read("labels.json"))["level_bits"] == [3, 2]
        assert json.loads(packed.read("splat.json"))["gaussians"] == COUNT


def test_a_replaced_splat_does_not_get_the_labels(tmp_path: Path, ply: SplatPly) -> None:
    write_splat(tmp_path / "scene.made", ply, labels_of(ply))
    moved = RawSplat.of_ply(ply).take(np.roll(np.arange(COUNT), 1))
    write_made(tmp_path / "scene.made", moved)
    found = open_splat(tmp_path / "scene.made")
    assert found.labels is None and "scene.made was changed or replaced since" in found.notes[0]


@pytest.mark.parametrize("damage", [lambda d: d[:-40], lambda d: d[:60] + b"\0\0\0\0" + d[64:], lambda d: b""])
def test_a_damaged_labels_file_is_a_note(tmp_path: Path, ply: SplatPly, damage) -> None:
    write_splat(tmp_path / "scene.made", ply, labels_of(ply))
    file = labels_file_of(tmp_path / "scene.made")
    file.write_bytes(damage(file.read_bytes()))
    found = open_splat(tmp_path / "scene.made")
    assert found.labels is None and "is damaged" in found.notes[0]


def test_a_newer_labels_file_says_so(tmp_path: Path, ply: SplatPly) -> None:
    write_splat(tmp_path / "scene.made", ply, labels_of(ply))
    file = labels_file_of(tmp_path / "scene.made")
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("splat.json", '{"format": 2}')
    assert "newer version" in open_splat(tmp_path / "scene.made").notes[0]


def test_a_ply_has_its_codes_and_the_names_beside_it(tmp_path: Path, ply: SplatPly) -> None:
    labels = labels_of(ply)
    write_splat(tmp_path / "out.ply", ply, labels)
    found = open_splat(tmp_path / "out.ply")
    assert {*ply.names} < {*found.ply.names} and "mood" in found.ply.names  # every property is kept
    np.testing.assert_array_equal(codes_in(found.ply), labels.codes)
    assert found.labels is not None and names(found.labels.table) == names(labels.table)
    rows = made_files.all_rows(found.ply)
    for name in ply.names:
        np.testing.assert_array_equal(rows[name], made_files.all_rows(ply)[name])


def test_names_beside_a_ply_go_with_its_codes_even_if_it_was_edited(tmp_path: Path, ply: SplatPly) -> None:
    """An editor of colours changes the file, but not the codes in it."""
    labels = labels_of(ply)
    write_splat(tmp_path / "out.ply", ply, labels)
    rows = made_files.all_rows(open_splat(tmp_path / "out.ply").ply).copy()
    rows["f_dc_0"] = 1
    made_files.write_splat(tmp_path / "out.ply", rows)
    found = open_splat(tmp_path / "out.ply")
    assert found.labels is not None and names(found.labels.table) == names(labels.table)
    made_files.write_splat(tmp_path / "out.ply", rows[::-1].copy())  # other rows: the codes count, without names
    turned = open_splat(tmp_path / "out.ply", LAYOUT)
    assert turned.notes and turned.labels is not None
    np.testing.assert_array_equal(turned.labels.codes, labels.codes[::-1])
    assert "Chair" not in names(turned.labels.table)[0]


def test_codes_alone_get_automatic_names(tmp_path: Path, ply: SplatPly) -> None:
    labels = labels_of(ply)
    write_splat(tmp_path / "out.ply", ply, labels, named=False)
    assert not labels_file_of(tmp_path / "out.ply").exists()
    found = open_splat(tmp_path / "out.ply", LAYOUT)
    assert found.labels is not None and found.labels.table.levels[0][0].name == "L1_1"
    few = open_splat(tmp_path / "out.ply", BitLayout((1, 1)))
    with pytest.raises(InputError, match="codes of more than 2 bits"):
        _ = few.labels


def test_a_file_without_labels_takes_those_beside_an_earlier_one_away(tmp_path: Path, ply: SplatPly) -> None:
    write_splat(tmp_path / "scene.made", ply, labels_of(ply))
    write_splat(tmp_path / "scene.made", ply, None)
    assert not labels_file_of(tmp_path / "scene.made").exists()
    assert open_splat(tmp_path / "scene.made").notes == ()


def test_a_run_folder_opens_with_its_labels(tmp_path: Path, ply: SplatPly) -> None:
    labels = labels_of(ply)
    run = tmp_path / "run"
    write_run(partial_folder(run), ply, labels.codes, np.ones(COUNT, np.float32), labels.table, {})
    finish(run)
    for path in (run, run / "scene.ply"):
        found = open_splat(path)
        assert found.labels is not None and names(found.labels.table) == names(labels.table)
    with pytest.raises(UsageError, match="splat of a run"):
        refuse_target(run / "scene.ply", None)


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.lacking").write_bytes(b"LACK")
    with pytest.raises(EnvironmentLacksError, match=r"no_such_package_at_all.*Lacking") as error:
        open_splat(tmp_path / "a.lacking")
    assert "bgs-engine[formats]" in error.value.hint and "bgs doctor" in error.value.hint
    for name, data, said in (
        ("a.xyz", b"1 2 3", "no splat of a format that is known"),
        ("a.blind", b"BLND", "can be written but not read"),
        ("a.made", b"", "is empty"),
        ("a.made", b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        ("a.made", b"<!DOCTYPE html>", "web page"),
        ("a.ply", b"solid", "is not a PLY file"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=said):
            open_splat(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="neither a run folder nor a splat"):
        open_splat(tmp_path / "empty")
    with pytest.raises(InputError, match="cannot be read"):
        open_splat(tmp_path / "nothing.made")


def test_what_cannot_be_written_says_why(tmp_path: Path, ply: SplatPly) -> None:
    with pytest.raises(UsageError, match="no ending of a splat format") as error:
        write_splat(tmp_path / "a.xyz", ply, None)
    assert ".made" in error.value.hint and ".ply" in error.value.hint
    with pytest.raises(EnvironmentLacksError):
        write_splat(tmp_path / "a.lacking", ply, None)
    (tmp_path / "link.ply").symlink_to(ply.path)
    with pytest.raises(UsageError, match="is the file that is read"):
        refuse_target(tmp_path / "link.ply", ply.path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "a."))]


def test_the_longest_ending_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = Format("Packed", (".packed.ply",))
    monkeypatch.setattr(read, "FORMATS", (packed, MADE))
    assert by_name("x.packed.ply") is packed and by_name("x.PLY") is PLY and by_name("made") is None


def test_losses_are_said(ply: SplatPly) -> None:
    assert losses(MADE, ply) == ("It keeps no names of weekdays. Properties that only a PLY keeps are left out: mood.")
    assert losses(PLY, ply) == "It keeps everything."


def test_places_far_away_are_named(tmp_path: Path) -> None:
    rows = made_files.splat_rows(COUNT, np.dtype([(n, "<f8") for n in made_files.SPLAT_PROPERTIES]))
    rows["x"] += 5_000_000
    far = made_files.write_splat(tmp_path / "far.ply", rows)
    assert "0.5 units apart" in losses(MADE, far)
