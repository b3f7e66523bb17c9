"""Output tokens of a generated picture, by the named rule of its family.

``table:gpt-image-1``: by size and quality, from a table; ``table:A:B`` where two published tables differ.
``each:1290``: the same for every picture. ``pixels:6000000:1120:24000000:2000``: so many tokens up to so many pixels.
"""

from __future__ import annotations

from intermodal.cost_model.rule_syntax import parse_rule
from intermodal.quantity import Quantity, between, exact, unknown

QUALITIES = ("low", "medium", "high")
# (width, height) -> tokens by quality. gpt-image-1: OpenAI, "Image generation" guide, and consistent with its prices
# per picture. gpt-image-2: measurements; they follow no formula, a larger picture can take fewer.
TABLES: dict[str, dict[tuple[int, int], tuple[float | None, float | None, float | None]]] = {
    "gpt-image-1": {
        (1024, 1024): (272.0, 1056.0, 4160.0),
        (1024, 1536): (408.0, 1584.0, 6240.0),
        (1536, 1024): (400.0, 1568.0, 6208.0),
    },
    # Its prices per picture ($0.005, $0.011, $0.036) at $8 a million: more tokens than the guide's table has.
    "gpt-image-1-mini": {
        (1024, 1024): (625.0, 1375.0, 4500.0),
        (1024, 1536): (750.0, 1875.0, 6500.0),
        (1536, 1024): (750.0, 1875.0, 6500.0),
    },
    "gpt-image-2": {(1024, 1024): (None, None, 7024.0), (1536, 1024): (None, None, 5488.0)},
}


def generated_image_tokens(rule: str, width: int, height: int, quality: str) -> Quantity:
    """Return the tokens of one picture; unknown where no table has its size and quality.

    >>> int(generated_image_tokens("table:gpt-image-1", 1024, 1024, "high").mid)
    4160
    """
    name, _, rest = rule.partition(":")
    if name == "each":
        read = parse_rule(rule)
        if read is not None and len(read[1].numbers) == 1:
            return exact(read[1].numbers[0], "the same for every picture")
    if name == "pixels" and is_generated_image_rule(rule):
        return _by_pixels(rule, width, height)
    tables = [TABLES[each] for each in rest.split(":")] if name == "table" and is_generated_image_rule(rule) else []
    if not tables:
        return unknown("no published rule for pictures that this model makes")
    found = [table.get((width, height), (None, None, None))[QUALITIES.index(quality)] for table in tables]
    known = [tokens for tokens in found if tokens is not None]
    if len(known) < len(tables):
        return unknown(f"no table of this model has {width}x{height} at {quality} quality")
    if len(known) == 1:
        return exact(known[0], "a table by size and quality")
    return between(min(known), known[0], max(known), "two tables by size and quality, which differ")


def _by_pixels(rule: str, width: int, height: int) -> Quantity:
    read = parse_rule(rule)
    numbers = read[1].numbers if read is not None else ()
    for most, tokens in zip(numbers[::2], numbers[1::2], strict=True):
        if width * height <= most:
            return exact(tokens, "by its size")
    return unknown(f"no picture of this model is as large as {width}x{height}")


def is_generated_image_rule(rule: str) -> bool:
    """Return whether a rule string is known."""
    name, _, rest = rule.partition(":")
    read = parse_rule(rule)
    if name == "table":
        return all(each in TABLES for each in rest.split(":"))
    numbers = read[1].numbers if read is not None else ()
    return len(numbers) == 1 if name == "each" else name == "pixels" and len(numbers) > 0 and len(numbers) % 2 == 0
