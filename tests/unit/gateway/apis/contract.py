"""The OpenAPI document held against what is really asked and answered: by a client of every test of the gateway."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from typing import Any

import httpx
import jsonschema

from intermodal.gateway.http1.http_types import RequestHead
from intermodal.gateway.openapi.openapi_document import build_document
from intermodal.gateway.routes import ROUTES, find_route
from intermodal.protocols.errors.responses import RequestRefused

DOCUMENT = build_document(ROUTES)
OURS = ("x-intermodal-", "x-ratelimit-", "x-should-", "idempotency-", "retry-after")


@cache
def validator(schema: str, own: bool) -> jsonschema.Draft202012Validator:
    """Of a schema as JSON; what it refers to is in the document. ``own``: none of a host's words beside ours."""
    text = json.dumps(DOCUMENT["components"])
    components = json.loads(
        text.replace('"additionalProperties": true', '"additionalProperties": false') if own else text
    )
    made = {"allOf": [json.loads(schema)], "components": components}
    return jsonschema.Draft202012Validator(made, format_checker=jsonschema.FormatChecker())


def check(schema: Any, value: Any, what: str, *, own: bool = False) -> None:
    wrong = _wrong(json.dumps(schema), json.dumps(value), own)
    if wrong:
        raise AssertionError(f"{what} is not as the document says, at {wrong}")


@lru_cache(4_096)  # a request is mostly sent in several ways, to be compared
def _wrong(schema: str, value: str, own: bool) -> str:
    """Where a value as JSON is not as its schema says, and what is wrong there; "" where it is."""
    for error in validator(schema, own).iter_errors(json.loads(value)):
        best = jsonschema.exceptions.best_match([error])
        place = "/".join(str(step) for step in best.absolute_path)
        return f"{place or 'the top'}: {best.message[:500]}"
    return ""


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """What the document says of a request; None where there is no door."""
    try:
        door = find_route(RequestHead(method=method, path=path))
    except RequestRefused:
        return None
    ((verb, below),) = [(verb, below) for (verb, below), each in ROUTES.items() if each is door]
    for template, found in DOCUMENT["paths"].items():
        if template == below or (below.endswith("/") and template.startswith(f"{below}{{")):
            operation: dict[str, Any] = found[verb.lower()]
            return operation
    raise AssertionError(f"{verb} {below} is not in the document")


def events_of(kind: str, text: str) -> list[Any]:
    """The JSON of each event of a stream."""
    if kind == "application/x-ndjson":
        return [json.loads(line) for line in text.splitlines()]
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in data if line != "[DONE]"]


def held(response: httpx.Response) -> None:
    """Raises AssertionError where a whole answer, or the request it answers, is not as the document says."""
    request = response.request
    what = f"{request.method} {request.url.path} -> {response.status_code}"
    operation = operation_of(request.method, request.url.raw_path.decode().partition("?")[0])
    if operation is None:
        return
    said = operation["responses"].get(str(response.status_code))
    assert said is not None, f"{what}: no such status in the document"
    if "$ref" in said:
        said = DOCUMENT["components"]["responses"][said["$ref"].rpartition("/")[2]]
    for name in response.headers:
        assert not name.startswith(OURS) or name in said.get("headers", {}), f"{what}: header {name} is not said"
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in said["content"], f"{what}: {kind} is not said"
    about = said["content"][kind]
    if not response.content or request.method == "HEAD":
        return
    if "x-intermodal-event" in about:
        for event in events_of(kind, response.text):
            check(about["x-intermodal-event"], event, f"an event of {what}")
    elif kind == "application/json":
        check(about["schema"], response.json(), f"the answer of {what}")
    if response.status_code == 200 and "requestBody" in operation:
        asked = operation["requestBody"]["content"].get("application/json")
        if asked is not None:
            check(asked["schema"], json.loads(request.content), f"the request of {what}")


def hook(response: httpx.Response) -> None:
    """For an httpx client: every answer that comes whole is held. A stream is its test's own to read."""
    if "content-length" in response.headers:
        response.read()
        held(response)
