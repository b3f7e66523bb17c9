"""docs/protocols.md says of every feature what the wires do when they are asked (``--bless`` writes it)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.protocols.calls import WIRES
from tests.protocols.features import CHATS, COLUMNS, FIELDS, READ, SAID, TESTED, columns, table
from tests.protocols.field_fates import tables

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
TABLE = re.compile(r"<!-- features -->\n(.*)<!-- /features -->", re.S)


FATES = re.compile(r"<!-- fates -->\n(.*)<!-- /fates -->", re.S)


def test_the_page_shows_what_becomes_of_every_field(bless: bool) -> None:
    text = PAGE.read_text()
    if bless:
        PAGE.write_text(FATES.sub(lambda _: f"<!-- fates -->\n{tables()}<!-- /fates -->", text))
        return
    found = FATES.search(text)
    assert found is not None and found[1] == tables()


def test_the_page_shows_what_the_wires_say_and_refuse(bless: bool) -> None:
    text = PAGE.read_text()
    if bless:
        PAGE.write_text(TABLE.sub(lambda _: f"<!-- features -->\n{table()}<!-- /features -->", text))
        return
    found = TABLE.search(text)
    assert found is not None and found[1] == table()


def test_no_wire_and_no_answer_is_missing_from_the_table() -> None:
    assert {wire.name for wire in WIRES} == set(CHATS) == set(READ)
    found = columns()
    assert set(found) == set(COLUMNS)
    assert {feature for column in found.values() for feature in column} == set(TESTED)
    assert set(SAID) < set(TESTED)
    assert all(set(found[name]) == set(TESTED) for name in CHATS.values())


@pytest.mark.parametrize("call", FIELDS, ids=lambda call: call.__name__)
def test_what_a_call_without_chat_can_ask_for_is_what_the_table_asks(call: type) -> None:
    assert set(call.__struct_fields__) == FIELDS[call]  # type: ignore[attr-defined]


def test_where_the_table_sends_a_reader_there_is_such_a_test() -> None:
    for file, name in TESTED.values():
        assert f"def {name}(" in (PAGE.parents[1] / "tests" / "protocols" / file).read_text()
