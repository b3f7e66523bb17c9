"""The OpenAPI document: valid, of the doors that there are, and true of what is asked and answered.

Beside what is asked here, the client that all tests of the gateway share holds every answer against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.unit.gateway.apis.contract import DOCUMENT, check, events_of, held
from tests.unit.gateway.apis.test_clients import WORKING
from tests.unit.gateway.gateway_server import SEEING, STRONG, VECTORS, GatewayServer, config

from intermodal import errors
from intermodal.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ClientApi,
)
from intermodal.core.request import ASPECTS, TIERS, ZONES
from intermodal.gateway.openapi.openapi_document import OPERATIONS, RESPONSE_HEADERS
from intermodal.gateway.openapi.schemas import ACCEPTED_FIELDS
from intermodal.gateway.requests.request_policy import FORBIDDEN_FIELDS, POLICY_HEADER, PolicyOverrides
from intermodal.gateway.routes import ROUTES
from intermodal.protocols.anthropic import server as anthropic_server
from intermodal.protocols.calls import (
    Error,
    Finish,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    TokenLogprobs,
    ToolCallDelta,
    WireEvent,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.ollama import server as ollama_server
from intermodal.protocols.openai_chat import server as openai_chat_server
from intermodal.protocols.openai_responses import server as openai_responses_server
from intermodal.testing import FakeHost, Fault

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
CHATS: Mapping[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "cloud/strong", **HELLO, "stream_options": {"include_usage": True}},
    "/v1/responses": {"model": "cloud/strong", "input": "hello"},
    "/v1/messages": {"model": "cloud/strong", "max_tokens": 50, **HELLO},
    "/api/chat": {"model": "cloud/strong", **HELLO, "stream": False},
    "/api/generate": {"model": "cloud/strong", "prompt": "hello", "stream": False},
}


# ---- the document itself -------------------------------------------------------------------------------


def test_the_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(json.loads(json.dumps(DOCUMENT))).validate()


def test_every_route_is_in_it_and_nothing_else() -> None:
    said = {
        (verb.upper(), path.partition("{")[0]) for path, verbs in DOCUMENT["paths"].items() for verb in verbs
    }  # fmt: skip
    assert said == set(ROUTES) == set(OPERATIONS)
    for (verb, path), door in ROUTES.items():
        named = path.endswith("/") and path != "/"
        operation = DOCUMENT["paths"][next(each for each in DOCUMENT["paths"] if each.partition("{")[0] == path
                                           and ("{" in each) == named)][verb.lower()]  # fmt: skip
        assert (operation.get("security") == []) == door.open, path
        if door.body:
            assert list(operation["requestBody"]["content"]) == [door.body], path


def test_the_gateway_serves_the_openapi_document(house: GatewayServer) -> None:
    found = house.http.get("/openapi.json")
    assert found.status_code == 200 and found.json() == json.loads(json.dumps(DOCUMENT))


def test_every_schema_is_used_and_every_operation_has_a_name_of_its_own() -> None:
    text = json.dumps(DOCUMENT)
    unused = [name for name in DOCUMENT["components"]["schemas"] if f'"#/components/schemas/{name}"' not in text]
    assert not unused
    names = [operation["operationId"] for verbs in DOCUMENT["paths"].values() for operation in verbs.values()]
    assert len(names) == len(set(names))


# ---- what is asked -------------------------------------------------------------------------------------


class Read(dict[str, Any]):
    """A body that remembers which of its fields were read."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        super().__init__(tree)
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.seen.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.seen.add(name)
        return super().get(name, default)


# Understood without being read by the codec: by the gateway itself, or as what changes nothing here.
ASIDE = {"intermodal", "user", "metadata", "store", "include", "stream_options"}
# Read by the codec of a wire, and not served: a client that sends them is told so.
NOT_SERVED = {"logprobs", "top_logprobs", "grammar"}


