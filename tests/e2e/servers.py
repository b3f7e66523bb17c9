"""Real llama.cpp servers as users have them, with and without an eye, and a record of every byte that reached them.

Each server is a process of its own (the one that ``intermodal`` would start for itself is not used). Before it stands a
pass-through that keeps what was sent, so that "no byte of the image reached it" is looked at and not believed.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from intermodal.config.config_file import cache_dir
from intermodal.local.weights.store import WeightsStore

EYE = Path(__file__).parents[1] / "media" / "tiny_eye" / "tiny-eye-mmproj.gguf"
EAR = Path(__file__).parents[1] / "media" / "tiny_ear" / "tiny-ear-random-mmproj.gguf"
TEXT_CONTEXT, EYE_CONTEXT = 8192, 2048
TEXT_MODEL, EYE_MODEL = "desk/smollm2-135m", "desk/smollm2-135m-with-tiny-eye"
EAR_MODEL = "desk/smollm2-135m-with-random-ear"
_WEIGHTS = WeightsStore(Path(cache_dir(os.environ)) / "weights")  # before a test moves the cache
_PROGRAM = """
import json, sys
import xllamacpp
given = json.loads(sys.argv[1])
p = xllamacpp.CommonParams()
p.model.path, p.model_alias, p.n_ctx = given["model"], {given["alias"]}, given["context"]
p.hostnames, p.port, p.n_parallel, p.ctx_shift = ["127.0.0.1"], 0, 1, False
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.ui, p.warmup, p.cache_ram_mib, p.verbosity = False, False, 0, -1
if given["eye"]:
    p.mmproj.path = given["eye"]
if given["template"]:
    p.chat_template = given["template"]
if given["embeds"]:
    p.embedding, p.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


class Record:
    """A TCP pass-through to a port of this machine that keeps what goes there.

    ``delay`` holds every answer back for so many seconds, as a network would.
    """

    def __init__(self, port: int, *, delay: float = 0.0) -> None:
        self.reached = bytearray()
        self._port = port
        self._delay = delay
        self._when: tuple[bytes, Callable[[], None]] | None = None
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def forget(self) -> None:
        self.reached.clear()

    def when(self, seen: bytes, then: Callable[[], None]) -> None:
        """Do something once these bytes come by, before they are passed on."""
        self._when = (seen, then)

    def close(self) -> None:
        """From now on nobody answers."""
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._port), timeout=5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            asked = threading.Event()
            for source, target, keep in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(source, target, asked, keep), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, asked: threading.Event, keep: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    self.reached += data
                    self._look()
                    asked.set()
                elif asked.is_set():
                    asked.clear()
                    time.sleep(self._delay)
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _look(self) -> None:
        if self._when is not None and self._when[0] in self.reached:
            then, self._when = self._when[1], None
            then()


@dataclass
class LlamaServer:
    """A running server. ``base_url`` is that of the record before it."""

    model: str
    context: int
    sees: bool
    process: subprocess.Popen[str]
    record: Record
    hears: bool = False
    base_url: str = field(init=False)

    def __post_init__(self) -> None:
        self.base_url = f"http://127.0.0.1:{self.record.port}/v1"

    @property
    def reached(self) -> bytes:
        """Every byte that was sent to it since it was started or ``record.forget()`` was called."""
        return bytes(self.record.reached)

    def kill(self) -> None:
        """As when the system runs out of memory: it is gone, and nothing listens there any more."""
        self.record.close()
        self.process.kill()
        self.process.wait(300)

    def row(self, name: str, **more: str) -> str:
        """Its host row, as a user writes it into ``intermodal.toml``. ``more`` are further keys of the model."""
        kinds = json.dumps(["text", *(["image"] if self.sees else []), *(["audio"] if self.hears else [])])
        lines = [
            f"[hosts.{name}]", f'base_url = "{self.base_url}"', 'zone = "machine"', "forced_json = true",
            f"[[hosts.{name}.models]]", f'id = "{self.model}"', f"input = {kinds}", f"context = {self.context}",
            'tier = "tiny"', 'tokenizer = "smollm2"', *(['image_tokens = "fixed:16"'] if self.sees else []),
            *(f"{key} = {value}" for key, value in more.items()),
        ]  # fmt: skip
        return "\n".join(lines) + "\n"


