"""Usage as hosts write it: read in the quick way or in the usual one, it says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.protocols.anthropic import reply as anthropic_reply
from intermodal.protocols.anthropic import server as anthropic_server
from intermodal.protocols.anthropic.reply import AnthropicUsage
from intermodal.protocols.calls import WireUsage
from intermodal.protocols.framing.json_body import dumps, has_valid_counts
from intermodal.protocols.openai_chat.reply import read_counts, read_usage, usage_in
from intermodal.protocols.openai_responses.reply import response_of
from intermodal.protocols.openai_responses.server import write_usage

numbers: st.SearchStrategy[Any] = st.one_of(st.integers(-3, 2000), st.sampled_from([None, True, 1.5, "7", [], 10**30]))
given_details = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["cached_tokens", "audio_tokens", "text_tokens", "cache_write_tokens"]), numbers),
)
made_details = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "image_tokens"]), numbers
    ),
)
usages = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": numbers, "completion_tokens": numbers, "total_tokens": numbers,
        "prompt_tokens_details": given_details, "completion_tokens_details": made_details, "input_tokens": numbers,
        "cached_tokens": numbers, "seconds": numbers,
    },
)  # fmt: skip


@given(usages, st.sampled_from(["", "Flex"]))
def test_usage_is_read_as_everywhere_else(usage: dict[str, Any], tier: str) -> None:
    assert usage_in(json.dumps(usage).encode(), tier)[0] == read_usage(usage, tier)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
        {
            "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 0, "accepted_prediction_tokens": 0},
        },
    ],
    ids=["plain", "thought beside"],
)  # fmt: skip
def test_the_usual_ones_are(usage: dict[str, Any]) -> None:
    assert usage_in(json.dumps(usage).encode(), "")[0] == read_usage(usage)


counts = st.one_of(st.integers(0, 2000), numbers)
response_usages = st.fixed_dictionaries(
    {
        "input_tokens": counts, "output_tokens": counts, "total_tokens": counts,
        "input_tokens_details": st.fixed_dictionaries(
            {}, optional={"cached_tokens": counts, "cache_write_tokens": counts, "audio_tokens": st.just(1)}
        ),
        "output_tokens_details": st.fixed_dictionaries({}, optional={"reasoning_tokens": counts}),
    },
    optional={"cost": counts},
)  # fmt: skip
NEEDED = ("input_tokens", "output_tokens", "total_tokens")
RELIED_ON = (
    *NEEDED, "input_tokens_details", "cached_tokens", "cache_write_tokens", "output_tokens_details", "reasoning_tokens",
)  # fmt: skip


@given(response_usages, st.sampled_from(["", "Flex"]))
def test_usage_of_a_response_is_read_as_everywhere_else_and_goes_on_where_it_is_whole(
    usage: dict[str, Any], tier: str
) -> None:
    raw, expected = json.dumps(usage).encode(), read_usage(usage, tier)
    whole = all(f'"{name}"'.encode() in raw for name in RELIED_ON) and has_valid_counts(usage, NEEDED)
    whole &= expected == read_counts(usage, tier)
    found = response_of(json.dumps({"usage": usage, "service_tier": tier}).encode()).read_usage()
    assert found == (expected, raw if whole else dumps(write_usage(expected)))


kept = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "other_tokens"]), counts, max_size=3
    ),
)
message_usages = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": counts, "output_tokens": counts, "cache_creation_input_tokens": counts,
        "cache_read_input_tokens": counts, "cache_creation": kept, "thinking_tokens": counts,
        "service_tier": st.sampled_from([None, "standard", "Batch"]),
        "server_tool_use": st.sampled_from([None, {"web_search_requests": 0}]),
    },
)  # fmt: skip


@given(message_usages)
def test_usage_of_a_message_is_read_as_in_a_stream_and_goes_on_where_it_is_whole(usage: dict[str, Any]) -> None:
    raw, expected = json.dumps(usage).encode(), AnthropicUsage().add(usage)
    whole = has_valid_counts(usage, ("input_tokens", "output_tokens"))
    message = {"type": "message", "content": [], "stop_reason": "end_turn", "model": "m", "usage": usage}
    found = anthropic_reply.read_reply(json.dumps(message).encode())
    assert found is not None
    counted = raw if whole else dumps(anthropic_server.write_usage(expected or WireUsage()))
    assert (found.usage, found.raw_usage) == (expected, counted)
