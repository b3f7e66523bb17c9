"""Real documents with known contents, made in memory by the libraries people make them with."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
from docx.shared import Inches
from openpyxl.comments import Comment
from openpyxl.drawing.image import Image as SheetImage
from PIL import Image, ImageDraw
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches as SlideInches

SALES = [("Quarter", "Region", "Units"), ("Q1", "North", "118"), ("Q2", "North", "342"), ("Q3", "South", "57")]


def picture(text: str = "", *, size: tuple[int, int] = (240, 120), colour: str = "white", form: str = "PNG") -> bytes:
    """An image; with ``text`` in letters large enough to be read."""
    image = Image.new("RGB", size, colour)
    if text:
        ImageDraw.Draw(image).text((10, size[1] // 3), text, fill="black", font_size=size[1] // 3)
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def word(*pictures: bytes, table: bool = True, comment: str = "", header: str = "") -> bytes:
    """A report: heading, sentence, table of ``SALES``, each image in a paragraph of its own."""
    made = docx.Document()
    made.add_heading("Harbour report", 1)
    paragraph = made.add_paragraph("The crane is called Brunhilde. It was built in 1974.")
    made.add_paragraph("first", style="List Bullet")
    if comment:
        made.add_comment(paragraph.runs, text=comment, author="Ann", initials="A")
    if header:
        made.sections[0].header.paragraphs[0].text = header
    if table:
        grid = made.add_table(rows=len(SALES), cols=3)
        for row, values in enumerate(SALES):
            for column, value in enumerate(values):
                grid.cell(row, column).text = value
    for each in pictures:
        made.add_picture(io.BytesIO(each), width=Inches(2))
    return _saved(made.save)


def lists(*lines: tuple[str, str]) -> bytes:
    """A document of paragraphs: (style, words)."""
    made = docx.Document()
    for style, words in lines:
        made.add_paragraph(words, style=style)
    return _saved(made.save)


def slides(*pictures: bytes, notes: str = "", hidden: bool = False, chart: bool = False) -> bytes:
    """Two slides: a list with a table, and the images."""
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Tides"
    first.placeholders[1].text = "High water at noon"
    grid = first.shapes.add_table(2, 2, SlideInches(1), SlideInches(4), SlideInches(4), SlideInches(1)).table
    for place, value in enumerate(("Port", "Depth", "Emden", "9.5 m")):
        grid.cell(place // 2, place % 2).text = value
    if notes:
        first.notes_slide.notes_text_frame.text = notes
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Pictures"
    for place, each in enumerate(pictures):
        second.shapes.add_picture(io.BytesIO(each), SlideInches(1), SlideInches(2 + place), SlideInches(1))
    if chart:
        data = CategoryChartData()  # type: ignore[no-untyped-call]
        data.categories = ["2024", "2025"]
        data.add_series("Ships", (410, 377))  # type: ignore[no-untyped-call]
        box = (SlideInches(1), SlideInches(2), SlideInches(4), SlideInches(3))
        second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *box, data)
    if hidden:
        second._element.set("show", "0")
    return _saved(deck.save)


def workbook(*pictures: bytes, secret: bool = False, comment: str = "", rows: int = 0) -> bytes:
    """A sheet "Sales" of ``SALES``, with a share, a date and a formula nobody calculated; perhaps a hidden sheet."""
    import datetime

    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "Sales"
    for values in SALES:
        sheet.append([int(value) if value.isdigit() else value for value in values])
    sheet["E2"] = 0.25
    sheet["E2"].number_format = "0%"
    sheet["F2"] = datetime.datetime(2026, 3, 14)
    sheet["C5"] = "=SUM(C2:C4)"
    for number in range(rows):
        sheet.append([f"row {number}", number])
    if comment:
        sheet["C3"].comment = Comment(comment, "Ann")
    for place, each in enumerate(pictures):
        sheet.add_image(SheetImage(io.BytesIO(each)), f"H{2 + 10 * place}")
    if secret:
        other = book.create_sheet("Margins")
        other.append(["margin", 0.5])
        other.sheet_state = "hidden"
    return _saved(book.save)


def hiding_workbook() -> bytes:
    """``SALES`` with a hidden row, a hidden column and cells that are shown as one."""
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "Sales"
    for values in SALES:
        sheet.append(values)
    sheet["A7"] = "merged head"
    sheet.merge_cells("A7:C7")
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["B"].hidden = True
    return _saved(book.save)


def mail(
    body: str = "The ship leaves at six.", *, page: str = "", files: dict[str, tuple[bytes, str]] | None = None
) -> bytes:
    """A mail; ``files`` are attached: name -> (bytes, media type)."""
    made = EmailMessage()
    made["From"] = "Ann Oakley <ann@example.org>"
    made["To"] = "Ben <ben@example.org>"
    made["Date"] = "Sat, 14 Mar 2026 09:00:00 +0000"
    made["Subject"] = "Überfahrt nach Rømø"
    made["Message-ID"] = "<1@example.org>"
    if body:
        made.set_content(body)
    if page:
        (made.add_alternative if body else made.set_content)(page, subtype="html")
    for name, (data, media_type) in (files or {}).items():
        kind, _, subtype = media_type.partition("/")
        made.add_attachment(data, maintype=kind, subtype=subtype, filename=name)
    return made.as_bytes()


def saved_page(page: str, *, pictures: dict[str, bytes] | None = None, sheet: str = "") -> bytes:
    """A page as Chromium saves it: with its style sheet, and with images by their addresses."""
    made = EmailMessage()
    made["From"] = "<Saved by Blink>"
    made["Snapshot-Content-Location"] = "https://example.org/notices/today"
    made["Subject"] = "Notice"
    made["MIME-Version"] = "1.0"
    root = EmailMessage()
    root.set_content(page, subtype="html", cte="quoted-printable")
    root["Content-ID"] = "<frame-1@mhtml.blink>"
    root["Content-Location"] = "https://example.org/notices/today"
    css = EmailMessage()
    css.set_content(sheet, subtype="css", cte="quoted-printable")
    css["Content-Location"] = "cid:css-1@mhtml.blink"
    parts = [root, css]
    for place, data in (pictures or {}).items():
        part = EmailMessage()
        part.set_content(data, maintype="image", subtype="png")
        part["Content-Location"] = place
        parts.append(part)
    made["Content-Type"] = 'multipart/related; type="text/html"; boundary="----MultipartBoundary--x----"'
    for part in parts:
        made.attach(part)
    return made.as_bytes()


def packed(members: dict[str, bytes | str]) -> bytes:
    """A ZIP of members in the order given; one called ``mimetype`` is stored, as OpenDocument and books want it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data, zipfile.ZIP_STORED if name == "mimetype" else None)
    return out.getvalue()


