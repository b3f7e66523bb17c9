"""The server side of OpenAI chat completions: reads a client's request, writes the answer."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from intermodal.content import Reasoning, Refusal
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    TokenLogprobs,
    ToolCallDelta,
    WireEvent,
    WirePart,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import collect_turn
from intermodal.protocols.errors.responses import error_response
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.gemini.thought_signatures import openai_chat_fields
from intermodal.protocols.message_receiver import MessageBuilder
from intermodal.protocols.openai_chat.messages import MEDIA, UNKNOWN, ContentPart, OpenAIConversation
from intermodal.protocols.request_fields import read_settings
from intermodal.protocols.request_validation import (
    read_bool,
    read_messages,
    read_model,
    read_prompt,
    read_request,
    read_response_format,
    read_stop,
    read_tool_choice,
    read_tools,
    read_typed,
    require_one_of,
    require_text,
    tool_named,
)
from intermodal.request import JsonOutput, Sampling, SpeechOutput, TextOutput, Tool, ToolChoice

STREAM_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"  # the last event of a stream
# OpenTelemetry GenAI's words for why the answer ended -> OpenAI's.
FINISH_REASONS: Mapping[str, str] = {"tool_call": "tool_calls"}


# ---- the request -------------------------------------------------------------------------------


_NAMES: Mapping[str, str] = {
    "output.voice": "audio.voice", "output.schema": "response_format's schema",
    "output.name": "response_format's name", "candidates": "top_logprobs",
    "messages.parts.format": "input_audio.format",
    "messages.parts.detail": "image_url.detail", "messages.parts.id": "the id of a tool call",
    "messages.parts.name": "the name of a tool or of a file", "tools.schema": "a tool's parameters",
    "tools.description": "a tool's description",
}  # fmt: skip


def decode_request(body: bytes) -> ChatCall:
    """Return the call in a body. Raises ValueError for a body that holds none."""
    return read_request(body, "a chat request", _read, _NAMES)


def _read(tree: dict[str, Any]) -> ChatCall:
    if tree.get("n") not in (None, 1):
        raise ValueError("more than one answer (n) cannot be given: leave n out")
    before_tools = uses_legacy_functions(tree)
    tools, choice = (
        _functions(tree) if before_tools else read_tool_choice(tree.get("tool_choice"), read_tools(tree.get("tools")))
    )
    prompt = read_prompt(tree, _read_media, MEDIA)
    said, turns = {"messages": read_messages(tree, "messages", prompt)}, MessageBuilder()
    conversation: OpenAIConversation = read_typed(said, OpenAIConversation, UNKNOWN)
    conversation.tell(turns)
    return ChatCall(
        model=read_model(tree, prompt),
        messages=turns.messages(),
        output=_read_output(tree),
        sampling=Sampling(
            max_tokens=tree.get("max_completion_tokens", tree.get("max_tokens")),
            temperature=tree.get("temperature"),
            top_p=tree.get("top_p"),
            stop=read_stop(tree.get("stop")),
            seed=tree.get("seed", tree.get("random_seed")),
        ),
        settings=read_settings(tree, "openai"),
        stream=read_bool(tree, "stream", False),
        candidates=tree.get("top_logprobs") or 0 if tree.get("logprobs") else 0,
        grammar=tree.get("grammar") or "",
        tools=tools,
        tool_choice=choice,
        parallel_tools=not before_tools and read_bool(tree, "parallel_tool_calls", True),
        prompt=prompt,
    )


def uses_legacy_functions(fields: Mapping[str, Any]) -> bool:
    """Return whether a request uses ``functions``, the predecessor of tools, so that its answer must too."""
    return fields.get("functions") is not None or fields.get("function_call") is not None


def _functions(tree: Mapping[str, Any]) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return tools and tool choice from ``functions`` and ``function_call``."""
    if tree.get("tools") or tree.get("tool_choice"):
        raise ValueError("there are functions and tools: send tools alone, which replaced functions")
    tools = read_tools(tree.get("functions"), "functions")
    if not tools:
        raise ValueError("function_call is about functions, and there are none: send tools and tool_choice")
    choice = tree.get("function_call")
    if isinstance(choice, dict):
        return tool_named(require_text(choice["name"], "a function's name"), tools), "required"
    return tools, require_one_of(choice or "auto", "function_call", _CALLED)


