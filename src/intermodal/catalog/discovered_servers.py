"""Servers that were found on this machine, what each says of its models, and the rows that follow from it. Values only.

What a server says of itself outranks what is published of a model, and is outranked by what a probe or a call showed.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from intermodal.catalog.host_rows import HostRow, ServedRow, zone_of
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.snapshot.interpretation import supported_kinds
from intermodal.catalog.types import Endpoint, Evidence, Task
from intermodal.content import KINDS, Kind, Value
from intermodal.request import Zone

Makes = Literal["text", "embedding", "transcript", "image", "other", ""]
# The task of what a model makes, where that alone says it. "other" is nothing that intermodal asks a server here for.
_TASK: Mapping[Makes, tuple[Task, ...]] = {
    "embedding": ("feature-extraction",), "transcript": ("automatic-speech-recognition",),
    "image": ("text-to-image", "image-to-image"),
}  # fmt: skip
_INPUT: Mapping[Makes, tuple[Kind, ...]] = {"transcript": ("audio",), "image": ("text", "image")}


class ServerClaim(Value):
    """One thing a server says of a model: ``about`` a kind it takes, tools, or the context; ``source`` is the path."""

    about: str
    says: str
    source: str


class DiscoveredModel(Value):
    """A model as its server tells of it.

    Attributes:
        name: the server's own. makes: "" where it does not say; "other": nothing that intermodal asks for here.
        input: kinds it takes, () where it does not say. tools: None where it does not say.
        context: tokens it has as it runs now, None where it does not say. trained: those it was made for.
        loaded: whether it is in memory; None where it does not say.
        elsewhere: where it really computes when the server passes it on, "" here.
        digest: of its weights, "" where the server does not tell.
        claims: who says what of it, in the order in which they were asked. contradictions: sentences.
    """

    name: str
    makes: Makes = ""
    input: tuple[Kind, ...] = ()
    tools: bool | None = None
    context: int | None = None
    trained: int | None = None
    loaded: bool | None = None
    elsewhere: str = ""
    digest: str = ""
    parameters: float | None = None
    claims: tuple[ServerClaim, ...] = ()
    contradictions: tuple[str, ...] = ()


class DiscoveredServer(Value):
    """A server that answered at an address.

    Attributes:
        kind: id of the shipped row that it is one of, "" for none that is known.
        address: its root ("http://127.0.0.1:11434"). date: when it was looked at, UTC to the minute.
        whole: everything was asked before time was up. said: what it answered where it is of no known kind; with a
            kind, it is what was found at ``date``, and this is why it is not known whether it still is.
    """

    address: str
    kind: str = ""
    version: str = ""
    date: str = ""
    models: tuple[DiscoveredModel, ...] = ()
    whole: bool = True
    said: str = ""

    def build(self, model: DiscoveredModel) -> str:
        """What has to change before anything learned of the model is worth another try: the server's version, the
        model's file, or what the server says that it takes."""
        weights = model.digest or (f"{model.parameters:.0f}" if model.parameters else "")
        return "|".join((self.version, weights, "+".join(model.input))) if self.version or weights else ""


def server_root(base_url: str) -> str:
    """An address without its path; this machine is called 127.0.0.1 whatever its name was."""
    parts = urlsplit(base_url if "://" in base_url else f"http://{base_url}")
    name = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if zone_of(f"http://[{name}]" if ":" in name else f"http://{name}") == "machine" and ":" not in name:
        name = "127.0.0.1"
    return f"{parts.scheme}://[{name}]:{port}" if ":" in name else f"{parts.scheme}://{name}:{port}"


# ---- rows of what was found -------------------------------------------------------------------------


class DiscoveredHost(NamedTuple):
    """A row made of what a server says, and of which model each of its names is."""

    row: HostRow
    server: DiscoveredServer
    models: Mapping[str, DiscoveredModel]


