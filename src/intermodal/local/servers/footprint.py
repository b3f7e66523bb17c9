"""Reads what a running server reports about itself, and the memory of its processes. Requests no inference.

    llama.cpp   /props: file, context of a slot, slots, build; /metrics: tokens a second; its load log and its options
    vLLM        /v1/models: folder or repository, longest text; /metrics: pages and their tokens (cache_config_info)
    Ollama      /api/ps: bytes of memory and of cards, context of what is loaded; /api/show: parameters of the model

Arguments, environment and memory of its processes are visible if it runs on this machine as the same user. Options of
llama-server are converted to settings of the memory formulas; source: llama.cpp, ``common/arg.cpp``. Options that are
not listed are ignored.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from intermodal.catalog.discovered_servers import is_this_machine
from intermodal.core.content import Value
from intermodal.errors import CredentialsRefused, Unreachable, UsageError
from intermodal.local.hardware import model_measurements
from intermodal.local.hardware.gpus import gpu_memory_used_by
from intermodal.local.servers.programs import program_version
from intermodal.local.servers.server_status import (
    http_reply,
    listening_process,
    parse_metrics,
    parse_models,
    parse_object,
    resident_memory,
    unmapped_memory,
)
from intermodal.sizing.shape import ALL, ServingSettings
from intermodal.sizing.vllm import VllmSettings

Engine = Literal["llama.cpp", "vllm", "ollama"]
_PATIENCE: Final = 3.0  # timeout of one request in seconds
# The last match in a load log counts.
_UNIFIED: Final = re.compile(r"kv_unified\s*=\s*'?(true|false)")
_OFFLOADED: Final = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_LABEL: Final = re.compile(r'(?<!\w)(\w+)="((?:[^"\\]|\\.)*)"')
_LLAMA_KEY, _VLLM_KEY = "LLAMA_API_KEY", "VLLM_API_KEY"  # environment variables read by the programs themselves
_CACHE_CONFIG: Final = "vllm:cache_config_info{"
_MODULE: Final = "intermodal.local.servers.llama_server"


class ServerProcess(Value):
    """A process of this machine. ``seen``: whether its arguments were readable."""

    pid: int = 0
    arguments: tuple[str, ...] = ()
    env: dict[str, str] = msgspec.field(default_factory=dict)
    seen: bool = False


class ServerFootprint(Value):
    """The current state of a server.

    Attributes:
        model: file, folder, repository or name that it serves. build: as reported. program: key of the executable, for
            corrections; "" if unknown.
        settings: settings of llama.cpp and Ollama, without projector and draft, which have their own fields. serving:
            settings of vLLM.
        resident: bytes of its processes in memory. on_cards: bytes on GPUs; 0 if unknown. mapped_out: bytes of its
            mapped file that are currently not in memory.
        grows: whether its processes may grow beyond the predicted size over time.
        whole, vram: bytes reported by Ollama. tokens: capacity of vLLM's KV cache.
        written, read: tokens per second so far, 0 if it was idle.
        assumed: facts that it did not report and that were assumed, each a clause.
    """

    engine: Engine
    address: str
    model: str
    build: str = ""
    program: str = ""
    settings: ServingSettings | None = None
    serving: VllmSettings | None = None
    projector: str = ""
    draft: str = ""
    log: str = ""
    resident: int = 0
    mapped_out: int = 0
    on_cards: int = 0
    grows: bool = False
    whole: int = 0
    vram: int = 0
    tokens: int = 0
    written: float = 0.0
    read: float = 0.0
    assumed: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Return a description in one line."""
        found = f"{self.engine} at {self.address}"
        if self.build.lower().startswith(self.engine):
            found = f"{self.build} at {self.address}"
        elif self.build:
            found = f"{self.engine} {self.build} at {self.address}"
        if self.settings is not None:
            each = self.settings.context if self.settings.unified else self.settings.context // self.settings.slots
            slots = self.settings.slots
            found += f", {each:,} tokens of context" + (f" in each of {slots} slots" if slots > 1 else "")
            found += ", of one cache" if self.settings.unified and slots > 1 else ""
        elif self.serving is not None:
            cards = f", {self.serving.cards} cards" if self.serving.cards > 1 else ""
            found += f", texts of {self.serving.length:,} tokens{cards}"
        return found


