"""Documents of office programs, pages of the web, mails, books, archives, notebooks and plain texts."""

from __future__ import annotations

import io
import json
import re
import zipfile
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from typing import Any

from fidelity import drawn
from fidelity.checks import Check, has, heading, lacks, order, row
from fidelity.samples import GOODS, NAMES, TOWNS, Chance, Made, recipe

HEAD = ("Goods", "Port", "Amount")
_DAY = (2026, 3, 14, 9, 0, 0)


def _goods(chance: Chance, count: int) -> list[tuple[str, str, str]]:
    pairs = zip(chance.some(GOODS, count), chance.some(TOWNS, count), strict=True)
    return [(good, town, chance.money()) for good, town in pairs]


def _words(*some: Sequence[str] | str) -> str:
    return " ".join(each if isinstance(each, str) else " ".join(each) for each in some)


def _packed(files: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive, the same every time; a file called ``mimetype`` is stored as it is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, _DAY)
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


def _saved(save: Callable[[io.BytesIO], Any]) -> bytes:
    """What a library saved, without the time at which it did."""
    out = io.BytesIO()
    save(out)
    with zipfile.ZipFile(out) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name, data in files.items():
        if name.endswith(".xlsx"):
            files[name] = _saved(lambda target, data=data: target.write(data))  # type: ignore[misc]
    return _packed(
        {name: re.sub(rb"20\d\d-\d\d-\d\dT[\d:]+Z", b"2026-03-14T09:00:00Z", data) for name, data in files.items()}
    )


# ---- Word ----------------------------------------------------------------------------------------------


@recipe("office", "report", "docx")
def _report(chance: Chance) -> Made:
    title, section, texts, rows = (
        f"Report {chance.code()}",
        f"Part {chance.code()}",
        chance.sentences(4),
        _goods(chance, 4),
    )
    points = chance.sentences(3)

    def make() -> bytes:
        import docx

        made = docx.Document()
        made.add_heading(title, 1)
        for text in texts[:2]:
            made.add_paragraph(text)
        for point in points:
            made.add_paragraph(point, style="List Bullet")
        made.add_heading(section, 2)
        grid = made.add_table(rows=1 + len(rows), cols=3)
        for place, cells in enumerate([HEAD, *rows]):
            for column, cell in enumerate(cells):
                grid.cell(place, column).text = cell
        for text in texts[2:]:
            made.add_paragraph(text)
        return _saved(made.save)

    checks: list[Check] = [
        heading(title), heading(section), *has(points[1]), row(*rows[0]), row(*rows[3]),
        order(title, texts[0], points[0], section, rows[1][2], texts[3]),
    ]  # fmt: skip
    return Made(make, checks, _words(title, section, texts, points, HEAD, *rows))


@recipe("office", "nested lists and header", "docx")
def _nested(chance: Chance) -> Made:
    outer, inner, head = chance.sentences(2), chance.sentences(2), f"Confidential {chance.code()}"

    def make() -> bytes:
        import docx

        made = docx.Document()
        made.sections[0].header.paragraphs[0].text = head
        for point, deeper in zip(outer, inner, strict=True):
            made.add_paragraph(point, style="List Bullet")
            made.add_paragraph(deeper, style="List Bullet 2")
        return _saved(made.save)

    checks = [*has(head, outer[1], inner[1]), order(outer[0], inner[0], outer[1], inner[1])]
    checks += [Check("indented", (outer[0], inner[0]), aspect="layout")]
    return Made(make, checks, _words(head, outer, inner))


@recipe("office", "merged cells and picture", "docx")
def _merged_word(chance: Chance) -> Made:
    rows, shown = _goods(chance, 3), chance.sentence()
    wide = f"All ports {chance.code()}"

    def make() -> bytes:
        import docx
        from docx.shared import Inches

        made = docx.Document()
        grid = made.add_table(rows=1 + len(rows), cols=3)
        grid.cell(0, 0).merge(grid.cell(0, 2)).text = wide
        for place, cells in enumerate(rows, 1):
            for column, cell in enumerate(cells):
                grid.cell(place, column).text = cell
        page = drawn.Page(1000, 260)
        page.prose(shown, size=34)
        made.add_picture(io.BytesIO(drawn.png(page.image)), width=Inches(6))
        return _saved(made.save)

    return Made(make, [*has(wide, shown), row(*rows[0]), row(*rows[2])], _words(wide, *rows, shown))


