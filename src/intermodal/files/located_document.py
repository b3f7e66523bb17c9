"""YAML, TOML or JSON as plain data, with the line of each key and item.

YAML is parsed to nodes and converted here by the core schema of YAML 1.2: ``no`` is a string and ``1:30`` is not a
number, the document cannot instantiate types, and a duplicate key is an error. The TOML parser reports no lines, so
growing prefixes of the file are parsed (``line_of_key``): only for errors, on files of tens of lines.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, time
from os import PathLike
from typing import Any

from intermodal.core.content import Value
from intermodal.errors import UsageError

Path = tuple[str | int, ...]
_MOST = 50_000  # values; a few aliases can expand to billions
MOST_BYTES = 4 << 20
_MOST_DEEP = 60
_INT = re.compile(r"[-+]?[0-9]{1,300}|0x[0-9a-fA-F]{1,60}|0o[0-7]{1,80}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True), **dict.fromkeys(("false", "False", "FALSE"), False),
}  # fmt: skip


class LocatedDocument(Value):
    """A document. ``value`` is the data; ``lines``: the line of each key or item, from 1, if known."""

    name: str
    value: Any
    lines: dict[Path, int]

    def where(self, path: Path) -> str:
        """Return ``file:line`` of a place, or of the nearest enclosing place whose line is known."""
        while path and path not in self.lines:
            path = path[:-1]
        line = self.lines.get(path)
        return f"{self.name}:{line}" if line is not None else self.name


def read_document(name: str, text: str) -> LocatedDocument:
    """Parse a document in the format of its file extension, or YAML for other extensions.

    Raises UsageError with file and line for an invalid document.
    """
    found = _FORMATS.get(name.rpartition(".")[2].lower(), _yaml)(name, text)
    return LocatedDocument(name=name, value=_plain_value(found, found.value, ()), lines=found.lines)


def document_of(name: str, value: Any) -> LocatedDocument:
    """Return a document made of a program's values, without lines; tuples become lists and paths strings.

    Raises UsageError for infinity and NaN.
    """
    return LocatedDocument(
        name=name, value=_plain_value(LocatedDocument(name=name, value=value, lines={}), value, ()), lines={}
    )


def _plain_value(document: LocatedDocument, value: Any, path: Path) -> Any:
    """Convert dates of TOML to strings, as in the other formats. Raises UsageError for infinity and NaN."""
    if isinstance(value, Mapping):
        return {key: _plain_value(document, each, (*path, key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(document, each, (*path, place)) for place, each in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{value} is not a finite number", where=document.where(path))
    if isinstance(value, PathLike):
        return str(value)
    return value.isoformat() if isinstance(value, date | time) else value


def _json(name: str, text: str) -> LocatedDocument:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
            raise UsageError(f"{twice!r} is there twice", where=name, todo="keep one of them")
        return found

    try:
        value = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise UsageError(f"is not JSON: {error.msg}", where=f"{name}:{error.lineno}") from None
    except RecursionError:
        raise UsageError("is nested too deep", where=name) from None
    try:  # JSON is YAML, but for tabs, which it has between values only
        lines = _yaml(name, text.replace("\t", " ")).lines
    except UsageError:
        lines = {}
    return LocatedDocument(name=name, value=value, lines=lines)


def _toml(name: str, text: str) -> LocatedDocument:
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        what = str(error)[: found.start()] if found else str(error).replace(" (at end of document)", "")
        line = found[1] if found else text.count("\n") + 1
        raise UsageError(f"is not TOML: {what}", where=f"{name}:{line}") from None
    except RecursionError:
        raise UsageError("is nested too deep", where=name) from None
    return LocatedDocument(name=name, value=value, lines=_toml_lines(text))


def _toml_lines(text: str) -> dict[Path, int]:
    """Return the lines of tables and of keys at the start of a line.

    They are found in the text, since the parser does not report them.
    """
    lines: dict[Path, int] = {}
    times: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\s*(\[\[?)\s*([\w.\-\"' ]+?)\s*\]", line)
        if head:
            words = tuple(word.strip(" \"'") for word in head[2].split("."))
            table = ()
            for depth, word in enumerate(words):
                table = (*table, word)
                if head[1] == "[[" and depth == len(words) - 1:
                    times[table] = times.get(table, -1) + 1
                    lines.setdefault(table, number)
                if table in times:
                    table = (*table, times[table])
            lines.setdefault(table, number)
            continue
        key = re.match(r"\s*([\w\-]+|\"[^\"]*\"|'[^']*')\s*=", line)
        if key:
            lines.setdefault((*table, key[1].strip("\"'")), number)
    return lines


def _yaml(name: str, text: str) -> LocatedDocument:
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        raise UsageError(f"is not YAML: {error.problem or error.context}", where=where) from None
    except yaml.YAMLError as error:
        raise UsageError(f"is not YAML: {str(error).splitlines()[0]}", where=name) from None
    except RecursionError:
        raise UsageError("is nested too deep", where=name) from None
    lines: dict[Path, int] = {}
    value = _Nodes(name, lines).plain(node, ()) if node is not None else None
    return LocatedDocument(name=name, value=value, lines=lines)


class _Nodes:
    """Converts nodes to data. ``node`` is duck-typed: the library ships no types."""

    def __init__(self, name: str, lines: dict[Path, int]) -> None:
        self._name = name
        self._lines = lines
        self._left = _MOST

    def plain(self, node: Any, path: Path) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._left -= 1
        if self._left < 0 or len(path) > _MOST_DEEP:
            raise self._error("has more values than the limit", node)
        if node.id == "sequence":
            return [self.plain(item, (*path, place)) for place, item in enumerate(node.value)]
        if node.id == "mapping":
            return self._mapping(node, path)
        word: str = node.value
        return read_word(word) if node.style is None else word

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if key.id != "scalar":
                raise self._error("a key has to be a word", key)
            if key.value in found:
                raise self._error(f"{key.value!r} is there twice", key)
            self._lines[(*path, key.value)] = key.start_mark.line + 1
            found[key.value] = self.plain(value, (*path, key.value))
        return found

    def _error(self, what: str, node: Any) -> UsageError:
        return UsageError(what, where=f"{self._name}:{node.start_mark.line + 1}")


def read_word(word: str) -> Any:
    if word in _WORDS:
        return _WORDS[word]
    if _INT.fullmatch(word):
        return int(word, 0) if word[:2] in ("0x", "0o") else int(word)
    return float(word) if _FLOAT.fullmatch(word) else word


_FORMATS: Mapping[str, Callable[[str, str], LocatedDocument]] = {"json": _json, "toml": _toml}


def line_of_key(text: str, key: tuple[str | int, ...]) -> int | None:
    """Return the line, from 1, on which the value at ``key`` begins.

    If there is no such value, returns the line of the enclosing table.

    >>> line_of_key('a = 1\\n[b]\\nc = [\\n  2]\\n', ("b", "c"))
    3
    >>> line_of_key('a = 1\\n[b]\\nc = 2\\n', ("b", "d"))
    2
    """
    lines = text.splitlines(keepends=True)
    for depth in range(len(key), 0, -1):
        begins = 1
        for end in range(1, len(lines) + 1):
            try:
                table = tomllib.loads("".join(lines[:end]))
            except tomllib.TOMLDecodeError:
                continue  # within a multi-line value
            if _has_key(table, key[:depth]):
                return begins
            begins = end + 1
    return None


def _has_key(table: Any, key: tuple[str | int, ...]) -> bool:
    for step in key:
        try:
            table = table[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True
