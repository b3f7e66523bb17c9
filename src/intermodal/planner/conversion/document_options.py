"""Conversion options of a document: whole, its text, pictures of its pages, or both; figures can be described in words.

Pages whose text layer does not carry their content (scans, figures) are shown, read or described, or reported as lost.
Pictures on pages of text are read by themselves where they hold words that the text layer lacks.
"""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.media.media_limits import MAX_PAGES_IN_PLAN
from intermodal.planner.bundles import Bundle
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
    make_option,
    without_words,
)
from intermodal.planner.conversion.fidelity import (
    ASPECTS_OF_KIND,
    DETAIL_PENALTY,
    FIGURE_PAGE,
    lost_aspects,
    needs_vision,
)
from intermodal.planner.conversion.page_relevance import page_numbers
from intermodal.planner.conversion.script_support import loses_words
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.request import Aspect

Aspects = tuple[Aspect, ...]
WORDS_IN_FIGURES = 0.2  # share of letters that are in pictures, from which on without them the words are not kept


def document_options(
    case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob, kept_pages: KeptPages
) -> list[ConversionOption]:
    """Return every option; ``kept_pages``: the pages that a selection kept."""
    pages = [kept_pages.get(part.index, wanted) for part, wanted in zip(bundle.parts, bundle.pages, strict=True)]
    scanned = sum(page.scanned for some in pages for page in some)
    seen = sum(needs_rendering(page) for some in pages for page in some)
    every = sum(len(some) for some in pages)
    wanted = sum(len(some) for some in bundle.pages)
    figures = sum(bool(page.figures) and not page.scanned for some in pages for page in some)
    readers = conversions.get("read", [])

    def way(
        name: str, hands: frozenset[str], *converters: Endpoint | None, aspects: tuple[Aspects, Aspects] | None = None
    ) -> ConversionOption:
        reader, eye = (*converters, None, None)[:2]
        made = make_option(
            case,
            bundle,
            name,
            hands,
            lambda place: _passage(case, bundle.parts[place], name, reader, eye, pages[place]),
            same=lambda place: page_numbers(pages[place]),
            aspects=aspects,
        )
        return without_words(made, bundle) if reader is not None and loses_words(case, bundle, reader) else made

    found: list[ConversionOption] = []
    if bundle.whole and not kept_pages:
        found.append(way("native", frozenset(("document",))))
    if 0 < scanned + figures <= MAX_PAGES_IN_PLAN:
        found += [way("extract", TEXT, reader) for reader in readers]
    if not scanned:
        found.append(way("extract", TEXT, aspects=_wordless(bundle) if _left_in_figures(pages) else None))
        found[-1].penalty += DETAIL_PENALTY if figures else 0.0
    if every <= MAX_PAGES_IN_PLAN:
        found.append(way("render", IMAGE))
    if 0 < seen < every and seen <= MAX_PAGES_IN_PLAN:
        found.append(way("mixed", BOTH))
    if 0 < seen <= MAX_PAGES_IN_PLAN and needs_vision(case.policy.keep, bundle.needs):
        eyes = conversions.get("describe", [])
        found += [way("figured", TEXT, reader, eye) for eye in eyes for reader in (readers[:1] if scanned else [None])]
    for each in found:
        each.left_out = wanted - every
    return found


def _left_in_figures(pages: list[tuple[PageFacts, ...]]) -> bool:
    """Return whether so many letters are in pictures that the text layers do not have the words of the pages."""
    every = [page for some in pages for page in some]
    pictured = sum(page.figure_letters.mid for page in every if page.figures and page.figure_letters.known)
    return pictured > WORDS_IN_FIGURES * (pictured + sum(page.chars for page in every))


def _wordless(bundle: Bundle) -> tuple[Aspects, Aspects]:
    """Return what an extraction keeps and loses that leaves words in pictures."""
    gone = {"words", *(aspect for part in bundle.parts for aspect in lost_aspects("extract", part))}
    return (), tuple(aspect for aspect in ASPECTS_OF_KIND["document"] if aspect in gone)


def needs_rendering(page: PageFacts) -> bool:
    """Return whether a picture of this page says more than its text."""
    return page.scanned or bool(page.figures) or page.figure_share >= FIGURE_PAGE


def _passage(
    case: PlanningCase,
    part: PartFacts,
    name: str,
    reader: Endpoint | None,
    eye: Endpoint | None,
    pages: tuple[PageFacts, ...],
) -> PartConversion:
    if name == "native":
        return PartConversion(leaves=pages)
    if name == "render":
        return PartConversion(
            pieces=(conversion_steps.render(case, part, pages, shown=True),),
            pictures=tuple(map(conversion_steps.page_pixels, pages)),
        )
    texts = tuple(page for page in pages if not page.scanned)
    scans = tuple(page for page in pages if page.scanned)
    found: list[ConversionStep] = [conversion_steps.extract(case, part, texts)] if texts else []
    blocks = len(texts)
    if name == "mixed":
        seen = tuple(page for page in pages if needs_rendering(page))
        found.append(conversion_steps.render(case, part, seen, shown=True))
        return PartConversion(
            pieces=tuple(found), pictures=tuple(map(conversion_steps.page_pixels, seen)), blocks=blocks
        )
    if scans and reader is not None:
        found.append(conversion_steps.render(case, part, scans, shown=False))
        found.append(conversion_steps.read_pages(case, part, scans, reader, case.rates(reader), len(found) - 1))
        blocks += len(scans)
    pictured = tuple(page for page in texts if page.figures)
    if name == "extract" and pictured and reader is not None:
        found.append(conversion_steps.render_figures(case, part, pictured))
        found.append(conversion_steps.read_figures(case, part, pictured, reader, len(found) - 1))
        blocks += sum(len(page.figures) for page in pictured)
    if eye is not None:
        seen = tuple(page for page in pages if needs_rendering(page))
        if seen:
            found += _described(case, part, eye, seen, found)
            blocks += len(seen)
    return PartConversion(pieces=tuple(found), blocks=blocks)


def _described(
    case: PlanningCase, part: PartFacts, eye: Endpoint, seen: tuple[PageFacts, ...], before: list[ConversionStep]
) -> list[ConversionStep]:
    """Return the steps that render pages, unless a reader had just these rendered, and describe them."""
    drawn = next((place for place, p in enumerate(before) if p.op == "render" and p.pages == page_numbers(seen)), None)
    made: list[ConversionStep] = [] if drawn is not None else [conversion_steps.render(case, part, seen, shown=False)]
    look = conversion_steps.VisualInput(
        title=conversion_steps.pages_title(page_numbers(seen)),
        pictures=tuple(map(conversion_steps.page_pixels, seen)),
        pages=page_numbers(seen),
        of=len(before) if drawn is None else drawn,
    )
    made.append(conversion_steps.describe(case, part, eye, look))
    return made
