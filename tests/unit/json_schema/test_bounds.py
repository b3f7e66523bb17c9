"""The bounds themselves: what is counted, what ends the work, what is kept."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intermodal.executor.outputs.json_answer import strip_code_fence
from intermodal.json_schema import (
    BudgetExhausted,
    Cancelled,
    InvalidSchema,
    StepBudget,
    compile_schema,
    read_json,
    usable_schema,
)
from intermodal.json_schema.budget import SLICE
from intermodal.json_schema.compiler import SchemaCache
from intermodal.json_schema.patterns import compile_pattern
from intermodal.json_schema.repair import LONGEST, SHORT

WIDE: dict[str, Any] = {
    "$ref": "#/$defs/d0",
    "$defs": {
        **{f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(9)},
        "d9": {"type": "integer"},
    },
}


@pytest.mark.parametrize("steps", [1, 100, SLICE, SLICE + 1, 12_345])
def test_no_step_more_than_the_budget_has(steps: int) -> None:
    compiled = compile_schema(WIDE, StepBudget(100_000))
    budget = StepBudget(steps)
    with pytest.raises(BudgetExhausted):
        compiled.violation("x", budget)
    assert budget.steps_taken <= steps


def test_what_is_cancelled_ends_within_a_slice() -> None:
    compiled = compile_schema(WIDE, StepBudget(100_000))
    budget = StepBudget(10_000_000, pause=lambda: setattr(budget, "cancelled", budget.steps_taken > 5 * SLICE))
    with pytest.raises(Cancelled):
        compiled.violation("x", budget)
    assert budget.steps_taken <= 8 * SLICE


@pytest.mark.slow
def test_the_memory_of_a_check_does_not_grow_with_its_steps() -> None:
    compiled = compile_schema(WIDE, StepBudget(100_000))
    tracemalloc.start()
    with pytest.raises(BudgetExhausted):
        compiled.violation("x" * 10_000, StepBudget(300_000))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2 << 20


def test_a_message_is_short_however_large_the_value() -> None:
    schema = {"anyOf": [{"minItems": 10**9 + n} for n in range(1_000)]}
    violation = compile_schema(schema, StepBudget(100_000)).violation([["x" * 1_000] * 1_000] * 50, StepBudget(100_000))
    assert len(str(violation)) < 400


def test_a_schema_that_expands_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(InvalidSchema, match="steps"):
        usable_schema(WIDE, StepBudget(10_000_000))


def test_no_reference_leaves_the_document() -> None:
    away = {"$id": "http://127.0.0.1:9/x", "$ref": "#/$defs/a"}
    with pytest.raises(InvalidSchema, match="does not define"):
        compile_schema({"foo": away, "$ref": "#/foo", "$defs": {"a": {}}}, StepBudget(10_000))
    with pytest.raises(InvalidSchema, match="nothing is fetched"):
        compile_schema({"$ref": "http://127.0.0.1:9/y"}, StepBudget(10_000))


def test_the_cache_holds_so_much_and_no_more() -> None:
    cache = SchemaCache(memory=100_000)
    for number in range(200):
        cache.get({"enum": [number] * 20}, StepBudget(10_000))
    assert 0 < len(cache._by_digest) < 20 and cache._by_digest.held <= 100_000
    first = cache.get({"enum": [1]}, StepBudget(10_000))
    budget = StepBudget(1_000)
    assert cache.get({"enum": [1]}, budget) is first and budget.steps_taken < 10, "what is known is not compiled again"


# ---- patterns


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        (r"^\d+$", "12", "1٢"),  # the digits of ECMA 262 are those of ASCII
        (r"^\w$", "a", "é"),
        (r"^\s$", "\u00a0", "x"),
        (r"^.$", "😀", "\u2028"),
        (r"^a$", "a", "a\n"),
        (r"^\u{1F600}\ud83d\ude01$", "😀😁", "😀"),
        (r"^\p{L}\p{Script=Greek}$", "éα", "αé"),
        (r"^[^]$", "\n", ""),
        (r"^[\w-]+[\S]$", "a-b", "a "),
        (r"^\/\-\.$", "/-.", "/-x"),
        (r"^(?<year>[0-9]{4})-(?:0[1-9])$", "2026-01", "2026-1"),
        (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "-1.5", "-."),  # pydantic's Decimal
        (
            r"^(?!\.)(?!.*\.\.)([\w'+\-\.]*)[\w+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$",
            "a.b@c.de",
            "a..b@c.de",
        ),  # zod's
        (r"^(?=.*[A-Z])(?=.*\d).{8,}$", "Passw0rdd", "password1"),
        (r"^.{1,5000}$", "x" * 5_000, "x" * 5_001),
        (r"(?i)^abc\Z", "ABC", "ab"),
        ("^\ud800$", "\ud800", "?"),
    ],
)
def test_patterns_mean_what_ecma_262_says(pattern: str, fits: str, fails: str) -> None:
    compiled = compile_pattern(pattern, StepBudget(1_000_000))
    assert compiled.occurs_in(fits, StepBudget(1_000_000)) and not compiled.occurs_in(fails, StepBudget(1_000_000))


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(a)\1", "refers back"),
        (r"a(?=b)", "looks ahead"),
        (r"(?<=a)b", "looks ahead or behind"),
        (r"^(?!a)b|c", "one alternative"),
        (r"a**", "repeats nothing"),
        (r"(a", "does not end"),
        (r"a)", "did not begin"),
        (r"[b-a]", "range"),
        (r"[a", "does not end"),
        ("a\\", "backslash"),
        (r"\p{Emoji}", "general category"),
        (r"(ab){1,2000}", "counts to more than 1,000"),
        (r"(\p{L}?){900}(\p{L}?){900}", "too large"),
        ("a" * 20_000, "10,000 characters"),
    ],
)
def test_what_cannot_be_matched_in_linear_time_is_refused_with_its_place(pattern: str, says: str) -> None:
    with pytest.raises(InvalidSchema, match=says) as caught:
        compile_schema({"properties": {"a": {"pattern": pattern}}}, StepBudget(1_000_000))
    assert caught.value.place == "properties/a/pattern"


def test_what_a_pattern_may_take_is_counted_before_it_begins() -> None:
    compiled = compile_pattern("(?:(?:a|b)?){500}c", StepBudget(1_000_000))
    budget = StepBudget(100_000)
    with pytest.raises(BudgetExhausted):
        compiled.occurs_in("ab" * 1_000_000, budget)


# ---- reading

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
BENT = st.lists(st.tuples(st.integers(0, 200), st.sampled_from('[]{},:"0-e\\ntNI x')), max_size=3)


@pytest.mark.slow
@settings(max_examples=300)
@given(JSON, st.sampled_from([None, 1]), BENT)
def test_a_long_text_is_read_as_a_short_one(value: Any, indent: int | None, bent: list[tuple[int, str]]) -> None:
    text = json.dumps(value, indent=indent)
    for place, char in bent:
        at = place % (len(text) + 1)
        text = text[:at] + char + text[at + 1 :]

    def read(written: str) -> Any:
        try:
            return read_json(written, 0, StepBudget(10_000_000))
        except ValueError:
            return "no JSON"

    assert read(text) == read(text + " " * SHORT)


def test_json_that_is_too_long_or_too_deep_is_not_read() -> None:
    for text in ("[" * 100_000 + "]" * 100_000, "[" * 2_000 + "]" * 2_000, " " * LONGEST + "[]"):
        with pytest.raises(BudgetExhausted):
            read_json(text, 0, StepBudget(10_000_000))


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("```json\n{}\n```", "{}"),
        ("```\n{}```", "{}"),
        (" ```JSON  \n\n{}\n\n``` ", "{}"),
        ("```{}```", "```{}```"),
        ("``` json\n{}\n```", "``` json\n{}\n```"),
        ("```", "```"),
        ("````", "````"),
        ("```\n```", ""),
        ("So: {}", "So: {}"),
    ],
)
def test_a_fence_is_taken_off(text: str, body: str) -> None:
    assert strip_code_fence(text) == body
