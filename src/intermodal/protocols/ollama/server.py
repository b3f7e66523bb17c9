"""The server side of Ollama's chat and embeddings: reads a client's request, writes the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Raw

from intermodal.catalog.schema_enforcement import ANY_OBJECT
from intermodal.core.content import Reasoning, Role, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, TextOutput
from intermodal.protocols.calls import (
    ChatCall,
    EmbeddingCall,
    Error,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TokenLogprobs,
    ToolCallDelta,
    WireAudio,
    WireEvent,
    WireImage,
    WireMessage,
    WirePart,
    WireText,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import ToolCallIds, TurnBuilder, arguments_for_client, collect_turn
from intermodal.protocols.errors.responses import error_response
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.openai_media.server import MAX_TEXTS, EmbeddingRequest, read_body, read_model_name
from intermodal.protocols.request_fields import read_settings
from intermodal.protocols.request_validation import (
    quote_value,
    read_bool,
    read_messages,
    read_model,
    read_prompt,
    read_request,
    read_role,
    read_stop,
    read_tools,
    require_text,
)

STREAM_TYPE = "application/x-ndjson"
# OpenTelemetry GenAI's finish reasons -> Ollama's.
DONE_REASONS: Mapping[str, str] = {"tool_call": "stop", "content_filter": "stop"}
_IMAGES = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


def image_or_audio(data: bytes) -> WireImage | WireAudio:
    """Return an item of ``images`` as image or audio, told apart by its first bytes as Ollama does."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return WireAudio(data=data, format="wav")
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xE0 == 0xE0 and data[1] != 0xD8):
        return WireAudio(data=data, format="mp3")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WireImage(data=data, media_type="image/webp")
    return WireImage(data=data, media_type=next((kind for head, kind in _IMAGES if data.startswith(head)), "image/png"))


# ---- the request -------------------------------------------------------------------------------


ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
NAMES: Mapping[str, str] = {
    "sampling.max_tokens": "options.num_predict", "sampling.temperature": "options.temperature",
    "sampling.top_p": "options.top_p", "sampling.stop": "options.stop", "sampling.seed": "options.seed",
    "context": "options.num_ctx", "candidates": "top_logprobs", "messages.parts.id": "the id of a tool call",
    "messages.parts.name": "a tool's name", "tools.schema": "a tool's parameters",
    "tools.description": "a tool's description",
}  # fmt: skip


def decode_request(body: bytes) -> ChatCall:
    """Return the call in a body. Raises ValueError for an invalid body."""
    return read_request(body, "a chat request", read_tree, NAMES)


def read_tree(tree: dict[str, Any]) -> ChatCall:
    """Return the call in a body's JSON. Raises KeyError, TypeError or ValueError for an invalid body."""
    options = tree.get("options") or {}
    prompt = read_prompt(tree, _no_part, {})
    return ChatCall(
        model=read_model(tree, prompt),
        messages=read_turns(read_messages(tree, "messages", prompt)),
        output=_read_output(tree.get("format")),
        sampling=Sampling(
            max_tokens=_limit(options.get("num_predict")),
            temperature=options.get("temperature"),
            top_p=options.get("top_p"),
            stop=read_stop(options.get("stop")),
            seed=options.get("seed"),
        ),
        settings=read_settings(tree, "ollama"),
        stream=read_bool(tree, "stream", True),
        candidates=tree.get("top_logprobs") or 0 if tree.get("logprobs") else 0,
        tools=read_tools(tree.get("tools")),
        context=options.get("num_ctx"),
        prompt=prompt,
    )


def _read_image(coded: Any) -> WirePart:
    return image_or_audio(decode_base64(coded))


def read_turns(messages: Iterable[Any], image: Callable[[Any], WirePart] = _read_image) -> tuple[WireMessage, ...]:
    """Return the messages of a conversation. ``image`` reads items of ``images``."""
    calls = ToolCallIds()
    return tuple([_read_message(message, calls, image) for message in messages])


