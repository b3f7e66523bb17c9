"""One route driven up to the call that answers: conversions, side by side where they can be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cached_property, partial
from typing import TYPE_CHECKING

import msgspec

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.events import Actual, Checked, Finished, Note, StepFinished, StepProgress, StepStarted
from intermodal.executor import check, convert, describing, measured, replan
from intermodal.executor.call import Again, Done, Reroute, Surprise
from intermodal.executor.codes import codes_on, with_codes
from intermodal.executor.empty import gives_little
from intermodal.executor.hearing import in_calls
from intermodal.executor.job import Job
from intermodal.executor.ledger import Ledger, written
from intermodal.executor.pieces import Piece, Pixels, Product, Sound, Words
from intermodal.executor.places import Places
from intermodal.executor.prepare import carried, decoding, work_of
from intermodal.executor.speaker import Speaker
from intermodal.executor.together import side_by_side
from intermodal.executor.transform import transform
from intermodal.executor.waiting import with_signs
from intermodal.executor.weighed import heard, rules
from intermodal.executor.workshop import Workshop
from intermodal.executor.world import Progress
from intermodal.hints import hint
from intermodal.languages import checked
from intermodal.offload import MANY, offload
from intermodal.plans.cores import DECODING, use_of
from intermodal.plans.plan import Candidate
from intermodal.plans.step import Call, Check, Step, Transform
from intermodal.store.unread import remember, remember_heard

if TYPE_CHECKING:
    import anyio

    from intermodal.content import Transcript


class Course:
    """One candidate, driven. ``started`` is when the run began, on the world's clock."""

    def __init__(
        self, candidate: Candidate, shop: Workshop, ledger: Ledger, started: float, replanner: replan.Replanner
    ) -> None:
        self._candidate = candidate
        self.shop = shop
        shop.places = Places(candidate.cores, candidate.decoders)
        self.ledger = ledger
        self.started = started
        self._replanner = replanner
        self._surprise: Surprise | None = None
        self._twins: dict[str, anyio.Lock] = {}  # by the key under which what is made is kept
        # Checks of an answer may stand behind the call that makes it.
        self._last = next((step for step in reversed(candidate.steps) if isinstance(step, Call)), None)

    @cached_property
    def _makers(self) -> convert.Makers:
        """Who converts in this run, and what they are told."""
        return describing.makers(self.shop.world, self.shop.request)

    @cached_property
    def _keys(self) -> Mapping[str, str]:
        """Where what each step makes is kept."""
        return convert.keys_of(self._candidate.steps, self.shop.opened.facts, self._makers)

    def step(self, reference: str) -> Step | None:
        """The step that a reference names ("step:<id>")."""
        name = reference.removeprefix("step:")
        return next((step for step in self._candidate.steps if step.id == name), None)

    def part_of(self, step: Call) -> int:
        """The part a conversion is about; a last transcribe step may name it through its inputs only."""
        if step.part >= 0:
            return step.part
        for kind, _, name in map(_split, step.inputs):
            if kind == "part":
                return int(name)
            made = self.step(f"step:{name}")
            if isinstance(made, (Transform, Call)) and made.part >= 0:
                return made.part
        raise errors.PlanStale("converts nothing that was given", where=step.endpoint, todo="plan again", step=step.id)

    def answers(self, step: Step) -> bool:
        """Whether nothing comes after this call."""
        return step is self._last

    async def converted(self) -> Call:
        """Make every conversion that the answering call waits for, and return that call.

        Raises Reroute where a fallback may take over, Again where the plan is to be made again.
        """
        last = self._last
        if last is None:
            raise errors.PlanStale("has no step that answers", where="plan", todo="plan again")
        await self._take_from_cache()
        self.stop_if_surprised()
        # An answer that is spoken afterwards is no conversion: it streams while it is made.
        needed = await offload(len(last.inputs) > MANY, self._needed, last)
        await self._convert([step for step in needed if step is not last and step.op != "generate"])
        self.stop_if_surprised()
        await self._make_room()
        return last

    async def _make_room(self) -> None:
        """End what is not needed any more and would be in the way of the answer."""
        await self.shop.world.media.trim()
        for endpoint in self._candidate.ends:
            await self.shop.world.runtimes.unload(endpoint, idle=True)

    # ---- conversions --------------------------------------------------------------------------

    async def _take_from_cache(self) -> None:
        """Products that an earlier run made of the same bytes in the same way."""
        for step in self._candidate.steps:
            if isinstance(step, Call) and step.op in convert.CACHED_OPS and step.id not in self.shop.products:
                await self._taken(step)

    async def _taken(self, step: Call) -> bool:
        """Whether what a conversion would make was there."""
        shop = self.shop
        kept = await written(lambda: shop.world.derived.get(self._keys[step.id]))
        product = convert.kept(step, shop.opened.facts.parts[self.part_of(step)], kept) if kept else None
        if product is None:
            return False
        shop.products[step.id] = product
        await self._made(step, product, Actual(step=step.id, seconds=0.0, cached=True, began=self.now()))
        return True

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

        What a fallback or another plan may mend lets running calls finish: what they make is used again.
        """
        import anyio

        if not steps:
            return
        done = {step.id: anyio.Event() for step in steps}

        async def one(step: Step) -> None:
            try:
                for kind, _, name in map(_split, step.inputs):
                    if kind == "step" and name in done:
                        await done[name].wait()
                        if name not in self.shop.products:
                            return
                if self._surprise is None:
                    await self._convert_one(step)
            finally:
                done[step.id].set()

        await side_by_side([partial(one, step) for step in steps])

    async def _convert_one(self, step: Step) -> None:
        if isinstance(step, Transform):
            async with self.shop.places.taken(DECODING):
                self.stop_if_surprised()
                await self.shop.emit(StepStarted(step=step.id, title=step.title, op=step.op))
                began = self.now()
                product = await transform(step, self.shop.opened, self.shop.world.media, self.progress(step))
                seconds = self.now() - began
            self.shop.products[step.id] = product
            facts = self.shop.opened.facts.parts[step.part]
            row = measured.made(step, facts, product, seconds, self.ledger.run)
            if row is not None:
                await written(lambda: self.shop.world.store.transformed(row))
            await self._made(step, product, Actual(step=step.id, seconds=seconds, began=began))
        elif isinstance(step, Call) and step.op in convert.CACHED_OPS:
            import anyio

            twins = self._twins.setdefault(self._keys[step.id], anyio.Lock())
            waited = twins.locked()
            async with twins:  # a picture that a conversation holds twice is read once
                if not (waited and await self._taken(step)):
                    await self.convert_by_call(step)
        elif isinstance(step, Call):
            await self.convert_by_call(step)

    async def convert_by_call(self, step: Call) -> Product:
        """An ear or an eye."""
        shop = self.shop
        endpoint = shop.endpoint(step)
        if step.op == "describe":
            product, actual = await describing.describe(shop, self._calls_of(step), step, endpoint, self._makers)
        else:
            product, actual = await self._heard_or_read(step, endpoint)
        shop.products[step.id] = product
        if convert.lasting(product):
            await written(lambda: shop.world.derived.put(self._keys[step.id], convert.to_keep(product, step.endpoint)))
        if product.lines:
            await written(lambda: self._keep_unread(step, product))
        transcript = product.transcript
        if transcript is not None and not transcript.into and endpoint.host.zone == "process":
            await written(lambda: self._keep_unheard(step, product.part, transcript))
        await self._made(step, product, actual)
        return product

    def _keep_unread(self, step: Call, product: Product) -> None:
        """Have the next plan know of what most words could not be read, or are doubted."""
        facts, cache = self.shop.opened.facts.parts[product.part], self.shop.world.derived
        if "figures" in dict(step.params) or len(product.pieces) != len(product.lines):
            return
        for piece, lines in zip(product.pieces, product.lines, strict=True):
            if not isinstance(piece, Words) or piece.at >= 0:
                continue
            unread = piece.unread == "most"
            sure = (0, 0) if unread else check.sure_of(lines)
            if unread or sure[1]:
                remember(cache, facts, piece.page, self._makers.readers, by=step.endpoint, sure=sure)

    def _keep_unheard(self, step: Call, part: int, transcript: Transcript) -> None:
        """Have the next plan know of how much of what is said this ear doubts, or that it now hears all well."""
        remember_heard(
            self.shop.world.derived, self.shop.opened.facts.parts[part], by=step.endpoint,
            sure=check.sure_of_speech(transcript),
            language=convert.language_of(step, self.shop.request.policy.language),
        )  # fmt: skip

    async def _heard_or_read(self, step: Call, endpoint: Endpoint) -> tuple[Product, Actual]:
        shop = self.shop
        pictures: tuple[Pixels, ...] = ()
        sounds: tuple[Sound, ...] = ()
        language = checked(convert.language_of(step, shop.request.policy.language))  # before anything is decoded
        async with shop.places.taken(decoding(step)):
            if step.op == "transcribe":
                sounds = await shop.prepare.sounds(step, shop.products, endpoint, self.progress(step))
            else:
                pictures = await shop.prepare.pictures(step, shop.products, endpoint)
        facts = shop.opened.facts.parts[self.part_of(step)]
        letters = measured.letters(pictures, facts)
        tokens = heard(sounds[:1], rules(endpoint, shop.world.catalog)) if sounds else 0.0
        work = msgspec.structs.replace(work_of(pictures, sounds[:1]), letters=letters, audio_tokens=tokens)
        job = Job(
            step=step,
            endpoint=endpoint,
            sound=sounds[0] if sounds else None,
            pictures=pictures,
            language=language,
            into=dict(step.params).get("translate", ""),
            work=work,
        )
        try:
            done = await (self.do(job) if len(sounds) < 2 else in_calls(job, sounds, self._calls_of(step)))
        except Reroute as failure:
            _name_file(failure.error, facts.name)
            raise
        except errors.IntermodalError as error:
            _name_file(error, facts.name)
            raise
        made = done.made
        if made.lines:
            codes = await codes_on(pictures, shop.world.media, facts.name)
            made = msgspec.structs.replace(made, lines=tuple(map(with_codes, made.lines, codes)))
        product = convert.from_made(step, facts, pictures, made)
        return product, done.actual

    async def do(self, job: Job, speaker: Speaker | None = None) -> Done:
        """Make a step's call once what it occupies is free: of this machine its cores, elsewhere nothing."""
        async with self._turn(job):
            self.stop_if_surprised()
            return await self._call(job, partial(self._begin, job.step), speaker)

    def _calls_of(self, step: Call) -> Callable[[Job], Awaitable[Done]]:
        """What makes calls of a step, the first of which begins it when its first attempt is about to be made."""
        begun = False

        async def begin() -> None:
            nonlocal begun
            if not begun:
                begun = True
                await self._begin(step)

        async def call(job: Job) -> Done:
            async with self._turn(job):
                return await self._call(job, begin, None)

        return call

    def _turn(self, job: Job) -> AbstractAsyncContextManager[None]:
        places = self.shop.places
        return places.taken(use_of(job.endpoint, places.cores))

    async def _begin(self, step: Call) -> None:
        title = step.title or step.op
        await self.shop.emit(StepStarted(step=step.id, title=title, op=step.op, endpoint=step.endpoint))

    async def _call(self, job: Job, begin: Callable[[], Awaitable[None]], speaker: Speaker | None) -> Done:
        began = self.now()
        if speaker is None:
            done = await self.shop.caller.call(job, begin=begin)
        else:
            call = partial(
                self.shop.caller.call, job, begin=begin,
                say=speaker.say, think=speaker.think, committed=lambda: speaker.committed, retract=speaker.retract,
            )  # fmt: skip
            done = await with_signs(call, partial(self._wait_for, job.step), lambda: speaker.committed)
        return msgspec.structs.replace(done, actual=msgspec.structs.replace(done.actual, began=began))

    def _wait_for(self, step: Call, waited: float) -> None:
        """Say that an answer has not begun, and of how long a call that is a part."""
        expected = step.estimate.seconds
        about = f" of about {expected.mid:.0f} s" if expected.known and expected.mid >= 1 else ""
        self.shop.caller.hint(StepProgress(step=step.id, note=f"no word yet, {waited:.0f} s{about}"))

    def may_ask_again(self) -> bool:
        """Whether the plan has a price for asking once more where a value of the answer stands nowhere."""
        checks = {each.op: each for each in self._candidate.checks}
        looks = checks.get("evidence")
        if looks is None or self.shop.request.policy.evidence != "retry":
            return False
        return looks.estimate.seconds.high > 0 or "valid_json" in checks

    def now(self) -> float:
        """Seconds since the run began."""
        return self.shop.world.clock() - self.started

    def progress(self, step: Step) -> Progress:
        """Where a step's progress goes."""

        def tell(fraction: float | None, note: str = "") -> None:
            self.shop.caller.hint(StepProgress(step=step.id, fraction=fraction, note=note))

        return tell

    # ---- what was made, looked at -------------------------------------------------------------

    async def _made(self, step: Transform | Call, product: Product, actual: Actual) -> None:
        await self.shop.emit(StepFinished(actual=actual, derived=product.derived))
        remarks = [
            Note(text=remark, step=step.id, warns=True)
            for remark in check.remarks(step.op, product, self.shop.name(product.part))
        ]
        self.shop.unsaid.pop((step.op, product.part), None)
        if remarks and all(map(gives_little, product.pieces)):
            # They may be all that is to be said, and then an error says it.
            self.shop.unsaid[step.op, product.part] = remarks
        else:
            for note in remarks:
                await self.shop.emit(note)
        if step.id not in self.shop.finished:
            await self._judge(step, product)

    async def _judge(self, step: Transform | Call, product: Product) -> None:
        """The plan's checks of a conversion, and whether what it made is a reason to plan again."""
        import anyio.to_thread

        reference = f"step:{step.id}"
        planned = (*self._candidate.steps, *self._candidate.checks)
        checks = tuple(each for each in planned if isinstance(each, Check) and reference in each.inputs)
        # Counting the tokens of a long document takes a tenth of a second.
        judged = await anyio.to_thread.run_sync(replan.judged, step, product, checks, self.shop)
        self.shop.finished[step.id] = judged.finished
        for looked, finding in judged.looked:
            await self.shop.emit(Checked(step=step.id, check=looked.op, problem=finding.problem, said=finding.said))
        problem = judged.finished.problem
        surprise = judged.surprise or self._replanner.limit(self._candidate, self.shop.products, step.id)
        if surprise is not None and self.answers(step):
            # An answer is made again only where the plan says what that would take.
            priced = any(each.estimate.seconds.high for each in checks)
            surprise = msgspec.structs.replace(surprise, answers=True) if priced else None
        worse = self._surprise is None or self._surprise.only_size
        if surprise is not None and worse and self._replanner.wants(surprise):
            self._surprise = surprise
        elif problem in check.UNREMARKED:
            await self.shop.emit(Note(text=judged.finished.said, step=step.id, warns=True))

    def stop_if_surprised(self) -> None:
        """Raises Again when something was made that the plan did not expect."""
        if self._surprise is not None:
            raise Again(self._surprise)

    async def stands_for(self, step: Call, endpoint: Endpoint) -> Mapping[int, tuple[Piece, ...]]:
        """What the last call gets for each part."""
        side = dict(step.params).get("max_side", "")
        found: dict[int, tuple[Piece, ...]] = {}
        for number, (kind, _, name) in enumerate(map(_split, step.inputs), 1):
            if not number % MANY:
                await asyncio.sleep(0)
            if kind == "part":
                index = int(name)
                pieces = await self.shop.prepare.native(index, endpoint, int(side) if side else None)
            else:
                index = self.shop.products[name].part
                made = self.shop.products[name].pieces
                pieces = tuple(carried(piece) if isinstance(piece, Sound) else piece for piece in made)
            found[index] = (*found.get(index, ()), *pieces)
        return found

    def finished(self, step: Call, **fields: object) -> Finished:
        known = Finished(
            endpoint=step.endpoint,
            cost=None if self.ledger.unknown else self.ledger.spent,
            seconds=self.shop.world.clock() - self.started,
        )
        return msgspec.structs.replace(known, **fields)


def _name_file(error: errors.IntermodalError, name: str) -> None:
    """Have an error say on which file it happened: a runtime gets samples and pixels, and knows of no files."""
    if isinstance(error, errors.RuntimeCrashed):
        error.what = hint("{}, on {}", error.hints.what, name)
    elif isinstance(error, errors.InputError) and not error.where:
        error.where = name


def _split(reference: str) -> tuple[str, str, str]:
    return reference.partition(":")