_PARTS = "http://schemas.openxmlformats.org/package/2006"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_DRAWN = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    f'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:r="{_RELATIONS}"'
)


def slides_alone(*slides: str, title: bool = True) -> dict[str, bytes | str]:
    """The members of a presentation that a script wrote: no layouts, masters, theme, styles or properties.

    Each slide has a title, if it is to be one, and a line below it; shapes have neither places nor outlines.
    """
    override = (
        '<Override PartName="{}" ContentType="application/vnd.openxmlformats-officedocument.presentationml.{}+xml"/>'
    )
    kinds = [override.format("/ppt/presentation.xml", "presentation.main")]
    kinds += [override.format(f"/ppt/slides/slide{number}.xml", "slide") for number in range(1, len(slides) + 1)]
    listed = "".join(f'<p:sldId id="{255 + number}" r:id="r{number}"/>' for number in range(1, len(slides) + 1))
    made: dict[str, bytes | str] = {
        "[Content_Types].xml": f'<Types xmlns="{_PARTS}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
        f'"application/xml"/>{"".join(kinds)}</Types>',
        "_rels/.rels": _related({"r1": ("officeDocument", "ppt/presentation.xml")}),
        "ppt/presentation.xml": f"<p:presentation {_DRAWN}><p:sldIdLst>{listed}</p:sldIdLst>"
        '<p:notesSz cx="1" cy="1"/></p:presentation>',
        "ppt/_rels/presentation.xml.rels": _related(
            {f"r{number}": ("slide", f"slides/slide{number}.xml") for number in range(1, len(slides) + 1)}
        ),
    }
    for number, words in enumerate(slides, 1):
        shapes = "".join(
            f'<p:sp><p:nvSpPr><p:cNvPr id="{place}" name=""/><p:cNvSpPr/><p:nvPr>'
            f"{'<p:ph type=' + chr(34) + 'title' + chr(34) + '/>' if title and place == 2 else ''}</p:nvPr></p:nvSpPr>"
            f"<p:spPr/><p:txBody><a:bodyPr/><a:p><a:r><a:t>{line}</a:t></a:r></a:p></p:txBody></p:sp>"
            for place, line in enumerate(words.split("|"), 2)
        )
        made[f"ppt/slides/slide{number}.xml"] = (
            f'<p:sld {_DRAWN}><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/>'
            f"</p:nvGrpSpPr><p:grpSpPr/>{shapes}</p:spTree></p:cSld></p:sld>"
        )
    return made


