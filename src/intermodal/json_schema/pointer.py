"""JSON Pointers (RFC 6901): the path to a value in a JSON document."""

from __future__ import annotations

from collections.abc import Iterable


def pointer(path: Iterable[str | int]) -> str:
    """Return the pointer to a path; "" is the whole document.

    >>> pointer(("items", 0, "price/unit"))
    '/items/0/price~1unit'
    """
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def steps(said: str) -> list[str]:
    """Return the steps of a pointer; text before the first slash is ignored.

    >>> steps("/items/0/price~1unit"), steps("#/$defs/a"), steps("")
    (['items', '0', 'price/unit'], ['$defs', 'a'], [])
    """
    return [step.replace("~1", "/").replace("~0", "~") for step in said.split("/")[1:]]
