"""JSON of hosts, read by its types; what has another type than its protocol gives it is left out, and the rest read.

A usual reply is decoded in one step. Only a reply that does not fit is parsed and taken over field by field, so that
both forms of it are read by one set of types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import UnionType
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.framing.surrogates import loads_with_surrogates

NOT_DECODED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # what a decoder of msgspec raises


class HostObject(Struct):
    """An object in a reply of a host.

    ``CONTENT``: the fields that hold the answer. If one of them has a type that its protocol does not have, such as a
    number in place of a text, the reply is no answer: without it the rest, or nothing, would pass for the answer.
    """

    CONTENT: ClassVar[frozenset[str]] = frozenset()


class HostReply(HostObject):
    """A reply, or one event of a stream."""

    type: str | None = None
    object: str | None = None
    error: Any = None

    @property
    def is_error(self) -> bool:
        """True if it is an error, or holds one."""
        return bool(self.error) or "error" in (self.type, self.object)


R = TypeVar("R", bound=HostObject)


class Parsed(NamedTuple, Generic[R]):
    """A reply that was read.

    ``valid``: each part of its content has a type of its protocol. ``halved``: it holds lone surrogates.
    """

    reply: R
    valid: bool = True
    halved: bool = False


class HostDecoder(Generic[R]):
    """Reads replies of one type. ``decode`` reads the usual form only, and raises ``NOT_DECODED`` for any other."""

    def __init__(self, type_: type[R]) -> None:
        self.decode: Callable[[bytes | str | memoryview], R] = msgspec.json.Decoder(type_).decode
        self._type = type_

    def read(self, data: bytes | str) -> list[Parsed[R]]:
        """Return the replies in a document: one, or those of a list. Raises ValueError if it is not JSON."""
        try:
            return [Parsed(self.decode(data))]
        except NOT_DECODED:
            pass
        halved = False
        try:
            found = loads(data)
        except ValueError:
            found, halved = loads_with_surrogates(data), True
        return [self._convert(tree, halved=halved) for tree in (found if isinstance(found, list) else [found])
                if isinstance(tree, Mapping)]  # fmt: skip

    def _convert(self, tree: Mapping[str, Any], *, halved: bool) -> Parsed[R]:
        """Return a reply that was parsed without its types."""
        wrong: list[str] = []
        return Parsed(_object(tree, self._type, wrong), not wrong, halved)


class _Kind(NamedTuple):
    """The type of a field. ``inside``: of its object, and ``items``: of the objects in its list; None for no such."""

    type: Any
    inside: type[HostObject] | None
    items: type[HostObject] | None


@lru_cache(maxsize=256)
def _fields(type_: type[HostObject]) -> tuple[tuple[str, _Kind], ...]:
    return tuple((each.name, _kind(each.type)) for each in msgspec.structs.fields(type_))


def _kind(type_: Any) -> _Kind:
    inside = items = None
    for each in get_args(type_) if get_origin(type_) in (Union, UnionType) else (type_,):
        if isinstance(each, type) and issubclass(each, HostObject):
            inside = each
        elif get_origin(each) is list and isinstance(item := get_args(each)[0], type) and issubclass(item, HostObject):
            items = item
    return _Kind(type_, inside, items)


def _object(tree: Mapping[str, Any], type_: type[HostObject], wrong: list[str]) -> Any:
    """Return an object by its type, without the fields that do not fit; add those that hold content to ``wrong``."""
    found = {}
    for name, kind in _fields(type_):
        value = tree.get(name)
        if value is None:
            continue
        fits, found[name] = _value(value, kind, wrong)
        if not fits and name in type_.CONTENT:
            wrong.append(name)
    return type_(**{name: value for name, value in found.items() if value is not None})


def _value(value: Any, kind: _Kind, wrong: list[str]) -> tuple[bool, Any]:
    """Return whether a value fits its type, and what is read of it, None for nothing."""
    if kind.inside is not None and isinstance(value, Mapping):
        return True, _object(value, kind.inside, wrong)
    if kind.items is not None and isinstance(value, list):
        objects = [each for each in value if isinstance(each, Mapping)]
        fit = all(each is None or isinstance(each, Mapping) for each in value)
        return fit, [_object(each, kind.items, wrong) for each in objects]
    if kind.type is msgspec.Raw:
        return True, msgspec.Raw(dumps(value))
    try:
        return True, msgspec.convert(value, kind.type)
    except msgspec.ValidationError:
        return kind.inside is not None and not value, None  # an empty value is no object, and hides nothing
