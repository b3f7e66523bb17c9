"""Asks a host which models it serves: ``GET base_url/models``. Short, free, and only to hosts the user entered."""

from __future__ import annotations

import json
from typing import Any, get_args

from intermodal.content import KINDS, Kind, Value
from intermodal.errors import CallError, CredentialsRefused, Unreachable

MAX_LISTING = 8 << 20  # bytes; a hosted catalog of a thousand models is about 1 MB


class Listed(Value):
    """A model as its host lists it. ``input`` is () and ``context`` None where the host does not say."""

    id: str
    input: tuple[Kind, ...] = ()
    context: int | None = None


async def listed_models(base_url: str, *, key: str = "", where: str = "", wait: float = 1.0) -> tuple[Listed, ...]:
    """The models of an OpenAI-compatible host.

    Raises:
        Unreachable: nothing answers in ``wait`` seconds. CredentialsRefused: it wants a (different) key.
        CallError: it answers, but not with a list of models.
    """
    import anyio

    from intermodal.executor.transport import Transport

    transport = Transport()
    try:
        with anyio.fail_after(wait):
            async with transport.get(base_url, "/models", key=key, where=where) as response:
                status, body = response.status, await response.read(MAX_LISTING)
    except TimeoutError:
        raise Unreachable(f"gave no answer within {wait:g} s", where=where, todo="start the server") from None
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()
    if status in (401, 403):
        raise CredentialsRefused("wants a key, or another one", where=where, todo="see intermodal hosts add --help")
    return read_listing(status, body, where)


def read_listing(status: int, body: bytes, where: str = "") -> tuple[Listed, ...]:
    """Models out of a reply. Everything but the id is optional, and every server has its own extras."""
    try:
        data = json.loads(body)["data"]
        assert status == 200 and isinstance(data, list)
    except (ValueError, KeyError, TypeError, AssertionError):
        raise CallError(
            f"answers, but not with a list of models (HTTP {status})",
            where=where,
            todo="check base_url: it ends in /v1",
        ) from None
    rows = [item for item in data if isinstance(item, dict) and isinstance(item.get("id"), str)]
    return tuple(Listed(id=item["id"], input=_kinds(item), context=_context(item)) for item in rows)


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
