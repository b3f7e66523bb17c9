"""Converts Outlook mails (MSG, MS-OXMSG) like any other mail. Runs in the worker.

An attached message becomes an attached mail. A body that exists only as RTF is decompressed and read. Left out, with a
note: attachments that are only linked, and images in RTF.
"""

from __future__ import annotations

from email.header import Header
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import formataddr, getaddresses
from io import BytesIO
from typing import Any

import oxmsg
from oxmsg.domain.constants import PID_HTML
from oxmsg.properties import Properties

from intermodal.errors import InputBroken, InputEmpty, InputError
from intermodal.media.office import rtf
from intermodal.media.office.compressed_rtf import decompress
from intermodal.media.office.conversion_types import MAX_DEPTH, ConvertedFile, EmbeddedFile
from intermodal.media.office.eml import HEADERS, MailParts, assemble_mail, one_line, plain_name
from intermodal.media.office.image_collector import Probe
from intermodal.media.office.text_encoding import decode_text
from intermodal.plans.numbers import with_noun

_RTF = 0x1009  # PidTagRtfCompressed (MS-OXPROPS 2.941)
_MESSAGE = "__substg1.0_3701000D"  # PidTagAttachDataObject
_EMBEDDED_HEADER = 24  # bytes before the properties of an attached message
_UNREADABLE = (
    OSError, ValueError, TypeError, IndexError, KeyError, AttributeError, NotImplementedError, RecursionError,
    AssertionError, LookupError,
)  # fmt: skip


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    try:
        message = oxmsg.Message.load(BytesIO(data))
        head, leaves = _head(message), _text_parts(message, name, probe)
        attachments = [(attachment.file_name or "", attachment) for attachment in message.attachments]
        lost = 0
        for place, (called, attachment) in enumerate(attachments, 1):
            body, ending = attachment.file_bytes, ""
            inner = _embedded_message(attachment) if body is None else None
            if inner is not None:
                body, ending = _as_mail(inner, name, probe, 1).as_bytes(), ".eml"
                called = called or inner.subject
            if body:
                leaves.files.append(EmbeddedFile(data=body, name=f"{plain_name(called) or f'part {place}'}{ending}"))
            lost += body is None
    except _UNREADABLE:
        raise InputBroken("cannot be read as an Outlook message", todo="save it as EML or PDF") from None
    if lost:
        leaves.notes.append(f"{with_noun(lost, 'attachment')} left out: only a link to it is in the message")
    return assemble_mail(head, leaves, name, probe)


def _text_parts(message: oxmsg.Message, name: str, probe: Probe) -> MailParts:
    """Return the words of a message: plain text, else a page, else the words of its RTF."""
    leaves = MailParts()
    body, page = message.body or "", message.properties.binary_prop_value(PID_HTML)
    if body.strip():
        leaves.plain.append(body)
    elif page:
        leaves.pages.append(decode_text(page, markup=True)[0])
    elif packed := message.properties.binary_prop_value(_RTF):
        try:
            converted_file = rtf.convert(decompress(packed), name, probe)
        except InputEmpty:
            return leaves
        except (InputError, ValueError):
            leaves.notes.append("its words are rich text (RTF) that cannot be read, and left out")
        else:
            leaves.plain.append(converted_file.text)
            leaves.notes += converted_file.notes
            if converted_file.pictures:
                leaves.notes.append(f"{with_noun(len(converted_file.pictures), 'image')} in its rich text left out")
    return leaves


class _Embedded(oxmsg.Message):
    """A message that is attached to another: its properties begin elsewhere (MS-OXMSG, 2.4.1.2)."""

    @property
    def properties(self) -> Properties:
        return Properties(self._storage, properties_header_offset=_EMBEDDED_HEADER)


def _embedded_message(attachment: Any) -> oxmsg.Message | None:
    inside = [each for each in attachment._storage.storages if each.name == _MESSAGE]
    return _Embedded(inside[0]) if inside else None


def _encode_header(key: str, value: str) -> str:
    """Return a header as mails have it: of addresses, the names alone are encoded."""
    if value.isascii():
        return value
    if key not in ("Subject", "Date"):
        try:
            return ", ".join(formataddr(each) for each in getaddresses([value]))
        except UnicodeError:
            pass
    return Header(value, "utf-8").encode()


def _as_mail(message: oxmsg.Message, name: str, probe: Probe, depth: int) -> MIMEMultipart:
    """Return an attached message as a mail, which is then converted like any attached mail."""
    mail = MIMEMultipart()
    for key, value in _head(message):
        if value:
            mail[key] = _encode_header(key, value)
    leaves = _text_parts(message, name, probe)
    for kind, texts in (("plain", leaves.plain), ("html", leaves.pages)):
        for text in texts:
            mail.attach(MIMEText(text, kind, "utf-8"))
    for place, attachment in enumerate(message.attachments, 1):
        called = plain_name(attachment.file_name or "") or f"part {place}"
        inner = _embedded_message(attachment) if attachment.file_bytes is None and depth < MAX_DEPTH else None
        if inner is not None:
            mail.attach(MIMEMessage(_as_mail(inner, name, probe, depth + 1)))
        elif attachment.file_bytes:
            part = MIMEApplication(attachment.file_bytes)
            part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", called))
            mail.attach(part)
    return mail


def _head(message: oxmsg.Message) -> list[tuple[str, str]]:
    """Return the transport headers of a mail; for headers it lacks, the properties that Outlook stores."""
    headers = {key.lower(): str(value) for key, value in message.message_headers.items()}
    stored_headers = {
        "From": message.sender or "",
        "To": ", ".join(f"{each.name} <{each.email_address}>" for each in message.recipients),
        "Date": message.sent_date.isoformat(" ", "minutes") if message.sent_date else "",
        "Subject": message.subject or "",
    }
    return [(key, one_line(headers.get(key.lower(), "") or stored_headers.get(key, ""))) for key in HEADERS]
