"""The published cases of draft 2020-12: each verdict is the one that the suite states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from intermodal.json_schema import InvalidSchema, StepBudget, compile_schema

LINES = (Path(__file__).parent / "draft2020-12" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
CASES: list[dict[str, Any]] = [json.loads(line) for line in LINES]
STEPS = 100_000
# A metaschema of one's own may turn keywords off; it lies elsewhere, and nothing is fetched.
NOT_DONE = {"schema that uses custom metaschema with with no validation vocabulary"}


def elsewhere(case: dict[str, Any]) -> bool:
    """Whether the case needs a document that lies elsewhere."""
    written = json.dumps(case["schema"])
    return '"http://localhost:1234/' in written or "https://json-schema.org/draft/2020-12/schema" in written.replace(
        '"$schema": "https://json-schema.org/draft/2020-12/schema"', ""
    )


@pytest.mark.parametrize("of", sorted({case["of"] for case in CASES}))
def test_every_verdict_is_the_published_one(of: str) -> None:
    wrong = []
    for case in CASES:
        if case["of"] != of or case["description"] in NOT_DONE:
            continue
        try:
            compiled = compile_schema(case["schema"], StepBudget(STEPS))
        except InvalidSchema as error:
            if not ("outside of itself" in error.what and elsewhere(case)):
                wrong.append(f"{case['description']}: {error.what}")
            continue
        for test in case["tests"]:
            if (compiled.violation(test["data"], StepBudget(STEPS)) is None) is not test["valid"]:
                wrong.append(f"{case['description']}: {test['description']}")
    assert not wrong, "\n".join(wrong)


def test_the_cases_are_all_there() -> None:
    assert len(CASES) > 400 and sum(len(case["tests"]) for case in CASES) > 1_300
