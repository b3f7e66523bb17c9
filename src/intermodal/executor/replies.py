"""The call that answers: assembled, checked, streamed through a gate, and for JSON held against its schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec

from intermodal import errors
from intermodal.catalog.structured_output import ANY_OBJECT, is_closable, schema_delivery
from intermodal.catalog.types import Endpoint, Host
from intermodal.content import ToolCall
from intermodal.costing.room import output_limit, room
from intermodal.events import Committed, Finished, Note, Retrying, StepFinished, TextDelta
from intermodal.executor import answer, assemble, check, drawing, scoring, speaking, translation
from intermodal.executor.answer_state import overrun
from intermodal.executor.bounded import bounded
from intermodal.executor.call import Done, Reroute
from intermodal.executor.context import fitting, refuse_what_it_cannot_take
from intermodal.executor.course import Course
from intermodal.executor.empty import Nothing, nothing_found, sentence, unread_parts, unreadable
from intermodal.executor.evidence import Answered, evident
from intermodal.executor.guard import STOPPED
from intermodal.executor.job import Job
from intermodal.executor.pieces import Piece, Pixels, Sound
from intermodal.executor.prepare import work_of
from intermodal.executor.speaker import Speaker
from intermodal.executor.sums import both, without_first
from intermodal.executor.weighed import weighed
from intermodal.executor.world import World
from intermodal.hints import hint
from intermodal.json_schema import BudgetExhausted, InvalidSchema, instruction
from intermodal.local.embedded import tesseract
from intermodal.offload import LONG, is_long, offload
from intermodal.plans.facts import PartFacts
from intermodal.plans.step import Call
from intermodal.plans.verdict import joined
from intermodal.request import JsonOutput
from intermodal.wire.call import ChatCall, WireMessage
from intermodal.wire.fields import fitted
from intermodal.wire.status import SchemaRefused

BRIEF = 60.0  # seconds; an answer that surely takes no longer need not show signs of life


async def _generate(course: Course, step: Call) -> Finished:
    endpoint = course.shop.endpoint(step)
    request = course.shop.request
    stands_for = await course.stands_for(step, endpoint)
    facts = course.shop.opened.facts
    long = is_long(request.messages)
    messages = await offload(long, assemble.messages, request, stands_for, facts.parts, endpoint.model.marks)
    if nothing := await offload(long, nothing_found, request, stands_for, facts):
        raise _nothing_to_ask_about(course, step, nothing)
    if unread := await offload(long, unreadable, request, stands_for, facts):
        raise _unreadable(course, step, unread)
    await course.shop.say_rest()
    schema = request.output if isinstance(request.output, JsonOutput) else None
    held = schema is not None and schema_delivery(endpoint.host, await _closable(schema)) != "asked"
    job = await _job(course, step, endpoint, messages, stands_for, held=held)
    # What nobody reads along, or may not, is shown once it is whole: until then another route may take over.
    live = course.shop.world.live and request.policy.streaming == "live" and not course.may_ask_again()
    speaker = Speaker(endpoint.id, course.shop.emit, live=live and (schema is None or held))
    try:
        done = await course.do(job, speaker)
    except SchemaRefused:
        if not held or schema is None or schema.strict or speaker.committed:
            raise
        what = f"{endpoint.id} cannot be held to this schema: it is asked for in words, and the answer is checked"
        await course.shop.emit(Note(text=what, step=step.id))
        job = await _job(course, step, endpoint, messages, stands_for, held=False)
        speaker = Speaker(endpoint.id, course.shop.emit, live=False)
        done = await course.do(job, speaker)
    if _is_refusal(done, speaker):
        await course.shop.emit(StepFinished(actual=done.actual))  # it is paid for, and how much is known
        raise refused(endpoint, done.made.refusal, done.actual.step)
    found = Answered(done=done, data=None)
    if schema is not None:
        valid, data = await _valid(course, job, done, schema, speaker)
        found, repaired = Answered(done=valid, data=data), valid.actual is not done.actual
        ask = partial(_asking, endpoint.host, messages, isinstance(job.chat.output, JsonOutput)) if job.chat else None
        found = await evident(course, job, found, schema, speaker, stands_for, None if repaired else ask)
        done = found.done
    await speaker.finish()
    await course.shop.emit(StepFinished(actual=done.actual))
    looped = await offload(len(done.made.text) > LONG, _loops, done, schema)
    await _remark(course, done, step, output_limit(step, request), looped=looped)
    speaking.keep(course, step, done.made.text)
    speech = await speaking.native(course, step, done.made)
    return course.finished(
        step, finish_reason=done.made.finish_reason or "stop", data=found.data, evidence=found.evidence,
        looped=looped, speech=speech, said=done.made.said, unread=unread_parts(stands_for, facts),
    )  # fmt: skip


async def _closable(schema: JsonOutput) -> bool:
    return await offload(is_long((), (), schema), is_closable, schema.schema)


async def _job(
    course: Course,
    step: Call,
    endpoint: Endpoint,
    messages: tuple[WireMessage, ...],
    stands_for: Mapping[int, tuple[Piece, ...]],
    *,
    held: bool,
) -> Job:
    """The call that answers: ``held`` to a schema by its host, and told of it where the host does not, or asked for it
    in words."""
    request = course.shop.request
    schema = request.output if isinstance(request.output, JsonOutput) else None
    long = is_long(messages, request.tools, request.output)
    if schema is not None:
        messages = await offload(long, _asking, endpoint.host, messages, held, schema)
    limit = output_limit(step, request)
    try:
        step = await offload(long, _fitted, step, endpoint, messages, limit, course.shop.world)
    except errors.ContextExceeded as error:
        raise Reroute(error, step, "cannot hold what was made of the files") from error
    pieces = [piece for found in stands_for.values() for piece in found]
    try:
        settings = fitted(request.settings, request.sampling.max_tokens, limit, endpoint.host.protocol, endpoint.id)
    except errors.UnsupportedModality as error:
        raise Reroute(error, step, "leaves too little room to think in") from error
    call = ChatCall(
        model=endpoint.served_as or endpoint.model.id,
        messages=messages,
        output=schema if schema is not None and held else speaking.output_of(course, step),
        sampling=msgspec.structs.replace(request.sampling, max_tokens=limit),
        tools=request.tools,
        tool_choice=request.tool_choice,
        parallel_tools=request.parallel_tools,
        context=room(step, endpoint, limit),
        cache=request.cache,
        settings=settings,
        stream=course.shop.world.live or not brief(step),
    )
    try:
        await offload(long, refuse_what_it_cannot_take, endpoint, call, step)
    except errors.UnsupportedModality as error:
        raise Reroute(error, step, "cannot take this kind of part") from error
    world = course.shop.world
    work = await offload(long, weighed, endpoint, call, pieces, world.count, world.catalog)
    return Job(step=step, endpoint=endpoint, chat=call, work=work, stop_loops=schema is None)


def _fitted(step: Call, endpoint: Endpoint, messages: tuple[WireMessage, ...], limit: int | None, world: World) -> Call:
    return fitting(step, endpoint, assemble.text_of(messages), limit, world) if endpoint.model.tokenizer else step


def _asking(host: Host, messages: tuple[WireMessage, ...], held: bool, schema: JsonOutput) -> tuple[WireMessage, ...]:
    """The messages with what a model is told of its answer's schema."""
    told = _told(schema, host, messages, held)
    return assemble.with_instruction(messages, told) if told else messages


