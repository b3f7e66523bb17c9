"""A prompt file and its values to a request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import structs
from msgspec.structs import replace

from intermodal import request_builder
from intermodal.config import Config
from intermodal.content import KINDS, BytesSource, MediaPart, PathSource, Text
from intermodal.prompts.argument_values import media_of
from intermodal.prompts.prompt_file import Argument, PromptFile
from intermodal.request import JsonOutput, Message, Request, Sampling, Tool

NOTHING = ("renders to nothing", "write the question")  # the error and the advice
_USUAL = Sampling()


def request_of(
    file: PromptFile,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
    config: Config,
    *,
    history: Iterable[Message] = (),
    tools: tuple[Tool, ...] = (),
) -> Request:
    """Return the request for values made by ``values.bound``. The caller's ``options`` override the file's.

    Raises PromptError with file and line.
    """
    for each in file.findings:
        if each.stops:
            raise file.error(each.what, each.line, each.todo)
    messages = file.template.messages(values, tuple(history))
    if not any(message.parts for message in messages):
        raise file.error(NOTHING[0], "template", NOTHING[1])
    said: dict[str, Any] = {
        name: value for name, value in structs.asdict(file.sampling).items() if value != getattr(_USUAL, name)
    }  # fmt: skip
    said |= file.options
    said |= {name: value for name, value in options.items() if value is not None}
    if "private" in said:
        said["private"] = _labels(file, said["private"], values)
    request_builder.apply_config_defaults(said, config)
    made = request_builder.make_request("prompt", **said)
    output = file.output_with(values)
    if isinstance(output, JsonOutput) and output.told and not _said(messages, output.told):
        output = replace(output, told="")
    return replace(made, messages=messages, output=output, settings=file.settings, tools=_tools(file, tools))


def _said(messages: tuple[Message, ...], words: str) -> bool:
    parts = (part for message in messages for part in message.parts)
    return any(isinstance(part, Text) and words in part.text for part in parts)


def _tools(file: PromptFile, given: tuple[Tool, ...]) -> tuple[Tool, ...]:
    named = {tool.name: tool for tool in (*file.tools, *given)}
    for name in file.undefined_tools:
        if name not in named:
            todo = "define it under toolDefs, or pass its Tool"
            raise file.error(f"tool {name!r} has no definition", "tools", todo)
    return tuple(named.values())


def _labels(file: PromptFile, private: Any, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Labels of privacy, with files in place of the arguments that they were given to.

    An argument without a name of its own, text in the prompt or a URL, is labelled by its whole kind.
    """
    parts = media_of(values)
    made: list[str] = []
    for label in [private] if isinstance(private, str) else list(private):
        argument = file.argument(label)
        if argument is None:
            made.append(label)
        elif not argument.is_media:
            made.append("text")
        for name, medium in parts if argument is not None else ():
            if name == label:
                made += _name_of(medium.part, argument)
    return tuple(dict.fromkeys(made))


def _name_of(part: MediaPart, argument: Argument | None) -> tuple[str, ...]:
    if isinstance(part.source, PathSource):
        return (os.path.basename(part.source.path),)
    if isinstance(part.source, BytesSource):
        return (part.source.name,)
    kinds = tuple(kind for kind in argument.media if kind in KINDS) if argument is not None else ()
    return kinds or KINDS
