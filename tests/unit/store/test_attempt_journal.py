"""The attempt journal: what is on its way outlives the process, and the kinds it is written in do not pile up."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from intermodal.store import attempt_journal
from intermodal.store.attempt_journal import AttemptJournal, AttemptTemplate, orphaned_attempts
from intermodal.store.rows import Reservation, RunRow


def sort(number: int) -> AttemptTemplate:
    run = RunRow(id="", plan=f"plan {number}", inputs="", endpoint="e", objective="default", parts=())
    return AttemptTemplate(run, Reservation(run="", step="s", op="generate", task="t", endpoint="e", zone="internet"))


def test_kinds_are_begun_anew_once_nothing_is_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_journal, "TEMPLATES", 3)
    monkeypatch.setattr(attempt_journal, "is_dead", lambda process: True)
    written = AttemptJournal(tmp_path, "me")
    open_slot = written.note(written.add(sort(0)), b"a" * 16, b"r" * 16, 1.0)
    for number in range(1, 9):  # more than there should be, but one is on its way
        assert written.add(sort(number)) == number
    assert written.since == 0
    written.free_slot(open_slot)
    assert written.add(sort(9)) == 0 and written.since == 1
    written.note(written.add(sort(10)), b"b" * 16, b"r" * 16, 2.0)
    ((_, found),) = orphaned_attempts(tmp_path)
    (left,) = found
    assert msgspec.to_builtins(left.sort) == msgspec.to_builtins(sort(10))
    written.close()
