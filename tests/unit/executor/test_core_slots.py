"""Conversions of several files share the cores of a machine: side by side where they suffice, and never beyond."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.unit.executor.routes import (
    EAR,
    EYE,
    Bench,
    FakeMedia,
    FakeRuntimes,
    asked,
    hear,
    look,
    pages,
    plan,
    rename,
    route,
    say,
    until,
    using,
)

from intermodal import errors
from intermodal.executor.run_state import CoreSlots
from intermodal.local.embedded.results import OcrResult, SpeechResult
from intermodal.plans.cpu_schedule import DECODER_USE, CoreUse, core_use
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio


class Hall:
    """Who is at work now. What meets waits there until so many are, so that a run ends only if they overlap."""

    def __init__(self, meeting: int = 1) -> None:
        self.meeting = meeting
        self.now = Counter[str]()
        self.most = Counter[str]()
        self.cores = 0
        self.most_cores = 0
        self.met = anyio.Event()

    @asynccontextmanager
    async def at_work(self, who: str, cores: int) -> AsyncIterator[None]:
        self.now[who] += 1
        self.cores += cores
        self.most[who] = max(self.most[who], self.now[who])
        self.most_cores = max(self.most_cores, self.cores)
        try:
            if sum(self.now.values()) >= self.meeting:
                self.met.set()
            await self.met.wait()
            await anyio.sleep(0)
            yield
        finally:
            self.now[who] -= 1
            self.cores -= cores


class Decoders(FakeMedia):
    def __init__(self, hall: Hall) -> None:
        super().__init__()
        self.hall = hall

    async def page_text(self, data: bytes, pages: tuple[int, ...], **options: Any) -> tuple[str, ...]:
        async with self.hall.at_work("decoder", 1):
            return await super().page_text(data, pages)


class Networks(FakeRuntimes):
    """An ear and an eye that take the threads which the rules give them."""

    def __init__(self, hall: Hall, cores: int) -> None:
        super().__init__()
        self.hall = hall
        self.threads = {each.id: core_use(each, cores).cores for each in (EAR, EYE)}

    async def transcribe(self, *given: Any, **options: Any) -> SpeechResult:
        async with self.hall.at_work("ear", self.threads[EAR.id]):
            return await super().transcribe(*given, **options)

    async def recognize_text(self, *given: Any, **options: Any) -> OcrResult:
        async with self.hall.at_work("eye", self.threads[EYE.id]):
            return await super().recognize_text(*given, **options)


FILES = ("call.wav", "invoice.png", "a.pdf", "b.pdf", "c.pdf", "receipt.png")
STEPS = (hear(1), look(2), *(pages("extract", "1", part) for part in (3, 4, 5)), look(6))
MADE = ("step:hear1r", "step:look2", *(f"step:extract{part}" for part in (3, 4, 5)), "step:look6")


async def converted(bench: Bench, host: FakeHost, hall: Hall, cores: int, decoders: int) -> None:
    """One run over a recording, two images and three documents, on a machine with so many cores."""
    (model,) = using(bench, host)
    bench.media, bench.runtimes = Decoders(hall), Networks(hall, cores)
    request, opened = asked("?", *FILES)
    chosen = rename(route(*STEPS, say(model, *MADE)), cores=cores, decoders=decoders)
    with anyio.fail_after(300):
        result = await bench.run(plan(chosen), request, opened)
    assert {actual.step for actual in result.actuals} >= {step.id for step in STEPS}
    assert not hall.cores


async def test_a_transcriber_a_vision_model_and_decoders_work_at_the_same_time(bench: Bench, host: FakeHost) -> None:
    """Each waits until three are at work: a run that does one thing after another never ends."""
    hall = Hall(meeting=3)
    await converted(bench, host, hall, cores=9, decoders=3)
    assert bench.media.trimmed == 1, "what was started for several files at once is ended before the answer"


async def test_documents_are_parsed_at_the_same_time_on_two_cores(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    bench.media = Decoders(Hall(meeting=2))
    request, opened = asked("?", "a.pdf", "b.pdf")
    steps = (pages("extract", "1", 1), pages("extract", "1", 2))
    chosen = rename(route(*steps, say(model, "step:extract1", "step:extract2")), cores=2, decoders=2)
    with anyio.fail_after(300):
        await bench.run(plan(chosen), request, opened)


@pytest.mark.parametrize(("cores", "decoders"), [(1, 1), (2, 2), (4, 2), (8, 1), (8, 8), (16, 8)])
async def test_no_more_cores_are_taken_than_there_are(bench: Bench, host: FakeHost, cores: int, decoders: int) -> None:
    hall = Hall()
    await converted(bench, host, hall, cores, decoders)
    assert hall.most_cores <= cores
    assert hall.most["ear"] == hall.most["eye"] == 1, "there is one process of each"
    assert hall.most["decoder"] <= decoders


async def test_a_run_that_fails_leaves_nothing_at_work(bench: Bench, host: FakeHost) -> None:
    hall = Hall(meeting=3)

    class Broken(Networks):
        async def recognize_text(self, *given: Any, **options: Any) -> OcrResult:
            async with self.hall.at_work("eye", self.threads[EYE.id]):
                raise errors.InputBroken("cannot be decoded", where="invoice.png")

    (model,) = using(bench, host)
    bench.media, bench.runtimes = Decoders(hall), Broken(hall, 9)
    request, opened = asked("?", *FILES)
    chosen = rename(route(*STEPS, say(model, *MADE)), cores=9, decoders=3)
    with pytest.raises(errors.InputBroken), anyio.fail_after(300):
        await bench.run(plan(chosen), request, opened)
    assert not hall.cores


async def test_what_has_converted_ends_before_the_answer_where_the_plan_has_no_memory_for_both(
    bench: Bench, host: FakeHost
) -> None:
    (model,) = using(bench, host)
    request, opened = asked("?", "call.wav", "invoice.png")
    chosen = rename(route(hear(1), look(2), say(model, "step:hear1r", "step:look2")), ends=(EAR.id,))
    await bench.run(plan(chosen), request, opened)
    assert bench.runtimes.calls[-1] == f"unload {EAR.id} if idle", "nobody else's call is cut"
    assert sum(call.startswith("unload") for call in bench.runtimes.calls) == 1


async def test_a_model_that_converts_ends_after_its_last_step_where_no_other_run_follows(
    bench: Bench, host: FakeHost
) -> None:
    (model,) = using(bench, host)
    request, opened = asked("?", "call.wav", "invoice.png", "other.wav")
    chosen = route(hear(1), look(2), hear(3), say(model, "step:hear1r", "step:look2", "step:hear3r"))
    bench.options["keep_loaded"] = False
    await bench.run(plan(chosen), request, opened)
    calls = bench.runtimes.calls
    ended = [call for call in calls if call.startswith("unload")]
    assert sorted(ended) == sorted([f"unload {EAR.id} if idle", f"unload {EYE.id} if idle"]), "each once"
    heard = [place for place, call in enumerate(calls) if call.startswith("transcribe")]
    assert len(heard) == 2 and calls.index(f"unload {EAR.id} if idle") > max(heard), "not between its two"


# ---- places --------------------------------------------------------------------------------------


async def test_cancelled_steps_give_back_what_they_had_and_leave_the_queue() -> None:
    places = CoreSlots(cores=2, decoders=2)
    order: list[str] = []

    async def step(name: str, use: CoreUse) -> None:
        async with places.hold(use):
            order.append(name)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(step, "first", DECODER_USE)
        await until(lambda: order == ["first"])
        async with anyio.create_task_group() as doomed:
            doomed.start_soon(step, "reader", CoreUse(2, "reader"))  # waits for both cores
            await anyio.wait_all_tasks_blocked()
            doomed.start_soon(step, "second", DECODER_USE)  # behind it, though a core is idle
            await anyio.wait_all_tasks_blocked()
            assert order == ["first"]
            doomed.cancel_scope.cancel()
        group.start_soon(step, "third", DECODER_USE)
        await until(lambda: order == ["first", "third"])
        group.cancel_scope.cancel()
    async with places.hold(CoreUse(2, "reader")):
        order.append("all of it")
    assert order[-1] == "all of it"


async def test_who_needs_many_cores_is_not_overtaken_for_ever() -> None:
    places = CoreSlots(cores=2, decoders=2)
    order: list[str] = []
    go = {name: anyio.Event() for name in ("a", "b", "reader", "c")}

    async def step(name: str, use: CoreUse) -> None:
        async with places.hold(use):
            order.append(name)
            await go[name].wait()

    async with anyio.create_task_group() as group:
        for name, use in (("a", DECODER_USE), ("b", DECODER_USE), ("reader", CoreUse(2, "reader")), ("c", DECODER_USE)):
            group.start_soon(step, name, use)
            await anyio.wait_all_tasks_blocked()
        go["a"].set()
        await anyio.wait_all_tasks_blocked()
        assert order == ["a", "b"], "the reader's turn is next, and it needs both"
        go["b"].set()
        await until(lambda: order == ["a", "b", "reader"])
        go["reader"].set()
        await until(lambda: order == ["a", "b", "reader", "c"])
        go["c"].set()


async def test_who_waits_for_a_busy_process_keeps_nobody_else_waiting() -> None:
    places = CoreSlots(cores=4, decoders=4)
    async with anyio.create_task_group() as group:
        begun: list[str] = []

        async def step(name: str, use: CoreUse) -> None:
            async with places.hold(use):
                begun.append(name)
                await anyio.sleep_forever()

        for name, use in (("one", CoreUse(2, "reader")), ("two", CoreUse(2, "reader")), ("pdf", DECODER_USE)):
            group.start_soon(step, name, use)
        await until(lambda: begun == ["one", "pdf"])
        group.cancel_scope.cancel()
