"""The rasteriser for CUDA cards, written in Warp: `kernels` hold what runs there, the modules here launch them.

Every array lives on one Warp device; "cpu" (Warp's own CPU device) runs the same kernels serially, for the tests.
Importing this package needs warp-lang; nothing outside it, `train.device_*` and `associate.device_votes` does.
"""

from bgs_engine.devices.warp import wp  # first of all imports of Warp, so that our settings hold

__all__ = ["wp"]
