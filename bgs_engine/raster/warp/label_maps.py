"""Label maps on the device: exact, with lists as short as the opacities allow, and no waiting between frames."""

import numpy as np
import warp as wp

from bgs_engine.core.cameras import Camera
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.warp.kernels import label_maps as kernels
from bgs_engine.raster.warp.kernels.lanes import lanes_of
from bgs_engine.raster.warp.kernels.project import CAP
from bgs_engine.raster.warp.view import DeviceScene, DeviceView, DeviceViewBuilder, to_device

LABEL_TILE = 8  # px: lists of small tiles hold little that a pixel does not need
LEFT_OVER_AT_ONCE = 8192  # pixels: as many as a large card has room for
HEADROOM = 1.25  # of the last frame's pairs: the next camera is near


class DeviceLabelRenderer:
    """Renders labels of one scene. codes int32 or uint32 [N] and opacities float32 [N] in scene order.

    A frame's lists go into buffers of a fixed capacity, so that the host need not know their length. Where that is
    too small, the farthest Gaussians are missing from the frame: `label_map` notices and renders again; a viewer that
    takes `render`'s arrays loses them for one frame, because every call looks at what the frame before needed.
    """

    def __init__(
        self,
        scene: RasterScene,
        codes: np.ndarray,
        opacities: np.ndarray,
        bits: int,
        device: str,
        tile: int = LABEL_TILE,
    ) -> None:
        self.bits, self.device = bits, device
        self.scene = DeviceScene(scene, device)
        self.scene.opacities.assign(np.ascontiguousarray(opacities, np.float32))
        self.builder = DeviceViewBuilder(self.scene, tile)
        mask = np.uint32((1 << bits) - 1)
        self._codes = to_device(codes.view(np.uint32) & mask, wp.uint32, device)
        self._out = wp.empty((0, 0), dtype=wp.uint32, device=device)
        self._left_over = wp.empty(0, dtype=wp.int32, device=device)
        self._left_over_count = wp.zeros(1, dtype=wp.int32, device=device)
        self._capacity = 0
        self._needed = wp.zeros(1, dtype=wp.int32, device="cpu", pinned=wp.get_device(device).is_cuda)
        self._needed_now = self._needed.numpy()  # the same memory: filled by the device, read without waiting

    def set_codes(self, codes: np.ndarray) -> None:
        """Show other codes, int32 or uint32 [N]: a recoloured or edited segmentation."""
        self._codes.assign(codes.view(np.uint32) & np.uint32((1 << self.bits) - 1))

    def label_map(self, camera: Camera) -> np.ndarray:
        """Code per pixel, uint32 [H, W], on the host; EMPTY_CODE where less than half the light is caught."""
        while True:
            labels = self.render(camera).numpy()  # waits, so the number of pairs is here as well
            if self._needed_now[0] <= self._capacity:
                return labels.copy()

    def render(self, camera: Camera) -> wp.array:
        """Code per pixel, uint32 [H, W], on the device; overwritten by the next call."""
        return self.draw(self.lists(camera))

    def lists(self, camera: Camera) -> DeviceView:
        """Projection and tile lists for `draw`, good until the next call; a fixed view needs them once."""
        needed = int(self._needed_now[0])
        if needed > self._capacity or not self._capacity:
            self._capacity = int(needed * HEADROOM) + 1
            self.builder.reserve(self._capacity)
        tiles_x, tiles_y = self.builder.project(camera, tight=True)
        wp.copy(self._needed, self.builder.ends, src_offset=self.builder.ends.size - 1, count=1)
        offsets = self.builder.list_tiles(tiles_x, tiles_y, self._capacity)
        lists = (self.builder.ids, self.builder.ordered, offsets, self.builder.pair_ranks)
        return DeviceView(camera.width, camera.height, self.builder.tile, tiles_x, *lists)

    def draw(self, view: DeviceView) -> wp.array:
        """Codes per pixel of prepared lists, uint32 [H, W], on the device."""
        if self._out.shape != (view.height, view.width):
            self._out = wp.empty((view.height, view.width), dtype=wp.uint32, device=self.device)
            self._left_over = wp.empty(view.height * view.width, dtype=wp.int32, device=self.device)
        self._left_over_count.zero_()
        lists = [view.offsets, view.ranks, view.records, CAP, view.order, self.scene.opacities, self._codes]
        lanes = lanes_of(self.device)
        left_over = [self._left_over, self._left_over_count]
        wp.launch(
            kernels.label_map_of_few,
            (view.offsets.size - 1, view.tile * view.tile),
            [view.width, view.tiles_x, view.tile, *lists, lanes],
            [self._out, *left_over],
            device=self.device,
            block_dim=view.tile * view.tile,
        )
        wp.launch(
            kernels.label_map,
            (LEFT_OVER_AT_ONCE, lanes),
            [view.width, view.tiles_x, view.tile, self.bits, *lists, *left_over, LEFT_OVER_AT_ONCE, lanes],
            [self._out],
            device=self.device,
            block_dim=kernels.BLOCK,
        )
        return self._out
