"""``intermodal serve``, killed with paid requests on their way: the next one finds each of them, at its upper bound."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply, answer, refusal
from tests.gates.serve_process import PLAIN, Served
from tests.unit.gateway.gateway_server import BY_EXECUTOR, STRONG, config

from intermodal.store.database import Store

pytestmark = [pytest.mark.gate, pytest.mark.timeout(300)]

TREE = {"model": "cloud/strong", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
AT_ONCE = 6


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHost]:
    told = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}], "usage": {
        "prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}}  # fmt: skip

    def play(model: str, number: int) -> ScriptedReply:
        """Those before and after are answered; those that are there when it is killed never are."""
        if 0 < number <= AT_ONCE:
            return answer(["hi"], pause=600.0)
        return refusal(200, told, paid=True)

    with FaultyHost(play) as wall:
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield wall


def rows_of(home: Path) -> list[tuple[str, str]]:
    """State and error of each attempt, read past the store, which would make rows of what is left."""
    with closing(sqlite3.connect(home / "data" / "store.sqlite3")) as store:
        return store.execute("SELECT state, error FROM attempts").fetchall()


def on_their_way(wall: FaultyHost, asking: Sequence[threading.Thread]) -> None:
    """Ask, and wait until all of it, and the one before, reached the host."""
    for thread in asking:
        thread.start()
    end = time.monotonic() + 300
    while len(wall.hits) < 1 + AT_ONCE:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_runs_that_were_on_their_way_when_it_was_killed_are_told_apart(
    wall: FaultyHost, own_home: Path, tmp_path: Path
) -> None:
    """By the executor, which writes a run's row when it begins; another gateway that lives keeps its own."""
    long = {**TREE, **BY_EXECUTOR}
    killed, alive = Served(tmp_path / "killed.log"), Served(tmp_path / "alive.log")
    try:
        assert killed.chat("none").status_code == 200

        def ask(served: Served) -> None:
            with suppress(httpx.HTTPError):
                httpx.post(f"{served.url}/v1/chat/completions", json=long, timeout=300, trust_env=False, verify=PLAIN)

        asked = [killed] * (AT_ONCE - 2) + [alive] * 2
        threads = [threading.Thread(target=ask, args=(served,), daemon=True) for served in asked]
        on_their_way(wall, threads)
        killed.end(signal.SIGKILL)
        following = Served(tmp_path / "following.log")
        try:
            assert following.chat("none").status_code == 200
            with closing(sqlite3.connect(own_home / "data" / "store.sqlite3")) as store:
                found = store.execute("SELECT outcome, COUNT(*) FROM runs GROUP BY 1").fetchall()
        finally:
            following.end(signal.SIGKILL)
        assert dict(found)["process_died"] == AT_ONCE - 2
        assert dict(found)["running"] == 2, "a run of a process that lives is left alone"
    finally:
        killed.end(signal.SIGKILL)
        alive.end(signal.SIGKILL)


def test_calls_in_flight_at_a_kill_are_recorded_once(wall: FaultyHost, own_home: Path, tmp_path: Path) -> None:
    served = Served(tmp_path / "first.log")
    assert served.chat("none").status_code == 200
    end = time.monotonic() + 300
    while not rows_of(own_home):  # it is written a moment later, together with others
        assert time.monotonic() < end
        time.sleep(0.02)

    def ask(stream: bool) -> None:
        with suppress(httpx.HTTPError):
            httpx.post(
                f"{served.url}/v1/chat/completions",
                json={**TREE, "stream": stream},
                timeout=300,
                trust_env=False,
                verify=PLAIN,
            )

    threads = [threading.Thread(target=ask, args=(bool(number % 2),), daemon=True) for number in range(AT_ONCE)]
    on_their_way(wall, threads)
    journals = {path.name for path in (own_home / "data").rglob("*.slate")}
    assert len(journals) == 1
    served.end(signal.SIGKILL)
    for thread in threads:
        thread.join(300)

    assert rows_of(own_home) == [("settled", "")]
    both = [Served(tmp_path / f"next{number}.log") for number in range(2)]
    try:
        with ThreadPoolExecutor() as pool:  # whoever opens the store first makes the rows, or both at once
            assert [found.status_code for found in pool.map(lambda each: each.chat("none"), both)] == [200, 200]
        wanted = [*[("estimated", "process_died")] * AT_ONCE, *[("settled", "")] * 3]
        end = time.monotonic() + 300
        while sorted(rows_of(own_home)) != wanted and time.monotonic() < end:
            time.sleep(0.05)
        assert sorted(rows_of(own_home)) == wanted
        assert all(row.spent > 0 for row in Store(own_home / "data" / "store.sqlite3").attempts(-1))
        assert not journals & {path.name for path in (own_home / "data").rglob("*.slate")}
    finally:
        for each in both:
            each.end(signal.SIGKILL)
