"""How fast the gateway is, beside nginx and other gateways, in the same minutes on the same core.

    python benchmarks/gateway/install.py DIR              once: the peers, into a folder outside the tree
    python benchmarks/gateway/measure.py --peers DIR      all of it, 20 minutes; writes results/gateway.*
    python benchmarks/gateway/measure.py --servers intermodal --only W1 --seconds 1 --rounds 1
    python benchmarks/gateway/measure.py --servers intermodal --only W1.32 --seconds 5 --rounds 1 --profile out

The server under test has core 1 for itself, with one worker; the host behind (mock.c) and what asks (load.c) have
core 0. In a round every server is started, then each workload is put on one after the other, so that their figures of
one round are seconds apart: ratios are taken inside a round, and the medians of the rounds are shown. What else the
machine does is in the numbers: run it on a quiet one. A run with --only or --servers is printed and not written.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from gateway.pinned import GATEWAY_CORE, OTHER_CORE
from gateway.running import Broken, Host, Row, Running, Tools
from gateway.servers import KEYED, SERVERS, USUAL, NotThere, ours
from gateway.tables import text, written
from gateway.workloads import WORKLOADS, Workload, pictures

STARTING = "W6"
WARM_SECONDS = 1.0
TOKENS = 164  # of every answer of the host


def main() -> None:
    given = asked()
    os.sched_setaffinity(0, {OTHER_CORE})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))  # 1,000 streams are 2,000 lines
    rows: list[Row] = []
    errors: dict[str, str] = {}
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        tools = Tools.build(Path(folder), pictures())
        for number in range(1, given.rounds + 1):
            print(f"round {number} of {given.rounds}", file=sys.stderr)
            rows += one_round(given, tools, Path(folder), number, errors)
    found = {
        "load_of_the_machine": {"before": before, "after": os.getloadavg()},
        "servers": {
            name: {"version": SERVERS[name].version(given.peers), "on": SERVERS[name].has_on, "error": errors.get(name)}
            for name in given.servers
        },
        "seconds": given.seconds,
        "rows": rows,
    }
    print(text(found))
    if given.only is None and given.servers == list(USUAL):
        os.sched_setaffinity(0, {OTHER_CORE, GATEWAY_CORE})  # what is written says how many cores there were
        written(found)


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="where install.py put them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each workload")
    parser.add_argument("--only", help="workloads: W1,W2.32,W6; " + ", ".join(each.id for each in WORKLOADS))
    parser.add_argument("--servers", help=f"of {', '.join(SERVERS)}; without: {', '.join(USUAL)}")
    parser.add_argument(
        "--profile", type=Path, metavar="DIR", help="py-spy's stacks of each workload, and where it is most"
    )
    given = parser.parse_args()
    given.peers = given.peers.resolve()
    given.servers = given.servers.split(",") if given.servers else list(USUAL)
    if unknown := [name for name in given.servers if name not in SERVERS]:
        parser.error(f"there is no server {', '.join(unknown)}; there are {', '.join(SERVERS)}")
    words = given.only.split(",") if given.only else [STARTING, *(each.id for each in WORKLOADS)]
    given.starting = STARTING in words
    given.workloads = [each for each in WORKLOADS if {each.id, each.id.partition(".")[0]} & set(words)]
    if not given.workloads and not given.starting:
        parser.error(f"there is no workload {given.only}")
    given.spy = shutil.which("py-spy") or given.peers / "py-spy/bin/py-spy"
    if given.profile and not Path(given.spy).exists():
        parser.error(f"{given.spy} is not there; run install.py DIR py-spy")
    if not {GATEWAY_CORE, OTHER_CORE} <= os.sched_getaffinity(0):
        parser.error("it takes two cores, 0 and 1")
    return given


def one_round(given: argparse.Namespace, tools: Tools, folder: Path, number: int, errors: dict[str, str]) -> list[Row]:
    """Every server is started, asked, ended."""
    rows: list[Row] = []
    with ExitStack() as stack:
        host = Host(tools, folder)
        stack.callback(host.pinned.close)
        running = {"direct": Running(None, given.peers, tools, host)}
        for name in given.servers:
            try:
                made = Running(SERVERS[name], given.peers, tools, host)
            except (NotThere, Broken) as problem:
                why = given.peers / f"{name}.error"
                said = why.read_text() if why.exists() else str(problem)
                errors[name] = said.replace(str(given.peers), "DIR")
                print(f"  {name}: {errors[name]}", file=sys.stderr)
                continue
            stack.callback(made.close)
            running[name] = made
            row: Row = {"round": number, "workload": STARTING, "server": name, "seconds": made.seconds}
            if made.idle is not None:
                rows.append(row | {"rss_mb": made.idle.rss, "pss_mb": made.idle.pss})
        for made in running.values():
            if given.workloads:
                made.warm_up(min(WARM_SECONDS, given.seconds))
        for load in given.workloads:
            for name, made in running.items():
                also = profiler(given, name, load) if given.profile and name != "direct" else []
                row = made.measure(load, given.seconds, also)
                print(f"  {load.id:<9}{name:<18}{row['rps']:>10,.1f}/s  failed {row['failed']}", file=sys.stderr)
                rows.append({"round": number, "workload": load.id, "server": name, **row})
                if also and (stacks := Path(also[also.index("-o") + 1])).exists():  # else it is not Python
                    hottest(stacks)
        for name, made in running.items():
            if name in KEYED:
                rows.append({"round": number, "workload": "books", "server": name, **books(made)})
    return rows


def books(made: Running) -> Row:
    """That budgets and the store were at work: what the key was charged and what was kept, and what the host says."""
    assert made.pinned is not None
    made.pinned.close()  # what it still has in memory is written
    spending = json.loads(ours(made.folder, "keys", "list", "--json"))["keys"][0]["spending"]
    kept = json.loads(ours(made.folder, "usage", "--json"))["endpoints"]
    return {
        "charged_tokens": sum(each["spent"] for each in spending if each["unit"] == "tokens"),
        "used_tokens": made.served * TOKENS,
        "kept_calls": sum(each["attempts"] for each in kept),
        "calls": made.served,
    }


def profiler(given: argparse.Namespace, name: str, load: Workload) -> list[str]:
    """py-spy for as long as the load lasts; its own time is on core 0, so the rates beside it mean nothing."""
    given.profile.mkdir(parents=True, exist_ok=True)
    seconds = str(max(1, int(load.seconds or given.seconds)))
    to = given.profile / f"{name}.{load.id}.stacks"
    return [
        str(given.spy),
        "record",
        "-f",
        "raw",
        "-r",
        "400",
        "-d",
        seconds,
        "-o",
        str(to),
        "--nonblocking",
        "--function",
        "-p",
    ]


def hottest(stacks: Path, rows: int = 15) -> None:
    """Where the samples are: by the function itself, and by all that it calls."""
    own, under = Counter[str](), Counter[str]()
    for line in stacks.read_text().splitlines():
        names, _, count = line.rpartition(" ")
        frames = names.split(";")
        own[frames[-1]] += int(count)
        for frame in set(frames):
            under[frame] += int(count)
    total = own.total() or 1
    print(f"{stacks}: {total} samples", file=sys.stderr)
    for (a, n), (b, m) in zip(own.most_common(rows), under.most_common(rows), strict=False):
        print(f"  {n / total:>5.1%} {a[:60]:<62}{m / total:>6.1%} {b[:60]}", file=sys.stderr)


if __name__ == "__main__":
    main()
