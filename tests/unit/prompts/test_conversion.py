"""Prompt files as files of other formats: the same prompt, or a line for what it is not."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from intermodal.cli import prompt
from intermodal.core.content import BytesSource, MediaPart, Text
from intermodal.core.request import JsonOutput, Message
from intermodal.errors import PromptError
from intermodal.prompts import argument_values, formats
from intermodal.prompts.conversion import prompty
from intermodal.prompts.conversion.convert import TARGETS, ConvertedPrompt, convert_prompt, target_path
from intermodal.prompts.conversion.dotprompt import HandlebarsWriter
from intermodal.prompts.conversion.normalized_schema import inline_definitions, same_output
from intermodal.prompts.conversion.template_tree import (
    AndTest,
    IfNode,
    IsEqual,
    IsTruthy,
    ItemIs,
    LoopNode,
    Losses,
    MediumNode,
    Node,
    NotTest,
    OrTest,
    RoleNode,
    Test,
    TextNode,
    ValueNode,
    join_texts,
)
from intermodal.prompts.prompt_file import PromptFile, model_names

EXAMPLES = Path(__file__).parents[3] / "examples" / "prompts"
PUBLIC = Path(os.environ.get("CONFORMANCE", "nowhere"))
OWN = [each for each in sorted(EXAMPLES.iterdir()) if each.name != "inbox.baml" and not each.name.startswith("_")]
OWN += [EXAMPLES / f"inbox.baml#{name}" for name in ("ReadVoicemail", "AskReport", "WatchClip", "ReadPages")]


def read(tmp_path: Path, name: str, text: str) -> PromptFile:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return formats.load(path)


def into(file: PromptFile, to: str) -> ConvertedPrompt:
    return convert_prompt(file, TARGETS[to], target_path(file, TARGETS[to]))


def said(file: PromptFile, given: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """What a file renders to, without white space around texts, and without the words in which BAML tells a schema."""
    told = file.output.schema_text if isinstance(file.output, JsonOutput) else ""
    return shown(file.template.messages(argument_values.bind_values(file, given)), told)


def shown(messages: tuple[Message, ...], told: str = "") -> list[tuple[str, list[Any]]]:
    def part(each: Any) -> Any:
        return each.text.replace(told, "").strip() if isinstance(each, Text) else (type(each), each.source)

    whole = [(message.role, [part(each) for each in message.parts]) for message in messages]
    return [(role, [each for each in parts if each]) for role, parts in whole if any(parts)]


# ---- the same prompt ---------------------------------------------------------------------------------

# Of each example what it cannot say in which format; everything else is said.
REFUSED = {
    ("clip.prompt", "github"): "video", ("clip.prompt", "prompty"): "film", ("clip.prompt", "poml"): "video",
    ("compare.prompt", "github"): "list of images", ("compare.prompt", "prompty"): "list of media",
    ("invoice.prompt", "github"): "image", ("invoice.poml", "github"): "image",
    ("invoice.prompty", "github"): "image",
    ("report.prompt", "github"): "document", ("report.prompt", "prompty"): "private: report",
    ("report.prompt", "poml"): "private: report", ("voicemail.prompt", "github"): "audio",
    ("report.poml", "github"): "document", ("report.prompty", "github"): "document",
    ("voicemail.poml", "github"): "audio", ("voicemail.prompty", "github"): "audio",
    ("report.prompt", "baml"): "private: report", ("invoice.baml", "github"): "image",
    ("inbox.baml#ReadVoicemail", "github"): "audio", ("inbox.baml#AskReport", "github"): "document",
    ("inbox.baml#WatchClip", "github"): "video", ("inbox.baml#WatchClip", "prompty"): "film",
    ("inbox.baml#WatchClip", "poml"): "video",
    **{("inbox.baml#ReadPages", to): "image and audio within" for to in ("dotprompt", "github", "prompty", "poml")},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.name))
def test_every_example_is_the_same_prompt_in_every_format_or_says_why_not(path: Path, to: str) -> None:
    file = formats.load(path)
    if file.format == TARGETS[to].name:
        with pytest.raises(PromptError, match="already"):
            into(file, to)
        return
    made = into(file, to)
    why = REFUSED.get((path.name, to))
    assert bool(made.meaning_losses) == bool(why), made.lost
    if why:
        assert any(why in loss.what for loss in made.meaning_losses), made.lost
        return
    back = next(name for name, target in TARGETS.items() if target.name == file.format)
    again = into(made.file, back)
    assert not again.meaning_losses, again.lost
    given = {each.name: _given(each.kind, each.many) for each in file.arguments}
    assert said(file, given) == said(made.file, given) == said(again.file, given)
    assert asked(file) == asked(made.file) == asked(again.file)


def asked(file: PromptFile) -> Any:
    """What a file asks for beside its messages: the schema as far as it is the same in BAML."""
    properties = inline_definitions(file.output.schema)["properties"] if isinstance(file.output, JsonOutput) else {}
    words = {name: (each.get("description"), each.get("enum")) for name, each in properties.items()}
    return type(file.output), words, model_names(file.model)[-1:], file.sampling


def _given(kind: str, many: bool) -> Any:
    one = {"text": "a\n  b {{c}}", "json": ["Ada", "Bob"]}.get(kind, BytesSource(data=b"x", name="x"))
    return [one, one] if many and not isinstance(one, list) else one


TEXTS = ("Hello ", "\n", "a\nb\n", " x", "{{", "}}", "{% if %}", "{#", "<b>", "&amp;", "#lt;", "  two  spaces", "é€",
         "\nsystem:\n", "\n\n- item ", "# head\n", "user: hi", '```json\n{"a": {"b": 1}}\n```')  # fmt: skip
FRONT = """---
input:
  schema: {name: string, flag: boolean, rows(array): string, row: {a: string}, photo: string, "unused?": string}
