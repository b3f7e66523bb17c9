"""Chats through the gateway: planned, run, and told how. The host is a fake that records what arrives."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from PIL import Image
from tests.unit.gateway.gateway_server import BY_EXECUTOR, GatewayServer

from intermodal.core.request import Policy
from intermodal.gateway.requests import body_limits as counting
from intermodal.gateway.requests.request_policy import apply_overrides, policy_overrides
from intermodal.testing import FakeHost, Fault

pytestmark = pytest.mark.usefixtures("either_way")


@pytest.fixture
def local_model(configured: Path) -> Iterator[FakeHost]:
    """A server of this machine, so that no test depends on the weights that a developer has pulled."""
    with FakeHost(answer="the local answer") as fake:
        rows = (
            f'[hosts.near]\nbase_url = "{fake.base_url}"\nzone = "machine"\n[[hosts.near.models]]\n'
            'id = "near/small"\ninput = ["text"]\ncontext = 32000\ntier = "large"\n'
        )
        configured.write_text(f"{configured.read_text()}{rows}")
        yield fake


def picture() -> str:
    made = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(made, "PNG")
    return "data:image/png;base64," + base64.b64encode(made.getvalue()).decode()


def image(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}}


def shown() -> list[dict[str, object]]:
    return [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": picture()}}]


def test_an_answer_says_its_route_and_its_cost(house: GatewayServer, host: FakeHost) -> None:
    found = house.chat()
    assert found.status_code == 200, found.text
    tree = found.json()
    assert tree["choices"][0]["message"]["content"] == "the hosted answer"
    assert tree["choices"][0]["finish_reason"] == "stop"
    told = tree["usage"]["intermodal"]
    assert found.headers["x-intermodal-route"] == told["route"] == "cloud:cloud/strong"
    assert found.headers["x-intermodal-sends"] == "cloud"
    assert [sent["host"] for sent in told["sends"]] == ["cloud"]
    assert told["attempts"] == 1 == int(found.headers["x-intermodal-attempts"])
    assert told["cost"] == pytest.approx(host.bill * 0.1, rel=0.9)  # the row's prices are a tenth of the fake's
    assert told["cost"] == pytest.approx(float(found.headers["x-intermodal-cost"]), rel=1e-6)
    plan = house.http.get(f"/v1/plans/{found.headers['x-intermodal-plan']}").json()
    assert plan["plan"]["id"] == told["plan"]
    assert "cloud:cloud/strong" in plan["text"]


def test_a_plan_that_nobody_made_is_not_found(house: GatewayServer) -> None:
    assert house.http.get("/v1/plans/000000000000").status_code == 404


def test_a_plan_is_explained_and_nothing_is_spent(house: GatewayServer, host: FakeHost) -> None:
    found = house.post("/v1/explain", {"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}]})
    assert found.status_code == 200
    assert "cloud:cloud/strong" in found.json()["text"]
    assert host.attempts == []
    assert house.http.get(f"/v1/plans/{found.json()['plan']['id']}").json() == found.json()


def test_auto_takes_what_suits(house: GatewayServer, host: FakeHost) -> None:
    assert house.chat(model="auto").headers["x-intermodal-route"].startswith("cloud:")
    seen = house.chat(shown(), model="auto")
    assert seen.status_code == 200, seen.text
    assert seen.headers["x-intermodal-route"] == "cloud:cloud/seeing"
    assert len(host.attempts[-1].images) == 1


def test_what_a_client_says_reaches_the_host(house: GatewayServer, host: FakeHost) -> None:
    tree = {
        "model": "cloud/strong", "temperature": 0.25, "max_tokens": 77, "stop": ["END"], "seed": 5,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "first"},
                     {"role": "assistant", "content": "second"}, {"role": "user", "content": "third"}],
    }  # fmt: skip
    assert house.post("/v1/chat/completions", tree).status_code == 200
    import json

    body = json.loads(host.attempts[0].body)
    assert (body["temperature"], body["max_tokens"], body["stop"], body["seed"]) == (0.25, 77, ["END"], 5)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("letter", ["\x00", "\x01", "\x0b", "\x1c", "\x7f", "\ufeff"])
def test_words_may_hold_any_letter_the_first_time_and_the_next(
    house: GatewayServer, host: FakeHost, letter: str
) -> None:
    """A line's end of Word's is one of them. What is said in a chat is no file whose kind is to be found out."""
    turns = [("user", f"one{letter}two"), ("assistant", f"three{letter}four"), ("user", f"five{letter}six")]
    messages = [{"role": role, "content": said} for role, said in turns]
    for more in ({}, {}, BY_EXECUTOR):
        found = house.post("/v1/chat/completions", {"model": "cloud/strong", "messages": messages, **more})
        assert found.status_code == 200, found.text
        assert [each["content"] for each in host.attempts[-1].json["messages"]] == [said for _, said in turns]


def test_an_answer_may_be_allowed_to_be_longer_than_a_model_can_write(house: GatewayServer, host: FakeHost) -> None:
    """Anthropic's API wants a number, and clients send the most that its vendor's models write."""
    tree = {"model": "cloud/strong", "max_tokens": 128_000, "messages": [{"role": "user", "content": "hello"}]}
    found = house.post("/v1/messages", tree)
    assert found.status_code == 200, found.text
    assert 30_000 < host.attempts[0].json["max_tokens"] < 32_000
    assert any("128,000 that were allowed" in note for note in found.json()["usage"]["intermodal"]["notes"])


def test_unknown_fields_are_named_in_a_header(house: GatewayServer) -> None:
    found = house.chat(web_search_options={}, moderation="strict")
    assert found.headers["x-intermodal-ignored"] == "moderation, web_search_options"
    assert "x-intermodal-ignored" not in house.chat().headers


def test_what_the_host_understands_too_goes_to_it(house: GatewayServer, host: FakeHost) -> None:
    found = house.chat(presence_penalty=0.5, logit_bias={"1": 2}, reasoning_effort="low")
    assert "x-intermodal-ignored" not in found.headers
    sent = host.attempts[-1].json
    assert (sent["presence_penalty"], sent["logit_bias"], sent["reasoning_effort"]) == (0.5, {"1": 2}, "low")


def test_countless_unknown_fields_leave_a_head_that_clients_read(house: GatewayServer) -> None:
    """Python's own client takes no header of more than 64 KiB, others none of 8."""
    found = house.chat(**{f"field_{n}_{'x' * 50}": 1 for n in range(2000)})
    assert found.status_code == 200
    assert len(found.headers["x-intermodal-ignored"]) <= 1000
    assert "field_0_" in found.headers["x-intermodal-ignored"]
    assert found.headers["x-intermodal-ignored"].endswith("more")
    one = house.chat(**{"x" * 5000: 1})
    assert one.headers["x-intermodal-ignored"] == "? and 1 more"


