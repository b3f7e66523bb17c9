"""The figures as tables: medians of the rounds, and ratios and differences that were taken inside a round."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import report
from gateway.workloads import WORKLOADS, Workload

Row = dict[str, Any]
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
COMPARED = ("nginx", "litellm", "tensorzero")


class Column(NamedTuple):
    """``of`` is the figure of a row; ``over`` combines those of the rounds. ``direct``: of the host alone, too."""

    name: str
    of: Callable[[Row], float]
    form: str = "{:.2f}"
    over: Callable[[list[float]], float] = statistics.median
    direct: bool = True


def text(found: Row) -> str:
    """All tables, as Markdown."""
    parts = [_servers(found["servers"])]
    for load in WORKLOADS:
        rows = [row for row in found["rows"] if row["workload"] == load.id]
        if rows:
            parts.append(f"**{load.id}: {load.says}**\n\n{_table(_columns(load), rows, compared=not load.rate)}")
            parts += _failures(rows)
    starts = [row for row in found["rows"] if row["workload"] == "W6"]
    if starts:
        title = "**W6: from its start to the first good answer, and idle after that**"
        parts.append(f"{title}\n\n{_table(_STARTING, starts, compared=False)}")
    for row in found["rows"]:
        if row["workload"] == "books":
            parts.append(
                f"Round {row['round']}: the key of {row['server']} was charged {row['charged_tokens']:,.0f} tokens,"
                f" the host had used {row['used_tokens']:,.0f}; of {row['calls']:,} calls"
                f" {row['kept_calls']:,} are in the store."
            )
    before, after = (found["load_of_the_machine"][when][0] for when in ("before", "after"))
    parts.append(
        f"Load of the machine: {before:.1f} before, {after:.1f} after. Each for {found['seconds']:g} s a round."
    )
    return "\n\n".join(parts) + "\n"


def written(found: Row) -> None:
    """Into ``results/gateway.json``, and ``results/gateway.md`` between its two marks."""
    (report.RESULTS / "gateway.json").write_text(json.dumps(found | {"machine": report.machine()}, indent=1) + "\n")
    page = report.RESULTS / "gateway.md"
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{report.machine()}\n\n{text(found)}\n{END}{after}")


def _servers(servers: Mapping[str, Row]) -> str:
    rows = [
        [name, told["version"], f"not measured: {told['error'][:600]}" if told["error"] else told["on"]]
        for name, told in servers.items()
    ]
    return report.table(["server", "version", "what was on"], rows)


def _table(columns: Sequence[Column], rows: Sequence[Row], *, compared: bool) -> str:
    """The first column is the rate; beside it stands how many times that of the peers it is."""
    direct = {row["round"]: row for row in rows if row["server"] == "direct"}
    peers = [peer for peer in COMPARED if compared and any(row["server"] == peer for row in rows)]
    lines = []
    for server in dict.fromkeys(row["server"] for row in rows):
        own = [row | {"direct": direct.get(row["round"], row)} for row in rows if row["server"] == server]
        cells = [_cell(column, own) if column.direct or server != "direct" else "" for column in columns]
        cells[0] += _spread(columns[0], own)
        times = [_ratio(own, [row for row in rows if row["server"] == peer], columns[0]) for peer in peers]
        lines.append([server, cells[0], *times, *cells[1:]])
    return report.table(["server", columns[0].name, *(f"x {p}" for p in peers), *(c.name for c in columns[1:])], lines)


def _cell(column: Column, rows: Sequence[Row]) -> str:
    return column.form.format(column.over([column.of(row) for row in rows]))


def _spread(column: Column, rows: Sequence[Row]) -> str:
    """The least and the most of the rounds."""
    low, high = (column.form.format(of(column.of(row) for row in rows)) for of in (min, max))
    return f" ({low} .. {high})" if len(rows) > 1 else ""


def _ratio(own: Sequence[Row], peers: Sequence[Row], column: Column) -> str:
    by_round = {row["round"]: column.of(row) for row in peers}
    ratios = [column.of(row) / by_round[row["round"]] for row in own if by_round.get(row["round"])]
    return f"{statistics.median(ratios):.3g}" if ratios else ""


def _failures(rows: Sequence[Row]) -> list[str]:
    told = {row["server"]: f"{row['failures']}: {row['first_failure']}" for row in rows if row["failed"]}
    return [f"{server}, failed: {why}" for server, why in told.items()]


def _columns(load: Workload) -> Sequence[Column]:
    """What is shown of a workload. What a server adds is shown where requests do not wait for each other."""
    alone = load.rate or load.connections == 1
    if load.beside is not None:
        return (*_BESIDE, *_BUSY)
    if load.requests:
        return (*_OPEN, *_BUSY)
    if load.chunks:
        return (*_STREAM[:3], *(_ADDED_FIRST if alone else ()), *_STREAM[3:], *_BUSY)
    return (*_WHOLE[:3], *(_ADDED if alone else ()), *_WHOLE[3:], *(_CHANGED if load.picture >= 0 else ()), *_BUSY)


_RATE = "{:,.1f}"
_BUSY = (
    Column("core 1 busy", lambda row: row["core_busy"], "{:.0%}", direct=False),
    Column("core 0 busy", lambda row: row["other_core_busy"], "{:.0%}"),
    Column("peak MB", lambda row: row["peak_mb"], "{:.0f}", direct=False),
    Column("lines to the host opened", lambda row: row["host"]["connections"], "{:.0f}"),
    Column("failed", lambda row: row["failed"], "{:.0f}", over=sum),
)
_WHOLE = (
    Column("requests/s", lambda row: row["rps"], _RATE),
    Column("p50 ms", lambda row: row["took_ms"][0]),
    Column("p99 ms", lambda row: row["took_ms"][1]),
    Column("CPU µs a request", lambda row: row["cpu_us"], "{:,.1f}", direct=False),
)
_ADDED = (Column("added p50 ms", lambda row: row["took_ms"][0] - row["direct"]["took_ms"][0], direct=False),)
_CHANGED = (Column("changed on the way", lambda row: row["host"]["pictures_changed"], "{:.0f}", over=sum),)
_STREAM = (
    Column("pieces/s", lambda row: row["chunks_per_s"], _RATE),
    Column("first piece p50 ms", lambda row: row["first_ms"][0]),
    Column("p99 ms", lambda row: row["first_ms"][1]),
    Column("piece late p50 ms", lambda row: row["delay_ms"][0]),
    Column("p99 ms", lambda row: row["delay_ms"][1]),
    Column("CPU µs a piece", lambda row: row["cpu_us"], "{:,.1f}", direct=False),
)
_ADDED_FIRST = (Column("added p50 ms", lambda row: row["first_ms"][0] - row["direct"]["first_ms"][0], direct=False),)
_BESIDE = (
    Column("bodies of 20 MB/s", lambda row: row["beside_per_s"], _RATE),
    Column("small p50 ms", lambda row: row["took_ms"][0]),
    Column("p99 ms", lambda row: row["took_ms"][1]),
    Column("most ms", lambda row: row["took_ms"][2], over=max),
    Column("grown MB", lambda row: row["grown_mb"], "{:.0f}", direct=False),
)
_OPEN = (
    Column("open at once", lambda row: row["host"]["most_open"], "{:.0f}"),
    Column("grown MB", lambda row: row["grown_mb"], "{:.0f}", direct=False),
    Column("first piece p50 ms", lambda row: row["first_ms"][0]),
    Column("p99 ms", lambda row: row["first_ms"][1]),
)
_STARTING = (
    Column("start, s", lambda row: row["seconds"]),
    Column("RSS, MB", lambda row: row["rss_mb"], "{:.0f}"),
    Column("PSS, MB", lambda row: row["pss_mb"], "{:.0f}"),
)
