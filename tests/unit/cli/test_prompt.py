"""``intermodal prompt`` and ``ask --prompt``: lists, plans, runs and tests, each with what a shell sees."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli, Done

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import FakeHost

EXAMPLES = Path(__file__).parents[3] / "examples" / "prompts"
MODEL = ("-m", "acme/seer-70b")


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer='{"number": "7", "total": 12.5, "currency": "EUR"}') as made:
        row = ServedRow(id="acme/seer-70b", served_as="seer", context=8192, input_mtok=1.0, output_mtok=2.0,
                        input=("text", "image"))  # fmt: skip
        config_file.add_host(os.environ, HostRow(id="box", base_url=made.base_url, forced_json=True, models=(row,)))
        yield made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "prompts")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "prompts"


def test_the_examples_are_listed_and_nothing_is_wrong_with_them(cli: Cli, folder: Path) -> None:
    listed = cli("prompt", "list", "prompts")
    assert listed.code == 0
    assert "prompts/invoice.prompt" in listed.out
    assert "_brief" not in listed.out, "a partial is no prompt"
    document = cli("prompt", "list", "prompts", "--json").document
    by_name = {each["name"]: each for each in document["prompts"]}
    assert by_name["invoice"]["takes"][0]["kind"] == "image"
    assert cli("prompt", "lint", "--strict", "prompts").code == 0


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [("a.prompt", "", 1), ("a.prompt", "---\nmodel: x\n---\n", 4), ("a.prompty", "", 1), ("a.poml", "<poml/>", 1)],
)
def test_lint_refuses_a_prompt_that_asks_nothing(cli: Cli, tmp_path: Path, name: str, text: str, line: int) -> None:
    (tmp_path / name).write_text(text)
    done = cli("prompt", "lint", str(tmp_path))
    assert done.code == 2
    assert f"{name}:{line}: error: renders to nothing; write the question" in done.out
    (tmp_path / name).unlink()
    (tmp_path / "b.prompt").write_text("{{#if x}}{{x}}{{/if}}{{history}}")
    assert cli("prompt", "lint", str(tmp_path)).code == 0, "something may be asked, by what is given"


def test_lint_says_file_and_line_and_fails(cli: Cli, folder: Path) -> None:
    (folder / "bad.prompt").write_text("hello\n{{#if x}}")
    (folder / "warned.prompt").write_text("---\nmodle: x\n---\nhello")
    done = cli("prompt", "lint", "prompts")
    assert done.code == 2
    assert "prompts/bad.prompt:2: error: unclosed block" in done.out
    assert "prompts/warned.prompt:2: warning: no key 'modle' is known; did you mean model?" in done.out
    found = cli("prompt", "lint", "prompts", "--json").document
    assert (found["errors"], found["warnings"]) == (1, 1)
    (folder / "bad.prompt").unlink()
    assert cli("prompt", "lint", "prompts").code == 0
    assert cli("prompt", "lint", "--strict", "prompts").code == 2
    assert cli("prompt", "lint", "nowhere").code == 3


@pytest.mark.parametrize(
    ("model", "kind", "found"),
    [
        ("openai/gpt-3.5-turbo", "image", "openai/gpt-3.5-turbo takes text, and photo is image"),
        ("gpt-4o-mini", "audio", "gpt-4o-mini takes text and image and document, and photo is audio"),
        ("googleai/gemini-2.5-flash", "video", ""),
        ("gpt-3.5-turbo", "document", ""),
        ("acme/nobody-knows-it", "video", ""),
    ],
)
def test_lint_refuses_a_model_that_does_not_take_what_goes_in(
    cli: Cli, folder: Path, model: str, kind: str, found: str
) -> None:
    head = f"model: {model}\next:\n  intermodal:\n    media: {{photo: {kind}}}\n"
    (folder / "named.prompt").write_text(f"---\n{head}---\n{{{{media url=photo}}}} What is it?")
    done = cli("prompt", "lint", "prompts/named.prompt")
    assert (done.code, f"prompts/named.prompt:2: error: {found}" in done.out) == ((2, True) if found else (0, False))


@pytest.mark.parametrize(
    ("head", "body", "line", "says"),
    [
        ("model: openai/gpt-3.5-turbo", "word " * 40_000, 4, "tokens or more, and openai/gpt-3.5-turbo holds 16,385"),
        ("model: openai/gpt-4o", "word " * 40_000, 4, ""),
        ("model: openai/gpt-4\next:\n  intermodal:\n    max_cost: 0.001", "{{page}}", 5, "and max_cost is $0.001"),
        ("model: openai/gpt-4\next:\n  intermodal:\n    max_cost: 0.1", "{{page}}", 5, ""),
        ("model: acme/nobody-knows-it\next:\n  intermodal:\n    max_cost: 0", "word " * 40_000, 5, ""),
    ],
)
def test_lint_refuses_a_text_that_its_model_cannot_hold_and_a_price_above_its_limit(
    cli: Cli, folder: Path, head: str, body: str, line: int, says: str
) -> None:
    (folder / "sized.prompt").write_text(f"---\n{head}\n---\n{body}")
    done = cli("prompt", "lint", "prompts/sized.prompt")
    assert done.code == (2 if says else 0), done.out
    assert (f"prompts/sized.prompt:{line}: error: " in done.out) == bool(says)
    assert says in done.out


SCHEMA = '{"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]'
STRICT = {
    "strict.prompt": (
        "---\noutput:\n  schema:\n    total: number\next: {intermodal: {strict: true}}\n---\nHow much is it?", 2
    ),
    "strict.prompt.yml": (
        "messages:\n  - role: user\n    content: How much is it?\nresponseFormat: json_schema\njsonSchema: |-\n"
        f'  {{"name": "sum", "strict": true, "schema": {SCHEMA}, "additionalProperties": false}}}}\n', 5
    ),
    "strict.prompty": (
        "---\nname: strict\nmodel:\n  options:\n    response_format:\n      type: json_schema\n"
        f"      json_schema: {{name: sum, strict: true, schema: {SCHEMA}, additionalProperties: false}}}}\n"
        "---\nuser:\nHow much is it?\n", 5
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STRICT)
def test_a_schema_that_has_to_be_forced_and_that_no_reachable_host_forces_is_refused_with_its_line(
    cli: Cli, folder: Path, name: str
) -> None:
    text, line = STRICT[name]
    (folder / name).write_text(text)
    with FakeHost(answer='{"total": 7}') as plain, FakeHost(answer='{"total": 7}') as forcing:
        for id, host, forced in (("plain", plain, False), ("forcing", forcing, True)):
            row = ServedRow(id=f"acme/{id}", served_as=id, context=8192, input_mtok=1.0, output_mtok=2.0)
            config_file.add_host(os.environ, HostRow(id=id, base_url=host.base_url, forced_json=forced, models=(row,)))
        for verb in ("explain", "run"):
            done = cli("prompt", verb, f"prompts/{name}", "-m", "acme/plain", "--json")
            assert done.code == 4
            assert done.document["where"] == f"prompts/{name}:{line}"
            assert "not held to this JSON schema" in done.document["what"] + "".join(done.document["reasons"])
            assert "strict" in done.document["todo"]
        assert not plain.attempts
        done = cli("prompt", "run", f"prompts/{name}", "-m", "acme/forcing", "-q")
        assert (done.code, json.loads(done.out)) == (0, {"total": 7})


def test_the_same_schema_without_strict_is_asked_for_in_words_and_that_is_said(cli: Cli, folder: Path) -> None:
    (folder / "loose.prompt").write_text(STRICT["strict.prompt"][0].replace("strict: true", "strict: false"))
    with FakeHost(answer='{"total": 7}') as plain:
        row = ServedRow(id="acme/plain", served_as="plain", context=8192, input_mtok=1.0, output_mtok=2.0)
        config_file.add_host(os.environ, HostRow(id="plain", base_url=plain.base_url, forced_json=False, models=(row,)))
        done = cli("prompt", "run", "prompts/loose.prompt", "-m", "acme/plain")
    assert json.loads(done.out) == {"total": 7}
    assert "prompts/loose.prompt:2: " in done.err and "asked for in words, checked" in done.err


def test_a_folder_of_fifty_files_is_linted_without_a_model_or_a_store(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes it quick is what it does not do; how quick is measured elsewhere."""
    monkeypatch.setattr("intermodal.store.database.Store.__init__", lambda *_: pytest.fail("opened a store"))
    for number in range(50):
        shutil.copy(folder / "invoice.prompt", folder / f"invoice{number}.prompt")
    assert cli("prompt", "lint", "prompts", "--json").document["files"] >= 50


