"""Counts the amount of each script in a text. Tokens are estimated from it if no vocabulary is available.

Vocabularies differ least in English and most in scripts that they support poorly: a letter of Tamil is 0.3 tokens in
one and 2.4 in another. Words, letters, figures and signs are therefore counted by script, and
``cost_model/text_factors.py`` has the tokens of each unit in each vocabulary. Latin letters without capitals or accents
are divided into three scripts, because tokenizers cover English words, words of code and other words to different
degrees. A stretch of text is classified by its shares of function words, accents and signs. A list of names or
catchwords has none of these and stays undecided.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections import Counter, defaultdict

from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.content import Scripts

_LETTERS = "A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0300-\u036f\u1e00-\u1eff"
_PIECES = re.compile(rf"[{_LETTERS}]+|[0-9]+|\n+|[ \t]{{2,}}|[!-/:-@\[-`{{-~]+")
_OTHERS = re.compile(rf"[^\x00-\x7f{_LETTERS}]+")  # runs of everything that is neither ASCII nor Latin
_OPAQUE = re.compile(r"[A-Za-z0-9+/=_-]{24,}")  # base64 and hex, or a long name
_HEX = re.compile(r"[0-9a-f-]+|[0-9A-F-]+")
_SMALL, _CAPITAL = re.compile("[a-z]+"), re.compile("[A-Z]")
_LONGEST_SMALL = 12  # lower-case letters in a row that base64 does not have

# First code points of scripts, in order; scripts without an entry are "other".
_STARTS: tuple[tuple[int, str], ...] = (
    (0x00, "typography"), (0xB0, "typography"), (0x2B0, "other"), (0x370, "greek"), (0x400, "cyrillic"),
    (0x460, "cyrillic further"),
    (0x530, "armenian"), (0x590, "hebrew"), (0x600, "arabic"), (0x670, "arabic further"), (0x700, "other"),
    (0x750, "arabic further"), (0x780, "other"),
    (0x8A0, "arabic further"), (0x900, "devanagari"), (0x980, "bengali"), (0xA00, "gurmukhi"), (0xA80, "gujarati"),
    (0xB00, "oriya"), (0xB80, "tamil"), (0xC00, "telugu"), (0xC80, "kannada"), (0xD00, "malayalam"),
    (0xD80, "sinhala"), (0xE00, "thai"), (0xE80, "lao"), (0xF00, "tibetan"), (0x1000, "myanmar"),
    (0x10A0, "georgian"), (0x1100, "hangul"), (0x1200, "ethiopic"), (0x13A0, "other"), (0x1780, "khmer"),
    (0x1800, "other"), (0x1F00, "greek further"), (0x2000, "typography"), (0x2190, "emoji"), (0x2200, "typography"),
    (0x2300, "emoji"), (0x2400, "typography"), (0x2600, "emoji"), (0x27C0, "typography"), (0x2B00, "emoji"),
    (0x2C00, "other"), (0x2D80, "ethiopic"), (0x2DE0, "other"), (0x2E80, "han"), (0x3000, "typography"),
    (0x3040, "kana"), (0x3100, "other"), (0x3130, "hangul"), (0x3190, "other"), (0x31F0, "kana"),
    (0x3200, "typography"),
    (0x3400, "han"), (0xA000, "other"), (0xAC00, "hangul"), (0xD7B0, "other"), (0xF900, "han"), (0xFB00, "other"),
    (0xFB1D, "hebrew"), (0xFB50, "arabic"), (0xFE00, "emoji"), (0xFE10, "typography"), (0xFE70, "arabic"),
    (0xFF00, "typography"), (0xFF60, "kana"), (0xFFE0, "typography"), (0x10000, "other"), (0x1F000, "emoji"),
    (0x1FB00, "other"), (0x20000, "han"), (0x32000, "other"), (0xE0020, "emoji"), (0xE0080, "other"),
)  # fmt: skip
_FIRST = [start for start, _ in _STARTS]
_CODES = f"utf-32-{sys.byteorder[0]}e"  # four bytes a letter, in native byte order
codecs.lookup(_CODES)  # Python imports a codec at its first use, and a sandboxed worker can open no file
_ASCII = (
    "english", "latin", "undecided", "accents", "accents further", "code", "capitals", "figures", "digits", "signs",
    "blanks", "base64", "hex",
)  # fmt: skip
NAMES: tuple[str, ...] = (*_ASCII, *sorted({name for _, name in _STARTS}))

# Words that are frequent in English text, and rare in other languages and in code.
_ENGLISH = frozenset((
    "the", "of", "and", "is", "that", "for", "with", "this", "are", "from", "have", "was", "which", "you", "not", "by",
    "be", "an", "it", "as", "at", "on", "or", "if", "can", "will", "your", "when", "has", "all", "but", "they",
    "their", "there", "been", "would", "what", "more", "also", "other", "than", "into", "its", "our", "we",
))  # fmt: skip
_ALL_ENGLISH = 0.28  # their share of the words of plain English
# Words that are frequent in other languages of the Latin script, and rare in English and in code.
_OTHER = frozenset((
    "der", "die", "und", "das", "ist", "nicht", "von", "den", "dem", "ein", "eine", "auf", "sich", "auch", "wird",
    "sind", "oder", "bei", "werden", "le", "la", "les", "des", "et", "est", "que", "dans", "une", "pour", "pas", "sur",
    "qui", "avec", "au", "el", "los", "las", "del", "por", "con", "para", "una", "se", "su", "como", "il", "lo", "gli",
    "che", "di", "non", "sono", "della", "nel", "os", "um", "uma", "com", "da", "em", "dos", "het", "een", "van", "en",
    "de", "dat", "niet", "voor", "zijn", "op", "te", "na", "nie", "jest", "od", "po", "je", "och", "att", "det", "som",
    "av", "og", "til", "af", "ikke", "ja", "ei", "az", "hogy", "nem", "egy", "ve", "bir", "bu", "ile", "yang", "dan",
    "untuk", "dengan", "dari", "ini", "itu", "tidak", "pada", "ya", "wa", "kwa", "katika", "ang", "ng", "mga", "sa",
    "cu", "nu", "eta", "ki", "ka", "nga", "ny", "ku", "mu", "ba", "le", "ho", "ko", "ke",
))  # fmt: skip
_ALL_OTHER = 0.25  # their share, and that of words with accents, in plain text of such a language
_FEW_SIGNS, _MANY_SIGNS = 0.25, 0.75  # runs of signs per word, from prose to code
_WESTERN = "\u017f"  # the last letter of Latin Extended-A
_LONG = 6  # letters of a word from which on it is likely more than one token
_ENGLISH_LETTER, _CODE_LETTER = 0.06, 0.17  # of a word, for each further letter
_SIGN = 0.3  # of a run of signs, for each further sign
_GAP = 0.6  # of a line end: several blanks in a row, such as an indentation

REMEMBERED = 1 << 11  # words
_LONGEST = 24  # letters of the longest word that is cached
_PIECE = 4 << 10  # characters counted at once, in 0.4 ms: a regular expression holds the interpreter lock

# 1 for English and -1 for another language, letters, those beyond ``_LONG``, capitals, accents, rarer accents
_Word = tuple[int, int, int, int, int, int]


class _Words(BoundedCache[str, _Word]):
    """A cache of words: a text has few distinct words, and is counted on every request."""

    def __missing__(self, word: str) -> _Word:
        accents = 0 if word.isascii() else sum(not letter.isascii() for letter in word)
        capitals = len(word) - 1 if len(word) > 1 and word.isupper() else 0
        further = 0 if not accents else sum(letter > _WESTERN for letter in word)
        small = word.lower()
        language = 1 if small in _ENGLISH else -1 if small in _OTHER or accents else 0
        found = (language, len(word), max(0, len(word) - _LONG), capitals, accents, further)
        if len(word) <= _LONGEST:
            self[word] = found
        return found


_word = _Words("words by what they are made of", REMEMBERED).__getitem__


def count_scripts(text: str) -> Scripts:
    """Return the amount of each script in a text, in the script's own units; () for nothing but single blanks.

    A long text is counted in pieces, cut at blanks. In one call, it would hold the interpreter lock, and thereby the
    whole process, for more than a second. In a thread, other threads can run between two pieces. A small request waits
    for the lock some thirty times, so the pieces are short.

    >>> count_scripts("The total is EUR 1,380.50.")
    (('capitals', 2.0), ('digits', 6.0), ('english', 4.0), ('figures', 3.0), ('signs', 3.0))
    """
    found: dict[str, float] = defaultdict(float)
    begin = 0
    while begin < len(text):
        end = begin + _PIECE
        blank = text.rfind(" ", begin, end) if end < len(text) else -1
        end = blank if blank > begin else end
        _add(text[begin:end], found)
        begin = end
    return tuple(sorted((name, round(float(units), 1)) for name, units in found.items() if units >= 0.05))


def _add(text: str, found: dict[str, float]) -> None:
    def opaque(match: re.Match[str]) -> str:
        run = match[0]
        if not _is_opaque(run):
            return run
        found["hex" if _HEX.fullmatch(run) else "base64"] += len(run)
        return " "

    text = _OPAQUE.sub(opaque, text)
    words = english = others = letters = beyond = plain = signs = 0
    for piece, count in Counter(_PIECES.findall(text)).items():
        first = piece[0]
        if first.isalpha() or first > "\x7f":
            language, length, more, capitals, accents, further = _word(piece)
            words += count
            if language > 0:
                english += count
            elif language:
                others += count
            if accents:
                found["accents"] += count * (accents - further)
                found["accents further"] += count * further
                found["latin"] += count * (length - accents)
            else:
                letters, beyond, plain = letters + count * length, beyond + count * more, plain + count
            if capitals:
                found["capitals"] += count * capitals
        elif first.isdigit():
            found["digits"] += count * len(piece)
            found["figures"] += count * ((len(piece) + 2) // 3)
        elif first in "\n \t":
            found["blanks"] += count * (1 if first == "\n" else _GAP)
        else:
            found["signs"] += count * (1 + _SIGN * (len(piece) - 1))
            signs += count
    if words:
        as_english = min(1.0, english / words / _ALL_ENGLISH)
        as_other = (1 - as_english) * min(1.0, others / words / _ALL_OTHER)
        as_code = (1 - as_english - as_other) * min(
            1.0, max(0.0, signs / words - _FEW_SIGNS) / (_MANY_SIGNS - _FEW_SIGNS)
        )
        found["english"] += as_english * (plain + _ENGLISH_LETTER * beyond)
        found["code"] += as_code * (plain + _CODE_LETTER * beyond)
        found["latin"] += as_other * letters
        found["undecided"] += (1 - as_english - as_other - as_code) * letters
    if not text.isascii():
        _add_others("".join(_OTHERS.findall(text)), found)


def _add_others(letters: str, found: dict[str, float]) -> None:
    """Count letters that are neither ASCII nor Latin.

    They are counted in code point order, to find their scripts in one pass.
    """
    counts = Counter(memoryview(letters.encode(_CODES, "surrogatepass")).cast("I"))
    place, script, end = -1, "", 0
    for code in sorted(counts):
        while code >= end:
            place += 1
            script = _STARTS[place][1]
            end = _FIRST[place + 1] if place + 1 < len(_FIRST) else sys.maxunicode + 1
        found[script] += counts[code]


def _is_opaque(run: str) -> bool:
    digits = sum(map(run.count, "0123456789"))
    small = _SMALL.findall(run)
    smalls, capitals = sum(map(len, small)), len(_CAPITAL.findall(run))
    figured = digits * 12 >= len(run) and smalls + capitals > 0
    mixed = capitals * 10 >= len(run) * 3 and smalls * 7 >= len(run)
    return (figured or mixed) and max(map(len, small), default=0) < _LONGEST_SMALL
