"""Detects the encoding of text that does not state it, and decodes it. Runs in the worker."""

from __future__ import annotations

import codecs
import encodings
import importlib
import pkgutil
import re
from collections.abc import Iterator

import charset_normalizer

from intermodal.errors import InputBroken
from intermodal.media.office.conversion_types import ConvertedFile

_MARKS = (  # UTF-32's marks first, because UTF-16's are prefixes of them
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]{1,40})" rb"|<\?xml[^>]{0,100}?encoding=[\"']([\w.:-]{1,40})",
    re.IGNORECASE,
)
# The web's encoding standard reads these labels as windows-1252. https://encoding.spec.whatwg.org/#names-and-labels
_AS_BROWSERS: dict[str, str] = dict.fromkeys(("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii"), "cp1252")
_SAMPLE = 1 << 18  # bytes that are analysed to guess
# Common encodings of text. For short texts, rare ones fit as well: "zwölf" was read as Urdu of cp1006.
_COMMON = [
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859_2", "iso8859_5",
    "iso8859_7", "iso8859_9", "iso8859_15", "koi8_r", "koi8_u", "cp437", "cp850", "cp852", "cp866", "mac_roman",
    "mac_cyrillic", "big5", "gb18030", "cp932", "euc_jp", "cp949", "euc_kr", "tis_620", "utf_16", "utf_32",
]  # fmt: skip
_FEW = 12  # bytes beyond ASCII; up to this number, the language cannot be detected
_LETTER = "[^\\W\\d_a-zA-Z]"  # a letter beyond ASCII
_ACCENTED = re.compile(  # one or two letters with accents beside others, and marks
    rf"(?<!{_LETTER})[À-ÖØ-öø-ÿŒœŠšŽžŸ]{{1,2}}(?!{_LETTER})|[€§°«»„“”‘’–—…•·©®™ ]|(?<![^\W\d])£(?![^\W\d])"
)

for _module in pkgutil.iter_modules(encodings.__path__):  # a codec is a file, and no file can be opened later
    try:
        importlib.import_module(f"encodings.{_module.name}")
    except ImportError:  # mbcs and oem exist on Windows only
        continue


def decode_text(data: bytes, declared: str = "", *, markup: bool = False) -> tuple[str, str]:
    """Return the text and its encoding: from a byte order mark, UTF-8, the declared encoding, or the likeliest guess.

    Raises InputBroken if no encoding fits.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace"), encoding
    found = _DECLARED.search(data[:2048]) if markup else None
    label = declared or (next(filter(None, found.groups())).decode("ascii") if found else "")
    for encoding in ("utf-8", _AS_BROWSERS.get(label.strip().lower(), label.strip())):
        try:
            return data.decode(encoding), encoding
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    for encoding in (_western(data[:_SAMPLE]), *_candidate_texts(data[:_SAMPLE]), "cp1252"):
        try:
            return data.decode(encoding), encoding
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    raise InputBroken("is text in an unknown encoding", todo="convert it to UTF-8")


def _candidate_texts(data: bytes) -> Iterator[str]:
    """Yield the likeliest of the common encodings, then of all encodings."""
    for among in (_COMMON, None):
        guess = charset_normalizer.from_bytes(data, cp_isolation=among).best()
        if guess is not None:
            yield guess.encoding


def _western(data: bytes) -> str:
    """Return "cp1252" if the few bytes beyond ASCII are then single accented letters or marks, otherwise ""."""
    few = 0 < sum(byte > 127 for byte in data) <= _FEW
    try:
        rest = _ACCENTED.sub("", data.decode("cp1252")) if few else "\u0100"
    except UnicodeDecodeError:
        return ""
    return "cp1252" if rest.isascii() else ""


def convert(data: bytes, name: str, probe: object) -> ConvertedFile:
    """Return text that is not UTF-8, with a note on the guessed encoding."""
    text, encoding = decode_text(data)
    return ConvertedFile(text=text, notes=(f"read as {encoding}, which is a guess",))
