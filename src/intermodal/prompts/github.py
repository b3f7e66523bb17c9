"""GitHub's ``.prompt.yml``: messages with ``{{names}}``, test data and checks of the answers.

https://docs.github.com/github-models/use-github-models/storing-prompts-in-github-repositories. An answer is right if
``gh models eval`` considers it right; evaluators that call another model are reported and not run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.client import answer_schema as schemas
from intermodal.core.content import Role, Text
from intermodal.core.request import JsonOutput, Message, Output, TextOutput
from intermodal.errors import SchemaInvalid
from intermodal.prompts import prompt_options
from intermodal.prompts.prompt_file import Argument, PromptExample, PromptFile, PromptFinding
from intermodal.prompts.rendering import MOST_LETTERS, RenderingBudget, TemplateError, locate_error, with_history
from intermodal.prompts.source_text import FrontMatter, parse_mapping, shown_value

ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_KEYS = (
    "name", "description", "model", "modelParameters", "messages", "testData", "evaluators", "responseFormat",
    "jsonSchema",
)  # fmt: skip
NAME = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
_STRINGS = ("equals", "contains", "startsWith", "endsWith")


class GithubMessage(NamedTuple):
    role: Role
    content: str
    line: int


@dataclass(frozen=True)
class GithubTemplate:
    """Messages with names to be replaced by values.

    All are replaced in one pass, so that values are not searched for names.
    """

    path: Path
    templates: tuple[GithubMessage, ...]

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        messages = []
        budget = RenderingBudget()
        for each in self.templates:
            text, used = substitute(each.content, values, budget.letters)
            try:
                budget.step(0, used)
            except TemplateError as error:
                raise locate_error(self.path, each.line, error) from None
            messages.append(Message(role=each.role, parts=(Text(text=text),)))
        return with_history(messages, history)


def substitute(text: str, values: Mapping[str, Any], most: int) -> tuple[str, int]:
    """Return the text with names replaced by values, and its length; stops early if it exceeds ``most``."""
    pieces: list[str] = []
    length = at = 0
    for found in NAME.finditer(text):
        value = _value_text(values[found[1]]) if found[1] in values else found[0]
        pieces += (text[at : found.start()], value)
        length += found.start() - at + len(value)
        at = found.end()
        if length > most:
            break
    pieces.append(text[at:])
    return "".join(pieces), length + len(text) - at


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Github:
    """The format."""

    name = "GitHub"
    endings = (".prompt.yml", ".prompt.yaml")

    def read(self, path: Path, text: str) -> tuple[PromptFile, ...]:
        """Return the prompt in a file. Raises PromptError with file and line."""
        return (_Reader(path, parse_mapping(path, text)).prompt(),)


class _Reader:
    def __init__(self, path: Path, front: FrontMatter) -> None:
        self._path = path
        self._front = front
        self._said: Mapping[str, Any] = front.value
        self._findings: list[PromptFinding] = []

    def prompt(self) -> PromptFile:
        messages = self._messages()
        lines: dict[str, int] = {}
        for each in messages:
            for found in NAME.finditer(each.content):
                lines.setdefault(found[1], each.line)
        table = self._said.get("modelParameters") or {}
        if not isinstance(table, Mapping):
            raise self._front.error(("modelParameters",), "is not a mapping of keys", "write temperature: 0.5")
        sampling, settings, unread = prompt_options.sampling(table, self._front, ("modelParameters",))
        self._findings += unread
        self._findings += self._front.unknown(_KEYS, "take it out")
        examples = self._examples(lines)
        return PromptFile(
            path=str(self._path),
            name=str(self._said.get("name") or re.sub(r"\.prompt\.ya?ml$", "", self._path.name)),
            format=Github.name,
            template=GithubTemplate(self._path, messages),
            arguments=tuple(Argument(name=name, line=line) for name, line in lines.items()),
            description=str(self._said.get("description") or ""),
            output=self._output(),
            model=str(self._said.get("model") or ""),
            sampling=sampling,
            settings=settings,
            examples=examples,
            findings=tuple(self._findings),
            lines={
                **{key: self._front.line((key,)) for key in self._said}, "template": self._front.line(("messages",)),
                "input": self._front.line(("messages",)), "output": self._front.line(("jsonSchema",)),
            },
        )  # fmt: skip

    def _messages(self) -> tuple[GithubMessage, ...]:
        rows = self._said.get("messages")
        if not isinstance(rows, list) or not rows:
            raise self._front.error(("messages",), "there are none", "write messages: [{role: user, content: …}]")
        messages = []
        for number, each in enumerate(rows):
            at = ("messages", number)
            if not isinstance(each, Mapping) or not isinstance(each.get("content"), str):
                raise self._front.error(at, "is no message", "write role and content")
            role = ROLES.get(str(each.get("role")).lower())
            if role is None:
                raise self._front.error(
                    (*at, "role"), f"{shown_value(each.get('role'))} is no role", f"write {' or '.join(ROLES)}"
                )
            messages.append(GithubMessage(role, each["content"], self._front.line((*at, "content"))))
        return tuple(messages)

    def _output(self) -> Output:
        form, schema_text = self._said.get("responseFormat"), self._said.get("jsonSchema")
        if form not in (None, "text", "json_object", "json_schema"):
            raise self._front.error(
                ("responseFormat",), f"{shown_value(form)} is not known", "write text, json_object or json_schema"
            )
        if form == "json_schema" and schema_text is None:
            raise self._front.error(("responseFormat",), "asks for jsonSchema, which is not there", "write jsonSchema")
        if form == "json_object":
            return JsonOutput(schema={"type": "object"})
        if schema_text is None or form == "text":
            return TextOutput()
        if isinstance(schema_text, str):
            try:
                schema_text = json.loads(schema_text)
            except (ValueError, RecursionError) as error:
                raise self._front.error(("jsonSchema",), f"is no JSON ({error})", "write a JSON Schema") from None
        schema = schema_text.get("schema", schema_text) if isinstance(schema_text, Mapping) else None
        if not isinstance(schema, Mapping):
            raise self._front.error(("jsonSchema",), "is no schema", "write {name: …, schema: {…}}")
        try:
            return schemas.json_output(schema, strict=schema is not schema_text and schema_text.get("strict") is True)
        except SchemaInvalid as error:
            raise self._front.error(("jsonSchema",), error.what, error.todo) from None

    # ---- tests ------------------------------------------------------------------------------------

    def _examples(self, names: Mapping[str, int]) -> tuple[PromptExample, ...]:
        rows = self._said.get("testData") or []
        if not isinstance(rows, list):
            raise self._front.error(("testData",), "is no list", "write testData: [{input: …, expected: …}]")
        examples = []
        for number, each in enumerate(rows):
            at = ("testData", number)
            if not isinstance(each, Mapping):
                raise self._front.error(at, "is not a mapping of values", "write input and expected")
            examples.append(
                PromptExample(
                    arguments={name: value for name, value in each.items() if name in names},
                    line=self._front.line(at),
                    checks=self._checks(each),
                )
            )
        if examples:
            self._list_ignored()
        return tuple(examples)

    def _checks(self, data: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """Return the checks of an answer in the form of ``eval``'s items; ``expected`` if there is no evaluator."""
        patterns = []
        for number, each in enumerate(self._evaluators()):
            strings = each.get("string")
            if not isinstance(strings, Mapping):
                continue
            kind = next((name for name in _STRINGS if strings.get(name)), None)
            if kind is None:
                at = ("evaluators", number, "string")
                raise self._front.error(at, "says nothing to look for", f"write {' or '.join(_STRINGS)}")
            expected_text, _ = substitute(str(strings[kind]), data, MOST_LETTERS)
            patterns.append(_PATTERNS[kind].format(re.escape(expected_text)))
        if patterns:
            return ({"compare": "regex", "expected": patterns, "all": True},)
        if self._evaluators() or data.get("expected") is None:
            return ()
        expected = data["expected"]
        if isinstance(expected, Mapping | list):
            return ({"compare": "json", "expected": expected},)
        return ({"compare": "exact", "expected": str(expected)},)

    def _evaluators(self) -> list[Mapping[str, Any]]:
        rows = self._said.get("evaluators") or []
        if not isinstance(rows, list) or not all(isinstance(each, Mapping) for each in rows):
            raise self._front.error(
                ("evaluators",), "is not a list of evaluators", "write evaluators: [{name: …, string: …}]"
            )
        return rows

    def _list_ignored(self) -> None:
        for number, each in enumerate(self._evaluators()):
            if "string" not in each:
                evaluator = str(each.get("uses") or "llm")
                what = f"evaluator {each.get('name') or evaluator!r} asks another model ({evaluator}), and is not run"
                at = ("evaluators", number)
                self._findings.append(self._front.warning(at, what, "check what can be checked with string"))


# Only ``equals`` is case-sensitive, as in ``gh models eval``.
_PATTERNS = {
    "equals": r"\A\s*(?-i:{})\s*\Z", "contains": "{}", "startsWith": r"\A\s*{}", "endsWith": r"{}\s*\Z",
}  # fmt: skip

FORMAT = Github()
