"""The embedded runtimes: one child process per endpoint, started on demand and restarted after a crash.

A table maps the protocol of an endpoint's host to its child. Loading is a separate call, so that it is timed separately
from the work and a cold start does not distort statistics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from intermodal.catalog.model_folders import is_model_folder
from intermodal.catalog.plugin_rows import runtime_plugins
from intermodal.concurrency.worker_process import WorkerProcess, WorkerReply
from intermodal.core.content import Segment, Transcript, Value
from intermodal.errors import NotInstalled, RuntimeCrashed
from intermodal.files.file_bytes import Data
from intermodal.local.embedded import tesseract
from intermodal.local.embedded.availability import install_command
from intermodal.local.embedded.ocr_layout import in_reading_order, line_from_corners, without_doubted_letters
from intermodal.local.embedded.piper import PiperVoice
from intermodal.local.embedded.results import (
    ChatServer,
    ContrastiveResult,
    EmbeddingResult,
    EncoderResult,
    ImagePreview,
    ImageResult,
    OcrResult,
    SpeechResult,
    SynthesisResult,
)
from intermodal.local.embedded.tesseract import pulled_languages
from intermodal.local.hardware.machine import cores, thread_wait_policy
from intermodal.plans.cpu_schedule import threads

if TYPE_CHECKING:
    import anyio

    from intermodal.catalog.types import Endpoint
    from intermodal.local.weights.store import WeightsStore

Progress = Callable[[float | None, str], None]
DEFAULT_CONTEXT: Final = 2048


class ChildSpec(Value):
    """How a protocol's child is started.

    ``env`` is set for this child only; ``context`` passes the context length to reserve; ``projector`` passes the image
    or audio projector. Without a ``module`` the runtime is an external program, driven by ``_PROGRAMS``.
    """

    module: str = ""
    env: dict[str, str] = msgspec.field(default_factory=dict)
    context: bool = False
    projector: bool = False


# How threads wait for each other depends on the machine (``thread_wait_policy``); e5 gains nothing from spinning.
_CHILDREN: Final[dict[str, ChildSpec]] = {
    "llama": ChildSpec(module="intermodal.local.embedded.llama", context=True, projector=True),
    # One heap for all threads, so that they reuse each other's blocks: the peak for 200 s of speech is 469 MiB instead
    # of 568.
    "whisper": ChildSpec(module="intermodal.local.embedded.whisper", env={"MALLOC_ARENA_MAX": "1"}),
    # One heap that keeps what is freed until an image is read: a page's tensors are 3 GB one after the other, and the
    # kernel clears each byte that it gives anew. A scan takes 3.6 s of the processor instead of 6.7.
    "ocr": ChildSpec(
        module="intermodal.local.embedded.ocr",
        env={"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 30)},
    ),
    "e5": ChildSpec(module="intermodal.local.embedded.e5", env={"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}),
    "contrastive": ChildSpec(module="intermodal.local.embedded.contrastive"),
    "encoder": ChildSpec(module="intermodal.local.embedded.encoder"),
    # Of its many small steps each waits for all threads: beside other programs spinning takes 7 to 11 times as long.
    "diffusion": ChildSpec(
        module="intermodal.local.embedded.diffusion", env={"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    ),
    "piper": ChildSpec(),
}
_PLUGIN: Final = ChildSpec(module="intermodal.local.embedded.plugin_runtime")
_PROGRAMS: Final[dict[str, type[PiperVoice]]] = {"piper": PiperVoice}
_OFFLINE: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
# Environment variables that a child inherits: they locate Python and its libraries, and contain no keys.
_INHERIT: Final = (
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", tesseract.PLACE, tesseract.DATA,
)  # fmt: skip


def start_child(module: str, protocol: str, name: str) -> WorkerProcess:
    """Return a worker for a child module, with the environment of a protocol. The process starts on the first call."""
    env = {
        **_OFFLINE,
        "OMP_NUM_THREADS": str(threads(protocol, cores())),
        **thread_wait_policy(),
        **_CHILDREN.get(protocol, _PLUGIN).env,
    }
    return WorkerProcess(module, env=env, name=name, inherit=_INHERIT)


async def check_plugin_runtime(protocol: str) -> None:
    """Import a plugin's runtime in a child process. Raises RuntimeCrashed if it fails."""
    async with start_child(_PLUGIN.module, protocol, protocol) as worker:
        await worker.call("check", {"runtime": protocol})


