"""Names of labels: what they claim is true, they are different, and those that people gave stay."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.cli import main
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.files import read_json, write_json
from bgs_engine.core.label_table import build_label_table, is_automatic, read_labels, write_labels
from bgs_engine.io.ply import read_ply, write_ply
from bgs_engine.io.run_folder import finish, open_run, partial_folder, write_run
from bgs_engine.made_scenes.builder import Builder
from bgs_engine.made_scenes.rooms import Rooms, shell
from bgs_engine.made_scenes.scene import KINDS
from bgs_engine.made_scenes.splat import Splat, make_splat, ply_rows
from bgs_engine.naming import label_names as naming
from bgs_engine.naming.colors import color_word
from bgs_engine.naming.label_names import _letters, label_names

UP = np.array([0.0, 0, 1])
RED, BLUE, GREEN, GREY = (0.8, 0.1, 0.1), (0.1, 0.2, 0.8), (0.15, 0.6, 0.2), (0.5, 0.5, 0.5)


def made_room() -> Splat:
    """A room with things of known form, and three equal blue balls."""
    b = Builder(np.random.default_rng(0))
    shell(b, 6.0, 6.0)
    b.group()
    for kind, center, size, color in (
        ("box", (-2, 0, 0.3), (0.6, 0.4, 0.6), RED),
        ("sphere", (1.5, -2, 0.3), (0.6, 0.6, 0.6), BLUE),
        ("sphere", (0, -2, 0.3), (0.6, 0.6, 0.6), BLUE),
        ("sphere", (-1, -2, 0.3), (0.6, 0.6, 0.6), BLUE),
        ("cylinder", (2, 2, 0.5), (0.5, 0.5, 1.0), GREEN),
        ("box", (0, 2, 1), (0.1, 0.1, 2.0), GREY),
    ):
        b.thing()
        b.part(kind, center, size, color)  # type: ignore[arg-type]
    return make_splat(Rooms(b.pieces, (6.0, 6.0)), 40_000, np.random.default_rng(0))


def names_of(splat: Splat, level: int = 1, turn: np.ndarray | None = None, taken: tuple[str, ...] = ()) -> list[str]:
    turn = np.eye(3) if turn is None else turn
    rows = splat.labels[:, level] > 0
    columns = (splat.means @ turn.T, splat.scales, splat.opacities, splat.colors)
    means, scales, opacities, colors = (column[rows].astype(np.float32) for column in columns)
    labels = splat.labels[rows, level] - 1
    return label_names(means, scales, opacities, colors, labels, int(labels.max()) + 1, turn @ UP, taken)


def test_names_say_what_is_there() -> None:
    names = names_of(made_room())
    assert names[0].endswith(" floor")
    assert [name.rpartition(" ")[2] for name in names[1:5]] == ["back", "left", "front", "right"]
    assert all(" wall, " in name for name in names[1:5])
    assert names[5:] == [
        "red box, left", "blue ball 3", "blue ball 2", "blue ball 1", "green cylinder, back right", "grey post, back",
    ]  # fmt: skip


def test_up_turns_with_the_scene_and_names_are_always_the_same() -> None:
    splat = made_room()
    y_down = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # as captures have it: z leads away from the viewer
    assert names_of(splat, turn=y_down) == names_of(splat) == names_of(splat)


@pytest.mark.parametrize("kind", ["room", "crowded", "apart", "repeated"])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_names_differ_and_fit_into_blender(kind: str, level: int) -> None:
    names = names_of(make_splat(KINDS[kind](np.random.default_rng(2)), 40_000, np.random.default_rng(2)), level)
    assert len(set(names)) == len(names)
    assert (
        max(len(name.encode()) for name in names) <= 55
    )  # object names in Blender have 63 bytes, and numbers go behind


def test_a_name_of_a_person_is_not_given_again() -> None:
    names = names_of(made_room(), taken=("red box, left", "blue ball 2"))
    assert names[5:9] == ["red box, left B", "blue ball B 3", "blue ball B 2", "blue ball B 1"]


def test_odd_labels() -> None:
    means = np.random.default_rng(0).normal(size=(60, 3))
    means[:10], labels = np.nan, np.repeat([0, 1, 2, 3], [10, 1, 9, 40])
    with np.errstate(all="raise", under="ignore"):
        names = label_names(means, np.ones((60, 3)), np.ones(60), np.ones((60, 3)), labels, 5, UP)
        flat = label_names(np.zeros((9, 3)), np.zeros((9, 3)), np.zeros(9), np.zeros((9, 3)), np.zeros(9, int), 1, UP)
        point = label_names(np.zeros((9, 3)), np.zeros((9, 3)), np.ones(9), np.zeros((9, 3)), np.zeros(9, int), 1, UP)
    assert names[0] == "empty label" and names[4] == "empty label B" and len(set(names)) == 5
    assert flat == ["empty label"] and len(point) == 1


@pytest.mark.parametrize(
    ("color", "word"),
    [
        ((0, 0, 0), "black"), ((1, 1, 1), "white"), ((0.5, 0.5, 0.5), "grey"), ((0.85, 0.1, 0.1), "red"),
        ((0.95, 0.5, 0.1), "orange"), ((0.95, 0.9, 0.2), "yellow"), ((0.2, 0.6, 0.2), "green"),
        ((0.1, 0.7, 0.7), "turquoise"), ((0.15, 0.25, 0.8), "blue"), ((0.5, 0.2, 0.7), "purple"),
        ((0.95, 0.5, 0.7), "pink"), ((0.4, 0.25, 0.12), "brown"), ((0.85, 0.78, 0.65), "beige"),
    ],
)  # fmt: skip
def test_color_words(color: tuple[float, float, float], word: str) -> None:
    assert color_word(np.array([color] * 3), np.ones(3)) == word


def test_colors_that_cancel_each_other_are_colourful() -> None:
    assert color_word(np.array([(0.9, 0.1, 0.1), (0.1, 0.75, 0.65)]), np.ones(2)) == "colourful"


def test_letters() -> None:
    assert [_letters(k) for k in (1, 2, 26, 27, 703)] == ["A", "B", "Z", "AA", "AAA"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of the made room whose true objects are level 1; one of them is called Post by a person."""
    splat, rng = made_room(), np.random.default_rng(0)
    rows = ply_rows(splat, 0, rng)
    write_ply(tmp_path / "splat.ply", rows.dtype, iter([rows]), len(rows))
    layout = BitLayout((6, 2))
    codes = layout.pack([splat.labels[:, 1], rng.integers(0, 2, len(rows))])
    table = build_label_table(layout, codes, splat.means, splat.opacities, splat.colors)
    next(row for row in table.of(1) if row.label == 11).name = "My Post"
    folder = tmp_path / "run"
    write_run(
        partial_folder(folder), read_ply(tmp_path / "splat.ply"), codes, splat.opacities, table, {"up": [0, 0, 1]}
    )
    finish(folder)
    return folder


