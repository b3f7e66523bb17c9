"""What a wire carries and what comes back, before any protocol has put it into bytes. Values only.

The calls are already routed: a model by the name its host knows, media as bytes that we re-encoded.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Literal

from msgspec import field

from intermodal.content import Opaque, Reasoning, Refusal, Role, ToolCall, ToolResult, Transcript, Value
from intermodal.errors import CallError, UnsupportedModality
from intermodal.request import Cached, Output, Quality, Sampling, Settings, TextOutput, Tool, ToolChoice

Detail = Literal["auto", "low", "high", "original"]
AudioFormat = Literal["wav", "mp3"]


class NotExpressible(UnsupportedModality):
    """This wire, or this host, has no words for that part. Raised before anything is sent."""

    code = "not_expressible"
    part: str = ""
    wire: str = ""

    @classmethod
    def of(cls, part: str, wire: str, *, where: str = "", todo: str = "") -> NotExpressible:
        error = cls(f"{wire} cannot carry {part}", where=where, todo=todo, sent=False)
        error.part = part
        error.wire = wire
        return error


# ---- what goes out -----------------------------------------------------------------------------


class WireText(Value, frozen=True, gc=False, tag_field="kind", tag="text"):
    text: str


class WireImage(Value, frozen=True, gc=False, tag_field="kind", tag="image"):
    """``media_type`` is one of image/png, image/jpeg, image/webp, image/gif."""

    data: bytes
    media_type: str = "image/png"
    detail: Detail = "auto"


class WireAudio(Value, frozen=True, gc=False, tag_field="kind", tag="audio"):
    data: bytes
    format: AudioFormat = "wav"


class WireVideo(Value, frozen=True, gc=False, tag_field="kind", tag="video"):
    """A video as it is, sound and all. Not every wire says what ``media_type`` it is; those that do not leave it."""

    data: bytes
    media_type: str = "video/mp4"


class WireDocument(Value, frozen=True, gc=False, tag_field="kind", tag="document"):
    """A PDF as it is; of a client of ours also an office document, which is taken apart here.

    ``name`` is shown to the model where the wire says it; "" leaves it out.
    """

    data: bytes
    name: str = ""


class WireLink(Value, frozen=True, gc=False, tag_field="kind", tag="link"):
    """Media that a client of ours names by its URL. Decoders give it, no encoder sends it: hosts get bytes."""

    of: Literal["image", "audio", "video", "document"]
    url: str
    detail: Detail = "auto"


WireMedia = WireImage | WireAudio | WireVideo | WireDocument
# What a turn said, kept so that the next turn can return it, stands beside text and media.
WirePart = WireText | WireMedia | WireLink | ToolCall | ToolResult | Reasoning | Refusal | Opaque


class WireMessage(Value, frozen=True, gc=False):
    role: Role
    parts: tuple[WirePart, ...]


class PastedDataUri(Value, frozen=True):
    """A long data URI in place of a text: ``prefix`` before the comma, and what its base64 holds."""

    prefix: str
    data: bytes

    @property
    def text(self) -> str:
        """As it was written."""
        return f"{self.prefix},{b64encode(self.data).decode()}"


class PromptCall(Value, frozen=True):
    """A prompt of the server's that a client of ours names. Decoders give it, no encoder sends it.

    ``id``: "" where the model's name says which. ``version``: "" for whatever there is. ``variables``: JSON, with
    ``WireMedia``, ``WireLink`` and ``PastedDataUri`` in place of what the wire has for media, also in lists.
    """

    id: str = ""
    version: str = ""
    variables: dict[str, Any] = field(default_factory=dict)


class ChatCall(Value, frozen=True):
    """One chat completion. ``model`` is the name the host knows (``Endpoint.served_as``).

    ``candidates`` asks for that many of the likeliest next words with their probabilities, 0 for none.
    ``grammar`` in llama.cpp's GBNF binds the answer; hosts that do not know it are not sent it.
    ``context`` is how many tokens the host is to make room for, ``cache`` what it is to keep, where its wire can say
    so. ``settings``: what else a client set; a wire says what it has words for, and leaves out the rest.
    ``prompt``: what goes before the messages, by the name that a server of ours has for it.
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

    ``media_type`` is what ``data`` is ("audio/wav"); ``language`` ISO 639-1, "" lets the ear find out;
    ``prompt`` words that may occur. ``into``: the language that the words are written in whatever is spoken, "" for its
    own.
    """

    model: str
    data: bytes
    media_type: str = "audio/wav"
    language: str = ""
    prompt: str = ""
    into: str = ""


class EmbeddingCall(Value, frozen=True):
    """Vectors for some texts; with ``media``, one vector for those and the texts together.

    ``dimensions`` None leaves the model's own.
    """

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    media: tuple[WireMedia, ...] = ()


class SpeechCall(Value, frozen=True):
    """Text to be spoken. ``voice`` "" is the host's usual one."""

    model: str
    text: str
    voice: str = ""
    format: AudioFormat = "wav"