def _told(schema: JsonOutput, host: Host, messages: tuple[WireMessage, ...], held: bool) -> str:
    """What a model is told of its answer's schema; "" where its host or a message tells it. Where it may be any object,
    hosts of OpenAI's kind want JSON to be spoken of, and nobody has more to say."""
    if schema.told:
        return ""
    if not held:
        return instruction.whole(schema.schema)
    known = "json" in assemble.text_of(messages).lower() if schema.schema == ANY_OBJECT else host.tells_schema
    return "" if known else instruction.described(schema.schema)


def brief(step: Call) -> bool:
    """Whether the answer is surely made soon: a host that works on a whole answer looks like one that hangs."""
    return step.estimate.seconds.known and step.estimate.seconds.for_limit() <= BRIEF


def _nothing_to_ask_about(course: Course, step: Call, missing: tuple[Nothing, ...]) -> Exception:
    """Files in which nothing was found: a model would make something up, so it is not asked, and that is an error.

    A fallback may still look at pictures and pages in another way; silence stays silence. The error says what was not
    found, so no note does; of a video it may say one track alone.
    """
    shop = course.shop
    for op, part in list(shop.unsaid):
        if any(each.covers(op, part) for each in missing):
            del shop.unsaid[op, part]
    error = errors.NoContentFound(
        f"{sentence(missing)[:-1]}, so there is nothing to ask {step.endpoint} about",
        todo="check the file, ask without it, or name a model that takes it as it is",
        step=step.id,
    )
    seen = all(shop.opened.facts.parts[each.part].kind in ("image", "document") for each in missing)
    return Reroute(error, step, "was given nothing of the files") if seen else error


