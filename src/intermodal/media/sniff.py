"""Detects kind and media type of a file by its bytes. Its name is used for text formats, plugins and errors."""

from __future__ import annotations

import codecs
import re
import shlex  # imported here: the worker recognises files after it can open none
from collections.abc import Iterator, Mapping

from intermodal.core.content import Kind
from intermodal.core.hints import hint
from intermodal.core.plugin_registry import Plugin, installed_plugins
from intermodal.errors import InputBroken, InputEmpty, InputEncrypted, InputUnsupported
from intermodal.files.file_bytes import Data
from intermodal.media import header_readers
from intermodal.media.file_endings import MEDIA_ENDINGS, ending_of
from intermodal.media.media_limits import MAX_FILE_BYTES, PDF
from intermodal.media.office.conversion_types import (
    ASS,
    DOC,
    DOCX,
    EML,
    EPUB,
    EXTRA_TODO,
    HTML,
    IPYNB,
    MHTML,
    MSG,
    ODG,
    ODP,
    ODS,
    ODT,
    PLUGIN_TYPE,
    PPT,
    PPTX,
    RTF,
    SRT,
    SVG,
    VTT,
    XLS,
    XLSX,
    ZIP,
)
from intermodal.media.text.subtitle_cues import begins_as_cues

_TAKEN = (
    "take text, PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC, AVIF, SVG, WAV, MP3, FLAC, M4A, Ogg, MP4, MOV, WebM, MKV, AVI, "
    "PDF, DOCX, PPTX, XLSX, ODT, ODS, ODP, RTF, DOC, XLS, PPT, EPUB, HTML, MHTML, SRT, VTT, ASS, notebooks, mail or ZIP"
)
_SOUND_TODO = "convert it to WAV, MP3, FLAC, M4A or Ogg"
_IMAGE_TODO = "convert it to PNG or JPEG"
NOT_UTF_8 = "is text, but not in UTF-8"
_OFFICE_TODO = "save it as PDF"

_TEXT_ENDINGS = frozenset(("txt", "text", "log", "tex", "ini", "py", "js", "php"))  # treated as plain text
_NOTEBOOK_ENDING = "ipynb"
_PAGE_ENDINGS = frozenset(("html", "htm", "xhtml"))
_SAVED_PAGE_ENDINGS = frozenset(("mht", "mhtml"))
_TEXT_TYPES = {
    "md": "text/markdown", "csv": "text/csv", "tsv": "text/tab-separated-values", "json": "application/json",
    "xml": "application/xml", "yaml": "application/yaml", "yml": "application/yaml",
}  # fmt: skip

_CUE_ENDINGS = {"srt": SRT, "vtt": VTT, "ass": ASS, "ssa": ASS}
# Endings that are read without a plugin; no plugin may take them over.
_KNOWN_ENDINGS = frozenset((
    *MEDIA_ENDINGS, *_TEXT_ENDINGS, *_TEXT_TYPES, *_PAGE_ENDINGS, *_SAVED_PAGE_ENDINGS, *_CUE_ENDINGS,
    _NOTEBOOK_ENDING, "svg", "eml", "rtf",
))  # fmt: skip

