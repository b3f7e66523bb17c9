"""A file with known truth, and the words it is made of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fidelity.checks import Check

FIT, REPORT = 11, 97  # seeds: of the files one may look at, and of those that only numbers are told of
QUESTION = "What is in the file?"

NAMES = (
    "Marit Haugen", "Tomas Berg", "Ingrid Solheim", "Peter Novak", "Claire Dubois", "Anna Lindqvist", "Omar Haddad",
    "Lucia Moreno", "Jonas Weber", "Priya Nair", "Hannah Fischer", "Diego Santos", "Yuki Tanaka", "Samuel Okafor",
)  # fmt: skip
TOWNS = (
    "Rotterdam", "Bergen", "Gdansk", "Porto", "Tallinn", "Valencia", "Trieste", "Hamburg", "Aarhus", "Antwerp",
    "Genoa", "Malaga", "Riga", "Turku",
)  # fmt: skip
GOODS = (
    "copper wire", "paper rolls", "spare axles", "glass panes", "cement bags", "cable drums", "steel pipes",
    "roof tiles", "oak boards", "pump motors", "wool bales", "salt sacks", "brass valves", "tyre sets",
)  # fmt: skip
_SUBJECTS = (
    "The harbour master", "A night driver", "The warehouse clerk", "Our customer", "The crane operator",
    "The insurance company", "A passing ferry", "The customs officer", "The repair team", "Another supplier",
)  # fmt: skip
_VERBS = (
    "counted", "delayed", "inspected", "received", "returned", "weighed", "repaired", "ordered", "unloaded", "sealed",
)  # fmt: skip
_PLACES = (
    "near the old canal", "before the morning shift", "after the storm had passed", "at the northern gate",
    "behind the main office", "during the annual audit", "without any further notice", "beside the empty silo",
    "on the eastern quay", "because the scales were broken",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One file.

    Attributes:
        name: of the file, unique. group: the row of the table. kind: what is hard about it.
        make: its bytes, the same every time. checks: what must be true of the prompt.
        truth: all words that are in it, as they should arrive; "" where it has none, or where nobody counts them.
        prompt: what is asked. keep: aspects that are stated. half: "fit" or "report".
    """

    name: str
    group: str
    kind: str
    make: Callable[[], bytes] = field(repr=False)
    checks: tuple[Check, ...] = field(repr=False)
    truth: str = field(default="", repr=False)
    prompt: str = QUESTION
    keep: tuple[str, ...] = ()
    half: str = "fit"


class Chance:
    """Words drawn from a seed, no two alike within one file where that would blur a check."""

    def __init__(self, seed: int, about: str) -> None:
        self.draw = random.Random(f"{about}/{seed}")
        self._used: set[str] = set()

    def number(self, low: int, high: int) -> int:
        return int(self._fresh(lambda: str(self.draw.randint(low, high))))

    def money(self, low: int = 100, high: int = 9_999) -> str:
        return self._fresh(lambda: f"{self.draw.randint(low, high):,}.{self.draw.randint(0, 99):02}")

    def code(self) -> str:
        letters = "".join(self.draw.choice("ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(3))
        return f"{letters}-{self.number(10_000, 99_999)}"

    def date(self) -> str:
        months = ("January", "March", "April", "June", "July", "August", "October", "November")
        return f"{self.draw.randint(1, 28)} {self.draw.choice(months)} {self.draw.randint(2021, 2026)}"

    def some(self, of: Sequence[str], count: int) -> list[str]:
        return self.draw.sample(list(of), count)

    def one(self, of: Sequence[str]) -> str:
        return self.draw.choice(list(of))

    def sentence(self) -> str:
        """A sentence with a number that no other sentence of the file has."""
        return f"{self.one(_SUBJECTS)} {self.one(_VERBS)} {self.number(12, 989)} {self.one(GOODS)} {self.one(_PLACES)}."

    def sentences(self, count: int) -> list[str]:
        return [self.sentence() for _ in range(count)]

    def _fresh(self, made: Callable[[], str]) -> str:
        for _ in range(1_000):
            found = made()
            if found not in self._used:
                self._used.add(found)
                return found
        raise ValueError("too many of them in one file")


@dataclass(frozen=True)
class Made:
    """What a recipe makes of its chance; the fields are those of ``BenchSample``."""

    make: Callable[[], bytes]
    checks: Sequence[Check]
    truth: str = ""
    prompt: str = QUESTION
    keep: tuple[str, ...] = ()


Recipe = Callable[[Chance], Made]
_RECIPES: list[tuple[str, str, str, Recipe]] = []


def recipe(group: str, kind: str, suffix: str) -> Callable[[Recipe], Recipe]:
    """Enter a recipe: a file of that group, kind and suffix for every seed."""

    def enter(made: Recipe) -> Recipe:
        _RECIPES.append((group, kind, suffix, made))
        return made

    return enter


def samples() -> list[Sample]:
    """All of them, by group: each recipe once for the half that is looked at, and once for the one that is not."""
    from importlib import import_module

    for name in ("paper", "pictures", "sound", "film", "office"):
        import_module(f"fidelity.{name}")  # enters its recipes

    found = []
    for group, kind, suffix, made in _RECIPES:
        for half, seed in (("fit", FIT), ("report", REPORT)):
            one = made(Chance(seed, f"{group}/{kind}"))
            name = f"{half}-{group}-{kind.replace(' ', '_')}.{suffix}"
            found.append(Sample(name, group, kind, one.make, tuple(one.checks), one.truth, one.prompt, one.keep, half))
    order = ("pdf", "pictures", "audio", "video", "office")
    return sorted(found, key=lambda each: order.index(each.group))
