"""Warp kernels: forward only, one subject a module, float32 (int64 where sums must not depend on their order)."""

from typing import Any

NO_ADJOINT: dict[str, Any] = {"enable_backward": False}  # gradients are written by hand: half the code to compile