# (offset, bytes, kind, media type): accepted formats.
_PLAIN: tuple[tuple[int, bytes, Kind, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image", "image/png"),
    (0, b"\xff\xd8\xff", "image", "image/jpeg"),
    (0, b"GIF87a", "image", "image/gif"),
    (0, b"GIF89a", "image", "image/gif"),
    (0, b"II*\0", "image", "image/tiff"),
    (0, b"MM\0*", "image", "image/tiff"),
    (0, b"fLaC", "audio", "audio/flac"),
)

# (offset, bytes, name, advice): recognised formats that are not accepted.
_NOT_TAKEN: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"FLV\x01", "video (Flash)", ""),
    (0, b"\x00\x00\x01\xba", "video (MPEG)", ""),
    (0, b"\x00\x00\x01\xb3", "video (MPEG)", ""),
    (0, b"0&\xb2u\x8ef\xcf\x11\xa6\xd9", "Windows Media", _SOUND_TODO),
    (0, b"II+\0", "a TIFF image of the 64-bit kind (BigTIFF)", _IMAGE_TODO),
    (0, b"MM\0+", "a TIFF image of the 64-bit kind (BigTIFF)", _IMAGE_TODO),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image", _IMAGE_TODO),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", _IMAGE_TODO),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image", _IMAGE_TODO),
    (0, b"\xff\x0a", "a JPEG XL image", _IMAGE_TODO),
    (0, b"8BPS", "a Photoshop image", _IMAGE_TODO),
    (0, b"\x00\x00\x01\x00", "an icon", _IMAGE_TODO),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile", _IMAGE_TODO),
    (40, b" EMF", "a Windows metafile", _IMAGE_TODO),
    (0, b"%!PS", "PostScript", _OFFICE_TODO),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript", _OFFICE_TODO),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a file of an old program", "save it as DOCX, PPTX, XLSX or PDF"),
    (0, b"!BDN", "an Outlook data file (PST)", "save the mails that you need as MSG or EML"),
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "a OneNote section", "export it as PDF"),
    (0, b"\xffWPC", "a WordPerfect document", "save it as DOCX, RTF or PDF"),
    (0, b"AT&TFORM", "a DjVu document", "save it as PDF"),
    (60, b"BOOKMOBI", "a MOBI book", "convert it to EPUB"),
    (0, b"PK\x07\x08", "a piece of an archive (ZIP)", "join its pieces and unpack it first"),
    (0, b"#!AMR", "AMR sound", _SOUND_TODO),
    (0, b"MThd", "MIDI, which is notes and not sound", _SOUND_TODO),
    (0, b"caff", "CAF sound", _SOUND_TODO),
    (0, b"\x1f\x8b", "a compressed file (gzip)", "unpack it first"),
    (0, b"BZh", "a compressed file (bzip2)", "unpack it first"),
    (0, b"\xfd7zXZ\0", "a compressed file (xz)", "unpack it first"),
    (0, b"(\xb5/\xfd", "a compressed file (zstd)", "unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive (7z)", "unpack it first"),
    (0, b"Rar!", "an archive (RAR)", "unpack it first"),
    (257, b"ustar", "an archive (tar)", "unpack it first"),
    (0, b"SQLite format 3\0", "a database (SQLite)", "export what you need as CSV"),
    (0, b"PAR1", "a table (Parquet)", "export what you need as CSV"),
    (0, b"GGUF", "model weights (GGUF)", hint("pass it to {model}, not as input")),
    (0, b"\x7fELF", "a program", _TAKEN),
)
# Office files by a folder in their ZIP container (ECMA-376-2); OpenDocument and EPUB by their first member, which is
# stored uncompressed (ODF 1.3 part 2, 3.3; EPUB 3.3, 4.2.6.4).
_OFFICE = ((b"word/", DOCX), (b"ppt/", PPTX), (b"xl/", XLSX))
# Packages that are not accepted, by the name of a member. Unpacked as archives, they would be read as markup. An XPS
# document may hold its parts in pieces, "NAME.fdseq/[0].piece" (ECMA-388, 9.1; ECMA-376-2, 7.2.3).
_NOT_TAKEN_PACKAGES: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("a document of Pages, Numbers or Keynote", re.compile(rb"^(?:Index/.*\.iwa|Index\.zip)$", re.DOTALL)),
    ("a Visio drawing", re.compile(rb"^visio/(?:document\.xml|pages/)", re.IGNORECASE)),
    ("an XPS document", re.compile(rb"\.fdseq(?:/|$)", re.IGNORECASE)),
)
_NAMED_FIRST = b"mimetypeapplication/"
_MIMETYPES = (
    (b"vnd.oasis.opendocument.text", ODT), (b"vnd.oasis.opendocument.spreadsheet", ODS),
    (b"vnd.oasis.opendocument.presentation", ODP), (b"vnd.oasis.opendocument.graphics", ODG), (b"epub+zip", EPUB),
)  # fmt: skip
# Files of older Office versions in a compound file (MS-CFB): recognised by the class of the root, otherwise by a
# stream, whose name is UTF-16.
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CLASSES = {
    0x00020906: DOC, 0x00020900: DOC, 0x00020810: XLS, 0x00020820: XLS, 0x64818D10: PPT, 0x00020D0B: MSG,
}  # fmt: skip
_STREAMS = (("__properties_version1.0", MSG), ("PowerPoint Document", PPT), ("WordDocument", DOC), ("Workbook", XLS),
            ("Book\0", XLS))  # fmt: skip
