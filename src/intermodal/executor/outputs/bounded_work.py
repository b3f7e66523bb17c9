"""Work that other people's input can make long, done without keeping anybody else waiting.

What is short is done at once, on the event loop; what turns out to be longer is begun again in a thread, which gives
the interpreter back after each slice of steps. There it ends with its budget, or when nobody waits for it any more:
the client left, a deadline passed, the process stops.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from typing import TypeVar

from intermodal.json_schema import BudgetExhausted, StepBudget

T = TypeVar("T")
INLINE = 2_000  # steps that are taken on the loop: 0.5 to 2 ms
STEPS = 2_000_000  # steps of one piece of work: half a second to two of the processor
_THREADS = 16  # take turns, so that the loop waits for one slice of one of them at most
_TURN = Lock()


async def run_bounded(work: Callable[[StepBudget], T]) -> T:
    """What ``work`` returns, done within a budget of steps. It may be begun twice.

    Raises BudgetExhausted, and what ``work`` raises. Cancelling this ends the work, too.
    """
    try:
        return work(StepBudget(INLINE))
    except BudgetExhausted as error:
        if error.deep:
            raise
    budget = StepBudget(STEPS, pause=_give_way)
    running = asyncio.get_running_loop().run_in_executor(_threads(), _in_turns, work, budget)
    try:
        return await running
    finally:
        budget.cancelled = True  # where this was cancelled, the thread goes on until it sees that


def _in_turns(work: Callable[[StepBudget], T], budget: StepBudget) -> T:
    with _TURN:
        return work(budget)


def _give_way() -> None:
    """Let the loop have the interpreter, and then whoever else waits for a turn."""
    _TURN.release()
    try:
        time.sleep(0)
    finally:
        _TURN.acquire()


@lru_cache(1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="schema")
