"""The tables of ``intermodal.toml`` as types: the file is read with them, and its JSON Schema is generated from them.

Rules that a type cannot express (unknown hosts, contradicting rows) are in ``config_file.py``. The descriptions of
attributes are written for users: ``schema.py`` publishes them to editors.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.types import MAX_TIMEOUT, TimeoutSettings
from intermodal.core.content import Value
from intermodal.core.request import (
    DEFAULT_MAX_COST,
    DEFAULT_TIME_VALUE,
    REGION,
    REGION_WORDS,
    Licence,
    Policy,
    Retention,
    Streaming,
)

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
AUTO = "auto"  # the model name with which clients leave the choice to us
POLICY = "policy:"  # prefix of a policy's name in place of a model
PROMPT = "prompt:"  # the same of a prompt file
MOST_WORKERS = 64
MOST_USD = 1e9  # a higher limit is none: no request costs that much
_Usd = Annotated[float, Meta(ge=0, le=MOST_USD)]
_Seconds = Annotated[float, Meta(ge=0, le=MAX_TIMEOUT)]
_Rate = Annotated[int, Meta(ge=1, le=10**12)]
# A page as browsers send it in ``Origin``: scheme, host and port, nothing after them.
_ORIGIN = 'scheme, host and port of a page and nothing after them, as "https://chat.example.com"'
_NAME = 'a name or an address without scheme and port, as "gateway.example.com"'
_Origin = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s]+/?$", extra={"wanted": _ORIGIN})]
_Name = Annotated[
    str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)$", extra={"wanted": _NAME})
]
HOST = r"^(\[?[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]?|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)$"
LISTENS = 'an address of this machine or a name that stands for one, as "127.0.0.1"'
_KEEP = 'hours ("12h"), days ("90d"), weeks ("4w") or "forever"'
_Region = Annotated[str, Meta(pattern=REGION, extra={"wanted": REGION_WORDS})]
_LANGUAGE = 'the two or three letters of a language, as "en"'
_RELEASE = 'the private kind and the derived kind that may leave, as "audio:text"'


# Fields of a policy whose value at the top of the file applies to every request that does not set its own.
REQUEST_DEFAULTS = ("max_cost", "time_value", "pay_twice", "explore", "free_tiers", "licence", "regions", "retention")


class EndpointRate(Value, forbid_unknown_fields=True):
    """Requests and tokens a minute that an endpoint gets from all clients together; an unset one has no limit.

    Attributes:
        rpm: requests per minute.
        tpm: tokens per minute, input and output.
    """

    rpm: _Rate | None = None
    tpm: _Rate | None = None


class DiscoveryTable(Value, forbid_unknown_fields=True):
    """Discovery of servers on this machine.

    Attributes:
        enabled: discover servers at all.
        usual_ports: look at the default ports of such servers.
        addresses: further base addresses of servers ("http://127.0.0.1:9000"), on this machine or its network.
    """

    enabled: bool = True
    usual_ports: bool = True
    addresses: tuple[str, ...] = ()


class ServeTable(Value, forbid_unknown_fields=True):
    """The settings of ``intermodal serve``.

    Attributes:
        host: address to listen at. Any but this machine's own (127.0.0.1) needs a key: ``intermodal keys create``.
        port: port to listen at; 0 takes a free one.
        workers: worker processes on this machine; they share keys, budgets, plans and the endpoints of
            conversations.
        names: names by which clients reach it, besides those of this machine's loopback.
        origins: web pages ("https://chat.example.com") whose scripts may call it; none by default.
        max_body: largest request, in MiB.
        max_text: largest part of a request that is no media, in MiB; 8 MiB hold two million tokens of English.
        max_media: largest number of images, audio, video and document files in one request.
        drain: seconds that running answers have to finish when the server is stopped.
        max_tokens: tokens of an answer whose request states no limit, without reasoning; fewer if context, money or
            time do not allow them.
        streaming: "live" sends text as it arrives, "buffered" when the answer is complete; a policy
            may override it.
        aliases: names that clients use, and their targets ("gpt-4o" = "policy:cheap").
        rates: requests and tokens per minute of endpoints, by id ("openai:openai/gpt-5-mini"), for all
            clients together.
        prompts: folder of prompt files that are served as ``prompt:NAME``; relative to the config's own folder, unless
            it is an absolute path. "" for none.
        metrics: access to ``/metrics`` once there are keys: keys made for it ("keys"), every client ("open"), or none
            ("off").
        log_format: lines for people ("text"), or for programs ("json").
        log_level: minimum level that is logged; "warning" leaves out successes.
    """

    host: Annotated[str, Meta(pattern=HOST, extra={"wanted": LISTENS})] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8787
    workers: Annotated[int, Meta(ge=1, le=MOST_WORKERS)] = 1
    names: tuple[_Name, ...] = ()
    origins: tuple[_Origin, ...] = ()
    max_body: Annotated[int, Meta(ge=1, le=1024)] = 64
    max_text: Annotated[int, Meta(ge=1, le=1024)] = 8
    max_media: Annotated[int, Meta(ge=0, le=100_000)] = 1000
    drain: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    streaming: Streaming = "live"
    aliases: dict[str, str] = msgspec.field(default_factory=dict)
    rates: dict[str, EndpointRate] = msgspec.field(default_factory=dict)
    prompts: str = ""
    metrics: Literal["keys", "open", "off"] = "keys"
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"


class TelemetryTable(Value, forbid_unknown_fields=True):
    """Spans and metrics for an OpenTelemetry collector.

    Attributes:
        enabled: export to a collector. By default, ``intermodal serve`` does if ``endpoint`` or OpenTelemetry's
            variables give its address; programs and the command line if ``endpoint`` does.
        endpoint: root of the collector's address for HTTP ("http://127.0.0.1:4318").
        service: name of this service in the collector.
        content: export prompts and answers too; never media.
    """

    enabled: bool | None = None
    endpoint: str = ""
    service: Annotated[str, Meta(min_length=1)] = "intermodal"
    content: bool = False


class StoreTable(Value, forbid_unknown_fields=True):
    """How long single attempts are kept. Older ones become totals per day and endpoint, so that no total changes.

    Attributes:
        keep: hours ("12h"), days ("90d") or weeks ("4w") after an attempt ended; "forever" keeps all.
        rows: maximum number of attempts that are kept, newest first; 0 for no limit.
    """

    keep: Annotated[str, Meta(pattern=r"^([1-9][0-9]{0,3}[hdw]|forever)$", extra={"wanted": _KEEP})] = "90d"
    rows: Annotated[int, Meta(ge=0, le=10**12)] = 1_000_000

    @property
    def seconds(self) -> float | None:
        """Return ``keep`` in seconds, None for no limit."""
        if self.keep == "forever":
            return None
        return float(self.keep[:-1]) * {"h": 3600, "d": 86400, "w": 7 * 86400}[self.keep[-1]]


class PolicyTable(Policy, forbid_unknown_fields=True):
    """A named policy, which clients of the gateway request as ``policy:NAME``. ``auto`` applies to the model ``auto``.

    Money, time, ``pay_twice``, ``explore``, ``free_tiers``, ``licence``, ``regions``, ``retention`` and ``streaming``
    come from the file unless the policy sets them.
    """

    max_cost: _Usd = DEFAULT_MAX_COST
    time_value: _Usd = DEFAULT_TIME_VALUE
    deadline: _Seconds | None = None
    regions: tuple[_Region, ...] = ()
    language: Annotated[str, Meta(pattern=r"^([a-z]{2,3})?$", extra={"wanted": _LANGUAGE})] = ""
    release: tuple[
        Annotated[str, Meta(pattern=r"^.+:(text|image|audio|video|document)$", extra={"wanted": _RELEASE})], ...
    ] = ()
    pages: tuple[Annotated[int, Meta(ge=1)], ...] = ()


class ConfigFile(Value, forbid_unknown_fields=True):
    """The resources that intermodal may use, and its spending limits. Keys are not kept here.

    Attributes:
        consent: hosted services that content may be sent to, of those that come with intermodal or are in the snapshot.
        max_cost: limit in USD for a request that states none, compared with the high estimate.
        time_value: USD that one second of waiting is worth; the default objective adds it to the money.
        private: kinds ("audio") or file names that never leave this machine, nor anything derived from them.
        declined: hosted services that are not proposed again.
        discovery: whether servers of this machine are discovered, and where.
        pay_twice: whether another endpoint may be called after a failed call that may have been charged.
        explore: whether a few requests may try unmeasured endpoints that cost no more.
        free_tiers: whether the objectives ``best`` and ``cheapest`` may use free endpoints, which are rationed.
        licence: "commercial" leaves out models whose licence does not permit commercial use.
        regions: regions ("eu", "us") to which internet hosts must be confined; others are left out.
        retention: "no-training" leaves out hosts that train on content, "none" also those that keep it.
        trusted_hosts: the only hosts that advice may name and that may be consented to; by default, all of them.
        timeouts: timeouts of one call attempt.
        hosts: servers of your own by name, and changes to those that come with intermodal.
        policies: named policies, which clients of the gateway request as ``policy:NAME``.
        serve: how the gateway listens.
        telemetry: spans and metrics for an OpenTelemetry collector.
        store: how long single attempts are kept.
    """

    consent: tuple[str, ...] = ()
    max_cost: _Usd = DEFAULT_MAX_COST
    time_value: _Usd = DEFAULT_TIME_VALUE
    private: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    discovery: DiscoveryTable = DiscoveryTable()
    pay_twice: bool = True
    explore: bool = True
    free_tiers: bool = False
    licence: Licence = "any"
    regions: tuple[_Region, ...] = ()
    retention: Retention = "any"
    trusted_hosts: tuple[str, ...] = ()
    timeouts: TimeoutSettings = TimeoutSettings()
    hosts: dict[str, HostRow] = msgspec.field(default_factory=dict)
    policies: dict[str, PolicyTable] = msgspec.field(default_factory=dict)
    serve: ServeTable = ServeTable()
    telemetry: TelemetryTable = TelemetryTable()
    store: StoreTable = StoreTable()


__all__ = [
    "AUTO",
    "ConfigFile",
    "DiscoveryTable",
    "EndpointRate",
    "HOST",
    "LISTENS",
    "MOST_USD",
    "MOST_WORKERS",
    "POLICY",
    "PROMPT",
    "PolicyTable",
    "ServeTable",
    "StoreTable",
    "TelemetryTable",
]
