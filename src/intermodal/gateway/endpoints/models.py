"""The models that clients can request, and the inputs that each accepts, conversions included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from intermodal._version import __version__
from intermodal.catalog.model_names import find_by_name
from intermodal.catalog.types import Catalog, Endpoint, Price
from intermodal.config.tables import AUTO, POLICY, PROMPT
from intermodal.core.content import KINDS, Kind
from intermodal.errors import UnknownModel
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.quotas.quota_types import ANONYMOUS, VirtualKey
from intermodal.gateway.requests.request_policy import LATEST_TAG, body_fields
from intermodal.planner.catalog_index import is_allowed
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.json_body import dumps, loads

if TYPE_CHECKING:
    from intermodal.gateway.context import GatewayContext
    from intermodal.prompts.prompt_file import PromptFile

# The Ollama version whose chat API this implements. Clients compare it: GitHub Copilot in VS Code refuses a server
# below 0.6.4, the first version to report a model's capabilities (``/api/show``). Version 0.8.0 added tools in streams.
# ``think``, of 0.9.0, is read; what else later versions added was not compared, so no later version is reported.
OLLAMA_VERSION = "0.8.0"
JSON_HEADERS = {"content-type": "application/json"}
# The tasks of models that convert a kind of input into text; () if no model is needed.
_BRIDGES: dict[Kind, tuple[str, ...]] = {
    "audio": ("automatic-speech-recognition",), "image": ("image-to-text", "image-text-to-text"), "document": (),
    "video": ("automatic-speech-recognition", "image-to-text", "image-text-to-text"),
}  # fmt: skip


def model_rows(catalog: Catalog, key: VirtualKey = ANONYMOUS) -> list[dict[str, Any]]:
    """Return one row for each callable model, in the format of OpenAI and OpenRouter.

    If a key allows a model only at certain hosts, it gets a row for each of those endpoints.
    """
    known_endpoints = list(callable_endpoints(catalog))
    bridged = _bridged_kinds(known_endpoints)
    by_model: dict[str, list[Endpoint]] = {}
    for endpoint in known_endpoints:
        by_model.setdefault(endpoint.model.id, []).append(endpoint)
    rows = []
    for name, endpoints in sorted(by_model.items()):
        if key.allows_any(name):
            rows.append(_row(endpoints, bridged))
        else:
            rows += [{**_row([each], bridged), "id": each.id} for each in endpoints if key.allows_any(each.id)]
    return rows


def callable_endpoints(catalog: Catalog) -> Iterator[Endpoint]:
    """Yield the endpoints that can be called now."""
    return (endpoint for endpoint in catalog.endpoints if endpoint.ready and is_allowed(endpoint, catalog))


def _bridged_kinds(endpoints: Iterable[Endpoint]) -> frozenset[Kind]:
    tasks = {task for endpoint in endpoints for task in endpoint.model.tasks}
    return frozenset(kind for kind, needs in _BRIDGES.items() if not needs or tasks & set(needs))


def _row(endpoints: list[Endpoint], bridged: frozenset[Kind]) -> dict[str, Any]:
    model = endpoints[0].model
    native = {kind for endpoint in endpoints for kind in endpoint.input}
    chats = "text-generation" in model.tasks or "image-text-to-text" in model.tasks
    kinds = native | bridged if chats else native
    contexts = [endpoint.context for endpoint in endpoints if endpoint.context]
    return {
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": model.id.partition("/")[0],
        "name": model.name or model.id,
        "architecture": {
            "input_modalities": [kind for kind in KINDS if kind in kinds],
            "native_input_modalities": [kind for kind in KINDS if kind in native],
            "output_modalities": list(model.output),
        },
        "context_length": max(contexts, default=None),
        "pricing": _pricing(endpoints),
        "endpoints": [endpoint.id for endpoint in endpoints],
    }


def _pricing(endpoints: list[Endpoint]) -> dict[str, str] | None:
    """Return the price of the cheapest endpoint in USD per token, as strings; None if unknown."""
    known = [e.price for e in endpoints if e.price.input_mtok is not None and e.price.output_mtok is not None]
    if not known:
        return None
    cheapest: Price = min(known, key=lambda price: (price.input_mtok or 0) + (price.output_mtok or 0))
    return {"prompt": _price_per_token(cheapest.input_mtok), "completion": _price_per_token(cheapest.output_mtok)}


def _price_per_token(per_million: float | None) -> str:
    return f"{(per_million or 0) / 1e6:.12f}".rstrip("0").rstrip(".")


def _name_rows(context: GatewayContext, rows: list[dict[str, Any]], key: VirtualKey) -> list[dict[str, Any]]:
    """Return rows of the names that are not models: ``auto``, policies and aliases that the key allows."""
    config = context.client.config
    kinds: dict[str, list[Kind]] = {}
    for field in ("input_modalities", "native_input_modalities"):
        taken_kinds = {kind for row in rows if _chats(row) for kind in row["architecture"][field]}
        kinds[field] = [kind for kind in KINDS if kind in taken_kinds]
    some = {
        "object": "model", "created": 0, "owned_by": "intermodal",
        "architecture": {**kinds, "output_modalities": ["text"]},
        "context_length": None, "pricing": None, "endpoints": [],
    }  # fmt: skip
    prompts = {row["id"]: row for row in _prompts(context, kinds, some, key)}
    by_name = {name: row for row in rows for name in (row["id"], *row["endpoints"])}
    by_name |= prompts
    for target in config.serve.aliases.values():  # an alias may use any short form of a model's name
        for each in _endpoints_of_name(context, target):
            if each.model.id in by_name:
                by_name.setdefault(target, by_name[each.model.id])
    names = {name: name for name in (AUTO, *(f"{POLICY}{name}" for name in config.policies if name != AUTO))}
    # An alias accepts and costs the same as its model.
    return [
        {**by_name.get(alias_target, some), "id": name, "name": name}
        for name, alias_target in (names | config.serve.aliases).items()
        if key.allows_any(name, alias_target, *([by_name[alias_target]["id"]] if alias_target in by_name else ()))
    ] + list(prompts.values())


def _prompts(
    context: GatewayContext, kinds: Mapping[str, list[Kind]], some: Mapping[str, Any], key: VirtualKey
) -> Iterator[dict[str, Any]]:
    """Yield the rows of prompt files that the key allows. ``kinds``: inputs of all models, converted and native."""
    for prompt in context.prompts.visible_to(key):
        taken_kinds = prompt_input_kinds(prompt.file)
        native = [kind for kind in taken_kinds if kind in kinds["native_input_modalities"]]
        modalities = {"input_modalities": taken_kinds, "native_input_modalities": native, "output_modalities": ["text"]}
        yield {**some, "id": PROMPT + prompt.name, "name": prompt.name, "architecture": modalities}


def prompt_input_kinds(file: PromptFile) -> list[str]:
    """Return the kinds of input that a prompt takes, text first; a ``file`` argument takes every kind."""
    kinds = {"text", *file.media}
    return [kind for kind in KINDS if kind in kinds or "file" in kinds]


def _endpoints_of_name(context: GatewayContext, name: str) -> tuple[Endpoint, ...]:
    """Return the endpoints that a name stands for; () if none, or if it is ambiguous."""
    try:
        return find_by_name(context.client.catalog, name) if not name.startswith(POLICY) and name != AUTO else ()
    except UnknownModel:
        return ()


def _chats(row: Mapping[str, Any]) -> bool:
    """Return True if a model reads and writes text. A speech or vision model that only writes text does not chat."""
    kinds = row["architecture"]
    return "text" in kinds["output_modalities"] and "text" in kinds["native_input_modalities"]


def _list_rows(context: GatewayContext, key: VirtualKey) -> list[dict[str, Any]]:
    """Return all rows that this key allows."""
    catalog = context.client.catalog
    return [*_name_rows(context, model_rows(catalog), key), *model_rows(catalog, key)]


def _row_of(context: GatewayContext, key: VirtualKey, name: str, see: str) -> dict[str, Any]:
    """Return the row of a full or short model name. Raises UnknownModel, which refers to the list ``see``."""
    rows = _list_rows(context, key)
    for candidate_name in (name, name.removesuffix(LATEST_TAG)):
        for row in rows:
            if row["id"] == candidate_name:
                return row
    found = [each for each in find_by_name(context.client.catalog, name) if is_allowed(each, context.client.catalog)]
    if any(each.ready for each in found) and key.allows_any(name, found[0].model.id):
        return {**_row(found, _bridged_kinds(callable_endpoints(context.client.catalog))), "id": name}
    raise UnknownModel(f"there is no model named {name[:200]}", todo=f"see {see}")


async def list_models(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /v1/models``."""
    await context.prompts.current()
    data = _list_rows(context, request.key)
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    more = {"first_id": first, "last_id": last, "has_more": False}  # as Anthropic's clients page
    reply.write_whole(200, dumps({"object": "list", "data": data, **more}), JSON_HEADERS)


