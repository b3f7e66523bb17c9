"""Signs of life while nothing is heard of a call."""

from __future__ import annotations

import anyio
import pytest

from intermodal.executor import route_run
from intermodal.executor.route_run import with_heartbeat

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route_run, "EVERY", 0.01)


async def test_a_long_call_gives_signs_until_it_ends_and_its_result_is_passed_on() -> None:
    told: list[float] = []

    async def work() -> str:
        with anyio.fail_after(300):
            while len(told) < 3:
                await anyio.sleep(0.01)
        return "done"

    assert await with_heartbeat(work, told.append, lambda: False) == "done"
    count = len(told)
    assert count >= 3
    assert told == sorted(told)
    await anyio.sleep(0.05)
    assert len(told) == count, "nothing after the end"


async def test_words_are_sign_enough() -> None:
    told: list[float] = []

    async def work() -> None:
        await anyio.sleep(0.1)

    await with_heartbeat(work, told.append, lambda: True)
    assert told == []


async def test_a_failure_is_raised_as_it_was() -> None:
    async def work() -> None:
        raise ValueError("as it was")

    with pytest.raises(ValueError, match="as it was"):
        await with_heartbeat(work, lambda waited: None, lambda: False)


async def test_cancelling_ends_the_call_and_the_signs() -> None:
    told: list[float] = []
    with anyio.move_on_after(0.05) as scope:
        await with_heartbeat(anyio.sleep_forever, told.append, lambda: False)
    assert scope.cancelled_caught
    count = len(told)
    await anyio.sleep(0.05)
    assert len(told) == count
