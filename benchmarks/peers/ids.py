"""Ids that mean the same in every view, for peers that need them given.

`tracked`: masks are handed on from view to view along the order of the cameras, as a video tracker would (DEVA, Cheng
et al., ICCV 2023, in Gaussian Grouping). Views here are half a metre apart, too far for optical flow, so each pixel's
id is fetched from the last views by the splat's own depth: kinder than a tracker to parallax, less kind as it never
looks at colours. `associated`: the engine's own association, a gift that shows what the ids alone are worth.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.peers.scene import IdMaps, PeerScene
from bgs_engine.associate.mask_children import CONTRADICTED
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.associate.stage import AssociateConfig, associate
from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.raster.cpu.frame import blend

MEMORY = 10  # views looked back at
SAME_DEPTH = 0.03  # of the depth: two views see the same surface
STRIDE = 2  # px, of the pixels that overlaps are counted over
LEAST_IOU = 0.25  # of a mask with what is handed on, to go on with its id
LEAST_VIEWS = 2  # ids in fewer views are dropped, as a tracker's consensus of neighbouring frames would


def tracked(scene: PeerScene) -> IdMaps:
    """Ids handed on from view to view, each level for itself."""
    depths: list[np.ndarray] = []
    result: list[np.ndarray] = []
    following = np.ones(len(scene.maps[0]), np.int64)  # next new id of each level
    for number, camera in enumerate(scene.cameras):
        view = scene.views[number]
        depths.append(blend(view, scene.raster.opacities, np.zeros((len(view.order), 3), np.float32))[2])
        back = range(number - 1, max(number - 1 - MEMORY, -1), -1)
        places = [_same_surface(camera, depths[number], scene.cameras[k], depths[k]) for k in back]
        ids = np.zeros_like(scene.maps[number])
        for level, masks in enumerate(scene.maps[number]):
            # the last entry serves -1
            handed = [np.append(result[k][level].ravel(), 0)[place] for k, place in zip(back, places, strict=True)]
            ids[level], following[level] = _hand_on(masks, handed, int(following[level]))
        result.append(ids)
    return _drop_rare(result, following)


def associated(scene: PeerScene, level_bits: tuple[int, ...], reporter: Reporter) -> IdMaps:
    """The engine's association: the id of a mask is its segment's label."""
    layout = BitLayout(level_bits)
    found = associate(
        MaskedViews(scene.raster, scene.cameras, lambda k: scene.maps[k], layout), AssociateConfig(), 0, reporter
    )
    result = []
    for number, maps in enumerate(scene.maps):
        label = np.ones(maps.shape[1:], np.int64)  # 1 = the whole scene; 0 = contradicted at this level or above
        ids = np.zeros(maps.shape, np.int64)
        for level, masks in enumerate(maps):
            child = found.mask_children.of(level + 1, number, masks.ravel()).reshape(masks.shape)
            label = np.where((child != CONTRADICTED) & (label > 0), (label << layout.level_bits[level]) + child, 0)
            ids[level] = label
        result.append(ids)
    return _renumber(result)


def _same_surface(camera: Camera, depth: np.ndarray, other: Camera, other_depth: np.ndarray) -> np.ndarray:
    """Where every STRIDE-th pixel of a view lies in another one: flat pixel numbers int64, -1 = hidden or outside."""
    ys, xs = np.mgrid[0 : camera.height : STRIDE, 0 : camera.width : STRIDE]
    z = depth[ys, xs].ravel().astype(np.float64)
    known = np.isfinite(z)
    z[~known] = 1
    rays = np.stack([(xs.ravel() + 0.5 - camera.cx) / camera.fx, (ys.ravel() + 0.5 - camera.cy) / camera.fy])
    points = np.concatenate([rays * z, z[None], np.ones((1, len(z)))])
    moved = other.viewmat @ np.linalg.inv(camera.viewmat) @ points
    front = np.maximum(moved[2], 1e-6)
    x = np.floor(moved[0] / front * other.fx + other.cx).clip(-1, other.width).astype(np.int64)
    y = np.floor(moved[1] / front * other.fy + other.cy).clip(-1, other.height).astype(np.int64)
    known &= (moved[2] > 1e-6) & (x >= 0) & (y >= 0) & (x < other.width) & (y < other.height)
    place = np.where(known, y * other.width + x, 0)
    known &= np.abs(other_depth.ravel()[place] - moved[2]) < SAME_DEPTH * moved[2]
    return np.where(known, place, -1)


def _hand_on(masks: np.ndarray, handed: list[np.ndarray], following: int) -> tuple[np.ndarray, int]:
    """(ids int32 [H, W] of masks [H, W], the next new id).

    handed: per remembered view int32, what it says every STRIDE-th pixel is. Intersections and unions are summed over
    the views that know an id, so one view's faulty mask does not end a track.
    """
    names = np.unique(masks[masks > 0])
    ids = np.zeros(int(masks.max(initial=0)) + 1, np.int32)
    old = np.unique(np.concatenate([np.zeros(0, np.int32), *handed]))
    old = old[old > 0]
    if len(names) and len(old):
        own = masks[::STRIDE, ::STRIDE].ravel()
        shared, union = np.zeros((2, len(names), len(old)))
        for said in handed:
            both = (own > 0) & (said > 0)
            rows, columns = np.searchsorted(names, own[both]), np.searchsorted(old, said[both])
            table = np.bincount(rows * len(old) + columns, minlength=shared.size).reshape(shared.shape)
            shared += table
            union += (table.sum(1)[:, None] + table.sum(0)[None] - table) * (table.sum(0) > 0)
        iou = shared / np.maximum(union, 1)
        rows, columns = linear_sum_assignment(iou, maximize=True)
        good = iou[rows, columns] >= LEAST_IOU
        ids[names[rows[good]]] = old[columns[good]]
    new = names[ids[names] == 0]
    ids[new] = np.arange(following, following + len(new))
    return ids[masks], following + len(new)


def _drop_rare(ids: list[np.ndarray], following: np.ndarray) -> IdMaps:
    """Without ids that fewer than LEAST_VIEWS views have."""
    for level, count in enumerate(following):
        views = np.zeros(count, np.int64)
        for maps in ids:
            views[np.unique(maps[level])] += 1
        keep = views >= LEAST_VIEWS
        keep[0] = False
        for maps in ids:
            maps[level] *= keep[maps[level]]
    return _renumber(ids)


def _renumber(ids: list[np.ndarray]) -> IdMaps:
    """The same ids as 1, 2, 3, ... at each level, int32."""
    result = [np.zeros(maps.shape, np.int32) for maps in ids]
    for level in range(len(ids[0])):
        used = np.unique(np.concatenate([np.unique(maps[level]) for maps in ids] + [np.zeros(1, np.int64)]))
        for maps, out in zip(ids, result, strict=True):
            out[level] = np.searchsorted(used, maps[level])
    return result
