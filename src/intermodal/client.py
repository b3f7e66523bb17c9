"""THE page: how a request becomes an answer. Read ``AsyncClient`` from top to bottom and you know the project.

    request ─ open ─▶ facts ┐
    config, weights ─▶ catalog ├─ plan() ─▶ Plan ─ explain ─▶ text
    machine, statistics ──────┘               └── run() ─▶ events ─ fold ─▶ Result

Planning is pure; everything that touches the world happens before it (``_inputs``) or after it
(``stream``). ``Client`` in ``sync_client.py`` is the same, synchronous, through one bridge.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from msgspec.structs import replace

from intermodal import request_builder
from intermodal.answer import Answer
from intermodal.catalog.load import plannable, with_named
from intermodal.catalog.model_names import resolve_name
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.client_resources import ClientResources
from intermodal.concurrency.offload import is_long, offload
from intermodal.config import snapshot_file
from intermodal.content import Kind
from intermodal.errors import UsageError
from intermodal.events import Event, Finished, Note, Result, TextDelta, fold
from intermodal.hints import Hint, words
from intermodal.planner import frontier, plan_from, why_not
from intermodal.plans import analyze, explain
from intermodal.plans.facts import QuestionFacts, needs_conversion
from intermodal.plans.plan import Inputs, Plan, SavedPlan
from intermodal.prompts.prompt_verb import PromptVerb
from intermodal.request import Request
from intermodal.request_builder import AskOptions, FileLike, Schema, continues_conversation, with_options
from intermodal.rerank_verb import RerankVerb
from intermodal.retrieval.find_verb import FindVerb
from intermodal.today import today
from intermodal.workloads.workload_types import WorkloadKeys

if TYPE_CHECKING:
    from intermodal.estimates.estimate import Estimate
    from intermodal.executor.attempt.caller import PriorAttempt
    from intermodal.executor.attempt.ledger import RunAllowance
    from intermodal.executor.dependencies import Dependencies
    from intermodal.media.request_media import OpenedRequest
    from intermodal.plans.machine import Machine
    from intermodal.workloads.bills import MonthlyCost

PICTURES: tuple[Kind, ...] = ("image",)
T = TypeVar("T")


@dataclass(frozen=True)
class PreparedRequest:
    """A request with everything planning needs, and its opened media."""

    inputs: Inputs
    opened: OpenedRequest


async def _answer_text(events: AsyncGenerator[Event]) -> AsyncGenerator[str]:
    async with aclosing(events) as happening:
        async for event in happening:
            if isinstance(event, TextDelta):
                yield event.text


class AsyncClient(PromptVerb, FindVerb, RerankVerb, ClientResources):
    """Plans and runs requests. Use it as ``async with AsyncClient() as client``.

    Args:
        config: what the user allows and has; read from the config file when None.
        env: environment for keys and folders; ``os.environ`` when None.
        remember: keep conversations in the local store, for ``continued``.
    """

    # ---- what it does ---------------------------------------------------------------------------

    @with_options(AskOptions)
    async def plan(
        self, prompt: str | Request, *files: FileLike, schema: Schema | None = None, **options: Unpack[AskOptions]
    ) -> Plan:
        """Choose a route. Spends nothing, contacts no model.

        Args:
            prompt: the question, with files and options as ``ask`` takes them; or a request of ``make_request``.

        Raises:
            UsageError: the first argument is neither a question nor a request, or an option is wrong.
            InputError: a file or URL cannot be taken.
            NoRoute: nothing reachable satisfies request and policy; ``reasons`` say why.
        """
        request = request_builder.build_request(self.config, self.env, prompt, files, schema, options)
        return plan_from((await self.prepare(request, planning=True)).inputs)

    @with_options(AskOptions)
    async def explain(
        self, prompt: str | Request, *files: FileLike, schema: Schema | None = None, **options: Unpack[AskOptions]
    ) -> str:
        """The plan as text: routes, numbers, what is lost, what was rejected and why, what leaves the machine."""
        return explain.explain(await self.plan(prompt, *files, schema=schema, **options))

    @overload
    def stream(self, prompt: Request, plan: Plan | None = None) -> AsyncGenerator[Event]: ...

    @overload
    def stream(
        self,
        prompt: str,
        *files: FileLike,
        plan: Plan | None = None,
        schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[Event]: ...

    @with_options(AskOptions)
    def stream(
        self, prompt: str | Request, *files: Any, plan: Plan | None = None, schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[Event]:  # fmt: skip
        """Plan (unless a plan is given: then it is run exactly) and run; events as they happen.

        A wrong argument is refused here, before the first event is asked for. The rest as in ``run``.
        """
        request, plan = self._to_run(prompt, files, plan, schema, options)
        return self._streamed(request, plan)

    async def _streamed(self, request: Request, plan: Plan | None) -> AsyncGenerator[Event]:
        if plan is None:
            prepared = await self.prepare(request, counting=True)
        else:
            prepared = await self._gathered(request, (), counting=True, planning=False)
            request_builder.check_callable(plan, prepared.inputs.catalog)
        made = plan or plan_from(prepared.inputs)
        async with aclosing(self.execute(prepared, made, exact=plan is not None)) as events:
            async for event in events:
                yield event

    def _to_run(
        self, prompt: str | Request, files: tuple[Any, ...], plan: Plan | None, schema: Any, options: Any
    ) -> tuple[Request, Plan | None]:
        """The request, and the plan that stands behind a request or is named."""
        if isinstance(prompt, Request) and len(files) == 1 and isinstance(files[0], Plan | None):
            (plan,), files = files, ()
        if not isinstance(plan, Plan | None):
            raise UsageError(f"the plan is {type(plan).__name__}", todo="pass what client.plan returns")
        return request_builder.build_request(self.config, self.env, prompt, files, schema, options), plan

    @with_options(AskOptions)
    def stream_text(
        self,
        prompt: str | Request,
        *files: FileLike,
        plan: Plan | None = None,
        schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[str]:
        """The words of the answer as they come: ``stream``, and of its events the text alone."""
        request, plan = self._to_run(prompt, files, plan, schema, options)
        return _answer_text(self._streamed(request, plan))

    @overload
    async def run(self, prompt: Request, plan: Plan | None = None) -> Result: ...

    @overload
    async def run(
        self,
        prompt: str,
        *files: FileLike,
        plan: Plan | None = None,
        schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> Result: ...

    @with_options(AskOptions)
    async def run(
        self, prompt: str | Request, *files: Any, plan: Plan | None = None, schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> Result:  # fmt: skip
        """Plan (unless a plan is given), run, and add up the events.

        Args:
            prompt: the question, with files and options as ``ask`` takes them; or a request of ``make_request``, behind
                which the plan may stand.
        """
        request, plan = self._to_run(prompt, files, plan, schema, options)
        return fold([event async for event in self._streamed(request, plan)])

    async def execute(
        self, prepared: PreparedRequest, plan: Plan, *, exact: bool = False, live: bool = True,
        tried: PriorAttempt | None = None, allowance: RunAllowance | None = None,
    ) -> AsyncGenerator[Event]:  # fmt: skip
        """Run a plan over what was prepared: what ``stream`` does after planning.

        ``exact``: this plan and no other; where what a step makes is not what was planned for, it is said, and the plan
        is not made again. ``live``: the answer is read while it is made; otherwise a short one is asked for whole.
        ``tried``: the first attempt was made already, and failed. ``allowance``: of somebody's budget, asked before
        each attempt.
        """
        from intermodal.executor.run import run
        from intermodal.telemetry.event_log import log_event, log_plan

        request = prepared.inputs.request
        answer: list[str] = []
        log_plan(plan)
        world = self._world(prepared.inputs, exact=exact, live=live)
        happening = run(plan, request, prepared.opened, world, tried, allowance)
        if self.telemetry is not None:
            happening = self.telemetry.watched(happening, plan, prepared.inputs, live=live)
        async with aclosing(happening) as events:
            async for event in events:
                log_event(event)
                if isinstance(event, TextDelta):
                    answer.append(event.text)
                elif isinstance(event, Note) and isinstance(event.text, Hint):  # an event is plain data
                    event = replace(event, text=words(event.text, self.surface))
                if isinstance(event, Finished) and self._remember and continues_conversation(request.output):
                    messages = prepared.inputs.original.messages
                    self.store.save_conversation(
                        request_builder.with_answer(messages, "".join(answer)), event.endpoint, request.policy
                    )
                yield event

    # ---- what leads to a plan -------------------------------------------------------------------

    async def prepare(
        self, request: Request, *, also: tuple[str, ...] = (), counting: bool = False, planning: bool = False
    ) -> PreparedRequest:
        """Open media, gather what planning reads. ``also``: models asked about; ``counting``: servers may be asked;
        ``planning``: only a plan is made, for which hosts that are named need no key."""
        made = await self._gathered(request, also, counting, planning)
        return PreparedRequest(inputs=await self.pages_read(made.inputs, made.opened), opened=made.opened)

    async def _gathered(
        self, request: Request, also: tuple[str, ...], counting: bool, planning: bool
    ) -> PreparedRequest:
        """What ``prepare`` gathers, without what an encoder says of pages, which a plan that is here does not need."""
        import anyio.to_thread

        from intermodal.media.expand import expand
        from intermodal.media.fetch import CachingFetcher

        if not isinstance(request, Request):
            raise UsageError(
                f"this takes a Request, not {type(request).__name__}", todo="make one with intermodal.make_request"
            )
        fetcher = CachingFetcher()
        whole, request = request, await expand(request, self.media, fetcher)
        asked = whole.messages if request is not whole else ()
        long = is_long(request.messages)
        request = await offload(long, request_builder.with_config_labels, request, self.config.private)
        opened, told = await request_builder.open_media(request, self.media, fetcher, self._questions)
        if any(map(needs_conversion, opened.facts.parts)):
            opened = await anyio.to_thread.run_sync(self._as_known, opened, request.policy.language)
        if counting:
            await self.known.look()
        catalog = self._catalog(request.policy.hosts, (request.policy.model, *also))
        machine = self.machine_now
        catalog = await self.room.fitted(catalog, machine)
        if planning:
            catalog = plannable(catalog, request_builder.named_hosts(request.policy))
        opened = await request_builder.with_token_counts(
            opened, request, catalog, self.vocabularies, self.env, ask=counting
        )
        inputs = Inputs(
            request=request, facts=replace(self._upstreams.with_refusals(opened.facts), question=told),
            catalog=catalog, machine=machine, statistics=self.store.statistics(), as_of=today(), asked=asked,
        )  # fmt: skip
        return PreparedRequest(inputs=inputs, opened=opened)

    async def told(self, question: str, kinds: tuple[Kind, ...] = PICTURES) -> QuestionFacts | None:
        """What a question needs of media, for who plans without a request of its own; None where nothing tells it."""
        return await self._questions.told(question, kinds)

    @property
    def machine_now(self) -> Machine:
        """The machine now, and which endpoints are in its memory."""
        return self._machine(self._runtimes.loaded() if self._runtimes is not None else ())

    def _machine(self, loaded: tuple[str, ...]) -> Machine:
        """The machine now; ``loaded``: endpoints in the memory of this client."""
        from intermodal.local.servers.server_rows import snapshot_with_servers

        return snapshot_with_servers(self.env, loaded)

    @property
    def catalog(self) -> Catalog:
        """Every endpoint known now: shipped rows, the user's rows, what is installed and pulled."""
        return self._catalog(())

    def _catalog(self, hosts: tuple[str, ...], named: tuple[str, ...] = ()) -> Catalog:
        """The catalog, with consent for a few more hosts, and with models that somebody names."""
        weights = self.weights
        made = self._known_now.catalog(hosts, self.config, self.known.servers, weights.present(), weights.pulled())
        made = with_named(made, named, hosts=hosts, env=self.env, own_snapshot=snapshot_file(self.env))
        made = self._upstreams.corrected(self.known.corrected(made))
        if made != self._last_catalog:  # what the planner worked out about a catalog stays with the object
            self._last_catalog = made
        return self._last_catalog

    async def approved(self, saved: SavedPlan) -> PreparedRequest:
        """Open the media of an approved plan again, and make sure they are the approved ones, or raise PlanStale."""
        prepared = await self._gathered(saved.request, (), counting=False, planning=False)
        request_builder.check_approved(saved, prepared.inputs)
        return prepared

    @overload
    async def ask(self, prompt: str, *files: FileLike, schema: type[T], **options: Unpack[AskOptions]) -> Answer[T]: ...

    @overload
    async def ask(
        self,
        prompt: str,
        *files: FileLike,
        schema: Mapping[str, Any] | None = None,
        **options: Unpack[AskOptions],
    ) -> Answer[Any]: ...

    @with_options(AskOptions)
    async def ask(
        self, prompt: str, *files: FileLike, schema: Any = None, **options: Unpack[AskOptions]
    ) -> Answer[Any]:
        """One question, one answer; see :func:`intermodal.ask`."""
        request = request_builder.build_request(self.config, self.env, prompt, files, schema, options)
        prepared = await self.prepare(request, counting=True)
        plan = plan_from(prepared.inputs)
        result = fold([event async for event in self.execute(prepared, plan)])
        return Answer(value=request_builder.typed_value(result, schema), result=result, plan=plan)

    async def models(self, name: str = "", *, ready: bool = False) -> tuple[Endpoint, ...]:
        """The endpoints that plans choose from, servers of this machine looked for; no model is contacted.

        Args:
            name: only those it stands for: ``vendor/model``, ``host:vendor/model`` or a short name, which is looked up
                among all that is published.
            ready: only those that can be called now. What keeps the others is in ``missing``, what to do in ``todo``.

        Raises:
            UnknownModel: nothing is called ``name``, or several models are.
        """
        if not isinstance(name, str):
            raise UsageError(f"name={name!r} is not a name", todo='write models("gpt-4o")')
        await self.known.look()
        found = resolve_name(self._catalog((), (name,)), name) if name else self.catalog.endpoints
        return tuple(endpoint for endpoint in found if endpoint.ready or not ready)

    async def estimate(
        self, prompt: str, *files: FileLike, model: str, out_tokens: int | None = None, day: str = "",
        batch: bool = False, cached: int = 0,
    ) -> Estimate:  # fmt: skip
        """Tokens and USD of one call of a model, by its own rules and prices. Makes no plan, contacts nobody.

        Args:
            prompt: the words of the call; "" for files alone.
            model: ``vendor/model``, ``host:vendor/model`` or a short name; it need not be reachable.
            out_tokens: of the answer; None leaves it out of the bill. batch: at the price of a batch.
            day: whose rules and prices, as "2026-11-25"; today for "". cached: tokens read from the host's cache.

        Raises:
            UnknownModel: nothing is called ``model``. InputError: a file cannot be taken.
            UsageError: nothing to count, or a day before the model's first rule.
        """
        from intermodal.estimates.call_estimate import EstimateOptions, estimate_of

        wanted = EstimateOptions(model, out_tokens, day, batch, cached)
        return await estimate_of(prompt, files, wanted, self.config, self.env)

    @with_options(WorkloadKeys)
    async def cost(
        self, workload: str | os.PathLike[str] | Mapping[str, Any] | None = None, **keys: Unpack[WorkloadKeys]
    ) -> MonthlyCost:
        """What a workload costs a month, for several plans side by side. Spends nothing, contacts no model.

        Args:
            workload: a file of YAML, TOML or JSON as ``intermodal cost`` takes it, or such a document as a mapping.
            keys: keys of the document (``requests``, ``prompt``, ``parts``, ``plans``, …); they go before those of
                ``workload``, and make one by themselves. Files in ``parts`` are then named from the working directory.

        Raises:
            UsageError: a key that no workload has, or a wrong value for one. InputError: a file cannot be taken.
            UnknownModel: nothing is called as a plan's model. A plan that cannot be made is in the result, refused.
        """
        from intermodal.workloads.monthly_cost import monthly_cost
        from intermodal.workloads.workload_file import workload_of

        return await monthly_cost(workload_of(workload, keys, self.config, self.env), self)

    def world(self, prepared: PreparedRequest) -> Dependencies:
        """What calls are made with, for those who make them without a plan: a probe."""
        return self._world(prepared.inputs, exact=True)


def explain_analyze(plan: Plan, result: Result) -> str:
    """Estimate beside actual, per step, with q-errors."""
    return analyze.explain_analyze(plan, result)


__all__ = ["Answer", "AsyncClient", "PreparedRequest", "explain_analyze", "frontier", "plan_from", "why_not"]
