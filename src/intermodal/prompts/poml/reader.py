"""Microsoft's POML: tags for roles, tasks, examples, media, tables; laid out as text by ``pomlight``.

https://microsoft.github.io/poml. pomlight's own expressions can reach every attribute of Python, and its own tags every
file of the machine. Expressions, loops, conditions and files are therefore handled here (``expansion.py``), over plain
data and within limits; pomlight receives a document that only has to be laid out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intermodal.client import answer_schema as schemas
from intermodal.core.content import Part, Role, Text
from intermodal.core.request import JsonOutput, Message, Output, TextOutput, Tool
from intermodal.errors import NotInstalled, PromptError, SchemaInvalid
from intermodal.prompts import prompt_options
from intermodal.prompts.poml.expansion import DocumentReads, Element, Expansion, canonical, parse, reads_of
from intermodal.prompts.prompt_file import Argument, ArgumentKind, PromptFile, PromptFinding
from intermodal.prompts.rendering import TemplateError, with_history
from intermodal.prompts.source_text import FrontMatter

_ROLES: Mapping[str, Role] = {"system": "system", "human": "user", "ai": "assistant", "tool": "user"}
_UNREAD: Mapping[str, str] = {
    "webpage": "give its text as an argument",
    "video": "give it with <document>",
}  # fmt: skip


@dataclass(frozen=True)
class PomlTemplate:
    """The document of a file."""

    path: Path
    root: Element

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        expansion, markup = self._expand(values)
        return with_history(tuple(self._messages(expansion, markup)), history)

    def output(self, values: Mapping[str, Any]) -> Output:
        """Return the output that the document requests for these values."""
        expansion, _ = self._expand(values)
        return output_of(self.path, expansion.schema, expansion.schema_line)

    def _expand(self, values: Mapping[str, Any]) -> tuple[Expansion, str]:
        expansion = Expansion(self.path.parent)
        try:
            return expansion, expansion.markup(self.root, dict(values))
        except TemplateError as error:
            raise locate_error(self.path, error) from None
        except RecursionError:
            raise PromptError("is nested too deep", where=str(self.path), todo="use fewer tags within tags") from None

    def _messages(self, expansion: Expansion, markup: str) -> Iterator[Message]:
        from pomlight import read_full, write

        by_speaker: Any = {"speaker": True}
        try:
            laid_out = write(read_full(markup, None, expansion.data).blocks, by_speaker)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            what = f"cannot be laid out ({type(error).__name__})"
            raise PromptError(
                what, where=f"{self.path}:{self.root.line}", todo="look at its tables and lists"
            ) from None
        for each in laid_out if isinstance(laid_out, list) else ():
            text = each.content if isinstance(each.content, str) else "\n\n".join(map(str, each.content))
            parts: list[Part] = []
            pieces = expansion.media.split_at_marks(text)
            for piece in pieces:
                if not isinstance(piece, str):
                    parts.append(piece)
                elif piece.strip():
                    parts.append(Text(text=piece.strip("\n") if len(pieces) > 1 else piece))
            if parts:
                yield Message(role=_ROLES[each.speaker], parts=tuple(parts))


def locate_error(path: Path, error: TemplateError) -> PromptError:
    """Return the error with file and line."""
    where = f"{path}:{error.line}" if error.line else str(path)
    return PromptError(str(error), where=where, todo=error.todo)


def output_of(path: Path, schema_text: str, line: int) -> Output:
    """Return the output for the text of an output schema; a text output if it is empty. Raises PromptError."""
    if not schema_text.strip():
        return TextOutput()
    try:
        schema = json.loads(schema_text)
        output: JsonOutput = schemas.json_output(schema if isinstance(schema, dict) else {})
    except (ValueError, RecursionError):
        code = re.match(r"\s*z\.\w", schema_text) is not None
        what = "the output schema is code of Zod, which is not run" if code else "the output schema is not JSON"
        raise PromptError(
            what, where=f"{path}:{line}", todo="write a JSON Schema, or give one as an argument"
        ) from None
    except SchemaInvalid as error:
        raise PromptError(error.what, where=f"{path}:{line}", todo=error.todo) from None
    return output


class Poml:
    """The format."""

    name = "POML"
    endings = (".poml",)

    def read(self, path: Path, text: str) -> tuple[PromptFile, ...]:
        """Return the prompt in a file. Raises PromptError with file and line."""
        try:
            import pomlight  # noqa: F401 - said here, before anybody renders
        except ImportError:
            raise NotInstalled("POML needs pomlight", todo="run: pip install 'intermodal[prompts]'") from None
        try:
            root = parse(text)
            reads = reads_of(root, path.parent)
        except TemplateError as error:
            raise locate_error(path, error) from None
        return (_prompt(path, root, reads),)


def _prompt(path: Path, root: Element, reads: DocumentReads) -> PromptFile:
    findings = list(_prompt_findings(root))
    schema = next((each for each in _all_elements(root) if canonical(each.tag) == "output-schema"), None)
    by_values = schema is not None and "{{" in schema.text
    output = output_of(path, schema.text, schema.line) if schema is not None and not by_values else TextOutput()
    sampling, settings, unread, model = _runtime(path, root)
    template = PomlTemplate(path, root)
    return PromptFile(
        path=str(path),
        name=path.name.removesuffix(".poml"),
        format=Poml.name,
        template=template,
        arguments=tuple(
            Argument(
                name=name, kind=_kind(reads, name), required=name in reads.needed, many=name in reads.lists, line=line
            )
            for name, line in reads.names.items()
        ),
        output=output,
        output_by=template.output if by_values else None,
        model=model,
        sampling=sampling,
        settings=settings,
        tools=tuple(_tools(root, findings)),
        findings=(*findings, *unread),
        lines={"template": root.line, "output": schema.line if schema is not None else root.line},
    )


def _kind(reads: DocumentReads, name: str) -> ArgumentKind:
    kinds = reads.media.get(name, set())
    return next(iter(kinds)) if len(kinds) == 1 else "file" if kinds else "json"


def _all_elements(root: Element) -> Iterator[Element]:
    yield root
    for each in root.children:
        if isinstance(each, Element):
            yield from _all_elements(each)


def _prompt_findings(root: Element) -> Iterator[PromptFinding]:
    from pomlight.tags import BLOCK_TAGS

    known = {*BLOCK_TAGS, "poml", "_root", "folder", "item", "b", "i", "u", "s", "strike", "br", "span", "meta"}
    for each in _all_elements(root):
        tag = canonical(each.tag)
        if tag not in known:
            todo = _UNREAD.get(tag, "use a tag of POML's own list")
            yield PromptFinding("error", each.line, f"<{each.tag}> is not rendered here", todo)
        if tag == "document" and "selectedPages" in each.attrs:
            yield PromptFinding(
                "warning",
                each.line,
                "selectedPages is not followed",
                "give a file of these pages alone, or choose the pages for the request",
            )
        if tag == "img" and "alt" in each.attrs and not each.attrs.get("syntax"):  # POML's own rule
            what = "<img> with alt and without syntax stands for the words of alt, and the image is not sent"
            yield PromptFinding("warning", each.line, what, 'write syntax="multimedia" to send it')


def _runtime(path: Path, root: Element) -> tuple[Any, Any, list[PromptFinding], str]:
    found = next((each for each in _all_elements(root) if canonical(each.tag) == "runtime"), None)
    if found is None:
        return (*prompt_options.sampling({}, FrontMatter(name=str(path), value={}, lines={})), "")
    settings = {
        re.sub(r"-([a-z])", lambda one: one[1].upper(), key): _plain_value(word) for key, word in found.attrs.items()
    }
    model = str(settings.pop("model", ""))
    settings.pop("provider", None)
    front = FrontMatter(name=str(path), value={}, lines={("runtime",): found.line})
    return (*prompt_options.sampling(settings, front, ("runtime",)), model)


def _plain_value(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word


def _tools(root: Element, findings: list[PromptFinding]) -> Iterator[Tool]:
    for each in _all_elements(root):
        if canonical(each.tag) != "tool-definition" or "name" not in each.attrs:
            continue
        schema: Any = None
        if each.text.strip():
            try:
                schema = json.loads(each.text)
            except (ValueError, RecursionError):
                what = f"the parameters of tool {each.attrs['name']!r} are not JSON"
                findings.append(PromptFinding("warning", each.line, what, "write a JSON Schema"))
        tool = Tool(name=each.attrs["name"], description=each.attrs.get("description", ""))
        if isinstance(schema, dict):
            tool = Tool(name=tool.name, description=tool.description, schema=schema)
        yield tool


FORMAT = Poml()
