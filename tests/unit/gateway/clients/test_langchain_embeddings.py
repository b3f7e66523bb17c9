"""LangChain's embeddings, which send ids of tokens unless they are told not to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tiktoken
from langchain_openai import OpenAIEmbeddings
from openai import BadRequestError
from tests.unit.gateway.gateway_server import VECTORS, GatewayServer, config
from tiktoken_ext import openai_public

from intermodal.local.tokenizers import byte_pair
from intermodal.testing import FakeHost

TEXTS = ["The river is low in August.", "Zürich, 38 °C – 日本語 🎉", "x"]


@pytest.fixture
def vocabulary(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """tiktoken, given the vocabularies that it would fetch. The names that it was asked for."""
    asked: list[str] = []

    def named(name: str) -> tiktoken.Encoding:
        ours = byte_pair.load_encoding(name)
        assert ours is not None
        with monkeypatch.context() as patched:
            patched.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: dict(ours._ranks))
            parts: dict[str, Any] = getattr(openai_public, name)()
        asked.append(name)
        return tiktoken.Encoding(**parts)

    monkeypatch.setattr(
        "tiktoken.encoding_for_model", lambda model: named(tiktoken.model.encoding_name_for_model(model))
    )
    monkeypatch.setattr("tiktoken.get_encoding", named)
    yield asked


@pytest.fixture
def house(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    more = '[serve.aliases]\ntext-embedding-3-small = "cloud/vectors"\nmine = "cloud/vectors"\n'
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, VECTORS), more=more)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer() as served:
        yield served


LINE: list[httpx.Client] = []


@pytest.fixture(autouse=True)
def line() -> Iterator[None]:
    """What LangChain sends over, closed afterwards: it closes nothing itself."""
    with httpx.Client(timeout=300) as client:
        LINE.append(client)
        yield
    LINE.clear()


def embedder(house: GatewayServer, model: str, **more: Any) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(
        model=model, base_url=house.base_url, api_key="none", max_retries=0, http_client=LINE[-1], **more
    )


def reached(host: FakeHost) -> list[str]:
    """Texts that the host was sent."""
    said = [json.loads(attempt.body)["input"] for attempt in host.attempts]
    return [text for each in said for text in ([each] if isinstance(each, str) else each)]


def test_tokens_under_a_name_of_openais_are_the_texts_that_they_were(
    house: GatewayServer, host: FakeHost, vocabulary: list[str]
) -> None:
    made = embedder(house, "text-embedding-3-small").embed_documents(TEXTS)
    assert vocabulary == ["cl100k_base"], "it was tokens that it sent"
    assert sorted(reached(host)) == sorted(TEXTS)
    plain = embedder(house, "text-embedding-3-small", check_embedding_ctx_length=False).embed_documents(TEXTS)
    for one, other in zip(made, plain, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_a_text_that_it_cuts_in_pieces_comes_in_these_pieces(
    house: GatewayServer, host: FakeHost, vocabulary: list[str]
) -> None:
    text = "The river is low in August, and the boats lie on the sand." * 40
    embedder(house, "text-embedding-3-small", embedding_ctx_length=100).embed_query(text)
    assert len(reached(host)) > 3 and vocabulary
    letters = [len("".join(piece.split())) for piece in reached(host)]  # blanks at the ends of a text are left out
    assert sum(letters) == len("".join(text.split()))


def test_more_values_than_other_bodies_may_hold(house: GatewayServer, vocabulary: list[str]) -> None:
    body = {"model": "text-embedding-3-small", "input": [[1917] * 60_000] * 2}
    found = house.post("/v1/embeddings", body)
    assert found.status_code == 400 and "values" not in found.text, found.text  # too long for the model, which is said
    assert house.post("/v1/embeddings", {**body, "input": [[1917] * 60_000] * 8}).status_code == 413


def test_under_another_name_nobody_knows_what_they_stand_for(
    house: GatewayServer, host: FakeHost, vocabulary: list[str]
) -> None:
    for name in ("mine", "cloud/vectors"):
        with pytest.raises(BadRequestError, match="check_embedding_ctx_length=False"):
            embedder(house, name).embed_documents(TEXTS)
        assert not host.attempts
        assert len(embedder(house, name, check_embedding_ctx_length=False).embed_documents(TEXTS)) == 3
        host.attempts.clear()


@pytest.mark.parametrize(
    ("given", "said"),
    [([[99_999_999]], "no token of cl100k_base"), ([[100_257]], "no token of cl100k_base"), ([[-1]], "no token"),
     ([[1.5]], "whole numbers"), ([[]], "whole numbers"), (["a", [1]], "something else"), ([[True]], "whole numbers"),
     (3, "must be a string or an array"), ([], "must be a string or an array")],
)  # fmt: skip
def test_invalid_token_lists_are_refused_with_the_reason(
    house: GatewayServer, host: FakeHost, given: Any, said: str
) -> None:
    found = house.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": given})
    assert found.status_code == 400 and said in found.text, found.text
    assert not host.attempts


def test_without_the_vocabulary_it_is_said_what_to_send(
    house: GatewayServer, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_pair, "load_encoding", lambda name: None)
    found = house.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": [1917]})
    assert found.status_code == 400 and "no vocabulary of cl100k_base" in found.text
    assert not host.attempts
