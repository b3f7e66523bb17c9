"""Sample values of typical size for missing arguments, so that a prompt can be planned, priced and checked.

Rendering with sample arguments reveals errors in the prompt's files. Only the beginning of media files next to the
prompt is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from intermodal.core.content import BytesSource, Kind, MediaPart, Part, PathSource, Text
from intermodal.core.request import Message, Request
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import InputError, IntermodalError, PromptError
from intermodal.json_schema.allowed_values import resolve_reference
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.plan import Inputs
from intermodal.prompts import argument_values, media_references
from intermodal.prompts.media_references import kind_of, value_of
from intermodal.prompts.prompt_file import Argument, ArgumentKind, MediaValue, PromptFile
from intermodal.prompts.source_text import text_of
from intermodal.workloads.workload import WorkloadPart as Sized
from intermodal.workloads.workload import hypothetical_part as imagined_part

_MOST_DEEP = 8  # references followed from a value
LETTERS = 2_000  # of a text: a page
_SENTENCE = "This text stands for an argument that was not given, and is as long as a page of a report. "
_USUAL: Mapping[ArgumentKind, tuple[CountablePart, str]] = {
    "image": (CountablePart(kind="image", width=1024, height=768), "1024x768"),
    "file": (CountablePart(kind="image", width=1024, height=768), "an image of 1024x768"),
    "audio": (CountablePart(kind="audio", seconds=60.0), "60 s"),
    "video": (CountablePart(kind="video", seconds=60.0, width=1280, height=720), "60 s of 1280x720"),
    "document": (CountablePart(kind="document", pages=5), "a PDF of 5 pages"),
}
_PLAIN: Mapping[ArgumentKind, tuple[Any, str]] = {
    "number": (1.5, "1.5"), "integer": (1, "1"), "boolean": (True, "true"),
}  # fmt: skip


@dataclass
class SampleArguments:
    """Values for arguments that were not given.

    Attributes:
        values: by argument, as passed to the template. words: the same with argument names instead of long texts, which
            leaves only the question. assumed: one sentence per sample. pieces: sizes of sample media, by the name of
            the part.
    """

    values: dict[str, Any] = field(default_factory=dict)
    words: dict[str, Any] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)
    pieces: dict[str, CountablePart] = field(default_factory=dict)


def make_samples(file: PromptFile, arguments: Mapping[str, Any]) -> SampleArguments:
    """Return samples for arguments that are neither given nor have a default; for optional arguments only media."""
    samples = SampleArguments()
    example = file.examples[0].arguments if file.examples else {}
    for argument in file.arguments:
        if arguments.get(argument.name) is not None or argument.default is not None:
            continue
        if argument.is_media:
            _media(samples, argument)
            continue
        if argument.name in example and not argument.media:
            samples.values[argument.name] = samples.words[argument.name] = example[argument.name]
            samples.assumed.append(f"{argument.name} is that of the file's first example")
            continue
        if not argument.required and not argument.holds:
            samples.assumed.append(f"{argument.name} is left out")
            continue
        value, note = sample_value(argument) if not argument.holds else _with_media(samples, argument)
        samples.values[argument.name] = value
        samples.words[argument.name] = f"<{argument.name}>" if note.endswith("letters") else value
        samples.assumed.append(f"{argument.name} is {note}")
    return samples


def is_about_sample(error: IntermodalError) -> bool:
    """Return whether an error is caused by a sample text rather than by the prompt."""
    return _SENTENCE[:20] in error.what


def _media(samples: SampleArguments, argument: Argument) -> None:
    name = argument.name
    media, note = _medium(samples, argument.kind, name)
    value: Any = [media] if argument.many else media
    samples.values[name] = samples.words[name] = value
    samples.assumed.append(f"{name} is {'one, of ' if argument.many else ''}{note}")


def _medium(samples: SampleArguments, kind: ArgumentKind, name: str) -> tuple[MediaValue, str]:
    piece, note = _USUAL[kind]
    samples.pieces[name] = piece
    return value_of(name, BytesSource(data=b"", name=name), kind), note


def _with_media(samples: SampleArguments, argument: Argument) -> tuple[Any, str]:
    """Return a value that matches the argument's schema, including its media; lists that contain media get one item."""
    notes: list[str] = []

    def create_media(kind: ArgumentKind, at: str) -> MediaValue:
        media, note = _medium(samples, kind, at)
        notes.append(f"{at} {note}")
        return media

    value = _Sample(argument.schema, create_media).sample_of(argument.schema, argument.name)
    return value, f"a value of its schema, each text a line: {', '.join(notes)}"


