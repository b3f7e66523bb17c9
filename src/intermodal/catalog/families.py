"""The shipped rows of ``data/counting``: how families of models count what they are given."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from intermodal.catalog.counting import Families, FamilyRow
from intermodal.catalog.rows import decode
from intermodal.errors import ConfigError

DATA = Path(__file__).parent / "data" / "counting"


@cache
def families(root: Path = DATA) -> Families:
    """Every family of every file.

    Raises:
        ConfigError: a file or a row cannot be used; the message names it.
    """
    found: list[FamilyRow] = []
    for path in sorted(root.glob("*.toml")):
        where = f"catalog/counting/{path.name}"
        try:
            table = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"is not TOML: {error}", where=where, todo="correct that line") from None
        for index, row in enumerate(table.get("families", ())):
            row.setdefault("text_source", table.get("text_source", ""))
            made = decode(row, FamilyRow, where=where, place=f"families[{index}]")
            if not made.names or not made.rules:
                raise ConfigError(f"families[{index}] has no names or no rules", where=where, todo="write both")
            found.append(made)
    return Families(rows=tuple(found))