def candidate_key_variables(address: str) -> tuple[str, ...]:
    """Return the variables that may contain the server's key, judged by its public endpoints; both if unknown.

    vLLM does not protect ``/metrics``, and llama.cpp does not protect its model list.
    """
    root = address.rstrip("/").removesuffix("/v1")
    status, body = http_reply(root, "", "/metrics", seconds=_PATIENCE)
    if status == 200 and _CACHE_CONFIG.encode() in body:
        return (_VLLM_KEY,)
    rows = parse_models(http_reply(root, "", "/v1/models", seconds=_PATIENCE)[1])
    if any(row.get("owned_by") == "llamacpp" for row in rows):
        return (_LLAMA_KEY,)
    return _LLAMA_KEY, _VLLM_KEY


def read_footprint(address: str, *, key: str = "", log: str = "", model_name: str = "") -> ServerFootprint:
    """Query a server. ``log``: its load log, if available; ``model_name``: the model, if it serves several.

    Raises:
        Unreachable: nothing answers there, or the server is none of the three. CredentialsRefused: it requires a key.
        UsageError: no model is loaded, or not the wanted one.
    """
    root = address.rstrip("/").removesuffix("/v1")
    statuses = []
    for path, reader in (("/props", _llama), ("/api/ps", _ollama), ("/metrics", _vllm)):
        status, body = http_reply(root, key, path, seconds=_PATIENCE)
        statuses.append(status)
        if status == 0:
            break
        found = reader(root, key, body, log, model_name) if status == 200 else None
        if found is not None:
            return found
    if any(status in (401, 403) for status in statuses):
        raise _key_error(root)
    if 0 in statuses:
        raise Unreachable("no server answers there", where=root, todo="start it, or name its address", sent=False)
    raise Unreachable(
        "answers, and is not a llama.cpp, vLLM or Ollama that reports its memory", where=root,
        todo="name the address of one of them; of vLLM /metrics must not be switched off", sent=False,
    )  # fmt: skip


def _key_error(root: str) -> CredentialsRefused:
    todo = f"put it into the variable {_LLAMA_KEY} or {_VLLM_KEY}"
    return CredentialsRefused("wants a key", where=root, todo=todo, sent=False)


# ---- llama.cpp ---------------------------------------------------------------------------------------


def _llama(root: str, key: str, body: bytes, log: str, model_name: str) -> ServerFootprint | None:
    props = parse_object(body)
    generation = props.get("default_generation_settings")
    if not isinstance(generation, dict):
        return None
    each, slots = _as_count(generation.get("n_ctx")), max(1, _as_count(props.get("total_slots")))
    if not each:
        raise UsageError("serves no model now", where=root, todo="send it a request, and ask again")
    process = _process(root)
    options = parse_llama_options(process.arguments, process.env)
    package_settings = _of_package(process.arguments)
    on_cards = _bytes_on_gpus(process)
    assumed = [] if process.seen else ["its options, of which none can be seen from here: the usual ones"]
    unified = _has_unified_cache(log, options, slots, package_settings, process, assumed)
    settings = ServingSettings(
        context=each if unified else each * slots, slots=slots, unified=unified, ubatch=options.ubatch,
        type_k=options.type_k, type_v=options.type_v, flash_attention=options.flash != "off", swa_full=options.swa_full,
        gpu_layers=_layers(log, options, on_cards), host_experts=_EVERY if options.all_experts else options.experts,
        cache_on_host=options.cache_on_host, projector_on_host=options.projector_on_host,
    )  # fmt: skip
    decode_speed, read = _speeds(root, key)
    package, said_build = (
        program_version("xllamacpp", "") if package_settings else "",
        str(props.get("build_info") or ""),
    )
    build = package or (f"llama.cpp {said_build}" if said_build else "")
    model = str(props.get("model_path") or options.model or package_settings.get("model") or "")
    return ServerFootprint(
        engine="llama.cpp", address=root, model=model,
        build=build, program=package or _executable(process), settings=settings,
        projector=options.projector or str(package_settings.get("projector") or ""), draft=options.draft, log=log,
        resident=resident_memory(process.pid) if process.pid else 0,
        mapped_out=unmapped_memory(process.pid, model) if process.pid else 0, on_cards=on_cards,
        grows=options.kept and not package_settings, written=decode_speed, read=read, assumed=tuple(assumed),
    )  # fmt: skip


