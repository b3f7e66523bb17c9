"""The table of fields knows every field that the vendors' published clients send, and each of its rows is tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_type_hints

import pytest
from anthropic.types import message_create_params, output_config_param
from anthropic.types.beta import message_create_params as beta_params
from mistralai.client.models import ChatCompletionRequest
from msgspec.structs import replace
from ollama._types import ChatRequest, GenerateRequest, Options
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params, response_text_config_param
from openai.types.shared_params import reasoning
from tests.protocols.field_fates import HOSTS, IGNORED, PLANNED, REFUSED, SAMPLES, fate

from intermodal.core.request import Settings
from intermodal.errors import UnsupportedModality
from intermodal.protocols.request_fields import FIELDS, read_settings, scale_thinking, supported_settings


def of(params: Any, within: str = "") -> set[str]:
    return {f"{within}{name}" for name in params.__annotations__}


def modelled(params: Any, within: str = "") -> set[str]:
    return {f"{within}{field.alias or name}" for name, field in params.model_fields.items()}


PUBLISHED: Mapping[str, set[str]] = {
    "openai": of(completion_create_params.CompletionCreateParamsBase)
    | of(completion_create_params.CompletionCreateParamsStreaming)
    | modelled(ChatCompletionRequest),
    "openai-responses": of(response_create_params.ResponseCreateParamsBase)
    | of(reasoning.Reasoning, "reasoning.")
    | of(response_text_config_param.ResponseTextConfigParam, "text."),
    "anthropic": of(message_create_params.MessageCreateParamsBase)
    | of(beta_params.MessageCreateParamsBase)
    | of(output_config_param.OutputConfigParam, "output_config."),
    "ollama": modelled(ChatRequest) | modelled(Options, "options."),
    "ollama-generate": modelled(GenerateRequest) | modelled(Options, "options."),
}


def holders(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names if "." in name}


@pytest.mark.parametrize("protocol", PUBLISHED)
def test_no_field_of_a_vendor_s_client_is_missing(protocol: str) -> None:
    """A new version of a client with a new field fails here, until somebody has said what becomes of it."""
    known = FIELDS[protocol]
    assert PUBLISHED[protocol] - set(known) - holders(known) == set()


def test_every_row_has_a_sample_and_a_fate_of_its_sort() -> None:
    for protocol, fields in FIELDS.items():
        assert set(SAMPLES[protocol]) == set(fields)
        for name, field in fields.items():
            found = {host: fate(protocol, name, host) for host in HOSTS}
            if field.fate in ("ignored", "refused"):
                assert set(found.values()) == {IGNORED if field.fate == "ignored" else REFUSED}, name
            elif field.fate == "planned":
                assert name == "cache_control" or IGNORED not in found.values(), name
            else:
                assert PLANNED not in found.values() and REFUSED not in found.values(), name
                own = protocol.removesuffix("-generate")
                assert not isinstance(found[own], str), f"{name} does not reach a host of its own protocol"


def test_nouns_of_settings_are_those_of_the_table() -> None:
    nouns = {field.noun for fields in FIELDS.values() for field in fields.values() if field.noun}
    assert nouns == set(get_type_hints(Settings)) - {"protocol", "own"}
    assert get_args(get_type_hints(Settings)["top_k"])


@pytest.mark.parametrize("protocol", HOSTS)
def test_supported_settings_are_idempotent(protocol: str) -> None:
    told = supported_settings(
        Settings(protocol="ollama", top_k=4, presence_penalty=0.5, effort="low"), protocol, ("effort",)
    )
    assert supported_settings(told, protocol, ("effort",)) == told


THINKS = read_settings({"thinking": {"type": "enabled", "budget_tokens": 8000}}, "anthropic")


def test_thinking_stays_within_the_answer_that_a_plan_allows() -> None:
    assert scale_thinking(THINKS, 10_000, 10_000, "anthropic") is THINKS
    assert scale_thinking(THINKS, 10_000, 5_000, "anthropic").thinking == 4_000
    assert scale_thinking(THINKS, 10_000, 1_100, "anthropic").thinking == 1_024
    assert scale_thinking(THINKS, 10_000, 5_000, "gemini") is THINKS
    assert scale_thinking(replace(THINKS, thinking=None), 10_000, 10, "anthropic").thinking is None
    with pytest.raises(UnsupportedModality, match="8000 tokens of thinking in an answer of 1000"):
        scale_thinking(THINKS, 10_000, 1_000, "anthropic")


@pytest.mark.parametrize("more", [{"display": "omitted"}, {"type": "adaptive"}, {"type": "disabled"}])
def test_other_forms_of_thinking_go_as_they_came(more: dict[str, Any]) -> None:
    given = {"type": "enabled", "budget_tokens": 2000} | more
    assert read_settings({"thinking": given}, "anthropic").own == (("thinking", given),)


def test_an_effort_is_google_s_published_budget_where_a_model_has_no_levels() -> None:
    low, high = (Settings(protocol="openai", effort=effort) for effort in ("low", "high"))
    assert [supported_settings(each, "gemini", ("thinking_budget",)).thinking for each in (low, high)] == [1024, 24576]
    assert supported_settings(high, "gemini", ("thinking_level",)).effort == "high"
    assert supported_settings(high, "gemini") == Settings(protocol="gemini")
