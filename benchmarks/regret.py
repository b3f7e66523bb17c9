"""Plan regret: what the chosen route really cost, against the best of all feasible ones, every one of them run.

    python benchmarks/regret.py                 run what the journal lacks, then report
    python benchmarks/regret.py --quick         every sixth request, into a journal of its own; writes no result
    python benchmarks/regret.py --only text,video --most 5 --turns 3 --name NAME
                                                some kinds of requests, into a journal and a result of their own
    python benchmarks/regret.py --each 4        four requests of every kind at most
    python benchmarks/regret.py --fresh         forget the journal first
    python benchmarks/regret.py --report        only report
    python benchmarks/regret.py --idle          learn, choose and judge by the journal's runs as on an idle machine

Cost of a route = money + seconds x time_value + the penalty its losses have in the objective: the planner's own
measure, with what really happened in place of the estimates. Seconds are those of the whole run, models loaded, nothing
cached. Feasible is what rules and floor let through (``planner.alternatives``), up to ``MOST`` routes a
request.

The requests are halved, odd and even places. *Before*: the route chosen on an empty store. *After*: the route chosen
with the statistics of the other half's runs. Every route is run ``TURNS`` times, one turn of all after another, so that
a busy spell meets them alike, and what counts is the middle of its turns. The best route is the cheapest of several
noisy measurements, so regret is never understated. Beside the clock the processor seconds of the busiest thread of
every program that took part are counted, and the round trips: what is waited for where nobody else is at the machine.
They do not depend on who is, but know nothing of two steps at once.
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
from typing import NamedTuple, TypeVar

import msgspec
import psutil
import report
from regret_hosts import FAR, hosts
from regret_idle import idle_copy
from regret_set import Asked, requests, warming

import intermodal
from intermodal.client.async_client import plan_from
from intermodal.config.config_file import cache_dir
from intermodal.errors import IntermodalError, NoRoute
from intermodal.events import fold
from intermodal.planner.alternatives import alternatives, plan_of_candidate
from intermodal.plans.plan import Candidate, Inputs
from intermodal.plans.statistics import Statistics
from intermodal.plans.step import Call, Check

FOLDER = Path(__file__).parent.parent / "out" / "regret"
MOST, TURNS = 12, 3
SEED = 20261125
LEAST_ROUTES = 3
LOSS = 0.04  # USD for a need that is lost: an answer without it is worth little, and its route is none to be sorry for


T = TypeVar("T")


class Run(msgspec.Struct, omit_defaults=True):
    """One line of the journal: one route of one request, run.

    ``money``, ``seconds`` and ``penalty`` make its cost; ``estimate`` is the score planned on an empty store. ``error``
    is the code of one that failed. ``load`` is of the machine when it began. ``chosen``: on an empty store. ``turn``:
    its how many-th run, from 0. ``processor``: seconds of it that all programs of the run used; ``work``: of each the
    thread that used most, and the round trips.
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
    turn: int = 0
    processor: float = 0.0
    work: float = 0.0
    replans: int = 0


class Size(NamedTuple):
    """How much is run: routes of a request at ``most``, each so many ``turns``."""

    most: int = MOST
    turns: int = TURNS


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
        self._done = {(run.request, run.route, run.turn) for run in self.runs}

    def has(self, request: str, route: str, turn: int = 0) -> bool:
        return (request, route, turn) in self._done

    def add(self, run: Run) -> None:
        self.runs.append(run)
        self._done.add((run.request, run.route, run.turn))
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
    ready, used = user.prepare(asked.request), _processor()
    try:
        result = fold(list(user.execute(ready, plan_of_candidate(fresh(inputs), candidate))))
    except IntermodalError as error:
        run.error = error.code
        return run
    run.load_seconds = round(sum(actual.load_seconds for actual in result.actuals), 3)
    run.seconds = round(result.seconds - run.load_seconds, 4)
    after = _processor()
    trips = sum(isinstance(step, Call) and step.endpoint.startswith("far-") for step in candidate.steps)
    run.processor = round(after.seconds - used.seconds, 3)
    run.work = round(_busiest(used, after) + FAR * trips, 3)
    run.money = result.cost or 0.0
    run.replans = len(result.replans)
    return run


