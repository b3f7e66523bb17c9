"""JSON Schema (draft 2020-12), checked within a bound.

The schema and the value are both other people's: a client's, a model's. So every step of reading a schema and of
holding a value against it is counted against a budget (``budget.py``), errors keep one cause and no tree of them, no
reference is fetched, and patterns are matched by an engine without backtracking (``patterns.py``).
"""

from intermodal.json_schema.alignment import aligned
from intermodal.json_schema.budget import BudgetExhausted, Cancelled, StepBudget
from intermodal.json_schema.cache import known_schema
from intermodal.json_schema.compiled import CompiledSchema, compile_schema, usable_schema
from intermodal.json_schema.invalid import InvalidSchema
from intermodal.json_schema.reading import read_json
from intermodal.json_schema.repair import repair
from intermodal.json_schema.violation import Violation

__all__ = [
    "BudgetExhausted",
    "Cancelled",
    "CompiledSchema",
    "InvalidSchema",
    "StepBudget",
    "Violation",
    "aligned",
    "compile_schema",
    "known_schema",
    "read_json",
    "repair",
    "usable_schema",
]
