"""``ask`` and ``explain`` against a fake host: what goes where, what is sent, and how each failure ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import documents
from tests.unit.cli.conftest import Cli

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.core.request import Zone
from intermodal.plans.machine import Machine
from intermodal.store.database import Store
from intermodal.testing import FakeHost, Fault

EAR = ServedRow(id="openai/whisper-large-v3", served_as="ear", second=0.00001)


def connect(fake: FakeHost, *extra: ServedRow, host: str = "box", zone: Zone | None = None, json: bool = True) -> None:
    row = ServedRow(id="acme/talker-70b", served_as="talker", context=8192, input_mtok=1.0, output_mtok=2.0)
    config_file.add_host(
        os.environ, HostRow(id=host, base_url=fake.base_url, zone=zone, forced_json=json, models=(row, *extra))
    )


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer="Four words of answer.", transcript="ask not what your country") as made:
        connect(made, EAR)
        yield made


def test_the_answer_goes_to_stdout_and_the_plan_to_stderr(cli: Cli, fake: FakeHost) -> None:
    done = cli("ask", "How many?", "--model", "talker-70b")
    assert done.code == 0, done.err
    assert done.out == "Four words of answer.\n"
    assert "Generate  box:acme/talker-70b" in done.err
    assert cli("ask", "-q", "How many?", "-m", "acme/talker-70b") == (0, "Four words of answer.\n", "")
    assert len(fake.attempts) == 2


def test_json_is_one_document_with_every_field(cli: Cli, fake: FakeHost) -> None:
    done = cli("ask", "How many?", "-m", "talker-70b", "--json", "--analyze")
    assert done.err == ""
    document = done.document
    assert (document["kind"], document["version"]) == ("intermodal.answer", 1)
    assert document["text"] == "Four words of answer."
    assert document["endpoint"] == "box:acme/talker-70b"
    assert {"data", "transcript", "embedding", "finish_reason", "notes", "cost", "seconds", "derived"} <= set(document)
    assert document["steps"][0]["usage"]["input_tokens"] > 0
    assert document["plan"]["chosen"]["endpoint"] == "box:acme/talker-70b"
    assert "q-error" in document["analyze"]


def test_json_keeps_zeros(cli: Cli, fake: FakeHost) -> None:
    free = ServedRow(id="acme/free-70b", served_as="free", context=8192, input_mtok=0.0, output_mtok=0.0)
    connect(fake, free)
    for verb in ("explain", "ask"):
        chosen = cli(verb, "How many?", "-m", "free-70b", "--json").document["plan"]["chosen"]
        for estimate in (chosen["total"], chosen["steps"][-1]["estimate"]):
            assert (estimate["cost"]["low"], estimate["cost"]["mid"], estimate["cost"]["high"]) == (0.0, 0.0, 0.0)
        assert chosen["warnings"] == [], "what is empty is said, too"


@pytest.mark.slow
def test_explain_contacts_nobody_and_says_the_same_twice(
    cli: Cli, fake: FakeHost, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(cores=2, memory=8 << 30, free=6 << 30)  # other tests come and go on the real one
    monkeypatch.setattr("intermodal.local.hardware.machine.machine_snapshot", lambda loaded: machine)
    question = ("explain", "What is said about it?", str(media / "jfk.wav"), "--at-least", "large")
    first, second = cli(*question), cli(*question)
    assert first.code == 0, first.err
    assert first.out == second.out
    assert "Transcribe  box:openai/whisper-large-v3" in first.out
    assert fake.attempts == []
    document = cli(*question, "--json").document
    assert document["kind"] == "intermodal.explain"
    assert document["text"] == first.out.rstrip("\n")


def test_all_and_why_not_answer_about_other_routes(cli: Cli, fake: FakeHost) -> None:
    assert cli("explain", "q", "--all").code == 0
    why = cli("explain", "q", "--why-not", "openai:openai/gpt-4o-mini")
    assert why.code == 0
    assert "no consent for host openai" in why.out
    assert cli("explain", "q", "--why-not", "gpt-4o-mini", "--host", "openai", "--json").document["reason"]
    assert cli("explain", "q", "--why-not", "no-such-model").code == 2
    realtime = cli("explain", "q", "--output", "speech", "--why-not", "gpt-realtime")
    assert realtime.code == 2 and "openai:openai/gpt-realtime cannot be called: it holds a session" in realtime.err


def test_a_host_that_was_named_and_cannot_be_used_is_an_error_and_nobody_else_answers(cli: Cli, fake: FakeHost) -> None:
    done = cli("ask", "How many?", "--host", "openai")
    assert done.code == 4, done.out
    assert "host openai: cannot be used: OPENAI_API_KEY is not set; " in done.err
    assert "intermodal hosts add openai" in done.err
    assert done.out == ""
    assert fake.attempts == []
    answered = cli("ask", "How many?", "--host", "openai", "--host", "box")
    assert answered.code == 4, "one that works makes up for none that does not"
    assert cli("ask", "-q", "How many?", "--host", "box").out == "Four words of answer.\n"


def test_a_plan_for_a_host_without_a_key_is_made_and_says_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    saved = str(tmp_path / "plan.json")
    done = cli("explain", "How many?", "--host", "openai", "-m", "openai:openai/gpt-4o", "--save", saved)
    assert done.code == 0 and "Generate  openai:openai/gpt-4o" in done.out, done.err
    assert "note: cannot run yet: OPENAI_API_KEY is not set (intermodal hosts add openai)" in done.out
    assert cli("ask", "--plan", saved).code == 4, "a run needs it"


def test_a_deadline_shortens_the_answer_that_nobody_asked_to_be_long(cli: Cli, fake: FakeHost) -> None:
    done = cli("ask", "How many?", "-m", "talker-70b", "--deadline", "30s")
    assert (done.code, done.out) == (0, "Four words of answer.\n"), done.err
    told = re.search(r"note: room for (\d+) tokens of answer: more might take longer than 30 s", done.err)
    assert told, done.err
    assert fake.attempts[-1].json["max_tokens"] == int(told[1]) < 512
    assert cli("ask", "How many?", "-m", "talker-70b", "--deadline", "0.01s").code == 4, "there is a least answer"


@pytest.mark.slow
def test_save_derived_has_every_text_that_was_taken_out_of_a_file(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "report.docx").write_bytes(documents.word())
    out = tmp_path / "out"
    question = ("ask", "-q", "What is the crane called?", str(tmp_path / "report.docx"), "-m", "talker-70b")
    done = cli(*question, "--save-derived", str(out))
    assert done.code == 0, done.err
    (saved,) = out.iterdir()
    assert saved.name == "report.docx.extract.txt"
    assert "The crane is called Brunhilde." in saved.read_text()
    assert saved.read_text().strip() in fake.attempts[-1].text, "what the answer was made from, and nothing else"


@pytest.mark.slow
def test_an_approved_plan_runs_exactly_and_only_unchanged(
    cli: Cli, fake: FakeHost, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(media / "jfk.wav", "call.wav")
    saved = cli("explain", "What is said about it?", "call.wav", "--at-least", "large", "--save", "plan.json", "--json")
    assert saved.code == 0, saved.err
    monkeypatch.chdir("/")  # a plan runs from anywhere
    plan = str(tmp_path / "plan.json")
    done = cli("ask", "--plan", plan, "--json")
    assert done.code == 0, done.out
    assert done.document["plan"] == saved.document["plan"]
    assert "ask not what your country" in fake.attempts[-1].text
    with (tmp_path / "call.wav").open("ab") as file:
        file.write(b"\0\0")
    stale = cli("ask", "--plan", plan)
    assert stale.code == 4
    assert "call.wav: changed since" in stale.err


def test_an_approved_plan_of_another_version_says_which_parameter_is_unknown(
    cli: Cli, fake: FakeHost, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    assert cli("explain", "q", "-m", "talker-70b", "--save", str(plan)).code == 0
    written = json.loads(plan.read_text())
    written["plan"]["chosen"]["steps"][-1]["params"].append(["beam", "4"])
    plan.write_text(json.dumps(written))
    done = cli("ask", "--plan", str(plan))
    assert done.code == 4
    assert "(generate): the parameter 'beam' is unknown; known: max_tokens, json" in done.err
    assert "run intermodal explain --save again" in done.err
    assert fake.attempts == []


@pytest.mark.parametrize("more", [("q",), ("--local",), ("--private", "audio"), ("--continue",), ("--max-cost", "1")])
def test_an_approved_plan_takes_no_other_options(
    cli: Cli, fake: FakeHost, tmp_path: Path, more: tuple[str, ...]
) -> None:
    plan = str(tmp_path / "plan.json")
    assert cli("explain", "q", "-m", "talker-70b", "--save", plan).code == 0
    done = cli("ask", "--plan", plan, *more)
    assert done.code == 2
    assert "approved plan" in done.err
    assert fake.attempts == []


def test_saved_inputs_are_planned_from_again(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    inputs = str(tmp_path / "inputs.json")
    asked = cli("explain", "How many?", "-m", "talker-70b", "--inputs", inputs)
    assert asked.code == 0, asked.err
    config_file.remove_host(os.environ, "box")  # the world changed; the saved inputs did not
    assert cli("explain", "--inputs", inputs).out == asked.out
    again = cli("explain", "q", "--inputs", inputs)
    assert again.code == 2
    assert "is there already" in again.err
    assert cli("explain", "--inputs", str(tmp_path / "none.json")).code == 3


def test_a_conversation_goes_on_with_what_was_said(cli: Cli, fake: FakeHost) -> None:
    assert cli("ask", "--continue", "And?").code == 2
    cli("ask", "-q", "My name is Ada.", "-m", "talker-70b")
    done = cli("ask", "-q", "--continue", "What is my name?")
    assert done.code == 0, done.err
    assert fake.attempts[-1].texts[-3:] == ("My name is Ada.", "Four words of answer.", "What is my name?")


def test_a_schema_answer_is_checked_json(cli: Cli, tmp_path: Path) -> None:
    schema = tmp_path / "s.json"
    schema.write_text('{"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}')
    with FakeHost(answer='{"total": 5}') as fake:
        connect(fake)
        done = cli("ask", "-q", "Total?", "--schema", str(schema), "-m", "talker-70b")
        assert json.loads(done.out) == {"total": 5}
        fake.answer = '{"total": "five"}'
        wrong = cli("ask", "-q", "Total?", "--schema", str(schema), "-m", "talker-70b")
    assert wrong.code == 6
    assert wrong.out == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "begins"),
    [("text", "ask not what"), ("srt", "1\n00:00:00,000 --> "), ("vtt", "WEBVTT\n\n"), ("json", "{")],
)
def test_a_transcript_comes_in_each_format(cli: Cli, fake: FakeHost, media: Path, form: str, begins: str) -> None:
    done = cli("ask", "-q", "--output", "transcript", "--format", form, str(media / "jfk.wav"), "--at-least", "large")
    assert done.code == 0, done.err
    assert done.out.startswith(begins)
    assert "ask not what your country" in done.out
    if form == "json":
        assert done.document["kind"] == "intermodal.transcript"


@pytest.mark.slow
def test_what_was_heard_is_saved_even_when_the_answer_fails(
    cli: Cli, fake: FakeHost, media: Path, tmp_path: Path
) -> None:
    heard = tmp_path / "out"
    bad = ServedRow(id="acme/bad-70b", served_as="bad-fault-policy", input_mtok=1.0, output_mtok=1.0, context=8192)
    connect(fake, EAR, bad)
    arguments = (
        "ask",
        "What is said about it?",
        str(media / "jfk.wav"),
        "--at-least",
        "large",
        "--save-derived",
        str(heard),
    )
    failed = cli(*arguments, "-m", "bad-70b")
    assert failed.code == 5
    assert "ask not what your country" in (heard / "jfk.wav.transcribe.txt").read_text()
    done = cli(*arguments, "-m", "talker-70b")
    assert done.code == 0, done.err
    assert f"wrote {heard}" in done.err
    assert (heard / "jfk.wav.transcribe.srt").exists()


@pytest.mark.slow
def test_a_private_recording_and_its_words_stay_here(cli: Cli, media: Path) -> None:
    with FakeHost() as fake:
        connect(fake, zone="internet")
        done = cli("ask", "What?", str(media / "jfk.wav"), "-m", "talker-70b", "--private", "jfk.wav")
        assert done.code == 4
        assert "private" in done.err
        assert fake.attempts == []


@pytest.mark.slow
def test_the_config_can_make_a_kind_private_for_good(cli: Cli, fake: FakeHost, media: Path, own_home: Path) -> None:
    path = own_home / "config" / "intermodal.toml"
    path.write_text('private = ["audio"]\n' + path.read_text().replace("base_url", 'zone = "internet"\nbase_url'))
    done = cli("ask", "What?", str(media / "jfk.wav"), "-m", "talker-70b")
    assert done.code == 4
    assert fake.attempts == []


def test_nothing_is_sent_to_a_known_host_without_consent(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, fake: FakeHost
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    done = cli("ask", "q", "-m", "openai:openai/gpt-4o-mini")
    assert done.code == 4
    assert "consent" in done.err
    assert "sk-test" not in done.err


@pytest.mark.parametrize("fault", ["key", "policy", "context", "redirect"])
def test_a_host_that_refuses_is_one_sentence(cli: Cli, fault: str) -> None:
    with FakeHost(fault=Fault(fault)) as fake:
        connect(fake)
        done = cli("ask", "-q", "q", "-m", "talker-70b")
    assert done.code == 5
    assert done.out == ""
    assert done.err.startswith("intermodal: box")
    assert done.err.count("\n") == 1


def test_an_answer_that_breaks_off_keeps_its_words_and_fails(cli: Cli) -> None:
    with FakeHost(answer="one two three four five six", fault=Fault("cut", 3)) as fake:
        connect(fake)
        done = cli("ask", "-q", "q", "-m", "talker-70b")
    assert done.code == 5
    assert done.out.startswith("one two")
    assert done.out.endswith("\n")
    assert done.err.startswith("intermodal: box")


@pytest.fixture
def hosted(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A shipped, hosted service (at the fake's address), its key in the environment, nobody's consent given."""
    import msgspec

    from intermodal.catalog import load
    from intermodal.catalog.shipped_rows import shipped_rows

    base = shipped_rows()
    hosts = tuple(
        msgspec.structs.replace(row, base_url=fake.base_url) if row.id == "openai" else row for row in base.hosts
    )
    monkeypatch.setattr(load, "shipped_rows", lambda: msgspec.structs.replace(base, hosts=hosts))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    config_file.remove_host(os.environ, "box")
    return fake


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "sent", "consent", "declined"),
    [
        ("y\n", True, (), ()),
        ("a\n", True, ("openai",), ()),
        ("\n", False, (), ()),
        ("n\n", False, (), ()),
        ("what?\n", False, (), ()),
        ("never\n", False, (), ("openai",)),
    ],
)
def test_on_a_terminal_one_question_decides_whether_it_is_sent(
    cli: Cli, hosted: FakeHost, said: str, sent: bool, consent: tuple[str, ...], declined: tuple[str, ...]
) -> None:
    done = cli("ask", "q", "--output", "embedding", input=said, terminal=True)
    assert "would answer for <$0.000001, if this may go to openai (127.0.0.1): 1 tok text (from prompt)." in done.err
    assert "Send it?" in done.err
    assert "sk-test" not in done.err
    assert [attempt.key for attempt in hosted.attempts] == [True] * sent
    read = config_file.load_config(os.environ)
    assert (read.consent, read.declined) == (consent, declined)


