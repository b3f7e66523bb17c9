"""What is large is freed in a thread, slice by slice, and not by who lets go of it last."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.call_counts import CallCount

from intermodal.concurrency import offload as offload_module
from intermodal.concurrency.offload import LARGE, LOOKS, SLICE, free_in_background, offload
from intermodal.core.content import Value

_LONG = 60.0  # seconds in which what is waited for comes on any machine


class Told:
    """Says where it was freed."""

    def __init__(self, where: list[str]) -> None:
        self._where = where

    def __del__(self) -> None:
        self._where.append(threading.current_thread().name)


class Holder(Value):
    held: tuple[Any, ...]


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + _LONG
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "shape", [tuple, list, lambda made: dict(enumerate(made)), lambda made: Holder(held=tuple(made))]
)
def test_what_is_large_is_freed_in_a_thread(shape: Callable[[list[Told]], Any]) -> None:
    where: list[str] = []
    made = shape([Told(where) for _ in range(LARGE)])
    for _ in range(3):  # the same one may come several times
        free_in_background(made)
    del made
    until(lambda: len(where) == LARGE)
    assert set(where) == {"intermodal-freeing"}


def test_what_has_many_parts_is_looked_through_in_the_thread() -> None:
    where: list[str] = []
    large = [Told(where) for _ in range(LARGE)]
    made = Holder(held=(*(Holder(held=(number,)) for number in range(LARGE - 2)), large))
    with CallCount() as count:
        free_in_background(made)
    assert count.calls < 10 * LOOKS
    del made, large
    until(lambda: len(where) == LARGE)
    assert set(where) == {"intermodal-freeing"}


def test_what_somebody_holds_stays() -> None:
    where: list[str] = []
    made = tuple(Told(where) for _ in range(LARGE))
    other: list[str] = []
    free_in_background(made)
    free_in_background([Told(other) for _ in range(LARGE)])
    until(lambda: len(other) == LARGE)
    assert not where and len(made) == LARGE


def test_others_have_the_interpreter_between_two_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[str] = []
    freed: list[int] = []
    monkeypatch.setattr(offload_module.time, "sleep", lambda seconds: freed.append(len(where)))
    free_in_background([Told(where) for _ in range(4 * LARGE)])
    while len(where) < 4 * LARGE:
        threading.Event().wait(0.01)
    assert max(after - before for before, after in zip([0, *freed], freed, strict=False)) <= SLICE


@pytest.mark.anyio
async def test_objects_made_in_a_thread_are_freed_in_a_thread() -> None:
    where: list[str] = []
    made = await offload(True, lambda: [Told(where) for _ in range(LARGE)])
    assert len(made) == LARGE and not where
    del made
    end = time.monotonic() + _LONG
    while len(where) < LARGE:  # the loop holds what a task was woken with until the task waits again
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.01)
    assert set(where) == {"intermodal-freeing"}
