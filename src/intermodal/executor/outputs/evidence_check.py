"""Checks a JSON answer against its sources, and requests values that no source contains a second time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from intermodal import errors
from intermodal.concurrency.offload import offload
from intermodal.core.content import Text, Transcript, Value
from intermodal.core.request import JsonOutput, Request
from intermodal.events import Actual, Checked, FieldEvidence, Note, Retrying
from intermodal.executor.attempt.accounting import add_actuals, remaining_estimate
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.attempt.step_caller import FinishedCall
from intermodal.executor.drivers.interface import CallJob
from intermodal.executor.outputs import json_answer
from intermodal.executor.outputs.evidence import (
    EvidenceSource,
    EvidenceSources,
    are_codes,
    codes_of,
    evidence_of,
    sole_number,
    value_at,
)
from intermodal.executor.outputs.first_word_gate import FirstWordGate
from intermodal.executor.outputs.json_answer import run_bounded
from intermodal.executor.preparation.model_inputs import ModelInput, TextInput
from intermodal.executor.route_run import RouteRun
from intermodal.json_schema import BudgetExhausted, InvalidSchema
from intermodal.json_schema.errors import steps
from intermodal.plans.facts import Facts
from intermodal.protocols.calls import ChatCall, WireMessage

_LONG = 8 << 10  # characters from which on values are looked up in a thread: 48,000 take 20 to 30 ms
_MAX_NAMED_FIELDS = 5  # maximum number of fields that a sentence names
_MAX_SHOWN_VALUE = 40  # maximum characters of a quoted value
Ask = Callable[[JsonOutput], tuple[WireMessage, ...]]
_REST = 0.1  # share of the remaining time that is kept for work after the second call


class JsonAnswer(Value, frozen=True):
    """An answer that is valid JSON, with the places where its values occur."""

    done: FinishedCall
    data: Any
    evidence: tuple[FieldEvidence, ...] = ()

    @property
    def unverified(self) -> list[str]:
        """Fields whose values occur in no source."""
        return [each.field for each in self.evidence if each.status == "unverified"]


def sources_of(
    request: Request,
    stands_for: Mapping[int, tuple[ModelInput, ...]],
    facts: Facts,
    transcripts: Mapping[int, Transcript],
) -> EvidenceSources:
    """Return the texts that a model answered from; none if no file came with the request.

    If there are files, the prompt counts as a source too: an answer may repeat it. ``transcripts``: by part.
    """
    files: list[EvidenceSource] = []
    sources: list[EvidenceSource] = []
    only_text = True
    for index, role, part in request.parts():
        name = facts.parts[index].name
        if isinstance(part, Text):
            if part.name:
                files.append(EvidenceSource(name, part.text))
            elif role in ("user", "system"):
                sources.append(EvidenceSource(name, part.text))
            continue
        for piece in stands_for.get(index, ()):
            if not isinstance(piece, TextInput):
                only_text = False
            elif index in transcripts and not piece.source and not piece.of_file:
                files.append(_transcript_source(name, transcripts[index]))
            else:
                files.append(EvidenceSource(name, piece.text, piece.page, piece.at))
    return EvidenceSources((*files, *sources) if files or not only_text else (), only_text)


def _transcript_source(name: str, transcript: Transcript) -> EvidenceSource:
    text = "\n".join(" ".join(segment.text.split()) for segment in transcript.segments)
    return EvidenceSource(name, text, starts=tuple(segment.start for segment in transcript.segments))


async def check_evidence(
    run: RouteRun, job: CallJob, json_answer: JsonAnswer, schema: JsonOutput, gate: FirstWordGate,
    stands_for: Mapping[int, tuple[ModelInput, ...]], ask: Ask | None,
) -> JsonAnswer:  # fmt: skip
    """Return the answer with evidence for its values; request missing values once more if the plan allows it.

    ``ask``: writes the messages for a schema; None if no more calls are allowed because the answer was repaired
    already. Of two answers the one with fewer unverified values is kept, and the remaining unverified values are
    reported.
    """
    state, policy = run.state, run.state.request.policy
    if policy.evidence == "off" or json_answer.data is None:
        return json_answer
    transcripts = {
        product.part: product.transcript for product in state.products.values() if product.transcript is not None
    }
    sources = sources_of(state.request, stands_for, state.opened_media.facts, transcripts)
    json_answer = await _with_evidence(json_answer, schema, sources)
    if not json_answer.evidence:
        return json_answer
    suffix = ""
    if json_answer.unverified and ask is not None and not gate.committed and run.may_ask_again():
        first, (better, took, suffix) = json_answer.done, await _ask_again(run, job, json_answer, schema, sources, ask)
        json_answer = better if len(better.unverified) < len(json_answer.unverified) else json_answer
        gate.correct(json_answer.done.result.text)
        if took is not None:
            json_answer = msgspec.structs.replace(json_answer, done=_combine_calls(json_answer.done, first, took))
    fields = json_answer.unverified
    remark = describe_unverified(json_answer.data, fields, suffix) if fields else ""
    await state.emit(
        Checked(step=job.step.id, check="evidence", problem="unverified" if fields else "", message=remark)
    )  # fmt: skip
    if remark:
        await state.emit(Note(text=remark, step=job.step.id, warns=True))
    return json_answer


async def _with_evidence(json_answer: JsonAnswer, schema: JsonOutput, sources: EvidenceSources) -> JsonAnswer:
    evidence = await offload(_is_long(json_answer, sources), evidence_of, json_answer.data, schema.schema, sources)
    return msgspec.structs.replace(json_answer, evidence=evidence)


def _is_long(json_answer: JsonAnswer, sources: EvidenceSources) -> bool:
    return sum(len(source.text) for source in sources.texts) + len(json_answer.done.result.text) > _LONG


def describe_unverified(data: Any, fields: Sequence[str], suffix: str = "") -> str:
    """Return the sentence on values that occur in no source.

    >>> describe_unverified({"total": 1284.5}, ["/total"])
    'total (1284.5) occurs in none of the files: it is computed, or made up'
    """
    descriptions = [f"{_name(field)} ({_quote_value(value_at(data, field))})" for field in fields[:_MAX_NAMED_FIELDS]]
    if len(fields) > _MAX_NAMED_FIELDS:
        descriptions.append(f"{len(fields) - _MAX_NAMED_FIELDS} more")
    single = len(fields) == 1
    ends = "occurs in none of the files: it is" if single else "occur in none of the files: they are"
    return f"{', '.join(descriptions)} {ends} computed, or made up{suffix}"


def _name(field: str) -> str:
    return field.removeprefix("/") or "the answer"


def _quote_value(value: Any) -> str:
    text = msgspec.json.encode(value).decode("utf-8", "replace")
    return text if len(text) <= _MAX_SHOWN_VALUE else f"{text[: _MAX_SHOWN_VALUE - 3]}..."


async def _ask_again(
    run: RouteRun, job: CallJob, json_answer: JsonAnswer, schema: JsonOutput, sources: EvidenceSources, ask: Ask
) -> tuple[JsonAnswer, Actual | None, str]:
    """Request the unverified values again.

    Returns the answer, with the new values in place if there are valid ones; the figures of the second call, if any;
    and the end of the sentence on unverified values. Only unverified fields are requested, without the first answer: a
    small model repeats its answer.
    """
    import anyio

    first, left = json_answer.done.actual, run.state.caller.remaining
    if left is not None and left * (1 - _REST) < first.seconds:
        return json_answer, None, ", and there was no time to ask again"
    assert job.chat is not None
    part = _schema_of_unverified(schema, json_answer)
    if part is not None and part.codes:
        part = _keep_codes(part, await offload(_is_long(json_answer, sources), codes_of, sources))
    call = _asking_for(job.chat, schema if part is None else part.output, ask)
    reason = f"{job.endpoint.id} gave values that occur in none of the files"
    await run.state.emit(Retrying(step=job.step.id, reason=reason))
    work = msgspec.structs.replace(job.work, messages=0)  # more is sent than was measured
    second = msgspec.structs.replace(job, chat=call, step=remaining_estimate(job.step, first), work=work)
    aside = FirstWordGate(job.endpoint.id, run.state.emit, live=False)
    finished_call: FinishedCall | None = None
    try:
        with anyio.move_on_after(None if left is None else left * (1 - _REST)):
            finished_call = await run.do(second, aside)
    except errors.BudgetExceeded:
        return json_answer, None, ", and there was no money left to ask again"
    except (errors.IntermodalError, Reroute):
        pass  # the attempt reports the failure; the first answer stays
    if finished_call is None:
        return json_answer, None, ", and asking again failed"
    suffix = ", also when asked again"
    better = await _merge_answers(json_answer, finished_call, schema, part)
    return (
        (json_answer if better is None else await _with_evidence(better, schema, sources)),
        finished_call.actual,
        suffix,
    )


class _Part(NamedTuple):
    """A schema of some fields only.

    ``numbers``: fields that are requested as written in the text. ``codes``: fields that are lists of codes.
    """

    output: JsonOutput
    numbers: frozenset[str]
    codes: frozenset[str]


def _schema_of_unverified(schema: JsonOutput, json_answer: JsonAnswer) -> _Part | None:
    """Return a schema of the fields with unverified values only; None if the schema cannot be split.

    A number is requested as it is written in the text: JSON has no commas between thousands, and a small model that
    wants to write "5,860.19" where a number is required ends it after the five.
    """
    properties = schema.schema.get("properties")
    names = list(dict.fromkeys(steps(field)[0] for field in json_answer.unverified if field))
    if not isinstance(properties, dict) or schema.schema.keys() - _PLAIN or not names:
        return None
    if any(name not in properties for name in names):
        return None
    fields = {name: properties[name] for name in names}
    numbers = {name for name, each in fields.items() if isinstance(each, dict) and each.get("type") in _NUMBERS}
    for name in numbers:
        description = fields[name].get("description", "")
        fields[name] = {
            "type": "string",
            **({"description": description} if isinstance(description, str) and description else {}),
        }
    schema_head: dict[str, Any] = {
        name: schema.schema[name] for name in ("type", "$defs", "definitions") if name in schema.schema
    }
    output = JsonOutput(schema={**schema_head, "properties": fields, "required": names}, name=schema.name)
    return _Part(output, frozenset(numbers), frozenset(name for name in names if _lists_codes(fields[name])))


def _lists_codes(field: Any) -> bool:
    allowed_values = field.get("enum") if isinstance(field, dict) else None
    return isinstance(allowed_values, list) and are_codes(allowed_values)


def _keep_codes(part: _Part, codes: frozenset[str]) -> _Part:
    """Return the part with its lists of codes reduced to those in ``codes``; a list is kept whole if none is."""
    fields = dict(part.output.schema["properties"])
    for name in part.codes:
        allowed_values = fields[name]["enum"]
        fields[name] = {**fields[name], "enum": [each for each in allowed_values if each in codes] or allowed_values}
    output = msgspec.structs.replace(part.output, schema={**part.output.schema, "properties": fields})
    return part._replace(output=output)


_PLAIN = {"properties", "required", "type", "$defs", "definitions", "title", "description", "additionalProperties"}
_NUMBERS = ("number", "integer")


def _asking_for(call: ChatCall, schema: JsonOutput, ask: Ask) -> ChatCall:
    output = schema if isinstance(call.output, JsonOutput) else call.output
    return msgspec.structs.replace(call, messages=ask(schema), output=output)


async def _merge_answers(
    found: JsonAnswer, finished_call: FinishedCall, schema: JsonOutput, part: _Part | None
) -> JsonAnswer | None:
    """Return the first answer with the repeated values in place; None if that is not a valid answer."""
    target = schema if part is None else part.output
    try:
        parsed = await run_bounded(partial(json_answer.parse, finished_call.result.text, target.schema))
        if parsed.problem or (part is not None and not isinstance(parsed.data, dict)):
            return None
        text, data = parsed.text, parsed.data
        if part is not None:
            data = {**found.data, **_select_values(data, part)}
            text = msgspec.json.encode(data).decode()
            if (await run_bounded(partial(json_answer.parse, text, schema.schema))).problem:
                return None
    except (BudgetExhausted, InvalidSchema):
        return None
    return JsonAnswer(
        done=msgspec.structs.replace(finished_call, result=msgspec.structs.replace(finished_call.result, text=text)),
        data=data,
    )


def _select_values(data: dict[str, Any], part: _Part) -> dict[str, Any]:
    """Return the repeated values with numbers parsed, without those that contain no number."""
    selected = {name: data[name] for name in part.output.schema["properties"] if name in data}
    for name in part.numbers & selected.keys():
        number = sole_number(str(selected[name]))
        if number is None:
            del selected[name]
        else:
            selected[name] = int(number) if number.is_integer() else number
    return selected


def _combine_calls(final: FinishedCall, first: FinishedCall, second: Actual) -> FinishedCall:
    """Return the kept answer, with the combined figures of both calls and its own usage."""
    return msgspec.structs.replace(final, actual=add_actuals(first.actual, second, answer_usage=final.actual.usage))
