"""Cameras of clicks, the surface under a pixel, the front of an area, and what a suggestion does to codes."""

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from blender_bgs.logic.clicks import (
    REST,
    as_new_label,
    camera_of,
    check_taken,
    first_codes,
    home_of,
    label_with_just,
    size_name,
    spread,
)
from blender_bgs.logic.label_tree import CodeTable
from blender_bgs.logic.row_order import engine_rows
from blender_bgs.viewport.areas import area_of, box, rows_in
from blender_bgs.viewport.packing import Arrays
from blender_bgs.viewport.probing import Target
from blender_bgs.viewport.surface import front_rows, surface_at

SIZE = (400, 300)
LAYOUT = BitLayout((4, 4, 4))
PERSPECTIVE = np.array([[1.2, 0, 0.1, 0], [0, 1.6, -0.2, 0], [0, 0, -1, -0.2], [0, 0, -1, 0]])
ORTHOGRAPHIC = np.array([[0.4, 0, 0, 0.1], [0, 0.5, 0, -0.2], [0, 0, -0.01, 0], [0, 0, 0, 1.0]])


def turned(scale: float = 1.0) -> np.ndarray:
    """Some file-to-view matrix: a rotation, one scale and a shift."""
    q, r = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    q *= np.sign(np.linalg.det(q))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = scale * q, (0.3, -0.2, -9)
    return matrix


