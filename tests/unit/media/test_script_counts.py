"""What texts are made of, script by script."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.core.content import sum_scripts
from intermodal.media.text.script_counts import NAMES, count_scripts

_COUNTS = {"arabic": "ا", "armenian": "ա", "bengali": "ক", "cyrillic": "ж", "devanagari": "क", "emoji": "😀",
           "ethiopic": "ሀ", "georgian": "ა", "greek": "λ", "han": "字", "hangul": "한", "hebrew": "א", "kana": "か",
           "khmer": "ក", "tamil": "க", "telugu": "క", "thai": "ก", "typography": "—"}  # fmt: skip


@pytest.mark.slow
def test_every_character_of_unicode_has_one_script() -> None:
    beyond_latin = [chr(code) for code in range(0x370, sys.maxunicode + 1) if not 0x1E00 <= code < 0x1F00]
    made = count_scripts("".join(beyond_latin))
    assert {name for name, _ in made} <= set(NAMES)
    assert sum(units for _, units in made) == len(beyond_latin)
    assert {name for name, _ in count_scripts("".join(map(chr, range(0x80, 0x370))))} <= set(NAMES)


def test_letters_belong_to_the_script_that_unicode_names() -> None:
    for name, letter in _COUNTS.items():
        assert dict(count_scripts(letter * 7)) == {name: 7}, unicodedata.name(letter)


@given(st.text(max_size=400))
def test_a_text_is_made_of_known_scripts_and_of_nothing_only_if_it_is_blank(text: str) -> None:
    made = count_scripts(text)
    assert {name for name, _ in made} <= set(NAMES) and all(units > 0 for _, units in made)
    assert made or not any(letter.isalnum() for letter in text)


@given(st.text("漢字かなжук한글،λόγος", max_size=200), st.text("漢字かなжук한글،λόγος", max_size=200))
def test_two_texts_are_made_of_what_each_is_made_of(one: str, other: str) -> None:
    assert count_scripts(f"{one} {other}") == sum_scripts((count_scripts(one), count_scripts(other)))


def test_base64_is_told_from_words_and_from_long_names() -> None:
    assert dict(count_scripts("iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAYAAACqaXHe")) == {"base64": 44}
    assert dict(count_scripts("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b")) == {"hex": 40}
    assert {"base64", "hex"}.isdisjoint(dict(count_scripts("ThisIsTheNameOfAClassThatSomebodyWroteInJava")))
    assert {"base64", "hex"}.isdisjoint(dict(count_scripts("test_a_name_that_is_very_long_and_has_no_figures_in_it")))
    assert {"base64", "hex"}.isdisjoint(dict(count_scripts("=" * 60 + "-" * 60 + "1" * 60)))


def test_english_code_and_other_languages_are_told_apart() -> None:
    def most(text: str) -> str:
        return max(count_scripts(text), key=lambda each: each[1])[0]

    assert most("The delivery of the chairs that we ordered was late, and it is not the first time.") == "english"
    assert most("Die Lieferung kam zwei Tage nach dem Termin, und das ist nicht das erste Mal gewesen.") == "latin"
    assert most("Oak chairs, warehouse inventory, quarterly discount schedule, supplier addresses") == "undecided"
    assert "code" in dict(count_scripts("total[i] = (price[i] * qty[i]); if (total[i] > max) { max = total[i]; }"))
