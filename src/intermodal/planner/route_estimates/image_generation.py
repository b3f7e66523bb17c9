"""Image generation: stated settings, the hosts and models that accept them, and the cost.

Unstated settings are decided here, so that the price is known: a square of 1024 pixels, and medium quality for models
priced by quality. A local diffusion model gets its steps and guidance, because they determine its duration: network
evaluations times pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from intermodal.catalog.image_options import (
    ASPECT_RATIOS,
    COUNT,
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
from intermodal.catalog.types import DiffusionSettings, Endpoint, Host
from intermodal.core.hints import setting
from intermodal.core.request import ImageOutput, Quality, Request
from intermodal.cost_model.call_cost import DiffusionWork, image_generation_price, image_generation_seconds
from intermodal.cost_model.image_tokens import generated_image_tokens
from intermodal.cost_model.levels import ZEROS, Level, Levels, levels, times
from intermodal.cost_model.rates import Rates
from intermodal.errors import UsageError
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.step import DrawImage

USUAL_SIZE = (1024, 1024)
USUAL_QUALITY: Quality = "medium"
USUAL_STRENGTH = 0.75  # default strength of an image-to-image call, as in stable-diffusion.cpp
_TWICE = ("heun", "dpm2", "dpm++2s_a", "res_2s")  # samplers that evaluate the network twice per step
_BY_QUALITY = "table:"  # prefix of token rules with prices by quality

StatedSettings = tuple[tuple[str, ...], tuple[int, int] | None]


def image_output(request: Request) -> ImageOutput:
    """Return the output specification of an image request."""
    assert isinstance(request.output, ImageOutput)
    return request.output


def stated_settings(request: Request) -> StatedSettings:
    """Return the stated settings that not every host accepts, and the stated size."""
    output = request.output
    if not isinstance(output, ImageOutput):
        return (), None
    settings = {
        SIZE: output.size is not None, COUNT: output.count > 1, QUALITY: bool(output.quality),
        FORMAT: output.format in ("jpeg", "webp"),  # PNG is always possible, because results are converted locally
        SEED: request.sampling.seed is not None, STEPS: output.steps is not None, NEGATIVE: bool(output.negative),
        GUIDANCE: output.guidance is not None, SAMPLER: bool(output.sampler),
        STRENGTH: output.strength is not None, MASK: output.mask,
    }  # fmt: skip
    return tuple(word for word, is_stated in settings.items() if is_stated), output.size


def unsupported_by_host(host: Host, request: Request) -> str:
    """Return why a host cannot generate these images; "" if it can."""
    has = supported_image_options(host)
    if not has:
        return "is spoken to in a protocol in which intermodal asks for no images"
    settings, size = stated_settings(request)
    if RATIO in has and size is not None and size in ASPECT_RATIOS:
        settings = tuple(word for word in settings if word != SIZE)
    elif RATIO in has and size is not None:
        sizes = ", ".join(f"{width}x{height}" for width, height in ASPECT_RATIOS)
        return f"draws {sizes}, and no image of {size[0]}x{size[1]}"
    missing = [OPTION_LABELS[word] for word in settings if word not in has]
    return f"cannot be told {' and '.join(missing)}" if missing else ""


class ImageGeneration(NamedTuple):
    """The settings of a local diffusion model, stated or decided."""

    size: tuple[int, int]
    pictures: int
    steps: int
    guidance: float
    sampler: str
    strength: float | None

    @property
    def evaluations(self) -> int:
        """Return the number of network evaluations per image.

        One per step, two with guidance. Image-to-image runs only the share of steps given by its strength.
        """
        steps = self.steps if self.strength is None else min(self.steps, math.floor(self.steps * self.strength) + 1)
        return steps * (2 if self.sampler in _TWICE else 1) * (1 if self.guidance == 1 else 2)

    @property
    def strokes(self) -> DiffusionWork:
        megapixels = self.size[0] * self.size[1] / 1e6
        encodings = 1 if self.strength is not None else 0  # the input image is encoded once
        return DiffusionWork(megapixels * self.pictures * self.evaluations, megapixels * (self.pictures + encodings))


def input_images(facts: Facts) -> Sequence[PartFacts]:
    """Return the input images in order."""
    return [part for part in facts.parts if part.kind == "image"]


def image_generation(diffusion: DiffusionSettings, request: Request, facts: Facts) -> ImageGeneration:
    """Return the settings of an image generation.

    Unstated settings are the model's defaults. The size is that of the input image, reduced to the pixels that the
    model supports well.
    """
    output, images = image_output(request), input_images(facts)
    size = output.size or (_fitted_size(diffusion, images[0]) if images else (diffusion.side, diffusion.side))
    strength = (USUAL_STRENGTH if output.strength is None else output.strength) if images else None
    guidance = diffusion.guidance if output.guidance is None else output.guidance
    steps = output.steps or diffusion.steps
    return ImageGeneration(size, output.count, steps, guidance, output.sampler, strength)


def _fitted_size(diffusion: DiffusionSettings, picture: PartFacts) -> tuple[int, int]:
    """Return the size of an image rounded to the model's units, with at most the pixels of a square of its side."""
    side, unit = diffusion.side, diffusion.unit
    scale = min(1.0, side / math.sqrt(max(1, picture.width * picture.height)))
    width, height = (max(unit, math.floor(each * scale / unit) * unit) for each in (picture.width, picture.height))
    return width, height


