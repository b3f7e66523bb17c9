"""Google's image models over ``models.generateContent``: text (and images) in, images out.

Source: the Gemini API reference (v1beta) and its guide "Image generation"; the types of Google's published SDK. A size
    is given as an aspect ratio (``imageConfig.aspectRatio``), each of which has one size at 1K. One image per call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from intermodal.catalog.image_options import ASPECT_RATIOS
from intermodal.catalog.types import Host
from intermodal.protocols.calls import JSON_HEADERS, EncodedRequest, GeneratedImages, ImageCall, WireImage
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import Base64, as_list, as_mapping, as_text, segments, valid_utf8
from intermodal.protocols.gemini.codec import FINISH_REASONS, read_usage
from intermodal.protocols.image_generation import check_options, parse_reply, raise_no_image

WIRE = "Gemini images"
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})


def encode_request(call: ImageCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for what this protocol or host cannot carry."""
    check_options(call, host, WIRE, image_types=IMAGE_TYPES)
    parts: list[Any] = [
        {"inlineData": {"mimeType": image.media_type, "data": Base64(image.data)}} for image in call.images
    ]
    parts.append({"text": valid_utf8(call.prompt)})
    # Some of these models return text beside the image, and refuse requests for only the image.
    config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    if call.seed is not None:
        config["seed"] = call.seed
    if call.size is not None:
        config["imageConfig"] = {"aspectRatio": ASPECT_RATIOS[call.size]}
    tree = {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}
    path = f"/models/{quote(valid_utf8(call.model), safe='')}:generateContent"
    return EncodedRequest(path=path, headers=JSON_HEADERS, segments=segments(tree))


def decode_reply(body: bytes, endpoint: str, *, headers: Mapping[str, str] | None = None) -> GeneratedImages:
    """Return the images of a 2xx reply.

    Raises CallError for an error inside it, StreamCut for a truncated reply, ContentRefused if a filter stopped it.
    """
    tree = parse_reply(body, endpoint, headers)
    candidate = as_mapping(next(iter(as_list(tree.get("candidates"))), {}))
    parts = [as_mapping(part) for part in as_list(as_mapping(candidate.get("content")).get("parts"))]
    # Its reasoning may contain sketches, which are not the result.
    inline = [
        as_mapping(part.get("inlineData")) for part in parts if part.get("inlineData") and not part.get("thought")
    ]
    try:
        images = tuple(
            WireImage(data=decode_base64(as_text(each.get("data"))), media_type=as_text(each.get("mimeType")))
            for each in inline
            if as_text(each.get("mimeType")).startswith("image/")
        )
    except ValueError:
        images = ()
    if images and all(image.data for image in images):
        return GeneratedImages(images=images, usage=read_usage(as_mapping(tree.get("usageMetadata"))))
    text = " ".join(as_text(part.get("text")) for part in parts if not part.get("thought")).strip()
    blocked = as_mapping(tree.get("promptFeedback"))
    refused = (
        blocked.get("blockReason") or FINISH_REASONS.get(as_text(candidate.get("finishReason"))) == "content_filter"
    )
    why = as_text(candidate.get("finishMessage")) or as_text(blocked.get("blockReasonMessage")) if refused else ""
    raise_no_image(endpoint, why or text, refused=bool(refused))
