"""Keys, budgets, rates and Idempotency-Key, as clients of the gateway meet them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.unit.gateway.house import House
from tests.unit.gateway.test_streams import ASKED, leave, until

from intermodal.gateway.doors import DOORS
from intermodal.gateway.ledger.minting import digest
from intermodal.gateway.ledger.nouns import NANO, Budget, Rate, VirtualKey
from intermodal.gateway.ledger.sqlite import FILE, SqliteBooks
from intermodal.testing import Attempt, FakeHost, Fault

SECRETS = {name: f"im-{name}-{'0' * 40}" for name in ("free", "poor", "broke", "slow", "narrow", "gone", "other")}


@pytest.fixture
def keyed(configured: Path, own_home: Path) -> Iterator[House]:
    (own_home / "data").mkdir(exist_ok=True)
    books = SqliteBooks(own_home / "data" / FILE)
    made = {
        "free": VirtualKey(id="k-free", name="free"),
        "other": VirtualKey(id="k-other", name="other"),
        "poor": VirtualKey(id="k-poor", name="poor", budgets=(Budget(unit="usd", limit=int(0.0015 * NANO)),)),
        "broke": VirtualKey(id="k-broke", name="broke", budgets=(Budget(unit="usd", limit=1),)),
        "slow": VirtualKey(id="k-slow", name="slow", rate=Rate(rpm=2)),
        "narrow": VirtualKey(id="k-narrow", name="narrow", models=("cloud/seeing",), policies=("cheap",)),
        "gone": VirtualKey(id="k-gone", name="gone"),
    }
    for name, key in made.items():
        import msgspec

        books.add(msgspec.structs.replace(key, digest=digest(SECRETS[name])))
    books.revoke("k-gone", time.time())
    books.close()
    with House() as house:
        yield house


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {SECRETS[name]}"}


def chat(house: House, name: str, **more: object) -> httpx.Response:
    headers = {**bearer(name), **more.pop("headers", {})}  # type: ignore[dict-item]
    return house.chat(model=str(more.pop("model", "cloud:cloud/strong")), headers=headers, **more)


# ---- who comes in ------------------------------------------------------------------------------------

PATHS = [(verb, path + "x" if path.endswith("/") else path) for verb, path in DOORS]
NOWHERE = [
    ("GET", "/nope"),
    ("GET", "/v1/files"),
    ("POST", "/v1/models"),
    ("DELETE", "/v1/chat/completions"),
    ("GET", "/"),
]


@pytest.mark.parametrize(("verb", "path"), [*PATHS, *NOWHERE])
@pytest.mark.parametrize("key", ["none", "wrong", "revoked"])
def test_no_route_answers_without_a_key(keyed: House, host: FakeHost, verb: str, path: str, key: str) -> None:
    headers = {"none": {}, "wrong": {"authorization": "Bearer im-nobody"}, "revoked": bearer("gone")}[key]
    found = keyed.http.request(verb, path, headers={**headers, "content-type": "application/json"})
    if path in ("/healthz", "/readyz"):
        assert found.status_code == 200
        return
    assert found.status_code == 401, found.text
    assert "error" in found.json()
    assert host.attempts == []


def test_a_key_comes_as_either_family_sends_it(keyed: House) -> None:
    assert chat(keyed, "free").status_code == 200
    assert keyed.http.get("/v1/models", headers={"x-api-key": SECRETS["free"]}).status_code == 200
    assert keyed.http.get("/v1/models", headers={"x-api-key": SECRETS["free"], **bearer("other")}).status_code == 400


def test_no_secret_is_said_again(keyed: House) -> None:
    for name in ("gone", "broke", "narrow"):
        found = chat(keyed, name)
        assert SECRETS[name] not in found.text and SECRETS[name] not in str(found.headers)
    assert not any("im-" in line for line in keyed.log)


def test_what_one_key_made_another_does_not_see(keyed: House) -> None:
    plan = chat(keyed, "free").headers["x-intermodal-plan"]
    assert keyed.http.get(f"/v1/plans/{plan}", headers=bearer("free")).status_code == 200
    assert keyed.http.get(f"/v1/plans/{plan}", headers=bearer("other")).status_code == 404


def test_a_key_asks_for_what_it_may(keyed: House, host: FakeHost) -> None:
    assert chat(keyed, "narrow", model="cloud/strong").status_code == 403
    assert chat(keyed, "narrow", model="auto").status_code == 403
    assert chat(keyed, "narrow", model="gpt-4o").status_code == 403
    assert chat(keyed, "narrow", model="policy:once").status_code == 403
    assert host.attempts == []
    assert chat(keyed, "narrow", model="cloud/seeing").status_code == 200
    assert chat(keyed, "narrow", model="policy:cheap").status_code == 200


# ---- money and rates ---------------------------------------------------------------------------------


def test_a_budget_is_held_against_the_most_a_request_may_cost(keyed: House, host: FakeHost) -> None:
    found = chat(keyed, "broke")
    assert found.status_code == 429
    assert found.json()["error"]["code"] == "insufficient_quota"
    assert found.headers["x-should-retry"] == "false"
    assert host.attempts == []
    found = chat(keyed, "poor", max_tokens=2000)  # up to 0.0008 USD, three times: a failed attempt may have been paid
    assert found.status_code == 429
    assert host.attempts == []
    assert chat(keyed, "poor", max_tokens=100).status_code == 200  # up to 0.00004, three times


def test_what_is_not_spent_can_be_spent_again(keyed: House, host: FakeHost) -> None:
    for _ in range(30):  # each may take 0.0006 of 0.0015, and takes a thousandth of that
        assert chat(keyed, "poor", max_tokens=500).status_code == 200
    assert len(host.attempts) == 30


def test_many_at_once_are_not_more_than_the_budget(keyed: House, host: FakeHost) -> None:
    answers: list[int] = []
    enough = threading.Event()

    def slowly(attempt: Attempt) -> str:
        enough.wait(20)
        return "word " * 400

    def ask() -> None:
        answers.append(chat(keyed, "poor", max_tokens=400).status_code)

    host.answer = slowly
    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 15
    while len(answers) < 9 and time.monotonic() < end:  # nobody's budget comes free while the host is at work
        time.sleep(0.02)
    enough.set()
    for thread in threads:
        thread.join(60)
    assert set(answers) <= {200, 429}
    assert 1 <= answers.count(200) <= 3  # up to 0.00048 each of 0.0015
    assert len(host.attempts) == answers.count(200)


def test_a_refused_call_of_the_host_costs_nothing(keyed: House, host: FakeHost) -> None:
    host.fault = Fault("policy")
    for _ in range(5):
        assert chat(keyed, "poor", max_tokens=1000).status_code == 400
    host.fault = None
    assert chat(keyed, "poor", max_tokens=1000).status_code == 200


def test_rates_are_said_and_kept(keyed: House, host: FakeHost) -> None:
    first = chat(keyed, "slow")
    assert first.status_code == 200
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert chat(keyed, "slow").status_code == 200
    last = chat(keyed, "slow")
    assert last.status_code == 429
    assert last.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(last.headers["retry-after"]) <= 31
    assert len(host.attempts) == 2


def test_many_texts_to_embed_are_one_request_of_a_rate(host: FakeHost, keyed: House) -> None:
    """However many of them are under way at once."""
    body = {"model": "cloud/vectors", "input": [f"text {n}" for n in range(12)]}
    made = [keyed.post("/v1/embeddings", body, **bearer("slow")) for _ in range(3)]
    assert [answer.status_code for answer in made] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in made[:2]] == ["1", "0"]
    assert len(host.attempts) == 24, "and nothing of a refused one is sent"


def test_a_limit_that_is_changed_holds_for_the_gateway_that_runs(keyed: House, own_home: Path) -> None:
    from msgspec.structs import replace

    assert [chat(keyed, "slow").status_code for _ in range(3)] == [200, 200, 429]
    books = SqliteBooks(own_home / "data" / FILE)
    books.change("k-slow", lambda key: replace(key, rate=Rate()))
    until(lambda: chat(keyed, "slow").status_code == 200)
    books.change("k-slow", lambda key: replace(key, budgets=(Budget(unit="usd", limit=1),)))
    until(lambda: chat(keyed, "slow").status_code == 429)
    books.close()


def test_who_leaves_pays_the_upper_bound_and_no_more(keyed: House, host: FakeHost) -> None:
    host.answer = "word " * 50
    host.fault = Fault("stall", 3)
    leave(keyed, {**ASKED, "max_tokens": 1000}, after=b"word", headers=bearer("poor"))
    until(lambda: not keyed.gateway.active)
    host.fault = None
    assert chat(keyed, "poor", max_tokens=1000).status_code == 429  # 0.0012 of 0.0015 counts as spent
    assert chat(keyed, "poor", max_tokens=100).status_code == 200


# ---- Idempotency-Key -----------------------------------------------------------------------------------


def test_the_same_request_twice_is_one_call(keyed: House, host: FakeHost) -> None:
    again = {"headers": {"idempotency-key": "one"}}
    first, second = (chat(keyed, "free", headers={"idempotency-key": "one"}) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    assert len(host.attempts) == 1
    assert chat(keyed, "free", content="something else", **again).status_code == 409
    assert chat(keyed, "other", headers={"idempotency-key": "one"}).status_code == 200  # another's key is another's
    assert len(host.attempts) == 2


def test_a_stream_is_given_again_whole(keyed: House, host: FakeHost) -> None:
    headers = {**bearer("free"), "idempotency-key": "stream"}
    first, second = (keyed.http.post("/v1/chat/completions", json=ASKED, headers=headers) for _ in range(2))
    assert first.text == second.text and first.text.endswith("data: [DONE]\n\n")
    assert second.headers["content-type"] == "text/event-stream"
    assert len(host.attempts) == 1


def test_at_the_same_time_is_one_call_too(keyed: House, host: FakeHost) -> None:
    host.fault = Fault("slow", 1.0)
    answers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(chat(keyed, "free", headers={"idempotency-key": "x"}).status_code)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [200, 409, 409, 409]
    assert len(host.attempts) == 1


def test_what_was_refused_before_anything_was_sent_may_be_asked_again(keyed: House, host: FakeHost) -> None:
    assert chat(keyed, "free", model="no/such-model", headers={"idempotency-key": "n"}).status_code == 404
    assert chat(keyed, "free", model="no/such-model", headers={"idempotency-key": "n"}).status_code == 404
    assert chat(keyed, "free", headers={"idempotency-key": "n"}).status_code == 200
    assert len(host.attempts) == 1


def test_who_left_is_told_so_and_nothing_is_paid_twice(keyed: House, host: FakeHost) -> None:
    host.fault = Fault("stall", 3)
    host.answer = "one two three four five"
    leave(keyed, ASKED, after=b"two", headers={**bearer("free"), "idempotency-key": "left"})
    until(lambda: not keyed.gateway.active)
    headers = {**bearer("free"), "idempotency-key": "left", "content-type": "application/json"}
    found = keyed.http.post("/v1/chat/completions", content=json.dumps(ASKED), headers=headers)
    assert found.status_code == 409
    assert found.json()["error"]["code"] == "idempotency_lost"
    assert len(host.attempts) == 1


# ---- who reads the counts ----------------------------------------------------------------------------


def test_counts_are_for_keys_made_to_read_them_which_read_nothing_else(keyed: House, own_home: Path) -> None:
    assert keyed.http.get("/metrics").status_code == 401
    refused = keyed.http.get("/metrics", headers=bearer("free"))
    assert refused.status_code == 403 and "a key that is made for it" in refused.text
    secret = f"im-watcher-{'0' * 40}"
    books = SqliteBooks(own_home / "data" / FILE)
    books.add(VirtualKey(id="k-watcher", name="watcher", digest=digest(secret), metrics=True))
    books.close()
    watcher = {"authorization": f"Bearer {secret}"}
    assert keyed.http.get("/metrics", headers=watcher).text.startswith("# HELP intermodal_")
    assert keyed.http.get("/healthz", headers=watcher).status_code == 200
    for verb, path in PATHS:
        if path not in ("/metrics", "/healthz", "/readyz"):
            found = keyed.http.request(
                verb, path, headers={**watcher, "content-type": "application/json"}, content=b"{}"
            )
            assert found.status_code in (403, 415), path


@pytest.mark.parametrize(("said", "anybody", "key"), [("open", 200, 200), ("off", 401, 404), ("keys", 401, 403)])
def test_the_config_says_who_reads_the_counts(
    configured: Path, own_home: Path, said: str, anybody: int, key: int
) -> None:
    text = configured.read_text()
    configured.write_text(text.replace("[serve.aliases]", f'[serve]\nmetrics = "{said}"\n[serve.aliases]'))
    (own_home / "data").mkdir(exist_ok=True)
    books = SqliteBooks(own_home / "data" / FILE)
    books.add(VirtualKey(id="k-free", name="free", digest=digest(SECRETS["free"])))
    books.close()
    with House() as house:
        assert house.http.get("/metrics").status_code == anybody
        assert house.http.get("/metrics", headers=bearer("free")).status_code == key
