"""A compiled plan: everything that all chats of one shape share, prepared once.

``compile_plan`` prepares it from the plan of the first such chat. ``not_direct`` determines what the direct path leaves
to the executor.
"""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from intermodal.catalog.reasoning_effort import thinking_request_of
from intermodal.catalog.schema_enforcement import ANY_OBJECT, is_closable, schema_delivery
from intermodal.catalog.types import Endpoint
from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.content import Image, Opaque, Reasoning, Text, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Request, TextOutput
from intermodal.cost_model import answer_length
from intermodal.cost_model.memory import output_limit
from intermodal.executor.attempt.accounting import (
    CallBound,
    TokenBound,
    is_free,
    price_of_usage,
    token_bound,
    upper_bound,
)
from intermodal.executor.attempt.ledger import exceeds, reservation
from intermodal.executor.direct.protocol_adapters import BodyStart, ProtocolAdapter
from intermodal.executor.drivers.codecs import accepted_image_types
from intermodal.executor.outputs import json_answer
from intermodal.executor.preparation.request_size import counting_rules
from intermodal.json_schema import StepBudget, schema_digest
from intermodal.plans.plan import Inputs, Plan
from intermodal.plans.step import Call
from intermodal.protocols.calls import WireUsage
from intermodal.protocols.framing.json_body import append_words, last_words
from intermodal.protocols.parsed_chat import ParsedChat
from intermodal.protocols.request_fields import scale_thinking, unenforced_tools, unforwarded_fields
from intermodal.store.attempt_journal import AttemptTemplate
from intermodal.store.rows import RunRow, Work, stored_names
from intermodal.transport.addresses import HostAddress, goes_by_proxy
from intermodal.transport.http1 import HttpTarget
from intermodal.transport.timeouts import FIRST_BYTE_TIMEOUT, Timeouts

if TYPE_CHECKING:
    from intermodal.catalog.rate_cards import RateCard

LONGEST = 600.0  # seconds to wait for a whole answer: as long as clients themselves wait
_NOT_YET = math.nan
BILLS = 2048
CONVERSATION_FIELDS = ("messages", "system", "input")
_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
# Fields that cause unseen tokens in an answer.
_THINKING = ("reasoning", "reasoning_effort", "think", "thinking", "output_config")
_LONGER = 1.5  # a lowered limit is at least this many times the 39-in-40 quantile of measured answers
_SHORTEST = 32  # minimum tokens that it allows beyond that
_SHARE = 16  # one answer gets at most this fraction of a budget's rest if that is more: other requests follow
_PARTS = (Text, Image, Reasoning, ToolCall, ToolResult, Opaque)


class HostAccess(NamedTuple):
    """The access to a host: its API key, dated prices, configured timeouts, and whether proxies may apply."""

    key: str
    tariff: tuple[RateCard, ...]
    timeouts: Timeouts
    proxies: bool


class _Brevity(NamedTuple):
    """Statistics on short answers.

    ``shortest_limit``: tokens of a sufficient limit. ``input_tokens``: their maximum. ``token_usd``: USD per token.
    """

    shortest_limit: int
    input_tokens: int
    token_usd: float


class ShortenedCall(NamedTuple):
    """The same call with a lower limit, for a budget that has no room for the original one.

    ``limit``: tokens of the answer. ``bound``: the most that it may take. ``start``: the beginning of its body.
    """

    limit: int
    bound: CallBound
    start: bytes


