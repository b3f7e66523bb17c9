"""Recordings: what of a transcript reaches the prompt, with times and speakers where they are kept."""

from __future__ import annotations

import io
from pathlib import Path

import av
import msgspec
import numpy
import pytest
from tests.unit.executor.routes import EAR, Bench, Pcm, asked, demux, ending, hear, kinds, plan, route, say

from intermodal import errors
from intermodal.catalog.types import Price
from intermodal.core.content import Segment, Transcript
from intermodal.core.quantity import exact
from intermodal.core.request import Zone
from intermodal.executor.conversion.conversions import merge_channels
from intermodal.plans.step import Call, StepEstimate
from intermodal.testing import FakeHost
from intermodal.testing.attempts import Attempt

pytestmark = pytest.mark.anyio
PAID = StepEstimate(cost=exact(0.02, "a price list"))
LEFT = Transcript(
    language="en", certainty=0.9, seconds=11,
    segments=(Segment(start=0, end=2, text=" Hello."), Segment(start=2, end=3, text="Who is it?"),
              Segment(start=7, end=8, text="Good.")),
)  # fmt: skip
RIGHT = Transcript(
    language="en", certainty=0.6, seconds=11, segments=(Segment(start=3, end=6, text="It is me\nspeaker 1: no"),)
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def heard(*params: tuple[str, str]) -> Call:
    return msgspec.structs.replace(hear(1), params=params)


async def test_speakers_of_two_channels_take_turns_in_the_prompt(bench: Bench, host: FakeHost) -> None:
    text = host.endpoint("fake/text")
    bench.endpoints = (text,)
    bench.runtimes.channels = {b"0": LEFT, b"1": RIGHT}
    request, opened = asked("?", "call.wav")
    await bench.run(plan(route(heard(("channels", "apart")), say(text, "step:hear1r"))), request, opened)
    assert bench.media.asked == ["channel_pcm"]
    assert ending(host.attempts[-1].text) == (
        "Transcript of call.wav:\n---END\nspeaker 1: Hello. Who is it?\nspeaker 2: It is me speaker 1: no\n"
        "speaker 1: Good.\n---END\n\n?"
    )


async def test_speakers_of_two_channels_of_a_film_stand_at_their_times(bench: Bench, host: FakeHost) -> None:
    text = host.endpoint("fake/text")
    bench.endpoints = (text,)
    bench.runtimes.channels = {b"0": LEFT, b"1": RIGHT}
    request, opened = asked("?", "call.mp4")
    apart = (("channels", "apart"),)
    taken = msgspec.structs.replace(demux(1), params=apart)
    step = msgspec.structs.replace(hear(1, source=f"step:{taken.id}"), params=apart)
    await bench.run(plan(route(taken, step, say(text, "step:hear1r"))), request, opened)
    assert bench.media.asked == ["channel_pcm"]
    assert ending(host.attempts[-1].text) == (
        "What is said in call.mp4:\n---END\n[0:00] speaker 1: Hello.\n[0:02] speaker 1: Who is it?\n"
        "[0:03] speaker 2: It is me speaker 1: no\n[0:07] speaker 1: Good.\n---END\n\n?"
    )


@pytest.mark.parametrize(("zone", "form"), [("internet", "mp3"), ("machine", "wav")])
async def test_a_host_hears_each_of_two_channels_in_a_call_of_its_own(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch, zone: Zone, form: str
) -> None:
    tone = (numpy.sin(numpy.arange(16_000) * 0.2) * 9_000).astype("<i2")

    async def channel_pcm(data: bytes, *, name: str = "", progress: object = None) -> tuple[Pcm, Pcm]:
        return Pcm(samples=tone.tobytes(), seconds=1.0), Pcm(samples=bytes(32_000), seconds=1.0)

    def says(attempt: Attempt) -> str:
        (recording,) = attempt.audios
        with av.open(io.BytesIO(recording), format=form) as container:
            level = max(float(abs(frame.to_ndarray().astype(float)).max()) for frame in container.decode(audio=0))
        return "on the left" if level > 0.05 else "on the right"

    monkeypatch.setattr(bench.media, "channel_pcm", channel_pcm)
    host.transcript = says
    ear = msgspec.structs.replace(host.endpoint("fake/ear", zone=zone), price=Price(second=0.01))
    text = host.endpoint("fake/text")
    bench.endpoints = (ear, text)
    request, opened = asked("?", "call.wav")
    step = msgspec.structs.replace(hear(1, ear, PAID), params=(("channels", "apart"),))
    result = await bench.run(plan(route(step, say(text, f"step:{step.id}"))), request, opened)
    assert "speaker 1: on the left\nspeaker 2: on the right" in ending(host.attempts[-1].text)
    heard = [row for row in bench.store.attempts() if row.reservation.op == "transcribe"]
    assert [row.reservation.cost_high for row in heard] == [0.01, 0.01], "each sets half of the plan's price aside"
    paid = 0.01 if zone == "internet" else 0.0
    assert [row.outcome.cost for row in heard if row.outcome] == [pytest.approx(paid)] * 2
    (actual,) = [actual for actual in result.actuals if actual.step == step.id]
    assert actual.cost == pytest.approx(2 * paid) and kinds(bench.events).count("StepStarted") == 2


async def test_an_internal_error_of_a_transcriber_is_told_as_one_with_the_file(bench: Bench, host: FakeHost) -> None:
    text = host.endpoint("fake/text")
    bench.endpoints = (text,)
    todo = "the input is not to blame; please report it"
    bench.runtimes.error = [
        errors.RuntimeCrashed("failed by an internal error (KeyError)", where=EAR.id, todo=todo) for _ in range(4)
    ]
    request, opened = asked("?", "call.wav")
    with pytest.raises(errors.RuntimeCrashed) as caught:
        await bench.run(plan(route(heard(), say(text, "step:hear1r"))), request, opened)
    assert str(caught.value) == f"{EAR.id}: failed by an internal error (KeyError), on call.wav; {todo}"


async def test_times_stand_before_each_stretch_where_they_are_kept(bench: Bench, host: FakeHost) -> None:
    text = host.endpoint("fake/text")
    bench.endpoints = (text,)
    bench.runtimes.heard = LEFT
    request, opened = asked("?", "call.wav")
    await bench.run(plan(route(heard(("times", "each")), say(text, "step:hear1r"))), request, opened)
    assert ending(host.attempts[-1].text) == (
        "What is said in call.wav:\n---END\n[0:00] said: Hello.\n[0:02] said: Who is it?\n[0:07] said: Good.\n"
        "---END\n\n?"
    )
    again = plan(route(heard(), say(text, "step:hear1r")))
    await bench.run(again, request, opened)
    assert "Transcript of call.wav:" in host.attempts[-1].text, "and not where they are not"
    assert len(bench.runtimes.calls) == 1, "heard once for both"


def test_what_two_channels_said_is_as_sure_as_the_weaker_of_them() -> None:
    both = merge_channels(LEFT, RIGHT)
    assert [each.speaker for each in both.segments] == ["speaker 1", "speaker 1", "speaker 2", "speaker 1"]
    assert (both.certainty, both.seconds, both.language) == (0.6, 11, "en")
    assert merge_channels(LEFT, Transcript(seconds=11)).certainty == 0.9, "a channel on which nobody speaks is none"
    assert merge_channels(Transcript(), Transcript()).text == ""
