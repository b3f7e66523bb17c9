"""From words on a command line to a Request, and what is said when the words make no sense."""

from __future__ import annotations

import io
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from tests.unit.cli.conftest import Cli

from intermodal import Client, make_request
from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.cli.arguments.request_options import build_request, request_options
from intermodal.client.request_builder import with_config_labels
from intermodal.config import config_file
from intermodal.config.config_file import Config
from intermodal.core.content import BytesSource, File, PathSource, Text, UrlSource
from intermodal.core.request import EmbeddingOutput, JsonOutput, Request, TextOutput, TranscriptOutput
from intermodal.errors import InputBroken, IntermodalError, NoRoute, SchemaInvalid, UsageError


def request(*words: str, settings: Config | None = None) -> Request:
    @click.command()
    @request_options
    def verb(**given: Any) -> Request:
        return build_request(given, settings or Config())

    made: Request = verb.main(list(words), standalone_mode=False)
    return made


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_prompt_then_files_paths_and_urls() -> None:
    made = request("What?", "a.wav", "https://example.org/b.pdf")
    assert [part for _, _, part in made.parts()] == [
        Text(text="What?"),
        File(source=PathSource(path="a.wav")),
        File(source=UrlSource(url="https://example.org/b.pdf")),
    ]
    assert made.output == TextOutput()


def test_every_option_lands_where_it_belongs() -> None:
    made = request(
        "q", "call.wav", "-m", "gpt-4o", "--objective", "fastest", "--at-least", "small", "--max-cost", "$0.10",
        "--deadline", "2m", "--local", "--private", "audio", "--private", "text,call.wav", "--release", "audio:text",
        "--keep", "words,layout", "--language", "FR", "--pages", "3,1-2", "--host", "openai", "--system", "Be brief.",
        "--max-tokens", "9", "--temperature", "0", "--seed", "7", "--free-tiers",
    )  # fmt: skip
    policy, sampling = made.policy, made.sampling
    assert policy.free_tiers and not request("q").policy.free_tiers
    assert request("q", settings=Config(free_tiers=True)).policy.free_tiers
    assert (policy.model, policy.objective, policy.at_least) == ("gpt-4o", "fastest", "small")
    assert (policy.max_cost, policy.deadline, policy.farthest) == (0.10, 120.0, "machine")
    assert (policy.private, policy.release) == (("audio", "text", "call.wav"), ("audio:text",))
    assert (policy.keep, policy.language, policy.pages) == (("words", "layout"), "fr", (1, 2, 3))
    assert policy.hosts == ("openai",)
    assert (sampling.max_tokens, sampling.temperature, sampling.seed) == (9, 0.0, 7)
    assert made.messages[0].role == "system"


def test_the_config_sets_defaults_that_options_override() -> None:
    settings = Config(max_cost=0.5, time_value=0.01, private=("audio",))
    made = request("q", settings=settings)
    assert (made.policy.max_cost, made.policy.time_value) == (0.5, 0.01)
    assert with_config_labels(made, settings.private).policy.private == ("audio",)
    assert request("q", "--max-cost", "0", settings=settings).policy.max_cost == 0.0
    assert request("q", settings=Config()).policy.takes_unknown_prices
    assert not request("q", settings=Config(max_cost_stated=True)).policy.takes_unknown_prices
    for careful in (Config(pay_twice=False), Config()):
        assert request("q", settings=careful).policy.pay_twice is careful.pay_twice
        assert request("q", "--no-pay-twice", settings=careful).policy.pay_twice is False
        assert request("q", "--pay-twice", settings=careful).policy.pay_twice is True


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (("q",), TextOutput()),
        (("q", "--output", "json"), JsonOutput(schema={"type": "object"})),
        (("a.wav", "--output", "transcript"), TranscriptOutput()),
        (("a.wav", "--format", "srt"), TranscriptOutput(format="srt")),
        (("q", "--output", "embedding"), EmbeddingOutput()),
    ],
)
def test_output_options_select_the_output(words: tuple[str, ...], output: object) -> None:
    assert request(*words).output == output


