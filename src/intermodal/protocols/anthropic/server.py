"""The server side of Anthropic's Messages API: reads a client's request, writes the answer.

The types of messages come first. ``passthrough.py`` narrows them for chats whose bytes are forwarded unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, get_args

from msgspec import UNSET

from intermodal.core.content import Opaque, Reasoning, Refusal, Role, ToolCall, Value
from intermodal.core.request import JsonOutput, Sampling, TextOutput, Tool, ToolChoice
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDelta,
    WireDocument,
    WireEvent,
    WireLink,
    WirePart,
    WireText,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import (
    COMPLETE_REASONS,
    TurnBuilder,
    arguments_for_client,
    collect_turn,
)
from intermodal.protocols.errors.responses import error_response
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.message_receiver import MessageBuilder, MessageReceiver
from intermodal.protocols.openai_chat.server import sse_event, with_run_summary
from intermodal.protocols.request_fields import read_settings
from intermodal.protocols.request_validation import (
    DOCUMENT_TYPES,
    READABLE_DOCUMENTS,
    find_tool,
    quote_value,
    read_bool,
    read_messages,
    read_model,
    read_prompt,
    read_request,
    read_typed,
    require_list,
    require_text,
)


class MergedTurns:
    """Passes messages to a receiver, merging neighbours of one role."""

    def __init__(self, receiver: MessageReceiver) -> None:
        self.receiver = receiver
        self._role: Role | None = None

    def begin_turn(self, role: Role) -> MessageReceiver:
        if role != self._role:
            self._role = role
            self.receiver.begin(role)
        return self.receiver

    def add_text(self, role: Role, text: str) -> None:
        if role == self._role:
            self.receiver.add_text(text)
        else:
            self._role = role
            self.receiver.begin_turn(role, text)


# ---- sources -----------------------------------------------------------------------------------


class Base64Source(Value, gc=False, tag_field="type", tag="base64"):
    media_type: str
    data: str


class AnthropicUrlSource(Value, gc=False, tag_field="type", tag="url"):
    url: str


class TextSource(Value, gc=False, tag_field="type", tag="text"):
    data: str


# ---- blocks ------------------------------------------------------------------------------------


class TextBlock(Value, gc=False, tag_field="type", tag="text"):
    text: str

    def report_to(self, turns: MergedTurns, role: Role) -> None:
        turns.add_text(role, self.text)


class ImageBlock(Value, gc=False, tag_field="type", tag="image"):
    source: Base64Source | AnthropicUrlSource | TextSource

    def report_to(self, turns: MergedTurns, role: Role) -> None:
        source = self.source
        if isinstance(source, Base64Source):
            turns.begin_turn(role).image_data(source.data, source.media_type)
        elif isinstance(source, AnthropicUrlSource):
            turns.begin_turn(role).add_part(WireLink(media_kind="image", url=source.url))
        else:
            turns.add_text(role, source.data)


class DocumentBlock(Value, gc=False, tag_field="type", tag="document"):
    source: Base64Source | AnthropicUrlSource | TextSource
    title: str | None = None
    context: str | None = None

    def report_to(self, turns: MergedTurns, role: Role) -> None:
        """Pass on the document. Its context precedes it; so does its title, if there is no name to hold it."""
        source = self.source
        linked = isinstance(source, AnthropicUrlSource)
        if words := "\n\n".join(filter(None, (self.title if linked else "", self.context))):
            turns.add_text(role, words)
        if isinstance(source, TextSource):
            turns.begin_turn(role).file_text(self.title or "", source.data)
        elif isinstance(source, AnthropicUrlSource):
            turns.begin_turn(role).add_part(WireLink(media_kind="document", url=source.url))
        elif source.media_type in DOCUMENT_TYPES:
            turns.begin_turn(role).add_part(WireDocument(data=decode_base64(source.data), name=self.title or ""))
        else:
            what = f"a document of type {quote_value(source.media_type)} is not read here"
            raise ValueError(f"{what}: send a {READABLE_DOCUMENTS}, or its text as a source of type text")


class ToolUseBlock(Value, gc=False, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: Any

    def report_to(self, turns: MergedTurns, role: Role) -> None:
        turns.begin_turn(role).call(self.id, self.name, dumps(self.input).decode())


class ThinkingBlock(Value, gc=False, tag_field="type", tag="thinking"):
    thinking: str
    signature: str | None = None

    def report_to(self, turns: MergedTurns, role: Role) -> None:
        turns.begin_turn(role).add_part(Reasoning(text=self.thinking, signature=self.signature or ""))


class ToolResultBlock(Value, kw_only=True, gc=False, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | Sequence[TextBlock | ImageBlock | DocumentBlock] | None = None
    is_error: Any = UNSET

    def report_result_to(self, turns: MergedTurns) -> Sequence[WirePart]:
        """Pass on the text of the result. Return its other parts, which belong into the user's next message."""
        content = self.content or ""
        other_parts: Sequence[WirePart] = ()
        if isinstance(content, str):
            words = [content]
        else:
            words = [block.text for block in content if isinstance(block, TextBlock)]
            if len(words) < len(content):
                words, other_parts = _text_and_parts(content)
        turns.begin_turn("tool").result(self.tool_use_id, "\n".join(words), is_error=self.is_error is True)
        return other_parts


