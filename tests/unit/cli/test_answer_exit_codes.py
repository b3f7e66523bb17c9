"""What a shell learns of an answer that came and is not right: on stderr also with -q, and by the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_ask import connect

from intermodal.testing import FakeHost

SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "string"}, "total": {"type": "number", "description": "the total amount due"}},
    "required": ["number", "total"],
}
RIGHT, WRONG = {"number": "INV-20417", "total": 1380.5}, {"number": "INV-20417", "total": 1284.5}


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer=json.dumps(RIGHT)) as made:
        connect(made)
        yield made


@pytest.fixture
def asked(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "invoice.txt").write_text("Invoice INV-20417\nSubtotal 1,160.08\nTotal due EUR 1,380.50\n")
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    return ("Read it.", str(tmp_path / "invoice.txt"), "-m", "talker-70b", "--schema", str(tmp_path / "schema.json"))


def answers(fake: FakeHost, *said: Any) -> None:
    left = iter([each if isinstance(each, str) else json.dumps(each) for each in said])
    fake.answer = lambda attempt: next(left)


def test_the_fields_of_a_schema_are_told_to_a_model_that_is_held_to_it(
    cli: Cli, fake: FakeHost, asked: tuple[str, ...]
) -> None:
    assert cli("ask", "-q", *asked).code == 0
    (sent,) = fake.attempts
    assert sent.json["response_format"]["type"] == "json_schema"
    assert "number" in sent.text and "the total amount due" in sent.text


def test_values_that_stand_in_the_file_have_their_place(cli: Cli, fake: FakeHost, asked: tuple[str, ...]) -> None:
    done = cli("ask", "--json", *asked)
    assert done.code == 0 and done.document["data"] == RIGHT
    number, total = done.document["evidence"]
    assert (number["field"], number["status"], number["line"]) == ("/number", "found", 1)
    assert (total["field"], total["file"], total["text"]) == ("/total", "invoice.txt", "Total due EUR 1,380.50")


def test_a_value_that_stands_nowhere_is_asked_for_once_more(cli: Cli, fake: FakeHost, asked: tuple[str, ...]) -> None:
    answers(fake, WRONG, {"total": "EUR 1,380.50"})
    done = cli("ask", "-q", *asked)
    assert (done.code, json.loads(done.out), done.err) == (0, RIGHT, "")
    _, again = fake.attempts
    assert again.json["response_format"]["json_schema"]["schema"]["required"] == ["total"], "what stands there stays"
    assert "the total amount due" in again.text and "1284.5" not in again.text


def test_what_stands_nowhere_also_then_is_said_and_has_an_exit_code(
    cli: Cli, fake: FakeHost, asked: tuple[str, ...]
) -> None:
    answers(fake, WRONG, {"total": "1284.5"}, WRONG, {"total": "none"})
    done = cli("ask", "-q", *asked)
    assert done.code == 10 and json.loads(done.out) == WRONG
    assert "total (1284.5) occurs in none of the files" in done.err and "number" not in done.err
    found = cli("ask", "--json", *asked)
    assert found.code == 10 and found.err == ""
    assert [each["status"] for each in found.document["evidence"]] == ["found", "unverified"]
    assert len(fake.attempts) == 4


def test_a_second_answer_that_is_worse_is_not_taken(cli: Cli, fake: FakeHost, asked: tuple[str, ...]) -> None:
    answers(fake, WRONG, {"number": "7", "total": "9"})
    assert json.loads(cli("ask", "-q", *asked).out) == WRONG
    answers(fake, WRONG, {"number": "7", "total": "1,380.50"})
    assert json.loads(cli("ask", "-q", *asked).out) == RIGHT, "only what was asked for again is taken"
    answers(fake, WRONG, "no JSON at all")
    assert json.loads(cli("ask", "-q", *asked).out) == WRONG


@pytest.mark.parametrize(("evidence", "code"), [("mark", 10), ("off", 0)])
def test_nobody_is_asked_again_where_that_is_not_wanted(
    cli: Cli, fake: FakeHost, asked: tuple[str, ...], evidence: str, code: int
) -> None:
    answers(fake, WRONG)
    done = cli("ask", "-q", *asked, "--evidence", evidence)
    assert done.code == code and bool(done.err) is (code == 10) and len(fake.attempts) == 1


def test_asking_again_is_in_the_plan_with_its_price_and_left_out_where_there_is_no_room(
    cli: Cli, fake: FakeHost, asked: tuple[str, ...]
) -> None:
    def high(*more: str) -> tuple[float, str]:
        document = cli("explain", *asked, *more, "--json").document
        return document["plan"]["chosen"]["total"]["cost"]["high"], document["text"]

    once, text = high("--evidence", "mark")
    twice, more = high()
    assert "it is asked again once" in more and "that is said" in text
    assert 2 * once < twice < 3 * once, "the first answer goes along, so that the second call is the dearer one"
    assert high("--max-cost", f"{1.5 * once:.8f}")[0] == once
    answers(fake, WRONG)
    done = cli("ask", "-q", *asked, "--max-cost", f"{1.5 * once:.8f}")
    assert done.code == 10 and len(fake.attempts) == 1


def test_an_answer_without_a_file_is_held_against_nothing(cli: Cli, fake: FakeHost, asked: tuple[str, ...]) -> None:
    done = cli("ask", "--json", "The capital?", *asked[2:])
    assert done.code == 0 and done.document["evidence"] == [] and len(fake.attempts) == 1


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["", "quiet"])
def test_an_answer_that_was_cut_says_so_and_exits_11(cli: Cli, fake: FakeHost, quiet: tuple[str, ...]) -> None:
    fake.answer = "one two three four five six seven eight"
    done = cli("ask", *quiet, "Count.", "-m", "talker-70b", "--max-tokens", "4")
    assert done.code == 11 and "cut" in done.err
    assert cli("ask", "--json", "Count.", "-m", "talker-70b", "--max-tokens", "4").code == 11


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["", "quiet"])
def test_an_answer_that_repeats_itself_says_so_and_exits_12(cli: Cli, fake: FakeHost, quiet: tuple[str, ...]) -> None:
    fake.answer = "The same sentence is said again and again. " * 12
    done = cli("ask", *quiet, "Tell.", "-m", "talker-70b")
    assert done.code == 12 and "repeat" in done.err
    assert cli("ask", "--json", "Tell.", "-m", "talker-70b").document["looped"] is True


def test_with_q_a_note_on_how_an_answer_came_about_is_not_said(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    """That nothing was found in one of two files is said, what was planned is not."""
    (tmp_path / "a.txt").write_text("the crane is called Brunhilde")
    done = cli("ask", "-q", "Name?", str(tmp_path / "a.txt"), "-m", "talker-70b")
    assert (done.code, done.err) == (0, "")
