"""The decision and cost against volume as an image and a page: nothing but shapes and words, none of them outside."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import msgspec
import pytest
from tests.page_width import PAGE, narrowest
from tests.unit.advisor.advice_of import advice, endpoints

from intermodal.catalog.types import Price
from intermodal.charts.advice import WIDE, VolumeMark, domain, page, svg

NS = "{http://www.w3.org/2000/svg}"
OWNED: dict[str, Any] = {"hardware_price": 2400.0, "power": 300.0, "kwh": 0.3, "hardware": "24GB"}


def words(picture: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(picture).iter(f"{NS}text")]


def test_the_picture_has_every_fork_the_decision_and_the_crossing() -> None:
    made = advice("pdf,image", requests="10000/day", waits=True, **OWNED)
    said = words(svg(made))
    assert all(any(fork.question in word for word in said) for fork in made.path)
    assert any(word.startswith("Decision:") for word in said) and made.decided_use.title in said
    assert f"break-even: {made.break_even.requests.mid:,.0f}" in said and "yours: 304,375" in said
    assert any(word.startswith("no would lead to an LLM") for word in said)


def test_who_does_not_see_it_is_told_the_text() -> None:
    made = advice("audio", private=("audio",))
    assert ET.fromstring(svg(made))[1].text == str(made)


def test_the_same_advice_gives_the_same_bytes_and_refers_to_nothing() -> None:
    made = advice("pdf,image", requests="10000/day", **OWNED)
    assert svg(made) == svg(made)
    assert not re.search(r"<script|href|url\(|@import", svg(made))
    assert svg(made, "second") != svg(made), "two on one page want two names"


def test_everything_stays_inside_the_picture() -> None:
    root = ET.fromstring(svg(advice("pdf,image", requests="10000/day", **OWNED)))
    high = float(root.attrib["height"])
    for text in root.iter(f"{NS}text"):
        assert 0 <= float(text.attrib["x"]) <= WIDE and 0 <= float(text.attrib["y"]) <= high
    numbers = [list(map(float, re.findall(r"-?\d+(?:\.\d+)?", path.attrib["d"]))) for path in root.iter(f"{NS}path")]
    assert all(-1 <= value <= max(WIDE, high) for path in numbers for value in path)


@pytest.mark.parametrize("makes", ["transcript", "text"])
def test_no_chart_is_drawn_without_a_known_price(makes: str) -> None:
    unpriced = tuple(msgspec.structs.replace(e, price=Price()) if e.host.id == "acme" else e for e in endpoints())
    said = words(svg(advice("audio", makes, among=unpriced)))
    assert not any("Cost a month" in word for word in said)


def test_the_axis_is_wide_enough_for_every_mark() -> None:
    for marks in (
        [],
        [VolumeMark(words="yours", requests_per_month=30.0)],
        [VolumeMark(words="a", requests_per_month=1.0), VolumeMark(words="b", requests_per_month=1e9, low=1e8)],
    ):
        low, high = domain(marks)
        assert low < high and all(low < mark.requests_per_month < high for mark in marks)


def test_the_page_has_every_offer_and_loads_nothing() -> None:
    made = advice("pdf,image", requests="10000/day", prompt="<b>What?</b>", **OWNED)
    whole = page(made)
    assert whole.startswith("<!DOCTYPE html>") and "default-src 'none'" in whole and "<svg" in whole
    picks = len(made.best) + (made.otherwise is not None)
    assert whole.count("<tr>") == 1 + picks + 1 + sum(len(kind.offers) for kind in made.kinds)
    assert not re.search(r"<script|src=|href=", whole) and "<b>What?" not in whole


def test_no_column_of_the_page_is_cut_at_1200_pixels() -> None:
    made = advice("pdf,image", requests="10000/day", **OWNED)
    assert all(table <= PAGE for table in narrowest(page(made)))
