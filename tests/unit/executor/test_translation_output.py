"""Speech in one language, words in another, through the public door and against a host that is a program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import config

import intermodal
from intermodal.core.request import TranscriptOutput
from intermodal.errors import NoRoute, UsageError
from intermodal.events import Result
from intermodal.plans.plan import Plan
from intermodal.testing import FakeHost

EAR = 'id = "cloud/ear"; tasks = ["automatic-speech-recognition"]; input = ["audio"]; second = 0.0001; tier = "large"'
TRANSLATES = f'{EAR.replace("cloud/ear", "cloud/whisper")}; translates = ["en"]; quirks = ["audio_translations"]'
DOORLESS = f'{EAR.replace("cloud/ear", "cloud/locked")}; translates = ["en"]'
WRITES = 'id = "cloud/writer"; input_mtok = 1.0; output_mtok = 2.0; tier = "large"; context = 8192'
ENGLISH = 'id = "cloud/english"; input_mtok = 0.1; output_mtok = 0.2; tier = "large"; languages = ["en"]'
ASKED: dict[str, Any] = {"output": TranscriptOutput(), "translate": "en"}


def plan(*given: Any, **options: Any) -> Plan:
    with intermodal.Client() as client:
        return client.plan("", *given, **options)


def ask(prompt: str, *given: Any, **options: Any) -> Result:
    with intermodal.Client() as client:
        return client.ask(prompt, *given, **options).result


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="Good day.", transcript="Bonjour.") as fake:
        yield fake


@pytest.fixture
def rows(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Configure the models of the host."""

    def configure(*models: str) -> None:
        path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, "\n".join(models)))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))

    return configure


def test_both_kinds_of_routes_are_compared_in_numbers(rows: Any, media: Path) -> None:
    rows(EAR, TRANSLATES, WRITES)
    made = plan(media / "french.flac", **ASKED)
    assert [step.op for step in made.chosen.steps] == ["transcribe"]
    assert made.chosen.endpoint == "cloud:cloud/whisper" and made.verdict.instead == "speech translation"
    assert any([step.op for step in each.steps] == ["transcribe", "translate"] for each in made.fallbacks)
    beside = made.verdict.language_model
    assert beside is not None and beside.endpoint == "cloud:cloud/writer" and beside.cost.known and not beside.kept_out
    assert beside.seconds is not None and beside.seconds.known
    (said,) = [note for note in made.notes if "translates into en while transcribing" in note]
    assert "cloud:cloud/writer translates the transcript of" in said and "are not kept" in said and said.count("$") >= 3
    assert said.count(" s") >= 2
    assert "into en only" in said and "its languages are not stated" in said


def test_a_transcriber_that_translates_is_called_at_the_translation_endpoint(
    rows: Any, host: FakeHost, media: Path
) -> None:
    rows(TRANSLATES)
    host.transcript = "Good day."
    result = ask("", media / "french.flac", **ASKED)
    assert [each.path for each in host.attempts] == ["/v1/audio/translations"]
    assert result.transcript is not None
    assert (result.transcript.text, result.transcript.into) == ("Good day.", "en")


def test_a_language_model_translates_what_a_transcriber_wrote_down(rows: Any, host: FakeHost, media: Path) -> None:
    rows(EAR, WRITES)
    result = ask("", media / "french.flac", **{**ASKED, "translate": "de"})
    assert [each.path for each in host.attempts] == ["/v1/audio/transcriptions", "/v1/chat/completions"]
    asked = str(host.attempts[1].json["messages"])
    assert "into German" in asked and "Bonjour." in asked
    made = result.transcript
    assert made is not None and (made.text, made.into) == ("Good day.", "de")
    (heard,) = result.derived
    assert heard.text == "Bonjour.", "the words as they were said are kept"
    assert heard.transcript is not None
    assert [(each.start, each.end) for each in made.segments] == [
        (each.start, each.end) for each in heard.transcript.segments
    ]


@pytest.mark.slow
def test_a_model_that_repeats_the_transcript_is_reported(rows: Any, host: FakeHost, media: Path) -> None:
    """As a base model does with an instruction: it goes on with the text."""
    rows(EAR, WRITES)
    host.transcript = "Il fait beau à Paris aujourd'hui."
    host.answer = "Transcript: Il fait beau à Paris aujourd'hui."
    result = ask("", media / "french.flac", **ASKED)
    assert any("did not translate all of it" in note for note in result.notes)
    host.answer = "The weather is fine in Paris today."
    assert not any("did not translate" in note for note in ask("", media / "french.flac", **ASKED).notes)


@pytest.mark.parametrize(
    ("into", "why"),
    [("de", "translates speech into en only, and de is asked for"), ("sw", "supports en only, and sw is needed")],
)
def test_what_nobody_translates_into_is_refused_by_name_with_what_would_do_it(
    rows: Any, media: Path, into: str, why: str
) -> None:
    rows(TRANSLATES, ENGLISH)
    with pytest.raises(NoRoute) as error:
        plan(media / "french.flac", **{**ASKED, "translate": into})
    assert f"into {into}" in str(error.value) and any(why in reason for reason in error.value.reasons)
    assert "language model" in error.value.todo


def test_a_host_without_the_endpoint_is_not_asked_to_translate(rows: Any, media: Path) -> None:
    rows(DOORLESS)
    with pytest.raises(NoRoute) as error:
        plan(media / "french.flac", model="cloud/locked", **ASKED)
    assert any("it is not stated that cloud has /audio/translations" in reason for reason in error.value.reasons)


