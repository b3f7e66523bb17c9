"""What a prompt file costs: reading it, rendering it, and parsing the answer, for each format, cold and warm.

Processor time; cold is a fresh process (median of 5), from the import of ``intermodal.prompts`` on. Warm is the median
of 200 in one process, each read of the file from its text on. BAML's runtime compiles a folder that changed, here of
two files; one that did not change is kept, and its files are read in what stands in brackets.

    python benchmarks/prompt_files.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "examples" / "media" / "screenshot-invoice.png"
ANSWER = json.dumps({"number": "INV-7", "total": 12.5, "currency": "EUR"})
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "dotprompt": ("invoice.prompt", {"photo": str(PICTURE)}),
    "POML": ("invoice.poml", {"photo": str(PICTURE)}),
    "BAML": ("invoice.baml", {"photo": str(PICTURE)}),
    "GitHub": ("opening.prompt.yml", {}),
    "Prompty": ("invoice.prompty", {"photo": str(PICTURE)}),
}
COLD = """
import json, sys, time
began = time.process_time()
from intermodal.prompts import argument_values, formats
file = formats.load(sys.argv[1])
given = json.loads(sys.argv[2]) or {each.name: "some words" for each in file.arguments}
file.template.messages(argument_values.bind_values(file, given))
print(time.process_time() - began)
"""


def warm(act: Callable[[], object], times: int = 200) -> float:
    """Milliseconds of the processor, median."""
    found = []
    for _ in range(times):
        began = time.process_time()
        act()
        found.append(time.process_time() - began)
    return statistics.median(found) * 1000


def measured(path: Path, given: dict[str, Any]) -> list[str]:
    from intermodal.prompts import argument_values, formats

    cold = []
    for _ in range(5):
        command = [sys.executable, "-c", COLD, str(path), json.dumps(given)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        cold.append(float(done.stdout) * 1000)
    file = formats.load(path)
    arguments = given or {each.name: "some words" for each in file.arguments}
    bound = argument_values.bind_values(file, arguments)
    kept = warm(lambda: formats.load(path))
    reading = warm(lambda: changed(path)) if file.format == "BAML" else kept
    rendering = warm(lambda: file.template.messages(argument_values.bind_values(file, arguments)))
    assert file.template.messages(bound)
    parser = file.parser
    parsing = warm(lambda: parser.value(ANSWER)) if parser is not None else 0.0
    read = f"{reading:.2f}" if reading is kept else f"{reading:.2f} ({kept:.2f})"
    parse = f"{parsing:.3f}" if parsing else "as any JSON answer"
    return [f"{statistics.median(cold):.2f}", read, f"{rendering:.2f}", parse]


def changed(path: Path) -> None:
    """Read a file of BAML as if its folder had changed."""
    from intermodal.prompts import formats
    from intermodal.prompts.baml import reader

    reader._project.cache_clear()
    formats.load(path)


def main() -> None:
    rows = []
    for name, (file, given) in FILES.items():
        rows.append([name, *measured(ROOT / "examples" / "prompts" / file, given)])
    head = ["milliseconds of the processor", "cold: import, read, render", "read, warm", "render, warm", "parse, warm"]
    about = (__doc__ or "").partition("\n\n    python")[0]
    table = report.table(head, rows)
    report.write("prompt_files", "Prompt files", f"{about}\n\n{table}")
    print(table)


if __name__ == "__main__":
    main()
