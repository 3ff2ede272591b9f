"""Votes on a Warp device: the same as `associate.votes.collect_votes`; only tables of nodes and votes come back."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import warp as wp

from bgs_engine.associate import warp_kernels
from bgs_engine.associate.votes import MIN_WEIGHT, STRIDE, LevelMaps, Votes, as_bytes, as_votes
from bgs_engine.core.cameras import Camera
from bgs_engine.core.events import Reporter
from bgs_engine.raster.cpu.fragments import tile_order
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.warp.fragments import DeviceFragmentLister, DeviceFragments
from bgs_engine.raster.warp.grouping import sort_by_labels
from bgs_engine.raster.warp.kernels import grouping
from bgs_engine.raster.warp.view import DeviceScene, DeviceViewBuilder, to_device


def collect_votes_on(
    device: str, scene: RasterScene, cameras: Sequence[Camera], level_maps: LevelMaps, reporter: Reporter
) -> Votes:
    """Look at every view once, on a Warp device; arguments and result as `collect_votes`."""
    geometry = DeviceScene(scene, device)
    builder, lister = DeviceViewBuilder(geometry), DeviceFragmentLister(len(scene), device)
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    values: list[np.ndarray] = []
    through: list[np.ndarray] = []
    node_ids: list[np.ndarray] = []
    node_view: list[np.ndarray] = []
    nodes = 0
    for number, camera in enumerate(reporter.track(cameras, len(cameras))):
        maps = level_maps(number)
        if maps is None:
            continue
        px, py = voting_pixels(camera.width, camera.height)
        combinations, node = _combinations(maps[:, py, px], device)
        places = to_device(px, wp.int32, device), to_device(py, wp.int32, device)
        fragments = lister.list(builder.build(camera), *places, geometry.opacities, measure=True)
        who, where, weight, clear = _votes(fragments, node, device)
        rows.append(who)
        columns.append(where + nodes)
        values.append(weight)
        through.append(as_bytes(clear / weight))
        node_ids.append(combinations)
        node_view.append(np.full(len(combinations), number, np.int32))
        nodes += len(combinations)
    return as_votes(len(scene), rows, columns, values, through, node_ids, node_view)


@lru_cache(maxsize=4)  # views of one scene have few sizes
def voting_pixels(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """(px, py) int32 [P] of every pixel that votes, in tile order."""
    ys, xs = np.mgrid[0:height:STRIDE, 0:width:STRIDE]
    py, px = ys.ravel().astype(np.int32), xs.ravel().astype(np.int32)
    order = tile_order(px, py, width)
    return px[order], py[order]


def _combinations(ids: np.ndarray, device: str) -> tuple[np.ndarray, wp.array]:
    """As `votes._combinations`, the node of each pixel (int32 [P]) on the device; ids int32 [L, P]."""
    labelled = np.flatnonzero(ids.any(0)).astype(np.int32)
    node = wp.full(ids.shape[1], -1, dtype=wp.int32, device=device)
    none = np.zeros((int(len(labelled) < ids.shape[1]), len(ids)), np.int32)  # unlabelled pixels have a row there too
    if not len(labelled):
        return none, node
    of_labelled = to_device(ids[:, labelled], wp.int32, device)
    order, numbers = sort_by_labels(of_labelled, ids.max(1))
    count, nodes = len(labelled), int(numbers[-1:].numpy()[0])
    at = to_device(labelled, wp.int32, device)
    scratch = wp.empty(count, dtype=wp.int32, device=device), wp.empty(nodes, dtype=wp.int32, device=device)
    labels = wp.empty((nodes, len(ids)), dtype=wp.int32, device=device)
    wp.launch(grouping.write_nodes, count, [of_labelled, order, numbers, at], [*scratch, labels], device=device)
    wp.launch(warp_kernels.nodes_of_pixels, count, [order, numbers, at, len(none)], [node], device=device)
    return np.concatenate([none, labels.numpy()]), node


def _votes(fragments: DeviceFragments, node: wp.array, device: str) -> tuple[np.ndarray, ...]:
    """(scene numbers, nodes, pixels, pixels times transmittance) of all votes of one view; waits for the device."""
    size = fragments.capacity
    fragments.sort()
    nodes, counts, places = (wp.empty(size, dtype=wp.int32, device=device) for _ in range(3))
    values, clear = (wp.empty(size, dtype=wp.float32, device=device) for _ in range(2))
    wp.launch(
        warp_kernels.vote,
        size,
        [
            fragments.ends, size, fragments.sort_row, fragments.sort_fragment, fragments.pixel, fragments.weight,
            fragments.raw, node, float(STRIDE**2), MIN_WEIGHT,
        ],
        [nodes, values, clear, counts],
        device=device,
    )  # fmt: skip
    wp.utils.array_scan(counts, places, inclusive=True)
    total = int(places[-1:].numpy()[0])
    packed = [wp.empty(total, dtype=kind, device=device) for kind in (wp.int32, wp.int32, wp.float32, wp.float32)]
    made = [counts, places, fragments.sort_row, nodes, values, clear]
    wp.launch(warp_kernels.pack, size, made, packed, device=device)
    return tuple(array.numpy().copy() for array in packed)
