"""Plans written by hand, and fakes of what a run touches.

Hosts are real HTTP servers (``intermodal.testing.FakeHost``); the media worker and the embedded
runtimes are fakes that say what they are told to: what they do is tested with the real ones elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from intermodal.catalog.types import FREE, Catalog, Endpoint, Host, Model, Task
from intermodal.core.content import BytesSource, File, Part, ReadLine, Segment, Text, Transcript
from intermodal.core.quantity import between, exact
from intermodal.core.request import Message, Output, Policy, Request, Sampling, TextOutput
from intermodal.events import Event, Result, TextDelta, fold
from intermodal.executor.attempt.step_caller import PriorAttempt
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.run import run
from intermodal.local.embedded.results import ChatServer, EmbeddingResult, OcrResult, SpeechResult, SynthesisResult
from intermodal.media.worker_results import Barcode, EncodedImage, Pcm, SubtitleLine
from intermodal.plans.facts import Facts, PageFacts, PartFacts
from intermodal.plans.plan import Candidate, Plan
from intermodal.plans.step import Call, Check, Step, StepEstimate, Transform
from intermodal.store.conversion_cache import ConversionCache
from intermodal.store.database import Store
from intermodal.testing import FakeHost
from intermodal.transport.client import Transport

V = TypeVar("V", bound=msgspec.Struct)
WORDS = "ask not what your country can do for you"
PRICED = StepEstimate(
    input_tokens=between(5, 20, 200, "t"),
    output_tokens=between(1, 10, 64, "t"),
    cost=between(0, 0.0001, 0.001, "t"),
    seconds=between(0.1, 1, 5, "t"),
)
HERE = StepEstimate(output_tokens=between(1, 10, 64, "t"), seconds=between(0.1, 1, 5, "t"))


# ---- fakes ------------------------------------------------------------------------------------


@dataclass
class Still:
    """A frame of a video."""

    data: bytes
    at: float
    until: float
    width: int = 100
    height: int = 50
    media_type: str = "image/png"
    number: int = 0
    scenes: int = 0


class FakeMedia:
    """Says pages and pixels; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.page = "text of page {}"
        self.moments: tuple[float, ...] = (0.0, 4.0, 8.0)
        self.captions: tuple[SubtitleLine, ...] = ()
        self.codes_of: dict[bytes, tuple[Barcode, ...]] = {}
        self.wait: Callable[[], Any] | None = None
        self.trimmed = 0

    async def pcm(self, data: bytes, *, name: str = "", progress: Any = None) -> Pcm:
        self.asked.append("pcm")
        await self._busy(progress)
        return Pcm(samples=b"\0\0" * 16, seconds=11.0)

    async def channel_pcm(self, data: bytes, *, name: str = "", progress: Any = None) -> tuple[Pcm, Pcm]:
        self.asked.append("channel_pcm")
        await self._busy(progress)
        return Pcm(samples=b"0", seconds=11.0), Pcm(samples=b"1", seconds=11.0)

    async def subtitles(self, data: bytes, track: int, *, name: str = "") -> tuple[SubtitleLine, ...]:
        self.asked.append(f"subtitles {track}")
        return self.captions

    async def page_text(
        self, data: bytes, pages: tuple[int, ...], *, name: str = "", progress: Any = None
    ) -> tuple[str, ...]:
        self.asked.append("page_text")
        return tuple(self.page.format(page) for page in pages)

    async def page_images(
        self, data: bytes, pages: tuple[int, ...], dpi: float, *, name: str = "", progress: Any = None, crops: Any = ()
    ) -> tuple[EncodedImage, ...]:
        self.asked.append("page_images")
        return tuple(EncodedImage(data=b"page %d" % page, width=1000, height=1000) for page in pages)

    async def codes(self, data: bytes, *, name: str = "") -> tuple[Barcode, ...]:
        return self.codes_of.get(data, ())

    async def picture(
        self, data: bytes, *, max_side: int | None = None, min_side: int | None = None, name: str = ""
    ) -> EncodedImage:
        self.asked.append("picture" if min_side is None else f"picture of {min_side}")
        return EncodedImage(data=b"png of " + data, width=100, height=50)

    async def mask(self, data: bytes, *, transparent: bool = False, name: str = "") -> EncodedImage:
        self.asked.append("mask, transparent" if transparent else "mask, white")
        return EncodedImage(data=b"mask of " + data, width=100, height=50)

    async def frames(
        self, data: bytes, *, spread: str, most: int, max_side: int | None = None, name: str = "", progress: Any = None
    ) -> tuple[Still, ...]:
        self.asked.append(f"frames {spread} {most} {max_side}")
        await self._busy(progress)
        if name.endswith(".tiff"):
            return tuple(Still(data=b"page %d" % page, at=0, until=0, number=page) for page in (1, 2))
        there = len(self.moments)
        return tuple(Still(data=b"frame at %d" % at, at=at, until=at + 4, scenes=there) for at in self.moments[:most])

    async def trim(self) -> None:
        self.trimmed += 1

    async def _busy(self, progress: Any) -> None:
        for tenth in range(10):
            if self.wait is not None:
                await self.wait()
            if progress is not None:
                progress(tenth / 10, "")


