"""Votes on a Warp device, equal to those of `associate.votes.collect_votes`.

Only the tables of nodes and votes come back from the device.
"""

import numpy as np
import warp as wp

from bgs_engine.associate import warp_kernels
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.associate.votes import MIN_WEIGHT, STRIDE, ViewVotes, Votes, as_bytes, votes_of_all, voting_pixels
from bgs_engine.core.cameras import Camera
from bgs_engine.core.events import Reporter
from bgs_engine.raster.warp.fragments import DeviceFragmentLister, DeviceFragments
from bgs_engine.raster.warp.grouping import labelled_pixels, sort_by_labels, upload_maps
from bgs_engine.raster.warp.kernels import grouping
from bgs_engine.raster.warp.view import DeviceScene, DeviceViewBuilder, to_device


def collect_votes_on(device: str, views: MaskedViews, reporter: Reporter) -> Votes:
    """The votes of all views, computed on a Warp device. Arguments and result are those of `collect_votes`."""
    geometry = DeviceScene(views.scene, device)
    builder, lister = DeviceViewBuilder(geometry), DeviceFragmentLister(len(views.scene), device)
    places: dict[tuple[int, int], tuple[wp.array, wp.array]] = {}  # of the voting pixels; views have few sizes

    def of_view(camera: Camera, maps: np.ndarray) -> ViewVotes:
        size = camera.width, camera.height
        if size not in places:
            px, py = voting_pixels(*size)
            places[size] = to_device(px, wp.int32, device), to_device(py, wp.int32, device)
        combinations, node = _combinations(maps, *places[size], device)
        fragments = lister.list(builder.build(camera), *places[size], geometry.opacities, measure=True)
        gaussians, nodes, pixels, clear = _votes(fragments, node, device)
        return ViewVotes(combinations, gaussians, nodes, pixels, as_bytes(clear / pixels))

    return votes_of_all(views, of_view, reporter)


def _combinations(maps: np.ndarray, px: wp.array, py: wp.array, device: str) -> tuple[np.ndarray, wp.array]:
    """As `votes.combinations_of`, of the pixels px, py (int32 [P]) of maps int32 [L, H, W]; nodes on the device."""
    levels, width = maps.shape[0], maps.shape[2]
    node = wp.full(px.size, -1, dtype=wp.int32, device=device)
    some = wp.empty((levels, px.size), dtype=wp.uint16, device=device)
    whole, largest = upload_maps(maps, device)
    wp.launch(grouping.gather_pixels, px.size, [whole, width, px, py], [some], device=device)
    of_labelled, at = labelled_pixels(some, levels)
    count = at.size
    none = np.zeros((int(count < px.size), levels), np.int32)  # unlabelled pixels have a row there too
    if not count:
        return none, node
    order, numbers = sort_by_labels(of_labelled, largest)
    nodes = int(numbers[-1:].numpy()[0])
    scratch = wp.empty(count, dtype=wp.int32, device=device), wp.empty(nodes, dtype=wp.int32, device=device)
    labels = wp.empty((nodes, levels), dtype=wp.int32, device=device)
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