@pytest.mark.parametrize(
    ("name", "reader", "trees"),
    [
        ("ChatRequest", openai_chat_server, [
            CHATS["/v1/chat/completions"],
            {**CHATS["/v1/chat/completions"], "modalities": ["audio"], "audio": {"format": "wav", "voice": "x"}},
            {**CHATS["/v1/chat/completions"], "logprobs": True},
        ]),
        ("ResponsesRequest", openai_responses_server, [CHATS["/v1/responses"]]),
        ("MessagesRequest", anthropic_server, [CHATS["/v1/messages"]]),
        ("OllamaChatRequest", ollama_server, [CHATS["/api/chat"], {**CHATS["/api/chat"], "logprobs": True}]),
    ],
)  # fmt: skip
def test_the_fields_that_are_said_are_those_that_are_read(name: str, reader: Any, trees: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for tree in trees:
        body = Read(tree)
        read = reader.read_tree if reader is ollama_server else reader._chat_call_of
        read(body, *([lambda name: {}] if reader is openai_responses_server else []))
        seen |= body.seen
    said = set(DOCUMENT["components"]["schemas"][name]["properties"])
    assert said == set(ACCEPTED_FIELDS[name])
    assert seen - NOT_SERVED <= said, "read, and not said"
    assert said - ASIDE <= seen, "said, and not read"


def test_wishes_and_their_headers_are_those_of_the_policy() -> None:
    wishes = DOCUMENT["components"]["schemas"]["PolicyOverrides"]["properties"]
    assert set(wishes) == set(PolicyOverrides.__struct_fields__)
    assert set(wishes["at_least"]["enum"]) == set(TIERS) and set(wishes["farthest"]["enum"]) == set(ZONES)
    assert set(wishes["keep"]["items"]["enum"]) == set(ASPECTS)
    headers = {each["name"] for each in DOCUMENT["components"]["parameters"].values()}
    assert headers == {"Idempotency-Key", *(f"{POLICY_HEADER}{name.replace('_', '-')}" for name in wishes)}


WRONG: list[tuple[str, dict[str, Any]]] = [
    *(("/v1/chat/completions", change) for change in (
        {"model": 3}, {"messages": "hello"}, {"messages": []}, {"n": 2}, {"max_tokens": 0}, {"temperature": "hot"},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "dance"}]}]},
        {"tools": "hammer"}, {"response_format": {"type": "xml"}}, {"api_base": "http://example.com"},
        {"intermodal": {"max_cost": -1}}, {"intermodal": {"consent": ["openai"]}}, {"intermodal": 3},
    )),
    *(("/v1/responses", change) for change in (
        {"input": 3}, {"previous_response_id": "r"}, {"input": [{"type": "dance"}]}, {"max_output_tokens": 0},
    )),
    *(("/v1/messages", change) for change in (
        {"max_tokens": 0}, {"max_tokens": "many"}, {"messages": [{"role": "tool", "content": "x"}]},
        {"tool_choice": {"type": "maybe"}}, {"tools": [{"name": "x"}]},
    )),
    *(("/api/chat", change) for change in ({"messages": 3}, {"messages": [{"role": "wizard"}]}, {"tools": 1})),
    *(("/api/generate", change) for change in (
        {"prompt": 3}, {"system": 3}, {"images": "x"}, {"raw": True}, {"template": "{{ .Prompt }}"},
        {"context": [1, 2]}, {"suffix": "}"}, {"format": "xml"}, {"stream": "yes"},
    )),
    ("/api/embed", {"model": "cloud/vectors", "input": []}), ("/api/embed", {"model": "cloud/vectors", "input": [[1]]}),
    ("/api/embed", {"model": "cloud/vectors", "input": "x", "dimensions": 3}), ("/api/embed", {"model": "m"}),
    ("/api/embed", {"model": "cloud/vectors", "input": "x", "truncate": "yes"}),
    ("/v1/embeddings", {"model": "cloud/vectors", "input": []}), ("/v1/embeddings", {"input": [["x"]], "model": "m"}),
    ("/v1/embeddings", {"model": "cloud/vectors", "input": "x", "dimensions": 3}),
    ("/v1/embeddings", {"model": "cloud/vectors", "input": "x", "encoding_format": "hex"}),
    ("/v1/audio/speech", {"model": "auto", "input": "x", "response_format": "opus"}),
    ("/v1/audio/speech", {"model": "auto", "input": "x", "speed": 2}), ("/v1/audio/speech", {"model": "auto"}),
    ("/v1/images/generations", {"model": "auto", "prompt": "x", "n": 11}),
    ("/v1/images/generations", {"model": "auto", "prompt": "x", "size": "big"}),
    ("/v1/images/generations", {"model": "auto", "prompt": "x", "size": "0x0"}),
    ("/v1/images/generations", {"model": "auto", "prompt": "x", "stream": True}),
    ("/v1/images/generations", {"model": "auto", "prompt": "x", "response_format": "url"}),
    ("/api/show", {}),
]  # fmt: skip


