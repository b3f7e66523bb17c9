"""``intermodal fit --check``: compare predicted with measured memory, of a running server or from its log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from intermodal.catalog.discovered_servers import is_this_machine
from intermodal.config.config_file import cache_dir
from intermodal.core.content import Value
from intermodal.core.hints import hint, setting
from intermodal.core.quantity import Quantity
from intermodal.core.today import today
from intermodal.errors import CredentialsRefused, InputMissing, IntermodalError, Unreachable, UsageError
from intermodal.local.hardware.model_measurements import save_correction
from intermodal.local.servers.footprint import ServerFootprint, candidate_key_variables, read_footprint
from intermodal.local.servers.memory_comparison import MemoryComparison, compare_memory
from intermodal.local.servers.records import ServerRecords, ServerState, all_records, latest_start_log
from intermodal.local.weights.store import WeightsStore
from intermodal.model_fit.fit import (
    REMOTE,
    FitQuery,
    VllmReport,
    check_fit,
    find_model,
    find_projector_and_draft,
    this_machine,
)
from intermodal.model_fit.fit_output import FIT_VERSION, correction, plain_amount, rows
from intermodal.sizing.machines import without_cards
from intermodal.sizing.memory import Correction, TermComparison, compare_terms, logged_terms
from intermodal.sizing.speed import model_speed

# Default addresses of llama-server, vLLM and Ollama.
USUAL = ("http://127.0.0.1:8080", "http://127.0.0.1:8000", "http://127.0.0.1:11434")
_MOST_LOG = 64 << 20  # bytes
_WEB = ("http://", "https://")
_PLACE = re.compile(r"[\w.-]+:\d+(/v1)?/?")  # an address without its scheme


class FitComparison(Value):
    """Predicted and measured memory of a model.

    Attributes:
        model: its name. server: None for a log. rows: predicted and measured terms. correction: the stored correction,
            None if nothing was stored. notes: terms that could not be compared, each a clause. decode, prefill:
            predicted tokens per second.
    """

    model: str
    rows: tuple[TermComparison, ...]
    server: ServerFootprint | None = None
    correction: Correction | None = None
    notes: tuple[str, ...] = ()
    decode: Quantity = Quantity()
    prefill: Quantity = Quantity()


def compare_with_actual(query: FitQuery, target: str, weights: WeightsStore, env: Mapping[str, str]) -> FitComparison:
    """Compare the prediction with a server or a log.

    ``target``: an address, the name of a server of ``intermodal up``, a log file, or "" to look for a server of
    ``wish.model``.

    Raises:
        Unreachable: no such server answers. CredentialsRefused: the server wants a key. InputMissing: the log does not
            exist. UsageError: the log has no buffer sizes, or no model is named for it.
    """
    target = _address(target)
    place = (
        _server_at_address(target, env)
        if target.startswith(_WEB)
        else _records_of_server(target, env)
        if target
        else None
    )
    if place is None and target.startswith(_WEB):
        return _server(query, _server_at(target, query.model, env), weights, env)
    if place is not None:
        return _server(query, _running_server(place), weights, env)
    if target:
        return _log(query, target, weights, env)
    return _server(query, _find_server(query.model, weights, env), weights, env)


def is_server(target: str, env: Mapping[str, str]) -> bool:
    """Return whether ``target`` names a server rather than a model: an address, or a name of ``intermodal up``.

    Raises UsageError for an invalid address, or for a name of ``up`` that no server has.
    """
    if _address(target).startswith(_WEB) or _records_of_server(target, env) is not None:
        return True
    if target.startswith("up."):
        raise UsageError(f"no server is called {target}", where=setting("check"), todo="see: intermodal up")
    return False


def _address(target: str) -> str:
    """Return an address with its scheme; other values are returned unchanged."""
    address = f"http://{target}" if _PLACE.fullmatch(target) else target
    if not address.startswith(_WEB):
        return target
    try:
        parts = urlsplit(address)
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(
            f"{target} is no address", where=setting("check"), todo=hint("write {check=}", "http://127.0.0.1:8080")
        )
    return address


# ---- a server ----------------------------------------------------------------------------------------


def _server(
    query: FitQuery, footprint: ServerFootprint, weights: WeightsStore, env: Mapping[str, str]
) -> FitComparison:
    if query.gpus or query.ram:
        raise UsageError(
            "compares on this machine, and another one is named", where=setting("check"), todo="leave one out"
        )
    sized = find_model(_file(query.model, footprint), weights, env)
    projector, draft = find_projector_and_draft(
        query.projector or footprint.projector, query.draft or footprint.draft, weights, env
    )
    machine = this_machine(env)
    comparison = compare_memory(sized.shape, footprint, machine, today(), projector=projector, draft=draft)
    if comparison.correction is not None:
        comparison = _save_comparison(comparison, sized.where, env)
    speed = None
    if footprint.settings is not None and (footprint.written or footprint.read):
        on = machine if footprint.settings.gpu_layers else without_cards(machine)
        speed = model_speed(sized.shape, footprint.settings, on)
    return FitComparison(
        model=Path(sized.where).name, rows=comparison.rows, server=footprint, correction=comparison.correction,
        notes=comparison.notes,
        decode=speed.decode if speed else Quantity(), prefill=speed.prefill if speed else Quantity(),
    )  # fmt: skip


def _save_comparison(memory_comparison: MemoryComparison, where: str, env: Mapping[str, str]) -> MemoryComparison:
    if memory_comparison.correction is not None and save_correction(
        cache_dir(env), where, memory_comparison.correction
    ):
        return memory_comparison
    return replace(
        memory_comparison,
        correction=None,
        notes=(*memory_comparison.notes, "the cache folder cannot be written: nothing is kept"),
    )


def _file(model: str, footprint: ServerFootprint) -> str:
    """Return the model to read: the named one, otherwise the one the server reports."""
    if model:
        return model
    if footprint.engine == "vllm" and not Path(footprint.model).exists() and footprint.model.count("/") == 1:
        return f"hf:{footprint.model}"
    return footprint.model


def _find_server(model: str, weights: WeightsStore, env: Mapping[str, str]) -> ServerFootprint:
    """Return the server that serves a model: one of ``intermodal up``, otherwise one on a usual port."""
    where = "" if model.startswith(REMOTE) else find_model(model, weights, env).where
    for place in all_records(env):
        settings = place.read_spec() if where and _ready_state(place) is not None else None
        if settings is not None and Path(settings.model).resolve() == Path(where).resolve():
            return _running_server(place)
    locked: list[str] = []
    for address in USUAL:
        try:
            found = read_footprint(address, model_name=model)  # without a key: an unknown server may be listening there
        except CredentialsRefused:
            locked.append(address)
            continue
        except IntermodalError:
            continue
        if _is_server_of(found, model, where):
            return found
    wants = f"; {' and '.join(locked)} want{'s' if len(locked) == 1 else ''} a key: it is sent to a named address alone"
    raise Unreachable(
        f"no server that answers serves it{wants if locked else ''}", where=model, sent=False,
        todo=hint("start one (intermodal up {}), or name its address: {check=}", model, [*locked, USUAL[0]][0]),
    )  # fmt: skip


def _server_at(address: str, model: str, env: Mapping[str, str]) -> ServerFootprint:
    """Return the server at ``address``, with its key if it wants one; keys of other programs are not sent."""
    try:
        return read_footprint(address, model_name=model)
    except CredentialsRefused as wants:
        refused = wants
    tried: list[str] = []
    for name in candidate_key_variables(address):
        if env.get(name):
            tried.append(name)
            with suppress(CredentialsRefused):
                return read_footprint(address, key=env[name], model_name=model)
    if not tried:
        raise refused
    raise CredentialsRefused(
        f"refuses the key in {' and in '.join(tried)}", where=refused.where or address, sent=False,
        todo="set it to the key that the server was started with",
    )  # fmt: skip


def _is_server_of(footprint: ServerFootprint, model: str, where: str) -> bool:
    path = Path(footprint.model)
    if where and path.exists():
        return path.resolve() == Path(where).resolve()
    return footprint.model in (model, model.removeprefix("hf:"), f"{model}:latest")


def _records_of_server(name: str, env: Mapping[str, str]) -> ServerRecords | None:
    plain = name.removeprefix("up.")
    return next((place for place in all_records(env) if place.name == plain and place.read_spec() is not None), None)


def _ready_state(place: ServerRecords) -> ServerState | None:
    """Return the state of a running server that is ready; None otherwise."""
    state = place.state()
    return state if state is not None and state.phase == "ready" and state.is_alive else None


def _running_server(place: ServerRecords) -> ServerFootprint:
    state = _ready_state(place)
    if state is None:
        raise Unreachable("does not run now", where=f"up.{place.name}", todo="start it: intermodal up MODEL",
                          sent=False)  # fmt: skip
    return read_footprint(state.base_url, key=state.key, log=latest_start_log(place.log))


def _server_at_address(address: str, env: Mapping[str, str]) -> ServerRecords | None:
    """Return the server of ``intermodal up`` at ``address``, whose log and key are known."""
    port = urlsplit(address).port
    for place in all_records(env) if port and is_this_machine(address) else ():
        state = _ready_state(place)
        if state is not None and state.port == port:
            return place
    return None


# ---- a log -------------------------------------------------------------------------------------------


def _log(query: FitQuery, path: str, weights: WeightsStore, env: Mapping[str, str]) -> FitComparison:
    """Compare with a log. The settings are taken from the query, so no correction is stored."""
    if not query.model:
        raise UsageError("a log is compared with a model, and none is named", where="MODEL", todo="name one")
    try:
        with Path(path).open(errors="replace") as file:
            log = file.read(_MOST_LOG)
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise InputMissing(
            f"cannot be read ({reason})", where=path, todo="name a log, an address, or a server of intermodal up"
        ) from None
    if not logged_terms(log):
        raise UsageError("has no line about buffers", where=path, todo="start llama-server with -v, and keep its log")
    report = check_fit(query, weights, env)
    if isinstance(report, VllmReport):
        raise UsageError(
            "a log is compared with llama.cpp's memory only", where=setting("check"), todo="name its address"
        )
    return FitComparison(
        model=report.name, rows=compare_terms(report.placed.memory, log), notes=("a log alone keeps nothing",)
    )


# ---- words -------------------------------------------------------------------------------------------


def document(comparison: FitComparison) -> dict[str, Any]:
    """Return the comparison as JSON data, in bytes or tokens by term."""
    server = comparison.server
    return {
        "fit_version": FIT_VERSION, "model": comparison.model,
        "server": None if server is None else {
            "engine": server.engine, "address": server.address, "build": server.build, "model": server.model,
            "context": server.settings.context if server.settings else None,
            "slots": server.settings.slots if server.settings else server.serving.slots if server.serving else None,
        },
        "compared": rows(comparison.rows),
        "speed": None if server is None or not server.written else {
            "written": server.written, "predicted": plain_amount(comparison.decode), "read": server.read or None,
            "predicted_read": plain_amount(comparison.prefill),
        },
        "correction": correction(comparison.correction),
        "notes": list(comparison.notes),
    }  # fmt: skip
