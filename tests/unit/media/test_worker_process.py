"""A child process is fenced, killable, and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from intermodal.concurrency.worker_process import ProcessLimits, WorkerProcess
from intermodal.errors import InputBroken, InputTooLarge, RuntimeCrashed

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CHILD = """
import os, time
from intermodal.concurrency.worker_process import report_progress, serve

def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def tell():
    report_progress(0.5, "half")
    print("noise on standard output", flush=True)
    return dict(os.environ)

def fail():
    raise RuntimeError("unforeseen")

def full(kind):
    import errno
    from intermodal.errors import InputBroken
    error = OSError(errno.EMFILE, "too many open files") if kind == "EMFILE" else ImportError("no module named x")
    try:
        try:
            raise error
        except Exception:
            raise ValueError("a library's own words") from None
    except ValueError:
        raise InputBroken("is damaged") from None

def write():
    with open(os.environ["TARGET"], "wb") as file:
        file.write(bytes(2 << 20))

if __name__ == "__main__":
    serve({
        "spin": spin, "tell": tell, "fail": fail, "full": full, "write": write, "die": lambda: os._exit(3), "size": len,
        "take": lambda size: len(bytearray(size)), "echo": lambda data: data,
    }, decodes=True)
"""


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[WorkerProcess]:
    (tmp_path / "child.py").write_text(CHILD)
    env = {"PYTHONPATH": str(tmp_path), "TARGET": str(tmp_path / "out")}
    limits = ProcessLimits(memory=1 << 30, cpu=1, read_only=True)
    async with WorkerProcess("child", limits=limits, env=env, inherit=("PATH",)) as worker:
        yield worker


async def test_a_call_is_answered_with_its_measurements(child: WorkerProcess) -> None:
    told: list[tuple[float | None, str]] = []
    reply = await child.call("tell", {}, progress=lambda fraction, note: told.append((fraction, note)))
    assert told == [(0.5, "half")]
    assert set(reply.value) <= {"PATH", "PYTHONPATH", "TARGET", "LC_CTYPE"}
    assert reply.seconds > 0
    assert reply.peak_memory > 1 << 20
    assert "noise" in child.log_tail()


async def test_peak_memory_is_of_the_call_alone(child: WorkerProcess) -> None:
    before = (await child.call("take", {"size": 10})).peak_memory
    assert (await child.call("take", {"size": 100 << 20})).peak_memory > before + (90 << 20)
    assert (await child.call("take", {"size": 10})).peak_memory < before + (20 << 20)


async def test_processor_time_is_limited_by_call_not_by_life(child: WorkerProcess) -> None:
    for _ in range(3):
        await child.call("spin", {"seconds": 0.5})
    with pytest.raises(InputTooLarge, match="more time"):
        await child.call("spin", {"seconds": 60})


async def test_memory_and_disk_are_limited(child: WorkerProcess) -> None:
    with pytest.raises(InputTooLarge, match="more memory"):
        await child.call("take", {"size": 2 << 30})
    with pytest.raises(InputBroken, match="OSError"):
        await child.call("write", {})
    assert (await child.call("take", {"size": 1})).value == 1


@pytest.mark.parametrize("kind", ["EMFILE", "ImportError"])
async def test_what_the_child_could_not_load_is_never_called_a_damaged_file(child: WorkerProcess, kind: str) -> None:
    with pytest.raises(RuntimeCrashed, match="could not load") as caught:
        await child.call("full", {"kind": kind})
    assert "report" in caught.value.todo
    assert child.alive


async def test_a_crash_is_told_and_the_next_call_finds_a_new_child(child: WorkerProcess) -> None:
    with pytest.raises(RuntimeCrashed, match="status 3"):
        await child.call("die", {})
    assert (await child.call("echo", {"data": b"x"})).value == b"x"


async def test_a_timeout_or_a_cancel_ends_the_child_and_reaps_it(child: WorkerProcess) -> None:
    for stop in ("timeout", "cancel"):
        await child.call("take", {"size": 1})
        pid = child.pid
        assert pid
        if stop == "timeout":
            with pytest.raises(InputTooLarge, match=r"longer than 0\.1 s"):
                await child.call("spin", {"seconds": 0.9}, timeout=0.1)
        else:
            with anyio.move_on_after(0.1):
                await child.call("spin", {"seconds": 0.9})
        assert child.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_large_frames_pass_both_ways(child: WorkerProcess) -> None:
    data = os.urandom(5 << 20)
    assert (await child.call("echo", {"data": data})).value == data


async def test_calls_queue_for_one_child(child: WorkerProcess) -> None:
    found: list[int] = []

    async def ask(number: int) -> None:
        found.append((await child.call("take", {"size": number})).value)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(ask, number)
    assert sorted(found) == list(range(20))


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, 5_000_001])
async def test_arguments_of_every_size_arrive_as_they_are(child: WorkerProcess, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert (await child.call("echo", {"data": data})).value == data
    assert (await child.call("echo", {"data": bytearray(data)})).value == data
    assert (await child.call("echo", {"data": b"after"})).value == b"after"
