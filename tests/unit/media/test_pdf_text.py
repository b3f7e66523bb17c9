"""The words of a PDF as a model gets them: tables, columns, headings, lists, links, values of forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gates import corpus
from tests.unit.media import papers
from tests.unit.media.asked import asked_about
from tests.unit.media.papers import INVOICE

from intermodal.media.pdf import annotations, document, layout, markdown
from intermodal.media.pdf.markdown import LayoutBlock, LayoutLine
from intermodal.media.worker_client import MediaWorker
from intermodal.testing import FakeHost


def words_of(data: bytes, *, plain: bool = False) -> str:
    return document.text(data, [1], lambda done, said: None, plain=plain)[0]


def in_order(text: str, *marks: str) -> bool:
    places = [text.find(mark) for mark in marks]
    return places == sorted(places) and min(places) >= 0


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


@pytest.mark.parametrize("style", [papers.GRID, papers.RIGHT], ids=["ruled", "unruled"])
def test_a_table_keeps_its_cells_an_empty_one_too(style: papers.TableStyle) -> None:
    text = words_of(papers.invoice(style))
    assert [line for line in text.splitlines() if line.startswith("| ")] == [row(cells) for cells in INVOICE]
    assert in_order(text, "# Invoice 4711", papers.prose(1)[:30], "| Item", "| Sum", "Thank you")


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_page_is_turned_back_before_it_is_read(degrees: int) -> None:
    text = words_of(papers.turned(degrees))
    assert [line for line in text.splitlines() if line.startswith("| ")] == [row(cells) for cells in INVOICE]
    assert in_order(text, "First line", "| Item", "| Sum", "Second line")


@pytest.mark.parametrize("count", [2, 3])
def test_columns_are_read_one_after_the_other_under_their_headline(count: int) -> None:
    text = words_of(papers.columns(count, "Flood closes the harbour bridge"))
    marks = [f"{end}{at}{part}" for at in range(count) for part in range(3) for end in ("Mark", "End")]
    assert in_order(text, "# Flood closes the harbour bridge", *marks)


@pytest.mark.parametrize(
    "entries", [("Invoice INV-20417", "Total due EUR 1,380.50"), ("Mill Lane 8", "4021 Dorton", "Kent")]
)
def test_short_lines_are_entries_and_stay_lines(entries: tuple[str, ...]) -> None:
    def draw(canvas: papers.Canvas) -> None:
        for place, entry in enumerate(entries):
            canvas.drawString(72, 770 - 16 * place, entry)

    assert words_of(papers.drawn(draw)).split("\n") == list(entries)


def test_a_table_of_short_cells_without_head_or_rules_is_no_columns() -> None:
    rows = [[f"EAY-{20_364 + 77 * at}", papers.NOUNS[at % 13], f"{at + 2},899.88"] for at in range(30)]
    text = words_of(papers.built([papers.Table(rows, colWidths=[120, 120, 120])]))
    assert [line for line in text.splitlines() if line.startswith("| ")] == [row(cells) for cells in rows]


YEARS = [["", "2024", "", "2025", ""], ["Region", "Sales", "Costs", "Sales", "Costs"],
         ["North", "1,204", "880", "1,310", "902"], ["South", "990", "701", "1,044", "733"],
         ["West", "310", "205", "355", "230"]]  # fmt: skip
OVER_TWO = [("SPAN", (1, 0), (2, 0)), ("SPAN", (3, 0), (4, 0)), ("ALIGN", (1, 0), (-1, 0), "CENTER")]


@pytest.mark.parametrize(
    "style",
    [[("GRID", (0, 0), (-1, -1), 0.5, "black")], [], [("ALIGN", (1, 1), (-1, -1), "RIGHT")]],
    ids=["ruled", "words at the left", "figures at the right"],
)
def test_a_head_over_several_columns_stands_over_each_of_them(style: list[tuple[object, ...]]) -> None:
    table = papers.Table(YEARS, colWidths=[90] * 5, style=papers.TableStyle([*OVER_TWO, *style]))
    found = [line for line in words_of(papers.built([table])).splitlines() if line.startswith("| ")]
    assert found == [row(["", "2024", "2024", "2025", "2025"]), *map(row, YEARS[1:])]


def test_heads_over_three_columns_each_are_told_from_heads_of_the_middle_ones() -> None:
    rows = [["", "First half", "", "", "Second half", "", ""], ["Region", "Jan", "Feb", "Mar", "Apr", "May", "Jun"],
            ["North", "1", "2", "3", "4", "5", "6"], ["South", "9", "8", "7", "6", "5", "4"]]  # fmt: skip
    style = [("SPAN", (1, 0), (3, 0)), ("SPAN", (4, 0), (6, 0)), ("ALIGN", (1, 0), (-1, 0), "CENTER"),
             ("GRID", (0, 0), (-1, -1), 0.5, "black")]  # fmt: skip
    table = papers.Table(rows, colWidths=[60] * 7, style=papers.TableStyle(style))
    assert row(["", *["First half"] * 3, *["Second half"] * 3]) in words_of(papers.built([table]))


def test_words_over_a_whole_table_stand_before_it() -> None:
    rows = [["Quarterly results in thousands of euros", "", "", ""], ["Region", "Q1", "Q2", "Q3"],
            ["North", "12", "15", "18"], ["South", "9", "7", "11"]]  # fmt: skip
    style = [("SPAN", (0, 0), (-1, 0)), ("ALIGN", (0, 0), (-1, 0), "CENTER"), ("GRID", (0, 0), (-1, -1), 0.5, "black")]
    text = words_of(papers.built([papers.Table(rows, colWidths=[90] * 4, style=papers.TableStyle(style))]))
    assert text.startswith(f"Quarterly results in thousands of euros\n\n{row(rows[1])}")


def test_a_head_of_one_column_stays_with_it() -> None:
    rows = [
        ["", "Target", "", ""],
        ["Region", "Q1", "Q2", "Q3"],
        ["North", "12", "15", "18"],
        ["South", "9", "7", "11"],
    ]
    style = [("GRID", (0, 0), (-1, -1), 0.5, "black")]
    text = words_of(papers.built([papers.Table(rows, colWidths=[90] * 4, style=papers.TableStyle(style))]))
    assert row(rows[0]) in text


def test_lists_and_headings_are_marked() -> None:
    lines = words_of(papers.lists()).splitlines()
    assert {"- Bring the river", "- Bring the mountain", "- Bring the account"} <= set(lines)
    assert {"1. Turn the delivery", "2. Turn the harbour", "3. Turn the window"} <= set(lines)
    assert [re.sub("^#+ ", "", line) for line in lines if line.startswith("#")] == ["Packing", "Steps"]


def test_code_keeps_its_indentation() -> None:
    assert "def twice(x):\n    if x:\n        return x * 2\n    return None" in words_of(papers.code())


def test_words_apart_at_the_end_of_a_line_are_joined() -> None:
    text = words_of(papers.hyphenated())
    assert "infrastructure" in text and "environmental" in text and "well-known" in text


def test_a_link_stands_at_its_words_and_one_without_words_after_the_text() -> None:
    text = words_of(papers.linked())
    assert "Our terms are long." in text
    assert "Read the [terms](https://example.com/terms) before you sign." in text
    assert text.endswith("Links:\n- https://example.com/logo")


def test_values_of_a_form_stand_by_what_people_call_them() -> None:
    text = words_of(papers.form())
    fields = "- Full name: Ada Byron\n- City: London\n- Newsletter: [x]\n- Parking: [ ]"
    assert f"Form fields:\n{fields}" in text
    assert "Remarks on this page:\n- Ask for the second name" in text


def test_a_value_of_a_form_comes_once() -> None:
    """The layout draws values as words: in a line of their own, where its columns part them from what they are of."""
    text = words_of(papers.form())
    assert text.count("Ada Byron") == 1 and text.count("London") == 1
    beside = words_of(papers.form_beside())
    assert "Applicant: Wilhelmina Quist" in beside and "Place: Groningen" in beside
    assert beside.count("Wilhelmina Quist") == 1 and beside.count("Groningen") == 2, "one is the page's own"
    assert "- Remarks: (empty)" in beside


def test_what_lies_over_a_page_is_counted_and_found_before_it_is_extracted() -> None:
    """A form that is filled in has most of its words there, and a plan asks for the pages that hold a question's."""
    page = document.probe(papers.form(), "application/pdf").pages[0]
    told = words_of(papers.form(), plain=True)
    assert page.over > len("Full name: Ada Byron") + len("City: London")
    assert page.chars + page.over == pytest.approx(len(told), abs=4)
    assert {"registration", "byron", "london"} <= set(page.words)
    assert document.probe(papers.columns(2), "application/pdf").pages[0].over == 0


