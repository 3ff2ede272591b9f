"""Warp with our settings. Importing this module needs warp-lang."""

import warp as wp  # re-exported: whoever takes it from here gets these settings

wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)  # its greeting would break the events on stdout

__all__ = ["wp"]
