"""Clients that others wrote, as they are installed, against the gateway. The host behind it is a fake."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest
from pydantic import BaseModel
from tests.unit.gateway.apis.test_chat import picture, shown
from tests.unit.gateway.gateway_server import GatewayServer, config, sse

import intermodal
from intermodal.testing import FakeHost
from intermodal.testing.fake_host import until_answered

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather of a place.",
                 "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}},
}  # fmt: skip
CALLED = until_answered(("weather", {"place": "Bonn"}))
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


class Place(BaseModel):
    city: str


@pytest.fixture
def client(house: GatewayServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as made:
        yield made


def test_openai_chats(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="cloud/strong", messages=HELLO)
    assert made.choices[0].message.content == "the hosted answer"
    assert made.usage is not None and made.usage.model_extra
    assert made.usage.model_extra["intermodal"]["route"] == "cloud:cloud/strong"


def test_openai_streams(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="auto", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "the hosted answer"
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3


def test_openai_sends_a_picture(client: openai.OpenAI, host: FakeHost) -> None:
    messages: list[Any] = [{"role": "user", "content": shown()}]
    made = client.chat.completions.create(model="cloud/seeing", messages=messages)
    assert made.choices[0].message.content == "the hosted answer"
    assert len(host.attempts[0].images) == 1


@pytest.mark.e2e
def test_openai_sends_sound_and_a_pdf_to_a_model_that_reads_only_text(
    client: openai.OpenAI, host: FakeHost, media: Path
) -> None:
    """The words of the recording and of the document reach the model; the real ear hears them here."""
    sound = base64.b64encode((media / "jfk.wav").read_bytes()).decode()
    pdf = next(path for path in sorted(media.glob("*.pdf")) if "scan" not in path.name)
    parts: list[Any] = [
        {"type": "text", "text": "What does he ask, and what does the document say?"},
        {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
        {"type": "file", "file": {"filename": pdf.name, "file_data": "data:application/pdf;base64,"
                                  + base64.b64encode(pdf.read_bytes()).decode()}},
    ]  # fmt: skip
    found = client.chat.completions.with_raw_response.create(
        model="cloud/strong", messages=[{"role": "user", "content": parts}]
    )
    assert "transcribe" in found.headers["x-intermodal-steps"]
    body = host.attempts[0].body.lower()
    assert b"ask what you can do for your country" in body
    assert b"input_audio" not in body and pdf.name.lower().encode() in body


def test_openai_gets_json_by_a_schema(client: openai.OpenAI, host: FakeHost) -> None:
    host.answer = '{"city": "Paris"}'
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
    made = client.chat.completions.create(model="cloud/strong", messages=HELLO, response_format=wanted)
    assert json.loads(made.choices[0].message.content or "") == {"city": "Paris"}
    assert json.loads(host.attempts[0].body)["response_format"]["json_schema"]["schema"]["required"] == ["city"]


def test_openai_lists_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"auto", "cloud/strong", "policy:cheap"} <= set(names)


def test_openai_understands_errors(client: openai.OpenAI, host: FakeHost) -> None:
    with pytest.raises(openai.NotFoundError, match="no model named"):
        client.chat.completions.create(model="no/such-model", messages=HELLO)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="auto", messages=HELLO, n=3)
    assert host.attempts == []


def test_our_retries_are_not_multiplied_by_the_clients(house: GatewayServer, host: FakeHost) -> None:
    from intermodal.testing import Fault

    host.fault = Fault("unavailable")
    with (
        openai.OpenAI(base_url=house.base_url, api_key="none") as client,  # asks three times, unless it is told not to
        pytest.raises(openai.InternalServerError) as failed,
    ):
        client.chat.completions.create(model="cloud:cloud/strong", messages=HELLO)
    assert failed.value.response.headers["x-should-retry"] == "false"
    assert len(host.attempts) <= 3


def test_openai_responses(client: openai.OpenAI) -> None:
    made = client.responses.create(model="cloud/strong", input="hello", instructions="Be brief.")
    assert made.output_text == "the hosted answer"
    assert made.status == "completed"
    events = list(client.responses.create(model="cloud/strong", input="hello", stream=True))
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "the hosted answer"
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model="cloud/strong", input="and?", previous_response_id="resp_1")


def test_openai_calls_a_tool_and_answers_it(client: openai.OpenAI, host: FakeHost) -> None:
    """The call comes from the model, its result goes back to it."""
    host.calls = CALLED
    made = client.chat.completions.create(model="cloud/strong", messages=HELLO, tools=[TOOL])  # type: ignore[list-item]
    assert made.choices[0].finish_reason == "tool_calls"
    [call] = made.choices[0].message.tool_calls or ()
    assert call.type == "function" and json.loads(call.function.arguments) == {"place": "Bonn"}
    assert host.attempts[0].json["tools"][0]["function"]["name"] == call.function.name == "weather"
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    turns: list[Any] = [*HELLO, made.choices[0].message, result]
    made = client.chat.completions.create(model="cloud/strong", messages=turns, tools=[TOOL])  # type: ignore[list-item]
    assert made.choices[0].message.content == "the hosted answer"
    assert host.attempts[1].json["messages"][-1] == result
    with client.chat.completions.stream(model="cloud/strong", messages=HELLO, tools=[TOOL]) as stream:  # type: ignore[list-item]
        stream.until_done()
        [call] = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert json.loads(call.function.arguments) == {"place": "Bonn"}


def test_openai_parses_json_by_a_schema(client: openai.OpenAI, host: FakeHost) -> None:
    host.answer = '{"city": "Paris"}'
    chat = client.chat.completions.parse(model="cloud/strong", messages=HELLO, response_format=Place)
    response = client.responses.parse(model="cloud/strong", input="hello", text_format=Place)
    assert chat.choices[0].message.parsed == response.output_parsed == Place(city="Paris")
    assert all((attempt.schema or {})["required"] == ["city"] for attempt in host.attempts)


def test_openai_responses_take_media_and_tools(client: openai.OpenAI, host: FakeHost, media: Path) -> None:
    spelled = base64.b64encode((media / "report.pdf").read_bytes()).decode()
    content = [
        {"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": picture()},
        {"type": "input_file", "filename": "report.pdf", "file_data": f"data:application/pdf;base64,{spelled}"},
    ]  # fmt: skip
    shown: Any = [{"role": "user", "content": content}]
    assert client.responses.create(model="cloud/seeing", input=shown).output_text == "the hosted answer"
    assert len(host.attempts[0].images) == 1 and b"Ingrid Solheim" in host.attempts[0].body
    host.calls = CALLED
    tools: Any = [{"type": "function", **TOOL["function"], "strict": False}]
    made = client.responses.create(model="cloud/strong", input="hello", tools=tools)
    [call] = (item for item in made.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)) == ("weather", {"place": "Bonn"})
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    turns: Any = [*HELLO, *made.output, result]
    assert client.responses.create(model="cloud/strong", input=turns, tools=tools).output_text == "the hosted answer"
    assert host.attempts[-1].json["messages"][-1]["content"] == "rain"


# ---- one thing made of another -----------------------------------------------------------------------

WORKING = """
id = "cloud/vectors"; tasks = ["feature-extraction"]; input_mtok = 0.02; tier = "large"; input = ["text"]
id = "cloud/voice"; tasks = ["text-to-speech"]; input_mchar = 1.0; tier = "large"; input = ["text"]
id = "cloud/ear"; tasks = ["automatic-speech-recognition"]; input = ["audio"]; second = 0.0001; tier = "large"; \
translates = ["en"]; quirks = ["audio_translations"]
id = "cloud/brush"; tasks = ["text-to-image", "image-to-image"]; input = ["text", "image"]; picture = 0.01; \
tier = "large"
"""


@pytest.fixture
def working(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[openai.OpenAI]:
    """A client of a gateway with endpoints for vectors, speech, hearing and images."""
    path = config(tmp_path / "working.toml", ("cloud", host.base_url, WORKING))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer() as house, openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as made:
        yield made


def test_openai_embeds(working: openai.OpenAI, host: FakeHost) -> None:
    texts = [f"text number {n}" for n in range(9)]
    made = working.embeddings.create(model="cloud/vectors", input=texts)  # the client asks for base64 and unpacks it
    plain = working.embeddings.create(model="cloud/vectors", input=texts[3], encoding_format="float")
    assert [row.index for row in made.data] == list(range(9))
    assert made.data[3].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert made.data[3].embedding != pytest.approx(made.data[4].embedding, abs=1e-6)
    assert made.usage.prompt_tokens == sum(attempt.input_tokens for attempt in host.attempts[:9])
    with pytest.raises(openai.BadRequestError, match="not a name of OpenAI's; send texts"):
        working.embeddings.create(model="cloud/vectors", input=[[1, 2, 3]])
    before = len(host.attempts)
    with pytest.raises(openai.BadRequestError, match=r"input\[2\], input\[3\] holds no text"):
        working.embeddings.create(model="cloud/vectors", input=["a", "b", "", " "])
    assert len(host.attempts) == before, "nothing was paid for"
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        working.embeddings.create(model="cloud/vectors", input="x", dimensions=8)


def test_openai_speaks(working: openai.OpenAI) -> None:
    made = working.audio.speech.create(model="cloud/voice", voice="alloy", input="Good morning.", response_format="wav")
    assert made.response.headers["content-type"] == "audio/wav"
    assert made.content[:4] == b"RIFF"
    with pytest.raises(openai.BadRequestError, match="opus"):
        working.audio.speech.create(model="cloud/voice", voice="alloy", input="x", response_format="opus")


def test_openai_transcribes(working: openai.OpenAI, host: FakeHost, media: Path) -> None:
    host.transcript = "the words of the host"
    with (media / "jfk.wav").open("rb") as sound:
        made = working.audio.transcriptions.create(model="cloud/ear", file=sound)
    assert made.text == "the words of the host"
    whole = working.audio.transcriptions.create(
        model="cloud/ear", file=("jfk.wav", (media / "jfk.wav").read_bytes()), response_format="verbose_json",
        language="en",
    )  # fmt: skip
    assert whole.duration == pytest.approx(11, abs=0.5)
    srt = working.audio.transcriptions.create(model="cloud/ear", file=media / "jfk.wav", response_format="srt")
    assert "-->" in str(srt)


DEPRECATED = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # by its SDK; it is there


@DEPRECATED
def test_openai_translates_speech_in_every_format(working: openai.OpenAI, host: FakeHost, media: Path) -> None:
    host.transcript = "Good day, sir."
    asked: Any = {"model": "cloud/ear", "file": ("french.flac", (media / "french.flac").read_bytes())}
    assert working.audio.translations.create(**asked).text == "Good day, sir."
    assert {each.path for each in host.attempts} == {"/v1/audio/translations"}
    whole = working.audio.translations.create(**asked, response_format="verbose_json")
    assert (whole.language, whole.text) == ("en", "Good day, sir.")
    assert "-->" in str(working.audio.translations.create(**asked, response_format="srt"))
    assert "WEBVTT" in str(working.audio.translations.create(**asked, response_format="vtt"))
    assert "Good day, sir." in str(working.audio.translations.create(**asked, response_format="text"))


@DEPRECATED
def test_openai_is_told_that_a_translation_takes_no_language(
    working: openai.OpenAI, host: FakeHost, media: Path
) -> None:
    """It is English here as at OpenAI; a language that a client sends is named, not obeyed in silence."""
    made = working.audio.translations.with_raw_response.create(
        model="cloud/ear", file=("french.flac", (media / "french.flac").read_bytes()), extra_body={"language": "de"}
    )
    assert "language" in made.headers["x-intermodal-ignored"]


def test_a_form_that_is_sent_again_is_known_again(working: openai.OpenAI, host: FakeHost, media: Path) -> None:
    """Clients part a form anew each time that they send it; what is in it is the same."""
    sound = (media / "jfk.wav").read_bytes()

    def asked(model: str) -> httpx.Response:
        file = {"file": ("jfk.wav", sound, "audio/wav")}
        again = {"idempotency-key": "once"}
        url = f"{working.base_url}audio/transcriptions"
        return httpx.post(url, data={"model": model}, files=file, headers=again, timeout=300, trust_env=False)

    first, second = asked("cloud/ear"), asked("cloud/ear")
    assert first.status_code == second.status_code == 200, second.text
    assert first.request.headers["content-type"] != second.request.headers["content-type"]
    assert second.headers["idempotency-replayed"] == "true" and second.text == first.text
    assert len(host.attempts) == 1
    assert asked("ear").status_code == 409


def test_openai_is_told_what_a_transcript_has_not(working: openai.OpenAI, host: FakeHost, media: Path) -> None:
    """A client that asked for a stream would read an answer that is none as an empty one."""
    asked: Any = {"model": "cloud/ear", "file": ("jfk.wav", (media / "jfk.wav").read_bytes())}
    with pytest.raises(openai.BadRequestError, match="a transcript comes whole here"):
        working.audio.transcriptions.create(**asked, stream=True)
    for wanted in (["word"], ["segment", "word"]):
        with pytest.raises(openai.BadRequestError, match="times are of segments here"):
            working.audio.transcriptions.create(
                **asked, response_format="verbose_json", timestamp_granularities=wanted
            )  # fmt: skip
    assert host.attempts == []
    made = working.audio.transcriptions.with_raw_response.create(
        **asked, response_format="verbose_json", timestamp_granularities=["segment"], stream=False
    )
    assert "x-intermodal-ignored" not in made.headers


def test_a_form_tightens_its_policy_as_openais_client_writes_it(
    working: openai.OpenAI, host: FakeHost, media: Path
) -> None:
    asked: Any = {"model": "cloud/ear", "file": ("jfk.wav", (media / "jfk.wav").read_bytes())}
    for tight in ({"farthest": "machine"}, {"max_cost": 0.0000001}, {"private": ["audio"]}):
        with pytest.raises(openai.APIStatusError) as refused:
            working.audio.transcriptions.create(**asked, extra_body={"intermodal": tight})
        assert refused.value.status_code in (400, 402), refused.value.message
    assert host.attempts == []
    made = working.audio.transcriptions.with_raw_response.create(**asked, extra_body={"intermodal": {"max_cost": 1}})
    assert "x-intermodal-ignored" not in made.headers
    assert len(host.attempts) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ((("intermodal", b'{"farthest": "machine"}'),), "machine"),
        ((("intermodal[farthest]", b"machine"),), "machine"),
        ((("intermodal", b"{" * 100_000),), "is no object"),
        ((("intermodal", b'{"farthest": "mars"}'),), "farthest"),
        ((("intermodal[hosts][]", b"openai"),), "may not set intermodal's hosts"),
        ((("intermodal", b"{}"), ("intermodal[farthest]", b"machine")), "as one field and as several"),
        ((("intermodal[farthest]", b"machine"), ("intermodal[farthest]", b"internet")), "2 times"),
        ((("intermodal[private]", b"audio"), ("intermodal[private][]", b"text")), "as a value and as a list"),
        ((("intermodal[private][]", b"audio"), ("intermodal[private]", b"text")), "as a value and as a list"),
        ((("intermodal[policy][farthest]", b"machine"),), "has a field"),
    ],
)
def test_a_form_loosens_nothing_and_leaves_nothing_out_in_silence(
    working: openai.OpenAI, host: FakeHost, media: Path, fields: tuple[tuple[str, bytes], ...], said: str
) -> None:
    parts = (("model", b"cloud/ear"), ("file", (media / "jfk.wav").read_bytes()), *fields)
    found = httpx.post(f"{working.base_url}audio/transcriptions", **form(*parts), timeout=300, trust_env=False)
    assert found.status_code == 400 and said in found.text, found.text
    assert host.attempts == []


def form(*parts: tuple[str, bytes]) -> dict[str, Any]:
    """A form, part by part; what is named a file is one."""
    body = b"".join(
        b'--x\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        % (name.encode(), b'; filename="a.wav"' if name == "file" else b"", said)
        for name, said in parts
    )
    return {"content": body + b"--x--\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}


@pytest.mark.parametrize("twice", ["file", "model", "language", "response_format"])
def test_what_a_form_says_twice_is_not_chosen_from(
    working: openai.OpenAI, host: FakeHost, media: Path, twice: str
) -> None:
    sound = (media / "jfk.wav").read_bytes()
    said = {"file": sound, "model": b"cloud/ear", "language": b"en", "response_format": b"json"}
    url = f"{working.base_url}audio/transcriptions"
    found = httpx.post(url, **form(*said.items(), (twice, said[twice])), timeout=300, trust_env=False)
    assert found.status_code == 400 and twice in found.json()["error"]["message"]
    assert host.attempts == []
    more = ("timestamp_granularities[]", b"segment")
    assert httpx.post(url, **form(*said.items(), more, more), timeout=300, trust_env=False).status_code == 200


def test_the_version_is_that_of_ollamas_api_which_clients_compare(house: GatewayServer) -> None:
    """As GitHub Copilot in VS Code does, and Open WebUI, which takes the lowest of several."""
    told = house.http.get("/api/version").json()
    found = tuple(int(number) for number in told["version"].split("."))
    assert found >= (0, 6, 4), "a client wants the capabilities of models, which came with it"
    assert found < (0, 9, 0), "clients would send think, which is not read"
    assert told["intermodal"] == intermodal.__version__
    shown = house.post("/api/show", {"model": "cloud/strong"}).json()
    assert "completion" in shown["capabilities"]


def test_a_name_that_chats_may_ask_for_can_be_looked_at(house: GatewayServer) -> None:
    for name in ("cloud/strong", "cloud:cloud/strong", "strong"):
        assert house.chat(model=name).status_code == 200
        found = house.http.get(f"/v1/models/{name}").json()
        assert (found["id"], found["endpoints"]) == (name, ["cloud:cloud/strong"])
        assert "completion" in house.post("/api/show", {"model": name}).json()["capabilities"]
    assert house.http.get("/v1/models/weak").status_code == 404


def test_models_that_do_not_answer_list_no_capabilities(working: openai.OpenAI) -> None:
    with ollama.Client(host=str(working.base_url).removesuffix("/v1/")) as client:
        able = {name: client.show(f"cloud/{name}").capabilities for name in ("vectors", "voice", "ear", "brush")}
    assert able == {"vectors": ["embedding"], "voice": [], "ear": [], "brush": []}


def test_ollama_lists_no_transcribers_to_chat_with(working: openai.OpenAI) -> None:
    """An ear writes words, and it answers nobody."""
    with ollama.Client(host=str(working.base_url).removesuffix("/v1/")) as client:
        listed = [model.model for model in client.list().models]
    assert "auto" in listed
    assert not [name for name in listed if "ear" in str(name) or "whisper" in str(name) or "ocr" in str(name)]


def test_openai_draws(working: openai.OpenAI, host: FakeHost) -> None:
    made = working.images.generate(model="cloud/brush", prompt="a crane at dawn", n=2, size="1024x1024")
    assert made.data is not None and len(made.data) == 2
    assert base64.b64decode(made.data[0].b64_json or "")[:4] == b"\x89PNG"
    assert host.attempts[0].json["n"] == 2
    with pytest.raises(openai.BadRequestError, match="b64_json"):
        working.images.generate(model="cloud/brush", prompt="x", response_format="url")


def test_a_form_that_is_none_is_refused(house: GatewayServer) -> None:
    path = "/v1/audio/transcriptions"
    for body, kind in (
        (b"", "multipart/form-data; boundary=x"), (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"--x--", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\n\r\nhi\r\n--x--", "multipart/form-data; boundary=x"),
        (b"abc", "multipart/form-data"),
        (b"--x\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x"),
    ):  # fmt: skip
        found = house.http.post(path, content=body, headers={"content-type": kind})
        assert found.status_code == 400, (body, found.text)
    field = b'--x\r\ncontent-disposition: form-data; name="f"\r\n\r\n1\r\n'
    many = field * 70 + b"--x--"
    found = house.http.post(path, content=many, headers={"content-type": "multipart/form-data; boundary=x"})
    assert found.status_code == 413
    found = house.http.post(path, data={"model": "auto", "api_base": "http://x"}, files={"file": b"RIFF"})
    assert found.status_code == 400 and "api_base" in found.text
    assert house.log == []


@pytest.mark.e2e
def test_a_picture_dropped_into_open_webui_is_read_for_a_model_of_text(
    house: GatewayServer, host: FakeHost, media: Path
) -> None:
    """As Open WebUI 0.12.4 sends it; by hand it was done in a browser (docs/open-webui.md). The reading is real."""
    data = base64.b64encode((media / "screenshot-invoice.png").read_bytes()).decode()
    attached = (
        '<attached_files>\n<file type="file" content_type="image/png" name="receipt.png"/>\n</attached_files>\n\n'
    )
    content = [
        {"type": "text", "text": attached}, {"type": "text", "text": "What is the total due?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
    ]  # fmt: skip
    found = house.chat(content, stream=True, stream_options={"include_usage": True})
    said = sse(found.text)
    assert found.status_code == 200 and said.done
    prompt = json.dumps(host.attempts[-1].json["messages"])
    assert r"Text read from image:\n---" in prompt and "1,380.50" in prompt
    notes = said.events[-1]["usage"]["intermodal"]["notes"]
    assert [note for note in notes if "layout of image" in note]
    assert len(notes) == len(set(notes))
    again = house.chat(content, stream=True, stream_options={"include_usage": True})
    assert sse(again.text).events[-1]["usage"]["intermodal"]["attempts"] == 1  # it was read once


@pytest.mark.e2e
def test_a_picture_that_comes_twice_in_a_request_is_read_once(house: GatewayServer) -> None:
    twice = [{"type": "text", "text": "What is this?"}, *[{"type": "image_url", "image_url": {"url": picture()}}] * 4]
    found = house.chat(twice)
    assert found.status_code == 200, found.text
    assert found.json()["usage"]["intermodal"]["attempts"] == 2  # it is read, and the question is answered


@pytest.mark.e2e
def test_a_model_in_memory_is_one_that_runs(house: GatewayServer) -> None:
    with ollama.Client(host=house.gateway.url) as client:
        assert client.ps().models == []
        client.chat(model="huggingfacetb/smollm2-135m-instruct", messages=HELLO, options={"num_predict": 2})
        (model,) = client.ps().models
    assert model.model == "huggingfacetb/smollm2-135m-instruct"
    assert model.context_length == 8192


@pytest.mark.e2e
def test_the_models_of_this_machine_hear_speak_and_embed(house: GatewayServer, media: Path) -> None:
    """Real ears, voice and vectors, through OpenAI's own client."""
    with openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as client:
        heard = client.audio.transcriptions.create(model="openai/whisper-base", file=media / "jfk.wav")
        assert "ask what you can do for your country" in heard.text.lower()
        spoken = client.audio.speech.create(model="auto", voice="default", input="Good morning.", response_format="wav")
        assert spoken.content[:4] == b"RIFF" and len(spoken.content) > 10_000
        near, alike, far = (
            row.embedding
            for row in client.embeddings.create(
                model="intfloat/multilingual-e5-small",
                input=["a cat sleeps", "a kitten is asleep", "the stock market fell"],
            ).data
        )
        assert sum(a * b for a, b in zip(near, alike, strict=True)) > sum(a * b for a, b in zip(near, far, strict=True))
