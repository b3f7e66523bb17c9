"""Settings, options and schemas of a prompt file as YAML, for all formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.core.request import JsonOutput, Sampling, Settings
from intermodal.files.located_document import read_word
from intermodal.prompts.conversion.template_tree import Losses
from intermodal.prompts.prompt_file import PromptExample, PromptFile
from intermodal.prompts.prompt_options import OPTIONS

CAMEL: Mapping[str, str] = {
    "temperature": "temperature", "top_p": "topP", "max_tokens": "maxOutputTokens", "stop": "stopSequences",
    "seed": "seed", "top_k": "topK", "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
}  # fmt: skip


def settings_of(file: PromptFile, names: Mapping[str, str] = CAMEL) -> dict[str, Any]:
    """Return the sampling options that are set, under the format's names."""
    usual: tuple[tuple[Any, Any], ...] = ((file.sampling, Sampling()), (file.settings, Settings()))
    found: dict[str, Any] = {}
    for stated_name, unsaid in usual:
        for field, name in names.items():
            value = getattr(stated_name, field, None)
            if value is not None and value != getattr(unsaid, field):
                found[name] = list(value) if isinstance(value, tuple) else value
    return found


def options_of(file: PromptFile) -> dict[str, Any]:
    """Return the file's policy options in the form of ``ext: intermodal:``."""
    names = {field: key for key, (field, _, _) in OPTIONS.items()}
    found: dict[str, Any] = {}
    for field, value in file.options.items():
        value = value == "machine" if field == "farthest" else list(value) if isinstance(value, tuple) else value
        found[names.get(field, field)] = value
    return found


def is_strict(file: PromptFile) -> bool:
    """Return whether the schema of the answer must be enforced."""
    return isinstance(file.output, JsonOutput) and file.output.strict


def lose_strict(file: PromptFile, format: str, losses: Losses) -> None:
    """Record that schema enforcement is lost, for a format that cannot express it."""
    if is_strict(file):
        what = f"strict: {format} asks for a schema, and has no word to force it"
        losses.record_loss(file.lines.get("output", 1), what, meaning=True)


def lose_tools(file: PromptFile, losses: Losses) -> None:
    """Record every tool as lost, for a format without tools."""
    for tool in file.tools:
        losses.record_loss(file.lines.get("toolDefs", file.lines.get("tools", 1)), f"tool {tool.name!r}", meaning=True)
    for name in file.undefined_tools:
        losses.record_loss(file.lines.get("tools", 1), f"tool {name!r}", meaning=True)


def lose_undefined_tools(file: PromptFile, losses: Losses) -> None:
    """Record tools without a definition as lost, for a format that requires one."""
    for name in file.undefined_tools:
        losses.record_loss(file.lines.get("tools", 1), f"tool {name!r}, which has no definition", meaning=True)


def schema_of(file: PromptFile) -> dict[str, Any] | None:
    """Return the schema of the answer; None for a text answer."""
    return dict(file.output.schema) if isinstance(file.output, JsonOutput) else None


def plain_examples(file: PromptFile, losses: Losses) -> list[PromptExample]:
    """Return the test data that can be written; test data with media is recorded as lost."""
    plain_values = []
    for each in file.examples:
        if _is_plain(each.arguments):
            plain_values.append(each)
        else:
            losses.record_loss(each.line, "test data with media")
    return plain_values


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def yaml_of(value: Any) -> str:
    """Return a value as YAML, preserving the order of keys, with multi-line texts as blocks."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # the library ships no types
        def ignore_aliases(self, data: Any) -> bool:
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
            return super().increase_indent(flow, False)

    def text(dumper: Any, data: str) -> Any:
        style = "|" if "\n" in data else '"' if not isinstance(read_word(data), str) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Dumper.add_representer(str, text)
    front_text: str = yaml.dump(value, Dumper=Dumper, allow_unicode=True, sort_keys=False, width=116)
    return front_text
