"""The table of failures, row by row, against bodies as vendors send them (reliability: section 3; runtimes: 6)."""

# ruff: noqa: E501 (bodies are as they come)
from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from intermodal import errors
from intermodal.protocols.errors.classification import ERROR_RULES, SchemaRefused, classify, parse_failed_reply
from intermodal.protocols.openai_chat.codec import OpenAIChatDecoder

CallError, ContextExceeded, ContentRefused = errors.CallError, errors.ContextExceeded, errors.ContentRefused
CredentialsRefused, Overloaded, RateLimited = errors.CredentialsRefused, errors.Overloaded, errors.RateLimited
RequestTooLarge, RuntimeCrashed = errors.RequestTooLarge, errors.RuntimeCrashed
Unreachable, UnsupportedModality = errors.Unreachable, errors.UnsupportedModality


class Case(NamedTuple):
    """A reply, and what it means. ``more``: further attributes of the error."""

    by: str
    status: int
    body: Any
    error: type[errors.CallError]
    retry: errors.Retry
    billing: errors.Billing
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}


def openai(message: str, code: Any = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}


def google(code: int, status: str, message: str, *details: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def llama(code: int, kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": kind, **more}}


def openrouter(code: int, message: str, **metadata: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **({"metadata": metadata} if metadata else {})}, "user_id": "u"}


MMPROJ = "{} input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"}
PER_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                    "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "50"}],
}  # fmt: skip
PER_MINUTE = {**PER_DAY, "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}
QUOTA = "You exceeded your current quota, please check your plan and billing details."

CASES = (
    # ---- OpenAI
    Case("OpenAI", 429, openai(QUOTA, "insufficient_quota", "insufficient_quota"),
         CredentialsRefused, "reroute", "free"),
    Case("OpenAI", 429, openai("Rate limit reached for gpt-4o in organization org-x on requests per min (RPM): Limit 3, "
                               "Used 3, Requested 1. Please try again in 20s.", "rate_limit_exceeded", "requests"),
         RateLimited, "wait", "free", more={"retry_after": 20.0}),
    Case("OpenAI", 429, openai("Rate limit reached", "rate_limit_exceeded", "tokens"), RateLimited, "wait",
         "free", {"x-ratelimit-remaining-requests": "99", "x-ratelimit-reset-requests": "9s",
                  "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, {"retry_after": 360.0}),
    Case("OpenAI", 429, openai("Rate limit reached for gpt-4 on requests per day (RPD): Limit 200, Used 200, Requested 1."
                               " Please try again in 7m12s.", "rate_limit_exceeded", "requests"),
         RateLimited, "reroute", "free"),
    Case("OpenAI", 429, openai("Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, "
                               "Requested 45051.", "rate_limit_exceeded", "tokens"),
         RequestTooLarge, "shrink", "free"),
    Case("OpenAI", 500, openai("The server had an error while processing your request. Sorry about that!", None,
                               "server_error"), CallError, "once", "maybe"),
    Case("OpenAI", 500, openai("The server had an error", None, "server_error"), CallError, "once", "maybe",
         {"x-should-retry": "false"}, {"resendable": False}),
    Case("OpenAI", 503, openai("The engine is currently overloaded, please try again later", None, "server_error"),
         Overloaded, "wait", "free", {"retry-after": "4"}, {"retry_after": 4.0}),
    Case("OpenAI", 401, openai("Incorrect API key provided: sk-proj-****abcd.", "invalid_api_key"),
         CredentialsRefused, "reroute", "free"),
    Case("OpenAI", 403, openai("Country, region, or territory not supported", "unsupported_country_region_territory"),
         CredentialsRefused, "reroute", "free"),
    Case("OpenAI", 404, openai("The model `x` does not exist or you do not have access to it.", "model_not_found"),
         CallError, "reroute", "free"),
    Case("OpenAI", 400, openai("Invalid content type. image_url is only supported by certain models."),
         UnsupportedModality, "reroute", "free", more={"kind": "image"}),
    Case("OpenAI", 400, openai("This model's maximum context length is 8192 tokens. However, your messages resulted in "
                               "10003 tokens.", "context_length_exceeded"),
         ContextExceeded, "shrink", "free", more={"limit": 8192}),
    Case("OpenAI", 400, openai("Your request was rejected as a result of our safety system.",
                               "content_policy_violation"), ContentRefused, "never", "free"),
    Case("OpenAI", 400, openai("Invalid schema for response_format 'x'", "invalid_json_schema"),
         SchemaRefused, "never", "free"),
    Case("OpenAI", 422, openai("bad request"), CallError, "never", "free"),
    Case("Azure OpenAI", 400, {"error": {"message": "The response was filtered due to the prompt triggering Azure "
                                         "OpenAI's content management policy.", "code": "content_filter", "status": 400,
                                         "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
         ContentRefused, "never", "free"),
    # ---- Anthropic
    Case("Anthropic", 529, anthropic("overloaded_error", "Overloaded"), Overloaded, "wait", "free"),
    Case("Anthropic", 200, anthropic("overloaded_error", "Overloaded"), Overloaded, "wait", "free",
         more={"status": 529}),
    Case("Anthropic", 429, anthropic("rate_limit_error", "This request would exceed your organization's rate limit."),
         RateLimited, "wait", "free", {"retry-after": "12", "x-should-retry": "true"},
         {"retry_after": 12.0, "resendable": True}),
    Case("Anthropic", 429, anthropic("rate_limit_error", "Number of request tokens has exceeded your rate limit"),
         RateLimited, "wait", "free",
         {"date": "Wed, 25 Nov 2026 13:00:00 GMT", "anthropic-ratelimit-requests-remaining": "49",
          "anthropic-ratelimit-requests-reset": "2026-11-25T13:09:00Z",
          "anthropic-ratelimit-input-tokens-remaining": "0",
          "anthropic-ratelimit-input-tokens-reset": "2026-11-25T13:00:42Z"}, {"retry_after": 42.0}),
    Case("Anthropic", 500, anthropic("api_error", "Internal server error"), CallError, "once", "maybe"),
    Case("Anthropic", 504, anthropic("timeout_error", "Request timed out"), Unreachable, "reroute", "maybe"),
    Case("Anthropic", 413, anthropic("request_too_large", "Request exceeds the maximum size"),
         RequestTooLarge, "shrink", "free"),
    Case("Anthropic", 400, anthropic("invalid_request_error", "messages.0.content.1.image.source.base64: image exceeds "
                                     "5 MB maximum: 6123456 bytes > 5242880 bytes"),
         RequestTooLarge, "shrink", "free"),
    Case("Anthropic", 400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
         ContextExceeded, "shrink", "free", more={"limit": 200000}),
    Case("Anthropic", 400, anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic "
                                     "API. Please go to Plans & Billing to upgrade or purchase credits."),
         CredentialsRefused, "reroute", "free"),
    Case("Anthropic", 402, anthropic("billing_error", "Check your billing"), CredentialsRefused, "reroute", "free"),
    Case("Anthropic", 403, anthropic("permission_error", "Your API key does not have permission"),
         CredentialsRefused, "reroute", "free"),
    Case("Anthropic", 404, anthropic("not_found_error", "model: claude-x"), CallError, "reroute", "free"),
    # ---- Gemini
    Case("Gemini", 429, google(429, "RESOURCE_EXHAUSTED", QUOTA, PER_MINUTE, RETRY_INFO),
         RateLimited, "wait", "free", more={"retry_after": 34.074824224}),
    Case("Gemini", 429, google(429, "RESOURCE_EXHAUSTED", QUOTA, PER_DAY, RETRY_INFO),
         RateLimited, "reroute", "free"),
    Case("Gemini", 503, [google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")],
         Overloaded, "wait", "free"),
    Case("Gemini", 200, google(503, "UNAVAILABLE", "The model is overloaded."), Overloaded, "wait", "free",
         more={"status": 503}),
    Case("Gemini", 500, google(500, "INTERNAL", "An internal error has occurred."), CallError, "once", "maybe"),
    Case("Gemini", 504, google(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
         Unreachable, "reroute", "maybe"),
    Case("Gemini", 400, google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
         CredentialsRefused, "reroute", "free"),
    Case("Gemini", 400, google(400, "INVALID_ARGUMENT", "The input token count (1,200,000) exceeds the maximum number of "
                               "tokens allowed (1048576)."), ContextExceeded, "shrink", "free",
         more={"limit": 1048576}),
    Case("Gemini", 400, google(400, "INVALID_ARGUMENT", "Image input modality is not enabled for models/gemma-3-1b-it"),
         UnsupportedModality, "reroute", "free", more={"kind": "image"}),
    Case("Gemini", 400, google(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."),
         RequestTooLarge, "shrink", "free"),
    # ---- Ollama
    Case("Ollama", 503, {"error": "server busy, please try again.  maximum pending requests exceeded"},
         Overloaded, "wait", "free"),
    Case("Ollama", 404, {"error": "model 'x' not found"}, CallError, "reroute", "free"),
    Case("Ollama", 404, {"error": 'model "x" not found, try pulling it first'}, CallError, "reroute", "free"),
    Case("Ollama", 499, {"error": "request canceled"}, Unreachable, "reroute", "maybe"),
    Case("Ollama", 400, {"error": "this model does not support image input"}, UnsupportedModality, "reroute",
         "free", more={"kind": "image"}),
    Case("Ollama", 500, {"error": "this model is missing data required for image input"},
         UnsupportedModality, "reroute", "free", more={"kind": "image"}),
    Case("Ollama /v1", 400, openai("invalid message format"), UnsupportedModality, "reroute", "free",
         more={"kind": ""}),
    Case("Ollama", 500, {"error": "model requires more system memory (9.1 GiB) than is available (3.2 GiB)"},
         Overloaded, "reroute", "free"),
    Case("Ollama", 500, {"error": "llama runner process has terminated: signal: killed"},
         RuntimeCrashed, "once", "free"),
    Case("Ollama", 200, {"error": "an error was encountered while running the model"}, CallError, "once", "maybe"),
    Case("Ollama", 400, {"error": "the input length exceeds the context length"},
         ContextExceeded, "shrink", "free"),
    # ---- llama.cpp
    *(Case("llama.cpp", 500, llama(500, "server_error", MMPROJ.format(kind)), UnsupportedModality, "reroute",
           "free", more={"kind": kind}) for kind in ("image", "audio", "video")),
    Case("llama.cpp", 400, llama(400, "invalid_request_error", MMPROJ.format("image")), UnsupportedModality,
         "reroute", "free", more={"kind": "image"}),
    Case("llama.cpp", 503, llama(503, "unavailable_error", "Loading model"), Overloaded, "wait", "free"),
    Case("llama.cpp", 200, llama(503, "unavailable_error", "Loading model"), Overloaded, "wait", "free"),
    Case("llama.cpp", 400, llama(400, "exceed_context_size_error", "request (302 tokens) exceeds the available context "
                                 "size (256 tokens), try increasing it", n_prompt_tokens=302, n_ctx=256),
         ContextExceeded, "shrink", "free", more={"limit": 256}),
    Case("llama.cpp", 501, llama(501, "not_supported_error", "This server does not support embeddings."),
         CallError, "reroute", "free"),
    Case("llama.cpp", 401, llama(401, "authentication_error", "Invalid API Key"), CredentialsRefused, "reroute",
         "free"),
    Case("llama.cpp", 400, llama(400, "invalid_request_error", "failed to parse grammar"), SchemaRefused, "never", "free"),
    # ---- vLLM, nested and flat
    Case("vLLM", 400, openai("llama is not a multimodal model", 400, "BadRequestError"), UnsupportedModality,
         "reroute", "free"),
    Case("vLLM, older", 400, {"object": "error", "message": "llama is not a multimodal model", "param": None,
                              "type": "BadRequestError", "code": 400}, UnsupportedModality, "reroute", "free"),
    Case("vLLM", 400, openai("At most 0 audio(s) may be provided in one prompt.", 400, "BadRequestError"),
         UnsupportedModality, "reroute", "free", more={"kind": "audio"}),
    Case("vLLM", 400, openai("At most 4 image(s) may be provided in one prompt.", 400, "BadRequestError"),
         RequestTooLarge, "shrink", "free", more={"limit": 4}),
    Case("vLLM", 200, openai("The model does not support Transcriptions API", 400, "BadRequestError"),
         UnsupportedModality, "reroute", "free", more={"kind": "audio"}),
    Case("vLLM", 500, openai("EngineCore encountered an issue. See stack trace (above) for the root cause.", 500,
                             "InternalServerError"), RuntimeCrashed, "once", "free"),
    # ---- LM Studio: strings
    Case("LM Studio", 400, {"error": "Model does not support images. Please use a model that does."},
         UnsupportedModality, "reroute", "free", more={"kind": "image"}),
    Case("LM Studio", 400, {"error": "'url' field must be a base64 encoded image."}, UnsupportedModality,
         "reroute", "free"),
    Case("LM Studio", 400, {"error": "Trying to keep the first 5120 tokens when context the overflows. However, the model "
                            "is loaded with context length of only 4096 tokens, which is not enough."},
         ContextExceeded, "shrink", "free", more={"limit": 4096}),
    Case("LM Studio", 400, {"error": "The model has crashed without additional information. (Exit code: 6)"},
         RuntimeCrashed, "once", "free"),
    Case("LM Studio", 404, openai("No models loaded. Please load a model in the developer page or use the `lms load` "
                                  "command."), Overloaded, "reroute", "free"),
    # ---- OpenRouter, Groq, DeepSeek
    Case("OpenRouter", 200, openrouter(502, "Provider returned error", provider_name="X", raw="upstream"),
         Unreachable, "reroute", "maybe", more={"status": 502}),
    Case("OpenRouter", 200, openrouter(429, "Provider returned error", raw="x is temporarily rate-limited upstream"),
         RateLimited, "wait", "free", more={"status": 429}),
    Case("OpenRouter", 404, openrouter(404, "No endpoints found that support image input"), UnsupportedModality,
         "reroute", "free", more={"kind": "image"}),
    Case("OpenRouter", 400, openrouter(400, "Provider returned error", raw="m is not a multimodal model"),
         UnsupportedModality, "reroute", "free"),
    Case("OpenRouter", 402, openrouter(402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits"),
         CredentialsRefused, "reroute", "free"),
    Case("OpenRouter", 429, openrouter(429, "Rate limit exceeded: free-models-per-day"),
         RateLimited, "reroute", "free"),
    Case("OpenRouter", 403, openrouter(403, "X requires moderation on Y. Your input was flagged.", reasons=["violence"]),
         ContentRefused, "never", "free"),
    Case("Groq", 413, openai("Request too large for model `x` in organization `y` on tokens per minute (TPM): Limit 6000, "
                             "Requested 9000", "rate_limit_exceeded", "tokens"), RequestTooLarge, "shrink", "free"),
    Case("Groq", 400, openai("'messages.0' : for 'role:user' the following must be satisfied[('messages.0.content' : value"
                             " must be a string)]; messages.0.content must be a string"),
         UnsupportedModality, "reroute", "free"),
    Case("DeepSeek", 400, openai("Failed to deserialize the JSON body into the target type: messages[0]: unknown variant "
                                 "`image_url`, expected `text`"), UnsupportedModality, "reroute", "free",
         more={"kind": "image"}),
    Case("Groq", 400, openai("The model `x` has been decommissioned and is no longer supported.",
                             "model_decommissioned"), CallError, "reroute", "free"),
    Case("DeepSeek", 400, openai("The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you "
                                 "passed deepseek-chat."), CallError, "reroute", "free"),
    Case("DeepSeek", 402, openai("Insufficient Balance", "invalid_request_error", "unknown_error"),
         CredentialsRefused, "reroute", "free"),
    # ---- anybody, and what stands in between
    Case("a proxy", 502, b"<html><h1>502 Bad Gateway</h1></html>", Unreachable, "reroute", "maybe"),
    Case("Cloudflare", 524, b"", Unreachable, "reroute", "maybe"),
    Case("a proxy", 413, b"<html>413 Request Entity Too Large</html>", RequestTooLarge, "shrink", "free"),
    Case("anybody", 413, b"", RequestTooLarge, "shrink", "free"),
    Case("anybody", 410, b"", CallError, "reroute", "free"),
    Case("anybody", 307, b"", CallError, "never", "free"),
    Case("anybody", 503, {"error": {"message": "busy"}, "usage": {"total_tokens": 900}}, Overloaded, "wait",
         "billed"),
)  # fmt: skip


def of(case: Case) -> errors.CallError:
    data = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
    return classify(case.status, case.headers, data, "host:m")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.by}-{case.status}-{case.error.__name__}")
def test_a_published_failure_has_its_error_its_retry_class_and_its_billing(case: Case) -> None:
    error = of(case)
    assert (type(error), error.retry, error.billing) == (case.error, case.retry, case.billing)
    assert {name: getattr(error, name) for name in case.more} == case.more
    assert error.sent and error.where == "host:m"


def test_every_row_of_the_table_has_a_published_case() -> None:
    reached = set()
    for case in CASES:
        body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
        reached.add(
            next(number for number, row in enumerate(ERROR_RULES) if row.matches(parse_failed_reply(case.status, body)))
        )
    assert [ERROR_RULES[number].what for number in range(len(ERROR_RULES)) if number not in reached] == []


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (429, {"retry-after": "3600"}, "try again in 3,600 s, or allow another host"),
        (503, {"retry-after": "4"}, "try again in 4 s, or allow another host"),
        (429, {"retry-after": "0"}, "try again later, or allow another host"),
        (500, {}, "try again later, or allow another host"),
    ],
)
def test_who_is_turned_away_is_told_when_to_come_back(status: int, headers: dict[str, str], said: str) -> None:
    assert classify(status, headers, b"", "host:m").todo == said


@pytest.mark.parametrize("case", [case for case in CASES if case.status == 200], ids=lambda case: str(case.by))
def test_an_error_in_a_stream_is_what_it_would_be_outside_one(case: Case) -> None:
    decoder = OpenAIChatDecoder("host:m")
    head = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    found = decoder.feed(head + b"data: " + json.dumps(case.body).encode() + b"\n\n")
    assert [type(event.error) for event in found if hasattr(event, "error")] == [case.error]
    assert decoder.done
