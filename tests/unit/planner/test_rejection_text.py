"""What is said of those that are kept out is true of each of them, and names what to do."""

from __future__ import annotations

import msgspec
import pytest
from tests.plans import runner

from intermodal.core.request import Policy
from intermodal.errors import NoRoute
from intermodal.planner import plan
from intermodal.plans.explain import fold_rejections
from intermodal.plans.plan import Rejected


def test_weights_that_are_missing_are_named_in_one_line() -> None:
    rows = [
        Rejected(rule="not_ready", reason=f"its weights are not here: intermodal pull {name}", endpoints=(f"e:{name}",))
        for name in ("a", "b", "c", "d", "e")
    ]
    (row,) = fold_rejections(rows)
    assert row.reason == "weights not here: intermodal pull a b c d …"
    assert row.count == 5 and row.endpoints == ()


def test_missing_things_of_different_kinds_keep_the_general_words() -> None:
    rows = [
        Rejected(rule="not_ready", reason="its weights are not here: intermodal pull a", endpoints=("e:a",)),
        Rejected(rule="not_ready", reason="A_KEY is not set: intermodal hosts add a", endpoints=("a:m",)),
    ]
    (row,) = fold_rejections(rows)
    assert "others lack something else (" in str(row.reason) and row.endpoints == ("e:a", "a:m")


def test_a_stated_floor_and_the_default_one_are_not_mixed_up_by_what_is_remembered() -> None:
    inputs = runner.inputs_of({"catalog": "all", "consent": ["acme", "plain"], "ask": "Hello"})
    stated = runner.inputs_of(
        {"catalog": "all", "consent": ["acme", "plain"], "ask": "Hello", "policy": {"at_least": "medium"}}
    )
    assert isinstance(stated.request.policy, Policy)
    for each, words in ((inputs, "below the default strength medium"), (stated, "below the floor medium")):
        made = plan(each.request, each.facts, inputs.catalog, each.machine, each.statistics, each.as_of)
        reasons = [row.reason for row in made.rejected if row.rule == "floor"]
        assert reasons and all(reason.startswith(words) for reason in reasons), reasons


def test_a_number_in_a_rejection_belongs_to_the_endpoint_it_names() -> None:
    case = {"catalog": "all", "consent": ["acme", "plain"], "ask": "Hello", "policy": {"max_cost": 0}}
    inputs = runner.inputs_of(case)
    made = plan(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)
    (row,) = [row for row in made.rejected if row.rule == "max_cost"]
    assert row.count == 5 and row.reason.startswith("the nearest, plain:plain/longtext, would cost up to $")


@pytest.mark.parametrize(
    ("language", "todo"),
    [
        ("fr", "intermodal pull whisper-base"),
        ("", "if it is English: --language en; otherwise intermodal pull whisper-base"),
    ],
)
def test_a_transcriber_of_another_language_is_remedied_by_a_transcriber_of_this_one(language: str, todo: str) -> None:
    case = {
        "catalog": "embedded", "output": "transcript", "policy": {"language": language},
        "part": [{"kind": "audio", "name": "french.flac", "seconds": 9}],
    }  # fmt: skip
    inputs = runner.inputs_of(case)
    absent = {"ready": False, "missing": "its weights are not here", "todo": "intermodal pull whisper-base"}
    endpoints = tuple(
        msgspec.structs.replace(each, **absent)
        if each.id == "embedded:openai/whisper-base" else each
        for each in inputs.catalog.endpoints
    )  # fmt: skip
    catalog = msgspec.structs.replace(inputs.catalog, endpoints=endpoints)
    with pytest.raises(NoRoute) as caught:
        plan(inputs.request, inputs.facts, catalog, inputs.machine, inputs.statistics, inputs.as_of)
    assert caught.value.wording_for("command line").todo == todo
