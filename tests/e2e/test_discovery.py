"""Servers a person already runs: found, told apart, read, and used, each before a real llama.cpp server.

llama.cpp itself is real; Ollama and LM Studio are emulated doors (both families of each) before it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import ollama
import pytest
from tests.e2e.servers import EYE as PROJECTOR
from tests.e2e.servers import LlamaServer, llama_server
from tests.unit.cli.conftest import Cli
from tests.unit.cli.conftest import cli as cli

from intermodal.config import config_file
from intermodal.local.discovery import scanner, server_directory
from intermodal.testing import EmulatedLMStudio, EmulatedOllama, Engine, ListedModel
from intermodal.testing.emulated_servers import Family

pytestmark = pytest.mark.e2e
FAMILIES = pytest.mark.parametrize("family", ["old", "new"])
EYE, BLIND = ListedModel("tiny-eye:latest", sees=True), ListedModel("smollm2:135m")
FEW = ("--max-tokens", "8", "--at-least", "tiny")
PATIENCE = 10.0  # seconds: a server on a busy machine answers later than a user would wait for
SEEN = (*FEW, "--keep", "appearance")  # the image itself, and not what an ear or a reader makes of it


@pytest.fixture
def found(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have these addresses looked at, and no others."""

    def write(*addresses: str, more: str = "") -> None:
        monkeypatch.delenv("INTERMODAL_DISCOVERY")
        monkeypatch.setattr(scanner, "SECONDS", PATIENCE)
        path = config_file.config_path(os.environ)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{more}\n[discovery]\nusual_ports = false\naddresses = {json.dumps(addresses)}\n")

    return write


def served(cli: Cli) -> dict[str, dict[str, Any]]:
    """Models of the servers that the doctor finds, by name."""
    return {
        model["name"]: model for server in cli("doctor", "--json").document["servers"] for model in server["models"]
    }


@pytest.fixture(scope="module")
def wide_eye() -> Iterator[LlamaServer]:
    """With room for what an image of unknown weight may take."""
    with llama_server(eye=PROJECTOR, context=4096) as server:
        yield server


# ---- llama.cpp, the real one ------------------------------------------------------------------------


def test_a_real_llama_server_is_found_with_its_context_and_its_vision_model_and_then_answers(
    cli: Cli, found: Any, wide_eye: LlamaServer, text_server: LlamaServer, media: Path
) -> None:
    addresses = [server.base_url.removesuffix("/v1") for server in (wide_eye, text_server)]
    found(*addresses)
    wide_eye.record.forget()
    document = cli("doctor", "--json").document
    assert [(each["address"], each["kind"]) for each in document["servers"]] == [(a, "llama.cpp") for a in addresses]
    models = served(cli)
    assert models[wide_eye.model]["context"] == wide_eye.context
    assert "image" in models[wide_eye.model]["input"]
    assert models[text_server.model]["input"] == ["text"]
    sources = {claim["source"] for claim in models[wide_eye.model]["claims"] if claim["about"] == "image"}
    assert sources == {"/v1/models", "/props"}
    picture = str(media / "photo-cat.jpg")
    done = cli("ask", "What is it?", picture, "-m", wide_eye.model, "--json", *SEEN)
    assert done.answered, done.out + done.err
    assert b"data:image" in wide_eye.reached


def test_explain_contacts_no_server_and_plans_with_what_was_found_before(
    cli: Cli, found: Any, text_server: LlamaServer
) -> None:
    found(text_server.base_url.removesuffix("/v1"))
    assert cli("explain", "Hello", "-m", text_server.model, *FEW).code == 2  # nobody has looked yet
    assert cli("models", "--json").code == 0
    text_server.record.forget()
    done = cli("explain", "Hello", "-m", text_server.model, *FEW)
    assert done.answered, done.err
    assert text_server.model in done.out
    assert text_server.reached == b""


# ---- Ollama -------------------------------------------------------------------------------------


