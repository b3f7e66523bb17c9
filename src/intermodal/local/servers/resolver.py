"""Resolves a user's model name (a file, a folder, a name of ``pull --list``) to a server specification."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from intermodal.catalog.host_rows import ServedRow
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.core.content import Value
from intermodal.core.hints import hint, setting
from intermodal.errors import InputMissing, NotInstalled, UnknownModel, UsageError
from intermodal.local.hardware.model_measurements import load_corrections
from intermodal.local.servers.memory_estimate import folder_memory, gguf_memory
from intermodal.local.servers.programs import PROGRAMS, program_version
from intermodal.local.servers.records import ServerSpec
from intermodal.local.weights.registry import WeightsRow
from intermodal.local.weights.store import LISTED, WeightsStore
from intermodal.sizing.memory import Correction
from intermodal.sizing.model_sources import local_model
from intermodal.sizing.shape import ModelShape

CONTEXT = 8192  # default context in tokens, if the model has more; as in the rows of embedded models
IDLE = 15 * 60.0  # seconds
_NAME = re.compile(r"[^a-z0-9.-]+")


class ServerRequest(Value):
    """A user's request for a server. "", 0 and None leave the choice to intermodal."""

    model: str
    projector: str = ""
    name: str = ""
    program: str = ""
    context: int = 0
    slots: int = 1
    idle: float = IDLE


def resolve_server(request: ServerRequest, weights: WeightsStore, folder: Path | None = None) -> ServerSpec:
    """Return the server specification for a request. ``folder``: the cache folder with memory corrections.

    Raises:
        UnknownModel: neither a file nor a known name. InputMissing: the file does not exist.
        NotInstalled: weights or a program are missing. WeightsError: the file is damaged. UsageError: it cannot be
            served.
    """
    path, row = locate_model(request.model, weights)
    if path.is_dir():
        return _folder(request, path)
    eyes = weights.projector(row.name) if row is not None and not request.projector else None
    if eyes is not None:
        request = replace(request, projector=str(eyes))
    row = row or _same_file(path, weights)
    corrections = load_corrections(folder, path) if folder is not None else ()
    return _gguf(request, path, row, _rows_by_weights(weights).get(row.name) if row is not None else None, corrections)


def locate_model(model: str, weights: WeightsStore) -> tuple[Path, WeightsRow | None]:
    """Return the file or folder of a model, and its row if it was named by one.

    Raises:
        UnknownModel: neither a file nor a known name. InputMissing: the file does not exist.
        NotInstalled: its weights are not on this machine. UsageError: its runtime is not a server.
    """
    path = Path(model).expanduser()
    if path.exists():
        return path.resolve(), None
    rows = {row.name: row for row in weights.rows()}
    if model in rows:
        return _pulled_file(rows[model], weights), rows[model]
    if os.sep in model or model.endswith((".gguf", ".safetensors")):
        raise InputMissing("there is no such file", where=model, todo="check the path")
    by_model = {served_row.id: name for name, served_row in _rows_by_weights(weights).items() if name in rows}
    if model in by_model:
        return _pulled_file(rows[by_model[model]], weights), rows[by_model[model]]
    llama = [row for row in rows.values() if row.runtime == "llama"]
    todo = weights.similar_names(model, llama) or f"name a GGUF file, or see: {LISTED}"
    raise UnknownModel("is neither a file nor a name of pull --list", where=model, todo=todo)


def _pulled_file(row: WeightsRow, weights: WeightsStore) -> Path:
    if row.runtime != "llama":
        raise UsageError(
            f"{row.name} is for the {row.runtime} runtime, which a run starts in its own process",
            where="intermodal up", todo="nothing has to be started for it",
        )  # fmt: skip
    path = weights.path(row.name)
    if path is None:
        raise NotInstalled("its weights are not on this machine", where=row.name, todo=f"run: {row.pull}")
    return path


def _same_file(path: Path, weights: WeightsStore) -> WeightsRow | None:
    """Return the row with this file, matched by name and size, so that known facts about the model apply."""
    size = path.stat().st_size
    return next(
        (row for row in weights.rows() for file in row.files if (file.name, file.size) == (path.name, size)), None
    )


def _rows_by_weights(weights: WeightsStore) -> Mapping[str, ServedRow]:
    """Return the models of embedded runtimes, by the name of their weights."""
    pulled = {served_row.weights: served_row for served_row in weights.llama_rows()}
    return {
        **pulled,
        **{served.weights: served for host in shipped_rows().hosts for served in host.models if served.weights},
    }


# ---- a file of llama.cpp ---------------------------------------------------------------------------


