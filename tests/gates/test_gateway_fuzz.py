"""E3, E4 and E6: whatever comes in at the gateway's door, it says what is wrong in the API's own words and lives on.

Real requests of the vendors' clients, bent: bytes flipped, cut and doubled, values swapped for others, forms torn,
heads mangled. Never a 500, never a hang, never more memory than a bound, nothing left behind.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.gates.clients import CLIENTS
from tests.gates.recorded_requests import Recorded, recorded
from tests.gates.serve_process import Served, states
from tests.unit.gateway.gateway_server import STRONG, config

from intermodal.gateway.requests.body_limits import MAX_VALUES
from intermodal.testing import FakeHost

pytestmark = [pytest.mark.gate, pytest.mark.timeout(3000)]

SEED = 20_261_126
LIMIT = 120.0  # seconds after which an answer does not come any more, on a machine that is busy
STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, -1e-308, 2**63, -(2**70), 10**400, "", "\0", "\ud800", "ｆｕｌｌ", "é" * 5000, "{{7*7}}",
    "%s%n",     "'; DROP TABLE attempts;--", "\r\nx-evil: 1", "../../etc/passwd", "file:///etc/passwd", "http://169.254.169.254/",
    "data:image/png;base64,AAAA", "data:;base64,", [], {}, [[]], [None], {"": ""}, {"type": "text"}, {"$ref": "#"},
    [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/"}}], "assistant", "tool", "system", "text",
)  # fmt: skip
SPLICES = (
    b"null", b"1e999", b"-", b'"', b"\\", b"{", b"[", b"]}", b",", b":", b"\\ud800", b"\xff", b"\xed\xa0\x80", b"\0",
    b"NaN",
    b"\r\n", b"\r\n\r\n", b"--", b"%00", b'{"model":1}', b"[" * 3000, b'{"a":' * 3000, b"9" * 5000, b"\xef\xbb\xbf",
)  # fmt: skip


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="fine") as fake:
        yield fake


@pytest.fixture
def served(host: FakeHost, tmp_path: Path) -> Iterator[Served]:
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, STRONG))
    found = Served(tmp_path / "serve.log", {**os.environ, "INTERMODAL_CONFIG": str(path)})
    try:
        yield found
        assert "unexpected" not in (said := found.log.read_text()) and "Traceback" not in said, said
    finally:
        found.end(signal.SIGKILL)


def bent(data: bytes, chance: random.Random) -> bytes:
    """Some bytes of it changed, left out, doubled, or replaced by what parsers stumble over."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(found) + 1)
        kind = chance.randrange(5)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del found[at : at + chance.choice((1, 3, 20))]
        elif kind == 2:
            found[at:at] = found[at : at + chance.choice((1, 10, 100))]
        elif kind == 3:
            found[at:at] = chance.choice(SPLICES)
        else:
            del found[at:]
    return bytes(found)


def swapped(data: bytes, chance: random.Random) -> bytes:
    """One value of a JSON body, at any depth, replaced by another; or a field more, or one less."""
    tree = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(tree)
    node, key = chance.choice(places)
    kind = chance.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, list):
        node += node * chance.choice((1, 50))
    elif kind == 2 and isinstance(node, dict):
        node[chance.choice(("stream", "n", "type", "content", "chat_template", "tools", ""))] = chance.choice(STRANGE)
    else:
        node[key] = chance.choice(STRANGE)
    return json.dumps(tree, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def client_of(path: str) -> Any:
    if path.startswith("/api/"):
        return CLIENTS["ollama"]
    return CLIENTS["messages"] if path.startswith("/v1/messages") else CLIENTS["chat"]


def judged(path: str, found: httpx.Response) -> None:
    """An answer, or an error in the words of the API. Of statuses of failure only those of the host behind."""
    kind = found.headers.get("content-type", "")
    assert found.status_code in (200, 400, 402, 404, 413, 415, 422, 502, 503), (path, found.status_code, found.text)
    if found.status_code != 200:
        said = client_of(path).error(found.json())
        assert said and "failed inside" not in said and not re.search(r"0x[0-9a-f]{6}|/src/|\.py\b", said), said
        assert kind == "application/json"


def test_E4_a_bent_request_is_answered_or_refused_in_the_words_of_its_api(
    served: Served, own_home: Path, full_gates: bool
) -> None:
    bodies = 10_000 if full_gates else 200
    chance = random.Random(SEED)
    calls = recorded()
    met: Counter[tuple[str, bool]] = Counter()
    with httpx.Client(base_url=served.url, timeout=LIMIT, trust_env=False) as http:

        def ask(call: Recorded, body: bytes) -> httpx.Response:
            return http.post(call.path, content=body, headers={"content-type": call.kind})

        for call in calls:
            judged(call.path, ask(call, call.body))
        before = served.memory
        for number in range(bodies):
            call = calls[number % len(calls)]
            of_json = "json" in call.kind or call.path.startswith("/api/")
            bend: Callable[[bytes, random.Random], bytes] = swapped if of_json and number % 3 else bent
            body = bend(call.body, chance)
            found = ask(call, body)
            judged(call.path, found)
            met[call.path, found.status_code == 200] += 1
    assert served.memory - before < 50 << 20, f"{(served.memory - before) >> 20} MiB more"
    assert {path for path, _ in met} == {call.path for call in calls}
    refused = sum(count for (_, fine), count in met.items() if not fine)
    assert refused > bodies // 4 and any(fine for _, fine in met), met
    assert served.settles(served.sockets, 300) and served.gauge("held_bytes") == 0
    assert not states(own_home)["sent"] + states(own_home)["reserved"], "no call is left open"


def test_E4_a_mangled_head_is_refused_or_hung_up_on(served: Served, full_gates: bool) -> None:
    chance = random.Random(SEED)
    calls = recorded()
    alive = served.sockets
    for number in range(5_000 if full_gates else 100):
        call = calls[number % len(calls)]
        lines = [
            f"POST {call.path} HTTP/1.1", "host: localhost", f"content-type: {call.kind}", "x-intermodal-max-cost: 1",
            chance.choice((f"content-length: {len(call.body)}", "transfer-encoding: chunked", "connection: close")),
        ]  # fmt: skip
        head = bent("\r\n".join(lines).encode() + b"\r\n\r\n", chance)
        with socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT) as line:
            with suppress(ConnectionResetError, BrokenPipeError):
                line.sendall(head + call.body)
                line.shutdown(socket.SHUT_WR)  # nothing more comes: whoever waits for more may end it
            said = b""
            with suppress(ConnectionResetError):
                while piece := line.recv(65536):
                    said += piece
        for status in re.findall(rb"^HTTP/1\.1 (\d+)", said, re.MULTILINE):
            assert status != b"500", (head, said)
        assert not said or said.startswith(b"HTTP/1.1 "), said
    assert served.settles(alive, 300) and served.gauge("held_bytes") == 0


