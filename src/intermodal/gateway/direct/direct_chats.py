"""Chats that may be direct: finds the compiled plan of a chat's shape, or plans the first chat of a new shape.

The executor makes the call (``executor/direct/``). A call that fails before any output was shown is handed to a run as
its first attempt, and so is an answer that has to be repaired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from sys import getsizeof
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from msgspec.structs import replace

from intermodal import errors
from intermodal.catalog.load import rate_card_lookup
from intermodal.catalog.types import Catalog
from intermodal.client.planner_inputs import vocabularies_to_count
from intermodal.client.request_builder import with_config_labels
from intermodal.client_apis import ClientApi
from intermodal.concurrency.offload import LONG, is_long_request, offload
from intermodal.config.api_keys import find_key
from intermodal.config.config_file import snapshot_file
from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.content import Image, Part
from intermodal.core.request import JsonOutput, Policy, Request
from intermodal.cost_model.answer_length import kind_of
from intermodal.executor.api import (
    ADAPTERS,
    CONVERSATION_FIELDS,
    CompiledPlan,
    DirectAttempt,
    DirectEngine,
    HostAccess,
    ProtocolAdapter,
    compile_plan,
)
from intermodal.gateway.direct.client_sink import ChatPlan, ClientSink
from intermodal.gateway.direct.handover import Handover
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.requests.body_limits import LARGE_BODY, MAX_VALUES, check_media_count, check_values, decode_body
from intermodal.gateway.requests.prompt_size_check import FIRST_SAMPLE, SAMPLE_RATIO
from intermodal.gateway.requests.request_from_call import request_from_call
from intermodal.gateway.requests.request_policy import (
    apply_overrides,
    check_model_allowed,
    check_output,
    is_plainly_allowed,
    policy_for_model,
    policy_overrides,
    prompt_name,
    with_default_limit,
)
from intermodal.gateway.state.conversations import ConversationRoute, continue_conversation
from intermodal.gateway.state.plan_cache import MAX_PARTS, bucket_top, estimate_tokens
from intermodal.media.text.script_counts import count_scripts
from intermodal.planner.planning_case import question_excerpt
from intermodal.plans.facts import PartFacts, QuestionFacts
from intermodal.plans.machine import Machine
from intermodal.plans.plan import Inputs, Plan
from intermodal.protocols.calls import NotExpressible
from intermodal.protocols.framing.image_facts import ImageFacts
from intermodal.protocols.framing.inline_media import ExtractedBody, extract_media
from intermodal.protocols.parsed_chat import ParsedChat, TextSizes
from intermodal.questions.keyword_needs import needed_aspects
from intermodal.transport.timeouts import Timeouts

if TYPE_CHECKING:
    from intermodal.client.async_client import AsyncClient
    from intermodal.gateway.context import GatewayContext
    from intermodal.gateway.http1.connection import OnEnd
    from intermodal.gateway.http1.response_writer import WriteBatcher
    from intermodal.gateway.server_client import ServerClient


# ---- text size cache --------------------------------------------------------------------------------
#
# A cache of text sizes: system prompts recur in every request.

MAX_TEXT_SIZES = 1024
_LONGEST = 8 << 10  # characters of the longest text that is cached
TEXT_SIZES_ROOM = 1 << 20  # bytes of all cached texts
MAX_QUESTIONS, QUESTIONS_ROOM = 512, 512 << 10  # cached questions, and their bytes


class TextSizeCache:
    """Text sizes and question kinds of one gateway."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._sizes: BoundedCache[str, TextSizes] = BoundedCache(
            "sizes of texts", MAX_TEXT_SIZES, room=TEXT_SIZES_ROOM, size=lambda text, _: getsizeof(text)
        )
        self._questions: BoundedCache[tuple[str, bool], tuple[object, ...]] = BoundedCache(
            "what questions ask for", MAX_QUESTIONS, room=QUESTIONS_ROOM, size=lambda key, _: getsizeof(key[0])
        )
        self._catalog = Catalog()
        self._names: tuple[tuple[str, ...], tuple[str, ...]] = (), ()  # tokenizers; vocabularies for estimates

    def copy_for_thread(self) -> TextSizeCache:
        """Return a copy for another thread, without the sizes cached here."""
        found = TextSizeCache(self._client)
        found._catalog, found._names = self._catalog, self._names
        return found

    def count_by(self, catalog: Catalog) -> bool:
        """Count with the vocabularies of this catalog; return True if they differ from the previous ones."""
        if self._catalog is catalog:
            return False
        names, before = (tuple(sorted(vocabularies_to_count(catalog))), catalog.vocabularies), self._names
        if names != before:
            self._sizes.clear()
        self._catalog, self._names = catalog, names
        return names != before

    def sizes_of(self, text: str) -> TextSizes:
        """Return the sizes of a text in every unit that is counted."""
        found = self._sizes.get(text)
        if found is None:
            size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
            made_of = count_scripts(text)
            rough = estimate_tokens(len(text), size, made_of, self._names[1])
            shape = (bucket_top(len(text)), *map(bucket_top, rough), bucket_top(size), *self._counts(text))
            found = TextSizes(shape, len(text), made_of, size)
            if len(text) <= _LONGEST:
                self._sizes[text] = found
        return found

    def _counts(self, text: str) -> list[tuple[str, int]]:
        count = self._client.vocabularies.count
        found = ((name, count(name, text)) for name in self._names[0])
        return [(name, bucket_top(number)) for name, number in found if number is not None]

    def question(self, text: str, *, pictured: bool) -> tuple[object, ...]:
        """Return the kind of answer requested and, if ``pictured``, the needed aspects of images."""
        text = question_excerpt(text)
        found = self._questions.get((text, pictured))
        if found is None:
            found = (kind_of(text), needed_aspects(text)) if pictured else (kind_of(text),)
            self._questions[text, pictured] = found
        return found


