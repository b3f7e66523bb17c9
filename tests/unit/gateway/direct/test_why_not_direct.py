"""The log states of each chat that it was passed on as one call, or why a run answered it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import SEEING, STRONG, GatewayServer, config, until

from intermodal.gateway.process.request_log import log_fields
from intermodal.telemetry.request_record import RequestRecord
from intermodal.testing import FakeHost, Fault

PROMPT = "---\nmodel: cloud/strong\n---\nSay hello.\n"


@pytest.fixture
def records() -> list[RequestRecord]:
    return []


@pytest.fixture
def logging(
    host: FakeHost, records: list[RequestRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GatewayServer]:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "hello.prompt").write_text(PROMPT)
    path = config(
        tmp_path / "intermodal.toml", ("cloud", host.base_url, f"{STRONG}\n{SEEING}"),
        more='[serve]\nprompts = "prompts"\n[policies.held]\nmodel = "cloud/strong"\nstreaming = "buffered"\n',
    )  # fmt: skip
    loose = path.read_text().replace("forced_json = true", "forced_json = false")
    path.write_text(loose)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer(before=lambda gateway: setattr(gateway, "tell", records.append)) as served:
        yield served


def logged(records: list[RequestRecord]) -> dict[str, Any]:
    """What the log says of the latest request."""
    found: dict[str, Any] = json.loads(json.dumps(log_fields(records[-1])))
    assert not ("direct" in found and "not_direct" in found)
    return found


def test_a_chat_that_is_passed_on_is_logged_as_direct(logging: GatewayServer, records: list[RequestRecord]) -> None:
    for stream in (False, True, False, True):  # the first of each is planned
        assert logging.chat(stream=stream).status_code == 200
        logging.until_written()
        assert logged(records)["direct"] is True
    assert logging.http.get("/v1/models").status_code == 200
    until(lambda: records[-1].path == "/v1/models")
    assert not {"direct", "not_direct"} & set(logged(records))


SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"of_no_client": True}, "it has a field or a part that is not passed on"),
        ({"model": "policy:held", "stream": True}, "its stream is held back until it is complete"),
        ({"stream": True, "response_format": SCHEMA}, "its stream is shown only once it is checked against its schema"),
        ({"model": "prompt:hello"}, "it is made from a prompt file"),
    ],
    ids=["field", "buffered", "schema", "prompt"],
)  # fmt: skip
def test_a_chat_that_a_run_answers_is_logged_with_the_reason(
    logging: GatewayServer, records: list[RequestRecord], host: FakeHost, body: dict[str, Any], why: str
) -> None:
    host.answer = "{}"
    for _ in range(2):  # of a shape that is new, and of one that is known
        logging.chat(**body)
        logging.until_written()
        assert logged(records)["not_direct"] == why


@pytest.mark.parametrize("known", [False, True], ids=["in a task", "without one"])
def test_a_call_that_failed_and_was_made_again_by_a_run_is_logged_as_that(
    logging: GatewayServer, records: list[RequestRecord], host: FakeHost, known: bool
) -> None:
    for _ in range(2 * known):
        assert logging.chat().status_code == 200
    host.fault = Fault("unavailable", times=1)
    assert logging.chat().status_code == 200
    logging.until_written()
    assert (logged(records)["not_direct"], logged(records)["attempts"]) == ("its call failed", 2)


def test_a_chat_that_is_refused_before_it_is_planned_took_neither_path(
    logging: GatewayServer, records: list[RequestRecord]
) -> None:
    for body in ({"model": "no/such"}, {"max_tokens": 0}, {"messages": []}):
        assert logging.chat(**body).status_code in (400, 404)
        logging.until_written()
        assert not {"direct", "not_direct"} & set(logged(records)), body


def test_an_api_whose_chats_are_not_passed_on_is_the_reason(
    logging: GatewayServer, records: list[RequestRecord]
) -> None:
    assert logging.post("/api/generate", {"model": "cloud/strong", "prompt": "hello"}).status_code == 200
    logging.until_written()
    assert logged(records)["not_direct"] == "chats of its API are not passed on"


def test_explain_over_http_says_how_a_chat_runs(logging: GatewayServer) -> None:
    body = {"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}]}
    found = logging.post("/v1/explain", body).json()
    assert "\nruns: as one call; " in found["text"] and "not_direct" not in found["plan"]
