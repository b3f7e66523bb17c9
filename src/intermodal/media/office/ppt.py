"""Converts PPT of PowerPoint 97 to 2003 (MS-PPT): the text of its slides, in order. Runs in the worker.

Included: text of placeholders and text boxes, speaker notes and hidden slides (marked), and JPEG and PNG images, which
follow the text. Left out: structure of tables (their cells are text), numbers of charts, audio and videos.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from intermodal.errors import InputBroken, InputEmpty, InputEncrypted, InputTooLarge
from intermodal.media.office.compound_file import CompoundFile
from intermodal.media.office.conversion_types import MAX_CHARS, ConvertedFile
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.plans.numbers import with_noun

_TODO = "open it and save it again as PPTX"
# Types of records (MS-PPT 2.13.24).
_SLIDE_ATOM, _SHOW, _PERSIST, _LIST, _DOCUMENT = 0x03EF, 0x03F9, 0x03F3, 0x0FF0, 0x03E8
_OUTLINE_REFERENCE, _HEADER, _WIDE, _NARROW, _EDIT, _DIRECTORY = 0x0F9E, 0x0F9F, 0x0FA0, 0x0FA8, 0x0FF5, 0x1772
_MAX_RECORDS = 1_000_000
_MAX_DEPTH = 50
_MAX_EDITS = 10_000
_LOCKED = 0xF3D1C4DF  # headerToken of an encrypted file (MS-PPT 2.3.2)

Record = tuple[int, int, int, int]  # type, instance, start and end of the content


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    compound, gallery = CompoundFile(data), ImageCollector(probe)
    current = compound.read_stream("Current User")
    if len(current) >= 20 and struct.unpack_from("<I", current, 12)[0] == _LOCKED:
        raise InputEncrypted("is locked by a password", todo="save an unlocked copy")
    try:
        slides = list(_Deck(compound.read_stream("PowerPoint Document"), current).slides())
    except (struct.error, IndexError, ValueError, KeyError):
        raise InputBroken("cannot be read as slides", todo=_TODO) from None
    blocks = []
    for number, (slide_text, speaker_notes, hidden) in enumerate(slides, 1):
        blocks.append(f"## Slide {number}{' (hidden)' if hidden else ''}")
        blocks.append(slide_text)
        blocks.append(f"Speaker notes: {speaker_notes}" if speaker_notes else "")
    blocks += dict.fromkeys(gallery.image_mark(picture) for picture in compound.embedded_images("Pictures"))
    if not gallery.collected_images and not any(slide_text or speaker_notes for slide_text, speaker_notes, _ in slides):
        raise InputEmpty("holds no text and no images", where=name, todo="check what wrote this file")
    text = "\n\n".join(block for block in blocks if block)
    if len(text) > MAX_CHARS:
        raise InputTooLarge(f"holds {len(text):,} characters, more than {MAX_CHARS:,}", todo="pass fewer slides")
    unseen = sum(hidden for *_, hidden in slides)
    notes = (f"{with_noun(unseen, 'hidden slide')} included",) if unseen else ()
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*notes, *gallery.notes()))


class _Deck:
    """The stream of a presentation. A directory gives the offsets of its parts; each save appends one."""

    def __init__(self, stream: bytes, current: bytes) -> None:
        self._stream = stream
        self._walked = 0
        self._places = self._directory(struct.unpack_from("<I", current, 16)[0])

    def slides(self) -> Iterator[tuple[str, str, bool]]:
        """Yield text, speaker notes and True if hidden, for each slide."""
        document = next(
            (each for each in self._records(0, len(self._stream)) if each[0] == _DOCUMENT and self._is_current(each)),
            None,
        )
        if document is None:
            raise ValueError("no document")
        lists = {each[1]: each for each in self._records(*document[2:]) if each[0] == _LIST}
        notes_persists = {slide: persist for slide, persist, _ in self._slides_of(lists.get(2))}
        for _, persist, outline in self._slides_of(lists.get(0)):
            slide = self._record_at(persist)
            about = next((each for each in self._records(*slide[2:]) if each[0] == _SLIDE_ATOM), None)
            notes = 0 if about is None else struct.unpack_from("<I", self._stream, about[2] + 16)[0]
            texts = [*outline, *self._texts_below(slide, outline=bool(outline))]
            hidden = any(each[0] == _SHOW and struct.unpack_from("<H", self._stream, each[2] + 10)[0] & 4
                         for each in self._records(*slide[2:]))  # fmt: skip
            speech = (
                " ".join(self._texts_below(self._record_at(notes_persists[notes]))) if notes in notes_persists else ""
            )
            yield "\n\n".join(filter(None, texts)), " ".join(speech.split()), hidden

    def _is_current(self, record: Record) -> bool:
        return record[2] - 8 in self._places.values()

    def _directory(self, offset: int) -> dict[int, int]:
        """Return the offset of each part by its number; later saves override earlier ones."""
        found: dict[int, int] = {}
        for _ in range(_MAX_EDITS):
            kind, _, start, end = self._record(offset)
            if kind != _EDIT or end - start < 16:
                raise ValueError("no edit")
            before, places = struct.unpack_from("<II", self._stream, start + 8)
            kind, _, offset, end = self._record(places)
            while kind == _DIRECTORY and offset + 4 <= end:
                head = struct.unpack_from("<I", self._stream, offset)[0]
                first, count = head & 0xFFFFF, head >> 20
                for place in range(count):
                    offset += 4
                    found.setdefault(first + place, struct.unpack_from("<I", self._stream, offset)[0])
                offset += 4
            if not before:
                break
            offset = before
        return found

    def _record_at(self, number: int) -> Record:
        return self._record(self._places[number])

    def _slides_of(self, record: Record | None) -> Iterator[tuple[int, int, list[str]]]:
        """Yield (slide number, part number, texts of the outline) of each slide of a list."""
        current: tuple[int, int, list[str]] | None = None
        for each in self._records(*record[2:]) if record is not None else ():
            if each[0] == _PERSIST:
                if current is not None:
                    yield current
                part, _, _, number = struct.unpack_from("<IIII", self._stream, each[2])
                current = (number, part, [])
            elif current is not None and each[0] in (_WIDE, _NARROW):
                current[2].append(self._record_text(each))
        if current is not None:
            yield current

    def _texts_below(self, record: Record, depth: int = 0, *, outline: bool = False) -> Iterator[str]:
        """Yield the texts below a record, in order."""
        for each in self._records(*record[2:]):
            if each[0] in (_WIDE, _NARROW):
                yield self._record_text(each)
            elif self._contains_text(each) and depth < _MAX_DEPTH:
                yield from self._texts_below(each, depth + 1)

    def _record_text(self, record: Record) -> str:
        body = self._stream[record[2] : record[3]]
        text = body.decode("utf-16-le", "replace") if record[0] == _WIDE else body.decode("latin-1")
        lines = (" ".join(line.split()) for line in text.replace("\v", "\r").split("\r"))
        return "\n".join(line for line in lines if line and line != "*")

    def _contains_text(self, record: Record) -> bool:
        return self._stream[record[2] - 8] & 0x0F == 0x0F or record[0] == 0xF00D  # the text box of a shape

    def _record(self, offset: int) -> Record:
        self._walked += 1
        if self._walked > _MAX_RECORDS:
            raise InputTooLarge(f"holds more than {_MAX_RECORDS:,} records", todo="pass fewer slides")
        head, kind, size = struct.unpack_from("<HHI", self._stream, offset)
        return kind, head >> 4, offset + 8, min(len(self._stream), offset + 8 + size)

    def _records(self, offset: int, end: int) -> Iterator[Record]:
        while offset + 8 <= end:
            found = self._record(offset)
            yield found
            offset = max(found[3], offset + 8)
