"""Which scripts can be read here, as planning is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from intermodal.local.embedded import ocr_scripts, tesseract
from intermodal.local.weights.store import WeightsStore
from intermodal.plans.facts import UNKNOWN_SCRIPT


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsStore:
    """A store with Greek, beside a Tesseract that has no language itself."""
    store = WeightsStore(tmp_path)
    monkeypatch.setattr(store, "present", lambda begun="": frozenset({"tesseract-ell"}))
    monkeypatch.setattr(store, "path", lambda name: tmp_path / name)
    monkeypatch.setattr(tesseract, "program", lambda: "/bin/tesseract")
    monkeypatch.setattr(tesseract, "_run", lambda *_, **__: b"eng\nosd\n")
    return store


def test_a_pulled_language_is_read_and_what_would_read_the_others_is_said(weights: WeightsStore) -> None:
    found = ocr_scripts.readable_scripts(weights)
    assert found.read == {"Greek": "Tesseract ell"}
    assert found.todo["Cyrillic"] == "to read it: intermodal pull tesseract-rus"
    assert "Greek" not in found.todo and found.todo[UNKNOWN_SCRIPT].startswith(
        "to read it: intermodal pull tesseract-rus, "
    )


def test_what_would_read_a_script_is_the_language_that_was_told(weights: WeightsStore) -> None:
    assert ocr_scripts.readable_scripts(weights, "uk").todo["Cyrillic"] == "to read it: intermodal pull tesseract-ukr"


def test_what_reads_here_is_another_word_when_more_can_be_read(
    weights: WeightsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ocr_scripts.ocr_version(weights)
    monkeypatch.setattr(weights, "present", lambda begun="": frozenset({"tesseract-ell", "tesseract-rus"}))
    assert ocr_scripts.ocr_version(weights) != before == ocr_scripts.ocr_version(WeightsStore(weights.root)) + " ell"