class Processor(NamedTuple):
    """Seconds that this process, its runtimes and its servers have used so far, those that ended among them; and those
    of each thread, by process.
    """

    seconds: float
    threads: dict[int, dict[int, float]]


def _processor() -> Processor:
    me = psutil.Process()
    seconds, threads = 0.0, dict[int, dict[int, float]]()
    for each in (me, *me.children(recursive=True)):
        times = each.cpu_times()
        seconds += times.user + times.system + times.children_user + times.children_system
        threads[each.pid] = {one.id: one.user_time + one.system_time for one in each.threads()}
    return Processor(seconds, threads)


def _busiest(before: Processor, after: Processor) -> float:
    """Sum over the processes of what their busiest thread used."""
    found = 0.0
    for pid, threads in after.threads.items():
        earlier = before.threads.get(pid, {})
        found += max((seconds - earlier.get(id, 0.0) for id, seconds in threads.items()), default=0.0)
    return found


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


def run_half(user: intermodal.Client, derived: Path, half: list[Asked], journal: Journal, size: Size) -> None:
    """Every route of every request of a half, turn by turn, each in an order that mixes them."""
    warm(user, derived)
    every: list[tuple[Asked, Candidate, Inputs]] = []
    for asked in half:
        inputs = prepared(user, asked)
        if inputs is None:
            continue
        try:
            routes = alternatives(fresh(inputs), most=size.most, below_floor=False)
        except NoRoute as error:
            print(f"left out: {asked.name}: {error}", file=sys.stderr)
            continue
        if len(routes) < LEAST_ROUTES:
            print(f"left out: {asked.name}: {len(routes)} feasible routes", file=sys.stderr)
            continue
        every += [(asked, each, inputs) for each in {route_of(each): each for each in routes}.values()]
    began, number = time.monotonic(), 0
    for turn in range(size.turns):
        todo = [each for each in every if not journal.has(each[0].name, route_of(each[1]), turn)]
        random.Random(f"{SEED} {turn}").shuffle(todo)
        for asked, candidate, inputs in _apart(todo):
            run, number = measure(user, derived, asked, candidate, inputs), number + 1
            run.chosen = route_of(candidate) == route_of(plan_from(fresh(inputs)).chosen)
            run.turn = turn
            journal.add(run)
            left = (time.monotonic() - began) / number * (len(every) * size.turns - number)
            what = f"{asked.name}: {run.summary} {run.error}"
            print(f"{number}: {left:4.0f} s left  {run.seconds:6.2f} s  {what}", file=sys.stderr, flush=True)


def _apart(todo: list[tuple[Asked, Candidate, Inputs]]) -> list[tuple[Asked, Candidate, Inputs]]:
    """No request reaches a server right after itself: it keeps the beginning of the last prompt, and would start
    half-way. A server and its far-away double are one.
    """
    made: list[tuple[Asked, Candidate, Inputs]] = []
    waiting, last = list(todo), dict[str, str]()
    while waiting:
        fresh_ones = (
            at for at, each in enumerate(waiting) if all(last.get(one) != each[0].name for one in _servers(each))
        )
        made.append(waiting.pop(next(fresh_ones, 0)))
        last |= dict.fromkeys(_servers(made[-1]), made[-1][0].name)
    return made


def _servers(of: tuple[Asked, Candidate, Inputs]) -> set[str]:
    calls = (step for step in of[1].steps if isinstance(step, Call))
    return {step.endpoint.partition(":")[0].removeprefix("far-") for step in calls}


