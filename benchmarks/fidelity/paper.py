"""PDFs: tables, columns, lists, forms, charts, layers of text that are wrong, scans."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from fidelity import drawn
from fidelity.checks import Check, has, heading, lacks, order, read_or_told, row, share_of
from fidelity.samples import GOODS, NAMES, TOWNS, Chance, Made, recipe

WIDTH, HEIGHT = 595, 842


def _canvas(draw: Callable[[Any], None], **options: Any) -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(WIDTH, HEIGHT), invariant=True, **options)
    canvas.setFont("Helvetica", 11)
    draw(canvas)
    canvas.save()
    return out.getvalue()


def _lines(canvas: Any, lines: Sequence[str], left: float = 60, top: float = 780, gap: float = 16) -> None:
    for number, line in enumerate(lines):
        canvas.drawString(left, top - gap * number, line)


def _wrapped(text: str, width: float, size: float = 11, font: str = "Helvetica") -> list[str]:
    from reportlab.lib.utils import simpleSplit

    return list(simpleSplit(text, font, size, width))


def _goods(chance: Chance, count: int) -> list[tuple[str, str, str, str]]:
    return [
        (good, town, str(chance.number(12, 980)), chance.money())
        for good, town in zip(chance.some(GOODS, count), chance.some(TOWNS, count), strict=True)
    ]


HEAD = ("Goods", "Port", "Units", "Amount")


def _rows_of(rows: Sequence[Sequence[str]], count: int) -> list[Check]:
    step = max(1, len(rows) // count)
    return [row(*cells) for cells in list(rows)[::step][:count]]


def _words(*some: Sequence[str] | str) -> str:
    return " ".join(each if isinstance(each, str) else " ".join(each) for each in some)


# ---- tables -------------------------------------------------------------------------------------------


@recipe("pdf", "letter", "pdf")
def _letter(chance: Chance) -> Made:
    lines = [chance.one(NAMES), chance.date(), f"Reference {chance.code()}", *chance.sentences(12)]
    return Made(
        lambda: _canvas(lambda c: _lines(c, lines)),
        [*has(lines[2], lines[5], lines[14]), order(lines[0], lines[4], lines[9], lines[14])],
        _words(lines),
    )


@recipe("pdf", "hidden words", "pdf")
def _hidden(chance: Chance) -> Made:
    """Words in the colour of the paper, and words of half a point, between those that are seen."""
    lines, hidden = chance.sentences(10), chance.sentences(2)

    def draw(canvas: Any) -> None:
        _lines(canvas, lines)
        canvas.setFillGray(1)
        canvas.drawString(60, 500, hidden[0])
        canvas.setFillGray(0)
        canvas.setFont("Helvetica", 0.5)
        canvas.drawString(60, 480, hidden[1])
        canvas.rect(55, 440, 400, 20, stroke=0, fill=1)
        canvas.setFont("Helvetica", 11)
        canvas.setFillGray(1)
        canvas.drawString(60, 446, "Notes of the week")

    shown = has(lines[0], lines[9], "Notes of the week")
    return Made(lambda: _canvas(draw), [*shown, *lacks(*hidden)], _words(lines))


@recipe("pdf", "table ruled", "pdf")
def _ruled(chance: Chance) -> Made:
    rows = _goods(chance, 9)
    title, after = f"Shipments {chance.code()}", chance.sentence()

    def draw(canvas: Any) -> None:
        from reportlab.platypus import Table

        canvas.drawString(60, 790, title)
        table = Table([HEAD, *rows], colWidths=(140, 120, 80, 100))
        table.setStyle([("GRID", (0, 0), (-1, -1), 0.5, (0, 0, 0)), ("ALIGN", (2, 0), (-1, -1), "RIGHT")])
        table.wrapOn(canvas, 500, 600)
        table.drawOn(canvas, 60, 560)
        canvas.drawString(60, 520, after)

    return Made(
        lambda: _canvas(draw), [*_rows_of(rows, 4), order(title, rows[0][3], after)], _words(title, HEAD, *rows, after)
    )


@recipe("pdf", "table by columns", "pdf")
def _by_columns(chance: Chance) -> Made:
    """Without rules, and written column by column, as many programs of accountants do."""
    rows = _goods(chance, 8)

    def draw(canvas: Any) -> None:
        for column, left in enumerate((60, 210, 380, 500)):
            for number, cells in enumerate([HEAD, *rows]):
                put = canvas.drawRightString if column > 1 else canvas.drawString
                put(left, 760 - 18 * number, cells[column])

    return Made(lambda: _canvas(draw), _rows_of(rows, 5), _words(HEAD, *rows))


@recipe("pdf", "table wrapped", "pdf")
def _wrapped_cells(chance: Chance) -> Made:
    """Cells of several lines beside cells of one."""
    rows = [(name, chance.sentence(), chance.money()) for name in chance.some(NAMES, 4)]

    def draw(canvas: Any) -> None:
        top = 770.0
        for name, what, amount in rows:
            lines = _wrapped(what, 190)
            canvas.drawString(60, top, name)
            _lines(canvas, lines, left=200, top=top, gap=14)
            canvas.drawRightString(500, top, amount)
            top -= 14 * len(lines) + 12
            canvas.line(55, top + 10, 505, top + 10)

    checks: list[Check] = [row(name, what.split()[0], amount) for name, what, amount in rows[:2]]
    return Made(
        lambda: _canvas(draw),
        [*checks, *has(rows[0][1], rows[2][1]), order(*(each[0] for each in rows))],
        _words(*rows),
    )


@recipe("pdf", "table wrapped without rules", "pdf")
def _wrapped_alone(chance: Chance) -> Made:
    """Cells of several lines and no rule or space between rows: the first line of each cell tells where one begins."""
    rows = [(name, chance.sentence(), chance.money()) for name in chance.some(NAMES, 6)]

    def draw(canvas: Any) -> None:
        top = 770.0
        for name, what, amount in [("Name", "What was done", "Amount"), *rows]:
            lines = _wrapped(what, 190)
            canvas.drawString(60, top, name)
            _lines(canvas, lines, left=200, top=top, gap=14)
            canvas.drawRightString(500, top, amount)
            top -= 14 * len(lines)

    return Made(lambda: _canvas(draw), _rows_of(rows, 6), _words(*rows))


@recipe("pdf", "invoice", "pdf")
def _invoice(chance: Chance) -> Made:
    items, number, total = _goods(chance, 4), f"INV-{chance.number(10_000, 99_999)}", chance.money(10_000, 99_999)
    fields = [("Invoice number", number), ("Customer", chance.one(NAMES)), ("Due date", chance.date())]

    def draw(canvas: Any) -> None:
        for place, (name, _) in enumerate(fields):
            canvas.drawString(330, 780 - 18 * place, name)
        for place, (_, value) in enumerate(fields):
            canvas.drawRightString(540, 780 - 18 * place, value)
        for place, cells in enumerate(items):
            for left, cell in zip((60, 220), cells, strict=False):
                canvas.drawString(left, 660 - 18 * place, cell)
            canvas.drawRightString(420, 660 - 18 * place, cells[2])
            canvas.drawRightString(540, 660 - 18 * place, cells[3])
        canvas.setFont("Helvetica-Bold", 12)
        canvas.drawString(330, 560, "Total due")
        canvas.drawRightString(540, 560, f"EUR {total}")

    checks = [row(*pair) for pair in fields] + [row("Total due", total), *_rows_of(items, 2)]
    return Made(lambda: _canvas(draw), checks, _words(*fields, *items, "Total due EUR", total))


@recipe("pdf", "table over pages", "pdf")
def _long_table(chance: Chance) -> Made:
    rows = [(chance.code(), chance.one(GOODS), chance.money()) for _ in range(80)]

    def draw(canvas: Any) -> None:
        for number, cells in enumerate(rows):
            if number and number % 40 == 0:
                canvas.showPage()
                canvas.setFont("Helvetica", 11)
            for left, cell in zip((60, 200), cells, strict=False):
                canvas.drawString(left, 790 - 18 * (number % 40), cell)
            canvas.drawRightString(480, 790 - 18 * (number % 40), cells[2])

    return Made(
        lambda: _canvas(draw),
        [*_rows_of(rows, 5), order(rows[0][0], rows[39][0], rows[40][0], rows[79][0])],
        _words(*rows),
    )


# ---- the order of prose -------------------------------------------------------------------------------


@recipe("pdf", "two columns", "pdf")
def _two_columns(chance: Chance) -> Made:
    """Two columns, written line by line across the page."""
    left, right = chance.sentences(14), chance.sentences(14)

    def draw(canvas: Any) -> None:
        sides = [_wrapped(" ".join(side), 220, 10) for side in (left, right)]
        canvas.setFont("Helvetica", 10)
        for number in range(max(map(len, sides))):
            for side, at in zip(sides, (60, 310), strict=True):
                if number < len(side):
                    canvas.drawString(at, 780 - 13 * number, side[number])

    checks = [order(left[0], left[6], left[13], right[0], right[13]), *has(left[5], right[5], right[9])]
    return Made(lambda: _canvas(draw), checks, _words(left, right))


@recipe("pdf", "newspaper", "pdf")
def _newspaper(chance: Chance) -> Made:
    columns = [chance.sentences(9) for _ in range(3)]
    title = f"Harbour news {chance.code()}"

    def draw(canvas: Any) -> None:
        canvas.setFont("Times-Roman", 10)
        for place in (2, 0, 1):  # as layout programs write their frames: in no order
            lines = _wrapped(" ".join(columns[place]), 145, 10, "Times-Roman")
            _lines(canvas, lines, left=50 + 170 * place, top=720, gap=12)
        canvas.setFont("Times-Bold", 24)
        canvas.drawString(50, 760, title)

    flat = [each for column in columns for each in column]
    checks = [
        order(title, flat[0]),
        order(flat[0], flat[8], flat[9], flat[17], flat[18], flat[26]),
        *has(flat[4], flat[22]),
    ]
    return Made(lambda: _canvas(draw), checks, _words(title, flat))


@recipe("pdf", "headings and lists", "pdf")
def _lists(chance: Chance) -> Made:
    title, points, steps = f"Manual {chance.code()}", chance.sentences(3), chance.sentences(3)
    broken = f"In total {chance.number(1000, 9000)} con-"

    def draw(canvas: Any) -> None:
        canvas.setFont("Helvetica-Bold", 20)
        canvas.drawString(60, 780, title)
        canvas.setFont("Helvetica", 11)
        _lines(canvas, [f"\N{BULLET} {point}" for point in points], left=80, top=740)
        _lines(canvas, [f"{number}. {step}" for number, step in enumerate(steps, 1)], left=80, top=660)
        _lines(canvas, [broken, "tainers were moved."], top=580)

    checks = [
        *has(points[1], broken.removesuffix("-") + "tainers were moved"),
        order(title, points[0], points[2], steps[0], steps[2]),
        row("2.", steps[1]),
        row(points[2].split()[0], points[2].split()[-1]),
        heading(title),
    ]
    return Made(lambda: _canvas(draw), checks, _words(title, points, steps))


@recipe("pdf", "links form notes", "pdf")
def _extras(chance: Chance) -> Made:
    code, note, value = chance.code(), chance.sentence(), chance.code()
    address, text = f"https://example.org/{code.lower()}/terms", chance.sentence()

    def draw(canvas: Any) -> None:
        _lines(canvas, [text, "Read the terms here.", "Customer code:"], gap=40)
        canvas.linkURL(address, (60, 735, 180, 752), relative=0)
        canvas.acroForm.textfield(name="customer", value=value, x=180, y=690, width=120, height=20)
        canvas.textAnnotation(note, (400, 700, 420, 720))

    return Made(
        lambda: _canvas(draw),
        [*has(text, address, value, note)],
        _words(text, "Read the terms here. Customer code:", value),
    )


@recipe("pdf", "many pages", "pdf")
def _many(chance: Chance) -> Made:
    pages = [chance.sentences(8) for _ in range(16)]

    def draw(canvas: Any) -> None:
        for number, page in enumerate(pages, 1):
            canvas.setFont("Helvetica", 11)
            _lines(canvas, page)
            canvas.drawString(280, 40, f"Sheet {number} of 16")
            canvas.showPage()

    flat = [each for page in pages for each in page]
    checks = [*has(pages[0][0], pages[7][3], pages[15][7]), order(pages[0][0], pages[5][0], pages[10][0], pages[15][7])]
    return Made(lambda: _canvas(draw), checks, _words(flat))


# ---- figures ------------------------------------------------------------------------------------------


def _bars(values: Sequence[tuple[str, str]]) -> drawn.Page:
    page = drawn.Page(900, 560)
    for place, (name, value) in enumerate(values):
        high = round(float(value.replace(",", "")) / 10_000 * 340)
        left = 90 + place * 160
        page.pen.rectangle((left, 460 - high, left + 90, 460), fill=(60, 110, 170))
        page.pen.text((left, 430 - high), value, fill="black", font=drawn.font("plain", 24))
        page.pen.text((left, 474), name, fill="black", font=drawn.font("plain", 24))
    page.top = 470
    return page


@recipe("pdf", "chart drawn", "pdf")
def _chart(chance: Chance) -> Made:
    values = [(town, chance.money(2_000, 9_800)) for town in chance.some(TOWNS, 5)]
    text = chance.sentence()

    def draw(canvas: Any) -> None:
        canvas.drawString(60, 790, text)
        for place, (name, value) in enumerate(values):
            left, high = 70 + 95 * place, float(value.replace(",", "")) / 40
            canvas.setFillGray(0.6)
            canvas.rect(left, 300, 60, high, fill=1)
            canvas.setFillGray(0)
            canvas.drawString(left, 305 + high, value)
            canvas.drawString(left, 284, name)

    return Made(lambda: _canvas(draw), has(text, values[0][1], values[4][1], values[2][0]), _words(text, *values))


def _with_picture(text: Sequence[str], image: Callable[[], Any]) -> bytes:
    def draw(canvas: Any) -> None:
        from reportlab.lib.utils import ImageReader

        _lines(canvas, text)
        canvas.drawImage(ImageReader(image()), 60, 250, width=450, height=290)

    return _canvas(draw)


@recipe("pdf", "chart as picture", "pdf")
def _pictured(chance: Chance) -> Made:
    values, text = [(town, chance.money(2_000, 9_800)) for town in chance.some(TOWNS, 5)], chance.sentences(8)
    return Made(
        lambda: _with_picture(text, lambda: _bars(values).image),
        has(text[3], text[7], values[0][1], values[3][1], values[4][0]),
        _words(text, *values),
    )


@recipe("pdf", "screenshot in a report", "pdf")
def _screenshot(chance: Chance) -> Made:
    text, shown = chance.sentences(14), chance.sentences(4)

    def image() -> Any:
        page = drawn.Page(900, 580, paper="#f2f2f2")
        for each in shown:
            page.prose(each, size=30)
        return page.image

    return Made(lambda: _with_picture(text, image), has(text[2], shown[0], shown[3]), _words(text, shown))


# ---- layers of text that are not the page's words ------------------------------------------------------


def _typed(lines: Sequence[str], size: int = 30, **options: Any) -> drawn.Page:
    page = drawn.Page(**options)
    for each in lines:
        page.prose(each, size=size)
    return page


def _image_page(image: Any, under: Sequence[str] = (), rotate: int = 0) -> bytes:
    """A page that is one picture, with an invisible text where one is given."""

    def draw(canvas: Any) -> None:
        from reportlab.lib.utils import ImageReader

        wide, high = (HEIGHT, WIDTH) if rotate in (90, 270) else (WIDTH, HEIGHT)  # reportlab turns the box itself
        canvas.drawImage(ImageReader(io.BytesIO(drawn.jpeg(image))), 0, 0, width=wide, height=high)
        if under:
            text = canvas.beginText(60, 780)
            text.setFont("Helvetica", 11)
            text.setTextRenderMode(3)
            for line in under:
                text.textLine(line)
            canvas.drawText(text)
        if rotate:
            canvas.setPageRotation(rotate)

    return _canvas(draw)


@recipe("pdf", "searchable scan", "pdf")
def _searchable(chance: Chance) -> Made:
    lines = chance.sentences(12)
    return Made(
        lambda: _image_page(_typed(lines).image, under=lines),
        [*has(lines[0], lines[6]), order(lines[1], lines[11]), share_of(_words(lines), 0.95)],
        _words(lines),
    )


@recipe("pdf", "garbled layer", "pdf")
def _garbled(chance: Chance) -> Made:
    """A scan whose invisible text is what a bad reader once made of it."""
    lines = chance.sentences(12)
    wrong = ["".join(chance.one("~^|l!;:.,'`rnIiJjtf ") for _ in line) for line in lines]
    return Made(
        lambda: _image_page(_typed(lines).image, under=wrong),
        [*has(lines[0], lines[6], lines[11]), share_of(_words(lines), 0.9)],
        _words(lines),
    )


def _in_font_of_its_own(name: str, lines: list[str]) -> Callable[[Any], None]:
    """Draws lines in a font whose codes are no letters, so that its map alone tells which they are."""

    def draw(canvas: Any) -> None:
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont

        pdfmetrics.registerFont(TTFont(name, drawn.font_file("plain"), asciiReadable=False))
        canvas.setFont(name, 11)
        _lines(canvas, lines)

    return draw


@recipe("pdf", "unmapped font", "pdf")
def _unmapped(chance: Chance) -> Made:
    """Letters whose codes mean nothing, as the font's map to Unicode was left out."""
    lines = chance.sentences(14)

    def make() -> bytes:
        page = _canvas(_in_font_of_its_own("Unmapped", lines))
        return re.sub(rb"/ToUnicode \d+ 0 R", lambda found: b" " * len(found[0]), page)

    return Made(make, [*has(lines[0], lines[7], lines[13]), share_of(_words(lines), 0.9)], _words(lines))


