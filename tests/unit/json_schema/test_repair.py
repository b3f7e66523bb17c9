"""Answers that are not quite JSON, or not quite what a schema asks for: put right where they have one reading."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from intermodal.executor.outputs import json_answer
from intermodal.json_schema import StepBudget, align_value, repair

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
CONTAINERS = JSON.filter(lambda value: isinstance(value, dict | list))


def repaired(text: str) -> Any:
    return json.loads(repair(text, 0, StepBudget(1_000_000))[0])


@pytest.mark.slow
@given(CONTAINERS, st.sampled_from([None, 2]))
def test_valid_json_is_not_changed(value: Any, indent: int | None) -> None:
    assert repaired(json.dumps(value, indent=indent)) == value
    assert repaired(json.dumps(value, indent=indent, ensure_ascii=False)) == value


@pytest.mark.slow
@given(CONTAINERS)
def test_what_python_writes_is_read(value: Any) -> None:
    assume("\\x" not in repr(value) and "\\U" not in repr(value))  # escapes that JSON does not have
    assert repaired(repr(value)) == value


@pytest.mark.slow
@given(CONTAINERS, st.data())
def test_truncated_json_is_never_completed(value: Any, data: Any) -> None:
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(ValueError, match=r"middle|more than one way"):
        repair(cut, 0, StepBudget(1_000_000))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ("{a: 1, b_c: 2}", {"a": 1, "b_c": 2}),
        ("{'a': 'it\\'s \"so\"'}", {"a": 'it\'s "so"'}),
        ('{"a": True, "b": None}', {"a": True, "b": None}),
        ('{"a": 1 // of two\n, /* and */ "b": 2}', {"a": 1, "b": 2}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('{"a": 1\n "b": 2}', {"a": 1, "b": 2}),
        ("[+5, .5, 5., -1e3]", [5, 0.5, 5, -1000.0]),
        ("{unit: EUR}", {"unit": "EUR"}),
        ('{"a": "\\u00e9\\n"}', {"a": "é\n"}),
    ],
)
def test_a_slip_that_has_one_reading_is_put_right(written: str, meant: Any) -> None:
    assert repaired(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        '{"a": 1 "b": 2}', '{"a": 1,, "b": 2}', "[,1]", "{,}", '{"a": 007}', '{"a": 1,284.50}', '{"a": NaN}',
        '{"a": "he said "yes" to it"}', '{"a" 1}', "{a b: 1}", '{"a": 12 EUR}', '{"a": undefined}', '{"a": }',
        '{"a": 1]', "{1: 2}",
    ],
)  # fmt: skip
def test_what_has_two_readings_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"middle|more than one way"):
        repair(written, 0, StepBudget(1_000_000))


def test_hostile_text_is_refused_within_the_budget() -> None:
    for written in (
        "[" * 100_000,
        '{"a":' * 100_000,
        "{" + "/*" * 100_000,
        "['" + "\\" * 100_001,
        "[" + "1,\n" * 100_000,
    ):
        with pytest.raises(ValueError, match=r"."):
            repair(written, 0, StepBudget(1_000_000))


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "number": {"type": "string"}, "total": {"type": "number"}, "count": {"type": "integer"},
        "paid": {"type": "boolean"}, "currency": {"enum": ["EUR", "USD"]}, "size": {"enum": ["s", "S", "m"]},
        "note": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "$defs": {"line": {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"currency": "eur"}, {"currency": "EUR"}),
        ({"currency": " Usd "}, {"currency": "USD"}),
        ({"total": "12.50"}, {"total": 12.5}),
        ({"count": "3"}, {"count": 3}),
        ({"paid": "True"}, {"paid": True}),
        ({"number": 4711}, {"number": "4711"}),
        ({"note": "7"}, {"note": 7}),
        ({"lines": {"price": "2"}}, {"lines": [{"price": 2}]}),
        ([{"count": 1}], {"count": 1}),
    ],
)
def test_a_value_that_has_one_reading_is_read_as_its_schema_has_it(said: Any, meant: Any) -> None:
    made, changes = align_value(said, SCHEMA, StepBudget(10_000))
    assert made == meant and changes
    parsed = json_answer.parse(json.dumps(said), SCHEMA, StepBudget(10_000))
    assert (parsed.data, parsed.problem, json.loads(parsed.text)) == (meant, "", meant) and parsed.mended


@pytest.mark.parametrize(
    "said",
    [
        {"total": "twelve"}, {"total": "1,284.50"}, {"total": "12 EUR"}, {"count": "3.5"}, {"count": 3.5},
        {"paid": "yes"}, {"paid": 1}, {"currency": "Euro"}, {"number": 1.5}, {"number": True}, {"lines": [{}]},
        [{"count": 1}, {"count": 2}],
    ],
)  # fmt: skip
def test_nothing_is_guessed(said: Any) -> None:
    parsed = json_answer.parse(json.dumps(said), SCHEMA, StepBudget(10_000))
    assert parsed.problem and not parsed.mended


def test_a_word_like_two_of_a_list_is_left_as_it_is() -> None:
    schema = {"enum": ["aB", "Ab"]}
    assert align_value("AB", schema, StepBudget(100)) == ("AB", ())


def test_what_is_deep_or_large_is_left_as_it_is() -> None:
    schema = {"type": "object", "properties": {"in": {"$ref": "#"}, "count": {"type": "integer"}}}
    deep: dict[str, Any] = {"count": "1"}
    for _ in range(290):
        deep = {"in": deep}
    assert align_value(deep, schema, StepBudget(10_000)) == (deep, ())
    large = {"count": 10**400, "in": 1}
    assert align_value(large, schema, StepBudget(10_000)) == (large, ())
    assert align_value(1, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, StepBudget(1_000)) == (1, ())


@pytest.mark.slow
@given(JSON, JSON)
def test_whatever_stands_for_a_schema_breaks_nothing(value: Any, schema: Any) -> None:
    made, changes = align_value(value, schema, StepBudget(100_000))
    assert changes or made == value
