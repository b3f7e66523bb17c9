"""Documents, pages and mails, asked about as people do: answered here, and not sent where they may not go."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import documents

from intermodal.testing import FakeHost

sys.path.insert(0, str(Path(__file__).parent))
from command import intermodal

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("shared_conversions")]

SIGN = documents.picture("KONTOR 7", size=(360, 120))


@pytest.fixture
def hosted(own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHost]:
    """A strong hosted model that sees, with consent; it records every byte that reaches it."""
    with FakeHost(answer="the hosted answer") as host:
        config = tmp_path / "intermodal.toml"
        config.write_text(
            f'[hosts.cloud]\nbase_url = "{host.base_url}"\nzone = "internet"\nforced_json = true\n'
            '[[hosts.cloud.models]]\nid = "cloud/strong"\ninput = ["text", "image"]\ncontext = 32000\ntier = "large"\n'
            "input_mtok = 0.1\noutput_mtok = 0.4\n"
        )
        monkeypatch.setenv("INTERMODAL_CONFIG", str(config))
        yield host


def test_a_question_over_a_document_with_a_table_and_a_picture_is_answered_here(tmp_path: Path) -> None:
    report = documents.written(tmp_path, "report.docx", documents.word(SIGN))
    ran = intermodal(
        "ask", "What is the crane called?", report, "--analyze", "--max-tokens", "24", "--temperature", "0"
    )
    assert ran.answered, ran.err
    assert "Brunhilde" in ran.out
    assert "report.docx, image 1" in ran.err
    assert "sends: nothing leaves this machine" in ran.err


def test_what_is_in_a_document_reaches_the_model_as_labelled_data(hosted: FakeHost, tmp_path: Path) -> None:
    report = documents.written(tmp_path, "report.docx", documents.word(SIGN))
    ran = intermodal("ask", "How many units were sold in Q2? What stands on the sign?", report, "--keep", "appearance")
    assert ran.answered, ran.err
    [attempt] = hosted.attempts
    parts = json.loads(attempt.body)["messages"][-1]["content"]
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    assert "Text of report.docx:\n---" in text and "| Q2 | North | 342 |" in text
    assert text.rstrip().endswith("What stands on the sign?")
    assert [part["type"] for part in parts].count("image_url") == 1
    assert "from report.docx, image 1" in ran.err


@pytest.mark.parametrize("name", ["report.docx", "deck.pptx", "book.xlsx", "page.html", "letter.eml"])
def test_a_private_document_stays_here_with_everything_that_is_in_it(
    hosted: FakeHost, tmp_path: Path, name: str
) -> None:
    inline = f'<p>The tide is high.</p><img src="data:image/png;base64,{base64.b64encode(SIGN).decode()}">'
    made = {
        "report.docx": lambda: documents.word(SIGN),
        "deck.pptx": lambda: documents.slides(SIGN),
        "book.xlsx": lambda: documents.workbook(SIGN),
        "page.html": lambda: f"<html><body>{inline}</body></html>".encode(),
        "letter.eml": lambda: documents.mail(
            files={"sign.png": (SIGN, "image/png"), "in.docx": (documents.word(), "application/octet-stream")}
        ),
    }[name]()
    path = documents.written(tmp_path, name, made)
    ran = intermodal("ask", "What?", path, "--private", name, "--max-tokens", "4")
    assert ran.answered, ran.err
    assert "sends: nothing leaves this machine" in ran.err
    for label in ("document", name):
        named = intermodal("ask", "What?", path, "--private", label, "-m", "cloud:cloud/strong")
        assert named.code == 4, named.err
    assert hosted.attempts == []


def test_the_label_of_the_config_holds_for_what_is_attached_to_a_mail(hosted: FakeHost, tmp_path: Path) -> None:
    config = tmp_path / "intermodal.toml"
    config.write_text('private = ["in.docx"]\n' + config.read_text())
    letter = documents.mail(files={"in.docx": (documents.word(SIGN), "application/octet-stream")})
    path = documents.written(tmp_path, "letter.eml", letter)
    ran = intermodal("ask", "What?", path, "-m", "cloud:cloud/strong")
    assert ran.code == 4, ran.err
    assert hosted.attempts == []


def test_of_a_private_document_only_what_is_released_leaves(hosted: FakeHost, tmp_path: Path) -> None:
    path = documents.written(tmp_path, "report.docx", documents.word(SIGN))
    ran = intermodal("ask", "What?", path, "--private", "report.docx", "--release", "document:text")
    assert ran.answered, ran.err
    [attempt] = hosted.attempts
    assert b"Brunhilde" in attempt.body
    assert b"image_url" not in attempt.body


def test_the_next_turn_about_a_private_document_stays_here_too(hosted: FakeHost, tmp_path: Path) -> None:
    path = documents.written(tmp_path, "report.docx", documents.word())
    first = intermodal("ask", "-q", "What?", path, "--private", "report.docx", "--max-tokens", "4")
    assert first.answered, first.err
    second = intermodal("ask", "And?", "--continue", "-m", "cloud:cloud/strong")
    assert second.code == 4, second.err
    assert hosted.attempts == []


def test_two_files_of_one_name_are_both_private(hosted: FakeHost, tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(documents.written(tmp_path / folder, "notes.txt", f"secret of {folder}".encode()))
    ran = intermodal("ask", "What?", *paths, "--private", paths[1], "-m", "cloud:cloud/strong")
    assert ran.code == 4, ran.err
    assert hosted.attempts == []


def test_an_approved_plan_runs_on_the_same_document_and_not_on_another(tmp_path: Path) -> None:
    path = documents.written(tmp_path, "report.docx", documents.word(table=False))
    plan = str(tmp_path / "plan.json")
    saved = intermodal("explain", "What?", path, "--max-tokens", "4", "--save", plan)
    assert saved.answered, saved.err
    assert intermodal("ask", "-q", "--plan", plan).answered
    for changed in (documents.word(), documents.word(SIGN, table=False)):  # other words; another part
        documents.written(tmp_path, "report.docx", changed)
        ran = intermodal("ask", "-q", "--plan", plan)
        assert ran.code == 4, ran.err
        assert "report.docx: changed since the plan was approved" in ran.err


def test_explain_says_what_was_left_out(tmp_path: Path) -> None:
    path = documents.written(tmp_path, "book.xlsx", documents.workbook(documents.picture(size=(9, 9)), secret=True))
    ran = intermodal("explain", "What is the margin?", path)
    assert ran.answered, ran.err
    assert "note: book.xlsx: 1 hidden sheet included" in ran.out
    assert "note: book.xlsx: 1 image smaller than 32 px left out" in ran.out


def test_a_document_is_embedded_by_its_words(tmp_path: Path) -> None:
    path = documents.written(tmp_path, "report.docx", documents.word())
    ran = intermodal("ask", "--output", "embedding", "", path)
    assert ran.answered, ran.err
    assert len(json.loads(ran.out)) > 100
