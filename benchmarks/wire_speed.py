"""What the wires cost: a picture into and out of a body, and the first word of an answer beside a bare HTTP client.

    python benchmarks/wire_speed.py [RUNS] [codecs|words]

Codecs: a chat request with one picture, encoded and decoded again, RUNS (31) times; memory is what is
allocated at the peak, the body itself left out (``tracemalloc``). The first word: a server in a process of its own
streams at once; a bare httpx client and ``AsyncClient.execute`` (planned before) ask it in turn, ten times RUNS each,
over connections that are open already: once as a server of this machine, which costs nothing, and once as a host whose
price nobody knows, so that its row has to be on disk first. The profile is of the first, up to its first word.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import httpx
import report
from home import fresh_home

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.catalog.types import Host
from intermodal.client.async_client import AsyncClient
from intermodal.client.request_builder import make_request
from intermodal.config import config_file
from intermodal.core.request import Zone
from intermodal.events import TextDelta
from intermodal.protocols.anthropic import codec as anthropic_codec
from intermodal.protocols.anthropic import server as anthropic_server
from intermodal.protocols.calls import ChatCall, EncodedRequest, WireImage, WireMessage, WireText
from intermodal.protocols.ollama import codec as ollama_codec
from intermodal.protocols.ollama import server as ollama_server
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.protocols.openai_chat import server as openai_chat_server
from intermodal.protocols.openai_responses import codec as openai_responses_codec
from intermodal.protocols.openai_responses import server as openai_responses_server

# Writer and reader of the requests of each protocol that the gateway serves, too.
WIRES: tuple[tuple[ModuleType, ModuleType], ...] = (
    (openai_chat_codec, openai_chat_server),
    (openai_responses_codec, openai_responses_server),
    (anthropic_codec, anthropic_server),
    (ollama_codec, ollama_server),
)
MIB = 1 << 20
KINDS: tuple[tuple[str, Zone], ...] = (("free", "machine"), ("may cost", "internet"))
MEMORY = "/dev/shm"  # a folder without a disk, on Linux
HOST = Host(id="h")


def call_of(size: int) -> ChatCall:
    parts = (WireImage(data=os.urandom(size)), WireText(text="What is this?"))
    return ChatCall(model="m", messages=(WireMessage(role="user", parts=parts),))


def timed(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Milliseconds of the processor, the least of all runs, and of the clock, their median; the first counts not."""
    work()
    spent, took = [], []
    for _ in range(runs):
        processor, clock = time.process_time(), time.perf_counter()
        work()
        spent.append((time.process_time() - processor) * 1000)
        took.append((time.perf_counter() - clock) * 1000)
    return min(spent), report.median(took)


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    kept = work()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return found


def codecs(runs: int) -> str:
    rows = []
    for size in (MIB, 20 * MIB):  # the allocator learns from what is freed which sizes to keep
        openai_chat_server.decode_request(b"".join(openai_chat_codec.encode_request(call_of(size), HOST).segments))
    for codec, server in WIRES:
        took: dict[int, tuple[tuple[float, float], tuple[float, float]]] = {}
        memory = ""
        for size in (MIB, 20 * MIB):
            call = call_of(size)
            encoded: EncodedRequest = codec.encode_request(call, HOST)
            body = b"".join(encoded.segments)

            def encode(call: ChatCall = call, codec: Any = codec) -> object:
                return codec.encode_request(call, HOST)

            def decode(body: bytes = body, server: Any = server) -> object:
                return server.decode_request(body)

            took[size] = timed(encode, runs), timed(decode, runs)
            memory = f"{peak(encode) / len(body):.2f}, {peak(decode) / len(body):.2f}"
        (small_in, small_out), (large_in, large_out) = took[MIB], took[20 * MIB]
        both = small_in[1] + small_out[1]
        rows.append(
            (
                codec.__name__.split(".")[-2],
                *(f"{best:.2f} ({median:.2f})" for best, median in (small_in, small_out)),
                f"{both:.2f}",
                *(f"{best:.1f} ({median:.1f})" for best, median in (large_in, large_out)),
                f"{large_in[0] / small_in[0]:.1f}, {large_out[0] / small_out[0]:.1f}",
                memory,
            )
        )
    head = (
        "wire",
        "1 MiB encoded",
        "decoded",
        "both",
        "20 MiB encoded",
        "decoded",
        "20 MiB over 1 MiB",
        "peak over body",
    )
    return report.table(head, rows)


Word = tuple[float, float]  # milliseconds of the clock and of the processor


