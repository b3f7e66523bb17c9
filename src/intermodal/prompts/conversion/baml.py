"""Convert a BAML function to a tree, and a tree to a function: its return class, its client, and its prompt.

Constructs that the tree cannot express are rejected with their line. BAML's templates are Jinja, rendered by its own
runtime, which removes lines that contain only a tag. Template strings are inlined where they are called.

Every name in a written file begins with the name of the function, since BAML compiles the files of a folder together.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as with_fields
from typing import Any

from msgspec.structs import replace

from intermodal.core.content import Role as MessageRole
from intermodal.core.request import JsonOutput
from intermodal.json_schema.allowed_values import resolve_reference
from intermodal.prompts.baml.declarations import Declaration
from intermodal.prompts.baml.reader import BamlTemplate
from intermodal.prompts.conversion import front_matter
from intermodal.prompts.conversion.normalized_schema import inline_definitions
from intermodal.prompts.conversion.prompty import JinjaWriter, Walk
from intermodal.prompts.conversion.template_tree import (
    ArgumentShape,
    HistoryNode,
    IfNode,
    LoopNode,
    Losses,
    Node,
    NodeBudget,
    Path,
    RoleNode,
    TemplateTree,
    TextNode,
    first_node,
    iterate_nodes,
    join_texts,
    media_names,
    messages_of,
    shapes_of,
)
from intermodal.prompts.jinja import JinjaTemplate, MarkedTemplate
from intermodal.prompts.prompt_file import Argument, ArgumentKind, PromptExample, PromptFile
from intermodal.prompts.rendering import Placeholders, Slot, TemplateError, locate_error

_ROLES: Mapping[str, MessageRole] = {"system": "system", "user": "user", "assistant": "assistant"}
_MOST_DEEP = 20  # template strings that call each other


def read_baml(file: PromptFile, losses: Losses) -> TemplateTree:
    """Return the tree of a function. Raises PromptError with the line of a construct that the tree cannot express."""
    template = file.template
    assert isinstance(template, BamlTemplate)
    block = template.block
    try:
        marked = _read_block(template, block)
        found = join_texts(_Walk(marked, template, media_names(file)).nodes(marked.body.program, ()))
    except TemplateError as error:
        raise locate_error(template.project.root / block.file, 1, error) from None
    _record_losses(file, template, losses)
    nodes = _without_repeated_roles(_with_first_role(found, template.opening), losses)
    plain = [with_fields(each, description="") for each in file.arguments]  # it is BAML's word for the type
    file = with_fields(file, arguments=tuple(plain))
    if isinstance(file.output, JsonOutput):
        file = with_fields(file, output=replace(file.output, schema=inline_definitions(file.output.schema)))
    return TemplateTree(file, join_texts(map(_without_mark, nodes)), joins=True)


def _with_first_role(nodes: tuple[Node, ...], role: MessageRole) -> tuple[Node, ...]:
    """Prepend the role of the text before the first role node."""
    return nodes if role == "user" or isinstance(first_node(nodes), RoleNode) else (RoleNode(role), *nodes)


def _without_repeated_roles(nodes: tuple[Node, ...], losses: Losses) -> tuple[Node, ...]:
    """Remove roles equal to the preceding one, as the runtime merges such messages into one."""
    new_nodes: list[Node] = []
    first = first_node(nodes)
    role: MessageRole | None = "user" if first is not None and not isinstance(first, RoleNode) else None
    for each in nodes:
        if isinstance(each, RoleNode) and each.role == role:
            losses.record_loss(each.line, f"a message of {role} after another one: BAML makes one of both")
            new_nodes.append(TextNode("\n\n"))
            continue
        if isinstance(each, IfNode | LoopNode) and any(isinstance(inner, RoleNode) for inner in iterate_nodes((each,))):
            role = None  # the role of the text after it depends on values
        role = each.role if isinstance(each, RoleNode) else role
        new_nodes.append(each)
    return tuple(new_nodes)


_MARK = "\0format\0"  # placeholder for the text of ``ctx.output_format``
_AROUND = re.compile(rf"\n*{_MARK}\n*")


def _without_mark(node: Node) -> Node:
    """Replace the mark of the schema text, and the line breaks around it, by a blank line."""
    return TextNode(_AROUND.sub("\n\n", node.text)) if isinstance(node, TextNode) and _MARK in node.text else node


def _record_losses(file: PromptFile, template: BamlTemplate, losses: Losses) -> None:
    """Record the properties of arguments and answers that no other format can express."""
    for each in file.arguments:
        if each.holds:
            what = f"argument {each.name!r} has {' and '.join(each.holds)} within, and elsewhere media stand alone"
            losses.record_loss(each.line, what, meaning=True)
    if file.others:
        what = f"models that are asked where {file.model} cannot be had: {', '.join(file.others)}"
        losses.record_loss(file.lines["model"], what)
    kinds, returns = template.project.kinds, template.block.type
    if not kinds.is_object(returns) and not kinds.is_text(returns):
        what = f"the answer as {kinds.type_text(returns)}: elsewhere it is its words"
        losses.record_loss(file.lines["output"], what, meaning=True)
    for attribute, what, meaning in _ATTRIBUTES:
        for owner, line in kinds.with_attributes(returns, attribute):
            losses.record_loss(line, f"@{attribute} of {owner}: {what}", meaning=meaning)


# Attributes of answer types that only BAML's parser uses.
_ATTRIBUTES = (
    ("alias", "the answer has the name that the model is told", True),
    ("assert", "an answer that breaks it is taken", True),
    ("check", "nothing is checked", False),
)


def _read_block(template: BamlTemplate, block: Declaration) -> MarkedTemplate:
    """Return a template with the indentation of its block removed, as the runtime does.

    BAML has no placeholders of its own: roles and media are tags.
    """
    text = block.settings.get("prompt", "")
    plain = textwrap.dedent(str(text))
    first = getattr(text, "line", block.line) + plain[: len(plain) - len(plain.lstrip())].count("\n")
    try:
        body = JinjaTemplate(plain.strip(), trims=True)
    except TemplateError as error:
        raise TemplateError(str(error), first + max(error.line, 1) - 1, error.todo) from None
    return MarkedTemplate(template.path, body, Placeholders[Slot](), first)


class _Walk(Walk):
    """Walks a prompt and the template strings that it calls. Lines are those of the file."""

    def __init__(self, marked: MarkedTemplate, template: BamlTemplate, media: Mapping[str, Any]) -> None:
        super().__init__(marked, media)
        self._baml = template
        self._within: tuple[str, ...] = ()  # template strings, the outermost first
        self._items = {each.name for each in template.block.fields}  # names of fields
        self._count = NodeBudget()

    def _nodes_of(self, node: Any, loops: tuple[str, ...]) -> Iterator[Node]:
        self._count.count_node()
        called, words = _call(node)
        if called in ("_.role", "_.chat"):
            yield RoleNode(self._role(node, words), self._line(node))
        elif called == "ctx.output_format":
            yield from self._format(node)
        elif called in self._baml.project.strings:
            yield from self._string(called, node, loops)
        elif called.startswith(("_.", "ctx.")):
            raise self._not_convertible(node, called)
        else:
            yield from super()._nodes_of(node, loops)

    def _path(self, node: Any, loops: tuple[str, ...]) -> Path:
        if type(node).__name__ == "Name" and node.name in ("_", "ctx"):
            raise self._not_convertible(node, node.name)
        return super()._path(node, loops)

    def _role(self, node: Any, words: tuple[Any, ...]) -> MessageRole:
        if len(words) != 1:
            raise self._not_convertible(node, "a role with more than its name")
        word = words[0]
        if type(word).__name__ != "Const" or word.value not in _ROLES:
            raise self._not_convertible(node, "a role that is a value")
        return _ROLES[word.value]

    def _format(self, node: Any) -> Iterator[Node]:
        """Yield the runtime's description of the type, or a mark if the schema is stated beside the template."""
        project, block = self._baml.project, self._baml.block
        if self._within and not project.output_format.output_text(block, project.runtime):
            raise self._not_convertible(node, "ctx.output_format within a template string")
        has_description = not project.kinds.is_object(block.type)
        yield TextNode(project.output_format.output_text(block, project.runtime) if has_description else _MARK)

    def _string(self, name: str, node: Any, loops: tuple[str, ...]) -> Iterator[Node]:
        """Yield a template string with its parameters replaced by the call's arguments."""
        block = self._baml.project.called[name]
        if name in self._within or len(self._within) > _MOST_DEEP:
            raise self._not_convertible(node, f"template_string {name}, which leads back to itself,")
        arguments = [self._path(each, loops) for each in node.args]
        paths_by_name = {each.key: self._path(each.value, loops) for each in node.kwargs}
        paths_by_name |= {field.name: path for field, path in zip(block.fields, arguments, strict=False)}
        state = self._template, self._named, self._within
        try:
            marked = _read_block(self._baml, block)
            self._template, self._named, self._within = marked, paths_by_name, (*self._within, name)
            yield from self.nodes(marked.body.program, loops)
        except TemplateError as error:
            raise locate_error(self._baml.project.root / block.file, 1, error) from None
        finally:
            self._template, self._named, self._within = state

    def _item(self, name: str) -> str:
        """Return a unique name for the item of a loop."""
        while name in self._items and self._within:
            name += "_"
        self._items.add(name)
        return name