_LOCKED_STREAM = "EncryptedPackage".encode("utf-16-le")
_HEAD = 65_536  # bytes in which a video states its tracks, and an archive has its end record
_MAX_DIRECTORY = 4 << 20  # bytes of an archive's directory
_CUT_WITHIN = 8_192  # the largest Layer III frame has 1,441 bytes
_SOUND_BRANDS = frozenset((b"M4A ", b"M4B ", b"M4P "))
_IMAGE_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"))
_AVIF_BRANDS = (b"avif", b"avis")
_BARE_BOXES = frozenset((b"moov", b"mdat", b"wide", b"free", b"skip"))  # first boxes of QuickTime files before 2001
_RAW_ENDINGS = frozenset(("dng", "cr2", "nef", "arw", "orf", "pef", "rw2", "srw"))  # TIFFs; page one is a preview


def sniff(data: Data, name: str) -> tuple[Kind, str]:
    """Return kind and media type of ``data``. ``name``: its file name or source.

    A plugin that converts files with the ending of ``name`` gets the file if it is not accepted, or if its bytes only
    identify it as text or as an archive.

    Raises InputEmpty for no bytes, InputUnsupported for kinds that are not supported, and InputBroken for text with the
    ending of a media file.

    >>> sniff(b"%PDF-1.7 ...", "report.pdf")
    ('document', 'application/pdf')
    >>> sniff("déjà vu".encode(), "note.txt")
    ('text', 'text/plain')
    """
    try:
        found = kind_by_marks(data, name) or ("text", _text_type(data, name))
    except (InputBroken, InputUnsupported):
        if data and ending_of(name) in plugin_converters():
            return "document", PLUGIN_TYPE + ending_of(name)
        raise
    if (found[0] == "text" or found[1] == ZIP) and ending_of(name) in plugin_converters():
        return "document", PLUGIN_TYPE + ending_of(name)
    return found


def plugin_converters() -> Mapping[str, Plugin]:
    """Return the plugins that convert files, by file ending. No plugin is imported."""
    return installed_plugins("converter", _KNOWN_ENDINGS)


def kind_by_marks(data: Data, name: str) -> tuple[Kind, str] | None:
    """Return kind and media type by marks of the format, with a few reads; None for text and unknown bytes.

    Raises InputEmpty, InputUnsupported and InputBroken like ``sniff``.
    """
    if not data:
        raise InputEmpty("is empty", where=name, todo="check that it was written completely")
    if ending_of(name) in _RAW_ENDINGS:
        raise InputUnsupported("is a camera's raw image, which is not taken", where=name, todo=_IMAGE_TODO)
    for offset, magic, kind, media_type in _PLAIN:
        if data.startswith(magic, offset):
            return kind, media_type
    for recognise in (_riff, _bitmap, _ogg, _iso, _matroska, _mpeg_sound, _office):
        found = recognise(data, name)
        if found is not None:
            return found
    if b"%PDF-" in data[:1024]:  # readers accept garbage before the header (ISO 32000-1, annex H, note 13)
        return "document", PDF
    _refuse_known(data, name)
    if _is_svg(data):
        return "image", SVG
    if _cut_mp3(data):
        return "audio", "audio/mpeg"
    return _page_or_mail(data, name)


