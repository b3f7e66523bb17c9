"""Converts DOCX to Markdown: mammoth produces HTML, which is then converted like any page. Runs in the worker.

Included: body, tables, lists, links, footnotes, endnotes, comments (marked "Comment"), page headers and footers, the
numbers of charts, the text of drawings. Left out, with a note: hidden text, text deleted by tracked changes, equations,
embedded files. Macros are never read.
"""

from __future__ import annotations

import re
import warnings
import xml.dom.expatbuilder  # noqa: F401 - what minidom imports on its first parse
import zipfile
from io import BytesIO
from typing import Any
from xml.etree.ElementTree import tostring
from xml.parsers.expat import ExpatError

import mammoth
import mammoth.images

from intermodal.errors import InputBroken, InputEmpty
from intermodal.media.office.conversion_types import ConvertedFile
from intermodal.media.office.html_pages import markdown
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.office_package import OfficePackage, Relation, chart_table, drawn_words, paragraph_texts
from intermodal.plans.numbers import with_noun

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VANISH = re.compile(rb"<w:vanish[ />]")
_MAIN = "word/document.xml"
# Nested lists that only the style indicates: Word's "List Bullet 2" to "List Number 5".
_NESTED = [
    f"p[style-name='List {kind} {level}'] => {'ul|ol > li > ' * (level - 1)}{tag} > li:fresh"
    for kind, tag in (("Bullet", "ul"), ("Number", "ol"))
    for level in range(2, 6)
]
_OPTIONS: dict[str, Any] = {
    "style_map": "\n".join(["comment-reference => sup", *_NESTED]),
    "include_embedded_style_map": False,
}
_LEFT_OUT = (  # (its mark in the body, its name)
    (re.compile(rb"<w:del[ >]"), "deletion of tracked changes", "deletions of tracked changes"),
    (re.compile(rb"<m:oMath[ >]"), "equation", "equations"),
    (re.compile(rb"<o:OLEObject[ >]"), "embedded file", "embedded files"),
)


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    package = OfficePackage(data)
    main = _main(package)
    data, hidden = _without_hidden(data, package)
    gallery = ImageCollector(probe)
    images: list[bytes] = []

    @mammoth.images.img_element  # type: ignore[untyped-decorator]
    def mark_image(image: Any) -> dict[str, str]:
        try:
            with image.open() as file:
                images.append(file.read())
        except Exception:  # linked, not embedded: neither mammoth nor the sandbox opens anything outside the file
            return {"src": "outside"}
        return {"src": f"inside:{len(images) - 1}"}

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = mammoth.convert_to_html(BytesIO(data), convert_image=mark_image, **_OPTIONS)
    except (ExpatError, KeyError, AttributeError, ValueError, TypeError, IndexError, OSError):
        raise InputBroken("cannot be read as a Word document", todo="open it and save it again as DOCX") from None
    text, notes = markdown(result.value, gallery, lambda source: _target_bytes(source, images))
    relations = package.relations(main)
    before = _headers_or_footers(package, relations, "header")
    after = _headers_or_footers(package, relations, "footer")
    drawing_texts = _drawing_texts(package, relations)
    text = "\n\n".join(part for part in (*before, text, *drawing_texts, *after) if part)
    if not text and not gallery.collected_images:
        raise InputEmpty("holds no text and no images", where=name, todo="check what wrote this file")
    body = package.read_member(main)
    for mark, singular, plural in _LEFT_OUT:
        found = len(mark.findall(body))
        if found:
            notes.append(f"{with_noun(found, singular, plural)} left out")
    if hidden:
        notes.append(f"{with_noun(hidden, 'hidden passage')} left out")
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*notes, *gallery.notes()))


def _main(package: OfficePackage) -> str:
    """Return the name of the member with the body. Raises InputBroken if there is none."""
    main = next((each.target for each in package.relations("") if each.kind == "officeDocument"), _MAIN)
    if main not in package.names:
        raise InputBroken("is damaged: its text is missing", todo="open it and save it again as DOCX")
    return main


def _without_hidden(data: bytes, package: OfficePackage) -> tuple[bytes, int]:
    """Return the file without hidden text, and the number of paragraphs that had some.

    Hidden text has the font property "vanish" (ECMA-376-1, 17.3.2.41). Text hidden by a style is not detected.
    """
    changed: dict[str, bytes] = {}
    passages = 0
    for name in package.files:
        if not name.startswith("word/") or not _VANISH.search(package.read_member(name)):
            continue
        root = package.xml(name)
        if root is None:
            continue
        found = 0
        for parent in root.iter():
            hidden = [run for run in parent if run.tag == f"{_W}r" and _is_hidden(run)]
            found += any("".join(run.itertext()).strip() for run in hidden)
            for run in hidden:
                parent.remove(run)
        passages += found
        changed[name] = tostring(root)
    if not passages:
        return data, 0
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in package.files:
            archive.writestr(name, changed.get(name) or package.read_member(name))
    return out.getvalue(), passages


def _is_hidden(run: Any) -> bool:
    vanish = run.find(f"{_W}rPr/{_W}vanish")
    return vanish is not None and vanish.get(f"{_W}val", "true") not in ("0", "false", "off")


def _target_bytes(source: str, images: list[bytes]) -> bytes | None:
    kind, _, place = source.partition(":")
    return images[int(place)] if kind == "inside" else None


def _headers_or_footers(package: OfficePackage, relations: list[Relation], kind: str) -> list[str]:
    """Return page headers or footers, each wording once: a document has one per section and kind of page."""
    found: dict[str, None] = {}
    for relation in relations:
        if relation.kind == kind and not relation.outside:
            line = " / ".join(paragraph_texts(package.xml(relation.target), "p", "t"))
            if line:
                found[f"Page {kind}: {line}"] = None
    return list(found)


def _drawing_texts(package: OfficePackage, relations: list[Relation]) -> list[str]:
    """Return charts as tables and SmartArt as text.

    They follow the text, because the converter drops their position.
    """
    found = []
    for relation in relations:
        if relation.outside:
            continue
        if relation.kind == "chart":
            found.append(chart_table(package.read_member(relation.target)))
        elif relation.kind == "diagramData":
            lines = drawn_words(package.read_member(relation.target))
            found.append("Drawing:\n\n" + "\n".join(f"- {line}" for line in lines) if lines else "")
    return found
