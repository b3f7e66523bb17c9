"""Classification of a failed reply (status, headers, body) as one of our errors, by the table in ``rules.py``.

A host's message is quoted shortened, printable and without secrets. HTML in place of an answer is an error, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from intermodal import errors
from intermodal.protocols.errors.error_rules import (
    ERROR_RULES,
    MODALITY_PATTERNS,
    STATUS_BY_CODE,
    ErrorRule,
    FailedReply,
    SchemaRefused,
)
from intermodal.protocols.errors.retry_after import MAX_RETRY_AFTER, retry_after, retry_after_in_body, should_retry

__all__ = [
    "MAX_QUOTE",
    "MAX_RETRY_AFTER",
    "FailedReply",
    "SchemaRefused",
    "classify",
    "parse_failed_reply",
    "quote",
    "retry_after",
]
MAX_QUOTE = 300  # characters of a host's message that are quoted
MAX_BODY = 1 << 20  # bytes of an error body that are read


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes | Mapping[str, Any],
    endpoint: str,
    *,
    secrets: tuple[str, ...] = (),
    now: float | None = None,
) -> errors.CallError:
    """Return the error that a failed reply stands for.

    Args:
        status: the HTTP status; 200 for an error inside a successful reply.
        headers: with lower-case names.
        body: as received, or parsed.
        endpoint: becomes the error's ``where``.
        secrets: strings that must not be quoted (the API key).
        now: seconds since the epoch, for a ``retry-after`` date in a reply without a ``date`` header.
    """
    reply = parse_failed_reply(status, body)
    delay = retry_after(headers, now=now)
    row = next(row for row in ERROR_RULES if row.matches(reply))
    what = row.what
    if row.error is errors.ContextExceeded and reply.tokens and reply.limit and reply.tokens > reply.limit:
        what = f"the request has {reply.tokens:,} tokens, the endpoint takes {reply.limit:,}"
    elif said := quote(reply.message, secrets):
        what = f'{what}: "{said}"'
    delay = reply.delay if delay is None else delay
    todo = row.todo.replace("later", f"in {delay:,.0f} s", 1) if delay is not None and delay >= 1 else row.todo
    error = row.error(what, where=endpoint, todo=todo, status=reply.status, retry_after=delay)
    error.retry = row.retry or error.retry
    error.billing = "billed" if reply.charged else row.billing or error.billing
    error.resendable = should_retry(headers)
    error.limit = _limit(row, reply)
    if isinstance(error, errors.UnsupportedModality):
        error.kind = _kind(reply.words)
    return error


def _kind(words: str) -> str:
    """Return the modality that the host refused, by the first word for one in its message; "" where there is none."""
    found = [
        (match.start(), kind)
        for pattern, kind in MODALITY_PATTERNS
        if (match := re.search(pattern, words, re.IGNORECASE))
    ]
    return min(found)[1] if found else ""


def _limit(row: ErrorRule, reply: FailedReply) -> int | None:
    if row.error is errors.ContextExceeded:
        return reply.limit
    files = re.search(r"at most (\d{1,6}) image", reply.words, re.IGNORECASE)
    return int(files[1]) if row.error is errors.RequestTooLarge and files else None


def parse_failed_reply(status: int, body: bytes | Mapping[str, Any]) -> FailedReply:
    """Return a failed reply's parts, whatever the shape of its error."""
    tree: Any = body
    if isinstance(body, bytes):
        try:
            tree = msgspec.json.decode(body[:MAX_BODY])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            text = body[:4096].decode("utf-8", "replace")
            # A proxy's error page is no message for a user.
            return FailedReply(status=status, message="" if "<" in text else text, words=text)
    while isinstance(tree, list) and tree:  # Google's gateways wrap errors in a list
        tree = tree[0]
    top: Mapping[str, Any] = tree if isinstance(tree, Mapping) else {}
    error = top.get("error") or top.get("detail") or top.get("errors") or top
    if isinstance(error, list) and error:  # FastAPI: the first error; never its "input", which repeats our request
        error = error[0]
    if isinstance(error, str):  # LM Studio, Ollama
        tokens, limit = _numbers({}, error)
        return FailedReply(
            status=_status(status, top, {}), message=error, words=error, tokens=tokens, limit=limit,
            delay=retry_after_in_body({}, error),
        )  # fmt: skip
    inner: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    message = _text(inner.get("message") or inner.get("msg") or top.get("message"))
    metadata = inner.get("metadata")  # OpenRouter: the provider's own error
    raw = _text(metadata.get("raw")) if isinstance(metadata, Mapping) else ""
    numbers = _numbers(inner, message)
    usage = top.get("usage")
    return FailedReply(
        status=_status(status, top, inner),
        code=_code(inner),
        message=message,
        words=f"{message} {raw} {_quotas(inner.get('details'))}",
        tokens=numbers[0],
        limit=numbers[1],
        delay=retry_after_in_body(inner, message),
        charged=isinstance(usage, Mapping) and any(isinstance(number, int) and number > 0 for number in usage.values()),
    )


