"""The verdict of a plan: whether a language model is enough for the request.

It is shown first in EXPLAIN, pictures, JSON, gateway headers and ``advise``. It follows from what the question needs
and what is lost, not from the kinds of input. Two losses are judged separately: what a *language model* would lose,
which gets media as extracted, recognised or transcribed text; and what *this route* loses, whose model may accept
images or audio.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity
from intermodal.core.request import ASPECTS, Aspect

VerdictName = Literal[
    "enough", "enough_with_loss", "broader_needed", "not_enough", "no_language_model", "unknown"
]  # fmt: skip
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)
# The kind of model used if no language model is needed, in everyday words.
Instead = Literal[
    "", "contrastive model", "encoder", "embedding model", "speech recognition", "speech translation",
    "speech synthesis", "image generator", "text recognition", "text and speech recognition", "text extraction",
    "file properties",
]  # fmt: skip
MAX_NAMED_HOSTS = 4  # names in a sentence; longer lists give the first ones and the number of the others


class Judged(Value):
    """Parts with the same conversion, and the basis of the verdict.

    Attributes:
        title: their name in a sentence.
        needs_known: whether the question or the media determine their needs. Otherwise ``needs`` is ignored, and a lost
            aspect makes the verdict ``unknown``.
        needs: aspects that the answer depends on, or that the request requires. unsure: aspects that it may need.
        as_text: aspects that are lost in text form, whichever model extracts, recognises or transcribes it.
        loses: aspects that this route loses. left_out: number of pages that it omits.
    """

    title: str
    needs_known: bool = msgspec.field(default=True, name="told")
    needs: tuple[Aspect, ...] = ()
    unsure: tuple[Aspect, ...] = ()
    as_text: tuple[Aspect, ...] = ()
    loses: tuple[Aspect, ...] = ()
    left_out: int = 0

    @property
    def may_need(self) -> list[Aspect]:
        """Return the lost aspects that the answer may need: all of them if the needs are unknown.

        Covers aspects lost in text form and aspects lost on this route.
        """
        lost = {*self.as_text, *self.loses}
        if self.needs_known and lost.isdisjoint(self.unsure):
            return []
        return [aspect for aspect in ASPECTS if aspect in lost and (not self.needs_known or aspect in self.unsure)]


class Other(Value):
    """A route that was not chosen, for comparison: one with a language model, or one that keeps the needs.

    Attributes:
        endpoint: the endpoint that would answer, "" for none. summary: the route in a few words.
        cost: USD; unknown if the price is. seconds: including loading; None if not estimated.
        kept_out: why the route is not available, as text; "" if it is.
    """

    endpoint: str
    summary: str
    cost: Quantity = Quantity()
    seconds: Quantity | None = None
    kept_out: str = ""


class Verdict(Value):
    """Whether a language model is enough.

    Attributes:
        value: stable, for programs.
            ``enough``: text keeps everything.
            ``enough_with_loss``: text loses something that the question does not seem to need.
            ``broader_needed``: text loses something needed, and this route keeps it with a model for images or audio.
            ``not_enough``: this route loses something needed.
            ``no_language_model``: another kind of model is used (speech recognition, OCR, embeddings, speech synthesis,
                image generation), or none at all (the text or the properties of a file).
            ``unknown``: text loses something, and it is not known whether that is needed.
        parts: the media; () if the request contains only text.
        language_model: the closest language model route, for comparison. Set if a broader route was chosen although a
            language model would suffice; if another kind of model scores labels; if a transcriber translates (the
            route that translates its transcript instead); or if only the words of files are requested.
        keeps: if something needed is lost, the nearest route that would keep it.
        instead: the kind of model used if no language model is needed.
        contrastive: if a generative model picks among labels for images, the route with a contrastive model.
        encoder: if a generative model picks among labels for a text, the route with an encoder: a head trained for
            these labels, or embeddings.
    """

    value: VerdictName = "enough"
    parts: tuple[Judged, ...] = ()
    language_model: Other | None = None
    keeps: Other | None = None
    instead: Instead = ""
    contrastive: Other | None = None
    encoder: Other | None = None


def judge(parts: Sequence[Judged], *, answers: bool = True) -> VerdictName:
    """Return the verdict on a route.

    ``answers``: whether a model answers in words; False for a transcript or an embedding.

    >>> judge([Judged("photo.jpg", needs=("appearance",), as_text=("layout", "appearance"))])
    'broader_needed'
    >>> judge([Judged("photo.jpg", needs=("appearance",), as_text=("appearance",), loses=("appearance",))])
    'not_enough'
    """
    beyond_text = lossy = False
    for part in parts:
        lossy = lossy or bool(part.as_text or part.loses or part.left_out)
        for aspect in part.needs if part.needs_known else ():
            if aspect in part.loses:
                return "not_enough"
            beyond_text = beyond_text or aspect in part.as_text
    if not answers:
        return "no_language_model"
    if beyond_text:
        return "broader_needed"
    if not lossy:
        return "enough"
    return "unknown" if any(part.may_need for part in parts) else "enough_with_loss"


# ---- sentences ----------------------------------------------------------------------------------------


def joined_names(names: Iterable[str]) -> str:
    """Join names for use in a sentence.

    >>> joined_names(["a", "b", "c"])
    'a, b and c'
    """
    every = list(names)
    if len(every) > MAX_NAMED_HOSTS:
        return f"{', '.join(every[: MAX_NAMED_HOSTS - 1])} and {len(every) - MAX_NAMED_HOSTS + 1} more"
    return _join_all(every)


def _join_all(every: Sequence[str]) -> str:
    return " and ".join([", ".join(every[:-1]), every[-1]]) if len(every) > 1 else "".join(every)


def aspects_of(pairs: Iterable[tuple[str, Iterable[Aspect]]]) -> str:
    """Return aspects with their owners: "tone of call.wav, layout and figures of report.pdf"; "" for none.

    >>> aspects_of([("a.png", ["layout"]), ("b.png", ["layout"]), ("c.wav", [])])
    'layout of a.png and b.png'
    """
    by_aspects: dict[tuple[Aspect, ...], list[str]] = {}
    for title, aspects in pairs:
        if part_aspects := tuple(aspects):
            by_aspects.setdefault(part_aspects, []).append(title)
    phrases = [f"{_join_all(part_aspects)} of {joined_names(titles)}" for part_aspects, titles in by_aspects.items()]
    return ", ".join(phrases)


def needed_losses(verdict: Verdict) -> str:
    """Return the needed aspects that this route loses."""
    return aspects_of(
        (part.title, _merge_aspects(part.needs, part.loses)) for part in verdict.parts if part.needs_known
    )


def needed_beyond_text(verdict: Verdict) -> str:
    """Return the needed aspects that a language model would lose."""
    return aspects_of(
        (part.title, _merge_aspects(part.needs, part.as_text)) for part in verdict.parts if part.needs_known
    )


def possible_losses(verdict: Verdict) -> str:
    """Return the possibly needed aspects that this route loses or a language model would lose.

    Parts whose needs are unknown do not count.
    """
    return aspects_of((part.title, part.may_need if part.needs_known else ()) for part in verdict.parts)


def lost_aspects(verdict: Verdict) -> str:
    """Return all aspects that this route loses."""
    return aspects_of((part.title, part.loses) for part in verdict.parts)


def lost_as_text(verdict: Verdict) -> str:
    """Return all aspects that a language model would lose."""
    return aspects_of((part.title, part.as_text) for part in verdict.parts)


def _merge_aspects(first: Sequence[Aspect], others: Sequence[Aspect]) -> list[Aspect]:
    return [aspect for aspect in first if aspect in others]
