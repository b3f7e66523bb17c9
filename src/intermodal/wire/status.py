"""From a failed reply (status, headers, body) to one of our errors. A table of rules; the first match decides.

Status and code decide wherever they say enough. Some servers say what matters only in prose (llama.cpp
answers an image it cannot take with a plain 500), so those sentences are rows too, each with the product
whose sentence it is. An upstream's words are quoted shortened, printable and without secrets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from intermodal import errors
from intermodal.content import Value

MAX_QUOTE = 300  # characters of an upstream's message that we pass on
MAX_RETRY_AFTER = 86_400.0  # seconds; more is said to be this
MAX_BODY = 1 << 20  # bytes of an error body that are looked at


class SchemaRefused(errors.CallError):
    """The endpoint cannot be held to this schema. It said so before it wrote anything."""

    code = "schema_refused"


class Reply(Value, frozen=True):
    """A failed reply, taken apart.

    ``status`` is the HTTP status, or the one its body names when the error came inside a 200.
    ``words`` is everything the upstream said, for matching; ``message`` the part fit to be shown.
    """

    status: int
    code: str = ""
    message: str = ""
    words: str = ""
    tokens: int | None = None
    limit: int | None = None
    delay: float | None = None  # seconds to wait, where the body says it and not a header


class Rule(Value, frozen=True):
    """Matches when every condition that is set holds; of ``codes`` and ``words`` one is enough."""

    error: type[errors.CallError]
    what: str
    todo: str = ""
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: str = ""
    sent: bool = True

    def matches(self, reply: Reply) -> bool:
        if self.statuses and reply.status not in self.statuses:
            return False
        if not self.codes and not self.words:
            return True
        if reply.code in self.codes:
            return True
        return bool(self.words) and re.search(self.words, reply.words, re.IGNORECASE) is not None


def _set(*names: str) -> frozenset[str]:
    return frozenset(names)


_REFUSING = frozenset({400, 403, 404, 415, 422, 451, 500, 501})
_ROUTES = "ask for another model, or let the planner convert the part first"

RULES: tuple[Rule, ...] = (
    Rule(  # OpenAI's 429 for an empty account is not a matter of waiting; 402 is OpenRouter's and DeepSeek's
        error=errors.CredentialsRefused,
        what="the account has no credit left",
        todo="check its plan and billing, or allow another host",
        codes=_set("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"),
    ),
    Rule(
        error=errors.CredentialsRefused,
        what="the account has no credit left",
        todo="check its plan and billing, or allow another host",
        statuses=frozenset({402}),
    ),
    Rule(  # OpenAI, Azure OpenAI
        error=errors.ContentRefused,
        what="refused for its content policy",
        statuses=frozenset({400, 403, 422, 451, 500}),
        codes=_set(
            "content_policy_violation",
            "content_filter",
            "responsibleaipolicyviolation",
            "moderation_blocked",
            "image_content_policy_violation",
            "invalid_prompt",
        ),
        words=r"content[ _](management )?policy|content[ _]filter|safety system|usage polic",
    ),
    Rule(  # llama.cpp; Ollama's cloud models; LM Studio; vLLM; OpenRouter; Ollama's /v1
        error=errors.UnsupportedModality,
        what="cannot take this kind of part",
        todo=_ROUTES,
        statuses=_REFUSING,
        words=r"(image|audio|video) input is not supported|does not support (image|audio|video|vision)"
        r"|at most 0 (image|audio|video)"
        r"|is not a multimodal model|no endpoints found that support \w+ input|invalid message format"
        r"|'?url'? field must be a base64|image_url is only supported by|not support(ed)? .{0,20}image_url",
    ),
    Rule(  # Anthropic; Gemini; llama.cpp; OpenAI; vLLM with xgrammar, guidance or outlines
        error=SchemaRefused,
        what="cannot be held to this schema",
        todo="use a simpler schema",
        statuses=frozenset({400, 422}),
        codes=_set("invalid_json_schema"),
        words=r"json.?schema|grammar|response_format|guided decoding|structured output"
        r"|output_config\.format|response_?schema|text\.format",
    ),
    Rule(  # OpenAI; llama.cpp; Anthropic; vLLM; Gemini; Ollama
        error=errors.ContextExceeded,
        what="the request is longer than the endpoint takes",
        todo="send less (--pages), or a model with a longer context",
        statuses=frozenset({400, 413, 422, 500}),
        codes=_set("context_length_exceeded", "exceed_context_size_error", "string_above_max_length"),
        words=r"maximum context length|exceeds the available context size|longer than the maximum model length"
        r"|prompt is too long|context (length|window|size) (is |was )?exceeded|input is too long"
        r"|input token count.{0,30}exceeds the maximum|input length.{0,40}exceeds.{0,20}context",
    ),
    Rule(
        error=errors.ContextExceeded,
        what="the request is larger than the endpoint takes",
        todo="send fewer or smaller files",
        statuses=frozenset({400, 413, 422}),
        codes=_set("request_too_large", "request_entity_too_large"),
        words=r"at most \d+ (image|audio|video)|too many images|(payload|request|file|body|entity) (is )?too large",
    ),
    Rule(
        error=errors.ContextExceeded,
        what="the request is larger than the endpoint takes",
        todo="send fewer or smaller files",
        statuses=frozenset({413}),
    ),
    Rule(
        error=errors.CredentialsRefused,
        what="does not accept our key",
        todo="check the key (intermodal doctor)",
        statuses=frozenset({401, 403}),
    ),
    Rule(  # Google's Gemini API
        error=errors.CredentialsRefused,
        what="does not accept our key",
        todo="check the key (intermodal doctor)",
        statuses=frozenset({400}),
        words=r"api key not valid|api key expired",
    ),
    Rule(error=errors.RateLimited, what="asks us to slow down", statuses=frozenset({429})),
    Rule(
        error=errors.Overloaded,
        what="is overloaded or still loading",
        todo="try again later, or allow another host",
        statuses=frozenset({503, 529}),
    ),
    Rule(error=errors.Overloaded, what="is overloaded", codes=_set("overloaded_error", "unavailable_error")),
    Rule(  # a gateway in between gave up; the request may well have reached the model (520 to 524: Cloudflare's)
        error=errors.Unreachable,
        what="did not answer the gateway in front of it",
        todo="try again later",
        statuses=frozenset({408, 499, 502, 504, 520, 521, 522, 523, 524}),
    ),
    Rule(
        error=errors.CallError,
        what="does not know this model or path",
        todo="check the model's name and the host's base_url",
        statuses=frozenset({404}),
    ),
    Rule(
        error=errors.CallError,
        what="answers with a redirect, which is not followed because it could carry the key elsewhere",
        todo="put the final address into the host's base_url",
        statuses=frozenset({300, 301, 302, 303, 307, 308}),
    ),
    Rule(error=errors.CallError, what="failed inside", statuses=frozenset(range(500, 600))),
    Rule(error=errors.CallError, what="refused the request"),
)

# Types that stand for a status, for errors inside a 200. OpenAI's, Anthropic's, llama.cpp's, vLLM's words.
_STATUS_OF_CODE: Mapping[str, int] = {
    "invalid_request_error": 400, "badrequesterror": 400, "authentication_error": 401, "permission_error": 403,
    "not_found_error": 404, "notfounderror": 404, "rate_limit_error": 429, "rate_limit_exceeded": 429, "tokens": 429,
    "server_error": 500, "api_error": 500, "internalservererror": 500, "not_supported_error": 501,
    "overloaded_error": 529, "unavailable_error": 503, "exceed_context_size_error": 400, "context_length_exceeded": 400,
    "insufficient_quota": 429, "content_filter": 400, "content_policy_violation": 400,
}  # fmt: skip


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes | Mapping[str, Any],
    endpoint: str,
    *,
    secrets: tuple[str, ...] = (),
    now: float | None = None,
) -> errors.CallError:
    """The error a failed reply stands for.

    Args:
        status: of HTTP; 200 for an error that came inside a good reply.
        headers: with lower-case names.
        body: as it came, or parsed.
        endpoint: becomes the error's ``where``.
        secrets: strings that must not be quoted (the key).
        now: seconds since the epoch, for a ``retry-after`` date without a ``date`` header beside it.
    """
    reply = parse(status, body)
    delay = retry_after(headers, now=now)
    rule = next(rule for rule in RULES if rule.matches(reply))
    what = rule.what
    if rule.error is errors.ContextExceeded and reply.tokens and reply.limit and reply.tokens > reply.limit:
        what = f"the request has {reply.tokens:,} tokens, the endpoint takes {reply.limit:,}"
    elif said := quote(reply.message, secrets):
        what = f'{what}: "{said}"'
    return rule.error(
        what,
        where=endpoint,
        todo=rule.todo,
        status=reply.status,
        retry_after=reply.delay if delay is None else delay,
        sent=rule.sent,
    )


def parse(status: int, body: bytes | Mapping[str, Any]) -> Reply:
    """Take a reply apart, whatever shape its error has."""
    tree: Any = body
    if isinstance(body, bytes):
        try:
            tree = msgspec.json.decode(body[:MAX_BODY])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            text = body[:4096].decode("utf-8", "replace")
            # An error page of a proxy is no message for anybody.
            return Reply(status=status, message="" if "<" in text else text, words=text)
    while isinstance(tree, list) and tree:  # Google's gateways wrap errors in a list
        tree = tree[0]
    top: Mapping[str, Any] = tree if isinstance(tree, Mapping) else {}
    error = top.get("error") or top.get("detail") or top.get("errors") or top
    if isinstance(error, list) and error:  # FastAPI: what was wrong; never its "input", which is our request
        error = error[0]
    if isinstance(error, str):  # LM Studio, Ollama
        return Reply(status=_status(status, top, {}), message=error, words=error)
    inner: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    message = _text(inner.get("message") or inner.get("msg") or top.get("message"))
    metadata = inner.get("metadata")  # OpenRouter: the provider's own error
    raw = _text(metadata.get("raw")) if isinstance(metadata, Mapping) else ""
    numbers = _numbers(inner, message)
    return Reply(
        status=_status(status, top, inner),
        code=_code(inner),
        message=message,
        words=f"{message} {raw}",
        tokens=numbers[0],
        limit=numbers[1],
        delay=_delay(inner.get("details")),
    )


def _delay(details: Any) -> float | None:
    """Google's ``RetryInfo``: a duration such as "34.07s"."""
    for detail in details if isinstance(details, list) else ():
        told = detail.get("retryDelay") if isinstance(detail, Mapping) else None
        found = _NUMBER.fullmatch(told[:40]) if isinstance(told, str) else None
        if found and (seconds := float(found[1])) >= 0:
            return min(seconds, MAX_RETRY_AFTER)
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _code(inner: Mapping[str, Any]) -> str:
    """The most telling word: a code outranks a type; numbers are statuses, not codes."""
    nested = inner.get("innererror")  # Azure OpenAI
    candidates = [nested.get("code") if isinstance(nested, Mapping) else None, inner.get("code"), inner.get("type")]
    return next((word.lower() for word in candidates if isinstance(word, str) and word and not word.isdigit()), "")