def test_without_the_layout_no_word_link_or_value_is_lost() -> None:
    for data in (papers.invoice(), papers.form(), papers.linked(), papers.columns(2)):
        assert set(re.findall(r"\w+", words_of(data))) == set(re.findall(r"\w+", words_of(data, plain=True)))


def test_words_that_the_layout_loses_are_taken_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "pages", lambda data, numbers: {1: "Invoice"})
    assert "Thank you for the order." in words_of(papers.invoice())


def test_pages_of_very_many_strokes_are_read_without_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(layout, "pages", lambda data, numbers: asked.extend(numbers) or {})
    words = b" BT/F 9 Tf(hello)Tj ET"
    font = b"/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    strokes = b" ".join(b"0 %d m 9 %d l" % (at % 99, at % 99) for at in range(15_000)) + b" S"
    assert words_of(corpus.pdf_with_content(strokes + words, page=font)) == "hello"
    assert asked == []
    words_of(corpus.pdf_with_content(strokes[:100] + b" S" + words, page=font))
    assert asked == [1]


def test_attached_files_are_named_in_a_note(tmp_path: Path) -> None:
    data = corpus.pdf_with_actions("http://127.0.0.1:9/", "/etc/passwd")
    (note,) = document.probe(data, "application/pdf").notes
    assert note.startswith("1 attached file is not opened: ")
    assert document.probe(papers.invoice(), "application/pdf").notes == ()


