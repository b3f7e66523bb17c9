"""A bounded mapping that evicts its oldest entry when full.

Every cache whose keys or values come from clients uses this class. ``docs/reliability.md`` lists them all by name; a
test sends a gateway requests that never repeat, and fails if any other object has grown.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_NONE: Any = object()


class BoundedCache(OrderedDict[K, V]):
    """A mapping that evicts its oldest entry when full.

    ``name``: the name of the contents in the documentation. ``most``: maximum number of entries. ``room``: maximum
    total size of the entries in bytes, as returned by ``size``; a larger entry is not stored.

    ``size`` receives a key and its value; neither may change while it is stored. Without ``size``, threads may write
    concurrently; with it, writes need a lock.

    >>> table = BoundedCache("letters", 2)
    >>> table["a"], table["b"], table["a"], table["c"] = 1, 2, 3, 4
    >>> dict(table)
    {'a': 3, 'c': 4}
    >>> texts = BoundedCache("texts", 9, room=10, size=lambda key, text: len(text))
    >>> texts["a"], texts["b"], texts["c"] = "12345", "1234", "123"
    >>> dict(texts), texts.held
    ({'b': '1234', 'c': '123'}, 7)
    """

    def __init__(
        self, name: str, most: int, *, room: int | None = None, size: Callable[[K, V], int] | None = None
    ) -> None:
        super().__init__()
        self.name = name
        self.most = most
        self.room = room
        self.held = 0  # total bytes, if they are counted
        self._size = size

    def __setitem__(self, key: K, value: V) -> None:
        size = self._size
        if size is not None:
            if key in self:
                self.held -= size(key, self[key])
            self.held += size(key, value)
        super().__setitem__(key, value)
        try:
            self.move_to_end(key)
            while len(self) > self.most or (self.room is not None and self.held > self.room):
                del self[next(iter(self))]
        except (KeyError, RuntimeError, StopIteration):  # another thread evicts entries concurrently
            pass

    def __delitem__(self, key: K) -> None:
        if self._size is not None:
            self.held -= self._size(key, self[key])
        super().__delitem__(key)

    def pop(self, key: K, default: Any = _NONE) -> Any:
        if key not in self:
            return super().pop(key) if default is _NONE else default
        found = self[key]
        del self[key]
        return found

    def popitem(self, last: bool = True) -> tuple[K, V]:
        if not self:
            return super().popitem(last)
        key = next(reversed(self) if last else iter(self))
        return key, self.pop(key)

    def clear(self) -> None:
        super().clear()
        self.held = 0


__all__ = ["BoundedCache"]
