"""Who may come in: only this machine by its own names, and no page of a browser; before a body is read."""

from __future__ import annotations

import json
import random
import re
import socket
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress

import pytest
from tests.unit.gateway.direct.test_direct_images import png
from tests.unit.gateway.gateway_server import GatewayServer, until

from intermodal.errors import UsageError
from intermodal.gateway.http1.http_types import HttpLimits
from intermodal.gateway.server import Gateway, ListenSettings
from intermodal.testing import FakeHost, Fault
from intermodal.testing.attempts import Attempt
from intermodal.transport.addresses import is_loopback

BODY = b'{"model":"auto","messages":[{"role":"user","content":"hi"}]}'


def request(*lines: str, target: str = "/v1/chat/completions", body: bytes = BODY) -> bytes:
    head = [f"POST {target} HTTP/1.1", *lines, "content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*head, "connection: close"]).encode() + b"\r\n\r\n" + body


EXPLAIN = b"POST /v1/explain HTTP/1.1\r\nhost: localhost\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


HOSTS = [
    "evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.evil.example", "x:1/#@evil",
    "localhost@evil",
    "127.0.0.1:8787@evil", "127.0.0.1:x", "127.0.0.1:99999999", "127.0.0.1 ", "[::1", "[::2]", "0.0.0.0", "127.0.0.2",
    "2130706433", "0x7f.1", "localhost.", "local host", "", "127.0.0.1/", "127.0.0.1\\evil", "127.0.0.1,evil",
    "localhost:0", "169.254.169.254", "192.168.0.1", "metadata", "xn--lcalhost-54a", "127.0.0.1%2eevil",
]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in HOSTS if name.strip() == name])
def test_a_host_that_is_not_us_is_refused(house: GatewayServer, host: FakeHost, name: str) -> None:
    assert status(house.raw(request(f"host: {name}"))) in (400, 403, 421)
    assert host.attempts == []


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST", "127.0.0.1", "127.0.0.1:8787", "[::1]:1", "localhost:65535"]
)
def test_our_own_names_are_taken(house: GatewayServer, name: str) -> None:
    assert status(house.raw(request(f"host: {name}"))) == 200


@pytest.mark.parametrize(
    "lines",
    [("host: localhost", "host: localhost"), ("host: localhost", "host: evil.example"), ()],
    ids=["twice", "two", "none"],
)
def test_there_is_exactly_one_host(house: GatewayServer, lines: tuple[str, ...]) -> None:
    assert status(house.raw(request(*lines))) == 421


@pytest.mark.parametrize("target", ["http://evil.example/v1/models", "//evil.example/v1/models", "*", "evil:443"])
def test_a_target_that_is_no_path_is_refused(house: GatewayServer, target: str) -> None:
    assert status(house.raw(request("host: localhost", target=target))) in (400, 403, 404, 421)


@pytest.mark.parametrize(
    "line",
    ["origin: http://evil.example", "origin: null", "origin: http://localhost:3000", "origin: http://127.0.0.1",
     "origin: chrome-extension://abc", "origin:", "sec-fetch-site: cross-site", "sec-fetch-site: same-site"],
)  # fmt: skip
def test_pages_of_browsers_are_refused(house: GatewayServer, host: FakeHost, line: str) -> None:
    assert status(house.raw(request("host: localhost", line))) == 403
    assert host.attempts == []


def test_no_answer_lets_a_page_read_it(house: GatewayServer) -> None:
    for found in (house.http.get("/v1/models"), house.http.options("/v1/chat/completions")):
        assert not [name for name in found.headers if name.startswith("access-control")]


@pytest.mark.parametrize("address", ["localhost", "LOCALHOST.", "127.0.0.2", "::1", "[::1]"])
def test_a_bind_that_only_this_machine_reaches_needs_no_key(house: GatewayServer, address: str) -> None:
    assert Gateway(house.gateway.client, ListenSettings(address)).host == address


