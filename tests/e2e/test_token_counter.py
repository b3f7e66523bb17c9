"""Token counts without a runtime are the runtime's own, id for id."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.unit.local.runtime_fixtures import REAL_WEIGHTS, SMOLLM2, runtimes

from intermodal.local.embedded.results import ChatServer
from intermodal.local.tokenizers.token_counter import TokenCounter
from intermodal.local.weights.store import WeightsStore

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
TEXTS = (
    "Hello", "  two  spaces ", "tab\there\n\n\nnew\r\nline", "12345 67.89 ½ ² ٣٤", "日本語のテキスト", "Привет, мир!",
    "été déjà cafe\u0301", "🎉👩\u200d👩\u200d👧 emoji", "<|im_start|>user\nhi<|im_end|>", "don't they're I'LL it'S",
    " \n \n ", "x" * 1000, "\u200b\u00a0nbsp\u3000ideo", "</s><|endoftext|>", "\x00nul\x01", "नमस्ते",
    "\u2028ls\u0085nel", "Total due EUR 1,380.50 by 28 March 2026",
    "def f(x):\n\treturn x ** 2  # ok\n", "\x0b\x0c", "ﬁ ligature",
)  # fmt: skip
POOL = "abc XYZ 019 \n\t.,!?'\"-_éüß漢字🎉½²\u00a0\u0301٣ <|im_end|>#@$\r\u2009Ⅳ"
RANGES = ((0x01, 0x7F), (0x80, 0x2FFF), (0x3000, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x1FFFF))


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[ChatServer]:
    models = runtimes()
    yield await models.chat_url(SMOLLM2)
    await models.close()


@pytest.fixture(scope="module")
def vocabularies() -> TokenCounter:
    return TokenCounter(WeightsStore(REAL_WEIGHTS))


def random_texts(count: int) -> list[str]:
    chance = random.Random(7)
    texts = ["".join(chance.choices(POOL, k=chance.randint(1, 60))) for _ in range(count)]
    for _ in range(count):
        texts.append("".join(chr(chance.randint(*chance.choice(RANGES))) for _ in range(chance.randint(1, 30))))
    return texts


async def test_ids_equal_those_of_llama_cpp(served: ChatServer, vocabularies: TokenCounter) -> None:
    url = served.base_url.removesuffix("/v1") + "/tokenize"
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {served.key}"}, timeout=300) as client:
        for text in (*TEXTS, *random_texts(200)):
            theirs = (await client.post(url, json={"content": text})).json()["tokens"]
            assert vocabularies.encode("smollm2", text) == theirs, ascii(text)
            assert vocabularies.count("smollm2", text) == len(theirs)


async def test_a_prompt_counts_as_the_server_bills_it(served: ChatServer, vocabularies: TokenCounter) -> None:
    text = "What does the caller want, and does the invoice agree?"
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {served.key}"}, timeout=300) as client:
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 1}
        usage = (await client.post(f"{served.base_url}/chat/completions", json=body)).json()["usage"]
    framed = (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert vocabularies.count("smollm2", framed) == usage["prompt_tokens"]


def test_a_count_that_cannot_be_exact_is_none(vocabularies: TokenCounter, tmp_path: object) -> None:
    assert vocabularies.count("o200k", "hello") is None
    assert vocabularies.count("smollm2", "") == 0
    assert vocabularies.count("smollm2", "x" * 4_000_001) is None
    assert vocabularies.count("smollm2", "lone \ud800 surrogate") is not None
    nowhere = TokenCounter(WeightsStore(REAL_WEIGHTS / "nowhere"))
    assert nowhere.names() == ()
    assert nowhere.count("smollm2", "hello") is None


@pytest.fixture
def own_weights(tmp_path: Path) -> Path:
    """The same weights, whose fast copy is this test's alone."""
    name = "smollm2-135m-instruct"
    (tmp_path / name).mkdir()
    for file in (REAL_WEIGHTS / name).iterdir():
        if not file.name.startswith(".vocabulary"):
            (tmp_path / name / file.name).symlink_to(file.resolve())
    assert TokenCounter(WeightsStore(tmp_path)).count("smollm2", "hello") == 1
    return tmp_path


def test_a_broken_fast_copy_is_built_anew(own_weights: Path) -> None:
    copy = own_weights / "smollm2-135m-instruct" / ".vocabulary-2.json"
    assert copy.exists()
    copy.write_bytes(b"{")
    assert TokenCounter(WeightsStore(own_weights)).count("smollm2", "hello world") == 2
    assert len(copy.read_bytes()) > 1


def test_the_first_count_of_a_process_reads_the_fast_copy_and_imports_little(own_weights: Path) -> None:
    """It takes 0.1 s so; the weights themselves are not read."""
    code = (
        "import sys; from pathlib import Path\n"
        "from intermodal.local.tokenizers import token_counter\n"
        "from intermodal.local.weights.store import WeightsStore\n"
        "def tokenizer_from_gguf(path): raise SystemExit('the weights were read')\n"
        "token_counter.tokenizer_from_gguf = tokenizer_from_gguf\n"
        "counter = token_counter.TokenCounter(WeightsStore(Path(sys.argv[1])))\n"
        "assert counter.count('smollm2', 'How long does this take?')\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(own_weights)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not {"anyio", "httpx", "numpy", "transformers", "torch", "xllamacpp"} & set(done.stdout.split())