@FAMILIES
def test_ollama_of_either_family_is_found_and_nothing_is_loaded_to_find_out(
    cli: Cli, found: Any, text_server: LlamaServer, family: Family
) -> None:
    with EmulatedOllama(
        Engine(text_server.base_url), (EYE, BLIND, ListedModel("nomic-embed", embeds=True)), family
    ) as door:
        found(door.address)
        models = served(cli)
        assert not door.loaded
        assert not door.chats
        shown = sum(each.path == "/api/show" for each in door.asked)
        door.loaded["smollm2:135m"] = 4096  # which changes what its list of loaded models says, and nothing else
        assert {claim["source"] for claim in served(cli)["smollm2:135m"]["claims"] if claim["about"] == "image"} == {
            claim["source"] for claim in models["smollm2:135m"]["claims"] if claim["about"] == "image"
        }
        door.loaded.clear()
        assert served(cli) == models
        # A file with the same digest on the same version is not asked about again.
        assert sum(each.path == "/api/show" for each in door.asked) == shown == 3
    assert models["tiny-eye:latest"]["input"] == ["text", "image"]
    assert models["smollm2:135m"]["input"] == ["text"]
    assert models["smollm2:135m"]["trained"] == 8192
    assert models["nomic-embed"]["makes"] == "embedding"


@FAMILIES
def test_ollama_is_asked_for_the_context_that_the_call_needs_and_gets_the_picture(
    cli: Cli, found: Any, eye_server: LlamaServer, media: Path, family: Family
) -> None:
    with EmulatedOllama(Engine(eye_server.base_url), (EYE,), family) as door:
        found(door.address)
        done = cli("ask", "What is it?", str(media / "photo-cat.jpg"), "-m", "tiny-eye:latest", "--json", *SEEN)
        assert done.answered, done.out + done.err
        (asked,) = door.chats
        assert door.loaded == {"tiny-eye:latest": 4096}
    assert asked.json["options"]["num_ctx"] == 4096
    assert len(asked.json["messages"][-1]["images"]) == 1
    assert done.document["text"].strip()
    assert done.document["steps"][-1]["usage"]["output_tokens"] > 0


@FAMILIES
def test_the_published_client_of_ollama_accepts_the_emulated_server(
    eye_server: LlamaServer, media: Path, family: Family
) -> None:
    with (
        EmulatedOllama(Engine(eye_server.base_url), (EYE,), family) as door,
        ollama.Client(host=door.address) as client,
    ):
        (listed,) = client.list().models
        assert listed.model == "tiny-eye:latest"
        shown = client.show("tiny-eye:latest")
        assert shown.modelinfo is not None
        assert shown.modelinfo["llama.context_length"] == 8192
        assert shown.capabilities == (["completion", "vision"] if family == "new" else None)
        picture = (media / "photo-cat.jpg").read_bytes()
        message = ollama.Message(role="user", content="What is it?", images=[ollama.Image(value=picture)])
        options = ollama.Options(num_predict=8, num_ctx=2048)
        whole = client.chat("tiny-eye:latest", [message], options=options)
        pieces = list(client.chat("tiny-eye:latest", [message], options=options, stream=True))
        assert whole.message.content == "".join(piece.message.content or "" for piece in pieces)
        assert (whole.prompt_eval_count or 0) > 10
        assert [model.model for model in client.ps().models] == ["tiny-eye:latest"]
        with pytest.raises(ollama.ResponseError, match="not found"):
            client.chat("nobody", [message])
        client._client.close()


