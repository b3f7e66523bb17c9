"""The arguments of a prompt file, and validation of the values given for them.

Values are validated before anything is rendered, opened or paid for. The arguments come from the input schema if there
is one, else from the template.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace as with_fields
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from intermodal.client import request_builder
from intermodal.core.content import BytesSource, Kind, PathSource, UrlSource, Value
from intermodal.core.hints import setting
from intermodal.errors import InputUnsupported, IntermodalError, PromptError, UsageError
from intermodal.json_schema import BudgetExhausted, InvalidSchema, StepBudget, cached_schema
from intermodal.prompts import media_references
from intermodal.prompts.dotprompt.handlebars import HandlebarsTemplate, TemplateUses
from intermodal.prompts.media_references import kind_of, media_part, value_of
from intermodal.prompts.prompt_file import Argument, ArgumentKind, MediaValue, PromptFile

_STEPS = 2_000_000  # steps to validate a value against its schema
_MOST_DEEP = 40
Given = Mapping[str, Any]
MEDIA_VALUES = (str, bytes, bytearray, os.PathLike, tuple, Value)  # types accepted as media


def bind_values(file: PromptFile, arguments: Given, *, missing: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the values for rendering: those given, else those of ``missing``, else the file's defaults.

    Media arguments become ``MediaValue``. Raises PromptError with the argument's line.
    """
    _check_names(file, arguments)
    values = {name: _to_json_data(file, name, arguments[name], 1) for name in arguments if file.argument(name) is None}
    for argument in file.arguments:
        value = arguments.get(argument.name)
        if value is None:
            value = (missing or {}).get(argument.name)
        if value is None and argument.default is not None:
            value = _default(file, argument)
        if value is not None:
            values[argument.name] = _value(file, argument, value)
        elif argument.required:
            what = f"argument {argument.name!r} ({argument.words}) is missing"
            raise file.error(
                what, argument.line, f"give {argument.name} {'a file' if argument.is_media else 'a value'}"
            )
    return values


def media_of(values: Mapping[str, Any]) -> list[tuple[str, MediaValue]]:
    """Return the media in the values, including nested ones, each with the name of its argument."""
    return [(name, each) for name, value in values.items() for each in _media_in(value)]


def _media_in(value: Any) -> Iterator[MediaValue]:
    if isinstance(value, MediaValue):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _media_in(each)


def _check_names(file: PromptFile, arguments: Given) -> None:
    names = [each.name for each in file.arguments]
    for name in arguments:
        if file.argument(name) is None and not file.open_ended:
            expected = f"arguments are {', '.join(names)}" if names else "it takes no arguments"
            raise file.error(
                f"there is no argument {name!r}", "input", request_builder.suggestion(name, names, expected)
            )


def _default(file: PromptFile, argument: Argument) -> Any:
    if not argument.is_media:
        return argument.default
    folder = Path(file.path).parent

    def one(value: Any) -> Any:
        if not isinstance(value, str):
            raise file.error(
                f"the default of {argument.name!r} is no file", argument.line, "name a file beside this one"
            )
        try:
            return media_part(value, "", folder)
        except ValueError as error:
            raise file.error(error.args[0], argument.line, error.args[1]) from None

    return [one(each) for each in argument.default] if isinstance(argument.default, list) else one(argument.default)


def _value(file: PromptFile, argument: Argument, value: Any) -> Any:
    if argument.holds:
        try:
            return media_references.with_media(
                argument.schema, value, argument.name, partial(_media_value, file, argument)
            )
        except media_references.SchemaMismatch as error:
            todo = f"give it as {argument.description or argument.words}"
            raise file.error(f"argument {argument.name!r}: {error}", argument.line, todo) from None
    if not argument.is_media:
        return _check_schema(file, argument, _to_json_data(file, argument.name, value, argument.line))
    several = isinstance(value, list) or (isinstance(value, tuple) and tuple(map(type, value)) != (str, bytes))
    if argument.many:
        return [_medium(file, argument, each) for each in (value if several else [value])]
    if several:
        raise file.error(f"argument {argument.name!r} takes one {argument.kind}", argument.line, "give one")
    return _medium(file, argument, value)


def _medium(file: PromptFile, argument: Argument, value: Any) -> MediaValue:
    if isinstance(value, MediaValue):
        return value
    try:
        part = request_builder.as_part(value)
    except UsageError:
        raise _no_media(file, argument, value) from None
    source = getattr(part, "source", None)
    if not isinstance(source, BytesSource | PathSource | UrlSource):
        raise _no_media(file, argument, value)
    if isinstance(source, BytesSource) and not source.name:
        source = replace(source, name=argument.name)
    return value_of(_name(source) or argument.name, source, argument.kind)


