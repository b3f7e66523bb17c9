"""OpenAI's image generation: text (and images) in, images out.

Source: OpenAI's OpenAPI document for ``POST /images/generations`` (JSON) and ``POST /images/edits`` (a form). It has no
seed, steps or negative prompt; hosts of diffusion models that adopted the API have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal import errors
from intermodal.catalog.image_options import SD_CPP
from intermodal.catalog.types import Host
from intermodal.protocols.calls import JSON_HEADERS, EncodedRequest, GeneratedImages, ImageCall, WireImage
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import as_list, as_mapping, as_text, dumps, valid_utf8
from intermodal.protocols.image_generation import check_options, parse_reply
from intermodal.protocols.openai_chat.reply import read_usage
from intermodal.protocols.openai_media.multipart_form import FormFile, encode_form

WIRE = "OpenAI images"
PATH, EDIT_PATH = "/images/generations", "/images/edits"
ENDINGS: Mapping[str, str] = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
QUIRKS: Mapping[str, str] = {
    "image_seed": "seed is known",
    "image_steps": "steps are known",
    "negative_prompt": "negative_prompt is known",
    "image_mask": "a mask goes with an image, transparent where it may change",
    "image_b64": "images come as links unless base64 is asked for (response_format)",
    "width_height": "the size is sent as width and height",
    "no_image_format": "the format of the file cannot be chosen",
    "no_image_quality": "quality is not known",
    "no_image_size": "the size cannot be chosen",
    "no_image_edits": "no image goes in",
    "sd_cpp_extra_args": "seed, steps, guidance, sampler, strength and a negative prompt are sent inside the prompt",
    "pictures_in_chat": "images come in an answer of the chat, and not from here (openai_chat_images and its like)",
}
_HEADS = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"), (b"GIF8", "image/gif"))


def encode_request(call: ImageCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for what this protocol or host cannot carry."""
    check_options(call, host, WIRE, image_types=ENDINGS)
    fields = _fields(call, host)
    if not call.images:
        return EncodedRequest(path=PATH, headers=JSON_HEADERS, segments=(dumps(fields),))
    images = [("image" if len(call.images) == 1 else "image[]", image.media_type, image.data) for image in call.images]
    images += [("mask", "image/png", call.mask)] if call.mask else []
    files = [
        FormFile(field=field, name=f"{number}.{ENDINGS[media_type]}", media_type=media_type, data=data)
        for number, (field, media_type, data) in enumerate(images)
    ]
    return encode_form(EDIT_PATH, fields, files)


def _fields(call: ImageCall, host: Host) -> dict[str, Any]:
    if SD_CPP in host.quirks:
        return _of_sd_cpp(call)
    fields: dict[str, Any] = {
        "model": valid_utf8(call.model),
        "prompt": valid_utf8(call.prompt),
        "n": call.count if call.count != 1 else None,
        "seed": call.seed,
        "steps": call.steps,
        "quality": call.quality or None,
        "negative_prompt": valid_utf8(call.negative) or None,
        "output_format": call.format or None,
        "response_format": "b64_json" if "image_b64" in host.quirks else None,
    }
    if call.size is not None and "width_height" in host.quirks:
        fields |= {"width": call.size[0], "height": call.size[1]}
    elif call.size is not None:
        fields["size"] = f"{call.size[0]}x{call.size[1]}"
    return {name: value for name, value in fields.items() if value is not None}


def _of_sd_cpp(call: ImageCall) -> dict[str, Any]:
    """Return the fields of stable-diffusion.cpp's server (``examples/server/api.md``).

    Parameters that OpenAI lacks go into the prompt as JSON between two marks. They come first, since the server reads
    the first pair, whoever wrote it.
    """
    sample = {
        "sample_steps": call.steps, "sample_method": call.sampler or None,
        "guidance": None if call.guidance is None else {"txt_cfg": call.guidance},
    }  # fmt: skip
    sample_params = {name: value for name, value in sample.items() if value is not None}
    more: dict[str, Any] = {
        "seed": call.seed, "negative_prompt": valid_utf8(call.negative) or None, "strength": call.strength,
        "sample_params": sample_params or None,
    }  # fmt: skip
    extra_args = dumps({name: value for name, value in more.items() if value is not None}).decode()
    fields: dict[str, Any] = {
        "model": valid_utf8(call.model),
        "prompt": f"<sd_cpp_extra_args>{extra_args}</sd_cpp_extra_args>{valid_utf8(call.prompt)}",
        "n": call.count if call.count != 1 else None,
        "size": None if call.size is None else f"{call.size[0]}x{call.size[1]}",
        "output_format": call.format or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def decode_reply(body: bytes, endpoint: str, *, headers: Mapping[str, str] | None = None) -> GeneratedImages:
    """Return the images of a 2xx reply. Raises CallError for an error inside it, StreamCut for a truncated reply.

    A link is not followed: only the media layer opens URLs from others.
    """
    tree = parse_reply(body, endpoint, headers)
    if not isinstance(tree.get("data"), list):
        raise classification.classify(200, headers or {}, tree, endpoint)
    rows = [as_mapping(row) for row in as_list(tree["data"])]
    try:
        pictures = tuple(_read_image(decode_base64(as_text(row.get("b64_json")))) for row in rows)
    except ValueError:
        pictures = ()
    if not pictures or not all(picture.data for picture in pictures):
        todo = "give its row the quirk image_b64" if any(row.get("url") for row in rows) else "ask again"
        raise errors.CallError("sent no image, or not as base64", where=endpoint, status=200, todo=todo)
    return GeneratedImages(
        images=pictures,
        prompts=tuple(as_text(row.get("revised_prompt")) for row in rows),
        usage=read_usage(as_mapping(tree.get("usage"))),
    )


def _read_image(data: bytes) -> WireImage:
    return WireImage(data=data, media_type=next((kind for head, kind in _HEADS if data.startswith(head)), "image/png"))
