"""What steps occupy of a machine, and when they run that share it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.plans.cpu_schedule import (
    DECODER_BYTES,
    DECODER_USE,
    REMOTE_USE,
    CoreUse,
    CpuTask,
    decoders,
    schedule,
    threads,
)
from intermodal.plans.machine import Machine

EAR, READER, WRITER = CoreUse(4, "ear"), CoreUse(4, "reader"), CoreUse(8, "writer")


def end(tasks: list[CpuTask], cores: int, at_once: int = 8) -> float:
    starts = schedule(tasks, cores, at_once).starts
    return max(start + task.seconds for start, task in zip(starts, tasks, strict=True))


def test_files_are_converted_side_by_side_where_cores_are_idle_and_one_after_another_where_not() -> None:
    tasks = [CpuTask(4.0, EAR), CpuTask(3.0, READER), *[CpuTask(1.0, DECODER_USE)] * 5]
    assert end(tasks, 8) == 5.0, "ear and reader at once, and as one is through the decoders"
    assert end(tasks, 1) == 12.0


def test_two_cores_hold_two_decoders_and_no_reader_beside_a_transcriber() -> None:
    assert end([CpuTask(2.0, DECODER_USE)] * 2, 2) == 2.0
    assert end([CpuTask(2.0, EAR), CpuTask(2.0, READER)], 2) == 4.0


def test_one_process_reads_one_after_another_however_many_cores_are_idle() -> None:
    assert schedule([CpuTask(1.0, READER)] * 3, 64, 8).starts == [0.0, 1.0, 2.0]


def test_a_model_that_writes_has_the_machine_to_itself() -> None:
    assert end([CpuTask(2.0, DECODER_USE), CpuTask(3.0, WRITER), CpuTask(2.0, DECODER_USE)], 8) == 7.0


def test_what_runs_elsewhere_waits_for_what_it_needs_alone() -> None:
    tasks = [CpuTask(3.0, WRITER), CpuTask(5.0, REMOTE_USE), CpuTask(1.0, REMOTE_USE, (0,))]
    assert schedule(tasks, 1, 1).starts == [0.0, 0.0, 3.0]


def test_decoders_are_no_more_than_there_is_memory_for() -> None:
    machine = Machine(cores=8, memory=16 << 30, free=3 * DECODER_BYTES)
    assert decoders(machine, loads=0) == 4
    assert decoders(machine, loads=2.5 * DECODER_BYTES) == 1, "one is there from the start"
    assert decoders(Machine(cores=8), loads=1e12) == 8, "a machine that does not say has enough"
    assert decoders(Machine(cores=64), loads=0) == 8
    assert schedule([CpuTask(1.0, DECODER_USE)] * 4, 8, 2) == ([0.0, 0.0, 1.0, 1.0], 2)


@pytest.mark.parametrize(("cores", "beside"), [(1, 1), (2, 2), (4, 4), (8, 4), (16, 8)])
def test_a_reader_leaves_cores_to_others_where_there_are_more_than_it_gains_by(cores: int, beside: int) -> None:
    assert threads("ocr", cores) == threads("whisper", cores) == beside
    assert threads("llama", cores) == cores


USES = st.sampled_from([DECODER_USE, REMOTE_USE, EAR, READER, WRITER])


@st.composite
def graphs(draw: st.DrawFn) -> list[CpuTask]:
    tasks: list[CpuTask] = []
    for place in range(draw(st.integers(0, 12))):
        after = draw(st.sets(st.integers(0, place - 1), max_size=2)) if place else set[int]()
        tasks.append(CpuTask(draw(st.integers(0, 9)) / 2, draw(USES), tuple(after)))
    return tasks


@given(graphs(), st.integers(1, 10), st.integers(1, 4))
def test_a_schedule_takes_what_there_is_and_ends_between_its_longest_chain_and_all_in_a_row(
    tasks: list[CpuTask], cores: int, most: int
) -> None:
    starts = schedule(tasks, cores, most).starts
    spans = [(start, start + task.seconds) for start, task in zip(starts, tasks, strict=True)]
    for task, (start, _) in zip(tasks, spans, strict=True):
        assert all(spans[before][1] <= start for before in task.after)
        running = [
            each.use
            for each, (began, ended) in zip(tasks, spans, strict=True)
            if began <= start < ended and each.use.cores
        ]
        assert sum(min(cores, use.cores) for use in running) <= cores
        assert running.count(DECODER_USE) <= most
        assert all(running.count(use) <= 1 for use in running if use.process)
    chains: list[float] = []
    for task in tasks:
        chains.append(task.seconds + max((chains[before] for before in task.after), default=0.0))
    ends = max((ended for _, ended in spans), default=0.0)
    assert max(chains, default=0.0) <= ends <= sum(task.seconds for task in tasks)