# ---- direct chats -----------------------------------------------------------------------------------

CACHED_PLANS, CACHED_BYTES = 512, 16 << 20  # compiled plans by shape, and the bytes of all of them
_WORDS = 64 << 10  # bytes of a body without its media: counting this much takes 6 ms; larger bodies go to a thread
POLICIES = 512
_WISHES = 1 << 10  # bytes of policy overrides up to which the policy is cached
_A_SHAPE, _A_PART, _A_PLAN = 1 << 10, 256, 8 << 10  # estimated bytes of a shape, each part, and a plan
_BYTES_IN_MEMORY = 6  # bytes in memory per byte of JSON
_OF_ITEMS = (b'"role"', b'"call_id"')


class _CachedPlan(NamedTuple):
    """The cached result for a shape, with the state it was derived from."""

    planned: ChatPlan | str  # else the reason why there is none
    size: int  # approximate bytes of the plan and its shape
    catalog: ref[Catalog]  # weak: there is one catalog for each unknown model that a client names
    machine: Machine
    epoch: int
    as_of: str
    refusals: int

    def is_valid(self, catalog: Catalog, client: ServerClient) -> bool:
        """Return True if everything that the plan depends on is unchanged."""
        return (
            self.catalog() is catalog and self.machine is client.machine and self.epoch == client.epoch
            and self.as_of == client.today and self.refusals == client.upstreams.refusals
        )  # fmt: skip


class MatchedChat(NamedTuple):
    """A chat that may be direct.

    ``planned``: None for a new shape. ``question``: what the question needs of the images.
    """

    chat: ParsedChat
    adapter: ProtocolAdapter
    key: tuple[object, ...]
    planned: ChatPlan | None
    policy: Policy
    place: ConversationRoute | None
    question: QuestionFacts | None = None


