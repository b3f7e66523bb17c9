"""``test`` blocks as examples of a function: their arguments, and the assertions that can be checked.

An assertion is an expression of Jinja over the answer. Comparisons with a value, joined by ``and``, are checked
(``this.total == 12.5``); others are named and not run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from intermodal.prompts.baml.baml_types import BamlArgument, BamlTypes
from intermodal.prompts.baml.declarations import Declaration, Expression, QuotedText
from intermodal.prompts.prompt_file import PromptExample, PromptFinding
from intermodal.request import JsonOutput, Output

_EQUAL = re.compile(
    r"\(?\s*(?:this|_\.result)((?:\.\w+)*)\s*==\s*(\"[^\"]*\"|'[^']*'|-?\d+(?:\.\d+)?|true|false|none|null)\s*\)?"
)
_CONSTANTS = {"none": "null"}


def examples_of(
    function: Declaration,
    tests: tuple[Declaration, ...],
    kinds: BamlTypes,
    taken: Mapping[str, BamlArgument],
    path: Path,
    output: Output,
) -> tuple[tuple[PromptExample, ...], tuple[PromptFinding, ...]]:
    """The tests of a function, and what is to be said of them. ``taken``: its arguments by their names."""
    made: list[PromptExample] = []
    unread: list[PromptFinding] = []
    for test in tests:
        named = test.settings.get("functions")
        if not isinstance(named, list) or function.name not in map(str, named):
            continue
        given = test.settings.get("args")
        arguments = given if isinstance(given, Mapping) else {}
        checks, left = _checks(test, partial(kinds.as_told, function.type), output)
        if test.file and Path(test.file).name == path.name:
            what = f"of test {test.name} is not run: comparisons with a value are"
            unread += [
                PromptFinding("warning", line, f"{said} {what}", "write this.field == value") for said, line in left
            ]
        made.append(PromptExample(arguments=_arguments(arguments, taken, path), line=test.line, checks=checks))
    return tuple(made), tuple(unread)


def _arguments(given: Mapping[str, Any], taken: Mapping[str, BamlArgument], path: Path) -> dict[str, Any]:
    def one(name: str, value: Any) -> Any:
        kind = taken.get(name)
        if kind is not None and kind.holds:
            return _with_media(value, name, path)
        if kind is None or not kind.media:
            return _plain(value)
        return [_medium(each, name, path) for each in value] if isinstance(value, list) else _medium(value, name, path)

    return {name: one(name, value) for name, value in given.items()}


def _with_media(value: Any, name: str, path: Path) -> Any:
    """A value in which a mapping of ``file``, ``url`` or ``base64`` is a medium."""
    if isinstance(value, Mapping):
        if value and value.keys() <= {"file", "url", "base64", "media_type"}:
            return _medium(value, name, path)
        return {str(key): _with_media(each, name, path) for key, each in value.items()}
    return [_with_media(each, name, path) for each in value] if isinstance(value, list) else _plain(value)


def _medium(value: Any, name: str, path: Path) -> Any:
    """A file beside the test, a URL, or what is written out."""
    from base64 import b64decode

    from intermodal.prompts.media_references import media_part

    if not isinstance(value, Mapping):
        return str(value)
    if "base64" in value:
        try:
            return (name, b64decode(str(value["base64"])))
        except ValueError:
            return str(value["base64"])[:40]
    try:
        return media_part(str(value.get("file") or value.get("url") or ""), "", path.parent)
    except ValueError as error:  # said where it is used: the file itself is right
        return f"{error.args[0]}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.plain if isinstance(value, QuotedText) else str(value) if isinstance(value, str) else value


def _checks(
    test: Declaration, as_told: Callable[[list[str], Any], tuple[list[str], Any]], output: Output
) -> tuple[tuple[Mapping[str, Any], ...], list[tuple[str, int]]]:
    """What has to hold, as items of ``eval`` have it, and what cannot be checked here."""
    expected: dict[str, Any] = {}
    whole: list[Any] = []
    left: list[tuple[str, int]] = []
    for each in test.attributes:
        if each.name not in ("assert", "check"):
            continue
        said = next((value for value in each.values if isinstance(value, Expression)), "")
        for part in re.split(r"\band\b", str(said)):
            found = _EQUAL.fullmatch(part.strip())
            if found is None:
                left.append((f"{{{{ {part.strip()} }}}}", each.line))
                continue
            value = _constant(found[2])
            if found[1]:
                _put(expected, *as_told(found[1].lstrip(".").split("."), value))
            else:
                whole.append(value)
    if isinstance(output, JsonOutput) and expected:
        return ({"compare": "json", "expected": expected},), left
    if whole and isinstance(whole[0], str):
        return ({"compare": "exact", "expected": whole[0]},), left
    return (), left


def _put(table: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        table = inner
    table[path[-1]] = value


def _constant(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    return json.loads(_CONSTANTS.get(text, text))