def choose_after(
    user: intermodal.Client, derived: Path, half: list[Asked], learned: Statistics, journal: Journal, turns: int
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
        for turn in range(turns):
            if not journal.has(asked.name, route_of(chosen), turn):
                plain = next((each for each in every if route_of(each) == route_of(chosen)), chosen)
                run = measure(user, derived, asked, plain, inputs)
                run.turn = turn
                journal.add(run)


def run_all(asked: list[Asked], journal: Journal, size: Size) -> None:
    halves = (asked[0::2], asked[1::2])
    learned: list[Statistics] = []
    with hosts() as config:
        for number, half in enumerate(halves):
            with client(journal.folder / f"half-{number}", config) as (user, derived):
                run_half(user, derived, half, journal, size)
                learned.append(user.asynchronous.store.learn())  # of all that was run, not up to the last ten
        for number, half in enumerate(halves):
            with client(journal.folder / f"half-{number}", config) as (user, derived):
                choose_after(user, derived, half, learned[1 - number], journal, size.turns)


def run_idle(asked: list[Asked], journal: Journal) -> Journal:
    """Learn from the runs of a journal as on an idle machine, and choose by that; nothing is run."""
    halves = ("half-0", "half-1")
    idle = Journal(idle_copy(journal.folder, journal.runs, halves))
    learned: list[Statistics] = []
    with hosts() as config:
        for name in halves:
            with client(idle.folder / name, config) as (user, _):
                learned.append(user.asynchronous.store.learn())
        for number, name in enumerate(halves):
            with client(idle.folder / name, config) as (user, derived):
                choose_after(user, derived, asked[number::2], learned[1 - number], idle, 0)
    for choice in idle.choices.values():
        if not idle.has(choice.request, choice.after):
            print(f"chosen and never run: {choice.request}: {choice.after}", file=sys.stderr)
    return idle


# ---- the report -------------------------------------------------------------------------------------------


class Regret(msgspec.Struct):
    """Of one request: cost of the choice over cost of the best, less one. ``work``: the same of the choice after, with
    processor seconds (``Run.work``) for those of the clock. ``noise``: of the first choice, the dearest turn over the
    cheapest.
    """

    asked: Asked
    routes: int
    ran: int
    before: float
    after: float
    work: float
    noise: float
    chosen: str
    best: str


def _named(run: Run) -> str:
    ears = [each.split("@")[1].split("<")[0] for each in run.route.split() if each.startswith("transcribe")]
    return " + ".join(dict.fromkeys(each.partition(":")[0] for each in (*ears, run.endpoint))) + f": {run.summary}"


def cost(run: Run, asked: Asked, *, work: bool = False) -> float:
    if run.error:
        return math.inf
    return (
        run.money + (run.work or run.processor if work else run.seconds) * asked.request.policy.time_value + run.penalty
    )


def middle(turns: list[Run], asked: Asked, *, work: bool = False) -> float:
    """Cost of a route: of the middle one of its turns."""
    return report.median(cost(run, asked, work=work) for run in turns)


def regrets(asked: list[Asked], journal: Journal) -> list[Regret]:
    found = []
    for each in asked:
        routes: dict[str, list[Run]] = {}
        for run in journal.runs:
            if run.request == each.name:
                routes.setdefault(run.route, []).append(run)
        worked = {name: turns for name, turns in routes.items() if middle(turns, each) < math.inf}
        choice = journal.choices.get(each.name)
        if len(worked) < LEAST_ROUTES or choice is None:
            continue
        costs = {name: middle(turns, each) for name, turns in worked.items()}
        best = min(costs, key=lambda name: costs[name])
        before = next((name for name, turns in routes.items() if turns[0].chosen), best)
        after = choice.after if choice.after in routes else before
        work = {name: middle(turns, each, work=True) for name, turns in worked.items()}
        turns = [cost(run, each) for run in routes[before] if not run.error] or [1.0]
        found.append(
            Regret(
                each, choice.routes, len(worked), costs.get(before, math.inf) / costs[best] - 1,
                costs.get(after, math.inf) / costs[best] - 1, work.get(after, math.inf) / min(work.values()) - 1,
                max(turns) / min(turns) - 1, _named(routes[after][0]), _named(routes[best][0]),
            )
        )  # fmt: skip
    return found


def body(found: list[Regret], journal: Journal, size: Size) -> str:
    kinds = list(dict.fromkeys(each.asked.kind for each in found))
    rows = [_row(kind, [each for each in found if each.asked.kind == kind]) for kind in kinds]
    rows.append(_row("**all**", found))
    runs, failed = len(journal.runs), [run for run in journal.runs if run.error]
    loads = [run.load for run in journal.runs] or [0.0]
    worst = sorted(found, key=lambda each: -each.after)[:8]
    return (
        f"{len(found)} requests, {runs} runs of {sum(each.ran for each in found)} feasible routes "
        f"({sum(each.routes for each in found)} before the limit of {size.most} a request), "
        f"{size.turns} turns each; {len(failed)} runs failed"
        + (f" ({', '.join(sorted({run.error for run in failed}))})" if failed else "")
        + f"; {sum(run.replans > 0 for run in journal.runs)} were planned again on the way. Load of the machine while "
        f"running: median {report.median(loads):.1f}, p95 {report.percentile(loads, 0.95):.1f}. Goal of every "
        "class after learning: median <= 10 %, p95 <= 100 %.\n\n"
        "*Noise*: of the turns of the first choice, the dearest over the cheapest. *Work*: regret after learning with "
        "the processor seconds of every program's busiest thread in place of the clock's, which no other program at "
        "the machine changes.\n\n"
        + report.table(
            (
                "requests",
                "n",
                "routes",
                "before: median",
                "p95",
                "after: median",
                "p95",
                "work: median",
                "p95",
                "best chosen",
                "noise: median",
            ),
            rows,
        )
        + "\n\nThe largest that remain:\n\n"
        + report.table(
            ("request", "regret after", "work", "noise", "chosen", "best"),
            [(e.asked.name, _share(e.after), _share(e.work), _share(e.noise), e.chosen, e.best) for e in worst],
        )
    )


def _row(name: str, found: list[Regret]) -> tuple[str, ...]:
    before, after = [each.before for each in found], [each.after for each in found]
    work, right = [each.work for each in found], sum(each.after <= 0 for each in found)
    return (
        name, str(len(found)), str(sum(each.ran for each in found)),
        _share(report.median(before)), _share(report.percentile(before, 0.95)),
        _share(report.median(after)), _share(report.percentile(after, 0.95)),
        _share(report.median(work)), _share(report.percentile(work, 0.95)),
        f"{100 * right / len(found):.0f} %", _share(report.median(each.noise for each in found)),
    )  # fmt: skip


def _share(value: float) -> str:
    return "failed" if math.isinf(value) else f"{100 * value:.0f} %"


def spread(asked: list[Asked], most: int) -> list[Asked]:
    """So many of every kind at most, evenly spaced."""
    kinds: dict[str, list[Asked]] = {}
    for each in asked:
        kinds.setdefault(each.kind, []).append(each)
    return [
        some[place * len(some) // min(most, len(some))]
        for some in kinds.values()
        for place in range(min(most, len(some)))
    ]


def main() -> None:
    given = argparse.ArgumentParser(description="Plan regret over a written set of requests.")
    given.add_argument("--quick", action="store_true", help="every sixth request, in a journal of its own")
    given.add_argument("--fresh", action="store_true", help="forget the journal first")
    given.add_argument("--report", action="store_true", help="only report what the journal has")
    given.add_argument("--idle", action="store_true", help="the same runs as on an idle machine")
    given.add_argument("--only", default="", help="kinds of requests, with commas between them")
    given.add_argument("--each", type=int, default=0, help="requests of every kind at most, spread over them")
    given.add_argument("--most", type=int, default=MOST, help="routes of a request")
    given.add_argument("--turns", type=int, default=TURNS, help="runs of a route")
    given.add_argument("--name", default="regret", help="of the journal and the result")
    options = given.parse_args()
    folder = FOLDER.with_name("regret-quick" if options.quick else options.name)
    if options.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    journal = Journal(folder)
    asked = requests()
    asked = [each for place, each in enumerate(asked) if place // 2 % 6 == 0] if options.quick else asked
    asked = [each for each in asked if not options.only or each.kind in options.only.split(",")]
    asked = spread(asked, options.each) if options.each else asked
    size = Size(options.most, options.turns)
    if options.idle:
        journal = run_idle(asked, journal)
    elif not options.report:
        run_all(asked, journal, size)
    found = regrets(asked, journal)
    if not found:
        raise SystemExit("nothing was measured")
    if options.quick:
        print(body(found, journal, size))
    else:
        name, title = (f"{options.name}-idle", "Plan regret, idle") if options.idle else (options.name, "Plan regret")
        report.write(name, title, body(found, journal, size))


if __name__ == "__main__":
    main()
