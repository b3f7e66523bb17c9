"""The snapshot file: thousands of hosted models with limits, modalities and dated prices, from published data.

A text file of lines. The first is a header: the format, the sources with their dates, and for each host its address and
the position of its lines, so that one host can be read without the others, and counting hosts reads only the header.
Every other line is a model at a host. The file is text so that a price change is one line in a diff; lines are arrays
so that five thousand load in a few milliseconds; prices stay undecoded until they are needed.

``builder.py`` writes it; this module only reads it. A file that is truncated, corrupt or of a later format raises one
error that names it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from intermodal.catalog.model_names import EndpointNames, NameIndex
from intermodal.catalog.provenance import DisputedCapability
from intermodal.catalog.rate_cards import RateCard
from intermodal.core.content import Value
from intermodal.errors import ConfigError

SNAPSHOT_FORMAT = 1
SHIPPED_SNAPSHOT = Path(__file__).parents[1] / "data" / "snapshot.jsonl"
_TODO = "write it anew: intermodal models refresh"


class SnapshotOrigin(Value):
    """A published source of the snapshot. ``taken`` is the date of its data (ISO), "" if not stated."""

    name: str
    version: str
    licence: str
    about: str
    taken: str = ""


class SnapshotHost(Value):
    """A host of the snapshot.

    Attributes:
        url: its base URL, "" if models.dev names none.
        keys: environment variables in which its own client looks for a key.
        package: the client library that models.dev names for it.
        start, size: position and size of its lines, in bytes after the header. rows: number of lines.
        tasks: number of models by task, counting only those that can be called over the host's protocol.
    """

    id: str
    name: str = ""
    url: str = ""
    keys: tuple[str, ...] = ()
    package: str = ""
    start: int = 0
    size: int = 0
    rows: int = 0
    tasks: tuple[tuple[str, int], ...] = ()


class SnapshotHeader(Value):
    """The first line.

    Attributes:
        intermodal_snapshot: version of the format.
        made: the day on which it was made (ISO).
        size: bytes after this line.
        first: size and number of the first lines: the models that shipped host rows name. They are needed at every
            start, and are not among the lines of their hosts.
        cheapest: the cheapest models with media input (``endpoints.py``), as host and the host's name for the model;
            never among the first lines.
    """

    intermodal_snapshot: int
    made: str
    size: int
    first: tuple[int, int] = (0, 0)
    cheapest: tuple[tuple[str, str], ...] = ()
    origins: tuple[SnapshotOrigin, ...] = ()
    places: tuple[SnapshotHost, ...] = ()


class RivalPrice(Value):
    """An unused price of another source, as of the snapshot's date.

    ``since``: the first day of the price at that source.
    """

    by: str
    since: str
    vector: RateCard


class SnapshotRow(Struct, frozen=True, array_like=True, gc=False):
    """A model at a host, as published.

    Attributes:
        host, name: the host, and the host's own name for the model. id: ``vendor/model``, the same at every host.
        tasks, input, output: its capabilities (``catalog/model_kinds.py``), () if no source states them.
        price_in, price_out: USD per million tokens of a small request on the day of the snapshot, from the source that
            is in use; None if no source states it.
        context, max_output: tokens, from models.dev. window: context from genai-prices.
        can: ``tools``, ``reasoning``, ``json``, ``open`` (weights), if a source states them.
        facts_by: source of modalities and limits, "" for models.dev.
        models_dev_prices: one ``RateCard`` or null. prices: dated rate cards from the source ``prices_by``, "" for
            genai-prices. rivals: differing prices from other sources (``RivalPrice``).
        doubts: claims of this row that other rows of the model contradict. Rejected claims are not in ``input``,
            ``output`` and ``can``.
        alias: replaces ``id`` in the endpoint's id if the host has this model under several names, else "".
    """

    host: str
    name: str
    id: str
    title: str = ""
    tasks: tuple[str, ...] = ()
    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    context: int | None = None
    max_output: int | None = None
    window: int | None = None
    can: tuple[str, ...] = ()
    family: str = ""
    knowledge: str = ""
    status: str = ""
    price_in: float | None = None
    price_out: float | None = None
    models_dev_prices: msgspec.Raw = msgspec.Raw(b"null")
    prices: msgspec.Raw = msgspec.Raw(b"[]")
    alias: str = ""
    facts_by: str = ""
    prices_by: str = ""
    rivals: msgspec.Raw = msgspec.Raw(b"[]")
    doubts: tuple[DisputedCapability, ...] = ()

    @property
    def rival_prices(self) -> tuple[RivalPrice, ...]:
        return msgspec.json.decode(self.rivals, type=tuple[RivalPrice, ...])

    def names(self) -> EndpointNames:
        """Return the names by which the model can be looked up."""
        return EndpointNames(self.endpoint.lower(), self.id.lower(), self.name.lower())

    @property
    def endpoint(self) -> str:
        """The endpoint id, ``host:vendor/model``, unique in the snapshot."""
        return f"{self.host}:{self.alias or self.id}"

    @property
    def stated_prices(self) -> RateCard | None:
        return msgspec.json.decode(self.models_dev_prices, type=RateCard | None)

    @property
    def dated_prices(self) -> tuple[RateCard, ...]:
        return msgspec.json.decode(self.prices, type=tuple[RateCard, ...])


_ROWS = msgspec.json.Decoder(SnapshotRow)
_HEADER = msgspec.json.Decoder(SnapshotHeader)


class Snapshot:
    """A snapshot file. Opening it reads only the header. Raises ConfigError if the file is not a snapshot."""

    def __init__(self, path: Path = SHIPPED_SNAPSHOT) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                line = file.readline()
                self._offset = len(line)
                model_bytes = file.seek(0, 2) - self._offset
        except OSError as error:
            raise ConfigError(f"cannot be read ({error.strerror})", where=self._displayed_path, todo=_TODO) from None
        self.header = self._decode_header(line)
        if model_bytes != self.header.size:
            raise ConfigError(
                f"is cut or was edited: {model_bytes:,} bytes of models, {self.header.size:,} expected",
                where=self._displayed_path, todo=_TODO,
            )  # fmt: skip
        self.places: dict[str, SnapshotHost] = {place.id: place for place in self.header.places}
        self._by_host: dict[str, list[SnapshotRow]] = {}

    @property
    def _displayed_path(self) -> str:
        return "catalog/snapshot.jsonl" if self.path == SHIPPED_SNAPSHOT else str(self.path)

    def _decode_header(self, line: bytes) -> SnapshotHeader:
        try:
            raw: Any = msgspec.json.decode(line)
            later = isinstance(raw, dict) and int(raw.get("intermodal_snapshot", SNAPSHOT_FORMAT)) > SNAPSHOT_FORMAT
        except (msgspec.DecodeError, TypeError, ValueError):
            raise ConfigError("is not a snapshot of models", where=self._displayed_path, todo=_TODO) from None
        if later:
            raise ConfigError(
                "was written by a newer intermodal", where=self._displayed_path,
                todo="update this one, or write it anew: intermodal models refresh",
            )  # fmt: skip
        try:
            return _HEADER.decode(line)
        except msgspec.DecodeError as error:
            raise ConfigError(f"has a broken header ({error})", where=self._displayed_path, todo=_TODO) from None

    @property
    def version(self) -> str:
        return self.header.made

    def of_host(self, host: str) -> list[SnapshotRow]:
        """Return the models of one host, [] for an unknown host. Reads only the lines of that host."""
        found = self._by_host.get(host)
        if found is None:
            place = self.places.get(host)
            found = [row for row in self.rows_of_shipped_hosts if row.host == host]
            found += [] if place is None else self._read_rows(place.start, place.size, place.rows)
            self._by_host[host] = found
        return found

    @cached_property
    def rows_of_shipped_hosts(self) -> list[SnapshotRow]:
        """The models that shipped host rows name."""
        return self._read_rows(0, *self.header.first)

    @cached_property
    def rows(self) -> list[SnapshotRow]:
        """Every model at every host."""
        count = self.header.first[1] + sum(place.rows for place in self.header.places)
        return self._read_rows(0, self.header.size, count)

    @cached_property
    def by_endpoint(self) -> dict[str, SnapshotRow]:
        """The rows by ``host:vendor/model``."""
        found: dict[str, SnapshotRow] = {}
        for row in self.rows:
            found.setdefault(row.endpoint, row)
        return found

    @cached_property
    def by_model(self) -> dict[str, list[SnapshotRow]]:
        """The rows by ``vendor/model``: the same model at every host."""
        found: dict[str, list[SnapshotRow]] = {}
        for row in self.rows:
            found.setdefault(row.id, []).append(row)
        return found

    @cached_property
    def names(self) -> NameIndex[SnapshotRow]:
        """An index of every model at every host by its names."""
        return NameIndex(self.rows, SnapshotRow.names)

    def find_by_host(self, host: str, name: str) -> SnapshotRow | None:
        """Return the model that a host calls by this name; None if there is none."""
        for rows in (self.rows_of_shipped_hosts, None):
            for row in self.of_host(host) if rows is None else rows:
                if row.name == name and row.host == host:
                    return row
        return None

    def _read_rows(self, start: int, size: int, rows: int) -> list[SnapshotRow]:
        data = b""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset + start)
                data = file.read(size)
            found = _ROWS.decode_lines(data)
        except OSError as error:
            raise ConfigError(f"cannot be read ({error.strerror})", where=self._displayed_path, todo=_TODO) from None
        except msgspec.DecodeError as error:
            line = self._broken_line(data)
            raise ConfigError(f"line {line} is broken ({error})", where=self._displayed_path, todo=_TODO) from None
        if len(found) != rows:
            raise ConfigError(
                f"has {len(found):,} models where {rows:,} belong", where=self._displayed_path, todo=_TODO
            )
        return found

    def _broken_line(self, data: bytes) -> int:
        before = 2 if data else 1
        with self.path.open("rb") as file:
            content = file.read()
        offset = content.find(data, self._offset)
        for number, line in enumerate(data.splitlines()):
            try:
                _ROWS.decode(line)
            except msgspec.DecodeError:
                return content[: max(offset, 0)].count(b"\n") + 1 + number
        return before
