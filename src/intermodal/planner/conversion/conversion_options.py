"""Enumerates the conversion options of a bundle: how it can reach the answering endpoint.

    text      as it is
    image     as it is | as it is and read | read | described | read and described | frames of an animation
              | resized, where its size may be refused
    audio     as it is | transcribed
    video     as it is | its sound and its images, each with an option of its own (video_options.py)
    document  as it is | extract (scanned pages rendered and read) | render | mixed (text of pages, and images of
              scanned pages and of those with figures) | figured (text, and such pages described)
    any       nothing but the properties of the file, where only those are asked for

An option applies to a whole bundle; its steps are those of one part. Pages whose content is not in the text layer
(scans, figures) are shown, read or described, or reported as lost.
"""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.core.request import Aspect
from intermodal.cost_model.image_tokens import image_refusal
from intermodal.media.media_limits import MAX_PAGES_IN_PLAN, SAFE_SIDE
from intermodal.planner.conversion import conversion_steps
from intermodal.planner.conversion.conversion_option import (
    BOTH,
    IMAGE,
    TEXT,
    ConversionOption,
    ConversionStep,
    ConvertersByJob,
    KeptPages,
    PartConversion,
    SizedImage,
    make_option,
    states_properties,
    without_words,
)
from intermodal.planner.conversion.conversion_outcomes import may_redo
from intermodal.planner.conversion.fidelity import (
    ASPECTS_OF_KIND,
    DETAIL_PENALTY,
    FACT_PENALTY,
    FIGURE_PAGE,
    SPARSE,
    in_aspect_order,
    lost_aspects,
    needs_timestamps,
    needs_vision,
    transcript_fidelity,
)
from intermodal.planner.conversion.page_relevance import page_numbers
from intermodal.planner.conversion.script_support import loses_words
from intermodal.planner.conversion.video_options import animation_option, read_animation, video_options
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.facts import PageFacts, PartFacts

BOTH_OF = 2  # maximum number of readers and of describers combined in "both" options


def conversion_options(
    case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob, kept_pages: KeptPages | None = None
) -> list[ConversionOption]:
    """Return every option for a bundle, whichever endpoint answers.

    Rules later exclude those that an endpoint cannot accept.

    If properties of the files are asked for, every option states them, and one option consists only of them.
    """
    found = _content_options(case, bundle, conversions, kept_pages)
    if bundle.properties_alone and states_properties(case, bundle):
        found.append(make_option(case, bundle, "properties", TEXT, lambda place: PartConversion()))
    return found


def _content_options(
    case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob, kept_pages: KeptPages | None
) -> list[ConversionOption]:
    """Return every option that passes content of the parts to a model."""
    if case.job == "transcribe":
        return [
            make_option(
                case,
                bundle,
                "native",
                frozenset(("audio",)),
                lambda place: PartConversion(sound=bundle.parts[place].seconds),
            )
        ]
    allowed = {job: allowed_converters(case, bundle, job, converters) for job, converters in conversions.items()}
    if case.translating:  # only words are needed, also for a video
        transcribed = [
            _transcription_option(case, bundle, transcriber) for transcriber in allowed.get("transcribe", [])
        ]
        native = [make_option(case, bundle, "native", frozenset(("audio",)), lambda place: _as_it_is(bundle, place))]
        return [*transcribed, *(native if bundle.kind == "audio" else [])]
    if bundle.kind == "document":
        return document_options(case, bundle, allowed, kept_pages or {})
    if bundle.kind == "video":
        return video_options(case, bundle, allowed)
    found = [make_option(case, bundle, "native", frozenset((bundle.kind,)), lambda place: _as_it_is(bundle, place))]
    if bundle.kind == "audio":
        found += [_transcription_option(case, bundle, transcriber) for transcriber in allowed.get("transcribe", [])]
    if bundle.kind == "image":
        found += _image_options(case, bundle, allowed)
    return found


