"""Host rows in configuration files: hosts with their models, and how a server of their kind is recognised.

A shipped file ``data/hosts/*.toml`` holds one host row, ``data/models/*.toml`` model rows, and ``[hosts.NAME]`` of
``intermodal.toml`` is a host row of the user. Decoding is strict: an unknown key is an error that names it, never
ignored.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from intermodal.catalog.model_rows import ModelRow, find_contradiction
from intermodal.catalog.types import (
    FREE,
    Auth,
    BuiltInProtocol,
    Evidence,
    Host,
    Model,
    OutputKind,
    Price,
    Protocol,
    Speed,
    Strength,
    Task,
    TextCounter,
    TimeoutSettings,
)
from intermodal.catalog.validation_messages import is_safe_to_echo
from intermodal.core.content import Kind, Value
from intermodal.core.quantity import Quantity, between
from intermodal.core.request import REGION, REGION_WORDS, Tier, Zone
from intermodal.errors import ConfigError

Range = tuple[float, float, float]
T = TypeVar("T")

# The output of a model whose tasks are all among these; other tasks output text.
_TASK_OUTPUTS: Mapping[str, OutputKind] = {
    "feature-extraction": "embedding", "zero-shot-image-classification": "embedding",
    "text-classification": "scores", "zero-shot-classification": "scores", "text-ranking": "scores",
    "fill-mask": "scores",
    "text-to-speech": "audio", "text-to-image": "image", "image-to-image": "image",
}  # fmt: skip

# The protocols over HTTP.
HTTP_PROTOCOLS: tuple[Protocol, ...] = ("openai", "openai-responses", "anthropic", "gemini", "ollama")
# Protocols of embedded runtimes that open a folder of the user, so that rows of the config may use them.
FOLDER_PROTOCOLS: tuple[Protocol, ...] = ("contrastive", "diffusion", "encoder")
_PLACES = "the word env or keyring, which say where the key is, and never the key itself"
_AUTH: Mapping[Protocol, Auth] = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}
# The modalities that a protocol carries beyond text, images and priced audio. OpenAI's chat has file parts too, but
# most servers that implement it reject them, so a row has to state support.
_CARRIES: Mapping[Protocol, tuple[Kind, ...]] = {
    "anthropic": ("document",), "gemini": ("audio", "video", "document"), "openai-responses": ("document",),
}  # fmt: skip


class SpeedRow(Value, forbid_unknown_fields=True):
    """The speed of an endpoint, each figure as [low, mid, high]; figures of real runs take precedence
    (``catalog.types.Speed``).

    Attributes:
        overhead: seconds before anything happens on a warm endpoint (network, queue).
        load: seconds to load it when cold.
        prompt: input tokens per second.
        decode: output tokens per second.
        realtime_factor: seconds of work per second of audio, transcribed or made.
        megapixel: seconds per megapixel of image.
        page: seconds per page.
        picture: seconds per image made.
        denoise: of a diffusion model that runs here, seconds per megapixel of one evaluation.
        latent: seconds per megapixel of an image that is decoded from its latents.
        basis: source of the numbers.
    """

    overhead: Range | None = None
    load: Range | None = None
    prompt: Range | None = None
    decode: Range | None = None
    realtime_factor: Range | None = None
    megapixel: Range | None = None
    page: Range | None = None
    picture: Range | None = None
    denoise: Range | None = None
    latent: Range | None = None
    basis: str = "declared"

    def speed(self, fallback: Speed) -> Speed:
        """Return the speed, with missing values taken from ``fallback``.

        If ``megapixel`` is set and ``page`` is not, pages stay 0, since they are timed by their pixels.
        """
        figures: dict[str, Quantity] = {"page": Quantity()} if self.megapixel is not None else {}
        for name in Speed.__struct_fields__:
            value: Range | None = getattr(self, name)
            if value is not None:
                figures[name] = between(*value, self.basis)
        return msgspec.structs.replace(fallback, **figures)


PRICE_FIELDS = (
    "input_mtok", "output_mtok", "input_image_mtok", "input_audio_mtok", "output_audio_mtok", "output_image_mtok",
    "input_mchar", "second", "page", "picture", "request",
)  # fmt: skip


_OVERLAID = (
    "name",
    "tasks",
    "languages",
    "translates",
    "tokenizer",
    "labels",
    "independent",
    "image_tokens",
    "marks",
    "parameters",
    "max_output",
)


class ServedRow(Value, forbid_unknown_fields=True):
    """A model at a host: what differs from the model's own row, or is not in it.

    Attributes:
        id: ``vendor/model``; without a model row, this row alone describes it.
        served_as: the host's own name for it; ``id`` when "".
        name: for people.
        quirks: named deviations of this model alone, besides those of its host.
        tools: whether it accepts tools.
        tools_with_json: whether it accepts tools beside a forced schema.
        tasks: Hugging Face task names; by default those that follow from ``input``.
        input: kinds it accepts.
        context: tokens of prompt and answer together.
        max_output: tokens of an answer, at most.
        languages: of speech or text, by ISO 639-1 code; () for any.
        translates: languages it can translate any speech into ("en"); () for none.
        tokenizer: vocabulary that its text is counted with.
        labels: of its head, if it is a classifier.
        independent: it judges each label by itself (sigmoid), so that several may hold.
        image_tokens: rule by which it counts images, with its numbers ("openai_tile:85:170").
        marks: special tokens of its chat template, besides those of known families ("<turn>").
        parameters: how many it has.
        tier: its strength.
        input_mtok: USD per million tokens in.
        output_mtok: USD per million tokens out.
        input_image_mtok: USD per million tokens of input images; by default those of text.
        input_audio_mtok: USD per million tokens of input sound; by default those of text.
        output_audio_mtok: USD per million tokens of speech that it makes; by default those of text.
        output_image_mtok: USD per million tokens of images that it makes; by default those of text.
        input_mchar: USD per million characters to be spoken.
        second: USD per second of audio.
        page: USD per page.
        picture: USD per image that is made.
        request: USD per call.
        memory: bytes resident, [low, mid, high].
        memory_basis: source of these, for people.
        weights: name in the weights store, or for a protocol of ``FOLDER_PROTOCOLS`` the folder itself, or the file.
        steps, guidance, side, unit: defaults of a diffusion model of the user's own: steps, guidance scale, pixels of a
            side, of which sides are multiples. Without them, those usual for its architecture.
        buffers: bytes a pixel of an image while such a model draws it.
        unpinned: whether the checksums of these weights are unknown, so that a pull has to be told to accept them.
        speed: how fast it is here.
        source: of these facts.
        checked: day on which the source was opened.
    """

    id: str
    served_as: str = ""
    name: str = ""
    quirks: tuple[str, ...] = ()
    tools: bool | None = None
    tools_with_json: bool | None = None
    tasks: tuple[Task, ...] = ()
    input: tuple[Kind, ...] = ()
    context: int | None = None
    max_output: int | None = None
    languages: tuple[str, ...] = ()
    translates: tuple[str, ...] = ()
    tokenizer: str = ""
    labels: tuple[str, ...] = ()
    independent: bool = False
    image_tokens: str = ""
    marks: tuple[str, ...] = ()
    parameters: float | None = None
    tier: Tier | None = None
    input_mtok: float | None = None
    output_mtok: float | None = None
    input_image_mtok: float | None = None
    input_audio_mtok: float | None = None
    output_audio_mtok: float | None = None
    output_image_mtok: float | None = None
    input_mchar: float | None = None
    second: float | None = None
    page: float | None = None
    picture: float | None = None
    request: float = 0.0
    memory: Range | None = None
    memory_basis: str = "resident when loaded"
    weights: str = ""
    unpinned: bool = False
    steps: Annotated[int, Meta(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Meta(ge=0, le=100)] | None = None
    side: Annotated[int, Meta(ge=64, le=4096)] | None = None
    unit: Annotated[int, Meta(ge=8, le=256)] | None = None
    buffers: Range | None = None
    speed: SpeedRow | None = None
    source: str = ""
    checked: str = ""

    @property
    def served_name(self) -> str:
        return self.served_as or self.id

    def model_facts(self, model: Model | None) -> Model:
        """Return the model: the catalog's own row, if there is one, overridden by this row."""
        if model is None:
            return self._own_model_row().model()
        changes: dict[str, Any] = {
            name: value for name in _OVERLAID if (value := getattr(self, name)) not in ("", (), None)
        }
        if self.tasks and {_TASK_OUTPUTS.get(task, "text") for task in self.tasks} == {"image"}:
            changes["output"] = ("image",)  # a model that also outputs text, used at this host only for images
        if self.tier is not None:
            tasks = self.tasks or model.tasks
            evidence = Evidence(level="declared", source="stated in the host's row")
            changes["strength"] = tuple(Strength(task=task, tier=self.tier, evidence=evidence) for task in tasks)
        return msgspec.structs.replace(model, **changes) if changes else model

    def _own_model_row(self) -> ModelRow:
        tasks = self.tasks or _tasks_for(self.input)
        outputs: set[OutputKind] = {_TASK_OUTPUTS.get(task, "text") for task in tasks}
        return ModelRow(
            id=self.id,
            name=self.name,
            tasks=tasks,
            input=self.input or ("text",),
            output=(outputs.pop() if len(outputs) == 1 else "text",),
            parameters=self.parameters,
            context=self.context,
            max_output=self.max_output,
            languages=self.languages,
            translates=self.translates,
            tokenizer=self.tokenizer,
            labels=self.labels,
            independent=self.independent,
            image_tokens=self.image_tokens,
            marks=self.marks,
            tier=self.tier,
            tier_source="stated in the host's row" if self.tier else "",
            source=self.source,
            checked=self.checked,
        )

    def contradiction(self) -> str:
        """Return a description of a contradiction within the row; "" if there is none."""
        for name in PRICE_FIELDS:
            price = getattr(self, name)
            if price is not None and not 0 <= price < float("inf"):
                return f"{name} is {price:g}, and must be 0 or more"
        if self.parameters is not None and self.parameters <= 0:
            return f"parameters is {self.parameters:g}, and must be more than 0"
        return find_contradiction(self.tasks, self.input, (), self.context, self.max_output)

    @property
    def states_price(self) -> bool:
        """Return whether the row states a price; published prices are then not used."""
        return any(
            each is not None for each in (self.input_mtok, self.second, self.input_mchar, self.page, self.picture)
        )

    def price(self, zone: Zone) -> Price:
        """Return the price stated by this row.

        Without one: free on the user's own hardware, unknown on the internet.
        """
        stated_prices = (
            self.input_mtok, self.output_mtok, self.input_mchar, self.second, self.page, self.picture,
            self.request or None,
        )  # fmt: skip
        if all(value is None for value in stated_prices) and zone != "internet":
            if zone == "process":
                return FREE
            own = Evidence(level="declared", source="runs on hardware of your own; no price is stated")
            return msgspec.structs.replace(FREE, evidence=own)
        return Price(
            input_mtok=self.input_mtok,
            output_mtok=self.output_mtok,
            input_image_mtok=self.input_image_mtok,
            input_audio_mtok=self.input_audio_mtok,
            output_audio_mtok=self.output_audio_mtok,
            output_image_mtok=self.output_image_mtok,
            input_mchar=self.input_mchar,
            second=self.second,
            page=self.page,
            picture=self.picture,
            request=self.request,
            evidence=Evidence(level="declared", source=self.source or "the host's row", checked=self.checked),
        )


