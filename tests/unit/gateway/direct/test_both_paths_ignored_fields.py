"""A field that no host is sent is named in the answer, whether the chat goes through as it came or not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.gateway.requests.test_client_fields import PROTOCOLS, asked, before_one, ignored

from intermodal.protocols.request_fields import FIELDS
from intermodal.telemetry.request_record import RequestRecord

pytestmark = pytest.mark.usefixtures("either_way")

SAID: dict[str, Any] = {"top_logprobs": 0, "grammar": "root ::= [0-9]", "metadata": {"a": "b"}}
# Long and new in each request: these chats are left to the executor.
EXECUTED = {"prediction"}
TYPED = {"top_logprobs", "grammar"}  # which may hold neither object nor array


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_chats_with_fields_that_no_host_is_sent_are_passed_on_and_the_fields_named(
    protocol: str, request: pytest.FixtureRequest
) -> None:
    house, vendor, model = before_one(protocol, request)
    path = PROTOCOLS[protocol]
    records: list[RequestRecord] = []
    house.gateway.tell = records.append
    fields = [name for name, field in FIELDS[protocol].items() if field.fate == "ignored" and "." not in name]
    assert len(fields) > 2
    for name in fields:
        body, before = asked(path, model=model, **{name: SAID.get(name, "x")}), house.taken
        direct = ignored(house.post(path, body))
        assert house.taken - before == (name not in EXECUTED), (name, records[-1].not_direct)
        assert name not in vendor.attempts[-1].json or protocol == "ollama", name
        if name not in TYPED:
            before = house.taken
            assert name in ignored(house.post(path, body | {name: {"a": []}})).split(", ")
            assert house.taken - before == (name == "metadata"), "how deep it is, is the executor's to find out"
        by_executor = ignored(house.post(path, body | {"of_no_client": 1}))
        assert {*direct.split(", "), "of_no_client"} - {""} == set(by_executor.split(", ")), name
