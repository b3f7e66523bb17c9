"""Which hosts are held to a schema in all that it says."""

from __future__ import annotations

from typing import Any

import pytest

from intermodal.catalog.schema_enforcement import is_closable, is_schema_guaranteed
from intermodal.catalog.types import Host

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
OPTIONAL = {**CLOSED, "required": []}
ANY = {"type": "object", "properties": {"a": {"type": "object"}}}


@pytest.mark.parametrize(
    ("host", "schema", "held"),
    [
        (Host(id="h", forced_json=True), CLOSED, True),
        (Host(id="h", forced_json=True), ANY, True),
        (Host(id="h", forced_json=False), CLOSED, False),
        (Host(id="h", forced_json=True, quirks=("strict_subset",)), CLOSED, True),
        (Host(id="h", forced_json=True, quirks=("strict_subset",)), OPTIONAL, False),
        (Host(id="h", forced_json=True, quirks=("strict_subset",)), ANY, False),
        (Host(id="h", forced_json=True, protocol="anthropic"), OPTIONAL, True),
        (Host(id="h", forced_json=True, protocol="anthropic"), ANY, False),
    ],
)
def test_a_host_is_held_strictly_to_what_its_wire_forces_and_no_more(
    host: Host, schema: dict[str, Any], held: bool
) -> None:
    assert is_schema_guaranteed(host, schema, is_closable(schema)) is held
