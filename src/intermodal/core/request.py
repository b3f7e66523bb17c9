"""A request: messages, the desired output, and the policy that limits how it may be answered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec

from intermodal.core.content import Part, Role, Value, renamed_field

Objective = Literal["default", "cheapest", "fastest", "best"]
OBJECTIVES: tuple[Objective, ...] = ("default", "cheapest", "fastest", "best")
Tier = Literal["tiny", "small", "medium", "large", "frontier"]
TIERS: tuple[Tier, ...] = ("tiny", "small", "medium", "large", "frontier")
Zone = Literal["process", "machine", "network", "internet"]
ZONES: tuple[Zone, ...] = ("process", "machine", "network", "internet")  # nearest first
Aspect = Literal[
    "words", "layout", "appearance", "figures", "speakers", "tone", "timing", "motion", "alignment", "comparison"
]  # fmt: skip
ASPECTS: tuple[Aspect, ...] = (
    "words", "layout", "appearance", "figures", "speakers", "tone", "timing", "motion", "alignment", "comparison",
)  # fmt: skip
Quality = Literal["low", "medium", "high"]  # quality of a generated image
ImageFormat = Literal["png", "jpeg", "webp"]
# The samplers of diffusion models, by their names in stable-diffusion.cpp.
Sampler = Literal[
    "euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "dpm++2mv2", "ipndm", "ipndm_v", "lcm",
    "ddim_trailing", "tcd", "res_multistep", "res_2s", "er_sde",
]  # fmt: skip
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
Licence = Literal["any", "commercial"]
LICENCES: tuple[Licence, ...] = ("any", "commercial")
Retention = Literal["any", "no-training", "none"]
RETENTIONS: tuple[Retention, ...] = ("any", "no-training", "none")
REGION = "^[a-z]{2}$"  # for hosts and requests
REGION_WORDS = 'two small letters, as "eu" or "us"'
# Lowest and highest values of what the command line, Python and prompt files state, where a typing error is
# likelier than a value that no vendor documents: OpenAI's and Gemini's highest temperature is 2, Anthropic's 1. What a
# client of the gateway sends is passed on as it came, since llama.cpp, vLLM and Ollama state no highest temperature and
# vendors change theirs: the host decides, and its refusal costs nothing.
SAMPLING_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2.0), "top_p": (0.0, 1.0), "max_tokens": (1, math.inf),
}  # fmt: skip
DEFAULT_MAX_COST = 0.05  # USD per ask
DEFAULT_TIME_VALUE = 0.002  # USD per second waited


class Message(Value, gc=False):
    role: Role
    parts: tuple[Part, ...]


class TextOutput(Value, tag_field="kind", tag="text"):
    """A text answer."""


class JsonOutput(Value, tag_field="kind", tag="json"):
    """An answer that validates against a JSON Schema (draft 2020-12).

    Attributes:
        whole: an answer that is cut off at the length limit is an error; if False, it is returned as is, without data.
        schema_text: the text in the messages that states the schema to the model, "" if none does. It is not added a
            second time, and is not part of the question.
        strict: only hosts that enforce the schema may answer.
    """

    schema: dict[str, Any]
    name: str = "answer"
    whole: bool = True
    schema_text: str = msgspec.field(default="", name="told")
    strict: bool = False

    told = renamed_field("told", "schema_text")


class TranscriptOutput(Value, tag_field="kind", tag="transcript"):
    """A transcript of speech with times, in ``format``."""

    format: Literal["text", "json", "srt", "vtt"] = "text"


class EmbeddingOutput(Value, tag_field="kind", tag="embedding"):
    """One embedding vector for the whole input."""


class SpeechOutput(Value, tag_field="kind", tag="speech"):
    """A spoken answer. ``verbatim``: speak the prompt itself instead of an answer to it.

    ``voice`` is a voice name of the endpoint, "" for its default. ``format``: "pcm16" is raw samples, signed 16-bit
    little-endian, mono, 24 kHz.
    """

    format: Literal["wav", "mp3", "pcm16"] = "wav"
    voice: str = ""
    verbatim: bool = False


class ScoresOutput(Value, tag_field="kind", tag="scores"):
    """Classification: a score for each label, 0..1.

    ``labels``: () uses the labels of the classifier itself. ``independent``: each label is scored separately, so
    several or none may apply; otherwise exactly one applies.
    """

    labels: tuple[str, ...] = ()
    independent: bool = False


class ImageOutput(Value, tag_field="kind", tag="image"):
    """Images generated from the text of the request and, if it contains images, from those.

    Attributes:
        size: width and height in pixels; None lets the plan choose. count: number of images.
        steps, guidance, sampler: settings of a diffusion model; None and "" let the plan choose. Guidance is how
            closely the image follows the prompt: 1 skips the second evaluation of each step, which the negative prompt
            needs.
        negative: the negative prompt: what the image must not show.
        strength: how much of an input image is changed, 0 to 1.
        mask: the last input image is a mask for the one before it: white where it may change, black where not.
        quality: "" lets the plan choose. format: file format, "" for the host's default.

    The seed is ``Sampling.seed``.
    """

    size: tuple[int, int] | None = None
    count: int = 1
    steps: int | None = None
    guidance: float | None = None
    sampler: Sampler | Literal[""] = ""
    negative: str = ""
    strength: float | None = None
    mask: bool = False
    quality: Quality | Literal[""] = ""
    format: ImageFormat | Literal[""] = ""


Output = TextOutput | JsonOutput | TranscriptOutput | EmbeddingOutput | SpeechOutput | ScoresOutput | ImageOutput
# Names of the outputs on the command line; "label" is the best of the scores. Outputs of plugins have other names.
OUTPUT_NAMES = ("text", "json", "transcript", "embedding", "speech", "scores", "label", "image")


def without_schema(text: str, output: Output) -> str:
    """Return a text without the part that states the answer's schema, so that only the question is left."""
    schema_text = output.schema_text if isinstance(output, JsonOutput) else ""
    return text.replace(schema_text, " ") if schema_text else text