class EmbeddedRuntimes:
    """All embedded runtimes of one client. Cancelling a call kills its child; the next call starts another.

    Every method raises ``NotInstalled`` if the package or the weights are missing (with the command that fetches
    them) and ``RuntimeCrashed`` if the child died.
    """

    def __init__(self, weights: WeightsStore) -> None:
        self._weights = weights
        self._slots: dict[str, _Slot] = {}

    async def chat_url(self, endpoint: Endpoint) -> ChatServer:
        """Return a chat server for the endpoint, starting it if needed."""
        slot = self._slot(endpoint)
        if slot.is_running:
            with suppress(RuntimeCrashed):  # it died between two calls; it is restarted below
                await slot.worker.call("ping", {})
        reply, load_seconds = await slot.load_if_needed()
        return ChatServer(
            base_url=reply["base_url"], key=reply["key"], load_seconds=load_seconds, marks=tuple(reply["marks"])
        )

    async def transcribe(
        self, endpoint: Endpoint, pcm: Data, *, language: str = "", into: str = "", progress: Progress | None = None
    ) -> SpeechResult:
        """Transcribe signed 16-bit 16 kHz mono samples.

        ``language`` is ISO 639-1, "" to detect it. ``into``: the language of the transcript, "" for the spoken one.
        Recordings without speech give an empty transcript. ``progress`` receives the transcribed fraction and the last
        words.
        """
        reply, load_seconds = await self._call_worker(
            endpoint, "transcribe", {"pcm": pcm, "language": language, "translate": bool(into)}, progress=progress
        )
        value = reply.value
        transcript = Transcript(
            language=value["language"],
            confidence=value["confidence"],
            certainty=value.get("certainty", 0.0),
            seconds=value["seconds"],
            segments=tuple(
                Segment(start=start, end=end, text=text, certainty=certainty)
                for start, end, text, certainty in value["segments"]
            ),
            unheard=value.get("unheard", 0.0),
            masked=value.get("masked", 0.0),
            into=into,
        )
        return SpeechResult(
            transcript=transcript, seconds=reply.seconds, load_seconds=load_seconds, peak_memory=reply.peak_memory
        )

    async def recognize_text(
        self, endpoint: Endpoint, png: bytes, *, script: str = "", language: str = ""
    ) -> OcrResult:
        """Read the lines of text in an image, in reading order (``ocr_layout.py``).

        ``script``: script of the text, if known and not supported by the embedded OCR. ``language``: language of the
        words, ISO 639-1, if stated; it selects among readers for the same script.
        """
        given = {"png": png, "languages": pulled_languages(self._weights), "script": script, "language": language}
        reply, load_seconds = await self._call_worker(endpoint, "read", given)
        lines = tuple(
            line_from_corners(text, confidence, corners, unread=unread, cell=tuple(cell))
            for text, confidence, corners, unread, cell in reply.value["lines"]
        )
        return OcrResult(
            lines=in_reading_order(without_doubted_letters(lines)),
            seconds=reply.seconds,
            load_seconds=load_seconds,
            peak_memory=reply.peak_memory,
        )

    async def embed(self, endpoint: Endpoint, text: str, *, query: bool = True) -> EmbeddingResult:
        """Return the embedding of a text. ``query``: False for a passage that is searched."""
        reply, load_seconds = await self._call_worker(endpoint, "embed", {"text": text, "query": query})
        return EmbeddingResult(
            vector=tuple(reply.value["vector"]),
            tokens=reply.value["tokens"],
            seconds=reply.seconds,
            load_seconds=load_seconds,
            peak_memory=reply.peak_memory,
        )

    async def embed_image(self, endpoint: Endpoint, png: bytes) -> ContrastiveResult:
        """Return the embedding of an image by a contrastive model."""
        return _contrastive_result(*await self._call_worker(endpoint, "picture", {"data": png}))

    async def embed_texts_contrastive(self, endpoint: Endpoint, texts: tuple[str, ...]) -> ContrastiveResult:
        """Return the embeddings of texts by a contrastive model, in the same space as those of images."""
        return _contrastive_result(*await self._call_worker(endpoint, "texts", {"texts": list(texts)}))

    async def classify(self, endpoint: Endpoint, text: str) -> EncoderResult:
        """Return the probabilities of an encoder head's labels."""
        return _encoder_result(*await self._call_worker(endpoint, "classify", {"text": text}))

    async def rank(self, endpoint: Endpoint, query: str, texts: tuple[str, ...]) -> EncoderResult:
        """Return the relevance of each text to the query, by an encoder that reads both together."""
        return _encoder_result(*await self._call_worker(endpoint, "rank", {"query": query, "texts": list(texts)}))

    async def score_entailment(
        self, endpoint: Endpoint, text: str, sentences: tuple[str, ...], *, independent: bool = False
    ) -> EncoderResult:
        """Return the probability that the text entails each sentence, relative to the others unless ``independent``."""
        given = {"text": text, "sentences": list(sentences), "independent": independent}
        return _encoder_result(*await self._call_worker(endpoint, "entail", given))

    async def fill(self, endpoint: Endpoint, text: str, words: tuple[str, ...] = ()) -> EncoderResult:
        """Return the probabilities of words for a mask: of the given words, or of the most likely ones."""
        return _encoder_result(*await self._call_worker(endpoint, "fill", {"text": text, "labels": list(words)}))

    async def draw(
        self, endpoint: Endpoint, settings: Mapping[str, Any], picture: bytes = b"", mask: bytes = b"", *,
        progress: Progress | None = None, sketched: Callable[[ImagePreview], None] | None = None,
    ) -> ImageResult:  # fmt: skip
        """Generate images. ``settings`` has the fields of ``diffusion.DiffusionRequest``.

        ``progress`` receives the share of completed steps; ``sketched`` a preview after a step, if the engine provides
        one.
        """

        def take(value: Any) -> None:
            if sketched is not None:
                sketched(msgspec.convert(value, ImagePreview))

        given = {"settings": dict(settings), "picture": picture, "mask": mask, "sketches": sketched is not None}
        try:
            reply, load_seconds = await self._call_worker(endpoint, "draw", given, progress=progress, take=take)
        except RuntimeCrashed as error:  # the engine aborts its process on an unexpected internal state
            if not error.todo:
                error.todo = "see whether the parts of the model belong together, or draw a smaller image"
            raise
        return ImageResult(
            pictures=tuple(reply.value["pictures"]), seed=reply.value["seed"], seconds=reply.seconds,
            load_seconds=load_seconds, peak_memory=reply.peak_memory,
        )  # fmt: skip

    async def speak(
        self, endpoint: Endpoint, lines: tuple[str, ...], *, progress: Progress | None = None
    ) -> SynthesisResult:
        """Speak the lines in order. ``progress`` receives the completed share and the line."""
        reply, load_seconds = await self._call_worker(endpoint, "speak", {"lines": list(lines)}, progress=progress)
        return SynthesisResult(
            pcm=reply.value["pcm"],
            rate=reply.value["rate"],
            silent=tuple(reply.value["silent"]),
            seconds=reply.seconds,
            load_seconds=load_seconds,
            peak_memory=self.peak_memory(endpoint.id) or 0,
        )

    def loaded_endpoints(self) -> tuple[str, ...]:
        """Return the ids of endpoints whose model is in memory."""
        return tuple(sorted(name for name, slot in self._slots.items() if slot.is_running))

    def peak_memory(self, endpoint_id: str) -> int | None:
        """Return the peak resident bytes of an endpoint's child; None if it is not running."""
        slot = self._slots.get(endpoint_id)
        return slot.peak_memory() if slot is not None else None

    async def unload(self, endpoint_id: str, *, idle: bool = False) -> None:
        """Stop an endpoint's child, if it has one. With ``idle``, only if no call is in progress."""
        slot = self._slots.get(endpoint_id)
        if slot is not None and not (idle and slot.worker.busy):
            del self._slots[endpoint_id]
            await slot.worker.close()

    async def close(self) -> None:
        """Stop all children."""
        for endpoint_id in tuple(self._slots):
            await self.unload(endpoint_id)

    async def _call_worker(
        self, endpoint: Endpoint, method: str, arguments: dict[str, Any], *, progress: Progress | None = None,
        take: Callable[[Any], None] | None = None,
    ) -> tuple[WorkerReply, float]:  # fmt: skip
        slot = self._slot(endpoint)
        _, load_seconds = await slot.load_if_needed()
        all_arguments = {**slot.model, **arguments}
        if take is not None and isinstance(slot.worker, WorkerProcess):
            reply = await slot.worker.call(method, all_arguments, progress=progress, take=take)
        else:
            reply = await slot.worker.call(method, all_arguments, progress=progress)
        return reply, load_seconds

    def _slot(self, endpoint: Endpoint) -> _Slot:
        slot = self._slots.get(endpoint.id)
        if slot is not None and slot.worker.alive:
            return slot
        plugin = runtime_plugins().get(endpoint.host.protocol)
        kind = _CHILDREN.get(endpoint.host.protocol, None if plugin is None else _PLUGIN)
        if kind is None:
            raise NotInstalled("no embedded runtime speaks this protocol", where=endpoint.id)
        todo = install_command(endpoint.host.protocol)
        if todo:
            raise NotInstalled("its runtime is not installed", where=endpoint.id, todo=f"run: {todo}")
        model = {"path": self._model_path(endpoint), "name": _weights_name(endpoint)}
        if plugin is not None:
            model["runtime"] = plugin.name
        projector = self._weights.projector(endpoint.weights) if kind.projector and endpoint.weights else None
        if projector is not None:
            model["projector"] = str(projector)
        if slot is None:
            slot = _Slot(endpoint, kind)
            self._slots[endpoint.id] = slot
        slot.model = model
        return slot

    def _model_path(self, endpoint: Endpoint) -> str:
        if not endpoint.weights:
            return ""
        if is_model_folder(endpoint.weights):
            return str(Path(endpoint.weights).expanduser())
        path = self._weights.path(endpoint.weights)
        if path is None:
            raise NotInstalled(
                "its weights are not on this machine",
                where=endpoint.id,
                todo=f"run: {self._weights.row(endpoint.weights).pull}",
            )
        return str(path)


