"""Converts HTML to Markdown, without scripts, styles, hidden elements and boilerplate. Runs in the worker.

Nothing is fetched. Images in the page (``data:`` URIs) are kept; others are represented by their alternative text.

Boilerplate is everything around the content: menus, cookie banners, side columns, link lists. It is recognised by the
names of elements and by the share of their words that are links, without a learned model. If a page marks its content
(``main``, ``article``), elements beside it that are named as a footer, header or side column are removed even if they
have text of their own, and so are unnamed lists of links; elements with addresses, telephone or account numbers are
kept. On other pages, an element with text of its own is kept, and a page of which little would remain is kept whole.
Measured on the ten pages of ``tests/pages.py``, which were written first: 58 of 58 passages of content are kept, and 0
of 48 boilerplate passages; trafilatura 2.3.1 keeps 55 and 2, and installs nine packages of 59 MB.
"""

from __future__ import annotations

import base64
import binascii
import html.parser  # noqa: F401 - the tree builder's, which it imports late
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from bs4 import BeautifulSoup
from bs4.element import CData, Comment, Declaration, Doctype, NavigableString, ProcessingInstruction, Tag
from markdownify import MarkdownConverter

from intermodal.errors import InputEmpty
from intermodal.media.office.conversion_types import MAX_CHARS, ConvertedFile
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.style_sheets import Compound, StyleRule, StyleSheets, compound_of, declarations
from intermodal.media.office.text_encoding import decode_text
from intermodal.plans.numbers import with_noun

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
    """A converter that replaces images by their mark. ``marks`` maps the index of an image in the page to its mark."""

    marks: Mapping[str, str] = {}

    def convert_img(self, el: Any, text: str, parent_tags: Any) -> str:
        return self.marks.get(str(el.get("data-place", "")), "")


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    gallery = ImageCollector(probe)
    text, notes = markdown(decode_text(data, markup=True)[0], gallery, framed=False)
    if not text and not gallery.collected_images:
        raise InputEmpty("holds no text and no images", where=name, todo="save the page from a browser as PDF")
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*notes, *gallery.notes()))