def _status(status: int, top: Mapping[str, Any], inner: Mapping[str, Any]) -> int:
    if not 200 <= status < 300:
        return status
    for value in (inner.get("code"), inner.get("status"), top.get("code"), top.get("status")):
        number = int(value) if isinstance(value, (int, str)) and str(value).isdecimal() and len(str(value)) == 3 else 0
        if 400 <= number < 600:
            return number
    for word in (inner.get("code"), inner.get("type")):
        if isinstance(word, str) and word.lower() in _STATUS_OF_CODE:
            return _STATUS_OF_CODE[word.lower()]
    return 500


_NUMBERS = (
    # (tokens asked, limit): llama.cpp; Gemini; Anthropic; OpenAI and vLLM (limit first)
    re.compile(r"\((?P<tokens>\d[\d,]*) tokens\) exceeds the available context size \((?P<limit>\d[\d,]*)"),
    re.compile(r"token count \((?P<tokens>\d[\d,]*)\) exceeds the maximum.{0,40}\((?P<limit>\d[\d,]*)\)"),
    re.compile(r"too long: (?P<tokens>\d[\d,]*) tokens > (?P<limit>\d[\d,]*)"),
    re.compile(
        r"maximum context length (?:is|of) (?P<limit>\d[\d,]*) tokens?.{0,80}?"
        r"(?:requested|resulted in|contains at least|has) (?:about )?(?P<tokens>\d[\d,]*)"
    ),
)


