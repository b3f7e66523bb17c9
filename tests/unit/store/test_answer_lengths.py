"""How long answers are, learned from few."""

from __future__ import annotations

import math
import random
from itertools import count
from pathlib import Path
from statistics import median

import pytest

from intermodal.core.quantity import Quantity, q_error
from intermodal.core.request import JsonOutput, Message, Request
from intermodal.cost_model.answer_length import (
    expected_length,
    kind_of,
    kind_of_request,
    learned_length,
    log_deviation,
    typical_length,
)
from intermodal.events import Usage
from intermodal.plans.statistics import Statistics
from intermodal.store import answer_lengths
from intermodal.store.answer_lengths import ObservedAnswer
from intermodal.store.database import Store
from intermodal.store.rows import AttemptOutcome, Range, Reservation

_RUNS = count()
USUAL = typical_length("fact").mid


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.sqlite3")


def answered(
    store: Store, kind: str, tokens: int, times: int = 1, *, most: float = 512.0, looped: bool = False,
    cut: bool = False, thought: int | None = None,
) -> None:  # fmt: skip
    for _ in range(times):
        key = store.reserve(
            Reservation(
                run=f"l{next(_RUNS)}", step="s", op="generate", task="t", endpoint="e", zone="internet", output=kind,
                output_range=Range(low=1.0, high=most),
            )
        )  # fmt: skip
        store.mark_sent(key)
        usage = Usage(input_tokens=50, output_tokens=tokens)
        outcome = AttemptOutcome(usage=usage, seconds=1.0, cut=cut, reasoning_tokens=thought)
        (store.estimate if looped else store.settle)(key, outcome)


def length(store: Store, kind: str) -> Quantity:
    return store.learn().rows[f"e|output_tokens_{kind}"]


# ---- few say little ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_three_odd_answers_hardly_move_what_is_usual_and_hundreds_do(store: Store) -> None:
    answered(store, "fact", 400, 3)
    assert length(store, "fact").mid < 1.5 * USUAL
    answered(store, "fact", 400, 110)
    assert length(store, "fact").mid > 0.5 * 400


def test_twenty_answers_count_as_much_as_what_is_usual() -> None:
    found = answer_lengths.learn_lengths([ObservedAnswer("fact", 4 * USUAL)] * 20)["output_tokens_fact"].mid
    assert 2 * USUAL <= found < 2.6 * USUAL, "halfway, and the model is a talkative one otherwise"


def test_a_model_that_says_more_whatever_it_is_asked_is_expected_to_with_a_kind_it_was_never_asked(
    store: Store,
) -> None:
    for kind in ("fact", "word", "sentence", "whole"):
        answered(store, kind, round(4 * typical_length(kind).mid), 25)
    assert length(store, "list").mid > 1.5 * typical_length("list").mid
    assert length(store, "list").basis.startswith("0 of ")


def test_many_answers_of_one_kind_say_little_of_the_others(store: Store) -> None:
    answered(store, "word", 80, 100)
    assert length(store, "word").mid > 4 * typical_length("word").mid
    assert length(store, "fact").mid < 3 * USUAL


@pytest.mark.slow
def test_answers_as_long_as_usual_are_planned_no_worse_after_learning_than_before() -> None:
    """A stranger's mixed requests: 200 users of 60 each."""
    chance = random.Random(20)
    kinds = ("fact", "word", "other", "other_han", "long", "sentence")
    before, after, inside = [], [], []
    for _ in range(200):
        bias = math.exp(chance.gauss(0, 0.3))
        asked = [chance.choice(kinds) for _ in range(60)]
        tokens = [max(1.0, bias * typical_length(k).mid * math.exp(chance.gauss(0, log_deviation(k)))) for k in asked]
        known = Statistics()
        for place, (kind, actual) in enumerate(zip(asked, tokens, strict=True)):
            if place and place % 10 == 0:
                seen = [ObservedAnswer(*each) for each in zip(asked[:place], tokens[:place], strict=True)]
                known = Statistics(
                    rows={f"e|{name}": figure for name, figure in answer_lengths.learn_lengths(seen).items()}
                )
            found = expected_length(known, "e", kind)
            if found is not None:
                before.append(q_error(typical_length(kind).mid, actual))
                after.append(q_error(found.mid, actual))
                promised = learned_length(known, "e", kind)
                inside.append(promised is not None and promised.low <= actual <= promised.high)
    assert median(after) <= median(before)
    assert sum(inside) / len(inside) >= 0.94


