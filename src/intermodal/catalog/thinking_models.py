"""Which models reason before they answer, at which effort by default, and for how many tokens.

Rows are data (``data/thinking.toml``). The token counts are wide assumptions: no vendor publishes them per question.
Measurements of real runs replace them (``store``: ``reasoning_tokens``).
"""

from __future__ import annotations

import tomllib
from functools import cache, lru_cache

import msgspec

from intermodal.catalog.name_patterns import DATA, Patterns, compile_rows
from intermodal.catalog.types import EFFORTS, DefaultEffort, Effort, Evidence, Model, ThinkingProfile
from intermodal.core.content import Value

_Tokens = tuple[float, float, float]


class ThinkingRow(Value, forbid_unknown_fields=True):
    """How models whose id matches reason.

    ``thinks``: False if they never reason. ``tokens``: by effort, if they differ from the common ones.
    """

    match: str
    unasked: DefaultEffort = "none"
    thinks: bool = True
    always: bool = False
    tokens: dict[str, _Tokens] = msgspec.field(default_factory=dict[str, _Tokens])
    source: str = ""
    checked: str = ""


class ThinkingFile(Value, forbid_unknown_fields=True):
    """``data/thinking.toml``.

    ``tokens``: by effort, for models without their own; ``basis``: source of these numbers.
    """

    basis: str
    tokens: dict[str, _Tokens]
    models: tuple[ThinkingRow, ...]


@cache
def thinking_file() -> ThinkingFile:
    text = (DATA / "thinking.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), ThinkingFile)


@cache
def _rows() -> Patterns[ThinkingProfile | None]:
    file = thinking_file()
    return tuple(
        (pattern, _profile_of_row(row, file) if row.thinks else None) for pattern, row in compile_rows(file.models)
    )


def _profile_of_row(row: ThinkingRow, file: ThinkingFile) -> ThinkingProfile:
    evidence = Evidence(level="declared", source=row.source, checked=row.checked)
    return _thinking(row.unasked, {**file.tokens, **row.tokens}, file.basis, evidence, always=row.always)


def _thinking(
    unasked: DefaultEffort, tokens: dict[str, _Tokens], basis: str, evidence: Evidence, *, always: bool = False
) -> ThinkingProfile:
    tokens_by_effort: tuple[tuple[Effort, _Tokens], ...] = tuple(
        (effort, tokens[effort]) for effort in EFFORTS if effort in tokens
    )
    return ThinkingProfile(
        unasked=unasked, always=always, by=tokens_by_effort, unsaid=tokens["unsaid"], basis=basis, evidence=evidence
    )


@lru_cache(2_048)
def thinking_of(model: str, can_reason: bool = False) -> ThinkingProfile | None:
    """Return how a model reasons; None if no source states that it does.

    ``can_reason``: a source states that it can.
    """
    for pattern, found in _rows():
        if pattern.search(model):
            return found
    return _unstated_profile() if can_reason else None


def with_thinking(model: Model, can_reason: bool = False) -> Model:
    """Set the model's thinking profile to that of ``thinking_of``."""
    return msgspec.structs.replace(model, thinking=thinking_of(model.id, can_reason))


@cache
def _unstated_profile() -> ThinkingProfile:
    """Return the profile of a model that can reason, if no source states whether it does so by default."""
    file = thinking_file()
    evidence = Evidence(level="declared", source="a source of the catalog says that it can, and not whether unasked")
    return _thinking("unsaid", file.tokens, file.basis, evidence)
