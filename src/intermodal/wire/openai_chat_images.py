"""Pictures out of a chat: words (and pictures) in, pictures back, over OpenRouter's chat completions.

Source: OpenRouter's guide "Image generation" (https://openrouter.ai/docs/features/multimodal/image-generation):
``modalities``, ``image_config.aspect_ratio`` with a size per ratio, and ``message.images`` as data URIs. One picture a
call. A host has it by the quirk ``pictures_in_chat``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal import errors
from intermodal.catalog.drawing import (
    COUNT,
    EDITS,
    FORMAT,
    NEGATIVE,
    QUALITY,
    RATIOS,
    SEED,
    SPELLED,
    STEPS,
    picture_words,
)
from intermodal.catalog.nouns import Host
from intermodal.wire import status
from intermodal.wire._json import Base64, items, mapping, segments, whole, word
from intermodal.wire.call import Encoded, NotExpressible, PictureCall, Pictures, Usage, WireImage
from intermodal.wire.held import parsed
from intermodal.wire.openai_reply import read_usage
from intermodal.wire.reading import data_uri

WIRE = "pictures over OpenRouter's chat"
PATH = "/chat/completions"
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
_HEADERS = (("content-type", "application/json"), ("accept", "application/json"))


def encode_request(call: PictureCall, host: Host) -> Encoded:
    """The call in bytes. Raises NotExpressible for what this wire or host has no words for."""
    _check(call, host)
    content: Any = whole(call.prompt)
    if call.images:
        shown = [
            {"type": "image_url", "image_url": {"url": Base64(image.data, f"data:{image.media_type};base64,")}}
            for image in call.images
        ]
        content = [{"type": "text", "text": content}, *shown]
    tree: dict[str, Any] = {
        "model": whole(call.model),
        "messages": [{"role": "user", "content": content}],
        # A model that draws and does not write refuses to be asked for words as well.
        "modalities": ["image", "text"] if call.writes else ["image"],
        "stream": False,
    }
    if call.size is not None:
        tree["image_config"] = {"aspect_ratio": RATIOS[call.size]}
    return Encoded(path=PATH, headers=_HEADERS, segments=segments(tree))


def _check(call: PictureCall, host: Host) -> None:
    has = picture_words(host)
    for wish, wanted in (
        (SEED, call.seed is not None), (STEPS, call.steps is not None), (NEGATIVE, bool(call.negative)),
        (FORMAT, bool(call.format)), (QUALITY, bool(call.quality)), (COUNT, call.count > 1),
        (EDITS, bool(call.images)),
    ):  # fmt: skip
        if wanted and wish not in has:
            raise NotExpressible.of(SPELLED[wish], WIRE, where=host.id, todo="leave it out, or ask another host")
    if call.size is not None and call.size not in RATIOS:
        sizes = ", ".join(f"{width}x{height}" for width, height in RATIOS)
        raise NotExpressible.of(f"a picture of {call.size[0]}x{call.size[1]}", WIRE, where=host.id, todo=f"ask {sizes}")
    if call.mask:
        raise NotExpressible.of("a mask", WIRE, where=host.id, todo="say in words what may change")
    for image in call.images:
        if image.media_type not in IMAGE_TYPES:
            raise NotExpressible.of(f"an image of type {image.media_type}", WIRE, where=host.id)


def decode_reply(body: bytes, endpoint: str, *, headers: Mapping[str, str] | None = None) -> Pictures:
    """The pictures in a 2xx reply. A link is not followed: only media's one door opens what somebody else named.

    Raises CallError for an error inside it, StreamCut for half a reply, ContentRefused where a filter stopped it.
    """
    try:
        tree, _ = parsed(body)
    except ValueError:
        raise errors.StreamCut("the reply is not whole JSON", where=endpoint, todo="ask again") from None
    if not isinstance(tree, Mapping) or tree.get("error"):
        raise status.classify(200, headers or {}, tree if isinstance(tree, Mapping) else {}, endpoint)
    choice = mapping(next(iter(items(tree.get("choices"))), {}))
    if choice.get("error"):
        raise status.classify(200, headers or {}, {"error": choice["error"]}, endpoint)
    message = mapping(choice.get("message"))
    images = tuple(filter(None, map(_picture, items(message.get("images")))))
    usage = tree.get("usage")
    if images:
        return Pictures(images=images, usage=read_usage(usage) if isinstance(usage, Mapping) else Usage())
    said = status.quote(word(message.get("refusal")) or word(message.get("content")))[:200]
    if message.get("refusal") or choice.get("finish_reason") == "content_filter":
        what = f'refused to draw: "{said}"' if said else "refused to draw"
        raise errors.ContentRefused(what, where=endpoint, todo="ask differently", status=200)
    words = f' and said: "{said}"' if said else ", or not as base64"
    raise errors.CallError(f"sent no picture{words}", where=endpoint, status=200, todo="ask again, or ask differently")


def _picture(row: Any) -> WireImage | None:
    try:
        found = data_uri(word(mapping(mapping(row).get("image_url")).get("url")))
    except ValueError:
        return None
    if found is None or found[0] not in IMAGE_TYPES or not found[1]:
        return None
    return WireImage(data=found[1], media_type=found[0])
