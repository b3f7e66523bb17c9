"""Plan regret: what the chosen route really cost, against the best of all feasible ones, every one of them run.

    python benchmarks/regret.py                 run what the journal lacks, then report
    python benchmarks/regret.py --quick         every sixth request, into a journal of its own; writes no result
    python benchmarks/regret.py --fresh         forget the journal first
    python benchmarks/regret.py --report        only report

Cost of a route = money + seconds x time_value + the penalty its losses have in the objective: the planner's own
measure, with what really happened in place of the estimates. Seconds are those of the whole run, models loaded, nothing
cached. Feasible is what rules and floor let through (``planner.alternatives``), up to ``MOST`` routes a request.

The requests are halved, odd and even places. *Before*: the route chosen on an empty store. *After*: the route chosen
with the statistics of the other half's runs. The best route is the cheapest of several noisy measurements, so regret is
never understated; how noisy they are is measured by running each first choice twice.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import report
from regret_hosts import hosts
from regret_set import Asked, requests, warming

import intermodal
from intermodal.client import plan_from
from intermodal.config import cache_dir
from intermodal.errors import IntermodalError, NoRoute
from intermodal.events import fold
from intermodal.planner.alternatives import alternatives, plan_of
from intermodal.plans.plan import Candidate, Inputs
from intermodal.plans.statistics import Statistics
from intermodal.plans.step import Call, Check

FOLDER = Path(__file__).parent.parent / "out" / "regret"
MOST = 12
SEED = 20261125
LEAST_ROUTES = 3
LOSS = 0.04  # USD for a need that is lost: an answer without it is worth little, and its route is none to be sorry for


T = TypeVar("T")


class Run(msgspec.Struct, omit_defaults=True):
    """One line of the journal: one route of one request, run.

    ``money``, ``seconds`` and ``penalty`` make its cost; ``estimate`` is the score planned on an empty store. ``error``
    is the code of one that failed. ``load`` is of the machine when it began. ``chosen``: on an empty store. ``again``:
    its second run.
    """

    request: str
    route: str
    endpoint: str = ""
    summary: str = ""
    seconds: float = 0.0
    money: float = 0.0
    penalty: float = 0.0
    estimate: float = 0.0
    load: float = 0.0
    load_seconds: float = 0.0
    error: str = ""
    chosen: bool = False
    again: bool = False
    replans: int = 0


class Choice(msgspec.Struct):
    """What was chosen for a request with the statistics of the other half; ``routes`` there were, before the limit."""

    request: str
    after: str
    routes: int


def route_of(candidate: Candidate) -> str:
    """A name of a route that does not depend on its estimates or on ports."""
    steps = []
    for step in candidate.steps:
        if not isinstance(step, Check):
            params = ",".join(f"{name}={value}" for name, value in step.params)
            steps.append(f"{step.op}[{params}]@{getattr(step, 'endpoint', '')}<{step.part}")
    return " ".join(steps)


# ---- the journal ------------------------------------------------------------------------------------------


class Journal:
    """Runs and choices, a line each, written as they end: a broken run goes on where it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._runs, self._choices = folder / "runs.jsonl", folder / "choices.jsonl"
        self.runs = _lines(self._runs, Run)
        self.choices = {each.request: each for each in _lines(self._choices, Choice)}
        self._done = {(run.request, run.route, run.again) for run in self.runs}

    def has(self, request: str, route: str, again: bool = False) -> bool:
        return (request, route, again) in self._done

    def add(self, run: Run) -> None:
        self.runs.append(run)
        self._done.add((run.request, run.route, run.again))
        _append(self._runs, run)

    def choose(self, choice: Choice) -> None:
        self.choices[choice.request] = choice
        _append(self._choices, choice)


def _lines(path: Path, kind: type[T]) -> list[T]:
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=kind) for line in lines if line.endswith(b"}")]


def _append(path: Path, value: msgspec.Struct) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.encode(value) + b"\n")


# ---- running ----------------------------------------------------------------------------------------------


