"""Options that ``ask`` and ``explain`` share, and the ``Request`` that they describe.

Standard input is read here too, up to a limit (``read_stdin``).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from intermodal.cli.arguments.output_options import FORMATS, OUTPUT_CHOICE, output_of
from intermodal.core import content
from intermodal.core.request import (
    ASPECTS,
    EVIDENCE,
    LICENCES,
    OBJECTIVES,
    RETENTIONS,
    SAMPLERS,
    SAMPLING_RANGES,
    TIERS,
    EmbeddingOutput,
    JsonOutput,
    Message,
    Output,
    Request,
    ScoresOutput,
    SpeechOutput,
    TextOutput,
    TranscriptOutput,
)
from intermodal.cost_model.image_tokens import QUALITIES
from intermodal.errors import InputBroken, InputTooLarge, UsageError

if TYPE_CHECKING:
    from intermodal.config.config_file import Config

F = TypeVar("F", bound=Callable[..., Any])


def split_list(text: str) -> tuple[str, ...]:
    """Return the words of a comma-separated list; the option may also be given several times."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def money(text: str) -> float:
    """Return an amount in dollars, written as 0.05 or $0.05."""
    return _amount(text, text.strip().removeprefix("$"), {}, "dollars")


def seconds(text: str) -> float:
    """Return a time in seconds, written as 30, 90s or 2m."""
    return _amount(text, text.strip().lower(), {"min": 60.0, "m": 60.0, "s": 1.0, "h": 3600.0}, "seconds")


def _amount(original: str, text: str, units: Mapping[str, float], what: str) -> float:
    unit = next((unit for unit in units if text.endswith(unit)), "")
    try:
        number = float(text.removesuffix(unit)) * units.get(unit, 1.0)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise click.BadParameter(f"{original!r} is not a number of {what} (0 or more)")
    return number


def conditions(licence: str) -> list[Any]:
    """Return the options that restrict models and hosts. ``licence`` describes the default in the help text."""
    return [
        click.option("--licence", type=click.Choice(LICENCES), default=None,
                     help=f"commercial: no model whose licence does not permit commercial use.  [default: {licence}]"),
        click.option("--region", "regions", type=split_list, multiple=True, metavar="CODES",
                     help="Internet hosts must compute in these regions only: eu, us.  [default: anywhere, or "
                          "regions of the config]"),
        click.option("--retention", type=click.Choice(RETENTIONS), default=None,
                     help="no-training: no host that trains on content; none: no host that keeps content.  "
                          "[default: any, or retention of the config]"),
    ]  # fmt: skip


