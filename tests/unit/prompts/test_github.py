"""GitHub's ``.prompt.yml``: messages, schema, and test data that become tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from intermodal.core.content import Text
from intermodal.core.request import JsonOutput, Message
from intermodal.errors import PromptError
from intermodal.prompts import argument_values, formats
from intermodal.prompts.lint import lint
from intermodal.prompts.prompt_file import PromptFile

# From GitHub's documentation of the format.
SUMMARIZER = """name: Text Summarizer
description: Summarizes input text concisely
model: openai/gpt-4o-mini
modelParameters:
  temperature: 0.5
messages:
  - role: system
    content: You are a text summarizer. Your only job is to summarize text given to you.
  - role: user
    content: |
      Summarize the given text, beginning with "Summary -":
      <text>
      {{input}}
      </text>
testData:
  - input: |
      The quick brown fox jumped over the lazy dog.
      The dog was too tired to react.
    expected: Summary - A fox jumped over a lazy, unresponsive dog.
evaluators:
  - name: Output should start with 'Summary -'
    string:
      startsWith: 'Summary -'
"""
SCHEMA = """model: openai/gpt-4.1
responseFormat: json_schema
jsonSchema: |-
  {"name": "animal", "strict": true, "schema": {"type": "object",
   "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false}}
messages:
  - {role: user, content: "Name {{ what }}."}
"""


def read(tmp_path: Path, text: str) -> PromptFile:
    path = tmp_path / "case.prompt.yml"
    path.write_text(text)
    return formats.load(path)


def test_the_documented_example_is_read_with_its_test(tmp_path: Path) -> None:
    file = read(tmp_path, SUMMARIZER)
    assert (file.name, file.model, file.sampling.temperature) == ("Text Summarizer", "openai/gpt-4o-mini", 0.5)
    assert [(each.name, each.kind, each.line) for each in file.arguments] == [("input", "text", 10)]
    (example,) = file.examples
    assert list(example.arguments) == ["input"]
    (check,) = example.checks
    assert (check["compare"], check["all"]) == ("regex", True)
    for answer, right in ((" summary - A fox", True), ("The Summary - x", False)):
        assert bool(re.search(check["expected"][0], answer, re.IGNORECASE)) is right
    assert lint([tmp_path]).found == ()


def test_a_json_schema_is_what_the_answer_has_to_be(tmp_path: Path) -> None:
    file = read(tmp_path, SCHEMA)
    assert isinstance(file.output, JsonOutput)
    assert file.output.schema["required"] == ["name"]
    assert file.template.messages({"what": "a bird"}) == (Message(role="user", parts=(Text(text="Name a bird."),)),)


@pytest.mark.parametrize("value", ["{{other}}", "{{input}}{{input}}", "{{{{", "${HOME}"])
def test_a_value_is_not_read_for_names(tmp_path: Path, value: str) -> None:
    file = read(tmp_path, "messages:\n  - {role: user, content: 'say {{input}} and {{other}}'}\n")
    (message,) = file.template.messages(argument_values.bind_values(file, {"input": value, "other": "x"}))
    assert message.parts == (Text(text=f"say {value} and x"),)


def test_a_text_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    file = read(tmp_path, f"messages:\n  - role: user\n    content: '{'{{a}}' * 1_000}'\n")
    with pytest.raises(PromptError, match="32 MiB") as caught:
        file.template.messages({"a": "x" * 1_000_000})
    assert caught.value.where.endswith(":3")


@pytest.mark.parametrize(
    ("string", "answer", "right"),
    [
        ("equals: Yes", "Yes\n", True), ("equals: Yes", "yes", False), ("contains: yes", "Oh YES, I do", True),
        ("contains: '{{expected}}'", "it is a.b", True), ("contains: '{{expected}}'", "it is axb", False),
        ("endsWith: done", "well Done ", True), ("endsWith: done", "done it", False),
    ],
)  # fmt: skip
def test_evaluators_say_what_githubs_own_say(tmp_path: Path, string: str, answer: str, right: bool) -> None:
    from intermodal.evaluation.dataset import example_dataset
    from intermodal.evaluation.graders import RouteAnswer, grade

    text = "messages:\n  - {role: user, content: 'a {{q}}'}\ntestData:\n  - {q: b, expected: a.b}\n"
    file = read(tmp_path, f"{text}evaluators:\n  - name: it\n    string: {{{string}}}\n")
    (item,) = example_dataset(file)[0].items
    assert grade(item, RouteAnswer(text=answer)).right is right


def test_without_an_evaluator_the_answer_is_to_be_what_is_expected(tmp_path: Path) -> None:
    text = "messages:\n  - {role: user, content: 'a {{q}}'}\ntestData:\n"
    file = read(tmp_path, f"{text}  - {{q: b, expected: Yes}}\n  - {{q: c, expected: {{n: 1}}}}\n  - {{q: d}}\n")
    assert [each.checks for each in file.examples] == [
        ({"compare": "exact", "expected": "Yes"},), ({"compare": "json", "expected": {"n": 1}},), (),
    ]  # fmt: skip


def test_an_evaluator_that_asks_a_model_is_named_and_not_run(tmp_path: Path) -> None:
    text = "messages:\n  - {role: user, content: 'a {{q}}'}\ntestData:\n  - {q: b, expected: c}\nevaluators:\n"
    file = read(tmp_path, f"{text}  - name: alike\n    uses: github/similarity\n")
    assert [(each.level, each.line) for each in file.findings] == [("warning", 6)]
    assert "github/similarity" in file.findings[0].what
    assert file.examples[0].checks == ()


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("model: x\n", 1, "there are none"),
        ("messages:\n  - {role: boss, content: x}\n", 2, "'boss' is no role"),
        ("messages:\n  - {role: user}\n", 2, "is no message"),
        ("messages:\n  - {role: user, content: x}\nresponseFormat: xml\n", 3, "'xml' is not known"),
        ("messages:\n  - {role: user, content: x}\nresponseFormat: json_schema\n", 3, "jsonSchema, which is not there"),
        ("messages:\n  - {role: user, content: x}\njsonSchema: '{'\n", 3, "is no JSON"),
        ("messages: [\n", 2, "is not YAML"),
        ("messages:\n  - {role: user, content: x}\ntestData: 3\n", 3, "is no list"),
        ("messages:\n  - {role: user, content: x}\nmodelParameters: {temperature: hot}\n", 3, "expected"),
    ],
)
def test_an_error_names_the_line_of_the_file(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(PromptError, match=re.escape(says)) as caught:
        read(tmp_path, text)
    assert caught.value.where.endswith(f".yml:{line}")


def test_arguments_are_held_against_the_names_of_the_messages(tmp_path: Path) -> None:
    file = read(tmp_path, SUMMARIZER)
    given: dict[str, Any] = {"inptu": "x"}
    with pytest.raises(PromptError, match="did you mean input"):
        argument_values.bind_values(file, given)
