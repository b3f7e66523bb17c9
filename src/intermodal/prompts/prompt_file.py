"""``PromptFile`` and its arguments, whatever the format; and what a format has to provide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from intermodal.content import Kind, MediaPart, Text
from intermodal.errors import IntermodalError, PromptError
from intermodal.events import Result
from intermodal.request import JsonOutput, Message, Output, Sampling, Settings, TextOutput, Tool

# The type of an argument: a kind of media ("file" where the file leaves the kind open), or a type of JSON.
ArgumentKind = Literal["text", "number", "integer", "boolean", "json", "image", "audio", "video", "document", "file"]
MEDIA_KINDS: tuple[ArgumentKind, ...] = ("image", "audio", "video", "document", "file")
Level = Literal["error", "warning"]


class MediaValue(str):
    """A medium among values while a template is rendered: its name, which carries its part.

    ``kinds``: those that its place accepts; () if its part states them. ``at``: its place within an argument's value,
    "" if it is the value.
    """

    part: MediaPart
    kinds: tuple[ArgumentKind, ...] = ()
    at: str = ""


@dataclass(frozen=True)
class Argument:
    """An argument of a prompt file.

    Attributes:
        many: a list of them. required: there is no default, and the file does not call it optional.
        default: None where there is none. schema: JSON Schema of the value. line: where it is declared, from 1.
        holds: kinds of media that its value, which is JSON, may have within (``media_references.py``).
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
        """Kinds of media that it is, or holds."""
        return (self.kind,) if self.is_media else self.holds

    @property
    def words(self) -> str:
        """Its type, for people: "image", "list of images", "text, optional", "JSON with image"."""
        word: str = "JSON" if self.kind == "json" else self.kind
        word += f" with {' and '.join(self.holds)}" if self.holds else ""
        named = f"list of {word}s" if self.many and self.is_media else word
        return named if self.required else f"{named}, optional"


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
    """Arguments in the file, and the right answer for them; ``compare`` as in an item of ``eval``.

    ``smoke``: the file does not state the right answer, so any will do; that measures no strength.
    """

    arguments: Mapping[str, Any]
    line: int = 1
    checks: tuple[Mapping[str, Any], ...] = ()
    smoke: bool = False


class AnswerParser(Protocol):
    """Parses the value of an answer, for formats with a parser of their own. Raises OutputInvalid."""

    def value(self, text: str) -> Any: ...

    def partial(self, text: str) -> Any:
        """Return the partial value of an unfinished answer."""
        ...


class Template(Protocol):
    """Renders messages from values."""

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        """Render. ``values``: plain data, and ``MediaValue`` where media go. Raises PromptError with file and line."""
        ...


@dataclass(frozen=True)
class TextTemplate:
    """A template of one user message in text. ``render`` returns its text for the values."""

    render: Callable[[Mapping[str, Any]], str]

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        """Return earlier messages, and the rendered one after them."""
        return (*history, Message(role="user", parts=(Text(text=self.render(values)),)))


@dataclass(frozen=True)
class PromptFile:
    """A prompt that a format has read.

    Attributes:
        path: of the file. name: of the prompt. format: whose reader read it.
        open_ended: it accepts undeclared arguments.
        parser: of answers, where the format has its own.
        model: the one the file requests: a preference, since the user may have another. others: alternatives, in order.
        options: of the policy, by the names of ``Policy``.
        tools: with their definitions. undefined_tools: names that the caller has to define.
        history: the template places earlier messages.
        output_by: makes the output from values, where the file leaves its schema to an argument.
        findings: problems found while reading. lines: of "model", "input", "output" and the like.
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
        return self._named.get(name)

    @cached_property
    def _named(self) -> Mapping[str, Argument]:
        """Arguments by name, the first of each: a request may name as many variables as it likes."""
        return {each.name: each for each in reversed(self.arguments)}

    def where(self, place: str | int = 1) -> str:
        """Return ``file:line`` of a line, or of the entry called ``place``."""
        line = place if isinstance(place, int) else self.lines.get(place, 1)
        return f"{self.path}:{line}"

    def error(self, what: str, place: str | int = 1, todo: str = "") -> PromptError:
        return PromptError(what, where=self.where(place), todo=todo)

    def output_with(self, values: Mapping[str, Any]) -> Output:
        """Return the output that is wanted where the template has these values. Raises PromptError with file and
        line.
        """
        return self.output_by(values) if self.output_by is not None else self.output

    @property
    def model_names(self) -> tuple[str, ...]:
        """Return the local names of the requested models, the preferred one first."""
        return tuple(name for model in (self.model, *self.others) for name in model_names(model))

    def model_named(self, name: str) -> str:
        """Return the model that it means by one of ``model_names``."""
        return next((each for each in (self.model, *self.others) if name in model_names(each)), name)

    @property
    def media(self) -> tuple[Kind | Literal["file"], ...]:
        """Kinds of media that go in, each once."""
        kinds = [kind for each in self.arguments for kind in each.media]
        return tuple(dict.fromkeys(kinds))  # type: ignore[arg-type]

    def value(self, result: Result) -> Any:
        """Return the answer as the file asks for it: JSON data where it has a schema, else the text.

        Raises OutputInvalid where the format's own parser finds no value.
        """
        if self.parser is not None:
            return self.parser.value(result.text)
        typed = self.output_by is not None or isinstance(self.output, JsonOutput)
        return result.data if typed and result.data is not None else result.text


class PromptFormat(Protocol):
    """A format of prompt files: what an entry point of the group ``intermodal.prompts`` names.

    Attributes:
        name: for people. endings: of file names that it reads; the longest that fits decides.
    """

    name: str
    endings: tuple[str, ...]

    def read(self, path: Path, text: str) -> tuple[PromptFile, ...]:
        """Return the prompts of a file; several where a format has functions. Raises PromptError with file and line."""
        ...


def error_location(error: IntermodalError) -> tuple[str, int]:
    """Return file and line of an error; "" and 0 where it has none."""
    file, _, line = error.where.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (error.where, 0)


def model_names(model: str) -> tuple[str, ...]:
    """Return the local names of the model that a file requests: other formats put the provider before a slash.

    >>> model_names("googleai/gemini-2.5-flash"), model_names("")
    (('googleai/gemini-2.5-flash', 'gemini-2.5-flash'), ())
    """
    return tuple(dict.fromkeys((model, model.rpartition("/")[2]))) if model else ()
