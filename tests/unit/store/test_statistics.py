"""What earlier runs took, as the planner reads it."""

from __future__ import annotations

import hashlib
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from intermodal.core.quantity import Quantity
from intermodal.events import Usage
from intermodal.plans.statistics import Statistics
from intermodal.store import learned_figures
from intermodal.store.database import Store
from intermodal.store.epochs import rows_until_update
from intermodal.store.learned_figures import EPOCH_ROWS, WINDOW
from intermodal.store.pruning import RetentionPolicy
from intermodal.store.rows import AttemptOutcome, AttemptRow, Range, Reservation, TransformRow, Work

_RUNS = count()


def add(
    store: Store, *, op: str = "generate", zone: str = "process", work: Work | None = None, run: str = "",
    output: str = "", endpoint: str = "e", promised: Range | None = None, **outcome: object,
) -> None:  # fmt: skip
    key = store.reserve(
        Reservation(
            run=run or f"r{next(_RUNS)}", step="s", op=op, task="t", endpoint=endpoint, zone=zone,  # type: ignore[arg-type]
            work=work or Work(), seconds=2.0, input_tokens=100.0, output=output,
            seconds_range=promised,
        )
    )  # fmt: skip
    store.mark_sent(key)
    store.settle(key, AttemptOutcome(**outcome))  # type: ignore[arg-type]


def chat(store: Store, tokens: int, first: float, out: int = 11, decode: float = 10.0, **more: Any) -> None:
    usage = Usage(input_tokens=tokens, output_tokens=out)
    add(store, usage=usage, first_seconds=first, seconds=first + (out - 1) / decode, **more)


