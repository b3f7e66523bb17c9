"""An answer's shape, from what Python people have: a pydantic class, a dataclass, a TypedDict, or JSON Schema itself.

The schema is what the wire is asked for; ``parse`` turns the JSON answer into the user's own type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from urllib.parse import unquote

import msgspec

from intermodal.errors import OutputInvalid, SchemaInvalid
from intermodal.request import JsonOutput
from intermodal.wire.schemas import references

T = TypeVar("T")


def json_output(schema: type[Any] | Mapping[str, Any], *, where: str = "") -> JsonOutput:
    """The output that asks for ``schema``. ``where`` is the file it came from, for the error.

    Raises:
        SchemaInvalid: the class has no JSON Schema, or the schema itself is not valid (draft 2020-12).
    """
    if isinstance(schema, Mapping):
        body = dict(schema)
        name = str(body.get("title") or "answer")
    else:
        body, name = _schema_of(schema), getattr(schema, "__name__", "answer")
    check(body, where=where)
    return JsonOutput(schema=body, name=re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "answer")


def _schema_of(cls: type[Any]) -> dict[str, Any]:
    pydantic_schema: Any = getattr(cls, "model_json_schema", None)
    if callable(pydantic_schema):
        return cast("dict[str, Any]", pydantic_schema())
    try:
        body = msgspec.json.schema(cls)
    except (TypeError, RuntimeError, NameError) as error:
        raise SchemaInvalid(
            f"no JSON Schema can be made of {getattr(cls, '__name__', cls)!r}: {str(error).splitlines()[0]}",
            todo="pass a pydantic class, a dataclass, a TypedDict, or a JSON Schema as a dict",
        ) from None
    return inline_root(body)


def inline_root(body: dict[str, Any]) -> dict[str, Any]:
    """The same schema with its root spelled out: several servers want ``type`` at the top, not a ``$ref``."""
    reference = body.get("$ref", "")
    if not reference.startswith("#/$defs/"):
        return body
    name = reference.removeprefix("#/$defs/")
    root: dict[str, Any] = dict(body["$defs"][name])
    rest = {key: value for key, value in body["$defs"].items() if key != name}
    if f'"{reference}"' in msgspec.json.encode(root).decode() or any(
        f'"{reference}"' in msgspec.json.encode(value).decode() for value in rest.values()
    ):
        rest = dict(body["$defs"])  # recursive: the definition must stay reachable
    if rest:
        root["$defs"] = rest
    return root


def check(body: Mapping[str, Any], *, where: str = "") -> None:
    """Raise SchemaInvalid unless ``body`` is a JSON Schema; it names the place, and ``where`` that came from."""
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(dict(body))
    except jsonschema.SchemaError as error:
        place = "/".join(str(key) for key in error.absolute_path) or "(top)"
        raise SchemaInvalid(
            f"the schema is not valid JSON Schema at {place}: {error.message}", where=where, todo="correct the schema"
        ) from None
    for reference in references(body):
        if not reference.startswith("#"):
            raise SchemaInvalid(
                f"the schema refers to {reference[:120]}, outside of itself, and nothing is fetched",
                where=where,
                todo="put what it refers to under $defs",
            )
        if reference.startswith("#/") and not _defined(body, reference):
            what = f"the schema refers to {reference[:120]}, which it does not define"
            raise SchemaInvalid(what, where=where, todo="correct the schema")
    try:
        samples: tuple[Any, ...] = (None, {}, [], "", 0)
        for sample in samples:
            jsonschema.Draft202012Validator(dict(body)).is_valid(sample)
    except RecursionError:
        what = "the schema refers to itself and never says anything"
        raise SchemaInvalid(what, where=where, todo="give the reference something to describe") from None


def _defined(body: Mapping[str, Any], reference: str) -> bool:
    """Whether a JSON Pointer (RFC 6901) names something in the schema."""
    node: Any = body
    for word in unquote(reference.removeprefix("#/")).split("/"):
        key = word.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, Mapping) and key in node:
            node = node[key]
        else:
            return False
    return True


def parse(data: Any, schema: type[T]) -> T:
    """The answer as the user's type. Raises OutputInvalid when it does not fit."""
    validate: Any = getattr(schema, "model_validate", None)
    try:
        if callable(validate):
            return cast("T", validate(data))
        return msgspec.convert(data, schema)
    except (ValueError, msgspec.ValidationError) as error:
        first = str(error).splitlines()[0]
        raise OutputInvalid(f"the answer does not fit {schema.__name__}: {first}") from None