def test_a_transcript_needs_no_prompt_only_the_file() -> None:
    (part,) = [part for _, _, part in request("--output", "transcript", "call.wav").parts()]
    assert part == File(source=PathSource(path="call.wav"))


def test_an_embedding_of_words_is_of_the_words() -> None:
    (part,) = [part for _, _, part in request("--output", "embedding", "hello there").parts()]
    assert part == Text(text="hello there")


def test_an_embedding_of_a_file_is_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("x")
    (part,) = [part for _, _, part in request("--output", "embedding", str(file)).parts()]
    assert part == File(source=PathSource(path=str(file)))


def test_a_lone_file_without_a_question_is_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    file.write_bytes(b"RIFF")
    with pytest.raises(UsageError, match="nothing was asked about it"):
        request(str(file))


@pytest.mark.parametrize("more", [(), ("--output", "embedding"), ("--output", "scores", "--labels", "a,b")])
def test_the_name_of_a_file_that_is_not_there_is_no_question(more: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        request(*more, "album/photo-of-a-cat.JPG")


@pytest.mark.parametrize("words", ["what is in call.wav", "what.is.it", "https://example.com/photo.jpg", "jpg"])
def test_a_question_may_have_names_of_files_in_it(words: str) -> None:
    (part,) = [part for _, _, part in request(words).parts()]
    assert part == Text(text=words)


def test_a_schema_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "total.json"
    file.write_text(json.dumps({"type": "object", "title": "Total"}))
    made = request("q", "--schema", str(file)).output
    assert isinstance(made, JsonOutput)
    assert (made.name, made.schema["title"]) == ("Total", "Total")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": "objekt"}', "3"])
def test_a_broken_schema_is_named_with_its_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(SchemaInvalid) as caught:
        request("q", "--schema", str(file))
    assert "\n" not in str(caught.value)


def test_a_missing_schema_is_said(tmp_path: Path) -> None:
    with pytest.raises(SchemaInvalid, match="cannot be read"):
        request("q", "--schema", str(tmp_path / "none.json"))


def test_a_dash_reads_standard_input_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"\x89PNG\xff")
    parts = [part for _, _, part in request("q", "-").parts()]
    assert parts[1] == File(source=BytesSource(data=b"\x89PNG\xff", name="stdin"))


def test_a_dash_for_the_prompt_reads_words(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, "Was kostet es – genau?\n".encode())
    assert next(iter(request("-").parts()))[2] == Text(text="Was kostet es – genau?")