def discovered_hosts(servers: Sequence[DiscoveredServer], own: Mapping[str, HostRow]) -> Iterator[DiscoveredHost]:
    """Hosts with what they serve, for every found server of a known kind that is no host of the user's already.

    ``own``: rows of the user's. One at the same address under another name is left to say for itself what it serves
    and how far away it computes; what its server tells of those models is in :func:`beside`.
    """
    kinds = {row.id: row for row in shipped_rows().hosts if row.discovery is not None}
    taken = {server_root(row.base_url): row.id for row in own.values() if row.base_url}
    for server in servers:
        row = kinds.get(server.kind)
        if row is None or row.discovery is None:
            continue
        base = row.overlaid(own[row.id]) if row.id in own else row
        name = base.id if server_root(base.base_url) == server.address else f"{base.id}-{_place(server.address)}"
        if taken.get(server.address, name) != name:
            continue
        at = server.address + urlsplit(row.base_url).path
        zone = _zone(base, server.address, name)
        here = msgspec.structs.replace(base, id=name, base_url=at, zone=zone, models=(), discovery=None)
        for elsewhere in (False, True):
            some = {m.name: m for m in server.models if bool(m.elsewhere) == elsewhere and m.makes != "other"}
            if not some:
                continue
            host = here
            if elsewhere:  # whoever computes there is to be consented to by name, whatever is allowed here
                forwards = row.discovery.forwards or f"{name}-elsewhere"
                host = msgspec.structs.replace(here, id=forwards, zone="internet", name=f"{row.name}, passed on")
            served = _with_own_ids(tuple(_served(row, model) for model in some.values()), row.id)
            yield DiscoveredHost(msgspec.structs.replace(host, models=served), server, some)


def _zone(row: HostRow, address: str, name: str) -> Zone:
    """As the user stated it for this host; else as far as the address says."""
    return (row.zone if name == row.id else None) or zone_of(address)


def _place(address: str) -> str:
    """What tells a second server of a kind from the first: its port, and its machine where it is another one."""
    parts = urlsplit(address)
    here = zone_of(address) == "machine"
    return f"{parts.port}" if here else f"{(parts.hostname or '').replace(':', '.')}-{parts.port}"


def _with_own_ids(rows: tuple[ServedRow, ...], host: str) -> tuple[ServedRow, ...]:
    """Rows of which no two have one id: of files of one model, in several quantizations, each keeps its own name."""
    times = Counter(row.id for row in rows)
    return tuple(
        row
        if times[row.id] == 1 or _of_path(row.called) == row.called
        else msgspec.structs.replace(row, id=f"{host}/{re.sub('[^a-z0-9._-]+', '-', _of_path(row.called).lower())}")
        for row in rows
    )


def _served(row: HostRow, model: DiscoveredModel) -> ServedRow:
    plain = model_id_for(row.id, model.name)
    said = frozenset(supported_kinds(row.protocol, row.taken))
    kinds: tuple[Kind, ...] = tuple(kind for kind in model.input if kind in said)
    settable = row.discovery is not None and row.discovery.sets_context
    return ServedRow(
        id=plain,
        served_as="" if model.name == plain else model.name,
        tasks=_tasks(model, kinds),
        input=_INPUT.get(model.makes, kinds),
        tools=model.tools,
        context=model.trained if settable else model.context,
        parameters=model.parameters,
    )


def _tasks(model: DiscoveredModel, kinds: Sequence[Kind]) -> tuple[Task, ...]:
    if model.makes in _TASK:
        return _TASK[model.makes]
    if not kinds:
        return ()
    more: dict[Kind, Task] = {"image": "image-text-to-text", "audio": "audio-text-to-text"}
    return ("text-generation", *(more[kind] for kind in kinds if kind in more))


def model_id_for(host: str, called: str, model: str = "") -> str:
    """``vendor/model`` for a model by its host's own name: one the catalog knows by that name, else the host's own."""
    name = model or _of_path(called)
    plain = re.sub(r"[^a-z0-9./_-]+", "-", name.lower().removesuffix(":latest")).strip("-/")
    if "/" in plain:
        return plain
    for word in dict.fromkeys((plain, _QUANTIZED.sub("", plain) if name != called else plain)):
        known = [id for id in shipped_rows().models if id.rsplit("/", 1)[-1] == word]
        if len(known) == 1:
            return known[0]
    return f"{host}/{plain}"


# How the name of a file ends that says how its weights are written: -Q4_K_M, .IQ3_XS, -UD-Q2_K_XL, -f16.
_QUANTIZED = re.compile(r"[-._](ud-)?(i?q\d(_[a-z0-9]+)*|b?f16|f32|fp\d+|mxfp4|int\d)$")
_HUB = re.compile(r"(?:^|/)models--([^/]+?)--([^/]+)")  # a folder of Hugging Face's cache


def _of_path(called: str) -> str:
    """What a model is called whose server names it by the path of its file or folder; any other name as it is."""
    path = called.replace("\\", "/")
    if hub := _HUB.search(path):
        return f"{hub[1]}/{hub[2]}"
    is_file = path.lower().endswith(".gguf")
    if not (is_file or re.match(r"\.{0,2}/|~/|[A-Za-z]:/", path)):
        return called
    last = path.rstrip("/").rpartition("/")[2]
    return re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", last, flags=re.IGNORECASE)


# ---- endpoints --------------------------------------------------------------------------------------


