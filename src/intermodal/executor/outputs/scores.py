"""Scores of labels: by embeddings, by an encoder's head, by a contrastive model, or by the letter a chat would answer.

Embeddings of text: cosines, divided by a temperature, through a softmax. A chat: the labels as lettered options, one
token of answer, and the host's probabilities of the letters, normalised to 1. Models favour some positions, so each
question is asked twice, with the options reversed, and the two results are averaged.

Contrastive models were trained on images and captions, so a label becomes a caption, by the template published with the
model. Cosines are multiplied by the learned scale. CLIP compares the captions, so its scores sum to 1; SigLIP judges
each pair independently. The scores of several images, or frames of a video, are averaged.

An encoder's head knows only the labels it was trained for. If exactly one label holds, the scores of all sum to 1; a
note states the share of labels that were not requested. A head that was trained for inference between texts scores any
labels: each becomes a sentence, and its score is how well the text entails it relative to the others. A long text is
scored by windows, which is noted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from intermodal import errors
from intermodal.catalog.encoder_heads import HYPOTHESIS as HEAD_HYPOTHESIS
from intermodal.catalog.encoder_heads import label_indices, scores_text, unknown_labels
from intermodal.catalog.types import Endpoint, Objective, Task
from intermodal.core.content import Text
from intermodal.core.hints import hint
from intermodal.core.request import Request, Sampling, ScoresOutput
from intermodal.events import Actual, Committed, Finished, Note, StepFinished
from intermodal.executor.attempt.accounting import add_actuals, remaining_estimate
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.drivers.interface import CallJob, ContrastiveScale, HeadScores
from intermodal.executor.outputs.captions import caption
from intermodal.executor.outputs.vector_math import cosine, softmax
from intermodal.executor.preparation import prompt
from intermodal.executor.preparation.model_inputs import ImageInput, ModelInput
from intermodal.executor.preparation.part_inputs import measure_work
from intermodal.executor.preparation.preflight import check_context_window, check_modalities
from intermodal.executor.route_run import RouteRun
from intermodal.plans.step import Call
from intermodal.plans.verdict import joined_names
from intermodal.protocols.calls import ChatCall, NotExpressible
from intermodal.protocols.openai_chat.codec import MAX_CANDIDATES

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MANY_CANDIDATES = 500  # top tokens requested from a host that returns any number of them
MIN_LETTER_MASS = 0.05  # minimum probability of all letters together; below it the scores are unreliable

# Temperature for multilingual-e5-small, whose cosines lie close together (0.7 to 0.95). Fitted on the odd rows of
# benchmarks/labelled.py; results on the even rows are in benchmarks/results/scores.md.
TEMPERATURE = 0.004
FITTED_OBJECTIVE: Objective = "contrastive"  # the training objective of the models it was fitted for
HYPOTHESIS = "This is {}."  # a label as a sentence; the bare label scores 4 to 7 points worse there


async def score(run: RouteRun, step: Call) -> Finished:
    """Return the scores of all labels, in the given order."""
    output = run.state.request.output
    assert isinstance(output, ScoresOutput)
    endpoint = run.state.endpoint(step)
    if endpoint.model.head_task is not None:
        text = await _text_for_labels(run, step, endpoint)
        found = await score_by_head(run, step, endpoint, text, output.labels)
    else:
        scores = await _scores(run, step, endpoint, output.labels)
        found = dict(zip(output.labels, scores, strict=True))
    await run.state.emit(Note(text=scores_text(endpoint.model, independent=output.independent), step=step.id))
    await run.state.emit(Note(text=calibration_note(endpoint, step.task), step=step.id))
    await run.state.emit(Committed(endpoint=step.endpoint))
    return run.finished_event(step, scores=found)


async def _scores(run: RouteRun, step: Call, endpoint: Endpoint, labels: tuple[str, ...]) -> tuple[float, ...]:
    """Return the scores of these labels from a model that accepts any labels."""
    if endpoint.model.matches_images:
        return await score_images(run, step, endpoint, labels)
    if endpoint.model.answers_in_words:
        return await _by_letters(run, step, endpoint, labels)
    return await _by_vectors(run, step, endpoint, labels)


async def _text_for_labels(run: RouteRun, step: Call, endpoint: Endpoint) -> str:
    """Return the text that labels are compared with. If there is none, a fallback may look at the image instead.

    Raises Reroute, which contains an InputEmpty.
    """
    text = prompt.text_to_embed(without_sender_text(run.state.request), await run.inputs_by_part(step, endpoint))
    if not text:
        error = errors.InputEmpty(
            "there is no text to hold the labels against", todo="give a file with words in it", step=step.id
        )
        raise Reroute(error, step, "was given no words")
    return text


# ---- vectors ---------------------------------------------------------------------------------------


async def _by_vectors(run: RouteRun, step: Call, endpoint: Endpoint, labels: tuple[str, ...]) -> tuple[float, ...]:
    text = await _text_for_labels(run, step, endpoint)
    sentences = tuple(HYPOTHESIS.format(label) for label in labels)
    finished_call = await run.do(CallJob(step=step, endpoint=endpoint, text=text, labels=sentences))
    await run.state.emit(StepFinished(actual=finished_call.actual))
    if FITTED_OBJECTIVE not in endpoint.model.objective:
        what = f"how far apart the scores of {endpoint.id} are was fitted for another model; their order is its own"
        await run.state.emit(Note(text=what, step=step.id))
    of_text, *of_labels = finished_call.result.vectors
    return softmax([cosine(of_text, vector) / TEMPERATURE for vector in of_labels])


def without_sender_text(request: Request) -> Request:
    """Return the request without its prompt if it has files: then only the files are scored."""
    texts = [part for _, _, part in request.parts() if isinstance(part, Text) and not part.name]
    if len(texts) == sum(len(message.parts) for message in request.messages):
        return request
    messages = tuple(
        msgspec.structs.replace(
            message,
            # Kept as empty parts, so that the indices of the other parts do not change.
            parts=tuple(Text(text="") if part in texts else part for part in message.parts),
        )
        for message in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)


# ---- letters ---------------------------------------------------------------------------------------


async def _by_letters(run: RouteRun, step: Call, endpoint: Endpoint, labels: tuple[str, ...]) -> tuple[float, ...]:
    many = "many_logprobs" in endpoint.host.quirks
    most = len(LETTERS) if many else MAX_CANDIDATES
    if len(labels) > most:
        error = NotExpressible.of(
            f"{len(labels)} labels at once (at most {most})", "a chat", where=endpoint.id, todo="give fewer labels"
        )
        raise Reroute(error, step, f"cannot be given {len(labels)} labels")
    stands_for = await run.inputs_by_part(step, endpoint)
    facts = run.state.opened_media.facts.parts
    messages = prompt.chat_messages(run.state.request, stands_for, facts, endpoint.model.marks)
    letters = LETTERS[: len(labels)]
    turns: list[tuple[float, ...]] = []
    mass = 0.0
    actual: Actual | None = None
    for options in (labels, labels[::-1]):
        call = ChatCall(
            model=endpoint.served_as or endpoint.model.id,
            messages=prompt.with_instruction(messages, question(options)),
            sampling=Sampling(max_tokens=1, temperature=0.0),
            candidates=MANY_CANDIDATES if many else MAX_CANDIDATES,
            grammar=f"root ::= [{letters}]",
        )
        finished_call = await run.do(_job(run, step, endpoint, call, actual, stands_for))
        actual = finished_call.actual if actual is None else add_actuals(actual, finished_call.actual)
        probabilities, letter_mass = letter_probabilities(finished_call.result.candidates, letters, step)
        turns.append(probabilities)
        mass = max(mass, letter_mass)
    if actual is not None:
        await run.state.emit(StepFinished(actual=actual))
    if mass < MIN_LETTER_MASS:
        what = f"{endpoint.id} did not mean to answer with a letter ({mass:.1%} of its probability)"
        await run.state.emit(Note(text=f"{what}: trust these scores little", step=step.id, warns=True))
    forward, backward = turns
    return tuple((first + second) / 2 for first, second in zip(forward, reversed(backward), strict=True))


def _job(
    run: RouteRun,
    step: Call,
    endpoint: Endpoint,
    call: ChatCall,
    before: Actual | None,
    stands_for: Mapping[int, tuple[ModelInput, ...]],
) -> CallJob:
    """Return one of the two calls. Raises Reroute if the endpoint cannot take it."""
    now = step if before is None else remaining_estimate(step, before)
    try:
        check_modalities(endpoint, call, step)
        now = check_context_window(now, endpoint, prompt.all_text(call.messages), 1, run.state.dependencies)
    except errors.UnsupportedModality as error:
        raise Reroute(error, step, "cannot take this kind of part") from error
    except errors.ContextExceeded as error:
        raise Reroute(error, step, "has too small a context for the converted files") from error
    pieces = [piece for found in stands_for.values() for piece in found]
    return CallJob(step=now, endpoint=endpoint, chat=call, work=measure_work(pieces))


def question(labels: tuple[str, ...]) -> str:
    options = "\n".join(f"{letter}) {label}" for letter, label in zip(LETTERS, labels, strict=False))
    return f"Which of these fits best?\n{options}\nAnswer with the letter only."


def letter_probabilities(
    candidates: tuple[tuple[str, float], ...], letters: str, step: Call
) -> tuple[tuple[float, ...], float]:
    """Return the relative probability of each letter, and their total share of the model's probability.

    A letter may come with a space or a bracket; these variants are added up. A letter that the host did not return
    counts as likely as the least likely token returned: it cannot be more likely.

    Raises CallError if no probabilities were returned or no letter is among them.
    """
    if not candidates:
        raise errors.CallError(
            "did not tell the probabilities of words",
            where=step.endpoint,
            todo=hint("let another model score ({model})"),
            step=step.id,
        )
    found = dict.fromkeys(letters, 0.0)
    for word, logarithm in candidates:
        letter = word.strip().strip("()[].:*")
        if letter in found:
            found[letter] += math.exp(min(0.0, logarithm))
    mass = sum(found.values())
    if not mass:
        raise errors.CallError(
            "answers with none of the letters it was given",
            where=step.endpoint,
            todo=hint("let another model score ({model})"),
            step=step.id,
        )
    least = math.exp(min(logarithm for _, logarithm in candidates))
    probabilities = [value or least for value in found.values()]
    return tuple(value / sum(probabilities) for value in probabilities), mass


async def score_images(run: RouteRun, step: Call, endpoint: Endpoint, labels: tuple[str, ...]) -> tuple[float, ...]:
    """Return the score of every label, averaged over all images."""
    stands_for = await run.inputs_by_part(step, endpoint)
    pictures = tuple(piece for found in stands_for.values() for piece in found if isinstance(piece, ImageInput))
    if not pictures:
        raise errors.InputEmpty(
            "there is no image to hold the labels against", todo="give an image, or a film with images",
            step=step.id,
        )  # fmt: skip
    captions = tuple(map(caption, labels))
    finished_call = await run.do(
        CallJob(step=step, endpoint=endpoint, pictures=pictures, labels=captions, work=measure_work(pictures))
    )
    await run.state.emit(StepFinished(actual=finished_call.actual))
    matching = finished_call.result.contrastive
    assert matching is not None
    if matching.cut:
        what = f"{matching.cut} of the labels are longer than {endpoint.id} reads, and were cut"
        await run.state.emit(Note(text=what, step=step.id, warns=True))
    if matching.assumed:
        what = f"the files of {endpoint.id} state no scale, and CLIP's is taken: the order of its labels is its own"
        await run.state.emit(Note(text=f"{what}, how far apart their scores are is not", step=step.id))
    picture_vectors, label_vectors = (
        finished_call.result.vectors[: len(pictures)],
        finished_call.result.vectors[len(pictures) :],
    )
    each = [pair_scores(vector, label_vectors, matching) for vector in picture_vectors]
    return tuple(sum(column) / len(each) for column in zip(*each, strict=True))


def pair_scores(
    picture: Sequence[float], captions: Sequence[Sequence[float]], matching: ContrastiveScale
) -> tuple[float, ...]:
    """Return the scores of captions for one image; the vectors have length 1.

    >>> pair_scores((1.0, 0.0), [(1.0, 0.0), (0.0, 1.0)], ContrastiveScale(loss="softmax", scale=0.0))
    (0.5, 0.5)
    """
    logits = [
        matching.scale * sum(float(a) * float(b) for a, b in zip(picture, each, strict=True)) + matching.bias
        for each in captions
    ]
    if matching.loss == "sigmoid":
        return tuple(1 / (1 + math.exp(-max(-500.0, min(500.0, logit)))) for logit in logits)
    return softmax(logits)


async def score_by_head(
    run: RouteRun, step: Call, endpoint: Endpoint, text: str, labels: tuple[str, ...]
) -> dict[str, float]:
    """Return the scores of these labels, in order; of all labels of the head if none are given."""
    masked, entails = endpoint.model.fills_masks, endpoint.model.entails
    head_labels = tuple(HEAD_HYPOTHESIS.format(label) for label in labels) if entails else labels if masked else ()
    output = run.state.request.output
    independent = isinstance(output, ScoresOutput) and output.independent
    finished_call = await run.do(
        CallJob(step=step, endpoint=endpoint, text=text, labels=head_labels, independent=independent)
    )
    await run.state.emit(StepFinished(actual=finished_call.actual))
    scores = finished_call.result.head_scores
    assert scores is not None
    for what in _windows(scores, endpoint):
        await run.state.emit(Note(text=what, step=step.id, warns=scores.cut))
    if entails:
        return {label: score for label, (_, score) in zip(labels, scores.scores, strict=True)}
    if masked or not labels:
        return dict(scores.scores)
    known_labels = tuple(label for label, _ in scores.scores)
    if unknown := unknown_labels(labels, known_labels):
        verb = "is no label" if len(unknown) == 1 else "are no labels"
        raise errors.CallError(
            f"{joined_names(unknown)} {verb} of its head, which knows {joined_names(known_labels)}", where=endpoint.id,
            todo=hint("give labels that it knows, or let another model score ({model})"), step=step.id,
        )  # fmt: skip
    found = {
        label: scores.scores[index][1] for label, index in zip(labels, label_indices(labels, known_labels), strict=True)
    }
    rest = [label for label, _ in scores.scores if label.casefold() not in {each.strip().casefold() for each in labels}]
    together = sum(score for _, score in scores.scores)
    if rest and abs(together - 1.0) < 1e-3:
        what = (
            f"its head knows {joined_names(rest)}, too, which have {max(0.0, together - sum(found.values())):.3f} of it"
        )
        await run.state.emit(Note(text=what, step=step.id))
    return found


def _windows(scores: HeadScores, endpoint: Endpoint) -> list[str]:
    """Return the notes on a text that is longer than the model's window."""
    if scores.cut:
        return [f"the text is longer than {scores.windows} windows of {endpoint.id}, and was cut there"]
    if scores.windows > 1:
        what = f"the text is longer than {endpoint.id} reads at once"
        return [f"{what}: {scores.windows} windows were read, and count together"]
    return []


UNCALIBRATED = "its scores rank the labels; they are not calibrated (intermodal eval measures that)"


def calibration_note(endpoint: Endpoint, task: Task) -> str:
    """Return the note on the quality of scores: measured on the user's own files, or unknown."""
    tier = endpoint.tier(task)
    if tier is None or tier.evidence.level != "measured":
        return UNCALIBRATED
    return f"how often its best label is right was measured: {tier.evidence.source}"
