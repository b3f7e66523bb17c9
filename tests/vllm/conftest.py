"""Real vLLM servers on the processor, with SmolLM2 alone and with tiny-eye before it. Only with ``make test-vllm``."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.servers import EYE

from intermodal.config.config_file import cache_dir
from intermodal.local.weights.store import WeightsStore

ROOT = Path(__file__).parents[2]
WEIGHTS = WeightsStore(cache_dir(os.environ) / "weights")  # before a test moves the cache
CONTEXT = 1024  # tokens, --max-model-len
START = 600.0  # seconds; 36 on two quiet cores
_SETTINGS = {
    "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
}  # fmt: skip


@dataclass(frozen=True)
class VllmServer:
    """A running server that calls its model ``name``."""

    base_url: str
    name: str

    def row(self, kinds: str = '["text"]', **more: str) -> str:
        """Its host row, as a user writes it. Nothing of what the server can do is in it but what a test says."""
        lines = [
            "[hosts.vllm]", f'base_url = "{self.base_url}"', 'zone = "machine"', "forced_json = true",
            "[[hosts.vllm.models]]", f'id = "{self.name}"', f"input = {kinds}", 'tier = "tiny"',
            *(f"{key} = {value}" for key, value in more.items()),
        ]  # fmt: skip
        return "\n".join(lines) + "\n"


@contextmanager
def serving(
    python: str, weights: Path, name: str, *, context: int = CONTEXT, space: int = 1, more: tuple[str, ...] = ()
) -> Iterator[VllmServer]:
    """``vllm serve`` as its own process; raises RuntimeError with the end of its log when it does not come up.

    ``space``: GiB it sets aside for keys and values. ``more``: options.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = weights.parent / f"{name}.log"
    command = [
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(weights), "--served-model-name", name,
        "--host", "127.0.0.1", "--port", str(port), "--enforce-eager", "--max-model-len", str(context), *more,
    ]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | _SETTINGS | {"VLLM_CPU_KVCACHE_SPACE": str(space)},
        )
    try:
        _wait(process, port, log)
        yield VllmServer(f"http://127.0.0.1:{port}/v1", name)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"vLLM did not come up; {log} ends:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def python(request: pytest.FixtureRequest) -> str:
    found = str(request.config.getoption("--vllm") or "")
    if not found:
        pytest.skip("needs vLLM: make test-vllm")
    return found


@pytest.fixture(scope="session")
def weights(python: str) -> Path:
    """``text`` and ``eye`` below this folder, made once."""
    folder = ROOT / "out" / "vllm"
    if not (folder / "eye" / "model.safetensors").exists():
        source = WEIGHTS.path("smollm2-135m-instruct")
        assert source is not None, "run `make setup`"
        folder.mkdir(parents=True, exist_ok=True)
        export = [python, str(Path(__file__).parent / "export.py"), str(source), str(EYE), str(folder)]
        subprocess.run(export, check=True, env=os.environ | _SETTINGS)
    return folder


@pytest.fixture(scope="module")
def text_only(python: str, weights: Path) -> Iterator[VllmServer]:
    with serving(python, weights / "text", "smollm2") as server:
        yield server


@pytest.fixture(scope="module")
def with_eye(python: str, weights: Path) -> Iterator[VllmServer]:
    with serving(python, weights / "eye", "smollm2-with-tiny-eye") as server:
        yield server
