"""Token counting rules by model family and date, and the vocabulary of a model's text.

A row names a family of models and its rules, each valid from a date on. A rule is a string that ``cost_model`` parses
(``openai_tile:85:170``); a later rule of the same family states only the changes. A model's name matches the longest
row name that it begins with, if the rest states only a size, a date or a variant ("-7b-instruct", "-2024-11-20"): any
other word may denote another model with rules of its own.

Vocabularies are those of ``cost_model/text_factors.py``, which estimate the tokens of a text if no exact counter is
available. The prefix ``like`` marks an assumption: the model's vocabulary is not published, and this is the nearest one
of its vendor. ``Model.tokenizer`` names the exact counter.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Any, Literal

from msgspec import Struct, field

from intermodal.catalog.provenance import citation
from intermodal.core.content import Value
from intermodal.core.hints import setting
from intermodal.errors import UsageError

Aspect = Literal["text", "image", "audio", "video", "document", "drawn", "speech", "tools"]
ASPECTS: tuple[Aspect, ...] = ("text", "image", "audio", "video", "document", "drawn", "speech", "tools")
_LIMITS = ("most_images", "many_images", "most_pages", "small_context", "most_seconds", "most_bytes")

# Words in a name that do not denote another model: sizes, dates, variants of the weights.
_SAME = re.compile(
    r"a?\d+[bme]|e\d+b|\d+x\d+b|\d{3,}|it|instruct|chat|hf|base|latest|preview|exp|experimental|beta|thinking"
    r"|reasoning|non|gguf|awq|gptq|fp8|fp16|bf16|int4|int8|vicuna|mistral|llama\d"
)
_TAG = re.compile(r"\d|free$|beta$|thinking$|extended$|latest$|online$|$")
# Amazon's names for models of other vendors: us.anthropic.claude-sonnet-4-5-20250929-v1:0.
_VENDOR_BEFORE = re.compile(r"^(?:[a-z]+\.)?(?:anthropic|cohere|deepseek|google|meta|mistral|openai|qwen)\.")
_VERSION_AFTER = re.compile(r"(?<=-\d{8})-v\d+(?:[-:]\d+)?$")
# Dates in names: -2024-11-20, -preview-09-2025, -preview-05-20, and Vertex AI's -v2@20241022.
_DAY = re.compile(r"-\d{4}-\d{2}-\d{2}(?=-|$)|-\d{2}-\d{4}(?=-|$)|(?<=-preview)-\d{2}-\d{2}(?=-|$)")
_DOTS = re.compile(r"[._]+")
_AT_DAY = re.compile(r"(?:-v\d+)?@(?=\d{8}$|default$|latest$)")


class TokenRule(Value, forbid_unknown_fields=True):
    """How a family counts tokens from a date on; "" for aspects that this row leaves unchanged.

    Attributes:
        effective_from: ISO date: the models' release, or the day on which a changed rule was first read.
        text: the vocabulary of its text. image, audio, video, document: rules for inputs.
        drawn, speech: rules for generated images and speech.
        tools: rule for the tokens that tools add to a prompt (``cost_model/tool_tokens.py``).
        framing: tokens of a chat template, low, mid, high. most_images: requests with more images are refused.
        many_images: if a request has more images than the first number, no side may exceed the second number in pixels.
        most_pages: maximum document pages per request. small_context: if the context is at most the first number of
            tokens, the second number is the maximum of pages.
        most_seconds: maximum seconds of audio per request. most_bytes: maximum bytes of a request as sent, media in
            base64.
        limits_source: source of the limits, if it is not the source of the rules.
        checked: the day on which every source of the row was opened; "" for unverified, and marked so wherever it is
            shown.
    """

    effective_from: str
    text: str = ""
    image: str = ""
    audio: str = ""
    video: str = ""
    document: str = ""
    drawn: str = ""
    speech: str = ""
    framing: tuple[float, float, float] | None = None
    most_images: int = 0
    many_images: tuple[int, int] | None = None
    most_pages: int = 0
    small_context: tuple[int, int] | None = None
    most_seconds: int = 0
    most_bytes: int = 0
    tools: str = ""
    source: str = ""
    limits_source: str = ""
    checked: str = ""


class ModelFamily(Value, forbid_unknown_fields=True):
    """A family of models: its names, and its rules in order of date.

    ``text_source``, ``tools_source``: the source of the vocabulary, and of the tool tokens, if it is not the source of
    its rules; ``text_checked``, ``tools_checked``: the day on which that source was opened.
    """

    names: tuple[str, ...]
    rules: tuple[TokenRule, ...]
    text_source: str = ""
    text_checked: str = ""
    tools_source: str = ""
    tools_checked: str = ""


class ModelTokenRules(Value):
    """The rules in force for one model on one date.

    Attributes:
        name: the matching name of the family, "" for none.
        rules, sources: by aspect. later: aspects whose first rule has a later date.
        vocabulary: the vocabulary whose factors estimate text if nothing counts it exactly (``vocabulary_of``).
        framing, and the limits: as in ``TokenRule``.
    """

    name: str = ""
    rules: dict[Aspect, str] = field(default_factory=dict)
    sources: dict[Aspect, str] = field(default_factory=dict)
    later: dict[Aspect, str] = field(default_factory=dict)
    vocabulary: str = ""
    framing: tuple[float, float, float] | None = None
    most_images: int = 0
    many_images: tuple[int, int] | None = None
    most_pages: int = 0
    small_context: tuple[int, int] | None = None
    most_seconds: int = 0
    most_bytes: int = 0


NO_TOKEN_RULES = ModelTokenRules()


def bare_name(name: str) -> str:
    """Return a model's name without host, vendor and host tags, with dots and underscores as dashes.

    >>> bare_name("openrouter:Qwen/Qwen2.5-VL-7B-Instruct"), bare_name("gemma3:4b"), bare_name("groq:pixtral-12b")
    ('qwen2-5-vl-7b-instruct', 'gemma3-4b', 'pixtral-12b')
    """
    word = name.strip().lower()
    path, _, last = word.rpartition("/")
    first, colon, tail = last.partition(":")
    if colon and (path or _TAG.match(tail)):  # vendor/model:free, gemma3:4b
        last = f"{first}-{tail}" if _TAG.match(tail) and tail[:1].isdigit() else first
    elif colon:  # host:model
        return bare_name(tail)
    last = _AT_DAY.sub("-", last).removesuffix("-default")
    return _DOTS.sub("-", _VENDOR_BEFORE.sub("", _VERSION_AFTER.sub("", last)))


def host_in_name(name: str) -> str:
    """Return the host of a name without a vendor, as parsed by ``bare_name``; "" if its colon begins a tag.

    >>> host_in_name("groq:pixtral-12b"), host_in_name("gemma3:4b"), host_in_name("openrouter:qwen/qwen3-8b")
    ('groq', '', '')
    """
    host, colon, model = name.strip().lower().partition(":")
    return host if colon and "/" not in name and not _TAG.match(model) else ""


def _says_the_same(rest: str) -> bool:
    """Return whether a name with this rest after a known name still denotes the same model."""
    rest = _DAY.sub("", rest)
    return not rest or all(_SAME.fullmatch(word) for word in rest[1:].split("-"))


class ModelFamilies(Struct, frozen=True, kw_only=True, dict=True):
    """All families with known rules."""

    rows: tuple[ModelFamily, ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, tuple[str, ModelFamily]]:
        found: dict[str, tuple[str, ModelFamily]] = {}
        for row in self.rows:
            for name in row.names:
                found.setdefault(bare_name(name), (name, row))
        return found

    @property
    def names(self) -> dict[str, str]:
        """Every known name, keyed by its bare form."""
        return {short: name for short, (name, _) in self._by_name.items()}

    def of(self, name: str) -> tuple[str, ModelFamily] | None:
        """Return the matching name and the row of a model's family; None if there is none."""
        family_name = bare_name(name)
        end = len(family_name)
        while end > 0:
            found = self._by_name.get(family_name[:end])
            if found is not None:
                return found if _says_the_same(family_name[end:]) else None
            end = family_name.rfind("-", 0, end)
        return None

    def newest(self, name: str, aspect: Aspect) -> str:
        """Return the last rule of a model for one aspect, regardless of its date; "" for none."""
        found = self.of(name)
        if found is None:
            return ""
        rules = [str(getattr(rule, aspect)) for rule in _rules_by_date(found[1]) if getattr(rule, aspect)]
        return rules[-1] if rules else ""

    def sheet(self, name: str, date: str) -> ModelTokenRules:
        """Return the rules in force for a model on an ISO date; empty rules for an unknown family.

        Raises:
            UsageError: the date is before the first rule of its family.
        """
        found = self.of(name)
        if found is None:
            return NO_TOKEN_RULES
        rules = _rules_by_date(found[1])
        first = rules[0].effective_from
        if date < first:
            raise UsageError(
                f"no rule of {found[0]} is known for {date}", where=setting("date"), todo=f"its first is of {first}"
            )
        return _rules_on(found[0], found[1], date)


