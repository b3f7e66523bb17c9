"""Passages ranked by a host's own endpoint (a fake): planned beside the models here, paid within limits, or refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.e2e.command import intermodal
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.gateway.quotas.authentication import digest
from intermodal.gateway.quotas.quota_types import Budget, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.testing import FakeHost

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
QUERY = "who leads the office in Oslo"
PASSAGES = ("The office in Oslo has a garage.", "Ms Berg leads the office in Oslo.", "Trains leave at nine.")
RERANKER = "cloud:acme/ranker"


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost() as made:
        yield made


def configured(
    host: FakeHost, folder: Path, patch: pytest.MonkeyPatch, *, model: str = "request = 0.002", more: str = "",
    rerank: str = "/rerank", zone: str = "internet",
) -> None:  # fmt: skip
    """A host with a reranker; ``model`` and ``more`` are lines of the model's and of the host's row."""
    path = folder / "intermodal.toml"
    path.write_text(
        f'[hosts.cloud]\nbase_url = "{host.base_url}"\nzone = "{zone}"\nrerank = "{rerank}"\n{more}\n'
        f'[[hosts.cloud.models]]\nid = "acme/ranker"\nserved_as = "ranker-1"\ntasks = ["text-ranking"]\n{model}\n'
    )
    patch.setenv("INTERMODAL_CONFIG", str(path))


def ranked(*arguments: str, passages: tuple[str, ...] = PASSAGES) -> tuple[int, dict[str, object], str]:
    ran = intermodal("rerank", QUERY, "-", "--json", *arguments, stdin="\n".join(passages).encode())
    return ran.code, json.loads(ran.out) if ran.code == 0 else {}, ran.err + ran.out


def test_a_host_that_ranks_is_taken_before_vectors_and_paid_a_search(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(host, tmp_path, monkeypatch)
    code, found, err = ranked()
    assert code == 0, err
    assert found["endpoint"] == RERANKER and found["by"] == "reranker" and found["host"] == "cloud"
    assert [each["index"] for each in found["results"]] == [1, 0, 2]  # type: ignore[attr-defined,index]
    assert found["cost"] == pytest.approx(0.002)
    assert found["beside"]["endpoint"] == "embedded:intfloat/multilingual-e5-small"  # type: ignore[index]
    assert found["verdict"]["value"] == "no_language_model" and found["verdict"]["instead"] == "encoder"  # type: ignore[index]
    (attempt,) = host.attempts
    assert attempt.path == "/v1/rerank"
    assert attempt.json == {"model": "ranker-1", "query": QUERY, "documents": list(PASSAGES)}
    text = intermodal("rerank", QUERY, "-", stdin="\n".join(PASSAGES).encode())
    assert "($0.002); sent to cloud" in text.err and "beside it: embedded:" in text.err
    usage = intermodal("usage", "--json")
    assert RERANKER in usage.out and "0.004" in usage.out, "both searches are in the books"


def test_text_embeddings_inference_is_spoken_to_in_its_own_words(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = host.base_url.removesuffix("/v1") + "/rerank"
    configured(
        host, tmp_path, monkeypatch, rerank=address, model="input_mtok = 0\noutput_mtok = 0", zone="machine",
        more='quirks = ["rerank_texts"]',
    )  # fmt: skip
    code, found, err = ranked("--model", "acme/ranker")
    assert code == 0, err
    assert [each["index"] for each in found["results"]] == [1, 0, 2]  # type: ignore[attr-defined,index]
    (attempt,) = host.attempts
    assert attempt.path == "/rerank"
    assert attempt.json == {"query": QUERY, "texts": list(PASSAGES), "raw_scores": False, "truncate": True}
    assert found["cost"] == 0 and found["tokens"] is None, "its reply has scores and no counts"
    with GatewayServer() as served:
        passed_on = served.post("/v1/rerank", BODY).json()
        unreported = dict(served.gateway.context.metrics.unreported)
    assert passed_on["usage"] == {"prompt_tokens": 0, "total_tokens": 0, "intermodal": {"unreported": ["input_tokens"]}}
    assert unreported == {"input": 1}


def test_a_price_above_the_limit_is_refused_before_anything_is_sent_and_one_here_ranks_instead(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(host, tmp_path, monkeypatch, model="request = 0.9")
    code, _, err = ranked("--model", "acme/ranker")
    assert code != 0 and "it would cost up to $0.9, and the limit is $0.05" in err and "Traceback" not in err
    code, found, err = ranked()
    assert code == 0 and found["endpoint"] == "embedded:intfloat/multilingual-e5-small", err
    assert host.attempts == []


def test_a_price_that_nobody_knows_is_said_and_refused_where_a_limit_is_stated(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(host, tmp_path, monkeypatch, model="")
    code, found, err = ranked("--model", "acme/ranker")
    assert code == 0 and found["cost"] is None, err
    said = intermodal("rerank", QUERY, "-", "--model", "acme/ranker", stdin="\n".join(PASSAGES).encode()).err
    assert "its price is not known" in said
    sent = len(host.attempts)
    path = tmp_path / "intermodal.toml"
    path.write_text(f"max_cost = 0.01\n{path.read_text()}")
    code, _, err = ranked("--model", "acme/ranker")
    assert code != 0 and "its price is not known" in err and len(host.attempts) == sent


@pytest.mark.parametrize(
    ("fault", "said"),
    [("fault-key", "key"), ("fault-gone", ""), ("fault-end-0", "")],
)
def test_a_host_that_fails_is_an_error_of_one_sentence_and_its_attempt_is_kept(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    configured(host, tmp_path, monkeypatch)
    path = tmp_path / "intermodal.toml"
    path.write_text(path.read_text().replace("ranker-1", f"ranker-{fault}"))
    code, _, err = ranked("--model", "acme/ranker")
    assert code != 0 and "cloud:acme/ranker" in err and said in err and "Traceback" not in err, err
    assert host.attempts


BODY = {"model": "acme/ranker", "query": QUERY, "documents": list(PASSAGES), "top_n": 2}


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank"])
def test_the_gateway_passes_documents_on_to_a_host_and_says_what_it_cost(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    configured(host, tmp_path, monkeypatch)
    with GatewayServer() as served:
        found = served.post(path, BODY)
    assert found.status_code == 200, found.text
    assert [each["index"] for each in found.json()["results"]] == [1, 0]
    assert float(found.headers["x-intermodal-cost"]) == pytest.approx(0.002)
    assert found.headers["x-intermodal-route"] == RERANKER and found.headers["x-intermodal-sends"] == "cloud"
    assert len(host.attempts) == 1


def test_a_deadline_ends_a_search_that_its_host_does_not_answer(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(host, tmp_path, monkeypatch)
    path = tmp_path / "intermodal.toml"
    path.write_text(path.read_text().replace("ranker-1", "ranker-fault-silent"))
    with GatewayServer() as served:
        found = served.post("/v1/rerank", BODY, x_intermodal_deadline="1")
        assert found.status_code == 502 and "the deadline of 1 s" in found.text, found.text
        served.until_written()
        assert len(served.gateway.client.store.attempts(-1)) == len(host.attempts) == 1


def test_a_search_of_unknown_price_is_counted_as_one(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(host, tmp_path, monkeypatch, model="")
    with GatewayServer() as served:
        found = served.post("/v1/rerank", BODY)
        assert found.status_code == 200 and "x-intermodal-cost" not in found.headers, found.text
        metrics = served.http.get("/metrics").text
    assert "\nintermodal_unpriced_total 1\n" in metrics, metrics


def test_a_policy_that_names_a_host_is_ranked_there_though_another_is_cheaper(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(host, tmp_path, monkeypatch)
    path = tmp_path / "intermodal.toml"
    dear = path.read_text().replace("hosts.cloud", "hosts.dear").replace("0.002", "0.004")
    named = '[policies.there]\nhosts = ["dear"]\n[policies.nowhere]\nhosts = ["groq"]\n'
    path.write_text(f"{path.read_text()}{dear}{named}")
    body = {"query": QUERY, "documents": list(PASSAGES)}
    with GatewayServer() as served:
        found = served.post("/v1/rerank", {"model": "policy:there", **body})
        assert found.headers["x-intermodal-route"] == "dear:acme/ranker", found.text
        assert served.post("/v1/rerank", {"model": "auto", **body}).headers["x-intermodal-route"] == RERANKER
        refused = served.post("/v1/rerank", {"model": "policy:nowhere", **body})
    assert refused.status_code >= 400 and "no model that ranks is at groq" in refused.text


def test_many_documents_are_as_many_searches_as_the_host_bills(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(host, tmp_path, monkeypatch)
    with GatewayServer() as served:
        found = served.post("/v1/rerank", BODY | {"documents": [f"office {at}" for at in range(250)], "top_n": 3})
    assert found.status_code == 200, found.text
    assert [len(attempt.json["documents"]) for attempt in host.attempts] == [100, 100, 50]
    assert float(found.headers["x-intermodal-cost"]) == pytest.approx(0.006)


def test_a_key_whose_budget_has_no_room_for_a_search_sends_nothing(
    host: FakeHost, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(host, tmp_path, monkeypatch)
    (own_home / "data").mkdir(exist_ok=True)
    secrets = {name: f"im-{name}-{'0' * 40}" for name in ("poor", "rich")}
    with closing(SqliteQuotaStore(own_home / "data" / FILE)) as quota_store:
        for name, limit in (("poor", 1_000_000), ("rich", 3_000_000)):  # of a billionth of a USD
            budget = Budget(unit="usd", limit=limit)
            key = VirtualKey(id=f"k-{name}", name=name, budgets=(budget,))
            quota_store.add(msgspec.structs.replace(key, digest=digest(secrets[name])))
    with GatewayServer() as served:
        refused = served.post("/v1/rerank", BODY, authorization=f"Bearer {secrets['poor']}")
        assert refused.status_code == 429 and host.attempts == [], refused.text
        assert served.post("/v1/rerank", BODY, authorization=f"Bearer {secrets['rich']}").status_code == 200
        again = served.post("/v1/rerank", BODY, authorization=f"Bearer {secrets['rich']}")
        assert again.status_code == 429 and len(host.attempts) == 1, "0.002 of 0.003 are spent"


def test_a_host_elsewhere_is_refused_in_the_config(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(host, tmp_path, monkeypatch, rerank="https://rerank.example.com/v2/rerank")
    code, _, err = ranked()
    assert code != 0 and "another host than base_url" in err