def learned(store: Store, figure: str, endpoint: str = "e") -> Quantity:
    return store.statistics().rows[f"{endpoint}|{figure}"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.sqlite3")


# ---- speeds -------------------------------------------------------------------------------------


def test_speeds_of_a_local_model_come_out_as_they_went_in(store: Store) -> None:
    for tokens in (100, 200, 300, 400, 500, 600, 700, 800, 900, 1000):
        chat(store, tokens, first=0.2 + tokens / 500)
    assert learned(store, "prompt").mid == pytest.approx(500, rel=0.02)
    assert learned(store, "overhead").mid == pytest.approx(0.2, rel=0.05)
    assert learned(store, "decode").mid == pytest.approx(10, rel=0.02)
    assert "10 runs" in learned(store, "prompt").basis


def test_without_first_outputs_waiting_reading_and_writing_come_from_the_whole(store: Store) -> None:
    chance = random.Random(7)
    for _ in range(40):
        tokens, out = round(10 ** chance.uniform(1.5, 3.5)), round(10 ** chance.uniform(0.5, 2.5))
        seconds = 0.4 + tokens / 800 + out / 25
        add(store, usage=Usage(input_tokens=tokens, output_tokens=out), seconds=seconds)
    for figure, value in (("overhead", 0.4), ("prompt", 800), ("decode", 25)):
        assert learned(store, figure).mid == pytest.approx(value, rel=0.1), figure


@pytest.mark.parametrize("zone", ["process", "internet"])
def test_the_seconds_of_a_picture_are_learned_from_one_and_from_several(store: Store, zone: str) -> None:
    for pictures in (1, 2, 4, 1, 2, 4, 1, 2, 4, 3):
        usage = Usage(input_tokens=9, output_tokens=272 * pictures)
        add(store, op="draw", work=Work(pictures=pictures), seconds=0.5 + 6 * pictures, usage=usage, zone=zone)
    assert learned(store, "picture").mid == pytest.approx(6, rel=0.1)


def test_drawing_here_is_learned_by_evaluations_and_pixels(store: Store) -> None:
    """Twenty images of several sizes and steps, each a tenth quicker or slower: the next is off by little."""
    chance = random.Random(11)
    for _ in range(20):
        made, evaluations = chance.choice([0.07, 0.26, 0.59, 1.05]), chance.choice([4, 8, 20, 40])
        seconds = (0.4 + 2.5 * made * evaluations + 12.0 * made) * chance.uniform(0.9, 1.1)
        add(store, op="draw", work=Work(pictures=1, denoised=made * evaluations, made=made), seconds=seconds)
    assert learned(store, "denoise").mid == pytest.approx(2.5, rel=0.1)
    assert learned(store, "latent").mid == pytest.approx(12.0, rel=0.3)
    rows = store.statistics().rows
    assert "e|picture" not in rows, "which is of hosts that are told no steps"


@pytest.mark.parametrize(("out", "decode"), [(0, 0.0), (2, 0.05)], ids=["vectors", "letters"])
def test_the_seconds_of_scores_are_learned_within_a_few_runs(store: Store, out: int, decode: float) -> None:
    """After 20 runs, each of which may be a fifth off, the next is told within 1.3 times, whatever a catalog said."""
    chance = random.Random(5)
    for _ in range(20):
        tokens = chance.choice((40, 60, 90, 130, 300))
        took = (0.03 + 0.001 * tokens + decode * out) * math.exp(chance.gauss(0, 0.2))
        add(store, op="score", usage=Usage(input_tokens=tokens, output_tokens=out), seconds=took)
    for tokens in (40, 130, 300):
        wrote = out / learned(store, "decode").mid if out else 0.0
        told = learned(store, "overhead").mid + tokens / learned(store, "prompt").mid + wrote
        assert max(told / (0.03 + 0.001 * tokens + decode * out), (0.03 + 0.001 * tokens + decode * out) / told) < 1.3


def test_scores_of_pictures_are_learned_by_picture_by_megapixel_and_by_caption(store: Store) -> None:
    """Few large images with few labels and many small ones with many: each is told within 1.1 times, one image with
    thirty labels as well, whose tokens are five times those of the image and take half as long."""
    chance = random.Random(9)

    def took(pictures: int, megapixels: float, labels: int) -> float:
        return 0.06 * pictures + 0.05 * megapixels + 0.0006 * 8 * labels

    for _ in range(20):
        pictures, labels = chance.choice((1, 1, 2, 4)), chance.choice((2, 3, 8, 30))
        megapixels = sum(chance.choice((0.03, 0.5, 3.0, 9.0)) for _ in range(pictures))
        usage = Usage(input_tokens=50 * pictures + 8 * labels, output_tokens=0)
        seconds = took(pictures, megapixels, labels) * math.exp(chance.gauss(0, 0.05))
        work = Work(pictures=pictures, megapixels=megapixels)
        add(store, op="score", work=work, usage=usage, told_image=50 * pictures, seconds=seconds)
    overhead, see, prompt = (learned(store, figure).mid for figure in ("overhead", "megapixel", "prompt"))
    for pictures, megapixels, labels in ((1, 0.03, 2), (1, 0.03, 30), (4, 20.0, 3), (1, 9.0, 2)):
        told = overhead * pictures + see * megapixels + 8 * labels / prompt
        assert told == pytest.approx(took(pictures, megapixels, labels), rel=0.1), (pictures, megapixels, labels)


@pytest.mark.parametrize("size", [1.0, 20.0])
def test_short_and_long_recordings_are_both_right(store: Store, size: float) -> None:
    chance = random.Random(3)
    for seconds in (1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0):
        took = (0.5 + 0.1 * seconds) * math.exp(chance.gauss(0, 0.05))
        add(store, op="transcribe", work=Work(audio_seconds=seconds), seconds=took, usage=Usage(output_tokens=5))
    expected = learned(store, "overhead").mid + size * learned(store, "realtime_factor").mid
    assert expected == pytest.approx(0.5 + 0.1 * size, rel=0.1)


def test_one_odd_run_moves_nothing(store: Store) -> None:
    for index in range(20):
        took = 60.0 if index == 11 else 0.4 + 0.5 * (1 + index / 4)
        add(store, op="read", work=Work(megapixels=1 + index / 4, pictures=1), seconds=took)
    assert learned(store, "overhead").mid + 2 * learned(store, "megapixel").mid == pytest.approx(1.4, rel=0.1)


def test_a_page_is_waited_for_as_often_as_there_are_pages(store: Store) -> None:
    for index in range(20):
        pages = 1 + index % 4
        took = pages * 0.5 + 2.0 * pages * 0.3
        add(store, op="read", work=Work(megapixels=2.0 * pages, pages=pages, pictures=pages), seconds=took)
    per_page = learned(store, "overhead").mid + 2 * learned(store, "megapixel").mid
    assert per_page == pytest.approx(1.1, rel=0.05)


def test_few_runs_are_drawn_to_the_shipped_row(store: Store) -> None:
    """Three clips of one length cannot tell waiting from work; the shipped proportion of the two stays."""
    whisper = "embedded:openai/whisper-base"  # shipped: overhead 0.1 s, 0.12 s a second
    for _ in range(10):
        add(store, op="transcribe", endpoint=whisper, work=Work(audio_seconds=10.0), seconds=2.6)
    overhead, factor = learned(store, "overhead", whisper).mid, learned(store, "realtime_factor", whisper).mid
    assert overhead + 10 * factor == pytest.approx(2.6, rel=0.05)
    assert 0.1 < overhead < 0.3 and factor > 0.2


# ---- one model at several endpoints ---------------------------------------------------------------


def alike(store: Store, slower: float = 1.0, rows: int = 5, zone: str = "internet") -> None:
    """Two hosts of a model, one asked often and one seldom, whose seconds vary by a fifth."""
    chance = random.Random(5)
    for number in range(60 + rows):
        often = number < 60
        host, factor = ("often", 1.0) if often else ("seldom", slower)
        tokens, out = chance.randrange(20, 400), chance.randrange(5, 60)
        noise = math.exp(chance.gauss(0, 0.2))
        first, rest = (0.03 + tokens / 4000) * factor * noise, (out - 1) / 200 * factor * noise
        usage = Usage(input_tokens=tokens, output_tokens=out)
        more = {"first_seconds": first, "seconds": first + rest, "zone": "internet" if often else zone}
        add(store, endpoint=f"{host}:acme/strong", usage=usage, **more)  # type: ignore[arg-type]
    store.learn()


@pytest.mark.parametrize("rows", [5, 20])
def test_two_endpoints_of_a_model_that_differ_by_chance_are_equally_fast(store: Store, rows: int) -> None:
    alike(store, rows=rows)
    for figure in ("overhead", "prompt", "decode"):
        one, other = learned(store, figure, "often:acme/strong"), learned(store, figure, "seldom:acme/strong")
        assert one.mid == other.mid, figure


def test_few_runs_of_a_model_are_drawn_to_what_it_took_elsewhere(store: Store) -> None:
    """A host of which nothing is known but five slow calls is not as slow as hosts usually are."""
    alike(store, slower=1.3)
    assert learned(store, "overhead", "seldom:acme/strong").mid < 0.1, "0.9 s is usual on the internet"


@pytest.mark.parametrize(("slower", "rows"), [(5.0, 10), (2.0, 60)])
def test_two_endpoints_of_a_model_that_differ_are_told_apart(store: Store, slower: float, rows: int) -> None:
    alike(store, slower=slower, rows=rows)
    one, other = learned(store, "decode", "often:acme/strong"), learned(store, "decode", "seldom:acme/strong")
    assert one.mid / other.mid == pytest.approx(slower, rel=0.25)


def test_another_kind_of_place_says_nothing_of_a_speed(store: Store) -> None:
    alike(store, rows=5, zone="network")
    speeds = [learned(store, "overhead", f"{host}:acme/strong").mid for host in ("often", "seldom")]
    assert speeds[0] != speeds[1]


def test_low_and_high_hold_four_of_five_further_runs(store: Store) -> None:
    chance = random.Random(11)

    def took(size: float) -> float:
        return float((0.3 + 0.2 * size) * math.exp(chance.gauss(0, 0.4)))

    for _ in range(60):
        size = chance.uniform(1, 30)
        add(store, op="transcribe", work=Work(audio_seconds=size), seconds=took(size))
    overhead, factor = learned(store, "overhead"), learned(store, "realtime_factor")
    inside = 0
    for _ in range(400):
        size = chance.uniform(1, 30)
        inside += overhead.low + size * factor.low <= took(size) <= overhead.high + size * factor.high
    assert 0.68 <= inside / 400 <= 0.92


def test_transforms_teach_the_media_workers_speed(store: Store) -> None:
    for pages in (1, 2, 5, 10, 20, 40, 80, 160, 300, 600):
        store.record_transform(TransformRow(op="extract", amount=pages, seconds=0.003 + 0.002 * pages))
    assert learned(store, "extract_page", "media").mid == pytest.approx(0.002, rel=0.05)
    assert learned(store, "worker", "media").mid == pytest.approx(0.003, rel=0.2)


def test_reasoning_is_learned_where_it_is_reported(store: Store) -> None:
    for hidden in (300, 290, 310, 305):
        usage = Usage(input_tokens=50, output_tokens=400)
        add(store, usage=usage, seconds=4.0, first_seconds=3.0, reasoning_tokens=hidden)
    for _ in range(6):
        add(store, op="embed", usage=Usage(input_tokens=10), seconds=0.1, endpoint="other")
    assert learned(store, "reasoning_tokens").mid == pytest.approx(300, rel=0.05), "nothing is assumed of this model"
    assert learned(store, "decode").mid < 200, "the first token that is seen is not the first that is made"


def test_thought_is_drawn_to_what_is_assumed_of_the_model_while_there_are_few_runs(store: Store) -> None:
    def thinks(times: int) -> float:
        for _ in range(times):
            usage = Usage(input_tokens=50, output_tokens=90)
            add(store, usage=usage, seconds=4.0, reasoning_tokens=40, endpoint="openai:openai/o3", output="fact")
        for _ in range(learned_figures.EPOCH_ROWS):
            add(store, op="embed", usage=Usage(input_tokens=10), seconds=0.1, endpoint="other")
        return learned(store, "reasoning_tokens", "openai:openai/o3").mid

    few, many = thinks(3), thinks(37)
    assert 40 < many < few < 700, "700 is assumed of medium effort"


def test_thought_is_learned_by_the_effort_that_was_asked_for(store: Store) -> None:
    for _ in range(5):
        for output, hidden in (("fact", 100), ("fact@high", 3000)):
            usage = Usage(input_tokens=50, output_tokens=hidden + 20)
            add(store, usage=usage, seconds=4.0, reasoning_tokens=hidden, output=output)
    assert learned(store, "reasoning_tokens").mid == 100 and learned(store, "reasoning_tokens@high").mid == 3000
    assert learned(store, "output_tokens_fact").mid < 60, "an answer is as long however long it was thought about"


@pytest.mark.slow
def test_answers_are_counted_by_kind_of_output(store: Store) -> None:
    for _ in range(60):
        chat(store, 100, first=0.5, out=20, output="fact")
        chat(store, 100, first=0.5, out=200, output="json")
    assert learned(store, "output_tokens_fact").mid < 40 and learned(store, "output_tokens_json").mid > 90


# ---- hygiene ------------------------------------------------------------------------------------


def test_cached_failed_and_unsettled_rows_teach_nothing(store: Store) -> None:
    for _ in range(4):
        chat(store, 100, first=0.5)
    for _ in range(10):
        chat(store, 100, first=50.0, cached=True)
        chat(store, 100, first=50.0, error="call")
        key = store.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="e"))
        store.mark_sent(key)
        store.estimate(key, AttemptOutcome(cost=None, seconds=90.0, first_seconds=80.0, usage=Usage(input_tokens=100)))
    expected = learned(store, "overhead").mid + 100 / learned(store, "prompt").mid
    assert expected == pytest.approx(0.5, rel=0.05)
    assert "4 runs" in learned(store, "prompt").basis


