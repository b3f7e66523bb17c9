"""Refuses prompts that fit no model by counting a part of them: counting megabytes of text takes seconds.

A text has at least as many tokens as any part of it. So a request is first planned with a share of each text, cut at
blanks. If no model accepts that much, none accepts the whole; if one may, everything is counted as usual. The size in
the refusal is extrapolated from the share.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from intermodal.client.async_client import plan_from
from intermodal.concurrency.offload import is_long, offload
from intermodal.core.content import Text, scale_scripts
from intermodal.core.request import JsonOutput, Request, TextOutput
from intermodal.errors import NoRoute

if TYPE_CHECKING:
    from intermodal.client.async_client import AsyncClient, PreparedRequest

FIRST_SAMPLE = 512 << 10  # characters of all texts that are examined first
SAMPLE_RATIO = 4  # how many times longer the request is than an inspected sample, and each sample than the one before


async def check_prompt_size(client: AsyncClient, request: Request) -> None:
    """Raise NoRoute if no model accepts this much text, by counting a part of it."""
    long, size = is_long(request.messages), FIRST_SAMPLE
    whole = await offload(long, _chars_if_text_only, request)
    if whole < SAMPLE_RATIO * FIRST_SAMPLE:
        return
    while size * SAMPLE_RATIO <= whole:
        share = size / whole
        prepared = await client.prepare(await offload(long, _cut_texts, request, share))
        if any(endpoint.host.counts_text for endpoint in prepared.inputs.catalog.endpoints):
            return  # the host's own token counter may be more exact than our rules
        try:
            await offload(long, plan_from, prepared.inputs, "http")
        except NoRoute as refusal:
            raise await offload(long, _extrapolated_refusal, prepared, share) or refusal from None
        size *= SAMPLE_RATIO


def _chars_if_text_only(request: Request) -> int:
    """Return the number of characters of a request that consists only of text; 0 for any other."""
    if not isinstance(request.output, (TextOutput, JsonOutput)):
        return 0
    found = 0
    for _, _, part in request.parts():
        if not isinstance(part, Text):
            return 0
        found += len(part.text)
    return found


def _cut_texts(request: Request, share: float) -> Request:
    return replace(
        request,
        messages=tuple(
            replace(
                message,
                parts=tuple(
                    replace(part, text=_piece(part.text, share)) if isinstance(part, Text) else part
                    for part in message.parts
                ),
            )
            for message in request.messages
        ),
    )


def _piece(text: str, share: float) -> str:
    """Return a share of a text from its beginning and its end, where the question stands, without cutting words."""
    half = math.floor(len(text) * share / 2)
    if 2 * half + 2 >= len(text):
        return text
    end, begin = text.rfind(" ", 0, half), text.find(" ", len(text) - half)
    return text[: max(end, 0)] + (text[begin:] if begin >= 0 else "")


def _extrapolated_refusal(prepared: PreparedRequest, share: float) -> NoRoute | None:
    """Return the refusal with the extrapolated size of the whole request."""
    facts = prepared.inputs.facts
    parts = tuple(
        replace(
            part, chars=round(part.chars / share), size=round(part.size / share),
            scripts=scale_scripts(part.scripts, 1 / share), tokens={},
        )
        for part in facts.parts
    )  # fmt: skip
    try:
        plan_from(replace(prepared.inputs, facts=replace(facts, parts=parts)))
    except NoRoute as refusal:
        return refusal
    return None
