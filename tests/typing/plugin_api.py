"""How the author of a plugin sees intermodal. Never run: mypy --strict and pyright check it (``make types``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intermodal import plugins


class Lines:
    FRAMING = "ndjson"

    def encode_request(self, call: plugins.ChatCall, host: plugins.Host) -> plugins.EncodedRequest:
        texts = [part.text for message in call.messages for part in message.parts if isinstance(part, plugins.WireText)]
        return plugins.EncodedRequest(path="/write", headers=(), segments=(" ".join(texts).encode(),))

    def read_event(self, event: Mapping[str, Any]) -> Iterator[plugins.WireEvent]:
        yield plugins.WireTextDelta(text=str(event["word"]))
        yield plugins.WireUsage(input_tokens=1, output_tokens=1)
        yield plugins.Finish(reason="stop")


def convert(data: bytes, name: str) -> plugins.ConvertedFile:
    return plugins.ConvertedFile(text=data.decode(), pictures=(plugins.EmbeddedFile(data=b""),))


class Ears:
    def load(self, path: str) -> Path:
        return Path(path)

    def transcribe(self, model: Path, pcm: bytes, language: str) -> Iterator[plugins.Segment]:
        yield plugins.Segment(start=0.0, end=1.0, text=language)

    def read(self, model: Path, png: bytes, language: str) -> list[plugins.ReadLine]:
        return [plugins.ReadLine(text="", confidence=1.0)]


class Calendar:
    output = plugins.JsonOutput(schema={"type": "object"})

    def render(self, result: plugins.Result) -> str:
        return str(result.data)


protocol: plugins.ChatProtocol = Lines()
converter: plugins.FileConverter = convert
speech: plugins.SpeechRuntime = Ears()
text: plugins.TextRuntime = Ears()
output: plugins.OutputFormat = Calendar()
