"""``--svg``: pictures of plans and runs go to a file, whole or not at all, and never over something else."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_ask import connect

from intermodal.testing import FakeHost, Fault


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer="Four words of answer.") as made:
        connect(made)
        yield made


def title(svg: str) -> str:
    return ET.fromstring(svg)[0].text or ""


def test_explain_draws_the_plan_beside_its_text(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    target = tmp_path / "plan.svg"
    done = cli("explain", "How many?", "-m", "talker-70b", "--svg", str(target))
    assert done.code == 0, done.err
    assert "Generate  box:acme/talker-70b" in done.out and f"wrote {target}" in done.err
    assert title(target.read_text()).startswith("LLM call")
    assert cli("explain", "How many?", "-m", "talker-70b", "--svg", str(target)).code == 0, "an older picture gives way"
    assert [path.name for path in tmp_path.iterdir()] == ["plan.svg"]
    assert not fake.attempts


def test_a_dash_puts_the_picture_on_stdout_and_nothing_else(cli: Cli, fake: FakeHost) -> None:
    done = cli("explain", "How many?", "-m", "talker-70b", "--svg", "-")
    assert done.code == 0 and title(done.out).startswith("LLM call")
    both = cli("explain", "How many?", "-m", "talker-70b", "--svg", "-", "--json")
    assert both.code != 0 and "standard output takes one thing" in both.document["what"]


def test_a_document_does_not_grow_by_a_picture(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    plain = cli("explain", "How many?", "-m", "talker-70b", "--json").document
    assert cli("explain", "How many?", "-m", "talker-70b", "--json", "--svg", str(tmp_path / "p.svg")).document == plain
    ran = cli("ask", "How many?", "-m", "talker-70b", "--json", "--svg", str(tmp_path / "r.svg"))
    assert "<svg" not in ran.out and ran.err == ""


def test_ask_draws_the_run_and_shows_it_as_text(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    target = tmp_path / "run.svg"
    done = cli("ask", "How many?", "-m", "talker-70b", "--analyze", "--svg", str(target))
    assert done.out == "Four words of answer.\n"
    table, _, sheet = done.err.partition("timeline: ")
    assert "q-error" in table and "Generate talker-70b answer" in sheet and " took " in sheet
    assert title(target.read_text()).startswith("Estimate against actual: LLM call")
    alone = cli("ask", "-q", "How many?", "-m", "talker-70b", "--svg", str(target))
    assert alone == (0, "Four words of answer.\n", "")


@pytest.mark.parametrize("verb", ["explain", "ask"])
def test_what_cannot_be_written_is_said_before_anything_runs(
    cli: Cli, fake: FakeHost, tmp_path: Path, verb: str
) -> None:  # fmt: skip
    song = tmp_path / "song.wav"
    song.write_bytes(b"RIFF....WAVE")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for target, said in (
        (str(tmp_path), "is a directory"),
        (str(tmp_path / "nowhere" / "x.svg"), "cannot be written (no such file or directory)"),
        (str(song), "is there already and is not an SVG picture"),
        (str(song / "x.svg"), "cannot be written"),
        (str(pipe), "is not a file"),
        ("x" * 300, "cannot be written"),
    ):
        done = cli(verb, "How many?", "-m", "talker-70b", "--svg", target)
        assert done.code == 2 and said in done.err, done.err
        assert "Traceback" not in done.err and done.out == ""
    assert song.read_bytes() == b"RIFF....WAVE" and not fake.attempts


def test_the_answer_keeps_stdout_for_itself(cli: Cli, fake: FakeHost) -> None:
    done = cli("ask", "How many?", "-m", "talker-70b", "--svg", "-")
    assert done.code == 2 and "standard output is for the answer" in done.err and not fake.attempts


def test_svg_is_refused_together_with_why_not(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    done = cli("explain", "How many?", "--why-not", "talker-70b", "--svg", str(tmp_path / "x.svg"))
    assert done.code == 2 and "--svg is about the plan" in done.err


def test_saved_inputs_and_approved_plans_can_be_drawn(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    inputs, plan = tmp_path / "inputs.json", tmp_path / "plan.json"
    saved = cli("explain", "How many?", "-m", "talker-70b", "--inputs", str(inputs), "--save", str(plan), "--svg", "-")
    assert saved.code == 0, saved.err
    replayed = cli("explain", "--inputs", str(inputs), "--svg", "-")
    assert replayed.out == saved.out, "the same plan, the same bytes"
    run = cli("ask", "--plan", str(plan), "--svg", str(tmp_path / "run.svg"))
    assert run.code == 0 and (tmp_path / "run.svg").exists()


def test_a_failed_run_that_did_nothing_leaves_no_picture(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "run.svg"
    with FakeHost(fault=Fault("key")) as refusing:
        connect(refusing)
        assert cli("ask", "How many?", "-m", "talker-70b", "--svg", str(target)).code == 5
    assert not target.exists()