class Sampling(Value):
    """How the answer is sampled. None uses the endpoint's default.

    ``max_tokens`` limits the output, including reasoning. With ``room_for_thought`` it limits only the visible text,
    and a plan adds the reasoning: a default limit must not end an answer before its first word.
    """

    max_tokens: int | None = None
    room_for_thought: bool = False
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None


class Settings(Value):
    """Settings of a gateway client besides ``Sampling``.

    ``protocols/request_fields.py`` states which hosts receive which.

    Attributes:
        protocol: the client's protocol, "" for none.
        top_k, min_p, typical_p: limits on the tokens to sample from. presence_penalty, frequency_penalty,
            repeat_penalty: penalties for tokens that already occurred.
        effort: reasoning effort, in OpenAI's values. thinking: reasoning tokens.
        verbosity: verbosity of the answer.
        own: other fields that are passed to hosts unchanged, keyed by path ("options.mirostat").
    """

    protocol: str = ""
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    effort: str | None = None
    thinking: int | None = None
    verbosity: str | None = None
    own: tuple[tuple[str, Any], ...] = ()


class Tool(Value):
    """A function that a model may request to be called. ``schema`` is a JSON Schema (draft 2020-12) of its arguments.

    ``strict``: the host must enforce the schema, if its protocol can express that
    (``catalog.types.STRICT_TOOLS_PROTOCOLS``).
    """

    name: str
    description: str = ""
    schema: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool = False


# Whether tools may, must not or must be called. To require a particular tool, pass "required" with only that tool.
ToolChoice = Literal["auto", "none", "required"]
Streaming = Literal["live", "buffered"]
Evidence = Literal["retry", "mark", "off"]
EVIDENCE: tuple[Evidence, ...] = ("retry", "mark", "off")


# What a host is asked to cache for the next turn: as much as possible (``request``), the tools, the system prompt, or
# the whole conversation (``end``); with the time to live in the host's own format, "" for its default.
Cached = tuple[tuple[Literal["request", "tools", "system", "end"], str], ...]