@FAMILIES
def test_what_ollama_passes_on_needs_consent_and_is_not_local(
    cli: Cli, found: Any, text_server: LlamaServer, family: Family
) -> None:
    cloud = ListedModel("gpt-oss:120b-cloud", remote="https://ollama.com:443")
    with EmulatedOllama(Engine(text_server.base_url), (BLIND, cloud), family) as door:
        found(door.address)
        assert served(cli)["gpt-oss:120b-cloud"]["elsewhere"]
        listed = {m["served_as"]: m for m in cli("models", "--json").document["models"]}
        assert (listed["gpt-oss:120b-cloud"]["zone"], listed["gpt-oss:120b-cloud"]["allowed"]) == ("internet", False)
        assert (listed["smollm2:135m"]["zone"], listed["smollm2:135m"]["allowed"]) == ("machine", True)
        for more in ((), ("--local",)):
            refused = cli("ask", "Hello", "-m", "gpt-oss:120b-cloud", *FEW, *more)
            assert refused.code == 4, refused.out + refused.err
            assert "consent" in refused.err or "machine" in refused.err
        assert not door.chats


# ---- LM Studio ----------------------------------------------------------------------------------


@FAMILIES
def test_lm_studio_of_either_family_is_found_and_nothing_is_loaded_to_find_out(
    cli: Cli, found: Any, eye_server: LlamaServer, media: Path, family: Family
) -> None:
    models = (
        ListedModel("desk/tiny-eye", sees=True),
        ListedModel("desk/blind"),
        ListedModel("desk/vectors", embeds=True),
    )
    with EmulatedLMStudio(Engine(eye_server.base_url), models, family, context=2048) as door:
        found(door.address)
        before = served(cli)
        assert not door.loaded
        assert not door.chats
        done = cli("ask", "What is it?", str(media / "photo-cat.jpg"), "-m", "desk/tiny-eye", "--json", *SEEN)
        assert done.answered, done.out + done.err
        after = served(cli)
    assert before["desk/tiny-eye"]["input"] == ["text", "image"]
    assert before["desk/blind"]["input"] == ["text"]
    assert before["desk/vectors"]["makes"] == "embedding"
    assert (before["desk/tiny-eye"]["context"], after["desk/tiny-eye"]["context"]) == (None, 2048)
    assert (before["desk/tiny-eye"]["loaded"], after["desk/tiny-eye"]["loaded"]) == (False, True)


def test_a_model_of_lm_studio_on_a_linked_device_is_not_local(cli: Cli, found: Any, text_server: LlamaServer) -> None:
    with EmulatedLMStudio(Engine(text_server.base_url), (ListedModel("desk/far", remote="studio"),)) as door:
        found(door.address)
        (far,) = [m for m in cli("models", "--json").document["models"] if m["served_as"] == "desk/far"]
        assert (far["zone"], far["allowed"], far["host"]) == ("internet", False, "lmstudio-link")
        assert cli("ask", "Hello", "-m", "desk/far", *FEW).code == 4
        assert not door.chats
        assert cli("hosts", "add", "lmstudio-link", "--yes").code == 0
        assert cli("ask", "Hello", "-m", "desk/far", "--local", *FEW).code == 4
        done = cli("ask", "Hello", "-m", "desk/far", *FEW)
        assert done.answered, done.err
        assert len(door.chats) == 1


def test_lists_that_contradict_each_other_are_shown_and_the_newer_one_is_believed(
    cli: Cli, found: Any, text_server: LlamaServer
) -> None:
    class Torn(EmulatedLMStudio):
        def _v0(self, model: ListedModel) -> dict[str, Any]:
            return {**super()._v0(model), "type": "vlm"}

    with Torn(Engine(text_server.base_url), (ListedModel("desk/torn"),)) as door:
        found(door.address)
        torn = served(cli)["desk/torn"]
        said = cli("models", "show", "desk/torn").out
    assert torn["input"] == ["text"]
    (words,) = torn["contradictions"]
    assert words == "image: /api/v0/models says takes it, but /api/v1/models says no; the last is believed"
    assert "/api/v0/models" in said
    assert "contradiction" in said


# ---- others, and who is none ------------------------------------------------------------------------


