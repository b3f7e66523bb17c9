"""The one grammar of names: ``vendor/model``, ``host:vendor/model``, and short names where they are unambiguous.

Every verb reads names here. A name that says a host means that host's model or nothing: another host's price, limits
and address would be those of somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from typing import NamedTuple, TypeVar

from intermodal.catalog.nouns import Catalog, Endpoint
from intermodal.errors import UnknownModel

_MAX_LISTED = 5
_SHORTEST = 3  # letters that the start of a name must have to mean it
_SEPARATORS = re.compile(r"[._]+")
T = TypeVar("T")


class Called(NamedTuple):
    """What a name is held against, in lower case.

    Attributes:
        id: the endpoint's, ``host:vendor/model``. model: ``vendor/model``. served_as: the host's own name for it.
    """

    id: str
    model: str
    served_as: str

    @property
    def last_word(self) -> str:
        return self.model.rpartition("/")[2]


def called(endpoint: Endpoint) -> Called:
    """What an endpoint answers to."""
    return Called(endpoint.id.lower(), endpoint.model.id.lower(), endpoint.served_as.lower())


def split(name: str, hosts: Container[str]) -> tuple[str, str]:
    """Host and model of a name, in lower case; the host is "" where the name says none.

    What stands before a colon is a host where it is one of ``hosts``, or where ``vendor/model`` follows: a tag
    ("llama3.2:3b") has no slash.

    >>> split("nosuchhost:openai/gpt-4o", ()), split("gemma3:4b", ()), split("groq:pixtral", {"groq"})
    (('nosuchhost', 'openai/gpt-4o'), ('', 'gemma3:4b'), ('groq', 'pixtral'))
    """
    wanted = name.strip().lower()
    host, colon, model = wanted.partition(":")
    if colon and "/" not in host and (host in hosts or "/" in model):
        return host, model
    return "", wanted


def pick(items: Iterable[T], word: str, by: Callable[[T], Called]) -> list[T]:
    """The items that a name without its host means: by model, the host's own name, the model's last word, the same
    with other separators ("claude-sonnet-4.5"), the start of its last word. The most exact of these ways decides."""
    there = [(item, by(item)) for item in items]
    for match in (_is_model, _is_served_as, _is_last_word, _is_but_for_separators, _starts_last_word):
        found = [item for item, known in there if match(known, word)]
        if found:
            return found
    return []


def _is_model(known: Called, word: str) -> bool:
    return known.model == word


def _is_served_as(known: Called, word: str) -> bool:
    return bool(word) and known.served_as == word


def _is_last_word(known: Called, word: str) -> bool:
    return known.last_word == word


def _is_but_for_separators(known: Called, word: str) -> bool:
    plain = _SEPARATORS.sub("-", word)
    return plain in (_SEPARATORS.sub("-", known.model), _SEPARATORS.sub("-", known.last_word))


def _starts_last_word(known: Called, word: str) -> bool:
    return len(word) >= _SHORTEST and known.last_word.startswith(word)


# ---- in a catalog --------------------------------------------------------------------------------


def resolve(catalog: Catalog, name: str) -> tuple[Endpoint, ...]:
    """The endpoints a name stands for: one for ``host:vendor/model``, every host's for ``vendor/model``, and the one
    of a host that has no other.

    Raises:
        UnknownModel: no such name (near ones are listed), or a short name that several models share.
    """
    if there := known(catalog, name):
        return there
    for each in catalog.uncallable:
        if each.name == name.strip().lower():
            raise UnknownModel(f"{each.id} cannot be called: {each.why}", todo=each.todo)
    raise UnknownModel(f"there is no model named {name}", todo=_near(catalog, name.strip().lower()))


def known(catalog: Catalog, name: str) -> tuple[Endpoint, ...]:
    """The same, and () where there is no such name."""
    wanted = name.strip().lower()
    exact = tuple(e for e in catalog.endpoints if e.id.lower() == wanted)
    if exact:
        return exact
    host, model = split(wanted, _hosts(catalog))
    there = [
        e for e in catalog.endpoints if not host or e.host.id.lower() == host or e.id.lower().startswith(f"{host}:")
    ]
    found = pick(there, model, called)
    if found:
        model = one_model(name, found)[0].model.id  # every host's, whatever the others call it
        return tuple(e for e in there if e.model.id == model)
    served = [e for e in catalog.endpoints if e.host.id.lower() == wanted]
    return tuple(one_model(name, served)) if served else ()  # a host with one model, as "up.NAME" is


def _hosts(catalog: Catalog) -> set[str]:
    return {host for e in catalog.endpoints for host in (e.host.id.lower(), e.id.lower().partition(":")[0])}


def one_model(name: str, found: list[Endpoint]) -> list[Endpoint]:
    """The endpoints, which are all of one model. Raises UnknownModel where they are of several."""
    check_one(name, sorted({endpoint.model.id for endpoint in found}))
    return found


def check_one(name: str, models: list[str]) -> None:
    """Raise UnknownModel where a name could be any of several models."""
    if len(models) > 1:
        listed = ", ".join(models[:_MAX_LISTED]) + (", …" if len(models) > _MAX_LISTED else "")
        raise UnknownModel(f"{name} could be any of {len(models)} models", todo=f"say which: {listed}")


def _near(catalog: Catalog, wanted: str) -> str:
    from difflib import get_close_matches

    model = wanted.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    names: dict[str, tuple[str, str]] = {}  # what may be near -> how to write it, and the model it is
    for endpoint in catalog.endpoints:
        names.setdefault(endpoint.id.lower(), (endpoint.id, endpoint.model.id))
        names.setdefault(endpoint.model.id.lower(), (endpoint.model.id, endpoint.model.id))
        names.setdefault(endpoint.model.id.lower().rsplit("/", 1)[-1], (endpoint.model.id, endpoint.model.id))
    close = [*get_close_matches(wanted, names, 3, 0.5), *get_close_matches(model, names, 3, 0.5)]
    by_model: dict[str, str] = {}
    for match in close:
        written, of = names[match]
        by_model.setdefault(of, written)
    found = list(by_model.values())[:3]
    if found:
        return f"did you mean {' or '.join(found)}? See intermodal models"
    return "see intermodal models"
