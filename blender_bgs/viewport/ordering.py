"""Sorts all shown Gaussians back to front in a thread, so that the window does not wait."""

import threading
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from .packing import rows_for

AT_ONCE = 60_000  # up to so many Gaussians sort in about 2 ms, which is better than a frame in a wrong order


@dataclass(frozen=True)
class Slab:
    """The Gaussians of one place: rows start..stop of the means. The depth of mean p is direction · p + offset.

    `number` is that of the place. An object and its instances have the same rows and different places.
    """

    start: int
    stop: int
    direction: tuple[float, float, float]
    offset: float
    number: int = 0


@dataclass(frozen=True)
class Request:
    """The input of a sort: means [N, 3], the slabs of the shown places, and hidden bool [N] or None."""

    means: np.ndarray
    slabs: tuple[Slab, ...]
    hidden: np.ndarray | None

    @property
    def count(self) -> int:
        """The number of Gaussians in all slabs."""
        return sum(slab.stop - slab.start for slab in self.slabs)


def back_to_front(request: Request) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers, int64 [M], and place numbers, uint16 [M], farthest first. Rows of equal depth keep their order.

    It sorts the bit pattern of the depth with two passes of NumPy's radix sort for 16-bit keys. This is linear in N.
    """
    depths, rows, numbers = [], [], []
    for slab in request.slabs:
        means = request.means[slab.start : slab.stop]
        depths.append(means @ np.asarray(slab.direction, np.float32) + np.float32(slab.offset))
        rows.append(np.arange(slab.start, slab.stop))
        numbers.append(np.full(slab.stop - slab.start, slab.number, np.uint16))
    if not depths:
        return np.zeros(0, np.int64), np.zeros(0, np.uint16)
    depth, row, number = np.concatenate(depths), np.concatenate(rows), np.concatenate(numbers)
    if request.hidden is not None:
        shown = ~request.hidden[row]
        depth, row, number = depth[shown], row[shown], number[shown]
    bits = depth.view(np.uint32)
    # Bit patterns of floats sort like integers if those of negative floats are inverted. The outer inversion puts the
    # farthest first.
    keys = ~np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
    order = np.argsort((keys & 0xFFFF).astype(np.uint16), kind="stable")
    order = order[np.argsort((keys >> np.uint32(16)).astype(np.uint16)[order], kind="stable")]
    return row[order], number[order]


@dataclass(frozen=True)
class Order:
    """An order as values for a texture, and the number of Gaussians in it.

    The values are rows and place numbers, float32 [K, 2] (exact up to 2^24), padded to whole rows of the texture.
    """

    values: np.ndarray
    count: int


def find_order(request: Request, width: int) -> Order:
    """Sort, and make the values for a texture with `width` texels per row."""
    rows, numbers = back_to_front(request)
    values = np.zeros((rows_for(len(rows), 1, width) * width, 2), np.float32)
    values[: len(rows), 0], values[: len(rows), 1] = rows, numbers
    return Order(values, len(rows))


class Sorter:
    """One sorting thread for all views. It sorts only the newest request of each view."""

    def __init__(self) -> None:
        self._wanted: dict[Hashable, tuple[Request, int]] = {}
        self._found: dict[Hashable, Order] = {}
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._working: Hashable | None = None
        self._ending = False

    def ask(self, view: Hashable, request: Request, width: int) -> None:
        """Request a view's order. Returns at once."""
        with self._condition:
            self._wanted[view] = (request, width)
            if self._thread is None:
                self._ending = False
                self._thread = threading.Thread(target=self._work, name="bgs-depth-order", daemon=True)
                self._thread.start()
            self._condition.notify()

    def take(self, view: Hashable) -> Order | None:
        """The newest order of a view since the last call, or None."""
        with self._condition:
            return self._found.pop(view, None)

    @property
    def busy(self) -> bool:
        """Whether a request is being sorted or waiting."""
        with self._condition:
            return bool(self._wanted) or self._working is not None

    @property
    def ready(self) -> bool:
        """Whether there is an order for a view to take."""
        with self._condition:
            return bool(self._found)

    def forget(self, view: Hashable) -> None:
        """Drop the requests and orders of a view."""
        with self._condition:
            self._wanted.pop(view, None)
            self._found.pop(view, None)

    def stop(self) -> None:
        """End the thread and drop everything."""
        with self._condition:
            self._ending = True
            self._wanted.clear()
            thread, self._thread = self._thread, None
            self._condition.notify()
        if thread is not None:
            thread.join(timeout=5.0)
        self._found.clear()

    def _work(self) -> None:
        while True:
            with self._condition:
                self._working = None
                while not self._wanted and not self._ending:
                    self._condition.wait()
                if self._ending:
                    return
                view, (request, width) = next(iter(self._wanted.items()))
                del self._wanted[view]
                self._working = view
            order = find_order(request, width)
            with self._condition:
                self._found[view] = order
