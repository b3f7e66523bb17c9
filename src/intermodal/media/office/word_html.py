"""Nested lists and links of DOC and RTF as HTML, from paragraphs that only state their depth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from intermodal.content import Value


class ListItem(Value):
    """A paragraph of a list: its depth from 0, whether its list is numbered, its words as HTML."""

    level: int
    ordered: bool
    html: str


def nested_list(items: Sequence[ListItem]) -> str:
    """The items as lists of HTML, one in another where the next item lies deeper.

    >>> nested_list([ListItem(level=0, ordered=False, html="a"), ListItem(level=1, ordered=True, html="b")])
    '<ul><li>a<ol><li>b</li></ol></li></ul>'
    """
    made, open_tags = list[str](), list[str]()
    for item in items:
        tag = "ol" if item.ordered else "ul"
        level = min(item.level, len(open_tags))  # a list cannot begin deeper than one below the last
        while len(open_tags) > level + 1:
            made.append(f"</li></{open_tags.pop()}>")
        if len(open_tags) == level + 1:
            made.append("</li>")
            if open_tags[-1] != tag:
                made.append(f"</{open_tags.pop()}>")
        if len(open_tags) == level:
            made.append(f"<{tag}>")
            open_tags.append(tag)
        made.append(f"<li>{item.html}")
    while open_tags:
        made.append(f"</li></{open_tags.pop()}>")
    return "".join(made)


_HYPERLINK = re.compile(r'HYPERLINK\s+(?:\\l\s+)?"([^"]{1,2000})"')

_MARKED = re.compile("\x10([^\x10-\x12]*)\x11([^\x10\x11]*)\x12")  # controls that no text has


def address_in(code: str) -> str:
    """Where a field leads, "" for one that is no link.

    >>> address_in('HYPERLINK "https://a.example" '), address_in("PAGE")
    ('https://a.example', '')
    """
    found = _HYPERLINK.search(code)
    return found[1] if found else ""


def mark_link(address: str, words: str) -> str:
    """The words of a link with its address, as ``as_html`` finds them again."""
    return f"\x10{address}\x11{words}\x12"


def as_html(text: str) -> str:
    """Text with marked links as HTML, lines apart by breaks.

    >>> as_html("a < b, " + mark_link("https://a.example", "see"))
    'a &lt; b, <a href="https://a.example">see</a>'
    """
    return _MARKED.sub(r'<a href="\1">\2</a>', escape(text).replace("\n", "<br>"))