@recipe("pdf", "shifted letters", "pdf")
def _shifted(chance: Chance) -> Made:
    """A visible text whose map to Unicode is wrong: it is seen as one thing and copied as another."""
    lines = chance.sentences(14)

    def make() -> bytes:
        return _shift_map(_canvas(_in_font_of_its_own("Shifted", lines), pageCompression=0))

    return Made(make, [*has(lines[0], lines[7], lines[13]), share_of(_words(lines), 0.9)], _words(lines))


def _shift_map(data: bytes) -> bytes:
    """Every letter of the maps to Unicode replaced by the third after it. The maps are not packed."""
    return re.sub(
        rb"<([0-9A-Fa-f]{4})>(?=\s*$)", lambda found: b"<%04X>" % _third(int(found[1], 16)), data, flags=re.MULTILINE
    )


def _third(code: int) -> int:
    letter = chr(code)
    if letter.islower():
        return ord("a") + (code - ord("a") + 3) % 26
    return ord("A") + (code - ord("A") + 3) % 26 if letter.isupper() else code


@recipe("pdf", "outlined letters", "pdf")
def _outlined(chance: Chance) -> Made:
    """Letters that are shapes: every dark run of their pixels is a rectangle, and there is no font."""
    lines = chance.sentences(8)

    def draw(canvas: Any) -> None:
        import numpy

        dark = numpy.asarray(_typed(lines).image.convert("L")) < 128
        path, scale = canvas.beginPath(), WIDTH / dark.shape[1]
        for number, line in enumerate(dark):
            edges = numpy.flatnonzero(numpy.diff(numpy.concatenate(([0], line.astype(int), [0]))))
            for left, right in edges.reshape(-1, 2):
                path.rect(left * scale, HEIGHT - (number + 1) * scale, (right - left) * scale, scale)
        canvas.drawPath(path, stroke=0, fill=1)
        canvas.drawString(500, 30, "1")

    return Made(lambda: _canvas(draw), [*has(lines[0], lines[7]), share_of(_words(lines), 0.9)], _words(lines))


