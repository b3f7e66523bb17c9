"""Conversions of several files, one file after another and all together, on all cores of this machine and on one.

    python benchmarks/overlap.py [ROUNDS]

Each set of files is asked about by a client of its own, whose caches are empty: in a request for each file, and in one
request for all of them. A model at a loopback server answers at once. "Converting" is from the start of the first
conversion to the end of the last, "as planned" what the plan says of the same, loading included in both; "in all" has
opening and planning besides. Seconds are of the clock, and of the processor, children included: the median of ROUNDS
(3) rounds, which take turns.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import report
from fidelity.ours import MODEL, processor, served
from PIL import Image, ImageDraw, ImageFont

from intermodal.client import request_builder
from intermodal.events import Result
from intermodal.plans.plan import Candidate

MEDIA = Path(__file__).parent.parent / "examples" / "media"
LINE = "Lorry %d left Porto on day %d with %d crates of glass and came back without them."


def pdf(pages: int, seed: int, lines: int = 10) -> bytes:
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    for page in range(pages):
        for line in range(lines):
            canvas.drawString(60, 790 - 15 * line, LINE % (seed, page, line))
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def letter(seed: int) -> bytes:
    """A picture of twelve lines of print."""
    page = Image.new("L", (900, 700), 255)
    drawn, font = ImageDraw.Draw(page), ImageFont.load_default(22)
    for line in range(12):
        drawn.text((40, 40 + 50 * line), LINE % (seed, line, 10 * line), font=font, fill=0)
    out = io.BytesIO()
    page.save(out, "PNG")
    return out.getvalue()


def written() -> bytes:
    import docx

    made = docx.Document()
    for line in range(400):
        made.add_paragraph(LINE % (line, line, line))
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def files(name: str) -> Mapping[str, bytes]:
    if name == "5 PDFs of 100 pages":
        return {f"{place}.pdf": pdf(100, place) for place in range(5)}
    speech = (MEDIA / "two_cities_25s.flac").read_bytes()
    papers = {"a.pdf": pdf(150, 7, 48), "b.docx": written()}
    return {"speech.flac": speech, **{f"{place}.png": letter(place) for place in range(3)}, **papers}


FIGURES = ("converting", "planned", "wall", "processor")
SETS = ("5 PDFs of 100 pages", "25 s of speech, 3 pictures, a PDF, a DOCX")


def run(name: str, way: str, cores: int) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for path, data in files(name).items():
            paths.append(Path(folder) / path)
            paths[-1].write_bytes(data)
        with served() as (client, _):
            options = cast(Any, {"model": MODEL, "max_tokens": 8})
            groups = [paths] if way == "together" else [[path] for path in paths]
            requests = [
                request_builder.make_request("What is said of lorries?", *map(str, each), **options) for each in groups
            ]
            planned = sum(before_the_answer(client.plan(each).chosen) for each in requests)
            began, before = time.monotonic(), processor()
            results = [client.run(each) for each in requests]
            return {
                "converting": sum(map(converting, results)), "planned": planned,
                "wall": time.monotonic() - began, "processor": processor() - before,
            }  # fmt: skip


def before_the_answer(chosen: Candidate) -> float:
    """Seconds that the conversions of a route take, as it says."""
    last = chosen.last.estimate
    return chosen.total.seconds.mid - last.seconds.mid - last.load_seconds.mid


def converting(result: Result) -> float:
    """Seconds from the start of a run's first conversion to the end of the last."""
    ran = [each for each in result.actuals[:-1] if not each.cached]
    if not ran:  # words alone: they were taken out as the file was opened
        return 0.0
    return max(each.began + each.load_seconds + each.seconds for each in ran) - min(each.began for each in ran)


def measured(rounds: int) -> list[tuple[str, int, str, list[dict[str, Any]]]]:
    cores = len(os.sched_getaffinity(0))
    kinds = [
        (name, count, way)
        for name in SETS
        for count in dict.fromkeys((1, cores))
        for way in ("one after another", "together")
    ]
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for name, count, way in kinds:
            command = [sys.executable, __file__, "--run", name, way, str(count)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[name, count, way].append(json.loads(done.stdout))
    return [(*kind, runs) for kind, runs in found.items()]


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(run(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
        return
    rows = []
    for name, cores, way, runs in measured(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        figures = [f"{report.median(each[figure] for each in runs):.1f}" for figure in FIGURES]
        rows.append((name, str(cores), way, *figures))
    head = ("files", "cores", "asked", "converting, s", "as planned", "in all", "of the processor")
    report.write("overlap", "Conversions that overlap", f"{report.table(head, rows)}\n\n{SAID}")


SAID = """
Text recognition and speech recognition take both cores of a machine of two, and take turns there. That a recording is
heard while a picture is read, on more cores, is held by tests (`tests/unit/executor/test_core_slots.py`,
`tests/unit/plans/test_cpu_schedule.py`). On a machine that others use only the processor's seconds can be compared.
"""

if __name__ == "__main__":
    main()
