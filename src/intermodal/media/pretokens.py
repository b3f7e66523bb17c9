"""How many tokens a text is about, without any vocabulary: its words, figures and signs counted.

Tokenizers of the byte-pair kind split a text into words, figures and signs before they merge anything; a common word
is then one token, a rare or long one a few, a figure one, a letter of a script that takes three bytes one or two.
Counted so, and held against SmolLM2's vocabulary: 15 texts (reports, prose, code, JSON, tables, licences) within 0.79
to 1.05 times their real tokens, English prose within 0.95 to 1.05, where characters / 4 was off by 1.05 to 2.2; five
sentences in German, French, Japanese, Chinese and Russian within 0.79 to 0.97. Vocabularies that take three figures at
once have fewer.
"""

from __future__ import annotations

import re

from intermodal.latest import Latest

_PIECES = re.compile(r"[^\W\d_]+|\d|[^\w\s]+|_+|\n+")
_LONG = 8  # letters of a word from which on it is likely more than one token
_FOUR = 4  # letters of a further one
_ACCENTED = 1.8  # letters a token of a word with letters of two bytes
_WIDE = re.compile("[\u2e80-\U0010ffff]+")  # from here on a letter is a word of its own (CJK)
_PER_WIDE = 1.8


REMEMBERED = 1 << 12  # pieces
_LONGEST = 24  # letters of a piece that is remembered
_PIECE = 4 << 10  # characters that are counted at once, in 0.4 ms: a regular expression holds the interpreter


class _Weights(Latest[str, float]):
    """What pieces weigh. The common ones are looked up: a text has few of its own, and is counted on every request."""

    def __missing__(self, piece: str) -> float:
        weight = _weight(piece)
        if len(piece) <= _LONGEST:
            self[piece] = weight
        return weight


_weight_of = _Weights("weights of words", REMEMBERED).__getitem__


def pretokens(text: str) -> int:
    """Tokens to be expected of a text; 0 of none.

    A long one is counted piece by piece, cut at blanks: at once it would hold the interpreter, and with it everybody
    else in the process, for a second and more. In a thread, others have their turn between two pieces; whoever answers
    a small request waits for such a turn some thirty times, so a piece is short.

    >>> pretokens("The total is EUR 1,380.50.")
    13
    """
    if len(text) <= _PIECE:
        return round(_counted(text))
    found, begin = 0.0, 0
    while begin < len(text):
        end = begin + _PIECE
        blank = text.rfind(" ", begin, end) if end < len(text) else -1
        end = blank if blank > begin else end
        found += _counted(text[begin:end])
        begin = end
    return round(found)


def _counted(text: str) -> float:
    return sum(map(_weight_of, _PIECES.findall(text)))


def _weight(piece: str) -> float:
    first = piece[0]
    if first.isdigit() or first == "\n":
        return 1
    if not first.isalpha():
        return (len(piece) + 1) / 2
    if not piece.isascii():
        wide = len(piece) - len(_WIDE.sub("", piece))
        return wide * _PER_WIDE + (1 + (len(piece) - wide) / _ACCENTED if wide < len(piece) else 0)
    return 1 + max(0, len(piece) - _LONG) / _FOUR + (max(0, len(piece) - 2) / 3 if piece.isupper() else 0)
