"""Convert a prompt file to another format, and list what that format cannot express.

Each format is read into one small tree and written from it. The result is read again by its own reader and rendered
beside the first with the same values: a difference that was not named is a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

from intermodal.errors import PromptError
from intermodal.prompts import formats
from intermodal.prompts.conversion import (
    baml,
    dotprompt,
    equivalence,
    front_matter,
    poml,
    prompty,
)
from intermodal.prompts.conversion.template_tree import (
    Loss,
    Losses,
    Node,
    RoleNode,
    Spelling,
    TemplateTree,
    with_spelling,
)
from intermodal.prompts.dotprompt.reader import LitellmTemplate
from intermodal.prompts.prompt_file import PromptFile, model_names
from intermodal.prompts.rendering import TemplateError

Write = Callable[[TemplateTree, Sequence[Node], Losses], str]
Read = Callable[[PromptFile, Losses], TemplateTree]


@dataclass(frozen=True)
class TargetFormat:
    """A format that is written. ``wishes``: it has a place for ``ext: intermodal``; ``kept``: for these of them alone.
    ``examples``: for test data. ``joins``: messages of one role that follow each other become one there."""

    name: str
    ending: str
    write: Write
    spelling: Spelling = "true"
    wishes: bool = False
    kept: tuple[str, ...] = ()
    examples: bool = False
    joins: bool = False


TARGETS: Mapping[str, TargetFormat] = {
    "dotprompt": TargetFormat("dotprompt", ".prompt", dotprompt.write, wishes=True),
    "github": TargetFormat("GitHub", ".prompt.yml", prompty.write_github, examples=True),
    "prompty": TargetFormat("Prompty", ".prompty", prompty.write_prompty, "True"),
    "poml": TargetFormat("POML", ".poml", poml.write, joins=True),
    "baml": TargetFormat("BAML", ".baml", baml.write, kept=("resends",), examples=True, joins=True),
}
# Name of a format -> the reader that turns its template into a tree.
_READERS: Mapping[str, Read] = {
    "dotprompt": dotprompt.read,
    "GitHub": prompty.read_github,
    "Prompty": prompty.read_prompty,
    "POML": poml.read,
    "BAML": baml.read,
}
# Keys that a reader takes and that reach no request; other formats have no word for them.
_ASIDE = ("name", "variant", "version", "metadata", "displayName", "authors", "tags", "base", "evaluators")
_MOST_SAID = 3  # differences shown; the first ones are enough
# Options that forbid something: a file without them may do what the original may not.
_FORBIDDING = ("private", "local", "regions", "retention", "licence")


@dataclass(frozen=True)
class ConvertedPrompt:
    """A prompt file in another format. ``file``: as the format's own reader reads it. ``lost``: by line."""

    text: str
    file: PromptFile
    lost: tuple[Loss, ...]

    @property
    def changed(self) -> tuple[Loss, ...]:
        """Losses with which the prompt asks or gives something else."""
        return tuple(loss for loss in self.lost if loss.meaning)


def target_path(file: PromptFile, target: TargetFormat) -> Path:
    """Where the file would lie in the other format: beside itself."""
    path = Path(file.path)
    return path.with_name(f"{formats.stem_of(path.name)}{target.ending}")


def convert_prompt(file: PromptFile, target: TargetFormat, place: Path) -> ConvertedPrompt:
    """The file in another format, as it would lie at ``place``; nothing is written there.

    Raises PromptError, with its line, if the template has a construct that no tree has.
    """
    looser = isinstance(file.template, LitellmTemplate)
    if file.format not in _READERS:
        todo = f"convert one of {', '.join(_READERS)}"
        raise PromptError(f"{file.format} is not converted", where=file.path, todo=todo)
    if file.format == target.name and not looser:
        raise PromptError(f"is a file of {target.name} already", where=file.path, todo="name another format")
    try:
        return _converted(file, target, place, looser)
    except TemplateError as error:
        raise PromptError(str(error), where=file.where("template"), todo=error.todo) from None
    except RecursionError:
        what, todo = "is nested too deep to be converted", "use fewer blocks within blocks"
        raise PromptError(what, where=file.where("template"), todo=todo) from None


def _converted(file: PromptFile, target: TargetFormat, place: Path, looser: bool) -> ConvertedPrompt:
    losses = Losses()
    read = _READERS["Prompty" if looser else file.format](file, losses)
    text = target.write(read, with_spelling(read, target.spelling), losses)
    _aside(file, target, losses)
    try:
        (made,) = formats.of_name(place).read(place, text)
    except PromptError as error:
        losses.say(1, f"what was written cannot be read as {target.name}: {error.what}; {error.todo}", meaning=True)
        return ConvertedPrompt(text, file, _in_order(losses))
    kept = {each.name for each in made.arguments}
    for each in file.arguments:
        if each.name not in kept and not any(f"argument {each.name!r}" in loss.what for loss in losses.found):
            losses.say(each.line, f"argument {each.name!r}, which the template does not take")
    if target.joins:
        _joined(read, target, losses)
    if not any(loss.meaning for loss in losses.found):  # otherwise the named losses make the difference
        differences = equivalence.differences(read, made, joins=target.joins)
        for sentence in islice(chain(_beside(file, made, target), differences), _MOST_SAID):
            losses.say(1, f"the prompt as it was: {sentence}", meaning=True)
    return ConvertedPrompt(text, made, _in_order(losses))


def _joined(read: TemplateTree, target: TargetFormat, losses: Losses) -> None:
    """Name messages that become one with the one before."""
    roles = [each for each in read.nodes if isinstance(each, RoleNode)]
    for one, other in pairwise(roles):
        if one.role == other.role:
            losses.say(other.line, f"a message of {other.role} after another one: {target.name} makes one of both")


def _in_order(losses: Losses) -> tuple[Loss, ...]:
    return tuple(sorted(losses.found, key=lambda loss: loss.line))


def _aside(file: PromptFile, target: TargetFormat, losses: Losses) -> None:
    """Record the settings of the file that have no place in the other format."""
    looser = isinstance(file.template, LitellmTemplate)  # whose warnings are about what the conversion mends
    for finding in () if looser else file.findings:
        losses.say(finding.line, finding.what)
    for key in _ASIDE:
        if key in file.lines and not (key == "name" and target.name in ("GitHub", "Prompty", "BAML")):
            losses.say(file.lines[key], key)
    if file.examples and not target.examples:
        losses.say(file.examples[0].line, f"test data ({len(file.examples)})")
    if file.parser is not None:
        losses.say(file.lines.get("output", 1), f"the parser of answers, which {file.format} brings along")
    if not target.wishes:
        for key, value in front_matter.options_of(file).items():
            said = ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
            if key not in target.kept:
                losses.say(file.lines.get("ext", 1), f"the option {key}: {said}", meaning=key in _FORBIDDING)


def _beside(file: PromptFile, made: PromptFile, target: TargetFormat) -> list[str]:
    """Return the parts of model, settings, tools and options that did not survive."""
    compared = {"sampling": "how the answer is drawn", "settings": "settings of the model",
                "tools": "tools", "undefined_tools": "tools without a definition"}  # fmt: skip
    if target.wishes:
        compared["options"] = "the wishes"
    left = [words for name, words in compared.items() if getattr(file, name) != getattr(made, name)]
    if not set(model_names(file.model)) & set(model_names(made.model)) and file.model != made.model:
        left.insert(0, "the model")
    return [f"{words} did not come back" for words in left]
