"""Names the fields of a request that are not understood or that its host is not sent: nothing is dropped silently."""

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
    """Return names of nested content that is not understood.

    ``cache_control`` is among them where a body has more marks than are ``carried`` to the host.
    """
    found = tuple(name for name, deep in dialect.deep.items() if b'"%b"' % name.encode() in body and deep.search(body))
    lost = _CACHE in body and len(_MARK.findall(body)) > carried
    return (*found, "cache_control") if lost else found


def unenforced_tools(tools: Iterable[Tool], protocol: str) -> tuple[str, ...]:
    """Return ``tools.strict`` if strict tools are asked for and the host's protocol cannot express them."""
    return ("tools.strict",) if protocol not in STRICT_TOOLS_PROTOCOLS and any(tool.strict for tool in tools) else ()


def unforwarded_fields(
    fields: Mapping[str, msgspec.Raw], settings: Settings, dialect: ClientApi, endpoint: Endpoint | None
) -> tuple[str, ...]:
    """Return names of fields that the answering endpoint is not sent (``protocols/request_fields.py``).

    ``endpoint`` None: no host is asked.
    """
    if endpoint is None:
        return ignored_fields(dialect.table, fields, settings, "")
    return ignored_fields(dialect.table, fields, settings, endpoint.host.protocol, endpoint.host.quirks)
