"""``intermodal serve``: the gateway."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import click

EPILOG = """\b
Examples
  intermodal serve
  intermodal serve --port 8080
  intermodal serve --log-format json 2>> gateway.log
  intermodal serve --check
  curl http://127.0.0.1:8787/v1/models
"""


@click.command(epilog=EPILOG)
@click.option(
    "--host", default=None, metavar="ADDRESS", help="Where to listen; 127.0.0.1 unless said. Another needs keys."
)
@click.option("--port", type=click.IntRange(0, 65535), default=None, metavar="N", help="8787 unless said; 0: any free.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default=None, help="Lines for people, or for programs."
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default=None,
    help="The least that is logged; warning leaves out what went well.  [default: info]",
)
@click.option("--check", is_flag=True, help="Read the config, see whether it could serve, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --check: one JSON document on stdout.")
def serve(check: bool, as_json: bool, **given: Any) -> None:
    """One endpoint that speaks the APIs of OpenAI, Anthropic and Ollama, and plans every request.

    Models that lack a kind of input get it bridged; every answer says its route, its cost, what was lost and what left
    the machine. Settings are in [serve] and [policies.NAME] of intermodal.toml.
    """
    from intermodal.errors import NotInstalled

    try:
        import httptools  # noqa: F401
    except ImportError:
        raise NotInstalled("the gateway needs httptools", todo="run: pip install 'intermodal[gateway]'") from None
    asyncio.run(_run(check, as_json, {name: said for name, said in given.items() if said is not None}))


async def _run(check: bool, as_json: bool, given: dict[str, Any]) -> None:
    from msgspec.structs import replace

    from intermodal.config import data_dir
    from intermodal.gateway.lasting import LastingClient
    from intermodal.gateway.ledger.ledger import Ledger
    from intermodal.gateway.ledger.nouns import Rate
    from intermodal.gateway.ledger.sqlite import FILE, SqliteBooks
    from intermodal.gateway.logs import Log
    from intermodal.gateway.openfiles import raised
    from intermodal.gateway.serving import Gateway

    raised()
    client = LastingClient()
    settings = replace(client.config.serve, **given)
    log = Log(settings.log_format, settings.log_level)
    async with aclosing(log), client:  # the log last: what a collector did not take in the end is said
        rates = {name: Rate(rpm=rate.rpm, tpm=rate.tpm) for name, rate in settings.rates.items()}
        ledger = Ledger(SqliteBooks(data_dir(client.env) / FILE), limits=rates)
        await ledger.start()
        try:
            gateway = Gateway(
                client,
                host=settings.host,
                port=settings.port,
                drain=settings.drain,
                ledger=ledger,
                log=lambda line: log.say("error", line),
            )
            gateway.tell = log.served
            if check:
                await _check(gateway, as_json)
                return
            await gateway.start()
            whom = "with keys" if ledger.access.keyed else "for this machine alone, without keys"
            log.say("info", f"serving at {gateway.url} ({whom}); Ctrl-C ends it", always=True)
            if gateway.telemetry is not None:
                log.listen()
            for remark in client.remarks:
                log.say("warning", remark)
            await gateway.serve(signals=True)
        finally:
            await ledger.close()


async def _check(gateway: object, as_json: bool) -> None:
    from intermodal.errors import UsageError
    from intermodal.gateway.health import readiness
    from intermodal.gateway.listing import rows
    from intermodal.gateway.serving import Gateway

    assert isinstance(gateway, Gateway)
    ready = await readiness(gateway)
    names = [row["id"] for row in rows(gateway.client.catalog)]
    config = gateway.client.config
    if as_json:
        from intermodal.cli.document import print_document

        print_document("serve", {
            "ready": all(ready.values()), "checks": ready, "config": config.path, "host": gateway.host,
            "port": gateway.port, "keys": gateway.keyed, "models": names, "policies": list(config.policies),
        })  # fmt: skip
    else:
        click.echo(f"config     {config.path or 'none'}")
        click.echo(f"listens    {gateway.host}:{gateway.port}, {'with keys' if gateway.keyed else 'without keys'}")
        click.echo(f"models     {len(names)} that can be asked now; policies: {', '.join(config.policies) or 'none'}")
        for name, good in ready.items():
            click.echo(f"{name:<10} {'ready' if good else 'not ready'}")
    if not all(ready.values()):
        missing = ", ".join(name for name, good in ready.items() if not good)
        raise UsageError(f"it could not serve: {missing} not ready", todo="run: intermodal doctor")
