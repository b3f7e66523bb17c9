"""A function of BAML to a tree; what no tree expresses is refused with its line.

BAML's templates are Jinja, rendered by its own runtime, which removes lines that hold a tag alone. Template strings are
read where they are called.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace as with_fields
from typing import Any

from msgspec.structs import replace

from intermodal.content import Role as MessageRole
from intermodal.prompts.baml.declarations import Declaration
from intermodal.prompts.baml.reader import BamlTemplate
from intermodal.prompts.conversion.jinja_reader import Walk
from intermodal.prompts.conversion.normalized_schema import inline_definitions
from intermodal.prompts.conversion.template_tree import (
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
    join_texts,
    media_names,
    walk,
)
from intermodal.prompts.jinja import JinjaTemplate, MarkedTemplate
from intermodal.prompts.prompt_file import PromptFile
from intermodal.prompts.rendering import Placeholders, Slot, TemplateError, located
from intermodal.request import JsonOutput

_ROLES: Mapping[str, MessageRole] = {"system": "system", "user": "user", "assistant": "assistant"}
_MOST_DEEP = 20  # template strings that call each other


def read(file: PromptFile, losses: Losses) -> TemplateTree:
    """The tree of a function. Raises PromptError with its line for what no tree says."""
    template = file.template
    assert isinstance(template, BamlTemplate)
    block = template.block
    try:
        marked = _marked(template, block)
        found = join_texts(_Walk(marked, template, media_names(file)).nodes(marked.body.program, ()))
    except TemplateError as error:
        raise located(template.project.root / block.file, 1, error) from None
    _beside(file, template, losses)
    nodes = _joined(_opened(found, template.opening), losses)
    plain = [with_fields(each, description="") for each in file.arguments]  # it is BAML's word for the type
    file = with_fields(file, arguments=tuple(plain))
    if isinstance(file.output, JsonOutput):
        file = with_fields(file, output=replace(file.output, schema=inline_definitions(file.output.schema)))
    return TemplateTree(file, join_texts(map(_without_mark, nodes)), joins=True)


def _opened(nodes: tuple[Node, ...], role: MessageRole) -> tuple[Node, ...]:
    """The nodes with the role of what stands before the first one."""
    return nodes if role == "user" or isinstance(first_node(nodes), RoleNode) else (RoleNode(role), *nodes)


def _joined(nodes: tuple[Node, ...], losses: Losses) -> tuple[Node, ...]:
    """The nodes without roles that the runtime takes for the one before, of which it makes one message."""
    made: list[Node] = []
    first = first_node(nodes)
    role: MessageRole | None = "user" if first is not None and not isinstance(first, RoleNode) else None
    for each in nodes:
        if isinstance(each, RoleNode) and each.role == role:
            losses.say(each.line, f"a message of {role} after another one: BAML makes one of both")
            made.append(TextNode("\n\n"))
            continue
        if isinstance(each, IfNode | LoopNode) and any(isinstance(inner, RoleNode) for inner in walk((each,))):
            role = None  # it depends on values who speaks after it
        role = each.role if isinstance(each, RoleNode) else role
        made.append(each)
    return tuple(made)


_MARK = "\0format\0"  # where the words of ``ctx.output_format`` stand
_AROUND = re.compile(rf"\n*{_MARK}\n*")


def _without_mark(node: Node) -> Node:
    """The words around those that tell the schema, parted by a blank line."""
    return TextNode(_AROUND.sub("\n\n", node.text)) if isinstance(node, TextNode) and _MARK in node.text else node


def _beside(file: PromptFile, template: BamlTemplate, losses: Losses) -> None:
    """Name what BAML says of arguments and answers and no other format has a word for."""
    for each in file.arguments:
        if each.holds:
            what = f"argument {each.name!r} has {' and '.join(each.holds)} within, and elsewhere media stand alone"
            losses.say(each.line, what, meaning=True)
    if file.others:
        what = f"models that are asked where {file.model} cannot be had: {', '.join(file.others)}"
        losses.say(file.lines["model"], what)
    kinds, returns = template.project.kinds, template.block.type
    if not kinds.is_object(returns) and not kinds.is_text(returns):
        what = f"the answer as {kinds.words(returns)}: elsewhere it is its words"
        losses.say(file.lines["output"], what, meaning=True)
    for attribute, what, meaning in _ATTRIBUTES:
        for owner, line in kinds.attributed(returns, attribute):
            losses.say(line, f"@{attribute} of {owner}: {what}", meaning=meaning)


# What stands at the types of an answer and is read by BAML's parser alone.
_ATTRIBUTES = (
    ("alias", "the answer has the name that the model is told", True),
    ("assert", "an answer that breaks it is taken", True),
    ("check", "nothing is checked", False),
)


def _marked(template: BamlTemplate, block: Declaration) -> MarkedTemplate:
    """A template with the indentation of its block taken off, as the runtime does it. BAML has no marks of its own:
    roles and media are tags."""
    text = block.settings.get("prompt", "")
    plain = textwrap.dedent(str(text))
    first = getattr(text, "line", block.line) + plain[: len(plain) - len(plain.lstrip())].count("\n")
    try:
        body = JinjaTemplate(plain.strip(), trims=True)
    except TemplateError as error:
        raise TemplateError(str(error), first + max(error.line, 1) - 1, error.todo) from None
    return MarkedTemplate(template.path, body, Placeholders[Slot](), first)


class _Walk(Walk):
    """Nodes of a prompt, and of the template strings that it calls. Lines are those of the file."""

    def __init__(self, marked: MarkedTemplate, template: BamlTemplate, media: Mapping[str, Any]) -> None:
        super().__init__(marked, media)
        self._baml = template
        self._within: tuple[str, ...] = ()  # template strings, the outermost first
        self._items = {each.name for each in template.block.fields}  # names that stand for something
        self._count = NodeBudget()

    def _put(self, node: Any, loops: tuple[str, ...]) -> Iterator[Node]:
        self._count.take()
        called, words = _call(node)
        if called in ("_.role", "_.chat"):
            yield RoleNode(self._role(node, words), self._line(node))
        elif called == "ctx.output_format":
            yield from self._format(node)
        elif called in self._baml.project.strings:
            yield from self._string(called, node, loops)
        elif called.startswith(("_.", "ctx.")):
            raise self._refused(node, called)
        else:
            yield from super()._put(node, loops)

    def _path(self, node: Any, loops: tuple[str, ...]) -> Path:
        if type(node).__name__ == "Name" and node.name in ("_", "ctx"):
            raise self._refused(node, node.name)
        return super()._path(node, loops)

    def _role(self, node: Any, words: tuple[Any, ...]) -> MessageRole:
        if len(words) != 1:
            raise self._refused(node, "a role with more than its name")
        word = words[0]
        if type(word).__name__ != "Const" or word.value not in _ROLES:
            raise self._refused(node, "a role that is a value")
        return _ROLES[word.value]

    def _format(self, node: Any) -> Iterator[Node]:
        """Nothing where the schema stands beside the template; else what the runtime says of the type."""
        project, block = self._baml.project, self._baml.block
        if self._within and not project.told.words(block, project.runtime):
            raise self._refused(node, "ctx.output_format within a template string")
        told = not project.kinds.is_object(block.type)
        yield TextNode(project.told.words(block, project.runtime) if told else _MARK)

    def _string(self, name: str, node: Any, loops: tuple[str, ...]) -> Iterator[Node]:
        """A template string with its parameters as what they are called with."""
        block = self._baml.project.called[name]
        if name in self._within or len(self._within) > _MOST_DEEP:
            raise self._refused(node, f"template_string {name}, which leads back to itself,")
        given = [self._path(each, loops) for each in node.args]
        named = {each.key: self._path(each.value, loops) for each in node.kwargs}
        named |= {field.name: path for field, path in zip(block.fields, given, strict=False)}
        kept = self._template, self._named, self._within
        try:
            marked = _marked(self._baml, block)
            self._template, self._named, self._within = marked, named, (*self._within, name)
            yield from self.nodes(marked.body.program, loops)
        except TemplateError as error:
            raise located(self._baml.project.root / block.file, 1, error) from None
        finally:
            self._template, self._named, self._within = kept

    def _item(self, name: str) -> str:
        """A name for the item of a loop that nothing else has."""
        while name in self._items and self._within:
            name += "_"
        self._items.add(name)
        return name


def _call(node: Any) -> tuple[str, tuple[Any, ...]]:
    """What a node calls or reads of BAML's own, and the values that it gives: ``_.role``, ``ctx.output_format``."""
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
