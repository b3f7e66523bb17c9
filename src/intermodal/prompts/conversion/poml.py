"""Convert a POML document to a tree, and a tree to a document: each message is one paragraph that keeps white space.

The document is laid out once with marks in place of its values, branches and media. The layout is that of pomlight, so
texts of the tree are POML's output: headings of tasks, bullets of lists. White space in values is folded if the
paragraph folds it, which is reported.
"""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from intermodal.core.content import Text
from intermodal.prompts.conversion import front_matter
from intermodal.prompts.conversion.template_tree import (
    AndTest,
    Fact,
    IfNode,
    IsEqual,
    IsTruthy,
    ItemIs,
    LoopNode,
    LoopPosition,
    Losses,
    MediumNode,
    Node,
    NotTest,
    OrTest,
    Path,
    RoleNode,
    TemplateTree,
    Test,
    TextNode,
    ValueNode,
    dotted_path,
    fact_of,
    fact_test,
    join_texts,
    media_names,
    messages_of,
)
from intermodal.prompts.poml import expressions
from intermodal.prompts.poml.expansion import (
    ASIDE,
    DATA,
    ENTITIES,
    MEDIA_TYPES,
    MOST_INCLUDES,
    SRC,
    Element,
    Expansion,
    canonical,
    file_text,
    include_file,
    loop_of,
    parse_expression,
    sole_expression,
    split_expressions,
)
from intermodal.prompts.poml.reader import PomlTemplate, locate_error
from intermodal.prompts.prompt_file import Argument, PromptFile
from intermodal.prompts.rendering import Placeholders, TemplateError

_KEPT = frozenset({"let", "stylesheet"})  # as they are
_INLINE = frozenset({"span", "b", "i", "u", "s", "strike", "br", "text"})
_SPEAKERS = frozenset({"system-msg", "human-msg", "ai-msg", "msg-content", "conversation", "poml"})
_FACTS: Mapping[str, Fact] = {"index": "index", "first": "first", "last": "last"}
_ITEM = re.compile(r"(\n?)([ \t]*(?:[-*+•]|\d+[.)]) )\Z")
_TODO = "write it with names, if and for"
_EQUAL = {"===": True, "==": True, "!==": False, "!=": False}
_NULL = ("word", None)


@dataclass
class _Mark:
    """The meaning of a mark: a node, or the start (``test`` or ``item``) or end (neither) of a branch."""

    node: Node | None = None
    test: Test | None = None
    item: str = ""
    path: Path = ()
    layout: str = "inline"  # how the element of the branch is laid out: inline, block, item
    line: int = 1


@dataclass
class _Open:
    mark: _Mark | None
    nodes: list[Node] = field(default_factory=list)


def read_poml(file: PromptFile, losses: Losses) -> TemplateTree:
    """Return the tree of a POML file. Raises PromptError with the line of a construct that the tree cannot express."""
    template = file.template
    assert isinstance(template, PomlTemplate)
    marker = _Marker(file, template, losses)
    try:
        root = marker.mark_tree(template.root)
    except TemplateError as error:
        raise locate_error(template.path, error) from None
    nodes: list[Node] = []
    for message in PomlTemplate(template.path, root).messages({}):
        text = "\n\n".join(part.text for part in message.parts if isinstance(part, Text))
        nodes += (RoleNode(message.role, template.root.line), *_tree(marker.marks.split_at_marks(text)))
    if marker.folds:
        losses.record_loss(template.root.line, "white space within values, which POML folds into one space")
    return TemplateTree(file, join_texts(nodes), folds=marker.folds)


