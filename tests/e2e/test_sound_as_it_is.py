"""Sound that goes to a model as it is: the path, through llama.cpp's own server.

The projector is random (``tests/media/tiny_ear``): what the model answers is nonsense and is not looked at.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import configure
from tests.e2e.servers import EAR, LlamaServer, llama_server

sys.path.insert(0, str(Path(__file__).parent))
from command import intermodal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
OPTIONS = ("--max-tokens", "8", "--temperature", "0", "--keep", "tone")


@pytest.fixture(scope="module")
def ear() -> Iterator[LlamaServer]:
    with llama_server(ear=EAR) as server:
        yield server


@pytest.mark.parametrize("name", ["jfk.wav", "jfk.mp3", "two_cities_25s.flac"])
def test_sound_goes_as_sound_and_its_tokens_are_counted_by_the_server(
    ear: LlamaServer, media: Path, name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear.record.forget()
    configure(tmp_path_factory, monkeypatch, ear.row("desk"))
    ran = intermodal("ask", "How does it sound?", str(media / name), "--json", *OPTIONS)
    assert ran.answered, ran.err
    assert [step["op"] for step in ran.document["plan"]["chosen"]["steps"]] == ["generate"]
    sent = json.loads(ear.reached.split(b"\r\n\r\n", 1)[1])
    (sound,) = [part["input_audio"] for part in sent["messages"][-1]["content"] if part["type"] == "input_audio"]
    data = base64.b64decode(sound["data"])
    assert sound["format"] == "wav" and data[:4] == b"RIFF", "a server on this machine gets sound that we made"
    assert data != (media / name).read_bytes(), "never the user's own file"
    assert ran.document["steps"][-1]["usage"]["input_tokens"] > 30


def test_sound_for_a_server_that_takes_none_is_refused_by_it_once_and_said(
    no_eye: LlamaServer, media: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row claims an ear that the server does not have."""
    row = no_eye.row("desk").replace('input = ["text"]', 'input = ["text", "audio"]')
    configure(tmp_path_factory, monkeypatch, row)
    ran = intermodal("ask", "How does it sound?", str(media / "jfk.wav"), "--model", "desk:" + no_eye.model, *OPTIONS)
    assert ran.code != 0 and ran.out == ""
    assert "cannot take this kind of part" in ran.err and "audio input is not supported" in ran.err
    assert no_eye.reached.count(b"POST /v1/chat/completions") == 1