class DirectChats:
    """The direct path of one gateway. ``engine`` makes the calls."""

    def __init__(self, context: GatewayContext, outbox: WriteBatcher) -> None:
        self.engine = DirectEngine(context.client, outbox)
        self._context = context
        self._compiled_plans: BoundedCache[tuple[object, ...], _CachedPlan] = BoundedCache(
            "compiled plans by shape", CACHED_PLANS, room=CACHED_BYTES, size=lambda _, known: known.size
        )
        self._policies: BoundedCache[tuple[object, ...], Policy] = BoundedCache("policies by overrides", POLICIES)
        self._measures = TextSizeCache(context.client)

    # ---- may it be taken? ----------------------------------------------------------------------

    async def match(self, request: GatewayRequest, dialect: ClientApi) -> MatchedChat | None:
        """Return the matched chat if it may be direct. Raises RequestRefused for an invalid option or name."""
        adapter = self._adapter(dialect)
        if adapter is None:
            _by_run(request, "telemetry records what is said in it")
            return None
        await self._context.client.refresh()
        await offload(len(request.body) > LONG, check_values, request, MAX_VALUES, self._context.limits.text)
        chat, request.chat = request.chat or await self._parse_chat(request, adapter), None
        if chat is None:
            if not request.served.not_direct:
                _by_run(request, "it has a field or a part that is not passed on")
            return None
        check_media_count(len(chat.pictures), self._context.limits.media)
        policy = self._policy(request, chat)
        if policy is None:
            return None
        await check_model_allowed(request.key, chat.model, self._context.client)
        await self._context.client.look_up(policy)
        catalog = self._context.client.catalog_for(policy)
        if self._measures.count_by(catalog):  # the sizes were counted with another catalog's vocabularies
            chat = await self._parse_chat(request, adapter)
            assert chat is not None
        question = (
            await self._context.client.question_needs(question_excerpt(chat.question)) if _open(chat, policy) else None
        )
        return self._match_cached(request, adapter, chat, policy, catalog, question)

    def at_once(
        self, request: GatewayRequest, dialect: ClientApi, reply: ResponseWriter, over: OnEnd
    ) -> DirectAttempt | None:
        """Return the attempt for a chat whose shape is known, if nothing has to be awaited; the parsed chat is kept for
        ``match``. Raises as ``match`` does. ``over``: called when the attempt ends, if it is started.
        """
        adapter, client = self._adapter(dialect), self._context.client
        if adapter is None or not client.up_to_date or len(request.body) > LARGE_BODY:
            return None
        check_values(request, MAX_VALUES, self._context.limits.text)
        body = extract_media(request.body)
        if len(body.text) > _WORDS or _many_items(body.text):
            return None
        chat = request.chat = _parse_chat(request, body, adapter, self._measures)
        if chat is None:
            return None
        policy = self._policy(request, chat)
        if policy is None or not client.has_catalog_for(policy):
            return None
        if not is_plainly_allowed(request.key, chat.model, client):
            return None
        question = None
        if _open(chat, policy):
            question = client.known_question_needs(question_excerpt(chat.question))
            if question is None:
                return None
        catalog = client.catalog_for(policy)
        if self._measures.count_by(catalog):
            request.chat = None
            return None
        ready = self._match_cached(request, adapter, chat, policy, catalog, question)
        if ready is None or ready.planned is None:
            return None
        sink = ClientSink(self._context, self.engine, ready.planned, chat, request, reply, over)
        return DirectAttempt(self.engine, chat, ready.planned.compiled, sink)

    def _adapter(self, dialect: ClientApi) -> ProtocolAdapter | None:
        telemetry = self._context.client.telemetry
        if telemetry is not None and telemetry.content:  # content is recorded by the executor alone
            return None
        return ADAPTERS.get(dialect.reads)

    def _policy(self, request: GatewayRequest, chat: ParsedChat) -> Policy | None:
        """Return the policy of the request; None if the executor must handle it. Raises RequestRefused."""
        client = self._context.client
        request.served.model = chat.model
        own = bytes(chat.fields["intermodal"]) if "intermodal" in chat.fields else b""
        policy = self._policies.get((chat.model, request.head.policy_headers, own))
        if policy is None:
            if prompt_name(chat.model, client):
                _by_run(request, "it is made from a prompt file")
                return None
            policy = apply_overrides(
                policy_for_model(chat.model, client), policy_overrides(request.head.headers, chat.fields)
            )
            if len(own) <= _WISHES:
                self._policies[chat.model, request.head.policy_headers, own] = policy
        if chat.stream and policy.streaming != "live":
            _by_run(request, "its stream is held back until it is complete")
            return None
        return policy

    def _match_cached(
        self,
        request: GatewayRequest,
        adapter: ProtocolAdapter,
        chat: ParsedChat,
        policy: Policy,
        catalog: Catalog,
        question: QuestionFacts | None,
    ) -> MatchedChat | None:
        """Return the chat with the cached plan of its shape; None if the shape is known not to be direct."""
        place = self._context.conversations.route_of(chat.before) if chat.before is not None else None
        key = (request.owner, request.head.policy_headers, place, chat.shape, question)
        known = self._compiled_plans.get(key)
        if known is not None and known.is_valid(catalog, self._context.client):
            if isinstance(known.planned, str):
                _by_run(request, known.planned)
                return None
            return MatchedChat(chat, adapter, key, known.planned, policy, place, question)
        return MatchedChat(chat, adapter, key, None, policy, place, question)

    async def _parse_chat(self, request: GatewayRequest, adapter: ProtocolAdapter) -> ParsedChat | None:
        body = await offload(len(request.body) > LARGE_BODY, extract_media, request.body)
        if len(body.text) > SAMPLE_RATIO * FIRST_SAMPLE:
            _by_run(request, "it is too long")
            return None  # more than most models take: the executor refuses it before all of it is counted
        if _many_items(body.text):
            _by_run(request, "it has too many messages")
            return None
        if len(request.body) > LARGE_BODY or len(body.text) > _WORDS:
            return await offload(True, _parse_chat, request, body, adapter, self._measures.copy_for_thread())
        return _parse_chat(request, body, adapter, self._measures)

    # ---- a shape that is new -------------------------------------------------------------------

    async def plan_and_cache(self, ready: MatchedChat, request: GatewayRequest) -> ChatPlan | None:
        """Plan the first chat of a shape and cache the result. Raises whatever planning raises."""
        context, client = self._context, self._context.client
        # The planner's inputs, read together: a later look at the machine may replace them while it runs.
        machine, as_of, refusals = client.machine, client.today, client.upstreams.refusals
        inputs = await self._inputs(ready, request)
        planned: ChatPlan | str = _PREPARED_NOTE
        if inputs is None:
            catalog, epoch = client.catalog_for(ready.policy), client.epoch
        else:
            await asyncio.sleep(0)  # parsing and planning are separate turns of the event loop
            plan = await context.plan_cache.shared_plan(inputs)
            long = is_long_request(inputs.request)
            planned = await offload(long, self._compile, ready, inputs, plan) if plan is not None else _UNPLANNED_NOTE
            catalog, epoch, as_of = inputs.catalog, inputs.statistics.epoch, inputs.as_of
            machine = client.machine if inputs.machine == client.machine else inputs.machine
        client.epoch = max(client.epoch, epoch)  # otherwise every chat of this shape is planned until the next look
        size = _size_of_entry(ready.chat, planned)
        self._compiled_plans[ready.key] = _CachedPlan(planned, size, ref(catalog), machine, epoch, as_of, refusals)
        if isinstance(planned, str):
            _by_run(request, planned)
            await asyncio.sleep(0)  # it is parsed and planned again, for its own sizes
            return None
        return planned

    def _compile(self, ready: MatchedChat, inputs: Inputs, plan: Plan) -> ChatPlan | str:
        client = self._context.client
        endpoint = inputs.catalog.by_id.get(plan.chosen.endpoint)
        if endpoint is None:
            return _PREPARED_NOTE
        means = HostAccess(
            find_key(endpoint.host, client.env) or "", rate_card_lookup(snapshot_file(client.env))(endpoint),
            Timeouts().as_said(client.config.timeouts), client.proxies,
        )  # fmt: skip
        try:
            compiled = compile_plan(ready.chat, inputs, plan, ready.adapter, means)
        except (errors.ConfigError, NotExpressible):
            return "its host's protocol cannot express it"  # the executor reports the error
        return ChatPlan(compiled) if isinstance(compiled, CompiledPlan) else compiled

    async def _inputs(self, ready: MatchedChat, request: GatewayRequest) -> Inputs | None:
        """Return the planner's inputs, or None if the executor must handle the chat.

        Image facts are those of the direct path: the text in images is not measured.
        """
        context = self._context
        decode, body = ready.adapter.dialect.decode, ready.chat.body.text
        call = await decode_body(decode, body)
        if call.candidates or (call.sampling.max_tokens is not None and call.sampling.max_tokens < 1):
            return None
        call = with_default_limit(call, context.client.config)
        long = is_long_request(call)
        if isinstance(call.output, JsonOutput):
            try:
                call = replace(call, output=await check_output(call.output))
            except errors.IntermodalError:
                return None  # the executor reports the error
        run_request = continue_conversation(await offload(long, request_from_call, call, ready.policy), ready.place)
        parts = await offload(long, list, run_request.parts())
        pictures = await offload(long, _images_in, parts)
        if pictures != len(ready.chat.pictures):
            return None
        words = await offload(long, _without_images, run_request) if pictures else run_request
        prepared = await context.client.prepare(words)
        texts = list(prepared.inputs.facts.parts)
        if prepared.inputs.original_messages or len(texts) + pictures != len(parts):
            return None
        whole = await offload(long, with_config_labels, run_request, context.client.config.private)
        facts = await offload(long, _facts_of, parts, texts, ready.chat.pictures)
        known = replace(prepared.inputs.facts, parts=facts, question=ready.question)
        return replace(prepared.inputs, request=whole, facts=known)

    # ---- passing on ----------------------------------------------------------------------------

    async def answer(self, request: GatewayRequest, reply: ResponseWriter, dialect: ClientApi) -> bool:
        """Answer a chat if its plan is direct. If False, the executor continues, from ``request.after`` if that is set.

        Raises RequestRefused if the key's budget does not allow it, and whatever planning raises.
        """
        ready = await self.match(request, dialect)
        planned = None if ready is None else ready.planned or await self.plan_and_cache(ready, request)
        if ready is None or planned is None:
            return False
        request.after = await self.run(ready, planned, request, reply)
        return request.after is None

    async def run(
        self, ready: MatchedChat, planned: ChatPlan, request: GatewayRequest, reply: ResponseWriter
    ) -> Handover | None:
        """Answer the chat; return the failed attempt if no output was shown and the executor is to continue.

        Raises RequestRefused if the key's budget does not allow it.
        """
        sink = ClientSink(self._context, self.engine, planned, ready.chat, request, reply)
        attempt = DirectAttempt(self.engine, ready.chat, planned.compiled, sink)
        try:
            failure = await attempt.go()
            return None if failure is None else sink.handover(failure)
        finally:
            attempt.break_references()


