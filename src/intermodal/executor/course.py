"""One route driven: conversions, side by side where they can be. ``replies.py`` makes the call that answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from intermodal import errors
from intermodal.catalog.nouns import Endpoint
from intermodal.content import Part
from intermodal.events import Actual, Event, Finished, Note, StepFinished, StepStarted
from intermodal.executor import check, convert
from intermodal.executor.call import Caller, Done, Reroute
from intermodal.executor.job import Job
from intermodal.executor.ledger import Ledger, written
from intermodal.executor.pieces import Piece, Pixels, Product, Sound
from intermodal.executor.prepare import Preparer, work_of
from intermodal.executor.replies import REPLIES, Speaker
from intermodal.executor.transform import transform
from intermodal.executor.world import OpenedLike, World
from intermodal.plans.plan import Candidate
from intermodal.plans.step import Call, Check, Step, Transform
from intermodal.request import Request
from intermodal.wire.languages import checked

if TYPE_CHECKING:
    import anyio


class Workshop:
    """What all routes of a run share: the request, and everything converted so far."""

    def __init__(
        self,
        request: Request,
        opened: OpenedLike,
        world: World,
        caller: Caller,
        emit: Callable[[Event], Awaitable[None]],
    ) -> None:
        import anyio

        self.request = request
        self.opened = opened
        self.world = world
        self.caller = caller
        self.emit = emit
        self.products: dict[str, Product] = {}
        self.parts: dict[int, Part] = {index: part for index, _, part in request.parts()}
        self.prepare = Preparer(opened, world.media, self.parts)
        # Two models on the same cores are slower than one after the other, and need both their memories.
        self.cores: anyio.CapacityLimiter = anyio.CapacityLimiter(1)

    def name(self, part: int) -> str:
        return self.opened.facts.parts[part].name if part >= 0 else ""

    def endpoint(self, step: Call) -> Endpoint:
        endpoint = self.world.catalog.by_id.get(step.endpoint)
        if endpoint is None:
            raise errors.PlanStale("is no longer in the catalog", where=step.endpoint, todo="plan again", step=step.id)
        return endpoint


class Course:
    """One candidate, driven. ``started`` is when the run began, on the world's clock."""

    def __init__(self, candidate: Candidate, shop: Workshop, ledger: Ledger, started: float) -> None:
        self._candidate = candidate
        self.shop = shop
        self.ledger = ledger
        self.started = started
        # Checks of an answer may stand behind the call that makes it.
        self._last = next((step for step in reversed(candidate.steps) if isinstance(step, Call)), None)
        facts, catalog = shop.opened.facts, shop.world.catalog
        self._keys = convert.keys_of(candidate.steps, facts, catalog, shop.request.policy.language)

    async def go(self) -> Finished:
        """Raises Reroute where a fallback may take over."""
        last = self._last
        if last is None:
            raise errors.PlanStale("has no step that answers", where="plan", todo="plan again")
        await self._take_from_cache()
        await self._convert([step for step in self._needed(last) if step is not last])
        return await REPLIES[last.op](self, last)

    # ---- conversions --------------------------------------------------------------------------

    async def _take_from_cache(self) -> None:
        """Products that an earlier run made of the same bytes in the same way."""
        shop = self.shop
        for step in self._candidate.steps:
            if isinstance(step, Call) and step.op in convert.CACHED_OPS and step.id not in shop.products:
                kept = await written(lambda key=self._keys[step.id]: shop.world.derived.get(key))  # type: ignore[misc]
                product = convert.kept(step, shop.opened.facts.parts[_part_of(step)], kept) if kept else None
                if product is not None:
                    shop.products[step.id] = product
                    await self._made(step, product, Actual(step=step.id, seconds=0.0, cached=True))

    def _needed(self, last: Call) -> list[Step]:
        """Steps that something still to be done depends on, in the plan's order."""
        by_id = {step.id: step for step in self._candidate.steps}
        needed: set[str] = set()
        waiting = [last.id]
        while waiting:
            step = by_id[waiting.pop()]
            if step.id in needed or step.id in self.shop.products:
                continue
            needed.add(step.id)
            waiting += [name for kind, _, name in map(_split, step.inputs) if kind == "step"]
        return [step for step in self._candidate.steps if step.id in needed and not isinstance(step, Check)]

    async def _convert(self, steps: list[Step]) -> None:
        """All of them, each as soon as what it needs is there. The first failure ends the course.

        A failure that a fallback may mend lets running calls finish: what they make is used again.
        """
        import anyio

        done = {step.id: anyio.Event() for step in steps}
        failed: list[Exception] = []

        async def one(step: Step) -> None:
            for kind, _, name in map(_split, step.inputs):
                if kind == "step" and name in done:
                    await done[name].wait()
            if failed:
                done[step.id].set()
                return
            try:
                await self._convert_one(step)
            except Reroute as error:
                failed.append(error)
            except Exception as error:
                failed.insert(0, error)
                group.cancel_scope.cancel()
            finally:
                done[step.id].set()

        async with anyio.create_task_group() as group:
            for step in steps:
                group.start_soon(one, step)
        if failed:
            raise failed[0]

    async def _convert_one(self, step: Step) -> None:
        if isinstance(step, Transform):
            async with self.shop.cores:
                await self.shop.emit(StepStarted(step=step.id, title=step.title))
                began = self.shop.world.clock()
                product = await transform(step, self.shop.opened, self.shop.world.media)
                seconds = self.shop.world.clock() - began
            self.shop.products[step.id] = product
            await self._made(step, product, Actual(step=step.id, seconds=seconds))
        elif isinstance(step, Call):
            await self.convert_by_call(step)

    async def convert_by_call(self, step: Call) -> Product:
        """An ear or an eye."""
        shop = self.shop
        endpoint = shop.endpoint(step)
        pictures: tuple[Pixels, ...] = ()
        sounds: tuple[Sound, ...] = ()
        language = checked(convert.language_of(step, shop.request.policy.language))  # before anything is decoded
        if step.op == "transcribe":
            sounds = (await shop.prepare.sound(_part_of(step), endpoint),)
        else:
            pictures = await shop.prepare.pictures(step, shop.products)
        job = Job(
            step=step,
            endpoint=endpoint,
            sound=sounds[0] if sounds else None,
            pictures=pictures,
            language=language,
            work=work_of(pictures, sounds),
        )
        done = await self.do(job)
        product = convert.from_made(step, shop.opened.facts.parts[_part_of(step)], pictures, done.made)
        shop.products[step.id] = product
        await written(lambda: shop.world.derived.put(self._keys[step.id], convert.to_keep(product)))
        await self._made(step, product, done.actual)
        return product

    async def do(self, job: Job, speaker: Speaker | None = None) -> Done:
        """Make the call: near endpoints one at a time, far ones side by side."""
        near = job.endpoint.host.zone in ("process", "machine")
        if not near:
            return await self._call(job, speaker)
        async with self.shop.cores:
            return await self._call(job, speaker)

    async def _call(self, job: Job, speaker: Speaker | None) -> Done:
        await self.shop.emit(StepStarted(step=job.step.id, title=job.step.title or job.step.op))
        if speaker is None:
            return await self.shop.caller.call(job)
        return await self.shop.caller.call(
            job, say=speaker.say, committed=lambda: speaker.committed, retract=speaker.retract
        )

    async def _made(self, step: Transform | Call, product: Product, actual: Actual) -> None:
        await self.shop.emit(StepFinished(actual=actual, derived=product.derived))
        for remark in check.remarks(step.op, product, self.shop.name(product.part)):
            await self.shop.emit(Note(text=remark, step=step.id))

    async def stands_for(self, step: Call, endpoint: Endpoint) -> Mapping[int, tuple[Piece, ...]]:
        """What the last call gets for each part."""
        side = dict(step.params).get("max_side", "")
        found: dict[int, tuple[Piece, ...]] = {}
        for kind, _, name in map(_split, step.inputs):
            if kind == "part":
                index = int(name)
                pieces = await self.shop.prepare.native(index, endpoint, int(side) if side else None)
            else:
                index, pieces = self.shop.products[name].part, self.shop.products[name].pieces
            found[index] = (*found.get(index, ()), *pieces)
        return found

    def finished(self, step: Call, **fields: object) -> Finished:
        known = Finished(
            endpoint=step.endpoint,
            cost=None if self.ledger.unknown else self.ledger.spent,
            seconds=self.shop.world.clock() - self.started,
        )
        return msgspec.structs.replace(known, **fields)


def _split(reference: str) -> tuple[str, str, str]:
    return reference.partition(":")


def _part_of(step: Call) -> int:
    """The part a conversion is about; a last transcribe step may name it as its input only."""
    if step.part >= 0:
        return step.part
    return next(int(name) for kind, _, name in map(_split, step.inputs) if kind == "part")
