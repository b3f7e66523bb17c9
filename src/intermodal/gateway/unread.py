"""What of a request is not understood here, by name: an answer says it, so that nothing is dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from intermodal.catalog.nouns import STRICT_BY
from intermodal.gateway.dialects import Dialect
from intermodal.request import Tool

# Marks of what the host is to keep for the next turn (Anthropic's, and what others took over), wherever they stand.
# A plan may send single blocks in another order, or as something else, so only marks at the end of tools, of the
# system's words and of the conversation go along. A quote in a string has a backslash before it: words about marks are
# none.
_CACHE = b'"cache_control"'
_MARK = re.compile(rb'"cache_control"\s*:\s*\{[^{}]*"ephemeral"')


def unread(fields: Mapping[str, msgspec.Raw], body: bytes, dialect: Dialect, carried: int = 0) -> tuple[str, ...]:
    """Names of what the dialect does not take, and ``cache_control`` where there are more marks of it than are
    ``carried`` to the host."""
    found = untaken(fields, dialect)
    found += tuple(name for name, deep in dialect.deep.items() if b'"%b"' % name.encode() in body and deep.search(body))
    lost = _CACHE in body and len(_MARK.findall(body)) > carried
    return (*found, "cache_control") if lost and "cache_control" not in found else found


def unheld(tools: Iterable[Tool], protocol: str) -> tuple[str, ...]:
    """That a model is to be held to the schemas of its tools, where the protocol that it is asked by cannot say so."""
    return ("tools.strict",) if protocol not in STRICT_BY and any(tool.strict for tool in tools) else ()


def untaken(fields: Mapping[str, msgspec.Raw], dialect: Dialect) -> tuple[str, ...]:
    """Names of fields that the dialect does not take, and of those in them: ``options.mirostat``."""
    found = [name for name in fields if name not in dialect.takes]
    for name, taken in dialect.within.items():
        inner = msgspec.json.decode(fields[name]) if name in fields else None
        found += [f"{name}.{each}" for each in inner or () if isinstance(inner, dict) and each not in taken]
    return tuple(found)
