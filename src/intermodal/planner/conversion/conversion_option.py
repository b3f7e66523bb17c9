"""The values of conversion: an option of a bundle, the conversion of one part, and one step of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from intermodal.catalog.types import Endpoint, Task
from intermodal.core.quantity import Quantity
from intermodal.core.request import Aspect
from intermodal.cost_model.image_tokens import image_refusal, image_tokens
from intermodal.cost_model.levels import HIGH, MID, ZEROS, Levels, add_levels, levels, max_levels, product, times
from intermodal.cost_model.request_limits import NO_MEDIA, MediaAmounts, exceeded_limit, exceeds_limits
from intermodal.cost_model.token_rules import (
    NO_RULES,
    TokenRules,
    native_audio_tokens,
    native_document_tokens,
    native_video_tokens,
)
from intermodal.cost_model.tokens import BLOCK, MARK, text_tokens
from intermodal.media.media_limits import MAX_FILE_BYTES, SAFE_SIDE
from intermodal.planner.conversion.fidelity import MUST_KEEP, READ_BY_MODEL_ALONE, kept_aspects, lost_aspects
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import WORDS_ALONE, PlanningCase
from intermodal.plans.cpu_schedule import core_use
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.plans.file_properties import main_property, properties_text
from intermodal.plans.step import CallOp, StateProperties, StepParameters, TransformOp

NO_TIER = 99  # the tier of an option without models
SizedImage = tuple[int, int, str]  # width, height, detail
Loss = tuple[int, int]  # parts diverted, needs lost: compared before any number
ConvertersByJob = dict[str, list[Endpoint]]  # "transcribe", "read", "describe" -> endpoints worth considering
KeptPages = dict[int, tuple[PageFacts, ...]]  # part index -> pages kept by a selection
TASK_OF: dict[str, Task] = {
    "transcribe": "automatic-speech-recognition",
    "read": "image-to-text",
    "describe": "image-text-to-text",
    "generate": "text-generation",
    "translate": "text-generation",
    "embed": "feature-extraction",
    "score": "zero-shot-classification",
    "speak": "text-to-speech",
    "draw": "text-to-image",
}


class ConversionStep(Struct, frozen=True, gc=False):
    """One step of a part's conversion.

    Attributes:
        seconds: without loading. tokens: of its output text, exactly 0 for images and audio.
        parameters: parameters of its operator. pages: pages of a document.
        source_step: index of the step whose result it takes, -1 for the part itself.
        for_final_call: whether its result reaches the last call; otherwise only another step uses it.
        count: number of images it produces or reads. reads: input tokens of a call that is billed by tokens.
    """

    op: TransformOp | CallOp
    parameters: StepParameters
    title: str
    tokens: Quantity
    cost: Levels = ZEROS
    seconds: Levels = ZEROS
    endpoint: Endpoint | None = None
    pages: tuple[int, ...] = ()
    source_step: int = -1
    for_final_call: bool = True
    count: int = 0
    reads: Levels = ZEROS


class PartConversion(Struct, frozen=True, gc=False):
    """The conversion of one part: its steps, and the inputs that the last endpoint receives unconverted.

    ``many``: expected number of repetitions of each image; 1 except for frames, where one represents all. ``film``: a
    video sent whole. ``leaves``: the pages of a document sent whole. ``lines``: number of output lines that start with
    a time.
    """

    steps: tuple[ConversionStep, ...] = ()
    pictures: tuple[SizedImage, ...] = ()
    many: Levels = (1.0, 1.0, 1.0)
    sound: Quantity = Quantity()
    film: PartFacts | None = None
    leaves: tuple[PageFacts, ...] = ()
    blocks: int = 0
    lines: Levels = ZEROS


class NativeTokens(NamedTuple):
    """Billed tokens of unconverted media: documents, images and videos, audio."""

    text: Levels = ZEROS
    image: Levels = ZEROS
    audio: Levels = ZEROS


class ConversionOption(Struct, eq=False, gc=False):
    """An option for passing a bundle to the answering endpoint.

    Attributes:
        name: "native", "transcribe", "read", "describe", "both" (read and described), "extract", "render", "mixed",
            "figured" (text, and pages described), "frames" (of an animation), "watch" (a video, as tracks),
            "read_along" (an image with its OCR text), "properties" (only properties of the file).
        converters: the transcribers, readers and describers it uses; () if it uses no model.
        kinds: input kinds that the last endpoint must accept.
        keeps, loses: aspects. ``missed``: the needed ones among the lost aspects. ``lost``: number of required aspects
            lost, counted over the parts. ``penalty``: USD for the other needs, and for lost detail.
        diverted: number of parts that are converted although a named model accepts them.
        text, cost, transforms, local, network: sums over the parts (``network``: the maximum). output_tokens: tokens of
            text that models write. ``text`` includes the labels of its blocks.
        work: seconds on this machine times the cores in use. seconds_by_process: of each local process. chain: the
            longest sequence of steps of one part. steps: number of steps.
        pictures, sound: unconverted media; ``sound`` in seconds.
        has_native_media: whether it has unconverted media, whose tokens depend on the endpoint. media_amounts: amounts
            to which limits apply.
        odd: whether some of its images may be rejected.
        natives: distinct conversions with unconverted media other than images, and their counts.
        tier: tier of the weakest converter. conversions: one per part. Caches: by_rules: tokens of unconverted media by
            token rules; refused: why they would be rejected; weighted_scores, options: under each weighting.
    """

    name: str
    converters: tuple[Endpoint, ...]
    kinds: frozenset[str]
    keeps: tuple[Aspect, ...]
    loses: tuple[Aspect, ...]
    penalty: float
    missed: tuple[Aspect, ...]
    lost: int
    text: Levels
    output_tokens: Levels
    cost: Levels
    transforms: Levels
    local: Levels
    network: Levels
    work: Levels
    chain: Levels
    seconds_by_process: dict[str, Levels]
    pictures: dict[SizedImage, Levels]
    sound: Levels
    tier: int
    conversions: list[PartConversion]
    natives: list[tuple[PartConversion, int]]
    by_rules: dict[TokenRules, NativeTokens]
    refused: dict[TokenRules, str]
    weighted_scores: dict[TokenRules | None, tuple[tuple[float, ...], ...]]
    options: dict[object, tuple[float, float, float, float]]
    has_native_media: bool = False
    odd: bool = False
    ruleless: NativeTokens | None = None
    media_amounts: MediaAmounts = NO_MEDIA
    left_out: int = 0
    diverted: int = 0
    steps: int = 0

    @property
    def loss(self) -> Loss:
        """Return the losses that are compared before cost and time: parts diverted, required aspects lost."""
        return self.diverted, self.lost

    @property
    def sends_media(self) -> bool:
        """Return whether an answering or describing model receives images or audio, not only text."""
        if not self.kinds <= TEXT:
            return True
        if not self.converters:
            return False
        return any(step.op == "describe" for conversion in self.conversions for step in conversion.steps)


def make_option(
    case: PlanningCase,
    bundle: Bundle,
    name: str,
    kinds: frozenset[str],
    conversion_of: Callable[[int], PartConversion],
    *,
    same: Callable[[int], object] | None = None,
    aspects: tuple[tuple[Aspect, ...], tuple[Aspect, ...]] | None = None,
) -> ConversionOption:
    """Build an option for all parts of a bundle.

    Args:
        conversion_of: returns the conversion of the part at an index of the bundle; called once for equal parts.
        same: additional key that equal parts must share, besides their shape.
        aspects: the aspects kept and lost, if they do not follow from the option's name.
    """
    memo: dict[object, PartConversion] = {}
    conversions: list[PartConversion] = []
    for place, shape in enumerate(bundle.shapes):
        key = shape if same is None else (shape, same(place))
        conversion = memo.get(key)
        if conversion is None:
            conversion = conversion_of(place)
            if states_properties(case, bundle):
                conversion = _with_properties(conversion, bundle.parts[place])
            memo[key] = conversion
        conversions.append(conversion)
    keeps: tuple[Aspect, ...]
    loses: tuple[Aspect, ...]
    if aspects is None:
        keeps = kept_aspects(name, bundle.kind)
        lost_by_part = [lost_aspects(name, part, is_compared=bundle.compared) for part in distinct_parts(bundle)]
        loses = tuple(dict.fromkeys([aspect for each in lost_by_part for aspect in each]))
    else:
        keeps, loses = aspects
    missed: list[Aspect] = [aspect for aspect in bundle.needs if aspect in loses]
    prices = [bundle.needs[aspect] for aspect in missed]
    option = ConversionOption(
        name=name, converters=(), kinds=kinds, keeps=keeps, loses=loses,
        penalty=sum([price for price in prices if price < MUST_KEEP]), missed=tuple(missed),
        lost=prices.count(MUST_KEEP) * len(bundle.parts),
        text=ZEROS, output_tokens=ZEROS, cost=ZEROS, transforms=ZEROS, local=ZEROS, network=ZEROS,
        work=ZEROS, chain=ZEROS, seconds_by_process={},
        pictures={}, sound=ZEROS, tier=NO_TIER, conversions=conversions, natives=[],
        by_rules={}, refused={}, weighted_scores={}, options={},
    )  # fmt: skip
    _add_up(option, bundle, case)
    return option


def states_properties(case: PlanningCase, bundle: Bundle) -> bool:
    """Return whether the prompt states the properties of these files."""
    return bundle.properties and case.job == "generate" and not case.translating


def _with_properties(conversion: PartConversion, part: PartFacts) -> PartConversion:
    """Return the conversion with a step that states the properties of the file, which takes no time."""
    step = ConversionStep(
        op="properties", title=main_property(part), tokens=text_tokens(len(properties_text(part))),
        parameters=StateProperties(),
    )  # fmt: skip
    return replace(conversion, steps=(*conversion.steps, step), blocks=conversion.blocks + 1)


def without_reading(option: ConversionOption, bundle: Bundle) -> ConversionOption:
    """Return the option for a model too weak to read: words that only images carry are lost."""
    return (
        without_words(option, bundle)
        if option.pictures and option.name in READ_BY_MODEL_ALONE.get(bundle.kind, ())
        else option
    )


def without_words(option: ConversionOption, bundle: Bundle) -> ConversionOption:
    """Return the option with the aspect ``words`` lost."""
    if "words" not in option.keeps:
        return option
    price = bundle.needs.get("words")
    return replace(
        option, keeps=tuple(aspect for aspect in option.keeps if aspect != "words"), loses=("words", *option.loses),
        penalty=option.penalty + (price if price is not None and price < MUST_KEEP else 0.0),
        missed=option.missed if price is None else ("words", *option.missed),
        lost=option.lost + (len(bundle.parts) if price == MUST_KEEP else 0),
        refused={}, weighted_scores={}, options={},
    )  # fmt: skip


def distinct_parts(bundle: Bundle) -> list[PartFacts]:
    """Return the parts that may lose different aspects.

    Documents differ in their figures and recordings in their channels; parts of other kinds do not differ.
    """
    if bundle.kind not in ("audio", "document"):
        return bundle.parts[:1]
    return list(dict(zip(bundle.shapes, bundle.parts, strict=True)).values())


def _add_up(option: ConversionOption, bundle: Bundle, case: PlanningCase) -> None:
    part_counts: dict[int, int] = {}
    by_id: dict[int, PartConversion] = {}
    blocks, lines = 0, ZEROS
    for conversion in option.conversions:  # equal parts share one object, so each is added once, times its count
        part_counts[id(conversion)] = part_counts.get(id(conversion), 0) + 1
        by_id[id(conversion)] = conversion
    used: dict[str, Endpoint] = {}
    for key, count in part_counts.items():
        conversion = by_id[key]
        _add_chain(option, conversion)
        option.steps += count * len(conversion.steps)
        for step in conversion.steps:
            _add_step(option, step, count, case.machine.cores)
            if step.endpoint is not None:
                used[step.endpoint.id] = step.endpoint
                option.tier = min(option.tier, case.index.group_of[step.endpoint.id].tier(TASK_OF[step.op]))
        for picture in conversion.pictures:
            option.pictures[picture] = add_levels(option.pictures.get(picture, ZEROS), times(conversion.many, count))
        has_sound = bool(conversion.sound.high) or not conversion.sound.known
        if has_sound:
            option.sound = add_levels(option.sound, times(levels(conversion.sound), count))
        blocks += conversion.blocks * count
        if conversion.lines != ZEROS:
            lines = add_levels(lines, times(conversion.lines, count))
        if has_sound or conversion.film is not None or conversion.leaves:
            option.natives.append((conversion, count))
    if blocks and case.job not in WORDS_ALONE:
        option.text = add_levels(option.text, add_levels(times(BLOCK, blocks), product(MARK, lines)))
    option.converters = tuple(used.values())
    option.has_native_media = bool(option.pictures or option.natives)
    if option.has_native_media:
        option.media_amounts = _media_amounts(option, bundle)
        option.odd = bool(option.pictures) and (
            option.media_amounts.longest > SAFE_SIDE or any(map(_may_be_rejected, option.pictures))
        )


def _may_be_rejected(picture: SizedImage) -> bool:
    """Return whether some vendor may reject an image of any size: because of its detail level, or as a narrow strip."""
    width, height, detail = picture
    return detail != "auto" or max(width, height) > 100 * min(width, height)


def _media_amounts(option: ConversionOption, bundle: Bundle) -> MediaAmounts:
    pictures, longest, pages, megapixels = 0.0, 0, 0, 0.0
    for (width, height, _), count in option.pictures.items():
        pictures, longest = pictures + count[HIGH], max(longest, width, height)
        megapixels += count[HIGH] * width * height / 1e6
    for conversion, many in option.natives:
        pages += len(conversion.leaves) * many
    size = sum([part.size for part in bundle.parts]) if option.name == "native" else 0
    return MediaAmounts(math.ceil(pictures), longest, pages, option.sound[MID], size, megapixels)


def native_tokens(option: ConversionOption, token_rules: TokenRules) -> NativeTokens:
    """Return the tokens of unconverted media under these rules. Cached on the option, which many assignments share."""
    found = option.by_rules.get(token_rules)
    if found is None:
        text = film = audio = ZEROS
        if option.natives:
            text, film, audio = _other_media_tokens(option, token_rules)
        image = film
        if option.pictures:
            low, mid, high = film
            for (width, height, detail), count in option.pictures.items():
                tokens = image_tokens(token_rules.image, width, height, detail)
                low, mid, high = low + tokens.low * count[0], mid + tokens.mid * count[1], high + tokens.high * count[2]
            image = (low, mid, high)
        found = option.by_rules[token_rules] = NativeTokens(text, image, audio)
    return found


def _other_media_tokens(option: ConversionOption, token_rules: TokenRules) -> NativeTokens:
    """Return the tokens of documents, videos and audio. Endpoints without a rule for any of them share one count."""
    if not (token_rules.audio or token_rules.video or token_rules.document) and token_rules is not NO_RULES:
        if option.ruleless is None:
            option.ruleless = _other_media_tokens(option, NO_RULES)
        return option.ruleless
    text = image = audio = ZEROS
    for conversion, many in option.natives:
        if conversion.film is not None:
            image = add_levels(image, times(levels(native_video_tokens(token_rules.video, conversion.film)), many))
        elif conversion.leaves:
            text = add_levels(text, times(levels(native_document_tokens(token_rules, conversion.leaves)), many))
        else:
            audio = add_levels(audio, times(levels(native_audio_tokens(token_rules.audio, conversion.sound)), many))
    return NativeTokens(text, image, audio)


def whole_video_tokens(option: ConversionOption, token_rules: TokenRules) -> Levels:
    """Return the tokens of videos sent whole."""
    return _other_media_tokens(option, token_rules).image


def native_refusal(option: ConversionOption, token_rules: TokenRules) -> str:
    """Return why unconverted media would be rejected under these rules; "" if they would not."""
    if option.media_amounts.size > MAX_FILE_BYTES:
        size, most = option.media_amounts.size / 1e6, MAX_FILE_BYTES / 1e6
        return f"{size:,.0f} MB of files, and no more than {most:,.0f} MB are sent as they are"
    limits = token_rules.limits if option.name == "native" else None
    if limits is not None and exceeds_limits(limits, option.media_amounts):
        return exceeded_limit(limits, option.media_amounts)
    if not option.odd:
        return ""
    found = option.refused.get(token_rules)
    if found is None:
        reasons = (image_refusal(token_rules.image, *picture) for picture in option.pictures)
        found = option.refused[token_rules] = next(filter(None, reasons), "")
    return found


def _add_chain(option: ConversionOption, conversion: PartConversion) -> None:
    ends: list[Levels] = []
    for step in conversion.steps:
        ends.append(add_levels(ends[step.source_step], step.seconds) if step.source_step >= 0 else step.seconds)
        option.chain = max_levels(option.chain, ends[-1])


def _add_step(option: ConversionOption, step: ConversionStep, count: int, cores: int) -> None:
    tokens, seconds, cost = levels(step.tokens), step.seconds, step.cost
    if tokens != ZEROS:
        tokens = times(tokens, count)
        option.text = add_levels(option.text, tokens)
        if step.endpoint is not None:
            option.output_tokens = add_levels(option.output_tokens, tokens)
    if cost != ZEROS:
        option.cost = add_levels(option.cost, times(cost, count))
    many, use = times(seconds, count), core_use(step.endpoint, cores)
    if not use.cores:
        option.network = max_levels(option.network, seconds)
        return
    option.work = add_levels(option.work, times(many, use.cores))
    if step.endpoint is None:
        option.transforms = add_levels(option.transforms, many)
    else:
        option.local = add_levels(option.local, many)
        option.seconds_by_process[use.process] = add_levels(option.seconds_by_process.get(use.process, ZEROS), many)


TEXT = frozenset(("text",))
IMAGE = frozenset(("image",))
BOTH = frozenset(("text", "image"))
