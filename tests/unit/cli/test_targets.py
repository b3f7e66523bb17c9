"""Files that options write: never over an input or over something of another kind, found out before anything runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_ask import connect

from intermodal.cli.arguments.files import FILE_FORMATS, OutputFile, check_output_files, save_derived
from intermodal.errors import UsageError
from intermodal.events import Derived
from intermodal.testing import FakeHost

SAY = ("ask", "--verbatim", "Good evening.")


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer="Four words of answer.") as made:
        connect(made)
        yield made


def kept(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_plan_does_not_replace_the_document_it_is_about(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    notes = kept(tmp_path / "notes.txt", b"Two words.")
    link = tmp_path / "same.json"
    os.link(notes, link)
    for target in (notes, link):
        done = cli("explain", "How many?", str(notes), "-m", "talker-70b", "--save", str(target))
        assert done.code == 2 and "is an input of this request, and --save would write over it" in done.err
    assert notes.read_bytes() == b"Two words."


def test_a_plan_replaces_a_plan_and_nothing_else(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    for _ in range(2):
        assert cli("explain", "How many?", "-m", "talker-70b", "--save", str(target)).code == 0
    for name, data in (("package.json", b'{"name": "mine"}'), ("r.docx", b"PK\x03\x04 mine")):
        other = kept(tmp_path / name, data)
        done = cli("explain", "How many?", "-m", "talker-70b", "--save", str(other))
        assert done.code == 2 and "is there already and is not a saved plan" in done.err
        assert other.read_bytes() == data


def test_speech_does_not_replace_the_recording_it_is_about(
    cli: Cli, fake: FakeHost, media: Path, tmp_path: Path
) -> None:
    heard = Path(shutil.copy(media / "jfk.wav", tmp_path / "speech.wav"))
    before = heard.read_bytes()
    done = cli("ask", "What is said?", str(heard), "--to", str(heard))
    assert done.code == 2 and "is an input of this request, and --to would write over it" in done.err
    assert heard.read_bytes() == before


@pytest.mark.slow
def test_an_approved_plan_has_inputs_too(cli: Cli, fake: FakeHost, media: Path, tmp_path: Path) -> None:
    heard = Path(shutil.copy(media / "jfk.wav", tmp_path / "speech.wav"))
    before, plan = heard.read_bytes(), tmp_path / "plan.json"
    saved = cli("explain", "What is said?", str(heard), "--save", str(plan))
    assert saved.code == 0, saved.err
    for option, target in (("--to", heard), ("--svg", plan)):
        done = cli("ask", "--plan", str(plan), option, str(target))
        assert done.code == 2 and f"is an input of this request, and {option} would write over it" in done.err
    assert heard.read_bytes() == before and not fake.attempts


def test_speech_replaces_speech_of_its_format_and_nothing_else(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    for name, data in (("own.wav", b"my notes, not sound"), ("own.mp3", b"RIFF....WAVE")):
        other = kept(tmp_path / name, data)
        done = cli(*SAY, "--to", str(other))
        assert done.code == 2 and "is there already and is not a" in done.err
        assert other.read_bytes() == data


@pytest.mark.parametrize(
    ("name", "form", "said"),
    [
        ("x.ogg", (), "speech is written as WAV or MP3, not as .ogg"),
        ("x.mp3", ("--format", "wav"), "its name says .mp3, and --format says wav"),
        ("x.wav", ("--format", "mp3"), "its name says .wav, and --format says mp3"),
    ],
)
def test_the_name_of_a_file_of_speech_says_its_format(
    cli: Cli, fake: FakeHost, tmp_path: Path, name: str, form: tuple[str, ...], said: str
) -> None:
    done = cli(*SAY, "--output", "speech", "--to", str(tmp_path / name), *form)
    assert done.code == 2 and said in done.err, done.err
    assert list(tmp_path.iterdir()) == []


def test_a_report_replaces_no_picture_and_no_data(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    item = {"prompt": "How many?", "expected": "4", "compare": "exact"}
    data = kept(tmp_path / "data.jsonl", json.dumps(item).encode())
    picture = kept(tmp_path / "picture.png", b"\x89PNG\r\n\x1a\n")
    for option, target, said in (
        ("--html", picture, "is there already and is not an HTML page"),
        ("--journal", picture, "is there already and is not a journal of an evaluation"),
        ("--html", data, "is an input of this request"),
        ("--journal", data, "is an input of this request"),
    ):
        before = target.read_bytes()
        done = cli("eval", str(data), option, str(target))
        assert done.code == 2 and said in done.err, done.err
        assert target.read_bytes() == before
    assert not fake.attempts


def test_two_options_do_not_write_one_file(tmp_path: Path) -> None:
    one = str(tmp_path / "x.svg")
    with pytest.raises(UsageError, match="--save and --svg write the same file"):
        check_output_files([OutputFile("--save", one, "plan"), OutputFile("--svg", f"{tmp_path}/./x.svg", "svg")], [])


@pytest.mark.parametrize("kind", sorted(FILE_FORMATS))
def test_every_kind_refuses_what_is_something_else(kind: str, tmp_path: Path) -> None:
    for data in (b"PK\x03\x04", b"%PDF-1.7", b"plain words", b'{"id": "line 1"}', b"\x00\x00"):
        other = kept(tmp_path / "x", data)
        with pytest.raises(UsageError, match="is there already"):
            check_output_files([OutputFile("--x", str(other), kind)], [])


def test_what_was_derived_never_falls_on_an_input(tmp_path: Path) -> None:
    mine = kept(tmp_path / "call.wav.transcribe.txt", b"mine")
    made = (Derived(step="s", name="call.wav", op="transcribe", text="heard"),)
    written = save_derived(tmp_path, made, [str(mine)])
    assert mine.read_bytes() == b"mine"
    assert [path.name for path in written] == ["call.wav.transcribe.2.txt"] and written[0].read_bytes() == b"heard\n"


def test_no_verb_writes_a_page_to_standard_output(
    cli: Cli, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept(tmp_path / "data.jsonl", b'{"prompt": "Say it.", "expected": "it", "compare": "exact"}\n')
    calls = str(media.parent / "workloads" / "support-calls.yaml")
    before = sorted(tmp_path.iterdir())
    verbs = (("advise", "--in", "text"), ("cost", calls), ("eval", "data.jsonl"), ("find", "a cat", str(media)))
    for verb in verbs:
        done = cli(*verb, "--html", "-")
        assert done.code == 2 and not done.out, verb
        assert "--html: an HTML page is not written to standard output; name a file" in done.err, verb
    done = cli("eval", "data.jsonl", "--journal", "-")
    assert done.code == 2 and not done.out
    assert "--journal: a journal of an evaluation is not written to standard output; name a file" in done.err
    assert sorted(tmp_path.iterdir()) == before
