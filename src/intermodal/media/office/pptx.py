"""Converts PPTX to Markdown: for each slide a heading, its shapes from top to bottom, and its notes.

Runs in the worker. Included and marked: hidden slides, speaker notes, comments, the numbers of charts, the text of
SmartArt. Left out, with a note: audio and videos. Images of masters and backgrounds are decoration and left out.

A file without layouts, masters, themes and properties is read like any other. Where the library cannot read a file
whose slides are there (a part has no content type, the relation to the presentation is missing), their words, tables
and images are read from the markup in the order of the file.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pptx
from pptx.exc import PythonPptxError
from pptx.shapes.group import GroupShape

from intermodal.errors import InputBroken, InputEmpty, InputTooLarge
from intermodal.media.office.conversion_types import MAX_CHARS, ConvertedFile
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.office_package import (
    OfficePackage,
    chart_table,
    drawn_words,
    local_name,
    paragraph_texts,
    parse_xml,
    table,
)
from intermodal.plans.numbers import with_noun

_PLAYED = (".mp4", ".m4v", ".mov", ".avi", ".wmv", ".mp3", ".m4a", ".wav", ".wma")
_GRAPHIC = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"
_MAX_SHAPES = 50_000
_MAIN = "ppt/presentation.xml"
_SLIDE = re.compile(r"ppt/slides/slide(\d{1,6})\.xml")
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_UNREADABLE = (
    PythonPptxError, KeyError, AttributeError, ValueError, TypeError, IndexError, NotImplementedError, SyntaxError,
    AssertionError,
)  # fmt: skip


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    package = OfficePackage(data)
    gallery = ImageCollector(probe)
    notes = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            deck = pptx.Presentation(BytesIO(data))
            slides = [_slide(slide, number, gallery) for number, slide in enumerate(deck.slides, 1)]
    except _UNREADABLE:
        gallery = ImageCollector(probe)
        slides = [_plain_slide(package, name, number, gallery) for number, name in enumerate(_slide_names(package), 1)]
        if not slides:
            raise InputBroken("cannot be read as slides", todo="open it and save it again as PPTX") from None
        notes.append("read in the order of the file and without charts: some of its parts are missing or damaged")
    if not any(body for _, body, _ in slides) and not gallery.collected_images:
        raise InputEmpty("holds no text and no images", where=name, todo="check what wrote this file")
    text = "\n\n".join(f"{head}\n\n{body}".strip() for head, body, _ in slides)
    if len(text) > MAX_CHARS:
        raise InputTooLarge(f"holds {len(text):,} characters, more than {MAX_CHARS:,}", todo="pass fewer slides")
    hidden = sum(hid for _, _, hid in slides)
    if hidden:
        notes.append(f"{with_noun(hidden, 'hidden slide')} included")
    played = sum(member.lower().endswith(_PLAYED) for member in package.names)
    if played:
        notes.append(f"{with_noun(played, 'recording or film', 'recordings or films')} inside left out")
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*notes, *gallery.notes()))


def _slide(slide: Any, number: int, gallery: ImageCollector) -> tuple[str, str, bool]:
    """Return heading, text, and True if the slide is hidden."""
    hidden = slide._element.get("show") in ("0", "false")
    title = slide.shapes.title
    head = f"## Slide {number}{' (hidden)' if hidden else ''}"
    title_text = _text_line(title.text_frame.text) if title is not None and title.has_text_frame else ""
    blocks = []
    for shape in _shapes_in_reading_order(slide.shapes):
        if title is None or shape.shape_id != title.shape_id:
            blocks.append(_shape(shape, gallery))
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        speaker_notes = slide.notes_slide.notes_text_frame.text.strip()
        blocks.append(f"Speaker notes: {speaker_notes}" if speaker_notes else "")
    for relation in slide.part.rels.values():
        if relation.reltype.endswith("/comments") and not relation.is_external:
            for line in _comments(relation.target_part.blob):
                blocks.append(f"Comment: {line}")
    return f"{head}: {title_text}" if title_text else head, "\n\n".join(block for block in blocks if block), hidden


def _comments(blob: bytes) -> list[str]:
    """Return the comments of the older form (``p:cm/p:text``) and of the newer one, which uses DrawingML paragraphs."""
    root = parse_xml(blob)
    return [*paragraph_texts(root, "cm", "text"), *paragraph_texts(root, "p", "t")]


def _shapes_in_reading_order(shapes: Any, depth: int = 0) -> Iterator[Any]:
    """Yield shapes from top to bottom and left to right, with the shapes of groups in place of the groups."""
    found = list(shapes)[:_MAX_SHAPES]
    for shape in sorted(found, key=_shape_position):
        if isinstance(shape, GroupShape) and depth < 20:
            yield from _shapes_in_reading_order(shape.shapes, depth + 1)
        else:
            yield shape


def _shape_position(shape: Any) -> tuple[int, int]:
    """Return top and left of a shape. A placeholder without either takes them from its layout, if there is one."""
    try:
        return shape.top or 0, shape.left or 0
    except KeyError:
        return 0, 0


def _shape(shape: Any, gallery: ImageCollector) -> str:
    if shape.has_text_frame:
        return "\n".join(
            f"{'  ' * paragraph.level}- {line}" if paragraph.level else line
            for paragraph in shape.text_frame.paragraphs
            if (line := _text_line("".join(run.text for run in paragraph.runs) or paragraph.text))
        )
    if getattr(shape, "has_table", False) and shape.has_table:
        return table([[cell.text for cell in row.cells] for row in shape.table.rows])
    if getattr(shape, "has_chart", False) and shape.has_chart:
        return chart_table(shape.chart.part.blob)
    if hasattr(shape, "image"):
        return _image_mark(shape, gallery)
    return _diagram(shape)


def _image_mark(shape: Any, gallery: ImageCollector) -> str:
    alt = str(shape._element._nvXxPr.cNvPr.get("descr") or "")
    try:
        blob = shape.image.blob
    except (ValueError, KeyError, AttributeError):  # linked, or missing
        gallery.outside += 1
        return f"[image not fetched: {_text_line(alt)[:200]}]" if alt else ""
    return gallery.image_mark(blob, alt)


def _diagram(shape: Any) -> str:
    """Return the text of SmartArt, which lies in a separate part of the file."""
    for element in shape._element.iter():
        key = element.get(_GRAPHIC)
        if key and key in shape.part.rels and not shape.part.rels[key].is_external:
            lines = drawn_words(shape.part.related_part(key).blob)
            return "\n".join(f"- {line}" for line in lines)
    return ""


def _text_line(text: str) -> str:
    return " ".join(text.replace("\v", " ").split())


# ---- files that the library cannot read -----------------------------------------------------------


def _slide_names(package: OfficePackage) -> list[str]:
    """Return the members with the slides: in the order of the presentation, else by their numbers."""
    main = next((each.target for each in package.relations("") if each.kind == "officeDocument"), _MAIN)
    targets = {each.id: each.target for each in package.relations(main) if each.kind == "slide" and not each.outside}
    root = package.xml(main)
    elements = root.iter() if root is not None else ()
    relation_ids = [each.get(f"{_RELATION}id") for each in elements if local_name(each) == "sldId"]
    found = [targets[each] for each in relation_ids if each in targets and targets[each] in package.names]
    numbered = {int(match[1]): name for name in package.names if (match := _SLIDE.fullmatch(name))}
    return found or [numbered[number] for number in sorted(numbered)]


def _plain_slide(package: OfficePackage, name: str, number: int, gallery: ImageCollector) -> tuple[str, str, bool]:
    """Return heading, text, and True if the slide is hidden, from its markup alone."""
    root = package.xml(name)
    if root is None:
        raise InputBroken("is damaged: a slide is not markup", todo="open it and save it again as PPTX")
    relations = {each.id: each for each in package.relations(name) if not each.outside}
    blocks: list[str] = []
    rest = [root]
    while rest and len(blocks) < _MAX_SHAPES:
        element = rest.pop()
        kind = local_name(element)
        if kind == "tbl":
            rows = [each for each in element if local_name(each) == "tr"]
            blocks.append(table([[" ".join(paragraph_texts(cell, "p", "t")) for cell in _cells(row)] for row in rows]))
        elif kind == "p":
            blocks += paragraph_texts(element, "p", "t")
        elif kind == "blip" and (picture := relations.get(str(element.get(f"{_RELATION}embed")))) is not None:
            blocks.append(gallery.image_mark(package.read_member(picture.target), ""))
        else:
            rest += reversed(element)
    for relation in relations.values():
        if relation.kind == "notesSlide":
            speaker_notes = " ".join(paragraph_texts(package.xml(relation.target), "p", "t"))
            blocks.append(f"Speaker notes: {speaker_notes}" if speaker_notes else "")
    hidden = root.get("show") in ("0", "false")
    head = f"## Slide {number}{' (hidden)' if hidden else ''}"
    return head, "\n\n".join(block for block in blocks if block), hidden


def _cells(row: Any) -> list[Any]:
    return [each for each in row if local_name(each) == "tc"]
