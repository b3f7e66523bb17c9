"""The result of ``intermodal fit`` as text and as JSON: the verdict, memory terms, speed, a table, and changes.

JSON is in bytes, tokens and seconds; null means unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from intermodal.core.quantity import Quantity
from intermodal.model_fit.fit import FitCell, FitReport, VllmReport
from intermodal.plans.numbers import format_table, size, with_noun
from intermodal.sizing.fit_changes import FitChange
from intermodal.sizing.machines import GIB, describe_machine
from intermodal.sizing.memory import Correction, MemoryTerm, TermComparison
from intermodal.sizing.placement import CapacityCheck, Verdict
from intermodal.sizing.server_command import format_context

_WIDTH: Final = 60  # characters of a bar
FILLS: Final = "█▓▒░"
_PLAIN: Final = "#=+-"


def _bar_lines(
    name: str, parts: Sequence[tuple[str, float]], room: float, gib: float, *, plain: bool = False
) -> list[str]:
    """Return a stacked bar with ``room`` marked on it, and its legend. ``gib``: the room as displayed."""
    fills = _PLAIN if plain else FILLS
    most = max(room, sum(amount for _, amount in parts)) or 1
    bar = "".join(fills[index % len(fills)] * round(_WIDTH * amount / most) for index, (_, amount) in enumerate(parts))
    end = round(_WIDTH * room / most)
    line = f"{bar[:end]:{'.' if plain else '·'}<{end}}|{bar[end:]}"
    legend = [f"{fills[index % len(fills)]} {part}" for index, (part, _) in enumerate(parts)]
    return [f"{name:<7} {line} {gib:.1f} GiB", f"{'':<8}{'  '.join(legend)}"]


def _change_lines(changes: Iterable[FitChange], users: int) -> Iterator[str]:
    """Yield changes with their costs and commands. ``users``: concurrent sequences."""
    each = " of each text" if users > 1 else ""
    for change in changes:
        low, high = rate(change.decode.low), rate(change.decode.high)
        pace = f"; writes {low} to {high}/s{each}" if change.decode.known else ""
        yield f"  {change.what}: {change.needed.mid / GIB:.1f} of {change.room / GIB:.1f} GiB{pace}"
        yield f"    costs {change.gives_up}"
        yield f"    {change.command}"


def rate(value: float) -> str:
    """Format tokens per second, with two significant digits below ten."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


SAID: Final[dict[Verdict, str]] = {
    "fits": "fits", "tight": "may fit", "no": "does not fit", "unknown": "whether it fits is unknown",
}  # fmt: skip
_MARKS: Final[dict[Verdict, str]] = {"fits": "", "tight": " ~", "no": " !", "unknown": " ?"}
_LEGEND: Final = "GiB of the fullest memory; ~ may fit, ! does not fit"
_PLACES: Final = {"card": "of the card", "cards": "of the cards", "memory": "of memory"}

_Line = tuple[tuple[str, Verdict | None], ...]  # pieces of a line, each with the verdict that colours it


def report_lines(report: FitReport, *, plain: bool = False) -> list[_Line]:
    """Return the report as lines made of pieces, each with the verdict that colours it."""
    found: list[_Line] = [*_to_ascii([f"{report.name} on {machine_line(report)}"])]
    found.append(((verdict(report), report.verdict),))
    if report.requests:
        found += _to_ascii([f"  by its header: {size(report.read)} in {with_noun(report.requests, 'request')}"])
    problems = (f"  not understood: {problem}, so ranges are wide" for problem in report.placed.memory.problems)
    found += _to_ascii(problems)
    if report.placed.memory.correction is not None:
        found += _to_ascii([f"  corrected: {report.placed.memory.correction.words}"])
    found += _to_ascii([*_beyond_training(report), *_missing_inputs(report)])
    found += _to_ascii(
        [
            "",
            *memory_table(report),
            "",
            *_bars(report, plain=plain),
            "",
            *speed(report),
            _largest_context_text(report),
            "",
        ]
    )
    found += table(report)
    if report.changes:
        found += _to_ascii(["", "what would make it fit, cheapest first"])
        if not any(change.same_machine for change in report.changes):
            found += _to_ascii(["  no settings are enough: this machine needs a smaller model"])
        found += _to_ascii(_change_lines(report.changes, report.pace.users))
    elif report.verdict == "fits":
        found += _to_ascii(["", f"run  {report.command}"])
    else:
        found += _to_ascii(["", f"no change of settings makes it fit{_smaller_model(report)}"])
    return found


