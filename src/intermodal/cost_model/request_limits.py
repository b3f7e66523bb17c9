"""Published limits of one request by model family: images, pages, seconds, bytes."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

from intermodal.catalog.token_rule_rows import ModelTokenRules
from intermodal.core.content import KINDS

BASE64 = 4 / 3  # bytes sent per byte of media


class MediaAmounts(NamedTuple):
    """Amounts of unconverted media in a request.

    images, pages (of documents), seconds (of audio), longest (side of an image, in pixels), size (bytes of files),
    megapixels (of all images).
    """

    pictures: int = 0
    longest: int = 0
    pages: int = 0
    seconds: float = 0.0
    size: int = 0
    megapixels: float = 0.0


NO_MEDIA = MediaAmounts()


class RequestLimits(NamedTuple):
    """The published limits, as ``catalog`` rules state them; 0 or None if nothing is published."""

    most_images: int = 0
    many_images: tuple[int, int] | None = None
    most_pages: int = 0
    small_context: tuple[int, int] | None = None
    most_seconds: int = 0
    most_bytes: int = 0

    def pages_at(self, context: float = math.inf) -> float:
        """Return how many pages a request may have for a model with this context length."""
        most = float(self.most_pages or math.inf)
        small = self.small_context
        return min(most, float(small[1])) if small is not None and context <= small[0] else most


def request_limits(sheet: ModelTokenRules, takes: Collection[str] = KINDS) -> RequestLimits | None:
    """Return the limits of a day's rules for the kinds an endpoint ``takes``, None if there are none.

    Byte limits apply to files sent as they are, which images usually are not.
    """
    image, audio, document = (kind in takes for kind in ("image", "audio", "document"))
    found = RequestLimits(
        most_images=sheet.most_images if image else 0, many_images=sheet.many_images if image else None,
        most_pages=sheet.most_pages if document else 0, small_context=sheet.small_context if document else None,
        most_seconds=sheet.most_seconds if audio else 0,
        most_bytes=sheet.most_bytes if audio or document or "video" in takes else 0,
    )  # fmt: skip
    return found if any(found) else None


def exceeds_limits(limits: RequestLimits, amounts: MediaAmounts, context: float = math.inf) -> bool:
    """Return whether a request would be refused: ``exceeded_limit`` without the message."""
    if limits.most_images and amounts.pictures > limits.most_images:
        return True
    many = limits.many_images
    if many is not None and amounts.pictures > many[0] and amounts.longest > many[1]:
        return True
    if amounts.pages and amounts.pages > limits.pages_at(context):
        return True
    if limits.most_seconds and amounts.seconds > limits.most_seconds:
        return True
    return bool(limits.most_bytes) and amounts.size * BASE64 > limits.most_bytes


def exceeded_limit(limits: RequestLimits, amounts: MediaAmounts, context: float = math.inf) -> str:
    """Return why a request would be refused, "" if it would not.

    >>> exceeded_limit(RequestLimits(most_images=20), MediaAmounts(pictures=21))
    '21 images, and a request with more than 20 is refused'
    """
    if limits.most_images and amounts.pictures > limits.most_images:
        return f"{amounts.pictures:,} images, and a request with more than {limits.most_images:,} is refused"
    many = limits.many_images
    if many is not None and amounts.pictures > many[0] and amounts.longest > many[1]:
        return (
            f"{amounts.pictures:,} images, one with a side of {amounts.longest:,} pixels: "
            f"with more than {many[0]} images none may have one of more than {many[1]:,}"
        )
    most = limits.pages_at(context)
    if amounts.pages > most:
        return f"{amounts.pages:,} pages of documents, and a request with more than {most:,.0f} is refused"
    if limits.most_seconds and amounts.seconds > limits.most_seconds:
        return f"{amounts.seconds:,.0f} s of sound, and a request with more than {limits.most_seconds:,} s is refused"
    if limits.most_bytes and amounts.size * BASE64 > limits.most_bytes:
        size, most_mb = amounts.size * BASE64 / 1e6, limits.most_bytes / 1e6
        return f"{size:,.1f} MB as they are sent, and a request of more than {most_mb:,.0f} MB is refused"
    return ""