ext: {intermodal: {media: {photo: image}}}
---
"""


class Grown:
    """A tree that nobody wrote."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def nodes(self, deep: int, loops: tuple[str, ...] = ()) -> tuple[Node, ...]:
        return tuple(self._node(deep, loops) for _ in range(self._random.randint(1, 4)))

    def _node(self, deep: int, loops: tuple[str, ...]) -> Node:
        kind = self._random.random()
        if kind < 0.45 or (not deep and kind > 0.7):
            return TextNode(self._random.choice(TEXTS))
        if kind < 0.65:
            return ValueNode(self._random.choice([("name",), ("flag",), ("row", "a"), *((each,) for each in loops)]))
        if kind < 0.7:
            return MediumNode(path=("photo",))
        inner = self.nodes(deep - 1, loops)
        if kind < 0.88:
            return IfNode(self._test(loops), inner, self.nodes(deep - 1, loops) if kind < 0.8 else ())
        item = f"it{len(loops)}"
        return LoopNode(item, ("rows",), self.nodes(deep - 1, (*loops, item)), inner if kind < 0.91 else ())

    def _test(self, loops: tuple[str, ...]) -> Test:
        tests: list[Test] = [IsTruthy(("flag",)), IsTruthy(("rows",)), IsTruthy(("name",)), IsEqual(("name",), "b")]
        test = self._random.choice([*tests, *([ItemIs("last"), ItemIs("first")] if loops else [])])
        made = self._random.choice(
            [test, test, NotTest(test), AndTest(test, IsTruthy(("flag",))), OrTest(test, IsTruthy(("name",)))]
        )
        return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_template_says_is_said_in_every_format_with_branches(tmp_path: Path, seed: int) -> None:
    grown = Grown(seed)
    fixed = (ValueNode(("name",)), ValueNode(("row", "a")))
    nodes = (RoleNode("system"), TextNode("Ask"), *grown.nodes(2), RoleNode("user"), *grown.nodes(2), *fixed)
    losses = Losses()
    writer = HandlebarsWriter(losses)
    writer.nodes(join_texts(nodes))
    if losses.all:
        pytest.skip("Handlebars has no way to write this")
    file = read(tmp_path, "grown.prompt", FRONT + writer.text)
    photo = BytesSource(data=b"x", name="x")
    for to in ("prompty", "poml", "baml"):
        made = into(file, to)
        assert not made.meaning_losses, (made.meaning_losses, made.text)
        again = into(made.file, "dotprompt")
        assert not again.meaning_losses, (again.meaning_losses, again.text)
        for rows in ([], ["r"], ["r {{x}}", "s\n  t"]):
            for flag in (True, False):
                given = {"name": "b", "flag": flag, "rows": rows, "row": {"a": "<i>"}, "photo": photo}
                known = {name: value for name, value in given.items() if made.file.argument(name)}
                assert said(file, given) == said(made.file, known) == said(again.file, known)


