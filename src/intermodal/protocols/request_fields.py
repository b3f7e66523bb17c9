"""The treatment of every field of a client's request: one table for each protocol, and its meaning for each host.

Readers, writers, the gateway's ``x-intermodal-ignored`` header and the table in docs/protocols.md all use it, so a
field is treated the same way at a host, whatever the messages contain and whichever path the request takes.

Sources: the parameters of ``openai`` 3.57.0, ``anthropic`` 2.14.0, ``google-genai`` 3.6.1, ``ollama`` 0.6.3 and
``mistralai`` 3.7.0, the vendors' published clients; llama.cpp's tools/server/README.md for its additions to OpenAI's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from intermodal.catalog.reasoning_effort import OPENAI, PROTOCOL_OF_LOCAL_SERVER, translate_budget, translate_effort
from intermodal.catalog.types import STRICT_TOOLS_PROTOCOLS, Endpoint
from intermodal.core.request import Settings, Tool
from intermodal.protocols.calls import NotExpressible
from intermodal.protocols.framing.json_body import dumps, loads

Fate = Literal["planned", "setting", "own", "ignored", "refused"]


class RequestField(NamedTuple):
    """The treatment of a field.

    Attributes:
        fate: ``planned``: part of the planned request; each codec writes it or refuses the call.
            ``setting``: a field of ``Settings``, sent to each host whose protocol has a field for it. ``own``: sent
            unchanged to hosts of the protocols in ``to``. ``ignored``: sent to no host. ``refused``: answered with a
            400. A field that the host is not sent is named in the answer.
        noun: the name in ``Settings``.
        why: the reason that no host is sent it, a clause for the docs.
        nothing: values besides null that have no effect.
    """

    fate: Fate
    noun: str = ""
    to: tuple[str, ...] = ()
    why: str = ""
    nothing: tuple[Any, ...] = ()


_PLANNED = RequestField("planned")


def _planned_fields(*names: str) -> dict[str, RequestField]:
    return dict.fromkeys(names, _PLANNED)


def _setting(**setting_names: str) -> dict[str, RequestField]:
    """Return settings; ``setting_names`` maps a field's name to its name in ``Settings``."""
    return {name: RequestField("setting", noun=setting_name) for name, setting_name in setting_names.items()}


def _fields_of_protocol(to: tuple[str, ...], *names: str) -> dict[str, RequestField]:
    return dict.fromkeys(names, RequestField("own", to=to))


def _ignored_fields(why: str, *names: str, nothing: tuple[Any, ...] = ()) -> dict[str, RequestField]:
    return dict.fromkeys(names, RequestField("ignored", why=why, nothing=nothing))


_SAME = ("top_k", "min_p", "typical_p", "presence_penalty", "frequency_penalty", "repeat_penalty")
_WHO = "no host is sent the user's id"
_RETENTION = "how long a host keeps a prompt is left to it"
_PRICE = "plans are priced for the usual service"
_PROBABLE = "token probabilities are not returned to clients"
_VENDORS = "a vendor-specific service that plans do not cover"
_SIZE = "memory settings belong to the server"

