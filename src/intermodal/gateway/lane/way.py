"""What all chats of a shape share: their plan, and everything that follows from it, made ready once.

A ``Way`` is made from what planning said of the first of them. ``way_of`` is the list of what the lane can do as the
executor does it; whatever is not in it goes through the executor.
"""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from intermodal.bounded_cache import BoundedCache
from intermodal.catalog.reasoning_effort import thinking_request_of
from intermodal.catalog.types import Endpoint
from intermodal.content import Image, Opaque, Reasoning, Text, ToolCall, ToolResult
from intermodal.costing import answers
from intermodal.costing.room import output_limit
from intermodal.executor.attempt.accounting import is_free, upper_bound
from intermodal.executor.attempt.billing import settle
from intermodal.executor.attempt.ledger import reservation
from intermodal.executor.drivers.codecs import picture_types
from intermodal.executor.preparation.request_size import counting_rules
from intermodal.gateway.lane.reading import Chat
from intermodal.gateway.lane.tongues import Opening, Tongue
from intermodal.gateway.ledger.nouns import Claim, claim_of
from intermodal.gateway.reply import lines_of
from intermodal.gateway.told import headers_of
from intermodal.gateway.unread import unheld, untold
from intermodal.hints import words
from intermodal.plans.cores import NEAR
from intermodal.plans.plan import Inputs, Plan, sent
from intermodal.plans.step import Call
from intermodal.request import Request, TextOutput
from intermodal.store.attempt_journal import AttemptTemplate
from intermodal.store.rows import RunRow, Work, names_kept
from intermodal.transport.addresses import HostAddress, is_this_machine, parse_address
from intermodal.transport.http1 import HttpTarget
from intermodal.transport.timeouts import FIRST_BYTE_TIMEOUT, Timeouts
from intermodal.wire._json import dumps
from intermodal.wire.call import Usage
from intermodal.wire.fields import fitted
from intermodal.wire.openai_chat import MAX_STOP

if TYPE_CHECKING:
    from intermodal.catalog.rate_cards import RateCard
    from intermodal.plans.plan import Candidate

LONGEST = 600.0  # seconds that a whole answer may be waited for: what clients wait themselves
_NOT_YET = math.nan
BILLS = 2048
SAID = ("messages", "system", "input")
_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
# Fields by which an answer has unseen tokens.
_THINKING = ("reasoning", "reasoning_effort", "think", "thinking", "output_config")
_LONGER = 1.5  # an answer may be so many times as long as 39 of 40 that were measured
_SHORTEST = 32  # tokens that it is allowed beyond that
_SHARE = 16  # of what a budget has left, one answer gets such a part where that is more: others come, too
_PARTS = (Text, Image, Reasoning, ToolCall, ToolResult, Opaque)


class Means(NamedTuple):
    """What a host is called with: its key, its dated prices, everybody's time-outs, whether there may be proxies."""

    key: str
    tariff: tuple[RateCard, ...]
    timeouts: Timeouts
    proxies: bool


class _Told(msgspec.Struct):
    cost: float | None
    attempts: int
    seconds: float
    notes: tuple[str, ...]


_encode = msgspec.json.Encoder().encode


class _Brevity(NamedTuple):
    """What is known of how short answers are: ``least`` tokens of a limit that does, tokens that are ``given`` at most,
    USD of a ``token``."""

    least: int
    given: int
    token: float


class Shortened(NamedTuple):
    """The same call with a lower limit, for a budget that has no room for the whole one.

    ``limit`` in tokens of the answer, ``bound`` in USD, ``start``: how its body begins.
    """

    limit: int
    claim: Claim
    bound: float
    start: bytes


