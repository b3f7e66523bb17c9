"""Requests and answers as span attributes, where the user enabled them. Media are never included."""

from __future__ import annotations

from typing import Any

import msgspec

from intermodal.content import Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from intermodal.events import Finished
from intermodal.plans.plan import Inputs

LONGEST = 16_384  # letters of one text
_INPUT, _OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"


def input_messages(inputs: Inputs) -> str:
    """The messages of a request. A file is its kind and the digest of its bytes."""
    facts = {part.index: part for part in inputs.facts.parts}
    index, messages = 0, []
    for message in inputs.request.messages:
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            said = _part(part)
            if said is None:
                known = facts.get(index)
                said = {"type": "file", "modality": known.kind if known else "unknown"}
                if known is not None:
                    said |= {"mime_type": known.media_type, "file_id": f"sha256:{known.digest}"}
            parts.append(said)
            index += 1
        messages.append({"role": message.role, "parts": parts})
    return _json(messages)


def message_attributes_of(given: str, words: str, finished: Finished) -> tuple[tuple[str, str], ...]:
    """Attributes of the call that answered."""
    parts: list[dict[str, Any]] = [{"type": "text", "content": _short(words)}] if words else []
    parts += [said for part in finished.tool_calls if (said := _part(part)) is not None]
    answer = [{"role": "assistant", "parts": parts, "finish_reason": finished.finish_reason}]
    return ((_INPUT, given), (_OUTPUT, _json(answer)))


def _part(part: Part) -> dict[str, Any] | None:
    """None for what is a file."""
    if isinstance(part, Text):
        return {"type": "text", "content": _short(part.text)}
    if isinstance(part, (Reasoning, Refusal)):
        return {"type": "reasoning" if isinstance(part, Reasoning) else "refusal", "content": _short(part.text)}
    if isinstance(part, ToolCall):
        return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": _short(part.arguments)}
    if isinstance(part, ToolResult):
        return {"type": "tool_call_response", "id": part.id, "response": _short(part.text)}
    return {"type": "opaque"} if isinstance(part, Opaque) else None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