def test_a_run_that_had_to_be_tried_again_teaches_nothing(store: Store) -> None:
    for index in range(10):
        chat(store, 100, first=0.5)
        chat(store, 100, first=9.0, run=f"again{index}", error="overloaded")
        chat(store, 100, first=9.0, run=f"again{index}")
    assert learned(store, "overhead").mid + 100 / learned(store, "prompt").mid == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(("usual", "unusual", "low", "high"), [(0.0, 0.6, 0.45, 0.55), (0.6, 0.7, 0.8, 1.6)])
def test_runs_beside_unusual_other_work_teach_nothing(
    store: Store, usual: float, unusual: float, low: float, high: float
) -> None:
    """On a machine that is always busy, busy is how fast it is."""
    for _ in range(10):
        chat(store, 100, first=0.5, busy=usual)
        chat(store, 100, first=1.5, busy=unusual)
    assert low < learned(store, "overhead").mid + 100 / learned(store, "prompt").mid < high


def test_cold_rows_give_loading_and_speed_only_where_warm_ones_are_missing(store: Store) -> None:
    def first() -> float:
        return learned(store, "overhead").mid + 100 / learned(store, "prompt").mid

    for _ in range(10):
        chat(store, 100, first=1.0, load_seconds=2.0)
    assert learned(store, "load").mid == 2.0
    assert first() == pytest.approx(1.0, rel=0.05)
    for _ in range(10):
        chat(store, 100, first=0.5)
    assert first() == pytest.approx(0.5, rel=0.05)


