"""Protocols of plugins: spoken to a server on loopback, and what becomes of a codec that fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from tests.installed_plugin import PluginPython, build_wheel, wheel_of
from tests.unit.plugins.conftest import EXAMPLE

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import FakeHost

ANSWER = [{"word": "Four"}, {"word": "."}, {"end": "stop", "in": 7, "out": 2}]


class LinesServer:
    """A server of the example's protocol that answers with these lines and keeps what it was sent."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = ANSWER
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                outer.keys.append(self.headers["authorization"])
                body = "".join(json.dumps(line) + "\n" for line in outer.lines).encode()
                self.send_response(200 if self.path == "/v1/write" else 404)
                self.send_header("content-type", "application/x-ndjson")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LinesServer]:
    monkeypatch.setenv("EXAMPLE_API_KEY", "sk-example")
    made = LinesServer()
    yield made
    made.close()


def connect(python: PluginPython, server: LinesServer, other: FakeHost, codes: tuple[str, ...]) -> None:
    """Install a protocol of each code with a host ``mineN`` that speaks it, and a dearer host with the same models.

    The config is written as text: this process has no plugin, and would refuse the protocols.
    """
    files = {f"lines_{number}.py": code for number, code in enumerate(codes)}
    points = {"intermodal.protocols": {f"lines{number}": f"lines_{number}" for number in range(len(codes))}}
    python.install(build_wheel("intermodal-lines", "2.0", files, points, python.folder))
    served = "{{id = 'acme/writer{}', context = 8192, input_mtok = {}, output_mtok = 2.0}}"
    hosts = [
        f"[hosts.mine{number}]\nbase_url = '{server.base_url}'\nprotocol = 'lines{number}'\n"
        f"models = [{served.format(number, 1.0)}]"
        for number in range(len(codes))
    ]
    models = ", ".join(served.format(number, 19.0) for number in range(len(codes)))
    hosts.append(f"[hosts.other]\nbase_url = '{other.base_url}'\nmodels = [{models}]")
    path = config_file.config_path(os.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(hosts))


def install(python: PluginPython, code: str, name: str = "example-lines") -> None:
    points = {"intermodal.protocols": {name: "intermodal_lines"}}
    python.install(build_wheel("intermodal-lines", "2.0", {"intermodal_lines.py": code}, points, python.folder))


def test_a_host_of_an_installed_protocol_is_planned_and_asked_and_its_config_is_refused_once_uninstalled(
    python: PluginPython, server: LinesServer
) -> None:
    python.install(wheel_of(EXAMPLE, python.folder))
    config_file.add_host(os.environ, HostRow(id="example", base_url=server.base_url))
    ask = ("ask", "-q", "How many?", "-m", "example:example/writer-8b")
    plan = python.intermodal("explain", *ask[2:])
    assert "Generate  example:example/writer-8b" in plan.out and server.bodies == [], plan
    assert python.intermodal(*ask) == (0, "Four.\n", "")
    assert server.bodies[0]["model"] == "example/writer-8b" and "How many?" in server.bodies[0]["prompt"]
    assert server.keys == ["Bearer sk-example"]
    step = python.intermodal(*ask, "--json").document["steps"][0]
    assert (step["usage"]["input_tokens"], step["usage"]["output_tokens"]) == (7, 2)
    added = python.intermodal("hosts", "add", "mine", "--base-url", server.base_url, "--protocol", "example-lines",
                              "--model", "acme/writer")  # fmt: skip
    assert added.code == 0, added.err
    assert "example-lines" in python.intermodal("config", "schema").out
    python.uninstall("intermodal-example")
    gone = python.intermodal(*ask)
    assert gone.code == 2 and "not 'example-lines'; correct it, or install the plugin that speaks it" in gone.err
    unknown = python.intermodal("hosts", "add", "two", "--base-url", server.base_url, "--protocol", "example-lines")
    assert unknown.code == 2 and "example-lines" in unknown.err


def test_what_a_protocol_cannot_carry_goes_to_another_host_or_is_refused_before_anything_is_sent(
    python: PluginPython, server: LinesServer, media: Any
) -> None:
    python.install(wheel_of(EXAMPLE, python.folder))
    config_file.add_host(os.environ, HostRow(id="example", base_url=server.base_url))
    done = python.intermodal("ask", "-q", "What?", str(media / "jfk.wav"), "-m", "example:example/writer-8b",
                             "--output", "embedding")  # fmt: skip
    assert done.code == 4 and server.bodies == [], done


def test_a_cut_reply_of_a_plugin_protocol_is_an_error_and_no_answer(python: PluginPython, server: LinesServer) -> None:
    python.install(wheel_of(EXAMPLE, python.folder))
    config_file.add_host(os.environ, HostRow(id="example", base_url=server.base_url))
    server.lines = ANSWER[:2]
    done = python.intermodal("ask", "-q", "How many?", "-m", "example:example/writer-8b")
    assert done.code == 5 and "ended in the middle of the answer" in done.err


