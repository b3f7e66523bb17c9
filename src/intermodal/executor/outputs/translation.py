"""Translation by a chat model: numbered lines go in and come back with the times of the transcript."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from intermodal import errors
from intermodal.core.content import Segment, Text, Transcript
from intermodal.core.request import Request
from intermodal.events import Committed, Finished, Note, TextDelta
from intermodal.executor.preparation import prompt
from intermodal.executor.preparation.model_inputs import ModelInput, TextInput
from intermodal.executor.route_run import RouteRun
from intermodal.planner.speech_translation import translation_instruction
from intermodal.plans.plan import input_steps
from intermodal.plans.step import Call, TranslateText

_SENTENCE = 4  # minimum words of a line that is more than a name
_LINE = re.compile(r"^\s*(\d{1,6})\s*[:.)\]]\s*(\S.*?)\s*$")


def parse_lines(answer: str, transcript: Transcript) -> tuple[Segment, ...] | None:
    """Return the translated segments, each with the time and speaker of its original.

    Returns None if the lines of the answer do not match those that were given.

    >>> said = Transcript(segments=(Segment(start=0, end=1, text="Oui."), Segment(start=1, end=2, text="Non.")))
    >>> [each.text for each in parse_lines("1: Yes.\\n2: No.", said)], parse_lines("Yes. No.", said)
    (['Yes.', 'No.'], None)
    """
    if len(transcript.segments) == 1:
        only = transcript.segments[0]
        found = _LINE.match(answer) if "\n" not in answer.strip() else None
        text = found[2] if found is not None and found[1] == "1" else " ".join(answer.split())
        return (msgspec.structs.replace(only, text=text, certainty=0.0),) if text else ()
    rows = [row for row in answer.splitlines() if row.strip()]
    matched = [_LINE.match(row) for row in rows]
    if len(rows) != len(transcript.segments):
        return None
    texts = [found[2] for place, found in enumerate(matched, 1) if found is not None and int(found[1]) == place]
    if len(texts) != len(rows):
        return None
    pairs = zip(transcript.segments, texts, strict=True)
    return tuple(msgspec.structs.replace(each, text=text, certainty=0.0) for each, text in pairs)


def repeats(transcript: Transcript, answer: str) -> bool:
    """Return True if an answer contains a longer line of the transcript untranslated.

    Names and numbers are the same in both languages, sentences are not.

    >>> said = Transcript(segments=(Segment(start=0, end=2, text="Il fait beau à Paris."),))
    >>> repeats(said, "Translated: Il fait beau à Paris."), repeats(said, "The weather is fine in Paris.")
    (True, False)
    """
    plain = " ".join(answer.split()).casefold()
    lines = (" ".join(each.text.split()).casefold() for each in transcript.segments)
    return any(len(line.split()) >= _SENTENCE and line in plain for line in lines)


def numbered_lines(transcript: Transcript) -> str:
    """Return the text to translate: one segment per line, numbered if there are several."""
    if len(transcript.segments) == 1:
        return transcript.segments[0].text.strip()
    return "\n".join(f"{place}: {' '.join(each.text.split())}" for place, each in enumerate(transcript.segments, 1))


async def translation_request(
    run: RouteRun, step: Call
) -> tuple[Request, Mapping[int, tuple[ModelInput, ...]], Transcript | None]:
    """Return the request for the model, the inputs that stand for its recording, and its transcript.

    The transcript is None if the model gets the audio itself.
    """
    request, facts = run.state.request, run.state.opened_media.facts.parts
    stands_for = dict(await run.inputs_by_part(step, run.state.endpoint(step)))
    products = [run.state.products[name] for name in input_steps(step) if name in run.state.products]
    product = next((each for each in products if each.transcript is not None), None)
    if product is not None and product.transcript is not None:
        words = TextInput(
            text=numbered_lines(product.transcript), label=prompt.label("Transcript", facts[product.part].name)
        )
        stands_for = {product.part: (words,)}
    messages = [
        # Kept as empty parts, so that the indices of the other parts do not change.
        msgspec.structs.replace(
            message, parts=tuple(Text(text="") if isinstance(part, Text) else part for part in message.parts)
        )
        for message in request.messages
    ]
    instruction = Text(text=translation_instruction(TranslateText.parameters_of(step).into))
    messages[-1] = msgspec.structs.replace(messages[-1], parts=(*messages[-1].parts, instruction))
    instructed = msgspec.structs.replace(request, messages=tuple(messages))
    return instructed, stands_for, None if product is None else product.transcript


async def translation_result(run: RouteRun, step: Call, answer: str, source_transcript: Transcript | None) -> Finished:
    """Return the translation as a transcript."""
    into, text = TranslateText.parameters_of(step).into, answer.strip()
    if not text:
        raise errors.OutputInvalid(
            "the translation is empty", where=step.endpoint, todo="name another model", step=step.id
        )
    found = parse_lines(text, source_transcript) if source_transcript is not None else None
    seconds = source_transcript.seconds if source_transcript is not None else _length(run)
    if found is None:
        found = (Segment(start=0.0, end=seconds, text=" ".join(_without_numbers(text).split())),)
        if source_transcript is not None:
            what = f"{step.endpoint} did not keep the lines of the transcript apart, so the translation has no times"
            await run.state.emit(Note(text=what, step=step.id, warns=True))
    if source_transcript is not None and repeats(source_transcript, text):
        what = f"the translation repeats the transcript: {step.endpoint} did not translate all of it"
        await run.state.emit(Note(text=what, step=step.id, warns=True))
    source = source_transcript if source_transcript is not None else Transcript()
    transcript = msgspec.structs.replace(
        source, segments=found, seconds=seconds, certainty=0.0, unheard=0.0, masked=0.0, into=into
    )
    await run.state.emit(Committed(endpoint=step.endpoint))
    await run.state.emit(TextDelta(text=transcript.text))
    return run.finished_event(step, transcript=transcript)


def _length(run: RouteRun) -> float:
    return max((part.seconds.mid for part in run.state.opened_media.facts.parts if part.seconds.known), default=0.0)


def _without_numbers(text: str) -> str:
    return "\n".join(found[2] if (found := _LINE.match(row)) else row for row in text.splitlines())


__all__ = ["translation_request", "translation_result", "parse_lines", "numbered_lines"]
