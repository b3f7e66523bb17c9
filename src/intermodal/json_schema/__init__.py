"""JSON Schema (draft 2020-12), validated within a bound.

Both the schema and the value come from others: a client, a model. So every step of compiling a schema and of validating
a value is counted against a budget (``budget.py``); an error is one cause and not a tree; no reference is fetched; and
patterns are matched by an engine without backtracking (``patterns.py``).

``compiler.py``, ``keywords.py`` and ``references.py`` make a schema into checks, and reject one that is invalid or too
large. ``repair.py`` reads what a model wrote; ``schema_prompt.py`` and ``allowed_values.py`` tell a
model and a reader what a schema asks for.
"""

from intermodal.json_schema.budget import BudgetExhausted, Cancelled, StepBudget
from intermodal.json_schema.compiler import CompiledSchema, cached_schema, compile_schema, schema_digest, usable_schema
from intermodal.json_schema.errors import InvalidSchema, Violation
from intermodal.json_schema.repair import align_value, read_json, repair

__all__ = [
    "BudgetExhausted",
    "Cancelled",
    "CompiledSchema",
    "InvalidSchema",
    "StepBudget",
    "Violation",
    "align_value",
    "compile_schema",
    "cached_schema",
    "read_json",
    "repair",
    "schema_digest",
    "usable_schema",
]
