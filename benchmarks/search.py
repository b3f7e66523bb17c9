"""Regret of the search itself: the chosen route against brute force over every endpoint, way and converter.

    python benchmarks/search.py [CASES]

The cases are those of ``tests/unit/planner/test_regret.py``, seeded requests of 1 to 4 parts over seeded catalogs: the
test looks at the first 150, this at more. Numbers are the planner's own estimates, so nothing but the search is graded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import report

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.unit.planner.test_regret import TIE, compared_with

CASES = 1500


def main() -> None:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else CASES
    found = sorted(compared_with(range(cases)))
    best = sum(regret == 0 for regret in found)
    equal = sum(0 < regret <= TIE for regret in found)
    lines = [
        f"{cases:,} seeded requests of up to four parts; {len(found):,} had a route that takes all pages and were",
        "compared.",
        "",
        f"The chosen route was the best there is in {best:,} of {len(found):,} ({best / len(found):.2%}; goal 99 %);",
        f"in {equal:,} more its number was the best, and another route with that number wins a tie-break.",
        f"Worst regret: {found[-1]:.2%}.",
    ]
    report.write("search", "Search against brute force", "\n".join(lines))


if __name__ == "__main__":
    main()
