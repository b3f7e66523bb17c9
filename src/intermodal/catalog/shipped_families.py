"""The shipped rows of ``data/counting``: how families of models count what they are given."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from intermodal.catalog.host_rows import decode_row
from intermodal.catalog.token_rules import ModelFamilies, ModelFamily
from intermodal.catalog.types import Endpoint
from intermodal.catalog.vocabularies import EXACT_VOCABULARIES, OPEN_WEIGHTS, vocabulary_of
from intermodal.errors import ConfigError

DATA = Path(__file__).parent / "data" / "counting"


@cache
def shipped_families(root: Path = DATA) -> ModelFamilies:
    """Every family of every file.

    Raises:
        ConfigError: a file or a row cannot be used; the message names it.
    """
    found: list[ModelFamily] = []
    for path in sorted(root.glob("*.toml")):
        where = f"catalog/counting/{path.name}"
        try:
            table = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"is not TOML: {error}", where=where, todo="correct that line") from None
        for index, row in enumerate(table.get("families", ())):
            for name in ("text_source", "text_checked", "tools_source", "tools_checked"):
                row.setdefault(name, table.get(name, ""))
            made = decode_row(row, ModelFamily, where=where, place=f"families[{index}]")
            if not made.names or not made.rules:
                raise ConfigError(f"families[{index}] has no names or no rules", where=where, todo="write both")
            found.append(made)
    return ModelFamilies(rows=tuple(found))


def with_token_rules(endpoint: Endpoint) -> Endpoint:
    """The endpoint, whose model counts text and what it draws as its family does today, where no row of its own says
    how. What it takes is counted by the rules of a plan's day: ``families_of``."""
    model = endpoint.model
    text, drawn = _today(model.id)
    changes: dict[str, str] = {}
    unknown = "" if endpoint.host.zone == "internet" else OPEN_WEIGHTS
    vocabulary = model.vocabulary or vocabulary_of(model.id) or unknown
    if vocabulary != model.vocabulary:
        changes["vocabulary"] = vocabulary
    if not text and not endpoint.host.counts_text and vocabulary in EXACT_VOCABULARIES:
        text = vocabulary
    if text and not model.tokenizer:
        changes["tokenizer"] = text
    if drawn and not model.drawn and "image" in model.output:
        changes["drawn"] = drawn
    if not changes:
        return endpoint
    return msgspec.structs.replace(endpoint, model=msgspec.structs.replace(model, **changes))


def families_of(endpoints: Iterable[Endpoint]) -> tuple[ModelFamily, ...]:
    """The families that some endpoints belong to, in the order of the files: what a plan needs to count by."""
    wanted = {id(row) for endpoint in endpoints if (row := _row(endpoint.model.id)) is not None}
    return tuple(row for row in shipped_families().rows if id(row) in wanted)


@lru_cache(maxsize=8_192)
def _row(model: str) -> ModelFamily | None:
    found = shipped_families().of(model)
    return found[1] if found is not None else None


@lru_cache(maxsize=8_192)
def _today(model: str) -> tuple[str, str]:
    known = shipped_families()
    return known.newest(model, "text"), known.newest(model, "drawn")
