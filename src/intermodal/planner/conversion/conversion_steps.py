"""Single conversion steps, priced: transcribing, reading, describing, extracting, rendering.

A step that is already done (during replanning) costs nothing more, and its size is known.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from intermodal.catalog.reasoning_effort import NO_THINKING_REQUEST
from intermodal.catalog.types import Endpoint, Task
from intermodal.core.content import ImageDetail
from intermodal.core.quantity import Quantity, between, exact, total
from intermodal.cost_model.call_cost import (
    calibrated_audio,
    demux_seconds,
    extract_seconds,
    frames_seconds,
    generate_seconds,
    ocr_price,
    ocr_seconds,
    page_ocr_seconds,
    render_seconds,
    token_price,
    transcription_price,
    transcription_seconds,
)
from intermodal.cost_model.image_tokens import image_tokens
from intermodal.cost_model.levels import HIGH, LEVELS, MID, ZEROS, Level, Levels, add_levels, levels
from intermodal.cost_model.rates import Rates
from intermodal.cost_model.token_calibration import calibrate_count
from intermodal.cost_model.token_rules import native_audio_tokens
from intermodal.cost_model.tokens import (
    DESCRIBE_ASK,
    DESCRIPTION,
    DESCRIPTION_MOST,
    letter_tokens,
    ocr_tokens,
    page_tokens,
    text_tokens,
    transcript_tokens,
)
from intermodal.media.media_limits import (
    DEFAULT_DPI,
    FIGURE_DPI,
    FRAMES_MOST,
    frame_size,
    line_of,
    page_size,
    read_megapixels,
)
from intermodal.planner.conversion.conversion_option import TASK_OF, ConversionStep, SizedImage
from intermodal.planner.conversion.fidelity import transcribed_channels
from intermodal.planner.conversion.page_relevance import page_numbers
from intermodal.planner.conversion.script_support import reader_script
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.facts import ConversionOutcome, PageFacts, PartFacts, SubtitleFacts
from intermodal.plans.numbers import with_noun
from intermodal.plans.step import (
    DescribeImages,
    ExtractSound,
    ExtractSubtitles,
    ExtractText,
    ReadText,
    RenderPages,
    ResizeImage,
    SampleFrames,
    StepParameters,
    TranscribeSpeech,
)

TURN_TOKENS = 4  # speaker label and line break
TURNS: Levels = (0.0, 1 / 6, 1 / 2)  # per second of a conversation between two people
SEGMENTS: Levels = (0.0, 1 / 6, 1 / 3)  # per second: segments of speech as transcribers write them
OTHER_VOCABULARY = (0.8, 1.0, 1.3)  # tokens in another vocabulary, relative to the one that counted the text


def finished_outcome(
    part: PartFacts, op: str, endpoint: Endpoint | None, parameters: StepParameters
) -> ConversionOutcome | None:
    """Return the outcome of exactly this step for this part; None if it is not done."""
    if not part.outcomes:
        return None
    name, params = endpoint.id if endpoint is not None else "", dict(parameters.pairs())
    for each in part.outcomes:
        if each.op == op and each.endpoint == name and dict(each.params) == params and not each.problem:
            return each
    return None


def known_tokens(outcome: ConversionOutcome) -> Quantity:
    """Return the tokens of an existing text, for any vocabulary."""
    if not outcome.tokens:
        return text_tokens(outcome.chars)
    largest_count = float(max(outcome.tokens.values()))
    low, mid, high = OTHER_VOCABULARY
    return between(
        math.floor(largest_count * low), largest_count * mid, math.ceil(largest_count * high), "counted, done already"
    )


def with_outcome(step: ConversionStep, part: PartFacts) -> ConversionStep:
    """Return the step without remaining cost and time if it is already done; otherwise unchanged."""
    outcome = finished_outcome(part, step.op, step.endpoint, step.parameters)
    if outcome is None:
        return step
    return ConversionStep(
        op=step.op, title=step.title, tokens=step.tokens if not step.tokens.high else known_tokens(outcome),
        endpoint=step.endpoint, pages=step.pages, parameters=step.parameters, source_step=step.source_step,
        for_final_call=step.for_final_call,
        count=outcome.pictures or step.count,
    )  # fmt: skip


# ---- calls ------------------------------------------------------------------------------------


def transcribe(
    case: PlanningCase, part: PartFacts, transcriber: Endpoint, rates: Rates, source_step: int = -1, *,
    timed: bool = False
) -> ConversionStep:  # fmt: skip
    """Return the step of transcribing speech. ``timed``: whether each segment keeps its time."""
    tokens = transcript_tokens(part.seconds, case.statistics.get(transcriber.id, "tokens_per_second_of_speech"))
    length = levels(part.seconds)
    film = length if part.kind == "video" else ZEROS
    channels = transcribed_channels(part)
    separate_channels = channels > 1
    if separate_channels:
        tokens = _two_channel_tokens(tokens, part.seconds)
    token_levels = levels(tokens)
    sound = calibrated_audio(rates, levels(native_audio_tokens(case.token_rules_of(transcriber).audio, part.seconds)))
    cost = at_each(lambda level: transcription_price(rates, length[level], sound[level], token_levels[level], channels))
    return with_outcome(
        ConversionStep(
            op="transcribe", endpoint=transcriber,
            title=transcription_title(case, length[1], separate_channels=separate_channels),
            tokens=tokens, cost=cost, source_step=source_step,
            parameters=transcription_parameters(case, part, timed=timed),
            seconds=at_each(lambda level: transcription_seconds(rates, level, length[level], film[level], channels)),
        ),
        part,
    )  # fmt: skip


def transcription_parameters(
    case: PlanningCase, part: PartFacts, *, timed: bool = False, output_format: str = ""
) -> TranscribeSpeech:
    """Return the parameters of a transcription. ``output_format``: set if the transcript is the answer."""
    # If an earlier transcription was given the wrong language, none is given now.
    wrong = any(outcome.problem == "language" for outcome in part.outcomes)
    return TranscribeSpeech(
        format=output_format, language="" if wrong else case.policy.language, into=case.into, timed=timed,
        separate_channels=transcribed_channels(part) > 1,
    )  # fmt: skip


def transcription_title(case: PlanningCase, seconds: float, *, separate_channels: bool) -> str:
    """Return the description of a transcription for a title: "63 s, its two channels apart, into en"."""
    into = f", into {case.into}" if case.into else ""
    return f"{seconds:.3g} s{', its two channels apart' if separate_channels else ''}{into}"


def _two_channel_tokens(tokens: Quantity, seconds: Quantity) -> Quantity:
    """Return the tokens of speech on two channels: both may talk all the time, and each turn has a speaker label."""
    if not tokens.known:
        return tokens
    labels = [TURN_TOKENS * turns * length for turns, length in zip(TURNS, levels(seconds), strict=True)]
    low, mid, high = levels(tokens)
    return between(low, mid + labels[MID], 2 * high + labels[HIGH], f"{tokens.basis}, on two channels")


def text_recognition_step(case: PlanningCase, part: PartFacts, reader: Endpoint, rates: Rates) -> ConversionStep:
    """Return the step of reading the text in an image."""
    megapixels = read_megapixels(part.width, part.height)
    price = ocr_price(rates, 1)
    if part.letters.known:
        tokens = letter_tokens(part.letters, case.statistics.get(reader.id, "reading_factor"), part.script)
    else:
        tokens = ocr_tokens(megapixels[MID], part.text_density, case.statistics.get(reader.id, "tokens_per_megapixel"))
    token_levels = levels(tokens)
    title_suffix, script = _reader_hint(case, part, reader)
    return with_outcome(
        ConversionStep(
            op="read", endpoint=reader, title=f"{part.width}x{part.height}{title_suffix}", cost=(price, price, price),
            count=1,
            tokens=tokens, parameters=ReadText(script=script),
            seconds=at_each(lambda level: ocr_seconds(rates, level, megapixels[level], token_levels[level])),
        ),
        part,
    )  # fmt: skip


def _reader_hint(
    case: PlanningCase, part: PartFacts, reader: Endpoint, pages: tuple[PageFacts, ...] = ()
) -> tuple[str, str]:
    """Return the script passed to a reader, as text for EXPLAIN and as the parameter; "" if none is passed."""
    script, reader_name = reader_script(case, part, reader, pages)
    return (f" ({reader_name})", script) if script else ("", "")


def read_pages(
    case: PlanningCase, part: PartFacts, pages: tuple[PageFacts, ...], reader: Endpoint, rates: Rates, source_step: int
) -> ConversionStep:
    """Return the step of reading scanned pages from their renderings."""
    sizes = [read_megapixels(*page_pixels(page)[:2]) for page in pages]
    megapixels = at_each(lambda level: sum(size[level] for size in sizes))
    price = ocr_price(rates, len(pages))
    tokens = total([scanned_tokens(case, page, reader) for page in pages])
    token_levels = levels(tokens)
    title_suffix, script = _reader_hint(case, part, reader, pages)
    return with_outcome(
        ConversionStep(
            op="read",
            endpoint=reader,
            title=f"{pages_title(page_numbers(pages))}{title_suffix}",
            pages=page_numbers(pages),
            source_step=source_step,
            tokens=tokens,
            parameters=ReadText(script=script),
            cost=(price, price, price),
            count=len(pages),
            seconds=at_each(
                lambda level: page_ocr_seconds(rates, level, len(pages), megapixels[level], token_levels[level])
            ),
        ),
        part,
    )


def render_figures(case: PlanningCase, part: PartFacts, pages: tuple[PageFacts, ...]) -> ConversionStep:
    """Return the step of rendering images with words on text pages, each cropped from its page."""
    shapes = [shape for page in pages for shape in figure_pixels(page)]
    megapixels = sum(width * height for width, height in shapes) / 1e6
    return with_outcome(
        ConversionStep(
            op="render", title=f"images on {pages_title(page_numbers(pages))} at {FIGURE_DPI} dpi",
            pages=page_numbers(pages), for_final_call=False, count=len(shapes), tokens=exact(0.0),
            parameters=RenderPages(pages=page_numbers(pages), cut_out_figures=True, dpi=FIGURE_DPI),
            seconds=at_each(lambda level: render_seconds(case.rates_of_media, level, megapixels)),
        ),
        part,
    )  # fmt: skip


def read_figures(
    case: PlanningCase, part: PartFacts, pages: tuple[PageFacts, ...], reader: Endpoint, source_step: int
) -> ConversionStep:
    """Return the step of reading the words in cropped images of text pages."""
    rates = case.rates(reader)
    sizes = [read_megapixels(*shape) for page in pages for shape in figure_pixels(page)]
    price = ocr_price(rates, len(sizes))
    factor = case.statistics.get(reader.id, "reading_factor")
    tokens = total([letter_tokens(page.figure_letters, factor) for page in pages if page.figure_letters.known])
    each = [tokens_at / len(sizes) for tokens_at in levels(tokens)]
    return with_outcome(
        ConversionStep(
            op="read",
            endpoint=reader,
            title=f"images on {pages_title(page_numbers(pages))}",
            pages=page_numbers(pages),
            source_step=source_step,
            tokens=tokens,
            cost=(price, price, price),
            count=len(sizes),
            parameters=ReadText(cut_out_figures=True),
            seconds=at_each(lambda level: sum(ocr_seconds(rates, level, size[level], each[level]) for size in sizes)),
        ),
        part,
    )


def figure_pixels(page: PageFacts) -> list[tuple[int, int]]:
    """Return the pixel sizes of a page's images after cropping."""
    return [page_size(right - left, bottom - top, FIGURE_DPI)[:2] for left, top, right, bottom in page.figures]


