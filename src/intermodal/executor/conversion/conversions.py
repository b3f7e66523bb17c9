"""Conversions on the way to the last call: taken from the cache, or made by a transform or a call."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from intermodal.catalog.types import Catalog
from intermodal.content import ReadLine, Transcript, Value
from intermodal.events import Derived
from intermodal.executor.drivers.interface import CallResult
from intermodal.executor.preparation.model_inputs import ImageInput, StepProduct, TextInput, TextSource
from intermodal.executor.preparation.prompt import NOTHING_HEARD, NOTHING_READ, NOTHING_SEEN, is_empty, label
from intermodal.local.embedded.ocr_layout import UnreadShare, lines_to_text, unread_share
from intermodal.local.embedded.versions import converter_version
from intermodal.media.media_limits import WORD_OF_PAGE, line_of
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.step import Call, Check, Step, Transform
from intermodal.store.conversion_cache import CachedConversion, ContentOrigin, conversion_key

CACHED_OPS = ("transcribe", "read", "describe")  # worth keeping; a transform is made again in milliseconds


def product_of_transcript(step: Call, facts: PartFacts, transcript: Transcript) -> StepProduct:
    """What an ear made. Silence is said, so that a model does not take a missing block for a missing file."""
    what = label("Transcript", facts.name)
    words: tuple[TextInput, ...] = (
        TextInput(text=transcript.text or NOTHING_HEARD, label=what, source=_how(facts, "said")),
    )
    timed = dict(step.params).get("times") == "each"
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
    """Where a picture is from: a page, or a moment of a video in seconds; 0 and -1 for neither."""

    page: int = 0
    at: float = -1.0


def image_origins(pictures: tuple[ImageInput, ...]) -> tuple[ImageOrigin, ...]:
    return tuple(ImageOrigin(page=picture.page, at=picture.at) for picture in pictures)


def product_of_lines(
    step: Call, facts: PartFacts, places: tuple[ImageOrigin, ...], lines: tuple[tuple[ReadLine, ...], ...]
) -> StepProduct:
    """What an eye read, one block a picture. Of pictures on pages of text, what the text lacks."""
    cut_out = "figures" in dict(step.params)
    if cut_out:
        both = [(place, some) for place, some in zip(places, lines, strict=True) if _adds(facts, place.page, some)]
        places, lines = tuple(place for place, _ in both), tuple(some for _, some in both)
    texts = [lines_to_text(of_page) for of_page in lines]
    told = [_told(text, of_page) for text, of_page in zip(texts, lines, strict=True)]
    what = "Text in a picture read" if cut_out else "Text read"
    pieces = _blocks(facts, what, "on screen", places, told, [unread_share(of_page) for of_page in lines])
    every_line = tuple(line for of_page in lines for line in of_page)
    derived = Derived(step=step.id, name=facts.name, op=step.op, text="\n\f\n".join(texts), lines=every_line)
    return StepProduct(part=facts.index, pieces=pieces, derived=(derived,), lines=lines)


def _told(text: str, lines: tuple[ReadLine, ...]) -> str:
    """What was read, and what was not, so that a model does not take what is missing for what is not there."""
    missing = sum(line.unread for line in lines)
    if not missing:
        return text or NOTHING_READ
    said = f"({missing} of {len(lines)} lines {'is' if missing == 1 else 'are'} in a script that could not be read)"
    return f"{text}\n{said}" if text else said


def _adds(facts: PartFacts, number: int, lines: tuple[ReadLine, ...]) -> bool:
    """Whether a picture on a page says something that the page's text does not: a tenth of its words at least."""
    known = next((set(page.words) for page in facts.pages if page.number == number), set())
    read = [word for line in lines for word in WORD_OF_PAGE.findall(line.text.lower())]
    return any(line.unread for line in lines) or sum(word not in known for word in read) > 0.1 * len(read)


def product_of_descriptions(
    step: Call, facts: PartFacts, places: tuple[ImageOrigin, ...], texts: tuple[str, ...]
) -> StepProduct:
    """What an eye saw in each picture, in its words."""
    told = [text.strip() or NOTHING_SEEN for text in texts]
    pieces = _blocks(facts, "What is seen", "seen", places, told, [""] * len(told))
    derived = Derived(step=step.id, name=facts.name, op=step.op, text="\n\f\n".join(texts))
    return StepProduct(part=facts.index, pieces=pieces, derived=(derived,))


def _blocks(
    facts: PartFacts, what: str, how: TextSource, places: tuple[ImageOrigin, ...], texts: list[str], missing:
    list[UnreadShare]
) -> tuple[TextInput, ...]:  # fmt: skip
    single = len(facts.pages) <= 1 and len(places) <= 1
    return tuple(
        TextInput(
            text=text,
            label=label(what, facts.name, 0 if single else place.page),
            page=place.page,
            source=how if place.at >= 0 else "",
            at=place.at,
            unread=gone,
        )
        for place, text, gone in zip(places, texts, missing, strict=True)
    )


def _how(facts: PartFacts, how: TextSource) -> TextSource:
    return how if facts.kind == "video" else ""


