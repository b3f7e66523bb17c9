"""What of a request is not understood here, or its host is not told, by name: an answer says it, so that nothing is
dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from intermodal.catalog.types import STRICT_TOOLS_PROTOCOLS, Endpoint
from intermodal.gateway.client_apis import ClientApi
from intermodal.protocols.request_fields import ignored_fields
from intermodal.request import Settings, Tool

# Marks of what the host is to keep for the next turn (Anthropic's, and what others took over), wherever they stand.
# A plan may send single blocks in another order, or as something else, so only marks at the end of tools, of the
# system's words and of the conversation go along. A quote in a string has a backslash before it: words about marks are
# none.
_CACHE = b'"cache_control"'
_MARK = re.compile(rb'"cache_control"\s*:\s*\{[^{}]*"ephemeral"')


def ignored_content(body: bytes, dialect: ClientApi, carried: int = 0) -> tuple[str, ...]:
    """Names of what stands in the middle of what is said and is not understood, and ``cache_control`` where there are
    more marks of it than are ``carried`` to the host."""
    found = tuple(name for name, deep in dialect.deep.items() if b'"%b"' % name.encode() in body and deep.search(body))
    lost = _CACHE in body and len(_MARK.findall(body)) > carried
    return (*found, "cache_control") if lost else found


def unenforced_tools(tools: Iterable[Tool], protocol: str) -> tuple[str, ...]:
    """That a model is to be held to the schemas of its tools, where the protocol that it is asked by cannot say so."""
    return ("tools.strict",) if protocol not in STRICT_TOOLS_PROTOCOLS and any(tool.strict for tool in tools) else ()


def unforwarded_fields(
    fields: Mapping[str, msgspec.Raw], settings: Settings, dialect: ClientApi, endpoint: Endpoint | None
) -> tuple[str, ...]:
    """Names of fields that the endpoint is not told (``protocols/request_fields.py``). None: no endpoint is asked."""
    if endpoint is None:
        return ignored_fields(dialect.table, fields, settings, "")
    return ignored_fields(dialect.table, fields, settings, endpoint.host.protocol, endpoint.host.quirks)
