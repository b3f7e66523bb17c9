"""The complete members of a JSON object that was cut off. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

_BLANK = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


def complete_members(text: str) -> dict[str, Any]:
    """Return the members that arrived before the object was cut. A number at the very end may have had more digits.

    >>> complete_members('{"place": "Bonn", "days": [1, 2], "unit": "cel')
    {'place': 'Bonn', 'days': [1, 2]}
    >>> complete_members('{"days": 1')
    {}
    """
    found: dict[str, Any] = {}
    place = _after(text, 0)
    before = "{"
    while text[place : place + 1] == before:
        before = ","
        try:
            name, place = _decoder.raw_decode(text, _after(text, place + 1))
            place = _after(text, place)
            if not isinstance(name, str) or text[place : place + 1] != ":":
                break
            value, place = _decoder.raw_decode(text, _after(text, place + 1))
        except (ValueError, RecursionError):
            break
        place = _after(text, place)
        if place == len(text) and not isinstance(value, (str, dict, list)):
            break
        found[name] = value
    return found


def _after(text: str, place: int) -> int:
    """Return the position after whitespace."""
    blank = _BLANK.match(text, place)
    return blank.end() if blank is not None else place