def scanned_tokens(case: PlanningCase, page: PageFacts, reader: Endpoint | None) -> Quantity:
    """Return the tokens of a scanned page, from its letter count if known, else from its size and text density."""
    statistic_of = (lambda figure: None) if reader is None else partial(case.statistics.get, reader.id)
    if page.letters.known:
        return letter_tokens(page.letters, statistic_of("reading_factor"), page.script)
    return page_tokens(page_megapixels(page), statistic_of("tokens_per_megapixel"), page.text_density)


def read_frames(
    case: PlanningCase, part: PartFacts, reader: Endpoint, frames: ConversionStep, shape: SizedImage, source_step: int
) -> ConversionStep:
    """Return the step of reading on-screen text, once per scene."""
    rates = case.rates(reader)
    count = frame_count(frames)
    megapixels = read_megapixels(*shape[:2])
    learned_tokens = case.statistics.get(reader.id, "tokens_per_megapixel")
    if part.letters.known:  # known only for an animation
        each = letter_tokens(part.letters, case.statistics.get(reader.id, "reading_factor"), part.script)
    else:
        each = ocr_tokens(megapixels[MID], part.text_density, learned_tokens)
    token_levels = levels(each)
    cost = at_each(lambda level: ocr_price(rates, count[level]))
    return with_outcome(
        ConversionStep(
            op="read",
            endpoint=reader,
            title=frames.title,
            parameters=ReadText(),
            tokens=_of_frames(each, count),
            cost=cost,
            source_step=source_step,
            count=frames.count,
            seconds=at_each(
                lambda level: count[level] * ocr_seconds(rates, level, megapixels[level], token_levels[level])
            ),
        ),
        part,
    )


