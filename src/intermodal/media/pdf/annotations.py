"""Reads the overlay of PDF pages (links, form values and annotations) and the names of attached files.

Only addresses, names and texts are read: nothing is followed, run or opened.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import pypdfium2
import pypdfium2.raw as raw
from msgspec import Struct

MAX_NOTES = 500  # annotations per page that are read
MAX_CHARS = 4_000  # characters of one value or remark
MAX_ATTACHED = 20  # attached files that are listed by name
_BEFORE = 200.0  # points to the left of a link in which the text before it is looked up
_HIDDEN = 1 << 1 | 1 << 5  # hidden, or not shown on screen (ISO 32000-1, 12.5.3)
_REMARKS = {
    raw.FPDF_ANNOT_TEXT, raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_HIGHLIGHT, raw.FPDF_ANNOT_UNDERLINE,
    raw.FPDF_ANNOT_STRIKEOUT, raw.FPDF_ANNOT_SQUIGGLY, raw.FPDF_ANNOT_STAMP, raw.FPDF_ANNOT_CARET,
    raw.FPDF_ANNOT_INK, raw.FPDF_ANNOT_SQUARE, raw.FPDF_ANNOT_CIRCLE, raw.FPDF_ANNOT_LINE, raw.FPDF_ANNOT_POLYGON,
}  # fmt: skip
_MARKS = {raw.FPDF_ANNOT_HIGHLIGHT, raw.FPDF_ANNOT_UNDERLINE, raw.FPDF_ANNOT_STRIKEOUT, raw.FPDF_ANNOT_SQUIGGLY}
_STRUCK = {raw.FPDF_ANNOT_STRIKEOUT: "struck out "}
_BOXES = {raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON}
_VALUES = {raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX}


class PageLink(Struct, frozen=True):
    """A link to ``address`` on ``words``. ``before``: the text in front of them in the same line."""

    words: str
    address: str
    before: str = ""


class FormField(Struct, frozen=True):
    """A form field with its label and its value.

    ``before``: the text in front of it on the page; ``is_text``: False for a check box.
    """

    name: str
    value: str
    before: str = ""
    is_text: bool = True


class PageOverlay(Struct):
    """The overlay of one page. ``remarks`` are lines in the form of the output."""

    links: list[PageLink]
    fields: list[FormField]
    remarks: list[str]


def page_overlay(page: pypdfium2.PdfPage, form: Any, *, with_positions: bool = True) -> PageOverlay | None:
    """Return the overlay of a page, None if it has none. ``form``: raw handle of the document's form, if any.

    If ``with_positions`` is False, the words of links are not looked up, which takes 0.2 ms per link.
    """
    count = min(raw.FPDFPage_GetAnnotCount(page.raw), MAX_NOTES)
    if count <= 0:
        return None
    found = PageOverlay([], [], [])
    textpage = page.get_textpage()
    try:
        for index in range(count):
            note = raw.FPDFPage_GetAnnot(page.raw, index)
            if not note:
                continue
            try:
                if not raw.FPDFAnnot_GetFlags(note) & _HIDDEN:
                    _add(found, note, textpage, form, with_positions=with_positions)
            finally:
                raw.FPDFPage_CloseAnnot(note)
    finally:
        textpage.close()
    return found


def with_overlay(text: str, overlay: PageOverlay, own: str = "") -> str:
    """Return the text of a page with its overlay: addresses at the words of links, values and remarks after the text.

    ``own``: the text of the page without its overlay, needed if ``text`` may contain form values already.
    """
    text, fields = _without_duplicates(text, overlay.fields, own)
    parts = [with_links(text, overlay.links)]
    if fields:
        lines = (f"- {field.name}: {field.value or '(empty)'}" for field in fields)
        parts.append("Form fields:\n" + "\n".join(lines))
    if overlay.remarks:
        parts.append("Remarks on this page:\n" + "\n".join(f"- {remark}" for remark in overlay.remarks))
    return "\n\n".join(part for part in parts if part.strip())


def _without_duplicates(text: str, fields: Sequence[FormField], own: str) -> tuple[str, list[FormField]]:
    """Return text and fields with each value in only one of them, because a layout includes values in its text.

    A value that follows the words in front of its field stays in the text. A value on an unlabelled line of its own is
    removed from the text, if the page itself contains it less often.

    >>> fields = [FormField("Name", "Ada", "Name"), FormField("City", "London", "City")]
    >>> _without_duplicates("Name: Ada\\nLondon", fields, "Name:")
    ('Name: Ada', [FormField(name='City', value='London', before='City', is_text=True)])
    """
    rest: list[FormField] = []
    for field in fields:
        words = r"\s+".join(map(re.escape, field.value.split())) if field.is_text else ""
        if not words:
            rest.append(field)
            continue
        ahead = r"\s+".join(map(re.escape, field.before.rstrip(" :").split()))
        if ahead and re.search(rf"{ahead}[ \t:|._*-]*{words}(?!\w)", text):
            continue
        rest.append(field)
        if len(re.findall(rf"(?<!\w){words}(?!\w)", text)) > len(re.findall(rf"(?<!\w){words}(?!\w)", own)):
            text = re.sub(rf"(?m)^[ \t]*{words}[ \t]*$\n?", "", text, count=1)
    return text.rstrip(), rest


def with_links(text: str, links: Iterable[PageLink]) -> str:
    """Return ``text`` with the address of each link at its words, as Markdown.

    Links whose words are not found follow at the end.

    >>> with_links("Read the terms. No terms here.", [PageLink("terms", "https://a.example", "Read the")])
    'Read the [terms](https://a.example). No terms here.'
    """
    rest: list[str] = []
    for link in links:
        if link.address in text or link.address.removeprefix("mailto:") in link.words:
            continue
        spot = _link_position(text, link)
        if spot is None:
            rest.append(f"- {link.words}: {link.address}" if link.words else f"- {link.address}")
        else:
            start, end = spot
            text = f"{text[:start]}[{text[start:end]}]({link.address}){text[end:]}"
    link_lines = "\n".join(dict.fromkeys(rest))
    return f"{text}\n\nLinks:\n{link_lines}" if link_lines else text


def _link_position(text: str, link: PageLink) -> tuple[int, int] | None:
    """Return the position of a link's words: after the words in front of them, or where they occur only once."""
    words = link.words.split()
    if not words:
        return None
    pattern = r"\s+".join(map(re.escape, words))
    before = link.before.split()[-4:]
    for count in range(len(before), -1, -1):
        ahead = r"\s+".join(map(re.escape, before[len(before) - count :]))
        found = list(re.finditer(rf"{ahead}\s*({pattern})" if ahead else f"({pattern})", text))
        if len(found) == 1:
            return found[0].span(1)
    return None


