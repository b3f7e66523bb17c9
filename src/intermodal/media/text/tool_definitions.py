"""Writes tool definitions and schemas as the text that a model receives, so that it can be counted before a call.

Chat templates write tools into the prompt. Most write them as JSON in OpenAI's form, one after the other (Hermes, Qwen,
Mistral, DeepSeek, GLM), with a blank after every comma and colon. This text is counted like any other;
``cost_model/tool_tokens.py`` covers the other templates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from threading import Lock
from typing import Any

import msgspec

from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.request import Tool
from intermodal.json_schema.schema_prompt import describe_schema
from intermodal.media.text.script_counts import count_scripts
from intermodal.plans.facts import SchemaFacts, ToolFacts

KEPT, ROOM = 64, 16 << 20  # lists of tools that are cached, and bytes that they may take together
_READ = 6  # bytes in memory per byte of JSON
_encode = msgspec.json.Encoder().encode


class ToolDefinitions(msgspec.Struct, frozen=True):
    """``text``: as most templates write them; ``forms``: in OpenAI's form; ``facts``: without token counts."""

    text: str
    forms: tuple[dict[str, Any], ...]
    facts: ToolFacts


def tool_definitions(tools: tuple[Tool, ...]) -> ToolDefinitions:
    """Return the definitions of a request's tools.

    They are cached, because clients send the same tools with every request.
    """
    encoded = _encode(tools)
    digest = hashlib.sha256(encoded).hexdigest()
    found = _DEFINITIONS.get(digest)
    if found is None:
        found = _render_definitions(encoded, digest)
        with _lock:
            _DEFINITIONS[digest] = found
    return found


def tools_digest(tools: tuple[Tool, ...]) -> str:
    """Return the key by which a list of tools is recognised: SHA-256 in hex."""
    return hashlib.sha256(_encode(tools)).hexdigest()


def _render_definitions(encoded: bytes, digest: str) -> ToolDefinitions:
    tools = msgspec.json.decode(encoded, type=tuple[Tool, ...])
    forms = tuple(
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
        }
        for tool in tools
    )
    text = "\n".join(json.dumps(form, ensure_ascii=False) for form in forms)
    facts = ToolFacts(
        digest=digest, chars=len(text), size=len(text.encode("utf-8", "replace")),
        scripts=count_scripts(text),
    )  # fmt: skip
    return ToolDefinitions(text, forms, facts)


_DEFINITIONS: BoundedCache[str, ToolDefinitions] = BoundedCache(
    "definitions of tools", KEPT, room=ROOM, size=lambda _, definitions: _READ * definitions.facts.size
)
_lock = Lock()


def schema_text(schema: Mapping[str, Any]) -> tuple[str, SchemaFacts]:
    """Return the text about a schema that a model receives, and its facts without token counts."""
    text = describe_schema(schema)
    return text, _facts(text)


def _facts(text: str) -> SchemaFacts:
    data = text.encode("utf-8", "replace")
    return SchemaFacts(
        digest=hashlib.sha256(data).hexdigest(), chars=len(text), size=len(data), scripts=count_scripts(text)
    )  # fmt: skip
