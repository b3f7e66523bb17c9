"""From failed replies of real products to our errors: one row per product and case (runtimes: section 6; A3, E5)."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal import errors
from intermodal.executor.attempt.retry import RetryLimits, decide_retry
from intermodal.protocols.errors.classification import MAX_QUOTE, classify, quote
from intermodal.protocols.errors.retry_after import MAX_RETRY_AFTER, retry_after


def of(status: int, body: Any, **headers: str) -> errors.CallError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, "host:m")


def openai(
    message: str, code: str | int | None = None, kind: str = "invalid_request_error", **more: Any
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


LLAMA_IMAGE = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"error": {"code": 500, "message": LLAMA_IMAGE, "type": "server_error"}}),  # llama.cpp
        (500, {"error": {"code": 500, "message": LLAMA_IMAGE.replace("image", "audio"), "type": "server_error"}}),
        (400, {"error": {"code": 400, "message": LLAMA_IMAGE, "type": "invalid_request_error"}}),  # newer builds
        (400, {"error": "Model does not support images. Please use a model that does."}),  # LM Studio
        (400, {"error": "'url' field must be a base64 encoded image."}),  # LM Studio, given a PDF
        (400, openai("m is not a multimodal model", 400, "BadRequestError")),  # vLLM
        (400, {"object": "error", "message": "m is not a multimodal model", "type": "BadRequestError", "code": 400}),
        (404, {"error": {"message": "No endpoints found that support image input", "code": 404}}),  # OpenRouter
        (400, openai("invalid message format")),  # Ollama /v1
        (400, {"error": "this model does not support image input"}),  # Ollama cloud
    ],
)
def test_A10_a_kind_that_is_not_taken_is_said_and_not_sent_again(status: int, body: Any) -> None:
    error = of(status, body)
    assert type(error) is errors.UnsupportedModality
    settings: dict[str, Any] = {"committed": False, "allowed": RetryLimits(), "remaining": None, "jitter": 0.0}
    assert decide_retry(error, attempt=1, **settings).kind == "reroute"


@pytest.mark.parametrize(
    ("status", "body", "numbers"),
    [
        (
            400,
            openai(
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 10,003 tokens.",
                "context_length_exceeded",
            ),
            ("10,003", "8,192"),
        ),
        (
            400,
            openai(
                "This model's maximum context length is 2048 tokens. However, you requested 2100 tokens (2000 in the "
                "messages, 100 in the completion).",
                400,
                "BadRequestError",
            ),
            ("2,100", "2,048"),
        ),
        (
            400,
            {
                "error": {
                    "code": 400,
                    "message": "request (302 tokens) exceeds the available context size (256 tokens), "
                    "try increasing it",
                    "type": "exceed_context_size_error",
                    "n_prompt_tokens": 302,
                    "n_ctx": 256,
                }
            },
            ("302", "256"),
        ),
        (
            400,
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "prompt is too long: 210000 tokens > 200000 maximum",
                },
            },
            ("210,000", "200,000"),
        ),
        (400, openai("The prompt is longer than the maximum model length of 4096"), ()),
        (400, openai("At most 1 image(s) may be provided in one prompt.", 400, "BadRequestError"), ()),
        (413, b"<html>413 Request Entity Too Large</html>", ()),
        (413, openai("too big", "request_too_large"), ()),
    ],
)
def test_A8_too_long_or_too_large_is_one_class_with_its_numbers(
    status: int, body: Any, numbers: tuple[str, ...]
) -> None:
    error = of(status, body)
    assert isinstance(error, errors.ContextExceeded) and error.retry == "shrink"
    assert all(number in error.what for number in numbers)
    assert "<" not in str(error)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            429,
            openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
            errors.CredentialsRefused,
        ),
        (402, {"error": {"message": "Insufficient credits", "code": 402}}, errors.CredentialsRefused),
        (429, openai("Rate limit reached for requests", "rate_limit_exceeded", "requests"), errors.RateLimited),
        (429, b"", errors.RateLimited),
        (401, openai("Incorrect API key provided: sk-proj-abc123def456", "invalid_api_key"), errors.CredentialsRefused),
        (403, b"Forbidden", errors.CredentialsRefused),
        (
            400,
            openai("Your request was rejected by our safety system", "content_policy_violation"),
            errors.ContentRefused,
        ),
        (
            400,
            {
                "error": {
                    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
                    "management policy.",
                    "code": "content_filter",
                    "innererror": {"code": "ResponsibleAIPolicyViolation"},
                }
            },
            errors.ContentRefused,
        ),
        (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, errors.Overloaded),
        (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, errors.Overloaded),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, errors.Overloaded),
        (502, b"<html><h1>502 Bad Gateway</h1></html>", errors.Unreachable),
        (504, b"", errors.Unreachable),
        (524, b"", errors.Unreachable),
        (500, openai("The server had an error", None, "server_error"), errors.CallError),
        (404, openai("The model `x` does not exist", "model_not_found"), errors.CallError),
        (404, {"error": "model 'x' not found"}, errors.CallError),
        (
            422,
            {
                "detail": [
                    {"loc": ["body", "model"], "msg": "field required", "input": {"messages": "MY SECRET QUESTION"}}
                ]
            },
            errors.CallError,
        ),
        (307, b"", errors.CallError),
        (418, b"", errors.CallError),
        (
            400,
            [{"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}],
            errors.CredentialsRefused,
        ),
    ],
)
def test_each_product_s_failure_has_its_class(status: int, body: Any, kind: type[errors.CallError]) -> None:
    error = of(status, body)
    assert type(error) is kind
    assert error.status == status
    assert error.where == "host:m"
    assert error.sent
    assert "SECRET" not in str(error)
    assert "sk-proj" not in str(error)
    assert "<" not in str(error)


def test_a_page_of_a_proxy_is_not_quoted() -> None:
    assert of(502, b"<html><body>nginx/1.2</body></html>").what == "did not answer the gateway in front of it"


def test_openrouter_s_wrapped_error_is_looked_into() -> None:
    body = {
        "error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": "m is not a multimodal model"}}
    }
    assert type(of(400, body)) is errors.UnsupportedModality


# ---- A3 ----------------------------------------------------------------------------------------

NOW = 1_800_000_000


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        (" 2 ", 2.0),
        ("0", 0.0),
        ("+3", 3.0),
        ("1e1", 10.0),
        ("1500ms", 1.5),
        ("2s", 2.0),
        ("86400", 86400.0),
        ("inf", MAX_RETRY_AFTER),
        ("1e400", MAX_RETRY_AFTER),
        ("9" * 400, MAX_RETRY_AFTER),
        ("Infinity", MAX_RETRY_AFTER),
        ("-1", None),
        ("-inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("1;2", None),
        ("0x10", None),
        (http_date(30), 30.0),
        (http_date(-30), None),
        ("Wed, 99 Foo 2026", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)
def test_A3_retry_after_in_every_form(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, now=NOW) == seconds
    assert of(429, b"", retry_after=value, date=http_date(0)).retry_after == seconds


def test_A3_milliseconds_have_their_own_header_and_come_first() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after-ms": "junk", "retry-after": "9"}) == 9.0


def test_A3_google_says_in_the_body_when_to_come_back() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
    error = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED", "details": details}}
    assert of(429, error).retry_after == 34.5
    assert of(429, error, retry_after="2").retry_after == 2.0
    assert of(429, {"error": {"message": "x", "details": [{"retryDelay": "soon"}, 7]}}).retry_after is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": "The input token count (1,200,000) exceeds the maximum number of tokens allowed "
                    "(1048576).",
                }
            },
            "1,200,000 tokens, the endpoint takes 1,048,576",
        ),
        ({"error": "the input length exceeds the context length"}, "longer than the endpoint takes"),
        (
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "prompt is too long: 210000 tokens > 200000 maximum",
                },
            },
            "210,000 tokens, the endpoint takes 200,000",
        ),
    ],
)
def test_A8_too_long_in_the_words_of_other_protocols(body: Any, said: str) -> None:
    error = of(400, body)
    assert type(error) is errors.ContextExceeded
    assert said in error.what


def test_A3_a_date_is_measured_on_the_server_s_clock() -> None:
    assert retry_after({"retry-after": http_date(90), "date": http_date(60)}, now=NOW + 5000) == 30.0


@pytest.mark.parametrize("date", [{}, {"date": ""}, {"date": "yesterday"}])
@pytest.mark.parametrize(("ahead", "seconds"), [(90, 90.0), (0, 0.0), (-90, None), (10**6, MAX_RETRY_AFTER)])
def test_A3_a_date_without_a_date_header_is_measured_on_our_clock(
    date: dict[str, str], ahead: float, seconds: float | None
) -> None:
    headers = {"retry-after": http_date(ahead), **date}
    assert retry_after(headers, now=NOW) == seconds
    assert classify(503, headers, b"", "h:m", now=NOW).retry_after == seconds


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_A3_every_form_of_a_date_means_gmt_wherever_we_are(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        said = datetime.fromtimestamp(NOW + 30, UTC).strftime(form)
        assert retry_after({"retry-after": said}, now=NOW) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_A3_a_date_without_any_clock_is_no_answer() -> None:
    assert retry_after({"retry-after": http_date(90)}) is None


@given(st.text(max_size=50))
def test_A3_no_junk_raises(value: str) -> None:
    seconds = retry_after({"retry-after": value}, now=NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


@given(st.sampled_from([200, 400, 401, 429, 500, 503]), st.binary(max_size=200))
def test_no_body_raises(status: int, body: bytes) -> None:
    assert len(str(classify(status, {}, body, "h:m"))) < MAX_QUOTE + 200


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "detail", "metadata", "raw", "status"]), inner
        )
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(st.sampled_from([200, 400, 500]), TREES)
def test_no_shape_of_error_raises(status: int, tree: Any) -> None:
    assert isinstance(classify(status, {}, json.dumps(tree).encode(), "h:m"), errors.CallError)


# ---- E5: what may be quoted ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("Incorrect API key provided: sk-proj-1234567890abcdef", "sk-proj"),
        ("bad header Authorization: Bearer abcdef", "abcdef"),
        ("segfault at 0x7fff12345678", "0x"),
        ("cannot open /home/ann/models/m.gguf for reading", "/home"),
        (r"cannot open C:\Users\ann\m.gguf", "Users"),
        ("bad image data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==", "iVBOR"),
        ("token " + "A1b2" * 20 + " is invalid", "A1b2A1b2"),
        ("[{'type': 'missing', 'msg': 'no', 'input': {'messages': 'my question'}}]", "my question"),
        ("the key of tenant-canary-key is bad", "tenant-canary-key"),
    ],
)
def test_E5_secrets_addresses_paths_and_media_are_not_passed_on(said: str, hidden: str) -> None:
    assert hidden not in quote(said, secrets=("tenant-canary-key",))


def test_a_quote_is_one_short_printable_line() -> None:
    text = quote("a\nb\x1b[31m\x00c\u202e" + "word " * 1000)
    assert len(text) <= MAX_QUOTE
    assert text.isprintable()
    assert text.startswith("a b [31m c word")
