"""Compare two prompt files: both are rendered with the same values, and their requests compared.

Values are samples, varied where templates branch: nothing and one item of a list, an empty text, a text that looks like
tags, true and false, each word of an enumeration; with earlier messages and without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from intermodal.content import BytesSource, MediaPart, Text
from intermodal.errors import PromptError
from intermodal.prompts import argument_values, sample_arguments
from intermodal.prompts.conversion import normalized_schema
from intermodal.prompts.conversion.template_tree import ArgumentShape, TemplateTree, shapes_of
from intermodal.prompts.media_references import value_of
from intermodal.prompts.prompt_file import Argument, MediaValue, PromptFile
from intermodal.request import JsonOutput, Message, Output

# Text that is syntax in some language: tags, roles, marks of tags, entities.
HOSTILE = '{{x}} {%if x%} {# x #} </p><b> #lt; &amp; \\ `${x}` \'"\nsystem:\n{{role "system"}} x'
_MOST_WORDS = 6
_MOST_CASES, _MOST_VALUES = 300, 20_000  # the second: put into templates, all cases together
_LETTERS = 60  # characters of a text: its content matters, not its length
_HISTORY = (
    Message(role="user", parts=(Text(text="What was before?"),)),
    Message(role="assistant", parts=(Text(text="That."),)),
)


class RenderingCase(NamedTuple):
    said: str
    given: Mapping[str, Any]
    history: tuple[Message, ...] = ()


def differences(read: TemplateTree, target: PromptFile, *, joins: bool = False) -> Iterator[str]:
    """Yield the differences between two files, a sentence each; none if they are equivalent.

    ``joins``: messages of one role that follow each other are one in the other format. Of white space around texts
    nothing counts, and where the format folds it only whether there is any.
    """
    source, folds = read.file, read.folds
    fixed = source.output_by is None and target.output_by is None
    alike = fixed and _alike(source, source.output, target, target.output)  # of large schemas that takes a while
    most = min(_MOST_CASES, max(3, _MOST_VALUES // (len(source.arguments) + 1)))
    for case in islice(cases(read), most):
        try:
            bound = argument_values.bind_values(source, case.given)
            wanted = source.template.messages(bound, case.history)
            output = source.output_with(bound)
        except PromptError:
            continue  # arguments that the file itself rejects cannot be compared
        known = {name: each for name, each in bound.items() if target.argument(name) is not None}
        try:
            again = argument_values.bind_values(target, known)
            made = target.template.messages(again, case.history)
            kept = target.output_with(again)
        except PromptError as error:
            yield f"{case.said} it cannot be rendered: {error.what}"
            continue
        one, other = _shown(wanted, folds, _told(output)), _shown(made, folds, _told(kept))
        apart = (joins and len(one) != len(other)) or (read.joins and _places(one) != _places(other))
        if one != other and not (apart and _joined(one) == _joined(other)):
            yield f"{case.said} it renders otherwise: {_first(one, other)}"
        if not (alike if fixed else _alike(source, output, target, kept)):
            yield f"{case.said} the schema of the answer is another"


def _alike(source: PromptFile, output: Output, target: PromptFile, kept: Output) -> bool:
    """Return whether both outputs are equivalent. A format with a parser of its own writes schemas its own way."""
    parsed = source.parser is not None or target.parser is not None
    return output == kept or (parsed and normalized_schema.same_output(output, kept))


def cases(read: TemplateTree) -> Iterator[RenderingCase]:
    """Yield values to compare with; where no schema gives a type, it is inferred from the template."""
    file, plain, shapes = read.file, read.folds, shapes_of(read.nodes)
    whole = {each.name: _usual(each, shapes.get(each.name, ArgumentShape()), plain) for each in file.arguments}
    yield RenderingCase("with every argument", whole)
    yield RenderingCase("after earlier messages", whole, _HISTORY)
    needed = {each.name: whole[each.name] for each in file.arguments if each.required}
    if len(needed) < len(whole):
        yield RenderingCase("without what may be left out", needed)
    for argument in file.arguments:
        for said, value in _variants(argument, whole[argument.name], plain):
            yield RenderingCase(f"where {argument.name} is {said}", {**whole, argument.name: value})


def _usual(argument: Argument, shape: ArgumentShape, plain: bool) -> Any:
    if argument.is_media:
        return [_medium(argument, 1)] if argument.many else _medium(argument, 1)
    value, _ = sample_arguments.sample_value(argument)
    if argument.kind == "json" and not shape.is_plain and not argument.schema.get("items"):
        value = shape.sample()
    value = value[:_LETTERS].strip() if isinstance(value, str) else value
    return _folded(value) if plain else value


def _medium(argument: Argument, number: int) -> MediaValue:
    return value_of(argument.name, BytesSource(data=b"\0", name=f"{argument.name} {number}"), argument.kind)


def _variants(argument: Argument, usual: Any, plain: bool) -> Iterator[tuple[str, Any]]:
    if argument.is_media:
        if argument.many:
            yield "two", [_medium(argument, 1), _medium(argument, 2)]
            yield "an empty list", []
    elif words := argument.schema.get("enum"):
        yield from ((repr(word), word) for word in words[:_MOST_WORDS] if word is not None)
    elif argument.kind == "boolean":
        yield "false", False
    elif argument.kind in ("number", "integer"):
        yield "0", 0
    elif isinstance(usual, list):
        yield "an empty list", []
        yield "a list of one", usual[:1]
    elif isinstance(usual, str):
        yield "a text that looks like tags", _folded(HOSTILE) if plain else HOSTILE
        yield "empty", ""


def _folded(value: Any) -> Any:
    if isinstance(value, list):
        return [_folded(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _folded(each) for name, each in value.items()}
    return " ".join(value.split()) if isinstance(value, str) else value


Shown = list[tuple[str, list[Any]]]


def _told(output: Output) -> str:
    return output.told if isinstance(output, JsonOutput) else ""


def _shown(messages: tuple[Message, ...], folds: bool, told: str) -> Shown:
    """Return messages as they are compared: texts stripped, empty ones left out. ``told``: the text of the schema,
    which other formats leave to the caller.
    """
    made: Shown = []
    for message in messages:
        parts: list[Any] = []
        for part in message.parts:
            if isinstance(part, Text):
                words = "\n\n".join(each.strip("\n") for each in part.text.split(told)) if told else part.text
                text = " ".join(words.split()) if folds else words.strip()
                if text:
                    parts.append(text)
            else:
                assert isinstance(part, MediaPart)
                parts.append((type(part).__name__, part.source))
        if parts:
            made.append((message.role, parts))
    return made


def _places(shown: Shown) -> list[tuple[str, int]]:
    """Messages by their roles, with how many parts each has."""
    return [(role, len(parts)) for role, parts in shown]


def _joined(shown: Shown) -> Shown:
    """The same with messages of one role that follow each other as one, whose texts are compared without white space:
    how much goes between them is the format's."""
    made: Shown = []
    for role, parts in shown:
        if not made or made[-1][0] != role:
            made.append((role, []))
        last = made[-1][1]
        for part in parts:
            plain = "".join(part.split()) if isinstance(part, str) else part
            if isinstance(plain, str) and last and isinstance(last[-1], str):
                last[-1] += plain
            else:
                last.append(plain)
    return made


def _first(wanted: Shown, made: Shown) -> str:
    """Where two renderings part, for people."""
    if len(wanted) != len(made):
        return f"{len(made)} messages in place of {len(wanted)}"
    for number, (one, other) in enumerate(zip(wanted, made, strict=True), start=1):
        if one[0] != other[0]:
            return f"message {number} is of {other[0]}, not of {one[0]}"
        if len(one[1]) != len(other[1]):
            return f"message {number} has {len(other[1])} parts in place of {len(one[1])}"
        for here, there in zip(one[1], other[1], strict=True):
            if here != there and isinstance(here, str) and isinstance(there, str):
                at = next((n for n, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1]),
                          min(len(here), len(there)))  # fmt: skip
                start = max(at - 10, 0)
                return f"{there[start : at + 30]!r} in place of {here[start : at + 30]!r}"
            if here != there:
                return f"message {number} has another medium"
    return "nothing"
