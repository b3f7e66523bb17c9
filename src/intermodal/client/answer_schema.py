"""The JSON Schema of an answer, from a pydantic class, a dataclass, a TypedDict, or a JSON Schema.

The schema is sent to the host; ``parse_answer`` converts the JSON answer to the user's type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from intermodal.core.request import JsonOutput
from intermodal.errors import OutputInvalid, SchemaInvalid

if TYPE_CHECKING:
    from intermodal.json_schema import BudgetExhausted, StepBudget

T = TypeVar("T")
OWN_STEPS = 20_000_000  # steps for a schema of the user's own program, which delays no other user


def json_output(schema: type[Any] | Mapping[str, Any], *, where: str = "", strict: bool = False) -> JsonOutput:
    """Return the output for ``schema``.

    ``where`` is the file that the schema came from, for errors; ``strict`` is as in ``JsonOutput``.

    Raises:
        SchemaInvalid: the class has no JSON Schema, or the schema itself is not valid (draft 2020-12).
    """
    if isinstance(schema, Mapping):
        body = dict(schema)
        name = str(body.get("title") or "answer")
    else:
        body, name = _schema_of(schema), getattr(schema, "__name__", "answer")
    check_schema(body, where=where)
    return JsonOutput(schema=body, name=re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "answer", strict=strict)


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
    """Return the schema with its root inlined: several servers require ``type`` at the top, not a ``$ref``."""
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


def check_schema(body: Mapping[str, Any], budget: StepBudget | None = None, *, where: str = "") -> None:
    """Raise SchemaInvalid unless ``body`` is a usable JSON Schema; the error names the place, and ``where``.

    ``budget``: the steps that the check may take, ``OWN_STEPS`` by default. Raises BudgetExhausted and Cancelled only
    if a budget is passed.
    """
    from intermodal.json_schema import BudgetExhausted, InvalidSchema, StepBudget, cached_schema

    try:
        cached_schema(dict(body), StepBudget(OWN_STEPS) if budget is None else budget)
    except InvalidSchema as error:
        where_in = f" at {error.place[:200]}" if error.place else ""
        raise SchemaInvalid(
            f"the schema cannot be used{where_in}: {error.what}", where=where, todo=error.todo
        ) from None
    except BudgetExhausted as error:
        if budget is not None:
            raise
        raise schema_too_large(error, where=where) from None


def schema_too_large(error: BudgetExhausted, *, where: str = "") -> SchemaInvalid:
    """Return the error for a schema that cannot be read within its step budget."""
    what = f"the schema takes too much work to read: {error}"
    return SchemaInvalid(what, where=where, todo="ask for less at once, with fewer and smaller patterns")


def parse_answer(data: Any, schema: type[T]) -> T:
    """Convert the answer to the user's type. Raises OutputInvalid if it does not match."""
    validate: Any = getattr(schema, "model_validate", None)
    try:
        if callable(validate):
            return cast("T", validate(data))
        return msgspec.convert(data, schema)
    except (ValueError, msgspec.ValidationError) as error:
        first = str(error).splitlines()[0]
        raise OutputInvalid(f"the answer does not fit {schema.__name__}: {first}") from None
