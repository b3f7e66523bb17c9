"""Messages of a conversation: the normalisation that every protocol needs before writing them, and collected replies.

A reply's events are collected into an ``AssistantTurn``, which the next request of the conversation sends back. A
conversation is recognised by the digest of its parts. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from intermodal.catalog.types import Host
from intermodal.core.content import Opaque, Reasoning, Refusal, ToolCall, ToolResult, Value
from intermodal.core.request import Tool
from intermodal.errors import OutputInvalid
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    NotExpressible,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    ToolCallDelta,
    WireEvent,
    WireImage,
    WireLink,
    WireMessage,
    WirePart,
    WireText,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.framing.json_body import complete_members, dumps, loads, valid_utf8
from intermodal.protocols.request_fields import supported_settings

COMPLETE_REASONS = frozenset({"stop", "tool_call"})  # finish reasons of a complete answer
PART_LABELS: dict[str, str] = {
    "WireText": "text", "WireImage": "an image", "WireAudio": "audio", "WireVideo": "video",
    "WireDocument": "a PDF document", "WireLink": "a link to media", "CodedImage": "an image",
    "ToolCall": "a tool call",
    "ToolResult": "a tool result", "Reasoning": "reasoning", "Refusal": "a refusal", "Opaque": "an opaque block",
}  # fmt: skip


def part_label(part: WirePart) -> str:
    """Return the name of a part, for an error message about a part that cannot be carried."""
    return PART_LABELS[type(part).__name__]


def valid_utf8_part(part: WirePart) -> WirePart:
    """Return the part with every text valid in UTF-8: lone surrogates become question marks."""
    if type(part) is WireText and part.text.isascii():  # nearly all texts
        return part
    changes = {
        field: valid_utf8(value)
        for field in part.__struct_fields__
        if isinstance(value := getattr(part, field), str) and not value.isascii()
    }
    return msgspec.structs.replace(part, **changes) if changes else part


def is_single_text(message: WireMessage) -> bool:
    """Return True if a message is a single text that needs no replacement, as nearly all messages are."""
    part = message.parts[0] if len(message.parts) == 1 else None
    return isinstance(part, WireText) and part.text.isascii() and not part.text.isspace() and bool(part.text)


def valid_utf8_tools(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Return the tools with every text valid in UTF-8."""
    return tuple(
        Tool(
            name=valid_utf8(tool.name),
            description=valid_utf8(tool.description),
            schema=loads(dumps(tool.schema)),
            strict=tool.strict,
        )
        for tool in tools
    )


def normalise_call(
    call: ChatCall, protocol: str, quirks: tuple[str, ...], *, none: bool = True, strict: bool = False
) -> ChatCall:
    """Return the call with what every protocol carries alike: model, stop words, settings and tools.

    The messages and the output are unchanged: their form is the protocol's own. What only one protocol has a field for
    (grammar, context, cache) is dropped; its codec puts it back.

    Args:
        protocol: by whose names the settings are written, a key of ``request_fields.FIELDS``.
        quirks: those of the host.
        none: the protocol can forbid tool calls; if it cannot, the tools are omitted instead.
        strict: the protocol can request strict adherence to a tool's schema.
    """
    tools = valid_utf8_tools(call.tools)
    if not strict:
        tools = tuple(msgspec.structs.replace(tool, strict=False) for tool in tools)
    choice, parallel = call.tool_choice, call.parallel_tools or call.tool_choice == "none"
    if not tools or (call.tool_choice == "none" and not none):  # without tools there is no choice among them
        tools, choice, parallel = (), "auto", True
    return msgspec.structs.replace(
        call,
        model=valid_utf8(call.model),
        sampling=msgspec.structs.replace(call.sampling, stop=tuple(map(valid_utf8, call.sampling.stop))),
        grammar="",
        tools=tools,
        tool_choice=choice,
        parallel_tools=parallel,
        context=None,
        cache=(),
        settings=supported_settings(call.settings, protocol, quirks),
    )


