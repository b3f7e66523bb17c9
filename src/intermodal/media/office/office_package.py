"""Reads the ZIP container of Office files, which is checked before anything is decompressed.

Sizes and ratios are read from the central directory; ``zipfile`` never returns more of a member than stated there.
Markup with a document type is rejected: OPC forbids it (ECMA-376-2, 9.1.3.1 "DTD"), and only entities would need it.
Relations that lead outside the file are never followed.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from xml.parsers import expat

import defusedxml.ElementTree

from intermodal.core.content import Value
from intermodal.errors import InputBroken, InputEncrypted, InputTooLarge
from intermodal.media.office import text_encoding  # noqa: F401 - names in a ZIP, and markup, may need any codec
from intermodal.media.office.conversion_types import MAX_MEMBERS, MAX_PACKED, MAX_RATIO, RATIO_FROM
from intermodal.plans.numbers import with_noun

_PROLOG = 65_536  # bytes in which the first element must begin
_TODO = "check that the file is complete and opens elsewhere"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"


class Relation(Value):
    """A relation of a member.

    ``kind``: last part of its type ("image"); ``target``: a member, or a URL if ``outside``.
    """

    id: str
    kind: str
    target: str
    outside: bool = False


class OfficePackage:
    """A checked container. Raises InputBroken, InputEncrypted or InputTooLarge if ``data`` is not acceptable.

    Without ``markup``, the members are not checked for document types: an archive may hold any file, and the pages of a
    book may have document types.
    """

    def __init__(self, data: bytes, *, markup: bool = True) -> None:
        try:
            self._zip = zipfile.ZipFile(BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
            raise InputBroken("is damaged or cut short: its list of contents is missing", todo=_TODO) from None
        members = self._zip.infolist()
        if any(member.flag_bits & 1 for member in members):
            raise InputEncrypted("is locked by a password", todo="save an unlocked copy")
        if len(members) > MAX_MEMBERS:
            raise InputTooLarge(
                f"holds {with_noun(len(members), 'file')}, more than {MAX_MEMBERS:,}", todo="pass those you need"
            )
        size = sum(member.file_size for member in members)
        if size > MAX_PACKED:
            raise InputTooLarge(
                f"unpacks to {size >> 20:,} MiB, more than {MAX_PACKED >> 20}", todo="save the part you need as PDF"
            )
        for member in members:
            if member.file_size > RATIO_FROM and member.file_size > MAX_RATIO * max(1, member.compress_size):
                raise InputTooLarge(
                    f"is packed {member.file_size // max(1, member.compress_size):,} times smaller than it is, "
                    f"more than {MAX_RATIO}",
                    todo="a file like that is made to exhaust its reader; pass another copy",
                )
        self.names = frozenset(member.filename for member in members)
        self._sizes = {member.filename: member.file_size for member in members}
        self.files = tuple(dict.fromkeys(member.filename for member in members if not member.is_dir()))
        for member in members if markup else ():
            _check_markup(self._head(member), member.filename)

    def _head(self, member: zipfile.ZipInfo) -> bytes:
        try:
            with self._zip.open(member) as file:
                return file.read(_PROLOG)
        except Exception:
            raise InputBroken("is damaged: a part of it cannot be unpacked", todo=_TODO) from None

    def read_member(self, name: str) -> bytes:
        """Return the bytes of a member, b"" if there is none."""
        if name not in self.names:
            return b""
        try:
            return self._zip.read(name)
        except Exception:
            raise InputBroken("is damaged: a part of it cannot be unpacked", todo=_TODO) from None

    def member_size(self, name: str) -> int:
        """Return the decompressed size of a member in bytes, 0 if there is none."""
        return self._sizes.get(name, 0)

    def xml(self, name: str) -> Any | None:
        """Return a member as an element tree, None if it is missing or not markup."""
        body = self.read_member(name)
        return parse_xml(body) if body else None

    def relations(self, name: str) -> list[Relation]:
        """Return the relations of a member, in file order."""
        folder, _, file = name.rpartition("/")
        root = self.xml(f"{folder}/_rels/{file}.rels" if folder else f"_rels/{file}.rels")
        found = []
        for each in root if root is not None else ():
            target, outside = str(each.get("Target", "")), each.get("TargetMode") == "External"
            if not outside:
                target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            kind = str(each.get("Type", "")).rpartition("/")[2]
            found.append(Relation(id=str(each.get("Id", "")), kind=kind, target=target, outside=outside))
        return found


def _check_markup(head: bytes, name: str) -> None:
    """Raise an InputError for markup with a document type.

    Members that are not markup pass, unless their name promises markup.
    """
    parser = expat.ParserCreate()
    events: list[str] = []

    def begins(*_: object) -> None:
        events.append("element")

    def declares(*_: object) -> None:
        events.append("type")

    parser.StartElementHandler, parser.StartDoctypeDeclHandler = begins, declares
    try:
        parser.Parse(head, False)
    except (expat.ExpatError, LookupError, ValueError):
        if not events and head and name.endswith((".xml", ".rels")):
            raise InputBroken("is damaged: a part of it is not markup", todo=_TODO) from None
    if "type" in events:
        raise InputBroken(
            "holds a document type definition, which Office files must not", todo="save it again with an Office program"
        )
    if not events and len(head) >= _PROLOG and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise InputBroken("is damaged: a part of it has no beginning", todo=_TODO)


def parse_xml(body: bytes) -> Any | None:
    """Return markup as an element tree, None if it cannot be parsed.

    Entities are never expanded, and nothing is fetched.
    """
    try:
        return defusedxml.ElementTree.fromstring(body, forbid_dtd=True)
    except Exception:
        return None


def paragraph_texts(root: Any | None, paragraph: str, text: str) -> Iterator[str]:
    """Yield the text of the paragraphs below ``root``, without blank ones.

    ``paragraph`` and ``text``: local names of the elements of a paragraph and of a text run.
    """
    for element in root.iter() if root is not None else ():
        if local_name(element) == paragraph:
            line = "".join(each.text or "" for each in element.iter() if local_name(each) == text).strip()
            if line:
                yield line


def local_name(element: Any) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def drawn_words(body: bytes) -> list[str]:
    """Return the text of a drawing (SmartArt, shapes): the text runs of DrawingML, one line per paragraph."""
    return list(paragraph_texts(parse_xml(body), "p", "t"))


def chart_table(body: bytes) -> str:
    """Return the data of a chart, which is stored with it (ECMA-376-1, 21.2), as a table with a row per category."""
    root = parse_xml(body)
    if root is None:
        return ""
    title = " ".join("".join(t.text or "" for t in p.iter(f"{_DRAWING}t")) for p in root.iterfind(f".//{_CHART}title//"
                     f"{_DRAWING}p")).strip()  # fmt: skip
    series = []
    labels: list[str] = []
    for each in root.iter(f"{_CHART}ser"):
        name = next(iter(_points(each, "tx")), "")
        labels = labels or _points(each, "cat") or _points(each, "xVal")
        series.append((name, _points(each, "val") or _points(each, "yVal")))
    if not series:
        return f"Chart: {title}" if title else ""
    rows = [["", *(name or f"series {place}" for place, (name, _) in enumerate(series, 1))]]
    for place in range(min(1000, max(len(labels), *(len(values) for _, values in series)))):
        row = [labels[place] if place < len(labels) else str(place + 1)]
        rows.append([*row, *(values[place] if place < len(values) else "" for _, values in series)])
    return f"Chart{f': {title}' if title else ''}\n\n{table(rows)}"


def _points(series: Any, what: str) -> list[str]:
    found = series.find(f"{_CHART}{what}")
    if found is None:
        return []
    values = [(int(p.get("idx") or 0), p.findtext(f"{_CHART}v") or "") for p in found.iter(f"{_CHART}pt")]
    if not values:
        return [element.text or "" for element in found.iter(f"{_CHART}v")]
    points_by_index = dict(value for value in values if 0 <= value[0] < 1000)
    return [points_by_index.get(place, "") for place in range(max(points_by_index, default=-1) + 1)]


def table(rows: list[list[str]]) -> str:
    """Return rows as a Markdown table. The first row becomes its header."""
    width = max((len(row) for row in rows), default=0)
    lines = ["| " + " | ".join([*map(_cell, row), *[""] * (width - len(row))]) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]]) if lines else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
