"""``PromptFile`` and its arguments, for all formats, and the interface that a format implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from intermodal.core.content import Kind, MediaPart, Text
from intermodal.core.request import JsonOutput, Message, Output, Sampling, Settings, TextOutput, Tool
from intermodal.errors import IntermodalError, PromptError
from intermodal.events import Result

# The type of an argument: a modality ("file" if the file does not declare one), or a JSON type.
ArgumentKind = Literal["text", "number", "integer", "boolean", "json", "image", "audio", "video", "document", "file"]
MEDIA_KINDS: tuple[ArgumentKind, ...] = ("image", "audio", "video", "document", "file")
Level = Literal["error", "warning"]


class MediaValue(str):
    """A medium among values while a template is rendered: a string with its name, which carries its part.

    ``kinds``: modalities that its place accepts; () if its part states them. ``at``: its place within an argument's
    value, "" if it is the value itself.
    """

    part: MediaPart
    kinds: tuple[ArgumentKind, ...] = ()
    at: str = ""


@dataclass(frozen=True)
class Argument:
    """An argument of a prompt file.

    Attributes:
        many: it takes a list. required: it has no default, and the file does not declare it optional.
        default: None if there is none. schema: JSON Schema of the value. line: where it is declared, from 1.
        holds: modalities that its JSON value may contain (``media_references.py``).
    """

    name: str
    kind: ArgumentKind = "text"
    required: bool = True
    many: bool = False
    description: str = ""
    default: Any = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    line: int = 1
    holds: tuple[ArgumentKind, ...] = ()

    @property
    def is_media(self) -> bool:
        return self.kind in MEDIA_KINDS

    @property
    def media(self) -> tuple[ArgumentKind, ...]:
        """The modalities that it is, or may contain."""
        return (self.kind,) if self.is_media else self.holds

    @property
    def words(self) -> str:
        """A description of its type: "image", "list of images", "text, optional", "JSON with image"."""
        word: str = "JSON" if self.kind == "json" else self.kind
        word += f" with {' and '.join(self.holds)}" if self.holds else ""
        type_text = f"list of {word}s" if self.many and self.is_media else word
        return type_text if self.required else f"{type_text}, optional"


@dataclass(frozen=True)
class PromptFinding:
    """A problem of a prompt file. An ``error`` makes ``lint`` fail; ``stops``: the prompt cannot be run."""

    level: Level
    line: int
    what: str
    todo: str = ""
    stops: bool = False


@dataclass(frozen=True)
class PromptExample:
    """Example arguments in the file, and checks of the answer; ``compare`` as in an item of ``eval``.

    ``smoke``: the file does not state the right answer, so any answer passes; this does not measure strength.
    """

    arguments: Mapping[str, Any]
    line: int = 1
    checks: tuple[Mapping[str, Any], ...] = ()
    smoke: bool = False


class AnswerParser(Protocol):
    """Parses the value of an answer, for formats with their own parser. Raises OutputInvalid."""

    def value(self, text: str) -> Any: ...

    def partial(self, text: str) -> Any:
        """Return the partial value of an unfinished answer."""
        ...


class Template(Protocol):
    """Renders messages from values."""

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        """Return the rendered messages. ``values``: plain data, and ``MediaValue`` for media.

        Raises PromptError with file and line.
        """
        ...


@dataclass(frozen=True)
class TextTemplate:
    """A template of one user message. ``render`` returns its text for the values."""

    render: Callable[[Mapping[str, Any]], str]

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        """Return the earlier messages, followed by the rendered one."""
        return (*history, Message(role="user", parts=(Text(text=self.render(values)),)))


@dataclass(frozen=True)
class PromptFile:
    """A prompt read by a format.

    Attributes:
        path: of the file. name: of the prompt. format: the format that read it.
        open_ended: it accepts undeclared arguments.
        parser: parser of answers, if the format has its own.
        model: the model that the file requests: a preference, since the user may have another. others: alternatives, in
            order.
        options: policy options, by the names of ``Policy``.
        tools: tools with definitions. undefined_tools: names of tools that the caller has to define.
        history: the template places earlier messages.
        output_by: computes the output from values, if the file takes its schema from an argument.
        findings: problems found while reading. lines: lines of "model", "input", "output" and similar entries.
    """

    path: str
    name: str
    format: str
    template: Template
    arguments: tuple[Argument, ...] = ()
    open_ended: bool = False
    history: bool = False
    description: str = ""
    output: Output = field(default_factory=TextOutput)
    output_by: Callable[[Mapping[str, Any]], Output] | None = None
    parser: AnswerParser | None = None
    model: str = ""
    others: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    settings: Settings = field(default_factory=Settings)
    options: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    undefined_tools: tuple[str, ...] = ()
    examples: tuple[PromptExample, ...] = ()
    findings: tuple[PromptFinding, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)

    def argument(self, name: str) -> Argument | None:
        return self._arguments_by_name.get(name)

    @cached_property
    def _arguments_by_name(self) -> Mapping[str, Argument]:
        """The arguments by name, the first of each: a request may contain any number of variables."""
        return {each.name: each for each in reversed(self.arguments)}

    def where(self, place: str | int = 1) -> str:
        """Return ``file:line`` for a line, or for the entry named ``place``."""
        line = place if isinstance(place, int) else self.lines.get(place, 1)
        return f"{self.path}:{line}"

    def error(self, what: str, place: str | int = 1, todo: str = "") -> PromptError:
        return PromptError(what, where=self.where(place), todo=todo)

    def output_with(self, values: Mapping[str, Any]) -> Output:
        """Return the output requested for these values. Raises PromptError with file and line."""
        return self.output_by(values) if self.output_by is not None else self.output

    @property
    def model_names(self) -> tuple[str, ...]:
        """The local names of the requested models, the preferred one first."""
        return tuple(name for model in (self.model, *self.others) for name in model_names(model))

    def model_named(self, name: str) -> str:
        """Return the requested model that one of ``model_names`` refers to."""
        return next((each for each in (self.model, *self.others) if name in model_names(each)), name)

    @property
    def media(self) -> tuple[Kind | Literal["file"], ...]:
        """The modalities of the arguments, without duplicates."""
        kinds = [kind for each in self.arguments for kind in each.media]
        return tuple(dict.fromkeys(kinds))  # type: ignore[arg-type]

    def value(self, result: Result) -> Any:
        """Return the answer in the requested form: JSON data if the file has a schema, else the text.

        Raises OutputInvalid if the format's own parser finds no value.
        """
        if self.parser is not None:
            return self.parser.value(result.text)
        typed = self.output_by is not None or isinstance(self.output, JsonOutput)
        return result.data if typed and result.data is not None else result.text


class PromptFormat(Protocol):
    """A format of prompt files, as named by an entry point of the group ``intermodal.prompts``.

    Attributes:
        name: for display. endings: file name endings that it reads; the longest match decides.
    """

    name: str
    endings: tuple[str, ...]

    def read(self, path: Path, text: str) -> tuple[PromptFile, ...]:
        """Return the prompts in a file; several if the format has functions. Raises PromptError with file and line."""
        ...


def error_location(error: IntermodalError) -> tuple[str, int]:
    """Return file and line of an error; "" and 0 if it has none."""
    file, _, line = error.where.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (error.where, 0)


def model_names(model: str) -> tuple[str, ...]:
    """Return the local names of the model that a file requests: other formats put the provider before a slash.

    >>> model_names("googleai/gemini-2.5-flash"), model_names("")
    (('googleai/gemini-2.5-flash', 'gemini-2.5-flash'), ())
    """
    return tuple(dict.fromkeys((model, model.rpartition("/")[2]))) if model else ()