def test_another_bind_needs_keys(house: GatewayServer) -> None:
    for address in ("0.0.0.0", "::", "192.168.1.5", "example.com"):
        assert not is_loopback(address)
        with pytest.raises(UsageError, match="without keys"):
            Gateway(house.gateway.client, ListenSettings(address))


def test_a_body_too_large_is_refused_before_it_is_read(configured: object) -> None:
    with GatewayServer(limits=HttpLimits(body=1000)) as house:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        announced = house.raw(head + b"content-length: 100000000000\r\n\r\n")  # nothing of it is sent
        assert status(announced) == 413
        assert house.gateway.held == 0
        chunked = house.raw(head + b"transfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert status(chunked) == 413
        assert house.gateway.held == 0


CHUNKED = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n%b\r\n"


@pytest.mark.parametrize("pieces", ["whole", "head and chunks", "single bytes"])
@pytest.mark.parametrize("chunks", [
    b"3e9\r\n", b"200\r\n" + b"x" * 512 + b"\r\n1e9\r\n", b"00003E9;a=b\r\n", b"7fffffff\r\n",
    b"ffffffffffffffff\r\n", b"f" * 17,
], ids=["first", "second", "extended", "31 bits", "64 bits", "68 bits"])  # fmt: skip
@pytest.mark.parametrize("coding", [
    b"transfer-encoding: chunked\r\n", b"Transfer-Encoding: CHUNKED\r\n",
    b"transfer-encoding: chunked\r\nconnection: upgrade\r\nupgrade: h2c\r\n",
], ids=["chunked", "capitals", "upgrade"])  # fmt: skip
def test_a_chunk_that_announces_too_much_is_refused_before_it_comes(
    configured: object, coding: bytes, chunks: bytes, pieces: str
) -> None:
    """Nothing of the chunk is sent, and the client waits for an answer without ending its side."""
    head = CHUNKED % coding
    data = {"whole": [head + chunks], "head and chunks": [head, chunks],
            "single bytes": [bytes([byte]) for byte in head + chunks]}[pieces]  # fmt: skip
    with GatewayServer(limits=HttpLimits(body=1000, body_seconds=60, head_seconds=60)) as house:
        with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=30) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in data:
                line.sendall(piece)
                if pieces != "whole":
                    time.sleep(0.0005)  # so that they are read one by one, mostly; either is right
            found = b""
            with suppress(ConnectionResetError):  # the close, with bytes still on their way
                while piece := line.recv(65536):
                    found += piece
        assert status(found) == 413
        assert house.gateway.held == 0


def sent_in_pieces(house: GatewayServer, whole: bytes, chance: random.Random, sizes: Sequence[int]) -> list[int]:
    """Statuses of what is answered to bytes that are sent in pieces of these sizes, until the gateway closes."""
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=30) as line:
        at = 0
        while at < len(whole):
            size = chance.choice(sizes)
            line.sendall(whole[at : at + size])
            at += size
        found = b""
        while piece := line.recv(65536):
            found += piece
    return [int(each.split(b" ")[0]) for each in found.split(b"HTTP/1.1 ")[1:]]


def test_chunks_cut_anywhere_make_the_body_that_was_sent(configured: object, host: FakeHost) -> None:
    chance = random.Random(20_261_128)
    body = json.dumps({"model": "cloud/strong", "messages": [{"role": "user", "content": "hello " * 150}]}).encode()
    with GatewayServer(limits=HttpLimits(body=len(body))) as house:
        for number in range(40):
            cuts = sorted(chance.sample(range(1, len(body)), chance.randrange(12)))
            parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
            extension = chance.choice([b"", b";a=b", b";" + b"x" * 300])
            coded = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
            trailer = chance.choice([b"", b"t: r\r\n"])
            one = CHUNKED % b"transfer-encoding: chunked\r\n" + coded + b"0\r\n" + trailer + b"\r\n"
            last = b"GET /nope HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            whole = one * chance.randrange(1, 4) + last
            codes = sent_in_pieces(house, whole, chance, (1, 5, 60, 2000, 100_000))
            assert codes == [200] * (len(codes) - 1) + [404] and len(codes) >= 2, number
        assert house.gateway.held == 0