def test_show_renders_what_would_be_sent(cli: Cli, folder: Path) -> None:
    done = cli("prompt", "show", "prompts/compare.prompt", "--arg", "pictures=@a.png", "--arg", "pictures=@b.png")
    assert done.code == 0
    assert "<image a.png>" in done.out
    assert "<image b.png>" in done.out
    file = cli("prompt", "show", "prompts/invoice.prompt", "--json").document
    assert file["schema"]["properties"]["total"]["type"] == "number"


@pytest.mark.slow
def test_explain_spends_nothing_and_prices_a_thousand_runs(cli: Cli, folder: Path, fake: FakeHost) -> None:
    done = cli("prompt", "explain", "prompts/invoice.prompt", *MODEL)
    assert done.code == 0, done.err
    assert "imagined: photo is 1024x768" in done.out
    assert "1,000 runs $" in done.out
    document = cli("prompt", "explain", "prompts/invoice.prompt", *MODEL, "--json").document
    assert document["usd_thousand"]["mid"] == pytest.approx(1_000 * document["usd"]["mid"])
    assert document["verdict"]
    assert not fake.attempts


def test_a_host_that_nobody_knows_is_said_as_ask_says_it(cli: Cli, folder: Path) -> None:
    explained = cli("prompt", "explain", "prompts/opening.prompt.yml", "--host", "nosuch")
    asked = cli("explain", "What is it?", "--host", "nosuch")
    assert (explained.code, explained.err) == (asked.code, asked.err)


