"""Labelled datasets: JSONL with one item per line, validated completely before anything runs.

The examples of a prompt file are a dataset too (``example_dataset``): their checks are the expected answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from intermodal.client import answer_schema as schemas
from intermodal.client import request_builder
from intermodal.core.content import File, PathSource, Source, UrlSource, Value
from intermodal.core.request import (
    ASPECTS,
    Aspect,
    JsonOutput,
    Output,
    Request,
    ScoresOutput,
    TextOutput,
    TranscriptOutput,
)
from intermodal.errors import InputBroken, InputEmpty, InputMissing, InputTooLarge, IntermodalError, UsageError

if TYPE_CHECKING:
    from intermodal.prompts.prompt import Prompt
    from intermodal.prompts.prompt_file import PromptExample, PromptFile

Compare = Literal["exact", "contains", "number", "regex", "wer", "json", "labels"]
COMPARES: tuple[Compare, ...] = get_args(Compare)
MAX_DATA = 256 << 20  # bytes of a JSONL file
_NAMED = 8  # maximum number of invalid lines that an error lists
_KEPT = "keep one of them"
_LONG = 60  # characters of a value in a name


class EvalItem(Value, forbid_unknown_fields=True, kw_only=True):
    """One labelled question.

    Attributes:
        id: a unique name; "" uses the line number.
        prompt, files: the question and its files, as paths relative to the JSONL file or http(s) URLs.
        expected: the correct answer; a list is several correct ones (``labels``: all that apply; ``json``: the list
            itself).
        compare: how an answer is compared with it.
        all: every one of several texts has to occur (``contains``), or every pattern has to match (``regex``).
        tolerance: maximum difference of a number (``number``, ``json``).
        which: which numbers of an answer count (``number``).
        max_wer: highest word error rate at which a transcript is correct (``wer``).
        labels: the choices (``labels``).
        output, schema, system, keep, language, translate, pages, private, release, max_tokens, temperature, seed,
            deadline, max_cost: of the request, as ``ask`` takes them.
        line: its line number in the file.
    """

    prompt: str = ""
    expected: Any = None
    compare: Compare
    id: str = ""
    files: tuple[str, ...] = ()
    all: bool = False
    tolerance: float = 0.0
    which: Literal["any", "first", "last"] = "any"
    max_wer: float = 0.1
    labels: tuple[str, ...] = ()
    output: Literal["", "text", "json", "transcript", "scores"] = ""
    schema: dict[str, Any] | None = None
    system: str = ""
    keep: tuple[Aspect, ...] = ()
    language: str = ""
    translate: str = ""
    pages: tuple[int, ...] = ()
    private: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    deadline: float | None = None
    max_cost: float | None = None
    line: int = 0

    @property
    def accepted_answers(self) -> tuple[Any, ...]:
        """Return all answers that count as correct."""
        several = isinstance(self.expected, list) and self.compare != "json"
        return tuple(self.expected) if several else (self.expected,)


class Dataset(Value):
    """The items of a file. ``digest`` is of the file's bytes; ``name`` is its name in reports."""

    path: str
    name: str
    digest: str
    items: tuple[EvalItem, ...]


