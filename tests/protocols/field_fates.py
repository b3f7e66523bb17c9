"""What becomes of each field of a client's request at hosts of each protocol, found out by asking the codecs.

A field's sample is put into a request, which is read by the client's codec and written by the host's. What is written
besides is where the field went; where nothing is, ``protocols/request_fields.py`` has to say why. The tables "Field by
field" of docs/protocols.md are written of it, and ``tests/gates/test_field_fates.py`` holds a running gateway to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec.structs import replace
from tests.protocols.calls import WIRES

from intermodal.catalog.types import PROMPT_CACHING_PROTOCOLS, Host
from intermodal.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ClientApi,
)
from intermodal.protocols import request_fields
from intermodal.protocols.calls import EncodedRequest, NotExpressible
from intermodal.protocols.request_fields import FIELDS, ignored_content

PLANNED, IGNORED, REFUSED = "planned", "ignored", "refused"
DIALECTS: Mapping[str, ClientApi] = {
    each.table: each for each in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, OLLAMA_CHAT, OLLAMA_GENERATE)
}
DOORS = {
    "openai": "/v1/chat/completions", "openai-responses": "/v1/responses", "anthropic": "/v1/messages",
    "ollama": "/api/chat", "ollama-generate": "/api/generate",
}  # fmt: skip
HOSTS = ("openai", "openai-responses", "anthropic", "gemini", "ollama")
_WIRES = {wire.name.replace("openai_chat", "openai").replace("_", "-"): wire.module for wire in WIRES}

_SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
_FUNCTION = {"name": "f", "parameters": _SCHEMA}
_ASKED = [{"role": "user", "content": "hello there"}]
BODIES: Mapping[str, dict[str, Any]] = {
    "openai": {"model": "m", "messages": _ASKED}, "openai-responses": {"model": "m", "input": "hello there"},
    "anthropic": {"model": "m", "messages": _ASKED, "max_tokens": 4000},
    "ollama": {"model": "m", "messages": _ASKED, "stream": False},
    "ollama-generate": {"model": "m", "prompt": "hello there", "stream": False},
}  # fmt: skip
_SAMPLING = {
    "top_k": 40, "min_p": 0.05, "typical_p": 0.9, "presence_penalty": 0.5, "frequency_penalty": 0.25,
    "repeat_penalty": 1.1,
}  # fmt: skip
_PROMPT = {"prompt_id": "p", "prompt_version": "v", "prompt_variables": {"place": "Bonn"}}
_OPTIONS = {
    **_SAMPLING, "num_predict": 50, "temperature": 0.5, "top_p": 0.75, "stop": ["END"], "seed": 3, "num_ctx": 4096,
    "num_keep": 4, "num_batch": 8, "num_gpu": 1, "main_gpu": 0, "low_vram": True, "f16_kv": True, "use_mmap": True,
    "use_mlock": True, "num_thread": 2, "numa": True, "logits_all": True, "vocab_only": True, "embedding_only": True,
    "repeat_last_n": 64, "mirostat": 1, "mirostat_eta": 0.1, "mirostat_tau": 5.0, "penalize_newline": True,
    "tfs_z": 0.5,
}  # fmt: skip
_OF_OLLAMA: Mapping[str, Any] = {
    **{f"options.{name}": value for name, value in _OPTIONS.items()}, **_PROMPT,
    "model": "m", "stream": True, "format": _SCHEMA, "intermodal": {"max_cost": 1}, "think": "low",
    "keep_alive": "5m", "logprobs": True, "top_logprobs": 2, "truncate": True, "shift": True,
}  # fmt: skip
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "openai": {
        **_SAMPLING, **_PROMPT, "model": "m", "messages": _ASKED, "stream": True, "stream_options.include_usage": True,
        "max_tokens": 50, "max_completion_tokens": 50, "temperature": 0.5, "top_p": 0.75, "stop": ["END"], "seed": 3,
        "random_seed": 3, "n": 1, "tools": [{"type": "function", "function": _FUNCTION}], "tool_choice": "required",
        "parallel_tool_calls": False, "functions": [_FUNCTION], "function_call": {"name": "f"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA}},
        "modalities": ["text", "audio"], "audio": {"voice": "ash", "format": "wav"}, "intermodal": {"max_cost": 1},
        "reasoning_effort": "low", "verbosity": "low", "logit_bias": {"50256": -100}, "repetition_penalty": 1.2,
        "min_tokens": 2, "prompt_cache_key": "a-conversation", "safety_identifier": "somebody", "logprobs": True,
        "top_logprobs": 2, "prompt_logprobs": 1, "top_prompt_logprobs": 1, "user": "somebody",
        "metadata": {"project": "x"}, "store": True, "prompt_cache_options": {"mode": "explicit"},
        "prompt_cache_retention": "24h", "service_tier": "flex", "prediction": {"type": "content", "content": "hi"},
        "web_search_options": {}, "moderation": {"model": "omni"}, "guardrails": [], "safe_prompt": True,
        "prompt_mode": "reasoning", "grammar": 'root ::= "a"',
    },
    "openai-responses": {
        "model": "m", "input": "hello there", "instructions": "Be brief.", "stream": True, "max_output_tokens": 50,
        "temperature": 0.5, "top_p": 0.75,
        "text.format": {"type": "json_schema", "name": "n", "schema": _SCHEMA},
        "tools": [{"type": "function", **_FUNCTION}], "tool_choice": "required", "parallel_tool_calls": False,
        "store": True, "include": ["reasoning.encrypted_content"], "metadata": {"project": "x"},
        "intermodal": {"max_cost": 1}, "reasoning.effort": "low", "text.verbosity": "low",
        "reasoning.summary": "auto", "reasoning.generate_summary": "auto", "reasoning.context": "all_turns",
        "prompt_cache_key": "a-conversation", "safety_identifier": "somebody", "previous_response_id": "resp_1",
        "conversation": "conv_1", "prompt": {"id": "p"}, **_PROMPT, "background": True, "background_options": {},
        "top_logprobs": 2, "user": "somebody", "service_tier": "flex", "reasoning.mode": "pro",
        "prompt_cache_options": {"mode": "explicit"}, "prompt_cache_retention": "24h", "truncation": "auto",
        "access_programs": [], "context_management": [], "image": {}, "max_tool_calls": 2, "moderation": {},
        "stream_options": {"include_obfuscation": False},
    },
    "anthropic": {
        **_PROMPT, "model": "m", "messages": _ASKED, "system": "Be brief.", "max_tokens": 4001, "stream": True,
        "stop_sequences": ["END"], "temperature": 0.5, "top_p": 0.75, "top_k": 40,
        "tools": [{"name": "f", "input_schema": _SCHEMA}], "tool_choice": {"type": "any"},
        "output_config.format": {"type": "json_schema", "schema": _SCHEMA}, "cache_control": {"type": "ephemeral"},
        "intermodal": {"max_cost": 1}, "output_config.effort": "low",
        "thinking": {"type": "enabled", "budget_tokens": 2000}, "metadata": {"user_id": "somebody"},
        "user_profile_id": "somebody", "service_tier": "standard_only", "speed": "fast", "billing_policy": {},
        "betas": [], "compaction": {}, "container": "c", "context_management": {}, "diagnostics": {},
        "fallback_credit_token": "t", "fallbacks": [], "mcp_servers": [], "thread": {}, "workspace_id": "w",
        "inference_geo": "us",
    },
    "ollama": {
        **_OF_OLLAMA, "messages": _ASKED, "tools": [{"type": "function", "function": _FUNCTION}],
    },
    "ollama-generate": {
        **_OF_OLLAMA, "prompt": "hello there", "system": "Be brief.", "images": ["iVBORw0KGgo="], "raw": True,
        "template": "x", "suffix": "x", "context": [1], "width": 64, "height": 64, "steps": 4,
    },
}  # fmt: skip
# What a field says nothing without.
_BESIDE: Mapping[tuple[str, str], dict[str, Any]] = {
    **{("openai", name): {"tools": SAMPLES["openai"]["tools"]} for name in ("tool_choice", "parallel_tool_calls")},
    **{("openai-responses", name): {"tools": SAMPLES["openai-responses"]["tools"]}
       for name in ("tool_choice", "parallel_tool_calls")},
    ("openai", "function_call"): {"functions": [_FUNCTION]}, ("openai", "functions"): {},
    ("openai", "modalities"): {"audio": SAMPLES["openai"]["audio"]},
    ("openai", "audio"): {"modalities": ["text", "audio"]},
    ("openai", "stream_options.include_usage"): {"stream": True},
    ("anthropic", "tool_choice"): {"tools": SAMPLES["anthropic"]["tools"]},
}  # fmt: skip


def with_field(tree: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """A request with one field more, which may be a field within a field."""
    first, _, inner = name.partition(".")
    return {**tree, first: {**tree.get(first, {}), inner: value} if inner else value}


def host(protocol: str, *, told: bool = False) -> Host:
    """A host of a protocol. ``told``: its row says that it takes settings which not all such hosts take."""
    quirks = tuple(name for name in request_fields.QUIRKS[protocol] if name != "openai_settings") if told else ()
    return Host(id="h", forced_json=True, protocol=protocol, quirks=quirks)


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Values of a body by their paths. Messages are one value, and so is what stands in a list."""
    if isinstance(tree, dict) and tree:
        for name, value in tree.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    else:
        yield path, tree


