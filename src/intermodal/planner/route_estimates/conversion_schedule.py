"""When all conversions of a route are done: its steps scheduled on the machine's cores (``plans/cpu_schedule.py``)."""

from __future__ import annotations

from collections.abc import Iterator

from intermodal.cost_model.levels import LEVELS, ZEROS, Levels, larger, plus, times
from intermodal.planner.bundles import Bundle
from intermodal.planner.conversion.conversion_option import ConversionOption
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.cpu_schedule import DECODER_START_SECONDS, CoreUse, TaskGraph, core_use

MANY = 32  # steps above which their order hardly matters any more, and would take long to work out


def conversion_seconds(
    case: PlanningCase, chosen: tuple[ConversionOption, ...], cold: frozenset[str], decoders: int
) -> tuple[Levels, Levels]:  # fmt: skip
    """Return the seconds until everything is converted, ``cold`` converters being loaded, and how many decoders run at
    once.
    """
    steps = sum(way.steps for way in chosen)
    if not steps:
        return ZEROS, ZEROS
    if steps > MANY:
        return _bound(case, chosen, cold, decoders)
    graph, seconds = _graph(case, chosen, cold, decoders)
    ends, decoding = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    for level in LEVELS:
        lengths = [float(each[level]) for each in seconds]
        made = graph.schedule(lengths)
        ends[level] = max(map(float.__add__, made.starts, lengths))
        decoding[level] = float(made.decoding)
    return (ends[0], ends[1], ends[2]), (decoding[0], decoding[1], decoding[2])


def parts_with_loads(
    case: PlanningCase, chosen: tuple[ConversionOption, ...], cold: frozenset[str]
) -> Iterator[tuple[Bundle, ConversionOption, int, frozenset[str]]]:
    """Yield each part, as its bundle's option and index there, with the converters that are loaded for it.

    A cold converter is loaded for the first part that uses it.
    """
    loaded = set[str]()
    for bundle, way in zip(case.bundles, chosen, strict=True):
        left = frozenset(each.id for each in way.converters if each.id in cold and each.id not in loaded)
        for place, passage in enumerate(way.passages):
            yield bundle, way, place, left
            if left and any(piece.endpoint is not None for piece in passage.pieces):
                loaded |= left
                left = frozenset()


def _graph(
    case: PlanningCase, chosen: tuple[ConversionOption, ...], cold: frozenset[str], decoders: int
) -> tuple[TaskGraph, list[Levels]]:  # fmt: skip
    """Return the steps in the order of their parts, and the seconds of each, loading included."""
    uses: list[CoreUse] = []
    afters: list[tuple[int, ...]] = []
    seconds: list[Levels] = []
    for _, way, place, left in sorted(
        parts_with_loads(case, chosen, cold), key=lambda each: each[0].parts[each[2]].index
    ):  # fmt: skip
        first, waits = len(uses), set(left)
        for piece in way.passages[place].pieces:
            length = piece.seconds
            if piece.endpoint is not None and piece.endpoint.id in waits:
                waits.remove(piece.endpoint.id)
                length = plus(length, case.rates(piece.endpoint).load)
            uses.append(core_use(piece.endpoint, case.machine.cores))
            afters.append((first + piece.of,) if piece.of >= 0 else ())
            seconds.append(length)
    return TaskGraph(uses, afters, case.machine.cores, decoders), seconds


def _bound(
    case: PlanningCase, chosen: tuple[ConversionOption, ...], cold: frozenset[str], decoders: int
) -> tuple[Levels, Levels]:  # fmt: skip
    """Return a lower bound that many small steps come close to.

    The longest of: all work over all cores, the work of one process, all decoding, and one part's steps in sequence.
    """
    cores = case.machine.cores
    work = transforms = chain = ZEROS
    loads = {used.id: used for way in chosen for used in way.converters if used.id in cold}
    by: dict[str, Levels] = {name: case.rates(used).load for name, used in loads.items()}
    for name, used in loads.items():
        work = plus(work, times(by[name], core_use(used, cores).cores))
    for way in chosen:
        work, transforms, chain = plus(work, way.work), plus(transforms, way.transforms), larger(chain, way.chain)
        for process, seconds in way.by.items():
            by[process] = plus(by.get(process, ZEROS), seconds)
    at_once = max(1, min(decoders, cores))
    longest = larger(chain, (work[0] / cores, work[1] / cores, work[2] / cores))
    longest = larger(longest, (transforms[0] / at_once, transforms[1] / at_once, transforms[2] / at_once))
    for seconds in by.values():
        longest = larger(longest, seconds)
    return longest, (1.0, at_once, at_once) if transforms[0] >= DECODER_START_SECONDS else (0.0, 0.0, at_once)
