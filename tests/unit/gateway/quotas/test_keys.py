"""Keys, budgets, rates and Idempotency-Key, as clients of the gateway meet them."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from tests.unit.gateway.apis.test_streams import ASKED, leave
from tests.unit.gateway.gateway_server import BY_EXECUTOR, GatewayServer, until

from intermodal.gateway.quotas.authentication import digest
from intermodal.gateway.quotas.quota_types import NANODOLLARS, Budget, RateLimit, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.gateway.routes import ROUTES
from intermodal.store.database import Store
from intermodal.testing import Attempt, FakeHost, Fault

NAMES = (
    "free", "poor", "broke", "slow", "narrow", "gone", "other", "one", "there", "nothing", "begins", "alias", "terse",
    "paced",
)  # fmt: skip
SECRETS = {name: f"im-{name}-{'0' * 40}" for name in NAMES}


@pytest.fixture
def keyed(configured: Path, own_home: Path) -> Iterator[GatewayServer]:
    (own_home / "data").mkdir(exist_ok=True)
    quota_store = SqliteQuotaStore(own_home / "data" / FILE)
    made = {
        "free": VirtualKey(id="k-free", name="free"),
        "other": VirtualKey(id="k-other", name="other"),
        "poor": VirtualKey(id="k-poor", name="poor", budgets=(Budget(unit="usd", limit=int(0.0015 * NANODOLLARS)),)),
        "broke": VirtualKey(id="k-broke", name="broke", budgets=(Budget(unit="usd", limit=1),)),
        "slow": VirtualKey(id="k-slow", name="slow", rate=RateLimit(rpm=2)),
        "terse": VirtualKey(id="k-terse", name="terse", budgets=(Budget(unit="tokens", limit=2500),)),
        "paced": VirtualKey(id="k-paced", name="paced", rate=RateLimit(tpm=2500)),
        "narrow": VirtualKey(id="k-narrow", name="narrow", models=("cloud/seeing",), policies=("cheap",)),
        "gone": VirtualKey(id="k-gone", name="gone"),
        "one": VirtualKey(id="k-one", name="one", models=("cloud/strong",)),
        "there": VirtualKey(id="k-there", name="there", models=("cloud:cloud/strong",)),
        "nothing": VirtualKey(id="k-nothing", name="nothing", policies=("no-such",)),
        "begins": VirtualKey(id="k-begins", name="begins", models=("cloud/*",)),
        "alias": VirtualKey(id="k-alias", name="alias", models=("gpt-4o",)),
    }
    for name, key in made.items():
        import msgspec

        quota_store.add(msgspec.structs.replace(key, digest=digest(SECRETS[name])))
    quota_store.revoke("k-gone", time.time())
    quota_store.close()
    with GatewayServer() as house:
        yield house


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {SECRETS[name]}"}


def chat(house: GatewayServer, name: str, **more: object) -> httpx.Response:
    headers = {**bearer(name), **more.pop("headers", {})}  # type: ignore[dict-item]
    return house.chat(model=str(more.pop("model", "cloud:cloud/strong")), headers=headers, **more)


# ---- who comes in ------------------------------------------------------------------------------------

PATHS = [(verb, path + "x" if path.endswith("/") and path != "/" else path) for verb, path in ROUTES]
NOWHERE = [
    ("GET", "/nope"),
    ("GET", "/v1/files"),
    ("POST", "/v1/models"),
    ("DELETE", "/v1/chat/completions"),
    ("GET", "/"),
]


@pytest.mark.parametrize(("verb", "path"), [*PATHS, *NOWHERE])
@pytest.mark.parametrize("key", ["none", "wrong", "revoked"])
def test_no_route_answers_without_a_key(keyed: GatewayServer, host: FakeHost, verb: str, path: str, key: str) -> None:
    headers = {"none": {}, "wrong": {"authorization": "Bearer im-nobody"}, "revoked": bearer("gone")}[key]
    found = keyed.http.request(verb, path, headers={**headers, "content-type": "application/json"})
    if path in ("/healthz", "/readyz"):
        assert found.status_code == 200
        return
    assert found.status_code == 401, found.text
    assert "error" in found.json()
    assert host.attempts == []


def test_a_key_comes_as_either_family_sends_it(keyed: GatewayServer) -> None:
    assert chat(keyed, "free").status_code == 200
    assert keyed.http.get("/v1/models", headers={"x-api-key": SECRETS["free"]}).status_code == 200
    assert keyed.http.get("/v1/models", headers={"x-api-key": SECRETS["free"], **bearer("other")}).status_code == 400


def test_no_secret_is_said_again(keyed: GatewayServer) -> None:
    for name in ("gone", "broke", "narrow"):
        found = chat(keyed, name)
        assert SECRETS[name] not in found.text and SECRETS[name] not in str(found.headers)
    assert not any("im-" in line for line in keyed.log)


def test_a_key_cannot_read_plans_of_another_key(keyed: GatewayServer) -> None:
    plan = chat(keyed, "free").headers["x-intermodal-plan"]
    assert keyed.http.get(f"/v1/plans/{plan}", headers=bearer("free")).status_code == 200
    assert keyed.http.get(f"/v1/plans/{plan}", headers=bearer("other")).status_code == 404


def test_a_key_asks_for_what_it_may(keyed: GatewayServer, host: FakeHost) -> None:
    assert chat(keyed, "narrow", model="cloud/strong").status_code == 403
    assert chat(keyed, "narrow", model="auto").status_code == 403
    assert chat(keyed, "narrow", model="gpt-4o").status_code == 403
    assert chat(keyed, "narrow", model="policy:once").status_code == 403
    assert chat(keyed, "narrow", model="cloud/strong:latest").status_code == 403
    assert host.attempts == []
    assert chat(keyed, "narrow", model="cloud/seeing").status_code == 200
    assert chat(keyed, "narrow", model="cloud/seeing:latest").status_code == 200
    assert chat(keyed, "narrow", model="policy:cheap").status_code == 200


# ---- money and rates ---------------------------------------------------------------------------------


def test_a_budget_is_held_against_the_most_a_request_may_cost(keyed: GatewayServer, host: FakeHost) -> None:
    found = chat(keyed, "broke")
    assert found.status_code == 429
    assert found.json()["error"]["code"] == "insufficient_quota"
    assert found.headers["x-should-retry"] == "false"
    assert host.attempts == []
    found = chat(keyed, "poor", max_tokens=4000)  # up to 0.0016 USD
    assert found.status_code == 429
    assert host.attempts == []
    assert chat(keyed, "poor", max_tokens=3500).status_code == 200  # up to 0.0014: one attempt, and not three


def test_what_is_not_spent_can_be_spent_again(keyed: GatewayServer, host: FakeHost) -> None:
    for _ in range(30):  # each may take 0.0006 of 0.0015, and takes a thousandth of that
        assert chat(keyed, "poor", max_tokens=1500).status_code == 200
    assert len(host.attempts) == 30


def test_as_many_at_once_as_the_budget_has_room_for_and_no_more(keyed: GatewayServer, host: FakeHost) -> None:
    answers: list[int] = []
    enough = threading.Event()

    def slowly(attempt: Attempt) -> str:
        enough.wait(300)
        return "word " * 400

    def ask() -> None:
        answers.append(chat(keyed, "poor", max_tokens=400).status_code)

    host.answer = slowly
    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 300
    while len(answers) < 3 and time.monotonic() < end:  # nobody's budget comes free while the host is at work
        time.sleep(0.02)
    enough.set()
    for thread in threads:
        thread.join(300)
    assert set(answers) <= {200, 429}
    assert answers.count(200) == 9  # up to 0.00016 each of 0.0015
    assert len(host.attempts) == answers.count(200)


def learn_lengths(keyed: GatewayServer, host: FakeHost, home: Path, tokens: int) -> None:
    """Have the gateway know how long the host's answers are."""
    host.answer = "word " * tokens
    for _ in range(60):  # few do not tell how long a long one is
        assert chat(keyed, "free").status_code == 200
    store = Store(home / "data" / "store.sqlite3")
    until(lambda: len(store.attempts()) == 60)
    epoch = store.learn().epoch
    assert epoch > 0

    def noticed() -> bool:
        return (
            chat(keyed, "free").status_code == 200 and keyed.gateway.client.epoch >= epoch
        )  # it learns by itself, too

    until(noticed)
    host.attempts.clear()


