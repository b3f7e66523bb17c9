"""The call that generates images: its prompt and input images, and the requested format."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from intermodal import errors
from intermodal.catalog.image_options import FORMAT, IMAGE_MASK, RATIO, SIZE, supported_image_options
from intermodal.catalog.types import Endpoint
from intermodal.core.hints import hint
from intermodal.core.request import ImageOutput, Sampling
from intermodal.events import Committed, Drawn, Finished, Note, StepFinished
from intermodal.executor.drivers.interface import CallJob
from intermodal.executor.preparation import prompt as preparation_prompt
from intermodal.executor.preparation.model_inputs import ImageInput, ModelInput
from intermodal.executor.preparation.part_inputs import measure_work
from intermodal.executor.route_run import RouteRun
from intermodal.planner.route_estimates.image_generation import image_generation, input_images
from intermodal.plans.step import Call, DrawImage
from intermodal.protocols.calls import ImageCall, WireImage

_TYPES: Mapping[str, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


async def draw(run: RouteRun, step: Call) -> Finished:
    """Make the only image call of a route. The steps before it turn inputs into text."""
    endpoint, output = run.state.endpoint(step), run.state.request.output
    assert isinstance(output, ImageOutput)
    stands_for = await run.inputs_by_part(step, endpoint)
    prompt = preparation_prompt.text_to_embed(run.state.request, stands_for)
    if not prompt:
        raise errors.InputEmpty("nothing says what to draw", todo="say it in words", step=step.id)
    inputs = _start_images(stands_for)
    mask = await _mask(run, endpoint, inputs[-1]) if output.mask else b""
    pictures = inputs[:-1] if output.mask else inputs
    call = image_call(endpoint, step, output, run.state.request.sampling, prompt, pictures, mask)
    work = msgspec.structs.replace(measure_work(inputs), pictures=output.count, **_diffusion_work(run, endpoint))
    finished_call = await run.do(CallJob(step=step, endpoint=endpoint, drawing=call, work=work))
    await run.state.emit(StepFinished(actual=finished_call.actual))
    await run.state.emit(Committed(endpoint=step.endpoint))
    images = tuple([await _in_format(run, step, each, output) for each in finished_call.result.images])
    if finished_call.result.seed is not None:
        await run.state.emit(
            Note(text=hint("drawn with {seed=}, which draws it again", finished_call.result.seed), step=step.id)
        )
    if len(images) != output.count:
        what = f"{endpoint.id} made {len(images)} images, and {output.count} were asked for"
        await run.state.emit(Note(text=what, step=step.id))
    return run.finished_event(step, images=images)


def _diffusion_work(run: RouteRun, endpoint: Endpoint) -> dict[str, float]:
    """Return the work of a model that generates images on this machine; {} for any other."""
    if endpoint.model.diffusion is None:
        return {}
    strokes = image_generation(endpoint.model.diffusion, run.state.request, run.state.opened_media.facts).strokes
    return {"denoised": round(strokes.denoising_megapixels, 6), "made": round(strokes.latent_megapixels, 6)}


async def _mask(run: RouteRun, endpoint: Endpoint, image: ImageInput) -> bytes:
    """Return the mask as a PNG in the form that the model or host reads.

    It is read from the original file, since an image that is converted for a model loses its transparency.
    """
    opened_media = run.state.opened_media
    part = input_images(opened_media.facts)[-1]
    shrunk = (part.width, part.height) != (image.width, image.height)
    data = image.data if shrunk else opened_media.data(part.index)
    transparent = IMAGE_MASK in endpoint.host.quirks
    return (await run.state.dependencies.media.mask(data, transparent=transparent, name=part.name)).data


def image_call(
    endpoint: Endpoint, step: Call, output: ImageOutput, sampling: Sampling, prompt: str,
    images: tuple[ImageInput, ...], mask: bytes = b"",
) -> ImageCall:  # fmt: skip
    """Return the call with those settings of the plan that the host's protocol has fields for."""
    parameters, supported = DrawImage.parameters_of(step), supported_image_options(endpoint.host)
    return ImageCall(
        model=endpoint.served_as or endpoint.model.id,
        prompt=prompt,
        images=tuple(WireImage(data=each.data, media_type=each.media_type) for each in images),
        size=parameters.size if supported & {SIZE, RATIO} else None,
        count=output.count,
        seed=sampling.seed,
        steps=output.steps if parameters.steps is None else parameters.steps,
        guidance=output.guidance if parameters.guidance is None else parameters.guidance,
        sampler=parameters.sampler or output.sampler,
        strength=output.strength if parameters.strength is None else parameters.strength,
        mask=mask,
        negative=output.negative,
        quality=parameters.quality,
        format=output.format if FORMAT in supported else "",
        writes="text" in endpoint.model.output,
    )


def _start_images(stands_for: Mapping[int, tuple[ModelInput, ...]]) -> tuple[ImageInput, ...]:
    """Return the images to start from, in the order of the parts."""
    return tuple(piece for index in sorted(stands_for) for piece in stands_for[index] if isinstance(piece, ImageInput))


async def _in_format(run: RouteRun, step: Call, drawn_image: Drawn, output: ImageOutput) -> Drawn:
    """Return the image in the requested format. Any format is converted to PNG; other mismatches are noted."""
    media_type = _TYPES.get(output.format, drawn_image.media_type)
    if drawn_image.media_type == media_type:
        return drawn_image
    if media_type == "image/png":
        converted = await run.state.dependencies.media.picture(drawn_image.data, name="the image that was drawn")
        return msgspec.structs.replace(drawn_image, data=converted.data, media_type=converted.media_type)
    what = f"{step.endpoint} sent {drawn_image.media_type}, and {media_type} was asked for"
    await run.state.emit(Note(text=what, step=step.id))
    return drawn_image
