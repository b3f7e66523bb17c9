"""A video is answered from what is said in it and from what it shows, each by a real model, aligned in time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.servers import LlamaServer, trace_of
from tests.gates.films import film, held
from tests.media.tiny_eye import world

sys.path.insert(0, str(Path(__file__).parent))
from command import intermodal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TALK = (
    Path(__file__).parents[2] / "examples" / "media" / "talk-over-stills.mp4"
)  # a speech; stills, the last of them an invoice
READER = "text:desk/smollm2-135m"  # takes text only, and keeps a record of what reached it


def ask(question: str, *arguments: object) -> dict[str, Any]:
    given = map(str, arguments)
    ran = intermodal("ask", question, "--temperature", "0", "--max-tokens", "48", "--json", *given, timeout=200)
    assert ran.answered, ran.out + ran.err
    return ran.document


def ops(made: dict[str, Any]) -> list[str]:
    return [step["op"] for step in made["plan"]["chosen"]["steps"] if step["step"] != "check"]


def test_speech_over_stills_is_answered_from_both_in_time_order_and_no_frame_leaves(
    no_eye: LlamaServer, tmp_path: Path
) -> None:
    made = ask("What is the total due on the invoice?", TALK, "-m", READER, "--save-derived", tmp_path)
    assert {"demux", "transcribe", "frames", "read"} <= set(ops(made))
    given = no_eye.reached.decode("utf-8", "replace")
    assert "ask what you can do for your country" in given.lower(), "what is said"
    assert "1,380.50" in given, "what is shown"
    # Which of the two amounts is the total is beyond a model of 135M parameters; both stand in a still alone.
    assert any(amount in made["text"] for amount in ("1,380.50", "1,284.50"))

    assert "What is said and seen in talk-over-stills.mp4" in given
    stamp = given[given.rindex("[", 0, given.index("1,380.50")) :][:7]
    assert stamp in ("[0:07] ", "[0:08] "), f"the invoice is shown from 0:07.4 on, not at {stamp}"
    assert given.index("] said:") < given.index("1,380.50"), "speech begins before it"
    assert trace_of(no_eye.reached, TALK.read_bytes()) == ""


def test_what_a_film_shows_is_seen_where_there_is_a_vision_model(
    both: tuple[LlamaServer, LlamaServer], tmp_path: Path
) -> None:
    slides = [world.shape("red", "circle").image, world.shape("blue", "square").image]
    (tmp_path / "slides.mp4").write_bytes(film(held((slides[0], 3), (slides[1], 3))))
    made = ask("Describe the picture: what colours, what shapes?", tmp_path / "slides.mp4", "-m", READER)
    assert {"frames", "describe"} <= set(ops(made))
    told = both[0].reached.decode("utf-8", "replace").lower()
    assert "red circle" in told and "blue square" in told
    assert told.index("red circle") < told.index("blue square"), "in the order in which they are shown"
    assert trace_of(both[0].reached) == ""
    assert both[1].reached.count(b"image_url") >= 2


def test_a_film_without_speech_is_not_given_any(no_eye: LlamaServer, media: Path) -> None:
    ran = intermodal(
        "ask", "What is said about it?", str(media / "bigbuckbunny.mp4"), "--temperature", "0", "--max-tokens", "24",
        "-m", READER, timeout=200,
    )  # fmt: skip
    assert ran.code == 3, ran.err
    assert "there is nothing to ask" in ran.err
    assert "] said:" not in no_eye.reached.decode("utf-8", "replace")