def sample_value(argument: Argument) -> tuple[Any, str]:
    """Return a value of typical size for an argument that is not a medium, and a note about it."""
    values = [value for value in argument.schema.get("enum", ()) if value is not None]
    if values:
        return values[0], str(values[0])
    if argument.kind in _PLAIN:
        return _PLAIN[argument.kind]
    if argument.kind == "json" and argument.schema:
        return _Sample(argument.schema).sample_of(argument.schema), "a value of its schema, each text a line"
    text = (_SENTENCE * (LETTERS // len(_SENTENCE) + 1))[:LETTERS]
    return text, f"{LETTERS:,} letters"


class _Sample:
    """Builds a small value that shows the structure of a schema; lists have three items, or one if they contain media.

    ``create_media`` creates the value for a place where a medium goes.
    """

    def __init__(self, root: Any, create_media: Callable[[ArgumentKind, str], Any] | None = None) -> None:
        self._root = root if isinstance(root, Mapping) else {}
        self._create_media = create_media
        self._made: list[str] = []  # places of media

    def sample_of(self, schema: Any, at: str = "", depth: int = 0) -> Any:
        if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
            schema = resolve_reference(self._root, schema["$ref"])
        if not isinstance(schema, Mapping) or depth > _MOST_DEEP:
            return _SENTENCE
        if self._create_media is not None and media_references.PLACE in schema:
            self._made.append(at)
            return self._create_media(kind_of(str(schema[media_references.PLACE])), at)
        if values := schema.get("enum"):
            return values[0]
        if choices := schema.get("anyOf"):
            return self.sample_of(self._choose(choices, depth), at, depth + 1)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), None)
        if kind == "array":
            return self._items(schema, at, depth)
        if kind == "object":
            fields = schema.get("properties") or {}
            more = schema.get("additionalProperties")
            if self._create_media is not None and isinstance(more, Mapping):
                fields = {**fields, "name": more}  # a map: one entry shows its contents
            return {name: self.sample_of(each, f"{at}.{name}", depth + 1) for name, each in fields.items()}
        return {"number": 1.5, "integer": 1, "boolean": True, "null": None}.get(str(kind), _SENTENCE)

    def _choose(self, choices: Any, depth: int) -> Any:
        """Return the first alternative, or null when nested to end recursion; a medium takes precedence."""
        media = [each for each in choices if isinstance(each, Mapping) and media_references.PLACE in each]
        ends = [each for each in choices if isinstance(each, Mapping) and each.get("type") == "null"]
        return media[0] if media and self._create_media is not None else ends[0] if ends and depth > 1 else choices[0]

    def _items(self, schema: Mapping[str, Any], at: str, depth: int) -> list[Any]:
        if depth >= _MOST_DEEP:
            return []
        before = len(self._made)
        item = self.sample_of(schema.get("items"), f"{at}[]", depth + 1)
        return [item] * (1 if len(self._made) > before else 3)


# ---- planning without bytes ------------------------------------------------------------------------------


def with_media_markers(request: Request, samples: SampleArguments) -> Request:
    """Replace sample media in the request by text markers, so that it can be opened like any other request."""
    return _map_parts(request, lambda part: Text(text=_mark(part)) if _is_imagined(part, samples) else part)


