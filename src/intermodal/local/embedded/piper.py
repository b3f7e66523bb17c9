"""Piper, an external program for speech synthesis.

It reads lines of text from its standard input and writes one WAV file each into a temporary folder. Piper is licensed
under GPL 3: it is run as the user installed it, never imported. It is looked up at ``INTERMODAL_PIPER``, beside this
Python, then on the PATH. The process is kept running, because starting it takes longer than a sentence. Its standard
output and error are read as one stream: the line that names a finished file is the reply. Piper exits on a line that it
cannot speak; it is then restarted, and the line is skipped and reported.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from intermodal.concurrency.worker_process import WorkerReply, start_process
from intermodal.errors import InputUnsupported, NotInstalled, RuntimeCrashed
from intermodal.media.audio.encoding import samples

PLACE = "INTERMODAL_PIPER"  # environment variable: path of the program
TODO = "pip install piper-tts (GPL-3.0; it runs as a separate program)"
PAUSE = 0.2  # seconds of silence between two lines
_START = 60.0  # seconds to load the voice
_LINE = 120.0  # seconds for one line
_FIRST = "Ready."  # spoken once the voice is loaded, and discarded
_FILE = re.compile(r"([\w.-]+\.wav)\s*$")
_PLACES = re.compile(r"(?:[A-Za-z]:)?[/\\][^\s'\":,)]+")
_TOLD = 160  # maximum characters of its error output in messages


def program() -> str:
    """Return Piper's path, "" if it is not installed. Does not run it.

    A gateway calls this every second, so it avoids ``pathlib``, which interns every part of a path and would make the
    interpreter's string table grow.
    """
    configured = os.environ.get(PLACE, "")
    beside_python = os.path.join(os.path.dirname(sys.executable), "piper")
    for found in (configured and shutil.which(configured), shutil.which(beside_python), shutil.which("piper")):
        if found and (found == configured or _speaks(found)):
            return found
    return ""


def _speaks(path: str) -> bool:
    """Return whether a program is Piper, and not the GTK mouse configuration tool of the same name."""
    try:
        with open(path, "rb") as file:
            head = file.read(2048)
    except OSError:
        return False
    return not head.startswith(b"#!") or b"piper.__main__" in head


class PiperVoice:
    """One loaded voice, with the interface of ``_process.Worker``.

    It runs one call at a time; cancelling a call kills the process. Its methods are ``load`` and ``speak`` (``lines``
    without line breaks). ``speak`` returns ``pcm`` (signed 16-bit, mono), ``rate`` in Hz, and ``silent``, the lines it
    could not speak.
    """

    def __init__(self, name: str, *, inherit: tuple[str, ...] = ()) -> None:
        self.name = name
        self._inherit = inherit
        self._process: Any = None
        self._out: Any = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._lock: Any = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.alive else None

    @property
    def busy(self) -> bool:
        return self._lock is not None and bool(self._lock.locked())

    async def call(
        self, method: str, arguments: Mapping[str, Any], *, progress: Callable[[float | None, str], None] | None = None
    ) -> WorkerReply:
        import anyio

        if self._lock is None:
            self._lock = anyio.Lock()
        async with self._lock:
            finished = False
            began = time.perf_counter()
            try:
                if not self.alive:
                    await self._start(str(arguments["path"]))
                value = await self._speak(arguments, progress) if method == "speak" else {}
                finished = True
            finally:
                if not finished:
                    await self._discard()
        return WorkerReply(value=value, seconds=time.perf_counter() - began)

    async def _speak(self, arguments: Mapping[str, Any], progress: Callable[[float | None, str], None] | None) -> Any:
        lines: list[str] = arguments["lines"]
        total, done = max(1, sum(map(len, lines))), 0
        samples: list[bytes] = []
        silent: list[str] = []
        rate = 0
        for line in lines:
            spoken = await self._speak_line(line, _LINE)
            if spoken is None:
                silent.append(line)
                await self._start(str(arguments["path"]))
            else:
                pcm, rate = spoken
                samples.append(pcm)
            done += len(line)
            if progress is not None:
                progress(done / total, line)
        if not samples:
            raise InputUnsupported("has nothing in it that this voice can speak", where=self.name)
        pause = b"\0\0" * int(rate * PAUSE)
        return {"pcm": pause.join(samples), "rate": rate, "silent": silent}

    async def _start(self, voice: str) -> None:
        import subprocess

        import anyio
        import anyio.streams.buffered

        await self._discard()
        found = program()
        if not found:
            raise NotInstalled("its runtime is not installed", where=self.name, todo=f"run: {TODO}")
        self._folder = tempfile.TemporaryDirectory(prefix="intermodal-piper-")
        self._said.clear()
        env = {name: os.environ[name] for name in self._inherit if name in os.environ}
        self._process = await start_process(
            [found, "--model", voice, "--output_dir", self._folder.name],
            stderr=subprocess.STDOUT,
            cwd=self._folder.name,
            env={**env, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,
        )
        self._out = anyio.streams.buffered.BufferedByteReceiveStream(self._process.stdout)
        if await self._speak_line(_FIRST, _START) is None:
            raise RuntimeCrashed(
                f"piper ended when it was started{await self._last_error_line()}",
                where=self.name,
                todo=f"check the program {Path(found).name} on a terminal, or {TODO}",
                sent=False,
            )

    async def _speak_line(self, text: str, limit: float) -> tuple[bytes, int] | None:
        """Return samples and rate of one spoken line; None if Piper exited on it."""
        import anyio

        assert self._folder is not None
        try:
            with anyio.fail_after(limit):
                await self._process.stdin.send(" ".join(text.split()).encode("utf-8", "replace") + b"\n")
                while True:
                    line = (await self._out.receive_until(b"\n", 1 << 16)).decode("utf-8", "replace").strip()
                    file = _FILE.search(line)
                    path = Path(self._folder.name) / file[1] if file else None
                    if path is not None and path.is_file():
                        break
                    self._said.append(line)
                data = path.read_bytes()
                path.unlink()
                return samples(data)
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return None
        except TimeoutError:
            raise RuntimeCrashed(f"piper said nothing for {limit:g} s", where=self.name, sent=False) from None
        except (ValueError, anyio.DelimiterNotFound) as error:
            raise RuntimeCrashed(
                f"piper wrote something else than a WAV file ({error})", where=self.name, sent=False
            ) from None

    async def _last_error_line(self) -> str:
        """Return Piper's last error line, shortened and without local paths."""
        import anyio

        with anyio.move_on_after(1), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                self._said += (await self._out.receive()).decode("utf-8", "replace").splitlines()
        last = next((line for line in reversed(self._said) if line and not line.startswith("INFO")), "")
        return f": {_PLACES.sub('...', last)[:_TOLD]}" if last else ""

    async def _discard(self) -> None:
        """Kill and reap the process, and delete its folder."""
        import anyio

        process, self._process, self._out = self._process, None, None
        folder, self._folder = self._folder, None
        with anyio.CancelScope(shield=True):
            if process is not None:
                if process.returncode is None:
                    process.kill()
                await process.aclose()
            if folder is not None:
                await anyio.to_thread.run_sync(folder.cleanup)

    async def close(self) -> None:
        """Kill and reap the process."""
        await self._discard()
