"""The grammar of model names: ``vendor/model``, ``host:vendor/model``, and unambiguous short names.

All commands resolve names here. A name with a host refers to that host's model only, since another host has other
prices, limits and addresses.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from functools import cached_property
from heapq import nlargest
from itertools import takewhile
from typing import Generic, NamedTuple, TypeVar

from intermodal.catalog.types import Catalog, Endpoint
from intermodal.core.hints import EVERY_MODEL, MODELS, choose_from, hint
from intermodal.errors import UnknownModel

_MAX_LISTED = 5
_SHORTEST = 3  # letters that a prefix must have to match a name
_LIKELY = 16  # names compared letter by letter with an unknown name
_SEPARATORS = re.compile(r"[._]+")
_NO_SEPARATOR = re.compile(r"[a-z]{2,}\d.*[a-z\d]")  # a version follows at once, as in Ollama's names
T = TypeVar("T")


class EndpointNames(NamedTuple):
    """The names an endpoint answers to, in lower case.

    Attributes:
        id: the endpoint's, ``host:vendor/model``. model: ``vendor/model``. served_as: the host's own name for it.
    """

    id: str
    model: str
    served_as: str

    @property
    def last_word(self) -> str:
        return self.model.rpartition("/")[2]


def names_of(endpoint: Endpoint) -> EndpointNames:
    """Return the names an endpoint answers to."""
    return EndpointNames(endpoint.id.lower(), endpoint.model.id.lower(), endpoint.served_as.lower())


def split_name(name: str, hosts: Container[str]) -> tuple[str, str]:
    """Split a name into host and model, in lower case; the host is "" if the name has none.

    Text before a colon is a host if it is one of ``hosts`` or if ``vendor/model`` follows: a tag ("llama3.2:3b") has no
    slash.

    >>> split_name("nosuchhost:openai/gpt-4o", ()), split_name("gemma3:4b", ()), split_name("groq:pixtral", {"groq"})
    (('nosuchhost', 'openai/gpt-4o'), ('', 'gemma3:4b'), ('groq', 'pixtral'))
    """
    lower_name = name.strip().lower()
    host, colon, model = lower_name.partition(":")
    if colon and "/" not in host and (host in hosts or "/" in model):
        return host, model
    return "", lower_name


class NameIndex(Generic[T]):
    """An index of items by their names.

    Each form of a name is indexed on first use: a known name takes one pass over the items, an unknown one a lookup in
    each index.
    """

    def __init__(self, items: Iterable[T], get_names: Callable[[T], EndpointNames]) -> None:
        self._items, self._called = list(items), get_names

    def pick(self, word: str) -> list[T]:
        """Return the items for a name without a host.

        Forms are tried from exact to loose: the model, the host's own name, the model's last word, the same with other
        separators ("claude-sonnet-4.5"), the start of its last word.
        """
        return (
            self._by_model.get(word)
            or (self._by_served_as.get(word) if word else None)
            or self._by_last_word.get(word)
            or self._by_plain.get(plain_name(word))
            or self._starting(word)
        )[:]

    def _starting(self, word: str) -> list[T]:
        """Return the items whose last word starts with ``word``.

        A name of Ollama's library is not a prefix: "llama3.1" means Llama 3.1, and not the one model whose own name
        starts with these letters.
        """
        if len(word) < _SHORTEST:
            return []
        words = self._last_words  # sorted, so that words with the same prefix are adjacent
        starting = list(takewhile(lambda each: each.startswith(word), words[bisect_left(words, word) :]))
        found = [item for each in starting for item in self._by_last_word[each]]
        if found and _NO_SEPARATOR.fullmatch(word):
            tagged = models_of_tag(word, self._by_model)
            if tagged and not any(self._called(item).model in tagged for item in found):
                return []
        return found

    @cached_property
    def _by_model(self) -> dict[str, list[T]]:
        return self._index_by(lambda names: (names.model,))

    @cached_property
    def _by_served_as(self) -> dict[str, list[T]]:
        return self._index_by(lambda names: (names.served_as,))

    @cached_property
    def _by_last_word(self) -> dict[str, list[T]]:
        return self._index_by(lambda names: (names.last_word,))

    @cached_property
    def _by_plain(self) -> dict[str, list[T]]:
        return self._index_by(lambda names: dict.fromkeys((plain_name(names.model), plain_name(names.last_word))))

    @cached_property
    def _last_words(self) -> list[str]:
        return sorted(self._by_last_word)

    def _index_by(self, names: Callable[[EndpointNames], Iterable[str]]) -> dict[str, list[T]]:
        found: dict[str, list[T]] = {}
        for item in self._items:
            for name in names(self._called(item)):
                found.setdefault(name, []).append(item)
        return found

    def similar(self, word: str, most: int, min_ratio: float) -> list[T]:
        """Return the items whose last word is most similar to an unknown word. ``min_ratio``: difflib's."""
        words, shared = self._last_words, Counter[int]()
        for pair in _pairs(word):
            shared.update(self._by_pair.get(pair, ()))
        close = _close({words[place]: count for place, count in shared.items()}, word, most, min_ratio)
        return [item for each in close for item in self._by_last_word[each]]

    @cached_property
    def _by_pair(self) -> dict[str, list[int]]:
        """An index of the last words by their pairs of letters."""
        found: dict[str, list[int]] = {}
        for place, word in enumerate(self._last_words):
            for pair in _pairs(word):
                found.setdefault(pair, []).append(place)
        return found