def _no_part(part: Any) -> WirePart:
    raise AssertionError("Ollama's messages have no parts")


def _limit(num_predict: Any) -> Any:
    """Return the token limit. Ollama writes "unlimited" as -1 and "until the context is full" as -2."""
    return None if num_predict in (-1, -2) else num_predict


def _read_output(output_format: Any) -> TextOutput | JsonOutput:
    if output_format is None or output_format == "":
        return TextOutput()
    if output_format != "json" and not isinstance(output_format, dict):
        raise ValueError(f"format is {quote_value(output_format)}, and may be json, or a JSON schema")
    return JsonOutput(schema=ANY_OBJECT if output_format == "json" else output_format)


def _read_message(message: Any, calls: ToolCallIds, image: Callable[[Any], WirePart]) -> WireMessage:
    role, text = read_role(message, ROLES), message.get("content")
    text = "" if text is None else require_text(text, "content")
    calls.begin(role)
    if role == "tool":
        name = calls.result(message.get("tool_call_id"), message.get("tool_name"))
        return WireMessage(role=role, parts=(ToolResult(id=name, text=text),))
    parts: list[WirePart] = [image(coded) for coded in message.get("images") or ()]
    if thought := message.get("thinking"):
        parts.append(Reasoning(text=require_text(thought, "thinking")))
    if text:
        parts.append(WireText(text=text))
    for call in message.get("tool_calls") or ():
        function = call["function"]
        arguments = dumps(function.get("arguments") or {}).decode()
        name = calls.call(call.get("id"), function["name"])
        parts.append(ToolCall(id=name, name=function["name"], arguments=arguments))
    return WireMessage(role=role, parts=tuple(parts))


# ---- the reply ---------------------------------------------------------------------------------


class OllamaStreamEncoder:
    """Writes events as the bytes of a stream.

    This protocol sends complete tool calls, so their pieces are held until the end. ``feed`` raises OutputInvalid if a
    call's arguments are not an object.

    Args:
        name: the model as the client named it.
        now: returns the time in RFC 3339; every line has its own.
    """

    def __init__(self, name: str, *, now: Callable[[], str]) -> None:
        self._name, self._now = name, now
        self._usage = WireUsage()
        self._calls = TurnBuilder()

    def feed(self, event: WireEvent) -> bytes:
        """Return the bytes that an event adds."""
        if isinstance(event, WireUsage):
            self._usage = event
        elif isinstance(event, ToolCallDelta):
            self._calls.add(event)
        elif isinstance(event, Error):
            return encode_line(write_error(event.error))
        elif isinstance(event, (WireTextDelta, RefusalDelta)):
            return self._message(content=event.text)
        elif isinstance(event, ReasoningDelta):
            return self._message(content="", thinking=event.text) if event.text else b""
        elif isinstance(event, TokenLogprobs):
            return self._message({"logprobs": [_candidates(event)]}, content="")
        elif isinstance(event, Finish):
            calls = _calls(self._calls.build().calls, event.reason)
            calls_message = self._message(content="", tool_calls=calls) if calls else b""
            return calls_message + self._message(_end(event.reason, self._usage), content="")
        return b""

    def _message(self, more: Mapping[str, Any] | None = None, **message: Any) -> bytes:
        head = {"model": self._name, "created_at": self._now()}
        return encode_line({**head, "message": {"role": "assistant", **message}, "done": False, **(more or {})})


StreamEncoder = OllamaStreamEncoder  # the name that every server side has for it


