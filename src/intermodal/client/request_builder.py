"""Build a ``Request`` from a prompt, files and options. Opens no file."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, get_args, get_origin, get_type_hints

import msgspec

from intermodal.client import answer_schema as schemas
from intermodal.client.plugin_outputs import output_format, output_plugins
from intermodal.config.tables import REQUEST_DEFAULTS
from intermodal.core import languages
from intermodal.core.content import KINDS, BytesSource, File, Part, PathSource, Source, Text, UrlSource
from intermodal.core.hints import command, hint, setting
from intermodal.core.request import (
    LICENCES,
    REGION,
    REGION_WORDS,
    RETENTIONS,
    SAMPLERS,
    SAMPLING_RANGES,
    ZONES,
    Aspect,
    EmbeddingOutput,
    Evidence,
    ImageOutput,
    Licence,
    Message,
    Objective,
    Output,
    Policy,
    Request,
    Retention,
    Sampling,
    ScoresOutput,
    SpeechOutput,
    TextOutput,
    Tier,
    Zone,
)
from intermodal.errors import ConfigError, UsageError
from intermodal.events import Result

if TYPE_CHECKING:
    from intermodal.config.config_file import Config

FileLike = str | os.PathLike[str] | bytes | tuple[str, bytes] | Part | Source
Schema = type[Any] | Mapping[str, Any]
_POLICY = frozenset(Policy.__struct_fields__)
_SAMPLING = frozenset(Sampling.__struct_fields__)
_URL = re.compile(r"[a-z][a-z0-9+.-]+://|(?:https?|data):", re.IGNORECASE)  # not C://: a drive letter is not a scheme
_SEVERAL = frozenset({"private", "release", "keep", "hosts", "pages", "stop", "regions"})


class RequestOptions(TypedDict, total=False):
    """Options of a request: the fields of ``Policy`` and ``Sampling``, which document them.

    Options that take several labels, aspects or pages also accept a single one.
    """

    objective: Objective
    at_least: Tier | None
    model: str
    max_cost: float
    max_cost_stated: bool
    deadline: float | None
    farthest: Zone
    private: str | Sequence[str]
    release: str | Sequence[str]
    keep: Aspect | Sequence[Aspect]
    language: str
    translate: str
    hosts: str | Sequence[str]
    pages: int | Sequence[int]
    time_value: float
    pay_twice: bool
    resends: int | None
    explore: bool
    free_tiers: bool
    licence: Licence
    regions: str | Sequence[str]
    retention: Retention
    evidence: Evidence
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: str | Sequence[str]
    seed: int | None


class AskOptions(RequestOptions, total=False):
    """Options of ``ask`` besides prompt, files and schema; see :func:`make_request`."""

    output: Output | str | None
    system: str
    history: Iterable[Message]


F = TypeVar("F", bound=Callable[..., Any])


def with_options(options: type[Any]) -> Callable[[F], F]:
    """Make ``help()`` list the keywords of a TypedDict, with types and defaults, in place of ``**options``.

    The function itself is unchanged.
    """

    def show_options(function: F) -> F:
        whole = inspect.signature(function)
        plain = [each for each in whole.parameters.values() if each.kind is not each.VAR_KEYWORD]
        plain_names = {each.name for each in plain}
        more = [
            each
            for each in _keywords(options)  # type: ignore[arg-type]
            if each.name not in plain_names
        ]
        function.__signature__ = whole.replace(parameters=[*plain, *more])  # type: ignore[attr-defined]
        return function

    return show_options


@cache
def _keywords(options: Hashable) -> tuple[inspect.Parameter, ...]:
    left_out = {name: getattr(each, name) for each in (Sampling(), Policy()) for name in each.__struct_fields__}
    left_out |= {"system": "", "history": (), "output": None}
    return tuple(
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=left_out.get(name, ...), annotation=hint)
        for name, hint in get_type_hints(options).items()
    )


def checked_config(config: Config) -> Config:
    """Return the config; raise ConfigError if a row names an unknown image token rule.

    Without this check, such a model would silently get a wide range of tokens.
    """
    from intermodal.cost_model.image_tokens import IMAGE_RULES, is_image_rule

    for host in config.hosts:
        for served_row in host.models:
            if served_row.image_tokens and not is_image_rule(served_row.image_tokens):
                what = f"{served_row.id}: image_tokens is {served_row.image_tokens!r}, and no such rule is known"
                todo = f"rules are {', '.join(sorted(IMAGE_RULES))}, with their numbers: see docs/counting.md"
                raise ConfigError(what, where=f"[hosts.{host.id}]", todo=todo)
    return config


def apply_config_defaults(options: Any, config: Config) -> None:
    """Set missing options to the values of the config."""
    options.setdefault("max_cost_stated", "max_cost" in options or config.max_cost_stated)
    for name in REQUEST_DEFAULTS:
        options.setdefault(name, getattr(config, name))


def build_request(
    config: Config,
    env: Mapping[str, str],
    prompt: str | Request,
    files: tuple[FileLike, ...],
    schema: Schema | None,
    options: Mapping[str, Any],
) -> Request:
    """Build the request of a client call from a question, files and options, with defaults from the config.

    A ``Request`` is returned unchanged.

    Raises:
        UsageError: the first argument is neither a question nor a Request, options accompany a Request, or a named host
            is unknown.
    """
    if isinstance(prompt, Request):
        if files or options or schema is not None:
            what = "a Request came with files or options of its own beside it"
            raise UsageError(what, todo="give them to make_request, or pass the question itself")
        return prompt
    if not isinstance(prompt, str):
        what = f"the first argument is {type(prompt).__name__}, neither a question nor a Request"
        raise UsageError(what, todo='write ("question", file, …), or pass what make_request returns')
    given_options = dict(options)
    apply_config_defaults(given_options, config)
    request = make_request(prompt, *files, schema=schema, **given_options)
    checked_hosts(request.policy.hosts, config, env)
    return request


def checked_hosts(
    names: tuple[str, ...], config: Config, env: Mapping[str, str] = os.environ, *, where: str = setting("host")
) -> tuple[str, ...]:
    """Return the names if each is a host that can be granted consent. Raises UsageError otherwise."""
    from intermodal.catalog.load import find_host, unknown_host
    from intermodal.config.config_file import snapshot_file

    own_hosts = {row.id for row in config.hosts}
    snapshot = snapshot_file(env)
    for name in names:
        if name not in own_hosts and find_host(name, snapshot) is None:
            what, todo = unknown_host(name, own_hosts, snapshot)
            raise UsageError(what, where=where, todo=command(todo))
    return names


@with_options(RequestOptions)
def make_request(
    prompt: str,
    *files: FileLike,
    schema: Schema | None = None,
    output: Output | str | None = None,
    system: str = "",
    history: Iterable[Message] = (),
    **options: Unpack[RequestOptions],
) -> Request:
    """Build a request.

    Args:
        prompt: the question; "" if the output needs none (a transcript, an embedding of a file).
        files: paths, http(s) URLs, bytes, ``(name, bytes)``, or parts.
        schema: a pydantic class, a dataclass or a JSON Schema: the answer is JSON of that shape.
        output: an output other than text, if there is no schema; a plugin's output by its name.
        system: instruction for the whole conversation.
        history: earlier turns, oldest first.
        options: fields of ``Policy`` and ``Sampling`` by name (``objective="fastest"``, ``max_tokens=64``).

    Raises:
        UsageError: an option is in neither Policy nor Sampling, or has a wrong value.
        SchemaInvalid: the schema is not usable.
    """
    if not isinstance(prompt, str):
        what = f"the prompt is {type(prompt).__name__}, not text"
        raise UsageError(what, todo='write make_request("question", file, …)')
    unknown = sorted(set(options) - _POLICY - _SAMPLING)
    if unknown:
        todo = suggestion(unknown[0], _POLICY | _SAMPLING, f"options are {', '.join(sorted(_POLICY | _SAMPLING))}")
        raise UsageError(f"no option named {', '.join(unknown)}", todo=todo)
    parts: list[Part] = [Text(text=prompt)] if prompt.strip() else []
    parts += [as_part(file) for file in files]
    if not parts:
        raise UsageError("nothing was asked", todo="give a prompt, a file, or both")
    output = checked_output(output, options.get("seed"))
    options.setdefault("max_cost_stated", "max_cost" in options)
    messages = [Message(role="system", parts=(Text(text=system),))] if system else []
    messages += [*history, Message(role="user", parts=tuple(parts))]
    if schema is not None:
        output = schemas.json_output(schema)
    return Request(
        messages=tuple(messages),
        output=output or TextOutput(),
        policy=_checked_values(Policy, {key: value for key, value in options.items() if key in _POLICY}),
        sampling=_checked_values(Sampling, {key: value for key, value in options.items() if key in _SAMPLING}),
    )


def checked_output(output: Output | str | None, seed: object = None) -> Output | None:
    """Return the requested output; a name is resolved to the output of a plugin.

    Raises UsageError for anything else, for fewer than two or duplicate labels, and for sizes and counts out of range;
    NotInstalled if the plugin is not usable.
    """
    wanted_output = output_format(output).output if isinstance(output, str) and output in output_plugins() else output
    if isinstance(wanted_output, str) or (
        wanted_output is not None and not isinstance(wanted_output, get_args(Output))
    ):
        known = [each.__name__ for each in get_args(Output)] + [repr(name) for name in output_plugins()]
        raise UsageError(f"{output!r} is not an output", where="output", todo=f"give one of {', '.join(known)}")
    check_output(wanted_output, seed)
    return wanted_output


def check_output(output: Output | None, seed: object = None) -> None:
    """Raise UsageError for fewer than two or duplicate labels, and for sizes and counts out of range."""
    if isinstance(output, ImageOutput):
        _check_image(output, seed)
    if not isinstance(output, ScoresOutput):
        return
    labels = [label.strip() for label in output.labels]
    if len(labels) == 1 and not output.independent:
        raise UsageError(
            "one label cannot be compared with others",
            todo=hint("give two labels or more, or judge it by itself ({})", setting("independent")),
        )  # fmt: skip
    if output.independent and not labels:
        raise UsageError("no labels are given to be judged each by itself", todo="give one or more")
    if len(labels) > MOST_LABELS:
        raise UsageError(
            f"{len(labels):,} labels cannot be held against one request", todo=f"give {MOST_LABELS:,} at most"
        )
    if not all(labels) or len(set(labels)) != len(labels):
        raise UsageError("two labels are the same, or one is empty", todo="give labels that differ")


MOST_LABELS = 1_000
MOST_IMAGES = 10  # of one request
MOST_SIDE = 16_384  # pixels


def _check_image(output: ImageOutput, seed: object) -> None:
    if not 1 <= output.count <= MOST_IMAGES:
        raise UsageError(f"{output.count} images cannot be asked for", todo=f"ask for 1 to {MOST_IMAGES}")
    if output.size is not None and not all(1 <= side <= MOST_SIDE for side in output.size):
        width, height = output.size
        raise UsageError(f"{width}x{height} is not the size of an image", todo="write it as 1024x1024")
    if output.steps is not None and not 1 <= output.steps <= 1000:
        raise UsageError(f"{output.steps} steps cannot be asked for", todo="ask for 1 to 1000")
    if output.guidance is not None and not 0 <= output.guidance <= 100:
        raise UsageError(f"a guidance of {output.guidance:g} cannot be asked for", todo="ask for 0 to 100, 7 is usual")
    if output.strength is not None and not 0 < output.strength <= 1:
        what = f"a strength of {output.strength:g} cannot be asked for"
        raise UsageError(what, todo="ask for more than 0 and at most 1, 0.75 is usual")
    if output.sampler and output.sampler not in SAMPLERS:
        raise UsageError(
            f"{output.sampler!r} is not a sampler", where=setting("sampler"),
            todo=suggestion(output.sampler, SAMPLERS, f"samplers are {', '.join(SAMPLERS)}"),
        )  # fmt: skip
    if isinstance(seed, int) and not 0 <= seed < 1 << 63:
        raise UsageError(
            f"{seed} is not a seed of an image", where=setting("seed"), todo="give 0 or more, or leave it out"
        )


def suggestion(word: str, known: Collection[str], otherwise: str) -> str:
    """Return advice about an unknown word: the nearest known word, or ``otherwise`` if none is near.

    >>> suggestion("tonee", ("words", "tone"), "aspects are words, tone"), suggestion("x", ("tone",), "give tone")
    ('did you mean tone?', 'give tone')
    """
    near = get_close_matches(word, known, 1, 0.6)
    return f"did you mean {near[0]}?" if near else otherwise


def checked_region(word: object) -> str:
    """Return a region code. Raises UsageError if it is not one."""
    if not (isinstance(word, str) and re.fullmatch(REGION, word)):
        raise UsageError(f"{word!r} is not a region", where=setting("region"), todo=f"write {REGION_WORDS}")
    return word


def range_hint(name: str, value: object) -> str:
    """Return advice about a sampling value that no vendor documents; "" for a value in range.

    >>> range_hint("top_p", 1.5), range_hint("max_tokens", 0), range_hint("seed", -1)
    ('give 0 to 1', 'give 1 or more', '')
    """
    least, most = SAMPLING_RANGES.get(name, (-math.inf, math.inf))
    if not isinstance(value, int | float) or least <= value <= most:
        return ""
    return f"give {least:g} to {most:g}" if most < math.inf else f"give {least:g} or more"


def _checked_values(cls: Any, fields: dict[str, Any]) -> Any:
    """Build a struct from keyword values, checking each against its type; a single value stands for a tuple of one."""
    for name in _SEVERAL & fields.keys():
        if isinstance(fields[name], str | int):
            fields[name] = (fields[name],)
    for name in ("max_cost", "deadline", "time_value"):
        value = fields.get(name)
        if value is not None and not (isinstance(value, int | float) and 0 <= value < math.inf):
            raise UsageError(f"{name}={value!r} is not a limit", todo="give a number of 0 or more")
    for name in SAMPLING_RANGES:
        if todo := range_hint(name, fields.get(name)):
            raise UsageError(f"{name}={fields[name]!r} is out of range", todo=todo)
    for region in fields.get("regions", ()):
        checked_region(region)
    for name in ("language", "translate"):
        if isinstance(fields.get(name), str):
            fields[name] = languages.checked_language(fields[name])
    try:
        return msgspec.convert(fields, cls)
    except msgspec.ValidationError as error:
        raise _wrong_value(fields, str(error)) from None


def _wrong_value(fields: Mapping[str, Any], message: str) -> UsageError:
    """Return the error for an invalid option value, listing the valid values."""
    expected, _, place = message.partition(" - at ")
    found = re.search(r"\.(\w+)", place)
    if found is None or found[1] not in fields:
        return UsageError(f"wrong value: {message}", todo="see help(intermodal.make_request)")
    name = found[1]
    words = _literal_values(get_type_hints(RequestOptions)[name])
    values = fields[name] if isinstance(fields[name], list | tuple) else (fields[name],)
    wrong = next((value for value in values if words and value not in words), fields[name])
    takes = f"give {', '.join(words)}" if words else expected.lower().replace("null", "None")
    todo = suggestion(str(wrong), words, takes)
    return UsageError(f"{name}={wrong!r} is not a value of this option", todo=todo)


def _literal_values(hint: Any) -> tuple[str, ...]:
    """Return the values of the Literals in a type, including nested ones."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(dict.fromkeys(word for each in get_args(hint) for word in _literal_values(each)))


