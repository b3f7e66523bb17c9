"""Tokens of the schema instruction: counted where a vocabulary is here, else estimated from its characters."""

from __future__ import annotations

from intermodal.cost_model.tokens import Vocabulary, text_tokens
from intermodal.json_schema.schema_prompt import describe_schema
from intermodal.plans.facts import SchemaFacts
from intermodal.quantity import Quantity, exact
from intermodal.request import JsonOutput, Output


def schema_tokens(facts: SchemaFacts | None, output: Output, vocabulary: Vocabulary) -> Quantity:
    """Return the tokens of the schema fields given to a model (``json_schema/instruction.py``); exact where counted.

    ``facts``: None where the schema was not examined, as for a hypothetical request.
    """
    if not isinstance(output, JsonOutput):
        return exact(0.0, "no schema")
    if facts is None:
        text = describe_schema(output.schema)
        return text_tokens(len(text), len(text.encode("utf-8", "replace")), vocabulary=vocabulary.like)
    counted = facts.tokens.get(vocabulary.counts) if vocabulary.counts else None
    if counted is not None:
        return exact(float(counted), "counted")
    return text_tokens(facts.chars, facts.size, facts.scripts, vocabulary.like)
