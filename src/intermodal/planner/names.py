"""The one grammar of names: ``vendor/model``, ``host:vendor/model``, and short names where they are unambiguous."""

from __future__ import annotations

from intermodal.catalog.nouns import Catalog, Endpoint
from intermodal.errors import UnknownModel

_MAX_LISTED = 5


def resolve(catalog: Catalog, name: str) -> tuple[Endpoint, ...]:
    """The endpoints a name stands for: one for ``host:vendor/model``, every host's for ``vendor/model``, and the one
    of a host that has no other.

    Raises:
        UnknownModel: no such name (near ones are listed), or a short name that several models share.
    """
    if there := known(catalog, name):
        return there
    raise UnknownModel(f"there is no model named {name}", todo=_near(catalog, name.strip().lower()))


def known(catalog: Catalog, name: str) -> tuple[Endpoint, ...]:
    """The same, and () where there is no such name."""
    wanted = name.strip().lower()
    exact = tuple(e for e in catalog.endpoints if e.id.lower() == wanted)
    if exact:
        return exact
    host, model = _split(wanted, catalog)
    there = [
        e for e in catalog.endpoints if not host or e.host.id.lower() == host or e.id.lower().startswith(f"{host}:")
    ]
    for match in (_is_model, _is_served_as, _is_last_word, _starts_last_word):
        found = tuple(e for e in there if match(e, model))
        if found:
            model = _one_model(name, found)[0].model.id  # every host's, whatever the others call it
            return tuple(e for e in there if e.model.id == model)
    served = tuple(e for e in catalog.endpoints if e.host.id.lower() == wanted)
    return _one_model(name, served) if served else ()  # a host with one model, as "up.NAME" is


def _split(wanted: str, catalog: Catalog) -> tuple[str, str]:
    """Host and model; a colon inside a model's own name ("llama3.2:3b") is not a host's."""
    host, colon, model = wanted.partition(":")
    if colon and any(e.host.id.lower() == host or e.id.lower().startswith(f"{host}:") for e in catalog.endpoints):
        return host, model
    return "", wanted


def _is_model(endpoint: Endpoint, name: str) -> bool:
    return endpoint.model.id.lower() == name


def _is_served_as(endpoint: Endpoint, name: str) -> bool:
    return bool(name) and endpoint.served_as.lower() == name


def _is_last_word(endpoint: Endpoint, name: str) -> bool:
    return endpoint.model.id.lower().rsplit("/", 1)[-1] == name


def _starts_last_word(endpoint: Endpoint, name: str) -> bool:
    return len(name) >= 3 and endpoint.model.id.lower().rsplit("/", 1)[-1].startswith(name)


def _one_model(name: str, found: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    models = sorted({endpoint.model.id for endpoint in found})
    if len(models) == 1:
        return found
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
