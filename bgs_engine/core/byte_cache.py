"""A cache with a limit in bytes. It keeps the item of number k until a newer item needs the memory."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """An object that knows how much memory it holds."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""


T = TypeVar("T", bound=Sized)


class ByteCache(Generic[T]):
    """Items by number. Beyond `max_bytes` it drops the least recently used items. It always keeps the newest."""

    def __init__(self, build: Callable[[int], T], max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.builds = 0
        self._build = build
        self._items: OrderedDict[int, T] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, number: int) -> T:
        """The item of this number. It is built if the cache does not hold it."""
        if number in self._items:
            self._items.move_to_end(number)
            return self._items[number]
        item = self._build(number)
        self.builds += 1
        self._items[number] = item
        self._bytes += item.nbytes
        self._trim(1)
        return item

    def __len__(self) -> int:
        """The number of items held."""
        return len(self._items)

    @property
    def nbytes(self) -> int:
        """Bytes held by all items."""
        return self._bytes

    def shrink(self, max_bytes: int) -> None:
        """Lower the limit and drop the items beyond it at once."""
        self.max_bytes = max_bytes
        self._trim(0)

    def _trim(self, keep: int) -> None:
        while self._bytes > self.max_bytes and len(self._items) > keep:
            _, dropped = self._items.popitem(last=False)
            self._bytes -= dropped.nbytes
