"""Image generation over OpenAI's responses API: a text model is made to call the tool ``image_generation``.

Source: OpenAI's OpenAPI document for ``POST /responses`` and the types of its published SDK: the tool, its choice, the
    item ``image_generation_call`` with the image in base64, and ``tool_usage.image_gen``, which is counted beside
    ``usage``. One image per call; nothing is stored. The quirk ``pictures_in_chat`` marks a host that has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from intermodal.catalog.types import Host
from intermodal.protocols.calls import JSON_HEADERS, EncodedRequest, GeneratedImages, ImageCall, WireImage, WireUsage
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import Base64, as_list, as_mapping, as_text, segments, valid_utf8
from intermodal.protocols.image_generation import check_options, parse_reply, raise_no_image
from intermodal.protocols.openai_chat.reply import read_usage

WIRE = "images over OpenAI's responses"
PATH = "/responses"
TOOL = "image_generation"
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
_BLOCKED = "moderation_blocked"


def encode_request(call: ImageCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for what this protocol or host cannot carry."""
    check_options(call, host, WIRE, image_types=IMAGE_TYPES)
    options = {
        "size": None if call.size is None else f"{call.size[0]}x{call.size[1]}",
        "quality": call.quality or None,
        "output_format": call.format or None,
        "input_image_mask": {"image_url": Base64(call.mask, "data:image/png;base64,")} if call.mask else None,
    }
    image_parts = [
        {"type": "input_image", "detail": "auto", "image_url": Base64(each.data, f"data:{each.media_type};base64,")}
        for each in call.images
    ]
    tree: dict[str, Any] = {
        "model": valid_utf8(call.model),
        "input": [{"role": "user", "content": [{"type": "input_text", "text": valid_utf8(call.prompt)}, *image_parts]}],
        "tools": [{"type": TOOL, **{name: value for name, value in options.items() if value is not None}}],
        "tool_choice": {"type": TOOL},
        "store": False,
    }
    return EncodedRequest(path=PATH, headers=JSON_HEADERS, segments=segments(tree))


def decode_reply(body: bytes, endpoint: str, *, headers: Mapping[str, str] | None = None) -> GeneratedImages:
    """Return the images of a 2xx reply.

    Raises CallError for an error inside it, StreamCut for a truncated reply, ContentRefused if the model or a filter
    refused.
    """
    tree = parse_reply(body, endpoint, headers)
    output = [as_mapping(item) for item in as_list(tree.get("output"))]
    calls = [item for item in output if item.get("type") == f"{TOOL}_call"]
    generated = [(item, image) for item in calls if (image := _read_image(item)) is not None]
    if generated:
        return GeneratedImages(
            images=tuple(image for _, image in generated),
            prompts=tuple(as_text(item.get("revised_prompt")) for item, _ in generated),
            usage=_usage(tree),
        )
    content = [as_mapping(part) for item in output for part in as_list(item.get("content"))]
    refusal = "".join(as_text(part.get("refusal")) for part in content)
    blocked = [error for item in calls if (error := as_mapping(item.get("error"))).get("code") == _BLOCKED]
    stopped = as_mapping(tree.get("incomplete_details")).get("reason") == "content_filter"
    failed = " ".join(as_text(as_mapping(item.get("error")).get("message")) for item in calls).strip()
    explanation = failed or refusal or " ".join(as_text(part.get("text")) for part in content)
    raise_no_image(endpoint, explanation, refused=bool(blocked or refusal or stopped))


def _read_image(item: Mapping[str, Any]) -> WireImage | None:
    kind = f"image/{as_text(item.get('output_format')) or 'png'}"
    try:
        data = decode_base64(as_text(item.get("result")))
    except ValueError:
        return None
    return WireImage(data=data, media_type=kind) if data and kind in IMAGE_TYPES else None


def _usage(tree: Mapping[str, Any]) -> WireUsage:
    """Return the combined usage of the text model and the tool; the tool's output is images.

    If the tool's usage is missing, return no usage: the rest alone would understate the bill.
    """
    model_usage = read_usage(as_mapping(tree.get("usage")))
    tool_usage = read_usage(as_mapping(as_mapping(tree.get("tool_usage")).get("image_gen")))
    if not tool_usage.output_tokens:
        return WireUsage()
    kinds = dict(tool_usage.input_by_modality)
    pictures = kinds.get("image", 0)
    input_tokens = _sum_known(model_usage.input_tokens, tool_usage.input_tokens)
    return msgspec.structs.replace(
        model_usage,
        input_tokens=input_tokens,
        output_tokens=_sum_known(model_usage.output_tokens, tool_usage.output_tokens),
        image_tokens=tool_usage.output_tokens if tool_usage.image_tokens is None else tool_usage.image_tokens,
        input_by_modality=(("text", input_tokens - pictures), ("image", pictures))
        if input_tokens is not None and kinds
        else (),
    )


def _sum_known(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
