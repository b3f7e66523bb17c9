"""``intermodal serve``: the gateway."""

from __future__ import annotations

import os
import re
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from intermodal.config_tables import HOST, LISTENS, MOST_WORKERS

if TYPE_CHECKING:
    from intermodal.gateway.process.request_log import RequestLog
    from intermodal.gateway.server import Gateway
    from intermodal.gateway.workers.worker import GatewayWorker

# Seconds after which a thread that computes (rows of the store, the log) gives way to the one that answers. With
# Python's own 5 ms, one in a hundred of 32 clients waited 31 to 39 ms, with this 20 to 25, at the same rate.
_TURN = 0.0002
_SETTLED = 5.0  # seconds after which all that is loaded late is loaded
_LATER = 1.0  # after the start: who starts it asks first
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


def _address(context: click.Context, option: click.Parameter, said: str | None) -> str | None:
    if said is not None and re.match(HOST, said) is None:
        raise click.BadParameter(f"must be {LISTENS}", context, option)
    return said


@click.command(epilog=EPILOG)
@click.option(
    "--host",
    default=None,
    metavar="ADDRESS",
    callback=_address,
    help="Where to listen; 127.0.0.1 unless said. Another needs keys.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=None, metavar="N", help="8787 unless said; 0: any free.")
@click.option(
    "--workers", type=click.IntRange(1, MOST_WORKERS), default=None, metavar="N",
    help="Processes that answer, one for each core at most; 1 unless said.",
)  # fmt: skip
@click.option(
    "--prompts", type=click.Path(file_okay=False), default=None, metavar="FOLDER",
    help="Prompt files that are served as models, prompt:NAME.",
)  # fmt: skip
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default=None, help="Lines for people, or for programs."
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default=None,
    help="The least that is logged; warning leaves out what went well.  [default: info]",
)
@click.option("--check", is_flag=True, help="Say what would be served, and what is wrong with it, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --check: one JSON document on stdout.")
@click.option("--as-worker", default="", hidden=True, help="Where its parent is; workers are started with it.")
def serve(check: bool, as_json: bool, as_worker: str, **given: Any) -> None:
    """One endpoint that speaks the APIs of OpenAI, Anthropic and Ollama, and plans every request.

    Models that lack a kind of input get it bridged; every answer says its route, its cost, what was lost and what left
    the machine. Settings are in [serve] and [policies.NAME] of intermodal.toml.
    """
    from intermodal.errors import NotInstalled

    try:
        import pybase64  # noqa: F401
    except ImportError:
        raise NotInstalled("the gateway needs pybase64", todo="run: pip install 'intermodal[gateway]'") from None
    given = {name: said for name, said in given.items() if said is not None}
    if not check and not as_worker and _lead(given):
        return
    import asyncio

    from intermodal.gateway.process.allocator import allow_thread_switches, set_malloc_options

    set_malloc_options()
    allow_thread_switches()
    sys.setswitchinterval(_TURN)
    code = asyncio.run(_run(check, as_json, as_worker, given))
    if code:
        raise click.exceptions.Exit(code)


def _lead(given: dict[str, Any]) -> bool:
    """Be the parent of several workers, where there are to be several. Loads little: it only watches them."""
    from msgspec.structs import replace

    from intermodal.config import load_config

    settings = replace(load_config().serve, **given)
    if settings.workers == 1:
        return False
    from intermodal.gateway.process.request_log import RequestLog
    from intermodal.gateway.workers.sockets import bind_sockets
    from intermodal.gateway.workers.supervisor import WorkerSupervisor

    sockets = bind_sockets(settings.host, settings.port, settings.workers)
    place = ("--host", settings.host, "--port", str(sockets[0][0].getsockname()[1]))
    logs = (part for name in ("log_format", "log_level") if name in given
            for part in (f"--{name.replace('_', '-')}", given[name]))  # fmt: skip
    prompts = ("--prompts", os.path.abspath(settings.prompts)) if "prompts" in given else ()
    # -P: the folder the user happens to be in must not be able to replace a module.
    command = (sys.executable, "-P", "-m", "intermodal.cli.main", "serve", *place, *logs, *prompts, "--as-worker")
    log = RequestLog(settings.log_format, settings.log_level)
    try:
        WorkerSupervisor(command, sockets, drain=settings.drain, say=log.say).run()
    finally:
        log.close()
    return True