def allowed_converters(case: PlanningCase, bundle: Bundle, job: str, converters: list[Endpoint]) -> list[Endpoint]:
    """Return the converters that may receive these parts and have not already failed with them.

    Private parts are converted on this machine or not at all. After a failure, only a stronger converter may follow, or
    one that supports the language.
    """
    found = [e for e in converters if not bundle.private or e.host.zone in LOCAL_ZONES]
    for part in bundle.parts:
        for outcome in part.outcomes:
            if outcome.problem and outcome.op == job:
                found = [e for e in found if may_redo(case, e, outcome)]
    return found


def _as_it_is(bundle: Bundle, place: int) -> PartConversion:
    part = bundle.parts[place]
    if part.kind == "image":
        return PartConversion(pictures=(_sized_image(bundle, place),))
    return PartConversion(sound=part.seconds)


def _sized_image(bundle: Bundle, place: int) -> SizedImage:
    part = bundle.parts[place]
    return (part.width, part.height, bundle.details[place])


def _transcription_option(case: PlanningCase, bundle: Bundle, transcriber: Endpoint) -> ConversionOption:
    rates = case.rates(transcriber)
    timed = needs_timestamps(case.policy.keep, bundle.needs)
    fidelities = [transcript_fidelity(part, timed=timed) for part in bundle.parts]
    loses = {aspect for _, lost_of_part in fidelities for aspect in lost_of_part}
    keeps = {aspect for kept_of_part, _ in fidelities for aspect in kept_of_part} - loses
    option = make_option(
        case,
        bundle,
        "transcribe",
        TEXT,
        lambda place: PartConversion(
            steps=(conversion_steps.transcribe(case, bundle.parts[place], transcriber, rates, timed=timed),),
            blocks=1,
            lines=conversion_steps.transcript_lines(bundle.parts[place], timed=timed),
        ),
        aspects=(in_aspect_order(keeps), in_aspect_order(loses)),
    )
    return without_words(option, bundle) if loses_words(case, bundle, transcriber) else option


def _image_options(case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob) -> list[ConversionOption]:
    """Return the options that convert an image to text: by OCR, by a description, or by both."""
    readers, describers = conversions.get("read", []), conversions.get("describe", [])

    def option(name: str, reader: Endpoint | None, describer: Endpoint | None) -> ConversionOption:
        conversion_option = make_option(
            case, bundle, name, TEXT,
            lambda place: _as_text(case, bundle.parts[place], _sized_image(bundle, place), reader, describer),
        )  # fmt: skip
        return (
            without_words(conversion_option, bundle)
            if reader is not None and loses_words(case, bundle, reader)
            else conversion_option
        )

    found = [option("read", reader, None) for reader in readers]
    if case.named_endpoints is not None and any(case.index.group_of[name].cannot_read for name in case.named_endpoints):
        found += [_with_recognized_text(case, bundle, reader) for reader in readers]
    if _may_be_refused(case, bundle):
        found.append(_resized_option(case, bundle))
    if any(part.frames > 1 for part in bundle.parts) and ("motion" in bundle.needs or "motion" in case.policy.keep):
        found.append(animation_option(case, bundle))
    if needs_vision(case.policy.keep, bundle.needs) or not readers:
        found += [option("describe", None, describer) for describer in describers]
        found += [
            option("both", reader, describer) for describer in describers[:BOTH_OF] for reader in readers[:BOTH_OF]
        ]
    return found


def _may_be_refused(case: PlanningCase, bundle: Bundle) -> bool:
    """Return whether some vendor rejects images of this size, or this many of them."""
    longest = max(max(part.width, part.height) for part in bundle.parts)
    if longest <= SAFE_SIDE:
        return False
    count = sum(len(each.parts) for each in case.bundles if each.kind == "image")
    for token_rules in case.index.distinct_token_rules(case.as_of):
        many = token_rules.limits.many_images if token_rules.limits is not None else None
        if many is not None and count > many[0] and longest > many[1]:
            return True
        if any(image_refusal(token_rules.image, *_sized_image(bundle, place)) for place in range(len(bundle.parts))):
            return True
    return False