@pytest.mark.usefixtures("either_way")
def test_where_lengths_are_known_a_budget_has_room_for_the_answers_that_are_expected(
    keyed: GatewayServer, host: FakeHost, own_home: Path
) -> None:
    """Up to 0.0032 each of 0.0015, and 0.000012 as all of them were: 12 at once, with limits that the budget has room
    for, which bounds them as surely as the one that was asked for."""
    learn_lengths(keyed, host, own_home, 30)
    enough = threading.Event()

    def slowly(attempt: Attempt) -> str:
        enough.wait(300)
        return "word " * 30

    host.answer = slowly
    found: list[httpx.Response] = []
    threads = [
        threading.Thread(target=lambda: found.append(chat(keyed, "poor", max_tokens=8000, stream=True)))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(host.attempts) + len(found) >= 12)
    enough.set()
    for thread in threads:
        thread.join(300)
    assert [each.status_code for each in found] == [200] * 12, [each.text for each in found if each.status_code != 200]
    limits = [attempt.json["max_tokens"] for attempt in host.attempts]
    assert 60 < min(limits) <= max(limits) < 300, "more than such answers take, and enough is left for the others"
    assert sorted(each.headers["x-intermodal-max-tokens"] for each in found) == sorted(map(str, limits))
    until(lambda: not keyed.gateway.active)
    paid = sum(each.input_tokens * 0.1e-6 + each.output_tokens * 0.4e-6 for each in host.attempts)
    until(lambda: spent(own_home, "k-poor")[0] == pytest.approx(paid, abs=1e-7))


