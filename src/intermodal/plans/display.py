"""The renderers of a plan: EXPLAIN text and picture.

Renderers import plans, so a plan cannot import them. ``plans/__init__.py`` registers them here; they load when called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

RENDERERS: dict[Literal["text", "svg"], Callable[..., str]] = {}
