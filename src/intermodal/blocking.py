"""The client for synchronous code: every verb of ``AsyncClient`` through one bridge to one event loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from intermodal import asking
from intermodal._sync import Bridge
from intermodal.asking import AskOptions
from intermodal.client import Answer, AsyncClient, Prepared

if TYPE_CHECKING:
    from intermodal.config import Config
    from intermodal.events import Event, Result
    from intermodal.plans.plan import Plan, SavedPlan
    from intermodal.request import Request

T = TypeVar("T")


class Client:
    """:class:`AsyncClient` for synchronous code: same verbs, same arguments, one background event loop."""

    def __init__(
        self, config: Config | None = None, *, env: Mapping[str, str] | None = None, remember: bool = False
    ) -> None:
        self.asynchronous = AsyncClient(config, env=env, remember=remember)
        self._bridge = Bridge()

    def plan(self, request: Request) -> Plan:
        return self._bridge.run(self.asynchronous.plan, request)

    def explain(self, request: Request) -> str:
        return self._bridge.run(self.asynchronous.explain, request)

    def run(self, request: Request, plan: Plan | None = None) -> Result:
        return self._bridge.run(self.asynchronous.run, request, plan)

    def stream(self, request: Request, plan: Plan | None = None) -> Iterator[Event]:
        return self._bridge.iterate(lambda: self.asynchronous.stream(request, plan))

    def execute(self, prepared: Prepared, plan: Plan, *, exact: bool = False) -> Iterator[Event]:
        return self._bridge.iterate(lambda: self.asynchronous.execute(prepared, plan, exact=exact))

    def prepare(self, request: Request, *, also: tuple[str, ...] = (), counting: bool = False) -> Prepared:
        return self._bridge.run(partial(self.asynchronous.prepare, also=also, counting=counting), request)

    def approved(self, saved: SavedPlan) -> Prepared:
        return self._bridge.run(self.asynchronous.approved, saved)

    @overload
    def ask(
        self, prompt: str, *files: asking.FileLike, schema: type[T], **options: Unpack[AskOptions]
    ) -> Answer[T]: ...

    @overload
    def ask(
        self,
        prompt: str,
        *files: asking.FileLike,
        schema: Mapping[str, Any] | None = None,
        **options: Unpack[AskOptions],
    ) -> Answer[Any]: ...

    def ask(
        self, prompt: str, *files: asking.FileLike, schema: Any = None, **options: Unpack[AskOptions]
    ) -> Answer[Any]:
        """One question, one answer; see :func:`intermodal.ask`."""

        async def call() -> Answer[Any]:
            return await self.asynchronous.ask(prompt, *files, schema=schema, **options)

        return self._bridge.run(call)

    def close(self) -> None:
        """End every child process and connection. A copy in a forked child has none of its own."""
        if self._bridge.started:
            self._bridge.run(self.asynchronous.aclose)
        self._bridge.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
