"""Image generation over OpenRouter's chat completions: text (and images) in, images out.

Source: OpenRouter's guide "Image generation" (https://openrouter.ai/docs/features/multimodal/image-generation):
    ``modalities``, ``image_config.aspect_ratio`` with one size per ratio, and ``message.images`` as data URIs. One
    image per call. The quirk ``pictures_in_chat`` marks a host that has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.catalog.image_options import ASPECT_RATIOS
from intermodal.catalog.types import Host
from intermodal.protocols.calls import JSON_HEADERS, EncodedRequest, GeneratedImages, ImageCall, WireImage
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.json_body import Base64, as_list, as_mapping, as_text, segments, valid_utf8
from intermodal.protocols.image_generation import check_options, parse_reply, raise_no_image
from intermodal.protocols.openai_chat.reply import read_usage
from intermodal.protocols.request_validation import decode_data_uri

WIRE = "images over OpenRouter's chat"
PATH = "/chat/completions"
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})


def encode_request(call: ImageCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for what this protocol or host cannot carry."""
    check_options(call, host, WIRE, image_types=IMAGE_TYPES)
    content: Any = valid_utf8(call.prompt)
    if call.images:
        image_parts = [
            {"type": "image_url", "image_url": {"url": Base64(image.data, f"data:{image.media_type};base64,")}}
            for image in call.images
        ]
        content = [{"type": "text", "text": content}, *image_parts]
    tree: dict[str, Any] = {
        "model": valid_utf8(call.model),
        "messages": [{"role": "user", "content": content}],
        # A model that generates only images refuses requests for text as well.
        "modalities": ["image", "text"] if call.writes else ["image"],
        "stream": False,
    }
    if call.size is not None:
        tree["image_config"] = {"aspect_ratio": ASPECT_RATIOS[call.size]}
    return EncodedRequest(path=PATH, headers=JSON_HEADERS, segments=segments(tree))


def decode_reply(body: bytes, endpoint: str, *, headers: Mapping[str, str] | None = None) -> GeneratedImages:
    """Return the images of a 2xx reply. A link is not followed: only the media layer opens URLs from others.

    Raises CallError for an error inside it, StreamCut for a truncated reply, ContentRefused if a filter stopped it.
    """
    tree = parse_reply(body, endpoint, headers)
    choice = as_mapping(next(iter(as_list(tree.get("choices"))), {}))
    if choice.get("error"):
        raise classification.classify(200, headers or {}, {"error": choice["error"]}, endpoint)
    message = as_mapping(choice.get("message"))
    images = tuple(filter(None, map(_read_image, as_list(message.get("images")))))
    if images:
        return GeneratedImages(images=images, usage=read_usage(as_mapping(tree.get("usage"))))
    refused = bool(message.get("refusal")) or choice.get("finish_reason") == "content_filter"
    raise_no_image(endpoint, as_text(message.get("refusal")) or as_text(message.get("content")), refused=refused)


def _read_image(row: Any) -> WireImage | None:
    try:
        found = decode_data_uri(as_text(as_mapping(as_mapping(row).get("image_url")).get("url")))
    except ValueError:
        return None
    if found is None or found[0] not in IMAGE_TYPES or not found[1]:
        return None
    return WireImage(data=found[1], media_type=found[0])
