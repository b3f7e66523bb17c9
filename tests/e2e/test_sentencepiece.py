"""SentencePiece vocabularies count as llama.cpp does: small GGUF files of the kind, and its own /tokenize."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.small_gguf import CONTROL, USER, sentence_vocabulary, write_sentences
from tests.e2e.test_pre_tokenizers import TEXTS, random_texts
from tests.e2e.tokenizer import llama_cpp

from intermodal.local.tokenizers.sentencepiece import SentencePieceTokenizer
from intermodal.local.tokenizers.token_counter import tokenizer_from_gguf

pytestmark = pytest.mark.e2e
MORE = (
    "",
    " ",
    "   ",
    "</s>",
    "a</s> b",
    "<s> x",
    "<unk>",
    "of the",
    " of the of the ",
    "\u2581",
    "a\u2581\u2581b",
    "<0x41>",
)


SPECIAL = ("<unk>", "<s>", "</s>", *USER, *CONTROL)


@pytest.mark.parametrize(
    ("prefix", "inner", "name"),
    [(True, False, "small"), (False, False, "small"), (True, True, "small"), (True, False, "Phi-3 mini")],
    ids=["prefix", "no-prefix", "inner-blank", "strips-blanks"],
)
def test_ids_equal_those_of_llama_cpp(prefix: bool, inner: bool, name: str, tmp_path: Path) -> None:
    """Where blanks around special tokens are swallowed, a text with such a token is not counted; others are exact."""
    path = tmp_path / "small.gguf"
    write_sentences(path, sentence_vocabulary(), prefix=prefix, inner=inner, name=name)
    ours = tokenizer_from_gguf(path)
    assert isinstance(ours, SentencePieceTokenizer)
    with llama_cpp(path) as theirs:
        for text in (*TEXTS, *MORE, *random_texts(150)):
            ids = theirs(text)
            assert ids or not text.strip(), "the server tells nothing"
            made = ours.encode(text)
            if made is None:
                assert name != "small" and any(token in text for token in SPECIAL), ascii(text)
            else:
                assert made.ids == ids, ascii(text)
        assert (ours.encode("</s>") is None) == (name != "small")


def test_a_file_of_the_users_own_counts_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    from intermodal.local.tokenizers.token_counter import TokenCounter
    from intermodal.local.weights.store import WeightsStore

    path = tmp_path / "mine" / "model.gguf"
    path.parent.mkdir()
    write_sentences(path, sentence_vocabulary(), prefix=True)
    vocabularies = TokenCounter(WeightsStore(tmp_path / "store"))
    made = tokenizer_from_gguf(path).encode("It was the best of times")
    assert made is not None and vocabularies.count(str(path), "It was the best of times") == len(made.ids)
    assert vocabularies.count(str(path.with_name("other.gguf")), "a") is None
    assert [each.name for each in path.parent.iterdir()] == ["model.gguf"]
