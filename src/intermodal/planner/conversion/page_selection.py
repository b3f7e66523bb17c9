"""Page selection: if documents exceed the context, keep the pages most relevant to the question, and note it."""

from __future__ import annotations

import math

from msgspec import Struct

from intermodal.cost_model.levels import HIGH
from intermodal.cost_model.token_rules import TokenRules
from intermodal.cost_model.tokens import BLOCK
from intermodal.planner.conversion.conversion_option import ConversionOption, ConvertersByJob, KeptPages
from intermodal.planner.conversion.conversion_options import conversion_options
from intermodal.planner.conversion.conversion_steps import layer_tokens, scanned_tokens
from intermodal.planner.conversion.page_relevance import page_scores, select_pages
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase, question_words
from intermodal.planner.route_estimates.assignment import Assignment, assign
from intermodal.planner.route_estimates.call_demand import DEFAULT_ANSWER
from intermodal.plans.facts import PageFacts

_SELECTABLE = ("extract", "mixed")  # options that convert pages to text


def with_fewer_pages(
    case: PlanningCase, assignment: Assignment, token_rules: TokenRules, conversions: ConvertersByJob,
    context: float, tokens: float, cap: float,
) -> Assignment | None:  # fmt: skip
    """Return the same options over fewer pages; None if that cannot help.

    Args:
        context: context length of the endpoint. tokens: high estimate of the current input. cap: room for the answer.
    """
    if case.job != "generate" or context == math.inf:
        return None
    places = _selectable(case, assignment.options)
    if not places:
        return None
    of_documents = sum([assignment.options[place].text[HIGH] for place in places])
    # Try to leave room for a full answer first; a selection with minimum room is still better than a rejection.
    has_stated_limit = case.request.sampling.max_tokens is not None and not case.tight
    full = cap if has_stated_limit else min(DEFAULT_ANSWER[case.output], context // 4)
    for answer in sorted({max(cap, full), cap}, reverse=True):
        budget = math.floor((context - answer - (tokens - of_documents)) / 32) * 32
        key = ("selected", assignment.options, token_rules, budget)
        if key not in case.assignments:
            case.assignments[key] = _select(case, assignment, token_rules, conversions, places, budget)
        found = case.assignments[key]
        if isinstance(found, Assignment):
            return found
    return None


def _selectable(case: PlanningCase, options: tuple[ConversionOption, ...]) -> tuple[int, ...]:
    """Return the indexes of bundles whose options convert selectable pages to text."""
    found = case.assignments.get(("places", options))
    if not isinstance(found, tuple):
        found = case.assignments["places", options] = tuple(
            place
            for place, (bundle, option) in enumerate(zip(case.bundles, options, strict=True))
            if bundle.kind == "document"
            and option.name in _SELECTABLE
            and any(len(pages) > 1 for pages in bundle.pages)
        )
    return found


class PagePool(Struct, eq=False):
    """All selectable pages: part index and page, tokens, relevance; and the tokens of the smallest selection."""

    pages: list[tuple[int, PageFacts]]
    sizes: list[float]
    worth: list[float]
    least: float


def _pool(case: PlanningCase, places: tuple[int, ...]) -> PagePool:
    key = ("pool", *places)
    found = case.assignments.get(key)
    if not isinstance(found, PagePool):
        found = PagePool([], [], [], 0.0)
        for place in places:
            bundle = case.bundles[place]
            for part, pages in zip(bundle.parts, bundle.pages, strict=True):
                worth = _page_relevance(case, part.index, pages)
                sizes = [_high_page_tokens(case, page) for page in pages]
                found.pages += [(part.index, page) for page in pages]
                found.sizes += sizes
                found.worth += worth
                found.least += sizes[worth.index(max(worth))] if sizes else 0.0
        case.assignments[key] = found
    return found


def _select(
    case: PlanningCase,
    assignment: Assignment,
    token_rules: TokenRules,
    conversions: ConvertersByJob,
    places: tuple[int, ...],
    budget: float,
) -> Assignment | None:
    """Return the assignment over the selected pages; None if no selection is possible or needed.

    Every document keeps its best page, then the best pages of all documents are added within the budget.
    """
    pool = _pool(case, places)
    if budget < pool.least:
        return None
    selected = select_pages(pool.sizes, pool.worth, budget)
    kept_pages: KeptPages = {}
    for position in selected:
        index, page = pool.pages[position]
        kept_pages[index] = (*kept_pages.get(index, ()), page)
    every = all(part.index in kept_pages for place in places for part in case.bundles[place].parts)
    if not every or len(selected) == len(pool.pages):
        return None
    chosen_options: list[ConversionOption] = list(assignment.options)
    for place in places:
        fewer = _same_option(case, case.bundles[place], chosen_options[place], conversions, kept_pages)
        if fewer is None:
            return None
        chosen_options[place] = fewer
    return assign(case, tuple(chosen_options), token_rules)


def _page_relevance(case: PlanningCase, index: int, pages: tuple[PageFacts, ...]) -> list[float]:
    """Return the relevance of each page of a document. Its best page outranks the second page of any other document."""
    found = case.page_worth.get(index)
    if found is None:
        found = page_scores(pages, question_words(case), case.named_pages)
        if found:
            found[found.index(max(found))] += 1e6
        case.page_worth[index] = found
    return found


def _same_option(
    case: PlanningCase, bundle: Bundle, option: ConversionOption, conversions: ConvertersByJob, kept_pages: KeptPages
) -> ConversionOption | None:
    found = [other for other in conversion_options(case, bundle, conversions, kept_pages) if other.name in _SELECTABLE]
    same = [other for other in found if other.name == option.name and set(other.converters) <= set(option.converters)]
    return next(iter(same), None)


def _high_page_tokens(case: PlanningCase, page: PageFacts) -> float:
    """Return the high estimate of a page's tokens, including its label."""
    if not page.scanned:
        return BLOCK[HIGH] + layer_tokens(case, page).high
    return BLOCK[HIGH] + scanned_tokens(case, page, None).high
