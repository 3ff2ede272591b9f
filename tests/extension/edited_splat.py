"""What the tests of edits share: made splats, what a viewer sees of them, and whether it is what a map makes of it."""

from contextlib import contextmanager

import bpy
import numpy as np
import pytest

from bgs_engine.core.harmonics import basis
from bgs_engine.core.quaternions import quaternion_matrices
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import point_clouds
from blender_bgs.logic import attributes as at
from tests.helpers import made_splat

HAS_EDIT_MODE = bpy.app.version >= (4, 5)
edit_mode = pytest.mark.skipif(not HAS_EDIT_MODE, reason="this Blender has no edit mode and no Join for point clouds")
DIRECTIONS = np.random.default_rng(5).normal(size=(40, 3))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


class Splat:
    """The numbers of a PLY that a viewer sees, float64: positions, covariances and coefficients."""

    def __init__(self, table: np.ndarray) -> None:
        def stack(names):
            return np.stack([table[n] for n in names], 1).astype(np.float64)

        self.means = stack("xyz")
        axes = quaternion_matrices(stack([f"rot_{k}" for k in range(4)]))
        axes = axes * np.exp(stack([f"scale_{k}" for k in range(3)]))[:, None]
        self.covs = axes @ axes.transpose(0, 2, 1)
        rest = sum(n.startswith("f_rest_") for n in table.dtype.names) // 3
        self.rest = stack([f"f_rest_{k}" for k in range(rest)])  # the red channel

    @classmethod
    def of(cls, path):
        ply = read_ply(path)
        return cls(ply.take(np.arange(ply.count)))

    def colors(self, directions=DIRECTIONS):
        return basis(directions)[:, 1 : self.rest.shape[1] + 1] @ self.rest.T


def assert_is(found: Splat, source: Splat, matrix: np.ndarray, rows=slice(None)) -> None:
    """`found` is `source` after the map [4, 4]: computed here without the code under test."""
    linear = matrix[:3, :3]
    want = source.means[rows] @ linear.T + matrix[:3, 3]
    assert np.abs(found.means[rows] - want).max() < 3e-6 * max(1.0, np.abs(want).max(), np.abs(matrix).max())
    covs = linear @ source.covs[rows] @ linear.T
    # float32 logs, quaternions and object matrices, relative to each Gaussian's own size
    sizes = np.abs(covs).max((1, 2), keepdims=True)
    assert (np.abs(found.covs[rows] - covs) / sizes).max() < 5e-5
    u, _, vt = np.linalg.svd(linear)
    seen = found.colors(DIRECTIONS @ (u @ vt).T)[:, rows]
    assert np.abs(seen - source.colors()[:, rows]).max() < 1e-5


def import_(path):
    bpy.ops.bgs.import_splat(filepath=str(path))
    bpy.context.view_layer.update()
    return bpy.context.view_layer.objects.active


def make(path, per=60, seed=0, rest=45):
    rows, codes = made_splat.made_splat(per_object=per, rest=rest, seed=seed)
    made_splat.write(path, made_splat.with_codes(rows, codes))
    return import_(path)


def activate(*objects) -> None:
    for other in bpy.context.view_layer.objects:
        other.select_set(other in objects)
    bpy.context.view_layer.objects.active = objects[0]


def exported(obj, path) -> Splat:
    activate(obj)
    bpy.ops.bgs.export_splat(filepath=str(path), what="SELECTED")
    return Splat.of(path)


def change_of(obj, before) -> np.ndarray:
    """The map in file space that moving the object made. A label object's points are not in that space."""
    bpy.context.view_layer.update()
    file = before if obj.bgs.whole is None else point_clouds.world_of(obj.bgs.whole)
    return np.linalg.inv(file) @ np.array(obj.matrix_world, np.float64) @ np.linalg.inv(before) @ file


TRANSFORMS = {
    "moved": ((1, 2, 3), (0, 0, 0), (1, 1, 1)),
    "turned": ((1, 2, 3), (0.4, -0.5, 1.6), (1, 1, 1)),
    "even": ((1, 2, 3), (0.4, 0.5, 0.6), (2, 2, 2)),
    "uneven": ((1, -2, 3), (0.4, 0.5, 0.6), (0.5, 2, 3)),
    "mirrored": ((1, 2, 3), (0.4, 0.5, 0.6), (-1, 1, 1)),
    "all": ((100, 2, 3), (2.4, 0.5, 0.6), (-2, 0.7, 1)),
}
APPLY = {
    "Blender's": lambda: bpy.ops.object.transform_apply(location=True, rotation=True, scale=True),
    "ours": lambda: bpy.ops.bgs.apply_transform(),
}


def bend(obj) -> None:
    """An edit that no shape can follow."""
    position = point_clouds.need_column(obj.data, at.POSITION)
    position[:, 0] += 0.1 * position[:, 1] ** 2
    point_clouds.set_column(obj.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))


def select_points(obj, rows) -> None:
    chosen = np.zeros(len(obj.data.points), bool)
    chosen[rows] = True
    point_clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", chosen))


def join(*objects) -> None:
    activate(*objects)
    bpy.ops.object.join()
    bpy.context.view_layer.update()


def drive(obj, path: str, index: int, expression: str) -> None:
    """Let a driver set a property."""
    obj.driver_add(path, index).driver.expression = expression


@contextmanager
def scene_of_frames(last: int):
    """Frames 1 to `last`, of which the second one is shown; afterwards Blender's usual ones."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.frame_step = 1, last, 1
    scene.frame_set(2)
    yield
    scene = bpy.context.scene  # a test may have opened a file
    scene.frame_start, scene.frame_end, scene.frame_step = 1, 250, 1
    scene.frame_set(1)