def merge_neighbours(messages: Iterable[WireMessage]) -> tuple[WireMessage, ...]:
    """Merge neighbouring messages of one role, and drop those without parts."""
    found: list[WireMessage] = []
    for message in messages:
        if not message.parts:
            continue
        if found and found[-1].role == message.role:
            found[-1] = WireMessage(role=message.role, parts=(*found[-1].parts, *message.parts))
        else:
            found.append(message)
    return tuple(found)


def split_system(messages: tuple[WireMessage, ...]) -> tuple[str, tuple[WireMessage, ...]]:
    """Return the text of all system messages, and the other messages, for protocols with one system prompt field."""
    words = [
        part.text
        for message in messages
        if message.role == "system"
        for part in message.parts
        if isinstance(part, WireText) and part.text.strip()
    ]
    return "\n\n".join(words), tuple(message for message in messages if message.role != "system")


def check_candidates(call: ChatCall, wire: str, host: Host, most: int) -> None:
    """Raise NotExpressible for log-probabilities that a host does not return, or more than ``most`` per token."""
    if call.candidates and "no_logprobs" in host.quirks:
        raise NotExpressible.of("the probabilities of words", wire, where=host.id, todo="ask a host that tells them")
    if call.candidates > most:
        raise NotExpressible.of(f"more than {most} candidates for a word", wire, where=host.id)


def check_parts(
    call: ChatCall, wire: str, host: Host, images: frozenset[str],
    refused: Sequence[tuple[type[WirePart], str, str]] = (),
) -> None:  # fmt: skip
    """Raise NotExpressible for a part that a host does not accept, or that a message of its role cannot hold.

    Args:
        images: the media types of images that the protocol carries.
        refused: kinds of part, each with the quirk of hosts that refuse it ("" for all hosts), and a remedy.
    """
    _check_roles(call, wire, host.id)
    count = 0
    for part in (part for message in call.messages for part in message.parts):
        if isinstance(part, WireImage):
            count += 1
            if part.media_type not in images:
                raise NotExpressible.of(f"an image of type {part.media_type}", wire, where=host.id)
        for kind, quirk, todo in refused:
            if isinstance(part, kind) and (not quirk or quirk in host.quirks):
                raise NotExpressible.of(part_label(part), wire, where=host.id, todo=todo)
    if host.max_images is not None and count > host.max_images:
        raise NotExpressible.of(f"{count} images (at most {host.max_images})", wire, where=host.id, todo="send fewer")


def _check_roles(call: ChatCall, wire: str, where: str) -> None:
    for message in call.messages:
        for part in message.parts:
            if isinstance(part, WireLink):
                raise NotExpressible.of(part_label(part), wire, where=where, todo="send its bytes")
            roles = _ROLES.get(type(part).__name__, ("user",))
            if message.role not in roles:
                raise NotExpressible.of(f"{part_label(part)} in a {message.role} message", wire, where=where)


_ROLES: dict[str, tuple[str, ...]] = {
    "WireText": ("system", "user", "assistant"),
    "ToolResult": ("tool",),
    **dict.fromkeys(("ToolCall", "Reasoning", "Refusal", "Opaque"), ("assistant",)),
}


def result_without_call(messages: Iterable[WireMessage]) -> ToolResult | None:
    """Return a tool result of a conversation whose call is missing; None if there is none."""
    parts = [part for message in messages for part in message.parts]
    call_ids = {part.id for part in parts if isinstance(part, ToolCall)}
    return next((part for part in parts if isinstance(part, ToolResult) and part.id not in call_ids), None)


def result_as_text(result: ToolResult) -> ToolResult:
    """Return the result for protocols without an error flag: a failed tool's text begins with "Error"."""
    text = result.text if not result.is_error or _FAILED.match(result.text) else f"Error: {result.text}"
    return ToolResult(id=result.id, text=text)


_FAILED = re.compile(r"\s*error\b", re.IGNORECASE)