class Way:
    """How chats of a shape are passed on."""

    def __init__(
        self, chat: Chat, inputs: Inputs, plan: Plan, endpoint: Endpoint, target: HttpTarget, tariff: tuple[RateCard,
        ...], tongue: Tongue,
    ) -> None:  # fmt: skip
        step = plan.chosen.last
        self.plan = plan
        self.explores = plan.explores
        self.step = step
        self.endpoint = endpoint
        self.target = target
        self.tongue = tongue
        self.policy = inputs.request.policy
        self.claim: Claim = claim_of(plan)
        self.estimated = step.estimate.cost
        self.free = is_free(self.estimated)
        self.bound = upper_bound(self.estimated)
        self.tools = bool(inputs.request.tools)
        self.sort = _sort(inputs, plan, step, endpoint)
        self.number, self.since = -1, 0  # of the sort, on the slate
        self.book = counting_rules(endpoint, inputs.catalog)
        self.vocabulary = endpoint.model.vocabulary
        ignored = untold(chat.fields, inputs.request.settings, tongue.dialect, endpoint)
        ignored += () if "tools" in tongue.kept else unheld(inputs.request.tools, tongue.protocol)
        self.heads = lines_of(headers_of(plan, ignored=ignored))
        chosen = plan.chosen
        about = {
            "plan": plan.id, "route": endpoint.id, "planned": chosen.endpoint, "summary": chosen.summary,
            "loses": list(chosen.loses), "sends": [sent(send) for send in chosen.sends],
        }  # fmt: skip
        self.about = dumps(about)[:-1]
        self.notes = (*plan.notes, *chosen.warnings)
        self._tariff = tariff
        self._own = next(_numbers)
        self.limit = output_limit(step, inputs.request)
        # Nothing of what is said is kept: a way is of all chats of its shape.
        self._opening = Opening(endpoint, replace(inputs.request, messages=()), step, self.limit, chat.stream)
        self._start = tongue.start(self._opening)
        self._brief = self._brevity(chat, inputs)
        told = (field for field in tongue.sent_as(endpoint.host) if field[0] not in ignored)
        self._kept = tuple(field for field in told if _says(field[0], inputs.request, chat))
        self._identifiers = tuple((name, b',"%b":' % name.encode()) for name in tongue.identifiers)

    def _brevity(self, chat: Chat, inputs: Inputs) -> _Brevity | None:
        """None where nobody knows how long such answers are, or a lower limit would spare less than half."""
        kind = answers.kind_of_request(inputs.request)
        seen = answers.learned(inputs.statistics, self.endpoint.id, kind)
        thinks = self.step.estimate.thought_tokens.high or not chat.fields.keys().isdisjoint(_THINKING)
        given, whole = self.step.estimate.input_tokens, self.limit
        if seen is None or thinks or self.tools or whole is None or not self.bound or not given.known:
            return None
        least, counts = math.ceil(_LONGER * seen.high) + _SHORTEST, math.ceil(given.high)
        less, more = (
            self.bill(Usage(input_tokens=counts, output_tokens=made), Work(), inputs.as_of) for made in (least, whole)
        )
        if 2 * least > whole or less is None or more is None:
            return None
        return _Brevity(least, counts, (more - less) / (whole - least))

    def shortened(self, usd: float, tokens: float) -> Shortened | None:
        """This call with a limit for which a key has room that has so much left; None where nobody knows what is
        enough.

        A host makes no more than it is asked for, so the lower limit is as sure a bound as the higher one, streamed or
        not. What is seen of a stream bounds nothing: what a host makes before it notices that we left is paid, too.
        """
        brief, whole, bound = self._brief, self.limit, self.bound
        if brief is None or whole is None or bound is None:
            return None
        fits = [float(whole)]
        if brief.token and math.isfinite(usd):
            fits.append(whole - (bound - usd / _SHARE) / brief.token)
        if math.isfinite(tokens):
            fits.append(tokens / _SHARE - brief.given)
        limit = max(brief.least, math.floor(min(fits)))
        bound -= (whole - limit) * brief.token
        claim = replace(self.claim, cost=bound, tokens=brief.given + limit)
        return Shortened(limit, claim, bound, self.tongue.start(self._opening._replace(limit=limit)))

    def body(self, chat: Chat, shortened: Shortened | None = None) -> list[bytes | memoryview]:
        """The client's bytes between our own."""
        fields = chat.fields
        made: list[bytes | memoryview] = [self._start if shortened is None else shortened.start]
        for name, begin in self._kept:
            if name in chat.written:
                made += [begin, *chat.written[name]]
            elif name in fields:
                made += [begin, *chat.body.whole(memoryview(fields[name]))]
        for name, begin in self._identifiers:
            if (raw := fields.get(name)) is not None and bytes(raw) != b"null":
                made += [begin, memoryview(raw)]
        made.append(b"}")
        return made

    def bill(self, usage: Usage, work: Work, moment: str) -> float | None:
        """USD, by the same bill as everywhere; what depends on nothing but the two counts is remembered."""
        if work.megapixels or self._tariff:
            return settle(self.endpoint, usage, work, self._tariff, moment)
        key = (self._own, usage)
        found = _bills.get(key, _NOT_YET)
        if found is _NOT_YET:
            found = _bills[key] = settle(self.endpoint, usage, work, (), moment)
        return found


_numbers = count()
_bills: BoundedCache[tuple[int, Usage], float | None] = BoundedCache("bills of plain counts", BILLS)