def _bombs() -> dict[str, bytes]:
    asks = b'{"model":"cloud/strong","messages":[{"role":"user","content":%b}]}'
    many = MAX_VALUES * 3
    return {
        "parts": asks % (b"[" + b",".join([b'{"type":"text","text":"a"}'] * many) + b"]"),
        "messages": asks % (b'"a"},' + b",".join([b'{"role":"user","content":"a"}'] * many) + b',{"role":"user"'),
        "arrays": asks % (b"[" * many + b"]" * many),
        "fields": b"{" + b",".join(b'"f%d":1' % number for number in range(many)) + b"}",
        "digits": b'{"max_tokens":' + b"9" * 2_000_000 + b"}",
        "tools": b'{"tools":[' + b",".join([b'{"type":"function","function":{"name":"t"}}'] * many) + b"]}",
        "stops": asks.replace(b"{", b'{"stop":[' + b",".join([b'"a"'] * many) + b"],", 1) % b'"a"',
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat", "/api/show", "/v1/embeddings"])
def test_E4_a_body_of_countless_values_is_refused_before_they_are_read(served: Served, path: str) -> None:
    with httpx.Client(base_url=served.url, timeout=LIMIT, trust_env=False) as http:
        before = served.memory
        for name, body in _bombs().items():
            found = http.post(path, content=body, headers={"content-type": "application/json"})
            assert found.status_code in (400, 413), (name, found.text)
            judged(path, found)
            assert http.get("/healthz").status_code == 200
        grown = served.memory - before
    assert grown < 120 << 20, f"{grown >> 20} MiB for bodies of at most 13 MiB"


def test_a_text_of_commas_is_text(served: Served) -> None:
    """What counts is the values of the body, not the marks in its strings."""
    text = '{"a": [1, 2, 3], "b": "\\"x\\""},\n' * 25_000
    tree = {"model": "cloud/strong", "messages": [{"role": "user", "content": text}]}
    assert json.dumps(tree).count(",") > MAX_VALUES
    found = httpx.post(f"{served.url}/v1/explain", json=tree, timeout=300, trust_env=False)
    assert found.status_code == 400 and "tokens" in found.json()["error"]["message"], found.text


def test_F2_a_long_text_does_not_hold_up_the_others(served: Served) -> None:
    """Somebody asks with 6 MiB of words, which fit nowhere; meanwhile everybody else is answered, again and again."""
    tree = {"model": "cloud/strong", "messages": [{"role": "user", "content": "a b c " * (1 << 20)}]}
    asked = f"{served.url}/v1/chat/completions"
    httpx.post(asked, json=tree, timeout=300, trust_env=False)  # what is loaded for the first of its kind is loaded
    late: list[float] = []
    over = threading.Event()

    def look() -> None:
        with httpx.Client(base_url=served.url, timeout=300, trust_env=False) as http:
            while not over.is_set():
                began = time.monotonic()
                http.get("/healthz")
                late.append(time.monotonic() - began)

    watching = threading.Thread(target=look)
    watching.start()
    began = time.monotonic()
    found = httpx.post(asked, json=tree, timeout=300, trust_env=False)
    took = time.monotonic() - began
    over.set()
    watching.join()
    assert found.status_code == 400 and "tokens" in found.json()["error"]["message"]
    assert len(late) > 5 and max(late) < took, f"one of {len(late)} waited {max(late):.1f} of the {took:.1f} s"