def _resized_option(case: PlanningCase, bundle: Bundle) -> ConversionOption:
    """Return the option with images small enough for every vendor. A last resort, because small print suffers."""

    def conversion_of(place: int) -> PartConversion:
        part = bundle.parts[place]
        if max(part.width, part.height) <= SAFE_SIDE:
            return PartConversion(pictures=(_sized_image(bundle, place),))
        step, picture = conversion_steps.resize(case, part, SAFE_SIDE, bundle.details[place])
        return PartConversion(steps=(step,), pictures=(picture,))

    option = make_option(case, bundle, "resized", IMAGE, conversion_of)
    plain = all(part.text_density.known and part.text_density.mid <= SPARSE for part in bundle.parts)
    option.penalty += FACT_PENALTY if plain else DETAIL_PENALTY
    return option


def _with_recognized_text(case: PlanningCase, bundle: Bundle, reader: Endpoint) -> ConversionOption:
    """Return the option with images and their OCR text, for a named model too weak to read them."""
    return make_option(
        case, bundle, "read_along", BOTH,
        lambda place: PartConversion(
            steps=(conversion_steps.text_recognition_step(case, bundle.parts[place], reader, case.rates(reader)),),
            pictures=(_sized_image(bundle, place),), blocks=1,
        ),
    )  # fmt: skip


def _as_text(
    case: PlanningCase, part: PartFacts, picture: SizedImage, reader: Endpoint | None, describer: Endpoint | None
) -> PartConversion:
    found: list[ConversionStep] = []
    if reader is not None and part.frames > 1:
        found += read_animation(case, part, reader)
    elif reader is not None:
        found.append(conversion_steps.text_recognition_step(case, part, reader, case.rates(reader)))
    if describer is not None:
        size = f"{part.width}x{part.height}"
        found.append(conversion_steps.describe(case, part, describer, conversion_steps.VisualInput(size, (picture,))))
    blocks = (reader is not None) + (describer is not None)
    return PartConversion(steps=tuple(found), blocks=blocks)


__all__ = ["allowed_converters", "conversion_options"]


Aspects = tuple[Aspect, ...]

WORDS_IN_FIGURES = 0.2  # maximum share of letters in images for the text layer to count as keeping the words


def document_options(
    case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob, kept_pages: KeptPages
) -> list[ConversionOption]:
    """Return every option for documents. ``kept_pages``: the pages kept by a selection."""
    pages = [kept_pages.get(part.index, all_pages) for part, all_pages in zip(bundle.parts, bundle.pages, strict=True)]
    scanned = rendered = figures = 0
    for part_pages in pages:
        for page in part_pages:
            if page.scanned:
                scanned, rendered = scanned + 1, rendered + 1
            else:
                figures += bool(page.figures)
                rendered += needs_rendering(page)
    every = sum([len(part_pages) for part_pages in pages])
    page_count = sum([len(part_pages) for part_pages in bundle.pages])
    readers = conversions.get("read", [])

    def option(
        name: str, kinds: frozenset[str], *converters: Endpoint | None, aspects: tuple[Aspects, Aspects] | None = None
    ) -> ConversionOption:
        reader, describer = (*converters, None, None)[:2]
        conversion_option = make_option(
            case,
            bundle,
            name,
            kinds,
            lambda place: _document_conversion(case, bundle.parts[place], name, reader, describer, pages[place]),
            same=lambda place: page_numbers(pages[place]),
            aspects=aspects,
        )
        return (
            without_words(conversion_option, bundle)
            if reader is not None and loses_words(case, bundle, reader)
            else conversion_option
        )

    found: list[ConversionOption] = []
    if bundle.has_all_pages and not kept_pages:
        found.append(option("native", frozenset(("document",))))
    if 0 < scanned + figures <= MAX_PAGES_IN_PLAN:
        found += [option("extract", TEXT, reader) for reader in readers]
    if not scanned:
        found.append(option("extract", TEXT, aspects=_wordless(bundle) if _left_in_figures(pages) else None))
        found[-1].penalty += DETAIL_PENALTY if figures else 0.0
    if every <= MAX_PAGES_IN_PLAN:
        found.append(option("render", IMAGE))
    if 0 < rendered < every and rendered <= MAX_PAGES_IN_PLAN:
        found.append(option("mixed", BOTH))
    if 0 < rendered <= MAX_PAGES_IN_PLAN and needs_vision(case.policy.keep, bundle.needs):
        describers = conversions.get("describe", [])
        found += [
            option("figured", TEXT, reader, describer)
            for describer in describers
            for reader in (readers[:1] if scanned else [None])
        ]
    for each in found:
        each.left_out = page_count - every
    return found


