"""Detects the encoding of text that does not state it, and decodes it. In the worker."""

from __future__ import annotations

import codecs
import encodings
import importlib
import pkgutil
import re

import charset_normalizer

from intermodal.errors import InputBroken
from intermodal.media.office.conversion_types import ConvertedFile

_MARKS = (  # UTF-32's before UTF-16's, which begins alike
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
_SAMPLE = 1 << 18  # bytes that are looked at to guess

for _module in pkgutil.iter_modules(encodings.__path__):  # a codec is a file, and none can be opened later
    try:
        importlib.import_module(f"encodings.{_module.name}")
    except ImportError:  # mbcs and oem exist on Windows only
        continue


def decode_text(data: bytes, declared: str = "", *, markup: bool = False) -> tuple[str, str]:
    """Return the text and its encoding: by a byte order mark, UTF-8, the declared one, or the likeliest.

    Raises InputBroken when no encoding fits.
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
    guess = charset_normalizer.from_bytes(data[:_SAMPLE]).best()
    for encoding in (guess.encoding if guess is not None else "", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    raise InputBroken("is text in an unknown encoding", todo="convert it to UTF-8")


def convert(data: bytes, name: str, probe: object) -> ConvertedFile:
    """Text in another encoding than UTF-8, in words."""
    text, encoding = decode_text(data)
    return ConvertedFile(text=text, notes=(f"read as {encoding}, which is a guess",))