@pytest.mark.slow
def test_explain_draws_the_plan_of_a_prompt(cli: Cli, folder: Path, fake: FakeHost) -> None:
    done = cli("prompt", "explain", "prompts/invoice.prompt", *MODEL, "--svg", "plan.svg")
    assert done.code == 0, done.err
    assert (folder.parent / "plan.svg").read_text().startswith("<svg")
    assert cli("prompt", "explain", "prompts/invoice.prompt", *MODEL, "--svg", "-", "--json").code == 2
    kept = (folder / "invoice.prompt").read_text()
    assert cli("prompt", "explain", "prompts/invoice.prompt", *MODEL, "--svg", "prompts/invoice.prompt").code == 2
    assert (folder / "invoice.prompt").read_text() == kept


@pytest.mark.slow
def test_run_and_ask_do_the_same(cli: Cli, folder: Path, fake: FakeHost, media: Path) -> None:
    given = ("--arg", f"photo=@{media / 'screenshot-invoice.png'}", *MODEL, "-q", "--evidence", "off")
    run = cli("prompt", "run", "prompts/invoice.prompt", *given[:-2])
    asked = cli("ask", "--prompt", "prompts/invoice.prompt", *given)
    assert json.loads(run.out) == json.loads(asked.out) == {"number": "7", "total": 12.5, "currency": "EUR"}
    first, second = (attempt.json["messages"] for attempt in (fake.attempts[0], fake.attempts[-1]))
    assert first == second


def test_a_pdf_where_the_file_says_image_ends_with_its_line(
    cli: Cli, folder: Path, fake: FakeHost, media: Path
) -> None:
    done = cli("prompt", "run", "prompts/invoice.prompt", "--arg", f"photo=@{media / 'report.pdf'}", "--json")
    assert done.code == 2
    assert done.document["code"] == "prompt"
    assert done.document["where"] == "prompts/invoice.prompt:7"
    assert not fake.attempts


