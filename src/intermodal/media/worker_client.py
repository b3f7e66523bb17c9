"""``MediaWorker``, the parent process's interface to the media workers. Its errors name the file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

import msgspec

from intermodal import errors
from intermodal.concurrency.fair_lock import FairLock
from intermodal.concurrency.offload import offload
from intermodal.concurrency.worker_process import ProcessLimits, WorkerProcess, WorkerReply
from intermodal.files.file_bytes import Data, FileBytes, Spool
from intermodal.media.media_limits import LARGE_FILE, PCM_BYTES_PER_SECOND
from intermodal.media.office.conversion_types import ConvertedFile
from intermodal.media.worker_results import Barcode, EncodedImage, MediaProbeResult, Pcm, SubtitleLine, VideoFrame
from intermodal.plans.cpu_schedule import DECODER_START_SECONDS
from intermodal.plans.facts import Box

__all__ = ["VideoFrame", "MediaWorker", "Pcm", "EncodedImage", "MediaProbeResult"]

Progress = Callable[[float | None, str], None]

LIMITS = ProcessLimits(memory=3 << 30, cpu=300, read_only=True)
# Environment variables that a worker inherits: those needed to find Python, and no API keys.
_INHERIT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "TMPDIR", "LD_LIBRARY_PATH")
_ENV = {"MALLOC_ARENA_MAX": "1", "PYTHONDONTWRITEBYTECODE": "1"}
_PROBE_SECONDS = 30.0
_FRAMES_SECONDS = 600.0
_SOUND_SECONDS = 600.0
_SUBTITLES_SECONDS = 60.0
_SLOWEST_DISK = 50 << 20  # bytes per second: a file on disk may have to be read to its end


def _add_sound(samples: Spool, piece: bytes) -> None:
    try:
        samples.add(piece)
    except OSError as error:
        what = f"has more sound than there is room for on the disk ({error.strerror or 'system error'})"
        raise errors.InputTooLarge(what, todo="free some, or set TMPDIR to where there is more") from None


def _pcm(samples: Spool) -> Pcm:
    return Pcm(samples=samples.to_bytes(), seconds=samples.size / PCM_BYTES_PER_SECOND)


class _QueuedJob:
    """A job that waits for a child, and the child that was assigned to it."""

    def __init__(self, come: Any) -> None:
        self.come = come
        self.worker: WorkerProcess | None = None


class MediaWorker:
    """Decodes media in sandboxed child processes, one job at a time in each.

    A job that crashes its child, exceeds its time or is cancelled ends that child; the next job gets a new one. Methods
    raise the matching ``InputError``, with ``name`` as its ``where``.

    Args:
     limits: of each child.
     places: maximum number of children. The first one stays. Another one starts after a job has waited for as
      long as a start takes, and ends by ``trim``, because a decoder does not return the memory it has taken.
    """

    def __init__(self, *, limits: ProcessLimits = LIMITS, places: int = 1) -> None:
        self._limits = limits
        self._places = FairLock(places)
        self._workers = [self._worker()]
        self._idle = list(self._workers)  # the most recently used at the end
        self._waiting: deque[_QueuedJob] = deque()
        self.last = WorkerReply()

    def _worker(self) -> WorkerProcess:
        module = "intermodal.media.worker"
        return WorkerProcess(module, limits=self._limits, env=_ENV, name="media worker", inherit=_INHERIT)

    @property
    def pid(self) -> int | None:
        """The process id of the first child, None if it is not running."""
        return self._workers[0].pid

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of all children."""
        return tuple(pid for worker in self._workers if (pid := worker.pid) is not None)

    @property
    def busy(self) -> bool:
        """True if all children are busy, so that the next job has to wait. Each job has a deadline."""
        return self._places.locked()

    async def start(self) -> None:
        """Start the child ahead of its first job."""
        await self._call("ready", {}, name="", seconds=_PROBE_SECONDS)

    async def fences(self) -> dict[str, bool]:
        """Return for each of ``PROBED_LIMITS`` whether it holds for the child on this machine.

        The child tests each limit by trying to break it.
        """
        return msgspec.convert(await self._call("fences", {}, name="", seconds=_PROBE_SECONDS), dict[str, bool])

    async def probe(self, data: Data, *, name: str = "") -> MediaProbeResult:
        """Return the facts of an image, recording, video or document.

        Raises an InputError if the file exceeds a limit or cannot be decoded.
        """
        found = await self._call("probe", {"data": data, "name": name}, name=name, seconds=_PROBE_SECONDS)
        return msgspec.convert(found, MediaProbeResult)

    async def pcm(self, data: Data, *, name: str = "", progress: Progress | None = None) -> Pcm:
        """Return the audio of a recording or video as 16 kHz PCM, all channels mixed to one."""
        arguments = {"data": data, "name": name}
        with Spool(LARGE_FILE) as samples:
            take = partial(_add_sound, samples)
            await self._call("pcm", arguments, name=name, seconds=_SOUND_SECONDS, progress=progress, take=take)
            return _pcm(samples)

    async def channel_pcm(self, data: Data, *, name: str = "", progress: Progress | None = None) -> tuple[Pcm, Pcm]:
        """Return both channels of a recording or video as 16 kHz PCM, without crosstalk.

        The audio is decoded once for both channels.
        """
        arguments = {"data": data, "name": name}
        with Spool(LARGE_FILE) as left, Spool(LARGE_FILE) as right:
            channels = left, right

            def take(piece: tuple[int, bytes]) -> None:
                _add_sound(channels[piece[0]], piece[1])

            silent = await self._call(
                "channel_pcm", arguments, name=name, seconds=_SOUND_SECONDS, progress=progress, take=take
            )
            for channel, ranges in zip(channels, silent, strict=True):
                await offload(channel.size > LARGE_FILE, channel.zero_ranges, ranges)
            return _pcm(left), _pcm(right)

    async def page_text(
        self, data: Data, pages: tuple[int, ...], *, name: str = "", progress: Progress | None = None
    ) -> tuple[str, ...]:
        """Return the text of the given pages (1-based) as Markdown, in the given order.

        A file that crashes the layout is read again without it.
        """
        arguments: dict[str, Any] = {"data": data, "pages": list(pages)}
        plainly = {**arguments, "plain": True}
        seconds = 30 + 0.5 * len(pages)
        found = await self._call(
            "page_text", arguments, name=name, seconds=seconds, progress=progress, otherwise=plainly
        )
        return tuple(found)

    async def page_images(
        self,
        data: Data,
        pages: tuple[int, ...],
        dpi: float,
        *,
        name: str = "",
        progress: Progress | None = None,
        crops: tuple[Box, ...] = (),
    ) -> tuple[EncodedImage, ...]:
        """Render the given pages (1-based). A page too large for ``dpi`` is rendered at a lower one.

        ``crops``: a box for each page (left, top, right, bottom, in points as displayed), to render only that part.
        """
        arguments = {"data": data, "pages": list(pages), "dpi": dpi, "crops": list(crops)}
        seconds = 30 + 10.0 * len(pages)
        images: list[Any] = []
        await self._call("page_images", arguments, name=name, seconds=seconds, progress=progress, take=images.append)
        return msgspec.convert(images, tuple[EncodedImage, ...])

    async def picture(
        self, data: Data, *, max_side: int | None = None, min_side: int | None = None, name: str = ""
    ) -> EncodedImage:
        """Return the first frame of an image, upright, as PNG without metadata.

        It is shrunk if its longer side has more pixels than ``max_side``, or its shorter side more than ``min_side``.
        """
        arguments = {"data": data, "name": name, "max_side": max_side, "min_side": min_side}
        return msgspec.convert(await self._call("picture", arguments, name=name, seconds=60), EncodedImage)

    async def mask(self, data: Data, *, transparent: bool = False, name: str = "") -> EncodedImage:
        """Return an edit mask as PNG: white, or ``transparent``, where the image may change."""
        arguments = {"data": data, "name": name, "transparent": transparent}
        return msgspec.convert(await self._call("mask", arguments, name=name, seconds=60), EncodedImage)

    async def codes(self, data: bytes, *, name: str = "") -> tuple[Barcode, ...]:
        """Return the QR codes and bar codes on an image, with their text; () without the extra ``embedded``."""
        found = await self._call("codes", {"data": data, "name": name}, name=name, seconds=60)
        return msgspec.convert(found, tuple[Barcode, ...])

    async def frames(
        self,
        data: Data,
        *,
        spread: str,
        most: int,
        max_side: int | None = None,
        name: str = "",
        progress: Progress | None = None,
    ) -> tuple[VideoFrame, ...]:
        """Return frames of a video or an animation, or pages of a TIFF.

        ``spread``: "scenes" or a rate ("0.5 fps"). At most ``most`` frames are returned, each at most ``max_side``
        pixels long. Higher values than the limits in ``media/media_limits.py`` are reduced to them.
        """
        arguments = {"data": data, "name": name, "spread": spread, "most": most, "max_side": max_side}
        frames: list[Any] = []
        seconds = _FRAMES_SECONDS
        await self._call("frames", arguments, name=name, seconds=seconds, progress=progress, take=frames.append)
        return msgspec.convert(frames, tuple[VideoFrame, ...])

    async def subtitles(self, data: Data, track: int, *, name: str = "") -> tuple[SubtitleLine, ...]:
        """Return the lines of a video's subtitle track, in order of time."""
        arguments = {"data": data, "name": name, "track": track}
        found = await self._call("subtitles", arguments, name=name, seconds=_SUBTITLES_SECONDS)
        return msgspec.convert(found, tuple[SubtitleLine, ...])

    async def convert(self, data: Data, media_type: str, *, name: str = "") -> ConvertedFile:
        """Convert a document, a page or a mail. Raises NotInstalled without the extra ``documents``."""
        arguments = {"data": data, "name": name, "media_type": media_type}
        return msgspec.convert(await self._call("convert", arguments, name=name, seconds=120), ConvertedFile)

    async def load_plugin(self, ending: str) -> None:
        """Import the plugin that converts files with this ending in a child. Raises NotInstalled if that fails."""
        await self._call("load_plugin", {"ending": ending}, name="", seconds=_PROBE_SECONDS)

    async def _call(
        self,
        method: str,
        arguments: Mapping[str, Any],
        *,
        name: str,
        seconds: float,
        progress: Progress | None = None,
        take: Callable[[Any], None] | None = None,
        otherwise: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a job in a child; if it crashes the child, run it again with the arguments ``otherwise``."""
        async with self._places:
            worker = await self._acquire_worker()
            try:
                try:
                    return await self._call_worker(worker, method, arguments, name, seconds, progress, take)
                except errors.InputError:
                    if worker.alive or otherwise is None:  # the child answered, so it did not crash
                        raise
                return await self._call_worker(worker, method, otherwise, name, seconds, progress, take)
            finally:
                self._release_worker(worker)

    async def _acquire_worker(self) -> WorkerProcess:
        """Return an idle child: a running one if possible, otherwise one to be started."""
        import anyio

        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place].alive:
                return self._idle.pop(place)
        if len(self._idle) < len(self._workers):  # one is working, and may finish before another has started
            turn = _QueuedJob(anyio.Event())
            self._waiting.append(turn)
            try:
                with anyio.move_on_after(DECODER_START_SECONDS):
                    await turn.come.wait()
            except BaseException:
                if turn.worker is not None:  # it was assigned one while it was cancelled
                    self._release_worker(turn.worker)
                raise
            finally:
                if turn.worker is None:
                    self._waiting.remove(turn)
            if turn.worker is not None:
                return turn.worker
        if not self._idle:
            self._workers.append(self._worker())
            return self._workers[-1]
        return self._idle.pop()

    def _release_worker(self, worker: WorkerProcess) -> None:
        if self._waiting:
            turn = self._waiting.popleft()
            turn.worker = worker
            turn.come.set()
        else:
            self._idle.append(worker)

    async def _call_worker(
        self,
        worker: WorkerProcess,
        method: str,
        arguments: Mapping[str, Any],
        name: str,
        seconds: float,
        progress: Progress | None,
        take: Callable[[Any], None] | None,
    ) -> Any:
        file = data if isinstance(data := arguments.get("data"), FileBytes) else None
        if file is not None:
            seconds += len(file) / _SLOWEST_DISK
        try:
            self.last = reply = await worker.call(method, arguments, timeout=seconds, progress=progress, take=take)
        except errors.RuntimeCrashed as error:
            if worker.alive:  # the child answered, so this is an internal error
                hints = error.hints
                raise errors.RuntimeCrashed(hints.what, where=name, todo=hints.todo, sent=False) from None
            # The child ended because of the file: everything else it does has worked before.
            raise errors.InputBroken(
                "cannot be decoded: it is damaged, or needs more memory than is allowed",
                where=name,
                todo="try another copy",
            ) from None
        except (errors.InputError, errors.NotInstalled) as error:
            if not error.where:
                error.where = name
            raise
        finally:
            if file is not None:
                file.check(name)  # takes precedence over its result
        return reply.value

    async def trim(self) -> None:
        """End idle children beyond the first, to release their memory."""
        spare = [worker for worker in self._idle if worker is not self._workers[0]]
        for worker in spare:
            self._idle.remove(worker)
            self._workers.remove(worker)
        for worker in spare:
            await worker.close()

    async def close(self) -> None:
        for worker in self._workers:
            await worker.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
