"""Which strings are a model's marks is read from its files, and llama.cpp agrees that they are tokens."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from tests.e2e.small_gguf import CONTROL, vocabulary, write
from tests.e2e.tokenizer import llama_cpp, served
from tests.unit.local.runtime_fixtures import REAL_WEIGHTS

from intermodal.local.tokenizers.template_marks import template_marks
from intermodal.protocols.special_tokens import special_tokens

pytestmark = pytest.mark.e2e
THINKING = "{% for m in messages %}<|im_start|>{{ m['content'] }}<think>[INST]{% endfor %}"


def test_marks_are_special_tokens_and_what_the_template_writes(tmp_path: Path) -> None:
    tokens, merges = vocabulary()
    write(tmp_path / "bare.gguf", "default", tokens, merges)
    write(tmp_path / "thinks.gguf", "default", tokens, merges, THINKING)
    assert set(template_marks(tmp_path / "bare.gguf")) == {*CONTROL}, "llama.cpp's own template is ChatML"
    assert set(template_marks(tmp_path / "thinks.gguf")) == {*CONTROL, "<think>", "[INST]"}


def test_llama_cpp_takes_user_defined_tokens_from_a_text_even_without_special_ones(tmp_path: Path) -> None:
    """Why marks are broken up, and text is not just tokenized without special tokens."""
    tokens, merges = vocabulary()
    write(tmp_path / "small.gguf", "default", tokens, merges)
    with served(tmp_path / "small.gguf") as url:

        def count(text: str) -> int:
            asked = {"content": text, "parse_special": False}
            return len(httpx.post(f"{url}/tokenize", json=asked, timeout=300).json()["tokens"])

        assert count("<think>") == 1 < count("<|im_end|>") and count(special_tokens().break_tokens("<think>")) > 1


def test_a_folder_says_it_in_its_tokenizers_config(tmp_path: Path) -> None:
    added = {
        "1": {"content": "<|im_end|>", "special": True},
        "2": {"content": "<tool_call>", "special": False},
        "3": {"content": "<table>", "special": False},
    }
    config = {"added_tokens_decoder": added, "chat_template": "<|im_start|>{{ x }}<tool_call>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert set(template_marks(tmp_path)) == {"<|im_end|>", "<|im_start|>", "<tool_call>"}


@pytest.mark.parametrize("data", [b"", b"GGUF", b"{}", b"[1]"])
def test_a_file_that_says_nothing_has_no_marks(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    (tmp_path / "tokenizer_config.json").write_bytes(data)
    assert (
        template_marks(tmp_path / "x.gguf") == template_marks(tmp_path) == template_marks(tmp_path / "none.gguf") == ()
    )


def test_each_mark_is_one_token_of_llama_cpp_and_none_once_it_is_broken_up() -> None:
    path = REAL_WEIGHTS / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    marks = template_marks(path)
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<filename>"} <= {*marks}
    own = special_tokens(marks, include_known=False)
    with llama_cpp(path) as tokens:
        special = {tokens(mark)[0] for mark in marks if len(tokens(mark)) == 1}
        assert len(special) == len(marks)
        for mark in marks:
            for text in (mark, f"a{mark}{mark}b"):
                assert not special & {*tokens(own.break_tokens(text))}, text
