"""Converts RTF (version 1.9.1) to HTML, which is then converted like any page. Runs in the worker.

Included: headings, lists, tables, links, footnotes, comments (marked), page headers and footers, PNG and JPEG images.
Left out, with a note: deleted and hidden text, embedded files, images of other kinds. Fields have their last computed
result.
"""

from __future__ import annotations

import codecs
import re
from html import escape

import msgspec

from intermodal.core.content import Value
from intermodal.errors import InputEmpty, InputTooLarge
from intermodal.media.office import text_encoding  # noqa: F401 - words may be in any code page
from intermodal.media.office.conversion_types import MAX_CHARS, ConvertedFile
from intermodal.media.office.html_pages import markdown
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.word_html import ListItem, address_in, as_html, mark_link, nested_list
from intermodal.plans.numbers import with_noun

_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)", re.DOTALL
)
_MAX_GROUPS = 10_000  # nested
_UNREAD = frozenset((
    "fonttbl", "colortbl", "stylesheet", "info", "themedata", "colorschememapping", "latentstyles", "datastore",
    "listtable", "listoverridetable", "rsidtbl", "revtbl", "xmlnstbl", "filetbl", "nonshppict", "objdata", "objclass",
    "ftnsep", "ftnsepc", "aftnsep", "aftnsepc", "nonesttables", "bkmkstart", "bkmkend", "pgdsctbl", "generator",
    "shpinst", "shprslt", "do", "xe", "tc", "private", "passwordhash", "wgrffmtfilter", "mmathPr", "pnseclvl",
))  # fmt: skip
# Destinations whose text is read separately. Unknown destinations that begin with \* are skipped.
_TAKEN = frozenset(("pict", "fldinst", "fldrslt", "listtext", "pntext", "footnote", "annotation"))
_READ = frozenset(("shppict", "pn", "shptxt", "nesttableprops"))
_AROUND = {"header": "header", "headerl": "header", "headerr": "header", "headerf": "header",
           "footer": "footer", "footerl": "footer", "footerr": "footer", "footerf": "footer"}  # fmt: skip
_LETTERS = {
    "tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "emspace": " ", "enspace": " ", "qmspace": " ",
    "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "page": "\n", "column": "\n",
}  # fmt: skip
_SIGNS = {"~": "\u00a0", "_": "‑", "-": "", "|": "", ":": ""}
# \fcharset -> code page (RTF 1.9.1, "Font Table").
_CODE_PAGES = {0: 1252, 2: 1252, 77: 10000, 128: 932, 129: 949, 130: 1361, 134: 936, 136: 950, 161: 1253, 162: 1254,
               163: 1258, 177: 1255, 178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250, 255: 850}  # fmt: skip
_HEADING = re.compile(r"^\s*heading (\d)", re.IGNORECASE)


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    reader = _Reader()
    reader.read(data.decode("latin-1"))
    gallery = ImageCollector(probe)
    text, notes = markdown(reader.page(), gallery, reader.inside)
    if not text and not gallery.collected_images:
        raise InputEmpty("holds no text and no images", where=name, todo="check what wrote this file")
    for number, what in ((reader.deleted, "deleted passage"), (reader.hidden, "hidden passage"),
                         (reader.objects, "embedded file"), (reader.drawings, "image of another kind")):  # fmt: skip
        if number:
            notes.append(f"{with_noun(number, what, 'images of other kinds' if 'kind' in what else '')} left out")
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*notes, *gallery.notes()))


class _Group(Value):
    """The properties that apply until a closing brace.

    ``into``: the destination of text, "" for the body, "-" to discard it.
    """

    into: str = ""
    font: int = -1
    skip: int = 1  # characters after \\u to skip: the fallback for programs without Unicode
    deleted: bool = False
    unseen: bool = False
    destination: str = ""  # the destination that began with this group
    start: int = 0  # where its words begin


class _Paragraph:
    """The properties of the current paragraph."""

    def __init__(self) -> None:
        self.level = 0
        self.heading = 0
        self.bullet: str | None = None
        self.inside_table = False