_EVERY: Final = 1 << 16  # layers: more than any model has


def _has_unified_cache(
    log: str, options: LlamaOptions, slots: int, package_settings: Mapping[str, Any], process: ServerProcess,
    assumed: list[str],
) -> bool:  # fmt: skip
    """Return whether slots share one KV cache, from the log, else from the options.

    Without options, newer builds start four slots with a shared cache.
    """
    logged = _UNIFIED.findall(log)
    if logged:
        return bool(logged[-1] == "true")
    if slots == 1 or package_settings:
        return False
    if options.unified is not None:
        return options.unified
    if not process.seen:
        assumed.append("that every slot has a cache of its own")
        return False
    return options.slots == 0


def _layers(log: str, options: LlamaOptions, on_cards: int) -> int:
    """Return the number of layers on GPUs: from the log, else from the options, else all if it uses GPU memory."""
    logged = _OFFLOADED.findall(log)
    if logged:
        some, all_of_them = map(int, logged[-1])
        return ALL if some == all_of_them else some
    if not on_cards:
        return 0
    return ALL if options.layers is None or options.layers < 0 else options.layers


def _speeds(root: str, key: str) -> tuple[float, float]:
    """Return tokens per second written and read so far, if ``--metrics`` is on and it has processed requests."""
    names = ("llamacpp:predicted_tokens_seconds", "llamacpp:prompt_tokens_seconds")
    status, body = http_reply(root, key, "/metrics", seconds=_PATIENCE)
    found = parse_metrics(body, names) if status == 200 else {}
    decode_speed, read = (_amount(found.get(name, 0.0)) for name in names)
    return decode_speed, read


# ---- vLLM --------------------------------------------------------------------------------------------


def _vllm(root: str, key: str, body: bytes, log: str, model: str) -> ServerFootprint | None:
    line = next((line for line in body.decode(errors="replace").splitlines() if line.startswith(_CACHE_CONFIG)), "")
    labels = dict(_LABEL.findall(line))
    status, listing = http_reply(root, key, "/v1/models", seconds=_PATIENCE)
    if line and status in (401, 403):
        raise _key_error(root)
    row = next(iter(parse_models(listing)), {})
    block, blocks = _as_count(labels.get("block_size")), _as_count(labels.get("num_gpu_blocks"))
    if not line or not row or not block:
        return None
    process = _process(root)
    assumed = [] if process.seen else ["one card, as its options cannot be seen from here"]
    process = process if process.seen else ServerProcess()
    cards = _as_count(_option(process.arguments, "--tensor-parallel-size", "-tp")) or 1
    space = _amount(process.env.get("VLLM_CPU_KVCACHE_SPACE", "0"))
    fp8 = str(labels.get("cache_dtype", "")).startswith("fp8")
    serving = VllmSettings(
        utilization=_amount(labels.get("gpu_memory_utilization", "")) or 0.9, cache=int(space * (1 << 30)),
        length=_as_count(row.get("max_model_len")) or 1, cards=cards, block=block, cache_bytes=1 if fp8 else 2,
        slots=_as_count(_option(process.arguments, "--max-num-seqs")) or 256,
    )  # fmt: skip
    build = str(parse_object(http_reply(root, key, "/version", seconds=_PATIENCE)[1]).get("version") or "")
    return ServerFootprint(
        engine="vllm", address=root, model=str(row.get("root") or row.get("id") or ""),
        build=f"vLLM {build}" if build else "", program=f"vllm {build}" if build else "", serving=serving,
        resident=resident_memory(process.pid) if process.pid else 0, on_cards=_bytes_on_gpus(process),
        tokens=_as_count(labels.get("kv_cache_size_tokens")) or block * blocks, assumed=tuple(assumed),
    )  # fmt: skip


def _option(arguments: tuple[str, ...], *names: str) -> str:
    for index, word in enumerate(arguments):
        option, _, value = word.partition("=")
        if option in names:
            return value or "".join(arguments[index + 1 : index + 2])
    return ""


# ---- Ollama ------------------------------------------------------------------------------------------


