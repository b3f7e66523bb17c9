"""Child: a language model behind llama.cpp's own server, on a random port of 127.0.0.1, protected by a random key."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from intermodal.concurrency.worker_process import serve
from intermodal.local.embedded.child_support import import_library, load_model, thread_count
from intermodal.local.tokenizers.template_marks import template_marks

_servers: dict[str, tuple[Any, str, tuple[str, ...]]] = {}


def start(path: str, name: str, context: int, projector: str = "") -> dict[str, Any]:
    """Start the server (once), and return its address, its key, and the model's template marks.

    Template marks are strings that the model treats as template tokens. ``projector``: the image or audio projector, ""
    for none. The server has one slot, so that a request gets the whole context. Context shift is off: a prompt that is
    too long is rejected with its size instead of being truncated.
    """
    if path not in _servers:
        xllamacpp = import_library("xllamacpp")
        key = secrets.token_urlsafe(24)
        parameters = _parameters(xllamacpp, path, name, context, key)
        if projector:
            parameters.mmproj.path = projector
        _servers[path] = (load_model(name, lambda: xllamacpp.Server(parameters)), key, template_marks(Path(path)))
    server, key, marks = _servers[path]
    return {"base_url": f"{server.listening_address}/v1", "key": key, "marks": marks}


def _parameters(xllamacpp: Any, path: str, name: str, context: int, key: str) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.model_alias = {name}  # otherwise every answer contains a local path
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.ctx_shift = False
    parameters.cpuparams.n_threads = thread_count()
    parameters.cpuparams_batch.n_threads = thread_count()
    parameters.ui = False
    parameters.endpoint_slots = False  # it would expose other requests' prompts
    parameters.warmup = False  # it takes 0.1 s per start, without benefit on a CPU
    parameters.cache_ram_mib = 0  # prompts of past requests are not kept in memory
    parameters.verbosity = -1
    return parameters


def ping() -> bool:
    return True


if __name__ == "__main__":
    serve({"load": start, "ping": ping})
