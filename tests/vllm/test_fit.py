"""Tokens that a real vLLM on the processor has room for, beside what was predicted of its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.command import fresh as intermodal_command
from tests.vllm.conftest import ROOT, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
POINTS = [
    ("text", 1024, 1, ()),
    ("text", 4096, 2, ()),
    ("text", 8192, 1, ("--max-num-seqs", "4")),
    ("text", 2048, 1, ("--block-size", "32")),
    ("eye", 1024, 1, ()),
]


@pytest.mark.parametrize(("model", "context", "space", "more"), POINTS)
def test_a_real_vllm_remembers_as_many_tokens_as_was_predicted(
    python: str, weights: Path, model: str, context: int, space: int, more: tuple[str, ...]
) -> None:
    with serving(python, weights / model, model, context=context, space=space, more=more) as server:
        found = intermodal_command("fit", "--check", server.base_url, "--json", timeout=120)
    assert found.answered, found.out + found.err
    [row] = found.document["compared"]
    first = (model, context, space, more) == POINTS[0]
    with (ROOT / "out" / "vllm_tokens.jsonl").open("w" if first else "a") as file:  # benchmarks/fit.py shows it
        point = {"model": model, "context": context, "space": space, "options": more}
        file.write(json.dumps(point | {"predicted": row["predicted"], "reported": row["real"]}) + "\n")
    assert row["name"] == "tokens" and row["source"] == "/metrics"
    assert abs(row["error"]) < 0.1, row