@pytest.mark.parametrize("path", dict(WRONG))
def test_what_the_gateway_refuses_the_document_refuses(house: GatewayServer, host: FakeHost, path: str) -> None:
    schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    for change in (change for door, change in WRONG if door == path):
        body = {**CHATS.get(path, {}), **change}
        found = house.post(path, body)
        assert found.status_code == 400, (change, found.text)
        with pytest.raises(AssertionError):
            check(schema, body, str(change))
    assert host.attempts == []


RERANKS = ("/v1/rerank", "/v2/rerank", "/rerank")
NAMING: Mapping[str, dict[str, Any]] = {
    **CHATS,
    "/v1/messages/count_tokens": CHATS["/v1/messages"],
    "/v1/explain": CHATS["/v1/chat/completions"],
    "/v1/embeddings": {"model": "cloud/vectors", "input": "hello"},
    "/api/embed": {"model": "cloud/vectors", "input": "hello"},
    "/v1/audio/speech": {"model": "cloud/strong", "input": "hello"},
    "/v1/images/generations": {"model": "cloud/strong", "prompt": "a cat"},
    "/api/show": {"model": "cloud/strong"},
    **{path: {"model": "auto", "query": "hello", "documents": ["a"]} for path in RERANKS},
}


FORMS = {"/v1/audio/transcriptions": "file", "/v1/audio/translations": "file", "/v1/images/edits": "image"}


def test_every_route_that_answers_takes_a_model() -> None:
    assert set(NAMING) | set(FORMS) == {path for verb, path in ROUTES if verb == "POST"}


@pytest.mark.parametrize("path", NAMING)
def test_a_request_without_a_model_is_refused_where_the_document_requires_one(house: GatewayServer, path: str) -> None:
    """Left out, null, or a name without letters: each door says no, and so does the document."""
    schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    given = NAMING[path]
    check(schema, given, "with a model")
    rest = {name: value for name, value in given.items() if name != "model"}
    for body in (rest, {**rest, "model": None}, {**rest, "model": ""}, {**rest, "model": 3}):
        found = house.post(path, body)
        assert found.status_code == 400 and "model" in found.text, found.text
        with pytest.raises(AssertionError):
            check(schema, body, "without a model")


@pytest.mark.parametrize("path", sorted(FORMS))
@pytest.mark.parametrize("model", [None, ""])
def test_a_form_without_a_model_is_refused_and_the_document_requires_one(
    house: GatewayServer, model: str | None, path: str
) -> None:
    schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    said = {"prompt": "x"} if model is None else {"model": model, "prompt": "x"}
    found = house.http.post(path, files={FORMS[path]: ("a.wav", b"RIFF")}, data=said)
    assert found.status_code == 400 and "model" in found.json()["error"]["message"]
    with pytest.raises(AssertionError):
        check(schema, {FORMS[path]: "RIFF", **said}, "without a model")
    check(schema, {FORMS[path]: "RIFF", "model": "m", "prompt": "x"}, "with a model")