def ending(text: str) -> str:
    """A prompt whose blocks of data end at "END", whatever word that is in truth."""
    words = set(re.findall(r":\n---([a-z]+)\n", text))
    assert len(words) == 1, words
    return text.replace(words.pop(), "END")


class FakeRuntimes:
    """An ear, an eye and a vector that answer by script. ``wait`` is awaited before each answer."""

    def __init__(self, transcript: str = WORDS, chat_url: str = "") -> None:
        self.calls: list[str] = []
        self.told: list[str] = []  # the language of each recording, "" to find it out
        self.running = 0
        self.most_running = 0
        self.transcript = transcript
        self.heard: Transcript | None = None
        self.channels: dict[bytes, Transcript] = {}  # what is heard of each channel
        self.lines: dict[str, str] = {}
        self.confidence = 0.9
        self.vectors: dict[str, tuple[float, ...]] = {}
        self.url = chat_url
        self.wait: Callable[[], Any] | None = None
        self.error: list[Exception] = []

    async def _work(self, what: str) -> None:
        import anyio

        self.calls.append(what)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await (self.wait() if self.wait is not None else anyio.sleep(0))
        finally:
            self.running -= 1
        if self.error:
            raise self.error.pop(0)

    async def chat_url(self, endpoint: Endpoint) -> ChatServer:
        await self._work("chat_url")
        return ChatServer(base_url=self.url, load_seconds=0.25)

    async def transcribe(
        self, endpoint: Endpoint, pcm: bytes, *, language: str = "", into: str = "", progress: Any = None
    ) -> SpeechResult:
        self.told.append(language)
        await self._work(f"transcribe {endpoint.id}")
        if progress is not None:
            progress(0.5, "")
        if self.channels:
            return SpeechResult(transcript=self.channels[pcm], seconds=1.0)
        if self.heard is not None:
            return SpeechResult(transcript=self.heard, seconds=1.0)
        segments = (Segment(start=0, end=11, text=f" {self.transcript}"),) if self.transcript else ()
        heard = Transcript(language="en" if self.transcript else "", seconds=11.0, segments=segments)
        return SpeechResult(transcript=heard, seconds=1.0, load_seconds=0.5, peak_memory=1000)

    async def recognize_text(self, endpoint: Endpoint, png: bytes) -> OcrResult:
        await self._work(f"read {png.decode()}")
        text = self.lines.get(png.decode(), f"read from {png.decode()}")
        lines = tuple(ReadLine(text=line, confidence=self.confidence) for line in text.splitlines())
        return OcrResult(lines=lines, seconds=1.0)

    async def unload(self, endpoint_id: str, *, idle: bool = False) -> None:
        self.calls.append(f"unload {endpoint_id}{' if idle' if idle else ''}")

    async def embed(self, endpoint: Endpoint, text: str, *, query: bool = True) -> EmbeddingResult:
        await self._work(f"embed {text}")
        return EmbeddingResult(vector=self.vectors.get(text, (0.6, 0.8)), tokens=3, seconds=0.01)

    async def speak(self, endpoint: Endpoint, lines: tuple[str, ...], *, progress: Any = None) -> SynthesisResult:
        """A tenth of a second a word, at 1,000 samples a second; nothing for a line that begins with "(silent)"."""
        for place, line in enumerate(lines):
            await self._work(f"speak {line}")
            if progress is not None:
                progress((place + 1) / len(lines), line)
        silent = tuple(line for line in lines if line.startswith("(silent)"))
        words = sum(len(line.split()) for line in lines if line not in silent)
        return SynthesisResult(pcm=b"\1\0" * 100 * words, rate=1000, silent=silent, seconds=0.1, load_seconds=0.5)


