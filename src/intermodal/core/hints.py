"""Advice in errors and notes, as sentences whose settings each surface spells in its own way.

The same setting is ``--max-cost`` on the command line, ``max_cost`` in Python and ``x-intermodal-max-cost`` over HTTP.
A sentence is written once, with settings as values, and spelled when it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Self, TypeVar, cast

T = TypeVar("T")
Surface = Literal["command line", "python", "http"]
_OWNER = "in the server's config"
ALIASES = f"; what else this name is to mean can be said in [serve.aliases] {_OWNER}"
# Python's name of a setting if it differs from the option name.
_KEYWORDS: Mapping[str, str] = {
    "date": "day", "format": "output", "host": "hosts", "in": "takes", "life": "life_months",
    "local": 'farthest="machine"', "out": "makes", "save-derived": "result.derived",
}  # fmt: skip
_SEVERAL = frozenset({"host"})  # keywords that take several
# Over HTTP: the field that a client sets, or advice for the server's owner. A value is appended to headers and to names
# that end with a colon.
_FIELDS: Mapping[str, str] = {
    "at-least": "x-intermodal-at-least",
    "base-url": f"base_url of the host {_OWNER}",
    "date": "the date",
    "deadline": "x-intermodal-deadline",
    "format": "response_format",
    "free-tiers": f"free_tiers {_OWNER}, or the model by its name",
    "host": f"consent for a host {_OWNER}",
    "keep": "x-intermodal-keep",
    "language": "x-intermodal-language",
    "licence": f"licence {_OWNER}",
    "local": "x-intermodal-farthest: machine",
    "max-cost": f"x-intermodal-max-cost, or max_cost {_OWNER}",
    "objective": "x-intermodal-objective",
    "private": "x-intermodal-private",
    "region": f"regions {_OWNER}",
    "release": f"release of a policy {_OWNER}",
    "retention": f"retention {_OWNER}",
}
_SLOT = re.compile(r"\{([a-z][a-z0-9-]*)?(=?)\}")


class Setting(NamedTuple):
    """A setting, named after its command-line option. ``value``: the suggested value, "" for none."""

    name: str
    value: str = ""

    def spell_for(self, surface: Surface) -> str:
        if surface == "command line":
            value = f'"{self.value}"' if " " in self.value else self.value
            return f"--{self.name} {value}" if value else f"--{self.name}"
        if surface == "python":
            name = _KEYWORDS.get(self.name, self.name.replace("-", "_"))
            if not self.value:
                return name
            if self.name in _SEVERAL:
                return f'{name}=("{self.value}",)'
            bare = self.value.isdecimal() or (self.value.isalpha() and self.value.isupper())  # a number or placeholder
            return f"{name}={self.value}" if bare else f'{name}="{self.value}"'
        if self.name == "host" and self.value:
            return f"intermodal hosts add {self.value}"  # a client consents to nothing
        name = _FIELDS.get(self.name, self.name.replace("-", "_"))
        return f"{name}: {self.value}" if self.value else name


class Action(NamedTuple):
    """Advice that differs between surfaces in more than spelling."""

    command_line: str
    python: str
    http: str

    def spell_for(self, surface: Surface) -> str:
        return self.command_line if surface == "command line" else self.python if surface == "python" else self.http


Part = str | Setting | Action


class Hint(str):
    """A sentence that contains settings and actions. ``str()`` spells it for the command line."""

    parts: tuple[Part, ...]

    def __new__(cls, parts: Iterable[Part]) -> Self:
        parts = tuple(parts)
        # Planning may create dozens of hints per rejected plan, in two milliseconds.
        spelled_parts = [part if isinstance(part, str) else part.spell_for("command line") for part in parts]
        text = super().__new__(cls, "".join(spelled_parts))
        text.parts = parts
        return text

    def __getnewargs__(self) -> tuple[tuple[Part, ...]]:  # type: ignore[override]
        return (self.parts,)

    def spell_for(self, surface: Surface) -> str:
        """Spell the sentence for a surface."""
        if surface == "command line":
            return str(self)
        return "".join(_spell_part(part, surface) for part in self.parts)


def hint(template: str, *values: object) -> Hint:
    """Build a sentence from a template.

    ``{}`` is replaced by a value, ``{max-cost}`` by a setting, and ``{language=}`` by a setting with a value.

    >>> raised = hint("would cost up to {}; raise {max-cost}, or {host=} for this once", "$0.2", "openai")
    >>> raised.spell_for("python")
    'would cost up to $0.2; raise max_cost, or hosts=("openai",) for this once'
    """
    given = iter(values)
    parts: list[Part] = []
    for part in _split_template(template):
        if isinstance(part, str) or (part.name and not part.value):
            parts.append(part)
        elif part.name:
            parts.append(Setting(part.name, str(next(given))))
        elif isinstance(value := next(given), Hint):
            parts += value.parts
        else:
            parts.append(str(value))
    if rest := tuple(given):
        raise TypeError(f"{template!r} has no place for {rest}")
    return Hint(parts)


def join_sentences(between: str, sentences: Iterable[str]) -> Hint:
    """Join sentences into one, separated by ``between``."""
    parts: list[Part] = []
    for sentence in sentences:
        parts += [between, *parts_of(sentence)] if parts else parts_of(sentence)
    return Hint(parts)


def setting(name: str, value: str = "") -> Hint:
    """Return a hint that consists of one setting, such as the place of an error."""
    return Hint((Setting(name, value),))


def action(command_line: str, *, python: str | None = None, http: str | None = None) -> Hint:
    """Return advice that differs between surfaces; Python and HTTP default to the command line's text."""
    python, http = (command_line if spelling is None else spelling for spelling in (python, http))
    return Hint(
        (Action(spell_text(command_line, "command line"), spell_text(python, "python"), spell_text(http, "http")),)
    )


