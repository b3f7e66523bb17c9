"""Images for a model that was named reach it as images, all in one call, before and after its speed is learned;
and where nothing was found in the files, that is an error through every door and never an assistant's answer."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from PIL import Image
from tests.documents import picture
from tests.unit.gateway.gateway_server import GatewayServer, config

import intermodal
from intermodal.errors import NoContentFound
from intermodal.events import Note
from intermodal.testing import FakeHost

ROWS = """id = "{0}/seeing"; input = ["text", "image"]; context = 32000
id = "{0}/plain"; input = ["text"]; context = 32000; tier = "medium"
"""
PRICED = ROWS.replace("; context", "; input_mtok = 0.2; output_mtok = 0.8; context")


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, FakeHost]]:
    """A server on this machine and a hosted one, each with a model that sees and one that reads only text."""
    with FakeHost(answer="the third") as desk, FakeHost(answer="the third") as far:
        path = tmp_path / "intermodal.toml"
        config(path, ("desk", desk.base_url, ROWS.format("desk")), ("far", far.base_url, PRICED.format("far")))
        text = path.read_text().replace('zone = "internet"', 'zone = "machine"', 1)
        path.write_text(text)
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield {"desk": desk, "far": far}


@cache
def photo(media: Path, number: int) -> bytes:
    """A photograph, each a little different: the grain of one of them looks like letters."""
    with Image.open(media / ("photo-coffee.jpg", "photo-cat.jpg")[number % 2]) as opened:
        out = io.BytesIO()
        opened.convert("RGB").crop((number, 0, opened.width, opened.height)).resize((1228, 921)).save(out, "JPEG")
    return out.getvalue()


def photos(media: Path, count: int) -> list[bytes]:
    return [photo(media, number) for number in range(count)]


def content(ask: str, pictures: list[bytes]) -> list[dict[str, Any]]:
    urls = [f"data:image/jpeg;base64,{b64encode(each).decode()}" for each in pictures]
    return [{"type": "text", "text": ask}, *({"type": "image_url", "image_url": {"url": url}} for url in urls)]


def seen(host: FakeHost) -> list[int]:
    """How many images came with each call."""
    return [str(attempt.json).count("data:image/") for attempt in host.attempts]


@pytest.mark.parametrize("where", ["desk", "far"])
@pytest.mark.parametrize("ask", ["Which of these is the oldest?", "Describe them all.", "What do they say?"])
def test_five_photos_reach_a_named_model_in_one_call(
    hosts: dict[str, FakeHost], media: Path, where: str, ask: str
) -> None:
    with GatewayServer() as house:
        answer = house.chat(content(ask, photos(media, 5)), model=f"{where}/seeing")
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "the third"
    assert seen(hosts[where]) == [5]


@pytest.mark.parametrize("where", ["desk", "far"])
def test_the_plan_stays_one_call_from_request_to_request(hosts: dict[str, FakeHost], media: Path, where: str) -> None:
    asked = [5, 1, 4, 8, 8, 5]
    with GatewayServer() as house:
        for count in asked:
            answer = house.chat(content("Which of these is the oldest?", photos(media, count)), model=f"{where}/seeing")
            assert answer.status_code == 200 and answer.headers["x-intermodal-attempts"] == "1", answer.text
    assert seen(hosts[where]) == asked


def test_from_python_the_same(hosts: dict[str, FakeHost], media: Path, tmp_path: Path) -> None:
    files = []
    for number, data in enumerate(photos(media, 5)):
        files.append(tmp_path / f"photo{number}.jpg")
        files[-1].write_bytes(data)
    with intermodal.Client() as client:
        answer = client.ask("Which of these is the oldest?", *files, model="desk/seeing")
    assert str(answer) == "the third" and seen(hosts["desk"]) == [5]


# ---- nothing was found -----------------------------------------------------------------------------


@pytest.fixture
def text_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    """A model that reads only text, and nobody who sees."""
    with FakeHost(answer="made up") as fake:
        path = config(tmp_path / "intermodal.toml", ("far", fake.base_url, PRICED.splitlines()[1].format("far")))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield fake


def blank() -> str:
    return b64encode(picture(size=(240, 240))).decode()


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_about_a_blank_image_is_an_error(text_host: FakeHost, stream: bool) -> None:
    with GatewayServer() as house, openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as client:
        parts: Any = [
            {"type": "text", "text": "What does it say?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{blank()}"}},
        ]
        # A stream that has begun before reading ended says it as its last event, which the client raises as well.
        with pytest.raises(openai.APIError) as refused:
            answer: Any = client.chat.completions.create(
                model="far/plain", messages=[{"role": "user", "content": parts}], stream=stream
            )
            list(answer)
    assert refused.value.code == "no_content_found" and "No text was found in image" in str(refused.value)
    assert text_host.attempts == []


def test_that_nothing_was_found_is_an_error_of_responses_messages_and_ollama(text_host: FakeHost) -> None:
    ask = "What does it say?"
    with GatewayServer() as house:
        with openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as client:
            items: Any = [
                {"type": "input_text", "text": ask},
                {"type": "input_image", "image_url": f"data:image/png;base64,{blank()}", "detail": "auto"},
            ]
            with pytest.raises(openai.BadRequestError) as refused:
                client.responses.create(model="far/plain", input=[{"role": "user", "content": items}])
            assert refused.value.code == "no_content_found"
        with anthropic.Anthropic(base_url=house.gateway.url, api_key="none", max_retries=0) as other:
            blocks: Any = [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": blank()}},
                {"type": "text", "text": ask},
            ]
            with pytest.raises(anthropic.BadRequestError, match="No text was found"):
                other.messages.create(model="far/plain", max_tokens=99, messages=[{"role": "user", "content": blocks}])
        message = {"role": "user", "content": ask, "images": [blank()]}
        answer = house.post("/api/chat", {"model": "far/plain", "messages": [message], "stream": False})
        assert answer.status_code == 400 and "No text was found" in answer.json()["error"]
    assert text_host.attempts == []


def test_a_blank_image_raises_no_content_found_in_python(text_host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "blank.png").write_bytes(picture(size=(240, 240)))
    with intermodal.Client() as client, pytest.raises(NoContentFound, match="No text was found in blank.png"):
        client.ask("What does it say?", tmp_path / "blank.png", model="far/plain")


def test_a_reader_that_finds_nothing_is_not_said_to_have_been_given_nothing(
    text_host: FakeHost, tmp_path: Path
) -> None:
    """Where words alone are asked for, the reader's text would be the answer."""
    (tmp_path / "blank.png").write_bytes(picture(size=(240, 240)))
    notes: list[str] = []
    with intermodal.Client() as client, pytest.raises(NoContentFound):
        for event in client.stream("What does it say?", tmp_path / "blank.png"):
            notes += [event.text] if isinstance(event, Note) else []
    assert any("found no words in the files: going on with the fallback" in note for note in notes), notes


