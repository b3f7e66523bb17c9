"""The language model behind its own server: streaming, usage, a key, a context that is never cut."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from tests.unit.local.runtime_fixtures import REAL_WEIGHTS, SMOLLM2, runtimes

from intermodal.catalog.load import load_catalog
from intermodal.errors import RuntimeCrashed
from intermodal.local.embedded.results import ChatServer
from intermodal.local.embedded.runtimes import EmbeddedRuntimes
from intermodal.local.weights.gguf import read_header

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[EmbeddedRuntimes]:
    found = runtimes()
    yield found
    await found.close()


async def post(served: ChatServer, body: dict[str, Any], *, key: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {served.key if key is None else key}"} if key != "" else {}
    async with httpx.AsyncClient(timeout=300, headers=headers) as client:
        return await client.post(f"{served.base_url}/chat/completions", json=body)


def asked(text: str, **options: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 24, "temperature": 0, **options}


async def test_an_answer_streams_and_ends_with_usage(models: EmbeddedRuntimes) -> None:
    served = await models.chat_url(SMOLLM2)
    assert served.base_url.startswith("http://127.0.0.1:")
    assert served.base_url.endswith("/v1")
    body = asked("What is the capital of France?", stream=True, stream_options={"include_usage": True})
    text = (await post(served, body)).text
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    answer = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert answer.strip()
    usage = chunks[-1]["usage"]
    assert usage["prompt_tokens"] > 5
    assert 0 < usage["completion_tokens"] <= 24
    assert str(REAL_WEIGHTS) not in text, "an answer must not tell where the weights lie"


async def test_the_second_call_finds_it_up(models: EmbeddedRuntimes) -> None:
    first = await models.chat_url(SMOLLM2)
    second = await models.chat_url(SMOLLM2)
    assert (second.base_url, second.key, second.load_seconds) == (first.base_url, first.key, 0.0)
    assert models.loaded_endpoints() == (SMOLLM2.id,)
    row = load_catalog(installed={}, weights=frozenset()).by_id["embedded:huggingfacetb/smollm2-135m-instruct"]
    await post(first, asked("hello"), key=first.key)
    whole = ((row.context or 0) - (SMOLLM2.context or 0)) * 23_040  # bytes of the cache of a token
    assert row.memory.low <= (models.peak_memory(SMOLLM2.id) or 0) + whole <= row.memory.high


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_without_the_key_nobody_else_on_the_machine_can_use_it(models: EmbeddedRuntimes, key: str) -> None:
    served = await models.chat_url(SMOLLM2)
    assert (await post(served, asked("hello"), key=key)).status_code == 401
    async with httpx.AsyncClient(timeout=300) as client:
        for path in ("/slots", "/props", "/v1/models", "/tokenize"):
            response = await client.get(served.base_url.removesuffix("/v1") + path)
            assert response.status_code in (401, 404), path


async def test_a_prompt_that_does_not_fit_is_refused_with_its_size_not_cut(models: EmbeddedRuntimes) -> None:
    served = await models.chat_url(SMOLLM2)
    response = await post(served, asked("word " * 2000))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "exceed_context_size_error"
    assert error["n_ctx"] == 1024
    assert error["n_prompt_tokens"] > 2000


async def test_json_can_be_forced(models: EmbeddedRuntimes) -> None:
    served = await models.chat_url(SMOLLM2)
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}}, "required": ["city"],
              "additionalProperties": False}  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    response = await post(served, asked("Name a city.", response_format=form, max_tokens=60))
    assert list(json.loads(response.json()["choices"][0]["message"]["content"])) == ["city"]


async def test_a_server_that_died_is_started_again() -> None:
    models = runtimes()
    try:
        first = await models.chat_url(SMOLLM2)
        child = models._slots[SMOLLM2.id].worker.pid
        assert child is not None
        os.kill(child, signal.SIGKILL)
        second = await models.chat_url(SMOLLM2)
        assert second.load_seconds > 0
        assert second.key != first.key
        assert (await post(second, asked("hello", max_tokens=2))).status_code == 200
    finally:
        await models.close()


async def test_closing_ends_the_server_and_its_process() -> None:
    models = runtimes()
    served = await models.chat_url(SMOLLM2)
    child = models._slots[SMOLLM2.id].worker.pid
    await models.close()
    assert models.loaded_endpoints() == ()
    assert not await anyio.Path(f"/proc/{child}").exists()
    with pytest.raises(httpx.ConnectError):
        await post(served, asked("hello"))


async def test_two_askers_at_once_start_one_server() -> None:
    models = runtimes()
    found: list[ChatServer] = []

    async def ask() -> None:
        found.append(await models.chat_url(SMOLLM2))

    try:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        assert len({served.base_url for served in found}) == 1
        assert sorted(served.load_seconds > 0 for served in found) == [False, False, True]
    finally:
        await models.close()


def test_the_header_of_the_real_file_accounts_for_every_byte() -> None:
    path = Path(REAL_WEIGHTS / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf")
    header = read_header(path)
    assert header.architecture == "llama"
    assert header.context_length == 8192
    assert len(header.tensors) == 272
    assert header.size + header.weight_bytes == path.stat().st_size


class BrokenWeights:
    """A store whose file is no model."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def path(self, name: str) -> Path:
        return self._path

    def projector(self, name: str) -> None:
        return None


@pytest.mark.parametrize("data", [b"", b"GGUF", b"not a model" * 1000])
async def test_a_file_that_is_no_model_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    models = EmbeddedRuntimes(BrokenWeights(tmp_path / "x.gguf"))  # type: ignore[arg-type]
    try:
        with pytest.raises(RuntimeCrashed, match=r"could not be loaded|died") as caught:
            await models.chat_url(SMOLLM2)
        assert str(tmp_path) not in str(caught.value)
        assert models.loaded_endpoints() == ()
    finally:
        await models.close()