def _ollama(root: str, key: str, body: bytes, log: str, model: str) -> ServerFootprint | None:
    rows = parse_object(body).get("models")
    if not isinstance(rows, list):
        return None
    loaded = {str(row.get("name") or row.get("model")): row for row in rows if isinstance(row, dict)}
    if not loaded:
        raise UsageError("has no model loaded now", where=root, todo="run one: ollama run MODEL, and ask again")
    name = next((each for each in loaded if model in (each, each.removesuffix(":latest"))), "")
    if not name and (model or len(loaded) > 1):
        has = f"has {', '.join(loaded)} loaded"
        raise UsageError(f"{has}, not {model}" if model else has, where=root, todo="name one of these as MODEL")
    row = loaded[name or next(iter(loaded))]
    name = name or next(iter(loaded))
    description = parse_object(
        http_reply(root, key, "/api/show", json.dumps({"model": name}).encode(), seconds=_PATIENCE)[1]
    )
    process = _process(root)
    whole, vram, context = (_as_count(row.get(field)) for field in ("size", "size_vram", "context_length"))
    assumed = [] if process.seen else ["one text at a time and a cache of f16, as its variables cannot be seen"]
    if not context:
        context = _as_count(_parameter(description, "num_ctx")) or 4096
        assumed.append(f"a context of {context:,}, as this version says none")
    slots = _as_count(process.env.get("OLLAMA_NUM_PARALLEL")) or 1
    kind = process.env.get("OLLAMA_KV_CACHE_TYPE") or "f16"
    layers = _as_count(_parameter(description, "num_gpu"))
    build = str(parse_object(http_reply(root, key, "/api/version", seconds=_PATIENCE)[1]).get("version") or "")
    settings = ServingSettings(
        context=context * slots, slots=slots, type_k=kind, type_v=kind,
        gpu_layers=0 if not vram else ALL if vram >= whole else layers or ALL,
    )  # fmt: skip
    if vram and vram < whole and not layers:
        assumed.append("nothing of which layers are on the card: only the sum is compared")
    return ServerFootprint(
        engine="ollama", address=root, model=name, build=f"Ollama {build}" if build else "",
        program=f"ollama {build}" if build else "", settings=settings, whole=whole, vram=vram, assumed=tuple(assumed),
    )  # fmt: skip


def _parameter(description: dict[str, Any], name: str) -> str:
    """Return a model parameter from lines of name and value."""
    lines = str(description.get("parameters") or "").splitlines()
    return next((line.split()[-1] for line in lines if line.split()[:1] == [name]), "")


# ---- its process -------------------------------------------------------------------------------------


def _process(root: str) -> ServerProcess:
    import psutil

    pid = listening_process(root) if is_this_machine(root) else None
    if pid is None:
        return ServerProcess()
    try:
        process = psutil.Process(pid)
        return ServerProcess(pid=pid, arguments=tuple(process.cmdline()), env=process.environ(), seen=True)
    except psutil.Error:
        return ServerProcess(pid=pid)


def _bytes_on_gpus(process: ServerProcess) -> int:
    import psutil

    if not process.pid:
        return 0
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        family = []
    return gpu_memory_used_by({process.pid, *(each.pid for each in family)})


def _of_package(arguments: tuple[str, ...]) -> dict[str, Any]:
    """Return the arguments of intermodal's own llama.cpp server; {} for another program."""
    return parse_object(arguments[-1].encode()) if _MODULE in arguments else {}


def _executable(process: ServerProcess) -> str:
    import psutil

    try:
        path = psutil.Process(process.pid).exe() if process.pid else ""
    except psutil.Error:
        return ""
    return model_measurements.file_key(path) if path and not os.path.basename(path).startswith("python") else ""


def _as_count(value: Any) -> int:
    try:
        return max(0, int(value))
    except (TypeError, ValueError, OverflowError):
        return 0


def _amount(text: str | float) -> float:
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if 0 < found < float("inf") else 0.0


_VALUED: Final = {
    "-np": "slots", "--parallel": "slots", "-ub": "ubatch", "--ubatch-size": "ubatch", "-ctk": "type_k",
    "--cache-type-k": "type_k", "-ctv": "type_v", "--cache-type-v": "type_v", "-fa": "flash", "--flash-attn": "flash",
    "-ngl": "layers", "--gpu-layers": "layers", "--n-gpu-layers": "layers", "-ncmoe": "experts",
    "--n-cpu-moe": "experts", "-mm": "projector", "--mmproj": "projector", "-md": "draft", "--model-draft": "draft",
    "-m": "model", "--model": "model", "-cram": "kept", "--cache-ram": "kept",
}  # fmt: skip

