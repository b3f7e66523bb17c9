"""Conversions without a model, done in the media worker: text and images of pages, frames, sound and subtitles of
videos."""

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
from intermodal.plans.step import Transform, TransformOp, has_separate_channels
from intermodal.protocols.calls import Detail

DEFAULT_DPI = 150
DETAILS: Mapping[str, Detail] = {"low": "low", "high": "high", "original": "original"}
DEFAULT_FRAMES = 12  # where a step does not say how many


async def run_transform(
    step: Transform, opened: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    """Run one transform. ``progress`` gets the fraction done. Raises InputError when the file cannot be taken apart."""
    return await _OPS[step.op](step, opened, media, progress)


async def _extract(step: Transform, opened: OpenedMediaLike, media: MediaWorkerLike, progress: Progress) -> StepProduct:
    facts: PartFacts = opened.facts.parts[step.part]
    pages = pages_of(step.params, facts)
    texts = await media.page_text(opened.data(step.part), pages, name=facts.name, progress=progress)
    single = len(facts.pages) == 1
    pieces = tuple(
        TextInput(text=text, label=label("Text", facts.name, 0 if single else page), page=page)
        for page, text in zip(pages, texts, strict=True)
    )
    whole = "\n\f\n".join(texts)  # pages apart by a form feed, as text files of pages have them
    return StepProduct(
        part=step.part,
        pieces=pieces,
        derived=(Derived(step=step.id, name=facts.name, op=step.op, text=whole),),
    )


async def _render(step: Transform, opened: OpenedMediaLike, media: MediaWorkerLike, progress: Progress) -> StepProduct:
    facts: PartFacts = opened.facts.parts[step.part]
    pages = pages_of(step.params, facts)
    params = dict(step.params)
    dpi = int(float(params.get("dpi", DEFAULT_DPI)))
    cut_out = "figures" in params
    crops: tuple[Box, ...] = ()
    if cut_out:
        boxes = [(page.number, box) for page in facts.pages if page.number in pages for box in page.figures]
        pages, crops = tuple(page for page, _ in boxes), tuple(box for _, box in boxes)
    pictures = await media.page_pictures(
        opened.data(step.part), pages, dpi, name=facts.name, progress=progress, crops=crops
    )
    pieces = tuple(
        ImageInput(
            data=picture.data, media_type=picture.media_type, width=picture.width, height=picture.height, page=page,
            cropped=cut_out,
        )
        for page, picture in zip(pages, pictures, strict=True)
    )  # fmt: skip
    return StepProduct(part=step.part, pieces=pieces)


async def _frames(step: Transform, opened: OpenedMediaLike, media: MediaWorkerLike, progress: Progress) -> StepProduct:
    facts: PartFacts = opened.facts.parts[step.part]
    params = dict(step.params)
    side = params.get("max_side", "")
    frames = await media.frames(
        opened.data(step.part),
        spread=frame_spread(step.params),
        most=int(params.get("most", DEFAULT_FRAMES)),
        max_side=int(side) if side else None,
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


async def _demux(step: Transform, opened: OpenedMediaLike, media: MediaWorkerLike, progress: Progress) -> StepProduct:
    facts: PartFacts = opened.facts.parts[step.part]
    if has_separate_channels(step):
        return StepProduct(
            part=step.part, pieces=(await decode_channels(media, opened.data(step.part), facts.name, progress),)
        )
    pcm = await media.pcm(opened.data(step.part), name=facts.name, progress=progress)
    return StepProduct(part=step.part, pieces=(AudioInput(seconds=pcm.seconds, pcm=pcm.samples, name=facts.name),))


async def _subtitles(
    step: Transform, opened: OpenedMediaLike, media: MediaWorkerLike, progress: Progress
) -> StepProduct:
    """What a film's subtitles say, each line at its time: exact, and heard by nobody."""
    facts: PartFacts = opened.facts.parts[step.part]
    params = dict(step.params)
    lines = await media.subtitles(opened.data(step.part), int(params["track"]), name=facts.name)
    what = label("Subtitles", facts.name)
    length = 0.0 if params.get("times") == "each" else line_of(facts.seconds.mid)
    pieces = tuple(
        TextInput(text=line.text, label=what, source="subtitle", at=line.at, until=line.until, line=length)
        for line in lines
    )
    derived = Derived(step=step.id, name=facts.name, op=step.op, text="\n".join(line.text for line in lines))
    nothing = (TextInput(text=NOTHING_FOUND["subtitle"], label=what, source="subtitle"),)
    return StepProduct(part=step.part, pieces=pieces or nothing, derived=(derived,))


async def _resize(step: Transform, opened: OpenedMediaLike, media: MediaWorkerLike, progress: Progress) -> StepProduct:
    facts: PartFacts = opened.facts.parts[step.part]
    params = dict(step.params)
    made = await media.picture(opened.data(step.part), max_side=int(params["max_side"]), name=facts.name)
    detail = DETAILS.get(params.get("detail", ""), "auto")
    picture = ImageInput(
        data=made.data, media_type=made.media_type, width=made.width, height=made.height, detail=detail
    )
    return StepProduct(part=step.part, pieces=(picture,))


async def _select(step: Transform, opened: OpenedMediaLike, media: MediaWorkerLike, progress: Progress) -> StepProduct:
    """Which pages are used is written into the steps that use them; this one says it to people."""
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
}


def frame_spread(params: tuple[tuple[str, str], ...]) -> str:
    """How the frames of a step are spread over the video, in the media worker's words.

    >>> frame_spread((("frames", "scenes"), ("most", "12"))), frame_spread((("fps", "0.5"),))
    ('scenes', '0.5 fps')
    """
    named = dict(params)
    return f"{named['fps']} fps" if "fps" in named else named.get("frames", "scenes")


def pages_of(params: tuple[tuple[str, str], ...], facts: PartFacts) -> tuple[int, ...]:
    """Page numbers of a step ("1,3-5"); every page where it names none.

    >>> pages_of((("pages", "1,3-5"),), PartFacts(index=0, name="a.pdf", kind="document"))
    (1, 3, 4, 5)
    """
    written = dict(params).get("pages", "")
    if not written:
        return tuple(page.number for page in facts.pages)
    numbers: list[int] = []
    for stretch in written.split(","):
        first, _, last = stretch.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return tuple(numbers)