def test_values_of_the_command_line_have_the_type_of_the_file(cli: Cli, folder: Path) -> None:
    (folder / "typed.prompt").write_text(
        "---\ninput:\n  schema: {n: integer, on: boolean, names(array): string, text: string}\n---\n"
        "{{json n}} {{json on}} {{json names}} {{text}}"
    )
    (folder / "words.txt").write_text("{{from}} a file")
    at = "prompts/typed.prompt"
    good = {"n": "3", "on": "true", "names": '["a"]', "text": f"@{folder / 'words.txt'}"}

    def shown(**other: str) -> Done:
        given = ({**good, **other}).items()
        return cli("prompt", "show", at, *(word for name, value in given for word in ("--arg", f"{name}={value}")))

    assert '3 true ["a"] {{from}} a file' in shown().out
    for name, value in (("n", "three"), ("on", "maybe"), ("n", "3.5")):
        done = shown(**{name: value})
        assert done.code == 2
        assert "prompts/typed.prompt:3" in done.err


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("question=@cat.jpg", "prompts/report.prompt:6: argument 'question' takes text, and cat.jpg is no text"),
        ("question=@", "prompts/report.prompt:6: argument 'question' names no file after @; write name=@file"),
        ("report=@", "prompts/report.prompt:5: argument 'report' names no file; write name=@file"),
    ],
)
def test_a_file_that_an_argument_cannot_be_read_from_is_said_with_its_line(
    cli: Cli, folder: Path, media: Path, word: str, says: str
) -> None:
    shutil.copy(media / "photo-cat.jpg", "cat.jpg")
    done = cli("prompt", "show", "prompts/report.prompt", "--arg", word)
    assert done.code == 2
    assert says in done.err


def test_a_prompt_file_says_its_question_itself(cli: Cli, folder: Path, fake: FakeHost) -> None:
    assert cli("ask", "Why?", "--prompt", "prompts/invoice.prompt").code == 2
    assert cli("ask", "--prompt", "prompts/invoice.prompt", "--schema", "x.json").code == 2
    assert cli("ask", "Why?", "--arg", "a=b").code == 2
    said = cli("ask", "@prompts/invoice.prompt").err
    assert "--prompt prompts/invoice.prompt" in said
    assert not fake.attempts


def test_a_text_file_is_a_prompt(cli: Cli, folder: Path, fake: FakeHost) -> None:
    (folder / "question.txt").write_text("How many?\n")
    assert cli("ask", "-q", "@prompts/question.txt", *MODEL).code == 0
    assert fake.attempts[-1].texts[-1] == "How many?"
    assert cli("ask", "-q", "@someone said hello", *MODEL).code == 0
    assert fake.attempts[-1].texts[-1] == "@someone said hello"
    assert cli("ask", "-q", "@nowhere.txt", *MODEL).code == 2


def test_test_data_is_run_checked_and_kept(cli: Cli, folder: Path, fake: FakeHost) -> None:
    fake.answer = "The shop opens at 9, closes at 18."
    at = "prompts/opening.prompt.yml"
    first = cli("prompt", "test", at, *MODEL, "--json", "--journal", "kept.jsonl", "--no-remember")
    assert first.code == 14, "one of two fails"
    row = first.document["routes"][0]
    assert (row["right"], row["items"]) == (1, 2)
    assert len(fake.attempts) == 2
    again = cli("prompt", "test", at, *MODEL, "--json", "--journal", "kept.jsonl", "--no-remember")
    assert (again.code, len(fake.attempts)) == (14, 2), "finished runs are kept"
    fake.answer = "opens at 9, opens at 10"
    passed = cli("prompt", "test", at, *MODEL, "--journal", "kept.jsonl", "--fresh", "--no-remember")
    assert passed.code == 0
    assert "2 of 2" in passed.out