_CALLED: tuple[Literal["auto", "none"], ...] = ("auto", "none")
AUDIO_FORMATS: tuple[Literal["wav", "mp3", "pcm16"], ...] = ("wav", "mp3", "pcm16")


def _read_output(tree: Any) -> TextOutput | JsonOutput | SpeechOutput:
    if "audio" in (tree.get("modalities") or ()):
        audio = tree["audio"]
        return SpeechOutput(format=require_one_of(audio["format"], "audio.format", AUDIO_FORMATS), voice=audio["voice"])
    return read_response_format(tree.get("response_format"))


def _read_media(value: Any) -> WirePart:
    """Return the part that a variable of a prompt holds."""
    turns = MessageBuilder()
    part: ContentPart = read_typed(value, ContentPart, UNKNOWN, "a variable")
    part.tell(turns)
    return turns.parts[0]


# ---- the reply ---------------------------------------------------------------------------------


class OpenAIChatStreamEncoder:
    """Writes events as the bytes of a stream.

    Args:
        name: the model as the client named it.
        created: seconds since the epoch.
        usage: the client asked for usage in the stream.
        functions: the client uses ``functions``, which has room for one call; further calls are dropped, and the model
            makes them in the next turn.
    """

    def __init__(self, name: str, *, id: str, created: int, usage: bool = True, functions: bool = False) -> None:
        self._head = {"id": id, "object": "chat.completion.chunk", "created": created, "model": name}
        self._wants_usage = usage
        self._functions = functions
        self._call: int | None = None  # index of the function call there is room for
        self._usage: WireUsage | None = None
        self._begun = False

    def feed(self, event: WireEvent) -> bytes:
        """Return the bytes that an event adds."""
        if isinstance(event, WireUsage):
            self._usage = event
            return b""
        if isinstance(event, Error):
            return sse_event({"error": write_error(event.error)})
        begin = b"" if self._begun else self._chunk({"role": "assistant", "content": ""})
        self._begun = True
        if not isinstance(event, Finish):
            if isinstance(event, SpeechDelta):
                return begin + self._chunk({"audio": _audio(event.data, self._head)})
            if self._functions and isinstance(event, ToolCallDelta):
                self._call = event.index if self._call is None else self._call
                told = event.index == self._call
                return begin + (self._chunk({"function_call": _function_call(event)}) if told else b"")
            return begin + self._chunk(*_delta(event))
        end = self._chunk({}, reason=_finish(event.reason, functions=self._functions))
        if self._wants_usage and self._usage is not None:
            end += sse_event({**self._head, "choices": [], "usage": write_usage(self._usage)})
        return begin + end + DONE

    def _chunk(self, delta: dict[str, Any], logprobs: Any = None, *, reason: str | None = None) -> bytes:
        told = {} if logprobs is None else {"logprobs": logprobs}
        return sse_event({**self._head, "choices": [{"index": 0, "delta": delta, **told, "finish_reason": reason}]})


StreamEncoder = OpenAIChatStreamEncoder  # the name that every server side has for it


def _delta(event: WireEvent) -> tuple[dict[str, Any], Any]:
    """Return the delta of one event, and its log-probabilities."""
    if isinstance(event, WireTextDelta):
        return {"content": event.text}, None
    if isinstance(event, ReasoningDelta):
        return {"reasoning_content": event.text}, None
    if isinstance(event, RefusalDelta):
        return {"refusal": event.text}, None
    if isinstance(event, TokenLogprobs):
        return {}, {"content": [write_logprobs(event)]}
    if isinstance(event, ToolCallDelta):
        head = {"id": event.id, "type": "function"} if event.id else {}
        name = {"name": event.name} if event.name else {}
        call = {"index": event.index, **head, "function": {**name, "arguments": event.arguments}}
        return {"tool_calls": [{**call, **openai_chat_fields(event.signature)}]}, None
    return {}, None


def _function_call(event: ToolCallDelta) -> dict[str, Any]:
    return {**({"name": event.name} if event.name else {}), "arguments": event.arguments}


