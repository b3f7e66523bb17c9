"""Forms (``multipart/form-data``, RFC 7578): the fields and files of a body, which is searched and not copied."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from intermodal.protocols.errors.responses import RequestRefused

MAX_PARTS = 64
_PIECE = 32 << 10  # bytes searched at a time: at most half a millisecond, whatever they hold
MAX_PART_HEAD = 4 << 10  # bytes of the headers of one part
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(r'[;\s]name="([^"\r\n]*)"')
_FILE = re.compile(r'[;\s]filename="([^"\r\n]*)"')


class MultipartForm(NamedTuple):
    """The fields and files of a form.

    ``fields`` in order, repeated names included; ``files`` by the name of the field. ``listed``: files of fields whose
    name ends in ``[]`` and may be repeated, in order.
    """

    fields: tuple[tuple[str, str], ...]
    files: Mapping[str, tuple[str, bytes]]  # field -> name of the file, its bytes
    listed: tuple[tuple[str, tuple[str, bytes]], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of ``fields`` in order, repeated ones included."""
        return tuple(name for name, _ in self.fields)

    def field(self, name: str, default: str = "") -> str:
        """Return the last value of a field."""
        return next((value for key, value in reversed(self.fields) if key == name), default)


def multipart_boundary(content_type: str) -> bytes:
    """Return the boundary of a form; b"" if none is given."""
    found = _BOUNDARY.search(content_type)
    return b"" if found is None else (found[1] or found[2]).encode("latin-1")


def _find_mark(body: bytes, mark: bytes, at: int) -> int:
    """Return the position of ``mark``, or -1. Searches in pieces, since a search holds the interpreter lock."""
    while at < len(body):
        found = body.find(mark, at, at + _PIECE + len(mark))
        if found >= 0:
            return found
        at += _PIECE
    return -1


def parse_multipart(content_type: str, body: bytes) -> MultipartForm:
    """Parse the form in a body. Raises RequestRefused: 400 for an invalid form, 413 for too many parts."""
    boundary = multipart_boundary(content_type)
    if not boundary:
        raise RequestRefused("the form has no boundary", status=400)
    mark = b"--" + boundary
    at = 0 if body.startswith(mark) else _find_mark(body, b"\r\n" + mark, 0) + 2
    if at == 1:
        raise RequestRefused("the form is empty", status=400)
    fields: list[tuple[str, str]] = []
    files: dict[str, tuple[str, bytes]] = {}
    parts: list[tuple[str, tuple[str, bytes]]] = []
    at += len(mark)
    while body[at : at + 2] != b"--":
        if len(fields) + len(files) + len(parts) >= MAX_PARTS:
            raise RequestRefused(f"the form has more than {MAX_PARTS} parts", status=413)
        head_end = body.find(b"\r\n\r\n", at, at + MAX_PART_HEAD)
        end = _find_mark(body, b"\r\n" + mark, at)
        if head_end < 0 or end < 0 or body[at : at + 2] != b"\r\n":
            raise RequestRefused("the form is broken off", status=400)
        head = body[at:head_end].decode("utf-8", "replace")
        data = bytes(memoryview(body)[head_end + 4 : max(end, head_end + 4)])
        name, file = _NAME.search(head), _FILE.search(head)
        if name is None:
            raise RequestRefused("a part of the form has no name", status=400)
        if file is not None and name[1] in files:
            raise RequestRefused(f"the form has more than one file named {name[1][:40]!r}", status=400, todo="send one")
        if file is not None and name[1].endswith("[]"):
            parts.append((name[1], (file[1], data)))
        elif file is not None:
            files[name[1]] = (file[1], data)
        else:
            fields.append((name[1], data.decode("utf-8", "replace")))
        at = end + 2 + len(mark)
    return MultipartForm(tuple(fields), files, tuple(parts))
