"""Shapes and colours after a map, as PLY rows and as attributes; ellipsoids and quaternions many at a time."""

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.harmonics import basis
from bgs_engine.core.principal_axes import principal_axes
from bgs_engine.core.quaternions import matrices_quaternions, quaternion_matrices
from blender_bgs.logic import attributes as at
from blender_bgs.logic.attribute_rows import rows_from
from blender_bgs.logic.following import followed
from blender_bgs.logic.label_tree import separate_codes
from blender_bgs.logic.transforms import is_flat, transform_rows
from tests.helpers import made_splat
from tests.logic.test_affine_fit import LINEARS, map_of


def names_of(table: np.ndarray | np.dtype) -> tuple[str, ...]:
    names = table.names if isinstance(table, np.dtype) else table.dtype.names
    assert names is not None
    return names


def attributes_of(rows: np.ndarray) -> dict[str, np.ndarray]:
    def stack(*names):
        return np.stack([rows[name] for name in names], 1)

    raw_scale, raw_rotation = stack("scale_0", "scale_1", "scale_2"), stack("rot_0", "rot_1", "rot_2", "rot_3")
    out = {
        at.POSITION: stack("x", "y", "z"), at.RAW_SCALE: raw_scale, at.SCALE: at.activate_scale(raw_scale),
        at.RAW_ROTATION: raw_rotation, at.ROTATION: at.activate_rotation(raw_rotation),
        **{name: rows[name].copy() for name in ("nx", "ny", "nz")},
    }  # fmt: skip
    rest = sum(name.startswith("f_rest_") for name in rows.dtype.names) // 3
    for k in range(rest):
        out[at.harmonic(k)] = stack(*(f"f_rest_{k + rest * channel}" for channel in range(3)))
    return out


@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("kind", [*LINEARS, "moved"])
def test_attributes_follow_as_rows_do(kind: str, some: bool) -> None:
    rows, _ = made_splat.made_splat(per_object=30)
    rows["nx"], rows["nz"] = 0.6, 0.8
    matrix = map_of(LINEARS.get(kind, np.eye(3)))
    chosen = np.arange(20, 70) if some else np.arange(len(rows))
    attributes = attributes_of(rows)
    columns = followed(lambda name: attributes[name][chosen] if name in attributes else None, matrix)
    assert (kind == "moved") == ([c.name for c in columns] == [at.POSITION])
    for column in columns:
        attributes[column.name][chosen] = column.values
    names = [n for n in names_of(rows)[:-2] if n != "opacity" and not n.startswith("f_dc_")]
    layout = at.PlyLayout(tuple((n, rows.dtype[n].str) for n in names))
    found = rows_from(attributes.get, layout, len(rows))
    want = rows.copy()
    want[chosen] = transform_rows(rows, matrix)[chosen]
    for name in names:
        if not name.startswith("rot_"):
            assert np.allclose(found[name], want[name], atol=2e-6), name
    one, two = (
        quaternion_matrices(np.stack([t[f"rot_{k}"] for k in range(4)], 1).astype(float)) for t in (found, want)
    )
    assert np.abs(one - two).max() < 1e-5
    others = np.setdiff1d(np.arange(len(rows)), chosen)
    assert all(np.array_equal(found[name][others], rows[name][others]) for name in names)


@pytest.mark.parametrize("coefficients", [15, 24])  # degree 3 and 4
def test_colours_follow_the_turn_that_is_given(coefficients: int) -> None:
    rows, _ = made_splat.made_splat(per_object=5, rest=3 * coefficients)
    attributes = attributes_of(rows)
    turn = LINEARS["turned"]
    columns = followed(
        lambda name: attributes[name].copy() if name in attributes else None, map_of(LINEARS["uneven"]), turn=turn
    )
    new = {column.name: column.values for column in columns}
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = np.stack([attributes[at.harmonic(k)][:, 1] for k in range(coefficients)])
    after = np.stack([new[at.harmonic(k)][:, 1] for k in range(coefficients)])
    higher = slice(1, 1 + coefficients)
    seen = basis(directions)[:, higher] @ before
    assert np.allclose(basis(directions @ turn.T)[:, higher] @ after, seen, atol=1e-5)


