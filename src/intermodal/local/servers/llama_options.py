"""The options a llama-server was started with, as settings of the formulas: by its arguments and its environment.

Source: llama.cpp, ``common/arg.cpp``. An option that is not known here changes no term, or is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from intermodal.content import Value
from intermodal.sizing.settings import ALL

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
    """What was said; ``layers`` None for what llama.cpp chooses, ``slots`` 0 too.

    ``kept``: whether prompts of past requests may stay in memory (``--cache-ram``), which grows as they come.
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
    """Read them; arguments count before the environment, as in llama.cpp.

    >>> found = flags_of(["llama-server", "-m", "m.gguf", "-np", "2", "-ctk", "q8_0", "--no-kv-offload"])
    >>> found.model, found.slots, found.type_k, found.cache_on_host, found.layers
    ('m.gguf', 2, 'q8_0', True, None)
    """
    said = {name: env[key] for key, name in _ENVIRONMENT.items() if key in env} if env else {}
    said |= dict(_pairs(arguments))
    layers = said.get("layers", "")
    flash = said.get("flash", "auto").lower()
    unified = said.get("unified")
    return LlamaOptions(
        model=said.get("model", ""), projector=said.get("projector", ""), draft=said.get("draft", ""),
        slots=max(0, _number(said.get("slots", "")) or 0), ubatch=max(0, _number(said.get("ubatch", "")) or 0) or 512,
        type_k=said.get("type_k", "f16").lower(), type_v=said.get("type_v", "f16").lower(),
        flash="off" if flash in _OFF else "auto" if flash == "auto" else "on",
        layers=ALL if layers == "all" else _number(layers),
        experts=max(0, _number(said.get("experts", "")) or 0), all_experts="all_experts" in said,
        unified=None if unified is None else unified.lower() not in _OFF, cache_on_host="cache_on_host" in said,
        swa_full="swa_full" in said, projector_on_host="projector_on_host" in said,
        kept=_number(said.get("kept", "")) != 0,
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


def _number(word: str) -> int | None:
    digits = word.removeprefix("-")
    return int(word) if digits.isdigit() and len(digits) < 10 else None