def _written(client: str, tree: Mapping[str, Any], at: Host) -> dict[str, Any]:
    call = DIALECTS[client].decode(json.dumps(tree).encode())
    call = replace(call, candidates=0, grammar="", context=None)  # what a request has no place for
    sent: EncodedRequest = _WIRES[at.protocol].encode_request(call, at)
    return dict(leaves(json.loads(b"".join(sent.segments))))


_NOT_BY_ITSELF = ("functions", "function_call", "modalities", "audio")  # what they are said with is one thing with them
_ALWAYS = (
    "model",
    "messages",
    "input",
    "prompt",
    "images",
    "stream",
    "intermodal",
    "prompt_id",
    "prompt_version",
    "prompt_variables",
)  # what they become is the request itself


@cache
def fate(client: str, name: str, protocol: str, *, told: bool = False) -> str | tuple[tuple[str, Any], ...]:
    """Where a field of a client goes at a host of a protocol: PLANNED, IGNORED, REFUSED, or what is written for it."""
    if name in _ALWAYS and FIELDS[client][name].fate == "planned":
        return PLANNED
    at, beside = host(protocol, told=told), _BESIDE.get((client, name), {})
    tree = with_field(BODIES[client] | beside, name, SAMPLES[client][name])
    before = BODIES[client] | ({} if name in _NOT_BY_ITSELF else beside)
    try:
        written, usual = _written(client, tree, at), _written(client, before, at)
    except (NotExpressible, ValueError):
        return REFUSED
    lost = ignored(client, tree, at)
    more = tuple((path, value) for path, value in written.items() if path not in usual or usual[path] != value)
    if name in lost:
        assert not more, f"{name} is named as ignored, and {protocol} is told {more}"
        return IGNORED
    assert more or FIELDS[client][name].fate == "planned", f"{protocol} is not told {name}, and nobody says so"
    return more or PLANNED


