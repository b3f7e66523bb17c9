"""Endings of file names: a hint before a file is opened. The actual type is detected from its bytes (``sniff.py``)."""

from __future__ import annotations

IMAGE_ENDINGS = frozenset(("png", "jpg", "jpeg", "webp", "gif", "tif", "tiff", "bmp", "heic", "heif", "avif"))
# Endings that promise media, to report files whose content is text.
MEDIA_ENDINGS = IMAGE_ENDINGS | frozenset((
    "wav", "mp3", "flac", "m4a", "aac", "ogg", "oga", "opus",
    "mp4", "m4v", "mov", "webm", "mkv", "avi", "pdf", "docx", "xlsx", "pptx", "msg",
    "odt", "ods", "odp", "odg", "doc", "xls", "ppt", "epub", "zip",
))  # fmt: skip


def ending_of(name: str) -> str:
    """Return the lower-case ending of a file name, "" if it has none."""
    _, dot, ending = name.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot else ""