def command(text: str) -> Hint:
    """Return a sentence that ends with a shell command. Over HTTP, the command's options are omitted."""
    return action(text, http=str(text).partition(" --")[0])


def spell_text(text: str, surface: Surface) -> str:
    """Spell a text for a surface; plain strings are returned unchanged."""
    return text.spell_for(surface) if isinstance(text, Hint) else text


def spell(value: T, surface: Surface) -> T:
    """Return a value with every text in it spelled for a surface: in structs, tuples, lists and mappings."""
    import msgspec

    found: Any = value
    if isinstance(value, Hint):
        found = value.spell_for(surface)
    elif isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        changed = {name: new for name, old in fields.items() if (new := spell(old, surface)) is not old}
        found = msgspec.structs.replace(value, **changed) if changed else value
    elif isinstance(value, tuple | list):
        parts = [spell(each, surface) for each in value]
        if any(new is not old for new, old in zip(parts, value, strict=True)):
            found = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    elif isinstance(value, dict):
        spelled = {name: spell(each, surface) for name, each in value.items()}
        found = spelled if any(spelled[name] is not each for name, each in value.items()) else value
    return cast("T", found)


def pack_text(text: str) -> str | list[Part]:
    """Encode a text for another process, as plain JSON or MessagePack data."""
    return list(text.parts) if isinstance(text, Hint) else text


def unpack_text(packed: str | list[Any]) -> str:
    """Decode the result of ``pack_text``."""
    if isinstance(packed, str):
        return packed
    return Hint(
        part if isinstance(part, str) else Setting(*part) if len(part) == 2 else Action(*part) for part in packed
    )


def parts_of(value: object) -> tuple[Part, ...]:
    return value.parts if isinstance(value, Hint) else (str(value),)


def _spell_part(part: Part, surface: Surface) -> str:
    return part if isinstance(part, str) else part.spell_for(surface)


@lru_cache(maxsize=1024)
def _split_template(template: str) -> tuple[str | Setting, ...]:
    """Split a template into its parts. A setting with an empty name is a placeholder for a value."""
    found: list[str | Setting] = []
    at = 0
    for slot in _SLOT.finditer(template):
        found += [template[at : slot.start()]] * (slot.start() > at)
        found.append(Setting(slot[1] or "", slot[2]))
        at = slot.end()
    return (*found, *[template[at:]] * (at < len(template)))


PULL_LIST = command("intermodal pull --list")
MODELS = action("intermodal models", http="/v1/models")
EVERY_MODEL = action("intermodal models", http=f"/v1/models{ALIASES}")
_WHO = "the owner of the server can provide it (intermodal hosts add "


def consent_to(*hosts: str) -> Hint:
    """Return advice on how to allow hosts: it names one host, lists options for several, and uses NAME for none."""
    host_name = hosts[0] if len(hosts) == 1 else "NAME"
    add = f"or intermodal hosts add {host_name}"
    if len(hosts) > 1:
        for_this_request = join_sentences(" or ", (setting("host", host) for host in hosts))
        others = f"{' or '.join(hosts)}, which the owner of the server can do: intermodal hosts add NAME"
    else:
        for_this_request, others = setting("host", host_name), f"{_WHO}{host_name})"
    return action(hint("{} for this once, {}", for_this_request, add), http=others)


def release(label: str) -> Hint:
    """Return advice on how to release private data, by its label."""
    advice = hint("release it with {release=}", label)
    return action(advice, http=f'release = ["{label}"] in a policy {_OWNER} releases it')


def choose_from(choices: str) -> Hint:
    """Return advice that lists the names to choose from."""
    return hint("say which: {}", action(choices, http=f"{choices}{ALIASES}"))


def one_line(text: str) -> str:
    """Return a text as one line without control characters, which file names and replies of hosts may contain."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
