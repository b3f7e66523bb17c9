"""Questions about files with what each needs. None of them is an example.

questions_held_out.txt was written beside the first examples, questions_later.txt in four sets after that; it says what
each of them measured before its failures were looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from intermodal.plans.facts import Medium, MediumNeeds

HELD_OUT = Path(__file__).with_name("questions_held_out.txt")
LATER = Path(__file__).with_name("questions_later.txt")
_MEDIA: dict[str, Medium] = {
    "photo": "photo", "chart": "photo", "screenshot": "page", "scan": "page", "recording": "audio", "music": "audio",
    "film": "video", "pdf": "document", "scanned-pdf": "document", "table": "document", "pictures": "photo",
}  # fmt: skip
_EACH = re.compile(r"(\w+)=(.*?)(?=\s\w+=|$)")
_OPEN = re.compile(r"\((.*)\)")


class Pair(Struct, frozen=True):
    """A question, one medium it is asked of, and what it needs of that; ``either``: what it may be said to need."""

    language: str
    file: str
    medium: Medium
    needs: frozenset[str]
    either: frozenset[str]
    question: str

    def right(self, told: MediumNeeds) -> bool:
        """Whether just what is needed was told, and nothing was left open that it needs."""
        needed = {need.aspect for need in told.needed}
        return self.needs <= needed and needed <= self.needs | self.either

    def wrong(self, told: MediumNeeds) -> bool:
        """Whether something it needs was neither told nor left open, or something was told that it does not need."""
        return bool(self.missed(told)) or not {need.aspect for need in told.needed} <= self.needs | self.either

    def missed(self, told: MediumNeeds) -> frozenset[str]:
        """What it needs that was neither told nor left open."""
        return self.needs - {need.aspect for need in (*told.needed, *told.unsure)}


def pairs(text: str) -> Iterator[Pair]:
    """Every pair of a file; of several files one for each medium."""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        language, file, needs, question = (field.strip() for field in line.split("|", 3))
        for medium, said in _by_medium(file, needs):
            found = _OPEN.search(said)
            either = frozenset(found[1].split()) if found else frozenset()
            yield Pair(language, file, medium, frozenset(_OPEN.sub("", said).split()), either, question)


def _by_medium(file: str, needs: str) -> Iterator[tuple[Medium, str]]:
    if "+" in file:
        yield from _EACH.findall(needs)
        return
    yield _MEDIA[file], needs.replace("comparison", "")
    if file == "pictures":
        yield "pictures", "comparison" if "comparison" in needs else ""
