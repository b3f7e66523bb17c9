"""Converts Outlook mails (MSG, MS-OXMSG) like any other mail. Runs in the worker.

Left out, with a note: attached Outlook mails, and a body that exists only as RTF. The library reads neither.
"""

from __future__ import annotations

from io import BytesIO

import oxmsg
from oxmsg.domain.constants import PID_HTML

from intermodal.errors import InputBroken
from intermodal.media.office.conversion_types import ConvertedFile, EmbeddedFile
from intermodal.media.office.eml import HEADERS, MailParts, assemble_mail, one_line, plain_name
from intermodal.media.office.image_collector import Probe
from intermodal.media.office.text_encoding import decode_text
from intermodal.plans.numbers import counted

_RTF_BODY = "__substg1.0_10090102"  # PidTagRtfCompressed, binary (MS-OXPROPS 2.941)


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    leaves = MailParts()
    try:
        message = oxmsg.Message.load(BytesIO(data))
        head = _head(message)
        said, page = message.body or "", message.properties.binary_prop_value(PID_HTML)
        if said.strip():
            leaves.plain.append(said)
        elif page:
            leaves.pages.append(decode_text(page, markup=True)[0])
        elif _RTF_BODY.encode("utf-16-le") in data:
            leaves.notes.append("its words are rich text (RTF) only and left out")
        held = [(attachment.file_name or "", attachment.file_bytes) for attachment in message.attachments]
    except (OSError, ValueError, TypeError, IndexError, KeyError, AttributeError, NotImplementedError, RecursionError):
        raise InputBroken("cannot be read as an Outlook message", todo="save it as EML or PDF") from None
    for place, (called, body) in enumerate(held, 1):
        if body:
            leaves.files.append(EmbeddedFile(data=body, name=plain_name(called) or f"part {place}"))
    mails = sum(body is None for _, body in held)
    if mails:
        leaves.notes.append(f"{counted(mails, 'attached message')} left out")
    return assemble_mail(head, leaves, name, probe)


def _head(message: oxmsg.Message) -> list[tuple[str, str]]:
    """Return the transport headers of a mail; for headers it lacks, the properties that Outlook stores."""
    headers = {key.lower(): str(value) for key, value in message.message_headers.items()}
    known = {
        "From": message.sender or "",
        "To": ", ".join(f"{each.name} <{each.email_address}>" for each in message.recipients),
        "Date": message.sent_date.isoformat(" ", "minutes") if message.sent_date else "",
        "Subject": message.subject or "",
    }
    return [(key, one_line(headers.get(key.lower(), "") or known.get(key, ""))) for key in HEADERS]