def markdown(
    source: str, gallery: ImageCollector, inside: Found | None = None, *, titled: bool = True, framed: bool = True
) -> tuple[str, list[str]]:
    """Return the page as Markdown, and notes on what was left out.

    ``inside`` returns an image by its ``cid:`` or own name; ``titled`` puts the page title before the text; without
    ``framed``, menus, banners and other boilerplate are removed (``remove_boilerplate``).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about a page that looks like a path, or like XML
        soup = BeautifulSoup(source, "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title is not None else ""
    notes = remove_hidden(soup, inside)
    pieces = 0 if framed else remove_boilerplate(soup.body or soup)  # must run before links are unwrapped
    _clean(soup)
    if pieces:
        notes.append(f"{with_noun(pieces, 'menu, banner or side column', _PIECES)} left out")
    marks = {}
    for place, picture in enumerate(soup.find_all("img")):
        picture["data-place"] = str(place)
        marks[str(place)] = _image_mark(picture, gallery, inside)
    root = soup.body or soup
    converter = _Markdown(**_FORM)
    converter.marks = marks
    try:
        text = str(converter.convert_soup(root))
    except RecursionError:  # elements nested a thousand deep: only their text is kept
        text = root.get_text("\n")
        notes.append("its elements are nested too deeply to keep their form")
    text = _BLANKS.sub("\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip()
    if titled and title and title not in text[:500]:
        text = f"# {title}\n\n{text}".strip()
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS]
        notes.append(f"only its first {MAX_CHARS:,} characters are taken")
    return text, notes


def _clean(soup: BeautifulSoup) -> None:
    """Remove scripts, comments and unsafe links in place."""
    for node in soup.find_all(string=lambda text: isinstance(text, Comment | Declaration | Doctype |
                                                              ProcessingInstruction)):  # fmt: skip
        node.extract()
    for element in soup.find_all([*_DROPPED, "title"]):
        element.decompose()
    for link in soup.find_all("a"):
        if len(link.contents) == 1 and isinstance(link.contents[0], str) and link.contents[0].strip() == "↑":
            link.decompose()  # a link back to the place of a footnote
        elif not str(link.get("href", "")).strip().lower().startswith(_SAFE_LINKS):
            link.name = "span"  # to unwrap one of many would search all its siblings


# ---- what is hidden ------------------------------------------------------------------------------

_HIDING_PROPERTIES = ("display", "visibility", "opacity", "font-size")
_NOTHING = re.compile(r"0*\.?0*(?:%|[a-z]{1,4})?")
# Properties that elements inherit, and by which one may be seen although it lies in one that is not.
_INHERITED = ("visibility", "font-size")


def remove_hidden(soup: BeautifulSoup, inside: Found | None) -> list[str]:
    """Remove elements in place that their own style or the style sheets of the page hide; return notes.

    ``inside`` returns linked style sheets. What style sheets hide is kept where little else would remain: a script
    shows it.
    """
    hidden = 0
    for element in [each for each in soup.find_all(True) if _is_hidden(each)]:
        if "_decomposed" in element.__dict__:  # removed with its parent; ``decomposed`` would search the whole tree
            continue
        hidden += bool(element.get_text(strip=True))
        element.decompose()
    sheets = StyleSheets(_sheets(soup, inside), _HIDING_PROPERTIES)
    found = _elements_hidden_by(sheets, soup) if any(map(_hides, sheets.declarations)) else []
    notes = ["its style sheets are too long to tell all that they hide"] if sheets.exhausted else []
    with_words = [element for element in found if element.get_text(strip=True)]
    if with_words:
        measures = _Measures(soup)
        total_size = measures.text_length(soup)
        if total_size - sum(map(measures.text_length, with_words)) < _LEAST_SHARE * total_size:
            return [*notes, "nearly all its words are hidden by its style sheets, and are kept"]
    for element in found:
        element.decompose()
    hidden += len(with_words)
    return [*notes, f"{with_noun(hidden, 'hidden element')} left out"] if hidden else notes


def _is_hidden(element: Any) -> bool:
    style = str(element.get("style", "")).lower()
    return element.has_attr("hidden") or bool(style and _HIDING.search(style))


def _sheets(soup: BeautifulSoup, inside: Found | None) -> Iterator[str]:
    for element in soup.find_all(["style", "link"]):
        media = str(element.get("media") or "").strip().lower()
        if media not in ("", "all", "screen"):
            continue
        if element.name == "style":
            yield "".join(map(str, element.contents))
        elif inside is not None and "stylesheet" in (element.get("rel") or ()):
            yield (inside(str(element.get("href") or "").strip()) or b"").decode("utf-8", "replace")


def _hides(declared: Mapping[str, str]) -> bool:
    return any(_is_hiding(name, value) for name, value in declared.items())


def _is_hiding(name: str, value: str) -> bool:
    value = value.lower()
    if name == "visibility":
        return value in ("hidden", "collapse")
    return value == "none" if name == "display" else _NOTHING.fullmatch(value) is not None


def _elements_hidden_by(sheets: StyleSheets, soup: BeautifulSoup) -> list[Any]:
    """Return the outermost elements that style sheets hide."""
    hidden: list[Any] = []
    unseen: dict[int, Any] = {}  # elements that are hidden in a way in which those within them may be seen
    outer: dict[int, int] = {}  # the id of one -> that of the next one around it
    around: list[Compound] = []
    waiting: list[tuple[Any, int, int]] = [(each, 0, 0) for each in reversed(soup.find_all(True, recursive=False))]
    while waiting:
        element, depth, within = waiting.pop()
        del around[depth:]
        itself = compound_of(element.name, element.get("class") or (), str(element.get("id") or ""))
        style = _compute_style(element, sheets.rules(itself, around))
        if _is_hiding("display", style.get("display", "")) or _is_hiding("opacity", style.get("opacity", "1")):
            hidden.append(element)
            continue
        inherited = {name: style[name] for name in _INHERITED if name in style}
        if _hides(inherited):
            unseen[id(element)], outer[id(element)] = element, within
            within = id(element)
        elif inherited:
            ancestor_id = within
            while ancestor_id in unseen:
                del unseen[ancestor_id]
                ancestor_id = outer[ancestor_id]
        around.append(itself)
        waiting += [(each, depth + 1, within) for each in reversed(element.find_all(True, recursive=False))]
    outermost = [element for key, element in unseen.items() if outer[key] not in unseen]
    return [*hidden, *outermost]


def _compute_style(element: Any, rules: Sequence[StyleRule]) -> dict[str, str]:
    """Return what an element's style is: of rules that hide, only those that certainly apply and begin no movement."""
    own, own_important = declarations(str(element.get("style") or ""))
    style: dict[str, str] = {}
    for important in (False, True):
        for rule in rules:
            for name, value in rule.declared.items():
                if (name in rule.important) is important and (
                    not _is_hiding(name, value) or (rule.sure and not (rule.moving and name != "display"))
                ):
                    style[name] = value
        style |= {name: value for name, value in own.items() if (name in own_important) is important}
    return {name: value for name, value in style.items() if name in _HIDING_PROPERTIES}


