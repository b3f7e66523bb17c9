"""The servers that are measured: how each is configured, started and asked. Nothing is tuned but what is said here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.pinned import free_port

import intermodal

KEY = "sk-measured-0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Start:
    """How one is started and asked. ``port`` is None where it prints its address as its first line."""

    command: list[str]
    port: int | None
    env: Mapping[str, str] = field(default_factory=dict)
    path: str = "/v1/chat/completions"
    model: str = "m"
    headers: Mapping[str, str] = field(default_factory=lambda: {"authorization": f"Bearer {KEY}"})


@dataclass(frozen=True, slots=True)
class Server:
    """``start`` takes the folder of peers, an empty folder and the port of the host behind; ``version`` the former."""

    name: str
    has_on: str
    start: Callable[[Path, Path, int], Start]
    version: Callable[[Path], str]


class NotThere(Exception):
    """It cannot be started here; says why."""


# ---- intermodal

# A hosted service, as far as intermodal is told: to what computes on this machine no client's file goes as it is.
_CONFIG = """
consent = ["bench"]
[hosts.bench]
base_url = "http://127.0.0.1:{port}/v1"
zone = "internet"
[[hosts.bench.models]]
id = "bench/m"
served_as = "m"
input = ["text", "image"]
context = 128000
tier = "large"
input_mtok = 0.1
output_mtok = 0.4
"""
_QUIET = """
[serve]
log_level = "error"
"""
BUDGETS = ("--budget", "1000000/month", "--tokens", "1000000000000/month")
RATES = ("--rpm", "100000000", "--tpm", "1000000000000")


def ours(folder: Path, *arguments: str) -> str:
    """What a command of intermodal prints, with a home of its own in a folder."""
    command = [sys.executable, "-m", "intermodal.cli.main", *arguments]
    return subprocess.run(command, env=_env(folder), capture_output=True, text=True, check=True).stdout


def _env(folder: Path) -> dict[str, str]:
    """Compiled files are kept, as an installed package has them, whatever this shell says of them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "INTERMODAL_HOME": str(folder), "INTERMODAL_CONFIG": str(folder / "intermodal.toml")}


def _intermodal(*limits: str, config: str = "") -> Callable[[Path, Path, int], Start]:
    def start(_peers: Path, folder: Path, behind: int) -> Start:
        (folder / "intermodal.toml").write_text(_CONFIG.format(port=behind) + config)
        headers = {}
        if limits:
            secret = ours(folder, "keys", "create", "bench", *limits).split()[-1]
            headers = {"authorization": f"Bearer {secret}"}
        port = free_port()
        command = [sys.executable, "-m", "intermodal.cli.main", "serve", "--port", str(port)]
        return Start(command, port, _env(folder), model="bench/m", headers=headers)

    return start


# ---- peers

_NGINX = """
daemon off; worker_processes 1; error_log {folder}/error.log; pid {folder}/pid;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream host {{ server 127.0.0.1:{behind}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://host; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


def _nginx(peers: Path, folder: Path, behind: int) -> Start:
    port = free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, behind=behind, port=port))
    user = ["-g", "user root;"] if os.getuid() == 0 else []
    return Start([_found("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), *user], port)


def _litellm(peers: Path, folder: Path, behind: int) -> Start:
    port = free_port()
    model = {"model": "openai/m", "api_base": f"http://127.0.0.1:{behind}/v1", "api_key": "none"}
    tree = {
        "model_list": [{"model_name": "m", "litellm_params": model}],
        "general_settings": {"master_key": KEY},
    }
    (folder / "config.yaml").write_text(json.dumps(tree))  # which is YAML too
    command = [_found(peers / "litellm/bin/litellm"), "--config", str(folder / "config.yaml")]
    env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    return Start([*command, "--host", "127.0.0.1", "--port", str(port)], port, env)


def _portkey(peers: Path, folder: Path, behind: int) -> Start:
    port = free_port()
    script = _found(peers / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js")
    headers = {
        "authorization": f"Bearer {KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{behind}/v1",
    }
    return Start([_found("node"), script, "--headless", f"--port={port}"], port, headers=headers)


_TENSORZERO = """
[gateway]
observability.enabled = false
[object_storage]
type = "disabled"
[models.m]
routing = ["mock"]
[models.m.providers.mock]
type = "openai"
model_name = "m"
api_base = "http://127.0.0.1:{behind}/v1/"
api_key_location = "none"
"""
# The gateway that its wheel carries, and that its own patch_openai_client starts.
_TENSORZERO_SCRIPT = r"""
import os, sys
told = os.dup(1)
os.dup2(2, 1)  # it logs to where its address is told
import tensorzero
gateway = tensorzero._start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None,
                                         valkey_url=None, async_setup=False)
os.write(told, gateway.base_url.encode() + b"\n")
sys.stdin.read()
"""


def _tensorzero(peers: Path, folder: Path, behind: int) -> Start:
    (folder / "tensorzero.toml").write_text(_TENSORZERO.format(behind=behind))
    python = _found(peers / "tensorzero/bin/python")
    command = [python, "-c", _TENSORZERO_SCRIPT, str(folder / "tensorzero.toml")]
    return Start(command, None, path="/openai/v1/chat/completions", model="tensorzero::model_name::m", headers={})


def _found(*places: str | Path) -> str:
    """The first of them that is there; a name is looked for where commands are."""
    for place in places:
        found = shutil.which(place, path=f"{os.environ.get('PATH', '')}:/usr/sbin") if isinstance(place, str) else place
        if found and Path(found).exists():
            return str(found)
    raise NotThere(f"{places[-1]} is not there")


# ---- which of them


def _version_of(name: str) -> Callable[[Path], str]:
    """A version of a package in the peer's own environment."""

    def version(peers: Path) -> str:
        return next(
            (
                each.name.split("-")[1].removesuffix(".dist")
                for each in peers.glob(f"{name}/lib/*/site-packages/{name}-*.dist-info")
            ),
            "?",
        )

    return version


def _nginx_version(peers: Path) -> str:
    try:
        told = subprocess.run([_found("nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    except NotThere:
        return "?"
    return told.strip().rpartition("/")[2]


def _portkey_version(peers: Path) -> str:
    package = peers / "portkey/node_modules/@portkey-ai/gateway/package.json"
    return str(json.loads(package.read_text())["version"]) if package.exists() else "?"


def _our_version(_peers: Path) -> str:
    return intermodal.__version__


SERVERS = {
    server.name: server
    for server in (
        Server("nginx", "forwards and keeps connections; reads no JSON, no keys, no log", _nginx, _nginx_version),
        Server(
            "intermodal",
            "key, two budgets that reserve, plan, store, a line of log a request, counts",
            _intermodal(*BUDGETS),
            _our_version,
        ),
        Server("intermodal-rates", "as intermodal, and two rates", _intermodal(*BUDGETS, *RATES), _our_version),
        Server(
            "intermodal-quiet", "as intermodal, without the log", _intermodal(*BUDGETS, config=_QUIET), _our_version
        ),
        Server("intermodal-open", "plan, store, log, counts; no key", _intermodal(), _our_version),
        Server("litellm", "master key; no database, no budgets", _litellm, _version_of("litellm")),
        Server("portkey", "no key, no budgets", _portkey, _portkey_version),
        Server("tensorzero", "no key, no budgets, observability off", _tensorzero, _version_of("tensorzero")),
    )
}
USUAL = ("nginx", "intermodal", "litellm", "portkey", "tensorzero")
KEYED = ("intermodal", "intermodal-rates", "intermodal-quiet")