def test_all_bodies_together_have_a_limit(configured: object) -> None:
    with GatewayServer(limits=HttpLimits(body=1000, in_flight=1500)) as house:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as first:
            first.sendall(head + b"content-length: 900\r\n\r\n")
            while not house.gateway.held:
                pass
            assert status(house.raw(head + b"content-length: 900\r\n\r\n")) == 503
        assert house.chat().status_code == 200


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 40000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 80000, 431),
        (b"nonsense\r\n\r\n", 400),
        (EXPLAIN + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (EXPLAIN + b"content-length: -3\r\n\r\n", 400),
        (EXPLAIN + b"content-type: text/plain\r\ncontent-length: 2\r\n\r\n{}", 415),
        (EXPLAIN + b"content-type: application/json\r\n"
         b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}", 415),
        (b"DELETE /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
    ],
    ids=["target", "many", "large", "endless", "no-http", "both-lengths", "negative", "type", "gzip", "method"],
)  # fmt: skip
def test_heads_that_are_not_taken(house: GatewayServer, data: bytes, code: int) -> None:
    assert status(house.raw(data, seconds=20)) == code


def test_a_request_that_stops_in_the_middle_is_ended(configured: object) -> None:
    with GatewayServer(limits=HttpLimits(head_seconds=0.3, body_seconds=0.3)) as house:
        assert status(house.raw(b"GET /healthz HTTP/1.1\r\nhost: local", seconds=20)) == 408
        head = EXPLAIN + b"content-type: application/json\r\ncontent-length: 9\r\n\r\n"
        assert status(house.raw(head + b"{", seconds=20)) == 408
        assert house.gateway.held == 0


def test_requests_on_one_connection_are_answered_in_their_order(house: GatewayServer) -> None:
    first = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n"
    last = b"GET /nope HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    said = house.raw(first + request("host: localhost").replace(b"connection: close\r\n", b"") + last)
    assert [int(each.split(b" ")[0]) for each in said.split(b"HTTP/1.1 ")[1:]] == [200, 200, 404]


def saying(words: str, size: int, path: str = "chat/completions", more: bytes = b"") -> bytes:
    """A request of so many bytes of body, the most of them an image."""
    noise = random.Random(size).randbytes(size * 3 // 4 - 400)
    coded = b64encode(png(40, 30, noise)).decode()
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{coded}"}},
        {"type": "text", "text": words},
    ]
    body = json.dumps({"model": "cloud/seeing", "messages": [{"role": "user", "content": parts}]}).encode()
    head = b"POST /v1/%b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" % path.encode()
    return head + more + b"content-length: %d\r\n\r\n%b" % (len(body), body)


def test_large_bodies_come_in_any_pieces_with_others_around_them(house: GatewayServer, host: FakeHost) -> None:
    """What follows a large body is a request of its own, wherever the pieces are cut."""
    chance = random.Random(20_261_126)
    said = [saying(f"what is picture {n}?", size) for n, size in enumerate((700_000, 900, 1_500_000, 270_000))]
    last = b"GET /nope HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    whole = b"".join(said) + last
    for _ in range(3):
        known = len(host.attempts)
        codes = sent_in_pieces(house, whole, chance, (1, 300, 40_000, 262_144, 1_000_000))
        assert codes == [200] * 4 + [404]
        sent = [attempt.json["messages"][-1]["content"] for attempt in host.attempts[known:]]
        asked = [json.loads(each.partition(b"\r\n\r\n")[2])["messages"][-1]["content"] for each in said]
        assert sent == asked
    assert house.gateway.held == 0


def test_a_large_body_that_offers_another_protocol_is_read(house: GatewayServer, host: FakeHost) -> None:
    head = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
    assert status(house.raw(saying("what?", 900_000, more=head) + b"PRI * HTTP/2.0")) == 200
    assert len(host.attempts) == 1


