"""B1 to B8 through ``intermodal serve``: a real process, clients of four APIs, a wall that fails byte by byte.

What ``test_streams.py`` holds of a run, these hold of what a client of the gateway hears.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tests.gates import upstreams
from tests.gates.clients import CLIENTS, Chat, Client, Heard
from tests.gates.faulty_host import (
    BROKEN,
    HEAD,
    LAST,
    PING,
    ROLE,
    FaultyHost,
    ReceivedRequest,
    ScriptedReply,
    chunk,
    delta,
    refusal,
)
from tests.gates.serve_process import PLAIN, Served, states

pytestmark = [pytest.mark.gate, pytest.mark.timeout(3000)]

SEED = 20_261_126
TOKENS = [f" tökën{number} 東{number}" for number in range(60)]
TEXT = "".join(TOKENS)
OTHER = ["the", " other", " model", " says", " no", " such", " thing"]
CUTS = ("fin", "rst", "stall", "inband", "malformed", "ended")
SIDE_BY_SIDE = 8
USUAL = (5.0, 0.5, "")  # of a gate: seconds to the first word and of silence, more of its config
# Who asks, and what is spoken behind the gateway: each API to itself, and across.
PAIRS = (
    ("chat", "openai"), ("messages", "anthropic"), ("ollama", "ollama"), ("responses", "openai-responses"),
    ("messages", "openai"), ("ollama", "openai"), ("chat", "anthropic"), ("responses", "ollama"),
)  # fmt: skip
ROW = """[[hosts.{host}.models]]
id = "cloud/{model}"
served_as = "{host}-{model}"
input = ["text"]
context = 1000000
tier = "large"
input_mtok = {price}
output_mtok = {price}
"""
HOST = """[hosts.{host}]
base_url = "{url}"
protocol = "{protocol}"
zone = "internet"
timeouts = {{ connect = 5.0, first_token = {window}, between_tokens = {idle} }}
"""


class Gate(NamedTuple):
    """A gateway before a wall. ``plays``: by host and number, as in "first-3"; what has none gets a whole answer."""

    served: Served
    wall: FaultyHost
    plays: dict[str, ScriptedReply]
    home: Path
    asked: Counter[str]  # how often each was

    def asks(self, client: Client, model: str, headers: dict[str, str] | None = None, **more: Any) -> tuple[int, bytes]:
        """Status and body, however it comes."""
        with httpx.Client(timeout=300, trust_env=False, verify=PLAIN, headers=headers) as http:
            found = http.post(f"{self.served.url}{client.path}", json=client.body(model, **more))
            return found.status_code, found.content

    def hears(self, client: Client, model: str, **more: Any) -> Heard:
        status, data = self.asks(client, model, **more)
        assert status == 200, data
        return client.hear(data)


# Hosts by name; ``first`` and ``other`` serve the same models, and first is cheaper.
HOSTS = {"first": "openai", "other": "openai", **{f"by-{protocol}": protocol for protocol in upstreams.PROTOCOLS}}


@pytest.fixture
def gate(tmp_path: Path, own_home: Path, request: pytest.FixtureRequest) -> Iterator[Gate]:
    """A gateway, and hosts of each protocol behind it."""
    window, idle, more = getattr(request, "param", USUAL)
    plays: dict[str, ScriptedReply] = {}
    asked: Counter[str] = Counter()

    def script(model: str, number: int) -> ScriptedReply:
        asked[model] = number + 1
        return plays.get(model) or upstreams.whole(HOSTS[model.rpartition("-")[0]], OTHER)

    with FaultyHost(script) as wall:
        text = "max_cost = 1e9\n" + more
        for number in range(SIDE_BY_SIDE):  # or whoever turned out faster would come first
            text += f'[policies.m{number}]\nmodel = "cloud/{number}"\nobjective = "cheapest"\n'
            text += f'[policies.b{number}]\nmodel = "cloud/{number}"\nobjective = "cheapest"\nstreaming = "buffered"\n'
        for host, protocol in HOSTS.items():
            root = wall.base_url.removesuffix("/v1") if protocol == "ollama" else wall.base_url
            text += HOST.format(host=host, url=root, protocol=protocol, window=window, idle=idle)
            for number in range(SIDE_BY_SIDE):
                model = number if host in ("first", "other") else f"{host}-{number}"
                price = 1.0 if host == "other" else 0.1
                text += ROW.format(host=host, model=number, price=price).replace(f"cloud/{number}", f"cloud/{model}")
        path = tmp_path / "intermodal.toml"
        path.write_text(text)
        served = Served(tmp_path / "serve.log", {**os.environ, "INTERMODAL_CONFIG": str(path)})
        try:
            yield Gate(served, wall, plays, own_home, asked)
            assert "unexpected" not in served.log.read_text(), served.log.read_text()
        finally:
            served.end(signal.SIGKILL)


def each(work: list[Any], do: Callable[[int, Any], None]) -> None:
    """All of it, some side by side; each has a number of its own that is nobody else's meanwhile."""
    jobs = iter(work)
    lock = threading.Lock()

    def along(number: int) -> None:
        while True:
            with lock:
                job = next(jobs, None)
            if job is None:
                return
            do(number, job)

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for done in [pool.submit(along, number) for number in range(SIDE_BY_SIDE)]:
            done.result()


