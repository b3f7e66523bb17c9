"""Estimates the needs of a question from English keywords.

Fallback without a sentence model (``question_reader.py``).
"""

from __future__ import annotations

import re

from intermodal.core.request import ASPECTS, Aspect
from intermodal.plans.facts import Medium, MediumNeeds, Need, QuestionFacts

# Whole words that indicate the need for an aspect. English only, as documented.
_WORDS: dict[Aspect, str] = {
    "words": (
        "text texts word words say says said written write writes read reads letters letter print printed title "
        "headline caption name date amount total price invoice receipt quote spelled"
    ),
    "appearance": (
        "colour colours color colors coloured colored shape shapes look looks looking wearing wears appearance visible "
        "shown seen person people man men woman women "
        "child children photo photograph picture pictured scene logo face faces background bright dark style"
    ),
    "figures": "chart charts graph graphs figure figures diagram diagrams plot plots curve axis bar bars trend",
    "layout": "layout column columns table tables row rows position heading header footer top bottom",
    "speakers": "speaker speakers who whose voices people man men woman women",
    "tone": (
        "tone feel feels feeling feelings voice angry "
        "anger mood emotion emotional upset sarcastic happy sad nervous shouting whisper calm"
    ),
    "timing": "when minute minutes second seconds timestamp timestamps",
    "motion": "moves moving motion movement gesture gestures",
}
_ASKS: dict[str, tuple[Aspect, ...]] = {}
for _aspect, _words in _WORDS.items():
    for _word in _words.split():
        _ASKS[_word] = (*_ASKS.get(_word, ()), _aspect)

# "the order number", but not a count such as "the number of stars".
_NUMBER = re.compile(r"\bnumbers?\b(?! of\b)")
# "look at the total" needs no appearance; "who is the supplier" needs no speaker unless there is speech.
_NOT_ABOUT_LOOKS = re.compile(r"\blook(s|ing)? (at|for|up|into|through)\b")
# A question about a colour: "is it red or blue", "is the square blue?", but not "is it Mr Green?".
_COLOUR = r"\b(?:red|blue|green|yellow|orange|purple|pink|brown|black|white|gr[ae]y)"
_COLOUR_OR = re.compile(rf"{_COLOUR},? or\b")
_ENDS_IN_COLOUR = re.compile(rf"(?<!in the ){_COLOUR}\Z")
_IS = re.compile(r"\b(?:is|are|was|were)\b", re.IGNORECASE)
MEDIA: tuple[Medium, ...] = ("photo", "page", "image", "audio", "video", "document")
_WORD = re.compile(r"[^\W_]+")


def lower_words(text: str) -> tuple[str, ...]:
    """Return the words of a text in order, in lower case."""
    return tuple(_WORD.findall(text.lower()))


def needed_aspects(question: str) -> frozenset[Aspect]:
    """Return the aspects that the words of a question indicate.

    >>> sorted(needed_aspects("What colour is the car, and what does the chart show?"))
    ['appearance', 'figures']
    >>> sorted(needed_aspects("Look at the invoice: what is the total?"))
    ['words']
    >>> sorted(needed_aspects("Is the square blue or red?")), sorted(needed_aspects("Were we in the red?"))
    (['appearance'], [])
    """
    cleaned = _NOT_ABOUT_LOOKS.sub(" ", question.lower())
    found: set[Aspect] = {aspect for word in _WORD.findall(cleaned) for aspect in _ASKS.get(word, ())}
    if _NUMBER.search(cleaned):
        found.add("words")
    if _COLOUR_OR.search(question) or any(map(_asks_colour, question.split("?")[:-1])):
        found.add("appearance")
    return frozenset(found)


def needs_from_keywords(question: str) -> QuestionFacts:
    """Return the needs that the words of a question indicate, for every medium. Other needs stay undetermined."""
    aspects = needed_aspects(question)
    needed = tuple(Need(aspect=aspect) for aspect in ASPECTS if aspect in aspects)
    return QuestionFacts(media=tuple(MediumNeeds(medium=medium, needed=needed) for medium in MEDIA) if needed else ())


def _asks_colour(text: str) -> bool:
    """Return whether the text before a question mark asks for a colour.

    Only the end of the text is searched for a colour; a pattern over the whole text would restart at each "is".
    """
    text = text.rstrip()
    colour = _ENDS_IN_COLOUR.search(text, max(0, len(text) - 20))
    return colour is not None and _IS.search(text, 0, colour.start()) is not None
