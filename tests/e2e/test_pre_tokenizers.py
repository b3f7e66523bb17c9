"""Every pre-tokenizer that we count with gives llama.cpp's own ids: a small GGUF of each, and its /tokenize."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.small_gguf import vocabulary, write
from tests.e2e.tokenizer import llama_cpp

from intermodal.local.tokenizers.pre_tokenizers import PRE_TOKENIZERS
from intermodal.local.tokenizers.token_counter import tokenizer_from_gguf

pytestmark = pytest.mark.e2e
TEXTS = (
    "Hello", "  two  spaces ", "tab\there\n\n\nnew\r\nline", "12345 67.89 ½ ² ٣٤", "日本語のテキストを読む",
    "Привет, мир!", "été déjà cafe\u0301", "🎉👩\u200d👩\u200d👧 👍🏽 🇩🇪 emoji", "<|im_start|>user\nhi<|im_end|>",
    "don't they're I'LL it'S", "the <think>other house</think> international", " \n \n ", "x" * 500,
    "\u200b\u00a0nbsp\u3000ideo", "नमस्ते दुनिया", "\u2028ls\u0085nel", "\x0b\x0c", "ﬁ ligature",
    "def f(x: int) -> list[str]:\n\treturn x ** 2  # ok\n", "HTTPServer iPhone CamelCase ALLCAPS",
    "a/b//c/\n/ https://example.org/x?y=1&z=[2]", '{"id": 12345678, "name": "Zoë", "tags": ["a", null, true]}',
    "It was the best of times, it was the worst of times.",
)  # fmt: skip
POOL = "the and for <think> abc XYZ 019 \n\t.,!?'\"-_éüß漢字🎉½²\u00a0\u0301٣ <|im_end|>#@$\r\u2009Ⅳ/'sS"
RANGES = ((0x01, 0x7F), (0x80, 0x2FFF), (0x3000, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x1FFFF))


def random_texts(count: int) -> Iterator[str]:
    chance = random.Random(7)
    for _ in range(count):
        yield "".join(chance.choices(POOL, k=chance.randint(1, 60)))
        yield "".join(chr(chance.randint(*chance.choice(RANGES))) for _ in range(chance.randint(1, 30)))


@pytest.fixture(scope="module")
def words() -> tuple[list[str], list[str]]:
    return vocabulary()


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
def test_ids_equal_those_of_llama_cpp(pre: str, words: tuple[list[str], list[str]], tmp_path: Path) -> None:
    path = tmp_path / f"{pre}.gguf"
    write(path, pre, *words)
    ours = tokenizer_from_gguf(path)
    assert ours is not None
    with llama_cpp(path) as theirs:
        for text in (*TEXTS, *random_texts(150)):
            assert ours.encode(text, add_special_tokens=False).ids == theirs(text), ascii(text)


def test_a_pre_tokenizer_nobody_compared_is_not_counted_with(
    words: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    write(tmp_path / "other.gguf", "viking", *words)
    assert tokenizer_from_gguf(tmp_path / "other.gguf") is None