def test_an_alias_is_what_the_config_says(house: GatewayServer) -> None:
    found = house.chat(model="gpt-4o")
    assert found.headers["x-intermodal-route"] == "cloud:cloud/strong"
    assert found.json()["model"] == "gpt-4o"


@pytest.mark.parametrize("model", ["no/such-model", "policy:none", "http://evil.example/v1", "evil.example:model"])
def test_an_unknown_model_is_a_404(house: GatewayServer, host: FakeHost, model: str) -> None:
    found = house.chat(model=model)
    assert found.status_code == 404, found.text
    assert found.json()["error"]["code"] == "model_not_found"
    assert host.attempts == []


def test_the_next_turn_stays_where_it_was(house: GatewayServer) -> None:
    first = house.chat(shown(), model="auto")
    assert first.headers["x-intermodal-route"] == "cloud:cloud/seeing"
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "the hosted answer"},
             {"role": "user", "content": "and now?"}]  # fmt: skip
    alone = house.post("/v1/chat/completions", {"model": "auto", "messages": turns})
    assert alone.headers["x-intermodal-route"] == "cloud:cloud/strong"  # the cheaper one, where nobody answered before
    assert house.chat("hello", model="cloud/seeing").status_code == 200
    again = house.post("/v1/chat/completions", {"model": "auto", "messages": turns})
    assert again.headers["x-intermodal-route"] == "cloud:cloud/seeing"
    assert any("stays with cloud:cloud/seeing" in note for note in again.json()["usage"]["intermodal"]["notes"])


def test_a_label_of_an_earlier_turn_holds_for_the_next(house: GatewayServer, host: FakeHost) -> None:
    first = house.chat(shown(), model="cloud/seeing", headers={"x-intermodal-private": "image"})
    assert first.status_code == 400, first.text  # the only one that sees is not on this machine
    assert host.attempts == []


