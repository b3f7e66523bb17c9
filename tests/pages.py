# ruff: noqa: E501 - markup is read by line, not by width
"""Pages of the web with known contents: what a reader came for, and what stands around it."""

from __future__ import annotations

from typing import NamedTuple

NAV = (
    '<header class="site-header"><a href="/">Harbour Gazette</a><nav class="main-nav"><ul><li><a href="/news">News</a>'
    '</li><li><a href="/sport">Sport</a></li><li><a href="/jobs">Jobs and careers</a></li><li><a href="/shop">Shop</a>'
    "</li></ul></nav></header>"
)
COOKIES = (
    '<div id="cookie-banner" class="cookie-consent" role="dialog"><p>We value your privacy. We and our 814 partners store '
    "cookies on your device.</p><button>Accept all</button><button>Reject all</button></div>"
)
ASIDE = (
    '<aside class="sidebar"><h3>Most read</h3><ul><li><a href="/a">Ten boats you will love</a></li><li><a href="/b">Why '
    'everybody buys this anchor</a></li></ul><div class="ad">Advertisement: cheap sails</div></aside>'
)
FOOTER = (
    '<footer><p>© 2026 Harbour Gazette</p><ul><li><a href="/imprint">Imprint</a></li><li><a href="/terms">Terms of '
    'service</a></li></ul><div class="share">Share on Facebook Share on X</div><form>Subscribe to our newsletter'
    "<input></form></footer>"
)
AROUND = (
    "814 partners",
    "Jobs and careers",
    "Ten boats you will love",
    "cheap sails",
    "Terms of service",
    "newsletter",
)
PROSE = (
    "The harbour of Emden closed its inner lock on Monday after divers found a crack in the northern gate.",
    "Repairs will take eleven weeks, said harbour master Ingrid Solheim, and cost 2.4 million euros.",
    "Until then ships of more than 9.5 metres draught have to wait for the tide at the outer pier.",
    "The crane Brunhilde, built in 1974, will be moved to the outer pier by barge on Thursday night.",
)


class Page(NamedTuple):
    """``wanted`` has to arrive, ``around`` should not."""

    html: str
    wanted: tuple[str, ...]
    around: tuple[str, ...] = AROUND


def _page(body: str, title: str = "Lock closed - Harbour Gazette", around: bool = True) -> str:
    inner = f"{COOKIES}{NAV}{body}{ASIDE}{FOOTER}" if around else body
    head = f'<head><meta charset="utf-8"><title>{title}</title></head>'
    return f'<!DOCTYPE html><html lang="en">{head}<body>{inner}</body></html>'


_P = "".join(f"<p>{line}</p>" for line in PROSE)
_TABLE = (
    "<table><thead><tr><th>Port</th><th>Depth</th><th>Cranes</th></tr></thead><tbody><tr><td>Emden</td><td>9.5 m</td>"
    "<td>3</td></tr><tr><td>Husum</td><td>4.1 m</td><td>1</td></tr></tbody></table>"
)
_CODE = "<pre><code>def depth(port):\n    return TABLE[port]  # metres\n</code></pre>"
_COMMENTS = (
    '<section id="comments" class="comments"><h2>2 comments</h2><div class="comment"><b>Ben</b><p>The old gate was from '
    '1951, I helped to build it.</p></div><div class="comment"><b>Cem</b><p>Will the ferry run?</p></div></section>'
)
_CARDS = "".join(
    f'<div class="card"><h4>{name}</h4><span class="price">{price} €</span><span>{stock} in stock</span></div>'
    for name, price, stock in (("Anchor 12 kg", 89, 4), ("Bilge pump", 45, 11), ("Rope 50 m", 62, 0))
)
_METRICS = "".join(
    f'<div class="tile"><div class="label">{label}</div><div class="value">{value}</div></div>'
    for label, value in (("Water level", "7.82 m"), ("Wind", "5 Bft NW"), ("Ships waiting", "3"), ("Lock", "closed"))
)
_ROWS = "".join(f"<tr><td>{n}</td><td>Ship {n}</td><td>{n * 7} t</td></tr>" for n in range(1, 31))

