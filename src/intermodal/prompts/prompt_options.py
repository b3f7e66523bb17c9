"""Options of a prompt file: ``ext: intermodal:`` as policy options, ``config`` as sampling options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from intermodal.client.request_builder import range_hint, suggestion
from intermodal.core.request import ASPECTS, LICENCES, OBJECTIVES, RETENTIONS, TIERS, Sampling, Settings
from intermodal.files.located_document import Path
from intermodal.prompts.prompt_file import MEDIA_KINDS, ArgumentKind, PromptFinding
from intermodal.prompts.source_text import FrontMatter, shown_value

BLOCK = "intermodal"


@dataclass(frozen=True)
class PromptOptions:
    """The options of a prompt file.

    ``options``: policy options, by field name. ``media``: modalities of arguments, by name. ``strict``: enforce the
    schema of the answer instead of only prompting for it. ``lines``: lines of the options, by field name.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    media: Mapping[str, ArgumentKind] = field(default_factory=dict)
    strict: bool = False
    lines: Mapping[str, int] = field(default_factory=dict)


def read_options(front: FrontMatter) -> PromptOptions:
    """Return the options of a file, written either as keys under ``ext`` or with dots. Raises PromptError.

    An unknown key is an error: a privacy option that is ignored would protect nothing.
    """
    options: dict[str, Any] = {}
    media: Mapping[str, ArgumentKind] = {}
    strict = False
    lines = {}
    for at, key, value in _stated_options(front):
        if key == "media":
            media = _media(front, at, value)
            continue
        if key == "strict":
            if not isinstance(value, bool):
                raise front.error(at, f"{shown_value(value)} does not fit", "write true or false")
            strict = value
            continue
        if key not in OPTIONS:
            known = (*OPTIONS, "media", "strict")
            todo = suggestion(key, known, f"keys are {', '.join(sorted(known))}")
            raise front.error(at, f"no key {key!r} is known", todo)
        name, check, todo = OPTIONS[key]
        checked_value = check(value)
        if checked_value is None:
            raise front.error(at, f"{shown_value(value)} does not fit", f"write {todo}")
        options[name] = checked_value
        lines[name] = front.line(at)
    return PromptOptions(options, media, strict, lines)


def _stated_options(front: FrontMatter) -> list[tuple[Path, str, Any]]:
    found: list[tuple[Path, str, Any]] = []
    ext = front.value.get("ext")
    block = ext.get(BLOCK) if isinstance(ext, Mapping) else None
    if block is not None and not isinstance(block, Mapping):
        raise front.error(("ext", BLOCK), "is not a mapping of keys", "write keys under it")
    found += [(("ext", BLOCK, key), key, value) for key, value in (block or {}).items()]
    found += [
        ((key,), key.removeprefix(f"{BLOCK}."), value)
        for key, value in front.value.items()
        if key.startswith(f"{BLOCK}.")
    ]
    return found


def _media(front: FrontMatter, at: Path, value: Any) -> Mapping[str, ArgumentKind]:
    if not isinstance(value, Mapping):
        raise front.error(at, "is not a mapping of arguments", "write media: {photo: image}")
    for name, kind in value.items():
        if kind not in MEDIA_KINDS:
            raise front.error(
                (*at, name), f"{shown_value(kind)} is not a kind of media", f"kinds are {', '.join(MEDIA_KINDS)}"
            )
    return value


Check = Callable[[Any], Any]


def _one_of_choices(*words: str) -> Check:
    return lambda value: value if value in words else None


def _list_of_choices(*words: str) -> Check:
    def check(value: Any) -> Any:
        word_list = _tuple_of_words(value)
        return word_list if word_list is not None and (not words or set(word_list) <= set(words)) else None

    return check


def _tuple_of_words(value: Any) -> tuple[str, ...] | None:
    words = [value] if isinstance(value, str) else value
    if isinstance(words, list) and words and all(isinstance(each, str) and each for each in words):
        return tuple(words)
    return None