@pytest.mark.anyio
async def test_a_sealed_worker_reads_a_table_first_of_all() -> None:
    async with MediaWorker() as worker:
        (text,) = await worker.page_text(papers.invoice(), (1,), name="invoice.pdf")
    assert row(INVOICE[1]) in text


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="21.00") as fake:
        yield fake


@pytest.mark.slow
def test_a_model_gets_the_table_and_is_told_of_attached_files(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = asked_about("What do the hooks cost together?", papers.invoice(), host, tmp_path, monkeypatch)
    assert answer.status_code == 200, answer.text
    assert "| Steel hook, large | 12 | 1.75 | 21.00 |" in host.attempts[0].text


def test_a_table_has_the_columns_that_its_lines_have() -> None:
    words = [
        LayoutLine("Novak", (50, 0, 90, 10)), LayoutLine("The insurance company counted", (150, 0, 300, 10)),
        LayoutLine("7.59", (330, 0, 350, 10)), LayoutLine("salt sacks.", (150, 12, 200, 22)),
        LayoutLine("Okafor", (50, 30, 90, 40)), LayoutLine("Our customer", (150, 30, 210, 40)), LayoutLine("4.43",
        (330, 30, 350, 40)),
    ]  # fmt: skip
    seen = LayoutBlock(
        kind="table",
        rows=(("Novak", "The insurance company counted 7.59 salt sacks."), ("Okafor", "Our customer 4.43")),
        bands=((0, 22), (30, 40)), box=(50, 0, 350, 40),
    )  # fmt: skip
    finer = markdown.with_columns(seen, words)
    assert finer.rows == (
        ("Novak", "The insurance company counted salt sacks.", "7.59"),
        ("Okafor", "Our customer", "4.43"),
    )
    assert markdown.with_columns(finer, words) == finer
    across = [*words, LayoutLine("a note that goes across all columns", (50, 24, 350, 29))]
    assert markdown.with_columns(seen, across) == seen


def test_a_block_that_only_meets_a_table_keeps_its_words() -> None:
    cells = [LayoutLine(word, (50.0 + 200 * (at % 2), 20.0 * (at // 2), 90.0 + 200 * (at % 2), 20.0 * (at // 2) + 10))
             for at, word in enumerate(["Lamp", "3", "Hook", "12", "Paper", "40"])]  # fmt: skip
    left = LayoutBlock(kind="paragraph", text="Lamp Hook Paper", box=(50, 0, 90, 50))
    right = LayoutBlock(kind="paragraph", text="3 12 40", box=(250, 0, 290, 50))
    (found,) = markdown.with_tables([left, right], cells)
    assert found.rows == (("Lamp", "3"), ("Hook", "12"), ("Paper", "40"))
    longer = LayoutBlock(kind="paragraph", text="3 12 40 and what follows", box=(250, 0, 290, 200))
    assert markdown.with_tables([left, longer], cells) == [left, longer]


# ---- pure ------------------------------------------------------------------------------------------


def lines(*texts: str, right: float = 500.0) -> list[LayoutLine]:
    """Lines of a paragraph 12 points apart, each as long as its words are."""
    ends = [min(right, 50 + 5.0 * len(text)) for text in texts]
    return [LayoutLine(text, (50, 12.0 * at, ends[at], 12.0 * at + 10)) for at, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("texts", "edge", "parts"),
    [
        (("Total: 42 euros", "Date: 3 May"), 125, 2),  # labels
        (("12 Bridge Street", "Rotterdam"), 500, 2),  # there was room
        (("a line that goes on to the very edge", "and on"), 235, 1),
        (("1. one", "2. two", "3. three"), 85, 3),
        (("1. one thing leads to", "another"), 155, 1),
    ],
)  # fmt: skip
def test_a_line_break_that_was_meant_is_kept(texts: tuple[str, ...], edge: float, parts: int) -> None:
    assert len(markdown.with_line_breaks(" ".join(texts), lines(*texts), edge)) == parts


def test_a_whole_sentence_is_no_heading() -> None:
    sentence = "The customs officer inspected 806 oak boards at the northern gate."
    blocks = [LayoutBlock(kind="heading", text=text, level=1) for text in ("Section 2.", sentence)]
    assert markdown.page(blocks, []) == f"# Section 2.\n\n{sentence}"


def test_an_address_that_is_written_out_is_not_said_again() -> None:
    link = annotations.PageLink("https://a.example/x", "https://a.example/x")
    assert annotations.with_links("See https://a.example/x now", [link]) == "See https://a.example/x now"
    mail = annotations.PageLink("a@b.example", "mailto:a@b.example")
    assert annotations.with_links("Write to a@b.example", [mail]) == "Write to a@b.example"


def test_cells_that_hold_a_bar_or_several_lines_stay_one_cell() -> None:
    assert markdown.table([["a", "b"], ["x|y", "one\ntwo"]]).splitlines()[2] == "| x\\|y | one two |"


BILL = [["Item", "Pieces", "Amount"], ["Copper wire", "3", "120.00"], ["Paper rolls", "2", "1,284.50"],
        ["Cement bags", "9", "96.00"]]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("total", "says"),
    [("1,560.50", "the total 'Total' in file.pdf is 1,560.50 and the amounts above it add up to 1,500.50"),
     ("1,500.50", ""), ("1,800.60", "")],
    ids=["one digit away", "right", "with a tax"],
)  # fmt: skip
@pytest.mark.parametrize("style", [papers.GRID, papers.RIGHT], ids=["ruled", "unruled"])
def test_a_total_of_a_text_layer_that_is_one_digit_away_is_said(
    style: papers.TableStyle, total: str, says: str, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = papers.built([papers.text("Bill 12", "Title"), papers.Table([*BILL, ["Total", "", total]], style=style)])
    told = asked_about("What is the total?", data, host, tmp_path, monkeypatch).json()["usage"]["intermodal"]["notes"]
    assert [note for note in told if "add up to" in note] == ([f"{says}: a figure may be wrong"] if says else [])
