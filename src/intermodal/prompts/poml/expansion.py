"""Insert values into POML: expressions, loops, conditions and includes are evaluated, media extracted.

The result is POML without anything to evaluate: values are escaped as POML entities, and data for tables and objects is
passed separately, under unique names.

A ``<folder>`` becomes the tree of a folder next to the prompt, as a list of lists. Folders come before files, each
sorted by name, as in Microsoft's own renderer. A filter is a regular expression over names, including those of folders;
it is matched in linear time. Links are not followed.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.core.content import MediaPart, PathSource
from intermodal.errors import IntermodalError
from intermodal.json_schema.budget import BudgetExhausted, StepBudget
from intermodal.json_schema.errors import InvalidSchema
from intermodal.json_schema.patterns import compile_pattern
from intermodal.prompts.media_references import URL, is_within_folder, media_part, part_of
from intermodal.prompts.poml import expressions
from intermodal.prompts.prompt_file import ArgumentKind, MediaValue
from intermodal.prompts.rendering import Placeholders, RenderingBudget, TemplateError
from intermodal.prompts.source_text import names_of, text_of

# POML's markup as elements with their lines. Only the text itself is used.


_MOST_DEEP = 60
_TAG = re.compile(
    r"<(/?)([a-zA-Z_][\w-]*)((?:\s+[\w:.\-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*(/?)>"
)  # fmt: skip
_ATTRIBUTE = re.compile(r"([\w:.\-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


@dataclass
class Element:
    """A tag with its contents. ``line``: line of the tag, from 1."""

    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)
    line: int = 1

    @property
    def text(self) -> str:
        """The text directly in the element, without child elements."""
        return "".join(each for each in self.children if isinstance(each, str))


def parse(text: str) -> Element:
    """Return the root element of a text.

    If there are several elements, or text next to one, they are wrapped in an element. Raises TemplateError with the
    line of unbalanced tags.
    """
    text = _without_comments(text)
    root = Element("_root")
    stack = [root]
    at = 0
    line = 1
    for found in _TAG.finditer(text):
        if found.start() > at:
            stack[-1].children.append(text[at : found.start()])
        line += text.count("\n", at, found.start())
        at = found.end()
        closing, tag, attributes, closed = found.groups()
        if closing:
            if len(stack) == 1 or stack[-1].tag != tag:
                opened = f"{stack[-1].tag!r} of line {stack[-1].line}" if len(stack) > 1 else "nothing"
                raise TemplateError(f"</{tag}> closes {opened}", line, todo="close the last opened tag")
            stack.pop()
        else:
            attrs = {each[1]: each[2] if each[2] is not None else each[3] for each in _ATTRIBUTE.finditer(attributes)}
            element = Element(tag, attrs, [], line)
            stack[-1].children.append(element)
            if not closed:
                stack.append(element)
            if len(stack) > _MOST_DEEP:
                raise TemplateError("is nested too deep", line, todo="use fewer tags within tags")
        line += found[0].count("\n")
    if at < len(text):
        stack[-1].children.append(text[at:])
    if len(stack) > 1:
        raise TemplateError(f"<{stack[-1].tag}> is not closed", stack[-1].line, todo="close it")
    elements = [each for each in root.children if isinstance(each, Element)]
    words = any(isinstance(each, str) and each.strip() for each in root.children)
    return elements[0] if len(elements) == 1 and not words else root


def _without_comments(text: str) -> str:
    """Remove comments, keeping their line breaks."""
    pieces, at = [], 0
    while (start := text.find("<!--", at)) >= 0:
        end = text.find("-->", start + 4)
        if end < 0:
            line = text.count("\n", 0, start) + 1
            raise TemplateError("a comment is not closed", line, todo="close it with -->")
        pieces += [text[at:start], "\n" * text.count("\n", start, end)]
        at = end + 3
    return "".join((*pieces, text[at:]))


_LOOP = re.compile(r"\s*([A-Za-z_$][\w$]*)\s+in\s+(.+)", re.DOTALL)
MEDIA_TYPES: Mapping[str, str] = {"img": "image/*", "audio": "audio/*"}  # documents are recognised by their bytes
SRC: Mapping[str, ArgumentKind] = {"img": "image", "audio": "audio", "document": "document", "table": "document"}
_WORDS = frozenset({"txt", "md", "markdown", "json", "jsonl", "csv", "tsv", "py", "js", "ts", "html", "xml", "yaml",
                    "yml", "poml", "toml", "log", "css", "sql", "java", "c", "h", "cpp", "go", "rs", "sh"})  # fmt: skip
MOST_INCLUDES = 20

# Attributes that hold data, by tag; the data is passed separately.
DATA: Mapping[str, tuple[str, ...]] = {
    "table": ("records", "columns"), "object": ("data",), "tree": ("items",), "conversation": ("messages",),
    "ToolRequest": ("parameters",), "msg-content": ("content",),
}  # fmt: skip
_NO_STYLE = frozenset({"if", "for", "src", *(name for names in DATA.values() for name in names)})
_LEFT = re.compile(r"\{\{(?!__\d+\}\})")
ASIDE = frozenset({"output-schema", "tool-definition", "runtime", "meta"})


def split_expressions(text: str) -> list[str]:
    """Split a text at its expressions: text, expression, text, and so on.

    >>> split_expressions("a {{b}} c"), split_expressions("{{a")
    (['a ', 'b', ' c'], ['{{a'])
    """
    pieces, at = [], 0
    while (start := text.find("{{", at)) >= 0 and (end := text.find("}}", start + 3)) >= 0:
        pieces += [text[at:start], text[start + 2 : end]]
        at = end + 2
    return [*pieces, text[at:]]


def sole_expression(word: str) -> str:
    """Return the expression if the text consists of exactly one, else ""."""
    pieces = split_expressions(word.strip())
    return pieces[1] if len(pieces) == 3 and not pieces[0] and not pieces[2] else ""


def _bare(word: str) -> str:
    """Return an expression without surrounding braces."""
    text = word.strip()
    return text[2:-2] if text.startswith("{{") and text.endswith("}}") else text


def loop_of(word: str) -> re.Match[str] | None:
    """Match a ``for`` attribute: groups are the name of the item and the list expression; None if it is invalid."""
    return _LOOP.fullmatch(word.strip().removeprefix("{{").removesuffix("}}"))


def parse_expression(word: str, line: int) -> expressions.Node:
    """Return the tree of an expression, with or without braces. Raises TemplateError with the line."""
    try:
        return expressions.parse(_bare(word))
    except TemplateError as error:
        raise TemplateError(str(error), line, error.todo) from None


def include_file(text: str, line: int) -> Element:
    """Parse the text of an included file. Return an element whose children replace the include tag."""
    root = parse(text)
    return root if canonical(root.tag) in ("poml", "_root") else Element("_root", {}, [root], line)


def canonical(tag: str) -> str:
    """Return pomlight's name of a tag."""
    from pomlight.tags import normalize_tag

    tag_name: str = normalize_tag(tag)
    return tag.lower() if tag_name == tag and tag.lower() in SRC else tag_name