@contextmanager
def answering(replies: dict[str, Any], *, slow: float = 0.0, mute: Event | None = None) -> Iterator[str]:
    """A server with these replies to GET, as JSON; once it is ``mute`` it takes calls and never answers."""
    over = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(slow)
            if mute is not None and mute.is_set():
                over.wait(300)
                return
            body = json.dumps(replies.get(self.path)).encode()
            self.send_response(200 if self.path in replies else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def row(owner: str, **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner, **more}]}


# As stable-diffusion.cpp's server answers (its api.md, and a build of it).
SD_SERVER = {"data": [{"id": "sd-cpp-local", "object": "model", "owned_by": "local"}]}
SHAPE = {"input_modalities": ["text", "image"], "output_modalities": ["text"]}
CAN = {
    "object": "list",
    "data": [{"id": "m", "capabilities": ["chat", "vision"], "input_modalities": ["text", "image"]}],
}


@pytest.mark.parametrize(
    ("replies", "kind", "input", "context"),
    [
        ({"/v1/models": row("vllm", max_model_len=1024), "/version": {"version": "0.11"}}, "vllm", [], 1024),
        ({"/v1/models": row("llama-swap", architecture=SHAPE, context_length=9)}, "llama-swap", ["text", "image"], 9),
        ({"/v1/models": row("llama-swap", capabilities={"vision": False})}, "llama-swap", ["text"], None),
        ({"/v1/models": row("local"), "/v1/models/capabilities": CAN}, "localai", ["text", "image"], None),
        ({"/v1/models": SD_SERVER}, "stable-diffusion-cpp", [], None),
        ({"/v1/models": row("vllm", max_model_len=9), "/health": {"status": "healthy"}}, "vllm-omni", [], 9),
        ({"/v1/models": row("local"), "/health": {"status": "healthy"}}, "", None, None),
        ({"/v1/models": row("openai")}, "", None, None),
        ({"/": "a page of one's own"}, "", None, None),
    ],
    ids=[
        "vllm", "llama-swap", "llama-swap by hand", "localai", "stable-diffusion.cpp", "vllm-omni",
        "healthy alone is no sign", "unknown", "no model server",
    ],
)  # fmt: skip
def test_servers_are_told_apart_by_what_only_they_say(
    cli: Cli, found: Any, replies: dict[str, Any], kind: str, input: list[str] | None, context: int | None
) -> None:
    with answering(replies) as address:
        found(address)
        (server,) = cli("doctor", "--json").document["servers"]
    assert server["kind"] == kind
    assert [(m["input"], m["context"]) for m in server["models"]] == ([(input, context)] if kind else [])


def test_comfyui_is_named_with_what_it_is_not_used_for_and_not_planned_with(cli: Cli, found: Any) -> None:
    stats = {"system": {"comfyui_version": "0.34.0", "os": "posix"}, "devices": [{"name": "cpu", "type": "cpu"}]}
    with answering({"/system_stats": stats}) as address:
        found(address)
        document = cli("doctor", "--json").document
    (server,) = document["servers"]
    assert (server["kind"], server["version"], server["models"]) == ("comfyui", "0.34.0", [])
    (finding,) = (each for each in document["findings"] if each["area"] == "server")
    assert finding["state"] == "unused"
    assert finding["what"].startswith("ComfyUI 0.34.0: it runs workflows")
    assert "sd-server" in finding["what"]


def test_a_server_that_never_answers_holds_up_no_other(cli: Cli, found: Any, text_server: LlamaServer) -> None:
    never = Event()
    never.set()
    with answering({"/v1/models": row("vllm")}, mute=never) as slow:
        found(slow, text_server.base_url.removesuffix("/v1"))
        from intermodal import Client

        with Client() as client:
            servers = client._bridge.run(client.asynchronous.known.scan)
        assert [(server.kind, server.complete) for server in servers] == [("", False), ("llama.cpp", True)]


