"""The driver of embedded image generation: a prompt, and perhaps an image with its mask, in; images out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.events import Drawn
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult

if TYPE_CHECKING:
    from intermodal.local.embedded.results import ImagePreview

_TYPES = {"": "image/png", "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


async def drive(job: CallJob, world: Dependencies, line: AttemptContext) -> CallResult:
    call = job.drawing
    assert call is not None
    assert call.size is not None, "the plan of a model that draws here has a size"

    def sketched(sketch: ImagePreview) -> None:
        line.sketched(Drawn(data=sketch.png), sketch.step, sketch.steps)

    await line.sending()
    wanted = {
        "prompt": call.prompt, "negative": call.negative, "size": list(call.size), "count": call.count,
        "steps": call.steps, "guidance": call.guidance, "seed": call.seed, "sampler": call.sampler,
        "strength": call.strength, "form": call.format or "png",
    }  # fmt: skip
    picture = call.images[0].data if call.images else b""
    made = await world.runtimes.draw(
        job.endpoint, wanted, picture, call.mask, progress=line.progress, sketched=sketched
    )
    line.loaded(made.load_seconds)
    drawn = tuple(Drawn(data=data, media_type=_TYPES[call.format]) for data in made.pictures)
    return CallResult(drawn=drawn, seed=made.seed if call.seed is None else None, peak_memory=made.peak_memory)