def _riff(data: Data, name: str) -> tuple[Kind, str] | None:
    if data[:4] not in (b"RIFF", b"RF64", b"FORM"):
        return None
    form = data[8:12]
    if form == b"WAVE":
        return "audio", "audio/wav"
    if form == b"WEBP":
        return "image", "image/webp"
    if form == b"AVI ":
        return "video", "video/x-msvideo"
    if form in (b"AIFF", b"AIFC"):
        raise InputUnsupported("is AIFF sound, which is not taken", where=name, todo=_SOUND_TODO)
    return None


def _ogg(data: Data, name: str) -> tuple[Kind, str] | None:
    if not data.startswith(b"OggS"):
        return None
    if b"\x80theora" in data[:_HEAD]:
        raise _unsupported_error("video (Ogg Theora)", name)
    return "audio", "audio/ogg"


def _bitmap(data: Data, name: str) -> tuple[Kind, str] | None:
    """Return BMP for a file header with an empty reserved field and a known size of the second header."""
    if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0" and data[14:18] in _BITMAP_HEADERS:
        return "image", "image/bmp"
    return None


_BITMAP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))


def _iso(data: Data, name: str) -> tuple[Kind, str] | None:
    """Return the kind of a file of the MP4 family, image, audio or video, by its brands and tracks."""
    if data[4:8] != b"ftyp" and data[4:8] not in _BARE_BOXES:
        return None
    brand = data[8:12] if data[4:8] == b"ftyp" else b"qt  "
    if brand in _IMAGE_BRANDS:
        brands = data[8 : min(256, int.from_bytes(data[:4], "big"))]
        return "image", "image/avif" if any(avif in brands for avif in _AVIF_BRANDS) else "image/heic"
    kinds = header_readers.tracks(data)
    if "vide" in kinds and brand not in _SOUND_BRANDS:
        return "video", "video/quicktime" if brand == b"qt  " else "video/mp4"
    if not kinds:
        raise InputBroken("is an MP4 file without its index, so it is cut short", where=name, todo="fetch it again")
    if "soun" not in kinds:
        raise InputUnsupported("is an MP4 file without sound or frames", where=name, todo=_TAKEN)
    return "audio", "audio/mp4"


_CODEC = re.compile(rb"\x86[\x80-\xff]([VA])_[A-Z]")  # the CodecID of a track entry (RFC 9559, 5.1.4.1.21)


def _matroska(data: Data, name: str) -> tuple[Kind, str] | None:
    """Return WebM or Matroska, audio if all tracks declared in the first bytes are audio. Probing corrects the kind."""
    if not data.startswith(b"\x1aE\xdf\xa3"):
        return None
    kind: Kind = "audio" if {found[1] for found in _CODEC.finditer(data[:_HEAD])} == {b"A"} else "video"
    return kind, f"{kind}/webm" if b"\x42\x82\x84webm" in data[:64] else f"{kind}/x-matroska"


# Layer III bit rates in kbit/s by index, for MPEG-1 and for MPEG-2/2.5 (ISO/IEC 11172-3 2.4.2.3, 13818-3 2.4.2.3).
_RATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_RATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HERTZ = (44100, 48000, 32000)


def _mpeg_sound(data: Data, name: str) -> tuple[Kind, str] | None:
    """Return MP3 (with or without a tag) or AAC in ADTS frames, recognised by two consecutive frames."""
    offset = 0
    if data[:3] == b"ID3" and len(data) > 10:
        offset = 10 + ((data[6] & 127) << 21 | (data[7] & 127) << 14 | (data[8] & 127) << 7 | (data[9] & 127))
        if data.startswith(b"fLaC", offset):
            return "audio", "audio/flac"
    for measure, media_type in ((_mp3_frame, "audio/mpeg"), (_adts_frame, "audio/aac")):
        size = measure(data, offset)
        if size and (offset + size >= len(data) or measure(data, offset + size)):
            return "audio", media_type
    return ("audio", "audio/mpeg") if offset else None