def ignored(client: str, tree: Mapping[str, Any], at: Host) -> tuple[str, ...]:
    """What the gateway says that a host is not told."""
    body = json.dumps(tree).encode()
    call = DIALECTS[client].decode(body)
    raw = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    marks = len(call.cache) if at.protocol in PROMPT_CACHING_PROTOCOLS else 0
    lost = request_fields.ignored_fields(client, raw, call.settings, at.protocol, at.quirks)
    return *lost, *ignored_content(body, DIALECTS[client].table, marks)


# ---- the page ------------------------------------------------------------------------------------

_HEADS = {
    "openai": "chat", "openai-responses": "responses", "anthropic": "messages", "gemini": "generateContent",
    "ollama": "Ollama",
}  # fmt: skip


# What is one thing, however many values there are in it.
_ONE = re.compile(
    r"(response_format|text\.format|output_config\.format|responseJsonSchema|tool_choice|toolConfig|logit_bias"
    r"|thinking|cache_control|audio|^format)\..*"
)


def _cell(client: str, name: str, protocol: str) -> str:
    found = fate(client, name, protocol)
    if not isinstance(found, str):
        return ", ".join(f"`{path}`" for path in dict.fromkeys(_ONE.sub(r"\1", path) for path, _ in found))
    if found == IGNORED and not isinstance(by_row := fate(client, name, protocol, told=True), str):
        return ", ".join(f"`{path}` by its row" for path, _ in by_row)
    return found


def table(client: str) -> str:
    """The table of one protocol, and its fields that no host is told."""
    rows = [f"| field | {' | '.join(_HEADS[each] for each in HOSTS)} |", "|---" * (1 + len(HOSTS)) + "|"]
    alike: dict[str, list[str]] = {"part of the plan": []}
    for name, field in FIELDS[client].items():
        cells = [_cell(client, name, each) for each in HOSTS]
        if set(cells) == {PLANNED}:
            alike["part of the plan"].append(f"`{name}`")
        elif field.fate in ("ignored", "refused"):
            alike.setdefault(f"{field.fate}: {field.why}", []).append(f"`{name}`")
        else:
            rows.append(f"| `{name}` | {' | '.join(cells)} |")
    more = "".join(f"- {', '.join(names)}: {why}.\n" for why, names in alike.items())
    return f"Of `{DOORS[client]}`:\n\n" + "\n".join(rows) + f"\n\nThe same at every host:\n\n{more}"


def tables() -> str:
    return "\n".join(table(client) for client in FIELDS)