def test_B1_a_cut_at_any_token_is_an_error_after_what_was_said(gate: Gate, full_gates: bool) -> None:
    chance = random.Random(SEED)
    work = [
        (client, protocol, manner, position)
        for client, protocol in PAIRS
        for manner in CUTS
        for position in (range(1, 61) if full_gates else [chance.randrange(1, 61)])
    ]

    def one(number: int, job: tuple[str, str, str, int]) -> None:
        name, protocol, manner, position = job
        gate.plays[f"by-{protocol}-{number}"] = upstreams.cut(protocol, TOKENS, position, manner)
        heard = gate.hears(CLIENTS[name], f"by-{protocol}:cloud/by-{protocol}-{number}")
        assert heard.failed and heard.starts <= 1, (job, heard)
        assert TEXT.startswith(heard.text), (job, heard)
        if manner != "rst":  # a reset may overtake what was sent before it
            assert heard.text == "".join(TOKENS[:position]), (job, heard)

    each(work, one)
    assert len(gate.wall.hits) == len(work), "nobody was asked twice"


def test_B1_a_whole_answer_is_whole_however_it_comes(gate: Gate, full_gates: bool) -> None:
    work = [(client, protocol, size) for client, protocol in PAIRS for size in (range(1, 31) if full_gates else (3,))]

    def one(number: int, job: tuple[str, str, int]) -> None:
        name, protocol, size = job
        gate.plays[f"by-{protocol}-{number}"] = upstreams.torn(protocol, TOKENS, size)
        heard = gate.hears(CLIENTS[name], f"by-{protocol}:cloud/by-{protocol}-{number}")
        assert heard.succeeded and heard.text == TEXT, (job, heard)

    each(work, one)
    for client in CLIENTS.values():  # complete, but for its last word, on a connection that stays open
        *pieces, _, _ = upstreams.whole("openai", TOKENS).pieces
        gate.plays["by-openai-0"] = ScriptedReply(pieces, end="stall", paid=True)
        heard = gate.hears(client, "by-openai:cloud/by-openai-0")
        assert heard.succeeded and heard.text == TEXT