@pytest.mark.parametrize("name", ["api_base", "base_url", "api_key", "custom_llm_provider", "chat_template"])
def test_no_client_chooses_an_upstream_or_a_template(house: GatewayServer, host: FakeHost, name: str) -> None:
    found = house.chat(**{name: "http://127.0.0.1:9/v1"})
    assert found.status_code == 400
    assert name in found.json()["error"]["message"]
    assert host.attempts == []


@pytest.mark.parametrize(
    ("change", "word"),
    [({"n": 2}, "more than one answer"), ({"n": 10**9}, "more than one answer"), ({"messages": []}, "no messages"),
     ({"messages": "hi"}, "must be an array"), ({"messages": [{"role": "robot", "content": "x"}]}, "robot"),
     ({"temperature": "hot"}, "float"),
     ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "file_data"),
     ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content must be a string or an array"),
     ({"model": ""}, "names no model"),
     ({"stream": "false"}, "neither true nor false"), ({"parallel_tool_calls": 0}, "neither true nor false"),
     ({"stream_options": True}, "not an object"), ({"stop": 1.5}, "stop must be a string or an array")],
)  # fmt: skip
def test_a_body_that_is_no_call_is_said_to_be_none(house: GatewayServer, change: dict[str, object], word: str) -> None:
    tree = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], **change}
    found = house.post("/v1/chat/completions", tree)
    assert found.status_code == 400, found.text
    assert word in found.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat"])
@pytest.mark.parametrize("where", ["tool", "limit", "warmth"])
def test_a_number_that_no_machine_holds_is_a_400(house: GatewayServer, host: FakeHost, path: str, where: str) -> None:
    """JSON has no largest number. Neither a limit nor a schema that nobody can pass on is a mistake of ours."""
    huge = 10**30
    schema = {"type": "object", "maxProperties": huge if where == "tool" else 1}
    spelled = {
        "/v1/chat/completions": {"type": "function", "function": {"name": "f", "parameters": schema}},
        "/v1/responses": {"type": "function", "name": "f", "parameters": schema},
        "/v1/messages": {"name": "f", "input_schema": schema},
        "/api/chat": {"type": "function", "function": {"name": "f", "parameters": schema}},
    }[path]
    said: dict[str, object] = {"model": "cloud/strong", "tools": [spelled]}
    said["input" if path == "/v1/responses" else "messages"] = [{"role": "user", "content": "hi"}]
    settings: dict[str, object] = {} if where == "tool" else {"temperature": huge} if where == "warmth" else {}
    if where == "limit":
        settings = {"/v1/responses": {"max_output_tokens": huge}, "/api/chat": {"num_predict": huge}}.get(
            path, {"max_tokens": huge}
        )
    said |= {"options": settings, "stream": False} if path == "/api/chat" else {"max_tokens": 9, **settings}
    found = house.post(path, said)
    assert found.status_code == 400, found.text
    assert "64 bits" in found.text
    assert host.attempts == []


def test_usage_of_a_stream_is_told_to_who_asked_for_it(house: GatewayServer) -> None:
    """``true`` of another option is no wish for usage."""
    for asked, wanted in (
        ({"include_usage": False, "include_obfuscation": True}, False),
        ({"include_usage": True}, True),
    ):
        found = house.chat(stream=True, stream_options=asked, top_p=0.5)
        assert ("usage" in found.text) is wanted, found.text


def test_deep_json_and_no_json_are_a_400(house: GatewayServer) -> None:
    for body in (b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"", b"[]", b'{"model": NaN}', b"null"):
        found = house.http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
        assert found.status_code == 400, (body[:20], found.text)
    assert house.log == []


@pytest.mark.parametrize("url", ["http://169.254.169.254/x.png", "http://127.0.0.1:1/x.png", "file:///etc/passwd"])
def test_a_picture_from_a_place_inside_is_not_fetched(house: GatewayServer, host: FakeHost, url: str) -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    found = house.chat(parts, model="auto")
    assert found.status_code == 400, found.text
    assert host.attempts == []


def test_a_picture_in_lines_of_base64_is_seen(house: GatewayServer, host: FakeHost) -> None:
    """As `base64` writes it, and Java's MIME encoder; Ollama's own server takes it so."""
    head, _, plain = picture().partition(",")
    lines = base64.encodebytes(base64.b64decode(plain)).decode()
    assert "\n" in lines.strip()
    ollama = {"messages": [{"role": "user", "content": "What?", "images": [lines]}], "stream": False}
    for path, body in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [image(f"{head},{lines}")]}]}),
        ("/api/chat", ollama),
    ):
        found = house.post(path, {"model": "cloud/seeing", **body})
        assert found.status_code == 200, found.text
        assert host.attempts[-1].images == (base64.b64decode(plain),)


