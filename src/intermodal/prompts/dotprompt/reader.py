"""Google's ``.prompt``: YAML front matter, Picoschema, and a Handlebars template.

https://google.github.io/dotprompt/reference. Settings that only intermodal uses are under ``ext: intermodal:``
(``prompt_options.py``), so that other readers accept the file.

Picoschema, a compact schema syntax, is converted to JSON Schema
(https://google.github.io/dotprompt/reference/picoschema): ``name?(array, what it is): string, each of them``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from intermodal.client import answer_schema as schemas
from intermodal.client.request_builder import suggestion
from intermodal.core.content import MediaPart, Part, Role, Text
from intermodal.core.request import JsonOutput, Message, Output, TextOutput, Tool
from intermodal.errors import PromptError, SchemaInvalid
from intermodal.prompts import prompt_options
from intermodal.prompts.argument_values import arguments_from_schema, arguments_from_template
from intermodal.prompts.dotprompt.handlebars import HandlebarsTemplate, TemplateUses
from intermodal.prompts.jinja import MarkedTemplate
from intermodal.prompts.media_references import is_within_folder, media_part
from intermodal.prompts.prompt_file import Argument, Level, MediaValue, PromptFile, PromptFinding, Template
from intermodal.prompts.rendering import Placeholders, Slot, TemplateError, locate_error, with_history
from intermodal.prompts.source_text import FrontMatter, SplitFile, shown_value, split_front_matter, text_of

# LiteLLM's dialect of ``.prompt``: settings at the top level, a Jinja template, and lines that begin with a role. It is
# recognised by constructs that dotprompt does not have, and read with a warning. ``System:``, ``User:`` and
# ``Assistant:`` open a message if they begin a line of the file's own text; such a line in a value is text.


# Settings at the top level -> their names under ``config`` in dotprompt.
_SETTINGS: Mapping[str, str] = {
    "temperature": "temperature", "max_tokens": "maxOutputTokens", "top_p": "topP",
    "frequency_penalty": "frequencyPenalty", "presence_penalty": "presencePenalty",
}  # fmt: skip
_LITELLM_ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_ROLE = re.compile(r"(?m)(?:^[ \t]*|(?<=[%}]\}))(System|User|Assistant):[ \t]*")
_HANDLEBARS = re.compile(r"\{\{\{|\{\{~?\s*(?:[#/^>!&]|(?:role|media|history|section|json)\b|else\b)")
_TYPES = {
    "str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object",
    "string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "array": "array",
    "object": "object",
}  # fmt: skip


def is_dialect(front: Mapping[str, Any], body: str) -> bool:
    """Return whether a file is in LiteLLM's dialect.

    It has settings at the top level or Jinja blocks, and no tags specific to dotprompt.
    """
    looser = "{%" in body or any(key in front for key in _SETTINGS)
    return looser and "ext" not in front and _HANDLEBARS.search(body) is None


def _plain_schema(schema: Any) -> Any:
    """Convert a schema with Python type names to JSON Schema; return any other schema unchanged.

    >>> _plain_schema({"age?": "int"})["properties"]
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
    """The body, in which marks replace potential roles."""

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        messages: list[Message] = []
        role: Role = "user"
        text = ""
        for piece in self.pieces(values):
            if isinstance(piece, str):
                text += piece
            elif not text.rstrip(" \t") or text.rstrip(" \t").endswith("\n"):
                messages += _message(role, text)
                role, text = _LITELLM_ROLES[piece.value], ""
            else:
                text += f"{piece.value.capitalize()}: "  # within a line it is a word
        messages += _message(role, text)
        return with_history(messages, history)


def _message(role: Role, text: str) -> list[Message]:
    return [Message(role=role, parts=(Text(text=text.strip()),))] if text.strip() else []


def _template_of(path: Path, text: str, first: int) -> LitellmTemplate:
    """Return the template of a body. Raises PromptError with file and line."""
    marks = Placeholders[Slot]()
    text = _ROLE.sub(lambda found: marks.add(Slot("role", found[1].lower())), text)
    return LitellmTemplate.parse(path, text, first, marks)


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
    names, needed = template.body.names(), template.body.always_rendered_names()
    for name, line in names.items():
        if name not in {each.name for each in declared}:
            default_value = default.get(name)
            where = template.first + line - 1
            yield Argument(
                name=name,
                kind="json",
                required=name in needed and default_value is None,
                default=default_value,
                line=where,
            )


