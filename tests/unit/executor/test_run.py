"""Routes run end to end: a real HTTP server that misbehaves on demand, and fakes of what runs on this machine."""

from __future__ import annotations

import anyio
import pytest
from msgspec.structs import replace
from tests.unit.executor.routes import (
    EAR,
    VECTOR,
    WORDS,
    Bench,
    asked,
    ending,
    hear,
    kinds,
    local,
    look,
    pages,
    plan,
    rename,
    route,
    say,
    using,
)

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.core.content import Transcript
from intermodal.core.request import EmbeddingOutput, JsonOutput, Policy, Sampling, TranscriptOutput
from intermodal.events import Committed, Finished, Note, Retrying, StepFinished, TextDelta
from intermodal.executor.attempt import answer_notes
from intermodal.local.embedded.versions import CONVERTERS
from intermodal.plans.step import Transform
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio
SCHEMA = JsonOutput(schema={"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]})


async def test_speech_a_picture_and_pages_reach_the_model_as_labelled_data_before_the_question(
    bench: Bench, host: FakeHost
) -> None:
    (model,) = using(bench, host)
    request, opened = asked("What is wanted?", "call.wav", "invoice.png", "report.pdf", "notes.txt")
    steps = (hear(1), look(2), pages("extract", "1-2", 3), pages("render", "3", 3), look(3, "step:render3"))
    last = say(model, "step:hear1r", "step:look2", "step:extract3", "step:look3", "part:4")
    result = await bench.run(plan(route(*steps, last)), request, opened)
    assert result.text == "The caller wants 42 apples." and result.finish_reason == "stop"
    (message,) = host.attempts[0].json["messages"]
    assert message["role"] == "user"
    assert ending(message["content"]) == (
        f"Transcript of call.wav:\n---END\n{WORDS}\n---END\n\n"
        "Text read from invoice.png:\n---END\nread from png of invoice.png\n---END\n\n"
        "Text of report.pdf, page 1:\n---END\ntext of page 1\n---END\n\n"
        "Text of report.pdf, page 2:\n---END\ntext of page 2\n---END\n\n"
        "Text read from report.pdf, page 3:\n---END\nread from page 3\n---END\n\n"
        "Text of notes.txt:\n---END\nnotes.txt\n---END\n\n"
        "What is wanted?"
    )
    assert sorted((derived.name, derived.op) for derived in result.derived) == [
        ("call.wav", "transcribe"), ("invoice.png", "read"), ("report.pdf", "extract"), ("report.pdf", "read"),
    ]  # fmt: skip
    assert {actual.step for actual in result.actuals} == {"hear1r", "look2", "extract3", "render3", "look3", last.id}


async def test_every_attempt_has_its_row_and_usage_and_money_come_back(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    request, opened = asked("What is wanted?", "call.wav")
    result = await bench.run(plan(route(hear(1), say(model, "step:hear1r"))), request, opened)
    spoken, heard = bench.store.attempts()
    assert heard.reservation.op == "transcribe" and heard.reservation.work.audio_seconds == 11
    assert heard.outcome is not None and heard.outcome.load_seconds == 0.5 and heard.outcome.cost == 0
    assert spoken.state == "settled" and spoken.reservation.cost_high == 0.001
    assert spoken.outcome is not None and spoken.outcome.usage.output_tokens == 5
    assert spoken.outcome.cost == pytest.approx(host.bill) and result.cost == pytest.approx(host.bill) and host.bill > 0
    assert spoken.outcome.first_seconds is not None
    (row,) = bench.store.runs()
    assert (row.outcome, row.parts) == ("finished", ("prompt", "call.wav")) and row.cost == pytest.approx(host.bill)


async def test_events_come_in_an_order_a_reader_can_follow(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    request, opened = asked("?", "call.wav")
    await bench.run(plan(route(hear(1), say(model, "step:hear1r"))), request, opened)
    seen = [kind for kind in kinds(bench.events) if kind != "StepProgress"]
    assert seen[:3] == ["StepStarted", "StepFinished", "StepStarted"]
    assert seen[3:5] == ["Committed", "TextDelta"] and seen[-2:] == ["StepFinished", "Finished"]


async def test_a_recording_is_transcribed_once(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    request, opened = asked("?", "call.wav")
    course = plan(route(hear(1), say(model, "step:hear1r")))
    first = await bench.run(course, request, opened)
    second = await bench.run(course, request, opened)
    assert bench.runtimes.calls == [f"transcribe {EAR.id}"] and bench.media.asked == ["pcm"]
    assert first.derived == second.derived
    assert [actual.cached for actual in second.actuals] == [True, False]
    assert len(bench.store.attempts()) == 3, "nothing was attempted, so there is no row"


@pytest.mark.parametrize("changed", ["whisper", "audio"])
async def test_a_result_of_an_older_converter_is_computed_again(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    (model,) = using(bench, host)
    request, opened = asked("?", "call.wav")
    course = plan(route(hear(1), say(model, "step:hear1r")))
    await bench.run(course, request, opened)
    was = CONVERTERS[changed]
    monkeypatch.setitem(CONVERTERS, changed, was._replace(number=was.number + 1))
    await bench.run(course, request, opened)
    assert bench.runtimes.calls == [f"transcribe {EAR.id}"] * 2


async def test_pages_are_not_drawn_again_for_text_that_is_known(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    request, opened = asked("?", "scan.pdf")
    course = plan(route(pages("render", "1,3"), look(1, "step:render1"), say(model, "step:look1")))
    first = await bench.run(course, request, opened)
    second = await bench.run(course, request, opened)
    assert bench.media.asked == ["page_images"]
    assert first.derived == second.derived and len(first.derived[0].lines) == 2
    assert host.attempts[0].body == host.attempts[1].body


async def test_the_same_bytes_under_another_name_are_called_by_that_name(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    course = plan(route(hear(1), say(model, "step:hear1r")))
    request, opened = asked("?", "call.wav")
    await bench.run(course, request, opened)
    renamed = opened.facts.parts[1]
    opened.facts = type(opened.facts)(parts=(opened.facts.parts[0], rename(renamed, name="other.wav")))
    result = await bench.run(course, request, opened)
    assert result.derived[0].name == "other.wav" and "Transcript of other.wav" in host.attempts[1].text


async def test_models_of_this_machine_take_turns(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    bench.runtimes.wait = lambda: anyio.sleep(0.02)
    request, opened = asked("?", "a.wav", "b.wav", "c.png")
    steps = (hear(1), hear(2), look(3))
    await bench.run(plan(route(*steps, say(model, "step:hear1r", "step:hear2r", "step:look3"))), request, opened)
    assert len(bench.runtimes.calls) == 3 and bench.runtimes.most_running == 1


async def test_a_silent_recording_among_other_files_is_told_to_the_model(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    bench.runtimes.transcript = ""
    request, opened = asked("?", "music.wav", "notes.txt")
    result = await bench.run(plan(route(hear(1), say(model, "step:hear1r", "part:2"))), request, opened)
    assert result.notes.count("no speech found in music.wav") == 1 and result.text == host.answer
    assert "Transcript of music.wav:\n---END\n(no speech)\n---END" in ending(host.attempts[0].text)


async def test_an_empty_picture_is_said(bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    from intermodal.local.embedded.results import OcrResult

    async def blank(endpoint: object, png: bytes) -> OcrResult:
        return OcrResult(lines=(), seconds=0.1)

    monkeypatch.setattr(bench.runtimes, "recognize_text", blank)
    (model,) = using(bench, host)
    request, opened = asked("?", "blank.png", "notes.txt")
    result = await bench.run(plan(route(look(1), say(model, "step:look1", "part:2"))), request, opened)
    assert "no text found in blank.png" in result.notes and "(no text)" in host.attempts[0].text


async def test_of_an_animation_without_words_nothing_is_asked(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    from intermodal.local.embedded.results import OcrResult

    async def blank(endpoint: object, png: bytes) -> OcrResult:
        return OcrResult(lines=(), seconds=0.1)

    monkeypatch.setattr(bench.runtimes, "recognize_text", blank)
    (model,) = using(bench, host)
    request, opened = asked("What does it say?", "moving.gif")
    question, picture = opened.facts.parts
    opened.facts = type(opened.facts)(parts=(question, rename(picture, frames=7)))
    with pytest.raises(errors.NoContentFound, match="No text was found in moving.gif, so"):
        await bench.run(plan(route(look(1), say(model, "step:look1"))), request, opened)
    assert host.attempts == []


async def test_a_model_is_not_asked_about_files_in_which_nothing_was_found(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    bench.runtimes.transcript = ""
    bench.media.page = ""
    request, opened = asked("What does it say?", "silent.wav", "blank.pdf")
    course = route(hear(1), pages("extract", "1-2", 2), say(model, "step:hear1r", "step:extract2"))
    with pytest.raises(errors.NoContentFound) as nothing:
        await bench.run(plan(course), request, opened)
    assert nothing.value.what.startswith("No speech was found in silent.wav. No text was found in blank.pdf, so")
    assert (nothing.value.exit_code, nothing.value.code) == (3, "no_content_found")
    assert not [event for event in bench.events if isinstance(event, (Note, TextDelta, Finished))]
    assert host.attempts == [] and [row.reservation.op for row in bench.store.attempts()] == ["transcribe"]


async def test_a_model_is_not_asked_about_voices_of_which_no_word_was_recognised(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    bench.runtimes.heard = Transcript(seconds=24.0, unheard=22.0, masked=22.0)
    request, opened = asked("What does it say?", "call.wav")
    with pytest.raises(errors.NoContentFound) as nothing:
        await bench.run(plan(route(hear(1), say(model, "step:hear1r"))), request, opened)
    assert nothing.value.what.startswith(
        "22 s of call.wav sound like speech, but no word of it could be recognised, so"
    )
    assert "No speech" not in nothing.value.what and host.attempts == []


async def test_a_schema_is_not_filled_from_files_in_which_nothing_was_found(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    bench.runtimes.transcript = ""
    request, opened = asked("What is the total?", "silent.wav", output=SCHEMA)
    with pytest.raises(errors.InputEmpty, match="No speech was found in silent.wav, so there is nothing"):
        await bench.run(plan(route(hear(1), say(model, "step:hear1r"))), request, opened)
    assert host.attempts == []


async def test_silence_is_not_embedded_as_words(bench: Bench) -> None:
    bench.runtimes.transcript = ""
    request, opened = asked("A call", "silent.wav", output=EmbeddingOutput())
    embed = say(VECTOR, "step:hear1r", op="embed")
    await bench.run(plan(route(hear(1), embed)), request, opened)
    assert bench.runtimes.calls[-1] == "embed A call"


async def test_a_language_that_does_not_exist_is_refused_before_anything_is_decoded(bench: Bench) -> None:
    request, opened = asked("", "call.wav", output=TranscriptOutput(), policy=Policy(language="xx"))
    with pytest.raises(errors.UsageError, match="no language 'xx'.*en, fr"):
        await bench.run(plan(route(replace(hear(1), params=(("language", "xx"),)))), request, opened)
    assert not bench.media.asked and not bench.store.attempts()


async def test_a_transcriber_is_told_the_language_that_the_plan_says_and_no_other(bench: Bench) -> None:
    """One that follows an ear which was told the wrong language finds it out."""
    request, opened = asked("", "call.wav", output=TranscriptOutput(), policy=Policy(language="de"))
    for params, told in ((((("language", "fr"),)), "fr"), ((), "")):
        bench.runtimes.told.clear()
        await bench.run(plan(route(replace(hear(1), params=params))), request, opened)
        assert bench.runtimes.told == [told]


# ---- other outputs ----------------------------------------------------------------------------


async def test_a_transcript_is_an_answer(bench: Bench) -> None:
    request, opened = asked("", "call.wav", output=TranscriptOutput())
    result = await bench.run(plan(route(hear(1))), request, opened)
    assert result.text == WORDS and result.transcript is not None and result.transcript.language == "en"
    again = await bench.run(plan(route(hear(1))), request, opened)
    assert again.text == WORDS and again.actuals[0].cached


async def test_a_vector_is_an_answer(bench: Bench) -> None:
    request, opened = asked("", "notes.txt", output=EmbeddingOutput())
    last = say(VECTOR, "part:1", op="embed", task="feature-extraction")
    result = await bench.run(plan(route(last)), request, opened)
    assert result.embedding == (0.6, 0.8) and bench.runtimes.calls == ["embed notes.txt"]


async def test_a_hosted_transcriber_and_a_hosted_vector_are_driven_over_http(bench: Bench, host: FakeHost) -> None:
    ear, vector = using(bench, host, "fake/ear", "fake/vector")
    request, opened = asked("", "call.wav", output=TranscriptOutput())
    result = await bench.run(plan(route(hear(1, ear))), request, opened)
    assert result.text == "hello from the fake host"
    assert host.attempts[0].audios == (b"call.wav",), "a hosted ear gets the file as it is"
    request, opened = asked("", "notes.txt", output=EmbeddingOutput())
    last = say(vector, "part:1", op="embed", task="feature-extraction")
    assert len((await bench.run(plan(route(last)), request, opened)).embedding) == 8


async def test_an_endpoint_of_this_machine_never_gets_the_users_file(bench: Bench, host: FakeHost) -> None:
    near = host.endpoint("fake/eyes", input=("text", "image", "audio"), zone="machine")
    bench.endpoints = (near,)
    request, opened = asked("?", "cat.png", "call.wav")
    await bench.run(plan(route(say(near, "part:1", "part:2"))), request, opened)
    (attempt,) = host.attempts
    assert attempt.images == (b"png of cat.png",) and attempt.audios[0].startswith(b"RIFF")


async def test_a_far_endpoint_gets_the_picture_as_it_is(bench: Bench, host: FakeHost) -> None:
    bench.endpoints = (host.endpoint("fake/eyes", input=("text", "image")),)
    request, opened = asked("?", "cat.png")
    await bench.run(plan(route(say(bench.endpoints[0], "part:1"))), request, opened)
    assert host.attempts[0].images == (b"cat.png",) and host.attempts[0].text == "?"


async def test_an_own_chat_server_is_started_then_asked(bench: Bench, host: FakeHost) -> None:
    bench.endpoints = (local("llm", "llama"),)
    bench.runtimes.url = host.base_url
    request, opened = asked("?")
    result = await bench.run(plan(route(say(bench.endpoints[0]))), request, opened)
    assert result.text.startswith("The caller") and result.actuals[0].load_seconds == 0.25
    (row,) = bench.store.attempts()
    assert row.outcome is not None and row.outcome.load_seconds == 0.25 and row.outcome.cost == 0


# ---- JSON -------------------------------------------------------------------------------------


async def test_forced_json_streams_and_is_checked(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    host.answer = '{"total": 42}'
    request, opened = asked("total?", output=SCHEMA)
    result = await bench.run(plan(route(say(model))), request, opened)
    assert result.data == {"total": 42} and host.attempts[0].json["response_format"]["type"] == "json_schema"
    host.answer = '{"total": "many"}'
    with pytest.raises(errors.OutputInvalid, match="breaks the schema"):
        await bench.run(plan(route(say(model))), request, opened)
    assert len(host.attempts) == 2, "what was shown is not repaired"


def unforced(host: FakeHost) -> Endpoint:
    endpoint = host.endpoint()
    return rename(endpoint, host=rename(endpoint.host, forced_json=False))


async def test_prompted_json_is_asked_for_repaired_once_and_shown_only_when_good(bench: Bench, host: FakeHost) -> None:
    model = unforced(host)
    bench.endpoints = (model,)
    answers = iter(["the total is 42", 'Here you are:\n```json\n{"total": 42}\n```'])
    host.answer = lambda attempt: next(answers)
    request, opened = asked("total?", output=SCHEMA)
    result = await bench.run(plan(route(say(model))), request, opened)
    assert result.data == {"total": 42} and bench.shown == '{"total": 42}'
    first, second = host.attempts
    assert '"required":["total"]' in first.text and first.json.get("response_format") is None
    assert [message["role"] for message in second.json["messages"]] == ["user", "assistant", "user"]
    assert "not valid" in second.text
    assert bench.states() == ["settled", "settled"] and result.cost == pytest.approx(host.bill)
    assert sum(isinstance(event, StepFinished) for event in bench.events) == 1
    assert any(isinstance(event, Retrying) for event in bench.events)


async def test_json_that_stays_wrong_is_an_error_and_never_shown(bench: Bench, host: FakeHost) -> None:
    model = unforced(host)
    bench.endpoints = (model,)
    request, opened = asked("total?", output=SCHEMA)
    with pytest.raises(errors.OutputInvalid) as caught:
        await bench.run(plan(route(say(model))), request, opened)
    assert caught.value.exit_code == 6 and bench.shown == "" and len(host.attempts) == 2


@pytest.mark.slow
async def test_an_answer_that_takes_too_much_work_to_check_is_neither_valid_nor_asked_for_again(
    bench: Bench, host: FakeHost
) -> None:
    model = unforced(host)
    bench.endpoints = (model,)
    host.answer = "[]"
    wide = {f"d{n}": {"oneOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(9)}
    output = JsonOutput(
        schema={"type": "array", "allOf": [{"$ref": "#/$defs/d0"}], "$defs": {**wide, "d9": {"type": "null"}}}
    )
    request, opened = asked("total?", output=output)
    with pytest.raises(errors.SchemaInvalid, match="steps"):
        await bench.run(plan(route(say(model))), request, opened)
    names = {**wide, "d9": {"type": "null"}}
    output = JsonOutput(schema={"type": "array", "items": {"$ref": "#/$defs/d0"}, "$defs": names})
    host.answer = "[1]"
    request, opened = asked("total?", output=output)
    with pytest.raises(errors.OutputUnchecked, match="cannot be said") as caught:
        await bench.run(plan(route(say(model))), request, opened)
    assert caught.value.exit_code == 6 and bench.shown == "" and len(host.attempts) == 2
    assert bench.states() == ["settled", "settled"]


async def test_an_answer_cut_at_its_limit_says_so(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    request, opened = asked("?", sampling=Sampling(max_tokens=2))
    result = await bench.run(plan(route(say(model))), request, opened)
    assert result.finish_reason == "length" and any("cut after 2 tokens" in note for note in result.notes)
    assert host.attempts[0].json["max_tokens"] == 2


def test_an_answer_that_went_into_thought_says_so() -> None:
    said = answer_notes.answer_notes("length", " ", 512, called=False, thought=512)
    assert said == ("the answer ended without a word: 512 tokens went into thought; allow more with --max-tokens",)
    (said,) = answer_notes.answer_notes("length", "Shake", 512, called=False, thought=500)
    assert said.startswith("the answer was cut after 512 tokens")


CIRCLES = [
    "The end is near, they say. ",
    "It was the end of the line.\n",
    "I see the sea. The sea sees me. ",
    "and then the sea ",
    "1. The end is near, they say.\n2. ",
]


@pytest.mark.parametrize("circle", CIRCLES)
async def test_an_answer_that_goes_round_in_circles_is_stopped(bench: Bench, host: FakeHost, circle: str) -> None:
    """It holds the machine that it runs on for as long as it goes on."""
    bench.endpoints = (model,) = (host.endpoint(zone="machine"),)
    host.answer = "Once upon a time. " + circle * 200
    request, opened = asked("?", sampling=Sampling(max_tokens=4000))
    result = await bench.run(plan(route(say(model))), request, opened)
    assert result.notes == (answer_notes.LOOP_STOPPED,) and result.finish_reason == "length"
    assert host.answer.startswith(result.text) and len(result.text) < 20 + len(circle) * 4 + 400
    assert bench.states() == ["estimated"] and result.actuals[-1].usage.output_tokens


async def test_an_answer_that_is_paid_anyway_is_not_stopped_for_repeating_itself(bench: Bench, host: FakeHost) -> None:
    """A host on the internet bills what it makes; who leaves never learns how much that was."""
    (model,) = using(bench, host)
    host.answer = "Once upon a time. " + CIRCLES[0] * 20
    request, opened = asked("?", sampling=Sampling(max_tokens=4000))
    result = await bench.run(plan(route(say(model))), request, opened)
    assert result.text == host.answer and result.finish_reason == "stop"
    assert result.notes == (answer_notes.REPEATS_NOTE,) and result.looped
    assert bench.states() == ["settled"]


@pytest.mark.parametrize(
    "answer", ["No. " * 30, "| --- | --- | --- | ---\n" * 5, "Row after row of it.\n" * 3 + "The end."]
)
async def test_an_answer_that_repeats_only_a_little_is_left_alone(bench: Bench, host: FakeHost, answer: str) -> None:
    (model,) = using(bench, host)
    host.answer = answer
    request, opened = asked("?", sampling=Sampling(max_tokens=4000))
    result = await bench.run(plan(route(say(model))), request, opened)
    assert result.text == answer and result.finish_reason == "stop"


async def test_a_schema_the_endpoint_cannot_be_held_to_is_asked_for_in_words_once(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    from intermodal.testing import fake_host

    what = "Unable to generate parser for this template. JSON schema error at #: unsupported $ref"
    refusal = (400, {"error": {"code": 400, "message": what, "type": "invalid_request_error"}})
    monkeypatch.setattr(fake_host, "REFUSALS", {**fake_host.REFUSALS, "schema": refusal})
    monkeypatch.setattr("intermodal.testing.fake_host.REFUSALS", fake_host.REFUSALS, raising=False)
    (model,) = using(bench, host, "fake/m-fault-schema-1-x1")
    host.answer = '{"total": 7}'
    request, opened = asked("?", output=SCHEMA)
    result = await bench.run(plan(route(say(model))), request, opened)
    assert result.data == {"total": 7} and bench.states() == ["void", "settled"]
    assert any("asked for in words" in note for note in result.notes)
    forced, asked_for = host.attempts
    assert forced.schema is not None and asked_for.schema is None and "JSON Schema" in asked_for.text


async def test_the_highest_estimate_is_sent_as_the_limit(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    request, opened = asked("?")
    await bench.run(plan(route(say(model))), request, opened)
    assert host.attempts[0].json["max_tokens"] == 64


# ---- failures and fallbacks -------------------------------------------------------------------


async def test_a_fallback_goes_on_with_what_was_converted(bench: Bench, host: FakeHost) -> None:
    first, second = using(bench, host, "fake/m-fault-unavailable", "fake/ok")
    request, opened = asked("?", "call.wav")
    routes = [route(hear(1), say(model, "step:hear1r")) for model in (first, second)]
    result = await bench.run(plan(*routes), request, opened)
    assert result.endpoint == "fake:fake/ok" and result.text.startswith("The caller")
    assert bench.runtimes.calls == [f"transcribe {EAR.id}"]
    assert any("going on with the fallback fake:fake/ok" in note for note in result.notes)
    assert bench.states() == ["settled", "void", "void", "void", "settled"]


async def test_a_failed_conversion_is_replaced_by_a_fallback_with_another_transcriber(
    bench: Bench, host: FakeHost
) -> None:
    ear, model = using(bench, host, "fake/ear-fault-unavailable", "fake/ok")
    request, opened = asked("?", "call.wav", "invoice.png")
    bad, good = hear(1, ear), hear(1)
    result = await bench.run(
        plan(
            route(bad, look(2), say(model, f"step:{bad.id}", "step:look2")),
            route(good, look(2), say(model, f"step:{good.id}", "step:look2")),
        ),
        request,
        opened,
    )
    assert WORDS in host.attempts[-1].text and result.endpoint == "fake:fake/ok"
    assert sum(call.startswith("read") for call in bench.runtimes.calls) == 1, "what was read stays read"


async def test_a_fallback_that_needs_the_failed_call_is_passed_over(bench: Bench, host: FakeHost) -> None:
    ear, one, two = using(bench, host, "fake/ear-fault-unavailable", "fake/one", "fake/two")
    request, opened = asked("?", "call.wav")
    bad = hear(1, ear)
    with pytest.raises(errors.Overloaded):
        await bench.run(
            plan(route(bad, say(one, f"step:{bad.id}")), route(bad, say(two, f"step:{bad.id}"))), request, opened
        )
    assert len(host.attempts) == 3


async def test_a_refusal_is_passed_on_and_nobody_else_is_asked(bench: Bench, host: FakeHost) -> None:
    """A9"""
    first, second = using(bench, host, "fake/m-fault-policy", "fake/ok")
    request, opened = asked("?")
    with pytest.raises(errors.ContentRefused, match="safety"):
        await bench.run(plan(route(say(first)), route(say(second))), request, opened)
    assert len(host.attempts) == 1


async def test_too_long_for_the_host_is_not_sent_again_and_goes_only_to_a_larger_one(
    bench: Bench, host: FakeHost
) -> None:
    small = host.endpoint("fake/m-fault-context", context=64)
    same = host.endpoint("fake/same", context=64)
    large = host.endpoint("fake/large", context=64_000)
    bench.endpoints = (small, same, large)
    request, opened = asked("?")
    result = await bench.run(plan(*(route(say(model)) for model in bench.endpoints)), request, opened)
    assert result.endpoint == "fake:fake/large"
    assert [attempt.model for attempt in host.attempts] == ["fake/m-fault-context", "fake/large"]


async def test_a_fallback_whose_model_has_no_larger_context_is_not_called_after_a_prompt_was_too_long(
    bench: Bench, host: FakeHost
) -> None:
    """Its own row states no context, so that of the model counts."""
    large = host.endpoint("fake/m-fault-context", context=4096)
    small = host.endpoint("fake/small")
    small = rename(small, context=None, model=rename(small.model, context=512))
    bench.endpoints = (large, small)
    request, opened = asked("?")
    with pytest.raises(errors.ContextExceeded):
        await bench.run(plan(route(say(large)), route(say(small))), request, opened)
    assert [attempt.model for attempt in host.attempts] == ["fake/m-fault-context"]


async def test_a_prompt_counted_as_too_long_is_refused_with_the_numbers_before_anything_is_sent(
    bench: Bench, host: FakeHost
) -> None:
    (model,) = using(bench, host, "fake/model", context=128, model=rename(host.endpoint().model, tokenizer="words"))
    bench.options["count"] = lambda tokenizer, text: len(text.split()) if tokenizer == "words" else None
    request, opened = asked("word " * 100)
    with pytest.raises(errors.ContextExceeded, match="100 tokens and the answer may take 64.*128"):
        await bench.run(plan(route(say(model))), request, opened)
    assert host.attempts == [] and bench.states() == []


async def test_an_answer_that_breaks_off_is_an_error_and_no_second_model_goes_on(bench: Bench, host: FakeHost) -> None:
    first, second = using(bench, host, "fake/m-fault-cut-3", "fake/ok")
    request, opened = asked("?")
    with pytest.raises(errors.StreamCut):
        await bench.run(plan(route(say(first)), route(say(second))), request, opened)
    assert bench.shown == "The caller wants" and len(host.attempts) == 1 and bench.states() == ["estimated"]
    assert bench.store.attempts()[0].spent == 0.001


async def test_nothing_is_shown_of_an_attempt_that_failed_before_its_first_word(bench: Bench, host: FakeHost) -> None:
    first, second = using(bench, host, "fake/m-fault-inband-0", "fake/ok")
    request, opened = asked("?")
    result = await bench.run(plan(route(say(first)), route(say(second))), request, opened)
    assert bench.shown == result.text == "The caller wants 42 apples."
    assert [event.endpoint for event in bench.events if isinstance(event, Committed)] == ["fake:fake/ok"]


async def test_a_host_that_asks_to_wait_is_given_its_time(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host, "fake/m-fault-limited-7-x1")
    request, opened = asked("?")
    await bench.run(plan(route(say(model))), request, opened)
    assert bench.slept and bench.slept[0] >= 7 and bench.states() == ["void", "settled"]


async def test_without_leave_to_pay_twice_a_silent_failure_is_the_end(bench: Bench, host: FakeHost) -> None:
    bench.options["pay_twice"] = False
    first, second = using(bench, host, "fake/m-fault-gone", "fake/ok")
    request, opened = asked("?")
    with pytest.raises(errors.Unreachable):
        await bench.run(plan(route(say(first)), route(say(second))), request, opened)
    assert len(host.attempts) == 1 and bench.states() == ["estimated"]


async def test_a_host_that_is_not_there_costs_nothing(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    gone = rename(model, id="gone:m", host=rename(model.host, id="gone", base_url="http://127.0.0.1:9/v1"))
    bench.endpoints = (gone, model)
    request, opened = asked("?")
    result = await bench.run(plan(route(say(gone)), route(say(model))), request, opened)
    assert result.cost == pytest.approx(host.bill) and bench.states() == ["void", "void", "void", "settled"]


async def test_properties_of_a_file_reach_the_model_as_labelled_data_and_the_file_is_not_decoded(
    bench: Bench, host: FakeHost
) -> None:
    (model,) = using(bench, host)
    request, opened = asked("How long is it?", "call.wav")
    told = Transform(id="told1", op="properties", inputs=("part:1",), part=1, title="properties")
    await bench.run(plan(route(told, say(model, "step:told1"))), request, opened)
    (message,) = host.attempts[0].json["messages"]
    assert ending(message["content"]).startswith("Properties of call.wav:\n---END\nLength: 11 seconds (0:11)\n")
    assert bench.media.asked == []


async def test_a_run_over_its_budget_stops_before_it_sends(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    request, opened = asked("?", policy=Policy(max_cost=0.0005))
    with pytest.raises(errors.BudgetExceeded, match=r"\$0.0010"):
        await bench.run(plan(route(say(model))), request, opened)
    assert host.attempts == [] and bench.states() == []


async def test_a_failed_attempt_that_may_be_paid_counts_against_the_budget(bench: Bench, host: FakeHost) -> None:
    first, second = using(bench, host, "fake/m-fault-gone", "fake/ok")
    request, opened = asked("?", policy=Policy(max_cost=0.0015))
    with pytest.raises(errors.BudgetExceeded):
        await bench.run(plan(route(say(first)), route(say(second))), request, opened)
    assert len(host.attempts) == 1


async def test_no_key_and_no_content_gets_into_the_store_an_event_or_an_error(bench: Bench, host: FakeHost) -> None:
    """E5"""
    canary = "sk-canary-0123456789abcdef0123"
    host.key = "another"
    bench.options["find_key"] = lambda found: canary
    bench.runtimes.transcript = "the secret of the recording"
    (model,) = using(bench, host)
    request, opened = asked("my private question", "call.wav")
    with pytest.raises(errors.CredentialsRefused) as caught:
        await bench.run(plan(route(hear(1), say(model, "step:hear1r"))), request, opened)
    bench.store.close()
    stored = bench.store.path.read_bytes()
    for secret in (canary, "secret of the recording", "private question"):
        assert secret.encode() not in stored
    assert canary not in str(caught.value) + repr(bench.events)


async def test_a_note_is_a_sentence_for_people(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    host.answer = ""
    request, opened = asked("?")
    await bench.run(plan(route(say(model))), request, opened)
    assert [event.text for event in bench.events if isinstance(event, Note)] == ["the answer is empty"]
