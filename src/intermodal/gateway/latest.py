"""A table of the latest things: whoever comes in when it is full takes the place of who was put in longest ago."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Latest(OrderedDict[K, V]):
    """``most``: how many are kept. What clients name is kept in one of these, as they can name anything.

    >>> table = Latest(2)
    >>> table["a"], table["b"], table["a"], table["c"] = 1, 2, 3, 4
    >>> dict(table)
    {'a': 3, 'c': 4}
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)


__all__ = ["Latest"]
