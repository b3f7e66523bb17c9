"""The day is that of UTC, written once."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime
from pathlib import Path

import intermodal
from intermodal.core.today import today


def test_the_day_is_iso_in_utc() -> None:
    before, found, after = datetime.now(UTC).date(), today(), datetime.now(UTC).date()
    assert before <= date.fromisoformat(found) <= after


def test_nobody_else_writes_the_day_of_now() -> None:
    root = Path(intermodal.__file__).parent
    wrong = []
    for path in sorted(root.rglob("*.py")):
        if "isoformat" not in (source := path.read_text()) or path.name == "today.py":
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node).endswith(").date().isoformat()"):
                wrong.append(f"{path.relative_to(root)}:{node.lineno}")
    assert not wrong, "ask intermodal.core.today"
