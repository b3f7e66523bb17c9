"""Questions for properties of a file: its length, its pages, its pixels."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.plans import invariants, runner
from tests.unit.planner.test_verdict import CALL, FILM, LETTER, PHOTO, TEXT_PAGE

from intermodal.plans.explain import explain
from intermodal.plans.facts import Medium, MediumNeeds, Need, PropertiesNeed, QuestionFacts
from intermodal.plans.file_properties import properties_text
from intermodal.plans.plan import Plan

LIKE = PropertiesNeed(score=0.95, like="how long is it")
LIKELY = PropertiesNeed(score=0.65, like="how long is it")  # sure enough to leave the contents out, and not the model
PARTS: list[tuple[Medium, dict[str, Any], str]] = [
    ("audio", CALL, "Length: 63 seconds (1:03)"),
    ("video", FILM, "Width and height: 640 x 360 pixels"),
    ("document", TEXT_PAGE, "Page size: 595 x 842 points (A4)"),
    ("photo", PHOTO, "Width and height: 1,024 x 768 pixels (0.786 megapixels)"),
    ("page", LETTER, "Width and height: 620 x 877 pixels"),
]
by_medium = pytest.mark.parametrize(("medium", "part", "line"), PARTS, ids=[medium for medium, *_ in PARTS])


def planned(asked: MediumNeeds, part: dict[str, Any], catalog: str = "embedded", **policy: Any) -> Plan:
    """Return the plan of a question that needs this of its file."""
    case = {"catalog": catalog, "consent": ["acme"], "ask": "Hvor lang er den?", "part": [part], "policy": policy}
    inputs = runner.inputs_of(case)
    facts = msgspec.structs.replace(inputs.facts, question=QuestionFacts(by="a model", media=(asked,)))
    return invariants.plan_of(msgspec.structs.replace(inputs, facts=facts))


@by_medium
def test_a_model_that_reads_text_is_enough_and_nothing_is_converted(
    medium: Medium, part: dict[str, Any], line: str
) -> None:
    made = planned(MediumNeeds(medium=medium, properties=LIKELY), part)
    assert made.verdict.value == "enough_with_loss"
    assert "a language model is enough, only properties of" in made.headline
    assert [step.op for step in made.chosen.steps if step.op != "size"] == ["properties", "generate"]
    assert not any(warning.startswith("loses") for warning in made.chosen.warnings)
    (step,) = (step for step in made.chosen.steps if step.op == "properties")
    value = line.partition(": ")[2].partition(" (")[0]
    assert medium == "document" or medium == "video" or f"{part['name']} {value}" in step.title
    assert 'properties of the file (0.65, like "how long is it")' in explain(made).replace("\n       ", " ")


@by_medium
@pytest.mark.parametrize("objective", ["default", "cheapest", "fastest", "best"])
def test_no_model_is_asked_where_surely_nothing_but_properties_is_asked_for(
    medium: Medium, part: dict[str, Any], line: str, objective: str
) -> None:
    made = planned(MediumNeeds(medium=medium, properties=LIKE), part, objective=objective)
    assert [step.op for step in made.chosen.steps] == ["properties"]
    assert (made.verdict.value, made.verdict.instead) == ("no_language_model", "file properties")
    assert made.headline.startswith(
        f"no language model needed: file properties alone, as only properties of {part['name']}"
    )
    assert made.chosen.total.cost.mid == 0 and not made.chosen.sends
    assert made.verdict.language_model is not None and made.verdict.language_model.endpoint, "to compare"
    assert [step.op for step in made.fallbacks[0].steps if step.op != "size"] == ["properties", "generate"]


def test_a_named_model_answers_a_question_for_properties() -> None:
    made = planned(MediumNeeds(medium="audio", properties=LIKE), CALL, model="smollm2-135m-instruct")
    assert made.chosen.endpoint == "embedded:huggingfacetb/smollm2-135m-instruct"


@by_medium
def test_the_properties_are_stated_as_probing_found_them(medium: Medium, part: dict[str, Any], line: str) -> None:
    facts = next(
        each
        for each in runner.inputs_of({"catalog": "embedded", "ask": "?", "part": [part]}).facts.parts
        if each.kind == part["kind"]
    )
    assert line in properties_text(facts)
    assert "Created: not stated in the file" in properties_text(facts)


@by_medium
def test_properties_are_stated_beside_what_else_is_needed(medium: Medium, part: dict[str, Any], line: str) -> None:
    made = planned(MediumNeeds(medium=medium, needed=(Need(aspect="words"),), properties=LIKE), part)
    ops = [step.op for step in made.chosen.steps]
    assert "properties" in ops and {"transcribe", "read", "extract"} & {*ops}


def test_words_and_properties_are_the_answer_where_nothing_else_is_asked_for() -> None:
    case = {"catalog": "embedded", "consent": ["acme"], "ask": "Hvor lang er den?", "part": [CALL], "policy": {}}
    inputs = runner.inputs_of(case)
    both = MediumNeeds(medium="audio", needed=(Need(aspect="words"),), properties=LIKE)
    asked = QuestionFacts(by="a model", media=(both,), words_alone=("audio",))
    facts = msgspec.structs.replace(inputs.facts, question=asked)
    made = invariants.plan_of(msgspec.structs.replace(inputs, facts=facts))
    assert [step.op for step in made.chosen.steps] == ["transcribe", "properties", "concat"]
    said = f"speech recognition and file properties, as only the words and properties of {CALL['name']}"
    assert made.headline.startswith(f"no language model needed: {said}")


def test_a_picture_that_is_seen_comes_with_its_properties() -> None:
    asked = MediumNeeds(medium="photo", needed=(Need(aspect="appearance"),), properties=LIKE)
    made = planned(asked, PHOTO, "acme")
    answer = made.chosen.answering
    assert made.verdict.value == "broader_needed"
    assert "part:1" in answer.inputs
    assert next(step.op for step in made.chosen.steps) == "properties"
    assert any(send.kind == "image" for send in made.chosen.sends)
    assert any(send.kind == "text" and send.origin == "photo.jpg" for send in made.chosen.sends)


@pytest.mark.parametrize(
    "asked",
    [
        MediumNeeds(medium="audio", properties=PropertiesNeed(score=0.55, like="how long is it")),
        MediumNeeds(medium="audio", properties=LIKE, unsure=(Need(aspect="words", score=0.4),)),
    ],
    ids=["not sure", "or its words"],
)
def test_the_contents_go_in_too_where_it_is_not_sure_that_properties_alone_are_asked_for(asked: MediumNeeds) -> None:
    ops = [step.op for step in planned(asked, CALL).chosen.steps]
    assert "properties" in ops and "transcribe" in ops


def test_an_aspect_to_keep_is_kept_where_properties_are_asked_for() -> None:
    made = planned(MediumNeeds(medium="audio", properties=LIKE), CALL, keep=["words"])
    assert "transcribe" in [step.op for step in made.chosen.steps]


def test_of_a_private_file_no_property_leaves_this_machine() -> None:
    made = planned(MediumNeeds(medium="audio", properties=LIKE), CALL, "acme", private=["audio"])
    assert not made.chosen.sends or all(send.origin != "call.wav" for send in made.chosen.sends)