def _numbers(inner: Mapping[str, Any], message: str) -> tuple[int | None, int | None]:
    tokens, limit = inner.get("n_prompt_tokens"), inner.get("n_ctx")
    if isinstance(tokens, int) and isinstance(limit, int):
        return tokens, limit
    for pattern in _NUMBERS:
        if found := pattern.search(message[:2000]):
            return int(found["tokens"].replace(",", "")[:12]), int(found["limit"].replace(",", "")[:12])
    return None, None


# ---- what may be quoted ------------------------------------------------------------------------

_HIDE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"""['"]input['"]\s*:.*""", re.DOTALL), "…"),  # pydantic echoes what it was given
    (re.compile(r"data:[\w/+.-]+;base64,\S*"), "(media)"),
    (re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE), r"\1 (hidden)"),
    (re.compile(r"\b(sk|pk|rk|key|gsk|xai|hf)[-_][\w*.-]{6,}|\bAIza[\w*-]{6,}"), "(hidden)"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "(address)"),
    (re.compile(r"(?<![\w:/.])/(?:home|root|tmp|var|usr|Users|opt|mnt|private|data|srv|work)/[^\s'\",;)]*"), "(path)"),
    (re.compile(r"\b[A-Za-z]:\\[^\s'\",;)]*"), "(path)"),
    (re.compile(r"[A-Za-z0-9+/=_-]{48,}"), "(hidden)"),  # keys of a kind not known here, and base64
)


