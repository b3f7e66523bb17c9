"""What measures the gateway notices an answer that is not what the host said, and an image that changed on the way."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "benchmarks" / "gateway"
PICTURE = "iVBORw0KGgo" + "A" * 300_000
WRONG = ("not_2xx", "broken", "wrong", "unanswered")

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    for name in ("mock", "load"):
        command = ["cc", "-O1", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", str(folder / name)]
        subprocess.run([*command, str(SOURCES / f"{name}.c")], check=True)
    (folder / "picture").write_text(PICTURE)
    return folder


def call(order: str, *, stream: bool = False, picture: str = "", text_last: bool = False) -> bytes:
    parts: list[object] = [{"type": "text", "text": order}]
    if picture:
        parts.append({"type": "image_url", "image_url": {"url": "data:image/png;base64," + picture}})
    content = parts[::-1] if text_last else parts
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], "stream": stream}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def load(built: Path, port: int, request: bytes, chunks: int, *, requests: int = 1) -> dict[str, int]:
    """What came back of so many requests, one after the other."""
    file = built / "request"
    file.write_bytes(request)
    command = [str(built / "load"), str(port), str(file), "1", "20", str(chunks), "0", str(requests)]
    found: dict[str, int] = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)
    return found


def failures(found: dict[str, int]) -> dict[str, int]:
    return {kind: found[kind] for kind in WRONG if found[kind]}


def stamp(after: int = 0) -> bytes:
    return b"@%019d " % (time.monotonic_ns() + after)


def stream(*words: bytes, end: bytes = b"data: [DONE]\n\n") -> bytes:
    pieces = [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % word for word in words]
    framed = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, *([end] if end else [])]]
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(framed) + b"0\r\n\r\n"


def whole(word: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(word), word)


CASES = {
    "a stream": (2, lambda: stream(stamp(), stamp(1)), {}),
    "a whole answer": (0, lambda: whole(stamp()), {}),
    "a piece is missing": (3, lambda: stream(stamp(), stamp(1)), {"wrong": 1}),
    "a piece comes twice": (3, lambda: stream(stamp(), (one := stamp(1)), one), {"wrong": 1}),
    "two pieces change places": (2, lambda: stream(stamp(100), stamp(-100_000)), {"wrong": 1}),
    "it does not say that it ended": (2, lambda: stream(stamp(), stamp(1), end=b""), {"wrong": 1}),
    "it was said before it was asked": (0, lambda: whole(stamp(-(10**10))), {"wrong": 1}),
    "it says something else": (0, lambda: whole(b"Hello."), {"wrong": 1}),
    "it is cut": (2, lambda: stream(stamp(), stamp(1))[:-7], {"broken": 1}),
    "its length is not what it says": (0, lambda: whole(stamp())[:-1], {"broken": 1}),
    "it is refused": (0, lambda: whole(stamp(), b"503 Busy"), {"not_2xx": 1}),
    "nothing comes": (0, lambda: b"", {"broken": 1}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_answer_counts_only_as_the_host_said_it(built: Path, case: str) -> None:
    chunks, answer, wanted = CASES[case]

    def serve(listening: socket.socket) -> None:
        line = listening.accept()[0]
        with line:
            line.recv(65536)
            line.sendall(answer())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve, args=(listening,))
        serving.start()
        found = load(built, listening.getsockname()[1], call("[mock chunks=2 pause=0 picture=-1]"), chunks)
        serving.join()
    assert failures(found) == wanted
    assert found["answered"] == (0 if wanted else 1)


@contextmanager
def mock(built: Path) -> Iterator[int]:
    command = [str(built / "mock"), str(built / "picture")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as made:
        assert made.stdin is not None and made.stdout is not None
        yield int(made.stdout.readline())
        made.stdin.close()  # which ends it


def seen(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as answer:
        stats: dict[str, int] = json.load(answer)
    return {name: count for name, count in stats.items() if count}


@pytest.mark.slow
def test_the_host_does_what_the_text_orders_and_counts_lines_that_are_used_again(built: Path) -> None:
    with mock(built) as port:
        streamed = load(built, port, call("[mock chunks=64 pause=100 picture=-1]", stream=True), 64, requests=3)
        assert seen(port) == {"connections": 1, "requests": 3, "streams": 3, "most_open": 1}
        told = load(built, port, call("[mock chunks=64 pause=100 picture=-1]"), 0, requests=5)
        assert seen(port) == {"connections": 1, "requests": 5}
        lost = load(built, port, call("Hello."), 0)
        assert seen(port) == {"connections": 1, "requests": 1, "bad": 1}
    assert (streamed["answered"], streamed["chunks"], failures(streamed)) == (3, 3 * 64, {})
    assert (told["answered"], failures(told)) == (5, {})
    assert failures(lost) == {"not_2xx": 1}


@pytest.mark.parametrize("text_last", [False, True])
def test_the_host_tells_a_picture_that_changed_on_the_way(built: Path, text_last: bool) -> None:
    order = "[mock chunks=1 pause=0 picture=0]"
    changed = PICTURE[:200_000] + "B" + PICTURE[200_001:]
    with mock(built) as port:
        for picture, kept in ((PICTURE, "pictures"), (changed, "pictures_changed"), (PICTURE[:-1], "pictures_changed")):
            found = load(built, port, call(order, picture=picture, text_last=text_last), 0)
            assert found["answered"] == 1
            assert seen(port) == {"connections": 1, "requests": 1, kept: 1}
        load(built, port, call(order), 0)
        assert seen(port) == {"connections": 1, "requests": 1, "pictures_changed": 1}
