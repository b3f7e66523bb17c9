"""What the direct path reads of a client's chat: its shape, on which a plan depends, and its digest.

Each protocol's ``chat_shape.py`` goes through the messages; what all of them collect is here. ``None`` in place of a
chat means that it is not for the direct path, for whatever reason: the server side reads it again and reports what is
wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from intermodal.content import Scripts
from intermodal.protocols.framing.image_facts import ImageFacts
from intermodal.protocols.framing.media_extraction import ExtractedBody
from intermodal.protocols.framing.raw_json import split_object
from intermodal.protocols.request_fields import IDENTIFIERS, ignored_content

# Vary from request to request of one shape: whether they are there is part of it, and not what they say.
VARYING = frozenset({*IDENTIFIERS, "user", "metadata"})
LONG = 256 << 10  # letters of a text: a longer one is weighed in a thread, by the executor
_word = msgspec.json.Decoder(str)
_NO_MEDIUM = 100  # letters; longer words without a blank are media
_TRUE, _FALSE, _NULL = b"true", b"false", b"null"
_AS_THEY_CAME: Mapping[str, Sequence[bytes | memoryview]] = MappingProxyType({})


class TextSizes(NamedTuple):
    """Of a text. ``shape``: characters, estimates, bytes and exact counts, rounded as ``plan_cache.py`` does it."""

    shape: tuple[object, ...]
    chars: int
    scripts: Scripts
    size: int


class TextMeasurer(Protocol):
    """What a plan depends on in words."""

    def sizes(self, text: str) -> TextSizes: ...

    def question(self, text: str, *, pictured: bool) -> tuple[object, ...]:
        """What kind of answer is asked for, and what of pictures."""
        ...


class ParsedChat(msgspec.Struct, frozen=True):
    """A chat for the lane.

    Attributes:
        body: what it was read from. fields: of its text, as they came. model: as it was asked for.
        shape: all that its plan depends on besides the catalog and where the conversation was.
        stream, usage: whether it is to be streamed, and with the usage at its end.
        messages: how many. pictures: that go along. texts: of what the messages say.
        before, said: digests of the conversation up to the last answer (None: there is none yet), and of all of it.
        written: fields that go on in other words than they came in, each in pieces.
        plain: all of it is words and pictures, which our own rules weigh.
        asked: its question, where pictures go along.
    """

    body: ExtractedBody
    fields: Mapping[str, msgspec.Raw]
    model: str
    shape: tuple[object, ...]
    stream: bool
    usage: bool
    pictures: tuple[ImageFacts, ...]
    texts: tuple[TextSizes, ...]
    messages: int
    before: bytes | None
    said: Any
    written: Mapping[str, Sequence[bytes | memoryview]] = _AS_THEY_CAME
    plain: bool = True
    asked: str = ""

    def words(self) -> Iterator[str]:
        """All that it says, names of fields left out. For what is seldom: it is read once more."""
        left: list[object] = [msgspec.json.decode(field) for field in self.fields.values()]
        while left:
            tree = left.pop()
            if isinstance(tree, str):
                if " " in tree or len(tree) < _NO_MEDIUM:
                    yield tree
            elif isinstance(tree, dict):
                left += tree.values()
            elif isinstance(tree, list):
                left += tree


# A body as far as all wires have it: its fields, the model as it was asked for, whether it is to be streamed.
Opened = tuple[Mapping[str, msgspec.Raw], str, bool]


def opened_body(body: bytes, taken: frozenset[str]) -> Opened | None:
    """None where there are other fields than those, or a model or ``stream`` that is none."""
    try:
        fields = split_object(body)
        if not fields.keys() <= taken:
            return None
        model, stream = _word.decode(fields["model"]), raw_field(fields, "stream")
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError):
        return None
    return (fields, model, stream == _TRUE) if stream in (b"", _TRUE, _FALSE, _NULL) else None


def settings_in(
    fields: Mapping[str, msgspec.Raw], but: frozenset[str], varying: frozenset[str] = VARYING
) -> tuple[object, ...]:
    """What is said besides the messages, as it came. Of ``varying`` fields, that they say something."""
    said: list[object] = [(name, bytes(fields[name])) for name in sorted(fields.keys() - but)]
    if not varying.isdisjoint(fields):
        said += [name for name in sorted(varying & fields.keys()) if bytes(fields[name]) != _NULL]
    return tuple(said)


def raw_field(fields: Mapping[str, msgspec.Raw], name: str) -> bytes:
    return bytes(fields[name]) if name in fields else b""


def measured(text: str, measure: TextMeasurer, texts: list[TextSizes]) -> tuple[object, ...]:
    found = measure.sizes(text)
    texts.append(found)
    return found.shape


def read_conversation(
    body: ExtractedBody, owner: str, measure: TextMeasurer, table: str, taken: frozenset[str],
    read: Callable[[ExtractedBody, Opened, ConversationReader], ParsedChat | None],
) -> ParsedChat | None:  # fmt: skip
    """The chat that ``read`` finds in a body with no other fields than ``taken``, if the lane may take it."""
    opened = opened_body(body.text, taken)
    if opened is None or ignored_content(body.text, table):  # what is in its parts is told, too
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