def with_all(options: Sequence[Callable[[Any], Any]]) -> Callable[[F], F]:
    """Return a decorator that adds all these options to a verb, in the order in which help shows them."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def with_conditions(licence: str) -> Callable[[F], F]:
    """Return a decorator that adds the options of ``conditions``."""
    return with_all(conditions(licence))


_SHARED = [
    click.argument("prompt", required=False),
    click.argument("files", nargs=-1, type=click.Path()),
    click.option("-m", "--model", default="", metavar="NAME",
                 help="Answer with this model or endpoint (vendor/model, host:vendor/model, or a short name)."),
    click.option("--objective", type=click.Choice(OBJECTIVES), default="default", show_default=True,
                 help="What to prefer among the routes that are allowed."),
    click.option("--at-least", type=click.Choice(TIERS), default=None,
                 help="Strength floor; a stated floor rejects weaker routes."),
    click.option("--max-cost", type=money, default=None, metavar="USD",
                 help="Money limit for this request.  [default: 0.05, or max_cost of the config]"),
    click.option("--deadline", type=seconds, default=None, metavar="SECONDS",
                 help="Time limit for this request (30, 90s, 2m)."),
    click.option("--pay-twice/--no-pay-twice", default=None,
                 help="After a failed call that may have been charged, try another endpoint.  "
                      "[default: yes, or pay_twice of the config]"),
    click.option("--free-tiers/--no-free-tiers", default=None,
                 help="best and cheapest may take endpoints that are free and rationed.  "
                      "[default: they may not, or free_tiers of the config]"),
    *conditions("any, or licence of the config"),
    click.option("--local", is_flag=True, help="Nothing leaves this machine."),
    click.option("--private", multiple=True, metavar="LIST",
                 help="Kinds or files that may not leave this machine, nor anything derived from them: audio,call.wav"),
    click.option("--release", multiple=True, metavar="LIST",
                 help="What may leave although it is derived from something private: audio:text"),
    click.option("--keep", type=split_list, multiple=True, metavar="ASPECTS",
                 help=f"What the route must keep: {', '.join(ASPECTS)}."),
    click.option("--host", "hosts", multiple=True, metavar="NAME",
                 help="Consent to this host for this one request; repeatable."),
    click.option("--schema", "schema_file", type=click.Path(), default=None, metavar="FILE",
                 help="The answer is JSON of this JSON Schema."),
    click.option("--evidence", type=click.Choice(EVIDENCE), default=None,
                 help="If a value of a JSON answer occurs in none of the files: call once more and report the rest, "
                      "only report it, or do not look.  [default: retry]"),
    click.option("--output", "output_kind", type=OUTPUT_CHOICE, default=None,
                 help="Kind of output.  [default: text, or what another option implies]"),
    click.option("--format", "form", type=click.Choice(FORMATS), default=None,
                 help="Format of a transcript (text, json, srt, vtt), speech (wav, mp3), images (png, jpeg, webp)."),
    click.option("--voice", default="", metavar="NAME", help="Voice of speech, by a name its endpoint knows."),
    click.option("--verbatim", is_flag=True, help="Speak the prompt itself, without answering it."),
    click.option("--labels", type=split_list, multiple=True, metavar="LIST",
                 help="Score how well each of these labels fits: invoice,letter,photo of a cat"),
    click.option("--independent", is_flag=True,
                 help="Judge each label by itself, so that several may apply, or none."),
    click.option("--size", default="", metavar="WxH", help="Size of a generated image, in pixels: 1024x1024"),
    click.option("--count", type=click.IntRange(1, 10), default=None, metavar="N", help="How many images to generate."),
    click.option("--quality", type=click.Choice(QUALITIES), default=None, help="Quality of a generated image."),
    click.option("--negative", default="", metavar="TEXT", help="What a generated image must not show."),
    click.option("--steps", type=click.IntRange(1, 1000), default=None, metavar="N",
                 help="Steps of a diffusion model."),
    click.option("--guidance", type=click.FloatRange(0, 100), default=None, metavar="X",
                 help="How closely a diffusion model follows the words; 1 is fastest and ignores --negative."),
    click.option("--sampler", type=click.Choice(SAMPLERS), default=None, metavar="NAME",
                 help=f"How a diffusion model takes its steps: {', '.join(SAMPLERS)}."),
    click.option("--strength", type=click.FloatRange(0, 1, min_open=True), default=None, metavar="X",
                 help="How much of the input image is redrawn, up to 1."),
    click.option("--mask", default="", metavar="FILE",
                 help="Mask of the input image: white or transparent where it may change."),
    click.option("--language", default="", metavar="CODE",
                 help="Language of the speech and of words in images (en, fr, …); detected if not stated."),
    click.option("--translate", default="", metavar="CODE",
                 help="Translate the speech into this language (en, de, …): in a transcript, or for a question."),
    click.option("--pages", type=split_list, multiple=True, metavar="LIST", help="Pages of documents to use: 1-3,7"),
    click.option("--system", default="", metavar="TEXT", help="Instruction for the whole conversation."),
    click.option("--max-tokens", type=click.IntRange(min=1), default=None, metavar="N",
                 help="Maximum tokens of the answer."),
    click.option("--temperature", type=click.FloatRange(*SAMPLING_RANGES["temperature"]), default=None, metavar="T",
                 help="Sampling temperature."),
    click.option("--seed", type=int, default=None, metavar="N", help="Seed of sampling, or of an image."),
    click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
]  # fmt: skip


def request_options(function: F) -> F:
    """Add the shared arguments and options to a verb."""
    return with_all(_SHARED)(function)


def stated_options(*, but: tuple[str, ...]) -> list[str]:
    """Return the options that the user set for the running command, except those in ``but`` (by parameter name)."""
    context = click.get_current_context()
    found = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in but and source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT"):
            found.append(parameter.opts[-1])
    return found


def request_files(options: Mapping[str, Any]) -> list[str]:
    """Return all arguments of a request that may name a file, as given; no output may replace these files."""
    return [
        word
        for word in (options["prompt"], *options["files"], options["schema_file"], options.get("mask"))
        if word and word != "-"
    ]


def build_request(
    cli_options: Mapping[str, Any], config: Config, history: tuple[Message, ...] = (), previous: str = ""
) -> Request:
    """Return the request that the options and the defaults of the config describe.

    ``cli_options`` are click's parameters by name. Raises UsageError and SchemaInvalid; opens only the schema file and
    standard input.
    """
    import msgspec

    from intermodal.client import request_builder

    output = output_of(cli_options)
    prompt, files = _prompt_and_files(cli_options["prompt"] or "", list(cli_options["files"]), output)
    files += [cli_options["mask"]] if cli_options.get("mask") else []
    options = policy_options(cli_options, config)
    request_builder.apply_config_defaults(options, config)
    request = request_builder.make_request(
        prompt, *map(source_of, files), output=output, system=cli_options["system"], history=history, **options
    )
    return msgspec.structs.replace(request, previous_endpoint=previous) if previous else request


def policy_options(cli_options: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Return the policy and sampling options by the names of ``make_request``.

    Options that were not set are left out or empty. Raises UsageError.
    """
    from intermodal.client import request_builder

    options: dict[str, Any] = {
        "objective": cli_options["objective"],
        "model": cli_options["model"],
        "private": _labels(cli_options["private"], cli_options["files"]),
        "release": _releases(cli_options["release"]),
        "keep": keep_aspects(cli_options["keep"]),
        "language": _language(cli_options["language"]),
        "translate": _language(cli_options["translate"], "--translate"),
        "pages": _pages(_flatten(cli_options["pages"])),
        "hosts": request_builder.checked_hosts(cli_options["hosts"], config),
    }
    if cli_options["local"]:
        options["farthest"] = "machine"
    own = (
        "at_least",
        "max_cost",
        "deadline",
        "max_tokens",
        "temperature",
        "seed",
        "pay_twice",
        "free_tiers",
        "evidence",
        "licence",
        "retention",
    )
    for name in own:
        if cli_options[name] is not None:
            options[name] = cli_options[name]
    if cli_options["regions"]:
        options["regions"] = _flatten(cli_options["regions"])
    return options


