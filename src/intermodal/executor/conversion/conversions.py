"""Products of conversions, from a call's result or from the cache, with their cache keys; channels and barcodes."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from intermodal import errors
from intermodal.catalog.types import Catalog
from intermodal.core.content import ReadLine, Transcript, Value
from intermodal.events import Derived
from intermodal.executor.attempt.step_caller import FinishedCall
from intermodal.executor.concurrency import combine_actuals, run_all, split_estimate
from intermodal.executor.dependencies import CodeLike, MediaWorkerLike, Progress
from intermodal.executor.drivers.interface import CallJob, CallResult
from intermodal.executor.preparation.model_inputs import AudioInput, ImageInput, StepProduct, TextInput, TextSource
from intermodal.executor.preparation.prompt import NOTHING_HEARD, NOTHING_READ, NOTHING_SEEN, is_empty, label
from intermodal.files.file_bytes import Data
from intermodal.local.embedded.ocr_layout import UnreadShare, in_reading_order, lines_to_text, unread_share
from intermodal.local.embedded.versions import converter_version
from intermodal.media.media_limits import WORD_OF_PAGE, line_of
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.plan import PartRef, StepRef
from intermodal.plans.step import (
    Call,
    Check,
    DescribeImages,
    ExtractSubtitles,
    ParameterPairs,
    ReadText,
    Step,
    TranscribeSpeech,
    Transform,
)
from intermodal.store.conversion_cache import CachedConversion, ContentOrigin, conversion_key

CACHED_OPS = ("transcribe", "read", "describe")  # worth caching; a transform is repeated in milliseconds


def product_of_transcript(step: Call, facts: PartFacts, transcript: Transcript) -> StepProduct:
    """Return the product of a transcript.

    Silence is stated explicitly, so that a model does not take a missing block for a missing file.
    """
    what = label("Transcript", facts.name)
    words: tuple[TextInput, ...] = (
        TextInput(text=transcript.text or NOTHING_HEARD, label=what, source=_text_source(facts, "said")),
    )
    timed = TranscribeSpeech.parameters_of(step).timed
    if (facts.kind == "video" or timed) and transcript.text:
        words = tuple(
            TextInput(
                text=segment.text.strip(), label=what, source="said", at=segment.start, until=segment.end,
                speaker=segment.speaker, line=0.0 if timed else line_of(facts.seconds.mid),
            )
            for segment in transcript.segments
        )  # fmt: skip
    derived = Derived(step=step.id, name=facts.name, op=step.op, text=transcript.text, transcript=transcript)
    return StepProduct(part=facts.index, pieces=words, derived=(derived,), transcript=transcript)


class ImageOrigin(Value, frozen=True):
    """Where an image is from: a page (0 for none), or a moment of a video in seconds (-1 for none)."""

    page: int = 0
    seconds: float = -1.0


def image_origins(pictures: tuple[ImageInput, ...]) -> tuple[ImageOrigin, ...]:
    return tuple(ImageOrigin(page=picture.page, seconds=picture.at) for picture in pictures)


def product_of_lines(
    step: Call, facts: PartFacts, places: tuple[ImageOrigin, ...], lines: tuple[tuple[ReadLine, ...], ...]
) -> StepProduct:
    """Return the product of recognised text, one block per image.

    Figures cut out of text pages only contribute what the page's text lacks.
    """
    cut_out = ReadText.parameters_of(step).cut_out_figures
    if cut_out:
        both = [
            (place, some)
            for place, some in zip(places, lines, strict=True)
            if _adds_to_page_text(facts, place.page, some)
        ]
        places, lines = tuple(place for place, _ in both), tuple(some for _, some in both)
    texts = [lines_to_text(of_page) for of_page in lines]
    block_texts = [_with_unread_remark(text, of_page) for text, of_page in zip(texts, lines, strict=True)]
    what = "Text in an image read" if cut_out else "Text read"
    pieces = _blocks(facts, what, "on screen", places, block_texts, [unread_share(of_page) for of_page in lines])
    every_line = tuple(line for of_page in lines for line in of_page)
    derived = Derived(step=step.id, name=facts.name, op=step.op, text="\n\f\n".join(texts), lines=every_line)
    return StepProduct(part=facts.index, pieces=pieces, derived=(derived,), lines=lines)


def _with_unread_remark(text: str, lines: tuple[ReadLine, ...]) -> str:
    """Return the text with a remark on unread lines, so that a model does not take missing text for absent text."""
    missing = sum(line.unread for line in lines)
    if not missing:
        return text or NOTHING_READ
    remark = f"({missing} of {len(lines)} lines {'is' if missing == 1 else 'are'} in a script that could not be read)"
    return f"{text}\n{remark}" if text else remark


def _adds_to_page_text(facts: PartFacts, number: int, lines: tuple[ReadLine, ...]) -> bool:
    """Return True if at least a tenth of an image's words, or an unread line, is not in its page's text."""
    page_words = next((set(page.words) for page in facts.pages if page.number == number), set())
    read = [word for line in lines for word in WORD_OF_PAGE.findall(line.text.lower())]
    return any(line.unread for line in lines) or sum(word not in page_words for word in read) > 0.1 * len(read)


def product_of_descriptions(
    step: Call, facts: PartFacts, places: tuple[ImageOrigin, ...], texts: tuple[str, ...]
) -> StepProduct:
    """Return the product of image descriptions."""
    block_texts = [text.strip() or NOTHING_SEEN for text in texts]
    pieces = _blocks(facts, "What is seen", "seen", places, block_texts, [""] * len(block_texts))
    derived = Derived(step=step.id, name=facts.name, op=step.op, text="\n\f\n".join(texts))
    return StepProduct(part=facts.index, pieces=pieces, derived=(derived,))


def _blocks(
    facts: PartFacts, what: str, source: TextSource, places: tuple[ImageOrigin, ...], texts: list[str], missing:
    list[UnreadShare]
) -> tuple[TextInput, ...]:  # fmt: skip
    single = len(facts.pages) <= 1 and len(places) <= 1
    return tuple(
        TextInput(
            text=text,
            label=label(what, facts.name, 0 if single else place.page),
            page=place.page,
            source=source if place.seconds >= 0 else "",
            at=place.seconds,
            unread=unread,
        )
        for place, text, unread in zip(places, texts, missing, strict=True)
    )


def _text_source(facts: PartFacts, source: TextSource) -> TextSource:
    return source if facts.kind == "video" else ""


def product_of_result(
    step: Call, facts: PartFacts, pictures: tuple[ImageInput, ...], result: CallResult
) -> StepProduct:
    """Return the product of a finished call."""
    if result.transcript is not None:
        return product_of_transcript(step, facts, result.transcript)
    return product_of_lines(step, facts, image_origins(pictures), result.lines)


# ---- the cache ------------------------------------------------------------------------------------


def _no_sum(name: str) -> str:
    return ""


class Converters(Value, frozen=True):
    """The converters of a run with their settings, for the cache keys.

    Attributes:
        language: the stated language of speech. question: the question that descriptions answer.
        readers: version of the text recognition on this machine. sums: returns the checksum of weights by name.
    """

    catalog: Catalog
    language: str = ""
    question: str = ""
    readers: str = ""
    sums: Callable[[str], str] = _no_sum

    def identity_of(self, step: Transform | Call) -> str:
        """Return the identity of a step's converter: endpoint, weights, version, and its hints."""
        if isinstance(step, Transform):
            return "media"
        endpoint = self.catalog.by_id.get(step.endpoint)
        weights = endpoint.weights if endpoint is not None else ""
        parts = [step.endpoint, weights, self.sums(weights) if weights else ""]
        if endpoint is not None:
            parts.append(converter_version(endpoint.host.protocol))
        if step.op == "transcribe":
            parts.append(language_of(step, self.language))
        elif step.op == "read":
            parts += [self.readers, converter_version("codes"), self.language]
        elif step.op == "describe":
            question = self.question if includes_question(step) else ""
            parts += [converter_version("describe"), hashlib.sha256(question.encode()).hexdigest()]
        return " ".join(parts)