def quote(text: str, secrets: tuple[str, ...] = ()) -> str:
    """An upstream's words, fit to be shown: one line, printable, short, no secrets, no paths."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "(hidden)")
    text = text[: 20 * MAX_QUOTE]
    for pattern, instead in _HIDE:
        text = pattern.sub(instead, text)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    text = text.rstrip(".")
    return text if len(text) <= MAX_QUOTE else text[: MAX_QUOTE - 1] + "…"


# ---- when to come back -------------------------------------------------------------------------

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?)\s*(ms|s)?\s*", re.IGNORECASE)


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds the server asks us to wait, 0 … a day; None when it said nothing usable or nothing in the future."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")[:200]
        if not value:
            continue
        if found := _NUMBER.fullmatch(value):
            seconds = float(found[1]) * {"ms": 0.001, "s": 1.0}.get((found[2] or "").lower(), unit)
        else:
            seconds = _until(value, headers.get("date", ""), now)
        if seconds >= 0:  # False for NaN
            return min(seconds, MAX_RETRY_AFTER)
    return None


def _until(value: str, date: str, now: float | None) -> float:
    """Seconds from the reply's own ``date`` (their clock, not ours) until an HTTP date; NaN when either is missing."""
    then, base = _epoch(value), _epoch(date)
    if base is None:
        base = now
    return math.nan if then is None or base is None else then - base


def _epoch(value: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