def _image_mark(element: Any, gallery: ImageCollector, inside: Found | None) -> str:
    """Return the mark of an image. Remote images are not fetched; their alternative text stands in for them."""
    source, alt = str(element.get("src", "")).strip(), str(element.get("alt", ""))
    data = _data_uri(source) if source[:5].lower() == "data:" else inside(source) if inside is not None else None
    if data is not None:
        return gallery.image_mark(data, alt)
    if source[:5].lower() != "data:":
        gallery.outside += 1
    label = " ".join(alt.split())[:200].strip("[]")
    return f"[image not fetched: {label}]" if label else ""


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


_FRAMES = ("nav", "header", "footer", "aside", "menu", "dialog", "form")

_ROLES = frozenset((
    "navigation", "banner", "contentinfo", "complementary", "search", "dialog", "alertdialog", "menu", "menubar",
))  # fmt: skip

_CONSENT = re.compile(r"cookie|consent|gdpr|ccpa|onetrust|didomi|usercentrics", re.IGNORECASE)

_BESIDE = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|menu|side-?bar|breadcrumbs?|toc|share|sharing|social|newsletter|subscribe|"
    r"advert(?:isement)?s?|ads?|promo(?:tion)?|related|recommend(?:ed|ations)?|most-?read|skip-?link|pagination|paywall|"
    r"pop-?up|footer|masthead|menu-?bar|top-?nav|side-?nav)(?:$|[\s_-])",
    re.IGNORECASE,
)

_CONTENT_IDS = frozenset((
    "content", "main", "main-content", "maincontent", "article", "post", "entry", "page-content", "post-content",
))  # fmt: skip

_HEAD = re.compile(r"(?:^|[\s_-])(?:header|top-?bar|bottom-?bar)(?:$|[\s_-])", re.IGNORECASE)

_HEADINGS = ("h2", "h3", "h4", "h5", "h6")

_CAMEL = re.compile(r"([a-z])([A-Z])")

_CONTENT = ("main", "article")

_LISTS = ("ul", "ol", "div", "section", "p", "menu")

_FEWEST_LINKS, _LIST_LINKED = 3, 0.8  # links, and share of the words in them, of an unnamed list of links

_REACHED = ("mailto:", "tel:")

_NUMBER = re.compile(r"(?:\d[ ./()-]{0,2}){9}")  # of a telephone or an account: more digits than "2019-2026" has

_LINKS = frozenset(("a", "button", "label", "option", "form", "nav"))

_LINKED = 0.5  # share of words in links from which an element counts as a list of links

_MOST = 0.4  # of the page's words, the most that one boilerplate element may hold

_LEAST_CONTENT = 0.3  # of the page's words, the least that must be in the marked content

_MOST_WEIGHED = 200  # elements that are analysed in detail

_LEAST_SHARE, _LEAST = 0.05, 40  # of the page's words, and in characters: the least that must remain


def remove_boilerplate(root: Any) -> int:
    """Remove the boilerplate of a page in place.

    Returns the number of removed elements, 0 if the page is kept whole.
    """
    measures = _Measures(root)
    total_size = measures.text_length(root)
    try:
        found = list(_frames(root, measures))
    except RecursionError:  # elements nested a thousand deep
        return 0
    left = total_size - sum(map(measures.text_length, found))
    if left < _LEAST or left < _LEAST_SHARE * total_size:
        return 0
    for element in found:
        element.decompose()
    return len(found)


class _Measures:
    """How many characters, links and tables each element of a page holds, counted once for all of them."""

    def __init__(self, root: Any) -> None:
        self._began: dict[int, tuple[int, int, int]] = {}
        self._ended: dict[int, tuple[int, int, int]] = {}
        self._linked: dict[int, int] = {}
        size = links = tables = 0
        waiting: list[tuple[Any, bool]] = [(root, False)]
        while waiting:
            node, left = waiting.pop()
            if left:
                self._ended[id(node)] = (size, links, tables)
            elif isinstance(node, Tag):
                self._began[id(node)] = (size, links, tables)
                links += node.name == "a"
                tables += node.name == "table"
                waiting.append((node, True))
                waiting += [(each, False) for each in reversed(node.contents)]
            elif type(node) in (NavigableString, CData):
                size += sum(len(word) + 1 for word in node.split())

    def text_length(self, element: Any) -> int:
        """Return the characters of its words, with a blank between two."""
        return max(0, self._ended[id(element)][0] - self._began[id(element)][0] - 1)

    def links(self, element: Any) -> int:
        """Return the number of links in it."""
        return self._ended[id(element)][1] - self._began[id(element)][1] - int(element.name == "a")

    def has_table(self, element: Any) -> bool:
        return self._ended[id(element)][2] - self._began[id(element)][2] > int(element.name == "table")

    def link_chars(self, element: Any) -> int:
        """Return the number of characters in links and similar elements.

        Counted are links, buttons, fields, headings above links, boilerplate by name, and copyright lines.
        """
        if id(element) in self._linked:
            return self._linked[id(element)]
        char_count = 0
        for each in element.find_all(True, recursive=False):
            words = self.text_length(each)
            if not words:
                continue
            by_name = each.name in _LINKS or _BESIDE.search(_names(each))
            if by_name or (each.name in _HEADINGS and self.links(element)) or (words < 200 and "©" in each.get_text()):
                char_count += words
            else:
                char_count += self.link_chars(each)
        self._linked[id(element)] = char_count
        return char_count