def on_screen(projection: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Pixels [2] of a place in view space, from the upper left corner, by OpenGL's rules."""
    clip = projection @ np.array([*view, 1.0])
    ndc = clip[:2] / clip[3]
    return np.array([(ndc[0] + 1) * SIZE[0] / 2, (1 - ndc[1]) * SIZE[1] / 2])


@pytest.mark.parametrize("projection", [PERSPECTIVE, ORTHOGRAPHIC], ids=["perspective", "orthographic"])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_the_camera_sees_places_of_the_file_where_the_window_shows_them(projection: np.ndarray, scale: float) -> None:
    to_view = turned(scale)
    camera = camera_of(projection, to_view, SIZE)
    assert camera is not None and np.allclose(camera.viewmat[:3, :3] @ camera.viewmat[:3, :3].T, np.eye(3))
    for place in np.random.default_rng(0).normal(size=(20, 3)):
        x, y, z = (camera.viewmat @ np.array([*place, 1.0]))[:3]
        depth = 1.0 if camera.orthographic else z
        pixel = np.array([camera.fx * x / depth + camera.cx, camera.fy * y / depth + camera.cy])
        assert np.allclose(pixel, on_screen(projection, (to_view @ np.array([*place, 1.0]))[:3]))


def test_an_uneven_or_mirrored_view_is_no_camera() -> None:
    assert camera_of(PERSPECTIVE, turned() @ np.diag([1, 1, 2, 1]), SIZE) is None
    assert camera_of(PERSPECTIVE, turned() @ np.diag([1, 1, -1, 1]), SIZE) is None
    assert camera_of(PERSPECTIVE, np.zeros((4, 4)), SIZE) is None


def wall(depth: float, opacity: float = 0.95, count: int = 40, half: float = 2.0, size: float = 0.06) -> np.ndarray:
    """Rows (x, y, z, opacity, size) of a wall across the view at a depth in front of the camera."""
    x, y = np.meshgrid(np.linspace(-half, half, count), np.linspace(-half, half, count))
    ones = np.ones(count * count)
    return np.stack([x.ravel(), y.ravel(), -depth * ones, opacity * ones, size * ones], 1)


def target_of(rows: np.ndarray, to_view: np.ndarray | None = None) -> Target:
    covs = np.zeros((len(rows), 6), np.float32)
    covs[:, [0, 3, 5]] = rows[:, 4:5] ** 2
    arrays = Arrays(*(v.astype(np.float32) for v in (
        rows[:, :3], covs, rows[:, 3], np.zeros((len(rows), 3)), np.ones(len(rows)), rows[:, 4])))  # fmt: skip
    return Target(arrays, np.eye(4) if to_view is None else to_view)


@pytest.mark.parametrize("projection", [PERSPECTIVE, ORTHOGRAPHIC], ids=["perspective", "orthographic"])
def test_the_surface_lies_on_the_ray_at_the_depth_of_the_front_wall(projection: np.ndarray) -> None:
    targets = [target_of(wall(9.0)), target_of(wall(6.0))]
    mouse = (190.0, 170.0)
    found = surface_at(targets, projection, SIZE, mouse)
    assert found is not None and found.target == 1
    assert found.place[2] == pytest.approx(-6.0)
    x, y = on_screen(projection, found.place)
    assert (x, SIZE[1] - y) == pytest.approx(mouse)
    assert np.hypot(*(found.place[:2] - targets[1].arrays.means[found.row][:2])) < 0.2  # its neighbour in the wall
    assert surface_at([], projection, SIZE, mouse) is None
    assert surface_at([target_of(wall(6.0, opacity=0.01))], projection, SIZE, mouse) is None  # haze


def test_the_surface_is_in_the_space_of_its_object() -> None:
    moved = np.eye(4)
    moved[:3, 3] = (0.5, 0, -4)
    rows = wall(2.0)
    found = surface_at([target_of(rows, moved)], PERSPECTIVE, SIZE, (190.0, 170.0))
    straight = surface_at([target_of(wall(6.0))], PERSPECTIVE, SIZE, (190.0, 170.0))
    assert found is not None and straight is not None
    assert np.allclose(found.place + moved[:3, 3], straight.place)


@pytest.mark.parametrize("projection", [PERSPECTIVE, ORTHOGRAPHIC], ids=["perspective", "orthographic"])
def test_an_area_takes_the_front_wall_and_not_the_one_behind(projection: np.ndarray) -> None:
    near = wall(6.0)
    hole = np.hypot(near[:, 0], near[:, 1]) > 0.7  # one sees the other wall through a hole
    targets = [target_of(wall(9.0)), target_of(near[hole])]
    area = area_of(box((0, 0), SIZE), SIZE)
    back, front = front_rows(targets, projection, area)
    assert np.array_equal(front, rows_in(targets[1], projection, area)) and front.sum() > 1000
    means = targets[0].arrays.means
    at = np.hypot(means[:, 0], means[:, 1]) / (1.0 if projection[3, 2] == 0 else 1.5)  # where the near wall has it
    assert back[at < 0.5].all() and not back[(at > 1.0) & (at < 1.3)].any()


def test_hidden_gaussians_hide_nothing() -> None:
    near, far = target_of(wall(6.0)), target_of(wall(9.0))
    near = Target(near.arrays, near.to_view, np.zeros(len(near.arrays), bool))
    back, front = front_rows([far, near], PERSPECTIVE, area_of(box((100, 80), (300, 220)), SIZE))
    assert back.any() and not front.any()
    assert not front_rows([far], PERSPECTIVE, np.zeros((300, 400), bool))[0].any()


def codes() -> np.ndarray:
    """Twelve Gaussians: labels 1 and 2 of level 1, each with two children of three."""
    one = np.repeat([1, 1, 2, 2], 3)
    two = np.repeat([0, 1, 0, 1], 3)
    return LAYOUT.pack([one, two, np.zeros(12, int)])


def test_a_new_label_lies_beside_the_label_with_most_of_it() -> None:
    rows = np.zeros(12, bool)
    rows[[3, 4, 5, 6]] = True  # three of label 1.1, and one of 2.0
    before = codes()
    assert home_of(before, rows, LAYOUT, 2) == (1 << 4) | 1
    after, target = as_new_label(before, rows, LAYOUT, 2)
    assert target == (1 << 4) | 2  # the first free child of label 1
    assert (LAYOUT.labels(after, 2)[rows] == target).all() and (LAYOUT.labels(after, 1)[rows] == 1).all()
    assert np.array_equal(after[~rows], before[~rows])
    coarse, target = as_new_label(before, rows, LAYOUT, 1)
    assert target == 0 and len(np.unique(LAYOUT.labels(coarse, 2)[rows])) == 2  # both children stay apart


def test_a_full_parent_is_said() -> None:
    full = LAYOUT.pack([np.zeros(16, int), np.arange(16), np.zeros(16, int)])
    with pytest.raises(UsageError, match="in use"):
        as_new_label(full, np.arange(16) == 3, LAYOUT, 2)


def test_a_suggestion_that_is_a_label_already_is_found() -> None:
    table = CodeTable.of(codes(), LAYOUT)
    assert label_with_just(table, np.arange(12) < 6, 1) == 1
    assert label_with_just(table, np.arange(12) < 3, 1) is None  # a part of it
    assert label_with_just(table, np.arange(12) < 3, 2) == 1 << 4
    assert label_with_just(table, np.arange(12) < 7, 1) is None
    assert label_with_just(table, np.zeros(12, bool), 1) is None


def test_first_labels_are_the_thing_and_the_rest() -> None:
    rows = np.arange(6) % 2 == 0
    made, names = first_codes(rows, BitLayout())
    assert np.array_equal(BitLayout().labels(made, 1), rows)
    assert names == {(1, 0): REST, (2, 0): REST, (3, 0): REST}


def test_taking_nothing_or_all_of_a_label_is_refused() -> None:
    mine = np.arange(6) < 3
    check_taken(mine, np.arange(6) < 2, "Chair")
    with pytest.raises(UsageError, match="Nothing of Chair"):
        check_taken(mine, ~mine, "Chair")
    with pytest.raises(UsageError, match="left of Chair"):
        check_taken(mine, np.ones(6, bool), "Chair")


def test_rows_of_the_engines_file() -> None:
    numbers = np.array([7, 2, 9, 4])  # points were reordered, and others deleted
    assert engine_rows(numbers, in_order=False).tolist() == [7, 2, 9, 4]
    assert engine_rows(numbers, in_order=True).tolist() == [2, 0, 3, 1]
    assert np.flatnonzero(spread(np.array([True, False, False, True]), numbers, 10)).tolist() == [4, 7]


def test_names_of_sizes() -> None:
    assert [size_name(n, 3) for n in range(3)] == ["subpart", "part", "whole"]
    assert size_name(1, 5) == "size 2 of 5" and size_name(0, 1) == ""


def test_a_splat_that_was_scaled_flat_can_be_clicked() -> None:
    """Its matrix has no inverse."""
    flat = np.diag([1.0, 1.0, 0.0, 1.0])
    flat[2, 3] = -6.0
    found = surface_at([target_of(wall(0.0), flat)], PERSPECTIVE, SIZE, (190.0, 170.0))
    assert found is not None and np.isfinite(found.place).all()
