"""A folder of prompt files, reloaded when they change. A file that becomes unreadable keeps its earlier version.

A prompt's name is the path of its file in the folder without the ending, followed by ``#FUNCTION`` if the file has
several prompts. Names are looked up and never opened. The other files that a prompt uses (partials, included files, the
rest of a BAML project) are recorded when it is read, and it is rendered with their texts of that time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from intermodal.config.tables import PROMPT
from intermodal.core.content import Value
from intermodal.errors import InputMissing, IntermodalError, PromptError, UnknownModel
from intermodal.prompts import formats, sample_arguments, source_text
from intermodal.prompts.media_references import is_within_folder
from intermodal.prompts.prompt_file import PromptFile, error_location

MOST_PLACES = 20_000  # files and folders to scan, at most
_YOUNG = 2 * 10**9  # nanoseconds; a second change within them may not alter the file's modification time
_VERSION = 12  # letters
_Stamp = tuple[int, int, int]
_NO_TEXTS: Mapping[str, str] = {}


class UnreadablePrompt(Value):
    """A file that cannot be read or rendered.

    ``file``: path in the folder. ``line``: 0 if unknown. ``kept``: its prompts remain available in their earlier
    version.
    """

    file: str
    line: int
    error: str
    todo: str = ""
    kept: bool = False

    @property
    def stem(self) -> str:
        """The name of its prompts, unless another file has the same name."""
        return formats.stem_of(self.file)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        after = " (it is served as it was before)" if self.kept else ""
        return f"prompt file {place}: {self.error}{f'; {self.todo}' if self.todo else ''}{after}"


@dataclass(frozen=True)
class LoadedPrompt:
    """A loaded prompt.

    Attributes:
        name: name for clients. place: path of its file in the folder. version: hash of its text and of the files it
            uses.
        error: the problem of the current file, if an earlier version is kept.
        texts: texts of all files that it was read from, by path.
    """

    name: str
    place: str
    file: PromptFile
    version: str
    texts: Mapping[str, str]
    error: UnreadablePrompt | None = None


class _Read(NamedTuple):
    """The last result of reading a file.

    ``error``: the current file cannot be read, never could be, or can be read but not rendered, for example because a
    partial is missing.
    """

    prompts: tuple[PromptFile, ...]
    texts: Mapping[str, str]
    version: str
    error: UnreadablePrompt | None = None


class PromptFolder:
    """The prompts of a folder. ``reload_changed`` reads changed files and runs in a thread; everything else is fast.

    Attributes:
        prompts: by name, in order. unreadable: files that cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self.prompts: Mapping[str, LoadedPrompt] = {}
        self.unreadable: tuple[UnreadablePrompt, ...] = ()
        self._also: Mapping[str, tuple[str, ...]] = {}  # aliases, and the prompts that each may stand for
        self._stamps: Mapping[str, _Stamp] = {}
        self._looked = 0  # time of the last scan, in nanoseconds
        self._read: Mapping[str, _Read] = {}

    def find(self, name: str) -> LoadedPrompt:
        """Return the prompt with this name.

        Raises UnknownModel, with the full names if several prompts share the name.
        """
        found = self.prompts.get(name)
        candidates = self._also.get(name, ())
        if found is None and len(candidates) == 1:
            found = self.prompts.get(candidates[0])
        if found is not None:
            return found
        if candidates:
            raise UnknownModel(
                f"{name} is the name of {len(candidates)} prompts",
                todo=f"ask for {' or '.join(f'{PROMPT}{each}' for each in candidates[:5])}",
            )
        raise UnknownModel(f"there is no prompt named {name[:200]}")

    def relative_place(self, where: str) -> str:
        """Return a location for an error without the path of the folder, which is private."""
        return where.removeprefix(f"{self.path}{os.sep}")

    # ---- detection of changes ---------------------------------------------------------------------

    def reload_changed(self) -> bool:
        """Read the files that changed since the last call; return whether any did.

        Raises InputMissing if the folder does not exist, PromptError if it contains too much; earlier prompts stay
        available.
        """
        now, texts = time.time_ns(), dict[str, str]()
        stamps = dict(self._stamped())
        changed = {path for path in stamps.keys() | self._stamps.keys() if stamps.get(path) != self._stamps.get(path)}
        changed |= set(self._rewritten(stamps.keys() - changed, texts))
        if not changed and self._looked:
            return False
        files = {path.relative_to(self.path).as_posix(): path for path in formats.files_in(self.path)}
        current_names = set(map(str, files.values()))
        folders = {str(folder) for path in changed - current_names for folder in Path(path).parents}
        read: dict[str, _Read] = {}
        for place, path in files.items():
            before = self._read.get(place)
            same = before is not None and not self._must_reread(path, before, changed, folders)
            read[place] = before if before is not None and same else self._reading(place, path, before, texts)
        self._stamps, self._looked, self._read = stamps, now, read
        self._name()
        return True

    def _stamped(self) -> Iterator[tuple[str, _Stamp]]:
        """Yield every file of the folder, and files elsewhere that were read, each with a stamp that shows changes."""
        if not self.path.is_dir():
            todo = "make it, or name another under prompts in [serve]"
            raise InputMissing("is no folder", where=str(self.path), todo=todo)
        left, count = [str(self.path)], 0
        elsewhere = {path for each in self._read.values() for path in each.texts}
        while left:
            with os.scandir(left.pop()) as found:
                for each in found:
                    count += 1
                    if count > MOST_PLACES:
                        what = f"holds more than {MOST_PLACES:,} files and folders"
                        raise PromptError(what, where=str(self.path), todo="name a folder of prompt files alone")
                    if each.name.startswith("."):
                        continue
                    if each.is_dir(follow_symlinks=False):
                        left.append(each.path)
                    elif stamp := _stamp(each.path):
                        elsewhere.discard(each.path)
                        yield each.path, stamp
        for path in elsewhere:
            if stamp := _stamp(path):
                yield path, stamp

    def _rewritten(self, paths: Iterable[str], texts: dict[str, str]) -> Iterator[str]:
        """Yield files whose text changed although their stamp did not, because they were rewritten too quickly."""
        known: dict[str, str] = {}
        for each in self._read.values():
            known.update(each.texts)
        for path in paths:
            if path in known and self._looked - self._stamps[path][0] < _YOUNG:
                with suppress(IntermodalError), source_text.cached_texts(_NO_TEXTS) as texts_read:
                    source_text.text_of(Path(path))
                if texts_read.get(path) != known[path]:
                    yield path

    @staticmethod
    def _must_reread(path: Path, before: _Read, changed: set[str], folders: set[str]) -> bool:
        """Return whether a file must be read again. Any change may have repaired a broken file.

        ``folders``: parents of changed files that are not prompts, since a prompt there may use them.
        """
        touched = not changed.isdisjoint({*before.texts, str(path)})
        return touched or before.error is not None or str(path.parent) in folders

    def _reading(self, place: str, path: Path, before: _Read | None, texts: dict[str, str]) -> _Read:
        """Read a file; on failure return its earlier version, with the error."""
        good = before if before is not None and before.prompts and _is_renderable(before) else None
        try:
            prompt_read = self._read_file(place, path, texts)
            if prompt_read.error is None or good is None:
                return prompt_read
            wrong = prompt_read.error
        except IntermodalError as error:
            wrong = self._unreadable_prompt(place, error)
        except Exception as error:  # of a third party's format
            wrong = UnreadablePrompt(file=place, line=0, error=f"its reader failed ({type(error).__name__})")
        if good is not None:
            return good._replace(error=replace(wrong, kept=True))
        return _Read((), _NO_TEXTS, "", wrong)

    def _unreadable_prompt(self, place: str, error: IntermodalError) -> UnreadablePrompt:
        file, line = error_location(error)
        shown_place = self.relative_place(file) or place
        where = "" if shown_place == place else f"{shown_place}: "
        return UnreadablePrompt(file=place, line=0 if where else line, error=f"{where}{error.what}", todo=error.todo)

    def _read_file(self, place: str, path: Path, texts: dict[str, str]) -> _Read:
        if not is_within_folder(self.path, path):
            raise PromptError(
                "is a link that leads out of the folder", where=str(path), todo="put the file itself there"
            )
        with source_text.cached_texts(texts) as texts_read:
            prompts = formats.prompts_of(path)
            wrong = None
            for each in prompts:  # files that rendering reads must be known, too
                try:
                    sample_arguments.render_sample(each)
                except IntermodalError as error:
                    wrong = wrong or self._unreadable_prompt(place, error)
        texts.update(texts_read)
        digest = hashlib.sha256()
        for name, text in sorted(texts_read.items()):
            for piece in (os.path.relpath(name, path.parent), text):
                digest.update(f"{len(piece)}:{piece}".encode("utf-8", "replace"))
        return _Read(prompts, dict(texts_read), digest.hexdigest()[:_VERSION], wrong)

    # ---- names --------------------------------------------------------------------------------------

    def _name(self) -> None:
        loaded: dict[str, LoadedPrompt] = {}
        also: dict[str, tuple[str, ...]] = {}
        stems = {place: formats.stem_of(place) for place in self._read}
        alone = {stem for stem, count in Counter(stems.values()).items() if count == 1}
        for place, stem in stems.items():
            read = self._read[place]
            head = stem if stem in alone else place
            for file in read.prompts:
                name = head if len(read.prompts) == 1 else f"{head}#{file.name}"
                loaded[name] = LoadedPrompt(name, place, file, read.version, read.texts, read.error)
                for other in (stem, place, f"{stem}#{file.name}", f"{place}#{file.name}"):
                    if other != name:
                        also[other] = (*also.get(other, ()), name)
        self.prompts, self._also = dict(sorted(loaded.items())), also
        self.unreadable = tuple(read.error for read in self._read.values() if read.error is not None)


def _is_renderable(read: _Read) -> bool:
    """Return whether its prompts can be rendered, in their current version or an earlier one."""
    return read.error is None or read.error.kept


def _stamp(path: str) -> _Stamp | None:
    try:
        found = os.stat(path)
    except OSError:  # deleted, or a dangling link
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