def _media_value(
    file: PromptFile, argument: Argument, value: Any, kinds: tuple[ArgumentKind, ...], at: str
) -> MediaValue | None:
    """Return the medium at a place within an argument's value; None if the value there is not a medium."""
    if isinstance(value, MediaValue):
        return value
    if isinstance(value, Mapping | list) or not isinstance(value, MEDIA_VALUES):
        return None
    media = _medium(file, with_fields(argument, kind=kinds[0] if len(kinds) == 1 else "file", name=at), value)
    media.kinds, media.at = kinds, at
    return media


def _no_media(file: PromptFile, argument: Argument, value: Any) -> PromptError:
    what = f"argument {argument.name!r} takes {argument.words}, not {type(value).__name__}"
    return file.error(what, argument.line, "give a path, a URL, bytes, or (name, bytes)")


def _name(source: BytesSource | PathSource | UrlSource) -> str:
    if isinstance(source, BytesSource):
        return source.name
    if isinstance(source, PathSource):
        return os.path.basename(source.path)
    return "" if source.url[:5].lower() == "data:" else source.url


def _to_json_data(file: PromptFile, name: str, value: Any, line: int, depth: int = 0) -> Any:
    """Convert a value to plain JSON data. Raises PromptError for other types."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping) and depth < _MOST_DEEP:
        return {str(key): _to_json_data(file, name, each, line, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple) and depth < _MOST_DEEP:
        return [_to_json_data(file, name, each, line, depth + 1) for each in value]
    if isinstance(value, str | int | float):
        return str(value) if isinstance(value, str) else float(value) if isinstance(value, float) else int(value)
    raise file.error(f"argument {name!r} is {type(value).__name__}, not text or JSON", line, "pass plain data")


def _check_schema(file: PromptFile, argument: Argument, value: Any) -> Any:
    if not argument.schema:
        return value
    try:
        broken = cached_schema(dict(argument.schema), StepBudget(_STEPS)).violation(value, StepBudget(_STEPS))
    except InvalidSchema as error:
        raise file.error(f"the schema of {argument.name!r} cannot be used: {error.what}", argument.line) from None
    except BudgetExhausted:
        what = f"holding argument {argument.name!r} against its schema takes too much work"
        raise file.error(what, argument.line, "give less at once") from None
    if broken is not None:
        raise file.error(f"argument {argument.name!r}: {broken}", argument.line, f"it takes {argument.words}")
    return value


# ---- kinds of media ----------------------------------------------------------------------------------


async def check_media(file: PromptFile, values: Mapping[str, Any]) -> None:
    """Detect the modality of the files given for media arguments, and compare it with the declared one.

    Raises PromptError with the argument's line; InputError if a file cannot be read.
    """
    from intermodal.media.fetch import Fetcher
    from intermodal.media.request_media import sniff_loaded

    fetcher = Fetcher()
    for name, medium in media_of(values):
        argument = file.argument(name)
        source = medium.part.source
        if argument is None or argument.kind == "file" or isinstance(source, UrlSource):
            continue  # a URL is fetched once, when the request is opened (``call.check_kinds``)
        shown_place, data = await fetcher.read_source(source)
        kind, media_type = await sniff_loaded(data, shown_place)
        if not kind_fits(medium.kinds or argument.media, kind):
            raise wrong_kind(file, argument, medium, shown_place, kind, media_type)


def kind_fits(takes: tuple[ArgumentKind, ...], kind: Kind) -> bool:
    """Return whether a file of this modality is accepted for these kinds. A document may be plain text."""
    return kind in takes or "file" in takes or ("document" in takes and kind == "text")


A = {"image": "an image", "audio": "sound", "video": "a film", "document": "a document", "text": "text"}


def wrong_kind(
    file: PromptFile, argument: Argument, medium: MediaValue | None, name: str, kind: Kind, media_type: str
) -> PromptError:
    """Return the error for a file whose modality differs from that of its argument, or of its place in the argument."""
    kinds = " or ".join(A[each] for each in ((medium.kinds if medium is not None else ()) or argument.media))
    place = (medium.at if medium is not None else "") or argument.name
    within = f" at {place}" if place != argument.name else ""
    what = f"argument {argument.name!r} takes {kinds}{within}, and {name} is {A[kind]} ({media_type})"
    todo = f"give {kinds}, or declare {place} as {'document' if kind == 'text' else kind}"
    return file.error(what, argument.line, todo)


# ---- from the command line -------------------------------------------------------------------------------


def parse_assignments(file: PromptFile, pairs: Iterable[str]) -> dict[str, Any]:
    """Parse arguments from a command line: ``name=value`` or ``name=@file``; repeat a name for the items of a list.

    Raises UsageError for an argument without "=", PromptError with the argument's line for an unsuitable value.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, word = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{pair!r} is no argument", where=setting("arg"), todo="write name=value, or name=@file")
        name = name.strip()
        argument = file.argument(name) or Argument(name=name, kind="text")
        value = _word_value(file, argument, word)
        if argument.many and (argument.is_media or not isinstance(value, list)):
            found.setdefault(name, []).append(value)
        elif name in found:
            raise file.error(f"argument {name!r} is given twice", argument.line, "give it once")
        else:
            found[name] = value
    return found


