"""Links as the fields of Word say them, in DOC and in RTF: marked in the text until that is HTML."""

from __future__ import annotations

import re
from html import escape

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
