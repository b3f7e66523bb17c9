"""llama.cpp's own server from the package: ``python -m intermodal.local.servers.llama_server JSON``.

It ends with its supervisor. Context shift is off: a prompt that is too long is rejected with its size instead of being
truncated.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any


def main() -> None:
    xllamacpp: Any = importlib.import_module("xllamacpp")  # it has no types
    settings = json.loads(sys.argv[1])
    parameters = _parameters(xllamacpp, settings, os.environ.pop("LLAMA_API_KEY"))
    # By default the signal ends the process at once, whatever llama.cpp's threads are doing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = xllamacpp.Server(parameters)
    sys.stderr.write(f"listening on {server.listening_address}\n")  # its log
    while True:
        signal.pause()


def _parameters(xllamacpp: Any, settings: dict[str, Any], key: str) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings["model"]
    if settings["projector"]:
        parameters.mmproj.path = settings["projector"]
    parameters.model_alias = {settings["alias"]}
    parameters.hostnames, parameters.port, parameters.api_keys = ["127.0.0.1"], settings["port"], [key]
    parameters.n_ctx, parameters.n_parallel = settings["context"] * settings["slots"], settings["slots"]
    parameters.ctx_shift = False
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = settings["threads"]
    parameters.ui = parameters.endpoint_slots = False  # slots would show other requests' prompts
    parameters.endpoint_metrics = True
    parameters.verbosity = 4  # logs the size of each buffer on loading, and no text of requests
    parameters.cache_ram_mib = 0  # prompts of past requests are not kept in memory
    if settings["embeds"]:
        parameters.embedding = True
    return parameters


if __name__ == "__main__":
    main()
