"""Answers without a model: the text of the files, as extracted or recognised; and the errors for files without text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from intermodal import errors
from intermodal.concurrency.offload import offload
from intermodal.core.content import Transcript
from intermodal.core.request import Sampling
from intermodal.events import Actual, Committed, Finished, Note, StepFinished, StepStarted, TextDelta
from intermodal.executor.attempt.answer_notes import answer_notes
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.conversion.checks import voices_without_words
from intermodal.executor.preparation import prompt
from intermodal.executor.preparation.model_inputs import ModelInput
from intermodal.executor.preparation.preflight import (
    SPEECH,
    EmptyFile,
    describe_empty,
    empty_files,
    partly_unread_files,
    unreadable_files,
)
from intermodal.executor.route_run import RouteRun
from intermodal.local.embedded import tesseract
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.step import Call, Transform
from intermodal.plans.verdict import joined_names

CountTokens = Callable[[str], int | None]
COUNTED_BY = "smollm2"  # the vocabulary that counts an answer which no model wrote
CHARS_OF_TOKEN = 4  # characters per token, if that vocabulary is not installed


async def answer(run: RouteRun, step: Transform | Call) -> Finished:
    """Return the text of the files as the answer.

    Limits of an answer apply as for a model's: it ends before a stop sequence, and is truncated at the stated number of
    tokens. If there is no text, or most of it cannot be read, a fallback may look at the files instead.
    """
    request, facts = run.state.request, run.state.opened_media.facts
    stands_for = run.texts_by_part(step)
    if nothing := empty_files(request, stands_for, facts):
        raise no_content_error(run, step, nothing)
    if unread := unreadable_files(request, stands_for, facts):
        raise unreadable_error(run, step, unread)
    await run.state.emit_held_notes()
    if step.op == "concat":
        await run.state.emit(StepStarted(step=step.id, title=step.title, op=step.op))
        await run.state.emit(StepFinished(actual=Actual(step=step.id, seconds=0.0, began=run.elapsed())))
    limit = request.sampling.max_tokens
    file_text = text_of_files(stands_for, facts)
    text, reason, stop_sequence = await offload(
        True, limit_text, file_text, request.sampling, partial(run.state.dependencies.count, COUNTED_BY)
    )
    finished = run.finished_event(
        step, finish_reason=reason, stop_sequence=stop_sequence, unread=partly_unread_files(stands_for, facts)
    )
    for note in answer_notes(reason, text, limit, called=False) if reason == "length" else ():
        await run.state.emit(Note(text=note, step=step.id, warns=True))
    await run.state.emit(Committed(endpoint=finished.endpoint))
    await run.state.emit(TextDelta(text=text))
    return finished


def text_of_files(stands_for: Mapping[int, tuple[ModelInput, ...]], facts: Facts) -> str:
    """Return the text of the files in order; of several files, each under its name.

    A file without text has no entry.
    """
    found = {
        index: words
        for index in sorted(stands_for)
        if (words := prompt.joined_part_text(stands_for[index], speakers=True))
    }
    if len(stands_for) == 1:
        return "".join(found.values())
    return "\n\n".join(f"{prompt.shown_name(facts.parts[index].name)}:\n{words}" for index, words in found.items())


def limit_text(text: str, sampling: Sampling, count: CountTokens) -> tuple[str, str, str]:
    """Return the text within the limits of an answer, the finish reason ("stop" or "length"), and the stop sequence
    that ended it ("" if none did).

    >>> limit_text("one two three", Sampling(max_tokens=2), lambda text: len(text.split()))
    ('one two ', 'length', '')
    >>> limit_text("one. two.", Sampling(stop=(". ",)), lambda text: len(text.split()))
    ('one', 'stop', '. ')
    """
    ends = [(place, stop) for stop in sampling.stop if stop and (place := text.find(stop)) >= 0]
    end, stop_sequence = min(ends, default=(len(text), ""))
    text = text[:end]
    limit = sampling.max_tokens
    if limit is None or _tokens(text, count) <= limit:
        return text, "stop", stop_sequence
    fits, exceeds = 0, len(text)
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if _tokens(text[:middle], count) <= limit:
            fits = middle
        else:
            exceeds = middle
    return text[:fits], "length", ""


def _tokens(text: str, count: CountTokens) -> int:
    found = count(text)
    return -(-len(text) // CHARS_OF_TOKEN) if found is None else found


def no_content_error(run: RouteRun, step: Transform | Call, missing: tuple[EmptyFile, ...]) -> Exception:
    """Return the error for files without content: a model would invent some, so it is not called.

    A fallback may still convert images and pages with another option, but not silence. The error names what was not
    found, so no note does; for a video it may name one track only.
    """
    state = run.state
    for op, part in list(state.held_notes):
        if any(each.covers_step(op, part) for each in missing):
            del state.held_notes[op, part]
    transcripts = {
        product.part: product.transcript for product in state.products.values() if product.transcript is not None
    }
    found = " ".join(_nothing_found_text(each, transcripts.get(each.part)) for each in missing)
    if not run.words_alone and isinstance(step, Call):
        found = f"{found[:-1]}, so there is nothing to ask {step.endpoint} about"
    error = errors.NoContentFound(
        found.rstrip("."), todo="check the file, ask without it, or name a model that takes it as it is", step=step.id
    )
    visual = all(state.opened_media.facts.parts[each.part].kind in ("image", "document") for each in missing)
    call = run.last_call()
    why = "found no words in the files" if run.words_alone else "was given nothing of the files"
    return Reroute(error, call, why) if visual and call is not None else error


def _nothing_found_text(empty: EmptyFile, transcript: Transcript | None) -> str:
    """Return what was not found in a file, in sentences. Voices without a recognised word are not called silence."""
    voices = voices_without_words(transcript, empty.name)
    if not voices:
        return describe_empty([empty])
    rest = tuple(each for each in empty.looked_for if each != SPEECH)
    return " ".join([f"{voices}.", *([describe_empty([replace(empty, looked_for=rest)])] if rest else [])])


def unreadable_error(run: RouteRun, step: Transform | Call, parts: tuple[PartFacts, ...]) -> Exception:
    """Return the error for files most of whose text could not be read: an answer from the rest would be misleading.

    A fallback may look at the files instead.
    """
    state = run.state
    for part in parts:
        state.held_notes.pop(("read", part.index), None)
    found = [each.message for each in state.finished.values() if each.problem == "script"]
    problem = "; ".join(found) or f"most words of {joined_names(part.name for part in parts)} cannot be read here"
    consequence = (
        f", so {step.endpoint} was not asked about it" if not run.words_alone and isinstance(step, Call) else ""
    )
    error = errors.InputUnreadable(
        f"{problem}{consequence}",
        todo=f"{tesseract.install_hint()}; or add a model that sees images: intermodal hosts add", step=step.id,
    )  # fmt: skip
    call = run.last_call()
    return error if call is None else Reroute(error, call, "was given few of the words")
