"""How every kernel here is compiled.

fastmath allows reordering inside a kernel, never across runs: the same machine gives the same bits, whatever the
number of threads, because every output is summed by one thread in a fixed order.
"""

from collections.abc import Callable
from typing import Any

import numba
from numba import prange  # re-exported: importing it from here sets Numba's cache folder first

__all__ = ["inline", "parallel", "prange", "serial"]

_COMMON: dict[str, Any] = {"fastmath": True, "cache": True, "error_model": "numpy"}


def parallel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel whose prange loops run on all threads."""
    return numba.njit(parallel=True, **_COMMON)(function)


def serial(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel for one thread."""
    return numba.njit(**_COMMON)(function)


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """A helper expanded into the kernels that call it."""
    return numba.njit(inline="always", **_COMMON)(function)
