"""Finds each value of an answer in the texts that it was made from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from intermodal.events import FieldEvidence
from intermodal.evidence.searchable_text import CODE, SearchableText, codes_in
from intermodal.json_schema.allowed_values import AllowedValues
from intermodal.json_schema.pointer import pointer, steps
from intermodal.media.text.invisible_characters import strip_invisible

MOST = 2_000  # values that are looked for
_QUOTED = 200  # characters of the line that is shown
Path = tuple[str | int, ...]


class EvidenceSource(NamedTuple):
    """A text that a model was given, and where it is from. ``page`` is 0 and ``at`` (seconds) -1 where there is none;
    ``starts``: seconds at which each of its lines was said."""

    file: str
    text: str
    page: int = 0
    at: float = -1.0
    starts: tuple[float, ...] = ()


class EvidenceSources(NamedTuple):
    """``texts``: those to search, none where no file came with the request. ``whole``: the model was given nothing else
    of the files; a picture that it saw may hold what no text does."""

    texts: tuple[EvidenceSource, ...] = ()
    whole: bool = True


def evidence_of(data: Any, schema: Mapping[str, Any], sources: EvidenceSources) -> tuple[FieldEvidence, ...]:
    """Return where each value of an answer is found, in order; () where no file came with the request.

    ``data`` is valid by ``schema``. Empty values are not looked for, nor more than ``MOST``.
    """
    if not sources.texts and sources.whole:
        return ()
    read = [(source, SearchableText(source.text)) for source in sources.texts]
    choices = AllowedValues(schema)
    found: list[FieldEvidence] = []
    for number, (path, value) in enumerate(_values(data)):
        looked_for = number < MOST and not (value is None or value == "" or isinstance(value, bool))
        place = _place(value, read) if looked_for else None
        if place is not None:
            found.append(_evidence(path, *place))
        elif not looked_for or not sources.whole or _free_choice(value, path, choices, read):
            found.append(FieldEvidence(field=pointer(path), status="unchecked"))
        else:
            found.append(FieldEvidence(field=pointer(path), status="unverified"))
    return tuple(found)


def value_at(data: Any, field: str) -> Any:
    """Return the value that a JSON Pointer names.

    >>> value_at({"items": [{"price": 7}]}, "/items/0/price")
    7
    """
    for name in steps(field):
        data = data[int(name)] if isinstance(data, list) else data[name]
    return data


def _values(data: Any) -> Iterator[tuple[Path, Any]]:
    waiting: list[tuple[Path, Any]] = [((), data)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, dict):
            waiting += [((*path, name), value) for name, value in reversed(each.items())]
        elif isinstance(each, list):
            waiting += [((*path, place), value) for place, value in reversed(list(enumerate(each)))]
        else:
            yield path, each


# A word in brackets, or a line to write on: what a form or an example has where a value belongs.
_PLACEHOLDER = re.compile(r"<[^<>]*>|\{[^{}]*\}|\[[^\[\]]*\]|_{3,}")


def _place(value: Any, read: list[tuple[EvidenceSource, SearchableText]]) -> tuple[EvidenceSource, int] | None:
    blanks = _PLACEHOLDER.findall(value) if isinstance(value, str) else ()
    for source, text in read:
        if any(blank not in source.text for blank in blanks):
            continue
        line = text.number(value) if isinstance(value, (int, float)) else text.words(str(value))
        if line is not None:
            return source, line
    return None


def _free_choice(
    value: Any, path: Path, choices: AllowedValues, read: list[tuple[EvidenceSource, SearchableText]]
) -> bool:
    """Whether it is a word of the schema's own list, which need not stand in a text. Codes are names and no judgement
    of the text: where another code of the list stands there, this one was not chosen but mistaken."""
    listed = choices.at(path)
    if not any(value == each and type(value) is type(each) for each in listed):
        return False
    return not are_codes(listed) or not any(each in text.codes for each in listed for _, text in read)


def are_codes(listed: Iterable[Any]) -> bool:
    """Return whether an enumeration of the schema has only codes, and perhaps null.

    >>> are_codes(["EUR", "USD", None]), are_codes(["BUG", "QUESTION"])
    (True, False)
    """
    return all(each is None or (isinstance(each, str) and CODE.fullmatch(each)) for each in listed)


def codes_of(sources: EvidenceSources) -> frozenset[str]:
    """Return the codes that are in any of the texts."""
    return frozenset(code for source in sources.texts for code in codes_in(source.text))


def _evidence(path: Path, source: EvidenceSource, line: int) -> FieldEvidence:
    at = source.starts[line - 1] if line <= len(source.starts) else source.at
    lines = strip_invisible(source.text).split("\n", line)
    text = " ".join(lines[line - 1].split())[:_QUOTED] if line <= len(lines) else ""
    return FieldEvidence(
        field=pointer(path), status="found", file=source.file, page=source.page, line=0 if at >= 0 else line, at=at,
        text=text,
    )  # fmt: skip
