"""A table of the latest things keeps to its bounds, and counts its bytes, whichever way an entry comes or leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from intermodal.core.bounded_cache import BoundedCache


def texts(**kept: str) -> BoundedCache[str, str]:
    table: BoundedCache[str, str] = BoundedCache("texts", 4, room=100, size=lambda key, text: len(key) + len(text))
    for key, text in kept.items():
        table[key] = text
    return table


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda table: table.pop("a"), {"b": "22", "c": "333"}),
        (lambda table: table.pop("z", None), {"a": "1", "b": "22", "c": "333"}),
        (lambda table: table.popitem(), {"a": "1", "b": "22"}),
        (lambda table: table.popitem(last=False), {"b": "22", "c": "333"}),
        (lambda table: table.__delitem__("b"), {"a": "1", "c": "333"}),
        (lambda table: table.update(a="4444"), {"b": "22", "c": "333", "a": "4444"}),
        (lambda table: table.setdefault("d", "55555"), {"a": "1", "b": "22", "c": "333", "d": "55555"}),
        (lambda table: table.update(d="1", e="2"), {"b": "22", "c": "333", "d": "1", "e": "2"}),
        (lambda table: table.update(d="x" * 94), {"c": "333", "d": "x" * 94}),
        (lambda table: table.update(d="x" * 100), {}),
        (lambda table: table.clear(), {}),
    ],
)
def test_bytes_are_those_of_what_is_left(change: Callable[[BoundedCache[str, str]], Any], left: dict[str, str]) -> None:
    table = texts(a="1", b="22", c="333")
    change(table)
    assert dict(table) == left and list(table) == list(left)
    assert table.held == sum(len(key) + len(text) for key, text in left.items()) <= 100


def test_who_is_not_there_is_missed_as_in_any_dict() -> None:
    for miss in (lambda: texts().pop("a"), lambda: texts().popitem(), lambda: texts()["a"]):
        with pytest.raises(KeyError):
            miss()
