"""EXPLAIN ANALYZE in time: the plan's schedule, what ran when, and what happened on the way."""

from __future__ import annotations

import itertools
import re
import unicodedata
import xml.etree.ElementTree as ET

import msgspec
import pytest
from tests.unit.plans import example_plans

from intermodal.events import Actual, Replanned, Result, Retrying, fold
from intermodal.plans import timeline_svg
from intermodal.plans.analyze import explain_analyze
from intermodal.plans.timeline import Timeline, TimelineRow, schedule, ticks, timeline, timeline_as_text


def rows(made_: Timeline) -> dict[str, TimelineRow]:
    return {row.step: row for row in made_.rows}


def test_a_schedule_ends_when_the_plan_says_it_does() -> None:
    """For every case: the same rules as the seconds of the plan were added up with."""
    for name in example_plans.names():
        chosen = example_plans.of_case(name).chosen
        if chosen.total.seconds.known:
            end = max(span.end for span in schedule(chosen).values())
            assert end == pytest.approx(chosen.total.seconds.mid, abs=0.02), name


def test_local_steps_wait_for_the_cores_and_network_ones_for_what_they_need_alone() -> None:
    spans = schedule(example_plans.film().chosen)
    assert (spans["d1"].start, spans["f1"].start) == (0, 0.2), "one core"
    assert spans["t1"].start == pytest.approx(0.2) and spans["s1"].start == pytest.approx(1.1), "over the network"
    assert spans["r2"].start == pytest.approx(1.1), "it waited longest"
    assert spans["r1"].start == spans["r2"].end == pytest.approx(2.3) and spans["r1"].load == 1.0, (
        "one local step after another"
    )
    assert spans["g1"].start == max(spans[name].end for name in ("t1", "s1", "r1", "r2"))
    assert spans["r1"].low == pytest.approx(4.3) and spans["r1"].high == pytest.approx(12.3), "loading, then the range"


def test_every_step_is_there_with_what_became_of_it() -> None:
    sheet = timeline(example_plans.film(), example_plans.film_run())
    found = rows(sheet)
    assert found["r2"].state == "cached" and found["r2"].actual is None
    assert found["s1"].state == "did not run" and found["g1"].state == "did not run"
    heard = found["t1"]
    assert heard.state == "ran" and heard.retries == 1 and heard.actual is not None
    assert heard.actual.start == 0.4 and heard.actual.end == pytest.approx(2.3)
    other = found["x9"]
    assert (other.op, other.what, other.state, other.planned) == (
        "transcribe",
        example_plans.FILM,
        "another route",
        None,
    )
    assert (found["g9"].who, found["g9"].state) == ("desk:qwen/qwen3-8b", "another route"), "who answered in the end"
    assert sheet.measured and sheet.planned == pytest.approx(12.6) and sheet.end == 17.2


def test_marks_stand_where_things_happened_in_the_order_of_time() -> None:
    marks = timeline(example_plans.film(), example_plans.film_run()).marks
    assert [(mark.kind, mark.at) for mark in marks] == [
        ("retry", 0.9), ("check", pytest.approx(2.3)), ("replan", 4.75),
    ]  # fmt: skip
    assert "answered 503" in marks[0].text
    assert 'repeats "thank you"' in marks[1].text and marks[1].bad
    assert marks[2].text == "planned again (2.1 ms): the transcript repeats itself"
    assert not any("fine" in mark.text for mark in marks), "a check that found nothing is no event"


def test_a_fallback_that_stepped_in_is_named_and_not_measured_against_the_plan() -> None:
    run = Result(endpoint="desk:llava/llava-7b", seconds=9.0, actuals=(Actual(step="g2", began=1.0, seconds=8.0),))
    found = rows(timeline(example_plans.film(), run))
    assert found["g2"].who == "desk:llava/llava-7b" and found["g2"].state == "another route"
    assert found["g1"].state == "did not run"


def test_another_who_answers_after_planning_again_is_said() -> None:
    replan = Replanned(step="t1", reason="longer", before="a", after="b", endpoint="x:y/z", plan="p", at=2.0)
    mark = timeline(example_plans.film(), Result(replans=(replan,))).marks[0]
    assert mark.text.endswith("longer; x:y/z answers now")


