"""Models, hosts, endpoints and the catalog: the values that a plan chooses from.

The kind of a model (a language model, a vision-language model, ...) is derived from its modalities and tasks
(``model_kinds.py``), never stored. A host is a row of data. An endpoint is a model at a host.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from intermodal.catalog import model_kinds
from intermodal.catalog.provenance import DisputedCapability, citation
from intermodal.catalog.token_rule_rows import ModelFamilies, ModelFamily
from intermodal.core.content import Kind, Value
from intermodal.core.quantity import Quantity
from intermodal.core.request import Tier, Zone

# Protocols: over HTTP, then of servers that intermodal starts, then of embedded runtimes.
BuiltInProtocol = Literal[
    "openai", "openai-responses", "anthropic", "gemini", "ollama",
    "started",
    "llama", "whisper", "ocr", "e5", "contrastive", "diffusion", "encoder", "piper",
]  # fmt: skip
Protocol = str  # one of these, or the name of a plugin's (``catalog/plugin_rows.py``)
TextCounter = Literal["llama.cpp", "vllm"]  # servers that count the tokens of a text on request
Auth = Literal["none", "bearer", "x-api-key", "x-goog-api-key"]  # the header that carries the key

# Hugging Face task names. The planner decides which of them intermodal can use (``planner/catalog_index.py``).
Task = Literal[
    "text-generation",
    "image-text-to-text",
    "audio-text-to-text",
    "automatic-speech-recognition",
    "image-to-text",
    "feature-extraction",
    "text-to-speech",
    "zero-shot-classification",
    "text-classification",
    "zero-shot-image-classification",
    "video-text-to-text",
    "any-to-any",
    "fill-mask",
    "text-ranking",
    "translation",
    "audio-to-audio",
    "text-to-audio",
    "text-to-image",
    "image-to-image",
    "text-to-video",
    "image-to-video",
]

OutputKind = Literal["text", "embedding", "audio", "scores", "image", "video"]

# Training objectives before any adaptation. "supervised" is no pretraining: labels for one task.
Objective = Literal["next-token", "masked-token", "contrastive", "diffusion", "sequence-to-sequence", "supervised"]

# Kinds of training data. Code is text, but a kind of its own here; sensor data is depth, heat, motion.
TrainingData = Literal[
    "text", "code", "images", "image-text pairs", "audio", "speech-text pairs", "video", "documents", "sensor data",
]  # fmt: skip

# What a licence permits: commercial use, commercial use on conditions (size, field or name), or research only.
LicencePermission = Literal["commercial", "conditions", "research"]

# How a model is adapted to a task: by instructions, by labels, by fine-tuning, or made for one task only.
Adaptation = Literal["instructions", "labels", "fine-tuning", "one task"]


FREE_TIER = ":free"  # suffix of free models at OpenRouter and similar hosts


MAX_TIMEOUT = 86_400.0  # seconds: a day


_Seconds = Annotated[float, Meta(gt=0, le=MAX_TIMEOUT)]


class TimeoutSettings(Value, forbid_unknown_fields=True):
    """Timeouts of one call attempt in seconds (``[timeouts]`` of the config, and of a host); None for the default.

    Attributes:
        connect: until the connection is established.
        first_token: from the end of the request to the first word of the answer (the first byte of one that is no
            text); keep-alives of a server do not count.
        trial: the same for an endpoint that is tried out or probed while another route remains. It only shortens the
            wait.
        between_tokens: of silence within an answer. Comments, pings, blanks and empty pieces count as silence.
        thinking: the same while the host sends keep-alives, if its models reason within an answer without showing it.
            It only lengthens the wait.
        total: for the whole call.
    """

    connect: _Seconds | None = None
    first_token: _Seconds | None = None
    trial: _Seconds | None = None
    between_tokens: _Seconds | None = None
    thinking: _Seconds | None = None
    total: _Seconds | None = None

    def over(self, other: TimeoutSettings) -> TimeoutSettings:
        """Return these settings, with those of ``other`` for the values that are not set."""
        set_values = {
            name: value for name in TimeoutSettings.__struct_fields__ if (value := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(other, **set_values)


class Evidence(Value):
    """Why a value is believed.

    level: declared < reported (by the runtime) < probed < observed; for strength also ``measured`` (on the user's
    labelled files), ``benchmark`` (published) and ``proxy``. ``source`` is a URL or a sentence; ``checked`` is the date
    on which it was opened, "" for unverified.
    """

    level: Literal["declared", "reported", "probed", "observed", "measured", "benchmark", "proxy"]
    source: str = ""
    checked: str = ""

    @property
    def citation(self) -> str:
        """The source with the date on which it was opened, or marked as unverified.

        Observations on this machine need no citation.
        """
        needs_citation = self.level in ("declared", "benchmark")
        return citation(self.source, self.checked) if self.source and needs_citation else self.source


class Strength(Value):
    """A tier for one task, with its evidence."""

    task: Task
    tier: Tier
    evidence: Evidence


class Price(Value):
    """USD per unit, from a date on. None means unknown, 0 means free.

    Units: ``input_mtok`` / ``output_mtok`` per million text tokens; ``input_image_mtok`` and ``input_audio_mtok`` per
    million tokens of that modality (None: same as text, unless the modality is in ``unpriced``, which lists inputs with
    an unknown price); ``input_video_mtok`` for videos (None: same as images; plans assume that price, and videos with
    another price are not sent); ``output_audio_mtok`` per million tokens of generated speech and ``output_image_mtok``
    of generated images (None: same as text); ``input_mchar`` per million characters to be spoken; ``second`` per second
    of audio (beside a token price, for audio without tokens); ``page`` per page; ``picture`` per generated image
    (replaces all other charges); ``request`` per call. ``least_seconds``: the minimum billed seconds per request, if
    audio is billed by the second. ``unsaid``: an additional charge of each call at an unknown price, which makes the
    price of every call unknown; "" for none.

    ``above``: the prices of requests with more than a number of input tokens, smallest number first. They apply to all
    tokens of such a request, which is how hosts bill.
    """

    input_mtok: float | None = None
    output_mtok: float | None = None
    input_image_mtok: float | None = None
    input_audio_mtok: float | None = None
    input_video_mtok: float | None = None
    output_audio_mtok: float | None = None
    output_image_mtok: float | None = None
    input_mchar: float | None = None
    second: float | None = None
    page: float | None = None
    picture: float | None = None
    request: float = 0.0
    least_seconds: float = 0.0
    unpriced: tuple[Kind, ...] = ()
    unsaid: str = ""
    effective_from: str = ""
    evidence: Evidence = Evidence(level="declared")
    above: tuple[tuple[int, Price], ...] = ()

    @property
    def of_audio(self) -> float | None:
        """USD per million tokens of audio input: its own price, else that of text; None if no source states it."""
        if "audio" in self.unpriced:
            return None
        return self.input_mtok if self.input_audio_mtok is None else self.input_audio_mtok

    @property
    def by_length(self) -> bool:
        """Whether audio is billed by its length instead of its tokens."""
        return self.second is not None and self.input_audio_mtok is None

    def of_request(self, tokens: float) -> Price:
        """Return the price of a request with ``tokens`` input tokens."""
        found = self
        for more_than, price in self.above:
            found = price if tokens > more_than else found
        return found


FREE = Price(
    input_mtok=0.0, output_mtok=0.0, input_mchar=0.0, second=0.0, page=0.0,
    evidence=Evidence(level="observed", source="runs on this machine"),
)  # fmt: skip


# Reasoning efforts in OpenAI's terms, least first.
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
DefaultEffort = Effort | Literal["unsaid"]  # unsaid: no source states whether it reasons by default


class ThinkingProfile(Value):
    """How a model reasons before it answers.

    Reasoning is output: it is billed, takes time, and counts against the answer's token limit at every known host.

    Attributes:
        unasked: the effort if a request names none. always: reasoning cannot be turned off.
        by: tokens by effort (low, mid, high). unsaid: the same if it is unknown whether it reasons.
        basis: source of the tokens; ``evidence``: source of ``unasked``.
    """

    unasked: DefaultEffort
    always: bool = False
    by: tuple[tuple[Effort, tuple[float, float, float]], ...] = ()
    unsaid: tuple[float, float, float] = (0.0, 0.0, 0.0)
    basis: str = ""
    evidence: Evidence = Evidence(level="declared")

    def tokens(self, effort: DefaultEffort) -> tuple[float, float, float]:
        """Return the tokens at an effort; if it has no row, those of the nearest lower effort."""
        if effort == "unsaid":
            return self.unsaid
        found = (0.0, 0.0, 0.0)
        for name, tokens in self.by:
            found = tokens if EFFORTS.index(name) <= EFFORTS.index(effort) else found
        return found


class Speed(Value):
    """The speed of an endpoint as initially known; statistics of real runs take precedence.

    Attributes:
        overhead: seconds before processing starts on a warm endpoint (network, queue).
        load: seconds to load it when cold.
        prompt: input tokens per second. decode: output tokens per second.
        realtime_factor: seconds of work per second of audio, transcribed or generated.
        megapixel: seconds per megapixel of input image. page: seconds per page. picture: seconds per generated image.
        denoise: seconds per megapixel of one evaluation of a diffusion model. latent: seconds per megapixel to decode
            an image from its latents, or to encode it.
    """

    overhead: Quantity = Quantity()
    load: Quantity = Quantity()
    prompt: Quantity = Quantity()
    decode: Quantity = Quantity()
    realtime_factor: Quantity = Quantity()
    megapixel: Quantity = Quantity()
    page: Quantity = Quantity()
    picture: Quantity = Quantity()
    denoise: Quantity = Quantity()
    latent: Quantity = Quantity()


class DiffusionSettings(Value):
    """Settings of a diffusion model that runs on this machine.

    Attributes:
        side: side in pixels of the square images that it generates best. unit: sides of its images must be multiples of
            this.
        steps, guidance: defaults.
        buffers: bytes per pixel during generation, low, mid and high; the endpoint's memory includes those of a square
            image.
    """

    side: int = 512
    unit: int = 64
    steps: int = 20
    guidance: float = 7.0
    buffers: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Model(Value):
    """A model and its properties.

    Attributes:
        input, output: modalities; the first of ``output`` is its main output.
        objective, trained_on, adaptation: its training; () and "" if not published.
        parameters, active: number of parameters (135e6), None if not published; ``active`` is the number used per token
            if that is fewer.
        languages: ISO 639-1; () means many, or unknown.
        translates: languages into which it translates any speech, ISO 639-1; () if it only transcribes.
        tokenizer: the vocabulary that counts its text exactly ("" if only a range is known).
        vocabulary: the vocabulary whose factors estimate its text without a tokenizer
            (``catalog/token_rule_rows.py``), "" if unknown.
        image_tokens: the rule that counts its input images if it is not its family's (``Catalog.families``), else "".
        labels: labels of its classification head; () if it has none. independent: it scores each label separately, or
            can.
        drawn: the rule of ``cost_model/image_tokens.py`` that counts generated images, "" if none is known.
        diffusion: settings of a diffusion model that runs on this machine; None for any other model.
        licence, permits: the licence of its weights, and what it permits; "" if unknown.
        marks: special tokens of its chat template, besides those of known families (``protocols/special_tokens.py``).
        thinking: how it reasons before it answers, None if no source states that it does.
    """

    id: str
    name: str = ""
    tasks: tuple[Task, ...] = ()
    input: tuple[Kind, ...] = ("text",)
    output: tuple[OutputKind, ...] = ("text",)
    objective: tuple[Objective, ...] = ()
    trained_on: tuple[TrainingData, ...] = ()
    adaptation: Adaptation | Literal[""] = ""
    parameters: float | None = None
    active: float | None = None
    context: int | None = None
    max_output: int | None = None
    languages: tuple[str, ...] = ()
    translates: tuple[str, ...] = ()
    tokenizer: str = ""
    vocabulary: str = ""
    image_tokens: str = ""
    labels: tuple[str, ...] = ()
    independent: bool = False
    drawn: str = ""
    diffusion: DiffusionSettings | None = None
    marks: tuple[str, ...] = ()
    strength: tuple[Strength, ...] = ()
    licence: str = ""
    thinking: ThinkingProfile | None = None
    permits: LicencePermission | Literal[""] = ""
    evidence: Evidence = Evidence(level="declared")

    @property
    def kind(self) -> str:
        """The common name of the model's kind, derived from inputs, outputs and training."""
        return model_kinds.kind_of(self.tasks, self.input, self.output, self.objective)

    @property
    def matches_images(self) -> bool:
        """Whether images and texts share one vector space, so that the model can score text-image pairs."""
        return self.output == ("embedding",) and "zero-shot-image-classification" in self.tasks

    @property
    def classifies(self) -> bool:
        """Whether the model has a classification head, and scores only its own labels."""
        return self.output == ("scores",) and "text-classification" in self.tasks

    @property
    def ranks(self) -> bool:
        """Whether the model reads a query and a passage together and scores how well the passage answers."""
        return self.output == ("scores",) and "text-ranking" in self.tasks

    @property
    def fills_masks(self) -> bool:
        """Whether the model predicts the word behind a mask."""
        return self.output == ("scores",) and "fill-mask" in self.tasks

    @property
    def entails(self) -> bool:
        """Whether the model scores if a text entails a sentence, with which it can score arbitrary labels."""
        return self.output == ("scores",) and "zero-shot-classification" in self.tasks

    @property
    def head_task(self) -> Task | None:
        """The task of the model's head: its own labels, entailment, or words for a mask; None without a head."""
        if self.classifies:
            return "text-classification"
        if self.entails:
            return "zero-shot-classification"
        return "fill-mask" if self.fills_masks else None

    @property
    def answers_in_words(self) -> bool:
        """Whether the model generates text, so that it chooses labels by their letters.

        Other models compare vectors or have a head.
        """
        return self.output not in (("embedding",), ("scores",))