class Policy(Value):
    """The limits and preferences of the user.

    Attributes:
        objective: what to minimise or maximise among routes that are allowed.
        at_least: strength floor; None means the default floor ``medium``, which gives way to the strongest reachable
            when nothing is that strong. A stated floor rejects.
        model: the generating endpoint or model the user named; "" lets the planner choose.
        max_cost: USD for the whole request, compared with the high estimate.
        max_cost_stated: the limit was stated, so that an unknown price exceeds it; under a default limit such a price
            sorts last, with a note. Any limit but the default one was stated.
        deadline: seconds for the whole request, compared with the high estimate.
        farthest: nothing leaves this zone. ``--local`` is ``machine``.
        private: labels: kinds ("audio") or part names ("call.wav") that may not leave the machine, and neither may what
            is derived from them.
        release: "audio:text" pairs: text derived from audio may leave although audio may not.
        keep: aspects the route must keep (stated: they reject).
        language: ISO 639-1 code of the speech, and of words in images, "" if unstated.
        translate: ISO 639-1 code of the language that speech is translated into when it is transcribed, "" leaves it in
            its own.
        hosts: names of hosts the user consented to, in addition to the config; () for none.
        pages: page numbers (1-based) to which documents are restricted; () for all.
        time_value: USD one second of waiting is worth.
        pay_twice: when a call failed that may have been charged, a fallback may be charged too.
        resends: how often a failed endpoint is called again, at most, if the failure permits that at all; None leaves
            it to the failure.
        explore: a few requests may first call an unmeasured endpoint that costs no more than the chosen one and may be
            better.
        free_tiers: ``best`` and ``cheapest`` may use endpoints that cost nothing and are rationed.
        licence: "commercial" leaves out models whose licence is stated not to permit commercial use; an unknown licence
            gets a note.
        regions: hosts on the internet compute in these and nowhere else ("eu", "us"); () for anywhere.
        retention: "no-training" leaves out hosts that train on what they are sent, "none" those that keep it as well.
            Hosts whose conditions are unknown are left out too, with a note.
        streaming: whether the words of an answer are shown as they come, or ("buffered") once it is complete, so that
            another route may take over from one that died in the middle.
        evidence: whether the values of a JSON answer are looked up in the text of the files that it was made from. If
            one occurs nowhere, "retry" calls once more, within money and time, and reports what still occurs nowhere;
            "mark" only reports it; "off" does not look.
    """

    objective: Objective = "default"
    at_least: Tier | None = None
    model: str = ""
    max_cost: float = DEFAULT_MAX_COST
    max_cost_stated: bool = False
    deadline: float | None = None
    farthest: Zone = "internet"
    private: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    keep: tuple[Aspect, ...] = ()
    language: str = ""
    translate: str = ""
    hosts: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()
    time_value: float = DEFAULT_TIME_VALUE
    pay_twice: bool = True
    resends: int | None = None
    explore: bool = True
    free_tiers: bool = False
    licence: Licence = "any"
    regions: tuple[str, ...] = ()
    retention: Retention = "any"
    streaming: Streaming = "live"
    evidence: Evidence = "retry"

    @property
    def takes_unknown_prices(self) -> bool:
        """Return whether an endpoint without a known price may be called."""
        return self.max_cost == math.inf or (self.max_cost == DEFAULT_MAX_COST and not self.max_cost_stated)


class Request(Value):
    """A complete request.

    ``messages`` is the conversation, oldest first. ``previous_endpoint`` is the endpoint that answered the last turn,
    "" on the first. ``tools`` belong to the caller: a tool call ends the run; the caller executes it and sends another
    request with its result. ``parallel_tools``: the model may return several calls at once. ``cache``: what the host
    should cache, if its protocol can express that (``catalog.types.PROMPT_CACHING_PROTOCOLS``). ``settings``: further
    settings of a gateway client; only the reasoning effort affects the plan (``catalog/reasoning_effort.py``).
    ``answer_tokens``: the stated length of the answer, excluding reasoning; it is not sent to hosts.
    ``sampling.max_tokens`` is the limit that is sent, and includes reasoning.
    """

    messages: tuple[Message, ...]
    output: Output = TextOutput()
    sampling: Sampling = Sampling()
    policy: Policy = Policy()
    previous_endpoint: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tools: bool = True
    cache: Cached = ()
    settings: Settings = Settings()
    answer_tokens: int | None = None

    def parts(self) -> Iterator[tuple[int, Role, Part]]:
        """Yield every part with its index: 0, 1, … through all messages. ``Facts.parts`` has the same order."""
        index = 0
        for message in self.messages:
            for part in message.parts:
                yield index, message.role, part
                index += 1
