"""Tokens that tools and answer schemas add to a prompt.

Tool definitions are written in a vendor's format, with a system prompt of its own. The server's own rendering is the
best source (``ToolFacts.rendered``). Otherwise their JSON is counted, by the vocabulary or by script factors, with a
range for the template's rendering: 36 tools of a chat program in three vocabularies (SmolLM2's, cl100k, o200k) took
0.59 to 0.67 times that as TypeScript signatures, 0.81 to 1.0 as JSON, 1.15 to 1.3 as XML or indented JSON.

``system:346:313``: additional tokens if tools may be called, and if one must be called. ``functions``: definitions are
written as signatures. Without a rule the definitions are counted as JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from intermodal.core.quantity import Quantity, between, exact
from intermodal.core.request import JsonOutput, Output, Tool, ToolChoice
from intermodal.cost_model.levels import levels
from intermodal.cost_model.rule_syntax import parse_rule
from intermodal.cost_model.token_calibration import calibrate_count
from intermodal.cost_model.tokens import UNKNOWN, Vocabulary, text_tokens
from intermodal.json_schema.schema_prompt import describe_schema
from intermodal.plans.facts import SchemaFacts, ToolFacts

EACH = (4.0, 10.0, 25.0)  # tokens that a template adds per definition
# Fewest, typical and most template tokens per token of JSON.
OF_JSON: tuple[float, float, float] = (0.55, 1.0, 1.35)
AROUND: tuple[float, float, float] = (5.0, 60.0, 200.0)  # tokens of a template's own text about tools

# OpenAI Cookbook, "How to count tokens with tiktoken", tool calls, for gpt-4o: measured there, not a published rule.
FUNCTION, PROPERTIES, PROPERTY, ENUM, ITEM, END = 7, 3, 3, -3, 3, 12


def tool_tokens(
    rule: str,
    tools: tuple[Tool, ...],
    choice: ToolChoice,
    facts: ToolFacts | None = None,
    vocabulary: Vocabulary = UNKNOWN,
) -> Quantity:
    """Return the tokens of a request's tools. ``facts``: their counts; ``vocabulary``: of the receiving model.

    >>> tool_tokens("system:346:313", (), "auto").mid, tool_tokens("system:346:313", (Tool(name="now"),), "auto").basis
    (0.0, '346 tokens of system prompt, and their definitions as JSON')
    """
    if not tools:
        return exact(0.0, "no tools")
    if facts is not None and vocabulary.counts in facts.rendered:
        return exact(
            float(facts.rendered[vocabulary.counts]), "counted by its server, as its chat template writes them"
        )
    read = parse_rule(rule) if is_tool_rule(rule) else None
    definitions = _as_json(tools) if facts is None else _as_templates_do(facts, vocabulary)
    if read is None:
        return definitions
    name, numbers = read[0], read[1].numbers
    if name == "system":
        own = numbers[1 if choice == "required" else 0]
        basis = f"{own:g} tokens of system prompt, and their definitions as JSON"
        return between(own + definitions.low, own + definitions.mid, own + definitions.high, basis)
    mid = float(sum(map(_signature, tools)) + END)
    basis = "their definitions as signatures; the framing is not published"
    return between(math.floor(mid * 0.7), mid, max(math.ceil(mid * 1.3), definitions.high), basis)


def is_tool_rule(rule: str) -> bool:
    """Return whether a rule string is valid."""
    read = parse_rule(rule)
    if read is None or read[1].words:
        return False
    return {"system": 2, "functions": 0}.get(read[0]) == len(read[1].numbers)


def _as_json(tools: tuple[Tool, ...]) -> Quantity:
    chars = sum(len(msgspec.json.encode(tool)) for tool in tools)
    text, count = text_tokens(chars), len(tools)
    return between(
        text.low + EACH[0] * count, text.mid + EACH[1] * count, text.high + EACH[2] * count,
        "their definitions as JSON",
    )  # fmt: skip


def _as_templates_do(facts: ToolFacts, vocabulary: Vocabulary) -> Quantity:
    count = facts.tokens.get(vocabulary.counts)
    if count is None:
        found = text_tokens(facts.chars, facts.size, facts.scripts, vocabulary.like)
    else:
        found = exact(float(count))
    levels_as_written = calibrate_count(levels(found), between(*OF_JSON, "as templates write them"))
    low, mid, high = (float(round(level + overhead)) for level, overhead in zip(levels_as_written, AROUND, strict=True))
    basis = found.basis if count is None else "counted with its vocabulary"
    return between(low, mid, high, f"their definitions as JSON, {basis}; templates write them in several ways")


def _signature(tool: Tool) -> float:
    """Return the tokens of one definition: name, description, and each property with type, description and values."""
    found = FUNCTION + _text_tokens(f"{tool.name}:{tool.description.rstrip('.')}")
    properties = tool.schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return found
    return found + PROPERTIES + sum(_property(str(name), value) for name, value in properties.items())


def _property(name: str, schema: Any) -> float:
    schema = schema if isinstance(schema, Mapping) else {}
    found = float(PROPERTY)
    allowed = schema.get("enum")
    if isinstance(allowed, list | tuple):
        found += ENUM + sum(ITEM + _text_tokens(str(item)) for item in allowed)
    nested = {key: value for key, value in schema.items() if key not in ("type", "description", "enum")}
    inside = len(msgspec.json.encode(nested)) / 4 if nested else 0.0
    return (
        found
        + inside
        + _text_tokens(f"{name}:{schema.get('type', '')}:{str(schema.get('description', '')).rstrip('.')}")
    )


def _text_tokens(text: str) -> float:
    return text_tokens(len(text), len(text.encode())).mid


def schema_tokens(facts: SchemaFacts | None, output: Output, vocabulary: Vocabulary) -> Quantity:
    """Return the tokens of the schema description given to a model; exact if counted.

    The description is from ``json_schema/schema_prompt.py``. ``facts``: None if the schema was not examined, as for a
    hypothetical request.
    """
    if not isinstance(output, JsonOutput):
        return exact(0.0, "no schema")
    if facts is None:
        text = describe_schema(output.schema)
        return text_tokens(len(text), len(text.encode("utf-8", "replace")), vocabulary=vocabulary.like)
    count = facts.tokens.get(vocabulary.counts) if vocabulary.counts else None
    if count is not None:
        return exact(float(count), "counted")
    return text_tokens(facts.chars, facts.size, facts.scripts, vocabulary.like)