def encode_reply(events: Iterable[WireEvent], name: str, *, now: Callable[[], str]) -> tuple[int, bytes]:
    """Return the HTTP status and body of an unstreamed reply.

    Raises OutputInvalid if a tool call's arguments are not an object.
    """
    answer_events = list(events)
    turn = collect_turn(answer_events)
    if turn.error is not None:
        answer = error_response(turn.error)
        return answer.status, dumps({"error": answer.message})
    text = "".join(event.text for event in answer_events if isinstance(event, (WireTextDelta, RefusalDelta)))
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thought := "".join(event.text for event in answer_events if isinstance(event, ReasoningDelta)):
        message["thinking"] = thought
    if calls := _calls(turn.calls, turn.finish):
        message["tool_calls"] = calls
    logprobs = [_candidates(event) for event in answer_events if isinstance(event, TokenLogprobs)]
    more = {"logprobs": logprobs} if logprobs else {}
    return 200, dumps({"model": name, "created_at": now(), "message": message, **more, **_end(turn.finish, turn.usage)})


def _calls(calls: Iterable[ToolCall], finish: str) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id,
            "function": {"index": index, "name": call.name, "arguments": arguments_for_client(call, finish)},
        }
        for index, call in enumerate(calls)
    ]


def _candidates(event: TokenLogprobs) -> dict[str, Any]:
    rows = [{"token": word, "logprob": share} for word, share in event.words]
    return {**rows[0], "top_logprobs": rows}


def _end(reason: str, usage: WireUsage) -> dict[str, Any]:
    """Return the fields of the last line. Of the durations only the total is measured; unknown counts are left out."""
    counts = (("prompt_eval_count", usage.input_tokens), ("eval_count", usage.output_tokens))
    return {
        "done": True,
        "done_reason": DONE_REASONS.get(reason, reason),
        **duration_fields(usage.about or {}),
        **{name: count for name, count in counts if count is not None},
        **({"intermodal": usage.about} if usage.about is not None else {}),
    }


def duration_fields(about: Mapping[str, Any]) -> dict[str, int]:
    """Return the total duration of the run in nanoseconds, from its summary."""
    return {"total_duration": round(about["seconds"] * 1e9)} if "seconds" in about else {}


# Characters at which some clients end a line as they do at a newline, and their escapes. Ollama's own client is one: it
# reads lines by ``httpx.Response.iter_lines``, which splits as ``str.splitlines`` does. JSON escapes the others itself.
_LINE_ENDS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def encode_line(tree: Mapping[str, Any]) -> bytes:
    """Return a line of a stream, with no character in it that ends one."""
    line = dumps(tree)
    if not line.isascii():
        for character, escape in _LINE_ENDS:
            line = line.replace(character, escape)
    return line + b"\n"


def write_error(error: BaseException) -> dict[str, Any]:
    """Return the error, which is a plain string here, with the summary of the run beside it."""
    response = error_response(error)
    return {"error": response.message, **response.summary_field}


def read_embed(body: bytes) -> EmbeddingRequest:
    """Return the call in a body. Raises ValueError for an invalid body."""

    def read(tree: Mapping[str, Any]) -> EmbeddingRequest:
        texts_or_text = tree["input"]
        texts = texts_or_text if isinstance(texts_or_text, list) else [texts_or_text]
        if not 1 <= len(texts) <= MAX_TEXTS or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"input must be a string or an array of 1 to {MAX_TEXTS:,} strings")
        if tree.get("dimensions") is not None:
            raise ValueError("dimensions cannot be chosen here: leave it out")
        read_bool(dict(tree), "truncate", True)
        return EmbeddingRequest(call=EmbeddingCall(model=read_model_name(tree), texts=tuple(texts)), encoding="float")

    return read_body(body, "an embedding request", read)


def write_embed(vectors: Sequence[Sequence[float]], name: str, tokens: int, about: Mapping[str, Any]) -> bytes:
    """Return the reply: the vectors in the order of the texts, and their total tokens."""
    rows = [Raw(dumps(list(row))) for row in vectors]  # one by one: the encoder holds the interpreter lock
    counts = {**duration_fields(about), "prompt_eval_count": tokens}
    return dumps({"model": name, "embeddings": rows, **counts, "intermodal": about})