def with_sample_media(inputs: Inputs, request: Request, samples: SampleArguments) -> Inputs:
    """Replace the text markers in the planner's inputs by sample media. ``request``: the request before markers."""
    marks = {_mark(part): part for _, _, part in request.parts() if _is_imagined(part, samples)}
    facts: list[PartFacts] = []
    parts: dict[int, Part] = {}
    counts: dict[str, int] = {}
    for (index, _, part), found in zip(inputs.request.parts(), inputs.facts.parts, strict=True):
        whose = marks.get(part.text) if isinstance(part, Text) else None
        if whose is None:
            facts.append(found)
            continue
        name = whose.source.name  # type: ignore[union-attr]
        counts[name] = counts.get(name, 0) + 1
        called = name if counts[name] == 1 else f"{name} ({counts[name]})"
        _, fact = imagined_part(Sized(name=name, piece=samples.pieces[name]), index, called)
        parts[index] = whose
        facts.append(fact)
    numbers = iter(range(len(facts)))
    whole = _map_parts(inputs.request, lambda part: parts.get(next(numbers), part))
    return replace(inputs, request=whole, facts=Facts(parts=tuple(facts), tools=inputs.facts.tools,
                   schema=inputs.facts.schema, scripts=inputs.facts.scripts), original_messages=())  # fmt: skip


def _is_imagined(part: Part, samples: SampleArguments) -> bool:
    source = getattr(part, "source", None)
    return isinstance(source, BytesSource) and not source.data and source.name in samples.pieces


def _mark(part: Part) -> str:
    source = part.source  # type: ignore[union-attr]
    return f"\x02imagined {source.name}\x03"  # type: ignore[union-attr]


def _map_parts(request: Request, change: Any) -> Request:
    messages = tuple(
        Message(role=message.role, parts=tuple(change(part) for part in message.parts)) for message in request.messages
    )
    return replace(request, messages=messages)


_BEGINNING = 1 << 20  # bytes of a medium in which its kind shows


def render_sample(file: PromptFile) -> tuple[Message, ...] | None:
    """Return the messages with sample arguments; None if a sample is unsuitable, for example as a file name.

    Raises PromptError with file and line, for example for a missing partial or image, or a PDF instead of an image.
    """
    values = make_samples(file, {})
    try:
        messages = file.template.messages(argument_values.bind_values(file, {}, missing=values.values))
    except PromptError as error:
        if is_about_sample(error):
            return None
        raise
    check_files(file, messages)
    return messages


def check_files(file: PromptFile, messages: Iterable[Message], bound: Mapping[str, Any] | None = None) -> None:
    """Raise PromptError, with its line, if a media file named by the prompt is missing or has another modality.

    ``bound``: values of arguments, whose media were checked before.
    """
    for place, part in files_of(messages, bound or {}):
        line = partial(_line_of, file, place.name)
        if not place.is_file():
            raise file.error(f"{place.name} is not there", line(), "put it beside the prompt")
        declared: Any = type(part).__name__.lower()
        found = _kind_of(place)
        if found is not None and not argument_values.kind_fits((declared,), found):
            what = f"{place.name} is {argument_values.A[found]}, and the prompt says {argument_values.A[declared]}"
            raise file.error(what, line(), "name another file, or state its kind")


def files_of(messages: Iterable[Message], bound: Mapping[str, Any]) -> list[tuple[Path, MediaPart]]:
    """Return the media that the prompt itself names, with their paths."""
    paths = {medium.part.source.path for _, medium in argument_values.media_of(bound)
             if isinstance(medium.part.source, PathSource)}  # fmt: skip
    return [
        (Path(part.source.path), part)
        for message in messages
        for part in message.parts
        if isinstance(part, MediaPart) and isinstance(part.source, PathSource) and part.source.path not in paths
    ]


def _kind_of(place: Path) -> Kind | None:
    """Return the modality of a file from its first bytes; None if they do not show it."""
    from intermodal.media.sniff import sniff

    try:
        with place.open("rb") as opened:
            return sniff(opened.read(_BEGINNING), place.name)[0]
    except (InputError, OSError):
        return None


def _line_of(file: PromptFile, name: str) -> int:
    """Return the line that mentions a file."""
    lines = text_of(Path(file.path)).splitlines()
    return next((number for number, line in enumerate(lines, 1) if name in line), file.lines.get("template", 1))
