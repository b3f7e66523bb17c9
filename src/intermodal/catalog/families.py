"""The shipped rows of ``data/counting``: how families of models count what they are given."""

from __future__ import annotations

import tomllib
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from intermodal.catalog.counting import Families, FamilyRow
from intermodal.catalog.nouns import Endpoint
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


def with_rules(endpoint: Endpoint) -> Endpoint:
    """The endpoint, whose model counts pictures, text and what it draws as its family does today, where no row of its
    own says how."""
    model = endpoint.model
    image, text, drawn = _today(model.id)
    changes: dict[str, str] = {}
    if image and not model.image_tokens and "image" in endpoint.input:
        changes["image_tokens"] = image
    if text and not model.tokenizer:
        changes["tokenizer"] = text
    if drawn and not model.drawn and "image" in model.output:
        changes["drawn"] = drawn
    if not changes:
        return endpoint
    return msgspec.structs.replace(endpoint, model=msgspec.structs.replace(model, **changes))


@lru_cache(maxsize=8_192)
def _today(model: str) -> tuple[str, str, str]:
    known = families()
    return known.newest(model, "image"), known.newest(model, "text"), known.newest(model, "drawn")
