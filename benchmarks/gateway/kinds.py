"""How many requests of each kind the gateway answers a second: four APIs, JSON by a schema, tools, a deadline.

    python benchmarks/gateway/kinds.py
    python benchmarks/gateway/kinds.py --seconds 4 --rounds 3 --src OTHER/src      two builds, in turns, kind by kind
    python benchmarks/gateway/kinds.py --peers DIR      beside what install.py put there, for the kinds that each can do

Whole answers, 32 connections that each ask again when they were answered. The gateway has core 1 for itself, with one
worker and no key; the host behind (mock.c) and what asks (load.c) have core 0. Every answer is checked. Shown are
requests a second, and in brackets requests a second of the gateway's own processor time, which a busy machine changes
less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from gateway.pinned import GATEWAY_CORE, OTHER_CORE, Pinned, free_port
from gateway.running import Tools
from gateway.servers import KEY, SERVERS, NotThere, Start

CONNECTIONS = 32
Rates = dict[
    tuple[str, tuple[str, str]], list[tuple[float, float]]
]  # by server and kind: of the clock, of its own time
PROTOCOLS = {
    "chat": "openai",
    "messages": "anthropic",
    "responses": "openai-responses",
    "ollama": "ollama",
}
PATHS = {
    "chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses", "ollama": "/api/chat",
}  # fmt: skip
_SCHEMA = {
    "type": "object", "required": ["city", "said", "people"], "additionalProperties": False,
    "properties": {"city": {"type": "string"}, "said": {"type": "string"}, "people": {"type": "integer"}},
}  # fmt: skip
_TOOL = {
    "name": "weather",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}
FORMATS: dict[str, dict[str, Any]] = {
    "chat": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "place", "schema": _SCHEMA},
        }
    },
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}},
    "responses": {"text": {"format": {"type": "json_schema", "name": "place", "schema": _SCHEMA}}},
    "ollama": {"format": _SCHEMA},
}
DEADLINE = {"x-intermodal-deadline": "30"}
IN_WORDS = "json, asked in words"


def config(port: int) -> str:
    """Two hosts of each API: one that is held to a schema, and one that is asked for it in words."""
    names = [f"bench-{door}{words}" for door in PROTOCOLS for words in ("", "-words")]
    hosts = [f'consent = {json.dumps(names)}\n[serve]\nlog_level = "error"\n']
    for door, protocol in PROTOCOLS.items():
        url = f"http://127.0.0.1:{port}" + ("" if door == "ollama" else "/v1")
        for name, held in ((door, "true"), (f"{door}-words", "false")):
            hosts.append(
                f'[hosts.bench-{name}]\nbase_url = "{url}"\nzone = "internet"\nprotocol = "{protocol}"\n'
                f"forced_json = {held}\n"
                f'[[hosts.bench-{name}.models]]\nid = "bench/{name}"\nserved_as = "m"\ninput = ["text"]\n'
                'context = 128000\ntier = "large"\ninput_mtok = 0.1\noutput_mtok = 0.4\n'
            )
    return "".join(hosts)


class Target(NamedTuple):
    """How a kind is asked of a server."""

    model: str
    path: str
    headers: Mapping[str, str]
    deadline: Mapping[str, str]


def ours(door: str, kind: str) -> Target:
    return Target(f"bench/{door}{'-words' if kind == IN_WORDS else ''}", PATHS[door], {}, DEADLINE)


def request_bytes(door: str, kind: str, target: Target) -> bytes:
    """The bytes of one request."""
    text = "[mock chunks=1 pause=0 picture=-1] Say hello to everybody, and then say what the weather is. "
    text += "It is a fine day, and there is more to say. " * 7
    tree: dict[str, Any] = {"model": target.model}
    said = [{"role": "user", "content": text}]
    tree |= {"input": said, "max_output_tokens": 100} if door == "responses" else {"messages": said}
    tree |= {"max_tokens": 100} if door in ("chat", "messages") else {}
    tree |= {"options": {"num_predict": 100}, "stream": False} if door == "ollama" else {}
    headers = {"host": "localhost", "content-type": "application/json", **target.headers}
    if kind.startswith("json"):
        tree |= FORMATS[door]
    elif kind == "tools":
        tree |= {"tools": [{"type": "function", "function": _TOOL}]}
    elif kind == "deadline":
        headers |= target.deadline
    body = json.dumps(tree).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {target.path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


KINDS = [
    *((door, "plain") for door in PATHS), *((door, "json") for door in PATHS),
    *((door, IN_WORDS) for door in PATHS), ("chat", "tools"), *((door, "deadline") for door in PATHS),
]  # fmt: skip


class Gateway(NamedTuple):
    """One that runs: its port, its process."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of the processor so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def gateway(folder: Path, source: str, behind: int) -> Iterator[Gateway]:
    folder.mkdir()
    (folder / "intermodal.toml").write_text(config(behind))
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env = {
        **kept,
        "INTERMODAL_HOME": str(folder),
        "INTERMODAL_CONFIG": str(folder / "intermodal.toml"),
    }
    env |= {"PYTHONPATH": source} if source else {}
    port = free_port()
    command = [
        "taskset",
        "-c",
        str(GATEWAY_CORE),
        sys.executable,
        "-m",
        "intermodal.cli.main",
        "serve",
        "--port",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, str(port)], env=env, stdout=log, stderr=log)
        try:
            yield Gateway(port, process.pid)
        finally:
            process.terminate()
            process.wait(20)