def _by_run(request: GatewayRequest, why: str) -> None:
    """Record why a run answers; ``why`` completes a sentence after "because"."""
    request.served.not_direct = why


_PREPARED_NOTE = "it is prepared before it is sent"
_UNPLANNED_NOTE = "chats like it are planned one by one"


def _size_of_entry(chat: ParsedChat, planned: ChatPlan | str) -> int:
    """Return the approximate bytes of a shape and its plan.

    Counts the properties of each message that a plan depends on, and the fields besides the messages (mainly tools),
    both serialized and parsed.
    """
    parts = chat.messages + len(chat.texts) + len(chat.pictures)
    besides = sum(len(field) for name, field in chat.fields.items() if name not in CONVERSATION_FIELDS)
    return (
        _A_SHAPE
        + _A_PART * parts
        + besides
        + (_A_PLAN + _BYTES_IN_MEMORY * besides if isinstance(planned, ChatPlan) else 0)
    )


def _open(chat: ParsedChat, policy: Policy) -> bool:
    """Return True if the question's needs of its images may decide the endpoint.

    With a named model they do not: it gets the images as they are.
    """
    return bool(chat.pictures) and not policy.model and not chat.question.isspace() and bool(chat.question)


def _many_items(text: bytes) -> bool:
    """Return True if a body may hold more messages than a request with a shared plan has parts, by counting these keys.

    Quotes inside strings are escaped, so keys quoted in a string do not count.
    """
    return max(map(text.count, _OF_ITEMS)) > MAX_PARTS


