"""The executor's public interface, for a surface that makes direct calls and forwards their streamed replies.

``gateway/`` imports nothing else of this package; an import contract enforces that. Runs go through
``AsyncClient.execute``.

- direct calls: ``compile_plan`` or the reason why a plan needs a run, ``DirectEngine``, ``DirectAttempt``
- the interface that their caller implements: ``DirectSink``, with ``CallReport`` and ``Unanswered``
- how a run continues a direct call: ``PriorAttempt``; whether its endpoint may be called: ``EndpointHealth``
- what a run is charged: ``RunCharges``; the rates of endpoints: ``RateDraw``, ``RateRefusal``, ``EndpointRateExceeded``
- JSON by a schema: ``json_answer``
"""

from __future__ import annotations

from intermodal.executor.attempt.accounting import AttemptEnding
from intermodal.executor.attempt.circuit_breaker import EndpointHealth
from intermodal.executor.attempt.ledger import EndpointRateExceeded, RateDraw, RateRefusal, RunCharges
from intermodal.executor.attempt.step_caller import PriorAttempt
from intermodal.executor.direct.compiled_plan import (
    CONVERSATION_FIELDS,
    CompiledPlan,
    HostAccess,
    ShortenedCall,
    compile_plan,
)
from intermodal.executor.direct.direct_attempt import DirectAttempt
from intermodal.executor.direct.engine import DirectEngine
from intermodal.executor.direct.protocol_adapters import ADAPTERS, ProtocolAdapter
from intermodal.executor.direct.sink import CallReport, DirectSink, Unanswered
from intermodal.executor.outputs import json_answer

__all__ = [
    "ADAPTERS", "CONVERSATION_FIELDS", "AttemptEnding", "CallReport", "CompiledPlan", "DirectAttempt", "DirectEngine",
    "DirectSink", "EndpointHealth", "EndpointRateExceeded", "HostAccess", "PriorAttempt", "ProtocolAdapter",
    "RateDraw", "RateRefusal", "RunCharges", "ShortenedCall", "Unanswered", "compile_plan", "json_answer",
]  # fmt: skip
