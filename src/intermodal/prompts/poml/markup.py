"""POML's markup as elements with their lines. Nothing outside of the text is looked up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from intermodal.prompts.rendering import TemplateError

MOST_DEEP = 60
_TAG = re.compile(
    r"<(/?)([a-zA-Z_][\w-]*)((?:\s+[\w:.\-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*(/?)>"
)  # fmt: skip
_ATTRIBUTE = re.compile(r"([\w:.\-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


@dataclass
class Element:
    """A tag with its contents. ``line``: of the tag, from 1."""

    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)
    line: int = 1

    @property
    def text(self) -> str:
        """The words in it, tags left out."""
        return "".join(each for each in self.children if isinstance(each, str))


def parse(text: str) -> Element:
    """The root of a text; of several elements, or of words beside one, an element around them.

    Raises TemplateError with its line where tags do not fit.
    """
    text = _without_comments(text)
    root = Element("_root")
    stack = [root]
    at = 0
    line = 1
    for found in _TAG.finditer(text):
        if found.start() > at:
            stack[-1].children.append(text[at : found.start()])
        line += text.count("\n", at, found.start())
        at = found.end()
        closing, tag, attributes, closed = found.groups()
        if closing:
            if len(stack) == 1 or stack[-1].tag != tag:
                opened = f"{stack[-1].tag!r} of line {stack[-1].line}" if len(stack) > 1 else "nothing"
                raise TemplateError(f"</{tag}> closes {opened}", line, todo="close the last opened tag")
            stack.pop()
        else:
            attrs = {each[1]: each[2] if each[2] is not None else each[3] for each in _ATTRIBUTE.finditer(attributes)}
            made = Element(tag, attrs, [], line)
            stack[-1].children.append(made)
            if not closed:
                stack.append(made)
            if len(stack) > MOST_DEEP:
                raise TemplateError("is nested too deep", line, todo="use fewer tags within tags")
        line += found[0].count("\n")
    if at < len(text):
        stack[-1].children.append(text[at:])
    if len(stack) > 1:
        raise TemplateError(f"<{stack[-1].tag}> is not closed", stack[-1].line, todo="close it")
    elements = [each for each in root.children if isinstance(each, Element)]
    words = any(isinstance(each, str) and each.strip() for each in root.children)
    return elements[0] if len(elements) == 1 and not words else root


def _without_comments(text: str) -> str:
    """The text with the line ends of its comments alone."""
    pieces, at = [], 0
    while (start := text.find("<!--", at)) >= 0:
        end = text.find("-->", start + 4)
        if end < 0:
            line = text.count("\n", 0, start) + 1
            raise TemplateError("a comment is not closed", line, todo="close it with -->")
        pieces += [text[at:start], "\n" * text.count("\n", start, end)]
        at = end + 3
    return "".join((*pieces, text[at:]))
