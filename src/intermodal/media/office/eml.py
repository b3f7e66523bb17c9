"""Converts mails: headers, text and attachments, with Python's own parser. Runs in the worker.

The text is the plain part if there is one, otherwise the HTML as Markdown. Images in the HTML (``cid:``) become images
of the mail; every other attachment is a file of its own.
"""

from __future__ import annotations

import email
import email.generator  # which a mail within a mail is written with, and ``email`` imports late, as the parser
import email.parser
import email.policy
from email.message import EmailMessage
from typing import Any

from intermodal.errors import InputBroken, InputEmpty, InputEncrypted, InputTooLarge
from intermodal.media.office.conversion_types import (
    MAX_ATTACHED,
    MAX_ATTACHMENTS,
    MAX_CHARS,
    ConvertedFile,
    EmbeddedFile,
)
from intermodal.media.office.html_pages import markdown
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.text_encoding import decode_text
from intermodal.plans.numbers import with_noun

HEADERS = ("From", "To", "Cc", "Reply-To", "Date", "Subject")
MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError, LookupError)  # of the parser
_LOCKED = ("application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted")
_MAX_LEAVES = 1_000
_MAX_HEADER = 2_000  # characters


class MailParts:
    """The contents of a mail by kind: plain text, HTML pages, other files."""

    def __init__(self) -> None:
        self.plain: list[str] = []
        self.pages: list[str] = []
        self.files: list[EmbeddedFile] = []
        self.file_indexes: dict[str, int] = {}  # content id -> index in ``files``
        self.part_count = 0
        self.notes: list[str] = []


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        if message.get_content_type() in _LOCKED and "signed" not in str(message.get_param("smime-type", "")):
            raise InputEncrypted("is encrypted", todo="save it decrypted from the mail program")
        head = [(key, _header(message, key)) for key in HEADERS]
        leaves = MailParts()
        _sort(message, leaves, 0)
    except MALFORMED:
        raise InputBroken("cannot be read as a mail", todo="save it again from the mail program") from None
    return assemble_mail(head, leaves, name, probe)


def _header(message: EmailMessage, key: str) -> str:
    try:
        value = str(message.get(key) or "")
    except Exception:  # the parser of structured headers fails on many malformed ones
        value = raw_header(message, key)
    return one_line(value)


def raw_header(part: Any, key: str) -> str:
    """Return a header as it stands, "" if it is missing."""
    return next((str(value) for name, value in part.raw_items() if name.lower() == key.lower()), "")


def one_line(text: str) -> str:
    """Return the text of a header in one line, without unprintable characters."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:_MAX_HEADER]


def _sort(part: Any, leaves: MailParts, depth: int) -> None:
    leaves.part_count += 1
    if leaves.part_count > _MAX_LEAVES or depth > 50:
        raise InputTooLarge(f"is made of more than {_MAX_LEAVES:,} pieces", todo="save what you need of it")
    kind = part.get_content_type()
    if kind == "message/rfc822":
        inner = part.get_payload()
        if isinstance(inner, list) and inner:
            subject = _header(inner[0], "Subject") if isinstance(inner[0], EmailMessage) else ""
            leaves.files.append(EmbeddedFile(data=inner[0].as_bytes(), name=_name(part, f"{subject or 'mail'}.eml")))
        return
    if part.is_multipart():
        for each in part.get_payload():
            _sort(each, leaves, depth + 1)
        return
    body = part.get_payload(decode=True) or b""
    attached = part.get_content_disposition() == "attachment" or part.get_filename()
    if kind in ("text/plain", "text/html") and not attached:
        words, _ = decode_text(body, str(part.get_content_charset("") or ""), markup=kind == "text/html")
        (leaves.plain if kind == "text/plain" else leaves.pages).append(words)
        return
    if body:
        ending = kind.partition("/")[2].partition("+")[0]
        leaves.file_indexes[str(part.get("Content-ID", "")).strip("<> ")] = len(leaves.files)
        leaves.files.append(EmbeddedFile(data=body, name=_name(part, f"part {len(leaves.files) + 1}.{ending}")))


def _name(part: Any, otherwise: str) -> str:
    return plain_name(str(part.get_filename() or "")) or plain_name(otherwise)


def plain_name(name: str) -> str:
    """Return a file name that the sender chose in one line, without folders, and shortened."""
    short = one_line(name.replace("\\", "/").rpartition("/")[2])
    return short if len(short) <= 80 else f"{short[:60]}…{short[-19:]}"


def assemble_mail(head: list[tuple[str, str]], leaves: MailParts, name: str, probe: Probe) -> ConvertedFile:
    gallery, notes, used = ImageCollector(probe), list(leaves.notes), set[int]()

    def inside(source: str) -> bytes | None:
        place = leaves.file_indexes.get(source[4:]) if source[:4].lower() == "cid:" and source[4:] else None
        if place is None:
            return None
        used.add(place)
        return leaves.files[place].data

    body = "\n\n".join(text.strip() for text in leaves.plain if text.strip())
    if not body and leaves.pages:
        converted_pages = [markdown(page, gallery, inside) for page in leaves.pages]
        body = "\n\n".join(text for text, _ in converted_pages if text)
        notes += [note for _, found in converted_pages for note in found]
    files = [file for place, file in enumerate(leaves.files) if place not in used]
    attachments, size = list[EmbeddedFile](), 0
    for file in files:
        if len(attachments) < MAX_ATTACHMENTS and size + len(file.data) <= MAX_ATTACHED:
            attachments.append(file)
            size += len(file.data)
    if len(attachments) < len(files):
        notes.append(f"{with_noun(len(files) - len(attachments), 'attachment')} left out: too many or too large")
    lines = [f"{key}: {value}" for key, value in head if value]
    attachment_line = f"Attachments: {', '.join(file.name for file in attachments)}" if attachments else ""
    text = "\n\n".join(
        part for part in ("\n".join([*lines, attachment_line] if attachment_line else lines), body) if part
    )
    if not text and not gallery.collected_images and not attachments:
        raise InputEmpty("holds no mail", where=name, todo="check what wrote this file")
    if len(text) > MAX_CHARS:
        raise InputTooLarge(f"holds {len(text):,} characters, more than {MAX_CHARS:,}", todo="pass a part as text")
    return ConvertedFile(
        text=text, pictures=gallery.collected_images, attachments=tuple(attachments), notes=(*notes, *gallery.notes())
    )