def attachment_note(document: pypdfium2.PdfDocument) -> tuple[str, ...]:
    """Return a note with number and names of attached files, which are not opened; () if there are none."""
    count = raw.FPDFDoc_GetAttachmentCount(document.raw)
    if count <= 0:
        return ()
    names = []
    for index in range(min(count, MAX_ATTACHED)):
        file = raw.FPDFDoc_GetAttachment(document.raw, index)
        name = _string(partial(raw.FPDFAttachment_GetName, file)) if file else ""
        names.append(_one_line(name)[:80] or "without a name")
    more = f" and {count - len(names):,} more" if count > len(names) else ""
    what = "1 attached file is" if count == 1 else f"{count:,} attached files are"
    return (f"{what} not opened: {', '.join(names)}{more}",)


def _add(overlay: PageOverlay, note: Any, textpage: Any, form: Any, *, with_positions: bool) -> None:
    kind = raw.FPDFAnnot_GetSubtype(note)
    if kind == raw.FPDF_ANNOT_LINK:
        link = _link(note, textpage, with_position=with_positions)
        if link is not None:
            overlay.links.append(link)
    elif kind == raw.FPDF_ANNOT_WIDGET and form is not None:
        field = _field(note, textpage, form)
        if field is not None:
            overlay.fields.append(field)
    elif kind in _REMARKS:
        contents = _string_of(note, b"Contents")
        if contents:
            marked = _words_in_box(textpage, _rect(note)) if kind in _MARKS else ""
            author = _string_of(note, b"T")
            attribution = f" ({author})" if author else ""
            overlay.remarks.append(
                f'{_STRUCK.get(kind, "")}"{marked}"{attribution}: {contents}' if marked else f"{contents}{attribution}"
            )
        elif kind in _STRUCK:
            marked = _words_in_box(textpage, _rect(note))
            if marked:
                overlay.remarks.append(f'struck out "{marked}"')