@pytest.mark.parametrize("url", ["data:image/png;base64,AAA", "data:image/png;base64,AA*A", f"{picture()}===="])
def test_invalid_base64_is_refused_as_broken_media(house: GatewayServer, host: FakeHost, url: str) -> None:
    found = house.chat([image(url)], model="cloud/seeing")
    assert found.status_code == 400
    assert "media that is not whole, plain base64" in found.json()["error"]["message"]
    assert host.attempts == []


# ---- wishes --------------------------------------------------------------------------------------


def test_a_wish_tightens(house: GatewayServer, host: FakeHost) -> None:
    dear = house.chat(headers={"x-intermodal-max-cost": "0"})
    assert dear.status_code in (400, 402), dear.text
    near = house.chat(intermodal={"farthest": "machine"})
    assert near.status_code == 400
    assert host.attempts == []
    assert house.chat(intermodal={"max_cost": 0.01}).status_code == 200


@pytest.mark.parametrize("long_way", [{}, BY_EXECUTOR], ids=["passed on", "run"])
@pytest.mark.parametrize(
    ("header", "wish"),
    [
        ({"x-intermodal-max-cost": "0.000001"}, {"max_cost": 0.04}),
        ({"x-intermodal-max-cost": "0.000001"}, {"max_cost": None}),
        ({"x-intermodal-max-cost": "0.04"}, {"max_cost": 0.000001}),
        ({"x-intermodal-farthest": "machine"}, {"farthest": "internet"}),
        ({"x-intermodal-private": "text"}, {"private": []}),
        ({"x-intermodal-keep": "appearance", "x-intermodal-at-least": "frontier"}, {"keep": [], "at_least": "tiny"}),
        ({"x-intermodal-objective": "cheapest"}, {"objective": "best"}),
        ({"x-intermodal-pay-twice": "false"}, {"pay_twice": True}),
        ({"x-intermodal-stream": "buffered"}, {"stream": "live"}),
    ],
)
def test_the_body_loosens_nothing_that_a_header_tightened(
    house: GatewayServer, host: FakeHost, header: dict[str, str], wish: dict[str, object], long_way: dict[str, object]
) -> None:
    assert house.chat(intermodal={**wish, "max_cost": 0.04}, **long_way).status_code == 200  # but for the header
    asked = len(host.attempts)
    assert house.chat(headers=header, intermodal=wish, **long_way).status_code == 400
    assert len(host.attempts) == asked


def test_a_language_and_the_check_of_evidence_are_those_of_the_header() -> None:
    """Neither value is tighter than another; a header may be set by a proxy, which the body must not undo."""
    headers = {"x-intermodal-language": "de", "x-intermodal-evidence": "mark"}
    body = {"intermodal": msgspec.Raw(b'{"language": "fr", "evidence": "off"}')}
    for stated, expected in ((headers, ("de", "mark")), ({}, ("fr", "off"))):
        policy = apply_overrides(Policy(language="it"), policy_overrides(stated, body))
        assert (policy.language, policy.evidence) == expected
    kept = apply_overrides(Policy(language="it"), policy_overrides({}, {}))
    assert (kept.language, kept.evidence) == ("it", "retry")


@pytest.mark.parametrize(
    "wish", [{"hosts": ["openai"]}, {"release": ["audio:text"]}, {"model": "x"}, {"max_cost": -1}, {"farthest": "mars"}]
)
def test_a_wish_that_would_loosen_is_refused(house: GatewayServer, host: FakeHost, wish: dict[str, object]) -> None:
    assert house.chat(intermodal=wish).status_code == 400
    assert host.attempts == []


@pytest.mark.parametrize("wish", [{"private": ["x" * 100_000]}, {"language": "x" * 100_000}])
def test_an_endless_wish_is_not_said_again(house: GatewayServer, wish: dict[str, object]) -> None:
    found = house.chat(intermodal=wish)
    assert found.status_code == 400
    assert len(found.text) < 2000


