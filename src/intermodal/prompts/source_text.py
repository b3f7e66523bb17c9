"""The text of a prompt file, read within a size limit, and its front matter as data with line numbers of the file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.client.request_builder import suggestion
from intermodal.errors import InputMissing, PromptError, UsageError
from intermodal.files.located_document import LocatedDocument, read_document
from intermodal.files.located_document import Path as Place
from intermodal.prompts.prompt_file import PromptFinding

MOST_BYTES = 256 << 10  # some steps of a template's parser go through all that follows
_FENCE = re.compile(r"---[ \t]*")


class _CachedTexts(NamedTuple):
    texts: Mapping[str, str]
    asked: dict[str, str]
    closed: bool


_CACHED_TEXTS: ContextVar[_CachedTexts | None] = ContextVar("texts of prompt files", default=None)


@contextmanager
def cached_texts(texts: Mapping[str, str], *, closed: bool = False) -> Iterator[dict[str, str]]:
    """Context in which the given texts are used instead of reading files.

    Yields all texts that were requested, by path.

    A prompt can thus be rendered as it was read, even if its files have changed since, and the reader learns which
    files it used. ``closed``: a file named by a value is not read, since the value may come from an untrusted client.
    """
    texts_read: dict[str, str] = {}
    before = _CACHED_TEXTS.set(_CachedTexts(texts, texts_read, closed))
    try:
        yield texts_read
    finally:
        _CACHED_TEXTS.reset(before)


def text_of(path: Path, *, what: str = "a prompt file", is_user_path: bool = False) -> str:
    """Return the text of a prompt file. ``is_user_path``: its name depends on a value.

    Raises InputMissing if the file does not exist, PromptError if it cannot be a prompt file.
    """
    now = _CACHED_TEXTS.get()
    if now is None:
        return _text_of(path, what)
    name = str(path)
    if is_user_path and now.closed and name not in now.texts:
        todo = "write the name into the prompt, or take the text as an argument"
        raise PromptError("is a file that a value names", where=name, todo=todo)
    now.asked[name] = text = now.texts[name] if name in now.texts else _text_of(path, what)
    return text


def names_of(folder: Path, *, is_user_path: bool = False) -> list[tuple[str, bool]]:
    """Return the names in a folder, each with whether it is a folder; folders come first.

    ``is_user_path``: the folder's name depends on a value. Raises InputMissing if the folder does not exist.
    """
    now = _CACHED_TEXTS.get()
    if is_user_path and now is not None and now.closed:
        raise PromptError("is a folder that a value names", where=str(folder), todo="write the name into the prompt")
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a path").lower()
        raise InputMissing(f"cannot be read ({reason})", where=str(folder), todo="name a folder beside it") from None
    return sorted(found, key=lambda entry: (not entry[1], entry[0].casefold(), entry[0]))


def _text_of(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a path").lower()
        raise InputMissing(f"cannot be read ({reason})", where=str(path), todo=f"name {what}") from None
    if len(data) > MOST_BYTES:
        raise PromptError(f"is larger than {MOST_BYTES >> 10} KiB", where=str(path), todo="give the rest as arguments")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PromptError("is not text in UTF-8", where=f"{path}:{line}", todo="save it as UTF-8") from None
    return text.replace("\r\n", "\n")  # so that a Windows checkout has the same version


def shown_value(value: Any) -> str:
    """Return a value in the syntax of a file, for an error.

    >>> shown_value(None), shown_value("free"), shown_value([1, True])
    ('null', "'free'", '[1, true]')
    """
    return repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)[:80]


class FrontMatter(LocatedDocument):
    """The data of a prompt file, with line numbers of the whole file."""

    def line(self, at: Place) -> int:
        """Return the line of a place, or of the nearest enclosing place; 1 if none is known."""
        line = self.where(at).rpartition(":")[2]
        return int(line) if line.isdecimal() else 1

    def error(self, at: Place, what: str, todo: str = "") -> PromptError:
        """Return an error for a place, which it names by its keys."""
        return PromptError(f"{'.'.join(map(str, at))}: {what}", where=self.where(at), todo=todo)

    def warning(self, at: Place, what: str, todo: str = "") -> PromptFinding:
        """Return a warning for a place."""
        return PromptFinding("warning", self.line(at), what, todo)

    def unknown(self, known: Collection[str], otherwise: str, *, but: Collection[str] = ()) -> Iterator[PromptFinding]:
        """Yield a warning for each unknown top-level key. ``but``: keys that are accepted but not suggested."""
        for key in self.value:
            if key not in known and key not in but:
                yield self.warning((key,), f"no key {key!r} is known", suggestion(key, known, otherwise))


class SplitFile(NamedTuple):
    """Front matter and body. ``declared``: there is front matter. ``first``: first line of the body."""

    front: FrontMatter
    body: str
    declared: bool
    first: int


def split_front_matter(path: Path, text: str) -> SplitFile:
    """Split a file at its front matter, between two lines of three dashes; comments may precede it.

    Raises PromptError if it does not end, or is not a YAML mapping.
    """
    lines = text.splitlines(keepends=True)
    opening = _opening(lines)
    if opening is None:
        return SplitFile(FrontMatter(name=str(path), value={}, lines={}), text, declared=False, first=1)
    closing = next((n for n in range(opening + 1, len(lines)) if _is_fence(lines[n])), None)
    if closing is None:
        todo = "close it with a line of three dashes"
        raise PromptError("the front matter does not end", where=f"{path}:{opening + 1}", todo=todo)
    yaml = "\n" * (opening + 1) + "".join(lines[opening + 1 : closing])  # keeps line numbers of the file
    return SplitFile(parse_mapping(path, yaml), "".join(lines[closing + 1 :]), declared=True, first=closing + 2)


def parse_mapping(path: Path, text: str) -> FrontMatter:
    """Parse YAML that is a mapping at the top level. Raises PromptError with file and line."""
    try:
        found = read_document(f"{path}.yaml", text)
    except UsageError as error:
        where = error.where.replace(f"{path}.yaml", str(path), 1)
        raise PromptError(error.what, where=where, todo=error.todo or "write YAML") from None
    value = {} if found.value is None else found.value
    if not isinstance(value, dict):
        line = found.lines.get((), 1)
        raise PromptError("is not a mapping of keys", where=f"{path}:{line}", todo="write key: value")
    return FrontMatter(name=str(path), value=value, lines=found.lines)


def _opening(lines: list[str]) -> int | None:
    for number, line in enumerate(lines):
        if _is_fence(line):
            return number
        if line.strip() and not line.startswith("#"):
            return None
    return None


def _is_fence(line: str) -> bool:
    return bool(_FENCE.fullmatch(line.rstrip("\r\n")))
