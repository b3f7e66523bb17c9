"""``ask`` with speech and scores: which options go together, where sound is written, what ``--json`` says.

The routes are approved plans made by hand, so that these tests are about the command line alone.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.cli.arguments.files import write_json
from intermodal.cli.arguments.output_options import output_of
from intermodal.client import request_builder
from intermodal.client.sync_client import Client
from intermodal.config import config_file
from intermodal.core.request import ImageOutput, Output, ScoresOutput, SpeechOutput, TextOutput, TranscriptOutput
from intermodal.errors import SchemaInvalid, UsageError
from intermodal.media.audio.encoding import samples
from intermodal.plans.plan import Candidate, Plan, SavedPlan
from intermodal.plans.step import Call, StepEstimate
from intermodal.testing import FakeHost

LABELS = ("invoice", "letter", "photo of a cat")
TALKER, VOICE = "box:acme/talker-70b", "box:acme/voice"


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer="Four words of answer.", likely={"A": 0.7, "B": 0.2, "C": 0.1}) as made:
        row = ServedRow(id="acme/talker-70b", served_as="talker", context=8192, input_mtok=1.0, output_mtok=2.0)
        voice = ServedRow(id="acme/voice", served_as="voice", tasks=("text-to-speech",), input_mchar=15.0)
        config_file.add_host(os.environ, HostRow(id="box", base_url=made.base_url, models=(row, voice)))
        yield made


def approved(folder: Path, output: Output, *steps: Call, prompt: str = "How many?") -> str:
    """A plan file of exactly these steps."""
    request = request_builder.make_request(prompt, output=output)
    with Client() as client:
        facts = client.prepare(request).inputs.facts
    chosen = Candidate(
        id="c",
        steps=steps,
        endpoint=steps[0].endpoint,
        total=StepEstimate(),
        score=0.0,
        tier="medium",
        summary="a route",
    )
    plan = Plan(id="p", headline="A call", policy_line="by hand", objective="default", chosen=chosen)
    path = folder / "plan.json"
    write_json(path, SavedPlan(plan=plan, request=request, facts=facts))
    return str(path)


def spoken(folder: Path, output: SpeechOutput | None = None) -> str:
    say = Call(id="say", op="generate", task="text-generation", endpoint=TALKER, inputs=("part:0",), title="Generate")
    speak = Call(id="speak", op="speak", task="text-to-speech", endpoint=VOICE, inputs=("step:say",), title="Speak")
    return approved(folder, output or SpeechOutput(), say, speak)


def scored(folder: Path) -> str:
    step = Call(
        id="score", op="score", task="zero-shot-classification", endpoint=TALKER, inputs=("part:0",), title="Score"
    )
    return approved(folder, ScoresOutput(labels=LABELS), step)


# ---- speech ----------------------------------------------------------------------------------------


def test_speech_goes_to_the_file_and_its_words_to_stdout(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    target = tmp_path / "answer.wav"
    done = cli("ask", "--plan", spoken(tmp_path), "--to", str(target))
    assert done.code == 0, done.err
    assert done.out == "Four words of answer.\n"
    pcm, rate = samples(target.read_bytes())
    assert len(pcm) / 2 / rate == pytest.approx(0.4)
    assert f"wrote {target} (0.4 s, " in done.err


def test_without_a_file_stdout_gets_the_sound_and_nothing_else(
    fake: FakeHost, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from intermodal.cli.main import main

    with pytest.raises(SystemExit):
        main(["ask", "--plan", spoken(tmp_path)])
    out = capfdbinary.readouterr().out
    assert out[:4] == b"RIFF"
    assert samples(out)[1] == 24_000


def test_json_has_the_sound_in_it_or_the_path_of_its_file(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    plan = spoken(tmp_path)
    alone = cli("ask", "--plan", plan, "--json").document["speech"]
    assert samples(b64decode(alone["data"]))[1] == 24_000
    assert alone["bytes"] == len(b64decode(alone["data"]))
    target = tmp_path / "answer.wav"
    filed = cli("ask", "--plan", plan, "--json", "--to", str(target)).document
    assert filed["speech"] == {
        "media_type": "audio/wav", "seconds": pytest.approx(0.4), "bytes": target.stat().st_size, "path": str(target),
    }  # fmt: skip
    assert filed["text"] == "Four words of answer."
    assert filed["scores"] == {}


def test_sound_is_not_written_to_a_terminal(
    cli: Cli, fake: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = spoken(tmp_path)
    monkeypatch.setattr("intermodal.cli.arguments.output_options.sys.stdout.isatty", lambda: True)
    done = cli("ask", "--plan", plan)
    assert (done.code, done.out) == (2, "")
    assert "write it to a file: --to answer.wav" in done.err
    assert fake.attempts == []


def test_a_place_that_cannot_be_written_is_found_before_anything_is_asked(
    cli: Cli, fake: FakeHost, tmp_path: Path
) -> None:
    done = cli("ask", "--plan", spoken(tmp_path), "--to", str(tmp_path / "nowhere" / "answer.wav"))
    assert done.code == 2
    assert "cannot be written (no such file or directory)" in done.err
    assert fake.attempts == []


# ---- scores ----------------------------------------------------------------------------------------


def test_scores_are_a_table_with_the_best_first(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    done = cli("ask", "-q", "--plan", scored(tmp_path))
    assert done.code == 0, done.err
    rows = [line.split("  ") for line in done.out.splitlines()]
    assert {label for _, label in rows} == set(LABELS)
    assert [float(score) for score, _ in rows] == sorted((float(score) for score, _ in rows), reverse=True)


def test_scores_in_json_keep_the_order_of_the_labels_and_sum_to_one(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    document = cli("ask", "--plan", scored(tmp_path), "--json").document
    assert list(document["scores"]) == list(LABELS)
    assert sum(document["scores"].values()) == pytest.approx(1.0)
    assert document["speech"] is None


# ---- options ---------------------------------------------------------------------------------------


def given(**said: object) -> Mapping[str, object]:
    empty = {"form": None, "output_kind": None, "schema_file": None, "voice": "", "verbatim": False, "labels": ()}
    return {**empty, "to": None, **said}


@pytest.mark.parametrize(
    ("said", "output"),
    [
        ({}, TextOutput()),
        ({"form": "srt"}, TranscriptOutput(format="srt")),
        ({"form": "mp3"}, SpeechOutput(format="mp3")),
        ({"to": "a/b.mp3"}, SpeechOutput(format="mp3")),
        ({"to": "b.mp3", "form": "wav"}, SpeechOutput(format="wav")),
        ({"voice": "coral", "output_kind": "speech"}, SpeechOutput(voice="coral")),
        ({"verbatim": True}, SpeechOutput(verbatim=True)),
        ({"labels": (("a", "b"), ("c",))}, ScoresOutput(labels=("a", "b", "c"))),
        ({"guidance": 0.0}, ImageOutput(guidance=0.0)),
    ],
)
def test_an_option_implies_what_comes_out(said: dict[str, object], output: Output) -> None:
    assert output_of(given(**said)) == output


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"output_kind": "text", "voice": "coral"}, "--voice asks for speech, the rest for text"),
        ({"output_kind": "speech", "form": "srt"}, "formats of speech are wav, mp3"),
        ({"output_kind": "transcript", "form": "mp3"}, "formats of a transcript are text, json, srt, vtt"),
        ({"labels": (("a", "b"),), "verbatim": True}, "leave one of them out"),
        ({"output_kind": "json", "labels": (("a", "b"),)}, "--labels asks for scores, the rest for JSON"),
    ],
)
def test_options_that_do_not_go_together_are_refused(said: dict[str, object], what: str) -> None:
    with pytest.raises(UsageError) as caught:
        output_of(given(**said))
    assert what in str(caught.value)


def test_a_schema_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SchemaInvalid, match="cannot be read"):
        output_of(given(schema_file=str(tmp_path / "none.json")))


@pytest.mark.parametrize(
    ("labels", "what"),
    [(("one",), "one label cannot be compared with others"), (("a", "a "), "are the same"), (("a", " "), "empty")],
)
def test_labels_must_be_two_at_least_and_differ(labels: tuple[str, ...], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        request_builder.make_request("x", output=ScoresOutput(labels=labels))


def test_explain_takes_the_same_options_and_refuses_the_same(cli: Cli) -> None:
    done = cli("explain", "x", "--labels", "a")
    assert done.code == 2
    assert "one label cannot be compared with others" in done.err


def test_a_recording_alone_is_no_question_to_be_answered_aloud(cli: Cli, media: Path) -> None:
    done = cli("explain", str(media / "jfk.wav"), "--output", "speech")
    assert done.code == 2
    assert "nothing was asked about it" in done.err
    assert json.dumps(done.out) == '""'


@pytest.mark.parametrize("kind", ["scores", "label"])
def test_scores_without_labels_are_those_of_a_classifier(kind: str) -> None:
    assert output_of(given(output_kind=kind)) == ScoresOutput(labels=())
    assert output_of(given(output_kind=kind, labels=(("a", "b"),))) == ScoresOutput(labels=("a", "b"))