def parse_arguments(call: ToolCall, wire: str, where: str = "") -> dict[str, Any]:
    """Return a tool call's arguments as an object. Raises NotExpressible if they are not an object."""
    try:
        found = loads(call.arguments.strip() or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NotExpressible.of(f"a call of {call.name} whose arguments are not a JSON object", wire, where=where)
    return found


def normalise_arguments(call: ToolCall, wire: str, where: str = "") -> ToolCall:
    """Return the call with its arguments as they come back from a protocol that carries an object."""
    return msgspec.structs.replace(call, arguments=dumps(parse_arguments(call, wire, where)).decode())


def arguments_for_client(call: ToolCall, finish: str) -> dict[str, Any]:
    """Return a tool call's arguments for a client whose protocol carries an object.

    For a truncated call (by ``finish``), return the members that arrived complete. Any other arguments that are not an
    object are the model's mistake: passed on as empty, they would run a tool in a way that the model did not mean.

    Raises OutputInvalid.
    """
    cut = finish not in COMPLETE_REASONS
    try:
        found = loads(call.arguments.strip() or "{}")
    except ValueError:
        found = complete_members(call.arguments) if cut else ()
    if isinstance(found, dict):
        return found
    if found is None or cut:
        return {}
    what = f"the model called {call.name[:100]!r} with arguments that are not a JSON object"
    raise OutputInvalid(what, todo="ask again, or use a stronger model")


class ToolCallIds:
    """Matches tool results to calls for clients that identify them only by name and order.

    Feed it the messages in order. A result belongs to the call whose id it gives; otherwise to the first unanswered
    call of its tool, or to the first unanswered call of any tool. LiteLLM sends ids with results but not with calls, so
    an id that no call has is matched only to calls without an id of their own.
    """

    def __init__(self) -> None:
        self.tools: dict[str, str] = {}  # call id -> tool name
        self._waiting: dict[str, str] = {}  # unanswered calls of the last turn
        self._generated: set[str] = set()  # ids generated by this class
        self._role = ""

    def begin(self, role: str) -> None:
        """Start a message of a role."""
        if role == "assistant" and self._role != role:
            self._waiting.clear()
        self._role = role

    def call(self, client_id: str | None, tool: str) -> str:
        """Return the id of a call: the client's, or one that is the same in every later request."""
        number = len(self.tools)
        while (name := client_id or f"call_{number}") in self.tools and not client_id:
            number += 1
        self.tools[name] = self._waiting[name] = tool
        if not client_id:
            self._generated.add(name)
        return name

    def result(self, client_id: str | None, tool: str | None) -> str:
        """Return the id of the call that a result answers."""
        name = client_id or ""
        if name not in self.tools:
            candidates = [call_id for call_id in self._waiting if not client_id or call_id in self._generated]
            same_tool = (one for one in candidates if self._waiting[one] == tool)
            name = next(iter((*same_tool, *candidates)), client_id or tool or "")
        self._waiting.pop(name, None)
        return name


# ---- a reply, collected for the next request ------------------------------------------------------------


class AssistantTurn(Value, frozen=True):
    """The model's answer: ``parts`` in order of arrival; ``error`` if the reply did not end properly."""

    parts: tuple[WirePart, ...] = ()
    usage: WireUsage = WireUsage()
    finish: str = ""
    stop_sequence: str = ""
    error: Exception | None = None
    speech: bytes = b""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, WireText))

    @property
    def beside(self) -> str:
        """The output other than text: reasoning, and the arguments of tool calls."""
        thoughts = "".join(part.text for part in self.parts if isinstance(part, Reasoning))
        return thoughts + "".join(call.arguments for call in self.calls)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


def collect_turn(events: Iterable[WireEvent]) -> AssistantTurn:
    """Collect events into a turn."""
    builder = TurnBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


