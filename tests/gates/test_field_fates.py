"""A field of a request has one fate at a host: whatever the messages look like, and whichever way the request takes.

One gateway stands before a host of each protocol. Every client's every field is sent to every host with messages of
every shape, by the direct path and by the executor. What reaches the host besides, and what the answer names as
ignored, is what the tables "Field by field" of docs/protocols.md say, and nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from tests.gates.corpus import png, wav
from tests.protocols.field_fates import DOORS, HOSTS, IGNORED, SAMPLES, fate, leaves, with_field
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.protocols.request_fields import FIELDS
from intermodal.testing import FakeHost, FakeVendor

HOST = """
[hosts.our-{name}]
base_url = "{url}"
protocol = "{name}"
zone = "internet"
[[hosts.our-{name}.models]]
id = "our-{name}/m"
input = {takes}
context = 200000
tier = "large"
input_mtok = 1.0
output_mtok = 2.0
input_audio_mtok = 1.0
"""
TAKES = {"anthropic": ["text", "image"]}
# Beside these a request is the same one: how it is drawn. The others of the plan change what is asked.
_OF_OLLAMA = ("options.temperature", "options.top_p", "options.stop", "options.seed")
DRAWN = {
    "openai": ("temperature", "top_p", "stop", "seed"), "openai-responses": ("temperature", "top_p"),
    "anthropic": ("temperature", "top_p", "stop_sequences"),
    "ollama": _OF_OLLAMA, "ollama-generate": _OF_OLLAMA,
}  # fmt: skip
WAYS = ("direct", "executor")
PNG = b64encode(png(64, 48)).decode()
WAV = b64encode(wav(1.0)).decode()
WEATHER: dict[str, Any] = {"type": "object", "properties": {}}


def _says(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content, **more}]}


def _after(role: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": "Be brief."}, {"role": "user", "content": "hello"}]}


def _text(text: str, kind: str = "text") -> dict[str, Any]:
    return {"type": kind, "text": text}


def _called(call: Any, result: Any, tools: Any, question: Any = None) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Is it wet?"}, call, result, *(question or ())], "tools": tools}


_URL = {"url": f"data:image/png;base64,{PNG}"}
_FUNCTION = {"name": "weather", "parameters": WEATHER}
_SOURCE = {"type": "base64", "media_type": "image/png", "data": PNG}
_CACHED = {"cache_control": {"type": "ephemeral"}}
_WET = {"function": {"name": "weather", "arguments": {}}}
SHAPES: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "openai": {
        "string": _says("hello there"),
        "list": _says([_text("hello"), _text("there")]),
        "developer": _after("developer"),
        "name": _says("hello there", name="bob"),
        "picture": _says([_text("What is this?"), {"type": "image_url", "image_url": _URL}]),
        "detail": _says([_text("What is this?"), {"type": "image_url", "image_url": {**_URL, "detail": "auto"}}]),
        "audio": _says([_text("Who speaks?"), {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}]),
        "tools": _called(
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {
                "name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "wet"}, [{"type": "function", "function": _FUNCTION}],
        ),
        "parts of results": _called(
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {
                "name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [_text("wet")]},
            [{"type": "function", "function": _FUNCTION}],
        ),
        "thought": {"messages": [
            {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi", "reasoning_content": "hm"},
            {"role": "user", "content": "and now?"},
        ]},
    },
    "openai-responses": {
        "string": {"input": "hello there"},
        "list": {"input": [{"role": "user", "content": [_text("hello", "input_text"), _text("there", "input_text")]}]},
        "developer": {"input": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "hello"}]},
        "picture": {"input": [{"role": "user", "content": [
            _text("What is this?", "input_text"), {"type": "input_image", "image_url": _URL["url"]}]}]},
        "audio": {"input": [{"role": "user", "content": [
            _text("Who speaks?", "input_text"),
            {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}]}]},
        "two": {"input": [{"role": "user", "content": "hello"}, {"role": "user", "content": "there"}]},
        "tools": {
            "input": [{"role": "user", "content": "Is it wet?"},
                {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "wet"}],
            "tools": [{"type": "function", **_FUNCTION}],
        },
    },
    "anthropic": {
        "string": _says("hello there"),
        "list": _says([_text("hello"), _text("there")]),
        "system": {**_says("hello there"), "system": [_text("Be brief."), _text("Be kind.")]},
        "picture": _says([_text("What is this?"), {"type": "image", "source": _SOURCE}]),
        "two": {"messages": [{"role": "user", "content": "hello"}, {"role": "user", "content": "there"}]},
        "cached": _says([{**_text("hello there"), **_CACHED}]),
        "tools": _called(
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "wet"}]},
            [{"name": "weather", "input_schema": WEATHER}],
        ),
    },
    "ollama": {
        "string": _says("hello there"),
        "system": _after("system"),
        "picture": _says("What is this?", images=[PNG]),
        "tools": _called(
            {"role": "assistant", "content": "", "tool_calls": [_WET]},
            {"role": "tool", "content": "wet", "tool_name": "weather"}, [{"type": "function", "function": _FUNCTION}],
        ),
    },
    "ollama-generate": {
        "string": {"prompt": "hello there"},
        "system": {"prompt": "hello there", "system": "Be brief."},
        "picture": {"prompt": "What is this?", "images": [PNG]},
    },
}  # fmt: skip
LIMITS = {
    "openai": "max_tokens", "openai-responses": "max_output_tokens", "anthropic": "max_tokens",
    "ollama": "options.num_predict", "ollama-generate": "options.num_predict",
}  # fmt: skip
# A whole answer is asked for where it is surely made soon; and what is said is not what these tests are about.
NOT_COMPARED = (
    "stream", "stream_options.include_usage", "messages", "input", "system", "contents", "systemInstruction.parts",
)  # fmt: skip
DIRECT_CLIENTS = ("openai", "openai-responses", "anthropic", "ollama")
NO_ROUTE = {("audio", "anthropic")}  # its protocol has no sound


class Hosts:
    """A gateway before a host of each protocol."""

    def __init__(self, house: GatewayServer, hosts: Mapping[str, Any]) -> None:
        self.house = house
        self._hosts = hosts

    def by(self, way: str) -> None:
        """Have the direct path take what it can, or nothing."""
        direct = self.house.gateway.direct
        if way == "executor":

            async def shut(*asked: object) -> None:
                return None

            direct.match = shut  # type: ignore[method-assign,assignment]
            direct.at_once = lambda *asked: None  # type: ignore[method-assign]
        else:
            vars(direct).pop("match", None)
            vars(direct).pop("at_once", None)

    def sent(self, client: str, host: str, tree: dict[str, Any]) -> tuple[dict[str, Any], set[str], Mapping[str, str]]:
        """What reaches a host of a request, what its answer names as ignored, and the headers that reach the host."""
        attempts = self._hosts[host].attempts
        before = len(attempts)
        whole = {"stream": False} if client.startswith("ollama") else {}
        tree = with_field(tree, LIMITS[client], 4000)
        found = self.house.post(DOORS[client], {"model": f"our-{host}/m", **whole, **tree})
        assert found.status_code == 200, found.text
        assert len(attempts) == before + 1
        named = found.headers.get("x-intermodal-ignored", "")
        sent = {path: value for path, value in leaves(attempts[-1].json) if path not in NOT_COMPARED}
        return sent, set(named.split(", ")) - {""}, attempts[-1].headers


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder = tmp_path_factory.mktemp("fates")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        fakes: dict[str, Any] = {
            name: stack.enter_context(FakeHost("Four.") if name == "openai" else FakeVendor(name, "Four."))  # type: ignore[arg-type]
            for name in HOSTS
        }
        rows = (
            HOST.format(name=name, url=fake.base_url, takes=TAKES.get(name, ["text", "image", "audio"]))
            for name, fake in fakes.items()
        )
        (folder / "intermodal.toml").write_text("".join(rows))
        patch.setenv("INTERMODAL_CONFIG", str(folder / "intermodal.toml"))
        yield Hosts(stack.enter_context(GatewayServer()), fakes)


def everything(client: str, host: str, tree: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
    """The request with every field that may stand beside its messages; what a host is to be told; what it is not."""
    told: dict[str, Any] = {}
    lost: set[str] = set()
    for name, field in FIELDS[client].items():
        if field.fate not in ("setting", "own", "ignored") and name not in DRAWN[client]:
            continue
        found = fate(client, name, host)
        if found == IGNORED:
            lost.add(name)
        elif not isinstance(found, str):
            told |= dict(found)
        else:
            continue
        tree = with_field(tree, name, SAMPLES[client][name])
    return tree, told, lost


CASES = [
    (client, shape, host)
    for client, shapes in SHAPES.items()
    for shape in shapes
    for host in HOSTS
    if (shape, host) not in NO_ROUTE
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("client", "shape", "host"), CASES)
def test_every_field_has_its_fate(hosts: Hosts, client: str, shape: str, host: str, way: str) -> None:
    hosts.by(way)
    usual = SHAPES[client][shape]
    full, told, lost = everything(client, host, usual)
    before, named, _ = hosts.sent(client, host, usual)
    after, more, headers = hosts.sent(client, host, full)
    assert {path: value for path, value in after.items() if before.get(path, ...) != value} == told
    assert set(before) <= set(after)
    assert more - named == lost and named <= more
    if host == "anthropic":  # a version that knows what is said
        assert headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("client", DIRECT_CLIENTS)
def test_the_direct_path_takes_what_is_set_to_a_host_that_speaks_alike(hosts: Hosts, client: str) -> None:
    """All of them at once."""
    tree: dict[str, Any] = {**SHAPES[client]["string"], "stream": True}  # a whole answer may be one that is waited for
    for name, field in FIELDS[client].items():
        if field.fate in ("setting", "own"):
            tree = with_field(tree, name, SAMPLES[client][name])
    hosts.by("direct")
    before = hosts.house.taken
    hosts.sent(client, client, tree)
    assert hosts.house.taken == before + 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("client", SHAPES)
def test_null_says_nothing(hosts: Hosts, client: str, way: str) -> None:
    hosts.by(way)
    usual = SHAPES[client]["string"]
    nothing = {name: None for name, field in FIELDS[client].items() if field.fate != "planned" and "." not in name}
    host = client.removesuffix("-generate")
    before, _, _ = hosts.sent(client, host, usual)
    after, named, _ = hosts.sent(client, host, {**usual, **nothing})
    assert (after, named) == (before, set())
