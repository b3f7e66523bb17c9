"""JSON values as JSON Schema sees them: their types, and which are equal. Each value looked at is a step."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isfinite
from typing import Any

from intermodal.json_schema.budget import StepBudget

TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: value is True or value is False,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}
is_number = TYPES["number"]


def canonical(value: Any, budget: StepBudget) -> str:
    """Return a text that two values share exactly where they are equal: 1 equals 1.0 but not true; order of names is
    ignored.

    Text is the key because numbers can be chosen so that their hashes collide.

    >>> canonical({"b": 1.0, "a": [True]}, StepBudget(100)) == canonical({"a": [True], "b": 1}, StepBudget(100))
    True
    """
    made: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, _Written):
            made.append(one)
        elif isinstance(one, str):
            budget.spend(1 + len(one) // 512)
            made.append(f"s{len(one)}:{one}")
        elif one is None or isinstance(one, bool):
            budget.spend(1)
            made.append(f"c{one}")
        elif isinstance(one, (int, float)):
            budget.spend(1)
            made.append(f"n{_number(one, budget)};")
        elif isinstance(one, list):
            budget.spend(1 + len(one))
            made.append(f"l{len(one)}[")
            waiting.extend(reversed(one))
        else:
            budget.spend(1 + 4 * len(one))
            made.append(f"o{len(one)}{{")
            for name in sorted(one, reverse=True):
                waiting += (one[name], _Written(f"{len(name)}:{name}"))
    return "".join(made)


class _Written(str):
    """A piece that is written as it is."""

    __slots__ = ()


def _number(value: int | float, budget: StepBudget) -> str:
    if isinstance(value, float):
        if not value.is_integer():
            return repr(value)
        value = int(value)
    budget.spend(value.bit_length() // 512)
    return hex(value)


def is_multiple(value: int | float, of: int | float, budget: StepBudget) -> bool:
    """Whether a number is a multiple: of a fraction as floating point divides, exactly where that overflows."""
    if not isfinite_number(value):
        return False
    try:
        if isinstance(of, float):
            quotient = value / of
            return int(quotient) == quotient
        return value % of == 0
    except OverflowError:
        budget.spend(1_000 + (_bits(value) + _bits(of)) // 8)
        return (Fraction(value) / Fraction(of)).denominator == 1


def isfinite_number(value: int | float) -> bool:
    return isinstance(value, int) or isfinite(value)


def _bits(value: int | float) -> int:
    return value.bit_length() if isinstance(value, int) else 1_100