def as_reported(endpoint: Endpoint, server: DiscoveredServer, model: DiscoveredModel) -> Endpoint:
    """An endpoint with its server's word for what it is: when it said so, and what must change to ask again."""
    name = server.kind or server.address
    source = f"{name} {server.version}".strip() + " says so itself"
    evidence = Evidence(level="reported", source=source, checked=server.date[:10])
    return msgspec.structs.replace(endpoint, evidence=evidence, build=server.build(model))


def with_server_report(endpoint: Endpoint, servers: Sequence[DiscoveredServer]) -> Endpoint:
    """An endpoint of the user's own row with what its server says of it: what it lacks there, and how much it holds.

    A server's word takes away and never adds: what the user did not state is not used.
    """
    for server in servers:
        if not endpoint.host.base_url or server_root(endpoint.host.base_url) != server.address:
            continue
        for model in server.models:
            if model.name != (endpoint.served_as or endpoint.model.id):
                continue
            kinds = tuple(kind for kind in endpoint.input if not model.input or kind in model.input)
            context = min(filter(None, (endpoint.context, model.context)), default=None)
            found = msgspec.structs.replace(endpoint, input=kinds or endpoint.input, context=context)
            made = as_reported(found, server, model)
            if model.tools is not False:
                return made
            tools = msgspec.structs.replace(endpoint.tools, takes=False, evidence=made.evidence)
            return msgspec.structs.replace(made, tools=tools)
    return endpoint


# ---- folding what replies say ------------------------------------------------------------------------


class ModelReport(Value):
    """What one reply says of one model; None, () and "" where it does not. ``model`` "" is the one that is loaded."""

    source: str
    model: str = ""
    takes: Mapping[Kind, bool] = msgspec.field(default_factory=dict)
    tools: bool | None = None
    makes: Makes = ""
    context: int | None = None
    trained: int | None = None
    loaded: bool | None = None
    elsewhere: str = ""
    digest: str = ""
    parameters: float | None = None


def merge_reports(said: Sequence[ModelReport], forwarded: Sequence[str] = ()) -> tuple[DiscoveredModel, ...]:
    """Models out of what replies said, later ones knowing better. ``forwarded``: patterns of names passed on."""
    names = dict.fromkeys(each.model for each in said if each.model)
    return tuple(_folded(name, [s for s in said if s.model in ("", name)], forwarded) for name in names)


def _folded(name: str, said: Sequence[ModelReport], forwarded: Sequence[str]) -> DiscoveredModel:
    last: dict[str, object] = {}
    takes: dict[Kind, bool] = {}
    claims: list[ServerClaim] = []
    for each in said:
        for kind in KINDS:
            if kind in each.takes:
                takes[kind] = each.takes[kind]
                claims.append(
                    ServerClaim(about=kind, says="takes it" if each.takes[kind] else "no", source=each.source)
                )
        if each.tools is not None:
            claims.append(ServerClaim(about="tools", says="takes them" if each.tools else "no", source=each.source))
        if each.context is not None:
            claims.append(ServerClaim(about="context", says=f"{each.context:,} tokens", source=each.source))
        for field in ("tools", "makes", "context", "trained", "loaded", "elsewhere", "digest", "parameters"):
            value = getattr(each, field)
            if value not in (None, ""):
                last[field] = value
    if not last.get("elsewhere") and any(fnmatchcase(name.lower(), pattern) for pattern in forwarded):
        last["elsewhere"] = "a service elsewhere, by its name"
    chat = bool(takes) and last.get("makes", "text") in ("", "text")
    kinds: tuple[Kind, ...] = tuple(kind for kind in KINDS if takes.get(kind, kind == "text")) if chat else ()
    model = DiscoveredModel(name=name, input=kinds, claims=tuple(claims), contradictions=tuple(_contradictions(claims)))
    return msgspec.structs.replace(model, **last)


def _contradictions(claims: Sequence[ServerClaim]) -> Iterator[str]:
    for about in dict.fromkeys(claim.about for claim in claims):
        told = [claim for claim in claims if claim.about == about]
        if len({claim.says for claim in told}) > 1:
            words = ", but ".join(f"{claim.source} says {claim.says}" for claim in told)
            yield f"{about}: {words}; the last is believed"


def is_this_machine(address: str) -> bool:
    """Whether an address is this machine's own."""
    name = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return zone_of(address) == "machine"


__all__ = [
    "DiscoveredHost", "DiscoveredModel", "DiscoveredServer", "ModelReport", "ServerClaim", "as_reported",
    "discovered_hosts", "is_this_machine", "merge_reports", "model_id_for", "server_root", "with_server_report",
]  # fmt: skip
