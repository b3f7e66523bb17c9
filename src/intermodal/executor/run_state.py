"""The state shared by the routes of a run: the request, finished conversions, data sent off this machine,
cores in use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from intermodal import errors
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.core.content import Part, Value
from intermodal.core.request import Request
from intermodal.events import Event, Note
from intermodal.executor.attempt.ledger import RunLedger
from intermodal.executor.attempt.step_caller import StepCaller
from intermodal.executor.dependencies import Dependencies, OpenedMediaLike
from intermodal.executor.preparation.model_inputs import StepProduct
from intermodal.executor.preparation.part_inputs import InputPreparer
from intermodal.plans.cpu_schedule import CoreUse, concurrent_steps
from intermodal.plans.plan import Candidate, calls_of, send_fields
from intermodal.plans.step import Call, Transform


class FinishedConversion(Value, frozen=True):
    """A finished conversion: its product, the product's size in tokens, and the findings of its checks."""

    step: Transform | Call
    product: StepProduct
    tokens: dict[str, int]
    problem: str = ""
    message: str = ""


class RunState:
    """The request of a run, its files, and everything converted so far."""

    def __init__(
        self,
        request: Request,
        opened_media: OpenedMediaLike,
        dependencies: Dependencies,
        caller: StepCaller,
        emit: Callable[[Event], Awaitable[None]],
        parts: Sequence[Part],
    ) -> None:
        self.request = request
        self.opened_media = opened_media
        self.dependencies = dependencies
        self.caller = caller
        self.emit = emit
        self.egress = EgressLog(caller.ledger, dependencies.catalog)
        self.products: dict[str, StepProduct] = {}
        self.finished: dict[str, FinishedConversion] = {}  # finished conversions with the findings of their checks
        # Notes that a file has no content, by op and part. They are held back until it is known whether the answer
        # states it.
        self.held_notes: dict[tuple[str, int], list[Note]] = {}
        self.tokenizers = {endpoint.model.tokenizer for endpoint in dependencies.catalog.endpoints} - {""} | {"smollm2"}
        self.prepare = InputPreparer(opened_media, dependencies.media, parts)
        self.places = CoreSlots(cores=1)  # of the current route

    def name(self, part: int) -> str:
        return self.opened_media.facts.parts[part].name if part >= 0 else ""

    async def emit_held_notes(self) -> None:
        """Emit the notes that were held back, once."""
        for notes in list(self.held_notes.values()):
            for note in notes:
                await self.emit(note)
        self.held_notes.clear()

    def endpoint(self, step: Call) -> Endpoint:
        endpoint = self.dependencies.catalog.by_id.get(step.endpoint)
        if endpoint is None:
            raise errors.PlanStale("is no longer in the catalog", where=step.endpoint, todo="plan again", step=step.id)
        return endpoint


class EgressLog:
    """The record of what each route of a run sends off this machine. ``route`` is the current one."""

    def __init__(self, ledger: RunLedger, catalog: Catalog) -> None:
        self.route: Candidate | None = None
        self._ledger = ledger
        self._catalog = catalog
        self._before: list[dict[str, str]] = []

    def switch_route(self, route: Candidate) -> dict[str, Any]:
        """Switch to another route; return the fields that ``Rerouted`` and ``Replanned`` report about it.

        ``sends`` covers this route and what earlier routes sent, or may have sent.
        """
        contacted, self._ledger.contacted = self._ledger.contacted, set()
        hosts = {self._catalog.by_id[name].host.id for name in contacted if name in self._catalog.by_id}
        if self.route is not None:
            self._before += [send_fields(send) for send in self.route.sends if send.host in hosts]
        self.route = route
        sends: list[dict[str, str]] = []
        for send in (*self._before, *map(send_fields, route.sends)):
            if send not in sends:
                sends.append(send)
        return {
            "summary": route.summary, "loses": tuple(route.loses), "calls": calls_of(route), "sends": tuple(sends),
            "verdict": route.verdict,
        }  # fmt: skip


class CoreSlots:
    """The cores of this machine, shared by the steps of a run by the rules of ``plans/cpu_schedule.py``.

    ``async with slots.hold(use):`` waits until a step's cores are free, and releases them at the end. A step takes all
    its cores at once, so no two steps can deadlock. ``decoders``: how many media decoders may run concurrently.
    """

    def __init__(self, cores: int, decoders: int = 1) -> None:
        self.cores = cores
        self.decoders = decoders
        self._free = cores
        self._busy = Counter[str]()
        self._waiting: dict[Any, CoreUse] = {}  # an event for each waiting step, in order of arrival

    @asynccontextmanager
    async def hold(self, use: CoreUse) -> AsyncIterator[None]:
        """Hold the cores of a step; return immediately for a remote step."""
        if not use.cores:
            yield
            return
        await self._acquire(use)
        try:
            yield
        finally:
            self._release(use)

    async def _acquire(self, use: CoreUse) -> None:
        import anyio

        turn = anyio.Event()
        self._waiting[turn] = use
        self._wake_waiting()
        try:
            await turn.wait()
        except BaseException:
            if self._waiting.pop(turn, None) is None:  # cancelled after the cores were granted
                self._release(use)
            else:
                self._wake_waiting()  # the next one in the queue may need less
            raise

    def _release(self, use: CoreUse) -> None:
        self._free += self._needed_cores(use)
        self._busy[use.process] -= 1
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        for turn, use in list(self._waiting.items()):
            if self._busy[use.process] >= concurrent_steps(use.process, self.decoders):
                continue
            if self._needed_cores(use) > self._free:
                return
            self._free -= self._needed_cores(use)
            self._busy[use.process] += 1
            del self._waiting[turn]
            turn.set()

    def _needed_cores(self, use: CoreUse) -> int:
        return min(self.cores, use.cores)
