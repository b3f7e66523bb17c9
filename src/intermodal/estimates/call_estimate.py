"""Estimate of one call with files, as Python programs ask for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from intermodal.catalog.load import load_catalog, load_snapshot
from intermodal.catalog.shipped_rows import shipped_families
from intermodal.config import Config, snapshot_file
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import UsageError
from intermodal.estimates.estimate import CountText, Estimate, counted, estimate, rules_of
from intermodal.estimates.model_lookup import PricedModel, find_model
from intermodal.hints import setting
from intermodal.today import today

if TYPE_CHECKING:
    from intermodal.request_builder import FileLike


class EstimateOptions(NamedTuple):
    """A call to be estimated besides what goes in; each as in :meth:`AsyncClient.estimate`."""

    model: str
    out_tokens: int | None = None
    day: str = ""
    batch: bool = False
    cached: int = 0


async def estimate_of(
    prompt: str, files: tuple[FileLike, ...], wanted: EstimateOptions, config: Config, env: Mapping[str, str]
) -> Estimate:
    """Tokens and money of one call with these words and files."""
    out_tokens = wanted.out_tokens
    _check(wanted)
    if not isinstance(prompt, str):
        raise UsageError(f"the first argument is {type(prompt).__name__}, not a question", todo='write "" for none')
    if not prompt.strip() and not files:
        raise UsageError("nothing to count", todo="give a prompt, a file, or both")
    when = parse_day(wanted.day)
    subject = find_priced_model(wanted.model, config, env)
    rules = rules_of(subject, shipped_families(), when)
    vocabulary = rules.rules.get("text", "")
    by = token_counter(vocabulary, env)
    pieces = [counted(CountablePart(kind="text", name="prompt"), prompt, vocabulary, by)] if prompt.strip() else []
    if files:
        from intermodal.estimates.file_pieces import open_files, piece

        there = await open_files(files)
        for part in there.facts.parts:
            made = piece(part)
            pieces.append(counted(made, there.text(part.index), vocabulary, by) if part.kind == "text" else made)
    if out_tokens is not None:
        pieces.append(CountablePart(kind="output", name=f"output {out_tokens:,}", tokens=out_tokens))
    return estimate(subject, rules, tuple(pieces), date=when, batch=wanted.batch, cached=wanted.cached)


def _check(wanted: EstimateOptions) -> None:
    for name, said in (("model", wanted.model), ("day", wanted.day)):
        if not isinstance(said, str):
            raise UsageError(f"{name}={said!r} is not text", todo='write model="gpt-4o", day="2026-11-25"')
    counts: tuple[tuple[str, object], ...] = (("out_tokens", wanted.out_tokens or 0), ("cached", wanted.cached))
    for name, count in counts:
        if not isinstance(count, int) or count < 0:
            raise UsageError(f"{name}={count!r} is not a number of tokens", todo="give 0 or more")


def parse_day(text: str) -> str:
    """A day as ISO has it, today for "". Raises UsageError for what is none."""
    if not text:
        return today()
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError(f"{text!r} is not a day", where=setting("date"), todo="write 2026-11-25") from None


def find_priced_model(name: str, config: Config, env: Mapping[str, str]) -> PricedModel:
    """The model that a name stands for: of the user's own, the shipped and the published ones. Raises UnknownModel."""
    if config.hosts:
        from intermodal.request_builder import checked_config

        config = checked_config(config)
    catalog = load_catalog(user=config.hosts, installed={}, weights=frozenset())
    return find_model(catalog, load_snapshot(snapshot_file(env)), shipped_families(), name)


def token_counter(vocabulary: str, env: Mapping[str, str]) -> CountText:
    """Who counts with a vocabulary: one that a package carries, or one inside weights that are here."""
    from intermodal.local.tokenizers import byte_pair
    from intermodal.local.tokenizers.token_counter import SOURCES, TokenCounter

    if vocabulary not in SOURCES and (vocabulary in byte_pair.ENCODINGS or not vocabulary):
        return byte_pair.count
    from intermodal.local.weights.store import weights_store

    return TokenCounter(weights_store(env)).count
