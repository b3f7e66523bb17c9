"""Finds what style sheets hide, for pages and drawings. Runs in the worker.

Only rules that certainly apply hide anything: those for a screen, without a condition on its width, whose selectors are
names, classes and ids of the element and of elements around it. Rules that may apply count where they show an element.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

MAX_SHEET = 2_000_000  # characters of all sheets of a file; the rest is not searched
MAX_COMPARED = 2_000_000  # comparisons of a rule with an element
_MAX_AROUND = 64  # elements around one that a selector is searched in

_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_BRACE = re.compile(r"[{}]")
_SELECTOR = re.compile(r"(\*|[\w-]*)((?:[.#][\w-]+)*)")  # of one element, by its name, classes and id
_MARK = re.compile(r"[.#][\w-]+")
_STEP = re.compile(r"\s*([>+~])\s*|\s+")
_AT_REST = re.compile(  # states that begin with a reader's action, and parts that are no element
    r"::|:(?:hover|focus|active|target|checked|before|after|first-letter|first-line|visited)", re.IGNORECASE
)
_CONDITION = re.compile(r"(?::[\w-]+(?:\([^()]*\))?|\[[^\]]*\])+")
_GROUPS = ("@media", "@supports", "@layer", "@container", "@scope")
_EVERYWHERE = ("", "all", "screen", "only screen", "not print")
_ELSEWHERE = re.compile(r"(?:only )?(?:print|speech|braille|tty|tv)\b|not (?:all|screen)$")
_MOVING = ("transition", "animation")


class Compound(NamedTuple):
    """What a selector asks of one element: its name, "" for any, and its marks (".class", "#id")."""

    name: str
    marks: frozenset[str]

    def matches(self, element: Compound) -> bool:
        return self.name in ("", element.name) and self.marks <= element.marks


class StyleRule(NamedTuple):
    """One selector with its declarations.

    Attributes:
        weight: specificity. place: in the order of the sheets. target: the element itself. around: elements that it
            must lie in, the nearest first, each with True if it must be the parent. sure: whether it certainly applies.
            moving: whether what it declares is the begin of a movement.
        declared: values by property, and the names of those that are marked as important.
    """

    weight: int
    place: int
    target: Compound
    around: tuple[tuple[bool, Compound], ...]
    sure: bool
    moving: bool
    declared: dict[str, str]
    important: frozenset[str]


class StyleSheets:
    """The rules of a file that concern ``properties``, found by a mark or a name of the element."""

    def __init__(self, sheets: Iterable[str], properties: Sequence[str]) -> None:
        self._found: dict[str, list[StyleRule]] = {}
        self._compared = 0
        self.exhausted = False
        left, place = MAX_SHEET, 0
        for sheet in sheets:
            for selectors, body, sure in _blocks(sheet[:left]):
                values, important = declarations(body)
                moving = any(name.startswith(_MOVING) for name in values)
                declared = {name: value for name, value in values.items() if name in properties}
                for selector in selectors.split(",") if declared else ():
                    place += 1
                    if rule := _rule(selector.strip(), place, sure, moving, declared, important):
                        self._found.setdefault(min(rule.target.marks, default=rule.target.name), []).append(rule)
            left = max(0, left - len(sheet))

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def declarations(self) -> Iterator[dict[str, str]]:
        """What the rules declare, rule after rule."""
        return (rule.declared for found in self._found.values() for rule in found)

    def rules(self, element: Compound, around: Sequence[Compound]) -> list[StyleRule]:
        """Return the rules of an element, the strongest last. ``around``: elements that it lies in, outermost first."""
        rule_lists = [found for key in ("", element.name, *element.marks) if (found := self._found.get(key))]
        self._compared += sum(map(len, rule_lists))
        if self._compared > MAX_COMPARED:
            self.exhausted = True
            return []
        candidates = [rule for found in rule_lists for rule in found]
        matched = [
            rule for rule in candidates if rule.target.matches(element) and self._matches_ancestors(rule, around)
        ]
        return sorted(matched, key=lambda rule: rule[:2])

    def _matches_ancestors(self, rule: StyleRule, around: Sequence[Compound]) -> bool:
        index = len(around) - 1
        last = max(0, len(around) - _MAX_AROUND)
        for parent, compound in rule.around:
            while index >= last and not compound.matches(around[index]):
                self._compared += 1
                if parent:
                    return False
                index -= 1
            if index < last:
                return False
            index -= 1
        return True


def compound_of(name: str, classes: Iterable[str], identifier: str) -> Compound:
    """Return an element as selectors see it."""
    marks = {f".{each}" for each in classes if each}
    return Compound(name, frozenset(marks | {f"#{identifier}"} if identifier else marks))


def declarations(text: str) -> tuple[dict[str, str], frozenset[str]]:
    """Return the values of a list of declarations by property, and which of them are marked as important."""
    found, important = dict[str, str](), set[str]()
    for part in text.split(";"):
        name, _, value = part.partition(":")
        plain, mark, _ = value.partition("!")
        if plain.strip():
            found[name.strip().lower()] = plain.strip()
            if mark:
                important.add(name.strip().lower())
    return found, frozenset(important)


def _blocks(sheet: str) -> Iterator[tuple[str, str, bool]]:
    """Yield selectors, declarations and whether they certainly apply, of each rule that is no part of another rule."""
    text = _COMMENT.sub(" ", sheet)
    within: list[bool | None] = []  # of each open block: whether it certainly applies, None for one that is skipped
    start = 0
    open_selectors = ""  # selectors of the rule whose block is open
    for brace in _BRACE.finditer(text):
        piece, start = text[start : brace.start()], brace.end()
        if brace[0] == "{":
            head = piece.rpartition(";")[2].strip()
            if None in within:
                within.append(None)
            elif head.startswith("@"):
                within.append(_applies(head))
            else:
                open_selectors = head
                within.append(None)
        elif within:
            within.pop()
            if open_selectors and None not in within:
                yield open_selectors, piece, all(within)
            open_selectors = open_selectors if None in within else ""


def _applies(head: str) -> bool | None:
    """Return whether a group of rules applies on a screen: True, False if it depends, None if it does not."""
    name, _, condition = " ".join(head.lower().split()).partition(" ")
    if name.split("(")[0] not in _GROUPS:
        return None
    if name != "@media":
        return name == "@layer"
    queries = [query.strip() for query in condition.split(",")]
    if any(query in _EVERYWHERE for query in queries):
        return True
    return None if all(map(_ELSEWHERE.match, queries)) else False


def _rule(
    selector: str, place: int, sure: bool, moving: bool, declared: dict[str, str], important: frozenset[str]
) -> StyleRule | None:  # fmt: skip
    if not selector or len(selector) > 500 or _AT_REST.search(selector):
        return None
    plain = _CONDITION.sub("", selector)
    parts = _STEP.split(plain.strip())  # compounds, and between two of them ">", "+", "~" or None
    compounds = [_compound(part or "") for part in parts[::2]]
    steps = parts[1::2]
    if any(step in ("+", "~") for step in steps):
        sure, compounds, steps = False, compounds[-1:], []
    valid_compounds = [each for each in compounds if each is not None]
    if not valid_compounds or len(valid_compounds) < len(compounds):
        return None
    around = tuple(
        (step == ">", compound) for step, compound in zip(reversed(steps), reversed(valid_compounds[:-1]), strict=True)
    )
    weight = sum(
        bool(each.name) + sum(100 if mark[0] == "#" else 10 for mark in each.marks) for each in valid_compounds
    )
    return StyleRule(
        weight, place, valid_compounds[-1], around, sure and plain == selector, moving, declared, important
    )


def _compound(text: str) -> Compound | None:
    match = _SELECTOR.fullmatch(text)
    return None if match is None else Compound(match[1].strip("*"), frozenset(_MARK.findall(match[2])))
