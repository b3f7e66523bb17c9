"""The driver of embedded contrastive models: vectors of images and texts in one space."""

from __future__ import annotations

from intermodal import errors
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult, ContrastiveScale
from intermodal.protocols.calls import WireImage, WireUsage


async def drive(job: CallJob, world: Dependencies, line: AttemptContext) -> CallResult:
    await line.sending()
    pictures = [picture.data for picture in job.pictures] + [
        media.data for media in job.beside if isinstance(media, WireImage)
    ]
    texts = job.labels or ((job.text,) if job.text else ())
    if job.step.op == "embed" and len(pictures) + len(texts) > 1:
        raise errors.UsageError(
            "a vector is of one picture or of one text, and there are several", where=job.endpoint.id,
            todo="ask for each of them by itself",
        )  # fmt: skip
    found = []
    for number, data in enumerate(pictures):
        found.append(await world.runtimes.look(job.endpoint, data))
        line.progress((number + 1) / (len(pictures) + bool(texts)), "")
    if texts:
        found.append(await world.runtimes.place(job.endpoint, texts))
    line.loaded(sum(each.load_seconds for each in found))
    first = found[0]
    vectors = tuple(vector for each in found for vector in each.vectors)
    return CallResult(
        vector=vectors[0],
        vectors=vectors,
        contrastive=ContrastiveScale(
            loss=first.loss, scale=first.scale, bias=first.bias, cut=found[-1].cut if texts else 0
        ),
        usage=WireUsage(input_tokens=sum(each.tokens for each in found), output_tokens=0),
        peak_memory=max(each.peak_memory for each in found),
    )