def _cut_mp3(data: Data) -> bool:
    """Return True for MP3 that begins in the middle of a frame, as streams and cuts do.

    It is recognised by two consecutive frames near the start.
    """
    offset = -1 if data.startswith(tuple(mark for mark, _ in _MARKS)) else data.find(b"\xff", 0, _CUT_WITHIN)
    while offset >= 0:
        size = _mp3_frame(data, offset)
        if (
            size and _mp3_frame(data, offset + size) and data[offset + 1] == data[offset + size + 1]
        ):  # same version and layer
            return True
        offset = data.find(b"\xff", offset + 1, _CUT_WITHIN)
    return False


def _mp3_frame(data: Data, offset: int) -> int:
    """Return the bytes of the Layer III frame that starts at ``offset``, 0 if none does."""
    if offset + 4 > len(data) or data[offset] != 0xFF or data[offset + 1] & 0xE0 != 0xE0:
        return 0
    version, layer = (data[offset + 1] >> 3) & 3, (data[offset + 1] >> 1) & 3
    rate, hertz, padding = data[offset + 2] >> 4, (data[offset + 2] >> 2) & 3, (data[offset + 2] >> 1) & 1
    if version == 1 or layer != 1 or rate in (0, 15) or hertz == 3:
        return 0
    kilobits = (_RATES_1 if version == 3 else _RATES_2)[rate]
    sampling = _HERTZ[hertz] >> (0 if version == 3 else 1 if version == 2 else 2)
    return (144000 if version == 3 else 72000) * kilobits // sampling + padding


def _adts_frame(data: Data, offset: int) -> int:
    """Return the bytes of the ADTS frame that starts at ``offset`` (ISO/IEC 13818-7, 6.2), 0 if none does."""
    if (
        offset + 7 > len(data)
        or data[offset] != 0xFF
        or data[offset + 1] & 0xF6 != 0xF0
        or (data[offset + 2] >> 2) & 15 > 12
    ):
        return 0
    size = (data[offset + 3] & 3) << 11 | data[offset + 4] << 3 | data[offset + 5] >> 5
    return size if size >= 7 else 0


def _office(data: Data, name: str) -> tuple[Kind, str] | None:
    """Return the type of Office documents, books, Outlook mails and archives.

    Office documents are Word, slides and sheets, old and new, and OpenDocument. The converter checks their contents.
    """
    if data.startswith(_COMPOUND):
        if _contains_pattern(data, _LOCKED_STREAM):
            raise InputEncrypted("is locked by a password", where=name, todo="save an unlocked copy")
        found = _of_compound(data)
        return ("document", found) if found else None
    if data.startswith(b"{\\rtf"):
        return "document", RTF
    if not data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None
    if data.startswith(_NAMED_FIRST, 30):
        kind = data[30 + len(_NAMED_FIRST) : 128]
        return next((("document", media_type) for mark, media_type in _MIMETYPES if kind.startswith(mark)), None) or (
            "document", ZIP)  # fmt: skip
    members = _members(data)
    if b"[Content_Types].xml" in members:
        found = next((kind for folder, kind in _OFFICE if any(each.startswith(folder) for each in members)), "")
        if found:
            return "document", found
    for what, marks in _NOT_TAKEN_PACKAGES:
        if any(marks.search(each) for each in members):
            raise InputUnsupported(f"is {what}, which is not taken", where=name, todo="export it as PDF")
    book = b"META-INF/container.xml" in members and any(each.endswith(b".opf") for each in members)
    return "document", EPUB if book else ZIP


