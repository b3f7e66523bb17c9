"""How fast the gateway is, beside the host alone and beside LiteLLM's proxy, in the same minutes on the same core.

python benchmarks/gateway/measure.py [--litellm BIN] [--seconds 5] [--rounds 3] [--json FILE]

The gateway under test has core 1 (one worker, with a key, a budget, plans and the store), everything else core 0.
Rounds are interleaved; the medians are shown, with the processor's time a request. ``--litellm`` is its command, of an
environment of its own. Whatever else the machine does is in the numbers: its load is printed with them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from gateway.load import Measured, load

HERE = Path(__file__).parent
KEY = "sk-measured-0123456789abcdef"
WORKLOADS = {
    "small chat, 1": ("chat", 1),
    "small chat, 32": ("chat", 32),
    "stream of 64, 32": ("stream", 32),
    "1 MiB picture, 8": ("picture", 8),
}
CONFIG = """
[hosts.bench]
base_url = "http://127.0.0.1:{port}/v1"
zone = "machine"
[[hosts.bench.models]]
id = "bench/m"
served_as = "m"
input = ["text", "image"]
context = 128000
tier = "large"
input_mtok = 0.1
output_mtok = 0.4
"""
LITELLM = """
model_list:
  - model_name: bench/m
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
"""


def picture() -> bytes:
    """A PNG of noise, so that as base64 it has 1 MiB."""
    wide, high = 512, 512
    chance = random.Random(1)
    raw = b"".join(b"\0" + chance.randbytes(wide * 3) for _ in range(high))

    def piece(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", head) + piece(b"IDAT", zlib.compress(raw, 0)) + piece(b"IEND", b"")


def request(kind: str, key: str) -> bytes:
    """The bytes of one call."""
    content: object = "Say hello. " + "Some more words to make it the size of a small chat. " * 6
    if kind == "picture":
        url = "data:image/png;base64," + base64.b64encode(picture()).decode()
        content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    tree = {"model": "bench/m", "messages": [{"role": "user", "content": content}], "max_tokens": 100}
    body = json.dumps({**tree, **({"stream": True} if kind == "stream" else {})}).encode()
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


@contextmanager
def process(command: list[str], core: int, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """A process on one core."""
    with log.open("w") as errors:
        made = subprocess.Popen(
            ["taskset", "-c", str(core), *command], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    try:
        yield made
    finally:
        made.terminate()
        made.wait(30)


def free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def up(port: int, seconds: float = 60.0) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nobody listens at {port}")


def processor(pid: int) -> float:
    """Seconds of a process and its children."""
    root = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (root, *root.children(recursive=True)))


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--litellm")
    asked.add_argument("--seconds", type=float, default=5.0)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        env = {**os.environ, "INTERMODAL_HOME": folder, "INTERMODAL_CONFIG": str(home / "intermodal.toml")}
        log = home / "log"
        upstream = stack.enter_context(process([sys.executable, str(HERE / "upstream.py")], 0, env, log))
        assert upstream.stdout is not None
        port = int(upstream.stdout.readline())
        (home / "intermodal.toml").write_text(CONFIG.format(port=port))
        ours = [sys.executable, "-m", "intermodal.cli.main"]
        create = [*ours, "keys", "create", "bench", "--budget", "100000/month", "--tokens", "1000000000000/month"]
        secret = subprocess.run(create, env=env, capture_output=True, text=True, check=True).stdout.split()[-1]
        under: dict[str, tuple[int, str, int]] = {"host alone": (port, KEY, upstream.pid)}
        our_port = free_port()
        gateway = stack.enter_context(process([*ours, "serve", "--port", str(our_port)], 1, env, home / "ours.log"))
        up(our_port)
        under["intermodal"] = (our_port, secret, gateway.pid)
        if given.litellm:
            peer = free_port()
            (home / "litellm.yaml").write_text(LITELLM.format(port=port, key=KEY))
            more = {**env, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
            command = [
                given.litellm,
                "--config",
                str(home / "litellm.yaml"),
                "--port",
                str(peer),
                "--host",
                "127.0.0.1",
            ]
            proxy = stack.enter_context(process(command, 1, more, home / "litellm.log"))
            up(peer)
            time.sleep(3)
            under["litellm"] = (peer, KEY, proxy.pid)
        report(measured(under, given.rounds, given.seconds), given.json)


def measured(under: dict[str, tuple[int, str, int]], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Medians by workload and server."""
    found: dict[str, list[tuple[Measured, float]]] = {}
    for number in range(rounds + 1):  # the first warms up
        for workload, (kind, connections) in WORKLOADS.items():
            for name, (port, key, pid) in under.items():
                before = processor(pid)
                made = asyncio.run(load(port, request(kind, key), connections=connections, seconds=seconds))
                spent = processor(pid) - before
                if number:
                    found.setdefault(f"{workload} | {name}", []).append((made, spent))
    rows = {}
    for row, several in found.items():
        middle = statistics.median
        rows[row] = {
            "rps": middle(made.rps for made, _ in several),
            "p50_ms": middle(made.p50 for made, _ in several),
            "p99_ms": middle(made.p99 for made, _ in several),
            "events_per_s": middle(made.events for made, _ in several),
            "cpu_ms": middle(1000 * spent / max(1.0, made.rps * seconds) for made, spent in several),
            "failed": float(sum(made.failed for made, _ in several)),
        }
    return rows


def report(rows: dict[str, dict[str, float]], to: Path | None) -> None:
    print(f"load of the machine (1, 5, 15 min): {os.getloadavg()}, cores: {os.cpu_count()}")
    print(f"{'workload | server':<34}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'events/s':>10}{'CPU ms':>8}{'failed':>8}")
    for name, row in rows.items():
        print(
            f"{name:<34}{row['rps']:>9.1f}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}{row['events_per_s']:>10.0f}"
            f"{row['cpu_ms']:>8.2f}{row['failed']:>8.0f}"
        )
    if to is not None:
        to.write_text(json.dumps({"load": os.getloadavg(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