def drawing_memory(diffusion: DiffusionSettings, memory: Levels, request: Request, facts: Facts) -> Levels:
    """Return the memory in bytes for the requested size: buffers grow with the number of pixels."""
    width, height = image_generation(diffusion, request, facts).size
    more = width * height - diffusion.side**2
    low, mid, high = (
        max(0.0, base_bytes + more * each) for base_bytes, each in zip(memory, diffusion.buffers, strict=True)
    )
    return low, mid, high


def check_image_settings(request: Request, facts: Facts) -> None:
    """Raise UsageError for settings that are inconsistent with the input."""
    output, images = image_output(request), input_images(facts)
    if output.strength is not None and not images:
        raise UsageError(
            "a strength says how much of an image is drawn anew, and no image goes in", where=setting("strength"),
            todo="add the image to start from, or leave it out",
        )  # fmt: skip
    if not output.mask:
        return
    last = facts.parts[-1]  # the mask follows the image to which it applies
    if last.kind != "image" and len(facts.parts) > len(images) + 1:
        raise UsageError(
            f"{last.name} is {last.kind}, not an image", where=setting("mask"), todo="give a mask as PNG",
        )  # fmt: skip
    if len(images) < 2:
        raise UsageError(
            "a mask says what of an image may change, and no image goes in", where=setting("mask"),
            todo="add the image that it is laid on",
        )  # fmt: skip
    if len(images) > 2:
        raise UsageError(
            f"a mask is of one image, and {len(images) - 1} go in", where=setting("mask"), todo="give one image",
        )  # fmt: skip
    picture, mask = images
    if (picture.width, picture.height) != (mask.width, mask.height):
        raise UsageError(
            f"{mask.name} has {mask.width}x{mask.height} pixels and {picture.name} {picture.width}x{picture.height}",
            where=setting("mask"), todo="make the mask as large as its image",
        )  # fmt: skip


def unsupported_by_model(diffusion: DiffusionSettings | None, request: Request, facts: Facts) -> str:
    """Return why a local diffusion model cannot generate this image; "" if it can."""
    if diffusion is None:
        return ""
    output = image_output(request)
    count = len(input_images(facts)) - output.mask
    if output.size is not None and any(side % diffusion.unit for side in output.size):
        near = "x".join(str(max(1, round(side / diffusion.unit)) * diffusion.unit) for side in output.size)
        width, height = output.size
        return f"draws sides that are multiples of {diffusion.unit} pixels, and no {width}x{height} ({near} is near)"
    if count > 1:
        return f"draws from one image, and there are {count}"
    return ""


def image_parameters(endpoint: Endpoint, request: Request, facts: Facts) -> DrawImage:
    """Return the parameters of the call, stated or decided."""
    output, has, diffusion = image_output(request), supported_image_options(endpoint.host), endpoint.model.diffusion
    size = _output_size(endpoint, output) if has & {SIZE, RATIO} else None
    quality = _quality(endpoint, output) if QUALITY in has else ""
    steps, guidance, strength = output.steps, output.guidance, output.strength
    if diffusion is not None:
        generation = image_generation(diffusion, request, facts)
        size, steps, guidance, strength = generation.size, generation.steps, generation.guidance, generation.strength
    return DrawImage(
        size=size, quality=quality, count=output.count if output.count > 1 else None, steps=steps or None,
        guidance=guidance, sampler=output.sampler, strength=strength, negative=output.negative, format=output.format,
    )  # fmt: skip


def _output_size(endpoint: Endpoint, output: ImageOutput) -> tuple[int, int]:
    return output.size or USUAL_SIZE


def _quality(endpoint: Endpoint, output: ImageOutput) -> Quality | Literal[""]:
    """Return the stated quality; otherwise medium for models priced by quality, and none for others."""
    return output.quality or (USUAL_QUALITY if endpoint.model.drawn.startswith(_BY_QUALITY) else "")


def generated_tokens(endpoint: Endpoint, request: Request) -> Levels:
    """Return the tokens of all images; infinite if unknown, zero if they are priced per image."""
    if endpoint.price.picture is not None or endpoint.host.zone in LOCAL_ZONES:
        return ZEROS
    output = image_output(request)
    width, height = _output_size(endpoint, output)
    tokens_per_image = generated_image_tokens(
        endpoint.model.drawn, width, height, _quality(endpoint, output) or USUAL_QUALITY
    )
    return times(levels(tokens_per_image), float(output.count))


def image_call_cost(
    request: Request, facts: Facts, rates: Rates, level: Level, text: float, image: float, tokens: float
) -> tuple[float, float]:
    """Return USD and seconds of the image generation call, without loading."""
    count = image_output(request).count
    strokes = None if rates.diffusion is None else image_generation(rates.diffusion, request, facts).strokes
    return image_generation_price(rates, text, image, tokens, count), image_generation_seconds(
        rates, level, count, strokes
    )


def image_title(parameters: DrawImage) -> str:
    """Return a title: "an image, 1024x1024, medium quality", "an image, 512x512 x 20 steps"."""
    many = "an image" if parameters.count is None else f"{parameters.count} images"
    quality = f"{parameters.quality} quality" if parameters.quality else ""
    size = "" if parameters.size is None else f"{parameters.size[0]}x{parameters.size[1]}"
    if parameters.steps is not None:  # its duration depends on steps and pixels
        size = f"{size} x {parameters.steps} steps"
    return ", ".join(filter(None, (many, size, quality)))