def load_dataset(path: Path) -> Dataset:
    """Load and validate all items of a file.

    Raises InputMissing, InputEmpty, InputTooLarge, or InputBroken with the invalid lines.
    """
    data = _bytes(path)
    items: list[EvalItem] = []
    wrong: list[tuple[int, str]] = []
    line_of_id: dict[str, int] = {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            item = _item(line, number)
            _check(item, path.parent)
            if item.id in line_of_id:
                raise _InvalidLine(f"has the id {item.id!r} of line {line_of_id[item.id]}; {_KEPT}")
        except _InvalidLine as error:
            wrong.append((number, str(error)))
            continue
        line_of_id[item.id] = number
        items.append(item)
    if wrong:
        problems = [f"line {number} {problem}" for number, problem in wrong[:_NAMED]]
        if len(wrong) == 1:
            raise InputBroken(f"a line cannot be used: {problems[0]}", where=str(path), todo="nothing was run")
        problems += [f"and {len(wrong) - _NAMED} more"] if len(wrong) > _NAMED else []
        what = f"{len(wrong)} lines cannot be used, the first of them line {wrong[0][0]}"
        raise InputBroken(what, where=str(path), todo="nothing was run", reasons=tuple(problems))
    if not items:
        raise InputEmpty("holds no item", where=str(path), todo="write one JSON object a line: see docs/eval.md")
    return Dataset(
        path=str(path.resolve()), name=path.name, digest=hashlib.sha256(data).hexdigest(), items=tuple(items)
    )


class _InvalidLine(ValueError):
    """Why a line is invalid, as the continuation of "line 3"."""


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise InputMissing("is a folder", where=str(path), todo="name the JSONL file in it")
        if path.stat().st_size > MAX_DATA:
            raise InputTooLarge(f"is larger than {MAX_DATA >> 20} MiB", where=str(path), todo="split it")
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise InputMissing(f"cannot be read ({reason})", where=str(path), todo="name a JSONL file") from None


def _item(line: bytes, number: int) -> EvalItem:
    try:
        table = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = f"column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "not UTF-8 text"
        raise _InvalidLine(f"is not JSON ({reason})") from None
    if not isinstance(table, dict):
        raise _InvalidLine("is not a JSON object")
    for name in table:
        if name == "line" or name not in EvalItem.__struct_fields__:
            raise _InvalidLine(_unknown(name))
    for name in ("expected", "compare"):
        if name not in table:
            raise _InvalidLine(f"lacks {name}")
    fields = {**table, "id": str(table["id"]) if "id" in table else f"line {number}", "line": number}
    try:
        return msgspec.convert(fields, EvalItem)
    except msgspec.ValidationError as error:
        raise _InvalidLine(_decoding_error(str(error))) from None


def _unknown(name: str) -> str:
    """Describe an unknown field. It is reported before fields that are missing because of it."""
    import difflib

    fields = [field for field in EvalItem.__struct_fields__ if field != "line"]
    near = difflib.get_close_matches(name, fields, n=1, cutoff=0.7)
    hint = f", did you mean {near[0]}?" if near else ""
    return f"has an unknown field {name!r}{hint}"


def _decoding_error(message: str) -> str:
    """Reword a msgspec error message."""
    text, _, place = message.partition(" - at `$.")
    name = place.rstrip("`").partition("[")[0]
    choices: Mapping[str, tuple[str, ...]] = {"compare": COMPARES, "keep": ASPECTS}
    if name in choices:
        return f"has a wrong {name}: it is one of {', '.join(choices[name])}"
    return f"has a wrong {name or 'value'}: {text[:1].lower()}{text[1:]}"


# ---- usable items ----------------------------------------------------------------------------------


def _check(item: EvalItem, folder: Path) -> None:
    if not item.prompt and not item.files:
        raise _InvalidLine("asks nothing: give a prompt, files, or both")
    for file in item.files:
        if isinstance(_source(file), UrlSource):
            continue
        try:
            exists = (folder / file).is_file()
        except (OSError, ValueError):
            exists = False
        if not exists:
            raise _InvalidLine(f"names a file that is not there: {file}")
    if not item.accepted_answers:
        raise _InvalidLine("expects nothing: expected is an empty list")
    _EXPECTED[item.compare](item)
    if item.output == "scores" and not item.labels:
        raise _InvalidLine("wants scores but has no labels")
    if item.schema is not None and item.output not in ("", "json"):
        raise _InvalidLine(f"has a schema, but its output is {item.output}")
    try:
        item_request(item, folder)
    except IntermodalError as error:
        raise _InvalidLine(f"cannot be asked: {error.wording_for('command line').what}") from None


def _check_text_answers(item: EvalItem) -> None:
    for answer in item.accepted_answers:
        if not isinstance(answer, str | int | float) or isinstance(answer, bool) or not str(answer).strip():
            raise _InvalidLine(f"expects {json.dumps(answer)[:60]}, but compare {item.compare} takes text")


def _check_number_answers(item: EvalItem) -> None:
    for answer in item.accepted_answers:
        if isinstance(answer, bool) or not isinstance(answer, int | float):
            raise _InvalidLine(f"expects {json.dumps(answer)[:60]}, but compare number takes a number")


def _patterns(item: EvalItem) -> None:
    _check_text_answers(item)
    for answer in item.accepted_answers:
        try:
            re.compile(str(answer))
        except re.error as error:
            raise _InvalidLine(f"expects an invalid pattern: {error}") from None


def _shape(item: EvalItem) -> None:
    if not isinstance(item.expected, dict | list):
        raise _InvalidLine("expects no object or list, but compare json takes one")


def _of_labels(item: EvalItem) -> None:
    _check_text_answers(item)
    if not item.labels:
        raise _InvalidLine("has no labels to choose from")
    for answer in item.accepted_answers:
        if str(answer) not in item.labels:
            raise _InvalidLine(f"expects {answer!r}, which is not among its labels")


_EXPECTED: dict[Compare, Callable[[EvalItem], None]] = {
    "exact": _check_text_answers,
    "contains": _check_text_answers,
    "number": _check_number_answers,
    "regex": _patterns,
    "wer": _check_text_answers,
    "json": _shape,
    "labels": _of_labels,
}


# ---- from an item to a request ----------------------------------------------------------------------


def item_output(item: EvalItem) -> Output:
    """Return the output that the item requests; ``wer`` without a prompt requests a transcript."""
    if item.schema is not None:
        return schemas.json_output(item.schema)
    transcribes = item.compare == "wer" and not item.prompt
    kind = item.output or ("json" if item.compare == "json" else "transcript" if transcribes else "text")
    output_makers: dict[str, Callable[[], Output]] = {
        "text": TextOutput,
        "json": lambda: JsonOutput(schema={"type": "object"}),
        "transcript": TranscriptOutput,
        "scores": lambda: ScoresOutput(labels=item.labels),
    }
    return output_makers[kind]()


def _source(file: str) -> Source:
    part = request_builder.as_part(file)
    assert isinstance(part, File)
    return part.source


def item_files(data: Dataset) -> Iterator[str]:
    """Yield the paths of all local files of the items."""
    folder = Path(data.path).parent
    for item in data.items:
        for source in map(_source, item.files):
            if isinstance(source, PathSource):
                yield str(folder / source.path)


def item_request(item: EvalItem, folder: Path, **common: Any) -> Request:
    """Return the item as a request.

    ``common`` are options of the evaluation; the item's own options take precedence.
    """
    sources = [
        PathSource(path=str(folder / source.path)) if isinstance(source, PathSource) else source
        for source in map(_source, item.files)
    ]
    own: dict[str, Any] = {
        name: value
        for name in (
            "keep", "language", "translate", "pages", "private", "release", "max_tokens", "temperature", "seed",
            "deadline", "max_cost",
        )
        if (value := getattr(item, name)) not in ((), "", None)
    }  # fmt: skip
    return request_builder.make_request(
        item.prompt, *sources, output=item_output(item), system=item.system, **{**common, **own}
    )


def example_dataset(file: PromptFile) -> tuple[Dataset, dict[str, PromptExample]]:
    """Return the examples of a prompt file as items, and the example of each item by its id.

    Examples without checks are left out. Raises UsageError if no items remain.
    """
    items: list[EvalItem] = []
    examples: dict[str, PromptExample] = {}
    for number, example in enumerate(file.examples, start=1):
        for place, check in enumerate(example.checks):
            id = f"{number}" if len(example.checks) == 1 else f"{number}.{place + 1}"
            item = msgspec.convert({"prompt": _title(example), "id": id, "line": example.line, **check}, EvalItem)
            items.append(item)
            examples[id] = example
    if not items:
        what = "has no example of which anything can be checked" if file.examples else "has no examples"
        raise UsageError(what, where=file.path, todo="give it test data (docs/prompts.md), or use intermodal eval")
    path = Path(file.path)
    digest = hashlib.sha256(msgspec.json.encode(items)).hexdigest()
    return Dataset(path=str(path.resolve()), name=path.name, digest=digest, items=tuple(items)), examples


async def example_requests(
    prompt: Prompt, examples: Mapping[str, PromptExample], *, one_route: bool
) -> dict[str, Request]:
    """Return the request of each item.

    ``one_route``: use the route of the file's model if available, otherwise allow any.

    Raises PromptError with file and line for arguments that the file does not take.
    """
    requests: dict[str, Request] = {}
    for name, example in examples.items():
        request = await prompt.request_with(example.arguments)
        if one_route and prompt.file.model:
            prepared, _, _ = await prompt.plan_request(request)
            request = msgspec.structs.replace(request, policy=prepared.inputs.request.policy)
        requests[name] = request
    return requests


def _title(example: PromptExample) -> str:
    """Return the arguments of an example as one line."""
    return ", ".join(f"{name}: {_shorten(value)}" for name, value in example.arguments.items()) or "no arguments"


def _shorten(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_media_title)
    text = " ".join(text.split())
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _media_title(value: Any) -> str:
    """Return a media object's file name or URL."""
    source = getattr(value, "source", None)
    name = getattr(source, "path", "") or getattr(source, "url", "") or getattr(source, "name", "")
    return os.path.basename(name) or type(value).__name__.lower()