def test_yesterday_counts_less_than_today(store: Store) -> None:
    for _ in range(60):
        chat(store, 100, first=0.5)
    for _ in range(60):
        chat(store, 100, first=0.1)
    assert learned(store, "overhead").mid + 100 / learned(store, "prompt").mid < 0.2


def test_two_rows_are_not_enough(store: Store) -> None:
    for _ in range(2):
        chat(store, 100, first=0.5)
    for _ in range(8):
        add(store, op="transcribe", error="call")
    assert store.statistics().rows == {}


def test_what_this_process_does_is_not_the_work_of_others(store: Store) -> None:
    """Busy on all processors: what others leave, or half of it at least."""
    processors = os.cpu_count() or 1

    def work() -> None:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            hashlib.pbkdf2_hmac("sha256", b"", b"", 10_000)  # others run meanwhile

    began = time.monotonic()
    key = store.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="e"))
    store.mark_sent(key)
    own = time.process_time()
    with ThreadPoolExecutor(processors) as pool:
        list(pool.map(lambda _: work(), range(processors)))
    own = time.process_time() - own
    store.settle(key, AttemptOutcome(seconds=0.3))
    share = own / ((time.monotonic() - began) * processors)  # of all that it was open for, or more
    (row,) = store.attempts()
    assert row.outcome is not None
    if row.outcome.busy is not None:  # the system says
        assert row.outcome.busy <= 1 - share + 0.1


