"""Videos, animations and images that are seen: run end to end."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import anyio
import msgspec
import pytest
from tests.unit.executor.routes import (
    VECTOR,
    Bench,
    asked,
    captions,
    cut,
    demux,
    ending,
    hear,
    look,
    plan,
    rename,
    route,
    say,
    see,
)

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.core.content import Segment, Transcript
from intermodal.core.request import EmbeddingOutput, TranscriptOutput
from intermodal.events import StepFinished, StepProgress, StepStarted
from intermodal.media.worker_results import SubtitleLine
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.runtimes.lines = {
        "frame at 0": "",
        "frame at 4": "TALK\n[0:01] said: obey",
        "frame at 8": "TALK\n[0:01] said: obey",
    }
    made.runtimes.heard = Transcript(
        language="en",
        seconds=11,
        segments=(
            Segment(start=1, end=3, text=" My fellow"),
            Segment(start=3, end=5, text="Americans,"),
            Segment(start=6, end=9, text="ask not"),
        ),
    )
    return made


def eyes(bench: Bench, host: FakeHost, **fields: object) -> tuple[Endpoint, Endpoint]:
    """A model that reads text, and one that also takes images."""
    text, sight = host.endpoint("fake/text"), host.endpoint("fake/eyes", input=("text", "image"))
    bench.endpoints = (rename(text, **fields), rename(sight, **fields))
    return bench.endpoints


async def test_a_video_becomes_one_block_in_the_order_of_time(bench: Bench, host: FakeHost) -> None:
    text, sight = eyes(bench, host)
    host.answer = lambda attempt: "A cup." if attempt.images else "An answer."
    request, opened = asked("What is wanted?", "talk.mp4")
    steps = (demux(), hear(1, source="step:demux1"), cut(), look(1, "step:frames1"), see(sight, 1, "step:frames1"))
    last = say(text, "step:hear1r", "step:look1", "step:see1")
    result = await bench.run(plan(route(*steps, last)), request, opened)
    assert result.text == "An answer."
    assert ending(host.attempts[-1].json["messages"][0]["content"]) == (
        "What is said and seen in talk.mp4:\n---END\n"
        "[0:00] seen: A cup.\n"
        "[0:01] said: My fellow\n"
        "[0:03] said: Americans,\n"
        "[0:04] on screen: TALK\n"
        "    [0:01] said: obey\n"
        "[0:04] seen: A cup.\n"
        "[0:06] said: ask not\n"
        "[0:08] seen: A cup.\n"
        "---END\n\n"
        "What is wanted?"
    )
    assert bench.media.asked.count("pcm") == 1 and "frames scenes 12 768" in bench.media.asked
    assert [derived.op for derived in result.derived if derived.name == "talk.mp4"].count("describe") == 1


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            (),
            "[0:01] subtitle: My fellow Americans,\n[0:06] subtitle: ask [0:02] said: obey\n"
            "[0:23] subtitle: what you\n",
        ),
        (
            (("times", "each"),),
            "[0:01] subtitle: My fellow\n[0:02] subtitle: Americans,\n[0:06] subtitle: ask [0:02] said: obey\n"
            "[0:23] subtitle: what you\n",
        ),
    ],
    ids=["a line for two within two seconds", "each at its time"],
)
async def test_subtitles_stand_in_the_order_of_time_and_nobody_hears_the_film(
    bench: Bench, host: FakeHost, params: tuple[tuple[str, str], ...], said: str
) -> None:
    text, _ = eyes(bench, host)
    bench.media.captions = (
        SubtitleLine(at=1, until=2.5, text="My\nfellow"),
        SubtitleLine(at=2.5, until=3, text="Americans,"),
        SubtitleLine(at=6, until=9, text="ask\n[0:02] said: obey"),
        SubtitleLine(at=23, until=24, text="what you"),
    )
    request, opened = asked("?", "talk.mp4")
    result = await bench.run(plan(route(captions(*params), say(text, "step:captions1"))), request, opened)
    assert ending(host.attempts[-1].text) == f"What is said in talk.mp4:\n---END\n{said}---END\n\n?"
    assert bench.media.asked == ["subtitles 2"] and bench.runtimes.calls == []
    (derived,) = result.derived
    assert (derived.op, derived.text.split("\n")[0]) == ("subtitles", "My")


@pytest.mark.parametrize(
    ("most", "said"), [("2", ("2 of 3 scenes of talk.mp4 are looked at",)), ("3", ())], ids=["fewer", "all"]
)
async def test_scenes_that_are_left_out_are_counted(
    bench: Bench, host: FakeHost, most: str, said: tuple[str, ...]
) -> None:
    text, _ = eyes(bench, host)
    request, opened = asked("?", "talk.mp4")
    steps = (cut(1, ("frames", "scenes"), ("most", most)), look(1, "step:frames1"))
    result = await bench.run(plan(route(*steps, say(text, "step:look1"))), request, opened)
    assert tuple(note for note in result.notes if "scenes" in note) == said


async def test_a_video_without_recognised_text_is_noted(bench: Bench, host: FakeHost) -> None:
    text, _ = eyes(bench, host)
    bench.runtimes.heard = Transcript(seconds=11)
    bench.runtimes.lines = {"frame at 0": "SOLD", "frame at 4": "", "frame at 8": ""}
    request, opened = asked("?", "talk.mp4")
    steps = (demux(), hear(1, source="step:demux1"), cut(), look(1, "step:frames1"))
    await bench.run(plan(route(*steps, say(text, "step:hear1r", "step:look1"))), request, opened)
    assert "said: (no speech)\n[0:00] on screen: SOLD\n---END\n\n?" in ending(host.attempts[0].text)


async def test_a_video_in_which_nothing_was_found_is_not_asked_about(bench: Bench, host: FakeHost) -> None:
    text, _ = eyes(bench, host)
    bench.runtimes.heard = Transcript(seconds=11)
    bench.runtimes.lines = {f"frame at {at}": "" for at in (0, 4, 8)}
    request, opened = asked("?", "talk.mp4")
    steps = (demux(), hear(1, source="step:demux1"), cut(), look(1, "step:frames1"))
    with pytest.raises(errors.NoContentFound, match="No speech and no text was found in talk.mp4, so"):
        await bench.run(plan(route(*steps, say(text, "step:hear1r", "step:look1"))), request, opened)
    assert host.attempts == []


async def test_pictures_of_a_video_stand_at_their_time_between_the_words(bench: Bench, host: FakeHost) -> None:
    _, sight = eyes(bench, host)
    request, opened = asked("?", "talk.mp4")
    steps = (demux(), hear(1, source="step:demux1"), cut(1, ("fps", "0.5"), ("most", "2")))
    await bench.run(plan(route(*steps, say(sight, "step:hear1r", "step:frames1"))), request, opened)
    assert "frames 0.5 fps 2 None" in bench.media.asked
    content = host.attempts[0].json["messages"][0]["content"]
    assert ending("|".join(part.get("text", "image") for part in content)).split("|") == [
        "What is said and seen in talk.mp4:\n---END\n[0:00] image:",
        "image",
        "[0:01] said: My fellow\n[0:03] said: Americans,\n[0:04] image:",
        "image",
        "[0:06] said: ask not\n---END\n\n?",
    ]


async def test_the_speech_of_a_video_may_be_the_answer(bench: Bench) -> None:
    request, opened = asked("", "talk.mp4", output=TranscriptOutput())
    last = rename(hear(1, source="step:demux1"), part=-1)
    for _ in range(2):
        result = await bench.run(plan(route(demux(), last)), request, opened)
        assert result.text == "My fellow Americans, ask not" and result.transcript == bench.runtimes.heard
    assert result.actuals[0].cached and bench.media.asked == ["pcm"]


async def test_an_animation_is_seen_frame_by_frame(bench: Bench, host: FakeHost) -> None:
    _, sight = eyes(bench, host)
    request, opened = asked("?", "cat.gif")
    await bench.run(plan(route(cut(), say(sight, "step:frames1"))), request, opened)
    assert host.attempts[0].images == (b"frame at 0", b"frame at 4", b"frame at 8")
    first, *_, last = ending("|".join(host.attempts[0].texts)).split("|")
    assert first == "What is seen in cat.gif:\n---END\n[0:00] image:" and last == "---END\n\n?"


async def test_the_pages_of_a_picture_are_pages_and_no_moments(bench: Bench, host: FakeHost) -> None:
    text, _ = eyes(bench, host)
    request, opened = asked("?", "scan.tiff")
    await bench.run(plan(route(cut(), look(1, "step:frames1"), say(text, "step:look1"))), request, opened)
    assert ending(host.attempts[0].text) == (
        "Text read from scan.tiff, page 1:\n---END\nread from page 1\n---END\n\n"
        "Text read from scan.tiff, page 2:\n---END\nread from page 2\n---END\n\n?"
    )


async def test_a_native_video_goes_as_it_is_to_a_host_elsewhere_only(bench: Bench, host: FakeHost) -> None:
    far = host.endpoint("fake/film", input=("text", "image", "video"))
    near = host.endpoint("fake/near", input=("text", "image", "video"), zone="machine")
    near = rename(near, id="near:film", host=rename(near.host, id="near"))
    bench.endpoints = (far, near)
    request, opened = asked("?", "talk.mp4")
    await bench.run(plan(route(say(far, "part:1"))), request, opened)
    part = host.attempts[0].json["messages"][0]["content"][0]
    assert part == {"type": "input_video", "input_video": {"data": b64encode(b"talk.mp4").decode()}}
    assert host.attempts[0].videos == (b"talk.mp4",)
    with pytest.raises(errors.UnsupportedModality, match="cannot be sent talk.mp4 as it is"):
        await bench.run(plan(route(say(near, "part:1"))), request, opened)
    assert len(host.attempts) == 1


async def test_a_hosted_transcriber_gets_the_sound_of_a_video_and_never_the_video(bench: Bench, host: FakeHost) -> None:
    ear = host.endpoint("fake/ear")
    text = host.endpoint("fake/text")
    bench.endpoints = (ear, text)
    request, opened = asked("?", "talk.mp4")
    heard = hear(1, ear, source="step:demux1")
    await bench.run(plan(route(demux(), heard, say(text, f"step:{heard.id}"))), request, opened)
    assert host.attempts[0].audios[0].startswith(b"RIFF")
    assert all(b"talk.mp4" not in attempt.body for attempt in host.attempts[:1])


async def test_a_model_that_hears_gets_the_sound_and_the_pictures(bench: Bench, host: FakeHost) -> None:
    both = host.endpoint("fake/omni", input=("text", "image", "audio"))
    bench.endpoints = (both,)
    request, opened = asked("?", "talk.mp4")
    steps = (demux(), cut(1, ("frames", "scenes"), ("most", "1")))
    await bench.run(plan(route(*steps, say(both, "step:demux1", "step:frames1"))), request, opened)
    (attempt,) = host.attempts
    assert attempt.audios[0].startswith(b"RIFF") and attempt.images == (b"frame at 0",)


async def test_long_steps_report_progress_throughout_and_can_be_cancelled(bench: Bench, host: FakeHost) -> None:
    text, _ = eyes(bench, host)
    bench.media.wait = lambda: anyio.sleep(0.01)
    request, opened = asked("?", "talk.mp4")
    steps = (demux(), hear(1, source="step:demux1"), cut(), look(1, "step:frames1"))
    course = plan(route(*steps, say(text, "step:hear1r", "step:look1")))
    await bench.run(course, request, opened)
    told = {event.step for event in bench.events if isinstance(event, StepProgress)}
    assert {"demux1", "hear1r", "frames1", "look1"} <= told
    assert sum(isinstance(event, StepProgress) and event.step == "frames1" for event in bench.events) == 10
    working = anyio.Event()

    async def for_ever() -> None:
        working.set()
        await anyio.sleep_forever()

    bench.media.wait = for_ever
    request, opened = asked("?", "other.mp4")
    with anyio.fail_after(300):
        async with anyio.create_task_group() as group:
            group.start_soon(bench.run, course, request, opened)
            await working.wait()
            group.cancel_scope.cancel()
    assert group.cancel_scope.cancelled_caught
    assert len(host.attempts) == 1 and bench.store.runs()[0].outcome == "cancelled"


async def test_a_video_is_embedded_by_its_words_in_the_order_of_time(bench: Bench) -> None:
    request, opened = asked("", "talk.mp4", output=EmbeddingOutput())
    bench.runtimes.lines["frame at 4"] = "TALK"
    bench.runtimes.lines["frame at 8"] = "TALK"
    steps = (demux(), hear(1, source="step:demux1"), cut(), look(1, "step:frames1"))
    embed = say(VECTOR, "step:hear1r", "step:look1", op="embed", task="feature-extraction")
    await bench.run(plan(route(*steps, embed)), request, opened)
    assert bench.runtimes.calls[-1] == "embed My fellow\nAmericans,\nTALK\nask not"


async def test_text_of_frames_is_kept_with_its_times(bench: Bench, host: FakeHost) -> None:
    text, _ = eyes(bench, host)
    request, opened = asked("?", "talk.mp4")
    course = plan(route(cut(), look(1, "step:frames1"), say(text, "step:look1")))
    await bench.run(course, request, opened)
    await bench.run(course, request, opened)
    assert len(bench.media.asked) == 1 and host.attempts[0].body == host.attempts[1].body


# ---- describe ---------------------------------------------------------------------------------


async def test_a_picture_is_described_for_the_question_and_the_words_are_data(bench: Bench, host: FakeHost) -> None:
    text, sight = eyes(bench, host)
    host.answer = lambda attempt: "A red cup." if attempt.images else "Red."
    request, opened = asked("Which colour is the cup?", "cup.png")
    result = await bench.run(plan(route(see(sight), say(text, "step:see1"))), request, opened)
    eye, answer = host.attempts
    assert eye.images == (b"cup.png",) and eye.text == "Which colour is the cup? Describe the image in one sentence."
    assert eye.json["max_tokens"] == 160 and eye.json["temperature"] == 0
    (message,) = answer.json["messages"]
    assert answer.images == () and message["role"] == "user"
    assert ending(message["content"]) == (
        "What is seen in cup.png:\n---END\nA red cup.\n---END\n\nWhich colour is the cup?"
    )
    (derived,) = result.derived
    assert (derived.op, derived.text) == ("describe", "A red cup.") and result.cost == pytest.approx(host.bill)


async def test_a_picture_may_be_read_and_described(bench: Bench, host: FakeHost) -> None:
    text, sight = eyes(bench, host)
    host.answer = lambda attempt: "A bill." if attempt.images else "Yes."
    request, opened = asked("?", "bill.png")
    steps = (look(1), see(sight))
    await bench.run(plan(route(*steps, say(text, "step:look1", "step:see1"))), request, opened)
    assert ending(host.attempts[-1].text) == (
        "Text read from bill.png:\n---END\nread from png of bill.png\n---END\n\n"
        "What is seen in bill.png:\n---END\nA bill.\n---END\n\n?"
    )


async def test_a_description_is_kept_for_its_question_only(bench: Bench, host: FakeHost) -> None:
    text, sight = eyes(bench, host)
    host.answer = lambda attempt: f"seen for {attempt.text.split()[0]}" if attempt.images else "ok"
    course = plan(route(see(sight), say(text, "step:see1")))
    for question in ("one?", "one?", "two?"):
        request, opened = asked(question, "cup.png")
        await bench.run(course, request, opened)
    assert [bool(attempt.images) for attempt in host.attempts] == [True, False, False, True, False]
    assert "seen for two?" in host.attempts[-1].text


async def test_frames_go_without_the_question_where_the_plan_does_not_send_it(bench: Bench, host: FakeHost) -> None:
    text, sight = eyes(bench, host)
    request, opened = asked("My PIN is 9876. Who talks?", "talk.mp4")
    told = see(sight, 1, "step:frames1")
    alone = msgspec.structs.replace(told, params=(("max_tokens", "160"),))
    await bench.run(plan(route(cut(), alone, say(text, "step:see1"))), request, opened)
    seen = [attempt.text for attempt in host.attempts if attempt.images]
    assert seen == ["Describe the image in one sentence."] * 3
    await bench.run(plan(route(cut(), told, say(text, "step:see1"))), request, opened)
    seen = [attempt.text for attempt in host.attempts if attempt.images][3:]
    assert seen == ["My PIN is 9876. Who talks? Describe the image in one sentence."] * 3, "seen anew for the question"


async def test_every_frame_is_a_call_with_its_row_and_its_share_of_the_estimate(bench: Bench, host: FakeHost) -> None:
    text, sight = eyes(bench, host)
    request, opened = asked("?", "talk.mp4")
    result = await bench.run(plan(route(cut(), see(sight, 1, "step:frames1"), say(text, "step:see1"))), request, opened)
    rows = [row for row in bench.store.attempts() if row.reservation.op == "describe"]
    assert len(rows) == 3 and all(row.state == "settled" for row in rows)
    assert sum(row.reservation.cost_high for row in rows) == pytest.approx(0.001)
    (actual,) = [actual for actual in result.actuals if actual.step == "see1"]
    assert actual.usage.output_tokens == 15 and actual.cost == pytest.approx(sum(row.spent for row in rows))
    started = [event.step for event in bench.events if isinstance(event, StepStarted)]
    finished = [event.actual.step for event in bench.events if isinstance(event, StepFinished)]
    assert started.count("see1") == finished.count("see1") == 1
    assert sum(isinstance(event, StepProgress) and event.step == "see1" for event in bench.events) == 3


async def test_a_frame_that_was_described_before_is_not_paid_for_again(bench: Bench, host: FakeHost) -> None:
    text, sight = eyes(bench, host)
    request, opened = asked("?", "talk.mp4")
    course = plan(route(cut(), see(sight, 1, "step:frames1"), say(text, "step:see1")))
    bench.media.moments = (0.0, 4.0)
    await bench.run(course, request, opened)
    bench.media.moments = (0.0, 4.0, 8.0)
    request, opened = asked("?", "longer.mp4")
    await bench.run(course, request, opened)
    sent = [attempt.images[0] for attempt in host.attempts if attempt.images]
    assert sorted(sent) == [b"frame at 0", b"frame at 4", b"frame at 8"]


async def test_a_picture_that_a_model_refuses_to_describe_ends_the_run_with_its_reason(
    bench: Bench, host: FakeHost
) -> None:
    text = host.endpoint("fake/text")
    sight = host.endpoint("fake/eyes-fault-policy", input=("text", "image"))
    bench.endpoints = (text, sight)
    request, opened = asked("?", "cup.png")
    with pytest.raises(errors.ContentRefused):
        await bench.run(plan(route(see(sight), say(text, "step:see1"))), request, opened)
    assert len(host.attempts) == 1


@pytest.mark.parametrize("kind", ["picture", "frames", "sound", "video"])
async def test_what_an_endpoint_does_not_take_never_reaches_it(bench: Bench, host: FakeHost, kind: str) -> None:
    """A10: whatever a plan says, no byte of an image, a recording or a video goes to a model that reads text."""
    text, _ = eyes(bench, host)
    made = {
        "picture": (("cat.png",), (), "part:1"),
        "frames": (("talk.mp4",), (cut(),), "step:frames1"),
        "sound": (("call.wav",), (), "part:1"),
        "video": (("talk.mp4",), (), "part:1"),
    }
    names, steps, reference = made[kind]
    request, opened = asked("?", *names)
    with pytest.raises(errors.UnsupportedModality) as caught:
        await bench.run(plan(route(*steps, say(text, reference))), request, opened)
    assert not caught.value.sent and host.attempts == [] and bench.states() == []


async def test_a_model_without_vision_is_not_asked_to_describe(bench: Bench, host: FakeHost) -> None:
    text, _ = eyes(bench, host)
    request, opened = asked("?", "cat.png")
    with pytest.raises(errors.UnsupportedModality):
        await bench.run(plan(route(see(text), say(text, "step:see1"))), request, opened)
    assert host.attempts == []


async def test_every_step_says_when_it_began(bench: Bench, host: FakeHost) -> None:
    text, sight = eyes(bench, host)
    bench.media.wait = lambda: anyio.sleep(0.003)
    request, opened = asked("?", "talk.mp4")
    steps = (cut(), look(1, "step:frames1"), see(sight, 1, "step:frames1"))
    course = plan(route(*steps, say(text, "step:look1", "step:see1")))
    result = await bench.run(course, request, opened)
    began = {actual.step: actual.began for actual in result.actuals}
    frames = next(actual for actual in result.actuals if actual.step == "frames1")
    assert began["frames1"] + frames.seconds <= began["look1"] + 0.001
    assert max(began.values()) == began[course.chosen.steps[-1].id] <= result.seconds