# ---- what is left out, and what is censored --------------------------------------------------------------


def test_answers_that_were_cut_do_not_make_the_next_ones_look_short(store: Store) -> None:
    """A limit of 24 lets only the short ones end: the others were 24 tokens at least."""
    answered(store, "long", 20, 10)
    short = length(store, "long").mid
    answered(store, "long", 24, 50, cut=True)
    assert length(store, "long").mid > short, "not what those that ended say, and surely not less"
    assert length(store, "long").mid > 4 * 24


def test_an_answer_that_ran_into_a_high_limit_was_long(store: Store) -> None:
    answered(store, "fact", 512, 30, cut=True)
    assert length(store, "fact").mid > 2 * USUAL


def test_rows_of_an_older_version_tell_by_the_limit_that_they_were_cut(store: Store) -> None:
    answered(store, "long", 24, 60, most=24.0)
    assert length(store, "long").mid == pytest.approx(typical_length("long").mid, rel=0.02)


def test_an_answer_that_was_stopped_because_it_repeated_itself_teaches_nothing(store: Store) -> None:
    answered(store, "fact", 50, 10)
    taught = length(store, "fact")
    answered(store, "fact", 500, 20, looped=True)
    assert length(store, "fact") == taught


def test_what_is_thought_before_an_answer_is_no_part_of_its_length(store: Store) -> None:
    answered(store, "fact", 1055, 30, thought=1000)
    assert length(store, "fact").mid == pytest.approx(55, rel=0.05)


# ---- kinds apart --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "script"),
    [
        ("Wer hat das geschrieben?", ""), ("Кто это?", "cyrillic"), ("Ποιος;", "greek"), ("这是什么?", "han"),
        ("これは何ですか", "kana"), ("누구?", "hangul"), ("من هذا؟", "arabic"), ("מי זה?", "hebrew"),
        ("यह क्या है?", "indic"), ("นี่คืออะไร", "thai"), ("What does 大 mean?", ""),
    ],
)  # fmt: skip
def test_questions_of_another_script_are_a_kind_of_their_own(question: str, script: str) -> None:
    assert kind_of(question).partition("_")[2] == script


@pytest.mark.slow
def test_a_language_is_learned_apart_and_until_then_taken_for_the_others_of_its_kind(store: Store) -> None:
    answered(store, "other", 60, 100)
    assert expected_length(store.learn(), "e", "other_han") == expected_length(store.learn(), "e", "other")
    answered(store, "other_han", 400, 60)
    assert length(store, "other_han").mid > 1.5 * length(store, "other").mid


def test_values_for_a_large_schema_are_longer_than_those_for_a_small_one(store: Store) -> None:
    fields = {f"field_{number}": {"type": "string", "description": "what is said of it"} for number in range(40)}
    schema = {"type": "object", "properties": fields}
    large = kind_of_request(Request(messages=(Message(role="user", parts=()),), output=JsonOutput(schema=schema)))
    answered(store, "json", 100, 100)
    found = expected_length(store.learn(), "e", large)
    assert found is not None and found.mid > 4 * 90


# ---- money and time -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_money_is_planned_with_the_average_answer_and_time_with_the_middle_one(store: Store) -> None:
    """One of five is ten times as long: that is most of the bill, and not how long one waits."""
    for number in range(115):
        answered(store, "fact", 400 if number % 5 == 0 else 40)
    found = expected_length(store.learn(), "e", "fact")
    assert found is not None
    assert found.mid == pytest.approx(60, rel=0.25) and found.mean == pytest.approx(112, rel=0.15)