def test_a_prompt_that_is_not_text_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"\xff\xfe")
    with pytest.raises(InputBroken, match="is not text"):
        request("-")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-", "-"), "read once"),
        (("q", "-", "-"), "read once"),
        (("-",), "held no prompt"),
        ((), "nothing was asked"),
        (("q", "--schema", "x", "--output", "text"), "leave one of them out"),
        (("q", "--output", "json", "--format", "srt"), "add --output transcript"),
        (("q", "--release", "audio"), "as audio:text"),
        (("q", "--release", ":text"), "as audio:text"),
        (("q", "--release", "audio:words"), "as audio:text"),
        (("q", "--keep", "wrds"), "did you mean words"),
        (("q", "--pages", "0"), "pages count from 1"),
        (("q", "--pages", "3-1"), "the smaller first"),
        (("q", "--pages", "a"), "write 1-3,7"),
        (("q", "--pages", "1-"), "write 1-3,7"),
        (("q", "--pages", "1-999999999999999999999"), "write 1-3,7"),
        (("q", "--pages", "²"), "write 1-3,7"),
        (("q", "--language", "English"), "write en, fr"),
        (("q", "--host", "nobody"), "hosts are"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    piped(monkeypatch, b"")
    with pytest.raises(IntermodalError) as caught:
        request(*words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_question_behind_its_file_is_recognised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("call.wav", "my notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(IntermodalError) as caught:
        request("call.wav", "What is said?", "my notes.txt")
    said = str(caught.value)
    assert "call.wav: is a file, and 'What is said?' is none: the question comes before the files" in said
    assert said.endswith("intermodal ask 'What is said?' call.wav 'my notes.txt'")
    assert len(request("call.wav", "my notes.txt").messages[-1].parts) == 2, "a word that is a file may be a question"


@pytest.mark.parametrize("words", [("--max-cost", "cheap"), ("--max-cost", "-1"), ("--max-cost", "nan"),
                                   ("--deadline", "soon"), ("--deadline", "inf"), ("--max-tokens", "0"),
                                   ("--temperature", "-1"), ("--temperature", "99"), ("--seed", "x"),
                                   ("--at-least", "huge")])  # fmt: skip
def test_numbers_that_are_none_are_refused_by_name(words: tuple[str, str]) -> None:
    with pytest.raises(click.BadParameter) as caught:
        request("q", *words)
    assert words[0] in caught.value.format_message()


@pytest.mark.parametrize(("said", "seconds"), [("30", 30), ("1.5s", 1.5), ("2m", 120), ("2 min", 120), ("1h", 3600)])
def test_a_deadline_may_have_a_unit(said: str, seconds: float) -> None:
    assert request("q", "--deadline", said).policy.deadline == seconds


@pytest.mark.parametrize("label", ["call.wav", "rec/call.wav", "./rec/call.wav"])
def test_a_private_file_is_known_by_its_name_or_path(label: str) -> None:
    files = ("./rec/call.wav",) if label.startswith(".") else ("rec/call.wav",)
    assert request("q", *files, "--private", label).policy.private == ("call.wav",)


def test_a_private_url_is_known_by_its_last_word_without_the_query() -> None:
    assert request("q", "https://x.org/a/b.pdf?t=1", "--private", "b.pdf").policy.private == ("b.pdf",)


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        ("audio,call.wav", ("audio", "call.wav")),
        ("r.eml, call.wav", ("r.eml, call.wav",)),
        ("r.eml,call.wav", ("r.eml", "call.wav")),
        ("r.eml, inner.eml, call.wav", ("r.eml, inner.eml, call.wav",)),
        ("audio, mails/r.eml, image 1", ("audio", "r.eml, image 1")),
        ("r.eml, notes.txt", ("r.eml", "notes.txt")),
        ("r.eml, Image", ("r.eml", "image")),
        ("call.wav, other.wav", ("call.wav", "other.wav")),
        ("a, b.wav", ("a, b.wav",)),
    ],
)
def test_a_part_may_be_labelled_as_the_plan_calls_it(
    monkeypatch: pytest.MonkeyPatch, said: str, labels: tuple[str, ...]
) -> None:
    piped(monkeypatch, b"")
    made = request("q", "r.eml", "mails/r.eml", "notes.txt", "a, b.wav", "--private", said)
    assert made.policy.private == labels


def test_a_release_may_name_a_part_as_the_plan_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"")
    made = request("q", "r.eml", "--release", "audio:text, r.eml, call.wav:text", "--release", "image:text")
    assert made.policy.release == ("audio:text", "r.eml, call.wav:text", "image:text")


def test_a_limit_that_is_said_holds_for_unknown_prices_even_when_it_is_the_usual_one(cli: Cli) -> None:
    row = ServedRow(id="acme/mystery-70b", served_as="mystery", context=32768)
    config_file.add_host(
        os.environ, HostRow(id="box", base_url="https://box.invalid/v1", zone="internet", models=(row,))
    )
    question = ("explain", "Explain how a gantry crane works.", "-m", "box:acme/mystery-70b")
    usual = cli(*question)
    assert usual.code == 0 and "cannot be checked" in usual.out
    said = cli(*question, "--max-cost", "0.05")
    assert said.code == 4 and "its price is not known, and the limit is $0.05" in said.err
    with Client() as client:
        make = partial(make_request, "Explain how a gantry crane works.", model="box:acme/mystery-70b")
        assert client.plan(make()).chosen.endpoint == "box:acme/mystery-70b"
        with pytest.raises(NoRoute):
            client.plan(make(max_cost=0.05))