def test_a_large_body_that_stops_in_the_middle_is_ended(configured: object, host: FakeHost) -> None:
    with GatewayServer(limits=HttpLimits(head_seconds=0.5, body_seconds=0.5)) as house:
        whole = saying("what?", 2_000_000)
        assert status(house.raw(whole[:1_000_000], seconds=20)) == 408
        with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=60) as line:
            line.sendall(whole[:1_000_000])
        until(lambda: house.gateway.held == 0 and not house.gateway.connections)
        assert house.chat(model="cloud/strong").status_code == 200
    assert len(host.attempts) == 1


def test_another_protocol_is_not_taken_up(house: GatewayServer) -> None:
    head = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"
    said = house.raw(head + b"PRI * HTTP/2.0")
    assert status(said) == 200
    assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_body_whose_head_offers_another_protocol_is_read(house: GatewayServer, framing: str) -> None:
    """Java's HttpClient offers HTTP/2 with every request."""
    body = b'{"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}]}'
    coded = b"content-length: %d\r\n\r\n%b" % (len(body), body)
    if framing == "chunked":
        coded = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    head = b"content-type: application/json\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
    said = house.raw(EXPLAIN.replace(b"explain", b"chat/completions") + head + coded + b"PRI * HTTP/2.0")
    assert status(said) == 200
    assert b"the hosted answer" in said


@pytest.mark.parametrize("head", ["transfer-encoding: gzip, chunked", "transfer-encoding: identity, chunked"])
def test_bodies_in_other_codings_are_refused(house: GatewayServer, head: str) -> None:
    said = house.raw(EXPLAIN + f"content-type: application/json\r\n{head}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n".encode())
    assert status(said) == 501


@pytest.mark.parametrize("start", [b"GET /healthz HTTP/1.1\r\n", EXPLAIN + b"content-type: application/json\r\n"
                                   b"content-length: 9000\r\n\r\n"], ids=["head", "body"])  # fmt: skip
def test_a_request_that_drips_in_is_ended(configured: object, start: bytes) -> None:
    with (
        GatewayServer(limits=HttpLimits(head_seconds=0.5, body_seconds=0.5)) as house,
        socket.create_connection(("127.0.0.1", house.gateway.port), timeout=0.1) as line,
    ):
        line.sendall(start)
        said = b""
        for _ in range(60):  # each byte well within the limit of silence
            with suppress(BrokenPipeError, ConnectionResetError):
                line.sendall(b"x")
            with suppress(TimeoutError, ConnectionResetError):
                said += line.recv(65536)
            if said:
                break
        assert status(said) == 408


CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


def heads(line: socket.socket, last: bytes) -> bytes:
    """What comes until these bytes did."""
    found = b""
    while last not in found and (piece := line.recv(65536)):
        found += piece
    return found


@pytest.mark.parametrize("size", [0, 300_000], ids=["small", "large"])
def test_who_waits_to_be_asked_for_a_body_is_asked_after_the_answers_before(
    house: GatewayServer, host: FakeHost, size: int
) -> None:
    host.fault = Fault("slow", 0.5, times=1)
    body = BODY.replace(b"hi", b"later" + b" " * size).replace(b"auto", b"cloud/strong")
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=60) as line:
        first = request("host: localhost").replace(b"connection: close\r\n", b"")
        line.sendall(first + CHAT + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body))
        said = heads(line, b"100 Continue\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 200") and said.endswith(b"}HTTP/1.1 100 Continue\r\n\r\n")
        line.sendall(body)
        assert status(heads(line, b"}")) == 200
    assert "later" in host.attempts[-1].json["messages"][0]["content"]


