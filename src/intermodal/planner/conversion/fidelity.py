"""Fidelity: which aspects of its media a request seems to need, and which of them each conversion option keeps.

Stated aspects (``Policy.keep``) reject options. Inferred aspects that the answer depends on are compared before cost
and time: a route that loses one is chosen only if no route within the limits keeps it. Other needs have a small price.
Every loss is reported.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import cache

from intermodal.core.content import Kind
from intermodal.core.request import ASPECTS, Aspect
from intermodal.plans.facts import Medium, MediumNeeds, PartFacts, QuestionFacts

# The price of losing an aspect that the answer depends on: no saving of cost or time outweighs it. An answer about a
# colour that is based on OCR text is worthless, however quick; and estimated seconds are often a guess.
MUST_KEEP = math.inf
FACT_PENALTY = 0.001  # USD for losing an aspect that facts about the media suggest
DETAIL_PENALTY = 0.04  # USD for losing detail while keeping the rest: small print, scenes of a video
UNSURE_PENALTY = 0.04  # USD for losing an aspect that the question may need, times its score

ASPECTS_OF_KIND: dict[Kind, tuple[Aspect, ...]] = {  # the aspects that each kind has
    "text": ("words",),
    "image": ("words", "layout", "appearance", "figures"),
    "audio": ("words", "speakers", "tone", "timing"),
    "video": tuple(aspect for aspect in ASPECTS if aspect != "comparison"),
    "document": ("words", "layout", "appearance", "figures"),
}
KEPT_BY_OPTION: dict[str, dict[Kind, tuple[Aspect, ...]]] = {  # option -> kind -> aspects kept
    "transcribe": {"audio": ("words", "timing")},
    "read": {"image": ("words",), "document": ("words",)},
    "describe": {"image": ("appearance", "figures")},
    "both": {"image": ("words", "appearance", "figures")},
    "extract": {"document": ("words",)},
    "mixed": {"document": ("words", "appearance", "figures")},
    "figured": {"document": ("words", "appearance", "figures")},
    "properties": {"image": (), "audio": (), "video": (), "document": ()},
}
KEPT_BY_STEP: dict[str, tuple[Aspect, ...]] = {  # the aspects that one step keeps, if an option has several steps
    "transcribe": ("words", "timing"), "read": ("words",), "describe": ("appearance", "figures"),
    "extract": ("words",), "frames": ("appearance", "layout", "figures"), "demux": ("words", "speakers", "tone"),
    "subtitles": ("words", "timing"),
}  # fmt: skip
LOST_BY_STEP: dict[str, tuple[Aspect, ...]] = {  # and the losses attributed to it
    "transcribe": ("speakers", "tone"), "subtitles": ("speakers", "tone"),
    "read": ("layout", "appearance", "figures", "motion"),
    "describe": ("words", "layout", "motion"), "extract": ("layout", "appearance", "figures"), "frames": ("motion",),
}  # fmt: skip
READ_BY_MODEL_ALONE: dict[Kind, tuple[str, ...]] = {  # options in which only the last model reads the words
    "image": ("native", "resized", "frames"), "document": ("render",),
}  # fmt: skip
VISUAL_ASPECTS: frozenset[Aspect] = frozenset(("appearance", "figures", "motion"))  # aspects that are lost in text
UNCONVERTED_OPTIONS = ("native", "resized", "frames", "read_along")  # options that keep the kind of the part
WORD_OPTIONS = ("read", "describe", "both", "properties")  # options after which several images cannot be compared

FIGURE_PAGE = 0.1  # minimum share of a page covered by images or drawings for rendering it
FIGURE_SHARE = 0.3  # minimum share of a page covered by images or drawings for them to be its main content ...
FIGURE_CHARS = 400  # ... if it has fewer characters than this
WRITING_LETTERS = 40.0  # minimum letters that count as writing in an image; photographs without writing have up to 30
DENSE = 0.12  # minimum text share of an image's area for its words to matter most
SPARSE = 0.04  # maximum text share of an image for which its appearance matters most
LAID_OUT = 60.0  # minimum letters of an image with a layout: a button has 12, two lines 50, five 110
FULL = 200.0  # minimum letters of a page, however sparse: a receipt has over 300


def medium_of(part: PartFacts) -> Medium:
    """Return the medium under which a question refers to this part.

    An unsampled image is ``image``; text has only words, and counts as a document.
    """
    if part.kind == "image" and part.text_density.known:
        return "page" if is_page(part) else "photo"
    return "document" if part.kind == "text" else part.kind


def is_page(part: PartFacts) -> bool:
    """Return whether an image is mostly text, by area or by number of letters."""
    return part.text_density.known and (
        part.text_density.mid >= DENSE or (part.letters.known and part.letters.mid >= FULL)
    )


def aspect_needs(
    part: PartFacts, question_facts: QuestionFacts, keep: Collection[Aspect] = (), *, shows: bool = False,
    is_compared: bool = False,
) -> dict[Aspect, float]:  # fmt: skip
    """Return the aspects of this part that are probably needed, with the price of losing each.

    ``keep``: stated aspects. If a part has one of them, aspects suggested by its medium are optional: for a photo whose
    words must be kept, the words are the subject. ``shows``: its appearance is needed, whatever the question.
    ``is_compared``: it is one of several images, so a question about appearance may refer to all of them together.
    """
    if part.kind in question_facts.words_alone and not keep:
        return {"words": MUST_KEEP}
    available_aspects = ASPECTS_OF_KIND[part.kind] if part.frames <= 1 else (*ASPECTS_OF_KIND[part.kind], "motion")
    medium_needs = question_facts.needs_of(medium_of(part))
    question: set[Aspect] = {need.aspect for need in medium_needs.needed}
    if shows:
        question.add("appearance")
    needs: dict[Aspect, float] = {aspect: MUST_KEEP for aspect in available_aspects if aspect in question}
    needs |= _uncertain_needs(medium_needs, available_aspects, needs)
    if medium_needs.properties_alone and not shows:
        return needs
    # Needs that the question does not state follow from the medium.
    open_ = not set(keep) & set(available_aspects) and (
        not (question_facts.by and medium_needs.needed) or bool(medium_needs.unsure)
    )
    looks = MUST_KEEP in map(needs.get, VISUAL_ASPECTS)
    for aspect in _suggested_aspects(part):
        # A question that is not about appearance is about the text, if there is any.
        about_text = open_ and aspect == "words" and part.kind in ("image", "document") and not looks
        # And a question that is not about text is about an image's appearance, unless the image is a page of text.
        about_appearance = open_ and aspect == "appearance" and part.kind == "image" and "words" not in question
        if about_text or about_appearance:
            needs[aspect] = MUST_KEEP
        elif not _is_unsampled(part):
            needs.setdefault(aspect, FACT_PENALTY)
    if figure_pages(part):
        needs["figures"] = MUST_KEEP
    if is_compared and part.kind == "image":
        needs |= _comparison_needs(question_facts, MUST_KEEP in map(needs.get, VISUAL_ASPECTS))
    return needs


def _uncertain_needs(
    medium_needs: MediumNeeds, available_aspects: Collection[Aspect], needs: Mapping[Aspect, float]
) -> dict[Aspect, float]:
    """Return the prices of additional aspects that the question may need."""
    return {
        need.aspect: UNSURE_PENALTY * need.score
        for need in medium_needs.unsure
        if need.aspect in available_aspects and need.aspect not in needs
    }


def _comparison_needs(question: QuestionFacts, looked_at: bool) -> dict[Aspect, float]:
    """Return the need to see an image beside the others.

    Keywords cannot determine it: if only keywords were examined, a visual question may refer to all images.
    """
    if not question.by:
        return {"comparison": MUST_KEEP} if looked_at else {}
    image_needs = question.needs_of("pictures")
    needed: dict[Aspect, float] = {need.aspect: MUST_KEEP for need in image_needs.needed}
    return _uncertain_needs(image_needs, ASPECTS, {}) | needed


def _is_unsampled(part: PartFacts) -> bool:
    """Return whether an image was not sampled, so that only the question determines its needs."""
    return part.kind == "image" and not part.text_density.known


def pages_with_figures(part: PartFacts) -> tuple[int, ...]:
    """Return the pages with drawings or images beside their text, excluding scans."""
    return tuple(page.number for page in part.pages if page.figure_share >= FIGURE_PAGE and not page.is_image)


def figure_pages(part: PartFacts) -> tuple[int, ...]:
    """Return the pages whose content is mostly figures: much drawing or image, little text, not a scan.

    The content of a scan is its text.
    """
    return tuple(
        page.number
        for page in part.pages
        if page.figure_share >= FIGURE_SHARE and page.chars < FIGURE_CHARS and not page.is_image
    )


def needs_vision(keep: tuple[Aspect, ...], needs: Mapping[Aspect, float]) -> bool:
    """Return whether an aspect is needed that only a vision model can provide."""
    return any(aspect in VISUAL_ASPECTS for aspect in (*keep, *needs))


KeptAndLostAspects = tuple[tuple[Aspect, ...], tuple[Aspect, ...]]


def transcript_fidelity(part: PartFacts, *, timed: bool) -> KeptAndLostAspects:
    """Return the aspects that a transcript of a recording keeps and loses.

    Times are kept if needed. Speakers are kept if each has its own channel, because channels are transcribed
    separately.
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
    """Return the number of channels transcribed in separate calls: two if each carries a different speaker."""
    return 2 if part.separate_channels else 1


