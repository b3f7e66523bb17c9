"""A prompt file with a client: plan, explain, run. ``SyncPrompt`` is the same for synchronous code."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from dataclasses import replace as with_fields
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import structs
from msgspec.structs import replace

from intermodal.catalog.schema_enforcement import is_closable, schema_delivery
from intermodal.client import request_builder
from intermodal.client.answer import Answer
from intermodal.concurrency.offload import offload
from intermodal.concurrency.sync_bridge import SyncBridge
from intermodal.config.config_file import Config
from intermodal.core.content import KINDS, BytesSource, Kind, MediaPart, PathSource, Text
from intermodal.core.hints import hint
from intermodal.core.quantity import Quantity
from intermodal.core.request import JsonOutput, Message, Request, Sampling, Tool
from intermodal.errors import NoRoute, OutputInvalid, UnknownModel
from intermodal.events import Event, TextDelta, fold
from intermodal.planner import plan_from
from intermodal.planner.planning_case import question_of
from intermodal.plans import explain, numbers
from intermodal.plans.facts import QuestionFacts
from intermodal.plans.plan import Inputs, Plan
from intermodal.plans.step import GenerateAnswer
from intermodal.prompts import argument_values, formats, sample_arguments
from intermodal.prompts.argument_values import media_of
from intermodal.prompts.prompt_file import Argument, PromptFile

if TYPE_CHECKING:
    from intermodal.media.request_media import OpenedRequest


# Conversion of a prompt file and its values to a request.


NOTHING = ("renders to nothing", "write the question")  # the error and the advice
_USUAL = Sampling()


def request_of(
    file: PromptFile,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
    config: Config,
    *,
    history: Iterable[Message] = (),
    tools: tuple[Tool, ...] = (),
) -> Request:
    """Return the request for values made by ``argument_values.bind_values``.

    The caller's ``options`` override the file's. Raises PromptError with file and line.
    """
    for each in file.findings:
        if each.stops:
            raise file.error(each.what, each.line, each.todo)
    messages = file.template.messages(values, tuple(history))
    if not any(message.parts for message in messages):
        raise file.error(NOTHING[0], "template", NOTHING[1])
    request_options: dict[str, Any] = {
        name: value for name, value in structs.asdict(file.sampling).items() if value != getattr(_USUAL, name)
    }  # fmt: skip
    request_options |= file.options
    request_options |= {name: value for name, value in options.items() if value is not None}
    if "private" in request_options:
        request_options["private"] = _labels(file, request_options["private"], values)
    request_builder.apply_config_defaults(request_options, config)
    request = request_builder.make_request("prompt", **request_options)
    output = file.output_with(values)
    if isinstance(output, JsonOutput) and output.schema_text and not _mentions(messages, output.schema_text):
        output = replace(output, schema_text="")
    return replace(request, messages=messages, output=output, settings=file.settings, tools=_tools(file, tools))


def _mentions(messages: tuple[Message, ...], words: str) -> bool:
    parts = (part for message in messages for part in message.parts)
    return any(isinstance(part, Text) and words in part.text for part in parts)


def _tools(file: PromptFile, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    tools_by_name = {tool.name: tool for tool in (*file.tools, *tools)}
    for name in file.undefined_tools:
        if name not in tools_by_name:
            todo = "define it under toolDefs, or pass its Tool"
            raise file.error(f"tool {name!r} has no definition", "tools", todo)
    return tuple(tools_by_name.values())


def _labels(file: PromptFile, private: Any, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the privacy labels, with arguments replaced by the files given for them.

    An argument without a file name, such as text in the prompt or a URL, is labelled by its whole modality.
    """
    parts = media_of(values)
    labels: list[str] = []
    for label in [private] if isinstance(private, str) else list(private):
        argument = file.argument(label)
        if argument is None:
            labels.append(label)
        elif not argument.is_media:
            labels.append("text")
        for name, medium in parts if argument is not None else ():
            if name == label:
                labels += _name_of(medium.part, argument)
    return tuple(dict.fromkeys(labels))