# ---- prompt and files ------------------------------------------------------------------------------


def _prompt_and_files(prompt: str, files: list[str], output: Output) -> tuple[str, list[str]]:
    """Return the prompt and the files that the user meant.

    ``ask --output transcript call.wav`` has no prompt, only a file.
    """
    if [prompt, *files].count("-") > 1:
        raise UsageError("standard input can be read once", where="-", todo="write - for the prompt or for one file")
    _check_order(prompt, files)
    if prompt and not files and (isinstance(output, TranscriptOutput) or _names_a_file(prompt)):
        if isinstance(output, TextOutput | JsonOutput) or (isinstance(output, SpeechOutput) and not output.verbatim):
            raise UsageError(
                "is a file; nothing was asked about it",
                where=prompt,
                todo=f'say what you want to know first: intermodal ask "What is this about?" {prompt}',
            )
        return "", [prompt]
    if not files and _looks_like_missing_file(prompt):
        raise UsageError("there is no such file", where=prompt, todo="check the path; a question has more than a name")
    if files and isinstance(output, ScoresOutput | EmbeddingOutput) and _names_a_file(prompt):
        return "", [prompt, *files]  # files to score or embed need no question
    if prompt.startswith("@"):
        prompt = _prompt_of_file(prompt)
    if prompt == "-":
        try:
            prompt = read_stdin().decode("utf-8").strip()
        except UnicodeDecodeError:
            raise InputBroken(
                "is not text", where="standard input", todo='ask about it as a file: intermodal ask "…" -'
            ) from None
        if not prompt:
            raise UsageError("standard input held no prompt", where="-", todo="pipe the question in")
    return prompt, files


def _prompt_of_file(word: str) -> str:
    """Return the text of ``@prompt.txt``.

    If there is no such file, the ``@`` belongs to the text, unless a file was clearly meant.
    """
    from intermodal.media.fetch import read_text_file
    from intermodal.prompts.formats import format_of

    path = word[1:]
    if not _path_exists(path):
        if not path or any(letter.isspace() for letter in path):
            return word
        raise UsageError("there is no such file", where=path, todo='write "@FILE" with a text file, or the question')
    if format_of(Path(path)) is not None:
        raise UsageError("is a prompt file", where=path, todo=f"write: intermodal ask --prompt {shlex.quote(path)}")
    text = read_text_file(path).strip()
    if not text:
        raise UsageError("holds no prompt", where=path, todo="write the question into it")
    return text


def _check_order(prompt: str, files: list[str]) -> None:
    """Raise UsageError if a file comes first and the question after it."""
    if not files or not _names_a_file(prompt):
        return
    questions = [word for word in files if " " in word.strip() and "://" not in word and not _path_exists(word)]
    if questions:
        question, others = questions[0], [word for word in files if word is not questions[0]]
        raise UsageError(
            f"is a file, and {question!r} is none: the question comes before the files",
            where=prompt,
            todo=f"write: intermodal ask {shlex.join([question, prompt, *others])}",
        )


def _path_exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):
        return False


def _names_a_file(word: str) -> bool:
    """Return whether a single word is the path of an existing file, and so hardly a question."""
    try:
        return " " not in word.strip() and word != "-" and Path(word).is_file()
    except (OSError, ValueError):
        return False


def _looks_like_missing_file(word: str) -> bool:
    """Return whether a word looks like the path of an image, recording, video or document that does not exist."""
    from intermodal.media.file_endings import MEDIA_ENDINGS

    name, _, ending = word.lower().rpartition(".")
    return (
        bool(name)
        and ending in MEDIA_ENDINGS
        and len(word.split()) == 1
        and "://" not in word
        and not _path_exists(word)
    )