# ---- scans ---------------------------------------------------------------------------------------------


@recipe("pdf", "scan", "pdf")
def _scan(chance: Chance) -> Made:
    lines = chance.sentences(14)
    return Made(
        lambda: _image_page(drawn.noisy(_typed(lines).image, 8, 1)),
        [*has(lines[0], lines[6], lines[13]), order(lines[0], lines[5], lines[13]), share_of(_words(lines), 0.95)],
        _words(lines),
    )


@recipe("pdf", "text and a scan in Georgian", "pdf")
def _other_script(chance: Chance) -> Made:
    """A page of text, and a scan of fewer words that is read where somebody pulled its language."""
    lines = chance.sentences(20)
    phrases = ("ინვოისი გადახდისთვის", "მყიდველი", "ტვირთი ჩავიდა ნავსადგურში", "სულ გადასახდელი")
    scanned = [f"{chance.one(phrases)} {chance.one(phrases)}" for _ in range(8)]

    def draw(canvas: Any) -> None:
        from reportlab.lib.utils import ImageReader

        _lines(canvas, lines)
        canvas.showPage()
        page = drawn.Page()
        for line in scanned:
            page.line(line, size=34, style="wide", gap=1.8)
        canvas.drawImage(ImageReader(page.image), 0, 0, width=WIDTH, height=HEIGHT)

    return Made(
        lambda: _canvas(draw), [*has(lines[0], lines[19]), read_or_told(_words(scanned))], _words(lines, scanned)
    )


