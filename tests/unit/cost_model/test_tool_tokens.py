"""What tools add to a prompt: a vendor's own system prompt exactly, definitions as a range."""

from __future__ import annotations

import pytest

from intermodal.catalog.shipped_rows import shipped_families
from intermodal.core.request import Tool, ToolChoice
from intermodal.cost_model.tool_tokens import tool_tokens

BASEL = Tool(
    name="get_current_weather",
    description="Get the current weather in a given location",
    schema={
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["location"],
    },
)


@pytest.mark.parametrize(
    ("model", "choice", "own"),
    [
        ("anthropic/claude-3-opus", "auto", 530), ("anthropic/claude-3-opus", "required", 281),
        ("anthropic/claude-3-sonnet", "auto", 159), ("anthropic/claude-3-sonnet", "required", 235),
        ("anthropic/claude-3-haiku", "auto", 264), ("anthropic/claude-3-haiku", "required", 340),
        ("anthropic/claude-haiku-4.5", "auto", 496), ("anthropic/claude-haiku-4.5", "required", 588),
        ("anthropic/claude-opus-4.6", "auto", 497), ("anthropic/claude-sonnet-4.6", "required", 589),
        ("anthropic/claude-opus-4.7", "auto", 675), ("anthropic/claude-opus-4.7", "required", 804),
        ("anthropic/claude-opus-5", "auto", 286), ("anthropic/claude-opus-5", "required", 406),
        ("anthropic/claude-sonnet-5", "auto", 354), ("anthropic/claude-opus-4.1", "required", 315),
    ],
)  # fmt: skip
def test_a_vendors_own_system_prompt_for_tools_is_in_the_count(model: str, choice: ToolChoice, own: int) -> None:
    rule = shipped_families().sheet(model, "2026-11-24").rules["tools"]
    found, plain = tool_tokens(rule, (BASEL,), choice), tool_tokens("", (BASEL,), choice)
    assert [getattr(found, end) - getattr(plain, end) for end in ("low", "mid", "high")] == [own] * 3
    assert found.certainty == "estimated"


def test_more_tools_are_more_tokens_and_none_are_none() -> None:
    for rule in ("", "functions", "system:346:313"):
        one, two = tool_tokens(rule, (BASEL,), "auto"), tool_tokens(rule, (BASEL, BASEL), "auto")
        assert 0 == tool_tokens(rule, (), "auto").high < one.low < two.low
        assert one.high < two.high


@pytest.mark.parametrize(
    ("model", "day", "rule"),
    [
        ("anthropic/claude-haiku-4.5", "2026-06-30", "system:346:313"),
        ("anthropic/claude-haiku-4.5", "2026-07-24", "system:496:588"),
        ("anthropic/claude-3.5-sonnet", "2024-07-01", "system:294:261"),
        ("anthropic/claude-3.5-sonnet", "2024-11-01", "system:346:313"),
    ],
)
def test_what_tools_add_is_that_of_the_day(model: str, day: str, rule: str) -> None:
    assert shipped_families().sheet(model, day).rules["tools"] == rule
