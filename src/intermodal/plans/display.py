"""The renderers of a plan: EXPLAIN text and SVG.

Renderers import plans, so a plan cannot import them. ``plans/__init__.py`` registers them here; their modules load on
the first call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

RENDERERS: dict[Literal["text", "svg"], Callable[..., str]] = {}
