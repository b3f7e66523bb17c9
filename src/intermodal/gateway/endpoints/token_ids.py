"""Decodes texts that a client sends as token ids.

Ids mean nothing without their vocabulary, which a request does not name. Clients that send them (LangChain's
embeddings) use the vocabulary of the model that they ask for, if its name is one of OpenAI's, and guess for others.
"""

from __future__ import annotations

import asyncio

from intermodal.catalog.shipped_rows import shipped_families
from intermodal.config import Config
from intermodal.local.tokenizers import byte_pair
from intermodal.protocols.errors.responses import RequestRefused

MAX_TOKEN_VALUES = 400_000  # values of such a body: OpenAI takes 300,000 tokens a request
_INSTEAD = "send texts (in LangChain: check_embedding_ctx_length=False)"


async def decode_token_ids(tokens: tuple[tuple[int, ...], ...], model: str, config: Config) -> tuple[str, ...]:
    """Return the texts. ``model``: as asked for. Raises RequestRefused if the vocabulary is unknown."""
    name = _encoding(model, config)
    if not name:
        what = f"the input is token ids of an unknown vocabulary: {model} is not a name of OpenAI's"
        raise RequestRefused(what, status=400, todo=f"{_INSTEAD}, or let the server's config serve one of these names")
    return await asyncio.to_thread(_decoded, name, tokens)


def _encoding(model: str, config: Config) -> str:
    """Return the vocabulary by the name that the client used, else by that of the model behind it."""
    for name in (model, config.serve.aliases.get(model, "")):
        found = shipped_families().newest(name, "text") if name else ""
        if found in byte_pair.ENCODINGS:
            return found
    return ""


def _decoded(name: str, tokens: tuple[tuple[int, ...], ...]) -> tuple[str, ...]:
    encoding = byte_pair.load_encoding(name)
    if encoding is None:
        what = f"the input is in tokens, and the server has no vocabulary of {name}"
        raise RequestRefused(what, status=400, todo=f"{_INSTEAD}, or have intermodal[tokenizers] installed there")
    try:
        return tuple(map(encoding.decode, tokens))
    except KeyError as error:
        raise RequestRefused(f"{error.args[0]} is no token of {name}", status=400, todo=_INSTEAD) from None
