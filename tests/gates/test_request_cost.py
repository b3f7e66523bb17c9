"""What one request can cost: no step of the event loop is long, and twice the request is never four times the work.

Cost is counted in calls of functions, of Python's and of C's, which no load on the machine changes: those of the
longest turn of the event loop, and those of all the request took, its threads included. ``benchmarks/request_cost.py``
measures the same inputs in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tests.call_counts import CallCount
from tests.gates.slow_inputs import CHATS, LARGE, OPERATORS, OTHERS, Body, Door, answer, config_of, grown
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.catalog.load import load_snapshot
from intermodal.concurrency import offload
from intermodal.testing import FakeHost

pytestmark = [pytest.mark.gate, pytest.mark.timeout(3000)]

SEED = 20_261_128
TURN = 40_000  # calls in one turn of the loop: 4 to 8 ms
GROWTH = 2.5  # times the calls for twice the request: 2, and what is rounded up
SMALL = 60_000  # calls; a request that grows may go another way from some size on, which costs this at most
SIZE = 1_000
Steps = tuple[tuple[str, int], ...]


class Cost(NamedTuple):
    turn: int
    total: int
    status: int


class Counted:
    """Counts calls: of each turn of the gateway's loop, and of the threads that it hands long work to."""

    def __init__(self) -> None:
        self.longest = self.total = 0
        self.loop: asyncio.AbstractEventLoop | None = None

    def clear(self) -> None:
        self.longest = self.total = 0

    def turn(self, run: Any, handle: Any) -> None:
        if getattr(handle, "_loop", None) is not self.loop:
            run(handle)
            return
        count = CallCount()
        try:
            with count:
                run(handle)
        finally:
            self.longest = max(self.longest, count.calls)
            self.total += count.calls


class CountedThreads(ThreadPoolExecutor):
    """One thread, so that counts are its own."""

    def __init__(self, counted: Counted) -> None:
        super().__init__(1)
        self._counted = counted

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        def run() -> Any:
            count = CallCount()
            try:
                with count:
                    return function(*args, **kwargs)
            finally:
                self._counted.total += count.calls

        return super().submit(run)


class Gateway:
    """A gateway whose work is counted."""

    def __init__(self, house: GatewayServer, counted: Counted) -> None:
        self._house, self._counted = house, counted
        self.http = httpx.Client(base_url=house.gateway.url, timeout=300, trust_env=False)

    def cost(self, body: Body) -> Cost:
        """Of a request that is planned as if its like had never been seen."""
        self._house.gateway.direct._compiled_plans.clear()
        self._house.gateway.context.plan_cache._known.clear()
        self._house.gateway.context.client._catalogs.clear()
        self._counted.clear()
        found = self.http.post(body.path, content=body.data, headers={"content-type": body.kind, **dict(body.headers)})
        assert found.status_code in (200, 400, 404, 413, 502), (body.data[:200], found.status_code, found.text[:500])
        return Cost(self._counted.longest, self._counted.total, found.status_code)

    def settled(self, body: Body) -> Cost:
        """The least of two: a look at the surroundings may fall into a turn."""
        return min(self.cost(body) for _ in range(2))


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    counted = Counted()
    run = asyncio.events.Handle._run
    monkeypatch.setattr(asyncio.events.Handle, "_run", lambda handle: counted.turn(run, handle))
    threads = CountedThreads(counted)
    monkeypatch.setattr(offload, "_threads", lambda: threads)
    with FakeHost(answer=answer) as host:
        path = tmp_path / "intermodal.toml"
        path.write_text(f'{config_of(host.base_url)}[serve]\nprompts = "prompts"\n')
        written(tmp_path / "prompts")
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            served = Gateway(house, counted)
            for door in CHATS:  # what is done once is done
                served.cost(grown(door))
            counted.loop = house.loop
            yield served
            served.http.close()
            assert not [line for line in house.log if "unexpected" in line], house.log
    threads.shutdown()


def held(body: Body, gateway: Gateway, what: object) -> Cost:
    cost = gateway.cost(body)
    cost = cost if cost.turn <= TURN else gateway.settled(body)
    assert cost.turn <= TURN, f"{what}: {cost.turn:,} calls in one turn of the loop"
    return cost


def test_no_growth_makes_more_work_than_it_adds(gateway: Gateway, full_gates: bool) -> None:
    """Every operator at one door, and with --full-gates at all of them."""
    least = {door: gateway.settled(grown(door)).total for door in CHATS}
    for number, name in enumerate(OPERATORS):
        for door in CHATS if full_gates else (CHATS[number % len(CHATS)],):
            once, twice = (gateway.settled(grown(door, (name, n * SIZE))).total - least[door] for n in (1, 2))
            if twice > max(GROWTH * once, SMALL):  # it goes another way from some size on: how it grows from there
                once, twice = twice, gateway.settled(grown(door, (name, 4 * SIZE))).total - least[door]
            assert twice <= max(GROWTH * once, SMALL), f"{name} at {door.path}: {once:,}, then {twice:,} calls"


