"""Counts the tokens of a request by our own rules, to compare with the server's count afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from intermodal.catalog.model_token_rules import token_rules_of
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.core.content import sum_scripts
from intermodal.core.quantity import exact
from intermodal.core.request import JsonOutput
from intermodal.cost_model import token_rules
from intermodal.cost_model.image_tokens import image_tokens
from intermodal.cost_model.token_rules import TokenRules, native_token_rules
from intermodal.cost_model.tokens import text_tokens
from intermodal.executor.preparation.model_inputs import AudioInput, ImageInput, ModelInput
from intermodal.executor.preparation.part_inputs import SizedImage, measure_work
from intermodal.executor.preparation.prompt import all_text
from intermodal.media.text.script_counts import count_scripts
from intermodal.planner.catalog_index import LAST_DAY
from intermodal.protocols.calls import ChatCall, WireAudio, WireImage, WireText
from intermodal.store.rows import Work

_PLAIN = (WireText, WireImage, WireAudio)  # parts that our token rules cover: no video and no tool messages


def measure_request(
    endpoint: Endpoint,
    call: ChatCall,
    pieces: Sequence[ModelInput],
    count: Callable[[str, str], int | None],
    catalog: Catalog,
) -> Work:
    """Return the work of a chat, with its token count if all of it can be counted.

    Schemas and tools are not counted: how a server renders them is unknown.
    """
    work = measure_work(pieces)
    parts = [part for message in call.messages for part in message.parts]
    if call.tools or isinstance(call.output, JsonOutput) or not all(isinstance(part, _PLAIN) for part in parts):
        return work
    text = all_text(call.messages)
    exact_tokens = count(endpoint.model.tokenizer, text) if endpoint.model.tokenizer else None
    tokens = float(exact_tokens or 0)
    if exact_tokens is None:
        size = len(text.encode("utf-8", "replace"))
        made_of = sum_scripts(count_scripts(part.text) for part in parts if isinstance(part, WireText))
        tokens = text_tokens(len(text), size, made_of, endpoint.model.vocabulary).mid
    book = counting_rules(endpoint, catalog)
    images = [piece for piece in pieces if isinstance(piece, ImageInput)]
    sounds = [piece for piece in pieces if isinstance(piece, AudioInput)]
    work = msgspec.structs.replace(work, text_exact=exact_tokens is not None, audio_tokens=audio_tokens(sounds, book))
    return with_tokens(work, tokens, images, book, messages=len(call.messages))


def with_tokens(work: Work, text: float, images: Sequence[SizedImage], book: TokenRules, *, messages: int) -> Work:
    """Return the work of a chat with the tokens of its text and images."""
    visual_tokens = (
        sum(image_tokens(book.image, each.width, each.height, each.detail).mid for each in images) if images else 0.0
    )
    return msgspec.structs.replace(work, text_tokens=text, image_tokens=visual_tokens, messages=messages)


def counting_rules(endpoint: Endpoint, catalog: Catalog) -> TokenRules:
    """Return the rules by which an endpoint currently counts tokens."""
    model = endpoint.model
    return native_token_rules(token_rules_of(model.id, model, catalog.counting, LAST_DAY), endpoint.input)


def audio_tokens(sounds: Sequence[AudioInput], book: TokenRules) -> float:
    """Return the tokens of recordings by the endpoint's rule."""
    return sum(token_rules.native_audio_tokens(book.audio, exact(sound.seconds)).mid for sound in sounds)