class ServerFingerprint(Value, forbid_unknown_fields=True):
    """A reply that identifies one kind of server.

    Attributes:
        step: its position in the order of requests; the requests that distinguish most servers come first.
        path: path below the server's root, requested with GET.
        key: where to look in its JSON, dotted, ``*`` for any item of a list ("data.*.owned_by"); "" looks at the text.
        says: a regular expression that the value must match; "" accepts any value.
        also: path, key and expression of a second reply that must match too, if the first is not enough.
    """

    step: int
    path: str
    key: str = ""
    says: str = ""
    also: tuple[str, str, str] | None = None


class ListingRequest(Value, forbid_unknown_fields=True):
    """A request whose reply lists a server's models.

    ``form`` names the reader (``local/discovery/listing_readers.py``). ``each``: sent once per model, as POST with the
    model's name.
    """

    path: str
    form: str
    each: bool = False


class DiscoveryRules(Value, forbid_unknown_fields=True):
    """How one kind of server is discovered and read.

    The requests only list or describe models; none loads a model or runs it.

    Attributes:
        signs: fingerprints; one match is enough.
        reads: listing requests in order; later replies take precedence over earlier ones.
        version: path and key of its version, () if it does not report one.
        address_env: environment variable in which its users set its address; used only if it is on this machine.
        sets_context: requests set the context length, so a model's context is the one it was trained for.
        forwards: the host of models that the server forwards to a remote service; it needs consent.
        forwarded_names: name patterns of forwarded models. forwarded_keys: keys that mark a forwarded model in
            listings.
        unusable: why this kind of server is not used, "" if it is.
    """

    signs: tuple[ServerFingerprint, ...] = ()
    reads: tuple[ListingRequest, ...] = ()
    version: tuple[str, ...] = ()
    address_env: str = ""
    sets_context: bool = False
    forwards: str = ""
    forwarded_names: tuple[str, ...] = ()
    forwarded_keys: tuple[str, ...] = ()
    unusable: str = ""