def cache_keys(steps: tuple[Step, ...], facts: Facts, makers: Converters) -> dict[str, str]:
    """Return the cache key of each conversion, from the original bytes through all steps.

    A description's key includes its question. The output format does not matter, nor does a selection of pages: later
    steps name the pages they take.
    """
    keys: dict[str, str] = {}
    origins: dict[str, ContentOrigin] = {str(PartRef(part.index)): _origin(part) for part in facts.parts}
    for step in steps:
        if isinstance(step, Check):
            continue
        input_origins = tuple(origins[reference] for reference in step.inputs)
        keys[step.id] = conversion_key(input_origins, step.op, _cached_parameters(step), makers.identity_of(step))
        origins[str(StepRef(step.id))] = (
            input_origins[0] if step.op == "select" else ContentOrigin(digest=keys[step.id])
        )
    return keys


def _cached_parameters(step: Transform | Call) -> ParameterPairs:
    """Return the parameters that are part of a conversion's key.

    The output format and segment times do not change the words, and the language is part of ``Converters.identity_of``
    already.
    """
    if step.op == "transcribe":
        return replace(TranscribeSpeech.parameters_of(step), format="", language="", timed=False).pairs()
    if step.op == "subtitles":
        return replace(ExtractSubtitles.parameters_of(step), timed=False).pairs()
    return step.params