def _finish(reason: str, *, functions: bool) -> str:
    return "function_call" if functions and reason == "tool_call" else FINISH_REASONS.get(reason, reason)


def _audio(data: bytes, head: Mapping[str, Any]) -> dict[str, Any]:
    """Return audio as this protocol reports it. It is not stored, so it expires at once."""
    name = f"audio_{head['id'].removeprefix('chatcmpl-')}"
    return {"id": name, "expires_at": head["created"], "data": b64encode(data).decode()}


def write_logprobs(event: TokenLogprobs) -> dict[str, Any]:
    """Return the log-probabilities of a token, the chosen one first, in OpenAI's format."""
    rows = [
        {"token": word, "bytes": list(word.encode("utf-8", "replace")), "logprob": share} for word, share in event.words
    ]
    return {**rows[0], "top_logprobs": rows}


def encode_reply(
    events: Iterable[WireEvent], name: str, *, id: str, created: int, functions: bool = False
) -> tuple[int, bytes]:
    """Return the HTTP status and body of a reply that is not streamed. ``functions`` as in the stream encoder."""
    told = list(events)
    made = collect_turn(told)
    if made.error is not None:
        return error_response(made.error).status, dumps({"error": write_error(made.error)})
    message: dict[str, Any] = {"role": "assistant", "content": made.text if made.text or not made.calls else None}
    for part in made.parts:
        if isinstance(part, Refusal):
            message["refusal"] = message.get("refusal", "") + part.text
        elif isinstance(part, Reasoning):
            message["reasoning_content"] = message.get("reasoning_content", "") + part.text
    if made.calls and functions:
        message["function_call"] = {"name": made.calls[0].name, "arguments": made.calls[0].arguments}
    elif made.calls:
        signatures = {event.id: event.signature for event in told if isinstance(event, ToolCallDelta) and event.id}
        message["tool_calls"] = [
            {
                "id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments},
                **openai_chat_fields(signatures.get(call.id, "")),
            }
            for call in made.calls
        ]  # fmt: skip
    if made.speech:
        spoken = _audio(made.speech, {"id": id, "created": created})
        message["audio"] = {**spoken, "transcript": made.text}
    content = [write_logprobs(event) for event in told if isinstance(event, TokenLogprobs)]
    choice = {"index": 0, "message": message, "finish_reason": _finish(made.finish, functions=functions)}
    reply = {
        "id": id, "object": "chat.completion", "created": created, "model": name,
        "choices": [{**choice, "logprobs": {"content": content} if content else None}],
        "usage": write_usage(made.usage),
    }  # fmt: skip
    return 200, dumps(reply)


def write_usage(usage: WireUsage) -> dict[str, Any]:
    """Return the usage object."""
    given, out = usage.input_tokens or 0, usage.output_tokens or 0
    tree: dict[str, Any] = {"prompt_tokens": given, "completion_tokens": out, "total_tokens": given + out}
    details = {f"{name}_tokens": number for name, number in usage.input_by_modality}
    details |= {
        name: number
        for name, number in (
            ("cached_tokens", usage.cached_tokens),
            ("cache_write_tokens", usage.cache_write_tokens),
        )
        if number is not None
    }
    made = {
        name: number
        for name, number in (("reasoning_tokens", usage.reasoning_tokens), ("audio_tokens", usage.audio_tokens))
        if number is not None
    }
    if details:
        tree["prompt_tokens_details"] = details
    if made:
        tree["completion_tokens_details"] = made
    return with_run_summary(tree, usage)


def with_run_summary(tree: dict[str, Any], usage: WireUsage) -> dict[str, Any]:
    """Return a usage object with the summary of the run added."""
    return {**tree, "intermodal": usage.about} if usage.about is not None else tree


def write_error(error: BaseException) -> dict[str, Any]:
    """Return the error object."""
    told = error_response(error)
    code = told.code or getattr(error, "code", "") or None  # a word or null: typed clients decode nothing else
    return {"message": told.message, "type": told.openai, "param": None, "code": code, **told.told}


def sse_event(tree: Mapping[str, Any], event: str = "") -> bytes:
    """Return one server-sent event in bytes."""
    named = f"event: {event}\n".encode() if event else b""
    return named + b"data: " + dumps(tree) + b"\n\n"
