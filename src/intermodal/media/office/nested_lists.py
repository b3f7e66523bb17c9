"""Lists in lists, of paragraphs that only say how deep they lie."""

from __future__ import annotations

from collections.abc import Sequence

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
