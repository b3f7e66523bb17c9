"""Formats of prompt files that plugins read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.installed_plugin import PluginPython, wheel_of
from tests.unit.plugins.conftest import EXAMPLE

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.errors import PromptError
from intermodal.prompts import formats
from intermodal.prompts.lint import lint
from intermodal.testing import FakeHost

READER = """
class PLUGIN:
    name, endings = "mine", ({ending!r},)
    @staticmethod
    def read(path, text):
        raise KeyError(text)
"""


def test_a_file_of_an_installed_format_is_listed_explained_and_run_and_none_once_uninstalled(
    python: PluginPython,
) -> None:
    asked = python.folder / "who.question"
    asked.write_text("Who is {person}?")
    run = ("ask", "-q", "--prompt", str(asked), "--arg", "person=Ada", "-m", "acme/talker")
    with FakeHost(answer="A programmer.") as fake:
        talker = ServedRow(id="acme/talker", context=8192, input_mtok=1.0, output_mtok=2.0)
        config_file.add_host(os.environ, HostRow(id="box", base_url=fake.base_url, models=(talker,)))
        python.install(wheel_of(EXAMPLE, python.folder))
        listed = python.intermodal("prompt", "list", str(python.folder))
        assert "who.question" in listed.out and "person" in listed.out, listed
        plan = python.intermodal("prompt", "explain", str(asked), "--arg", "person=Ada", "-m", "acme/talker")
        assert "Generate  box:acme/talker" in plan.out, plan
        assert python.intermodal(*run) == (0, "A programmer.\n", "")
        assert "Who is Ada?" in str(fake.attempts[0].body)
    missing = python.intermodal("ask", "--prompt", str(asked))
    assert missing.code == 2 and "person" in missing.err
    python.uninstall("intermodal-example")
    gone = python.intermodal(*run)
    assert gone.code == 2 and "is no prompt file" in gone.err


def test_a_format_that_fails_on_a_file_is_an_error_of_that_file_with_the_package(
    put_on_path: Callable[..., None], tmp_path: Path
) -> None:
    put_on_path("intermodal.prompts", "mine", READER.format(ending=".mine"))
    (tmp_path / "a.mine").write_text("hello")
    (tmp_path / "b.prompt").write_text("What is it?")
    with pytest.raises(PromptError, match=r"intermodal-here 3\.1 failed \(KeyError: 'hello'\); update it"):
        formats.load(tmp_path / "a.mine")
    assert formats.load(tmp_path / "b.prompt").name == "b"
    assert lint([tmp_path]).files == 2


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (READER.format(ending=".prompty"), "intermodal reads .prompty"),
        (READER.format(ending="mine"), "an ending begins with a dot"),
        ("class PLUGIN: name = 'mine'", "has no endings"),
        ("import nothing_like_it", "cannot be loaded (ModuleNotFoundError: No module named 'nothing_like_it')"),
    ],
)
def test_a_format_that_cannot_be_used_is_one_warning_in_the_log_and_other_files_are_read(
    put_on_path: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str, problem: str
) -> None:
    put_on_path("intermodal.prompts", "mine", code, package=f"intermodal-{abs(hash(code))}")
    (tmp_path / "b.prompt").write_text("What is it?")
    with caplog.at_level(logging.WARNING, "intermodal.plugins"):
        assert ".mine" not in formats.file_endings()
        assert ".mine" not in formats.file_endings()
    assert formats.load(tmp_path / "b.prompt").name == "b"
    (record,) = caplog.records
    assert "prompt format 'mine' of intermodal-" in record.getMessage() and problem in record.getMessage()