def test_a_role_that_opens_a_prompty_file_is_written_once(tmp_path: Path) -> None:
    for body, roles in (("\nsystem:\na\nuser:\nb", 1), ("a\nuser:\nb", 1), ("\nuser:\nb", 0)):
        file = read(tmp_path, "x.prompty", f"---\nname: x\n---\n{body}")
        made = into(file, "dotprompt")
        assert made.text.count('{{role "system"}}') == roles
        assert said(made.file, {}) == said(file, {})


ANSWER = "---\noutput:\n  schema: {a: string}\next: {intermodal: %s}\n---\nhello"


@pytest.mark.parametrize("wishes", ["{strict: true}", "{}"])
def test_whether_a_schema_is_forced_stays_as_it_is(tmp_path: Path, wishes: str) -> None:
    file = read(tmp_path, "x.prompt", ANSWER % wishes)
    for to in ("github", "prompty"):
        made = into(file, to)
        assert made.lost == ()
        assert made.file.output == file.output
        assert into(made.file, "dotprompt").file.output == file.output


def test_a_schema_that_is_forced_is_none_that_poml_asks_for(tmp_path: Path) -> None:
    (lost,) = into(read(tmp_path, "x.prompt", ANSWER % "{strict: true}"), "poml").lost
    assert lost == (2, "strict: POML asks for a schema, and has no word to force it", True)


# ---- templates that are text, and text that is no template --------------------------------------------

LITERAL = {
    "x.prompt": '---\ninput: {schema: {n: string}}\n---\n{{role "system"}}A\n{{role "user"}}%s {{n}}',
    "x.prompt.yml": 'messages:\n  - role: user\n    content: |\n      %s {{n}}\n',
    "x.prompty": "---\nname: x\ninputs: [{name: n, kind: string}]\n---\nuser:\n%s {{n}}",
    "x.poml": '<poml><human-msg><p whiteSpace="pre">%s {{n}}</p></human-msg></poml>',
    "x.baml": 'function Ask(n: string) -> string {\n  client "openai/m"\n  prompt ##"%s "# {{n}}"##\n}',
}  # fmt: skip
WRITTEN = {
    "x.prompt": "\\{{not}} {% x %} {# y #} <b> #lt; &amp;", "x.prompt.yml": "{{ 1 }} {% x %} {# y #} <b> #lt; &amp;",
    "x.prompty": "{{ '{{' }}not}} {{ '{%' }} x %} {{ '{#' }} y #} <b> #lt; &amp;",
    "x.poml": "#lbrace;{not}} {% x %} {# y #} #lt;b#gt; #hash;lt; #amp;amp;",
    "x.baml": "{{ '{{' }}not}} {{ '{%' }} x %} {{ '{#' }} y #} <b> #lt; &amp;",
}  # fmt: skip


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", LITERAL)
def test_text_that_would_be_a_tag_elsewhere_stays_text(tmp_path: Path, name: str, to: str) -> None:
    file = read(tmp_path, name, LITERAL[name] % WRITTEN[name])
    if file.format == TARGETS[to].name:
        return
    made = into(file, to)
    if to == "github" and name != "x.prompt.yml":  # it has no way to write {{not}} as text
        assert ["{{not}}" in loss.what for loss in made.meaning_losses] == [True]
        return
    assert not made.meaning_losses, (made.meaning_losses, made.text)
    assert said(made.file, {"n": "1"}) == said(file, {"n": "1"})


@pytest.mark.parametrize("word", ["system:", "# user:", "  assistant :  "])
def test_a_line_of_text_that_prompty_takes_for_a_role_stays_text(tmp_path: Path, word: str) -> None:
    file = read(tmp_path, "x.prompt", f"---\nmodel: m\n---\nThe log has:\n{word}\nWhat is it?")
    made = into(file, "prompty")
    assert not made.meaning_losses
    assert said(made.file, {}) == [("user", [f"The log has:\n{word}\nWhat is it?"])]