def way_of(
    chat: Chat,
    inputs: Inputs,
    plan: Plan,
    tongue: Tongue,
    means: Means,
) -> Way | None:
    """How such chats are passed on; None where the executor has more to do than to send them.

    Raises ConfigError for a host that cannot be called, and NotExpressible for settings it has no words for, which the
    executor would say too.
    """
    request, chosen = inputs.request, plan.chosen
    if len(chosen.steps) != 1 or chosen.checks or inputs.asked:
        return None
    step = chosen.steps[0]
    if not isinstance(step, Call) or step.op != "generate":
        return None
    endpoint = inputs.catalog.by_id.get(step.endpoint)
    if endpoint is None or not _plain_endpoint(endpoint, tongue, means.proxies):
        return None
    waits = means.timeouts.as_said(endpoint.host.timeouts)
    if not chat.stream:
        seconds = _patience(step, waits.first_byte)
        if seconds is None:
            return None
        waits = replace(waits, first_byte=seconds)
    if len(request.sampling.stop) > MAX_STOP:
        return None
    asked, limit = request.sampling.max_tokens, output_limit(step, request)
    if fitted(request.settings, asked, limit, endpoint.host.protocol, endpoint.id) is not request.settings:
        return None
    if not isinstance(request.output, TextOutput) or request.policy.deadline is not None:
        return None
    if not all(isinstance(part, _PARTS) for _, _, part in request.parts()) or not _pictures_as_they_are(
        chat, chosen, step, endpoint
    ):
        return None
    cost = step.estimate.cost
    if math.isfinite(waits.total) or (cost.known and cost.high > request.policy.max_cost):
        return None
    target = HttpTarget(
        HostAddress(endpoint.host.base_url, means.key, endpoint.host.auth),
        tongue.path,
        tongue.headers(request.sampling, request.settings),
        waits,
    )
    return Way(chat, inputs, plan, endpoint, target, means.tariff, tongue)


def _says(name: str, request: Request, chat: Chat) -> bool:
    """Whether a field says anything. Hosts refuse lists of no tools, and settings of what is not there."""
    if name in SAID:
        return True
    said = bytes(chat.fields.get(name, b"null"))
    if name in _OF_TOOLS:
        return bool(request.tools) and said not in (b"null", b'"auto"', b"true")
    return said not in (b"null", b"[]")


def _patience(step: Call, seconds: float) -> float | None:
    """Seconds that a whole answer is waited for: a host that works on it looks like one that hangs. None where that
    may be too long; the executor asks for a stream then, which shows signs of life. What the config says holds."""
    estimate = step.estimate.seconds
    if not estimate.known or estimate.for_limit() > LONGEST / 2:
        return None
    if seconds != FIRST_BYTE_TIMEOUT:
        return seconds if estimate.for_limit() <= seconds / 2 else None
    return max(seconds, 2 * estimate.for_limit())


def _plain_endpoint(endpoint: Endpoint, tongue: Tongue, proxies: bool) -> bool:
    host = endpoint.host
    if host.protocol != tongue.protocol or host.zone == "process" or host.counts_text or endpoint.weights:
        return False
    proxied = host.zone == "internet" and proxies
    return not proxied or is_this_machine(parse_address(host.base_url, tongue.path).host)


def _pictures_as_they_are(chat: Chat, chosen: Candidate, step: Call, endpoint: Endpoint) -> bool:
    """Nothing near gets a client's file (``executor/preparation/part_inputs.py``), and no picture goes that would be
    made smaller."""
    if not chat.pictures:
        return True
    if endpoint.host.zone in NEAR:
        return False
    side = dict(step.params).get("max_side", "")
    most = int(side) if side else math.inf
    taken = picture_types(endpoint)
    limit = endpoint.host.max_images
    if limit is not None and len(chat.pictures) > limit:
        return False
    return all(each.media_type in taken and max(each.width, each.height) <= most for each in chat.pictures)


def _sort(inputs: Inputs, plan: Plan, step: Call, endpoint: Endpoint) -> AttemptTemplate:
    names = names_kept([part.name for part in inputs.facts.parts])
    run = RunRow(id="", plan=plan.id, inputs=plan.inputs, endpoint=endpoint.id, objective=plan.objective, parts=names)
    kind, asked = answers.kind_of_request(inputs.request), thinking_request_of(inputs.request.settings)
    return AttemptTemplate(run=run, attempt=reservation(step, endpoint, kind, run="", work=Work(), asked=asked))


def about(way: Way, cost: float | None, attempts: int, seconds: float, notes: tuple[str, ...] = ()) -> bytes:
    """What is told of a run beside its usage, as ``told.py`` has it."""
    said = _Told(
        cost,
        attempts,
        round(seconds, 3),
        (*way.notes, *(words(each, "http") for each in notes)) if notes else way.notes,
    )
    return way.about + b"," + _encode(said)[1:]
