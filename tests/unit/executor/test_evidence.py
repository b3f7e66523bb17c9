"""Where a value stands in a text: what counts as standing there, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from intermodal.executor.outputs.evidence import EvidenceSource, EvidenceSources, evidence_of

INVOICE = """Acme Rail Ltd
Invoice INV-20417, container MSKU 482913-7
Date: 18 January 2024, due 03.04.24
Total € 1.380,50 net 14 216 VAT 19 %
Discount -50.00, code 0042
NorthboundRail Freight, Café Zürich"""


def status(value: Any, schema: dict[str, Any] | None = None, text: str = INVOICE, *, whole: bool = True) -> str:
    sources = EvidenceSources((EvidenceSource("invoice.png", text),), whole)
    (found,) = evidence_of({"it": value}, {"properties": {"it": schema or {}}}, sources)
    return found.status


@pytest.mark.parametrize(
    "value",
    [
        1380.5, 14216, 20417, 0.19, 19, 50, -50.0, 42,
        "INV-20417", "inv 20417", "MSKU482913-7", "Northbound Rail Freight", "cafe zurich", "0042",
        "2024-01-18", "18/01/2024", "January 18th, 2024", "18. Januar 2024", "2024-04-03",
        "EUR 1,380.50", "1380.50 €", "1.380,50",
    ],
)  # fmt: skip
def test_a_value_is_found_as_a_reader_would_find_it(value: Any) -> None:
    assert status(value) == "found"


@pytest.mark.parametrize(
    "value",
    [
        1284.5, 1380, 138050, 1380.05, -1380.5, 2024.5,
        "INV-20418", "13.80", "138050", "freigh", "042", "2024-01-19", "18 February 2024", "USD 1,380.50", "Acme Ltd",
        "Northbound Rail Freight Ltd",
    ],
)  # fmt: skip
def test_a_value_that_no_source_contains_is_unverified(value: Any) -> None:
    assert status(value) == "unverified"


def test_a_placeholder_is_no_value_though_its_word_stands_in_the_text() -> None:
    for value in (",<invoice>,", "{date}", "[Total]", "Invoice ___"):
        assert status(value) == "unverified"
    assert status("[1] Acme", text="see [1] Acme Rail Ltd") == "found"


def test_a_number_whose_beginning_is_missing_is_found_only_where_it_is_written_so() -> None:
    for value in (".1380.50", ",380.50", ".50"):
        assert status(value) == "unverified"
    assert status(".50", text="a rate of .50 a day") == status(",5", text="bore ,5 mm") == "found"


def test_a_choice_and_a_yes_need_not_stand_in_the_text_to_be_right() -> None:
    listed = {"enum": ["paid", "open"]}
    assert status("open", listed) == "unchecked" and status("discount", {"enum": ["discount"]}) == "found"
    assert status("paid", {"$ref": "#/$defs/none"}) == "unverified"
    assert status(True) == "unchecked"


@pytest.mark.parametrize(
    ("text", "answer", "listed", "found"),
    [
        ("Total due EUR 1,380.50", "USD", ["EUR", "GBP", "USD"], "unverified"),
        ("Total due 1.380,50 €", "USD", ["EUR", "GBP", "USD"], "unverified"),
        ("Total due EUR 1,380.50", "EUR", ["EUR", "GBP", "USD"], "found"),
        ("Total due 1,380.50", "USD", ["EUR", "GBP", "USD"], "unchecked"),
        ("Total due $ 12.00", "CAD", ["USD", "CAD", None], "unchecked"),
        ("Invoiced in Bonn", "DE", ["DE", "IN"], "unchecked"),
        ("I have a question: it crashes", "BUG", ["BUG", "QUESTION"], "unchecked"),
        ("a cash payment", "card", ["card", "cash"], "unchecked"),
    ],
)
def test_a_code_is_unverified_where_the_text_has_another_of_its_list(
    text: str, answer: str, listed: list[str | None], found: str
) -> None:
    """Codes name things; words of a list may be a judgement, which no text has to spell out."""
    schema = {"properties": {"field": {"enum": listed}}}
    (each,) = evidence_of({"field": answer}, schema, EvidenceSources((EvidenceSource("a.txt", text),)))
    assert each.status == found


def test_a_model_that_saw_more_than_text_may_know_more() -> None:
    assert status(1284.5, whole=False) == "unchecked" and status(1380.5, whole=False) == "found"


def test_without_a_file_nothing_is_looked_for() -> None:
    assert evidence_of({"capital": "Paris"}, {}, EvidenceSources()) == ()


def test_each_value_is_named_and_shown_where_it_stands() -> None:
    read = (EvidenceSource("a.pdf", "nothing", page=1), EvidenceSource("a.pdf", "one\ntwo 7,50\nthree", page=2))
    spoken = EvidenceSource("call.wav", "ask not\nwhat your country", starts=(0.5, 4.0))
    data = {"items": [{"price/unit": 7.5}], "said": "your country", "none": None, "empty": ""}
    price, said, *empty = evidence_of(data, {}, EvidenceSources((*read, spoken)))
    assert [(each.field, each.status) for each in empty] == [("/none", "unchecked"), ("/empty", "unchecked")]
    assert (price.field, price.file, price.page, price.line, price.text) == (
        "/items/0/price~1unit", "a.pdf", 2, 2, "two 7,50",
    )  # fmt: skip
    assert (said.field, said.file, said.at, said.line) == ("/said", "call.wav", 4.0, 0)


def test_a_schema_that_leads_back_to_itself_and_an_endless_answer_come_to_an_end() -> None:
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"items": {"$ref": "#"}}]}}}
    data: Any = "x"
    for _ in range(400):
        data = [data]
    (found,) = evidence_of(data, schema, EvidenceSources((EvidenceSource("a.txt", "y"),)))
    assert found.status == "unverified"
    many = evidence_of(["no"] * 3000, {}, EvidenceSources((EvidenceSource("a.txt", "yes"),)))
    assert [each.status for each in many[1999:2001]] == ["unverified", "unchecked"]
