"""What a diffusion model of this machine is told, and how much work that is: evaluations times pixels."""

from __future__ import annotations

import pytest

from intermodal.catalog.types import DiffusionSettings
from intermodal.core.content import Text
from intermodal.core.quantity import exact
from intermodal.core.request import ImageOutput, Message, Request
from intermodal.planner.route_estimates.image_generation import image_generation, unsupported_by_model
from intermodal.plans.facts import Facts, PartFacts

SQUARE = DiffusionSettings(side=512, unit=64, steps=20, guidance=7.0)


def request(output: ImageOutput) -> Request:
    return Request(messages=(Message(role="user", parts=(Text(text="a fox"),)),), output=output)


def facts(*sizes: tuple[int, int]) -> Facts:
    pictures = tuple(
        PartFacts(index=place + 1, kind="image", name=f"{place}.png", width=width, height=height)
        for place, (width, height) in enumerate(sizes)
    )
    return Facts(parts=(PartFacts(index=0, kind="text", name="prompt", letters=exact(5)), *pictures))


@pytest.mark.parametrize(
    ("output", "evaluations"),
    [
        (ImageOutput(), 40), (ImageOutput(guidance=1.0), 20), (ImageOutput(steps=4, guidance=1.0), 4),
        (ImageOutput(steps=4, guidance=1.0, sampler="heun"), 8), (ImageOutput(steps=4, sampler="euler"), 8),
    ],
)  # fmt: skip
def test_each_step_is_one_evaluation_or_two_or_four(output: ImageOutput, evaluations: int) -> None:
    assert image_generation(SQUARE, request(output), facts()).evaluations == evaluations


@pytest.mark.parametrize(("strength", "steps"), [(0.1, 3), (0.5, 11), (0.75, 16), (1.0, 20)])
def test_a_picture_that_is_drawn_anew_takes_the_share_of_the_steps_that_its_strength_leaves(
    strength: float, steps: int
) -> None:
    """As stable-diffusion.cpp does: of ``strength`` of the steps, and one more."""
    drawn = image_generation(SQUARE, request(ImageOutput(strength=strength, guidance=1.0)), facts((512, 512)))
    assert drawn.evaluations == steps


def test_work_grows_with_pixels_steps_and_pictures_and_a_picture_that_goes_in_is_turned_once() -> None:
    one = image_generation(SQUARE, request(ImageOutput(size=(512, 512))), facts()).strokes
    assert one.denoising_megapixels == pytest.approx(0.262144 * 40)
    assert one.latent_megapixels == pytest.approx(0.262144)
    two = image_generation(SQUARE, request(ImageOutput(size=(512, 512), count=2)), facts()).strokes
    assert two == (2 * one.denoising_megapixels, 2 * one.latent_megapixels)
    edited = image_generation(SQUARE, request(ImageOutput(size=(512, 512))), facts((512, 512))).strokes
    assert edited.latent_megapixels == 2 * one.latent_megapixels


@pytest.mark.parametrize(
    ("given", "size"),
    [((512, 512), (512, 512)), ((4000, 3000), (576, 384)), ((100, 70), (64, 64)), ((30, 30), (64, 64))],
)
def test_the_shape_of_a_picture_that_goes_in_is_kept_within_what_the_model_draws_well(
    given: tuple[int, int], size: tuple[int, int]
) -> None:
    assert image_generation(SQUARE, request(ImageOutput()), facts(given)).size == size


def test_sides_and_pictures_that_it_cannot_draw_are_a_reason_and_others_are_none() -> None:
    assert unsupported_by_model(SQUARE, request(ImageOutput(size=(500, 512))), facts()) == (
        "draws sides that are multiples of 64 pixels, and no 500x512 (512x512 is near)"
    )
    assert unsupported_by_model(SQUARE, request(ImageOutput()), facts((64, 64), (64, 64))) == (
        "draws from one image, and there are 2"
    )
    assert unsupported_by_model(SQUARE, request(ImageOutput(mask=True)), facts((64, 64), (64, 64))) == ""
    assert unsupported_by_model(None, request(ImageOutput(size=(500, 512))), facts()) == ""