# ---- counts -------------------------------------------------------------------------------------


def test_speech_is_counted_in_tokens_a_second(store: Store) -> None:
    for _ in range(30):
        work = Work(audio_seconds=10.0)
        add(store, op="transcribe", work=work, seconds=1.5, usage=Usage(output_tokens=20))
    assert learned(store, "tokens_per_second_of_speech").mid == pytest.approx(2.0, rel=0.06)


def test_counted_letters_are_corrected_and_without_any_tokens_are_learned_by_the_megapixel(store: Store) -> None:
    for _ in range(20):
        sampled = Work(megapixels=1.0, pictures=1, letters=720.0)
        add(store, op="read", work=sampled, seconds=1.0, usage=Usage(output_tokens=360), endpoint="a")
        add(store, op="read", work=Work(megapixels=2.0, pictures=1), seconds=1.0, usage=Usage(output_tokens=300))
    assert learned(store, "tokens_per_megapixel").mid == 150
    factor = learned(store, "reading_factor", "a").mid
    assert factor == pytest.approx(2.0, rel=0.1), "twice as much was read as the letters said"
    assert "a|tokens_per_megapixel" not in store.statistics().rows


def test_a_range_from_few_runs_is_wider_than_one_from_many() -> None:
    values = [(9.0, 1.0), (10.0, 1.0), (11.0, 1.0)]
    few, many = learned_figures.weighted_median(values, "few"), learned_figures.weighted_median(values * 100, "many")
    assert few.mid == many.mid == 10
    assert few.low < many.low < 9.6
    assert few.high > many.high > 10.4