def _to_ascii(lines: Iterable[str]) -> list[_Line]:
    return [((line, None),) for line in lines]


def _largest_context_text(report: FitReport) -> str:
    trained = report.largest > 0 and report.largest == report.placed.shape.context
    length = format_context(report.largest) if report.largest else "none"
    return f"largest context that certainly fits: {length}{', which is all it was trained for' if trained else ''}"


def _missing_inputs(report: FitReport) -> Iterator[str]:
    check = report.placed.deciding_check
    if report.verdict == "tight" and check is not None and check.certain < check.needed.high <= check.room:
        least = f"{check.certain / GIB:.1f} GiB of {check.room / GIB:.1f}"
        yield f"  its driver may leave {least}: what is free there is not known"


def _beyond_training(report: FitReport) -> Iterator[str]:
    trained = report.placed.shape.context
    if trained and report.context > trained:
        yield f"  it was trained for texts of {format_context(trained)}: what it makes of longer ones is not known"


def _smaller_model(report: FitReport) -> str:
    return f"; {report.name} is too large for it"


def machine_line(report: FitReport) -> str:
    """Describe the machine, and say whether it is this one."""
    words = describe_machine(report.machine)
    return f"this machine: {words}" if report.is_this_machine else words


def verdict(report: FitReport) -> str:
    """Return the verdict in one line: "fits: 20.4 of 24.0 GiB of the card at 32k".

    A range is shown if it is wider than the displayed digits.
    """
    check = report.placed.deciding_check
    verdict_text = SAID[report.verdict]
    scope = f"at {format_context(report.context)}"
    slots = report.placed.settings.slots
    scope += f" for each of {slots} texts at once" if slots > 1 else ""
    if check is None:
        return f"{verdict_text}: nothing was stated of the memory"
    return f"{verdict_text}: {gib(check.needed)} of {check.room / GIB:.1f} GiB {_PLACES[check.where]} {scope}"


def gib(amount: Quantity) -> str:
    """Format bytes as GiB, with the range if it shows at one decimal."""
    if not amount.known:
        return "unknown"
    low, mid, high = (f"{value / GIB:.1f}" for value in (amount.low, amount.mid, amount.high))
    return mid if low == high else f"{mid} ({low}..{high})"


def memory_table(report: FitReport) -> list[str]:
    """Return the memory terms as a table, largest first on each device."""
    rows = [
        (term.name, amount(term.amount), _device_text(report, term), term.amount.certainty, term.amount.basis)
        for term in sorted(report.placed.memory.terms, key=lambda term: (term.device, -term.amount.mid))
    ]
    return format_table(("memory", "bytes", "where", "", ""), rows)


def _bars(report: FitReport, *, plain: bool = False) -> list[str]:
    """Return one stacked bar with its legend for each device."""
    return [
        line
        for check in report.placed.checks
        for line in _bar_lines(check.where, terms_on_device(report, check), check.room, check.room / GIB, plain=plain)
    ]


def terms_on_device(report: FitReport, check: CapacityCheck) -> list[tuple[str, float]]:
    """Return the terms on a device and their bytes, largest first; small terms are summed as "other"."""
    device = {"card": "device", "cards": "device", "memory": "host"}[check.where]
    shared = check.where == "memory" and any(gpu.unified for gpu in report.machine.gpus)
    amounts: dict[str, float] = {}
    for term in report.placed.memory.terms:
        if shared or term.device == device:
            amounts[term.name] = amounts.get(term.name, 0.0) + term.amount.mid
    ordered = sorted(amounts.items(), key=lambda row: -row[1])
    largest, rest = ordered[:3], sum(amount for _, amount in ordered[3:])
    return [*largest, ("other", rest)] if rest else largest


def speed(report: FitReport) -> Iterator[str]:
    """Yield the decode and prefill speeds, and what they are based on."""
    yield from pace_lines(report)
    found, memory = report.pace, report.machine.bandwidth
    if found.decode.known:
        yield f"  by {found.decode.basis}; {rate(found.bound)} at most"
    if memory.known and memory.certainty != "exact" and _on_host(report):
        yield f"  memory gives {memory.low / 1e9:,.0f} to {memory.high / 1e9:,.0f} GB/s: {memory.basis}"
    if report.placed.settings.projector is not None:
        yield "  how long its encoder takes for an image or sound is not known"


