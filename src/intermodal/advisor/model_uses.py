"""How a route uses a model, as opposed to what kind of model it is.

One model can serve as a language model for chat and as a vision model for a screenshot. A *use* is derived from a
finished route. To find the best route of each use, the planner is given endpoints that accept no more inputs than the
use needs, and if that is not enough, the aspects that only this use keeps are required.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Literal

import msgspec
from msgspec import Struct

from intermodal.advisor.question import AdviceQuestion, OutputName
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.core.content import Kind
from intermodal.core.request import Aspect
from intermodal.planner.catalog_index import JOBS, Job
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.plan import Candidate, Plan, input_steps
from intermodal.plans.step import Call
from intermodal.questions.word_requests import kinds_asked_for_words

UseName = Literal[
    "llm", "cascade", "vision", "hearing", "omni", "recognition", "translation", "synthesis", "embedding", "encoding",
    "matching", "drawing", "reading", "reading and recognition", "extraction", "properties",
]  # fmt: skip
TITLES: dict[UseName, str] = {
    "llm": "an LLM",
    "cascade": "an LLM after conversion (a cascade)",
    "vision": "a vision-language model",
    "hearing": "a speech model that answers (audio-language)",
    "omni": "a natively multimodal (omni) model",
    "recognition": "a speech recognition model",
    "translation": "a speech model that translates",
    "synthesis": "a speech synthesis model",
    "embedding": "an embedding model",
    "encoding": "an encoder trained for the labels",
    "matching": "a contrastive model",
    "drawing": "an image generation model",
    "reading": "a text recognition model (OCR)",
    "reading and recognition": "models that recognise text (OCR) and speech",
    "extraction": "text extraction, without a model",
    "properties": "the properties of the file, without a model",
}
RECOGNITION: frozenset[UseName] = frozenset(("reading", "recognition", "reading and recognition"))
_SEEN: frozenset[str] = frozenset(("image", "document"))
_MADE = {"render": "sight", "frames": "sight", "demux": "hearing"}  # what a transform yields for the answering call


class ModelUse(Struct, frozen=True):
    """One use of a model.

    Attributes:
        inputs: kinds that the answering endpoint receives. keep: aspects that only this use keeps.
        speaks: the model speaks the answer itself; otherwise speech synthesis does.
        answers: which endpoints may answer; None for all that can do the job. job: the job, if it is not the one that
            the question implies (for example, a text model that translates a transcript).
    """

    name: UseName
    inputs: frozenset[Kind]
    keep: tuple[Aspect, ...] = ()
    speaks: bool = False
    answers: Callable[[Endpoint], bool] | None = None
    job: Job | None = None


_EVERYTHING: frozenset[Kind] = frozenset(("text", "image", "audio", "video", "document"))


def job_of(question: AdviceQuestion) -> Job:
    if question.makes == "transcript":
        return "transcribe"
    if question.makes == "embedding":
        return "embed"
    if question.makes == "image":
        return "draw"
    if question.makes == "scores":
        return "score"
    return "speak" if question.verbatim else "generate"


def uses(question: AdviceQuestion) -> tuple[ModelUse, ...]:
    """Return the uses to consider, simplest first."""
    job = job_of(question)
    if job == "transcribe" and question.translate:
        return (
            ModelUse("translation", _EVERYTHING, answers=lambda each: bool(each.translates)),
            ModelUse("cascade", frozenset(("text",)), answers=lambda each: not each.translates, job="generate"),
        )
    if job == "transcribe":
        return (ModelUse("recognition", _EVERYTHING),)
    if job == "score":
        return _scoring(question)
    if job == "embed":
        return (ModelUse("embedding", _EVERYTHING),)
    if job == "draw":
        return (ModelUse("drawing", _EVERYTHING),)
    if job == "speak":
        return (ModelUse("synthesis", _EVERYTHING),)
    takes = set(question.takes)
    visual = takes & {"image", "document", "video"}
    audible = takes & {"audio", "video"}
    media = takes & {"image", "document", "audio", "video"}
    alone = _recognition(media) if media and media <= {*kinds_asked_for_words(question.prompt)} else []
    found = [*alone, ModelUse("cascade" if visual or audible else "llm", frozenset(("text",)))]
    if visual:
        found.append(ModelUse("vision", frozenset(("text", "image", "document")), ("layout",)))
    if audible:
        found.append(ModelUse("hearing", frozenset(("text", "audio")), ("tone",)))
    if visual and audible:
        found.append(ModelUse("omni", _EVERYTHING, ("layout", "tone")))
    if question.makes == "speech":
        found.append(ModelUse("omni", _EVERYTHING, ("tone",) if audible else (), speaks=True))
    return tuple(found)


def _recognition(takes: AbstractSet[Kind]) -> list[ModelUse]:
    """Return the use of text or speech recognition alone for inputs of these kinds."""
    name: UseName = "reading" if takes <= {"image", "document"} else "recognition"
    if takes & {"image", "document"} and takes & {"audio", "video"}:
        name = "reading and recognition"
    return [ModelUse(name, _EVERYTHING, answers=_recognizes)]


def _scoring(question: AdviceQuestion) -> tuple[ModelUse, ...]:
    """Return the uses that may score labels.

    For images: contrastive models or vision models; for text: encoders, or a language model that picks a letter.
    """
    if {"image", "video"} & set(question.takes):
        return (
            ModelUse("matching", _EVERYTHING, answers=lambda each: each.model.matches_images),
            ModelUse("vision", frozenset(("text", "image", "document")), answers=_writes),
        )
    return (
        ModelUse("embedding", _EVERYTHING, answers=lambda each: not _writes(each) and not each.model.matches_images),
        ModelUse("cascade" if set(question.takes) - {"text"} else "llm", frozenset(("text",)), answers=_writes),
    )


def _recognizes(endpoint: Endpoint) -> bool:
    return bool({"image-to-text", "automatic-speech-recognition"} & {*endpoint.model.tasks})


def _writes(endpoint: Endpoint) -> bool:
    return "text-generation" in endpoint.model.tasks


_INSTEAD: dict[str, UseName] = {
    "contrastive model": "matching", "encoder": "encoding", "embedding model": "embedding",
    "speech translation": "translation",
}  # fmt: skip
_ALONE: dict[str, UseName] = {
    "text extraction": "extraction", "text recognition": "reading", "speech recognition": "recognition",
    "text and speech recognition": "reading and recognition", "file properties": "properties",
}  # fmt: skip


def use_of(plan: Plan, makes: OutputName) -> UseName:
    """Return how a plan uses its answering model.

    A speaking model that is given a transcript without the audio counts as a language model with speech synthesis.
    """
    candidate = plan.chosen
    last, answering = candidate.last, candidate.answering
    if last.op in ("transcribe", "score") and plan.verdict.instead in _INSTEAD:
        return _INSTEAD[plan.verdict.instead]
    if candidate.words_alone and plan.verdict.instead in _ALONE:
        return _ALONE[plan.verdict.instead]
    ends: dict[str, UseName] = {"transcribe": "recognition", "embed": "embedding", "draw": "drawing"}
    if last.op in ends:
        return ends[last.op]
    if last.op == "speak" and answering is last:
        return "synthesis"
    senses, operations = _native_inputs(candidate), conversions(candidate)
    speaks = makes == "speech" and last.op == "generate" and ("hearing" in senses or "transcribe" not in operations)
    if len(senses) > 1 or speaks:
        return "omni"
    if senses:
        return "vision" if "sight" in senses else "hearing"
    return "cascade" if operations else "llm"


def conversions(candidate: Candidate) -> list[str]:
    """Return the conversions to text, each operation once, in order."""
    return list(
        dict.fromkeys(
            step.op for step in candidate.steps if step.op in ("extract", "read", "transcribe", "describe")
            if not (isinstance(step, Call) and step is candidate.last)
        )
    )  # fmt: skip


def _native_inputs(candidate: Candidate) -> set[str]:
    """Return the non-text inputs of the answering call: parts left unconverted, and images and audio made from them."""
    input_ids = input_steps(candidate.answering)
    found = {_MADE[step.op] for step in candidate.steps if step.id in input_ids and step.op in _MADE}
    for native_input in candidate.takes:
        if native_input.kind in _SEEN:
            found.add("sight")
        elif native_input.kind == "audio":
            found.add("hearing")
        elif native_input.kind == "video":
            found |= {"sight", "hearing"}
    return found


# ---- catalogs --------------------------------------------------------------------------------------


def narrow_catalog(
    catalog: Catalog, use: ModelUse | None, job: Job, place: Literal["hosted", "here", "any"]
) -> Catalog:
    """Return the catalog in which the answer is made at a place, by endpoints that accept no more than the use needs.

    Converters (speech recognition, OCR, vision, speech synthesis) may stay local: a hosted model can be given text that
    was read locally, but not the other way round.
    """
    return catalog.among(tuple(_endpoints_of_use(catalog.endpoints, use, job, place)))


def _endpoints_of_use(endpoints: Iterable[Endpoint], use: ModelUse | None, job: Job, place: str) -> Iterable[Endpoint]:
    for endpoint in endpoints:
        is_local = endpoint.host.zone in LOCAL_ZONES
        if place == "here" and not is_local:
            continue
        tasks = (*endpoint.model.tasks, *(endpoint.scoring if job == "score" else ()))
        jobs = {each for task in tasks for each in JOBS.get(task, ())}
        alone = job == "generate" and use is not None and use.name in RECOGNITION  # recognition is all that is needed
        if use is not None and use.answers is not None and not use.answers(endpoint):
            if not alone:
                yield from _as_converter_only(endpoint, job)
            continue
        if job not in jobs:
            if not (alone and place == "hosted" and is_local):
                yield endpoint
            continue
        if place == "hosted" and is_local:
            continue
        if use is not None and use.speaks and "audio" not in endpoint.model.output:
            continue
        yield endpoint if use is None or job != "generate" else _as_used(endpoint, use)


def _as_converter_only(endpoint: Endpoint, job: Job) -> Iterable[Endpoint]:
    """Yield the endpoint as one that does not answer in this way but can still convert inputs."""
    jobs = {each for task in endpoint.model.tasks for each in JOBS.get(task, ())}
    if job == "generate":
        if endpoint.translates:
            yield msgspec.structs.replace(endpoint, model=msgspec.structs.replace(endpoint.model, translates=()))
        else:
            yield endpoint
    elif job == "score" and jobs & {"describe", "read", "transcribe"}:
        quirks = tuple(dict.fromkeys((*endpoint.host.quirks, "no_logprobs")))
        yield msgspec.structs.replace(endpoint, host=msgspec.structs.replace(endpoint.host, quirks=quirks))


def _as_used(endpoint: Endpoint, use: ModelUse) -> Endpoint:
    """Return the endpoint, accepting only the inputs of this use."""
    input = tuple(kind for kind in endpoint.input if kind in use.inputs)
    model = endpoint.model
    if not use.speaks and "audio" in model.output and "text" in model.output:
        model = msgspec.structs.replace(
            model, output=tuple(output_kind for output_kind in model.output if output_kind != "audio")
        )
    if input == endpoint.input and model is endpoint.model:
        return endpoint
    return msgspec.structs.replace(endpoint, input=input, model=model)