def _rules_by_date(row: ModelFamily) -> list[TokenRule]:
    return sorted(row.rules, key=lambda rule: rule.effective_from)


def _rules_on(name: str, row: ModelFamily, date: str) -> ModelTokenRules:
    rules: dict[Aspect, str] = {}
    sources: dict[Aspect, str] = {}
    later: dict[Aspect, str] = {}
    limits: dict[str, Any] = {}
    for rule in _rules_by_date(row):
        is_in_force = rule.effective_from <= date
        for aspect in ASPECTS:
            rule_text = getattr(rule, aspect)
            if rule_text and is_in_force:
                rules[aspect] = rule_text
                sources[aspect] = citation(f"{rule.source}, in force from {rule.effective_from}", rule.checked)
            elif rule_text and aspect not in rules:
                later.setdefault(aspect, rule.effective_from)
        if is_in_force:
            limits |= {name: value for name in ("framing", *_LIMITS) if (value := getattr(rule, name))}
    own_sources: tuple[tuple[Aspect, str, str], ...] = (
        ("text", row.text_source, row.text_checked), ("tools", row.tools_source, row.tools_checked),
    )  # fmt: skip
    for aspect, source, checked in own_sources:
        if source and aspect in sources:
            sources[aspect] = citation(source, checked)
    return ModelTokenRules(name=name, rules=rules, sources=sources, later=later, **limits)


