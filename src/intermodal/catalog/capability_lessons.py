"""Findings of probes and refused calls about endpoints. Values only.

One lesson is about one capability of one endpoint. It applies to the build on which it was observed, and for a limited
number of days if the server does not report its build. Precedence: declared < reported by the server < probed <
observed. Only the newest lesson per endpoint and capability is kept, so that a probe can correct a finding of a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal

import msgspec
from msgspec.structs import replace

from intermodal.catalog.types import (
    Catalog,
    Endpoint,
    EndpointShortcoming,
    Evidence,
    Model,
    Strength,
    Task,
    ToolSupport,
)
from intermodal.core.content import KINDS, Kind, Value

LESSON_DAYS = 30  # validity of a lesson if the server does not report its build
LessonSubject = Literal["text", "image", "audio", "video", "document", "tools", "json"]
_TASKS: Mapping[Kind, Task] = {"image": "image-text-to-text", "audio": "audio-text-to-text"}


class CapabilityLesson(Value):
    """A finding about one capability. ``holds``: the endpoint supports it.

    ``message``: the endpoint's words, or the observation. ``day``: ISO date.
    """

    endpoint: str
    about: LessonSubject
    holds: bool
    level: Literal["probed", "observed"]
    day: str
    build: str = ""
    message: str = msgspec.field(default="", name="said")

    def holds_of(self, endpoint: Endpoint, today: str) -> bool:
        """Return whether the lesson still applies."""
        if self.endpoint != endpoint.id or self.build != endpoint.build:
            return False
        return bool(self.build) or (date.fromisoformat(today) - date.fromisoformat(self.day)).days <= LESSON_DAYS


def lessons_of(shortcoming: EndpointShortcoming, day: str) -> tuple[CapabilityLesson, ...]:
    """Return the lessons from a shortcoming: one per refused input.

    The context is not included, since an endpoint reports it itself.
    """
    return tuple(
        CapabilityLesson(endpoint=shortcoming.endpoint, about=kind, holds=False, level="observed", day=day,
               build=shortcoming.build, message=shortcoming.message)
        for kind in shortcoming.lacks
    )  # fmt: skip


def with_lessons(catalog: Catalog, lessons: Iterable[CapabilityLesson], today: str) -> Catalog:
    """Return the catalog with lessons applied; the same object if nothing changes."""
    changed: dict[str, Endpoint] = {}
    for lesson in lessons:
        endpoint = changed.get(lesson.endpoint) or catalog.by_id.get(lesson.endpoint)
        if endpoint is not None and lesson.holds_of(endpoint, today):
            changed[endpoint.id] = _with_lesson(endpoint, lesson)
    if all(catalog.by_id[name] == endpoint for name, endpoint in changed.items()):
        return catalog
    return replace(catalog, endpoints=tuple(changed.get(each.id, each) for each in catalog.endpoints))


def _with_lesson(endpoint: Endpoint, lesson: CapabilityLesson) -> Endpoint:
    evidence = Evidence(level=lesson.level, source=lesson.message, checked=lesson.day)
    if lesson.about == "tools":
        tools = ToolSupport(takes=lesson.holds, with_json=endpoint.tools.with_json, evidence=evidence)
        return replace(endpoint, tools=tools)
    if lesson.about == "json":
        return replace(endpoint, host=replace(endpoint.host, forced_json=lesson.holds))
    about: set[Kind] = {lesson.about}
    kinds = {*endpoint.input} | about if lesson.holds else {*endpoint.input} - about
    input: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind in kinds)
    if input == endpoint.input:
        return endpoint
    model = _with(endpoint.model, input) if lesson.holds else endpoint.model
    return replace(endpoint, input=input, model=model, evidence=evidence)


def _with(model: Model, kinds: tuple[Kind, ...]) -> Model:
    """Add newly found inputs to a model, with the strength of its text generation for the tasks they enable."""
    new: list[Task] = [_TASKS[kind] for kind in kinds if kind in _TASKS and _TASKS[kind] not in model.tasks]
    text = next((each for each in model.strength if each.task == "text-generation"), None)
    strength = tuple(Strength(task=task, tier=text.tier, evidence=text.evidence) for task in new) if text else ()
    return replace(
        model, tasks=(*model.tasks, *new), input=tuple(kind for kind in KINDS if kind in (*model.input, *kinds)),
        strength=(*model.strength, *strength),
    )  # fmt: skip
