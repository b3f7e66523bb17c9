"""Converts ZIP archives: their files are listed, and each is expanded like an attachment. Runs in the worker.

Nothing is written to disk, so a name like ``../../etc/passwd`` has no effect. Nested archives are opened up to the same
depth as nested mails.
"""

from __future__ import annotations

import posixpath

from intermodal.errors import InputEmpty
from intermodal.media.office.conversion_types import MAX_ATTACHED, MAX_ATTACHMENTS, ConvertedFile, EmbeddedFile
from intermodal.media.office.eml import one_line
from intermodal.media.office.image_collector import Probe
from intermodal.media.office.office_package import OfficePackage
from intermodal.plans.numbers import with_noun

_BESIDE = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")  # leftovers of file managers


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    package = OfficePackage(data, markup=False)
    files = [member for member in package.files if not _is_metadata_member(member)]
    if not files:
        raise InputEmpty("is an archive without files", where=name, todo="check what packed it")
    attachments, size, left = list[EmbeddedFile](), 0, 0
    for member in files:
        if len(attachments) >= MAX_ATTACHMENTS or size + package.member_size(member) > MAX_ATTACHED:
            left += 1
            continue
        body = package.read_member(member)
        size += len(body)
        attachments.append(EmbeddedFile(data=body, name=_member_title(member)))
    notes = (f"{with_noun(left, 'file')} left out: too many or too large",) if left else ()
    titles = [_member_title(member) for member in files[:200]]
    more = f"\n- and {len(files) - 200:,} more" if len(files) > 200 else ""
    text = "Files:\n\n" + "\n".join(f"- {each}" for each in titles) + more
    return ConvertedFile(text=text, attachments=tuple(attachments), notes=notes)


def _is_metadata_member(member: str) -> bool:
    return member.startswith(_BESIDE[0]) or posixpath.basename(member) in _BESIDE[1:]


def _member_title(member: str) -> str:
    """Return folders and name in one line, without parent references; a long name is shortened in the middle."""
    steps = [step for step in one_line(member.replace("\\", "/")).split("/") if step not in ("", ".", "..")]
    short = "/".join(steps) or "file"
    return short if len(short) <= 120 else f"{short[:80]}…{short[-39:]}"
