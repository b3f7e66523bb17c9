"""The size limits of a schema, checked first and without recursion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.json_schema.budget import StepBudget
from intermodal.json_schema.invalid_schema import InvalidSchema

VALUES = 10_000  # values of JSON in a schema: objects, lists and scalars. Several walks take 1 µs for each
CHARACTERS = 1 << 20  # of all names and texts together
NESTED = 100  # objects and lists inside each other


def check_size(schema: Any, budget: StepBudget) -> int:
    """Return the number of values in a schema.

    Raises InvalidSchema where it is too large, too deep, or not JSON; BudgetExhausted and Cancelled.
    """
    values = characters = 0
    waiting: list[tuple[Any, int]] = [(schema, 1)]
    while waiting:
        value, depth = waiting.pop()
        values += 1
        budget.spend(1)
        if isinstance(value, str):
            characters += len(value)
        elif isinstance(value, Mapping):
            if not all(isinstance(name, str) for name in value):
                raise InvalidSchema("a name in the schema is no text")
            characters += sum(map(len, value))
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, (list, tuple)):
            if values + len(waiting) + len(value) > VALUES:
                values = VALUES + 1
            else:
                waiting.extend((inner, depth + 1) for inner in value)
        elif value is not None and not isinstance(value, (bool, int, float)):
            raise InvalidSchema(f"the schema holds a {type(value).__name__}, which is no JSON")
        if values > VALUES:
            raise InvalidSchema(f"the schema has more than {VALUES:,} values", todo="ask for less at once")
        if characters > CHARACTERS:
            raise InvalidSchema(f"the schema has more than {CHARACTERS:,} characters", todo="ask for less at once")
        if depth > NESTED and isinstance(value, (Mapping, list, tuple)):
            what = f"the schema is nested more than {NESTED} deep"
            raise InvalidSchema(what, todo="name its inner parts under $defs")
    return values