def test_an_answer_longer_than_the_budget_has_room_for_is_cut_and_says_why(
    keyed: GatewayServer, host: FakeHost, own_home: Path
) -> None:
    learn_lengths(keyed, host, own_home, 30)
    host.answer = "word " * 5000
    counting = {"stream": True, "stream_options": {"include_usage": True}}
    found = chat(keyed, "poor", max_tokens=8000, **counting)
    limit = int(found.headers["x-intermodal-max-tokens"])
    assert 60 < limit < 300
    events = [json.loads(line[6:]) for line in found.text.split("\n\n") if line.startswith("data: {")]
    assert [reason for each in events for choice in each["choices"] if (reason := choice["finish_reason"])] == [
        "length"
    ]
    assert events[-1]["usage"]["completion_tokens"] == limit
    notes = events[-1]["usage"]["intermodal"]["notes"]
    assert any("the budget of this key has no room for an answer of 8000 tokens" in note for note in notes), notes


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("most", "cut"), [(5, True), (500, False)])
def test_an_answer_that_ended_at_its_limit_is_kept_as_one(
    keyed: GatewayServer, host: FakeHost, own_home: Path, most: int, cut: bool
) -> None:
    """What is learned of lengths takes it for one that would have been longer."""
    host.answer = "word " * 50
    assert chat(keyed, "free", max_tokens=most, stream=True).status_code == 200
    until(lambda: len(Store(own_home / "data" / "store.sqlite3").attempts()) == 1)
    until(lambda: not keyed.gateway.active)
    (row,) = Store(own_home / "data" / "store.sqlite3").attempts()
    assert row.outcome is not None and row.outcome.cut is cut


def test_where_lengths_are_not_known_the_upper_bound_is_kept(keyed: GatewayServer, host: FakeHost) -> None:
    assert chat(keyed, "poor", max_tokens=8000).status_code == 429
    assert host.attempts == []


@pytest.mark.usefixtures("either_way")
def test_a_budget_that_runs_out_between_two_requests_of_one_line_refuses_the_second(
    keyed: GatewayServer, host: FakeHost
) -> None:
    host.answer = "word " * 400
    body = {"model": "cloud:cloud/strong", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 400}
    said = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {SECRETS['poor']}\r\n"
    one = head.encode() + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said) + said
    last = one.replace(b"host:", b"connection: close\r\nhost:")
    found = keyed.raw(one * 11 + last, seconds=20)
    statuses = [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", found)]
    paid = statuses.count(200)
    assert statuses == [200] * paid + [429] * (12 - paid)
    assert 1 < paid < 12 and len(host.attempts) == paid
    told = [json.loads(said) for said in re.findall(rb'{"error".*?}}}', found)]
    assert {each["error"]["code"] for each in told} == {"insufficient_quota"}, "nothing is running that would end"
    spent = sum(attempt.input_tokens * 0.1e-6 + attempt.output_tokens * 0.4e-6 for attempt in host.attempts)
    assert spent <= 0.0015 < spent + 0.0005  # what one more may cost
    assert f"${spent:.6f} of the $0.0015" in told[0]["error"]["message"]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["passed on", "by the executor"])
