"""The direct path's parsing of a client's chat: its shape, on which a plan depends, and its digest.

Each protocol's ``passthrough.py`` goes through the messages; this module collects what they have in common. ``None`` in
place of a chat means that it is not for the direct path, for whatever reason: the server side reads it again and
reports any error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from intermodal.core.content import Opaque, Reasoning, Role, Scripts, ToolCall, ToolResult
from intermodal.protocols.calls import CodedImage, NotExpressible, WireMessage, WirePart, WireText
from intermodal.protocols.conversation import (
    BEGINNINGS,
    PART,
    TEXT_BEGINNINGS,
    begin_digest,
    exact_identity,
    text_identity,
)
from intermodal.protocols.framing.image_facts import ImageFacts, image_in_base64, image_in_data_url
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import split_object
from intermodal.protocols.request_fields import IDENTIFIERS, DirectFields, ignored_content

# Fields that vary within a shape: their presence is part of it, their content is not.
VARYING = frozenset({*IDENTIFIERS, "user", "metadata"})
LONG = 256 << 10  # characters of a text: the executor measures longer texts in a thread
_word = msgspec.json.Decoder(str)
_NO_MEDIUM = 100  # characters; longer strings without a blank are media
_TRUE, _FALSE, _NULL = b"true", b"false", b"null"
AS_THEY_CAME: Mapping[str, Sequence[bytes | memoryview]] = MappingProxyType({})


class TextSizes(NamedTuple):
    """The sizes of a text.

    ``shape``: characters, estimates, bytes and exact counts, rounded as in ``plan_cache.py``.
    """

    shape: tuple[object, ...]
    chars: int
    scripts: Scripts
    size: int


class TextMeasurer(Protocol):
    """Measures the properties of text that a plan depends on."""

    def sizes_of(self, text: str) -> TextSizes: ...

    def question(self, text: str, *, pictured: bool) -> tuple[object, ...]:
        """Return the kind of answer requested and, if ``pictured``, the needed aspects of images."""
        ...


class ParsedChat(msgspec.Struct, frozen=True):
    """A chat for the direct path.

    Attributes:
        body: the parsed body. fields: of its text, unchanged. model: as requested.
        shape: everything its plan depends on besides the catalog and the conversation's previous endpoint.
        stream, usage: whether it is to be streamed, and with the usage at its end.
        messages: their number. pictures: images in it. texts: sizes of the messages' texts.
        before, conversation_digest: digests of the conversation up to the last answer (None if there is none yet), and
            of all of it.
        rewritten_fields: fields that are forwarded in rewritten form, each in pieces.
        plain: it consists only of text and images, which our own rules measure.
        question: its question, if it includes images.
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
    conversation_digest: Any
    rewritten_fields: Mapping[str, Sequence[bytes | memoryview]] = AS_THEY_CAME
    plain: bool = True
    question: str = ""

    def strings_in_fields(self) -> Iterator[str]:
        """Yield all strings in the fields, without field names. For rare cases: the fields are parsed again."""
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


# The parts of a body that all protocols share: its fields, the requested model, whether it is to be streamed.
TopLevelFields = tuple[Mapping[str, msgspec.Raw], str, bool]


def read_top_level(body: bytes, direct: DirectFields) -> TopLevelFields | None:
    """Return the top-level fields of a body.

    Returns None if it has other fields than ``direct`` allows, or an invalid model or ``stream``.
    """
    try:
        fields = split_object(body)
        if not fields.keys() <= direct.allowed:
            return None
        if not direct.flat.isdisjoint(fields) and any(
            bytes(fields[name])[:1] in b"[{" for name in direct.flat & fields.keys()
        ):
            return None
        model = _word.decode(fields["model"])
        stream = bytes(fields["stream"]) if "stream" in fields else b""
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError):
        return None
    return (fields, model, stream == _TRUE) if stream in (b"", _TRUE, _FALSE, _NULL) else None