_PROMPT = ("prompt_id", "prompt_version", "prompt_variables")  # a prompt file of the server's, rendered before planning
# A name with a dot is a field within a field.
_CHATS: Mapping[str, Mapping[str, RequestField]] = {
    "openai": {
        **_planned_fields(
            "model", "messages", "stream", "stream_options.include_usage", "max_tokens", "max_completion_tokens",
            "temperature", "top_p", "stop", "seed", "random_seed", "n", "tools", "tool_choice", "parallel_tool_calls",
            "functions", "function_call", "response_format", "modalities", "audio", "intermodal", *_PROMPT,
        ),
        **_setting(**{name: name for name in _SAME}, reasoning_effort="effort", verbosity="verbosity"),
        **_fields_of_protocol(("openai",), "logit_bias", "repetition_penalty", "min_tokens"),
        **_fields_of_protocol(OPENAI, "prompt_cache_key", "safety_identifier"),
        **_ignored_fields(_PROBABLE, "logprobs", "top_logprobs", "prompt_logprobs", "top_prompt_logprobs",
                   nothing=(False, 0)),
        **_ignored_fields(_WHO, "user", "metadata"),
        **_ignored_fields("nothing is kept at a host", "store", nothing=(False,)),
        **_ignored_fields(_RETENTION, "prompt_cache_options", "prompt_cache_retention"),
        **_ignored_fields(_PRICE, "service_tier", nothing=("auto",)),
        **_ignored_fields("predicted output is billed, and no plan counts it", "prediction"),
        **_ignored_fields(_VENDORS, "web_search_options", "moderation", "guardrails", "safe_prompt", "prompt_mode"),
        **_ignored_fields("a grammar is for llama.cpp alone: use `response_format`", "grammar", nothing=("",)),
    },
    "openai-responses": {
        **_planned_fields(
            "model", "input", "instructions", "stream", "max_output_tokens", "temperature", "top_p", "text.format",
            "tools", "tool_choice", "parallel_tool_calls", "store", "include", "metadata", "intermodal", "prompt",
            *_PROMPT,
        ),
        **_setting(**{"reasoning.effort": "effort", "text.verbosity": "verbosity"}),
        **_fields_of_protocol(
            ("openai-responses",), "reasoning.summary", "reasoning.generate_summary", "reasoning.context"
        ),
        **_fields_of_protocol(OPENAI, "prompt_cache_key", "safety_identifier"),
        **dict.fromkeys(("previous_response_id", "conversation"),
                        RequestField("refused", why="nothing is kept here: the whole conversation is to be sent",
                              nothing=("", False))),
        **_ignored_fields("the answer is made at once", "background", "background_options", nothing=(False,)),
        **_ignored_fields(_PROBABLE, "top_logprobs", nothing=(0,)),
        **_ignored_fields(_WHO, "user"),
        **_ignored_fields(_PRICE, "service_tier", "reasoning.mode", nothing=("auto", "standard")),
        **_ignored_fields(_RETENTION, "prompt_cache_options", "prompt_cache_retention"),
        **_ignored_fields("what does not fit is an error, and never cut", "truncation", nothing=("disabled",)),
        **_ignored_fields(_VENDORS, "access_programs", "context_management", "image", "max_tool_calls", "moderation"),
        **_ignored_fields("nothing is added to a stream", "stream_options"),
    },
    "anthropic": {
        **_planned_fields(
            "model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "tools",
            "tool_choice", "output_config.format", "cache_control", "intermodal", *_PROMPT,
        ),
        **_setting(**{"top_k": "top_k", "output_config.effort": "effort"}),
        "thinking": RequestField("setting", noun="thinking", to=("anthropic",)),
        **_ignored_fields(_WHO, "metadata", "user_profile_id"),
        **_ignored_fields(_PRICE, "service_tier", "speed", "billing_policy", nothing=("auto", "standard")),
        **_ignored_fields(
            _VENDORS, "betas", "compaction", "container", "context_management", "diagnostics", "fallback_credit_token",
            "fallbacks", "mcp_servers", "thread", "workspace_id",
        ),
        **_ignored_fields("where a model runs is in the config, by host", "inference_geo"),
    },
    "ollama": {
        **_planned_fields(
            "model", "messages", "stream", "format", "tools", "options.num_predict", "options.temperature",
            "options.top_p", "options.stop", "options.seed", "intermodal", *_PROMPT,
        ),
        **_setting(**{f"options.{name}": name for name in _SAME}),
        "think": RequestField("setting", noun="effort", to=("ollama",)),
        **_fields_of_protocol(
            ("ollama",), "options.repeat_last_n", "options.mirostat", "options.mirostat_eta", "options.mirostat_tau",
            "options.penalize_newline", "options.tfs_z",
        ),
        **_ignored_fields("the context length is set to what the call may need", "options.num_ctx", "options.num_keep"),
        **_ignored_fields(
            _SIZE, "keep_alive", "options.num_batch", "options.num_gpu", "options.main_gpu", "options.low_vram",
            "options.f16_kv", "options.use_mmap", "options.use_mlock", "options.num_thread", "options.numa",
        ),
        **_ignored_fields(_PROBABLE, "logprobs", "top_logprobs", "options.logits_all", nothing=(False, 0)),
        **_ignored_fields("an answer is text", "options.vocab_only", "options.embedding_only", nothing=(False,)),
        **_ignored_fields("what does not fit is an error, and never cut", "truncate", "shift"),
    },
}  # fmt: skip

