"""Whether a language model is enough for a request: the first thing a plan says, in EXPLAIN, pictures, JSON, headers of
the gateway and ``advise``.

It follows from what the question needs and what is lost, never from what goes in. Two things are judged and told
apart: what a *language model* would lose, to which media come as text that was extracted, read or transcribed; and what
*this route* loses, whose model may take pictures or sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec

from intermodal.content import Value
from intermodal.quantity import Quantity
from intermodal.request import ASPECTS, Aspect

VerdictName = Literal[
    "enough", "enough_with_loss", "broader_needed", "not_enough", "no_language_model", "unknown"
]  # fmt: skip
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)
# What serves where no language model is needed, in everyday words.
Instead = Literal[
    "", "contrastive model", "encoder", "embedding model", "speech recognition", "speech translation",
    "speech synthesis", "image generator", "text recognition", "text and speech recognition", "text extraction",
    "file properties",
]  # fmt: skip
MOST_NAMED = 4  # names in a sentence; of more, the first and how many others


class Judged(Value):
    """Parts with the same conversion, and the basis of the verdict.

    Attributes:
        title: their name in a sentence.
        needs_known: the question or the media determine their needs; otherwise ``needs`` are guesses, and no verdict
            says enough because of them.
        needs: aspects that the answer depends on, or that must be kept by request. unsure: those that it may need.
        as_text: aspects that their text does not carry, whichever model extracts, recognises or transcribes it.
        loses: aspects that this route loses. left_out: their pages that it leaves out.
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
        """Return the losses of text or this route that may be needed: all of them while the needs are unknown."""
        lost = {*self.as_text, *self.loses}
        if self.needs_known and lost.isdisjoint(self.unsure):
            return []
        return [aspect for aspect in ASPECTS if aspect in lost and (not self.needs_known or aspect in self.unsure)]


class Other(Value):
    """A route that was not chosen: of a language model where that would do, or one that keeps the needs.

    Attributes:
        endpoint: the one that would answer, "" for none. summary: the route in a few words.
        cost: USD; unknown where the price is. seconds: with loading; unknown where not estimated.
        kept_out: why it cannot be taken, in words; "" where it could.
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
            ``enough``: text keeps everything there is.
            ``enough_with_loss``: text loses what the question does not seem to need.
            ``broader_needed``: text loses what is needed, and this route keeps it, with a model for pictures or sound.
            ``not_enough``: this route loses what is needed.
            ``no_language_model``: another kind of model does it (speech or text recognition, embeddings, speech,
                pictures), or none at all (the text or the properties of a file).
            ``unknown``: what is needed cannot be decided, and text loses something.
        parts: the media; () where only words go in.
        language_model: where a broader route was chosen though a language model would do, the route of that; where
            another kind of model scores labels, the nearest route of a model that writes, to compare;
            where a transcriber translates, that of a model that would translate its transcript;
            where only the words of files are asked for, that of a model that would answer.
        keeps: where something needed is lost, the nearest route that would keep it.
        instead: where no language model is needed, what kind of model does it.
        contrastive: where a model that writes picks among labels of pictures, the route of a contrastive one.
        encoder: where a model that writes picks among labels of a text, the route of an encoder: a head that was
            trained for them, or vectors.
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

    ``answers``: it takes a model that answers in words; a transcript or an embedding takes none.

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
    """Return names as a sentence has them.

    >>> joined_names(["a", "b", "c"])
    'a, b and c'
    """
    every = list(names)
    if len(every) > MOST_NAMED:
        return f"{', '.join(every[: MOST_NAMED - 1])} and {len(every) - MOST_NAMED + 1} more"
    return _all(every)


def _all(every: Sequence[str]) -> str:
    return " and ".join([", ".join(every[:-1]), every[-1]]) if len(every) > 1 else "".join(every)


def aspects_of(pairs: Iterable[tuple[str, Iterable[Aspect]]]) -> str:
    """Return aspects and whose they are: "tone of call.wav, layout and figures of report.pdf"; "" for none.

    >>> aspects_of([("a.png", ["layout"]), ("b.png", ["layout"]), ("c.wav", [])])
    'layout of a.png and b.png'
    """
    by_aspects: dict[tuple[Aspect, ...], list[str]] = {}
    for title, aspects in pairs:
        if some := tuple(aspects):
            by_aspects.setdefault(some, []).append(title)
    phrases = [f"{_all(some)} of {joined_names(titles)}" for some, titles in by_aspects.items()]
    return ", ".join(phrases)


def needed_and_lost(verdict: Verdict) -> str:
    """Return the needs that this route loses."""
    return aspects_of((part.title, _both(part.needs, part.loses)) for part in verdict.parts if part.needs_known)


def needed_beyond_text(verdict: Verdict) -> str:
    """Return the needs that a language model would lose."""
    return aspects_of((part.title, _both(part.needs, part.as_text)) for part in verdict.parts if part.needs_known)


def maybe_needed(verdict: Verdict) -> str:
    """Return the possible needs that are lost here or would be lost by a language model."""
    return aspects_of((part.title, part.may_need if part.needs_known else ()) for part in verdict.parts)


def lost(verdict: Verdict) -> str:
    """Return all that this route loses."""
    return aspects_of((part.title, part.loses) for part in verdict.parts)


def lost_as_text(verdict: Verdict) -> str:
    """Return all that a language model would lose."""
    return aspects_of((part.title, part.as_text) for part in verdict.parts)


def _both(some: Sequence[Aspect], others: Sequence[Aspect]) -> list[Aspect]:
    return [aspect for aspect in some if aspect in others]