def _origin(part: PartFacts) -> ContentOrigin:
    shape = (part.width, part.height, part.frames, part.seconds.mid, part.sample_rate, part.channels, len(part.pages))
    return ContentOrigin(digest=part.digest, shape=tuple(map(float, shape)), opener=converter_version(part.kind))


def includes_question(step: Transform | Call) -> bool:
    """Return True if the plan sends the question with a description request; a private question is not sent
    elsewhere.
    """
    return step.op == "describe" and bool(DescribeImages.parameters_of(step).question_digest)


def image_cache_key(step: Call, picture: ImageInput, makers: Converters) -> str:
    """Return the cache key of the description of one image, wherever the image is from."""
    origin = ContentOrigin(
        digest=hashlib.sha256(picture.data).hexdigest(), shape=(float(picture.width), float(picture.height))
    )
    return conversion_key((origin,), step.op, _cached_parameters(step), makers.identity_of(step))


def language_of(step: Call, language: str) -> str:
    """Return the language given to a step.

    A transcriber gets the language of the plan, where "" lets it detect the language (as a repetition after a wrong
    language must). A reader gets the language of the policy (``language``).
    """
    return TranscribeSpeech.parameters_of(step).language if step.op == "transcribe" else language


def product_from_cache(step: Call, facts: PartFacts, value: CachedConversion) -> StepProduct | None:
    """Return the product of a cached value; None for a value of another shape.

    The value may have been made for the same bytes under another name; the product has the current names.
    """
    if step.op == "transcribe" and value.transcript is not None:
        return product_of_transcript(step, facts, value.transcript)
    if not value.pages or len(value.times) not in (0, len(value.pages)):
        return None
    times = value.times or (-1.0,) * len(value.pages)
    places = tuple(ImageOrigin(page=page, seconds=at) for page, at in zip(value.pages, times, strict=True))
    if step.op == "read" and len(places) == len(value.lines):
        return product_of_lines(step, facts, places, value.lines)
    if step.op == "describe" and len(places) == len(value.texts):
        return product_of_descriptions(step, facts, places, value.texts)
    return None


def is_cacheable(product: StepProduct) -> bool:
    """Return True if repeating the conversion would give the same: not for stopped output or unread lines."""
    return not product.looped and not any(line.unread for lines in product.lines for line in lines)


def cache_value(product: StepProduct, maker: str = "") -> CachedConversion:
    """Return the part of a product that is cached."""
    derived = next(iter(product.derived), None)
    name, op = (derived.name, derived.op) if derived is not None else ("", "")
    if product.transcript is not None:
        return CachedConversion(transcript=product.transcript, name=name, op=op, maker=maker)
    words = [piece for piece in product.pieces if isinstance(piece, TextInput)]
    pages = tuple(piece.page for piece in words)
    times = tuple(piece.at for piece in words) if any(piece.at >= 0 for piece in words) else ()
    texts = () if product.lines else tuple("" if is_empty(piece) else piece.text for piece in words)
    return CachedConversion(pages=pages, lines=product.lines, texts=texts, times=times, name=name, op=op, maker=maker)


