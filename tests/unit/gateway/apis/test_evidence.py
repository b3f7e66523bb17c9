"""A gateway's client learns where the values of a JSON answer stand in the files that it sent."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas
from tests.unit.gateway.gateway_server import GatewayServer, sse

from intermodal.testing import FakeHost


def pdf(*lines: str) -> str:
    """A PDF with these lines, as a data URI."""
    out = io.BytesIO()
    canvas = Canvas(out)
    for row, line in enumerate(lines):
        canvas.drawString(72, 770 - 22 * row, line)
    canvas.save()
    return f"data:application/pdf;base64,{base64.b64encode(out.getvalue()).decode()}"


FILE = {
    "type": "file",
    "file": {"filename": "invoice.pdf", "file_data": pdf("Invoice INV-20417", "Total due EUR 1,380.50")},
}
SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number", "description": "the total amount due"}},
    "required": ["total"],
}
FORM = {"type": "json_schema", "json_schema": {"name": "invoice", "schema": SCHEMA}}


def ask(house: GatewayServer, content: Any = None, **more: Any) -> Any:
    said = content if content is not None else [{"type": "text", "text": "Read it."}, FILE]
    return house.chat(said, **{"response_format": FORM, **more})


def test_a_value_has_its_place_beside_the_usage(house: GatewayServer, host: FakeHost) -> None:
    host.answer = '{"total": 1380.5}'
    found = ask(house)
    assert found.status_code == 200, found.text
    (place,) = found.json()["usage"]["intermodal"]["evidence"]
    assert place == {
        "field": "/total", "status": "found", "file": "invoice.pdf", "page": 1, "line": 2,
        "text": "Total due EUR 1,380.50",
    }  # fmt: skip
    assert "x-intermodal-unverified" not in found.headers and "the total amount due" in host.attempts[0].text


def test_a_value_that_stands_nowhere_is_in_a_header_and_a_note(house: GatewayServer, host: FakeHost) -> None:
    host.answer = '{"total": 1284.5}'
    found = ask(house)
    assert found.headers["x-intermodal-unverified"] == "/total" and len(host.attempts) == 2
    about = found.json()["usage"]["intermodal"]
    assert about["evidence"] == [{"field": "/total", "status": "unverified"}]
    assert any("total (1284.5) occurs in none of the files" in note for note in about["notes"])
    streamed = sse(ask(house, stream=True, stream_options={"include_usage": True}).text)
    assert streamed.events[-1]["usage"]["intermodal"]["evidence"] == about["evidence"]


def test_a_code_is_asked_for_again_among_those_that_the_file_has(house: GatewayServer, host: FakeHost) -> None:
    currency = {"enum": ["EUR", "GBP", "USD"], "description": "the currency"}
    schema = {"type": "object", "properties": {"currency": currency}, "required": ["currency"]}
    host.answer = '{"currency": "USD"}'
    ask(house, response_format={"type": "json_schema", "json_schema": {"name": "invoice", "schema": schema}})
    first, second = (each.json["response_format"]["json_schema"]["schema"] for each in host.attempts)
    listed = [each["properties"]["currency"]["enum"] for each in (first, second)]
    assert listed == [["EUR", "GBP", "USD"], ["EUR"]]


@pytest.mark.parametrize("wish", ["mark", "off"])
def test_a_client_may_want_no_second_call(house: GatewayServer, host: FakeHost, wish: str) -> None:
    host.answer = '{"total": 1284.5}'
    found = ask(house, headers={"x-intermodal-evidence": wish})
    assert ("x-intermodal-unverified" in found.headers) is (wish == "mark") and len(host.attempts) == 1
    refused = ask(house, headers={"x-intermodal-evidence": wish}, intermodal={"evidence": "retry"})
    assert refused.status_code == 400, "a request may not loosen what a header before it tightened"


def test_json_without_a_file_is_one_call_and_is_held_against_nothing(house: GatewayServer, host: FakeHost) -> None:
    host.answer = '{"total": 1284.5}'
    found = ask(house, "How much is it?")
    assert found.status_code == 200 and len(host.attempts) == 1
    assert "evidence" not in found.json()["usage"]["intermodal"]
