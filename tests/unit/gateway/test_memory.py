"""What a gateway gives back of the memory it no longer needs."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.unit.gateway.house import House

from intermodal.gateway import serving

SCRIPT = """
from pathlib import Path
from intermodal.gateway.memory import give_back, keep_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

assert keep_large_blocks()
blocks = [bytes(16_000) for _ in range(4_000)]
kept = blocks[::50]  # some stay between those that go
held = resident()
del blocks
before = resident()
give_back()
print((before - resident()) / held)
"""

BESIDE = """
import gc, sys, threading
import msgspec
from intermodal.gateway.memory import take_turns_in_calls

gc.set_threshold(5_000)
sys.setswitchinterval(0.0002)
take_turns_in_calls()
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


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="circles are looked for between calls there")
def test_other_threads_have_turns_while_one_call_decodes_a_large_body() -> None:
    made = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True, check=True)
    assert int(made.stdout) > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim is glibc's")
def test_memory_that_is_free_between_what_stays_is_given_back() -> None:
    made = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert float(made.stdout) > 0.4


def test_a_gateway_gives_back_beside_the_loop_while_it_serves(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, where = threading.Event(), set[int]()
    monkeypatch.setattr(serving, "_GIVE_BACK", 0.0)
    monkeypatch.setattr(serving, "give_back", lambda: (where.add(threading.get_ident()), given.set()))
    with House() as house:
        assert given.wait(20)
        assert house.chat().status_code == 200
        assert house._thread.ident not in where
