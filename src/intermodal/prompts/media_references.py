"""References to media in a prompt file: URLs, and files next to it. Nothing is opened here.

Media may be nested in the value of an argument: in fields of a class, in lists, maps and unions. The schema of such an
argument marks the places of media with ``contentMediaType``. A value is validated against the schema while files are
inserted, since the applicable member of a union decides whether a text is a file name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from intermodal.core.content import Audio, Document, File, Image, MediaPart, PathSource, Source, UrlSource, Video
from intermodal.json_schema.allowed_values import resolve_reference
from intermodal.prompts.prompt_file import ArgumentKind, MediaValue

URL = re.compile(r"(?:https?://|data:)", re.IGNORECASE)  # beginning of a URL
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_CLASSES: Mapping[str, type[MediaPart]] = {
    "image": Image, "audio": Audio, "video": Video, "document": Document, "file": File,
}  # fmt: skip
_OFFICE = re.compile(r"application/(?:pdf|msword|rtf|vnd\.(?:openxmlformats|oasis|ms-))")


def part_of(source: Source, kind: ArgumentKind) -> MediaPart:
    """Return the part for a source, with the declared modality."""
    media_class = _CLASSES[kind]
    return media_class(source=source)


def value_of(name: str, source: Source, kind: ArgumentKind) -> MediaValue:
    """Return the placeholder that represents a medium among values during rendering."""
    media_value = MediaValue(name)
    media_value.part = part_of(source, kind)
    return media_value


def kind_of(media_type: str) -> ArgumentKind:
    """Return the modality of a media type or pattern.

    >>> kind_of("image/*"), kind_of("application/pdf"), kind_of("")
    ('image', 'document', 'file')
    """
    kind = media_type.partition("/")[0].strip().lower()
    if kind in ("image", "audio", "video"):
        return kind  # type: ignore[return-value]
    return "document" if _OFFICE.match(media_type.lower()) or kind == "text" else "file"


def media_part(url: str, media_type: str, folder: Path | None) -> MediaPart:
    """Return the part for a URL, or for a file in ``folder``. ``folder``: None if files are not allowed.

    Raises ValueError with the problem and the fix.
    """
    kind = kind_of(media_type)
    if URL.match(url):
        return part_of(UrlSource(url=url), kind)
    if _SCHEME.match(url):
        raise ValueError(f"{url[:80]!r} is not a URL of http, https or data", "name one, or a file beside the prompt")
    if folder is None:
        raise ValueError(f"{url[:80]!r} is no URL", "give a file to an argument that goes into {{media url=…}} itself")
    place = folder / url
    if not is_within_folder(folder, place):
        raise ValueError(f"{url[:80]!r} is not in the folder of the prompt", "move it there, or give it as an argument")
    return part_of(PathSource(path=str(place)), kind)


def is_within_folder(folder: Path, place: Path) -> bool:
    """Return whether a path stays in a folder after links are resolved."""
    try:
        return place.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False


# ---- media within values ----------------------------------------------------------------------------


PLACE = "contentMediaType"
_MOST_DEEP = 40
_MOST_NODES = 20_000  # of a schema
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
# Converts a value at a place for media to a medium; None if it is not a medium.
Make = Callable[[Any, tuple[ArgumentKind, ...], str], MediaValue | None]


class SchemaMismatch(ValueError):
    """A value does not match its schema: where, and why."""

    def __init__(self, at: str, what: str) -> None:
        super().__init__(f"{at} {what}")
        self.depth = at.count(".") + at.count("[")


def is_medium(schema: Mapping[str, Any]) -> bool:
    """Return whether the value itself may be a medium: its type is a medium, or a union that contains one."""
    return bool(_kinds(_choices(schema, schema)))


def kinds_within(schema: Mapping[str, Any]) -> tuple[ArgumentKind, ...]:
    """Return the modalities that a value of this schema may contain, without duplicates."""
    found: dict[ArgumentKind, None] = {}
    for each in _nodes(schema):
        if PLACE in each:
            found[kind_of(str(each[PLACE]))] = None
    return tuple(found)


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    waiting, left = [schema], _MOST_NODES
    while waiting and left:
        left -= 1
        node = waiting.pop(0)
        if isinstance(node, Mapping):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def with_media(schema: Mapping[str, Any], value: Any, name: str, make: Make) -> Any:
    """Replace names of media in a value by media. Raises SchemaMismatch if the value does not match the schema."""
    return _Walk(schema, make).with_media(schema, value, name, 0)


class _Walk:
    def __init__(self, root: Mapping[str, Any], make: Make) -> None:
        self._root = root
        self._make = make

    def with_media(self, schema: Any, value: Any, at: str, depth: int) -> Any:
        if depth > _MOST_DEEP:
            raise SchemaMismatch(at, "is nested too deep")
        choices = _choices(schema, self._root)
        media = _kinds(choices)
        others = [each for each in choices if PLACE not in each]
        if media and isinstance(value, str) and value[:5].lower() == "data:":
            others = []  # inline data, even if a text is accepted as well
        failed: SchemaMismatch | None = None
        for each in others:
            try:
                return self._of(each, value, at, depth)
            except SchemaMismatch as error:
                if failed is None or error.depth > failed.depth:
                    failed = error
        media_part = self._make(value, media, at) if media else None
        if media_part is not None:
            return media_part
        raise failed or SchemaMismatch(at, f"takes {' or '.join(media) or 'nothing'}, not {_value_title(value)}")

    def _of(self, schema: Mapping[str, Any], value: Any, at: str, depth: int) -> Any:
        if "enum" in schema:
            if not any(type(value) is type(each) and value == each for each in schema["enum"]):
                raise SchemaMismatch(at, f"takes {' or '.join(map(str, schema['enum']))}, not {_value_title(value)}")
            return value
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema, value, at, depth)
        if kind == "array":
            if not isinstance(value, list | tuple):
                raise SchemaMismatch(at, f"takes a list, not {_value_title(value)}")
            return [
                self.with_media(schema.get("items", {}), each, f"{at}[{n}]", depth + 1) for n, each in enumerate(value)
            ]
        if type(value) not in _TYPES.get(str(kind), ()):
            raise SchemaMismatch(at, f"takes {kind}, not {_value_title(value)}")
        return value

    def _object(self, schema: Mapping[str, Any], value: Any, at: str, depth: int) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise SchemaMismatch(at, f"takes an object, not {_value_title(value)}")
        fields: Mapping[str, Any] = schema.get("properties", {})
        more = schema.get("additionalProperties", {})
        for name in schema.get("required", ()):
            if name not in value:
                raise SchemaMismatch(f"{at}.{name}", "is missing")
        members = {}
        for key, each in value.items():
            name = str(key)
            inner = fields.get(name, more)
            if inner is False:
                raise SchemaMismatch(f"{at}.{name}", f"is not declared; fields are {', '.join(fields)}")
            members[name] = self.with_media(inner, each, f"{at}.{name}", depth + 1) if inner else each
        return members


def _choices(schema: Any, root: Mapping[str, Any], depth: int = 0) -> list[Mapping[str, Any]]:
    """Return the alternative schemas of a value, with references resolved."""
    if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        schema = resolve_reference(root, schema["$ref"])
    if not isinstance(schema, Mapping) or depth > _MOST_DEEP:
        return []
    if isinstance(schema.get("anyOf"), list):
        return [one for each in schema["anyOf"] for one in _choices(each, root, depth + 1)]
    return [schema]


def _kinds(choices: list[Mapping[str, Any]]) -> tuple[ArgumentKind, ...]:
    return tuple(dict.fromkeys(kind_of(str(each[PLACE])) for each in choices if PLACE in each))


def _value_title(value: Any) -> str:
    return f"the file {value}" if isinstance(value, Path) else f"{value!r:.60}"


def files_at_signs(value: Any) -> Any:
    """Interpret a value as on a command line: "@name" is a file, "@@text" is text that begins with "@"."""
    if isinstance(value, str):
        return value[1:] if value.startswith("@@") else Path(value[1:]) if value.startswith("@") else value
    if isinstance(value, dict):
        return {name: files_at_signs(each) for name, each in value.items()}
    return [files_at_signs(each) for each in value] if isinstance(value, list) else value