def test_bgs_names_names_an_old_run_and_keeps_names_of_people(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not read_json(run / "labels.json").get("automatic_names")  # as an older version writes it
    assert main(["names", str(run)]) == 0
    assert "a person  My Post" in capsys.readouterr().out
    first = {row.label: row for row in open_run(run).labels().of(1)}
    assert first[6].name == "red box, left" and is_automatic(first[6].name, first[6].automatic)
    assert first[11].name == "My Post" and first[11].automatic == "grey post, back"
    assert not is_automatic(first[11].name, first[11].automatic)
    table = read_labels(run / "labels.json")
    next(row for row in table.of(1) if row.label == 6).name = "Parcel"
    write_labels(run / "labels.json", table)
    before = (run / "labels.json").read_bytes()
    assert main(["names", str(run)]) == 0
    assert (run / "labels.json").read_bytes() == before


def test_older_versions_read_the_names(run: Path) -> None:
    """Their labels have no key that they do not know, and what they write has no automatic names any more."""
    assert main(["names", str(run)]) == 0
    data = read_json(run / "labels.json")
    known = {"label", "parent", "count", "center", "box_min", "box_max", "color", "name", "confidence", "shown_color"}
    assert all(set(row) == known for rows in data["levels"] for row in rows)
    write_json(run / "labels.json", {key: data[key] for key in ("format", "level_bits", "levels")})
    before = [row.name for row in open_run(run).labels().of(1)]
    assert main(["names", str(run)]) == 0  # nobody knows who gave them, so they stay
    assert [row.name for row in open_run(run).labels().of(1)] == before


@pytest.mark.parametrize("names", [5, [], [["a"]], [[1], [2]], None, "text", [[], []]])
def test_automatic_names_that_do_not_fit_are_not_believed(run: Path, names: object) -> None:
    data = read_json(run / "labels.json")
    write_json(run / "labels.json", {**data, "automatic_names": names})
    assert {row.automatic for rows in open_run(run).labels().levels for row in rows} == {""}


def test_of_very_many_labels_the_largest_get_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the paper's objective has tens of thousands of labels; to name them all took longer than the run."""
    monkeypatch.setattr(naming, "MOST", 20)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(60), np.where(np.arange(60) % 3 == 0, 40, 10))
    means = rng.normal(size=(len(labels), 3)).astype(np.float32)
    columns = np.full_like(means, 0.01), np.full(len(labels), 0.9, np.float32), rng.random(means.shape)
    names = label_names(means, *columns, labels, 60, UP)
    assert [k for k, name in enumerate(names) if name] == list(range(0, 60, 3))
    assert len(set(names)) == 21