def _unreadable(course: Course, step: Call, parts: tuple[PartFacts, ...]) -> Reroute:
    """Files whose words could not be read for the most part: an answer made of the rest would look like one about them.

    A fallback may look at them instead.
    """
    shop = course.shop
    for part in parts:
        shop.unsaid.pop(("read", part.index), None)
    found = [each.said for each in shop.finished.values() if each.problem == "script"]
    said = "; ".join(found) or f"most words of {joined(part.name for part in parts)} cannot be read here"
    error = errors.InputUnreadable(
        f"{said}, so {step.endpoint} was not asked about it",
        todo=f"{tesseract.install_hint()}; or add a model that sees pictures: intermodal hosts add", step=step.id,
    )  # fmt: skip
    return Reroute(error, step, "was given few of the words")


def _is_refusal(done: Done, speaker: Speaker) -> bool:
    """A refusal with nothing said is an error with the model's reason; nobody else is asked instead."""
    made = done.made
    return made.finish_reason == "content_filter" and not speaker.committed and not made.text.strip()


def refused(endpoint: Endpoint, words: str, step: str) -> errors.ContentRefused:
    """The error that a refusal is, with the model's own words where it gave any."""
    reason = " ".join(words.split())[:300]
    said = f': "{reason}"' if reason else ""
    return errors.ContentRefused(
        f"refused to answer{said}", where=endpoint.id, todo="ask differently", status=200, step=step
    )


async def _valid(course: Course, job: Job, done: Done, schema: JsonOutput, speaker: Speaker) -> tuple[Done, object]:
    """The data of a JSON answer. An answer nobody has seen gets one repair call; one that calls tools is none yet."""
    if any(isinstance(part, ToolCall) for part in done.made.said):
        return done, None
    parsed = await _parsed(course, job, done, schema)
    cut = done.made.finish_reason == "length"
    if parsed.problem and not speaker.committed and not cut and job.chat is not None:
        reason = f"{job.endpoint.id} gave an answer that breaks the schema"
        await course.shop.emit(Retrying(step=job.step.id, reason=reason))
        speaker.retract()
        repair = msgspec.structs.replace(
            job.chat, messages=assemble.with_repair(job.chat.messages, done.made.text, parsed.problem)
        )
        first = done.actual
        work = msgspec.structs.replace(job.work, messages=0)  # more is sent than was weighed
        again = msgspec.structs.replace(job, chat=repair, step=without_first(job.step, first), work=work)
        done = await course.do(again, speaker)
        done = msgspec.structs.replace(done, actual=both(first, done.actual))
        parsed = await _parsed(course, job, done, schema)
        cut = done.made.finish_reason == "length"
    if parsed.mended and speaker.committed:  # somebody has read it as it was written
        parsed = msgspec.structs.replace(parsed, problem="; ".join(parsed.mended))
    if parsed.problem and cut and not schema.whole:
        return done, None
    if parsed.problem:
        await course.shop.emit(StepFinished(actual=done.actual))  # it is paid for, and how much is known
        raise errors.OutputInvalid(
            "the answer was cut at the length limit before its JSON was whole" if cut
            else f"the answer breaks the schema: {parsed.problem}",
            where=job.endpoint.id,
            todo=hint("allow more tokens ({max-tokens})") if cut else "use a stronger model, or a simpler schema",
            step=job.step.id,
        )  # fmt: skip
    if parsed.mended:
        what = "; ".join(parsed.mended)
        await course.shop.emit(Note(text=f"the answer was put right without asking again: {what}", step=job.step.id))
    if not speaker.committed and parsed.text != done.made.text.strip():  # a program reads it: nothing stands around it
        speaker.correct(parsed.text)
        done = msgspec.structs.replace(done, made=msgspec.structs.replace(done.made, text=parsed.text))
    return done, parsed.data


async def _parsed(course: Course, job: Job, done: Done, schema: JsonOutput) -> answer.Parsed:
    """The answer, held against its schema.

    Raises:
        OutputUnchecked: that takes too much work. Asking again would be paid again, and nothing says that the next
            answer takes less.
        SchemaInvalid: the schema is none, and whoever made the request did not look.
    """
    try:
        return await bounded(partial(answer.parse, done.made.text, schema.schema))
    except InvalidSchema as error:
        await course.shop.emit(StepFinished(actual=done.actual))
        what = f"the schema cannot be used at {error.place[:200] or 'its top'}: {error.what}"
        raise errors.SchemaInvalid(what, todo=error.todo, step=job.step.id) from None
    except BudgetExhausted as error:
        await course.shop.emit(StepFinished(actual=done.actual))  # it is paid for, and how much is known
        raise errors.OutputUnchecked(
            f"an answer came, and it cannot be said whether it fits the schema: {error}",
            where=job.endpoint.id,
            todo="use a simpler schema, or ask for a shorter answer",
            step=job.step.id,
        ) from None


def _loops(done: Done, schema: JsonOutput | None) -> bool:
    """Whether an answer repeats itself, stopped or not. JSON has equal lines."""
    return done.made.looped or (schema is None and check.repeats(done.made.text))


