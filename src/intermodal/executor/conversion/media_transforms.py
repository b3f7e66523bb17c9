"""Conversions without a model, in the media worker: text and images of pages; frames, sound and subtitles of videos."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from intermodal.events import Derived
from intermodal.executor.conversion.conversions import decode_channels
from intermodal.executor.dependencies import MediaWorkerLike, OpenedMediaLike, Progress
from intermodal.executor.preparation.model_inputs import AudioInput, ImageInput, StepProduct, TextInput
from intermodal.executor.preparation.prompt import label
from intermodal.executor.preparation.video_timeline import NOTHING_FOUND
from intermodal.media.media_limits import line_of
from intermodal.plans.facts import Box, PartFacts
from intermodal.plans.file_properties import properties_text
from intermodal.plans.step import (
    ExtractSound,
    ExtractSubtitles,
    ExtractText,
    RenderPages,
    ResizeImage,
    SampleFrames,
    Transform,
    TransformOp,
)

DEFAULT_FRAMES = 12  # if a step states no number


async def run_transform(
    step: Transform, opened_media: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    """Run one transform. ``progress`` receives the completed fraction. Raises InputError if the file cannot be read."""
    return await _OPS[step.op](step, opened_media, media, progress)


async def _extract(
    step: Transform, opened_media: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    facts: PartFacts = opened_media.facts.parts[step.part]
    pages = _pages(ExtractText.parameters_of(step).pages, facts)
    texts = await media.page_text(opened_media.data(step.part), pages, name=facts.name, progress=progress)
    single = len(facts.pages) == 1
    pieces = tuple(
        TextInput(text=text, label=label("Text", facts.name, 0 if single else page), page=page)
        for page, text in zip(pages, texts, strict=True)
    )
    document_text = "\n\f\n".join(texts)  # pages are separated by a form feed, as in text files with pages
    return StepProduct(
        part=step.part,
        pieces=pieces,
        derived=(Derived(step=step.id, name=facts.name, op=step.op, text=document_text),),
    )


async def _render(
    step: Transform, opened_media: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    facts: PartFacts = opened_media.facts.parts[step.part]
    parameters = RenderPages.parameters_of(step)
    pages = _pages(parameters.pages, facts)
    crops: tuple[Box, ...] = ()
    if parameters.cut_out_figures:
        boxes = [(page.number, box) for page in facts.pages if page.number in pages for box in page.figures]
        pages, crops = tuple(page for page, _ in boxes), tuple(box for _, box in boxes)
    pictures = await media.page_images(
        opened_media.data(step.part), pages, parameters.dpi, name=facts.name, progress=progress, crops=crops
    )
    pieces = tuple(
        ImageInput(
            data=picture.data, media_type=picture.media_type, width=picture.width, height=picture.height, page=page,
            cropped=parameters.cut_out_figures,
        )
        for page, picture in zip(pages, pictures, strict=True)
    )  # fmt: skip
    return StepProduct(part=step.part, pieces=pieces)


async def _frames(
    step: Transform, opened_media: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    facts: PartFacts = opened_media.facts.parts[step.part]
    parameters = SampleFrames.parameters_of(step)
    frames = await media.frames(
        opened_media.data(step.part),
        spread=frame_spread(parameters),
        most=DEFAULT_FRAMES if parameters.most is None else parameters.most,
        max_side=parameters.max_side,
        name=facts.name,
        progress=progress,
    )
    pieces = tuple(
        ImageInput(
            data=frame.data, media_type=frame.media_type, width=frame.width, height=frame.height,
            page=frame.number, at=-1.0 if frame.number else max(0.0, frame.at),
            until=-1.0 if frame.number else frame.until,
        )
        for frame in sorted(frames, key=lambda frame: (frame.number, frame.at))
    )  # fmt: skip
    return StepProduct(part=step.part, pieces=pieces, scenes=max((frame.scenes for frame in frames), default=0))


async def _demux(
    step: Transform, opened_media: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    facts: PartFacts = opened_media.facts.parts[step.part]
    if ExtractSound.parameters_of(step).separate_channels:
        return StepProduct(
            part=step.part, pieces=(await decode_channels(media, opened_media.data(step.part), facts.name, progress),)
        )
    pcm = await media.pcm(opened_media.data(step.part), name=facts.name, progress=progress)
    return StepProduct(part=step.part, pieces=(AudioInput(seconds=pcm.seconds, pcm=pcm.samples, name=facts.name),))


async def _subtitles(
    step: Transform, opened_media: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    """Return a video's subtitles as timed text: exact, without a model."""
    facts: PartFacts = opened_media.facts.parts[step.part]
    parameters = ExtractSubtitles.parameters_of(step)
    lines = await media.subtitles(opened_media.data(step.part), parameters.track, name=facts.name)
    what = label("Subtitles", facts.name)
    length = 0.0 if parameters.timed else line_of(facts.seconds.mid)
    pieces = tuple(
        TextInput(text=line.text, label=what, source="subtitle", at=line.at, until=line.until, line=length)
        for line in lines
    )
    derived = Derived(step=step.id, name=facts.name, op=step.op, text="\n".join(line.text for line in lines))
    nothing = (TextInput(text=NOTHING_FOUND["subtitle"], label=what, source="subtitle"),)
    return StepProduct(part=step.part, pieces=pieces or nothing, derived=(derived,))


async def _resize(
    step: Transform, opened_media: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    facts: PartFacts = opened_media.facts.parts[step.part]
    parameters = ResizeImage.parameters_of(step)
    resized = await media.picture(opened_media.data(step.part), max_side=parameters.max_side, name=facts.name)
    picture = ImageInput(
        data=resized.data,
        media_type=resized.media_type,
        width=resized.width,
        height=resized.height,
        detail=parameters.detail,
    )
    return StepProduct(part=step.part, pieces=(picture,))


async def _properties(
    step: Transform, opened_media: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    """Return the properties of a file, as found by probing."""
    facts: PartFacts = opened_media.facts.parts[step.part]
    text = TextInput(text=properties_text(facts), label=label("Properties", facts.name), of_file=True)
    return StepProduct(part=step.part, pieces=(text,))


async def _select(
    step: Transform, opened_media: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    """Return an empty product: later steps name the pages they use, and this one shows the selection in the plan."""
    return StepProduct(part=step.part)


_OPS: Mapping[
    TransformOp, Callable[[Transform, OpenedMediaLike, MediaWorkerLike, Progress], Awaitable[StepProduct]]
] = {
    "extract": _extract,
    "render": _render,
    "select": _select,
    "frames": _frames,
    "demux": _demux,
    "subtitles": _subtitles,
    "resize": _resize,
    "properties": _properties,
}


def frame_spread(sampling: SampleFrames) -> str:
    """Return how frames are distributed over a video, in the media worker's terms.

    >>> frame_spread(SampleFrames(by_scene=True, most=12)), frame_spread(SampleFrames(fps=0.5))
    ('scenes', '0.5 fps')
    """
    return "scenes" if sampling.fps is None else f"{sampling.fps:g} fps"


def _pages(step_pages: tuple[int, ...] | None, facts: PartFacts) -> tuple[int, ...]:
    """Return the page numbers of a step; all pages if it states none."""
    return step_pages or tuple(page.number for page in facts.pages)