SAMPLED = """---
name: sampled
inputs: [{name: photo, kind: image}, {name: asked, kind: string}]
outputs: [{name: number, kind: string}]
sample: {photo: %s, asked: "Which number?"}
---
user:
{{photo}} {{asked}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code"), [('{"number": "7"}', 0), ("I cannot say", 14), ('{"total": 3}', 14)])
def test_the_sample_of_a_prompty_file_is_a_test_that_measures_nothing(
    cli: Cli, folder: Path, fake: FakeHost, media: Path, answer: str, code: int
) -> None:
    fake.answer = answer
    shutil.copy(media / "screenshot-invoice.png", folder)
    (folder / "sampled.prompty").write_text(SAMPLED % "screenshot-invoice.png")
    done = cli("prompt", "test", "prompts/sampled.prompty", *MODEL, "--json", "--journal", "kept.jsonl")
    assert done.code == code, done.err
    sent = fake.attempts[0].json["messages"][0]["content"]
    assert [part["type"] for part in sent] == ["image_url", "text"]
    assert "nothing was measured" in cli("eval", "--forget").out
    shown = cli("prompt", "test", "prompts/sampled.prompty", *MODEL, "--journal", "kept.jsonl")
    assert "prompts/sampled.prompty:5: no answer to compare with" in shown.err


def test_a_sample_that_names_a_file_elsewhere_is_refused_with_its_line(cli: Cli, folder: Path) -> None:
    (folder / "sampled.prompty").write_text(SAMPLED % "../../etc/passwd")
    done = cli("prompt", "test", "prompts/sampled.prompty")
    assert done.code == 2
    assert "prompts/sampled.prompty:5: sample.photo: '../../etc/passwd' is not in the folder" in done.err


def test_a_file_without_examples_cannot_be_tested(cli: Cli, folder: Path) -> None:
    done = cli("prompt", "test", "prompts/invoice.prompt")
    assert done.code == 2
    assert "has no examples" in done.err


def test_convert_writes_another_format_and_names_what_it_has_no_place_for(cli: Cli, folder: Path) -> None:
    done = cli("prompt", "convert", "prompts/invoice.prompt", "--to", "poml")
    assert done.code == 0
    assert done.out.startswith("<poml>")
    assert "prompts/invoice.prompt:13: not converted: the option max_cost: 0.02\n" in done.err
    document = cli("prompt", "convert", "prompts/invoice.prompt", "--to", "poml", "--json").document
    assert document["text"] == done.out
    assert {"line": 13, "what": "the option max_cost: 0.02", "meaning": False} in document["lost"]
    cli("prompt", "convert", "prompts/invoice.prompt", "--to", "poml", "-o", "prompts/made.poml")
    assert (folder / "made.poml").read_text() == done.out
    assert cli("prompt", "lint", "prompts/made.poml").code == 0


def test_convert_writes_no_file_that_says_something_else_unless_told_to(cli: Cli, folder: Path) -> None:
    asked = ("prompt", "convert", "prompts/report.prompt", "--to", "poml", "-o", "prompts/made.poml")
    done = cli(*asked)
    assert done.code == 2
    assert "prompts/report.prompt:8: cannot say the same in POML: the option private: report" in done.err
    assert not (folder / "made.poml").exists()
    assert cli(*asked[:-2]).out == ""
    assert cli(*asked, "--lossy").code == 0
    assert (folder / "made.poml").read_text().startswith("<poml>")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("prompts/invoice.prompt", "--to", "poml", "-o", "prompts/invoice.prompt"), "is the file that is converted"),
        (("prompts/invoice.prompt", "--to", "poml", "-o", "prompts/invoice.poml"), "is there already; name a new file"),
        (("prompts/invoice.prompt", "--to", "poml", "-o", "prompts/x.prompty"), "end it with .poml"),
        (
            ("prompts/invoice.prompt", "--to", "poml", "-o", "nowhere/x.poml"),
            "nowhere/x.poml: cannot be written (no such",
        ),
        (("prompts/invoice.prompt", "--to", "dotprompt"), "is a file of dotprompt already"),
        (("prompts/invoice.prompt", "--to", "latex"), "latex"),
        (("prompts/invoice.prompt",), "--to"),
    ],
)
def test_convert_says_what_is_wrong_and_what_to_do(cli: Cli, folder: Path, given: tuple[str, ...], says: str) -> None:
    before = (folder / "invoice.prompt").read_bytes()
    done = cli("prompt", "convert", *given)
    assert done.code == 2
    assert says in done.err
    assert (folder / "invoice.prompt").read_bytes() == before
