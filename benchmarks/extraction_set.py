"""Invoices, receipts and letters with known fields: the same sixty on every machine, as text, PDFs, scans and pictures.

Everything is drawn from a seeded generator, so a number in a result can be looked up in its document. A field's truth
is what a reader would copy; every one of them stands in its document.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageDraw

SEED = 20261128
Schema = dict[str, Any]


@dataclass(frozen=True)
class Paper:
    """A document: its file's name and bytes, the words in it line by line, the schema asked for and what is true."""

    name: str
    kind: str
    form: str
    data: bytes = field(repr=False)
    lines: tuple[str, ...] = field(repr=False)
    schema: Schema = field(repr=False)
    truth: dict[str, Any]


def _schema(title: str, **fields: tuple[str, str] | Schema) -> Schema:
    properties = {
        name: each if isinstance(each, dict) else {"type": each[0], "description": each[1]}
        for name, each in fields.items()
    }
    return {"title": title, "type": "object", "properties": properties, "required": list(properties)}


INVOICE = _schema(
    "Invoice",
    number=("string", "the invoice number"),
    date=("string", "the date of the invoice, as it is written"),
    total=("number", "the total amount due, with tax"),
    currency={"type": "string", "enum": ["EUR", "GBP", "USD"], "description": "the currency of the amounts"},
)
RECEIPT = _schema(
    "Receipt",
    shop=("string", "the name of the shop"),
    date=("string", "the date of the purchase, as it is written"),
    total=("number", "the total that was paid"),
    paid_by={"type": "string", "enum": ["card", "cash"], "description": "how it was paid"},
)
LETTER = _schema(
    "Letter",
    sender=("string", "the full name of the person who signed the letter"),
    date=("string", "the date of the letter, as it is written"),
    reference=("string", "our reference"),
    deadline=("string", "the day until which an answer is wanted"),
)
QUESTIONS = {"invoice": "Read the invoice.", "receipt": "Read the receipt.", "letter": "Read the letter."}

_FIRMS = ("Acme Rail Ltd", "Brunswick Tools", "Corvin & Sons", "Delta Freight", "Elmwood Paper", "Fjord Shipping")
_BUYERS = ("Northbound Rail Freight", "Oakfield Clinic", "Pike Street Bakery", "Quayside Hotel", "Redhill School")
_SHOPS = ("Green Basket", "Harbour Books", "Iris Bakery", "Jansen Hardware", "Kiosk 42", "Lime Tree Cafe")
_GOODS = ("Freight", "Handling", "Storage", "Consulting", "Spare parts", "Packing", "Insurance", "Assembly")
_SMALL = ("Bread", "Milk", "Notebook", "Batteries", "Coffee", "Apples", "Screws", "Candles", "Soap")
_PEOPLE = ("Marit Haugen", "Tomas Berg", "Ingrid Solheim", "Peter Novak", "Claire Dubois", "Anna Lindqvist")
_MONTHS = ("January", "March", "April", "June", "July", "August", "October", "November")


def _date(draw: random.Random) -> str:
    return f"{draw.randint(1, 28)} {draw.choice(_MONTHS)} {draw.randint(2024, 2026)}"


def _money(cents: int) -> str:
    return f"{cents / 100:,.2f}"


def _invoice(draw: random.Random) -> tuple[list[str], dict[str, Any]]:
    items = [(name, draw.randint(2_000, 240_000)) for name in draw.sample(_GOODS, draw.randint(2, 4))]
    net = sum(price for _, price in items)
    tax = round(net * 0.19)
    currency, number = draw.choice(("EUR", "GBP", "USD")), f"INV-{draw.randint(10_000, 99_999)}"
    date = _date(draw)
    lines = [
        draw.choice(_FIRMS), "INVOICE", f"Invoice number: {number}", f"Date: {date}",
        f"Bill to: {draw.choice(_BUYERS)}", f"Customer number: {draw.randint(1_000, 9_999)}", "",
        *(f"{name}   {_money(price)}" for name, price in items),
        f"Subtotal   {_money(net)}", f"VAT 19 %   {_money(tax)}", f"Total due   {currency} {_money(net + tax)}", "",
        f"Please pay within {draw.choice((14, 21, 30))} days.",
    ]  # fmt: skip
    return lines, {"number": number, "date": date, "total": (net + tax) / 100, "currency": currency}