WRITER = """
from intermodal import plugins
FRAMING = "ndjson"
def encode_request(call, host):
    {encode}
    return plugins.EncodedRequest(path="/write", headers=(), segments=(b"{{}}",))
def read_event(event):
    {read}
"""
FAILING = {
    WRITER.format(encode="1 / 0", read="pass"): "the plugin intermodal-lines 2.0 failed to write the request (ZeroDiv",
    WRITER.format(encode="return b''", read="pass"): "the plugin intermodal-lines 2.0 wrote bytes, not an EncodedReq",
    WRITER.format(encode="pass", read="yield event['nothing']"): "2.0 cannot read the reply (KeyError)",
    WRITER.format(encode="pass", read="yield 3"): "intermodal-lines 2.0 read int, which is no event of a reply",
    WRITER.format(encode="pass", read="raise plugins.CallError('is asleep')"): "is asleep",
    WRITER.format(encode="pass", read="return None"): "intermodal-lines 2.0 cannot read the reply (TypeError)",
}


def test_a_protocol_that_fails_is_an_error_of_its_host_with_the_package_and_another_host_answers(
    python: PluginPython, server: LinesServer
) -> None:
    with FakeHost(answer="From the other.") as fake:
        connect(python, server, fake, tuple(FAILING))
        numbers = range(len(FAILING))
        calls = [f"client.ask('Q?', model='mine{number}:acme/writer{number}')" for number in numbers]
        calls += [f"client.ask('Q?', model='acme/writer{number}')" for number in numbers]
        said = python.failures("\n".join(calls))
        assert said[len(FAILING) :] == ["From the other."] * len(FAILING)
    for failure, problem in zip(said, FAILING.values(), strict=False):
        assert failure.startswith(("CallError", "StreamCut")) and problem in failure


UNLOADABLE = {
    "import nothing_like_it": "cannot be loaded (ModuleNotFoundError: No module named 'nothing_like_it')",
    "def encode_request(call, host): ...": "has no read_event",
    WRITER.format(encode="pass", read="pass") + "FRAMING = 'xml'": "has a FRAMING of 'xml', neither 'sse' nor 'ndjson'",
}


def test_a_host_whose_protocol_cannot_be_loaded_is_not_ready_and_says_why_and_others_answer(
    python: PluginPython, server: LinesServer
) -> None:
    with FakeHost(answer="From the other.") as fake:
        connect(python, server, fake, tuple(UNLOADABLE))
        numbers = range(len(UNLOADABLE))
        calls = [f"client.ask('Q?', model='mine{number}:acme/writer{number}')" for number in numbers]
        *failures, other = python.failures("\n".join([*calls, "client.ask('Q?', model='acme/writer0')"]))
        assert other == "From the other."
    listed = {each["name"]: each["problem"] for each in python.intermodal("plugins", "--json").document["plugins"]}
    for number, (said, problem) in enumerate(zip(failures, UNLOADABLE.values(), strict=True)):
        assert said.startswith("NoRoute") and problem in said and "intermodal-lines 2.0" in said
        assert problem in listed[f"lines{number}"]


def test_a_protocol_with_a_built_in_name_is_reported_and_the_built_in_one_is_spoken(python: PluginPython) -> None:
    install(python, WRITER.format(encode="1 / 0", read="pass"), name="openai")
    with FakeHost(answer="Four.") as fake:
        served = ServedRow(id="acme/talker", context=8192, input_mtok=1.0, output_mtok=2.0)
        config_file.add_host(os.environ, HostRow(id="box", base_url=fake.base_url, models=(served,)))
        done = python.intermodal("ask", "-q", "How many?", "-m", "acme/talker")
        assert (done.code, done.out) == (0, "Four.\n"), done.err
    (found,) = python.intermodal("plugins", "--json").document["plugins"]
    assert found["problem"] == "its name is one of intermodal's own"


def test_the_gateway_answers_its_clients_from_a_host_of_a_plugin_protocol(
    python: PluginPython, server: LinesServer
) -> None:
    python.install(wheel_of(EXAMPLE, python.folder))
    config_file.add_host(os.environ, HostRow(id="example", base_url=server.base_url))
    command = [str(python.python), "-m", "intermodal.cli.main", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=python.folder) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "serving at" in line)
            address = re.findall(r"http://\S+", line)[0]
            body = {"model": "example:example/writer-8b", "messages": [{"role": "user", "content": "How many?"}]}
            answer = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=300).json()
            assert answer["choices"][0]["message"]["content"] == "Four."
            assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (7, 2)
        finally:
            process.terminate()
            process.communicate()
