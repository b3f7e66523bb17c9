"""Find the model that ``intermodal fit`` is asked about; only headers are read, locally or over HTTP ranges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from intermodal.errors import NotInstalled, UnknownModel, UsageError
from intermodal.hints import setting
from intermodal.local.servers.resolver import locate_model
from intermodal.local.weights.registry import HubSource
from intermodal.local.weights.store import WeightsStore
from intermodal.sizing.model_sources import SizedModel, local_model, remote_model
from intermodal.sizing.model_stores import StoredModel, stored_models
from intermodal.sizing.shape import ModelShape

REMOTE = ("hf:", "http://", "https://")


def find_model(said: str, weights: WeightsStore, env: Mapping[str, str]) -> SizedModel:
    """A path, a URL, ``hf:OWNER/REPO[/FILE][:QUANT][@REVISION]``, a name of ``pull --list`` or of another program's.

    Raises:
        UsageError: it names several models, or none of its kind. UnknownModel, InputMissing, NotInstalled: it is not
            there. WeightsError: it is damaged, or cannot be had.
    """
    import anyio

    if said.startswith(REMOTE):
        return anyio.run(_remote, said, env)
    try:
        path, _ = locate_model(said, weights)
    except NotInstalled:
        source = _of_hub(said, weights)
        if not source:
            raise
        return anyio.run(_remote, source, env)
    except UnknownModel as unknown:
        stored = _stored(said, env)
        if stored is None:
            raise UnknownModel(
                "is neither a file, nor a name of pull --list, nor a model of Ollama, LM Studio or the hub's cache",
                where=said, todo=f"{unknown.todo}; of the hub: hf:OWNER/REPO" if unknown.todo else "name a GGUF file",
            ) from None  # fmt: skip
        path = Path(stored.path)
    return local_model(path)


def find_projector_and_draft(
    projector: str, draft: str, weights: WeightsStore, env: Mapping[str, str]
) -> tuple[ModelShape | None, ModelShape | None]:
    """A projector and a draft model; None for one that is not named. Raises UsageError for what is not one."""
    return (
        _in_role(projector, "projector", setting("mmproj"), weights, env) if projector else None,
        _in_role(draft, "model", setting("draft"), weights, env) if draft else None,
    )


def _in_role(said: str, role: str, where: str, weights: WeightsStore, env: Mapping[str, str]) -> ModelShape:
    shape = find_model(said, weights, env).shape
    if shape.role != role:
        raise UsageError(f"{Path(said).name} is a {shape.role}", where=where, todo=f"name a {role}")
    return shape


async def _remote(said: str, env: Mapping[str, str]) -> SizedModel:
    return await remote_model(said, env=env)


def _of_hub(said: str, weights: WeightsStore) -> str:
    """Where a hub has the model of a row that is not pulled yet; "" where none does."""
    row = next((row for row in weights.rows() if row.name == said), None)
    if row is not None and row.hub and not row.files:
        return row.hub
    origins = [origin for file in row.files if file.name == row.main for origin in file.origins] if row else []
    return next((str(origin) for origin in origins if isinstance(origin, HubSource)), "")


def _stored(said: str, env: Mapping[str, str]) -> StoredModel | None:
    home = Path(env["HOME"]) if env.get("HOME") else None
    return next((model for model in stored_models(env, home) if model.name == said), None)
