"""Find models: snapshot rows by kind, modalities and price; endpoints and models by name.

Also explains terms that are mistaken for model names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import NamedTuple

from intermodal.catalog.host_rows import decode_row
from intermodal.catalog.model_kinds import kind_of
from intermodal.catalog.model_names import (
    EndpointNames,
    check_unambiguous,
    find_by_name,
    match_name,
    models_of_tag,
    names_of,
    plain_name,
    reading_of_tag,
    size_of_name,
    split_name,
)
from intermodal.catalog.shipped_rows import DATA, read_toml, shipped_rows
from intermodal.catalog.snapshot.file import Snapshot, SnapshotRow
from intermodal.catalog.token_rule_rows import host_in_name
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.core.content import Value
from intermodal.core.hints import MODELS, choose_from, command, hint
from intermodal.errors import UnknownModel


class ModelFilter(NamedTuple):
    """Conditions on a row. Empty values and None match everything.

    Attributes:
        kind: a name of ``model_kinds.MODEL_KINDS``. takes, makes: modalities, all of which are required.
        max_price: maximum USD per million input tokens; rows without such a price are excluded.
    """

    kind: str = ""
    takes: frozenset[str] = frozenset()
    makes: frozenset[str] = frozenset()
    task: str = ""
    hosts: frozenset[str] = frozenset()
    max_price: float | None = None


def row_kind(row: SnapshotRow) -> str:
    """Return the kind of a row's model."""
    return _kind(row.tasks, row.input, row.output)


@lru_cache(4096)
def _kind(tasks: tuple[str, ...], input: tuple[str, ...], output: tuple[str, ...]) -> str:
    return kind_of(tasks, input, output) if tasks or output else "not known"


def filter_rows(rows: Iterable[SnapshotRow], model_filter: ModelFilter) -> list[SnapshotRow]:
    """Return the rows that match, in their order."""
    found = list(rows)
    for holds in _tests(model_filter):
        found = [row for row in found if holds(row)]
    return found


def _tests(model_filter: ModelFilter) -> list[Callable[[SnapshotRow], bool]]:
    tests: list[Callable[[SnapshotRow], bool]] = []
    hosts, takes, makes, task, most, name = (
        model_filter.hosts, model_filter.takes, model_filter.makes, model_filter.task, model_filter.max_price,
        model_filter.kind,
    )  # fmt: skip
    if hosts:
        tests.append(lambda row: row.host in hosts)
    if most is not None:
        tests.append(lambda row: row.price_in is not None and row.price_in <= most)
    if task:
        tests.append(lambda row: task in row.tasks)
    if takes:
        tests.append(lambda row: takes.issubset(row.input))
    if makes:
        tests.append(lambda row: makes.issubset(row.output))
    if name:
        tests.append(lambda row: row_kind(row) == name)
    return tests


def total_price(row: SnapshotRow) -> float:
    """Return USD for a million input tokens and a million output tokens; infinite if unknown."""
    return math.inf if row.price_in is None else row.price_in + (row.price_out or 0.0)


# ---- by a name with a host in it -----------------------------------------------------------------

_NEAR = 3
_LISTED_NAMES = 3
_MOST = 6
_SHORTEST = 3  # minimum letters of a prefix that stands for a name
_BY_FAR = 2  # times as many hosts


def find_at_host(catalog: Catalog, models: Snapshot, name: str) -> Endpoint | SnapshotRow | None:
    """Return the endpoint for ``host:vendor/model``, from the catalog or the snapshot; None if the name has no host.

    Never returns another host's endpoint.

    Raises:
        UnknownModel: there is no such host, it has no such model, or the name is ambiguous.
    """
    places = {endpoint.host.id.lower() for endpoint in catalog.endpoints} | models.places.keys()
    host, word = split_name(name, places)
    if not host:
        _check_host(catalog, models, name, places)
        return None
    if host not in places:
        raise UnknownModel(f"there is no host named {host}", todo=_near_hosts(host, places))
    at_host = _of_host(catalog, models, host)
    found = [each for each in at_host if _lookup_names(each).id == f"{host}:{word}"] or match_name(
        at_host, word, _lookup_names
    )
    check_unambiguous(name, sorted({_lookup_names(each).model for each in found}))
    if not found:
        raise UnknownModel(f"{host} has no model named {word}", todo=_near_models(at_host, models, host, word))
    return min(found, key=lambda each: _lookup_names(each).id != f"{host}:{_lookup_names(each).model}")