def test_a_policy_cannot_be_loosened(local_model: FakeHost, house: GatewayServer, host: FakeHost) -> None:
    home = house.chat(model="policy:home", intermodal={"farthest": "internet"}, max_tokens=4)
    assert home.status_code == 200, home.text
    assert (home.headers["x-intermodal-sends"], len(local_model.attempts)) == ("nothing", 1)
    assert house.chat(model="policy:once", intermodal={"pay_twice": True}).status_code == 400
    assert house.chat(model="policy:cheap", intermodal={"objective": "best"}).status_code == 400
    assert host.attempts == []
    assert house.chat(model="policy:cheap", intermodal={"max_cost": 5}).status_code == 200  # the lower limit holds


# ---- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("unavailable", 503),
        ("overloaded", 503),
        ("limited-120", 429),
        ("quota", 502),
        ("key", 502),
        ("broken", 502),
        ("policy", 400),
        ("wrong", 400),
        ("unprocessable", 400),
        ("end-2", 502),
        ("gone", 502),
    ],
)
def test_a_host_that_fails_is_an_error_with_its_status(
    house: GatewayServer, host: FakeHost, fault: str, status: int
) -> None:
    name, _, number = fault.partition("-")
    host.fault = Fault(name, float(number) if number else None)
    found = house.chat(model="cloud:cloud/strong")
    assert found.status_code == status, found.text
    assert found.headers["x-should-retry"] == "false"
    assert found.json()["error"]["message"]
    assert host.base_url not in found.text
    assert len(host.attempts) <= 3
    assert house.log == []


# ---- what is listed --------------------------------------------------------------------------------


def test_models_are_listed_with_what_they_take_and_cost(house: GatewayServer) -> None:
    rows = {row["id"]: row for row in house.http.get("/v1/models").json()["data"]}
    strong = rows["cloud/strong"]
    assert strong["architecture"]["native_input_modalities"] == ["text"]
    assert "document" in strong["architecture"]["input_modalities"]  # its text is taken out here
    assert strong["architecture"]["output_modalities"] == ["text"]
    assert strong["context_length"] == 32000
    assert strong["pricing"] == {"prompt": "0.0000001", "completion": "0.0000004"}
    assert {"auto", "policy:cheap", "policy:home", "gpt-4o"} <= set(rows)
    assert house.http.get("/v1/models/cloud/strong").json() == strong
    assert house.http.get("/v1/models/no/such").status_code == 404


@pytest.mark.parametrize("name", ["claude-3-5-sonnet-latest", "gpt-4"])
def test_who_asks_for_a_familiar_name_is_told_of_aliases(house: GatewayServer, name: str) -> None:
    found = house.chat("hello", model=name)
    assert found.status_code == 404
    assert "[serve.aliases]" in found.json()["error"]["message"]
    assert "[serve.aliases]" not in house.chat("hello", model="frobnicate-zzz").json()["error"]["message"]


def test_a_model_of_a_host_without_consent_may_be_given_another_meaning_by_an_alias(house: GatewayServer) -> None:
    found = house.chat("hello", model="openai/gpt-4o")
    assert found.status_code == 400
    message = found.json()["error"]["message"]
    assert "no consent for host openai" in message and "[serve.aliases] in the server's config" in message


def test_auto_takes_by_itself_what_a_model_that_can_be_asked_takes(house: GatewayServer) -> None:
    rows = {row["id"]: row for row in house.http.get("/v1/models").json()["data"]}
    native = {
        kind
        for row in rows.values()
        if row["endpoints"] and "text" in row["architecture"]["native_input_modalities"]
        for kind in row["architecture"]["native_input_modalities"]
    }
    assert set(rows["auto"]["architecture"]["native_input_modalities"]) == native
    assert "document" not in native


def test_an_alias_of_a_model_is_listed_as_what_it_stands_for(house: GatewayServer) -> None:
    rows = {row["id"]: row for row in house.http.get("/v1/models").json()["data"]}
    meant = {**rows["cloud/strong"], "id": "gpt-4o", "name": "gpt-4o"}
    assert rows["gpt-4o"] == meant
    assert house.post("/api/show", {"model": "gpt-4o"}).json()["model_info"]["cloud.context_length"] == 32000


