"""What ``llama-bench`` says is read if it can be, and kept for the very file."""

from __future__ import annotations

from pathlib import Path

import pytest

from intermodal.local.hardware import model_measurements
from intermodal.local.hardware.model_measurements import BenchSpeeds


@pytest.mark.parametrize(
    "said",
    [b"", b"error: failed to load model", b"[]", b"{}", b'[{"n_gen": 32, "avg_ts": 50}]',
     b'[{"n_gen": 32, "avg_ts": "fast"}, {"n_prompt": 512, "avg_ts": 1}]',
     b'[{"n_gen": 32, "avg_ts": 0}, {"avg_ts": 9}]'],
)  # fmt: skip
def test_output_without_a_measurement_is_none(said: bytes) -> None:
    assert model_measurements.parse_llama_bench(said, "2026-11-29") is None


def test_a_measurement_is_of_one_file_as_it_is(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"one")
    found = BenchSpeeds(decode=(50.0, 1.0), prefill=(900.0, 20.0), taken="2026-11-29")
    model_measurements.save_speeds(tmp_path, model, found)
    assert model_measurements.load_speeds(tmp_path, model) == found
    assert model_measurements.load_speeds(tmp_path, tmp_path / "other.gguf") is None
    model.write_bytes(b"another")
    assert model_measurements.load_speeds(tmp_path, model) is None
    (tmp_path / model_measurements.FILE).write_text("no json")
    assert model_measurements.load_speeds(tmp_path, model) is None


def test_without_the_program_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not model_measurements.is_installed()
    assert model_measurements.run_llama_bench(tmp_path / "m.gguf") is None