class HostRow(Value, forbid_unknown_fields=True):
    """A host with its models. A new host of a supported protocol is one such row and no code.

    Attributes:
        id: its name; in ``intermodal.toml`` the table's, so it is left out there.
        name: for people.
        base_url: address up to and including the version ("http://127.0.0.1:8080/v1").
        zone: how far away it computes; derived from ``base_url`` when not stated. State it where the
            address misleads: a proxy on this machine to a hosted API is ``internet``.
        stated_protocol: the API it speaks, built in or of a plugin; if not stated, that of the shipped host of this
            name, else ``openai``.
        auth: the header that carries its key; its protocol's usual one when not stated.
        key_env: environment variable that holds its key.
        forced_json: the server can force a JSON schema.
        tells_schema: it puts a schema that it forces before its model by itself; where it does not, or nobody knows,
            the model is told in words.
        quirks: named deviations.
        max_images: most images in one request.
        not_asked: patterns of its own names ("*-pro") for models that it serves over another of its interfaces; they
            are not taken from the snapshot.
        carries: kinds it takes beyond text and images, of models that take them; its protocol's usual ones when not
            stated.
        counts_text: it counts text at ``/tokenize``, as this server does: ``llama.cpp`` or ``vllm``.
        rerank: where it ranks passages: a path below ``base_url`` ("/rerank"), or a whole address at the same host.
        key: where the key is: in ``key_env``, or in the system's keyring alone.
        discovery: how a server of this kind is found on this machine; only shipped rows say.
        timeouts: how long a call of it may take, where that is not what holds for all.
        regions: where it computes ("eu", "us"), all of them.
        trains: it trains models on what it is sent.
        retention_days: days after which it has deleted what it is sent; 0 where it keeps nothing.
        conditions_source: where the last three were read.
        least_seconds: seconds of sound that a request costs at least, where sound is billed by its length.
        conditions_checked: day on which that was opened.
        speed: how fast it is, where its models do not say.
        models: what it serves.
        source: where this was read.
        checked: day on which the source was opened.
    """

    id: str = ""
    name: str = ""
    base_url: str = ""
    stated_protocol: Protocol | None = msgspec.field(default=None, name="protocol")
    auth: Auth | None = None
    key_env: str = ""
    key: Annotated[Literal["env", "keyring"], Meta(extra={"wanted": _PLACES})] = "env"
    zone: Annotated[Zone, Meta(extra={"wanted": "one of machine, network, internet"})] | None = None
    forced_json: bool | None = None
    tells_schema: bool | None = None
    quirks: tuple[str, ...] = ()
    max_images: int | None = None
    counts_text: TextCounter | Literal[""] = ""
    rerank: str = ""
    carries: tuple[Kind, ...] = ()
    not_asked: tuple[str, ...] = ()
    timeouts: TimeoutSettings = TimeoutSettings()
    regions: tuple[Annotated[str, Meta(pattern=REGION, extra={"wanted": REGION_WORDS})], ...] = ()
    trains: bool | None = None
    retention_days: Annotated[int, Meta(ge=0, le=36_500)] | None = None
    conditions_source: str = ""
    conditions_checked: str = ""
    least_seconds: Annotated[float, Meta(ge=0, le=3_600)] | None = None
    speed: SpeedRow | None = None
    models: tuple[ServedRow, ...] = ()
    discovery: DiscoveryRules | None = None
    source: str = ""
    checked: str = ""

    @property
    def protocol(self) -> Protocol:
        """The API that the host speaks: OpenAI's unless stated."""
        return "openai" if self.stated_protocol is None else self.stated_protocol

    @property
    def input_kinds(self) -> tuple[Kind, ...]:
        """The modalities that reach its models, beyond text and images."""
        return self.carries or _CARRIES.get(self.protocol, ())

    @property
    def needs_key(self) -> bool:
        """Whether the host needs an API key."""
        return bool(self.key_env) or self.key == "keyring"

    def host(self) -> Host:
        return Host(
            id=self.id,
            name=self.name or self.id,
            base_url=self.base_url,
            protocol=self.protocol,
            auth=self.auth or (_AUTH.get(self.protocol, "bearer") if self.needs_key else "none"),
            key_env="" if self.key == "keyring" else self.key_env,
            zone=self.zone or ("process" if self.protocol in FOLDER_PROTOCOLS else zone_of(self.base_url)),
            forced_json=bool(self.forced_json),
            tells_schema=bool(self.tells_schema),
            quirks=self.quirks,
            max_images=self.max_images,
            counts_text=self.counts_text,
            rerank=self.rerank,
            timeouts=self.timeouts,
            regions=self.regions,
            trains=self.trains,
            retention_days=self.retention_days,
            conditions=Evidence(level="declared", source=self.conditions_source, checked=self.conditions_checked),
            evidence=Evidence(level="declared", source=self.source, checked=self.checked),
        )

    def overlaid(self, own: HostRow) -> HostRow:
        """Return this shipped row overridden by the user's row of the same name; the user's version of a model wins."""
        changes: dict[str, Any] = {
            name: value
            for name in HostRow.__struct_fields__
            if name not in ("id", "models") and (value := getattr(own, name)) not in ("", (), None, TimeoutSettings())
        }
        own_names = {row.served_name for row in own.models}
        remaining = tuple(row for row in self.models if row.served_name not in own_names)
        if own.base_url and own.zone is None:
            changes["zone"] = None  # the shipped zone was that of another address
        return msgspec.structs.replace(self, **changes, models=(*own.models, *remaining))