class Host(Value):
    """A server of models. A new OpenAI-compatible host is one row and no code.

    Attributes:
        protocol: selects the driver and the codec.
        zone: where it actually computes: a local proxy to a hosted API is ``internet``.
        key_env: environment variable that holds the API key; "" if there is none: the host needs no key, or it is in
            the system's keyring.
        forced_json: the host can enforce a JSON schema.
        tells_schema: the host shows an enforced schema to its model, according to its documentation. Otherwise the
            prompt states it, since a model does not know a schema that is only enforced.
        quirks: named deviations that the codec looks up, e.g. ``max_completion_tokens``.
        counts_text: the server whose ``/tokenize`` API it offers to count text, "" for none.
        rerank: where it ranks passages: a path below ``base_url``, or a whole address; "" if it does not.
        timeouts: timeouts of a call.
        regions: where it computes, () if unknown. trains: it trains on the data it receives, None if unknown.
        retention_days: days for which it keeps the data it receives, 0 for none, None if unknown. conditions: the
            source of the last three.
    """

    id: str
    name: str = ""
    base_url: str = ""
    protocol: Protocol = "openai"
    auth: Auth = "none"
    key_env: str = ""
    zone: Zone = "internet"
    forced_json: bool = False
    tells_schema: bool = False
    quirks: tuple[str, ...] = ()
    max_images: int | None = None
    counts_text: TextCounter | Literal[""] = ""
    rerank: str = ""
    timeouts: TimeoutSettings = TimeoutSettings()
    regions: tuple[str, ...] = ()
    trains: bool | None = None
    retention_days: int | None = None
    conditions: Evidence = Evidence(level="declared")
    evidence: Evidence = Evidence(level="declared")


