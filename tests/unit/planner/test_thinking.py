"""Models that think before they answer: it is paid for and waited for, and the limit leaves room for it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from tests.plans import catalogs, invariants, runner

from intermodal.catalog.reasoning_effort import sent_thinking_request, thinking_request_of
from intermodal.catalog.thinking_models import thinking_of
from intermodal.catalog.types import EFFORTS, DefaultEffort, Effort, Endpoint, Protocol
from intermodal.core.request import Sampling, Settings
from intermodal.cost_model.answer_length import TYPICAL
from intermodal.executor.drivers.codecs import CHATS, chat_codec
from intermodal.planner.route_estimates.call_demand import DEFAULT_ANSWER
from intermodal.plans.plan import Plan
from intermodal.plans.step import Call
from intermodal.protocols.calls import ChatCall, WireMessage, WireText

ASK = "Who wrote Hamlet?"
OUT = 8.0  # USD per million tokens
QUIRKS: dict[Protocol, tuple[str, ...]] = {"openai": ("max_completion_tokens",), "gemini": ("thinking_level",)}


def thinker(unasked: DefaultEffort = "medium", *, protocol: Protocol = "openai", always: bool = False) -> Endpoint:
    where = catalogs.host("acme", protocol=protocol, quirks=QUIRKS.get(protocol, ()))
    made = catalogs.hosted(where, "acme/muser", "large", (2.0, OUT), max_output=100_000)
    known = thinking_of("openai/o3")
    assert known is not None
    thinking = msgspec.structs.replace(known, unasked=unasked, always=always)
    return msgspec.structs.replace(made, model=msgspec.structs.replace(made.model, thinking=thinking))


def planned(
    *endpoints: Endpoint, settings: Settings | None = None, most: int | None = None, apart: bool = False, **more: Any
) -> Plan:
    inputs = runner.inputs_of({"catalog": "embedded", "ask": ASK, **more})
    request = msgspec.structs.replace(
        inputs.request, settings=settings or Settings(), sampling=Sampling(max_tokens=most, room_for_thought=apart)
    )
    catalog = msgspec.structs.replace(
        inputs.catalog, endpoints=(*inputs.catalog.endpoints, *endpoints), consent=("acme",), version="v"
    )
    return invariants.plan_of(msgspec.structs.replace(inputs, catalog=catalog, request=request))


def dear(**more: Any) -> dict[str, Any]:
    return {"max_cost": 10.0, "max_cost_stated": True, **more}


def answer(plan: Plan) -> Call:
    assert plan.chosen.endpoint == "acme:acme/muser"
    return plan.chosen.answering


def limit(plan: Plan) -> int:
    return int(dict(answer(plan).params)["max_tokens"])


def told(effort: Effort) -> Settings:
    return Settings(protocol="openai", effort=effort)


def test_what_is_thought_is_part_of_the_output_and_said() -> None:
    estimate = answer(planned(thinker(), policy=dear())).estimate
    assert estimate.output_tokens.mid == TYPICAL["fact"][1] + 700
    assert estimate.thought_tokens.mid == 700
    assert estimate.thought_tokens.basis == "assumed for medium effort, which is its default"


def test_more_effort_never_takes_less_of_anything() -> None:
    plans = [planned(thinker(), settings=told(effort), policy=dear()) for effort in EFFORTS]
    for less, more in itertools.pairwise(plans):
        for figure in ("output_tokens", "cost", "seconds"):
            small, large = getattr(less.chosen.total, figure), getattr(more.chosen.total, figure)
            assert small.low <= large.low and small.mid <= large.mid and small.high <= large.high, figure
        assert limit(less) <= limit(more)
    assert answer(plans[0]).estimate.thought_tokens.high == 0 and limit(plans[0]) == DEFAULT_ANSWER["text"]


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("most", [None, 100, 5000])
@pytest.mark.parametrize("max_cost", [0.02, 10.0])
def test_the_highest_cost_is_what_the_limit_that_is_sent_allows(
    effort: Effort, most: int | None, max_cost: float
) -> None:
    plan = planned(thinker(), settings=told(effort), most=most, policy=dear(max_cost=max_cost, model="acme/muser"))
    assert answer(plan).estimate.cost.high >= limit(plan) * OUT / 1e6
    assert plan.chosen.total.cost.high <= max_cost


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_limit_that_nobody_stated_leaves_room_for_thought(effort: Effort) -> None:
    model = thinker()
    assert model.model.thinking is not None
    plan = planned(model, settings=told(effort), policy=dear())
    assert limit(plan) == DEFAULT_ANSWER["text"] + model.model.thinking.tokens(effort)[2]
    scarce = planned(model, settings=told(effort), policy=dear(max_cost=0.06))
    assert limit(scarce) >= DEFAULT_ANSWER["text"] + model.model.thinking.tokens(effort)[1], "room gives way to money"


def test_a_limit_of_the_users_is_kept_and_said_to_be_too_low() -> None:
    plan = planned(thinker(), most=256)
    assert limit(plan) == 256 and answer(plan).estimate.output_tokens.high == 256
    assert any("the limit of 256 counts them: it may end without a word" in note for note in plan.notes)
    roomy = planned(thinker(), most=6000, policy=dear())
    assert limit(roomy) == 6000 and not any("without a word" in note for note in roomy.notes)


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("max_cost", [0.05, 0.09, 10.0])
def test_a_limit_of_the_words_alone_leaves_room_for_thought_within_the_budget(effort: Effort, max_cost: float) -> None:
    model = thinker()
    assert model.model.thinking is not None
    policy = dear(max_cost=max_cost, model="acme/muser")
    plan = planned(model, settings=told(effort), most=4096, apart=True, policy=policy)
    assert plan.chosen.total.cost.high <= max_cost
    _, usual, most = model.model.thinking.tokens(effort)
    if max_cost == 10.0:
        assert limit(plan) == min(4096 + most, 100_000)
    else:
        assert DEFAULT_ANSWER["text"] + usual <= limit(plan) <= 4096 + most, "room gives way to money"
    assert answer(plan).estimate.output_tokens.high == limit(plan), "what is sent is what is reserved"


def test_room_for_thought_gives_way_to_a_context_and_the_words_do_not() -> None:
    model = msgspec.structs.replace(thinker(), context=8192)
    plan = planned(model, most=4096, apart=True, policy=dear(model="acme/muser"))
    assert 4096 < limit(plan) < 8192
    assert limit(planned(model, most=4096, policy=dear(model="acme/muser"))) == 4096


def test_who_does_not_think_unasked_gets_the_limit_of_everybody() -> None:
    plan = planned(thinker("none"))
    assert limit(plan) == DEFAULT_ANSWER["text"] and not answer(plan).estimate.thought_tokens.high


def test_who_cannot_leave_it_out_is_not_taken_for_who_does() -> None:
    assert answer(planned(thinker(always=True), settings=told("none"))).estimate.thought_tokens.high > 0


def test_a_budget_is_the_most_that_is_thought() -> None:
    settings = Settings(protocol="anthropic", thinking=2048)
    plan = planned(thinker("none", protocol="anthropic"), settings=settings, policy=dear())
    assert answer(plan).estimate.thought_tokens.high == 2048 and limit(plan) == DEFAULT_ANSWER["text"] + 2048


def test_an_effort_that_its_host_is_not_told_changes_nothing() -> None:
    model = thinker(protocol="anthropic")
    assert sent_thinking_request(thinking_request_of(told("high")), model.host) == thinking_request_of(Settings())
    assert limit(planned(model, settings=told("high"), policy=dear())) == limit(planned(model, policy=dear()))


def test_what_was_seen_replaces_what_is_assumed_at_the_effort_it_was_seen() -> None:
    seen = {"acme:acme/muser|reasoning_tokens": [90, 100, 120], "acme:acme/muser|reasoning_tokens@high": [1, 2, 3]}
    plan = planned(thinker(), statistics=seen, policy=dear())
    assert answer(plan).estimate.thought_tokens.mid == 100
    assert answer(plan).estimate.output_tokens.mid == TYPICAL["fact"][1] + 100
    assert limit(plan) == DEFAULT_ANSWER["text"] + 8192, "few runs are no reason to leave less room"


_LIMIT = {
    "openai": ("max_completion_tokens",), "openai-responses": ("max_output_tokens",), "anthropic": ("max_tokens",),
    "gemini": ("generationConfig", "maxOutputTokens"), "ollama": ("options", "num_predict"), "llama": ("max_tokens",),
    "started": ("max_tokens",),
}  # fmt: skip


@pytest.mark.parametrize("protocol", CHATS)
def test_every_codec_sends_the_limit_with_the_room_in_it(protocol: Protocol) -> None:
    model = thinker(protocol=protocol)
    most = limit(planned(model, policy=dear())) if protocol not in ("llama", "started") else 8704
    message = WireMessage(role="user", parts=(WireText(text=ASK),))
    call = ChatCall(model="muser", messages=(message,), sampling=Sampling(max_tokens=most))
    body: Any = json.loads(
        b"".join(bytes(part) for part in chat_codec(model.host).encode_request(call, model.host).segments)
    )
    for step in _LIMIT[protocol]:
        body = body[step]
    assert body == most == DEFAULT_ANSWER["text"] + 8192


def test_a_description_by_a_vision_model_that_thinks_has_room_for_both() -> None:
    eye = thinker()
    eye = msgspec.structs.replace(
        eye, input=("text", "image"),
        model=msgspec.structs.replace(
            eye.model, id="acme/eye", input=("text", "image"), tasks=("text-generation", "image-text-to-text")
        ),
        id="acme:acme/eye",
    )  # fmt: skip
    photo = {"kind": "image", "name": "photo.jpg", "width": 640, "height": 480, "density": 0.01}
    blind = catalogs.hosted(catalogs.ACME, "acme/blind", "large", (0.1, 0.2))
    plan = planned(
        blind,
        eye,
        ask="What animal is on the photo?",
        part=[photo],
        policy=dear(model="acme/blind", keep=["appearance"]),
    )
    describe = next(step for step in plan.chosen.steps if isinstance(step, Call) and step.op == "describe")
    most = int(dict(describe.params)["max_tokens"])
    assert most == 160 + 8192 and describe.estimate.cost.high >= most * OUT / 1e6


@pytest.mark.parametrize(
    ("model", "unasked"),
    [
        ("openai/o3", "medium"), ("openai/gpt-5-nano", "medium"), ("openai/gpt-5.4-mini", "none"),
        ("openai/gpt-5-chat-latest", None), ("openai/gpt-4o", None), ("anthropic/claude-opus-5.5", "medium"),
        ("anthropic/claude-sonnet-5.5", "high"), ("anthropic/claude-opus-4.5", "none"),
        ("google/gemini-2.5-flash", "medium"), ("google/gemini-2.5-flash-lite", "none"),
        ("google/gemini-3.1-flash-lite", "minimal"), ("google/gemini-2.5-flash-image", None),
        ("deepseek/deepseek-reasoner", "high"), ("deepseek/deepseek-chat", None), ("qwen/qwen3-32b", "medium"),
        ("qwen/qwen3-235b-a22b-instruct-2507", None), ("openai/gpt-oss-120b", "medium"),
        ("xai/grok-4-fast-non-reasoning", None), ("mistral/magistral-small", "medium"),
        ("huggingfacetb/smollm2-135m-instruct", None),
    ],
)  # fmt: skip
def test_who_thinks_where_nobody_asks_for_it(model: str, unasked: str | None) -> None:
    found = thinking_of(model)
    assert (found.unasked if found is not None else None) == unasked


def test_of_a_model_that_can_think_nobody_knows_whether_it_does() -> None:
    found = thinking_of("nobody/knows", can_reason=True)
    assert found is not None and found.unasked == "unsaid" and thinking_of("nobody/knows") is None