ASSUMED_PREFIX = "like "

OPEN_WEIGHTS = "open"  # of an unknown model on the user's hardware: like any of open weights


# Vocabularies that installed packages can count exactly (``local/tokenizers/byte_pair.py``).
EXACT_VOCABULARIES = ("llama3", "llama4", "qwen3", "qwen3.5", "tekken")


# Searched in names without host and vendor, with dots as dashes; the first match applies.
_ROWS: tuple[tuple[str, str], ...] = (
    # Counts of Anthropic's own count_tokens, as measured by ctok 1.3.0: one vocabulary up to Opus 4.6, and one from 4.7
    # to Opus 4.8, Sonnet 5 and Fable 5.
    (r"claude-(?:[a-z]+-)?4-[78](?!\d)|claude-(?:opus|sonnet|fable)-5(?!-\d(?!\d))", "claude4.7"),
    (r"claude-(?:[a-z]+-)?[34](?!\d)", "claude3"),
    (r"claude-(?:v?[12]|instant)", "like claude3"),
    (r"claude", "like claude4.7"),
    # google-genai 3, local_tokenizer_loader.py: Gemini 1 has Gemma 2's, 2 and 3.0 Gemma 3's, later ones 4's.
    (r"gemini-1", "gemma2"),
    (r"gemini-(?:2|3(?!-?\d))|gemma-?3", "gemma3"),
    (r"gemma-?2(?!\d)", "gemma2"),
    (r"gemini|gemma", "like gemma3"),
    # Their own model cards.
    (r"llama-?4", "llama4"),
    (r"llama-?3|r1-distill-llama", "llama3"),
    (r"llama-?2|codellama|code-llama|vicuna|mythomax|tinyllama|phi-3|mistral-7b|mixtral", "llama2"),
    (r"qwen-?3-[56](?![\db])", "qwen3.5"),
    (r"qwen-?3-[7-9](?![\db])|qwen-?[4-9](?!b)", "like qwen3.5"),
    (r"qwen-?3-max|qwen-(?:max|plus|turbo|flash|long|vl)", "like qwen3"),
    (r"qwen|qwq|qvq", "qwen3"),
    (r"deepseek-(?:v3|v4|r1|chat|reasoner)", "deepseek3"),
    (r"deepseek", "like deepseek3"),
    (r"(?:mistral-(?:large|small)-24\d\d|mathstral|codestral-(?:22b|2405|mamba))", "like llama2"),
    (
        r"mistral-nemo|pixtral|ministral|magistral|devstral|voxtral|mistral-small-(?:3|2[5-9])|mistral-medium-(?:3|2[5-9])",
        "tekken",
    ),
    (r"mistral|codestral", "like tekken"),
    (r"command-r", "command-r"),
    (r"command|aya-|^aya$|c4ai", "like command-r"),
    # tiktoken 0.14, model.py.
    (r"gpt-(?:4o|4-1|4-5|5|oss)|^(?:openai-)?o[134](?:-|$)|chatgpt-4o", "o200k_base"),
    (r"gpt-(?:[6-9]|image|audio|realtime)", "like o200k_base"),
    (r"gpt-?(?:4|3-?5)|text-embedding-(?:3|ada)", "cl100k_base"),
    (r"phi-4", "like cl100k_base"),
)

_PATTERNS = tuple((re.compile(pattern), vocabulary) for pattern, vocabulary in _ROWS)


@lru_cache(maxsize=8_192)
def vocabulary_of(model: str) -> str:
    """Return the vocabulary of a model by its name, prefixed with ``like`` if assumed; "" if unknown.

    >>> [vocabulary_of(name) for name in ("anthropic/claude-opus-4.6", "anthropic/claude-opus-5", "x-ai/grok-4")]
    ['claude3', 'claude4.7', '']
    """
    name = bare_name(model)
    return next((vocabulary for pattern, vocabulary in _PATTERNS if pattern.search(name)), "")
