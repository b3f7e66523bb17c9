"""What is kept of files of models, by several at the same time."""

from __future__ import annotations

import threading
from pathlib import Path

from intermodal.local.hardware import model_measurements


def test_two_that_keep_something_at_the_same_time_both_have_it_kept(tmp_path: Path) -> None:
    """The first reads, and the second starts before the first has written."""
    other = threading.Thread(
        target=model_measurements.save_measurement, args=(tmp_path, "kept.json", int, "other", lambda before: 2)
    )

    def while_the_other_begins(before: int | None) -> int:
        other.start()
        other.join(1.0)  # one that does not wait is through by then
        return 1

    assert model_measurements.save_measurement(tmp_path, "kept.json", int, "first", while_the_other_begins)
    other.join(300)
    assert model_measurements.load_measurements(tmp_path, "kept.json", int) == {"first": 1, "other": 2}
    assert not list(tmp_path.glob(".*.part"))


def test_what_cannot_be_written_is_not_kept_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept.json").mkdir()
    assert not model_measurements.save_measurement(tmp_path, "kept.json", int, "first", lambda before: 1)
    (tmp_path / "file").touch()
    assert not model_measurements.save_measurement(tmp_path / "file", "kept.json", int, "first", lambda before: 1)
    assert not list(tmp_path.glob(".*.part"))