def _name_of(part: MediaPart, argument: Argument | None) -> tuple[str, ...]:
    if isinstance(part.source, PathSource):
        return (os.path.basename(part.source.path),)
    if isinstance(part.source, BytesSource):
        return (part.source.name,)
    kinds = tuple(kind for kind in argument.media if kind in KINDS) if argument is not None else ()
    return kinds or KINDS


_RUNS = 1_000  # number of runs for the second price


class PreparedInputs(Protocol):
    """A request with all inputs of planning."""

    @property
    def inputs(self) -> Inputs: ...

    @property
    def opened(self) -> OpenedRequest: ...


class PromptClient(Protocol):
    """The part of a client that a prompt uses."""

    config: Config
    env: Mapping[str, str]

    async def prepare(
        self, request: Request, *, also: tuple[str, ...] = ..., counting: bool = ..., planning: bool = ...
    ) -> Any: ...

    async def question_needs(self, question: str, kinds: tuple[Kind, ...]) -> QuestionFacts | None: ...

    def execute(self, prepared: Any, plan: Plan, *, exact: bool = ..., live: bool = ...) -> AsyncGenerator[Event]: ...


@dataclass(frozen=True)
class PromptPlan:
    """The plan of a prompt, and its cost.

    Attributes:
        assumed: sample values that were used, as sentences; () if every argument was given.
        notes: notes on the model that the file requests, and its schema.
    """

    file: PromptFile
    plan: Plan
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def cost(self) -> Quantity:
        """Cost of a run in USD."""
        return self.plan.chosen.total.cost

    @property
    def thousand(self) -> Quantity:
        """Cost of a thousand runs in USD."""
        return self.cost.scaled(_RUNS)

    def __str__(self) -> str:
        """Return the plan as text, as shown by ``intermodal prompt explain``."""
        file = self.file
        title = f"{file.path} ({file.format})" + (f": {file.description}" if file.description else "")
        lines = [f"prompt: {title}"]
        if file.arguments:
            lines.append(f"takes: {'; '.join(f'{each.name} ({each.words})' for each in file.arguments)}")
        lines += [f"imagined: {'; '.join(self.assumed)}"] if self.assumed else []
        lines += [f"file: {note}" for note in self.notes]
        lines.append(explain.explain(self.plan))
        lines.append(f"a run {numbers.money(self.cost)}, {_RUNS:,} runs {numbers.money(self.thousand)}")
        return "\n".join(lines)


