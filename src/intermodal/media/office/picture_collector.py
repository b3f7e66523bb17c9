"""Collects the pictures of a file: each once; small decoration and undecodable ones are left out and counted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

from intermodal.errors import InputError
from intermodal.media.office.conversion_types import MAX_PICTURES, MIN_PICTURE_SIDE, EmbeddedFile
from intermodal.media.worker_results import MediaProbeResult
from intermodal.plans.numbers import counted

Probe = Callable[[bytes], MediaProbeResult]


class PictureCollector:
    """``probe`` reads the size of a picture, or raises an InputError when it is none that is taken."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._place: dict[str, int] = {}  # by digest; 0 is left out
        self._held: list[EmbeddedFile] = []
        self._left: Counter[str] = Counter()
        self.outside = 0  # pictures that are only pointed at

    def add(self, data: bytes) -> int:
        """The picture's number, 0 when it is left out."""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._place:
            self._place[digest] = self._new(data)
        return self._place[digest]

    def _new(self, data: bytes) -> int:
        try:
            found = self._probe(data)
        except InputError:
            self._left["unreadable"] += 1
            return 0
        if min(found.width, found.height) < MIN_PICTURE_SIDE:
            self._left["tiny"] += 1
            return 0
        if len(self._held) >= MAX_PICTURES:
            self._left["more"] += 1
            return 0
        self._held.append(EmbeddedFile(data=data))
        return len(self._held)

    def mark(self, data: bytes, alt: str = "") -> str:
        """Return the mark of a picture in the text: "[picture 2: the plant]", or "" for one left out."""
        number = self.add(data)
        said = " ".join(alt.split())[:200].strip("[]")
        return f"[picture {number}{f': {said}' if said else ''}]" if number else ""

    @property
    def pictures(self) -> tuple[EmbeddedFile, ...]:
        return tuple(self._held)

    def notes(self) -> list[str]:
        found = []
        if self._left["tiny"]:
            found.append(f"{counted(self._left['tiny'], 'picture')} smaller than {MIN_PICTURE_SIDE} px left out")
        if self._left["unreadable"]:
            found.append(f"{counted(self._left['unreadable'], 'picture')} of a kind that is not taken left out")
        if self._left["more"]:
            found.append(f"{counted(self._left['more'], 'picture')} after the first {MAX_PICTURES} left out")
        if self.outside:
            found.append(f"{counted(self.outside, 'picture')} on the web not fetched")
        return found
