"""An image can be seen or read: two questions, two routes. Everything is real: the models, the servers, the bytes.

The eye is tiny-eye (``tests/media/tiny_eye``): it knows coloured shapes and cannot read. That is what makes it a good
witness: an answer that names the colour was seen, one that quotes the print was read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import configure
from tests.e2e.servers import EYE, LlamaServer, llama_server, trace_of
from tests.media.tiny_eye import world

sys.path.insert(0, str(Path(__file__).parent))
from command import Ran, intermodal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Both = tuple[LlamaServer, LlamaServer]
LOOKS = "Describe the picture: what colour, what shape?"
PRINT = "LIGHTHOUSE BAKERY"


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    """A blue star over the words LIGHTHOUSE BAKERY."""
    path = tmp_path / "sign.png"
    path.write_bytes(world.sign(PRINT, "blue", "star").png)
    return path


def ask(question: str, *arguments: object) -> Ran:
    """The answer is drawn without chance, so that it is the same every time."""
    given = ("--temperature", "0", "--seed", "1", *map(str, arguments))
    return intermodal("ask", question, *(() if "--max-tokens" in given else ("--max-tokens", "40")), *given)


def document(question: str, *arguments: object) -> dict[str, Any]:
    ran = ask(question, "--json", *arguments)
    assert ran.answered, ran.out + ran.err
    return ran.document


def ops(made: dict[str, Any]) -> list[str]:
    """What was planned, step by step."""
    return [step["op"] for step in made["plan"]["chosen"]["steps"] if step["step"] != "check"]


def answer(made: dict[str, Any]) -> str:
    return str(made["text"])


# ---- the same image, two questions --------------------------------------------------------------


def test_asked_how_it_looks_a_picture_is_seen(both: Both, sign: Path) -> None:
    text, eye = both
    made = document(LOOKS, sign)
    assert made["plan"]["chosen"]["endpoint"].startswith("eye:")
    assert ops(made) == ["generate"], "the image goes in as it is"
    assert "blue" in answer(made) and "star" in answer(made)
    assert trace_of(eye.reached), "the eye was shown it"
    assert text.reached == b""


def test_asked_what_it_says_the_same_picture_is_read(both: Both, sign: Path) -> None:
    text, eye = both
    made = document("What does the text say?", sign)
    assert ops(made) == ["read", "generate"]
    assert PRINT in answer(made).upper()
    assert trace_of(eye.reached, sign.read_bytes()) == trace_of(text.reached, sign.read_bytes()) == ""


@pytest.mark.parametrize(
    ("question", "holds"),
    [("Which words are in the screenshot?", "INV-20417"), ("What is the invoice number?", "20417")],
)
def test_a_screenshot_asked_for_its_words_is_read(both: Both, media: Path, question: str, holds: str) -> None:
    made = document(question, media / "screenshot-invoice.png", "--max-tokens", "60")
    assert ops(made) == ["read", "generate"]
    assert holds in answer(made)
    assert trace_of(both[1].reached) == ""


@pytest.mark.parametrize(
    "drawn", [world.shape("red", "circle"), world.chart("bar"), world.several(3, "green", "square")]
)
def test_the_description_depends_on_the_image(both: Both, tmp_path: Path, drawn: world.Drawn) -> None:
    (tmp_path / "picture.png").write_bytes(drawn.png)
    made = document("Describe the picture in one sentence.", tmp_path / "picture.png")
    assert made["plan"]["chosen"]["endpoint"].startswith("eye:")
    said = answer(made).lower()
    assert [word for word in drawn.holds[-2:] if word.rstrip("s") not in said] == []


# ---- no eye --------------------------------------------------------------------------------------------


def test_with_no_vision_model_a_look_that_was_asked_for_is_refused_with_the_reason(
    no_eye: LlamaServer, sign: Path
) -> None:
    ran = ask(LOOKS, sign, "--keep", "appearance")
    assert ran.code == 4
    assert ran.out == ""
    assert "appearance" in ran.err and "sign.png" in ran.err
    assert "intermodal hosts add" in ran.err or "--host" in ran.err, "what would help"
    assert no_eye.reached == b"", "nothing was spent on it"


def test_with_no_vision_model_a_look_that_was_inferred_is_answered_and_the_loss_said(
    no_eye: LlamaServer, sign: Path
) -> None:
    ran = ask(LOOKS, sign)
    assert ran.answered, ran.err
    assert ran.out.strip()
    assert "loses appearance of sign.png" in " ".join(ran.err.split())
    assert trace_of(no_eye.reached, sign.read_bytes()) == ""


def test_the_text_server_is_never_sent_the_picture_even_by_name(no_eye: LlamaServer, sign: Path) -> None:
    made = document("What does the text say?", sign, "-m", "text:desk/smollm2-135m")
    assert made["plan"]["chosen"]["endpoint"].startswith("text:")
    assert PRINT.encode() in no_eye.reached.upper(), "the words that were read went"
    assert trace_of(no_eye.reached, sign.read_bytes()) == ""


# ---- described for a model that reads --------------------------------------------------------------------


READER = "text:desk/smollm2-135m"  # a language model that the user named; it takes text only


def test_a_model_that_cannot_see_is_told_what_there_is_to_see(both: Both, sign: Path, tmp_path: Path) -> None:
    text, eye = both
    made = document(LOOKS, sign, "-m", READER, "--save-derived", tmp_path / "made")
    assert made["endpoint"] == READER
    assert ops(made) == ["describe", "generate"]
    told = " ".join(path.read_text() for path in (tmp_path / "made").glob("*")).lower()
    assert "blue" in told and "star" in told, "what the eye told the other"
    assert "blue" in answer(made) and "star" in answer(made)
    assert trace_of(eye.reached), "the eye was shown it"
    assert trace_of(text.reached, sign.read_bytes()) == ""
    assert b"blue" in text.reached and b"star" in text.reached


def test_a_picture_beside_a_text_too_long_for_the_vision_model_is_described(
    both: Both, sign: Path, tmp_path: Path
) -> None:
    """The eye's context is 2,048 tokens; the text alone has 2,661, and others take 8,192."""
    notes = tmp_path / "notes.txt"
    notes.write_text("The crane at gate seven was inspected before noon and found in order. " * 190)
    ran = intermodal("explain", LOOKS, str(notes), str(sign), "--max-tokens", "40", "--json")
    assert ran.answered, ran.out
    made = ran.document
    assert ops(made) == ["describe", "generate"]
    assert not made["plan"]["chosen"]["endpoint"].startswith("eye:")
    rejected = made["plan"]["rejected"]
    why = {row["rule"]: row["reason"] for row in rejected if f"eye:{both[1].model}" in row.get("endpoints", ())}
    assert "holds 2,048" in why["context"]


