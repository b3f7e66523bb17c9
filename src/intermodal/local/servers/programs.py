"""The programs that serve models, as a table: how each is found, started, and checked for activity.

Every server listens on 127.0.0.1 only, with a random key in its environment: process listings show arguments, but not
the environment.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import msgspec

from intermodal.core.content import Value
from intermodal.local.hardware import model_measurements
from intermodal.local.hardware.machine import cores, machine_snapshot, thread_wait_policy
from intermodal.local.servers.memory_estimate import cache_space
from intermodal.local.servers.records import ServerSpec

# Environment variables that a server inherits: they locate its libraries and configure its processors. No keys.
_INHERIT = (
    "PATH", "HOME", "USER", "TMPDIR", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "SYSTEMROOT", "XDG_CACHE_HOME",
)  # fmt: skip
_INHERIT_FAMILIES = ("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "GGML_", "OMP_", "GOMP_", "LLAMA_ARG_", "VLLM_CPU_")
_PACKAGES = ("xllamacpp",)  # programs that are a package of this Python
_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


class StartCommand(Value):
    """A command, and the variables to add to the environment."""

    command: tuple[str, ...]
    env: dict[str, str]


class ServerProgram(Value):
    """How to start one kind of server.

    Attributes:
        what: display name. takes: "gguf" or "folder".
        find: returns its path, "" if it is missing. todo: how to install it.
        start: returns the command for a model, a port and a key.
        counters: names in its ``/metrics`` that change or are not 0 while it is busy.
        patience: seconds until it must answer. quirks: as in a host row.
    """

    what: str
    takes: str
    find: Callable[[], str]
    todo: str
    start: Callable[[ServerSpec, int, str], StartCommand]
    counters: tuple[str, ...]
    patience: float
    quirks: tuple[str, ...] = ()


def program_version(key: str, path: str) -> str:
    """Return the identity of a program for corrections: a package's version, else the file with size and time."""
    if key not in _PACKAGES:
        return model_measurements.file_key(path)
    try:
        return f"{key} {version(key)}"
    except PackageNotFoundError:
        return ""


def environment(start: StartCommand, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of the server process."""
    env = os.environ if env is None else env
    inherited = {key: value for key, value in env.items() if key in _INHERIT or key.startswith(_INHERIT_FAMILIES)}
    return {**inherited, **_QUIET, **start.env}


def _llama_server(spec: ServerSpec, port: int, key: str) -> StartCommand:
    """Build the command of llama-server.

    Options that only newer builds have are set in the environment, which older builds ignore.
    """
    more = [*(["--mmproj", spec.projector] if spec.projector else []), *(["--embeddings"] if spec.embeds else [])]
    command = (
        spec.path, "-m", spec.model, "-a", spec.served_as, "--host", "127.0.0.1", "--port", str(port),
        "-c", str(spec.context * spec.slots), "-np", str(spec.slots), "-t", str(cores()),
        "--metrics", "--no-slots", "--no-webui", *more,
    )  # fmt: skip
    return StartCommand(
        command=command,
        env={"LLAMA_API_KEY": key, "LLAMA_ARG_CACHE_RAM": "0", "LLAMA_ARG_OFFLINE": "1", **thread_wait_policy()},
    )


def _package(spec: ServerSpec, port: int, key: str) -> StartCommand:
    parameters = {
        "model": spec.model, "projector": spec.projector, "alias": spec.served_as, "port": port,
        "context": spec.context, "slots": spec.slots, "embeds": spec.embeds, "threads": cores(),
    }  # fmt: skip
    command = (spec.path, "-P", "-m", "intermodal.local.servers.llama_server", msgspec.json.encode(parameters).decode())
    return StartCommand(command=command, env={"LLAMA_API_KEY": key, **thread_wait_policy()})


def _vllm(spec: ServerSpec, port: int, key: str) -> StartCommand:
    """Build the command of vLLM. If a Python is given, through its module, which works with every build."""
    runner: tuple[str, ...] = (spec.path, "-P", "-m", "vllm.entrypoints.openai.api_server", "--model", spec.model)
    if not os.path.basename(spec.path).startswith("python"):
        runner = (spec.path, "serve", spec.model)
    more: tuple[str, ...] = ()
    env = {"VLLM_API_KEY": key, "VLLM_NO_USAGE_STATS": "1"}
    if not machine_snapshot().gpus:  # on a CPU, compiling takes minutes, and gigabytes are reserved for the KV cache
        more = ("--enforce-eager",)
        env["VLLM_CPU_KVCACHE_SPACE"] = str(round(cache_space(spec.model, spec.context, spec.slots) / (1 << 30)))
    command = (
        *runner, "--served-model-name", spec.served_as, "--host", "127.0.0.1", "--port", str(port),
        "--max-model-len", str(spec.context), "--max-num-seqs", str(spec.slots), *more,
    )  # fmt: skip
    return StartCommand(command=command, env=env)


def _is_installed_here(module: str) -> str:
    try:
        return sys.executable if find_spec(module) is not None else ""
    except (ImportError, ValueError):
        return ""


_LLAMA_COUNTERS = (
    "llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total", "llamacpp:n_decode_total",
    "llamacpp:requests_processing", "llamacpp:requests_deferred",
)  # fmt: skip
# As in the row of the embedded llama.cpp, which is the same server.
_LLAMA_QUIRKS = (
    "bounded_schema", "grammar", "many_logprobs", "top_k", "min_p", "typical_p", "repeat_penalty",
)  # fmt: skip
# The user's own programs come first, because they may support a GPU and the package does not.
PROGRAMS: Mapping[str, ServerProgram] = {
    "llama-server": ServerProgram(
        what="llama.cpp (llama-server)", takes="gguf", find=lambda: shutil.which("llama-server") or "",
        todo="install llama.cpp, so that llama-server is on the PATH", start=_llama_server, counters=_LLAMA_COUNTERS,
        patience=600.0, quirks=_LLAMA_QUIRKS,
    ),
    "xllamacpp": ServerProgram(
        what="llama.cpp (xllamacpp)", takes="gguf", find=lambda: _is_installed_here("xllamacpp"),
        todo="run: pip install 'intermodal[embedded]', or install llama.cpp", start=_package, counters=_LLAMA_COUNTERS,
        patience=600.0, quirks=_LLAMA_QUIRKS,
    ),
    "vllm": ServerProgram(
        what="vLLM", takes="folder", find=lambda: _is_installed_here("vllm") or shutil.which("vllm") or "",
        todo="run: pip install vllm", start=_vllm,
        counters=("vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:num_requests_running"),
        patience=1200.0,
    ),
}  # fmt: skip