def _members(data: Data) -> set[bytes]:
    """Return the names in the directory of a ZIP file, at its end (APPNOTE 4.3.12 and 4.3.16).

    Names elsewhere in the file are ignored, because it may contain an uncompressed workbook. If the file is cut, the
    names of its first members are returned.
    """
    tail = data[-_HEAD:]
    end = tail.rfind(b"PK\x05\x06")
    last = len(data) - len(tail) + end
    start = last - int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else -1
    if start < 0:
        places = [found.start() for found in re.finditer(rb"PK\x03\x04", data[:4096])]
        return {
            data[offset + 30 : offset + 30 + int.from_bytes(data[offset + 26 : offset + 28], "little")]
            for offset in places
        }
    directory = data[start : min(last, start + _MAX_DIRECTORY)]
    found: set[bytes] = set()
    offset = 0
    while directory[offset : offset + 4] == b"PK\x01\x02":
        name, extra, comment = (int.from_bytes(directory[offset + n : offset + n + 2], "little") for n in (28, 30, 32))
        found.add(directory[offset + 46 : offset + 46 + name])
        offset += 46 + name + extra + comment
    return found


def _of_compound(data: Data) -> str:
    """Return the type by the class of the root entry (MS-CFB 2.6.1), otherwise by a stream that only one type has."""
    sector = 1 << min(20, int.from_bytes(data[30:32], "little"))
    root = (int.from_bytes(data[48:52], "little") + 1) * sector
    found = _CLASSES.get(int.from_bytes(data[root + 80 : root + 84], "little"), "")
    return found or next((kind for stream, kind in _STREAMS if _contains_pattern(data, stream.encode("utf-16-le"))), "")


def _contains_pattern(data: Data, pattern: bytes) -> bool:
    """Return True if ``pattern`` occurs in the first ``MAX_FILE_BYTES`` of the file."""
    return data.find(pattern, 0, MAX_FILE_BYTES) >= 0


_PAGE = re.compile(rb"<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE)
_SAVED = re.compile(rb"^(?:Snapshot-Content-Location:|From: <Saved by )", re.IGNORECASE | re.MULTILINE)  # by a browser
_FIELD = re.compile(rb"^([A-Za-z][A-Za-z0-9-]*):", re.MULTILINE)
_MAIL_FIELDS = frozenset((
    b"from", b"to", b"subject", b"date", b"received", b"return-path", b"message-id", b"mime-version", b"delivered-to",
))  # fmt: skip


def _page_or_mail(data: Data, name: str) -> tuple[Kind, str] | None:
    """Return the type of HTML, saved pages, mails, notebooks and subtitles, which are text too.

    Their name decides, otherwise the beginning of the text.
    """
    ending, head = ending_of(name), data[:4096]
    if b"\0" in head and not data.startswith(tuple(mark for mark, _ in _MARKS)):
        return None
    if ending in _PAGE_ENDINGS:
        return "text", HTML
    if ending in (_NOTEBOOK_ENDING, "") and head.lstrip().startswith(b"{") and _contains_pattern(data, b'"nbformat"'):
        return "document", IPYNB
    has_known_ending = ending in _TEXT_TYPES or ending in MEDIA_ENDINGS or ending in _TEXT_ENDINGS
    if ending in _SAVED_PAGE_ENDINGS or (not has_known_ending and _SAVED.search(_fields(head))):
        return "document", MHTML
    if ending == "eml" or (not has_known_ending and _begins_as_mail(head)):
        return "document", EML
    if not has_known_ending and _PAGE.match(head.lstrip(b"\xef\xbb\xbf \t\r\n")):
        return "text", HTML
    return _subtitles(data, ending, has_known_ending)


def _subtitles(data: Data, ending: str, has_known_ending: bool) -> tuple[Kind, str] | None:
    """Return the type of a subtitle file by its ending, or by its beginning if the name gives no hint.

    The converter checks for cues.
    """
    if ending in _CUE_ENDINGS:
        return "text", _CUE_ENDINGS[ending]
    head = data[:512].decode("utf-8", "ignore")
    return ("text", SRT) if not has_known_ending and begins_as_cues(head) else None


def _fields(head: bytes) -> bytes:
    """Return what stands before the first blank line."""
    return re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]


