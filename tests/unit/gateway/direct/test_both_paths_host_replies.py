"""Replies as odd hosts send them are read alike by the direct path and the executor; none is taken for another's."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.gates.faulty_host import End, FaultyHost, ScriptedReply, chunk
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config, sse

from intermodal.protocols import answer_state
from intermodal.transport.response import UNPACK_SIZE, Decompressor

Ask = Callable[..., Any]
WAYS = ("direct", "executor")
USAGE = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}


def whole(text: str, *headers: bytes, finish: str | None = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    said = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    return framed(json.dumps(said), *headers)


def framed(body: str | bytes, *headers: bytes, kind: bytes = b"application/json") -> bytes:
    body = body.encode() if isinstance(body, str) else body
    head = b"".join(line + b"\r\n" for line in (b"content-type: " + kind, *headers))
    return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


@contextmanager
def asked(
    reader: Callable[[Mapping[str, Any]], ScriptedReply],
    way: str,
    tmp_path: Path,
    patch: pytest.MonkeyPatch,
    *,
    answered: bool = True,
) -> Iterator[Ask]:
    """How to ask a host, by one way or the other. ``answered``: it is, each time."""
    with FaultyHost(script=lambda *_: ScriptedReply(), reader=reader) as wall:
        patch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))))
        with GatewayServer() as house:
            times = 0

            def ask(text: str = "hello", **more: Any) -> Any:
                nonlocal times
                times += 1
                message = {"role": "user", "content": text} | ({} if way == "direct" else {"name": "bob"})
                tree = {"model": "cloud/strong", "max_tokens": 50, "messages": [message], **more}
                return house.post("/v1/chat/completions", tree)

            yield ask
            assert house.taken == (times if way == "direct" and answered else 0)


@pytest.mark.parametrize("way", WAYS)
def test_nobody_gets_the_answer_to_another(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(body: Mapping[str, Any]) -> ScriptedReply:
        return ScriptedReply([whole(f"you said {body['messages'][-1]['content']}") + whole("a stranger's")])

    with asked(twice, way, tmp_path, monkeypatch) as ask:
        for number in range(4):
            said = ask(f"number {number}").json()
            assert said["choices"][0]["message"]["content"] == f"you said number {number}"


def streamed(text: str, *, finish: str | None = "stop") -> bytes:
    about = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    said = [{"index": 0, "delta": {"role": "assistant", "content": word}} for word in text.split(" ")]
    events = [{**about, "choices": [choice]} for choice in said]
    events.append({**about, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    events.append({**about, "choices": [], "usage": USAGE})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def packed(answer: bytes, name: str, pack: Callable[[bytes], bytes]) -> bytes:
    """A reply as it was, but for its body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    kind = head.partition(b"content-type: ")[2].partition(b"\r\n")[0]
    return framed(pack(body), b"content-encoding: " + name.encode(), kind=kind)


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate),
    ("identity", bytes),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_comes_packed_though_nobody_asked_is_unpacked(
    stream: bool, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = iter(PACKED * 2)

    def pack(body: Mapping[str, Any]) -> ScriptedReply:
        answer = framed(streamed("one two"), kind=b"text/event-stream") if body.get("stream") else whole("onetwo")
        sent = packed(answer, *next(turns))
        return ScriptedReply([sent[:-70], 0.02, sent[-70:]])

    with asked(pack, way, tmp_path, monkeypatch) as ask:
        for _ in PACKED * 2:
            said = ask(stream=stream)
            assert said.status_code == 200, said.text
            if stream:
                choices = [choice for event in sse(said.text).events for choice in event["choices"]]
                words = "".join(choice["delta"].get("content") or "" for choice in choices)
            else:
                words = said.json()["choices"][0]["message"]["content"]
            assert words == "onetwo"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("br", lambda: b"\x0b\x02\x80abc\x03", "compresses its replies in a way that cannot be read (br)"),
        ("gzip", lambda: b"no gzip at all", "sent a reply whose compression is broken"),
        ("gzip", lambda: gzip.compress(b" " * (40 << 20)), "sent a reply that is far larger than it came"),
    ],
    ids=["unknown", "broken", "a bomb"],
)
def test_what_cannot_be_unpacked_is_told_truly(
    name: str, body: Callable[[], bytes], words: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = framed(body(), b"content-encoding: " + name.encode())
    with asked(lambda _: ScriptedReply([reply]), way, tmp_path, monkeypatch, answered=False) as ask:
        said = ask()
        assert said.status_code == 502
        assert words in said.json()["error"]["message"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_whole_answer_that_does_not_say_why_it_ended_is_one(
    stream: bool, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asked(lambda _: ScriptedReply([whole("one two", finish=None)]), way, tmp_path, monkeypatch) as ask:
        said = ask(stream=stream)
        assert said.status_code == 200, said.text
        if stream:
            choices = [choice for event in sse(said.text).events for choice in event["choices"]]
            assert "".join(choice["delta"].get("content") or "" for choice in choices) == "one two"
            assert choices[-1]["finish_reason"] == "stop"
        else:
            (choice,) = said.json()["choices"]
            assert (choice["message"]["content"], choice["finish_reason"]) == ("one two", "stop")


def in_pieces(*pieces: bytes | float) -> ScriptedReply:
    """A stream that never ends by itself."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return ScriptedReply(
        [head, *(piece if isinstance(piece, float) else chunk(piece) for piece in pieces)], end="stall"
    )


WORDS, _, REST = streamed("one two").rpartition(b"data: {")
COUNTS = b"data: {" + REST


@pytest.mark.parametrize("way", WAYS)
def test_counts_that_come_late_are_booked(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(lambda _: in_pieces(WORDS, 1.0, COUNTS), way, tmp_path, monkeypatch) as ask:
        events = sse(ask(stream=True, stream_options={"include_usage": True}).text).events
        assert events[-1]["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "pieces",
    [
        (WORDS, COUNTS.removesuffix(b"data: [DONE]\n\n")),
        (WORDS,),
        (WORDS, *(0.3, b": on\n\n") * 2_000),  # ten minutes of them
    ],
    ids=["no last word", "no counts", "signs of life"],
)
def test_a_host_that_never_ends_its_stream_does_not_hold_up_the_end_of_the_answer(
    pieces: tuple[bytes | float, ...], way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asked(lambda _: in_pieces(*pieces), way, tmp_path, monkeypatch) as ask:
        assert sse(ask(stream=True, stream_options={"include_usage": True}).text).done


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("end", ["fin", "rst"])
def test_a_connection_that_breaks_after_the_finish_reason_breaks_off_nothing(
    end: End, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asked(lambda _: in_pieces(WORDS, 0.7)._replace(end=end), way, tmp_path, monkeypatch) as ask:
        said = sse(ask(stream=True).text)
        assert said.done and "error" not in said.events[-1]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, raw_deflate])
def test_nothing_of_a_long_answer_is_lost_where_its_pieces_meet(pack: Callable[[bytes], bytes]) -> None:
    name = "gzip" if pack is gzip.compress else "deflate"
    for more in range(300):
        data = b"x" * (UNPACK_SIZE + more)
        assert b"".join(Decompressor(name).feed(pack(data))) == data


def test_a_reader_that_is_behind_does_not_lose_the_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is, nothing is read of the host, and the counts lie in the socket."""
    monkeypatch.setattr(answer_state, "_USAGE_WAIT", 1.0)

    def event(content: str, finish: str | None) -> bytes:
        choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    play = in_pieces(*[event("-" * 50_000, None)] * 120, event("-", "stop"), COUNTS)
    with FaultyHost(script=lambda *_: play) as wall:
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            tree = {
                "model": "cloud/strong", "max_tokens": 25_000, "messages": [{"role": "user", "content": "hello"}],
                "stream": True, "stream_options": {"include_usage": True},
            }  # fmt: skip
            with httpx.stream(
                "POST", f"{house.base_url}/chat/completions", json=tree, timeout=300, trust_env=False
            ) as said:
                time.sleep(1.5)
                said.read()
            assert sse(said.text).events[-1]["usage"]["completion_tokens"] == 5
            assert house.taken == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_length_that_is_said_twice_is_one(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = whole("one two")
    length = reply.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    reply = reply.replace(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length:%b \r\nx-a: b\r\n" % length)
    with asked(lambda _: ScriptedReply([reply[:-9], 0.02, reply[-9:]]), way, tmp_path, monkeypatch) as ask:
        for _ in range(3):
            assert ask().json()["choices"][0]["message"]["content"] == "one two"


@pytest.mark.parametrize("way", WAYS)
def test_a_reply_that_is_not_http_is_reported_as_such(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody closed anything."""
    good = whole("one two")
    for reply in (
        b"220 this is a mail server\r\n\r\n",
        good.replace(b"content-length: ", b"content-length: 7\r\ncontent-length: "),
        good.replace(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n" + b"no header at all\r\n"),
    ):
        with asked(lambda _, reply=reply: ScriptedReply([reply]), way, tmp_path, monkeypatch, answered=False) as ask:
            said = ask().json()["error"]["message"]
            assert "sent a reply that cannot be read as HTTP" in said and "closed" not in said
    ended = ScriptedReply(end="fin")
    with asked(lambda _: ended, way, tmp_path, monkeypatch, answered=False) as ask:
        assert "closed the connection without an answer" in ask().json()["error"]["message"]
