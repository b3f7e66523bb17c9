"""``intermodal serve``: the gateway.

``--check`` reports what would be served, to whom and within which limits, and every problem.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click
import msgspec

from intermodal.config.tables import HOST, LISTENS, MOST_WORKERS
from intermodal.errors import UsageError

if TYPE_CHECKING:
    from intermodal.gateway.config_check import ConfigFinding, ServedName
    from intermodal.gateway.process.request_log import RequestLog
    from intermodal.gateway.quotas.sqlite_store import SqliteQuotaStore
    from intermodal.gateway.server import Gateway
    from intermodal.gateway.workers.worker import GatewayWorker

# Seconds after which a thread that computes (rows of the store, the log) yields to the thread that answers. With
# Python's default of 5 ms, one in a hundred of 32 clients waited 31 to 39 ms; with this, 20 to 25 ms at the same rate.
_TURN = 0.0002
_SETTLED = 5.0  # seconds after which everything that is loaded late is loaded
_LATER = 1.0  # seconds after the start, because starting needs the processor first
EPILOG = """\b
Examples
  intermodal serve
  intermodal serve --port 8080
  intermodal serve --workers 4
  intermodal serve --prompts prompts/
  intermodal serve --log-format json 2>> gateway.log
  intermodal serve --check
  curl http://127.0.0.1:8787/v1/models
