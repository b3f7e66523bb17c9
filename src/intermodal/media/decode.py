"""The parent's side of the media worker: calls in words of the domain, errors that name the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from intermodal import errors
from intermodal._process import Limits, Reply, Worker
from intermodal.file_bytes import Data, FileBytes, Spool
from intermodal.media.office.converted import Converted
from intermodal.media.probed import Code, Frame, Pcm, Picture, Probed, SubtitleLine
from intermodal.media.steps import LARGE_FILE, PCM_BYTES_PER_SECOND
from intermodal.plans.facts import Box

__all__ = ["Frame", "MediaWorker", "Pcm", "Picture", "Probed"]

Progress = Callable[[float | None, str], None]

LIMITS = Limits(memory=3 << 30, cpu=300, read_only=True)
# What a decoder needs of our environment: to find Python, nothing else. Keys stay out of its reach.
_INHERIT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "TMPDIR", "LD_LIBRARY_PATH")
_ENV = {"MALLOC_ARENA_MAX": "1", "PYTHONDONTWRITEBYTECODE": "1"}
_PROBE_SECONDS = 30.0
_FRAMES_SECONDS = 600.0
_SUBTITLES_SECONDS = 60.0
_SLOWEST_DISK = 50 << 20  # bytes a second: what is on disk may have to be read to its end


class MediaWorker:
    """Decodes media in a fenced child process, one job at a time.

    A job that crashes the child, runs over its time or is cancelled costs that child; the next job gets a
    new one. Methods raise the ``InputError`` that fits, with ``name`` as its ``where``.
    """

    def __init__(self, *, limits: Limits = LIMITS) -> None:
        self._worker = Worker("intermodal.media.worker", limits=limits, env=_ENV, name="media worker", inherit=_INHERIT)
        self.last = Reply()

    @property
    def pid(self) -> int | None:
        return self._worker.pid

    @property
    def busy(self) -> bool:
        """It decodes for somebody; each job has a time at which it is ended."""
        return self._worker.busy

    async def start(self) -> None:
        """Start the child ahead of its first job."""
        await self._call("ready", {}, name="", seconds=_PROBE_SECONDS)

    async def fences(self) -> dict[str, bool]:
        """What holds the child on this machine, by trying: the words of ``fence.TRIED``, and whether each stands."""
        return msgspec.convert(await self._call("fences", {}, name="", seconds=_PROBE_SECONDS), dict[str, bool])

    async def probe(self, data: Data, *, name: str = "") -> Probed:
        """Facts of a picture, a recording, a film or a document. Refuses what is over a limit or cannot be decoded."""
        found = await self._call("probe", {"data": data, "name": name}, name=name, seconds=_PROBE_SECONDS)
        return msgspec.convert(found, Probed)

    async def pcm(
        self, data: Data, *, name: str = "", progress: Progress | None = None, channel: int | None = None
    ) -> Pcm:
        """A recording, or the sound of a film, as 16 kHz mono PCM; ``channel`` is one of two (0 or 1), or all mixed."""
        arguments = {"data": data, "name": name, "channel": channel}
        with Spool(LARGE_FILE) as samples:

            def take(piece: bytes) -> None:
                try:
                    samples.add(piece)
                except OSError as error:
                    what = f"has more sound than there is room for on the disk ({error.strerror or 'system error'})"
                    todo = "free some, or set TMPDIR to where there is more"
                    raise errors.InputTooLarge(what, todo=todo) from None

            await self._call("pcm", arguments, name=name, seconds=600, progress=progress, take=take)
            return Pcm(samples=samples.made(), seconds=samples.size / PCM_BYTES_PER_SECOND)

    async def page_text(
        self, data: Data, pages: tuple[int, ...], *, name: str = "", progress: Progress | None = None
    ) -> tuple[str, ...]:
        """The words of the given pages (1-based) as Markdown, in that order.

        A file that brings the layout to its end is read once more without it.
        """
        arguments: dict[str, Any] = {"data": data, "pages": list(pages)}
        seconds = 30 + 0.5 * len(pages)
        try:
            return tuple(await self._call("page_text", arguments, name=name, seconds=seconds, progress=progress))
        except errors.InputError:
            if self._worker.alive:  # it answered
                raise
        arguments["plain"] = True
        return tuple(await self._call("page_text", arguments, name=name, seconds=seconds, progress=progress))

    async def page_pictures(
        self,
        data: Data,
        pages: tuple[int, ...],
        dpi: float,
        *,
        name: str = "",
        progress: Progress | None = None,
        crops: tuple[Box, ...] = (),
    ) -> tuple[Picture, ...]:
        """The given pages (1-based) as pictures. A page too large for ``dpi`` is made at less.

        With ``crops``, one for each page: what lies in that box of it (left, top, right, bottom, in points as shown).
        """
        arguments = {"data": data, "pages": list(pages), "dpi": dpi, "crops": list(crops)}
        seconds = 30 + 10.0 * len(pages)
        made: list[Any] = []
        await self._call("page_pictures", arguments, name=name, seconds=seconds, progress=progress, take=made.append)
        return msgspec.convert(made, tuple[Picture, ...])

    async def picture(self, data: Data, *, max_side: int | None = None, name: str = "") -> Picture:
        """The first frame, upright, re-encoded as PNG without metadata; shrunk to ``max_side`` pixels if longer."""
        arguments = {"data": data, "name": name, "max_side": max_side}
        return msgspec.convert(await self._call("picture", arguments, name=name, seconds=60), Picture)

    async def codes(self, data: bytes, *, name: str = "") -> tuple[Code, ...]:
        """QR codes, bar codes and their like on a picture, with what they say; none without the extra ``embedded``."""
        found = await self._call("codes", {"data": data, "name": name}, name=name, seconds=60)
        return msgspec.convert(found, tuple[Code, ...])

    async def frames(
        self,
        data: Data,
        *,
        spread: str,
        most: int,
        max_side: int | None = None,
        name: str = "",
        progress: Progress | None = None,
    ) -> tuple[Frame, ...]:
        """Frames of a film or an animation, pages of a TIFF, in order. ``spread`` is "scenes" or a rate ("0.5 fps").

        At most ``most``, each at most ``max_side`` pixels long. Both may be lower than the limits in
        ``media/steps.py``, never higher.
        """
        arguments = {"data": data, "name": name, "spread": spread, "most": most, "max_side": max_side}
        made: list[Any] = []
        seconds = _FRAMES_SECONDS
        await self._call("frames", arguments, name=name, seconds=seconds, progress=progress, take=made.append)
        return msgspec.convert(made, tuple[Frame, ...])

    async def subtitles(self, data: Data, track: int, *, name: str = "") -> tuple[SubtitleLine, ...]:
        """The lines of a film's track of subtitles, in the order of time."""
        arguments = {"data": data, "name": name, "track": track}
        found = await self._call("subtitles", arguments, name=name, seconds=_SUBTITLES_SECONDS)
        return msgspec.convert(found, tuple[SubtitleLine, ...])

    async def convert(self, data: Data, media_type: str, *, name: str = "") -> Converted:
        """A document, a page or a mail, taken apart. Raises NotInstalled without the extra ``documents``."""
        arguments = {"data": data, "name": name, "media_type": media_type}
        return msgspec.convert(await self._call("convert", arguments, name=name, seconds=120), Converted)

    async def _call(
        self,
        method: str,
        arguments: Mapping[str, Any],
        *,
        name: str,
        seconds: float,
        progress: Progress | None = None,
        take: Callable[[Any], None] | None = None,
    ) -> Any:
        file = data if isinstance(data := arguments.get("data"), FileBytes) else None
        if file is not None:
            seconds += len(file) / _SLOWEST_DISK
        try:
            self.last = await self._worker.call(method, arguments, timeout=seconds, progress=progress, take=take)
        except errors.RuntimeCrashed as error:
            if self._worker.alive:  # it answered, and says that the fault is ours
                raise errors.RuntimeCrashed(error.what, where=name, todo=error.todo, sent=False) from None
            # The child's end is the file's doing: everything else it does was done before without harm.
            raise errors.InputBroken(
                "cannot be decoded: it is damaged, or needs more memory than is allowed",
                where=name,
                todo="try another copy",
            ) from None
        except (errors.InputError, errors.NotInstalled) as error:
            if error.where or not name:
                raise
            raise type(error)(error.what, where=name, todo=error.todo) from None
        finally:
            if file is not None:
                file.check(name)  # above whatever came of it
        return self.last.value

    async def close(self) -> None:
        await self._worker.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
