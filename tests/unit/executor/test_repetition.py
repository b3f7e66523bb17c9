"""Answers that repeat themselves are found as by looking at every word, and long ones that do not cost little."""

from __future__ import annotations

from itertools import groupby

from hypothesis import example, given
from hypothesis import strategies as st

from intermodal.executor.conversion import checks


def naively(text: str) -> bool:
    """By the words of the rule: a line six times in a row, or 3 to 40 words eight times in a row, with a letter."""
    lines = [" ".join(line.lower().split()) for line in text.splitlines() if line.strip()]
    if any(any(map(str.isalnum, line)) and len(list(same)) >= 6 for line, same in groupby(lines)):
        return True
    words = text.lower().split()
    for size in range(3, 41):
        for begin in range(len(words) - 8 * size + 1):
            phrase = words[begin : begin + size]
            if words[begin : begin + 8 * size] == phrase * 8 and any(map(str.isalnum, "".join(phrase))):
                return True
    return False


few = st.lists(st.sampled_from(["a", "b", "c", "-", "|", "B"]), min_size=1, max_size=12)
stuck = st.builds(
    lambda before, phrase, times, after, gap: gap.join([*before, *phrase * times, *after]),
    st.lists(st.sampled_from(["a", "b", "-"]), max_size=30), few, st.integers(1, 10),
    st.lists(st.sampled_from(["a", "b", "-"]), max_size=30), st.sampled_from([" ", "\n", " \n "]),
)  # fmt: skip


@given(stuck)
@example("a b c " * 8)
@example("x " + "a b c " * 7 + "a b")
@example("- | - " * 9)
def test_repeats_are_found_as_by_looking_at_every_word(text: str) -> None:
    assert checks.repeats(text) is naively(text)


@given(st.integers(3, 40), st.integers(0, 300))
def test_a_phrase_is_found_wherever_it_begins(size: int, before: int) -> None:
    phrase = [f"w{place}" for place in range(size)]
    told = [f"x{place}" for place in range(before)]
    assert checks.repeats(" ".join([*told, *phrase * 8]))
    assert not checks.repeats(" ".join([*told, *phrase * 7, *phrase[:-1]]))
