"""Variables of a request as arguments of a prompt file, and the rendered file as a request.

Variables come from untrusted clients: none is read as a path, and each is checked against the file's declaration. The
file's messages precede the client's. This module is imported with the first request for a prompt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace as with_fields
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from intermodal.core.content import BytesSource, Text, UrlSource
from intermodal.core.hints import spell_text
from intermodal.core.request import JsonOutput, Message, Policy, Request, Sampling, Settings
from intermodal.errors import IntermodalError
from intermodal.gateway.requests.request_from_call import messages_from_call
from intermodal.gateway.requests.request_policy import intersect_policies
from intermodal.prompts import argument_values, media_references, prompt, sample_arguments, source_text
from intermodal.prompts.media_references import value_of
from intermodal.prompts.prompt import check_kinds, choose_plan
from intermodal.prompts.prompt_file import Argument, ArgumentKind, MediaValue, PromptFile
from intermodal.prompts.prompt_folder import LoadedPrompt
from intermodal.protocols.calls import ChatCall, PastedDataUri, WireLink, WireMedia
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.request_validation import decode_data_uri

if TYPE_CHECKING:
    from intermodal.client.async_client import PreparedRequest
    from intermodal.plans.plan import Inputs, Plan

_UNSAID = (None, (), "")
_MEDIA = (WireMedia, WireLink)


class RenderedPrompt(NamedTuple):
    """A prompt file rendered for a request.

    Attributes:
        kept: the prompt. call: the client's call with the file's settings except messages. policy: bounds the client's.
        messages: of the prompt and of the client. models: named by the file, by their names in this catalog.
        urls: URLs in variables. shown: makes a path in an error relative to the folder. notes: notes for the client.
    """

    kept: LoadedPrompt
    call: ChatCall
    policy: Policy
    messages: tuple[Message, ...]
    models: tuple[str, ...]
    urls: frozenset[str]
    shown: Callable[[str], str]
    notes: list[str]

    async def plan_with_models(
        self, prepared: PreparedRequest, plan: Callable[[Inputs], Awaitable[Plan]]
    ) -> tuple[PreparedRequest, Plan]:
        """Return the first plan found: with the file's models, else with any. Raises whatever planning raises."""
        try:
            check_kinds(self.kept.file, prepared.inputs, self.urls)
            inputs, chosen_plan, notes = await choose_plan(self.kept.file, self.models, prepared.inputs, plan)
        except IntermodalError as error:
            error.where = self.shown(error.wording_for("http").where)
            raise
        self.notes.extend(self.shown(spell_text(note, "http")) for note in notes)
        return with_fields(prepared, inputs=inputs), chosen_plan


# ---- variables --------------------------------------------------------------------------------------


