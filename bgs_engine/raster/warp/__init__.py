"""The rasteriser for CUDA cards, written in Warp: `kernels` hold what runs there, the modules here launch them.

Every array lives on one Warp device; "cpu" (Warp's own CPU device) runs the same kernels serially, for the tests.
Importing this package needs warp-lang; nothing outside it, `train.device_*` and `associate.device_votes` does.
"""

import warp as wp  # re-exported: whoever takes it from here gets these settings

wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)  # its greeting would break the events on stdout

__all__ = ["wp"]
