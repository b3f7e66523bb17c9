"""A gateway that is killed with a request on its way: what is charged for it is what was sent, and no more."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply, answer, refusal
from tests.gates.serve_process import PLAIN, Served
from tests.gates.test_gateway_money import keys, spending
from tests.unit.gateway.gateway_server import BY_EXECUTOR, STRONG, config

from intermodal.store.database import Store

pytestmark = [pytest.mark.gate, pytest.mark.timeout(300)]

TOLD = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}], "usage": {
    "prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}}  # fmt: skip
NEVER = answer(["hi"], pause=600.0)
SOON, LATER = ({"retry-after": seconds} for seconds in ("0.05", "60"))
# What a host does with one request after the other -> how many of them may have been paid for.
COURSES: dict[str, tuple[Sequence[ScriptedReply], int]] = {
    "sent": ([NEVER], 1),
    "refused-sent": ([refusal(429, headers=SOON), NEVER], 1),
    "refused-waits": ([refusal(429, headers=LATER)], 0),
    "maybe-paid-sent": ([refusal(500, {}), NEVER], 2),
}
BY = {"passed on": {}, "by the executor": BY_EXECUTOR}


class Host:
    """Plays a course to the requests that name it, and answers all others."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    def play(self, body: Mapping[str, Any]) -> ScriptedReply:
        name = body["messages"][-1]["content"]
        plays, _ = COURSES.get(name, ([refusal(200, TOLD, paid=True)] * 100, 0))
        number = self.asked.get(name, 0)
        self.asked[name] = number + 1
        return plays[number]


@pytest.fixture
def dearer(wall: FaultyHost, tmp_path: Path) -> None:
    """A second host of the model, which the plan falls back to, at several times the price."""
    dear = STRONG.replace("= 0.", "= 1.")
    config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG), ("dear", wall.base_url, dear))


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def wall(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHost]:
    with FaultyHost(lambda model, number: NEVER, reader=host.play) as wall:
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield wall


def ask(served: Served, key: str, content: str, **more: Any) -> httpx.Response:
    tree = {"model": "cloud/strong", "max_tokens": 1000, "messages": [{"role": "user", "content": content}], **more}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(
        f"{served.url}/v1/chat/completions", json=tree, headers=headers, timeout=300, trust_env=False, verify=PLAIN
    )


@pytest.mark.parametrize("by", BY)
@pytest.mark.usefixtures("wall")
def test_a_killed_gateway_charges_what_was_sent_and_may_be_paid(by: str, host: Host, tmp_path: Path) -> None:
    """Each course under a key of its own, all of them on their way when the gateway is killed."""
    secrets = {
        course: keys("create", course, "--budget", "1/total", "--tokens", "1000000/day")["secret"] for course in COURSES
    }
    served = Served(tmp_path / "killed.log")
    cost, most = 0.0, 0.0

    def left_alone(course: str) -> None:
        with suppress(httpx.HTTPError):
            ask(served, secrets[course], course, **BY[by])

    asking = [threading.Thread(target=left_alone, args=(course,), daemon=True) for course in COURSES]
    try:
        for secret in secrets.values():
            first = ask(served, secret, "hello")
            assert first.status_code == 200
            cost = float(first.headers["x-intermodal-cost"])
            plan = httpx.get(
                f"{served.url}/v1/plans/{first.headers['x-intermodal-plan']}",
                headers={"authorization": f"Bearer {secret}"}, trust_env=False, verify=PLAIN,
            )  # fmt: skip
            most = plan.json()["plan"]["chosen"]["total"]["cost"]["high"]
        for thread in asking:
            thread.start()
        end = time.monotonic() + 300
        while any(host.asked.get(course, 0) < len(plays) for course, (plays, _) in COURSES.items()):
            assert time.monotonic() < end, host.asked
            time.sleep(0.02)
        time.sleep(1.0)  # what was refused is read: it is known then that nothing is to be paid
    finally:
        served.end(signal.SIGKILL)
    for thread in asking:
        thread.join(300)
    following = Served(tmp_path / "following.log")
    try:
        assert following.chat(secrets["sent"]).status_code == 200
    finally:
        following.end()
    for course, (_, paid) in COURSES.items():
        booked, before = spending(course), cost * (2 if course == "sent" else 1)
        assert booked["set_aside"] == 0, course
        assert booked["unknown"] == pytest.approx(paid * most, rel=0.1), f"{course}: its question is a little longer"
        assert booked["spent"] - booked["unknown"] == pytest.approx(before, abs=1e-8), course
        (key,) = (key for key in keys("list")["keys"] if key["name"] == course)
        (tokens,) = (each for each in key["spending"] if each["unit"] == "tokens")
        assert bool(tokens["unknown"]) == bool(paid), course


@pytest.mark.parametrize("by", BY)
@pytest.mark.usefixtures("wall", "dearer")
def test_a_killed_call_charges_its_key_what_its_row_says_and_not_a_dearer_fallback(
    by: str, host: Host, own_home: Path, tmp_path: Path
) -> None:
    secret = keys("create", "sent", "--budget", "100/total", "--tokens", "1000000/day")["secret"]
    served = Served(tmp_path / "killed.log")

    def left_alone() -> None:
        with suppress(httpx.HTTPError):
            ask(served, secret, "sent", **BY[by])

    asking = threading.Thread(target=left_alone, daemon=True)
    try:
        asking.start()
        end = time.monotonic() + 300
        while not host.asked.get("sent", 0):
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(1.0)  # longer than a lease takes to be written
    finally:
        served.end(signal.SIGKILL)
    asking.join(300)
    Served(tmp_path / "following.log").end()  # it finds what is left of the other
    (row,) = Store(own_home / "data" / "store.sqlite3").attempts(-1)
    booked = spending("sent")
    assert (row.reservation.endpoint, row.state) == ("cloud:cloud/strong", "estimated")
    assert booked["spent"] == booked["unknown"] == pytest.approx(row.spent, abs=1e-8)
