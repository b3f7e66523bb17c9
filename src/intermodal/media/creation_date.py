"""Reads date and device of creation from metadata: normalised, bounded, and never guessed. Pure.

Sources: EXIF 2.32 (CIPA DC-008, 4.6.4 DateTime, Make and Model; 4.6.5 DateTimeOriginal), PDF dates (ISO 32000-1,
7.9.4), and ISO 8601 in container metadata as FFmpeg reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

EXIF_DETAILS = 0x8769  # tag of the Exif sub-directory
_TAKEN, _WRITTEN, _MAKE, _MODEL = 0x9003, 0x0132, 0x010F, 0x0110
_MOST = 60  # most characters of a device name
_DATE = re.compile(
    r"(?:D:)?(?P<year>(?:19|20)\d\d)(?:[-:/.]?(?P<month>0[1-9]|1[0-2])(?:[-:/.]?(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:[T ]?(?P<hour>[01]\d|2[0-3]):?(?P<minute>[0-5]\d)(?::?(?P<second>[0-5]\d))?)?)?)?"
)
_NEVER = ("1904",)  # the first year of a QuickTime file, written by devices without a clock


def normal_date(text: object) -> str:
    """Return a date and time in ISO 8601, with the parts that are stated; "" if ``text`` is not a date.

    >>> normal_date("2019:05:02 12:33:01"), normal_date("D:20240131"), normal_date("0000:00:00 00:00:00")
    ('2019-05-02 12:33:01', '2024-01-31', '')
    """
    found = _DATE.match(text.strip()) if isinstance(text, str) else None
    if found is None or found["year"] in _NEVER:
        return ""
    date = "-".join(filter(None, (found["year"], found["month"], found["day"])))
    time = ":".join(filter(None, (found["hour"], found["minute"], found["second"])))
    return f"{date} {time}" if time else date


def exif_date(tags: Mapping[int, Any], details: Mapping[int, Any]) -> str:
    """Return when an image was taken, otherwise when its file was written. ``details``: the Exif sub-directory."""
    return normal_date(details.get(_TAKEN)) or normal_date(tags.get(_WRITTEN))


def exif_device(tags: Mapping[int, Any]) -> str:
    """Return maker and model of a camera, without repeating a maker that the model name starts with.

    >>> exif_device({0x010F: "Canon", 0x0110: "Canon EOS 80D"}), exif_device({0x010F: "Apple", 0x0110: "iPhone 12"})
    ('Canon EOS 80D', 'Apple iPhone 12')
    """
    maker, model = (_printable_text(tags.get(tag)) for tag in (_MAKE, _MODEL))
    return (model if model.casefold().startswith(maker.casefold()) else f"{maker} {model}".strip())[:_MOST]


def container_date(metadata: Mapping[str, str]) -> str:
    """Return when a recording or video was made, by the metadata of its container."""
    values_by_name = {name.casefold(): value for name, value in metadata.items()}
    names = ("creation_time", "com.apple.quicktime.creationdate", "date", "year")
    return next(filter(None, (normal_date(values_by_name.get(name)) for name in names)), "")


def _printable_text(text: object) -> str:
    return " ".join("".join(filter(str.isprintable, text)).split()) if isinstance(text, str) else ""


__all__ = ["EXIF_DETAILS", "container_date", "exif_date", "exif_device", "normal_date"]
