"""Pictures: print, turned and tilted pages, tables, receipts, columns, code, screenshots, scripts, photographs."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from fidelity import drawn
from fidelity.checks import Check, has, indented, neighbours, order, read_or_told, row, share_of, silent
from fidelity.drawn import Page, jpeg, noisy, png, tilted
from fidelity.samples import GOODS, NAMES, TOWNS, Chance, Made, recipe

PHOTOGRAPH = Path(__file__).parent.parent.parent / "examples" / "media" / "photo-coffee.jpg"
HEAD = ("Goods", "Port", "Units", "Amount")


def _words(*some: Sequence[str] | str) -> str:
    return " ".join(each if isinstance(each, str) else " ".join(each) for each in some)


def _page(lines: Sequence[str], size: int = 30, **options: str) -> Image.Image:
    page = Page(**options)  # type: ignore[arg-type]
    for each in lines:
        page.prose(each, size=size)
    return page.image


def _prose(lines: list[str], make: Callable[[], bytes]) -> Made:
    checks = [*has(lines[0], lines[-1]), order(lines[0], lines[len(lines) // 2], lines[-1])]
    return Made(make, [*checks, share_of(_words(lines), 0.95)], _words(lines))


@recipe("pictures", "print", "png")
def _print(chance: Chance) -> Made:
    lines = chance.sentences(16)
    return _prose(lines, lambda: png(_page(lines)))


@recipe("pictures", "small print", "png")
def _small(chance: Chance) -> Made:
    lines = chance.sentences(40)
    return _prose(lines, lambda: png(_page(lines, 17)))


@recipe("pictures", "photo of a page", "jpg")
def _photographed(chance: Chance) -> Made:
    """Slightly tilted, on a table, with grain and a shade."""
    lines = chance.sentences(12)

    def make() -> bytes:
        desk = Image.new("RGB", (1500, 2000), "#6b5a48")
        sheet = tilted(_page(lines, paper="#f4f0e6"), 1.5, "#6b5a48")
        desk.paste(sheet, (100, 90))
        return jpeg(noisy(desk, 9, 4), 80)

    return _prose(lines, make)


@recipe("pictures", "upside down", "png")
def _upside_down(chance: Chance) -> Made:
    lines = chance.sentences(14)
    return _prose(lines, lambda: png(_page(lines).rotate(180)))


@recipe("pictures", "on its side", "png")
def _on_its_side(chance: Chance) -> Made:
    lines, turn = chance.sentences(14), chance.one(("90", "270"))
    return _prose(lines, lambda: png(_page(lines).rotate(int(turn), expand=True)))


@recipe("pictures", "tilted", "png")
def _tilted(chance: Chance) -> Made:
    lines, turn = chance.sentences(16), chance.one(("-4", "-3", "3", "4"))
    return _prose(lines, lambda: png(tilted(_page(lines), float(turn))))


def _goods(chance: Chance, count: int) -> list[tuple[str, ...]]:
    pairs = zip(chance.some(GOODS, count), chance.some(TOWNS, count), strict=True)
    return [(good, town, str(chance.number(12, 980)), chance.money()) for good, town in pairs]


def _table(chance: Chance, tilt: float = 0.0, *, ruled: bool) -> Made:
    rows, title = _goods(chance, 9), f"Stock list {chance.code()}"

    def make() -> bytes:
        page = Page(1240, 900)
        page.line(title, size=34, gap=2)
        page.table([HEAD, *rows], lefts=(90, 400, 720, 900), ruled=ruled)
        return png(tilted(page.image, tilt) if tilt else page.image)

    return Made(make, [*has(title), *(row(*cells) for cells in rows[::2])], _words(title, HEAD, *rows))


@recipe("pictures", "table ruled", "png")
def _ruled(chance: Chance) -> Made:
    return _table(chance, ruled=True)


@recipe("pictures", "table plain", "png")
def _plain(chance: Chance) -> Made:
    return _table(chance, ruled=False)


@recipe("pictures", "table tilted", "png")
def _table_tilted(chance: Chance) -> Made:
    return _table(chance, 2.5, ruled=True)


@recipe("pictures", "table merged", "png")
def _table_merged(chance: Chance) -> Made:
    """A head over two columns, cells of two lines, and empty ones."""
    goods, towns = chance.some(GOODS, 5), chance.some(TOWNS, 5)
    rows = [[goods[each], towns[each], str(chance.number(12, 480)), str(chance.number(500, 980))] for each in range(5)]
    rows[1][2], rows[3][3] = "", ""
    title, below, tilt = f"Deliveries {chance.code()}", chance.one(NAMES), chance.one(("0", "2", "-2"))
    lefts, face = (90, 420, 720, 930, 1150), drawn.font("plain", 26)

    def make() -> bytes:
        page = Page(1240, 900)
        page.line(title, size=34, gap=2)

        def cell(first: int, last: int, top: int, high: int, *lines: str) -> None:
            page.pen.rectangle((lefts[first], top, lefts[last], top + high), outline="black", width=2)
            for place, line in enumerate(lines):
                page.pen.text((lefts[first] + 12, top + 12 + 34 * place), line, fill="black", font=face)

        top = page.top
        cell(0, 1, top, 120, "Goods")
        cell(1, 2, top, 120, "Port")
        cell(2, 4, top, 60, "Units")
        cell(2, 3, top + 60, 60, "ordered")
        cell(3, 4, top + 60, 60, "arrived")
        for place, (good, town, ordered, arrived) in enumerate(rows):
            at, high = top + 120 + 90 * place, 90
            cell(0, 1, at, high, good, "in crates")
            for column, text in enumerate((town, ordered, arrived), 1):
                cell(column, column + 1, at, high, text)
        page.top = top + 620
        page.line(f"Checked by {below}")
        return png(tilted(page.image, float(tilt)) if tilt != "0" else page.image)

    checks = [
        *has(title, below),
        *(row(f"{good} in crates", *filter(None, rest)) for good, *rest in rows),
        neighbours(f"{goods[1]} in crates", towns[1], "", rows[1][3]),
        neighbours("Goods", "Port", "Units"),
    ]
    return Made(make, checks, _words(title, "Goods Port Units ordered arrived", *rows, "in crates " * 5, below))


@recipe("pictures", "receipt", "jpg")
def _receipt(chance: Chance) -> Made:
    shop, total = f"{chance.one(TOWNS)} Market", chance.money(20, 99)
    items = [(good, chance.money(1, 19)) for good in chance.some(GOODS, 7)]

    def make() -> bytes:
        page = Page(560, 1100, paper="#fbfaf5")
        page.line(shop, size=34, style="mono", left=120, gap=2)
        for good, price in [*items, ("TOTAL EUR", total)]:
            face = drawn.font("mono", 24)
            page.pen.text((500 - face.getlength(price), page.top), price, fill="black", font=face)
            page.line(good, size=24, style="mono", left=50)
        return jpeg(noisy(page.crop(), 5, 2))

    checks = [*has(shop), *(row(*each) for each in items[::2]), row("TOTAL", total)]
    return Made(make, checks, _words(shop, *items, "TOTAL EUR", total))


@recipe("pictures", "label beside value", "png")
def _labels(chance: Chance) -> Made:
    pairs = [
        ("Name", chance.one(NAMES)), ("Date of birth", chance.date()), ("Policy number", chance.code()),
        ("Place", chance.one(TOWNS)), ("Amount insured", chance.money(10_000, 90_000)),
    ]  # fmt: skip

    def make() -> bytes:
        page = Page(1240, 700)
        for name, value in pairs:
            page.pen.text((700, page.top + 3), value, fill="black", font=drawn.font("mono", 28))
            page.line(name, size=28, left=100, gap=2.8)
        return png(page.image)

    return Made(make, [row(*each) for each in pairs], _words(*pairs))


@recipe("pictures", "two columns", "png")
def _columns(chance: Chance) -> Made:
    left, right = chance.sentences(12), chance.sentences(12)

    def make() -> bytes:
        page = Page()
        for side, at in ((left, 80), (right, 660)):
            page.top = 90
            page.prose(" ".join(side), size=24, left=at, width=500)
        return png(page.image)

    checks = [order(left[0], left[6], left[11], right[0], right[11]), *has(left[5], right[5], right[8])]
    return Made(make, checks, _words(left, right))


@recipe("pictures", "code", "png")
def _code(chance: Chance) -> Made:
    name, limit, value = chance.one(("weigh", "count", "load")), chance.number(100, 900), chance.number(10, 99)
    lines = [
        f"def {name}_crates(crates):", "    total = 0", "    for crate in crates:",
        f"        if crate.weight > {limit}:", f"            total += {value}", "        else:",
        "            total -= 1", "    return total",
    ]  # fmt: skip

    def make() -> bytes:
        page = Page(1100, 560, paper="#1e1e1e", ink="#d4d4d4")
        for line in lines:
            page.line(line, size=26, style="mono", left=60)
        return png(page.image)

    checks = [
        *has(lines[0], lines[3].strip(), lines[4].strip()), indented(lines[0], lines[1]), indented(lines[2], lines[3]),
        indented(lines[3], lines[4]),
    ]  # fmt: skip
    return Made(make, checks, _words(lines))


@recipe("pictures", "tall screenshot", "png")
def _tall(chance: Chance) -> Made:
    lines = chance.sentences(135)

    def make() -> bytes:
        page = Page(1000, 12_000)
        for line in lines:
            page.prose(line, size=26, left=50)
            page.top += 20
        return png(page.image)

    checks = [*has(lines[0], lines[40], lines[90], lines[134]), order(lines[3], lines[60], lines[120], lines[134])]
    return Made(make, [*checks, share_of(_words(lines), 0.95)], _words(lines))


@recipe("pictures", "dark screenshot", "png")
def _dark(chance: Chance) -> Made:
    lines = chance.sentences(12)
    return _prose(lines, lambda: png(_page(lines, 26, paper="#101418", ink="#c9d1d9")))


@recipe("pictures", "chat", "png")
def _chat(chance: Chance) -> Made:
    """Bubbles left and right, each below the last."""
    lines = chance.sentences(8)

    def make() -> bytes:
        page = Page(800, 1600, paper="#e7ecef")
        for number, line in enumerate(lines):
            left, colour = (50, "#ffffff") if number % 2 == 0 else (230, "#c7f0c2")
            some = drawn.wrapped(line, drawn.font("plain", 24), 460)
            page.pen.rounded_rectangle((left, page.top, left + 520, page.top + 36 * len(some) + 30), 18, fill=colour)
            page.top += 14
            for each in some:
                page.line(each, size=24, left=left + 24)
            page.top += 46
        return png(page.image)

    return _prose(lines, make)


@recipe("pictures", "transparent", "png")
def _transparent(chance: Chance) -> Made:
    """White letters on nothing: on white paper there is nothing to be seen."""
    lines = chance.sentences(6)

    def make() -> bytes:
        mask = _page(lines, paper="black", ink="white").convert("L").crop((0, 0, 1240, 600))
        image = Image.new("RGBA", mask.size, (255, 255, 255, 0))
        image.paste((255, 255, 255, 255), (0, 0), mask)
        return png(image)

    return _prose(lines, make)


@recipe("pictures", "faint and packed", "jpg")
def _faint(chance: Chance) -> Made:
    lines = chance.sentences(12)
    return _prose(lines, lambda: jpeg(_page(lines, paper="#d8d8d8", ink="#707070"), 35))


@recipe("pictures", "chart", "png")
def _chart(chance: Chance) -> Made:
    values = [(town, chance.money(2_000, 9_800)) for town in chance.some(TOWNS, 5)]
    title = f"Turnover {chance.code()}"

    def make() -> bytes:
        page = Page(1000, 620)
        page.line(title, size=34)
        for place, (name, value) in enumerate(values):
            high, left = round(float(value.replace(",", "")) / 10_000 * 340), 90 + place * 170
            page.pen.rectangle((left, 540 - high, left + 90, 540), fill=(190, 110, 60))
            page.pen.text((left - 10, 505 - high), value, fill="black", font=drawn.font("plain", 24))
            page.pen.text((left - 10, 556), name, fill="black", font=drawn.font("plain", 24))
        return png(page.image)

    return Made(make, has(title, values[0][1], values[2][1], values[4][0]), _words(title, *values))


@recipe("pictures", "umlauts", "png")
def _umlauts(chance: Chance) -> Made:
    number, code = chance.number(100, 999), chance.code()
    lines = [
        f"Die Prüfung der {number} Fässer in Lübeck verzögert sich.", "Le réglement a été envoyé à la société.",
        f"Größe und Gewicht stehen auf dem Frachtbrief {code}.", "El señor Muñoz llegó mañana.",
    ]  # fmt: skip
    return Made(lambda: png(_page(lines)), has(*lines), _words(lines))


@recipe("pictures", "two pages of a fax", "tif")
def _fax(chance: Chance) -> Made:
    pages = [chance.sentences(8), chance.sentences(8)]

    def make() -> bytes:
        first, second = (_page(lines).convert("1") for lines in pages)
        out = io.BytesIO()
        first.save(out, "TIFF", save_all=True, append_images=[second], compression="group4")
        return out.getvalue()

    checks = [*has(pages[0][2], pages[1][2], pages[1][7]), order(pages[0][0], pages[1][0])]
    return Made(make, checks, _words(*pages))


_CYRILLIC = ("Счёт на оплату", "Покупатель", "Груз доставлен в порт", "Итого к оплате")
_GREEK = ("Τιμολόγιο πώλησης", "Πελάτης", "Το φορτίο έφτασε στο λιμάνι", "Σύνολο πληρωμής")
_ARABIC = ("فاتورة البيع", "العميل", "وصلت الشحنة إلى الميناء", "المجموع المستحق")
# No font for Devanagari is at hand on every machine; Armenian and Georgian letters are in DejaVu.
_GEORGIAN = ("ინვოისი გადახდისთვის", "მყიდველი", "ტვირთი ჩავიდა ნავსადგურში", "სულ გადასახდელი")


def _script(chance: Chance, phrases: Sequence[str]) -> Made:
    """Letters of another script with numbers between them. Unread they may be, unsaid they may not."""
    code, amount = chance.code(), chance.money()
    lines = [phrases[0], code, f"{phrases[1]} {chance.number(100, 999)}", phrases[2], f"{phrases[3]} {amount}"]

    def make() -> bytes:
        page = Page(1240, 700)
        for line in lines:
            page.line(line, size=36, style="wide", gap=2)
        return png(page.image)

    checks: list[Check] = [*has(code, amount), *has(*phrases), read_or_told(_words(phrases))]
    return Made(make, checks, _words(lines))


@recipe("pictures", "cyrillic", "png")
def _cyrillic(chance: Chance) -> Made:
    return _script(chance, _CYRILLIC)


@recipe("pictures", "greek", "png")
def _greek(chance: Chance) -> Made:
    return _script(chance, _GREEK)


@recipe("pictures", "arabic", "png")
def _arabic(chance: Chance) -> Made:
    return _script(chance, _ARABIC)


@recipe("pictures", "georgian", "png")
def _georgian(chance: Chance) -> Made:
    return _script(chance, _GEORGIAN)


@recipe("pictures", "photograph", "jpg")
def _photograph(chance: Chance) -> Made:
    side = chance.number(380, 560)
    return Made(lambda: jpeg(Image.open(PHOTOGRAPH).convert("RGB").resize((side, side))), [silent()])


@recipe("pictures", "shapes", "png")
def _shapes(chance: Chance) -> Made:
    circles = [
        (chance.draw.randint(80, 800), chance.draw.randint(80, 600), chance.draw.randint(20, 90),
         chance.one(("#aa3333", "#3366aa", "#449955", "#ccaa33")))
        for _ in range(9)
    ]  # fmt: skip

    def make() -> bytes:
        image = Image.new("RGB", (900, 700), "#dfe8ef")
        pen = ImageDraw.Draw(image)
        for x, y, r, colour in circles:
            pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        return png(noisy(image, 6, 3))

    return Made(make, [silent()])


@recipe("pictures", "sign in a photograph", "jpg")
def _sign(chance: Chance) -> Made:
    """A few large words in a picture that is about something else."""
    name, code = chance.one(TOWNS).upper(), chance.code()

    def make() -> bytes:
        image = Image.open(PHOTOGRAPH).convert("RGB").resize((1200, 900))
        pen = ImageDraw.Draw(image)
        pen.rectangle((60, 60, 620, 260), fill="#f5f5f0")
        pen.text((90, 75), f"PORT OF {name}", fill="#123456", font=drawn.font("bold", 44))
        pen.text((90, 160), code, fill="#123456", font=drawn.font("bold", 52))
        return jpeg(image)

    return Made(make, has(name, code), f"PORT OF {name} {code}")
