"""OpenAI's encodings counted here are OpenAI's own, id for id."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from intermodal.local.tokenizers import byte_pair
from intermodal.local.tokenizers.byte_pair import (
    ENCODINGS,
    OPENAI_ENCODINGS,
    BytePairEncoding,
    count,
    load_encoding,
    merge_byte_pairs,
)

# Counts that tiktoken's own documentation and tests show, or that its encoder gave with OpenAI's vocabularies.
KNOWN: dict[str, dict[str, list[int]]] = {
    "cl100k_base": {"hello world": [15339, 1917], "tiktoken is great!": [83, 1609, 5963, 374, 2294, 0]},
    "o200k_base": {"hello world": [24912, 2375]},
}
CORPUS = {
    "prose": "It was the best of times, it was the worst of times; it wasn't the reader's fault - they'd said so.\n\n"
    "  Two  spaces,\ttabs, and a trailing blank \n",
    "code": "def f(x: int = 0x1F) -> list[str]:\n    return [f'{y:>8.3f}' for y in range(x) if y % 2 == 0]  # ok\n\r\n",
    "json": json.dumps(
        {"id": 12345678, "name": "Zoë", "tags": ["a/b", None, True], "nested": {"x": [1.5e-7]}}, indent=2
    ),
    "cjk": "今日は天気がいいですね。吾輩は猫である。名前はまだ無い。大家好,世界和平!안녕하세요 세계",
    "emoji": "🎉👩\u200d👩\u200d👧‍👦 🇩🇪🇫🇷 👍🏽 ❤️‍🔥 ☺️ \U0001f9d1\u200d\U0001f680",
    "scripts": "Привет, мир! नमस्ते दुनिया مرحبا بالعالم Ελληνικά עברית ไทย",
    "space": " \n \n\n\t \r\n  x  \u00a0\u2003\u3000y\x1c\x85z ",
    "special": "<|endoftext|> <|im_start|>user<|fim_prefix|>",
    "case": "I'LL don'T ſ'S HTTPServer iPhone CamelCase ALLCAPS ǅ Ⅳ ½²",
}


@pytest.fixture(scope="module", params=OPENAI_ENCODINGS)
def both(request: pytest.FixtureRequest) -> tuple[BytePairEncoding, tiktoken.Encoding]:
    """Ours, and tiktoken given the same vocabulary, which it would fetch."""
    name = request.param
    ours = load_encoding(name)
    assert ours is not None
    loaded = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_, **__: dict(ours._ranks)
    try:
        parts = getattr(openai_public, name)()
    finally:
        openai_public.load_tiktoken_bpe = loaded
    return ours, tiktoken.Encoding(
        parts["name"], pat_str=parts["pat_str"], mergeable_ranks=parts["mergeable_ranks"],
        special_tokens=parts["special_tokens"],
    )  # fmt: skip


@pytest.mark.parametrize("name", OPENAI_ENCODINGS)
def test_known_ids(name: str) -> None:
    found = load_encoding(name)
    assert found is not None
    for text, ids in KNOWN[name].items():
        assert found.encode(text) == ids


@pytest.mark.parametrize("kind", CORPUS)
def test_ids_are_tiktokens_for(kind: str, both: tuple[BytePairEncoding, tiktoken.Encoding]) -> None:
    ours, theirs = both
    text = CORPUS[kind]
    assert ours.encode(text) == theirs.encode_ordinary(text)
    assert ours.encode(text * 50) == theirs.encode_ordinary(text * 50)


POOL = "abc XYZ 019 \n\t.,!?'\"-_éüß漢字🎉½²\u00a0\u0301٣#@$\r\u2009Ⅳſ'S'lL/\x1c\x85"


@given(
    st.one_of(
        st.text(st.sampled_from(POOL), max_size=80), st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    )
)
def test_ids_are_tiktokens_for_any_text_whose_letters_are_known(
    both: tuple[BytePairEncoding, tiktoken.Encoding], text: str
) -> None:
    ours, theirs = both
    found = ours.encode(text)
    assert found is None or found == theirs.encode_ordinary(text)


@given(st.text("abcdefgh", min_size=100, max_size=600))
def test_a_long_word_is_merged_as_tiktoken_merges_it(
    both: tuple[BytePairEncoding, tiktoken.Encoding], text: str
) -> None:
    ours, theirs = both
    assert ours.encode(text) == theirs.encode_ordinary(text)


@pytest.mark.slow
def test_a_text_without_a_blank_does_not_take_quadratic_time() -> None:
    assert count("o200k_base", "x" * 300_000) == 37_500  # merging pair by pair over the whole would take minutes


def test_a_letter_newer_than_this_python_is_not_counted() -> None:
    assert count("o200k_base", "a \U000e0fff b") is None
    assert count("o200k_base", "plain") == 1


def test_a_vocabulary_that_is_not_openais_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    other = tmp_path / "o200k_base.tiktoken.gz"
    other.write_bytes(gzip.compress(b"IQ== 0\nIg== 1\n"))
    monkeypatch.setattr(byte_pair, "_file", lambda name: other)
    assert load_encoding.__wrapped__("o200k_base") is None
    other.write_bytes(b"no gzip")
    assert load_encoding.__wrapped__("o200k_base") is None


def test_without_the_extra_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_pair, "_file", lambda name: None)
    assert load_encoding.__wrapped__("o200k_base") is None
    assert count("no_such_encoding", "text") is None


def test_merging_takes_the_lowest_rank_and_of_equals_the_leftmost() -> None:
    ranks = {bytes([letter]): letter for letter in b"abc"} | {b"ab": 300, b"bc": 299, b"abc": 400}
    assert merge_byte_pairs(b"abc", ranks) == [400]
    assert merge_byte_pairs(b"abab", ranks) == [300, 300]
    assert merge_byte_pairs(b"aa", ranks) == [97, 97]


@pytest.mark.parametrize("name", sorted(set(ENCODINGS) - set(OPENAI_ENCODINGS)))
def test_a_vocabulary_of_another_sum_than_the_one_that_was_compared_counts_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, _, inside = byte_pair._SPECS[name].file.partition("/")
    (tmp_path / package / inside).parent.mkdir(parents=True)
    (tmp_path / package / inside).write_bytes(b"IQ== 0\nIg== 1\n")
    (tmp_path / package / "__init__.py").write_text("raise AssertionError('its code is not imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, package, raising=False)
    assert byte_pair._file(byte_pair._SPECS[name].file) == tmp_path / package / inside
    assert load_encoding.__wrapped__(name) is None


def test_the_install_hint_depends_on_the_vocabulary() -> None:
    assert {byte_pair.install_hint(name) for name in OPENAI_ENCODINGS} == {"pip install 'intermodal[tokenizers]'"}
    assert byte_pair.install_hint("llama3") == "pip install 'intermodal[vocabularies]'"
