"""Sparse pixels on the device: which Gaussians make up each sampled pixel, with weights, and gradients through them.

The same idea as `raster.cpu.fragments`. Two things differ because the host must not wait for the device: the number
of fragments stays there, buffers have a capacity, and a step whose fragments exceed it changes nothing (`stats`
counts it); and the fragments are regrouped per Gaussian with a stable radix sort, so sums keep their order on every
run and no floating-point atomics are needed.
"""

from dataclasses import dataclass

import warp as wp

from bgs_engine.raster.warp.kernels import composite, walk
from bgs_engine.raster.warp.kernels.lanes import lanes_of
from bgs_engine.raster.warp.view import DeviceView

HEADROOM = 1.5  # of the fragments a step needed: other masks of the view may show more


@dataclass(frozen=True)
class DeviceFragments:
    """Fragments of P pixels: pixel p owns ends[p - 1]:ends[p] of `row`, `pixel`, `falloff`, `weight` and `raw`.

    Valid until the same `DeviceFragmentLister` lists again: the buffers are its own. sort_row, sort_fragment: the
    same fragments by Gaussian once `sort` was called.
    """

    gaussians: int
    capacity: int
    ends: wp.array
    row: wp.array
    pixel: wp.array
    falloff: wp.array
    weight: wp.array
    raw: wp.array
    opacity_grad: wp.array
    sort_row: wp.array
    sort_fragment: wp.array

    def forward(self, features: wp.array, out: wp.array) -> wp.array:
        """Rendered features, float32 [P, D], of features [N, D], into `out`."""
        wp.launch(
            composite.forward,
            out.shape,
            [self.ends, self.capacity, self.row, self.weight, features],
            [out],
            device=out.device,
            block_dim=composite.BLOCK,
        )
        return out

    def opacity_gradients(self, features: wp.array, grad: wp.array) -> wp.array:
        """dL/d(opacity) per fragment for dL/dF = grad [P, D]."""
        lanes = lanes_of(grad.device)
        wp.launch(
            composite.opacity_gradient,
            (self.ends.size, lanes),
            [self.ends, self.capacity, self.row, self.falloff, self.weight, self.raw, features, grad, lanes],
            [self.opacity_grad],
            device=grad.device,
            block_dim=composite.BLOCK,
        )
        return self.opacity_grad

    def sort(self) -> None:
        """Regroup by Gaussian: sort_row ascending, within a Gaussian in pixel order."""
        wp.utils.radix_sort_pairs(
            self.sort_row, self.sort_fragment, self.capacity, 0, max(1, self.gaussians.bit_length())
        )

    def backward(self, features: wp.array, grad: wp.array) -> tuple[wp.array, wp.array]:
        """(dL/d(features) [N, D], dL/d(opacity) [N]), dense: for tests and other optimisers than the trainer's."""
        alpha_grad = self.opacity_gradients(features, grad)
        self.sort()
        grad_features = wp.zeros_like(features)
        grad_opacities = wp.zeros(features.shape[0], dtype=wp.float32, device=features.device)
        wp.launch(
            composite.gather_gradients,
            (self.capacity, features.shape[1]),
            [self.ends, self.capacity, self.sort_row, self.sort_fragment, self.pixel, self.weight, grad, alpha_grad],
            [grad_features, grad_opacities],
            device=features.device,
            block_dim=composite.BLOCK,
        )
        return grad_features, grad_opacities