ROLES: Mapping[str, Role] = {
    "system": "system", "user": "user", "model": "assistant", "assistant": "assistant", "tool": "tool",
}  # fmt: skip
_KEYS = (
    "config", "description", "ext", "input", "metadata", "model", "name", "output", "toolDefs", "tools", "variant",
    "version",
)  # fmt: skip
_MOST_PARTIALS = 200
_HISTORY = re.compile(r"\{\{~?\s*history\b")


class DotpromptMessage(NamedTuple):
    """A message before conversion: the texts, media and sections of a role."""

    role: str
    pieces: tuple[str | Slot, ...] = ()
    before: Message | None = None  # of the history


@dataclass(frozen=True)
class DotpromptTemplate:
    """The body of a file. ``first``: its first line in the file."""

    path: Path
    body: HandlebarsTemplate
    first: int = 1

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        messages = []
        for turn in self.split_turns(values, history):
            if turn.before is not None:
                messages.append(turn.before)
                continue
            if turn.role not in ROLES:
                todo = f"write one of {', '.join(sorted(ROLES))}"
                raise self._error(TemplateError(f"{turn.role!r} is no role", self.body.line_of(turn.role), todo))
            parts = tuple(self._parts(turn.pieces))
            if parts:
                messages.append(Message(role=ROLES[turn.role], parts=parts))
        return tuple(messages)

    def split_turns(
        self, values: Mapping[str, Any], history: tuple[Message, ...] = (), context: Mapping[str, Any] | None = None
    ) -> list[DotpromptMessage]:
        """Return the conversation, split like dotprompt's own reader does: blank text between two marks is dropped."""
        try:
            pieces = self.body.render(values, context)
        except TemplateError as error:
            raise self._error(error) from None
        turns, role, found = [], "user", list[str | Slot]()
        has_history = False  # the file places the history
        for piece in pieces:
            if isinstance(piece, Slot) and piece.kind in ("role", "history"):
                if found:
                    turns.append(DotpromptMessage(role, tuple(found)))
                    found = []
                role = piece.value if piece.kind == "role" else "model"
                if piece.kind == "history":
                    has_history = True
                    turns += [DotpromptMessage("", (), each) for each in history]
            elif isinstance(piece, Slot) or piece.strip():
                found.append(piece)
        if found:
            turns.append(DotpromptMessage(role, tuple(found)))
        return turns if has_history else list(with_history(turns, [DotpromptMessage("", (), each) for each in history]))

    def _parts(self, pieces: tuple[str | Slot, ...]) -> Iterator[Part]:
        for piece in pieces:
            if isinstance(piece, str):
                yield Text(text=piece)
            elif piece.kind == "media":
                yield self._medium(piece)

    def _medium(self, slot: Slot) -> MediaPart:
        if isinstance(slot.value, MediaValue):
            return slot.value.part
        literal = type(slot.value) is str  # a value of an argument is of a class of its own
        try:
            return media_part(str(slot.value), slot.content_type, self.path.parent if literal else None)
        except ValueError as error:
            what, todo = error.args
            raise self._error(TemplateError(what, self.body.line_of("media"), todo)) from None

    def _error(self, error: TemplateError) -> PromptError:
        return locate_error(self.path, self.first, error)


class Dotprompt:
    """The format."""

    name = "dotprompt"
    endings = (".prompt",)

    def read(self, path: Path, text: str) -> tuple[PromptFile, ...]:
        """Return the prompt in a file. Raises PromptError with file and line."""
        return (_Reader(path, split_front_matter(path, text)).prompt(),)


