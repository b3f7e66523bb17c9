"""``intermodal serve --check``: report what would be served, to whom and within which limits, and every problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from intermodal.errors import UsageError

if TYPE_CHECKING:
    from intermodal.gateway.config_check import ConfigFinding, ServedName
    from intermodal.gateway.quotas.sqlite_store import SqliteQuotaStore
    from intermodal.gateway.server import Gateway

FAILED = 2  # the exit code: the config, or what it needs, is not as it should be


async def check(gateway: Gateway, books: SqliteQuotaStore, workers: int, as_json: bool) -> int:
    """Say everything. Returns the exit code. Raises UsageError, without ``as_json``, where it could not serve so."""
    import time

    from intermodal.gateway import config_check
    from intermodal.gateway.endpoints.monitoring import readiness
    from intermodal.plans.numbers import counted

    context = gateway.context
    ready, now = await readiness(context), time.time()
    client, known = context.client, books.every_key()
    await client.known.look()  # an alias may name a model of a server of this machine
    found = await config_check.check_prompt_folder(context)
    files = config_check.check_prompt_files(context)
    named, wrong_names = await config_check.check_names(context)
    found += [
        *wrong_names,
        *config_check.check_address(client.config, gateway.host, gateway.port),
        *config_check.check_host_keys(client),
        *config_check.check_shadowing_aliases(client),
        *config_check.check_rate_limits(client),
        *config_check.check_virtual_keys(client, known),
    ]
    active = [key for key in known if key.revoked is None and (key.expires is None or key.expires > now)]
    report = _report(gateway, ready, named, [*files, *found])
    report |= {
        "workers": workers,
        "ledger": str(books.path),
        "keys_active": len(active),
        "keys_ended": len(known) - len(active),
    }
    wrong = [finding for finding in found if finding.level == "wrong"]
    wrong_files = {finding.where.partition(":")[0] for finding in files if finding.level == "wrong"}
    good = all(ready.values()) and not wrong and not wrong_files
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("serve", report)
        return 0 if good else FAILED
    _show(report, named, [*files, *found])
    if not good:
        missing = [f"{name} not ready" for name, fine in ready.items() if not fine]
        missing += [f"{len(wrong)} wrong in the config"] if wrong else []
        missing += [counted(len(wrong_files), "wrong prompt file")] if wrong_files else []
        raise UsageError(f"it could not serve so: {', '.join(missing)}", todo="see above; intermodal doctor says more")
    return 0


def _report(
    gateway: Gateway, ready: dict[str, bool], named: list[ServedName], found: list[ConfigFinding]
) -> dict[str, Any]:
    from intermodal.gateway.endpoints.models import model_rows
    from intermodal.gateway.quotas.quota_types import ANONYMOUS

    client = gateway.client
    config, made = client.config, model_rows(client.catalog)
    endpoints = [name for row in made for name in row["endpoints"]]
    return {
        "ready": all(ready.values()), "checks": ready, "config": config.path, "host": gateway.host,
            "port": gateway.port,
        "names": list(config.serve.names), "origins": list(config.serve.origins), "keys": gateway.keyed,
        "models": [row["id"] for row in made], "endpoints": endpoints, "policies": list(config.policies),
        "prompts": [prompt.name for prompt in gateway.context.prompts.seen_by(ANONYMOUS)],
        "aliases": config.serve.aliases, "asked_for": msgspec.to_builtins(named),
        "limits": {"body_bytes": gateway.limits.body, "bodies_bytes": gateway.limits.in_flight,
                   "connections": gateway.limits.connections, "drain_seconds": config.serve.drain},
        "rates": msgspec.to_builtins(config.serve.rates), "findings": msgspec.to_builtins(found),
    }  # fmt: skip


def _show(report: dict[str, Any], named: list[ServedName], found: list[ConfigFinding]) -> None:
    from intermodal.cli.rendering.tables import count
    from intermodal.gateway.workers.sockets import format_address
    from intermodal.plans.numbers import held

    def line(head: str, text: str) -> None:
        click.echo(f"{head:<10} {text}")

    line("config", report["config"] or "none")
    many = f", {report['workers']} workers" if report["workers"] > 1 else ""
    line(
        "listens",
        f"{format_address(report['host'], report['port'])}, {'with keys' if report['keys'] else 'without keys'}{many}",
    )
    for name in ("names", "origins"):
        if report[name]:
            line(name, ", ".join(report[name]))
    ended = f", {report['keys_ended']} revoked or expired" if report["keys_ended"] else ""
    line("keys", f"{report['keys_active']} active{ended}; accounts in {report['ledger']}")
    hosts = len({name.partition(":")[0] for name in report["endpoints"]})
    where = f"at {len(report['endpoints'])} endpoints of {hosts} host{'s'[: hosts != 1]}"
    policies = ", ".join(report["policies"]) or "none"
    line("models", f"{len(report['models'])} that can be asked now, {where}; policies: {policies}")
    if report["prompts"]:
        line("prompts", ", ".join(report["prompts"]))
    for each in named:
        meant = f"{each.stands_for}: " if each.stands_for != each.name else ""
        line("asked for", f"{each.name} -> {meant}{each.answers or 'nobody'}")
    limits = report["limits"]
    line("limits", f"{held(limits['body_bytes'])} a body, {held(limits['bodies_bytes'])} of all at once, "
                   f"{limits['connections']:,} connections; {limits['drain_seconds']:g} s to end in")  # fmt: skip
    for name, rate in report["rates"].items():
        line("rate", f"{name}: {count(rate.get('rpm'))} requests, {count(rate.get('tpm'))} tokens a minute")
    for name, good in report["checks"].items():
        line(name, "ready" if good else "not ready")
    for finding in found:
        todo = f"; {finding.todo}" if finding.todo else ""
        line(finding.level, f"{finding.where}: {finding.what}{todo}")