def test_a_model_that_knows_one_language_is_not_taken_for_a_translator(rows: Any, media: Path) -> None:
    rows(EAR, ENGLISH)
    with pytest.raises(NoRoute) as error:
        plan(media / "french.flac", model="cloud/english", **ASKED)
    assert any("supports en only, so it cannot translate" in reason for reason in error.value.reasons)


@pytest.mark.slow
def test_a_named_model_translates_as_it_can(rows: Any, media: Path) -> None:
    rows(EAR, TRANSLATES, WRITES)
    for name, ops in (("cloud/writer", ["transcribe", "translate"]), ("cloud/whisper", ["transcribe"])):
        made = plan(media / "french.flac", model=name, **ASKED)
        assert [step.op for step in made.chosen.steps] == ops
        assert made.chosen.endpoint == f"cloud:{name}"


@pytest.mark.slow
def test_a_question_about_speech_in_another_language_gets_it_translated(rows: Any, host: FakeHost, media: Path) -> None:
    rows(EAR, TRANSLATES, WRITES)
    host.transcript = "Good day, sir."
    ask("Whom does she greet?", media / "french.flac", translate="en")
    assert [each.path for each in host.attempts] == ["/v1/audio/translations", "/v1/chat/completions"]
    assert "Good day, sir." in host.attempts[1].text


def test_a_translation_into_the_language_that_is_spoken_is_a_transcript(rows: Any, host: FakeHost, media: Path) -> None:
    rows(EAR, TRANSLATES)
    made = plan(media / "jfk.wav", language="en", **ASKED)
    assert made.verdict.instead == "speech recognition"


@pytest.mark.slow
def test_a_translation_is_no_transcript_of_the_cache(rows: Any, host: FakeHost, media: Path) -> None:
    """What was heard once in one language is not what is wanted in the other."""
    rows(TRANSLATES)
    for translate in ("", "en", ""):
        ask("", media / "french.flac", output=TranscriptOutput(), translate=translate)
    assert [each.path for each in host.attempts] == ["/v1/audio/transcriptions", "/v1/audio/translations"]


def test_a_language_that_there_is_not_is_refused(rows: Any, media: Path) -> None:
    rows(TRANSLATES)
    with pytest.raises(UsageError, match="there is no language 'xx'"):
        plan(media / "french.flac", **{**ASKED, "translate": "xx"})


def test_a_translation_whose_lines_do_not_match_says_that_it_has_no_times(
    rows: Any, host: FakeHost, media: Path
) -> None:
    from intermodal.core.content import Segment, Transcript
    from intermodal.executor.outputs.translation import numbered_lines, parse_lines

    heard = Transcript(segments=(Segment(start=0, end=1, text="Oui."), Segment(start=1, end=2, text="Non.")))
    assert numbered_lines(heard) == "1: Oui.\n2: Non."
    found = parse_lines("1: Yes.\n2: No.", heard)
    assert found is not None and [(each.start, each.text) for each in found] == [(0, "Yes."), (1, "No.")]
    for odd in ("Yes. No.", "1: Yes.", "2: No.\n1: Yes.", "1: Yes.\n2: No.\n3: Perhaps.", ""):
        assert parse_lines(odd, heard) is None


def test_why_not_answers_for_either_kind_of_route(rows: Any, media: Path) -> None:
    from intermodal.planner.explanation.why_not import not_chosen_reasons

    rows(EAR, TRANSLATES, WRITES, ENGLISH)
    request = intermodal.make_request("", media / "french.flac", **ASKED)
    with intermodal.Client() as client:
        inputs = client.prepare(request).inputs
    assert "supports en only, so it cannot translate" in not_chosen_reasons(inputs, "cloud/english")
    assert "transcribes and does not translate" in not_chosen_reasons(inputs, "cloud/ear")
    assert "it is the chosen one" in not_chosen_reasons(inputs, "cloud/whisper")


def test_eval_and_the_frontier_see_both_kinds_of_routes(rows: Any, media: Path) -> None:
    from intermodal.planner.alternatives import alternatives, plan_of_candidate
    from intermodal.planner.frontier import frontier

    rows(EAR, TRANSLATES, WRITES)
    request = intermodal.make_request("", media / "french.flac", **ASKED)
    with intermodal.Client() as client:
        inputs = client.prepare(request).inputs
    every = alternatives(inputs)
    assert {each.last.op for each in every} == {"transcribe", "translate"}
    assert {plan_of_candidate(inputs, each).chosen.id for each in every} == {each.id for each in every}
    assert every[0].endpoint in {each.endpoint for each in frontier(inputs)}


def test_a_translation_of_nothing_that_is_spoken_is_refused(rows: Any, media: Path) -> None:
    rows(TRANSLATES)
    with pytest.raises(UsageError, match="nothing here is spoken"):
        plan(media / "photo-cat.jpg", translate="en")


@pytest.mark.slow
def test_a_model_that_does_not_know_the_language_that_is_spoken_is_said_with_what_helps(rows: Any, media: Path) -> None:
    rows(TRANSLATES, ENGLISH)
    with intermodal.Client() as client:
        asked = ("Whom does she greet?", media / "french.flac")
        said = client.plan(*asked, language="fr", model="cloud/english").notes
        translated = client.plan(*asked, language="fr", model="cloud/english", translate="en").notes
    assert any("supports en only, and the speech is in fr" in note and "translate" in note for note in said)
    assert not any("what is said is in fr" in note for note in translated)
