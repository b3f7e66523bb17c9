"""Output tokens of a picture that a model draws, by the named rule of its family.

``table:gpt-image-1``: by size and quality, from a table. ``each:1290``: the same for every picture.
"""

from __future__ import annotations

from intermodal.costing.vision.said import read_rule
from intermodal.quantity import Quantity, exact, unknown

QUALITIES = ("low", "medium", "high")
# (width, height) -> tokens by quality. gpt-image-1: OpenAI, "Image generation" guide, and consistent with its prices
# per picture. gpt-image-2: measurements; they follow no formula, a larger picture can take fewer.
TABLES: dict[str, dict[tuple[int, int], tuple[float | None, float | None, float | None]]] = {
    "gpt-image-1": {
        (1024, 1024): (272.0, 1056.0, 4160.0),
        (1024, 1536): (408.0, 1584.0, 6240.0),
        (1536, 1024): (400.0, 1568.0, 6208.0),
    },
    "gpt-image-2": {(1024, 1024): (None, None, 7024.0), (1536, 1024): (None, None, 5488.0)},
}


def drawn_tokens(rule: str, width: int, height: int, quality: str) -> Quantity:
    """Tokens of one picture; unknown where no table has its size and quality.

    >>> int(drawn_tokens("table:gpt-image-1", 1024, 1024, "high").mid)
    4160
    """
    name, _, rest = rule.partition(":")
    if name == "each":
        read = read_rule(rule)
        if read is not None and len(read[1].numbers) == 1:
            return exact(read[1].numbers[0], "the same for every picture")
    table = TABLES.get(rest) if name == "table" else None
    if table is None:
        return unknown("no published rule for pictures that this model makes")
    found = table.get((width, height), (None, None, None))[QUALITIES.index(quality)]
    if found is None:
        return unknown(f"no table of this model has {width}x{height} at {quality} quality")
    return exact(found, "a table by size and quality")


def is_drawn_rule(rule: str) -> bool:
    """Whether a rule string can be followed."""
    name, _, rest = rule.partition(":")
    read = read_rule(rule)
    return rest in TABLES if name == "table" else name == "each" and read is not None and len(read[1].numbers) == 1