def source_of(file: str) -> Any:
    from intermodal.core.content import BytesSource

    return BytesSource(data=read_stdin(), name="stdin") if file == "-" else file


# ---- single options --------------------------------------------------------------------------------


def _flatten(lists: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for words in lists for word in words))


def part_names(files: tuple[str, ...]) -> set[str]:
    """Return the names that a plan gives to the parts made of these arguments."""
    from urllib.parse import urlsplit

    names = {"prompt"}
    for file in files:
        names |= {"stdin" if file == "-" else file, Path(file).name}
        with suppress(ValueError):  # fetching reports an invalid address
            names.add(Path(urlsplit(file).path).name if "://" in file else file)
    return names - {""}


def _labels(lists: tuple[str, ...], files: tuple[str, ...]) -> tuple[str, ...]:
    """Return the privacy labels, split at commas.

    Whether each label fits a part is checked once the files are open, since they may contain others. A plan calls a
    file inside another one "letter.eml, call.wav": a word that names nothing by itself belongs to the file before it.
    """
    names = part_names(files)
    found: list[str] = []
    for text in lists:
        if text.strip() in names:  # the name of a file contains the comma
            found.append(text.strip())
            continue
        last = ""
        for word in filter(None, text.split(",")):
            name = word.strip()
            is_known = name in names or name.lower() in content.KINDS
            if last and word.startswith(" ") and not is_known:
                found[-1] = last = f"{last}, {name}"
                continue
            found.append(name)
            last = name if name in names and name.lower() not in content.KINDS else ""
    return tuple(dict.fromkeys(_label(word) for word in found if word))


def _label(word: str) -> str:
    if word.lower() in content.KINDS:
        return word.lower()
    return word if word in ("prompt", "stdin") else Path(word).name


def _releases(lists: tuple[str, ...]) -> tuple[str, ...]:
    """Return the pairs of ``--release``, split at commas.

    The comma in "letter.eml, call.wav:text" does not separate two pairs, since the text before it ends in no kind.
    """
    pairs: list[str] = []
    for text in lists:
        rest = ""
        for word in text.split(","):
            rest = f"{rest},{word}" if rest else word.strip()
            origin, _, derived_kind = rest.strip().rpartition(":")
            if origin and derived_kind in content.KINDS:
                pairs.append(rest.strip())
                rest = ""
        if rest.strip():
            raise UsageError(
                f"{rest.strip()!r} is not a release",
                where="--release",
                todo="write what is private and the derived kind that may leave, as audio:text or call.wav:text",
            )
    return tuple(dict.fromkeys(pairs))


def keep_aspects(lists: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Return the aspects of ``--keep`` without repetitions. Raises UsageError for an unknown one."""
    return _aspects(_flatten(lists))


def _aspects(words: tuple[str, ...]) -> tuple[str, ...]:
    from intermodal.client.request_builder import suggestion

    for word in words:
        if word not in ASPECTS:
            todo = suggestion(word, ASPECTS, f"aspects are {', '.join(ASPECTS)}")
            raise UsageError(f"no aspect named {word!r}", where="--keep", todo=todo)
    return words


def _language(code: str, where: str = "--language") -> str:
    code = code.strip().lower()
    if code and not (len(code) in (2, 3) and code.isascii() and code.isalpha()):
        raise UsageError(f"{code!r} is not a language code", where=where, todo="write en, fr, de, …")
    return code


def _pages(words: tuple[str, ...]) -> tuple[int, ...]:
    """Return the page numbers that ``1-3,7`` stands for, in order and without repetitions."""
    pages: set[int] = set()
    for word in words:
        first, dash, last = word.partition("-")
        digits = first.isdecimal() and first.isascii() and (not dash or (last.isdecimal() and last.isascii()))
        if not digits or len(word) > 20:
            raise UsageError(f"{word!r} is not a page or a range of pages", where="--pages", todo="write 1-3,7")
        low, high = int(first), int(last) if dash else int(first)
        if not 1 <= low <= high or high > 100_000:
            raise UsageError(
                f"{word!r} is not a range of pages", where="--pages", todo="pages count from 1, the smaller first"
            )
        pages.update(range(low, high + 1))
    return tuple(sorted(pages))


# ---- standard input ---------------------------------------------------------------------------------


MAX_STDIN = 512 << 20  # bytes, the same limit as for a file


def read_stdin() -> bytes:
    """Read standard input. Raises InputTooLarge if it is larger than ``MAX_STDIN``."""
    if sys.stdin.isatty():
        click.echo("reading standard input; end it with Ctrl-D", err=True)
    data = sys.stdin.buffer.read(MAX_STDIN + 1)
    if len(data) > MAX_STDIN:
        raise InputTooLarge(f"is larger than {MAX_STDIN >> 20} MiB", where="standard input", todo="pass a smaller file")
    return data