@pytest.mark.parametrize("gate", [(60.0, 60.0, "")], indirect=True)  # it is about cuts, and not about who is slow
def test_B2_no_answer_mixes_two_models(gate: Gate, full_gates: bool) -> None:
    """Cuts anywhere, before the first word too, with a fallback at hand."""
    cuts = 10_000 if full_gates else 40
    chance = random.Random(SEED)
    # Every second is a whole answer: five failures in a row, with what is sent again, and it is left alone for a while.
    work = [
        None if n % 2 else (chance.choice((0, 1, chance.randrange(60))), chance.choice(("fin", "inband", "ended")))
        for n in range(2 * cuts)
    ]
    share = -(-len(work) // SIDE_BY_SIDE // 2) * 2
    met: Counter[str] = Counter()

    def one(number: int, at: int) -> None:
        client, first = tuple(CLIENTS.values())[number % len(CLIENTS)], f"first-{number}"
        for found in work[at : at + share]:
            tokens = TOKENS if found is not None else ["all", " of", " it"]
            play = upstreams.whole("openai", tokens) if found is None else upstreams.cut("openai", tokens, *found)
            before, gate.plays[first] = gate.asked[first], play
            heard = gate.hears(client, f"policy:m{number}")
            assert gate.asked[first] > before, "the first was asked"
            if found is None:
                assert heard.succeeded and heard.text == "all of it", heard
            elif found[0] == 0:
                assert heard.succeeded and heard.text == "".join(OTHER), (found, heard)
                met["fell back"] += 1
            else:
                cut = heard.failed and heard.starts == 1 and heard.text == "".join(TOKENS[: found[0]])
                assert cut, (client.path, found, heard, gate.served.log.read_text().splitlines()[-SIDE_BY_SIDE:])
                met["cut"] += 1

    each(list(range(0, len(work), share)), one)
    assert met["fell back"] > cuts // 5 and met["cut"] > cuts // 5, met


@pytest.mark.parametrize(
    ("gate", "how"),
    [(USUAL, "header"), (USUAL, "policy"), ((5.0, 0.5, '[serve]\nstreaming = "buffered"\n'), "config")],
    indirect=["gate"], ids=["header", "policy", "config"],
)  # fmt: skip
def test_A1_a_buffered_answer_is_taken_over_wherever_it_dies(gate: Gate, how: str, full_gates: bool) -> None:
    """Nothing is shown before all of it is there: one that dies in the middle is another's turn."""
    chance = random.Random(SEED)
    places = range(1, 60) if full_gates else [chance.randrange(1, 60)]
    work = [(client, place, manner) for client in CLIENTS for place in places for manner in CUTS if manner != "stall"]
    headers = {"x-intermodal-stream": "buffered"} if how == "header" else {}

    def one(number: int, job: tuple[str, int, str]) -> None:
        name, place, manner = job
        gate.plays[f"first-{number}"] = upstreams.cut("openai", TOKENS, place, manner)
        model = f"policy:b{number}" if how == "policy" else f"policy:m{number}"
        heard = gate.hears(CLIENTS[name], model, headers=headers)
        assert heard.succeeded and heard.text == "".join(OTHER), (job, heard)
        gate.plays.pop(f"first-{number}")  # it is well again, or it would be left alone for a while
        assert gate.hears(CLIENTS[name], model, headers=headers).succeeded

    each(work, one)


def test_a_whole_answer_is_taken_over_wherever_it_dies(gate: Gate) -> None:
    """A client that asked for no stream has seen nothing when the host dies in the middle."""
    for name, client in CLIENTS.items():
        for manner in ("fin", "inband", "ended"):
            gate.plays["first-0"] = upstreams.cut("openai", TOKENS, 20, manner)
            status, data = gate.asks(client, "policy:m0", stream=False)
            assert status == 200 and "".join(OTHER) in data.decode() and "東" not in data.decode(), (name, manner, data)
            gate.plays.pop("first-0")
            assert gate.asks(client, "policy:m0", stream=False)[0] == 200


def _before_the_first_word() -> dict[str, ScriptedReply]:
    pings = [chunk(PING)] * 20
    return {
        "an error as the first event": ScriptedReply([HEAD, chunk(BROKEN), LAST], paid=True),
        "comments, a role, then an error": ScriptedReply(
            [HEAD, *pings, chunk(ROLE), *pings, chunk(BROKEN), LAST], paid=True
        ),
        "blanks, then an error": ScriptedReply(
            [HEAD, chunk(ROLE), *[chunk(delta(" \n"))] * 30, chunk(BROKEN), LAST], paid=True
        ),
        "half an event, then the end": ScriptedReply([HEAD, chunk(b'data: {"choi')], end="fin", paid=True),
        "comments and silence": ScriptedReply([HEAD, *pings], end="stall", paid=True),
        "silence": ScriptedReply(end="stall", paid=True),
        "blanks without end": ScriptedReply([HEAD, *[chunk(delta(" " * 4096))] * 70, LAST], paid=True),
        "a 500": refusal(500, paid=True),
        "a page": refusal(502, b"<html>Bad gateway</html>", paid=True),
    }


def test_B3_thoughts_are_shown_as_they_come_where_a_chat_is_passed_on(gate: Gate) -> None:
    """A model may think for minutes, and there they are its first words; on the long way they come with the first."""
    for number, client in enumerate(CLIENTS.values()):
        gate.plays[f"first-{number}"] = ScriptedReply(
            [HEAD, chunk(delta(None, reasoning_content="hm")), 0.2], end="rst", paid=True
        )
        heard = gate.hears(client, f"policy:m{number}")
        if isinstance(client, Chat):
            assert heard.error and heard.last and not heard.succeeded and not heard.text, heard
        else:
            assert heard.succeeded and heard.text == "".join(OTHER), (client, heard)


@pytest.mark.parametrize("gate", [(0.5, 0.5, "")], indirect=True)
def test_B3_and_B4_nothing_is_seen_of_an_attempt_that_fails_before_its_first_word(gate: Gate, full_gates: bool) -> None:
    """Each attempt has its own window for the first word, and the next one answers as if nothing had been."""
    plays = _before_the_first_word()
    clients = tuple(CLIENTS.values())
    work = [
        (name, client)
        for n, name in enumerate(plays)
        for client in (clients if full_gates else [clients[n % len(clients)]])
    ]

    def one(number: int, job: tuple[str, Client]) -> None:
        gate.plays[f"first-{number}"] = plays[job[0]]
        heard = gate.hears(job[1], f"policy:m{number}")
        assert heard.succeeded and heard.text == "".join(OTHER) and not heard.pings, (job, heard)
        gate.plays.pop(f"first-{number}")  # it is well again, or it would be left alone for a while
        assert gate.hears(job[1], f"policy:m{number}").succeeded

    each(work, one)


@pytest.mark.parametrize("gate", [(1.0, 1.0, "")], indirect=True)
@pytest.mark.parametrize("said", [0, 3])
def test_time_in_which_the_gateway_itself_stood_still_is_held_against_no_host(gate: Gate, said: int) -> None:
    """A process that was stopped (or got no turn on a busy machine) wakes late; what came meanwhile is there."""
    head, *events = upstreams.whole("openai", TOKENS).pieces

    def one(number: int, client: Client) -> None:
        gate.plays[f"first-{number}"] = ScriptedReply([head, *events[: said + 1], 0.5, *events[said + 1 :]], paid=True)
        heard = gate.hears(client, f"policy:m{number}")
        assert heard.succeeded and heard.text == TEXT, (client.path, heard)

    for client in CLIENTS.values():
        assert gate.hears(client, "policy:m0").succeeded  # what is imported and planned for the first time
    asked = gate.asked["first-0"]
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        asking = [pool.submit(one, number, client) for number, client in enumerate(CLIENTS.values())]
        end = time.monotonic() + 300
        while any(gate.asked[f"first-{number}"] <= asked * (number == 0) for number in range(len(CLIENTS))):
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.2)
        gate.served.child.send_signal(signal.SIGSTOP)
        time.sleep(2)
        gate.served.child.send_signal(signal.SIGCONT)
        for each_asked in asking:
            each_asked.result()