def test_no_growth_holds_the_loop(gateway: Gateway, full_gates: bool) -> None:
    """With --full-gates at every door, and as large as a request may be."""
    size = 30_000 if full_gates else 2_000
    for number, name in enumerate(OPERATORS):
        for door in CHATS if full_gates else (CHATS[(number + 3) % len(CHATS)],):
            # Each text that is embedded by itself is a run: two thousand take minutes on a busy machine.
            n = size // 20 if door.apart and name == "marks_of_a_cache" else size
            held(grown(door, (name, n)), gateway, (name, door.path))
    for name, make in OTHERS.items():
        held(make(size), gateway, name)


@pytest.mark.parametrize("door", CHATS, ids=lambda door: door.path)
def test_values_of_an_answer_looked_up_in_long_texts_hold_no_loop(gateway: Gateway, door: Door) -> None:
    """A text of 48,000 characters takes 20 to 30 ms to index."""
    held(grown(door, ("form", 90), ("turns", 90), ("words_in_calls", 3_000)), gateway, door.path)


# Templates that go through a list, in every language of them; and one whose work is the square of what it gets.
PROMPTS: Mapping[str, str] = {
    "handlebars.prompt": "{{#each items}}{{this}} {{/each}}",
    "jinja.prompty": "---\nname: x\n---\nuser:\n{% for item in items %}{{ item }} {% endfor %}",
    "markup.poml": '<poml><p for="item in items">{{ item }}</p></poml>',
    "square.prompt": "{{#each items}}{{#each @root.items}}{{this}} {{/each}}{{/each}}",
    "typed.prompt": "---\ninput: {schema: {items(array): string}}\n---\n{{#each items}}{{this}} {{/each}}",
    "functions.baml": 'function List(items: string[]) -> string {\n  client "openai/gpt-4o"\n  prompt #"'
    '{{ _.role("user") }}{% for item in items %}{{ item }} {% endfor %}"#\n}\n',
}


def written(folder: Path) -> None:
    folder.mkdir()
    for name, text in PROMPTS.items():
        (folder / name).write_text(text)


def rendered(name: str, items: int) -> Body:
    tree = {
        "model": "cloud/strong",
        "prompt_id": name.partition(".")[0],
        "messages": [{"role": "user", "content": "Which?"}],
    }
    given = {"items": ["a word or two"] * items}
    return Body("/v1/chat/completions", "application/json", json.dumps(tree | {"prompt_variables": given}).encode())


@pytest.mark.parametrize("name", PROMPTS)
def test_no_variable_of_a_prompt_holds_the_loop_or_makes_more_work_than_it_adds(
    gateway: Gateway, name: str, full_gates: bool
) -> None:
    """What is rendered in a second ends; where a template squares its work, that is refused at the same bound."""
    sizes = (100, 2_000, 4_000, 40_000) if full_gates else (100, 2_000, 4_000)
    found = [held(rendered(name, size), gateway, (name, size)) for size in sizes]
    if name.startswith("square"):
        assert [each.status for each in found] == [200] + [400] * (len(sizes) - 1)
    else:
        once, twice = (each.total for each in found[1:3])
        assert twice <= max(GROWTH * once, SMALL), f"{name}: {once:,}, then {twice:,} calls"


def test_the_first_unknown_model_is_looked_up_beside_the_loop(gateway: Gateway) -> None:
    """The index of 8,000 names takes half a million calls, once."""
    vars(load_snapshot(None)).pop("names", None)
    body = grown(CHATS[0], ("unknown_model", 90))
    first = gateway.cost(body)
    assert first.total - gateway.cost(body).total > 5 * TURN
    assert first.turn <= 2 * TURN  # the first of a process does more that is done once


ANSWERS = [name for name in LARGE if name.startswith(("an answer", "a stream"))]


@pytest.mark.parametrize("name", ANSWERS)
def test_no_answer_holds_the_loop(gateway: Gateway, name: str) -> None:
    held(LARGE[name](), gateway, name)


def test_the_slowest_input_that_a_search_finds_holds_the_loop_no_longer(gateway: Gateway, full_gates: bool) -> None:
    """A seeded search: the input that took the longest turn so far is changed, and goes on where it got slower."""
    chance = random.Random(SEED)
    best: tuple[int, Door, Steps] = (0, CHATS[0], ())
    for _ in range(600 if full_gates else 12):
        door, steps = chance.choice(CHATS), [*best[2]] if chance.random() < 0.7 else []
        if steps and chance.random() < 0.3:
            del steps[chance.randrange(len(steps))]
        steps.append((chance.choice(list(OPERATORS)), chance.choice((1, 90, 101, 700, 3_000))))
        made = tuple(steps[-4:])
        cost = held(grown(door, *made), gateway, (door.path, made))
        if cost.turn > best[0]:
            best = cost.turn, door, made
    assert best[0] > 0
