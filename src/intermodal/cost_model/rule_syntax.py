"""Syntax of rule strings: a name, numbers after colons, and key=value words after spaces.

``openai_tile:85:170`` is a name and two numbers; ``openai_levels:1.2 low=512 high=2048/2500 auto=high`` has words too.
The catalog stores these strings, so a new model of a known family needs a row and no code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from intermodal.core.quantity import Quantity


class RuleArguments(NamedTuple):
    """The numbers of a rule, in its family's order, and its words."""

    numbers: tuple[float, ...] = ()
    words: Mapping[str, str] = {}


ImageCounter = Callable[[int, int, str, RuleArguments], Quantity]  # width, height, detail, arguments of the rule
ImageRefusal = Callable[[int, int, str, RuleArguments], str]


def _has_no_words(arguments: RuleArguments) -> bool:
    return not arguments.words


class ImageRule(NamedTuple):
    """A family of image rules.

    Attributes:
        tokens: returns the tokens of an image. least, most: how many numbers its rules take.
        details: the detail levels it knows; () if it has none and accepts any.
        refuses: returns why an image would be refused, "" if it would not.
        are_words_valid: returns whether the words of a rule are valid; a family without words accepts none.
    """

    tokens: ImageCounter
    least: int
    most: int
    details: tuple[str, ...] = ()
    refuses: ImageRefusal | None = None
    are_words_valid: Callable[[RuleArguments], bool] = _has_no_words


@lru_cache(maxsize=1_024)
def parse_rule(rule: str) -> tuple[str, RuleArguments] | None:
    """Return the name and arguments of a rule string; None if it is malformed.

    >>> parse_rule("openai_levels:1.2 low=512 auto=high")
    ('openai_levels', RuleArguments(numbers=(1.2,), words={'low': '512', 'auto': 'high'}))
    """
    head, *rest = rule.split(" ")
    name, *numbers = head.split(":")
    try:
        read = tuple(float(number) for number in numbers)
        words = dict(word.split("=", 1) for word in rest)
    except ValueError:
        return None
    return (name, RuleArguments(read, words)) if name else None
