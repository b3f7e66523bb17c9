"""Pixtral and Mistral Small.

Source: mistral-common 1.13, ``tokens/tokenizers/image.py``.
"""

from __future__ import annotations

from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, exact


def mistral_grid(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """``(columns + 1) * rows`` of merged patches: each row ends with a break token, the last with an end token.

    Numbers: patch, merge, longest side.

    >>> int(mistral_grid(1024, 1024, "auto", RuleArguments((16, 1, 1024))).mid), int(
    ...     mistral_grid(1540, 1540, "auto", RuleArguments((14, 2, 1540))).mid)
    (4160, 3080)
    """
    patch, merge, longest = arguments.numbers
    ratio = max(height / longest, width / longest)
    if ratio > 1:
        width, height = max(1, round(width / ratio)), max(1, round(height / ratio))
    unit = patch * merge
    columns, rows = int((width - 1) // unit) + 1, int((height - 1) // unit) + 1
    return exact(float((columns + 1) * rows), "Mistral's patch rule")