def test_a_fallback_that_sees_looks_where_a_reader_found_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    """Nothing is written on it, and still it may be asked about: a route that keeps the image takes over."""
    with FakeHost(answer="it is white") as dear, FakeHost(answer="never asked") as cheap:
        rows = PRICED.replace("output_mtok = 0.8", "output_mtok = 100.0", 1).splitlines()
        path = config(
            tmp_path / "intermodal.toml",
            ("dear", dear.base_url, f'{rows[0].format("dear")}; tier = "medium"'),
            ("cheap", cheap.base_url, rows[1].format("cheap")),
        )
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        parts = [
            {"type": "text", "text": "Which words are written on it?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{blank()}"}},
        ]
        with GatewayServer() as house:
            answer = house.chat(parts, model="auto", max_tokens=60)
        assert answer.status_code == 200, answer.text
        assert (answer.headers["x-intermodal-route"], seen(dear), cheap.attempts) == ("dear:dear/seeing", [1], [])
        notes = answer.json()["usage"]["intermodal"]["notes"]
        assert any("was given nothing of the files: going on with the fallback dear:dear/seeing" in n for n in notes)


@pytest.mark.parametrize(
    ("models", "route", "steps"),
    [
        (["seeing"], "dear:dear/seeing", "generate dear:dear/seeing"),
        (["plain", "seeing"], "cheap:cheap/plain", "describe dear:dear/seeing; generate cheap:cheap/plain"),
    ],
    ids=["seeing", "plain and seeing"],
)
def test_an_image_in_which_every_planned_route_found_no_words_is_looked_at(
    tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture, models: list[str], route: str, steps: str
) -> None:
    """The cheapest route reads it, and no fallback sees it: the rest is planned again without reading."""
    with FakeHost(answer="it is white") as seeing, FakeHost(answer="a white letter") as plain:
        rows = PRICED.replace("output_mtok = 0.8", "output_mtok = 100.0", 1).splitlines()
        hosts = {"seeing": ("dear", seeing, rows[0]), "plain": ("cheap", plain, rows[1])}
        named = [(host, fake.base_url, row.format(host)) for host, fake, row in map(hosts.__getitem__, models)]
        monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "intermodal.toml", *named)))
        parts = [
            {"type": "text", "text": "Sum up the letter."},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{blank()}"}},
        ]
        with GatewayServer() as house:
            answer = house.chat(parts, model="auto", max_tokens=60, intermodal={"objective": "cheapest"})
        assert answer.status_code == 200, answer.text
        about = answer.json()["usage"]["intermodal"]
        assert (about["route"], answer.headers["x-intermodal-steps"]) == (route, steps)
        assert (seen(seeing), seen(plain)) == ([1], [0] if "plain" in models else [])
        assert [each["what"] for each in about["sends"] if "image" in each["what"]] == ["1 image 240x240"]
        assert answer.json()["choices"][0]["message"]["content"] == (
            "a white letter" if "plain" in models else "it is white"
        )
        replans = [each.getMessage() for each in caplog.records if "replanned after step" in each.getMessage()]
        assert replans and len({text.split(":")[0] for text in replans}) == len(replans), "it planned to read again"
