"""Parse replies of OpenAI's chat API as far as the direct path needs, and write them with run metadata."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from intermodal.protocols.calls import WireUsage
from intermodal.protocols.framing.json_body import TokenCount, dumps, has_valid_counts, join_object, split_object
from intermodal.protocols.framing.surrogates import loads_with_surrogates, without_lone_surrogates
from intermodal.protocols.openai_chat import server as openai_chat_server
from intermodal.protocols.openai_chat.reply import FINISH_REASONS, map_finish_reason, read_usage, with_reasoning
from intermodal.protocols.reply_chunk import ReplyChunk

DONE = openai_chat_server.DONE
UNCOUNTED = dumps(openai_chat_server.write_usage(WireUsage()))  # what clients get where a host counts nothing
_NULL = b"null"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _ChatMessage(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    message: _ChatMessage | None = None
    delta: _ChatMessage | None = None
    finish_reason: str | None = None
    index: Any = None


_UNSAID = msgspec.Raw()
_NEEDED = ("prompt_tokens", "completion_tokens", "total_tokens")


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None


class _OutputTokenDetails(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None
    accepted_prediction_tokens: TokenCount | None = None
    rejected_prediction_tokens: TokenCount | None = None


class _Counts(msgspec.Struct, forbid_unknown_fields=True):
    """Usage as OpenAI and most others write it."""

    prompt_tokens: TokenCount
    completion_tokens: TokenCount
    total_tokens: TokenCount
    prompt_tokens_details: _Given | None = None
    completion_tokens_details: _OutputTokenDetails | None = None


class _Reply(msgspec.Struct):
    object: str | None = None
    choices: list[_Choice] = []
    usage: msgspec.Raw = _UNSAID
    error: msgspec.Raw = _UNSAID
    model: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None


_reply = msgspec.json.Decoder(_Reply)
_any = msgspec.json.Decoder(dict[str, Any])
_raws, _choice = msgspec.json.Decoder(list[msgspec.Raw]), msgspec.json.Decoder(_Choice)
_counts = msgspec.json.Decoder(_Counts)


def read(data: bytes | memoryview) -> ReplyChunk | None:
    """Parse a reply or chunk; None if it is not one, or is an error: then the codec identifies it."""
    try:
        reply = _reply.decode(data)
        if reply.usage is _UNSAID and (piece := _words(reply)) is not None:
            return piece
        error = bytes(reply.error)
        if (error and error != _NULL) or reply.object == "error":
            return None
        counted = bytes(reply.usage)
        usage = None
        if counted and counted != _NULL:
            usage, plain = usage_in(counted, reply.service_tier or "")
            if not plain:  # clients count on some of them, and that they are counts
                counted = dumps(openai_chat_server.write_usage(usage))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _halved(bytes(data))
    if not reply.choices:
        return ReplyChunk("", False, "", "", usage, counted, bytes(reply.model), (), alive=False, indexes=())
    choice = reply.choices[0]
    said = choice.message or choice.delta or _NOTHING
    reason = choice.finish_reason or ""
    if reason.lower() == "error":  # OpenRouter: the provider failed in mid-answer
        return None
    calls, arguments = _calls_in(said.tool_calls) if said.tool_calls else ((), "")
    if calls and choice.message is not None and not all(name for _, name, _ in calls):  # its calls get ids
        return None
    text, refusal, thoughts = said.content or "", said.refusal or "", said.reasoning_content or said.reasoning or ""
    visible = text.strip() or thoughts
    seen = bool(calls or visible)
    # Whether it has any content (``protocols/answer_state.py: is_output``).
    alive = bool(visible.strip() or refusal.strip() or arguments or any(name for _, _, name in calls))
    finish = FINISH_REASONS.get(reason) or (map_finish_reason(reason) if reason else "")
    indexes = (choice.index or 0,) if len(reply.choices) == 1 else tuple([each.index or 0 for each in reply.choices])
    model = bytes(reply.model)
    beside = thoughts + arguments
    return ReplyChunk(text, seen, refusal, finish, usage, counted, model, calls, False, alive, indexes, beside)


def _calls_in(given: list[_Call]) -> tuple[tuple[tuple[int, str, str], ...], str]:
    """Return calls of tools by index, id and name, and their arguments."""
    calls, arguments = list[tuple[int, str, str]](), ""
    for place, call in enumerate(given):
        function = call.function or _NO_FUNCTION
        calls.append((place if call.index is None else call.index, call.id or "", function.name or ""))
        arguments += function.arguments or ""
    return tuple(calls), arguments


def of_choice(data: bytes, index: Any) -> bytes:
    """A chunk without the choices of any other index."""
    fields = split_object(data)
    choices = [raw for raw in _raws.decode(fields["choices"]) if (_choice.decode(raw).index or 0) == index]
    return join_object(fields, {"choices": b"[" + b",".join(map(bytes, choices)) + b"]"})


def usage_in(counted: bytes, tier: str) -> tuple[WireUsage, bool]:
    """Return the usage as ``read_usage`` does, and whether it can be passed to a client unchanged. Usage in the common
    form is parsed in a tenth of the time.

    Raises msgspec.MsgspecError if it is not an object.
    """
    try:
        told = _counts.decode(counted)
    except msgspec.ValidationError:
        tree = _any.decode(counted)
        return read_usage(tree, tier), has_valid_counts(tree, _NEEDED)
    given, made = told.prompt_tokens_details or _NO_GIVEN, told.completion_tokens_details or _NO_MADE
    thought = made.reasoning_tokens
    out = with_reasoning(told.prompt_tokens, told.completion_tokens, thought, told.total_tokens)
    usage = WireUsage(
        input_tokens=told.prompt_tokens, output_tokens=out, cached_tokens=given.cached_tokens,
        reasoning_tokens=thought, audio_tokens=made.audio_tokens, tier=tier.lower(),
        input_by_modality=() if given.audio_tokens is None else (("audio", given.audio_tokens),),
    )  # fmt: skip
    return usage, True


def _words(reply: _Reply) -> ReplyChunk | None:
    """A chunk of words and nothing else, which nearly all are; None for any other."""
    if not reply.choices or reply.error is not _UNSAID or reply.object == "error":
        return None
    choice = reply.choices[0]
    said = choice.delta
    if said is None or choice.finish_reason or not said.content or said.tool_calls or said.refusal or choice.message:
        return None
    if choice.index or len(reply.choices) > 1:
        return None
    text = said.content
    thoughts = said.reasoning_content or said.reasoning or ""
    seen = bool(text.strip() or thoughts)
    return ReplyChunk(text, seen, "", "", None, b"", bytes(reply.model), (), alive=seen, beside=thoughts)


def _halved(data: bytes) -> ReplyChunk | None:
    """One that cuts a character in two; None for what cannot be read for any other reason."""
    without = without_lone_surrogates(data)
    piece = read(without) if without is not None else None
    if piece is None or not piece.text:
        return piece
    said = loads_with_surrogates(data)["choices"][0]
    return replace(piece, text=(said.get("message") or said.get("delta"))["content"], halved=True)


_NO_FUNCTION, _NOTHING, _NO_GIVEN, _NO_MADE = _Function(), _ChatMessage(), _Given(), _OutputTokenDetails()
