"""Parses the model lists and descriptions of servers: JSON in, ``ModelReport`` out. Pure functions, one per format.

Every field except a model's name is optional, because older servers omit fields that newer ones report. Sources: Ollama
``api/types.go`` and ``types/model/capability.go``; LM Studio's REST pages (v0 and v1); llama.cpp
``tools/server/README.md``; vLLM ``entrypoints/openai``; LocalAI ``core/schema/openai.go``; llama-swap
``internal/server/api.go``, as of 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from intermodal.catalog.discovered_servers import Makes, ModelReport
from intermodal.catalog.host_rows import DiscoveryRules
from intermodal.core.content import KINDS, Kind

Tree = Mapping[str, Any]
Reader = Callable[
    [Tree, str, str, DiscoveryRules], Iterator[ModelReport]
]  # reply, its path, the model in question, the row


def _tree(value: Any) -> Tree:
    return cast("Tree", value) if isinstance(value, Mapping) else {}


def _rows(value: Any) -> Sequence[Tree]:
    return [_tree(item) for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text_or_empty(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(*values: Any) -> int | None:
    """Return the first positive number."""
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool) and v > 0), None)


def _set_of_words(value: Any) -> set[str]:
    return {each for each in value if isinstance(each, str)} if isinstance(value, list) else set()


def _parse_parameter_count(word: str) -> float | None:
    """Parse a parameter count: "4.3B", "135M"."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMBT])\s*", word, re.IGNORECASE)
    return float(found[1]) * {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[found[2].upper()] if found else None


def _forwarding_target(row: Tree, signs: DiscoveryRules) -> str:
    """Return where a forwarded model runs, from any of the keys that state it; "" if it is not forwarded."""
    trees = (row, _tree(row.get("details")), *map(_tree, _tree(row.get("meta")).values()))
    for place in trees:
        for key in signs.forwarded_keys:
            value = place.get(key)
            if value not in (None, "", False, [], {}):
                return value if isinstance(value, str) else "another device"
    return ""


# ---- OpenAI's list, with additions of others --------------------------------------------------------


def _openai_models(tree: Tree, path: str, requested_model: str, signs: DiscoveryRules) -> Iterator[ModelReport]:
    """Parse OpenAI's model list with extensions.

    Supports OpenRouter's ``architecture``, which llama.cpp and llama-swap also serve, and vLLM's ``max_model_len``.
    """
    for row in _rows(tree.get("data")):
        name = _text_or_empty(row.get("id"))
        meta, can = _tree(row.get("meta")), _tree(row.get("capabilities"))
        shape = _tree(row.get("architecture"))
        takes = _accepted_kinds(shape.get("input_modalities") or row.get("input_modalities"))
        if not takes and "vision" in can:
            takes = _accepted_kinds(["text", "image"] if can["vision"] is True else ["text"])
        status = _text_or_empty(_tree(row.get("status")).get("value"))
        makes: Makes = ""
        if can.get("audio_transcriptions") is True and "chat" not in can and can.get("function_calling") is not True:
            makes = "transcript"
        if _set_of_words(shape.get("output_modalities")) and "text" not in _set_of_words(
            shape.get("output_modalities")
        ):
            makes = "embedding" if "embeddings" in _set_of_words(shape.get("output_modalities")) else "other"
        calls = can.get("function_calling")
        yield ModelReport(
            source=path, model=name, takes=takes, makes=makes, tools=calls if isinstance(calls, bool) else None,
            context=_count(row.get("max_model_len"), row.get("context_length"), meta.get("n_ctx")),
            trained=_count(meta.get("n_ctx_train")), loaded=status == "loaded" if status else None,
            elsewhere=_forwarding_target(row, signs),
            parameters=float(size) if (size := _count(meta.get("n_params"))) else None,
        )  # fmt: skip


def _accepted_kinds(kinds: Any) -> dict[Kind, bool]:
    """Return listed input kinds as accepted and all others as rejected; {} without a list."""
    words = {"document" if word == "file" else word for word in _set_of_words(kinds)}
    return {kind: kind in words for kind in KINDS} if words else {}


# LocalAI's use cases -> the model's output; the first match wins.
_LOCALAI: dict[str, Makes] = {
    "chat": "text", "completion": "text", "embeddings": "embedding", "embedding": "embedding",
    "transcript": "transcript", "transcription": "transcript",
}  # fmt: skip


def _localai(tree: Tree, path: str, requested_model: str, signs: DiscoveryRules) -> Iterator[ModelReport]:
    for row in _rows(tree.get("data")):
        can = _set_of_words(row.get("capabilities"))
        makes: Makes = "other" if can else ""
        for word in reversed(_LOCALAI):
            makes = _LOCALAI[word] if word in can else makes
        yield ModelReport(
            source=path, model=_text_or_empty(row.get("id")), takes=_accepted_kinds(row.get("input_modalities")),
            makes=makes,
            tools="tools" in can if can else None, elsewhere=_forwarding_target(row, signs),
        )  # fmt: skip


# ---- stable-diffusion.cpp ---------------------------------------------------------------------------


def _sd_server(tree: Tree, path: str, requested_model: str, signs: DiscoveryRules) -> Iterator[ModelReport]:
    """Parse stable-diffusion.cpp's list, which has one model, always under the same name."""
    for row in _rows(tree.get("data")):
        yield ModelReport(source=path, model=_text_or_empty(row.get("id")), makes="image", loaded=True)


# ---- llama.cpp --------------------------------------------------------------------------------------


def _llama_props(tree: Tree, path: str, requested_model: str, signs: DiscoveryRules) -> Iterator[ModelReport]:
    """Parse llama.cpp's properties of its loaded model. Yields nothing for a router, which has no loaded model.

    Newer versions report the features of the chat template (common/jinja/caps.h). If the template has no tool support,
    the server accepts tools and silently drops them from the prompt.
    """
    if tree.get("role") == "router" or not tree.get("default_generation_settings"):
        return
    modalities, caps = _tree(tree.get("modalities")), _tree(tree.get("chat_template_caps"))
    words: dict[str, Kind] = {"vision": "image", "audio": "audio", "video": "video"}
    able = [can for word in ("supports_tools", "supports_tool_calls") if isinstance(can := caps.get(word), bool)]
    yield ModelReport(
        source=path,
        takes={kind: modalities[word] is True for word, kind in words.items() if word in modalities},
        context=_count(_tree(tree.get("default_generation_settings")).get("n_ctx"), tree.get("n_ctx")),
        tools=any(able) if able else None,
        loaded=True,
    )


# ---- Ollama -----------------------------------------------------------------------------------------


def _translate_ollama_capabilities(can: set[str]) -> dict[str, Any]:
    """Translate Ollama's capabilities. "image" is generating images, "vision" reading them."""
    if not can:
        return {}
    if "completion" not in can:
        return {"makes": "embedding" if "embedding" in can else "other"}
    return {
        "makes": "text", "tools": "tools" in can,
        "takes": {"text": True, "image": "vision" in can, "audio": "audio" in can},
    }  # fmt: skip


def _ollama_tags(tree: Tree, path: str, requested_model: str, signs: DiscoveryRules) -> Iterator[ModelReport]:
    for row in _rows(tree.get("models")):
        details = _tree(row.get("details"))
        yield ModelReport(
            source=path, model=_text_or_empty(row.get("model")) or _text_or_empty(row.get("name")),
            digest=_text_or_empty(row.get("digest")),
            parameters=_parse_parameter_count(_text_or_empty(details.get("parameter_size"))),
            trained=_count(details.get("context_length")),
            elsewhere=_forwarding_target(row, signs),
            **_translate_ollama_capabilities(_set_of_words(row.get("capabilities"))),
        )  # fmt: skip


def _ollama_show(tree: Tree, path: str, requested_model: str, signs: DiscoveryRules) -> Iterator[ModelReport]:
    """Parse Ollama's description of a model.

    Older versions report no capabilities; they are then inferred from the projector and the metadata keys.
    """
    info = _tree(tree.get("model_info"))
    can: dict[str, Any] = _translate_ollama_capabilities(_set_of_words(tree.get("capabilities")))
    if not can and info:
        projector = _tree(tree.get("projector_info"))
        keys = " ".join(map(str, (*info, *projector)))
        sees = (
            ".vision." in keys
            or bool(projector)
            or "mllama" in _set_of_words(_tree(tree.get("details")).get("families"))
        )
        can = {"makes": "text", "takes": {"text": True, "image": sees, "audio": ".audio." in keys}}
        if any(str(key).endswith(".pooling_type") for key in info):
            can = {"makes": "embedding"}
    arch = _text_or_empty(info.get("general.architecture"))
    size = _count(info.get("general.parameter_count"))
    yield ModelReport(
        source=path, model=requested_model, trained=_count(info.get(f"{arch}.context_length")),
        elsewhere=_forwarding_target(tree, signs), parameters=float(size) if size else None, **can,
    )  # fmt: skip


def _ollama_ps(tree: Tree, path: str, requested_model: str, signs: DiscoveryRules) -> Iterator[ModelReport]:
    for row in _rows(tree.get("models")):
        name = _text_or_empty(row.get("model")) or _text_or_empty(row.get("name"))
        yield ModelReport(source=path, model=name, loaded=True, context=_count(row.get("context_length")))


# ---- LM Studio --------------------------------------------------------------------------------------


def _lmstudio_v0(tree: Tree, path: str, requested_model: str, signs: DiscoveryRules) -> Iterator[ModelReport]:
    for row in _rows(tree.get("data")):
        kind, can = _text_or_empty(row.get("type")), _set_of_words(row.get("capabilities"))
        makes: Makes = "embedding" if kind.startswith("embedding") else "text" if kind in ("llm", "vlm") else ""
        loaded = row.get("state") == "loaded"
        yield ModelReport(
            source=path, model=_text_or_empty(row.get("id")), makes=makes, loaded=loaded,
            takes={"text": True, "image": kind == "vlm"} if makes == "text" else {},
            tools="tool_use" in can if can else None,
            context=_count(row.get("loaded_context_length")) if loaded else None,
            trained=_count(row.get("max_context_length")), elsewhere=_forwarding_target(row, signs),
        )  # fmt: skip


def _lmstudio_v1(tree: Tree, path: str, requested_model: str, signs: DiscoveryRules) -> Iterator[ModelReport]:
    """Parse LM Studio's list (v1).

    The context is the smallest of the loaded instances, because any of them may answer.
    """
    for row in _rows(tree.get("models")):
        can, instances = _tree(row.get("capabilities")), _rows(row.get("loaded_instances"))
        contexts = [_count(_tree(each.get("config")).get("context_length")) for each in instances]
        tools = can.get("trained_for_tool_use")
        makes: Makes = "embedding" if row.get("type") == "embedding" else "text" if row.get("type") == "llm" else ""
        yield ModelReport(
            source=path, model=_text_or_empty(row.get("key")), makes=makes, loaded=bool(instances),
            takes={"text": True, "image": can["vision"] is True} if "vision" in can else {},
            tools=tools if isinstance(tools, bool) else None,
            context=min((each for each in contexts if each), default=None),
            trained=_count(row.get("max_context_length")),
            elsewhere=_forwarding_target(row, signs)
            or next(filter(None, (_forwarding_target(i, signs) for i in instances)), ""),
            parameters=_parse_parameter_count(_text_or_empty(row.get("params_string"))),
        )  # fmt: skip


READERS: Mapping[str, Reader] = {
    "openai-models": _openai_models,
    "localai-capabilities": _localai,
    "llama-props": _llama_props,
    "ollama-tags": _ollama_tags,
    "ollama-show": _ollama_show,
    "ollama-ps": _ollama_ps,
    "lmstudio-v0": _lmstudio_v0,
    "lmstudio-v1": _lmstudio_v1,
    "stable-diffusion-cpp": _sd_server,
}


# Formats that describe the loaded model without naming it.
LOADED_MODEL_FORMS = frozenset({"llama-props"})


def values_at(tree: Any, key: str) -> Iterator[Any]:
    """Yield the values at a dotted key; ``*`` matches every item of a list."""
    if not key:
        yield tree
        return
    word, _, rest = key.partition(".")
    inner: list[Any] = [_tree(tree)[word]] if word in _tree(tree) else []
    if isinstance(tree, list) and word == "*":
        inner = tree
    for item in inner:
        yield from values_at(item, rest)


__all__ = ["LOADED_MODEL_FORMS", "READERS", "values_at"]