def _text_and_parts(blocks: Sequence[TextBlock | ImageBlock | DocumentBlock]) -> tuple[list[str], list[WirePart]]:
    """Return the text and the other parts of blocks."""
    receiver = MessageBuilder()
    turns = MergedTurns(receiver)
    for block in blocks:
        block.report_to(turns, "user")
    words = [part.text for part in receiver.parts if isinstance(part, WireText)]
    return words, [part for part in receiver.parts if not isinstance(part, WireText)]


class VendorBlock(Value, gc=False):
    """A block that only the vendor reads: hidden reasoning, and results of the vendor's own tools."""

    block: dict[str, Any]

    def report_to(self, turns: MergedTurns, role: Role) -> None:
        turns.begin_turn(role).add_part(Opaque(wire="anthropic", body=dumps(self.block).decode()))


Block = TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ThinkingBlock | ToolResultBlock
_BLOCKS: Mapping[Any, type[Block]] = {kind.__struct_config__.tag: kind for kind in get_args(Block)}
# Types of media blocks, and the field that holds the media.
MEDIA: Mapping[str, tuple[str, ...]] = {"image": ("source",), "document": ("source",)}


# ---- messages ----------------------------------------------------------------------------------


def system_words(system: str | Sequence[TextBlock]) -> str:
    """Return the text of the system prompt."""
    return system if isinstance(system, str) else "\n\n".join([block.text for block in system])


class _Message(Value, gc=False, tag_field="role"):
    content: str | Sequence[Any]
    ROLE: ClassVar[Role]

    def report_to(self, turns: MergedTurns) -> None:
        content, role = self.content, self.ROLE
        if isinstance(content, str):
            turns.add_text(role, content)
            return
        blocks: Sequence[Any] = content
        results = [block for block in blocks if isinstance(block, ToolResultBlock)]
        if results:  # tool results are a message of their own in other protocols
            other_parts = [part for result in results for part in result.report_result_to(turns)]
            for part in other_parts:
                turns.begin_turn(role).add_part(part)
            blocks = [block for block in blocks if not isinstance(block, ToolResultBlock)]
        for block in blocks:
            block.report_to(turns, role)


class AnthropicSystemMessage(_Message, gc=False, tag="system"):
    content: str | Sequence[TextBlock | ImageBlock | DocumentBlock]
    ROLE = "system"


class AnthropicUserMessage(_Message, gc=False, tag="user"):
    content: str | Sequence[TextBlock | ImageBlock | DocumentBlock | ToolResultBlock]
    ROLE = "user"


class AnthropicAssistantMessage(_Message, gc=False, tag="assistant"):
    ROLE = "assistant"

    def report_to(self, turns: MergedTurns) -> None:
        super().report_to(turns)
        turns.receiver.end_answer()


ROLES = ("user", "assistant", "system")
# Error messages for an unknown value, by the end of its path.
UNKNOWN: Mapping[str, str] = {
    "source.type": "a source of type {} is not read here: send base64, a url or text",
    "type": "a block of type {} is not read here: send what it says as text",
    "role": f"a message has the role {{}}, which is not one of {', '.join(ROLES)}",
}


