"""Classification of a failed reply (status, headers, body) as one of our errors, by the table ``ERROR_RULES``.

A host's message is quoted shortened, printable and without secrets. HTML in place of an answer is an error, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from intermodal import errors
from intermodal.core.content import Value
from intermodal.errors import Billing, Retry
from intermodal.protocols.errors.retry_after import retry_after, retry_after_in_body, should_retry
from intermodal.protocols.framing.json_body import as_list, as_mapping, as_text

# The meaning of a failed reply, as a table: (status, code, text) -> error, whether a retry may follow, whether it is
# billed.
#
# Status and code decide wherever they suffice. Some servers report the cause only in prose (llama.cpp answers an image
# that it cannot accept with a plain 500), so those sentences are rows too, each with the products that write them. The
# first matching row decides; ``executor/attempt/retry.py`` acts on ``retry``. ``docs/reliability.md`` shows this table.


E = TypeVar("E", bound=errors.IntermodalError)
_SECRET_PREFIX = 8  # characters of the shortest quoted key prefix that is hidden


class SchemaRefused(errors.CallError):
    """The endpoint cannot enforce this schema, and reported it before generating anything."""

    code = "schema_refused"
    _retry = "never"  # the schema goes into the prompt instead, for the same endpoint
    _billing = "free"


class FailedReply(Value, frozen=True):
    """The parts of a failed reply.

    Attributes:
        status: the HTTP status, or the status that the body names for an error inside a 200.
        words: all text of the error, for matching. message: the part fit for display.
        tokens, limit: the request's tokens and the endpoint's limit, if the error states them.
        delay: seconds to wait, if the body and not a header states them.
        charged: the body counts tokens that were used.
    """

    status: int
    code: str = ""
    message: str = ""
    words: str = ""
    tokens: int | None = None
    limit: int | None = None
    delay: float | None = None  # seconds to wait, stated in the body instead of a header
    charged: bool = False  # the body counts tokens that were used


class ErrorRule(Value, frozen=True):
    """A row of the table. It matches if every condition that is set holds; of ``codes`` and ``words`` one suffices.

    Attributes:
        product: the product whose code or sentence it is, "" for HTTP itself.
        retry, billing: override those of the error's class.
    """

    error: type[errors.CallError]
    what: str
    todo: str = ""
    product: str = ""
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: str = ""
    retry: Retry | None = None
    billing: Billing | None = None

    def matches(self, reply: FailedReply) -> bool:
        """Return True if the rule applies to a reply."""
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
_TOO_LONG = frozenset({400, 413, 422, 500})
_FAILING = frozenset(range(500, 600))
_ROUTES = "ask for another model, or let the planner convert the part first"
_NO_CREDIT = "the account has no credit left"
_BILLING = "check its plan and billing, or allow another host"
_KEY = "check the key (intermodal doctor)"
_LATER = "try again later, or allow another host"
_SHORTER = "send less (a shorter text, fewer pages), or a model with a longer context"
_MODEL = "check the model's name and the host's base_url"
_SMALLER = "send fewer or smaller files"

ERROR_RULES: tuple[ErrorRule, ...] = (
    # ---- the account: waiting does not help, another host may
    ErrorRule(
        error=errors.CredentialsRefused, what=_NO_CREDIT, todo=_BILLING, product="OpenAI (429), DeepSeek",
        codes=_set("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"),
    ),
    ErrorRule(
        error=errors.CredentialsRefused, what=_NO_CREDIT, todo=_BILLING, product="OpenRouter, DeepSeek, Anthropic",
        statuses=frozenset({402}),
    ),
    ErrorRule(
        error=errors.CredentialsRefused, what=_NO_CREDIT, todo=_BILLING, product="Anthropic (400)",
        statuses=frozenset({400, 403}), words=r"credit balance is too low|specified api usage limits",
    ),
    # ---- refusals of content: the reason is passed on, no other host is called
    ErrorRule(
        error=errors.ContentRefused, what="refused for its content policy",
        product="OpenAI, Azure OpenAI, OpenRouter (403)", billing="free",
        statuses=frozenset({400, 403, 422, 451, 500}),
        codes=_set(
            "content_policy_violation", "content_filter", "responsibleaipolicyviolation", "moderation_blocked",
            "image_content_policy_violation", "invalid_prompt",
        ),
        words=r"content[ _](management )?policy|content[ _]filter|safety system|usage polic|requires moderation",
    ),
    # ---- an unsupported kind of part: planned around, never sent there again
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        product="llama.cpp, Gemini", words=r"(image|audio|video) inputs? (modality )?(is|are) not (supported|enabled)",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        product="LM Studio, Ollama's cloud, Bedrock",
        words=r"do(es)?(n't| not) support (the )?(image|audio|video|vision|multimodal|transcriptions)"
        r"|'?url'? field must be a base64",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        product="vLLM", words=r"is not a multimodal model|at most 0 (image|audio|video)",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        product="OpenRouter", words=r"no endpoints found that support \w+ input",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        product="Ollama", words=r"invalid message format|missing data required for (image|audio) input",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        product="OpenAI, DeepSeek, Groq",
        words=r"image_url is only supported by|not support(ed)? .{0,20}(image_url|input_audio)"
        r"|unknown variant .?(image_url|input_audio|video_url|file)|messages\S* ?content must be a string",
    ),
    # ---- a schema that cannot be enforced: it goes into the prompt instead
    ErrorRule(
        error=SchemaRefused, what="cannot be held to this schema", todo="use a simpler schema",
        product="Anthropic, Gemini, llama.cpp, OpenAI, vLLM", statuses=frozenset({400, 422}),
        codes=_set("invalid_json_schema"),
        words=r"json.?schema|grammar|response_format|guided decoding|structured output"
        r"|output_config\.format|response_?schema|text\.format",
    ),
    # ---- size: the same request would be refused again
    ErrorRule(
        error=errors.ContextExceeded, what="the request is longer than the endpoint takes", todo=_SHORTER,
        product="OpenAI, llama.cpp, Anthropic, vLLM, Gemini, Ollama, LM Studio", statuses=_TOO_LONG,
        codes=_set("context_length_exceeded", "exceed_context_size_error", "string_above_max_length"),
        words=r"maximum context length|exceeds the available context size|longer than the maximum model length"
        r"|prompt is too long|context (length|window|size) (is |was )?exceeded|input is too long"
        r"|input token count.{0,30}exceeds the maximum|input length.{0,40}exceeds.{0,20}context"
        r"|loaded with context length of only|exceed context limit",
    ),
    ErrorRule(
        error=errors.RequestTooLarge, what="the request is larger than the endpoint takes", todo=_SMALLER,
        product="vLLM, Anthropic, OpenAI, Azure", statuses=_TOO_LONG,
        codes=_set("request_too_large", "request_entity_too_large"),
        words=r"at most \d+ (image|audio|video)|too many images"
        r"|(payload|request|file|body|entity) (size )?(is )?too large|request payload size exceeds"
        r"|image exceeds .{0,20}maximum|image dimensions exceed|maximum of \d+ pdf pages",
    ),
    ErrorRule(
        error=errors.RequestTooLarge, what="the request is larger than the account may send at once", todo=_SMALLER,
        product="OpenAI, Groq (413)", statuses=frozenset({413, 429}),
        words=r"request too large for .{0,200}(tokens|tpm)",
    ),
    ErrorRule(
        error=errors.RequestTooLarge, what="the request is larger than the endpoint takes", todo=_SMALLER,
        statuses=frozenset({413}),
    ),
    # ---- keys
    ErrorRule(
        error=errors.CredentialsRefused, what="does not accept our key", todo=_KEY, statuses=frozenset({401, 403}),
    ),
    ErrorRule(
        error=errors.CredentialsRefused, what="does not accept our key", todo=_KEY, product="Gemini",
        statuses=frozenset({400}), words=r"api key not valid|api key expired",
    ),
    # ---- too fast
    ErrorRule(  # its RetryInfo states a few seconds nevertheless
        error=errors.RateLimited, what="has answered all that this account may ask it in a day", retry="reroute",
        product="Gemini, OpenRouter, OpenAI", todo="wait until tomorrow, or allow another host",
        statuses=frozenset({429}),
        words=r"perday|per-day|per day",
    ),
    ErrorRule(error=errors.RateLimited, what="asks us to slow down", todo=_LATER, statuses=frozenset({429})),
    # ---- a local runtime in trouble
    ErrorRule(
        error=errors.Overloaded, what="has too little memory for this model", retry="reroute",
        todo="free memory, or choose a smaller model", product="Ollama, LM Studio, vLLM",
        statuses=frozenset({400, 500, 503}),
        words=r"requires more system memory|insufficient system resources|out of memory",
    ),
    ErrorRule(
        error=errors.RuntimeCrashed, what="its model crashed", todo="see the server's log",
        product="Ollama, LM Studio, vLLM", statuses=frozenset({400, 500, 503}),
        words=r"runner (process has|process no longer)"
        r"|model (runner )?has (unexpectedly stopped|crashed)|enginecore encountered|enginedeaderror",
    ),
    ErrorRule(
        error=errors.Overloaded, what="has no model loaded", todo="load one in it", retry="reroute",
        product="LM Studio",
        statuses=frozenset({400, 404}), words=r"no models? (is |are )?(currently )?loaded",
    ),
    # ---- a model that the host has retired or never had: a fact about the endpoint, so that another one may serve
    ErrorRule(
        error=errors.CallError, what="does not serve this model", retry="reroute", billing="free", todo=_MODEL,
        product="OpenAI, Groq, DeepSeek", statuses=frozenset({400, 404, 410}),
        codes=_set("model_not_found", "model_decommissioned"), words=r"the supported api model names are",
    ),
    # ---- overloaded
    ErrorRule(
        error=errors.Overloaded, what="is overloaded or still loading",
        todo=_LATER, statuses=frozenset({503, 529}),
    ),
    # ---- the request may well have reached the model (520 to 524: Cloudflare's)
    ErrorRule(
        error=errors.Unreachable, what="did not answer the gateway in front of it", todo="try again later",
        billing="maybe", statuses=frozenset({408, 499, 502, 504, 520, 521, 522, 523, 524}),
    ),
    # ---- nothing more is known
    ErrorRule(
        error=errors.CallError, what="does not know this model or path", retry="reroute", billing="free", todo=_MODEL,
        statuses=frozenset({404, 410}),
    ),
    ErrorRule(
        error=errors.CallError, retry="never", billing="free",
        what="answers with a redirect, which is not followed because it could carry the key elsewhere",
        todo="put the final address into the host's base_url", statuses=frozenset({300, 301, 302, 303, 307, 308}),
    ),
    ErrorRule(
        error=errors.CallError, what="does not do this", retry="reroute", billing="free", statuses=frozenset({501}),
    ),
    ErrorRule(error=errors.CallError, what="failed inside", todo=_LATER, statuses=_FAILING, retry="once",
              billing="maybe"),
    ErrorRule(error=errors.CallError, what="refused the request", retry="never", billing="free"),
)  # fmt: skip

# Error types that imply a status, for errors inside a 200 and within a stream: OpenAI's, Anthropic's, Gemini's
# (gRPC's), llama.cpp's, vLLM's, in lower case.
_STATUS_BY_CODE = {
    "invalid_request_error": 400, "badrequesterror": 400, "authentication_error": 401, "billing_error": 402,
    "permission_error": 403, "not_found_error": 404, "notfounderror": 404, "request_too_large": 413,
    "rate_limit_error": 429, "rate_limit_exceeded": 429, "requests": 429, "tokens": 429, "insufficient_quota": 429,
    "server_error": 500, "api_error": 500, "internalservererror": 500, "internal_server_error": 500,
    "not_supported_error": 501, "unavailable_error": 503, "service_unavailable": 503, "timeout_error": 504,
    "overloaded_error": 529, "exceed_context_size_error": 400, "context_length_exceeded": 400, "content_filter": 400,
    "content_policy_violation": 400, "invalid_argument": 400, "failed_precondition": 400, "permission_denied": 403,
    "not_found": 404, "resource_exhausted": 429, "cancelled": 499, "internal": 500, "unknown": 500, "unavailable": 503,
    "deadline_exceeded": 504,
}  # fmt: skip

# Modalities that a host does not accept, by the first word that names one.
MODALITY_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"\baudio|input_audio|transcriptions", "audio"),
    (r"\bvideo", "video"),
    (r"\bpdf\b|\bdocument|variant .?file", "document"),
    (r"image|vision|mmproj", "image"),
)


MAX_QUOTE = 300  # characters of a quoted host message
_MAX_BODY = 1 << 20  # bytes of an error body that are read


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes | Mapping[str, Any],
    endpoint: str,
    *,
    secrets: tuple[str, ...] = (),
    now: float | None = None,
) -> errors.CallError:
    """Return the error for a failed reply.

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
    elif quoted := quote(reply.message, secrets):
        what = f'{what}: "{quoted}"'
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
    """Return the modality that the host refused, by the first word for one in its message; "" if there is none."""
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
            tree = msgspec.json.decode(body[:_MAX_BODY])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            text = body[:4096].decode("utf-8", "replace")
            # A proxy's error page is not a message for a user.
            return FailedReply(status=status, message="" if "<" in text else text, words=text)
    while isinstance(tree, list) and tree:  # Google's gateways wrap errors in a list
        tree = tree[0]
    top = as_mapping(tree)
    error = top.get("error") or top.get("detail") or top.get("errors") or top
    if isinstance(error, list) and error:  # FastAPI: the first error; never its "input", which repeats our request
        error = error[0]
    if isinstance(error, str):  # LM Studio, Ollama
        tokens, limit = _limit_and_amount({}, error)
        return FailedReply(
            status=_status(status, top, {}), message=error, words=error, tokens=tokens, limit=limit,
            delay=retry_after_in_body({}, error),
        )  # fmt: skip
    inner = as_mapping(error)
    message = as_text(inner.get("message") or inner.get("msg") or top.get("message"))
    raw = as_text(as_mapping(inner.get("metadata")).get("raw"))  # OpenRouter: the provider's own error
    numbers = _limit_and_amount(inner, message)
    return FailedReply(
        status=_status(status, top, inner),
        code=_code(inner),
        message=message,
        words=f"{message} {raw} {_quotas(inner.get('details'))}",
        tokens=numbers[0],
        limit=numbers[1],
        delay=retry_after_in_body(inner, message),
        charged=any(isinstance(number, int) and number > 0 for number in as_mapping(top.get("usage")).values()),
    )


