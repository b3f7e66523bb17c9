"""The image options that a host accepts, from its protocol and the quirks of its row.

The planner reads this, so that an unsupported option is a rejection before anything is sent; the protocol codecs refuse
the same options.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from intermodal.catalog.types import Host, Protocol

SIZE, COUNT, QUALITY, FORMAT, SEED, STEPS, NEGATIVE, RATIO, EDITS, GUIDANCE, SAMPLER, STRENGTH, MASK = (
    "size", "count", "quality", "format", "seed", "steps", "negative", "ratio", "edits", "guidance", "sampler",
    "strength", "mask",
)  # fmt: skip
# The names of options in sentences.
OPTION_LABELS: Mapping[str, str] = {
    SIZE: "a size",
    COUNT: "several images",
    QUALITY: "a quality",
    FORMAT: "the format of an image",
    SEED: "a seed for an image",
    STEPS: "steps of an image",
    NEGATIVE: "a negative prompt",
    EDITS: "images to start from",
    GUIDANCE: "a guidance",
    SAMPLER: "a sampler",
    STRENGTH: "a strength",
    MASK: "a mask",
}
_HAS: Mapping[Protocol, frozenset[str]] = {
    "openai": frozenset((SIZE, COUNT, QUALITY, FORMAT, EDITS)),
    "openai-responses": frozenset((SIZE, COUNT, QUALITY, FORMAT, EDITS)),
    "gemini": frozenset((RATIO, SEED, EDITS)),
    "diffusion": frozenset((SIZE, COUNT, FORMAT, EDITS, SEED, STEPS, NEGATIVE, GUIDANCE, SAMPLER, STRENGTH, MASK)),
}
IMAGES_IN_CHAT = "pictures_in_chat"  # the quirk of hosts that return images in chat answers
_HAS_IN_CHAT: Mapping[Protocol, frozenset[str]] = {
    "openai": frozenset((RATIO, EDITS)),
    "openai-responses": frozenset((SIZE, QUALITY, FORMAT, EDITS)),
}
IMAGE_MASK: str = "image_mask"  # the quirk of hosts that read a mask from its transparency, as OpenAI's edits do
SD_CPP: str = "sd_cpp_extra_args"  # the quirk of stable-diffusion.cpp's server, with options inside the prompt
_MORE: Mapping[str, tuple[str, ...]] = {
    "image_seed": (SEED,), "image_steps": (STEPS,), "negative_prompt": (NEGATIVE,), IMAGE_MASK: (MASK,),
    SD_CPP: (SEED, STEPS, NEGATIVE, GUIDANCE, SAMPLER, STRENGTH, MASK),
}  # fmt: skip
_LESS: Mapping[str, str] = {
    "no_image_format": FORMAT, "no_image_quality": QUALITY, "no_image_size": SIZE, "no_image_edits": EDITS,
}  # fmt: skip

# Google's image models take an aspect ratio and draw it in one size: "Image generation", table of aspect ratios at 1K.
# OpenRouter documents the same table for all its models.
ASPECT_RATIOS: Mapping[tuple[int, int], str] = {
    (1024, 1024): "1:1", (832, 1248): "2:3", (1248, 832): "3:2", (864, 1184): "3:4", (1184, 864): "4:3",
    (896, 1152): "4:5", (1152, 896): "5:4", (768, 1344): "9:16", (1344, 768): "16:9", (1536, 672): "21:9",
}  # fmt: skip


@lru_cache(256)
def supported_image_options(host: Host) -> frozenset[str]:
    """Return the options this host supports; empty if its protocol generates no images."""
    has = _HAS.get(host.protocol, frozenset())
    if IMAGES_IN_CHAT in host.quirks and host.protocol in _HAS_IN_CHAT:
        masks = {MASK} if host.protocol == "openai-responses" and IMAGE_MASK in host.quirks else set[str]()
        return (_HAS_IN_CHAT[host.protocol] | masks) - {word for quirk, word in _LESS.items() if quirk in host.quirks}
    if not has:
        return has
    more = {word for quirk, words in _MORE.items() if quirk in host.quirks for word in words}
    less = {word for quirk, word in _LESS.items() if quirk in host.quirks}
    return frozenset((has | more) - less)
