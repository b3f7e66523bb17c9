"""An example of a plugin for intermodal: one thing of each kind. ``docs/plugins.md`` explains each."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intermodal import plugins

HOST = {
    "name": "Example Inference",
    "base_url": "https://api.example.com/v1",
    "key_env": "EXAMPLE_API_KEY",
    "protocol": "example-lines",
    "models": [{"id": "example/writer-8b", "context": 8192, "tier": "medium", "input_mtok": 0.05, "output_mtok": 0.20}],
}


class LINES:
    """A protocol: the prompt is sent as JSON, the answer arrives as lines of JSON."""

    FRAMING = "ndjson"

    @staticmethod
    def encode_request(call: plugins.ChatCall, host: plugins.Host) -> plugins.EncodedRequest:
        parts = [part for message in call.messages for part in message.parts]
        texts = [part.text for part in parts if isinstance(part, plugins.WireText)]
        if len(texts) < len(parts) or call.tools:
            raise plugins.NotExpressible.of("media and tools", host.name)
        body = json.dumps({"model": call.model, "prompt": "\n\n".join(texts), "max": call.sampling.max_tokens}).encode()
        return plugins.EncodedRequest(path="/write", headers=(("content-type", "application/json"),), segments=(body,))

    @staticmethod
    def read_event(event: Mapping[str, Any]) -> Iterator[plugins.WireEvent]:
        if "word" in event:
            yield plugins.WireTextDelta(text=event["word"])
        if "end" in event:
            yield plugins.WireUsage(input_tokens=event["in"], output_tokens=event["out"])
            yield plugins.Finish(reason=event["end"])


def convert_calendar(data: bytes, name: str) -> str:
    """A converter: an iCalendar file becomes one line of text for each appointment."""
    lines = re.findall(r"^(BEGIN:VEVENT)|^(?:DTSTART|SUMMARY)[^:\n]*:(.*)$", data.decode(), re.MULTILINE)
    if not lines:
        raise plugins.InputBroken("is a calendar without appointments")
    return f"Appointments of {name}:\n" + "".join("\n-" if begin else f" {value.strip()}" for begin, value in lines)


class CALENDAR:
    """An output: an appointment, asked for as JSON and written as an iCalendar file."""

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


class QUESTIONS:
    """A format of prompt files: a question with names in braces, such as ``Who is {person}?``"""

    name, endings = "question", (".question",)

    @staticmethod
    def read(path: Path, text: str) -> tuple[plugins.PromptFile, ...]:
        arguments = tuple(map(plugins.Argument, dict.fromkeys(re.findall(r"{(\w+)}", text))))
        template = plugins.TextTemplate(text.format_map)
        return (plugins.PromptFile(str(path), path.stem, "question", template, arguments),)