def _gguf(
    request: ServerRequest,
    path: Path,
    row: WeightsRow | None,
    known: ServedRow | None,
    corrections: tuple[Correction, ...],
) -> ServerSpec:
    found = local_model(path)
    shape = found.shape
    if shape.role == "projector":
        raise UsageError(
            f"{path.name} is a projector, which lets a model take images or audio", where="intermodal up",
            todo=hint("name the model, and this with {mmproj}"),
        )  # fmt: skip
    eyes = _projector(request)
    context = _context(request, shape.context)
    name = request.name or _slug(row.name if row is not None else path.stem)
    program, run = _program(request, "gguf")
    projector = [Path(request.projector).expanduser().resolve()] if request.projector else []
    files = [*(path.with_name(part) for part, _ in found.files), *projector]
    encoders = [encoder.kind for encoder in eyes.encoders] if eyes is not None else []
    return ServerSpec(
        name=name, requested=request.model, program=program, path=run,
        model=str(path), projector=str(projector[0]) if projector else "", digest=_digest(files),
        model_id=known.id if known is not None else f"local/{name}", served_as=name,
        weights="", context=context, slots=request.slots, idle=request.idle,
        memory=gguf_memory(shape, eyes, context, request.slots, corrections, program_version(program, run)),
        disk=sum(file.stat().st_size for file in files),
        parameters=float(shape.parameters), embeds=shape.pools,
        sees="vision" in encoders, hears="audio" in encoders, since=_utc_now_text(),
    )  # fmt: skip


def _projector(request: ServerRequest) -> ModelShape | None:
    if not request.projector:
        return None
    path = Path(request.projector).expanduser()
    if not path.is_file():
        raise InputMissing("there is no such file", where=request.projector, todo=hint("check the path after {mmproj}"))
    shape = local_model(path).shape
    if shape.role != "projector":
        raise UsageError(
            f"{path.name} is a model and no projector", where=setting("mmproj"), todo="name the mmproj file"
        )
    return shape


# ---- a folder of vLLM ------------------------------------------------------------------------------


def _folder(request: ServerRequest, path: Path) -> ServerSpec:
    if request.projector:
        raise UsageError("a folder has its own vision and audio weights", where=setting("mmproj"), todo="leave it out")
    shape = local_model(path).shape
    context = _context(request, shape.context)
    name = request.name or _slug(path.name)
    program, run = _program(request, "folder")
    return ServerSpec(
        name=name, requested=request.model, program=program, path=run, model=str(path),
        digest=_digest(sorted(path.glob("*.safetensors"))), model_id=f"local/{name}", served_as=name,
        context=context, slots=request.slots, idle=request.idle, memory=folder_memory(shape, context, request.slots),
        disk=shape.weights, parameters=float(shape.parameters), since=_utc_now_text(),
    )  # fmt: skip


# ---- shared -----------------------------------------------------------------------------------------


def _context(request: ServerRequest, trained: int | None) -> int:
    if not request.context:
        return min(trained or CONTEXT, CONTEXT)
    if trained and request.context > trained:
        raise UsageError(
            f"{request.context:,} tokens are more than the {trained:,} the model was trained for",
            where=setting("context"),
            todo=f"say at most {trained}",
        )  # fmt: skip
    return request.context


def _program(request: ServerRequest, takes: str) -> tuple[str, str]:
    """Return key and path of the program: the user's choice, else the first one installed."""
    given_program = request.program
    if given_program and os.sep in given_program:
        path = Path(given_program).expanduser()
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise InputMissing(
                "there is no such program", where=given_program, todo=hint("check the path after {program}")
            )
        key = "vllm" if path.name.startswith(("python", "vllm")) else "llama-server"
        given_program, run = (
            key,
            str(path.absolute()),
        )  # not resolved, because the Python of a virtual environment is a link
    elif given_program and given_program not in PROGRAMS:
        raise UsageError(
            f"no program called {given_program!r}",
            where=setting("program"),
            todo=f"one of {', '.join(PROGRAMS)}, or a path",
        )
    else:
        run = ""
    able = [key for key, program in PROGRAMS.items() if program.takes == takes and given_program in ("", key)]
    if not able:
        what = "a GGUF file" if takes == "gguf" else "a folder of safetensors"
        raise UsageError(f"{given_program} does not serve {what}", where=setting("program"), todo="leave it out")
    for key in able:
        where = run or PROGRAMS[key].find()
        if where:
            return key, where
    raise NotInstalled(
        f"nothing that serves {'a GGUF file' if takes == 'gguf' else 'a folder of safetensors'} is installed",
        where=request.model, todo=PROGRAMS[able[-1]].todo,
    )  # fmt: skip


def _digest(files: list[Path]) -> str:
    """Return names, sizes and times of files, to detect a replaced file."""
    stats = [(str(file), file.stat()) for file in files]
    return " ".join(f"{os.path.basename(name)}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)


def _slug(name: str) -> str:
    slug = _NAME.sub("-", name.lower()).strip("-.")[:60]
    return slug or "model"


def _utc_now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


__all__ = ["CONTEXT", "IDLE", "ServerRequest", "locate_model", "resolve_server"]
