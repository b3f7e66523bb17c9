"""What a host counts beside what was estimated: used by the next plans and said by every verb that shows numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.unit.cli.conftest import Cli

from intermodal import Client
from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import FakeHost

pytestmark = pytest.mark.slow

EYE = ServedRow(
    id="openai/gpt-4o", served_as="seer", context=65536, input_mtok=1.0, output_mtok=2.0, input=("text", "image")
)


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer="A red square.") as made:
        config_file.add_host(os.environ, HostRow(id="box", base_url=made.base_url, models=(EYE,)))
        yield made


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "square.png"
    Image.new("RGB", (1024, 1024), "red").save(path)
    return str(path)


QUESTION = "What does this look like? Describe its colours and its shapes."


def test_pictures_that_a_host_counts_lower_are_planned_lower_and_said(cli: Cli, fake: FakeHost, picture: str) -> None:
    """A fake image has 85 tokens; by its rule this one has 765."""
    question = (QUESTION, picture, "-m", "box:openai/gpt-4o")
    before = cli("explain", *question)
    assert "765 tok" in before.out and "counted: OpenAI's tile rule" in before.out and "runs here" not in before.out
    analyzed = cli("ask", "--analyze", *question)
    (tokens,) = (line for line in analyzed.err.splitlines() if line.strip().startswith("tokens in"))
    assert tokens.endswith("below the range")
    with Client() as client:
        for _ in range(12):
            client.ask(QUESTION, picture, model="box:openai/gpt-4o")
    after = cli("explain", *question)
    assert "images x0.0" in after.out and "runs here" in after.out and "765 tok" not in after.out
    again = cli("ask", "--analyze", *question)
    (tokens,) = (line for line in again.err.splitlines() if line.strip().startswith("tokens in"))
    assert "the range" not in tokens

    shown = cli("usage").out
    (row,) = (line for line in shown.splitlines() if " -> " in line and line.startswith("box:openai/gpt-4o"))
    assert "images x0.0" in row
    beside = cli("usage", "--json").document["beside"][0]
    assert beside["input_estimated"] > 4 * beside["input_counted"] and "images" in beside["learned"]
    (found,) = (
        each for each in cli("doctor", "--json").document["findings"]
        if each["area"] == "estimate" and each["name"] == "box:openai/gpt-4o" and "counted" in each["what"]
    )  # fmt: skip
    assert found["state"] == "ok" and "plans use images x0.0" in found["what"]
