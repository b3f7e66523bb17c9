"""The bounded check says what the library ``jsonschema`` says, of ordinary schemas and values."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intermodal.json_schema import InvalidSchema, StepBudget, compile_schema

pytestmark = pytest.mark.slow

STEPS = 1_000_000
NAMES = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from(["null", "boolean", "string", "number", "integer", "object", "array"])
PATTERNS = st.sampled_from(["a", "^a+$", "b|c", "[0-9]", "^(?!a)", "^.{2}$"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, -1.5, 2.0, 1e300])
    | st.sampled_from(["", "a", "ab", "aaa", "é", "x1", "😀"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
LIMIT, SIZE = st.integers(-2, 2), st.integers(0, 3)


def keywords(inner: st.SearchStrategy[Any], references: list[str]) -> dict[str, st.SearchStrategy[Any]]:
    found: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(VALUES, max_size=4),
        "const": VALUES,
        "minimum": LIMIT | st.just(0.5),
        "maximum": LIMIT,
        "exclusiveMinimum": LIMIT,
        "exclusiveMaximum": LIMIT,
        "multipleOf": st.sampled_from([1, 2, 0.5, 0.1, 3]),
        "pattern": PATTERNS,
        "uniqueItems": st.booleans(),
        "required": st.lists(NAMES, unique=True, max_size=2),
        "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, unique=True), max_size=2),
    }
    found |= {f"m{end}{what}": SIZE for end in ("in", "ax") for what in ("Length", "Items", "Properties", "Contains")}
    one = ("additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else")
    found |= dict.fromkeys((*one, "unevaluatedProperties", "unevaluatedItems"), inner)
    found |= dict.fromkeys(("prefixItems", "allOf", "anyOf", "oneOf"), st.lists(inner, min_size=1, max_size=3))
    found |= dict.fromkeys(("properties", "dependentSchemas"), st.dictionaries(NAMES, inner, max_size=3))
    found["patternProperties"] = st.dictionaries(PATTERNS, inner, max_size=2)
    return found | ({"$ref": st.sampled_from(references)} if references else {})


def schemas(*references: str) -> st.SearchStrategy[Any]:
    def extended(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        known = keywords(inner, list(references))
        some = st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=4, unique=True)
        return some.flatmap(lambda names: st.fixed_dictionaries({name: known[name] for name in names}))

    return st.recursive(st.booleans() | st.just({}), extended, max_leaves=6)


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(schemas("#/$defs/x", "#/$defs/y"), schemas("#/$defs/y"), schemas(), st.lists(VALUES, min_size=1, max_size=5))
def test_verdicts_are_those_of_jsonschema(main: Any, x: Any, y: Any, values: list[Any]) -> None:
    schema = {**(main if isinstance(main, dict) else {"allOf": [main]}), "$defs": {"x": x, "y": y}}
    compiled = compile_schema(schema, StepBudget(STEPS))
    plain = jsonschema.Draft202012Validator(schema)
    for value in values:
        violation = compiled.violation(value, StepBudget(STEPS))
        assert (violation is None) == plain.is_valid(value), (schema, value, str(violation))


SOUND: dict[str, Any] = {
    "$id": "http://example.com/x", "type": ["object", "null"], "required": ["a"], "minLength": 1, "maximum": 2.5,
    "properties": {"a": {"enum": [1], "uniqueItems": True}}, "patternProperties": {"^a": True}, "anyOf": [{}],
    "dependentRequired": {"a": ["b"]}, "$defs": {"x": {"multipleOf": 0.5, "$anchor": "n", "pattern": "a+"}},
    "items": False, "prefixItems": [True], "examples": [1], "title": "t", "readOnly": True,
    "dependencies": {"a": ["b"]}, "$vocabulary": {"u": True}, "if": {}, "contentSchema": {}, "$dynamicAnchor": "m",
}  # fmt: skip
ODD = st.sampled_from(
    [None, True, 0, -1, 1.5, 2.0, "", "x y", "object", [], ["a", "a"], [1], {}, {"a": 1}, {"a": ["b"]}]
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        found += places(value, (*path, key))
    return found


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(node, dict):
        return {key: put(each, path[1:], value) if key == path[0] else each for key, each in node.items()}
    return [put(each, path[1:], value) if number == path[0] else each for number, each in enumerate(node)]


@settings(max_examples=400)
@given(st.sampled_from(places(SOUND)), ODD)
def test_exactly_the_schemas_that_the_metaschema_refuses_are_refused(path: tuple[Any, ...], odd: Any) -> None:
    schema = put(SOUND, path, odd)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError:
        with pytest.raises(InvalidSchema):
            compile_schema(schema, StepBudget(STEPS))
    else:
        compile_schema(schema, StepBudget(STEPS))