class CompiledPlan:
    """The compiled plan of one shape."""

    def __init__(
        self, chat: ParsedChat, inputs: Inputs, plan: Plan, endpoint: Endpoint, target: HttpTarget,
        tariff: tuple[RateCard, ...], adapter: ProtocolAdapter,
    ) -> None:  # fmt: skip
        step = plan.chosen.call
        output = inputs.request.output
        self.schema = output if isinstance(output, JsonOutput) else None
        self.schema_enforced = self.schema is not None and _enforces_schema(self.schema, endpoint)
        self._schema_digest = b""  # once an answer was checked
        self.plan = plan
        self.explores = plan.explores
        self.step = step
        self.endpoint = endpoint
        self.target = target
        self.adapter = adapter
        self.policy = inputs.request.policy
        self.estimated = step.estimate.cost
        self.free = is_free(self.estimated)
        self.bound = upper_bound(self.estimated)
        self.tools = bool(inputs.request.tools)
        self.sort = _attempt_template(inputs, plan, step, endpoint)
        self.number, self.since = -1, 0  # the number of its template in the attempt journal
        self.book = counting_rules(endpoint, inputs.catalog)
        self.vocabulary = endpoint.model.vocabulary
        ignored = unforwarded_fields(chat.fields, inputs.request.settings, adapter.dialect.table, endpoint)
        ignored += () if "tools" in adapter.forwarded else unenforced_tools(inputs.request.tools, adapter.protocol)
        self.ignored = ignored  # fields that are not understood, or that its host is not sent
        self._tariff = tariff
        # The prompt about a schema is the same for all chats of a shape, unless it depends on their text.
        by_chat = self.schema_enforced and self.schema is not None and self.schema.schema == ANY_OBJECT
        self._words = None if by_chat else self._instruction(chat)
        self._own = next(_numbers)
        self.limit = output_limit(step, inputs.request)
        # No request content is kept: a compiled plan serves all chats of its shape.
        output = output if self.schema_enforced else TextOutput()
        request = replace(inputs.request, messages=(), output=output)
        self._opening = BodyStart(endpoint, request, step, self.limit, chat.stream)
        self._start = adapter.start(self._opening)
        self._brief = self._brevity(chat, inputs)
        added = (field for field in adapter.forwarded_fields(endpoint.host) if field[0] not in ignored)
        self._forwarded = tuple(
            field for field in added
            if _has_effect(field[0], inputs.request, chat)
            and not (self.schema is not None and field[0] == "output_config")
        )  # fmt: skip
        self._identifiers = tuple((name, b',"%b":' % name.encode()) for name in adapter.identifiers)

    def _brevity(self, chat: ParsedChat, inputs: Inputs) -> _Brevity | None:
        """Return statistics on short answers; None if unknown, or if a lower limit saves less than half."""
        kind = answer_length.kind_of_request(inputs.request)
        learned_length = answer_length.learned_length(inputs.statistics, self.endpoint.id, kind)
        thinks = self.step.estimate.thought_tokens.high or not chat.fields.keys().isdisjoint(_THINKING)
        input_tokens, limit = self.step.estimate.input_tokens, self.limit
        if (
            learned_length is None
            or thinks
            or self.tools
            or self.schema is not None
            or limit is None
            or not self.bound
            or not input_tokens.known
        ):
            return None
        shortest_limit, most_input = math.ceil(_LONGER * learned_length.high) + _SHORTEST, math.ceil(input_tokens.high)
        least_usd, most_usd = (
            self.bill(WireUsage(input_tokens=most_input, output_tokens=output_tokens), Work(), inputs.as_of)
            for output_tokens in (shortest_limit, limit)
        )
        if 2 * shortest_limit > limit or least_usd is None or most_usd is None:
            return None
        return _Brevity(shortest_limit, most_input, (most_usd - least_usd) / (limit - shortest_limit))

    @property
    def call_bound(self) -> CallBound:
        """The most that the call may take as planned; 0 USD if its price is unknown."""
        return CallBound(self.bound or 0.0, token_bound(self.step.estimate))

    def shorten(self, usd: float, tokens: float) -> ShortenedCall | None:
        """Return this call with a limit that fits the key's remaining ``usd`` and ``tokens``; None if it cannot be
        lowered.

        A host generates no more than requested, so the lower limit is as firm a bound as the higher one, streamed or
        not. The part of a stream that arrived bounds nothing: tokens that a host generates before it notices a
        disconnect are billed too.
        """
        brief, full_limit, bound = self._brief, self.limit, self.bound
        if brief is None or full_limit is None or bound is None:
            return None
        limits = [float(full_limit)]
        if brief.token_usd and math.isfinite(usd):
            limits.append(full_limit - (bound - usd / _SHARE) / brief.token_usd)
        if math.isfinite(tokens):
            limits.append(tokens / _SHARE - brief.input_tokens)
        limit = max(brief.shortest_limit, math.floor(min(limits)))
        bound -= (full_limit - limit) * brief.token_usd
        start = self.adapter.start(self._opening._replace(limit=limit))
        return ShortenedCall(limit, CallBound(bound, TokenBound(brief.input_tokens, limit)), start)

    def body(self, chat: ParsedChat, shortened: ShortenedCall | None = None) -> list[bytes | memoryview]:
        """Return the body of the request: the client's bytes with our own fields."""
        fields, words = chat.fields, self.schema_instruction_for(chat)
        pieces: list[bytes | memoryview] = [self._start if shortened is None else shortened.start]
        for name, begin in self._forwarded:
            if words and name == self.adapter.conversation_field:
                longer = append_words(_messages_of(chat, name), words)
                assert longer is not None, "chats of this shape end in words of a user (_output_not_direct)"
                pieces += [begin, longer]
            elif name in chat.rewritten_fields:
                pieces += [begin, *chat.rewritten_fields[name]]
            elif name in fields:
                pieces += [begin, *chat.body.restore(memoryview(fields[name]))]
        for name, begin in self._identifiers:
            if (raw := fields.get(name)) is not None and bytes(raw) != b"null":
                pieces += [begin, memoryview(raw)]
        pieces.append(b"}")
        return pieces

    def schema_instruction_for(self, chat: ParsedChat) -> str:
        """Return the instruction about the answer's schema that is added to the client's messages; "" for none."""
        return self._words if self._words is not None else self._instruction(chat)

    def _instruction(self, chat: ParsedChat) -> str:
        if self.schema is None:
            return ""
        return json_answer.schema_instruction(
            self.schema, self.endpoint.host, enforced=self.schema_enforced,
            speaks_of_json=lambda: b"json" in _messages_of(chat, self.adapter.conversation_field).lower(),
        )  # fmt: skip

    def parse(self, text: str, budget: StepBudget) -> json_answer.ParsedAnswer:
        """Return the JSON value of an answer, checked against the schema.

        Raises whatever ``json_answer.parse`` raises.
        """
        assert self.schema is not None
        schema = self.schema.schema
        if not self._schema_digest:
            self._schema_digest = schema_digest(schema, budget)
        return json_answer.parse(text, schema, budget, self._schema_digest)

    def final_text(self, chat: ParsedChat) -> str:
        """Return the text that the conversation ends with."""
        return last_words(_messages_of(chat, self.adapter.conversation_field))

    def bill(self, usage: WireUsage, work: Work, moment: str) -> float | None:
        """Return the cost in USD, computed as for runs; results that depend only on the usage counts are cached."""
        if work.megapixels or self._tariff:
            return price_of_usage(self.endpoint, usage, work, self._tariff, moment)
        key = (self._own, usage)
        found = _bills.get(key, _NOT_YET)
        if found is _NOT_YET:
            found = _bills[key] = price_of_usage(self.endpoint, usage, work, (), moment)
        return found


