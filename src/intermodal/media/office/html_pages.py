"""HTML as Markdown, inside the worker: what a reader sees, without scripts, styles and hidden elements.

Nothing is fetched. Pictures that travel in the page (``data:`` URIs) are kept; others are named by their text.
"""

from __future__ import annotations

import base64
import binascii
import html.parser  # noqa: F401 - the tree builder's, which it imports late
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from bs4 import BeautifulSoup, Comment, Declaration, Doctype, ProcessingInstruction
from markdownify import MarkdownConverter

from intermodal.errors import InputEmpty
from intermodal.media.office.boilerplate import remove_boilerplate
from intermodal.media.office.conversion_types import MAX_CHARS, ConvertedFile
from intermodal.media.office.picture_collector import PictureCollector, Probe
from intermodal.media.office.text_encoding import decode_text
from intermodal.plans.numbers import counted

_DROPPED = ("script", "style", "template", "iframe", "object", "embed", "applet", "link", "meta", "base", "svg")
_FORM: dict[str, Any] = {
    "heading_style": "ATX",
    "bullets": "-",
    "escape_misc": False,
    "escape_underscores": False,
    "escape_asterisks": False,
    "table_infer_header": True,
}
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![\d.])|opacity\s*:\s*0(?![\d.])")
_BLANKS = re.compile(r"\n{3,}")
_PIECES = "menus, banners and side columns"
_SAFE_LINKS = ("http://", "https://", "mailto:", "tel:", "ftp://")

Found = Callable[[str], bytes | None]


class _Markdown(MarkdownConverter):
    """Pictures become their mark, which ``marks`` has by their place in the page."""

    marks: Mapping[str, str] = {}

    def convert_img(self, el: Any, text: str, parent_tags: Any) -> str:
        return self.marks.get(str(el.get("data-place", "")), "")


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    gallery = PictureCollector(probe)
    text, notes = markdown(decode_text(data, markup=True)[0], gallery, framed=False)
    if not text and not gallery.pictures:
        raise InputEmpty("holds no text and no pictures", where=name, todo="save the page from a browser as PDF")
    return ConvertedFile(text=text, pictures=gallery.pictures, notes=(*notes, *gallery.notes()))


def markdown(
    source: str, gallery: PictureCollector, inside: Found | None = None, *, titled: bool = True, framed: bool = True
) -> tuple[str, list[str]]:
    """The page as Markdown and what was left out of it.

    ``inside`` finds a picture by its ``cid:`` or own name; ``titled`` puts the page's title before it; without
    ``framed``, menus, banners and the like go (``page_frame.py``).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a page that looks like a path, or like XML
        soup = BeautifulSoup(source, "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title is not None else ""
    pieces = 0 if framed else remove_boilerplate(soup.body or soup)  # while its links are links
    notes = _cleaned(soup)
    if pieces:
        notes.append(f"{counted(pieces, 'menu, banner or side column', _PIECES)} left out")
    marks = {}
    for place, picture in enumerate(soup.find_all("img")):
        picture["data-place"] = str(place)
        marks[str(place)] = _picture(picture, gallery, inside)
    root = soup.body or soup
    converter = _Markdown(**_FORM)
    converter.marks = marks
    try:
        text = str(converter.convert_soup(root))
    except RecursionError:  # elements nested a thousand deep: their words, without their form
        text = root.get_text("\n")
        notes.append("its elements are nested too deeply to keep their form")
    text = _BLANKS.sub("\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip()
    if titled and title and title not in text[:500]:
        text = f"# {title}\n\n{text}".strip()
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS]
        notes.append(f"only its first {MAX_CHARS:,} characters are taken")
    return text, notes


def _cleaned(soup: BeautifulSoup) -> list[str]:
    """Take out what no reader sees, in place."""
    for thing in soup.find_all(string=lambda text: isinstance(text, Comment | Declaration | Doctype |
                                                              ProcessingInstruction)):  # fmt: skip
        thing.extract()
    for element in soup.find_all([*_DROPPED, "title"]):
        element.decompose()
    hidden = 0
    for element in [each for each in soup.find_all(True) if _hidden(each)]:
        if "_decomposed" in element.__dict__:  # with one around it; its property searches the whole tree
            continue
        hidden += bool(element.get_text(strip=True))
        element.decompose()
    for link in soup.find_all("a"):
        if link.get_text(strip=True) == "↑":  # back to where a note is mentioned
            link.decompose()
        elif not str(link.get("href", "")).strip().lower().startswith(_SAFE_LINKS):
            link.unwrap()
    return [f"{counted(hidden, 'hidden element')} left out"] if hidden else []


def _hidden(element: Any) -> bool:
    style = str(element.get("style", "")).lower()
    return element.has_attr("hidden") or bool(style and _HIDING.search(style))


def _picture(element: Any, gallery: PictureCollector, inside: Found | None) -> str:
    """The mark of a picture. What is somewhere else stays there; what it shows is said by its alternative text."""
    source, alt = str(element.get("src", "")).strip(), str(element.get("alt", ""))
    data = _data_uri(source) if source[:5].lower() == "data:" else inside(source) if inside is not None else None
    if data is not None:
        return gallery.mark(data, alt)
    if source[:5].lower() != "data:":
        gallery.outside += 1
    said = " ".join(alt.split())[:200].strip("[]")
    return f"[picture not fetched: {said}]" if said else ""


def _data_uri(source: str) -> bytes | None:
    head, comma, body = source[5:].partition(",")
    if not comma:
        return None
    if ";base64" not in head.lower():
        return unquote_to_bytes(body)
    try:
        return base64.b64decode("".join(body.split()))
    except (binascii.Error, ValueError):
        return None