def _begins_as_mail(head: bytes) -> bool:
    """Return True if a text begins with four of the usual mail headers, before the first blank line (RFC 5322, 2.2)."""
    fields = _fields(head)
    if not _FIELD.match(fields):
        return False
    return len({found.lower() for found in _FIELD.findall(fields)} & _MAIL_FIELDS) >= 4


def _refuse_known(data: Data, name: str) -> None:
    for offset, magic, what, todo in _NOT_TAKEN:
        if data.startswith(magic, offset):
            if what.startswith("video"):
                raise _unsupported_error(what, name)
            raise InputUnsupported(f"is {what}, which is not taken", where=name, todo=todo)
    if data[:1] == b"G" and len(data) > 376 and data[188] == data[376] == 0x47:
        raise _unsupported_error("video (MPEG transport stream)", name)


def _is_svg(data: Data) -> bool:
    """Return True for markup whose first element is ``svg``."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!--", b"<!DOCTYPE svg")) and b"<svg" in head)


def _unsupported_error(what: str, name: str) -> InputUnsupported:
    film = shlex.quote(name or "FILE")
    return InputUnsupported(
        f"is {what}, which is not taken", where=name, todo=f"convert it to MP4: ffmpeg -i {film} film.mp4"
    )


# ---- text ----------------------------------------------------------------------------------------

_CONTROLS = bytes(sorted(set(range(32)) - set(b"\t\n\r\f\x08\x1b")))
_PIECE = 256 << 10  # bytes processed in one call, which holds the interpreter lock
_MARKS = (  # the longer marks first: UTF-16's are prefixes of UTF-32's
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_text(data: Data, name: str) -> str:
    """Decode a text file: UTF-8, or UTF-16/32 with its byte order mark.

    Raises InputUnsupported if the bytes are not text, InputBroken if they are in another encoding.
    """
    return "".join(_decoded_pieces(data, name))


def _decoded_pieces(data: Data, name: str) -> Iterator[str]:
    """Yield the text of ``read_text`` in pieces.

    Joining 60 MiB is one call that holds the interpreter lock for 50 ms.
    """
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    if encoding in ("utf-8", "utf-8-sig") and _has_controls(data):
        raise InputUnsupported("is of no kind that is known", where=name, todo=_TAKEN)
    try:
        yield from _decode_pieces(data, encoding)
    except UnicodeDecodeError:
        share = sum(byte > 127 for byte in data[:4096]) / min(len(data), 4096)
        if share > 0.3 and ending_of(name) not in (*_TEXT_TYPES, *_TEXT_ENDINGS):
            raise InputUnsupported("is of no kind that is known", where=name, todo=_TAKEN) from None
        raise InputBroken(
            NOT_UTF_8,
            where=name,
            todo=f"{EXTRA_TODO}, which tells encodings, or convert it: iconv -f latin1 -t utf-8",
        ) from None


def _has_controls(data: Data) -> bool:
    pieces = (data[offset : offset + _PIECE] for offset in range(0, len(data), _PIECE))
    return any(len(piece.translate(None, _CONTROLS)) != len(piece) for piece in pieces)


def _decode_pieces(data: Data, encoding: str) -> Iterator[str]:
    """Yield ``data.decode(encoding)`` in pieces.

    A single call would hold the interpreter lock until its end.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    for offset in range(0, len(data), _PIECE):
        yield decoder.decode(data[offset : offset + _PIECE])
    yield decoder.decode(b"", final=True)


def _text_type(data: Data, name: str) -> str:
    ending = ending_of(name)
    blank = True
    for words in _decoded_pieces(data, name):
        blank = blank and not words.strip()
    if ending in MEDIA_ENDINGS:
        what = "only blanks" if blank else "text"
        raise InputBroken(f"is named .{ending} but holds {what}", where=name, todo="check what wrote this file")
    return _TEXT_TYPES.get(ending, "text/plain")