# ---- slides and sheets ------------------------------------------------------------------------------------


@recipe("office", "deck", "pptx")
def _deck(chance: Chance) -> Made:
    slides = [(f"Topic {chance.code()}", chance.sentences(2)) for _ in range(3)]
    rows, note = _goods(chance, 3), chance.sentence()

    def make() -> bytes:
        import pptx
        from pptx.util import Inches

        made = pptx.Presentation()
        for place, (title, points) in enumerate(slides):
            slide: Any = made.slides.add_slide(made.slide_layouts[1])
            slide.shapes.title.text = title
            slide.placeholders[1].text = "\n".join(points)
            if place == 1:
                grid = slide.shapes.add_table(3, 3, Inches(1), Inches(4), Inches(7), Inches(2)).table
                for line, cells in enumerate(rows):
                    for column, cell in enumerate(cells):
                        grid.cell(line, column).text = cell
                slide.notes_slide.notes_text_frame.text = note
        return _saved(made.save)

    flat = [text for title, points in slides for text in (title, *points)]
    checks = [*has(note), row(*rows[0]), row(*rows[2]), order(*flat)]
    return Made(make, checks, _words(flat, *rows, note))


@recipe("office", "deck chart and order", "pptx")
def _deck_chart(chance: Chance) -> Made:
    """Boxes entered from right to left, and a chart with its numbers."""
    texts = chance.sentences(3)
    values = [(town, chance.number(100, 999)) for town in chance.some(TOWNS, 4)]

    def make() -> bytes:
        import pptx
        from pptx.chart import data as charts
        from pptx.enum.chart import XL_CHART_TYPE
        from pptx.util import Inches

        made = pptx.Presentation()
        slide = made.slides.add_slide(made.slide_layouts[6])
        for place in (2, 0, 1):
            box = slide.shapes.add_textbox(Inches(0.5), Inches(0.5 + place), Inches(9), Inches(0.8))
            box.text_frame.text = texts[place]
        data: Any = charts.CategoryChartData()  # type: ignore[no-untyped-call]
        data.categories = [name for name, _ in values]
        data.add_series("Tons", [value for _, value in values])
        slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(4), Inches(7), Inches(3), data)
        return _saved(made.save)

    checks = [order(*texts), *has(values[0][0], str(values[0][1]), str(values[3][1]))]
    return Made(make, checks, _words(texts, *((name, str(value)) for name, value in values)))


@recipe("office", "workbook", "xlsx")
def _workbook(chance: Chance) -> Made:
    rows, second = _goods(chance, 8), [(name, chance.code()) for name in chance.some(NAMES, 4)]
    total = chance.money(10_000, 90_000)

    def make() -> bytes:
        import openpyxl

        book = openpyxl.Workbook()
        sheet: Any = book.active
        sheet.title = "Stock"
        for cells in [HEAD, *rows, ("Total", "", total)]:
            sheet.append(cells)
        other = book.create_sheet("Contacts")
        for pair in second:
            other.append(pair)
        return _saved(book.save)

    checks = [row(*rows[0]), row(*rows[7]), row("Total", total), row(*second[3]), *has("Stock", "Contacts")]
    return Made(make, checks, _words("Stock", HEAD, *rows, "Total", total, "Contacts", *second))


@recipe("office", "hidden and merged", "xlsx")
def _hidden(chance: Chance) -> Made:
    """A hidden row and column, whose words may stay or be told of; a formula with its value; dates."""
    rows, wide = _goods(chance, 5), f"Quarter {chance.code()}"
    first, other = chance.number(100, 400), chance.number(500, 900)

    def make() -> bytes:
        import xlsxwriter

        out = io.BytesIO()
        from datetime import UTC, datetime

        book = xlsxwriter.Workbook(out, {"in_memory": True})
        book.set_properties({"created": datetime(2026, 3, 14, tzinfo=UTC)})
        sheet = book.add_worksheet("Quarter")
        sheet.merge_range(0, 0, 0, 2, wide)
        for place, cells in enumerate(rows, 1):
            sheet.write_row(place, 0, cells)
        sheet.set_row(3, None, None, {"hidden": True})
        sheet.write_row(7, 0, ["Sum", first, other])
        sheet.write_formula(7, 3, "=B8+C8", None, first + other)
        sheet.write_datetime(8, 1, datetime(2026, 3, 14), book.add_format({"num_format": "yyyy-mm-dd"}))
        sheet.write(8, 0, "Closed on")
        book.close()
        return _saved(lambda target: target.write(out.getvalue()))

    checks = [
        *has(wide), row(*rows[0]), row(*rows[4]), row("Sum", str(first), str(other), str(first + other)),
        row("Closed on", "2026-03-14"),
    ]  # fmt: skip
    return Made(
        make,
        checks,
        _words(wide, rows[0], rows[1], rows[3], rows[4], "Sum", str(first), str(other), str(first + other)),
    )