def _weights_name(endpoint: Endpoint) -> str:
    """Return the name under which the weights are pulled; for a user's folder, the model's name."""
    model_name = "" if is_model_folder(endpoint.weights) else endpoint.weights
    return model_name or endpoint.served_as or endpoint.id


def _contrastive_result(reply: WorkerReply, load_seconds: float) -> ContrastiveResult:
    value = reply.value
    return ContrastiveResult(
        vectors=tuple(map(tuple, value["vectors"])), loss=value["loss"], scale=value["scale"], bias=value["bias"],
        assumed_scale=value["assumed_scale"], tokens=value["tokens"], cut=value["cut"], seconds=reply.seconds,
        load_seconds=load_seconds, peak_memory=reply.peak_memory,
    )  # fmt: skip


def _encoder_result(reply: WorkerReply, load_seconds: float) -> EncoderResult:
    value = reply.value
    return EncoderResult(
        scores=tuple(value["scores"]), labels=tuple(value["labels"]), tokens=value["tokens"], windows=value["windows"],
        cut=value["cut"], query_cut=value.get("query_cut", False), seconds=reply.seconds, load_seconds=load_seconds,
        peak_memory=reply.peak_memory,
    )  # fmt: skip


class _Slot:
    """One endpoint's child, and whether its model is in memory."""

    def __init__(self, endpoint: Endpoint, kind: ChildSpec) -> None:
        self.worker: WorkerProcess | PiperVoice
        if kind.module:
            self.worker = start_child(kind.module, endpoint.host.protocol, endpoint.id)
        else:
            self.worker = _PROGRAMS[endpoint.host.protocol](endpoint.id, inherit=_INHERIT)
        self.model: dict[str, Any] = {}
        self._extra = {"context": endpoint.context or DEFAULT_CONTEXT} if kind.context else {}
        self._pid: int | None = None  # pid of the child with the loaded model
        self._reply: Any = None
        self._lock: anyio.Lock | None = None

    @property
    def is_running(self) -> bool:
        return self._pid is not None and self.worker.pid == self._pid

    async def load_if_needed(self) -> tuple[Any, float]:
        """Load the model if needed. Returns the child's reply, and the seconds it took (0 if it was loaded)."""
        import anyio

        if self._lock is None:
            self._lock = anyio.Lock()
        async with self._lock:
            if self.is_running:
                return self._reply, 0.0
            self._pid = None
            started = time.perf_counter()
            reply = await self.worker.call("load", {**self.model, **self._extra})
            self._pid, self._reply = self.worker.pid, reply.value
            return reply.value, time.perf_counter() - started

    def peak_memory(self) -> int | None:
        """Return the peak memory of the child's lifetime if the system reports it (Linux), else its current memory."""
        import psutil

        pid = self.worker.pid
        if pid is None:
            return None
        try:
            for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        except OSError:
            pass
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return None
