"""Which silence of a worker is a hang, and which is a machine that stood still, a busy one, or a debugger."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.gateway.gateway_server import until

from intermodal.gateway.workers import shared_state
from intermodal.gateway.workers.heartbeat import (
    END_SECONDS,
    PERIOD,
    SILENT_SECONDS,
    HangDetector,
    ProcessActivity,
    StepClock,
    process_activity,
    start_beating,
)


class Watched:
    """One worker as its parent sees it, which looks every ``PERIOD`` unless it is itself held up."""

    def __init__(self) -> None:
        self.now = 100.0
        self.state = "R"
        self.cpu = 7.0
        self.count = 1
        self._clock = StepClock(self.now)
        self._pulse = HangDetector()
        self.look()

    def look(self, after: float = PERIOD, *, cpu: float = 0.0) -> bool:
        self.now += after
        self.cpu += cpu
        return self._pulse.is_hung(
            self.count, self._clock.step(self.now), lambda: ProcessActivity(self.state, self.cpu)
        )

    def killed_after(self, most: float, *, cpu: float = 0.0) -> float | None:
        """Seconds after which it is killed, without a beat; ``cpu``: that it uses of each."""
        began = self.now
        while self.now - began < most:
            if self.look(cpu=cpu * PERIOD):
                return self.now - began
        return None


@pytest.mark.parametrize(("state", "cpu"), [("R", 1.0), ("R", 0.6), ("S", 0.0), ("T", 0.0)])
def test_a_loop_that_turns_no_more_is_found_in_time(state: str, cpu: float) -> None:
    worker = Watched()
    worker.state = state
    found = worker.killed_after(60, cpu=cpu)
    assert found is not None and SILENT_SECONDS <= found <= SILENT_SECONDS + PERIOD


def test_a_worker_that_gets_no_processor_is_slow_and_not_hung() -> None:
    worker = Watched()
    assert worker.killed_after(60, cpu=0.01) is None
    assert worker.killed_after(60, cpu=1.0) is not None, "once it has its turn and still does not beat, it hangs"


@pytest.mark.parametrize("state", ["D", "t"])
def test_a_worker_that_waits_for_a_disk_or_is_held_by_a_debugger_is_left_alone(state: str) -> None:
    worker = Watched()
    worker.state = state
    assert worker.killed_after(60) is None


def test_time_in_which_the_parent_itself_did_not_run_is_not_held_against_a_worker() -> None:
    worker = Watched()
    worker.state = "S"
    for _ in range(5):
        assert not worker.look(3600.0), "the lid was closed for an hour"
        worker.count += 1
        assert not worker.look()


def test_a_worker_that_does_not_serve_yet_may_take_its_time() -> None:
    worker = Watched()
    worker.count = 0
    assert worker.killed_after(60, cpu=1.0) is None


def test_a_worker_whose_loop_is_over_has_longer_and_not_for_ever() -> None:
    beats = shared_state.map_heartbeats(shared_state.create_shared_memory(1), 1)
    beats.end(0)
    beats.beat(0)  # a timer that was due: it stays over
    worker = Watched()
    worker.count = beats.count(0)
    found = worker.killed_after(60)
    assert found is not None and END_SECONDS <= found <= END_SECONDS + 2 * PERIOD


def test_a_loop_beats_in_memory_that_both_map_for_as_long_as_it_turns() -> None:
    shared = shared_state.create_shared_memory(3)
    theirs, ours = shared_state.SharedState(shared, 3), shared_state.map_heartbeats(shared, 3)

    async def beats_thrice() -> None:
        loop = asyncio.get_running_loop()
        start_beating(theirs.beats, 1, loop)
        assert ours.count(1) == 1
        end = loop.time() + 300
        while ours.count(1) < 3:
            assert loop.time() < end
            await asyncio.sleep(0.05)

    asyncio.run(beats_thrice())
    assert ours.count(0) == ours.count(2) == 0
    assert theirs.write(2, b"x" * 1000) and theirs.read(2) == b"x" * 1000, "counts and beats do not overlap"
    ours.reset(1)
    assert ours.count(1) == 0


def test_process_activity_reads_state_and_processor_time() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            until(
                lambda: (found := process_activity(child.pid)) is not None and found.state == "R" and found.cpu > 0.1,
                60,
            )
            os.kill(child.pid, signal.SIGSTOP)
            until(lambda: (found := process_activity(child.pid)) is not None and found.state == "T", 60)
        finally:
            child.kill()
    assert process_activity(child.pid) is None


def test_whoever_waits_for_a_thread_of_its_own_that_works_is_no_sleeper() -> None:
    """A loop may wait for the threads of a library, and these for a processor on a busy machine."""
    works = "import threading\nt = threading.Thread(target=exec, args=('while True: pass',))\nt.start()\nt.join()"
    with subprocess.Popen([sys.executable, "-c", works]) as child:
        try:
            main = Path(f"/proc/{child.pid}/task/{child.pid}/stat")
            until(
                lambda: (
                    main.read_text().rpartition(")")[2].split()[0] == "S" and process_activity(child.pid) is not None
                ),
                60,
            )
            until(
                lambda: (found := process_activity(child.pid)) is not None and found.state == "R" and found.cpu > 0.1,
                60,
            )
        finally:
            child.kill()