def settings_in(
    fields: Mapping[str, msgspec.Raw], but: frozenset[str], varying: frozenset[str] = VARYING
) -> tuple[object, ...]:
    """Return the fields besides the messages, unchanged. Of ``varying`` fields, only that they are set."""
    besides = fields.keys() - but
    settings: list[object] = [(name, bytes(fields[name])) for name in sorted(besides)] if besides else []
    if not varying.isdisjoint(fields):
        settings += [name for name in sorted(varying & fields.keys()) if bytes(fields[name]) != _NULL]
    return tuple(settings)


def read_conversation(
    body: ExtractedBody, owner: str, measure: TextMeasurer, direct: DirectFields,
    read: Callable[[ExtractedBody, TopLevelFields, ConversationReader], ParsedChat | None], *, unread: str = "",
) -> ParsedChat | None:  # fmt: skip
    """Return the chat that ``read`` finds in a body whose fields are all in ``direct``; None if it finds none.

    ``unread``: the kind of request of ``request_fields.py`` whose nested content is not understood here, and is to be
    named in the answer.
    """
    top_level = read_top_level(body.text, direct)
    if top_level is None or (unread and ignored_content(body.text, unread)):
        return None
    try:
        return read(body, top_level, ConversationReader(body, owner, measure))
    except _UNREADABLE:
        return None


class NotDirect(Exception):
    """A chat has a part that is not for the direct path."""


_UNREADABLE = (
    NotDirect, msgspec.MsgspecError, NotExpressible, ValueError, LookupError, TypeError, AttributeError, RecursionError,
)  # fmt: skip


