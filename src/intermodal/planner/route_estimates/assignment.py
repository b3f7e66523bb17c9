"""Assignments: one conversion option per bundle, summed once for all endpoints with equal token rules.

The end of the conversions follows from a schedule on the machine's cores (``plans/cpu_schedule.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import add, itemgetter

import msgspec
from msgspec import Struct

from intermodal.core.quantity import Quantity
from intermodal.cost_model.levels import HIGH, LEVELS, ZEROS, Levels, add_levels, max_levels, sum_levels, times
from intermodal.cost_model.request_limits import NO_MEDIA, MediaAmounts
from intermodal.cost_model.token_rules import TokenRules
from intermodal.planner.conversion.conversion_option import (
    NO_TIER,
    ConversionOption,
    ConversionStep,
    Loss,
    native_tokens,
)
from intermodal.planner.conversion.conversion_steps import at_each
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.cpu_schedule import (
    DECODER_BYTES,
    DECODER_START_SECONDS,
    DECODER_USE,
    LOCAL_ZONES,
    CoreUse,
    TaskGraph,
    core_use,
    decoders,
)

LEFT_OUT_PENALTY = 0.01  # USD for not reading every page


class Assignment(Struct, eq=False, gc=False):
    """One option per bundle, summed under one set of token rules.

    Attributes:
        text, image, audio: tokens of the media for the last call, including block labels. sound: seconds.
        output_tokens: of converters. cost: USD of the conversions.
        before: seconds until all conversions are done, including loading. load: seconds of loading.
        memory: bytes of the local converters that are not loaded yet (``cold``). peak: maximum before the last call:
            these converters, and decoders beyond the first, which probing has already started.
        decoders: maximum number of concurrent decoders. ending: the share of ``memory`` in child processes, which can
            be unloaded.
        diverted, lost: sums over the options. missed: number of inferred needs lost, of any weight.
        kept_aspects: number of aspects that no part loses. tier: tier of the weakest converter.
        media_amounts: amounts to which limits of a request apply.
    """

    options: tuple[ConversionOption, ...]
    text: Levels
    image: Levels
    audio: Levels
    sound: Levels
    output_tokens: Levels
    cost: Levels
    before: Levels
    load: Levels
    memory: Levels
    peak: Levels
    ending: Levels
    decoders: int
    pictures: int
    penalty: float
    diverted: int
    lost: int
    missed: int
    kept_aspects: int
    tier: int
    cold: frozenset[str]
    left_out: int
    media_amounts: MediaAmounts

    @property
    def loss(self) -> Loss:
        """Return the losses that are compared before cost and time: parts diverted, required aspects lost."""
        return self.diverted, self.lost

    @property
    def sends_media(self) -> bool:
        """Return whether an answering or describing model receives images or audio, not only text."""
        return any(option.sends_media for option in self.options)


def assign(case: PlanningCase, options: tuple[ConversionOption, ...], token_rules: TokenRules) -> Assignment:
    """Sum one option per bundle. Without unconverted media, the result is the same under all token rules."""
    key = (options, token_rules)
    found = case.assignments.get(key)
    if isinstance(found, Assignment):
        return found
    assignment = case.assignments.get(options)  # computed under other rules
    if not isinstance(assignment, Assignment):
        assignment = _assign(case, options, token_rules)
    elif any(option.has_native_media for option in options):
        text, image, audio = _tokens(options, token_rules)
        assignment = msgspec.structs.replace(assignment, text=text, image=image, audio=audio)
    case.assignments[key] = case.assignments[options] = assignment
    return assignment


def _assign(case: PlanningCase, options: tuple[ConversionOption, ...], token_rules: TokenRules) -> Assignment:
    load = memory = ending = ZEROS
    cold: set[str] = set()
    for option in options:
        for used in option.converters:
            if (
                option.local != ZEROS
                and used.host.zone in LOCAL_ZONES
                and used.id not in cold
                and used.id not in case.loaded
            ):
                cold.add(used.id)
                load = add_levels(load, case.rates(used).load)
                memory = add_levels(memory, case.rates(used).memory)
                ending = add_levels(ending, case.rates(used).memory) if used.host.zone == "process" else ending
    lost = {aspect for option in options for aspect in option.loses}
    left_out = sum([option.left_out for option in options])
    most = decoders(case.machine, memory[HIGH])
    before, decoding = conversion_seconds(case, options, frozenset(cold), most)
    other_sums = ZEROS
    if max(decoding) > 1:
        other_sums = at_each(lambda level: max(0.0, decoding[level] - 1) * DECODER_BYTES)
    text, image, audio = _tokens(options, token_rules)
    amounts = _media_amounts(options)
    return Assignment(
        options=options, text=text, image=image, audio=audio,
        sound=sum_levels([option.sound for option in options]),
        output_tokens=sum_levels([option.output_tokens for option in options]),
        cost=sum_levels([option.cost for option in options]),
        before=before, load=load, memory=memory, peak=add_levels(memory, other_sums), ending=ending, decoders=most,
        pictures=amounts.pictures, media_amounts=amounts,
        penalty=sum([option.penalty for option in options]) + (LEFT_OUT_PENALTY if left_out else 0.0),
        diverted=sum([option.diverted for option in options]), lost=sum([option.lost for option in options]),
        missed=sum([len(option.missed) for option in options]) + (1 if left_out else 0),
        kept_aspects=len({aspect for option in options for aspect in option.keeps} - lost),
        tier=min([NO_TIER, *[option.tier for option in options]]), cold=frozenset(cold), left_out=left_out,
    )  # fmt: skip


def _tokens(options: tuple[ConversionOption, ...], token_rules: TokenRules) -> tuple[Levels, Levels, Levels]:
    """Return the tokens of texts and documents, of images and videos, and of audio."""
    texts = [option.text for option in options]
    images: list[Levels] = []
    audios: list[Levels] = []
    for option in options:
        if option.has_native_media:
            text, image, audio = option.by_rules.get(token_rules) or native_tokens(option, token_rules)
            if text is not ZEROS:
                texts.append(text)
            if image is not ZEROS:
                images.append(image)
            if audio is not ZEROS:
                audios.append(audio)
    return sum_levels(texts), sum_levels(images) if images else ZEROS, sum_levels(audios) if audios else ZEROS


def _media_amounts(options: tuple[ConversionOption, ...]) -> MediaAmounts:
    pictures = longest = pages = size = 0
    seconds = megapixels = 0.0
    for option in options:
        if option.has_native_media:
            amounts = option.media_amounts
            pictures, longest, pages = pictures + amounts.pictures, max(longest, amounts.longest), pages + amounts.pages
            seconds, size, megapixels = seconds + amounts.seconds, size + amounts.size, megapixels + amounts.megapixels
    if not (pictures or pages or seconds or size):
        return NO_MEDIA
    return MediaAmounts(pictures, longest, pages, seconds, size, megapixels)


def as_quantity(sound: Levels) -> Quantity:
    """Return seconds of audio as a quantity; infinite means unknown."""
    if sound[2] == math.inf:
        return Quantity(certainty="unknown", basis="length not known")
    exact = sound[0] == sound[2]
    return Quantity(
        low=sound[0], mid=sound[1], high=sound[2], certainty="exact" if exact else "estimated", basis="length"
    )


MANY = 32  # beyond this many steps, their order hardly matters and would take long to compute


def conversion_seconds(
    case: PlanningCase, options: tuple[ConversionOption, ...], cold: frozenset[str], decoders: int
) -> tuple[Levels, Levels]:  # fmt: skip
    """Return the seconds until everything is converted, and the number of concurrent decoders.

    ``cold`` converters are loaded first.
    """
    steps = sum([option.steps for option in options])
    if not steps:
        return ZEROS, ZEROS
    if steps > MANY:
        return _duration_bound(case, options, cold, decoders)
    graph, seconds = _graph(case, options, cold, decoders)
    ends, decoding = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    for level in LEVELS:
        lengths = [each[level] for each in seconds]
        schedule = graph.schedule(lengths)
        ends[level] = max(map(add, schedule.starts, lengths))
        decoding[level] = float(schedule.decoding)
    return (ends[0], ends[1], ends[2]), (decoding[0], decoding[1], decoding[2])


def parts_with_loaded_converters(
    case: PlanningCase, options: tuple[ConversionOption, ...], cold: frozenset[str]
) -> Iterator[tuple[Bundle, ConversionOption, int, frozenset[str]]]:
    """Yield each part (bundle, option, index) with the converters that are loaded for it.

    A cold converter is loaded for the first part that uses it.
    """
    loaded = set[str]()
    for bundle, option in zip(case.bundles, options, strict=True):
        left = frozenset[str]()
        if cold and option.converters:
            left = frozenset([each.id for each in option.converters if each.id in cold and each.id not in loaded])
        for place, conversion in enumerate(option.conversions):
            yield bundle, option, place, left
            if left and any(step.endpoint is not None for step in conversion.steps):
                loaded |= left
                left = frozenset()


def _graph(
    case: PlanningCase, options: tuple[ConversionOption, ...], cold: frozenset[str], decoders: int
) -> tuple[TaskGraph, list[Levels]]:  # fmt: skip
    """Return the steps in part order, and the seconds of each, including loading."""
    uses: list[CoreUse] = []
    afters: list[tuple[int, ...]] = []
    seconds: list[Levels] = []
    rows: list[tuple[int, tuple[ConversionStep, ...], frozenset[str]]] = []
    for bundle, option, place, left in parts_with_loaded_converters(case, options, cold):
        steps = option.conversions[place].steps
        if steps:
            rows.append((bundle.parts[place].index, steps, left))
    rows.sort(key=itemgetter(0))
    for _, steps, left in rows:
        first, waits = len(uses), set(left) if left else left
        for step in steps:
            endpoint = step.endpoint
            uses.append(core_use(endpoint, case.machine.cores) if endpoint is not None else DECODER_USE)
            afters.append((first + step.source_step,) if step.source_step >= 0 else ())
            if endpoint is not None and endpoint.id in waits:
                waits -= {endpoint.id}
                seconds.append(add_levels(step.seconds, case.rates(endpoint).load))
            else:
                seconds.append(step.seconds)
    return TaskGraph(uses, afters, case.machine.cores, decoders), seconds


def _duration_bound(
    case: PlanningCase, options: tuple[ConversionOption, ...], cold: frozenset[str], decoders: int
) -> tuple[Levels, Levels]:  # fmt: skip
    """Return a lower bound of the duration that many small steps come close to.

    The maximum of: all work over all cores, the work of any one process, all decoding, and the step sequence of one
    part.
    """
    cores = case.machine.cores
    work = transforms = chain = ZEROS
    loads = {used.id: used for option in options for used in option.converters if used.id in cold}
    seconds_by_process: dict[str, Levels] = {name: case.rates(used).load for name, used in loads.items()}
    for name, used in loads.items():
        work = add_levels(work, times(seconds_by_process[name], core_use(used, cores).cores))
    for option in options:
        work, transforms, chain = (
            add_levels(work, option.work),
            add_levels(transforms, option.transforms),
            max_levels(chain, option.chain),
        )
        for process, seconds in option.seconds_by_process.items():
            seconds_by_process[process] = add_levels(seconds_by_process.get(process, ZEROS), seconds)
    at_once = max(1, min(decoders, cores))
    longest = max_levels(chain, (work[0] / cores, work[1] / cores, work[2] / cores))
    longest = max_levels(longest, (transforms[0] / at_once, transforms[1] / at_once, transforms[2] / at_once))
    for seconds in seconds_by_process.values():
        longest = max_levels(longest, seconds)
    return longest, (1.0, at_once, at_once) if transforms[0] >= DECODER_START_SECONDS else (0.0, 0.0, at_once)