def test_who_sends_more_tools_than_a_model_holds_is_told_of_the_tools(house: GatewayServer, host: FakeHost) -> None:
    """Chat programs add dozens to a short question; without the word nobody knows what is too long."""
    words = "What it does, at length. " * 40
    tool = {"type": "function", "function": {"name": "f", "description": words, "parameters": {"type": "object"}}}
    found = house.chat("hello", tools=[{**tool, "function": {**tool["function"], "name": f"f{n}"}} for n in range(300)])
    assert found.status_code == 400
    assert "with 300 tools" in found.json()["error"]["message"]
    assert "fewer tools" in found.json()["error"]["message"]
    assert host.attempts == []


def test_everything_listed_as_a_name_is_served(local_model: FakeHost, house: GatewayServer) -> None:
    for row in house.http.get("/v1/models").json()["data"]:
        if "text" in row["architecture"]["output_modalities"] and "text" in row["architecture"]["input_modalities"]:
            assert house.chat(model=row["id"], max_tokens=4).status_code == 200, row
    assert local_model.attempts  # by the policy that stays on this machine


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files",
        "/v1/files/file-1",
        "/v1/batches",
        "/v1/threads",
        "/v1/completions",
        "/v1/moderations",
        "/api/embeddings",
    ],
)
def test_an_endpoint_that_is_not_served_answers_404(house: GatewayServer, path: str) -> None:
    found = house.http.get(path)
    assert found.status_code == 404
    assert "not served" in found.text


def test_health_is_told(house: GatewayServer) -> None:
    assert house.http.get("/healthz").json() == {"status": "ok"}
    ready = house.http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"media": True, "store": True, "endpoints": True}
    assert house.http.head("/healthz").content == b""


