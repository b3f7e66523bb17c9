"""The ``intermodal`` command: imports each verb on first use, and ends with an error's exit code (``errors.py``)."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from intermodal import errors
from intermodal._version import __version__
from intermodal.core.hints import one_line

# verb -> (module, one line of help); the module holds a click command of the same name
VERBS: dict[str, tuple[str, str]] = {
    "ask": ("ask", "Ask anything of any files; the answer streams."),
    "explain": ("explain", "Show the plan for a request; spends nothing, contacts no model."),
    "prompt": ("prompt", "List, explain, run, test, convert and check prompt files."),
    "advise": ("advise", "Recommend a kind of model for a task, with its cost."),
    "estimate": ("estimate", "Count tokens and money of a call before it is made."),
    "cost": ("cost", "Estimate a month's bill of a workload for several plans side by side."),
    "fit": ("fit", "Predict whether a local model fits a machine, its speed, and changes to make it fit."),
    "models": ("models", "List the models and endpoints that plans choose from."),
    "doctor": ("doctor", "Check what is installed, reachable and fits in memory, with fixes."),
    "plugins": ("plugins", "List installed plugins, and why one is not used."),
    "find": ("find", "Find images in folders by words or by an image."),
    "rerank": ("rerank", "Rank passages of files by how well they answer a question."),
    "probe": ("probe", "Test which inputs an endpoint really accepts."),
    "pull": ("pull", "Fetch model weights, pinned by checksum."),
    "up": ("up", "Start a model server shared by all processes; or list servers."),
    "down": ("down", "Stop started servers."),
    "init": ("init", "Set up intermodal, guided: hosts, keys, consent."),
    "hosts": ("hosts", "Add, allow and list hosts."),
    "config": ("config", "Show the path of intermodal.toml, its errors, and its JSON Schema."),
    "serve": ("serve", "Serve the APIs of OpenAI, Anthropic and Ollama; every request is planned."),
    "keys": ("keys", "Create, list and revoke the gateway's keys: budgets, rates, allowed models."),
    "eval": ("eval", "Run labelled files over every route, side by side, and measure how strong each is."),
    "bench": ("bench", "Measure endpoints on your own request, side by side: first word, speed, load, money."),
    "cache": ("cache", "List, show and remove cached transcripts and recognised text."),
    "usage": ("usage", "Show past runs: attempts, tokens, money, seconds, accuracy."),
    "completion": ("completion", "Print the shell completion script for bash, zsh or fish."),
}

EPILOG = """\b
Exit codes
  0  done                     5  an endpoint failed
  1  unexpected failure       6  the answer breaks the schema, after repair
  2  wrong usage or config    7  a runtime or weights are missing
  3  an input cannot be taken 8  the run would cost more than allowed
  4  no route is allowed      9  the store cannot be used
                            130  interrupted
  an answer with a defect:
  10  a value occurs in none of the files    12  it repeats itself
  11  cut at the limit                       13  words of a file are missing
  a prompt file:
  14  no route passes all of its tests

\b
Examples
  intermodal ask "What does the caller want?" call.wav
  intermodal explain "Does the invoice agree?" call.wav invoice.png
  intermodal doctor
"""


class _Verbs(click.Group):
    """A group that imports the module of a verb only when that verb is called, so that ``--version`` imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"intermodal.cli.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        if not any(parameter.name == "verbose" for parameter in command.params):
            command.params.append(_verbose(hidden=True))  # people type it both before and after the verb
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would report it as an error
            raise _ReaderLeft from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"verbs are {', '.join(VERBS)}"
            raise click.UsageError(f"{error.message.rstrip('.')}; {hint}", ctx) from None


def _verbose(*, hidden: bool) -> click.Option:
    return click.Option(
        ["-v", "--verbose"], is_flag=True, expose_value=False, is_eager=True, hidden=hidden, callback=_log_to_stderr,
        help="Log plans, steps, failures and retries to standard error.",
    )  # fmt: skip


def _log_to_stderr(_: click.Context, __: click.Parameter, verbose: bool) -> None:
    if verbose:
        import logging

        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger = logging.getLogger("intermodal")
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG)


@click.group(
    cls=_Verbs, epilog=EPILOG, subcommand_metavar="VERB …", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="intermodal")
def app() -> None:
    """Plan and run any request - text, images, audio, video, PDF and office documents - on the
    models you have.

    Nothing is sent to a hosted service before you consented to it. No telemetry.
    """


app.params.insert(1, _verbose(hidden=False))


