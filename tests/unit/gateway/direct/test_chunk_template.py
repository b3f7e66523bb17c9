"""What a chunk says because it is like another is what reading it says."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from msgspec.structs import replace

from intermodal.protocols.openai_chat.passthrough import chunk_template_of
from intermodal.protocols.openai_chat.reply import read_reply

SEED = 20_261_126
LETTERS = [
    "a",
    "b ",
    "é",
    "日",
    "😀",
    '"',
    "\\",
    "\n",
    "\t",
    "\x00",
    "\x7f",
    "\u2028",
    "\u200d",
    "\ud83d",
    " ",
    "{}",
    '"}',
    "content",
]
ODDS = [20] * 5 + [1] * (len(LETTERS) - 5)


def chunk(content: Any, chance: random.Random, **more: Any) -> bytes:
    delta = {"content": content, **more}
    if chance.random() < 0.2:
        delta = {"role": "assistant", **delta}
    tree: dict[str, Any] = {
        "id": "x", "object": "chat.completion.chunk", "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }  # fmt: skip
    if chance.random() < 0.1:
        tree["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    separators = chance.choice([(",", ":"), (", ", ": ")])
    return b"data: " + json.dumps(tree, separators=separators, ensure_ascii=chance.random() < 0.5).encode(
        "utf-8", "surrogatepass"
    )


def test_a_chunk_like_another_says_what_reading_it_says() -> None:
    chance = random.Random(SEED)
    alike = 0
    for _ in range(3000):
        words = ["".join(chance.choices(LETTERS, ODDS, k=chance.randrange(6))) for _ in range(2)]
        one, other = (chunk(text, chance) for text in words)
        piece = read_reply(one[6:])
        like = chunk_template_of(one, piece) if piece is not None and piece.text else None
        said = like.match_text(other) if like is not None else None
        if said is None:
            continue
        alike += 1
        found = read_reply(other[6:])
        assert found is not None and piece is not None
        assert found == replace(piece, text=said, visible=bool(said.strip()), alive=bool(said.strip()))
    assert alike > 100


@pytest.mark.parametrize("raw", ['say "x"', "a\\b", "\x01", "a\nb", "\udcff", 'x","role":"tool'])
def test_words_that_json_writes_otherwise_are_read(raw: str) -> None:
    before, after = b'data: {"choices":[{"delta":{"content":"', b'"}}]}'
    event = before + b"hello" + after
    piece = read_reply(event[6:])
    assert piece is not None
    like = chunk_template_of(event, piece)
    assert like is not None
    assert like.match_text(before + b"good day" + after) == "good day"
    assert like.match_text(before + raw.encode("utf-8", "surrogateescape") + after) is None
    assert like.match_text(before[:-1] + after) is None
    assert like.match_text((before + after)[: len(before)]) is None


def test_words_that_stand_somewhere_else_too_are_no_likeness_of_those_that_count() -> None:
    event = b'data: {"content":"hello","choices":[{"delta":{"content":"hello"}}]}'
    piece = read_reply(event[6:])
    assert piece is not None
    assert piece.text == "hello"
    assert chunk_template_of(event, piece) is None
