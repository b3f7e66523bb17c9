"""The client, from a request to an answer. ``AsyncClient``, read from top to bottom, shows the whole pipeline.

    request ─ open ─▶ facts ┐
    config, weights ─▶ catalog ├─ plan() ─▶ Plan ─ explain ─▶ text
    machine, statistics ──────┘               └── run() ─▶ events ─ fold ─▶ Result

Planning is pure: all I/O happens before it (``planner_inputs.py``) or after it (``executor/``). Further verbs are in
``verbs.py``. ``Client`` in ``sync_client.py`` has the same verbs for synchronous code.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from msgspec.structs import replace

from intermodal.client import request_builder
from intermodal.client.answer import Answer
from intermodal.client.planner_inputs import PreparedRequest, prepare
from intermodal.client.request_builder import AskOptions, FileLike, Schema, continues_conversation, with_options
from intermodal.client.resources import ClientResources
from intermodal.client.saved_plan import check_callable, check_plan_steps, check_saved_plan
from intermodal.client.verbs import ClientVerbs
from intermodal.core.hints import Hint, spell_text
from intermodal.core.request import Request
from intermodal.errors import UsageError
from intermodal.events import Event, Finished, Note, Result, TextDelta, fold
from intermodal.planner import frontier, not_chosen_reasons, plan_from
from intermodal.plans import analyze, explain
from intermodal.plans.plan import Plan, SavedPlan

if TYPE_CHECKING:
    from intermodal.executor.attempt.ledger import AllowanceLike
    from intermodal.executor.attempt.step_caller import PriorAttempt
    from intermodal.executor.dependencies import Dependencies

T = TypeVar("T")


async def _answer_text(events: AsyncGenerator[Event]) -> AsyncGenerator[str]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                yield event.text


class AsyncClient(ClientVerbs, ClientResources):
    """Plans and runs requests. Use it as ``async with AsyncClient() as client``.

    Args:
        config: the user's hosts, models and limits; None reads the config file.
        env: environment variables for keys and folders; None takes ``os.environ``.
        remember: keep conversations in the local store, for ``continued``.
        keep_loaded: keep embedded models in memory after a run, for the next one. If False, a run unloads each model
            as soon as it no longer needs it, so that fewer are in memory at once.
    """

    # ---- verbs ----------------------------------------------------------------------------------

    @with_options(AskOptions)
    async def plan(
        self, prompt: str | Request, *files: FileLike, schema: Schema | None = None, **options: Unpack[AskOptions]
    ) -> Plan:
        """Choose a route. Spends nothing and contacts no model.

        Args:
            prompt: the question, with files and options as in ``ask``; or a request from ``make_request``.

        Raises:
            UsageError: the first argument is neither a question nor a request, or an option is wrong.
            InputError: a file or URL cannot be read, or its content is not accepted.
            NoRoute: no reachable model satisfies the request and the policy; ``reasons`` lists why.
        """
        request = request_builder.build_request(self.config, self.env, prompt, files, schema, options)
        return plan_from((await self.prepare(request, planning=True)).inputs)

    @with_options(AskOptions)
    async def explain(
        self, prompt: str | Request, *files: FileLike, schema: Schema | None = None, **options: Unpack[AskOptions]
    ) -> str:
        """Return the plan as text.

        The text lists routes, estimates, losses, rejections with reasons, and the data that leaves the machine.
        """
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
        """Plan and run a request; yield its events as they happen. Arguments and errors are those of ``run``.

        A wrong argument raises UsageError at the call, before the first event is read.
        """
        request, plan = self._request_and_plan(prompt, files, plan, schema, options)
        return self._stream(request, plan)

    async def _stream(self, request: Request, plan: Plan | None) -> AsyncGenerator[Event]:
        if plan is None:
            prepared = await self.prepare(request, counting=True)
        else:
            prepared = await prepare(request, self, counting=True, ranking=False)
            check_callable(plan, prepared.inputs.catalog)
        chosen = plan or plan_from(prepared.inputs)
        async with aclosing(self.execute(prepared, chosen, exact=plan is not None)) as events:
            async for event in events:
                yield event

    def _request_and_plan(
        self, prompt: str | Request, files: tuple[Any, ...], plan: Plan | None, schema: Any, options: Any
    ) -> tuple[Request, Plan | None]:
        """Return the request and the plan, which is either the second argument after a request or passed by name."""
        if isinstance(prompt, Request) and len(files) == 1 and isinstance(files[0], Plan | None):
            (plan,), files = files, ()
        if not isinstance(plan, Plan | None):
            raise UsageError(f"the plan is {type(plan).__name__}", todo="pass what client.plan returns")
        return request_builder.build_request(self.config, self.env, prompt, files, schema, options), plan

    @with_options(AskOptions)
    def stream_text(
        self, prompt: str | Request, *files: FileLike, plan: Plan | None = None, schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[str]:  # fmt: skip
        """Yield the text of the answer as it arrives: ``stream`` without its other events."""
        request, plan = self._request_and_plan(prompt, files, plan, schema, options)
        return _answer_text(self._stream(request, plan))

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
        """Plan and run a request; return its events folded into a result.

        Args:
            prompt: the question, with files and options as in ``ask``; or a request from ``make_request``, optionally
                followed by a plan.
            plan: run exactly this plan, without replanning; None plans first.

        Raises:
            UsageError, InputError, NoRoute: as in ``plan``.
            CallError: an endpoint failed, and no fallback could take over.
            OutputInvalid, BudgetExceeded: see ``intermodal.errors``.
        """
        request, plan = self._request_and_plan(prompt, files, plan, schema, options)
        return fold([event async for event in self._stream(request, plan)])

    async def execute(
        self, prepared: PreparedRequest, plan: Plan, *, exact: bool = False, live: bool = True,
        prior: PriorAttempt | None = None, allowance: AllowanceLike | None = None,
        unread: Callable[[Event], None] | None = None,
    ) -> AsyncGenerator[Event]:  # fmt: skip
        """Run a plan over prepared inputs: the part of ``stream`` after planning.

        Args:
            exact: run only this plan; if a step's result differs from the plan, emit a note instead of replanning.
            live: the caller reads the answer as it is generated; False requests a short answer without streaming.
            prior: a first attempt that was made before the run, and failed.
            allowance: the budget that pays for the run; checked before each attempt.
            unread: receives the events that a reader who leaves has not read.
        """
        from intermodal.executor.run import run
        from intermodal.telemetry.event_log import log_event, log_plan

        request, answer = prepared.inputs.request, list[str]()
        log_plan(plan)
        if not self._keep_loaded:
            await self._questions.close()
        dependencies = self._build_dependencies(prepared.inputs, exact=exact, live=live)
        events = run(plan, request, prepared.opened, dependencies, prior, allowance, unread)
        if self.telemetry is not None:
            from intermodal.telemetry.signals import trace_run

            events = trace_run(self.telemetry, events, plan, prepared.inputs, live=live)
        async with aclosing(events):
            async for event in events:
                log_event(event)
                if isinstance(event, TextDelta):
                    answer.append(event.text)
                elif isinstance(event, Note) and isinstance(event.text, Hint):  # an event is plain data
                    event = replace(event, text=spell_text(event.text, self.surface))
                if isinstance(event, Finished) and self._remember and continues_conversation(request.output):
                    messages = prepared.inputs.original.messages
                    self.store.save_conversation(
                        request_builder.with_answer(messages, "".join(answer)), event.endpoint, request.policy
                    )
                yield event

    # ---- planning -------------------------------------------------------------------------------

    async def prepare(
        self, request: Request, *, also: tuple[str, ...] = (), counting: bool = False, planning: bool = False
    ) -> PreparedRequest:
        """Open the media and gather the planner's inputs, in the phases of ``planner_inputs.py``."""
        return await prepare(request, self, also=also, counting=counting, planning=planning)

    async def approved(self, saved: SavedPlan) -> PreparedRequest:
        """Reopen the media of an approved plan. Raises PlanStale if they differ from the approved ones."""
        check_plan_steps(saved.plan, len(saved.facts.parts))
        prepared = await prepare(saved.request, self, ranking=False)
        check_saved_plan(saved, prepared.inputs)
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
        """Ask one question and return its answer; see :func:`intermodal.ask`."""
        request = request_builder.build_request(self.config, self.env, prompt, files, schema, options)
        prepared = await self.prepare(request, counting=True)
        plan = plan_from(prepared.inputs)
        result = fold([event async for event in self.execute(prepared, plan)])
        return Answer(
            value=request_builder.typed_value(result, schema, options.get("output")), result=result, plan=plan
        )

    def dependencies(self, prepared: PreparedRequest) -> Dependencies:
        """Return the dependencies for calls made without a plan, such as a probe."""
        return self._build_dependencies(prepared.inputs, exact=True)


def explain_analyze(plan: Plan, result: Result) -> str:
    """Return EXPLAIN ANALYZE: the estimate, the actual value and their q-error for each step."""
    return analyze.explain_analyze(plan, result)


__all__ = ["Answer", "AsyncClient", "PreparedRequest", "explain_analyze", "frontier", "plan_from", "not_chosen_reasons"]