@dataclass
class FakeOpened:
    facts: Facts
    bodies: tuple[bytes, ...]

    def data(self, index: int) -> bytes:
        return self.bodies[index]

    def text(self, index: int) -> str:
        return self.bodies[index].decode()


def local(name: str, protocol: Any) -> Endpoint:
    """An endpoint in this process."""
    return Endpoint(
        id=f"embedded:{name}",
        model=Model(id=name),
        host=Host(id="embedded", protocol=protocol, zone="process"),
        price=FREE,
    )


EAR = local("ear", "whisper")
EYE = local("eye", "ocr")
VECTOR = local("vector", "e5")
VOICE = local("voice", "piper")


# ---- a request with its files -----------------------------------------------------------------

_FILES: dict[str, dict[str, Any]] = {
    "wav": {"kind": "audio", "media_type": "audio/wav", "seconds": exact(11.0), "sample_rate": 16000, "channels": 1},
    "mp4": {
        "kind": "video",
        "media_type": "video/mp4",
        "seconds": exact(11.0),
        "width": 640,
        "height": 360,
        "frames": 275,
        "fps": 25.0,
        "channels": 1,
        "sample_rate": 16000,
    },
    "gif": {"kind": "image", "media_type": "image/gif", "width": 100, "height": 50, "frames": 20},
    "tiff": {"kind": "image", "media_type": "image/tiff", "width": 100, "height": 50, "frames": 2},
    "png": {"kind": "image", "media_type": "image/png", "width": 100, "height": 50},
    "pdf": {
        "kind": "document",
        "media_type": "application/pdf",
        "pages": tuple(PageFacts(number=number, width=612, height=792) for number in (1, 2, 3)),
    },
    "txt": {"kind": "text", "media_type": "text/plain"},
}


def asked(
    prompt: str,
    *names: str,
    output: Output | None = None,
    policy: Policy | None = None,
    sampling: Sampling | None = None,
) -> tuple[Request, FakeOpened]:
    """A request of a prompt and files by name; a file's bytes are its name."""
    parts: list[Part] = [Text(text=prompt)]
    parts += [File(source=BytesSource(data=name.encode(), name=name)) for name in names]
    request = Request(
        messages=(Message(role="user", parts=tuple(parts)),),
        output=output or TextOutput(),
        policy=policy or Policy(),
        sampling=sampling or Sampling(),
    )
    facts = [PartFacts(index=0, name="prompt", kind="text", chars=len(prompt))]
    for index, name in enumerate(names, 1):
        digest = hashlib.sha256(name.encode()).hexdigest()
        facts.append(PartFacts(index=index, name=name, digest=digest, **_FILES[name.rpartition(".")[2]]))
    return request, FakeOpened(Facts(parts=tuple(facts)), (prompt.encode(), *(name.encode() for name in names)))


# ---- steps and plans --------------------------------------------------------------------------


def hear(part: int = 1, endpoint: Endpoint = EAR, estimate: StepEstimate = HERE, source: str = "") -> Call:
    task: Task = "automatic-speech-recognition"
    return Call(
        id=f"hear{part}{endpoint.id[-1]}", op="transcribe", task=task, endpoint=endpoint.id,
        inputs=(source or f"part:{part}",),
        part=part, title="Transcribe", estimate=estimate,
    )  # fmt: skip


def look(part: int = 1, source: str = "") -> Call:
    return Call(
        id=f"look{part}", op="read", task="image-to-text", endpoint=EYE.id, inputs=(source or f"part:{part}",),
        part=part, title="Read", estimate=HERE,
    )  # fmt: skip


def see(endpoint: Endpoint, part: int = 1, source: str = "", estimate: StepEstimate = PRICED) -> Call:
    return Call(
        id=f"see{part}", op="describe", task="image-text-to-text", endpoint=endpoint.id,
        inputs=(source or f"part:{part}",), part=part, title="Describe",
        params=(("question", "0a1b2c3d"), ("max_tokens", "160")), estimate=estimate,
    )  # fmt: skip