"""


def _address(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None and re.match(HOST, value) is None:
        raise click.BadParameter(f"must be {LISTENS}", context, option)
    return value


@click.command(epilog=EPILOG)
@click.option(
    "--host",
    default=None,
    metavar="ADDRESS",
    callback=_address,
    help="Address to listen at; any but a loopback address needs keys.  [default: 127.0.0.1]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=None,
    metavar="N",
    help="Port; 0 takes a free one.  [default: 8787]",
)
@click.option(
    "--workers", type=click.IntRange(1, MOST_WORKERS), default=None, metavar="N",
    help="Worker processes, at most one per core.  [default: 1]",
)  # fmt: skip
@click.option(
    "--prompts", type=click.Path(file_okay=False), default=None, metavar="FOLDER",
    help="Prompt files that are served as models, prompt:NAME.",
)  # fmt: skip
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default=None,
    help="Log lines for people (text) or for programs (json).",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default=None,
    help="Minimum level that is logged.  [default: info]",
)
@click.option("--check", is_flag=True, help="Report what would be served and every problem, and exit.")
@click.option("--json", "as_json", is_flag=True, help="With --check: one JSON document on stdout.")
@click.option("--as-worker", default="", hidden=True, help="Where its parent is; workers are started with it.")
def serve(check: bool, as_json: bool, as_worker: str, **options: Any) -> None:
    """Serve one endpoint that speaks the APIs of OpenAI, Anthropic and Ollama and plans every request.

    Models that lack a kind of input get it converted; every answer reports its route, its cost, its losses and what
    left the machine. Settings are in [serve] and [policies.NAME] of intermodal.toml.
    """
    from intermodal.errors import NotInstalled

    try:
        import pybase64  # noqa: F401
    except ImportError:
        raise NotInstalled("the gateway needs pybase64", todo="run: pip install 'intermodal[gateway]'") from None
    options = {name: value for name, value in options.items() if value is not None}
    if not check and not as_worker and _lead(options):
        return
    import asyncio

    from intermodal.gateway.process.allocator import allow_thread_switches, set_malloc_options

    set_malloc_options()
    allow_thread_switches()
    sys.setswitchinterval(_TURN)
    code = asyncio.run(_run(check, as_json, as_worker, options))
    if code:
        raise click.exceptions.Exit(code)


def _lead(options: dict[str, Any]) -> bool:
    """Act as the parent of several workers, and return whether there are several.

    The parent imports little, since it only watches them.
    """
    from msgspec.structs import replace

    from intermodal.config.config_file import load_config

    settings = replace(load_config().serve, **options)
    if settings.workers == 1:
        return False
    from intermodal.gateway.process.request_log import RequestLog
    from intermodal.gateway.workers.sockets import bind_sockets
    from intermodal.gateway.workers.supervisor import WorkerSupervisor

    sockets = bind_sockets(settings.host, settings.port, settings.workers)
    place = ("--host", settings.host, "--port", str(sockets[0][0].getsockname()[1]))
    logs = (part for name in ("log_format", "log_level") if name in options
            for part in (f"--{name.replace('_', '-')}", options[name]))  # fmt: skip
    prompts = ("--prompts", os.path.abspath(settings.prompts)) if "prompts" in options else ()
    # -P: the user's current folder must not be able to replace a module.
    command = (sys.executable, "-P", "-m", "intermodal.cli.main", "serve", *place, *logs, *prompts, "--as-worker")
    log = RequestLog(settings.log_format, settings.log_level)
    try:
        WorkerSupervisor(command, sockets, drain=settings.drain, say=log.log_note).run()
    finally:
        log.close()
    return True


async def _run(check: bool, as_json: bool, as_worker: str, options: dict[str, Any]) -> int:
    from intermodal.gateway.process.fd_limits import raise_fd_limit
    from intermodal.gateway.workers.worker import GatewayWorker

    raise_fd_limit()
    worker = GatewayWorker(as_worker) if as_worker else None
    try:
        return await _serve(worker, check, as_json, options)
    finally:
        if worker is not None:
            worker.announce_end()


async def _serve(worker: GatewayWorker | None, check: bool, as_json: bool, options: dict[str, Any]) -> int:
    import asyncio

    from msgspec.structs import replace

    from intermodal.config.config_file import data_dir, key_location
    from intermodal.core.plugin_registry import pop_new_problems
    from intermodal.errors import ConfigError
    from intermodal.gateway.process.allocator import freeze_gc
    from intermodal.gateway.process.request_log import RequestLog
    from intermodal.gateway.process.service_manager import ServiceWatchdog
    from intermodal.gateway.quotas.quota_manager import QuotaManager
    from intermodal.gateway.quotas.quota_types import RateLimit
    from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
    from intermodal.gateway.requests.prompt_files import PromptFiles
    from intermodal.gateway.server import Gateway, ListenSettings
    from intermodal.gateway.server_client import ServerClient

    client = ServerClient()
    settings = replace(client.config.serve, **options)
    log = RequestLog(settings.log_format, settings.log_level, worker=worker.number + 1 if worker is not None else 0)
    async with aclosing(log), client:  # the log is closed last, so that it can report what a collector did not accept
        rates = {name: RateLimit(rpm=rate.rpm, tpm=rate.tpm) for name, rate in settings.rates.items()}
        quota_store = SqliteQuotaStore(data_dir(client.env) / FILE)
        ledger = QuotaManager(quota_store, limits=rates)
        await ledger.start()
        try:
            try:
                gateway = Gateway(
                    client,
                    ListenSettings(settings.host, settings.port, drain=settings.drain),
                    ledger=ledger,
                    log=lambda line: log.log_note("error", line),
                    prompts=PromptFiles(settings.prompts, lambda words: log.log_note("warning", words)),
                    worker=worker,
                )
            except ConfigError as error:  # an invalid address, which may come from the config
                if "host" not in options:
                    error.where = key_location(client.config.path, ("serve", "host"))
                raise
            gateway.tell = log.log_request
            if check:
                return await check_gateway(gateway, quota_store, settings.workers, as_json)
            await gateway.start()
            if worker is None:  # several workers have a parent, which watches them
                ServiceWatchdog().beat_while_turning(asyncio.get_running_loop())
            whom = "with keys" if ledger.access.needs_key else "for this machine only, without keys"
            if worker is None or worker.post.first:
                many = f", {worker.post.workers} workers" if worker is not None else ""
                log.log_note("info", f"serving at {gateway.url} ({whom}{many}); stop it with Ctrl-C", always=True)
                for remark in (*client.remarks, *map(str, pop_new_problems())):
                    log.log_note("warning", remark)
            if gateway.telemetry is not None:
                log.listen()
            asyncio.get_running_loop().call_later(_SETTLED, freeze_gc)
            alone = worker is None or not worker.number  # the first worker reports for all
            later = [asyncio.create_task(_load_what_is_needed_later())]
            if alone:
                later.append(asyncio.create_task(_report_problems(gateway, log)))
            try:
                await gateway.serve(signals=True)
            finally:
                for task in later:
                    task.cancel()
            return 0
        finally:
            await ledger.close()


async def _load_what_is_needed_later() -> None:
    """Load in advance what the first request of a kind would load on the event loop.

    That would take 30 to 60 ms, during which no other request is answered.
    """
    from intermodal.concurrency.offload import offload

    await offload(True, _load)


def _load() -> None:
    import intermodal.executor.outputs.answer_call
    import intermodal.local.servers.client_runtimes
    import intermodal.media.expand
    import intermodal.media.worker_client
    import intermodal.store.conversion_cache
    import intermodal.transport.http1  # noqa: F401


async def _report_problems(gateway: Gateway, log: RequestLog) -> None:
    """Report the problems that ``--check`` finds, once there is time.

    The gateway keeps serving: a request for a broken name gets the error, and others are not affected.
    """
    import asyncio

    from intermodal.gateway.config_check import check_names

    await asyncio.sleep(_LATER)
    _, found = await check_names(gateway.context)
    for each in found:
        if each.level == "wrong":
            log.log_note("warning", "; ".join(filter(None, (f"{each.where}: {each.what}", each.todo))))


# ---- serve --check ----------------------------------------------------------------------------------


FAILED = 2  # the exit code if the config, or something that it needs, is wrong


async def check_gateway(gateway: Gateway, quota_store: SqliteQuotaStore, workers: int, as_json: bool) -> int:
    """Print the report and return the exit code.

    Raises UsageError, without ``as_json``, if the gateway could not serve.
    """
    import time

    from intermodal.gateway import config_check
    from intermodal.gateway.endpoints.monitoring import readiness
    from intermodal.plans.numbers import with_noun

    context = gateway.context
    ready, now = await readiness(context), time.time()
    client, keys = context.client, quota_store.every_key()
    await client.known.scan()  # an alias may name a model of a server of this machine
    found = await config_check.check_prompt_folder(context)
    files = config_check.check_prompt_files(context)
    served_names, wrong_names = await config_check.check_names(context)
    found += [
        *wrong_names,
        *config_check.check_address(client.config, gateway.host, gateway.port),
        *config_check.check_host_keys(client),
        *config_check.check_shadowing_aliases(client),
        *config_check.check_rate_limits(client),
        *config_check.check_virtual_keys(client, keys),
    ]
    active = [key for key in keys if key.revoked is None and (key.expires is None or key.expires > now)]
    report = _report(gateway, ready, served_names, [*files, *found])
    report |= {
        "workers": workers,
        "ledger": str(quota_store.path),
        "keys_active": len(active),
        "keys_ended": len(keys) - len(active),
    }
    wrong = [finding for finding in found if finding.level == "wrong"]
    wrong_files = {finding.where.partition(":")[0] for finding in files if finding.level == "wrong"}
    good = all(ready.values()) and not wrong and not wrong_files
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("serve", report)
        return 0 if good else FAILED
    _show(report, served_names, [*files, *found])
    if not good:
        missing = [f"{name} not ready" for name, fine in ready.items() if not fine]
        missing += [f"{len(wrong)} wrong in the config"] if wrong else []
        missing += [with_noun(len(wrong_files), "wrong prompt file")] if wrong_files else []
        raise UsageError(f"it could not serve so: {', '.join(missing)}", todo="see above; intermodal doctor says more")
    return 0


def _report(
    gateway: Gateway, ready: dict[str, bool], served_names: list[ServedName], findings: list[ConfigFinding]
) -> dict[str, Any]:
    from intermodal.gateway.endpoints.models import model_rows
    from intermodal.gateway.quotas.quota_types import ANONYMOUS

    client = gateway.client
    config, rows = client.config, model_rows(client.catalog)
    endpoints = [name for row in rows for name in row["endpoints"]]
    return {
        "ready": all(ready.values()), "checks": ready, "config": config.path, "host": gateway.host,
            "port": gateway.port,
        "names": list(config.serve.names), "origins": list(config.serve.origins), "keys": gateway.needs_key,
        "models": [row["id"] for row in rows], "endpoints": endpoints, "policies": list(config.policies),
        "prompts": [prompt.name for prompt in gateway.context.prompts.visible_to(ANONYMOUS)],
        "aliases": config.serve.aliases, "asked_for": msgspec.to_builtins(served_names),
        "limits": {"body_bytes": gateway.limits.body, "bodies_bytes": gateway.limits.in_flight,
                   "connections": gateway.limits.connections, "drain_seconds": config.serve.drain},
        "rates": msgspec.to_builtins(config.serve.rates), "findings": msgspec.to_builtins(findings),
    }  # fmt: skip


def _show(report: dict[str, Any], served_names: list[ServedName], findings: list[ConfigFinding]) -> None:
    from intermodal.cli.rendering.tables import count
    from intermodal.gateway.workers.sockets import format_address
    from intermodal.plans.numbers import memory_size

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
    line("models", f"{len(report['models'])} ready, {where}; policies: {policies}")
    if report["prompts"]:
        line("prompts", ", ".join(report["prompts"]))
    for each in served_names:
        target = f"{each.stands_for}: " if each.stands_for != each.name else ""
        line("answers", f"{each.name} -> {target}{each.answers or 'no endpoint'}")
    limits = report["limits"]
    line("limits", f"{memory_size(limits['body_bytes'])} per body, "
                   f"{memory_size(limits['bodies_bytes'])} for all open bodies, "
                   f"{limits['connections']:,} connections; {limits['drain_seconds']:g} s to stop")  # fmt: skip
    for name, rate in report["rates"].items():
        line("rate", f"{name}: {count(rate.get('rpm'))} requests, {count(rate.get('tpm'))} tokens per minute")
    for name, good in report["checks"].items():
        line(name, "ready" if good else "not ready")
    for finding in findings:
        todo = f"; {finding.todo}" if finding.todo else ""
        line(finding.level, f"{finding.where}: {finding.what}{todo}")
