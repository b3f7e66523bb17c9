"""The gateway's log: a line for each request, nothing secret in it, and nobody who waits for it."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.gateway.apis.test_streams import ASKED, leave
from tests.unit.gateway.gateway_server import GatewayServer, until
from tests.unit.telemetry.test_spans import a_key, canary, picture

from intermodal.gateway.process import request_log
from intermodal.gateway.process.request_log import RequestLog
from intermodal.telemetry.request_record import LONGEST, RequestRecord, redact
from intermodal.testing import FakeHost, Fault


@contextmanager
def logged(form: str = "json", level: str = "info", drain: float = 2.0) -> Iterator[tuple[GatewayServer, list[str]]]:
    """A gateway that logs into a pipe, and its lines, there once the gateway has ended."""
    reading, writing = os.pipe()
    lines: list[str] = []
    log = RequestLog(form, level, writing)  # type: ignore[arg-type]
    with GatewayServer(before=lambda gateway: setattr(gateway, "tell", log.log_request), drain=drain) as house:
        yield house, lines
    log.close()
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as read:
        lines += read.read().splitlines()


def test_each_request_is_one_line_with_what_it_took(configured: Path, host: FakeHost) -> None:
    with logged() as (house, lines):
        found = house.chat(headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
        house.http.get("/v1/models")
    first, second = map(json.loads, lines)
    assert (first["event"], first["level"]) == ("request", "info")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert (first["method"], first["path"], first["status"]) == ("POST", "/v1/chat/completions", 200)
    assert first["request_id"] == found.headers["x-request-id"] != second["request_id"]
    assert first["plan"] == found.headers["x-intermodal-plan"]
    assert (first["model"], first["route"]) == ("cloud/strong", "cloud:cloud/strong")
    assert (first["input_tokens"], first["output_tokens"], first["attempts"]) == (1, 3, 1)
    assert first["cost"] == pytest.approx(float(found.headers["x-intermodal-cost"]))
    assert first["bytes_in"] == len(found.request.content) and first["bytes_out"] == len(found.content)
    assert first["seconds"] > 0
    assert (second["path"], second["status"]) == ("/v1/models", 200)
    assert not {"model", "cost", "route", "error", "trace_id", "key"} & set(second)


def test_people_read_it_in_one_line(configured: Path) -> None:
    with logged("text") as (house, lines):
        house.chat()
        house.chat(model="no/such model\n200")
    answered, refused = lines
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d POST /v1/chat/completions 200 \d\.\d{3}s cloud/strong -> cloud:cloud/strong 1\+3 tok "
        r"\$1\.3e-06 [0-9a-f]+-[0-9a-f]+", answered,
    )  # fmt: skip
    assert '"no/such model\\x0a200" unknown_model' in refused


@pytest.mark.parametrize(("level", "there"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_says_what_is_logged(configured: Path, host: FakeHost, level: str, there: int) -> None:
    """Those who ask all day whether it lives are not heard unless somebody looks for them."""
    with logged(level=level) as (house, lines):
        house.http.get("/healthz")
        house.chat()
        house.chat(model="no/such")
        host.fault = Fault("key")
        assert house.chat().status_code >= 500
    levels = ["debug", "info", "warning", "error"]
    assert [json.loads(line)["level"] for line in lines] == levels[-there:]


def test_no_key_no_words_and_no_media_are_logged(configured: Path, host: FakeHost, own_home: Path) -> None:
    data = picture()
    host.answer = "canary-of-the-answer"
    secret = a_key(own_home, "app")
    for form in ("json", "text"):
        host.fault = None
        with logged(form, "debug") as (house, lines):
            assert canary(house, secret, data)[0] == 200
            assert canary(house, f"im-{'canary' * 5}", data)[0] == 401
            misplaced = house.chat(model=secret, headers={"authorization": f"Bearer {secret}"})
            assert misplaced.status_code == 404
            host.fault = Fault("policy")
            assert canary(house, secret, data)[0] == 400
        text = "\n".join(lines)
        assert len(lines) == 4
        assert "canary" not in text and secret[9:] not in text and "base64" not in text
        assert "k-app" in text  # whose it was is said


def test_what_a_client_makes_up_is_bounded_and_on_one_line(configured: Path) -> None:
    awkward = "a\n\u202eb\x1b[31m" + "x" * 5000
    with logged("text") as (house, lines):
        house.chat(model=awkward)
        house.raw(b"GET /%s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n" % (b"y" * 3000))
        house.raw(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
    assert len(lines) == 3
    for line in lines:
        assert line.isprintable() and len(line) < 400
    assert redact(awkward).startswith("a\\x0a\\u202eb\\x1b[31m") and len(redact(awkward)) < LONGEST + 20


def test_what_looks_like_a_key_is_hidden_and_names_of_models_are_not() -> None:
    for key in (
        "im-Zx81kQ0pAbCdEfGh",
        "sk-proj-0123456789abcdef",
        "gsk_0123456789abcdefghij",
        "AIzaSy0123456789abcdef",
    ):
        assert key[6:] not in redact(f"/v1/models/{key}")
    for name in (
        "imagegeneration-v2-large",
        "sketch-diffusion-xl-base",
        "skywork/skywork-13b",
        "google/imagen-4.0-ultra",
    ):
        assert redact(name) == name


def test_a_request_that_is_turned_away_is_logged_and_counted(configured: Path, own_home: Path) -> None:
    watcher = a_key(own_home, "watcher", metrics=True)
    with logged() as (house, lines):
        assert house.chat(headers={"authorization": "Bearer im-nobody"}).status_code == 401
        assert house.http.get("/wp-admin", headers={"authorization": f"Bearer {watcher}"}).status_code == 404
        counted = house.http.get("/metrics", headers={"authorization": f"Bearer {watcher}"}).text
    first, second = map(json.loads, lines)
    assert (first["status"], first["error"], first["level"]) == (401, "invalid_api_key", "warning")
    assert (second["status"], second["path"]) == (404, "/wp-admin")
    assert 'intermodal_requests_total{path="/v1/chat/completions",status="401"} 1' in counted
    assert 'intermodal_requests_total{path="",status="404"} 1' in counted and "wp-admin" not in counted


def test_a_stream_that_breaks_is_told_from_one_that_ends(configured: Path, host: FakeHost) -> None:
    """Both began with 200: in the log and among the counts they are told apart, and who it was that left."""
    host.answer = "one two three four five six"
    with logged() as (house, lines):
        house.chat(stream=True)
        host.fault = Fault("cut", 2)
        house.chat(stream=True)
        host.fault = Fault("stall", 2)
        leave(house, ASKED, after=b"two", host=host)
        until(lambda: not house.gateway.active)
        counted = house.http.get("/metrics").text
    told = [json.loads(line) for line in lines]
    assert [line["status"] for line in told] == [200, 200, 200]
    assert [line.get("error") for line in told] == [None, "stream_cut", "client_left"]
    assert [line.get("broken") for line in told] == [None, True, True]
    assert [line["level"] for line in told] == ["info", "error", "warning"]
    path = 'path="/v1/chat/completions"'
    assert f'intermodal_requests_total{{{path},status="200"}} 3' in counted
    assert f'intermodal_streams_broken_total{{{path},by="server"}} 1' in counted
    assert f'intermodal_streams_broken_total{{{path},by="client"}} 1' in counted


@pytest.mark.parametrize("way", [{}, {"nobody_knows": 1}], ids=["direct", "executor"])
def test_a_stream_that_is_cut_as_the_gateway_ends_is_logged_as_that(
    configured: Path, host: FakeHost, way: dict[str, Any]
) -> None:
    host.answer, host.fault = "one two three four five six", Fault("stall", 3)
    with logged(drain=0.3) as (house, lines):
        body = {**ASKED, **way}
        with httpx.stream(
            "POST", f"{house.base_url}/chat/completions", json=body, timeout=300, trust_env=False
        ) as found:
            for piece in found.iter_text():
                if "three" in piece:
                    house.loop.call_soon_threadsafe(house.gateway.stop)
    (told,) = map(json.loads, lines)
    assert (told["status"], told["error"], told["broken"]) == (200, "stopping", True)


def test_a_reader_who_stops_reading_holds_nobody_up(configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody reads is dropped and counted; when it is read again, the number is said."""
    monkeypatch.setattr(request_log, "MAX_QUEUED_LINES", 20)
    reading, writing = os.pipe()
    log = RequestLog("json", "info", writing)
    for _ in range(5000):  # far more than a pipe holds
        log.log_request(RequestRecord(method="GET", path="/" + "x" * 100, status=200))
        if log.dropped:
            break
        time.sleep(0.0005)
    assert log.dropped, "the pipe took it all, so nothing was stalled"
    log.close(0.1)  # and closing does not wait for the reader
    read = bytearray()
    while b"were not read in time" not in read:
        read += os.read(reading, 1 << 16)
    assert all(json.loads(line)["event"] for line in read.decode().splitlines()[:-1])
    log._thread.join(300)
    os.close(reading)
    os.close(writing)


