"""An image is described by a host elsewhere, and a host of this machine answers: what the former is told, and is said
to be told. Labels hold for the question too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.gateway.apis.test_chat import image, picture
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.testing import FakeHost

ASK = "My PIN is 9876. What breed is this cat?"
ALONE = "Describe the image in one sentence."
HOSTS = """
[hosts.{name}]
base_url = "{url}"
zone = "{zone}"
[[hosts.{name}.models]]
id = "{name}/model"
input = {takes}
context = 32000
tier = "large"
input_mtok = 0.1
output_mtok = 0.4
"""


@pytest.fixture
def eye() -> Iterator[FakeHost]:
    with FakeHost(answer="A tabby.") as fake:
        yield fake


@pytest.fixture
def house(host: FakeHost, eye: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    path = tmp_path / "intermodal.toml"
    desk = HOSTS.format(name="desk", url=host.base_url, zone="machine", takes='["text"]')
    path.write_text(desk + HOSTS.format(name="eye", url=eye.base_url, zone="internet", takes='["text", "image"]'))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer() as served:
        yield served


def asked(house: GatewayServer, **headers: str) -> tuple[str, dict[str, object]]:
    """The sends of the answer: of its header, and of its usage by kind."""
    named = {f"x-intermodal-{name}": value for name, value in {"keep": "appearance", **headers}.items()}
    shown = [{"type": "text", "text": ASK}, image(picture())]
    found = house.chat(shown, model="desk/model", headers=named)
    assert found.status_code == 200, found.text
    told = found.json()["usage"]["intermodal"]["sends"]
    return found.headers["x-intermodal-sends"], {
        sent["from"]: (sent["what"].split()[-1], sent["host"]) for sent in told
    }


def test_a_question_goes_along_with_its_picture_and_that_is_said(
    house: GatewayServer, host: FakeHost, eye: FakeHost
) -> None:
    hosts, sends = asked(house)
    assert [attempt.text for attempt in eye.attempts] == [f"{ASK} {ALONE}"]
    assert hosts == "eye" and sends["prompt"] == ("text", "eye") and len(sends) == 2
    assert ASK in host.attempts[-1].text


def test_a_private_question_stays_though_its_picture_goes(house: GatewayServer, host: FakeHost, eye: FakeHost) -> None:
    hosts, sends = asked(house, private="text")
    assert [attempt.text for attempt in eye.attempts] == [ALONE]
    assert hosts == "eye" and "prompt" not in sends and len(sends) == 1
    assert ASK in host.attempts[-1].text


def test_a_description_made_for_a_question_is_not_reused_without_it(house: GatewayServer, eye: FakeHost) -> None:
    eye.answer = lambda attempt: f"seen for {attempt.text}"
    for headers in ({"private": "text"}, {}, {"private": "text"}, {}):
        asked(house, **headers)
    assert [attempt.text for attempt in eye.attempts] == [ALONE, f"{ASK} {ALONE}"]
