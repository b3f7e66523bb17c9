"""A PDF goes as it is to hosts whose wire and model take PDFs, byte for byte; nothing on this machine is given one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.conftest import cli as cli

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import FakeHost, FakeVendor
from intermodal.testing.fake_vendor import Name

TAKERS: tuple[Name, ...] = ("anthropic", "gemini", "openai-responses")
ASK = ("What does the chart on it show?", "--keep", "figures")


def connect(base_url: str, **more: Any) -> None:
    """A host that computes elsewhere, as its row says, though the fake stands on this machine."""
    row = ServedRow(
        id="acme/scribe-70b", served_as="scribe", input=("text", "image", "document"), context=200_000, input_mtok=0.01,
        output_mtok=0.02,
    )  # fmt: skip
    host = {"id": "box", "base_url": base_url, "zone": "internet", "forced_json": True, "models": (row,), **more}
    config_file.add_host(os.environ, HostRow(**host))


@pytest.fixture
def pdf(media: Path) -> Path:
    return media / "report.pdf"


@pytest.mark.parametrize("name", TAKERS)
def test_a_pdf_arrives_byte_for_byte(name: Name, cli: Cli, pdf: Path) -> None:
    with FakeVendor(name, "Revenue grew.") as vendor:
        connect(vendor.base_url, stated_protocol=vendor.name)
        shown = cli("explain", *ASK, str(pdf), "-m", "scribe-70b")
        assert "As it is  report.pdf" in shown.out and "1 document of" in shown.out, shown.out
        done = cli("ask", *ASK, str(pdf), "-m", "scribe-70b", "--json")
    assert done.code == 0, done.err
    (attempt,) = vendor.attempts
    assert attempt.documents == (pdf.read_bytes(),)
    assert not attempt.images
    assert done.document["text"] == "Revenue grew."


def test_a_pdf_goes_as_a_file_part_over_openais_chat(cli: Cli, pdf: Path) -> None:
    with FakeHost("Revenue grew.") as host:
        connect(host.base_url)
        done = cli("ask", *ASK, str(pdf), "-m", "scribe-70b", "--json")
    assert done.code == 0, done.err
    assert host.attempts[-1].documents == (pdf.read_bytes(),)


def test_a_host_that_is_said_to_refuse_files_is_not_sent_one(cli: Cli, pdf: Path) -> None:
    """The plan does not know the wire's quirks of a row that says the model takes documents: the wire does."""
    with FakeHost("Revenue grew.") as host:
        connect(host.base_url, quirks=("no_documents",))
        done = cli("ask", *ASK, str(pdf), "-m", "scribe-70b", "--json")
    assert all(not attempt.documents for attempt in host.attempts)
    assert done.code == 0, done.err


def test_a_server_on_this_machine_is_never_given_a_pdf(cli: Cli, pdf: Path) -> None:
    with FakeHost("Revenue grew.") as host:
        connect(host.base_url, zone="machine")
        shown = cli("explain", *ASK, str(pdf), "-m", "scribe-70b")
        done = cli("ask", *ASK, str(pdf), "-m", "scribe-70b", "--json")
    assert done.code == 0, done.err
    assert "As it is" not in shown.out
    assert all(not attempt.documents for attempt in host.attempts)
    assert host.attempts[-1].images  # pages of it, as images that we made


def test_a_private_pdf_is_not_sent(cli: Cli, pdf: Path) -> None:
    with FakeVendor("anthropic", "Revenue grew.") as vendor:
        connect(vendor.base_url, stated_protocol="anthropic")
        done = cli("ask", *ASK, str(pdf), "-m", "scribe-70b", "--private", pdf.name)
    assert done.code != 0
    assert not vendor.attempts
    assert "private" in done.err


def test_a_picture_with_too_long_a_side_is_made_smaller_before_it_goes(cli: Cli, tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    panorama = tmp_path / "panorama.png"
    Image.new("RGB", (8400, 600), "navy").save(panorama)
    with FakeVendor("anthropic", "Blue.") as vendor:
        row = ServedRow(
            id="anthropic/claude-haiku-4.5", served_as="haiku", input=("text", "image"), context=200_000,
            input_mtok=1.0, output_mtok=5.0,
        )  # fmt: skip
        config_file.add_host(
            os.environ,
            HostRow(id="box", base_url=vendor.base_url, stated_protocol="anthropic", zone="internet", models=(row,)),
        )
        done = cli("ask", "What colour is it?", str(panorama), "-m", "box:anthropic/claude-haiku-4.5", "--json")
    assert done.code == 0, done.err
    (sent,) = vendor.attempts[0].images
    with Image.open(BytesIO(sent)) as seen:
        assert seen.size == (2000, 143)