def test_percentiles_of_known_series() -> None:
    assert learned_figures.percentile([1.0, 2.0, 3.0, 4.0, 5.0], 0.5) == 3.0
    assert learned_figures.percentile([0.0, 10.0], 0.9) == 9.0
    assert learned_figures.percentile([7.0], 0.1) == 7.0
    assert learned_figures.percentile([1.0, 2.0, float("inf")], 0.5) == 2.0


# ---- epochs -------------------------------------------------------------------------------------


def test_an_epoch_never_changes_once_it_is_there(store: Store) -> None:
    for _ in range(10):
        chat(store, 100, first=0.5)
    first = msgspec.json.encode(store.statistics())
    assert store.statistics().epoch == 1
    for _ in range(9):
        chat(store, 5000, first=50.0)
        assert msgspec.json.encode(store.statistics()) == first, "a run between two plans changes nothing"
    chat(store, 5000, first=50.0)
    later = store.statistics()
    assert later.epoch == 2 and msgspec.json.encode(later) != first


@pytest.mark.slow
def test_more_of_the_same_is_no_reason_for_another_epoch(store: Store) -> None:
    for _ in range(200):
        chat(store, 100, first=0.5)
    settled = store.statistics().epoch
    for _ in range(100):
        chat(store, 100, first=0.5)
    assert store.statistics().epoch == settled < 10


def test_two_clients_of_one_store_see_the_same_epoch(store: Store) -> None:
    for _ in range(10):
        chat(store, 100, first=0.5)
    other = Store(store.path)
    assert msgspec.json.encode(other.statistics()) == msgspec.json.encode(store.statistics())


