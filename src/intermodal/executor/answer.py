"""A JSON answer: taken out of what was said, and held against its schema. Pure."""

from __future__ import annotations

import json
from typing import Any

from intermodal.content import Value
from intermodal.json_schema import StepBudget, known_schema, read_json

_FENCE = "```"


class Parsed(Value, frozen=True):
    """``problem`` is "" when ``data`` is valid; else it says in a few words what is wrong. ``text``: the data as it was
    written, without what stood around it."""

    data: Any = None
    text: str = ""
    problem: str = ""


def parse(text: str, schema: dict[str, Any], budget: StepBudget) -> Parsed:
    """The JSON value in an answer, checked. Chatter and code fences around it are forgiven, nothing inside is.

    Raises BudgetExhausted where neither can be said within the budget, Cancelled, and what ``known_schema`` raises.
    """
    try:
        data, written = _value(text, budget)
    except ValueError as error:
        return Parsed(problem=f"not JSON ({error})")
    violation = known_schema(schema, budget).violation(data, budget)
    return Parsed(data=data, text=written, problem="" if violation is None else str(violation))


def _value(text: str, budget: StepBudget) -> tuple[Any, str]:
    body = unfenced(text)
    try:
        value, end = read_json(body, 0, budget)
        if end == len(body):
            return value, body
        raise json.JSONDecodeError("Extra data", body, end)
    except ValueError:
        start = min((place for place in (body.find("{"), body.find("[")) if place >= 0), default=-1)
        if start < 0:
            raise
    value, end = read_json(body, start, budget)
    return value, body[start:end]


def unfenced(text: str) -> str:
    """What stands in a fence of code that is all of a text, or the text, without blanks around it.

    >>> unfenced("```json\\n{}\\n```"), unfenced(" {} ")
    ('{}', '{}')
    """
    body = text.strip()
    if not (body.startswith(_FENCE) and body.endswith(_FENCE)) or len(body) < 2 * len(_FENCE):
        return body
    language, line_break, rest = body[len(_FENCE) : -len(_FENCE)].partition("\n")
    language = language.rstrip()
    named = not language or (language.isascii() and language.isalpha())
    return rest.strip() if line_break and named else body
