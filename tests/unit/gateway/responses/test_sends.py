"""An answer tells of the route that answered, fallback or new plan, and of every host that got anything before it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, sse

from intermodal.testing import FakeHost, Fault

SHARED = STRONG.replace("strong", "shared")
EAR = (
    'id = "{name}/ear"; tasks = ["automatic-speech-recognition"]; input = ["audio"]; second = {price}; tier = "{tier}"'
)
WHOLE = (
    STRONG.replace("cloud/strong", "whole/hears").replace('["text"]', '["text", "audio"]').replace("= 0.4", "= 10.0")
)
LOOPED = "and so " * 60
NOWHERE = "http://127.0.0.1:9/v1"  # the discard port


class Told(NamedTuple):
    """What the head of an answer says, and its usage."""

    route: str
    steps: str
    sends: str
    about: dict[str, Any]

    @property
    def hosts(self) -> list[str]:
        return [send["host"] for send in self.about["sends"]]


class Town:
    """Hosts, and a gateway before them."""

    def __init__(self, stack: ExitStack, path: Path) -> None:
        self._stack = stack
        self._path = path
        self._text = ""

    def host(self, name: str, row: str, *, fault: Fault | None = None, transcript: str = "") -> FakeHost:
        fake = self._stack.enter_context(FakeHost(answer=f"from {name}", fault=fault, transcript=transcript))
        self.row(name, fake.base_url, row)
        return fake

    def row(self, name: str, url: str, row: str) -> None:
        self._text += f'[hosts.{name}]\nbase_url = "{url}"\nzone = "internet"\ncarries = ["audio"]\n'
        self._text += f"[[hosts.{name}.models]]\n" + row.replace("; ", "\n") + "\n"

    def house(self) -> GatewayServer:
        self._path.write_text(self._text)
        return self._stack.enter_context(GatewayServer())


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    path = tmp_path / "intermodal.toml"
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with ExitStack() as stack:
        yield Town(stack, path)


def asked(house: GatewayServer, content: Any, *, stream: bool, model: str = "auto") -> Told:
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    headers = {"x-intermodal-objective": "cheapest"}
    return told(house.chat(content, model=model, headers=headers, **more), stream=stream)


def told(found: httpx.Response, *, stream: bool) -> Told:
    assert found.status_code == 200, found.text
    usage = sse(found.text).events[-1]["usage"] if stream else found.json()["usage"]
    route, steps, sends = (found.headers[f"x-intermodal-{name}"] for name in ("route", "steps", "sends"))
    return Told(route, steps, sends, usage["intermodal"])


def recording(media: Path) -> list[dict[str, Any]]:
    data = b64encode((media / "jfk.wav").read_bytes()).decode()
    return [
        {"type": "text", "text": "What does he ask?"},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_where_the_transcriber_fails_the_host_that_got_the_recording_instead_is_told(
    town: Town, media: Path, stream: bool
) -> None:
    ear = town.host("ear", EAR.format(name="ear", price=0.00002, tier="large"), fault=Fault("unavailable"))
    alpha = town.host("alpha", STRONG)
    whole = town.host("whole", WHOLE)
    found = asked(town.house(), recording(media), stream=stream)
    assert ear.attempts and not alpha.attempts and whole.attempts[0].audios
    assert (found.route, found.steps) == ("whole:whole/hears", "generate whole:whole/hears")
    assert found.sends == "ear, whole" and "alpha" not in found.hosts
    assert found.about["planned"] == "alpha:cloud/strong" and "transcript" not in found.about["summary"]
    assert next(send["what"] for send in found.about["sends"] if send["host"] == "ear").endswith("audio")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.usefixtures("either_way")
def test_a_host_that_failed_got_the_words_too(town: Town, stream: bool) -> None:
    alpha = town.host("alpha", SHARED, fault=Fault("unavailable"))
    beta = town.host("beta", SHARED.replace("= 0.", "= 1."))
    found = asked(town.house(), "hello", stream=stream, model="cloud/shared")
    assert alpha.attempts and beta.attempts
    assert (found.route, found.steps) == ("beta:cloud/shared", "generate beta:cloud/shared")
    assert found.sends == "alpha, beta" and found.hosts == ["alpha", "beta"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_host_that_cannot_be_reached_got_nothing(town: Town, stream: bool) -> None:
    town.row("alpha", NOWHERE, SHARED)
    town.host("beta", SHARED.replace("= 0.", "= 1."))
    found = asked(town.house(), "hello", stream=stream, model="cloud/shared")
    assert (found.sends, found.hosts, found.steps) == ("beta", ["beta"], "generate beta:cloud/shared")


@pytest.mark.parametrize("stream", [False, True])
def test_a_host_that_is_left_alone_got_nothing(town: Town, stream: bool) -> None:
    alpha = town.host("alpha", SHARED, fault=Fault("unavailable"))
    town.host("beta", SHARED.replace("= 0.", "= 1."))
    house = town.house()
    for _ in range(8):
        before = len(alpha.attempts)
        found = asked(house, "hello", stream=stream, model="cloud/shared")
        if len(alpha.attempts) == before:
            break
    assert found.about["planned"] == "alpha:cloud/shared" and len(alpha.attempts) == before, "its breaker is open"
    assert (found.sends, found.hosts, found.steps) == ("beta", ["beta"], "generate beta:cloud/shared")


@pytest.mark.parametrize("stream", [False, True])
def test_who_heard_before_the_plan_was_made_again_is_told(town: Town, media: Path, stream: bool) -> None:
    first = town.host("first", EAR.format(name="first", price=0.000001, tier="medium"), transcript=LOOPED)
    second = town.host(
        "second", EAR.format(name="second", price=0.00001, tier="large"), transcript="ask not what it can do"
    )
    town.host("alpha", STRONG)
    found = asked(town.house(), recording(media), stream=stream)
    assert first.attempts and second.attempts and found.about["replanned"]
    assert found.steps == "transcribe second:second/ear; generate alpha:cloud/strong"
    assert found.sends == "first, second, alpha" and set(found.hosts) == {"first", "second", "alpha"}


def test_texts_of_one_request_that_went_to_different_hosts(town: Town) -> None:
    vectors = 'id = "cloud/vectors"; tasks = ["feature-extraction"]; input_mtok = {}; tier = "large"; input = ["text"]'
    alpha = town.host("alpha", vectors.format(0.01), fault=Fault("unavailable"))
    town.host("beta", vectors.format(0.02))
    found = told(
        town.house().post("/v1/embeddings", {"model": "cloud/vectors", "input": ["a", "b", "c"]}), stream=False
    )
    assert alpha.attempts and found.route == "beta:cloud/vectors"
    assert set(found.sends.split(", ")) == {"alpha", "beta"} == set(found.hosts)
