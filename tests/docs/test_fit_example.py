"""The example of ``fit`` in the documentation is what ``fit`` prints of a published model on a published card."""

from __future__ import annotations

from pathlib import Path

from tests.unit.sizing import models
from tests.unit.sizing.test_placement import QWEN

from intermodal.model_fit.fit import FitQuery, parse_contexts, report
from intermodal.model_fit.fit_output import report_lines
from intermodal.sizing.machines import machine_of_options

PAGE = Path(__file__).parents[2] / "docs" / "fit.md"
BEFORE = "The answer for Qwen3-30B-A3B in four bits, at 32k, on one card of 24 GB:\n\n```text\n"


def test_the_example_of_a_large_model_is_what_fit_prints(bless: bool) -> None:
    query = FitQuery(model=QWEN.reference, gpus=("RTX 4090",), contexts=parse_contexts("4k,8k,16k,32k"))
    lines = report_lines(report(query, QWEN, models.qwen3_30b_a3b(), machine_of_options(query.gpus)))
    shown = "".join("".join(piece for piece, _ in line) + "\n" for line in lines)
    before, start, rest = PAGE.read_text().partition(BEFORE)
    block, end, after = rest.partition("```\n")
    if bless and block != shown:
        PAGE.write_text(f"{before}{start}{shown}{end}{after}")
        block = shown
    assert block == shown, "make bless, if this is what it should say"
