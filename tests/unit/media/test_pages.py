"""Pages of the web: what a reader came for arrives, what stands around it does not."""

from __future__ import annotations

import pytest
from tests.pages import COOKIES, NAV, PAGES, PROSE

from intermodal.media.office.html_pages import convert, markdown
from intermodal.media.office.image_collector import ImageCollector
from intermodal.media.worker_results import MediaProbeResult


def _probe(data: bytes) -> MediaProbeResult:
    return MediaProbeResult(width=100, height=100)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_arrives_without_what_stands_around_it(name: str) -> None:
    page = PAGES[name]
    found = convert(page.html.encode(), "page.html", _probe)
    assert [words for words in page.wanted if words not in found.text] == []
    assert [words for words in page.around if words in found.text] == []
    assert any("left out" in note for note in found.notes) is bool(page.around)


def test_a_page_that_is_nothing_but_links_stays_whole() -> None:
    links = "".join(f'<li><a href="https://a.example/{n}">Chapter {n}</a></li>' for n in range(40))
    found = convert(f"<html><body><nav><ul>{links}</ul></nav></body></html>".encode(), "toc.html", _probe)
    assert "[Chapter 39](https://a.example/39)" in found.text and not found.notes


@pytest.mark.parametrize("tag", ["header", "footer", "aside"])
def test_what_an_article_says_of_itself_stays(tag: str) -> None:
    own = f'<{tag}><p>By <a href="https://a.example/ann">Ann Oakley</a></p></{tag}>'
    page = f"<html><body>{NAV}{COOKIES}<article>{own}<p>{'</p><p>'.join(PROSE)}</p></article></body></html>"
    found = convert(page.encode(), "page.html", _probe)
    assert "[Ann Oakley](https://a.example/ann)" in found.text and "814 partners" not in found.text


def test_a_foot_that_is_content_stays() -> None:
    page = f"<html><body><h1>Invoice</h1><p>{PROSE[0]}</p><footer>IBAN DE02 1203 0000</footer></body></html>"
    assert "IBAN DE02 1203 0000" in convert(page.encode(), "invoice.html", _probe).text


@pytest.mark.parametrize(
    "beside",
    [
        "<footer><p>Imprint 7421, printed in Husum by the owners</p></footer>",
        '<aside class="sidebar"><p>Imprint 7421: our reader trip to Norway</p></aside>',
        '<div role="complementary"><p>Imprint 7421: what else is new</p></div>',
        '<div class="topNav"><span>Imprint 7421</span></div>',
        '<div><a href="/a">Imprint 7421</a> <a href="/b">Boats</a> <a href="/c">Anchors</a></div>',
        '<ul><li><a href="/a">Imprint 7421</a></li><li><a href="/b">Boats</a></li><li><a href="/c">Sails</a></li></ul>',
    ],
)
@pytest.mark.parametrize("tag", ["main", "article"])
def test_beside_what_a_page_calls_its_content_a_foot_or_a_side_column_goes(tag: str, beside: str) -> None:
    page = f"<html><body><{tag}><h1>Lock closed</h1><p>{'</p><p>'.join(PROSE)}</p></{tag}>{beside}</body></html>"
    found = convert(page.encode(), "page.html", _probe)
    assert all(line in found.text for line in PROSE) and "7421" not in found.text
    assert found.notes == ("1 menu, banner or side column left out",)


@pytest.mark.parametrize(
    "beside",
    [
        "<footer>VAT no. DE 123 456 789, phone +49 491 123456</footer>",
        "<footer>IBAN DE02 1203 0000 0000 2020 51</footer>",
        '<footer>Write to <a href="mailto:ann@a.example">Ann</a></footer>',
        "<aside><address>Pier 4, Emden</address></aside>",
        "<aside><table><tr><td>Open</td><td>9 to 5</td></tr></table></aside>",
        '<p>Sources: the <a href="https://a.example/1">log</a>, which Ann kept for eleven years of her life</p>',
    ],
)
def test_how_somebody_is_reached_and_what_is_text_stays_beside_the_content(beside: str) -> None:
    page = f"<html><body><main><h1>Lock closed</h1><p>{'</p><p>'.join(PROSE)}</p></main>{beside}</body></html>"
    found = convert(page.encode(), "page.html", _probe)
    assert not found.notes