def test_litellms_dialect_becomes_dotprompt(tmp_path: Path) -> None:
    text = "---\nmodel: m\ntemperature: 0\ninput:\n  schema: {q: str, s?: str}\n---\n".replace("s?", "'s?'")
    body = "{% if s %}System: {{s}}\n\n{% endif %}User: {{q}}\nAssistant: Yes?\nUser: {{q}}"
    file = read(tmp_path, "x.prompt", text + body)
    for to in ("dotprompt", "prompty"):
        made = into(file, to)
        assert made.lost == (), made.lost
        for given in ({"q": "a\nSystem: b", "s": "c {{q}}"}, {"q": "d"}):
            assert said(made.file, given) == said(file, given)
        assert made.file.findings == ()


# ---- what is lost ---------------------------------------------------------------------------------------

CLIENT = 'client "openai/m"'
BAML = f'function Ask(a: string) -> %s {{\n  {CLIENT}\n  prompt #"\n    %s\n  "#\n}}\n%s'
LOST = [
    ("x.baml", BAML % ("int", "{{ a }} {{ ctx.output_format }}", ""), "dotprompt", 1,
     "the answer as int: elsewhere it is its words", True),
    ("x.baml", BAML % ("C", "{{ a }}", 'class C {\n  n int @alias("count")\n}'), "dotprompt", 8,
     "@alias of C.n: the answer has the name that the model is told", True),
    ("x.baml", BAML % ("C", "{{ a }}", "class C {\n  n int @assert({{ this > 0 }})\n}"), "poml", 8,
     "@assert of C.n: an answer that breaks it is taken", True),
    ("x.baml", BAML % ("C", "{{ a }}", "class C {\n  n int @check(pos, {{ this > 0 }})\n}"), "prompty", 8,
     "@check of C.n: nothing is checked", False),
    ("x.baml", BAML % ("string", "{{ a }}", ""), "dotprompt", 1,
     "the parser of answers, which BAML brings along", False),
    ("x.prompt", "---\next:\n  intermodal: {strict: true}\noutput:\n  schema: {n: number}\n---\nx", "baml", 4,
     "strict: BAML asks for a schema, and has no word to force it", True),
    ("x.prompt", "---\ntoolDefs: [{name: t}]\n---\nhello", "baml", 2, "tool 't'", True),
    ("x.prompt", "---\noutput:\n  schema: {n: any}\n---\nx", "baml", 2, "N may be anything, and there it is a text",
     True),
    ("x.prompt", "x {{a-b}}", "baml", 1, "the name 'a-b', which BAML does not take", True),
    ("x.prompt", "{{a}}", "baml", 1, "argument 'a' may be anything: there it is a text", False),
    ("x.prompt.yml", "messages: [{role: user, content: x}]\ntestData: [{input: a, expected: b}]\nevaluators:\n"
     "  - {name: e, string: {contains: b}}", "baml", 2,
     "what a test asks of the answer, beyond that it is equal to a value", False),
    ("x.prompt", "---\ninput:\n  schema: {a: string}\n---\nhello", "poml", 3,
     "argument 'a', which the template does not take", False),
    ("x.prompt", "---\nmetadata: {a: 1}\n---\nhello", "github", 2, "metadata", False),
    ("x.prompt", "---\next:\n  intermodal: {max_cost: 1}\n---\nhello", "poml", 2, "the option max_cost: 1.0", False),
    ("x.prompt", "---\next:\n  intermodal: {local: true}\n---\nhello", "poml", 2, "the option local: true", True),
    ("x.prompt", "---\nmodel: m\n---\n\n{{#if a}}b{{/if}}", "github", 5, "a condition", True),
    ("x.prompt", "x\n{{#each a}}b{{/each}}", "github", 2, "a loop", True),
    ("x.prompt", "x\n{{json a}}", "poml", 2, "'a' as JSON: a text goes in as it is", True),
    ("x.prompt", "x\n{{#if a}}{{role \"system\"}}b{{/if}}", "poml", 2,
     "messages that are there under a condition or once for each item", True),
    ("x.prompt", "---\ntoolDefs: [{name: t}]\n---\nhello", "github", 2, "tool 't'", True),
    ("x.prompt", "---\ninput:\n  schema: {n: number}\n  default: {n: 1}\n---\n{{n}}", "github", 3,
     "the default of argument 'n': it has to be given", False),
    ("x.prompt.yml", "messages: [{role: user, content: x}]\ntestData: [{input: a, expected: b}]\nevaluators:\n"
     "  - {name: e, string: {contains: b}}", "dotprompt", 3, "evaluators", False),
    ("x.prompt.yml", "messages: [{role: user, content: x}]\ntestData: [{input: a, expected: b}]", "poml", 2,
     "test data (1)", False),
    ("x.prompty", "---\nname: x\nauthors: [me]\n---\nuser:\nx", "dotprompt", 3, "authors", False),
    ("x.poml", "<poml>\n<p>{{ a }}</p></poml>", "dotprompt", 1,
     "white space within values, which POML folds into one space", False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "to", "line", "what", "meaning"), LOST)
