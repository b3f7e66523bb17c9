"""What a plan is shown by: its EXPLAIN text and its picture.

Both read plans, so a plan does not import them: the package registers them here, and they load when they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

RENDERERS: dict[Literal["text", "svg"], Callable[..., str]] = {}