class _Marker:
    """Inserts marks into a copy of a document. ``folds``: a value is in a place where white space is folded."""

    def __init__(self, file: PromptFile, template: PomlTemplate, losses: Losses) -> None:
        self.marks = Placeholders[_Mark]()
        self.folds = False
        self._losses = losses
        self._folder = template.path.parent
        self._arguments = {each.name: each for each in file.arguments}
        self._includes = 0

    def mark_tree(self, root: Element) -> Element:
        (marked,) = self._element(root, (), pre=False)
        assert isinstance(marked, Element)
        return marked

    def _element(self, element: Element, loops: tuple[str, ...], *, pre: bool) -> list[Element | str]:
        tag = canonical(element.tag)
        attributes = dict(element.attrs)
        condition, loop = attributes.pop("if", None), attributes.pop("for", None)
        if condition is None and loop is None:
            return self._element_nodes(tag, element, attributes, loops, pre)
        if tag in _SPEAKERS or tag in ASIDE or tag in _KEPT:
            raise TemplateError(f"<{element.tag}> under a condition cannot be converted", element.line, _TODO)
        opened = self._branches(element, condition, loop, loops)
        inner = (*loops, *(mark.item for mark in opened if mark.item))
        layout = "inline" if tag in _INLINE else "item" if tag == "item" else "block"
        begins = "".join(self.marks.add(mark) for mark in opened)
        for mark in opened:
            mark.layout = layout
        element_list = self._element_nodes(tag, element, attributes, inner, pre)
        ends = "".join(self.marks.add(_Mark(layout=layout)) for _ in opened)
        if layout == "inline":
            return [begins, *element_list, ends]
        if layout == "item":
            (item,) = element_list
            assert isinstance(item, Element)
            return [Element("item", item.attrs, [begins, *item.children, ends], item.line)]
        return [Element("p", {}, [begins], element.line), *element_list, Element("p", {}, [ends], element.line)]

    def _branches(
        self, element: Element, condition: str | None, loop: str | None, loops: tuple[str, ...]
    ) -> list[_Mark]:
        """Return the marks that open an element's branches: its condition encloses its loop."""
        branches = []
        if condition is not None:
            branches.append(
                _Mark(test=self._test(parse_expression(condition, element.line), element, loops), line=element.line)
            )
        if loop is not None:
            found = loop_of(loop)
            if found is None:
                raise TemplateError('a loop is written for="item in list"', element.line, todo="write it so")
            path = self._path(parse_expression(found[2], element.line), element, loops)
            branches.append(_Mark(item=found[1], path=path, line=element.line))
        return branches

    def _element_nodes(
        self, tag: str, element: Element, attributes: dict[str, str], loops: tuple[str, ...], pre: bool
    ) -> list[Element | str]:
        if tag in ASIDE:
            return []
        if tag in _KEPT:
            return [element]
        if tag == "include":
            return self._include(element, loops, pre)
        if tag in SRC and "src" in attributes and tag != "table":
            medium = self._medium(tag, element, loops)
            if medium is not None:
                return [Element("p", {}, [self.marks.add(_Mark(node=medium))], element.line)]
        for name, word in attributes.items():
            if name in DATA.get(tag, ()) or self._reads_arguments(word, element):
                raise TemplateError(f"{name} of <{element.tag}>, a value, cannot be converted", element.line, _TODO)
        pre = pre or attributes.get("whiteSpace") == "pre"
        return [Element(element.tag, attributes, self._children(element.children, element, loops, pre), element.line)]

    def _children(
        self, children: Sequence[Element | str], element: Element, loops: tuple[str, ...], pre: bool
    ) -> list[Element | str]:
        """Mark child elements and texts. ``element``: its line is used for texts."""
        new_children: list[Element | str] = []
        for each in children:
            if isinstance(each, Element):
                new_children += self._element(each, loops, pre=pre)
            else:
                new_children.append(self._text(each, element, loops, pre))
        return new_children

    def _include(self, element: Element, loops: tuple[str, ...], pre: bool) -> list[Element | str]:
        self._includes += 1
        if self._includes > MOST_INCLUDES:
            raise TemplateError(f"includes more than {MOST_INCLUDES} files", element.line, todo="include fewer")
        name = element.attrs.get("src", "")
        if "{{" in name:
            raise TemplateError("a file that a value names cannot be converted", element.line, _TODO)
        self._losses.record_loss(element.line, f"{name}: what it holds stands in the file")
        inner = include_file(file_text(self._folder, name, element.line), element.line)
        return self._children(inner.children, element, loops, pre)

    def _medium(self, tag: str, element: Element, loops: tuple[str, ...]) -> MediumNode | None:
        """Return the medium of a tag; None if the tag inserts the text of a file."""
        word = element.attrs["src"].strip()
        hole = sole_expression(word)
        if hole:
            path = self._path(parse_expression(hole, element.line), element, loops)
            return MediumNode(path=path, line=element.line)
        if "{{" in word:
            raise TemplateError("a name of a file with values in it cannot be converted", element.line, _TODO)
        if not Expansion(self._folder).is_medium(tag, element, {}):
            self._losses.record_loss(element.line, f"{word}: its words stand in the file")
            return None
        media_type = MEDIA_TYPES.get(tag) or mimetypes.guess_type(word)[0]
        return MediumNode(url=word, media_type=media_type or "application/pdf", line=element.line)

    # ---- expressions ----------------------------------------------------------------------------------

    def _reads_arguments(self, word: str, element: Element) -> bool:
        return any(self._takes(parse_expression(hole, element.line)) for hole in split_expressions(word)[1::2])

    def _takes(self, tree: expressions.Node) -> bool:
        return any(name in self._arguments or name == "loop" for name in expressions.names(tree))

    def _text(self, text: str, element: Element, loops: tuple[str, ...], pre: bool) -> str:
        pieces = []
        for number, piece in enumerate(split_expressions(text)):
            if not number % 2:
                pieces.append(piece)
                continue
            tree = parse_expression(piece, element.line)
            if not self._takes(tree) and not any(name in loops for name in expressions.names(tree)):
                pieces.append(f"{{{{{piece}}}}}")  # of values that the document defines, with <let>
                continue
            pieces.append(self.marks.add(_Mark(node=self._node(tree, element, loops))))
            self.folds = self.folds or not pre
        return "".join(pieces)

    def _node(self, tree: expressions.Node, element: Element, loops: tuple[str, ...]) -> Node:
        fact = _fact(tree) if loops else None
        if fact is not None:
            return fact_of(fact, element.line)
        if tree[0] == "choice":
            test = self._test(tree[1], element, loops)
            yes, no = (self._node(each, element, loops) for each in tree[2:4])
            return IfNode(test, (yes,), (no,), element.line)
        if tree[0] == "text":
            return TextNode(tree[1])
        return ValueNode(self._path(tree, element, loops), line=element.line)

    def _path(self, tree: expressions.Node, element: Element, loops: tuple[str, ...]) -> Path:
        if tree[0] == "name" and (tree[1] in self._arguments or tree[1] in loops):
            return (tree[1],)
        if tree[0] == "part" and tree[2][0] in ("text", "number") and tree[2][1] != "length":
            return (*self._path(tree[1], element, loops), tree[2][1])
        raise TemplateError("an expression that is more than a name cannot be converted", element.line, _TODO)

    def _test(self, tree: expressions.Node, element: Element, loops: tuple[str, ...]) -> Test:
        kind = tree[0]
        fact = _fact(tree) if loops else None
        if fact is not None:
            return fact_test(fact)
        if kind == "unary" and tree[2] == "!":
            return NotTest(self._test(tree[1], element, loops))
        if kind == "binary" and tree[3] in ("&&", "||"):
            return self._pair(tree, element, loops)
        if kind == "binary" and _is_length(tree[1]) and tree[2] == ("number", 0) and tree[3] in (">", "!==", "!="):
            return IsTruthy(self._path(tree[1][1], element, loops))
        if kind == "binary" and tree[3] in _EQUAL and tree[2][0] in ("text", "number", "word") and tree[2] != _NULL:
            equal = IsEqual(self._path(tree[1], element, loops), tree[2][1])
            return equal if _EQUAL[tree[3]] else NotTest(equal)
        if _is_length(tree):
            return IsTruthy(self._path(tree[1], element, loops))
        return IsTruthy(self._path(tree, element, loops))

    def _pair(self, tree: expressions.Node, element: Element, loops: tuple[str, ...]) -> Test:
        left, right = self._test(tree[1], element, loops), self._test(tree[2], element, loops)
        if left == right:
            return left
        return AndTest(left, right) if tree[3] == "&&" else OrTest(left, right)