def pace_lines(report: FitReport) -> Iterator[str]:
    """Yield the decode and prefill speeds."""
    found = report.pace
    each = " of each text" if found.users > 1 else ""
    would = "if it fitted, it would write" if report.verdict == "no" else "writes"
    if found.decode.known:
        low, mid, high = found.decode.low, found.decode.mid, found.decode.high
        yield (
            f"{would} {rate(low)} to {rate(high)} tokens a second{each}, about {rate(mid)}, "
            f"after {found.prompt:,} tokens"
        )
    else:
        yield f"writes at an unknown speed: {found.decode.basis}"
    if found.prefill.known:
        yield (
            f"reads {rate(found.prefill.low)} to {rate(found.prefill.high)} tokens a second{each}; first word after "
            f"{_seconds(found.first_word.low)} to {_seconds(found.first_word.high)} s"
        )
    else:
        yield f"reads at an unknown speed: {found.prefill.basis}"


def _on_host(report: FitReport) -> bool:
    """Return whether weights are read from main memory for each token."""
    settings = report.placed.settings
    return settings.gpu_layers >= 0 or settings.host_experts > 0


def table(report: FitReport) -> Iterator[_Line]:
    """Yield the table of memory by quantization and context."""
    rows = _by_quantization(report.cells)
    head = ["", *(format_context(cell.context) for cell in next(iter(rows.values()), []))]
    lines = [[_row_name(name, cells), *map(_cell, cells)] for name, cells in rows.items()]
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    yield (("  ".join(word.ljust(width) for word, width in zip(head, widths, strict=True)).rstrip(), None),)
    for line, cells in zip(lines, rows.values(), strict=True):
        verdicts: list[Verdict | None] = [None, *(cell.verdict for cell in cells)]
        words = [word.ljust(width + 2) for word, width in zip(line, widths, strict=True)]
        words[-1] = words[-1].rstrip()
        yield tuple(zip(words, verdicts, strict=True))
    estimated = any(cell.estimated for cell in report.cells)
    yield (
        (
            _LEGEND
            + (
                f"; all weights except {_own_memory_text(report)} are estimated from their bits per weight"
                if estimated
                else ""
            ),
            None,
        ),
    )


def _own_memory_text(report: FitReport) -> str:
    return report.subject.quantization or "its own"


def _by_quantization(cells: tuple[FitCell, ...]) -> dict[str, list[FitCell]]:
    rows: dict[str, list[FitCell]] = {}
    for cell in cells:
        rows.setdefault(cell.quantization, []).append(cell)
    return rows


def _row_name(name: str, cells: list[FitCell]) -> str:
    return name if any(cell.estimated for cell in cells) else f"{name} (the file)"


def _cell(cell: FitCell) -> str:
    if cell.check is None or not cell.check.needed.known:
        return "?"
    return f"{cell.check.needed.mid / GIB:.1f}{_MARKS[cell.verdict]}"


def amount(quantity: Quantity) -> str:
    """Format the bytes of a term in GiB or MiB, with their range.

    >>> from intermodal.core.quantity import between, exact
    >>> amount(exact(17.5 * 2**30)), amount(between(10 * 2**20, 20 * 2**20, 30 * 2**20, ""))
    ('17.50 GiB', '20 MiB (10..30)')
    """
    if not quantity.known:
        return "unknown"
    unit, name, digits = (
        (GIB, "GiB", 2) if quantity.mid >= GIB else (1 << 20, "MiB", 0 if quantity.mid >= 10 << 20 else 1)
    )
    low, mid, high = (f"{value / unit:.{digits}f}" for value in (quantity.low, quantity.mid, quantity.high))
    return f"{mid} {name}" if low == high else f"{mid} {name} ({low}..{high})"


def _device_text(report: FitReport, term: MemoryTerm) -> str:
    if term.device == "host":
        return "memory"
    return "cards" if len(report.machine.gpus) > 1 else "card"


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


# ---- JSON -------------------------------------------------------------------------------------------
FIT_VERSION = 1