async def _run(check: bool, as_json: bool, as_worker: str, given: dict[str, Any]) -> int:
    from intermodal.gateway.process.fd_limits import raise_fd_limit
    from intermodal.gateway.workers.worker import GatewayWorker

    raise_fd_limit()
    worker = GatewayWorker(as_worker) if as_worker else None
    try:
        return await _served(worker, check, as_json, given)
    finally:
        if worker is not None:
            worker.over()


async def _served(worker: GatewayWorker | None, check: bool, as_json: bool, given: dict[str, Any]) -> int:
    import asyncio

    from msgspec.structs import replace

    from intermodal.config import data_dir, placed
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
    settings = replace(client.config.serve, **given)
    log = RequestLog(settings.log_format, settings.log_level, worker=worker.number + 1 if worker is not None else 0)
    async with aclosing(log), client:  # the log last: what a collector did not take in the end is said
        rates = {name: RateLimit(rpm=rate.rpm, tpm=rate.tpm) for name, rate in settings.rates.items()}
        books = SqliteQuotaStore(data_dir(client.env) / FILE)
        ledger = QuotaManager(books, limits=rates)
        await ledger.start()
        try:
            try:
                gateway = Gateway(
                    client,
                    ListenSettings(settings.host, settings.port, drain=settings.drain),
                    ledger=ledger,
                    log=lambda line: log.say("error", line),
                    prompts=PromptFiles(settings.prompts, lambda words: log.say("warning", words)),
                    worker=worker,
                )
            except ConfigError as error:  # of the address, which may stand in the config
                if "host" not in given:
                    error.where = placed(client.config.path, ("serve", "host"))
                raise
            gateway.tell = log.served
            if check:
                from intermodal.cli.serve_check import check as checked

                return await checked(gateway, books, settings.workers, as_json)
            await gateway.start()
            if worker is None:  # several have a parent, which watches them
                ServiceWatchdog().beat_while_turning(asyncio.get_running_loop())
            whom = "with keys" if ledger.access.keyed else "for this machine alone, without keys"
            if worker is None or worker.post.first:
                many = f", {worker.post.workers} workers" if worker is not None else ""
                log.say("info", f"serving at {gateway.url} ({whom}{many}); Ctrl-C ends it", always=True)
                for remark in client.remarks:
                    log.say("warning", remark)
            if gateway.telemetry is not None:
                log.listen()
            asyncio.get_running_loop().call_later(_SETTLED, freeze_gc)
            alone = worker is None or not worker.number  # the first says it for all
            later = [asyncio.create_task(_load_what_is_needed_later())]
            if alone:
                later.append(asyncio.create_task(_tell_what_is_wrong(gateway, log)))
            try:
                await gateway.serve(signals=True)
            finally:
                for task in later:
                    task.cancel()
            return 0
        finally:
            await ledger.close()


async def _load_what_is_needed_later() -> None:
    """What the first request of a kind would load, on the loop: 30 to 60 ms in which nobody else is answered."""
    from intermodal.concurrency.offload import offload

    await offload(True, _load)


def _load() -> None:
    import intermodal.executor.outputs.answer_call
    import intermodal.local.servers.client_runtimes
    import intermodal.media.expand
    import intermodal.media.worker_client
    import intermodal.store.conversion_cache
    import intermodal.transport.http1  # noqa: F401


async def _tell_what_is_wrong(gateway: Gateway, log: RequestLog) -> None:
    """What ``--check`` calls wrong, once there is time for it. It is served all the same: who asks for such a name is
    told, and others have what they ask for."""
    import asyncio

    from intermodal.gateway.config_check import check_names

    await asyncio.sleep(_LATER)
    _, found = await check_names(gateway.context)
    for each in found:
        if each.level == "wrong":
            log.say("warning", "; ".join(filter(None, (f"{each.where}: {each.what}", each.todo))))