PRINT_CONFIDENCE: Final = (
    0.9  # confidence from which on a line on a code is print, as a name in its middle is, and no pattern
)


async def decode_codes(pictures: Sequence[ImageInput], media: MediaWorkerLike, name: str) -> list[tuple[CodeLike, ...]]:
    """Decode QR codes and barcodes on each image; none on an image that cannot be decoded."""
    found: list[tuple[CodeLike, ...]] = []
    for picture in pictures:
        try:
            found.append(await media.codes(picture.data, name=name))
        except errors.InputError:
            found.append(())
    return found


def merge_codes(lines: Sequence[ReadLine], codes: Sequence[CodeLike]) -> tuple[ReadLine, ...]:
    """Return lines in reading order with the text of codes in place, without lines misread from the codes' patterns."""
    if not codes:
        return tuple(lines)
    print_ = [
        line
        for line in lines
        if line.confidence >= PRINT_CONFIDENCE or not any(_is_within_code(line, code) for code in codes)
    ]
    code_lines = [ReadLine(text=_code_text(code), confidence=1.0, box=code.box) for code in codes]
    if not all(any(line.box) for line in print_):
        return (*print_, *code_lines)  # from a reader that reports no line positions
    return in_reading_order((*print_, *code_lines))


def _is_within_code(line: ReadLine, code: CodeLike) -> bool:
    left, top, right, bottom = line.box
    x0, y0, x1, y1 = code.box
    return x0 <= (left + right) / 2 <= x1 and y0 <= (top + bottom) / 2 <= y1


def _code_text(code: CodeLike) -> str:
    return f"{code.kind}: {code.text}" if code.text else f"({code.kind} that could not be read)"


SPEAKERS = ("speaker 1", "speaker 2")  # the left channel, the right one


async def decode_channels(
    media: MediaWorkerLike, data: Data, name: str, progress: Progress | None = None
) -> AudioInput:
    """Decode both channels of a recording or of a video's sound."""
    first, second = await media.channel_pcm(data, name=name, progress=progress)
    return AudioInput(seconds=first.seconds, pcm=first.samples, beside=second.samples, name=name)


def merge_channels(left: Transcript, right: Transcript) -> Transcript:
    """Merge the transcripts of two channels by time; each segment names its speaker."""
    both = (left, right)
    segments = [
        replace(each, speaker=speaker)
        for transcript, speaker in zip(both, SPEAKERS, strict=True)
        for each in transcript.segments
    ]
    longer = max(both, key=lambda transcript: len(transcript.text))
    with_words = [transcript for transcript in both if transcript.text]
    return Transcript(
        language=longer.language,
        confidence=longer.confidence,
        certainty=min((transcript.certainty for transcript in with_words), default=0.0),
        seconds=max(left.seconds, right.seconds),
        segments=tuple(sorted(segments, key=lambda segment: segment.start)),
        unheard=max(transcript.unheard for transcript in with_words or both),
        masked=max(transcript.masked for transcript in with_words or both),
        into=longer.into,
    )


async def transcribe_channels(
    job: CallJob, sounds: tuple[AudioInput, ...], call: Callable[[CallJob], Awaitable[FinishedCall]]
) -> FinishedCall:
    """Transcribe both channels with an endpoint that takes one recording per call; concurrently on a remote host."""
    found: dict[int, FinishedCall] = {}
    share = replace(job, step=split_estimate(job.step, len(sounds)))

    async def hear(place: int) -> None:
        found[place] = await call(replace(share, sound=sounds[place]))

    at_once = 1 if job.endpoint.host.zone in LOCAL_ZONES else len(sounds)
    await run_all([partial(hear, place) for place in range(len(sounds))], at_once)
    dones = [found[place] for place in range(len(sounds))]
    left, right = (finished_call.result.transcript or Transcript() for finished_call in dones)
    return FinishedCall(
        result=CallResult(transcript=merge_channels(left, right)),
        actual=combine_actuals(job.step, [done.actual for done in dones]),
    )