def test_an_attempt_that_the_budget_has_no_room_for_is_not_made(
    keyed: GatewayServer, host: FakeHost, own_home: Path, more: dict[str, object]
) -> None:
    """After one that may have been paid for. What it failed of is told, and why it was not tried again."""
    host.fault = Fault("broken")
    found = chat(keyed, "poor", max_tokens=2500, **more)  # up to 0.001 of 0.0015
    assert found.status_code == 502 and len(host.attempts) == 1
    assert "the budget of this key has no room" in found.json()["error"]["message"]
    until(lambda: spent(own_home, "k-poor")[0] > 0)
    counted, unreported = spent(own_home, "k-poor")
    assert 0.001 <= counted == unreported <= 0.0011, "once"
    assert found.json()["error"]["intermodal"]["cost"] == pytest.approx(counted, abs=1e-5), "what is told is counted"
    keyed.until_written()  # what was set aside for it is given back
    host.attempts.clear()
    again = chat(keyed, "poor", max_tokens=500, **more)  # up to 0.0002
    assert again.status_code == 502
    assert len(host.attempts) == 2, again.text
    assert len(host.attempts) == 2, "for a second one there was room"
    until(lambda: spent(own_home, "k-poor")[0] > 0.0013)
    assert spent(own_home, "k-poor")[0] <= 0.0015


def tokens(own_home: Path, key: str) -> tuple[int, int]:
    """Tokens, and how many of them nobody told."""
    with closing(SqliteQuotaStore(own_home / "data" / FILE)) as quota_store:
        rows = [row for row in quota_store.spending() if row.account.startswith(f"{key}/tokens/")]
    return sum(row.spent for row in rows), sum(row.unknown for row in rows)


BOTH_PATHS = pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["passed on", "by the executor"])


@pytest.mark.usefixtures("either_way")
@BOTH_PATHS
def test_each_attempt_that_a_host_may_have_read_takes_its_own_tokens(
    keyed: GatewayServer, host: FakeHost, own_home: Path, more: dict[str, object]
) -> None:
    host.fault = Fault("broken")
    assert chat(keyed, "free", max_tokens=1000, **more).status_code == 502
    made = len(host.attempts)
    assert made > 1
    keyed.until_written()
    until(lambda: tokens(own_home, "k-free")[0] > 0)
    counted, unreported = tokens(own_home, "k-free")
    assert counted == unreported
    assert made * 1000 < counted < made * 1100, "each of them may have read the question and written 1,000 tokens"


@pytest.mark.usefixtures("either_way")
@BOTH_PATHS
@pytest.mark.parametrize("name", ["terse", "paced"])
def test_an_attempt_that_the_tokens_of_a_key_have_no_room_for_is_not_made(
    keyed: GatewayServer, host: FakeHost, own_home: Path, name: str, more: dict[str, object]
) -> None:
    host.fault = Fault("broken")
    found = chat(keyed, name, max_tokens=1500, **more)  # up to 1,540 of 2,500
    assert found.status_code == 502 and len(host.attempts) == 1
    message = found.json()["error"]["message"]
    assert "tokens, for which the budget of this key has no room" in message
    host.fault = None
    assert chat(keyed, name, max_tokens=1500, **more).status_code == 429, "what failed may have been read"
    assert chat(keyed, name, max_tokens=500, **more).status_code == 200
    assert len(host.attempts) == 2


@pytest.mark.usefixtures("either_way")
@BOTH_PATHS
def test_what_the_last_attempt_tells_is_counted_beside_what_an_earlier_one_may_have_taken(
    keyed: GatewayServer, host: FakeHost, own_home: Path, more: dict[str, object]
) -> None:
    host.fault = Fault("broken", times=1)
    assert chat(keyed, "free", max_tokens=1000, **more).status_code == 200
    assert len(host.attempts) == 2
    keyed.until_written()
    until(lambda: tokens(own_home, "k-free")[0] > 0)
    counted, unreported = tokens(own_home, "k-free")
    told = host.attempts[1].input_tokens + host.attempts[1].output_tokens
    assert 1000 < unreported < 1100 and counted == unreported + told


