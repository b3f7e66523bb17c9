"""Fields of documents, read by the small model: what it makes up is marked, what it is told is counted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks.extraction_set import QUESTIONS, papers

import intermodal
from intermodal.client import request_builder

pytestmark = pytest.mark.e2e


def digits(value: Any) -> str:
    return re.sub(r"\D", "", f"{value:.2f}" if isinstance(value, float) else str(value))


def test_no_value_that_the_document_does_not_hold_goes_unmarked(tmp_path: Path) -> None:
    """Letters, receipts and invoices as text and as PDFs, so that what was read is what stands there."""
    kinds = {paper.kind: paper for paper in reversed(papers(24)) if paper.form in ("text", "pdf")}
    some = kinds.values()
    assert kinds.keys() == {"invoice", "receipt", "letter"} and {paper.form for paper in some} == {"text", "pdf"}
    seen = 0
    with intermodal.Client() as client:
        for paper in some:
            path = tmp_path / paper.name
            path.write_bytes(paper.data)
            result = client.run(
                request_builder.make_request(QUESTIONS[paper.kind], str(path), schema=paper.schema, max_tokens=300)
            )
            text = "\n".join(paper.lines)
            status = {each.field.removeprefix("/"): each for each in result.evidence}
            assert status.keys() == result.data.keys()
            for name, value in result.data.items():
                found = status[name]
                if isinstance(value, (int, float)) and digits(value) not in digits(text):
                    assert found.status == "unverified", (paper.name, name, value)
                if found.status == "found":
                    assert found.file == paper.name and " ".join(found.text.split()) in " ".join(text.split())
                if value == paper.truth[name]:
                    assert found.status == "found", (paper.name, name, value)
                seen += 1
            marked = any(each.status == "unverified" for each in result.evidence)
            assert marked is any("in none of the files" in note for note in result.notes)
    assert seen == 12


def test_what_is_told_of_a_schema_is_counted_exactly_and_is_in_the_prompt(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Total due EUR 42.00")

    def asked(description: str) -> tuple[float, float, int]:
        schema = {"type": "object", "properties": {"total": {"type": "number", "description": description}}}
        request = request_builder.make_request(
            "Read.", str(tmp_path / "a.txt"), schema=schema, evidence="off", max_tokens=40
        )
        prepared = client.prepare(request)
        plan = client.plan(request)
        tokens = plan.chosen.total.input_tokens
        result = client.run(request)
        assert prepared.inputs.facts.schema is not None
        told = prepared.inputs.facts.schema.tokens["smollm2"]
        return tokens.mid, told, result.actuals[-1].usage.input_tokens or 0

    with intermodal.Client() as client:
        planned, told, took = asked("the total")
        more_planned, more_told, more_took = asked(
            "the total amount that is due at the end of the month, with all taxes"
        )
    assert more_told - told == more_planned - planned == more_took - took > 5
