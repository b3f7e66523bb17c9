"""The benchmark of what arrives: its files are the same for everybody, and its checks can fail."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

BENCHMARKS = str(Path(__file__).parents[3] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
from fidelity import checks  # noqa: E402
from fidelity.checks import Arrived, Check, error_rate, share  # noqa: E402
from fidelity.claims import claims, claims_table  # noqa: E402
from fidelity.ours import Row  # noqa: E402
from fidelity.samples import Sample, samples  # noqa: E402

sys.path.remove(BENCHMARKS)

FRAMED = "Text of file.pdf:\n---kiso\n{}\n---kiso\n\n"
TABLE = "| Goods | Amount |\n|---|---|\n| oak boards | 1,280.50 |"


@pytest.mark.parametrize(
    ("check", "holds", "fails"),
    [
        (checks.has("Total due")[0], "the **Total** due", "the Totai due"),
        (checks.lacks("Menu")[0], "an article", "Menu\nan article"),
        (checks.order("one", "two"), "one\ntwo", "two\none"),
        (checks.row("oak boards", "1,280.50"), TABLE, "oak boards\n1,280.50"),
        (checks.row("oak boards", "1,280.50"), "oak boards\t1,280.50", "oak boards1,280.50"),
        (checks.neighbours("Cork", "", "87"), "| Cork |  | 87 |", "| Cork | 87 |"),
        (checks.neighbours("Cork", "", "87"), "Goods\tCork\t\t87", "Cork\t12\t87"),
        (checks.heading("Part 7"), "## Part 7", "Part 7"),
        (checks.indented("if x:", "y = 1"), "if x:\n    y = 1", "if x:\ny = 1"),
        (checks.share_of("a b c d", 0.75), "a b c", "a b"),
        (checks.heard("the red bicycle", 0.34), "[0:03] said: the red bicycles", "[0:03] said: a read bicycle"),
        (checks.at("red bicycle", 75, 2), "[1:14] said: the red bicycle", "[1:20] said: the red bicycle"),
        (checks.at("red bicycle", 75, 2), "[1:14]\nthe red bicycle", "the red bicycle"),
        (checks.apart("yes", "no"), "[0:01] Speaker 1: yes\n[0:02] Speaker 2: no", "[0:01] said: yes\n[0:02] said: no"),
        (checks.silent(), "(no speech)", "Thank you for watching."),
    ],
)
def test_a_check_holds_for_what_it_is_about_and_for_nothing_else(check: Check, holds: str, fails: str) -> None:
    assert check.holds(Arrived(FRAMED.format(holds)))
    assert not check.holds(Arrived(FRAMED.format(fails)))


def test_words_that_do_not_arrive_may_be_told_of_instead() -> None:
    check = checks.read_or_told("Счёт на оплату")
    assert not check.holds(Arrived("CyeT Ha onnaTy"))
    assert check.holds(Arrived("CyeT Ha onnaTy", "3 of 3 lines have letters of a script that cannot be read here"))
    assert check.holds(Arrived("Счёт на оплату"))


def test_words_and_their_errors_are_counted_as_they_are_defined() -> None:
    assert share("the crane and the ferry", "the crane") == pytest.approx(2 / 5)
    assert error_rate("the red bicycle", "the bicycle stood") == pytest.approx(2 / 3)


CALL = Sample("call.wav", "audio", "call", bytes, (), truth="the red bicycle was sold")
REFUSED = Row(name="call.wav", error="NoContentFound: No speech was found in file.wav", keeps=["words"])


@pytest.mark.parametrize(
    ("fix", "planned", "false"),
    [
        ("check the file", "keeps words; loses tone", ["words"]),
        ("check the file", "most of the words of file.wav arrive as they are", []),
        ("", "most of the words of file.wav arrive as they are", ["errors"]),
        ("", "keeps words; loses tone", ["errors", "words"]),
    ],
)
def test_a_file_that_ends_in_an_error_is_judged_by_its_plan_and_by_what_the_error_says_to_do(
    fix: str, planned: str, false: list[str]
) -> None:
    row = msgspec.structs.replace(REFUSED, fix=fix, planned=planned)
    assert [claim.aspect for claim in claims(CALL, row) if not claim.true] == false
    flagged = int(not false or false == ["errors"])
    assert f"Of 1 files of which less than 80% of the words arrive, {flagged} are flagged" in claims_table(
        [CALL], {"call.wav": row}
    )


@pytest.mark.parametrize(("text", "true"), [("the red bicycle was", False), ("the red", True)])
def test_few_words_are_said_to_arrive_where_few_do(text: str, true: bool) -> None:
    row = Row(name="call.wav", text=text, found="few of its words arrive as they are")
    assert [claim.true for claim in claims(CALL, row) if claim.aspect == "few words"] == [true]


def test_an_error_about_a_file_without_words_says_only_what_to_do() -> None:
    assert [claim.aspect for claim in claims(replace(CALL, truth=""), REFUSED)] == ["errors"]


def test_both_halves_have_the_same_kinds_and_no_file_in_common() -> None:
    every = samples()
    assert len(every) >= 120 and len({each.name for each in every}) == len(every)
    fit, report = ([each for each in every if each.half == half] for half in ("fit", "report"))
    assert Counter((each.group, each.kind) for each in fit) == Counter((each.group, each.kind) for each in report)
    assert {each.truth for each in fit if each.truth}.isdisjoint(each.truth for each in report)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table ruled", "workbook", "mail", "book", "code", "subtitles in Matroska"])
def test_a_file_is_the_same_every_time_it_is_made(kind: str) -> None:
    first, again = (next(each for each in samples() if each.kind == kind) for _ in range(2))
    assert first.make() == again.make() and first.checks == again.checks
