"""Scripts and earlier readings that make a converter lose the words of a part."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from intermodal.catalog.types import Endpoint
from intermodal.planner.conversion.conversion_outcomes import confidence_text, portion_read_before, transcribed_portion
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.facts import UNKNOWN_SCRIPT, PageFacts, PartFacts
from intermodal.plans.step import Call, Step
from intermodal.plans.verdict import joined_names

MOST = 0.5  # minimum share of a document's letters in unsupported scripts for its words to count as lost


def reader_script(
    case: PlanningCase, part: PartFacts, reader: Endpoint, pages: Iterable[PageFacts] = ()
) -> tuple[str, str]:
    """Return the script to pass to a reader, and the engine for that script; ("", "") if none."""
    found = {page.script for page in pages} or {part.script}
    script = found.pop() if len(found) == 1 else ""
    reader_name = case.facts.scripts.read.get(script, "") if case.facts.scripts is not None else ""
    return (script, reader_name) if reader_name and reader.host.zone == "process" else ("", "")


def unreadable_scripts(case: PlanningCase, part: PartFacts) -> tuple[str, ...]:
    """Return the scripts of most of a part's words that no local reader supports."""
    if not part.pages:
        return (part.script,) if case.is_unreadable(part.script) else ()
    missing = _unread_pages(case, part)
    if not missing:
        return ()
    letters = {page.number: page.letters.mid if page.scanned else float(page.chars) for page in part.pages}
    if sum(letters[page.number] for page in missing) < MOST * sum(letters.values()):
        return ()
    return tuple(dict.fromkeys(page.script for page in missing))


def loses_words(case: PlanningCase, bundle: Bundle, reader: Endpoint) -> bool:
    """Return whether a reader or transcriber keeps few words of some part. False for remote ones, which are unknown."""
    if bundle.kind in ("audio", "video"):
        return any(each.amount == "few" for part in bundle.parts for each in transcribed_portion(case, part, reader))
    return reader.host.zone == "process" and any(
        unreadable_scripts(case, part) or earlier_doubt(part) for part in bundle.parts
    )


def earlier_doubt(part: PartFacts) -> str:
    """Return that an earlier reading had little confidence in a part, as text; "" otherwise."""
    portion = portion_read_before(part)
    return confidence_text(portion) if portion is not None and portion.amount == "few" else ""


def unreadable_reason(case: PlanningCase, parts: Collection[PartFacts]) -> str:
    """Return why the words of parts cannot be read here, and the fix; "" if they can."""
    scripts_of_part = {part.name: unreadable_scripts(case, part) for part in parts}
    unreadable = {name: scripts for name, scripts in scripts_of_part.items() if scripts}
    if not unreadable:
        return next(filter(None, map(earlier_doubt, parts)), "")
    return _script_reason(
        case, tuple(dict.fromkeys(script for scripts_of_one in unreadable.values() for script in scripts_of_one))
    )


def _script_reason(case: PlanningCase, scripts: Collection[str]) -> str:
    """Return why words in these scripts cannot be read here, and the fix."""
    looks = [script for script in scripts if script != UNKNOWN_SCRIPT]
    why = (
        f"letters look {joined_names(looks)}, which nothing here reads"
        if looks
        else "an earlier reading lacked most of them"
    )
    script_facts = case.facts.scripts
    todo = (
        [script_facts.todo[script] for script in scripts if script in script_facts.todo]
        if script_facts is not None
        else []
    )
    return "; ".join((why, *todo))


def _unread_pages(case: PlanningCase, part: PartFacts) -> list[PageFacts]:
    return [page for page in part.pages if page.scanned and case.is_unreadable(page.script)]


def unread_page_notes(case: PlanningCase, steps: Iterable[Step]) -> list[str]:
    """Return the notes on documents that are kept although some of their scanned pages cannot be read here."""
    read = {step.part for step in steps if isinstance(step, Call) and step.op == "read" and "words" in step.keeps}
    found = []
    for part in case.facts.parts:
        pages = _unread_pages(case, part) if part.index in read else []
        if pages:
            scripts = tuple(dict.fromkeys(page.script for page in pages))
            page_numbers = joined_names(str(page.number) for page in pages[:5])
            where = f"page{'s' * (len(pages) > 1)} {page_numbers}{' and more' * (len(pages) > 5)}"
            found.append(f"loses the words of {where} of {part.name}: {_script_reason(case, scripts)}")
    return found