_RENDERED = "prompts are rendered by the model's own template"
# By kind of request, named as its protocol; Ollama's /api/generate has a table of its own.
FIELDS: Mapping[str, Mapping[str, RequestField]] = {
    **_CHATS,
    "ollama-generate": {
        **{name: field for name, field in _CHATS["ollama"].items() if name not in ("messages", "tools")},
        **_planned_fields("prompt", "system", "images"),
        **_ignored_fields("images are drawn at `/v1/images/generations`", "width", "height", "steps"),
        **dict.fromkeys(("raw", "template", "suffix", "context"),
                        RequestField("refused", why=_RENDERED, nothing=("", False))),
    },
}  # fmt: skip

# Fields that vary between requests of one client and do not affect the answer.
IDENTIFIERS = ("prompt_cache_key", "safety_identifier")

# The path of each setting in a request of each protocol.
SETTING_PATHS: Mapping[str, Mapping[str, str]] = {
    **{
        protocol: {field.noun: name for name, field in fields.items() if field.noun}
        for protocol, fields in _CHATS.items()
    },
    "gemini": {
        "top_k": "generationConfig.topK",
        "presence_penalty": "generationConfig.presencePenalty",
        "frequency_penalty": "generationConfig.frequencyPenalty",
        "effort": "generationConfig.thinkingConfig.thinkingLevel",
        "thinking": "generationConfig.thinkingConfig.thinkingBudget",
    },
}
SETTING_NAMES = tuple(name for name in Settings.__struct_fields__ if name not in ("protocol", "own"))

# The meaning of each word of Host.quirks for any protocol.
_EFFORT = {"effort": "the model accepts a reasoning effort: that of clients of other APIs is sent, too"}
QUIRKS: Mapping[str, Mapping[str, str]] = {
    "openai": {
        **_EFFORT,
        "openai_settings": "only OpenAI's own settings are accepted: no top_k, min_p, typical_p, repeat_penalty",
        "top_k": "top_k, which OpenAI's API does not have, is accepted: it is also sent for clients of other APIs",
        "min_p": "min_p is accepted: it is also sent for clients of other APIs",
        "typical_p": "typical_p is accepted: it is also sent for clients of other APIs",
        "repeat_penalty": "repeat_penalty is accepted: it is also sent for clients of other APIs",
    },
    "openai-responses": _EFFORT,
    "anthropic": _EFFORT,
    "ollama": _EFFORT,
    "gemini": {
        "thinking_level": "the model accepts a reasoning effort as a word (Gemini 3)",
        "thinking_budget": "the model accepts a reasoning budget in tokens (Gemini 2.5)",
    },
}
_BEYOND = ("top_k", "min_p", "typical_p", "repeat_penalty")  # settings that OpenAI's own API does not have
_BOUNDED = frozenset({"anthropic"})  # protocols whose reasoning budget must be below the answer's limit
MIN_THINKING_TOKENS = 1024  # tokens: Anthropic's minimum


# ---- read --------------------------------------------------------------------------------------