def test_a_refused_call_of_the_host_costs_nothing(keyed: GatewayServer, host: FakeHost) -> None:
    host.fault = Fault("policy")
    for _ in range(5):
        assert chat(keyed, "poor", max_tokens=1000).status_code == 400
    host.fault = None
    assert chat(keyed, "poor", max_tokens=1000).status_code == 200


def test_rates_are_said_and_kept(keyed: GatewayServer, host: FakeHost) -> None:
    first = chat(keyed, "slow")
    assert first.status_code == 200
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert chat(keyed, "slow").status_code == 200
    last = chat(keyed, "slow")
    assert last.status_code == 429
    assert last.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(last.headers["retry-after"]) <= 31
    assert len(host.attempts) == 2


def test_many_texts_to_embed_are_one_request_of_a_rate(host: FakeHost, keyed: GatewayServer) -> None:
    """However many of them are under way at once."""
    body = {"model": "cloud/vectors", "input": [f"text {n}" for n in range(12)]}
    made = [keyed.post("/v1/embeddings", body, **bearer("slow")) for _ in range(3)]
    assert [answer.status_code for answer in made] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in made[:2]] == ["1", "0"]
    assert len(host.attempts) == 24, "and nothing of a refused one is sent"


def test_a_limit_that_is_changed_holds_for_the_gateway_that_runs(keyed: GatewayServer, own_home: Path) -> None:
    from msgspec.structs import replace

    assert [chat(keyed, "slow").status_code for _ in range(3)] == [200, 200, 429]
    quota_store = SqliteQuotaStore(own_home / "data" / FILE)
    quota_store.change("k-slow", lambda key: replace(key, rate=RateLimit()))
    until(lambda: chat(keyed, "slow").status_code == 200)
    quota_store.change("k-slow", lambda key: replace(key, budgets=(Budget(unit="usd", limit=1),)))
    until(lambda: chat(keyed, "slow").status_code == 429)
    quota_store.close()


def test_who_leaves_pays_the_upper_bound_and_no_more(keyed: GatewayServer, host: FakeHost) -> None:
    host.answer = "word " * 50
    host.fault = Fault("stall", 3)
    leave(keyed, {**ASKED, "max_tokens": 1000}, after=b"word", headers=bearer("poor"))
    until(lambda: not keyed.gateway.active)
    host.fault = None
    assert chat(keyed, "poor", max_tokens=2900).status_code == 429  # 0.0004 of 0.0015 is spent; it may take 0.00116
    assert chat(keyed, "poor", max_tokens=2600).status_code == 200


def spent(own_home: Path, key: str) -> tuple[float, float]:
    """USD, and how much of it nobody told."""
    with closing(SqliteQuotaStore(own_home / "data" / FILE)) as quota_store:
        rows = [row for row in quota_store.spending() if row.account.startswith(f"{key}/usd/")]
    return sum(row.spent for row in rows) / NANODOLLARS, sum(row.unknown for row in rows) / NANODOLLARS


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("long", [False, True], ids=["passed on", "by the executor"])
@pytest.mark.parametrize("ends", ["cut", "left"])
def test_an_attempt_of_which_nobody_tells_counts_once_at_what_it_may_have_cost(
    keyed: GatewayServer, host: FakeHost, own_home: Path, long: bool, ends: str
) -> None:
    host.answer = "word " * 50
    host.fault = Fault("cut" if ends == "cut" else "stall", 3)
    tree = {**ASKED, "max_tokens": 1000, **(BY_EXECUTOR if long else {})}
    if ends == "cut":
        assert "error" in chat(keyed, "free", stream=True, **{k: v for k, v in tree.items() if k not in ASKED}).text
    else:
        leave(keyed, tree, after=b"word", headers=bearer("free"))
    until(lambda: not keyed.gateway.active)
    assert len(host.attempts) == 1
    until(lambda: spent(own_home, "k-free")[0] > 0)
    counted, unreported = spent(own_home, "k-free")
    assert 0.0004 <= counted < 0.0005, "1,000 tokens at $0.4 a million, and what was sent: once"
    assert unreported == counted


