"""Makes text from clients safe to log: one line, printable, without secrets."""

from __future__ import annotations

import re

LONGEST = 120  # letters
# Keys of ours and of hosts, where somebody put one in the wrong place.
_SECRET = re.compile(r"\b((?:im|sk|pk|xai)-|gsk_|AIza)[A-Za-z0-9_-]{12,}")


def redact(text: str, longest: int = LONGEST) -> str:
    """One line of printable letters, not long, without what looks like a key.

    >>> redact("gpt\\n5"), redact("im-0123456789abcdef")
    ('gpt\\\\x0a5', 'im-…')
    """
    short = text if len(text) <= longest else f"{text[:longest]}…"
    if not short.isprintable():
        short = "".join(letter if letter.isprintable() else _escaped(letter) for letter in short)
    return _SECRET.sub(r"\1…", short) if len(short) > 12 else short


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
