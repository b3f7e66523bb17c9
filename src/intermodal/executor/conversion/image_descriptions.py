"""Describes images for a question, one call per image, for a model without vision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache, partial

import msgspec

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.core.content import Text
from intermodal.core.request import Request, Sampling, without_schema
from intermodal.events import Actual, StepProgress
from intermodal.executor.attempt.answer_notes import refusal_error, stops_loops
from intermodal.executor.attempt.ledger import write_in_thread
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.attempt.step_caller import FinishedCall
from intermodal.executor.concurrency import combine_actuals, run_all, split_estimate
from intermodal.executor.conversion import conversions
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.interface import CallJob
from intermodal.executor.preparation.model_inputs import ImageInput, StepProduct
from intermodal.executor.preparation.part_inputs import decoder_use
from intermodal.executor.preparation.preflight import check_modalities
from intermodal.executor.preparation.request_size import measure_request
from intermodal.executor.run_state import RunState
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.step import Call, DescribeImages
from intermodal.protocols.answer_state import is_refusal
from intermodal.protocols.calls import ChatCall, WireImage, WireMessage, WireText
from intermodal.store.conversion_cache import CachedConversion

# Makes one call of a step, and begins the step when the first attempt is about to be made.
Calls = Callable[[CallJob], Awaitable[FinishedCall]]

MAX_TOKENS = 160  # tokens of a description, if the plan states no limit
QUESTION_CHARS = 2_000  # maximum characters of a question sent with an image
AT_ONCE = 4  # concurrent calls to a remote host
DESCRIBE = "Describe the image in one sentence."


def question_of(request: Request) -> str:
    """Return the prompt of the last message, without files."""
    if not request.messages:
        return ""
    parts = request.messages[-1].parts
    question = " ".join(part.text.strip() for part in parts if isinstance(part, Text) and not part.name)
    return without_schema(question, request.output).strip()


def converters_of(dependencies: Dependencies, request: Request) -> conversions.Converters:
    """Return the identity of this request's converters, for cache keys."""
    return conversions.Converters(
        catalog=dependencies.catalog, language=request.policy.language, question=question_of(request),
        readers=dependencies.readers(), sums=cache(dependencies.sums),
    )  # fmt: skip


def description_prompt(question: str) -> str:
    """Return the prompt for a description: the question, so that the model looks for the right things, then one
    instruction.

    On one line with the question first, the smallest vision model still named shape and colour in 28 of 30 tries (30 of
    30 without a question); with a blank line between, in 24; with the question before the image or attributed to
    another person, in 5 of 6.
    """
    short = question if len(question) <= QUESTION_CHARS else f"{question[:QUESTION_CHARS]}..."
    return f"{short} {DESCRIBE}" if short else DESCRIBE


async def describe(
    state: RunState, call: Calls, step: Call, endpoint: Endpoint, converters: conversions.Converters
) -> tuple[StepProduct, Actual]:
    """Describe each image of a step. An image already described for this question is not sent again."""
    question = converters.question if conversions.includes_question(step) else ""
    async with state.places.hold(decoder_use(step)):
        pictures = await state.prepare.images_for(step, state.products, endpoint)
    if not pictures:
        return StepProduct(part=step.part), Actual(step=step.id, seconds=0.0)
    share = split_estimate(step, len(pictures))
    found: dict[int, FinishedCall | str] = {}

    async def see(number: int) -> None:
        picture = pictures[number]
        key = conversions.image_cache_key(step, picture, converters)
        cached = await write_in_thread(lambda: state.dependencies.derived.get(key))
        if cached is not None and len(cached.texts) == 1:
            found[number] = cached.texts[0]
        else:
            finished_call = await call(_job(share, endpoint, picture, question, state.dependencies))
            _refuse_refusal(finished_call, endpoint, step)
            found[number] = finished_call
            if not finished_call.result.looped:
                name = state.opened_media.facts.parts[step.part].name
                described = CachedConversion(
                    texts=(finished_call.result.text.strip(),), name=name, op=step.op, maker=step.endpoint
                )
                await write_in_thread(lambda: state.dependencies.derived.store(key, described))
        state.caller.hint(StepProgress(step=step.id, fraction=len(found) / len(pictures)))

    at_once = 1 if endpoint.host.zone in LOCAL_ZONES else AT_ONCE
    await run_all([partial(see, number) for number in range(len(pictures))], at_once)
    dones = [done for done in found.values() if isinstance(done, FinishedCall)]
    texts = tuple(_description_or_reason(found[number]) for number in range(len(pictures)))
    facts = state.opened_media.facts.parts[step.part]
    product = conversions.product_of_descriptions(step, facts, conversions.image_origins(pictures), texts)
    product = msgspec.structs.replace(product, looped=any(done.result.looped for done in dones))
    return product, combine_actuals(step, [done.actual for done in dones])


def _job(step: Call, endpoint: Endpoint, picture: ImageInput, question: str, dependencies: Dependencies) -> CallJob:
    limit = DescribeImages.parameters_of(step).max_tokens or MAX_TOKENS
    image = WireImage(data=picture.data, media_type=picture.media_type, detail=picture.detail)
    # Reasoning models, which count their limit differently, refuse a temperature; some hosts refuse it altogether.
    temperature = None if {"max_completion_tokens", "no_temperature"} & {*endpoint.host.quirks} else 0.0
    call = ChatCall(
        model=endpoint.served_as or endpoint.model.id,
        messages=(WireMessage(role="user", parts=(image, WireText(text=description_prompt(question)))),),
        sampling=Sampling(max_tokens=limit, temperature=temperature),
    )
    try:
        check_modalities(endpoint, call, step)
    except errors.UnsupportedModality as error:
        raise Reroute(error, step, "cannot take this kind of part") from error
    return CallJob(
        step=step,
        endpoint=endpoint,
        chat=call,
        stop_loops=stops_loops(endpoint, by_schema=False),
        work=measure_request(endpoint, call, (picture,), dependencies.count, dependencies.catalog),
    )


def _refuse_refusal(finished_call: FinishedCall, endpoint: Endpoint, step: Call) -> None:
    """Raise a refusal with the model's reason. No other endpoint is tried."""
    result = finished_call.result
    if is_refusal(result.finish_reason, (result.text,), called=result.calls_tool):
        raise refusal_error(endpoint, result.refusal, step.id, task="describe an image")


def _description_or_reason(call_or_reason: FinishedCall | str) -> str:
    return call_or_reason if isinstance(call_or_reason, str) else call_or_reason.result.text.strip()
