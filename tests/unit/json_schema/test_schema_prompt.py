"""What a model is told of a schema: every field, in few words, whatever a client's schema holds."""

from __future__ import annotations

from typing import Any

import pytest

from intermodal.json_schema import schema_prompt


def test_names_types_values_and_descriptions_are_told() -> None:
    schema = {
        "type": "object",
        "properties": {
            "total": {"type": "number", "description": "the total\n amount due"},
            "paid": {"enum": ["card", "cash", None]},
            "due": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        },
        "$defs": {"Item": {"type": "object", "properties": {"price": {"type": "number", "description": "of one"}}}},
    }
    told = schema_prompt.describe_schema(schema)
    for word in ("total", "number", "the total amount due", '"card"', '"cash"', "null", "date", "price", "of one"):
        assert word in told, told
    assert len(told) < 400


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"properties": {"next": {"$ref": "#"}, "all": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}}},
        {"properties": {f"field{n}": {"description": "long " * 1000} for n in range(5000)}},
        {"properties": {"n": {"enum": list(range(100_000))}}},
        {"properties": 7, "required": "x", "enum": 3, "anyOf": {}, "items": [], "type": [["x"]]},
        {"$ref": "https://example.org/schema.json"},
    ],
)
def test_a_hostile_schema_is_told_in_bounded_words(schema: dict[str, Any]) -> None:
    assert len(schema_prompt.describe_schema(schema)) <= schema_prompt.LONGEST + 200


def test_a_schema_of_ten_million_parts_is_told_in_bounded_words() -> None:
    levels = {f"d{n}": {"properties": {f"p{k}": {"$ref": f"#/$defs/d{n + 1}"} for k in range(10)}} for n in range(8)}
    told = schema_prompt.describe_schema({"$ref": "#/$defs/d0", "$defs": levels})
    assert len(told) <= schema_prompt.LONGEST + 200


def test_where_nothing_but_words_keeps_the_answer_to_a_schema_it_stands_there_as_it_is() -> None:
    assert '{"type":"object"}' in schema_prompt.embed_schema({"type": "object"})
    assert len(schema_prompt.embed_schema({"enum": ["x" * 50_000]})) < schema_prompt.WHOLE
