"""Models that fit a machine, ranked: ``fit --all`` and ``models --fits``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from intermodal.local_models.ranking import RankedModel, Work
    from intermodal.plans.machine import Machine

ROWS = 25


def rank(machine: Machine, *, ctx: str, work: Work, as_json: bool, slots: int = 1, kv: str = "f16") -> None:
    """Print what fits, strongest first."""
    from intermodal.cli.pull import weights_store
    from intermodal.local_models.fit import parse_cache_types, parse_contexts
    from intermodal.local_models.ranking import RankingQuery, rank_models

    type_k, type_v = parse_cache_types(kv)
    context = max(parse_contexts(ctx)) if ctx else 0
    wanted = RankingQuery(context=context, slots=slots, type_k=type_k, type_v=type_v, work=work)
    found = rank_models(machine, weights_store(), os.environ, wanted)
    if as_json:
        from intermodal.cli.rendering.json_document import print_document
        from intermodal.local_models.fit_document import ranked

        print_document("fit", ranked(found))
    else:
        _table(machine, found)


def named(words: str) -> Machine:
    """The machine of ``--fits``: a size of memory, or a card."""
    from intermodal.errors import UsageError
    from intermodal.sizing.machine_options import machine_of_options, parse_memory

    try:
        parse_memory(words)
    except UsageError:
        return machine_of_options((words,))
    return machine_of_options((), words)


def _table(machine: Machine, found: tuple[RankedModel, ...]) -> None:
    from intermodal.cli.rendering.tables import echo_table
    from intermodal.local_models.fit_text import gib
    from intermodal.local_models.text_bars import rate
    from intermodal.sizing.machine_options import describe_machine

    fitting = [each for each in found if each.verdict in ("fits", "tight")]
    click.echo(describe_machine(machine))
    unsure = sum(each.verdict == "unknown" for each in found)
    if not fitting:
        click.echo(
            f"none of {len(found):,} models is known to fit" if unsure else f"none of {len(found):,} models fits"
        )
        return
    rows = [
        (each.name, each.store or each.where, each.tier or "-",
         gib(each.check.needed) + (" ~" if each.verdict == "tight" else ""),
         f"{rate(each.decode.low)}..{rate(each.decode.high)}" if each.decode.known else "unknown", each.todo)
        for each in fitting[:ROWS]
    ]  # fmt: skip
    echo_table(("model", "where", "tier", "GiB", "tokens/s", "to do"), rows)
    more = f"{len(fitting) - ROWS:,} more fit; " if len(fitting) > ROWS else ""
    assumed = (
        "only files on disk are sized by their headers, of others four bits are assumed; within a tier the larger "
        "come first, as nothing that was measured is known of all of them"
    )
    open_ = f"of {unsure:,} no header says what texts so long take; " if unsure else ""
    click.echo(f"\n{more}{len(found) - len(fitting) - unsure:,} do not fit; {open_}{assumed}", err=True)