def product_of_result(step: Call, facts: PartFacts, pictures: tuple[ImageInput, ...], made: CallResult) -> StepProduct:
    """A finished call's product."""
    if made.transcript is not None:
        return product_of_transcript(step, facts, made.transcript)
    return product_of_lines(step, facts, image_origins(pictures), made.lines)


# ---- the cache ------------------------------------------------------------------------------------


def _no_sum(name: str) -> str:
    return ""


class Converters(Value, frozen=True):
    """Who converts in a run, and what they are told.

    Attributes:
        language: what ears are told the speech is in. question: what eyes are told to look for.
        readers: what reads pictures here (``local/embedded/ocr_scripts.py``). sums: the checksum of weights by their
            name.
    """

    catalog: Catalog
    language: str = ""
    question: str = ""
    readers: str = ""
    sums: Callable[[str], str] = _no_sum

    def of(self, step: Transform | Call) -> str:
        """Who makes what this step does, in which version, and what it is told besides."""
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
            asked = self.question if includes_question(step) else ""
            parts += [converter_version("describe"), hashlib.sha256(asked.encode()).hexdigest()]
        return " ".join(parts)


def cache_keys(steps: tuple[Step, ...], facts: Facts, makers: Converters) -> dict[str, str]:
    """The cache key of every conversion, from the bytes it starts with through all it went through.

    A question is a part of what was described for it, and of nothing else. How an answer is printed is no part of it,
    nor is a selection of pages: the steps behind it name the pages they take.
    """
    keys: dict[str, str] = {}
    origins: dict[str, ContentOrigin] = {f"part:{part.index}": _origin(part) for part in facts.parts}
    for step in steps:
        if isinstance(step, Check):
            continue
        given = tuple(origins[reference] for reference in step.inputs)
        params = tuple(pair for pair in step.params if pair[0] not in _UNCACHED_PARAMS)
        keys[step.id] = conversion_key(given, step.op, params, makers.of(step))
        origins[f"step:{step.id}"] = given[0] if step.op == "select" else ContentOrigin(digest=keys[step.id])
    return keys


# Parameters that change no words, and one that ``Converters`` names already.
_UNCACHED_PARAMS = ("format", "language", "times")


def _origin(part: PartFacts) -> ContentOrigin:
    shape = (part.width, part.height, part.frames, part.seconds.mid, part.sample_rate, part.channels, len(part.pages))
    return ContentOrigin(digest=part.digest, shape=tuple(map(float, shape)), opener=converter_version(part.kind))


def includes_question(step: Transform | Call) -> bool:
    """Whether the plan has the question go along with what is described: not elsewhere where it is private."""
    return "question" in dict(step.params)


def image_cache_key(step: Call, picture: ImageInput, makers: Converters) -> str:
    """The cache key of what is seen in one picture, wherever it is from."""
    origin = ContentOrigin(
        digest=hashlib.sha256(picture.data).hexdigest(), shape=(float(picture.width), float(picture.height))
    )
    params = tuple(pair for pair in step.params if pair[0] not in _UNCACHED_PARAMS)
    return conversion_key((origin,), step.op, params, makers.of(step))


def language_of(step: Call, language: str) -> str:
    """The language a step is told: an ear what the plan says, where "" lets it find out, as one that follows an ear
    which was told the wrong one must; a reader that of the policy (``language``)."""
    return dict(step.params).get("language", "") if step.op == "transcribe" else language


def product_from_cache(step: Call, facts: PartFacts, value: CachedConversion) -> StepProduct | None:
    """The product of a cached value, None for one of another shape.

    The value may have been made for the same bytes under another name: names are those of now.
    """
    if step.op == "transcribe" and value.transcript is not None:
        return product_of_transcript(step, facts, value.transcript)
    if not value.pages or len(value.times) not in (0, len(value.pages)):
        return None
    times = value.times or (-1.0,) * len(value.pages)
    places = tuple(ImageOrigin(page=page, at=at) for page, at in zip(value.pages, times, strict=True))
    if step.op == "read" and len(places) == len(value.lines):
        return product_of_lines(step, facts, places, value.lines)
    if step.op == "describe" and len(places) == len(value.texts):
        return product_of_descriptions(step, facts, places, value.texts)
    return None


def is_cacheable(product: StepProduct) -> bool:
    """Whether the same would come of it tomorrow: not of what was stopped, nor of lines that wait for a reader."""
    return not product.looped and not any(line.unread for lines in product.lines for line in lines)


def cache_value(product: StepProduct, maker: str = "") -> CachedConversion:
    """What the cache keeps of a product, and of what and by whom it was made."""
    made = next(iter(product.derived), None)
    name, op = (made.name, made.op) if made is not None else ("", "")
    if product.transcript is not None:
        return CachedConversion(transcript=product.transcript, name=name, op=op, maker=maker)
    words = [piece for piece in product.pieces if isinstance(piece, TextInput)]
    pages = tuple(piece.page for piece in words)
    times = tuple(piece.at for piece in words) if any(piece.at >= 0 for piece in words) else ()
    texts = () if product.lines else tuple("" if is_empty(piece) else piece.text for piece in words)
    return CachedConversion(pages=pages, lines=product.lines, texts=texts, times=times, name=name, op=op, maker=maker)