def _tasks_for(kinds: tuple[Kind, ...]) -> tuple[Task, ...]:
    """Return the tasks of an undescribed model, by its inputs."""
    tasks: list[Task] = ["text-generation"]
    if "image" in kinds:
        tasks.append("image-text-to-text")
    if "audio" in kinds:
        tasks.append("audio-text-to-text")
    return tuple(tasks)


def zone_of(base_url: str) -> Zone:
    """Return the zone of an address: a host name is internet unless it is this machine."""
    name = (urlsplit(base_url).hostname or "").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return "machine"
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return "internet"
    if address.is_loopback or address.is_unspecified:
        return "machine"
    return "network" if address.is_private or address.is_link_local else "internet"


NOT_NAMES = ("embedded", "prompt", "policy")


def check_name(name: str, where: str = "", key: tuple[str, ...] = (), what: str = "a host") -> str:
    """Check the name of a host (the prefix of its endpoint ids) or of a policy. Raises ConfigError."""
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum()) or name in NOT_NAMES:
        raise ConfigError(
            f"{what} cannot be called {name!r}",
            where=where,
            todo="use letters, digits, dots and dashes",
            key=key,
        )
    return name


def check_url(base_url: str, where: str = "", key: tuple[str | int, ...] = ()) -> str:
    """Check a base URL: http(s), with a host, without a user, a query or a fragment. Raises ConfigError."""
    try:
        parts = urlsplit(base_url)
        plain = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        extra = bool(parts.username is not None or parts.query or parts.fragment)
    except ValueError:  # an invalid port, an incomplete IPv6 address
        plain, extra = False, False
    if not plain or extra:
        raise ConfigError(
            "base_url must be an http or https address without user, query or fragment",
            where=where,
            todo="for example http://127.0.0.1:8080/v1",
            key=key,
        )
    return base_url


