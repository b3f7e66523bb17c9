"""Text shared by the results of llama.cpp and vLLM: stacked bars, changes, rates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from intermodal.sizing.accelerators import GIB
from intermodal.sizing.fit_changes import FitChange

WIDTH: Final = 60  # letters of a bar
FILLS: Final = "█▓▒░"
PLAIN: Final = "#=+-"


def bar_lines(
    name: str, parts: Sequence[tuple[str, float]], room: float, gib: float, *, plain: bool = False
) -> list[str]:
    """Return one stacked bar, ``room`` marked on it, and its legend. ``gib``: of the room, as shown."""
    fills = PLAIN if plain else FILLS
    most = max(room, sum(amount for _, amount in parts)) or 1
    drawn = "".join(fills[index % len(fills)] * round(WIDTH * amount / most) for index, (_, amount) in enumerate(parts))
    end = round(WIDTH * room / most)
    line = f"{drawn[:end]:{'.' if plain else '·'}<{end}}|{drawn[end:]}"
    legend = [f"{fills[index % len(fills)]} {part}" for index, (part, _) in enumerate(parts)]
    return [f"{name:<7} {line} {gib:.1f} GiB", f"{'':<8}{'  '.join(legend)}"]


def change_lines(changes: Iterable[FitChange], users: int) -> Iterator[str]:
    """Yield changes with their costs and commands. ``users``: texts that are written at once."""
    each = " of each text" if users > 1 else ""
    for change in changes:
        low, high = rate(change.decode.low), rate(change.decode.high)
        pace = f"; writes {low} to {high}/s{each}" if change.decode.known else ""
        yield f"  {change.what}: {change.needed.mid / GIB:.1f} of {change.room / GIB:.1f} GiB{pace}"
        yield f"    costs {change.gives_up}"
        yield f"    {change.command}"


def rate(value: float) -> str:
    """Tokens a second, two figures below ten."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
