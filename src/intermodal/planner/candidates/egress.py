"""Egress: the data that a route sends from this machine, to the answering endpoint and to remote converters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from intermodal.catalog.types import Endpoint
from intermodal.core.content import Kind
from intermodal.core.quantity import total
from intermodal.cost_model.tokens import text_part_tokens
from intermodal.planner.conversion.conversion_option import ConversionOption, ConversionStep, PartConversion
from intermodal.planner.conversion.fidelity import transcribed_channels
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.planner.route_estimates.routes import Route
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.facts import PartFacts
from intermodal.plans.numbers import with_noun
from intermodal.plans.plan import Send
from intermodal.plans.step import Call, DescribeImages

TOGETHER = 8  # up to this many similar parts are listed individually
MAKES_TEXT = ("extract", "read", "transcribe", "describe", "properties")


SendCache = dict[object, list[tuple[str, Kind, str]]]  # entries by option, shared between routes


def route_sends(case: PlanningCase, route: Route, send_cache: SendCache) -> tuple[Send, ...]:
    """Return the data sent by a route, in part order, with converters' inputs first.

    ``send_cache`` caches entries across routes.
    """
    found: list[Send] = _questions(case, route)
    found += converter_sends(case, route.assignment, send_cache)
    if route.endpoint.host.zone not in LOCAL_ZONES:
        found += _text_sends(case, case.texts, route.endpoint)
        if case.request.tools:
            found.append(_send(with_noun(len(case.request.tools), "tool"), "text", "the request", route.endpoint))
        for bundle, option in zip(case.bundles, route.assignment.options, strict=True):
            if option.name == "native":
                describe_sound = _video_sound if bundle.kind == "video" else _describe_recordings
                found += _part_sends(
                    bundle,
                    option,
                    route.endpoint,
                    describe_sound if case.job == "transcribe" else _as_it_is,
                    send_cache,
                )
                found += _part_sends(bundle, option, route.endpoint, _describe_derived_text, send_cache)
                continue
            found += _part_sends(bundle, option, route.endpoint, _describe_derived_text, send_cache)
            if "audio" in option.kinds:
                found += _part_sends(bundle, option, route.endpoint, _sound, send_cache)
            if option.pictures:
                found += _part_sends(bundle, option, route.endpoint, _image_noun, send_cache)
    return tuple(found)


def converter_sends(case: PlanningCase, assignment: Assignment, send_cache: SendCache) -> list[Send]:
    """Return the data sent to remote converters, in part order."""
    found: list[Send] = []
    for bundle, option in zip(case.bundles, assignment.options, strict=True):
        for used in option.converters:
            if used.host.zone not in LOCAL_ZONES:
                found += _part_sends(bundle, option, used, partial(_for_converter, used.id), send_cache)
    return found


def _questions(case: PlanningCase, route: Route) -> list[Send]:
    """Return the question texts sent with images to remote describers, once per host.

    The answering endpoint is skipped, because it gets all texts anyway.
    """
    found: list[Send] = []
    hosts = {route.endpoint.host.id}
    for option in route.assignment.options if case.question_parts else ():
        for describer in option.converters:
            if (
                describer.host.zone not in LOCAL_ZONES
                and describer.host.id not in hosts
                and _receives_question(option, describer)
            ):
                hosts.add(describer.host.id)
                found += _text_sends(case, case.question_parts, describer)
    return found


def _receives_question(option: ConversionOption, describer: Endpoint) -> bool:
    return any(
        isinstance(step.parameters, DescribeImages)
        and step.endpoint is not None
        and step.endpoint.id == describer.id
        and step.parameters.question_digest
        for conversion in option.conversions
        for step in conversion.steps
    )


def _text_sends(case: PlanningCase, texts: list[PartFacts], endpoint: Endpoint) -> list[Send]:
    vocabulary = case.vocabulary(endpoint.model)
    if len(texts) > TOGETHER:
        count = sum(text_part_tokens(part, vocabulary).mid for part in texts)
        return [_send(f"{count:,.0f} tok text", "text", f"{len(texts)} texts", endpoint)]
    return [
        _send(f"{text_part_tokens(part, vocabulary).mid:,.0f} tok text", "text", part.name or "prompt", endpoint)
        for part in texts
    ]


Pairs = list[tuple[PartFacts, PartConversion]]
DescribeContent = Callable[[Bundle, Pairs], tuple[str, Kind]]


def _part_sends(
    bundle: Bundle, option: ConversionOption, endpoint: Endpoint, words: DescribeContent, send_cache: SendCache
) -> list[Send]:
    """Return one entry per part, or one entry for many similar parts with their sum or range."""
    key = (id(option), words)
    found = send_cache.get(key)
    if found is None:
        found = send_cache[key] = list(_described_sends(bundle, option, words))
    return [_send(what, kind, origin, endpoint) for what, kind, origin in found]


def _described_sends(
    bundle: Bundle, option: ConversionOption, words: DescribeContent
) -> Iterator[tuple[str, Kind, str]]:
    pairs = list(zip(bundle.parts, option.conversions, strict=True))
    groups = [pairs] if len(pairs) > TOGETHER else [[pair] for pair in pairs]
    for each in groups:
        what, kind = words(bundle, each)
        if what:
            yield what, kind, bundle.title if len(each) > 1 else each[0][0].name


def _as_it_is(bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    count = len(pairs)
    seconds = f"{sum(part.seconds.mid for part, _ in pairs):.3g} s"
    if bundle.kind == "audio":
        return (f"{seconds} audio" if count == 1 else f"{count} recordings, {seconds} in all"), "audio"
    if bundle.kind == "video":
        return (f"{seconds} video" if count == 1 else f"{count} videos, {seconds} in all"), "video"
    if bundle.kind == "image":
        return f"{with_noun(count, 'image')} {_sizes_text([part for part, _ in pairs])}", "image"
    pages = with_noun(sum(len(conversion.leaves) for _, conversion in pairs), "page")
    return f"{with_noun(count, 'document')} {'of' if count == 1 else 'with'} {pages}", "document"


def _for_converter(name: str, bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    """Describe the data sent to a remote converter: recordings, images, rendered pages or frames."""
    if bundle.kind == "audio":
        return _describe_recordings(bundle, pairs)
    if bundle.kind == "image" and not any(step.op == "frames" for step in pairs[0][1].steps):
        return _as_it_is(bundle, pairs)
    if any(step.op == "transcribe" for step in _steps_of(name, pairs)):
        return _video_sound(bundle, pairs)
    count = sum(step.count for step in _steps_of(name, pairs))
    if not count:
        return "", "image"
    return (with_noun(count, "page image") if bundle.kind == "document" else _frames(count, bundle, pairs)), "image"


def _describe_recordings(bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    """Describe recordings sent to a transcriber, per channel if channels are transcribed separately."""
    what, kind = _as_it_is(bundle, pairs)
    return f"{what}{_plural_suffix(bundle)}", kind


def _plural_suffix(bundle: Bundle) -> str:
    return " of each channel" if transcribed_channels(bundle.parts[0]) > 1 else ""


def _steps_of(name: str, pairs: Pairs) -> list[ConversionStep]:
    return [p for _, conversion in pairs for p in conversion.steps if p.endpoint is not None and p.endpoint.id == name]


def _sound(bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    """Describe the unconverted sound of videos."""
    return f"{sum(part.seconds.mid for part, _ in pairs):.3g} s audio", "audio"


def _video_sound(bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    """Describe the sound of videos sent to a transcriber, per channel if channels are transcribed separately."""
    what, kind = _sound(bundle, pairs)
    return f"{what}{_plural_suffix(bundle)}", kind


def _frames(count: int, bundle: Bundle, pairs: Pairs) -> str:
    exact = all(p.reads[0] == p.reads[2] for _, conversion in pairs for p in conversion.steps if p.op == "frames")
    return f"{'' if exact else 'up to '}{with_noun(count, 'frame')}"


def _sizes_text(parts: list[PartFacts]) -> str:
    """Return the size of images; if they differ, the smallest and the largest."""
    sizes = sorted({(part.width * part.height, part.width, part.height) for part in parts})
    ends = [sizes[0], sizes[-1]] if len(sizes) > 1 else sizes
    return " to ".join(f"{width}x{height}" for _, width, height in ends)


def _describe_derived_text(bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    """Describe the text that converters produce from the parts. Text that is expected to be empty is sent as well."""
    text_tokens = [step.tokens for _, conversion in pairs for step in conversion.steps if step.op in MAKES_TEXT]
    if not text_tokens:
        return "", "text"
    tokens = total(text_tokens)
    if tokens.known and tokens.mid < 0.5:
        return (f"up to {tokens.high:,.0f} tok text" if tokens.high >= 0.5 else "text if any"), "text"
    return f"{tokens.mid:,.0f} tok text", "text"


def _image_noun(bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    if bundle.kind == "document":
        count = sum(len(conversion.pictures) for _, conversion in pairs)
        return (with_noun(count, "page image") if count else ""), "image"
    if any(step.op == "resize" for _, conversion in pairs for step in conversion.steps):
        sizes = sorted({picture[:2] for _, conversion in pairs for picture in conversion.pictures})
        ends = [sizes[0], sizes[-1]] if len(sizes) > 1 else sizes
        return f"{with_noun(len(pairs), 'image')} {' to '.join(f'{wide}x{high}' for wide, high in ends)}", "image"
    if bundle.kind == "image" and not any(step.op == "frames" for _, conversion in pairs for step in conversion.steps):
        return _as_it_is(bundle, pairs)
    count = sum(p.count for _, conversion in pairs for p in conversion.steps if p.op == "frames" and p.for_final_call)
    return (_frames(count, bundle, pairs) if count else ""), "image"


def _send(what: str, kind: Kind, origin: str, endpoint: Endpoint) -> Send:
    host = endpoint.host
    return Send(what=what, kind=kind, origin=origin, host=host.id, url=host.base_url, zone=host.zone)


def spoken_answer_sends(case: PlanningCase, route: Route, ends: tuple[Call, ...]) -> tuple[Send, ...]:
    """Return the answer itself, if a remote voice speaks it."""
    voice = case.voice
    if len(ends) < 2 or voice is None or voice.endpoint.host.zone in LOCAL_ZONES:
        return ()
    tokens = ends[0].estimate.output_tokens.mid
    return (_send(f"{tokens:,.0f} tok text", "text", "the answer", voice.endpoint),)
