"""Tokens expected of a text whose vocabulary is not at hand, against one that is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.config import cache_dir
from intermodal.media.pretokens import pretokens
from intermodal.runtimes.vocabulary import Vocabularies
from intermodal.weights.store import WeightsStore

ROOT = Path(__file__).parents[3]
TEXTS = {
    "prose": (ROOT / "LICENSE").read_text(),
    "markdown": (ROOT / "docs" / "eval.md").read_text(),
    "code": (ROOT / "src" / "intermodal" / "client.py").read_text(),
    "json": (ROOT / "examples" / "media" / "report.json").read_text(),
    "german": "Die Güterzüge fahren täglich zwischen Hamburg und München, außer bei schlechtem Wetter.",
    "japanese": "コンテナ船は横浜港に到着しました。荷物の検査は明日の朝に行われます。",
    "russian": "Контейнеровоз прибыл в порт. Осмотр груза состоится завтра утром.",
}


@pytest.fixture(scope="module")
def vocabularies() -> Vocabularies:
    return Vocabularies(WeightsStore(cache_dir(os.environ) / "weights"))


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_has_about_as_many_tokens_as_pretokens(name: str, vocabularies: Vocabularies) -> None:
    counted = vocabularies.count("smollm2", TEXTS[name])
    assert counted is not None
    assert 0.7 <= pretokens(TEXTS[name]) / counted <= 1.2


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_longer_text_never_has_fewer_but_for_rounding_and_words_that_join(one: str, other: str) -> None:
    assert pretokens(f"{one} {other}") >= max(pretokens(one), pretokens(other)) - 1


def test_there_is_nothing_in_nothing() -> None:
    assert pretokens("") == pretokens("   ") == 0
