"""Requests that nothing about lengths of answers was written for: questions that other parts are held to.

``held out``: the questions of ``tests/e2e/questions_held_out.txt``, in eight languages, each asked about a note in a
file of its own. ``examples``: questions of ``questions/examples.toml``, asked about nothing or about a note.
"""

from __future__ import annotations

import random
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from estimates_set import Case
from inputs import text

import intermodal
from intermodal.core.content import BytesSource

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
from tests.e2e.questions import HELD_OUT, pairs  # noqa: E402

EXAMPLES = ROOT / "src" / "intermodal" / "questions" / "examples.toml"


def cases(every: int = 2) -> Iterator[Case]:
    """Every so manyth question of both sets, mixed; the same ones each time."""
    held = list(dict.fromkeys((pair.language, pair.question) for pair in pairs(HELD_OUT.read_text())))
    asked = [
        question for group in tomllib.loads(EXAMPLES.read_text())["examples"] for question in group.get("questions", ())
    ]
    found = [Case(f"held out {language} {number}", _about(question, number), True)
             for number, (language, question) in enumerate(held[::every])]  # fmt: skip
    found += [Case(f"examples {number}", _about(question, number, alone=number % 2 == 0), True)
              for number, question in enumerate(dict.fromkeys(asked[:: 4 * every]))]  # fmt: skip
    random.Random(13).shuffle(found)
    yield from found


def _about(question: str, number: int, *, alone: bool = False) -> intermodal.Request:
    """A question about a note of 2 to 30 sentences, as a user asks who sets nothing."""
    chance = random.Random(f"note {number}")
    note = BytesSource(data=text(chance, chance.randint(2, 30)).encode(), name="note.txt")
    return intermodal.make_request(question, *(() if alone else (note,)), temperature=0.0, seed=1)