class Prompt:
    """A prompt file and the client that runs it, as returned by ``client.prompt``.

    ``file`` has its arguments and output. Policy options are passed to ``client.prompt``, arguments to each call.
    """

    def __init__(
        self, client: PromptClient, path: str | os.PathLike[str] | PromptFile, options: Mapping[str, Any]
    ) -> None:
        self._client = client
        self._options = dict(options)
        self.file = path if isinstance(path, PromptFile) else formats.load(path)

    async def request(self, *, history: Iterable[Message] = (), tools: tuple[Tool, ...] = (), **args: Any) -> Request:
        """Return the request for these arguments; media are probed, nothing is planned.

        Raises:
            PromptError: an argument is missing, unknown or of another kind than declared; with file and line.
            InputError: a file cannot be read.
        """
        return await self.request_with(args, history=history, tools=tools)

    async def request_with(
        self, args: Mapping[str, Any], *, history: Iterable[Message] = (), tools: tuple[Tool, ...] = ()
    ) -> Request:
        """Return the request like ``request``; in a mapping, arguments may have any name."""
        bound = argument_values.bind_values(self.file, args)
        await argument_values.check_media(self.file, bound)
        request = request_of(self.file, bound, self._options, self._client.config, history=history, tools=tools)
        await self._check_media(request, bound)
        return request

    async def _check_media(self, request: Request, bound: Mapping[str, Any]) -> None:
        """Compare the media named by the file with their declared modality. Raises PromptError with their line."""
        if sample_arguments.files_of(request.messages, bound):
            await offload(True, sample_arguments.check_files, self.file, request.messages, bound)

    async def plan(self, **args: Any) -> PromptPlan:
        """Plan for these arguments, with sample values for missing ones. Spends nothing, contacts no model.

        Raises the errors of ``request`` except for missing arguments; NoRoute, which names the line.
        """
        return await self.plan_with(args)

    async def plan_with(self, args: Mapping[str, Any]) -> PromptPlan:
        """Plan like ``plan``; in a mapping, arguments may have any name."""
        samples = sample_arguments.make_samples(self.file, args)
        bound = argument_values.bind_values(self.file, args, missing=samples.values)
        await argument_values.check_media(self.file, {name: value for name, value in bound.items() if name in args})
        request = request_of(self.file, bound, self._options, self._client.config)
        await self._check_media(request, bound)
        prepared = await self._client.prepare(
            sample_arguments.with_media_markers(request, samples), also=self._names(), planning=True
        )
        inputs = prepared.inputs
        if samples.pieces:
            inputs = sample_arguments.with_sample_media(inputs, request, samples)
            inputs = await self._with_question_needs(inputs, {**bound, **samples.words})
        check_kinds(self.file, inputs)
        _, plan, notes = await self._choose_plan(inputs)
        return PromptPlan(self.file, plan, tuple(samples.assumed), notes)

    async def explain(self, **args: Any) -> str:
        """Return the plan as text, with its sample values and the cost of one run and of a thousand runs."""
        return str(await self.plan(**args))

    async def run(self, *, history: Iterable[Message] = (), tools: tuple[Tool, ...] = (), **args: Any) -> Answer[Any]:
        """Plan and run. ``value`` of the answer is JSON data if the file has a schema, else the text.

        Raises the errors of ``request``, NoRoute, and those of a call.
        """
        prepared, plan, _ = await self.prepare(history=history, tools=tools, **args)
        async with aclosing(self._client.execute(prepared, plan, live=False)) as events:
            result = fold([event async for event in events])
        return Answer(value=self.file.value(result), result=result, plan=plan)

    async def stream(self, *, history: Iterable[Message] = (), **args: Any) -> AsyncGenerator[Event]:
        """Plan and run; yield events as they happen."""
        prepared, plan, _ = await self.prepare(history=history, **args)
        async with aclosing(self._client.execute(prepared, plan)) as events:
            async for event in events:
                yield event

    async def stream_value(self, *, history: Iterable[Message] = (), **args: Any) -> AsyncGenerator[Any]:
        """Plan and run; yield the partial value whenever it grows, and finally the complete one.

        Partial values are available if the format has a parser for them and the answer is streamed; otherwise only the
        complete value is yielded. Raises the errors of ``run``, and OutputInvalid.
        """
        parser, events, text, last = self.file.parser, list[Event](), "", object()
        async with aclosing(self.stream(history=history, **args)) as stream:
            async for event in stream:
                events.append(event)
                if parser is None or not isinstance(event, TextDelta):
                    continue
                text += event.text
                with suppress(OutputInvalid):
                    value = parser.partial(text)
                    if value != last:
                        yield (last := value)
        yield self.file.value(fold(events))

    async def prepare(
        self, *, history: Iterable[Message] = (), tools: tuple[Tool, ...] = (), **args: Any
    ) -> tuple[Any, Plan, tuple[str, ...]]:
        """Return the opened request, its plan, and notes about the file, as executed by ``run``."""
        request = await self.request_with(args, history=history, tools=tools)
        return await self.plan_request(request)

    async def plan_request(self, request: Request) -> tuple[Any, Plan, tuple[str, ...]]:
        """Return the opened request, its plan and notes, for a request returned by ``request``."""
        prepared = await self._client.prepare(request, also=self._names(), counting=True)
        check_kinds(self.file, prepared.inputs)
        inputs, plan, notes = await self._choose_plan(prepared.inputs)
        return with_fields(prepared, inputs=inputs), plan, notes

    # ---- the model of the file, the schema ------------------------------------------------------------

    def _names(self) -> tuple[str, ...]:
        """Return the local names of the requested models; () if the caller chose a model."""
        return () if self._options.get("model") else self.file.model_names

    async def _choose_plan(self, inputs: Inputs) -> tuple[Inputs, Plan, tuple[str, ...]]:
        """Return the result of ``choose_plan``, with notes on the schema."""

        async def plan(inputs: Inputs) -> Plan:
            return plan_from(inputs)

        model, chosen_plan, notes = await choose_plan(self.file, self._names(), inputs, plan)
        return model, chosen_plan, (*notes, *self._of_schema(inputs, chosen_plan))

    def _of_schema(self, inputs: Inputs, plan: Plan) -> list[str]:
        """Return notes if the host of the plan cannot enforce the file's schema."""
        output = inputs.request.output
        answering = plan.chosen.answering
        if not isinstance(output, JsonOutput) or answering.op != "generate":
            return []
        if GenerateAnswer.parameters_of(answering).json != "prompted":
            return []
        is_strict = is_closable(output.schema)
        endpoints = [
            e.id for e in inputs.catalog.endpoints if e.ready and schema_delivery(e.host, is_strict) != "asked"
        ]
        subject = "the host of this route" if endpoints else "no host that can be reached"
        what = f"{subject} can be held to the schema: it is asked for in words, checked, and repaired once"
        return [f"{self.file.where('output')}: {what}"]

    async def _with_question_needs(self, inputs: Inputs, words: Mapping[str, Any]) -> Inputs:
        """Set what the question needs of the sample media, estimated from the file's text alone."""
        kinds: tuple[Kind, ...] = tuple(dict.fromkeys(part.kind for part in inputs.facts.parts))
        messages = self.file.template.messages(words)
        question = question_of(Request(messages=messages, output=inputs.request.output))
        needs = await self._client.question_needs(question, kinds)
        return replace(inputs, facts=replace(inputs.facts, question=needs))


