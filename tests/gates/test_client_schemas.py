"""Whatever JSON Schema a client sends, and whatever a host answers to it: the work has an end, others are served
meanwhile, and nothing that could not be checked is given out as checked.

Nothing here is measured in seconds. Steps are counted, the work is held in its middle while somebody else asks, and
what a library that backtracks or expands would do with these inputs takes longer than the age of the universe.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tests.gates.serve_process import PLAIN, Served
from tests.unit.gateway.gateway_server import GatewayServer, config, until

from intermodal.executor.outputs import json_answer
from intermodal.json_schema import StepBudget
from intermodal.testing import FakeHost

pytestmark = pytest.mark.gate

STEPS = 200_000  # a tenth of the real budget, for the tables; what is proven of one holds for the other
MEMORY = 200 << 20  # bytes that a process may grow by in all of a table: one of these schemas took 4 GB
LONG = "a" * 40 + "!"

# Patterns that made well-known programs hang, from the lists of the OWASP foundation and of papers on the subject,
# each with a text that it fails on.
BACKTRACKING = {
    "^(a+)+$": LONG,
    "^([a-zA-Z]+)*$": LONG,
    "^(a|aa)+$": LONG,
    "^(a|a?)+$": LONG,
    "^(.*a){20}$": LONG,
    r"^(\w+\s?)*$": LONG,
    r"^([0-9a-zA-Z]([-.\w]*[0-9a-zA-Z])*@(([0-9a-zA-Z])+([-\w]*[0-9a-zA-Z])*\.)+[a-zA-Z]{2,9})$": LONG,
    r"^(([a-z])+.)+[A-Z]([a-z])+$": "a" * 60,
    r"^(?:(?:\"|')?\s*)*x$": "' " * 40,
    r"(x+x+)+y": "x" * 60,
    r"^\s*(.*\s*)*;$": " " * 60,
    r"^(?=(a+)+$)b": LONG,
}


def chain(keyword: str, wide: int = 10, deep: int = 7, last: Any = None) -> dict[str, Any]:
    """A schema of 2 KB that expands to ``wide ** deep`` schemas."""
    names = {f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * wide} for n in range(deep)}
    return {"$ref": "#/$defs/d0", "$defs": {**names, f"d{deep}": {"type": "integer"} if last is None else last}}


def inside(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that costs nothing until an answer has a ``x``."""
    names = schema.get("$defs", {})
    return {"type": "object", "properties": {"x": {k: v for k, v in schema.items() if k != "$defs"}}, "$defs": names}


def tower(keyword: str, deep: int, wrap: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "string"}
    for _ in range(deep):
        made = {keyword: [made] if wrap else made}
    return made


# Room and money for whatever is asked: it is the check that ends these.
ROW = 'id = "cloud/strong"; input = ["text"]; context = 9000000; tier = "large"; input_mtok = 1e-4; output_mtok = 1e-4'
MOST = 3_000_000  # tokens of an answer


class Case(NamedTuple):
    """``schema``: a text is sent as it is.

    ``status``: 200 the answer is valid, 502 it is not or cannot be checked, 400 the schema is refused, at once.
    """

    schema: Any
    answer: Any
    status: int
    says: str = ""


