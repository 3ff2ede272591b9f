"""Back-to-front order of all Gaussians that are shown, found in a thread so that the window never waits for it."""

import threading
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from .packing import rows_for

AT_ONCE = 60_000  # Gaussians that sort in about two milliseconds: not worth a frame in a wrong order


@dataclass(frozen=True)
class Slab:
    """The Gaussians of one object: rows start..stop of the means; depth of mean p is direction · p + offset."""

    start: int
    stop: int
    direction: tuple[float, float, float]
    offset: float


@dataclass(frozen=True)
class Request:
    """What to sort: means [N, 3], slabs of shown objects, hidden [N] bool or None."""

    means: np.ndarray
    slabs: tuple[Slab, ...]
    hidden: np.ndarray | None

    @property
    def count(self) -> int:
        """Gaussians of all slabs."""
        return sum(slab.stop - slab.start for slab in self.slabs)


def back_to_front(request: Request) -> np.ndarray:
    """Row numbers, int64 [M], farthest first; rows of equal depth keep their order.

    Two passes of NumPy's radix sort for 16-bit keys over the bit pattern of the depth: linear in N.
    """
    depths, rows = [], []
    for slab in request.slabs:
        means = request.means[slab.start : slab.stop]
        depths.append(means @ np.asarray(slab.direction, np.float32) + np.float32(slab.offset))
        rows.append(np.arange(slab.start, slab.stop))
    if not depths:
        return np.zeros(0, np.int64)
    depth, row = np.concatenate(depths), np.concatenate(rows)
    if request.hidden is not None:
        shown = ~request.hidden[row]
        depth, row = depth[shown], row[shown]
    bits = depth.view(np.uint32)
    # Floats sort like integers once negative ones are turned round; farthest first is that, inverted.
    keys = ~np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
    order = np.argsort((keys & 0xFFFF).astype(np.uint16), kind="stable")
    order = order[np.argsort((keys >> np.uint32(16)).astype(np.uint16)[order], kind="stable")]
    return row[order]


@dataclass(frozen=True)
class Order:
    """An order as a texture's values: float32 (exact up to 2^24), padded to whole rows; count of Gaussians in it."""

    values: np.ndarray
    count: int


def find_order(request: Request, width: int) -> Order:
    """Sort, and have it ready for a texture of `width` texels a row."""
    order = back_to_front(request)
    values = np.zeros(rows_for(len(order), 1, width) * width, np.float32)
    values[: len(order)] = order
    return Order(values, len(order))


class Sorter:
    """One thread for all views. Of several requests for one view only the newest is worked on."""

    def __init__(self) -> None:
        self._wanted: dict[Hashable, tuple[Request, int]] = {}
        self._found: dict[Hashable, Order] = {}
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._working: Hashable | None = None
        self._ending = False

    def ask(self, view: Hashable, request: Request, width: int) -> None:
        """Have a view's order found; returns at once."""
        with self._condition:
            self._wanted[view] = (request, width)
            if self._thread is None:
                self._ending = False
                self._thread = threading.Thread(target=self._work, name="bgs-depth-order", daemon=True)
                self._thread.start()
            self._condition.notify()

    def take(self, view: Hashable) -> Order | None:
        """The newest order that was found since it was last taken, or None."""
        with self._condition:
            return self._found.pop(view, None)

    @property
    def busy(self) -> bool:
        """Whether anything is being sorted or waits for it."""
        with self._condition:
            return bool(self._wanted) or self._working is not None

    @property
    def ready(self) -> bool:
        """Whether a view can take an order."""
        with self._condition:
            return bool(self._found)

    def forget(self, view: Hashable) -> None:
        """A view is gone."""
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
