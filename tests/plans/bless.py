"""``python -m tests.plans.bless [NAME...]``: make cases expect what the planner says now; review the diff."""

from __future__ import annotations

import sys

from tests.plans import runner


def main() -> None:
    wanted = sys.argv[1:]
    for path in runner.cases():
        if not wanted or path.stem in wanted:
            runner.rewrite(path)


if __name__ == "__main__":
    main()