def match_name(items: Iterable[T], word: str, get_names: Callable[[T], EndpointNames]) -> list[T]:
    """Return the items for a name without a host, without keeping an index; for a single lookup."""
    return NameIndex(items, get_names).pick(word)


def plain_name(word: str) -> str:
    """Return a name with all its separators alike: "claude-sonnet-4.5" and "claude-sonnet-4-5" are one name."""
    return _SEPARATORS.sub("-", word) if "." in word or "_" in word else word


def _pairs(word: str) -> set[str]:
    return {word[place : place + 2] for place in range(len(word) - 1)}


def _close(shared: Mapping[str, int], word: str, most: int, min_ratio: float) -> list[str]:
    """Return difflib's close matches among the few names that share most letter pairs.

    Comparing two similar names takes 50 us, and a name may resemble a thousand others. ``shared``: number of shared
    pairs by name.
    """
    from difflib import get_close_matches

    likely = nlargest(_LIKELY, shared, key=lambda name: shared[name] / (len(word) + len(name)))
    return get_close_matches(word, likely, most, min_ratio)


# ---- names of Ollama -------------------------------------------------------------------------------

_WORD = re.compile(r"\d+(?:\.\d+)*[bm]?(?![a-z])|\d+(?:\.\d+)*|[a-z]+")
_QUANTIZATION = re.compile(r"[-_:](?:i?q\d\w*|fp16|bf16|f16)$")
_TUNING = frozenset({"instruct", "it", "chat"})  # Ollama's names leave these out
_SIZE = re.compile(r"\d+(?:\.\d+)?[bm]")


def models_of_tag(name: str, ids: Iterable[str]) -> list[str]:
    """Return the models that a name of Ollama's library refers to, of ``vendor/model`` ids.

    Separators, the order of words, quantizations and words for instruction tuning do not count. A name without a size
    refers to the model of every size that has it.

    >>> ids = ("meta/llama-3.1-8b-instruct", "meta/llama-3.1-70b-instruct", "microsoft/phi-4", "microsoft/phi-4-mini")
    >>> models_of_tag("llama3.1:8b", ids), models_of_tag("phi4", ids), len(models_of_tag("llama3.1", ids))
    (['meta/llama-3.1-8b-instruct'], ['microsoft/phi-4'], 2)
    """
    if "/" in name:
        return []
    tag_words = _tag_words(name.lower().removesuffix(":latest"))
    found: list[str] = []
    sized: list[str] = []
    for id in ids:
        last = id.lower().rpartition("/")[2]
        words = () if ":" in last else _tag_words(last)  # a variant at a host, as ":free"
        if words == tag_words:
            found.append(id)
        elif (
            len(words) == len(tag_words) + 1 and tuple(each for each in words if not _SIZE.fullmatch(each)) == tag_words
        ):
            sized.append(id)
    return found or sized


def reading_of_tag(tag: str, name: str) -> str:
    """Return a sentence on how a name of Ollama's library was read."""
    return f"{tag}: read as Ollama's name for {name}"


def size_of_name(name: str) -> str:
    """Return the sizes that a model's name states, as "8b", without separators; "" for none."""
    return "".join(word for word in _tag_words(name.lower().rpartition("/")[2]) if _SIZE.fullmatch(word))