def read_settings(tree: Mapping[str, Any], protocol: str) -> Settings:
    """Return the settings in a request's fields."""
    found: dict[str, Any] = {}
    own: list[tuple[str, Any]] = []
    for path, steps, field in _READ[protocol]:
        value = _value_at(tree, steps)
        if value is None:
            continue
        read = _READERS.get((protocol, field.noun))
        setting = value if read is None else read(value)
        if field.noun and setting is not None:
            found[field.noun] = setting
        else:
            own.append((path, value))
    return Settings(protocol=protocol, own=tuple(own), **found)


def _value_at(tree: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(step)
    return tree


_READ = {
    protocol: tuple(
        (name, tuple(name.split(".")), field) for name, field in fields.items() if field.fate in ("setting", "own")
    )
    for protocol, fields in {
        **_CHATS,
        "gemini": {path: RequestField("setting", noun=noun) for noun, path in SETTING_PATHS["gemini"].items()},
    }.items()
}


def _budget(thinking: Any) -> int | None:
    """Return the budget of Anthropic's ``thinking``; None for its other forms, which are sent unchanged."""
    if not isinstance(thinking, dict) or thinking.keys() != {"type", "budget_tokens"} or thinking["type"] != "enabled":
        return None
    tokens = thinking["budget_tokens"]
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else None


_READERS: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("anthropic", "thinking"): _budget,
    ("ollama", "effort"): lambda think: think if isinstance(think, str) else None,  # it may also be a boolean
    ("gemini", "effort"): str.lower,
}


# ---- write --------------------------------------------------------------------------------


def supported_settings(settings: Settings, protocol: str, quirks: tuple[str, ...] = ()) -> Settings:
    """Return the settings that a host is sent, in its protocol.

    Reading the output of ``write_settings`` with ``read_settings`` gives the same value.
    """
    return _split_settings(settings, protocol, quirks)[0]


def _split_settings(settings: Settings, protocol: str, quirks: tuple[str, ...]) -> tuple[Settings, set[str]]:
    """Return the settings that a host is sent, and the client's names of the fields that it is not sent."""
    same = settings.protocol == protocol
    words, lost = SETTING_PATHS.get(settings.protocol, {}), set[str]()
    sent_settings: dict[str, Any] = {}
    for setting_name in SETTING_NAMES:
        value = getattr(settings, setting_name)
        if value is None:
            continue
        found = (
            _copy_field(setting_name, value, protocol, quirks)
            if same
            else _translate_setting(setting_name, value, settings, protocol, quirks)
        )
        sent_settings |= found
        if not found and not _has_no_effect(setting_name, value):
            lost.add(words.get(setting_name, setting_name))
    own_fields = []
    for path, value in settings.own:
        field = FIELDS.get(settings.protocol, {}).get(path)
        if field is not None and protocol in field.to:
            own_fields.append((path, loads(dumps(value))))
        else:
            lost.add(path)
    for setting_name in ("effort", "verbosity"):
        if setting_name in sent_settings:
            sent_settings[setting_name] = loads(dumps(sent_settings[setting_name]))
    return Settings(protocol=protocol, own=tuple(own_fields), **sent_settings), lost


def _copy_field(setting_name: str, value: Any, protocol: str, quirks: tuple[str, ...]) -> dict[str, Any]:
    unsaid = setting_name not in SETTING_PATHS.get(protocol, {}) or (
        setting_name in _BEYOND and "openai_settings" in quirks
    )
    return {} if unsaid else {setting_name: value}


def _has_no_effect(setting_name: str, value: Any) -> bool:
    return setting_name in ("presence_penalty", "frequency_penalty") and value == 0