def test_a_run_that_does_not_say_when_steps_began_shows_them_one_after_another_and_says_so() -> None:
    plan = example_plans.of_case("call_and_invoice")
    run = Result(seconds=6.0, actuals=tuple(Actual(step=step.id, seconds=2.0) for step in plan.chosen.steps))
    sheet = timeline(plan, run)
    assert not sheet.measured
    assert [row.actual.start for row in sheet.rows if row.actual] == [0.0, 2.0, 4.0]
    assert "was not recorded" in timeline_as_text(sheet) and "was not recorded" in timeline_svg.svg(plan, sheet)


def test_many_steps_alike_are_summed() -> None:
    plan = example_plans.many(40)
    actuals = [Actual(step=f"r{place}", began=place * 0.1, seconds=0.1, cached=place >= 30) for place in range(40)]
    sheet = timeline(plan, Result(seconds=5.0, actuals=tuple(actuals)))
    assert len(sheet.rows) == 4
    rest = sheet.rows[2]
    assert (rest.count, rest.what, rest.cached) == (38, "38 more like these", 10)
    assert rest.actual is not None and rest.actual.start == 0.2 and rest.actual.end == pytest.approx(3.0)
    assert rest.planned is not None and rest.planned.end == pytest.approx(12.0)


def test_nothing_ran_is_a_timeline_too() -> None:
    sheet = timeline(example_plans.film(), Result())
    assert timeline_as_text(sheet).count("did not run") == 7
    ET.fromstring(timeline_svg.svg(example_plans.film(), sheet))
    empty = timeline_as_text(timeline(example_plans.many(1), Result(seconds=0.0)))
    assert "0 s taken" in empty


# ---- as text ---------------------------------------------------------------------------------------


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


@pytest.mark.parametrize("width", [24, 30, 50, 63, 64, 80, 116, 140])
def test_a_text_timeline_fits_any_terminal(width: int) -> None:
    wide = msgspec.structs.replace(
        example_plans.film().chosen, steps=tuple(
            msgspec.structs.replace(step, title=f"会議の録音{step.title}") for step in example_plans.film().chosen.steps
        ),
    )  # fmt: skip
    for plan in (
        example_plans.film(),
        msgspec.structs.replace(example_plans.film(), chosen=wide),
        example_plans.of_case("call_and_invoice"),
    ):
        text = timeline_as_text(timeline(plan, example_plans.film_run()), width)
        long = [line for line in text.splitlines() if columns(line) > width]
        assert not long, long


def test_bars_are_as_long_as_the_times_they_stand_for() -> None:
    plan = example_plans.of_case("call_and_invoice")
    hear, read, last = plan.chosen.steps
    run = Result(
        seconds=10.0,
        actuals=(
            Actual(step=hear.id, began=0.0, load_seconds=1.0, seconds=4.0),
            Actual(step=read.id, began=5.0, seconds=1.0),
            Actual(step=last.id, began=6.0, seconds=4.0),
        ),
    )
    lines = timeline_as_text(timeline(plan, run), 116).splitlines()[:-1]  # without the legend
    planned, took = [line for line in lines if " plan " in line], [line for line in lines if " took " in line]
    assert len(planned) == len(took) == 3
    cells = [sum(line.count(glyph) for glyph in "█▓") for line in took]
    assert cells[0] == pytest.approx(5 * cells[1], abs=3) and cells[2] == pytest.approx(4 * cells[1], abs=3)
    assert took[0].count("▓") == pytest.approx(cells[0] / 5, abs=1)
    assert took[1].index("█") == pytest.approx(took[0].rindex("█") + 1, abs=1), "it begins where the other ended"
    assert planned[0].rstrip().endswith("0.6 + 8.2 s") and took[1].rstrip().endswith("1.0 s")


def test_plain_text_is_ascii_for_terminals_that_have_nothing_else() -> None:
    text = timeline_as_text(timeline(example_plans.of_case("call_and_invoice"), Result()), 100, plain=True)
    assert text.isascii() and "----" in text


def test_names_cannot_drive_the_terminal() -> None:
    text = timeline_as_text(timeline(example_plans.film(), example_plans.film_run()))
    assert "\x07" not in text and "\u202e" not in text and "\x1b" not in text


