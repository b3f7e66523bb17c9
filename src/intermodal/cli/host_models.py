"""Asks a host which models it serves. Short, free, and only to hosts the user entered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from intermodal.catalog.types import Host, Protocol
from intermodal.content import KINDS, Kind, Value
from intermodal.errors import CallError, CredentialsRefused, Unreachable

MAX_LISTING = 8 << 20  # bytes; a hosted catalog of a thousand models is about 1 MB


class HostModel(Value):
    """A model as its host lists it. ``input`` is () and ``context`` None where the host does not say."""

    id: str
    input: tuple[Kind, ...] = ()
    context: int | None = None


class ModelListing(NamedTuple):
    """Where a protocol lists models, in which array of the reply, and what the names in it begin with."""

    path: str = "/models"
    array: str = "data"
    name: str = "id"
    begin: str = ""
    headers: tuple[tuple[str, str], ...] = ()


OPENAI = ModelListing()
LISTINGS: Mapping[Protocol, ModelListing] = {
    "anthropic": ModelListing(headers=(("anthropic-version", "2023-06-01"),)),
    "gemini": ModelListing(array="models", name="name", begin="models/"),
    "ollama": ModelListing(path="/api/tags", array="models", name="model"),
}


async def listed_models(host: Host, *, key: str = "", where: str = "", wait: float = 1.0) -> tuple[HostModel, ...]:
    """The models of a host.

    Raises:
        Unreachable: nothing answers in ``wait`` seconds. CredentialsRefused: it wants a (different) key.
        CallError: it answers, but not with a list of models.
    """
    import anyio

    from intermodal.transport.addresses import HostAddress
    from intermodal.transport.client import Transport

    transport = Transport()
    listing = LISTINGS.get(host.protocol, OPENAI)
    try:
        with anyio.fail_after(wait):
            async with transport.get(
                HostAddress(host.base_url, key, host.auth), listing.path, headers=listing.headers, where=where
            ) as response:
                status, body = response.status, await response.read(MAX_LISTING)
    except TimeoutError:
        raise Unreachable(f"gave no answer within {wait:g} s", where=where, todo="start the server") from None
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()
    if status in (401, 403):
        raise CredentialsRefused("wants a key, or another one", where=where, todo="see intermodal hosts add --help")
    return read_listing(status, body, where, listing)


def read_listing(status: int, body: bytes, where: str = "", listing: ModelListing = OPENAI) -> tuple[HostModel, ...]:
    """Models out of a reply. Everything but the id is optional, and every server has its own extras."""
    try:
        data = json.loads(body)[listing.array]
        assert status == 200 and isinstance(data, list)
    except (ValueError, KeyError, TypeError, AssertionError):
        raise CallError(
            f"answers, but not with a list of models (HTTP {status})",
            where=where,
            todo="check base_url: it ends in /v1",
        ) from None
    rows = [item for item in data if isinstance(item, dict) and isinstance(item.get(listing.name), str)]
    return tuple(
        HostModel(id=item[listing.name].removeprefix(listing.begin), input=_kinds(item), context=_context(item))
        for item in rows
    )


def _kinds(item: dict[str, Any]) -> tuple[Kind, ...]:
    """OpenRouter's ``architecture.input_modalities``, which llama.cpp and llama-swap serve too."""
    shape = item.get("architecture")
    said = shape.get("input_modalities") if isinstance(shape, dict) else item.get("input_modalities")
    words = {"file": "document"}
    found = {words.get(word, word) for word in said if isinstance(word, str)} if isinstance(said, list) else set()
    return tuple(kind for kind in KINDS if kind in found and kind in get_args(Kind))


def _context(item: dict[str, Any]) -> int | None:
    """vLLM's ``max_model_len``, OpenRouter's ``context_length``, llama.cpp's ``meta``: what it really has first."""
    meta = item.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    for value in (item.get("max_model_len"), item.get("context_length"), meta.get("n_ctx"), meta.get("n_ctx_train")):
        if isinstance(value, int) and value > 0:
            return value
    return None
