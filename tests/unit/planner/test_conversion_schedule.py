"""The seconds of a plan for several files, by the cores of the machine that it is made for."""

from __future__ import annotations

import msgspec
import pytest
from tests.plans import runner

from intermodal.planner import plan
from intermodal.plans.cpu_schedule import DECODER_BYTES
from intermodal.plans.plan import Candidate, Inputs
from intermodal.plans.step import Call
from intermodal.plans.timeline import schedule


def on(cores: int, case: str = "three_files_eight_cores", free: float = 12.0) -> Candidate:
    inputs: Inputs = runner.inputs_of(runner.parse(runner.FOLDER / f"{case}.case")[0])
    machine = msgspec.structs.replace(inputs.machine, cores=cores, free=int(free * (1 << 30)))
    return plan(inputs.request, inputs.facts, inputs.catalog, machine, inputs.statistics, inputs.as_of).chosen


def summed(candidate: Candidate) -> float:
    return sum(step.estimate.seconds.mid + step.estimate.load_seconds.mid for step in candidate.steps)


def test_one_core_promises_no_overlap() -> None:
    chosen = on(1)
    assert chosen.total.seconds.mid == pytest.approx(summed(chosen), abs=0.01)


def test_two_cores_promise_none_between_a_transcriber_and_a_reader_that_use_both() -> None:
    spans = schedule(chosen := on(2))
    first, *others = sorted(
        (spans[step.id] for step in chosen.steps if isinstance(step, Call)), key=lambda span: span.start
    )
    for span in others:
        assert span.start >= first.end - 1e-9
        first = span


def test_eight_cores_read_while_they_hear() -> None:
    chosen = on(8)
    slowest = max(
        step.estimate.seconds.mid + step.estimate.load_seconds.mid for step in chosen.steps if step is not chosen.last
    )
    assert chosen.total.seconds.mid == pytest.approx(slowest + chosen.last.estimate.seconds.mid, abs=0.01)
    assert chosen.total.seconds.mid < on(1).total.seconds.mid - 2


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 8, 64])
def test_the_schedule_of_a_plan_ends_when_its_seconds_do(cores: int) -> None:
    for case in ("three_files_eight_cores", "video_long", "pictures_many", "recordings_and_pictures"):
        chosen = on(cores, case)
        end = max(span.end for span in schedule(chosen).values())
        assert end == pytest.approx(chosen.total.seconds.mid, abs=0.02), case


@pytest.mark.parametrize("case", ["three_files_eight_cores", "video_long", "pictures_many_and_large"])
def test_more_cores_make_no_plan_slower(case: str) -> None:
    seconds = [on(cores, case).total.seconds.mid for cores in (1, 2, 4, 8, 16)]
    assert seconds == sorted(seconds, reverse=True)


def test_decoders_beside_the_first_count_as_memory_and_are_none_where_there_is_none() -> None:
    roomy, tight = on(8, "video_hosted"), on(8, "video_hosted", free=0.1)
    assert (roomy.decoders, roomy.total.memory.mid) == (8, DECODER_BYTES), "its frames and its sound at once"
    assert (tight.decoders, tight.total.memory.high) == (1, 0)
    assert tight.total.seconds.mid > roomy.total.seconds.mid


def test_readers_end_before_the_answer_where_there_is_no_memory_for_both() -> None:
    """What loads together where it fits is loaded one after the other where it does not."""
    case = "call_and_invoice_tight"
    roomy, tight = on(2, case, free=4), on(2, case, free=0.8)
    assert roomy.ends == () and roomy.total.memory.high > 0.8 * (1 << 30)
    assert set(tight.ends) == {"embedded:openai/whisper-base", "embedded:paddlepaddle/ppocr-v6-small"}
    assert tight.endpoint == roomy.endpoint and tight.total.memory.high <= 0.8 * (1 << 30)
    assert [step.id for step in tight.steps] == [step.id for step in roomy.steps]
