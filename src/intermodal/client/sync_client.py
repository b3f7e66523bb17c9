"""The client for synchronous code, and ``intermodal.ask``: the verbs of ``AsyncClient`` on an event loop thread."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from intermodal.advisor.advise_options import AdviseOptions
from intermodal.client.async_client import Answer, AsyncClient, PreparedRequest
from intermodal.client.request_builder import AskOptions, FileLike, Schema, with_options
from intermodal.concurrency.sync_bridge import SyncBridge
from intermodal.workloads.workload_keys import WorkloadKeys

if TYPE_CHECKING:
    from intermodal.advisor.advice import Advice
    from intermodal.catalog.types import Endpoint
    from intermodal.client.estimates import Estimate
    from intermodal.config.config_file import Config
    from intermodal.core.content import Kind
    from intermodal.core.request import Request
    from intermodal.events import Event, Result
    from intermodal.plans.facts import QuestionFacts
    from intermodal.plans.plan import Plan, SavedPlan
    from intermodal.prompts.prompt import SyncPrompt
    from intermodal.retrieval import image_search, passage_ranking
    from intermodal.workloads.monthly_cost import MonthlyCost

T = TypeVar("T")


class Client:
    """:class:`AsyncClient` for synchronous code: same verbs, same arguments, one background event loop."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        env: Mapping[str, str] | None = None,
        remember: bool = False,
        keep_loaded: bool = True,
    ) -> None:
        self.asynchronous = AsyncClient(config, env=env, remember=remember, keep_loaded=keep_loaded)
        self._bridge = SyncBridge()
        # Runs even if the client is never closed: a loop that still runs would delay the end of the interpreter.
        weakref.finalize(self, _close, self.asynchronous, self._bridge)

    @with_options(AskOptions)
    def plan(
        self,
        prompt: str | Request,
        *files: FileLike,
        schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> Plan:
        """Choose a route; see :meth:`AsyncClient.plan`."""
        return self._bridge.run(partial(self.asynchronous.plan, prompt, *files, schema=schema, **options))

    @with_options(AskOptions)
    def explain(
        self,
        prompt: str | Request,
        *files: FileLike,
        schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> str:
        """Return the plan as text; see :meth:`AsyncClient.explain`."""
        return self._bridge.run(partial(self.asynchronous.explain, prompt, *files, schema=schema, **options))

    @overload
    def run(self, prompt: Request, plan: Plan | None = None) -> Result: ...

    @overload
    def run(
        self,
        prompt: str,
        *files: FileLike,
        plan: Plan | None = None,
        schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> Result: ...

    @with_options(AskOptions)
    def run(
        self, prompt: Any, *files: Any, plan: Plan | None = None, schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> Result:  # fmt: skip
        """Plan and run a request and return its result; see :meth:`AsyncClient.run`."""
        run = self.asynchronous.run
        return self._bridge.run(partial(run, prompt, *files, plan=plan, schema=schema, **options))

    @overload
    def stream(self, prompt: Request, plan: Plan | None = None) -> Iterator[Event]: ...

    @overload
    def stream(
        self,
        prompt: str,
        *files: FileLike,
        plan: Plan | None = None,
        schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> Iterator[Event]: ...

    @with_options(AskOptions)
    def stream(
        self, prompt: Any, *files: Any, plan: Plan | None = None, schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> Iterator[Event]:  # fmt: skip
        """Plan and run a request; yield its events as they happen; see :meth:`AsyncClient.stream`."""
        events = self.asynchronous.stream(prompt, *files, plan=plan, schema=schema, **options)
        return self._bridge.iterate(lambda: events)

    @with_options(AskOptions)
    def stream_text(
        self,
        prompt: str | Request,
        *files: FileLike,
        plan: Plan | None = None,
        schema: Schema | None = None,
        **options: Unpack[AskOptions],
    ) -> Iterator[str]:
        """Yield the text of the answer as it arrives; see :meth:`AsyncClient.stream_text`."""
        words = self.asynchronous.stream_text(prompt, *files, plan=plan, schema=schema, **options)
        return self._bridge.iterate(lambda: words)

    def execute(self, prepared: PreparedRequest, plan: Plan, *, exact: bool = False) -> Iterator[Event]:
        return self._bridge.iterate(lambda: self.asynchronous.execute(prepared, plan, exact=exact))

    def prepare(
        self, request: Request, *, also: tuple[str, ...] = (), counting: bool = False, planning: bool = False
    ) -> PreparedRequest:
        prepare = partial(self.asynchronous.prepare, also=also, counting=counting, planning=planning)
        return self._bridge.run(prepare, request)

    def question_needs(self, question: str, kinds: tuple[Kind, ...]) -> QuestionFacts | None:
        """Estimate what a question needs of media, without a request; see :meth:`AsyncClient.question_needs`."""
        return self._bridge.run(self.asynchronous.question_needs, question, kinds)

    def approved(self, saved: SavedPlan) -> PreparedRequest:
        return self._bridge.run(self.asynchronous.approved, saved)

    @overload
    def ask(self, prompt: str, *files: FileLike, schema: type[T], **options: Unpack[AskOptions]) -> Answer[T]: ...

    @overload
    def ask(
        self,
        prompt: str,
        *files: FileLike,
        schema: Mapping[str, Any] | None = None,
        **options: Unpack[AskOptions],
    ) -> Answer[Any]: ...

    @with_options(AskOptions)
    def ask(self, prompt: str, *files: FileLike, schema: Any = None, **options: Unpack[AskOptions]) -> Answer[Any]:
        """Ask one question and return its answer; see :func:`intermodal.ask`."""

        async def call() -> Answer[Any]:
            return await self.asynchronous.ask(prompt, *files, schema=schema, **options)

        return self._bridge.run(call)

    def estimate(
        self, prompt: str, *files: FileLike, model: str, out_tokens: int | None = None, day: str = "",
        batch: bool = False, cached: int = 0,
    ) -> Estimate:  # fmt: skip
        """Estimate the tokens and the cost of one model call; see :meth:`AsyncClient.estimate`."""
        estimate = partial(self.asynchronous.estimate, prompt, *files, model=model, out_tokens=out_tokens)
        return self._bridge.run(partial(estimate, day=day, batch=batch, cached=cached))

    @with_options(AdviseOptions)
    def advise(
        self, takes: str | Iterable[str], makes: str | Iterable[str] = "text", **options: Unpack[AdviseOptions]
    ) -> Advice:
        """Return the kind of model that hypothetical requests need, and the cost; see :meth:`AsyncClient.advise`."""
        return self._bridge.run(partial(self.asynchronous.advise, takes, makes, **options))

    @with_options(WorkloadKeys)
    def cost(
        self, workload: str | PathLike[str] | Mapping[str, Any] | None = None, **keys: Unpack[WorkloadKeys]
    ) -> MonthlyCost:
        """Return the monthly cost of a workload, for several plans side by side; see :meth:`AsyncClient.cost`."""
        return self._bridge.run(partial(self.asynchronous.cost, workload, **keys))

    def prompt(self, path: str | PathLike[str], **options: Any) -> SyncPrompt:
        """Load a prompt file, ready to be explained and run; see :meth:`AsyncClient.prompt`."""
        from intermodal.prompts.prompt import SyncPrompt

        return SyncPrompt(self.asynchronous.prompt(path, **options), self._bridge)

    def models(self, name: str = "", *, ready: bool = False) -> tuple[Endpoint, ...]:
        """Return the endpoints that plans choose from; see :meth:`AsyncClient.models`."""
        return self._bridge.run(partial(self.asynchronous.models, name, ready=ready))

    def find(
        self, query: str, *paths: str | PathLike[str], top: int = 10, model: str = "",
        progress: image_search.Progress | None = None,
    ) -> image_search.FindResult:  # fmt: skip
        """Find the images most similar to a text or to an image; see :meth:`AsyncClient.find`."""
        path_texts = [str(path) for path in paths]
        return self._bridge.run(
            partial(self.asynchronous.find, query, *path_texts, top=top, model=model, progress=progress)
        )

    def rerank(
        self, query: str, passages: Sequence[str] = (), *, files: Sequence[FileLike] = (), top: int = 10,
        model: str = "", progress: passage_ranking.Progress | None = None,
    ) -> passage_ranking.RerankResult:  # fmt: skip
        """Rank passages for a query; see :meth:`AsyncClient.rerank`."""
        return self._bridge.run(
            partial(self.asynchronous.rerank, query, passages, files=files, top=top, model=model, progress=progress)
        )

    def close(self) -> None:
        """Stop every child process and close every connection. In a forked child, the copy of a client has none.

        A client that is garbage collected, or open when the interpreter exits, is closed in the same way.
        """
        _close(self.asynchronous, self._bridge)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _close(asynchronous: AsyncClient, bridge: SyncBridge) -> None:
    """Close a client.

    If called in the thread of its event loop, as the garbage collector may do, close it from another thread: a loop
    cannot wait for itself.
    """
    if bridge.is_loop_thread:
        threading.Thread(target=_close, args=(asynchronous, bridge), name="intermodal-close").start()
        return
    bridge.close(asynchronous.aclose)


@overload
def ask(prompt: str, *files: FileLike, schema: type[T], **options: Unpack[AskOptions]) -> Answer[T]: ...


@overload
def ask(
    prompt: str, *files: FileLike, schema: Mapping[str, Any] | None = None, **options: Unpack[AskOptions]
) -> Answer[Any]: ...


@with_options(AskOptions)
def ask(prompt: str, *files: FileLike, schema: Any = None, **options: Unpack[AskOptions]) -> Answer[Any]:
    """Ask a question about any files.

    Args:
        prompt: the question.
        files: paths, http(s) URLs or bytes; their types are detected from the bytes.
        schema: a pydantic class, a dataclass or a JSON Schema; ``answer.value`` then has that type.
        options: fields of ``Policy`` and ``Sampling`` (``objective``, ``max_cost``, ``private``, …).

    Raises:
        InputError, NoRoute, CallError, OutputInvalid, NotInstalled, BudgetExceeded: see ``intermodal.errors``.
    """
    with Client() as client:
        return client.ask(prompt, *files, schema=schema, **options)