_PLAIN: Final = {
    "-kvu": "unified", "--kv-unified": "unified", "-nkvo": "cache_on_host", "--no-kv-offload": "cache_on_host",
    "--swa-full": "swa_full", "-cmoe": "all_experts", "--cpu-moe": "all_experts",
    "--no-mmproj-offload": "projector_on_host",
}  # fmt: skip

_ENVIRONMENT: Final = {
    "LLAMA_ARG_N_PARALLEL": "slots", "LLAMA_ARG_UBATCH": "ubatch", "LLAMA_ARG_CACHE_TYPE_K": "type_k",
    "LLAMA_ARG_CACHE_TYPE_V": "type_v", "LLAMA_ARG_FLASH_ATTN": "flash", "LLAMA_ARG_N_GPU_LAYERS": "layers",
    "LLAMA_ARG_N_CPU_MOE": "experts", "LLAMA_ARG_MMPROJ": "projector", "LLAMA_ARG_MODEL": "model",
    "LLAMA_ARG_CACHE_RAM": "kept", "LLAMA_ARG_KV_UNIFIED": "unified",
}  # fmt: skip

_OFF: Final = ("off", "0", "false", "disabled", "no")


class LlamaOptions(Value):
    """The options of llama-server. ``layers`` None and ``slots`` 0 mean llama.cpp's default.

    ``kept``: whether prompts of past requests may stay in memory (``--cache-ram``), so that memory grows over time.
    """

    model: str = ""
    projector: str = ""
    draft: str = ""
    slots: int = 0
    unified: bool | None = None
    ubatch: int = 512
    type_k: str = "f16"
    type_v: str = "f16"
    flash: Literal["on", "off", "auto"] = "auto"
    layers: int | None = None
    experts: int = 0
    all_experts: bool = False
    cache_on_host: bool = False
    swa_full: bool = False
    projector_on_host: bool = False
    kept: bool = True


def parse_llama_options(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> LlamaOptions:
    """Parse the options of llama-server. Arguments take precedence over the environment, as in llama.cpp.

    >>> found = parse_llama_options(["llama-server", "-m", "m.gguf", "-np", "2", "-ctk", "q8_0", "--no-kv-offload"])
    >>> found.model, found.slots, found.type_k, found.cache_on_host, found.layers
    ('m.gguf', 2, 'q8_0', True, None)
    """
    options = {name: env[key] for key, name in _ENVIRONMENT.items() if key in env} if env else {}
    options |= dict(_pairs(arguments))
    layers = options.get("layers", "")
    flash = options.get("flash", "auto").lower()
    unified = options.get("unified")
    return LlamaOptions(
        model=options.get("model", ""), projector=options.get("projector", ""), draft=options.get("draft", ""),
        slots=max(0, _parse_int(options.get("slots", "")) or 0),
        ubatch=max(0, _parse_int(options.get("ubatch", "")) or 0) or 512,
        type_k=options.get("type_k", "f16").lower(), type_v=options.get("type_v", "f16").lower(),
        flash="off" if flash in _OFF else "auto" if flash == "auto" else "on",
        layers=ALL if layers == "all" else _parse_int(layers),
        experts=max(0, _parse_int(options.get("experts", "")) or 0), all_experts="all_experts" in options,
        unified=None if unified is None else unified.lower() not in _OFF, cache_on_host="cache_on_host" in options,
        swa_full="swa_full" in options, projector_on_host="projector_on_host" in options,
        kept=_parse_int(options.get("kept", "")) != 0,
    )  # fmt: skip


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, word in enumerate(arguments):
        option, _, joined = word.partition("=")
        after = arguments[index + 1] if index + 1 < len(arguments) else ""
        if option in _PLAIN:
            yield _PLAIN[option], "on"
        elif option in _VALUED:
            value = joined or ("" if after.startswith("-") and not after[1:2].isdigit() else after)
            yield _VALUED[option], value


def _parse_int(word: str) -> int | None:
    digits = word.removeprefix("-")
    return int(word) if digits.isdigit() and len(digits) < 10 else None