class AnthropicConversation(Value, gc=False):
    """The conversation of a request. Assistant messages may contain blocks of any type."""

    messages: list[AnthropicSystemMessage | AnthropicUserMessage | AnthropicAssistantMessage]
    system: str | list[TextBlock] = ""

    def report_to(self, receiver: MessageReceiver) -> None:
        turns = MergedTurns(receiver)
        if words := system_words(self.system):
            turns.add_text("system", words)
        for number, message in enumerate(self.messages):
            if isinstance(message, AnthropicAssistantMessage) and not isinstance(message.content, str):
                blocks = enumerate(message.content)
                content = [_block_of(block, f"messages[{number}].content[{place}]") for place, block in blocks]
                message = AnthropicAssistantMessage(content=content)
            message.report_to(turns)


def _block_of(block: Any, place: str) -> Block | VendorBlock:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        raise ValueError(f"{place} must be an object with a type")
    kind = _BLOCKS.get(block["type"])
    return VendorBlock(block=block) if kind is None else read_typed(block, kind, UNKNOWN, place)


STREAM_TYPE = "text/event-stream"


# OpenTelemetry GenAI's finish reasons -> Anthropic's.
STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn", "length": "max_tokens", "tool_call": "tool_use", "content_filter": "refusal",
}  # fmt: skip


# ---- the request -------------------------------------------------------------------------------
_CHOICES: Mapping[str, ToolChoice] = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}
_NAMES: Mapping[str, str] = {
    "sampling.stop": "stop_sequences", "output.schema": "output_config.format's schema",
    "messages.parts.id": "the id of a tool_use", "messages.parts.media_type": "a source's media_type",
    "messages.parts.name": "a tool's name", "messages.parts.text": "what was said", "cache": "cache_control's ttl",
    "tools.schema": "a tool's input_schema", "tools.description": "a tool's description", "tools.name": "a tool's name",
}  # fmt: skip


def decode_request(body: bytes) -> ChatCall:
    """Return the call in a body. Raises ValueError for an invalid body."""
    return read_request(body, "a message request", _chat_call_of, _NAMES)


def _chat_call_of(tree: dict[str, Any]) -> ChatCall:
    receiver = MessageBuilder()
    prompt = read_prompt(tree, _read_media, MEDIA)
    fields = {"messages": read_messages(tree, "messages", prompt), "system": tree.get("system") or ""}
    conversation: AnthropicConversation = read_typed(fields, AnthropicConversation, UNKNOWN)
    conversation.report_to(receiver)
    tools, choice, parallel = _read_tools(tree)
    return ChatCall(
        model=read_model(tree, prompt),
        messages=receiver.messages(),
        output=_read_output(tree.get("output_config") or {}),
        sampling=Sampling(
            max_tokens=tree["max_tokens"],
            temperature=tree.get("temperature"),
            top_p=tree.get("top_p"),
            stop=tuple(require_list(tree.get("stop_sequences") or [], "stop_sequences")),
        ),
        settings=read_settings(tree, "anthropic"),
        stream=read_bool(tree, "stream", False),
        tools=tools,
        tool_choice=choice,
        parallel_tools=parallel,
        cache=tuple(_read_marks(tree)),
        prompt=prompt,
    )


def _read_media(value: Any) -> WirePart:
    """Return the part in a prompt variable."""
    receiver = MessageBuilder()
    block: ImageBlock | DocumentBlock = read_typed(value, ImageBlock | DocumentBlock, UNKNOWN, "a variable")
    block.report_to(MergedTurns(receiver), "user")
    return receiver.parts[-1]


