"""An internal error in a call, wherever it happens: the client is told, the key is charged, and a row says what for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.gates.faulty_host import (
    DONE,
    HEAD,
    LAST,
    ROLE,
    FaultyHost,
    Halves,
    ScriptedReply,
    chunk,
    delta,
    refusal,
    usage,
)
from tests.unit.gateway.direct.test_both_paths_openai_chat import whole
from tests.unit.gateway.gateway_server import GatewayServer, priced, through_the_executor, until

from intermodal.executor.direct import direct_attempt
from intermodal.executor.direct.compiled_plan import CompiledPlan
from intermodal.executor.direct.direct_attempt import DirectAttempt
from intermodal.protocols.upstream_response import BufferedResponse
from intermodal.telemetry.request_record import RequestRecord

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def fails(*of: object, **more: object) -> Any:
    raise RuntimeError("a fault of ours")


async def fails_later(*of: object) -> Any:
    fails()


def json_by(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


class House(GatewayServer):
    """A gateway that notes the ends of its requests and what is charged to budgets."""

    told: list[RequestRecord]
    settled: list[dict[str, Any]]

    @property
    def held(self) -> int:
        return sum(lease.held for lease in self.ledger._lease_pool._leases.values())

    def is_over(self) -> bool:
        return bool(self.told) and not self.gateway.active and not self.held


@contextmanager
def gateway(
    folder: Path, patch: pytest.MonkeyPatch, wall: FaultyHost, protocol: str = "openai", **more: Any
) -> Iterator[House]:
    path = folder / "intermodal.toml"
    row = priced("first", wall.base_url, 1.0, protocol=protocol)
    row = row.replace('zone = "internet"', 'zone = "internet"\nforced_json = true', 1)
    path.write_text(row.replace("context = 32000", "context = 1000000"))
    patch.setenv("INTERMODAL_CONFIG", str(path))
    with House(**more) as house:
        house.told, house.settled = [], []
        house.gateway.tell = house.told.append
        settle = house.ledger.settle

        def settles(given: Any, **charges: Any) -> None:
            house.settled.append(charges)
            settle(given, **charges)

        patch.setattr(house.ledger, "settle", settles)
        yield house


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    ("owner", "name", "play", "more"),
    [
        (DirectAttempt, "_measure_work", refusal(500), {}),
        (BufferedResponse, "events", whole("no JSON"), json_by(CITY)),
        (CompiledPlan, "bill", whole("hi"), {}),
    ],
    ids=["work of a failed call", "events of an answer to be repaired", "bill"],
)
def test_what_is_reserved_for_a_direct_call_is_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, play: ScriptedReply, more: dict[str, Any]
) -> None:
    with FaultyHost(lambda model, number: play) as wall, gateway(tmp_path, monkeypatch, wall) as house:
        monkeypatch.setattr(owner, name, fails)
        reply = house.chat("hello", max_tokens=50, **more)
        until(house.is_over)
        assert reply.status_code == 500 and "a fault of ours" not in reply.text
        assert [charge["cost"] > 0 for charge in house.settled] == [True]
        (record,) = house.told
        assert (record.error, record.attempts) == ("internal", 1)
        assert house.gateway.context.metrics.attempts == {("first:cloud/strong", "internal"): 1}
        if name != "_measure_work":  # without it no row can be written
            until(lambda: [run.outcome for run in house.gateway.client.store.runs()] == ["internal"])
            assert [row.state for row in house.gateway.client.store.attempts(-1)] == ["estimated"]


def test_a_run_says_what_failed_and_closes_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intermodal.executor.attempt.step_caller.price_of_usage", fails)
    with (
        FaultyHost(lambda model, number: whole("hi")) as wall,
        gateway(tmp_path, monkeypatch, wall, before=through_the_executor) as house,
    ):
        assert house.chat("hello", max_tokens=50).status_code == 500
        until(house.is_over)
        assert [row.state for row in house.gateway.client.store.attempts(-1)] == ["estimated"]
        assert (house.told[0].error, house.told[0].attempts) == ("internal", 1)
        assert ["RuntimeError" in line for line in house.log] == [True], house.log


@pytest.mark.usefixtures("either_way")
def test_a_stream_whose_check_fails_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long JSON answer is checked in a thread, after all of it was shown."""
    text = json.dumps({"rest": [str(number) for number in range(9000)]})
    schema = {"type": "object", "properties": {"rest": {"type": "array", "items": {"type": "string"}}}}
    pieces = [chunk(delta(text[at : at + 700])) for at in range(0, len(text), 700)]
    ends = (chunk(delta(None, "stop")), chunk(usage(20_000)), chunk(DONE), LAST)
    play = ScriptedReply((HEAD, chunk(ROLE), *pieces, *ends))
    monkeypatch.setattr(direct_attempt.json_answer, "run_in_thread", fails_later)
    with FaultyHost(lambda model, number: play) as wall, gateway(tmp_path, monkeypatch, wall) as house:
        tree = {"model": "cloud/strong", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        tree |= {"max_tokens": 60_000, **json_by(schema)}
        with house.http.stream("POST", "/v1/chat/completions", json=tree) as found:
            got = "".join(found.iter_text())
        until(house.is_over)
        assert '"error"' in got.rpartition("data: {")[2] and "a fault of ours" not in got
        assert (house.told[0].error, house.told[0].broken) == ("internal", True)
        assert len(house.settled) == 1


def event(kind: str, number: int, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number, **more})}\n\n".encode()


@pytest.mark.usefixtures("either_way")
def test_a_stream_of_responses_ends_as_the_response_that_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = {"id": "resp_1234567890", "object": "response", "created_at": 1, "model": "first", "output": []}
    item = {"id": "msg_1234567890", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    whole_part = {**part, "text": "Paris"}
    whole_item = {**item, "status": "completed", "content": [whole_part]}
    counts = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    events = [
        event(kind, number, **more)
        for number, (kind, more) in enumerate([
            ("response.created", {"response": {**response, "status": "in_progress"}}),
            ("response.output_item.added", {"output_index": 0, "item": item}),
            ("response.content_part.added", {**at, "part": part}),
            ("response.output_text.delta", {**at, "delta": "Paris", "logprobs": []}),
            ("response.output_text.done", {**at, "text": "Paris", "logprobs": []}),
            ("response.content_part.done", {**at, "part": whole_part}),
            ("response.output_item.done", {"output_index": 0, "item": whole_item}),
            ("response.completed",
             {"response": {**response, "status": "completed", "output": [whole_item], "usage": counts}}),
        ])
    ]  # fmt: skip
    halves = Halves(HEAD + chunk(b"".join(events[:4])), chunk(b"".join(events[4:])) + LAST)
    play = ScriptedReply(halves)
    monkeypatch.setattr(CompiledPlan, "bill", fails)
    with (
        FaultyHost(lambda model, number: play) as wall,
        gateway(tmp_path, monkeypatch, wall, "openai-responses") as house,
    ):
        tree = {"model": "cloud/strong", "stream": True, "input": "hello", "max_output_tokens": 50}
        with house.http.stream("POST", "/v1/responses", json=tree) as found:
            got = ""
            for piece in found.iter_text():
                got += piece
                if "Paris" in got:
                    halves.arrived.set()
    told = [json.loads(line[6:]) for line in got.splitlines() if line.startswith("data: {")]
    assert [each["type"] for each in told].count("response.created") == 1
    assert told[-1]["type"] == "response.failed"
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    assert len({each["response"]["id"] for each in told if "response" in each}) == 1