def document(report: FitReport) -> dict[str, Any]:
    """Return the report as JSON data; amounts have ``low``, ``mid`` and ``high`` with certainty and basis."""
    settings, shape, found = report.placed.settings, report.placed.shape, report.pace
    return {
        "fit_version": FIT_VERSION,
        "model": report.name,
        "quantization": report.subject.quantization or None,
        "architecture": shape.architecture,
        "parameters": shape.parameters,
        "active_parameters": shape.active,
        "trained_context": shape.context,
        "verdict": report.verdict,
        "sentence": verdict(report),
        "machine": _machine(report),
        "settings": {
            "context": report.context, "slots": settings.slots, "type_k": settings.type_k, "type_v": settings.type_v,
            "gpu_layers": settings.gpu_layers, "host_experts": settings.host_experts,
            "projector": settings.projector is not None, "draft": settings.draft is not None,
        },
        "memory": [
            {"name": term.name, "device": term.device, **plain_amount(term.amount), "source": term.source}
            for term in report.placed.memory.terms
        ],
        "problems": list(report.placed.memory.problems),
        "correction": correction(report.placed.memory.correction),
        "places": [check_document(check) for check in report.placed.checks],
        "speed": {
            "prompt": found.prompt, "users": found.users, "bound": found.bound or None,
            "decode": plain_amount(found.decode), "prefill": plain_amount(found.prefill),
            "first_word": plain_amount(found.first_word),
        },
        "largest_context": report.largest or None,
        "table": [_cell_document(cell) for cell in report.cells],
        "changes": [_change_document(change) for change in report.changes],
        "command": report.command,
        "header": {"bytes": report.read, "requests": report.requests},
    }  # fmt: skip


def _machine(report: FitReport) -> dict[str, Any]:
    machine = report.machine
    return {
        "here": report.is_this_machine, "cores": machine.cores, "memory": machine.memory or None,
        "free": machine.free or None,
        "bandwidth": plain_amount(machine.bandwidth),
        "gpus": [
            {
                "name": gpu.name, "memory": gpu.memory, "free": gpu.free, "bandwidth": gpu.bandwidth or None,
                "compute": gpu.compute or None, "watts": gpu.watts or None, "unified": gpu.unified,
                "source": gpu.source,
            }
            for gpu in machine.gpus
        ],
    }  # fmt: skip


def check_document(check: CapacityCheck) -> dict[str, Any]:
    return {
        "where": check.where, "verdict": check.verdict, "room": check.room, "certain_room": check.certain,
        "needed": plain_amount(check.needed),
    }  # fmt: skip


def _cell_document(cell: FitCell) -> dict[str, Any]:
    return {
        "quantization": cell.quantization, "context": cell.context, "verdict": cell.verdict,
        "estimated": cell.estimated, "place": check_document(cell.check) if cell.check else None,
    }  # fmt: skip


def _change_document(change: FitChange) -> dict[str, Any]:
    """Return a change and its command as JSON data."""
    return {
        "what": change.what, "gives_up": change.gives_up, "cost": round(change.cost, 4), "room": change.room,
        "needed": plain_amount(change.needed), "decode": plain_amount(change.decode), "command": change.command,
    }  # fmt: skip


def plain_amount(amount: Quantity) -> dict[str, Any]:
    """Return an amount with its certainty as JSON data; its values are null if unknown."""
    is_known = amount.known
    return {
        "low": amount.low if is_known else None, "mid": amount.mid if is_known else None,
        "high": amount.high if is_known else None, "certainty": amount.certainty, "basis": amount.basis,
    }  # fmt: skip


def rows(terms: Iterable[TermComparison]) -> list[dict[str, Any]]:
    """Return predicted and measured terms as JSON data, in bytes or tokens by term.

    ``logged`` is present if the value is from a log.
    """
    return [
        {
            "name": row.name, "device": row.device, "predicted": row.predicted.mid, "low": row.predicted.low,
            "high": row.predicted.high, "real": row.real, **({"logged": row.real} if row.source == "log" else {}),
            "source": row.source, "error": row.error, "inside": row.is_within_range,
        }
        for row in terms
    ]  # fmt: skip


def correction(found: Correction | None) -> dict[str, Any] | None:
    """Return a correction as JSON data; None if there is none."""
    if found is None:
        return None
    return {
        "flags": found.flags, "build": found.build, "taken": found.taken,
        "ratios": [
            {"name": each.name, "device": each.device, "low": each.low, "mid": each.mid, "high": each.high}
            for each in found.ratios
        ],
    }  # fmt: skip


# ---- vLLM -----------------------------------------------------------------------------------------
_VLLM_SAID: dict[Verdict, str] = {"fits": "fits", "tight": "may fit", "no": "does not fit", "unknown": "nobody knows"}


