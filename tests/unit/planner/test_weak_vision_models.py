"""An eye too weak to read is not taken to: what is written only in what it looks at is lost, and that is said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.plans import catalogs, invariants, runner

from intermodal.catalog.types import Catalog, Evidence, Strength
from intermodal.errors import NoRoute
from intermodal.plans.plan import Candidate, Inputs, Plan
from intermodal.plans.step import Check

PAGE = {"number": 1, "width": 595, "height": 842, "chars": 900}
SCAN = {"number": 1, "width": 595, "height": 842, "chars": 0, "density": 0.3}
EYE = "desk:llava/llava-7b"


def plan_with(eye: tuple[Strength, ...], part: dict[str, Any], ask: str, **policy: Any) -> Plan:
    """The plan where the only eye has this strength; readers are the embedded ones."""
    inputs = runner.inputs_of({"catalog": "desk", "ask": ask, "policy": policy, "part": [part]})
    endpoints = tuple(
        msgspec.structs.replace(each, model=msgspec.structs.replace(each.model, strength=eye))
        if each.id == EYE
        else each
        for each in inputs.catalog.endpoints
    )
    catalog: Catalog = msgspec.structs.replace(inputs.catalog, endpoints=endpoints)
    made: Inputs = msgspec.structs.replace(inputs, catalog=catalog)
    return invariants.plan_of(made)


def ops(candidate: Candidate) -> list[str]:
    return [step.op for step in candidate.steps if not isinstance(step, Check)]


def tier(task: Any, name: Any) -> Strength:
    return Strength(task=task, tier=name, evidence=Evidence(level="proxy", source="made up"))


TINY = (tier("text-generation", "tiny"), tier("image-text-to-text", "tiny"))
READS = (*TINY, tier("image-to-text", "medium"))
DOCUMENT = {"kind": "document", "name": "report.pdf", "pages": [PAGE]}
SCANNED = {"kind": "document", "name": "scan.pdf", "pages": [SCAN]}
SCREEN = {"kind": "image", "name": "screen.png", "width": 900, "height": 420, "density": 0.2}


@pytest.mark.parametrize("part", [DOCUMENT, SCANNED, SCREEN], ids=["document", "scan", "screen"])
@pytest.mark.parametrize("ask", ["Who is the managing director?", "Summarise this.", "What is the notice period?"])
def test_a_question_about_what_is_written_does_not_go_by_a_vision_model_that_cannot_read(
    part: dict[str, Any], ask: str
) -> None:
    made = plan_with(TINY, part, ask, model=EYE)
    assert set(ops(made.chosen)) & {"extract", "read"}, "its words are extracted or read"
    seen = [each for each in made.fallbacks if not set(ops(each)) & {"extract", "read"}]
    assert all(any(warning.startswith("loses words") for warning in each.warnings) for each in seen)


def test_a_named_vision_model_that_cannot_read_gets_the_picture_and_the_words_read_from_it() -> None:
    made = plan_with(TINY, {**SCREEN, "density": 0.08}, "What is it?", model=EYE)
    assert ops(made.chosen) == ["read", "generate"] and [each.kind for each in made.chosen.takes] == ["image"]
    assert not made.chosen.warnings
    assert "goes in as an image with the text read from it" in made.headline


def test_where_words_are_stated_to_be_kept_a_weak_vision_model_alone_is_refused() -> None:
    picture = {**SCREEN, "density": 0.01}
    with pytest.raises(NoRoute) as refused:
        plan_with(TINY, picture, "What colour is it?", keep=["words", "appearance", "layout"])
    assert any("words" in reason and "--keep" in reason for reason in refused.value.wording_for("command line").reasons)


def test_a_vision_model_that_is_known_to_read_may_read() -> None:
    made = plan_with(READS, SCREEN, "What is the total?", model=EYE, keep=["words", "appearance", "layout"])
    assert ops(made.chosen) == ["generate"]
    assert not any("words" in warning for warning in made.chosen.warnings)


def test_the_catalog_of_these_cases_has_the_vision_model() -> None:
    assert EYE in {each.id for each in catalogs.catalog("desk", ()).endpoints}
