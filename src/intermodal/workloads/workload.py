"""A workload: one kind of request, its rate, and the plans to compare. Values.

Its document is checked against the published schema (``data/workload.schema.json``), which is the only list of keys.

Parts that are only described become the facts that probing would find, as far as they were stated (``imagined``).
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from intermodal.content import BytesSource, File, Image, Text, Value
from intermodal.content import Part as ContentPart
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import UsageError
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.quantity import Quantity, between, exact, unknown
from intermodal.request import Output, Policy, TextOutput
from intermodal.workloads.located_document import LocatedDocument

SCHEMA = Path(__file__).parent / "data" / "workload.schema.json"
DAYS = 365 / 12  # a month
LETTERS_PER_PAGE = 2_000  # of a hypothetical PDF: a page of a report, half of it margins and headings
NO_LIMIT = 1e9  # USD a request: finding out the cost is the purpose
KINDS = ("image", "audio", "video", "pdf", "letters", "file")
_FEW = 8  # values of an enumeration that are all named


class WorkloadPart(Value):
    """One of a request's parts, or ``count`` alike: a real ``file``, or a hypothetical ``piece`` with its properties.

    Attributes:
        density: share of a picture or scanned page that is text, None if unstated.
        letters: of a page of a PDF, 0 for a scanned one. silent: a video without sound.
    """

    name: str
    piece: CountablePart | None = None
    file: str = ""
    count: int = 1
    density: float | None = None
    letters: int = LETTERS_PER_PAGE
    silent: bool = False


class PlanSpec(Value):
    """A plan to be made: its name and its policy.

    ``batch``: at the price of a batch. ``cached``: tokens of its text that the answering host has in its cache.
    """

    name: str
    policy: Policy
    batch: bool = False
    cached: int = 0


class Workload(Value):
    """``tokens``: of an answer, None for the planner's own range. ``requests``: a month. ``day``: "" is today."""

    name: str
    requests: float
    plans: tuple[PlanSpec, ...]
    day: str = ""
    prompt: str = ""
    system: str = ""
    parts: tuple[WorkloadPart, ...] = ()
    output: Output = TextOutput()
    tokens: int | None = None
    max_tokens: int | None = None


def check_document(found: LocatedDocument) -> LocatedDocument:
    """The document, as its schema wants it.

    Raises UsageError with file, line and the nearest name for an unknown key.
    """
    if not isinstance(found.value, dict):
        raise UsageError("is not a workload", where=found.name, todo="begin it with: workload: 1")
    version = found.value.get("workload")
    if isinstance(version, int) and not isinstance(version, bool) and version > 1:
        raise UsageError(
            f"is of version {version} of the format, and this intermodal knows 1", where=found.where(("workload",)),
            todo="update intermodal",
        )  # fmt: skip
    problems = sorted(_validator().iter_errors(found.value), key=lambda each: _order(found, each))
    if problems:
        raise _error(found, problems[0])
    return found


def _order(found: LocatedDocument, problem: Any) -> tuple[bool, int]:
    """Slips of the pen first, which may be why another key is missing; then from top to bottom."""
    line = found.where(_place(problem)).rpartition(":")[2]
    return problem.validator != "additionalProperties", int(line) if line.isdigit() else 0


def _place(problem: Any) -> tuple[str | int, ...]:
    path = tuple(problem.absolute_path)
    if problem.validator == "additionalProperties":
        return (*path, next(key for key in problem.instance if key not in problem.schema["properties"]))
    return path


def _error(found: LocatedDocument, problem: Any) -> UsageError:
    place = _place(problem)
    where = found.where(place)
    rule, wanted, given = problem.validator, problem.validator_value, problem.instance
    last = str(place[-1]) if place else "the document"
    shown = json.dumps(given, default=str)[:60]
    if rule == "additionalProperties":
        known = list(problem.schema["properties"])
        near = get_close_matches(last, known, 1, 0.5)
        todo = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return UsageError(f"no key {last!r} is known here", where=where, todo=todo)
    if rule == "required":
        missing = next(key for key in wanted if key not in given)
        return UsageError(f"{missing!r} is missing", where=where, todo="see docs/cost.md")
    if rule == "enum":
        near = get_close_matches(str(given), wanted, 1, 0.5)
        todo = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(map(str, wanted))}"
        return UsageError(f"{last}: {shown} is not known", where=where, todo=todo)
    return UsageError(f"{last}: {_unfit(rule, wanted, shown)}", where=where)


def _unfit(rule: str, wanted: Any, shown: str) -> str:
    return {
        "type": f"{shown} is not {_TYPES.get(str(wanted), wanted)}",
        "const": f"{shown} is not {wanted}, the version of the format",
        "pattern": f"{shown} is not a day, written 2026-11-25",
        "exclusiveMinimum": f"{shown} is not more than {wanted}",
        "minimum": f"{shown} is less than {wanted}",
        "maximum": f"{shown} is more than {wanted}",
        "minItems": f"at least {wanted} are needed",
        "maxItems": f"more than {wanted}",
        "minLength": "is empty",
    }.get(rule, f"{shown} does not fit")


_TYPES = {
    "string": "text (put it in quotes)", "number": "a number", "integer": "a whole number", "boolean": "true or false",
    "object": "a table of keys", "array": "a list",
}  # fmt: skip


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))


# ---- facts of hypothetical parts --------------------------------------------------------------------


_A4 = (595.0, 842.0)  # points
_DENSE = 0.2  # how far a stated density may be off
_DETAILS = ("low", "high", "original")


def imagined(part: WorkloadPart, index: int, name: str) -> tuple[ContentPart, PartFacts]:
    """The part and its facts. ``index``: as ``Request.parts()`` counts."""
    piece = part.piece
    assert piece is not None, "a real file has real facts"
    if piece.kind == "text":
        facts = PartFacts(index=index, name=name, kind="text", chars=piece.chars or 0, size=piece.size)
        return Text(text="", name=name), facts
    kind = piece.kind
    assert kind in ("image", "audio", "video", "document")
    source = BytesSource(data=b"", name=name)
    facts = PartFacts(
        index=index, name=name, kind=kind, media_type=_MEDIA_TYPES[kind], digest=f"imagined {index} {name}",
        width=piece.width or (1280 if kind == "video" else 0), height=piece.height or (720 if kind == "video" else 0),
        text_density=_density(part.density) if kind == "image" else _density(None),
        seconds=exact(piece.seconds, "said"), fps=piece.fps or (25.0 if kind == "video" else 0.0),
        channels=0 if kind != "video" or part.silent else 2,
        pages=tuple(_page(part, number) for number in range(1, piece.pages + 1)),
    )  # fmt: skip
    if kind == "image" and piece.detail in _DETAILS:
        return Image(source=source, detail=piece.detail), facts  # type: ignore[arg-type]
    return File(source=source), facts


_MEDIA_TYPES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}


def _page(part: WorkloadPart, number: int) -> PageFacts:
    return PageFacts(
        number=number, width=_A4[0], height=_A4[1], chars=part.letters,
        text_density=_density(None if part.letters else part.density),
    )  # fmt: skip


def _density(said: float | None) -> Quantity:
    if said is None:
        return unknown("not sampled")
    return between(said * (1 - _DENSE), said, min(1.0, said * (1 + _DENSE)), "said")