# ---- the web and mail ---------------------------------------------------------------------------------------


@recipe("office", "article with menus", "html")
def _article(chance: Chance) -> Made:
    title, texts, rows = f"News {chance.code()}", chance.sentences(6), _goods(chance, 3)
    menu, cookies, foot = f"Menu {chance.code()}", f"Accept cookies {chance.code()}", f"Imprint {chance.code()}"
    address = f"https://example.org/{chance.code().lower()}"

    def make() -> bytes:
        cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in each)}</tr>" for each in [HEAD, *rows])
        body = "".join(f"<p>{text}</p>" for text in texts)
        return (
            f"<!doctype html><html><head><title>{title}</title><style>p {{ color: red }}</style>"
            f"<script>var x = '{menu}';</script></head><body><nav><ul><li><a href='/a'>{menu}</a></li><li>Jobs</li></ul></nav>"
            f"<div class='cookie-banner' id='cookie-consent'><p>{cookies}</p><button>OK</button></div><main><article><h1>{title}</h1>{body}"
            f"<table>{cells}</table><p>See <a href='{address}'>the source</a>.</p></article></main>"
            f"<footer><p>{foot}</p></footer></body></html>"
        ).encode()

    checks = [
        *has(title, texts[0], texts[5], address), row(*rows[0]), row(*rows[2]), *lacks(menu, cookies, foot, "color: red"),
        order(texts[0], texts[3], rows[1][2]),
    ]  # fmt: skip
    return Made(make, checks, _words(title, texts, HEAD, *rows))


@recipe("office", "page of a form", "html")
def _web_list(chance: Chance) -> Made:
    """A page that is no article: definitions, nested lists, a hidden part, entities."""
    pairs = [(f"Key {number}", chance.code()) for number in range(1, 5)]
    hidden, inner, price = f"Secret {chance.code()}", chance.sentence(), chance.money()

    def make() -> bytes:
        terms = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs)
        return (
            f"<html><body><h2>Data sheet</h2><dl>{terms}</dl><div style='display:none'>{hidden}</div>"
            f"<ol><li>First<ul><li>{inner}</li></ul></li></ol><p>Price:&nbsp;&euro;{price}</p></body></html>"
        ).encode()

    flat = [each for pair in pairs for each in pair]
    return Made(make, [*has(inner, f"€{price}"), *lacks(hidden), order(*flat)], _words("Data sheet", flat, inner))


@recipe("office", "mail", "eml")
def _mail(chance: Chance) -> Made:
    sender, to, subject, texts = chance.one(NAMES), chance.one(NAMES), f"Delivery {chance.code()}", chance.sentences(3)
    rows = _goods(chance, 3)

    def make() -> bytes:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = f"{sender} <a@example.org>", f"{to} <b@example.org>", subject
        mail["Date"] = "Sat, 14 Mar 2026 09:00:00 +0000"
        mail.set_content("\n\n".join(texts))
        mail.add_attachment(
            "\n".join(",".join(f'"{cell}"' for cell in each) for each in rows).encode(),
            maintype="text",
            subtype="csv",
            filename="list.csv",
        )
        data = mail.as_bytes()
        return re.sub(rb"={10,}\d+==", b"=============boundary==", data)

    checks = [*has(sender, subject, "14 Mar 2026", *texts[::2]), row(*rows[0]), row(*rows[2])]
    return Made(make, checks, _words(sender, subject, texts, *rows))


# ---- books and OpenDocument -----------------------------------------------------------------------------------

_NAMES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (
        ("office", "office"), ("text", "text"), ("table", "table"), ("style", "style"), ("draw", "drawing"),
        ("presentation", "presentation"), ("svg", "svg-compatible"),
    )
)  # fmt: skip


