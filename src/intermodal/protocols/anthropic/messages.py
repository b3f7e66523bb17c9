"""The messages of Anthropic's API as clients write them: their types, and what each says.

``server.py`` reads requests with these types. ``chat_shape.py`` narrows them for chats whose bytes go on as they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, get_args

from msgspec import UNSET

from intermodal.content import Opaque, Reasoning, Role, Value
from intermodal.protocols.calls import WireDocument, WireLink, WirePart, WireText
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.message_receiver import MessageBuilder, MessageReceiver
from intermodal.protocols.request_validation import DOCUMENT_TYPES, READABLE_DOCUMENTS, quote_value, read_typed


class MergedTurns:
    """Tells a receiver of messages, of which neighbours of one role are one."""

    def __init__(self, receiver: MessageReceiver) -> None:
        self.receiver = receiver
        self._role: Role | None = None

    def turn(self, role: Role) -> MessageReceiver:
        if role != self._role:
            self._role = role
            self.receiver.begin(role)
        return self.receiver

    def words(self, role: Role, text: str) -> None:
        if role == self._role:
            self.receiver.words(text)
        else:
            self._role = role
            self.receiver.says(role, text)


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

    def tell(self, turns: MergedTurns, role: Role) -> None:
        turns.words(role, self.text)


class ImageBlock(Value, gc=False, tag_field="type", tag="image"):
    source: Base64Source | AnthropicUrlSource | TextSource

    def tell(self, turns: MergedTurns, role: Role) -> None:
        source = self.source
        if isinstance(source, Base64Source):
            turns.turn(role).image_data(source.data, source.media_type)
        elif isinstance(source, AnthropicUrlSource):
            turns.turn(role).part(WireLink(of="image", url=source.url))
        else:
            turns.words(role, source.data)


class DocumentBlock(Value, gc=False, tag_field="type", tag="document"):
    source: Base64Source | AnthropicUrlSource | TextSource
    title: str | None = None
    context: str | None = None

    def tell(self, turns: MergedTurns, role: Role) -> None:
        """Remarks precede the document; so does a title, if there is no name to hold it."""
        source = self.source
        named = isinstance(source, Base64Source)
        if said := "\n\n".join(filter(None, ("" if named else self.title, self.context))):
            turns.words(role, said)
        if isinstance(source, TextSource):
            turns.words(role, source.data)
        elif isinstance(source, AnthropicUrlSource):
            turns.turn(role).part(WireLink(of="document", url=source.url))
        elif source.media_type in DOCUMENT_TYPES:
            turns.turn(role).part(WireDocument(data=decode_base64(source.data), name=self.title or ""))
        else:
            what = f"a document of type {quote_value(source.media_type)} is not read here"
            raise ValueError(f"{what}: send a {READABLE_DOCUMENTS}, or its text as a source of type text")


class ToolUseBlock(Value, gc=False, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: Any

    def tell(self, turns: MergedTurns, role: Role) -> None:
        turns.turn(role).call(self.id, self.name, dumps(self.input).decode())


class ThinkingBlock(Value, gc=False, tag_field="type", tag="thinking"):
    thinking: str
    signature: str | None = None

    def tell(self, turns: MergedTurns, role: Role) -> None:
        turns.turn(role).part(Reasoning(text=self.thinking, signature=self.signature or ""))


class ToolResultBlock(Value, kw_only=True, gc=False, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | Sequence[TextBlock | ImageBlock | DocumentBlock] | None = None
    is_error: Any = UNSET

    def tell_result(self, turns: MergedTurns) -> Sequence[WirePart]:
        """Tell what it says in words. Return the rest, which the user's next message holds."""
        content = self.content or ""
        shown: Sequence[WirePart] = ()
        if isinstance(content, str):
            words = [content]
        else:
            words = [block.text for block in content if isinstance(block, TextBlock)]
            if len(words) < len(content):
                words, shown = _told(content)
        turns.turn("tool").result(self.tool_use_id, "\n".join(words), is_error=self.is_error is True)
        return shown