def needs_timestamps(keep: Collection[Aspect], needs: Collection[Aspect]) -> bool:
    """Return whether each line of speech must keep its time."""
    return "timing" in keep or "timing" in needs


def shows_no_writing(part: PartFacts) -> bool:
    """Return whether no sampled frame of a video has anything that looks like text.

    The amount is irrelevant: a title alone on a slide covers 0.6 % of it, as much as text-like texture in a photograph.
    Reading frames without words costs seconds, but not reading frames with words loses the words.
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
        return _suggested_by_image(part)
    return ()


def _suggested_by_image(part: PartFacts) -> tuple[Aspect, ...]:
    """Return the aspects that an image suggests.

    A page of text suggests its words, any other image its appearance, and its words if it has some. An unsampled image
    may be needed for either.
    """
    density = part.text_density
    if not density.known:
        return ("words", "appearance")
    if is_page(part):
        few = part.letters.known and part.letters.mid < LAID_OUT
        return ("words",) if few else ("words", "layout")
    has_text = density.high > 0 and (
        part.letters.mid >= WRITING_LETTERS if part.letters.known else density.mid > SPARSE
    )
    return ("words", "appearance") if has_text else ("appearance",)


def kept_aspects(option: str, kind: Kind) -> tuple[Aspect, ...]:
    """Return the aspects that an option keeps for a kind. Unconverted media and rendered pages keep everything."""
    kinds = KEPT_BY_OPTION.get(option)
    return ASPECTS_OF_KIND[kind] if kinds is None else kinds.get(kind, ASPECTS_OF_KIND[kind])


def lost_aspects(option: str, part: PartFacts, *, is_compared: bool = False) -> tuple[Aspect, ...]:
    """Return the aspects that an option loses for this part. A page without drawings has no figures to lose."""
    lost: tuple[Aspect, ...] = _usual_losses(option, part.kind)
    if part.kind == "image" and part.frames > 1 and option != "frames":
        lost = (*lost, "motion")  # only the first frame is sent
    if is_compared and part.kind == "image" and option in WORD_OPTIONS:
        lost = (*lost, "comparison")
    if transcribed_channels(part) > 1:
        lost = tuple(aspect for aspect in lost if aspect != "speakers")
    if "figures" in lost and part.kind == "document" and all(page.figure_share < 0.02 for page in part.pages):
        return tuple(aspect for aspect in lost if aspect != "figures")
    return lost


@cache
def _usual_losses(option: str, kind: Kind) -> tuple[Aspect, ...]:
    """Return the aspects that an option loses for a kind, regardless of the part."""
    keeps = kept_aspects(option, kind)
    return tuple(aspect for aspect in ASPECTS_OF_KIND[kind] if aspect not in keeps)