def _quotas(details: Any) -> str:
    """Return the names of Google's exhausted quotas."""
    violations = (each for detail in as_list(details) for each in as_list(as_mapping(detail).get("violations")))
    return " ".join(as_text(as_mapping(violation).get("quotaId")) for violation in violations)


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
        if isinstance(word, str) and word.lower() in _STATUS_BY_CODE:
            return _STATUS_BY_CODE[word.lower()]
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


def _limit_and_amount(inner: Mapping[str, Any], message: str) -> tuple[int | None, int | None]:
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


def hide_key(error: E, key: str) -> E:
    """Remove an API key from the text of an error, which may quote a part of it; return the error."""
    if key:
        texts = error.hints
        error.what, error.todo = (_mask_key(text, key) for text in (texts.what, texts.todo))
    return error


def _mask_key(text: str, key: str) -> str:
    if key[:_SECRET_PREFIX] not in text:
        return text  # with its hints, if it has any
    for length in range(len(key), min(len(key), _SECRET_PREFIX) - 1, -1):
        text = text.replace(key[:length], "(hidden)")
    return text


# ---- HTML in place of an answer ------------------------------------------------------------------
# A base_url that leads elsewhere, a login page, a proxy's own error. Servers send it with status 200, and some with
# headers that announce JSON or an event stream. Another endpoint may answer, so the error allows another route.
_TODO = "check the host's base_url"


def announces_web_page(headers: Mapping[str, str]) -> bool:
    """Return True if the headers (with lower-case names) announce a web page."""
    return headers.get("content-type", "").lower().startswith("text/html")


def begins_with_markup(data: bytes) -> bool:
    """Return True if a body begins with markup, as no JSON or event stream does."""
    return data[:1] == b"<"


def web_page_error(endpoint: str, status: int = 200) -> errors.CallError:
    """Return the error for a reply whose headers announce a web page."""
    return _error("answered with a web page and not as a model's server does", endpoint, status)


def markup_error(endpoint: str, status: int = 200) -> errors.CallError:
    """Return the error for a reply whose body is markup, whatever its headers claim."""
    return _error("answered with markup, as of a web page, and not as a model's server does", endpoint, status)


def _error(what: str, endpoint: str, status: int) -> errors.CallError:
    return errors.CallError(what, where=endpoint, todo=_TODO, status=status)