def _related(parts: dict[str, tuple[str, str]]) -> str:
    rows = (
        f'<Relationship Id="{each}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for each, (kind, target) in parts.items()
    )
    return f'<Relationships xmlns="{_PARTS}/relationships">{"".join(rows)}</Relationships>'


OPEN_DOCUMENT = (
    '<?xml version="1.0" encoding="UTF-8"?><office:document-content'
    ' xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
    ' xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.3"><office:body>{}</office:body>'
    "</office:document-content>"
)


def open_document(body: str, kind: str = "text") -> bytes:
    """An OpenDocument file of ``kind`` whose body is this markup."""
    content = OPEN_DOCUMENT.format(f"<office:{kind}>{body}</office:{kind}>")
    return packed({"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": content})


def book(*pictures: bytes, members: dict[str, bytes | str] | None = None) -> bytes:
    """An EPUB of two chapters, whose reading order is not that of their names."""
    items = "".join(f'<item id="p{at}" href="img/{at}.png" media-type="image/png"/>' for at in range(len(pictures)))
    shown = "".join(f'<img src="../img/{at}.png" alt="plate"/>' for at in range(len(pictures)))
    head = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Whole book</title></head><body>'
    return packed({
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<metadata><dc:title>Tides</dc:title><dc:creator>Ann Oakley</dc:creator></metadata><manifest>"
        '<item id="a" href="text/a.xhtml" media-type="application/xhtml+xml"/>'
        f'<item id="b" href="text/b%201.xhtml" media-type="application/xhtml+xml"/>{items}</manifest>'
        '<spine><itemref idref="b"/><itemref idref="a"/></spine></package>',
        "OEBPS/text/a.xhtml": f"<!DOCTYPE html>{head}<h1>Second</h1><p>The ferry left at noon.</p>{shown}</body>",
        "OEBPS/text/b 1.xhtml": f"{head}<h1>First</h1><p>It was a cold morning.</p></body></html>",
        **{f"OEBPS/img/{at}.png": data for at, data in enumerate(pictures)},
        **(members or {}),
    })  # fmt: skip


