"""llama.cpp's own server over a small GGUF file, asked for the ids of texts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

SERVER = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port, p.n_ctx, p.n_parallel = sys.argv[1], ["127.0.0.1"], 0, 512, 1
p.ui, p.warmup, p.verbosity, p.cpuparams.n_threads = False, False, -1, 1
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def served(path: Path) -> Iterator[str]:
    """The address of a server that holds this file."""
    command = [sys.executable, "-c", SERVER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(300)


@contextmanager
def llama_cpp(path: Path) -> Iterator[Callable[[str], list[int]]]:
    """Its own ids of a text."""
    with served(path) as url, httpx.Client(timeout=300) as client:

        def ids(text: str) -> list[int]:
            found: list[int] = client.post(f"{url}/tokenize", json={"content": text}).json()["tokens"]
            return found

        yield ids
