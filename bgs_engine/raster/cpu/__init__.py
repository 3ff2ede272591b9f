"""The CPU rasteriser: Numba kernels, no compiler needed on the user's machine, compiled once and cached."""

import os

import platformdirs

# Numba caches beside the source by default, which may be read-only or shared. Must be set before numba is imported.
os.environ.setdefault("NUMBA_CACHE_DIR", platformdirs.user_cache_dir("bgs_engine", appauthor=False))
