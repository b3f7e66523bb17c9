"""The chart of a fit: a stacked bar per device, and a table of contexts and quantizations from green to red."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from intermodal.model_fit.fit import FitCell, FitReport, VllmReport
from intermodal.model_fit.fit_output import gib, machine_line, pace_lines, terms_on_device, verdict, vllm_sentence
from intermodal.plans.svg import Drawing, shorten_text, width
from intermodal.sizing.machines import GIB, describe_machine
from intermodal.sizing.placement import CapacityCheck, Verdict
from intermodal.sizing.server_command import format_context

WIDE: Final = 720.0
LEFT, BAR, ROW, SIZE = 24.0, 26.0, 24.0, 11.0
COLUMN: Final = 78.0
FILLS: Final = ("took", "maybe", "away", "planned")
COLOURS: Final = {
    "cell-fits": ("fill", "#dafbe1", "#12361f"), "cell-tight": ("fill", "#fff3c4", "#3d3210"),
    "cell-no": ("fill", "#ffe0dc", "#4a1a17"), "cell-unknown": ("fill", "#eaeef2", "#262c34"),
}  # fmt: skip
INK: Final[dict[Verdict, str]] = {"fits": "good", "tight": "warn", "no": "bad", "unknown": "soft"}


def svg(report: FitReport) -> str:
    """Return the chart as SVG."""
    rows: dict[str, list[FitCell]] = {}
    for cell in report.cells:
        rows.setdefault(cell.quantization, []).append(cell)
    pace = list(pace_lines(report))
    high = 92 + len(report.placed.checks) * (BAR + 44) + len(pace) * 16 + 34 + (len(rows) + 1) * ROW
    drawing = _drawing(report, machine_line(report), verdict(report), high)
    top = 92.0
    for check in report.placed.checks:
        _bar(drawing, report, check, top)
        top += BAR + 44
    top += 10
    for line in pace:
        drawing.add_text(LEFT, top, shorten_text(line, SIZE, WIDE - 2 * LEFT), "ink", size=SIZE)
        top += 16
    _table(drawing, rows, top + 14)
    description = "\n".join([verdict(report), *pace])
    return drawing.render(f"Does {report.name} fit?", description)


def vllm_svg(report: VllmReport) -> str:
    """Return the chart of how vLLM divides a GPU, and of how many sequences fit."""
    sentence = vllm_sentence(report)
    high = 92 + BAR + 44 + 34 + 2 * ROW
    drawing = _drawing(report, f"vLLM on {describe_machine(report.machine)}", sentence, high)
    each = "each card" if len(report.machine.gpus) > 1 else "card"
    _draw_stack(
        drawing, f"{each}: {report.room / GIB:.1f} GiB that vLLM takes", report.parts, report.room, report.verdict, 92
    )
    top = 92 + BAR + 54
    for index, (length, texts) in enumerate(report.table):
        left = LEFT + index * COLUMN
        drawing.add_text(left + COLUMN / 2, top, format_context(length), "soft", size=SIZE, end="middle")
        enough: Verdict = (
            "unknown" if not texts.known else "fits" if texts.low >= 1 else "tight" if texts.high >= 1 else "no"
        )
        words = "?" if not texts.known else f"{texts.mid:,.0f}" if texts.mid >= 10 else f"{texts.mid:.1f}"
        _cell(drawing, left, top + 8, words, enough)
    return drawing.render(f"Does {report.name} fit?", sentence)


def _drawing(report: FitReport | VllmReport, machine: str, verdict_text: str, high: float) -> Drawing:
    """Return a drawing with the common header: model, machine and verdict."""
    drawing, room = Drawing("fit", WIDE, high, COLOURS), WIDE - 2 * LEFT
    drawing.add_text(LEFT, 30, shorten_text(report.name, 16, room, bold=True), "ink bold", size=16)
    drawing.add_text(LEFT, 48, shorten_text(machine, SIZE, room), "soft", size=SIZE)
    drawing.add_text(LEFT, 72, shorten_text(verdict_text, 13, room, bold=True), f"{INK[report.verdict]} bold", size=13)
    return drawing


def _bar(drawing: Drawing, report: FitReport, check: CapacityCheck, top: float) -> None:
    """Draw the demand and the free memory of one device on one axis."""
    words = f"{check.where}: {gib(check.needed)} of {check.room / GIB:.1f} GiB"
    _draw_stack(drawing, words, terms_on_device(report, check), check.room, check.verdict, top, check.needed.high)


def _draw_stack(
    drawing: Drawing, title: str, parts: Sequence[tuple[str, float]], free: float, verdict_: Verdict, top: float,
    needed: float = 0.0,
) -> None:  # fmt: skip
    """Draw a stacked bar with its legend, and a line where the free memory ends."""
    room = WIDE - 2 * LEFT
    most = max(free, needed, sum(amount for _, amount in parts)) or 1.0
    left, legend = LEFT, LEFT
    drawing.add_text(LEFT, top + 10, title, "ink bold", size=SIZE)
    drawing.rect((LEFT, top + 16, room * free / most, BAR), "card", radius=3)
    for index, (name, amount) in enumerate(parts):
        wide = room * amount / most
        drawing.open(f"{name}: {amount / GIB:.2f} GiB")
        drawing.rect((left, top + 16, max(0.5, wide), BAR), FILLS[index % len(FILLS)])
        drawing.close()
        words = f"{name} {amount / GIB:.1f}"
        drawing.rect((legend, top + BAR + 22, 9, 9), FILLS[index % len(FILLS)], radius=2)
        drawing.add_text(legend + 13, top + BAR + 30, words, "soft", size=10)
        left, legend = left + wide, legend + 13 + width(words, 10) + 18
    edge = LEFT + room * free / most
    drawing.path(
        f"M{edge:.1f} {top + 12:.1f}V{top + BAR + 20:.1f}",
        "bad-line line thick" if verdict_ == "no" else "edge line",
    )


def _table(drawing: Drawing, rows: dict[str, list[FitCell]], top: float) -> None:
    first = LEFT + 90
    for index, cell in enumerate(next(iter(rows.values()), [])):
        drawing.add_text(
            first + index * COLUMN + COLUMN / 2, top, format_context(cell.context), "soft", size=SIZE, end="middle"
        )
    for line, (name, cells) in enumerate(rows.items()):
        y = top + 8 + line * ROW
        ink = "ink" if any(cell.estimated for cell in cells) else "ink bold"
        drawing.add_text(first - 10, y + 16, name, ink, size=SIZE, end="end")
        for index, cell in enumerate(cells):
            is_known = cell.check is not None and cell.check.needed.known
            words = f"{cell.check.needed.mid / GIB:.1f}" if cell.check is not None and is_known else "?"
            _cell(drawing, first + index * COLUMN, y, words, cell.verdict)


def _cell(drawing: Drawing, left: float, top: float, words: str, verdict: Verdict) -> None:
    drawing.rect((left + 2, top + 2, COLUMN - 4, ROW - 4), f"cell-{verdict}", radius=3)
    drawing.add_text(left + COLUMN / 2, top + 16, words, INK[verdict], size=SIZE, end="middle")
