"""Questions about files with what each needs. None of them is an example, but for one file.

questions_held_out.txt was written beside the first examples, questions_later.txt in four sets after that; it says what
each of them measured before its failures were looked at. questions_outside.txt, by somebody who had not read the
examples, says what suffices, words or more. questions_frozen.txt was written before any answer to it was seen, and is
in the form of scripts/question_examples.txt, whose questions are the examples. So is questions_everyday.txt, which has
more sorts of files, and questions about a file itself; and questions_blind.txt and questions_blind_second.txt, each by
somebody who knew neither the examples nor the method.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

from msgspec import Struct

from intermodal.core.request import Aspect
from intermodal.plans.facts import Medium, MediumNeeds, QuestionFacts, needs_looks
from intermodal.questions.needs_regression import BEYOND, BEYOND_WORDS

HELD_OUT = Path(__file__).with_name("questions_held_out.txt")
LATER = Path(__file__).with_name("questions_later.txt")
OUTSIDE = Path(__file__).with_name("questions_outside.txt")
FITTED = Path(__file__).parents[2] / "scripts" / "question_examples.txt"
FROZEN = Path(__file__).with_name("questions_frozen.txt")
EVERYDAY = Path(__file__).with_name("questions_everyday.txt")
BLIND = Path(__file__).with_name("questions_blind.txt")
BLIND_SECOND = Path(__file__).with_name("questions_blind_second.txt")
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


# ---- whether words suffice -------------------------------------------------------------------------------

_SHOWN: dict[str, tuple[Medium, ...]] = {  # a chart and a receipt have so many letters that they are pages
    "photo": ("photo",), "pictures": ("photo", "pictures"), "chart": ("page",), "receipt": ("page",),
    "receipts": ("page", "pictures"), "screenshot": ("page",), "recording": ("audio",), "film": ("video",),
    "pdf": ("document",),
}  # fmt: skip
_BEYOND: frozenset[Aspect] = BEYOND_WORDS | {"layout"}
Suffices = Literal["words", "more", "open"]


class Asked(Struct, frozen=True):
    """A question, the sort of file it is asked of, and what suffices for an answer."""

    language: str
    file: str
    suffices: Suffices
    question: str

    def told(self, facts: QuestionFacts) -> Suffices:
        """What suffices by the needs that were told, as a verdict is made of them."""
        found = [_suffices(facts.needs_of(medium)) for medium in _SHOWN[self.file]]
        return "more" if "more" in found else "open" if "open" in found else "words"


def _suffices(needs: MediumNeeds) -> Suffices:
    beyond = {"comparison"} if needs.medium == "pictures" else _BEYOND
    needed = {need.aspect for need in needs.needed}
    if needed & beyond:
        return "more"
    if beyond & {need.aspect for need in needs.unsure}:
        return "open"
    if needed or needs.properties is not None or needs.medium in ("page", "document", "pictures"):
        return "words"
    return "more" if needs.medium == "photo" else "open"


def asked_outside() -> Iterator[Asked]:
    """The questions of questions_outside.txt."""
    for line in OUTSIDE.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            language, file, suffices, question = (field.strip() for field in line.split("|", 3))
            yield Asked(language, file, cast("Suffices", suffices), question)


# ---- in the manner of people -----------------------------------------------------------------------------

_TRADES: dict[str, tuple[Medium, ...]] = {
    **_SHOWN, "scan": ("page",), "scanned-pdf": ("document",), "mail": (),
    "music": ("audio",), "table": ("document",), "drawing": ("photo",), "map": ("photo",), "qr": ("photo",),
    "handwriting": ("page",), "slides": ("document",), "call": ("audio",), "meeting": ("audio",),
    "podcast": ("audio",), "silence": ("audio",), "screencast": ("video",), "lecture": ("video",),
    "animation": ("video",),
}  # fmt: skip
_PICTURES: frozenset[Medium] = frozenset(("photo", "page"))
_ALSO: dict[str, tuple[Medium, ...]] = {"chart": ("photo",)}  # what a chart with few letters is looked at as


class Part(Struct, frozen=True):
    """What a question needs of one medium."""

    medium: Medium
    needs: frozenset[str]


class Trade(Struct, frozen=True):
    """A question in the manner of a person about one file or several, with what it needs of each."""

    person: str
    file: str
    parts: tuple[Part, ...]
    question: str

    @property
    def suffices(self) -> Suffices:
        return "more" if any(part.needs & BEYOND[part.medium] for part in self.parts) else "words"

    def told(self, facts: QuestionFacts) -> Suffices:
        """What suffices by the needs that were told of its files. A mail has nothing but words."""
        files = self.file.split("+")
        media = dict.fromkeys(medium for file in files for medium in _TRADES[file])
        if sum(not _PICTURES.isdisjoint(_TRADES[file]) for file in files) > 1:
            media["pictures"] = None
        found = [_suffices(facts.needs_of(medium)) for medium in media]
        if set(files) == {"table"}:  # an office file, of which the text is read
            return "more" if needs_looks(facts) else "words"
        return "more" if "more" in found else "open" if "open" in found else "words"


def of_trades(path: Path) -> Iterator[Trade]:
    """The questions of a file in the form of scripts/question_examples.txt."""
    person = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# "):
            person = line[2:]
        elif line:
            file, needs, question = (field.strip() for field in line.split("|", 2))
            yield Trade(person, file, tuple(_parts(file, _OPEN.sub("", needs))), question)


def _parts(file: str, needs: str) -> Iterator[Part]:
    if "+" in file:
        for medium, said in re.findall(r"(\w+)=([^=]*?)(?=\s*\w+=|$)", needs):
            yield Part(medium, frozenset(said.split()))
        return
    for medium in (*_TRADES[file], *_ALSO.get(file, ())):
        some = {"comparison"} & set(needs.split()) if medium == "pictures" else set(needs.split()) - {"comparison"}
        yield Part(medium, frozenset(some))