def vllm_lines(report: VllmReport, *, plain: bool = False) -> Iterator[tuple[str, Verdict | None]]:
    """Yield the vLLM report as text lines; the line with the verdict is coloured by it."""
    found, cards = report.served, len(report.machine.gpus)
    yield (
        f"{report.name} by vLLM on {'this machine: ' if report.is_this_machine else ''}"
        f"{describe_machine(report.machine)}",
        None,
    )
    yield vllm_sentence(report), report.verdict
    if report.requests:
        yield f"  by its header: {size(report.read)} in {with_noun(report.requests, 'request')}", None
    for problem in found.problems:
        yield f"  not understood: {problem}, so ranges are wide", None
    if found.correction is not None:
        yield f"  room corrected: {found.correction.words}", None
    yield "", None
    each = "each card" if cards > 1 else "the card"
    rows = [
        ("weights", gib(found.weights), each, found.weights.basis),
        ("overhead", gib(found.overhead), each, found.overhead.basis),
        ("left for keys and values", gib(found.cache), each, found.cache.basis),
    ]
    yield from ((line, None) for line in format_table(("memory", "GiB", "where", ""), rows))
    yield "", None
    yield from ((line, None) for line in _bar_lines("card", report.parts, report.room, report.room / GIB, plain=plain))
    yield "", None
    yield f"remembers {_count(found.tokens)} tokens at once", None
    if report.pace.decode.known:
        low, high = report.pace.decode.low, report.pace.decode.high
        users = f" of each of {report.pace.users} texts" if report.pace.users > 1 else ""
        yield f"writes {low:,.0f} to {high:,.0f} tokens a second{users} ({report.pace.decode.basis})", None
    else:
        yield f"writes at an unknown speed: {report.pace.decode.basis}", None
    yield "", None
    rows_of_table = [(format_context(length), _count(texts)) for length, texts in report.table]
    yield from ((line, None) for line in format_table(("context", "texts of that length at once"), rows_of_table))
    yield "", None
    if report.changes:
        yield "what would make it fit, cheapest first", None
        yield from ((line, None) for line in _change_lines(report.changes, report.pace.users))
    elif report.verdict != "no":
        yield f"run  {report.command}", None
    else:
        yield "no change of settings and no usual card makes it fit", None


def vllm_sentence(report: VllmReport) -> str:
    """Return the verdict in one line."""
    found = report.served
    if report.verdict == "no":
        return (
            f"does not fit: {gib(found.weights)} GiB of weights, {gib(found.overhead)} beside: leave no room for "
            f"a text of {format_context(report.context)} in {report.room / GIB:.1f} GiB"
        )
    slots, at_once = report.serving.slots, f"{_count(found.texts)} texts of {format_context(report.context)} at once"
    if found.fits and found.texts.low < slots:
        return f"fits with fewer texts: {at_once}, and of {slots:,} the others wait"
    return f"{_VLLM_SAID[report.verdict]}: {at_once}"


def vllm_document(report: VllmReport) -> dict[str, Any]:
    """Return the vLLM report as JSON data."""
    found = report.served
    return {
        "fit_version": FIT_VERSION, "engine": "vllm", "model": report.name, "verdict": report.verdict,
        "sentence": vllm_sentence(report),
        "settings": {
            "context": report.context, "slots": report.serving.slots, "cards": report.serving.cards,
            "utilization": report.serving.utilization,
        },
        "room": report.room, "weights": plain_amount(found.weights), "overhead": plain_amount(found.overhead),
        "cache": plain_amount(found.cache), "tokens": plain_amount(found.tokens), "texts": plain_amount(found.texts),
        "speed": {"users": report.pace.users, "decode": plain_amount(report.pace.decode)},
        "table": [{"context": length, "texts": plain_amount(texts)} for length, texts in report.table],
        "problems": list(found.problems), "command": report.command, "correction": correction(found.correction),
        "changes": [_change_document(change) for change in report.changes],
        "header": {"bytes": report.read, "requests": report.requests},
    }  # fmt: skip


def _count(amount: Quantity) -> str:
    if not amount.known:
        return f"unknown ({amount.basis})"
    low, mid, high = (
        f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in (amount.low, amount.mid, amount.high)
    )
    return mid if low == high else f"{mid} ({low}..{high})"
