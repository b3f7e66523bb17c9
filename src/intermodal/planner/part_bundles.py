"""Bundles: parts that share kind, privacy labels, needs and approximate size, and therefore a conversion option.

Bundling makes planning time proportional to the number of distinct shapes instead of the number of parts.
"""

from __future__ import annotations

from msgspec import Struct

from intermodal.core.content import ImageDetail, Kind
from intermodal.core.hints import hint
from intermodal.core.request import Aspect, Policy
from intermodal.errors import UsageError
from intermodal.planner.catalog_index import ENCODER as _ENCODER
from intermodal.planner.conversion.fidelity import aspect_needs, is_page, medium_of
from intermodal.planner.eligibility.privacy_labels import is_private, may_release
from intermodal.plans.facts import PageFacts, PartFacts, QuestionFacts

FINE_BUNDLES = 4  # up to this many distinct shapes, each shape is a separate bundle
Shape = tuple[object, ...]


class Bundle(Struct):
    """Parts that share a conversion option.

    Attributes:
        private: whether the parts may not leave this machine unconverted.
        text_private, image_private, sound_private: whether text, images (of pages or scenes) or sound derived from
            them may not leave either.
        needs: aspects that are probably needed, each with the price in USD of losing it.
        pages: per part, the pages that the request selects (documents only). has_all_pages: whether these are
            all pages.
        compared: whether they are among several images, so that the question may refer to all of them together.
        properties: whether the question asks for properties of the files; properties_alone: and for nothing else.
    """

    kind: Kind
    parts: list[PartFacts]
    shapes: list[Shape]
    details: list[ImageDetail]
    private: bool
    text_private: bool
    image_private: bool
    sound_private: bool
    needs: dict[Aspect, float]
    pages: list[tuple[PageFacts, ...]]
    has_all_pages: bool = True
    compared: bool = False
    properties: bool = False
    properties_alone: bool = False

    @property
    def title(self) -> str:
        """Return the name of these parts for use in a sentence."""
        names = [part.name for part in self.parts]
        return " and ".join(names if len(names) <= 2 else (names[0], f"{len(names) - 1} more"))


def _is_about_appearance(part: PartFacts) -> bool:
    """Return whether labels scored against a part refer to its appearance. False for an image that is mostly text."""
    return part.kind in ("image", "video") and not is_page(part)


def make_bundles(
    media: list[tuple[PartFacts, ImageDetail]], policy: Policy, question: QuestionFacts, *, labelled: bool
) -> list[Bundle]:
    """Group the media of a request into bundles."""
    fine: dict[Shape, Bundle] = {}
    shapes = [_shape(part, detail) for part, detail in media]
    coarse = len(set(shapes)) > FINE_BUNDLES
    compares_images = sum(part.kind == "image" for part, _ in media) > 1
    by_shape: dict[Shape, Bundle] = {}
    for (part, detail), shape in zip(media, shapes, strict=True):
        alone = bool(policy.private or part.outcomes)  # its name or an earlier outcome distinguishes it
        bundle = None if alone else by_shape.get(shape)
        if bundle is None:
            needs = aspect_needs(
                part, question, policy.keep, shows=labelled and _is_about_appearance(part), is_compared=compares_images
            )
            private = is_private(policy, part)
            size = _size_class(part) if coarse and part.kind != "video" else shape
            key: Shape = (
                part.kind,
                part.script,
                private,
                private and part.name,
                tuple(needs),
                medium_of(part) if question.needs_of(medium_of(part)).properties is not None else "",
                bool(part.outcomes) and part.index,
                size,
            )
            bundle = fine.get(key)
            if bundle is None:
                bundle = fine[key] = _bundle(part, private, policy, needs)
                bundle.compared = compares_images and part.kind == "image"
                medium_needs = question.needs_of(medium_of(part))
                bundle.properties = medium_needs.properties is not None and not labelled
                bundle.properties_alone = bundle.properties and medium_needs.properties_alone
            by_shape[shape] = bundle
        bundle.parts.append(part)
        bundle.shapes.append(shape)
        bundle.details.append(detail)
        if part.kind == "document":
            pages = _selected_pages(part, policy)
            bundle.pages.append(pages)
            bundle.has_all_pages = bundle.has_all_pages and len(pages) == len(part.pages)
    return list(fine.values())


def _bundle(part: PartFacts, private: bool, policy: Policy, needs: dict[Aspect, float]) -> Bundle:
    return Bundle(
        kind=part.kind,
        parts=[],
        shapes=[],
        details=[],
        private=private,
        text_private=private and not may_release(policy, part, "text"),
        image_private=private and not may_release(policy, part, "image"),
        sound_private=private and not may_release(policy, part, "audio"),
        needs=needs,
        pages=[],
    )


def _shape(part: PartFacts, detail: str) -> Shape:
    """Return a key that is equal for parts with equal cost."""
    # A part with earlier outcomes is unique.
    outcomes = _ENCODER.encode(part.outcomes) if part.outcomes else b""
    if part.kind == "image":
        density = part.text_density
        moves = part.frames > 1
        return (
            "image",
            outcomes,
            part.width,
            part.height,
            detail,
            moves,
            density.low,
            density.mid,
            density.high,
            density.certainty,
            part.letters.mid,
            part.letters.certainty,
            part.script,
            part.read_before,
        )
    if part.kind == "audio":
        length = part.seconds
        sound = (part.separate_channels, part.read_before)
        return ("audio", outcomes, length.low, length.mid, length.high, length.certainty, *sound)
    return (part.kind, part.digest or part.index, part.index if not part.digest else -1, len(part.pages))


def _size_class(part: PartFacts) -> object:
    """Return a coarse size class (a factor of four wide), used if there are too many shapes to plan separately."""
    if part.kind == "image":
        return ((part.width * part.height).bit_length() // 2, part.text_density.known, part.frames > 1)
    if part.kind == "audio":
        return int(part.seconds.mid).bit_length() // 2
    chars = sum(page.chars for page in part.pages)
    return (chars.bit_length() // 2, len(part.pages).bit_length() // 2, chars == 0)


def _selected_pages(part: PartFacts, policy: Policy) -> tuple[PageFacts, ...]:
    if not policy.pages:
        return part.pages
    numbers = frozenset(policy.pages)
    found = tuple(page for page in part.pages if page.number in numbers)
    if not found:
        asked_for = ", ".join(map(str, policy.pages[:5]))
        raise UsageError(
            f"has {len(part.pages)} pages, none of them among {asked_for}", where=part.name, todo=hint("change {pages}")
        )
    return found
