"""What a gateway keeps of its clients has a bound: of requests in which nothing repeats, only tables with one grow.

No bytes are looked at: every container that can be reached from the gateway, and from the modules of the package, is
counted before and after.
"""

from __future__ import annotations

import functools
import gc
import sqlite3
import sys
from asyncio import AbstractEventLoop
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any
from uuid import uuid4

import pytest
from tests.docs.test_request_bounds import FUNCTIONS, TABLES
from tests.gates import upstreams
from tests.gates.clients import CLIENTS
from tests.gates.faulty_host import FaultyHost, ScriptedReply, refusal
from tests.gates.test_gateway_soak import PROTOCOLS, config
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.catalog.load import load_snapshot
from intermodal.catalog.types import Catalog
from intermodal.config.config_file import snapshot_file
from intermodal.core.bounded_cache import BoundedCache
from intermodal.gateway import server_client
from intermodal.store.attempt_journal import TEMPLATES

ROUNDS = 3  # of requests that fill what is filled once ...
MORE = 16  # ... and of those which nothing is to grow with
LEARNED = "._informed."  # figures by endpoint, kind and script, none of which a client makes up; made anew each epoch
LARGE = 64  # entries of a container that is new: instances have fewer attributes
LOCAL_ZONES = """
[hosts.near]
base_url = "{url}"
protocol = "openai"
counts_text = "llama.cpp"
[[hosts.near.models]]
served_as = "near-strong"
id = "near/strong"
input = ["text"]
context = 32000
"""
# Others' own: an event loop's timers, sqlite3's list of cursors, which it prunes; lru_cache is looked at below.
_LEFT_ALONE = (
    type, FrameType, ModuleType, AbstractEventLoop, sqlite3.Connection, functools._lru_cache_wrapper,
)  # fmt: skip


def answer(body: Mapping[str, Any]) -> ScriptedReply:
    """Of any host, with counts that were not there before; the one nearby counts texts, too."""
    if "content" in body:
        return refusal(200, {"tokens": [1, 2, 3]})
    if "model" not in body:  # whether it writes its template out, or is somebody else
        return refusal(404)
    protocol = body["model"].partition("-")[0].replace("near", "openai")
    words = [f" word{number}" for number in range(1, 2 + uuid4().int % 50)]
    streamed = body.get("stream", protocol == "ollama")
    return upstreams.whole(protocol, words) if streamed else upstreams.document(protocol, words)


def requests(number: int) -> Iterator[tuple[str, Any, dict[str, str]]]:
    """Paths, bodies and headers that nobody sent before: whatever a client may choose is another each time."""
    new = uuid4().hex
    words = f"{new} " + "what does it say? " * (number % 30) + " ".join(uuid4().hex for _ in range(12))
    headers = {"idempotency-key": new, "x-session-id": new, "user-agent": new, f"x-{new}": new, "x-request-id": new}
    for name, client in CLIENTS.items():
        for protocol in PROTOCOLS:
            body = client.body(f"{protocol}/strong", words, stream=number % 2 == 0)
            yield client.path, body, {} if name == "ollama" else headers
            if "messages" in body:
                said = [{"role": "user", "content": uuid4().hex}, {"role": "assistant", "content": uuid4().hex}]
                yield client.path, {**body, "messages": said * (1 + number % 5) + body["messages"]}, {}
    parameters = {"type": "object", "properties": {new: {"type": "string"}, "list": {"enum": [words * 3]}}}
    function = {"name": f"f{new}", "description": words, "parameters": parameters}
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {**parameters, "required": [new]}}}
    chosen: list[dict[str, Any]] = [
        {"user": new, "seed": number}, {"metadata": {new: new}}, {new: new}, {"stop": [new[:8]]},
        {"prompt_cache_key": new, "safety_identifier": new}, {"max_tokens": 100 + number}, {"model": f"nobody/{new}"},
        {"model": "near/strong"}, {"tools": [{"type": "function", "function": function}]}, {"response_format": schema},
        {"intermodal": {"max_cost": 1 + number / 1000}}, {"model": f"policy/{new}"}, {"model": new * 100},
    ]  # fmt: skip
    for more in chosen:
        yield "/v1/chat/completions", {**CLIENTS["chat"].body("openai/strong", words, stream=False), **more}, {}
    yield "/v1/explain", CLIENTS["chat"].body("openai/strong", words), {}
    yield f"/v1/{new}", {}, {}
    yield f"/v1/plans/{new}?{new}", {}, {}


def send(house: GatewayServer, rounds: range) -> None:
    for number in rounds:
        for path, body, headers in requests(number):
            found = house.http.post(path, json=body, headers=headers)
            assert found.status_code < 500 or found.status_code == 502, found.text
    assert house.taken  # all have ended


