"""The catalog of one moment: shipped rows and the user's, joined, with what is ready and what is missing.

A key in the environment makes an endpoint *ready*; only the config (or a request) makes it *allowed*.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from intermodal.catalog.families import with_rules
from intermodal.catalog.nouns import FREE, Catalog, Endpoint, Evidence, Host, Model, Price, Strength
from intermodal.catalog.rows import UNTIMED, HostRow, ModelRow, ServedRow, decode, memory_of
from intermodal.content import Value
from intermodal.errors import ConfigError

DATA = Path(__file__).parent / "data"
# Protocols that run inside the process tree need something installed; the others need an address.
_INSTALLABLE = ("llama", "whisper", "ocr", "e5", "piper")


class PriceRow(Value, forbid_unknown_fields=True):
    """One line of ``data/prices.toml``. ``up_to``: tokens of input above which the price is another one."""

    input_mtok: float | None = None
    output_mtok: float | None = None
    input_image_mtok: float | None = None
    input_audio_mtok: float | None = None
    output_audio_mtok: float | None = None
    input_mchar: float | None = None
    second: float | None = None
    page: float | None = None
    effective_from: str = ""
    up_to: int | None = None


class Shipped(Value):
    """Everything under ``data/``. ``prices`` by provider and the host's own name of the model."""

    hosts: tuple[HostRow, ...]
    models: dict[str, Model]
    prices: dict[str, dict[str, PriceRow]]
    source: str
    checked: str


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """A TOML file. Raises ConfigError that names the line that is not TOML."""
    try:
        return parse_toml(path.read_text("utf-8"), where)
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", where=where, todo="save it as UTF-8") from None


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """TOML. Raises ConfigError that names the line that is not."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML: {error}", where=where, todo="correct that line") from None


@cache
def shipped(root: Path = DATA) -> Shipped:
    """The rows that come with intermodal."""
    models: dict[str, Model] = {}
    for path in sorted((root / "models").glob("*.toml")):
        where = f"catalog/models/{path.name}"
        for table in read_toml(path, where).get("models", ()):
            row = decode(table, ModelRow, where=where, place="models")
            if row.id in models:
                raise ConfigError(f"{row.id} has two rows", where=where, todo="keep one")
            models[row.id] = row.model()
    hosts = tuple(
        decode(read_toml(path, f"catalog/hosts/{path.name}"), HostRow, where=f"catalog/hosts/{path.name}", place="")
        for path in sorted((root / "hosts").glob("*.toml"))
    )
    table = read_toml(root / "prices.toml", "catalog/prices.toml")
    prices = {
        provider: {
            name: decode(row, PriceRow, where="catalog/prices.toml", place=f"prices.{provider}.{name}")
            for name, row in rows.items()
        }
        for provider, rows in table["prices"].items()
    }
    return Shipped(hosts=hosts, models=models, prices=prices, source=table["source"], checked=table["checked"])


def load_catalog(
    *,
    user: tuple[HostRow, ...] = (),
    consent: tuple[str, ...] = (),
    installed: Mapping[str, str],
    weights: frozenset[str],
    env: Mapping[str, str] | None = None,
    measured: Mapping[str, tuple[Strength, ...]] | None = None,
) -> Catalog:
    """Every endpoint known now.

    Args:
        user: host rows of the config. One with a base_url is consent to that host: the user wrote it.
        consent: names of shipped hosts the user consented to.
        installed: per protocol "" when usable, else what is missing.
        weights: names in the weights store that are complete.
        env: environment, in which keys are looked for by name.
        measured: per endpoint, strength measured on the user's own labelled files: it outranks what rows say.
    """
    base = shipped()
    own = {row.id: row for row in user}
    rows = [row.overlaid(own[row.id]) if row.id in own else row for row in base.hosts]
    known = {row.id for row in base.hosts}
    rows += [row for row in user if row.id not in known]
    endpoints: dict[str, Endpoint] = {}
    allowed = {*consent, *(row.id for row in user if row.base_url)}
    for row in rows:
        host = row.host()
        missing = _missing_of_host(row, installed, env or {}, allowed=row.id in allowed)
        for served in row.models:
            endpoint = _as_measured(_endpoint(base, row, host, served), measured or {})
            gap = missing or _missing_weights(served, weights)
            if gap:
                endpoint = msgspec.structs.replace(endpoint, ready=False, missing=gap[0], todo=gap[1])
            endpoints.setdefault(endpoint.id, with_rules(endpoint))
    return Catalog(endpoints=tuple(endpoints.values()), consent=tuple(sorted(allowed)), version=base.checked)


def _endpoint(base: Shipped, row: HostRow, host: Host, served: ServedRow) -> Endpoint:
    known = base.models.get(served.id)
    model = served.described(known)
    if served.quirks:
        host = msgspec.structs.replace(host, quirks=(*host.quirks, *served.quirks))
    context = served.context or model.context
    price = served.price(host.zone)
    listed = base.prices.get(row.prices, {}).get(served.called) if row.prices else None
    if listed is not None and served.input_mtok is None and served.second is None:
        price = _listed_price(listed, base)
        # Above that size a token costs more than the row says; the endpoint is not offered there.
        context = min(context, listed.up_to) if context and listed.up_to else context
    speed = UNTIMED[host.zone]
    for timed in (row.speed, served.speed):
        speed = timed.speed(speed) if timed is not None else speed
    return Endpoint(
        id=f"{row.id}:{served.id}",
        model=model,
        host=host,
        served_as=served.called,
        input=served.input or model.input,
        context=context,
        price=FREE if host.zone == "process" else price,
        speed=speed,
        memory=memory_of(served),
        weights=served.weights,
        evidence=Evidence(level="declared", source=served.source or row.source, checked=served.checked or row.checked),
    )


def _as_measured(endpoint: Endpoint, measured: Mapping[str, tuple[Strength, ...]]) -> Endpoint:
    """The endpoint with what was measured of it in place of what its rows say, task by task."""
    found = {strength.task: strength for strength in measured.get(endpoint.id, ())}
    if not found:
        return endpoint
    said = tuple(found.pop(strength.task, strength) for strength in endpoint.model.strength)
    model = msgspec.structs.replace(endpoint.model, strength=(*said, *found.values()))
    return msgspec.structs.replace(endpoint, model=model)


def _listed_price(listed: PriceRow, base: Shipped) -> Price:
    return Price(
        input_mtok=listed.input_mtok,
        output_mtok=listed.output_mtok,
        input_image_mtok=listed.input_image_mtok,
        input_audio_mtok=listed.input_audio_mtok,
        output_audio_mtok=listed.output_audio_mtok,
        input_mchar=listed.input_mchar,
        second=listed.second,
        page=listed.page,
        effective_from=listed.effective_from,
        evidence=Evidence(level="declared", source=base.source, checked=base.checked),
    )


def _missing_of_host(
    row: HostRow, installed: Mapping[str, str], env: Mapping[str, str], *, allowed: bool
) -> tuple[str, str] | None:
    """What keeps the whole host from being called, and what to do.

    No key is looked for before there is consent, so that a key in the environment changes nothing.
    """
    if row.protocol in _INSTALLABLE:
        todo = installed.get(row.protocol, "pip install 'intermodal[embedded]'")
        return (f"its {row.protocol} runtime is not installed", todo) if todo else None
    if not row.base_url:
        return f"no base_url for host {row.id}", f"intermodal hosts add {row.id} --base-url URL"
    if allowed and row.key == "env" and row.key_env and not env.get(row.key_env, "").strip():
        return f"no key in {row.key_env}", f"intermodal hosts add {row.id}"
    return None


def _missing_weights(served: ServedRow, present: frozenset[str]) -> tuple[str, str] | None:
    if not served.weights or served.weights in present:
        return None
    return "its weights are not here", f"intermodal pull {served.weights}"


def known_hosts() -> tuple[HostRow, ...]:
    """Shipped hosts that are reached over a network: those a user may consent to."""
    return tuple(row for row in shipped().hosts if row.base_url)
