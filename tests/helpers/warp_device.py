"""The device of the tests of the card's kernels: Warp's CPU device, or what the variable BGS_TEST_DEVICE names.

BGS_TEST_DEVICE=cuda:0 python -m pytest tests/engine/test_warp_raster.py tests/engine/test_warp_steps.py ...
"""

import os

DEVICE = os.environ.get("BGS_TEST_DEVICE", "cpu")
CHOICE = "warp-cpu" if DEVICE == "cpu" else "cuda"  # for --device
