"""Recordings: what of a transcript reaches the prompt, with times and speakers where they are kept."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.unit.executor.routes import Bench, asked, ending, hear, plan, route, say

from intermodal.content import Segment, Transcript
from intermodal.executor.drivers.whisper import together
from intermodal.plans.step import Call
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio
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
    assert bench.media.asked == ["pcm 0", "pcm 1"]
    assert ending(host.attempts[-1].text) == (
        "Transcript of call.wav:\n---END\nspeaker 1: Hello. Who is it?\nspeaker 2: It is me speaker 1: no\n"
        "speaker 1: Good.\n---END\n\n?"
    )


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
    both = together(LEFT, RIGHT)
    assert [each.speaker for each in both.segments] == ["speaker 1", "speaker 1", "speaker 2", "speaker 1"]
    assert (both.certainty, both.seconds, both.language) == (0.6, 11, "en")
    assert together(LEFT, Transcript(seconds=11)).certainty == 0.9, "a channel on which nobody speaks is none"
    assert together(Transcript(), Transcript()).text == ""