def test_what_listens_in_the_place_of_a_server_and_says_nothing_is_not_called_well(cli: Cli, found: Any) -> None:
    mute, replies = Event(), {"/v1/models": row("vllm", max_model_len=1024), "/version": {"version": "0.11"}}
    with answering(replies, mute=mute) as address:
        found(address)
        cli("doctor", "--json")
        mute.set()
        (finding,) = (each for each in cli("doctor", "--json").document["findings"] if each["area"] == "server")
    assert finding["state"] == "unreachable" and "gave no answer in time" in finding["what"]
    assert "it was vLLM" in finding["what"]


def test_nothing_is_looked_for_where_the_config_says_so(cli: Cli, found: Any, text_server: LlamaServer) -> None:
    address = text_server.base_url.removesuffix("/v1")
    found(address)
    assert served(cli)
    text_server.record.forget()
    path = config_file.config_path(os.environ)
    path.write_text(path.read_text().replace("[discovery]", "[discovery]\nenabled = false"))
    assert cli("doctor", "--json").document["servers"] == []
    assert not [m for m in cli("models", "--json").document["models"] if m["served_as"] == text_server.model]
    assert text_server.reached == b""


def test_an_address_on_the_internet_is_no_place_to_look(cli: Cli, found: Any) -> None:
    found("https://models.example.com")
    done = cli("models")
    assert done.code == 2
    assert "hosts add" in done.err


# ---- what a server turns out not to take -------------------------------------------------------------


@FAMILIES
def test_a_picture_that_a_model_refuses_is_kept_planned_around_and_never_sent_there_again(
    cli: Cli, found: Any, text_server: LlamaServer, media: Path, family: Family
) -> None:
    """Its server says that it sees. It does not."""
    wrong = ListedModel("liar:latest", sees=False, says_sees=True)
    picture = str(media / "screenshot-invoice.png")
    ask = ("ask", "What is the total?", picture, "-m", "liar:latest", "--json", *FEW)
    with EmulatedOllama(Engine(text_server.base_url), (wrong,), family) as door:
        found(door.address)
        refused = cli(*ask, "--keep", "appearance")
        assert refused.code == 5, refused.out
        assert len(door.chats) == 1
        again = cli(*ask, "--keep", "appearance")
        assert again.code == 4, again.out
        assert len(door.chats) == 1  # not asked again, by another process too
        read = cli(*ask)  # its text goes, and no image
        assert read.answered, read.out
        assert not door.chats[-1].json["messages"][-1].get("images")
        shown = cli("models", "show", "liar").out
        assert "image input is not supported" in shown
        assert any("image" in f["what"] for f in cli("doctor", "--json").document["findings"] if f["area"] == "learned")
        door.models["liar:latest"] = ListedModel(
            "liar:latest", sees=False, says_sees=True, digest="ffff"
        )  # pulled anew
        assert cli("models").code == 0
        assert cli(*ask, "--keep", "appearance").code == 5
        assert len(door.chats) == 3


def test_a_runtime_that_a_picture_kills_is_never_sent_one_again(cli: Cli, found: Any, media: Path) -> None:
    """A real llama-server, ended the moment an image comes by."""
    picture = str(media / "screenshot-invoice.png")
    with llama_server(eye=PROJECTOR, context=4096) as server:
        address, model = server.base_url.removesuffix("/v1"), server.model
        found(address)
        assert cli("models").code == 0
        server.record.when(b"data:image", server.process.kill)
        died = cli("ask", "Total?", picture, "-m", model, *SEEN)
        assert died.code == 5, died.err
        again = cli("explain", "Total?", picture, "-m", model, *SEEN)
    assert again.code == 4, again.out
    assert "appearance" in again.err, again.err
    assert server.reached.count(b"data:image") == 1
    (lesson,) = server_directory.read_lessons(config_file.data_dir(os.environ))
    assert (lesson.about, lesson.holds) == ("image", False)
    assert lesson.message == "closed the connection without an answer when it was sent image"