class Expansion:
    """Inserts values into a document, once.

    Attributes:
        media: placeholders of media in the text. data: data of tables and objects, by name.
        schema: text of the output schema; schema_line: its line.
    """

    def __init__(self, folder: Path) -> None:
        self.media = Placeholders[MediaPart]()
        self.data: dict[str, Any] = {}
        self.schema = ""
        self.schema_line = 1
        self._folder = folder
        self._budget = RenderingBudget()
        self._includes = 0

    def markup(self, root: Element, names: dict[str, Any]) -> str:
        """Return the expanded document as markup. Raises TemplateError with its line."""
        markup = "".join(self._element(root, names))
        if _LEFT.search(markup):  # pomlight would look for an expression there, and reach whatever Python has
            raise TemplateError("has two opening braces that no expression follows", root.line, todo="write #lbrace;")
        return markup

    def _element(self, element: Element, names: dict[str, Any]) -> Iterator[str]:
        self._budget.step(1, 0)
        condition = element.attrs.get("if")
        if condition is not None and not expressions.is_truthy(self._value(condition, names, element)):
            return
        loop = element.attrs.get("for")
        if loop is None:
            yield from self._expand_element(element, names)
            return
        found = loop_of(loop)
        if found is None:
            raise TemplateError('a loop is written for="item in list"', element.line, todo="write it so")
        items = self._value(found[2], names, element)
        for number, item in enumerate(items if isinstance(items, list) else ()):
            self._budget.step(1, 0)
            at = {"index": number, "length": len(items), "first": number == 0, "last": number == len(items) - 1}
            yield from self._expand_element(element, {**names, found[1]: item, "loop": at})

    def _expand_element(self, element: Element, names: dict[str, Any]) -> Iterator[str]:
        tag = canonical(element.tag)
        if tag == "let":
            self._bind_variable(element, names)
        elif tag == "include":
            yield from self._include(element, names)
        elif tag == "output-schema":
            self.schema = "".join(self._expand_text(element, names, plain=True))
            self.schema_line = element.line
        elif tag == "stylesheet":
            yield f"<stylesheet>{_style(element)}</stylesheet>"
        elif tag in SRC and "src" in element.attrs and self.is_medium(tag, element, names):
            yield self._medium(tag, element, names)
        elif tag == "document":
            text = self._file(self._substitute(element.attrs.get("src", ""), names, element), element)
            yield f'<p whiteSpace="pre">{self._escape(text)}</p>'
        elif tag == "folder":
            yield f"<list>{''.join(self._folder_items(self._tree(element, names)))}</list>"
        elif tag == "p" and any(isinstance(each, Element) and _is_block(each) for each in element.children):
            yield from self._expand_text(element, names)  # pomlight keeps of such a paragraph the words alone
        elif tag not in ASIDE:
            yield from self._tag(tag, element, names)

    def _tag(self, tag: str, element: Element, names: dict[str, Any]) -> Iterator[str]:
        attributes = dict(element.attrs)
        if tag == "table" and "src" in attributes:
            attributes["records"] = self._beside(self._table(attributes.pop("src"), element, names))
            attributes.pop("parser", None)
        pieces = []
        for name, word in attributes.items():
            if name in ("if", "for"):
                continue
            if name in DATA.get(tag, ()) and not word.startswith("{{__"):
                word = self._beside(self._value(word, names, element))
            elif not word.startswith("{{__"):
                word = self._substitute(word, names, element).replace('"', "'")
                word = re.sub(r"\{(?=\{)", "{ ", word)
            pieces.append(f' {name}="{word}"')
        yield f"<{element.tag}{''.join(pieces)}>"
        yield from self._expand_text(element, dict(names) if tag in ("poml", "include") else names)
        yield f"</{element.tag}>"

    def _expand_text(self, element: Element, names: dict[str, Any], *, plain: bool = False) -> Iterator[str]:
        for each in element.children:
            if isinstance(each, Element):
                yield from self._element(each, names)
                continue
            for number, piece in enumerate(split_expressions(each)):
                if not number % 2:
                    yield self._static(piece, plain)
                    continue
                text = expressions.value_text(self._value(piece, names, element))
                yield text if plain else self._escape(text)

    def _static(self, text: str, plain: bool) -> str:
        self._budget.step(0, len(text))
        return text if plain else text.replace("&amp;", "#amp;")

    # ---- values -------------------------------------------------------------------------------------

    def _value(self, word: str, names: Mapping[str, Any], element: Element) -> Any:
        try:
            return expressions.value(expressions.parse(_bare(word)), names, self._budget)
        except TemplateError as error:
            raise TemplateError(str(error), element.line, error.todo) from None

    def _substitute(self, word: str, names: Mapping[str, Any], element: Element) -> str:
        return "".join(
            expressions.value_text(self._value(piece, names, element)) if number % 2 else piece
            for number, piece in enumerate(split_expressions(word))
        )

    def _escape(self, text: str) -> str:
        """Escape a value with POML's own entities, so that it contains neither markup nor expressions."""
        self._budget.step(1, len(text))
        return "".join(ENTITIES.get(letter, letter) for letter in text)

    def _beside(self, value: Any) -> str:
        self._budget.consume_value(value)
        name = f"__{len(self.data)}"
        self.data[name] = value
        return f"{{{{{name}}}}}"

    def _bind_variable(self, element: Element, names: dict[str, Any]) -> None:
        value = let_value(element, self._folder, lambda word: self._value(word, names, element))
        name = element.attrs.get("name")
        bindings = {name: value} if name else value if isinstance(value, Mapping) else {}
        names.update({**bindings, **names} if _is_default(element) else bindings)

    # ---- files and media ------------------------------------------------------------------------------

    def _file(self, name: str, element: Element) -> str:
        return file_text(self._folder, name, element.line, is_user_path="{{" in element.attrs.get("src", ""))

    def _tree(self, element: Element, names: Mapping[str, Any]) -> FolderEntry:
        attributes = {name: self._substitute(word, names, element) for name, word in element.attrs.items()}
        for name in ("data", "syntax"):
            if name in attributes:
                raise TemplateError(f"{name} of a folder is not laid out", element.line, todo="leave it out")
        if attributes.get("showContent", "false").lower() != "false":
            raise TemplateError("files of a folder are named only", element.line, todo="show each with <document>")
        tree = FolderTree(self._folder, element.line, is_user_path="{{" in element.attrs.get("src", ""))
        return tree.read_tree(
            attributes.get("src", ""), attributes.get("maxDepth", str(_DEPTH)), attributes.get("filter", "")
        )

    def _folder_items(self, entry: FolderEntry) -> Iterator[str]:
        yield f"<item>{self._escape(entry.name)}"
        if entry.children:
            yield "<list>"
            for each in entry.children:
                yield from self._folder_items(each)
            yield "</list>"
        yield "</item>"

    def _include(self, element: Element, names: dict[str, Any]) -> Iterator[str]:
        self._includes += 1
        if self._includes > MOST_INCLUDES:
            raise TemplateError(f"includes more than {MOST_INCLUDES} files", element.line, todo="include fewer")
        name = self._substitute(element.attrs.get("src", ""), names, element)
        yield from self._expand_text(include_file(self._file(name, element), element.line), names)

    def is_medium(self, tag: str, element: Element, names: Mapping[str, Any]) -> bool:
        """Return whether a tag inserts a medium; False if its text is requested, or if it names a text file."""
        if tag == "img":
            syntax = element.attrs.get("syntax")
            return syntax == "multimedia" or (not syntax and "alt" not in element.attrs)
        source = self._source(element, names)
        if isinstance(source, str) and URL.match(source):
            return True
        return isinstance(source, MediaValue | list) or tag == "audio" or _file_ending(str(source)) not in _WORDS

    def _source(self, element: Element, names: Mapping[str, Any]) -> Any:
        word = element.attrs["src"].strip()
        hole = sole_expression(word)
        return self._value(hole, names, element) if hole else self._substitute(word, names, element)

    def _medium(self, tag: str, element: Element, names: Mapping[str, Any]) -> str:
        source = self._source(element, names)
        pieces: list[str] = []
        for each in source if isinstance(source, list) else [source]:
            if isinstance(each, MediaValue):
                part = each.part
            else:
                folder = None if "{{" in element.attrs["src"] else self._folder
                try:
                    part = media_part(expressions.value_text(each), MEDIA_TYPES.get(tag, ""), folder)
                except ValueError as error:
                    what, todo = error.args
                    raise TemplateError(what, element.line, todo) from None
                part = part_of(part.source, SRC[tag]) if isinstance(part.source, PathSource) else part
            pieces.append(f"<p>{self.media.add(part)}</p>")
        return "".join(pieces)

    def _table(self, word: str, element: Element, names: Mapping[str, Any]) -> list[Any]:
        text = self._file(self._substitute(word, names, element), element)
        rows = _rows(word, text, element.line)
        columns = element.attrs.get("selectedColumns")
        if columns:
            column_names = [each.strip() for each in columns.split(",")]
            return [{name: row.get(name) for name in column_names} for row in rows if isinstance(row, Mapping)]
        return rows