@contextmanager
def client(folder: Path, config: str) -> Iterator[tuple[intermodal.Client, Path]]:
    """A user with these hosts whose store stays in the folder; and where the cache of conversions is."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env["INTERMODAL_HOME"] = str(folder)
    env["INTERMODAL_CONFIG"] = str(folder / "hosts.toml")
    cache = cache_dir(env)
    cache.mkdir(parents=True, exist_ok=True)
    (folder / "hosts.toml").write_text(config)
    if not (cache / "weights").exists():
        (cache / "weights").symlink_to(cache_dir(os.environ) / "weights", target_is_directory=True)
    with intermodal.Client(env=env) as made:
        yield made, cache / "derived"


def fresh(inputs: Inputs) -> Inputs:
    """The same on an empty store."""
    return msgspec.structs.replace(inputs, statistics=Statistics())


def prepared(user: intermodal.Client, asked: Asked) -> Inputs | None:
    """None where the media cannot be taken, which is said."""
    try:
        return user.prepare(asked.request).inputs
    except IntermodalError as error:
        print(f"left out: {asked.name}: {error}", file=sys.stderr)
        return None


def measure(user: intermodal.Client, derived: Path, asked: Asked, candidate: Candidate, inputs: Inputs) -> Run:
    """Run exactly this route, with nothing kept from before."""
    shutil.rmtree(derived, ignore_errors=True)
    planned = candidate.total.cost.mid + candidate.total.seconds.mid * asked.request.policy.time_value
    run = Run(
        request=asked.name,
        route=route_of(candidate),
        endpoint=candidate.endpoint,
        summary=candidate.summary,
        estimate=candidate.score,
        penalty=max(0.0, round(candidate.score - planned, 6)) + LOSS * candidate.lost,
        load=round(os.getloadavg()[0], 2),
    )
    ready = user.prepare(asked.request)
    try:
        result = fold(list(user.execute(ready, plan_of(fresh(inputs), candidate))))
    except IntermodalError as error:
        run.error = error.code
        return run
    run.load_seconds = round(sum(actual.load_seconds for actual in result.actuals), 3)
    run.seconds = round(result.seconds - run.load_seconds, 4)
    run.money = result.cost or 0.0
    run.replans = len(result.replans)
    return run


def warm(user: intermodal.Client, derived: Path) -> None:
    """Load every model of this process, by requests that are in neither half."""
    loaded: set[str] = set()
    for asked in warming():
        inputs = prepared(user, asked)
        for candidate in alternatives(inputs, most=MOST, below_floor=False) if inputs is not None else ():
            inside = {step.endpoint for step in candidate.steps if isinstance(step, Call) and _inside(user, step)}
            if inside - loaded and inputs is not None:
                measure(user, derived, asked, candidate, inputs)
                loaded |= inside


def _inside(user: intermodal.Client, step: Call) -> bool:
    return user.asynchronous.catalog.by_id[step.endpoint].host.zone == "process"


def run_half(user: intermodal.Client, derived: Path, half: list[Asked], journal: Journal, seed: int) -> None:
    """Every route of every request of a half, in an order that mixes them; the first choices a second time."""
    warm(user, derived)
    todo: list[tuple[Asked, Candidate, Inputs, bool]] = []
    for asked in half:
        inputs = prepared(user, asked)
        if inputs is None:
            continue
        try:
            routes = alternatives(fresh(inputs), most=MOST, below_floor=False)
        except NoRoute as error:
            print(f"left out: {asked.name}: {error}", file=sys.stderr)
            continue
        if len(routes) < LEAST_ROUTES:
            print(f"left out: {asked.name}: {len(routes)} feasible routes", file=sys.stderr)
            continue
        first = {route_of(each): each for each in routes}
        todo += [(asked, each, inputs, False) for each in first.values()] + [(asked, routes[0], inputs, True)]
    random.Random(seed).shuffle(todo)
    todo = [each for each in _apart(todo) if not journal.has(each[0].name, route_of(each[1]), each[3])]
    began = time.monotonic()
    for number, (asked, candidate, inputs, again) in enumerate(todo, 1):
        run = measure(user, derived, asked, candidate, inputs)
        run.chosen = route_of(candidate) == route_of(plan_from(fresh(inputs)).chosen)
        run.again = again
        journal.add(run)
        left = (time.monotonic() - began) / number * (len(todo) - number)
        print(
            f"{number}/{len(todo)} {left:4.0f} s left  {run.seconds:6.2f} s  {asked.name}: {run.summary} {run.error}",
            file=sys.stderr,
        )


def _apart(todo: list[tuple[Asked, Candidate, Inputs, bool]]) -> list[tuple[Asked, Candidate, Inputs, bool]]:
    """No request right after itself: a server keeps the beginning of the last prompt, and would start half-way."""
    made: list[tuple[Asked, Candidate, Inputs, bool]] = []
    waiting = list(todo)
    while waiting:
        place = next((at for at, each in enumerate(waiting) if not made or each[0] is not made[-1][0]), 0)
        made.append(waiting.pop(place))
    return made


def choose_after(
    user: intermodal.Client, derived: Path, half: list[Asked], learned: Statistics, journal: Journal
) -> None:
    """What is chosen with the other half's statistics; run now, should it be a route nobody ran."""
    known = {run.request for run in journal.runs}
    warm(user, derived)  # the routes were run with every model loaded
    for asked in half:
        inputs = prepared(user, asked) if asked.name in known else None
        if inputs is None:
            continue
        chosen = plan_from(msgspec.structs.replace(inputs, statistics=learned)).chosen
        every = alternatives(fresh(inputs), most=999, below_floor=False)
        journal.choose(Choice(asked.name, route_of(chosen), len({route_of(each) for each in every})))
        if not journal.has(asked.name, route_of(chosen)):
            plain = next((each for each in every if route_of(each) == route_of(chosen)), chosen)
            journal.add(measure(user, derived, asked, plain, inputs))


def run_all(asked: list[Asked], journal: Journal) -> None:
    halves = (asked[0::2], asked[1::2])
    learned: list[Statistics] = []
    with hosts() as config:
        for number, half in enumerate(halves):
            with client(journal.folder / f"half-{number}", config) as (user, derived):
                run_half(user, derived, half, journal, SEED + number)
                learned.append(user.asynchronous.store.statistics())
        for number, half in enumerate(halves):
            with client(journal.folder / f"half-{number}", config) as (user, derived):
                choose_after(user, derived, half, learned[1 - number], journal)