def test_what_a_format_has_no_place_for_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, to: str, line: int, what: str, meaning: bool
) -> None:
    made = into(read(tmp_path, name, text), to)
    assert (line, what, meaning) in made.lost, made.lost


def test_messages_of_one_role_stay_apart_or_it_is_said_that_they_become_one(tmp_path: Path) -> None:
    file = read(tmp_path, "x.prompt", '{{role "system"}}a{{role "system"}}\nb {{{x}}}{{role "user"}}c')
    for to, one in (("github", False), ("prompty", False), ("poml", True), ("baml", True)):
        made = into(file, to)
        assert not made.meaning_losses, made.lost
        what = f"a message of system after another one: {TARGETS[to].name} makes one of both"
        assert any(loss.what == what for loss in made.lost) == one
        assert len(said(made.file, {"x": "y"})) == 3 - one


def test_what_public_files_say_is_converted_or_named(tmp_path: Path) -> None:
    text = (
        f'function Look(photo: image) -> string {{\n  {CLIENT}\n  prompt #"{{{{ photo }}}} What is it?"#\n}}\n'
        'test One {\n  functions [Look]\n  args {\n    photo {\n      url "https://example.com/a.png"\n    }\n  }\n}\n'
    )
    made = into(read(tmp_path, "x.baml", text), "github")
    assert (5, "test data with media", False) in made.lost
    front = "model: vertexai/gemini-1.0-pro\ninput:\n  schema:\n    it: string\n    m?(object): {'a?': string}\n"
    text = f"---\n{front}---\n{{{{it}}}}"
    file = read(tmp_path, "x.prompt", text)
    for to in ("prompty", "baml"):
        assert not into(file, to).meaning_losses, to
    text = "---\nname: x\n---\nsystem:\nSee.\nuser:\n![a](https://example.com/a.png)\nWhat is it?"
    assert not into(read(tmp_path, "x.prompty", text), "poml").meaning_losses


REFUSALS = [
    ("x.baml", BAML % ("string", "{{ a|upper }}", ""), 4, "a filter (upper)"),
    ("x.baml", BAML % ("string", "{{ _.role(a) }}x", ""), 4, "a role that is a value"),
    ("x.baml", BAML % ("string", "{{ ctx.client.provider }}", ""), 4, "ctx"),
    (
        "x.baml",
        BAML % ("string", "{{ T(a) }}", 'template_string T(b: string) #"\n  x\n  {{ b|upper }}\n"#'),
        9,
        "a filter (upper)",
    ),
    ("x.prompt", "a\n{{lookup a b}}", 2, "{{lookup}} with words"),
    ("x.prompt", "a\n{{#foo}}x{{/foo}}", 2, "{{#foo}}"),
    ("x.prompt", "a\n{{json a indent=2}}", 2, "indented JSON"),
    ("x.prompty", "---\nname: x\n---\nuser:\n{{ a | upper }}", 5, "a filter (upper)"),
    ("x.prompty", "---\nname: x\n---\nuser:\n{% set b = 1 %}{{ b }}", 5, "set"),
    ("x.poml", "<poml>\n<p>{{ a.toUpperCase() }}</p></poml>", 2, "more than a name"),
    ("x.poml", '<poml>\n<table records="{{ rows }}"/></poml>', 2, "records of <table>"),
    ("x.poml", '<poml>\n<human-msg if="{{ a }}">x</human-msg></poml>', 2, "under a condition"),
]