def test_a_description_is_for_its_question_and_made_once(both: Both, sign: Path) -> None:
    _, eye = both
    document(LOOKS, sign, "-m", READER, "--max-tokens", "8")
    assert trace_of(eye.reached)
    eye.record.forget()
    document(LOOKS, sign, "-m", READER, "--max-tokens", "8")
    assert eye.reached == b"", "kept from the first time"
    document("Is the colour of the shape bright or dark?", sign, "-m", READER, "--max-tokens", "8")
    assert trace_of(eye.reached), "another question, another description"


# ---- an eye that fails ---------------------------------------------------------------------------------------


def test_a_projector_that_is_broken_ends_the_server_and_the_picture_is_read_instead(
    text_server: LlamaServer, sign: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    broken = tmp_path / "broken-mmproj.gguf"
    broken.write_bytes(EYE.read_bytes()[: EYE.stat().st_size // 3])
    with pytest.raises(RuntimeError, match="did not come up"), llama_server(eye=broken):
        pass
    with llama_server(eye=EYE) as eye:
        row = eye.row("eye")
        eye.kill()
    configure(tmp_path_factory, monkeypatch, text_server.row("text"), row)
    ran = ask(LOOKS, sign)
    assert ran.answered, ran.err
    told = " ".join(ran.err.split())
    assert "eye:desk/smollm2-135m-with-tiny-eye could not be reached: going on with the fallback" in told


def test_a_vision_model_that_dies_while_it_looks_is_replaced_by_reading_and_that_is_said(
    text_server: LlamaServer, sign: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with llama_server(eye=EYE) as eye:
        configure(tmp_path_factory, monkeypatch, text_server.row("text"), eye.row("eye"))
        eye.record.when(b"image_url", eye.kill)
        ran = ask(LOOKS, sign, "--json")
        assert eye.process.poll() is not None, "it died in the middle"
    assert ran.answered, ran.out + ran.err
    made = ran.document
    assert not made["endpoint"].startswith("eye:"), "another answered"
    notes = " ".join(made["notes"])
    assert "answers instead of eye:desk/smollm2-135m-with-tiny-eye" in notes
    assert "appearance" in notes, "what is lost now, which the plan did not lose"
    assert trace_of(text_server.reached, sign.read_bytes()) == ""


# ---- as a user sets it up ----------------------------------------------------------------------------------


def test_a_server_added_by_hand_answers(text_server: LlamaServer, own_home: Path) -> None:
    added = intermodal(
        "hosts", "add", "mybox", "--base-url", text_server.base_url, "--model", text_server.model, "--forced-json",
        "--yes",
    )  # fmt: skip
    assert added.answered, added.err
    made = document("The total is 42 euros. What is the total?", "-m", f"mybox:{text_server.model}")
    assert made["endpoint"] == f"mybox:{text_server.model}"
    assert "42" in answer(made)


def test_an_answer_about_a_picture_can_be_json(both: Both, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(world.shape("green", "triangle").png)
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "green", "blue"]}, "shape": {"enum": ["circle", "square", "triangle", "star"]},
        },
        "required": ["colour", "shape"],
        "additionalProperties": False,
    }))  # fmt: skip
    made = document(LOOKS, tmp_path / "picture.png", "--schema", schema, "--max-tokens", "60")
    assert made["plan"]["chosen"]["endpoint"].startswith("eye:")
    # Which colour is beyond this model once it is told which there are.
    assert made["data"].keys() == {"colour", "shape"} and made["data"]["colour"] in ("red", "green", "blue")