_numbers = count()
_bills: BoundedCache[tuple[int, WireUsage], float | None] = BoundedCache("bills of plain counts", BILLS)


def compile_plan(
    chat: ParsedChat,
    inputs: Inputs,
    plan: Plan,
    adapter: ProtocolAdapter,
    means: HostAccess,
) -> CompiledPlan | str:
    """Return the compiled plan of chats of this shape, or the reason why the executor must run them.

    Raises ConfigError for a host that cannot be called, and NotExpressible for settings that its protocol cannot
    express, as the executor would.
    """
    request = inputs.request
    why = not_direct(chat, inputs, plan, adapter, means)
    if why:
        return why
    step, endpoint = plan.chosen.call, inputs.catalog.by_id[plan.chosen.endpoint]
    waits = means.timeouts.as_said(endpoint.host.timeouts)
    if not chat.stream:
        waits = replace(waits, first_byte=_whole_answer_timeout(step, waits.first_byte) or waits.first_byte)
    target = HttpTarget(
        HostAddress(endpoint.host.base_url, means.key, endpoint.host.auth),
        adapter.path,
        adapter.headers(request.sampling, request.settings),
        waits,
    )
    return CompiledPlan(chat, inputs, plan, endpoint, target, means.tariff, adapter)


def not_direct(chat: ParsedChat, inputs: Inputs, plan: Plan, adapter: ProtocolAdapter, means: HostAccess) -> str:
    """Return why a chat needs more than its one call, as the end of a sentence after "because"; "" if it is direct.

    Pure: the result is the same for all chats of a shape. ``Plan.not_direct`` covers what depends on the plan alone.
    """
    if plan.not_direct:
        return plan.not_direct
    request, chosen_route = inputs.request, plan.chosen
    step, endpoint = chosen_route.call, inputs.catalog.by_id[chosen_route.endpoint]
    if inputs.original_messages:
        return "its host counts its tokens first"
    return (
        _host_not_direct(endpoint, adapter, means)
        or _waiting_not_direct(chat, step, means.timeouts.as_said(endpoint.host.timeouts))
        or _output_not_direct(chat, request, endpoint, adapter)
        or _request_not_direct(chat, request, step, endpoint)
    )


