"""Convert a prompt file to another format, and list what that format cannot express.

Each format is read into a small common tree and written from it. The result is read again by its own reader and
rendered with the same values as the original: a difference that was not reported is a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.core.content import BytesSource, MediaPart, Text
from intermodal.core.request import JsonOutput, Message, Output
from intermodal.errors import PromptError
from intermodal.prompts import argument_values, formats, sample_arguments
from intermodal.prompts.conversion import baml, dotprompt, front_matter, normalized_schema, poml, prompty
from intermodal.prompts.conversion.template_tree import (
    ArgumentShape,
    Loss,
    Losses,
    Node,
    RoleNode,
    Spelling,
    TemplateTree,
    shapes_of,
    with_spelling,
)
from intermodal.prompts.dotprompt.reader import LitellmTemplate
from intermodal.prompts.media_references import value_of
from intermodal.prompts.prompt_file import Argument, MediaValue, PromptFile, model_names
from intermodal.prompts.rendering import TemplateError

# Compare two prompt files: both are rendered with the same values, and their requests compared.
#
# Values are samples, varied where templates branch: nothing and one item of a list, an empty text, a text that looks
# like tags, true and false, each word of an enumeration; with earlier messages and without.


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
    condition: str
    given: Mapping[str, Any]
    history: tuple[Message, ...] = ()


def request_differences(read: TemplateTree, target: PromptFile, *, joins: bool = False) -> Iterator[str]:
    """Yield the differences between two files, one sentence each; none if they are equivalent.

    ``joins``: the other format merges consecutive messages of one role. White space around texts is ignored; if the
    format folds white space, only its presence is compared.
    """
    source, folds = read.file, read.folds
    fixed = source.output_by is None and target.output_by is None
    alike = fixed and _outputs_are_equivalent(source, source.output, target, target.output)  # slow for large schemas
    most = min(_MOST_CASES, max(3, _MOST_VALUES // (len(source.arguments) + 1)))
    for case in islice(cases(read), most):
        try:
            bound = argument_values.bind_values(source, case.given)
            source_messages = source.template.messages(bound, case.history)
            output = source.output_with(bound)
        except PromptError:
            continue  # arguments that the file itself rejects cannot be compared
        values = {name: each for name, each in bound.items() if target.argument(name) is not None}
        try:
            other_values = argument_values.bind_values(target, values)
            target_messages = target.template.messages(other_values, case.history)
            target_output = target.output_with(other_values)
        except PromptError as error:
            yield f"{case.condition} it cannot be rendered: {error.what}"
            continue
        one, other = (
            _comparable(source_messages, folds, _schema_text(output)),
            _comparable(target_messages, folds, _schema_text(target_output)),
        )
        is_different = (joins and len(one) != len(other)) or (
            read.joins and _roles_and_part_counts(one) != _roles_and_part_counts(other)
        )
        if one != other and not (is_different and _joined_texts(one) == _joined_texts(other)):
            yield f"{case.condition} it renders otherwise: {_first_difference(one, other)}"
        if not (alike if fixed else _outputs_are_equivalent(source, output, target, target_output)):
            yield f"{case.condition} the schema of the answer is another"


def _outputs_are_equivalent(source: PromptFile, output: Output, target: PromptFile, target_output: Output) -> bool:
    """Return whether both outputs are equivalent. A format with its own parser writes schemas in its own way."""
    parsed = source.parser is not None or target.parser is not None
    return output == target_output or (parsed and normalized_schema.same_output(output, target_output))


def cases(read: TemplateTree) -> Iterator[RenderingCase]:
    """Yield sample values to compare with; types that no schema states are inferred from the template."""
    file, plain, shapes = read.file, read.folds, shapes_of(read.nodes)
    whole = {each.name: _example_value(each, shapes.get(each.name, ArgumentShape()), plain) for each in file.arguments}
    yield RenderingCase("with every argument", whole)
    yield RenderingCase("after earlier messages", whole, _HISTORY)
    needed = {each.name: whole[each.name] for each in file.arguments if each.required}
    if len(needed) < len(whole):
        yield RenderingCase("without what may be left out", needed)
    for argument in file.arguments:
        for label, value in _variants(argument, whole[argument.name], plain):
            yield RenderingCase(f"where {argument.name} is {label}", {**whole, argument.name: value})


def _example_value(argument: Argument, shape: ArgumentShape, plain: bool) -> Any:
    if argument.is_media:
        return [_medium(argument, 1)] if argument.many else _medium(argument, 1)
    value, _ = sample_arguments.sample_value(argument)
    if argument.kind == "json" and not shape.is_plain and not argument.schema.get("items"):
        value = shape.sample()
    value = value[:_LETTERS].strip() if isinstance(value, str) else value
    return _fold_lines(value) if plain else value


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
        yield "a text that looks like tags", _fold_lines(HOSTILE) if plain else HOSTILE
        yield "empty", ""


def _fold_lines(value: Any) -> Any:
    if isinstance(value, list):
        return [_fold_lines(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _fold_lines(each) for name, each in value.items()}
    return " ".join(value.split()) if isinstance(value, str) else value


Shown = list[tuple[str, list[Any]]]


def _schema_text(output: Output) -> str:
    return output.schema_text if isinstance(output, JsonOutput) else ""


def _comparable(messages: tuple[Message, ...], folds: bool, description: str) -> Shown:
    """Return messages in comparable form: texts stripped, empty ones removed.

    ``description``: the text of the schema, which other formats leave to the caller.
    """
    pieces: Shown = []
    for message in messages:
        parts: list[Any] = []
        for part in message.parts:
            if isinstance(part, Text):
                words = (
                    "\n\n".join(each.strip("\n") for each in part.text.split(description)) if description else part.text
                )
                text = " ".join(words.split()) if folds else words.strip()
                if text:
                    parts.append(text)
            else:
                assert isinstance(part, MediaPart)
                parts.append((type(part).__name__, part.source))
        if parts:
            pieces.append((message.role, parts))
    return pieces


def _roles_and_part_counts(messages: Shown) -> list[tuple[str, int]]:
    """Return the role and the number of parts of each message."""
    return [(role, len(parts)) for role, parts in messages]


def _joined_texts(messages: Shown) -> Shown:
    """Merge consecutive messages of one role, and remove white space from texts.

    The white space between merged messages depends on the format.
    """
    joined_messages: Shown = []
    for role, parts in messages:
        if not joined_messages or joined_messages[-1][0] != role:
            joined_messages.append((role, []))
        last = joined_messages[-1][1]
        for part in parts:
            plain = "".join(part.split()) if isinstance(part, str) else part
            if isinstance(plain, str) and last and isinstance(last[-1], str):
                last[-1] += plain
            else:
                last.append(plain)
    return joined_messages


def _first_difference(source: Shown, target: Shown) -> str:
    """Return a description of the first difference between two renderings."""
    if len(source) != len(target):
        return f"{len(target)} messages in place of {len(source)}"
    for number, (one, other) in enumerate(zip(source, target, strict=True), start=1):
        if one[0] != other[0]:
            return f"message {number} is of {other[0]}, not of {one[0]}"
        if len(one[1]) != len(other[1]):
            return f"message {number} has {len(other[1])} parts in place of {len(one[1])}"
        for own_part, other_part in zip(one[1], other[1], strict=True):
            if own_part != other_part and isinstance(own_part, str) and isinstance(other_part, str):
                at = next((n for n, pair in enumerate(zip(own_part, other_part, strict=False)) if pair[0] != pair[1]),
                          min(len(own_part), len(other_part)))  # fmt: skip
                start = max(at - 10, 0)
                return f"{other_part[start : at + 30]!r} in place of {own_part[start : at + 30]!r}"
            if own_part != other_part:
                return f"message {number} has another medium"
    return "nothing"


Write = Callable[[TemplateTree, Sequence[Node], Losses], str]
Read = Callable[[PromptFile, Losses], TemplateTree]


@dataclass(frozen=True)
class TargetFormat:
    """A format that can be written.

    ``wishes``: it can hold ``ext: intermodal``; ``kept``: only these options. ``examples``: it can hold test data.
    ``joins``: it merges consecutive messages of one role.
    """

    name: str
    ending: str
    write: Write
    spelling: Spelling = "true"
    wishes: bool = False
    kept: tuple[str, ...] = ()
    examples: bool = False
    joins: bool = False


TARGETS: Mapping[str, TargetFormat] = {
    "dotprompt": TargetFormat("dotprompt", ".prompt", dotprompt.write_dotprompt, wishes=True),
    "github": TargetFormat("GitHub", ".prompt.yml", prompty.write_github, examples=True),
    "prompty": TargetFormat("Prompty", ".prompty", prompty.write_prompty, "True"),
    "poml": TargetFormat("POML", ".poml", poml.write_poml, joins=True),
    "baml": TargetFormat("BAML", ".baml", baml.write_baml, kept=("resends",), examples=True, joins=True),
}

# Name of a format -> the reader that converts its template to a tree.
_READERS: Mapping[str, Read] = {
    "dotprompt": dotprompt.read_dotprompt,
    "GitHub": prompty.read_github,
    "Prompty": prompty.read_prompty,
    "POML": poml.read_poml,
    "BAML": baml.read_baml,
}

# Keys that readers accept but that do not affect the request; other formats cannot express them.
_ASIDE = ("name", "variant", "version", "metadata", "displayName", "authors", "tags", "base", "evaluators")
_MOST_SAID = 3  # number of differences shown

# Options that forbid something: without them, a file may do what the original may not.
_FORBIDDING = ("private", "local", "regions", "retention", "licence")


@dataclass(frozen=True)
class ConvertedPrompt:
    """A prompt file in another format.

    ``file``: as read by the format's own reader. ``lost``: losses, ordered by line.
    """

    text: str
    file: PromptFile
    lost: tuple[Loss, ...]

    @property
    def meaning_losses(self) -> tuple[Loss, ...]:
        """The losses that change the meaning of the prompt."""
        return tuple(loss for loss in self.lost if loss.meaning)


def target_path(file: PromptFile, target: TargetFormat) -> Path:
    """Return the path of the converted file: next to the original."""
    path = Path(file.path)
    return path.with_name(f"{formats.stem_of(path.name)}{target.ending}")


def convert_prompt(file: PromptFile, target: TargetFormat, place: Path) -> ConvertedPrompt:
    """Return the file in another format, as it would be stored at ``place``; nothing is written there.

    Raises PromptError with the line of a template construct that the tree cannot express.
    """
    looser = isinstance(file.template, LitellmTemplate)
    if file.format not in _READERS:
        todo = f"convert one of {', '.join(_READERS)}"
        raise PromptError(f"{file.format} is not converted", where=file.path, todo=todo)
    if file.format == target.name and not looser:
        raise PromptError(f"is a file of {target.name} already", where=file.path, todo="name another format")
    try:
        return _convert(file, target, place, looser)
    except TemplateError as error:
        raise PromptError(str(error), where=file.where("template"), todo=error.todo) from None
    except RecursionError:
        what, todo = "is nested too deep to be converted", "use fewer blocks within blocks"
        raise PromptError(what, where=file.where("template"), todo=todo) from None


def _convert(file: PromptFile, target: TargetFormat, place: Path, looser: bool) -> ConvertedPrompt:
    losses = Losses()
    read = _READERS["Prompty" if looser else file.format](file, losses)
    text = target.write(read, with_spelling(read, target.spelling), losses)
    _record_unplaced_settings(file, target, losses)
    try:
        (target_file,) = formats.of_name(place).read(place, text)
    except PromptError as error:
        losses.record_loss(
            1, f"what was written cannot be read as {target.name}: {error.what}; {error.todo}", meaning=True
        )
        return ConvertedPrompt(text, file, _sorted_losses(losses))
    names = {each.name for each in target_file.arguments}
    for each in file.arguments:
        if each.name not in names and not any(f"argument {each.name!r}" in loss.what for loss in losses.all):
            losses.record_loss(each.line, f"argument {each.name!r}, which the template does not take")
    if target.joins:
        _record_merged_messages(read, target, losses)
    if not any(loss.meaning for loss in losses.all):  # otherwise the named losses make the difference
        differences = request_differences(read, target_file, joins=target.joins)
        for sentence in islice(chain(_unpreserved_settings(file, target_file, target), differences), _MOST_SAID):
            losses.record_loss(1, f"the prompt as it was: {sentence}", meaning=True)
    return ConvertedPrompt(text, target_file, _sorted_losses(losses))


def _record_merged_messages(read: TemplateTree, target: TargetFormat, losses: Losses) -> None:
    """Record messages that are merged into the preceding one."""
    roles = [each for each in read.nodes if isinstance(each, RoleNode)]
    for one, other in pairwise(roles):
        if one.role == other.role:
            losses.record_loss(
                other.line, f"a message of {other.role} after another one: {target.name} makes one of both"
            )


def _sorted_losses(losses: Losses) -> tuple[Loss, ...]:
    return tuple(sorted(losses.all, key=lambda loss: loss.line))


def _record_unplaced_settings(file: PromptFile, target: TargetFormat, losses: Losses) -> None:
    """Record the settings of the file that have no place in the other format."""
    looser = isinstance(file.template, LitellmTemplate)  # the conversion fixes what its warnings report
    for finding in () if looser else file.findings:
        losses.record_loss(finding.line, finding.what)
    for key in _ASIDE:
        if key in file.lines and not (key == "name" and target.name in ("GitHub", "Prompty", "BAML")):
            losses.record_loss(file.lines[key], key)
    if file.examples and not target.examples:
        losses.record_loss(file.examples[0].line, f"test data ({len(file.examples)})")
    if file.parser is not None:
        losses.record_loss(file.lines.get("output", 1), f"the parser of answers, which {file.format} brings along")
    if not target.wishes:
        for key, value in front_matter.options_of(file).items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
            if key not in target.kept:
                losses.record_loss(file.lines.get("ext", 1), f"the option {key}: {text}", meaning=key in _FORBIDDING)


def _unpreserved_settings(file: PromptFile, target_file: PromptFile, target: TargetFormat) -> list[str]:
    """Return which of the model, settings, tools and options were not preserved."""
    compared_settings = {"sampling": "how the answer is drawn", "settings": "settings of the model",
                "tools": "tools", "undefined_tools": "tools without a definition"}  # fmt: skip
    if target.wishes:
        compared_settings["options"] = "the wishes"
    left = [words for name, words in compared_settings.items() if getattr(file, name) != getattr(target_file, name)]
    if not set(model_names(file.model)) & set(model_names(target_file.model)) and file.model != target_file.model:
        left.insert(0, "the model")
    return [f"{words} did not come back" for words in left]
