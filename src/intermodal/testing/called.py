"""Calls of tools in a chat, as a fake host makes them: spelled as OpenAI's reference has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from intermodal.testing.arrived import Attempt

Made = tuple[tuple[str, Mapping[str, Any]], ...]
"""Name and arguments of each tool that is called."""
Calls = Made | Callable[[Attempt], Made]


def until_answered(*calls: tuple[str, Mapping[str, Any]]) -> Calls:
    """What a model does that has tools: it calls them, and once a result stands last it answers in words."""
    return lambda attempt: () if attempt.json["messages"][-1]["role"] == "tool" else calls


def whole(made: Made) -> list[dict[str, Any]]:
    """``tool_calls`` of a message."""
    return [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for number, (name, given) in enumerate(made)
    ]


def pieces(made: Made) -> Iterator[dict[str, Any]]:
    """Deltas of a stream: the name with the first, the arguments in two more."""
    for index, call in enumerate(whole(made)):
        arguments = call["function"]["arguments"]
        head = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"tool_calls": [{"index": index, **head}]}
        for piece in (arguments[:3], arguments[3:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
