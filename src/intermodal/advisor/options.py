"""Build a question from the options of Python and the command line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypedDict, TypeVar, Unpack, cast

from msgspec import structs

from intermodal.advisor import option_values
from intermodal.advisor.question import MONTHS, PROMPT, AdviceQuestion, OwnedHardware, PictureContent, with_defaults
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import UsageError
from intermodal.hints import hint, setting
from intermodal.languages import checked_language
from intermodal.plans.machine import Machine
from intermodal.request import (
    ASPECTS,
    LICENCES,
    OBJECTIVES,
    RETENTIONS,
    TIERS,
    Aspect,
    Licence,
    Objective,
    Retention,
    ScoresOutput,
    Tier,
)
from intermodal.request_builder import check_output, checked_region

MOST_USERS = 1024
T = TypeVar("T", bound=str)
Size = float | tuple[int, int]


class AdviseOptions(TypedDict, total=False):
    """What ``advise`` takes besides what goes in and comes out.

    Attributes:
        sizes: of what goes in, by kind: letters of a text, (width, height) of a picture, seconds of sound or video,
            pages of a pdf. parts: the same as pieces, of which there may be several of a kind. Defaults, which are
            said, are taken for the others.
        prompt: what is asked: its words say what has to be kept, and how long an answer is. out_tokens: states that.
        requests: how often, as "10000/day"; a number is a month's. max_cost: USD a request. latency: seconds a request.
        private: kinds that may not leave the machine. release, keep, language, at_least, objective: as in ``Policy``.
        hosts: the only hosts to look at. local: none.
        licence: "commercial" (as by default) or "any". regions, retention: as in ``Policy``.
        waits: somebody waits for each answer, so that a second counts beside money. Left out, it counts where no
            number of requests is stated; of a monthly bill money decides, and the pick for waiting is named beside it.
        hardware: "24GB", "2x24GB 16cores", "RTX 4090", "2xH100"; this machine when not stated. users: requests that a
            server of one's own answers at once. hardware_price: USD of one machine.
        life_months: that it lasts. power: watts. kwh: USD.
        translate: the language that speech is turned into. labels: to be told apart, where scores come out.
        shows: what pictures show, "text" or "scene". scanned: pages have no text layer. figures: pages have some.
        verbatim: the text itself is spoken.
    """

    sizes: Mapping[str, Size]
    parts: Iterable[CountablePart]
    prompt: str
    out_tokens: int | None
    requests: str | float
    max_cost: float | None
    latency: float | None
    private: Iterable[str]
    release: Iterable[str]
    keep: Iterable[str]
    language: str
    translate: str
    labels: Iterable[str]
    at_least: Tier | None
    objective: Objective
    hosts: Iterable[str]
    licence: Licence
    regions: Iterable[str]
    retention: Retention
    waits: bool | None
    local: bool
    hardware: str
    users: int | None
    hardware_price: float | None
    life_months: float | None
    power: float | None
    kwh: float | None
    shows: PictureContent | None
    scanned: bool
    figures: bool
    verbatim: bool


def make_question(
    takes: str | Iterable[str], makes: str | Iterable[str], here: Machine, **options: Unpack[AdviseOptions]
) -> AdviceQuestion:
    """A question.

    Args:
        takes: kinds that go in ("pdf", "image"). makes: what comes out ("text"), the answer first.
        here: the machine this runs on.

    Raises:
        UsageError: a word nobody knows, a size that is none, or options that contradict each other.
    """
    known = AdviseOptions.__annotations__
    for name in options:
        if name not in known:
            raise UsageError(f"advise has no option {name}", todo=f"options are {', '.join(sorted(known))}")
    _check_types(options)
    kinds = option_values.parse_kinds(_words_of(takes), setting("in"))
    sized = [_piece_of(kind, size) for kind, size in options.get("sizes", {}).items()]
    parts, assumed = with_defaults(kinds, (*sized, *options.get("parts", ())))
    stated = options.get("hardware") or ""
    requests = options.get("requests") or ""
    if not isinstance(requests, str):
        requests = f"{requests:.15g}"
    out = option_values.parse_outputs(_words_of(makes))
    hardware = option_values.parse_hardware(stated, here) if stated else option_values.this_machine(here)
    hardware = structs.replace(hardware, users=_users(options.get("users")))
    return AdviceQuestion(
        takes=kinds,
        makes=out[0],
        beside=out[1:],
        parts=parts,
        assumed=assumed,
        hardware=hardware,
        prompt=(options.get("prompt") or "").strip() or PROMPT,
        volume=option_values.parse_volume(requests) if requests else None,
        shows=options.get("shows") or "",
        scanned=options.get("scanned", False),
        figures=options.get("figures", False),
        verbatim=options.get("verbatim", False),
        out_tokens=_count(options.get("out_tokens")),
        objective=_one_of(options.get("objective", "default"), OBJECTIVES, setting("objective")),
        at_least=_tier(options.get("at_least")),
        private=option_values.parse_private(_words_of(options.get("private", ()))),
        release=tuple(_words_of(options.get("release", ()))),
        keep=tuple(
            _one_of(cast("Aspect", each), ASPECTS, setting("keep")) for each in _words_of(options.get("keep", ()))
        ),
        language=options.get("language", ""),
        translate=checked_language(options.get("translate", "")),
        labels=_labels(_words_of(options.get("labels", ()))),
        hosts=tuple(_words_of(options.get("hosts", ()))),
        licence=_one_of(options.get("licence", "commercial"), LICENCES, setting("licence")),
        regions=tuple(map(checked_region, _words_of(options.get("regions", ())))),
        retention=_one_of(options.get("retention", "any"), RETENTIONS, setting("retention")),
        waits=options.get("waits"),
        local=options.get("local", False),
        latency=_positive(options.get("latency"), setting("latency"), "seconds"),
        max_cost=_amount(options.get("max_cost"), setting("max-cost"), "dollars"),
        owned=_owned_hardware(options),
    )


_WORDS = frozenset(
    {"prompt", "language", "translate", "hardware", "objective", "at_least", "shows", "licence", "retention"}
)
_NUMBERS = frozenset({"out_tokens", "users", "max_cost", "latency", "hardware_price", "life_months", "power", "kwh"})
_LISTS = frozenset({"private", "release", "keep", "hosts", "parts", "regions"})


def _labels(given: Iterable[str]) -> tuple[str, ...]:
    """Labels to be told apart. Raises UsageError as for a real request."""
    labels = tuple(given)
    if labels:
        check_output(ScoresOutput(labels=labels))
    return labels


def _check_types(options: AdviseOptions) -> None:
    """Raise UsageError for a value that is nothing of what its option takes."""
    for name, value in options.items():
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        wrong = ""
        if name in _WORDS and not isinstance(value, str):
            wrong = "give a word"
        elif name in _NUMBERS and not number:
            wrong = "give a number"
        elif name == "requests" and not (number or isinstance(value, str)):
            wrong = 'write "10000/day", or a month\'s number'
        elif name in _LISTS and not isinstance(value, str | Iterable):
            wrong = "give a list"
        elif name == "sizes" and not isinstance(value, Mapping):
            wrong = 'write {"pdf": 30}'
        if wrong:
            raise UsageError(f"{value!r} does not fit here", where=setting(name.replace("_", "-")), todo=wrong)


def _piece_of(word: str, size: Size) -> CountablePart:
    """A piece from a number or two."""
    kind = option_values.parse_kinds([word], "sizes")[0]
    numbers = size if isinstance(size, tuple) else (size,)
    wrong = (
        not all(isinstance(each, int | float) for each in numbers)
        or len(numbers) != (2 if kind == "image" else 1)
        or not all(0 < each < math.inf for each in numbers)
    )
    if wrong:
        todo = "write {'image': (1240, 1754)}" if kind == "image" else f"write {{{word!r}: 10}}"
        raise UsageError(f"{size!r} is no size of {word}", where="sizes", todo=todo)
    first = numbers[0]
    if kind == "image":
        wide, high = map(int, numbers)
        return CountablePart(kind=kind, name=f"image {wide}x{high}", width=wide, height=high)
    if kind == "text":
        return CountablePart(kind=kind, name=f"text of {int(first):,} letters", chars=int(first), size=int(first))
    if kind == "document":
        return CountablePart(kind=kind, name=f"pdf {int(first)}p", pages=int(first))
    return CountablePart(kind=kind, name=f"{kind} {first:g}s", seconds=float(first))


def _words_of(given: str | Iterable[str]) -> list[str]:
    """Words of a list, or of one word."""
    some: list[object] = [given] if isinstance(given, str) or not _is_listed(given) else list(given)
    for each in some:
        if not isinstance(each, str):
            raise UsageError(f"{each!r} is not a word", todo='give words: "audio", or ["pdf", "image"]')
    return cast("list[str]", some)


def _is_listed(given: object) -> bool:
    return isinstance(given, Iterable)


def _tier(word: Tier | None) -> Tier | None:
    if word is not None:
        _one_of(word, TIERS, setting("at-least"))
    return word


def _one_of(word: T, known: tuple[T, ...], where: str) -> T:
    if word not in known:
        from difflib import get_close_matches

        near = get_close_matches(word, known, 2, 0.6)
        todo = f"did you mean {' or '.join(near)}?" if near else f"it is one of {', '.join(known)}"
        raise UsageError(f"{word!r} is not known", where=where, todo=todo)
    return word


def _count(value: int | None) -> int | None:
    if value is not None and value < 1:
        raise UsageError(f"{value} is not a valid answer length", where=setting("out-tokens"), todo="write 1 or more")
    return value


def _users(value: int | None) -> int:
    if value is not None and not 1 <= value <= MOST_USERS:
        raise UsageError(
            f"{value} is not a valid number of users", where=setting("users"), todo=f"write 1 to {MOST_USERS}"
        )
    return int(value or 1)


def _amount(value: float | None, where: str, what: str) -> float | None:
    if value is not None and not 0 <= value < math.inf:
        raise UsageError(f"{value} is no number of {what}", where=where, todo="write 0 or more")
    return None if value is None else float(value)


def _positive(value: float | None, where: str, what: str) -> float | None:
    found = _amount(value, where, what)
    if found == 0:
        raise UsageError(f"0 is no number of {what}", where=where, todo="write more than 0")
    return found


def _owned_hardware(options: AdviseOptions) -> OwnedHardware | None:
    """What hardware costs, None where its price is not stated."""
    price = _positive(options.get("hardware_price"), setting("hardware-price"), "dollars")
    months = _positive(options.get("life_months"), setting("life"), "months")
    watts = _amount(options.get("power"), setting("power"), "watts")
    kwh = _amount(options.get("kwh"), setting("kwh"), "dollars")
    for value, name in ((months, setting("life")), (watts, setting("power")), (kwh, setting("kwh"))):
        if value is not None and price is None:
            raise UsageError(
                "means nothing without what the machine costs", where=name, todo=hint("add {hardware-price=}", "USD")
            )
    if (watts is None) != (kwh is None):
        where, other = (
            (setting("power"), setting("kwh", "USD")) if kwh is None else (setting("kwh"), setting("power", "WATTS"))
        )
        raise UsageError("says half of what power costs", where=where, todo=hint("add {}", other))
    if price is None:
        return None
    return OwnedHardware(price=price, months=months or MONTHS, watts=watts or 0.0, kwh=kwh or 0.0)