def _tag_words(name: str) -> tuple[str, ...]:
    words = _WORD.findall(_QUANTIZATION.sub("", name))
    return tuple(sorted(word for word in words if word not in _TUNING))


# ---- in a catalog --------------------------------------------------------------------------------


def resolve_name(catalog: Catalog, name: str) -> tuple[Endpoint, ...]:
    """Return the endpoints that a name refers to.

    ``host:vendor/model`` is one endpoint; ``vendor/model`` is that model at every host; a host name is its model if it
    has only one.

    Raises:
        UnknownModel: no such name (the nearest are listed), or a short name shared by several models.
    """
    if endpoints := find_by_name(catalog, name):
        return endpoints
    for each in catalog.uncallable:
        if each.name == name.strip().lower():
            raise UnknownModel(f"{each.id} cannot be called: {each.why}", todo=each.todo)
    raise UnknownModel(f"there is no model named {name}", todo=_nearest_models_text(catalog, name.strip().lower()))


def find_by_name(catalog: Catalog, name: str) -> tuple[Endpoint, ...]:
    """Return the endpoints as ``resolve_name`` does, but () for an unknown name."""
    lower_name = name.strip().lower()
    exact = tuple(e for e in catalog.endpoints if e.id.lower() == lower_name)
    if exact:
        return exact
    host, model = split_name(lower_name, _hosts(catalog))
    candidates = [
        e for e in catalog.endpoints if not host or e.host.id.lower() == host or e.id.lower().startswith(f"{host}:")
    ]
    found = match_name(candidates, model, names_of)
    if found:
        model = require_one_model(name, found)[0].model.id  # every host's, whatever the others call it
        return tuple(e for e in candidates if e.model.id == model)
    host_endpoints = [e for e in catalog.endpoints if e.host.id.lower() == lower_name]
    return (
        tuple(require_one_model(name, host_endpoints)) if host_endpoints else ()
    )  # a host with one model, as "up.NAME" is


def _hosts(catalog: Catalog) -> set[str]:
    return {host for e in catalog.endpoints for host in (e.host.id.lower(), e.id.lower().partition(":")[0])}


def require_one_model(name: str, endpoints: list[Endpoint]) -> list[Endpoint]:
    """Return the endpoints unchanged. Raises UnknownModel if they belong to several models."""
    check_unambiguous(name, sorted({endpoint.model.id for endpoint in endpoints}))
    return endpoints


def check_unambiguous(name: str, models: list[str]) -> None:
    """Raise UnknownModel if a name matches several models."""
    if len(models) > 1:
        names_text = ", ".join(models[:_MAX_LISTED]) + (", …" if len(models) > _MAX_LISTED else "")
        raise UnknownModel(f"{name} could be any of {len(models)} models", todo=choose_from(names_text))


def _nearest_models_text(catalog: Catalog, lower_name: str) -> str:
    """Return advice that names the nearest models.

    A name of Ollama's library is only suggested its model: whoever writes it may mean the one on this machine, and a
    request would go to a host.
    """
    if tagged := models_of_tag(lower_name, dict.fromkeys(endpoint.model.id for endpoint in catalog.endpoints)):
        return hint("did you mean {}? See {}", " or ".join(tagged[:3]), EVERY_MODEL)
    model = lower_name.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    names: dict[str, tuple[str, str]] = {}  # a name to match -> its spelling, and its model
    for endpoint in catalog.endpoints:
        names.setdefault(endpoint.id.lower(), (endpoint.id, endpoint.model.id))
        names.setdefault(endpoint.model.id.lower(), (endpoint.model.id, endpoint.model.id))
        names.setdefault(endpoint.model.id.lower().rsplit("/", 1)[-1], (endpoint.model.id, endpoint.model.id))
    pairs = {name: _pairs(name) for name in names}
    close: list[str] = []
    for word in dict.fromkeys((lower_name, model)):
        own = _pairs(word)
        close += _close({name: len(own & pairs_of_name) for name, pairs_of_name in pairs.items()}, word, 3, 0.5)
    by_model: dict[str, str] = {}
    for match in close:
        spelling, model_id = names[match]
        by_model.setdefault(model_id, spelling)
    found = list(by_model.values())[:3]
    if found:
        return hint("did you mean {}? See {}", " or ".join(found), EVERY_MODEL)
    return hint("see {}", MODELS)
