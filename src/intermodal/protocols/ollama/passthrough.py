"""Parse replies of Ollama's chat API as far as the direct path needs, and write them with run metadata."""

from __future__ import annotations

from typing import Any

import msgspec

from intermodal.protocols.calls import WireUsage
from intermodal.protocols.framing.json_body import as_token_count, dumps, join_object, loads, split_object
from intermodal.protocols.ollama.reply import FINISH_REASONS, finish_reason
from intermodal.protocols.ollama.server import duration_fields
from intermodal.protocols.reply_chunk import ReplyChunk

UNCOUNTED = b"{}"


class _Function(msgspec.Struct):
    index: int
    name: str
    arguments: dict[str, msgspec.Raw]


class _Call(msgspec.Struct):
    id: str
    function: _Function


class _Message(msgspec.Struct):
    role: str
    content: str
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Reply(msgspec.Struct):
    model: msgspec.Raw
    created_at: str
    message: _Message
    done: bool
    done_reason: str = ""
    prompt_eval_count: Any = msgspec.UNSET
    eval_count: Any = msgspec.UNSET
    error: Any = None


_reply = msgspec.json.Decoder(_Reply)


def read(data: bytes | memoryview) -> ReplyChunk | None:
    """Parse a reply; None if it is not one, is unusual, or is an error: then the codec identifies it."""
    try:
        reply = _reply.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    said = reply.message
    calls = tuple((place, call.id, call.function.name) for place, call in enumerate(said.tool_calls or ()))
    usual = reply.done and bool(reply.done_reason) and reply.done_reason in FINISH_REASONS
    known = usual and not reply.error and said.role == "assistant"
    odd = any(
        told is not msgspec.UNSET and as_token_count(told) is None
        for told in (reply.prompt_eval_count, reply.eval_count)
    )
    if not known or odd or not all(call and name for _, call, name in calls):
        return None
    finish = finish_reason(reply.done_reason, called=bool(calls))
    usage = WireUsage(
        input_tokens=as_token_count(reply.prompt_eval_count), output_tokens=as_token_count(reply.eval_count)
    )
    given = [raw for call in said.tool_calls or () for raw in call.function.arguments.values()]
    beside = (said.thinking or "") + "".join(bytes(raw).decode(errors="replace") for raw in given)
    return ReplyChunk(said.content, True, "", finish, usage, UNCOUNTED, bytes(reply.model), calls, beside=beside)


def finished(data: bytes | memoryview, model: str, counted: bytes, about: bytes) -> bytes:
    """Return a reply with the client's name of the model, and the run metadata beside its counts."""
    fields, ours = {**_UNCOUNTED, **split_object(data)}, {"model": dumps(model), "intermodal": about}
    if "total_duration" not in fields:
        ours |= {name: dumps(value) for name, value in duration_fields(loads(about)).items()}
    return join_object(fields, ours)


_UNCOUNTED = {"prompt_eval_count": msgspec.Raw(b"0"), "eval_count": msgspec.Raw(b"0")}
