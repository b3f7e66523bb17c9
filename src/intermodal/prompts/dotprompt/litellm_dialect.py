"""LiteLLM's dialect of ``.prompt``: settings at the top, a template of Jinja, and lines that begin with a role.

It is recognised by what dotprompt does not have, and read with a warning. ``System:``, ``User:`` and ``Assistant:``
open a message where they begin a line of the file's own text; such a line in a value is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intermodal.content import Role, Text
from intermodal.prompts.argument_values import arguments_from_schema
from intermodal.prompts.dotprompt.handlebars import TemplateUses
from intermodal.prompts.jinja import MarkedTemplate
from intermodal.prompts.prompt_file import Argument
from intermodal.prompts.rendering import Placeholders, Slot, with_history
from intermodal.request import Message

# Settings that stand at the top -> how dotprompt calls them under ``config``.
SETTINGS: Mapping[str, str] = {
    "temperature": "temperature", "max_tokens": "maxOutputTokens", "top_p": "topP",
    "frequency_penalty": "frequencyPenalty", "presence_penalty": "presencePenalty",
}  # fmt: skip
ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_ROLE = re.compile(r"(?m)(?:^[ \t]*|(?<=[%}]\}))(System|User|Assistant):[ \t]*")
_HANDLEBARS = re.compile(r"\{\{\{|\{\{~?\s*(?:[#/^>!&]|(?:role|media|history|section|json)\b|else\b)")
_TYPES = {
    "str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object",
    "string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "array": "array",
    "object": "object",
}  # fmt: skip


def is_dialect(said: Mapping[str, Any], body: str) -> bool:
    """Return whether a file is of this dialect: settings at the top level or Jinja blocks, and no tag of dotprompt's
    own.
    """
    looser = "{%" in body or any(key in said for key in SETTINGS)
    return looser and "ext" not in said and _HANDLEBARS.search(body) is None


def plain_schema(schema: Any) -> Any:
    """A schema whose types are Python's as one of dotprompt's: JSON Schema of fields where every type is a name.

    >>> plain_schema({"age?": "int"})["properties"]
    {'age': {'type': ['integer', 'null']}}
    """
    if not isinstance(schema, Mapping) or not schema or not all(_is_type(each) for each in schema.values()):
        return schema
    fields: dict[str, Any] = {}
    for key, word in schema.items():
        kind = _TYPES[str(word).strip()]
        fields[key.removesuffix("?")] = {"type": [kind, "null"] if key.endswith("?") else kind}
    required = [key for key in schema if not key.endswith("?")]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


def _is_type(word: Any) -> bool:
    return isinstance(word, str) and word.strip() in _TYPES


class LitellmTemplate(MarkedTemplate):
    """The body, in which a mark stands where a role may be."""

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        made: list[Message] = []
        role: Role = "user"
        text = ""
        for piece in self.pieces(values):
            if isinstance(piece, str):
                text += piece
            elif not text.rstrip(" \t") or text.rstrip(" \t").endswith("\n"):
                made += _message(role, text)
                role, text = ROLES[piece.value], ""
            else:
                text += f"{piece.value.capitalize()}: "  # within a line it is a word
        made += _message(role, text)
        return with_history(made, history)


def _message(role: Role, text: str) -> list[Message]:
    return [Message(role=role, parts=(Text(text=text.strip()),))] if text.strip() else []


def template_of(path: Path, text: str, first: int) -> LitellmTemplate:
    """The template of a body. Raises PromptError with file and line."""
    marks = Placeholders[Slot]()
    text = _ROLE.sub(lambda found: marks.put(Slot("role", found[1].lower())), text)
    return LitellmTemplate.of(path, text, first, marks)


def arguments(
    template: LitellmTemplate, schema: Mapping[str, Any] | None, default: Mapping[str, Any], lines: Mapping[str, int]
) -> tuple[Argument, ...]:
    """Return the arguments of a file: those of its schema, and others that its template reads."""
    return tuple(_arguments(template, schema, default, lines))


def _arguments(
    template: LitellmTemplate, schema: Mapping[str, Any] | None, default: Mapping[str, Any], lines: Mapping[str, int]
) -> Iterator[Argument]:
    declared = arguments_from_schema(schema, TemplateUses(), default, {}, lines) if schema is not None else ()
    yield from declared
    names, needed = template.body.names(), template.body.needed()
    for name, line in names.items():
        if name not in {each.name for each in declared}:
            given = default.get(name)
            where = template.first + line - 1
            yield Argument(name=name, kind="json", required=name in needed and given is None, default=given, line=where)
