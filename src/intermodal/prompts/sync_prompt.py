"""A prompt file for synchronous code: the same verbs, through the bridge of the client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from intermodal.answer import Answer
from intermodal.concurrency.sync_bridge import SyncBridge
from intermodal.events import Event
from intermodal.prompts.prompt import Prompt, PromptPlan
from intermodal.prompts.prompt_file import PromptFile
from intermodal.request import Message, Request, Tool


class SyncPrompt:
    """:class:`Prompt` for synchronous code."""

    def __init__(self, prompt: Prompt, bridge: SyncBridge) -> None:
        self.asynchronous = prompt
        self._bridge = bridge

    @property
    def file(self) -> PromptFile:
        return self.asynchronous.file

    def request(self, *, history: Iterable[Message] = (), tools: tuple[Tool, ...] = (), **args: Any) -> Request:
        """The request of these arguments; see :meth:`Prompt.request`."""
        return self._bridge.run(partial(self.asynchronous.request, history=history, tools=tools, **args))

    def plan(self, **args: Any) -> PromptPlan:
        """The plan, what is not given imagined; see :meth:`Prompt.plan`."""
        return self._bridge.run(partial(self.asynchronous.plan, **args))

    def explain(self, **args: Any) -> str:
        """The plan as text, with what a run and a thousand runs cost."""
        return self._bridge.run(partial(self.asynchronous.explain, **args))

    def run(self, *, history: Iterable[Message] = (), tools: tuple[Tool, ...] = (), **args: Any) -> Answer[Any]:
        """Plan and run; see :meth:`Prompt.run`."""
        return self._bridge.run(partial(self.asynchronous.run, history=history, tools=tools, **args))

    def stream(self, *, history: Iterable[Message] = (), **args: Any) -> Iterator[Event]:
        """Plan and run; events as they happen."""
        return self._bridge.iterate(lambda: self.asynchronous.stream(history=history, **args))

    def stream_value(self, *, history: Iterable[Message] = (), **args: Any) -> Iterator[Any]:
        """The value as far as it is known, and at last the whole one; see :meth:`Prompt.stream_value`."""
        return self._bridge.iterate(lambda: self.asynchronous.stream_value(history=history, **args))

    def asked(self, args: Mapping[str, Any], *, history: Iterable[Message] = ()) -> Request:
        """See :meth:`Prompt.asked`."""
        return self._bridge.run(partial(self.asynchronous.asked, args, history=history))

    def foreseen(self, args: Mapping[str, Any]) -> PromptPlan:
        """See :meth:`Prompt.foreseen`."""
        return self._bridge.run(partial(self.asynchronous.foreseen, args))

    def planned(self, request: Request) -> tuple[Any, Any, tuple[str, ...]]:
        """See :meth:`Prompt.planned`."""
        return self._bridge.run(partial(self.asynchronous.planned, request))
