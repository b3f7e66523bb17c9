"""The documents cannot rot: what they show is run, and what exists is in them.

Every ```` ```console ```` block is run with the example media at hand, line by line; ``--help`` output
must be the very text (``make bless`` rewrites it). ```` ```python ```` blocks of docs/python.md are run
in order, in one namespace. Blocks marked ``sh`` or ``text`` are for reading only.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.e2e.command import intermodal as intermodal_here

import intermodal
from intermodal import errors
from intermodal.cli.main import VERBS, main
from intermodal.config.tables import ConfigFile

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "media" / "README.md"])
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


class Shown(NamedTuple):
    """A command as a document shows it, with the output under it."""

    document: Path
    command: str
    output: str


def shown() -> list[Shown]:
    found = []
    for document in DOCUMENTS:
        for block in CONSOLE.findall(document.read_text()):
            for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
                command, _, output = part.partition("\n")
                while command.endswith("\\"):
                    more, _, output = output.partition("\n")
                    command = command[:-1] + more.strip()
                found.append(Shown(document, command, output))
    return found


SHOWN = shown()
HELP = [item for item in SHOWN if item.command.endswith("--help")]
FOR_SHELLS = re.compile(r"[|&;<>$*?~`]")  # what a shell has to do; other commands run in this process
PAGE = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
RUN = [*{item.command: item for item in SHOWN if not item.command.endswith("--help")}.values()]


def name(item: Shown) -> str:
    return f"{item.document.name}: {item.command}"


def call(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one line as a reader would, in ``folder``, with this environment's ``intermodal``."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, **PAGE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def shown_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """What a command with ``--help`` prints, on a page of the documents' width."""
    for variable, value in PAGE.items():
        monkeypatch.setenv(variable, value)

    def run(command: str) -> str:
        program, *arguments = shlex.split(command)
        assert program == "intermodal"
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert not stopped.value.code
        return "".join(line.rstrip() + "\n" for line in capsys.readouterr().out.splitlines())

    return run


@pytest.mark.parametrize("item", HELP, ids=name)
def test_help_is_shown_as_it_is(item: Shown, shown_help: Callable[[str], str], bless: bool) -> None:
    said = shown_help(item.command)
    if bless:
        text = item.document.read_text()
        item.document.write_text(text.replace(f"$ {item.command}\n{item.output}", f"$ {item.command}\n{said}"))
    else:
        assert item.output == said


def put_examples(folder: Path, media: Path) -> None:
    """What a reader of the documents has at hand: the example media, and beside them the prompt files."""
    for file in (*media.iterdir(), *(ROOT / "examples" / "prompts").iterdir()):
        shutil.copy(file, folder)


@pytest.mark.e2e
@pytest.mark.usefixtures("shared_conversions")
@pytest.mark.parametrize("item", RUN, ids=name)
def test_shell_examples_run(item: Shown, tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_examples(tmp_path, media)
    if FOR_SHELLS.search(item.command):
        done = call(item.command, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return
    monkeypatch.chdir(tmp_path)
    for variable, value in PAGE.items():
        monkeypatch.setenv(variable, value)
    program, *arguments = shlex.split(item.command)
    assert program == "intermodal"
    ran = intermodal_here(*arguments)
    assert ran.code == 0, ran.out + ran.err


@pytest.mark.e2e
@pytest.mark.usefixtures("shared_conversions")
def test_python_examples_run(tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_examples(tmp_path, media)
    script = "\n".join(PYTHON.findall((ROOT / "docs" / "python.md").read_text()))
    (tmp_path / "example.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.e2e
def test_the_python_example_of_the_readme_prints_what_it_says(tmp_path: Path, media: Path) -> None:
    for file in media.iterdir():
        shutil.copy(file, tmp_path)
    shown = re.search(r"```python\n(.*?)```.*?```text\n(.*?)```", _from_python(), re.DOTALL)
    assert shown is not None
    (tmp_path / "example.py").write_text(shown[1])
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False
    )
    assert (done.returncode, done.stdout) == (0, shown[2]), done.stderr


def _from_python() -> str:
    return (ROOT / "README.md").read_text().partition("## From Python")[2]


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_is_documented_with_its_help(verb: str) -> None:
    assert f"$ intermodal {verb} --help\n" in (ROOT / "docs" / "cli.md").read_text()


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_shows_examples(verb: str, shown_help: Callable[[str], str]) -> None:
    assert f"intermodal {verb}" in shown_help(f"intermodal {verb} --help").split("Examples", 1)[-1]


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert not [setting for setting in ConfigFile.__struct_fields__ if f"`{setting}`" not in text]


def test_every_environment_variable_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    used = set()
    for path in (ROOT / "src").rglob("*.py"):
        used |= set(re.findall(r"\"(INTERMODAL_[A-Z_]+)\"", path.read_text()))
    internal = {"INTERMODAL_WORKER_LIMITS", "INTERMODAL_WORKER_FILES"}  # from a parent process to its worker
    assert not sorted(variable for variable in used - internal if f"`{variable}`" not in text)


def kinds(cls: type[errors.IntermodalError]) -> list[type[errors.IntermodalError]]:
    """An error and those of the public module below it. What a module raises for itself alone is its own affair."""
    below = [child for child in cls.__subclasses__() if child.__module__ == errors.__name__]
    return [cls, *(deeper for child in below for deeper in kinds(child))]


@pytest.mark.parametrize("error", kinds(errors.IntermodalError), ids=lambda error: str(error.__name__))
def test_every_error_is_documented_with_its_exit_code(error: type[errors.IntermodalError]) -> None:
    text = (ROOT / "docs" / "exit-codes.md").read_text()
    assert re.search(rf"^\| {error.exit_code} \|.*`{error.__name__}`", text, re.M)


@pytest.mark.parametrize("public", sorted(set(intermodal.__all__) - {"__version__"}))
def test_every_public_name_is_documented(public: str) -> None:
    assert re.search(rf"\b{public}\b", (ROOT / "docs" / "python.md").read_text())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.M | re.S)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path = target.split("#")[0]
        if path and not re.match(r"[a-z]+:", path) and not (document.parent / path).exists():
            broken.append(target)
    assert not broken


@pytest.mark.parametrize(
    "document",
    [
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "docs" / "glossary.md",
        *sorted(set((ROOT / "docs" / "decisions").glob("*.md")) - {ROOT / "docs" / "decisions" / "first-design.md"}),
    ],
    ids=lambda document: str(document.relative_to(ROOT)),
)
def test_modules_that_a_document_names_exist(document: Path) -> None:
    """Paths in backticks that look like modules of the package are modules of the package."""
    package = ROOT / "src" / "intermodal"
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_0-9]+)*\.py)`", document.read_text()))
    assert not sorted(path for path in named if not (package / path).exists() and not (ROOT / path).exists())


def test_every_word_of_the_glossary_says_where_its_code_is() -> None:
    words = (ROOT / "docs" / "glossary.md").read_text().partition("## Retired words")[0]
    package = ROOT / "src" / "intermodal"
    for row in re.findall(r"^\| \*\*.*$", words, re.MULTILINE):
        places = re.findall(r"`([a-z_0-9/*]+(?:\.py|/))`", row.rsplit("|", 2)[1])
        assert places and all(any(package.glob(place)) for place in places), row


def test_the_architecture_is_read_in_one_sitting() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().split()) <= 1600