def check_kinds(file: PromptFile, inputs: Inputs, urls: Container[str] | None = None) -> None:
    """Compare media from URLs with the declared modalities; other media were checked before.

    ``urls``: URLs given as arguments, if the request may contain others.
    """
    from intermodal.core.content import UrlSource

    for (_, _, part), facts in zip(inputs.request.parts(), inputs.facts.parts, strict=True):
        declared, source = type(part).__name__.lower(), getattr(part, "source", None)
        if declared not in KINDS or not isinstance(source, UrlSource) or (urls is not None and source.url not in urls):
            continue
        argument = next((each for each in file.arguments if declared in each.media), None)
        if argument is not None and not argument_values.kind_fits(argument.media, facts.kind):
            raise argument_values.wrong_kind(file, argument, None, facts.name, facts.kind, facts.media_type)


async def choose_plan(
    file: PromptFile, names: Iterable[str], inputs: Inputs, plan: Callable[[Inputs], Awaitable[Plan]]
) -> tuple[Inputs, Plan, tuple[str, ...]]:
    """Return the first possible plan with a model from ``names``, in this order, or with any model if none is possible.

    Also returns its inputs, and why preceding models are not used. Raises NoRoute with the line of the file.
    """
    why: dict[str, str] = {}
    for name in names:
        model = file.model_named(name)
        pinned = _with_model(inputs, name)
        try:
            plan_of_pinned = await plan(pinned)
        except (UnknownModel, NoRoute) as error:
            if model not in why or isinstance(error, NoRoute):
                hints = error.hints
                why[model] = hints.reasons[0] if isinstance(error, NoRoute) and hints.reasons else hints.what
        else:
            why.pop(model, None)
            return pinned, plan_of_pinned, _ignored_settings(file, why)
    try:
        return inputs, await plan(inputs), _ignored_settings(file, why)
    except NoRoute as error:
        if not error.where:
            error.where = _setting_place(file, error)
        raise


