"""What earlier runs took, as the planner reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from intermodal.events import Usage
from intermodal.store import figures
from intermodal.store.database import Store
from intermodal.store.rows import Outcome, Reservation, Work


def add(
    store: Store, *, op: str = "generate", zone: str = "process", work: Work | None = None, **outcome: object
) -> None:
    key = store.reserve(
        Reservation(
            run="r", step="s", op=op, task="t", endpoint="e", zone=zone, work=work or Work(),  # type: ignore[arg-type]
            seconds=2.0, input_tokens=100.0,
        )
    )  # fmt: skip
    store.sent(key)
    store.settle(key, Outcome(**outcome))  # type: ignore[arg-type]


def chat(store: Store, tokens: int, first: float, out: int = 11, decode: float = 10.0, **more: Any) -> None:
    usage = Usage(input_tokens=tokens, output_tokens=out)
    add(store, usage=usage, first_seconds=first, seconds=first + (out - 1) / decode, **more)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.sqlite3")


def test_speeds_of_a_local_model_come_out_as_they_went_in(store: Store) -> None:
    for tokens in (100, 200, 300, 400, 500, 600, 700, 800, 900, 1000):
        chat(store, tokens, first=0.2 + tokens / 500)
    statistics = store.statistics()
    prompt, overhead, decode = (statistics.get("e", figure) for figure in ("prompt", "overhead", "decode"))
    assert prompt is not None and prompt.mid == pytest.approx(500, rel=0.02)
    assert overhead is not None and overhead.mid == pytest.approx(0.2, rel=0.02)
    assert decode is not None and decode.mid == pytest.approx(10, rel=0.02)
    assert "10 runs" in prompt.basis


@pytest.mark.parametrize(("zone", "figure", "value"), [("process", "prompt", 200.0), ("internet", "overhead", 0.5)])
def test_with_prompts_of_one_size_time_is_work_here_and_waiting_elsewhere(
    store: Store, zone: str, figure: str, value: float
) -> None:
    for _ in range(10):
        chat(store, 100, first=0.5, zone=zone)
    found = store.statistics()
    assert found.get("e", figure) is not None and found.rows[f"e|{figure}"].mid == pytest.approx(value)
    assert ("e|prompt" in found.rows) != ("e|overhead" in found.rows)


def test_an_epoch_never_changes_once_it_is_there(store: Store) -> None:
    for _ in range(10):
        chat(store, 100, first=0.5)
    first = msgspec.json.encode(store.statistics())
    for _ in range(9):
        chat(store, 5000, first=50.0)
        assert msgspec.json.encode(store.statistics()) == first, "a run between two plans changes nothing"
    chat(store, 5000, first=50.0)
    later = store.statistics()
    assert later.epoch == 2 and msgspec.json.encode(later) != first


def test_cached_failed_and_unsettled_rows_teach_nothing(store: Store) -> None:
    for _ in range(4):
        chat(store, 100, first=0.5)
    for _ in range(10):
        chat(store, 100, first=50.0, cached=True)
        chat(store, 100, first=50.0, error="call")
        key = store.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="e"))
        store.sent(key)
        store.estimate(key, Outcome(cost=None, seconds=90.0, first_seconds=80.0, usage=Usage(input_tokens=100)))
    learned = store.statistics().rows["e|prompt"]  # 4 runs at 200: a margin of 1 + 2 / sqrt(4)
    assert (learned.low, learned.mid, learned.high) == (pytest.approx(100), pytest.approx(200), pytest.approx(400))


def test_cold_rows_give_loading_and_speed_only_where_warm_ones_are_missing(store: Store) -> None:
    for _ in range(10):
        chat(store, 100, first=1.0, load_seconds=2.0)
    assert store.statistics().rows["e|load"].mid == 2.0
    assert store.statistics().rows["e|prompt"].mid == pytest.approx(100)
    for _ in range(10):
        chat(store, 100, first=0.5)
    assert store.statistics().rows["e|prompt"].mid == pytest.approx(200)


def test_two_rows_are_not_enough(store: Store) -> None:
    for _ in range(2):
        chat(store, 100, first=0.5)
    for _ in range(8):
        add(store, op="transcribe", error="call")
    assert store.statistics().rows == {}


def test_ears_and_eyes_are_measured_against_their_work(store: Store) -> None:
    for _ in range(5):
        sound = Work(audio_seconds=10.0)
        add(store, op="transcribe", work=sound, seconds=1.5, usage=Usage(output_tokens=25))
    for _ in range(5):
        add(store, op="read", work=Work(megapixels=2.0), seconds=1.0, usage=Usage(output_tokens=300))
    rows = store.statistics().rows
    assert rows["e|realtime_factor"].mid == 0.15 and rows["e|tokens_per_second_of_speech"].mid == 2.5
    assert rows["e|megapixel"].mid == 0.5 and rows["e|tokens_per_megapixel"].mid == 150
    assert "e|page" not in rows


def test_percentiles_of_known_series() -> None:
    assert figures.percentile([1.0, 2.0, 3.0, 4.0, 5.0], 0.5) == 3.0
    assert figures.percentile([0.0, 10.0], 0.9) == 9.0
    assert figures.percentile([7.0], 0.1) == 7.0
    assert figures.percentile([1.0, 2.0, float("inf")], 0.5) == 2.0


def test_usage_adds_up_tokens_money_and_grades_estimates(store: Store) -> None:
    add(store, usage=Usage(input_tokens=50, output_tokens=5), cost=0.25, seconds=4.0)
    add(store, usage=Usage(input_tokens=200, output_tokens=5), cost=0.5, seconds=1.0)
    store.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="other", cost_high=1.0))
    summary = store.summary()
    assert summary.cost == 1.75 and summary.open == 1 and summary.attempts == 3
    first = next(usage for usage in summary.endpoints if usage.endpoint == "e")
    assert (first.input_tokens, first.output_tokens, first.cost, first.seconds) == (250, 10, 0.75, 5.0)
    grades = {(grade.op, grade.figure): grade for grade in summary.grades}
    assert grades["generate", "input_tokens"].median == 2.0
    assert grades["generate", "seconds"].median == 2.0


def test_an_actual_of_nothing_is_left_out_of_the_grade(store: Store) -> None:
    for tokens in (0, 16, 0):
        key = store.reserve(Reservation(run="r", step="s", op="read", task="t", endpoint="e", output_tokens=8.0))
        store.sent(key)
        store.settle(key, Outcome(usage=Usage(output_tokens=tokens)))
    (grade,) = (grade for grade in store.summary().grades if grade.figure == "output_tokens")
    assert (grade.count, grade.median, grade.p90) == (1, 2.0, 2.0)


def test_a_void_row_takes_its_reservation_back(store: Store) -> None:
    key = store.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="e", cost_high=1.0))
    assert store.summary().cost == 1.0
    store.void(key)
    assert store.summary().cost == 0.0


def test_a_range_from_few_runs_is_wider_than_one_from_many() -> None:
    few, many = figures.spread([9.0, 10.0, 11.0], "few"), figures.spread([9.0, 10.0, 11.0] * 100, "many")
    assert few.mid == many.mid == 10
    assert few.low < many.low < 9
    assert few.high > many.high > 11
