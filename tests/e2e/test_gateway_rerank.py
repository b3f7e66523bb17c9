"""Rerank endpoints of the gateway, with a real encoder: Cohere's, Jina's and vLLM's clients, rates, and bad input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from tests.e2e.onnx_folders import BERT, config
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.gateway.quotas.authentication import digest
from intermodal.gateway.quotas.quota_types import Budget, RateLimit, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.gateway.routes import ROUTES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PATHS = sorted(path for _, path in ROUTES if path.endswith("/rerank"))
OFFICES = [
    "the rent of the oslo office is 20 euro",
    "oslo has 12 parking spaces",
    "ms berg leads the office in oslo",
    "lisbon has 3 parking spaces",
]
SECRETS = {name: f"im-{name}-{'0' * 40}" for name in ("slow", "narrow", "broke")}
ASKED: dict[str, Any] = {"model": "tiny-offices", "query": "where can i park in oslo", "documents": OFFICES}


@pytest.fixture
def ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "encoder", tiny_offices=BERT / "reranker")))
    with GatewayServer() as served:
        yield served


@pytest.fixture
def ranking_with_keys(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "encoder", tiny_offices=BERT / "reranker")))
    (own_home / "data").mkdir(exist_ok=True)
    made = (
        VirtualKey(id="k-slow", name="slow", rate=RateLimit(rpm=2)),
        VirtualKey(id="k-narrow", name="narrow", models=("cloud/strong",)),
        VirtualKey(id="k-broke", name="broke", budgets=(Budget(unit="usd", limit=1),)),
    )
    with closing(SqliteQuotaStore(own_home / "data" / FILE)) as quota_store:
        for key in made:
            quota_store.add(replace(key, digest=digest(SECRETS[key.name])))
    with GatewayServer() as served:
        yield served


@pytest.mark.parametrize("path", PATHS)
def test_documents_come_back_in_the_order_in_which_they_answer(ranking: GatewayServer, path: str) -> None:
    found = ranking.post(path, {**ASKED, "top_n": 2, "max_tokens_per_doc": 512})
    assert found.status_code == 200, found.text
    first, second = found.json()["results"]
    assert first["index"] == 1 and first["relevance_score"] > second["relevance_score"]
    assert "document" not in first
    assert found.json()["usage"]["total_tokens"] > 20
    assert found.headers["x-intermodal-route"] == "mine:test/tiny-offices"
    assert found.headers["x-intermodal-sends"] == "nothing"
    assert found.headers["x-intermodal-ignored"] == "max_tokens_per_doc"


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("cohere/tiny-offices", "{root}/v2/rerank"), ("cohere/tiny-offices", "{root}/v1/rerank"),
        ("jina_ai/tiny-offices", "{root}"), ("hosted_vllm/tiny-offices", "{root}"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_litellm_understands_it_as_cohere_jina_and_vllm(
    ranking: GatewayServer, model: str, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch its price list
    litellm = pytest.importorskip("litellm")
    base = base.format(root=ranking.base_url.removesuffix("/v1"))
    found = litellm.rerank(model=model, query=ASKED["query"], documents=OFFICES, top_n=1, api_base=base, api_key="none")
    assert [each["index"] for each in found.results] == [1]


def test_every_document_is_ranked_and_its_text_sent_where_that_is_asked_for(ranking: GatewayServer) -> None:
    many = [{"text": f"the gent office opened in {number}"} for number in range(100)]
    found = ranking.post("/v1/rerank", {**ASKED, "documents": [*many, *OFFICES], "return_documents": True})
    results = found.json()["results"]
    assert sorted(each["index"] for each in results) == list(range(104))
    assert (results[0]["index"], results[0]["document"]) == (101, {"text": OFFICES[1]})


def test_a_rerank_is_counted_with_all_requests_and_attempts(ranking: GatewayServer) -> None:
    tokens = ranking.post("/v1/rerank", ASKED).json()["usage"]["total_tokens"]
    metrics = ranking.http.get("/metrics").text
    assert 'path="/v1/rerank"' in metrics
    assert re.search(rf"tokens_total{{[^}}]*input[^}}]*}} {tokens}$", metrics, re.MULTILINE), metrics


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": ""}, "query holds no words"),
        ({"query": 3}, "query must be a string"),
        ({"documents": []}, "array of 1 to 1,000"),
        ({"documents": "a text"}, "array of 1 to 1,000"),
        ({"documents": ["a"] * 1_001}, "array of 1 to 1,000"),
        ({"documents": ["a", " "]}, "documents[1] holds no text"),
        ({"documents": ["a", {"title": "b"}]}, "documents[1] must be a string, or an object with a text"),
        ({"top_n": 0}, "top_n must be a whole number"),
        ({"top_n": "two"}, "top_n must be a whole number"),
        ({"return_documents": "yes"}, "return_documents must be true or false"),
        ({"model": "nothing-of-this-name"}, "nothing-of-this-name"),
        ({"intermodal": {"hosts": ["elsewhere"]}}, "hosts"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_one_sentence(
    ranking: GatewayServer, change: dict[str, Any], said: str
) -> None:
    found = ranking.post("/v1/rerank", {**ASKED, **change})
    assert found.status_code in (400, 404), found.text
    assert said in found.json()["error"]["message"] and len(found.json()["error"]["message"]) < 300


def test_without_a_model_that_ranks_what_to_pull_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "intermodal.toml").write_text("")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(tmp_path / "intermodal.toml"))
    with GatewayServer() as served:
        found = served.post("/v1/rerank", {**ASKED, "model": "ms-marco-minilm-l-6-v2"})
    assert found.status_code in (400, 503) and "pull" in found.text, found.text


def test_a_rerank_is_within_the_rate_and_the_models_of_its_key(ranking_with_keys: GatewayServer) -> None:
    def asked(name: str) -> httpx.Response:
        return ranking_with_keys.post("/v1/rerank", ASKED, authorization=f"Bearer {SECRETS[name]}")

    assert asked("narrow").status_code == 403
    first, second, third = (asked("slow") for _ in range(3))
    assert (first.status_code, second.status_code, third.status_code) == (200, 200, 429)
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert third.json()["error"]["code"] == "rate_limit_exceeded"
    assert asked("broke").status_code == 200, "it costs nothing, so a budget that is spent has room for it"
