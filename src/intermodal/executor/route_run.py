"""Runs one route up to the answering call: conversions in dependency order, concurrently if cores allow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import msgspec

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.concurrency.offload import MANY, offload
from intermodal.core.hints import hint
from intermodal.core.languages import checked_language
from intermodal.core.request import TranscriptOutput
from intermodal.events import Actual, Checked, Finished, Note, StepFinished, StepProgress, StepStarted
from intermodal.executor import replan
from intermodal.executor.attempt.ledger import RunLedger, count_letters, transform_row, write_in_thread
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.attempt.step_caller import FinishedCall, ReplanReason, ReplanRequested
from intermodal.executor.concurrency import run_all
from intermodal.executor.conversion import checks as conversion_checks
from intermodal.executor.conversion import conversions, image_descriptions
from intermodal.executor.conversion.conversions import decode_codes, merge_codes, transcribe_channels
from intermodal.executor.conversion.media_transforms import run_transform
from intermodal.executor.dependencies import Progress
from intermodal.executor.drivers.interface import CallJob
from intermodal.executor.outputs.first_word_gate import FirstWordGate
from intermodal.executor.preparation.model_inputs import AudioInput, ImageInput, ModelInput, StepProduct, TextInput
from intermodal.executor.preparation.part_inputs import as_wav_input, decoder_use, measure_work
from intermodal.executor.preparation.preflight import is_nearly_empty
from intermodal.executor.preparation.request_size import audio_tokens, counting_rules
from intermodal.executor.run_state import CoreSlots, RunState
from intermodal.plans.cpu_schedule import DECODER_USE, core_use
from intermodal.plans.plan import Candidate, PartRef, input_references, input_steps, iterate_references, takes_step
from intermodal.plans.step import Call, Check, ReadText, Step, TranscribeSpeech, Transform
from intermodal.store.recognition_quality import remember_hearing, remember_reading

if TYPE_CHECKING:
    import anyio

    from intermodal.core.content import Transcript


# Answers that are streamed while they are generated, and the final concatenation of texts.
_NO_CONVERSION = ("generate", "concat")


class RouteRun:
    """One route of a plan while it runs. ``started``: when the run began, on the clock of the dependencies."""

    def __init__(
        self, candidate: Candidate, state: RunState, ledger: RunLedger, started: float, replanner: replan.Replanner
    ) -> None:
        self._candidate = candidate
        self.state = state
        state.places = CoreSlots(candidate.cores, candidate.decoders)
        self.ledger = ledger
        self.started = started
        self._replanner = replanner
        self._surprise: ReplanReason | None = None
        self._twins: dict[str, anyio.Lock] = {}  # by the cache key of the product
        # Checks of an answer may follow the step that makes it.
        self._last = next((step for step in reversed(candidate.steps) if not isinstance(step, Check)), None)

    @cached_property
    def _makers(self) -> conversions.Converters:
        """The identity of this run's converters, for the cache keys."""
        return image_descriptions.converters_of(self.state.dependencies, self.state.request)

    @cached_property
    def _keys(self) -> Mapping[str, str]:
        """The cache key of each conversion by step id."""
        return conversions.cache_keys(self._candidate.steps, self.state.opened_media.facts, self._makers)

    def step(self, name: str) -> Step | None:
        """Return a step by its id; None if there is none."""
        return next((step for step in self._candidate.steps if step.id == name), None)

    def part_of(self, step: Call) -> int:
        """Return the index of the part that a conversion is about.

        A final transcribe step may refer to its part only through its inputs.
        """
        if step.part >= 0:
            return step.part
        for each in input_references(step):
            if isinstance(each, PartRef):
                return each.index
            source = self.step(each.id)
            if isinstance(source, (Transform, Call)) and source.part >= 0:
                return source.part
        raise errors.PlanStale("converts nothing that was given", where=step.endpoint, todo="plan again", step=step.id)

    @property
    def words_alone(self) -> bool:
        """True if no model answers and the text of the files is the answer.

        A transcript output is handled separately.
        """
        return self._candidate.words_alone and not isinstance(self.state.request.output, TranscriptOutput)

    def answers(self, step: Step) -> bool:
        """Return True if the result of this step is the answer or a part of it."""
        last = self._last
        return step is last or (last is not None and last.op == "concat" and takes_step(last, step.id))

    def last_call(self) -> Call | None:
        """Return the last call of the route; None if it has none."""
        return next((step for step in reversed(self._candidate.steps) if isinstance(step, Call)), None)

    async def prepare_answer(self) -> Transform | Call:
        """Run every conversion that the answering step depends on, and return that step.

        If the text of files is the answer, that step is itself a conversion, and is run too.

        Raises Reroute if a fallback may take over, ReplanRequested if the plan is to be made again.
        """
        last = self._last
        if last is None:
            raise errors.PlanStale("has no step that answers", where="plan", todo="plan again")
        await self._take_from_cache()
        self.stop_for_replan()
        needed = await offload(len(last.inputs) > MANY, self._needed_steps, last)
        conversion_steps = [
            step for step in needed if step.op not in _NO_CONVERSION and (step is not last or self.words_alone)
        ]
        await self._convert(conversion_steps)
        self.stop_for_replan()
        await self._make_room()
        return last

    async def _make_room(self) -> None:
        """Unload models that the rest of the route does not need and that would compete with the answer for memory."""
        await self.state.dependencies.media.trim()
        for endpoint in self._candidate.ends:
            await self.state.dependencies.runtimes.unload(endpoint, idle=True)

    async def _unload_unneeded(self, step: Step, left: list[Step]) -> None:
        """Unload the embedded model of a finished conversion if no other run follows and no remaining step needs it."""
        if self.state.dependencies.keep_loaded or not isinstance(step, Call) or self._last is None:
            return
        needed = {each.endpoint for each in (*left, self._last) if isinstance(each, Call)}
        if step.endpoint not in needed and self.state.endpoint(step).host.zone == "process":
            await self.state.dependencies.runtimes.unload(step.endpoint, idle=True)

    # ---- conversions --------------------------------------------------------------------------

    async def _take_from_cache(self) -> None:
        """Take conversions of the same bytes by the same converter from the cache."""
        for step in self._candidate.steps:
            if isinstance(step, Call) and step.op in conversions.CACHED_OPS and step.id not in self.state.products:
                await self._from_cache(step)

    async def _from_cache(self, step: Call) -> bool:
        """Return True if the conversion was in the cache; its product is then in the run's state."""
        state = self.state
        cached = await write_in_thread(lambda: state.dependencies.derived.get(self._keys[step.id]))
        product = (
            conversions.product_from_cache(step, state.opened_media.facts.parts[self.part_of(step)], cached)
            if cached
            else None
        )
        if product is None:
            return False
        state.products[step.id] = product
        await self._add_product(step, product, Actual(step=step.id, seconds=0.0, cached=True, began=self.elapsed()))
        return True

    def _needed_steps(self, last: Step) -> list[Step]:
        """Return the steps that the rest of the route depends on, in the plan's order."""
        by_id = {step.id: step for step in self._candidate.steps}
        needed: set[str] = set()
        waiting = [last.id]
        while waiting:
            step = by_id[waiting.pop()]
            if step.id in needed or step.id in self.state.products:
                continue
            needed.add(step.id)
            waiting += input_steps(step)
        return [step for step in self._candidate.steps if step.id in needed and not isinstance(step, Check)]

    async def _convert(self, steps: list[Step]) -> None:
        """Run conversions, each as soon as its inputs exist. The first failure ends the route.

        If a fallback or a new plan may recover, running calls finish first: their products are reused.
        """
        import anyio

        if not steps:
            return
        finished_events = {step.id: anyio.Event() for step in steps}

        async def one(step: Step) -> None:
            try:
                for name in input_steps(step):
                    if name in finished_events:
                        await finished_events[name].wait()
                        if name not in self.state.products:
                            return
                if self._surprise is None:
                    await self._convert_one(step)
            finally:
                finished_events[step.id].set()
            await self._unload_unneeded(step, [each for each in steps if not finished_events[each.id].is_set()])

        await run_all([partial(one, step) for step in steps])

    async def _convert_one(self, step: Step) -> None:
        if isinstance(step, Transform):
            async with self.state.places.hold(DECODER_USE):
                self.stop_for_replan()
                await self.state.emit(StepStarted(step=step.id, title=step.title, op=step.op))
                began = self.elapsed()
                product = await run_transform(
                    step, self.state.opened_media, self.state.dependencies.media, self.progress(step)
                )
                seconds = self.elapsed() - began
            self.state.products[step.id] = product
            facts = self.state.opened_media.facts.parts[step.part]
            row = transform_row(step, facts, product, seconds, self.ledger.run)
            if row is not None:
                await write_in_thread(lambda: self.state.dependencies.store.record_transform(row))
            await self._add_product(step, product, Actual(step=step.id, seconds=seconds, began=began))
        elif isinstance(step, Call) and step.op in conversions.CACHED_OPS:
            import anyio

            twins = self._twins.setdefault(self._keys[step.id], anyio.Lock())
            waited = twins.locked()
            async with twins:  # an image that a conversation contains twice is read once
                if not (waited and await self._from_cache(step)):
                    await self.convert_by_call(step)
        elif isinstance(step, Call):
            await self.convert_by_call(step)

    async def convert_by_call(self, step: Call) -> StepProduct:
        """Run a conversion by a model: a transcript, the text of an image, or its description."""
        state = self.state
        endpoint = state.endpoint(step)
        if step.op == "describe":
            product, actual = await image_descriptions.describe(
                state, self._calls_of(step), step, endpoint, self._makers
            )
        else:
            product, actual = await self._recognize(step, endpoint)
        state.products[step.id] = product
        if conversions.is_cacheable(product):
            await write_in_thread(
                lambda: state.dependencies.derived.store(
                    self._keys[step.id], conversions.cache_value(product, step.endpoint)
                )
            )
        if product.lines:
            await write_in_thread(lambda: self._keep_unread(step, product))
        transcript = product.transcript
        if transcript is not None and not transcript.into and endpoint.host.zone == "process":
            await write_in_thread(lambda: self._keep_unheard(step, product.part, transcript))
        await self._add_product(step, product, actual)
        return product

    def _keep_unread(self, step: Call, product: StepProduct) -> None:
        """Store which images had unreadable or doubtful text, so that the next plan accounts for it."""
        facts, cache = self.state.opened_media.facts.parts[product.part], self.state.dependencies.derived
        if ReadText.parameters_of(step).cut_out_figures or len(product.pieces) != len(product.lines):
            return
        for piece, lines in zip(product.pieces, product.lines, strict=True):
            if not isinstance(piece, TextInput) or piece.at >= 0:
                continue
            unread = piece.unread == "most"
            sure = (0, 0) if unread else conversion_checks.confident_lines(lines)
            if unread or sure[1]:
                remember_reading(cache, facts, piece.page, self._makers.readers, by=step.endpoint, sure=sure)

    def _keep_unheard(self, step: Call, part: int, transcript: Transcript) -> None:
        """Store how much of a recording was transcribed doubtfully or not at all, or that it is now
        transcribed well.
        """
        remember_hearing(
            self.state.dependencies.derived, self.state.opened_media.facts.parts[part], by=step.endpoint,
            sure=conversion_checks.heard_seconds(transcript),
            language=conversions.language_of(step, self.state.request.policy.language),
        )  # fmt: skip

    async def _recognize(self, step: Call, endpoint: Endpoint) -> tuple[StepProduct, Actual]:
        state = self.state
        pictures: tuple[ImageInput, ...] = ()
        sounds: tuple[AudioInput, ...] = ()
        language = checked_language(
            conversions.language_of(step, state.request.policy.language)
        )  # before anything is decoded
        async with state.places.hold(decoder_use(step)):
            if step.op == "transcribe":
                sounds = await state.prepare.sounds(step, state.products, endpoint, self.progress(step))
            else:
                pictures = await state.prepare.images_for(step, state.products, endpoint)
        facts = state.opened_media.facts.parts[self.part_of(step)]
        letters = count_letters(pictures, facts)
        tokens = audio_tokens(sounds[:1], counting_rules(endpoint, state.dependencies.catalog)) if sounds else 0.0
        work = msgspec.structs.replace(measure_work((*pictures, *sounds[:1])), letters=letters, audio_tokens=tokens)
        job = CallJob(
            step=step,
            endpoint=endpoint,
            sound=sounds[0] if sounds else None,
            pictures=pictures,
            language=language,
            into=TranscribeSpeech.parameters_of(step).into if step.op == "transcribe" else "",
            work=work,
        )
        try:
            finished_call = await (
                self.do(job) if len(sounds) < 2 else transcribe_channels(job, sounds, self._calls_of(step))
            )
        except Reroute as failure:
            _name_file(failure.error, facts.name)
            raise
        except errors.IntermodalError as error:
            _name_file(error, facts.name)
            raise
        result = finished_call.result
        if result.lines:
            codes = await decode_codes(pictures, state.dependencies.media, facts.name)
            result = msgspec.structs.replace(result, lines=tuple(map(merge_codes, result.lines, codes)))
        product = conversions.product_of_result(step, facts, pictures, result)
        return product, finished_call.actual

    async def do(self, job: CallJob, gate: FirstWordGate | None = None) -> FinishedCall:
        """Make a step's call once the cores it needs are free; remote calls need none."""
        async with self._hold_cores(job):
            self.stop_for_replan()
            return await self._call(job, partial(self._begin, job.step), gate)

    def _calls_of(self, step: Call) -> Callable[[CallJob], Awaitable[FinishedCall]]:
        """Return a function that makes calls of a step and emits ``StepStarted`` with the first attempt."""
        has_begun = False

        async def begin() -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                await self._begin(step)

        async def call(job: CallJob) -> FinishedCall:
            async with self._hold_cores(job):
                return await self._call(job, begin, None)

        return call

    def _hold_cores(self, job: CallJob) -> AbstractAsyncContextManager[None]:
        places = self.state.places
        return places.hold(core_use(job.endpoint, places.cores))

    async def _begin(self, step: Call) -> None:
        title = step.title or step.op
        await self.state.emit(StepStarted(step=step.id, title=title, op=step.op, endpoint=step.endpoint))

    async def _call(
        self, job: CallJob, begin: Callable[[], Awaitable[None]], gate: FirstWordGate | None
    ) -> FinishedCall:
        began = self.elapsed()
        if gate is None:
            finished_call = await self.state.caller.call(job, begin=begin)
        else:
            call = partial(
                self.state.caller.call, job, begin=begin,
                say=gate.say, think=gate.think, committed=lambda: gate.committed, retract=gate.retract,
            )  # fmt: skip
            finished_call = await with_heartbeat(call, partial(self._wait_for, job.step), lambda: gate.committed)
        return msgspec.structs.replace(finished_call, actual=msgspec.structs.replace(finished_call.actual, began=began))

    def _wait_for(self, step: Call, waited: float) -> None:
        """Report that an answer has not begun, with the elapsed and expected time."""
        expected = step.estimate.seconds
        about = f" of about {expected.mid:.0f} s" if expected.known and expected.mid >= 1 else ""
        self.state.caller.hint(StepProgress(step=step.id, note=f"no word yet, {waited:.0f} s{about}"))

    def may_ask_again(self) -> bool:
        """Return True if the plan has priced a second call for values of the answer that no source contains."""
        checks = {each.op: each for each in self._candidate.checks}
        looks = checks.get("evidence")
        if looks is None or self.state.request.policy.evidence != "retry":
            return False
        return looks.estimate.seconds.high > 0 or "valid_json" in checks

    def elapsed(self) -> float:
        """Return seconds since the run began."""
        return self.state.dependencies.clock() - self.started

    def progress(self, step: Step) -> Progress:
        """Return the callback for a step's progress."""

        def tell(fraction: float | None, note: str = "") -> None:
            self.state.caller.hint(StepProgress(step=step.id, fraction=fraction, note=note))

        return tell

    # ---- checks of products -------------------------------------------------------------------

    async def _add_product(self, step: Transform | Call, product: StepProduct, actual: Actual) -> None:
        await self.state.emit(StepFinished(actual=actual, derived=product.derived))
        facts = self.state.opened_media.facts.parts[product.part] if product.part >= 0 else None
        remarks = [
            Note(text=remark, step=step.id, warns=True)
            for remark in conversion_checks.conversion_remarks(step.op, product, self.state.name(product.part), facts)
        ]
        self.state.held_notes.pop((step.op, product.part), None)
        if remarks and all(map(is_nearly_empty, product.pieces)):
            # They may be the whole result; then an error reports it.
            self.state.held_notes[step.op, product.part] = remarks
        else:
            for note in remarks:
                await self.state.emit(note)
        if step.id not in self.state.finished:
            await self._check_conversion(step, product)

    async def _check_conversion(self, step: Transform | Call, product: StepProduct) -> None:
        """Run the plan's checks of a conversion, and determine whether its result is a reason to replan."""
        import anyio.to_thread

        planned = (*self._candidate.steps, *self._candidate.checks)
        checks = tuple(each for each in planned if isinstance(each, Check) and takes_step(each, step.id))
        # Counting the tokens of a long document takes a tenth of a second.
        judged = await anyio.to_thread.run_sync(replan.judge_conversion, step, product, checks, self.state)
        self.state.finished[step.id] = judged.finished
        for check, finding in judged.findings:
            await self.state.emit(
                Checked(step=step.id, check=check.op, problem=finding.problem, message=finding.message)
            )
        problem = judged.finished.problem
        surprise = judged.surprise or self._replanner.limit(self._candidate, self.state.products, step.id)
        if surprise is not None and self.answers(step):
            # An answer is regenerated only if the plan has priced that.
            priced = any(each.estimate.seconds.high for each in checks)
            surprise = msgspec.structs.replace(surprise, answers=True) if priced else None
        worse = self._surprise is None or self._surprise.only_size
        if surprise is not None and worse and self._replanner.should_replan(surprise):
            self._surprise = surprise
        elif problem in conversion_checks.WITHOUT_REMARK:
            await self.state.emit(Note(text=judged.finished.message, step=step.id, warns=True))

    def stop_for_replan(self) -> None:
        """Raise ReplanRequested if the result of a conversion differs from the plan."""
        if self._surprise is not None:
            raise ReplanRequested(self._surprise)

    async def inputs_by_part(self, step: Call, endpoint: Endpoint) -> Mapping[int, tuple[ModelInput, ...]]:
        """Return the inputs that the last call gets for each part, by index."""
        found: dict[int, tuple[ModelInput, ...]] = {}
        for number, each in enumerate(iterate_references(step), 1):
            if not number % MANY:
                await asyncio.sleep(0)
            if isinstance(each, PartRef):
                index = each.index
                pieces = await self.state.prepare.native(index, endpoint)
            else:
                index = self.state.products[each.id].part
                product_pieces = self.state.products[each.id].pieces
                pieces = tuple(
                    as_wav_input(piece) if isinstance(piece, AudioInput) else piece for piece in product_pieces
                )
            found[index] = (*found.get(index, ()), *pieces)
        return found

    def texts_by_part(self, step: Transform | Call) -> Mapping[int, tuple[ModelInput, ...]]:
        """Return the texts that the last step of a route without an answering model produces or joins, by part."""
        found: dict[int, tuple[ModelInput, ...]] = {}
        for each in input_steps(step) if step.op == "concat" else (step.id,):
            product = self.state.products[each]
            found[product.part] = (*found.get(product.part, ()), *product.pieces)
        return found

    def finished_event(self, step: Transform | Call, **fields: object) -> Finished:
        finished = Finished(
            endpoint=step.endpoint if isinstance(step, Call) else self._candidate.endpoint,
            cost=self.ledger.charges.cost,
            seconds=self.state.dependencies.clock() - self.started,
        )
        return msgspec.structs.replace(finished, **fields)


