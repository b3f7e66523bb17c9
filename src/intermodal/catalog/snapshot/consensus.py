"""The capabilities of a model, settled over the rows of all its hosts: a pure function of their claims.

Published data has one row a host, and each states inputs and outputs on its own. A row that states less may be right,
as a host may serve less of a model. A row that states more makes a claim about the model, and one slip would give it
an input it lacks. So a claim is accepted if the vendor's own host makes it and at least half of all rows do; if the
vendor has no row, at least half suffice. Rejected claims are kept beside the row and shown.

Not settled here is what a host does rather than a model: documents (it takes them apart) and a forced schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from intermodal.catalog.provenance import DisputedCapability
from intermodal.catalog.snapshot.file import SnapshotRow
from intermodal.content import KINDS


class _Field(NamedTuple):
    """A field of rows whose words are claims of the model; ``suffix`` of what a doubt is about."""

    name: Literal["input", "output", "can"]
    suffix: str
    settled: frozenset[str]


_FIELDS = (
    _Field("input", " input", frozenset(("text", "image", "audio", "video"))),
    _Field("output", " output", frozenset(("text", "image", "audio", "video"))),
    _Field("can", "", frozenset(("tools", "reasoning"))),
)


def drop_disputed_claims(rows: Iterable[SnapshotRow], own: Mapping[str, str]) -> list[SnapshotRow]:
    """Return the rows without rejected claims, each with its disputes. ``own``: hosts that mainly serve their own
    models, with the vendor they are. Rows without stated inputs and outputs are unchanged."""
    found = list(rows)
    by_model: dict[str, list[SnapshotRow]] = {}
    for row in found:
        if row.input and row.output:
            by_model.setdefault(row.id, []).append(row)
    doubts = {model: list(_doubts(some, own)) for model, some in by_model.items() if len(some) > 1}
    return [_without(row, doubts.get(row.id, ())) for row in found]


def _doubts(rows: list[SnapshotRow], own: Mapping[str, str]) -> Iterator[tuple[_Field, str, DisputedCapability]]:
    """Yield the disputed claims of one model: the field, the word and the counts."""
    ours = [row for row in rows if own.get(row.host, row.host) == row.id.partition("/")[0]]
    for field in _FIELDS:
        for word in sorted({word for row in rows for word in getattr(row, field.name)} & field.settled):
            claims = _claims(rows, field, word)
            own_host = 2 * _claims(ours, field, word) >= len(ours) if ours else None
            held = own_host is not False and 2 * claims >= len(rows)
            if not held or (own_host is None and 2 * claims == len(rows)):
                yield field, word, DisputedCapability(word + field.suffix, claims, len(rows), own_host, held)


def _claims(rows: list[SnapshotRow], field: _Field, word: str) -> int:
    return sum(word in getattr(row, field.name) for row in rows)


def _without(row: SnapshotRow, doubts: Iterable[tuple[_Field, str, DisputedCapability]]) -> SnapshotRow:
    """Return the row with accepted claims only. Never without any input or output."""
    mine: list[DisputedCapability] = []
    left: dict[str, tuple[str, ...]] = {field.name: getattr(row, field.name) for field in _FIELDS}
    for field, word, doubt in doubts:
        if word not in left[field.name]:
            continue
        fewer = tuple(each for each in left[field.name] if each != word)
        if not doubt.held and (fewer or field.name == "can"):
            left[field.name] = fewer
        mine.append(doubt)
    return msgspec.structs.replace(row, **left, doubts=tuple(mine)) if mine else row


class AgreedCapabilities(Struct, frozen=True):
    """A model over all its rows, () for unstated facts; and its disputes."""

    input: tuple[str, ...]
    output: tuple[str, ...]
    tasks: tuple[str, ...]
    can: tuple[str, ...]
    doubts: tuple[DisputedCapability, ...]


def agreed_capabilities(rows: Iterable[SnapshotRow]) -> AgreedCapabilities:
    """Return the capabilities of one model: what any of its settled rows still has."""
    some = list(rows)

    def union(field: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word for row in some for word in getattr(row, field)))

    kinds, stating = set(union("input")), [row for row in some if row.input and row.output]
    if 2 * sum(_TAKEN_APART in row.input for row in stating) < len(stating):
        kinds.discard(_TAKEN_APART)  # a few hosts take documents apart, and the model takes none
    return AgreedCapabilities(
        input=tuple(kind for kind in KINDS if kind in kinds), output=union("output"), tasks=union("tasks"),
        can=union("can"), doubts=tuple({doubt.about: doubt for row in some for doubt in row.doubts}.values()),
    )  # fmt: skip


_TAKEN_APART = "document"


def row_over_hosts(rows: Iterable[SnapshotRow]) -> SnapshotRow:
    """Return the most complete row of one model, with the capabilities agreed over all rows."""
    some = list(rows)
    found, best = agreed_capabilities(some), max(some, key=lambda row: (bool(row.input), row.context or 0))
    return msgspec.structs.replace(best, tasks=found.tasks, input=found.input, output=found.output, can=found.can)