def test_who_leaves_before_it_is_sent_again_pays_nothing_for_that(
    keyed: GatewayServer, host: FakeHost, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host.fault = Fault("limited", 7)
    caplog.set_level("INFO", "intermodal.run")
    leave(
        keyed, {**ASKED, "max_tokens": 1000}, headers=bearer("free"),
        when=lambda: "failed: rate_limited" in caplog.text,  # whoever leaves before may have been charged
    )  # fmt: skip
    until(lambda: not keyed.gateway.active)
    assert len(host.attempts) == 1
    host.fault = None
    assert chat(keyed, "free", max_tokens=1000).status_code == 200
    until(lambda: spent(own_home, "k-free")[0] > 0)
    counted, unreported = spent(own_home, "k-free")
    assert counted < 0.00001 and unreported == 0, "what the second one cost, and nothing of the first"


# ---- what it may ask for ------------------------------------------------------------------------------

MAY_ASK = {
    "narrow": {"cloud/seeing", "policy:cheap"}, "one": {"cloud/strong", "gpt-4o"}, "there": {"cloud:cloud/strong"},
    "nothing": set[str](), "alias": {"gpt-4o"}, "begins": {"cloud/seeing", "cloud/strong", "cloud/vectors", "gpt-4o"},
}  # fmt: skip


@pytest.mark.parametrize("name", MAY_ASK)
def test_a_key_is_shown_what_it_may_ask_for_and_nothing_else(keyed: GatewayServer, name: str) -> None:
    every = {row["id"] for row in keyed.http.get("/v1/models", headers=bearer("free")).json()["data"]}
    shown = {row["id"] for row in keyed.http.get("/v1/models", headers=bearer(name)).json()["data"]}
    assert shown == MAY_ASK[name]
    tags = {row["name"] for row in keyed.http.get("/api/tags", headers=bearer(name)).json()["models"]}
    assert tags == shown - {"cloud/vectors"}
    for each in every | shown:
        asked = {"model": each}
        seen = keyed.http.post("/api/show", json=asked, headers=bearer(name)).status_code
        assert seen == keyed.http.get(f"/v1/models/{each}", headers=bearer(name)).status_code
        assert seen == (200 if each in shown else 404), each


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=str)
def test_who_may_ask_for_a_model_may_ask_for_it_at_its_host(keyed: GatewayServer, more: dict[str, object]) -> None:
    asked = {
        "one": {"cloud/strong": 200, "cloud:cloud/strong": 200, "gpt-4o": 200, "cloud:cloud/seeing": 403},
        "there": {"cloud/strong": 403, "cloud:cloud/strong": 200, "gpt-4o": 403, "cloud:cloud/seeing": 403},
        "begins": {"cloud/strong": 200, "cloud:cloud/strong": 200, "auto": 403, "other:cloud/strong": 403},
    }
    for name, models in asked.items():
        for model, status in models.items():
            assert chat(keyed, name, model=model, **more).status_code == status, (name, model)


# ---- Idempotency-Key -----------------------------------------------------------------------------------