def _fact(tree: expressions.Node) -> Fact | None:
    """Return the loop property that an expression reads; None if it reads none."""
    if tree[0] == "part" and tree[1] == ("name", "loop") and tree[2][0] == "text":
        return _FACTS.get(tree[2][1])
    if tree[0] == "binary" and tree[3] == "+" and tree[2] == ("number", 1) and _fact(tree[1]) == "index":
        return "number"
    return None


def _is_length(tree: expressions.Node) -> bool:
    return bool(tree[0] == "part" and tree[2] == ("text", "length"))


# ---- from the layout to a tree ----------------------------------------------------------------------------


def _tree(pieces: Sequence[str | _Mark]) -> list[Node]:
    """Return the nodes of a message. Blank lines around a block-level branch become part of it."""
    stack = [_Open(None)]
    cut = ""  # the prefix of the text after a branch that the branch took over
    for number, mark in enumerate(pieces):
        if isinstance(mark, str):
            stack[-1].nodes.append(TextNode(mark.removeprefix(cut)))
            cut = ""
            continue
        after = pieces[number + 1]
        assert isinstance(after, str)
        if mark.node is not None:
            stack[-1].nodes.append(mark.node)
        elif mark.test is not None or mark.item:
            opened = _Open(mark)
            cut = _take_blank_before(mark, stack[-1], opened, after)
            stack.append(opened)
        else:
            closed = stack.pop()
            cut = _take_blank_after(mark, closed, stack[-1], after)
            stack[-1].nodes.append(_chosen_branch(closed))
    return stack[0].nodes


