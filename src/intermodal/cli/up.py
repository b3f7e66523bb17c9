"""``intermodal up``: start a server for a local model, which all processes of this user share."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from intermodal.local.servers.lifecycle import ManagedServer

EPILOG = """\b
Examples
  intermodal up smollm2-135m-instruct
  intermodal up ~/models/qwen3-8b.gguf --context 16384 --idle never
  intermodal up model.gguf --mmproj mmproj.gguf --name vision --slots 4
  intermodal up qwen3-4b --later          only when a plan needs it
  intermodal up                           list running servers with memory and port
  intermodal down qwen3-4b
"""
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Duration(click.ParamType[float]):
    """Parse a duration such as 15m, 90s or 2h; "never" is 0."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if value == "never":
            return 0.0
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value))
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is not a duration; write 90s, 15m, 2h or never", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


@click.command(epilog=EPILOG)
@click.argument("model", required=False)
@click.option("--mmproj", "projector", metavar="FILE", default="", help="Projector for images or audio.")
@click.option("--context", type=click.IntRange(min=256), metavar="TOKENS",
              help="Context of each request (default: what the model was trained for, at most 8192).")  # fmt: skip
@click.option("--slots", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Requests at the same time; each slot has the whole context and takes its memory.")  # fmt: skip
@click.option("--idle", type=Duration(), default="15m", show_default=True, metavar="TIME",
              help="Unload after this long without a request: 90s, 15m, 2h, never.")  # fmt: skip
@click.option("--name", default="", help="Name of the host, up.NAME (default: from the model).")
@click.option("--program", default="", metavar="NAME",
              help="llama-server, xllamacpp, vllm, or a path (default: the first that is installed).")  # fmt: skip
@click.option("--later", is_flag=True, help="Do not start it now; the first plan that needs it does.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def up(**options: Any) -> None:
    """Start a server for MODEL: a GGUF file, a folder of safetensors, or a name of pull --list.

    It listens on this machine alone. Plans see it at once as up.NAME, all your processes share it, and it restarts
    after a crash. An unloaded one is started by the plan that needs it. Without MODEL: list running servers.
    """
    if not options["model"]:
        _list(options["as_json"])
        return
    server, new = _start(options)
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("up", {"server": server_document(server), "started": new})
    elif not options["quiet"]:
        click.echo(sentence(server, new))


def _start(options: dict[str, Any]) -> tuple[ManagedServer, bool]:
    import anyio

    from intermodal.cli.pull import weights_store
    from intermodal.config.config_file import cache_dir
    from intermodal.local.servers.lifecycle import start_server as start
    from intermodal.local.servers.resolver import ServerRequest, resolve_server

    quiet = options["quiet"] or options["as_json"]
    server_request = ServerRequest(
        model=options["model"], projector=options["projector"], name=_checked_name(options["name"]),
        program=options["program"],
        context=options["context"] or 0, slots=options["slots"], idle=options["idle"],
    )  # fmt: skip
    spec = resolve_server(server_request, weights_store(), cache_dir(os.environ))

    def tell(what: str) -> None:
        if not quiet:
            click.echo(f"{spec.name}: {what}", err=True)

    async def go() -> tuple[ManagedServer, bool]:
        return await start(spec, os.environ, later=options["later"], tell=tell)

    return anyio.run(go)


def _checked_name(name: str) -> str:
    from intermodal.catalog.host_rows import check_name

    return check_name(name, "--name") if name else ""


def _list(as_json: bool) -> None:
    import anyio

    from intermodal.local.servers.lifecycle import all_servers, clean_up

    async def go() -> None:
        await clean_up(os.environ)

    anyio.run(go)
    servers = all_servers(os.environ)
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("servers", {"servers": [server_document(server) for server in servers]})
        return
    if not servers:
        click.echo("no server is running; start one: intermodal up MODEL")
        return
    from intermodal.cli.rendering.tables import echo_table

    echo_table(("name", "state", "memory", "port", "context", "model, and why"), [_cells(each) for each in servers])


def server_document(server: ManagedServer) -> dict[str, Any]:
    """Return a server as a document, without its key."""
    from intermodal.local.servers.server_rows import endpoint_id
    from intermodal.model_fit.fit_output import rows

    spec, state = server.wanted, server.state
    lives = state is not None and server.phase in ("starting", "ready", "restarting")
    low, mid, high = server.memory
    return {
        "name": spec.name, "endpoint": endpoint_id(server), "state": server.phase,
        "program": spec.program, "model": spec.model, "projector": spec.projector,
        "base_url": state.base_url if state is not None and server.phase == "ready" else "",
        "port": state.port if state is not None and lives else None,
        "context": (state.context if state is not None else 0) or spec.context, "slots": spec.slots,
        "idle_seconds": spec.idle or None, "memory": resident_of(server), "memory_needed": [low, mid, high],
        "memory_basis": server.foreseen.words if server.foreseen is not None else "",
        "compared": rows(server.comparison.rows) if server.comparison is not None else None,
        "load_seconds": state.load_seconds if state is not None else 0.0,
        "crashes": state.crashes if state is not None else 0, "reason": state.reason if state is not None else "",
        "pid": _pid(server), "log": server.log,
    }  # fmt: skip


def resident_of(server: ManagedServer) -> int | None:
    """Return the bytes that are resident now; None if the server does not run."""
    from intermodal.local.servers.server_status import resident_memory

    pid = _pid(server)
    return resident_memory(pid) if pid else None


def _pid(server: ManagedServer) -> int | None:
    from intermodal.store.process_identity import pid_of

    lives = server.state is not None and server.phase in ("starting", "ready")
    return pid_of(server.state.server) if lives and server.state and server.state.server else None


def _cells(server: ManagedServer) -> tuple[str, ...]:
    from intermodal.cli.rendering.tables import memory_size

    spec, state, memory = server.wanted, server.state, resident_of(server)
    why = state.reason if state is not None else "a plan that needs it starts it"
    return (
        spec.name, server.phase, memory_size(memory) if memory else "-",
        str(state.port) if state is not None and server.phase == "ready" else "-",
        f"{(state.context if state is not None else 0) or spec.context:,}",
        f"{spec.model_id}{f'; {why}' if why else ''}",
    )  # fmt: skip


def _predicted_memory_text(memory: tuple[float, float, float]) -> str:
    """Return the predicted memory, when just loaded and when full."""
    from intermodal.cli.rendering.tables import memory_size

    low, _, high = memory
    return f" ({memory_size(low)} to {memory_size(high)} predicted)" if high else ""


def sentence(server: ManagedServer, new: bool) -> str:
    """Return the message about a server that was just started or found."""
    from intermodal.cli.rendering.tables import memory_size

    spec, state = server.wanted, server.state
    if state is None or server.phase != "ready":
        return f"up.{spec.name} is known; a plan that needs it starts it"
    memory = resident_of(server)
    started_text = f"in {state.load_seconds:.1f} s" if new else "already"
    kinds = "".join(word for word, does in ((", sees", state.sees), (", hears", state.hears)) if does)
    rest = f"unloaded after {spec.idle:g} s without a request" if spec.idle else "stays until intermodal down"
    return (
        f"up.{spec.name} is up {started_text}: {state.base_url}, {state.context:,} tokens of context{kinds}, "
        f"{memory_size(memory or 0)} of memory{_predicted_memory_text(spec.memory)}; "
        f"{rest}{_memory_comparison_text(server)}"
    )


def _memory_comparison_text(server: ManagedServer) -> str:
    """Return the predicted and the actual memory in one line, with the buffers if the server's log lists them."""
    from intermodal.cli.rendering.tables import memory_size
    from intermodal.local.servers.memory_comparison import PROCESS
    from intermodal.sizing.memory import TOKENS

    if server.comparison is None:
        return ""
    found = server.comparison.rows
    logged = [row for row in found if row.source == "log" and row.real]
    comparisons = [
        f"predicted {row.predicted.mid:,.0f} tokens remembered, {row.real:,.0f} are"
        if row.name == TOKENS
        else f"predicted {memory_size(row.predicted.low)} to {memory_size(row.predicted.high)}, "
        f"actual {memory_size(row.real)}"
        for row in found
        if row.name in (PROCESS, TOKENS)
    ]
    if logged:
        error = sum(row.predicted.mid for row in logged) / sum(row.real for row in logged) - 1
        comparisons.append(f"buffers {error:+.2%} off the server's log")
    return f"\n  {'; '.join(comparisons)}" if comparisons else ""


__all__ = ["server_document", "resident_of", "up"]