@pytest.mark.parametrize(("name", "text", "line", "what"), REFUSALS)
def test_what_no_other_format_says_is_refused_with_its_line(
    tmp_path: Path, name: str, text: str, line: int, what: str
) -> None:
    file = read(tmp_path, name, text)
    with pytest.raises(PromptError, match="cannot be converted") as raised:
        into(file, "dotprompt" if name != "x.prompt" else "prompty")
    assert what in raised.value.what
    assert raised.value.where == f"{tmp_path / name}:{line}"
    assert raised.value.todo


def test_partials_that_stand_for_ever_more_end(tmp_path: Path) -> None:
    (tmp_path / "_p.prompt").write_text("{{#if x}}a{{/if}}")
    file = read(tmp_path, "x.prompt", "x\n" + "{{> p}}" * 8_000)
    with pytest.raises(PromptError, match="more than 20,000 texts") as raised:
        into(file, "prompty")
    assert raised.value.where == f"{tmp_path / 'x.prompt'}:1"


def test_conditions_that_double_what_they_hold_end(tmp_path: Path) -> None:
    body = "{% if a or b %}" * 30 + "x" + "{% endif %}" * 30
    with pytest.raises(PromptError, match="more than 20,000 texts"):
        into(read(tmp_path, "x.prompty", f"---\nname: x\n---\nuser:\n{body}"), "dotprompt")


def test_conditions_that_double_long_texts_end_before_they_fill_the_memory(tmp_path: Path) -> None:
    both = " and ".join(f"(a{number} or b{number})" for number in range(10))
    text = f"---\nname: x\n---\nuser:\n{{% if {both} %}}{'X' * 30_000}{{% else %}}{'Y' * 30_000}{{% endif %}}"
    file = read(tmp_path, "case.prompty", text)
    with pytest.raises(PromptError, match="becomes more than 32 MiB of Handlebars"):
        into(file, "dotprompt")


@pytest.mark.parametrize("to", ["prompty", "poml"])
def test_loops_in_loops_are_converted_and_compared_without_going_through_them_for_hours(
    tmp_path: Path, to: str
) -> None:
    deep = 40  # with two items of each list the comparison went through 2^40
    loops = "{{#each a}}" * deep + "{{this}}" + "{{/each}}" * deep
    made = into(read(tmp_path, "case.prompt", f"---\nmodel: x/y\n---\n{loops}"), to)
    assert not made.meaning_losses and len(made.text) < 100 * deep


def test_a_schema_that_is_large_in_words_keeps_its_definitions() -> None:
    """Each of its types names the next several times: in words it is four times as long a level."""
    definitions = {
        f"T{n}": {"type": "object", "properties": {f"f{m}": {"$ref": f"#/$defs/T{n + 1}"} for m in range(4)}}
        for n in range(30)
    }
    for first, named in ((28, False), (23, True), (0, True)):
        schema = {"$ref": f"#/$defs/T{first}", "$defs": {**definitions, "T30": {"type": "string"}}}
        assert (inline_definitions(schema) == schema) == named
        assert same_output(JsonOutput(schema=schema), JsonOutput(schema=schema))


def test_a_template_nested_too_deep_is_refused_or_converted(tmp_path: Path) -> None:
    for deep in (50, 90, 150):
        body = "{% if a %}" * deep + "x" + "{% endif %}" * deep
        try:
            made = into(read(tmp_path, "x.prompty", f"---\nname: x\n---\nuser:\n{body}"), "poml")
        except PromptError as error:
            assert error.where
        else:
            assert made.text


def test_a_writer_that_says_something_else_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = read(tmp_path, "x.prompt", "---\ninput: {schema: {'a?': string}}\n---\nhello{{#if a}} {{a}}{{/if}}")
    assert not into(file, "prompty").meaning_losses
    monkeypatch.setattr(prompty.JinjaWriter, "test", lambda self, test: "not a")
    (first, *_) = into(file, "prompty").meaning_losses
    assert first.what.startswith("the prompt as it was: with every argument it renders otherwise: 'hello'")


def test_a_loop_over_pictures_of_an_argument_is_a_list_of_media_in_poml(tmp_path: Path) -> None:
    text = '<poml><human-msg><p for="each in pictures"><img src="{{ each }}"/></p><p>?</p></human-msg></poml>'
    (argument,) = read(tmp_path, "x.poml", text).arguments
    assert (argument.name, argument.kind, argument.many) == ("pictures", "image", True)


# ---- BAML --------------------------------------------------------------------------------------------------


