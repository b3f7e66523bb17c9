"""Servers found on this machine, their reports about their models, and the host rows made from them. Values only.

A server's report takes precedence over published data about a model; a finding of a probe or a call takes precedence
over the report.
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
from intermodal.core.content import KINDS, Kind, Value
from intermodal.core.request import Zone

Makes = Literal["text", "embedding", "transcript", "image", "other", ""]
# The task of an output that implies one. "other" is an output that intermodal does not use.
_TASK: Mapping[Makes, tuple[Task, ...]] = {
    "embedding": ("feature-extraction",), "transcript": ("automatic-speech-recognition",),
    "image": ("text-to-image", "image-to-image"),
}  # fmt: skip
_INPUT: Mapping[Makes, tuple[Kind, ...]] = {"transcript": ("audio",), "image": ("text", "image")}


class ServerClaim(Value):
    """One statement of a server about a model.

    ``about``: an input modality, tools or the context; ``source``: the path of the request.
    """

    about: str
    says: str
    source: str


class DiscoveredModel(Value):
    """A model as reported by its server.

    Attributes:
        name: the server's own name for it. makes: "" if not stated; "other": no output that intermodal uses.
        input: modalities it accepts, () if not stated. tools: None if not stated.
        context: context length in tokens as currently configured, None if not stated. trained: the one it was trained
            for.
        loaded: whether it is in memory; None if not stated.
        elsewhere: where it computes if the server forwards requests, "" if it runs here.
        digest: of its weights, "" if the server does not report one.
        claims: facts with their source, in the order of the requests. contradictions: sentences.
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
        kind: id of the matching shipped row, "" for none.
        address: its root ("http://127.0.0.1:11434"). date: when it was queried, UTC to the minute.
        complete: all requests completed within the time limit. message: its reply if it is of an unknown kind; if
            ``kind`` is set, the server was found at ``date``, and this is why it is unknown whether it still runs.
    """

    address: str
    kind: str = ""
    version: str = ""
    date: str = ""
    models: tuple[DiscoveredModel, ...] = ()
    complete: bool = msgspec.field(default=True, name="whole")
    message: str = msgspec.field(default="", name="said")

    def build(self, model: DiscoveredModel) -> str:
        """Return a key of the server's version, the model's file and its inputs.

        Lessons about the model apply as long as it is unchanged.
        """
        weights = model.digest or (f"{model.parameters:.0f}" if model.parameters else "")
        return "|".join((self.version, weights, "+".join(model.input))) if self.version or weights else ""


def server_root(base_url: str) -> str:
    """Return an address without its path; every name of this machine becomes 127.0.0.1."""
    parts = urlsplit(base_url if "://" in base_url else f"http://{base_url}")
    name = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if zone_of(f"http://[{name}]" if ":" in name else f"http://{name}") == "machine" and ":" not in name:
        name = "127.0.0.1"
    return f"{parts.scheme}://[{name}]:{port}" if ":" in name else f"{parts.scheme}://{name}:{port}"


# ---- rows of discovered servers ---------------------------------------------------------------------


class DiscoveredHost(NamedTuple):
    """A row made from a server's report, and the reported model for each of its names."""

    row: HostRow
    server: DiscoveredServer
    models: Mapping[str, DiscoveredModel]


def discovered_hosts(servers: Sequence[DiscoveredServer], own: Mapping[str, HostRow]) -> Iterator[DiscoveredHost]:
    """Yield a host for every discovered server of a known kind that is not one of the user's hosts.

    ``own``: rows of the user. A user's row with another name at the same address describes its own models and zone; the
    server's report about those models is applied by :func:`with_server_report`.
    """
    kinds = {row.id: row for row in shipped_rows().hosts if row.discovery is not None}
    host_by_address = {server_root(row.base_url): row.id for row in own.values() if row.base_url}
    for server in servers:
        row = kinds.get(server.kind)
        if row is None or row.discovery is None:
            continue
        base = row.overlaid(own[row.id]) if row.id in own else row
        name = base.id if server_root(base.base_url) == server.address else f"{base.id}-{_id_suffix(server.address)}"
        if host_by_address.get(server.address, name) != name:
            continue
        base_url = server.address + urlsplit(row.base_url).path
        zone = _zone(base, server.address, name)
        own_host = msgspec.structs.replace(base, id=name, base_url=base_url, zone=zone, models=(), discovery=None)
        for elsewhere in (False, True):
            model_by_name = {m.name: m for m in server.models if bool(m.elsewhere) == elsewhere and m.makes != "other"}
            if not model_by_name:
                continue
            host = own_host
            if elsewhere:  # the service that computes needs consent by name, whatever is allowed here
                forwards = row.discovery.forwards or f"{name}-elsewhere"
                host = msgspec.structs.replace(own_host, id=forwards, zone="internet", name=f"{row.name}, passed on")
            served_rows = _with_own_ids(tuple(_served_row(row, model) for model in model_by_name.values()), row.id)
            yield DiscoveredHost(msgspec.structs.replace(host, models=served_rows), server, model_by_name)