class _Growing:
    """A part that is still arriving.

    Its pieces are joined once, at the end, since appending each would copy all of it.
    """

    __slots__ = ("id", "kind", "name", "pieces", "signature")

    def __init__(self, kind: type[WireText | Refusal | Reasoning | ToolCall], piece: str) -> None:
        self.kind = kind
        self.pieces = [piece]
        self.signature = self.id = self.name = ""

    def build(self) -> WirePart:
        text = "".join(self.pieces)
        if self.kind is ToolCall:
            # A call without arguments has an empty object, which some protocols omit.
            return ToolCall(id=self.id, name=self.name, arguments=text if text.strip() else "{}")
        if self.kind is Reasoning:
            return Reasoning(text=text, signature=self.signature)
        return Refusal(text=text) if self.kind is Refusal else WireText(text=text)


class TurnBuilder:
    """Collects events one by one; ``build`` returns what has arrived so far."""

    def __init__(self) -> None:
        self._parts: list[_Growing | Opaque] = []
        self._calls: dict[int, _Growing] = {}  # by tool call index
        self._open = False  # the next piece may extend the last part
        self._speech: list[bytes] = []
        self._usage, self._finish, self._stop_sequence = WireUsage(), "", ""
        self._error: Exception | None = None

    def add(self, event: WireEvent) -> None:
        if isinstance(event, WireTextDelta):
            self._append_to(WireText, event.text)
        elif isinstance(event, RefusalDelta):
            self._append_to(Refusal, event.text)
        elif isinstance(event, ReasoningDelta):
            self._append_to(Reasoning, event.text).signature = event.signature
            self._open = not event.signature
        elif isinstance(event, OpaqueBlock):
            self._parts.append(Opaque(wire=event.wire, body=event.body))
            self._open = False
        elif isinstance(event, ToolCallDelta):
            self._call(event)
        elif isinstance(event, SpeechDelta):
            self._speech.append(event.data)
        elif isinstance(event, WireUsage):
            self._usage = event
        elif isinstance(event, Finish):
            self._finish, self._stop_sequence = event.reason, event.stop_sequence
        elif isinstance(event, Error):
            self._error = event.error

    def build(self) -> AssistantTurn:
        return AssistantTurn(
            parts=tuple(part.build() if isinstance(part, _Growing) else part for part in self._parts),
            usage=self._usage,
            finish=self._finish,
            stop_sequence=self._stop_sequence,
            error=self._error,
            speech=b"".join(self._speech),
        )

    def _append_to(self, kind: type[WireText | Refusal | Reasoning], piece: str) -> _Growing:
        last = self._parts[-1] if self._open else None
        if isinstance(last, _Growing) and last.kind is kind:
            last.pieces.append(piece)
            return last
        fresh = _Growing(kind, piece)
        self._parts.append(fresh)
        self._open = True
        return fresh

    def _call(self, event: ToolCallDelta) -> None:
        call = self._calls.get(event.index)
        if call is None:
            call = self._calls[event.index] = _Growing(ToolCall, event.arguments)
            self._parts.append(call)
        else:
            call.pieces.append(event.arguments)
        call.id, call.name = call.id or event.id, call.name or event.name
        self._open = False


# ---- what a conversation is known by -------------------------------------------------------------
# Bytes for its roles and parts, in order, from which a SHA-256 is computed: clients send the whole conversation and no
# id, so its content identifies it. The executor computes the digest from a request's parts, the direct path while it
# reads a body; both are the same. Call ids and reasoning are left out: not every client sends them.

PART = b"\0"  # before each part
BEGINNINGS = {role: b"\0\0%b" % role.encode() for role in ("system", "user", "assistant", "tool")}  # of a message
TEXT_BEGINNINGS = {role: beginning + PART for role, beginning in BEGINNINGS.items()}  # of one that begins with text


def begin_digest(owner: str) -> Any:
    """Return the initial digest of a conversation, which depends on its owner."""
    return hashlib.sha256(owner.encode())


def text_identity(text: str) -> bytes:
    """Return the bytes that identify a text, ignoring surrounding blanks."""
    return text.strip().encode("utf-8", "replace")


def exact_identity(text: str) -> bytes:
    """Return the bytes that identify a tool's name, its result, or the URL of media."""
    return text.encode("utf-8", "replace")
