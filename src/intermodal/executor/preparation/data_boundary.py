"""The word at which a block of data ends in a prompt: one that none of the data has. Pure.

A file may say anything, also "Text of contract.pdf:" or what looks like the user's question. So each block stands
between two lines ``---bako``, as a part of a MIME message does. Of seven forms tried with the smallest model (135M
parameters; three questions, five words each) this one had most answers right: 14 of 15, where "up to [bako]" behind
the label had 9. The word is made of a digest of all data of the message, so that the same message has the same one
every time (runs can be compared, a host's cache of prompts holds), and is taken only where no data of the message has
it: a file that guesses it is why it is another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

# Two letters that can be spoken are one token, or two, in today's vocabularies; figures take one each.
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwxz", "aeiou"
_SHORTEST, _LONGEST = 2, 16  # syllables; a text of a megabyte has most words of two, and no text has all of seven
_TRIES = 4  # of each length


def boundary_of(texts: Sequence[str]) -> str:
    """Return a word that is in none of the texts, upper and lower case taken as the same.

    >>> boundary_of(["Text of a.txt", "yes"]) == boundary_of(["Text of a.txt", "yes"])
    True
    """
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    seed = digest.digest()
    folded = [text.casefold() for text in texts]
    word = ""
    for syllables in range(_SHORTEST, _LONGEST + 1):
        for turn in range(_TRIES):
            word = _word(hashlib.sha256(seed + bytes((syllables, turn))).digest(), syllables)
            if not any(word in text for text in folded):
                return word
    raise AssertionError(f"{word} and all others are in the texts")  # 95 ** 16 words do not fit into memory


def _word(data: bytes, syllables: int) -> str:
    pairs = zip(data[::2], data[1::2], strict=True)
    letters = [_CONSONANTS[one % len(_CONSONANTS)] + _VOWELS[two % len(_VOWELS)] for one, two in pairs]
    return "".join(letters[:syllables])