@pytest.mark.parametrize("kind", LINEARS)
def test_bad_values_of_a_file_do_no_harm(kind: str) -> None:
    """Zero and infinite quaternions and scales: the transformed row is finite or as it was, and others are right."""
    rows, _ = made_splat.made_splat(per_object=10, rest=0)
    good = transform_rows(rows, map_of(LINEARS[kind]))
    for k in range(4):
        rows[f"rot_{k}"][3] = 0
        rows[f"rot_{k}"][4] = np.inf
    rows["scale_0"][5], rows["scale_1"][6], rows["scale_2"][7], rows["scale_2"][8] = np.nan, np.inf, -np.inf, 500
    out = transform_rows(rows, map_of(LINEARS[kind]))
    others = np.setdiff1d(np.arange(40), range(3, 9))
    assert np.array_equal(out[others], good[others])
    if kind not in ("turned", "even"):
        assert all(np.isfinite(out[name]).all() for name in names_of(rows))


def axes_of(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths [N, 3] and directions [N, 3, 3] (columns) of the axes of matrices [N, 3, 3]."""
    lengths, directions = principal_axes([matrices[:, :, k].T for k in range(3)])
    return lengths.T, np.stack(directions, 2).transpose(1, 0, 2)


def test_principal_axes_are_those_of_the_svd() -> None:
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(2000, 3, 3)) * np.exp(rng.normal(size=(2000, 1, 3)) * 4)
    matrices[:5], matrices[5], matrices[6, :, 0], matrices[7] = np.eye(3), 0, 0, np.diag((1e-30, 1, 1e30))
    lengths, directions = axes_of(matrices)
    assert np.allclose(np.linalg.det(directions), 1, atol=1e-9)
    assert np.allclose(directions.transpose(0, 2, 1) @ directions, np.eye(3), atol=1e-9)
    axes = directions * lengths[:, None]
    want = matrices @ matrices.transpose(0, 2, 1)
    size = np.maximum(np.abs(want).max((1, 2), keepdims=True), 1e-300)
    assert np.abs((axes @ axes.transpose(0, 2, 1) - want) / size).max() < 1e-12


def test_thin_ellipsoids_keep_their_thickness() -> None:
    """Scales of 1, 0.1 and 1e-7: eigenvectors of the covariance would lose the last, being 1e-14 of the first."""
    rotations = quaternion_matrices(np.random.default_rng(2).normal(size=(300, 4)))
    lengths, _ = axes_of(rotations @ np.diag((1.0, 0.1, 1e-7)) @ rotations.transpose(0, 2, 1))
    assert np.allclose(np.sort(lengths, 1), (1e-7, 0.1, 1), rtol=1e-7)


def test_quaternions_of_all_half_turns() -> None:
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(500, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    half = 2 * axes[:, :, None] * axes[:, None, :] - np.eye(3)
    quats = matrices_quaternions(half)
    assert np.allclose(np.abs((quats[:, 1:] * axes).sum(1)), 1, atol=1e-12)
    assert np.abs(quats[:, 0]).max() < 1e-12


@pytest.mark.parametrize("scale", [(1, 1, 0), (1, 1e-8, 1), (0, 0, 0), (1, np.nan, 1)])
def test_flat_maps(scale) -> None:
    assert is_flat(np.diag((*scale, 1)))
    assert not is_flat(np.diag((1, 1e-3, -5, 1)))


def test_separate_codes_have_labels_of_their_own() -> None:
    layout = BitLayout((3, 2))
    codes = layout.pack([np.array([0, 0, 1, 5]), np.array([1, 2, 1, 3])])
    others = layout.pack([np.array([0, 5, 2]), np.array([0, 0, 0])])
    new = separate_codes(codes, others, layout)
    coarse, fine = layout.labels(new, 1), layout.labels(new, 2)
    assert coarse[0] == coarse[1] and len(set(coarse.tolist())) == 3
    assert not set(coarse.tolist()) & {0, 2, 5} and coarse[2] == 1  # 1 was free and stays
    assert (fine & 3).tolist() == [1, 2, 1, 3]
    with pytest.raises(UsageError, match="in use"):
        separate_codes(codes, layout.pack([np.arange(8), np.zeros(8, int)]), layout)


@pytest.mark.parametrize("had", [0, 9])
def test_a_wider_layout_has_its_coefficients_in_order(had: int) -> None:
    rows, _ = made_splat.made_splat(per_object=1, rest=had)
    layout = at.PlyLayout(tuple((n, rows.dtype[n].str) for n in names_of(rows)))
    names = names_of(layout.with_rest(8).dtype)
    start = names.index("f_rest_0")
    assert names[start - 1] == "f_dc_2" and names[start : start + 24] == tuple(f"f_rest_{k}" for k in range(24))
    assert names[start + 24] == "opacity" and len(names) == len(names_of(rows)) - had + 24