def test_what_no_request_may_set_is_in_no_request() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name in ACCEPTED_FIELDS:
        assert not FORBIDDEN_FIELDS & set(schemas[name]["properties"])
        with pytest.raises(AssertionError):
            check({"$ref": f"#/components/schemas/{name}"}, {"api_base": "http://example.com", "model": "m"}, name)


# ---- what is answered ----------------------------------------------------------------------------------


@pytest.fixture
def all_works(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    rows = f"{STRONG}\n{SEEING}\n{VECTORS}\n" + "\n".join(
        line for line in WORKING.splitlines() if "vectors" not in line
    )
    ranker = Path(__file__).parents[3] / "media" / "tiny_bert" / "reranker"
    more = (
        '[serve]\nprompts = "prompts"\n[hosts.mine]\nprotocol = "encoder"\n[[hosts.mine.models]]\n'
        f'id = "test/offices"\nserved_as = "offices"\nweights = "{ranker}"\n'
    )
    path = config(tmp_path / "all.toml", ("cloud", host.base_url, rows), more=more)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "greet.prompt").write_text("Greet {{name}}.")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer() as house:
        yield house


def test_every_route_answers_as_documented(all_works: GatewayServer, media: Path) -> None:
    """The house's client holds each answer; here is one of every door, so that none is left out."""
    house, answered = all_works, set()

    def got(found: httpx.Response, door: str = "") -> httpx.Response:
        assert found.status_code == 200, found.text
        held(found)
        answered.add((found.request.method, door or found.request.url.path))
        return found

    for path in (
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/v1/models",
        "/v1/prompts",
        "/api/tags",
        "/api/ps",
        "/api/version",
    ):
        got(house.http.get(path))
    got(house.http.get("/v1/models/cloud/strong"), "/v1/models/")
    got(house.http.get("/v1/prompts/greet"), "/v1/prompts/")
    for path, body in CHATS.items():
        plan = got(house.post(path, body)).headers["x-intermodal-plan"]
    got(house.http.get(f"/v1/plans/{plan}"), "/v1/plans/")
    got(house.post("/v1/messages/count_tokens", {"model": "cloud/strong", **HELLO}))
    for body in (CHATS["/v1/chat/completions"], CHATS["/v1/responses"]):
        got(house.post("/v1/explain", body))
    got(house.post("/api/show", {"model": "cloud/strong"}))
    for form in ("float", "base64"):
        got(house.post("/v1/embeddings", {"model": "cloud/vectors", "input": ["a", "b"], "encoding_format": form}))
    got(house.post("/api/embed", {"model": "cloud/vectors", "input": ["a", "b"]}))
    for form in ("mp3", "wav"):
        spoken = {"model": "cloud/voice", "input": "Good morning.", "voice": "alloy", "response_format": form}
        got(house.post("/v1/audio/speech", spoken))
    got(house.post("/v1/images/generations", {"model": "cloud/brush", "prompt": "a crane", "n": 2}))
    for path in RERANKS:
        got(house.post(path, {"model": "offices", "query": "the rent", "documents": ["a", "b"], "top_n": 1}))
    with (media / "photo-cat.jpg").open("rb") as photo:
        drawn = {"model": "cloud/brush", "prompt": "a crane beside it"}
        got(house.http.post("/v1/images/edits", data=drawn, files={"image": photo}))
    for form in ("json", "verbose_json", "text", "srt", "vtt"):
        with (media / "jfk.wav").open("rb") as sound:
            fields = {"model": "cloud/ear", "response_format": form, "unheard_of": "x"}
            got(house.http.post("/v1/audio/transcriptions", data=fields, files={"file": sound}))
        with (media / "jfk.wav").open("rb") as sound:
            got(house.http.post("/v1/audio/translations", data=fields, files={"file": sound}))
    assert answered == set(ROUTES)


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("stream", [False, True])
def test_words_and_failures_are_as_they_are_said(house: GatewayServer, host: FakeHost, path: str, stream: bool) -> None:
    body = {**CHATS[path], "stream": stream}
    host.answer = "the hosted answer, in several words"
    made = house.post(path, body)
    held(made)
    assert made.status_code == 200
    statuses = set()
    waits = ("unavailable",) if path == "/v1/chat/completions" else ()  # it is asked again, which takes a second
    for fault in ("policy", *waits, "cut", "context"):  # a context that was said is learned: it comes last
        host.fault = Fault(fault, 2)
        failed = house.post(path, body)
        held(failed)
        statuses.add(failed.status_code)
    assert statuses >= {400, *(503 for _ in waits)}
    host.fault = None
    held(house.post(path, {**body, "model": "no/such-model"}))
    held(house.post(path, {**body, "unheard_of": 1}))