def _left_in_figures(pages: list[tuple[PageFacts, ...]]) -> bool:
    """Return whether so many letters are in images that the text layers do not keep the words."""
    every = [page for part_pages in pages for page in part_pages]
    pictured = sum(page.figure_letters.mid for page in every if page.figures and page.figure_letters.known)
    return pictured > WORDS_IN_FIGURES * (pictured + sum(page.chars for page in every))


def _wordless(bundle: Bundle) -> tuple[Aspects, Aspects]:
    """Return the aspects that an extraction keeps and loses if it leaves words in images."""
    lost = {"words", *(aspect for part in bundle.parts for aspect in lost_aspects("extract", part))}
    return (), tuple(aspect for aspect in ASPECTS_OF_KIND["document"] if aspect in lost)


def needs_rendering(page: PageFacts) -> bool:
    """Return whether a rendering of this page contains more than its text."""
    return page.scanned or bool(page.figures) or page.figure_share >= FIGURE_PAGE


def _document_conversion(
    case: PlanningCase,
    part: PartFacts,
    name: str,
    reader: Endpoint | None,
    describer: Endpoint | None,
    pages: tuple[PageFacts, ...],
) -> PartConversion:
    if name == "native":
        return PartConversion(leaves=pages)
    if name == "render":
        return PartConversion(
            steps=(conversion_steps.render(case, part, pages, for_final_call=True),),
            pictures=tuple(map(conversion_steps.page_pixels, pages)),
        )
    texts = tuple([page for page in pages if not page.scanned])
    scans = tuple([page for page in pages if page.scanned]) if len(texts) < len(pages) else ()
    found: list[ConversionStep] = [conversion_steps.extract(case, part, texts)] if texts else []
    blocks = len(texts)
    if name == "mixed":
        rendered = tuple(page for page in pages if needs_rendering(page))
        found.append(conversion_steps.render(case, part, rendered, for_final_call=True))
        return PartConversion(
            steps=tuple(found), pictures=tuple(map(conversion_steps.page_pixels, rendered)), blocks=blocks
        )
    if scans and reader is not None:
        found.append(conversion_steps.render(case, part, scans, for_final_call=False))
        found.append(conversion_steps.read_pages(case, part, scans, reader, case.rates(reader), len(found) - 1))
        blocks += len(scans)
    pictured = tuple([page for page in texts if page.figures])
    if name == "extract" and pictured and reader is not None:
        found.append(conversion_steps.render_figures(case, part, pictured))
        found.append(conversion_steps.read_figures(case, part, pictured, reader, len(found) - 1))
        blocks += sum(len(page.figures) for page in pictured)
    if describer is not None:
        rendered = tuple(page for page in pages if needs_rendering(page))
        if rendered:
            found += _description_steps(case, part, describer, rendered, found)
            blocks += len(rendered)
    return PartConversion(steps=tuple(found), blocks=blocks)


def _description_steps(
    case: PlanningCase,
    part: PartFacts,
    describer: Endpoint,
    rendered: tuple[PageFacts, ...],
    before: list[ConversionStep],
) -> list[ConversionStep]:
    """Return the steps that render pages (unless a reader already had them rendered) and describe them."""
    render_step = next(
        (place for place, p in enumerate(before) if p.op == "render" and p.pages == page_numbers(rendered)), None
    )
    steps: list[ConversionStep] = (
        [] if render_step is not None else [conversion_steps.render(case, part, rendered, for_final_call=False)]
    )
    visual = conversion_steps.VisualInput(
        title=conversion_steps.pages_title(page_numbers(rendered)),
        pictures=tuple(map(conversion_steps.page_pixels, rendered)),
        pages=page_numbers(rendered),
        source_step=len(before) if render_step is None else render_step,
    )
    steps.append(conversion_steps.describe(case, part, describer, visual))
    return steps
