"""Removes invisible characters from text of media, because they can hide instructions from a reader.

Removed are: control characters except tab and newline, every code point that Unicode calls *default ignorable*
(variation selectors, tags, marks and overrides of direction, zero-width spaces, fillers, invisible operators), and the
interlinear marks. Line and paragraph separators of any kind become newlines. Joiners are kept where a script needs
them: in Arabic, Indic and related scripts, and between emoji. Elsewhere, and in runs, they serve only to hide
something. https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt,
https://www.unicode.org/reports/tr36/
"""

from __future__ import annotations

import re

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# In Indic scripts, a joiner shapes the letter before it, also at the end of a word; elsewhere it joins two letters.
_INDIC = "\u0900-\u0dff\ua800-\uabff\U00010a00-\U00011fff"
_JOINED = (
    f"{_INDIC}\u0600-\u08ff\u0e00-\u109f\u1780-\u18af\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc"
    "\u2190-\u2bff\u3030\u303d\U0001f000-\U0001faff"
)
_JOINERS = re.compile(
    f"(?<![{_INDIC}])(?:(?<![{_JOINED}])[\u200c\u200d]+|[\u200c\u200d]+(?![{_JOINED}]))|(?<=[\u200c\u200d])[\u200c\u200d]+"
)


def strip_invisible(text: str) -> str:
    """Return the text without invisible characters, with newlines as the only line ends.

    >>> strip_invisible("total\\u200b 7\\u202e42\\r\\n")
    'total 742\\n'
    """
    if text.isascii() and text.isprintable():
        return text
    return _JOINERS.sub("", _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text)))