def test_a_store_in_which_all_failed_is_not_read_through_for_every_plan(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    work_out = learned_figures.of_endpoints

    def counted(
        epoch: int, endpoints: Sequence[str], rows_of: Callable[[str], list[AttemptRow]], *rest: Any
    ) -> Statistics:
        read.append(len(endpoints))
        return work_out(epoch, endpoints, rows_of, *rest)

    monkeypatch.setattr(learned_figures, "of_endpoints", counted)
    for _ in range(25):
        key = store.reserve(Reservation(run=f"r{next(_RUNS)}", step="s", op="generate", task="t", endpoint="e"))
        store.mark_sent(key)
        store.void(key, AttemptOutcome(error="call"))
        assert store.statistics().epoch == 0
    assert read == [1, 1], "after 10 rows, and after 20"
    assert Store(store.path).statistics().rows == {} and read == [1, 1], "another process goes by that"
    for _ in range(20):
        chat(store, 100, first=0.5)
    assert store.statistics().epoch == 1 and learned(store, "decode").mid > 0
    store.prune(RetentionPolicy(seconds=0.0, rows=0))
    assert store.statistics().epoch == 1 and len(store.summary().grades) > 0


def test_reading_statistics_writes_nothing(store: Store) -> None:
    assert store.statistics().rows == {} and not store.path.exists()


# ---- usage --------------------------------------------------------------------------------------


def test_usage_adds_up_tokens_money_and_grades_estimates(store: Store) -> None:
    add(store, usage=Usage(input_tokens=50, output_tokens=5), cost=0.25, seconds=4.0)
    add(store, usage=Usage(input_tokens=200, output_tokens=5), cost=0.5, seconds=1.0)
    store.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="other", cost_high=1.0))
    summary = store.summary()
    assert summary.cost == 1.75 and summary.open == 1 and summary.attempts == 3
    first = next(usage for usage in summary.endpoints if usage.endpoint == "e")
    assert (first.input_tokens, first.output_tokens, first.cost, first.seconds) == (250, 10, 0.75, 5.0)
    grades = {(grade.endpoint, grade.op, grade.figure): grade for grade in summary.grades}
    assert grades["e", "generate", "input_tokens"].median == 2.0
    assert grades["e", "generate", "seconds"].median == 2.0
    assert grades["e", "generate", "seconds"].before == 2.0


def test_grades_tell_what_was_planned_before_from_what_was_planned_after_learning(store: Store) -> None:
    for _ in range(10):
        add(store, usage=Usage(input_tokens=100, output_tokens=5), seconds=8.0)
    assert store.statistics().epoch == 1
    for _ in range(4):
        add(store, usage=Usage(input_tokens=100, output_tokens=5), seconds=2.5)
    (grade,) = (grade for grade in store.summary().grades if grade.figure == "seconds")
    assert (grade.before, grade.median, grade.count) == (4.0, 1.25, 4)


def test_an_actual_of_nothing_is_left_out_of_the_grade(store: Store) -> None:
    for run, tokens in enumerate((0, 16, 0)):
        row = Reservation(run=f"n{run}", step="s", op="read", task="t", endpoint="e", output_tokens=8.0)
        key = store.reserve(row)
        store.mark_sent(key)
        store.settle(key, AttemptOutcome(usage=Usage(output_tokens=tokens)))
    (grade,) = (grade for grade in store.summary().grades if grade.figure == "output_tokens")
    assert (grade.count, grade.median, grade.p90) == (1, 2.0, 2.0)


def test_a_void_row_takes_its_reservation_back(store: Store) -> None:
    key = store.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="e", cost_high=1.0))
    assert store.summary().cost == 1.0
    store.void(key)
    assert store.summary().cost == 0.0


# ---- drift --------------------------------------------------------------------------------------


def heard(store: Store, seconds: float, promised: tuple[float, float], endpoint: str) -> None:
    key = store.reserve(
        Reservation(
            run=f"d{next(_RUNS)}", step="s", op="transcribe", task="t", endpoint=endpoint, seconds=sum(promised) / 2,
            seconds_range=Range(low=promised[0], high=promised[1]), work=Work(audio_seconds=10.0),
        )
    )  # fmt: skip
    store.mark_sent(key)
    store.settle(key, AttemptOutcome(seconds=seconds))


def test_a_recording_without_speech_teaches_no_speed_of_a_transcriber(store: Store) -> None:
    work = Work(audio_seconds=60.0)
    for _ in range(12):
        add(store, op="transcribe", work=work, usage=Usage(output_tokens=150), seconds=6.0)
    taught = learned(store, "realtime_factor"), learned(store, "tokens_per_second_of_speech")
    for _ in range(40):
        add(store, op="transcribe", work=work, usage=Usage(output_tokens=0), seconds=0.3)
    after = learned(store, "realtime_factor"), learned(store, "tokens_per_second_of_speech")
    assert [each.mid for each in after] == pytest.approx([each.mid for each in taught], rel=0.02)


