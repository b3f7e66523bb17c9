"""What is remembered of pictures whose words could not be read: that, so that the next plan says it at once.

Not what was read of them: the rest waits for a reader. ``readers`` is what read here then (``runtimes/scripts.py``);
when more can be read, it is a miss.
"""

from __future__ import annotations

from msgspec.structs import replace

from intermodal.plans.facts import ANOTHER, Facts, PartFacts
from intermodal.store.derived import DerivedCache, Kept, Origin, key_of

MOST_LOOKED = 100  # scanned pages of a document for which is looked


def remember(cache: DerivedCache, part: PartFacts, page: int, readers: str, *, by: str) -> None:
    """Keep that most words of a picture, or of a page, could not be read. ``by``: the endpoint that tried."""
    cache.put(_key(part, page, readers), Kept(name=part.name, op="script", maker=by))


def recalled(facts: Facts, cache: DerivedCache, readers: str) -> Facts:
    """The facts with what earlier readings found of the same bytes."""
    parts = tuple(_recalled(part, cache, readers) for part in facts.parts)
    return facts if parts == facts.parts else replace(facts, parts=parts)


def _recalled(part: PartFacts, cache: DerivedCache, readers: str) -> PartFacts:
    if part.kind == "image":
        unread = not part.script and cache.look(_key(part, 0, readers)) is not None
        return replace(part, script=ANOTHER) if unread else part
    scans = [page.number for page in part.pages if page.scanned and not page.script][:MOST_LOOKED]
    missing = {number for number in scans if cache.look(_key(part, number, readers)) is not None}
    if not missing:
        return part
    pages = (replace(page, script=ANOTHER) if page.number in missing else page for page in part.pages)
    return replace(part, pages=tuple(pages))


def _key(part: PartFacts, page: int, readers: str) -> str:
    return key_of((Origin(digest=part.digest),), "script", (("page", str(page)),), readers)
