"""Words of pictures in a script that a reader does not know, or that it read badly before, and speech that an ear heard
badly: a route through it loses them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from intermodal.catalog.types import Endpoint
from intermodal.planner.bundles import Bundle
from intermodal.planner.conversion.earlier_readings import confidence_text, earlier_portion, heard_portion
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.facts import UNKNOWN_SCRIPT, PageFacts, PartFacts
from intermodal.plans.verdict import joined_names

MOST = 0.5  # share of a document's letters on pages in such a script, from which on its words are not kept


def reader_script(
    case: PlanningCase, part: PartFacts, reader: Endpoint, pages: Iterable[PageFacts] = ()
) -> tuple[str, str]:
    """The script that a reader is told, and who reads it; two "" where there is nothing to tell."""
    found = {page.script for page in pages} or {part.script}
    script = found.pop() if len(found) == 1 else ""
    who = case.facts.scripts.read.get(script, "") if case.facts.scripts is not None else ""
    return (script, who) if who and reader.host.zone == "process" else ("", "")


def unreadable_scripts(case: PlanningCase, part: PartFacts) -> tuple[str, ...]:
    """Scripts in which most of a part's words are, and that the readers of this machine do not know."""
    if not part.pages:
        return (part.script,) if _unknown(case, part.script) else ()
    letters = {page.number: page.letters.mid if page.scanned else float(page.chars) for page in part.pages}
    missing = [page for page in part.pages if page.scanned and _unknown(case, page.script)]
    if not missing or sum(letters[page.number] for page in missing) < MOST * sum(letters.values()):
        return ()
    return tuple(dict.fromkeys(page.script for page in missing))


def loses_words(case: PlanningCase, bundle: Bundle, reader: Endpoint) -> bool:
    """Whether few of the words of some part arrive by a reader, or by an ear. Of those elsewhere nothing is known."""
    if bundle.kind in ("audio", "video"):
        return any(each.amount == "few" for part in bundle.parts for each in heard_portion(case, part, reader))
    return reader.host.zone == "process" and any(
        unreadable_scripts(case, part) or earlier_doubt(part) for part in bundle.parts
    )


def earlier_doubt(part: PartFacts) -> str:
    """That an earlier reading, or hearing, was sure of little of a part, in words; "" where it was of most, or there
    was none."""
    portion = earlier_portion(part)
    return confidence_text(portion) if portion is not None and portion.amount == "few" else ""


def unreadable_reason(case: PlanningCase, parts: Collection[PartFacts]) -> str:
    """That the words of parts cannot be read here, and what to do; "" where they can."""
    found = {part.name: unreadable_scripts(case, part) for part in parts}
    named = {name: scripts for name, scripts in found.items() if scripts}
    if not named:
        return next(filter(None, map(earlier_doubt, parts)), "")
    scripts = list(dict.fromkeys(script for some in named.values() for script in some))
    looks = [script for script in scripts if script != UNKNOWN_SCRIPT]
    why = (
        f"letters look {joined_names(looks)}, which nothing here reads"
        if looks
        else "an earlier reading lacked most of them"
    )
    known = case.facts.scripts
    todo = [known.todo[script] for script in scripts if script in known.todo] if known is not None else []
    return "; ".join((why, *todo))


def _unknown(case: PlanningCase, script: str) -> bool:
    return bool(script) and (case.facts.scripts is None or script not in case.facts.scripts.read)
