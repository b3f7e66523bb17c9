"""A model that was named gets the media it takes, as they are, or the plan says why not: every kind, place and speed.

What was measured of a model, or was not, decides between models; never between a route that keeps what the question
needs and one that loses it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.plans import catalogs, runner

from intermodal.catalog.types import Catalog, Endpoint, Host, Speed
from intermodal.core.content import Kind
from intermodal.core.quantity import between
from intermodal.planner import plan
from intermodal.plans.plan import Inputs, Plan
from intermodal.plans.statistics import Statistics
from intermodal.plans.step import Call

pytestmark = pytest.mark.gate

EVERYTHING: tuple[Kind, ...] = ("text", "image", "audio", "video", "document")
HERE = Host(id="near", base_url="http://127.0.0.1:8000/v1", zone="machine", forced_json=True)
ELSEWHERE = catalogs.host("far")
PLACES = {"here": HERE, "hosted": ELSEWHERE}
SPEEDS: dict[str, tuple[float, float] | None] = {"unmeasured": None, "slow": (15.0, 1.0), "fast": (20_000.0, 300.0)}
QUESTIONS = ("Which of these is the best?", "Describe what you see.", "What is going on here?", "Compare them.")
# A photo, a photo whose grain looks like letters, a page of text, one that nobody looked at.
DENSITIES = (0.0, 0.03, 0.2, None)
PDF = {"kind": "document", "name": "report.pdf", "pages": [{"chars": 2_000}, {"chars": 900, "figures": 0.4}]}
SOUND = {"kind": "audio", "name": "call.wav", "seconds": 12}
FILM = {
    "kind": "video", "name": "clip.mp4", "seconds": 8, "channels": 2, "width": 640, "height": 360, "cuts": [4.0],
}  # fmt: skip


def photos(count: int, density: float | None) -> list[dict[str, Any]]:
    looked = {} if density is None else {"density": density}
    return [
        {"kind": "image", "name": f"photo{number}.jpg", "width": 1600 - 8 * number, "height": 1200, **looked}
        for number in range(count)
    ]


def files() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for count, density in itertools.product(range(1, 9), DENSITIES):
        yield f"{count} images, density {density}", photos(count, density)
    yield "a recording", [SOUND]
    yield "a PDF", [PDF]
    yield "a video", [FILM]


def planned(
    given: list[dict[str, Any]], ask: str, where: Host, speed: tuple[float, float] | None, **policy: Any
) -> tuple[Plan, Endpoint]:
    """The plan where one model takes everything, another only text, and an ear, a reader and an eye are at hand."""
    able = catalogs.hosted(
        where, "vendor/able", "medium", (0.0, 0.0) if where is HERE else (0.5, 1.5), inputs=EVERYTHING, context=64_000
    )
    texts = catalogs.hosted(where, "vendor/texts", "large", (0.0, 0.0) if where is HERE else (0.1, 0.2))
    able = msgspec.structs.replace(able, speed=Speed())
    rows = {}
    if speed is not None:
        prompt, decode = speed
        rows = {
            f"{able.id}|prompt": between(prompt * 0.9, prompt, prompt * 1.1, "median of 30 runs"),
            f"{able.id}|decode": between(decode * 0.9, decode, decode * 1.1, "median of 30 runs"),
        }
    case = {"ask": ask, "part": given, "policy": {"max_cost": 1.0, **policy}, "machine": {"free": 64, "memory": 96}}
    inputs: Inputs = runner.inputs_of(case)
    catalog: Catalog = msgspec.structs.replace(
        inputs.catalog, endpoints=(*inputs.catalog.endpoints, able, texts), consent=(ELSEWHERE.id,)
    )
    made = plan(
        inputs.request, inputs.facts, catalog, inputs.machine, Statistics(epoch=3, rows=rows), inputs.as_of
    )  # fmt: skip
    return made, able


def arrived(made: Plan) -> dict[Kind, int]:
    """How many parts of each kind reach the answering model as what they are."""
    found: dict[Kind, int] = {}
    for each in made.chosen.takes:
        if each.kind != "text" and not (each.kind == "document" and each.counted_as):
            found[each.kind] = found.get(each.kind, 0) + each.count
    return found


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_named_model_gets_what_it_takes_or_the_plan_says_why_not(place: str, speed: str) -> None:
    for (title, given), ask in itertools.product(files(), QUESTIONS):
        made, able = planned(given, ask, PLACES[place], SPEEDS[speed], model="vendor/able")
        assert made.chosen.endpoint == able.id
        kind: Kind = given[0]["kind"]
        calls = [step for step in made.chosen.steps if isinstance(step, Call)]
        if arrived(made).get(kind) == len(given):
            assert len(calls) == 1, f"{title}: one call for all of them"
            continue
        said = [note for note in made.notes if "does not reach" in note]
        assert said, f"{title}, {ask}: {made.chosen.summary}, and not a word about it: {made.notes}"
        # The one reason there is here: nothing on this machine is given a whole PDF or a whole video.
        assert place == "here" and kind in ("document", "video"), f"{title}, {ask}: {said}"


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("place", PLACES)
def test_where_nobody_is_named_nothing_that_is_needed_is_given_up_for_speed(place: str, speed: str) -> None:
    for (title, given), ask in itertools.product(files(), QUESTIONS):
        made, _ = planned(given, ask, PLACES[place], SPEEDS[speed])
        assert made.chosen.lost == 0, f"{title}, {ask}: {made.chosen.summary} loses {made.chosen.loses}"
        described = [step for step in made.chosen.steps if isinstance(step, Call) and step.op == "describe"]
        assert len(described) <= 1 or given[0]["kind"] != "image", f"{title}: {len(described)} images one by one"


@pytest.mark.parametrize("place", PLACES)
def test_a_limit_that_keeps_the_pictures_away_is_said_with_its_number(place: str) -> None:
    slow = (15.0, 60.0)
    made, able = planned(photos(5, 0.0), "Compare them.", PLACES[place], slow, model="vendor/able", deadline=200.0)
    assert made.chosen.endpoint == able.id and "image" not in arrived(made)
    (said, *_) = [note for note in made.notes if "does not reach" in note]
    assert "the deadline is 200 s" in said
    assert any(note.startswith("loses ") for note in made.notes)