async def get_model(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /v1/models/NAME``."""
    from urllib.parse import unquote

    name = unquote(request.head.path.removeprefix("/v1/models/"))
    await context.prompts.current()
    reply.write_whole(200, dumps(_row_of(context, request.key, name, "/v1/models")), JSON_HEADERS)


# ---- Ollama's ------------------------------------------------------------------------------------


async def ollama_tags(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /api/tags``: models that chat. Size and digest are not reported."""
    await context.prompts.current()
    rows = [
        _ollamas(row) | {"modified_at": "1970-01-01T00:00:00Z"}
        for row in _list_rows(context, request.key)
        if _chats(row)
    ]
    reply.write_whole(200, dumps({"models": rows}), JSON_HEADERS)


async def ollama_running(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /api/ps``: models that chat and are in this machine's memory now."""
    loaded_ids = set(context.client.machine_now.loaded)
    loaded_rows = [
        row
        for row in model_rows(context.client.catalog, request.key)
        if _chats(row) and loaded_ids & set(row["endpoints"])
    ]
    rows = [_ollamas(row) | {"context_length": row["context_length"]} for row in loaded_rows]
    reply.write_whole(200, dumps({"models": rows}), JSON_HEADERS)


def _ollamas(row: Mapping[str, Any]) -> dict[str, Any]:
    details = {
        "format": "", "family": row["owned_by"], "families": None, "parameter_size": "", "quantization_level": "",
    }  # fmt: skip
    return {"name": row["id"], "model": row["id"], "size": 0, "digest": "", "details": details}


def _calls(context: GatewayContext, row: Mapping[str, Any]) -> bool:
    """Return True if a model may be given tools, which is unless every endpoint of it is known to take none."""
    known = context.client.catalog.by_id
    endpoints = [known[name] for name in row["endpoints"] if name in known]
    return not endpoints or any(endpoint.tools.takes is not False for endpoint in endpoints)


async def ollama_show(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /api/show``."""
    fields = await body_fields(request, context.limits)
    await context.prompts.current()
    name = loads(bytes(fields.get("model", b'""'))) or loads(bytes(fields.get("name", b"null")))
    if not isinstance(name, str):
        raise RequestRefused("the body names no model", status=400)
    row = _row_of(context, request.key, name, "/api/tags")
    kinds = row["architecture"]["input_modalities"]
    able = ["embedding"] if "embedding" in row["architecture"]["output_modalities"] else []
    if _chats(row):
        able += ["completion", *(["tools"] if _calls(context, row) else [])]
        able += [word for word, kind in (("vision", "image"), ("audio", "audio")) if kind in kinds]
    family = row["owned_by"]
    body = {
        "modelfile": "", "parameters": "", "template": "", "modified_at": "1970-01-01T00:00:00Z",
        "details": {"format": "", "family": family, "families": [family], "parameter_size": "",
                    "quantization_level": ""},
        "model_info": {"general.architecture": family, f"{family}.context_length": row["context_length"]},
        "capabilities": able,
    }  # fmt: skip
    reply.write_whole(200, dumps(body), JSON_HEADERS)


async def ollama_version(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /api/version``, by which Ollama's clients detect a server and its features."""
    reply.write_whole(200, dumps({"version": OLLAMA_VERSION, "intermodal": __version__}), JSON_HEADERS)
