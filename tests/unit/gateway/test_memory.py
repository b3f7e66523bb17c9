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
