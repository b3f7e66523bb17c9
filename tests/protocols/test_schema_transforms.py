"""The schema that is sent stands for the schema that was asked for: never wider, and always finite."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from intermodal.client.answer_schema import check_schema
from intermodal.core.languages import checked_language, whisper_code
from intermodal.errors import SchemaInvalid, UsageError
from intermodal.protocols.schema_transforms import MAX_ITEMS, MAX_LENGTH, limit_lengths, name_root, references

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name"],
    "additionalProperties": False,
}


def valid(value: Any, schema: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def test_a_schema_that_names_itself_says_the_same_without() -> None:
    made = name_root(TREE)
    assert "#" not in references(made)
    for value in ({"name": "a", "kids": [{"name": "b", "kids": []}]}, {"name": "a", "kids": [{"nom": "b"}]}, {}):
        assert valid(value, made) == valid(value, TREE)
    assert name_root({"$defs": {"root": {}}, "items": {"$ref": "#"}})["items"] == {"$ref": "#/$defs/root_"}


def test_only_what_has_no_limit_gets_one() -> None:
    made = limit_lengths({
        "properties": {
            "free": {"type": "string"},
            "maybe": {"type": ["string", "null"]},
            "short": {"type": "string", "maxLength": 3},
            "choice": {"type": "string", "enum": ["a"]},
            "date": {"type": "string", "format": "date"},
            "long": {"type": "string", "minLength": 500},
            "type": {"type": "array", "items": {"type": "string"}},
            "default": {"type": "array", "maxItems": 99, "default": {"type": "string"}},
        }
    })["properties"]  # fmt: skip
    assert made["free"]["maxLength"] == made["maybe"]["maxLength"] == made["type"]["items"]["maxLength"] == MAX_LENGTH
    assert made["short"]["maxLength"] == 3 and made["type"]["maxItems"] == MAX_ITEMS
    assert not any("maxLength" in made[name] for name in ("choice", "date", "long"))
    assert made["default"] == {"type": "array", "maxItems": 99, "default": {"type": "string"}}


@pytest.mark.parametrize("reference", ["https://example.com/x.json", "other.json#/a", "#/$defs/missing"])
def test_a_schema_that_needs_more_than_itself_is_refused(reference: str) -> None:
    with pytest.raises(SchemaInvalid, match="refers to"):
        check_schema({"type": "object", "properties": {"a": {"$ref": reference}}})


def test_a_word_that_only_looks_like_a_reference_is_none() -> None:
    check_schema({"properties": {"$ref": {"type": "string"}}, "enum": [{"$ref": "https://example.com"}]})
    check_schema({"properties": {"a/b": {"type": "string"}, "c": {"$ref": "#/properties/a~1b"}}})


def test_languages_are_codes_that_exist() -> None:
    assert [checked_language(said) for said in ("en", "EN-us", "French", "", "yue", "ga")] == [
        "en",
        "en",
        "fr",
        "",
        "yue",
        "ga",
    ]
    with pytest.raises(UsageError, match=r"no language 'xx'.*en, fr"):
        checked_language("xx")
    assert whisper_code("jv") == "jw"
    with pytest.raises(UsageError, match="not taught"):
        whisper_code("ga")
