"""The generated world of the tiny encoders: letters of customers with their subjects, and offices with their facts.

Letters have one of four subjects. Passages state facts of an office; a question asks for one of them, often in other
words than the passage that answers it, so that shared words alone do not find it.
"""

from __future__ import annotations

import random
from typing import NamedTuple

SUBJECTS = ("billing", "delivery", "technical fault", "praise")
_PRODUCTS = (
    "lamp",
    "kettle",
    "printer",
    "radio",
    "camera",
    "drill",
    "heater",
    "phone",
    "clock",
    "scale",
    "fan",
    "router",
)
_SAID: dict[str, tuple[str, ...]] = {
    "billing": (
        "the invoice for the {p} has the wrong amount", "i was charged twice for the {p}",
        "please refund the money for the {p}",
        "the price of the {p} on my bill is too high", "my card was debited although i cancelled the {p}",
        "why do i pay tax twice for the {p}", "the discount for the {p} is missing on the invoice",
        "i got a reminder though i paid for the {p}",
    ),
    "delivery": (
        "the {p} has not arrived yet", "the parcel with the {p} is a week late",
        "the courier left {p} with a neighbour",
        "the {p} was sent to the wrong address", "tracking says the {p} is lost", "when will you ship the {p}",
        "the box with the {p} came without the {p}", "nobody was at home when the driver brought the {p}",
    ),
    "technical fault": (
        "the {p} does not switch on any more", "the {p} makes a loud noise and stops",
        "its display stays black , the {p} is new",
        "the {p} gets too hot and smells", "a button of the {p} is broken", "the {p} loses its connection every hour",
        "after the update the {p} shows an error", "the battery of the {p} is empty after an hour",
    ),
    "praise": (
        "i love the {p}", "the {p} is the best one i ever had", "many thanks for the wonderful {p}",
        "the {p} works perfectly and looks great", "my family is very happy with the {p}",
        "what a lovely {p} , i will buy again", "excellent {p} and very friendly service", "five stars for the {p}",
    ),
}  # fmt: skip
_OPENINGS = ("", "hello , ", "dear team , ", "good morning , ", "to whom it may concern , ")
_ENDINGS = ("", " .", " . please help", " . regards", " . i bought it in may", " . my number is 4 7 1")

_PLACES = (
    "hamburg", "lisbon", "oslo", "vienna", "dublin", "prague", "athens", "madrid", "warsaw", "helsinki", "lyon",
    "turin", "bergen", "gent", "riga", "porto",
)  # fmt: skip
_FACTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # what passages say, and what questions ask
    "rent": (
        ("the rent of the {c} office is {n} euro", "{c} pays {n} euro to its landlord each month"),
        ("how much rent does {c} pay", "what does the {c} office cost each month"),
    ),
    "staff": (
        ("{n} people work in {c}", "the team of {c} has {n} members"),
        ("how many employees are in {c}", "what is the headcount of {c}"),
    ),
    "opened": (
        ("the {c} office opened in {n}", "since {n} the company is in {c}"),
        ("when was {c} founded", "in which year did {c} open"),
    ),
    "manager": (
        ("ms {w} leads the office in {c}", "the head of {c} is mr {w}"),
        ("who manages {c}", "who is the director of {c}"),
    ),
    "parking": (
        ("cars are left behind the {c} building , level {n}", "{c} has {n} parking spaces"),
        ("where can i park in {c}", "is there a garage in {c}"),
    ),
    "hours": (
        ("doors of {c} are open from {n} to six", "the {c} desk is staffed until {n}"),
        ("what are the opening hours of {c}", "until when is somebody in {c}"),
    ),
    "phone": (
        ("call {c} at {n}", "the telephone number of {c} is {n}"),
        ("how do i reach {c} by phone", "what number do i dial for {c}"),
    ),
}  # fmt: skip
_NAMES = ("berg", "costa", "dahl", "egger", "fonseca", "gray", "horak", "ito")


class Letter(NamedTuple):
    """What a customer writes, and its subject."""

    text: str
    subject: str


class Search(NamedTuple):
    """A question, and passages of which the first answers it."""

    question: str
    passages: tuple[str, ...]


def letter(chance: random.Random) -> Letter:
    """A letter about one of the subjects."""
    subject = chance.choice(SUBJECTS)
    said = chance.choice(_SAID[subject]).format(p=chance.choice(_PRODUCTS))
    return Letter(f"{chance.choice(_OPENINGS)}{said}{chance.choice(_ENDINGS)}", subject)


def passage(place: str, fact: str, chance: random.Random) -> str:
    """A sentence that states a fact of an office."""
    said = chance.choice(_FACTS[fact][0])
    return said.format(c=place, n=chance.randrange(2, 90), w=chance.choice(_NAMES))


def question(place: str, fact: str, chance: random.Random) -> str:
    """A question for a fact of an office."""
    return chance.choice(_FACTS[fact][1]).format(c=place)


def search(chance: random.Random, count: int = 8) -> Search:
    """A question and as many passages: the right one, others of the same office and of the same fact elsewhere."""
    place, fact = chance.choice(_PLACES), chance.choice(list(_FACTS))
    others = [(place, each) for each in _FACTS if each != fact] + [(each, fact) for each in _PLACES if each != place]
    picked = chance.sample(others, count - 1)
    told = [passage(place, fact, chance), *(passage(*each, chance) for each in picked)]
    return Search(question(place, fact, chance), tuple(told))


def words() -> list[str]:
    """Every word of this world."""
    said = [*_OPENINGS, *_ENDINGS, *(text for texts in _SAID.values() for text in texts), *_PRODUCTS, *_PLACES, *_NAMES]
    said += [text for pair in _FACTS.values() for texts in pair for text in texts] + [str(each) for each in range(100)]
    bare = " ".join(said)
    for mark in ("{p}", "{c}", "{n}", "{w}"):
        bare = bare.replace(mark, " ")
    return sorted(set(bare.split()))
