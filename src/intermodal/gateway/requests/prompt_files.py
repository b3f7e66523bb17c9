"""Prompt files that clients request as ``model: "prompt:NAME"``, with variables in the request, and access to them.

A prompt is rendered before planning: its messages precede the client's, and its policy bounds the client's. Variables
come from strangers: none is read as a path, and each is checked against the file's declaration
(``prompt_variables.py``). Rendering is bounded (``prompts/rendering.py``) and runs in a thread, one at a time. Without
a folder nothing of ``prompts/`` is imported.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from difflib import get_close_matches
from typing import TYPE_CHECKING

from intermodal.concurrency.fair_lock import FairLock
from intermodal.concurrency.offload import LONG, offload
from intermodal.config.tables import AUTO, PROMPT
from intermodal.errors import IntermodalError, PromptError, UnknownModel
from intermodal.events import Event, Finished, TextDelta
from intermodal.gateway.requests.body_limits import check_media_count
from intermodal.gateway.requests.request_policy import check_model_allowed, policy_for_model, prompt_name
from intermodal.protocols.calls import ChatCall
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.json_body import dumps

if TYPE_CHECKING:
    from intermodal.gateway.http1.http_types import GatewayRequest, HttpLimits
    from intermodal.gateway.quotas.quota_types import VirtualKey
    from intermodal.gateway.requests.prompt_variables import RenderedPrompt
    from intermodal.gateway.server_client import ServerClient
    from intermodal.prompts.prompt_file import PromptFile
    from intermodal.prompts.prompt_folder import LoadedPrompt, PromptFolder

REFRESH_SECONDS = 0.5  # seconds after which files are checked for changes


class PromptFiles:
    """The prompt files of a gateway. ``folder``: "" for none. ``say``: receives a message about unusable files."""

    def __init__(self, folder: str, say: Callable[[str], None]) -> None:
        self.folder = _folder(folder) if folder else None
        self._say = say
        self._reported: frozenset[str] = frozenset()
        self._looked = -float("inf")
        self._looking = asyncio.Lock()
        self._turn = FairLock()

    async def current(self) -> PromptFolder | None:
        """Return the folder as read within the last half second; None if there is none."""
        if self.folder is not None and time.monotonic() - self._looked >= REFRESH_SECONDS:
            async with self._looking:
                if time.monotonic() - self._looked >= REFRESH_SECONDS:
                    await self._reload(self.folder)
        return self.folder

    async def start(self) -> None:
        """Read the whole folder. Raises InputMissing if it does not exist."""
        if self.folder is not None:
            await offload(True, self.folder.reload_changed)
            self._report_problems(map(str, self.folder.unreadable))

    async def _reload(self, folder: PromptFolder) -> None:
        try:
            changed = await offload(True, folder.reload_changed)
        except (IntermodalError, OSError) as error:  # the folder is gone: what was read from it is still served
            self._report_problems((*self._reported, f"prompt files cannot be read: {error}"))
        else:
            if changed:
                self._report_problems(map(str, folder.unreadable))
        self._looked = time.monotonic()

    def _report_problems(self, wrong: Iterable[str]) -> None:
        """Report problems that were not there at the last check."""
        now = frozenset(wrong)
        for words in sorted(now - self._reported):
            self._say(words)
        self._reported = now

    # ---- request -----------------------------------------------------------------------------------

    async def render(
        self, client: ServerClient, request: GatewayRequest, call: ChatCall, limits: HttpLimits
    ) -> RenderedPrompt | None:
        """Return the rendered prompt that a call names; None if it names none.

        Raises UnknownModel,  RequestRefused, and PromptError with the file's line for invalid variables.
        """
        name = _prompt_of_call(call, client)
        if not name:
            if call.prompt is not None:
                what = "variables of a prompt are sent, and no prompt is named"
                raise RequestRefused(what, status=400, todo=f"ask for model {PROMPT}NAME, or send prompt_id")
            return None
        own = not prompt_name(call.model, client)  # a model or a policy is named beside it
        for each in (PROMPT + name, call.model) if own else (call.model,):
            await check_model_allowed(request.key, each, client)
        folder, loaded_prompt = await self.find(name, request.key)
        _check_version(loaded_prompt, call)
        from intermodal.gateway.requests import prompt_variables
        from intermodal.prompts import argument_values

        variables = call.prompt.variables if call.prompt is not None else {}
        base = policy_for_model(call.model if own else AUTO, client)
        try:
            async with self._turn:
                arguments = await offload(True, prompt_variables.bind_arguments, loaded_prompt.file, variables)
            taking = [each.name for each in loaded_prompt.file.arguments if each.is_media or each.holds]
            media = {name: arguments[name] for name in taking if name in arguments}
            check_media_count(len(argument_values.media_of(media)), limits.media)
            await argument_values.check_media(loaded_prompt.file, media)
            async with self._turn:
                rendered = await offload(
                    True,
                    prompt_variables.render_prompt,
                    loaded_prompt,
                    call,
                    arguments,
                    client.config,
                    base,
                    limits.text,
                )
            return rendered._replace(shown=folder.relative_place)
        except IntermodalError as error:
            if (
                loaded_prompt.error is not None
                and isinstance(error, PromptError)
                and error.what in loaded_prompt.error.error
            ):
                raise RequestRefused(str(loaded_prompt.error), status=503, code="prompt_unreadable") from None
            error.where = folder.relative_place(error.wording_for("http").where)
            raise

    async def find(self, name: str, key: VirtualKey) -> tuple[PromptFolder, LoadedPrompt]:
        folder = await self.current()
        if folder is None:
            raise UnknownModel("no prompt files are served here", todo="name a folder as prompts in [serve]")
        try:
            return folder, folder.find(name)
        except UnknownModel as error:
            for each in folder.unreadable:
                if name.partition("#")[0] in (each.file, each.stem):
                    raise RequestRefused(str(each), status=503, code="prompt_unreadable") from None
            if not error.todo:
                allowed_prompts = [other for other in folder.prompts if key.allows_any(PROMPT + other)]
                near = get_close_matches(name[:200], allowed_prompts, 1, 0.6)
                error.todo = f"did you mean {PROMPT}{near[0]}?" if near else "see /v1/prompts"
            raise

    def visible_to(self, key: VirtualKey) -> list[LoadedPrompt]:
        """Return the prompts that a key may request, as of the last check."""
        if self.folder is None:
            return []
        return [each for each in self.folder.prompts.values() if key.allows_any(PROMPT + each.name)]


def _folder(path: str) -> PromptFolder:
    from intermodal.prompts.prompt_folder import PromptFolder

    return PromptFolder(path)


def _prompt_of_call(call: ChatCall, client: ServerClient) -> str:
    by_model = prompt_name(call.model, client)
    by_id = call.prompt.id.removeprefix(PROMPT) if call.prompt is not None else ""
    if by_model and by_id and by_model != by_id:
        raise RequestRefused(f"the model names prompt {by_model}, and prompt_id {by_id}", status=400, todo="name one")
    return by_id or by_model


def _check_version(loaded_prompt: LoadedPrompt, call: ChatCall) -> None:
    wanted_version = call.prompt.version if call.prompt is not None else ""
    if wanted_version and wanted_version != loaded_prompt.version:
        what = (
            f"prompt {loaded_prompt.name} has version {loaded_prompt.version}, and {wanted_version[:40]!r} is asked for"
        )
        raise RequestRefused(what, status=404, todo="leave the version out, or see /v1/prompts", code="prompt_version")


# ---- answers that the format parses itself ------------------------------------------------------------


async def parse_answer(events: AsyncGenerator[Event], file: PromptFile) -> AsyncGenerator[Event]:
    """Yield the events of a run with the answer replaced by the value that the file's parser reads, as JSON.

    The value is known at the end. Tool calls and truncated answers stay as they are. Raises OutputInvalid if the parser
    finds no value.
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
