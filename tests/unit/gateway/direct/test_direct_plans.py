"""Chats with one key are chats with one plan: what the direct path remembers is what planning afresh would say."""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.client.async_client import plan_from
from intermodal.client_apis import OPENAI_CHAT
from intermodal.executor.direct.compiled_plan import CompiledPlan
from intermodal.gateway.direct.client_sink import ChatPlan
from intermodal.gateway.direct.direct_chats import DirectChats, MatchedChat
from intermodal.gateway.direct.handover import Handover
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.requests.request_from_call import request_from_call
from intermodal.gateway.requests.request_policy import with_default_limit
from intermodal.gateway.state.plan_cache import _decisions as shape_of
from intermodal.plans.plan import Inputs, Plan
from intermodal.store import epochs

SEED = 20_261_126
# Words that change what a question asks for, what kind of answer it wants, or how long it is.
SAYINGS = (
    "What is it?",
    "Translate into French: the cat sat on the mat.",
    "Write a story of two thousand words about a ship.",
    "List all prime numbers below 100.",
    "Summarise this.",
    "Is it so? Answer yes or no.",
    "Fix this code:\n```py\nx = 1\n```",
    "¿Qué es esto?",
    "これは何ですか",
    "Why? Explain step by step.",
    "On page 3, what does the table say?",
    "Ja oder nein: ist es rot?",
)


def chats(chance: random.Random) -> dict[str, Any]:
    def say() -> str:
        return chance.choice(SAYINGS) * chance.choice((1, 1, 1, 2, 9, 60))

    messages: list[dict[str, Any]] = []
    if chance.random() < 0.4:
        messages.append({"role": "system", "content": say()})
    for _ in range(chance.choice((0, 0, 1, 3))):
        messages += [{"role": "user", "content": say()}, {"role": "assistant", "content": say()}]
    messages.append({"role": "user", "content": say()})
    tree: dict[str, Any] = {
        "model": chance.choice(("cloud/strong", "auto", "policy:cheap", "gpt-4o")),
        "messages": messages,
    }
    if chance.random() < 0.7:
        tree["max_tokens"] = chance.choice((16, 100, 400))
    if chance.random() < 0.3:
        tree["stream"] = True
    if chance.random() < 0.2:
        tree["intermodal"] = {"objective": "cheapest"}
    return tree


def varied(tree: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The same in other words that are nearly as long."""
    messages = []
    for message in tree["messages"]:
        words = message["content"].split(" ")
        place = chance.randrange(len(words))
        words[place] = chance.choice(("no", "yes", "seven", words[place], words[place][::-1]))
        messages.append({**message, "content": " ".join(words)})
    return {**tree, "messages": messages}


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[CompiledPlan, Plan]]:
    """The ways that the direct path took, each with the plan that was made afresh in the same moment."""
    taken: list[tuple[CompiledPlan, Plan]] = []
    run = DirectChats.run

    async def noted(
        self: DirectChats, ready: MatchedChat, way: ChatPlan, asked: GatewayRequest, reply: ResponseWriter
    ) -> Handover | None:
        client, places = self._context.client, self._context.conversations
        call = with_default_limit(OPENAI_CHAT.decode(asked.body), client.config)
        request = await places.continue_conversation(request_from_call(call, ready.policy), asked.owner)
        prepared = await client.prepare(request)
        taken.append((way.compiled, plan_from(prepared.inputs)))
        return await run(self, ready, way, asked, reply)

    monkeypatch.setattr(DirectChats, "run", noted)
    monkeypatch.setattr(DirectChats, "at_once", lambda *asked: None)  # without a task nothing can be planned beside it
    # What is learned on the way is seen within a second, which is not what is asked here.
    monkeypatch.setattr(epochs, "learn", lambda *database, **how: None)
    return taken


def test_a_remembered_plan_is_the_one_that_planning_afresh_makes(
    house: GatewayServer, remembered: list[tuple[CompiledPlan, Plan]], full_gates: bool
) -> None:
    """All but its numbers, which are those of the longest chat of the shape and never less than its own."""
    chance = random.Random(SEED)
    for _ in range(300 if full_gates else 60):
        tree = chats(chance)
        for each in (tree, varied(tree, chance), varied(tree, chance)):
            found = house.post("/v1/chat/completions", each)
            assert found.status_code == 200, found.text
    assert len({id(way) for way, _ in remembered}) < len(remembered) > 150
    for way, plan in remembered:
        assert shape_of(plan) == shape_of(way.plan)
        own, kept = plan.chosen.last.estimate, way.plan.chosen.last.estimate
        for name in ("input_tokens", "output_tokens", "cost"):
            assert getattr(own, name).high <= getattr(kept, name).high * (1 + 1e-9), name


def test_changed_statistics_cause_one_new_plan_for_a_shape(
    house: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planning is the first to see figures that changed since the last look; then chats of a shape share a plan."""
    learned: list[MatchedChat] = []
    learn = DirectChats.plan_and_cache

    async def noted(self: DirectChats, ready: MatchedChat, request: GatewayRequest) -> ChatPlan | None:
        learned.append(ready)
        return await learn(self, ready, request)

    monkeypatch.setattr(DirectChats, "plan_and_cache", noted)
    monkeypatch.setattr("intermodal.gateway.server_client.REFRESH_SECONDS", 1e9)  # no look comes in between
    for _ in range(40):
        assert house.chat("the same").status_code == 200
    before, epoch = len(learned), house.gateway.client.epoch
    house.gateway.client.store.learn()
    for _ in range(20):
        assert house.chat(f"other words {_}" * 9).status_code == 200
    assert house.gateway.client.epoch >= epoch
    assert len(learned) - before <= 3


@pytest.mark.parametrize("other", ["day", "machine", "refusals"])
def test_a_plan_holds_with_what_it_was_made_with_and_not_with_what_came_meanwhile(
    house: GatewayServer, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Planned before midnight and remembered after it, it has yesterday's prices."""
    planned: list[MatchedChat] = []
    inputs = DirectChats._inputs

    async def looked_meanwhile(self: DirectChats, ready: MatchedChat, request: GatewayRequest) -> Inputs | None:
        found = await inputs(self, ready, request)
        client = self._context.client
        if not planned and other == "day":
            client.today = "2999-12-31"
        elif not planned and other == "machine":
            client.machine = replace(client.machine, cores=client.machine.cores + 1)
        elif not planned:
            client.upstreams.refusals += 1
        planned.append(ready)
        return found

    monkeypatch.setattr(DirectChats, "_inputs", looked_meanwhile)
    monkeypatch.setattr("intermodal.gateway.server_client.REFRESH_SECONDS", 1e9)  # no other look comes in between
    for _ in range(2):
        assert house.chat("the same").status_code == 200
    assert len(planned) == 2