def _take_blank_before(mark: _Mark, around: _Open, opened: _Open, after: str) -> str:
    """Move the blank lines or the list marker before a branch into it.

    Return the prefix to remove from the text after it.
    """
    before = around.nodes[-1].text if around.nodes and isinstance(around.nodes[-1], TextNode) else ""
    if mark.layout == "item" and (sign := _ITEM.search(before)):
        around.nodes[-1] = TextNode(before[: sign.start(2)])
        opened.nodes.append(TextNode(sign[2]))
    elif mark.layout == "block":
        lines = re.match(r"\n*", after)
        assert lines is not None
        if before.endswith("\n\n"):
            around.nodes[-1] = TextNode(before.rstrip("\n"))
        else:
            return lines[0]
    return ""


def _take_blank_after(mark: _Mark, closed: _Open, around: _Open, after: str) -> str:
    """Add the trailing blank lines of a branch to it. Return the prefix to remove from the text after it."""
    if mark.layout == "item":
        closed.nodes.append(TextNode("\n"))
        return "\n"
    if mark.layout == "block":
        last = closed.nodes[-1] if closed.nodes else None
        if isinstance(last, TextNode):
            closed.nodes[-1] = TextNode(last.text.rstrip("\n"))
        first = closed.nodes[0] if closed.nodes else None
        if not (isinstance(first, TextNode) and first.text.startswith("\n\n")):
            closed.nodes.append(TextNode("\n\n"))
            return "\n\n"
    return ""


def _chosen_branch(closed: _Open) -> Node:
    mark = closed.mark
    assert mark is not None
    if mark.item:
        return LoopNode(mark.item, mark.path, tuple(closed.nodes), (), mark.line)
    assert mark.test is not None
    return IfNode(mark.test, tuple(closed.nodes), (), mark.line)


# ---- writing ----------------------------------------------------------------------------------------


_TAGS = {"system": "system-msg", "user": "human-msg", "assistant": "ai-msg"}
_MEDIA = {"image": "img", "audio": "audio", "document": "document"}
_SIGNS = re.compile(r"[<>&]|\{(?=\{)|(?<=\{)\{|#(?=[a-z]+;)")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_FACT_NAMES: Mapping[Fact, str] = {
    "index": "loop.index", "number": "loop.index + 1", "first": "loop.first", "last": "loop.last",
}  # fmt: skip
_PLAIN = ("text", "number", "integer", "boolean")  # types whose empty and false values are the same in other formats


def write_poml(read: TemplateTree, nodes: Sequence[Node], losses: Losses) -> str:
    """Return the text of a ``.poml`` file."""
    file = read.file
    writer = _Writer(file, losses)
    lines = ["<poml>"]
    for each in messages_of(nodes, losses):
        tag = _TAGS[each.role]
        lines.append(f'  <{tag}><p whiteSpace="pre">{writer.message(each.nodes)}</p></{tag}>')
    lines += _settings_lines(file, losses)
    lines.append("</poml>")
    for argument in file.arguments:
        _check_argument(argument, losses)
    return "\n".join(lines) + "\n"