def _host_not_direct(endpoint: Endpoint, adapter: ProtocolAdapter, means: HostAccess) -> str:
    host = endpoint.host
    if host.protocol != adapter.protocol:
        return "its host speaks another API than its client"
    if goes_by_proxy(host.base_url, adapter.path, internet=host.zone == "internet", proxies=means.proxies):
        return "it goes through a proxy"
    return ""


def _waiting_not_direct(chat: ParsedChat, step: Call, waits: Timeouts) -> str:
    if math.isfinite(waits.total):
        return "its host has a limit for all of a call"
    if not chat.stream and _whole_answer_timeout(step, waits.first_byte) is None:
        return "its answer may take so long that its host is to show signs of life"
    return ""


def _output_not_direct(chat: ParsedChat, request: Request, endpoint: Endpoint, adapter: ProtocolAdapter) -> str:
    schema = request.output
    if isinstance(schema, TextOutput):
        return ""
    if not isinstance(schema, JsonOutput):
        return "its answer is not text"
    enforced = _enforces_schema(schema, endpoint)
    if chat.stream and not enforced:
        return "its stream is shown only once it is checked against its schema"
    instruction = json_answer.schema_instruction(schema, endpoint.host, enforced=enforced, speaks_of_json=lambda: False)
    if instruction and (
        chat.pictures or append_words(_messages_of(chat, adapter.conversation_field), instruction) is None
    ):
        return "its schema is to be said after something that is not plain words"
    return ""


def _request_not_direct(chat: ParsedChat, request: Request, step: Call, endpoint: Endpoint) -> str:
    requested_tokens, limit = request.sampling.max_tokens, output_limit(step, request)
    if (
        scale_thinking(request.settings, requested_tokens, limit, endpoint.host.protocol, endpoint.id)
        is not request.settings
    ):
        return "its settings are changed to fit its host"
    if not all(isinstance(part, _PARTS) for _, _, part in request.parts()):
        return "it has parts that are neither words nor images"
    if chat.pictures and not _takes_images(chat, endpoint):
        return "its host takes fewer images, or images of other types"
    cost = step.estimate.cost
    if cost.known and exceeds(cost.high, request.policy.max_cost):
        return "it may cost more than it is allowed"
    return ""


def _enforces_schema(schema: JsonOutput, endpoint: Endpoint) -> bool:
    """Return True if the host enforces a schema through its protocol."""
    return schema_delivery(endpoint.host, is_closable(schema.schema)) != "asked"


def _messages_of(chat: ParsedChat, field: str) -> bytes:
    """Return the conversation as the JSON that is sent to a host."""
    if field in chat.rewritten_fields:
        return b"".join(chat.rewritten_fields[field])
    return bytes(chat.fields[field])


def _has_effect(name: str, request: Request, chat: ParsedChat) -> bool:
    """Return True if a field has an effect. Hosts refuse empty lists of tools and settings without effect."""
    if name in CONVERSATION_FIELDS:
        return True
    value = bytes(chat.fields.get(name, b"null"))
    if name in _OF_TOOLS:
        return bool(request.tools) and value not in (b"null", b'"auto"', b"true")
    return value not in (b"null", b"[]")


def _whole_answer_timeout(step: Call, seconds: float) -> float | None:
    """Return the seconds to wait for a whole answer; None if that may be too long.

    A host that is working on an answer cannot be told from one that hangs. If the wait may be too long, the executor
    requests a stream, which shows signs of life. A configured timeout takes precedence.
    """
    estimate = step.estimate.seconds
    if not estimate.known or estimate.for_limit() > LONGEST / 2:
        return None
    if seconds != FIRST_BYTE_TIMEOUT:
        return seconds if estimate.for_limit() <= seconds / 2 else None
    return max(seconds, 2 * estimate.for_limit())


def _takes_images(chat: ParsedChat, endpoint: Endpoint) -> bool:
    """Return True if the host accepts this number of images of these types."""
    accepted_types, limit = accepted_image_types(endpoint), endpoint.host.max_images
    if limit is not None and len(chat.pictures) > limit:
        return False
    return all(each.media_type in accepted_types for each in chat.pictures)


def _attempt_template(inputs: Inputs, plan: Plan, step: Call, endpoint: Endpoint) -> AttemptTemplate:
    names = stored_names([part.name for part in inputs.facts.parts])
    run = RunRow(id="", plan=plan.id, inputs=plan.inputs, endpoint=endpoint.id, objective=plan.objective, parts=names)
    kind, thinking = answer_length.kind_of_request(inputs.request), thinking_request_of(inputs.request.settings)
    return AttemptTemplate(run=run, attempt=reservation(step, endpoint, kind, run="", work=Work(), thinking=thinking))
