"""Consent and hosts from the command line: nothing is allowed that the user did not allow."""

from __future__ import annotations

import os
import socket

import pytest
from tests.unit.cli.conftest import Cli

from intermodal.catalog.types import Protocol
from intermodal.cli.hosts import LISTINGS, read_listing
from intermodal.config.config_file import config_path, load_config
from intermodal.errors import CallError
from intermodal.testing import FakeHost


def test_consent_cannot_be_given_by_a_pipe(cli: Cli) -> None:
    done = cli("hosts", "add", "openai", input="y\n")
    assert done.code == 2
    assert "add --yes" in done.err
    assert not config_path(os.environ).exists()


def test_yes_allows_a_known_host(cli: Cli) -> None:
    done = cli("hosts", "add", "openai", "--yes")
    assert done.code == 0
    assert load_config(os.environ).consent == ("openai",)
    assert "export OPENAI_API_KEY" in done.err
    assert done.out == ""


@pytest.mark.parametrize(("answer", "consent"), [("y\n", ("openai",)), ("n\n", ()), ("\n", ())])
def test_on_a_terminal_only_a_yes_is_a_yes(cli: Cli, answer: str, consent: tuple[str, ...]) -> None:
    done = cli("hosts", "add", "openai", input=answer, terminal=True)
    assert done.code == 0
    assert "api.openai.com" in done.err
    assert load_config(os.environ).consent == consent


def test_consent_is_asked_for_with_what_the_host_publishes_of_what_it_is_sent(cli: Cli) -> None:
    said = cli("hosts", "add", "cohere", input="n\n", terminal=True).err
    assert "keeps it for up to 30 days, trains on it (https://cohere.com/data-usage-policy" in said
    said = cli("hosts", "add", "openrouter", input="n\n", terminal=True).err
    assert "It does not state where it computes and what it keeps." in said


def test_consent_can_be_taken_back(cli: Cli) -> None:
    cli("hosts", "add", "openai", "--yes")
    assert cli("hosts", "remove", "openai").code == 0
    assert load_config(os.environ).consent == ()
    assert cli("hosts", "remove", "openai").code == 2


def test_a_host_of_ones_own_is_asked_for_its_models(cli: Cli) -> None:
    with FakeHost(models=("qwen3:8b", "acme/eyes-7b", "nomic-embed-text", "whisper-large-v3")) as fake:
        done = cli("hosts", "add", "box", "--base-url", fake.base_url + "/", "--json")
        assert done.code == 0, done.err
        assert not fake.attempts  # a listing is no call of a model
    assert done.document["zone"] == "machine"
    (row,) = load_config(os.environ).hosts
    assert row.base_url == fake.base_url
    rows = {model.served_name: (model.id, model.tasks) for model in row.models}
    assert rows == {
        "qwen3:8b": ("qwen/qwen3-8b", ()),  # known by that name to the catalog
        "acme/eyes-7b": ("acme/eyes-7b", ()),
        "nomic-embed-text": ("box/nomic-embed-text", ("feature-extraction",)),
        "whisper-large-v3": ("openai/whisper-large-v3", ("automatic-speech-recognition",)),
    }


def test_only_the_models_named_are_added(cli: Cli) -> None:
    with FakeHost(models=("a", "b", "c")) as fake:
        done = cli("hosts", "add", "box", "--base-url", fake.base_url, "--model", "b=qwen/qwen3-8b", "--model", "z")
    assert done.code == 0
    assert [(m.served_name, m.id) for m in load_config(os.environ).hosts[0].models] == [
        ("b", "qwen/qwen3-8b"),
        ("z", "box/z"),
    ]
    assert "does not list z" in done.err


def test_a_silent_server_is_not_added_without_named_models(cli: Cli) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        done = cli("hosts", "add", "box", "--base-url", url)
        assert done.code == 2
        assert "--model NAME" in done.err
        assert not config_path(os.environ).exists()
        assert cli("hosts", "add", "box", "--base-url", url, "--model", "m").code == 0