ABOUT = {
    "plan": "p", "route": "a:b/c", "planned": "a:b/c", "summary": "as it is", "loses": ["tone"],
    "sends": [{"what": "3 tok text", "from": "prompt", "host": "a", "zone": "internet"}], "cost": None, "attempts": 2,
    "seconds": 0.2, "notes": [], "replanned": ["more than planned for"],
}  # fmt: skip
EVENTS: list[WireEvent] = [
    ReasoningDelta(text="It is "), ReasoningDelta(text="easy.", signature="s"), WireTextDelta(text="Good "),
    WireTextDelta(text="morning."), RefusalDelta(text="No more."),
    TokenLogprobs(words=(("Good", -0.1), ("Bad", -3.0))),
    ToolCallDelta(index=0, id="call_1", name="weather", arguments='{"place": "Bonn"}'),
    ToolCallDelta(index=1, id="call_2", name="clock", arguments="{}"),
    OpaqueBlock(wire="anthropic", body='{"type": "redacted_thinking", "data": "x"}'),
    OpaqueBlock(wire="openai_responses", body='{"type": "reasoning", "id": "r", "summary": []}'),
    WireUsage(input_tokens=9, output_tokens=7, cached_tokens=3, cache_write_tokens=1, reasoning_tokens=2,
              audio_tokens=1,
          input_by_modality=(("image", 4),), about=ABOUT),
]  # fmt: skip


@pytest.mark.parametrize(("path", "dialect"), [
    ("/v1/chat/completions", OPENAI_CHAT), ("/v1/responses", OPENAI_RESPONSES), ("/v1/messages",
        ANTHROPIC_MESSAGES), ("/api/chat", OLLAMA_CHAT),
    ("/api/generate", OLLAMA_GENERATE),
])  # fmt: skip
@pytest.mark.parametrize("end", [
    Finish(reason="stop"), Finish(reason="length"), Finish(reason="tool_call"), Finish(reason="content_filter"),
    Error(error=errors.Overloaded("has no room")), Error(error=RuntimeError("inside")),
])  # fmt: skip
def test_whatever_a_model_says_is_written_as_it_is_said(path: str, dialect: ClientApi, end: WireEvent) -> None:
    """Each wire leaves out what it has no words for; what it writes, whole or as a stream, is in the document."""
    content = DOCUMENT["paths"][path]["post"]["responses"]["200"]["content"]
    for count in range(len(EVENTS) + 1):
        events = [*EVENTS[:count], *(() if count == len(EVENTS) else EVENTS[-1:]), end]
        status, body = dialect.encode(events, "a model")
        if status == 200:
            check(
                content["application/json"]["schema"], json.loads(body), "the answer", own=path.endswith("completions")
            )
        encoder = dialect.encoder("a model")
        text = b"".join(encoder.feed(event) for event in events).decode()
        streamed = events_of(dialect.stream_type, text)
        assert streamed
        for event in streamed:
            check(
                content[dialect.stream_type]["x-intermodal-event"], event, "an event", own=path.endswith("completions")
            )


def test_every_header_that_is_said_is_sent_by_somebody() -> None:
    """Names are found in the source: a header that nobody sends any more has no place in the document."""
    from intermodal import gateway

    folder = Path(gateway.__path__[0])
    text = "".join(path.read_text() for path in folder.rglob("*.py") if path.parent != folder / "contract")
    assert not [name for name in RESPONSE_HEADERS if name not in text and not name.startswith("x-ratelimit-")]
