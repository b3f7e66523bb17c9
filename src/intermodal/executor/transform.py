"""Deterministic, weightless conversions, done in the media worker: pages to text, pages to pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from intermodal.events import Derived
from intermodal.executor.assemble import label
from intermodal.executor.pieces import Pixels, Product, Words
from intermodal.executor.world import Media, OpenedLike
from intermodal.plans.facts import PartFacts
from intermodal.plans.step import Transform

DEFAULT_DPI = 150


async def transform(step: Transform, opened: OpenedLike, media: Media) -> Product:
    """Run one transform. Raises InputError when the file cannot be taken apart."""
    return await _OPS[step.op](step, opened, media)


async def _extract(step: Transform, opened: OpenedLike, media: Media) -> Product:
    facts: PartFacts = opened.facts.parts[step.part]
    pages = pages_of(step.params, facts)
    texts = await media.page_text(opened.data(step.part), pages)
    single = len(facts.pages) == 1
    pieces = tuple(
        Words(text=text, label=label("Text", facts.name, 0 if single else page), page=page)
        for page, text in zip(pages, texts, strict=True)
    )
    whole = "\n\f\n".join(texts)  # pages apart by a form feed, as text files of pages have them
    return Product(
        part=step.part,
        pieces=pieces,
        derived=(Derived(step=step.id, name=facts.name, op=step.op, text=whole),),
    )


async def _render(step: Transform, opened: OpenedLike, media: Media) -> Product:
    facts: PartFacts = opened.facts.parts[step.part]
    pages = pages_of(step.params, facts)
    dpi = int(float(dict(step.params).get("dpi", DEFAULT_DPI)))
    pictures = await media.page_pictures(opened.data(step.part), pages, dpi)
    pieces = tuple(
        Pixels(data=picture.data, media_type=picture.media_type, width=picture.width, height=picture.height, page=page)
        for page, picture in zip(pages, pictures, strict=True)
    )
    return Product(part=step.part, pieces=pieces)


async def _select(step: Transform, opened: OpenedLike, media: Media) -> Product:
    """Which pages are used is written into the steps that use them; this one says it to people."""
    return Product(part=step.part)


_OPS: Mapping[str, Callable[[Transform, OpenedLike, Media], Awaitable[Product]]] = {
    "extract": _extract,
    "render": _render,
    "select": _select,
}


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