def _settings_lines(file: PromptFile, losses: Losses) -> list[str]:
    """Return the lines of schema, tools and settings."""
    lines = []
    schema = front_matter.schema_of(file)
    if schema is not None:
        lines.append(f"  <output-schema>\n{_json(schema, 2)}\n  </output-schema>")
    front_matter.lose_strict(file, "POML", losses)
    for tool in file.tools:
        about = f' description="{_attribute(tool.description)}"' if tool.description else ""
        lines.append(f'  <tool-definition name="{tool.name}"{about}>{_json(tool.schema)}</tool-definition>')
    front_matter.lose_undefined_tools(file, losses)
    settings: dict[str, Any] = {"model": file.model} if file.model else {}
    settings |= front_matter.settings_of(file)
    if settings:
        attributes = " ".join(f"{name}='{_setting(value)}'" for name, value in settings.items())
        lines.append(f"  <runtime {attributes}/>")
    if file.description:
        losses.record_loss(file.lines.get("description", 1), "the description")
    return lines


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(value: Any, indent: int | None = None) -> str:
    """Return JSON in which tags and expressions are escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub(r"<|&|\{(?=\{)", lambda found: f"\\u{ord(found[0]):04x}", text)


def _attribute(text: str) -> str:
    return text.replace('"', "'").replace("{{", "{ {")


def _check_argument(argument: Argument, losses: Losses) -> None:
    name = argument.name
    if argument.kind in ("video", "file"):
        losses.record_loss(
            argument.line, f"argument {name!r} takes a {argument.kind}, which POML has no tag for", meaning=True
        )
    if argument.default is not None:
        losses.record_loss(argument.line, f"the default of argument {name!r}")
    if argument.description:
        losses.record_loss(argument.line, f"the description of argument {name!r}")
    if argument.schema and argument.kind != "text" and not argument.is_media:
        losses.record_loss(argument.line, f"what argument {name!r} has to be: names there take anything")


class _Writer:
    def __init__(self, file: PromptFile, losses: Losses) -> None:
        self._losses = losses
        self._media = media_names(file)
        self._items: dict[str, str] = {}  # items of lists of media, by their names
        self._plain = {each.name for each in file.arguments if each.kind in _PLAIN and each.schema}

    def message(self, nodes: Sequence[Node]) -> str:
        """Write the nodes of a message, in a span if it has media.

        Media directly in a paragraph would end it and fold the rest.
        """
        text = self.write(nodes)
        return f"<span>{text}</span>" if any(isinstance(each, MediumNode) for each in nodes) else text

    def write(self, nodes: Sequence[Node]) -> str:
        return "".join(self._node(each) for each in nodes)

    def _node(self, node: Node) -> str:
        if isinstance(node, TextNode):
            return _SIGNS.sub(lambda found: ENTITIES[found[0]], node.text)
        if isinstance(node, ValueNode):
            if node.json:
                self._losses.record_loss(node.line, f"{node.path[0]!r} as JSON: a text goes in as it is", meaning=True)
            return f"{{{{ {self._name(node.path)} }}}}"
        if isinstance(node, LoopPosition):
            return f"{{{{ {_FACT_NAMES[node.fact]} }}}}"
        if isinstance(node, MediumNode):
            return self._medium(node)
        if isinstance(node, IfNode):
            then = self._span("if", self._test(node.test), node.then) if node.then else ""
            other = self._span("if", f"!({self._test(node.test)})", node.otherwise) if node.otherwise else ""
            return then + other
        assert isinstance(node, LoopNode)
        if len(node.path) == 1 and node.path[0] in self._media:
            self._items[node.item] = self._media[str(node.path[0])]
        name = self._name(node.path)
        markup = f"<span for='{node.item} in {name}'>{self.write(node.body)}</span>"
        empty = self._span("if", f"!({name} && {name}.length !== 0)", node.otherwise) if node.otherwise else ""
        return markup + empty

    def _span(self, attribute: str, word: str, nodes: Sequence[Node]) -> str:
        return f"<span {attribute}='{{{{ {word} }}}}'>{self.write(nodes)}</span>"

    def _medium(self, node: MediumNode) -> str:
        if not node.path:
            tag = _MEDIA.get(node.media_type.partition("/")[0], "document")
            return f'<{tag} src="{_attribute(node.url)}"/>'
        kind = self._media.get(str(node.path[0])) or self._items.get(str(node.path[0]), "file")
        return f'<{_MEDIA.get(kind, "document")} src="{{{{ {self._name(node.path)} }}}}"/>'

    def _test(self, test: Test) -> str:
        if isinstance(test, IsTruthy):
            name = self._name(test.path)
            plain = len(test.path) == 1 and test.path[0] in self._plain
            return name if plain else f"({name} && {name}.length !== 0)"  # an empty list is true there
        if isinstance(test, ItemIs):
            return _FACT_NAMES[test.fact]
        if isinstance(test, IsEqual):
            return f"{self._name(test.path)} === {_constant(test.value)}"
        if isinstance(test, NotTest):
            return f"!({self._test(test.test)})"
        sign = "&&" if isinstance(test, AndTest) else "||"
        assert isinstance(test, AndTest | OrTest)
        return f"({self._test(test.left)} {sign} {self._test(test.right)})"

    def _name(self, path: Path) -> str:
        root = path[0]
        if not _WORD.fullmatch(str(root)) or root in ("true", "false", "null", "undefined", "loop"):
            self._losses.record_loss(1, f"the name {root!r}, which POML does not take", meaning=True)
        return dotted_path(path, _WORD, _constant)


def _constant(value: Any) -> str:
    """Return a value as a constant in an expression."""
    return json.dumps(value, ensure_ascii=False)
