"""Measures the work of a conversion in the units by which its seconds and tokens are learned."""

from __future__ import annotations

from intermodal.executor.preparation.model_inputs import AudioInput, ImageInput, StepProduct
from intermodal.plans.facts import PartFacts
from intermodal.plans.step import Transform
from intermodal.quantity import Quantity
from intermodal.store.rows import Range, TransformRow


def count_letters(pictures: tuple[ImageInput, ...], facts: PartFacts) -> float:
    """Return the letters that were counted on these images when the part was probed.

    0 where one of them was not counted, or its script takes another number of tokens per letter: nothing is learned
    then.
    """
    if facts.script or any(page.script for page in facts.pages if page.number in {each.page for each in pictures}):
        return 0.0
    pages = {page.number: page.letters for page in facts.pages}
    found = 0.0
    if any(picture.cropped for picture in pictures):
        return sum(page.figure_letters.mid for page in facts.pages if page.number in {each.page for each in pictures})
    for picture in pictures:
        counted = pages.get(picture.page) if picture.page else facts.letters if facts.kind == "image" else None
        if counted is None or not counted.known:
            return 0.0
        found += counted.mid
    return found


def transform_row(
    step: Transform, facts: PartFacts, product: StepProduct, seconds: float, run: str
) -> TransformRow | None:
    """Return the row of a transform, None for one that takes no time of its own."""
    amount = _amount(step, facts, product)
    if not amount:
        return None
    expected = step.estimate.seconds
    return TransformRow(
        op=step.op, amount=round(amount, 4), seconds=seconds, run=run, step=step.id,
        expected=expected.mid if expected.known else None, expected_range=range_of(expected),
    )  # fmt: skip


def range_of(quantity: Quantity) -> Range | None:
    return Range(low=quantity.low, high=quantity.high) if quantity.known else None


def _amount(step: Transform, facts: PartFacts, product: StepProduct) -> float:
    """In the unit of the op's figure: ``store.figures.TRANSFORMS``."""
    if step.op == "extract":
        return float(len(product.pieces))
    if step.op == "render":
        return sum(piece.width * piece.height for piece in product.pieces if isinstance(piece, ImageInput)) / 1e6
    if step.op == "frames":
        return facts.seconds.mid * facts.width * facts.height / 1e6
    if step.op == "demux":
        return sum(piece.seconds for piece in product.pieces if isinstance(piece, AudioInput))
    return 0.0