def _call(node: Any) -> tuple[str, tuple[Any, ...]]:
    """Return the BAML construct that a node calls or reads (``_.role``, ``ctx.output_format``), and its arguments."""
    kind = type(node).__name__
    words: tuple[Any, ...] = ()
    if kind == "Call":
        words = (*node.args, *(each.value for each in node.kwargs))
        node, kind = node.node, type(node.node).__name__
        if kind == "Name":
            return node.name, words
    if kind == "Getattr" and type(node.node).__name__ == "Name" and node.node.name in ("_", "ctx"):
        return f"{node.node.name}.{node.attr}", words
    return "", words


# ---- writing ----------------------------------------------------------------------------------------


_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPENING = re.compile(r"\{\{|\{%|\{#|\{\Z")
_TAG = re.compile(r"\{%\+ (.*?) \+%\}(\n?)", re.DOTALL)
_KINDS: Mapping[ArgumentKind, str] = {
    "text": "string", "number": "float", "integer": "int", "boolean": "bool", "image": "image", "audio": "audio",
    "video": "video", "document": "pdf",
}  # fmt: skip
_TYPES = {"string": "string", "number": "float", "integer": "int", "boolean": "bool", "null": "null"}
_SNAKE = {name: name for name in front_matter.CAMEL}
# Vendor of a model, or prefix of its name -> BAML's provider.
_PROVIDERS = {
    "openai": "openai", "anthropic": "anthropic", "google": "google-ai", "googleai": "google-ai",
    "vertexai": "google-ai",  # its own client needs no region
}  # fmt: skip
_ANYBODY = "openai-generic"  # any server of OpenAI's protocol, by its address
_FAMILIES = (
    ("gpt-", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"), ("claude", "anthropic"),
    ("gemini", "google-ai"),
)  # fmt: skip
_KEPT = frozenset({"type", "description", "enum", "const", "properties", "required", "items", "anyOf", "oneOf", "$ref",
                   "$defs", "definitions", "additionalProperties", "title", "$schema", "default"})  # fmt: skip
_DEEPEST_SCHEMA = 40


def write_baml(read: TemplateTree, nodes: Sequence[Node], losses: Losses) -> str:
    """Return the text of a ``.baml`` file."""
    file = read.file
    name = _title(file.name) or "Prompt"
    types = _Types(name, losses)
    shapes = shapes_of(read.nodes)
    arguments = [
        f"{each.name}: {_argument_type(each, shapes.get(each.name, ArgumentShape()), types, losses)}"
        for each in file.arguments
    ]
    schema = front_matter.schema_of(file)
    returns = "string"
    if schema is not None:
        returns = types.type_of(schema, schema, "Answer", file.lines.get("output", 1))
    front_matter.lose_strict(file, "BAML", losses)
    front_matter.lose_tools(file, losses)
    blocks = [*types.classes, *_client(file, name, losses), _function(file, name, arguments, returns, nodes, losses)]
    blocks += _tests(file, name, losses)
    return "\n\n".join(blocks) + "\n"


def _title(name: str) -> str:
    """Return a name for BAML's functions and classes: letters and digits, starting with a capital."""
    title = "".join(f"{word[0].upper()}{word[1:]}" for word in re.split(r"[^A-Za-z0-9]+", name) if word)
    return f"Prompt{title}" if title[:1].isdigit() else title


# ---- function ------------------------------------------------------------------------------------------


def _function(
    file: PromptFile, name: str, argument_types: Sequence[str], returns: str, nodes: Sequence[Node], losses: Losses
) -> str:
    comment = "".join(f"/// {line.strip()}\n" for line in file.description.splitlines() if line.strip())
    prompt = _prompt(file, nodes, losses, has_format=returns != "string")
    marks = "#" * (1 + max((len(found) - 1 for found in re.findall(r'"#+', prompt)), default=0))
    lines = "".join(f"    {line}\n" if line else "\n" for line in prompt.split("\n"))
    head = f"function {name}({', '.join(argument_types)}) -> {returns} {{\n  client {name}Client\n"
    return f'{comment}{head}  prompt {marks}"\n{lines}  "{marks}\n}}'


def _prompt(file: PromptFile, nodes: Sequence[Node], losses: Losses, *, has_format: bool) -> str:
    """Return the template. ``has_format``: include the schema, since BAML's own hosts do not receive it otherwise."""
    nodes = tuple(nodes)
    if any(isinstance(each, HistoryNode) for each in iterate_nodes(nodes)):
        nodes = tuple(
            each for message in messages_of(nodes, losses) for each in (RoleNode(message.role), *message.nodes)
        )  # by BAML's default, earlier messages go before the last question
    for each in iterate_nodes(nodes):
        if isinstance(each, RoleNode) and each.role == "tool":
            losses.record_loss(each.line, "a message of a tool", meaning=True)
    if has_format:
        nodes = _with_schema(nodes)
    elif not any(isinstance(each, RoleNode) for each in nodes[:1]) and any(
        isinstance(each, RoleNode) for each in iterate_nodes(nodes)
    ):
        nodes = (RoleNode("user"), *nodes)
    return _plain_tags(BamlWriter(losses).write(nodes)).strip()


_SCHEMA = TextNode("\0schema\0")  # a text that occurs in no file: it is written as the tag


def _with_schema(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Insert the schema at the end of the last user message, or of the first message if there is none."""
    ends = [at for at, each in enumerate(nodes) if isinstance(each, RoleNode)] + [len(nodes)]
    roles = ["user", *(each.role for each in nodes if isinstance(each, RoleNode))]
    spoken = [(role, end) for role, end in zip(roles, ends, strict=True) if end]
    at = next((end for role, end in reversed(spoken) if role == "user"), spoken[0][1] if spoken else 0)
    return (*nodes[:at], _SCHEMA, *nodes[at:])


class BamlWriter(JinjaWriter):
    """Writes BAML's Jinja. Block tags are written so that they preserve all white space."""

    def role(self, node: RoleNode) -> str:
        return f'{{{{ _.role("{node.role}") }}}}\n'

    def escaped_text(self, text: str) -> str:
        if text == _SCHEMA.text:
            return "\n\n{{ ctx.output_format }}\n"
        return _OPENING.sub(lambda found: f"{{{{ '{found[0]}' }}}}", text)

    def tag(self, inner: str) -> str:
        return f"{{%+ {inner} +%}}"

    def name(self, path: Any) -> str:
        if str(path[0]) in ("_", "ctx", "loop") or not _WORD.fullmatch(str(path[0])):
            self._losses.record_loss(1, f"the name {path[0]!r}, which BAML does not take", meaning=True)
        return super().name(path)


def _plain_tags(text: str) -> str:
    """Simplify block tags that are on their own line, if that renders the same.

    BAML removes white space before a tag that begins a line, and the line break after it.
    """
    pieces = []
    at = 0
    for found in _TAG.finditer(text):
        before = text[at : found.start()]
        pieces.append(before)
        line = text[: found.start()].rpartition("\n")[2]
        opening = "{%+" if line and not line.strip() else "{%"
        ends = "\n" if not line and not found[2] else ""  # the runtime removes this line break
        closing = "+%}" if found[2] else "%}"
        pieces.append(f"{opening} {found[1]} {closing}{ends}{found[2]}")
        at = found.end()
    return "".join((*pieces, text[at:]))


# ---- client --------------------------------------------------------------------------------------------


def _client(file: PromptFile, name: str, losses: Losses) -> Iterator[str]:
    """Yield the client of the function, which BAML requires. Without a model, the client names none."""
    line = file.lines.get("model", 1)
    options = dict(front_matter.settings_of(file, _SNAKE))
    provider, model = _provider_and_model(file.model)
    if not model:
        losses.record_loss(line, f"no model is named: BAML's own hosts need one in client {name}Client")
    else:
        options = {"model": model, **options}
    policy = ""
    if "resends" in file.options:
        yield f"retry_policy {name}Retries {{\n  max_retries {file.options['resends']}\n}}"
        policy = f"  retry_policy {name}Retries\n"
    if provider == _ANYBODY:
        options["base_url"] = "env.BASE_URL"
        losses.record_loss(line, f"who serves {model}: BAML's own hosts need it in client {name}Client, as BASE_URL")
    lines = "".join(f"    {key} {_value(each)}\n" for key, each in options.items())
    yield f"client<llm> {name}Client {{\n  provider {provider}\n{policy}  options {{\n{lines}  }}\n}}"


def _provider_and_model(model: str) -> tuple[str, str]:
    """Return BAML's provider of a model, and the model's name there."""
    maker, mark, rest = model.partition("/")
    if mark and maker in _PROVIDERS and "/" not in rest:
        return _PROVIDERS[maker], rest
    return next((provider for begins, provider in _FAMILIES if model.startswith(begins)),
                _ANYBODY if model else "openai"), model  # fmt: skip


def _value(value: Any) -> str:
    """Return a value in BAML syntax."""
    if isinstance(value, str):
        return value if value.startswith("env.") else _string_literal(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(name))} {_value(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)


def _key(name: str) -> str:
    return name if _WORD.fullmatch(name) else _string_literal(name)


def _string_literal(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


# ---- types ---------------------------------------------------------------------------------------------


def _argument_type(argument: Argument, shape: ArgumentShape, types: _Types, losses: Losses) -> str:
    """Return the BAML type of an argument."""
    name, line = argument.name, argument.line
    if not _WORD.fullmatch(name):
        losses.record_loss(line, f"the name {name!r}, which BAML does not take", meaning=True)
    if argument.kind == "file":
        losses.record_loss(line, f"argument {name!r} takes any file, and there a PDF", meaning=True)
    if argument.default is not None:
        losses.record_loss(line, f"the default of argument {name!r}")
    if argument.description:
        losses.record_loss(line, f"the description of argument {name!r}")
    if argument.is_media:
        type_name = _KINDS.get(argument.kind, "pdf") + ("[]" if argument.many else "")
    elif argument.schema:
        schema = {key: value for key, value in argument.schema.items() if key != "description"}
        type_name = types.type_of(schema, schema, _title(name), line)
    else:
        schema = _schema_of_shape(shape) if argument.kind == "json" else {}
        if argument.kind in ("json", "text"):
            schema = schema or {"type": "string"}
            what = (
                f"argument {name!r} may be anything: there it is {'JSON' if schema['type'] != 'string' else 'a text'}"
            )
            losses.record_loss(line, what)
        type_name = types.type_of(schema, schema, _title(name), line) if schema else _KINDS.get(argument.kind, "string")
    return type_name if argument.required or type_name.endswith("?") else f"{_in_parentheses(type_name)}?"


def _schema_of_shape(shape: ArgumentShape) -> dict[str, Any]:
    """Return a schema for the shape of a value as used by the template."""
    if shape.items is not None:
        return {"type": "array", "items": _schema_of_shape(shape.items)}
    if shape.fields:
        fields = {name: _schema_of_shape(each) for name, each in shape.fields.items()}
        return {"type": "object", "properties": fields, "required": list(fields)}
    return {"type": "string"}


def _in_parentheses(word: str) -> str:
    return f"({word})" if " | " in word else word


class _Types:
    """Converts schemas to BAML types. ``classes``: the source text of the classes that they need, inner ones first."""

    def __init__(self, function: str, losses: Losses) -> None:
        self.classes: list[str] = []
        self._function = function
        self._losses = losses
        self._named: dict[str, str] = {}  # references -> the class that they became
        self._taken = {function, f"{function}Client", f"{function}Retries"}

    def type_of(self, root: Mapping[str, Any], schema: Any, hint: str, line: int, deep: int = 0) -> str:
        """Return the type of a schema within ``root``.

        ``hint``: suffix of the class name, after the function's name.
        """
        if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
            return self._referenced_type(root, schema["$ref"], line, deep)
        if not isinstance(schema, Mapping) or deep > _DEEPEST_SCHEMA:
            return self._any_type(hint, line)
        for key in schema.keys() - _KEPT:
            self._losses.record_loss(line, f"{key} of {hint}", meaning=True)
        if "const" in schema or "enum" in schema:
            return self._literals([schema["const"]] if "const" in schema else list(schema["enum"]), hint, line)
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return self._union([self.type_of(root, each, hint, line, deep + 1) for each in choices])
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._union([self.type_of(root, {**schema, "type": each}, hint, line, deep + 1) for each in kind])
        if kind == "array":
            return f"{_in_parentheses(self.type_of(root, schema.get('items'), hint, line, deep + 1))}[]"
        if kind == "object" or "properties" in schema:
            return self._object(root, schema, hint, line, deep)
        return _TYPES.get(str(kind)) or self._any_type(hint, line)

    def _referenced_type(self, root: Mapping[str, Any], reference: str, line: int, deep: int) -> str:
        if reference not in self._named:
            hint = _title(reference.rpartition("/")[2]) or "Answer"
            found = resolve_reference(root, reference)
            is_class = isinstance(found, Mapping) and bool(found.get("properties"))
            if is_class:
                self._named[reference] = self._free(hint)  # it may be recursive
                self._class(root, found, self._named[reference], line, deep)
            else:
                self._named[reference] = self.type_of(root, found, hint, line, deep + 1)
        return self._named[reference]

    def _object(self, root: Mapping[str, Any], schema: Mapping[str, Any], hint: str, line: int, deep: int) -> str:
        more = schema.get("additionalProperties")
        if schema.get("properties"):
            if isinstance(more, Mapping) or more is True:
                self._losses.record_loss(line, f"fields of {hint} beyond those that are named", meaning=True)
            name = self._free(hint)
            self._class(root, schema, name, line, deep)
            return name
        if isinstance(more, Mapping):
            return f"map<string, {self.type_of(root, more, hint, line, deep + 1)}>"
        return self._any_type(hint, line)

    def _free(self, hint: str) -> str:
        name, number = f"{self._function}{hint}", 2
        while name in self._taken:
            name, number = f"{self._function}{hint}{number}", number + 1
        self._taken.add(name)
        return name

    def _class(self, root: Mapping[str, Any], schema: Mapping[str, Any], name: str, line: int, deep: int) -> None:
        needed = schema.get("required") or ()
        lines = []
        for field, each in schema["properties"].items():
            if not _WORD.fullmatch(field):
                self._losses.record_loss(line, f"the field {field!r}, a name that BAML does not take", meaning=True)
            description = each.get("description") if isinstance(each, Mapping) else ""
            type_name = self.type_of(root, each, _title(field), line, deep + 1)
            type_name = type_name if field in needed or type_name.endswith("?") else f"{_in_parentheses(type_name)}?"
            lines.append(
                f"  {field} {type_name}{f' @description({_string_literal(description)})' if description else ''}\n"
            )
        about = schema.get("description")
        if about:
            lines.append(f"  @@description({_string_literal(about)})\n")
        self.classes.append(f"class {name} {{\n{''.join(lines)}}}")

    def _literals(self, values: list[Any], hint: str, line: int) -> str:
        literals = []
        for each in values:
            if isinstance(each, str | int) and not (isinstance(each, str) and "\n" in each):
                literals.append(_string_literal(each) if isinstance(each, str) else json.dumps(each))
            elif each is None:
                literals.append("null")
            else:
                self._losses.record_loss(line, f"the value {each!r} of {hint}", meaning=True)
        return self._union(literals) if literals else self._any_type(hint, line)

    def _union(self, words: list[str]) -> str:
        optional = any(each == "null" or each.endswith("?") for each in words)
        rest = list(dict.fromkeys(each.removesuffix("?") for each in words if each != "null"))
        if not rest:
            return "null"
        union = " | ".join(rest)
        return f"{_in_parentheses(union)}?" if optional else union

    def _any_type(self, hint: str, line: int) -> str:
        self._losses.record_loss(line, f"{hint} may be anything, and there it is a text", meaning=True)
        return "string"


# ---- tests ---------------------------------------------------------------------------------------------


def _tests(file: PromptFile, name: str, losses: Losses) -> Iterator[str]:
    for number, each in enumerate(front_matter.plain_examples(file, losses), 1):
        arguments = "".join(f"    {_key(key)} {_value(value)}\n" for key, value in each.arguments.items())
        checks = "".join(f"  @@assert({word}, {{{{ {condition} }}}})\n" for word, condition in _asserts(each, losses))
        yield (f"test {name}Test{number} {{\n  functions [{name}]\n  args {{\n{arguments}  }}\n{checks}}}")


def _asserts(example: PromptExample, losses: Losses) -> Iterator[tuple[str, str]]:
    """Yield comparisons with a value; other checks are recorded as a loss."""
    for check in example.checks:
        expected = check.get("expected")
        pairs: list[tuple[str, Any]] | None = None
        if check.get("compare") == "exact" and isinstance(expected, str):
            pairs = [("this", expected)]
        elif check.get("compare") == "json" and isinstance(expected, Mapping):
            pairs = list(_leaf_values("this", expected))
        if pairs is None or not all(_is_constant(value) for _, value in pairs):
            losses.record_loss(example.line, "what a test asks of the answer, beyond that it is equal to a value")
            continue
        for place, value in pairs:
            yield (
                place.replace(".", "_"),
                f"{place} == {_string_literal(value) if isinstance(value, str) else _constant(value)}",
            )


def _leaf_values(place: str, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        if isinstance(each, Mapping):
            yield from _leaf_values(f"{place}.{name}", each)
        else:
            yield f"{place}.{name}", each


def _is_constant(value: Any) -> bool:
    if isinstance(value, str):
        return not set('"\\\n') & set(value)
    return value is None or isinstance(value, int | float)


def _constant(value: Any) -> str:
    return "none" if value is None else json.dumps(value)
