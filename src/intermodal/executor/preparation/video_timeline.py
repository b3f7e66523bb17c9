"""Puts speech and images of a video in order of time. Pure.

The result is one block: a line for speech, text on screen and descriptions, each with its time; images stand at their
time between the lines. Speech continues in its line until something else happens. Text that stays on screen is written
once, and speech that is also burned into the image as a subtitle is not repeated. Data cannot imitate our lines:
continuation lines are indented.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

import msgspec

from intermodal.executor.preparation.model_inputs import ImageInput, ModelInput, TextInput, TextSource
from intermodal.plans.numbers import clock

_SPEECH: tuple[TextSource, ...] = ("said", "subtitle")
_ORDER: tuple[TextSource, ...] = (*_SPEECH, "on screen", "seen")  # order of texts at the same time; images come last
_ROWS_OF_CUE = 4  # rows of a burned-in subtitle at the foot of the image
_AROUND = 1.0  # seconds by which a scene and its subtitle may be apart
_SAME_TEXT = 0.9  # minimum similarity of two texts of which one was read from an image
_LEAST_COMPARED, _MOST_COMPARED = 8, 300  # letters of a text; outside this range it must be identical
_MOST_TEXTS = 50  # texts at one time; with more, one must be identical: comparing takes a tenth of a millisecond
NOTHING_FOUND: dict[TextSource, str] = {
    "said": "(no speech)", "subtitle": "(no subtitles)", "on screen": "(no text)", "seen": "(nothing)",
}  # fmt: skip


def is_timed(piece: ModelInput) -> bool:
    """Return True if a piece belongs to a video or an animation."""
    return (isinstance(piece, TextInput) and bool(piece.source)) or (isinstance(piece, ImageInput) and piece.at >= 0)


def order_by_time(pieces: Sequence[ModelInput]) -> tuple[tuple[ModelInput, ...], str, tuple[str | ImageInput, ...]]:
    """Return the pieces of one video.

    They are those without a time (its audio, the video as it is), a heading that the name is appended to, and lines of
    text with the images between them.
    """
    moving = [piece for piece in pieces if isinstance(piece, (TextInput, ImageInput)) and is_timed(piece)]
    found: list[str | ImageInput] = []
    lines = _missing_lines(moving)
    for piece in _merge_pieces(moving):
        if isinstance(piece, TextInput):
            lines.append(_timed_line(piece))
            continue
        lines.append(f"[{clock(piece.at)}] image:")
        found += ["\n".join(lines), piece]
        lines = []
    if lines:
        found.append("\n".join(lines))
    return tuple(piece for piece in pieces if not is_timed(piece)), _heading(moving), tuple(found)


def text_of(pieces: Sequence[ModelInput], *, speakers: bool = False) -> str:
    """Return only the text, in order of time. ``speakers``: prefix speech with its speaker, if known."""
    moving = _merge_pieces([piece for piece in pieces if isinstance(piece, TextInput) and piece.source])
    return "\n".join(
        f"{piece.speaker}: {piece.text}" if speakers and piece.speaker else piece.text
        for piece in moving
        if isinstance(piece, TextInput)
    )


def _heading(moving: Sequence[TextInput | ImageInput]) -> str:
    speech = any(isinstance(piece, TextInput) and piece.source in _SPEECH for piece in moving)
    visual = any(isinstance(piece, ImageInput) or piece.source not in _SPEECH for piece in moving)
    return "What is said and seen in" if speech and visual else "What is said in" if speech else "What is seen in"


def _missing_lines(moving: Sequence[TextInput | ImageInput]) -> list[str]:
    """Return a line for content that was searched for and not found."""
    words = [piece for piece in moving if isinstance(piece, TextInput)]
    return [
        f"{source}: {NOTHING_FOUND[source]}"
        for source in _ORDER
        if any(piece.source == source for piece in words)
        and not any(piece.source == source and _has_content(piece) for piece in words)
    ]


def _merge_pieces(moving: Sequence[TextInput | ImageInput]) -> list[TextInput | ImageInput]:
    """Return the pieces in order of time, without empty or unchanged ones, and with continuing speech merged."""
    found: list[TextInput | ImageInput] = []
    last_on_screen = ""
    for piece in sorted(_without_repeated_subtitles(moving), key=_sort_key):
        if isinstance(piece, ImageInput):
            found.append(piece)
            continue
        if not _has_content(piece):
            continue
        if piece.source == "on screen":
            if " ".join(piece.text.split()) == last_on_screen:
                continue
            last_on_screen = " ".join(piece.text.split())
        before = found[-1] if found else None
        if _continues_line(before, piece):
            assert isinstance(before, TextInput)
            text = f"{before.text} {_line_text(piece)}"
            found[-1] = TextInput(text=text, source=piece.source, at=before.at, speaker=before.speaker)
        else:
            found.append(TextInput(text=_line_text(piece), source=piece.source, at=piece.at, speaker=piece.speaker))
    return found


def _without_repeated_subtitles(moving: Sequence[TextInput | ImageInput]) -> Iterator[TextInput | ImageInput]:
    """Yield the inputs without rows at the foot of the screen that repeat the speech or subtitles of that time."""
    cues = [
        (piece, _letters(text))
        for piece in moving
        if isinstance(piece, TextInput) and piece.source in _SPEECH
        for text in (piece.text, piece.text.partition(": ")[2])  # with and without the speaker
    ]
    screens = sorted({piece.at for piece in moving if isinstance(piece, TextInput) and piece.source == "on screen"})
    until = dict(pairwise([*screens, math.inf]))
    for piece in moving:
        if cues and isinstance(piece, TextInput) and piece.source == "on screen" and piece.at >= 0:
            low, high = piece.at - _AROUND, until[piece.at] + _AROUND
            cue_texts = {words for cue, words in cues if words and cue.at <= high and max(cue.at, cue.until) >= low}
            rows = _drop_spoken_rows(piece.text.splitlines(), cue_texts)
            piece = msgspec.structs.replace(piece, text="\n".join(rows))
        yield piece


def _drop_spoken_rows(rows: Sequence[str], cue_texts: set[str]) -> Sequence[str]:
    """Return the rows without trailing rows that match one of the spoken texts."""
    letters = [_letters(row) for row in rows]
    end = len(rows)
    while end:
        runs = range(min(_ROWS_OF_CUE, end), 0, -1)
        same = next((run for run in runs if _matches_any("".join(letters[end - run : end]), cue_texts)), 0)
        if not same:
            break
        end -= same
    return rows[:end]


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _matches_any(text: str, cue_texts: set[str]) -> bool:
    """Return True if a text matches one of ``cue_texts``.

    Text read from an image may differ in a tenth of its letters, but in no digit.
    """
    if text in cue_texts or not _LEAST_COMPARED <= len(text) <= _MOST_COMPARED or len(cue_texts) > _MOST_TEXTS:
        return text in cue_texts
    figures = [*filter(str.isdigit, text)]
    same = SequenceMatcher(None, "", text, autojunk=False)
    for each in cue_texts:
        if abs(len(each) - len(text)) <= (1 - _SAME_TEXT) * len(text) and figures == [*filter(str.isdigit, each)]:
            same.set_seq1(each)
            if same.quick_ratio() >= _SAME_TEXT and same.ratio() >= _SAME_TEXT:
                return True
    return False


def _continues_line(before: TextInput | ImageInput | None, piece: TextInput) -> bool:
    if not isinstance(before, TextInput) or piece.source not in _SPEECH:
        return False
    return (before.source, before.speaker) == (piece.source, piece.speaker) and piece.at - before.at < piece.line


def _line_text(piece: TextInput) -> str:
    """Return the text of a piece, speech in one line: rows of a subtitle are not lines of a text."""
    return " ".join(piece.text.split()) if piece.source in _SPEECH else piece.text.strip()


def _sort_key(piece: TextInput | ImageInput) -> tuple[float, int]:
    return piece.at, _ORDER.index(piece.source) if isinstance(piece, TextInput) else len(_ORDER)


def _has_content(piece: TextInput) -> bool:
    return piece.text.strip() not in ("", *NOTHING_FOUND.values())


def _timed_line(words: TextInput) -> str:
    when = f"[{clock(words.at)}] " if words.at >= 0 else ""
    first, *more = [line for line in words.text.splitlines() if line.strip()]
    return "\n".join(
        [f"{when}{words.speaker or words.source}: {first.strip()}", *(f"    {line.strip()}" for line in more)]
    )