# ---- the report -------------------------------------------------------------------------------------------


class Regret(msgspec.Struct):
    """Of one request: cost of the choice over cost of the best, less one."""

    asked: Asked
    routes: int
    ran: int
    before: float
    after: float
    noise: float
    chosen: str
    best: str


def _named(run: Run) -> str:
    ears = [each.split("@")[1].split("<")[0] for each in run.route.split() if each.startswith("transcribe")]
    return " + ".join(dict.fromkeys(each.partition(":")[0] for each in (*ears, run.endpoint))) + f": {run.summary}"


def cost(run: Run, asked: Asked) -> float:
    return math.inf if run.error else run.money + run.seconds * asked.request.policy.time_value + run.penalty


def regrets(asked: list[Asked], journal: Journal) -> list[Regret]:
    found = []
    for each in asked:
        runs = [run for run in journal.runs if run.request == each.name and not run.again]
        twins = [run for run in journal.runs if run.request == each.name and run.again]
        worked = [run for run in runs if not run.error]
        choice = journal.choices.get(each.name)
        if len(worked) < LEAST_ROUTES or choice is None:
            continue
        best = min(worked, key=lambda run: cost(run, each))
        least = cost(best, each)
        before = next((run for run in runs if run.chosen), runs[0])
        after = next((run for run in runs if run.route == choice.after), before)
        again = [cost(run, each) for run in twins if run.route == before.route and not run.error]
        pair = sorted((cost(before, each), *again[:1]))
        found.append(
            Regret(
                each, choice.routes, len(worked), cost(before, each) / least - 1, cost(after, each) / least - 1,
                pair[-1] / pair[0] - 1, _named(after), _named(best),
            )
        )  # fmt: skip
    return found


def body(found: list[Regret], journal: Journal) -> str:
    kinds = list(dict.fromkeys(each.asked.kind for each in found))
    rows = [_row(kind, [each for each in found if each.asked.kind == kind]) for kind in kinds]
    rows.append(_row("**all**", found))
    runs, failed = len(journal.runs), [run for run in journal.runs if run.error]
    loads = [run.load for run in journal.runs] or [0.0]
    worst = sorted(found, key=lambda each: -each.after)[:8]
    return (
        f"{len(found)} requests, {runs} runs of {sum(each.ran for each in found)} feasible routes "
        f"({sum(each.routes for each in found)} before the limit of {MOST} a request); {len(failed)} runs failed"
        + (f" ({', '.join(sorted({run.error for run in failed}))})" if failed else "")
        + f"; {sum(run.replans > 0 for run in journal.runs)} were planned again on the way. Load of the machine while "
        f"running: median {report.median(loads):.1f}, p95 {report.percentile(loads, 0.95):.1f}. Goal: median after "
        "learning <= 5 %.\n\n"
        "*Noise*: the first choice run twice, the dearer over the cheaper; regret below it says nothing.\n\n"
        + report.table(
            (
                "requests",
                "n",
                "routes",
                "before: median",
                "p95",
                "after: median",
                "p95",
                "best chosen",
                "noise: median",
            ),
            rows,
        )
        + "\n\nThe largest that remain:\n\n"
        + report.table(
            ("request", "regret after", "noise", "chosen", "best"),
            [(e.asked.name, _share(e.after), _share(e.noise), e.chosen, e.best) for e in worst],
        )
    )


def _row(name: str, found: list[Regret]) -> tuple[str, ...]:
    before, after = [each.before for each in found], [each.after for each in found]
    right = sum(each.after <= 0 for each in found)
    return (
        name, str(len(found)), str(sum(each.ran for each in found)),
        _share(report.median(before)), _share(report.percentile(before, 0.95)),
        _share(report.median(after)), _share(report.percentile(after, 0.95)),
        f"{100 * right / len(found):.0f} %", _share(report.median(each.noise for each in found)),
    )  # fmt: skip


def _share(value: float) -> str:
    return "failed" if math.isinf(value) else f"{100 * value:.0f} %"


def main() -> None:
    given = argparse.ArgumentParser(description="Plan regret over a written set of requests.")
    given.add_argument("--quick", action="store_true", help="every sixth request, in a journal of its own")
    given.add_argument("--fresh", action="store_true", help="forget the journal first")
    given.add_argument("--report", action="store_true", help="only report what the journal has")
    options = given.parse_args()
    folder = FOLDER.with_name("regret-quick") if options.quick else FOLDER
    if options.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    journal = Journal(folder)
    asked = requests()
    asked = [each for place, each in enumerate(asked) if place // 2 % 6 == 0] if options.quick else asked
    if not options.report:
        run_all(asked, journal)
    found = regrets(asked, journal)
    if not found:
        raise SystemExit("nothing was measured")
    if options.quick:
        print(body(found, journal))
    else:
        report.write("regret", "Plan regret", body(found, journal))


if __name__ == "__main__":
    main()