def cut(part: int = 1, *params: tuple[str, str]) -> Transform:
    spread = params or (("frames", "scenes"), ("most", "12"), ("max_side", "768"))
    return Transform(
        id=f"frames{part}", op="frames", inputs=(f"part:{part}",), part=part, title="frames", params=spread
    )  # fmt: skip


def demux(part: int = 1) -> Transform:
    return Transform(id=f"demux{part}", op="demux", inputs=(f"part:{part}",), part=part, title="sound")


def captions(*params: tuple[str, str], part: int = 1) -> Transform:
    return Transform(
        id=f"captions{part}", op="subtitles", inputs=(f"part:{part}",), part=part, title="subtitles",
        params=(("track", "2"), *params),
    )  # fmt: skip


def checked(op: Any, step: str, part: int = 1) -> Check:
    return Check(id=f"{op} {step}", op=op, inputs=(f"step:{step}",), part=part, note="another ear")


def pages(op: Any, numbers: str, part: int = 1) -> Transform:
    resolution = (("dpi", "150"),) if op == "render" else ()
    return Transform(
        id=f"{op}{part}", op=op, inputs=(f"part:{part}",), part=part, title=op, params=(("pages", numbers), *resolution)
    )


def say(endpoint: Endpoint, *inputs: str, estimate: StepEstimate = PRICED, **fields: Any) -> Call:
    values: dict[str, Any] = {"op": "generate", "task": "text-generation", "title": "Generate", **fields}
    return Call(id=f"say {endpoint.id}", endpoint=endpoint.id, inputs=("part:0", *inputs), estimate=estimate, **values)


def route(*steps: Step) -> Candidate:
    last = [step for step in steps if isinstance(step, Call)][-1]
    return Candidate(
        id=last.endpoint, steps=steps, endpoint=last.endpoint, total=StepEstimate(), score=0.0, tier="medium"
    )


def plan(chosen: Candidate, *fallbacks: Candidate) -> Plan:
    return Plan(id="p", headline="", policy_line="", objective="default", chosen=chosen, fallbacks=fallbacks)


# ---- running ----------------------------------------------------------------------------------


@dataclass
class Bench:
    """A world in a folder, and what happened in it."""

    folder: Path
    endpoints: tuple[Endpoint, ...] = ()
    media: FakeMedia = field(default_factory=FakeMedia)
    runtimes: FakeRuntimes = field(default_factory=FakeRuntimes)
    events: list[Event] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store(self.folder / "store.sqlite3")

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def dependencies(self, transport: Transport) -> Dependencies:
        catalog = Catalog(endpoints=(EAR, EYE, VECTOR, VOICE, *self.endpoints))
        values: dict[str, Any] = {
            "catalog": catalog,
            "media": self.media,
            "runtimes": self.runtimes,
            "store": self.store,
            "derived": ConversionCache(self.folder / "derived"),
            "transport": transport,
            "sleep": self._sleep,
            "jitter": lambda: 0.5,
        }
        return Dependencies(**{**values, **self.options})

    async def run(self, plan: Plan, request: Request, opened: FakeOpened, prior: PriorAttempt | None = None) -> Result:
        """Run to the end; ``events`` has what was said even when it raises."""
        self.events = []
        transport = Transport()
        try:
            async with aclosing(run(plan, request, opened, self.dependencies(transport), prior)) as events:
                async for event in events:
                    self.events.append(event)
        finally:
            await transport.aclose()
        return fold(self.events)

    def states(self) -> list[str]:
        """States of the attempts, oldest first."""
        return [row.state for row in reversed(self.store.attempts(10_000))]

    @property
    def shown(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))


def rename(value: V, **fields: Any) -> V:
    """A value with other fields."""
    return msgspec.structs.replace(value, **fields)


async def until(happened: Callable[[], object]) -> None:
    """Wait for something that others do. How long that takes is none of a test's business, but it has to happen."""
    import anyio

    with anyio.fail_after(300):
        while not happened():
            await anyio.sleep(0.002)


def kinds(events: Iterable[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def using(bench: Bench, host: FakeHost, *models: str, **fields: object) -> list[Endpoint]:
    bench.endpoints = tuple(host.endpoint(model) for model in models or ("fake/model",))
    bench.endpoints = tuple(rename(endpoint, **fields) for endpoint in bench.endpoints)
    return list(bench.endpoints)
