"""WordPiece vocabularies count as llama.cpp does: a small GGUF with one, and its /tokenize."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from tests.e2e.small_gguf import write_pieces
from tests.e2e.test_pre_tokenizers import POOL, TEXTS, random_texts
from tests.e2e.tokenizer import llama_cpp

from intermodal.local.tokenizers.token_counter import tokenizer_from_gguf
from intermodal.local.tokenizers.wordpiece import WordPieceTokenizer

pytestmark = pytest.mark.e2e
MORE = (
    "",
    " ",
    "\u00a0",
    "Ärger ÅNGSTRÖM İstanbul",
    "a\ufffdb\x00c",
    "中文字 mixed中文text",
    "100$ + 5%",
    "½²Ⅳ",
    "a-b_c",
)


def vocabulary() -> list[str]:
    """Some letters of the texts, in the middle of words and at their beginning, and some pieces and words."""
    letters = sorted({unicodedata.normalize("NFD", each)[0].lower() for each in f"{POOL}{''.join(TEXTS)}"})
    known = [each for at, each in enumerate(letters) if not each.isspace() and at % 7]
    words = ["the", "hello", "two", "new", "line", "international", "house", "ing", "er", "est", "http", "1380", "best"]
    begin = "\u2581"
    return list(dict.fromkeys([*known, *(f"{begin}{each}" for each in (*known, *words)), *words]))


def test_ids_equal_those_of_llama_cpp(tmp_path: Path) -> None:
    path = tmp_path / "encoder.gguf"
    write_pieces(path, vocabulary())
    ours = tokenizer_from_gguf(path)
    assert isinstance(ours, WordPieceTokenizer)
    counted = 0
    with llama_cpp(path) as theirs:
        for text in (*TEXTS, *MORE, *random_texts(150)):
            made = ours.encode(text)
            if made is None:
                assert any(unicodedata.category(each) == "Cn" for each in text), ascii(text)
                continue
            counted += 1
            assert made.ids == theirs(text), ascii(text)
    assert counted > 150


def test_a_text_with_a_special_token_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "encoder.gguf"
    write_pieces(path, vocabulary())
    ours = tokenizer_from_gguf(path)
    assert isinstance(ours, WordPieceTokenizer) and ours.encode("a [MASK] b") is None
