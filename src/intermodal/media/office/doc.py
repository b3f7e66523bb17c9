"""Converts DOC of Word 97 to 2003 (MS-DOC) to HTML, which is then converted like any page. Runs in the worker.

Included: headings, lists, tables, links, footnotes, comments (marked), page headers and footers, text of text boxes,
and JPEG and PNG images, which follow the text. Left out: deleted and hidden text (counted), equations, embedded files.
Numbered lists are shown with bullets, because the tables with their numbers are not read. Macros are never read.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final

from intermodal.core.content import Value
from intermodal.errors import InputBroken, InputEmpty, InputEncrypted, InputTooLarge, InputUnsupported
from intermodal.media.office.compound_file import CompoundFile
from intermodal.media.office.conversion_types import MAX_CHARS, ConvertedFile
from intermodal.media.office.html_pages import markdown
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.word_html import ListItem, address_in, as_html, mark_link, nested_list
from intermodal.plans.numbers import with_noun

_WORD_97: Final = 0x00C1  # nFib of Word 97, the first version of this format (MS-DOC 2.5.2)
_TODO = "open it and save it again as DOCX"
# Offsets in the header (MS-DOC 2.5.2 to 2.5.6).
_LENGTHS, _CHARACTERS, _PARAGRAPHS, _PIECES = 0x4C, 0xFA, 0x102, 0x1A2
_PAGE = 512  # bytes of a page of formatting properties
# Properties (MS-DOC 2.6.1, 2.6.2).
_DELETED, _HIDDEN = 0x0800, 0x083C
_IN_TABLE, _ROW_ENDS, _LEVEL, _LIST, _OUTLINE = 0x2416, 0x2417, 0x260A, 0x460B, 0x2640
_SIZES = {0: 1, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2, 7: 3}  # bytes of a property's value, by the top three bits of its number
_MAX_PIECES = 1_000_000
_FIELD = re.compile("\x13([^\x13\x14\x15]*)(?:\x14([^\x13\x14\x15]*))?\x15")
_SIGNS = {0x1E: "‑", 0x1F: "", 0x0B: "\n", 0x0C: "\n", 0x0E: "\n", 0x00: "", 0x01: "", 0x08: "", 0x03: "", 0x04: ""}


class _Piece(Value):
    """A stretch of the text, its byte offset in the main stream, and the bytes per character."""

    text: str
    start: int
    wide: int


class _About(Value):
    """The properties of a paragraph."""

    heading: int = 0
    level: int = 0
    listed: bool = False
    in_table: bool = False
    row_ends: bool = False


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    compound, gallery = CompoundFile(data), ImageCollector(probe)
    try:
        page, notes = _page(compound)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError):
        raise InputBroken("cannot be read as a Word document", todo=_TODO) from None
    text, found = markdown(page, gallery)
    marks = [gallery.image_mark(picture) for picture in compound.embedded_images("Data", "WordDocument")]
    text = "\n\n".join(part for part in (text, *dict.fromkeys(marks)) if part)
    if not text:
        raise InputEmpty("holds no text and no images", where=name, todo="check what wrote this file")
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*notes, *found, *gallery.notes()))


def _page(compound: CompoundFile) -> tuple[str, list[str]]:
    main = compound.read_stream("WordDocument")
    version, flags = _u16(main, 2), _u16(main, 10)
    if version < _WORD_97:
        raise InputUnsupported("is of Word 95 or older, which is not taken", todo="save it as DOCX")
    if flags & 0x0100:
        raise InputEncrypted("is locked by a password", todo="save an unlocked copy")
    formats = compound.read_stream("1Table" if flags & 0x0200 else "0Table")
    pieces = _pieces(main, formats[_u32(main, _PIECES) :][: _u32(main, _PIECES + 4)])
    unseen = [(start, end, bool(deleted))
              for start, end, properties in _formatted_runs(main, formats, _CHARACTERS, _characters)
              if (deleted := properties.get(_DELETED)) or properties.get(_HIDDEN)]  # fmt: skip
    text, places = _join_pieces(pieces, unseen)
    ends = [
        (start, end, _about(properties))
        for start, end, properties in _formatted_runs(main, formats, _PARAGRAPHS, _papers)
    ]
    writer = _Writer(sorted(ends, key=lambda run: run[0]))
    lengths = [_u32(main, _LENGTHS + 4 * each) for each in range(8)]  # text, notes, headers, -, comments, …
    offset, blocks = 0, list[str]()
    for kind, length in zip(("", "note", "around", "", "Comment", "note", "box", "box"), lengths, strict=True):
        part = text[offset : offset + length]
        if offset == 0:
            blocks.append(writer.body(part, places))
        else:
            blocks += _beside(kind, part)
        offset += length
    notes = []
    for number, what in ((sum(is_deleted for *_, is_deleted in unseen), "deleted passage"),
                         (sum(not is_deleted for *_, is_deleted in unseen), "hidden passage")):  # fmt: skip
        if number:
            notes.append(f"{with_noun(number, what)} left out")
    return f"<html><body>{''.join(blocks)}</body></html>", notes


def _pieces(main: bytes, clx: bytes) -> list[_Piece]:
    """Return the pieces of the text (MS-DOC 2.8.35, 2.9.38), one byte a character in Windows-1252, or two in UTF-16."""
    offset = 0
    while offset < len(clx) and clx[offset] == 1:  # formats of pieces come first
        offset += 3 + _u16(clx, offset + 1)
    if offset >= len(clx) or clx[offset] != 2:
        raise ValueError("no piece table")
    size = _u32(clx, offset + 1)
    table = clx[offset + 5 : offset + 5 + size]
    count = (len(table) - 4) // 12
    if not 0 < count <= _MAX_PIECES:
        raise ValueError("no pieces")
    found, char_count = [], 0
    for place in range(count):
        first, last = _u32(table, 4 * place), _u32(table, 4 * place + 4)
        where = _u32(table, 4 * (count + 1) + 8 * place + 2)
        wide = 1 if where & 0x40000000 else 2
        start = (where & 0x3FFFFFFF) // (2 if wide == 1 else 1)
        char_count += max(0, last - first)
        if char_count > MAX_CHARS:
            raise InputTooLarge(f"holds more than {MAX_CHARS:,} characters", todo="pass the part you need")
        body = main[start : start + max(0, last - first) * wide]
        text = body.decode("cp1252" if wide == 1 else "utf-16-le", "replace")
        found.append(_Piece(text=text, start=start, wide=wide))
    return found


def _join_pieces(pieces: list[_Piece], unseen: list[tuple[int, int, bool]]) -> tuple[str, Callable[[int], int]]:
    """Return the whole text, and a function from a character's index to its byte offset.

    Hidden text is replaced by NUL.
    """
    parts, begins, char_count = [], list[int](), 0
    for piece in pieces:
        letters = list(piece.text)
        for start, end, _ in unseen:
            first, last = (start - piece.start) // piece.wide, (end - piece.start) // piece.wide
            for place in range(max(0, first), min(len(letters), last)):
                letters[place] = "\0" if letters[place] not in "\r\x07" else letters[place]
        parts.append("".join(letters))
        begins.append(char_count)
        char_count += len(piece.text)

    def place_of(character: int) -> int:
        number = max(0, bisect_right(begins, character) - 1)
        return pieces[number].start + (character - begins[number]) * pieces[number].wide

    return "".join(parts), place_of


# ---- formats -------------------------------------------------------------------------------------

_Properties = dict[int, int]


def _formatted_runs(
    main: bytes, formats: bytes, where: int, read: Callable[[bytes, int, int], bytes]
) -> Iterator[tuple[int, int, _Properties]]:
    """Yield (first byte, end, properties) of each run of characters, or of each paragraph (MS-DOC 2.9.35, 2.9.175)."""
    start, size = _u32(main, where), _u32(main, where + 4)
    table = formats[start : start + size]
    count = (len(table) - 4) // 8
    for place in range(min(count, _MAX_PIECES)):
        number = _u32(table, 4 * (count + 1) + 4 * place) & 0x3FFFFF
        page = main[number * _PAGE : (number + 1) * _PAGE]
        if len(page) < _PAGE:
            continue
        runs = min(page[-1], 101)
        for run in range(runs):
            yield _u32(page, 4 * run), _u32(page, 4 * run + 4), _properties(read(page, run, runs))


def _characters(page: bytes, run: int, runs: int) -> bytes:
    offset = 2 * page[4 * (runs + 1) + run]
    return b"" if not offset else page[offset + 1 : offset + 1 + page[offset]]


def _papers(page: bytes, run: int, runs: int) -> bytes:
    """Return the packed properties of a paragraph, with its style as property 0."""
    offset = 2 * page[4 * (runs + 1) + 13 * run]
    if not offset:
        return b""
    size, begins = (2 * page[offset] - 1, offset + 1) if page[offset] else (2 * page[offset + 1], offset + 2)
    return b"\0\x40" + page[begins : begins + max(0, size)]


def _properties(packed: bytes) -> _Properties:
    found: _Properties = {}
    offset = 0
    while offset + 3 <= len(packed):
        kind = _u16(packed, offset)
        size = _SIZES.get(kind >> 13)
        begins = offset + 2
        if size is None:
            wide = 2 if kind == 0xD608 else 1  # the definition of a table has a long size
            size = int.from_bytes(packed[begins : begins + wide], "little") - (1 if wide == 2 else 0)
            begins += wide
        found[kind] = int.from_bytes(packed[begins : begins + min(size, 4)], "little")
        offset = begins + max(0, size)
    return found


def _about(properties: _Properties) -> _About:
    style, outline = properties.get(0x4000, 0), properties.get(_OUTLINE, 9)
    heading = style if 1 <= style <= 9 else outline + 1 if outline < 9 else 0  # styles 1 to 9 are headings
    return _About(
        heading=min(6, heading),
        level=min(8, properties.get(_LEVEL, 0)),
        listed=0 < properties.get(_LIST, 0) < 0xF801,
        in_table=bool(properties.get(_IN_TABLE)),
        row_ends=bool(properties.get(_ROW_ENDS)),
    )


# ---- output --------------------------------------------------------------------------------------


class _Writer:
    """Writes paragraphs as HTML. ``runs``: (first byte, end, properties) of each paragraph, in order."""

    def __init__(self, runs: list[tuple[int, int, _About]]) -> None:
        self._runs = runs
        self._starts = [start for start, _, _ in runs]
        self._notes = self._comments = 0

    def body(self, text: str, place_of: Callable[[int], int]) -> str:
        blocks, items, rows, cells = list[str](), list[ListItem](), list[str](), list[str]()
        paragraphs, start = list[str](), 0  # of the cell that is being read
        for found in re.finditer("[\r\x07]", text):
            about, paragraph = (
                self._properties_at(place_of(found.start())),
                self._paragraph_text(text[start : found.start()]),
            )
            start = found.end()
            if not about.in_table and found[0] != "\x07":
                if rows:
                    blocks.append(f"<table>{''.join(rows)}</table>")
                    rows = []
                if about.listed and not about.heading and paragraph.strip():
                    items.append(ListItem(level=about.level, ordered=False, html=paragraph))
                    continue
                if items:
                    blocks.append(nested_list(items))
                    items = []
                tag = f"h{about.heading}" if about.heading else "p"
                blocks.append(f"<{tag}>{paragraph}</{tag}>" if paragraph.strip() else "")
                continue
            if items:
                blocks.append(nested_list(items))
                items = []
            if about.row_ends:
                rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
                cells = []
                continue
            paragraphs.append(paragraph)
            if found[0] == "\x07":
                cells.append("<br>".join(paragraphs))
                paragraphs = []
        rest = self._paragraph_text(text[start:])
        return "".join(
            (*blocks, f"<table>{''.join(rows)}</table>" if rows else "", nested_list(items), f"<p>{rest}</p>")
        )

    def _properties_at(self, place: int) -> _About:
        number = bisect_right(self._starts, place) - 1
        return self._runs[number][2] if number >= 0 and place < self._runs[number][1] else _About()

    def _paragraph_text(self, text: str) -> str:
        """Return the text of one paragraph. Links are marked; other fields have their last computed result."""
        marked = _fields(text)
        parts = []
        for letter in marked:
            if letter == "\x02":
                self._notes += 1
                parts.append(f"[{self._notes}]")
            elif letter == "\x05":
                self._comments += 1
                parts.append(f"[Comment {self._comments}]")
            else:
                parts.append(letter)
        return _html("".join(parts))


def _fields(text: str) -> str:
    """Return the text without field codes; the text of links is marked with their addresses."""

    def render_field(match: re.Match[str]) -> str:
        address, link_text = address_in(match[1]), match[2] or ""
        return mark_link(address, link_text) if address and link_text.strip() else link_text

    for _ in range(20):  # fields in fields, from the inside
        text, changed = _FIELD.subn(render_field, text)
        if not changed:
            break
    return text


def _html(text: str) -> str:
    return re.sub("[\x00-\x08\x0e-\x1f]", "", as_html(text.translate(_SIGNS)))


def _beside(kind: str, text: str) -> Iterator[str]:
    """Yield notes, page headers and footers, comments and text boxes as HTML, to follow the text."""
    paragraphs = [_html(_fields(each.lstrip("\x02\x05 "))) for each in re.split("[\r\x07]", text)]
    lines = [line for line in paragraphs if line.strip()]
    if kind in ("note", "Comment"):
        for number, line in enumerate(lines, 1):
            yield f"<p>[{number}] {line}</p>" if kind == "note" else f"<p>Comment {number}: {line}</p>"
    elif kind == "around":
        for line in dict.fromkeys(lines):
            yield f"<p>Page header or footer: {line}</p>"
    else:
        for line in lines:
            yield f"<p>{line}</p>"


def _u16(data: bytes, offset: int) -> int:
    return int(struct.unpack_from("<H", data, offset)[0])


def _u32(data: bytes, offset: int) -> int:
    return int(struct.unpack_from("<I", data, offset)[0])
