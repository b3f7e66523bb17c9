"""A process has a limit of open files; clients beyond it are told to come later, and nobody else is held up."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx

from intermodal.gateway.http1.http_types import HttpLimits
from intermodal.gateway.process.fd_limits import limit_connections


def test_more_clients_than_files_are_told_to_come_later(configured: Path) -> None:
    """Beyond the limit asyncio's accepting fails, which it writes down some thousand times a second."""
    command = f"ulimit -n 120; exec {sys.executable} -m intermodal.cli.main serve --port 0"
    with ExitStack() as stack:
        server = stack.enter_context(
            subprocess.Popen(["bash", "-c", command], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        )
        stack.callback(server.kill)
        assert server.stderr is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", server.stderr.readline())
        assert found is not None
        port = int(found[1])
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(60)]
        assert lines[-1].recv(4096).startswith(b"HTTP/1.1 503")
        assert server.poll() is None
        for line in lines:
            line.close()
        with httpx.Client(timeout=300, trust_env=False) as client:
            assert client.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        server.terminate()
        assert "Too many open files" not in server.stderr.read()


def test_the_usual_limit_of_files_is_no_limit_where_there_are_many() -> None:
    assert limit_connections(HttpLimits(connections=2)).connections == 2
