"""What of a request is not understood here, by name: an answer says it, so that nothing is dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable

from intermodal.gateway.dialects import Dialect

# Marks of what the host is to keep for the next turn (Anthropic's, and what others took over), wherever they stand.
# They belong to single blocks, and a plan may send these in another order, or as something else. A quote in a string
# has a backslash before it, so words about marks are none.
_CACHE = b'"cache_control"'
_MARK = re.compile(rb'"cache_control"\s*:\s*\{[^{}]*"ephemeral"')


def unread(fields: Iterable[str], body: bytes, dialect: Dialect) -> tuple[str, ...]:
    """Names of fields that the dialect does not take, and ``cache_control`` where it stands inside of others."""
    found = tuple(name for name in fields if name not in dialect.takes)
    marked = _CACHE in body and _MARK.search(body) is not None
    return (*found, "cache_control") if marked and "cache_control" not in found else found