def _open(kind: str, body: str) -> bytes:
    """A document of LibreOffice."""
    media_type = f"application/vnd.oasis.opendocument.{kind}"
    return _packed(
        {
            "mimetype": media_type,
            "META-INF/manifest.xml": (
                '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
                f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{media_type}"/>'
                '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
            ),
            "content.xml": (
                f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {_NAMES} office:version="1.3">'
                f"<office:body>{body}</office:body></office:document-content>"
            ),
        }
    )


def _grid(name: str, rows: Sequence[Sequence[str]]) -> str:
    def cell(text: str) -> str:
        return f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'

    cells = "".join(f"<table:table-row>{''.join(map(cell, each))}</table:table-row>" for each in rows)
    return f'<table:table table:name="{name}"><table:table-column table:number-columns-repeated="{len(rows[0])}"/>{cells}</table:table>'


@recipe("office", "OpenDocument text", "odt")
def _odt(chance: Chance) -> Made:
    title, texts, points, rows = f"Minutes {chance.code()}", chance.sentences(3), chance.sentences(2), _goods(chance, 3)
    listed = "".join(f"<text:list-item><text:p>{point}</text:p></text:list-item>" for point in points)
    body = (
        f'<office:text><text:h text:outline-level="1">{title}</text:h><text:p>{texts[0]}</text:p><text:list>{listed}</text:list>'
        f"{_grid('Goods', rows)}<text:p>{texts[1]}<text:line-break/>{texts[2]}</text:p></office:text>"
    )
    checks = [
        heading(title),
        *has(points[1], texts[2]),
        row(*rows[0]),
        row(*rows[2]),
        order(title, texts[0], points[0], rows[0][2], texts[1]),
    ]
    return Made(lambda: _open("text", body), checks, _words(title, texts, points, *rows))


@recipe("office", "OpenDocument sheet", "ods")
def _ods(chance: Chance) -> Made:
    rows, second = _goods(chance, 5), [(name, chance.code()) for name in chance.some(NAMES, 3)]
    body = f"<office:spreadsheet>{_grid('Stock', [HEAD, *rows])}{_grid('Contacts', second)}</office:spreadsheet>"
    checks = [row(*rows[0]), row(*rows[4]), row(*second[2]), *has("Contacts")]
    return Made(lambda: _open("spreadsheet", body), checks, _words(HEAD, *rows, *second))


@recipe("office", "OpenDocument slides", "odp")
def _odp(chance: Chance) -> Made:
    slides = [(f"Topic {chance.code()}", chance.sentence()) for _ in range(3)]
    pages = "".join(
        f'<draw:page draw:name="page{number}"><draw:frame presentation:class="title" svg:x="1cm" svg:y="1cm"><draw:text-box><text:p>{title}</text:p>'
        f'</draw:text-box></draw:frame><draw:frame svg:x="1cm" svg:y="5cm"><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame></draw:page>'
        for number, (title, text) in enumerate(slides, 1)
    )
    flat = [each for slide in slides for each in slide]
    body = f"<office:presentation>{pages}</office:presentation>"
    return Made(lambda: _open("presentation", body), [*has(flat[1], flat[5]), order(*flat)], _words(flat))


@recipe("office", "book", "epub")
def _book(chance: Chance) -> Made:
    """Three chapters, whose files are named in another order than they are read in."""
    title = f"The Harbour {chance.code()}"
    chapters = [(f"Chapter {chance.code()}", chance.sentences(4)) for _ in range(3)]
    names = ("z.xhtml", "a.xhtml", "m.xhtml")
    container = (
        '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    items = "".join(
        f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(names)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(names)))
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title><dc:identifier id="id">x</dc:identifier>'
        f"<dc:language>en</dc:language></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    files: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container,
        "OEBPS/content.opf": package,
    }
    for name, (head, texts) in sorted(zip(names, chapters, strict=True)):
        body = "".join(f"<p>{text}</p>" for text in texts)
        files[f"OEBPS/{name}"] = (
            '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head>'
            f"<body><h1>{head}</h1>{body}</body></html>"
        )
    flat = [each for head, texts in chapters for each in (head, *texts)]
    checks = [*has(flat[2], flat[7], flat[14]), order(flat[0], flat[5], flat[10], flat[14]), heading(flat[5])]
    return Made(lambda: _packed(files), checks, _words(flat))