def test_pages_that_other_readers_made_are_kept_whole() -> None:
    text, notes = markdown(PAGES["article"].html, ImageCollector(_probe))
    assert "Jobs and careers" in text and notes == []


def test_a_thousand_elements_in_one_another_are_no_matter() -> None:
    page = "<html><body>" + '<div class="menu"><a>x</a>' * 1_000 + f"<p>{PROSE[0]}</p>"
    assert PROSE[0] in convert(page.encode(), "deep.html", _probe).text


def test_a_page_that_names_its_content_by_an_id_arrives_without_what_is_beside_it() -> None:
    page = (
        '<html><body><div id="header"><a href="/">Home 1</a> of the Gazette</div><div id="content"><h1>Lock</h1>'
        f'<p>{"</p><p>".join(PROSE)}</p></div><div id="sidebar"><h3>Archive</h3><ul><li><a href="/1">January 2</a></li>'
        '<li><a href="/2">May</a></li></ul></div><div id="footer">Powered by Boats 3</div></body></html>'
    )
    found = convert(page.encode(), "page.html", _probe)
    assert all(line in found.text for line in PROSE)
    assert [each for each in ("Home 1", "January 2", "Boats 3") if each in found.text] == []


def _styled(sheet: str, body: str) -> str:
    page = f"<html><head><style>{sheet}</style></head><body><p>{'</p><p>'.join(PROSE)}</p>{body}</body></html>"
    found = convert(page.encode(), "page.html", _probe)
    assert all(line in found.text for line in PROSE)
    assert ("Berth 7421" in found.text) is ("1 hidden element left out" not in found.notes)
    return found.text


@pytest.mark.parametrize(
    "sheet",
    [
        ".late { display: none }",
        "/* of the print shop */ p#n1 { visibility:hidden; }",
        ".shut p, .other { opacity: 0 }",
        ".shut > .late { DISPLAY: None !important } .late { display: block }",
        "@media screen, print { p.late { font-size: 0px } }",
        "@import url(a.css); @layer base { .late { display: none } }",
        ".late { display: none } .late:hover, .late::before { display: block }",
        ".shut { visibility: hidden }",
    ],
)
def test_words_that_a_style_sheet_hides_are_left_out_and_that_is_said(sheet: str) -> None:
    assert "7421" not in _styled(sheet, '<div class="shut"><p class="late" id="n1">Berth 7421 is free</p></div>')


@pytest.mark.parametrize(
    "sheet",
    [
        "@media print { .late { display: none } }",
        "@media (max-width: 600px) { .late { display: none } }",
        ".late { display: none } @media (min-width: 600px) { .late { display: block } }",
        ".late { display: none } #n1 { display: block }",
        ".late { opacity: 0; transition: opacity 1s }",
        ".late:not(.seen) { display: none }",
        ".open > .late, .late + .late, div.late { display: none }",
        ".shut { font-size: 0 } .late { font-size: 14px }",
        "@keyframes come { from { opacity: 0 } } .x { color: red } } .late { color: blue }",
    ],
)
def test_words_that_a_style_sheet_shows_or_may_show_arrive(sheet: str) -> None:
    assert "Berth 7421" in _styled(sheet, '<div class="shut"><p class="late" id="n1">Berth 7421 is free</p></div>')


def test_a_page_that_a_script_would_show_is_kept_and_that_is_said() -> None:
    page = f"<style>body {{ display: none }}</style><body><p>{PROSE[0]}</p></body>"
    found = convert(page.encode(), "page.html", _probe)
    assert PROSE[0] in found.text
    assert found.notes == ("nearly all its words are hidden by its style sheets, and are kept",)


def test_a_hidden_preview_of_a_mail_is_left_out() -> None:
    page = "<style>.pre{display:none}</style><div class=pre>Preview 7421 of it all</div><p>See you at four</p>"
    text, notes = markdown(page, ImageCollector(_probe))
    assert text == "See you at four" and notes == ["1 hidden element left out"]
