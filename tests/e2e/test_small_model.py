"""What a 135M model does when it is left alone, and what is done about it; real models through the command line."""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from command import intermodal

pytestmark = pytest.mark.e2e


def test_silence_is_said_in_one_sentence_and_not_answered_with_fiction(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "silent.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(64_000))
    ran = intermodal("ask", "What does the caller want?", str(tmp_path / "silent.wav"))
    assert ran.code == 3 and ran.out == "", ran.err
    assert "No speech was found in silent.wav, so there is nothing to ask" in ran.err


def test_a_language_that_does_not_exist_is_a_usage_error(media: Path) -> None:
    ran = intermodal("ask", "--output", "transcript", "--language", "xx", str(media / "jfk.wav"))
    assert ran.code == 2 and ran.out == ""
    assert "no language 'xx'" in ran.err and "en, fr" in ran.err


@pytest.mark.parametrize(
    "value", [{"$ref": "#"}, {"$ref": "#/$defs/kid"}, {"$ref": "#named"}], ids=["root", "pointer", "anchor"]
)
def test_a_schema_that_refers_to_itself_is_forced_or_asked_for_in_words(tmp_path: Path, value: dict[str, str]) -> None:
    schema = {
        "type": "object",
        "properties": {"v": {"type": "integer"}, "kids": {"type": "array", "items": value, "maxItems": 1}},
        "required": ["v"],
        "$defs": {"kid": {"$anchor": "named", "type": "integer"}},
    }
    (tmp_path / "s.json").write_text(json.dumps(schema))
    ran = intermodal("ask", "v is 3", "--schema", str(tmp_path / "s.json"), "--max-tokens", "200")
    assert ran.code in (0, 6), ran.err  # what a small model writes may be wrong; it is never the endpoint's failure
    assert ("asked for in words" in ran.err) == (value["$ref"] == "#named")
    if ran.code == 0:
        assert isinstance(json.loads(ran.out)["v"], int)


def test_strings_and_lists_without_an_end_are_given_one(media: Path, tmp_path: Path) -> None:
    line = {"type": "object", "properties": {"text": {"type": "string"}, "amount": {"type": "number"}}}
    schema = {
        "type": "object",
        "properties": {
            "invoice": {"type": "string"},
            "total": {"type": "number"},
            "lines": {"type": "array", "items": {**line, "required": ["text", "amount"]}},
            "currency": {"enum": ["EUR", "USD", "GBP"]},
        },
        "required": ["invoice", "total", "lines", "currency"],
    }
    (tmp_path / "s.json").write_text(json.dumps(schema))
    ran = intermodal(
        "ask", "Extract the invoice", str(media / "screenshot-invoice.png"), "--schema", str(tmp_path / "s.json")
    )
    assert ran.answered, ran.err
    assert json.loads(ran.out)["currency"] in ("EUR", "USD", "GBP")


def test_a_model_that_goes_round_in_circles_is_stopped() -> None:
    ran = intermodal("ask", "Write a poem about trains.", "--max-tokens", "700")
    assert ran.code == 12, ran.err
    assert "began to repeat itself and was stopped" in ran.err and len(ran.out) < 3000
