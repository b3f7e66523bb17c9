"""The meaning of a failed reply, as a table: (status, code, text) -> error, whether a retry may follow, whether it is
billed.

Status and code decide wherever they suffice. Some servers report the cause only in prose (llama.cpp answers an image
that it cannot take with a plain 500), so those sentences are rows too, each with the products that write them. The
first matching row decides; ``executor/attempt/retry.py`` acts on ``retry``. ``docs/reliability.md`` shows this table.
"""

from __future__ import annotations

import re

from intermodal import errors
from intermodal.content import Value
from intermodal.errors import Billing, Retry


class SchemaRefused(errors.CallError):
    """The endpoint cannot enforce this schema, and reported it before it wrote anything."""

    code = "schema_refused"
    _retry = "never"  # the schema goes into the prompt instead, for the same endpoint
    _billing = "free"


class FailedReply(Value, frozen=True):
    """The parts of a failed reply.

    Attributes:
        status: the HTTP status, or the one that the body names for an error inside a 200.
        words: all text of the error, for matching. message: the part fit for display.
        tokens, limit: the request's tokens and the endpoint's limit, where the error gives them.
        delay: seconds to wait, where the body and not a header gives them.
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
    """A row of the table. It matches where every condition that is set holds; one of ``codes`` and ``words`` suffices.

    Attributes:
        by: the product whose code or sentence it is, "" for HTTP itself.
        retry, billing: override those of the error's class.
    """

    error: type[errors.CallError]
    what: str
    todo: str = ""
    by: str = ""
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: str = ""
    retry: Retry | None = None
    billing: Billing | None = None

    def matches(self, reply: FailedReply) -> bool:
        """Return whether the rule applies to a reply."""
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
_SMALLER = "send fewer or smaller files"

ERROR_RULES: tuple[ErrorRule, ...] = (
    # ---- the account: no waiting helps, another host may
    ErrorRule(
        error=errors.CredentialsRefused, what=_NO_CREDIT, todo=_BILLING, by="OpenAI (429), DeepSeek",
        codes=_set("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"),
    ),
    ErrorRule(
        error=errors.CredentialsRefused, what=_NO_CREDIT, todo=_BILLING, by="OpenRouter, DeepSeek, Anthropic",
        statuses=frozenset({402}),
    ),
    ErrorRule(
        error=errors.CredentialsRefused, what=_NO_CREDIT, todo=_BILLING, by="Anthropic (400)",
        statuses=frozenset({400, 403}), words=r"credit balance is too low|specified api usage limits",
    ),
    # ---- refusals of content: the reason is passed on, no other host is called
    ErrorRule(
        error=errors.ContentRefused, what="refused for its content policy",
        by="OpenAI, Azure OpenAI, OpenRouter (403)", billing="free",
        statuses=frozenset({400, 403, 422, 451, 500}),
        codes=_set(
            "content_policy_violation", "content_filter", "responsibleaipolicyviolation", "moderation_blocked",
            "image_content_policy_violation", "invalid_prompt",
        ),
        words=r"content[ _](management )?policy|content[ _]filter|safety system|usage polic|requires moderation",
    ),
    # ---- a kind of part that is not taken: planned around, never sent there again
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        by="llama.cpp, Gemini", words=r"(image|audio|video) inputs? (modality )?(is|are) not (supported|enabled)",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        by="LM Studio, Ollama's cloud, Bedrock",
        words=r"do(es)?(n't| not) support (the )?(image|audio|video|vision|multimodal|transcriptions)"
        r"|'?url'? field must be a base64",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        by="vLLM", words=r"is not a multimodal model|at most 0 (image|audio|video)",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        by="OpenRouter", words=r"no endpoints found that support \w+ input",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        by="Ollama", words=r"invalid message format|missing data required for (image|audio) input",
    ),
    ErrorRule(
        error=errors.UnsupportedModality, what="cannot take this kind of part", todo=_ROUTES, statuses=_REFUSING,
        by="OpenAI, DeepSeek, Groq",
        words=r"image_url is only supported by|not support(ed)? .{0,20}(image_url|input_audio)"
        r"|unknown variant .?(image_url|input_audio|video_url|file)|messages\S* ?content must be a string",
    ),
    # ---- a schema that cannot be forced: it goes into the prompt instead
    ErrorRule(
        error=SchemaRefused, what="cannot be held to this schema", todo="use a simpler schema",
        by="Anthropic, Gemini, llama.cpp, OpenAI, vLLM", statuses=frozenset({400, 422}),
        codes=_set("invalid_json_schema"),
        words=r"json.?schema|grammar|response_format|guided decoding|structured output"
        r"|output_config\.format|response_?schema|text\.format",
    ),
    # ---- size: the same request would be refused again
    ErrorRule(
        error=errors.ContextExceeded, what="the request is longer than the endpoint takes", todo=_SHORTER,
        by="OpenAI, llama.cpp, Anthropic, vLLM, Gemini, Ollama, LM Studio", statuses=_TOO_LONG,
        codes=_set("context_length_exceeded", "exceed_context_size_error", "string_above_max_length"),
        words=r"maximum context length|exceeds the available context size|longer than the maximum model length"
        r"|prompt is too long|context (length|window|size) (is |was )?exceeded|input is too long"
        r"|input token count.{0,30}exceeds the maximum|input length.{0,40}exceeds.{0,20}context"
        r"|loaded with context length of only|exceed context limit",
    ),
    ErrorRule(
        error=errors.RequestTooLarge, what="the request is larger than the endpoint takes", todo=_SMALLER,
        by="vLLM, Anthropic, OpenAI, Azure", statuses=_TOO_LONG,
        codes=_set("request_too_large", "request_entity_too_large"),
        words=r"at most \d+ (image|audio|video)|too many images"
        r"|(payload|request|file|body|entity) (size )?(is )?too large|request payload size exceeds"
        r"|image exceeds .{0,20}maximum|image dimensions exceed|maximum of \d+ pdf pages",
    ),
    ErrorRule(
        error=errors.RequestTooLarge, what="the request is larger than the account may send at once", todo=_SMALLER,
        by="OpenAI, Groq (413)", statuses=frozenset({413, 429}), words=r"request too large for .{0,200}(tokens|tpm)",
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
        error=errors.CredentialsRefused, what="does not accept our key", todo=_KEY, by="Gemini",
        statuses=frozenset({400}), words=r"api key not valid|api key expired",
    ),
    # ---- too fast
    ErrorRule(  # its RetryInfo states a few seconds nevertheless
        error=errors.RateLimited, what="has answered all that this account may ask it in a day", retry="reroute",
        by="Gemini, OpenRouter, OpenAI", todo="wait until tomorrow, or allow another host", statuses=frozenset({429}),
        words=r"perday|per-day|per day",
    ),
    ErrorRule(error=errors.RateLimited, what="asks us to slow down", todo=_LATER, statuses=frozenset({429})),
    # ---- a runtime of this machine or network that is in trouble
    ErrorRule(
        error=errors.Overloaded, what="has too little memory for this model", retry="reroute",
        todo="free memory, or choose a smaller model", by="Ollama, LM Studio, vLLM",
        statuses=frozenset({400, 500, 503}),
        words=r"requires more system memory|insufficient system resources|out of memory",
    ),
    ErrorRule(
        error=errors.RuntimeCrashed, what="its model crashed", todo="see the server's log",
        by="Ollama, LM Studio, vLLM", statuses=frozenset({400, 500, 503}),
        words=r"runner (process has|process no longer)"
        r"|model (runner )?has (unexpectedly stopped|crashed)|enginecore encountered|enginedeaderror",
    ),
    ErrorRule(
        error=errors.Overloaded, what="has no model loaded", todo="load one in it", retry="reroute", by="LM Studio",
        statuses=frozenset({400, 404}), words=r"no models? (is |are )?(currently )?loaded",
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
        error=errors.CallError, what="does not know this model or path", retry="never", billing="free",
        todo="check the model's name and the host's base_url", statuses=frozenset({404}),
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
STATUS_BY_CODE = {
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

# Kinds that a host does not accept, by the first word that names one.
MODALITY_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"\baudio|input_audio|transcriptions", "audio"),
    (r"\bvideo", "video"),
    (r"\bpdf\b|\bdocument|variant .?file", "document"),
    (r"image|vision|mmproj", "image"),
)
