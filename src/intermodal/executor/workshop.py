"""What all routes of a run share: the request, and everything converted so far."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.content import Part, Value
from intermodal.events import Event, Note
from intermodal.executor.call import Caller
from intermodal.executor.gone import Gone
from intermodal.executor.pieces import Product
from intermodal.executor.places import Places
from intermodal.executor.prepare import Preparer
from intermodal.executor.world import OpenedLike, World
from intermodal.plans.step import Call, Transform
from intermodal.request import Request


class Conversion(Value, frozen=True):
    """A conversion that is done: what it made, its size, and what the checks found."""

    step: Transform | Call
    product: Product
    tokens: dict[str, int]
    problem: str = ""
    said: str = ""


class Workshop:
    """What all routes of a run share: the request, and everything converted so far."""

    def __init__(
        self,
        request: Request,
        opened: OpenedLike,
        world: World,
        caller: Caller,
        emit: Callable[[Event], Awaitable[None]],
        parts: Sequence[Part],
    ) -> None:
        self.request = request
        self.opened = opened
        self.world = world
        self.caller = caller
        self.emit = emit
        self.gone = Gone(caller.ledger, world.catalog)
        self.products: dict[str, Product] = {}
        self.finished: dict[str, Conversion] = {}  # the same, with what was found out about them
        # Notes that nothing was found, by op and part: kept until it is known whether the answer itself says so.
        self.unsaid: dict[tuple[str, int], list[Note]] = {}
        self.tokenizers = {endpoint.model.tokenizer for endpoint in world.catalog.endpoints} - {""} | {"smollm2"}
        self.prepare = Preparer(opened, world.media, parts)
        self.places = Places(cores=1)  # of the route that is driven

    def name(self, part: int) -> str:
        return self.opened.facts.parts[part].name if part >= 0 else ""

    async def say_rest(self) -> None:
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
