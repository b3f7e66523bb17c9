"""Text without its vocabulary: the range from what it is made of holds the counts of real vocabularies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.costing.runs import LONG, runs, written_tokens
from intermodal.runtimes.encodings import NAMES, count

ROOT = Path(__file__).parents[3]
TEXTS = {
    "prose": (ROOT / "README.md").read_text(),
    "licence": (ROOT / "LICENSE").read_text(),
    "code": Path(__file__).read_text(),
    "table": "\n".join(f"{row},{row * 37 % 1000},{row / 7:.4f},2026-11-{row % 28 + 1:02}" for row in range(400)),
    "json": json.dumps([{"id": row, "name": f"item {row}", "tags": ["a", "b"]} for row in range(100)], indent=2),
    "cjk": "今日は天気がいいですね。吾輩は猫である。名前はまだ無い。大家好,世界和平!" * 20,
    "emoji": "🎉👩👧 🇩🇪 👍🏽 ☺️ " * 50,
    "russian": "Привет, мир! Как у вас дела сегодня? " * 30,
    "one word again": "hello " * 500,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", TEXTS)
def test_the_range_holds_what_a_real_vocabulary_counts(kind: str, name: str) -> None:
    tokens = count(name, TEXTS[kind])
    found = written_tokens(runs(TEXTS[kind]))
    assert tokens is not None
    assert found.low <= tokens <= found.high, (found, tokens)
    assert found.certainty == "estimated"


def test_a_long_text_is_looked_at_in_slices_that_tell_the_same() -> None:
    text = TEXTS["prose"] * (3 * LONG // len(TEXTS["prose"]))
    assert runs(text) == pytest.approx(runs(TEXTS["prose"]) * len(text) / len(TEXTS["prose"]), rel=0.05)


@given(st.text(max_size=300))
def test_any_text_has_a_sensible_range(text: str) -> None:
    found = written_tokens(runs(text))
    assert 0 <= found.low <= found.mid <= found.high <= 4 * len(text.encode("utf-8", "replace")) + 2
