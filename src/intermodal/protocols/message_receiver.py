"""The interface through which the message types of a protocol's ``server.py`` pass on a client's messages.

``MessageBuilder`` builds the messages of a call. ``ConversationReader`` (``parsed_chat.py``) measures a chat whose
bytes are forwarded unchanged. So each protocol reads its messages in one place, for both.
"""

from __future__ import annotations

from typing import Any, Protocol

from intermodal.core.content import Role, ToolCall, ToolResult
from intermodal.protocols.calls import WireImage, WireMessage, WirePart, WireText
from intermodal.protocols.conversation import ToolCallIds
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.request_validation import image_from_url


class MessageReceiver(Protocol):
    """Receives the messages of a conversation in order. It raises if it cannot accept a part.

    ``begin`` begins a message; ``begin_turn`` begins one with a text, as nearly all do; ``end_answer`` ends an
    assistant message. ``add_part`` takes what the other methods do not. An ``id`` of None is from a client that sends
    none: its result names the ``tool``.
    """

    def begin(self, role: Role) -> None: ...
    def begin_turn(self, role: Role, text: str) -> None: ...
    def add_text(self, text: str) -> None: ...
    def file_text(self, name: str, text: str) -> None: ...
    def image_url(self, url: str, detail: Any) -> None: ...
    def image_data(self, coded: str, media_type: str) -> None: ...
    def call(self, id: str | None, tool: str, arguments: str) -> None: ...
    def result(self, id: str | None, text: str, *, tool: str = "", is_error: bool = False) -> None: ...
    def add_part(self, part: WirePart) -> None: ...
    def end_answer(self) -> None: ...


class MessageBuilder:
    """Builds the messages of a call."""

    def __init__(self) -> None:
        self._messages: list[tuple[Role, list[WirePart]]] = []
        self._ids = ToolCallIds()
        self.parts: list[WirePart] = []  # of the message that was begun last

    def messages(self) -> tuple[WireMessage, ...]:
        return tuple([WireMessage(role=role, parts=tuple(parts)) for role, parts in self._messages])

    def begin(self, role: Role) -> None:
        self._ids.begin(role)
        self.parts = []
        self._messages.append((role, self.parts))

    def begin_turn(self, role: Role, text: str) -> None:
        self.begin(role)
        self.add_text(text)

    def add_text(self, text: str) -> None:
        self.parts.append(WireText(text=text))

    def file_text(self, name: str, text: str) -> None:
        self.parts.append(WireText(text=text, name=name or "document"))

    def image_url(self, url: str, detail: Any) -> None:
        self.parts.append(image_from_url(url, detail))

    def image_data(self, coded: str, media_type: str) -> None:
        self.parts.append(WireImage(data=decode_base64(coded), media_type=media_type))

    def call(self, id: str | None, tool: str, arguments: str) -> None:
        self.parts.append(ToolCall(id=self._ids.call(None, tool) if id is None else id, name=tool, arguments=arguments))

    def result(self, id: str | None, text: str, *, tool: str = "", is_error: bool = False) -> None:
        name = self._ids.result(None, tool) if id is None else id
        self.parts.append(ToolResult(id=name, text=text, is_error=is_error))

    def add_part(self, part: WirePart) -> None:
        self.parts.append(part)

    def end_answer(self) -> None:
        pass
