"""Examples of a prompt file as items of an evaluation."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from intermodal.errors import UsageError
from intermodal.evaluation.dataset import Dataset, EvalItem
from intermodal.prompts.prompt import Prompt
from intermodal.prompts.prompt_file import PromptExample, PromptFile
from intermodal.request import Request

_LONG = 60  # letters of a value in a name


def example_dataset(file: PromptFile) -> tuple[Dataset, dict[str, PromptExample]]:
    """The items of a file's examples, and the example of each by its id. Raises UsageError where there are none.

    An example of which nothing can be checked is left out.
    """
    items: list[EvalItem] = []
    examples: dict[str, PromptExample] = {}
    for number, example in enumerate(file.examples, start=1):
        for place, check in enumerate(example.checks):
            id = f"{number}" if len(example.checks) == 1 else f"{number}.{place + 1}"
            item = msgspec.convert({"prompt": _title(example), "id": id, "line": example.line, **check}, EvalItem)
            items.append(item)
            examples[id] = example
    if not items:
        what = "has no example of which anything can be checked" if file.examples else "has no examples"
        raise UsageError(what, where=file.path, todo="give it test data (docs/prompts.md), or use intermodal eval")
    path = Path(file.path)
    digest = hashlib.sha256(msgspec.json.encode(items)).hexdigest()
    return Dataset(path=str(path.resolve()), name=path.name, digest=digest, items=tuple(items)), examples


async def example_requests(
    prompt: Prompt, examples: Mapping[str, PromptExample], *, one_route: bool
) -> dict[str, Request]:
    """The request of each item. ``one_route``: that of the file's model, where it can be had; else of any.

    Raises PromptError with file and line for arguments that the file does not take.
    """
    made: dict[str, Request] = {}
    for name, example in examples.items():
        request = await prompt.request_with(example.arguments)
        if one_route and prompt.file.model:
            prepared, _, _ = await prompt.plan_request(request)
            request = msgspec.structs.replace(request, policy=prepared.inputs.request.policy)
        made[name] = request
    return made


def _title(example: PromptExample) -> str:
    """What was given, for a table of items."""
    return ", ".join(f"{name}: {_short(value)}" for name, value in example.arguments.items()) or "no arguments"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_named)
    text = " ".join(text.split())
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _named(value: Any) -> str:
    """A medium by the name of its file or its URL."""
    source = getattr(value, "source", None)
    name = getattr(source, "path", "") or getattr(source, "url", "") or getattr(source, "name", "")
    return os.path.basename(name) or type(value).__name__.lower()
