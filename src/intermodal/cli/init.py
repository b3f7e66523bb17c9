"""``intermodal init``: guided setup of the config file, of consent, keys and weights."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from intermodal.catalog.host_rows import HostRow
    from intermodal.config.config_file import Config
    from intermodal.model_fit.recommendation import Work

EPILOG = """\b
Examples
  intermodal init
  intermodal init --yes
  intermodal init --consent openai --no-pull
"""


@click.command(epilog=EPILOG)
@click.option("--consent", "consents", multiple=True, metavar="HOST", help="Allow this hosted service; repeatable.")
@click.option(
    "--pull/--no-pull", "fetch", default=None, help="Fetch the weights of the embedded models.  [default: ask]"
)
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: no consent beyond --consent, no pull beyond --pull.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def init(consents: tuple[str, ...], fetch: bool | None, yes: bool, as_json: bool) -> None:
    """Set up intermodal, guided: the config file, hosts, keys, consent, weights.

    Keys stay where they are; the config file holds none. Without a terminal, no question is asked.
    """
    from intermodal.config import config_file

    asks = sys.stdin.isatty() and not yes and not as_json
    path = config_file.create(os.environ)
    before = config_file.load_config(os.environ)
    _check(consents, before)
    allowed = [name for name in consents if name not in before.consent]
    if asks:
        allowed += [row.id for row in _hosts_with_keys(before, consents) if _ask_consent(row)]
    for name in allowed:
        config_file.consent(os.environ, name)
    pulled = _weights(fetch, asks=asks, quiet=as_json)
    proposed = [] if fetch is False else _propose_models(asks=asks, quiet=as_json, pulled=pulled)
    after = config_file.load_config(os.environ)
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("init", {"config": str(path), "consent": list(after.consent), "pulled": pulled,
                                "proposed": proposed})  # fmt: skip
        return
    click.echo(f"config: {path}", err=True)
    click.echo(f"allowed hosts: {', '.join(after.consent) or 'none; everything stays on this machine'}", err=True)
    waiting = [row for row in _hosts_with_keys(after, ()) if not asks]
    for row in waiting:
        click.echo(f"a key for {row.id} is in {row.key_env}; to allow it: intermodal hosts add {row.id}", err=True)
    click.echo('next: intermodal doctor, or: intermodal ask "What is said?" FILE', err=True)


def _check(names: tuple[str, ...], config: Config) -> None:
    from intermodal.client.request_builder import checked_hosts

    checked_hosts(names, config, where="--consent")


def _hosts_with_keys(config: Config, already: tuple[str, ...]) -> list[HostRow]:
    """Return the hosts for which there is a key and that are not allowed yet."""
    from intermodal.catalog.shipped_rows import known_hosts

    return [
        row
        for row in known_hosts()
        if row.key_env and os.environ.get(row.key_env, "").strip() and row.id not in (*config.consent, *already)
    ]


def _ask_consent(row: HostRow) -> bool:
    from intermodal.cli.hosts import confirm_consent

    click.echo(f"\nA key for {row.name} is in {row.key_env}.", err=True)
    return confirm_consent(row, yes=False)


def _weights(fetch: bool | None, *, asks: bool, quiet: bool) -> list[str]:
    """Pull the missing default weights if the user wants them, and return the names of the pulled ones."""
    from intermodal.cli.pull import DEFAULTS, weights_store
    from intermodal.cli.pull import fetch as pull_all
    from intermodal.cli.rendering.tables import size

    store = weights_store()
    missing = [row for row in store.rows() if row.name in DEFAULTS and row.name not in store.complete_names()]
    if not missing or fetch is False or (fetch is None and not asks):
        return []
    total = size(sum(row.size for row in missing))
    names = [row.name for row in missing]
    if fetch is None and not click.confirm(f"\nFetch {', '.join(names)} ({total})?", default=True, err=True):
        return []
    pull_all(store, names, quiet=quiet)
    return names


def _propose_models(*, asks: bool, quiet: bool, pulled: list[str]) -> list[dict[str, Any]]:
    """Propose the strongest models that fit this machine, and fetch those that the user wants.

    Returns the proposals.
    """
    from intermodal.cli.pull import PullOptions, document, fetch_models, of_hub, proposal_lines, weights_store
    from intermodal.model_fit.fit import this_machine
    from intermodal.model_fit.recommendation import recommend

    machine = this_machine(os.environ)
    store = weights_store()
    proposed = []
    works: tuple[Work, ...] = ("chat", "sight", "speech")
    for work in works:
        found = recommend(machine, store, work)
        if found.chosen is None or found.chosen.is_pulled or found.chosen.name in pulled:
            continue
        proposed.append(document(found))
        if quiet:
            continue
        click.echo("\n" + "\n".join(proposal_lines(found)), err=True)
        name = found.chosen.name
        if not asks:
            click.echo(f"  to fetch it: {store.row(name).pull}", err=True)
        elif click.confirm(f"Fetch {name}?", default=False, err=True):
            from intermodal.cli.pull import fetch as pull_all

            if of_hub(store, name):
                fetch_models(store, [name], PullOptions())
            else:
                pull_all(store, [name], quiet=False)
            pulled.append(name)
    return proposed