def _translate_setting(
    setting_name: str, value: Any, settings: Settings, protocol: str, quirks: tuple[str, ...]
) -> dict[str, Any]:  # fmt: skip
    """Return a setting in a protocol other than the client's; {} if that protocol or host does not support it.

    A protocol supports it if it has a field for it, a host if its row states so.
    """
    if setting_name not in SETTING_PATHS.get(protocol, {}) or _has_no_effect(setting_name, value):
        return {}
    if setting_name == "thinking":
        return translate_budget(value, quirks)
    if setting_name == "effort":
        return translate_effort(value, settings.protocol, protocol, quirks)
    if protocol == "openai" and setting_name in _BEYOND:
        return {setting_name: value} if setting_name in quirks and "openai_settings" not in quirks else {}
    if setting_name == "top_k" and "no_temperature" in quirks:  # models that accept no sampling parameters
        return {}
    return {setting_name: value}


def write_settings(tree: dict[str, Any], settings: Settings) -> None:
    """Write ``supported_settings`` into a request."""
    words = SETTING_PATHS.get(settings.protocol, {})
    for setting_name in SETTING_NAMES:
        value = getattr(settings, setting_name)
        if value is not None:
            write = _WRITERS.get((settings.protocol, setting_name))
            _set_at_path(tree, words[setting_name], value if write is None else write(value))
    for path, value in settings.own:
        _set_at_path(tree, path, value)


def _set_at_path(tree: dict[str, Any], path: str, value: Any) -> None:
    *steps, last = path.split(".")
    for step in steps:
        tree = tree.setdefault(step, {})
    tree[last] = value


_WRITERS: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("anthropic", "thinking"): lambda tokens: {"type": "enabled", "budget_tokens": tokens},
    ("gemini", "effort"): str.upper,
}


