"""Transforms, colours of labels, lists, picking, framing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.harmonics import basis, rotation_matrix
from bgs_engine.core.quaternions import matrices_quaternions, quaternion_matrices
from blender_bgs.logic import attributes as at
from blender_bgs.logic.attribute_rows import rows_from
from blender_bgs.logic.framing import core_box, fit_view, point_radii, whole_box
from blender_bgs.logic.label_tree import CodeTable, build_entries, free_label, list_order, reassign
from blender_bgs.logic.transforms import (
    change_since_import,
    moved_origin,
    transform_rows,
    up_matrix,
)


def rotations(count: int, seed: int = 0) -> np.ndarray:
    return quaternion_matrices(np.random.default_rng(seed).normal(size=(count, 4)))


def covariances(rows: np.ndarray) -> np.ndarray:
    quats = np.stack([rows[f"rot_{k}"] for k in range(4)], 1).astype(float)
    scales = np.exp(np.stack([rows[f"scale_{k}"] for k in range(3)], 1).astype(float))
    axes = quaternion_matrices(quats) * scales[:, None, :]
    return axes @ axes.transpose(0, 2, 1)


def test_the_basis_is_the_colour_renderers() -> None:
    # Orthonormal on the sphere: what fixes every constant up to its sign.
    directions = np.random.default_rng(0).normal(size=(400_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    gram = basis(directions).T @ basis(directions) * (4 * np.pi / len(directions))
    assert np.abs(gram - np.eye(25)).max() < 0.03  # Monte Carlo: a few times 1 / sqrt(400,000) times the peak value
    # Signs of the 3DGS renderer, at a direction where no harmonic vanishes.
    x, y, z = 0.48, 0.36, 0.8
    assert np.allclose(basis(np.array([[x, y, z]]))[0, 1:4], 0.4886025 * np.array([-y, z, -x]))


@pytest.mark.parametrize("coefficients", [4, 9, 16, 25])
def test_rotated_harmonics_show_the_same_from_the_turned_side(coefficients: int) -> None:
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sh = rng.normal(size=coefficients)
    for turn in (*rotations(5), np.diag((-1.0, 1, 1))):  # a mirrored object too
        new = rotation_matrix(turn, coefficients) @ sh
        # Exact up to float64 round-off: the bands are invariant subspaces.
        assert np.allclose(
            basis(directions @ turn.T)[:, :coefficients] @ new, basis(directions)[:, :coefficients] @ sh, atol=1e-9
        )


@pytest.mark.parametrize("kind", ["even", "uneven", "sheared", "mirrored"])
def test_transformed_rows_have_the_transformed_covariance(kind: str) -> None:
    from tests.helpers import made_splat

    rows, _ = made_splat.made_splat(per_object=25)
    linear = {
        "even": rotations(1)[0] * 3.0,
        "uneven": rotations(1)[0] @ np.diag((1.0, 2.0, 0.3)),
        "sheared": np.array([[1, 0.7, 0], [0, 1, 0], [0.2, 0, 1.5]]),
        "mirrored": np.diag((-2.0, 2.0, 2.0)),
    }[kind]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, (4, 5, -6)
    out = transform_rows(rows, matrix)
    want = linear @ covariances(rows) @ linear.T
    # float32 storage of logs and quaternions: relative 1e-6 each, a few of them multiplied.
    assert np.abs(covariances(out) - want).max() < 2e-5 * np.abs(want).max()
    assert (out["opacity"] == rows["opacity"]).all() and (out["extra"] == rows["extra"]).all()


def test_quaternions_of_matrices_round_trip() -> None:
    matrices = np.concatenate([rotations(100), [np.diag((1.0, -1, -1)), np.diag((-1.0, 1, -1)), np.eye(3)]])
    assert np.allclose(quaternion_matrices(matrices_quaternions(matrices)), matrices, atol=1e-12)


def test_nothing_done_is_no_change() -> None:
    for up in ("NEG_Y", "Z", "Y"):
        imported = up_matrix(up)
        assert np.linalg.det(imported[:3, :3]) == pytest.approx(1)
        noisy = imported.astype(np.float32) + np.float32(1e-7)
        assert change_since_import(noisy.astype(float), imported) is None
        moved = imported.copy()
        moved[0, 3] += 1e-3
        assert change_since_import(moved, imported) is not None
    # What pointed up in the file points up in Blender.
    assert np.allclose(up_matrix("NEG_Y")[:3, :3] @ (0, -1, 0), (0, 0, 1))
    assert np.allclose(up_matrix("Y")[:3, :3] @ (0, 1, 0), (0, 0, 1))


def test_an_object_that_was_scaled_flat_has_changed_only_if_it_moved() -> None:
    flat = np.diag([2.0, 2.0, 0.0, 1.0])
    moved = flat.copy()
    moved[0, 3] = 1.0
    assert change_since_import(flat, flat) is None
    change = change_since_import(moved, flat)
    assert change is not None and change[:3, 3].tolist() == pytest.approx([0.5, 0, 0])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8"]), st.binary(min_size=80, max_size=80))
def test_any_property_keeps_its_bits(dtype: str, data: bytes) -> None:
    values = np.frombuffer(data, dtype)
    kind, packed = at.pack_scalar(values)
    assert packed.dtype == at.KINDS[kind].dtype
    assert at.unpack_scalar(packed, np.dtype(dtype)).tobytes() == values.tobytes()


def test_edited_scales_are_written_and_the_rest_left_alone() -> None:
    raw = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    scale = at.activate_scale(raw)
    scale[3] *= 2
    layout = at.PlyLayout(tuple((f"scale_{k}", "<f4") for k in range(3)))
    rows = rows_from({at.SCALE: scale, at.RAW_SCALE: raw}.get, layout, 10)
    out = np.stack([rows[f"scale_{k}"] for k in range(3)], 1)
    assert np.array_equal(np.delete(out, 3, 0), np.delete(raw, 3, 0))
    assert np.allclose(out[3], raw[3] + np.log(2), atol=1e-6)


def make_table(seed: int = 0, count: int = 2000) -> tuple[BitLayout, np.ndarray, CodeTable]:
    layout = BitLayout((12, 10, 10))
    rng = np.random.default_rng(seed)
    local = [rng.integers(0, 5, count) * 813, rng.integers(0, 3, count) * 500, rng.integers(0, 2, count)]
    codes = layout.pack(local)
    return layout, codes, CodeTable.of(codes, layout)


def test_groups_are_the_rows_of_each_label() -> None:
    layout, codes, table = make_table()
    for level in (1, 2, 3):
        labels = layout.labels(codes, level)
        groups = table.groups(level)
        assert sorted(groups) == np.unique(labels).tolist()
        for label, rows in groups.items():
            assert np.array_equal(rows, np.flatnonzero(labels == label))


def test_entries_count_and_name_and_keep() -> None:
    _, _, table = make_table()
    entries = build_entries(table, names={(1, 813): "Table"}, colors={(1, 813): (1.0, 0.0, 0.0)})
    assert [sum(e.count for e in entries if e.level == level) for level in (1, 2, 3)] == [2000] * 3
    kept = next(e for e in entries if e.key == (1, 813))
    assert kept.name == "Table" and kept.color == (1.0, 0.0, 0.0)
    parents = {e.label for e in entries if e.level == 1}
    assert all(e.parent in parents for e in entries if e.level == 2)
    assert len({(e.level, e.name) for e in entries}) == len(entries)


def test_list_is_filtered_and_sorted() -> None:
    rows = [(1, "Sofa", 5), (2, "Leg", 9), (1, "armchair", 7), (1, "Lamp", 6)]
    shown, position = list_order(rows, 1, ("A", ""), by_name=False)
    assert shown == [True, False, True, True]
    assert [rows[i][1] for i in np.argsort(position)][:3] == ["armchair", "Lamp", "Sofa"]
    _, position = list_order(rows, 1, (), by_name=True)
    assert [rows[i][1] for i in np.argsort(position)][:3] == ["armchair", "Lamp", "Sofa"]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(0, 10_000))
def test_reassigned_gaussians_have_the_label_and_no_parts_are_lumped(level: int, seed: int) -> None:
    layout, codes, table = make_table(seed, 400)
    rng = np.random.default_rng(seed)
    rows = rng.random(400) < 0.3
    target = int(rng.choice(table.labels(level)))
    new = reassign(codes, rows, layout, level, target)
    assert (layout.labels(new, level)[rows] == target).all()
    assert np.array_equal(new[~rows], codes[~rows])
    # Gaussians that were in different finest parts still are, and nobody joined a part of those that stayed.
    pairs = np.stack([codes.view(np.uint32), new.view(np.uint32)], 1)
    for a, b in zip(np.unique(codes[rows]), np.unique(codes[rows])[1:], strict=False):
        if level < 3:
            assert not set(pairs[rows & (codes == a), 1]) & set(pairs[rows & (codes == b), 1])


def test_a_free_label_is_free_or_refused() -> None:
    layout = BitLayout((1, 2))
    assert free_label([4, 5, 7], 1, layout, 2) == 6
    with pytest.raises(UsageError, match="in use"):
        free_label([0, 1], 0, layout, 1)


def test_floaters_do_not_count_for_framing() -> None:
    rng = np.random.default_rng(0)
    position = np.concatenate([rng.uniform(-1, 1, (10_000, 3)), rng.uniform(-500, 500, (300, 3))])
    low, high = core_box(position, np.ones(len(position)))
    assert (low > -1.2).all() and (high < 1.2).all() and (high - low > 1.6).all()
    radii = point_radii(np.full((5, 3), 0.5, np.float32), np.array([1, 1, 0.05, 1, 1], np.float32))
    assert radii.tolist() == [0.5, 0.5, 0, 0.5, 0.5]


def test_the_whole_splat_is_framed_with_thin_ends_and_without_floaters() -> None:
    rng = np.random.default_rng(1)
    body = rng.uniform((-0.5, -0.5, 0), (0.5, 0.5, 1), (9_550, 3))
    neck = rng.uniform((-0.05, -0.05, 1), (0.05, 0.05, 2), (450, 3))  # 4.5 % of the opacity: outside the core
    floaters = rng.uniform(-300, 300, (200, 3))
    positions = np.concatenate([body, neck, floaters])
    positions[7] = np.nan
    opacities = np.ones(len(positions))
    assert core_box(positions[8:], opacities[8:])[1][2] < 1.1
    low, high = whole_box(positions, opacities)
    # The ends of body and neck, to a hundredth; a floater may stretch a side by a slice of 1/50 of the core.
    assert np.allclose(low, (-0.5, -0.5, 0), atol=0.04) and np.allclose(high, (0.5, 0.5, 2), atol=0.04)
    low, high = whole_box(np.full((3, 3), 2.0), np.ones(3))
    assert low.tolist() == high.tolist() == [2.0, 2.0, 2.0]
    assert whole_box(np.full((3, 3), np.nan), np.ones(3))[1].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("perspective", [True, False])
def test_a_view_shows_all_points_and_no_smaller_than_needed(perspective: bool) -> None:
    points = np.random.default_rng(2).uniform((-1, -3, -2), (1, 3, 2), (500, 3)) + np.array([10, 20, 30])
    width, height = 0.7, 0.4
    center, distance = fit_view(points, width, height, perspective)
    at = points - center
    depth = distance - at[:, 2] if perspective else np.full(len(at), distance)
    share = np.abs(at[:, :2]) / depth[:, None] / (width, height)
    assert 0.9 < share.max() <= 1  # 1 is the border of the view


@pytest.mark.parametrize("linear", [np.diag((1.0, 2.0, 0.3)), np.diag((-1.0, 1.0, 1.0)), np.diag((2.0, 2.0, 2.0))])
def test_rows_without_a_usable_shape_do_not_spoil_the_others(linear: np.ndarray) -> None:
    from tests.helpers import made_splat

    rows, _ = made_splat.made_splat(per_object=5)
    broken = rows.copy()
    for k in range(4):
        broken[f"rot_{k}"][1] = 0
        broken[f"rot_{k}"][2] = np.nan
        broken[f"rot_{k}"][3] = np.inf
    broken["scale_1"][4], broken["scale_1"][5], broken["scale_1"][6] = np.nan, np.inf, -np.inf
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    out, whole = transform_rows(broken, matrix), transform_rows(rows, matrix)
    sound = np.r_[0, 7 : len(rows)]
    assert out[sound].tobytes() == whole[sound].tobytes()
    for axis in "xyz":
        assert np.array_equal(out[axis], whole[axis])
    shape = [f"rot_{k}" for k in range(4)]
    if np.ptp(np.diag(linear)) == 0:  # an even map leaves a broken shape as the file has it
        assert all(out[name][1] == 0 and not np.isfinite(out[name][2:4]).any() for name in shape)
        assert np.isnan(out["scale_1"][4]) and np.isinf(out["scale_1"][5])
    else:  # an uneven one writes what the viewport shows instead: not turned, and tiny where the scale is broken
        assert all(np.isfinite(out[name][1:6]).all() for name in (*shape, "scale_0", "scale_1", "scale_2"))
        for row in (4, 5):
            assert min(out[f"scale_{k}"][row] for k in range(3)) < np.log(3e-6)
    # A scale of 0 (its logarithm is -inf) is a flat Gaussian, and stays one.
    assert np.isfinite([out[name][6] for name in shape]).all()
    assert min(out[f"scale_{k}"][6] for k in range(3)) < -80


@pytest.mark.parametrize("kinds", ["<f8<f8<f8", "<f4<f4<f4", "<f8<f8<f4"])
def test_far_positions_are_near_in_blender_and_come_back_bit_for_bit(tmp_path: Path, kinds: str) -> None:
    from tests.helpers.made_files import all_rows, splat_dtype, splat_rows, write_splat

    kind = dict(zip("xyz", (kinds[:3], kinds[3:6], kinds[6:]), strict=True))
    rows = splat_rows(300, np.dtype([(n, kind.get(n, "<f4")) for n in splat_dtype(9).names or ()]))
    for axis, place in zip("xyz", (543210.0, -5832100.0, 120.0), strict=True):
        rows[axis] += place
    rows["x"][5], rows["y"][6], rows["z"][7] = 0.123, np.nan, np.inf  # an outlier, and rows that are no place
    ply = write_splat(tmp_path / "a.ply", rows)
    columns = {column.name: column.values for column in at.columns_of(ply)}
    layout = at.PlyLayout.parse(at.PlyLayout.of(ply).to_text())
    assert layout.offset[2] == 0 and abs(layout.offset[0] - 543210) < 2
    position = columns[at.POSITION]
    assert position.dtype == np.float32 and np.abs(np.median(position, 0)).max() < 200
    assert rows_from(columns.get, layout, 300).tobytes() == all_rows(ply).tobytes()
    columns[at.POSITION] = position.copy()
    columns[at.POSITION][9] += (1, 2, 3)
    edited = rows_from(columns.get, layout, 300)
    others = np.arange(300) != 9
    assert edited[others].tobytes() == all_rows(ply)[others].tobytes()
    step = 1e-4 if kinds.startswith("<f8") else 0.5  # of the numbers of the file
    assert edited["x"][9] == pytest.approx(rows["x"][9] + 1, abs=step)
    # Rows in the space of the object are those that the engine draws for Blender.
    near = rows_from(columns.get, layout.in_object_space(), 300)
    assert np.allclose(near["x"][others][10:], position[others][10:, 0])


def test_a_transform_of_a_far_object_turns_it_about_its_own_origin() -> None:
    turn = np.eye(4)
    turn[:2, :2] = ((0, -1), (1, 0))
    moved = moved_origin(turn, (1000.0, 2000.0, 0.0))
    assert np.allclose(moved @ (1000, 2000, 0, 1), (1000, 2000, 0, 1))
    assert np.allclose(moved @ (1001, 2000, 0, 1), (1000, 2001, 0, 1))


def test_layouts_of_older_blend_files_have_no_offset() -> None:
    layout = at.PlyLayout.parse('{"properties": [["x", "<f4"]], "comments": []}')
    assert layout.offset == (0, 0, 0) and layout.properties == (("x", "<f4"),)


@pytest.mark.parametrize(("kind", "extra"), [("<f4", 4), ("<i4", 0), ("<u4", 0)])
def test_codes_are_added_to_a_layout_unless_an_integer_holds_them(kind: str, extra: int) -> None:
    layout = at.PlyLayout((("x", "<f4"), ("bgs_code", kind)))
    assert len(layout.with_codes().properties) == 2 + extra
