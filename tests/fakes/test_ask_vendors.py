"""``intermodal ask`` against a fake of every protocol: an image and a question go out, an answer and its bill return.

What each fake says is what the vendor's own client understands (``test_fake_vendors.py``).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.conftest import cli as cli

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.catalog.types import Protocol
from intermodal.config import config_file
from intermodal.testing import FakeVendor
from intermodal.testing.fake_vendor import Name

NAMES: tuple[Name, ...] = ("anthropic", "gemini", "ollama", "openai-responses")
EVERY = pytest.mark.parametrize("name", NAMES)
KEY_IN = {"anthropic": "x-api-key", "gemini": "x-goog-api-key", "ollama": "authorization",
          "openai-responses": "authorization"}  # fmt: skip
QUESTION = "What is on it?"


def connect(vendor: FakeVendor, **more: str) -> None:
    protocol: Protocol = vendor.name
    row = ServedRow(
        id="acme/seer-70b", served_as="seer", input=("text", "image"), context=8192, input_mtok=1.0, output_mtok=2.0
    )
    config_file.add_host(
        os.environ,
        HostRow(id="box", base_url=vendor.base_url, stated_protocol=protocol, forced_json=True, models=(row,), **more),  # type: ignore[arg-type]
    )


@EVERY
def test_a_picture_and_a_question_are_answered_and_paid_for_once(
    name: Name, cli: Cli, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOX_KEY", "a-secret-key")
    picture = str(media / "photo-cat.jpg")
    with FakeVendor(name, "A cat on a sofa.", thought="Hm.", key="a-secret-key") as vendor:
        connect(vendor, key_env="BOX_KEY")
        done = cli("ask", QUESTION, picture, "-m", "seer-70b", "--json")
    assert done.code == 0, done.err
    document = done.document
    assert document["text"] == "A cat on a sofa."
    (attempt,) = vendor.attempts
    assert len(attempt.images) == 1
    assert attempt.text.endswith(QUESTION)
    assert KEY_IN[name] in attempt.headers
    assert attempt.json.get("stream", True) is True or "stream" in attempt.path
    (step,) = document["steps"]
    told = step["usage"]
    assert (told["input_tokens"], told["output_tokens"]) == (attempt.input_tokens, 5)
    assert document["cost"] == pytest.approx((attempt.input_tokens * 1.0 + 5 * 2.0) / 1e6)
    assert "a-secret-key" not in done.out + done.err


@EVERY
def test_a_schema_is_forced_where_the_wire_has_a_place_for_it(name: Name, cli: Cli, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}')
    with FakeVendor(name) as vendor:
        connect(vendor)
        done = cli("ask", "How many?", "-m", "seer-70b", "--schema", str(schema), "-q")
    assert done.code == 0, done.err
    assert '"n": 1' in done.out or '"n":1' in done.out
    assert vendor.attempts[0].schema is not None


@EVERY
def test_a_wrong_key_is_told_and_not_quoted(name: Name, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOX_KEY", "a-wrong-key")
    with FakeVendor(name, key="the-right-key") as vendor:
        connect(vendor, key_env="BOX_KEY")
        done = cli("ask", "How many?", "-m", "seer-70b")
    assert done.code == 5
    assert "does not accept our key" in done.err
    assert "a-wrong-key" not in done.out + done.err


@EVERY
def test_a_filter_that_stops_the_answer_is_a_refusal(name: Name, cli: Cli) -> None:
    if name == "ollama":
        return  # has no word for it
    with FakeVendor(name, "", refuses=True) as vendor:
        connect(vendor)
        done = cli("ask", "How?", "-m", "seer-70b")
    assert done.code == 5
    assert "refused to answer" in done.err


def test_ollama_is_told_how_much_context_is_wanted_and_to_cut_nothing(cli: Cli) -> None:
    with FakeVendor("ollama", "Four.") as vendor:
        connect(vendor)
        assert cli("ask", "word " * 5000, "-m", "seer-70b", "-q", "--max-tokens", "50").code == 0
    (attempt,) = vendor.attempts
    assert attempt.json["options"] == {"num_ctx": 8192, "num_predict": 50}
    assert attempt.json["truncate"] is False


def test_a_shipped_host_keeps_its_protocol_when_the_config_says_more_about_it(cli: Cli) -> None:
    """A row for Ollama that names a model does not turn it into an OpenAI-compatible host."""
    with FakeVendor("ollama", "Four.") as vendor:
        row = ServedRow(id="meta/llama-3.1-8b", served_as="llama3.1", tier="small")
        config_file.add_host(os.environ, HostRow(id="ollama", base_url=vendor.base_url, models=(row,)))
        done = cli("ask", "How many?", "-m", "ollama:meta/llama-3.1-8b", "-q")
    assert done.out == "Four.\n", done.err
    assert vendor.attempts[0].path == "/api/chat"
