"""A request: messages, the output wanted, and the policy that bounds how it may be answered."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, get_args

import msgspec

from intermodal.content import Part, Role, Value, renamed_field

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
Quality = Literal["low", "medium", "high"]  # of a picture that is drawn
PictureFormat = Literal["png", "jpeg", "webp"]
# How a diffusion model takes its steps, by the names that stable-diffusion.cpp gives them.
Sampler = Literal[
    "euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "dpm++2mv2", "ipndm", "ipndm_v", "lcm",
    "ddim_trailing", "tcd", "res_multistep", "res_2s", "er_sde",
]  # fmt: skip
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
Licence = Literal["any", "commercial"]
LICENCES: tuple[Licence, ...] = ("any", "commercial")
Retention = Literal["any", "no-training", "none"]
RETENTIONS: tuple[Retention, ...] = ("any", "no-training", "none")
REGION = "^[a-z]{2}$"  # of hosts and of wishes
REGION_WORDS = 'two small letters, as "eu" or "us"'
HOTTEST = 2.0  # temperature: the highest value that any protocol here accepts
DEFAULT_MAX_COST = 0.05  # USD per ask
DEFAULT_TIME_VALUE = 0.002  # USD per second waited


class Message(Value, gc=False):
    role: Role
    parts: tuple[Part, ...]


class TextOutput(Value, tag_field="kind", tag="text"):
    """An answer in words."""


class JsonOutput(Value, tag_field="kind", tag="json"):
    """An answer that validates against a JSON Schema (draft 2020-12).

    Attributes:
        whole: an answer that was cut at the length limit is an error; otherwise it is returned as it is, without data.
        schema_text: the text in the messages that states the schema to the model, "" if none does. It is not added
            a second time, and is not part of the question.
        strict: only a host that enforces the schema may answer.
    """

    schema: dict[str, Any]
    name: str = "answer"
    whole: bool = True
    schema_text: str = msgspec.field(default="", name="told")
    strict: bool = False

    told = renamed_field("told", "schema_text")


class TranscriptOutput(Value, tag_field="kind", tag="transcript"):
    """Speech with times, in the format people asked for."""

    format: Literal["text", "json", "srt", "vtt"] = "text"


class EmbeddingOutput(Value, tag_field="kind", tag="embedding"):
    """A vector for the whole input."""


class SpeechOutput(Value, tag_field="kind", tag="speech"):
    """A spoken answer. ``verbatim``: the prompt itself is spoken, without an answer to it.

    ``voice`` is a name the endpoint knows, "" its default. ``format``: "pcm16" is samples alone, signed 16-bit
    little-endian, mono, 24 kHz.
    """

    format: Literal["wav", "mp3", "pcm16"] = "wav"
    voice: str = ""
    verbatim: bool = False


class ScoresOutput(Value, tag_field="kind", tag="scores"):
    """How well each label fits, 0..1: classification.

    ``labels``: () asks a classifier for those that it has itself. ``independent``: each is judged by itself, so that
    several may apply, or none; else one of them does.
    """

    labels: tuple[str, ...] = ()
    independent: bool = False


class ImageOutput(Value, tag_field="kind", tag="image"):
    """Pictures, drawn from the words of the request and, where pictures are among them, from those.

    Attributes:
        size: width and height in pixels, None leaves them to the plan. count: how many.
        steps, guidance, sampler: of a diffusion model; None and "" leave them to the plan. Guidance is how closely the
            words are followed: 1 leaves out the second evaluation of each step, which the negative words are for.
        negative: what must not be on them, in words.
        strength: how much of a picture that goes in is drawn anew, 0 to 1.
        mask: the last picture that goes in is a mask of the one before it: white where it may change, black where not.
        quality: "" leaves it to the plan. format: of the file, "" the host's usual one.

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
    format: PictureFormat | Literal[""] = ""


Output = TextOutput | JsonOutput | TranscriptOutput | EmbeddingOutput | SpeechOutput | ScoresOutput | ImageOutput
# Their names on the command line, where a label is the best of the scores; an output of a plugin has another name.
OUTPUT_NAMES = ("text", "json", "transcript", "embedding", "speech", "scores", "label", "image")


def without_schema(text: str, output: Output) -> str:
    """Return the question in a text of the sender: without the part that states the schema of the answer."""
    schema_text = output.schema_text if isinstance(output, JsonOutput) else ""
    return text.replace(schema_text, " ") if schema_text else text


class Sampling(Value):
    """How the answer is sampled. None leaves the endpoint's own default.

    ``max_tokens`` limits the output, reasoning included. With ``room_for_thought`` it limits the words alone, and a
    plan adds the reasoning: a default limit must not end an answer before its first word.
    """

    max_tokens: int | None = None
    room_for_thought: bool = False
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None


class Settings(Value):
    """Settings of a gateway's client besides ``Sampling``; ``protocols/request_fields.py`` states which host is sent
    which.

    Attributes:
        protocol: of the client, "" for none.
        top_k, min_p, typical_p: the words that are sampled from. presence_penalty, frequency_penalty, repeat_penalty:
            for words that were used before.
        effort: of reasoning, in OpenAI's words. thinking: tokens of reasoning.
        verbosity: of the answer.
        own: other fields that go to hosts as they came, by path ("options.mirostat").
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

    ``strict``: the host is to hold the model to it, where its protocol has a word for that
    (``catalog.types.STRICT_TOOLS_PROTOCOLS``).
    """

    name: str
    description: str = ""
    schema: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool = False


# Whether tools may, must not or must be called. One tool that must be called is "required" with that tool alone.
ToolChoice = Literal["auto", "none", "required"]
Streaming = Literal["live", "buffered"]
Evidence = Literal["retry", "mark", "off"]
EVIDENCE: tuple[Evidence, ...] = ("retry", "mark", "off")


# What a host is asked to cache for the next turn: as much as possible (``request``), the tools, the system prompt, the
# whole conversation (``end``). With the time to live in the host's words, "" for its default.
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
        language: ISO 639-1 code of the speech, and of words in pictures, "" if unstated.
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
    """A whole request.

    ``messages`` is the conversation, oldest first. ``previous_endpoint`` is the endpoint that answered the last turn,
    "" on the first. ``tools`` are the caller's own: a call of one ends the run, the caller makes it and sends another
    request with its result. ``parallel_tools``: several calls may come at once. ``cache``: what the host is to cache,
    if its protocol can express that (``catalog.types.PROMPT_CACHING_PROTOCOLS``). ``settings``: further settings of a
    gateway's client; of these a plan depends on the reasoning effort (``catalog/reasoning_effort.py``).
    ``answer_tokens``: the stated length of the answer; reasoning comes on top, and no host is sent it. A limit that is
    sent, and counts reasoning, is ``sampling.max_tokens``.
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
        """Every part with its index: 0, 1, … through all messages. ``Facts.parts`` has the same order."""
        index = 0
        for message in self.messages:
            for part in message.parts:
                yield index, message.role, part
                index += 1
