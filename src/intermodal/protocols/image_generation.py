"""Shared by the image generation protocols: the check of options, and replies without an image."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from intermodal import errors
from intermodal.catalog.image_options import (
    ASPECT_RATIOS,
    COUNT,
    EDITS,
    FORMAT,
    GUIDANCE,
    MASK,
    NEGATIVE,
    OPTION_LABELS,
    QUALITY,
    RATIO,
    SAMPLER,
    SEED,
    SIZE,
    STEPS,
    STRENGTH,
    supported_image_options,
)
from intermodal.catalog.types import Host
from intermodal.protocols.calls import ImageCall, NotExpressible
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.inline_media import parse_with_media
from intermodal.protocols.reply_decoder import read_object

_WISHES: Mapping[str, Callable[[ImageCall], bool]] = {
    SEED: lambda call: call.seed is not None,
    STEPS: lambda call: call.steps is not None,
    NEGATIVE: lambda call: bool(call.negative),
    FORMAT: lambda call: bool(call.format),
    QUALITY: lambda call: bool(call.quality),
    COUNT: lambda call: call.count > 1,
    EDITS: lambda call: bool(call.images),
    GUIDANCE: lambda call: call.guidance is not None,
    SAMPLER: lambda call: bool(call.sampler),
    STRENGTH: lambda call: call.strength is not None,
    MASK: lambda call: bool(call.mask),
}


def check_options(call: ImageCall, host: Host, wire: str, *, image_types: Collection[str]) -> None:
    """Raise NotExpressible for an option that the protocol or host lacks, or an image type that it refuses."""
    has = supported_image_options(host)
    for option_name, wants in _WISHES.items():
        if wants(call) and option_name not in has:
            raise NotExpressible.of(
                OPTION_LABELS[option_name], wire, where=host.id, todo="leave it out, or ask another host"
            )
    if call.size is not None and RATIO in has and call.size not in ASPECT_RATIOS:
        sizes = ", ".join(f"{width}x{height}" for width, height in ASPECT_RATIOS)
        raise NotExpressible.of(f"an image of {call.size[0]}x{call.size[1]}", wire, where=host.id, todo=f"ask {sizes}")
    if call.size is not None and not has & {RATIO, SIZE}:
        raise NotExpressible.of(OPTION_LABELS[SIZE], wire, where=host.id, todo="leave it out, or ask another host")
    if call.mask and not call.images:
        raise NotExpressible.of("a mask without an image", wire, where=host.id)
    for image in call.images:
        if image.media_type not in image_types:
            raise NotExpressible.of(f"an image of type {image.media_type}", wire, where=host.id)


def parse_reply(body: bytes, endpoint: str, headers: Mapping[str, str] | None) -> Mapping[str, Any]:
    """Return the reply as a JSON object. Raises CallError for an error inside it, StreamCut for a truncated reply."""
    return read_object(body, endpoint, headers, parse=lambda body: parse_with_media(body)[0])


def raise_no_image(endpoint: str, explanation: str, *, refused: bool) -> NoReturn:
    """Raise the error for a reply without an image.

    Raises ContentRefused if a filter or the model refused, else CallError. ``explanation``: the model's or the host's
    explanation, "" for none.
    """
    words = classification.quote(explanation)[:300]
    if refused:
        what = f'refused to draw: "{words}"' if words else "refused to draw"
        raise errors.ContentRefused(what, where=endpoint, todo="ask differently", status=200)
    detail = f' and said: "{words[:200]}"' if words else ", or not as base64"
    raise errors.CallError(f"sent no image{detail}", where=endpoint, status=200, todo="ask again, or ask differently")