def _name_file(error: errors.IntermodalError, name: str) -> None:
    """Add the file's name to an error: a runtime gets samples and pixels, and does not know the file."""
    if isinstance(error, errors.RuntimeCrashed):
        error.what = hint("{}, on {}", error.hints.what, name)
    elif isinstance(error, errors.InputError) and not error.where:
        error.where = name


T = TypeVar("T")

EVERY = 2.0  # seconds between two signals

Tell = Callable[[float], None]


class _Heartbeat:
    """Signals at regular intervals until ended.

    Uses a timer: a task costs ten times as much, and most calls need none.
    """

    def __init__(self, tell: Tell, is_over: Callable[[], bool]) -> None:
        self._tell = tell
        self._is_over = is_over
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(EVERY, self._sign)

    def _sign(self) -> None:
        if not self._is_over():
            self._tell(EVERY * round((self._loop.time() - self._began) / EVERY))
            self._timer = self._loop.call_later(EVERY, self._sign)

    def end(self) -> None:
        self._timer.cancel()


async def with_heartbeat(work: Callable[[], Awaitable[T]], tell: Tell, is_over: Callable[[], bool]) -> T:
    """Return the result of ``work``; until then, and until ``is_over``, call ``tell`` with the elapsed seconds."""
    signs = _Heartbeat(tell, is_over)
    try:
        return await work()
    finally:
        signs.end()