def _left(gate: Gate, client: Client, moment: str, number: int, name: str) -> float:
    """Ask as client, leave at this moment; when that was, by the wall's clock."""
    stream = moment not in ("whole", "upload")
    body = json.dumps(client.body(f"by-openai:cloud/by-openai-{number}", name, stream=stream)).encode()
    head = (
        f"POST {client.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", gate.served.port), timeout=30) as line:
        if moment == "head":
            line.sendall(head[: len(head) // 2])
        elif moment == "upload":
            line.sendall(head + body[: len(body) // 2])
        else:
            line.sendall(head + body)
            if moment == "words":
                found = b""
                while b"\xe6\x9d\xb12" not in found and b"\\u6771" not in found:  # 東2, raw or escaped
                    piece = line.recv(4096)
                    assert piece, found
                    found += piece
            else:
                end = time.monotonic() + 300
                while _hit(gate, name) is None and time.monotonic() < end:
                    time.sleep(0.002)
        if random.Random(name).random() < 0.5:  # by a reset as well
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return gate.wall.now()


def _hit(gate: Gate, name: str) -> ReceivedRequest | None:
    return next((hit for hit in reversed(tuple(gate.wall.hits)) if name.encode() in hit.raw), None)


def test_B5_a_client_that_leaves_ends_its_call_and_its_row(gate: Gate, full_gates: bool) -> None:
    aborts = 500 if full_gates else 40
    moments = ("head", "upload", "window", "words", "whole")
    stalled = [HEAD, chunk(ROLE), *(chunk(delta(token)) for token in TOKENS[:5])]
    work = [(moments[n % len(moments)], f"abort{n:05}.") for n in range(aborts)]
    late: list[float] = []
    clients = tuple(CLIENTS.values())

    def one(number: int, job: tuple[str, str]) -> None:
        moment, name = job
        play = (
            ScriptedReply([HEAD], end="stall", paid=True)
            if moment == "window"
            else ScriptedReply(stalled, end="stall", paid=True)
        )
        gate.plays[f"by-openai-{number}"] = play
        left = _left(gate, clients[int(name[5:10]) % len(clients)], moment, number, name)
        if moment in ("head", "upload"):
            return
        hit = _hit(gate, name)
        end = time.monotonic() + 300
        while hit is None or hit.left is None:
            assert time.monotonic() < end, f"the host of {job} still works for nobody"
            time.sleep(0.005)
            hit = _hit(gate, name)
        late.append(hit.left - left)

    each(work, one)
    assert gate.served.settles(SIDE_BY_SIDE + 12, 300)
    assert gate.served.gauge("held_bytes") == 0
    end = time.monotonic() + 300
    while sum((found := states(gate.home)).values()) < len(late) and time.monotonic() < end:
        time.sleep(0.05)  # rows of what was passed on are written together
    assert sum(found.values()) == len(gate.wall.hits) == len(late), "a row for each call, and no other"
    assert set(found) == {"estimated"}, found
    if full_gates:  # by the clock; the wall looks every 20 ms, and eight clients and the wall share the machine with it
        late.sort()
        print(f"median {late[len(late) // 2]:.0f} ms, p99 {late[len(late) * 99 // 100]:.0f} ms")  # noqa: T201
        assert late[len(late) // 2] <= 100 and late[len(late) * 99 // 100] <= 300, late[-10:]
    assert gate.hears(CLIENTS["chat"], "by-openai:cloud/by-openai-0") is not None


def _passing(gate: Gate, model: str, name: str, *, leaves: bool) -> tuple[str, bytes]:
    """Ask, and leave after the first words, or hear it out; which of it happened, and all that came."""
    data = json.dumps(CLIENTS["chat"].body(f"by-openai:cloud/{model}", name)).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"connection: close\r\ncontent-length: {len(data)}\r\n\r\n"
    ).encode()
    found = b""
    with socket.create_connection(("127.0.0.1", gate.served.port), timeout=60) as line:
        line.sendall(head + data)
        while piece := line.recv(65536):
            found += piece
            if leaves and b"\n\ndata: " in found:
                return "left", found
    # A failure after five seconds is the last event of a stream that began with a comment.
    return ("failed" if b'"error"' in found else "answered"), found


def test_B6_no_connection_stays_with_who_left_or_failed(gate: Gate, full_gates: bool) -> None:
    """Aborts in the middle of a stream and hosts that fail, 50 at a time; then somebody asks as if nothing had been."""
    aborts = 10_000 if full_gates else 50
    assert gate.hears(CLIENTS["chat"], "by-openai:cloud/by-openai-7").succeeded
    baseline, tasks, before = gate.served.sockets, gate.served.gauge("tasks"), len(gate.wall.hits)
    for number in range(SIDE_BY_SIDE):
        stalled = [HEAD, chunk(ROLE), *(chunk(delta(token)) for token in TOKENS[:5])]
        fails = refusal(429 if number % 4 == 1 else 500, paid=False)
        gate.plays[f"by-openai-{number}"] = fails if number % 2 else ScriptedReply(stalled, end="stall", paid=True)
    told: Counter[str] = Counter()

    def one(n: int) -> None:
        how, found = _passing(gate, f"by-openai-{n % SIDE_BY_SIDE}", f"call{n:05}.", leaves=n % 2 == 0)
        told[how] += 1
        assert not found.startswith(b"HTTP/1.1 500"), "a host's failure is no failure of ours"
        assert b"too many requests of ours open" not in found

    for n in range(1, SIDE_BY_SIDE, 2):  # one after the other: the host's budget of resends has room for all of these
        one(n)
    calls = [n for n in range(2 * aborts + SIDE_BY_SIDE) if n >= SIDE_BY_SIDE or n % 2 == 0]
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(one, calls))
    assert told == {"left": aborts + SIDE_BY_SIDE // 2, "failed": aborts + SIDE_BY_SIDE // 2}
    # One client; connections to the host close when they were unused for a few seconds.
    assert gate.served.settles(baseline + 1, 300), gate.served.sockets
    assert gate.served.gauge("connections") == 1, "only who asks for it"
    assert gate.served.gauge("tasks") <= tasks and gate.served.gauge("held_bytes") == 0
    hits = gate.wall.hits[before:]
    assert all(hit.left is not None for hit in hits if int(hit.model[-1]) % 2 == 0), "a host works on for nobody"
    tries = Counter(hit.body["messages"][0]["content"] for hit in hits)
    # A 429 is sent twice more, a 500 once; beside so many others it is only what the host's budget allows.
    assert [tries[f"call{n:05}."] for n in range(1, SIDE_BY_SIDE, 2)] == [3, 2, 3, 2]
    resent = len(hits) - sum(told.values())
    print(f"{resent} resent, {Counter(tries.values())} of so many tries")  # noqa: T201 - for the results that are kept
    assert resent > aborts // 20
    gate.plays.clear()
    heard = gate.hears(CLIENTS["chat"], "by-openai:cloud/by-openai-2")
    assert heard.succeeded and heard.text == "".join(OTHER)
    end = time.monotonic() + 300
    while sum((rows := states(gate.home)).values()) < len(gate.wall.hits) and time.monotonic() < end:
        time.sleep(0.05)  # rows of what was passed on are written together
    assert sum(rows.values()) == len(gate.wall.hits) and not rows["reserved"] + rows["sent"], rows


def test_B7_slow_readers_hold_no_memory(gate: Gate, full_gates: bool) -> None:
    readers = 200 if full_gates else 30
    fast = [HEAD, chunk(ROLE), *[chunk(delta("w" * 200) * 40)] * 1000, chunk(delta(None, "stop")), LAST]  # 8 MB
    for number in range(SIDE_BY_SIDE):
        assert gate.hears(CLIENTS["chat"], f"by-openai:cloud/by-openai-{number}").succeeded
        gate.plays[f"by-openai-{number}"] = ScriptedReply(fast, paid=True)
    before = gate.served.memory
    lines = []
    for n in range(readers):
        body = json.dumps(
            {**CLIENTS["chat"].body(f"by-openai:cloud/by-openai-{n % SIDE_BY_SIDE}"), "max_tokens": 200000}
        )
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", gate.served.port))
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        line.sendall((head + body).encode())
        lines.append(line)
    for second in range(10 if full_gates else 3):
        began = time.monotonic()
        for line in lines:
            line.settimeout(30)
            assert line.recv(1024), second
        time.sleep(max(0.0, began + 1 - time.monotonic()))
    grown = gate.served.memory - before
    assert gate.served.active == readers
    print(f"{grown / (1 << 20):.0f} MiB more for {readers} readers")  # noqa: T201 - for the results that are kept
    assert grown < readers * (200 << 10) + (10 << 20), f"{grown / (1 << 20):.0f} MiB for {readers} readers"
    for line in lines:
        line.close()
    assert gate.served.settles(60, 300)


@pytest.mark.parametrize("gate", [(30.0, 30.0, "[serve]\ndrain = 3.0\n")], indirect=True)
def test_B8_who_is_on_the_way_ends_and_who_comes_is_told(gate: Gate, full_gates: bool) -> None:
    streams = 100 if full_gates else 20
    words = [chunk(delta(token)) for token in TOKENS]
    ends: list[bytes | float] = [HEAD, chunk(ROLE), *words[:30], 1.5, *words[30:], chunk(delta(None, "stop")), LAST]
    for number in range(SIDE_BY_SIDE):
        stalls = ScriptedReply([HEAD, chunk(ROLE), *words[:30]], end="stall", paid=True)
        gate.plays[f"by-openai-{number}"] = ScriptedReply(ends, paid=True) if number % 2 else stalls
    clients = tuple(CLIENTS.values())
    found: dict[int, Heard] = {}

    def one(n: int) -> None:
        found[n] = gate.hears(clients[n // 2 % len(clients)], f"by-openai:cloud/by-openai-{n % SIDE_BY_SIDE}")

    with ThreadPoolExecutor(streams) as pool:
        asking = [pool.submit(one, n) for n in range(streams)]
        end = time.monotonic() + 300
        while len(gate.wall.hits) < streams:
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(0.3)
        gate.served.child.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with httpx.Client(timeout=300, trust_env=False, verify=PLAIN) as http:
            late = http.post(
                f"{gate.served.url}/v1/chat/completions", json=clients[0].body("by-openai:cloud/by-openai-1")
            )
        assert late.status_code == 503 and int(late.headers["retry-after"]) > 0
        for each_asked in asking:
            each_asked.result()
    gate.served.child.wait(300)
    assert gate.served.child.returncode == 0
    for n, heard in found.items():
        if n % 2:
            assert heard.succeeded and heard.text == TEXT, heard
        else:
            assert heard.failed and "stopping" in heard.error and heard.text == "".join(TOKENS[:30]), heard
    with suppress(KeyError):
        assert states(gate.home)["reserved"] == states(gate.home)["sent"] == 0
    assert sum(states(gate.home).values()) == streams