def scale_thinking(
    settings: Settings, requested_tokens: int | None, limit: int | None, host: str, where: str = ""
) -> Settings:
    """Return the settings for an answer that the plan limits to ``limit`` of ``requested_tokens`` tokens.

    The thinking budget shrinks in proportion, as hosts of Anthropic's protocol refuse a budget above the answer's
    limit. ``host`` is the host's protocol. Raises NotExpressible if too few tokens are left for thinking.
    """
    if (
        settings.thinking is None
        or host not in _BOUNDED
        or requested_tokens is None
        or limit is None
        or limit >= requested_tokens
    ):
        return settings
    tokens = max(MIN_THINKING_TOKENS, settings.thinking * limit // requested_tokens)
    if tokens >= limit:
        what = f"{settings.thinking} tokens of thinking in an answer of {limit}"
        raise NotExpressible.of(what, "Anthropic messages", where=where, todo="leave thinking out")
    return replace(settings, thinking=tokens)


# ---- ignored fields --------------------------------------------------------------------------


def accepted_fields(table: str) -> frozenset[str]:
    """Return the top-level fields of a kind of request that may have an effect."""
    return frozenset(name.partition(".")[0] for name, field in FIELDS[table].items() if field.fate != "ignored")


# Fields that the direct path leaves to the executor: other forms of answers, and long content that is new in each chat.
_EXECUTED: Mapping[str, tuple[str, ...]] = {
    "openai": ("audio", "function_call", "functions", "modalities", "random_seed", "prediction"),
}


class DirectFields(NamedTuple):
    """The top-level fields that a chat with forwarded bytes may have.

    Fields in ``flat`` may contain neither object nor array, since their depth is not checked.
    """

    allowed: frozenset[str]
    flat: frozenset[str]


def direct_fields(table: str) -> DirectFields:
    """Return the fields of direct chats.

    The executor renders the server's own prompts, and names fields that are in no table.
    """
    allowed = {name.partition(".")[0] for name in FIELDS[table]}.difference(_PROMPT, _EXECUTED.get(table, ()))
    return DirectFields(frozenset(allowed), frozenset(allowed - accepted_fields(table) - {"metadata"}))


def passthrough_fields(protocol: str) -> tuple[str, ...]:
    """Return the top-level fields that hosts of the same protocol are sent unchanged."""
    return tuple(
        name
        for name, field in FIELDS[protocol].items()
        if "." not in name and (field.fate == "setting" or protocol in field.to)
    )


def ignored_fields(
    table: str, fields: Mapping[str, msgspec.Raw], settings: Settings, host: str, quirks: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the names of fields that are set and that a host is not sent.

    Args:
        table: the key in FIELDS of the request's kind.
        settings: as read from the request.
        host: the host's protocol in the catalog.
    """
    table_fields = FIELDS[table]
    lost = _split_settings(settings, PROTOCOL_OF_LOCAL_SERVER.get(host, host), quirks)[1]
    return tuple(
        name for name, raw in _fields_by_name(fields, table) if _is_ignored(table_fields.get(name), name, raw, lost)
    )


def _is_ignored(field: RequestField | None, name: str, raw: bytes | memoryview, lost: set[str]) -> bool:
    if raw == b"null":
        return False
    if field is None:
        return True
    if field.fate in ("setting", "own"):
        return name in lost
    return field.fate == "ignored" and not (field.nothing and msgspec.json.decode(raw) in field.nothing)


def _fields_by_name(fields: Mapping[str, msgspec.Raw], table: str) -> Iterator[tuple[str, memoryview]]:
    """Yield fields by their names in the table, nested fields included."""
    for name, raw in fields.items():
        if name in _HOLDERS[table]:
            inner = memoryview(raw)
            try:
                found = msgspec.json.decode(inner, type=dict[str, msgspec.Raw])
            except msgspec.DecodeError:
                yield name, inner
            else:
                for each, value in found.items():
                    yield f"{name}.{each}", memoryview(value)
        else:
            yield name, memoryview(raw)


_HOLDERS = {
    protocol: frozenset(name.partition(".")[0] for name in fields if "." in name) for protocol, fields in FIELDS.items()
}


# Content that is not understood, by kind of request: requested, or part of an earlier answer. A quote inside a string
# is escaped, so text about citations does not match.
_NESTED: Mapping[str, Mapping[str, re.Pattern[bytes]]] = {
    "anthropic": {"citations": re.compile(rb'"citations"\s*:\s*(?:\{[^{}]*"enabled"\s*:\s*true|\[\s*\{)')},
}
# Marks for prompt caching (Anthropic's, adopted by others), wherever they occur. A plan may reorder or convert single
# blocks, so only marks at the end of tools, of the system prompt and of the conversation are passed on. A quote inside
# a string is escaped, so text about marks does not match.
_CACHE = b'"cache_control"'
_MARK = re.compile(rb'"cache_control"\s*:\s*\{[^{}]*"ephemeral"')


def ignored_content(body: bytes, table: str, carried: int = 0) -> tuple[str, ...]:
    """Return the names of nested content that is not understood.

    ``cache_control`` is among them if a body has more marks than are ``carried`` to the host.
    """
    lost = ("cache_control",) if _CACHE in body and len(_MARK.findall(body)) > carried else ()
    if table not in _NESTED:
        return lost
    nested = _NESTED[table].items()
    found = tuple(name for name, form in nested if b'"%b"' % name.encode() in body and form.search(body))
    return found + lost


def unenforced_tools(tools: Iterable[Tool], protocol: str) -> tuple[str, ...]:
    """Return ``tools.strict`` if strict tools are requested and the host's protocol cannot express them."""
    return ("tools.strict",) if protocol not in STRICT_TOOLS_PROTOCOLS and any(tool.strict for tool in tools) else ()


def unforwarded_fields(
    fields: Mapping[str, msgspec.Raw], settings: Settings, table: str, endpoint: Endpoint | None
) -> tuple[str, ...]:
    """Return the names of fields that the answering endpoint is not sent.

    ``endpoint``: None if no host is called.
    """
    if endpoint is None:
        return ignored_fields(table, fields, settings, "")
    return ignored_fields(table, fields, settings, endpoint.host.protocol, endpoint.host.quirks)