def test_the_same_request_twice_is_one_call(keyed: GatewayServer, host: FakeHost) -> None:
    again = {"headers": {"idempotency-key": "one"}}
    first, second = (chat(keyed, "free", headers={"idempotency-key": "one"}) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    assert len(host.attempts) == 1
    assert chat(keyed, "free", content="something else", **again).status_code == 409
    assert chat(keyed, "other", headers={"idempotency-key": "one"}).status_code == 200  # another's key is another's
    assert len(host.attempts) == 2


def test_a_stream_is_given_again_whole(keyed: GatewayServer, host: FakeHost) -> None:
    headers = {**bearer("free"), "idempotency-key": "stream"}
    first, second = (keyed.http.post("/v1/chat/completions", json=ASKED, headers=headers) for _ in range(2))
    assert first.text == second.text and first.text.endswith("data: [DONE]\n\n")
    assert second.headers["content-type"] == "text/event-stream"
    assert len(host.attempts) == 1


def test_at_the_same_time_is_one_call_too(keyed: GatewayServer, host: FakeHost) -> None:
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
        thread.join(300)
    assert sorted(answers) == [200, 409, 409, 409]
    assert len(host.attempts) == 1


def test_what_was_refused_before_anything_was_sent_may_be_asked_again(keyed: GatewayServer, host: FakeHost) -> None:
    assert chat(keyed, "free", model="no/such-model", headers={"idempotency-key": "n"}).status_code == 404
    assert chat(keyed, "free", model="no/such-model", headers={"idempotency-key": "n"}).status_code == 404
    assert chat(keyed, "free", headers={"idempotency-key": "n"}).status_code == 200
    assert len(host.attempts) == 1


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("more", [{}, {"stream": True}, BY_EXECUTOR], ids=str)
@pytest.mark.parametrize(("fault", "status"), [(Fault("limited", 500), 429), (Fault("unavailable"), 503)], ids=str)
def test_what_every_host_refused_may_be_asked_again(
    keyed: GatewayServer, host: FakeHost, fault: Fault, status: int, more: dict[str, object]
) -> None:
    host.fault = fault
    for _ in range(2):
        refused = chat(keyed, "free", headers={"idempotency-key": "r"}, **more)
        assert refused.status_code == status, refused.text
        assert "idempotency-replayed" not in refused.headers
    asked, host.fault = len(host.attempts), None
    assert chat(keyed, "free", headers={"idempotency-key": "r"}, **more).status_code == 200
    assert len(host.attempts) == asked + 1
    again = chat(keyed, "free", headers={"idempotency-key": "r"}, **more)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert len(host.attempts) == asked + 1


def test_of_several_texts_one_that_was_refused_takes_back_no_other(keyed: GatewayServer, host: FakeHost) -> None:
    tree = {"model": "cloud/vectors", "input": [f"text {each}" for each in range(16)]}
    headers = {**bearer("free"), "idempotency-key": "v"}
    assert keyed.http.post("/v1/embeddings", json=tree, headers=bearer("free")).status_code == 200
    host.fault, asked = Fault("limited", 500, times=1), len(host.attempts)
    first = keyed.http.post("/v1/embeddings", json=tree, headers=headers)
    assert first.status_code == 429
    others = len(host.attempts) > asked + 1  # that were answered, or cut off in the middle
    again = keyed.http.post("/v1/embeddings", json=tree, headers=headers)
    assert not others or again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("more", [{}, {"stream": True}], ids=str)
def test_what_may_have_been_paid_is_said_again_with_its_headers(
    keyed: GatewayServer, host: FakeHost, more: dict[str, object]
) -> None:
    host.fault = Fault("gone")
    failed, again = (chat(keyed, "free", headers={"idempotency-key": "f"}, **more) for _ in range(2))
    assert failed.status_code == again.status_code == 502
    assert failed.headers["x-should-retry"] == again.headers["x-should-retry"] == "false"
    host.fault, asked = None, len(host.attempts)
    answered, same = (chat(keyed, "free", headers={"idempotency-key": "g"}, **more) for _ in range(2))
    assert len(host.attempts) == asked + 1
    ours = [{k: v for k, v in each.headers.items() if k.startswith("x-intermodal-")} for each in (answered, same)]
    assert ours[0] == ours[1] and ours[0]["x-intermodal-route"] == "cloud:cloud/strong"
    assert answered.headers["x-request-id"] != same.headers["x-request-id"]


def test_who_left_is_told_so_and_nothing_is_paid_twice(keyed: GatewayServer, host: FakeHost) -> None:
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


def test_counts_are_for_keys_made_to_read_them_which_read_nothing_else(keyed: GatewayServer, own_home: Path) -> None:
    assert keyed.http.get("/metrics").status_code == 401
    refused = keyed.http.get("/metrics", headers=bearer("free"))
    assert refused.status_code == 403 and "a key that is made for it" in refused.text
    secret = f"im-watcher-{'0' * 40}"
    quota_store = SqliteQuotaStore(own_home / "data" / FILE)
    quota_store.add(VirtualKey(id="k-watcher", name="watcher", digest=digest(secret), metrics=True))
    quota_store.close()
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
    quota_store = SqliteQuotaStore(own_home / "data" / FILE)
    quota_store.add(VirtualKey(id="k-free", name="free", digest=digest(SECRETS["free"])))
    quota_store.close()
    with GatewayServer() as house:
        assert house.http.get("/metrics").status_code == anybody
        assert house.http.get("/metrics", headers=bearer("free")).status_code == key