class FoundModel(NamedTuple):
    """The model that a name refers to. ``tag``: the name, if it was read as Ollama's name for the model, else ""."""

    id: str
    tag: str = ""

    @property
    def reading(self) -> str:
        """A sentence on how the name was read, "" for an ordinary name."""
        return reading_of_tag(self.tag, self.id) if self.tag else ""


def find_model_by_name(catalog: Catalog, models: Snapshot, name: str) -> FoundModel:
    """Return the model for a name, from the catalog, its own rows or the snapshot.

    If several models share the last word: the one the catalog describes, else the one that by far the most hosts serve.
    What is no such name is read as a name of Ollama's library ("llama3.1:8b").

    Raises:
        UnknownModel: no source lists the model, or the name is ambiguous; the message has the candidates, or the
            nearest names.
    """
    exact_match = find_at_host(catalog, models, name)
    if exact_match is not None:
        return FoundModel(exact_match.id if isinstance(exact_match, SnapshotRow) else exact_match.model.id)
    word, own = name.strip().lower(), shipped_rows().models
    ids = list(dict.fromkeys((*(each.model.id for each in catalog.endpoints), *own, *models.by_model)))
    exact = [id for id in ids if id.lower() == word]
    if exact:
        return FoundModel(exact[0])
    last = [id for id in ids if id.lower().rpartition("/")[2] == word]
    matching_ids = {row.id for row in models.rows if row.name.lower().rpartition("/")[2] == word}  # also of a path
    matching_ids |= {each.model.id for each in catalog.endpoints if each.served_as.lower() == word}
    if found := last or sorted(matching_ids) or _spelt_alike(word, ids):
        return FoundModel(_most_likely_model(name, found, models))
    if tagged := [id for id in models_of_tag(word, ids) if _has_open_weights(id, models)]:
        if len({size_of_name(id) for id in tagged}) > 1:  # a name without a size, of several
            _check_listed(name, tagged)
        return FoundModel(_most_likely_model(name, tagged, models), tag=name.strip())
    begins = [id for id in ids if len(word) >= _SHORTEST and id.lower().rpartition("/")[2].startswith(word)]
    untagged = [id for id in begins if ":" not in id] or begins  # not its free or batch variant
    if untagged:
        _check_listed(name, untagged)
        return FoundModel(untagged[0])
    words = {id.lower().rpartition("/")[2]: id for id in reversed(ids)}
    near = [words[match] for match in get_close_matches(word.rpartition("/")[2], words, _NEAR, 0.6)]
    todo = f"did you mean {' or '.join(near)}?" if near else hint("see {}", MODELS)
    raise UnknownModel(f"there is no model named {name}", todo=todo)


def _spelt_alike(word: str, ids: Iterable[str]) -> list[str]:
    """Return the models whose id, or its last word, differs from a word in separators alone."""
    plain = plain_name(word)
    return [id for id in ids if plain in (plain_name(id.lower()), plain_name(id.lower().rpartition("/")[2]))]


def _has_open_weights(id: str, models: Snapshot) -> bool:
    """Return whether a source states that anybody can run the model. Ollama's library has no others."""
    own = shipped_rows().models.get(id)
    is_published = own is not None and (own.parameters is not None or bool(own.licence))
    return is_published or any("open" in row.can for row in models.by_model.get(id, ()))