def check_row(row: HostRow, where: str, key: tuple[str, ...], protocols: Collection[str]) -> None:
    """Check what decoding does not: the protocol, the address, and contradictions in or between models.

    ``protocols``: the protocols that this row may use. Raises ConfigError.
    """
    place = ".".join(key)
    if row.protocol not in (*protocols, *get_args(BuiltInProtocol)):
        protocol_names = ", ".join((*protocols, *FOLDER_PROTOCOLS))
        actual = f", not {row.protocol!r}" if is_safe_to_echo(row.protocol) else ""
        what = f"wrong value in [{place}] at protocol: must be one of {protocol_names}{actual}"
        todo = "correct it, or install the plugin that speaks it"
        raise ConfigError(what, where=where, todo=todo, key=(*key, "protocol"))
    if row.protocol not in protocols or row.zone == "process":
        raise ConfigError(
            f"[{place}] sets protocol or zone to what only built-in rows may have",
            where=where,
            todo=f"protocol is one of {', '.join((*protocols, *FOLDER_PROTOCOLS))}; "
            "zone is machine, network or internet",
            key=(*key, "protocol" if row.protocol not in protocols else "zone"),
        )
    if row.discovery is not None:
        todo = "to have another address looked at, add it to [discovery] addresses"
        what = f"[{place}] sets discovery, which only built-in rows have"
        raise ConfigError(what, where=where, todo=todo, key=(*key, "discovery"))
    if row.base_url:
        check_url(row.base_url, f"{where} [{place}]", (*key, "base_url"))
    if row.rerank and not row.rerank.startswith("/"):
        check_url(row.rerank, f"{where} [{place}]", (*key, "rerank"))
        if urlsplit(row.rerank).hostname != urlsplit(row.base_url).hostname:
            raise ConfigError(
                f"[{place}] sets rerank to another host than base_url, and the key of one is not sent to the other",
                where=where, todo='write a path below base_url ("/rerank"), or an address at its host',
                key=(*key, "rerank"),
            )  # fmt: skip
    for index, served_row in enumerate(row.models):
        wrong = served_row.contradiction()
        if any(served_row.id == other.id for other in row.models[:index]):
            wrong = "is described twice"
        if wrong:
            what = f"[{place}] {served_row.id}: {wrong}"
            raise ConfigError(what, where=where, todo="correct one of the two", key=(*key, "models", index))


