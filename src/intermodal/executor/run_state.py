"""What all routes of a run share: the request, and everything converted so far."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.content import Part, Value
from intermodal.events import Event, Note
from intermodal.executor.attempt.caller import StepCaller
from intermodal.executor.core_slots import CoreSlots
from intermodal.executor.dependencies import Dependencies, OpenedMediaLike
from intermodal.executor.egress_log import EgressLog
from intermodal.executor.preparation.model_inputs import StepProduct
from intermodal.executor.preparation.part_inputs import InputPreparer
from intermodal.plans.step import Call, Transform
from intermodal.request import Request


class FinishedConversion(Value, frozen=True):
    """A conversion that is done: what it made, its size, and what the checks found."""

    step: Transform | Call
    product: StepProduct
    tokens: dict[str, int]
    problem: str = ""
    said: str = ""


class RunState:
    """What all routes of a run share: the request, and everything converted so far."""

    def __init__(
        self,
        request: Request,
        opened: OpenedMediaLike,
        world: Dependencies,
        caller: StepCaller,
        emit: Callable[[Event], Awaitable[None]],
        parts: Sequence[Part],
    ) -> None:
        self.request = request
        self.opened = opened
        self.world = world
        self.caller = caller
        self.emit = emit
        self.gone = EgressLog(caller.ledger, world.catalog)
        self.products: dict[str, StepProduct] = {}
        self.finished: dict[str, FinishedConversion] = {}  # the same, with what was found out about them
        # Notes that nothing was found, by op and part: kept until it is known whether the answer itself says so.
        self.unsaid: dict[tuple[str, int], list[Note]] = {}
        self.tokenizers = {endpoint.model.tokenizer for endpoint in world.catalog.endpoints} - {""} | {"smollm2"}
        self.prepare = InputPreparer(opened, world.media, parts)
        self.places = CoreSlots(cores=1)  # of the route that is driven

    def name(self, part: int) -> str:
        return self.opened.facts.parts[part].name if part >= 0 else ""

    async def emit_held_notes(self) -> None:
        """Say what was kept back, once."""
        for notes in list(self.unsaid.values()):
            for note in notes:
                await self.emit(note)
        self.unsaid.clear()

    def endpoint(self, step: Call) -> Endpoint:
        endpoint = self.world.catalog.by_id.get(step.endpoint)
        if endpoint is None:
            raise errors.PlanStale("is no longer in the catalog", where=step.endpoint, todo="plan again", step=step.id)
        return endpoint
