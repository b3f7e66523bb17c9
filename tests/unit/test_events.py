"""A result is a fold over events, also of a run that did not finish."""

from __future__ import annotations

import json

import msgspec
import pytest

from intermodal.catalog.types import Catalog
from intermodal.cli.rendering.json_document import plain_data
from intermodal.core.content import Text
from intermodal.core.request import JsonOutput, Message, Request
from intermodal.events import Actual, Checked, Finished, Note, Result, StepFinished, TextDelta, fold
from intermodal.plans.facts import Facts
from intermodal.plans.machine import Machine
from intermodal.plans.plan import Inputs
from intermodal.plans.statistics import Statistics


def test_text_actuals_and_notes_add_up_in_order() -> None:
    result = fold([
        StepFinished(actual=Actual(step="a", seconds=1)),
        Note(text="loses tone"),
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        StepFinished(actual=Actual(step="b", seconds=2)),
        Finished(endpoint="h:v/m", cost=0.25, seconds=3),
    ])  # fmt: skip
    assert result.text == "Hello"
    assert [actual.step for actual in result.actuals] == ["a", "b"]
    assert result.notes == ("loses tone",)
    assert (result.endpoint, result.cost, result.seconds) == ("h:v/m", 0.25, 3)


def test_an_unfinished_run_folds_to_what_there_was_and_names_no_endpoint() -> None:
    result = fold([TextDelta(text="Hel")])
    assert result.text == "Hel"
    assert result.endpoint == ""


ASKED = Message(role="user", parts=(Text(text="What is it?"),))
INPUTS = Inputs(
    request=Request(messages=(ASKED,)), facts=Facts(), catalog=Catalog(), machine=Machine(), statistics=Statistics(),
    as_of="2026-11-30", original_messages=(ASKED,),
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "old", "new"),
    [
        (Result(parts=(Text(text="an answer"),)), "said", "parts"),
        (Finished(endpoint="h:m", parts=(Text(text="an answer"),)), "said", "parts"),
        (Checked(step="s", check="transcript", message="only 8 words"), "said", "message"),
        (JsonOutput(schema={}, schema_text="as JSON"), "told", "schema_text"),
        (INPUTS, "asked", "original_messages"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_a_field_is_read_by_its_former_name_with_a_warning_and_has_that_name_in_json(
    value: msgspec.Struct, old: str, new: str
) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is called {new}"):
        assert getattr(value, old) == getattr(value, new)
    stored = json.loads(msgspec.json.encode(value))
    assert stored[old] and new not in stored
    assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
    assert old in plain_data(value) and new not in plain_data(value)
