"""``intermodal probe``: what real servers turn out to take when they are asked, kept and used by plans."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.servers import EAR, LlamaServer, llama_server
from tests.unit.cli.conftest import Cli
from tests.unit.cli.conftest import cli as cli

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import EmulatedOllama, Engine, FakeHost, ListedModel

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def ear() -> Iterator[LlamaServer]:
    with llama_server(ear=EAR) as server:
        yield server


def entered(base_url: str, model: str, **more: Any) -> str:
    """A host of the user's own of which nothing is known but that it chats."""
    row = ServedRow(id=model, context=2048, tier="tiny", **more)
    config_file.add_host(os.environ, HostRow(id="box", base_url=base_url, zone="machine", models=(row,)))
    return f"box:{model}"


def probed(cli: Cli, name: str, *more: str) -> list[dict[str, Any]]:
    done = cli("probe", name, "--yes", "--json", *more)
    assert done.answered, done.out + done.err
    found: list[dict[str, Any]] = done.document["found"]
    return found


def held(cli: Cli, name: str, *more: str) -> dict[str, bool | None]:
    return {each["about"]: each["holds"] for each in probed(cli, name, *more)}


def test_a_server_that_sees_is_found_to_see_and_is_sent_pictures_from_then_on(
    cli: Cli, eye_server: LlamaServer, media: Path
) -> None:
    name = entered(eye_server.base_url, eye_server.model, image_tokens="fixed:16")
    ask = ("What is it?", str(media / "photo-cat.jpg"), "-m", name, "--keep", "appearance", "--at-least", "tiny")
    assert cli("explain", *ask).code == 4
    found = probed(cli, name, "--only", "image,audio")
    shown = {each["about"]: each["holds"] for each in found}
    assert shown == {"text": True, "image": True, "audio": False}, found
    done = cli("explain", *ask)
    assert done.answered, done.err
    assert "by a probe of 20" in cli("models", "show", eye_server.model).out


def test_a_server_that_reads_text_alone_is_found_to_take_neither_pictures_nor_sound(
    cli: Cli, text_server: LlamaServer
) -> None:
    name = entered(text_server.base_url, text_server.model, input=("text", "image"))
    found = held(cli, name)
    assert (found["text"], found["image"], found["audio"]) == (True, False, False)
    assert "document" not in found  # nobody's own runtime takes a PDF, so none is sent unless it is asked for
    assert b"JVBERi" not in text_server.reached
    (model,) = [m for m in cli("models", "--json").document["models"] if m["id"] == name]
    assert model["input"] == ["text"]


def test_a_server_that_hears_is_found_to_hear(cli: Cli, ear: LlamaServer) -> None:
    name = entered(ear.base_url, ear.model)
    assert held(cli, name, "--only", "audio,image") == {"text": True, "image": False, "audio": True}


def test_forced_json_of_a_real_server_is_found(cli: Cli, text_server: LlamaServer) -> None:
    assert held(cli, entered(text_server.base_url, text_server.model), "--only", "json")["json"] is True


def test_a_picture_that_is_taken_and_left_out_is_no_vision_model(cli: Cli, text_server: LlamaServer) -> None:
    """Answering is not seeing: the server's own count of the prompt does not grow."""

    class Blind(EmulatedOllama):
        def _message(self, message: Any) -> dict[str, Any]:
            return super()._message({**message, "images": ()})

    with Blind(Engine(text_server.base_url), (ListedModel("smollm2:135m", sees=False, says_sees=True),)) as door:
        row = ServedRow(id="desk/blind", served_as="smollm2:135m", input=("text", "image"), context=2048, tier="tiny")
        config_file.add_host(os.environ, HostRow(id="ollama", base_url=door.address, zone="machine", models=(row,)))
        done = cli("probe", "ollama:desk/blind", "--only", "image", "--yes", "--json")
    (image,) = [each for each in done.document["found"] if each["about"] == "image"]
    assert (image["holds"], "left it out" in image["said"]) == (False, True)


def test_probe_prints_its_cost_and_sends_nothing_without_consent(cli: Cli) -> None:
    with FakeHost(answer="Four.") as host:
        row = ServedRow(id="fake/model", context=8192, tier="tiny", input_mtok=100.0, output_mtok=200.0)
        config_file.add_host(os.environ, HostRow(id="far", base_url=host.base_url, zone="internet", models=(row,)))
        silent = cli("probe", "far:fake/model")
        assert silent.code == 2
        assert "at most $" in silent.err
        assert "leaves this network" in silent.err
        assert host.attempts == []
        said_no = cli("probe", "far:fake/model", input="n\n", terminal=True)
        assert said_no.answered, said_no.err
        assert host.attempts == []
        done = cli("probe", "far:fake/model", "--yes", "--json")
        assert done.answered, done.out
        assert 0 < sum(each["cost"] or 0 for each in done.document["found"]) <= done.document["planned"]["cost"]
        assert len(host.attempts) == len(done.document["planned"]["asks"])


def test_a_tool_that_was_taken_and_not_called_shows_nothing(cli: Cli) -> None:
    with FakeHost(answer="It is sunny.") as host:
        row = ServedRow(id="fake/model", context=8192, tier="tiny", input_mtok=100.0, output_mtok=200.0)
        config_file.add_host(os.environ, HostRow(id="far", base_url=host.base_url, zone="internet", models=(row,)))
        assert held(cli, "far:fake/model", "--only", "tools")["tools"] is None
        assert "tools  not known" in cli("probe", "far:fake/model", "--only", "tools", "--yes").out


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("nobody/nothing", (), "no model named"),
        ("embedded:paddlepaddle/ppocr-v6-small", (), "runs inside intermodal"),
        ("groq:qwen/qwen3-32b", (), "no consent"),
        ("embedded:huggingfacetb/smollm2-135m-instruct", ("--only", "smell"), "nothing named 'smell'"),
    ],
)
def test_what_cannot_be_probed_is_said_in_a_sentence(cli: Cli, name: str, more: tuple[str, ...], words: str) -> None:
    done = cli("probe", name, "--yes", *more)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