class ConversationReader:
    """Receives the parts of a conversation in order (``MessageReceiver``).

    Raises NotDirect for a part that is not for the direct path. ``plain``: there are only text and images.
    """

    plain = True
    _joined = False  # a turn has several texts
    _answered_digest: Any = None  # the digest up to the last answer

    def __init__(self, body: ExtractedBody, owner: str, measure: TextMeasurer) -> None:
        self.digest = begin_digest(owner)
        self.shapes: list[object] = []
        self.pictures: list[ImageFacts] = []
        self._body = body
        self._measure = measure
        self._turns: list[list[str]] = []  # texts of each turn
        self._calling: set[int] = set()  # turns with tool calls, tool results or reasoning
        self._sizes: list[TextSizes] = []  # of all these texts

    def begin(self, role: Role) -> None:
        """Begin a new turn."""
        self.digest.update(BEGINNINGS[role])
        self.shapes.append(role)
        self._turns.append([])

    def begin_turn(self, role: Role, text: str) -> None:
        """Begin a new turn with a text, as nearly all do."""
        identity = text_identity(text)
        if not identity or len(text) > LONG:
            raise NotDirect
        found = self._measure.sizes_of(text)
        self.digest.update(TEXT_BEGINNINGS[role] + identity)
        self.shapes += (role, found.shape)
        self._turns.append([text])
        self._sizes.append(found)

    def add_text(self, text: str) -> None:
        identity = text_identity(text)
        if not identity or len(text) > LONG:
            raise NotDirect
        turn = self._turns[-1]
        if turn:
            self._joined = True
        turn.append(text)
        found = self._measure.sizes_of(text)
        self._sizes.append(found)
        self.shapes.append(found.shape)
        self.digest.update(PART + identity)

    def file_text(self, name: str, text: str) -> None:
        """Measure the text of a document, which is forwarded unchanged."""
        if name:
            self.add_text(name)
        self.add_text(text)

    def image_url(self, url: str, detail: str) -> None:
        self._add_image(image_in_data_url(url.encode(), self._body.media), detail)

    def image_data(self, coded: str, media_type: str | None = None) -> None:
        raw_media_type = None if media_type is None else media_type.encode()
        self._add_image(image_in_base64(self._body.media(memoryview(coded.encode())), raw_media_type), "auto")

    def _add_image(self, image_facts: ImageFacts | None, detail: str) -> None:
        if image_facts is None:
            raise NotDirect
        self.digest.update(PART + image_facts.digest)
        self.pictures.append(image_facts if detail == "auto" else image_facts._replace(detail=detail))
        self.shapes.append(
            (image_facts.media_type, image_facts.width, image_facts.height, image_facts.size.bit_length(), detail)
        )

    def call(self, id: str | None, tool: str, arguments: str) -> None:
        self.digest.update(PART + exact_identity(tool))
        self._calls("call", arguments, tool)

    def result(self, id: str | None, text: str, *, tool: str = "", is_error: bool = False) -> None:
        self.digest.update(PART + exact_identity(text))
        self._calls("result", text)

    def add_part(self, part: WirePart) -> None:
        """Record a part that is neither text, image, call nor result. Only reasoning is accepted."""
        if isinstance(part, Reasoning):
            self._calls("thought", part.text)
        elif isinstance(part, Opaque):
            self._calls("thought", part.body)
        else:
            raise NotDirect

    def end_answer(self) -> None:
        """Mark the end of an answer: the conversation may be known up to here."""
        self._answered_digest = self.digest.copy()

    def _calls(self, what: str, text: str, *more: object) -> None:
        if len(text) > LONG:
            raise NotDirect
        self.plain = False
        self._calling.add(len(self._turns) - 1)
        self.shapes += ((what, *more), self._measure.sizes_of(text).shape)

    def add_messages(self, messages: Iterable[WireMessage], image: Callable[[CodedImage], None]) -> list[WireMessage]:
        """Record messages that the server side read.

        Return them with neighbouring texts joined, as they are sent to a host. ``image`` records an image.
        """
        recorded: list[WireMessage] = []
        for message in messages:
            role, parts = message.role, message.parts
            only = parts[0] if len(parts) == 1 else None
            if isinstance(only, WireText):
                self.begin_turn(role, only.text)
            else:
                self.begin(role)
                kinds = set(map(type, parts))
                if kinds <= {CodedImage}:
                    raise NotDirect
                for part in parts:
                    self._add_wire_part(role, part, image)
                if kinds == {WireText}:
                    message = WireMessage(role=role, parts=(WireText(text="\n\n".join(self._turns[-1])),))
            if role == "assistant":
                self.end_answer()
            recorded.append(message)
        if not recorded:
            raise NotDirect
        return recorded

    def _add_wire_part(self, role: Role, part: WirePart, image: Callable[[CodedImage], None]) -> None:
        if isinstance(part, WireText):
            self.add_text(part.text)
        elif isinstance(part, CodedImage) and role == "user":
            image(part)
        elif isinstance(part, ToolResult):
            self.result(part.id, part.text)
        elif isinstance(part, ToolCall) and role == "assistant":
            self.call(part.id, part.name, part.arguments)
        elif role == "assistant":
            self.add_part(part)
        else:
            raise NotDirect

    # ---- all of them

    def chat(
        self, name: str, body: ExtractedBody, top_level: TopLevelFields, settings: tuple[object, ...], *,
        usage: bool = True, rewritten_fields: Mapping[str, Sequence[bytes | memoryview]] = AS_THEY_CAME,
    ) -> ParsedChat:  # fmt: skip
        """Return the chat from all recorded parts. ``name``: identifies its protocol."""
        fields, model, stream = top_level
        question_text, pictures = self._last_turn_text(), tuple(self.pictures)
        question = self._measure.question(question_text, pictured=bool(pictures))
        return ParsedChat(
            body=body, fields=fields, model=model, stream=stream, usage=usage,
            shape=(name, model, stream, settings, question, *self.shapes),
            pictures=pictures, texts=self._text_sizes_by_turn(), messages=len(self._turns),
            before=None if self._answered_digest is None else self._answered_digest.digest(),
            conversation_digest=self.digest,
            rewritten_fields=rewritten_fields, plain=self.plain, question=question_text if pictures else "",
        )  # fmt: skip

    def _last_turn_text(self) -> str:
        """Return the text of the last turn that is not part of a tool call (``planner/planning_case.py``)."""
        last = len(self._turns) - 1
        while last in self._calling:
            last -= 1
        return " ".join(self._turns[last]) if last >= 0 else ""

    def _text_sizes_by_turn(self) -> tuple[TextSizes, ...]:
        """Return the sizes of each turn's text."""
        if not self._joined:
            return tuple(self._sizes)
        return tuple([self._measure.sizes_of("\n\n".join(words)) for words in self._turns if words])
