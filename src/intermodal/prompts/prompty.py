"""Microsoft's ``.prompty``, versions 1 and 2: front matter, role lines, and a Jinja template.

https://prompty.ai. ``${env:…}`` and ``${file:…}`` are not followed: a file states a question, not whose key pays. Only
role lines of the file itself count; such a line in a value is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from intermodal.client import answer_schema as schemas
from intermodal.core.content import MediaPart, Part, Role, Text
from intermodal.core.request import JsonOutput, Message, Output, TextOutput, Tool
from intermodal.errors import PromptError, SchemaInvalid
from intermodal.files.located_document import Path as Place
from intermodal.prompts import prompt_options
from intermodal.prompts.jinja import MarkedTemplate
from intermodal.prompts.media_references import media_part
from intermodal.prompts.prompt_file import Argument, ArgumentKind, MediaValue, PromptExample, PromptFile, PromptFinding
from intermodal.prompts.rendering import Placeholders, Slot, with_history
from intermodal.prompts.source_text import FrontMatter, shown_value, split_front_matter

ROLES: Mapping[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool",
}  # fmt: skip
ROLE = re.compile(rf"(?im)^[ \t]*(?:#[ \t]*)?({'|'.join(ROLES)})[ \t]*(?:\[[^\]\n]*\])?[ \t]*:[ \t]*$")
_PICTURE = re.compile(r"!\[[^\]\n]{0,200}\]\(([^)\s{}]{1,4000})\)")
_REFERENCE = re.compile(r"\$\{(env|file):", re.IGNORECASE)
_KINDS: Mapping[str, ArgumentKind] = {
    "string": "text", "integer": "integer", "int": "integer", "float": "number", "number": "number",
    "boolean": "boolean", "bool": "boolean", "array": "json", "list": "json", "object": "json", "image": "image",
    "audio": "audio", "file": "document", "thread": "json",
}  # fmt: skip
_TYPES = {"integer": "integer", "int": "integer", "float": "number", "number": "number", "boolean": "boolean",
          "bool": "boolean", "array": "array", "list": "array", "object": "object", "string": "string"}  # fmt: skip
_KEYS = (
    "$schema", "name", "displayName", "description", "version", "authors", "tags", "metadata", "model", "inputs",
    "outputs", "inputSchema", "outputSchema", "sample", "template", "tools", "base", "kind",
)  # fmt: skip


class PromptyTemplate(MarkedTemplate):
    """The body, in which marks replace role lines."""

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        messages: list[Message] = []
        has_history = False
        role: Role = "system" if any(slot.kind == "role" for slot in self.marks.kept) else "user"
        parts: list[Part] = []
        for piece in self.pieces(values):
            if isinstance(piece, str):
                parts.append(Text(text=piece))
            elif piece.kind == "media":
                parts.append(piece.value.part if isinstance(piece.value, MediaValue) else self._image_part(piece.value))
            else:
                messages += _message(role, parts)
                parts = []
                has_history = has_history or piece.kind == "history"
                messages += history if piece.kind == "history" else ()
                role = ROLES[piece.value] if piece.kind == "role" else role
        messages += _message(role, parts)
        return tuple(messages) if has_history else with_history(messages, history)

    def _image_part(self, url: str) -> MediaPart:
        try:
            return media_part(url, "image/*", self.path.parent)
        except ValueError as error:
            what, todo = error.args
            raise PromptError(what, where=f"{self.path}:{self.first}", todo=todo) from None


def _message(role: Role, parts: list[Part]) -> list[Message]:
    """Return a message without surrounding blank lines; [] if nothing is left."""
    nonempty = [part for part in parts if not isinstance(part, Text) or part.text.strip()]
    if not nonempty:
        return []
    if isinstance(nonempty[0], Text):
        nonempty[0] = Text(text=nonempty[0].text.lstrip("\n"))
    if isinstance(nonempty[-1], Text):
        nonempty[-1] = Text(text=nonempty[-1].text.rstrip("\n"))
    return [Message(role=role, parts=tuple(nonempty))]


class Prompty:
    """The format."""

    name = "Prompty"
    endings = (".prompty",)

    def read(self, path: Path, text: str) -> tuple[PromptFile, ...]:
        """Return the prompt in a file. Raises PromptError with file and line."""
        source = split_front_matter(path, text)
        return (_Reader(path, source.front, source.body, source.first).prompt(),)


class _Reader:
    def __init__(self, path: Path, front: FrontMatter, body: str, first: int) -> None:
        self._path = path
        self._front = front
        self._said: Mapping[str, Any] = front.value
        self._body = body
        self._first = first
        self._findings: list[PromptFinding] = []
        model = self._said.get("model") or {}
        self._model: Mapping[str, Any] = {"id": model} if isinstance(model, str) else self._table(("model",), model)
        inputs = self._said.get("inputs")
        self._old = "configuration" in self._model or "sample" in self._said or isinstance(inputs, Mapping)

    def prompt(self) -> PromptFile:
        self._check_template()
        declared = {each.name: each for each in self._inputs()}
        history = {name for name, kind in self._kinds.items() if kind == "thread"}
        template = self._template({name: Slot("history") for name in history})
        used = template.body.names()
        needed = template.body.always_rendered_names()
        for name, line in used.items():
            if name not in declared and name not in history:
                declared[name] = Argument(name=name, kind="json", required=name in needed, line=self._first + line - 1)
        options = self._table(("model", "options"), self._model.get("options") or self._model.get("parameters") or {})
        plain = {key: value for key, value in options.items() if key not in ("tools", "response_format", "tool_choice")}
        sampling, settings, unread = prompt_options.sampling(plain, self._front, self._options_at())
        self._findings += unread
        self._findings += self._front.unknown(_KEYS, "put what is yours under metadata")
        examples = self._examples(declared)
        lines = {key: self._front.line((key,)) for key in self._said}
        return PromptFile(
            path=str(self._path),
            name=str(self._said.get("name") or self._path.name.removesuffix(".prompty")),
            format=Prompty.name,
            template=template,
            arguments=tuple(declared.values()),
            open_ended=self._old,
            history=bool(history),
            description=str(self._said.get("description") or ""),
            output=self._output(options),
            model=self._model_name(),
            sampling=sampling,
            settings=settings,
            tools=tuple(self._tools(options)),
            examples=examples,
            findings=tuple(self._findings),
            lines={
                **lines,
                "template": self._first,
                "input": lines.get("inputs") or lines.get("inputSchema", 1),
                "output": lines.get("outputs")
                or lines.get("outputSchema")
                or self._front.line((*self._options_at(), "response_format")),
            },
        )

    # ---- body -------------------------------------------------------------------------------------

    def _check_template(self) -> None:
        template = self._said.get("template")
        template_format = template.get("format", template.get("type")) if isinstance(template, Mapping) else template
        kind = template_format.get("kind") if isinstance(template_format, Mapping) else template_format
        if kind not in (None, "jinja2"):
            raise self._front.error(
                ("template",), f"a template of {shown_value(kind)} is not read here", "write it in jinja2"
            )

    def _template(self, slots: Mapping[str, Slot]) -> PromptyTemplate:
        marks = Placeholders[Slot]()
        text = ROLE.sub(lambda found: marks.add(Slot("role", found[1].lower())), self._body)
        if self._old:
            text = _PICTURE.sub(lambda found: marks.add(Slot("media", found[1])), text)
        return PromptyTemplate.parse(self._path, text, self._first, marks, slots)

    # ---- front matter ---------------------------------------------------------------------------------

    def _inputs(self) -> Iterator[Argument]:
        """Yield the arguments, and record the kind of each in ``_kinds``: a thread is the history."""
        self._kinds: dict[str, str] = {}
        fields, root = self._fields("inputs", "inputSchema")
        entries: list[tuple[str, Any, Place]]
        if isinstance(fields, Mapping):
            entries = [(name, each, (*root, name)) for name, each in fields.items()]
        elif isinstance(fields, list) and all(isinstance(each, Mapping) and each.get("name") for each in fields):
            entries = [(str(each["name"]), each, (*root, place)) for place, each in enumerate(fields)]
        else:
            raise self._front.error(("inputs",), "is not a list of inputs", "write inputs: [{name: …, kind: string}]")
        for name, each, at in entries:
            if not isinstance(each, Mapping):  # version 1: a value gives both the type and the default
                yield Argument(name=name, kind="json", required=False, default=each, line=self._front.line(at))
                continue
            kind = str(each.get("kind") or each.get("type") or "string")
            if kind not in _KINDS:
                raise self._front.error(
                    at, f"{shown_value(kind)} is not a kind of input", f"kinds are {', '.join(sorted(_KINDS))}"
                )
            self._kinds[name] = kind
            if kind == "thread":
                continue
            default = each.get("default", each.get("sample"))
            schema = {"type": _TYPES[kind]} if kind in _TYPES else {}
            optional = default is not None or each.get("required") is False
            yield Argument(
                name=name, kind=_KINDS[kind], required=not optional, default=default, schema=schema,
                description=str(each.get("description") or ""), line=self._front.line(at),
            )  # fmt: skip

    def _fields(self, key: str, schema: str) -> tuple[Any, Place]:
        """Return the named fields and their place: under ``inputs``, or as properties of ``inputSchema``."""
        table = self._said.get(schema)
        if self._said.get(key) or not isinstance(table, Mapping):
            return self._said.get(key) or {}, (key,)
        return table.get("properties") or {}, (schema, "properties")

    def _sample(self) -> Mapping[str, Any]:
        sample = self._said.get("sample")
        if sample is None:
            return {}
        if not isinstance(sample, Mapping):
            what = f"the sample is {str(sample)[:40]!r}, which is not followed"
            self._findings.append(self._front.warning(("sample",), what, "write the values themselves"))
            return {}
        return sample

    def _examples(self, declared: Mapping[str, Argument]) -> tuple[PromptExample, ...]:
        """Return the sample as a test: it must produce an answer, which matches the file's schema if there is one."""
        sample = self._sample()
        if not sample:
            return ()
        values = {name: self._sample_value(name, value, declared.get(name)) for name, value in sample.items()}
        return (PromptExample(arguments=values, line=self._front.line(("sample",)), checks=_ANSWERED, smoke=True),)

    def _sample_value(self, name: str, value: Any, argument: Argument | None) -> Any:
        """Return a value of the sample; a media argument is a file next to the prompt, or a URL."""
        if argument is None or not argument.is_media:
            return value
        try:
            return media_part(str(value), "", self._path.parent)
        except ValueError as error:
            what, todo = error.args
            raise self._front.error(("sample", name), what, todo) from None

    def _model_name(self) -> str:
        """Return the model if the file names one: ``id``, or in version 1 the name in the configuration."""
        old = self._table(("model", "configuration"), self._model.get("configuration") or {})
        found = self._model.get("id") or next((old[key] for key in _CALLED if old.get(key)), "")
        if isinstance(found, str) and (_REFERENCE.match(found) or found.startswith("<")):
            what = f"the model is {found[:60]!r}, which is not followed"
            self._findings.append(self._front.warning(("model",), what, "name it, or choose a model for the request"))
            return ""
        return str(found)

    def _options_at(self) -> Place:
        return ("model", "options" if self._model.get("options") else "parameters")

    def _output(self, options: Mapping[str, Any]) -> Output:
        fields, _ = self._fields("outputs", "outputSchema")
        if isinstance(fields, list) and fields:
            return self._json(output_schema(fields))
        form = options.get("response_format")
        if isinstance(form, str) and _REFERENCE.match(form):
            what = f"the format of the answer is {form[:60]!r}, which is not followed: the answer is text"
            at = (*self._options_at(), "response_format")
            self._findings.append(self._front.warning(at, what, "write outputs, or the format itself"))
        if not isinstance(form, Mapping) or form.get("type") not in ("json_object", "json_schema"):
            return TextOutput()
        schema_table = form.get("json_schema")
        schema = schema_table.get("schema", schema_table) if isinstance(schema_table, Mapping) else None
        strict = isinstance(schema_table, Mapping) and schema is not schema_table and schema_table.get("strict") is True
        return self._json(dict(schema) if isinstance(schema, Mapping) else {"type": "object"}, strict=strict)

    def _json(self, schema: dict[str, Any], *, strict: bool = False) -> Output:
        try:
            output: JsonOutput = schemas.json_output(schema, strict=strict)
        except SchemaInvalid as error:
            raise self._front.error(("outputs",), error.what, error.todo) from None
        return output

    def _tools(self, options: Mapping[str, Any]) -> Iterator[Tool]:
        for place, each in enumerate((*(self._said.get("tools") or ()), *(options.get("tools") or ()))):
            function = each.get("function", each) if isinstance(each, Mapping) else None
            if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
                raise self._front.error(("tools", place), "is no tool", "write name, description and parameters")
            if each.get("kind", each.get("type", "function")) != "function":
                what = f"tool {function['name']!r} is no function, and is left out"
                self._findings.append(self._front.warning(("tools", place), what, "define a function"))
                continue
            parameters = function.get("parameters")
            schema = {"type": "object", **_fields(parameters)} if isinstance(parameters, list) else parameters
            tool = Tool(name=function["name"], description=str(function.get("description") or ""))
            yield msgspec.structs.replace(tool, schema=dict(schema)) if isinstance(schema, Mapping) else tool

    def _table(self, at: Place, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._front.error(at, "is not a mapping of keys", f"write {at[-1]}: with keys under it")
        return value


_ANSWERED: tuple[Mapping[str, Any], ...] = ({"compare": "regex", "expected": r"\S"},)
_CALLED = ("azure_deployment", "model", "name")  # in the configuration of version 1, the first that is there


def output_schema(fields: list[Any]) -> dict[str, Any]:
    """Return the schema of an answer with these fields, in the form of ``outputs``."""
    return {"type": "object", **_fields(fields), "additionalProperties": False}


def _fields(rows: list[Any]) -> dict[str, Any]:
    """Return the properties for a list of named fields, in the syntax of version 2."""
    fields = [each for each in rows if isinstance(each, Mapping) and each.get("name")]
    found: dict[str, Any] = {
        "properties": {str(each["name"]): _field(each) for each in fields},
        "required": [str(each["name"]) for each in fields if each.get("required") is not False],
    }
    return found


def _field(each: Mapping[str, Any]) -> dict[str, Any]:
    kind = _TYPES.get(str(each.get("kind") or each.get("type") or "string"), "string")
    schema: dict[str, Any] = {"type": kind}
    if each.get("description"):
        schema["description"] = str(each["description"])
    if isinstance(each.get("enumValues"), list):
        schema["enum"] = each["enumValues"]
    if kind == "array" and isinstance(each.get("items"), Mapping):
        schema["items"] = _field(each["items"])
    if kind == "object" and isinstance(each.get("properties"), list):
        schema.update(_fields(each["properties"]))
    return schema


FORMAT = Prompty()
