"""Vendors' published request types as something that can be validated: strictly, and all the way down.

Their clients declare requests as ``TypedDict``s with ``Iterable``s in them, which pydantic looks into lazily, and with
room for fields that nobody knows. Here an ``Iterable`` is a list, and an unknown field is an error.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NotRequired, Required, Union

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict, get_type_hints, is_typeddict


@cache  # the large ones take a tenth of a second to build
def strictly(published: Any) -> TypeAdapter[Any]:
    return TypeAdapter(_strict(published, {}))


def _strict(kind: Any, seen: dict[Any, Any]) -> Any:
    if is_typeddict(kind):
        return _strict_dict(kind, seen)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return Union[tuple(_strict(inner, seen) for inner in arguments)]  # noqa: UP007
    if origin is typing.Annotated:
        return _strict(arguments[0], seen)
    if origin in (Required, NotRequired, typing.Required, typing.NotRequired):
        return origin[_strict(arguments[0], seen)]
    if origin in (list, Iterable) or getattr(origin, "__name__", "") == "SequenceNotStr":
        return list[_strict(arguments[0], seen)]  # type: ignore[misc]
    if origin in (dict, Mapping):
        return dict[str, Any]
    if getattr(origin, "__name__", "") in ("IO", "PathLike") or getattr(kind, "__name__", "") in ("IO", "PathLike"):
        return bytes  # a file; what is sent holds none
    return kind


def _strict_dict(kind: Any, seen: dict[Any, Any]) -> Any:
    if kind in seen:
        return seen[kind]
    seen[kind] = dict[str, Any]  # of a type that holds itself: once is enough
    hints = get_type_hints(kind, include_extras=True)
    fields = {}
    for name, hint in hints.items():
        inner = _strict(hint, seen)
        bare = typing.get_origin(inner) not in (Required, NotRequired, typing.Required, typing.NotRequired)
        fields[name] = (NotRequired[inner] if name in kind.__optional_keys__ else inner) if bare else inner
    made = TypedDict(kind.__name__, fields)  # type: ignore[operator]
    made.__pydantic_config__ = ConfigDict(extra="forbid")
    seen[kind] = made
    return made
