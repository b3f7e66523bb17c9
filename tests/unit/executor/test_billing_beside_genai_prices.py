"""What a call is billed, beside genai-prices: replies as hosts send them, read by our wires and by their extractors.

Both then price the same model at the same moment. Where theirs is a sum that ours does not name, a count has no price:
that is *unknown* here and $0 there. Rows whose prices are another source's are left out, and so are moments for which
another source has a unit, or a step, that genai-prices has not.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from intermodal.catalog.load import load_snapshot
from intermodal.catalog.rate_cards import RateCard, effective_rates
from intermodal.catalog.rate_cards import itemize as priced
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.builder import name_spellings
from intermodal.catalog.types import Endpoint, Host, Model, Price
from intermodal.executor.attempt.accounting import price_of_usage
from intermodal.protocols.anthropic import codec as anthropic_codec
from intermodal.protocols.calls import WireUsage
from intermodal.protocols.gemini import codec as gemini_codec
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.protocols.openai_chat import reply as openai_chat_reply
from intermodal.protocols.openai_responses import codec as openai_responses_codec
from intermodal.store.rows import Work

MOMENTS = ("2026-11-25T12:00", "2026-03-01T12:00")
HEADERS = {"content-type": "application/json"}


class Spoken(NamedTuple):
    """How a host wraps its usage, whose extractor reads it, and who reads it here."""

    provider: str
    flavor: str
    wrap: Callable[[dict[str, Any]], dict[str, Any]]
    decoder: Callable[..., Any]


def chat(usage: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    return {"object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}


def responses(usage: dict[str, Any]) -> dict[str, Any]:
    return {"object": "response", "model": "m", "status": "completed", "output": [], "usage": usage}


def message(usage: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "text", "text": "a"}]
    return {"type": "message", "model": "m", "role": "assistant", "content": content, "stop_reason": "end_turn",
            "usage": usage}  # fmt: skip


def generated(usage: dict[str, Any]) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": "a"}]}, "finishReason": "STOP"}
    return {"candidates": [candidate], "modelVersion": "m", "usageMetadata": usage}


SPOKEN = {
    "chat": Spoken("openai", "chat", chat, openai_chat_codec.OpenAIChatDecoder),
    "responses": Spoken("openai", "responses", responses, openai_responses_codec.OpenAIResponsesDecoder),
    "anthropic": Spoken("anthropic", "default", message, anthropic_codec.AnthropicDecoder),
    "gemini": Spoken("google", "default", generated, gemini_codec.GeminiDecoder),
}


def by(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": number} for name, number in counts.items()]


USAGES: dict[str, tuple[dict[str, Any], ...]] = {
    "chat": (
        {"prompt_tokens": 1_000, "completion_tokens": 200},
        {"prompt_tokens": 300_000, "completion_tokens": 2_000},
        {"prompt_tokens": 9_000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 8_064}},
        {"prompt_tokens": 9_000, "completion_tokens": 100,
         "prompt_tokens_details": {"cached_tokens": 4_096, "cache_write_tokens": 2_048}},
        {"prompt_tokens": 900, "completion_tokens": 800, "prompt_tokens_details": {"audio_tokens": 600},
         "completion_tokens_details": {"audio_tokens": 700, "reasoning_tokens": 0}},
        {"prompt_tokens": 900, "completion_tokens": 800, "completion_tokens_details": {"reasoning_tokens": 640}},
    ),
    "responses": (
        {"input_tokens": 1_000, "output_tokens": 200},
        {"input_tokens": 280_000, "output_tokens": 200, "input_tokens_details": {"cached_tokens": 100_000},
         "output_tokens_details": {"reasoning_tokens": 128}},
    ),
    "anthropic": (
        {"input_tokens": 1_000, "output_tokens": 200},
        {"input_tokens": 50, "cache_read_input_tokens": 20_000, "cache_creation_input_tokens": 300,
         "output_tokens": 200},
        {"input_tokens": 50, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 3_000, "output_tokens": 200,
         "cache_creation": {"ephemeral_5m_input_tokens": 1_000, "ephemeral_1h_input_tokens": 2_000}},
        {"input_tokens": 250_000, "cache_read_input_tokens": 10_000, "output_tokens": 900},
    ),
    "gemini": (
        {"promptTokenCount": 1_000, "candidatesTokenCount": 200, "promptTokensDetails": by(text=1_000)},
        {"promptTokenCount": 1_348, "candidatesTokenCount": 200, "thoughtsTokenCount": 500,
         "promptTokensDetails": by(text=290, image=258, audio=800)},
        {"promptTokenCount": 250_000, "candidatesTokenCount": 200, "cachedContentTokenCount": 200_000,
         "promptTokensDetails": by(text=250_000), "cacheTokensDetails": by(text=200_000)},
        {"promptTokenCount": 9_000, "candidatesTokenCount": 10, "cachedContentTokenCount": 6_000,
         "promptTokensDetails": by(text=3_000, audio=6_000), "cacheTokensDetails": by(text=1_000, audio=5_000)},
        {"promptTokenCount": 5_000, "candidatesTokenCount": 10, "promptTokensDetails": by(text=100, document=4_900)},
        {"promptTokenCount": 300, "candidatesTokenCount": 10, "toolUsePromptTokenCount": 40,
         "promptTokensDetails": by(text=300), "toolUsePromptTokensDetails": by(text=40)},
        {"promptTokenCount": 20, "candidatesTokenCount": 1_290, "candidatesTokensDetails": by(image=1_290)},
    ),
}  # fmt: skip


class Compared(NamedTuple):
    model: str
    usage: dict[str, Any]
    moment: str
    ours: float | None
    theirs: float
    unpriced: tuple[str, ...]


def read(spoken: Spoken, body: dict[str, Any]) -> WireUsage:
    decoder = spoken.decoder("h:m", headers=HEADERS)
    events = [*decoder.feed(json.dumps(body).encode()), *decoder.close()]
    return next(event for event in events if isinstance(event, WireUsage))


def _known_there(vector: RateCard, prices: Any) -> bool:
    """Whether genai-prices has each unit of ours, and the steps of each."""
    return all(
        (price := getattr(prices, unit, None)) is not None
        and isinstance(rate, tuple) <= (not isinstance(price, Decimal | float | int))
        for unit, rate in vector.units.items()
    )


@pytest.fixture(scope="module", params=list(SPOKEN))
def compared(request: pytest.FixtureRequest) -> list[Compared]:
    from genai_prices.data import providers

    spoken = SPOKEN[request.param]
    provider = next(each for each in providers if each.id == spoken.provider)
    host = name_spellings().prices[spoken.provider]
    found = []
    for row in load_snapshot().of_host(host):
        model = provider.find_model(row.name, all_providers=providers) if row.dated_prices else None
        if model is None or row.prices_by or not {"input_mtok", "output_mtok"} <= row.dated_prices[-1].units.keys():
            continue
        endpoint = Endpoint(id=row.endpoint, model=Model(id=row.id), host=Host(id=host), served_as=row.name)
        for usage in USAGES[request.param]:
            body = spoken.wrap(usage)
            mine = read(spoken, body)
            _, theirs = provider.extract_usage(body, api_flavor=spoken.flavor)
            for moment in MOMENTS:
                ours = price_of_usage(endpoint, mine, Work(), row.dated_prices, moment)
                when = datetime.fromisoformat(moment).replace(tzinfo=UTC)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        price = float(model.get_prices(when, None).calc_price(theirs)["total_price"])
                    except ValueError:
                        continue
                vector = effective_rates(row.dated_prices, moment)
                if vector is not None and not _known_there(vector, model.get_prices(when, None)):
                    continue
                counts = {"input_tokens": 1.0, "input_audio_tokens": 1.0, "output_tokens": 2.0,
                          "output_audio_tokens": 1.0, "output_image_tokens": 1.0}  # fmt: skip
                found.append(Compared(row.name, usage, moment, ours, price, priced(vector, counts).unpriced))
    return found


def test_every_reply_of_a_host_is_settled_for_what_genai_prices_says(compared: list[Compared]) -> None:
    assert sum(each.ours is not None for each in compared) > 50
    different = [
        each for each in compared if each.ours is not None and abs(each.ours - each.theirs) > 1e-9 * (1 + each.theirs)
    ]
    assert not different, f"{len(different)} differ, the first: {different[:4]}"


def test_a_bill_nobody_can_know_is_one_where_a_count_has_no_price(compared: list[Compared]) -> None:
    """Sound, or what comes out, of a model that has no price of it."""
    assert not [each for each in compared if each.ours is None and not each.unpriced]


# ---- what the vectors are for ----------------------------------------------------------------------


def of(name: str, host: str = "openai") -> tuple[Endpoint, Any]:
    row = load_snapshot().find_by_host(host, name)
    assert row is not None
    listed = interpretation.prices_of(row, load_snapshot().header)
    assert listed is not None
    endpoint = Endpoint(
        id=row.endpoint, model=Model(id=row.id), host=Host(id=host), served_as=name, price=listed.now
    )  # fmt: skip
    return endpoint, interpretation.rate_cards_of_endpoint(endpoint, load_snapshot())


def test_cached_tokens_cost_less_than_others() -> None:
    endpoint, tariff = of("gpt-4.1-mini")
    plain = price_of_usage(
        endpoint, WireUsage(input_tokens=10_000, output_tokens=0), Work(), tariff, "2026-11-25T12:00"
    )
    cached = WireUsage(input_tokens=10_000, output_tokens=0, cached_tokens=8_000)
    found = price_of_usage(endpoint, cached, Work(), tariff, "2026-11-25T12:00")
    assert plain is not None and found == pytest.approx(2_000 * 0.4e-6 + 8_000 * 0.1e-6) and found < plain


def test_above_its_step_a_call_costs_the_dearer_price_for_every_token() -> None:
    endpoint, tariff = of("gemini-2.5-pro", "google")
    below = price_of_usage(
        endpoint, WireUsage(input_tokens=200_000, output_tokens=0), Work(), tariff, "2026-11-25T12:00"
    )
    above = price_of_usage(
        endpoint, WireUsage(input_tokens=200_001, output_tokens=0), Work(), tariff, "2026-11-25T12:00"
    )
    assert below == pytest.approx(0.25) and above == pytest.approx(0.5, rel=1e-4)


def test_a_call_that_was_served_as_a_batch_costs_the_price_of_one() -> None:
    body = chat({"prompt_tokens": 1_000_000, "completion_tokens": 0}) | {"service_tier": "batch"}
    usage = read(SPOKEN["chat"], body)
    endpoint, tariff = of("gpt-4.1-mini")
    assert price_of_usage(endpoint, usage, Work(), tariff, "2026-11-25T12:00") == pytest.approx(0.2)


def test_a_price_of_ones_own_is_not_replaced_by_the_hosts_list() -> None:
    endpoint, _ = of("gpt-4.1-mini")
    own = Endpoint(
        id=endpoint.id, model=endpoint.model, host=endpoint.host, served_as=endpoint.served_as,
        price=Price(input_mtok=3.0, output_mtok=9.0),
    )  # fmt: skip
    assert interpretation.rate_cards_of_endpoint(own, load_snapshot()) == ()
    assert price_of_usage(own, WireUsage(input_tokens=1_000_000, output_tokens=0), Work()) == pytest.approx(3.0)


def test_the_price_of_the_day_of_the_call_settles_it() -> None:
    later = Price(input_mtok=4.0, output_mtok=4.0, effective_from="2026-12-01")
    endpoint = Endpoint(
        id="h:m", model=Model(id="m"), host=Host(id="h"), price=Price(input_mtok=1.0, output_mtok=1.0), later=(later,)
    )  # fmt: skip
    usage = WireUsage(input_tokens=1_000_000, output_tokens=0)
    assert price_of_usage(endpoint, usage, Work(), (), "2026-11-30T23:59") == pytest.approx(1.0)
    assert price_of_usage(endpoint, usage, Work(), (), "2026-12-01T00:00") == pytest.approx(4.0)


def test_thinking_that_a_host_leaves_out_of_its_answer_is_billed() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 420,
             "completion_tokens_details": {"reasoning_tokens": 300}}  # fmt: skip
    assert openai_chat_reply.read_usage(usage).output_tokens == 320
    assert openai_chat_reply.read_usage({**usage, "completion_tokens": 320}).output_tokens == 320
