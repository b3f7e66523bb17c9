"""Whether the text layer of a page is what a reader sees on it.

A layer may hold no words though it has letters: its font maps them to none, or to wrong ones; or it lies invisibly
over a picture, as left by an earlier text recognition. Such a page has to be rendered or read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import pypdfium2.raw as raw

from intermodal.plans.facts import PageFacts

NO_MAP = "its font does not say which letters they are"
NO_WORDS = "its letters make no words"
MISREAD = "it lies invisibly over a picture and does not fit what is seen there"

_ASKED = 50  # characters of a page that are asked for
_UNMAPPED = 0.2  # share of them without a letter
_LOOKED_AT = 1_200  # characters of a page whose pairs of letters are counted
_FEWEST_PAIRS = 60
_FEWEST_CHARS = 40
_ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffd\ue000-\uf8ff]")
_SIGNS = re.compile(r"[^\w\s.,;:!?()'\"/%&+*=€$£§°\u2010-\u2026·•|_-]")
_MOST_SIGNS = 0.25  # share of a page's characters; source code has up to 0.15
_INTO_FIGURE, _INTO_LETTER = re.compile(r"[^\W\d_]\d"), re.compile(r"\d[^\W\d_]")
_MOST_MIXED = 0.05  # share of words with figures among their letters, of a reading that went well
_FIT = (0.5, 1.7)  # letters of the layer to those counted on the picture, within which they are the same

# Pairs of letters that are frequent in languages of Latin script. Their share of all pairs was 0.46 (Polish) to 0.78
# (Spanish) in ten languages, and 0.60 to 0.77 in lists of names, in capitals and in source code; 0.10 to 0.31 for
# letters moved through the alphabet (0.42 in one case of 100), 0.36 at most in 300 permutations, 0.17 in what chance
# wrote.
_FREQUENT = (
    "an ar as at al am ac ad ap ca ce ch co da de di do ea ed ei el em en er es et ge ha he ho ic ie il in io is it ka "
    "la le li ll lo ma me mi na nd ne ng ni no nt on or os ou pa pe pl po pr qu ra re ri ro sa se si so ss st ta te th "
    "ti to tr un ur us ut ve za zi ol ul ir ag ig ek ak ki"
)
_PAIRS = frozenset(_FREQUENT.split())
_FEWEST_FREQUENT = 0.36


def layer_notes(pages: Sequence[PageFacts]) -> tuple[str, ...]:
    """Which text layers are not taken for what is on their pages, and which are taken unseen."""
    doubted: dict[str, list[int]] = {}
    for page in pages:
        if page.doubt:
            doubted.setdefault(page.doubt, []).append(page.number)
    found = [f"the text layer of {_listed(numbers)} is not taken: {why}" for why, numbers in doubted.items()]
    hidden = [page.number for page in pages if page.hidden and not page.doubt]
    if hidden:
        found.append(f"the words of {_listed(hidden)} are what an earlier reading of their pictures left")
    return tuple(found)


def _listed(numbers: list[int]) -> str:
    """Pages by number, at most five of them.

    >>> _listed([4]), _listed([1, 2, 3, 4, 5, 6, 7])
    ('page 4', 'pages 1, 2, 3, 4, 5 and 2 more')
    """
    shown = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"page{'s' * (len(numbers) > 1)} {shown}{more}"


def layer_problem(textpage: Any) -> str:
    """Why the words of a layer are none, "" where they may be. ``textpage``: pdfium's, with its control characters."""
    words = textpage.get_text_range()
    written = len("".join(words.split()))
    if written < _FEWEST_CHARS:
        return ""
    if len(_ODD.findall(words)) > _UNMAPPED * written:
        return NO_MAP
    if _unmapped(textpage) > _UNMAPPED and not (words.isascii() and (_frequent(words) or 0.0) >= _FEWEST_FREQUENT):
        return NO_MAP  # old fonts of TeX have no map either, but their codes are the letters
    return "" if has_words(words) else NO_WORDS


def has_words(words: str) -> bool:
    """Whether letters may be words of some language: frequent pairs in those of Latin script, few signs in all.

    >>> text = "The committee has discussed the harbour and its bridges, and what they cost every year. "
    >>> shifted = "Wkh frpplwwhh kdv glvfxvvhg wkh kduerxu dqg lwv eulgjhv, dqg zkdw wkhb frvw hyhub bhdu. "
    >>> has_words(2 * text), has_words(2 * shifted)
    (True, False)
    """
    some = words[:_LOOKED_AT]
    written = len("".join(some.split()))
    if written >= _FEWEST_CHARS and len(_SIGNS.findall(some)) > _MOST_SIGNS * written:
        return False
    share = _frequent(some)
    return share is None or share >= _FEWEST_FREQUENT


def _frequent(words: str) -> float | None:
    """Share of frequent pairs among the pairs of Latin letters, None where there are too few to tell."""
    letters = unicodedata.normalize("NFKD", words[:_LOOKED_AT].lower()).encode("ascii", "ignore").decode()
    pairs = [run[at : at + 2] for run in re.findall("[a-z]{2,}", letters) for at in range(len(run) - 1)]
    return sum(pair in _PAIRS for pair in pairs) / len(pairs) if len(pairs) >= _FEWEST_PAIRS else None


def matches_picture(words: str, seen: float) -> bool:
    """Whether an invisible layer may be what a picture shows: as many letters as were counted there, and words."""
    written = len("".join(words.split()))
    parts = words.split()
    mixed = sum(bool(_INTO_FIGURE.search(part) and _INTO_LETTER.search(part)) for part in parts)
    return has_words(words) and mixed <= _MOST_MIXED * len(parts) and _FIT[0] <= written / max(1.0, seen) <= _FIT[1]


def is_invisible(page: Any) -> bool:
    """Whether most text of a page is drawn invisibly, in the page itself or in a form on it."""
    seen = hidden = 0
    for thing in _texts(page.raw):
        seen += 1
        hidden += raw.FPDFTextObj_GetTextRenderMode(thing) == raw.FPDF_TEXTRENDERMODE_INVISIBLE
        if seen >= 500:
            break
    return hidden * 2 > seen


def _texts(page: Any) -> Any:
    for index in range(raw.FPDFPage_CountObjects(page)):
        thing = raw.FPDFPage_GetObject(page, index)
        kind = raw.FPDFPageObj_GetType(thing)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            yield thing
        elif kind == raw.FPDF_PAGEOBJ_FORM:
            for inner in range(max(0, raw.FPDFFormObj_CountObjects(thing))):
                held = raw.FPDFFormObj_GetObject(thing, inner)
                if raw.FPDFPageObj_GetType(held) == raw.FPDF_PAGEOBJ_TEXT:
                    yield held


def _unmapped(textpage: Any) -> float:
    """Share of a page's characters, asked here and there, for which the font has no letter."""
    count = textpage.count_chars()
    asked = range(0, count, max(1, count // _ASKED))
    unmapped = sum(raw.FPDFText_HasUnicodeMapError(textpage.raw, at) == 1 for at in asked)
    return float(unmapped) / max(1, len(asked))