def _read_marks(tree: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """Yield the cache marks that end a prefix we can express; a mark inside a block cannot be expressed."""
    system, messages = tree.get("system"), tree.get("messages")
    content = messages[-1]["content"] if messages else ""
    places: tuple[tuple[str, Any], ...] = (
        ("request", [tree]), ("tools", tree.get("tools")), ("system", system), ("end", content),
    )  # fmt: skip
    for place, among in places:
        mark = among[-1].get("cache_control") if among and isinstance(among, list) else None
        if mark and mark.get("type") == "ephemeral":
            yield place, require_text(mark.get("ttl") or "", "a time to keep it for")


def _read_output(config: Any) -> TextOutput | JsonOutput:
    output_format = config.get("format")
    return JsonOutput(schema=output_format["schema"]) if output_format else TextOutput()


def _read_tools(tree: Any) -> tuple[tuple[Tool, ...], ToolChoice, bool]:
    for tool in tree.get("tools") or ():
        if tool.get("type", "custom") != "custom":
            raise ValueError(f"a tool of type {quote_value(tool['type'])}, which only its vendor runs: leave it out")
    tools = tuple(
        Tool(
            name=tool["name"],
            description=tool.get("description") or "",
            schema=tool["input_schema"],
            strict=read_bool(tool, "strict", False),
        )
        for tool in tree.get("tools") or ()
    )
    tool_choice = tree.get("tool_choice") or {"type": "auto"}
    if not isinstance(tool_choice, dict) or tool_choice.get("type") not in _CHOICES:
        kind = quote_value(tool_choice.get("type") if isinstance(tool_choice, dict) else tool_choice)
        raise ValueError(f"tool_choice is {kind}, and may be an object whose type is one of {', '.join(_CHOICES)}")
    choice = _CHOICES[tool_choice["type"]]
    if tool_choice["type"] == "tool":
        tools = find_tool(tool_choice["name"], tools)
    return tools, choice, not tool_choice.get("disable_parallel_tool_use")


# ---- the reply ---------------------------------------------------------------------------------
class AnthropicStreamEncoder:
    """Writes events as the bytes of a stream. ``name`` is the model as the client named it.

    Tool calls are held until they are complete: only then is it known whether their arguments are an object. ``feed``
    raises OutputInvalid if they are not.
    """

    def __init__(self, name: str, *, id: str) -> None:
        self._head = {"id": id, "type": "message", "role": "assistant", "model": name}
        self._begun = False
        self._open = ""  # type of the block that is being written, "" for none
        self._pending_calls = TurnBuilder()  # calls that nothing has followed yet
        self._called = False
        self._index = -1
        self._refusal = ""
        self._usage = WireUsage()

    def feed(self, event: WireEvent) -> bytes:
        """Return the bytes that an event adds."""
        if isinstance(event, WireUsage):
            self._usage = event
            return b""
        if isinstance(event, Error):
            return sse_event(write_error(event.error), "error")
        return b"".join(sse_event(tree, tree["type"]) for tree in (*self._begin(), *self._events(event)))

    def _begin(self) -> Iterator[dict[str, Any]]:
        if not self._begun:
            self._begun = True
            empty: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
            usage = {"input_tokens": 0, "output_tokens": 0}  # not known yet: the last event has the totals
            yield {"type": "message_start", "message": {**self._head, **empty, "usage": usage}}

    def _events(self, event: WireEvent) -> Iterator[dict[str, Any]]:
        if isinstance(event, WireTextDelta):
            yield from self._calls("tool_call")
            yield from self._block("text", {"type": "text", "text": ""})
            yield self._delta({"type": "text_delta", "text": event.text})
        elif isinstance(event, ReasoningDelta):
            yield from self._calls("tool_call")
            yield from self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            if event.text:
                yield self._delta({"type": "thinking_delta", "thinking": event.text})
            if event.signature:
                yield self._delta({"type": "signature_delta", "signature": event.signature})
                yield from self._close()
        elif isinstance(event, ToolCallDelta):
            self._pending_calls.add(event)
        elif isinstance(event, OpaqueBlock):
            if event.wire == "anthropic":
                yield from self._calls("tool_call")
                yield from self._close()
                yield from self._block("opaque", loads(event.body))
                yield from self._close()
        elif isinstance(event, RefusalDelta):
            self._refusal += event.text
        elif isinstance(event, Finish):
            yield from self._calls(event.reason)
            yield from self._close()
            end = write_end(event.reason, event.stop_sequence, self._refusal, called=self._called)
            yield {"type": "message_delta", "delta": end, "usage": write_usage(self._usage)}
            yield {"type": "message_stop"}

    def _calls(self, finish: str) -> Iterator[dict[str, Any]]:
        """Yield the held tool calls."""
        calls, self._pending_calls = self._pending_calls.build().calls, TurnBuilder()
        for call in calls:
            self._called = True
            arguments = arguments_for_client(call, finish)
            yield from self._close()
            yield from self._block("tool_use", {"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
            if arguments:
                text = call.arguments if finish in COMPLETE_REASONS else dumps(arguments).decode()
                yield self._delta({"type": "input_json_delta", "partial_json": text})

    def _block(self, kind: str, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Open a block of this kind unless one is open; yield the events for that."""
        if self._open != kind:
            yield from self._close()
            self._open = kind
            self._index += 1
            yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _close(self) -> Iterator[dict[str, Any]]:
        if self._open:
            self._open = ""
            yield {"type": "content_block_stop", "index": self._index}

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


StreamEncoder = AnthropicStreamEncoder  # the name that every server side has for it


def encode_reply(events: Iterable[WireEvent], name: str, *, id: str) -> tuple[int, bytes]:
    """Return the HTTP status and body of an unstreamed reply.

    Raises OutputInvalid if a tool call's arguments are not an object.
    """
    turn = collect_turn(events)
    if turn.error is not None:
        return error_response(turn.error).status, dumps(write_error(turn.error))
    refusal = "".join(part.text for part in turn.parts if isinstance(part, Refusal))
    reply = {
        "id": id, "type": "message", "role": "assistant", "model": name,
        "content": [block for part in turn.parts for block in _answer_block(part, turn.finish)],
        **write_end(turn.finish, turn.stop_sequence, refusal, called=bool(turn.calls)),
        "usage": write_usage(turn.usage),
    }  # fmt: skip
    return 200, dumps(reply)


def _answer_block(part: WirePart, finish: str) -> Iterator[dict[str, Any]]:
    if isinstance(part, WireText):
        yield {"type": "text", "text": part.text}
    elif isinstance(part, Reasoning):
        yield {"type": "thinking", "thinking": part.text, "signature": part.signature}
    elif isinstance(part, ToolCall):
        yield {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments_for_client(part, finish)}
    elif isinstance(part, Opaque) and part.wire == "anthropic":
        yield loads(part.body)


def write_end(reason: str, stop_sequence: str, refusal: str, *, called: bool) -> dict[str, Any]:
    """Return the fields of the end.

    Hosts of OpenAI's protocol report "stop" for tool calls that they were forced to make.
    """
    if called and reason == "stop":
        reason = "tool_call"
    if reason == "stop" and stop_sequence:
        return {"stop_reason": "stop_sequence", "stop_sequence": stop_sequence, **_refusal_details(refusal)}
    return {"stop_reason": STOP_REASONS.get(reason, reason), "stop_sequence": None, **_refusal_details(refusal)}


def _refusal_details(refusal: str) -> dict[str, Any]:
    """Return the field of an end that says why the model refused; empty if it did not."""
    return {"stop_details": {"type": "refusal", "category": None, "explanation": refusal}} if refusal else {}


def write_usage(usage: WireUsage) -> dict[str, Any]:
    """Return the usage object."""
    cache_read, cache_written = usage.cached_tokens, usage.cache_write_tokens
    tree = {
        "input_tokens": max(0, (usage.input_tokens or 0) - (cache_read or 0) - (cache_written or 0)),
        "output_tokens": usage.output_tokens or 0,
        "cache_read_input_tokens": cache_read,
        "cache_creation_input_tokens": cache_written,
    }
    details = {"thinking_tokens": usage.reasoning_tokens} if usage.reasoning_tokens is not None else None
    tree = {name: value for name, value in tree.items() if value is not None}
    return with_run_summary({**tree, "output_tokens_details": details} if details else tree, usage)


def write_error(error: BaseException) -> dict[str, Any]:
    """Return the error object."""
    response = error_response(error)
    return {
        "type": "error",
        "error": {"type": response.anthropic, "message": response.message, **response.summary_field},
    }
