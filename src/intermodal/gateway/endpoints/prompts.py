"""Prompt files over HTTP: those that a key may request, and those that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from intermodal.concurrency.offload import offload
from intermodal.config.tables import PROMPT
from intermodal.core.request import JsonOutput
from intermodal.gateway.endpoints.models import JSON_HEADERS, prompt_input_kinds
from intermodal.gateway.requests.request_policy import check_model_allowed
from intermodal.protocols.framing.json_body import dumps

if TYPE_CHECKING:
    from intermodal.gateway.context import GatewayContext
    from intermodal.gateway.http1.http_types import GatewayRequest
    from intermodal.gateway.http1.response_writer import ResponseWriter
    from intermodal.gateway.quotas.quota_types import VirtualKey
    from intermodal.gateway.requests.prompt_files import PromptFiles
    from intermodal.prompts.prompt_file import Argument
    from intermodal.prompts.prompt_folder import LoadedPrompt, UnreadablePrompt


def _prompt_document(loaded_prompt: LoadedPrompt) -> dict[str, Any]:
    file, wrong = loaded_prompt.file, loaded_prompt.error
    schema = file.output.schema if isinstance(file.output, JsonOutput) else None
    return {
        "id": PROMPT + loaded_prompt.name, "object": "prompt", "name": loaded_prompt.name,
        "description": file.description,
        "format": file.format, "file": loaded_prompt.place, "version": loaded_prompt.version,
        "model": file.model or None,
        "input_modalities": prompt_input_kinds(file), "arguments": [_argument(each) for each in file.arguments],
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


async def list_prompts(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /v1/prompts``: prompts that this key may request, and files that cannot be used."""
    await context.prompts.current()
    reply.write_whole(200, await offload(True, _list, context.prompts, request.key), JSON_HEADERS)


def _list(prompts: PromptFiles, key: VirtualKey) -> bytes:
    wrong = prompts.folder.unreadable if prompts.folder is not None else ()
    errors = [_error(each) for each in wrong if key.allows_any(PROMPT + each.stem)]
    return dumps({"object": "list", "data": list(map(_prompt_document, prompts.visible_to(key))), "unreadable": errors})


def _error(wrong: UnreadablePrompt) -> dict[str, Any]:
    message = f"{wrong.error}{f'; {wrong.todo}' if wrong.todo else ''}"
    return {"file": wrong.file, "line": wrong.line or None, "message": message, "kept": wrong.kept}


async def get_prompt(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /v1/prompts/NAME``."""
    name = unquote(request.head.path.removeprefix("/v1/prompts/")).removeprefix(PROMPT)
    await check_model_allowed(request.key, PROMPT + name, context.client)
    _, loaded_prompt = await context.prompts.find(name, request.key)
    reply.write_whole(200, dumps(_prompt_document(loaded_prompt)), JSON_HEADERS)