def _most_likely_model(name: str, found: list[str], models: Snapshot) -> str:
    """Return the most likely of several models that share a name. Raises UnknownModel if none stands out."""
    described = [id for id in found if id in shipped_rows().models]
    if len(found) == 1 or len(described) == 1:
        return (described or found)[0]
    hosts = {id: len({row.host for row in models.by_model.get(id, ())}) for id in found}
    first, second, *_ = sorted(found, key=lambda id: -hosts[id])
    if hosts[first] < _BY_FAR * hosts[second]:
        _check_listed(name, found)
    return first


def _check_listed(name: str, found: list[str]) -> None:
    """Raise UnknownModel if a name matches several models."""
    if len(found) > 1:
        names_text = ", ".join(found[:_MOST]) + (", …" if len(found) > _MOST else "")
        error = UnknownModel(f"{name} could be any of {len(found)} models", todo=choose_from(names_text))
        error.several = True
        raise error


def _check_host(catalog: Catalog, models: Snapshot, name: str, places: Iterable[str]) -> None:
    """Raise UnknownModel if a name without a vendor has an unknown host and is not the full name of a model."""
    host, lower_name = host_in_name(name), name.strip().lower()
    if not host or find_by_name(catalog, name) or any(row.id == host for row in shipped_rows().hosts):
        return
    if models_of_tag(lower_name, models.by_model):
        return
    if not any(lower_name in (each.name.lower(), each.id.lower().rpartition("/")[2]) for each in models.rows):
        raise UnknownModel(
            f"there is no host named {host}, and no model named {lower_name}", todo=_near_hosts(host, places)
        )


def _of_host(catalog: Catalog, models: Snapshot, host: str) -> list[Endpoint | SnapshotRow]:
    endpoints = [each for each in catalog.endpoints if each.host.id.lower() == host]
    endpoint_names = {each.id for each in endpoints} | {each.served_as for each in endpoints}
    rows = models.of_host(host) if host in models.places else []
    return [*endpoints, *(row for row in rows if row.endpoint not in endpoint_names and row.name not in endpoint_names)]


def _lookup_names(each: Endpoint | SnapshotRow) -> EndpointNames:
    return each.names() if isinstance(each, SnapshotRow) else names_of(each)


def _near_hosts(host: str, places: Iterable[str]) -> str:
    near = get_close_matches(host, sorted(places), _NEAR, 0.6)
    return f"did you mean {' or '.join(near)}? Every host: intermodal hosts" if near else "see: intermodal hosts"


def _near_models(at_host: Iterable[Endpoint | SnapshotRow], models: Snapshot, host: str, word: str) -> str:
    names = {_lookup_names(each).last_word: _lookup_names(each).id for each in at_host}
    near = [names[each] for each in get_close_matches(word.rpartition("/")[2], names, _NEAR, 0.7)]
    if near:
        return command(f"did you mean {' or '.join(near)}? All of them: intermodal models --host {host}")
    others = sorted({row.host for row in models.by_model.get(word, ())})
    if others:
        more = f" and {len(others) - _LISTED_NAMES} more" if len(others) > _LISTED_NAMES else ""
        return f"it is at {', '.join(others[:_LISTED_NAMES])}{more}: intermodal models show {word}"
    return command(f"its models: intermodal models --host {host}")


class EcosystemTerm(Value, forbid_unknown_fields=True):
    """A runtime, format or application whose name is mistaken for a model's.

    ``what``: a sentence that explains it; ``here``: how to use it with intermodal, one line each; ``also``: other
    spellings.
    """

    name: str
    what: str
    here: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    source: str = ""
    checked: str = ""


@cache
def _terms_by_key() -> dict[str, EcosystemTerm]:
    where = "catalog/terms.toml"
    rows = [
        decode_row(table, EcosystemTerm, where=where, place="terms")
        for table in read_toml(DATA / "terms.toml", where)["terms"]
    ]
    return {_name_key(name): row for row in rows for name in (row.name, *row.also)}


def term_of(name: str) -> EcosystemTerm | None:
    """Return the term of this name, ignoring case, dots and dashes."""
    return _terms_by_key().get(_name_key(name))


def _name_key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