def decode_row(data: Mapping[str, Any], cls: type[T], *, where: str, place: str) -> T:
    """Decode a row from parsed TOML.

    Raises:
        ConfigError: an unknown key, a missing key or a wrong value; the message names it.
    """
    try:
        return msgspec.convert(data, cls)
    except msgspec.ValidationError as error:
        raise _config_error(str(error), cls, where, place) from None


def _config_error(message: str, cls: type[Any], where: str, place: str) -> ConfigError:
    """Convert msgspec's message to an error that names the key, the table and what to do."""
    from intermodal.catalog.validation_messages import describe_expected, in_toml_terms, is_secret_field, key_path

    text, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    table = (f"[{place}]" if place else "the top level") + (f" at {path}" if path else "")
    key = key_path(path)
    unknown = re.match(r"Object contains unknown field `(.*)`", text)
    if unknown:
        field_names = [name for row in (cls, *_parts_of(cls, path)) for name in row.__struct_encode_fields__]
        close = difflib.get_close_matches(unknown[1], field_names, n=1, cutoff=0.8)
        todo = f"did you mean {close[0]}?" if close else f"keys are {', '.join(sorted(set(field_names)))}"
        if unknown[1] in cls.__struct_encode_fields__:  # it stands in a table of the row
            todo = f"it belongs in [{place}]" if place else "it belongs at the top level"
        if is_secret_field(unknown[1]) and "key_env" in field_names:
            todo = "name the environment variable that holds it as key_env; keys are not written here"
        return ConfigError(f"unknown key {unknown[1]} in {table}", where=where, todo=todo, key=(*key, unknown[1]))
    missing = re.match(r"Object missing required field `(.*)`", text)
    if missing:
        return ConfigError(f"{table} lacks {missing[1]}", where=where, todo=f"add {missing[1]} = …", key=key)
    todo = "correct it"
    if key[-1:] == ("key",):
        todo = "set an environment variable to the key, and name the variable as key_env"
    return ConfigError(
        f"wrong value in {table}: {in_toml_terms(describe_expected(text, cls, path))}", where=where, todo=todo, key=key
    )


def _parts_of(cls: type[Any], path: str) -> tuple[type[Any], ...]:
    """Return the row classes nested in a row at ``path``, to list their keys as valid ones."""
    below: dict[str, type[Any]] = {"models": ServedRow, "speed": SpeedRow}
    return tuple(row for name, row in below.items() if name in path and name in getattr(cls, "__struct_fields__", ()))


def pull_command(weights: str, *, unpinned: bool = False) -> str:
    """Return the shell command that downloads weights; ``unpinned``: it must accept unknown checksums."""
    return f"intermodal pull {weights}{' --accept-unpinned' if unpinned else ''}"


def memory_of_row(row: ServedRow) -> Quantity:
    """Return the bytes resident on this machine; unknown if the model runs elsewhere."""
    return between(*row.memory, row.memory_basis) if row.memory else Quantity()