def _frames(root: Any, measures: _Measures) -> Iterator[Any]:
    """Yield the outermost boilerplate elements."""
    marked, total_size = list(_outermost_content(root)), measures.text_length(root)
    has_content = sum(map(measures.text_length, marked)) >= _LEAST_CONTENT * total_size
    around: set[int] = set()  # ids of elements that contain content
    for content in marked:
        for each in content.parents:
            if id(each) in around:
                break
            around.add(id(each))
    waiting, weighed = [(root, False, not has_content)], 0
    while waiting:
        element, inside, within = waiting.pop()
        for child in element.find_all(True, recursive=False):
            may_be_boilerplate = not within and id(child) not in around and not _is_content(child)
            by_name = _is_boilerplate_by_name(child) or (may_be_boilerplate and _HEAD.search(_names(child)) is not None)
            if weighed < _MOST_WEIGHED and (by_name or (may_be_boilerplate and child.name in _LISTS)):
                weighed += 1
                if _is_frame(child, inside, total_size, measures) if by_name else _is_list_of_links(child, measures):
                    yield child
                    continue
                if may_be_boilerplate and by_name and _is_boilerplate_beside(child, total_size, measures):
                    yield child
                    continue
            waiting.append((child, inside or child.name in _CONTENT, within or _is_content(child)))


def _outermost_content(root: Any) -> Iterator[Any]:
    waiting = [root]
    while waiting:
        for child in waiting.pop().find_all(True, recursive=False):
            if _is_content(child):
                yield child
            else:
                waiting.append(child)


def _is_content(element: Any) -> bool:
    """Return True if a page marks an element as its content, by tag, role or id."""
    return element.name in _CONTENT or element.get("role") == "main" or str(element.get("id")).lower() in _CONTENT_IDS


def _is_boilerplate_by_name(element: Any) -> bool:
    """Return True if the name or role of an element marks it as boilerplate."""
    if element.name in ("body", *_CONTENT):
        return False
    names = _names(element)
    by_name = bool(_BESIDE.search(names) or _CONSENT.search(names))
    return by_name or element.name in _FRAMES or element.get("role") in _ROLES


def _is_boilerplate_beside(element: Any, total_size: int, measures: _Measures) -> bool:
    """Return True if an element beside the marked content is boilerplate although it has text of its own."""
    if (
        not 0 < measures.text_length(element) <= _MOST * total_size
        or element.name == "form"
        or element.find(["h1", "table", "address"])
    ):
        return False
    links = (str(link.get("href") or "").lower() for link in element.find_all("a"))
    return _NUMBER.search(element.get_text(" ")) is None and not any(link.startswith(_REACHED) for link in links)


def _is_list_of_links(element: Any, measures: _Measures) -> bool:
    size = measures.text_length(element)
    return size > 0 and measures.links(element) >= _FEWEST_LINKS and measures.link_chars(element) >= _LIST_LINKED * size


def _is_frame(element: Any, inside: bool, total_size: int, measures: _Measures) -> bool:
    """Return True if an element is boilerplate by its name or its links.

    ``inside``: the element lies in the content, whose own header, footer and notes are kept.
    """
    names, size = _names(element), measures.text_length(element)
    if not size or (size > _MOST * total_size and element.name != "nav"):
        return False
    if _CONSENT.search(names):
        return True
    if element.find(["h1", *_CONTENT]) is not None:
        return False
    if inside and element.name != "nav" and not _BESIDE.search(names):
        return False
    return element.name == "nav" or (not measures.has_table(element) and measures.link_chars(element) >= _LINKED * size)


def _names(element: Any) -> str:
    """Return the id and the classes of an element, with camel case split: "mainNav" becomes "main-Nav"."""
    return _CAMEL.sub(r"\1-\2", f"{element.get('id') or ''} {' '.join(element.get('class') or ())}")
