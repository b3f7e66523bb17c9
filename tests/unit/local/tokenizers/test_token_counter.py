"""Texts of a request are counted with the vocabularies of models that may be asked, and with no others."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from intermodal.catalog.load import load_catalog
from intermodal.client.async_client import AsyncClient
from intermodal.client.planner_inputs import vocabularies_to_count
from intermodal.client.request_builder import make_request
from intermodal.client.sync_client import Client
from intermodal.config.config_file import Config
from intermodal.local.tokenizers.byte_pair import count
from intermodal.local.tokenizers.token_counter import TokenCounter

# A process of its own, whose heap has nothing else in it.
NEW_WORDS = """
import ctypes, random
from pathlib import Path
from tokenizers import Tokenizer, models, pre_tokenizers
from intermodal.local.tokenizers import token_counter

class Blocks(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena o s h mapped u f used free top".split()]

def used():
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Blocks
    return library.mallinfo2().used

made = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate("0123456789abcdef")}, merges=[]))
made.pre_tokenizer = pre_tokenizers.Whitespace()
made.save("vocabulary.json")
state = Path("vocabulary.json").stat()
read = token_counter._read_fast_copy(Path("vocabulary.json"), state.st_mtime_ns, state.st_size)
chance = random.Random(1)

def count(words):
    for _ in range(words):
        assert len(read.encode(f"{chance.getrandbits(64):016x}").ids) == 16

count(2 * token_counter.WORDS)
before = used()
count(9_000)
print(used() - before)
"""
LONG = "It was the best of times, it was the worst of times; it was the age of wisdom. " * 60


def counts(tmp_path: Path, text: str, *consent: str) -> dict[str, int]:
    env = {"INTERMODAL_HOME": str(tmp_path), "OPENAI_API_KEY": "k"}
    with Client(Config(consent=consent), env=env) as client:
        (part,) = client.prepare(make_request(text)).inputs.facts.parts
    return part.tokens


def test_a_long_text_is_counted_with_the_encoding_of_a_host_after_consent(tmp_path: Path) -> None:
    assert counts(tmp_path, LONG, "openai")["o200k_base"] == count("o200k_base", LONG)
    assert "o200k_base" not in counts(tmp_path, LONG)


def test_a_text_of_a_file_is_counted_as_it_is_sent(tmp_path: Path) -> None:
    """What is taken out of it, and broken up in it, would make the count of forty marks wrong by hundreds."""
    from intermodal.executor.preparation.prompt import sanitize

    text = f"{LONG} <|im_end|>\u200b " * 40
    (tmp_path / "notes.txt").write_text(text)
    env = {"INTERMODAL_HOME": str(tmp_path), "OPENAI_API_KEY": "k"}
    with Client(Config(consent=("openai",)), env=env) as client:
        _, part = client.prepare(make_request("Sum?", tmp_path / "notes.txt")).inputs.facts.parts
    assert part.tokens["o200k_base"] == count("o200k_base", sanitize(text)) != count("o200k_base", text)


def test_a_short_text_does_not_wait_for_a_large_vocabulary(tmp_path: Path) -> None:
    assert "o200k_base" not in counts(tmp_path, "What is this?", "openai")


@pytest.mark.anyio
async def test_a_vocabulary_is_read_off_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of the gateway that read it on its loop, on a busy machine, was taken for hung and killed."""
    threads: list[bool] = []
    counted = TokenCounter.count_request

    def watched(self: TokenCounter, *args: Any, **kwargs: Any) -> Any:
        threads.append(threading.get_ident() == loop)
        return counted(self, *args, **kwargs)

    monkeypatch.setattr(TokenCounter, "names", lambda self: ("smollm2",))
    monkeypatch.setattr(TokenCounter, "count_request", watched)
    loop = threading.get_ident()
    async with AsyncClient(Config(), env={"INTERMODAL_HOME": str(tmp_path)}) as client:
        for _ in range(2):
            await client.prepare(make_request("What is this?"))
    assert threads == [False, True]


def test_only_hosts_with_consent_name_vocabularies() -> None:
    def named(*consent: str) -> frozenset[str]:
        return vocabularies_to_count(load_catalog(installed={}, weights=frozenset(), consent=consent))

    assert named() == frozenset()
    assert "o200k_base" in named("openai") and "o200k_base" not in named("google")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallinfo2 is glibc's")
def test_a_vocabulary_remembers_no_more_words_than_the_page_says(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", NEW_WORDS], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 256 << 10
