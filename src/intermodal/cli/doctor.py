"""``intermodal doctor``: check what is installed, reachable and too large, with a fix for each problem."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

import click

from intermodal.core.content import Value
from intermodal.errors import IntermodalError
from intermodal.store.rows import Drift, EstimateComparison

if TYPE_CHECKING:
    from intermodal.catalog.discovered_servers import DiscoveredServer
    from intermodal.catalog.host_rows import HostRow
    from intermodal.catalog.snapshot.file import SnapshotHeader
    from intermodal.catalog.types import Catalog
    from intermodal.client.async_client import AsyncClient
    from intermodal.config.config_file import Config
    from intermodal.local.weights.store import WeightsStore
    from intermodal.plans.machine import Gpu, Machine

EPILOG = """\b
Examples
  intermodal doctor
  intermodal doctor --json
"""

State = Literal["ok", "missing", "unused", "too big", "unreachable", "broken", "off", "old"]
OLD = 60  # days after which most vendors have changed prices and models


class DoctorFinding(Value):
    """The result of one check.

    ``todo`` is "" if there is nothing to do; ``drift`` is the evidence for a figure that is wrong.
    """

    area: str
    name: str
    state: State
    what: str
    todo: str = ""
    drift: Drift | None = None


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(as_json: bool) -> None:
    """Check what is installed, reachable and fits in memory, with fixes.

    Looks for servers on this machine (Ollama, LM Studio, llama.cpp, vLLM, …), lists their models, and checks that hosts
    on the network answer, 1 second each. No model is loaded, and hosted services are not contacted.
    """
    from intermodal.cli.rendering.server_text import find_local_servers
    from intermodal.config.config_file import cache_dir
    from intermodal.local.hardware.machine import machine_survey

    client, about_config = _client()
    machine = machine_survey(cache_dir(client.env))
    servers = find_local_servers(client, rescan=True)
    catalog = client.catalog
    found = [
        about_config,
        about_snapshot(_header(), datetime.now(UTC).date()),
        *_about_folders(client.env),
        *_about_prompts(client.config),
        _about_machine(machine),
        _about_sandbox(),
        *_about_runtimes(),
        *_about_plugins(),
        *_about_weights(machine),
        *_about_started_servers(),
        *_about_hosts(client.config, os.environ),
        *_about_servers(servers, client),
        *_about_lessons(client, catalog),
        *_about_store(client),
        *_working_tasks(catalog),
    ]
    if as_json:
        from intermodal.cli.rendering.json_document import plain_data, print_document

        body = {
            "findings": [plain_data(finding) for finding in found],
            "servers": [plain_data(each) for each in servers],
        }
        print_document("doctor", body)
        return
    from intermodal.cli.rendering.tables import echo_table

    rows = [(f.area, f.name, f.state, f"{f.what}; {f.todo}" if f.todo else f.what) for f in found]
    echo_table(("", "", "state", "what, and what to do"), rows)


def _client() -> tuple[AsyncClient, DoctorFinding]:
    """Return a client and the finding about its config.

    If the config cannot be used, it is ignored and the rest is checked without one; then no hosted service is allowed.
    """
    from intermodal.client.async_client import AsyncClient
    from intermodal.config.config_file import Config
    from intermodal.errors import ConfigError
    from intermodal.local.weights.lockfile import LOCKFILE

    try:
        client = AsyncClient()
        _ = client.catalog  # this reads the user's host rows
    except ConfigError as error:
        wording = error.wording_for("command line")
        what = f"{wording.where} {wording.what}" if wording.where else wording.what
        todo = wording.todo or "correct the file"
        name = os.path.basename(wording.where) if wording.where.endswith(LOCKFILE) else "intermodal.toml"
        broken = DoctorFinding(area="config", name=name, state="broken", what=what, todo=todo)
        without = AsyncClient(Config())
        _readable(without.weights)
        return without, broken
    return client, _about_config(client.config)


def _about_config(config: Config) -> DoctorFinding:
    if not config.path:
        return DoctorFinding(
            area="config", name="intermodal.toml", state="ok", what="no config file, so no hosted service is allowed",
            todo="to set it up: intermodal init",
        )  # fmt: skip
    allowed = ", ".join((*config.consent, *(row.id for row in config.hosts if row.base_url))) or "none"
    return DoctorFinding(
        area="config", name="intermodal.toml", state="ok", what=f"{config.path}; hosts allowed: {allowed}"
    )


def _readable(store: WeightsStore) -> WeightsStore:
    """Return the store, but without its lock if that is damaged: it then knows only the weights that ship."""
    from intermodal.errors import ConfigError
    from intermodal.local.weights.lockfile import WeightsLock

    try:
        store.lock.models()
    except ConfigError:
        store.lock = WeightsLock(None)
    return store


def _header() -> SnapshotHeader:
    from intermodal.catalog.load import load_snapshot
    from intermodal.config.config_file import snapshot_file

    return load_snapshot(snapshot_file(os.environ)).header


def about_snapshot(header: SnapshotHeader, today: date) -> DoctorFinding:
    """Return the age of the published data on hosted models, of the snapshot and of each source.

    The data counts as old if one of them is old.
    """
    from intermodal.cli.models import age_text, ages, days_old

    days = (today - date.fromisoformat(header.made)).days
    what = f"of {header.made}, {age_text(days)}; {'; '.join(ages(header, today.isoformat()))}"
    late = [each.about for each in header.origins if (days_old(each, today) or 0) > OLD]
    if days <= OLD and not late:
        return DoctorFinding(area="models", name="snapshot", state="ok", what=what)
    whose = f"data of {' and '.join(late)} is more than {OLD} days old; " if late else ""
    todo = f"{whose}to update it: intermodal models refresh"
    return DoctorFinding(area="models", name="snapshot", state="old", what=what, todo=todo)


def _about_folders(env: Mapping[str, str]) -> Iterator[DoctorFinding]:
    """Yield the folders that intermodal uses; docs/privacy.md describes their contents."""
    from intermodal.config.config_file import cache_dir, config_path, data_dir, state_dir

    yield DoctorFinding(area="folder", name="config", state="ok", what=f"{config_path(env).parent}: intermodal.toml")
    what = f"{data_dir(env)}: the store, measurements, and the versions of pulled models"
    yield DoctorFinding(area="folder", name="data", state="ok", what=what)
    yield DoctorFinding(
        area="folder", name="cache", state="ok", what=f"{cache_dir(env)}: weights, and cached conversions"
    )
    yield DoctorFinding(
        area="folder", name="state", state="ok", what=f"{state_dir(env)}: started servers and their logs"
    )


def _about_prompts(config: Config) -> Iterator[DoctorFinding]:
    """Yield the folder of prompt files that the gateway serves, and the files in it that cannot be used."""
    from intermodal.errors import IntermodalError

    if not config.serve.prompts:
        return
    from intermodal.plans.numbers import with_noun
    from intermodal.prompts.prompt_folder import PromptFolder

    folder = PromptFolder(config.serve.prompts)
    try:
        folder.reload_changed()
    except IntermodalError as error:
        wording = error.wording_for("command line")
        yield DoctorFinding(
            area="prompts", name="", state="broken", what=f"{wording.where} {wording.what}", todo=wording.todo
        )
        return
    prompt_count = with_noun(len(folder.prompts), "prompt")
    yield DoctorFinding(area="prompts", name="", state="ok", what=f"{folder.path} serves {prompt_count}")
    for each in folder.unreadable:
        name = f"{each.file}:{each.line}" if each.line else each.file
        yield DoctorFinding(area="prompts", name=name, state="broken", what=each.error, todo=each.todo)


def _card(gpu: Gpu) -> str:
    """Return the name of a card, with the memory that its driver reports, if any."""
    from intermodal.cli.rendering.tables import memory_size

    memory = (
        f" {memory_size(gpu.memory)}{' of the memory' if gpu.unified else ''}"
        if gpu.memory
        else ", its memory not known"
    )
    return gpu.name + memory + (f" ({memory_size(gpu.free)} free)" if gpu.memory and gpu.free is not None else "")


def _about_machine(machine: Machine) -> DoctorFinding:
    from intermodal.cli.rendering.tables import memory_size

    gpus = ", ".join(map(_card, machine.gpus)) or "no GPU"
    what = f"{machine.cores} cores, {memory_size(machine.memory)} memory, {memory_size(machine.free)} free, {gpus}"
    return DoctorFinding(area="machine", name="", state="ok", what=what)


_HELD = {
    "reading": "read files other than Python's own", "writing": "write files", "network": "reach the network",
    "programs": "start programs", "processes": "start processes",
}  # fmt: skip


def _about_sandbox() -> DoctorFinding:
    """Return the limits of the process that decodes media, found by asking it to break them."""
    import anyio

    from intermodal.media.worker_client import MediaWorker

    async def test_fences() -> dict[str, bool]:
        async with MediaWorker() as worker:
            return await worker.fences()

    try:
        found = anyio.run(test_fences)
    except IntermodalError as error:
        return DoctorFinding(
            area="media",
            name="sandbox",
            state="broken",
            what=str(error.wording_for("command line")),
            todo="please report it",
        )
    return about_sandbox(found)


def about_sandbox(found: Mapping[str, bool]) -> DoctorFinding:
    """Return which limits of the decoding process are in force, and which ones this system cannot enforce."""
    while_decoding = "opens no file and no socket" if found["opening"] else "may open files"
    memory = "in bounded memory" if found["memory"] else "in memory that this system does not bound"
    stands = [words for name, words in _HELD.items() if found[name]]
    open_ = [words for name, words in _HELD.items() if not found[name]]
    what = f"media are decoded in a separate process, which {while_decoding}, {memory}"
    if stands:
        what += f"; even under the control of a malicious file it cannot: {', '.join(stands)}"
    if open_:
        what += f"; under the control of a malicious file it could: {', '.join(open_)}"
    return DoctorFinding(area="media", name="sandbox", state="ok" if found["opening"] else "broken", what=what)


def _about_runtimes() -> Iterator[DoctorFinding]:
    from intermodal.local.embedded.availability import install_commands

    does = {
        "llama": "language models (llama.cpp)",
        "whisper": "speech to text (faster-whisper)",
        "ocr": "text recognition in images (RapidOCR)",
        "piper": "speech synthesis (Piper, a separate program)",
        "e5": "embeddings (e5)",
        "encoder": "labelling texts and ranking passages (BERT models with a trained head)",
        "diffusion": "generating images, with a model of your own (docs/drawing.md)",
        "contrastive": "labelling images and finding them by words (CLIP models)",
        "pdfium": "PDF",
        "openai": "OpenAI-compatible hosts",
    }
    for name, todo in install_commands().items():
        state: State = "missing" if todo else "ok"
        yield DoctorFinding(area="runtime", name=name, state=state, what=does.get(name, name), todo=todo)
    yield _about_scripts()


def _about_plugins() -> Iterator[DoctorFinding]:
    """Yield what plugins provide, with their packages, and the plugins that cannot be used."""
    from intermodal.cli.plugins import plugin_findings

    for each in plugin_findings():
        what = f"{each.package} {each.version}" + (f" is not used: {each.problem}" if each.problem else "")
        state: State = "broken" if each.problem else "ok"
        yield DoctorFinding(area="plugin", name=f"{each.kind} {each.name}", state=state, what=what, todo=each.todo)


def _about_scripts() -> DoctorFinding:
    """Return the scripts that can be read in images besides Latin, Chinese and Japanese: those of Tesseract."""
    from intermodal.cli.pull import weights_store
    from intermodal.local.embedded import tesseract
    from intermodal.local.embedded.tesseract import pulled_languages

    languages_by_script = tesseract.languages(pulled_languages(_readable(weights_store())))
    if not languages_by_script:
        what = (
            "text recognition in Cyrillic, Greek, Arabic, Devanagari and other scripts (Tesseract, a separate program)"
        )
        packages = tesseract.system_packages("rus")
        todo = tesseract.install_hint() + (f"; or, of the system's packages: {packages}" if packages else "")
        return DoctorFinding(area="runtime", name="tesseract", state="missing", what=what, todo=todo)
    what = ", ".join(f"{script} ({language.code})" for script, language in languages_by_script.items())
    return DoctorFinding(area="runtime", name="tesseract", state="ok", what=f"text recognition in {what} (Tesseract)")


def _about_weights(machine: Machine) -> Iterator[DoctorFinding]:
    """Yield the default weights that are missing and all weights that are present, and note which are too large."""
    from intermodal.cli.pull import DEFAULTS, contexts_of, memory_needs, weights_store
    from intermodal.cli.rendering.tables import memory, memory_size
    from intermodal.local.servers.context_reduction import measured_memory

    store = _readable(weights_store())
    present = store.complete_names()
    needs, contexts = memory_needs(store), contexts_of(store)
    for row in store.rows():
        if row.name not in present and row.name not in DEFAULTS:
            continue
        path = store.path(row.name) if row.runtime == "llama" and row.name in present else None
        measurement = (
            measured_memory(path, store.projector(row.name), contexts.get(row.name, 0), os.environ) if path else None
        )
        need = measurement or needs[row.name]
        words, peak = memory(need) + (f", {measurement.basis}" if measurement else ""), need.high
        if machine.memory and peak > machine.memory:
            yield DoctorFinding(
                area="weights", name=row.name, state="too big",
                what=f"needs {words}, this machine has {memory_size(machine.memory)}", todo="pull a smaller one",
            )  # fmt: skip
        elif row.name in present:
            tight = machine.memory and peak > machine.free
            what = f"needs {words}" + (f", only {memory_size(machine.free)} are free now" if tight else "")
            yield DoctorFinding(area="weights", name=row.name, state="too big" if tight else "ok", what=what,
                          todo="close something" if tight else "")  # fmt: skip
        else:
            yield DoctorFinding(area="weights", name=row.name, state="missing", what=row.title,
                          todo=row.pull)  # fmt: skip


def _about_hosts(config: Config, env: Mapping[str, str]) -> Iterator[DoctorFinding]:
    """Yield the hosts in the config, and shipped hosts for which there is a key or a consent."""
    from intermodal.catalog.shipped_rows import known_hosts

    own = {row.id: row for row in config.hosts}
    for shipped in known_hosts():
        row = shipped.overlaid(own[shipped.id]) if shipped.id in own else shipped
        allowed = row.id in config.consent or bool(row.id in own and own[row.id].base_url)
        if allowed or _has_key(row, env):
            yield _about_hosted(row, allowed, env)
    rows_by_id = {row.id: row for row in known_hosts()}
    yield from _host_findings(
        [rows_by_id[row.id].overlaid(row) if row.id in rows_by_id else row for row in config.hosts], env
    )


def _has_key(row: HostRow, env: Mapping[str, str]) -> bool:
    return row.key == "keyring" or bool(row.key_env and env.get(row.key_env, "").strip())


def _about_hosted(row: HostRow, allowed: bool, env: Mapping[str, str]) -> DoctorFinding:
    key = "in the keyring" if row.key == "keyring" else f"in {row.key_env}"
    if not allowed:
        return DoctorFinding(area="host", name=row.id, state="unused", what=f"a key is {key}, but there is no consent",
                       todo=f"to allow it: intermodal hosts add {row.id}")  # fmt: skip
    if row.needs_key and not _has_key(row, env):
        return DoctorFinding(area="host", name=row.id, state="missing", what=f"allowed, but no key {key}",
                       todo=f"export {row.key_env}=…")  # fmt: skip
    needs = f"key {key}" if row.key == "keyring" or row.key_env else "no key needed"
    return DoctorFinding(area="host", name=row.id, state="ok", what=f"allowed, {needs}, not contacted")


def _host_findings(rows: Iterable[HostRow], env: Mapping[str, str]) -> Iterator[DoctorFinding]:
    """Yield a finding for each host; those on this machine and its network are contacted, all at the same time."""
    import anyio

    from intermodal.config.api_keys import find_key

    near = [row for row in rows if row.host().zone != "internet"]
    answers: dict[str, DoctorFinding] = {}

    async def ask(row: HostRow) -> None:
        answers[row.id] = await _check_host(row, find_key(row.host(), env) or "")

    async def ask_all() -> None:
        async with anyio.create_task_group() as group:
            for row in near:
                group.start_soon(ask, row)

    if near:
        anyio.run(ask_all)
    for row in rows:
        yield answers[row.id] if row.id in answers else _about_hosted(row, True, env)


async def _check_host(row: HostRow, key: str) -> DoctorFinding:
    from intermodal.cli.hosts import listed_models
    from intermodal.errors import CallError, Unreachable

    try:
        served_names = {model.id for model in await listed_models(row.host(), key=key)}
    except Unreachable as error:
        wording = error.wording_for("command line")
        return DoctorFinding(area="host", name=row.id, state="unreachable", what=f"{row.base_url} {wording.what}",
                       todo=wording.todo or "start the server")  # fmt: skip
    except CallError as error:
        wording = error.wording_for("command line")
        return DoctorFinding(
            area="host", name=row.id, state="broken", what=f"{row.base_url} {wording.what}", todo=wording.todo
        )
    missing = [model.served_name for model in row.models if model.served_name not in served_names]
    if missing:
        return DoctorFinding(
            area="host",
            name=row.id,
            state="broken",
            what=f"does not serve {', '.join(missing)}",
            todo=f"it serves {', '.join(sorted(served_names)[:5]) or 'nothing'}; correct its row",
        )
    what = f"{row.base_url} answers, {len(served_names)} models, zone {row.host().zone}"
    if not row.models:
        return DoctorFinding(area="host", name=row.id, state="unused", what=f"{what}; its row names none of them",
                       todo=f"intermodal hosts add {row.id} --base-url {row.base_url}")  # fmt: skip
    return DoctorFinding(area="host", name=row.id, state="ok", what=what)


def _about_servers(servers: tuple[DiscoveredServer, ...], client: AsyncClient) -> Iterator[DoctorFinding]:
    """Yield the servers that were found, with their models."""
    from intermodal.cli.rendering.server_text import MOST, forwarding_host, model_words, title, unusable

    if not client.known.is_enabled:
        yield DoctorFinding(area="server", name="", state="unused", what="discovery of local servers is off",
                      todo="to turn it on: enabled = true in [discovery], and unset INTERMODAL_DISCOVERY")  # fmt: skip
    for server in servers:
        address = server.address.partition("://")[2]
        if not server.kind:
            yield DoctorFinding(area="server", name=address, state="unused", what=server.message,
                          todo=f"to use it: intermodal hosts add NAME --base-url {server.address}/v1")  # fmt: skip
            continue
        if server.message:
            what = f"{server.message}; on {server.date[:10]} it was {title(server)}, which plans still use"
            yield DoctorFinding(
                area="server", name=address, state="unreachable", what=what, todo="see whether it still works"
            )
            continue
        late = "" if server.complete else "; it was too slow to be asked everything"
        if why := unusable(server):
            yield DoctorFinding(area="server", name=address, state="unused", what=f"{title(server)}: {why}")
            continue
        models = "1 model" if len(server.models) == 1 else f"{len(server.models)} models"
        what = f"{title(server)}, {models}, no model was loaded to list them{late}"
        yield DoctorFinding(area="server", name=address, state="ok", what=what)
        for model in server.models[:MOST]:
            todo = f"to allow it: intermodal hosts add {forwarding_host(server)}" if model.elsewhere else ""
            yield DoctorFinding(
                area="served", name=model.name, state="unused" if todo else "ok", what=model_words(model), todo=todo
            )
        if len(server.models) > MOST:
            yield DoctorFinding(area="served", name="", state="ok", what=f"and {len(server.models) - MOST} more",
                          todo="see: intermodal models")  # fmt: skip


def _about_started_servers() -> Iterator[DoctorFinding]:
    """Yield one finding for each server: its address and models, or why it does not answer."""
    from intermodal.cli.rendering.tables import memory_size
    from intermodal.cli.up import resident_of
    from intermodal.local.servers.lifecycle import all_servers

    for server in all_servers(os.environ):
        spec, state = server.wanted, server.state
        if state is not None and server.phase == "ready":
            memory = resident_of(server) or 0
            foreseen = f" ({memory_size(server.memory[2])} at most, {server.foreseen.words})" if server.foreseen else ""
            what = f"{state.base_url}, {memory_size(memory)} of memory{foreseen}, {state.context:,} tokens of context"
            yield DoctorFinding(area="up", name=spec.name, state="ok", what=what)
        elif server.phase == "failed":
            yield DoctorFinding(
                area="up",
                name=spec.name,
                state="broken",
                what=state.reason if state is not None else "",
                todo=f"see {server.log}, then: intermodal up {spec.requested}",
            )
        else:
            reason = f": {state.reason}" if state is not None and state.reason else ""
            todo = "" if server.phase in ("starting", "restarting") else "a plan that needs it starts it"
            found: State = "ok" if server.phase != "restarting" else "off"
            yield DoctorFinding(area="up", name=spec.name, state=found, what=f"{server.phase}{reason}", todo=todo)


def _about_lessons(client: AsyncClient, catalog: Catalog) -> Iterator[DoctorFinding]:
    """Yield the inputs that endpoints were found to accept and refuse, if the findings are still valid."""
    from intermodal.cli.rendering.server_text import lesson_words, lessons_of

    for lesson in lessons_of(catalog.endpoints, client):
        yield DoctorFinding(area="learned", name=lesson.endpoint, state="ok", what=lesson_words(lesson))


def _about_store(client: AsyncClient) -> Iterator[DoctorFinding]:
    """Yield whether runs can be recorded, and the contents of the store.

    If runs cannot be recorded, each run would be refused before anything is sent.
    """
    from intermodal.errors import StoreError

    try:
        client.store.check()
        summary, drifts = client.store.summary(), client.store.drifts()
    except StoreError as error:
        wording = error.wording_for("command line")
        todo = wording.todo or "move that file away"
        yield DoctorFinding(area="store", name="", state="broken", what=f"{wording.where} {wording.what}", todo=todo)
        return
    finally:
        client.store.close()
    what = f"{client.store.path}; {summary.attempts:,} attempts, {summary.open} open"
    yield DoctorFinding(area="store", name="", state="ok", what=what)
    yield from (_about_counts(each) for each in summary.beside if each.learned)
    yield from map(_about_drift, drifts)


def _about_counts(each: EstimateComparison) -> DoctorFinding:
    """Return a finding about an endpoint whose server counts tokens differently, with the correction that plans use."""
    return DoctorFinding(
        area="estimate", name=each.endpoint, state="ok",
        what=f"tokens in: {each.input_estimated:,.0f} estimated, {each.input_counted:,} counted over {each.runs} runs; "
        f"plans use {each.learned}",
    )  # fmt: skip


def _about_drift(drift: Drift) -> DoctorFinding:
    """Return a finding about a figure or rule that is wrong by more than its range allows."""
    stated_range, measured_range = (f"{span.low:.3g} to {span.high:.3g}" for span in (drift.stated, drift.seen))
    return DoctorFinding(
        area="estimate", name=drift.endpoint, state="off", drift=drift,
        what=f"{drift.figure}: {measured_range} {drift.unit} measured, the catalog says {stated_range} "
        f"(q-error {drift.q_error:.1f} over {drift.count} runs since {drift.since})",
        todo="nothing to do: plans use your measurements already" if drift.learned
        else "plans learn it after a few more runs; if it stays, the row or rule is wrong: report it",
    )  # fmt: skip


def _working_tasks(catalog: Catalog) -> Iterator[DoctorFinding]:
    """Yield, for each thing that people ask for, the strongest endpoint that can be called now."""
    from intermodal.core.request import TIERS
    from intermodal.planner.catalog_index import is_allowed

    abilities = (
        ("answers", "text-generation", "intermodal pull smollm2-135m-instruct"),
        ("hears speech", "automatic-speech-recognition", "intermodal pull whisper-base"),
        ("reads images", "image-to-text", "pip install 'intermodal[embedded]'"),
        (
            "sees images",
            "image-text-to-text",
            "intermodal pull --best --for sight, or a host that serves such a model: intermodal hosts add --help",
        ),
        ("embeds", "feature-extraction", "pip install 'intermodal[embedded]'"),
    )
    for name, task, todo in abilities:
        tiers = {
            e.id: s.tier
            for e in catalog.endpoints
            for s in e.model.strength
            if s.task == task and e.ready and is_allowed(e, catalog)
        }
        if not tiers:
            yield DoctorFinding(area="able", name=name, state="missing", what="no model is ready", todo=todo)
            continue
        best = max(tiers, key=lambda id: TIERS.index(tiers[id]))
        weak = TIERS.index(tiers[best]) < TIERS.index("medium")
        hint = "stronger: intermodal pull --best, or intermodal hosts add" if weak and task == "text-generation" else ""
        yield DoctorFinding(area="able", name=name, state="ok", what=f"{best} ({tiers[best]})", todo=hint)