AUDIO_TRANSLATIONS = "audio_translations"  # quirk of hosts that offer OpenAI's speech translation endpoint

# Protocols in which a client marks the part of a prompt to cache.
PROMPT_CACHING_PROTOCOLS: frozenset[Protocol] = frozenset({"anthropic"})

# Protocols that can constrain a model to a tool's schema. Anthropic's models reject many schemas that others accept, so
# they are not constrained.
STRICT_TOOLS_PROTOCOLS: frozenset[Protocol] = frozenset({"openai", "openai-responses"})

# Tool choices that a protocol cannot express: one call at a time, or a required call.
UNSUPPORTED_TOOL_CHOICES: Mapping[Protocol, tuple[Literal["one at a time", "must"], ...]] = {
    "gemini": ("one at a time",), "ollama": ("one at a time", "must"),
}  # fmt: skip


class ToolSupport(Value):
    """An endpoint's support for tools; None if no source states it.

    Attributes:
        takes: it accepts tools. with_json: it also accepts tools if the answer is constrained by a schema.
    """

    takes: bool | None = None
    with_json: bool | None = None
    evidence: Evidence = Evidence(level="declared")


class FullContext(Value):
    """The context that a local endpoint would have with enough memory, and the memory in bytes that it takes."""

    context: int
    memory: Quantity


