"""Labels of pictures by three kinds of models, measured by ``intermodal eval``: right answers, money and seconds.

    python benchmarks/zero_shot.py

Pictures are drawn by the generator of tiny-clip (``scripts/tiny_clip/pictures.py``) with a seed that its training did
not use: shapes and charts, each with the one of seven labels that is true of it. They go in twice: as
pictures, for what compares or sees them, and each as a scanned page, for what reads: of a photograph the planner lets
nobody hold read words against labels. The models are the project's own small ones and stand for their kinds: what is
compared is the way, and what it takes.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import msgspec
import report
from home import fresh_home

from intermodal.charts.scatter_chart import scatter
from intermodal.evaluation.aggregation import RouteReport

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
PICTURE = ROOT / "docs" / "pictures" / "zero-shot.svg"
SEED = 20_261_129
EACH = 4  # pictures a label
ENOUGH = 20  # pictures of a route that is shown: some go by their words alone, as they look like print
LABELS = ("a circle", "a square", "a triangle", "a star", "a bar chart", "a line chart", "a pie chart")
CLIP = f"""
[hosts.pictures]
protocol = "contrastive"
[[hosts.pictures.models]]
id = "tiny/clip"
weights = "{ROOT / "tests" / "media" / "tiny_clip"}"
"""
_STYLE = (
    "<style>svg{background:#fff}text{font:12px system-ui,sans-serif;fill:#444}.head{font-weight:600;font-size:13px}"
    ".number{fill:#fff;font-weight:700}.grid{stroke:#ddd}.frontier{stroke-dasharray:5 4}"
    "circle{fill:#2563a8}.bar{stroke:#2563a8}</style>"
)


def draw(folder: Path) -> tuple[Path, Path]:
    """The labelled files: of pictures, and of the same as scanned pages."""
    found = spec_from_file_location("pictures", ROOT / "scripts" / "tiny_clip" / "pictures.py")
    assert found is not None and found.loader is not None
    pictures = module_from_spec(found)
    found.loader.exec_module(pictures)
    chance, left = random.Random(SEED), Counter(dict.fromkeys(LABELS, EACH))
    rows: dict[str, list[dict[str, Any]]] = {"png": [], "pdf": []}
    while left.total():
        image, truth = pictures.picture(chance, chance.choice(("shape", "chart")))
        kept = {name: truth[name] for name in ("kind", "shape", "chart") if name in truth}
        label = pictures.words(kept)
        if not left[label]:
            continue
        left[label] -= 1
        number = len(rows["png"])
        for ending, some in rows.items():
            file = folder / f"{number:03}.{ending}"
            image.save(file)
            some.append({
                "id": f"{number:03} {label}", "files": [file.name], "labels": LABELS, "output": "scores",
                "expected": label, "compare": "labels",
            })  # fmt: skip
    made = []
    for ending, some in rows.items():
        made.append(folder / f"held-out-{ending}.jsonl")
        made[-1].write_text("".join(f"{json.dumps(row)}\n" for row in some))
    return made[0], made[1]


def evaluated(data: Path, env: dict[str, str], *more: str) -> dict[str, Any]:
    """What ``intermodal eval`` says, as its JSON."""
    command = (sys.executable, "-m", "intermodal.cli.main", "eval", str(data), "--json", "--local", *more)
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{' '.join(command)}: {ran.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def measured() -> list[dict[str, Any]]:
    """The routes of both runs."""
    from tests.e2e.servers import EYE, llama_server

    with fresh_home() as env, llama_server(eye=EYE) as server:
        home = Path(env["INTERMODAL_HOME"])
        env["INTERMODAL_CONFIG"] = str(home / "zero_shot.toml")
        Path(env["INTERMODAL_CONFIG"]).write_text(f"{server.row('eye')}{CLIP}")
        shown, scanned = draw(home)
        eye, vectors = f"eye:{server.model}", "embedded:intfloat/multilingual-e5-small"
        runs = ((shown, "pictures:tiny/clip"), (shown, eye), (shown, vectors), (scanned, vectors))
        # Named, each of them is given every picture; the planner by itself would have some read that look like print.
        found = [evaluated(data, env, "--model", name, "--journal", str(home / f"{number}.jsonl"))
                 for number, (data, name) in enumerate(runs)]  # fmt: skip
    rows = [row for each in found for row in each["routes"]]
    return sorted(rows, key=lambda row: (-row["right"], row["seconds"]))


def words(route: dict[str, Any]) -> str:
    """A route in a few words."""
    by = [each.split(" ", 1) for each in route["route"]["converters"]]
    before = ", ".join(f"{op} by {who[0].rpartition('/')[2]}" if who else op for op, *who in by)
    last = f"{route['route']['endpoint'].rpartition('/')[2]} scores"
    return f"{before}, then {last}" if before else f"{last} the picture as it is"


def _row(number: int, route: dict[str, Any]) -> tuple[str, ...]:
    failed = ", ".join(f"{count} {code}" for code, count in route["errors"].items()) or "–"
    return (
        str(number), words(route), f"{route['right']} of {route['items']}",
        f"{route['low']:.0%} to {route['high']:.0%}",
        f"${route['cost']:g}", f"{route['seconds']:.2f} s", f"{route['seconds_p95']:.2f} s", failed,
    )  # fmt: skip


def main() -> None:
    rows = [row for row in measured() if row["items"] >= ENOUGH]
    best, least = 0.0, set[int]()
    for number, row in sorted(enumerate(rows, 1), key=lambda pair: pair[1]["seconds"]):
        if row["share"] > best:
            best, least = row["share"], least | {number}
    reports = [
        msgspec.convert({**row, "number": number, "best_by_seconds": number in least}, RouteReport, strict=False)
        for number, row in enumerate(rows, 1)
    ]
    drawn = scatter(
        reports, lambda row: row.seconds, lambda row: row.best_by_seconds, key="zero-shot",
        title="Labels of pictures: right answers against time", label="median seconds a picture, every route free",
        unit=lambda value: f"{value:.3g} s",
    )  # fmt: skip
    PICTURE.write_text(drawn.replace(">", f">{_STYLE}", 1) + "\n")
    head = ("route", "how", "right", "95 % interval", "USD", "median", "p95", "failed")
    count = EACH * len(LABELS)
    note = (
        f"{count} generated pictures (seed {SEED}, which no training saw), {len(LABELS)} labels: {', '.join(LABELS)}. "
        "By `intermodal eval`; loading is not in the seconds, and nothing costs money, as all of it runs on this "
        "machine. Pictures that look like print are not given to an eye that cannot read, so its routes have fewer. "
        "OCR got each picture as a scanned page; one on which nothing can be read has no score "
        "and counts as wrong."
    )
    report.write(
        "zero_shot",
        "Labels of pictures, by three kinds of models",
        f"{note}\n\n{report.table(head, [_row(n, r) for n, r in enumerate(rows, 1)])}",
    )


if __name__ == "__main__":
    main()