def _amount(value: Any) -> Any:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and value >= 0 else None


def _count(value: Any) -> Any:
    return value if type(value) is int and value >= 0 else None


# Option in the file -> the policy field, its check, and its syntax.
OPTIONS: Mapping[str, tuple[str, Check, str]] = {
    "objective": ("objective", _one_of_choices(*OBJECTIVES), " or ".join(OBJECTIVES)),
    "strength": ("at_least", _one_of_choices(*TIERS), " or ".join(TIERS)),
    "keep": ("keep", _list_of_choices(*ASPECTS), f"a list of {', '.join(ASPECTS)}"),
    "private": ("private", _tuple_of_words, "a list of kinds and arguments: [audio, photo]"),
    "release": ("release", _tuple_of_words, "a list as [audio:text]"),
    "max_cost": ("max_cost", _amount, "USD, 0 or more"),
    "deadline": ("deadline", _amount, "seconds, 0 or more"),
    "resends": ("resends", _count, "a whole number, 0 or more"),
    "local": ("farthest", lambda value: {True: "machine", False: "internet"}.get(value), "true or false"),
    "language": ("language", lambda value: value if isinstance(value, str) and value else None, "a code as en"),
    "translate": ("translate", lambda value: value if isinstance(value, str) and value else None, "a code as en"),
    "licence": ("licence", _one_of_choices(*LICENCES), " or ".join(LICENCES)),
    "regions": ("regions", _tuple_of_words, "a list as [eu]"),
    "retention": ("retention", _one_of_choices(*RETENTIONS), " or ".join(RETENTIONS)),
}

# ---- config ----------------------------------------------------------------------------------------

# Keys of dotprompt's ``config``, and of related formats -> our names.
_SAMPLING: Mapping[str, str] = {
    "maxOutputTokens": "max_tokens", "max_tokens": "max_tokens", "max_completion_tokens": "max_tokens",
    "maxCompletionTokens": "max_tokens", "maxTokens": "max_tokens", "temperature": "temperature",
    "topP": "top_p", "top_p": "top_p", "stopSequences": "stop", "stop_sequences": "stop", "stop": "stop",
    "seed": "seed",
}  # fmt: skip
_SETTINGS: Mapping[str, str] = {
    "topK": "top_k", "top_k": "top_k", "presencePenalty": "presence_penalty", "presence_penalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty", "frequency_penalty": "frequency_penalty",
}  # fmt: skip


def sampling(config: Mapping[str, Any], front: FrontMatter, at: Path = ("config",)) -> tuple[
    Sampling, Settings, list[PromptFinding]
]:  # fmt: skip
    """Return the sampling options and settings, and findings for ignored keys of ``config``.

    Raises PromptError for a wrong value.
    """
    values: dict[str, Any] = {}
    other: dict[str, Any] = {}
    unread = []
    for key, value in config.items():
        if value is None:
            continue
        if key == "stop" and isinstance(value, str):
            value = [value]
        if key in _SAMPLING:
            values[_SAMPLING[key]] = value
            if todo := range_hint(_SAMPLING[key], value):
                what = f"{'.'.join(map(str, (*at, key)))}: {shown_value(value)} is out of range"
                unread.append(PromptFinding("error", front.line((*at, key)), what, todo, stops=True))
        elif key in _SETTINGS:
            other[_SETTINGS[key]] = value
        else:
            line = front.lines.get((*at, key), front.lines.get(at, 1))
            what = f"{key!r} is a setting of some host's, and reaches none"
            unread.append(PromptFinding("warning", line, what, "take it out, or leave it to readers that know it"))
    try:
        return msgspec.convert(values, Sampling), msgspec.convert(other, Settings), unread
    except msgspec.ValidationError as error:
        name = str(error).rpartition("$.")[2].rstrip("`").partition("[")[0]
        key = next((each for each in config if {**_SAMPLING, **_SETTINGS}.get(each) == name), "")
        raise front.error((*at, key), str(error).partition(" - at")[0].lower(), "give another value") from None
