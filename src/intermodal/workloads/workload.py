"""A workload document: one kind of request, its rate, and the plans to compare, as values.

A document, from a file or from Python, is checked against the published schema (``data/workload.schema.json``), which
is the only list of keys; ``WorkloadKeys`` (``workload_keys.py``) are their types for type checkers.

Parts that are only described are turned into the facts that probing would find, as far as they are stated
(``hypothetical_part``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from difflib import get_close_matches
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from intermodal.client.request_builder import checked_hosts
from intermodal.config.config_file import Config
from intermodal.core.content import BytesSource, File, Image, Text, Value
from intermodal.core.content import Part as ContentPart
from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.core.request import (
    EmbeddingOutput,
    JsonOutput,
    Output,
    Policy,
    ScoresOutput,
    SpeechOutput,
    TextOutput,
    TranscriptOutput,
)
from intermodal.cost_model import token_counts
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import IntermodalError, UsageError
from intermodal.files import located_document
from intermodal.files.located_document import MOST_BYTES, LocatedDocument, document_of
from intermodal.plans.facts import PageFacts, PartFacts

SCHEMA = Path(__file__).parent / "data" / "workload.schema.json"
_DAYS = 365 / 12  # days per month
LETTERS_PER_PAGE = 2_000  # characters of a hypothetical PDF page: a report with margins and headings
NO_LIMIT = 1e9  # USD per request; the purpose is to find out the cost
_KINDS = ("image", "audio", "video", "pdf", "letters", "file")
_FEW = 8  # maximum number of enumeration values listed in full


class WorkloadPart(Value):
    """One part of a request, or ``count`` identical ones: a real ``file`` or a hypothetical ``piece``.

    Attributes:
        density: share of an image or scanned page covered by text, None if unstated.
        letters: characters per page of a PDF, 0 for a scan. silent: a video without audio.
    """

    name: str
    piece: CountablePart | None = None
    file: str = ""
    count: int = 1
    density: float | None = None
    letters: int = LETTERS_PER_PAGE
    silent: bool = False


class PlanSpec(Value):
    """A plan to be made: its name and policy.

    ``batch``: use batch prices. ``cached``: tokens of its text that are in the answering host's prompt cache.
    """

    name: str
    policy: Policy
    batch: bool = False
    cached: int = 0


class Workload(Value):
    """A workload.

    ``tokens``: of an answer, None for the planner's own range. ``requests``: per month. ``day``: of the prices, "" is
    today.
    """

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


def _check_document(document: LocatedDocument) -> LocatedDocument:
    """Validate a document against the schema.

    Raises UsageError with file and line, and the nearest known key for an unknown one.
    """
    if not isinstance(document.value, dict):
        raise UsageError("is not a workload", where=document.name, todo="begin it with: workload: 1")
    version = document.value.get("workload")
    if isinstance(version, int) and not isinstance(version, bool) and version > 1:
        raise UsageError(
            f"is of version {version} of the format, and this intermodal knows 1", where=document.where(("workload",)),
            todo="update intermodal",
        )  # fmt: skip
    problems = sorted(_validator().iter_errors(document.value), key=lambda each: _order(document, each))
    if problems:
        raise _error(document, problems[0])
    return document


def _order(document: LocatedDocument, problem: Any) -> tuple[bool, int]:
    """Sort unknown keys first, since a typo may be why another key is missing; then by line."""
    line = document.where(_place(problem)).rpartition(":")[2]
    return problem.validator != "additionalProperties", int(line) if line.isdigit() else 0


def _place(problem: Any) -> tuple[str | int, ...]:
    path = tuple(problem.absolute_path)
    if problem.validator == "additionalProperties":
        return (*path, next(key for key in problem.instance if key not in problem.schema["properties"]))
    return path


def _error(document: LocatedDocument, problem: Any) -> UsageError:
    place = _place(problem)
    where = document.where(place)
    rule, expected, actual = problem.validator, problem.validator_value, problem.instance
    last = str(place[-1]) if place else "the document"
    actual_text = json.dumps(actual, default=str)[:60]
    if rule == "additionalProperties":
        known_keys = list(problem.schema["properties"])
        near = get_close_matches(last, known_keys, 1, 0.5)
        todo = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known_keys)}"
        return UsageError(f"no key {last!r} is known here", where=where, todo=todo)
    if rule == "required":
        missing = next(key for key in expected if key not in actual)
        return UsageError(f"{missing!r} is missing", where=where, todo="see docs/cost.md")
    if rule == "enum":
        near = get_close_matches(str(actual), expected, 1, 0.5)
        todo = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(map(str, expected))}"
        return UsageError(f"{last}: {actual_text} is not known", where=where, todo=todo)
    return UsageError(f"{last}: {_unfit(rule, expected, actual_text)}", where=where)


def _unfit(rule: str, expected: Any, actual_text: str) -> str:
    return {
        "type": f"{actual_text} is not {_TYPES.get(str(expected), expected)}",
        "const": f"{actual_text} is not {expected}, the version of the format",
        "pattern": f"{actual_text} is not a day, written 2026-11-25",
        "exclusiveMinimum": f"{actual_text} is not more than {expected}",
        "minimum": f"{actual_text} is less than {expected}",
        "maximum": f"{actual_text} is more than {expected}",
        "minItems": f"at least {expected} are needed",
        "maxItems": f"more than {expected}",
        "minLength": "is empty",
    }.get(rule, f"{actual_text} does not fit")


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
_DENSE = 0.2  # relative error of a stated density
_DETAILS = ("low", "high", "original")


def hypothetical_part(part: WorkloadPart, index: int, name: str) -> tuple[ContentPart, PartFacts]:
    """Return a hypothetical part and its facts. ``index``: as in ``Request.parts()``."""
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


def _density(density: float | None) -> Quantity:
    if density is None:
        return unknown("not sampled")
    return between(density * (1 - _DENSE), density, min(1.0, density * (1 + _DENSE)), "said")


MOST_PARTS, MOST_PAGES = 2_000, 20_000
_FITS: Mapping[str, tuple[str, ...]] = {
    "text_density": ("image", "pdf"), "letters_per_page": ("pdf",), "scanned": ("pdf",), "silent": ("video",),
    "count": ("image", "audio", "video", "pdf", "letters"),
}  # fmt: skip
_GRAMMAR: Mapping[str, Callable[[str], CountablePart]] = {
    "image": token_counts.image, "audio": token_counts.audio, "video": token_counts.video, "pdf": token_counts.pdf,
}  # fmt: skip
_OUTPUTS: Mapping[str, Callable[[Mapping[str, Any]], Output]] = {
    "text": lambda output: TextOutput(),
    "json": lambda output: JsonOutput(schema=dict(output.get("schema", {"type": "object"}))),
    "transcript": lambda output: TranscriptOutput(),
    "speech": lambda output: SpeechOutput(),
    "embedding": lambda output: EmbeddingOutput(),
    "scores": lambda output: ScoresOutput(labels=tuple(output["labels"])),
}


def read_workload(path: Path, config: Config, env: Mapping[str, str]) -> Workload:
    """Read a workload file. Raises UsageError with file and line for an invalid document."""
    return _workload(_check_document(_locate(path)), path.parent, path.stem, Names(config, env))


def workload_of(
    document: str | PathLike[str] | Mapping[str, Any] | None, keys: Mapping[str, Any], config: Config,
    env: Mapping[str, str],
) -> Workload:  # fmt: skip
    """Return the workload of a Python call: a file name or a mapping, overridden by ``keys``; or ``keys`` alone.

    Raises UsageError for an invalid document.
    """
    if isinstance(document, str | PathLike):
        path = Path(document)
        found, folder, name = _locate(path), path.parent, path.stem
    elif document is None or isinstance(document, Mapping):
        found, folder, name = document_of("workload", {"workload": 1, **(document or {})}), Path(), "workload"
    else:
        what = f"the first argument is {type(document).__name__}, neither a file nor a mapping"
        raise UsageError(what, todo='write cost("calls.yaml"), or cost(requests={"per_day": 100}, plans=[…])')
    if keys and isinstance(found.value, dict):
        own = document_of("workload", keys).value
        lines = {path: line for path, line in found.lines.items() if not path or path[0] not in own}
        found = replace(found, value={**found.value, **own}, lines=lines)
        folder = Path() if "parts" in own else folder
    return _workload(_check_document(found), folder, name, Names(config, env))


class Names(NamedTuple):
    """Where host names are looked up."""

    config: Config
    env: Mapping[str, str]


def _locate(path: Path) -> LocatedDocument:
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UsageError(f"is larger than {MOST_BYTES >> 20} MB", where=name, todo="name a workload file")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("is not text in UTF-8", where=name, todo="name a workload file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise UsageError(f"cannot be read ({reason.lower()})", where=name, todo="name a workload file") from None
    return located_document.read_document(name, text)


def _workload(document: LocatedDocument, folder: Path, name: str, names: Names) -> Workload:
    """Return the workload of a valid document."""
    fields: dict[str, Any] = document.value
    parts = tuple(_part(document, place, each, folder) for place, each in enumerate(fields.get("parts", ())))
    _not_too_many(document, parts)
    if not parts and not fields.get("prompt", "").strip():
        raise UsageError("nothing is asked", where=document.where(()), todo="give a prompt, parts, or both")
    output = fields.get("output", {})
    if output.get("kind") == "scores" and "labels" not in output:
        raise UsageError("scores need labels", where=document.where(("output",)), todo="labels: [invoice, letter]")
    return Workload(
        name=fields.get("name") or name,
        requests=_requests(document, fields["requests"]),
        plans=_plans(document, fields, names),
        day=_day(document, fields.get("as_of", "")),
        prompt=fields.get("prompt", ""),
        system=fields.get("system", ""),
        parts=parts,
        output=_OUTPUTS[output.get("kind", "text")](output),
        tokens=output.get("tokens"),
        max_tokens=output.get("max_tokens"),
    )


def _not_too_many(document: LocatedDocument, parts: tuple[WorkloadPart, ...]) -> None:
    """Raise UsageError if a request has so many parts or pages that planning would take minutes."""
    pages = sum(part.count * part.piece.pages for part in parts if part.piece is not None)
    for many, most, what in ((sum(part.count for part in parts), MOST_PARTS, "parts"), (pages, MOST_PAGES, "pages")):
        if many > most:
            raise UsageError(f"{many:,} {what} in one request, and {most:,} are planned at most",
                             where=document.where(("parts",)))  # fmt: skip


def _requests(document: LocatedDocument, fields: Mapping[str, Any]) -> float:
    where = document.where(("requests",))
    if ("per_day" in fields) == ("per_month" in fields):
        raise UsageError("give per_day or per_month, one of them", where=where)
    if "per_month" in fields and "days" in fields:
        raise UsageError("days belongs to per_day", where=document.where(("requests", "days")), todo="leave it out")
    return (
        float(fields["per_month"])
        if "per_month" in fields
        else float(fields["per_day"]) * float(fields.get("days", _DAYS))
    )


def _day(document: LocatedDocument, day: str) -> str:
    try:
        return date.fromisoformat(day).isoformat() if day else ""
    except ValueError:
        raise UsageError(f"as_of: {day!r} is not a day", where=document.where(("as_of",)), todo="2026-11-25") from None


def _part(document: LocatedDocument, place: int, fields: Mapping[str, Any], folder: Path) -> WorkloadPart:
    path = ("parts", place)
    kinds = [kind for kind in _KINDS if kind in fields]
    if len(kinds) != 1:
        raise UsageError(
            f"a part is one of {', '.join(_KINDS)}" + (f", not {' and '.join(kinds)}" if kinds else ""),
            where=document.where(path),
        )
    kind = kinds[0]
    for key, fits in _FITS.items():
        if key in fields and kind not in fits:
            raise UsageError(
                f"{key} does not belong to {kind}", where=document.where((*path, key)), todo="leave it out"
            )
    if kind == "file":
        if "://" in fields["file"]:
            where = document.where((*path, "file"))
            raise UsageError("file: nothing is fetched for a bill", where=where, todo="save it and name the file")
        return WorkloadPart(name=fields.get("name", ""), file=str(folder / fields["file"]))
    try:
        piece = _hypothetical_part(kind, fields[kind])
    except IntermodalError as error:
        raise UsageError(f"{kind}: {error.what}", where=document.where((*path, kind)), todo=error.hints.todo) from None
    return WorkloadPart(
        name=fields.get("name", ""), piece=piece, count=fields.get("count", 1), density=fields.get("text_density"),
        letters=0 if fields.get("scanned") else fields.get("letters_per_page", LETTERS_PER_PAGE),
        silent=fields.get("silent", False),
    )  # fmt: skip


def _hypothetical_part(kind: str, value: Any) -> CountablePart:
    if kind == "letters":
        return CountablePart(kind="text", name=f"text of {value:,} letters", chars=value, size=value)
    return _GRAMMAR[kind](value)


def _plans(document: LocatedDocument, fields: Mapping[str, Any], names: Names) -> tuple[PlanSpec, ...]:
    plans: list[PlanSpec] = []
    for place, own in enumerate(fields["plans"]):
        if own["name"] in (plan.name for plan in plans):
            raise UsageError(
                f"two plans are called {own['name']!r}", where=document.where(("plans", place, "name")),
                todo="give each its own name",
            )  # fmt: skip
        merged_policy = {**fields.get("policy", {}), **own}
        where = document.where(("plans", place, "host" if "host" in own else "hosts"))
        policy = _policy(merged_policy, names, where)
        discounts = {"batch": merged_policy.get("batch", False), "cached": merged_policy.get("cached", 0)}
        plans.append(PlanSpec(name=own["name"], policy=policy, **discounts))
    return tuple(plans)


def _policy(fields: Mapping[str, Any], names: Names, where: str) -> Policy:
    """Return the policy of a plan. Named hosts may be priced without consent, because nothing is sent."""
    model = fields.get("model", "")
    host_names = tuple(host for host in (fields.get("host", ""), *fields.get("hosts", ())) if host)
    hosts = (*checked_hosts(host_names, *names, where=where), *_before(model, names))
    plain = {key: fields[key] for key in _SAME if key in fields}
    return msgspec.convert(
        {
            "max_cost": NO_LIMIT, "max_cost_stated": "max_cost" in fields, **plain, "model": model,
            "hosts": tuple(dict.fromkeys(hosts)),
            "farthest": "machine" if fields.get("local") else "internet",
        },
        Policy,
    )  # fmt: skip


def _before(model: str, names: Names) -> tuple[str, ...]:
    """Return the host in ``host:vendor/model``, if it is one that needs consent."""
    host, colon, _ = model.partition(":")
    try:
        return checked_hosts((host,), *names) if colon and "/" not in host else ()
    except UsageError:
        return ()


_SAME = (
    "objective", "at_least", "keep", "private", "release", "max_cost", "deadline", "time_value", "language",
)  # fmt: skip