class _Reader:
    """Reads one file."""

    def __init__(self, path: Path, source: SplitFile) -> None:
        self._path = path
        self._front: FrontMatter = source.front
        self._said: Mapping[str, Any] = source.front.value
        body = source.body.strip() if source.declared else source.body
        blank = len(source.body) - len(source.body.lstrip()) if source.declared else 0
        self._first = source.first + source.body.count("\n", 0, blank)
        self._body = body
        self._looser = is_dialect(self._said, body)
        self._findings: list[PromptFinding] = []

    def prompt(self) -> PromptFile:
        options = prompt_options.read_options(self._front)
        input_table = self._table("input", ("schema", "default"))
        default = input_table.get("default") or {}
        if not isinstance(default, Mapping):
            raise self._front.error(
                ("input", "default"), "is not a mapping of arguments", "write default: {name: value}"
            )
        schema = self._schema(input_table, "input")
        lines = {key: self._front.line((key,)) for key in self._said}
        closed = schema is not None and not schema.get("additionalProperties") and "properties" in schema
        read = self._litellms if self._looser else self._own_template
        template, common, history = read(schema, default, options, closed)
        sampling, settings, unread = prompt_options.sampling(self._config(), self._front)
        self._findings += unread
        own = {*_SETTINGS, *(key for key in self._said if "." in key)}
        self._findings += self._front.unknown(_KEYS, "put what is yours under metadata", but=own)
        tools, undefined = self._tools()
        return PromptFile(
            path=str(self._path),
            name=self._name(),
            format=Dotprompt.name,
            template=template,
            arguments=common,
            open_ended=not closed,
            history=history,
            description=str(self._said.get("description") or ""),
            output=self._output(strict=options.strict),
            model=self._word("model"),
            sampling=sampling,
            settings=settings,
            options=options.options,
            tools=tools,
            undefined_tools=undefined,
            findings=tuple(self._findings),
            lines={**lines, **options.lines, "template": self._first},
        )

    # ---- template ---------------------------------------------------------------------------------

    def _own_template(
        self,
        schema: Mapping[str, Any] | None,
        default: Mapping[str, Any],
        options: prompt_options.PromptOptions,
        closed: bool,
    ) -> tuple[Template, tuple[Argument, ...], bool]:
        """Return the template, its arguments, and whether it places the history."""
        body = self._template()
        uses = self._uses(body)
        if schema is None:
            common = arguments_from_template(uses, body, self._first, default, options.media)
        else:
            common = arguments_from_schema(schema, uses, default, options.media, self._lines_of(schema))
        declared = {each.name for each in common}
        self._check_media(options, declared)
        if closed:
            self._compare(declared, uses, body)
        history = any(_HISTORY.search(text) for text in (body.text, *body.partials.values()))
        return DotpromptTemplate(self._path, body, self._first), common, history

    def _litellms(
        self,
        schema: Mapping[str, Any] | None,
        default: Mapping[str, Any],
        options: prompt_options.PromptOptions,
        closed: bool,
    ) -> tuple[Template, tuple[Argument, ...], bool]:
        """Return the template and its arguments for LiteLLM's dialect, which never places the history."""
        template = _template_of(self._path, self._body, self._first)
        if "{%" in self._body or template.marks.kept:
            first = self._body.index("{%") if "{%" in self._body else 0
            line = self._first + self._body.count("\n", 0, first)
            what = "is LiteLLM's dialect: the template is read as Jinja, and System: at the start of a line as a role"
            todo = 'write it as dotprompt has it: {{#if name}}, {{role "system"}}'
            self._findings.append(PromptFinding("warning", line, what, todo))
        return template, arguments(template, schema, default, self._lines_of(schema or {})), False

    def _lines_of(self, schema: Mapping[str, Any]) -> dict[str, int]:
        return {name: self._line_of_field(name) for name in schema.get("properties", {})}

    def _schema(self, table: Mapping[str, Any], key: str) -> dict[str, Any] | None:
        schema = table.get("schema")
        return json_schema(_plain_schema(schema) if self._looser else schema, self._raise_at((key, "schema")))

    def _template(self) -> HandlebarsTemplate:
        try:
            return HandlebarsTemplate(self._body, self._partials())
        except TemplateError as error:
            raise locate_error(self._path, self._first, error) from None

    def _uses(self, body: HandlebarsTemplate) -> TemplateUses:
        try:
            uses = body.uses()
        except TemplateError as error:
            raise locate_error(self._path, self._first, error) from None
        for role in uses.roles:
            if role not in ROLES:
                line = self._first + max(body.line_of(role), 1) - 1
                what, todo = f"{shown_value(role)} is no role", f"write one of {', '.join(sorted(ROLES))}"
                raise PromptError(what, where=f"{self._path}:{line}", todo=todo)
        return uses

    def _partials(self) -> dict[str, str]:
        """Return the partials in the folder by name (``_NAME.prompt``).

        They are read only if the template uses partials.
        """
        if "{{>" not in self._body.replace(" ", "").replace("~", "").replace("#", ""):
            return {}
        found = {}
        for place in sorted(self._path.parent.glob("_*.prompt"))[:_MOST_PARTIALS]:
            if not is_within_folder(self._path.parent, place):
                what = "is a link that leads out of the folder of the prompt"
                raise PromptError(what, where=str(place), todo="put the partial itself there")
            found[place.name[1:].removesuffix(".prompt")] = text_of(place, what="a partial")
        return found

    def _compare(self, declared: set[str], uses: TemplateUses, body: HandlebarsTemplate) -> None:
        """Report arguments that are used but not declared, and vice versa. A shared partial may use more."""
        for name in uses.names:
            if name not in declared and (name in uses.needed or name in uses.own):
                todo = suggestion(name, declared, "declare it, or take it out")
                what = f"the template takes {name!r}, which input.schema has not"
                level: Level = "error" if name in uses.needed else "warning"
                self._findings.append(PromptFinding(level, self._first + max(body.line_of(name), 1) - 1, what, todo))
        for name in declared - set(uses.names):
            what = f"the template does not take {name!r}, which input.schema has"
            self._findings.append(PromptFinding("warning", self._line_of_field(name), what, "use it, or take it out"))

    # ---- front matter ---------------------------------------------------------------------------------

    def _raise_at(self, at: tuple[str | int, ...]) -> Any:
        return lambda place, what, todo: self._front.error((*at, *place), what, todo)

    def _line_of_field(self, name: str) -> int:
        for at in (("input", "schema", "properties", name), ("input", "schema", name)):
            if at in self._front.lines:
                return self._front.lines[at]
        fields = (at for at in self._front.lines if at[:2] == ("input", "schema") and len(at) == 3)
        found = next((at for at in fields if str(at[2]).partition("(")[0].removesuffix("?") == name), ("input",))
        return self._front.line(found)

    def _table(self, key: str, known: tuple[str, ...] = ()) -> Mapping[str, Any]:
        """Return the table under a key. ``known``: allowed keys, () for any; other keys are reported as warnings."""
        value = self._said.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self._front.error((key,), "is not a mapping of keys", f"write {key}: with keys under it")
        for each in value if known else ():
            if each not in known:
                todo = suggestion(str(each), known, f"write fields under {key}: schema:")
                self._findings.append(self._front.warning((key, each), f"{key} has no key {each!r}", todo))
        return value

    def _word(self, key: str) -> str:
        value = self._said.get(key)
        if value is not None and not isinstance(value, str):
            raise self._front.error((key,), f"{shown_value(value)} is no text", "write a name")
        return value or ""

    def _name(self) -> str:
        if name := self._word("name"):
            return name
        return self._path.name.removesuffix(".prompt")

    def _config(self) -> Mapping[str, Any]:
        config = dict(self._table("config"))
        for loose, name in _SETTINGS.items():
            if loose in self._said:
                config.setdefault(name, self._said[loose])
                what = f"{loose!r} stands at the top, as LiteLLM has it; dotprompt has it under config"
                self._findings.append(self._front.warning((loose,), what, f"write config: {{{name}: …}}"))
        if "{%" in self._body and not self._looser:
            line = self._first + self._body.count("\n", 0, self._body.index("{%"))
            what = "{% is of Jinja, which LiteLLM takes in .prompt files; beside tags of Handlebars it is text"
            self._findings.append(PromptFinding("warning", line, what, "write it in Handlebars: {{#if name}}"))
        return config

    def _check_media(self, options: prompt_options.PromptOptions, declared: set[str]) -> None:
        for name in options.media:
            if name not in declared:
                todo = suggestion(name, declared, "name an argument of input.schema")
                raise self._front.error(("ext", "intermodal", "media", name), "is not an argument of this prompt", todo)

    def _output(self, *, strict: bool) -> Output:
        output = self._table("output", ("schema", "format"))
        schema = self._schema(output, "output")
        form = output.get("format")
        if schema is not None and form != "text":
            try:
                return schemas.json_output(schema, strict=strict)
            except SchemaInvalid as error:
                raise self._front.error(("output", "schema"), error.what, error.todo) from None
        if form == "json":
            what = "format is json, and there is no schema"
            self._findings.append(self._front.warning(("output",), what, "write output: {schema: …}"))
            return JsonOutput(schema={"type": "object"})
        if form not in (None, "text"):
            what = f"format {shown_value(form)} is not known here; the answer is text"
            self._findings.append(self._front.warning(("output", "format"), what, "write text or json"))
        return TextOutput()

    def _tools(self) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
        """Return the tools with definitions, and the names of those that the program has to define."""
        tools = {}
        for place, definition in enumerate(self._said.get("toolDefs") or ()):
            at = ("toolDefs", place)
            if not isinstance(definition, Mapping) or not isinstance(definition.get("name"), str):
                raise self._front.error(at, "is not a definition of a tool", "write name, description and inputSchema")
            schema = json_schema(definition.get("inputSchema"), self._raise_at((*at, "inputSchema")))
            name = definition["name"]
            tool = Tool(name=name, description=str(definition.get("description") or ""))
            tools[name] = tool if schema is None else msgspec.structs.replace(tool, schema=schema)
        tool_names = self._said.get("tools") or ()
        if not isinstance(tool_names, list) or not all(isinstance(each, str) for each in tool_names):
            if tool_names:
                raise self._front.error(("tools",), "is not a list of names", "write tools: [name, …]")
            tool_names = []
        return tuple(tools.values()), tuple(name for name in tool_names if name not in tools)