def _of_frames(each: Quantity, count: Levels) -> Quantity:
    """Return the tokens of all frames together.

    Not every frame reaches the maximum, so the excess over the middle grows with the square root of their number, as
    for independent errors.
    """
    if not each.known:
        return each
    low, mid, high = count
    most = each.mid * high + (each.high - each.mid) * math.sqrt(high)
    return between(each.low * low, each.mid * mid, max(each.mid * mid, most), each.basis)


class VisualInput(Struct, frozen=True):
    """The input of a describer: images, or frames of which one represents all ``count``.

    ``source_step``: index of the step that produces them, -1 if the part itself is the image. ``pages``: of a
    document.
    """

    title: str
    pictures: tuple[SizedImage, ...]
    source_step: int = -1
    count: Levels | None = None
    pages: tuple[int, ...] = ()


def describe(case: PlanningCase, part: PartFacts, describer: Endpoint, visual: VisualInput) -> ConversionStep:
    """Return the step of describing images with regard to the question, with one call per image."""
    rates = case.rates(describer)
    with_question = case.shares_question(describer)
    ask = levels(text_tokens(len(case.question))) if with_question else ZEROS
    rule = case.token_rules_of(describer).image
    by_image = [levels(image_tokens(rule, *picture)) for picture in visual.pictures]
    image: Levels = tuple(sum(each[level] for each in by_image) / max(1, len(by_image)) for level in LEVELS)  # type: ignore[assignment]
    each_one = float(len(visual.pictures))
    many = visual.count or (each_one, each_one, each_one)
    image = calibrate_count(image, rates.counts.image) if rates.counts is not None else image
    learned_tokens = case.statistics.get(describer.id, "describe_tokens")
    thinks, room = case.reasoning_tokens(describer, NO_THINKING_REQUEST)
    out = levels(learned_tokens) if learned_tokens is not None else add_levels(DESCRIPTION, levels(thinks))
    most = DESCRIPTION_MOST + int(room)
    out = (min(out[0], most), min(out[1], most), float(most))
    text: Levels = (ask[0] + DESCRIBE_ASK[0], ask[1] + DESCRIBE_ASK[1], ask[2] + DESCRIBE_ASK[2])
    cost = at_each(lambda level: many[level] * token_price(rates, text[level], image[level], 0.0, out[level]))
    return with_outcome(
        ConversionStep(
            op="describe", endpoint=describer, title=visual.title, source_step=visual.source_step, pages=visual.pages,
            count=math.ceil(many[2]), cost=cost,
            tokens=between(out[0], out[1], out[2], "a description").times(as_range(many)),
            seconds=at_each(
                lambda level: many[level] * generate_seconds(rates, level, text[level] + image[level], out[level])
            ),
            parameters=DescribeImages(question_digest=question_key(case) if with_question else "", max_tokens=most),
            reads=at_each(lambda level: many[level] * (text[level] + image[level])),
        ),
        part,
    )  # fmt: skip


