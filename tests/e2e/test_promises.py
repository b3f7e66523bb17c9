"""What the README promises a stranger, tried through the command line on real models and real media."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import msgspec
import pytest

from intermodal.plans.plan import Plan

sys.path.insert(0, str(Path(__file__).parent))
from command import Ran, intermodal

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("shared_conversions")]

JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


def words(text: str) -> str:
    return " ".join(re.findall(r"[a-zà-ÿ0-9']+", text.lower()))


def transcript(*arguments: str) -> str:
    ran = intermodal("ask", "--output", "transcript", "-q", *arguments)
    assert ran.answered, ran.err
    return ran.out


@pytest.mark.parametrize("name", ["jfk.wav", "jfk.mp3"])
def test_speech_is_heard_word_for_word(media: Path, name: str) -> None:
    assert words(transcript(str(media / name))) == JFK


def test_a_transcript_has_times_in_srt_and_vtt(media: Path) -> None:
    srt = transcript("--format", "srt", str(media / "jfk.wav"))
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:\d\d,\d{3}\n\S", srt)
    vtt = transcript("--format", "vtt", str(media / "jfk.wav"))
    assert vtt.startswith("WEBVTT\n\n00:00:0")


@pytest.mark.parametrize("name", ["music.ogg", "music.m4a"])
def test_music_does_not_turn_into_words(media: Path, name: str) -> None:
    ran = intermodal("ask", "--output", "transcript", str(media / name))
    assert ran.answered, ran.err
    assert words(ran.out) == ""
    assert "no speech" in ran.err


def test_french_is_recognised_as_french(media: Path) -> None:
    ran = intermodal("ask", "--output", "transcript", "--json", str(media / "french.flac"))
    assert ran.answered, ran.out + ran.err
    heard = ran.document["transcript"]
    assert heard["language"] == "fr"
    assert "bonjour" in words(" ".join(segment["text"] for segment in heard["segments"]))


def test_the_invoices_total_is_in_the_answer_or_in_the_text_it_was_given(media: Path, tmp_path: Path) -> None:
    ran = intermodal(
        "ask", "What is the total due?", str(media / "screenshot-invoice.png"), "--save-derived", str(tmp_path)
    )
    assert ran.answered, ran.err
    assert ran.out.strip()
    read = "".join(path.read_text() for path in tmp_path.glob("*.txt"))
    assert "1,380.50" in read


def test_a_pdf_with_a_text_layer_is_extracted_and_answered(media: Path, tmp_path: Path) -> None:
    ran = intermodal(
        "ask", "Who is the managing director?", str(media / "report.pdf"), "--pages", "1",
        "--max-tokens", "48", "--save-derived", str(tmp_path),
    )  # fmt: skip
    assert ran.answered, ran.err
    assert "Solheim" in ran.out
    assert "Ingrid Solheim" in "".join(path.read_text() for path in tmp_path.glob("*.txt"))


def test_a_scanned_pdf_nobody_has_seen_is_rendered_and_read(tmp_path: Path) -> None:
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("L", (1240, 700), 255)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(44)
    draw.text((90, 120), "Receipt 90817 of the Lighthouse Bakery", font=font, fill=0)
    draw.text((90, 260), "Twelve rye loaves, paid in cash", font=font, fill=0)
    page.save(tmp_path / "unseen.pdf", resolution=150)
    ran = intermodal(
        "ask", "Which bakery?", str(tmp_path / "unseen.pdf"), "--max-tokens", "32",
        "--save-derived", str(tmp_path / "derived"),
    )  # fmt: skip
    assert ran.answered, ran.err
    read = "".join(path.read_text() for path in (tmp_path / "derived").glob("*.txt"))
    assert "Lighthouse Bakery" in read
    assert "90817" in read


def test_every_page_of_a_sparse_scan_is_read(media: Path, tmp_path: Path) -> None:
    ran = intermodal("ask", "Who signed the notice?", str(media / "scanned.pdf"), "--save-derived", str(tmp_path))
    assert ran.answered, ran.err
    assert "leaves out" not in ran.err
    assert "Haugen" in "".join(path.read_text() for path in tmp_path.glob("*.txt")), "the signature is on page 2"


def test_three_kinds_of_files_are_answered_together(media: Path) -> None:
    ran = intermodal(
        "ask", "What is asked of the Americans?", str(media / "jfk.wav"), str(media / "screenshot-invoice.png"),
        str(media / "report.pdf"), "--pages", "1", "--max-tokens", "48", "--analyze",
    )  # fmt: skip
    assert ran.answered, ran.err
    assert ran.out.strip()
    assert "sends: nothing leaves this machine" in ran.err
    assert "q-error" in ran.err


def test_an_embedding_is_a_unit_vector_of_384(media: Path) -> None:
    ran = intermodal("ask", "--output", "embedding", "-q", "a freight train")
    assert ran.answered, ran.err
    vector = json.loads(ran.out)
    assert len(vector) == 384
    assert sum(x * x for x in vector) == pytest.approx(1, abs=0.02)


def test_json_by_schema_validates(media: Path, tmp_path: Path) -> None:
    schema = tmp_path / "s.json"
    schema.write_text(json.dumps({
        "type": "object",
        "properties": {"invoice": {"type": "string"}, "total": {"type": "number"}},
        "required": ["invoice", "total"],
        "additionalProperties": False,
    }))  # fmt: skip
    ran = intermodal(
        "ask", "Invoice number and total", str(media / "screenshot-invoice.png"), "--schema", str(schema), "-q"
    )
    assert ran.answered, ran.err
    assert set(json.loads(ran.out)) == {"invoice", "total"}


@pytest.mark.usefixtures("own_conversions")
def test_explain_is_the_same_bytes_twice_and_contacts_nothing(media: Path) -> None:
    arguments = ("explain", "What does he ask?", str(media / "jfk.wav"), str(media / "report.pdf"))
    first, second = intermodal(*arguments), intermodal(*arguments)
    assert first.answered, first.err
    assert first.out == second.out
    assert "whisper-base" in first.out
    assert "sends: nothing leaves this machine" in first.out


@pytest.mark.usefixtures("own_conversions")
def test_an_approved_plan_is_run_exactly(media: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    saved = intermodal(
        "explain", "What does he ask?", str(media / "jfk.wav"), "--max-tokens", "24", "--save", str(plan)
    )
    assert saved.answered, saved.err
    ran = intermodal("ask", "--plan", str(plan), "--json")
    assert ran.answered, ran.out + ran.err
    approved = json.loads(plan.read_text())["plan"]
    assert msgspec.convert(ran.document["plan"], Plan) == msgspec.convert(approved, Plan)
    assert [step["step"] for step in ran.document["steps"]] == [step["id"] for step in approved["chosen"]["steps"]]


def test_an_approved_plan_is_refused_when_its_file_changed(media: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The password is swordfish.")
    plan = tmp_path / "plan.json"
    assert intermodal("explain", "What is it?", str(note), "--save", str(plan)).code == 0
    note.write_text("The password is herring.")
    ran = intermodal("ask", "--plan", str(plan))
    assert ran.code == 4
    assert "note.txt" in ran.err
    assert "changed" in ran.err


@pytest.mark.usefixtures("own_conversions")
def test_planners_inputs_replay_to_the_same_plan(media: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.json"
    first = intermodal("explain", "Total?", str(media / "screenshot-invoice.png"), "--inputs", str(inputs))
    again = intermodal("explain", "--inputs", str(inputs))
    assert first.code == again.code == 0, first.err + again.err
    assert first.out == again.out


def test_why_not_always_has_an_answer(media: Path) -> None:
    for name in ("gpt-4o", "whisper-tiny.en", "smollm2-135m-instruct"):
        ran = intermodal("explain", "What does he ask?", str(media / "jfk.wav"), "--why-not", name)
        assert ran.answered, ran.err
        assert len(ran.out.strip()) > 20


def test_a_conversation_goes_on(media: Path) -> None:
    assert intermodal("ask", "My name is Ada. Say hello.", "--max-tokens", "16", "-q").answered
    ran = intermodal("ask", "What is my name?", "--continue", "--max-tokens", "24", "--json")
    assert ran.answered, ran.out + ran.err


def test_piped_input_is_a_file() -> None:
    ran = intermodal("ask", "What is the colour?", "-", "--max-tokens", "16", "-q", stdin=b"The door is green.")
    assert ran.answered, ran.err
    assert ran.out.strip()


@pytest.mark.usefixtures("own_conversions")
def test_the_store_tells_what_was_run(media: Path) -> None:
    transcript(str(media / "jfk.wav"))
    usage: Ran = intermodal("usage", "--json")
    assert usage.answered, usage.err
    assert "whisper-base" in usage.out


def test_interrupting_stops_an_answer_and_settles_the_store(media: Path, own_home: Path) -> None:
    import signal
    import sqlite3
    import subprocess

    process = subprocess.Popen(
        [sys.executable, "-m", "intermodal.cli.main", "ask", "Tell a very long story.", "--max-tokens", "1500"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.read(1)  # the answer has begun
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == 130
    with sqlite3.connect(own_home / "data" / "store.sqlite3") as store:
        states = {row[0] for row in store.execute("select state from attempts")}
    assert states and states <= {"settled", "estimated", "void"}