class DeviceFragmentLister:
    """Lists fragments into buffers that it keeps, so that a training step allocates nothing and waits for nothing."""

    def __init__(self, gaussians: int, device: str) -> None:
        self.gaussians, self.device = gaussians, device
        self.capacity = 0
        self.stats = wp.zeros(2, dtype=wp.int32, device=device)
        self._fragments: tuple[wp.array, ...] = ()
        self._pixels: tuple[wp.array, wp.array] | None = None
        self._visible: tuple[wp.array, wp.array] | None = None

    @property
    def nbytes(self) -> int:
        """Device memory held, bytes."""
        return sum(array.capacity for array in (*self._fragments, *(self._pixels or ()), *(self._visible or ())))

    def list(
        self, view: DeviceView, px: wp.array, py: wp.array, opacities: wp.array, *, measure: bool
    ) -> DeviceFragments:
        """Fragments of the pixels px, py (int32 [P]); fastest when neighbours follow each other.

        Args:
            view: of one camera.
            px: column, or -1 for a place without a pixel.
            py: row.
            opacities: float32 [N] in scene order, in 0..1.
            measure: wait for the number of fragments and make room for them; else the capacity must do.
        """
        opacity, cutoff = self._rank_arrays(view.order.size)
        counts, ends = self._pixel_arrays(px.size)
        if view.order.size:
            wp.launch(
                walk.opacity_cutoffs,
                view.order.size,
                [view.order, opacities],
                [opacity, cutoff],
                device=self.device,
                block_dim=walk.BLOCK,
            )
        lists = [px, py, view.tiles_x, view.tile, view.offsets, view.ranks, view.records]
        lanes = lanes_of(self.device)
        wp.launch(
            walk.count_fragments,
            (px.size, lanes),
            [*lists, opacity, cutoff, lanes],
            [counts],
            device=self.device,
            block_dim=walk.BLOCK,
        )
        wp.utils.array_scan(counts, ends, inclusive=True)
        if measure:
            self.reserve(int(ends[-1:].numpy()[0]))
        row, pixel, falloff, weight, raw, opacity_grad, sort_row, sort_fragment = self._fragments
        sort_row[: self.capacity].fill_(self.gaussians)  # behind every Gaussian: unused places sort to the end
        wp.launch(
            walk.write_fragments,
            (px.size, lanes),
            [*lists, view.order, opacity, cutoff, lanes, ends, self.capacity],
            [row, pixel, falloff, weight, raw, sort_row, sort_fragment, self.stats],
            device=self.device,
            block_dim=walk.BLOCK,
        )
        return DeviceFragments(
            self.gaussians, self.capacity, ends, row, pixel, falloff, weight, raw, opacity_grad, sort_row, sort_fragment
        )

    def reserve(self, fragments: int) -> None:
        """Make room for that many fragments and some more."""
        if fragments <= self.capacity and self._fragments:
            return
        size = int(max(fragments, 1) * HEADROOM) + 1
        self._fragments, self.capacity = (), 0  # free before allocating
        kinds = (wp.int32, wp.int32, wp.float32, wp.float32, wp.float32, wp.float32)
        arrays = [wp.empty(size, dtype=kind, device=self.device) for kind in kinds]
        arrays += [wp.empty(2 * size, dtype=wp.int32, device=self.device) for _ in range(2)]  # the sort's two halves
        self._fragments, self.capacity = tuple(arrays), size

    def settle(self) -> int:
        """How many listings since the last call did not fit; makes room for the largest. Waits for the device."""
        largest, failed = self.stats.numpy().tolist()
        if failed:
            self.reserve(largest)
        self.stats.zero_()
        return failed

    def release(self) -> None:
        """Give all buffers back."""
        self._fragments, self.capacity, self._pixels, self._visible = (), 0, None, None

    def _rank_arrays(self, visible: int) -> tuple[wp.array, wp.array]:
        if self._visible is None or self._visible[0].size < visible:
            self._visible = _pair(max(visible, 1), wp.float32, self.device)
        return self._visible

    def _pixel_arrays(self, pixels: int) -> tuple[wp.array, wp.array]:
        if self._pixels is None or self._pixels[0].size != pixels:
            self._pixels = _pair(pixels, wp.int32, self.device)
        return self._pixels


def _pair(size: int, dtype: type, device: str) -> tuple[wp.array, wp.array]:
    return wp.empty(size, dtype=dtype, device=device), wp.empty(size, dtype=dtype, device=device)
