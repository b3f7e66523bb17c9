"""Google's image models: words (and pictures) in, pictures back, over ``models.generateContent``.

Source: the Gemini API reference (v1beta) and its guide "Image generation"; the types of Google's published SDK. A size
is said as a shape (``imageConfig.aspectRatio``), of which each has one size at 1K. One picture a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from intermodal import errors
from intermodal.catalog.drawing import COUNT, FORMAT, NEGATIVE, QUALITY, RATIOS, SEED, SPELLED, STEPS, picture_words
from intermodal.catalog.nouns import Host
from intermodal.wire import status
from intermodal.wire._json import Base64, items, mapping, segments, whole, word
from intermodal.wire.call import Encoded, NotExpressible, PictureCall, Pictures, WireImage
from intermodal.wire.gemini_reply import FINISH_REASONS, read_usage
from intermodal.wire.held import parsed, unbase64

WIRE = "Gemini images"
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
_HEADERS = (("content-type", "application/json"), ("accept", "application/json"))


def encode_request(call: PictureCall, host: Host) -> Encoded:
    """The call in bytes. Raises NotExpressible for what this wire or host has no words for."""
    _check(call, host)
    parts: list[Any] = [
        {"inlineData": {"mimeType": image.media_type, "data": Base64(image.data)}} for image in call.images
    ]
    parts.append({"text": whole(call.prompt)})
    # Some of these models answer with words beside the picture, and refuse to be asked for the picture alone.
    config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    if call.seed is not None:
        config["seed"] = call.seed
    if call.size is not None:
        config["imageConfig"] = {"aspectRatio": RATIOS[call.size]}
    tree = {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}
    path = f"/models/{quote(whole(call.model), safe='')}:generateContent"
    return Encoded(path=path, headers=_HEADERS, segments=segments(tree))


def _check(call: PictureCall, host: Host) -> None:
    has = picture_words(host)
    for name, wanted in (
        (SEED, call.seed is not None), (STEPS, call.steps is not None), (NEGATIVE, bool(call.negative)),
        (FORMAT, bool(call.format)), (QUALITY, bool(call.quality)), (COUNT, call.count > 1),
    ):  # fmt: skip
        if wanted and name not in has:
            raise NotExpressible.of(SPELLED[name], WIRE, where=host.id, todo="leave it out, or ask another host")
    if call.size is not None and call.size not in RATIOS:
        sizes = ", ".join(f"{width}x{height}" for width, height in RATIOS)
        raise NotExpressible.of(f"a picture of {call.size[0]}x{call.size[1]}", WIRE, where=host.id, todo=f"ask {sizes}")
    if call.mask:
        raise NotExpressible.of("a mask", WIRE, where=host.id, todo="say in words what may change")
    for image in call.images:
        if image.media_type not in IMAGE_TYPES:
            raise NotExpressible.of(f"an image of type {image.media_type}", WIRE, where=host.id)


def decode_reply(body: bytes, endpoint: str, *, headers: Mapping[str, str] | None = None) -> Pictures:
    """The pictures in a 2xx reply.

    Raises CallError for an error inside it, StreamCut for half a reply, ContentRefused where a filter stopped it.
    """
    try:
        tree, _ = parsed(body)
    except ValueError:
        raise errors.StreamCut("the reply is not whole JSON", where=endpoint, todo="ask again") from None
    if not isinstance(tree, Mapping) or tree.get("error"):
        raise status.classify(200, headers or {}, tree if isinstance(tree, Mapping) else {}, endpoint)
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
    reason = word(candidate.get("finishReason"))
    if blocked.get("blockReason") or FINISH_REASONS.get(reason) == "content_filter":
        why = status.quote(word(candidate.get("finishMessage")) or word(blocked.get("blockReasonMessage")) or said)
        what = f'refused to draw: "{why[:300]}"' if why else "refused to draw"
        raise errors.ContentRefused(what, where=endpoint, todo="ask differently", status=200)
    words = f' and said: "{status.quote(said)[:200]}"' if said else ", or not as base64"
    raise errors.CallError(f"sent no picture{words}", where=endpoint, status=200, todo="ask again, or ask differently")
