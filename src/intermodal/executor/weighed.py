"""What is about to be sent, counted by our own rules: what the server's count is held against afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from intermodal.catalog.nouns import Endpoint
from intermodal.costing.images import image_tokens
from intermodal.costing.tokens import audio_tokens, text_tokens
from intermodal.executor.assemble import text_of
from intermodal.executor.pieces import Piece, Pixels, Sound
from intermodal.executor.prepare import work_of
from intermodal.media.pretokens import pretokens
from intermodal.quantity import exact
from intermodal.request import JsonOutput
from intermodal.store.rows import Work
from intermodal.wire.call import ChatCall, WireAudio, WireImage, WireText

_PLAIN = (WireText, WireImage, WireAudio)  # what our rules weigh: films, documents and tools' words have none


def weighed(
    endpoint: Endpoint, call: ChatCall, pieces: Sequence[Piece], count: Callable[[str, str], int | None]
) -> Work:
    """The work of a chat, with its tokens where all of it can be weighed.

    A schema or tools of the host's own wording are not weighed: what a server makes of them is no template.
    """
    pictures = tuple(piece for piece in pieces if isinstance(piece, Pixels))
    sounds = tuple(piece for piece in pieces if isinstance(piece, Sound))
    work = work_of(pictures, sounds)
    parts = [part for message in call.messages for part in message.parts]
    if call.tools or isinstance(call.output, JsonOutput) or not all(isinstance(part, _PLAIN) for part in parts):
        return work
    text = text_of(call.messages)
    counted = count(endpoint.model.tokenizer, text) if endpoint.model.tokenizer else None
    rough = text_tokens(len(text), len(text.encode("utf-8", "replace")), pretokens(text)) if counted is None else None
    rule = endpoint.model.image_tokens
    return msgspec.structs.replace(
        work,
        text_tokens=float(counted or 0) if rough is None else rough.mid,
        text_exact=rough is None,
        image_tokens=sum(image_tokens(rule, each.width, each.height, each.detail).mid for each in pictures),
        audio_tokens=heard(sounds),
        messages=len(call.messages),
    )


def heard(sounds: Sequence[Sound]) -> float:
    """Tokens of sound by our rule."""
    return audio_tokens(exact(sum(sound.seconds for sound in sounds))).mid if sounds else 0.0
