"""The dependencies of a run: catalog, media, runtimes, store, network, keys and clock. Tests pass fakes."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from intermodal.executor.attempt.circuit_breaker import EndpointHealth

if TYPE_CHECKING:
    from intermodal.catalog.rate_cards import RateCard
    from intermodal.catalog.types import Catalog, Endpoint, Host
    from intermodal.core.content import ReadLine, Transcript
    from intermodal.core.request import Request
    from intermodal.files.file_bytes import Data
    from intermodal.local.embedded.results import ContrastiveResult, EncoderResult, ImagePreview, ImageResult
    from intermodal.plans.facts import Box, Facts
    from intermodal.plans.plan import Plan
    from intermodal.store.conversion_cache import ConversionCache
    from intermodal.store.database import Store
    from intermodal.transport.client import Transport
    from intermodal.transport.timeouts import Timeouts

Progress = Callable[[float | None, str], None]


class ImageLike(Protocol):
    """The interface of ``media.worker_results.EncodedImage``."""

    @property
    def data(self) -> bytes: ...
    @property
    def media_type(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


class FrameLike(ImageLike, Protocol):
    """The interface of ``media.worker_results.VideoFrame``: a frame, on screen from ``at`` to ``until`` seconds.

    ``number``: the page number if there are pages and no times, else 0. ``scenes``: number of scenes of the video, 0 if
    they were not detected.
    """

    @property
    def number(self) -> int: ...

    @property
    def at(self) -> float: ...
    @property
    def until(self) -> float: ...
    @property
    def scenes(self) -> int: ...


class PcmLike(Protocol):
    """The interface of ``media.worker_results.Pcm``: signed 16-bit samples, 16 kHz, mono."""

    @property
    def samples(self) -> Data: ...
    @property
    def seconds(self) -> float: ...


class MediaWorkerLike(Protocol):
    """The part of ``media.worker_client.MediaWorker`` that a run uses."""

    async def pcm(self, data: Data, *, name: str = "", progress: Progress | None = None) -> PcmLike: ...
    async def channel_pcm(
        self, data: Data, *, name: str = "", progress: Progress | None = None
    ) -> tuple[PcmLike, PcmLike]:
        """Decode both channels of a recording, in one pass."""
        ...

    async def subtitles(self, data: Data, track: int, *, name: str = "") -> tuple[SubtitleLineLike, ...]: ...
    async def page_text(
        self, data: Data, pages: tuple[int, ...], *, name: str = "", progress: Progress | None = None
    ) -> tuple[str, ...]: ...
    async def page_images(
        self,
        data: Data,
        pages: tuple[int, ...],
        dpi: int,
        *,
        name: str = "",
        progress: Progress | None = None,
        crops: tuple[Box, ...] = (),
    ) -> tuple[ImageLike, ...]: ...
    async def codes(self, data: bytes, *, name: str = "") -> tuple[CodeLike, ...]: ...
    async def picture(
        self, data: Data, *, max_side: int | None = None, min_side: int | None = None, name: str = ""
    ) -> ImageLike: ...
    async def mask(self, data: Data, *, transparent: bool = False, name: str = "") -> ImageLike: ...
    async def frames(
        self,
        data: Data,
        *,
        spread: str,
        most: int,
        max_side: int | None = None,
        name: str = "",
        progress: Progress | None = None,
    ) -> tuple[FrameLike, ...]:
        """Return at most ``most`` frames in order of time. ``spread``: "scenes" or a rate ("0.5 fps")."""
        ...

    async def trim(self) -> None:
        """End the workers that were started for concurrent conversions: no conversion is left."""
        ...


class CodeLike(Protocol):
    """The interface of ``media.worker_results.Barcode``."""

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def box(self) -> Box: ...


class SubtitleLineLike(Protocol):
    """The interface of ``media.worker_results.SubtitleLine``."""

    @property
    def at(self) -> float: ...
    @property
    def until(self) -> float: ...
    @property
    def text(self) -> str: ...


class ServerLike(Protocol):
    @property
    def base_url(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def load_seconds(self) -> float: ...
    @property
    def marks(self) -> tuple[str, ...]: ...


class TranscriptionLike(Protocol):
    @property
    def transcript(self) -> Transcript: ...
    @property
    def load_seconds(self) -> float: ...
    @property
    def peak_memory(self) -> int: ...


class ReadingLike(Protocol):
    @property
    def lines(self) -> tuple[ReadLine, ...]: ...
    @property
    def load_seconds(self) -> float: ...
    @property
    def peak_memory(self) -> int: ...


class SpeechLike(Protocol):
    @property
    def pcm(self) -> bytes: ...
    @property
    def rate(self) -> int: ...
    @property
    def silent(self) -> tuple[str, ...]: ...
    @property
    def load_seconds(self) -> float: ...
    @property
    def peak_memory(self) -> int: ...


class EmbeddingLike(Protocol):
    @property
    def vector(self) -> tuple[float, ...]: ...
    @property
    def tokens(self) -> int: ...
    @property
    def load_seconds(self) -> float: ...
    @property
    def peak_memory(self) -> int: ...


class LocalRuntimesLike(Protocol):
    """The part of ``local.servers.client_runtimes.ClientRuntimes`` that a run uses."""

    async def chat_url(self, endpoint: Endpoint) -> ServerLike: ...
    async def serving(self, endpoint: Endpoint) -> ServerLike: ...
    async def transcribe(
        self, endpoint: Endpoint, pcm: Data, *, language: str = "", into: str = "", progress: Progress | None = None
    ) -> TranscriptionLike: ...
    async def recognize_text(
        self, endpoint: Endpoint, png: bytes, *, script: str = "", language: str = ""
    ) -> ReadingLike: ...
    async def embed(self, endpoint: Endpoint, text: str, *, query: bool = True) -> EmbeddingLike: ...
    async def embed_image(self, endpoint: Endpoint, png: bytes) -> ContrastiveResult: ...
    async def classify(self, endpoint: Endpoint, text: str) -> EncoderResult: ...
    async def rank(self, endpoint: Endpoint, query: str, texts: tuple[str, ...]) -> EncoderResult: ...
    async def score_entailment(
        self, endpoint: Endpoint, text: str, sentences: tuple[str, ...], *, independent: bool = False
    ) -> EncoderResult: ...
    async def fill(self, endpoint: Endpoint, text: str, words: tuple[str, ...] = ()) -> EncoderResult: ...
    async def embed_texts_contrastive(self, endpoint: Endpoint, texts: tuple[str, ...]) -> ContrastiveResult: ...
    async def draw(
        self, endpoint: Endpoint, settings: Mapping[str, Any], picture: bytes, mask: bytes, *,
        progress: Progress | None = None, sketched: Callable[[ImagePreview], None] | None = None,
    ) -> ImageResult: ...  # fmt: skip
    async def speak(
        self, endpoint: Endpoint, lines: tuple[str, ...], *, progress: Progress | None = None
    ) -> SpeechLike: ...
    async def unload(self, endpoint_id: str, *, idle: bool = False) -> None: ...


class OpenedMediaLike(Protocol):
    """The part of ``media.request_media.OpenedRequest`` that a run uses."""

    @property
    def facts(self) -> Facts: ...
    def data(self, index: int) -> Data: ...
    def text(self, index: int) -> str: ...


def _no_tariff(endpoint: Endpoint) -> tuple[RateCard, ...]:
    return ()


def _utc() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="minutes")[:16]


def no_token_count(tokenizer: str, text: str) -> int | None:
    return None


@dataclass(frozen=True)
class Dependencies:
    """The services and settings of a run.

    Attributes:
        find_key: returns the API key of a host; None if it has none.
        count: counts the tokens of a text by tokenizer name; None if that vocabulary is not available.
        plan_again: plans the same request with the remaining budget and time, and with finished conversions among the
            facts (``PartFacts.outcomes``). If None, the run keeps to its plan. Raises NoRoute.
        tariff: returns a host's dated prices of an endpoint, which settle bills; () settles with the endpoint's own.
        moment: returns the current date and time in UTC, as in 2026-11-25T09:30.
        pay_twice: another endpoint may be called after a request that may have to be paid for.
        resends: maximum resends to one endpoint; None for as many as the error allows.
        upstreams: circuit breakers, retry budgets and learned limits of earlier calls.
        timeouts: of every attempt; None for the defaults.
        keep_loaded: embedded conversion models stay in memory after their last step, for another run.
        live: the answer is read while it is generated; otherwise a short answer is requested unstreamed.
        readers: version of the text recognition on this machine (``local/embedded/tesseract.py``): more may be
            readable after it changes.
        sums: returns the checksum of weights by name, "" for others.
        clock: monotonic seconds. sleep: waits. jitter: draws from [0, 1).
    """

    catalog: Catalog
    media: MediaWorkerLike
    runtimes: LocalRuntimesLike
    store: Store
    derived: ConversionCache
    transport: Transport
    find_key: Callable[[Host], str | None] = lambda host: None
    count: Callable[[str, str], int | None] = no_token_count
    plan_again: Callable[[Request, Facts], Plan] | None = None
    tariff: Callable[[Endpoint], tuple[RateCard, ...]] = _no_tariff
    moment: Callable[[], str] = _utc
    pay_twice: bool = True
    resends: int | None = None
    upstreams: EndpointHealth = field(default_factory=EndpointHealth)
    timeouts: Timeouts | None = None
    keep_loaded: bool = True
    live: bool = True
    readers: Callable[[], str] = str
    sums: Callable[[str], str] = lambda name: ""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] | None = None
    jitter: Callable[[], float] = field(default=random.random)
