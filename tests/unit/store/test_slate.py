"""The slate: what is on its way outlives the process, and the kinds it is written in do not pile up."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from intermodal.store import slate
from intermodal.store.rows import Reservation, RunRow
from intermodal.store.slate import Slate, Sort, left_over


def sort(number: int) -> Sort:
    run = RunRow(id="", plan=f"plan {number}", inputs="", endpoint="e", objective="default", parts=())
    return Sort(run, Reservation(run="", step="s", op="generate", task="t", endpoint="e", zone="internet"))


def test_kinds_are_begun_anew_once_nothing_is_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slate, "SORTS", 3)
    monkeypatch.setattr(slate, "dead", lambda process: True)
    written = Slate(tmp_path, "me")
    open_slot = written.note(written.add(sort(0)), b"a" * 16, b"r" * 16, 1.0)
    for number in range(1, 9):  # more than there should be, but one is on its way
        assert written.add(sort(number)) == number
    assert written.since == 0
    written.wipe(open_slot)
    assert written.add(sort(9)) == 0 and written.since == 1
    written.note(written.add(sort(10)), b"b" * 16, b"r" * 16, 2.0)
    ((_, found),) = left_over(tmp_path)
    (left,) = found
    assert msgspec.to_builtins(left.sort) == msgspec.to_builtins(sort(10))
    written.close()
