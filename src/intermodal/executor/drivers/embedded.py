"""Drivers of the models in this process's workers: speech, text recognition, embeddings, heads, images, and a voice.

One function per protocol, named in ``step_caller.DRIVERS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal import errors
from intermodal.events import Drawn
from intermodal.executor.conversion.conversions import merge_channels
from intermodal.executor.dependencies import Dependencies, Progress
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult, ContrastiveScale, HeadScores
from intermodal.plans.step import ReadText
from intermodal.protocols.calls import WireImage, WireUsage

if TYPE_CHECKING:
    from intermodal.local.embedded.results import ImagePreview


async def transcribe(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Transcribe PCM with times. Channels are transcribed one after the other."""
    assert job.sound is not None
    await context.sending()
    channels = (job.sound.pcm, job.sound.beside) if job.sound.beside else (job.sound.pcm,)
    transcripts, load, memory = [], 0.0, 0
    for place, pcm in enumerate(channels):
        progress = _share(context.progress, place, len(channels))
        result = await dependencies.runtimes.transcribe(
            job.endpoint, pcm, language=job.language, into=job.into, progress=progress
        )
        transcripts.append(result.transcript)
        load, memory = load + result.load_seconds, max(memory, result.peak_memory)
    context.report_load_seconds(load)
    return CallResult(
        transcript=transcripts[0] if len(transcripts) == 1 else merge_channels(transcripts[0], transcripts[1]),
        peak_memory=memory,
    )


def _share(progress: Progress, place: int, count: int) -> Progress:
    """Return a progress callback for one of ``count`` recordings, scaled to the whole."""

    def tell(fraction: float | None, note: str = "") -> None:
        progress(None if fraction is None else (place + fraction) / count, note)

    return tell


async def recognize_text(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Recognise the text of images one after the other, as lines with boxes."""
    await context.sending()
    lines = []
    load_seconds = 0.0
    peak = 0
    script = ReadText.parameters_of(job.step).script
    hints = {"script": script} if script else {}
    hints |= {"language": job.language} if job.language else {}
    for number, picture in enumerate(job.pictures):
        reading = await dependencies.runtimes.recognize_text(job.endpoint, picture.data, **hints)
        lines.append(reading.lines)
        load_seconds += reading.load_seconds
        peak = max(peak, reading.peak_memory)
        context.report_load_seconds(load_seconds)
        context.progress((number + 1) / len(job.pictures), "")
    return CallResult(lines=tuple(lines), peak_memory=peak)


async def run_plugin(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Transcribe or read with a plugin's runtime."""
    return await (transcribe if job.sound is not None else recognize_text)(job, dependencies, context)


async def embed_sentences(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Embed a text, and its labels if there are any."""
    await context.sending()
    embedded = await dependencies.runtimes.embed(job.endpoint, job.text)
    context.report_load_seconds(embedded.load_seconds)
    tokens, peak = embedded.tokens, embedded.peak_memory
    vectors = [embedded.vector]
    for number, label in enumerate(job.labels):
        found = await dependencies.runtimes.embed(job.endpoint, label)
        vectors.append(found.vector)
        tokens, peak = tokens + found.tokens, max(peak, found.peak_memory)
        context.progress((number + 1) / len(job.labels), "")
    return CallResult(
        vector=embedded.vector,
        vectors=tuple(vectors) if job.labels else (),
        usage=WireUsage(input_tokens=tokens, output_tokens=0),
        peak_memory=peak,
    )


async def embed_contrastive(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Embed images and texts in one vector space."""
    await context.sending()
    pictures = [picture.data for picture in job.pictures] + [
        media.data for media in job.beside if isinstance(media, WireImage)
    ]
    texts = job.labels or ((job.text,) if job.text else ())
    if job.step.op == "embed" and len(pictures) + len(texts) > 1:
        raise errors.UsageError(
            "a vector is of one image or of one text, and there are several", where=job.endpoint.id,
            todo="ask for each of them by itself",
        )  # fmt: skip
    found = []
    for number, data in enumerate(pictures):
        found.append(await dependencies.runtimes.embed_image(job.endpoint, data))
        context.progress((number + 1) / (len(pictures) + bool(texts)), "")
    if texts:
        found.append(await dependencies.runtimes.embed_texts_contrastive(job.endpoint, texts))
    context.report_load_seconds(sum(each.load_seconds for each in found))
    first = found[0]
    vectors = tuple(vector for each in found for vector in each.vectors)
    return CallResult(
        vector=vectors[0],
        vectors=vectors,
        contrastive=ContrastiveScale(
            loss=first.loss,
            scale=first.scale,
            bias=first.bias,
            assumed=first.assumed_scale,
            cut=found[-1].cut if texts else 0,
        ),
        usage=WireUsage(
            input_tokens=sum(each.tokens for each in found),
            output_tokens=0,
            input_by_modality=(("image", sum(each.tokens for each in found[: len(pictures)])),),
        ),
        peak_memory=max(each.peak_memory for each in found),
    )


async def run_head(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Score labels by an encoder's head, words for a mask, or sentences by entailment."""
    await context.sending()
    if job.endpoint.model.entails:
        found = await dependencies.runtimes.score_entailment(
            job.endpoint, job.text, job.labels, independent=job.independent
        )
    elif job.endpoint.model.fills_masks:
        found = await dependencies.runtimes.fill(job.endpoint, job.text, job.labels)
    else:
        found = await dependencies.runtimes.classify(job.endpoint, job.text)
    context.report_load_seconds(found.load_seconds)
    scores = tuple(zip(found.labels, found.scores, strict=True))
    return CallResult(
        head_scores=HeadScores(scores=scores, windows=found.windows, cut=bool(found.cut)),
        usage=WireUsage(input_tokens=found.tokens, output_tokens=0),
        peak_memory=found.peak_memory,
    )


_TYPES = {"": "image/png", "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


async def generate_images(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Generate images from a prompt, and optionally from an image with its mask."""
    call = job.drawing
    assert call is not None
    assert call.size is not None, "the plan of a model that draws here has a size"

    def report_preview(sketch: ImagePreview) -> None:
        context.report_preview(Drawn(data=sketch.png), sketch.step, sketch.steps)

    await context.sending()
    settings = {
        "prompt": call.prompt, "negative": call.negative, "size": list(call.size), "count": call.count,
        "steps": call.steps, "guidance": call.guidance, "seed": call.seed, "sampler": call.sampler,
        "strength": call.strength, "form": call.format or "png",
    }  # fmt: skip
    picture = call.images[0].data if call.images else b""
    result = await dependencies.runtimes.draw(
        job.endpoint, settings, picture, call.mask, progress=context.progress, sketched=report_preview
    )
    context.report_load_seconds(result.load_seconds)
    images = tuple(Drawn(data=data, media_type=_TYPES[call.format]) for data in result.pictures)
    return CallResult(images=images, seed=result.seed if call.seed is None else None, peak_memory=result.peak_memory)


async def speak(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Speak lines with the voice, which is a separate program."""
    await context.sending()
    result = await dependencies.runtimes.speak(job.endpoint, job.lines, progress=context.progress)
    context.report_load_seconds(result.load_seconds)
    return CallResult(pcm=result.pcm, rate=result.rate, silent=result.silent, peak_memory=result.peak_memory)