def _link(note: Any, textpage: Any, *, with_position: bool) -> PageLink | None:
    link = raw.FPDFAnnot_GetLink(note)
    action = raw.FPDFLink_GetAction(link) if link else None
    if not action:
        return None
    size = raw.FPDFAction_GetURIPath(textpage.page.pdf.raw, action, None, 0)
    if size <= 1:
        return None
    space = ctypes.create_string_buffer(min(size, MAX_CHARS))
    raw.FPDFAction_GetURIPath(textpage.page.pdf.raw, action, space, len(space))
    address = "".join(space.value.decode("utf-8", "replace").split())
    box = _rect(note)
    if not address or box is None:
        return None
    if not with_position:
        return PageLink("", address)
    left, bottom, _, top = box
    return PageLink(_words_in_box(textpage, box), address, _words_in_box(textpage, (left - _BEFORE, bottom, left, top)))


def _field(note: Any, textpage: Any, form: Any) -> FormField | None:
    """Return a form field with its value.

    It is named by its label, otherwise by the words before it, otherwise by its own name.
    """
    kind = raw.FPDFAnnot_GetFormFieldType(form, note)
    if kind in _BOXES:
        checked = bool(raw.FPDFAnnot_IsChecked(form, note))
        if kind == raw.FPDF_FORMFIELD_RADIOBUTTON and not checked:
            return None
        value = "[x]" if checked else "[ ]"
        if kind == raw.FPDF_FORMFIELD_RADIOBUTTON:
            value = _of_form(raw.FPDFAnnot_GetFormFieldExportValue, form, note) or value
    elif kind in _VALUES:
        value = _of_form(raw.FPDFAnnot_GetFormFieldValue, form, note)
    else:
        return None
    name, before = _of_form(raw.FPDFAnnot_GetFormFieldAlternateName, form, note), ""
    box = _rect(note)
    if box is not None:
        left, bottom, _, top = box
        before = _words_in_box(textpage, (left - _BEFORE, bottom, left, top)).strip(" :")
    name = name or before or _of_form(raw.FPDFAnnot_GetFormFieldName, form, note) or "field"
    return FormField(name=name, value=value, before=before, is_text=kind in _VALUES)


def _of_form(ask: Any, form: Any, note: Any) -> str:
    return _one_line(_string(partial(ask, form, note)))


def _string_of(note: Any, key: bytes) -> str:
    return _one_line(_string(partial(raw.FPDFAnnot_GetStringValue, note, key)))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _string(ask: Callable[[Any, int], int]) -> str:
    """Return a string from pdfium. ``ask`` is called first for its size in bytes, then for its content in UTF-16."""
    size = ask(None, 0)
    if not 2 < size <= 1 << 20:
        return ""
    space = ctypes.create_string_buffer(size)
    ask(ctypes.cast(space, ctypes.POINTER(raw.FPDF_WCHAR)), size)
    return space.raw[: size - 2].decode("utf-16-le", "replace")[:MAX_CHARS]


def _rect(note: Any) -> tuple[float, float, float, float] | None:
    box = raw.FS_RECTF()
    if not raw.FPDFAnnot_GetRect(note, ctypes.byref(box)):
        return None
    return min(box.left, box.right), min(box.bottom, box.top), max(box.left, box.right), max(box.bottom, box.top)


def _words_in_box(textpage: Any, box: tuple[float, float, float, float] | None) -> str:
    if box is None:
        return ""
    left, bottom, right, top = box
    return _one_line(textpage.get_text_bounded(left, bottom, right, top).replace("\x02", "-"))[:200]