# ---- Picoschema -------------------------------------------------------------------------------------
_SCALARS = frozenset({"string", "boolean", "null", "number", "integer", "any"})
_KINDS = _SCALARS | {"object", "array"}
_WILDCARD = "(*)"
Fail = Callable[[tuple[str | int, ...], str, str], Exception]


def json_schema(schema: Any, fail: Fail) -> dict[str, Any] | None:
    """Convert a schema in a file to JSON Schema; None if there is none. JSON Schema is returned unchanged.

    ``fail`` creates the error from a place within ``schema``, the problem and the fix.
    """
    if schema is None or schema == "" or schema == {}:
        return None
    if isinstance(schema, Mapping):
        kind = schema.get("type")
        if isinstance(kind, list) or (isinstance(kind, str) and kind in _KINDS - {"any"}):
            return dict(schema)
        if isinstance(schema.get("properties"), Mapping):
            return {**schema, "type": "object"}
        if any(key in schema for key in ("$ref", "anyOf", "oneOf", "allOf")):
            return dict(schema)
    return _pico(schema, fail, ())


def _pico(node: Any, fail: Fail, at: tuple[str | int, ...]) -> dict[str, Any]:
    if isinstance(node, str):
        return _scalar(node, fail, at)
    if not isinstance(node, Mapping):
        raise fail(at, f"{shown_value(node)} is no type", f"write one of {', '.join(sorted(_SCALARS))}, or fields")
    found: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    for key, value in node.items():
        if key == _WILDCARD:
            found["additionalProperties"] = _pico(value, fail, (*at, key))
            continue
        name, _, suffix = key.partition("(")
        optional = name.endswith("?")
        name = name.removesuffix("?")
        if not optional:
            found["required"].append(name)
        schema = _field(value, suffix.removesuffix(")"), fail, (*at, key))
        found["properties"][name] = _allow_null(schema) if optional else schema
    if not found["required"]:
        del found["required"]
    return found


