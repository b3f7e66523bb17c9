"""The figures as tables: medians of the rounds, and ratios that were taken inside a round."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import report
from gateway.workloads import WORKLOADS, Workload

Row = dict[str, Any]
Figure = Callable[[Row], float]
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"


def text(found: Row) -> str:
    """All tables, as Markdown."""
    parts = [_servers(found)]
    for load in WORKLOADS:
        rows = [row for row in found["rows"] if row["workload"] == load.id]
        if rows:
            parts.append(f"**{load.id}: {load.says}**\n\n{_table(load, rows)}")
            parts += [f"{name}: {why}" for name, why in _failures(rows)]
    starts = [row for row in found["rows"] if row["workload"] == "W6"]
    if starts:
        parts.append(f"**W6: from its start to the first good answer, and idle after that**\n\n{_starting(starts)}")
    for row in found["rows"]:
        if row["workload"] == "books":
            parts.append(
                f"Round {row['round']}: the key of {row['server']} was charged {row['charged_tokens']:,.0f} tokens,"
                f" the host had used {row['used_tokens']:,.0f}."
            )
    before, after = (found["load_of_the_machine"][when][0] for when in ("before", "after"))
    parts.append(f"Load of the machine: {before:.1f} before, {after:.1f} after.")
    return "\n\n".join(parts) + "\n"


def written(found: Row) -> None:
    """Into ``results/gateway.json``, and ``results/gateway.md`` between its two marks."""
    (report.RESULTS / "gateway.json").write_text(json.dumps(found | {"machine": report.machine()}, indent=1) + "\n")
    page = report.RESULTS / "gateway.md"
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{report.machine()}\n\n{text(found)}\n{END}{after}")


def _servers(found: Row) -> str:
    rows = [
        [name, told["version"], f"not measured: {told['error']}" if told["error"] else told["on"]]
        for name, told in found["servers"].items()
    ]
    return report.table(["server", "version", "what was on"], rows)


def _table(load: Workload, rows: Sequence[Row]) -> str:
    if load.id == "W5":
        figures = _OPEN
    elif load.chunks:
        figures = _STREAM
    elif load.beside is not None:
        figures = _BESIDE
    else:
        figures = _WHOLE
    peers = [name for name in ("nginx", "litellm") if any(row["server"] == name for row in rows)]
    ratios = peers if not load.rate else []
    head = ["server", *(name for name, _, _ in figures[:1]), *(f"x {peer}" for peer in ratios)]
    head += [name for name, _, _ in figures[1:]]
    lines = []
    for server in dict.fromkeys(row["server"] for row in rows):
        own = [row for row in rows if row["server"] == server]
        cells = [form.format(_middle(own, figure)) for _, figure, form in figures]
        rate = figures[0][1]
        compared = [_ratio(own, [row for row in rows if row["server"] == peer], rate) for peer in ratios]
        lines.append([server, cells[0], *compared, *cells[1:]])
    return report.table(head, lines)


def _middle(rows: Sequence[Row], figure: Figure) -> float:
    return statistics.median(figure(row) for row in rows)


def _ratio(own: Sequence[Row], peers: Sequence[Row], figure: Figure) -> str:
    """The median of the rounds' ratios."""
    by_round = {row["round"]: figure(row) for row in peers}
    ratios = [figure(row) / by_round[row["round"]] for row in own if by_round.get(row["round"])]
    return f"{statistics.median(ratios):.3g}" if ratios else ""


def _failures(rows: Sequence[Row]) -> list[tuple[str, str]]:
    told = {row["server"]: f"{row['failures']}: {row['first_failure']}" for row in rows if row["failed"]}
    return list(told.items())


def _starting(rows: Sequence[Row]) -> str:
    lines = []
    for server in dict.fromkeys(row["server"] for row in rows):
        own = [row for row in rows if row["server"] == server]
        figures = (("seconds", "{:.2f}"), ("rss_mb", "{:.0f}"), ("pss_mb", "{:.0f}"))
        lines.append([server, *(form.format(_middle(own, itemgetter(of))) for of, form in figures)])
    return report.table(["server", "start, s", "RSS, MB", "PSS, MB"], lines)


_BUSY: list[tuple[str, Figure, str]] = [
    ("core 1 busy", lambda row: row["core_busy"], "{:.0%}"),
    ("core 0 busy", lambda row: row["other_core_busy"], "{:.0%}"),
    ("peak MB", lambda row: row["peak_mb"], "{:.0f}"),
    ("lines opened to the host", lambda row: row["host"]["connections"], "{:.0f}"),
    ("failed", lambda row: row["failed"], "{:.0f}"),
]
_WHOLE: list[tuple[str, Figure, str]] = [
    ("requests/s", lambda row: row["rps"], "{:,.1f}"),
    ("p50 ms", lambda row: row["took_ms"][0], "{:.2f}"),
    ("p99 ms", lambda row: row["took_ms"][1], "{:.2f}"),
    ("CPU µs a request", lambda row: row["cpu_us"], "{:,.1f}"),
    *_BUSY,
]
_STREAM: list[tuple[str, Figure, str]] = [
    ("pieces/s", lambda row: row["chunks_per_s"], "{:,.0f}"),
    ("first piece p50 ms", lambda row: row["first_ms"][0], "{:.2f}"),
    ("p99 ms", lambda row: row["first_ms"][1], "{:.2f}"),
    ("piece late p50 ms", lambda row: row["delay_ms"][0], "{:.2f}"),
    ("p99 ms", lambda row: row["delay_ms"][1], "{:.2f}"),
    ("CPU µs a piece", lambda row: row["cpu_us"], "{:,.1f}"),
    *_BUSY,
]
_BESIDE: list[tuple[str, Figure, str]] = [
    ("bodies of 20 MB/s", lambda row: row["beside_per_s"], "{:.1f}"),
    ("small p50 ms", lambda row: row["took_ms"][0], "{:.2f}"),
    ("p99 ms", lambda row: row["took_ms"][1], "{:.2f}"),
    ("most ms", lambda row: row["took_ms"][2], "{:.1f}"),
    *_BUSY,
]
_OPEN: list[tuple[str, Figure, str]] = [
    ("open at once", lambda row: row["host"]["most_open"], "{:.0f}"),
    ("grown MB", lambda row: row["grown_mb"], "{:.0f}"),
    ("first piece p99 ms", lambda row: row["first_ms"][1], "{:,.1f}"),
    *_BUSY,
]
