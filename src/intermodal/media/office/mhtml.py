"""Converts pages that a browser saved in one file with their images and style sheets (MHTML, RFC 2557).

Runs in the worker. Nothing is fetched: what a page refers to is taken from the file, or is not there.
"""

from __future__ import annotations

import email
import email.parser  # which ``email`` imports late
import email.policy
from collections.abc import Iterator
from email.errors import CloseBoundaryNotFoundDefect
from email.message import EmailMessage
from typing import Any
from urllib.parse import urljoin

from intermodal.errors import InputBroken, InputEmpty, InputTooLarge
from intermodal.media.office.conversion_types import ConvertedFile
from intermodal.media.office.eml import MALFORMED, raw_header
from intermodal.media.office.html_pages import markdown
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.text_encoding import decode_text
from intermodal.plans.numbers import with_noun

_PAGES = ("text/html", "application/xhtml+xml")
_MAX_PARTS = 10_000
_TODO = "save the page from a browser as PDF"


class _SavedPage:
    """The parts of the file: its page, other pages within it, and resources by the names that a page has for them."""

    def __init__(self, message: EmailMessage) -> None:
        self.resources: dict[str, Any] = {}
        self.pages: list[Any] = []
        self.cut = any(isinstance(defect, CloseBoundaryNotFoundDefect) for defect in message.defects)
        for part in _leaf_parts(message):
            content_id, location = _header(part, "Content-ID").strip("<>"), _header(part, "Content-Location")
            if content_id:
                self.resources.setdefault(f"cid:{content_id}", part)
            if location:
                self.resources.setdefault(location, part)
            if part.get_content_type() in _PAGES:
                self.pages.append(part)
        start = self.resources.get(f"cid:{str(message.get_param('start') or '').strip('<> ')}")
        if start in self.pages:
            self.pages.remove(start)
            self.pages.insert(0, start)
        self.place = _header(self.pages[0], "Content-Location") if self.pages else ""

    def inside(self, source: str) -> bytes | None:
        part = self.resources.get(source)
        if part is None and self.place:
            part = self.resources.get(urljoin(self.place, source))
        return None if part is None else part.get_payload(decode=True)


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    gallery = ImageCollector(probe)
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        saved = _SavedPage(message)
        if not saved.pages:
            raise InputBroken("cannot be read as a saved page: it holds no page", where=name, todo=_TODO)
        page, *others = saved.pages
        body = page.get_payload(decode=True) or b""
        source, _ = decode_text(body, str(page.get_content_charset("") or ""), markup=True)
        text, notes = markdown(source, gallery, saved.inside, framed=False)
    except MALFORMED:
        raise InputBroken("cannot be read as a saved page", where=name, todo=_TODO) from None
    if not text and not gallery.collected_images:
        raise InputEmpty("holds no text and no images", where=name, todo=_TODO)
    if others:
        notes.append(f"{with_noun(len(others), 'page')} within the page left out")
    if saved.cut:
        notes.append("its end is missing, so parts of it may be")
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*notes, *gallery.notes()))


def _leaf_parts(message: Any) -> Iterator[Any]:
    """Yield the parts that hold something, in order."""
    waiting, part_count = [message], 0
    while waiting:
        part = waiting.pop()
        part_count += 1
        if part_count > _MAX_PARTS:
            raise InputTooLarge(f"is made of more than {_MAX_PARTS:,} pieces", todo=_TODO)
        if part.is_multipart():
            waiting += reversed(part.get_payload())
        else:
            yield part


def _header(part: Any, key: str) -> str:
    """Return a header without spaces: the parser of structured headers takes addresses of pages apart."""
    return "".join(raw_header(part, key).split())