class Endpoint(Value, dict=True):  # dict=True: facts derived from an endpoint alone are cached on it
    """A model at a host. ``id`` is ``host:vendor/model``.

    Attributes:
        served_as: the host's name for the model.
        input: modalities that this endpoint accepts, which may be fewer than the model's.
        context: its actual context length in tokens, None if unknown.
        uncut: its context with more memory; None if memory does not limit it.
        memory: resident bytes when loaded on this machine, 0 elsewhere.
        weights: name in the weights store, "" if none are needed.
        tools: whether it accepts tools, with evidence.
        doubts: its host's claims about the model that other hosts contradict; ``input`` includes the accepted ones.
        later: announced future prices.
        build: version and model digest of a local server, "" if not reported. Lessons about the endpoint apply to this
            build.
        ready: it can be called now; otherwise ``missing`` states the reason and ``todo`` the fix (an extra to install,
            weights to pull).
    """

    id: str
    model: Model
    host: Host
    served_as: str = ""
    input: tuple[Kind, ...] = ("text",)
    context: int | None = None
    uncut: FullContext | None = None
    price: Price = Price()
    later: tuple[Price, ...] = ()
    speed: Speed = Speed()
    tools: ToolSupport = ToolSupport()
    doubts: tuple[DisputedCapability, ...] = ()
    memory: Quantity = Quantity()
    weights: str = ""
    build: str = ""
    ready: bool = True
    missing: str = ""
    todo: str = ""
    evidence: Evidence = Evidence(level="declared")

    @property
    def context_limit(self) -> int | None:
        """The context length in tokens: its own, else that of its model; None if unknown."""
        return self.context or self.model.context

    @property
    def translates(self) -> tuple[str, ...]:
        """The languages into which the endpoint can translate speech.

        These are the languages of its model, if its host has the operation.
        """
        is_supported = self.host.protocol == "whisper" or AUDIO_TRANSLATIONS in self.host.quirks
        return self.model.translates if is_supported else ()

    @property
    def is_free_tier(self) -> bool:
        """Whether this is a free tier: it costs nothing, and is limited in rate and per day."""
        return self.served_as.endswith(FREE_TIER)

    @property
    def is_vendors_own(self) -> bool:
        """Whether the model's vendor serves it itself."""
        return self.model.id.partition("/")[0] == self.host.id

    @property
    def scoring(self) -> tuple[Task, ...]:
        """The zero-shot tasks of an endpoint.

        Scores come from embeddings, or from token probabilities of a chat if its host returns them.
        """
        if self.model.matches_images:
            return ("zero-shot-image-classification",)
        if self.model.output == ("embedding",):
            return ("zero-shot-classification",)
        if not self.model.answers_in_words:
            return ()
        if "text-generation" not in self.model.tasks or "no_logprobs" in self.host.quirks:
            return ()
        seeing: tuple[Task, ...] = ("zero-shot-image-classification",) if "image" in self.input else ()
        return ("zero-shot-classification", *seeing)

    def price_on(self, day: str) -> Price:
        """Return the price on an ISO date; "" is any day."""
        in_force = [price for price in self.later if price.effective_from <= day]
        return max(in_force, key=lambda price: price.effective_from) if in_force else self.price

    def tier(self, task: Task) -> Strength | None:
        for strength in self.model.strength:
            if strength.task == task:
                return strength
        return None