@pytest.mark.slow
@pytest.mark.parametrize("quietly", [("-q",), ("--json",), ("--local",)])
def test_the_question_is_not_asked_where_it_is_not_wanted(cli: Cli, hosted: FakeHost, quietly: tuple[str, ...]) -> None:
    done = cli("ask", "q", "--output", "embedding", *quietly, input="y\n", terminal=True)
    assert "Send it?" not in done.err
    assert hosted.attempts == []


@pytest.mark.slow
def test_the_question_is_not_asked_of_a_pipe_or_after_never(cli: Cli, hosted: FakeHost) -> None:
    assert "Send it?" not in cli("ask", "q", "--output", "embedding", input="y\n").err
    config_file.decline_host(os.environ, "openai")
    assert "Send it?" not in cli("ask", "q", "--output", "embedding", input="y\n", terminal=True).err
    assert hosted.attempts == []


def test_a_terminal_never_gets_control_characters_from_a_model() -> None:
    from intermodal.cli.rendering.progress import for_terminal

    assert for_terminal("a\x1b[2Jb\x07\tc\nd\x9b") == "a�[2Jb�\tc\nd�"


@pytest.mark.slow
def test_ctrl_c_ends_a_run_and_settles_the_store(tmp_path: Path, own_home: Path) -> None:
    with FakeHost(answer="word " * 5000, fault=Fault("stall", 3)) as fake:
        connect(fake)
        command = [sys.executable, "-m", "intermodal.cli.main", "ask", "q", "-m", "talker-70b"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(4) == b"word"
            process.send_signal(signal.SIGINT)
            assert process.wait(300) == 130
            assert b"Traceback" not in process.stderr.read()
    store = Store(own_home / "data" / "store.sqlite3")
    assert {attempt.state for attempt in store.attempts()} == {"estimated"}
    store.close()


def test_a_note_does_not_continue_the_answer_where_both_go_to_one_pipe(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    from intermodal.cli.main import main

    fake.answer = "Four words of answer."
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    monkeypatch.setattr(sys, "stderr", pipe)
    with pytest.raises(SystemExit):
        main(["ask", "How many?", "-m", "talker-70b", "--max-tokens", "2"])
    said = pipe.getvalue()
    assert "\nnote: the answer was cut after" in said, said
    assert "\nFour words" in said, "the answer begins a line too"


def test_a_dead_endpoint_names_what_would_go_on_here_and_nothing_is_swapped(cli: Cli) -> None:
    with FakeHost() as gone:
        connect(gone, zone="network")
    for options, said in (
        ((), "--local, or --at-least tiny, would do it here with embedded:huggingfacetb/smollm2-135m-instruct"),
        (("--at-least", "large"), "--at-least tiny, would do it here with embedded:"),
    ):
        done = cli("ask", "How many?", *options)
        assert done.code == 5 and done.out == ""
        assert said in done.err.replace("\n", " "), done.err
    named = cli("ask", "How many?", "-m", "talker-70b")
    assert named.code == 5 and "would do it here" not in named.err