def _zone(row: HostRow, address: str, name: str) -> Zone:
    """Return the zone the user stated for this host, else the zone of the address."""
    return (row.zone if name == row.id else None) or zone_of(address)


def _id_suffix(address: str) -> str:
    """Return the suffix that distinguishes a second server of a kind: its port, and its machine if it is remote."""
    parts = urlsplit(address)
    on_machine = zone_of(address) == "machine"
    return f"{parts.port}" if on_machine else f"{(parts.hostname or '').replace(':', '.')}-{parts.port}"


def _with_own_ids(rows: tuple[ServedRow, ...], host: str) -> tuple[ServedRow, ...]:
    """Return the rows with distinct ids: files of one model in several quantizations keep their own names."""
    times = Counter(row.id for row in rows)
    return tuple(
        row
        if times[row.id] == 1 or _of_path(row.served_name) == row.served_name
        else msgspec.structs.replace(
            row, id=f"{host}/{re.sub('[^a-z0-9._-]+', '-', _of_path(row.served_name).lower())}"
        )
        for row in rows
    )


def _served_row(row: HostRow, model: DiscoveredModel) -> ServedRow:
    plain = model_id_for(row.id, model.name)
    protocol_kinds = frozenset(supported_kinds(row.protocol, row.input_kinds))
    kinds: tuple[Kind, ...] = tuple(kind for kind in model.input if kind in protocol_kinds)
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
    """Return ``vendor/model`` for a host's own name of a model.

    This is the catalog's id if the name is known, else an id derived from the name.
    """
    name = model or _of_path(called)
    plain = re.sub(r"[^a-z0-9./_-]+", "-", name.lower().removesuffix(":latest")).strip("-/")
    if "/" in plain:
        return plain
    for word in dict.fromkeys((plain, _QUANTIZATION_SUFFIX.sub("", plain) if name != called else plain)):
        matches = [id for id in shipped_rows().models if id.rsplit("/", 1)[-1] == word]
        if len(matches) == 1:
            return matches[0]
    return f"{host}/{plain}"


# The quantization at the end of a file name: -Q4_K_M, .IQ3_XS, -UD-Q2_K_XL, -f16.
_QUANTIZATION_SUFFIX = re.compile(r"[-._](ud-)?(i?q\d(_[a-z0-9]+)*|b?f16|f32|fp\d+|mxfp4|int\d)$")
_HUB = re.compile(r"(?:^|/)models--([^/]+?)--([^/]+)")  # a folder of Hugging Face's cache


def _of_path(called: str) -> str:
    """Return the model name of a path to a file or a folder; any other name unchanged."""
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
    """Return an endpoint with its server's report as evidence, with its date and the build it holds for."""
    name = server.kind or server.address
    source = f"{name} {server.version}".strip() + " says so itself"
    evidence = Evidence(level="reported", source=source, checked=server.date[:10])
    return msgspec.structs.replace(endpoint, evidence=evidence, build=server.build(model))


def with_server_report(endpoint: Endpoint, servers: Sequence[DiscoveredServer]) -> Endpoint:
    """Apply a server's report to an endpoint of the user's row: it may remove inputs and lower the context.

    A report never adds capabilities that the user did not state.
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
            reported = as_reported(found, server, model)
            if model.tools is not False:
                return reported
            tools = msgspec.structs.replace(endpoint.tools, takes=False, evidence=reported.evidence)
            return msgspec.structs.replace(reported, tools=tools)
    return endpoint


# ---- merging replies ---------------------------------------------------------------------------------


class ModelReport(Value):
    """A reply's facts about one model; None, () and "" for those not stated. ``model`` "" is the loaded model."""

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


def merge_reports(reports: Sequence[ModelReport], forwarded: Sequence[str] = ()) -> tuple[DiscoveredModel, ...]:
    """Merge the reports of several replies into models; later replies take precedence.

    ``forwarded``: name patterns of forwarded models.
    """
    names = dict.fromkeys(each.model for each in reports if each.model)
    return tuple(_merge_reports(name, [s for s in reports if s.model in ("", name)], forwarded) for name in names)


def _merge_reports(name: str, reports: Sequence[ModelReport], forwarded: Sequence[str]) -> DiscoveredModel:
    last: dict[str, object] = {}
    takes: dict[Kind, bool] = {}
    claims: list[ServerClaim] = []
    for each in reports:
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
        same_subject = [claim for claim in claims if claim.about == about]
        if len({claim.says for claim in same_subject}) > 1:
            words = ", but ".join(f"{claim.source} says {claim.says}" for claim in same_subject)
            yield f"{about}: {words}; the last is believed"


def is_this_machine(address: str) -> bool:
    """Return whether an address is on this machine."""
    name = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return zone_of(address) == "machine"


__all__ = [
    "DiscoveredHost", "DiscoveredModel", "DiscoveredServer", "ModelReport", "ServerClaim", "as_reported",
    "discovered_hosts", "is_this_machine", "merge_reports", "model_id_for", "server_root", "with_server_report",
]  # fmt: skip
