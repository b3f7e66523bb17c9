"""The server side of OpenAI chat completions: reads a client's request, writes the answer.

The types of messages come first. ``passthrough.py`` narrows them for chats whose bytes are forwarded unchanged.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from msgspec import UNSET, UnsetType

from intermodal.core.content import Reasoning, Refusal, Role, Value
from intermodal.core.request import JsonOutput, Sampling, SpeechOutput, TextOutput, Tool, ToolChoice
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    TokenLogprobs,
    ToolCallDelta,
    WireAudio,
    WireDocument,
    WireEvent,
    WireLink,
    WirePart,
    WireTextDelta,
    WireUsage,
    WireVideo,
)
from intermodal.protocols.conversation import collect_turn
from intermodal.protocols.errors.responses import error_response
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.gemini.thought_signatures import from_openai_chat, openai_chat_fields, signature_block
from intermodal.protocols.message_receiver import MessageBuilder, MessageReceiver
from intermodal.protocols.request_fields import read_settings
from intermodal.protocols.request_validation import (
    decode_data_uri,
    document_from_data_uri,
    find_tool,
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
)

# ---- parts -------------------------------------------------------------------------------------


class TextPart(Value, gc=False, tag_field="type", tag="text"):
    text: str

    def report_to(self, turns: MessageReceiver) -> None:
        turns.add_text(self.text)


class RefusalPart(Value, gc=False, tag_field="type", tag="refusal"):
    refusal: str

    def report_to(self, turns: MessageReceiver) -> None:
        turns.add_part(Refusal(text=self.refusal))


class MediaUrl(Value, gc=False):
    url: str
    detail: Any = UNSET


class ImagePart(Value, gc=False, tag_field="type", tag="image_url"):
    image_url: MediaUrl | str

    def report_to(self, turns: MessageReceiver) -> None:
        image = self.image_url
        if isinstance(image, str):
            turns.image_url(image, "auto")
        else:
            turns.image_url(image.url, image.detail or "auto")


class CodedMedia(Value, gc=False):
    data: str
    format: Any = UNSET


class AudioPart(Value, gc=False, tag_field="type", tag="input_audio"):
    input_audio: CodedMedia | str  # Mistral's clients send base64 alone

    def report_to(self, turns: MessageReceiver) -> None:
        audio = self.input_audio
        if isinstance(audio, str):
            data = decode_base64(audio)
            turns.add_part(WireAudio(data=data, format="wav" if data[:4] == b"RIFF" else "mp3"))
        elif audio.format is UNSET:
            raise KeyError("format")
        else:
            turns.add_part(WireAudio(data=decode_base64(audio.data), format=audio.format))


class VideoPart(Value, gc=False, tag_field="type", tag="input_video"):
    input_video: CodedMedia

    def report_to(self, turns: MessageReceiver) -> None:
        turns.add_part(WireVideo(data=decode_base64(self.input_video.data)))


class VideoUrlPart(Value, gc=False, tag_field="type", tag="video_url"):
    video_url: MediaUrl

    def report_to(self, turns: MessageReceiver) -> None:
        url = self.video_url.url
        found = decode_data_uri(url)
        turns.add_part(
            WireLink(media_kind="video", url=url) if found is None else WireVideo(data=found[1], media_type=found[0])
        )


class StoredFile(Value, gc=False):
    file_data: Any = None
    filename: Any = None
    file_id: Any = None


class FilePart(Value, gc=False, tag_field="type", tag="file"):
    file: StoredFile

    def report_to(self, turns: MessageReceiver) -> None:
        turns.add_part(document_from_data_uri(self.file.file_data, self.file.filename, self.file.file_id))


class DocumentUrlPart(Value, gc=False, tag_field="type", tag="document_url"):
    document_url: str
    document_name: str | None = None

    def report_to(self, turns: MessageReceiver) -> None:
        found, name = decode_data_uri(self.document_url), self.document_name or ""
        link = WireLink(media_kind="document", url=self.document_url)
        turns.add_part(link if found is None else WireDocument(data=found[1], name=name))


ContentPart = TextPart | RefusalPart | ImagePart | AudioPart | VideoPart | VideoUrlPart | FilePart | DocumentUrlPart
# Types of media parts, and the field that holds the media.
MEDIA: Mapping[str, tuple[str, ...]] = {
    kind: (kind,) for kind in ("image_url", "input_audio", "input_video", "video_url", "file", "document_url")
}


# ---- messages ----------------------------------------------------------------------------------


class _Message(Value, gc=False, tag_field="role"):
    content: str | Sequence[ContentPart] | UnsetType | None = UNSET
    ROLE: ClassVar[Role]

    def report_to(self, turns: MessageReceiver) -> None:
        content = self.content
        if isinstance(content, str):
            turns.begin_turn(self.ROLE, content)
        else:
            turns.begin(self.ROLE)
            for part in content or ():
                part.report_to(turns)

    @property
    def texts(self) -> Sequence[str]:
        """The texts of the message."""
        content = self.content
        if isinstance(content, str):
            return [content]
        return [part.text for part in content or () if isinstance(part, TextPart)]


class OpenAISystemMessage(_Message, gc=False, tag="system"):
    ROLE = "system"


class OpenAIDeveloperMessage(OpenAISystemMessage, gc=False, tag="developer"):
    """A system message of clients of reasoning models."""


class OpenAIUserMessage(_Message, gc=False, tag="user"):
    ROLE = "user"


class CalledFunction(Value, gc=False):
    name: str
    arguments: str


class MessageToolCall(Value, gc=False):
    id: str
    function: CalledFunction
    extra_content: Any = UNSET  # Google's


class SpokenAnswer(Value, gc=False):
    transcript: Any = None


class OpenAIAssistantMessage(_Message, gc=False, tag="assistant"):
    tool_calls: Sequence[MessageToolCall] | UnsetType | None = UNSET
    reasoning_content: str | UnsetType | None = UNSET
    audio: SpokenAnswer | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    function_call: CalledFunction | UnsetType | None = UNSET
    ROLE = "assistant"

    def report_to(self, turns: MessageReceiver) -> None:
        content = self.content
        if not content and self.tool_calls:  # many clients send an empty text with tool calls
            content = ()
        if isinstance(content, str) and not self.reasoning_content:
            turns.begin_turn("assistant", content)
        else:
            turns.begin("assistant")
            if self.reasoning_content:
                turns.add_part(Reasoning(text=self.reasoning_content))
            for part in (TextPart(text=content),) if isinstance(content, str) else content or ():
                part.report_to(turns)
        if self.audio and not any(self.texts):
            if not self.audio.transcript:
                what = "an answer is named by the id of its audio, which is not kept here: send its transcript"
                raise ValueError(what)
            turns.add_text(require_text(self.audio.transcript, "a transcript"))
        if self.refusal:
            turns.add_part(Refusal(text=self.refusal))
        for call in self.tool_calls or ():
            if call.extra_content and (signature := from_openai_chat(call.extra_content)):
                turns.add_part(signature_block(signature))
            turns.call(call.id, call.function.name, call.function.arguments)
        if self.function_call:  # the predecessor of tools: its result gets the same id
            turns.call(None, self.function_call.name, self.function_call.arguments)
        turns.end_answer()


class _ResultMessage(_Message, gc=False):
    @property
    def result(self) -> str:
        if not isinstance(self.content, str) and len(self.texts) != len(self.content or ()):
            raise ValueError("a tool's result has words alone here: send its media in a message of the user")
        return "".join(self.texts)


class OpenAIToolMessage(_ResultMessage, kw_only=True, gc=False, tag="tool"):
    tool_call_id: str

    def report_to(self, turns: MessageReceiver) -> None:
        turns.begin("tool")
        turns.result(self.tool_call_id, self.result)


class OpenAIFunctionMessage(_ResultMessage, kw_only=True, gc=False, tag="function"):
    name: str

    def report_to(self, turns: MessageReceiver) -> None:
        turns.begin("tool")
        turns.result(None, self.result, tool=self.name)


class OpenAIConversation(Value, gc=False):
    """The conversation of a request."""

    messages: list[
        OpenAISystemMessage
        | OpenAIDeveloperMessage
        | OpenAIUserMessage
        | OpenAIAssistantMessage
        | OpenAIToolMessage
        | OpenAIFunctionMessage
    ]

    def report_to(self, turns: MessageReceiver) -> None:
        for message in self.messages:
            message.report_to(turns)


ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# Error messages for an unknown value, by the end of its path.
UNKNOWN: Mapping[str, str] = {
    "role": f"a message has the role {{}}, which is not one of {', '.join(ROLES)}",
    "type": f"a part of type {{}} is not read here: there are text, {', '.join(MEDIA)}",
}


STREAM_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"  # the last event of a stream


# OpenTelemetry GenAI's finish reasons -> OpenAI's.
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
    """Return the call in a body. Raises ValueError for an invalid body."""
    return read_request(body, "a chat request", _chat_call_of, _NAMES)


def _chat_call_of(tree: dict[str, Any]) -> ChatCall:
    if tree.get("n") not in (None, 1):
        raise ValueError("more than one answer (n) cannot be given: leave n out")
    before_tools = uses_legacy_functions(tree)
    tools, choice = (
        _functions(tree) if before_tools else read_tool_choice(tree.get("tool_choice"), read_tools(tree.get("tools")))
    )
    prompt = read_prompt(tree, _read_media, MEDIA)
    fields, turns = {"messages": read_messages(tree, "messages", prompt)}, MessageBuilder()
    conversation: OpenAIConversation = read_typed(fields, OpenAIConversation, UNKNOWN)
    conversation.report_to(turns)
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
    """Return True if a request uses ``functions``, the predecessor of tools, so that its answer must too."""
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
        return find_tool(require_text(choice["name"], "a function's name"), tools), "required"
    return tools, require_one_of(choice or "auto", "function_call", _CALLED)


_CALLED: tuple[Literal["auto", "none"], ...] = ("auto", "none")
AUDIO_FORMATS: tuple[Literal["wav", "mp3", "pcm16"], ...] = ("wav", "mp3", "pcm16")


def _read_output(tree: Any) -> TextOutput | JsonOutput | SpeechOutput:
    if "audio" in (tree.get("modalities") or ()):
        audio = tree["audio"]
        return SpeechOutput(format=require_one_of(audio["format"], "audio.format", AUDIO_FORMATS), voice=audio["voice"])
    return read_response_format(tree.get("response_format"))


def _read_media(value: Any) -> WirePart:
    """Return the part in a prompt variable."""
    turns = MessageBuilder()
    part: ContentPart = read_typed(value, ContentPart, UNKNOWN, "a variable")
    part.report_to(turns)
    return turns.parts[0]


# ---- the reply ---------------------------------------------------------------------------------
class OpenAIChatStreamEncoder:
    """Writes events as the bytes of a stream.

    Args:
        name: the model as the client named it.
        created: seconds since the epoch.
        usage: the client requested usage in the stream.
        functions: the client uses ``functions``, which has room for one call; further calls are dropped, and the model
            makes them in the next turn.
    """

    def __init__(self, name: str, *, id: str, created: int, usage: bool = True, functions: bool = False) -> None:
        self._head = {"id": id, "object": "chat.completion.chunk", "created": created, "model": name}
        self._wants_usage = usage
        self._functions = functions
        self._call: int | None = None  # index of the function call there is room for
        self._usage: WireUsage | None = None
        self._begun = self._refused = False

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
            self._refused = self._refused or isinstance(event, RefusalDelta)
            if isinstance(event, SpeechDelta):
                return begin + self._chunk({"audio": _audio(event.data, self._head)})
            if self._functions and isinstance(event, ToolCallDelta):
                self._call = event.index if self._call is None else self._call
                is_first_call = event.index == self._call
                return begin + (self._chunk({"function_call": _function_call(event)}) if is_first_call else b"")
            return begin + self._chunk(*_delta(event))
        end = self._chunk({}, reason=_finish(event.reason, functions=self._functions, refused=self._refused))
        if self._wants_usage and self._usage is not None:
            end += sse_event({**self._head, "choices": [], "usage": write_usage(self._usage)})
        return begin + end + DONE

    def _chunk(self, delta: dict[str, Any], logprobs: Any = None, *, reason: str | None = None) -> bytes:
        logprobs_field = {} if logprobs is None else {"logprobs": logprobs}
        return sse_event(
            {**self._head, "choices": [{"index": 0, "delta": delta, **logprobs_field, "finish_reason": reason}]}
        )


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


def _finish(reason: str, *, functions: bool, refused: bool) -> str:
    """Return the finish reason. A refusal in words is complete; an answer that a filter stopped is not."""
    if refused and reason == "content_filter":
        return "stop"
    return "function_call" if functions and reason == "tool_call" else FINISH_REASONS.get(reason, reason)


def _audio(data: bytes, head: Mapping[str, Any]) -> dict[str, Any]:
    """Return audio in this protocol's format. It is not stored, so it expires immediately."""
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
    """Return the HTTP status and body of an unstreamed reply. ``functions`` as in the stream encoder."""
    answer_events = list(events)
    turn = collect_turn(answer_events)
    if turn.error is not None:
        return error_response(turn.error).status, dumps({"error": write_error(turn.error)})
    message: dict[str, Any] = {"role": "assistant", "content": turn.text if turn.text or not turn.calls else None}
    for part in turn.parts:
        if isinstance(part, Refusal):
            message["refusal"] = message.get("refusal", "") + part.text
        elif isinstance(part, Reasoning):
            message["reasoning_content"] = message.get("reasoning_content", "") + part.text
    if turn.calls and functions:
        message["function_call"] = {"name": turn.calls[0].name, "arguments": turn.calls[0].arguments}
    elif turn.calls:
        signatures = {
            event.id: event.signature for event in answer_events if isinstance(event, ToolCallDelta) and event.id
        }
        message["tool_calls"] = [
            {
                "id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments},
                **openai_chat_fields(signatures.get(call.id, "")),
            }
            for call in turn.calls
        ]  # fmt: skip
    if turn.speech:
        audio = _audio(turn.speech, {"id": id, "created": created})
        message["audio"] = {**audio, "transcript": turn.text}
    content = [write_logprobs(event) for event in answer_events if isinstance(event, TokenLogprobs)]
    reason = _finish(turn.finish, functions=functions, refused="refusal" in message)
    choice = {"index": 0, "message": message, "finish_reason": reason}
    reply = {
        "id": id, "object": "chat.completion", "created": created, "model": name,
        "choices": [{**choice, "logprobs": {"content": content} if content else None}],
        "usage": write_usage(turn.usage),
    }  # fmt: skip
    return 200, dumps(reply)


