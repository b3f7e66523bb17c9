"""Models, hosts and endpoints: the facts the planner chooses among. Values only.

What a model *is* (a language model, a vision-language model, …) is derived from its modalities and
tasks, never stored. A host is a data row. An endpoint is a model at a host.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from msgspec import Struct

from intermodal.content import Kind, Value
from intermodal.quantity import Quantity
from intermodal.request import Tier, Zone

Protocol = Literal["openai", "llama", "whisper", "ocr", "e5", "piper"]
Auth = Literal["none", "bearer"]
Framing = Literal["sse", "local"]

# Hugging Face task names, the part of them intermodal can drive today.
Task = Literal[
    "text-generation",
    "image-text-to-text",
    "audio-text-to-text",
    "automatic-speech-recognition",
    "image-to-text",
    "feature-extraction",
    "text-to-speech",
    "zero-shot-classification",
    "zero-shot-image-classification",
]


class Evidence(Value):
    """Why a figure is believed.

    level: declared < reported (by the runtime) < probed < observed; for strength also
    ``measured`` (on the user's labelled files), ``benchmark`` (published) and ``proxy``.
    ``source`` is a URL or a sentence; ``checked`` the date somebody opened it, "" for unverified.
    """

    level: Literal["declared", "reported", "probed", "observed", "measured", "benchmark", "proxy"]
    source: str = ""
    checked: str = ""


class Strength(Value):
    """A tier for one task, with its evidence."""

    task: Task
    tier: Tier
    evidence: Evidence


class Price(Value):
    """USD per unit, from a date on. None means unknown, 0 means free.

    Units: ``input_mtok`` / ``output_mtok`` per million text tokens, ``input_image_mtok`` and
    ``input_audio_mtok`` per million tokens of that modality (None: same as text), ``output_audio_mtok`` per million
    tokens of speech that a model makes (None: same as text), ``input_mchar`` per million characters to be spoken,
    ``second`` per second of audio, ``page`` per page, ``request`` per call.
    """

    input_mtok: float | None = None
    output_mtok: float | None = None
    input_image_mtok: float | None = None
    input_audio_mtok: float | None = None
    output_audio_mtok: float | None = None
    input_mchar: float | None = None
    second: float | None = None
    page: float | None = None
    request: float = 0.0
    effective_from: str = ""
    evidence: Evidence = Evidence(level="declared")


FREE = Price(
    input_mtok=0.0, output_mtok=0.0, input_mchar=0.0, second=0.0, page=0.0,
    evidence=Evidence(level="observed", source="runs on this machine"),
)  # fmt: skip


class Speed(Value):
    """How fast an endpoint is, as first known; statistics of real runs outrank it.

    Attributes:
        overhead: seconds before anything happens on a warm endpoint (network, queue).
        load: seconds to load it when cold.
        prompt: input tokens per second. decode: output tokens per second.
        realtime_factor: seconds of work per second of audio, heard or made.
        megapixel: seconds per megapixel of image. page: seconds per page.
    """

    overhead: Quantity = Quantity()
    load: Quantity = Quantity()
    prompt: Quantity = Quantity()
    decode: Quantity = Quantity()
    realtime_factor: Quantity = Quantity()
    megapixel: Quantity = Quantity()
    page: Quantity = Quantity()


class Model(Value):
    """What a model is.

    ``parameters`` in units (135e6), None when not published. ``tokenizer`` names the vocabulary
    that counts its text exactly ("" when only a range is known). ``image_tokens`` names the rule
    of ``costing/tokens.py`` that counts its pictures. ``languages`` are ISO 639-1; () means many.
    """

    id: str
    name: str = ""
    tasks: tuple[Task, ...] = ()
    input: tuple[Kind, ...] = ("text",)
    output: tuple[Literal["text", "embedding", "audio", "scores"], ...] = ("text",)
    objective: str = ""
    parameters: float | None = None
    context: int | None = None
    max_output: int | None = None
    languages: tuple[str, ...] = ()
    tokenizer: str = ""
    image_tokens: str = ""
    strength: tuple[Strength, ...] = ()
    licence: str = ""
    evidence: Evidence = Evidence(level="declared")

    @property
    def kind(self) -> str:
        """The everyday name of what this model is, derived from what goes in and what comes out."""
        if self.output == ("embedding",):
            return "embedding"
        if "text-generation" in self.tasks or "image-text-to-text" in self.tasks:
            media = [kind for kind in self.input if kind != "text"]
            if not media:
                return "LLM"
            return "vision-language" if media == ["image"] else "multimodal"
        if "automatic-speech-recognition" in self.tasks:
            return "speech recognition"
        if "image-to-text" in self.tasks:
            return "text recognition"
        if "text-to-speech" in self.tasks:
            return "speech synthesis"
        return "foundation model"


class Host(Value):
    """Where models are served. A new OpenAI-compatible host is one row and no code.

    Attributes:
        protocol: which driver and wire speak to it.
        zone: how far away it really computes: a local proxy to a hosted API is ``internet``.
        key_env: environment variable that holds the key; "" needs none.
        forced_json: the wire can force a JSON schema.
        audio_input / document_input: the wire carries such parts.
        quirks: named deviations a wire looks up, e.g. ``max_completion_tokens``.
    """

    id: str
    name: str = ""
    base_url: str = ""
    protocol: Protocol = "openai"
    auth: Auth = "none"
    framing: Framing = "sse"
    key_env: str = ""
    zone: Zone = "internet"
    forced_json: bool = False
    quirks: tuple[str, ...] = ()
    max_images: int | None = None
    evidence: Evidence = Evidence(level="declared")


class Endpoint(Value):
    """A model at a host. ``id`` is ``host:vendor/model``.

    Attributes:
        served_as: the name the host knows the model by.
        input: kinds this endpoint takes, which may be fewer than the model's.
        context: tokens it really has here, None when unknown.
        memory: bytes resident when loaded on this machine, 0 elsewhere.
        weights: name in the weights store, "" when none are needed.
        ready: it can be called now; otherwise ``missing`` says what is missing and
            ``todo`` what to do (an extra to install, weights to pull).
    """

    id: str
    model: Model
    host: Host
    served_as: str = ""
    input: tuple[Kind, ...] = ("text",)
    context: int | None = None
    price: Price = Price()
    speed: Speed = Speed()
    memory: Quantity = Quantity()
    weights: str = ""
    ready: bool = True
    missing: str = ""
    todo: str = ""
    evidence: Evidence = Evidence(level="declared")

    @property
    def scoring(self) -> tuple[Task, ...]:
        """The zero-shot tasks it can do: by vectors, or by the probabilities of a chat's next word where its host
        tells them."""
        if self.model.output == ("embedding",):
            return ("zero-shot-classification",)
        if "text-generation" not in self.model.tasks or "no_logprobs" in self.host.quirks:
            return ()
        seeing: tuple[Task, ...] = ("zero-shot-image-classification",) if "image" in self.input else ()
        return ("zero-shot-classification", *seeing)

    def tier(self, task: Task) -> Strength | None:
        for strength in self.model.strength:
            if strength.task == task:
                return strength
        return None


class Catalog(Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """Every endpoint known, and the hosts the user consented to.

    ``version`` is the date of the snapshot. Consent is a fact of the config, not of a key in the
    environment. Hosts of zone ``process`` or ``machine`` need none.
    """

    endpoints: tuple[Endpoint, ...] = ()
    consent: tuple[str, ...] = ()
    version: str = ""

    @cached_property
    def by_id(self) -> dict[str, Endpoint]:
        return {endpoint.id: endpoint for endpoint in self.endpoints}
