"""The last call of a route, by operation.

For ``generate``: build the prompt, preflight, stream, validate, repair JSON if needed, and add notes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec

from intermodal import errors
from intermodal.catalog.schema_enforcement import is_closable, schema_delivery
from intermodal.catalog.types import Endpoint, Host
from intermodal.concurrency.offload import LONG, is_long, offload
from intermodal.core.request import JsonOutput
from intermodal.cost_model.memory import output_limit, requested_context
from intermodal.events import Committed, Finished, Note, Retrying, StepFinished, TextDelta
from intermodal.executor.attempt.accounting import add_actuals, remaining_estimate
from intermodal.executor.attempt.answer_notes import answer_notes, refusal_error, stop_note, stops_loops
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.attempt.step_caller import FinishedCall
from intermodal.executor.conversion import checks
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.interface import CallJob
from intermodal.executor.outputs import file_text, images, json_answer, scores, translation
from intermodal.executor.outputs import speech as outputs_speech
from intermodal.executor.outputs.evidence_check import JsonAnswer, check_evidence
from intermodal.executor.outputs.first_word_gate import FirstWordGate
from intermodal.executor.preparation import prompt
from intermodal.executor.preparation.model_inputs import ModelInput
from intermodal.executor.preparation.part_inputs import measure_work
from intermodal.executor.preparation.preflight import (
    check_context_window,
    check_modalities,
    empty_files,
    partly_unread_files,
    unreadable_files,
)
from intermodal.executor.preparation.request_size import measure_request
from intermodal.executor.route_run import RouteRun
from intermodal.json_schema import BudgetExhausted, InvalidSchema
from intermodal.plans.step import Call
from intermodal.protocols.answer_state import is_refusal
from intermodal.protocols.calls import ChatCall, WireMessage
from intermodal.protocols.errors.classification import SchemaRefused
from intermodal.protocols.request_fields import scale_thinking

# ---- json repair ------------------------------------------------------------------------------------
#
# The answer of a JSON output: parse it, repair slips, and ask once more where it does not match its schema.
#
# ``json_answer.py`` parses and repairs without a call. What it cannot repair costs one further call, the *repair
# call*, as long as nothing of the answer was shown. ``evidence_check.py`` looks for the values in the files
# afterwards.


async def validated_answer(
    run: RouteRun, job: CallJob, finished_call: FinishedCall, schema: JsonOutput, gate: FirstWordGate
) -> tuple[FinishedCall, object]:
    """Return the call that answered, and the data of its JSON answer.

    An answer that was not shown yet gets one repair call. An answer that calls tools is not checked.

    Raises:
        OutputInvalid: the answer does not match its schema, and was shown already or repaired in vain.
        OutputUnchecked, SchemaInvalid: it cannot be checked.
    """
    if finished_call.result.calls_tool:
        return finished_call, None
    parsed = await _parse_answer(run, job, finished_call, schema)
    cut = finished_call.result.finish_reason == "length"
    if parsed.problem and not gate.committed and not cut and job.chat is not None:
        reason = f"{job.endpoint.id} gave an answer that breaks the schema"
        await run.state.emit(Retrying(step=job.step.id, reason=reason))
        gate.retract()
        repair = msgspec.structs.replace(
            job.chat, messages=prompt.with_repair(job.chat.messages, finished_call.result.text, parsed.problem)
        )
        first = finished_call.actual
        work = msgspec.structs.replace(job.work, messages=0)  # more is sent than was measured
        repaired_job = msgspec.structs.replace(job, chat=repair, step=remaining_estimate(job.step, first), work=work)
        try:
            finished_call = await run.do(repaired_job, gate)
        except BaseException:
            run.state.caller.hint(StepFinished(actual=first))  # it is paid for, whatever became of its repair
            raise
        finished_call = msgspec.structs.replace(finished_call, actual=add_actuals(first, finished_call.actual))
        parsed = await _parse_answer(run, job, finished_call, schema)
        cut = finished_call.result.finish_reason == "length"
    fault = json_answer.fault(
        parsed, was_shown=gate.committed, cut=cut, whole=schema.whole, endpoint=job.endpoint.id, step=job.step.id
    )
    if fault is not None:
        await run.state.emit(
            StepFinished(actual=finished_call.actual)
        )  # the attempt is paid for, and its usage is known
        raise fault
    if parsed.problem or (parsed.mended and gate.committed):
        return finished_call, None
    if parsed.mended:
        what = "; ".join(parsed.mended)
        await run.state.emit(Note(text=f"the answer was put right without asking again: {what}", step=job.step.id))
    if (
        not gate.committed and parsed.text != finished_call.result.text.strip()
    ):  # for programs: without surrounding text
        gate.correct(parsed.text)
        finished_call = msgspec.structs.replace(
            finished_call, result=msgspec.structs.replace(finished_call.result, text=parsed.text)
        )
    return finished_call, parsed.data


async def _parse_answer(
    run: RouteRun, job: CallJob, finished_call: FinishedCall, schema: JsonOutput
) -> json_answer.ParsedAnswer:
    """Return the answer, parsed and compared with its schema.

    Raises:
        OutputUnchecked: the comparison takes too much work. No repair call follows: it would be charged too, and its
            answer might be as hard to check.
        SchemaInvalid: the schema cannot be used, and the caller did not check it.
    """
    try:
        return await json_answer.run_bounded(partial(json_answer.parse, finished_call.result.text, schema.schema))
    except InvalidSchema as error:
        await run.state.emit(StepFinished(actual=finished_call.actual))
        what = f"the schema cannot be used at {error.place[:200] or 'its top'}: {error.what}"
        raise errors.SchemaInvalid(what, todo=error.todo, step=job.step.id) from None
    except BudgetExhausted as error:
        await run.state.emit(
            StepFinished(actual=finished_call.actual)
        )  # the attempt is paid for, and its usage is known
        raise json_answer.unchecked_error(error, endpoint=job.endpoint.id, step=job.step.id) from None


# ---- answer call ------------------------------------------------------------------------------------

BRIEF_SECONDS = 60.0  # seconds; an answer that certainly takes no longer need not show signs of life


async def _generate(run: RouteRun, step: Call) -> Finished:
    endpoint = run.state.endpoint(step)
    request = run.state.request
    stands_for = await run.inputs_by_part(step, endpoint)
    facts = run.state.opened_media.facts
    long = is_long(request.messages)
    messages = await offload(long, prompt.chat_messages, request, stands_for, facts.parts, endpoint.model.marks)
    if nothing := await offload(long, empty_files, request, stands_for, facts):
        raise file_text.no_content_error(run, step, nothing)
    if unread := await offload(long, unreadable_files, request, stands_for, facts):
        raise file_text.unreadable_error(run, step, unread)
    await run.state.emit_held_notes()
    schema = request.output if isinstance(request.output, JsonOutput) else None
    enforced = schema is not None and schema_delivery(endpoint.host, await _closable(schema)) != "asked"
    job = await _job(run, step, endpoint, messages, stands_for, enforced=enforced)
    # A buffered answer is emitted when complete; until then another route may take over.
    live = run.state.dependencies.live and request.policy.streaming == "live" and not run.may_ask_again()
    gate = FirstWordGate(endpoint.id, run.state.emit, live=live and (schema is None or enforced))
    try:
        finished_call = await run.do(job, gate)
    except SchemaRefused:
        if not enforced or schema is None or schema.strict or gate.committed:
            raise
        what = f"{endpoint.id} cannot be held to this schema: it is asked for in words, and the answer is checked"
        await run.state.emit(Note(text=what, step=step.id))
        job = await _job(run, step, endpoint, messages, stands_for, enforced=False)
        gate = FirstWordGate(endpoint.id, run.state.emit, live=False)
        finished_call = await run.do(job, gate)
    if _is_refusal(finished_call, gate):
        await run.state.emit(
            StepFinished(actual=finished_call.actual)
        )  # the attempt is paid for, and its usage is known
        raise refusal_error(endpoint, finished_call.result.refusal, finished_call.actual.step)
    found = JsonAnswer(done=finished_call, data=None)
    if schema is not None:
        valid, data = await validated_answer(run, job, finished_call, schema, gate)
        found, repaired = JsonAnswer(done=valid, data=data), valid.actual is not finished_call.actual
        ask = (
            partial(_with_schema, endpoint.host, messages, isinstance(job.chat.output, JsonOutput))
            if job.chat
            else None
        )
        found = await check_evidence(run, job, found, schema, gate, stands_for, None if repaired else ask)
        finished_call = found.done
    await gate.finish()
    await run.state.emit(StepFinished(actual=finished_call.actual))
    looped = await offload(len(finished_call.result.text) > LONG, _loops, finished_call, schema)
    await _add_remarks(run, finished_call, step, output_limit(step, request), looped=looped)
    outputs_speech.keep_for_voice(run, step, finished_call.result.text)
    speech = await outputs_speech.native_speech(run, step, finished_call.result)
    return run.finished_event(
        step, finish_reason=finished_call.result.finish_reason or "stop",
        stop_sequence=finished_call.result.stop_sequence, data=found.data, evidence=found.evidence,
        looped=looped, speech=speech, parts=finished_call.result.parts, refusal=finished_call.result.refusal,
        unread=partly_unread_files(stands_for, facts),
    )  # fmt: skip


async def _closable(schema: JsonOutput) -> bool:
    return await offload(is_long((), (), schema), is_closable, schema.schema)


async def _job(
    run: RouteRun,
    step: Call,
    endpoint: Endpoint,
    messages: tuple[WireMessage, ...],
    stands_for: Mapping[int, tuple[ModelInput, ...]],
    *,
    enforced: bool,
) -> CallJob:
    """Return the answering call. ``enforced``: the host enforces the schema; otherwise the prompt states it."""
    request = run.state.request
    schema = request.output if isinstance(request.output, JsonOutput) else None
    long = is_long(messages, request.tools, request.output)
    if schema is not None:
        messages = await offload(long, _with_schema, endpoint.host, messages, enforced, schema)
    limit = output_limit(step, request)
    try:
        step = await offload(long, _fit_call, step, endpoint, messages, limit, run.state.dependencies)
    except errors.ContextExceeded as error:
        raise Reroute(error, step, "has too small a context for the converted files") from error
    pieces = [piece for found in stands_for.values() for piece in found]
    try:
        settings = scale_thinking(
            request.settings, request.sampling.max_tokens, limit, endpoint.host.protocol, endpoint.id
        )
    except errors.UnsupportedModality as error:
        raise Reroute(error, step, "leaves too little room to think in") from error
    call = ChatCall(
        model=endpoint.served_as or endpoint.model.id,
        messages=messages,
        output=schema if schema is not None and enforced else outputs_speech.chat_output(run, step),
        sampling=msgspec.structs.replace(request.sampling, max_tokens=limit),
        tools=request.tools,
        tool_choice=request.tool_choice,
        parallel_tools=request.parallel_tools,
        context=requested_context(step, endpoint, limit),
        cache=request.cache,
        settings=settings,
        stream=run.state.dependencies.live or not is_quick_answer(step),
    )
    try:
        await offload(long, check_modalities, endpoint, call, step)
    except errors.UnsupportedModality as error:
        raise Reroute(error, step, "cannot take this kind of part") from error
    dependencies = run.state.dependencies
    work = await offload(long, measure_request, endpoint, call, pieces, dependencies.count, dependencies.catalog)
    return CallJob(
        step=step,
        endpoint=endpoint,
        chat=call,
        work=work,
        stop_loops=stops_loops(endpoint, by_schema=schema is not None),
    )


def _fit_call(
    step: Call, endpoint: Endpoint, messages: tuple[WireMessage, ...], limit: int | None, dependencies: Dependencies
) -> Call:
    return (
        check_context_window(step, endpoint, prompt.all_text(messages), limit, dependencies)
        if endpoint.model.tokenizer
        else step
    )


def _with_schema(
    host: Host, messages: tuple[WireMessage, ...], enforced: bool, schema: JsonOutput
) -> tuple[WireMessage, ...]:
    """Return the messages with the instruction about the schema."""
    instructed = json_answer.schema_instruction(
        schema, host, enforced=enforced, speaks_of_json=lambda: "json" in prompt.all_text(messages).lower()
    )
    return prompt.with_instruction(messages, instructed) if instructed else messages


def is_quick_answer(step: Call) -> bool:
    """Return True if even the high estimate is at most ``BRIEF_SECONDS``, so that streaming is unnecessary.

    A host that works on an unstreamed answer shows no sign of life.
    """
    return step.estimate.seconds.known and step.estimate.seconds.for_limit() <= BRIEF_SECONDS


def _is_refusal(finished_call: FinishedCall, gate: FirstWordGate) -> bool:
    """Return True if the model refused and nothing was shown; the caller raises the refusal."""
    result = finished_call.result
    return not gate.committed and is_refusal(result.finish_reason, (result.text,), called=result.calls_tool)


def _loops(finished_call: FinishedCall, schema: JsonOutput | None) -> bool:
    """Return True if an answer repeats itself, whether it was stopped or not. JSON may have equal lines."""
    return finished_call.result.looped or (schema is None and checks.repeats(finished_call.result.text))


async def _add_remarks(
    run: RouteRun, finished_call: FinishedCall, step: Call, limit: int | None, *, looped: bool
) -> None:
    result = finished_call.result
    tokens = finished_call.actual.usage.output_tokens or limit
    thought = finished_call.actual.usage.reasoning_tokens
    for note in answer_notes(
        result.finish_reason, result.text, tokens, called=result.calls_tool, thought=thought, repeats=looped,
        stopped=stop_note(
            step.endpoint, limit, looped=result.looped, overran=result.overran, refusal=result.refusal
        ),
    ):  # fmt: skip
        await run.state.emit(Note(text=note, step=step.id, warns=True))


async def _transcribe(run: RouteRun, step: Call) -> Finished:
    product = run.state.products.get(step.id) or await run.convert_by_call(step)
    run.stop_for_replan()
    transcript = product.transcript
    assert transcript is not None
    if transcript.text:
        await run.state.emit(Committed(endpoint=step.endpoint))
        await run.state.emit(TextDelta(text=transcript.text))
    looped = checks.is_looping(transcript) or checks.repeats(transcript.text)
    return run.finished_event(step, transcript=transcript, looped=looped)


async def _translate(run: RouteRun, step: Call) -> Finished:
    """Return the transcript in another language. An empty transcript is not translated."""
    endpoint = run.state.endpoint(step)
    request, stands_for, transcript = await translation.translation_request(run, step)
    if transcript is not None and not transcript.text:
        return run.finished_event(step, transcript=transcript)
    facts = run.state.opened_media.facts.parts
    messages = prompt.chat_messages(request, stands_for, facts, endpoint.model.marks)
    job = await _job(run, step, endpoint, messages, stands_for, enforced=False)
    gate = FirstWordGate(endpoint.id, run.state.emit, live=False)
    finished_call = await run.do(job, gate)
    await run.state.emit(StepFinished(actual=finished_call.actual))
    if _is_refusal(finished_call, gate):
        raise refusal_error(endpoint, finished_call.result.refusal, finished_call.actual.step)
    await _add_remarks(run, finished_call, step, output_limit(step, request), looped=finished_call.result.looped)
    return await translation.translation_result(run, step, finished_call.result.text, transcript)


async def _embed(run: RouteRun, step: Call) -> Finished:
    endpoint = run.state.endpoint(step)
    stands_for = await run.inputs_by_part(step, endpoint)
    text, media = prompt.text_to_embed(run.state.request, stands_for), prompt.media_to_embed(stands_for)
    if not text and not media:
        raise errors.InputEmpty("there is no text to embed", todo="give a file with words in it", step=step.id)
    pieces = [piece for index in stands_for for piece in stands_for[index]]
    job = CallJob(step=step, endpoint=endpoint, text=text, beside=media, work=measure_work(pieces))
    finished_call = await run.do(job)
    await run.state.emit(StepFinished(actual=finished_call.actual))
    if finished_call.result.contrastive is not None and finished_call.result.contrastive.cut:
        what = f"the text is longer than {endpoint.id} reads, and was cut"
        await run.state.emit(Note(text=what, step=step.id, warns=True))
    return run.finished_event(step, embedding=finished_call.result.vector)


async def _speak(run: RouteRun, step: Call) -> Finished:
    return await outputs_speech.speak(run, step, _generate)


FINAL_CALLS: Mapping[str, Callable[[RouteRun, Call], Awaitable[Finished]]] = {
    "generate": _generate,
    "transcribe": _transcribe,
    "translate": _translate,
    "embed": _embed,
    "speak": _speak,
    "score": scores.score,
    "draw": images.draw,
}


async def run_to_answer(run: RouteRun) -> Finished:
    """Run a route to its end: prepare its inputs, then make the answering call."""
    last = await run.prepare_answer()
    if run.words_alone:
        finished = await file_text.answer(run, last)
    elif isinstance(last, Call):
        finished = await FINAL_CALLS[last.op](run, last)
    else:
        raise errors.PlanStale("ends with a step that answers nothing", where="plan", todo="plan again", step=last.id)
    await run.state.emit_held_notes()
    return finished
