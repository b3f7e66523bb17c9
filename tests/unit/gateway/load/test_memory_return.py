"""What a gateway gives back of the memory it no longer needs."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.gateway import server

SCRIPT = """
from pathlib import Path
from intermodal.gateway.process.allocator import release_memory, set_malloc_options

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

assert set_malloc_options()
blocks = [bytes(16_000) for _ in range(4_000)]
kept = blocks[::50]  # some stay between those that go
held = resident()
del blocks
before = resident()
release_memory()
print((before - resident()) / held)
"""

HEAPS = """
import sys, threading
from pathlib import Path
from intermodal.gateway.process.allocator import set_malloc_options

assert len(sys.argv) == 1 or set_malloc_options()
ready, done = threading.Barrier(9), threading.Barrier(9)

def work():
    ready.wait()
    held = [bytes(4_000) for _ in range(500)]
    done.wait()
    del held

for _ in range(8):
    threading.Thread(target=work).start()
ready.wait()
done.wait()
HEAP = 64 << 20  # bytes: where glibc puts the heaps of threads, each at a multiple of that
starts = [int(line.partition("-")[0], 16) for line in Path("/proc/self/maps").read_text().splitlines()]
print(sum(not start % HEAP for start in starts))
"""

BESIDE = """
import gc, sys, threading
import msgspec
from intermodal.gateway.process.allocator import allow_thread_switches

gc.set_threshold(5_000)
sys.setswitchinterval(0.0002)
allow_thread_switches()
body = b"[" + b",".join([b'{"role":"user","content":[{"type":"text","text":"x"}]}'] * 100_000) + b"]"
rounds = lambda: gc.get_stats()[0]["collections"]
seen, ended = set(), threading.Event()

def look():
    while not ended.is_set():
        seen.add(rounds())

beside = threading.Thread(target=look)
beside.start()
first = rounds()
made = msgspec.json.decode(body)  # one call, in which circles are looked for many times
last = rounds()
ended.set()
beside.join()
print(len([each for each in seen if first < each < last]))
"""

NAMES = """
import sys
from intermodal.local.embedded import piper, tesseract
from intermodal.local.hardware.machine import machine_snapshot

sys.executable = "/opt/of-nobody-else/bin/python"
intern = sys.intern

def watched(name):
    copy = name[:1] + name[1:]
    if len(name) > 1 and intern(copy) is copy:
        print(name)  # and nobody keeps it
    return intern(name)

def look():
    piper.program(), tesseract.program(), machine_snapshot()

look()
sys.intern = watched
look()
"""


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="circles are looked for between calls there")
def test_other_threads_have_turns_while_one_call_decodes_a_large_body() -> None:
    made = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True, check=True)
    assert int(made.stdout) > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim is glibc's")
def test_memory_that_is_free_between_what_stays_is_given_back() -> None:
    made = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert float(made.stdout) > 0.4


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt's option is glibc's")
def test_threads_allocate_from_one_heap() -> None:
    def heaps(*options: str) -> int:
        command = [sys.executable, "-c", HEAPS, *options]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert heaps() > 2, "glibc no longer gives threads heaps of their own: the option has nothing to do"
    assert heaps("with options") <= 1  # a mapping of something else may begin there by chance


def test_a_gateway_gives_back_beside_the_loop_while_it_serves(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, where = threading.Event(), set[int]()
    monkeypatch.setattr(server, "_GIVE_BACK", 0.0)
    monkeypatch.setattr(server, "release_memory", lambda: (where.add(threading.get_ident()), given.set()))
    with GatewayServer() as house:
        assert given.wait(300)
        assert house.chat().status_code == 200
        assert house._thread.ident not in where


def test_looking_again_for_programs_and_cards_leaves_no_names_in_the_interpreter() -> None:
    """A gateway looks each second; the table of interned names doubles when it is full of those that are gone."""
    made = subprocess.run([sys.executable, "-c", NAMES], capture_output=True, text=True, check=True)
    assert made.stdout == ""