# ---- peers


def peer_target(name: str, door: str, kind: str) -> Target | None:
    """How a peer is asked for a kind; None where its documentation has no such request."""
    authorization = {"authorization": f"Bearer {KEY}"}
    if name == "litellm" and door != "ollama":
        return Target(door, PATHS[door], authorization, {"x-litellm-timeout": "30"})
    if name == "portkey" and door != "ollama":
        provider = {"x-portkey-provider": PROTOCOLS[door].partition("-")[0], "x-portkey-custom-host": "{host}/v1"}
        return Target("m", PATHS[door], authorization | provider, {"x-portkey-request-timeout": "30000"})
    if name == "tensorzero" and door == "chat" and kind != "deadline":  # its timeouts stand in its configuration
        return Target("tensorzero::model_name::m", "/openai/v1/chat/completions", {}, {})
    return None


def peer_start(name: str, peers: Path, folder: Path, behind: int) -> Start:
    """A peer as servers.py starts it; LiteLLM has a model for each API."""
    start = SERVERS[name].start(peers, folder, behind)
    if name == "litellm":
        host = f"http://127.0.0.1:{behind}"
        models = [
            {
                "model_name": door,
                "litellm_params": {
                    "model": f"{PROTOCOLS[door].partition('-')[0]}/m", "api_key": "none",
                    "api_base": host if door == "messages" else f"{host}/v1",
                },
            }
            for door in ("chat", "messages", "responses")
        ]  # fmt: skip
        tree = {"model_list": models, "general_settings": {"master_key": KEY}}
        (folder / "config.yaml").write_text(json.dumps(tree))
    return start


@contextmanager
def peer(name: str, peers: Path, folder: Path, behind: int) -> Iterator[Gateway]:
    folder.mkdir()
    start = peer_start(name, peers, folder, behind)
    pinned = Pinned(start.command, GATEWAY_CORE, env=start.env or None, log=folder / "log", tells=start.port is None)
    try:
        yield Gateway(start.port or urlsplit(pinned.line()).port or 0, pinned.process.pid)
    finally:
        pinned.close()


