"""Answers that are heard: what is spoken, by whom, when its words are shown, and what happens when a voice fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.executor.routes import VOICE, Bench, asked, pages, plan, rename, route, say

from intermodal import errors
from intermodal.catalog.types import FREE, Endpoint, Host, Model, Price
from intermodal.core.request import SpeechOutput
from intermodal.events import Note, StepProgress, TextDelta
from intermodal.executor.attempt.accounting import price_of_usage
from intermodal.executor.outputs.speech import MAX_LINE, speech_lines, strip_markdown, unknown_letters
from intermodal.media.audio.encoding import samples
from intermodal.plans.step import Call
from intermodal.protocols.calls import WireUsage
from intermodal.store.rows import Work
from intermodal.testing import FakeHost, Fault

pytestmark = pytest.mark.anyio
ALOUD = SpeechOutput()


def speak(*inputs: str, endpoint: Endpoint = VOICE, voice: str = "", form: str = "wav") -> Call:
    params = (("voice", voice), ("format", form))
    return Call(
        id=f"speak {endpoint.id}", op="speak", task="text-to-speech", endpoint=endpoint.id, inputs=inputs,
        params=params, title="Speak",
    )  # fmt: skip


def voice_of(host: FakeHost, model: str = "fake/voice") -> Endpoint:
    made = host.endpoint(model)
    return rename(made, model=Model(id=model, tasks=("text-to-speech",), output=("audio",)), price=FREE)


# ---- words first, then a voice --------------------------------------------------------------------


async def test_words_stream_while_they_are_made_and_are_spoken_afterwards(tmp_path: Path) -> None:
    with FakeHost(answer="It rains. Take a coat.") as host:
        box = host.endpoint()
        bench = Bench(tmp_path, (box,))
        answer = say(box)
        request, opened = asked("How is the weather?", output=ALOUD)
        result = await bench.run(plan(route(answer, speak(f"step:{answer.id}"))), request, opened)
    assert bench.shown == result.text == "It rains. Take a coat."
    assert bench.runtimes.calls == ["speak It rains.", "speak Take a coat."]
    assert result.speech is not None
    assert (result.speech.media_type, result.speech.seconds) == ("audio/wav", 0.5)
    assert samples(result.speech.data) == (b"\1\0" * 500, 1000)
    kinds = [type(event).__name__ for event in bench.events]
    assert kinds.index("TextDelta") < len(kinds) - 1 - kinds[::-1].index("StepStarted")
    assert [event.fraction for event in bench.events if isinstance(event, StepProgress)] == [0.5, 1.0]
    assert bench.states() == ["settled", "settled"]


async def test_the_endpoint_of_an_answer_is_the_one_that_answered_not_its_voice(tmp_path: Path) -> None:
    with FakeHost(answer="Yes.") as host:
        box = host.endpoint()
        answer = say(box)
        request, opened = asked("Well?", output=ALOUD)
        candidate = route(answer, speak(f"step:{answer.id}"))
        result = await Bench(tmp_path, (box,)).run(plan(candidate), request, opened)
    assert result.endpoint == box.id
    assert result.finish_reason == "stop"


async def test_signs_of_markdown_are_not_read_out_but_a_given_text_is_spoken_as_it_is(tmp_path: Path) -> None:
    with FakeHost(answer="## Sum\n* **42** euros") as host:
        box = host.endpoint()
        bench = Bench(tmp_path, (box,))
        answer = say(box)
        request, opened = asked("Sum?", output=ALOUD)
        await bench.run(plan(route(answer, speak(f"step:{answer.id}"))), request, opened)
        assert bench.runtimes.calls == ["speak Sum", "speak 42 euros"]
    bench.runtimes.calls.clear()
    request, opened = asked("a ** b is a power", output=SpeechOutput(verbatim=True))
    result = await bench.run(plan(route(speak("part:0"))), request, opened)
    assert bench.runtimes.calls == ["speak a ** b is a power"]
    assert (result.text, result.endpoint) == ("", VOICE.id)


async def test_the_text_of_a_file_is_spoken_page_after_page(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    request, opened = asked("", "report.pdf", output=SpeechOutput(verbatim=True))
    extract = pages("extract", "1-2")
    await bench.run(plan(route(extract, speak(f"step:{extract.id}"))), request, opened)
    assert bench.runtimes.calls == ["speak text of page 1", "speak text of page 2"]


async def test_what_a_voice_has_no_sound_for_is_left_out_and_said(tmp_path: Path) -> None:
    english = rename(VOICE, model=rename(VOICE.model, languages=("en",)))
    bench = Bench(tmp_path, (english,))
    request, opened = asked("Hello.\n(silent) x.\nПривет café.", output=SpeechOutput(verbatim=True))
    result = await bench.run(plan(route(speak("part:0"))), request, opened)
    notes = [event.text for event in bench.events if isinstance(event, Note)]
    assert any('no sound for 1 of its lines, which are left out: "(silent) x."' in note for note in notes)
    assert any("spells or skips them: Привет" in note for note in notes)
    assert result.speech is not None
    assert result.speech.seconds == 0.3


async def test_a_text_without_words_is_an_error_and_no_voice_is_started(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    request, opened = asked("… !!!", output=SpeechOutput(verbatim=True))
    with pytest.raises(errors.InputEmpty, match="nothing to speak"):
        await bench.run(plan(route(speak("part:0"))), request, opened)
    assert bench.runtimes.calls == []


async def test_mp3_is_packed_here_whoever_spoke(tmp_path: Path) -> None:
    with FakeHost() as host:
        voice = voice_of(host)
        request, opened = asked("one two three four", output=SpeechOutput(format="mp3", verbatim=True))
        step = speak("part:0", endpoint=voice, form="mp3", voice="coral")
        result = await Bench(tmp_path, (voice,)).run(plan(route(step)), request, opened)
        sent = host.attempts[0].json
    assert sent == {"model": "fake/voice", "input": "one two three four", "voice": "coral", "response_format": "wav"}
    assert result.speech is not None
    assert result.speech.media_type == "audio/mpeg"
    assert result.speech.data[:1] == b"\xff"
    assert result.speech.seconds == pytest.approx(0.4)


async def test_a_long_text_goes_out_in_requests_a_host_takes_and_nothing_is_lost(tmp_path: Path) -> None:
    text = " ".join(f"This is sentence number {number} of a long text." for number in range(200))
    with FakeHost() as host:
        voice = voice_of(host)
        request, opened = asked(text, output=SpeechOutput(verbatim=True))
        result = await Bench(tmp_path, (voice,)).run(plan(route(speak("part:0", endpoint=voice))), request, opened)
        sent = [attempt.text for attempt in host.attempts]
    assert len(sent) == 3
    assert max(map(len, sent)) <= 4096
    assert " ".join(" ".join(sent).split()) == text
    assert result.speech is not None
    assert result.speech.seconds == pytest.approx(len(text.split()) / 10)


# ---- when a voice fails ---------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["limited", "unavailable", "key"])
async def test_what_was_spoken_before_a_later_request_failed_is_charged_and_not_spoken_again(
    tmp_path: Path, fault: str
) -> None:
    """The pieces of a long text are one attempt: a later one that fails for free does not make the first one free."""
    text = " ".join(f"This is sentence number {number} of a long text." for number in range(200))
    with FakeHost() as host:
        host.next_fault = lambda model: Fault(fault) if len(host.attempts) > 1 else None  # type: ignore[method-assign]
        voice = voice_of(host)
        request, opened = asked(text, output=SpeechOutput(verbatim=True))
        bench = Bench(tmp_path, (voice,))
        with pytest.raises(errors.CallError):
            await bench.run(plan(route(speak("part:0", endpoint=voice))), request, opened)
        assert len(host.attempts) == 2
        assert bench.states() == ["estimated"]


async def test_after_its_words_are_out_no_other_model_says_others(tmp_path: Path) -> None:
    with FakeHost(answer="One answer.") as host, FakeHost(answer="Another answer.") as other:
        box, spare = host.endpoint(), other.endpoint("fake/spare", host="spare")
        voice = voice_of(host, "fake/voice-fault-key")
        answer, instead = say(box), say(spare)
        chosen = route(answer, speak(f"step:{answer.id}", endpoint=voice))
        fallback = route(instead, speak(f"step:{instead.id}"))
        bench = Bench(tmp_path, (box, spare, voice))
        request, opened = asked("Well?", output=ALOUD)
        with pytest.raises(errors.CredentialsRefused):
            await bench.run(plan(chosen, fallback), request, opened)
        assert bench.shown == "One answer."
        assert other.attempts == []


async def test_a_text_that_is_only_spoken_may_go_to_another_voice(tmp_path: Path) -> None:
    with FakeHost() as host:
        voice = voice_of(host, "fake/voice-fault-key")
        bench = Bench(tmp_path, (voice,))
        request, opened = asked("Hello there.", output=SpeechOutput(verbatim=True))
        chosen, fallback = route(speak("part:0", endpoint=voice)), route(speak("part:0"))
        result = await bench.run(plan(chosen, fallback), request, opened)
    assert result.endpoint == VOICE.id
    assert bench.runtimes.calls == ["speak Hello there."]


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_half_a_file_of_sound_is_no_speech(tmp_path: Path, fault: str) -> None:
    with FakeHost(fault=Fault(fault)) as host:
        voice = voice_of(host)
        request, opened = asked("Hello there.", output=SpeechOutput(verbatim=True))
        with pytest.raises(errors.CallError):
            await Bench(tmp_path, (voice,)).run(plan(route(speak("part:0", endpoint=voice))), request, opened)


async def test_something_else_than_sound_is_an_error_that_says_so(tmp_path: Path) -> None:
    with FakeHost(fault=Fault("inband")) as host:
        voice = voice_of(host)
        request, opened = asked("Hello there.", output=SpeechOutput(verbatim=True))
        with pytest.raises(errors.CallError, match="the provider failed"):
            await Bench(tmp_path, (voice,)).run(plan(route(speak("part:0", endpoint=voice))), request, opened)


# ---- a model that speaks --------------------------------------------------------------------------


async def test_a_model_that_speaks_answers_in_one_call_with_words_and_sound(tmp_path: Path) -> None:
    with FakeHost(answer="Four words of answer.") as host:
        box = host.endpoint()
        bench = Bench(tmp_path, (box,))
        request, opened = asked("Well?", output=SpeechOutput(voice="marin"))
        result = await bench.run(plan(route(say(box, params=(("voice", "marin"),)))), request, opened)
        sent = host.attempts[0].json
    assert sent["modalities"] == ["text", "audio"]
    assert sent["audio"] == {"voice": "marin", "format": "pcm16"}
    assert bench.shown == "Four words of answer."
    assert len([event for event in bench.events if isinstance(event, TextDelta)]) > 1
    assert result.speech is not None
    assert result.speech.seconds == pytest.approx(0.4)
    assert samples(result.speech.data)[1] == 24_000
    assert bench.runtimes.calls == []


async def test_a_model_whose_words_go_to_a_voice_is_not_asked_to_speak(tmp_path: Path) -> None:
    with FakeHost(answer="Yes.") as host:
        box = host.endpoint()
        answer = say(box)
        request, opened = asked("Well?", output=ALOUD)
        await Bench(tmp_path, (box,)).run(plan(route(answer, speak(f"step:{answer.id}"))), request, opened)
        assert "modalities" not in host.attempts[0].json


async def test_speech_that_did_not_come_is_an_error_not_an_empty_file(tmp_path: Path) -> None:
    with FakeHost(answer="") as host:
        box = host.endpoint()
        request, opened = asked("Well?", output=ALOUD)
        with pytest.raises(errors.OutputInvalid, match="sent no speech"):
            await Bench(tmp_path, (box,)).run(plan(route(say(box))), request, opened)


# ---- pure ------------------------------------------------------------------------------------------


def test_no_line_is_longer_than_a_breath_and_no_word_is_lost() -> None:
    text = "a, " * 300 + "x" * 1000 + ". Short one! " + "word " * 400
    lines = speech_lines(text)
    assert max(map(len, lines)) <= MAX_LINE
    assert "".join("".join(lines).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("# Title\n\n- one\n- two", "Title\none\ntwo"),
        ("see [here](http://x.y/z) and ![a cat](cat.png)", "see here and a cat"),
        ("`x` is *not* y_z", "x is not y_z"),
        ("3 * 4 * 5", "3 * 4 * 5"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |\n---", "a, b\n1, 2"),
        ("[a [b](http://c/d_(e)) c](f) and [g](h", "[a b c](f) and [g](h"),
    ],
)
def test_markdown_becomes_words(text: str, spoken: str) -> None:
    assert strip_markdown(text) == spoken


def test_letters_of_another_alphabet_are_known_from_accents() -> None:
    assert unknown_letters("naïve café Straße 5 µm", ("en",)) == ""
    assert unknown_letters("Привет, 你好!", ("en",)) == "Привет你好"
    assert unknown_letters("Привет", ()) == unknown_letters("Привет", ("ru",)) == ""


def test_speech_is_billed_by_characters_or_by_its_own_tokens() -> None:
    host = Host(id="h", zone="internet")
    by_characters = Endpoint(id="h:v", model=Model(id="v"), host=host, price=Price(input_mchar=15.0))
    assert price_of_usage(by_characters, WireUsage(), Work(characters=2_000)) == pytest.approx(0.03)
    price = Price(input_mtok=1.0, output_mtok=10.0, output_audio_mtok=64.0)
    native = Endpoint(id="h:n", model=Model(id="n"), host=host, price=price)
    spoken = WireUsage(input_tokens=1_000, output_tokens=1_500, audio_tokens=1_000)
    assert price_of_usage(native, spoken, Work()) == pytest.approx(0.001 + 0.005 + 0.064)