def _ignored_settings(file: PromptFile, why: Mapping[str, str]) -> tuple[str, ...]:
    where = file.where("model")
    return tuple(hint("{}: {} is not taken: {}", where, model, reason) for model, reason in why.items())


def _with_model(inputs: Inputs, name: str) -> Inputs:
    return replace(inputs, request=replace(inputs.request, policy=replace(inputs.request.policy, model=name)))


def _setting_place(file: PromptFile, error: NoRoute) -> str:
    """Return ``file:line`` of the setting that a planner error is about."""
    return file.where(next((place for place in _PLACES.get(error.rule, ()) if place in file.lines), 1))


# The places in a file that a planner rule refers to; the first one that exists is named.
_PLACES: Mapping[str, tuple[str, ...]] = {
    "context": ("template",), "modality": ("input",), "keep": ("keep", "ext"), "max_cost": ("max_cost", "ext"),
    "unknown_price": ("max_cost", "ext"), "deadline": ("deadline", "ext"), "floor": ("at_least", "ext"),
    "privacy": ("private", "ext"), "zone": ("farthest", "ext"), "model": ("model",), "schema": ("output",),
}  # fmt: skip


class SyncPrompt:
    """:class:`Prompt` for synchronous code."""

    def __init__(self, prompt: Prompt, bridge: SyncBridge) -> None:
        self.asynchronous = prompt
        self._bridge = bridge

    @property
    def file(self) -> PromptFile:
        return self.asynchronous.file

    def request(self, *, history: Iterable[Message] = (), tools: tuple[Tool, ...] = (), **args: Any) -> Request:
        """Return the request for these arguments; see :meth:`Prompt.request`."""
        return self._bridge.run(partial(self.asynchronous.request, history=history, tools=tools, **args))

    def plan(self, **args: Any) -> PromptPlan:
        """Plan, with sample values for missing arguments; see :meth:`Prompt.plan`."""
        return self._bridge.run(partial(self.asynchronous.plan, **args))

    def explain(self, **args: Any) -> str:
        """Return the plan as text, with the cost of one run and of a thousand runs; see :meth:`Prompt.explain`."""
        return self._bridge.run(partial(self.asynchronous.explain, **args))

    def run(self, *, history: Iterable[Message] = (), tools: tuple[Tool, ...] = (), **args: Any) -> Answer[Any]:
        """Plan and run; see :meth:`Prompt.run`."""
        return self._bridge.run(partial(self.asynchronous.run, history=history, tools=tools, **args))

    def stream(self, *, history: Iterable[Message] = (), **args: Any) -> Iterator[Event]:
        """Plan and run; yield events as they happen; see :meth:`Prompt.stream`."""
        return self._bridge.iterate(lambda: self.asynchronous.stream(history=history, **args))

    def stream_value(self, *, history: Iterable[Message] = (), **args: Any) -> Iterator[Any]:
        """Yield the partial value as it grows, and finally the complete one; see :meth:`Prompt.stream_value`."""
        return self._bridge.iterate(lambda: self.asynchronous.stream_value(history=history, **args))

    def request_with(self, args: Mapping[str, Any], *, history: Iterable[Message] = ()) -> Request:
        """Return the request for arguments in a mapping; see :meth:`Prompt.request_with`."""
        return self._bridge.run(partial(self.asynchronous.request_with, args, history=history))

    def plan_with(self, args: Mapping[str, Any]) -> PromptPlan:
        """Plan for arguments in a mapping; see :meth:`Prompt.plan_with`."""
        return self._bridge.run(partial(self.asynchronous.plan_with, args))

    def plan_request(self, request: Request) -> tuple[Any, Any, tuple[str, ...]]:
        """Return the opened request, its plan and notes; see :meth:`Prompt.plan_request`."""
        return self._bridge.run(partial(self.asynchronous.plan_request, request))
