"""A start that is broken off while its supervisor is on its way, and has no record yet by which it could be ended."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import psutil
import pytest
from msgspec.structs import replace

from intermodal.config.config_file import state_dir
from intermodal.local.servers import lifecycle
from intermodal.local.servers.programs import PROGRAMS
from intermodal.local.servers.records import MemoryForecast, ServerRecords, ServerSpec, ServerState
from intermodal.local.servers.server_rows import started_server_rows

pytestmark = pytest.mark.anyio

SLOW = """
import sys, time
from pathlib import Path
from intermodal.local.servers import records, supervisor

here, record = Path(sys.argv[0]).parent, records.ServerRecords.record

def late(place, state):
    (here / "there").touch()
    while not (here / "go").exists():
        time.sleep(0.01)
    record(place, state)

records.ServerRecords.record = late
del sys.argv[:3]
supervisor.main()
"""


class Home:
    """Where supervisors wait before their first record until they are let go. ``ran``: a server was started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"INTERMODAL_HOME": str(folder / "home")}
        self.place = ServerRecords(state_dir(self.env), "box")
        self.there, self.ran = folder / "there", folder / "ran"
        (folder / "slow.py").write_text(SLOW)
        self.python = self._program("python", f'exec "{sys.executable}" "{folder}/slow.py" "$@"')
        server = self._program("server", f'touch "{self.ran}"\nwhile :; do sleep 1; done')
        self.wanted = ServerSpec(
            name="box", requested="box", program=next(iter(PROGRAMS)), path=server, model=server, served_as="box",
        )  # fmt: skip

    def _program(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def processes(self) -> list[psutil.Process]:
        return [
            each
            for each in psutil.process_iter(["cmdline"])
            if any(str(self.folder) in word for word in each.info["cmdline"] or [])
        ]

    async def let_go(self) -> None:
        """Returns when nothing runs any more."""
        (self.folder / "go").touch()
        await until(lambda: not self.processes(), "it stays")


async def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end, what
        await anyio.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    made = Home(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(sys, "executable", made.python)
    yield made
    for process in made.processes():
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize("known", [False, True])
async def test_a_start_that_is_broken_off_at_once_starts_no_server(home: Home, known: bool) -> None:
    if known:
        await lifecycle.start_server(home.wanted, home.env, later=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lifecycle.start_server, home.wanted, home.env)
        await until(home.there.exists, "no supervisor")
        tasks.cancel_scope.cancel()
    await home.let_go()
    assert not home.ran.exists()
    assert [each.phase for each in lifecycle.all_servers(home.env)] == ["not started"] * known
    assert home.place.folder.exists() is known


async def test_what_is_taken_down_before_it_has_a_record_starts_no_server(home: Home) -> None:
    """As when whoever was starting it was killed."""
    home.place.write_spec(home.wanted)
    await lifecycle._spawn(home.place)
    await until(home.there.exists, "no supervisor")
    assert await lifecycle.stop_server("box", home.env)
    await home.let_go()
    assert not home.ran.exists() and not home.place.folder.exists()


async def test_what_somebody_still_wants_is_started(home: Home) -> None:
    home.place.write_spec(home.wanted)
    await lifecycle._spawn(home.place)
    (home.folder / "go").touch()
    await until(home.ran.exists, "no server")
    assert await lifecycle.stop_server("box", home.env)
    await home.let_go()


@pytest.mark.parametrize(("context", "memory"), [(4096, 3e9), (8192, 5e9)])
async def test_what_is_written_down_with_other_settings_is_offered_with_these(
    home: Home, context: int, memory: float
) -> None:
    """With the same ones it is offered as it was seen at its last start."""
    before = replace(home.wanted, context=4096, memory=(1e9, 2e9, 3e9))
    home.place.write_spec(before)
    home.place.record(ServerState(phase="stopped", context=4096, memory=round(2e9), load_seconds=7.0))
    home.place.save_forecast(MemoryForecast(memory=(2e9, 2e9, 3e9), words="as it took here"))
    await lifecycle.start_server(replace(before, context=context, memory=(3e9, 4e9, 5e9)), home.env, later=True)
    [host] = started_server_rows(home.env)
    [served] = host.models
    assert served.memory is not None and (served.context, served.memory[2]) == (context, memory)
