"""The parent of workers that misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.unit.gateway.gateway_server import until

PARENT = """
import sys
from intermodal.gateway.workers.sockets import bind_sockets
from intermodal.gateway.workers.supervisor import WorkerSupervisor
sockets = bind_sockets("127.0.0.1", 0, 2)
WorkerSupervisor([sys.executable, "-c", sys.argv[1], sys.argv[2]], sockets, drain=1.0, say=print).run()
"""
# A worker that serves; where there is a file "hang", one that closes the line to its parent and does not end.
WORKER = """
import json, os, pathlib, signal, sys, time
folder, post = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if (folder / "hang").exists():
    os.close(post["line"])
    (folder / f"{os.getpid()}.hung").touch()
else:
    os.write(post["line"], b"r")
    (folder / f"{os.getpid()}.serves").touch()
time.sleep(600)
"""


def test_a_worker_that_hangs_while_it_ends_holds_up_nobody(tmp_path: Path) -> None:
    def those(what: str) -> set[int]:
        return {int(path.stem) for path in tmp_path.glob(f"*.{what}")}

    command = [sys.executable, "-c", PARENT, WORKER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as parent:
        try:
            until(lambda: len(those("serves")) == 2, 60)
            first, second = sorted(those("serves"))
            (tmp_path / "hang").touch()
            os.kill(first, signal.SIGKILL)
            until(lambda: those("hung"), 60)
            (tmp_path / "hang").unlink()
            os.kill(second, signal.SIGKILL)
            until(lambda: len(those("serves")) == 3, 60)
            parent.send_signal(signal.SIGTERM)
            assert parent.wait(300) == 0
        finally:
            parent.kill()
            for pid in those("serves") | those("hung"):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
