"""A cache of compiled schemas: clients send the same schema with each request, and its answer is validated later."""

from __future__ import annotations

from hashlib import blake2b
from threading import Lock
from typing import Any

import msgspec

from intermodal.bounded_cache import BoundedCache
from intermodal.json_schema.budget import StepBudget
from intermodal.json_schema.compiler import CompiledSchema, usable_schema
from intermodal.json_schema.invalid_schema import InvalidSchema
from intermodal.json_schema.size_limits import check_size

MOST, MEMORY = 128, 64 << 20  # schemas, and bytes that all of them may come to hold
_ENTRY = 4 << 10  # bytes of one besides its values


class SchemaCache:
    """Compiled schemas by digest; the least recently used is evicted first."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._by_digest: BoundedCache[bytes, CompiledSchema] = BoundedCache(
            "compiled schemas", MOST, room=memory, size=lambda _, made: made.memory + _ENTRY
        )
        self._lock = Lock()

    def get(self, schema: Any, budget: StepBudget) -> CompiledSchema:
        """Return the compiled schema. Raises what ``usable_schema`` raises; only usable schemas are kept."""
        check_size(schema, budget)
        try:
            digest = blake2b(msgspec.json.encode(schema), digest_size=16).digest()
        except (TypeError, OverflowError, msgspec.ValidationError, UnicodeEncodeError) as error:
            raise InvalidSchema(f"the schema cannot be written as JSON ({error})") from None
        with self._lock:
            found = self._by_digest.get(digest)
            if found is not None:
                self._by_digest.move_to_end(digest)
                return found
        made = usable_schema(schema, budget)
        with self._lock:
            self._by_digest[digest] = made
        return made


_CACHE = SchemaCache()


def cached_schema(schema: Any, budget: StepBudget) -> CompiledSchema:
    """Return the compiled schema from this process's cache. Raises InvalidSchema, BudgetExhausted and Cancelled."""
    return _CACHE.get(schema, budget)