def test_ticks_are_round_and_few() -> None:
    for end in (0.001, 0.3, 1.0, 7.7, 16.2, 59.0, 600.0, 5000.0):
        for most in (2, 5, 9):
            found = ticks(end, most)
            assert found[0] == 0 and len(found) <= most + 1 and found[-1] <= end + 1e-9
            steps = {round(b - a, 6) for a, b in itertools.pairwise(found)}
            assert len(steps) <= 1


# ---- as an image ----------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_has_a_row_per_step_and_a_line_per_event() -> None:
    sheet = timeline(example_plans.film(), example_plans.film_run())
    source = timeline_svg.svg(example_plans.film(), sheet)
    root = ET.fromstring(source)
    groups = [group.get("class", "") for group in root.iter(f"{SVG}g")]
    assert groups.count("row") == len(sheet.rows) == 9
    assert sorted(name for name in groups if name.startswith("mark")) == ["mark check", "mark replan", "mark retry"]
    assert "<b" not in source and timeline_svg.svg(example_plans.film(), sheet) == source
    ids = re.findall(r'\bid="([^"]+)"', source)
    assert len(set(ids)) == 2 and not set(ids) & set(re.findall(r'\bid="([^"]+)"', example_plans.film().svg()))


def test_a_long_title_goes_on_in_a_second_line_and_nothing_lies_under_it() -> None:
    words = [f"recording{number}.wav" for number in range(9)]
    long = msgspec.structs.replace(
        example_plans.film(), headline=f"LLM call after conversions: {' '.join(words)} become text"
    )
    sheet = timeline(long, example_plans.film_run())
    root = ET.fromstring(timeline_svg.svg(long, sheet))
    texts = [(float(each.get("y", "0")), each.text or "") for each in root.iter(f"{SVG}text")]
    shown = " ".join(text for y, text in texts if y < 60 and not text.startswith("planned"))
    assert all(word in shown for word in words), shown
    below = min(y for y, text in texts if text.startswith("planned"))
    assert max(y for y, text in texts if ".wav" in text and y < 60) < below


def test_bars_of_the_picture_stay_on_its_axis() -> None:
    sheet = timeline(example_plans.film(), example_plans.film_run())
    root = ET.fromstring(timeline_svg.svg(example_plans.film(), sheet))
    filled = [
        rect
        for rect in root.iter(f"{SVG}rect")
        if rect.get("class") in ("planned", "took", "planned-load", "took-load")
    ]
    left, right = timeline_svg.MARGIN + timeline_svg.LABEL, timeline_svg.MARGIN + timeline_svg.LABEL + timeline_svg.AXIS
    assert len(filled) == 4 + 8 + 8, "the legend, what was planned and loaded, what was done and loaded"
    for rect in filled:
        x, wide = float(rect.get("x", 0)), float(rect.get("width", 0))
        assert left - 0.1 <= x and x + wide <= right + 2.1


# ---- the table above -------------------------------------------------------------------------------


def test_the_table_tells_what_checks_found_and_where_the_plan_was_made_again() -> None:
    text = explain_analyze(example_plans.film(), example_plans.film_run())
    assert 'Check transcript of talk.mp4: the transcript repeats "thank you" 40 times' in text
    assert "Check reading of 2 files: fine" in text
    assert "Check answer against its schema" not in text, "nobody looked"
    assert "Planned again after 4.8 s, in 2.1 ms: the transcript repeats itself" in text
    assert "not needed: up to $0.003, 35 s for what the checks did not find" in text
    assert "not in the plan: Answer  desk:qwen/qwen3-8b  6.6 s" in text
    assert "Check" not in explain_analyze(example_plans.of_case("call_and_invoice"), Result()), (
        "no check looked at anything"
    )


def test_a_problem_no_check_was_planned_for_is_told_too() -> None:
    plan = example_plans.many(1)
    run = fold([])
    assert "Check" not in explain_analyze(plan, run)
    found = msgspec.structs.replace(example_plans.film_run(), actuals=())
    assert 'Check transcript: the transcript repeats "thank you" 40 times' in explain_analyze(plan, found)


def test_retries_are_part_of_a_result() -> None:
    retry = Retrying(step="t1", reason="busy", at=0.5)
    assert fold([retry]).retries == (retry,)