def test_template_strings_of_baml_stand_in_the_file_with_what_they_are_called_with(tmp_path: Path) -> None:
    text = (
        "enum Tone {\n  WARM\n  DRY\n}\nclass Row {\n  key string\n  values string[]\n}\n"
        'template_string Listed(rows: Row[], head: string) #"\n  {{ head }}\n  {% for row in rows %}\n'
        '  {{ loop.index }}. {{ row.key }}{% for row in row.values %} {{ row }}{% endfor %}\n  {% endfor %}\n"#\n'
        "function Ask(row: string, rows: Row[], tone: Tone) -> Tone {\n"
        f'  {CLIENT}\n  prompt #"\n    {{{{ _.role("system") }}}}\n    {{{{ Listed(rows, row) }}}}\n'
        '    {% if tone == "WARM" %}\n    Be kind.\n    {% elif tone == "DRY" %}\n    Be brief.\n    {% endif %}\n'
        '    {{ _.role("user") }}\n    {{ row }}?\n    {{ ctx.output_format }}\n  "#\n}\n'
    )
    file = read(tmp_path, "x.baml", text)
    given = {
        "row": "r {{ x }}",
        "rows": [{"key": "k", "values": ["v", "w"]}, {"key": "l", "values": []}],
        "tone": "DRY",
    }
    for to in ("prompty", "poml"):
        made = into(file, to)
        assert not made.meaning_losses, (made.meaning_losses, made.text)
        assert said(made.file, given) == said(file, given)
        assert "WARM" in str(said(made.file, given))  # the words of ctx.output_format, which no schema says


def test_a_function_as_its_docs_write_it_becomes_a_prompt_of_a_system_and_a_user(tmp_path: Path) -> None:
    text = (
        'class Data {\n  kind string @description(#"\n    E.g.\n      SSN\n  "#)\n}\n'
        f'function Extract(document: string) -> Data {{\n  {CLIENT}\n  prompt #"\n    Look for items like:\n'
        '    - Names\n\n    {{ ctx.output_format }}\n\n    And nothing else.\n\n    {{ _.role("user") }}\n\n'
        '    {{ document }}\n    {{ _.role("user") }}\n    JSON:\n  "#\n}\n'
    )
    file = read(tmp_path, "x.baml", text)
    for to in ("dotprompt", "prompty", "poml", "github"):
        made = into(file, to)
        assert not made.meaning_losses, (made.meaning_losses, made.text)
        assert said(made.file, {"document": "d"})[0] == (
            "system", ["Look for items like:\n- Names\n\nAnd nothing else."]
        )  # fmt: skip
        assert [role for role, _ in said(made.file, {"document": "d"})] == ["system", "user"]
        assert any("BAML makes one of both" in loss.what for loss in made.lost)
        properties: Any = made.file.output.schema["properties"]  # type: ignore[union-attr]
        assert properties["kind"]["description"] == "E.g.\n  SSN"


def test_answers_and_tests_of_baml_are_those_of_the_file(tmp_path: Path) -> None:
    text = (
        "name: pay\nmodel: openai/gpt-4o\nmodelParameters: {temperature: 0.5, maxTokens: 9}\n"
        "responseFormat: json_schema\n"
        'jsonSchema: \'{"name":"a","schema":{"type":"object","properties":{"lines":{"type":"array",'
        '"items":{"type":"object","properties":{"kind":{"enum":["a b","c"]},"n":{"type":["integer",'
        '"null"]}},"required":["kind","n"]}},"more":{"type":"object","additionalProperties":{"type":'
        '"number"}}},"required":["lines"]}}\'\n'
        "messages: [{role: system, content: Read.}, {role: user, content: 'Of {{it}}'}]\n"
        "testData:\n  - {it: 'a \"b\"', expected: {more: {x: 1.5}}}\n"
    )
    file = read(tmp_path, "x.prompt.yml", text)
    made = into(file, "baml")
    assert not made.meaning_losses, (made.meaning_losses, made.text)
    for line in ('  kind "a b" | "c"', "  n int?", "  lines PayLines[]", "  more map<string, float>?",
                 "function Pay(it: string) -> PayAnswer {", '    model "gpt-4o"', "    max_tokens 9"):  # fmt: skip
        assert line in made.text.splitlines(), made.text
    (example,) = made.file.examples
    assert example.arguments == {"it": 'a "b"'}
    assert example.checks == ({"compare": "json", "expected": {"more": {"x": 1.5}}},)
    assert made.file.sampling == file.sampling
    assert made.file.value(result_of('{"lines": [{"kind": "C"}], "more": {"x": 2}}')) == {
        "lines": [{"kind": "c", "n": None}], "more": {"x": 2.0},
    }  # fmt: skip


