"""C1, C2, C7, A7 and E5 over HTTP: several ``intermodal serve`` on one file of accounts, before a host that counts."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from tests.e2e.command import intermodal
from tests.gates.serve_process import PLAIN, Served
from tests.unit.gateway.gateway_server import STRONG, config, until

from intermodal.testing import Attempt, FakeHost, Fault


def keys(*words: str) -> Any:
    ran = intermodal("keys", *words, "--json")
    assert ran.code == 0, ran.err
    return ran.document


def spending(name: str) -> dict[str, Any]:
    (key,) = (key for key in keys("list")["keys"] if key["name"] == name)
    (found,) = (each for each in key["spending"] if each["unit"] == "usd")
    return dict(found)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    with FakeHost(answer="the hosted answer") as fake:
        path = config(tmp_path / "intermodal.toml", ("cloud", fake.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield fake


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], Served]]:
    started: list[Served] = []

    def start() -> Served:
        started.append(Served(tmp_path / f"serve{len(started)}.log"))
        return started[-1]

    yield start
    for served in started:
        served.end(signal.SIGKILL)


@pytest.mark.timeout(300)
def test_C1_two_servers_share_a_budget_and_never_pass_it(
    host: FakeHost, serve: Callable[[], Served], full_gates: bool
) -> None:
    """Calls pour into both until the budget is gone: what was answered is what was booked, within the budget."""
    key = keys("create", "app", "--budget", "0.002/total")["secret"]
    both = [serve(), serve()]
    calls = 400 if full_gates else 60
    with ThreadPoolExecutor(24) as pool:
        found = list(pool.map(lambda number: both[number % 2].chat(key), range(calls)))
    answered = [each for each in found if each.status_code == 200]
    refused = [each for each in found if each.status_code == 429]
    assert len(answered) + len(refused) == calls, [each.text for each in found if each.status_code not in (200, 429)]
    assert answered and len(host.attempts) == len(answered), "whoever was refused reached nobody"
    codes = {each.json()["error"]["code"] for each in refused}
    assert codes <= {"insufficient_quota", "budget_reserved"}
    for served in both:
        served.end()
    booked = spending("app")
    cost = sum(float(each.headers["x-intermodal-cost"]) for each in answered)
    assert booked["spent"] == pytest.approx(cost, abs=1e-8 * calls) and booked["spent"] <= 0.002
    assert booked["set_aside"] == 0 and booked["unknown"] == 0


@pytest.mark.timeout(300)
def test_C1_a_budget_for_twenty_answers_takes_twenty_at_once(host: FakeHost, serve: Callable[[], Served]) -> None:
    """Each as long as it may be, by two servers: not one in three of them, as a failed attempt might be paid."""
    free = keys("create", "free")["secret"]
    both = [serve(), serve()]
    host.answer = "word " * 100
    first = both[0].chat(free)
    plan = httpx.get(
        f"{both[0].url}/v1/plans/{first.headers['x-intermodal-plan']}", timeout=300, trust_env=False, verify=PLAIN,
        headers={"authorization": f"Bearer {free}"},
    ).json()["plan"]  # fmt: skip
    most = plan["chosen"]["total"]["cost"]["high"]
    poor = keys("create", "poor", "--budget", f"{20.5 * most:.9f}/total")["secret"]
    enough = threading.Event()

    def together(attempt: Attempt) -> str:
        enough.wait(300)
        return "word " * 100

    host.answer = together
    host.attempts.clear()
    found: list[httpx.Response] = []
    asking = [
        threading.Thread(target=lambda number=number: found.append(both[number % 2].chat(poor))) for number in range(30)
    ]
    for thread in asking:
        thread.start()
    end = time.monotonic() + 300
    while len(host.attempts) + len(found) < 30:
        assert time.monotonic() < end, (len(host.attempts), len(found))
        time.sleep(0.02)
    at_once = len(host.attempts)
    enough.set()
    for thread in asking:
        thread.join(300)
    assert at_once == 20 and [each.status_code for each in found].count(200) == 20
    for served in both:
        served.end()
    booked = spending("poor")
    answered = [each for each in found if each.status_code == 200]
    cost = sum(float(each.headers["x-intermodal-cost"]) for each in answered)
    assert booked["spent"] == pytest.approx(cost, abs=1e-7) and booked["spent"] <= 20.5 * most
    assert booked["set_aside"] == 0 and booked["unknown"] == 0


@pytest.mark.timeout(300)
def test_C2_a_server_that_is_killed_leaves_its_open_call_at_the_upper_bound(
    host: FakeHost, serve: Callable[[], Served]
) -> None:
    key = keys("create", "app", "--budget", "1/total")["secret"]
    served = serve()
    assert served.chat(key).status_code == 200
    until(lambda: spending("app")["spent"])  # it is written a moment later
    before = spending("app")["spent"]
    host.fault = Fault("stall", 0)

    def left_alone() -> None:
        with pytest.raises(httpx.HTTPError):
            served.chat(key)

    open_call = threading.Thread(target=left_alone, daemon=True)
    open_call.start()
    end = time.monotonic() + 300
    while len(host.attempts) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    served.end(signal.SIGKILL)
    open_call.join(300)
    host.fault = None
    again = serve()
    booked = spending("app")
    assert booked["unknown"] > 0 and booked["set_aside"] == 0
    assert booked["spent"] == pytest.approx(before + booked["unknown"], abs=1e-9)
    assert again.chat(key).status_code == 200


@pytest.mark.timeout(300)
def test_C7_under_one_idempotency_key_two_servers_make_one_call(host: FakeHost, serve: Callable[[], Served]) -> None:
    key = keys("create", "app")["secret"]
    both = [serve(), serve()]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: both[number % 2].chat(key, idempotency_key="order 1"), range(8)))
    assert len(host.attempts) == 1
    (first,) = {each.text for each in found if each.status_code == 200}
    assert {each.json()["error"]["code"] for each in found if each.status_code != 200} <= {"idempotency_in_progress"}
    for served in both:
        assert served.chat(key, idempotency_key="order 1").text == first
    both[0].end(signal.SIGKILL)
    assert serve().chat(key, idempotency_key="order 1").text == first, "after a kill and in a new process, too"
    assert len(host.attempts) == 1


@pytest.mark.timeout(300)
def test_A7_retries_of_client_and_gateway_do_not_multiply(host: FakeHost, serve: Callable[[], Served]) -> None:
    """OpenAI's client with its usual retries, a host that says 503: three attempts and not nine."""
    key = keys("create", "app", "--budget", "1/total")["secret"]
    served = serve()
    host.fault = Fault("unavailable")
    with (
        openai.OpenAI(base_url=f"{served.url}/v1", api_key=key) as client,
        pytest.raises(openai.APIStatusError) as said,
    ):
        client.chat.completions.create(model="cloud/strong", messages=[{"role": "user", "content": "hello"}])
    assert said.value.response.headers["x-should-retry"] == "false"
    assert 1 <= len(host.attempts) <= 3
    served.end()
    assert spending("app")["spent"] == 0, "a 503 is not charged for"


def test_E5_no_secret_reaches_an_error_a_list_or_the_store(
    host: FakeHost, serve: Callable[[], Served], own_home: Path
) -> None:
    key = keys("create", "app", "--budget", "0/total")["secret"]
    served = serve()
    wrong = "im-" + "c" * 43
    said = [served.chat(key), served.chat(wrong), served.chat(key + "x"), served.chat(f"{key},{key}")]
    assert [each.status_code for each in said] == [429, 401, 401, 401]
    shown = "".join(each.text + str(each.headers) for each in said) + json.dumps(keys("list"))
    assert key not in shown and wrong not in shown
    served.end()
    kept = b"".join(file.read_bytes() for file in (own_home / "data").rglob("*") if file.is_file())
    assert key.encode() not in kept and wrong.encode() not in kept
    assert os.stat(own_home / "data" / "gateway.sqlite3").st_mode & 0o077 == 0