def measure_peers(tools: Tools, root: Path, peers: Path, behind: int, rounds: int, seconds: float) -> Rates:
    """Each peer alone on its core, each kind that it can do, so many rounds; what it cannot is not in the result."""
    found: Rates = {}
    for name in ("litellm", "portkey", "tensorzero"):
        try:
            with peer(name, peers, root / name, behind) as served:
                wait(served.port, "/")
                for number, kind in product(range(rounds), KINDS):
                    target = peer_target(name, *kind)
                    if target is None or kind[1] == IN_WORDS:
                        continue
                    filled = {
                        key: value.format(host=f"http://127.0.0.1:{behind}") for key, value in target.headers.items()
                    }
                    asked = (tools.load, root / name, served, kind, target._replace(headers=filled))
                    try:
                        if not number:
                            measure(*asked, 1.0)
                        rate = measure(*asked, seconds)
                    except WrongAnswers as error:
                        print(f"  {name} {error}", file=sys.stderr)
                        continue
                    found.setdefault((name, kind), []).append(rate)
                    print(f"  {name} {kind[0]} {kind[1]}: {rate[0]:,.0f}/s", file=sys.stderr)
        except NotThere as error:
            print(f"  {name}: {error}", file=sys.stderr)
    return found


class WrongAnswers(Exception):
    """A kind was answered with something else than what the host said; says what."""


def measure(
    load: Path, folder: Path, served: Gateway, kind: tuple[str, str], target: Target, seconds: float
) -> tuple[float, float]:
    """Requests a second, and requests a second of the server's own processor time."""
    file = folder / "request"
    file.write_bytes(request_bytes(*kind, target))
    command = [
        "taskset",
        "-c",
        str(OTHER_CORE),
        str(load),
        str(served.port),
        str(file),
        str(CONNECTIONS),
        str(seconds),
        "0",
    ]
    before = served.cpu()
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    wrong = sum(told[name] for name in ("not_2xx", "broken", "wrong", "unanswered"))
    if wrong or not told["answered"]:
        raise WrongAnswers(f"{kind[0]} {kind[1]}: {wrong} answers are wrong: {told['first_failure']}")
    return told["answered"] / told["seconds"], told["answered"] / (served.cpu() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each kind")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--src",
        action="append",
        default=[],
        help="source of another build; may be repeated",
    )
    parser.add_argument("--peers", type=Path, help="folder that install.py filled: measures the peers, too")
    given = parser.parse_args()
    sources = ["", *given.src]
    found: Rates = {}
    with tempfile.TemporaryDirectory(prefix="kinds-") as name:
        root = Path(name)
        tools = Tools.build(root, [])
        with subprocess.Popen([tools.mock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mock:
            assert mock.stdout is not None and mock.stdin is not None
            os.sched_setaffinity(mock.pid, {OTHER_CORE})
            behind = int(mock.stdout.readline())
            with ExitStack() as stack:
                made = [root / str(place) for place in range(len(sources))]
                served = [stack.enter_context(gateway(*each, behind)) for each in zip(made, sources, strict=True)]
                for each in served:
                    wait(each.port)
                for number, kind in product(range(given.rounds), KINDS):
                    for folder, source, each in zip(made, sources, served, strict=True):
                        if not number:
                            measure(
                                tools.load, folder, each, kind, ours(*kind), 1.0
                            )  # its shape is planned, and its code is warm
                        rate = measure(tools.load, folder, each, kind, ours(*kind), given.seconds)
                        found.setdefault((source, kind), []).append(rate)
                        print(
                            f"  {source or 'this build'} {kind[0]} {kind[1]}: {rate[0]:,.0f}/s",
                            file=sys.stderr,
                        )
            if given.peers:
                peers = given.peers.resolve()
                found |= measure_peers(tools, root, peers, behind, given.rounds, given.seconds)
            mock.stdin.close()
    sources += dict.fromkeys(name for name, _ in found if name not in sources)
    print("| API | kind |" + "".join(f" {source or 'this build'} |" for source in sources))
    print("|---|---|" + "---|" * len(sources))
    for kind in KINDS:
        shown = ""
        for source in sources:
            if (source, kind) not in found:
                shown += " - |"
                continue
            seen, own = (statistics.median(rates) for rates in zip(*found[source, kind], strict=True))
            shown += f" {seen:,.0f} ({own:,.0f}) |"
        print(f"| {kind[0]} | {kind[1]} |{shown}")


def wait(port: int, path: str = "/healthz") -> None:
    """Return once the server answers at all."""
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the gateway does not answer")


if __name__ == "__main__":
    main()
