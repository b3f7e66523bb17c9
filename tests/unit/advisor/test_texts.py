"""The text is stable, short enough to be read, and the same as the files beside it. ``--bless`` rewrites those."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.advisor.advice_of import advice

from intermodal.advisor.advice import document

HERE = Path(__file__).parent
GOLDEN: dict[str, dict[str, Any]] = {
    "invoices": {
        "takes": "pdf,image", "requests": "10000/day", "prompt": "Does the invoice agree with the contract?",
        "hardware": "24GB 8cores", "hardware_price": 2400.0, "power": 300.0, "kwh": 0.3,
    },
    "private_call": {"takes": "audio", "private": ("audio",), "prompt": "What does the caller want?"},
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_what_the_file_says(name: str, bless: bool) -> None:
    options = dict(GOLDEN[name])
    said = str(advice(options.pop("takes"), **options)) + "\n"
    path = HERE / f"{name}.txt"
    if bless:
        path.write_text(said)
    assert said == path.read_text(), "bless, if this is what it should say"


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_readable(name: str) -> None:
    lines = (HERE / f"{name}.txt").read_text().splitlines()
    assert len(lines) <= 60 and all(len(line) <= 116 and line == line.rstrip() for line in lines)
    for odd in ("nan", "inf ", "None", "Quantity(", "  ,", "()", "1 endpoints"):
        assert not any(odd in line for line in lines), odd


def test_the_document_has_what_the_text_has_and_null_for_the_unknown() -> None:
    made = advice("pdf,image", requests="10000/day")
    plain = json.loads(json.dumps(document(made)))
    assert plain["advice_version"] == 1 and plain["text"] == str(made)
    assert plain["use"] == made.use and [kind["use"] for kind in plain["kinds"]] == ["cascade", "vision"]
    hosted = plain["kinds"][0]["offers"][0]
    assert set(hosted["usd"]) == {"low", "mid", "high", "exactness", "basis"}
    assert plain["break_even"]["machine"]["mid"] is None, "nobody said what it costs"
    assert plain["volume"]["per_month"] == pytest.approx(304_375.0)
