"""Token rules: how an endpoint counts unconverted media, one ``TokenRules`` object per set of rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from msgspec import Struct

from intermodal.catalog.token_rules import ModelTokenRules
from intermodal.content import together
from intermodal.cost_model.audio_tokens import audio_tokens
from intermodal.cost_model.document_tokens import DocumentSize, document_tokens
from intermodal.cost_model.request_limits import RequestLimits, request_limits
from intermodal.cost_model.video_tokens import VideoSize, video_tokens
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.quantity import Quantity, between, unknown


class TokenRules(Struct, frozen=True, eq=False, gc=False):
    """Rules by which endpoints count unconverted media, and the limits by which they refuse.

    Rule strings are those of the catalog, "" where none is published; ``vocabulary``: that of the text of whole
    documents.
    Compared by identity: ``planner/catalog_index.py`` makes one of each, since plans cache many sums by it.
    """

    image: str = ""
    audio: str = ""
    video: str = ""
    document: str = ""
    vocabulary: str = ""
    limits: RequestLimits | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Return what makes two sets of rules equal."""
        return (self.image, self.audio, self.video, self.document, self.vocabulary, self.limits)


NO_RULES = TokenRules()
_BY_TIME = "by_time"


def native_token_rules(sheet: ModelTokenRules, takes: Collection[str]) -> TokenRules:
    """Return the rules of a day for the kinds an endpoint ``takes``: the fewer distinct rules, the less to add up.

    A transcriber billed by time counts no tokens: where tokens are needed, they are unknown.
    """
    rules = {kind: rule for kind, rule in sheet.rules.items() if kind in takes}
    audio = rules.get("audio", "")
    document = "document" in takes
    return TokenRules(
        image=sheet.rules.get("image", "") if document else rules.get("image", ""),
        audio="" if audio == _BY_TIME else audio,
        video=rules.get("video", ""),
        document=rules.get("document", ""),
        vocabulary=sheet.vocabulary if document else "",
        limits=request_limits(sheet, takes),
    )


def native_audio_tokens(rule: str, seconds: Quantity) -> Quantity:
    """Return the tokens of one recording."""
    return _ranged(seconds, lambda length: audio_tokens(rule, length))


def native_video_tokens(rule: str, part: PartFacts) -> Quantity:
    """Return the tokens of one video that goes in whole."""

    def tokens(length: float) -> Quantity:
        film = VideoSize(seconds=length, width=part.width, height=part.height, sound=bool(part.channels))
        return video_tokens(rule, film)

    return _ranged(part.seconds, tokens)


def native_document_tokens(token_rules: TokenRules, pages: tuple[PageFacts, ...]) -> Quantity:
    """Return the tokens of one document that goes in whole."""
    if not pages:
        return Quantity(basis="no pages")
    written = [page.scripts for page in pages if page.chars]
    first = pages[len(pages) // 2]
    leaves = DocumentSize(
        pages=len(pages), chars=sum(page.chars for page in pages), scripts=together(written) if all(written) else (),
        vocabulary=token_rules.vocabulary,
        width=first.width, height=first.height,
    )  # fmt: skip
    return document_tokens(token_rules.document, leaves, token_rules.image)


def _ranged(length: Quantity, tokens: Callable[[float], Quantity]) -> Quantity:
    """Return the tokens over a length that may itself be a range."""
    if not length.known or length.high == math.inf:
        return unknown(length.basis or "length not known")
    if length.low == length.high:
        return tokens(length.mid)
    low, mid, high = tokens(length.low), tokens(length.mid), tokens(length.high)
    return between(low.low, mid.mid, high.high, mid.basis)
