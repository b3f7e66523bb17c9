"""Prompt files that clients ask for by ``model: "prompt:NAME"``, with variables in the request; and who may see which.

A prompt is rendered before a request is planned: its messages go before those of the client, and its policy bounds what
the client asks for. Variables are a stranger's: none is read as a path, and each is held against what the file
declares. Rendering ends (``prompts/rendering.py``), and goes on in a thread, one at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace as with_fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from msgspec.structs import replace

from intermodal.config_file import AUTO, PROMPT
from intermodal.content import BytesSource, Text, UrlSource
from intermodal.errors import IntermodalError, PromptError, UnknownModel
from intermodal.events import Event, Finished, TextDelta
from intermodal.fair_lock import FairLock
from intermodal.gateway.counted import check_media
from intermodal.gateway.listing import JSON, kinds_of
from intermodal.gateway.naming import allowed, narrowed, policy_of, prompt_of
from intermodal.incoming import messages_of
from intermodal.offload import LONG, offload
from intermodal.prompts import bound, nested, source, trial, values
from intermodal.prompts.call import check_kinds, chosen
from intermodal.prompts.file import Argument, ArgumentKind, Media, PromptFile
from intermodal.prompts.folder import Kept, PromptFolder, Unreadable, stem_of
from intermodal.prompts.media import part_of
from intermodal.request import JsonOutput, Message, Policy, Request, Sampling, Settings
from intermodal.wire._json import dumps
from intermodal.wire.advice import for_clients
from intermodal.wire.call import ChatCall, Pasted, WireLink, WireMedia
from intermodal.wire.reading import data_uri
from intermodal.wire.served import Refused

if TYPE_CHECKING:
    from intermodal.client import Prepared
    from intermodal.gateway.lasting import LastingClient
    from intermodal.gateway.ledger.nouns import VirtualKey
    from intermodal.gateway.messages import Asked, HttpLimits
    from intermodal.gateway.reply import Reply
    from intermodal.gateway.serving import Gateway
    from intermodal.plans.plan import Inputs, Plan

FRESH = 0.5  # seconds after which it is looked whether files changed
_UNSAID = (None, (), "")
_MEDIA = (WireMedia, WireLink)


class Rendered(NamedTuple):
    """A prompt as a client asks for it.

    Attributes:
        kept: the prompt. call: what was asked, with what the file says besides its messages. policy: that bounds it.
        messages: of the prompt and of the client. models: that the file asks for, by the names it may have here.
        urls: of variables. shown: makes a place in an error one of the folder. notes: what is to be said of it.
    """

    kept: Kept
    call: ChatCall
    policy: Policy
    messages: tuple[Message, ...]
    models: tuple[str, ...]
    urls: frozenset[str]
    shown: Callable[[str], str]
    notes: list[str]

    async def planned(self, prepared: Prepared, plan: Callable[[Inputs], Awaitable[Plan]]) -> tuple[Prepared, Plan]:
        """The first plan that there is: with the model of the file, else with any. Raises what planning raises."""
        try:
            check_kinds(self.kept.file, prepared.inputs, self.urls)
            inputs, made, notes = await chosen(self.kept.file, self.models, prepared.inputs, plan)
        except IntermodalError as error:
            error.where = self.shown(error.where)
            raise
        self.notes.extend(map(self.shown, notes))
        return with_fields(prepared, inputs=inputs), made


class Prompts:
    """The prompt files of a gateway. ``folder``: "" for none. ``say``: gets a sentence about what cannot be used."""

    def __init__(self, folder: str, say: Callable[[str], None]) -> None:
        self.folder = PromptFolder(folder) if folder else None
        self._say = say
        self._said: frozenset[str] = frozenset()
        self._looked = -float("inf")
        self._looking = asyncio.Lock()
        self._turn = FairLock()

    async def current(self) -> PromptFolder | None:
        """The folder as it is now, or was half a second ago; None where there is none."""
        if self.folder is not None and time.monotonic() - self._looked >= FRESH:
            async with self._looking:
                if time.monotonic() - self._looked >= FRESH:
                    await self._look(self.folder)
        return self.folder

    async def start(self) -> None:
        """Read all of it. Raises InputMissing where there is no such folder."""
        if self.folder is not None:
            await offload(True, self.folder.look)
            self._tell(map(str, self.folder.unreadable))

    async def _look(self, folder: PromptFolder) -> None:
        try:
            changed = await offload(True, folder.look)
        except (IntermodalError, OSError) as error:  # the folder is gone: what was read from it is there
            self._tell((*self._said, f"prompt files cannot be read: {error}"))
        else:
            if changed:
                self._tell(map(str, folder.unreadable))
        self._looked = time.monotonic()

    def _tell(self, wrong: Iterable[str]) -> None:
        """Say what is wrong now and was not before."""
        now = frozenset(wrong)
        for words in sorted(now - self._said):
            self._say(words)
        self._said = now

    # ---- what is asked for -------------------------------------------------------------------------

    async def rendered(
        self, client: LastingClient, asked: Asked, call: ChatCall, limits: HttpLimits
    ) -> Rendered | None:
        """The prompt that a call names, rendered; None where it names none.

        Raises UnknownModel, Refused, and PromptError with the file's line for what is wrong with the variables.
        """
        name = _named(call, client)
        if not name:
            if call.prompt is not None:
                what = "variables of a prompt are sent, and no prompt is named"
                raise Refused(what, status=400, todo=f"ask for model {PROMPT}NAME, or send prompt_id")
            return None
        own = not prompt_of(call.model, client)  # a model or a policy is named beside it
        for each in (PROMPT + name, call.model) if own else (call.model,):
            allowed(asked.key, each, client)
        folder, kept = await self.find(name, asked.key)
        _check_version(kept, call)
        base = policy_of(call.model if own else AUTO, client)
        try:
            given = await self._held(kept, call)
            taking = [each.name for each in kept.file.arguments if each.is_media or each.holds]
            media = {name: given[name] for name in taking if name in given}
            check_media(len(values.media_of(media)), limits.media)
            await values.checked_media(kept.file, media)
            async with self._turn:
                made = await offload(True, _rendered, kept, call, given, client.config, base, limits.text)
            return made._replace(shown=folder.shown)
        except IntermodalError as error:
            if kept.error is not None and isinstance(error, PromptError) and error.what in kept.error.error:
                raise Refused(str(kept.error), status=503, code="prompt_unreadable") from None
            error.where = folder.shown(error.where)
            raise

    async def _held(self, kept: Kept, call: ChatCall) -> dict[str, Any]:
        """The variables, held against what the file declares."""
        said = call.prompt.variables if call.prompt is not None else {}
        async with self._turn:
            return await offload(True, _bound, kept.file, said)

    async def find(self, name: str, key: VirtualKey) -> tuple[PromptFolder, Kept]:
        folder = await self.current()
        if folder is None:
            raise UnknownModel("no prompt files are served here", todo="name a folder as prompts in [serve]")
        try:
            return folder, folder.find(name)
        except UnknownModel as error:
            for each in folder.unreadable:
                if name.partition("#")[0] in (each.file, stem_of(each.file)):
                    raise Refused(str(each), status=503, code="prompt_unreadable") from None
            if not error.todo:
                there = [other for other in folder.prompts if key.asks(PROMPT + other)]
                near = get_close_matches(name[:200], there, 1, 0.6)
                error.todo = f"did you mean {PROMPT}{near[0]}?" if near else "see /v1/prompts"
            raise

    def seen_by(self, key: VirtualKey) -> list[Kept]:
        """The prompts that may be asked for with a key, as they were last looked at."""
        if self.folder is None:
            return []
        return [each for each in self.folder.prompts.values() if key.asks(PROMPT + each.name)]


def _named(call: ChatCall, client: LastingClient) -> str:
    by_model = prompt_of(call.model, client)
    by_id = call.prompt.id.removeprefix(PROMPT) if call.prompt is not None else ""
    if by_model and by_id and by_model != by_id:
        raise Refused(f"the model names prompt {by_model}, and prompt_id {by_id}", status=400, todo="name one")
    return by_id or by_model


def _check_version(kept: Kept, call: ChatCall) -> None:
    wanted = call.prompt.version if call.prompt is not None else ""
    if wanted and wanted != kept.version:
        what = f"prompt {kept.name} has version {kept.version}, and {wanted[:40]!r} is asked for"
        raise Refused(what, status=404, todo="leave the version out, or see /v1/prompts", code="prompt_version")


# ---- variables --------------------------------------------------------------------------------------


def _bound(file: PromptFile, said: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: _given(file, name, value) for name, value in said.items()}
    return values.bound(file, given)


def _given(file: PromptFile, name: str, value: Any) -> Any:
    """A variable as an argument: media as media, whatever it is sent as; anything else as JSON."""
    argument = file.argument(name)
    if argument is not None and argument.holds:
        return _holding(file, argument, value)
    if argument is None or not argument.is_media:
        return _plain(file, argument or Argument(name=name), value)
    if not isinstance(value, list):
        return None if value is None else _medium(file, argument, value, 1)
    return [_medium(file, argument, each, number) for number, each in enumerate(value, 1)]


def _holding(file: PromptFile, argument: Argument, value: Any) -> Any:
    """A value with media within: as the others, bytes and addresses of the web, and no path of this machine."""

    def put(each: Any, kinds: tuple[ArgumentKind, ...], at: str) -> Media | None:
        if not isinstance(each, (str, *_MEDIA)):
            return None
        media = Media(at)
        media.part = part_of(_source(file, argument, each, at), kinds[0] if len(kinds) == 1 else "file")
        media.kinds, media.at = kinds, at
        return media

    try:
        return nested.with_media(argument.schema, _written(value), argument.name, put)
    except nested.Misfit as error:
        raise file.error(f"argument {argument.name!r}: {error}", argument.line, f"it takes {argument.words}") from None


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _written(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_written(each) for each in value]
    return value.text if isinstance(value, Pasted) else value


def _plain(file: PromptFile, argument: Argument, value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(file, argument, each) for each in value]
    if isinstance(value, _MEDIA):
        what = f"argument {argument.name!r} takes {argument.words}, not media"
        raise file.error(what, argument.line, "send it to an argument of media")
    if isinstance(value, Pasted):
        return value.text
    if argument.kind == "text" and isinstance(value, dict) and value.get("type") in ("text", "input_text"):
        return value.get("text")
    return value


def _medium(file: PromptFile, argument: Argument, value: Any, number: int) -> Media:
    """Bytes and addresses of the web. A text is never a path of this machine."""
    name = argument.name if number == 1 else f"{argument.name} {number}"
    media = Media(name)
    media.part = part_of(_source(file, argument, value, name), argument.kind)
    return media


def _source(file: PromptFile, argument: Argument, value: Any, name: str) -> BytesSource | UrlSource:
    if isinstance(value, Pasted):
        return BytesSource(data=value.data, name=name)
    if isinstance(value, WireLink):
        value = value.url
    elif isinstance(value, WireMedia):
        return BytesSource(data=value.data, name=name)
    if isinstance(value, str):
        try:
            found = data_uri(value)
        except ValueError as error:
            raise file.error(f"argument {argument.name!r}: {error}", argument.line, "send base64") from None
        if found is not None:
            return BytesSource(data=found[1], name=name)
        if value[:8].lower().startswith(("http://", "https://")):
            return UrlSource(url=value)
    what = f"argument {argument.name!r} takes {argument.words}, and what was sent holds no media; paths are not read"
    raise file.error(what, argument.line, "send a data URI, an address of http or https, or a part of media")


# ---- rendering --------------------------------------------------------------------------------------


def _rendered(
    kept: Kept, call: ChatCall, given: Mapping[str, Any], config: Any, base: Policy, most: int
) -> Rendered:  # fmt: skip
    file, said = kept.file, messages_of(call)
    tools = call.tools
    with source.held(kept.texts, closed=True):
        made = bound.request_of(
            file, given, {}, config, history=said if file.history else (), tools=tools
        )  # fmt: skip
        trial.check_files(file, made.messages)
    letters = sum(len(part.text) for message in made.messages for part in message.parts if isinstance(part, Text))
    if letters > most:
        what = f"the prompt is rendered to more than {most >> 20} MiB of text"
        raise Refused(what, status=413, todo="send less text, or set max_text in [serve]")
    stated = "max_cost" in file.options
    policy = narrowed(base, replace(made.policy, max_cost_stated=stated))
    only = call.tool_choice == "required" and bool(tools)  # one of the client's own is to be called
    merged = replace(
        call,
        output=_output(kept, made, call),
        sampling=_sampling(made.sampling, call.sampling),
        settings=_settings(made.settings, call.settings),
        tools=tools if only else made.tools,
    )
    messages = made.messages if file.history else (*made.messages, *said)
    sources = (medium.part.source for _, medium in values.media_of(given))
    urls = frozenset(source.url for source in sources if isinstance(source, UrlSource))
    models = () if policy.model else file.model_names
    return Rendered(kept, merged, policy, messages, models, urls, str, [])


def _output(kept: Kept, made: Request, call: ChatCall) -> Any:
    """The file's, where it says one: the client's may say the same."""
    if not isinstance(made.output, JsonOutput):
        return call.output
    if isinstance(call.output, JsonOutput) and call.output.schema != made.output.schema:
        what = f"prompt {kept.name} has a schema of its answer, and another is asked for"
        raise Refused(what, status=400, todo="leave the format of the answer out")
    return made.output


def _sampling(file: Sampling, asked: Sampling) -> Sampling:
    """What the client says goes before what the file does; of two limits the lower one holds."""
    stated = _stated(asked)
    limits = [limit for limit in (file.max_tokens, asked.max_tokens) if limit is not None]
    return replace(file, **{**stated, "max_tokens": min(limits, default=None)})


def _settings(file: Settings, asked: Settings) -> Settings:
    return replace(file, **_stated(asked))


def _stated(said: Sampling | Settings) -> dict[str, Any]:
    return {name: value for name in said.__struct_fields__ if (value := getattr(said, name)) not in _UNSAID}


# ---- what is told of them ---------------------------------------------------------------------------


def _told(kept: Kept) -> dict[str, Any]:
    file, wrong = kept.file, kept.error
    schema = file.output.schema if isinstance(file.output, JsonOutput) else None
    return {
        "id": PROMPT + kept.name, "object": "prompt", "name": kept.name, "description": file.description,
        "format": file.format, "file": kept.place, "version": kept.version, "model": file.model or None,
        "input_modalities": kinds_of(file), "arguments": [_argument(each) for each in file.arguments],
        "more_arguments": file.open_ended, "output_schema": schema,
        "error": _error(wrong) if wrong is not None else None,
    }  # fmt: skip


def _argument(argument: Argument) -> dict[str, Any]:
    default = {} if argument.is_media or argument.default is None else {"default": argument.default}
    return {
        "name": argument.name, "kind": argument.kind, "many": argument.many, "required": argument.required,
        "type": argument.words, "description": argument.description, **default,
        "schema": dict(argument.schema) or None,
    }  # fmt: skip


async def listed(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``GET /v1/prompts``: those that may be asked for with this key, and the files that cannot be used."""
    await gateway.prompts.current()
    reply.whole(200, await offload(True, _list, gateway.prompts, asked.key), JSON)


