"""The arguments of a prompt, from the schema of its input, or else from its template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.prompts.dotprompt.handlebars import HandlebarsTemplate, TemplateUses
from intermodal.prompts.media_references import kind_of
from intermodal.prompts.prompt_file import Argument, ArgumentKind

TYPES: Mapping[str, ArgumentKind] = {
    "string": "text", "number": "number", "integer": "integer", "boolean": "boolean",
}  # fmt: skip


def arguments_from_schema(
    schema: Mapping[str, Any],
    uses: TemplateUses,
    default: Mapping[str, Any],
    media: Mapping[str, ArgumentKind],
    lines: Mapping[str, int],
) -> tuple[Argument, ...]:
    """The arguments that a JSON Schema of the input declares. ``media``: kinds that the file states by name."""
    required = set(schema.get("required", ()))
    made = []
    for name, each in (schema.get("properties") or {}).items():
        told: Mapping[str, Any] = each if isinstance(each, Mapping) else {}
        kinds = _types(told)
        many = "array" in kinds
        kind = _media_kind(name, told, uses, media)
        given = default.get(name, told.get("default"))
        made.append(
            Argument(
                name=name,
                kind=kind or _plain_kind(kinds, told),
                required=name in required and given is None,
                many=many,
                description=str(told.get("description") or ""),
                default=given,
                schema=told,
                line=lines.get(name, 1),
            )
        )
    return tuple(made)


def arguments_from_template(
    uses: TemplateUses,
    body: HandlebarsTemplate,
    first: int,
    default: Mapping[str, Any],
    media: Mapping[str, ArgumentKind],
) -> tuple[Argument, ...]:
    """What a template takes, where nothing declares it: needed is what goes into the text in any case."""
    return tuple(
        Argument(
            name=name,
            kind=_media_kind(name, {}, uses, media) or "json",
            required=name in uses.needed and default.get(name) is None,
            many=name in uses.lists,
            default=default.get(name),
            line=first + max(body.line_of(name), 1) - 1,
        )
        for name in uses.names
    )


def _types(told: Mapping[str, Any]) -> set[str]:
    kind = told.get("type")
    return {kind} if isinstance(kind, str) else set(kind) - {"null"} if isinstance(kind, list) else set()


def _plain_kind(kinds: set[str], told: Mapping[str, Any]) -> ArgumentKind:
    if not kinds and all(isinstance(value, str | None) for value in told.get("enum", (0,))):
        return "text"
    return TYPES.get(next(iter(kinds)), "json") if len(kinds) == 1 else "json"


def _media_kind(
    name: str, told: Mapping[str, Any], uses: TemplateUses, media: Mapping[str, ArgumentKind]
) -> ArgumentKind | None:
    """The kind of media that an argument is; None where it is none."""
    if name in media:
        return media[name]
    items = told.get("items")
    said = told.get("contentMediaType") or (items.get("contentMediaType") if isinstance(items, Mapping) else None)
    if name in uses.media:
        return kind_of(str(said or uses.media[name]))
    return kind_of(str(said)) if said else None
