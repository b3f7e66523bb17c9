"""The executor's public door: what a surface uses that makes a call itself and streams its reply on.

``gateway/`` imports nothing else of this package; an import contract holds that. Runs go through
``AsyncClient.execute``. It holds what every attempt shares, in a run or on the direct path:

- what it costs and how it ends: ``AttemptAccount``, ``settle``, ``upper_bound``, ``reservation``
- how its answer is judged while it arrives: ``AnswerState``, ``stops_loops``, ``trailing_timeout``, ``answer_notes``
- what is wrong with an answer that is complete: ``json_answer``, ``detect_truncated_prompt``, ``repeats``
- how the executor continues it: ``PriorAttempt``; whether its endpoint may be called: ``EndpointHealth``
"""

from __future__ import annotations

from intermodal.executor.attempt.accounting import (
    AttemptAccount,
    AttemptEnding,
    is_free,
    reported_usage,
    settle,
    upper_bound,
    usage_is_complete,
)
from intermodal.executor.attempt.answer_state import (
    MAX_REPLY,
    AnswerState,
    answer_notes,
    deadline_missed,
    is_output,
    refusal_error,
    stop_note,
    stops_loops,
    trailing_timeout,
)
from intermodal.executor.attempt.capability_learning import context_lesson
from intermodal.executor.attempt.circuit_breaker import EndpointHealth
from intermodal.executor.attempt.ledger import reservation
from intermodal.executor.attempt.prompt_truncation import detect_truncated_prompt
from intermodal.executor.attempt.step_caller import PriorAttempt, count_answer_tokens
from intermodal.executor.conversion.checks import repeats
from intermodal.executor.direct.protocol_adapters import ADAPTERS, BodyStart, ProtocolAdapter
from intermodal.executor.direct.upstream_response import (
    BufferedResponse,
    StreamContext,
    StreamedResponse,
    UpstreamResponse,
    Verdict,
)
from intermodal.executor.drivers.codecs import picture_types
from intermodal.executor.outputs import json_answer
from intermodal.executor.preparation.request_size import counting_rules

__all__ = [
    "ADAPTERS", "answer_notes", "context_lesson", "count_answer_tokens", "counting_rules", "deadline_missed",
    "detect_truncated_prompt", "is_free", "is_output", "json_answer", "MAX_REPLY", "picture_types", "refusal_error",
    "repeats", "reported_usage", "reservation", "settle", "stop_note", "stops_loops", "trailing_timeout",
    "upper_bound", "usage_is_complete", "AnswerState", "AttemptAccount", "AttemptEnding", "BodyStart",
    "BufferedResponse", "EndpointHealth", "PriorAttempt", "ProtocolAdapter", "StreamContext", "StreamedResponse",
    "UpstreamResponse", "Verdict",
]  # fmt: skip