@FAMILIES
def test_a_pdf_and_a_url_never_reach_a_local_server_and_it_always_gets_bytes(
    cli: Cli, found: Any, wide_eye: LlamaServer, media: Path, family: Family
) -> None:
    with EmulatedLMStudio(Engine(wide_eye.base_url), (ListedModel("desk/tiny-eye", sees=True),), family) as door:
        found(door.address)
        for file in ("report.pdf", "photo-cat.jpg"):
            done = cli("ask", "What is it?", str(media / file), "-m", "desk/tiny-eye", "--json", *FEW)
            assert done.answered, done.out + done.err
        bodies = [each.body for each in door.chats]
    assert bodies
    assert not any(b"%PDF" in body or b"JVBERi" in body or b"file_data" in body for body in bodies)
    assert not any(b'"url":"http' in body or b"file://" in body for body in bodies)


def test_a_prompt_that_is_cut_in_silence_is_an_error_and_not_an_answer(
    cli: Cli, found: Any, text_server: LlamaServer, tmp_path: Path
) -> None:
    """An old Ollama that was told to load with less than it is asked for: it cuts, and says nothing."""

    class Stubborn(EmulatedOllama):
        def _chat(self, body: dict[str, Any]) -> Any:
            return super()._chat({**body, "options": {**body["options"], "num_ctx": 512}})

    long = tmp_path / "long.txt"
    long.write_text("The total of the invoice is 42 euros, and it was paid in March. " * 120)
    with Stubborn(Engine(text_server.base_url), (BLIND,), "old") as door:
        found(door.address)
        done = cli("ask", "What is the total?", str(long), "-m", "smollm2:135m", *FEW)
        assert door.cut == 1
    assert done.code == 5, done.out + done.err
    assert "cut" in done.err
    assert "tokens" in done.err


def test_the_plan_says_how_much_context_is_asked_for(cli: Cli, found: Any, text_server: LlamaServer) -> None:
    with EmulatedOllama(Engine(text_server.base_url), (BLIND,)) as door:
        found(door.address)
        assert cli("models").code == 0
        done = cli("explain", "Hello", "-m", "smollm2:135m", *FEW)
        assert "asks for a context of 4,096 tokens" in done.out
        assert cli("ask", "Hello", "-m", "smollm2:135m", *FEW).answered
        assert door.chats[-1].json["options"]["num_ctx"] == 4096


def test_an_ollama_that_listens_where_its_variable_says_is_found_and_none_on_another_machine(
    cli: Cli, found: Any, text_server: LlamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmulatedOllama(Engine(text_server.base_url), (BLIND,)) as door:
        found(more="")
        path = config_file.config_path(os.environ)
        path.write_text("")  # the usual ports, and what variables say
        monkeypatch.setenv("OLLAMA_HOST", door.address.removeprefix("http://"))
        assert door.address in {server["address"] for server in cli("doctor", "--json").document["servers"]}
        monkeypatch.setenv("OLLAMA_HOST", "http://192.0.2.1:11434")  # the guard of these tests refuses to dial it
        assert "192.0.2.1" not in cli("doctor").out


def test_of_a_host_of_one_s_own_its_server_s_word_takes_away_and_never_adds(
    cli: Cli, found: Any, text_server: LlamaServer, wide_eye: LlamaServer
) -> None:
    found(more=text_server.row("blind").replace('["text"]', '["text", "image"]').replace("8192", "99999")
          + wide_eye.row("eye").replace('["text", "image"]', '["text"]'))  # fmt: skip
    listed = {m["host"]: m for m in cli("models", "--json").document["models"]}
    assert (listed["blind"]["input"], listed["blind"]["context"]) == (["text"], 8192)
    assert listed["eye"]["input"] == ["text"]
    assert not [host for host in listed if host.startswith("llama.cpp")]  # it is one server, under its owner's name