# Allocations between two garbage collections. Python's 700 cost a verb that reads the catalog a third of its time.
_GC_THRESHOLD = 10_000


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the exit code of the error (``intermodal.errors``), or 0 without one."""
    arguments = sys.argv[1:] if arguments is None else arguments
    gc.set_threshold(_GC_THRESHOLD)
    as_json = "--json" in arguments[: arguments.index("--")] if "--" in arguments else "--json" in arguments
    stopped = _stop_on_signals()
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # printing a file name that is not valid text must not raise
            reconfigure(errors="backslashreplace")
    try:
        code = app.main(arguments, prog_name="intermodal", standalone_mode=False)
        sys.stdout.flush()
        gc.freeze()  # the system frees the memory; a last collection would take up to 25 ms
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _exit_interrupted(as_json, stopped)
    except (_ReaderLeft, BrokenPipeError):
        _drop_stdout()
        sys.exit(0)
    except click.exceptions.NoArgsIsHelpError as error:  # not an error: a group without a verb prints its help
        click.echo(error.format_message())
        sys.exit(0)
    except click.UsageError as error:
        _exit_with_error(errors.UsageError(_sentence(error)), as_json, hint=_help_hint(error))
    except click.ClickException as error:
        _exit_with_error(errors.UsageError(_sentence(error)), as_json)
    except errors.IntermodalError as error:
        _exit_with_error(error, as_json)
    except OSError as error:
        if not _is_of_stdout(error):
            _exit_with_error(_bug_report(error), as_json)
        click.echo(f"intermodal: standard output cannot be written ({error.strerror})", err=True)
        _drop_stdout()
        sys.exit(errors.IntermodalError.exit_code)
    except Exception as error:
        inner_error = _first_known_error(error) if isinstance(error, ExceptionGroup) else None
        if inner_error is None and os.environ.get("INTERMODAL_DEBUG"):
            raise
        _exit_with_error(inner_error or _bug_report(error), as_json)
    finally:
        if "intermodal.core.plugin_registry" in sys.modules:
            importlib.import_module("intermodal.cli.plugins").warn_of_plugins()


class _ReaderLeft(Exception):
    """Report that the reader of standard output closed it, as ``| head`` does."""


def _open_closed_streams() -> None:
    """Open /dev/null in place of standard streams that the caller closed (``>&-``)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for the life of the process


def _is_of_stdout(error: OSError) -> bool:
    """Return whether the error comes from a full or broken standard output; such an error names no file."""
    return error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF) and error.filename is None


def _drop_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _stop_on_signals() -> list[int]:
    """Make SIGTERM and SIGHUP act like Ctrl-C: end child processes, finish the store, and stop.

    ``nohup`` keeps SIGHUP ignored. Returns a list that receives the number of the signal.
    """
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for what a shell script starts in the background
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    with contextlib.suppress(ValueError):  # outside the main thread the caller handles signals
        signal.signal(signal.SIGTERM, stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, stop)
    return stopped


def _exit_interrupted(as_json: bool, stopped: list[int]) -> NoReturn:
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("error", {"code": "interrupted", "what": "interrupted", "where": "", "todo": ""})
    else:
        click.echo("intermodal: interrupted", err=True)
    sys.exit(128 + (stopped[0] if stopped else signal.SIGINT))


def _sentence(error: click.ClickException) -> str:
    """Return click's message in our style: no full stop, and a lower-case first letter unless it begins a name."""
    text = error.format_message().strip().rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _bug_report(error: BaseException) -> errors.IntermodalError:
    """Return an error that reports a bug in intermodal: its place in the code, and no values, which may be secret."""
    error = errors.first_error(error)
    todo = "please report it; INTERMODAL_DEBUG=1 shows the whole traceback"
    what = f"unexpected {type(error).__name__} {errors.source_location(error)}"
    return errors.IntermodalError(what.rstrip(), todo=todo)


def _first_known_error(group: BaseExceptionGroup[Any]) -> errors.IntermodalError | None:
    """Return the first intermodal error inside the exception of a task group; None if there is none."""
    for error in group.exceptions:
        if isinstance(error, errors.IntermodalError):
            return error
        if isinstance(error, BaseExceptionGroup) and (found := _first_known_error(error)) is not None:
            return found
    return None


def _help_hint(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else "intermodal"
    return f"see {path} --help"


def _exit_with_error(error: errors.IntermodalError, as_json: bool, hint: str = "") -> NoReturn:
    """Print an error, as a sentence on stderr or as a JSON document on stdout, and exit."""
    report = error.wording_for("command line")
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        body: dict[str, Any] = {"code": error.code, "what": report.what, "where": report.where, "todo": report.todo}
        if report.reasons or isinstance(error, errors.NoRoute):
            body["reasons"] = list(report.reasons)
        print_document("error", {**body, **error.details})
    else:
        lines = [f"intermodal: {one_line(str(report))}", *(f"  - {one_line(reason)}" for reason in report.reasons)]
        click.echo("\n".join((*lines, *filter(None, (hint, error.supplement)))), err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
