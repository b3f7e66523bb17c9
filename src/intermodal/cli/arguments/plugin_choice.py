"""The type of an option whose values are built-in names and the names that installed plugins add."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click


class PluginChoice(click.Choice[str]):
    """Accept the built-in ``names`` and those that ``plugins`` returns, which is called only for another name."""

    def __init__(self, names: Sequence[str], plugins: Callable[[], Iterable[str]]) -> None:
        super().__init__(names)
        self._plugins = plugins

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in self.choices:
            return str(value)
        return click.Choice((*self.choices, *self._plugins())).convert(value, param, ctx)