def _field(value: Any, suffix: str, fail: Fail, at: tuple[str | int, ...]) -> dict[str, Any]:
    if not suffix:
        return _pico(value, fail, at)
    kind, description = _split_description(suffix)
    if kind == "array":
        schema: dict[str, Any] = {"type": "array", "items": _pico(value, fail, at)}
    elif kind == "object":
        schema = _pico(value, fail, at)
    elif kind == "enum":
        if not isinstance(value, list):
            raise fail(at, "an enum is a list of values", "write field(enum): [one, two]")
        schema = {"enum": list(value)}
    else:
        raise fail(at, f"{shown_value(kind)} in parentheses is not a type", "write array, object or enum")
    return {**schema, "description": description} if description else schema


def _scalar(text: str, fail: Fail, at: tuple[str | int, ...]) -> dict[str, Any]:
    kind, description = _split_description(text)
    if kind not in _SCALARS:
        what = f"{shown_value(kind)} is no type, and of schemas that a program registers none is known here"
        raise fail(at, what, f"write its fields, or one of {', '.join(sorted(_SCALARS))}")
    schema: dict[str, Any] = {} if kind == "any" else {"type": kind}
    return {**schema, "description": description} if description else schema


def _allow_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Allow null for a field that may be missing: models that are constrained to a schema cannot omit it."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema and None not in schema["enum"]:
        return {**schema, "enum": [*schema["enum"], None]}
    return schema


def _split_description(text: str) -> tuple[str, str]:
    kind, _, description = text.partition(",")
    return kind.strip(), description.strip()


FORMAT = Dotprompt()