def _parse_chat(
    request: GatewayRequest, body: ExtractedBody, adapter: ProtocolAdapter, measures: TextSizeCache
) -> ParsedChat | None:
    chat = adapter.chat_of(body, request.owner, measures)
    if body.lifted and not body.complete:  # something in it only looks like an image
        chat = adapter.chat_of(ExtractedBody(request.body), request.owner, measures)
    return chat


def _images_in(parts: Sequence[tuple[int, object, Part]]) -> int:
    return sum(isinstance(part, Image) for _, _, part in parts)


def _facts_of(
    parts: Sequence[tuple[int, object, Part]], texts: Sequence[PartFacts], pictures: Sequence[ImageFacts]
) -> tuple[PartFacts, ...]:
    """Return the facts of all parts: texts as prepared, images as read by the direct path."""
    from intermodal.media.request_media import unique_names

    text_facts, image_facts = iter(texts), iter(pictures)
    facts: list[PartFacts] = []
    for index, _, part in parts:
        if isinstance(part, Image):
            found = next(image_facts)
            facts.append(
                PartFacts(
                    index=index, name=getattr(part.source, "name", "") or "bytes", kind="image",
                    media_type=found.media_type, digest=found.digest.hex(), size=found.size,
                    width=found.width, height=found.height,
                )
            )  # fmt: skip
        else:
            facts.append(replace(next(text_facts), index=index))
    return unique_names(facts)


def _without_images(request: Request) -> Request:
    messages = tuple(
        replace(message, parts=tuple(part for part in message.parts if not isinstance(part, Image)))
        for message in request.messages
    )
    return replace(request, messages=messages)