def as_part(file: FileLike) -> Part:
    """Convert a file to a part, whose modality is later detected from its bytes. Raises UsageError for other types."""
    if isinstance(file, BytesSource | PathSource | UrlSource):
        return File(source=file)
    if isinstance(file, bytes):
        return File(source=BytesSource(data=file))
    if isinstance(file, tuple):
        if tuple(map(type, file)) != (str, bytes):
            raise UsageError("this tuple is not a file", todo='write ("invoice.pdf", data): its name, then its bytes')
        name, data = file
        return File(source=BytesSource(data=data, name=name))
    if isinstance(file, str) and _URL.match(file):  # any scheme: media/fetch decides which are fetched
        return File(source=UrlSource(url=file))
    if isinstance(file, str | os.PathLike):
        return File(source=PathSource(path=str(Path(file))))
    if not isinstance(file, Part):
        raise UsageError(
            f"{type(file).__name__} is not a file", todo="pass a path, a URL, bytes, (name, bytes), or a part"
        )
    return file


def next_turn(request: Request, before: Policy) -> Request:
    """Return the next turn of a conversation, with the limits of the turns before it.

    Labels, releases and the farthest zone are kept: the request may add labels and releases and narrow the zone. Pages
    are kept unless others are named. An answer is derived from the model's input, so if any input is private and not
    released as text, the answers are private too.
    """
    now = request.policy
    private = tuple(dict.fromkeys((*before.private, *now.private)))
    release = tuple(dict.fromkeys((*before.release, *now.release)))
    if any(f"{label}:text" not in release for label in before.private):
        turns = sum(message.role == "assistant" for message in request.messages)
        answers = ("answer", *(f"answer ({turn})" for turn in range(2, turns + 1)))[:turns]
        private = tuple(dict.fromkeys((*private, *answers)))
    policy = msgspec.structs.replace(
        now,
        private=private,
        release=release,
        farthest=min(before.farthest, now.farthest, key=ZONES.index),
        licence=max(before.licence, now.licence, key=LICENCES.index),
        regions=now.regions or before.regions,
        retention=max(before.retention, now.retention, key=RETENTIONS.index),
        pages=now.pages or before.pages,
    )
    return msgspec.structs.replace(request, policy=policy)