@recipe("office", "rich text", "rtf")
def _rtf(chance: Chance) -> Made:
    texts, number = chance.sentences(4), chance.number(100, 999)
    umlauts = f"Prüfung von {number} Fässern in Lübeck"
    coded = "".join(char if ord(char) < 128 else f"\\'{ord(char):02x}" for char in umlauts)
    body = "\\par\n".join([f"{{\\b {texts[0]}}}", *texts[1:], coded])
    data = f"{{\\rtf1\\ansi\\ansicpg1252\\deff0{{\\fonttbl{{\\f0 Arial;}}}}{{\\info{{\\author Nobody}}}}\\f0\\fs24 {body}\\par}}"
    return Made(
        lambda: data.encode("ascii"),
        [*has(texts[0], texts[3], umlauts), order(*texts), *lacks("fonttbl", "Nobody")],
        _words(texts, umlauts),
    )


# ---- archives, notebooks, tables, drawings and plain texts -------------------------------------------------------


@recipe("office", "archive", "zip")
def _archive(chance: Chance) -> Made:
    note, rows, page = chance.sentences(2), _goods(chance, 3), chance.sentences(3)

    def make() -> bytes:
        from fidelity.paper import _canvas, _lines

        table = "\n".join(",".join(f'"{cell}"' for cell in each) for each in rows)
        return _packed(
            {"notes/readme.txt": "\n".join(note), "list.csv": table, "page.pdf": _canvas(lambda c: _lines(c, page))}
        )

    return Made(
        make, [*has(note[1], page[0], page[2], "list.csv"), row(*rows[0]), row(*rows[2])], _words(note, *rows, page)
    )


@recipe("office", "notebook", "ipynb")
def _notebook(chance: Chance) -> Made:
    text, result = chance.sentence(), chance.number(1_000, 9_999)
    code = f"weights = [3, 4, 5]\nfor weight in weights:\n    print(weight * {chance.number(100, 900)})"
    picture = b64encode(drawn.png(drawn.Page(200, 100).image)).decode()
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Weights\n", text]},
        {
            "cell_type": "code", "execution_count": 1, "metadata": {}, "source": code.splitlines(keepends=True),
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": [f"{result}\n"]},
                {"output_type": "display_data", "metadata": {}, "data": {"image/png": picture, "text/plain": ["<Figure>"]}},
            ],
        },
    ]  # fmt: skip
    data = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()
    checks = [
        *has(text, str(result)), order("Weights", text, "for weight in weights", str(result)), *lacks(picture[:40], "nbformat_minor"),
        Check("indented", (code.splitlines()[1], code.splitlines()[2]), aspect="layout"),
    ]  # fmt: skip
    return Made(lambda: data, checks, _words("Weights", text, str(result)))


@recipe("office", "table of text", "csv")
def _csv(chance: Chance) -> Made:
    rows = _goods(chance, 12)
    data = "\r\n".join(";".join(each) for each in [HEAD, *rows]).encode("utf-8-sig")
    return Made(lambda: data, [row(*rows[0]), row(*rows[6]), row(*rows[11])], _words(HEAD, *rows))


@recipe("office", "drawing", "svg")
def _svg(chance: Chance) -> Made:
    texts = [f"Gate {chance.code()}" for _ in range(4)]
    shapes = "".join(
        f'<rect x="20" y="{30 + 70 * n}" width="300" height="50" fill="#cde"/><text x="30" y="{62 + 70 * n}" font-size="24">{text}</text>'
        for n, text in enumerate(texts)
    )
    data = f'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="330">{shapes}</svg>'.encode()
    return Made(lambda: data, [*has(texts[0], texts[3]), order(*texts)], _words(texts))


@recipe("office", "old encoding", "txt")
def _latin(chance: Chance) -> Made:
    number = chance.number(100, 999)
    texts = [
        f"Die Prüfung der {number} Fässer verzögert sich.",
        "Größe und Gewicht stehen auf dem Brief.",
        "Le réglement a été envoyé.",
    ]
    return Made(lambda: "\r\n".join(texts).encode("cp1252"), has(*texts), _words(texts))


@recipe("office", "Markdown", "md")
def _markdown(chance: Chance) -> Made:
    title, text, rows = f"Notes {chance.code()}", chance.sentence(), _goods(chance, 3)
    table = "\n".join(["| " + " | ".join(each) + " |" for each in [HEAD, ("---",) * 3, *rows]])
    return Made(
        lambda: f"# {title}\n\n{text}\n\n{table}\n".encode(),
        [heading(title), *has(text), row(*rows[2])],
        _words(title, text, *rows),
    )