def _quotas(details: Any) -> str:
    """Return the names of Google's exhausted quotas."""
    found: list[str] = []
    for detail in details if isinstance(details, list) else ():
        violations = detail.get("violations") if isinstance(detail, Mapping) else None
        for violation in violations if isinstance(violations, list) else ():
            found.append(_text(violation.get("quotaId")) if isinstance(violation, Mapping) else "")
    return " ".join(found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _code(inner: Mapping[str, Any]) -> str:
    """Return the most specific code: a code outranks a type; a number is a status, not a code."""
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
    for word in (inner.get("code"), inner.get("type"), inner.get("status"), top.get("code")):
        if isinstance(word, str) and word.lower() in STATUS_BY_CODE:
            return STATUS_BY_CODE[word.lower()]
    return 500


_NUMBERS = (
    # (tokens of the request, limit): llama.cpp; Gemini; Anthropic; OpenAI and vLLM (limit first); LM Studio
    re.compile(r"\((?P<tokens>\d[\d,]*) tokens\) exceeds the available context size \((?P<limit>\d[\d,]*)"),
    re.compile(r"token count \((?P<tokens>\d[\d,]*)\) exceeds the maximum.{0,40}\((?P<limit>\d[\d,]*)\)"),
    re.compile(r"too long: (?P<tokens>\d[\d,]*) tokens > (?P<limit>\d[\d,]*)"),
    re.compile(
        r"maximum context length (?:is|of) (?P<limit>\d[\d,]*) tokens?.{0,80}?"
        r"(?:requested|resulted in|contains at least|has) (?:about )?(?P<tokens>\d[\d,]*)"
    ),
    re.compile(r"first (?P<tokens>\d[\d,]*) tokens.{0,80}context length of only (?P<limit>\d[\d,]*) tokens"),
)


def _numbers(inner: Mapping[str, Any], message: str) -> tuple[int | None, int | None]:
    tokens, limit = inner.get("n_prompt_tokens"), inner.get("n_ctx")
    if isinstance(tokens, int) and isinstance(limit, int):
        return tokens, limit
    for pattern in _NUMBERS:
        if found := pattern.search(message[:2000]):
            return int(found["tokens"].replace(",", "")[:12]), int(found["limit"].replace(",", "")[:12])
    return None, None


# ---- quoting ------------------------------------------------------------------------

_HIDE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"""['"]input['"]\s*:.*""", re.DOTALL), "…"),  # pydantic repeats its input
    (re.compile(r"data:[\w/+.-]+;base64,\S*"), "(media)"),
    (re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE), r"\1 (hidden)"),
    (re.compile(r"\b(sk|pk|rk|key|gsk|xai|hf)[-_][\w*.-]{6,}|\bAIza[\w*-]{6,}"), "(hidden)"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "(address)"),
    (re.compile(r"(?<![\w:/.])/(?:home|root|tmp|var|usr|Users|opt|mnt|private|data|srv|work)/[^\s'\",;)]*"), "(path)"),
    (re.compile(r"\b[A-Za-z]:\\[^\s'\",;)]*"), "(path)"),
    (re.compile(r"[A-Za-z0-9+/=_-]{48,}"), "(hidden)"),  # keys of a kind not known here, and base64
)


def quote(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return a host's message fit for display: one line, printable, short, without secrets or paths."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "(hidden)")
    text = text[: 20 * MAX_QUOTE]
    for pattern, instead in _HIDE:
        text = pattern.sub(instead, text)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    text = text.rstrip(".")
    return text if len(text) <= MAX_QUOTE else text[: MAX_QUOTE - 1] + "…"


# ---- HTML in place of an answer ------------------------------------------------------------------
# A base_url that leads elsewhere, a login page, a proxy's own error. Servers send it with status 200, and some with
# headers that announce JSON or an event stream. Another endpoint may answer, so the error allows another route.

_TODO = "check the host's base_url"


def announces_web_page(headers: Mapping[str, str]) -> bool:
    """Return whether the headers (with lower-case names) announce a web page."""
    return headers.get("content-type", "").lower().startswith("text/html")


def begins_with_markup(data: bytes) -> bool:
    """Return whether a body begins with markup: no JSON and no event stream begins so."""
    return data[:1] == b"<"


def web_page_error(endpoint: str, status: int = 200) -> errors.CallError:
    """Return the error for a reply whose headers announce a web page."""
    return _error("answered with a web page and not as a model's server does", endpoint, status)


def markup_error(endpoint: str, status: int = 200) -> errors.CallError:
    """Return the error for a reply whose body is markup, whatever its headers claim."""
    return _error("answered with markup, as of a web page, and not as a model's server does", endpoint, status)


def _error(what: str, endpoint: str, status: int) -> errors.CallError:
    return errors.CallError(what, where=endpoint, todo=_TODO, status=status)
