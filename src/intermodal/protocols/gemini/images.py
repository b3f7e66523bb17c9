"""Google's image models: words (and pictures) in, pictures back, over ``models.generateContent``.

Source: the Gemini API reference (v1beta) and its guide "Image generation"; the types of Google's published SDK. A size
is said as a shape (``imageConfig.aspectRatio``), of which each has one size at 1K. One picture a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from intermodal.catalog.image_options import ASPECT_RATIOS
from intermodal.catalog.types import Host
from intermodal.protocols.calls import Encoded, PictureCall, Pictures, WireImage
from intermodal.protocols.framing.inline_media import unbase64
from intermodal.protocols.framing.json_body import Base64, items, mapping, segments, whole, word
from intermodal.protocols.gemini.reply import FINISH_REASONS, read_usage
from intermodal.protocols.image_generation import answer, check, nothing_drawn

WIRE = "Gemini images"
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
_HEADERS = (("content-type", "application/json"), ("accept", "application/json"))


def encode_request(call: PictureCall, host: Host) -> Encoded:
    """The call in bytes. Raises NotExpressible for what this wire or host has no words for."""
    check(call, host, WIRE, image_types=IMAGE_TYPES)
    parts: list[Any] = [
        {"inlineData": {"mimeType": image.media_type, "data": Base64(image.data)}} for image in call.images
    ]
    parts.append({"text": whole(call.prompt)})
    # Some of these models answer with words beside the picture, and refuse to be asked for the picture alone.
    config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    if call.seed is not None:
        config["seed"] = call.seed
    if call.size is not None:
        config["imageConfig"] = {"aspectRatio": ASPECT_RATIOS[call.size]}
    tree = {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}
    path = f"/models/{quote(whole(call.model), safe='')}:generateContent"
    return Encoded(path=path, headers=_HEADERS, segments=segments(tree))


def decode_reply(body: bytes, endpoint: str, *, headers: Mapping[str, str] | None = None) -> Pictures:
    """The pictures in a 2xx reply.

    Raises CallError for an error inside it, StreamCut for half a reply, ContentRefused where a filter stopped it.
    """
    tree = answer(body, endpoint, headers)
    candidate = mapping(next(iter(items(tree.get("candidates"))), {}))
    parts = [mapping(part) for part in items(mapping(candidate.get("content")).get("parts"))]
    # What it thought may hold sketches; they are not the picture.
    inline = [mapping(part.get("inlineData")) for part in parts if part.get("inlineData") and not part.get("thought")]
    try:
        images = tuple(
            WireImage(data=unbase64(word(each.get("data"))), media_type=word(each.get("mimeType")))
            for each in inline
            if word(each.get("mimeType")).startswith("image/")
        )
    except ValueError:
        images = ()
    if images and all(image.data for image in images):
        return Pictures(images=images, usage=read_usage(mapping(tree.get("usageMetadata"))))
    said = " ".join(word(part.get("text")) for part in parts if not part.get("thought")).strip()
    blocked = mapping(tree.get("promptFeedback"))
    refused = blocked.get("blockReason") or FINISH_REASONS.get(word(candidate.get("finishReason"))) == "content_filter"
    why = word(candidate.get("finishMessage")) or word(blocked.get("blockReasonMessage")) if refused else ""
    nothing_drawn(endpoint, why or said, refused=bool(refused))