def question_key(case: PlanningCase) -> str:
    """Return the first 8 hex digits of the question's SHA-256.

    A description for one question is not reused for another.
    """
    return hashlib.sha256(case.question.encode()).hexdigest()[:8]


# ---- transforms -------------------------------------------------------------------------------


def extract(case: PlanningCase, part: PartFacts, pages: tuple[PageFacts, ...]) -> ConversionStep:
    """Return the step of extracting the text layer of pages."""
    numbers = page_numbers(pages)
    return with_outcome(
        ConversionStep(
            op="extract", title=pages_title(numbers), pages=numbers,
            tokens=total([layer_tokens(case, page) for page in pages]),
            parameters=ExtractText(pages=numbers),
            seconds=at_each(lambda level: extract_seconds(case.rates_of_media, level, len(pages))),
        ),
        part,
    )  # fmt: skip


def layer_tokens(case: PlanningCase, page: PageFacts) -> Quantity:
    """Return the tokens of a page's text layer, including links, form values and annotations."""
    return text_tokens(page.chars + page.over, 0, page.scripts, case.pages_in)


def render(
    case: PlanningCase, part: PartFacts, pages: tuple[PageFacts, ...], *, for_final_call: bool
) -> ConversionStep:
    """Return the step of rendering pages as images."""
    numbers = page_numbers(pages)
    megapixels = sum([width * height for width, height, _ in map(page_pixels, pages)]) / 1e6
    return with_outcome(
        ConversionStep(
            op="render", title=f"{pages_title(numbers)} at {DEFAULT_DPI} dpi", pages=numbers,
            parameters=RenderPages(pages=numbers, dpi=DEFAULT_DPI), for_final_call=for_final_call,
            count=len(pages),
            tokens=exact(0.0), seconds=at_each(lambda level: render_seconds(case.rates_of_media, level, megapixels)),
        ),
        part,
    )  # fmt: skip


