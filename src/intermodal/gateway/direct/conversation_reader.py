"""Collect the shape and the digest of a conversation while a protocol's parser goes through its messages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from intermodal.gateway.client_apis import ClientApi
from intermodal.gateway.direct.image_facts import ImageFacts
from intermodal.gateway.direct.media_extraction import ExtractedBody
from intermodal.gateway.direct.openai_chat_parser import LONG, Opened, ParsedChat, TextMeasurer, TextSizes, opened_body
from intermodal.gateway.requests.ignored_fields import ignored_content


def read_conversation(
    body: ExtractedBody, owner: str, measure: TextMeasurer, dialect: ClientApi, taken: frozenset[str],
    read: Callable[[ExtractedBody, Opened, ConversationReader], ParsedChat | None],
) -> ParsedChat | None:  # fmt: skip
    """The chat that ``read`` finds in a body with no other fields than ``taken``, if the lane may take it."""
    opened = opened_body(body.text, taken)
    if opened is None or ignored_content(body.text, dialect):  # what is in its parts is told, too
        return None
    try:
        return read(body, opened, ConversationReader(owner, measure))
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError, RecursionError):
        return None


@dataclass(slots=True)
class _Turn:
    words: list[str] = field(default_factory=list)
    sizes: list[TextSizes] = field(default_factory=list)
    calling: bool = False  # it calls a tool, answers a call or thinks


class ConversationReader:
    """Told of the parts of a conversation in their order; each method is False for a part the lane does not take.

    ``plain``: words and pictures are all there is.
    """

    def __init__(self, owner: str, measure: TextMeasurer) -> None:
        self.digest: Any = hashlib.sha256(owner.encode())  # as ``conversations.py`` has it
        self.before: bytes | None = None
        self.shapes: list[object] = []
        self.pictures: list[ImageFacts] = []
        self.plain = True
        self._measure = measure
        self._turns: list[_Turn] = []

    def begin(self, role: str) -> None:
        """A new turn."""
        self.digest.update(b"\0\0%b" % role.encode())
        self.shapes.append(role)
        self._turns.append(_Turn())

    def words(self, text: str) -> bool:
        if not text.strip() or len(text) > LONG:
            return False
        turn = self._turns[-1]
        turn.words.append(text)
        turn.sizes.append(self._measured(text))
        self.digest.update(b"\0" + text.strip().encode("utf-8", "replace"))
        return True

    def picture(self, found: ImageFacts | None, detail: str) -> bool:
        if found is None:
            return False
        self.digest.update(b"\0" + found.digest)
        self.pictures.append(found)
        self.shapes.append((found.media_type, found.width, found.height, found.size.bit_length(), detail))
        return True

    def call(self, tool: str, arguments: str) -> bool:
        return self._known_by(tool) and self._calling("call", arguments, tool)

    def result(self, text: str) -> bool:
        return self._known_by(text) and self._calling("result", text)

    def thought(self, text: str) -> bool:
        return self._calling("thought", text)

    def answered(self) -> None:
        """What was told last is an answer's: up to here the conversation may be known."""
        self.before = self.digest.copy().digest()

    def _known_by(self, text: str) -> bool:
        self.digest.update(f"\0{text}".encode("utf-8", "replace"))
        return True

    def _calling(self, what: str, text: str, *more: object) -> bool:
        if len(text) > LONG:
            return False
        self.plain = False
        self._turns[-1].calling = True
        self.shapes.append((what, *more))
        self._measured(text)
        return True

    def _measured(self, text: str) -> TextSizes:
        found = self._measure.sizes(text)
        self.shapes.append(found.shape)
        return found

    # ---- all of them

    @property
    def count(self) -> int:
        return len(self._turns)

    @property
    def asked(self) -> str:
        """What the last turn says that is none of calling tools (``planner/planning_case.py``)."""
        asked = next((turn for turn in reversed(self._turns) if not turn.calling), None)
        return " ".join(asked.words) if asked is not None else ""

    @property
    def question(self) -> tuple[object, ...]:
        """What that asks for."""
        return self._measure.question(self.asked, pictured=bool(self.pictures))

    @property
    def texts(self) -> tuple[TextSizes, ...]:
        """Of what each turn says."""
        return tuple(
            turn.sizes[0] if len(turn.sizes) == 1 else self._measure.sizes("\n\n".join(turn.words))
            for turn in self._turns
            if turn.sizes
        )
