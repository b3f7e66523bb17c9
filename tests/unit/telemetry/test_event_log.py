"""Runs in the standard ``logging`` module: silent unless the program configures it, and without content."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.gateway.gateway_server import STRONG, config

from intermodal import make_request
from intermodal.client.async_client import AsyncClient
from intermodal.errors import CallError
from intermodal.testing import FakeHost, Fault

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SECRET = "the crimson walrus"


@pytest.fixture
def client(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncClient:
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, STRONG))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return AsyncClient()


async def test_a_run_logs_its_plan_its_step_and_its_end_and_no_content(
    client: AsyncClient, host: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.answer = f"{SECRET} said so"
    with caplog.at_level(logging.DEBUG, logger="intermodal"):
        async with client:
            await client.run(make_request(f"who is {SECRET}?", model="cloud/strong"))
    lines = [(record.levelname, record.name, record.getMessage()) for record in caplog.records]
    assert any(text.startswith("plan ") and "cloud:cloud/strong" in text for _, _, text in lines)
    assert any(level == "INFO" and " tokens in, " in text and "$" in text for level, _, text in lines)
    assert lines[-1] == ("INFO", "intermodal.run", "finished by cloud:cloud/strong: stop")
    assert SECRET not in caplog.text


async def test_a_failure_is_a_warning_that_says_what_was_charged(
    client: AsyncClient, host: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.fault = Fault("key")
    with caplog.at_level(logging.WARNING, logger="intermodal"):
        async with client:
            with pytest.raises(CallError):
                await client.run(make_request("hello", model="cloud/strong"))
    (warning,) = [record.getMessage() for record in caplog.records]
    failed = "attempt at cloud:cloud/strong failed: credentials_refused"
    assert warning == f"{failed} (status 401, charged: no), then reroute"


async def test_a_program_that_configures_no_logging_sees_none(host: FakeHost, tmp_path: Path) -> None:
    """Python prints warnings of loggers without a handler to standard error; ours has one that drops them."""
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, STRONG))
    host.fault = Fault("key")
    program = (
        "import intermodal\n"
        "try:\n"
        "    intermodal.ask('hello', model='cloud/strong')\n"
        "except intermodal.CallError:\n"
        "    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"INTERMODAL_CONFIG": str(path), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("refused\n", "")


@pytest.mark.parametrize("words", [["-v", "ask", "-q", "hello"], ["ask", "-q", "-v", "hello"]])
async def test_verbose_before_or_after_the_verb_logs_to_standard_error(
    host: FakeHost, tmp_path: Path, words: list[str]
) -> None:
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, STRONG))
    done = subprocess.run(
        [sys.executable, "-m", "intermodal.cli.main", *words, "--model", "cloud/strong"],
        env={"INTERMODAL_CONFIG": str(path), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "INFO intermodal.run: finished by cloud:cloud/strong: stop" in done.stderr
    assert "intermodal.run" not in done.stdout