def frames(
    case: PlanningCase, part: PartFacts, parameters: SampleFrames, count: Levels, title: str, *, for_final_call: bool
) -> ConversionStep:
    """Return the step of extracting frames from a video or animation; ``count`` is the expected number."""
    length = levels(part.seconds)
    megapixels = part.width * part.height / 1e6
    step = ConversionStep(
        op="frames",
        title=title,
        tokens=exact(0.0),
        parameters=parameters,
        for_final_call=for_final_call,
        count=math.ceil(count[2]),
        seconds=at_each(lambda level: frames_seconds(case.rates_of_media, level, length[level], megapixels)),
        reads=count,
    )
    outcome = finished_outcome(part, "frames", None, parameters)
    if outcome is None:
        return step
    picture_count = float(outcome.pictures)
    return ConversionStep(
        op="frames", title=title, tokens=exact(0.0), parameters=parameters, for_final_call=for_final_call,
        count=outcome.pictures,
        reads=(picture_count, picture_count, picture_count),
    )  # fmt: skip


def frame_count(step: ConversionStep) -> Levels:
    """Return the expected number of images of a frames step."""
    return step.reads


def resize(case: PlanningCase, part: PartFacts, side: int, detail: ImageDetail) -> tuple[ConversionStep, SizedImage]:
    """Return the step of resizing an image, and its new size."""
    width, height = frame_size(part.width, part.height, side)
    megapixels = part.width * part.height / 1e6
    step = ConversionStep(
        op="resize", title=f"{part.width}x{part.height} to {width}x{height}", tokens=exact(0.0), count=1,
        parameters=ResizeImage(max_side=side, detail=detail),
        seconds=at_each(lambda level: render_seconds(case.rates_of_media, level, megapixels)),
    )  # fmt: skip
    return with_outcome(step, part), (width, height, detail)