@recipe("pdf", "scan tilted", "pdf")
def _scan_tilted(chance: Chance) -> Made:
    lines, degrees = chance.sentences(14), chance.one(("-2.5", "2.5", "-1.5", "3"))
    return Made(
        lambda: _image_page(drawn.tilted(_typed(lines).image, float(degrees)).resize((1240, 1754))),
        [*has(lines[3], lines[9]), order(lines[0], lines[5], lines[13]), share_of(_words(lines), 0.95)],
        _words(lines),
    )


@recipe("pdf", "scan of a table", "pdf")
def _scan_table(chance: Chance) -> Made:
    rows, title = _goods(chance, 8), f"Contract {chance.code()}"

    def make() -> bytes:
        page = drawn.Page()
        page.line(title, size=36)
        page.table([HEAD, *rows], lefts=(90, 430, 760, 930), size=28)
        return _image_page(page.image)

    return Made(make, [*_rows_of(rows, 4), *has(title)], _words(title, HEAD, *rows))


@recipe("pdf", "scan in columns", "pdf")
def _scan_columns(chance: Chance) -> Made:
    left, right = chance.sentences(10), chance.sentences(10)

    def make() -> bytes:
        page = drawn.Page()
        for side, at in ((left, 80), (right, 660)):
            page.top = 90
            page.prose(" ".join(side), size=24, left=at, width=500)
        return _image_page(page.image)

    checks = [order(left[0], left[5], left[9], right[0], right[9]), *has(left[4], right[4])]
    return Made(make, checks, _words(left, right))


