"""An example of a plugin for intermodal: one thing of each kind."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intermodal import plugins

HOST = {
    "name": "Example Inference",
    "base_url": "https://api.example.com/v1",
    "key_env": "EXAMPLE_API_KEY",
    "protocol": "example-lines",
    "models": [
        {"id": "example/writer-8b", "context": 8192, "tier": "medium", "input_mtok": 0.05, "output_mtok": 0.20},
    ],
}


class LINES:
    """A protocol: the prompt goes out as JSON, the answer comes back as lines of JSON."""

    FRAMING = "ndjson"

    @staticmethod
    def encode_request(call: plugins.ChatCall, host: plugins.Host) -> plugins.EncodedRequest:
        parts = [part for message in call.messages for part in message.parts]
        texts = [part.text for part in parts if isinstance(part, plugins.WireText)]
        if len(texts) < len(parts) or call.tools:
            raise plugins.NotExpressible.of("media and tools", host.name)
        body = {"model": call.model, "prompt": "\n\n".join(texts), "most": call.sampling.max_tokens}
        headers = (("content-type", "application/json"),)
        return plugins.EncodedRequest(path="/write", headers=headers, segments=(json.dumps(body).encode(),))

    @staticmethod
    def read_event(event: Mapping[str, Any]) -> Iterator[plugins.WireEvent]:
        if "word" in event:
            yield plugins.WireTextDelta(text=event["word"])
        if "end" in event:
            yield plugins.WireUsage(input_tokens=event["in"], output_tokens=event["out"])
            yield plugins.Finish(reason=event["end"])


def convert_calendar(data: bytes, name: str) -> plugins.ConvertedFile:
    """Turn an iCalendar file into a line an appointment. Runs in the sandboxed media worker."""
    lines = re.findall(r"^(BEGIN:VEVENT)|^(?:DTSTART|SUMMARY)[^:\n]*:(.*)$", data.decode(), re.MULTILINE)
    if not lines:
        raise plugins.InputBroken("is a calendar without appointments")
    text = "".join("\n-" if begin else f" {value.strip()}" for begin, value in lines)
    return plugins.ConvertedFile(text=f"Appointments of {name}:\n{text}")


class CALENDAR:
    """An output: appointments, asked for as JSON and written as an iCalendar file."""

    output = plugins.JsonOutput(
        schema={
            "type": "object",
            "properties": {"start": {"type": "string"}, "title": {"type": "string"}},
            "required": ["start", "title"],
        }
    )

    @staticmethod
    def render(result: plugins.Result) -> str:
        event = f"BEGIN:VEVENT\nDTSTART:{result.data['start']}\nSUMMARY:{result.data['title']}\nEND:VEVENT"
        return f"BEGIN:VCALENDAR\nVERSION:2.0\n{event}\nEND:VCALENDAR"


@dataclass
class Question:
    """A prompt file that is a question with names in braces: ``Who is {person}?``"""

    text: str

    def messages(
        self, values: Mapping[str, Any], history: tuple[plugins.Message, ...] = ()
    ) -> tuple[plugins.Message, ...]:
        return (plugins.Message(role="user", parts=(plugins.Text(text=self.text.format_map(values)),)),)


class QUESTIONS:
    name = "question"
    endings = (".question",)

    @staticmethod
    def read(path: Path, text: str) -> tuple[plugins.PromptFile, ...]:
        arguments = tuple(map(plugins.Argument, dict.fromkeys(re.findall(r"{(\w+)}", text))))
        return (plugins.PromptFile(str(path), path.stem, "question", Question(text), arguments),)
