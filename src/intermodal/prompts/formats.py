"""Which format reads a file: a table of built-in formats, and formats of plugins (``core/plugin_registry.py``)."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from intermodal.core.plugin_registry import Plugin, describe_failure, installed_plugins, load_plugin, report_problem
from intermodal.errors import InputMissing, IntermodalError, NotInstalled, PromptError
from intermodal.prompts.prompt_file import PromptFile, PromptFormat
from intermodal.prompts.source_text import text_of

MOST_FILES = 10_000
# File name ending -> module with its FORMAT. The reader of a format is imported with the first such file.
_OURS: Mapping[str, str] = {
    ".prompt": "dotprompt.reader",
    ".prompt.yml": "github",
    ".prompt.yaml": "github",
    ".prompty": "prompty",
    ".poml": "poml.reader",
    ".baml": "baml.reader",
}


@cache
def _shipped_format(module: str) -> PromptFormat:
    found: PromptFormat = importlib.import_module(f"intermodal.prompts.{module}").FORMAT
    return found


class _PluginFormat:
    """The format of a plugin. Its failures become errors of the file that name the plugin."""

    def __init__(self, plugin: Plugin, prompt_format: PromptFormat) -> None:
        self.name, self.endings, self.plugin = prompt_format.name, prompt_format.endings, plugin
        self._made = prompt_format

    def read(self, path: Path, text: str) -> tuple[PromptFile, ...]:
        try:
            return self._made.read(path, text)
        except IntermodalError:
            raise
        except Exception as error:
            what = f"cannot be read: {self.plugin.title} failed ({describe_failure(error)})"
            raise PromptError(what, where=str(path), todo=self.plugin.removal) from error


def _plugins() -> tuple[_PluginFormat, ...]:
    """Return the formats of installed plugins; one that is not usable is reported and left out."""
    return _formats_of(tuple(installed_plugins("prompt format").values()))


@cache
def _formats_of(plugins: tuple[Plugin, ...]) -> tuple[_PluginFormat, ...]:
    found: list[_PluginFormat] = []
    by = dict.fromkeys(_OURS, "intermodal")
    for plugin in plugins:
        try:
            prompt_format = _PluginFormat(plugin, load_plugin(plugin, "name", "endings", "read"))
        except NotInstalled as error:
            report_problem(plugin, error.what)
            continue
        taken_endings = [ending for ending in prompt_format.endings if ending in by]
        if taken_endings:
            report_problem(plugin, f"{by[taken_endings[0]]} reads {taken_endings[0]}")
        elif not all(ending.startswith(".") for ending in prompt_format.endings):
            report_problem(plugin, "an ending begins with a dot")
        else:
            by |= dict.fromkeys(prompt_format.endings, plugin.title)
            found.append(prompt_format)
    return tuple(found)


def format_of(path: Path) -> PromptFormat | None:
    """Return the format of a file name; None if no format reads it. Built-in formats take precedence over plugins."""
    name = path.name
    fitting = [ending for ending in _OURS if name.endswith(ending) and name != ending]
    if fitting:
        return _shipped_format(_OURS[max(fitting, key=len)])
    found = [(len(end), each) for each in _plugins() for end in each.endings if name.endswith(end)]
    return max(found, key=lambda each: each[0])[1] if found else None


def file_endings() -> tuple[str, ...]:
    """Return the file name endings that some format reads."""
    return tuple(dict.fromkeys((*_OURS, *(end for each in _plugins() for end in each.endings))))


def ending_of(name: str) -> str:
    """Return the longest known ending of a file name, "" for none."""
    return max((ending for ending in file_endings() if name.endswith(ending)), key=len, default="")


def stem_of(name: str) -> str:
    """Return a file name or path without its known ending."""
    return name.removesuffix(ending_of(name))


def of_name(path: Path) -> PromptFormat:
    """Return the format of a file name. Raises PromptError if no format reads it."""
    prompt_format = format_of(path)
    if prompt_format is None:
        raise PromptError("is no prompt file", where=str(path), todo=f"names end with {', '.join(file_endings())}")
    return prompt_format


def prompts_of(path: Path) -> tuple[PromptFile, ...]:
    """Return every prompt in a file. Raises PromptError with file and line, InputMissing if there is no file."""
    return of_name(path).read(path, text_of(path))


def load(reference: str | os.PathLike[str]) -> PromptFile:
    """Load the prompt that a reference names: a file, or ``FILE#NAME`` for a function or a variant in it.

    A variant is a separate file: ``greet.prompt#formal`` is ``greet.formal.prompt``. Raises PromptError with file and
    line, InputMissing if there is no such prompt.
    """
    text = os.fspath(reference)
    name, mark, prompt_name = text.rpartition("#")
    if not mark or Path(text).exists():
        name, prompt_name = text, ""
    path = Path(name)
    if path.is_dir():
        raise InputMissing("is a folder", where=name, todo=f"name a file of it, or run: intermodal prompt list {name}")
    if prompt_name:
        ending = ending_of(name)
        variant = Path(f"{name.removesuffix(ending)}.{prompt_name}{ending}")
        if ending and variant.parent == path.parent and variant.is_file():
            return prompts_of(variant)[0]
    found = prompts_of(path)
    if not prompt_name and len(found) == 1:
        return found[0]
    names = [each.name for each in found]
    if not names:
        raise PromptError("has no prompt", where=name, todo="name a file with a function that has one")
    for each in found:
        if each.name == prompt_name:
            return each
    if not prompt_name:
        raise PromptError(f"has {len(found)} prompts", where=name, todo=f"name one: {name}#{names[0]}")
    near = get_close_matches(prompt_name, names, 1, 0.6)
    todo = f"did you mean {name}#{near[0]}?" if near else f"it has {', '.join(names)}"
    raise PromptError(f"has no prompt {prompt_name!r}", where=name, todo=todo)


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the prompt files of a folder and its subfolders, sorted.

    Names that begin with a dot or underscore are skipped.
    """
    known = tuple(file_endings())
    count = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            if name.startswith((".", "_")) or not name.endswith(known):
                continue
            count += 1
            if count > MOST_FILES:
                raise PromptError(f"holds more than {MOST_FILES:,} prompt files", where=str(folder), todo="name a part")
            yield Path(place) / name