def _receipt(draw: random.Random) -> tuple[list[str], dict[str, Any]]:
    items = [(name, draw.randint(90, 2_900)) for name in draw.sample(_SMALL, draw.randint(2, 5))]
    total = sum(price for _, price in items)
    shop, paid, date = draw.choice(_SHOPS), draw.choice(("card", "cash")), _date(draw)
    lines = [
        shop, f"{draw.randint(1, 90)} Market Street", f"Date: {date}", f"Receipt {draw.randint(100, 9_999)}", "",
        *(f"{name}   {_money(price)}" for name, price in items),
        f"TOTAL   {_money(total)}", f"Paid by {paid}", "Thank you for your visit",
    ]  # fmt: skip
    return lines, {"shop": shop, "date": date, "total": total / 100, "paid_by": paid}


def _letter(draw: random.Random) -> tuple[list[str], dict[str, Any]]:
    sender, addressee = draw.sample(_PEOPLE, 2)
    date, deadline = _date(draw), _date(draw)
    reference = f"{draw.choice('ABCDEFGH')}{draw.choice('KLMNPQ')}-{draw.randint(100, 999)}/{draw.randint(10, 99)}"
    about = draw.choice(("the delivery of machine parts", "the lease of gate 4", "the repair of the crane"))
    lines = [
        draw.choice(_FIRMS), f"Date: {date}", f"Our reference: {reference}", "",
        f"Dear {addressee},", "",
        f"we write to you about {about}.", f"The work took {draw.randint(2, 40)} days and is complete.",
        f"Please let us have your answer by {deadline}.", "",
        "Yours sincerely,", sender,
    ]  # fmt: skip
    return lines, {"sender": sender, "date": date, "reference": reference, "deadline": deadline}


def _text(lines: Sequence[str]) -> bytes:
    return "\n".join(lines).encode()


def _pdf(lines: Sequence[str]) -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(595, 842), invariant=True)
    canvas.setFont("Helvetica", 12)
    for row, line in enumerate(lines):
        canvas.drawString(72, 770 - 22 * row, line)
    canvas.save()
    return out.getvalue()


def _page(lines: Sequence[str]) -> Image.Image:
    page = Image.new("L", (900, 90 + 44 * len(lines)), 250)
    pen = ImageDraw.Draw(page)
    for row, line in enumerate(lines):
        pen.text((60, 40 + 44 * row), line, fill=30, font_size=28)
    return page


def _picture(lines: Sequence[str]) -> bytes:
    out = io.BytesIO()
    _page(lines).save(out, "PNG")
    return out.getvalue()


def _scan(lines: Sequence[str]) -> bytes:
    out = io.BytesIO()
    _page(lines).save(out, "PDF", resolution=110)
    return out.getvalue()


_KINDS: dict[str, tuple[Callable[[random.Random], tuple[list[str], dict[str, Any]]], Schema]] = {
    "invoice": (_invoice, INVOICE), "receipt": (_receipt, RECEIPT), "letter": (_letter, LETTER),
}  # fmt: skip
_FORMS: dict[str, tuple[Callable[[Sequence[str]], bytes], str]] = {
    "text": (_text, "txt"), "pdf": (_pdf, "pdf"), "scan": (_scan, "pdf"), "picture": (_picture, "png"),
}  # fmt: skip
_FORMS_OF = {
    "invoice": ("pdf", "scan", "pdf", "picture"),
    "receipt": ("picture", "text", "scan", "picture"),
    "letter": ("pdf", "text", "picture", "pdf"),
}


def papers(count: int = 60) -> list[Paper]:
    """So many documents, of the three kinds in turn. The same every time; the first of sixty are those of fewer."""
    draw, made = random.Random(SEED), list[Paper]()
    kinds = tuple(_KINDS)
    for place in range(count):
        kind = kinds[place % len(kinds)]
        form = _FORMS_OF[kind][place // len(kinds) % 4]
        make, schema = _KINDS[kind]
        lines, truth = make(draw)
        written, suffix = _FORMS[form]
        name = f"{kind}-{place:02}-{form}.{suffix}"
        made.append(Paper(name, kind, form, written(lines), tuple(lines), schema, truth))
    return made


def right(found: Any, true: Any) -> bool:
    """Whether a field has its true value: numbers by their value, words without regard to case and blanks."""
    if isinstance(true, float):
        return isinstance(found, (int, float)) and not isinstance(found, bool) and abs(found - true) < 0.005
    return isinstance(found, str) and " ".join(found.lower().split()) == " ".join(str(true).lower().split())
