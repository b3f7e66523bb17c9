"""Parses a JSON answer and validates it against its schema, within a budget of steps.

Work that untrusted input can prolong does not block the event loop: short work is done immediately; work that turns out
to be longer starts again in a thread, which yields the interpreter after each slice of steps. It ends when its budget
is spent or it is cancelled.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

import msgspec

from intermodal import errors
from intermodal.catalog.schema_enforcement import ANY_OBJECT
from intermodal.catalog.types import Host
from intermodal.core.content import Value
from intermodal.core.hints import hint
from intermodal.core.request import JsonOutput
from intermodal.json_schema import (
    BudgetExhausted,
    StepBudget,
    align_value,
    cached_schema,
    read_json,
    repair,
    schema_prompt,
)

_FENCE = "```"
_BEGIN = re.compile(r"[{\[]")
_MAX_TRIED_POSITIONS = 8  # positions of an answer at which a value is tried


class ParsedAnswer(Value, frozen=True):
    """The JSON value of an answer, or its problem.

    ``problem``: "" if ``data`` is valid; else what is wrong, in a few words. ``text``: the data as written, without
    surrounding text. ``mended``: the corrections that were made.
    """

    data: Any = None
    text: str = ""
    problem: str = ""
    mended: tuple[str, ...] = ()


def parse(text: str, schema: dict[str, Any], budget: StepBudget, digest: bytes = b"") -> ParsedAnswer:
    """Return the JSON value of an answer that matches the schema.

    Surrounding text and code fences are left out. Slips in the JSON, or values that do not match the schema, are
    corrected if there is a single reading (``json_schema/repair.py``). ``digest``: of the schema (``schema_digest``),
    if known.

    Raises BudgetExhausted if the budget does not suffice for a decision, Cancelled, and whatever ``cached_schema``
    raises.
    """
    try:
        values = _values(text, budget)
    except ValueError as error:
        return ParsedAnswer(problem=f"not JSON ({error})")
    checked = [_validate(each, schema, budget, digest) for each in values]
    valid = [each for each in checked if not each.problem]
    if any(each.data != valid[0].data for each in valid):
        return ParsedAnswer(problem="it holds several answers that differ")
    return (valid or checked)[0]


def _validate(parsed_answer: ParsedAnswer, schema: dict[str, Any], budget: StepBudget, digest: bytes) -> ParsedAnswer:
    """Return a value validated against its schema, corrected if that makes it valid."""
    compiled_schema = cached_schema(schema, budget, digest)
    violation = compiled_schema.violation(parsed_answer.data, budget)
    if violation is None:
        return parsed_answer
    aligned, changes = align_value(parsed_answer.data, schema, budget)
    if changes and compiled_schema.violation(aligned, budget) is None:
        return ParsedAnswer(
            data=aligned, text=json.dumps(aligned, ensure_ascii=False), mended=(*parsed_answer.mended, *changes)
        )
    return msgspec.structs.replace(parsed_answer, problem=str(violation))


def _values(text: str, budget: StepBudget) -> list[ParsedAnswer]:
    """Return the values in an answer: the whole of it, else consecutive lists and objects.

    Raises ValueError if none.
    """
    body = strip_code_fence(text)
    try:
        value, end = read_json(body, 0, budget)
        if end == len(body):
            return [ParsedAnswer(data=value, text=body)]
        raise json.JSONDecodeError("Extra data", body, end)
    except ValueError as error:
        why, position = str(error), 0  # not the error: its traceback holds this frame
    found: list[ParsedAnswer] = []
    for tried in range(_MAX_TRIED_POSITIONS):
        begins = _BEGIN.search(body, position)
        if begins is None:
            break
        try:
            parsed, position = _value(body, begins.start(), budget)
            found.append(parsed)
        except ValueError as error:
            why, position = (str(error) if not tried else why), begins.end()
    if not found:
        raise ValueError(why)
    return found


def _value(body: str, begin: int, budget: StepBudget) -> tuple[ParsedAnswer, int]:
    """Return the list or object that begins at ``begin``, and its end."""
    try:
        value, end = read_json(body, begin, budget)
        return ParsedAnswer(data=value, text=body[begin:end]), end
    except ValueError as error:
        try:
            repaired, end = repair(body, begin, budget)
            value, _ = read_json(repaired, 0, budget)
        except ValueError:
            raise error from None  # models know the messages of Python's parser
        return ParsedAnswer(data=value, text=repaired, mended=("it was not quite JSON",)), end


def strip_code_fence(text: str) -> str:
    """Return the content of a code fence that spans the whole text, or the text itself, stripped.

    >>> strip_code_fence("```json\\n{}\\n```"), strip_code_fence(" {} ")
    ('{}', '{}')
    """
    body = text.strip()
    if not (body.startswith(_FENCE) and body.endswith(_FENCE)) or len(body) < 2 * len(_FENCE):
        return body
    language, line_break, rest = body[len(_FENCE) : -len(_FENCE)].partition("\n")
    language = language.rstrip()
    is_language = not language or (language.isascii() and language.isalpha())
    return rest.strip() if line_break and is_language else body


def is_deliverable_unchanged(parsed: ParsedAnswer, text: str, *, cut: bool, whole: bool) -> bool:
    """Return True if an answer that was not shown yet is returned unchanged: it needs no repair, correction or cut.

    ``cut``: it ended at its limit; ``whole``: as in the request.
    """
    if parsed.problem:
        return cut and not whole
    return not parsed.mended and parsed.text == text.strip()


def fault(
    parsed: ParsedAnswer, *, was_shown: bool, cut: bool, whole: bool, endpoint: str, step: str
) -> errors.OutputInvalid | None:
    """Return the error of an answer that is not requested again; None if it is valid or must be accepted.

    If the answer was ``was_shown``, its corrections are the problem: the client read it uncorrected.
    """
    problem = parsed.problem or ("; ".join(parsed.mended) if was_shown else "")
    if not problem or (cut and not whole):
        return None
    return errors.OutputInvalid(
        "the answer was cut at the length limit before its JSON was whole" if cut
        else f"the answer breaks the schema: {problem}",
        where=endpoint,
        todo=hint("allow more tokens ({max-tokens})") if cut else "use a stronger model, or a simpler schema",
        step=step,
    )  # fmt: skip


def unchecked_error(problem: BudgetExhausted, *, endpoint: str, step: str) -> errors.OutputUnchecked:
    """Return the error for an answer whose schema check exceeds the bound of work."""
    return errors.OutputUnchecked(
        f"an answer came, and it cannot be said whether it fits the schema: {problem}",
        where=endpoint, todo="use a simpler schema, or ask for a shorter answer", step=step,
    )  # fmt: skip


def schema_instruction(schema: JsonOutput, host: Host, *, enforced: bool, speaks_of_json: Callable[[], bool]) -> str:
    """Return the instruction about the answer's schema; "" if the host or a message states it.

    If the answer may be any object, hosts like OpenAI require the word JSON in a message, and nothing more is stated.
    """
    if schema.schema_text:
        return ""
    if not enforced:
        return schema_prompt.embed_schema(schema.schema)
    already_stated = speaks_of_json() if schema.schema == ANY_OBJECT else host.tells_schema
    return "" if already_stated else schema_prompt.describe_schema(schema.schema)


T = TypeVar("T")

INLINE = 2_000  # steps that are taken on the event loop: 0.5 to 2 ms
_TURN_STEPS = 500  # steps after which others have a turn

STEPS = 2_000_000  # steps of one piece of work: half a second to two of processor time

_THREADS = 16  # take turns, so the event loop waits for one slice of one thread at most

_TURN = Lock()


async def run_bounded(work: Callable[[StepBudget], T]) -> T:
    """Return the result of ``work``, done within a budget of steps. It may be started twice.

    Raises BudgetExhausted, and the exceptions of ``work``. Cancelling this also ends the work.
    """
    budget = StepBudget(INLINE)
    try:
        result = work(budget)
    except BudgetExhausted as error:
        if error.deep:
            raise
        return await run_in_thread(work)
    if budget.steps_taken > _TURN_STEPS:
        await asyncio.sleep(0)  # what follows is a turn of the loop of its own
    return result


async def run_in_thread(work: Callable[[StepBudget], T]) -> T:
    """Do ``work`` like ``run_bounded``, but in a thread from the first step, if it is known to take long."""
    budget = StepBudget(STEPS, pause=_yield_now)
    running = asyncio.get_running_loop().run_in_executor(_threads(), _run_in_slices, work, budget)
    try:
        return await running
    finally:
        budget.cancelled = True  # if this was cancelled, the thread continues until it notices


def _run_in_slices(work: Callable[[StepBudget], T], budget: StepBudget) -> T:
    with _TURN:
        return work(budget)


def _yield_now() -> None:
    """Yield to the event loop, and then to other waiting tasks."""
    _TURN.release()
    try:
        time.sleep(0)
    finally:
        _TURN.acquire()


@lru_cache(1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="schema")
