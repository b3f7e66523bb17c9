"""The answer of a JSON output: parse it, repair slips, and ask once more where it does not match its schema.

``json_answer.py`` parses and repairs without a call. What it cannot repair costs one further call, the *repair call*,
as long as nothing of the answer was shown. ``evidence_check.py`` looks for the values in the files afterwards.
"""

from __future__ import annotations

from functools import partial

import msgspec

from intermodal import errors
from intermodal.core.request import JsonOutput
from intermodal.events import Note, Retrying, StepFinished
from intermodal.executor.attempt.accounting import add_actuals, remaining_estimate
from intermodal.executor.attempt.step_caller import FinishedCall
from intermodal.executor.drivers.interface import CallJob
from intermodal.executor.outputs import json_answer
from intermodal.executor.outputs.first_word_gate import CommitGate
from intermodal.executor.preparation import prompt
from intermodal.executor.route_run import RouteRun
from intermodal.json_schema import BudgetExhausted, InvalidSchema


async def validated_answer(
    run: RouteRun, job: CallJob, done: FinishedCall, schema: JsonOutput, speaker: CommitGate
) -> tuple[FinishedCall, object]:
    """Return the call that answered, and the data of its JSON answer.

    An answer that was not shown yet gets one repair call. An answer that calls tools is not checked.

    Raises:
        OutputInvalid: the answer does not match its schema after the repair call.
        OutputUnchecked, SchemaInvalid: it cannot be checked.
    """
    if done.made.called:
        return done, None
    parsed = await _parsed(run, job, done, schema)
    cut = done.made.finish_reason == "length"
    if parsed.problem and not speaker.committed and not cut and job.chat is not None:
        reason = f"{job.endpoint.id} gave an answer that breaks the schema"
        await run.state.emit(Retrying(step=job.step.id, reason=reason))
        speaker.retract()
        repair = msgspec.structs.replace(
            job.chat, messages=prompt.with_repair(job.chat.messages, done.made.text, parsed.problem)
        )
        first = done.actual
        work = msgspec.structs.replace(job.work, messages=0)  # more is sent than was measured
        repaired_job = msgspec.structs.replace(job, chat=repair, step=remaining_estimate(job.step, first), work=work)
        done = await run.do(repaired_job, speaker)
        done = msgspec.structs.replace(done, actual=add_actuals(first, done.actual))
        parsed = await _parsed(run, job, done, schema)
        cut = done.made.finish_reason == "length"
    fault = json_answer.fault(
        parsed, shown=speaker.committed, cut=cut, whole=schema.whole, endpoint=job.endpoint.id, step=job.step.id
    )
    if fault is not None:
        await run.state.emit(StepFinished(actual=done.actual))  # the attempt is paid for, and its usage is known
        raise fault
    if parsed.problem or (parsed.mended and speaker.committed):
        return done, None
    if parsed.mended:
        what = "; ".join(parsed.mended)
        await run.state.emit(Note(text=f"the answer was put right without asking again: {what}", step=job.step.id))
    if not speaker.committed and parsed.text != done.made.text.strip():  # for programs: without surrounding text
        speaker.correct(parsed.text)
        done = msgspec.structs.replace(done, made=msgspec.structs.replace(done.made, text=parsed.text))
    return done, parsed.data


async def _parsed(run: RouteRun, job: CallJob, done: FinishedCall, schema: JsonOutput) -> json_answer.ParsedAnswer:
    """Return the answer, parsed and compared with its schema.

    Raises:
        OutputUnchecked: the comparison takes too much work. It is not repeated, since the next answer would have to be
            paid as well and need not take less.
        SchemaInvalid: the schema cannot be used, and the caller did not check it.
    """
    try:
        return await json_answer.run_bounded(partial(json_answer.parse, done.made.text, schema.schema))
    except InvalidSchema as error:
        await run.state.emit(StepFinished(actual=done.actual))
        what = f"the schema cannot be used at {error.place[:200] or 'its top'}: {error.what}"
        raise errors.SchemaInvalid(what, todo=error.todo, step=job.step.id) from None
    except BudgetExhausted as error:
        await run.state.emit(StepFinished(actual=done.actual))  # the attempt is paid for, and its usage is known
        raise json_answer.unchecked(error, endpoint=job.endpoint.id, step=job.step.id) from None
