"""A body without its media says what it said with them, and goes on as it came."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.gateway.direct.test_direct_images import png

from intermodal.protocols.anthropic import passthrough as anthropic_passthrough
from intermodal.protocols.framing.inline_media import LEAST, ExtractedBody, extract_media
from intermodal.protocols.openai_chat import passthrough as openai_chat_passthrough
from intermodal.protocols.parsed_chat import LONG, ParsedChat, TextMeasurer, TextSizes

SEED = 20_261_126


class Letters:
    """A measure that keeps what it was shown."""

    def sizes_of(self, text: str) -> TextSizes:
        return TextSizes((text,), len(text), 0, len(text))

    def question(self, text: str, *, pictured: bool) -> tuple[object, ...]:
        return text, pictured


def openai(parts: list[Any]) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": parts}]}


def picture(coded: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + coded}}


def block(coded: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": coded}}


def coded(size: int, chance: random.Random) -> str:
    return b64encode(png(40, 30, chance.randbytes(size))).decode()


def same(read: Callable[[ExtractedBody, str, TextMeasurer], ParsedChat | None], body: bytes) -> ParsedChat | None:
    """Reading with and without: one chat, and the client's bytes from it."""
    measure: TextMeasurer = Letters()
    small = extract_media(body)
    with_media, without = read(ExtractedBody(body), "me", measure), read(small, "me", measure)
    if not small.lifted or small.complete:
        assert (with_media is None) == (without is None)
    if with_media is None or without is None or not small.complete:
        return None
    assert with_media.conversation_digest.digest() == without.conversation_digest.digest()
    apart = {"body": None, "fields": None, "conversation_digest": None}
    assert replace(with_media, **apart) == replace(without, **apart)
    for name, value in without.fields.items():
        assert b"".join(small.restore(memoryview(value))) == bytes(with_media.fields[name])
    assert b"".join(small.restore(memoryview(small.text))) == body
    return without


@pytest.mark.parametrize(
    ("read", "shown"), [(openai_chat_passthrough.chat_of, picture), (anthropic_passthrough.chat_of, block)]
)
def test_pictures_that_are_lifted_are_the_pictures_that_were_sent(read: Any, shown: Any) -> None:
    chance = random.Random(SEED)
    for _ in range(60):
        parts = []
        for _ in range(chance.randrange(1, 6)):
            size = chance.choice((10, LEAST // 2, 3 * LEAST // 4 + chance.randrange(-200, 200), 50_000))
            parts.append(chance.choice((shown(coded(size, chance)), {"type": "text", "text": "so " * (size // 2)})))
        parts.append({"type": "text", "text": 'and ";base64," is a word\\'})
        body = json.dumps(openai(parts), indent=chance.choice((None, 2))).encode()
        chat = same(read, body)
        found = [each for each in parts if each["type"] != "text"]
        if found and all(len(each.get("text", "")) < LONG for each in parts):
            assert chat is not None
            assert len(chat.pictures) == len(found)


def test_a_large_picture_is_not_in_what_is_read() -> None:
    body = json.dumps(openai([{"type": "text", "text": "?"}, picture(coded(1 << 20, random.Random(SEED)))])).encode()
    assert len(extract_media(body).text) < 300
    assert same(openai_chat_passthrough.chat_of, body) is not None


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "text", "text": "data:image/png;base64," + "QUJD" * 2000}],
        [{"type": "text", "text": 'say \\"' + "QUJD" * 2000 + '\\" twice'}, picture("QUJD" * 4000)],
        [picture("QUJD" * 2000 + "!"), {"type": "text", "text": "?"}],
        [picture("QUJD" * 2000 + '\\","url":"')],
        [{"type": "text", "text": "QUJD" * 3000 + '"},{"type":"text","text":"x"}'}],
    ],
)
def test_what_only_looks_like_a_picture_is_seen_not_to_be_one(parts: list[Any]) -> None:
    body = json.dumps(openai(parts)).encode()
    small = extract_media(body)
    assert small.lifted
    chat = openai_chat_passthrough.chat_of(small, "me", Letters())
    assert chat is None or not small.complete


def test_a_key_that_comes_twice_is_read_as_it_came() -> None:
    twice = b'{"url":"data:image/png;base64,%b","url":"data:image/png;base64,%b"}'
    pictures = [coded(9000, random.Random(n)).encode() for n in range(2)]
    body = json.dumps(openai([{"type": "text", "text": "?"}, {"type": "image_url", "image_url": "HERE"}])).encode()
    body = body.replace(b'"HERE"', twice % tuple(pictures))
    small = extract_media(body)
    openai_chat_passthrough.chat_of(small, "me", Letters())
    assert not small.complete


def test_bodies_that_end_anywhere_are_read_without_a_mistake() -> None:
    body = json.dumps(
        openai([picture(coded(20_000, random.Random(SEED))), {"type": "text", "text": "x" * 9000}])
    ).encode()
    chance = random.Random(SEED)
    for cut in [*range(60), *(chance.randrange(len(body)) for _ in range(200))]:
        assert same(openai_chat_passthrough.chat_of, body[:cut]) is None
