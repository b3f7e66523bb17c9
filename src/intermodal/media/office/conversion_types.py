"""Defines ``ConvertedFile``, the media types that are converted, and the limits of conversion."""

from __future__ import annotations

from typing import Final

from intermodal.core.content import Kind, Value

DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HTML: Final = "text/html"
EML: Final = "message/rfc822"
MHTML: Final = "multipart/related"
MSG: Final = "application/vnd.ms-outlook"
ODT: Final = "application/vnd.oasis.opendocument.text"
ODS: Final = "application/vnd.oasis.opendocument.spreadsheet"
ODP: Final = "application/vnd.oasis.opendocument.presentation"
ODG: Final = "application/vnd.oasis.opendocument.graphics"
EPUB: Final = "application/epub+zip"
RTF: Final = "application/rtf"
DOC: Final = "application/msword"
XLS: Final = "application/vnd.ms-excel"
PPT: Final = "application/vnd.ms-powerpoint"
ZIP: Final = "application/zip"
IPYNB: Final = "application/x-ipynb+json"
SVG: Final = "image/svg+xml"
SRT: Final = "application/x-subrip"
VTT: Final = "text/vtt"
ASS: Final = "text/x-ssa"
PLAIN: Final = "text/plain"

EXTRA_TODO: Final = "pip install 'intermodal[documents]'"

# Media type -> the kinds that a privacy label may use for it. Pages and mails are text files, so a label on "text" also
# covers them and everything extracted from them.
CONVERTED: Final[dict[str, tuple[Kind, ...]]] = {
    DOCX: ("document",),
    PPTX: ("document",),
    XLSX: ("document",),
    HTML: ("document", "text"),
    EML: ("document", "text"),
    MHTML: ("document", "text"),
    MSG: ("document",),
    ODT: ("document",),
    ODS: ("document",),
    ODP: ("document",),
    ODG: ("document",),
    EPUB: ("document",),
    RTF: ("document", "text"),
    DOC: ("document",),
    XLS: ("document",),
    PPT: ("document",),
    ZIP: ("document",),
    IPYNB: ("document", "text"),
    SVG: ("image",),
    SRT: ("text",),
    VTT: ("text",),
    ASS: ("text",),
}

PLUGIN_TYPE: Final = "application/x-intermodal-plugin-"  # followed by the file ending that a plugin converts
PLUGIN_KINDS: Final[tuple[Kind, ...]] = ("document", "text")


def converted_kinds(media_type: str) -> tuple[Kind, ...] | None:
    """Return the kinds a privacy label may use for a file of this type; None if the type is not converted."""
    return PLUGIN_KINDS if media_type.startswith(PLUGIN_TYPE) else CONVERTED.get(media_type)


# Limits of the contents extracted from one file.
MAX_PACKED: Final = 256 << 20  # bytes of all members of a ZIP container, decompressed
MAX_MEMBERS: Final = 10_000
MAX_RATIO: Final = 200  # decompressed to compressed size, for members above RATIO_FROM; ordinary sheets reach about 30
RATIO_FROM: Final = 1 << 20
MAX_CHARS: Final = 8_000_000  # of the text of one file: about 2 million tokens, more than any context
MAX_CELLS: Final = 1_000_000
MAX_IMAGES: Final = 50
MIN_IMAGE_SIDE: Final = 32  # pixels: bullets, rules and counting pixels are smaller
MAX_ATTACHMENTS: Final = 50  # of a mail or an archive, including nested ones
MAX_ATTACHED: Final = 128 << 20  # bytes of all attachments together
MAX_DEPTH: Final = 3  # a mail in a mail in an archive


class EmbeddedFile(Value):
    """A file that was contained in another file, unchanged. ``name`` is its name there, "" for an image."""

    data: bytes
    name: str = ""


class ConvertedFile(Value):
    """The contents of a converted file.

    Attributes:
     text: Markdown; ``[image 1]`` in place of an image, counted from 1 as in ``pictures``.
     pictures: in the order of the text, each once.
     attachments: files of a mail or an archive, in order.
     notes: omissions and remarks, each a phrase that can follow "report.docx: ".
    """

    text: str
    pictures: tuple[EmbeddedFile, ...] = ()
    attachments: tuple[EmbeddedFile, ...] = ()
    notes: tuple[str, ...] = ()

    def without_halves(self) -> ConvertedFile:
        """Return a copy that can be encoded as UTF-8: surrogate pairs are joined, lone surrogates replaced."""
        files = tuple(EmbeddedFile(data=file.data, name=_join_surrogates(file.name)) for file in self.attachments)
        notes = tuple(map(_join_surrogates, self.notes))
        return ConvertedFile(text=_join_surrogates(self.text), pictures=self.pictures, attachments=files, notes=notes)


def _join_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