def with_config_labels(request: Request, private: tuple[str, ...]) -> Request:
    """Add the privacy labels of the config, which no caller can omit.

    Labels of files that the request does not have are skipped; in a request's own labels, they would be an error.
    """
    known_names = {*KINDS, *(name for _, _, part in request.parts() for name in _names_of(part))}
    missing = tuple(label for label in private if label in known_names and label not in request.policy.private)
    if not missing:
        return request
    policy = msgspec.structs.replace(request.policy, private=(*request.policy.private, *missing))
    return msgspec.structs.replace(request, policy=policy)


def _names_of(part: Part) -> tuple[str, ...]:
    """Return the name of a part, if known before it is opened, and the names of the files it was extracted from."""
    source = getattr(part, "source", None)
    if isinstance(source, PathSource):
        return (Path(source.path).name,)
    if isinstance(source, UrlSource):
        return (source.url.partition("?")[0].rpartition("/")[2],)
    named_source: Any = part if source is None else source
    return (str(getattr(named_source, "name", "")), *getattr(named_source, "origins", ()))


def with_answer(messages: tuple[Message, ...], answer: str) -> tuple[Message, ...]:
    """Append the answer of this turn to the conversation."""
    return (*messages, Message(role="assistant", parts=(Text(text=answer),)))


def typed_value(result: Result, schema: Any, output: Output | str | None = None) -> Any:
    """Return the typed value of an answer.

    With a schema class, an instance of it; with a schema dict, the JSON data; without a schema, the text rendered by a
    plugin's output, or None.
    """
    if schema is None:
        return output_format(output).render(result) if isinstance(output, str) else None
    if isinstance(schema, Mapping):
        return result.data
    return schemas.parse_answer(result.data, schema)


def continues_conversation(output: Output) -> bool:
    """Return whether an output is an answer that a conversation can continue from."""
    return not isinstance(output, EmbeddingOutput | ScoresOutput | ImageOutput) and not (
        isinstance(output, SpeechOutput) and output.verbatim
    )