ENTITIES = {"#": "#hash;", "&": "#amp;", "<": "#lt;", ">": "#gt;", "{": "#lbrace;", "}": "#rbrace;", "\x00": ""}

_BLOCKS = frozenset({"list", "table", "p", "cp", "object", "document", "folder", "img", "audio", "section"})


def _is_block(element: Element) -> bool:
    return canonical(element.tag) in _BLOCKS


def _style(element: Element) -> str:
    """Return a stylesheet without anything that pomlight would evaluate."""
    try:
        settings = json.loads(element.text or "{}")
    except (ValueError, RecursionError):
        raise TemplateError("the stylesheet is not JSON", element.line, todo="write {tag: {property: value}}") from None
    style = {
        str(tag): {str(name): each for name, each in rules.items() if name not in _NO_STYLE}
        for tag, rules in (settings.items() if isinstance(settings, dict) else ())
        if isinstance(rules, dict)
    }
    return json.dumps(style, ensure_ascii=False)


def _file_ending(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""


def _rows(name: str, text: str, line: int) -> list[Any]:
    try:
        if _file_ending(name) == "json":
            rows = json.loads(text)
        elif _file_ending(name) == "jsonl":
            rows = [json.loads(each) for each in text.splitlines() if each.strip()]
        else:
            dialect = "excel-tab" if _file_ending(name) == "tsv" else "excel"
            rows = list(csv.DictReader(io.StringIO(text), dialect=dialect, restval=""))
    except (ValueError, RecursionError, csv.Error):
        raise TemplateError(f"{name} is no table", line, todo="write CSV, TSV, JSON or JSONL") from None
    return rows if isinstance(rows, list) else []


def file_text(folder: Path, name: str, line: int, *, is_user_path: bool = False) -> str:
    """Return the text of a file in the folder. ``is_user_path``: its name depends on a value.

    Raises TemplateError if the file does not exist, or is outside the folder.
    """
    place = folder / name
    if not name or not is_within_folder(folder, place):
        raise TemplateError(f"{name[:80]!r} is not in the folder of the prompt", line, todo="move it there")
    try:
        return text_of(place, what="a file beside the prompt", is_user_path=is_user_path)
    except IntermodalError as error:
        raise TemplateError(f"{name}: {error.what}", line, error.todo) from None


def let_value(element: Element, folder: Path, value: Callable[[str], Any]) -> Any:
    """Return the value of a ``let`` tag: a file next to the prompt, an expression, JSON or text."""
    kind = element.attrs.get("type", "")
    source = element.attrs.get("src")
    if source is not None:
        text = file_text(folder, source, element.line)
        ending = kind or _file_ending(source)
        if ending in ("csv", "tsv", "jsonl"):
            return _rows(source, text, element.line)
        return _json(text) if ending in ("json", "object") else text
    if "value" in element.attrs:
        return value(element.attrs["value"])
    text = element.text.strip()
    return _json(text) if kind in ("json", "object", "number", "integer", "boolean") or text[:1] in "{[" else text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


# ---- files of a document ------------------------------------------------------------------------------
@dataclass
class DocumentReads:
    """The names that a document reads and does not define.

    ``names``: with their lines. ``needed``: always rendered. ``media``: modalities as which a name is used. ``lists``:
    lists whose items are used as media. ``defaulted``: names with a default (``<let default="true">``).
    """

    names: dict[str, int] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    media: dict[str, set[ArgumentKind]] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    defaulted: set[str] = field(default_factory=set)


def reads_of(root: Element, folder: Path) -> DocumentReads:
    """Return the names that a document reads. Raises TemplateError with its line for an invalid expression."""
    found = DocumentReads()
    _collect_names(root, folder, {}, found, sure=True)
    return found


def _collect_names(
    element: Element, folder: Path, bindings: dict[str, str], document_reads: DocumentReads, *, sure: bool
) -> None:
    """Collect the names that an element reads.

    ``bindings``: names that are not arguments; the item of a loop over an argument maps to that argument's name.
    """
    attributes = dict(element.attrs)
    loop = loop_of(attributes.pop("for", ""))
    if loop is not None:
        _collect_names_of_expression(loop[2], element, bindings, document_reads, sure=False)
        over = loop[2].strip()
        bindings = {
            **bindings,
            loop[1]: over if over in document_reads.names and over not in bindings else "",
            "loop": "",
        }
    if "if" in attributes or loop is not None:
        sure = False
    tag = canonical(element.tag)
    whole_words = {"if", *DATA.get(tag, ()), *(("value",) if tag == "let" else ())}
    for name, word in attributes.items():
        for hole in [word] if name in whole_words else split_expressions(word)[1::2]:
            _collect_names_of_expression(hole, element, bindings, document_reads, sure=sure and name != "if")
        whole = sole_expression(word).strip()
        if name == "src" and tag in SRC:
            argument = bindings.get(whole) or (whole if whole in document_reads.names and whole not in bindings else "")
            if argument:
                document_reads.media.setdefault(argument, set()).add(SRC[tag])
                document_reads.lists |= {argument} if whole in bindings else set()
    if tag == "let":
        _collect_reads(element, folder, bindings, document_reads)
    elif tag != "stylesheet":
        for each in element.children:
            if isinstance(each, Element):
                _collect_names(each, folder, bindings, document_reads, sure=sure)
            else:
                for hole in split_expressions(each)[1::2]:
                    _collect_names_of_expression(hole, element, bindings, document_reads, sure=sure)


def _is_default(element: Element) -> bool:
    """Return whether this ``let`` only defines defaults, so that its names may be given as arguments."""
    return element.attrs.get("default", "").lower() == "true"


def _collect_reads(element: Element, folder: Path, bindings: dict[str, str], document_reads: DocumentReads) -> None:
    names: Iterable[str] = ()
    if name := element.attrs.get("name"):
        names = (name,)
    elif "value" not in element.attrs:
        value = let_value(element, folder, lambda word: None)
        names = value if isinstance(value, Mapping) else ()
    if not _is_default(element):
        bindings.update(dict.fromkeys(names, ""))
        return
    for each in names:
        if each not in bindings:
            document_reads.names.setdefault(each, element.line)
            document_reads.defaulted.add(each)


def _collect_names_of_expression(
    word: str, element: Element, bindings: Mapping[str, str], document_reads: DocumentReads, *, sure: bool
) -> None:
    for name in expressions.names(parse_expression(word, element.line)):
        if name not in bindings:
            document_reads.names.setdefault(name, element.line)
            if sure and name not in document_reads.defaulted:
                document_reads.needed.add(name)


# ---- folders ----------------------------------------------------------------------------------------
_DEPTH = 3  # levels below the folder, unless maxDepth states another number
_DEEPEST = 16
_MOST = 2_000  # names
_STEPS = 1_000_000  # of matching a filter


class FolderEntry(NamedTuple):
    """A name, and the contents if it is a folder that is listed."""

    name: str
    children: tuple[FolderEntry, ...] = ()


class FolderTree:
    """Reads the tree of a folder. ``is_user_path``: its name depends on a value."""

    def __init__(self, home: Path, line: int, *, is_user_path: bool) -> None:
        self._home = home
        self._line = line
        self._chosen = is_user_path
        self._left = _MOST

    def read_tree(self, name: str, depth: str, pattern: str) -> FolderEntry:
        """Return the tree.

        Raises TemplateError for a folder that does not exist or is outside the prompt's folder, and for more than 2,000
        names.
        """
        place = self._home / name
        if not name or not is_within_folder(self._home, place):
            raise TemplateError(f"{name[:80]!r} is not in the folder of the prompt", self._line, todo="move it there")
        if not depth.isdecimal() or not 1 <= int(depth) <= _DEEPEST:
            raise TemplateError(f"maxDepth is {depth[:20]!r}", self._line, todo=f"write a number, 1 to {_DEEPEST}")
        keeps = self._filter(pattern)
        return FolderEntry(place.resolve().name, tuple(self._entries(place, int(depth), keeps)))

    def _entries(self, place: Path, depth: int, keeps: Callable[[str], bool]) -> Iterator[FolderEntry]:
        try:
            found = names_of(place, is_user_path=self._chosen)
        except IntermodalError as error:
            raise TemplateError(f"{place.name}: {error.what}", self._line, error.todo) from None
        for name, folder in found:
            if not keeps(name):
                continue
            self._left -= 1
            if self._left < 0:
                todo = "name a smaller folder, or give it a filter or a maxDepth"
                raise TemplateError(f"a folder has more than {_MOST:,} names", self._line, todo)
            inner = tuple(self._entries(place / name, depth - 1, keeps)) if folder and depth > 1 else ()
            yield FolderEntry(name, inner)

    def _filter(self, pattern: str) -> Callable[[str], bool]:
        if not pattern:
            return lambda name: True
        budget = StepBudget(_STEPS)
        try:
            compiled = compile_pattern(pattern, budget)
        except InvalidSchema as error:
            raise TemplateError(f"filter: {error.what}", self._line, "write a simpler one") from None

        def keeps(name: str) -> bool:
            try:
                return compiled.occurs_in(name, budget)
            except BudgetExhausted:
                raise TemplateError("filter: takes too long", self._line, "write a simpler one") from None

        return keeps
