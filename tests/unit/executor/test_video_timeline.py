"""What is said and seen in a film, put together by time: pure."""

from __future__ import annotations

import pytest

from intermodal.core.quantity import exact
from intermodal.executor.preparation import video_timeline
from intermodal.executor.preparation.model_inputs import TextInput, TextSource
from intermodal.media.media_limits import line_of
from intermodal.planner.conversion.conversion_steps import subtitle_lines
from intermodal.plans.facts import PartFacts, SubtitleFacts


def told(*pieces: TextInput) -> list[str]:
    (text,) = video_timeline.order_by_time(pieces)[2]
    assert isinstance(text, str)
    return text.split("\n")


def piece(how: TextSource, at: float, text: str, **fields: float) -> TextInput:
    return TextInput(text=text, source=how, at=at, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["said", "subtitle"])
@pytest.mark.parametrize(
    ("minutes", "lines"),
    [
        (2, ["[0:10] {}: one two", "[0:12] {}: three", "[0:21] {}: four"]),
        (30, ["[0:10] {}: one two three", "[0:21] {}: four"]),
        (120, ["[0:10] {}: one two three four"]),
    ],
)
def test_lines_of_a_film_are_as_long_as_it_needs_to_have_some_hundred_of_them(
    how: TextSource, minutes: int, lines: list[str]
) -> None:
    line = line_of(60.0 * minutes)
    found = told(
        *(piece(how, at, text, line=line) for at, text in ((10, "one"), (11.9, "two"), (12, "three"), (21, "four")))
    )
    assert found == [each.format(how) for each in lines]


@pytest.mark.parametrize("minutes", [1, 8, 45, 90])
@pytest.mark.parametrize("every", [1.5, 4.0, 11.0])
@pytest.mark.parametrize("slides", [0, 30])
def test_as_many_times_are_planned_as_stand_in_the_prompt(minutes: int, every: float, slides: int) -> None:
    seconds = 60.0 * minutes
    moments = [every * number for number in range(int(seconds / every))]
    track = SubtitleFacts(track=1, lines=len(moments), chars=9 * len(moments), shown=seconds / 2, last=seconds)
    part = PartFacts(index=0, name="a.mkv", kind="video", seconds=exact(seconds))
    low, typical, high = subtitle_lines(part, track, timed=False)
    shown = [piece("on screen", seconds / slides * number, f"slide {number}") for number in range(slides)]
    lines = told(*(piece("subtitle", at, f"word {at}", line=line_of(seconds)) for at in moments), *shown)
    written = sum("subtitle:" in line for line in lines)
    assert low <= written <= high and typical / 1.7 <= written <= typical * 1.7


SAID = piece("subtitle", 4, "We sold 170 bags,\nmore than ever.", until=9)


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        ("Sales\nWe sold 170 bags, more than ever.", ["[0:05] on screen: Sales"]),
        ("Sales\nWe sold 170 bags,\nmore than ever.", ["[0:05] on screen: Sales"]),
        ("We so1d 170 bags, morethan ever", ["[0:05] on screen: We so1d 170 bags, morethan ever"]),  # a figure more
        ("Sales\nWe soid 170 bags, morethan ever", ["[0:05] on screen: Sales"]),
        (
            "Sales\nWe sold 710 bags, more than ever.",
            ["[0:05] on screen: Sales", "    We sold 710 bags, more than ever."],
        ),
        ("more than ever.\n170", ["[0:05] on screen: more than ever.", "    170"]),
        ("We sold 170 bags, more than ever.", []),
    ],
)
def test_a_subtitle_that_is_drawn_into_the_picture_is_not_said_twice(rows: str, left: list[str]) -> None:
    said = "[0:04] subtitle: We sold 170 bags, more than ever."
    assert told(SAID, piece("on screen", 5, rows)) == [said, *left]


def test_a_heading_that_is_read_aloud_stays_on_the_screen() -> None:
    found = told(piece("said", 4, "Night shift.", until=6), piece("on screen", 4, "Night shift\n6 people"))
    assert found == ["[0:04] said: Night shift.", "[0:04] on screen: Night shift", "    6 people"]


def test_what_is_heard_is_not_told_again_where_it_is_drawn_into_the_picture() -> None:
    found = told(
        piece("said", 4.5, "Good morning, everybody.", until=6), piece("on screen", 4, "Hall B\nGood morning everybody")
    )
    assert found == ["[0:04] on screen: Hall B", "[0:04] said: Good morning, everybody."]


def test_a_subtitle_that_names_its_speaker_is_known_again_where_the_picture_does_not() -> None:
    found = told(piece("subtitle", 4, "Ann: Good morning, all.", until=6), piece("on screen", 4, "Good morning, all."))
    assert found == ["[0:04] subtitle: Ann: Good morning, all."]


def test_words_on_the_screen_are_held_against_subtitles_of_their_time_alone() -> None:
    title = "Questions and answers"
    found = told(
        piece("on screen", 0, "Welcome"), piece("on screen", 30, title), piece("on screen", 60, "Thanks"),
        piece("subtitle", 5, title, until=8), piece("subtitle", 59, "Thanks", until=61),
    )  # fmt: skip
    assert found == [
        "[0:00] on screen: Welcome", f"[0:05] subtitle: {title}", f"[0:30] on screen: {title}",
        "[0:59] subtitle: Thanks",
    ]  # fmt: skip


def test_a_slide_over_which_subtitles_change_is_shown_once() -> None:
    cues = ((4, "Good morning."), (8, "Good night."))
    found = told(
        *(piece("subtitle", at, text, until=at + 3) for at, text in cues),
        *(piece("on screen", at + 0.2, f"Prices\n{text}") for at, text in cues),
    )
    assert found == ["[0:04] subtitle: Good morning.", "[0:04] on screen: Prices", "[0:08] subtitle: Good night."]
