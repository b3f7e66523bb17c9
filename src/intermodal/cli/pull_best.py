"""``intermodal pull --best`` and ``init``: the strongest that fits, with what it takes and why."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from intermodal.local.weights.store import WeightsStore
    from intermodal.local_models.recommendation import ModelProposal, Recommendation, Work


def propose_model(store: WeightsStore, work: Work, given: dict[str, Any]) -> str | None:
    """Say which, and why; the name of what is to be fetched, None where nothing is: it is here, or nobody agreed.

    Raises DoesNotFit where none fits.
    """
    from intermodal.errors import DoesNotFit
    from intermodal.local_models.fit import this_machine
    from intermodal.local_models.recommendation import recommend

    found = recommend(this_machine(os.environ), store, work)
    quiet = given["quiet"] or given["as_json"]
    if found.chosen is None:
        # fit --all ranks what answers in words: models that hear or make vectors alone are in the list
        listed = f"fit --all --for {work}" if work in ("chat", "sight") else "pull --list"
        raise DoesNotFit(found.why, where=f"pull --best --for {work}", todo=f"see: intermodal {listed}")
    if not quiet:
        for line in lines(found):
            click.echo(line, err=True)
    if found.chosen.here and not quiet:
        click.echo(f"{found.chosen.name}: here already", err=True)
    fetched = not found.chosen.here and not given["dry_run"] and (given["yes"] or _agreed(found.chosen, quiet=quiet))
    if fetched:
        return found.chosen.name
    if given["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("pull", {"proposed": document(found)})
    elif not (found.chosen.here or quiet):
        click.echo(f"to fetch it: {store.row(found.chosen.name).pull}", err=True)
    return None


def lines(found: Recommendation) -> list[str]:
    """The proposal in words: size, memory, seconds, tier, and why."""
    from intermodal.cli.rendering.tables import held, size

    chosen = found.chosen
    if chosen is None:
        return [f"for {found.work}: {found.why}"]
    need = chosen.check.needed
    memory = f"{held(need.mid)} of memory (up to {held(need.high)} of {held(chosen.check.room)} free)"
    seconds = "how long it takes is not known"
    if chosen.seconds.known and chosen.seconds.high:
        seconds = f"{_round(chosen.seconds.low)} to {_round(chosen.seconds.high)} s for {chosen.what}"
    fetched = f"{size(chosen.size)} to fetch" if chosen.size else "the hub says how large it is"
    return [
        f"for {found.work}: {chosen.name}, {chosen.title.partition(': ')[2] or chosen.title}",
        f"  {'here already' if chosen.here else fetched}, {memory}, {seconds}",
        f"  {found.why}",
    ]


def document(found: Recommendation) -> dict[str, Any]:
    """The proposal with all that was held beside it."""
    return {"for": found.work, "why": found.why, "chosen": _plain(found.chosen) if found.chosen is not None else None,
            "known": [_plain(each) for each in found.known]}  # fmt: skip


def _plain(each: ModelProposal) -> dict[str, Any]:
    from intermodal.local_models.fit_document import plain_amount

    return {
        "name": each.name, "title": each.title, "tier": each.tier or None, "parameters": each.parameters or None,
        "size": each.size or None, "verdict": each.verdict, "memory": plain_amount(each.check.needed),
        "room": each.check.room, "seconds": plain_amount(each.seconds), "seconds_for": each.what,
        "decode": plain_amount(each.decode), "here": each.here,
    }  # fmt: skip


def _agreed(chosen: ModelProposal, *, quiet: bool) -> bool:
    if quiet or not sys.stdin.isatty():
        return False
    return click.confirm(f"Fetch {chosen.name}?", default=True, err=True)


def _round(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}"
