"""Tokens of what is said of the schema of an answer: counted where a vocabulary is here, else from its letters."""

from __future__ import annotations

from intermodal.cost_model.tokens import Vocabulary, text_tokens
from intermodal.json_schema.schema_prompt import describe_schema
from intermodal.plans.facts import SchemaFacts
from intermodal.quantity import Quantity, exact
from intermodal.request import JsonOutput, Output


def schema_tokens(facts: SchemaFacts | None, output: Output, vocabulary: Vocabulary) -> Quantity:
    """Tokens of the fields that a model is told (``json_schema/schema_prompt.py``); exact where they were counted.

    ``facts``: None where nobody looked at them, as for a request that is only imagined.
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
