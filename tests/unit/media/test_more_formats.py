"""Documents beside Microsoft's newer ones: OpenDocument, RTF, Office 97, books, archives, notebooks."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import AsyncIterator
from pathlib import Path

import docx
import pytest
from tests import documents
from tests.unit.media.test_expand import RED, SIGN, pictures, taken, text_of

from intermodal.core.content import Part, Text
from intermodal.errors import InputBroken, InputEmpty, InputEncrypted, InputError, InputTooLarge, InputUnsupported
from intermodal.media.sniff import sniff
from intermodal.media.worker_client import MediaWorker

pytestmark = pytest.mark.anyio
FILES = Path(__file__).parents[2] / "media" / "office"
SALES = ["| " + " | ".join(row) + " |" for row in documents.SALES]


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


def written(name: str) -> bytes:
    """A file that LibreOffice wrote."""
    path = FILES / name
    return path.read_bytes() if path.exists() else gzip.decompress((FILES / f"{name}.gz").read_bytes())


def named(parts: tuple[Part, ...]) -> list[str]:
    return [part.name if isinstance(part, Text) else part.source.name for part in parts]  # type: ignore[union-attr]


# ---- what other programs write -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["report.odt", "report.rtf", "report.doc"])
async def test_a_report_says_the_same_in_every_format(worker: MediaWorker, name: str) -> None:
    parts = await taken(worker, name, written(name))
    text = parts[0]
    assert isinstance(text, Text)
    for line in (*SALES, "# Harbour report", "## Second part", "- first", "- alpha", "- gamma"):
        assert line in text.text.splitlines()
    for words in ("The crane is called Brunhilde.", "is that so?", "Confidential", "Größe, Привет, 中文, “quoted” —"):
        assert words in text.text
    assert text.text.index("alpha") < text.text.index("beta under alpha") < text.text.index("gamma")
    assert [data for _, data in pictures(parts)] == [SIGN, RED]
    assert text.text.count("[image 1") == text.text.count("[image 2") == 1


async def test_links_notes_lists_and_empty_cells_of_word_97_arrive(worker: MediaWorker) -> None:
    text = (await text_of(worker, "rules.doc", written("rules.doc"))).text
    assert "[the tide table](https://example.org/tides) first.[1]" in text and "[1] Mean sea level 1990." in text
    assert "- outer\n  - inner" in text
    assert "| Berth | Ship | Draught |\n| --- | --- | --- |\n| 4 |  | 9.5 m |" in text


@pytest.mark.parametrize("name", ["sales.ods", "sales.xls"])
async def test_a_workbook_of_other_programs_is_a_table_a_sheet(worker: MediaWorker, name: str) -> None:
    text = await text_of(worker, name, written(name))
    for line in (
        "| Q2 | North | 342 |  |  |",
        "|  |  | 517 |  |  |",
        "| 1234567.891 |  |  |  |  |",
        "| Straße |  |  |  |  |",
    ):
        assert line in text.text
    assert "2026-03-14 |" in text.text and "Merged cells: A7:C7 (merged head)" in text.text
    assert "## Sheet: Margins (hidden)" in text.text and "1 hidden sheet included" in text.notes


async def test_a_sheet_says_which_of_its_rows_and_columns_are_hidden(worker: MediaWorker) -> None:
    text = await text_of(worker, "sales.ods", written("sales.ods"))
    assert "Hidden rows: 3 (Q2)" in text.text and "Hidden columns: B (Region)" in text.text
    assert "| Q1 | North | 118 | 25% | 2026-03-14 |" in text.text
    assert "Comment on C3: checked" in text.text


async def test_slides_of_impress_keep_titles_tables_charts_and_notes(worker: MediaWorker) -> None:
    parts = await taken(worker, "tides.odp", written("tides.odp"))
    text = parts[0]
    assert isinstance(text, Text)
    for words in ("## Slide 1: Tides", "High water at noon", "| Emden | 9.5 m |", "Speaker notes: say hello",
                  "## Slide 2 (hidden): Pictures", "| 2024 | 410 |", "[image 1"):  # fmt: skip
        assert words in text.text
    assert "1 hidden slide included" in text.notes and [data for _, data in pictures(parts)] == [SIGN]


async def test_slides_of_powerpoint_97_keep_order_and_notes(worker: MediaWorker) -> None:
    text = (await text_of(worker, "tides.ppt", written("tides.ppt"))).text
    assert text == "## Slide 1\n\nHigh water at noon\n\nSpeaker notes: say hello\n\n## Slide 2\n\nGröße: Привет"


# ---- rich text -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (r"{\rtf1\ansi\ansicpg1251 \'cf\'f0\'e8\'e2\'e5\'f2\par}", "Привет"),
        (r"{\rtf1\ansi{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}\f1 \'cf\'f0\f0 \'fc}", "Прü"),
        (r"{\rtf1\uc1\u20013?\u-10179?\u-8704?x\u-10179?}", "中😀x\ufffd"),
        (r"{\rtf1 a{\*\unknown secret}b}", "ab"),
        (r"{\rtf1 a\tab b\line c\emdash d\~e}", "c—d\u00a0e"),
        (r"{\rtf1 {\field{\*\fldinst HYPERLINK \"https://a.example/\"}{\fldrslt there}}}".replace('\\"', '"'),
         "[there](https://a.example/)"),
    ],
)  # fmt: skip
async def test_rich_text_is_read_in_its_encoding(worker: MediaWorker, source: str, words: str) -> None:
    assert words in (await text_of(worker, "a.rtf", source.encode())).text


async def test_what_rich_text_deleted_or_hid_is_counted_and_not_sent(worker: MediaWorker) -> None:
    source = rb"{\rtf1 kept {\deleted gone\deleted0} {\v unseen} \b bold\b0\par}"
    text = await text_of(worker, "a.rtf", source)
    assert text.text.split() == ["kept", "bold"]
    assert text.notes == ("1 deleted passage left out", "1 hidden passage left out")


# ---- OpenDocument --------------------------------------------------------------------------------


async def test_what_a_tracked_change_deleted_is_no_text(worker: MediaWorker) -> None:
    body = ("<text:tracked-changes><text:changed-region><text:deletion><text:p>old</text:p></text:deletion>"
            "</text:changed-region></text:tracked-changes><text:p>a<text:s text:c='3'/>b &amp; c</text:p>")  # fmt: skip
    text = await text_of(worker, "a.odt", documents.open_document(body))
    assert " ".join(text.text.split()) == "a b & c" and text.notes == ("1 deletion of tracked changes left out",)


@pytest.mark.parametrize(
    "hidden",
    [
        '<text:section text:display="none"><text:p>unseen</text:p></text:section>',
        '<text:p>a<text:span text:style-name="Gone">unseen</text:span></text:p>',
    ],
)
async def test_hidden_text_of_writer_is_left_out_and_that_is_said(worker: MediaWorker, hidden: str) -> None:
    style = (
        '<style:style xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" style:name="Gone">'
        '<style:text-properties text:display="none"/></style:style>'
    )
    text = await text_of(worker, "a.odt", documents.open_document(f"{style}{hidden}<text:p>kept</text:p>"))
    assert "kept" in text.text and "unseen" not in text.text and text.notes == ("1 hidden passage left out",)


async def test_hidden_text_of_word_is_left_out_and_that_is_said(worker: MediaWorker) -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("kept ")
    for words, unseen in (("unseen ", True), ("also kept", False)):
        paragraph.add_run(words).font.hidden = unseen
    out = io.BytesIO()
    document.save(out)
    text = await text_of(worker, "a.docx", out.getvalue())
    assert text.text == "kept also kept" and text.notes == ("1 hidden passage left out",)


async def test_cells_that_repeat_to_the_end_of_a_sheet_cost_nothing(worker: MediaWorker) -> None:
    body = ("<table:table table:name='S'><table:table-row><table:table-cell office:value-type='float' "
            "office:value='7'/><table:table-cell table:number-columns-repeated='16383'/></table:table-row>"
            "<table:table-row table:number-rows-repeated='1048575'><table:table-cell/></table:table-row>"
            "</table:table>")  # fmt: skip
    assert "| 7 |" in (await text_of(worker, "a.ods", documents.open_document(body, "spreadsheet"))).text


async def test_cells_that_repeat_with_words_are_bounded(worker: MediaWorker) -> None:
    body = ("<table:table table:name='S'><table:table-row table:number-rows-repeated='1048576'><table:table-cell "
            "table:number-columns-repeated='16384'><text:p>x</text:p></table:table-cell></table:table-row>"
            "</table:table>")  # fmt: skip
    with pytest.raises(InputTooLarge, match="more than 1,000,000 cells"):
        await taken(worker, "a.ods", documents.open_document(body, "spreadsheet"))


# ---- books ---------------------------------------------------------------------------------------


async def test_a_book_is_read_in_its_own_order_with_its_pictures(worker: MediaWorker) -> None:
    parts = await taken(worker, "tides.epub", documents.book(SIGN))
    text = parts[0]
    assert isinstance(text, Text)
    assert text.text.split("\n\n") == [
        "# Tides", "by Ann Oakley", "# First", "It was a cold morning.", "# Second", "The ferry left at noon.",
        "[image 1: plate]",
    ]  # fmt: skip
    assert [data for _, data in pictures(parts)] == [SIGN]


async def test_a_book_with_copy_protection_says_so_and_mangled_fonts_are_no_matter(worker: MediaWorker) -> None:
    way = '<encryption><EncryptedData><EncryptionMethod Algorithm="{}"/></EncryptedData></encryption>'
    locked = way.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    with pytest.raises(InputEncrypted, match="copy protection"):
        await taken(worker, "a.epub", documents.book(members={"META-INF/encryption.xml": locked}))
    fonts = way.format("http://www.idpf.org/2008/embedding")
    assert await taken(worker, "a.epub", documents.book(members={"META-INF/encryption.xml": fonts}))


# ---- archives ------------------------------------------------------------------------------------


async def test_an_archive_is_a_mail_without_words(worker: MediaWorker) -> None:
    data = documents.packed({
        "docs/report.docx": documents.word(), "notes.txt": b"just words", "sign.png": SIGN,
        "old/inner.zip": documents.packed({"deep.txt": b"deep words"}), "cut.png": SIGN[:200], "empty/": b"",
        "__MACOSX/._notes.txt": b"\0\5\x16\7",
    })  # fmt: skip
    parts = await taken(worker, "all.zip", data)
    assert named(parts) == [
        "all.zip", "all.zip, docs/report.docx", "all.zip, notes.txt", "all.zip, sign.png",
        "all.zip, old/inner.zip", "all.zip, old/inner.zip, deep.txt",
    ]  # fmt: skip
    text = parts[0]
    assert isinstance(text, Text)
    assert "- docs/report.docx\n- notes.txt\n- sign.png\n- old/inner.zip\n- cut.png" in text.text
    assert [note.split(":")[0] for note in text.notes] == ["file cut.png left out"]


async def test_a_page_that_a_browser_saved_is_read_with_its_pictures_and_style_sheets(worker: MediaWorker) -> None:
    page = (
        '<html><head><title>Notice</title><link rel="stylesheet" href="cid:css-1@mhtml.blink"></head><body>'
        "<p>The ferry to Rømø leaves at six.</p><p class=old>It left at five.</p><img src='../plan.png'>"
        "<img src='https://example.org/elsewhere.png' alt='map'></body></html>"
    )
    data = documents.saved_page(page, pictures={"https://example.org/plan.png": SIGN}, sheet=".old { display: none }")
    parts = await taken(worker, "notice.mhtml", data)
    text = parts[0]
    assert isinstance(text, Text) and len(parts) == 2 and pictures(parts)
    assert "leaves at six" in text.text and "five" not in text.text and "blink" not in text.text
    assert "1 hidden element left out" in text.notes


async def test_a_saved_page_that_is_cut_or_holds_another_page_says_so(worker: MediaWorker) -> None:
    data = documents.saved_page("<p>The ferry leaves at six, from the other side of the harbour.</p>")
    text = (await taken(worker, "notice.mht", data[: data.rindex(b"------MultipartBoundary")]))[0]
    assert isinstance(text, Text) and "leaves at six" in text.text
    assert "its end is missing, so parts of it may be" in text.notes
    framed = data.replace(b"text/css", b"text/html")
    text = (await taken(worker, "notice.mht", framed))[0]
    assert isinstance(text, Text) and "1 page within the page left out" in text.notes


async def test_names_that_lead_upwards_are_names_and_no_more(worker: MediaWorker) -> None:
    data = documents.packed({"../../etc/passwd": b"words", "/root/.ssh/id": b"other", "c:\\x\\..\\y.txt": b"third"})
    assert named(await taken(worker, "a.zip", data)) == [
        "a.zip", "a.zip, etc/passwd", "a.zip, root/.ssh/id", "a.zip, c:/x/y.txt",
    ]  # fmt: skip


async def test_archives_in_archives_end_at_the_third(worker: MediaWorker) -> None:
    data = b"words"
    for depth in range(5):
        data = documents.packed({f"level{depth}.zip" if depth else "a.txt": data})
    parts = await taken(worker, "a.zip", data)
    assert len(parts) == 3 and not any("words" in getattr(part, "text", "") for part in parts)
    last = parts[-1]
    assert isinstance(last, Text) and last.notes == ("file level2.zip left out: it lies 3 files deep",)


async def test_an_archive_that_copies_itself_is_bounded(worker: MediaWorker) -> None:
    data = documents.packed({f"{number}.txt": b"x" for number in range(60)})
    for _ in range(2):
        data = documents.packed({f"{number}.zip": data for number in range(50)})
    parts = await taken(worker, "a.zip", data)
    assert len(parts) <= 52


async def test_an_archive_bomb_and_a_locked_one_are_refused(worker: MediaWorker) -> None:
    with pytest.raises(InputTooLarge, match="times smaller than it is"):
        await taken(worker, "a.zip", documents.packed({"zeros": bytes(40 << 20)}))
    locked = bytearray(documents.packed({"a.txt": b"x"}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + at] |= 1
    with pytest.raises(InputEncrypted):
        await taken(worker, "a.zip", bytes(locked))
    with pytest.raises(InputEmpty):
        await taken(worker, "a.zip", documents.packed({}))


# ---- notebooks -----------------------------------------------------------------------------------


async def test_a_notebook_is_read_cell_by_cell_and_never_as_base64(worker: MediaWorker) -> None:
    shown = base64.b64encode(SIGN).decode()
    data = documents.notebook(
        {"cell_type": "markdown", "source": ["# Tides\n", "![chart](attachment:a.png)"],
         "attachments": {"a.png": {"image/png": base64.b64encode(RED).decode()}}},
        {"cell_type": "code", "execution_count": 3, "source": "print('``` high')", "outputs": [
            {"output_type": "stream", "name": "stdout", "text": ["high\n", "water\n"]},
            {"output_type": "display_data", "data": {"image/png": shown, "text/plain": ["<Figure size 3x3>"]}},
            {"output_type": "execute_result", "data": {"text/plain": "517",
                                                       "text/html": f"<img src='data:image/png;base64,{shown}'>"}},
            {"output_type": "error", "ename": "ValueError", "evalue": "no tide",
             "traceback": ["\x1b[0;31mValueError\x1b[0m: no tide"]}]},
    )  # fmt: skip
    parts = await taken(worker, "a.ipynb", data)
    text = parts[0]
    assert isinstance(text, Text)
    assert "````python\nprint('``` high')\n````\n\nOutput [3]:\n\n```\nhigh\nwater\n```" in text.text
    assert "```\n517\n```" in text.text and "```\nValueError: no tide\n```" in text.text
    assert shown[:40] not in text.text and "Figure" not in text.text and "\x1b" not in text.text
    assert [data for _, data in pictures(parts)] == [RED, SIGN]
    assert "[image 1: chart]" in text.text


async def test_half_a_character_in_a_notebook_does_not_cost_the_worker(worker: MediaWorker) -> None:
    data = documents.notebook({"cell_type": "markdown", "source": "tide \ud800 table"})
    assert (await text_of(worker, "a.ipynb", data)).text == "tide \ufffd table"


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "kind", "words"),
    [
        ("a.odt", documents.packed({"mimetype": "application/vnd.oasis.opendocument.text"}), InputBroken, "missing"),
        ("a.epub", documents.packed({"mimetype": "application/epub+zip", "a": b"x"}), InputBroken, "as a book"),
        ("a.ipynb", b'{"nbformat": 4, "cells": 7}', InputBroken, "as a notebook"),
        ("a.rtf", rb"{\rtf1 }", InputEmpty, "no text"),
        ("a.rtf", rb"{\rtf1 " + b"{" * 20_000 + b"x", InputTooLarge, "groups"),
        ("a.pages", documents.packed({"Index/Document.iwa": b"x"}), InputUnsupported, "Pages"),
        (
            "a.vsdx",
            documents.packed({"[Content_Types].xml": b"<a/>", "visio/document.xml": b"<a/>"}),
            InputUnsupported,
            "a Visio drawing",
        ),
        (
            "a.xps",
            documents.packed({"[Content_Types].xml": b"<a/>", "FixedDocSeq.fdseq": b"<a/>"}),
            InputUnsupported,
            "an XPS document",
        ),
        ("a.oxps", documents.packed({"FixedDocSeq.fdseq/[0].piece": b"<a/>"}), InputUnsupported, "an XPS document"),
    ],
)
async def test_what_cannot_be_read_says_why(
    worker: MediaWorker, name: str, data: bytes, kind: type[InputError], words: str
) -> None:
    with pytest.raises(kind, match=words) as raised:
        await taken(worker, name, data)
    assert raised.value.todo and raised.value.where == name


MAKERS = {
    "report.odt": lambda: written("report.odt"), "report.rtf": lambda: written("report.rtf"),
    "report.doc": lambda: written("report.doc"), "sales.ods": lambda: written("sales.ods"),
    "sales.xls": lambda: written("sales.xls"), "tides.odp": lambda: written("tides.odp"),
    "tides.ppt": lambda: written("tides.ppt"), "book.epub": lambda: documents.book(SIGN),
    "all.zip": lambda: documents.packed({"a.txt": b"words", "b.png": SIGN}),
    "page.mhtml": lambda: documents.saved_page("<p>words</p>", pictures={"https://example.org/a.png": SIGN}),
    "a.ipynb": lambda: documents.notebook({"cell_type": "code", "source": "1", "outputs": []}),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_each_is_told_by_its_bytes_whatever_it_is_called(name: str) -> None:
    data = MAKERS[name]()
    assert sniff(data, name) == sniff(data, "" if name.endswith(("ipynb", "mhtml")) else "misleading.txt")


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
async def test_a_worker_that_did_nothing_else_reads_each(name: str) -> None:
    """Nothing is imported late, when no file can be opened."""
    async with MediaWorker() as fresh:
        assert (await taken(fresh, name, MAKERS[name]()))[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
async def test_damaged_files_are_refused_in_one_sentence_or_taken(worker: MediaWorker, name: str) -> None:
    whole = MAKERS[name]()
    for number in range(24):
        broken = bytearray(whole[: len(whole) * (number % 6 + 1) // 6])
        for place in range(number * 3):
            broken[(place * 7919 + number * 104729) % len(broken)] ^= 0x55
        try:
            await taken(worker, name, bytes(broken))
        except InputError as error:
            assert error.what and error.todo and "(" not in error.what.replace("(ZIP)", ""), error
