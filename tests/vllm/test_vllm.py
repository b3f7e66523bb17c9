"""What intermodal sends to a real vLLM server on the processor, and what it makes of the answers."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from tests.e2e.command import fresh as intermodal_command
from tests.media.tiny_eye import world
from tests.vllm.conftest import CONTEXT, VllmServer

import intermodal
from intermodal import errors
from intermodal.core.request import TranscriptOutput
from intermodal.events import Committed, Result, TextDelta, fold

pytestmark = pytest.mark.e2e
LINE = "The crane on the northern quay lifts one container an hour, and nobody knows why it is so slow. "


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "intermodal.toml"
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return path


def ask(question: str, *files: object, **options: object) -> Result:
    made = {"max_tokens": 24, "temperature": 0.0} | options
    return intermodal.ask(question, *files, **made).result  # type: ignore[arg-type]


def star(colour: str) -> bytes:
    out = BytesIO()
    world.shape(colour, "star").image.save(out, "PNG")
    return out.getvalue()


# ---- text -------------------------------------------------------------------------------------------


def test_an_answer_comes_in_pieces_and_its_tokens_are_told(text_only: VllmServer, config: Path) -> None:
    config.write_text(text_only.row(context=str(CONTEXT)))
    request = intermodal.make_request(
        f"{LINE}How many containers does the crane lift an hour?", model=f"vllm:{text_only.name}", max_tokens=24
    )
    with intermodal.Client() as client:
        events = list(client.stream(request))
    result = fold(events)
    assert len([event for event in events if isinstance(event, TextDelta)]) >= 2
    assert any(isinstance(event, Committed) for event in events)
    assert result.text.strip()
    (actual,) = result.actuals
    assert actual.usage.input_tokens and 20 < actual.usage.input_tokens < 120
    assert actual.usage.output_tokens and actual.usage.output_tokens <= 24


def test_an_answer_is_held_to_a_schema_by_the_server(text_only: VllmServer, config: Path) -> None:
    config.write_text(text_only.row(context=str(CONTEXT)))
    schema = {"type": "object", "properties": {"containers": {"type": "integer"}}, "required": ["containers"],
              "additionalProperties": False}  # fmt: skip
    result = ask(f"{LINE}How many containers an hour?", schema=schema, max_tokens=60, model=f"vllm:{text_only.name}")
    assert isinstance(result.data, dict) and isinstance(result.data["containers"], int)
    assert not result.retries and len(result.actuals) == 1, "nothing had to be repaired"


def test_what_is_too_long_for_the_server_is_counted_before_it_is_sent(text_only: VllmServer, config: Path) -> None:
    config.write_text(text_only.row(context=str(CONTEXT)))
    with pytest.raises(errors.NoRoute, match=r"1,024|context"):
        ask(LINE * 100, model=f"vllm:{text_only.name}")


def test_where_the_row_says_too_much_the_servers_refusal_is_told_with_its_limit(
    text_only: VllmServer, config: Path
) -> None:
    config.write_text(text_only.row(context="32000"))
    with pytest.raises(errors.ContextExceeded, match=r"1,?024"):
        ask(LINE * 100, model=f"vllm:{text_only.name}")


# ---- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_a_picture_is_seen_and_the_answer_depends_on_it(with_eye: VllmServer, config: Path, colour: str) -> None:
    config.write_text(with_eye.row('["text", "image"]', context=str(CONTEXT), image_tokens='"fixed:16"'))
    result = ask(
        "Describe the image in one sentence.", star(colour), model=f"vllm:{with_eye.name}", keep=["appearance"]
    )
    assert colour in result.text.lower() and "star" in result.text.lower()
    assert result.endpoint == f"vllm:{with_eye.name}" and not result.derived


def test_a_picture_for_a_model_without_vision_is_a_clear_error_and_is_sent_once(
    text_only: VllmServer, config: Path
) -> None:
    """The row claims an eye that the server does not have."""
    config.write_text(text_only.row('["text", "image"]', context=str(CONTEXT), image_tokens='"fixed:16"'))
    with pytest.raises(errors.UnsupportedModality, match="not a multimodal model"):
        ask("Describe it.", star("red"), model=f"vllm:{text_only.name}", keep=["appearance"])


# ---- sound ------------------------------------------------------------------------------------------


def test_sound_for_a_model_that_takes_none_is_a_clear_error(with_eye: VllmServer, config: Path, media: Path) -> None:
    config.write_text(with_eye.row('["text", "image", "audio"]', context=str(CONTEXT)))
    with pytest.raises(errors.UnsupportedModality, match="audio"):
        ask("What is said about it?", media / "jfk.wav", model=f"vllm:{with_eye.name}", keep=["tone"])


def test_a_chat_model_that_is_asked_for_a_transcript_says_so_and_nothing_is_made_up(
    text_only: VllmServer, config: Path, media: Path
) -> None:
    """Older ones say that it does not support transcription; this one has no such address for it."""
    config.write_text(text_only.row('["audio"]', tasks='["automatic-speech-recognition"]'))
    with pytest.raises(errors.CallError, match=r"[Tt]ranscription|does not know this model or path"):
        ask("", media / "jfk.wav", output=TranscriptOutput(), model=f"vllm:{text_only.name}")


def test_the_store_has_one_settled_row_for_the_attempt(text_only: VllmServer, config: Path) -> None:
    config.write_text(text_only.row(context=str(CONTEXT)))
    ran = intermodal_command("ask", "Say yes.", "--model", f"vllm:{text_only.name}", "--max-tokens", "8", "-q")
    assert ran.code == 0, ran.err
    usage = intermodal_command("usage", "--json").document
    assert f"vllm:{text_only.name}" in str(usage)