def bind_arguments(file: PromptFile, values: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {name: _argument_of(file, name, value) for name, value in values.items()}
    return argument_values.bind_values(file, arguments)


def _argument_of(file: PromptFile, name: str, value: Any) -> Any:
    """Return a variable as an argument: media as media, however it was sent; anything else as JSON."""
    argument = file.argument(name)
    if argument is not None and argument.holds:
        return _media_value(file, argument, value)
    if argument is None or not argument.is_media:
        return _text_value(file, argument or Argument(name=name), value)
    if not isinstance(value, list):
        return None if value is None else _medium(file, argument, value, 1)
    return [_medium(file, argument, each, number) for number, each in enumerate(value, 1)]


def _media_value(file: PromptFile, argument: Argument, value: Any) -> Any:
    """Return a value that contains media: bytes and web addresses are media, but paths of this machine are not."""

    def media_value(each: Any, kinds: tuple[ArgumentKind, ...], at: str) -> MediaValue | None:
        if not isinstance(each, (str, *_MEDIA)):
            return None
        media = value_of(at, _source(file, argument, each, at), kinds[0] if len(kinds) == 1 else "file")
        media.kinds, media.at = kinds, at
        return media

    try:
        return media_references.with_media(argument.schema, _json_value(value), argument.name, media_value)
    except media_references.SchemaMismatch as error:
        raise file.error(f"argument {argument.name!r}: {error}", argument.line, f"it takes {argument.words}") from None


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _json_value(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_json_value(each) for each in value]
    return value.text if isinstance(value, PastedDataUri) else value


def _text_value(file: PromptFile, argument: Argument, value: Any) -> Any:
    if isinstance(value, list):
        return [_text_value(file, argument, each) for each in value]
    if isinstance(value, _MEDIA):
        what = f"argument {argument.name!r} takes {argument.words}, not media"
        raise file.error(what, argument.line, "send it to an argument of media")
    if isinstance(value, PastedDataUri):
        return value.text
    if argument.kind == "text" and isinstance(value, dict) and value.get("type") in ("text", "input_text"):
        return value.get("text")
    return value


def _medium(file: PromptFile, argument: Argument, value: Any, number: int) -> MediaValue:
    """Return a medium from bytes or a web address. Text is never taken for a path of this machine."""
    name = argument.name if number == 1 else f"{argument.name} {number}"
    return value_of(name, _source(file, argument, value, name), argument.kind)


def _source(file: PromptFile, argument: Argument, value: Any, name: str) -> BytesSource | UrlSource:
    if isinstance(value, PastedDataUri):
        return BytesSource(data=value.data, name=name)
    if isinstance(value, WireLink):
        value = value.url
    elif isinstance(value, WireMedia):
        return BytesSource(data=value.data, name=name)
    if isinstance(value, str):
        try:
            found = decode_data_uri(value)
        except ValueError as error:
            raise file.error(f"argument {argument.name!r}: {error}", argument.line, "send base64") from None
        if found is not None:
            return BytesSource(data=found[1], name=name)
        if value[:8].lower().startswith(("http://", "https://")):
            return UrlSource(url=value)
    what = f"argument {argument.name!r} takes {argument.words}, and what was sent holds no media; paths are not read"
    raise file.error(what, argument.line, "send a data URI, an address of http or https, or a part of media")


# ---- rendering --------------------------------------------------------------------------------------


def render_prompt(
    loaded_prompt: LoadedPrompt, call: ChatCall, arguments: Mapping[str, Any], config: Any, base: Policy, most: int
) -> RenderedPrompt:  # fmt: skip
    file, own = loaded_prompt.file, messages_from_call(call)
    tools = call.tools
    with source_text.cached_texts(loaded_prompt.texts, closed=True):
        request = prompt.request_of(
            file, arguments, {}, config, history=own if file.history else (), tools=tools
        )  # fmt: skip
        sample_arguments.check_files(file, request.messages, arguments)
    letters = sum(len(part.text) for message in request.messages for part in message.parts if isinstance(part, Text))
    if letters > most:
        what = f"the prompt is rendered to more than {most >> 20} MiB of text"
        raise RequestRefused(what, status=413, todo="send less text, or set max_text in [serve]")
    is_stated = "max_cost" in file.options
    policy = intersect_policies(base, replace(request.policy, max_cost_stated=is_stated))
    only = call.tool_choice == "required" and bool(tools)  # one of the client's own tools is to be called
    merged_policy = replace(
        call,
        output=_output(loaded_prompt, request, call),
        sampling=_sampling(request.sampling, call.sampling),
        settings=_settings(request.settings, call.settings),
        tools=tools if only else request.tools,
    )
    messages = request.messages if file.history else (*request.messages, *own)
    sources = (medium.part.source for _, medium in argument_values.media_of(arguments))
    urls = frozenset(source.url for source in sources if isinstance(source, UrlSource))
    models = () if policy.model else file.model_names
    return RenderedPrompt(loaded_prompt, merged_policy, policy, messages, models, urls, str, [])


def _output(loaded_prompt: LoadedPrompt, new_request: Request, call: ChatCall) -> Any:
    """Return the file's output if it declares one; a client may only request the same output."""
    if not isinstance(new_request.output, JsonOutput):
        return call.output
    if isinstance(call.output, JsonOutput) and call.output.schema != new_request.output.schema:
        what = f"prompt {loaded_prompt.name} has a schema of its answer, and another is asked for"
        raise RequestRefused(what, status=400, todo="leave the format of the answer out")
    return new_request.output


def _sampling(file: Sampling, sampling: Sampling) -> Sampling:
    """Return the combined sampling: the client's values take precedence, the lower token limit holds."""
    stated_settings = _stated_options(sampling)
    limits = [limit for limit in (file.max_tokens, sampling.max_tokens) if limit is not None]
    return replace(file, **{**stated_settings, "max_tokens": min(limits, default=None)})


def _settings(file: Settings, settings: Settings) -> Settings:
    return replace(file, **_stated_options(settings))


def _stated_options(options: Sampling | Settings) -> dict[str, Any]:
    return {name: value for name in options.__struct_fields__ if (value := getattr(options, name)) not in _UNSAID}
