"""A JSON answer: taken out of what was said, and held against its schema. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from intermodal.content import Value

_FENCE = re.compile(r"\A\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


class Parsed(Value, frozen=True):
    """``problem`` is "" when ``data`` is valid; else it says in a few words what is wrong. ``text``: the data as it was
    written, without what stood around it."""

    data: Any = None
    text: str = ""
    problem: str = ""


def parse(text: str, schema: dict[str, Any]) -> Parsed:
    """The JSON value in an answer, checked. Chatter and code fences around it are forgiven, nothing inside is."""
    try:
        data, written = _value(text)
    except ValueError as error:
        return Parsed(problem=f"not JSON ({error})")
    problem = _violation(data, schema)
    return Parsed(data=data, text=written, problem=problem)


def _value(text: str) -> tuple[Any, str]:
    fenced = _FENCE.match(text)
    body = (fenced.group(1) if fenced else text).strip()
    try:
        return json.loads(body, parse_constant=_refuse), body
    except ValueError:
        start = min((place for place in (body.find("{"), body.find("[")) if place >= 0), default=-1)
        if start < 0:
            raise
    value, end = json.JSONDecoder(parse_constant=_refuse).raw_decode(body, start)
    return value, body[start:end]


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _violation(data: Any, schema: dict[str, Any]) -> str:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(data))
    if error is None:
        return ""
    place = "/".join(str(step) for step in error.absolute_path)
    message = error.message if len(error.message) <= 200 else f"{error.message[:197]}..."
    return f"at {place}: {message}" if place else message
