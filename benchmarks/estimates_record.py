"""Recorded runs of the set: what was planned from, and what it took. Estimates can be graded again without running.

A line per request in ``results/estimates.runs.jsonl``: the planner's facts and request (media left out), the
steps as they were planned, what each took, rows of the store, and how busy others kept the machine meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from estimates_set import Case, cases
from home import fresh_home

import intermodal
from intermodal.client.async_client import plan_from
from intermodal.core.content import BytesSource, File, Value
from intermodal.core.request import Request
from intermodal.events import Actual
from intermodal.plans.facts import Facts
from intermodal.plans.machine import Machine
from intermodal.plans.step import Step
from intermodal.store.cpu_contention import cpu_moment, share_of_others
from intermodal.store.rows import AttemptRow, TransformRow

RUNS = Path(__file__).parent / "results" / "estimates.runs.jsonl"


class Run(Value):
    """One request that was run. ``busy``: share of the processors that other programs took; ``when`` in UTC."""

    name: str
    reported: bool
    request: Request
    facts: Facts
    machine: Machine
    endpoint: str
    steps: tuple[Step, ...]
    actuals: tuple[Actual, ...]
    attempts: tuple[AttemptRow, ...] = ()
    made: tuple[TransformRow, ...] = ()
    busy: float | None = None
    load: float = 0.0
    when: str = ""
    error: str = ""


def record(requests: Iterable[Case], into: Path = RUNS) -> None:
    """Run each request; a line is written as soon as its run is over."""
    import os

    into.parent.mkdir(exist_ok=True)
    with fresh_home() as env, intermodal.Client(env=env) as client, into.open("wb") as file:
        for case in requests:
            start = cpu_moment()
            run = _run(client, case)
            run = msgspec.structs.replace(
                run, busy=share_of_others(start, cpu_moment()), load=round(os.getloadavg()[0], 2),
                when=datetime.now(UTC).isoformat(timespec="seconds"),
            )  # fmt: skip
            print(f"{case.name}  others {run.busy}  {run.error}", file=sys.stderr, flush=True)
            file.write(msgspec.json.encode(run) + b"\n")
            file.flush()


def _run(client: intermodal.Client, case: Case) -> Run:
    prepared = client.prepare(case.request)
    plan = plan_from(prepared.inputs)
    store = client.asynchronous.store
    before = {attempt.id for attempt in store.attempts(50)}
    last = max((row.sequence for row in store.transforms(1)), default=0)
    error = ""
    actuals: tuple[Actual, ...] = ()
    try:
        actuals = client.run(case.request, plan).actuals
    except intermodal.IntermodalError as problem:
        error = f"{problem.code}: {problem.what}"
    attempts = tuple(row for row in reversed(store.attempts(50)) if row.id not in before)
    made = tuple(row for row in store.transforms(20) if row.sequence > last)
    return Run(
        name=case.name, reported=case.reported, request=without_media(case.request), facts=prepared.inputs.facts,
        machine=prepared.inputs.machine, endpoint=plan.chosen.endpoint, steps=plan.chosen.steps,
        actuals=actuals, attempts=attempts, made=made, error=error,
    )  # fmt: skip


def without_media(request: Request) -> Request:
    """The request with its files' bytes left out: planning goes by the facts."""
    return msgspec.structs.replace(
        request,
        messages=tuple(
            msgspec.structs.replace(message, parts=tuple(map(_empty, message.parts))) for message in request.messages
        ),
    )


def _empty(part: object) -> object:
    if isinstance(part, File) and isinstance(part.source, BytesSource):
        return msgspec.structs.replace(part, source=BytesSource(data=b"", name=part.source.name))
    return part


def recorded(path: Path = RUNS) -> Iterator[Run]:
    for line in path.read_bytes().splitlines():
        yield msgspec.json.decode(line, type=Run)


if __name__ == "__main__":
    record(cases(int(sys.argv[1]) if len(sys.argv) > 1 else 8), Path(sys.argv[2]) if len(sys.argv) > 2 else RUNS)
