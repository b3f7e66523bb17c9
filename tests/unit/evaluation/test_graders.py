"""What counts say, and how answers are compared: formulas against values worked out by others or by counting."""

from __future__ import annotations

import doctest
import itertools
import math
import random

import pytest

from intermodal.evaluation import graders, tiers
from intermodal.evaluation.dataset import Compare, EvalItem
from intermodal.evaluation.graders import RouteAnswer, grade


@pytest.mark.parametrize("module", [tiers, graders])
def test_examples_in_the_documentation_hold(module: object) -> None:
    done = doctest.testmod(module)  # type: ignore[arg-type]
    assert done.attempted and not done.failed


def test_the_interval_holds_its_level() -> None:
    """Of many samples about 95 in 100 intervals hold the true share, also where it is near an end."""
    draw = random.Random(7)
    for share in (0.05, 0.5, 0.9):
        held = 0
        for _ in range(2000):
            right = sum(draw.random() < share for _ in range(30))
            low, high = tiers.wilson_interval(right, 30)
            held += low <= share <= high
        assert 0.92 <= held / 2000 <= 0.985


def test_the_interval_stays_inside_and_holds_what_was_seen() -> None:
    for count in (1, 2, 20, 1000):
        for right in {0, 1, count // 2, count}:
            low, high = tiers.wilson_interval(right, count)
            assert 0 <= low <= right / count <= high <= 1
    assert tiers.wilson_interval(0, 0) == (0, 1)
    assert tiers.wilson_interval(0, 10) == (
        0,
        pytest.approx(0.2775, abs=1e-4),
    )  # Newcombe 1998, table of method 3
    assert tiers.wilson_interval(81, 263) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 5), (3, 3), (1, 9), (12, 4)])
def test_mcnemar_is_what_throwing_coins_gives(first: int, second: int) -> None:
    count = first + second
    as_far = sum(
        abs(sum(coins) - (count - sum(coins))) >= abs(first - second)
        for coins in itertools.product((0, 1), repeat=count)
    )
    assert tiers.mcnemar_test(first, second) == pytest.approx(as_far / 2**count)


def test_mcnemar_of_many_items_is_no_overflow() -> None:
    assert 0 < tiers.mcnemar_test(900, 1100) < 0.001
    assert tiers.mcnemar_test(0, 4000) == 0.0 or tiers.mcnemar_test(0, 4000) < 1e-300


def test_holm_never_makes_a_chance_smaller_and_keeps_their_order() -> None:
    found = tiers.holm_correction([0.5, 0.001, 0.04, 1.0])
    assert found == [1.0, 0.004, 0.12, 1.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EUR 1,380.50", [1380.5]),
        ("1.380,50 EUR", [1380.5]),
        ("1 234 567", [1.0, 234.0, 567.0]),
        ("1,234,567", [1234567.0]),
        ("3.141", [3.141]),
        ("0,5", [0.5]),
        ("INV-20417", [20417.0]),
        ("-3 and 2.5e3", [-3.0, 2500.0]),
        ("about 48,210.", [48210.0]),
        ("v1.2.3x", []),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, expected: list[float]) -> None:
    assert graders.numbers_in(text) == expected


def test_word_errors_count_least_edits() -> None:
    assert graders.word_error_rate("a b c", "a b c") == 0
    assert graders.word_error_rate("a x c d", "a b c") == pytest.approx(2 / 3)
    assert graders.word_error_rate("", "a b") == 1
    assert graders.word_error_rate("Aujourd’hui, j'habite", "aujourd'hui j’habite") == 0


def item(compare: Compare, expected: object, **more: object) -> EvalItem:
    return EvalItem(prompt="?", expected=expected, compare=compare, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "answer", "right"),
    [
        (item("exact", "Blue"), "blue.", True),
        (item("exact", ["blue", "azure"]), "Azure", True),
        (item("exact", "blue"), "It is blue.", False),
        (item("contains", "1 December"), "On 1 December 2026.", True),
        (item("contains", "cat"), "a category", False),
        (item("contains", ["Rotterdam", "Milan"], all=True), "Rotterdam only", False),
        (item("contains", ["Rotterdam", "Milan"]), "Rotterdam only", True),
        (item("number", 1380.5), "EUR 1,380.50 by 28 March", True),
        (item("number", 1380.5, which="last"), "EUR 1,380.50 by 28 March", False),
        (item("number", 100, tolerance=2), "about 101.5", True),
        (item("number", 100), "none", False),
        (item("regex", r"\bcold\b"), "COLD", True),
        (item("wer", "ask not what your country can do", max_wer=0.2), "ask what your country can do", True),
        (item("wer", "ask not"), "tell me", False),
        (item("labels", "invoice", labels=("invoice", "letter")), "It is an invoice.", True),
        (item("labels", "invoice", labels=("invoice", "letter")), "an invoice or a letter", False),
        (item("labels", "tax invoice", labels=("invoice", "tax invoice")), "a tax invoice", True),
        (item("labels", ["a", "b"], labels=("a", "b", "c")), "b, a", True),
    ],
)  # fmt: skip
def test_answers_are_compared_as_the_item_says(asked: EvalItem, answer: str, right: bool) -> None:
    found = grade(asked, RouteAnswer(text=answer))
    assert found.right is right
    assert 0 <= found.score <= 1 and (found.difference == "") <= right


def test_json_counts_leaves_and_forgives_what_was_not_asked() -> None:
    wanted = item("json", {"total": 12.5, "lines": [{"n": 1}, {"n": 2}], "paid": False}, tolerance=0.01)
    good = {"total": "EUR 12.50", "lines": [{"n": 1, "more": 0}, {"n": 2}], "paid": False, "extra": 1}
    assert grade(wanted, RouteAnswer(data=good)).right
    half = grade(wanted, RouteAnswer(data={"total": 12.5, "lines": [{"n": 1}], "paid": 0}))
    assert not half.right and half.score == pytest.approx(0.5) and half.difference == "differs at lines[1].n"
    assert not grade(wanted, RouteAnswer(data={**good, "lines": [*good["lines"], {"n": 3}]})).right  # type: ignore[misc]
    assert grade(item("json", {"a": 1}), RouteAnswer(text='Sure: {"a": 1} as asked')).right
    assert grade(item("json", {"a": 1}), RouteAnswer(text="no")).difference == "no JSON"


def test_scores_name_their_highest_label() -> None:
    asked = item("labels", "cat", labels=("cat", "dog"))
    assert grade(asked, RouteAnswer(scores={"cat": 0.6, "dog": 0.4})).right
    assert not grade(asked, RouteAnswer(scores={"cat": 0.4, "dog": 0.6})).right


def test_tiers_follow_from_the_lower_end() -> None:
    from intermodal.evaluation.tiers import tier_of

    assert [tier_of(low) for low in (0.0, 0.299, 0.3, 0.6, 0.8, 0.95)] == [
        "tiny", "tiny", "small", "medium", "large", "frontier",
    ]  # fmt: skip
    least = {tier_of(tiers.wilson_interval(n, n)[0]): n for n in range(200, 19, -1)}
    assert least["large"] == 20 and least["frontier"] == 73  # as the documentation says
    assert math.isclose(tiers.wilson_interval(41, 50)[0], 0.692, abs_tol=1e-3)
