"""An example of a plugin for intermodal: one thing of each kind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intermodal.plugins import Argument, ConvertedFile, InputBroken, Message, PromptFile, Text

HOST = {
    "name": "Example Inference",
    "base_url": "https://api.example.com/v1",
    "key_env": "EXAMPLE_API_KEY",
    "models": [
        {"id": "example/writer-8b", "context": 8192, "tier": "medium", "input_mtok": 0.05, "output_mtok": 0.20},
    ],
}


def convert_calendar(data: bytes, name: str) -> ConvertedFile:
    """Turn an iCalendar file into a line an appointment. Runs in the sandboxed media worker."""
    lines = re.findall(r"^(BEGIN:VEVENT)|^(DTSTART|SUMMARY)[^:\n]*:(.*)$", data.decode(), re.MULTILINE)
    if not lines:
        raise InputBroken("is a calendar without appointments")
    text = "".join("\n-" if begin else f" {value.strip()}" for begin, _, value in lines)
    return ConvertedFile(text=f"Appointments of {name}:\n{text}")


@dataclass
class Question:
    """A prompt file that is a question with names in braces: ``Who is {person}?``"""

    text: str

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        return (Message(role="user", parts=(Text(text=self.text.format_map(values)),)),)


class QUESTIONS:
    name = "question"
    endings = (".question",)

    @staticmethod
    def read(path: Path, text: str) -> tuple[PromptFile, ...]:
        names = dict.fromkeys(re.findall(r"{(\w+)}", text))
        arguments = tuple(Argument(name) for name in names)
        return (PromptFile(str(path), path.stem, "question", Question(text), arguments),)
