"""By which rule a model counts what it is given, and since when: rows, and how a model's name finds its row.

A row names a family of models and its rules, each from a date on. A rule is a string that ``costing`` reads
(``openai_tile:85:170``); a later row of the same family says only what it changes. A name finds the longest name of
a row that it begins with, where what is left says no more than a size, a date or a make ("-7b-instruct",
"-2024-11-20"): another word may be another model with rules of its own.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import field

from intermodal.content import Value
from intermodal.errors import UsageError

Aspect = Literal["text", "image", "audio", "video", "document", "drawn", "speech"]
ASPECTS: tuple[Aspect, ...] = ("text", "image", "audio", "video", "document", "drawn", "speech")

# Words of a name that make no other model of it: sizes, dates, makes of the weights.
_SAME = re.compile(
    r"a?\d+[bme]|e\d+b|\d+x\d+b|\d{3,}|it|instruct|chat|hf|base|latest|preview|exp|thinking|gguf|awq|gptq|fp8|fp16"
    r"|bf16|int4|int8|vicuna|mistral"
)
_DAY = re.compile(r"-\d{4}-\d{2}-\d{2}(?=-|$)")


class CountingRule(Value, forbid_unknown_fields=True):
    """How a family counts from a day on; "" where this row changes nothing.

    Attributes:
        effective_from: ISO date: the models' release, or the day a changed rule was first read.
        text: the vocabulary of its text. image, audio, video, document: rules of what goes in.
        drawn, speech: rules of pictures and speech that come out.
        framing: tokens of a chat template, low, mid, high. most_images: more in a request are refused.
        many_images: with more than the first number in a request, none may have a side of more pixels than the second.
    """

    effective_from: str
    text: str = ""
    image: str = ""
    audio: str = ""
    video: str = ""
    document: str = ""
    drawn: str = ""
    speech: str = ""
    framing: tuple[float, float, float] | None = None
    most_images: int = 0
    many_images: tuple[int, int] | None = None
    source: str = ""
    checked: str = ""


class FamilyRow(Value, forbid_unknown_fields=True):
    """A family of models: the names it answers to, and its rules, the oldest first."""

    names: tuple[str, ...]
    rules: tuple[CountingRule, ...]


class Sheet(Value):
    """The rules in force for one model on one day.

    Attributes:
        name: the family's name that was found, "" for none.
        rules, sources: by aspect. later: an aspect that gets its first rule on a later day.
        framing, most_images, many_images: as in ``CountingRule``.
    """

    name: str = ""
    rules: dict[Aspect, str] = field(default_factory=dict)
    sources: dict[Aspect, str] = field(default_factory=dict)
    later: dict[Aspect, str] = field(default_factory=dict)
    framing: tuple[float, float, float] | None = None
    most_images: int = 0
    many_images: tuple[int, int] | None = None


NO_SHEET = Sheet()


def bare(name: str) -> str:
    """A model's name without host and vendor, dots and underscores as dashes.

    >>> bare("openrouter:Qwen/Qwen2.5-VL-7B-Instruct")
    'qwen2-5-vl-7b-instruct'
    """
    last = name.strip().lower().rsplit("/", 1)[-1]
    host, colon, model = last.partition(":")
    if colon and "/" not in name:  # host:model; vendor/model:free keeps its first part
        last = model if model and not model[0].isdigit() and model != "free" else host
    elif colon:
        last = host
    return re.sub(r"[._]+", "-", last)


def family_of(families: tuple[FamilyRow, ...], name: str) -> tuple[str, FamilyRow] | None:
    """The row a model's name belongs to and the name it was found by; None when there is none."""
    wanted = bare(name)
    best: tuple[str, FamilyRow] | None = None
    for row in families:
        for given in row.names:
            known = bare(given)
            if (best is None or len(known) > len(bare(best[0]))) and _is_of(wanted, known):
                best = (given, row)
    return best


def _is_of(wanted: str, known: str) -> bool:
    if not wanted.startswith(known):
        return False
    rest = _DAY.sub("", wanted[len(known) :])
    return not rest or (rest[0] == "-" and all(_SAME.fullmatch(word) for word in rest[1:].split("-")))


def sheet(families: tuple[FamilyRow, ...], name: str, date: str) -> Sheet:
    """The rules in force for a model on an ISO date; an empty sheet where no family is known.

    Raises:
        UsageError: the date is before the first rule of its family.
    """
    found = family_of(families, name)
    if found is None:
        return NO_SHEET
    rules = sorted(found[1].rules, key=lambda rule: rule.effective_from)
    if date < rules[0].effective_from:
        first = rules[0].effective_from
        raise UsageError(
            f"no rule of {found[0]} is known for {date}", where="--date", todo=f"its first is of {first}"
        )
    made: dict[str, str] = {}
    sources: dict[str, str] = {}
    later: dict[str, str] = {}
    framing, most, many = None, 0, None
    for rule in rules:
        for aspect in ASPECTS:
            stated = getattr(rule, aspect)
            if not stated:
                continue
            if rule.effective_from <= date:
                made[aspect] = stated
                sources[aspect] = f"{rule.source}, in force from {rule.effective_from}"
            elif aspect not in made:
                later.setdefault(aspect, rule.effective_from)
        if rule.effective_from <= date:
            framing, most, many = rule.framing or framing, rule.most_images or most, rule.many_images or many
    return Sheet(
        name=found[0], rules=made, sources=sources, later=later,  # type: ignore[arg-type]
        framing=framing, most_images=most, many_images=many,
    )  # fmt: skip