def test_a_worker_that_opens_and_does_not_decode_is_not_ready(
    house: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header says nothing of pixels and samples: what comes out is compared."""
    from intermodal.media.worker_results import Pcm

    async def silent(data: bytes, *, name: str = "") -> Pcm:
        return Pcm(samples=bytes(320), seconds=0.01)

    monkeypatch.setattr(house.gateway.client.media, "pcm", silent)
    found = house.http.get("/readyz")
    assert (found.status_code, found.json()["checks"]["media"]) == (503, False)


def test_a_worker_that_died_is_started_again_by_the_next_look(
    house: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    from intermodal.gateway import context

    assert house.http.get("/readyz").status_code == 200
    pid = house.gateway.client.media.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    monkeypatch.setattr(context, "READINESS_SECONDS", 0.0)
    found = [house.http.get("/readyz").json()["checks"]["media"] for _ in range(2)]
    assert found[-1] is True and house.gateway.client.media.pid not in (None, pid)


def test_looks_at_the_same_time_are_one_and_a_busy_worker_is_believed(
    house: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    media = house.gateway.client.media
    decoded = []
    real = media.picture

    async def counted(data: bytes, *, name: str = "") -> object:
        decoded.append(name)
        return await real(data, name=name)

    monkeypatch.setattr(media, "picture", counted)

    async def many() -> list[dict[str, bool]]:
        from intermodal.gateway.endpoints.monitoring import readiness

        return await asyncio.gather(*(readiness(house.gateway.context) for _ in range(20)))

    made = asyncio.run_coroutine_threadsafe(many(), house.loop).result(300)
    assert len(decoded) == 1 and all(each == made[0] for each in made)

    async def long_job() -> bool:
        from intermodal.gateway.endpoints.monitoring import _decodes

        async with AsyncExitStack() as jobs:
            while not media.busy:
                await jobs.enter_async_context(media._places)
            return await _decodes(house.gateway.client)

    assert asyncio.run_coroutine_threadsafe(long_job(), house.loop).result(300) is True


def test_without_an_endpoint_it_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from intermodal.gateway.endpoints import monitoring

    monkeypatch.setattr(monitoring, "callable_endpoints", lambda catalog: iter(()))
    with GatewayServer() as house:
        found = house.http.get("/readyz")
        assert found.status_code == 503
        assert found.json()["checks"]["endpoints"] is False


def test_what_was_answered_is_counted_for_prometheus(house: GatewayServer, host: FakeHost) -> None:
    assert house.chat(model="cloud:cloud/strong").status_code == 200
    assert house.chat(model="no/such-model").status_code == 404
    host.fault = Fault("policy")
    assert house.chat(model="cloud:cloud/strong").status_code == 400
    found = house.http.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in found.text.splitlines() if not line.startswith("#"))
    path = 'path="/v1/chat/completions"'
    assert lines[f'intermodal_requests_total{{{path},status="200"}}'] == "1"
    assert lines[f'intermodal_requests_total{{{path},status="404"}}'] == "1"
    assert lines[f"intermodal_request_seconds_count{{{path}}}"] == "3"
    assert lines['intermodal_runs_total{endpoint="cloud:cloud/strong",outcome="ok"}'] == "1"
    assert lines['intermodal_runs_total{endpoint="cloud:cloud/strong",outcome="content_refused"}'] == "1"
    assert lines['intermodal_tokens_total{direction="output"}'] == "3"
    assert float(lines["intermodal_cost_usd_total"]) > 0
    assert lines["intermodal_active_requests"] == "1"  # this very one
    house.http.get("/v1/models/made/up/by-a-client")
    assert "made/up" not in house.http.get("/metrics").text


@pytest.mark.parametrize("limit", [0, -1, -1_000_000_000])
def test_an_answer_of_less_than_a_token_is_refused(house: GatewayServer, host: FakeHost, limit: int) -> None:
    """A bound below nothing would set nothing aside."""
    assert house.chat(max_tokens=limit).status_code == 400
    assert not host.attempts


def test_ollamas_word_for_no_limit_is_no_limit(house: GatewayServer) -> None:
    tree = {"model": "cloud/strong", "stream": False, "messages": [{"role": "user", "content": "hello"}]}
    assert house.post("/api/chat", {**tree, "options": {"num_predict": -1}}).status_code == 200


def test_an_endless_name_is_not_said_again(house: GatewayServer) -> None:
    answer = house.chat(model="a" * 100_000)
    assert answer.status_code == 404
    assert len(answer.content) < 1000


def test_a_request_without_a_limit_gets_the_configs(house: GatewayServer, host: FakeHost) -> None:
    assert house.chat().status_code == 200
    assert host.attempts[-1].json["max_tokens"] == 4096
    assert house.post("/v1/responses", {"model": "cloud/strong", "input": "hello"}).status_code == 200
    assert host.attempts[-1].json["max_tokens"] == 4096
    assert house.chat(max_tokens=7).status_code == 200
    assert host.attempts[-1].json["max_tokens"] == 7


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/chat", "/v1/explain"])
def test_a_large_body_is_read_like_any_other(house: GatewayServer, host: FakeHost, path: str) -> None:
    """By the direct path and by the executor, with an image that is one pixel and much noise behind its end."""
    data = base64.b64decode(picture().partition(",")[2]) + b"\0" * (2 << 20)
    coded = base64.b64encode(data).decode()
    uri, words = f"data:image/png;base64,{coded}", "What is this?"
    contents: dict[str, object] = {
        "/v1/messages": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": coded}},
            {"type": "text", "text": words},
        ],
        "/v1/responses": [{"type": "input_image", "image_url": uri}, {"type": "input_text", "text": words}],
        "/api/chat": words,
    }
    content = contents.get(path, [{"type": "text", "text": words}, {"type": "image_url", "image_url": {"url": uri}}])
    message: dict[str, object] = {"role": "user", "content": content}
    if path == "/api/chat":
        message["images"] = [coded]
    tree: dict[str, object] = {"model": "cloud/seeing", "max_tokens": 50}
    tree |= {"input": [message]} if path == "/v1/responses" else {"messages": [message]}
    found = house.post(path, tree)
    assert found.status_code == 200, found.text[:300]
    if path != "/v1/explain":
        assert len(host.attempts[-1].images) == 1
    again = house.post(path, tree, idempotency_key="one")
    assert again.status_code == 200


def test_the_values_of_a_body_are_counted_once_on_both_paths(
    house: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def seen(most: int, body: bytes) -> bool:
        counted.append(len(body))
        return more_than(most, body)

    more_than = counting.has_more_values
    monkeypatch.setattr(counting, "has_more_values", seen)
    long = "word " * 25_000
    for more in ({}, {"moderation": True}, BY_EXECUTOR):
        counted.clear()
        house.chat(long, **more)
        assert len(counted) == 1, more
    counted.clear()
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hello"}]}) + " " * 100_000
    assert house.http.post("/v1/explain", content=body, headers={"content-type": "application/json"}).is_success
    assert len(counted) == 1


def test_too_many_values_are_refused_on_both_paths(house: GatewayServer, host: FakeHost) -> None:
    for more in ({"stop": [""] * 120_000}, {"of_no_client": [1] * 120_000}):
        found = house.chat("hello", **more)
        assert found.status_code == 413 and "100,000 values" in found.text
    assert not host.attempts
