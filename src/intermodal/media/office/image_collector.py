"""Collects the images of a file, each once. Small decoration and undecodable images are left out and counted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

from intermodal.errors import InputError
from intermodal.media.office.conversion_types import MAX_IMAGES, MIN_IMAGE_SIDE, EmbeddedFile
from intermodal.media.worker_results import MediaProbeResult
from intermodal.plans.numbers import with_noun

Probe = Callable[[bytes], MediaProbeResult]


class ImageCollector:
    """Collects the images of a file.

    ``probe`` returns the size of an image, and raises an InputError if the image is not accepted.
    """

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._place: dict[str, int] = {}  # by digest; 0: left out
        self._files: list[EmbeddedFile] = []
        self._left: Counter[str] = Counter()
        self.outside = 0  # images that are linked, not embedded

    def add(self, data: bytes) -> int:
        """Return the number of an image, 0 if it is left out."""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._place:
            self._place[digest] = self._add_image(data)
        return self._place[digest]

    def _add_image(self, data: bytes) -> int:
        try:
            found = self._probe(data)
        except InputError:
            self._left["unreadable"] += 1
            return 0
        if min(found.width, found.height) < MIN_IMAGE_SIDE:
            self._left["tiny"] += 1
            return 0
        if len(self._files) >= MAX_IMAGES:
            self._left["more"] += 1
            return 0
        self._files.append(EmbeddedFile(data=data))
        return len(self._files)

    def image_mark(self, data: bytes, alt: str = "") -> str:
        """Return the mark of an image in the text: "[image 2: the plant]", or "" if the image is left out."""
        number = self.add(data)
        label = " ".join(alt.split())[:200].strip("[]")
        return f"[image {number}{f': {label}' if label else ''}]" if number else ""

    @property
    def collected_images(self) -> tuple[EmbeddedFile, ...]:
        return tuple(self._files)

    def notes(self) -> list[str]:
        found = []
        if self._left["tiny"]:
            found.append(f"{with_noun(self._left['tiny'], 'image')} smaller than {MIN_IMAGE_SIDE} px left out")
        if self._left["unreadable"]:
            found.append(f"{with_noun(self._left['unreadable'], 'image')} of a kind that is not taken left out")
        if self._left["more"]:
            found.append(f"{with_noun(self._left['more'], 'image')} after the first {MAX_IMAGES} left out")
        if self.outside:
            found.append(f"{with_noun(self.outside, 'image')} on the web not fetched")
        return found