def test_a_proxy_on_this_machine_can_be_stated_as_internet_and_then_needs_consent(cli: Cli) -> None:
    with FakeHost() as fake:
        asked = ("hosts", "add", "proxy", "--base-url", fake.base_url, "--zone", "internet")
        assert cli(*asked).code == 2
        assert cli(*asked, "--yes").code == 0
    assert load_config(os.environ).hosts[0].zone == "internet"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "--base-url"),
        (("box", "--base-url", "box:8080"), "http or https"),
        (("embedded", "--base-url", "http://127.0.0.1/v1"), "cannot be called"),
        (
            ("box", "--base-url", "http://127.0.0.1/v1", "--key-env", "sk-this-is-a-key", "--model", "m"),
            "never the key",
        ),
        (("openai", "--zone", "machine", "--yes"), "has its row already"),
    ],
)
def test_a_wrong_host_is_refused_and_nothing_is_written(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli("hosts", "add", *arguments)
    assert done.code == 2
    assert said in done.err
    assert "sk-this-is-a-key" not in done.err
    assert not config_path(os.environ).exists()


def test_the_list_says_what_is_allowed_and_shows_no_key(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    cli("hosts", "add", "groq", "--yes")
    listed = cli("hosts", "--json")
    rows = {row["host"]: row for row in listed.document["hosts"]}
    assert (rows["openai"]["allowed"], rows["openai"]["key"]) == (False, "OPENAI_API_KEY (set)")
    assert rows["groq"]["allowed"]
    assert "sk-secret" not in listed.out + cli("hosts", "list").out


def test_init_without_a_terminal_allows_nothing_and_names_the_keys_it_saw(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    done = cli("init", input="y\ny\ny\n")
    assert done.code == 0
    assert load_config(os.environ).consent == ()
    assert "a key for openai is in OPENAI_API_KEY" in done.err
    assert "sk-secret" not in done.err + config_path(os.environ).read_text()


def test_init_asks_on_a_terminal_about_each_key(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "sk-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
    assert cli("init", "--no-pull", input="n\ny\n", terminal=True).code == 0
    assert load_config(os.environ).consent == ("openai",)


def test_init_takes_consent_as_an_option_and_runs_twice(cli: Cli) -> None:
    for _ in range(2):
        done = cli("init", "--consent", "openai", "--yes", "--json")
        assert done.document["consent"] == ["openai"]
    assert cli("init", "--consent", "nobody").code == 2


# ---- what servers list -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "body", "ids"),
    [
        ("anthropic", b'{"data":[{"type":"model","id":"claude-haiku-5-5","display_name":"H"}]}', ["claude-haiku-5-5"]),
        ("gemini", b'{"models":[{"name":"models/gemini-3.8-flash","inputTokenLimit":1}]}', ["gemini-3.8-flash"]),
        ("ollama", b'{"models":[{"name":"llama3.1:8b","model":"llama3.1:8b","size":1}]}', ["llama3.1:8b"]),
    ],
)
def test_listings_of_other_protocols_are_understood(protocol: Protocol, body: bytes, ids: list[str]) -> None:
    assert [model.id for model in read_listing(200, body, "", LISTINGS[protocol])] == ids


def test_listings_of_different_servers_are_understood() -> None:
    body = b"""{"object": "list", "data": [
        {"id": "plain"},
        {"id": "vllm", "max_model_len": 32768, "root": "x"},
        {"id": "llama", "meta": {"n_ctx_train": 8192}, "architecture": {"input_modalities": ["text", "image"]}},
        {"id": "loading", "meta": null, "architecture": null},
        {"id": "router", "context_length": 1000, "architecture": {"input_modalities": ["file", "smell", 3]}},
        {"name": "no id"}, "odd"]}"""
    found = {model.id: (model.input, model.context) for model in read_listing(200, body)}
    assert found == {
        "plain": ((), None),
        "vllm": ((), 32768),
        "llama": (("text", "image"), 8192),
        "loading": ((), None),
        "router": (("document",), 1000),
    }


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"data": 3}', b'{"models": []}', b"\xff"])
def test_a_reply_that_lists_nothing_is_said(body: bytes) -> None:
    with pytest.raises(CallError, match="not with a list"):
        read_listing(200, body)


def test_who_names_no_host_is_told_how_to_name_one(cli: Cli) -> None:
    """Plans and ``doctor`` suggest ``intermodal hosts add`` as it is."""
    done = cli("hosts", "add")
    assert done.code == 2 and "intermodal hosts lists" in done.err and "--base-url" in done.err
