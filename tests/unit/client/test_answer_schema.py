"""Whatever Python people use to describe data becomes the same JSON Schema, and comes back as their type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import jsonschema
import msgspec
import pydantic
import pytest

from intermodal.client import answer_schema
from intermodal.errors import OutputInvalid, SchemaInvalid


@dataclass
class Line:
    text: str
    amount: float


@dataclass
class Invoice:
    number: str
    lines: list[Line]


class InvoiceModel(pydantic.BaseModel):
    number: str
    lines: list[Line]


class InvoiceDict(TypedDict):
    number: str
    lines: list[Line]


class InvoiceStruct(msgspec.Struct):
    number: str
    lines: list[Line]


@dataclass
class Tree:
    name: str
    children: list[Tree]


GOOD: dict[str, Any] = {"number": "7", "lines": [{"text": "tea", "amount": 2.5}]}


@pytest.mark.parametrize("cls", [Invoice, InvoiceModel, InvoiceDict, InvoiceStruct])
def test_every_kind_of_class_gives_a_schema_that_takes_the_good_and_refuses_the_bad(cls: type[Any]) -> None:
    body = answer_schema.json_output(cls).schema
    assert body["type"] == "object"
    jsonschema.validate(GOOD, body)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"number": "7"}, body)


@pytest.mark.parametrize("cls", [Invoice, InvoiceModel, InvoiceStruct])
def test_the_answer_comes_back_as_the_users_own_type(cls: type[Any]) -> None:
    value = answer_schema.parse_answer(GOOD, cls)
    assert isinstance(value, cls)
    assert value.number == "7"


def test_a_recursive_class_keeps_its_definition_reachable() -> None:
    body = answer_schema.json_output(Tree).schema
    jsonschema.validate({"name": "a", "children": [{"name": "b", "children": []}]}, body)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "a", "children": [{"name": 1, "children": []}]}, body)


def test_an_answer_of_another_shape_is_refused_with_the_field() -> None:
    with pytest.raises(OutputInvalid, match="number"):
        answer_schema.parse_answer({"lines": []}, Invoice)


def test_a_broken_schema_names_the_place() -> None:
    with pytest.raises(SchemaInvalid, match="properties/total"):
        answer_schema.json_output({"type": "object", "properties": {"total": {"type": "money"}}})


def test_a_broken_schema_names_the_file_it_came_from() -> None:
    with pytest.raises(SchemaInvalid, match="objekt") as caught:
        answer_schema.json_output({"type": "objekt"}, where="answer.json")
    assert caught.value.where == "answer.json"


def test_a_class_without_a_schema_says_what_to_pass_instead() -> None:
    with pytest.raises(SchemaInvalid, match="pass a pydantic class"):
        answer_schema.json_output(type("Odd", (), {"__init__": lambda self, x: None, "__module__": __name__}))


@pytest.mark.parametrize("body", [{"$ref": "#"}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}])
def test_a_schema_that_only_refers_to_itself_is_refused_before_anything_is_asked(body: dict[str, Any]) -> None:
    with pytest.raises(SchemaInvalid, match="refers to itself"):
        answer_schema.json_output(body)