def test_who_waits_to_be_asked_for_a_body_has_all_the_time_for_it_then(configured: object, host: FakeHost) -> None:
    first = request("host: localhost").replace(b"connection: close\r\n", b"")
    with GatewayServer(limits=HttpLimits(body_seconds=0.8)) as house:
        for _ in range(5):  # where this machine is held up for half a second just then, it is late in its own eyes
            host.fault = Fault("slow", 2.0, times=1)
            host._hits.clear()
            with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=60) as line:
                line.sendall(first + CHAT + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
                assert status(heads(line, b"100 Continue\r\n\r\n")) == 200
                time.sleep(0.3)
                said = b""
                with suppress(ConnectionError):
                    line.sendall(BODY)
                    said = heads(line, b"}")
                if said.startswith(b"HTTP/1.1 200"):
                    break
        assert said.startswith(b"HTTP/1.1 200")
        with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=60) as line:
            line.sendall(first + CHAT + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
            assert b" 408 " in heads(line, b" 408 ")


def test_who_sends_the_body_unasked_is_not_asked_for_it(house: GatewayServer, host: FakeHost) -> None:
    host.fault = Fault("slow", 0.3, times=1)
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=60) as line:
        first = request("host: localhost").replace(b"connection: close\r\n", b"")
        head = CHAT + b"expect: 100-continue\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY)
        line.sendall(first + head + BODY[:10])
        said = heads(line, b"}")
        line.sendall(BODY[10:])
        said += heads(line, b"no such bytes")
    assert said.count(b"HTTP/1.1 200") == 2 and b"100 Continue" not in said


def test_a_client_of_before_that_keeps_its_connection_is_told_that_it_is_kept(house: GatewayServer) -> None:
    ask = request("host: localhost").replace(b"HTTP/1.1", b"HTTP/1.0")
    kept = ask.replace(b"connection: close", b"connection: keep-alive")
    streamed = BODY.replace(b"}]}", b'}],"stream":true}')
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=60) as line:
        for _ in range(2):
            line.sendall(kept)
            said = heads(line, b"}")
            assert status(said) == 200 and b"\r\nconnection: keep-alive\r\n" in said
        line.sendall(kept.replace(BODY, streamed).replace(b": %d\r" % len(BODY), b": %d\r" % len(streamed)))
        said = heads(line, b"no such bytes")
        assert b"\r\nconnection: close\r\n" in said and said.endswith(b"data: [DONE]\n\n"), "its end is the close"
    assert b"\r\nconnection: close\r\n" in house.raw(ask)
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=60) as line:
        line.sendall(request("host: localhost").replace(b"connection: close\r\n", b""))
        said = heads(line, b"}")
        assert status(said) == 200 and b"connection:" not in said