@recipe("pdf", "rotated page", "pdf")
def _rotated(chance: Chance) -> Made:
    """A landscape table on a portrait sheet with /Rotate 90, text and all."""
    rows = _goods(chance, 8)

    def draw(canvas: Any) -> None:
        canvas.setPageSize((HEIGHT, WIDTH))  # reportlab turns the box itself
        canvas.rotate(90)
        for number, cells in enumerate([HEAD, *rows]):
            for left, cell in zip((80, 300, 520, 640), cells, strict=True):
                canvas.drawString(left, -80 - 22 * number, cell)
        canvas.setPageRotation(90)

    return Made(lambda: _canvas(draw), [*_rows_of(rows, 4), order(rows[0][0], rows[7][0])], _words(HEAD, *rows))


@recipe("pdf", "rotated scan", "pdf")
def _rotated_scan(chance: Chance) -> Made:
    """A page that was put into the scanner sideways and turned by the viewer's /Rotate."""
    lines, turn = chance.sentences(12), chance.one(("90", "270"))

    def make() -> bytes:
        image = _typed(lines).image.rotate(int(turn), expand=True)
        return _image_page(image, rotate=int(turn))

    return Made(
        make,
        [*has(lines[0], lines[11]), order(lines[0], lines[5], lines[11]), share_of(_words(lines), 0.95)],
        _words(lines),
    )


@recipe("pdf", "sideways scan", "pdf")
def _sideways(chance: Chance) -> Made:
    """The same without anybody having turned it."""
    lines, turn = chance.sentences(12), chance.one(("90", "180", "270"))
    wide, high = (1240, 1754) if turn == "180" else (1754, 1240)
    return Made(
        lambda: _image_page(_typed(lines, width=wide, height=high).image.rotate(int(turn), expand=True)),
        [*has(lines[0], lines[11]), order(lines[0], lines[5], lines[11]), share_of(_words(lines), 0.95)],
        _words(lines),
    )