@contextmanager
def llama_server(
    *, eye: Path | None = None, ear: Path | None = None, context: int = 0, embeds: bool = False, template: str = ""
) -> Iterator[LlamaServer]:
    """SmolLM2 behind llama.cpp's own server; with a projector it sees, or takes sound. ``template``: another than its
    own, which has no words for tools.

    Raises RuntimeError when it does not come up.

    One thread each: llama.cpp's threads wait for each other by spinning, and with more threads than idle cores a token
    takes seconds (0.3 tokens a second were measured with two threads on two cores that others used).
    """
    context = context or (EYE_CONTEXT if eye or ear else TEXT_CONTEXT)
    model = EYE_MODEL if eye else EAR_MODEL if ear else TEXT_MODEL
    given = {
        "model": str(weights_of("smollm2-135m-instruct")), "alias": model, "context": context,
        "eye": str(eye or ear or ""), "embeds": embeds, "template": template,
    }  # fmt: skip
    with _child([sys.executable, "-c", _PROGRAM, json.dumps(given)]) as (process, port):
        record = Record(port)
        try:
            yield LlamaServer(model, context, eye is not None, process, record, hears=ear is not None)
        finally:
            record.close()


@contextmanager
def ear_server(*, beam: int = 1) -> Iterator[int]:
    """Whisper base behind OpenAI's transcription wire; its port."""
    program = str(Path(__file__).with_name("ear.py"))
    with _child([sys.executable, program, str(weights_of("whisper-base")), str(beam)]) as (_, port):
        yield port


def weights_of(name: str) -> Path:
    """Raises RuntimeError when they were not pulled."""
    path = _WEIGHTS.path(name)
    if path is None:
        raise RuntimeError(f"the weights of {name} are missing; run `make setup`")
    return path


@contextmanager
def _child(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server process that prints where it listens."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"the server did not come up (it ended with {process.wait(300)})")
            yield process, int(address.rpartition(":")[2])
        finally:
            process.kill()


# ---- what may not be among the bytes -----------------------------------------------------------------

_HEADS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"II*\x00", b"BM")  # of files that are sent as they are
_PICTURE = (b"image_url", b"input_image", b"data:image", b"iVBORw0KGgo", b"/9j/", b"UklGR", b"R0lGOD", *_HEADS[:2])
WINDOW = 24  # bytes: no two files share so many by chance


def trace_of(reached: bytes, *originals: bytes) -> str:
    """What shows that an image was among the bytes, "" when nothing does.

    Looked for: how any image begins, raw and in base64; what the chat wire calls one; and pieces from all over the
    originals, raw and in base64 at each of its three alignments.
    """
    for mark in _PICTURE:
        if mark in reached:
            return f"{mark!r}"
    for original in originals:
        for start in range(0, max(1, len(original) - WINDOW), max(1, len(original) // 64)):
            piece = original[start : start + WINDOW]
            if len(set(piece)) < WINDOW // 3:
                continue  # a run of one colour proves nothing
            for shift in range(3):
                # The first and last characters of base64 depend on the neighbours; the middle does not.
                coded = base64.b64encode(bytes(shift) + piece)[4:-4]
                if piece in reached or coded in reached:
                    return f"bytes {start} to {start + WINDOW} of the original"
    return ""


__all__ = [
    "EAR", "EYE", "EYE_CONTEXT", "EYE_MODEL", "TEXT_CONTEXT", "TEXT_MODEL", "LlamaServer", "Record", "ear_server",
    "llama_server", "trace_of", "weights_of",
]  # fmt: skip
