"""Convert msgspec's validation errors to sentences that state the required value.

A value that may be a secret is never repeated, since errors are logged and shown to others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from msgspec import inspect

_SECRETS = re.compile(r"key|api_?key|token|secret|password", re.IGNORECASE)  # fields that may hold a secret
_LONGEST = 24  # characters of a value that may be repeated
_KEYS = ("sk-", "im-")  # prefixes of API keys of hosts and of intermodal
_EXPECTED_WORDS = "wanted"  # the key in a type's ``Meta(extra=...)`` of the words that follow "must be"
_BOUNDS: Mapping[str, str] = {">=": "{} or more", ">": "more than {}", "<=": "{} or less", "<": "less than {}"}

# msgspec's type names -> TOML's.
_TOML: Mapping[str, str] = {
    "str": "a string in quotes", "int": "a whole number", "float": "a number", "bool": "true or false",
    "array": "a list in brackets", "object": "a table", "date": "a date", "datetime": "a date", "time": "a time of day",
}  # fmt: skip


def key_path(path: str) -> tuple[str | int, ...]:
    """Split msgspec's path to a value into keys, up to the first table with arbitrary keys."""
    return tuple(int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", path.partition("[...]")[0]))


# Cached for the few row classes: inspecting one takes milliseconds.
_type_info: Callable[[Any], inspect.Type] = cache(inspect.type_info)


def is_secret_field(name: str) -> bool:
    """Return whether a field of this name may contain a secret."""
    return _SECRETS.fullmatch(name) is not None


def is_safe_to_echo(value: str) -> bool:
    """Return whether a value may be repeated in a message: it does not look like a key."""
    return len(value) <= _LONGEST and not value.startswith(_KEYS)


def describe_expected(text: str, cls: type[Any], path: str) -> str:
    """Return the sentence for msgspec's message about the value at ``path``."""
    bound = re.match(r"Expected `(?:float|int)` (>=|>|<=|<) ([\d.e+]+)$", text)
    if bound:
        return "must be " + _BOUNDS[bound[1]].format(f"{float(bound[2]):,.15g}")
    key = key_path(path)
    words, allowed = _allowed_values(cls, key)
    enum = re.match(r"Invalid enum value '?(.*?)'?$", text, re.DOTALL)
    if enum and (words or allowed):
        hidden = is_secret_field(str(key[-1])) or not is_safe_to_echo(enum[1])
        return f"must be {words or 'one of ' + ', '.join(allowed)}" + ("" if hidden else f", not {enum[1]!r}")
    if enum:
        return "is not one of the allowed words"
    if words and "matching regex" in text:
        return f"must be {words}"
    return f"{text[:1].lower()}{text[1:]}"


def in_toml_terms(sentence: str) -> str:
    """Replace type names in a ``describe_expected`` sentence by TOML's terms; TOML has no ``null``."""
    typed = re.fullmatch(r"expected `(.+?)`, got `(.+?)`", sentence)
    if typed is None:
        return sentence
    expected = dict.fromkeys(_TOML.get(word, word) for word in typed[1].split(" | ") if word != "null")
    return f"must be {' or '.join(expected)}, not {_TOML.get(typed[2], typed[2])}"


def _allowed_values(cls: type[Any], key: tuple[str | int, ...]) -> tuple[str, list[str]]:
    """Return the description of the expected value at ``key``, if its type has one, and the allowed literal values."""
    kinds: list[Any] = [_type_info(cls)]
    for step in key:
        kinds = [found for kind in _bare(kinds) for found in _types_below(kind, step)]
    words = [
        kind.extra[_EXPECTED_WORDS]
        for kind in _union_members(kinds)
        if isinstance(kind, inspect.Metadata) and kind.extra
    ]
    allowed = [value for kind in _bare(kinds) if isinstance(kind, inspect.LiteralType) for value in kind.values]
    return words[0] if words else "", list(dict.fromkeys(map(str, allowed)))  # a union may repeat some


def _union_members(kinds: list[Any]) -> list[Any]:
    """Return the types with each union replaced by its members."""
    return [each for kind in kinds for each in (kind.types if isinstance(kind, inspect.UnionType) else (kind,))]


def _bare(kinds: list[Any]) -> list[Any]:
    """Return the types without unions and metadata."""
    return [kind.type if isinstance(kind, inspect.Metadata) else kind for kind in _union_members(kinds)]


def _types_below(kind: Any, step: str | int) -> list[Any]:
    if isinstance(kind, inspect.StructType):
        return [field.type for field in kind.fields if field.encode_name == step]
    if isinstance(kind, inspect.VarTupleType):
        return [kind.item_type]
    return []


__all__ = ["in_toml_terms", "is_secret_field", "key_path", "is_safe_to_echo", "describe_expected"]
