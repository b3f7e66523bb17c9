"""The snapshot of the machine is rounded, and a container's limits count, not its host's size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from intermodal.runtimes import machine


def test_two_snapshots_of_an_idle_moment_are_equal_in_what_does_not_move() -> None:
    one, two = machine.snapshot(("b", "a")), machine.snapshot(("a", "b"))
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
    found = machine.snapshot()
    assert found.memory == 1 << 30
    assert found.free == 768 << 20  # 1024 - (900 - 700) MiB, rounded down to 256


def test_a_machine_without_cgroups_has_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "nothing")
    assert machine.snapshot().memory > 0