def test_a_transcriber_that_takes_long_over_music_is_known_to(store: Store) -> None:
    """It finds no words, and has tried again and again: what was promised was no time of it."""
    sound = {"op": "transcribe", "work": Work(audio_seconds=5.0), "promised": Range(low=0.5, high=2.0)}
    for _ in range(6):
        add(store, usage=Usage(output_tokens=12), seconds=1.0, **sound)  # type: ignore[arg-type]
    for _ in range(14):
        add(store, usage=Usage(output_tokens=0), seconds=30.0, **sound)  # type: ignore[arg-type]
    overhead, factor = learned(store, "overhead"), learned(store, "realtime_factor")
    assert overhead.high + 5 * factor.high > 25
    assert "transcribe seconds" in {drift.figure for drift in store.drifts()}


def test_nothing_is_said_where_nothing_is_known_or_all_is_as_promised(store: Store) -> None:
    assert store.drifts() == ()
    for _ in range(12):
        heard(store, 1.3, (0.9, 2.1), "embedded:openai/whisper-base")
    assert store.drifts() == ()


def test_a_shipped_speed_that_is_wrong_here_is_named_with_its_evidence(store: Store) -> None:
    whisper = "embedded:openai/whisper-base"  # shipped: 0.12 (0.08 .. 0.2) seconds a second
    for seconds in range(3, 23):
        key = store.reserve(
            Reservation(run=f"w{seconds}", step="s", op="transcribe", task="t", endpoint=whisper,
                        work=Work(audio_seconds=float(seconds)))
        )  # fmt: skip
        store.mark_sent(key)
        store.settle(key, AttemptOutcome(seconds=0.1 + 0.9 * seconds))
    found = {drift.figure: drift for drift in store.drifts()}
    drift = found["realtime_factor"]
    assert drift.endpoint == whisper and drift.count == 20 and drift.learned
    assert (drift.stated.low, drift.stated.high) == (0.08, 0.2) and drift.seen.low > 0.5
    assert drift.q_error > 4 and drift.since.startswith("20")


def test_promises_that_are_not_kept_are_named_until_they_are_learned(store: Store) -> None:
    for _ in range(9):
        heard(store, 9.0, (0.5, 2.0), "e")
    (drift,) = store.drifts()
    assert (drift.figure, drift.count, drift.learned) == ("transcribe seconds", 9, False)
    assert drift.q_error == pytest.approx(7.2)
    heard(store, 9.0, (0.5, 2.0), "e")
    assert store.statistics().epoch == 1 and all(drift.learned for drift in store.drifts())
    for _ in range(6):
        heard(store, 9.0, (7.0, 11.0), "e")
    assert store.drifts() == ()


def test_silent_recordings_are_no_evidence_that_a_transcriber_is_off(store: Store) -> None:
    """They take no time, whatever was promised; those with words are judged as ever."""
    sound = {"op": "transcribe", "work": Work(audio_seconds=60.0), "promised": Range(low=1.0, high=4.0)}
    for _ in range(20):
        add(store, seconds=0.05, usage=Usage(output_tokens=0), **sound)  # type: ignore[arg-type]
    assert not [each for each in store.drifts() if each.figure == "transcribe seconds"]
    for _ in range(20):
        add(store, seconds=0.05, usage=Usage(output_tokens=100), **sound)  # type: ignore[arg-type]
    (drift,) = (each for each in store.drifts() if each.figure == "transcribe seconds")
    assert drift.seen.high == 0.05 and drift.stated.low == 1.0


@pytest.mark.parametrize(("looked", "rows"), [(0, EPOCH_ROWS), (80, 10), (400, 50), (100_000, WINDOW)])
def test_a_store_of_few_rows_is_learned_from_every_ten_and_one_of_many_before_any_row_leaves_the_window(
    looked: int, rows: int
) -> None:
    assert rows_until_update(looked) == rows