async def first_words(runs: int, url: str, zone: Zone) -> tuple[list[Word], list[Word], str]:
    """Milliseconds to the first word: of a bare client, of ours; and where ours go."""
    row = ServedRow(id="box/chat-70b", served_as="m", context=8192)
    config_file.add_host(os.environ, HostRow(id="box", base_url=url, zone=zone, models=(row,)))
    bare: list[Word] = []
    ours: list[Word] = []
    body = {"model": "m", "messages": [{"role": "user", "content": "Well?"}], "stream": True, "max_tokens": 512}
    async with AsyncClient() as client, httpx.AsyncClient() as http:
        prepared = await client.prepare(make_request("Well?", model="box/chat-70b"))
        plan = await client.plan(prepared.inputs.request)

        def now() -> Word:
            return time.perf_counter() * 1000, time.process_time() * 1000

        async def one_bare() -> Word:
            began, found = now(), (0.0, 0.0)
            async with http.stream("POST", f"{url}/chat/completions", json=body) as reply:
                async for piece in reply.aiter_bytes():
                    if not found[0] and b'"content"' in piece:
                        found = now()
            return found[0] - began[0], found[1] - began[1]

        async def one_of_ours(profile: cProfile.Profile | None = None) -> Word:
            if profile is not None:
                profile.enable()
            began, found = now(), (0.0, 0.0)
            async with aclosing(client.execute(prepared, plan)) as events:
                async for event in events:
                    if not found[0] and isinstance(event, TextDelta):
                        found = now()
                        if profile is not None:
                            profile.disable()
            return found[0] - began[0], found[1] - began[1]

        for _ in range(20):
            await one_bare()
            await one_of_ours()
        for _ in range(10 * runs):
            bare.append(await one_bare())
            ours.append(await one_of_ours())
        profile = cProfile.Profile()
        for _ in range(100):
            await one_of_ours(profile)
    return bare, ours, _where(profile)


def _where(profile: cProfile.Profile) -> str:
    """The functions with the most time of their own, per run."""
    stats: Any = pstats.Stats(profile)
    rows = sorted(stats.stats.items(), key=lambda pair: -pair[1][2])[:14]
    named = []
    for (file, line, name), (_, calls, own, together, _) in rows:
        place = Path(file).name + (f":{line}" if line else "") if file != "~" else "built in"
        named.append((f"`{name}`", place, f"{calls / 100:.0f}", f"{own * 10:.3f} ms", f"{together * 10:.3f} ms"))
    return report.table(("function", "where", "calls a run", "its own", "with what it calls"), named)


def asked(bare: list[Word], ours: list[Word]) -> list[tuple[str, list[Word]]]:
    more = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(bare, ours, strict=True)]
    return [("bare httpx", bare), ("`AsyncClient.execute`", ours), ("difference", more)]


def told(words: list[Word]) -> tuple[str, ...]:
    clock, processor = zip(*words, strict=True)
    return (
        f"{report.median(processor):.2f} ms",
        *(f"{report.percentile(clock, share):.2f} ms" for share in (0.1, 0.5, 0.9)),
    )


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 31
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    if only != "words":
        measured_codecs(runs)
    if only != "codecs":
        measured_words(runs)


def measured_codecs(runs: int) -> None:
    table = codecs(runs)
    notes = (
        "Milliseconds of the processor, the median by the clock in brackets (a machine that does other things too "
        "gives it away for a while); `both` is by the clock, the ratio of the processor's. Peak: encode, decode, of "
        "the 20 MiB, the body itself left out. "
        "Goals: 3 ms for encode and decode of 1 MiB, 20 times that for 20 MiB, 1.5 bodies of memory."
    )
    report.write("wire", "Wires", f"{table}\n\n{notes}")


def _first() -> bool:
    """Whether others had to wait: ``chrt -f 20 python benchmarks/wire_speed.py 31 words``, on a shared machine."""
    return hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) == os.SCHED_FIFO


def measured_words(runs: int) -> None:
    rows, where = list[tuple[str, ...]](), ""
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("wire_server.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None and server.stdin is not None
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        for kind, zone in KINDS:
            for place, folder in (("on disk", None), ("in memory", MEMORY)):
                if folder is None or Path(folder).is_dir():
                    tempfile.tempdir = folder
                    with fresh_home() as env:
                        os.environ.update(env)
                        bare, ours, found = anyio.run(first_words, runs, url, zone)
                    where = where or found
                    rows += [(f"{name}, {kind}, store {place}", *told(times)) for name, times in asked(bare, ours)]
    finally:
        server.stdin.close()
        server.wait(5)
    words = report.table(("first word", "processor", "best tenth", "median", "p90"), rows)
    disk = (
        f"Goal: 1 ms more than a bare client. {10 * runs} pairs each, in turn. A free call's row is written when its "
        "first word is out. Of one that may cost something it is on disk before the first byte is sent: there a commit "
        "is added. Processor: of this process, all its threads, in the median."
        f"{' Client and server ran at real-time priority, as the machine was doing other things.' * _first()}"
    )
    profile = f"### Where ours go (under a profiler, which makes all of it slower)\n\n{where}"
    report.write("first_word", "The first word", f"{words}\n\n{disk}\n\n{profile}")


if __name__ == "__main__":
    main()
