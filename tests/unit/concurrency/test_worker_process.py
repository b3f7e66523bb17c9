"""A worker process can crash, hang, run out of memory or be cancelled, and the parent only ever sees a clear error."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from intermodal import errors
from intermodal.concurrency.worker_process import ProcessLimits, WorkerProcess
from intermodal.files.file_bytes import FileBytes

pytestmark = pytest.mark.anyio

CHILD = """
import os, sys, time
from intermodal import errors
from intermodal.concurrency.worker_process import report_progress, serve

def add(a, b):
    return a + b

def pid():
    return os.getpid()

def chat():
    print("a library prints to stdout")
    os.system("echo so does its child")
    return "clean"

def steps(count):
    for number in range(count):
        report_progress(number / count, str(number))
    return count

def die():
    os._exit(3)

def sleep(seconds):
    time.sleep(seconds)

def linger(seconds):
    report_progress(0.0, "begun")
    time.sleep(seconds)

def hog():
    return len(bytearray(4 << 30))

def refuse():
    raise errors.InputEmpty("has no pages", where="a.pdf", todo="send another")

def stumble():
    raise RuntimeError("at 0x7f00deadbeef")

serve({name: value for name, value in list(globals().items()) if callable(value)})
"""


@pytest.fixture
async def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkerProcess]:
    (tmp_path / "fragile_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    async with WorkerProcess("fragile_child", limits=ProcessLimits(memory=2 << 30)) as made:
        yield made


async def test_a_call_returns_the_handlers_value_and_what_it_took(worker: WorkerProcess) -> None:
    reply = await worker.call("add", {"a": 40, "b": 2})
    assert reply.value == 42
    assert reply.peak_memory > 1 << 20


async def test_a_childs_fences_stand_before_it_takes_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking a file lifts one for a moment: what is put up meanwhile would fall with it, or keep the file out."""
    (tmp_path / "fenced_child.py").write_text(
        "import threading\nfrom intermodal.concurrency.worker_process import serve\nrunning = []\n"
        "serve({'found': lambda: running}, before=lambda: running.append(threading.active_count()))\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    async with WorkerProcess("fenced_child") as fenced:
        assert (await fenced.call("found", {})).value == [1]


async def test_a_child_that_cannot_take_a_file_ends_and_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full_child.py").write_text(
        "import resource\nfrom intermodal.concurrency.worker_process import serve\n"
        "serve({'size': lambda file: len(file)}, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0)))\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    async with WorkerProcess("full_child") as full:
        with pytest.raises(errors.RuntimeCrashed):
            await full.call("size", {"file": FileBytes(os.open(__file__, os.O_RDONLY))})


async def test_what_libraries_print_never_corrupts_a_reply(worker: WorkerProcess) -> None:
    assert (await worker.call("chat", {})).value == "clean"
    assert (await worker.call("add", {"a": 1, "b": 1})).value == 2


async def test_progress_arrives_in_order(worker: WorkerProcess) -> None:
    seen: list[str] = []
    await worker.call("steps", {"count": 4}, progress=lambda fraction, note: seen.append(note))
    assert seen == ["0", "1", "2", "3"]


async def test_a_crash_is_an_error_and_the_next_call_gets_a_new_child(worker: WorkerProcess) -> None:
    with pytest.raises(errors.RuntimeCrashed):
        await worker.call("die", {})
    assert (await worker.call("add", {"a": 1, "b": 2})).value == 3


async def test_memory_over_the_limit_is_too_large_an_input(worker: WorkerProcess) -> None:
    with pytest.raises(errors.InputTooLarge):
        await worker.call("hog", {})


async def test_a_timeout_kills_the_child_and_says_so(worker: WorkerProcess) -> None:
    with pytest.raises(errors.InputTooLarge, match="longer than"):
        await worker.call("sleep", {"seconds": 30}, timeout=0.3)
    assert not worker.alive or worker.pid is None or await _gone(worker.pid)


async def test_an_error_of_ours_crosses_with_its_class_and_words(worker: WorkerProcess) -> None:
    with pytest.raises(errors.InputEmpty) as caught:
        await worker.call("refuse", {})
    assert str(caught.value) == "a.pdf: has no pages; send another"


async def test_an_unexpected_error_crosses_without_its_insides(worker: WorkerProcess) -> None:
    with pytest.raises(errors.RuntimeCrashed, match=r"internal error \(RuntimeError\)") as caught:
        await worker.call("stumble", {})
    assert "0x" not in str(caught.value)
    assert "not to blame" in caught.value.todo and caught.value.where == worker.name, "no user's file was opened there"


async def test_cancelling_a_call_ends_the_child(worker: WorkerProcess) -> None:
    pid = (await worker.call("pid", {})).value
    with anyio.move_on_after(0.2):
        await worker.call("sleep", {"seconds": 600})
    assert await _gone(pid)


@pytest.mark.slow
def test_a_call_that_is_given_up_while_its_child_starts_leaves_none_of_it_behind() -> None:
    """A loop that ends right after has nobody left who would tidy up."""

    async def given_up(after: float) -> None:
        async with WorkerProcess("intermodal.media.worker") as worker:
            with anyio.move_on_after(after):
                await worker.call("ready", {})

    left: list[object] = []
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        patch.setattr(sys, "unraisablehook", left.append)
        for step in range(30):
            anyio.run(given_up, step * 0.0005)
            gc.collect()
    assert not left


async def test_closing_leaves_no_process_behind(worker: WorkerProcess) -> None:
    pid = (await worker.call("pid", {})).value
    await worker.close()
    assert await _gone(pid)


async def test_a_call_under_which_the_child_is_closed_is_told_that_it_died(worker: WorkerProcess) -> None:
    begun = anyio.Event()

    async def call() -> None:
        with pytest.raises(errors.RuntimeCrashed):
            await worker.call("linger", {"seconds": 300}, progress=lambda fraction, note: begun.set())

    async with anyio.create_task_group() as calls:
        calls.start_soon(call)
        await begun.wait()
        await worker.close()
    assert (await worker.call("add", {"a": 1, "b": 2})).value == 3


async def _gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text():
            return True
        await anyio.sleep(0.01)
    return False
