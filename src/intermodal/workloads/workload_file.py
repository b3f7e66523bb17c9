"""Parse a workload document, from a file or from Python, into a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from intermodal.config import Config
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import IntermodalError, UsageError
from intermodal.estimates import part_notation
from intermodal.request import (
    EmbeddingOutput,
    JsonOutput,
    Output,
    Policy,
    ScoresOutput,
    SpeechOutput,
    TextOutput,
    TranscriptOutput,
)
from intermodal.request_builder import checked_hosts
from intermodal.workloads import located_document
from intermodal.workloads.located_document import MOST_BYTES, LocatedDocument, document_of
from intermodal.workloads.workload import (
    DAYS,
    KINDS,
    LETTERS_PER_PAGE,
    NO_LIMIT,
    PlanSpec,
    Workload,
    WorkloadPart,
    check_document,
)

MOST_PARTS, MOST_PAGES = 2_000, 20_000
_FITS: Mapping[str, tuple[str, ...]] = {
    "text_density": ("image", "pdf"), "letters_per_page": ("pdf",), "scanned": ("pdf",), "silent": ("video",),
    "count": ("image", "audio", "video", "pdf", "letters"),
}  # fmt: skip
_GRAMMAR: Mapping[str, Callable[[str], CountablePart]] = {
    "image": part_notation.image, "audio": part_notation.audio, "video": part_notation.video, "pdf": part_notation.pdf,
}  # fmt: skip
_OUTPUTS: Mapping[str, Callable[[Mapping[str, Any]], Output]] = {
    "text": lambda said: TextOutput(),
    "json": lambda said: JsonOutput(schema=dict(said.get("schema", {"type": "object"}))),
    "transcript": lambda said: TranscriptOutput(),
    "speech": lambda said: SpeechOutput(),
    "embedding": lambda said: EmbeddingOutput(),
    "scores": lambda said: ScoresOutput(labels=tuple(said["labels"])),
}


def read_workload(path: Path, config: Config, env: Mapping[str, str]) -> Workload:
    """Raises UsageError with file and line for an invalid document."""
    return _workload(check_document(_located(path)), path.parent, path.stem, Names(config, env))


def workload_of(
    document: str | PathLike[str] | Mapping[str, Any] | None, keys: Mapping[str, Any], config: Config,
    env: Mapping[str, str],
) -> Workload:  # fmt: skip
    """A document as a program has it: a file's name or a mapping, whose keys ``keys`` go before; or these alone.

    Raises UsageError for an invalid document.
    """
    if isinstance(document, str | PathLike):
        path = Path(document)
        found, folder, name = _located(path), path.parent, path.stem
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
    return _workload(check_document(found), folder, name, Names(config, env))


class Names(NamedTuple):
    """Where names of hosts are looked up."""

    config: Config
    env: Mapping[str, str]


def _located(path: Path) -> LocatedDocument:
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


def _workload(found: LocatedDocument, folder: Path, name: str, names: Names) -> Workload:
    """The value of a document that its schema takes."""
    said: dict[str, Any] = found.value
    parts = tuple(_part(found, place, each, folder) for place, each in enumerate(said.get("parts", ())))
    _not_too_many(found, parts)
    if not parts and not said.get("prompt", "").strip():
        raise UsageError("nothing is asked", where=found.where(()), todo="give a prompt, parts, or both")
    output = said.get("output", {})
    if output.get("kind") == "scores" and "labels" not in output:
        raise UsageError("scores need labels", where=found.where(("output",)), todo="labels: [invoice, letter]")
    return Workload(
        name=said.get("name") or name,
        requests=_requests(found, said["requests"]),
        plans=_plans(found, said, names),
        day=_day(found, said.get("as_of", "")),
        prompt=said.get("prompt", ""),
        system=said.get("system", ""),
        parts=parts,
        output=_OUTPUTS[output.get("kind", "text")](output),
        tokens=output.get("tokens"),
        max_tokens=output.get("max_tokens"),
    )


def _not_too_many(found: LocatedDocument, parts: tuple[WorkloadPart, ...]) -> None:
    """A slip of the pen must not be planned for minutes."""
    pages = sum(part.count * part.piece.pages for part in parts if part.piece is not None)
    for many, most, what in ((sum(part.count for part in parts), MOST_PARTS, "parts"), (pages, MOST_PAGES, "pages")):
        if many > most:
            raise UsageError(f"{many:,} {what} in one request, and {most:,} are planned at most",
                             where=found.where(("parts",)))  # fmt: skip


def _requests(found: LocatedDocument, said: Mapping[str, Any]) -> float:
    where = found.where(("requests",))
    if ("per_day" in said) == ("per_month" in said):
        raise UsageError("give per_day or per_month, one of them", where=where)
    if "per_month" in said and "days" in said:
        raise UsageError("days belongs to per_day", where=found.where(("requests", "days")), todo="leave it out")
    return float(said["per_month"]) if "per_month" in said else float(said["per_day"]) * float(said.get("days", DAYS))


def _day(found: LocatedDocument, said: str) -> str:
    try:
        return date.fromisoformat(said).isoformat() if said else ""
    except ValueError:
        raise UsageError(f"as_of: {said!r} is not a day", where=found.where(("as_of",)), todo="2026-11-25") from None


def _part(found: LocatedDocument, place: int, said: Mapping[str, Any], folder: Path) -> WorkloadPart:
    at = ("parts", place)
    kinds = [kind for kind in KINDS if kind in said]
    if len(kinds) != 1:
        raise UsageError(
            f"a part is one of {', '.join(KINDS)}" + (f", not {' and '.join(kinds)}" if kinds else ""),
            where=found.where(at),
        )
    kind = kinds[0]
    for key, fits in _FITS.items():
        if key in said and kind not in fits:
            raise UsageError(f"{key} does not belong to {kind}", where=found.where((*at, key)), todo="leave it out")
    if kind == "file":
        if "://" in said["file"]:
            where = found.where((*at, "file"))
            raise UsageError("file: nothing is fetched for a bill", where=where, todo="save it and name the file")
        return WorkloadPart(name=said.get("name", ""), file=str(folder / said["file"]))
    try:
        piece = _imagined(kind, said[kind])
    except IntermodalError as error:
        raise UsageError(f"{kind}: {error.what}", where=found.where((*at, kind)), todo=error.hints.todo) from None
    return WorkloadPart(
        name=said.get("name", ""), piece=piece, count=said.get("count", 1), density=said.get("text_density"),
        letters=0 if said.get("scanned") else said.get("letters_per_page", LETTERS_PER_PAGE),
        silent=said.get("silent", False),
    )  # fmt: skip


def _imagined(kind: str, said: Any) -> CountablePart:
    if kind == "letters":
        return CountablePart(kind="text", name=f"text of {said:,} letters", chars=said, size=said)
    return _GRAMMAR[kind](said)


def _plans(found: LocatedDocument, said: Mapping[str, Any], names: Names) -> tuple[PlanSpec, ...]:
    plans: list[PlanSpec] = []
    for place, own in enumerate(said["plans"]):
        if own["name"] in (plan.name for plan in plans):
            raise UsageError(
                f"two plans are called {own['name']!r}", where=found.where(("plans", place, "name")),
                todo="give each its own name",
            )  # fmt: skip
        merged = {**said.get("policy", {}), **own}
        where = found.where(("plans", place, "host" if "host" in own else "hosts"))
        policy = _policy(merged, names, where)
        discounts = {"batch": merged.get("batch", False), "cached": merged.get("cached", 0)}
        plans.append(PlanSpec(name=own["name"], policy=policy, **discounts))
    return tuple(plans)


def _policy(said: Mapping[str, Any], names: Names, where: str) -> Policy:
    """A plan's keys as a policy. A host that is named, alone or before a model, may be priced: nothing is sent."""
    model = said.get("model", "")
    named = tuple(host for host in (said.get("host", ""), *said.get("hosts", ())) if host)
    hosts = (*checked_hosts(named, *names, where=where), *_before(model, names))
    plain = {key: said[key] for key in _SAME if key in said}
    return msgspec.convert(
        {
            "max_cost": NO_LIMIT, "max_cost_stated": "max_cost" in said, **plain, "model": model,
            "hosts": tuple(dict.fromkeys(hosts)),
            "farthest": "machine" if said.get("local") else "internet",
        },
        Policy,
    )  # fmt: skip


def _before(model: str, names: Names) -> tuple[str, ...]:
    """The host that stands before a model (``host:vendor/model``), where it is one that wants consent."""
    host, colon, _ = model.partition(":")
    try:
        return checked_hosts((host,), *names) if colon and "/" not in host else ()
    except UsageError:
        return ()


_SAME = (
    "objective", "at_least", "keep", "private", "release", "max_cost", "deadline", "time_value", "language",
)  # fmt: skip