class EndpointShortcoming(Value):
    """A limit of an endpoint that a call revealed; takes precedence over declarations.

    Attributes:
        lacks: modalities it refused. context: the context length in tokens that it stated. images: the maximum number
            of images that it stated.
        message: the endpoint's words. build: the endpoint's build at the time of the call.
        suspected: it is inferred from an estimate, so it applies only to this client and is not stored.
    """

    endpoint: str
    lacks: tuple[Kind, ...] = ()
    context: int | None = None
    images: int | None = None
    message: str = msgspec.field(default="", name="said")
    build: str = ""
    suspected: bool = False


class UnlistedHost(Value):
    """A host without consent, for which only the number of endpoints by task is kept."""

    host: str
    tasks: tuple[tuple[Task, int], ...] = ()


class UncallableEndpoint(NamedTuple):
    """An endpoint of the snapshot that was requested by name and that no plan can call, with the reason and the fix."""

    name: str
    id: str
    why: str
    todo: str


class Catalog(Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True, weakref=True):
    """All known endpoints, and the hosts the user consented to.

    ``version`` is the date of the snapshot. Consent comes from the config, never from a key in the environment. Hosts
    with zone ``process`` or ``machine`` need none. ``elsewhere``: hosts of the snapshot without consent, counted and
    not listed; plans use none of their endpoints. ``families``: token rules of the models in the catalog, each with its
    date. ``beyond``: the cheapest endpoints with media input at hosts without consent; plans use none of them, but a
    verdict may name one. ``uncallable``: endpoints that were named and cannot be called.
    """

    endpoints: tuple[Endpoint, ...] = ()
    consent: tuple[str, ...] = ()
    version: str = ""
    elsewhere: tuple[UnlistedHost, ...] = ()
    families: tuple[ModelFamily, ...] = ()
    uncallable: tuple[UncallableEndpoint, ...] = ()
    beyond: tuple[Endpoint, ...] = ()

    @cached_property
    def with_beyond(self) -> Catalog:
        """The catalog with the endpoints of ``beyond`` added to its endpoints."""
        return self.among(tuple({each.id: each for each in (*self.beyond, *self.endpoints)}.values()))

    @cached_property
    def loadable(self) -> tuple[Endpoint, ...]:
        """The endpoints that take memory of this machine when loaded."""
        return tuple(endpoint for endpoint in self.endpoints if endpoint.memory.high and endpoint.ready)

    @cached_property
    def counting(self) -> ModelFamilies:
        """The families, searchable by name."""
        return ModelFamilies(rows=self.families)

    def among(self, endpoints: tuple[Endpoint, ...]) -> Catalog:
        """Return the catalog with other endpoints, most of which it already has, keeping facts derived from those."""
        catalog = replace(self, endpoints=endpoints)
        vars(catalog).update(counting=self.counting, made_of=self)
        return catalog

    @cached_property
    def vocabularies(self) -> tuple[str, ...]:
        """The vocabularies used to estimate texts of its models; includes "" for an unknown one."""
        return tuple(sorted({endpoint.model.vocabulary for endpoint in self.endpoints}))

    def apply_lessons(self, shortcomings: tuple[EndpointShortcoming, ...]) -> Catalog:
        """Apply shortcomings to the endpoints; returns the same object if nothing changes."""
        found: dict[str, Endpoint] = {}
        for each in shortcomings:
            endpoint = found.get(each.endpoint) or self.by_id.get(each.endpoint)
            if endpoint is not None:
                found[each.endpoint] = _with_shortcoming(endpoint, each)
        if all(self.by_id[name] == endpoint for name, endpoint in found.items()):
            return self
        endpoints = tuple(found.get(endpoint.id, endpoint) for endpoint in self.endpoints)
        return replace(self, endpoints=endpoints)

    @cached_property
    def by_id(self) -> dict[str, Endpoint]:
        return {endpoint.id: endpoint for endpoint in self.endpoints}


def _with_shortcoming(endpoint: Endpoint, shortcoming: EndpointShortcoming) -> Endpoint:
    kinds_left = tuple(kind for kind in endpoint.input if kind not in shortcoming.lacks)
    context = (
        min(endpoint.context or shortcoming.context, shortcoming.context) if shortcoming.context else endpoint.context
    )
    host = endpoint.host
    if shortcoming.images is not None:
        most = shortcoming.images if host.max_images is None else min(host.max_images, shortcoming.images)
        host = replace(host, max_images=most)
    evidence = (
        Evidence(level="observed", source=shortcoming.message) if kinds_left != endpoint.input else endpoint.evidence
    )
    return replace(endpoint, input=kinds_left, context=context, host=host, evidence=evidence)