def write_usage(usage: WireUsage) -> dict[str, Any]:
    """Return the usage object."""
    input_tokens, output_tokens = usage.input_tokens or 0, usage.output_tokens or 0
    tree: dict[str, Any] = {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }
    input_details = {f"{name}_tokens": number for name, number in usage.input_by_modality}
    input_details |= {
        name: number
        for name, number in (
            ("cached_tokens", usage.cached_tokens),
            ("cache_write_tokens", usage.cache_write_tokens),
        )
        if number is not None
    }
    output_details = {
        name: number
        for name, number in (("reasoning_tokens", usage.reasoning_tokens), ("audio_tokens", usage.audio_tokens))
        if number is not None
    }
    if input_details:
        tree["prompt_tokens_details"] = input_details
    if output_details:
        tree["completion_tokens_details"] = output_details
    return with_run_summary(tree, usage)


def with_run_summary(tree: dict[str, Any], usage: WireUsage) -> dict[str, Any]:
    """Return a usage object with the summary of the run added."""
    return {**tree, "intermodal": usage.about} if usage.about is not None else tree


def write_error(error: BaseException) -> dict[str, Any]:
    """Return the error object."""
    response = error_response(error)
    code = response.code or getattr(error, "code", "") or None  # a string or null: typed clients decode nothing else
    return {"message": response.message, "type": response.openai, "param": None, "code": code, **response.summary_field}


def sse_event(tree: Mapping[str, Any], event: str = "") -> bytes:
    """Return one encoded server-sent event."""
    event_line = f"event: {event}\n".encode() if event else b""
    return event_line + b"data: " + dumps(tree) + b"\n\n"
