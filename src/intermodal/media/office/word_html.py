"""Writes nested lists and links of DOC and RTF as HTML, from paragraphs that only state their depth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from intermodal.core.content import Value


class ListItem(Value):
    """A list paragraph. ``level``: depth from 0; ``ordered``: its list is numbered; ``html``: its content."""

    level: int
    ordered: bool
    html: str


def nested_list(items: Sequence[ListItem]) -> str:
    """Return the items as HTML lists, nested by their level.

    >>> nested_list([ListItem(level=0, ordered=False, html="a"), ListItem(level=1, ordered=True, html="b")])
    '<ul><li>a<ol><li>b</li></ol></li></ul>'
    """
    pieces, open_tags = list[str](), list[str]()
    for item in items:
        tag = "ol" if item.ordered else "ul"
        level = min(item.level, len(open_tags))  # at most one level deeper than the previous item
        while len(open_tags) > level + 1:
            pieces.append(f"</li></{open_tags.pop()}>")
        if len(open_tags) == level + 1:
            pieces.append("</li>")
            if open_tags[-1] != tag:
                pieces.append(f"</{open_tags.pop()}>")
        if len(open_tags) == level:
            pieces.append(f"<{tag}>")
            open_tags.append(tag)
        pieces.append(f"<li>{item.html}")
    while open_tags:
        pieces.append(f"</li></{open_tags.pop()}>")
    return "".join(pieces)


_HYPERLINK = re.compile(r'HYPERLINK\s+(?:\\l\s+)?"([^"]{1,2000})"')

_MARKED = re.compile("\x10([^\x10-\x12]*)\x11([^\x10\x11]*)\x12")  # marked with control characters that no text has


def address_in(code: str) -> str:
    """Return the address of a hyperlink field, "" for other fields.

    >>> address_in('HYPERLINK "https://a.example" '), address_in("PAGE")
    ('https://a.example', '')
    """
    found = _HYPERLINK.search(code)
    return found[1] if found else ""


def mark_link(address: str, words: str) -> str:
    """Return the text of a link marked with its address, in the form that ``as_html`` expects."""
    return f"\x10{address}\x11{words}\x12"


def as_html(text: str) -> str:
    """Return text as HTML, with marked links as anchors and line ends as breaks.

    >>> as_html("a < b, " + mark_link("https://a.example", "see"))
    'a &lt; b, <a href="https://a.example">see</a>'
    """
    return _MARKED.sub(r'<a href="\1">\2</a>', escape(text).replace("\n", "<br>"))
