"""Learned limits of endpoints: one small JSON file a lesson, in the data folder.

A file for each limit of each endpoint, written atomically, needs no lock: two processes that learn at once lose
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from intermodal.catalog.capability_lessons import CapabilityLesson
from intermodal.content import Value
from intermodal.store import atomic_file

VERSION = 1
FOLDER = "learned"  # below the data folder


class LessonFile(Value):
    lesson: CapabilityLesson
    kind: Literal["intermodal.lesson"] = "intermodal.lesson"
    version: int = VERSION


def read(folder: Path) -> tuple[CapabilityLesson, ...]:
    """Every lesson, by endpoint; one that cannot be read is learned again."""
    found = []
    for path in (folder / FOLDER).glob("*.json"):
        try:
            file = msgspec.json.decode(path.read_bytes(), type=LessonFile)
        except (OSError, msgspec.DecodeError):
            continue
        if file.version == VERSION:
            found.append(file.lesson)
    return tuple(sorted(found, key=lambda lesson: (lesson.endpoint, lesson.about)))


def keep(folder: Path, lessons: Iterable[CapabilityLesson]) -> None:
    """Keep lessons, each in place of the one there was about the same thing. Raises StoreError."""
    for lesson in lessons:
        name = hashlib.sha256(f"{lesson.endpoint} {lesson.about}".encode()).hexdigest()[:16]
        atomic_file.write_json(folder / FOLDER / f"{name}.json", msgspec.json.encode(LessonFile(lesson=lesson)))
