"""Calls to a host, and the events and results of its reply, in a form independent of any protocol.

A call is already routed: it names the model as the host knows it, and holds media as bytes that intermodal encoded.
Each protocol's folder converts these values to bytes and back. Values only, no logic.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Literal, Protocol

from msgspec import field
from msgspec.structs import replace

from intermodal.core.content import Opaque, Reasoning, Refusal, Role, ToolCall, ToolResult, Transcript, Value
from intermodal.core.request import Cached, Output, Quality, Sampling, Settings, TextOutput, Tool, ToolChoice
from intermodal.errors import CallError, UnsupportedModality

Detail = Literal["auto", "low", "high", "original"]
AudioFormat = Literal["wav", "mp3"]


class NotExpressible(UnsupportedModality):
    """A protocol or host cannot express a part of a call. Raised before anything is sent."""

    code = "not_expressible"
    part: str = ""
    wire: str = ""

    @classmethod
    def of(cls, part: str, wire: str, *, where: str = "", todo: str = "") -> NotExpressible:
        """Return the error for ``part`` (a noun phrase) that ``wire`` (a protocol's name for people) cannot carry."""
        error = cls(f"{wire} cannot carry {part}", where=where, todo=todo, sent=False)
        error.part = part
        error.wire = wire
        return error


# ---- calls -----------------------------------------------------------------------------


class WireText(Value, frozen=True, gc=False, tag_field="kind", tag="text"):
    """A text. ``name``: of the file it is from, as a client sent it; such text is data."""

    text: str
    name: str = ""


class WireImage(Value, frozen=True, gc=False, tag_field="kind", tag="image"):
    """An image. ``media_type`` is image/png, image/jpeg, image/webp or image/gif."""

    data: bytes
    media_type: str = "image/png"
    detail: Detail = "auto"


class WireAudio(Value, frozen=True, gc=False, tag_field="kind", tag="audio"):
    data: bytes
    format: AudioFormat = "wav"


class WireVideo(Value, frozen=True, gc=False, tag_field="kind", tag="video"):
    """A video file with its sound. ``media_type`` keeps its default if the protocol has no field for it."""

    data: bytes
    media_type: str = "video/mp4"


class WireDocument(Value, frozen=True, gc=False, tag_field="kind", tag="document"):
    """A PDF; in a request read by our server also an office document, which the media layer converts.

    ``name`` is the file name shown to the model if the protocol has a field for it; "" omits it.
    """

    data: bytes
    name: str = ""


class WireLink(Value, frozen=True, gc=False, tag_field="kind", tag="link"):
    """Media that a client of our server refers to by URL.

    Request readers produce it; no encoder sends it: hosts get bytes.
    """

    media_kind: Literal["image", "audio", "video", "document"]
    url: str
    detail: Detail = "auto"


class CodedImage(Value, frozen=True, gc=False, tag_field="kind", tag="coded_image"):
    """An image in a client's body whose base64 stays encoded: ``coded`` is the string that holds it.

    Request readers produce it for the direct path; the encoder of the same protocol sends it.
    """

    coded: str
    detail: Detail = "auto"


WireMedia = WireImage | WireAudio | WireVideo | WireDocument
# Beside text and media: parts of an earlier answer, which the next request sends back.
WirePart = WireText | WireMedia | WireLink | CodedImage | ToolCall | ToolResult | Reasoning | Refusal | Opaque


class WireMessage(Value, frozen=True, gc=False):
    """One message: a role and its parts in order."""

    role: Role
    parts: tuple[WirePart, ...]


class PastedDataUri(Value, frozen=True):
    """A long data URI sent as text: ``prefix`` precedes the comma, ``data`` is the decoded base64."""

    prefix: str
    data: bytes

    @property
    def text(self) -> str:
        """Return the URI as the client wrote it."""
        return f"{self.prefix},{b64encode(self.data).decode()}"


class PromptCall(Value, frozen=True):
    """A prompt kept by our server that a client refers to. Request readers produce it; no encoder sends it.

    Attributes:
        id: "" if the model's name identifies the prompt.
        version: "" for the current one.
        variables: JSON values; media are ``WireMedia``, ``WireLink`` or ``PastedDataUri``, also inside lists.
    """

    id: str = ""
    version: str = ""
    variables: dict[str, Any] = field(default_factory=dict)


class ChatCall(Value, frozen=True):
    """One chat completion.

    Attributes:
        model: the name by which the host knows it (``Endpoint.served_as``).
        candidates: number of alternatives with log-probabilities to return for each token; 0 for none.
        grammar: a GBNF grammar of llama.cpp that constrains the answer; omitted for other hosts.
        context: tokens of context that the host should allocate, if the protocol has a field for it.
        cache: what the host should keep in its prompt cache, if the protocol has a field for it.
        settings: further settings of a client; a protocol writes those it knows and omits the rest.
        prompt: a prompt of our server that precedes the messages.
    """

    model: str
    messages: tuple[WireMessage, ...]
    output: Output = TextOutput()
    sampling: Sampling = Sampling()
    stream: bool = True
    candidates: int = 0
    grammar: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tools: bool = True
    context: int | None = None
    cache: Cached = ()
    settings: Settings = Settings()
    prompt: PromptCall | None = None


class TranscriptionCall(Value, frozen=True):
    """One transcription of one recording.

    Attributes:
        media_type: the type of ``data`` ("audio/wav").
        language: an ISO 639-1 code; "" lets the model detect it.
        prompt: words that may occur, as a hint.
        into: the language to translate into; "" keeps the spoken one.
    """

    model: str
    data: bytes
    media_type: str = "audio/wav"
    language: str = ""
    prompt: str = ""
    into: str = ""


class EmbeddingCall(Value, frozen=True):
    """Embeddings of several texts; with ``media``, one embedding of the media and the texts together.

    ``dimensions`` None keeps the model's default.
    """

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    media: tuple[WireMedia, ...] = ()


class SpeechCall(Value, frozen=True):
    """Text to speak. ``voice`` "" is the host's default."""

    model: str
    text: str
    voice: str = ""
    format: AudioFormat = "wav"


class ImageCall(Value, frozen=True):
    """Images to generate or to edit.

    Attributes:
        images: images to start from; () generates new ones.
        mask: a PNG that is transparent where the first image may change (for a local diffusion model and for
            stable-diffusion.cpp: white there).
        size: width and height in pixels; None is the host's default.
        count: number of images.
        seed, steps, guidance, sampler, strength: parameters of a diffusion model, if the host accepts them.
        negative: the negative prompt.
        quality, format: "" is the host's default.
        writes: the model also returns text beside an image.
    """

    model: str
    prompt: str
    images: tuple[WireImage, ...] = ()
    mask: bytes = b""
    size: tuple[int, int] | None = None
    count: int = 1
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str = ""
    strength: float | None = None
    negative: str = ""
    quality: Quality | Literal[""] = ""
    format: Literal["", "png", "jpeg", "webp"] = ""
    writes: bool = False


# Of requests with a body of JSON: a chat, which may be answered by a stream of events, and others.
CHAT_HEADERS = (("content-type", "application/json"), ("accept", "text/event-stream, application/json"))
JSON_HEADERS = (("content-type", "application/json"), ("accept", "application/json"))


class EncodedRequest(Value, frozen=True):
    """An encoded request.

    Attributes:
        path: appended to the host's ``base_url``, which ends in its version (``…/v1``).
        headers: lower-case names; never an API key.
        segments: the body in order; media are segments of their own, so that no copy joins them.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    segments: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Return the length of the body in bytes."""
        return sum(map(len, self.segments))


# ---- replies ---------------------------------------------------------------------------


class WireTextDelta(Value, frozen=True, tag_field="wire_event", tag="text"):
    """A piece of the answer's text."""

    text: str


class SpeechDelta(Value, frozen=True, tag_field="wire_event", tag="speech"):
    """A piece of a spoken answer: bytes in the requested format."""

    data: bytes


class TokenLogprobs(Value, frozen=True, tag_field="wire_event", tag="candidates"):
    """The most likely tokens at one position of the answer, each with its natural-log probability."""

    words: tuple[tuple[str, float], ...]


class ReasoningDelta(Value, frozen=True, tag_field="wire_event", tag="reasoning"):
    """A piece of reasoning. ``signature`` closes the block that it signs; ``summary`` marks a host's summary of it."""

    text: str
    signature: str = ""
    summary: bool = False


class OpaqueBlock(Value, frozen=True, tag_field="wire_event", tag="opaque"):
    """A block that only its own protocol understands, unchanged: ``content.Opaque`` as an event."""

    wire: str
    body: str


class RefusalDelta(Value, frozen=True, tag_field="wire_event", tag="refusal"):
    """A piece of the model's explanation of a refusal."""

    text: str


class ToolCallDelta(Value, frozen=True, tag_field="wire_event", tag="tool_call"):
    """A piece of a tool call; ``id`` and ``name`` come with the first piece of each ``index``.

    ``signature`` is Google's thought signature, for clients with a field for it; hosts send it as a block before the
    call.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str = ""


class WireUsage(Value, frozen=True, tag_field="wire_event", tag="usage"):
    """The usage that a host reports; None for counts that it does not report.

    Attributes:
        input_tokens: all of the prompt, including ``cached_tokens`` (read from a cache; ``cached_by_modality`` splits
            them) and ``cache_write_tokens`` (written to it; ``cache_write_1h_tokens`` of them for an hour).
        output_tokens: all of the answer, including ``reasoning_tokens``, ``audio_tokens`` (generated speech) and
            ``image_tokens`` (generated images).
        seconds: seconds of audio billed.
        input_by_modality: pairs such as ("image", 1105).
        tier: the host's name for the service tier ("flex", "priority", "batch"); "" if it reports none.
        about: the summary of the run that our server adds for its clients; no host sends it.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    seconds: float | None = None
    input_by_modality: tuple[tuple[str, int], ...] = ()
    cache_write_1h_tokens: int | None = None
    cached_by_modality: tuple[tuple[str, int], ...] = ()
    tier: str = ""
    about: dict[str, Any] | None = None

    @property
    def is_empty(self) -> bool:
        """Return True if it has no tokens at all: servers that count none report zeros, and every chat has some."""
        return not (self.input_tokens or self.output_tokens or self.seconds)

    def without_excess(self) -> WireUsage:
        """Return the usage without parts that are larger than their whole: they count as not reported.

        So such a part is billed as the rest of its whole is, and no client is shown a number that was not billed.
        """
        input_tokens, output_tokens, cache_written = self.input_tokens, self.output_tokens, self.cache_write_tokens
        wrong: dict[str, None] = {}
        if input_tokens is not None:
            if cache_written is not None and cache_written > input_tokens:
                wrong["cache_write_tokens"] = wrong["cache_write_1h_tokens"] = cache_written = None
            if self.cached_tokens is not None and self.cached_tokens > input_tokens - (cache_written or 0):
                wrong["cached_tokens"] = None
        if output_tokens is not None:
            parts = {"reasoning": self.reasoning_tokens, "audio": self.audio_tokens, "image": self.image_tokens}
            wrong |= {
                f"{name}_tokens": None for name, part in parts.items() if part is not None and part > output_tokens
            }
        return replace(self, **wrong) if wrong else self

    @property
    def missing_counts(self) -> tuple[str, ...]:
        """The counts that the host did not report. A client whose types need a number gets 0 for them."""
        counts = (("input_tokens", self.input_tokens), ("output_tokens", self.output_tokens))
        return tuple(name for name, count in counts if count is None)


class Finish(Value, frozen=True, tag_field="wire_event", tag="finish"):
    """The proper end; always the last event.

    ``reason`` is a finish reason of OpenTelemetry GenAI. ``stop_sequence``: the words of the request that ended the
    answer, "" if none did or the host does not say.
    """

    reason: str
    stop_sequence: str = ""


class Error(Value, frozen=True, tag_field="wire_event", tag="error"):
    """The end by an error; always the last event."""

    error: CallError


WireEvent = (
    WireTextDelta
    | SpeechDelta
    | TokenLogprobs
    | ReasoningDelta
    | OpaqueBlock
    | RefusalDelta
    | ToolCallDelta
    | WireUsage
    | Finish
    | Error
)


class ReplyEncoder(Protocol):
    """Writes the events of a reply as the bytes of a stream."""

    def feed(self, event: WireEvent) -> bytes: ...


class Transcription(Value, frozen=True):
    """The reply to a :class:`TranscriptionCall`."""

    transcript: Transcript
    usage: WireUsage = WireUsage()


class Embeddings(Value, frozen=True):
    """The reply to an :class:`EmbeddingCall`: one vector for each text, in order, all of the same length."""

    vectors: tuple[tuple[float, ...], ...]
    usage: WireUsage = WireUsage()


class GeneratedImages(Value, frozen=True):
    """The reply to an :class:`ImageCall`. ``prompts``: the prompts as revised by the host, "" if it reports none."""

    images: tuple[WireImage, ...]
    prompts: tuple[str, ...] = ()
    usage: WireUsage = WireUsage()