def test_a_pipe_that_does_not_wait_for_its_reader_loses_no_line() -> None:
    """Whoever started us shares the pipe, and may have set that for all (Node.js does)."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    log = RequestLog("json", "info", writing)
    said = [f"{number} {'x' * 100}" for number in range(2000)]  # more than a pipe holds
    for words in said:
        log.log_note("info", words)
    until(lambda: not select.select([], [writing], [], 0)[1], 60)
    log.log_note("error", "the last one")
    read = bytearray()
    while b"the last one" not in read and select.select([reading], [], [], 60)[0]:
        read += os.read(reading, 1 << 16)
    log.close()
    os.close(writing)
    os.close(reading)
    assert [json.loads(line)["message"] for line in read.decode().splitlines()] == [*said, "the last one"]


def test_a_disk_that_was_full_takes_the_log_again_and_what_was_lost_is_counted(tmp_path: Path) -> None:
    descriptor, path = os.open("/dev/full", os.O_WRONLY), tmp_path / "log"
    log = RequestLog("json", "info", descriptor)
    for number in range(3):
        log.log_note("info", "lost")
        until(lambda lost=number + 1: log.lost == lost, 60)
    with path.open("w") as file:
        os.dup2(file.fileno(), descriptor)  # there is room again
    log.log_note("info", "after it")
    log.close(60)
    os.close(descriptor)
    told = [json.loads(line)["message"] for line in path.read_text().splitlines()]
    assert told == ["3 lines of the log could not be written (no space left on device)", "after it"]


def test_a_line_of_which_a_part_was_written_is_ended_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    write, room = os.write, [100, 0, 20, 0]  # bytes that the disk takes, time after time

    def short(descriptor: int, data: bytes) -> int:
        if descriptor != writing or not room:
            return write(descriptor, data)
        size = room.pop(0)
        if not size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:size])

    monkeypatch.setattr(os, "write", short)
    log = RequestLog("json", "info", writing)
    log.log_note("info", "a" * 200)
    until(lambda: len(room) == 2, 60)
    log.log_note("info", "b")
    until(lambda: log.lost, 60)
    log.log_note("info", "c")
    log.close(60)
    os.close(writing)
    with os.fdopen(reading) as lines:
        told = [json.loads(line)["message"] for line in lines]
    assert told == ["a" * 200, "1 lines of the log could not be written (no space left on device)", "c"]


def test_a_reader_who_is_gone_ends_the_log_and_nothing_else(configured: Path) -> None:
    reading, writing = os.pipe()
    log = RequestLog("text", "info", writing)
    os.close(reading)
    with GatewayServer(before=lambda gateway: setattr(gateway, "tell", log.log_request)) as house:
        assert [house.http.get("/v1/models").status_code for _ in range(3)] == [200] * 3
    log.close()
    assert not log._thread.is_alive()
    known = log.dropped
    log.log_request(RequestRecord())
    assert log.dropped == known + 1  # and what nobody will read is not kept
    os.close(writing)


def test_a_collector_that_is_not_there_is_a_line_of_the_log(host: FakeHost, configured: Path) -> None:
    """Said when the server ends, too: what it had not taken is lost."""
    command = [sys.executable, "-m", "intermodal.cli.main", "serve", "--port", "0", "--log-format", "json"]
    env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=env, text=True)
    assert process.stderr is not None
    try:
        url = re.findall(r"http://[0-9.:]+", process.stderr.readline())[0]
        assert httpx.get(f"{url}/v1/models", timeout=300, trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
        told = [json.loads(line) for line in process.stderr.read().splitlines()]
    finally:
        process.kill()
        process.wait(300)
        process.stderr.close()
    assert [line["path"] for line in told if line["event"] == "request"] == ["/v1/models"]
    assert any(line["message"].startswith("telemetry: Failed to export") for line in told if line["event"] == "note")


def test_a_server_answers_and_ends_while_nobody_reads_its_errors(host: FakeHost, configured: Path) -> None:
    """The whole command: standard error is a pipe, full to the brim and never read again."""
    command = [sys.executable, "-m", "intermodal.cli.main", "serve", "--port", "0", "--log-format", "json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ.copy())
    assert process.stderr is not None
    try:
        said: dict[str, Any] = json.loads(process.stderr.readline())
        url = re.findall(r"http://\S+", said["message"])[0]
        long = "x" * 100
        with httpx.Client(base_url=url, timeout=300, trust_env=False) as client:
            for number in range(600):  # over 64 KiB of lines, which is what a pipe takes
                assert client.get(f"/{long}/{number}").status_code == 404
            assert client.get("/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
    finally:
        process.kill()
        process.wait(300)
        process.stderr.close()


def test_lines_of_several_processes_do_not_mix() -> None:
    """What is written at once is whole lines, and no more than a pipe takes in one piece."""
    lines = [f"{number} {'x' * 700}\n" for number in range(30)]
    pieces = list(request_log._pieces(lines))
    assert b"".join(pieces).decode() == "".join(lines)
    assert all(piece.endswith(b"\n") and len(piece) <= 4096 for piece in pieces) and len(pieces) < 10


def test_lines_come_whole_from_many_threads() -> None:
    reading, writing = os.pipe()
    log = RequestLog("json", "info", writing)
    found: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as lines:
            found.append(lines.read())

    reader = threading.Thread(target=read)
    reader.start()
    threads = [threading.Thread(target=lambda: [log.log_note("info", "word") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    os.close(writing)
    reader.join(300)
    lines = found[0].decode().splitlines()
    assert len(lines) == 800 and {json.loads(line)["message"] for line in lines} == {"word"}


def test_what_opentelemetry_complains_of_is_a_line_like_any_other() -> None:
    reading, writing = os.pipe()
    log = RequestLog("json", "warning", writing)
    log.listen()
    logging.getLogger("opentelemetry.exporter").error("Failed to export %s batch\n%s", "spans", "x" * 1000)
    log.close()
    logging.getLogger("opentelemetry.exporter").warning("nobody listens any more")
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        (line,) = map(json.loads, lines.read().splitlines())
    assert line["level"] == "error"
    assert line["message"].startswith("telemetry: Failed to export spans batch\\x0axxx") and len(line["message"]) < 500
