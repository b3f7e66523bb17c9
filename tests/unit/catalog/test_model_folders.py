"""Models in a folder of the user's own: which of its files are opened, and what memory they take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from intermodal.catalog.model_folders import onnx_files, onnx_memory

VARIANTS = ("", "_fp16", "_int8", "_q4", "_q4f16", "_quantized")
MB = 1_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the hub has it: halves and the whole, each in six variants."""
    (tmp_path / "onnx").mkdir()
    for name, size in (("vision_model", 3 * MB), ("text_model", 2 * MB), ("model", 5 * MB)):
        for number, variant in enumerate(VARIANTS):
            (tmp_path / "onnx" / f"{name}{variant}.onnx").write_bytes(bytes(size // (number + 1)))
    return tmp_path


def taken(folder: Path, **config: Any) -> float:
    """Bytes of files that the memory was worked out of."""
    (folder / "config.json").write_text(json.dumps(config))
    return onnx_memory(folder).low - 60 * MB


def test_memory_is_of_the_files_that_are_opened_and_not_of_their_variants(folder: Path) -> None:
    assert [path and path.name for path in onnx_files(folder)] == [
        "vision_model.onnx", "text_model.onnx", "model.onnx"
    ]  # fmt: skip
    assert taken(folder, model_type="clip", logit_scale=4.6) == 5 * MB
    assert taken(folder, model_type="siglip", logit_scale=4.6, logit_bias=-12.0) == 5 * MB


def test_the_whole_counts_where_it_is_opened_to_measure_the_scale(folder: Path) -> None:
    assert taken(folder, model_type="clip") == 10 * MB
    assert taken(folder, model_type="siglip", logit_scale=4.6) == 10 * MB


def test_without_both_halves_the_whole_is_what_is_opened(folder: Path) -> None:
    for path in folder.glob("onnx/text_model*"):
        path.unlink()
    assert taken(folder, model_type="clip", logit_scale=4.6) == 5 * MB
    for path in folder.glob("onnx/*.onnx"):
        path.unlink()
    assert not onnx_memory(folder).known