def reached(gateway: Any) -> dict[int, tuple[Any, str]]:
    """Every container that is not read-only, by its identity, with how it is reached."""
    found: dict[int, tuple[Any, str]] = {}
    left = deque[tuple[Any, str]]([(gateway, "gateway")])
    left += [(vars(module), name) for name, module in tuple(sys.modules.items()) if name.startswith("intermodal")]
    seen = {id(found), id(left)}
    while left:
        each, path = left.popleft()
        if id(each) in seen or isinstance(each, _LEFT_ALONE):
            continue
        seen.add(id(each))
        if isinstance(each, FunctionType):
            left += [(cell, path) for cell in each.__closure__ or ()]
            continue
        if isinstance(each, (dict, list, set, deque)):
            found[id(each)] = (each, path)
        names = {id(value): str(name) for name, value in each.items()} if isinstance(each, dict) else {}
        for other in gc.get_referents(each):
            step = names.get(id(other)) or ("" if isinstance(each, (list, tuple, set)) else type(other).__name__)
            left.append((other, f"{path}.{step}"[-200:] if len(path) < 400 else path))
    return found


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    with FaultyHost(lambda *_: ScriptedReply(), reader=answer, keeps=False) as wall:
        path = config(tmp_path / "intermodal.toml", wall)
        path.write_text(path.read_text() + LOCAL_ZONES.format(url=wall.base_url))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            house.http.event_hooks = {}  # the wall leaves out fields that the OpenAPI document has
            yield house


def test_nothing_grows_with_what_clients_make_up_but_tables_that_have_a_bound(wide: GatewayServer) -> None:
    send(wide, range(ROUNDS))
    before = reached(wide.gateway)
    sizes = {name: len(each) for name, (each, _) in before.items()}
    send(wide, range(ROUNDS, ROUNDS + MORE))
    after = reached(wide.gateway)
    grown = [
        f"{path}: {type(each).__name__} of {sizes.get(name, 0)}, then {len(each)}"
        for name, (each, path) in after.items()
        if LEARNED not in path
        and len(each) >= (sizes[name] + MORE if name in sizes else LARGE)
        and not isinstance(each, BoundedCache)
    ]
    journal = wide.gateway.direct.engine.rows._journal
    assert journal is not None and len(journal._numbers) <= TEMPLATES  # begun anew when there are so many
    assert not [each for each in grown if "AttemptJournal" not in each], "\n".join(grown)
    tables = {id(each): each for each, _ in after.values() if isinstance(each, BoundedCache)}.values()
    assert {each.name: (each.most, each.room) for each in tables}.items() <= TABLES.items()
    assert len(tables) > len(TABLES) // 2
    grew = Counter(each.name for each in tables if len(each) >= MORE)
    assert grew["plans by their ids"] and grew["compiled plans by shape"] and grew["counts of texts by servers"]
    assert all(len(each) <= each.most and each.held <= (each.room or 0) for each in tables)


def remembering() -> dict[str, tuple[int | None, int]]:
    """Functions of the package with a cache: how many results each may remember, and does."""
    found: dict[str, tuple[int | None, int]] = {}
    for name, module in tuple(sys.modules.items()):
        for function in vars(module).values() if name.startswith("intermodal") else ():
            if isinstance(function, functools._lru_cache_wrapper):
                told = function.cache_info()
                found[f"{function.__module__}.{function.__qualname__}"] = told.maxsize, told.currsize
    return found


def test_functions_that_remember_their_results_remember_so_many(wide: GatewayServer) -> None:
    send(wide, range(1))
    before = remembering()
    send(wide, range(1, 5))
    for name, (most, kept) in remembering().items():
        if most is None:
            assert kept <= before.get(name, (None, 0))[1] + 1, name
        else:
            assert most <= FUNCTIONS.get(name, FUNCTIONS[""]), name


def test_no_catalog_is_kept_for_what_was_planned_with_it(wide: GatewayServer) -> None:
    """A catalog is made for each model that anybody names, and takes a megabyte with all that planning finds in it."""
    client = wide.gateway.client
    known = [*load_snapshot(snapshot_file(client.env)).by_model][: 6 * server_client.MAX_CATALOGS]
    for name in known:
        for path in ("/v1/chat/completions", "/v1/explain"):
            assert wide.http.post(path, json=CLIENTS["chat"].body(name, "hello", stream=False)).status_code < 500
    gc.collect()
    catalogs = [each for each in gc.get_objects() if isinstance(each, Catalog)]
    assert server_client.MAX_CATALOGS // 2 < len(catalogs) < 2 * server_client.MAX_CATALOGS
