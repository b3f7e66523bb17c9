"""Conversions on the way to the last call: taken from the cache, or made by a transform or a call."""

from __future__ import annotations

from intermodal.catalog.nouns import Catalog
from intermodal.content import ReadLine, Transcript
from intermodal.events import Derived
from intermodal.executor.assemble import NOTHING_HEARD, NOTHING_READ, label
from intermodal.executor.job import Made
from intermodal.executor.pieces import Pixels, Product, Words
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.step import Call, Check, Step, Transform
from intermodal.store.derived import Kept, Origin, key_of

CACHED_OPS = ("transcribe", "read")  # worth keeping; a transform is made again in milliseconds


def from_transcript(step: Call, facts: PartFacts, transcript: Transcript) -> Product:
    """What an ear made. Silence is said, so that a model does not take a missing block for a missing file."""
    words = Words(text=transcript.text or NOTHING_HEARD, label=label("Transcript", facts.name))
    derived = Derived(step=step.id, name=facts.name, op=step.op, text=transcript.text, transcript=transcript)
    return Product(part=facts.index, pieces=(words,), derived=(derived,), transcript=transcript)


def from_lines(
    step: Call, facts: PartFacts, pages: tuple[int, ...], lines: tuple[tuple[ReadLine, ...], ...]
) -> Product:
    """What an eye read, one block a picture. ``pages`` has 0 for a picture that is no page."""
    texts = ["\n".join(line.text for line in of_page) for of_page in lines]
    single = len(facts.pages) <= 1
    pieces = tuple(
        Words(text=text or NOTHING_READ, label=label("Text read", facts.name, 0 if single else page), page=page)
        for page, text in zip(pages, texts, strict=True)
    )
    every_line = tuple(line for of_page in lines for line in of_page)
    derived = Derived(step=step.id, name=facts.name, op=step.op, text="\n\f\n".join(texts), lines=every_line)
    return Product(part=facts.index, pieces=pieces, derived=(derived,), lines=lines)


def from_made(step: Call, facts: PartFacts, pictures: tuple[Pixels, ...], made: Made) -> Product:
    """A finished call's product."""
    if made.transcript is not None:
        return from_transcript(step, facts, made.transcript)
    return from_lines(step, facts, tuple(picture.page for picture in pictures), made.lines)


# ---- the cache ------------------------------------------------------------------------------------


def keys_of(steps: tuple[Step, ...], facts: Facts, catalog: Catalog, language: str) -> dict[str, str]:
    """The cache key of every conversion, from the bytes it starts with through all it went through.

    How an answer is printed is no part of it, nor is a selection of pages: the steps behind it name
    the pages they take.
    """
    keys: dict[str, str] = {}
    origins: dict[str, Origin] = {f"part:{part.index}": _origin(part) for part in facts.parts}
    for step in steps:
        if isinstance(step, Check):
            continue
        given = tuple(origins[reference] for reference in step.inputs)
        params = tuple(pair for pair in step.params if pair[0] not in _MEANINGLESS)
        keys[step.id] = key_of(given, step.op, params, _maker(step, catalog, language))
        origins[f"step:{step.id}"] = given[0] if step.op == "select" else Origin(digest=keys[step.id])
    return keys


_MEANINGLESS = ("format", "language")  # parameters that change no words, and one that ``_maker`` names already


def _origin(part: PartFacts) -> Origin:
    shape = (part.width, part.height, part.frames, part.seconds.mid, part.sample_rate, part.channels, len(part.pages))
    return Origin(digest=part.digest, shape=tuple(map(float, shape)))


def _maker(step: Transform | Call, catalog: Catalog, language: str) -> str:
    if isinstance(step, Transform):
        return "media"
    endpoint = catalog.by_id.get(step.endpoint)
    weights = endpoint.weights if endpoint is not None else ""
    return " ".join((step.endpoint, weights, language_of(step, language) if step.op == "transcribe" else ""))


def language_of(step: Call, language: str) -> str:
    """What an ear is told the speech is in: by the plan, else by the policy; "" lets it find out."""
    return dict(step.params).get("language", language)


def kept(step: Call, facts: PartFacts, value: Kept) -> Product | None:
    """The product of a cached value, None for one of another shape.

    The value may have been made for the same bytes under another name: names are those of now.
    """
    if step.op == "transcribe" and value.transcript is not None:
        return from_transcript(step, facts, value.transcript)
    if step.op == "read" and len(value.pages) == len(value.lines) > 0:
        return from_lines(step, facts, value.pages, value.lines)
    return None


def to_keep(product: Product) -> Kept:
    """What the cache keeps of a product."""
    pages = tuple(piece.page for piece in product.pieces if isinstance(piece, Words))
    return Kept(transcript=product.transcript, pages=pages, lines=product.lines)
