"""Hosts are rows: those that ship, what consent to one brings, and what it takes to add one."""

from __future__ import annotations

import json
import os
from importlib import import_module
from urllib.parse import urlsplit

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.conftest import cli as cli

from intermodal.catalog.load import load_catalog
from intermodal.catalog.shipped_rows import known_hosts
from intermodal.catalog.types import Endpoint, Protocol
from intermodal.config import config_file
from intermodal.testing import FakeHost, FakeVendor
from intermodal.testing.fake_vendor import Name

SPOKEN: dict[str, Protocol] = {
    "anthropic": "anthropic",
    "google": "gemini",
    **dict.fromkeys(
        (
            "openai", "mistral", "cohere", "openrouter", "groq", "togetherai", "fireworks-ai", "deepseek", "xai",
            "cerebras", "huggingface", "nvidia", "github-models", "perplexity",
        ),
        "openai",
    ),
}  # fmt: skip
CODECS = (
    "anthropic.codec", "gemini.codec", "ollama.codec", "openai_chat.codec", "openai_responses.codec",
    "openai_media.images", "openai_media.transcription",
)  # fmt: skip


def of(host: str) -> list[Endpoint]:
    """What consent to a host brings."""
    catalog = load_catalog(consent=(host,), installed={}, weights=frozenset(), env={})
    return [endpoint for endpoint in catalog.endpoints if endpoint.host.id == host]


@pytest.mark.parametrize("name", SPOKEN)
def test_each_of_these_hosts_has_a_row_with_its_address_protocol_key_and_source(name: str) -> None:
    (row,) = [row for row in known_hosts() if row.id == name]
    assert row.protocol == SPOKEN[name]
    assert urlsplit(row.base_url).scheme == urlsplit(row.source).scheme == "https"
    assert row.key_env
    assert row.host().zone == "internet"


@pytest.mark.parametrize("name", sorted(set(SPOKEN) - {"github-models"}))
def test_consent_to_a_host_brings_its_models_over_its_own_protocol(name: str) -> None:
    endpoints = of(name)
    assert len(endpoints) > 1
    assert {endpoint.host.protocol for endpoint in endpoints} == {SPOKEN[name]}
    assert all(endpoint.model.tasks and endpoint.input for endpoint in endpoints)


def test_what_a_protocol_has_no_words_for_is_not_offered_over_it() -> None:
    assert {task for endpoint in of("anthropic") for task in endpoint.model.tasks} == {
        "text-generation", "image-text-to-text",
    }  # fmt: skip
    vectors = {endpoint.id: endpoint.input for endpoint in of("google") if endpoint.model.output == ("embedding",)}
    assert vectors["google:google/gemini-embedding-2"] == ("text", "image", "audio", "document")  # a video costs apart
    assert all(
        endpoint.input == ("text",)
        for name in ("cohere", "mistral", "openai")
        for endpoint in of(name)
        if endpoint.model.output == ("embedding",)
    )


def test_a_host_that_models_dev_knows_by_another_client_is_spoken_to_in_that_protocol() -> None:
    assert {endpoint.host.protocol for endpoint in of("minimax")} == {"anthropic"}


def test_every_quirk_of_a_shipped_row_is_a_word_that_some_protocol_looks_up() -> None:
    known = {"no_logprobs"}
    for module in CODECS:
        known |= set(getattr(import_module(f"intermodal.protocols.{module}"), "QUIRKS", {}))
    used = {quirk for row in known_hosts() for quirk in row.quirks}
    used |= {quirk for row in known_hosts() for served in row.models for quirk in served.quirks}
    assert used <= known


def test_a_compatible_host_is_one_row_and_no_python(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOX_KEY", "k")
    with FakeHost("Four.", key="k") as host:
        path = config_file.config_path(os.environ)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'[hosts.box]\nbase_url = "{host.base_url}"\nkey_env = "BOX_KEY"\n'
            '[[hosts.box.models]]\nid = "box/chat-70b"\n'
        )
        done = cli("ask", "Two and two?", "-m", "box/chat-70b", "-q")
    assert (done.code, done.out) == (0, "Four.\n"), done.err
    assert host.attempts[0].key


@pytest.mark.parametrize("name", ["anthropic", "gemini", "ollama", "openai-responses"])
def test_a_host_of_ones_own_is_added_with_the_protocol_it_speaks(name: Name, cli: Cli) -> None:
    with FakeVendor(name, "Four.") as vendor:
        added = cli("hosts", "add", "box", "--base-url", vendor.base_url, "--protocol", name, "--model", "seer")
        assert added.code == 0, added.err
        done = cli("ask", "Two and two?", "-m", "box/seer", "-q")
        assert (done.code, done.out) == (0, "Four.\n"), done.err
    assert json.loads(vendor.attempts[-1].body)
