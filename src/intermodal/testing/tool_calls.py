"""Tool calls in a chat as a fake host makes them, in the form of OpenAI's reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from intermodal.testing.attempts import Attempt

Made = tuple[tuple[str, Mapping[str, Any]], ...]
"""Name and arguments of each tool that is called."""
Calls = Made | Callable[[Attempt], Made]


def until_answered(*calls: tuple[str, Mapping[str, Any]]) -> Calls:
    """Return what a model with tools does: it calls them, and once a result comes last it answers in text."""
    return lambda attempt: () if attempt.json["messages"][-1]["role"] == "tool" else calls


def message_tool_calls(made: Made) -> list[dict[str, Any]]:
    """Return ``tool_calls`` of a message."""
    return [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for number, (name, given) in enumerate(made)
    ]


def stream_tool_calls(made: Made) -> Iterator[dict[str, Any]]:
    """Yield deltas of a stream: the name in the first, the arguments in two more."""
    for index, call in enumerate(message_tool_calls(made)):
        arguments = call["function"]["arguments"]
        head = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"tool_calls": [{"index": index, **head}]}
        for piece in (arguments[:3], arguments[3:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
