"""What servers count, beside our rules: learned per endpoint and kind, and said."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from intermodal.core.quantity import Quantity
from intermodal.cost_model.token_calibration import calibration_text
from intermodal.events import Usage
from intermodal.store.database import Store
from intermodal.store.rows import AttemptOutcome, Reservation, Work

_RUNS = count()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.sqlite3")


def call(store: Store, work: Work, told: int, *, endpoint: str = "h:m", op: str = "generate", **outcome: Any) -> None:
    key = store.reserve(
        Reservation(run=f"r{next(_RUNS)}", step="s", op=op, task="t", endpoint=endpoint, zone="internet", work=work)
    )
    store.mark_sent(key)
    store.settle(key, AttemptOutcome(usage=Usage(input_tokens=told, output_tokens=5), seconds=1.0, **outcome))


def learned(store: Store, figure: str) -> Quantity | None:
    return store.statistics().get("h:m", figure)


def test_a_server_that_counts_pictures_higher_is_known_after_some_runs(store: Store) -> None:
    for index in range(12):
        text, image = 200.0 + 40 * index, 765.0 + 170 * (index % 4)
        work = Work(text_tokens=text, text_exact=True, image_tokens=image, messages=1)
        call(store, work, round(text + 12 + 1.18 * image))
    factor = learned(store, "image_factor")
    assert factor is not None and factor.mid == pytest.approx(1.18, rel=0.02)
    assert calibration_text("h:m", store.statistics()).startswith("images x1.1") and "runs here" in factor.basis
    assert learned(store, "text_factor") is None, "an exact count needs no factor"


def test_where_text_is_counted_exactly_the_difference_is_framing(store: Store) -> None:
    for index in range(10):
        messages = 1 + index % 3
        work = Work(text_tokens=50.0 * (index + 1), text_exact=True, messages=messages)
        call(store, work, 50 * (index + 1) + 9 + 4 * messages)
    start, message = learned(store, "framing_start"), learned(store, "framing_message")
    assert start is not None and message is not None
    assert start.mid + message.mid == pytest.approx(13, abs=1) and start.mid + 3 * message.mid == pytest.approx(
        21, abs=1
    )


def test_text_without_its_vocabulary_gets_a_factor_and_not_all_of_it_is_framing(store: Store) -> None:
    for index in range(12):
        text = 100.0 * (1 + index)
        call(store, Work(text_tokens=text, messages=1), round(0.8 * text + 20))
    factor = learned(store, "text_factor")
    assert factor is not None and factor.mid == pytest.approx(0.8, rel=0.03)


def test_modalities_that_the_server_tells_apart_are_learned_apart(store: Store) -> None:
    for _ in range(10):  # always the same sizes: only what was told can tell them apart
        work = Work(text_tokens=100.0, text_exact=True, image_tokens=1000.0, audio_tokens=300.0, messages=1)
        call(store, work, 100 + 10 + 258 + 960, told_image=258, told_audio=960)
    image, audio = learned(store, "image_factor"), learned(store, "audio_factor")
    assert image is not None and image.mid == pytest.approx(0.258, rel=0.05)
    assert audio is not None and audio.mid == pytest.approx(3.2, rel=0.05)


def test_a_transcriber_that_is_billed_by_tokens_teaches_what_a_second_of_sound_is(store: Store) -> None:
    for seconds in range(10, 20):
        work = Work(audio_seconds=seconds, audio_tokens=10.0 * seconds)
        call(store, work, 25 * seconds, op="transcribe")
    factor = learned(store, "audio_factor")
    assert factor is not None and factor.mid == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize("odd", [{"cached": True}, {"error": "http"}])
def test_cached_and_failed_calls_teach_nothing_of_counting(store: Store, odd: dict[str, Any]) -> None:
    for _ in range(12):
        call(store, Work(text_tokens=100.0, messages=1), 300, **odd)
    assert calibration_text("h:m", store.statistics()) == ""


def test_a_cancelled_call_teaches_nothing_of_counting(store: Store) -> None:
    for _ in range(12):
        key = store.reserve(Reservation(run=f"r{next(_RUNS)}", step="s", op="generate", task="t", endpoint="h:m",
                                        work=Work(text_tokens=100.0, messages=1)))  # fmt: skip
        store.mark_sent(key)
        store.estimate(key, AttemptOutcome(usage=Usage(input_tokens=900), error="cancelled"))
    assert calibration_text("h:m", store.statistics()) == ""


def test_one_odd_count_moves_nothing(store: Store) -> None:
    for index in range(20):
        text = 100.0 * (1 + index % 5)
        call(store, Work(text_tokens=text, messages=1), 20_000 if index == 9 else round(text + 25))
    factor = learned(store, "text_factor")
    assert factor is not None and factor.mid == pytest.approx(1.0, rel=0.05)


def test_three_runs_are_drawn_to_the_rule_more_than_thirty(tmp_path: Path) -> None:
    found = []
    for runs in (10, 40):
        store = Store(tmp_path / f"{runs}.sqlite3")
        for index in range(runs):
            work = Work(text_tokens=100.0, text_exact=True, image_tokens=500.0, messages=1)
            call(store, work, round(125 + (1.3 + 0.02 * (index % 3 - 1)) * 500))
        factor = learned(store, "image_factor")
        assert factor is not None
        found.append(abs(factor.mid - 1.3))
    assert found[1] <= found[0] + 1e-9 and found[1] < 0.05


@pytest.mark.parametrize("lie", [lambda true: 0, lambda true: 1, lambda true: true * 10, lambda true: true + 10**6])
def test_a_server_whose_counts_cannot_be_teaches_nothing(store: Store, lie: Any) -> None:
    """Neither how it counts nor how fast it reads; a server that tells the truth beside it is learned from."""
    for index in range(20):
        text = 1000.0 * (1 + index % 5)
        work = Work(text_tokens=text, text_exact=True, messages=1)
        call(store, work, lie(round(text)), first_seconds=0.4)
        call(store, work, round(text) + 12, endpoint="h:true", first_seconds=0.4)
    figures = store.statistics()
    for name in ("framing_start", "framing_message", "text_factor", "prompt"):
        assert figures.get("h:m", name) is None, name
    honest = figures.get("h:true", "framing_start")
    assert honest is not None and honest.mid < 20


def test_why_a_count_cannot_be_is_said() -> None:
    from intermodal.store.learned_figures import implausible
    from intermodal.store.rows import AttemptRow

    reservation = Reservation(
        run="r", step="s", op="generate", task="t", endpoint="h:m", zone="internet",
        work=Work(text_tokens=1000.0, messages=1),
    )  # fmt: skip

    def told(tokens: int) -> str:
        outcome = AttemptOutcome(usage=Usage(input_tokens=tokens), seconds=1.0)
        return implausible(AttemptRow(id="a", reservation=reservation, state="settled", started="", outcome=outcome))

    assert told(10_000) == "it counted 10,000 tokens where between 250 and 5,500 can be"
    assert told(0) and not told(1012) and not told(3000)
