"""D7 and D13 for files that are taken apart: bombs are refused within bounds, damage is answered or refused."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zipfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
from tests import documents
from tests.gates.test_media_bombs import MB, resident, spent
from tests.gates.test_media_fuzz import damaged

from intermodal.core.content import BytesSource, File
from intermodal.core.request import Message, Request
from intermodal.errors import InputError
from intermodal.media.expand import expand_request
from intermodal.media.fetch import CachingFetcher
from intermodal.media.worker_client import MediaWorker

pytestmark = [pytest.mark.gate, pytest.mark.anyio]
FILES = Path(__file__).parents[1] / "media" / "office"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 90 90">{}</svg>'


def written(name: str) -> bytes:
    path = FILES / name
    return path.read_bytes() if path.exists() else gzip.decompress((FILES / f"{name}.gz").read_bytes())


@pytest.fixture
async def worker() -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


async def taken(worker: MediaWorker, name: str, data: bytes) -> None:
    part = File(source=BytesSource(data=data, name=name))
    await expand_request(Request(messages=(Message(role="user", parts=(part,)),)), worker, CachingFetcher())


def overlapping() -> bytes:
    """A ZIP whose list names one member five hundred times."""
    data = documents.packed({"a.txt": bytes(900_000)})
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    row = data[start:end]
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 500, 500, len(row) * 500, start, 0)
    return data[:start] + row * 500 + tail


def piece_table(claim: int) -> bytes:
    """A DOC whose text claims to be of this many characters."""
    data = bytearray(written("rules.doc"))
    root = 512
    length = struct.unpack_from("<I", data, root + 0x4C)[0]
    data[root + 0x4C : root + 0x50] = struct.pack("<I", claim)
    at = data.find(struct.pack("<III", 0, length + 1, 0)[:8], root)
    if at > 0:
        data[at + 4 : at + 8] = struct.pack("<I", claim)
    return bytes(data)


def endless_deck() -> bytes:
    """A PPT whose last saving says that the one before it was itself."""
    data = bytearray(written("tides.ppt"))
    at = data.rindex(b"\xf5\x0f\x1c\x00\x00\x00")
    data[at + 14 : at + 18] = struct.pack("<I", 8)
    return bytes(data)


def workbook_of_corners() -> bytes:
    """A sheet of two cells in opposite corners, and one that claims a million columns."""
    body = (
        "<table:table table:name='S'><table:table-row><table:table-cell table:number-columns-repeated='999999999'/>"
        "<table:table-cell><text:p>x</text:p></table:table-cell></table:table-row></table:table>"
    )
    return documents.open_document(body, "spreadsheet")


BOMBS: dict[str, Callable[[], bytes]] = {
    "zeros.zip": lambda: documents.packed({"a": bytes(60 * MB)}),
    "overlapping.zip": overlapping,
    "many.zip": lambda: documents.packed({f"{n}": b"" for n in range(20_000)}),
    "zeros.epub": lambda: documents.book(members={"OEBPS/big.xhtml": bytes(60 * MB)}),
    "laugh.odt": lambda: documents.packed({
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><a>&b;</a>'}),
    "deep.odt": lambda: documents.open_document("<text:section>" * 20_000 + "<text:p>deep</text:p>"
                                                + "</text:section>" * 20_000),
    "corners.ods": workbook_of_corners,
    "groups.rtf": lambda: rb"{\rtf1 " + b"{" * 2_000_000,
    "binary.rtf": lambda: rb"{\rtf1 {\pict\pngblip\bin2147483647 " + b"x" * MB + b"}}",
    "hexadecimal.rtf": lambda: rb"{\rtf1 {\pict\pngblip " + b"00" * 8 * MB + b"}}",
    "fields.rtf": lambda: rb"{\rtf1 " + rb'{\field{\*\fldinst HYPERLINK "x"}{\fldrslt ' * 3_000,
    "claims.doc": lambda: piece_table(0x7FFFFFFF),
    "circle.ppt": endless_deck,
    "deep.ipynb": lambda: b'{"nbformat":4,"cells":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "wide.ipynb": lambda: json.dumps({"nbformat": 4, "cells": [
        {"cell_type": "code", "source": "x", "outputs": [{"output_type": "stream", "text": "y" * 20 * MB}]}]}).encode(),
    "circle.svg": lambda: SVG.format('<g id="a"><use xlink:href="#b"/></g>'
                                     '<g id="b"><use xlink:href="#a"/></g>').encode(),
    "blur.svg": lambda: SVG.format('<filter id="f"><feGaussianBlur stdDeviation="1e6"/></filter>'
                                   '<rect filter="url(#f)" width="90" height="90"/>').encode(),
    "tags.srt": lambda: b"0:00:01,0 --> 0:00:02,0\n" + b"<a" * 4 * MB + b"\n" + b"{x" * 4 * MB,
    "rows.vtt": lambda: b"WEBVTT\n\n" + b"00:01.0 --> 00:02.0\n\n" * 400_000,
    "times.srt": lambda: b"\n".join(b" " * 4_000 + b"1:1:1,1 -->" for _ in range(4_000)),
    "columns.ass": lambda: b"[Script Info]\n[Events]\nFormat: " + b"text," * MB + b"\n" + b"Dialogue: ,\n" * 400_000,
    "links.html": lambda: b"<p>words" + b"<a href='#x'>words " * 20_000,
    "menus.html": lambda: b"<div class='menu'>words" * 20_000,
    "rules.html": lambda: b"<style>" + b".a .b { display: none } " * 20_000 + b"</style>" + b"<i class='a b'>x" * 9_000,
    "braces.html": lambda: b"<style>" + b"{" * MB + b"/*" * MB + b"</style><p>words",
    "parts.mht": lambda: b"Content-Type: multipart/related; boundary=x\n\n" + b"--x\n\nwords\n" * 50_000,
    "deep.mht": lambda: b"".join(b"Content-Type: multipart/related; boundary=x%d\n\n--x%d\n" % (n, n)
                                 for n in range(2_000)),
    "labels.svg": lambda: SVG.format('<text x="1" y="1">label</text>' * 20_000).encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
async def test_d7_a_document_bomb_is_refused_or_read_within_bounds(worker: MediaWorker, name: str) -> None:
    """10 s of the processor and 600 MB; the worker outlives it."""
    data = BOMBS[name]()
    await taken(worker, "a.zip", documents.packed({"a.txt": b"words"}))
    child, before, base = worker.pid, spent(worker), resident(worker)
    try:
        await taken(worker, name, data)
    except InputError as error:
        assert error.where.startswith(name) and error.todo
    assert worker.pid == child and spent(worker) - before <= 10.0
    assert resident(worker) - base < 600 * MB


ORIGINALS: dict[str, Callable[[], bytes]] = {
    name: partial(written, name)
    for name in ("report.odt", "report.rtf", "report.doc", "rules.doc", "sales.ods", "sales.xls", "tides.odp",
                 "tides.ppt")
} | {
    "book.epub": lambda: documents.book(documents.picture("x")),
    "all.zip": lambda: documents.packed({"a.txt": b"words", "b.docx": documents.word()}),
    "a.docx": lambda: documents.word(documents.picture("x"), comment="c"),
    "a.xlsx": documents.hiding_workbook,
    "a.ipynb": lambda: documents.notebook({"cell_type": "code", "source": "1", "outputs": [
        {"output_type": "stream", "text": "x"}]}),
    "a.svg": lambda: SVG.format('<g transform="translate(1,2)"><text x="1" y="9">words</text></g>').encode(),
    "a.srt": lambda: b"1\n00:00:01,000 --> 00:00:02,000\n<i>words</i>\n\n2\n00:00:03,000 --> 00:00:04,000\nmore\n",
    "a.vtt": lambda: b"WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.000 align:start\n<v Ann>words &amp; more\n",
    "a.ass": lambda: b"[Script Info]\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,Default,Ann,0,0,0,,{\\i1}words\n",
    "a.mht": lambda: documents.saved_page("<style>p > b { display: none }</style><p>words <b>x</b>",
                                          pictures={"https://example.org/a.png": documents.picture("x")}),
    "a.html": lambda: b"<html><style>.a { opacity: 0 } @media print { p {} }</style><p class=a>x</p>"
                      b"<nav><a href='/'>x</a></nav><table><tr><td>1</td></tr></table></html>",
}  # fmt: skip


def damaged_inside(data: bytes, chance: random.Random) -> bytes:
    """A ZIP with one member damaged and packed again, so that the damage gets past the container."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        members = [member for member in old.infolist() if member.filename.endswith((".xml", ".opf", ".xhtml", ".rels"))]
        hurt = chance.choice(members).filename if members else ""
        for member in old.infolist():
            body = old.read(member)
            new.writestr(member, damaged(body, chance) if member.filename == hurt and body else body)
    return out.getvalue()


async def test_d13_damaged_documents_are_answered_or_refused(worker: MediaWorker, full_gates: bool) -> None:
    chance = random.Random(20_261_129)
    originals = {name: make() for name, make in ORIGINALS.items()}
    answered = 0
    for _ in range(5_000 if full_gates else 150):
        name = chance.choice(sorted(originals))
        data = originals[name]
        packed = data[:2] == b"PK" and chance.random() < 0.7
        broken = damaged_inside(data, chance) if packed else damaged(data, chance)
        with anyio.fail_after(300):
            try:
                await taken(worker, name, broken)
                answered += 1
            except InputError as error:
                words = str(error)
                assert error.where == name and error.todo and words.isprintable(), words
                assert "Error)" not in words, f"an exception nobody foresaw in {name}: {words}"
    assert answered > 30