def _list(prompts: Prompts, key: VirtualKey) -> bytes:
    wrong = prompts.folder.unreadable if prompts.folder is not None else ()
    errors = [_error(each) for each in wrong if key.asks(PROMPT + stem_of(each.file))]
    return dumps({"object": "list", "data": list(map(_told, prompts.seen_by(key))), "unreadable": errors})


def _error(wrong: Unreadable) -> dict[str, Any]:
    said = for_clients(f"{wrong.error}{f'; {wrong.todo}' if wrong.todo else ''}")
    return {"file": wrong.file, "line": wrong.line or None, "message": said, "kept": wrong.kept}


async def one(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``GET /v1/prompts/NAME``."""
    name = unquote(asked.head.path.removeprefix("/v1/prompts/")).removeprefix(PROMPT)
    allowed(asked.key, PROMPT + name, gateway.client)
    _, kept = await gateway.prompts.find(name, asked.key)
    reply.whole(200, dumps(_told(kept)), JSON)


# ---- answers that the format reads in its own way -----------------------------------------------------


async def typed(events: AsyncGenerator[Event], file: PromptFile) -> AsyncGenerator[Event]:
    """The events of a run, with the value that the file's format reads off the answer in place of its words, as JSON:
    it is known at the end. Raises OutputInvalid where it finds none.

    Where the answer is calls of tools, or was cut, its words stay as they are.
    """
    parser = file.parser
    words: list[str] = []
    async with aclosing(events) as happening:
        async for event in happening:
            if isinstance(event, TextDelta):
                words.append(event.text)
                continue
            if isinstance(event, Finished) and words:
                text = "".join(words)
                if parser is not None and event.finish_reason == "stop" and not event.tool_calls:
                    text = dumps(await offload(len(text) > LONG, parser.value, text)).decode()
                yield TextDelta(text=text)
            yield event
