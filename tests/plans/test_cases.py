"""Every case gives exactly the EXPLAIN text it expects. ``--bless`` rewrites them; the diff is the review."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.plans import runner


@pytest.mark.parametrize("path", runner.cases(), ids=lambda path: path.stem)
def test_the_plan_is_explained_as_the_case_says(path: Path, bless: bool) -> None:
    if bless:
        runner.rewrite(path)
    case, expected = runner.parse(path)
    assert runner.run(case) == expected


def test_there_are_enough_cases() -> None:
    assert len(runner.cases()) >= 20
