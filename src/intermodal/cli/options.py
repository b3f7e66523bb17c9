"""The options that ``ask`` and ``explain`` share, and how they become a ``Request``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from intermodal.errors import SchemaInvalid, UsageError
from intermodal.request import (
    ASPECTS,
    DEFAULT_MAX_COST,
    OBJECTIVES,
    TIERS,
    EmbeddingOutput,
    JsonOutput,
    Message,
    Output,
    Request,
    TextOutput,
    TranscriptOutput,
)

F = TypeVar("F", bound=Callable[..., Any])

_SHARED = [
    click.argument("prompt", required=False),
    click.argument("files", nargs=-1),
    click.option("-m", "--model", default="", metavar="NAME", help="Answer with this model or endpoint (vendor/model, host:vendor/model, or a short name)."),
    click.option("--objective", type=click.Choice(OBJECTIVES), default="default", show_default=True, help="What to prefer among the routes that are allowed."),
    click.option("--at-least", type=click.Choice(TIERS), default=None, help="Strength floor; a stated floor rejects weaker routes."),
    click.option("--max-cost", type=float, default=None, metavar="USD", help=f"Money limit for this request.  [default: {DEFAULT_MAX_COST}]"),
    click.option("--deadline", type=float, default=None, metavar="SECONDS", help="Time limit for this request."),
    click.option("--local", is_flag=True, help="Nothing leaves this machine."),
    click.option("--private", default="", metavar="LIST", help="Kinds or files that may not leave this machine, nor what is made of them: audio,call.wav"),
    click.option("--release", default="", metavar="LIST", help="What made of something private may leave: audio:text"),
    click.option("--keep", default="", metavar="ASPECTS", help=f"What the route must keep: {', '.join(ASPECTS)}."),
    click.option("--schema", "schema_file", type=click.Path(), default=None, metavar="FILE", help="The answer is JSON of this JSON Schema."),
    click.option("--output", "output_kind", type=click.Choice(["text", "json", "transcript", "embedding"]), default=None, help="What comes out.  [default: text, or json with --schema]"),
    click.option("--format", "transcript_format", type=click.Choice(["text", "json", "srt", "vtt"]), default="text", show_default=True, help="Format of a transcript."),
    click.option("--language", default="", metavar="CODE", help="Language of the speech (en, fr, …); found out when not given."),
    click.option("--pages", default="", metavar="LIST", help="Pages of documents to use: 1-3,7"),
    click.option("--system", default="", metavar="TEXT", help="Instruction for the whole conversation."),
    click.option("--max-tokens", type=click.IntRange(min=1), default=None, metavar="N", help="Most tokens to answer with."),
    click.option("--temperature", type=click.FloatRange(min=0), default=None, metavar="T", help="Sampling temperature."),
    click.option("--seed", type=int, default=None, help="Sampling seed."),
    click.option("--host", "hosts", multiple=True, metavar="NAME", help="Consent to this host for this one request; repeatable."),
    click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
]  # fmt: skip


def request_options(function: F) -> F:
    """Decorate a verb with the shared arguments and options."""
    for option in reversed(_SHARED):
        function = option(function)
    return function


def build_request(given: Mapping[str, Any], history: tuple[Message, ...] = (), previous: str = "") -> Request:
    """The request that the options describe. ``given`` are click's parameters by name.

    Raises UsageError and SchemaInvalid; opens only the schema file and standard input.
    """
    import msgspec

    from intermodal import asking
    from intermodal.content import BytesSource, File

    prompt: str = given["prompt"] or ""
    files: list[Any] = list(given["files"])
    output = _output(given)
    if prompt == "-":
        prompt = sys.stdin.read()
    elif prompt and not files and not isinstance(output, TextOutput | JsonOutput):
        files, prompt = [prompt], ""  # `ask --output transcript call.wav`: the only word is the file
    if "-" in files:
        piped = File(source=BytesSource(data=sys.stdin.buffer.read(), name="stdin"))
        files = [piped if file == "-" else file for file in files]
    options: dict[str, Any] = {
        "objective": given["objective"],
        "model": given["model"],
        "private": _words(given["private"]),
        "release": _releases(given["release"]),
        "keep": _aspects(given["keep"]),
        "language": given["language"].lower(),
        "pages": _pages(given["pages"]),
        "hosts": tuple(given["hosts"]),
    }
    if given["local"]:
        options["farthest"] = "machine"
    for name in ("at_least", "max_cost", "deadline", "max_tokens", "temperature", "seed"):
        if given[name] is not None:
            options[name] = given[name]
    for name in ("max_cost", "deadline"):
        if not 0 <= options.get(name, 0) < float("inf"):
            raise UsageError(f"{options[name]} is not a limit", where=f"--{name.replace('_', '-')}", todo="give a number of 0 or more")
    made = asking.request(prompt, *files, output=output, system=given["system"], history=history, **options)
    return msgspec.structs.replace(made, previous_endpoint=previous) if previous else made


def _output(given: Mapping[str, Any]) -> Output:
    kind = given["output_kind"] or ("json" if given["schema_file"] else "text")
    if given["schema_file"] and kind != "json":
        raise UsageError(f"--schema asks for JSON, --output for {kind}", todo="leave one of them out")
    if kind == "json":
        return _json_output(given["schema_file"])
    if kind == "transcript":
        return TranscriptOutput(format=given["transcript_format"])
    return EmbeddingOutput() if kind == "embedding" else TextOutput()


def _json_output(path: str | None) -> JsonOutput:
    import json

    from intermodal.schema import json_output

    if path is None:
        return JsonOutput(schema={"type": "object"})
    try:
        body = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SchemaInvalid(f"cannot be read ({error.strerror})", where=path, todo="check the path of --schema") from None
    except ValueError as error:
        raise SchemaInvalid(f"is not JSON ({error})", where=path, todo="correct the schema file") from None
    if not isinstance(body, dict):
        raise SchemaInvalid("is not a JSON Schema: the top must be an object", where=path, todo="correct the schema file")
    return json_output(body)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _releases(text: str) -> tuple[str, ...]:
    pairs = _words(text)
    for pair in pairs:
        if pair.count(":") != 1 or not all(pair.split(":")):
            raise UsageError(f"{pair!r} is not a release", where="--release", todo="write what it is made of and what may leave, as audio:text")
    return pairs


def _aspects(text: str) -> tuple[str, ...]:
    words = _words(text)
    for word in words:
        if word not in ASPECTS:
            raise UsageError(f"no aspect named {word!r}", where="--keep", todo=f"aspects are {', '.join(ASPECTS)}")
    return words


def _pages(text: str) -> tuple[int, ...]:
    """``1-3,7`` as page numbers, in order, each once."""
    pages: set[int] = set()
    for word in _words(text):
        first, dash, last = word.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise UsageError(f"{word!r} is not a page or a range of pages", where="--pages", todo="write 1-3,7")
        low, high = int(first), int(last) if dash else int(first)
        if not 1 <= low <= high or high - low > 100_000:
            raise UsageError(f"{word!r} is not a range of pages", where="--pages", todo="pages count from 1, the smaller first")
        pages.update(range(low, high + 1))
    return tuple(sorted(pages))