def demux(
    case: PlanningCase, part: PartFacts, *, for_final_call: bool, separate_channels: bool = False
) -> ConversionStep:
    """Return the step of extracting a video's sound. ``separate_channels``: whether its two channels are
    extracted separately."""
    length = levels(part.seconds)
    return with_outcome(
        ConversionStep(
            op="demux", title=f"sound, {length[1]:.3g} s", tokens=exact(0.0), for_final_call=for_final_call,
            parameters=ExtractSound(separate_channels=separate_channels),
            seconds=at_each(lambda level: demux_seconds(case.rates_of_media, level, length[level])),
        ),
        part,
    )  # fmt: skip


def subtitles(case: PlanningCase, part: PartFacts, track: SubtitleFacts, *, timed: bool) -> ConversionStep:
    """Return the step of extracting a subtitle track."""
    return with_outcome(
        ConversionStep(
            op="subtitles", title=f"{track.language or 'language not stated'}, {with_noun(track.lines, 'line')}",
            tokens=text_tokens(track.chars, 0, track.scripts),
            parameters=ExtractSubtitles(track=track.track, timed=timed),
            seconds=at_each(lambda level: demux_seconds(case.rates_of_media, level, 0.0)),
        ),
        part,
    )  # fmt: skip


def transcript_lines(part: PartFacts, *, timed: bool) -> Levels:
    """Return the number of lines with times in a transcript."""
    if not timed and part.kind != "video":
        return ZEROS
    length = levels(part.seconds)
    every = at_each(lambda level: length[level] * SEGMENTS[level])
    return every if timed else _in_lines(every, length[MID], part)


def subtitle_lines(part: PartFacts, track: SubtitleFacts, *, timed: bool) -> Levels:
    """Return the number of lines with times that a subtitle track becomes."""
    every = float(track.lines)
    return (every, every, every) if timed else _in_lines((every / 2, every, every), track.last, part)


def _in_lines(every: Levels, seconds: float, part: PartFacts) -> Levels:
    """Return the number of lines after joining segments; an image between segments starts a new line."""
    low, mid, high = every
    lines = seconds / line_of(part.seconds.mid)
    return (min(low, lines / 2), min(mid, lines), min(high, lines + 1 + FRAMES_MOST))


def task_of(job: str) -> Task:
    """Return the Hugging Face task of a conversion."""
    return TASK_OF[job]


# ---- sizes ------------------------------------------------------------------------------------


def page_pixels(page: PageFacts) -> SizedImage:
    """Return the pixel size of a rendered page."""
    width, height, _ = page_size(page.width, page.height, DEFAULT_DPI)
    return (width, height, "auto")


def page_megapixels(page: PageFacts) -> float:
    """Return the megapixels of a page rendered for a reader."""
    width, height, _ = page_pixels(page)
    return read_megapixels(width, height)[MID]


def pages_title(pages: tuple[int, ...]) -> str:
    """Return page numbers as text, with ranges.

    >>> pages_title((1, 2, 3, 7))
    'pages 1-3, 7'
    """
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][-1] + 1:
            runs[-1].append(page)
        else:
            runs.append([page])
    labels = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:6]]
    more = ", …" if len(runs) > 6 else ""
    return f"page{'s' if len(pages) > 1 else ''} {', '.join(labels)}{more}"


def at_each(formula: Callable[[Level], float]) -> Levels:
    """Return the value of a formula at all three levels."""
    return (formula(0), formula(1), formula(2))


def as_range(values: Levels) -> Quantity:
    """Return levels as a quantity, for use as a factor."""
    if values[0] == values[2]:
        return exact(values[1])
    return between(values[0], values[1], values[2], "scenes expected")