def result_of(text: str) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(text=text, data=None)


def test_a_converted_baml_file_stands_beside_those_of_its_folder(tmp_path: Path) -> None:
    body = "---\noutput:\n  schema: {n: number}\n---\nx"
    for name in ("a", "b"):
        made = into(read(tmp_path, f"{name}.prompt", body), "baml")
        (tmp_path / f"{name}.baml").write_text(made.text, encoding="utf-8")
    assert {formats.load(tmp_path / f"{name}.baml").name for name in ("a", "b")} == {"A", "B"}
    made = into(read(tmp_path, "a-.prompt", body), "baml")  # its function would be A, too
    assert any("cannot be read as BAML" in loss.what for loss in made.meaning_losses)


# ---- public examples --------------------------------------------------------------------------------


def published() -> Iterator[Any]:
    import yaml

    for path in sorted((PUBLIC / "dotprompt" / "spec").rglob("*.yaml")):
        for group in yaml.safe_load(path.read_text("utf-8")):
            for number, test in enumerate(group["tests"]):
                yield pytest.param(group, test, id=f"{path.stem}: {group['name']} {number}")


CASES = list(published()) if PUBLIC.is_dir() else []
POML = sorted((PUBLIC / "poml" / "examples").glob("*.poml"))


@pytest.mark.skipif(not CASES, reason="CONFORMANCE names no folder with dotprompt/spec")
@pytest.mark.parametrize(("group", "test"), CASES)
def test_published_cases_of_dotprompt_render_the_same_when_converted(
    group: dict[str, Any], test: dict[str, Any], tmp_path: Path
) -> None:
    for name, text in {**group.get("partials", {}), **group.get("resolverPartials", {})}.items():
        (tmp_path / f"_{name}.prompt").write_text(text)
    try:
        file = read(tmp_path, "case.prompt", group["template"])
    except PromptError:
        return  # cases of what a host program adds
    given = {**group.get("data", {}), **test.get("data", {})}.get("input", {})
    for to in ("github", "prompty", "poml", "baml"):
        try:
            made = into(file, to)
        except PromptError as error:
            assert "cannot be converted" in error.what
            assert error.where
            continue
        known = {name: value for name, value in given.items() if made.file.argument(name)}
        texts = to == "baml" and any("there it is a text" in loss.what for loss in made.lost)
        if texts and not all(isinstance(value, str) for value in known.values()):
            continue  # it was said that nothing else goes there
        if not made.meaning_losses and known == given:
            try:
                wanted = said(file, given)
            except PromptError:
                continue
            assert said(made.file, known) == wanted


@pytest.mark.skipif(not POML, reason="CONFORMANCE names no folder with poml/examples")
@pytest.mark.parametrize("to", ["dotprompt", "prompty", "github", "baml"])
@pytest.mark.parametrize("path", POML, ids=lambda path: str(path.stem))
def test_published_examples_of_poml_are_converted_or_say_why_not(path: Path, to: str) -> None:
    file = formats.load(path)
    try:
        made = into(file, to)
    except PromptError as error:
        assert "cannot be converted" in error.what
        assert error.where.startswith(str(path))
        return
    if made.meaning_losses:
        assert all(loss.what and loss.line for loss in made.meaning_losses)
    elif not any(each.required for each in file.arguments):
        assert media_and_words(file) == media_and_words(made.file)


def media_and_words(file: PromptFile) -> list[tuple[str, list[Any]]]:
    def part(each: Any) -> Any:
        return type(each) if isinstance(each, MediaPart) else " ".join(each.text.split())

    messages = file.template.messages(argument_values.bind_values(file, {}))
    return [(message.role, [part(each) for each in message.parts]) for message in messages]


def test_the_command_line_names_every_format_that_is_written() -> None:
    assert sorted(prompt.FORMATS) == sorted(TARGETS)  # it does not import what writes them for its help
