"""A machine that stands still in the middle of a test: a lid that is closed, a host that lets its guests wait.

Whatever waited for something has then waited too long, and tests fail that are as they should be. Such a test is run
once more, and is counted as a rerun. A test that fails while the machine runs has failed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic  # a test may forbid to look at the clock

import pytest

BEAT = 0.1
STILL = 0.8  # seconds without a beat. Two workers on two cores beside models that compute: 0.5 at most in a whole run


class LoopHeartbeat:
    """A thread that notes the longest time it was not woken when it should have been."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        last = monotonic()
        while not self._stopped.wait(BEAT):
            now = monotonic()
            self.longest = max(self.longest, now - last - BEAT)
            last = now

    def stood_still(self) -> bool:
        """Whether the machine stood still since ``longest`` was set to zero."""
        return self.longest > STILL

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


class SuspendedMachine:
    """Plugin of pytest: lets pytest-rerunfailures run such tests again."""

    def __init__(self) -> None:
        self.heart = LoopHeartbeat()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        again = pytest.mark.flaky(reruns=1, condition=self.heart.stood_still)
        for item in items:
            item.add_marker(again)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        self.heart.longest = 0.0
        return (yield)

    def pytest_unconfigure(self) -> None:
        self.heart.stop()