def notebook(*cells: dict[str, Any]) -> bytes:
    """A Jupyter notebook of these cells."""
    made = {"cells": list(cells), "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(made).encode()


def outlook(subject: str, body: str, files: dict[str, Any], *, rtf: bytes = b"") -> bytes:
    """An Outlook message (MS-OXMSG) in a compound file (MS-CFB), written by hand: no library here makes one.

    A file that is a tuple is an attached message: its subject, body and files. ``rtf``: a compressed body.
    """
    return _compound(_message(32, subject, body, files, rtf))


def _message(head: int, subject: str, body: str, files: dict[str, Any], rtf: bytes = b"") -> dict[str, Any]:
    def text(pid: int, value: str) -> tuple[int, int, bytes]:
        return pid, 0x001F, value.encode("utf-16-le")

    def storage(head: int, properties: list[tuple[int, int, bytes]]) -> dict[str, Any]:
        rows = b"".join(struct.pack("<HHIII", kind, pid, 6, len(value) + 2, 0) for pid, kind, value in properties)
        streams = {f"__substg1.0_{pid:04X}{kind:04X}": value for pid, kind, value in properties}
        return {**streams, "__properties_version1.0": bytes(head) + rows}

    said = [text(0x1000, body)] if body else []
    packed = [(0x1009, 0x0102, rtf)] if rtf else []
    root = storage(head, [text(0x0037, subject), text(0x0C1A, "Ann"), text(0x0C1F, "ann@example.org"), *said, *packed])
    for place, (name, data) in enumerate(files.items()):
        held = [] if isinstance(data, tuple) else [(0x3701, 0x0102, data)]
        made = root[f"__attach_version1.0_#{place:08X}"] = storage(8, [text(0x3707, name), *held])
        if isinstance(data, tuple):
            made["__substg1.0_3701000D"] = _message(24, *data)
    return root


class _Sectors:
    """Bytes in sectors of one size, with the chain that leads from each to the next."""

    def __init__(self, size: int) -> None:
        self.size, self.body, self.chain = size, b"", list[int]()

    def put(self, data: bytes) -> int:
        """The first sector of these bytes."""
        first, count = len(self.chain), -(-len(data) // self.size)
        self.chain += [*range(first + 1, first + count), -2] if count else []
        self.body += data.ljust(count * self.size, b"\0")
        return first if count else -2


def _compound(root: dict[str, Any]) -> bytes:
    """Storages are dicts, streams bytes; those under 4,096 bytes lie in a stream of small sectors."""
    entries: list[list[Any]] = [["Root Entry", 5, -1, -1, -2, 0]]  # name, type, next, child, sector, size
    large, small = _Sectors(512), _Sectors(64)

    def add(parent: int, inside: dict[str, Any]) -> None:
        before = -1
        for name, value in inside.items():
            place = len(entries)
            if isinstance(value, dict):
                entries.append([name, 1, -1, -1, 0, 0])
                add(place, value)
            else:
                entries.append([name, 2, -1, -1, (large if len(value) >= 4096 else small).put(value), len(value)])
            entries[parent if before < 0 else before][3 if before < 0 else 2] = place
            before = place

    add(0, root)
    entries[0][4:] = [large.put(small.body), len(small.body)]
    mini = large.put(struct.pack(f"<{len(small.chain)}i", *small.chain))
    directory = b""
    for name, kind, following, child, sector, size in entries:
        title = name.encode("utf-16-le") + b"\0\0"
        directory += title.ljust(64, b"\0") + struct.pack("<HBBiii", len(title), kind, 1, -1, following, child)
        directory += bytes(36) + struct.pack("<iQ", sector, size)
    first = large.put(directory)
    count = -(-(len(large.chain) + 8) // 128)
    table = [*large.chain, *[-3] * count]
    places = range(len(large.chain), len(large.chain) + count)
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIiIIiIiI", 0, count, first, 0, 4096, mini, -(-len(small.chain) // 128), -2, 0)
    head += struct.pack("<109i", *places, *[-1] * (109 - count))
    return head + large.body + struct.pack(f"<{128 * count}i", *table, *[-1] * (128 * count - len(table)))


def _saved(save: Any) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


def written(folder: Path, name: str, data: bytes) -> str:
    """A file of these bytes; its path."""
    (folder / name).write_bytes(data)
    return str(folder / name)


def with_outside_picture(data: bytes) -> bytes:
    """A Word document whose images are only pointed at."""
    import re
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            body = old.read(member)
            if member.filename == "word/_rels/document.xml.rels":
                body = re.sub(
                    rb'Target="media/[^"]+"', b'Target="http://127.0.0.1:9/a.png" TargetMode="External"', body
                )
            if member.filename == "word/document.xml":
                body = body.replace(b"r:embed=", b"r:link=")
            new.writestr(member, body)
    return out.getvalue()