def test_a_refused_head_request_has_no_body(house: GatewayServer) -> None:
    said = house.raw(b"HEAD /nope HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert status(said) == 404
    assert said.endswith(b"\r\n\r\n")


def unread(house: GatewayServer, ask: bytes, first: bytes = b"") -> tuple[int, int, bool]:
    """Ask again and again and read nothing: how often, the most that waited for the reader, and whether it was cut."""
    most, asked, cut = 0, 0, False
    with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
        line.setblocking(False)
        with suppress(BlockingIOError):
            line.sendall(first)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                line.sendall(ask)
                asked += 1
            except BlockingIOError:
                pass
            except ConnectionError:
                cut = True
                break
            time.sleep(0.02)
            waits = [connection._transport for connection in tuple(house.gateway.connections)]
            most = max(most, sum(each.get_write_buffer_size() for each in waits if each is not None))
    return asked, most, cut


def test_answers_do_not_pile_up_for_who_reads_none(configured: object) -> None:
    with GatewayServer(limits=HttpLimits(write_seconds=1.0)) as house:
        ask = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"
        size = len(house.http.get("/openapi.json").content)
        asked, most, cut = unread(house, ask)
        assert cut and asked * size > 2 * most and most < 3 * size + (64 << 10), (asked, most, size)


def test_who_reads_nothing_gets_no_more_time_by_asking_again(configured: object, host: FakeHost) -> None:
    """Its host would go on waiting, and be paid, for nobody."""
    host.answer = "a word " * 60_000
    with GatewayServer(limits=HttpLimits(write_seconds=1.0)) as house:
        body = BODY.replace(b"auto", b"cloud/strong").replace(b"}]}", b'}],"stream":true}')
        again = request("host: localhost").replace(b"connection: close\r\n", b"")
        first = request("host: localhost", body=body).replace(b"connection: close\r\n", b"")
        _, most, cut = unread(house, again, first)
        assert cut and most < 1 << 20
        until(lambda: not house.gateway.active and not house.gateway.held)


@pytest.mark.parametrize("last", [False, True], ids=["goes on", "is closed"])
@pytest.mark.parametrize("reads", [0, 40 << 10], ids=["nothing", "slowly"])
def test_a_large_answer_waits_for_who_reads_it_and_for_nobody_else(
    configured: object, host: FakeHost, last: bool, reads: int
) -> None:
    host.answer = f"{'=' * 2000} " * 1000  # as few tokens as there can be
    body = BODY.replace(b"auto", b"cloud/strong").replace(b"{", b'{"max_tokens":20000,', 1)
    ask = request("host: localhost", body=body)
    with GatewayServer(limits=HttpLimits(write_seconds=0.5, slowest=1024.0)) as house:

        def whole() -> bool:
            """Whether it came to its end; it took more than its time then."""
            with socket.socket() as line:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
                line.settimeout(60)
                line.connect(("127.0.0.1", house.gateway.port))
                known = len(host.attempts)
                line.sendall(ask if last else ask.replace(b"connection: close\r\n", b""))
                found = size = 0
                until(lambda: len(host.attempts) > known and not house.gateway.active)
                begun = time.monotonic()
                try:
                    while reads and (not size or found < size):
                        piece = line.recv(reads)
                        if not piece:
                            break
                        if not size:
                            assert piece.startswith(b"HTTP/1.1 200")
                            length = piece.split(b"content-length: ")[1].split(b"\r")[0]
                            size = piece.index(b"\r\n\r\n") + 4 + int(length)
                        found += len(piece)
                        time.sleep(0.03)
                except ConnectionError:
                    pass
                if not reads or found < size:
                    until(lambda: not house.gateway.connections)
                    return False
                assert time.monotonic() - begun > 1.0, "it was read in more than its time"
                until(lambda: not house.gateway.connections or not last)
                return True

        # Where this machine is held up for half a second, its reader reads nothing in all of its time.
        assert any(whole() for _ in range(5 if reads else 1)) == bool(reads)


def test_a_head_without_end_is_refused_behind_an_answer_too(configured: object, host: FakeHost) -> None:
    host.fault = Fault("slow", 2.0)
    with GatewayServer() as house, socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
        body = BODY.replace(b"auto", b"cloud/strong")
        line.sendall(request("host: localhost", body=body).replace(b"connection: close\r\n", b""))
        until(lambda: bool(host.attempts))
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nx: ")
        for _ in range(20):
            line.sendall(b"a" * 8192)
            time.sleep(0.01)
        found = b""
        while piece := line.recv(65536):
            found += piece
        assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200", b"431"]


@pytest.mark.parametrize("takes", [0.0, 1.5], ids=["quick answers", "answers that take longer than the body may"])
def test_a_half_body_has_its_time_once_the_answers_before_it_are_out(
    configured: object, host: FakeHost, takes: float
) -> None:
    def answer(asked: Attempt) -> str:
        time.sleep(takes)
        return "done"

    host.answer = answer
    with (
        GatewayServer(limits=HttpLimits(body_seconds=0.5)) as house,
        socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line,
    ):
        body = BODY.replace(b"auto", b"cloud/strong")
        one = request("host: localhost", body=body).replace(b"connection: close\r\n", b"")
        line.sendall(one + one + one[:-5])
        found = b""
        while piece := line.recv(65536):
            found += piece
        assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200", b"200", b"408"]
        until(lambda: not house.gateway.held)
