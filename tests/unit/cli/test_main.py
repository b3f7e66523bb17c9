"""The frame around every verb: start-up, help, exit codes, errors in one sentence or one document."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from tests.unit.cli.conftest import Cli

from intermodal import errors
from intermodal._version import __version__
from intermodal.cli import main as frame
from intermodal.cli.main import VERBS, app

COMMAND = (sys.executable, "-m", "intermodal.cli.main")


def shell(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=300, **options
    )
    return done


def commands() -> list[tuple[str, click.Command]]:
    """Every verb and the verbs below it, by what one types."""
    context = click.Context(app)
    found: list[tuple[str, click.Command]] = []
    for name in VERBS:
        command = app.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {below}", command.commands[below]) for below in command.list_commands(context)]
    return found


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_verb_has_help_with_examples_and_a_json_option(cli: Cli, name: str, command: click.Command) -> None:
    done = cli(*name.split(), "--help")
    assert done.code == 0
    assert f"intermodal {name.split()[0]}" in done.out.split("Examples", 1)[1]
    assert any("--json" in parameter.opts for parameter in command.params)
    undocumented = [p.opts for p in command.params if isinstance(p, click.Option) and not p.help]
    assert not undocumented


def test_help_names_every_verb_and_every_exit_code(cli: Cli) -> None:
    out = cli("--help").out
    assert all(f"\n  {verb} " in out for verb in VERBS)
    codes = {kind.exit_code for kind in [errors.IntermodalError, *errors.IntermodalError.__subclasses__()]}
    assert all(f" {code}  " in out for code in codes | {0, 130})


def test_no_verb_at_all_prints_the_help_line_by_line(cli: Cli) -> None:
    done = cli()
    assert (done.code, done.err) == (0, "")
    assert done.out == cli("--help").out
    assert done.out.count("\n") > 10


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_version_and_the_verbs_are_said_without_importing_anything_that_takes_its_time(argument: str) -> None:
    """So it starts at once; benchmarks/startup.py holds the number."""
    script = (
        "import sys\nbefore = set(sys.modules)\nfrom intermodal.cli.main import main\n"
        f"try: main(['{argument}'])\nexcept SystemExit: pass\nprint(*set(sys.modules) - before, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert __version__ in done.stdout if argument == "--version" else "\n  ask " in done.stdout
    modules = set(done.stderr.split())
    assert {name.partition(".")[0] for name in modules} - sys.stdlib_module_names == {"intermodal", "click"}
    slow = {"asyncio", "concurrent", "email", "http", "logging", "multiprocessing", "sqlite3", "ssl", "tomllib"}
    assert not modules & slow
    own = {name for name in modules if name.startswith("intermodal.")}
    parts = ("_version", "cli", "cli.main", "core", "core.hints", "errors")
    assert own <= {f"intermodal.{name}" for name in parts}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("askk",), "did you mean 'ask'?"),
        (("frobnicate",), "verbs are ask, explain"),
        (("models", "--nope"), "--nope"),
        (("models", "--input", "smell"), "smell"),
        (("models", "--task", "dreaming"), "tasks are"),
        (("pull",), "pull --list"),
        (("pull", "nothing-of-that-name"), "nothing-of-that-name"),
        (("pull", "--sha256", "x=1", "whisper-base"), "64 hex"),
        (("hosts", "add"), "no host is named"),
        (("completion", "tcsh"), "tcsh"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli(*arguments)
    assert done.code == 2
    assert done.out == ""
    first, *rest = done.err.splitlines()
    assert first.startswith("intermodal: ")
    assert said in first
    assert all(line.startswith("see intermodal") for line in rest)


def test_an_error_is_a_document_on_stdout_when_json_is_asked_for(cli: Cli) -> None:
    done = cli("pull", "nothing-of-that-name", "--json")
    assert done.code == 2
    assert done.err == ""
    assert done.document["kind"] == "intermodal.error"
    assert done.document["version"] == 1
    assert done.document["code"] == "unknown_model"
    assert {"what", "where", "todo"} <= set(done.document)


def test_json_after_two_dashes_is_a_word_and_not_the_option(cli: Cli) -> None:
    done = cli("pull", "--", "--json")
    assert done.out == ""
    assert done.err.startswith("intermodal: ")


def test_a_mistake_of_ours_is_one_line_without_values(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret sk-123 at 0xdeadbeef")

    monkeypatch.setattr("intermodal.cli.pull.weights_store", broken)
    done = cli("pull", "--list")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "unexpected ZeroDivisionError" in done.err
    assert "sk-123" not in done.err
    assert "0x" not in done.err


def test_an_error_out_of_a_task_group_keeps_its_code(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def grouped() -> None:
        raise ExceptionGroup("a", [ExceptionGroup("b", [errors.InputEmpty("holds nothing", where="x.wav")])])

    monkeypatch.setattr("intermodal.cli.pull.weights_store", grouped)
    done = cli("pull", "--list")
    assert (done.code, done.err) == (3, "intermodal: x.wav: holds nothing\n")


def test_reasons_of_no_route_follow_line_by_line_and_nothing_can_forge_a_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        raise errors.NoRoute("nothing may answer", reasons=("one\nintermodal: forged", "two\x1b[2J"))

    monkeypatch.setattr("intermodal.cli.pull.weights_store", refused)
    done = cli("pull", "--list")
    assert done.code == 4
    assert done.err == "intermodal: nothing may answer\n  - one intermodal: forged\n  - two [2J\n"
    assert cli("pull", "--list", "--json").document["reasons"] == ["one\nintermodal: forged", "two\x1b[2J"]


def _start_slow_verb(folder: Path, *ignored: signal.Signals) -> subprocess.Popen[bytes]:
    """Start a verb that works for ten minutes, with these signals ignored by its caller."""
    script = folder / "slow.py"
    script.write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "for number in map(int, sys.argv[1:]):\n    signal.signal(number, signal.SIG_IGN)\n"
        "import intermodal.cli.pull as pull\nfrom intermodal.cli.main import main\n"
        "def slow():\n    print('started', flush=True)\n    for _ in range(60_000):\n        time.sleep(0.01)\n"
        "pull.weights_store = slow\nmain(['pull', '--list'])\n"
    )
    arguments = [sys.executable, str(script), *(str(int(each)) for each in ignored)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    return process


def _interrupted_by(verb: subprocess.Popen[bytes], *sent: signal.Signals) -> int:
    """Send signals to a verb, and return its exit code. It has to say that it was interrupted."""
    with verb as process:
        for each in sent:
            process.send_signal(each)
        code = process.wait(300)
        assert process.stderr is not None
        assert process.stderr.read().strip() == b"intermodal: interrupted"
    return code


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_at_its_work_with_its_code(tmp_path: Path, stop: signal.Signals, code: int) -> None:
    assert _interrupted_by(_start_slow_verb(tmp_path), stop) == code


def test_a_verb_in_the_background_of_a_script_is_ended_by_kill(tmp_path: Path) -> None:
    """A shell without job control ignores SIGINT for what it starts in the background."""
    assert _interrupted_by(_start_slow_verb(tmp_path, signal.SIGINT), signal.SIGINT, signal.SIGTERM) == 143


def test_a_verb_under_nohup_goes_on_when_the_terminal_closes(tmp_path: Path) -> None:
    assert _interrupted_by(_start_slow_verb(tmp_path, signal.SIGHUP), signal.SIGHUP, signal.SIGTERM) == 143


def test_a_reader_who_leaves_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {' '.join(COMMAND)} completion bash | head -n 1"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_closed_pipe_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, "pull", "--list"], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_config_is_named_by_every_verb_that_reads_it(cli: Cli, own_home: Path) -> None:
    (own_home / "config").mkdir()
    (own_home / "config" / "intermodal.toml").write_text("consnt = []")
    for arguments in (("hosts",), ("init",), ("hosts", "add", "openai", "--yes")):
        done = cli(*arguments)
        assert done.code == 2
        assert "did you mean consent?" in done.err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ask What? inv", "file,"),
        ("estimate inv", "file,"),
        ("ask --objective che", "plain,cheapest"),
        ("pull whisper-b", "plain,whisper-base"),
    ],
)
def test_the_shell_completes_files_values_and_names_of_weights(typed: str, offered: str) -> None:
    words = f"intermodal {typed}"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), "_INTERMODAL_COMPLETE": "bash_complete"}
    done = subprocess.run(COMMAND, env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(offered)


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(cli: Cli, shell_name: str) -> None:
    done = cli("completion", shell_name)
    assert done.code == 0
    assert "_INTERMODAL_COMPLETE" in done.out
    assert cli("completion", shell_name, "--json").document["script"].strip() == done.out.strip()


def test_completion_completes_verbs_and_options() -> None:
    env = {**os.environ, "_INTERMODAL_COMPLETE": "bash_complete", "COMP_WORDS": "intermodal pu", "COMP_CWORD": "1"}
    done = subprocess.run(
        [Path(sys.executable).parent / "intermodal"], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.split(",")[-1].strip() == "pull"


def test_the_frame_is_one_file_to_read() -> None:
    assert frame.__file__ is not None
    assert len(Path(frame.__file__).read_text().splitlines()) < 300


def test_documents_are_one_json_each(cli: Cli) -> None:
    for arguments in (("pull", "--list"), ("hosts",), ("init",), ("completion", "bash")):
        done = cli(*arguments, "--json")
        loaded = json.loads(done.out)
        assert loaded["kind"].startswith("intermodal.")
        assert loaded["version"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("verb", [("explain", "x"), ("models", "--json"), ("doctor",)])
def test_a_full_standard_output_is_one_sentence(verb: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run([sys.executable, "-m", "intermodal.cli.main", *verb], stdout=full, stderr=subprocess.PIPE)
    assert ran.returncode == 1
    assert ran.stderr.decode().strip() == "intermodal: standard output cannot be written (No space left on device)"


def test_help_names_every_exit_code_that_is_documented(cli: Cli) -> None:
    page = Path(__file__).parents[3] / "docs" / "exit-codes.md"
    documented = set(re.findall(r"^\| (\d+) \|", page.read_text(), re.MULTILINE))
    told = cli("--help").out.partition("Exit codes")[2].partition("Examples")[0]
    assert len(documented) > 12
    assert documented - set(re.findall(r"\d+", told)) == set()