async def _remark(course: Course, done: Done, step: Call, limit: int | None, *, looped: bool) -> None:
    made = done.made
    if made.looped:
        await course.shop.emit(Note(text=STOPPED, step=step.id, warns=True))
        return
    if made.overran:
        await course.shop.emit(Note(text=overrun(step.endpoint, limit), step=step.id, warns=True))
        return
    tokens = done.actual.usage.output_tokens or limit
    thought = done.actual.usage.reasoning_tokens
    for remark in ending(made.finish_reason, made.text, tokens, called=bool(made.said), thought=thought):
        await course.shop.emit(Note(text=remark, step=step.id, warns=True))
    if looped:
        await course.shop.emit(Note(text=check.REPEATS, step=step.id, warns=True))


def ending(reason: str, text: str, tokens: int | None, *, called: bool, thought: int | None = None) -> list[str]:
    """What is to be said of how an answer ended. ``tokens``: that were made, or were allowed; ``called``: tools;
    ``thought``: tokens of them that were."""
    if reason == "length" and thought and not text.strip() and not called:
        return [
            hint("the answer ended without a word: {} tokens went into thought; allow more with {max-tokens}", thought)
        ]
    if reason == "length":
        what = f"the answer was cut after {tokens} tokens" if tokens else "the answer was cut at the length limit"
        return [hint("{}; allow more with {max-tokens}", what)]
    if reason == "content_filter":
        return ["the answer was stopped by the host's content filter"]
    return [] if text.strip() or called else ["the answer is empty"]


async def _transcribe(course: Course, step: Call) -> Finished:
    product = course.shop.products.get(step.id) or await course.convert_by_call(step)
    course.stop_if_surprised()
    transcript = product.transcript
    assert transcript is not None
    if transcript.text:
        await course.shop.emit(Committed(endpoint=step.endpoint))
        await course.shop.emit(TextDelta(text=transcript.text))
    looped = check.looped(transcript) or check.repeats(transcript.text)
    return course.finished(step, transcript=transcript, looped=looped)


async def _translate(course: Course, step: Call) -> Finished:
    """What was heard, in another language. Silence is translated by nobody."""
    endpoint = course.shop.endpoint(step)
    request, stands_for, heard = await translation.begin(course, step)
    if heard is not None and not heard.text:
        return course.finished(step, transcript=heard)
    facts = course.shop.opened.facts.parts
    messages = assemble.messages(request, stands_for, facts, endpoint.model.marks)
    job = await _job(course, step, endpoint, messages, stands_for, held=False)
    speaker = Speaker(endpoint.id, course.shop.emit, live=False)
    done = await course.do(job, speaker)
    await course.shop.emit(StepFinished(actual=done.actual))
    if _is_refusal(done, speaker):
        raise refused(endpoint, done.made.refusal, done.actual.step)
    await _remark(course, done, step, output_limit(step, request), looped=done.made.looped)
    return await translation.end(course, step, done.made.text, heard)


async def _embed(course: Course, step: Call) -> Finished:
    endpoint = course.shop.endpoint(step)
    stands_for = await course.stands_for(step, endpoint)
    text, media = assemble.text_to_embed(course.shop.request, stands_for), assemble.media_to_embed(stands_for)
    if not text and not media:
        raise errors.InputEmpty("there is no text to embed", todo="give a file with words in it", step=step.id)
    pieces = [piece for index in stands_for for piece in stands_for[index]]
    work = work_of(
        tuple(piece for piece in pieces if isinstance(piece, Pixels)),
        tuple(piece for piece in pieces if isinstance(piece, Sound)),
    )
    done = await course.do(Job(step=step, endpoint=endpoint, text=text, beside=media, work=work))
    await course.shop.emit(StepFinished(actual=done.actual))
    if done.made.matching is not None and done.made.matching.cut:
        what = f"the text is longer than {endpoint.id} reads, and was cut"
        await course.shop.emit(Note(text=what, step=step.id, warns=True))
    return course.finished(step, embedding=done.made.vector)


async def _speak(course: Course, step: Call) -> Finished:
    return await speaking.speak(course, step, _generate)


REPLIES: Mapping[str, Callable[[Course, Call], Awaitable[Finished]]] = {
    "generate": _generate,
    "transcribe": _transcribe,
    "translate": _translate,
    "embed": _embed,
    "speak": _speak,
    "score": scoring.score,
    "draw": drawing.draw,
}


async def answered(course: Course) -> Finished:
    """Drive a route to its end: what leads to the answer, then the call that makes it."""
    last = await course.converted()
    finished = await REPLIES[last.op](course, last)
    await course.shop.say_rest()
    return finished
