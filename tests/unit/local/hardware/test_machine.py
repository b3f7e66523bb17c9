"""The snapshot of the machine is rounded, and a container's limits count, not its host's size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from intermodal.local.embedded import child_support
from intermodal.local.embedded.runtimes import start_child
from intermodal.local.hardware import machine
from intermodal.local.servers import programs
from intermodal.local.servers.records import ServerSpec


def test_two_snapshots_of_an_idle_moment_are_equal_in_what_does_not_move() -> None:
    one, two = machine.machine_snapshot(("b", "a")), machine.machine_snapshot(("a", "b"))
    assert (one.cores, one.memory, one.loaded) == (two.cores, two.memory, ("a", "b"))
    assert one.memory % machine.ROUND == one.free % machine.ROUND == 0
    assert 0 < one.free <= one.memory
    assert 1 <= one.cores <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("limit", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64), ("", 64)]
)
def test_cores_are_cut_to_the_quota_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, cores: int
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert machine.cores() == cores


def test_memory_is_cut_to_the_limit_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text(f"{1 << 30}\n")
    (tmp_path / "memory.current").write_text(f"{900 << 20}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {700 << 20}\n")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    found = machine.machine_snapshot()
    assert found.memory == 1 << 30
    assert found.free == 768 << 20  # 1024 - (900 - 700) MiB, rounded down to 256


@pytest.mark.parametrize(("load", "spins"), [(0.1, True), (3.9, True), (4.1, False), (40.0, False)])
@pytest.mark.parametrize("protocol", ["llama", "whisper", "ocr"])
def test_threads_of_models_wait_by_spinning_only_where_processors_are_free(
    monkeypatch: pytest.MonkeyPatch, protocol: str, load: float, spins: bool
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 16)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    env = start_child("os", protocol, "m")._env
    monkeypatch.setattr(os, "environ", env)
    assert child_support.threads_may_spin() == spins and (int(env["GOMP_SPINCOUNT"]) > 0) == spins
    wanted = ServerSpec(name="m", requested="m", program="xllamacpp", path="python", model="m.gguf")
    assert programs.PROGRAMS["xllamacpp"].start(wanted, 1, "key").env["GOMP_SPINCOUNT"] == env["GOMP_SPINCOUNT"]


def test_a_system_that_keeps_no_load_average_counts_as_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert int(machine.thread_wait_policy()["GOMP_SPINCOUNT"]) > 0


def test_a_machine_without_cgroups_has_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "nothing")
    assert machine.machine_snapshot().memory > 0
