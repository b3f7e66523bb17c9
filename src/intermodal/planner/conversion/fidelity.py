"""Fidelity: which aspects of its media a request seems to need, and which of them each conversion option keeps.

Stated aspects (``Policy.keep``) reject. Inferred ones that the question cannot be answered without come before money
and time: a route that loses one is taken only where no route within the limits keeps it. The others have a small
price. Every loss is reported.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import cache

from intermodal.content import Kind
from intermodal.plans.facts import Medium, MediumNeeds, PartFacts, QuestionFacts
from intermodal.request import ASPECTS, Aspect

# The price of losing what the answer depends on: no money and no seconds make up for it. An answer about a colour from
# the text read in a photo is worth nothing, however quick; and the seconds are often a guess.
MUST_KEEP = math.inf
FACT_PENALTY = 0.001  # USD for losing what facts about the media suggest is needed
DETAIL_PENALTY = 0.04  # USD for losing detail where the rest is kept: small print, scenes of a film
UNSURE_PENALTY = 0.04  # USD for losing what the question may need, times that need's score

ASPECTS_OF_KIND: dict[Kind, tuple[Aspect, ...]] = {  # the aspects that each kind has
    "text": ("words",),
    "image": ("words", "layout", "appearance", "figures"),
    "audio": ("words", "speakers", "tone", "timing"),
    "video": tuple(aspect for aspect in ASPECTS if aspect != "comparison"),
    "document": ("words", "layout", "appearance", "figures"),
}
KEPT_BY_OPTION: dict[str, dict[Kind, tuple[Aspect, ...]]] = {  # option -> kind -> what it keeps
    "transcribe": {"audio": ("words", "timing")},
    "read": {"image": ("words",), "document": ("words",)},
    "describe": {"image": ("appearance", "figures")},
    "both": {"image": ("words", "appearance", "figures")},
    "extract": {"document": ("words",)},
    "mixed": {"document": ("words", "appearance", "figures")},
    "figured": {"document": ("words", "appearance", "figures")},
    "properties": {"image": (), "audio": (), "video": (), "document": ()},
}
KEPT_BY_STEP: dict[str, tuple[Aspect, ...]] = {  # the aspects that one step keeps, where several make up an option
    "transcribe": ("words", "timing"), "read": ("words",), "describe": ("appearance", "figures"),
    "extract": ("words",), "frames": ("appearance", "layout", "figures"), "demux": ("words", "speakers", "tone"),
    "subtitles": ("words", "timing"),
}  # fmt: skip
LOST_BY_STEP: dict[str, tuple[Aspect, ...]] = {  # and which of the losses are its own
    "transcribe": ("speakers", "tone"), "subtitles": ("speakers", "tone"),
    "read": ("layout", "appearance", "figures", "motion"),
    "describe": ("words", "layout", "motion"), "extract": ("layout", "appearance", "figures"), "frames": ("motion",),
}  # fmt: skip
READ_BY_MODEL_ALONE: dict[Kind, tuple[str, ...]] = {  # options in which the last model alone reads the words
    "image": ("native", "resized", "frames"), "document": ("render",),
}  # fmt: skip
VISUAL_ASPECTS: frozenset[Aspect] = frozenset(("appearance", "figures", "motion"))  # aspects that text does not carry
UNCONVERTED_OPTIONS = ("native", "resized", "frames", "read_along")  # options that keep the kind of the part
WORD_OPTIONS = ("read", "describe", "both", "properties")  # options after which several pictures cannot be compared

FIGURE_PAGE = 0.1  # share of a page under pictures or drawings, from which on it is worth being seen
FIGURE_SHARE = 0.3  # of a page covered by pictures or drawings, from which on they may be its subject ...
FIGURE_CHARS = 400  # ... when it has fewer characters than this
WRITTEN = 40.0  # letters found in a picture that count as writing; photographs without writing show up to 30
DENSE = 0.12  # share of a picture's area that is text, from which on its words matter most
SPARSE = 0.04  # below it, the rest is
LAID_OUT = 60.0  # letters from which on a picture of text has a layout: a button has 12, two lines 50, five 110
FULL = 200.0  # letters from which on a picture is a page, however far its lines are apart: a receipt has over 300


def medium_of(part: PartFacts) -> Medium:
    """Return the medium under which a question asks about this part.

    A picture that was not sampled is an image; text has only words, and is treated like a document.
    """
    if part.kind == "image" and part.text_density.known:
        return "page" if is_page(part) else "photo"
    return "document" if part.kind == "text" else part.kind


def is_page(part: PartFacts) -> bool:
    """Return whether a picture is full of text, by area or by letters."""
    return part.text_density.known and (
        part.text_density.mid >= DENSE or (part.letters.known and part.letters.mid >= FULL)
    )


def aspects_needed(
    part: PartFacts, question_facts: QuestionFacts, keep: Collection[Aspect] = (), *, shows: bool = False,
    compared: bool = False,
) -> dict[Aspect, float]:  # fmt: skip
    """Return the aspects this part is probably needed for, and the price of losing each.

    ``keep``: aspects somebody stated. Where a part has one of those, what its medium suggests is a suggestion only: of
    a photo whose words are to be kept, the words are wanted.
    ``shows``: what it shows is needed, whatever the question is. ``compared``: it is one of several pictures, so a
    question about what they show may be about all of them together.
    """
    if part.kind in question_facts.words_alone and not keep:
        return {"words": MUST_KEEP}
    there = ASPECTS_OF_KIND[part.kind] if part.frames <= 1 else (*ASPECTS_OF_KIND[part.kind], "motion")
    medium_needs = question_facts.of(medium_of(part))
    question: set[Aspect] = {need.aspect for need in medium_needs.needed}
    if shows:
        question.add("appearance")
    needs: dict[Aspect, float] = {aspect: MUST_KEEP for aspect in there if aspect in question}
    needs |= _uncertain_needs(medium_needs, there, needs)
    if medium_needs.properties_alone and not shows:
        return needs
    # What the question does not state follows from the medium.
    open_ = not set(keep) & set(there) and (
        not (question_facts.by and medium_needs.needed) or bool(medium_needs.unsure)
    )
    looks = MUST_KEEP in map(needs.get, VISUAL_ASPECTS)
    for aspect in _suggested_aspects(part):
        # A question that is not about appearance is about the text, if there is any: nothing else is left.
        plain = open_ and aspect == "words" and part.kind in ("image", "document") and not looks
        # And a question that is not about text is about a picture's appearance, unless the picture is a page of text.
        shown = open_ and aspect == "appearance" and part.kind == "image" and "words" not in question
        if plain or shown:
            needs[aspect] = MUST_KEEP
        elif not _is_unsampled(part):
            needs.setdefault(aspect, FACT_PENALTY)
    if figure_pages(part):
        needs["figures"] = MUST_KEEP
    if compared and part.kind == "image":
        needs |= _comparison_needs(question_facts, MUST_KEEP in map(needs.get, VISUAL_ASPECTS))
    return needs


def _uncertain_needs(
    medium_needs: MediumNeeds, there: Collection[Aspect], needs: Mapping[Aspect, float]
) -> dict[Aspect, float]:
    """Return the prices of aspects the question may need besides."""
    return {
        need.aspect: UNSURE_PENALTY * need.score
        for need in medium_needs.unsure
        if need.aspect in there and need.aspect not in needs
    }


def _comparison_needs(question: QuestionFacts, looked_at: bool) -> dict[Aspect, float]:
    """Return whether a picture has to be seen beside the others.

    Keywords do not decide it: where only keywords were examined, a visual question may be about all pictures.
    """
    if not question.by:
        return {"comparison": MUST_KEEP} if looked_at else {}
    picture_needs = question.of("pictures")
    needed: dict[Aspect, float] = {need.aspect: MUST_KEEP for need in picture_needs.needed}
    return _uncertain_needs(picture_needs, ASPECTS, {}) | needed


def _is_unsampled(part: PartFacts) -> bool:
    """Return whether a picture was not sampled: its facts suggest nothing, so only the question decides."""
    return part.kind == "image" and not part.text_density.known


def pages_with_figures(part: PartFacts) -> tuple[int, ...]:
    """Return the pages with drawings or pictures beside their text; scans are not among them."""
    return tuple(page.number for page in part.pages if page.figure_share >= FIGURE_PAGE and not page.pictured)


def figure_pages(part: PartFacts) -> tuple[int, ...]:
    """Return the pages whose words do not carry their content: much drawing or picture, little text, and no scan.

    The content of a scan is its text.
    """
    return tuple(
        page.number
        for page in part.pages
        if page.figure_share >= FIGURE_SHARE and page.chars < FIGURE_CHARS and not page.pictured
    )


def needs_vision(stated: tuple[Aspect, ...], needs: Mapping[Aspect, float]) -> bool:
    """Return whether something is needed that only a vision model can give."""
    return any(aspect in VISUAL_ASPECTS for aspect in (*stated, *needs))


KeptAndLost = tuple[tuple[Aspect, ...], tuple[Aspect, ...]]


def transcript_fidelity(part: PartFacts, *, timed: bool) -> KeptAndLost:
    """Return what a transcript of a recording keeps and loses.

    Times are kept where they are needed; speakers where each has a channel, as channels are transcribed apart.
    """
    keeps: set[Aspect] = {"words"}
    if timed:
        keeps.add("timing")
    if transcribed_channels(part) > 1:
        keeps.add("speakers")
    return tuple(a for a in ASPECTS_OF_KIND["audio"] if a in keeps), tuple(
        a for a in ASPECTS_OF_KIND["audio"] if a not in keeps
    )


def in_aspect_order(aspects: Collection[str]) -> tuple[Aspect, ...]:
    """Return aspects in their canonical order."""
    return tuple([aspect for aspect in ASPECTS if aspect in aspects]) if aspects else ()


def transcribed_channels(part: PartFacts) -> int:
    """Return how many channels are transcribed, each in a call of its own: two where each has a voice of its own."""
    return 2 if part.separate_channels else 1


def needs_timestamps(stated: Collection[Aspect], needs: Collection[Aspect]) -> bool:
    """Return whether each line of speech is to keep its time."""
    return "timing" in stated or "timing" in needs


def shows_no_writing(part: PartFacts) -> bool:
    """Return whether no sampled picture of a video has anything on it that looks written.

    The amount decides nothing: a title alone on a slide covers 0.6 % of it, as much as texture in a photograph that
    looks written. Reading frames without words costs seconds; not reading those with words costs the words.
    """
    return part.text_density.known and part.text_density.mid <= 0


def _suggested_aspects(part: PartFacts) -> tuple[Aspect, ...]:
    if part.kind == "audio":
        return ("words",)
    if part.kind == "video":
        sparse = part.text_density.known and part.text_density.high <= SPARSE
        silent = not part.channels and not part.subtitles
        words: tuple[Aspect, ...] = () if silent and shows_no_writing(part) else ("words",)
        return (*words, "appearance") if sparse else words
    if part.kind == "document" and part.pages:
        return ("words", "figures") if pages_with_figures(part) else ("words",)
    if part.kind == "image":
        return _suggested_by_picture(part)
    return ()


def _suggested_by_picture(part: PartFacts) -> tuple[Aspect, ...]:
    """Return what a picture suggests: a page of text its words; any other its appearance, and its words where it has
    some.

    A picture that was not sampled may be needed for either.
    """
    density = part.text_density
    if not density.known:
        return ("words", "appearance")
    if is_page(part):
        few = part.letters.known and part.letters.mid < LAID_OUT
        return ("words",) if few else ("words", "layout")
    written = density.high > 0 and (part.letters.mid >= WRITTEN if part.letters.known else density.mid > SPARSE)
    return ("words", "appearance") if written else ("appearance",)


def kept_aspects(option: str, kind: Kind) -> tuple[Aspect, ...]:
    """Return what an option keeps of a kind; unconverted media and pictures of pages keep everything."""
    kinds = KEPT_BY_OPTION.get(option)
    return ASPECTS_OF_KIND[kind] if kinds is None else kinds.get(kind, ASPECTS_OF_KIND[kind])


def lost_aspects(option: str, part: PartFacts, *, compared: bool = False) -> tuple[Aspect, ...]:
    """Return what an option loses of this part. A page without drawings has no figures to lose."""
    lost: tuple[Aspect, ...] = _usually_lost(option, part.kind)
    if part.kind == "image" and part.frames > 1 and option != "frames":
        lost = (*lost, "motion")  # it is the first frame that goes
    if compared and part.kind == "image" and option in WORD_OPTIONS:
        lost = (*lost, "comparison")
    if transcribed_channels(part) > 1:
        lost = tuple(aspect for aspect in lost if aspect != "speakers")
    if "figures" in lost and part.kind == "document" and all(page.figure_share < 0.02 for page in part.pages):
        return tuple(aspect for aspect in lost if aspect != "figures")
    return lost


@cache
def _usually_lost(option: str, kind: Kind) -> tuple[Aspect, ...]:
    """Return what an option loses of a kind, whatever is special about a part."""
    keeps = kept_aspects(option, kind)
    return tuple(aspect for aspect in ASPECTS_OF_KIND[kind] if aspect not in keeps)