def _told(blocks: Sequence[TextBlock | ImageBlock | DocumentBlock]) -> tuple[list[str], list[WirePart]]:
    """Return the words and the other parts of blocks."""
    receiver = MessageBuilder()
    turns = MergedTurns(receiver)
    for block in blocks:
        block.tell(turns, "user")
    words = [part.text for part in receiver.parts if isinstance(part, WireText)]
    return words, [part for part in receiver.parts if not isinstance(part, WireText)]


class VendorBlock(Value, gc=False):
    """A block that only the vendor reads: hidden reasoning, and results of the vendor's own tools."""

    block: dict[str, Any]

    def tell(self, turns: MergedTurns, role: Role) -> None:
        turns.turn(role).part(Opaque(wire="anthropic", body=dumps(self.block).decode()))


Block = TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ThinkingBlock | ToolResultBlock
_BLOCKS: Mapping[Any, type[Block]] = {kind.__struct_config__.tag: kind for kind in get_args(Block)}
# Types of blocks that are media, and the field that holds each.
MEDIA: Mapping[str, tuple[str, ...]] = {"image": ("source",), "document": ("source",)}


# ---- messages ----------------------------------------------------------------------------------


def system_words(system: str | Sequence[TextBlock]) -> str:
    """Return what the system prompt says."""
    return system if isinstance(system, str) else "\n\n".join([block.text for block in system])


class _Message(Value, gc=False, tag_field="role"):
    content: str | Sequence[Any]
    ROLE: ClassVar[Role]

    def tell(self, turns: MergedTurns) -> None:
        content, role = self.content, self.ROLE
        if isinstance(content, str):
            turns.words(role, content)
            return
        blocks: Sequence[Any] = content
        results = [block for block in blocks if isinstance(block, ToolResultBlock)]
        if results:  # which are a message of their own everywhere else
            shown = [part for result in results for part in result.tell_result(turns)]
            for part in shown:
                turns.turn(role).part(part)
            blocks = [block for block in blocks if not isinstance(block, ToolResultBlock)]
        for block in blocks:
            block.tell(turns, role)


class AnthropicSystemMessage(_Message, gc=False, tag="system"):
    content: str | Sequence[TextBlock | ImageBlock | DocumentBlock]
    ROLE = "system"


class AnthropicUserMessage(_Message, gc=False, tag="user"):
    content: str | Sequence[TextBlock | ImageBlock | DocumentBlock | ToolResultBlock]
    ROLE = "user"


class AnthropicAssistantMessage(_Message, gc=False, tag="assistant"):
    ROLE = "assistant"

    def tell(self, turns: MergedTurns) -> None:
        super().tell(turns)
        turns.receiver.answered()


ROLES = ("user", "assistant", "system")
# What is said of a word that is not known, by the end of its place.
UNKNOWN: Mapping[str, str] = {
    "source.type": "a source of type {} is not read here: send base64, a url or text",
    "type": "a block of type {} is not read here: send what it says as text",
    "role": f"a message has the role {{}}, which is not one of {', '.join(ROLES)}",
}


class AnthropicConversation(Value, gc=False):
    """What is said in a request. Messages of the assistant may hold blocks of any type."""

    messages: list[AnthropicSystemMessage | AnthropicUserMessage | AnthropicAssistantMessage]
    system: str | list[TextBlock] = ""

    def tell(self, receiver: MessageReceiver) -> None:
        turns = MergedTurns(receiver)
        if words := system_words(self.system):
            turns.words("system", words)
        for number, message in enumerate(self.messages):
            if isinstance(message, AnthropicAssistantMessage) and not isinstance(message.content, str):
                blocks = enumerate(message.content)
                content = [_block_of(block, f"messages[{number}].content[{place}]") for place, block in blocks]
                message = AnthropicAssistantMessage(content=content)
            message.tell(turns)


def _block_of(given: Any, place: str) -> Block | VendorBlock:
    if not isinstance(given, dict) or not isinstance(given.get("type"), str):
        raise ValueError(f"{place} must be an object with a type")
    kind = _BLOCKS.get(given["type"])
    return VendorBlock(block=given) if kind is None else read_typed(given, kind, UNKNOWN, place)
