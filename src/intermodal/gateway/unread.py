"""What of a request is not understood here, by name: an answer says it, so that nothing is dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from intermodal.gateway.dialects import Dialect

# Marks of what the host is to keep for the next turn (Anthropic's, and what others took over), wherever they stand.
# A plan may send single blocks in another order, or as something else, so only marks at the end of tools, of the
# system's words and of the conversation go along. A quote in a string has a backslash before it: words about marks are
# none.
_CACHE = b'"cache_control"'
_MARK = re.compile(rb'"cache_control"\s*:\s*\{[^{}]*"ephemeral"')


def unread(fields: Mapping[str, msgspec.Raw], body: bytes, dialect: Dialect, carried: int = 0) -> tuple[str, ...]:
    """Names of fields that the dialect does not take, and ``cache_control`` where there are more marks of it than are
    ``carried`` to the host."""
    found = untaken(fields, dialect)
    lost = _CACHE in body and len(_MARK.findall(body)) > carried
    return (*found, "cache_control") if lost and "cache_control" not in found else found


def untaken(fields: Mapping[str, msgspec.Raw], dialect: Dialect) -> tuple[str, ...]:
    """Names of fields that the dialect does not take, and of those in them: ``options.mirostat``."""
    found = [name for name in fields if name not in dialect.takes]
    for name, taken in dialect.within.items():
        inner = msgspec.json.decode(fields[name]) if name in fields else None
        found += [f"{name}.{each}" for each in inner or () if isinstance(inner, dict) and each not in taken]
    return tuple(found)