PAGES: dict[str, Page] = {
    "article": Page(
        _page(f'<main><article><h1>Lock closed for eleven weeks</h1><p class="byline">By Ann Oakley</p>{_P}</article></main>'),
        ("Lock closed for eleven weeks", "Ann Oakley", *PROSE),
    ),
    "article with table, list, code and links": Page(
        _page(
            f"<main><article><h1>Depths</h1>{_P}<h2>By port</h2>{_TABLE}<h2>What to do</h2><ol><li>Call the lock</li>"
            "<li>Wait at the outer pier<ul><li>with lights on</li></ul></li></ol><p>See <a "
            f'href="https://example.org/tides">the tide table</a> for times.</p>{_CODE}</article></main>'
        ),
        (*PROSE, "| Emden | 9.5 m | 3 |", "| Husum | 4.1 m | 1 |", "Call the lock", "with lights on",
         "[the tide table](https://example.org/tides)", "def depth(port):\n    return TABLE[port]  # metres"),
    ),
    "article in nested divisions without semantic elements": Page(
        _page(f'<div id="wrap"><div class="col-8"><div class="entry-content"><h1>Lock closed</h1>{_P}</div></div></div>'),
        ("Lock closed", *PROSE),
    ),
    "article with comments": Page(
        _page(f"<main><article><h1>Lock closed</h1>{_P}</article>{_COMMENTS}</main>"),
        (*PROSE, "The old gate was from 1951", "Will the ferry run?"),
    ),
    "shop of cards": Page(
        _page(f'<main><h1>Chandlery</h1><div class="grid">{_CARDS}</div></main>', "Chandlery"),
        ("Anchor 12 kg", "89 €", "Bilge pump", "11 in stock", "Rope 50 m", "62 €"),
    ),
    "dashboard": Page(
        _page(f'<div id="app"><h1>Live</h1><div class="tiles">{_METRICS}</div></div>', "Live"),
        ("Water level", "7.82 m", "5 Bft NW", "Ships waiting", "closed"),
    ),
    "page that is a table": Page(
        _page(f"<h1>Waiting list</h1><table><tr><th>No</th><th>Ship</th><th>Load</th></tr>{_ROWS}</table>", "Waiting list"),
        ("| 1 | Ship 1 | 7 t |", "| 17 | Ship 17 | 119 t |", "| 30 | Ship 30 | 210 t |"),
    ),
    "page without anything around": Page(
        _page(f"<h1>Notice</h1>{_P}<p>Signed: <b>Ingrid Solheim</b></p>", "Notice", around=False),
        ("Notice", *PROSE, "Signed:", "Ingrid Solheim"), (),
    ),
    "invoice": Page(
        _page("<h1>Invoice 2026-118</h1><div>Harbour Ltd</div><div>Pier 7, Emden</div>"
              "<table><tr><td>Mooring</td><td>3 nights</td><td>120.00 €</td></tr><tr><td>Water</td><td>2 m3</td>"
              "<td>14.00 €</td></tr></table><p>Total: 134.00 €</p><p>IBAN DE02 1203 0000 0000 2020 51</p>",
              "Invoice", around=False),
        ("Invoice 2026-118", "Pier 7, Emden", "| Mooring | 3 nights | 120.00 € |", "134.00 €", "IBAN DE02"), (),
    ),
    "documentation": Page(
        _page(
            '<div class="toc"><ul><li><a href="#a">Install</a></li><li><a href="#b">Use</a></li></ul></div><main><h1>pier'
            f"</h1><p>A client for harbour masters.</p><h2 id=a>Install</h2><pre>pip install pier</pre><h2 id=b>Use</h2>"
            f"{_CODE}<dl><dt>depth</dt><dd>metres below chart datum</dd></dl><blockquote>Not for navigation.</blockquote>"
            "</main>", "pier docs"),
        ("A client for harbour masters.", "pip install pier", "return TABLE[port]", "metres below chart datum",
         "Not for navigation."),
    ),
}  # fmt: skip