class ImageCall(Value, frozen=True):
    """Pictures to be made, or made of others.

    Attributes:
        images: pictures to start from; () makes new ones. ``mask``: a PNG, transparent where the first may change; for
            a model that draws here, and a server of stable-diffusion.cpp, white there.
        size: width and height in pixels, None the host's usual one.
        count: how many. seed, steps, guidance, sampler, strength: of a diffusion model, where the host has them.
        negative: what must not be on them, in words. quality: "" the host's usual one.
        format: of the file that comes back; "" the host's usual one.
        writes: the model also writes, and answers with words beside a picture.
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


class EncodedRequest(Value, frozen=True):
    """A request in bytes.

    Attributes:
        path: appended to the host's ``base_url`` (which ends in its version: ``…/v1``).
        headers: lower-case names; never a key.
        segments: the body in order; media are segments of their own, so that nothing joins them.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    segments: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Length of the body in bytes."""
        return sum(map(len, self.segments))


# ---- what comes back ---------------------------------------------------------------------------


class WireTextDelta(Value, frozen=True, tag_field="wire_event", tag="text"):
    text: str


class SpeechDelta(Value, frozen=True, tag_field="wire_event", tag="speech"):
    """A piece of a spoken answer: bytes of the format that was asked for."""

    data: bytes


class TokenLogprobs(Value, frozen=True, tag_field="wire_event", tag="candidates"):
    """The likeliest next words at one place of the answer, each with its natural logarithm of probability."""

    words: tuple[tuple[str, float], ...]


class ReasoningDelta(Value, frozen=True, tag_field="wire_event", tag="reasoning"):
    """A piece of thinking. A ``signature`` ends the stretch of thinking that it vouches for. ``summary``: it is told in
    short, as some hosts tell all of it."""

    text: str
    signature: str = ""
    summary: bool = False


class OpaqueBlock(Value, frozen=True, tag_field="wire_event", tag="opaque"):
    """A block that only the same wire understands, as it came: ``content.Opaque`` on its way."""

    wire: str
    body: str


class RefusalDelta(Value, frozen=True, tag_field="wire_event", tag="refusal"):
    """The model's own words for why it will not answer."""

    text: str


class ToolCallDelta(Value, frozen=True, tag_field="wire_event", tag="tool_call"):
    """A piece of a tool call; ``id`` and ``name`` come with the first piece of each ``index``.

    ``signature``: Google's, for clients that have a place for it; hosts say it in a block before the call.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str = ""


class WireUsage(Value, frozen=True, tag_field="wire_event", tag="usage"):
    """What the host says it counted; None where it said nothing.

    ``input_by_modality`` are pairs such as ("image", 1105); ``cached_tokens`` (read from a cache, by what they are in
    ``cached_by_modality``) and ``cache_write_tokens`` (put into it, ``cache_write_1h_tokens`` of them for an hour) are
    part of ``input_tokens``; ``reasoning_tokens``, ``audio_tokens`` (speech made) and ``image_tokens`` (pictures made)
    part of ``output_tokens``; ``seconds`` of audio billed. ``tier`` is the host's word for how it served the call
    ("flex", "priority", "batch"), "" where it said none. ``about`` is what a server of ours tells its clients beside
    the counts; no host sends it.
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


class Finish(Value, frozen=True, tag_field="wire_event", tag="finish"):
    """The proper end; always the last event. ``reason`` in OpenTelemetry GenAI's words."""

    reason: str


class Error(Value, frozen=True, tag_field="wire_event", tag="error"):
    """The end that was not proper; always the last event."""

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


class Transcription(Value, frozen=True):
    """The reply to a :class:`TranscriptionCall`."""

    transcript: Transcript
    usage: WireUsage = WireUsage()


class Embeddings(Value, frozen=True):
    """The reply to an :class:`EmbeddingCall`: one vector per text, in its order, all of one length."""

    vectors: tuple[tuple[float, ...], ...]
    usage: WireUsage = WireUsage()


class GeneratedImages(Value, frozen=True):
    """The reply to a :class:`ImageCall`. ``prompts``: what the host made of the prompt, "" where it says nothing."""

    images: tuple[WireImage, ...]
    prompts: tuple[str, ...] = ()
    usage: WireUsage = WireUsage()
