"""A result is a fold over events, also of a run that did not finish."""

from __future__ import annotations

from intermodal.events import Actual, Finished, Note, StepFinished, TextDelta, fold


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