class _Reader:
    def __init__(self) -> None:
        self.deleted = self.hidden = self.objects = self.drawings = 0
        self._code_page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._headings: dict[int, int] = {}
        self._blocks: list[str] = []
        self._items: list[ListItem] = []
        self._rows: list[list[str]] = []
        self._cells: list[str] = []
        self._words: dict[str, list[str]] = {"": []}
        self._around: dict[str, None] = {}
        self._notes: list[str] = []
        self._pictures: list[bytes] = []
        self._blip = ""
        self._link = ""
        self._style = 0
        self._table = ""  # the table that is skipped: fonts, styles, …
        self._paragraph = _Paragraph()
        self._group = _Group()
        self._groups: list[_Group] = []
        self._bytes = bytearray()
        self._left = 0  # characters still to skip
        self._size = 0
        self._starred = False

    # ---- tokens

    def read(self, text: str) -> None:
        """Read the whole file.

        Raises InputTooLarge if it is nested too deeply or too long.
        """
        position, length = 0, len(text)
        while position < length:
            found = _TOKEN.match(text, position)
            if found is None:  # a lone backslash at the end
                break
            position = found.end()
            word, number, code, sign, brace, words = found.groups()
            if code:
                self._byte(int(code, 16))
                continue
            self._flush_bytes()
            if word == "bin" and number:
                size = max(0, min(int(number), length - position))
                self._blip_bytes(text[position : position + size].encode("latin-1"))
                position += size
            elif word:
                self._control(word, int(number) if number else None)
            elif sign:
                self._sign(sign)
            elif brace == "{":
                self._open()
            elif brace:
                self._close()
            elif words:
                self._add_text(words)
        self._flush_bytes()
        self._end_paragraph()
        self._end_table()

    def _byte(self, value: int) -> None:
        if self._left:
            self._left -= 1
        else:
            self._bytes.append(value)

    def _flush_bytes(self) -> None:
        if self._bytes:
            encoding = self._fonts.get(self._group.font, self._code_page)
            words, self._bytes = self._bytes.decode(encoding, "replace"), bytearray()
            self._append_text(words)

    def _add_text(self, words: str) -> None:
        if self._left:
            cut = min(self._left, len(words))
            self._left -= cut
            words = words[cut:]
        self._append_text(words if words.isascii() else words.encode("latin-1").decode(self._code_page, "replace"))

    def _append_text(self, words: str) -> None:
        group = self._group
        if group.into == "-" and self._table == "stylesheet":
            found = _HEADING.match(words)
            if found:
                self._headings[self._style] = min(6, int(found[1]))
        if not words or group.into == "-":
            return
        if group.deleted or group.unseen:
            return
        self._size += len(words)
        if self._size > 4 * MAX_CHARS and group.into != "pict":
            raise InputTooLarge(f"holds more than {MAX_CHARS:,} characters", todo="pass the part you need")
        self._words.setdefault(group.into, []).append(words)

    # ---- groups

    def _open(self) -> None:
        if len(self._groups) >= _MAX_GROUPS:
            raise InputTooLarge(f"has more than {_MAX_GROUPS:,} groups in one another", todo="save it again as DOCX")
        self._groups.append(self._group)
        self._left = 0
        self._starred = False
        self._group = _Group(
            into=self._group.into, font=self._group.font, skip=self._group.skip, deleted=self._group.deleted,
            unseen=self._group.unseen,
        )  # fmt: skip

    def _close(self) -> None:
        ended = self._group
        if not self._groups:
            return  # text after the last closing brace does not belong to the document
        self._left = 0
        self._starred = False
        self._group = self._groups.pop()
        if ended.destination:
            text = "".join(self._words.pop(ended.into, []))
            self._end_destination(ended.destination, text)

    def _begin(self, destination: str, into: str = "") -> None:
        """Redirect text to ``destination`` until this group ends; "-" discards it."""
        place = into or f"{destination} {len(self._groups)}"
        self._group = _replace(self._group, into=place, destination="" if place == "-" else destination)
        if place != "-":
            self._words[place] = []

    def _end_destination(self, destination: str, text: str) -> None:
        line = " ".join(text.split())
        if destination == "pict":
            self._image_mark(text)
        elif destination == "fldinst":
            self._link = address_in(text)
        elif destination == "fldrslt":
            self._append_text(mark_link(self._link, text) if self._link and line else text)
            self._link = ""
        elif destination in ("listtext", "pntext"):
            self._paragraph.bullet = line
        elif destination == "footnote" and line:
            self._notes.append(line)
            self._append_text(f"[{len(self._notes)}]")
        elif destination == "annotation" and line:
            self._append_text(f" [Comment: {line}] ")
        elif destination in _AROUND and line:
            self._around[f"Page {_AROUND[destination]}: {line}"] = None

    # ---- control words

    def _control(self, word: str, number: int | None) -> None:
        starred, self._starred = self._starred, False
        if self._group.into == "-":
            self._of_tables(word, number)
            return
        if word in _UNREAD or (starred and word not in _READ and word not in _TAKEN and word not in _AROUND):
            self._begin(word, "-")
            self._table = word
        elif word in _TAKEN or word in _AROUND:
            self._begin(word)
        elif word in _LETTERS:
            self._append_text(_LETTERS[word])
        elif word == "u" and number is not None:
            self._unicode(number)
        elif word == "object":
            self.objects += 1
        elif word in ("pngblip", "jpegblip"):
            self._blip = word
        else:
            self._property(word, number)

    def _unicode(self, number: int) -> None:
        code = number + 65_536 if number < 0 else number
        self._append_text(chr(code) if 0 < code < 0x110000 else "")
        self._left = self._group.skip

    def _property(self, word: str, number: int | None) -> None:
        on = number != 0
        match word:
            case "par" | "sect":
                self._end_paragraph()
            case "pard":
                self._paragraph = _Paragraph()
            case "intbl":
                self._paragraph.inside_table = True
            case "cell" | "nestcell":
                self._end_cell(word == "cell")
            case "row":
                self._end_row()
            case "ilvl":
                self._paragraph.level = min(8, max(0, number or 0))
            case "outlinelevel":
                self._paragraph.heading = min(6, (number or 0) + 1) if (number or 0) < 9 else 0
            case "s":
                self._paragraph.heading = self._headings.get(number or 0, 0)
            case "f":
                self._group = _replace(self._group, font=number or 0)
            case "uc":
                self._group = _replace(self._group, skip=min(16, max(0, number or 0)))
            case "deleted":
                self.deleted += on and not self._group.deleted
                self._group = _replace(self._group, deleted=on)
            case "v":
                self.hidden += on and not self._group.unseen
                self._group = _replace(self._group, unseen=on)
            case "plain":
                self._group = _replace(self._group, unseen=False, deleted=False)
            case "ansicpg":
                self._code_page = _encoding_of(number or 1252)

    def _of_tables(self, word: str, number: int | None) -> None:
        """Read the font and style tables, whose text is discarded."""
        if word == "f":
            self._group = _replace(self._group, font=number or 0)
        elif word == "fcharset" and number in _CODE_PAGES:
            self._fonts[self._group.font] = _encoding_of(_CODE_PAGES[number])
        elif word == "s":
            self._style = number or 0
        elif word == "outlinelevel" and number is not None and number < 9:
            self._headings[self._style] = min(6, number + 1)

    def _sign(self, sign: str) -> None:
        if sign == "*":
            self._starred = True
        elif sign in "\r\n":
            self._end_paragraph()
        else:
            self._append_text(_SIGNS.get(sign, sign))

    # ---- output

    def _take_text(self) -> str:
        text = "".join(self._words[""])
        self._words[""] = []
        return _html(text)

    def _end_paragraph(self) -> None:
        if self._group.into:
            self._append_text("\n")
            return
        about = self._paragraph
        if about.inside_table:
            self._append_text("\n")
            return
        html = self._take_text()
        if self._rows and html.strip():
            self._end_table()
        if about.bullet is not None and not about.heading and html.strip():
            ordered = any(letter.isalnum() for letter in about.bullet)
            self._items.append(ListItem(level=about.level, ordered=ordered, html=html))
            about.bullet = None
            return
        self._end_list()
        if html.strip():
            tag = f"h{about.heading}" if about.heading else "p"
            self._blocks.append(f"<{tag}>{html}</{tag}>")

    def _end_list(self) -> None:
        if self._items:
            self._blocks.append(nested_list(self._items))
            self._items = []

    def _end_cell(self, outermost: bool) -> None:
        if self._group.into:
            self._append_text(" | ")
        elif outermost:
            self._cells.append(self._take_text())
        else:
            self._append_text(" | ")

    def _end_row(self) -> None:
        if self._cells:
            self._end_list()
            self._rows.append(self._cells)
            self._cells = []

    def _end_table(self) -> None:
        self._end_list()
        if self._cells:
            self._end_row()
        if self._rows:
            rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in self._rows)
            self._blocks.append(f"<table>{rows}</table>")
            self._rows = []

    def _blip_bytes(self, data: bytes) -> None:
        if self._group.into.startswith("pict") and self._blip:
            self._add_image(data)
            self._blip = ""

    def _image_mark(self, text: str) -> None:
        blip, self._blip = self._blip, ""
        try:
            data = bytes.fromhex("".join(text.split())) if blip else b""
        except ValueError:
            data = b""
        if data:
            self._add_image(data)
        elif not blip and text.strip():
            self.drawings += 1

    def _add_image(self, data: bytes) -> None:
        self._pictures.append(data)
        self._append_text(f"\x04{len(self._pictures) - 1}\x05")

    def page(self) -> str:
        before = [escape(line) for line in self._around if line.startswith("Page header")]
        after = [escape(line) for line in self._around if line.startswith("Page footer")]
        notes = [_html(f"[{place}] {note}") for place, note in enumerate(self._notes, 1)]
        lines = [*(f"<p>{line}</p>" for line in before), *self._blocks, *(f"<p>{note}</p>" for note in notes),
                 *(f"<p>{line}</p>" for line in after)]  # fmt: skip
        return f"<html><body>{''.join(lines)}</body></html>"

    def inside(self, source: str) -> bytes | None:
        place = source.removeprefix("inside:")
        return self._pictures[int(place)] if place != source and place.isdecimal() else None


def _html(text: str) -> str:
    """Return text as HTML, with images in place of their marks, which use control characters that no text has."""
    return re.sub("\x04(\\d{1,9})\x05", r'<img src="inside:\1">', as_html(text))


def _replace(group: _Group, **changes: object) -> _Group:
    return msgspec.structs.replace(group, **changes)


def _encoding_of(number: int) -> str:
    encoding = "utf-8" if number == 65001 else "mac_roman" if number == 10000 else f"cp{number}"
    try:
        codecs.lookup(encoding)
    except LookupError:
        return "cp1252"
    return encoding