def _word_value(file: PromptFile, argument: Argument, word: str) -> Any:
    if argument.is_media or (
        argument.holds and word[:1] == "@" != word[1:2] and media_references.is_medium(argument.schema)
    ):
        if word in ("", "@"):
            raise file.error(f"argument {argument.name!r} names no file", argument.line, _AT)
        return word.removeprefix("@") if argument.is_media else Path(word[1:])
    if word.startswith("@@"):
        word = word[1:]
    elif word.startswith("@"):
        word = _text_of(file, argument, word[1:])
    if argument.kind == "text":
        return word
    try:
        value = json.loads(word)
        return media_references.files_at_signs(value) if argument.holds else value
    except (ValueError, RecursionError):
        if argument.kind == "json":
            return word  # a string is JSON, too; the schema decides
        what = f"argument {argument.name!r} takes {argument.words}, not {word[:40]!r}"
        raise file.error(what, argument.line, _WRITTEN[argument.kind]) from None


_AT = "write name=@file, or name=@@… for a value that begins with an at sign"
_WRITTEN = {"number": "write a number", "integer": "write a whole number", "boolean": "write true or false"}


def _text_of(file: PromptFile, argument: Argument, path: str) -> str:
    """Return the text of a file.

    Raises InputError, and PromptError with the argument's line for a file without text.
    """
    from intermodal.media.fetch import read_text_file

    if not path:
        raise file.error(f"argument {argument.name!r} names no file after @", argument.line, _AT)
    try:
        return read_text_file(path)
    except InputUnsupported:
        what = f"argument {argument.name!r} takes {argument.words}, and {path} is no text"
        todo = "give a file of text, or declare the argument as media"
        raise file.error(what, argument.line, todo) from None
    except IntermodalError as error:
        if not error.where:
            error.where = path
        raise


# ---- arguments of a schema or template --------------------------------------------------------------


TYPES: Mapping[str, ArgumentKind] = {
    "string": "text", "number": "number", "integer": "integer", "boolean": "boolean",
}  # fmt: skip


def arguments_from_schema(
    schema: Mapping[str, Any],
    uses: TemplateUses,
    default: Mapping[str, Any],
    media: Mapping[str, ArgumentKind],
    lines: Mapping[str, int],
) -> tuple[Argument, ...]:
    """Return the arguments declared by the JSON Schema of the input.

    ``media``: modalities that the file states by name.
    """
    required = set(schema.get("required", ()))
    arguments = []
    for name, each in (schema.get("properties") or {}).items():
        property_schema: Mapping[str, Any] = each if isinstance(each, Mapping) else {}
        kinds = _types(property_schema)
        many = "array" in kinds
        kind = _media_kind(name, property_schema, uses, media)
        default_value = default.get(name, property_schema.get("default"))
        arguments.append(
            Argument(
                name=name,
                kind=kind or _kind_of_schema(kinds, property_schema),
                required=name in required and default_value is None,
                many=many,
                description=str(property_schema.get("description") or ""),
                default=default_value,
                schema=property_schema,
                line=lines.get(name, 1),
            )
        )
    return tuple(arguments)


def arguments_from_template(
    uses: TemplateUses,
    body: HandlebarsTemplate,
    first: int,
    default: Mapping[str, Any],
    media: Mapping[str, ArgumentKind],
) -> tuple[Argument, ...]:
    """Return the arguments of a template that declares none; arguments that are always rendered are required."""
    return tuple(
        Argument(
            name=name,
            kind=_media_kind(name, {}, uses, media) or "json",
            required=name in uses.needed and default.get(name) is None,
            many=name in uses.lists,
            default=default.get(name),
            line=first + max(body.line_of(name), 1) - 1,
        )
        for name in uses.names
    )


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type")
    return {kind} if isinstance(kind, str) else set(kind) - {"null"} if isinstance(kind, list) else set()


def _kind_of_schema(kinds: set[str], schema: Mapping[str, Any]) -> ArgumentKind:
    if not kinds and all(isinstance(value, str | None) for value in schema.get("enum", (0,))):
        return "text"
    return TYPES.get(next(iter(kinds)), "json") if len(kinds) == 1 else "json"


def _media_kind(
    name: str, schema: Mapping[str, Any], uses: TemplateUses, media: Mapping[str, ArgumentKind]
) -> ArgumentKind | None:
    """Return the modality of a media argument; None if it is not a media argument."""
    if name in media:
        return media[name]
    items = schema.get("items")
    media_type = schema.get("contentMediaType") or (
        items.get("contentMediaType") if isinstance(items, Mapping) else None
    )
    if name in uses.media:
        return kind_of(str(media_type or uses.media[name]))
    return kind_of(str(media_type)) if media_type else None