MUCH = "cannot be said whether it fits"
CASES = {
    **{
        f"backtracking {pattern}": Case(inside({"pattern": pattern}), {"x": text}, 502, "breaks")
        for pattern, text in BACKTRACKING.items()
    },
    **{f"{word} of {word}": Case(chain(word), 1, 400, "steps") for word in ("anyOf", "oneOf", "allOf")},
    **{f"{word} inside": Case(inside(chain(word)), {"x": "a"}, 502, MUCH) for word in ("anyOf", "oneOf")},
    "allOf inside": Case(inside(chain("allOf", last={})), {"x": "a"}, 502, MUCH),
    "if of if": Case(
        inside({"$ref": "#/$defs/d0", "$defs": {
            **{f"d{n}": {key: {"$ref": f"#/$defs/d{n + 1}"} for key in ("if", "then")} for n in range(25)},
            "d25": {},
        }}), {"x": 1}, 502, MUCH,
    ),
    "unevaluated": Case(
        inside({"$ref": "#/$defs/d0", "unevaluatedProperties": False, "$defs": chain("anyOf", last={})["$defs"]}),
        {"x": {"a": 1}}, 502, MUCH,
    ),
    "dynamic references": Case(
        inside({"$ref": "#/$defs/d0", "$defs": {
            **{f"d{n}": {"anyOf": [{"$dynamicRef": f"#e{n + 1}"}] * 10, "$dynamicAnchor": f"e{n}"} for n in range(7)},
            "d7": {"type": "integer", "$dynamicAnchor": "e7"},
        }}), {"x": "a"}, 502, MUCH,
    ),
    "refers to itself": Case({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, 1, 400, "refers to itself"),
    "refers to itself below": Case(inside({"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}),
                                   {"x": 1}, 502, MUCH),
    "a list of itself": Case({"type": "array", "items": {"$ref": "#"}}, "[" * 400 + "]" * 400, 502, MUCH),
    "an answer that is nested very deep": Case({}, "[" * 100_000 + "]" * 100_000, 502, MUCH),
    "an answer that is nested very deep and ends never": Case({}, "[" * 100_000, 502, ""),
    "a long list": Case({"type": "array", "items": {"enum": [1, 2]}}, [1] * 30_000, 200),
    "a huge enum": Case({"items": {"enum": [f"v{n}" for n in range(8_000)]}}, ["v7999"] * 2_000, 200),
    "many properties": Case(
        {"items": {"properties": {f"p{n}": {"type": "string"} for n in range(4_000)}}}, [{}] * 2_000, 200,
    ),
    "ten thousand properties": Case({"properties": {f"p{n}": {"not": {}} for n in range(10_000)}}, 1, 400, "values"),
    "a hundred thousand values": Case({"enum": list(range(30_000))}, 1, 400, "10,000 values"),
    "one long text": Case({"description": "x" * (1 << 20), "title": "y"}, 1, 400, "characters"),
    "nots": Case(tower("not", 91), 1, 200),
    "lists in lists": Case(tower("allOf", 48, wrap=True), "a", 200),
    "nested very deep": Case('{"not":' * 10_000 + "{}" + "}" * 10_000, 1, 400, ""),
    "nested too deep": Case(tower("not", 150), 1, 400, "nested"),
    "unique objects": Case({"uniqueItems": True}, [{"a": n} for n in range(20_000)], 200),
    "unique numbers whose hashes collide": Case({"uniqueItems": True}, [n * (2**61 - 1) for n in range(20_000)], 200),
    "patterns for many names": Case(
        {"patternProperties": {f"^(a|b|c){{0,{n}}}x{n}$": {} for n in range(100)}},
        {"abc" * 10 + str(n): 1 for n in range(5_000)}, 502, MUCH,
    ),
    "multiples of almost nothing": Case({"items": {"multipleOf": 1e-300}}, [10**4000, 1e300] * 9, 502, "breaks"),
    "multiples of a huge number": Case({"items": {"multipleOf": 10**300}}, [1], 400, "64 bits"),
    "huge multiples": Case({"items": {"multipleOf": 10**18 + 1}}, [(10**18 + 1) * 10**4200] * 200, 200),
    "huge limits": Case(
        {"items": {"minLength": 10**18, "maxItems": 10**18, "maximum": 10**18}}, [1, 2], 200,
    ),
    "a huge count in a pattern": Case(inside({"pattern": "((a{1,1000}){1,1000}){1,1000}"}), {"x": "a"}, 400, "pattern"),
    "large patterns": Case(
        {"anyOf": [{"pattern": f"(.?){{400}}c{n}"} for n in range(200)]}, LONG, 400, "patterns",
    ),
    "a pattern that looks back": Case(inside({"pattern": r"^(a+)\1$"}), {"x": LONG}, 400, "properties/x/pattern"),
    "a pattern for a long text": Case(
        {"pattern": "(?:(?:a|b)?){500}c"}, "ab" * 40_000, 502, MUCH,
    ),
    "somewhere else": Case(
        {"foo": {"$id": "http://127.0.0.1:9/x", "$ref": "#/$defs/a"}, "$ref": "#/foo", "$defs": {"a": {}}}, 1, 400,
        "does not define",
    ),
    "another draft": Case(
        {"$schema": "http://json-schema.org/draft-07/schema#", **inside({"pattern": "^(a+)+$"})}, {"x": LONG}, 502,
        "breaks",
    ),
}  # fmt: skip

HELLO = [{"role": "user", "content": "Answer in JSON."}]
TOOL = {"name": "act", "description": "acts"}


def asked(door: str, schema: Any, model: str = "cloud/strong") -> tuple[str, dict[str, Any]]:
    """A request for an answer of this shape, in the words of a protocol."""
    limit = {"chat": "max_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}.get(door, "options")
    room = {"model": model, limit: {"num_predict": MOST} if door in ("ollama", "generate") else MOST}
    if door == "chat":
        form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
        return "/v1/chat/completions", {**room, "messages": HELLO, "response_format": form}
    if door == "responses":
        form = {"type": "json_schema", "name": "a", "schema": schema}
        return "/v1/responses", {**room, "input": HELLO, "text": {"format": form}, "store": False}
    if door == "messages":
        form = {"format": {"type": "json_schema", "schema": schema}}
        return "/v1/messages", {**room, "messages": HELLO, "output_config": form}
    if door == "generate":
        return "/api/generate", {**room, "prompt": "Answer in JSON.", "format": schema, "stream": False}
    return "/api/chat", {**room, "messages": HELLO, "format": schema, "stream": False}


def tooled(door: str, schema: Any) -> tuple[str, dict[str, Any]]:
    """A request with a tool that takes this."""
    path, tree = asked(door, {})
    for name in ("response_format", "text", "output_config", "format"):
        tree.pop(name, None)
    if door == "messages":
        tree["tools"] = [{**TOOL, "input_schema": schema}]
    elif door == "responses":
        tree["tools"] = [{**TOOL, "type": "function", "parameters": schema}]
    else:
        tree["tools"] = [{"type": "function", "function": {**TOOL, "parameters": schema}}]
    return path, tree


WITH_TOOLS = ("chat", "responses", "messages", "ollama")
DOORS = (*WITH_TOOLS, "generate")


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> list[StepBudget]:
    """Every budget that work was done within."""
    found: list[StepBudget] = []

    class Noted(StepBudget):
        __slots__ = ()

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            found.append(self)

    monkeypatch.setattr(json_answer, "StepBudget", Noted)
    return found


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost() as fake:
        yield fake


@pytest.fixture
def configured(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, ROW))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return path


def grown() -> int:
    """The most memory this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _differs(house: GatewayServer, host: FakeHost, door: str, name: str, case: Case) -> str:
    """What is otherwise than the case says, "" for nothing."""
    nested = isinstance(case.answer, str) and case.answer.startswith("[")
    host.answer = case.answer if nested else json.dumps(case.answer)
    tried = len(host.attempts)
    path, tree = asked(door, "{}" if isinstance(case.schema, str) else case.schema)
    body = json.dumps(tree)
    if isinstance(case.schema, str):
        body = body.replace('"{}"', case.schema)
    found = house.http.post(path, content=body, headers={"content-type": "application/json"})
    asks = len(host.attempts) - tried
    if found.status_code != case.status or case.says not in found.text:
        return f"{name}: {found.status_code} {found.text[:300]}"
    if asks and case.status == 400:
        return f"{name}: a schema that is refused was sent"
    return f"{name}: what cannot be checked was asked for {asks} times" if case.says == MUCH and asks != 1 else ""


@pytest.mark.parametrize("door", DOORS)
def test_every_schema_has_an_end(
    configured: Path,
    host: FakeHost,
    budgets: list[StepBudget],
    monkeypatch: pytest.MonkeyPatch,
    door: str,
    full_gates: bool,
) -> None:
    """Each at two doors, and with --full-gates at all of them."""
    turn = list(DOORS).index(door)
    cases = [each for at, each in enumerate(CASES.items()) if full_gates or (at - turn) % len(DOORS) < 2]
    monkeypatch.setattr(json_answer, "STEPS", STEPS)
    with GatewayServer() as house:
        house.post(*asked(door, {"type": "object"}))  # what is loaded once
        before = grown()
        wrong = [why for name, case in cases if (why := _differs(house, host, door, name, case))]
        assert not wrong, "\n".join(wrong)
        assert budgets and all(each.steps_taken <= each.total <= STEPS for each in budgets)
        assert grown() - before < MEMORY


@pytest.mark.parametrize("door", WITH_TOOLS)
def test_the_schema_of_a_tool_has_an_end(configured: Path, host: FakeHost, door: str) -> None:
    host.answer = "no tool is needed"
    with GatewayServer() as house:
        for name in (
            "anyOf of anyOf",
            "backtracking ^(a+)+$",
            "refers to itself",
            "huge limits",
            "ten thousand properties",
        ):
            found = house.post(*tooled(door, {"type": "object", **CASES[name].schema}))
            assert found.status_code in (200, 400), (name, found.status_code, found.text[:300])


@contextmanager
def in_the_middle(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The work stops after its first slice (the first event is set) until the second event is."""
    began, goes_on = threading.Event(), threading.Event()
    usual = json_answer._yield_now

    def held() -> None:
        began.set()
        goes_on.wait(300)
        usual()

    monkeypatch.setattr(json_answer, "_yield_now", held)
    try:
        yield began, goes_on
    finally:
        goes_on.set()


@pytest.mark.parametrize("door", DOORS)
def test_others_are_answered_while_a_check_is_in_its_middle(
    configured: Path, host: FakeHost, budgets: list[StepBudget], monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    host.answer = '{"x": "a"}'
    said: list[httpx.Response] = []
    with GatewayServer() as house, in_the_middle(monkeypatch) as (began, goes_on):
        path, tree = asked(door, CASES["anyOf inside"].schema)
        asking = threading.Thread(target=lambda: said.append(house.post(path, tree)))
        asking.start()
        assert began.wait(300)
        assert house.http.get("/healthz").status_code == 200
        assert house.chat("hello").status_code == 200
        small = house.post(*asked(door, {"type": "object", "properties": {"x": {"type": "string"}}}))
        assert small.status_code == 200, "a small check does not wait for a large one"
        assert not said and budgets, "the large one has not ended before"
        goes_on.set()
        asking.join(300)
    assert said[0].status_code == 502 and MUCH in said[0].text
    assert max(each.steps_taken for each in budgets) == json_answer.STEPS, "the whole budget, and no step more"


def test_no_schema_makes_the_gateway_fetch_anything(configured: Path, host: FakeHost) -> None:
    host.answer = '{"p": 1}'
    with socket.create_server(("127.0.0.1", 0)) as away, GatewayServer() as house:
        away.setblocking(False)
        address = f"http://127.0.0.1:{away.getsockname()[1]}/x"
        inner = {"$id": address, "$ref": "#/$defs/a"}
        for reference in (
            {"$ref": "#/foo", "foo": {"properties": {"p": inner}}},
            {"$ref": "#/foo", "foo": inner},
            {"properties": {"p": {"$ref": address}}},
            {"properties": {"p": {"$dynamicRef": address}}},
        ):
            found = house.post(*asked("chat", {**reference, "$defs": {"a": {}}}))
            assert found.status_code == 400 and "refers to" in found.text, found.text
        with pytest.raises(BlockingIOError):
            away.accept()


def test_a_client_that_leaves_ends_the_check(
    configured: Path, host: FakeHost, budgets: list[StepBudget], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answer = '{"x": "a"}'
    with GatewayServer() as house, in_the_middle(monkeypatch) as (began, goes_on):
        path, tree = asked("chat", CASES["anyOf inside"].schema)
        body = json.dumps(tree).encode()
        line = socket.create_connection(("127.0.0.1", house.gateway.port), timeout=10)
        line.sendall(b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" % path.encode())
        line.sendall(b"content-length: %d\r\n\r\n" % len(body) + body)
        assert began.wait(300)
        line.close()
        until(lambda: any(each.cancelled for each in budgets))
        goes_on.set()
        until(lambda: json_answer._TURN.acquire(blocking=False))  # the thread let go of its turn: it has ended
        json_answer._TURN.release()
    assert max(each.steps_taken for each in budgets) < 10_000


def test_an_answer_that_could_not_be_checked_is_paid_for(configured: Path, host: FakeHost) -> None:
    host.answer = '{"x": "a"}'
    with GatewayServer() as house:
        found = house.post(*asked("chat", CASES["anyOf inside"].schema))
        assert found.status_code == 502 and MUCH in found.text
        store = house.gateway.client.store
        until(lambda: [row.spent > 0 for row in store.attempts(-1)] == [True])


def test_a_worker_ends_when_it_is_told_to_while_it_checks(tmp_path: Path, host: FakeHost) -> None:
    host.answer = json.dumps({"x": LONG * 1_000})
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, ROW))
    served = Served(tmp_path / "log", {**os.environ, "INTERMODAL_CONFIG": str(path)})
    try:
        askers = [
            threading.Thread(target=_ask, args=(served.url, *asked("chat", CASES[name].schema)), daemon=True)
            for name in ("anyOf inside", "oneOf inside", "allOf inside", "backtracking ^(a+)+$")
        ]
        for each in askers:
            each.start()
        until(lambda: len(host.attempts) >= len(askers))
        assert httpx.get(f"{served.url}/healthz", timeout=300, trust_env=False, verify=PLAIN).status_code == 200
        served.end(signal.SIGTERM, 90)
        assert served.child.returncode == 0
    finally:
        served.end(signal.SIGKILL)


def _ask(url: str, path: str, tree: Any) -> None:
    with suppress(httpx.HTTPError):
        httpx.post(f"{url}{path}", json=tree, timeout=300, trust_env=False, verify=PLAIN)
