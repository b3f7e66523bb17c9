"""Converts OpenDocument texts, slides and sheets (ODF 1.3) to HTML, which is then converted like any page.

Runs in the worker. Included: headings, lists, tables, links, footnotes, comments (marked), page headers and footers,
images, text of drawings, numbers of charts, speaker notes, hidden slides and sheets (marked). Left out, with a note:
hidden text, and text deleted by tracked changes. Macros are never read, and nothing is calculated.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Any

from intermodal.errors import InputBroken, InputEmpty, InputEncrypted, InputTooLarge
from intermodal.media.office.conversion_types import MAX_CELLS, MAX_CHARS, ConvertedFile
from intermodal.media.office.html_pages import markdown
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.office_package import OfficePackage
from intermodal.media.office.sheet_table import SheetTable, column_name
from intermodal.plans.numbers import with_noun

_NS = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _TABLE, _OFFICE = f"{{{_NS}text:1.0}}", f"{{{_NS}table:1.0}}", f"{{{_NS}office:1.0}}"
_DRAW, _STYLE = f"{{{_NS}drawing:1.0}}", f"{{{_NS}style:1.0}}"
_PRESENTATION = f"{{{_NS}presentation:1.0}}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_TITLES = ("{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}title",
           "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}desc")  # fmt: skip
_UNSEEN = frozenset((
    f"{_TEXT}tracked-changes", f"{_OFFICE}forms", f"{_TEXT}sequence-decls", f"{_TEXT}variable-decls",
    f"{_TEXT}user-field-decls", f"{_PRESENTATION}notes", f"{_OFFICE}event-listeners", *_TITLES,
))  # fmt: skip
_HIDEABLE = (f"{_TEXT}p", f"{_TEXT}h", f"{_TEXT}span", f"{_TEXT}section")
_OF_PAGE = ("page", "header", "footer", "date-time", "page-number")  # present on every notes page
_MAX_SPACES = 100
_MAX_COLUMNS, _MAX_ROWS = 16_384, 1_048_576  # of a sheet of LibreOffice 7.4 and later
_TODO = "open it and save it again as ODT, ODS or ODP"


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    package = OfficePackage(data, markup=False)  # macros and settings in the file may have a document type
    if b"encryption-data" in package.read_member("META-INF/manifest.xml"):
        raise InputEncrypted("is locked by a password", todo="save an unlocked copy")
    root = package.xml("content.xml")
    body = root.find(f"{_OFFICE}body") if root is not None else None
    if body is None:
        raise InputBroken("cannot be read as an OpenDocument file: its text is missing", todo=_TODO)
    gallery, notes = ImageCollector(probe), list[str]()
    writer = _Writer(package, root)
    sheets = body.find(f"{_OFFICE}spreadsheet")
    if sheets is not None:
        text = _workbook(sheets, writer, gallery, notes)
    else:
        try:
            page = f"<html><body>{writer.page(body)}</body></html>"
        except RecursionError:
            page = "\n".join(f"<p>{escape(''.join(each.itertext()))}</p>" for each in body.iter(f"{_TEXT}p"))
            notes.append("its elements are nested too deeply to keep their form")
        text, found = markdown(page, gallery, writer.inside)
        notes += found
    if not text and not gallery.collected_images:
        raise InputEmpty("holds no text and no images", where=name, todo="check what wrote this file")
    if len(text) > MAX_CHARS:
        raise InputTooLarge(f"holds {len(text):,} characters, more than {MAX_CHARS:,}", todo="pass the part you need")
    deleted = sum(1 for _ in body.iter(f"{_TEXT}deletion"))
    if deleted:
        notes.append(f"{with_noun(deleted, 'deletion of tracked changes', 'deletions of tracked changes')} left out")
    if writer.hidden_passages:
        notes.append(f"{with_noun(writer.hidden_passages, 'hidden passage')} left out")
    if writer.hidden:
        notes.append(f"{with_noun(writer.hidden, 'hidden slide')} included")
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*notes, *gallery.notes()))


class _Writer:
    """Writes the elements of a text or of slides as HTML."""

    def __init__(self, package: OfficePackage, root: Any) -> None:
        self._package = package
        self._styles = package.xml("styles.xml")
        self._root = root
        self.hidden = self.hidden_passages = 0  # numbers of slides and of passages
        self._slides = 0
        self._notes: list[str] = []  # footnotes, in order of appearance
        self._ordered = dict(self._numbered_styles())
        self._unseen = {
            str(style.get(f"{_STYLE}name"))
            for style in root.iter(f"{_STYLE}style")
            for each in style.iter()
            if each.get(f"{_PRESENTATION}visibility") == "hidden"
            or each.get(f"{_TABLE}display") == "false"
            or each.get(f"{_TEXT}display") == "none"
        }
        self._how: dict[str, Callable[[Any], str]] = {
            f"{_TEXT}h": self._heading,
            f"{_TEXT}a": self._link,
            f"{_TEXT}s": lambda each: " " * _parse_bounded_int(each.get(f"{_TEXT}c"), 1, _MAX_SPACES),
            f"{_TEXT}tab": lambda each: "\t",
            f"{_TEXT}line-break": lambda each: "<br>",
            f"{_TEXT}note": self._note,
            f"{_OFFICE}annotation": self._comment,
            f"{_TABLE}table": self._table,
            f"{_DRAW}frame": self.frame,
            f"{_DRAW}page": self._slide,
        }

    def page(self, body: Any) -> str:
        """Return the body with page headers before it, and page footers and footnotes after it."""
        before, after = self._headers_or_footers("header"), self._headers_or_footers("footer")
        inner = self._inner(body)
        notes = "".join(f"<p>[{place}] {note}</p>" for place, note in enumerate(self._notes, 1))
        return before + inner + notes + after

    def inside(self, source: str) -> bytes | None:
        return self._package.read_member(posixpath.normpath(source)) or None

    def is_unseen(self, element: Any, style: str) -> bool:
        return str(element.get(style)) in self._unseen

    def _numbered_styles(self) -> Iterator[tuple[str, frozenset[int]]]:
        """Yield the names of list styles with their numbered levels."""
        for tree in (self._styles, self._root):
            for style in tree.iter(f"{_TEXT}list-style") if tree is not None else ():
                levels = style.iter(f"{_TEXT}list-level-style-number")
                yield (
                    str(style.get(f"{_STYLE}name")),
                    frozenset(_parse_bounded_int(each.get(f"{_TEXT}level"), 1, 10) for each in levels),
                )

    def _headers_or_footers(self, kind: str) -> str:
        """Return page headers or footers, each wording once: a document has one per kind of page."""
        found: dict[str, None] = {}
        for each in self._styles.iter(f"{_STYLE}{kind}") if self._styles is not None else ():
            line = " / ".join("".join(p.itertext()).strip() for p in each.iter(f"{_TEXT}p"))
            if line.strip(" /"):
                found[f"<p>Page {kind}: {escape(' '.join(line.split()))}</p>"] = None
        return "".join(found)

    def _inner(self, element: Any) -> str:
        parts = [escape(element.text or "")]
        for each in element:
            parts.append(self._element(each))
            parts.append(escape(each.tail or ""))
        return "".join(parts)

    def _element(self, each: Any, style: str = "", level: int = 1) -> str:
        tag = str(each.tag)
        if tag in _UNSEEN:
            return ""
        if tag in _HIDEABLE and (each.get(f"{_TEXT}display") == "none" or self.is_unseen(each, f"{_TEXT}style-name")):
            self.hidden_passages += bool("".join(each.itertext()).strip())
            return ""
        if tag == f"{_TEXT}p":
            return f"<p>{self._inner(each)}</p>"
        if tag == f"{_TEXT}list":
            return self._list(each, style, level)
        handler = self._how.get(tag)
        return handler(each) if handler is not None else self._inner(each)

    def _heading(self, each: Any) -> str:
        level = _parse_bounded_int(each.get(f"{_TEXT}outline-level"), 1, 6)
        return f"<h{level}>{self._inner(each)}</h{level}>"

    def _link(self, each: Any) -> str:
        return f'<a href="{escape(str(each.get(_HREF) or ""))}">{self._inner(each)}</a>'

    def _note(self, each: Any) -> str:
        body = each.find(f"{_TEXT}note-body")
        self._notes.append("")  # reserves the number before nested notes
        place = len(self._notes)
        self._notes[place - 1] = " ".join(self._inner(body).replace("<p>", " ").replace("</p>", " ").split()) if (
            body is not None) else ""  # fmt: skip
        return f"[{place}]"

    def _comment(self, each: Any) -> str:
        text = " ".join("".join(p.itertext()) for p in each.iter(f"{_TEXT}p"))
        return f" [Comment: {escape(' '.join(text.split()))}] " if text.strip() else ""

    def _list(self, each: Any, style: str, level: int) -> str:
        style = str(each.get(f"{_TEXT}style-name") or style)
        kind = "ol" if level in self._ordered.get(style, ()) else "ul"
        items = []
        for item in each:
            inner = "".join(self._inner(part) if part.tag == f"{_TEXT}p" and place == 0
                            else self._element(part, style, level + 1) for place, part in enumerate(item))  # fmt: skip
            items.append(f"<li>{inner}</li>")
        return f"<{kind}>{''.join(items)}</{kind}>"

    def _table(self, each: Any) -> str:
        rows = []
        for row in each.iter(f"{_TABLE}table-row"):
            cells = []
            for cell in row:
                if cell.tag in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
                    span = _parse_bounded_int(cell.get(f"{_TABLE}number-columns-spanned"), 1, 1_000)
                    wide = f' colspan="{span}"' if span > 1 else ""
                    if cell.tag == f"{_TABLE}table-cell":
                        cells.append(f"<td{wide}>{self._inner(cell)}</td>")
            rows.append(f"<tr>{''.join(cells)}</tr>")
        return f"<table>{''.join(rows)}</table>"

    def frame(self, each: Any) -> str:
        """Return one image, text box or chart of a frame, which may hold fallbacks for older programs."""
        alt = next((found.text or "" for tag in _TITLES if (found := each.find(tag)) is not None), "")
        chart = each.find(f"{_DRAW}object")
        if chart is not None:
            numbers = self._chart(str(chart.get(_HREF) or ""))
            if numbers:
                return numbers
        if each.find(f"{_TABLE}table") is not None:  # the frame also holds an image of the table
            return self._table(each.find(f"{_TABLE}table"))
        if each.get(f"{_PRESENTATION}class") == "title":  # part of the heading of the slide
            return ""
        pictures = [image for image in each.iterfind(f"{_DRAW}image") if image.get(_HREF)]
        drawings = (".svg", ".svm", ".wmf", ".emf")
        picture = next((image for image in pictures if not str(image.get(_HREF)).endswith(drawings)),
                       pictures[0] if pictures else None)  # fmt: skip
        if picture is not None:
            return f'<img src="{escape(str(picture.get(_HREF)))}" alt="{escape(alt)}">'
        return self._inner(each)

    def _chart(self, href: str) -> str:
        """Return the data of a chart as a table. It lies in an embedded object of the file."""
        folder = posixpath.normpath(href)
        root = None if folder.startswith(("..", "/")) else self._package.xml(f"{folder}/content.xml")
        numbers = None if root is None else next(root.iter(f"{_TABLE}table"), None)
        return "" if numbers is None else f"<p>Chart</p>{self._table(numbers)}"

    def _slide(self, each: Any) -> str:
        hidden = self.is_unseen(each, f"{_DRAW}style-name")
        self.hidden += hidden
        self._slides += 1
        title = _text_of_elements(frame for frame in each if frame.get(f"{_PRESENTATION}class") == "title")
        notes = each.find(f"{_PRESENTATION}notes")
        speaker_notes = _text_of_elements(frame for frame in (() if notes is None else notes)
                         if frame.get(f"{_PRESENTATION}class") not in _OF_PAGE)  # fmt: skip
        head = f"Slide {self._slides}{' (hidden)' if hidden else ''}{f': {title}' if title else ''}"
        return f"<h2>{escape(head)}</h2>{self._inner(each)}" + (
            f"<p>Speaker notes: {escape(speaker_notes)}</p>" if speaker_notes else ""
        )


def _text_of_elements(elements: Iterable[Any]) -> str:
    lines = ("".join(p.itertext()) for each in elements for p in each.iter(f"{_TEXT}p"))
    return " ".join(" ".join(lines).split())


def _parse_bounded_int(text: str | None, least: int, most: int) -> int:
    return min(most, max(least, int(text))) if text and text.isdecimal() and len(text) < 10 else least


# ---- sheets --------------------------------------------------------------------------------------


def _workbook(sheets: Any, writer: _Writer, gallery: ImageCollector, notes: list[str]) -> str:
    blocks, hidden, cells = [], 0, 0
    for sheet in sheets.iter(f"{_TABLE}table"):
        grid = SheetTable(str(sheet.get(f"{_TABLE}name") or ""), writer.is_unseen(sheet, f"{_TABLE}style-name"))
        comments = _fill(sheet, grid, MAX_CELLS - cells)
        hidden += grid.hidden
        cells += grid.cells
        blocks += [grid.to_markdown(), *comments]
        notes += grid.notes()
        for frame in sheet.iter(f"{_DRAW}frame"):
            blocks.append(markdown(writer.frame(frame), gallery, writer.inside)[0])
    if hidden:
        notes.append(f"{with_noun(hidden, 'hidden sheet')} included")
    return "\n\n".join(block for block in blocks if block) if cells or gallery.collected_images else ""


def _fill(sheet: Any, grid: SheetTable, room: int) -> list[str]:
    """Put the rows into the grid; return the comments.

    Repeated empty rows up to the end of the sheet are counted, not created.
    """
    place = 0
    for column in sheet.iter(f"{_TABLE}table-column"):
        times = _parse_bounded_int(column.get(f"{_TABLE}number-columns-repeated"), 1, _MAX_COLUMNS)
        if column.get(f"{_TABLE}visibility") in ("collapse", "filter"):
            grid.hidden_columns |= set(range(place, min(_MAX_COLUMNS, place + times)))
        place += times
    comments, row_place = [], 0
    for row in sheet.iter(f"{_TABLE}table-row"):
        cells, column = list[str](), 0
        times = _parse_bounded_int(row.get(f"{_TABLE}number-rows-repeated"), 1, _MAX_ROWS)
        for cell in row:
            if cell.tag not in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
                continue
            value = _displayed_value(cell)
            repeated = _parse_bounded_int(cell.get(f"{_TABLE}number-columns-repeated"), 1, _MAX_COLUMNS)
            if value:
                if column + repeated > _MAX_COLUMNS:
                    raise InputTooLarge(f"has more than {_MAX_COLUMNS:,} columns", todo="pass the part you need as CSV")
                cells += [""] * (column - len(cells)) + [value] * repeated
            for note in cell.iter(f"{_OFFICE}annotation"):
                text = " ".join(" ".join("".join(p.itertext()) for p in note.iter(f"{_TEXT}p")).split())
                comments.append(f"Comment on {column_name(column)}{row_place + 1}: {text}" if text else "")
            wide = _parse_bounded_int(cell.get(f"{_TABLE}number-columns-spanned"), 1, _MAX_COLUMNS)
            tall = _parse_bounded_int(cell.get(f"{_TABLE}number-rows-spanned"), 1, _MAX_ROWS)
            if (wide > 1 or tall > 1) and value:
                grid.merged.append((row_place, column, row_place + tall - 1, column + wide - 1))
            column += repeated
        unseen = row.get(f"{_TABLE}visibility") in ("collapse", "filter")
        grid.add(cells, times, hidden=unseen, room=room)
        row_place += times
    return comments


def _displayed_value(cell: Any) -> str:
    """Return a value as it is displayed.

    Numbers are shown in full, dates without an empty time, other values as the text of the cell.
    """
    kind, value = cell.get(f"{_OFFICE}value-type"), cell.get(f"{_OFFICE}value")
    if kind in ("float", "percentage", "currency") and value:
        try:
            number = float(value) * (100 if kind == "percentage" else 1)
        except ValueError:
            return str(value)
        unit = "%" if kind == "percentage" else f" {cell.get(f'{_OFFICE}currency') or ''}".rstrip()
        return f"{number:.15g}{unit}"
    if kind == "date" and cell.get(f"{_OFFICE}date-value"):
        return str(cell.get(f"{_OFFICE}date-value")).removesuffix("T00:00:00").replace("T", " ")[:19]
    if kind == "boolean" and cell.get(f"{_OFFICE}boolean-value"):
        return str(cell.get(f"{_OFFICE}boolean-value")).upper()
    words = " ".join("".join(_paragraph_text(each)) for each in cell if each.tag == f"{_TEXT}p")
    return " ".join(words.split())


def _paragraph_text(paragraph: Any) -> Iterator[str]:
    """Yield the text of a paragraph in a cell. Blanks are separate elements in ODF."""
    for each in paragraph.iter():
        if each.tag in (f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break"):
            yield " "
        yield each.text or ""
        if each is not paragraph:
            yield each.tail or ""
