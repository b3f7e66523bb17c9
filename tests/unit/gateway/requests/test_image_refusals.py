"""Images that cannot be given as they were asked for are refused before anybody is paid for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import GatewayServer, house_before

from intermodal.testing import FakeHost

BRUSH = 'id = "cloud/brush"; tasks = ["text-to-image"]; input = ["text"]; picture = 0.01; tier = "large"'


@pytest.fixture
def drawing(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    with house_before(monkeypatch, tmp_path, ("cloud", host.base_url, BRUSH)) as served:
        yield served


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"stream": True}, "images come whole here"),
        ({"stream": "yes"}, "images come whole here"),
        ({"size": "0x0"}, "a side of an image has 1 to 16,384 pixels"),
        ({"size": "1024x0"}, "a side of an image has 1 to 16,384 pixels"),
        ({"size": "99999x99999"}, "a side of an image has 1 to 16,384 pixels"),
        ({"size": f"{'9' * 5000}x1"}, "a side of an image has 1 to 16,384 pixels"),
        ({"size": 1024}, "write it as 1024x1024"),
    ],
)
def test_what_no_picture_can_be_is_refused(
    drawing: GatewayServer, host: FakeHost, field: dict[str, Any], said: str
) -> None:
    found = drawing.post("/v1/images/generations", {"model": "cloud/brush", "prompt": "a crane", **field})
    assert found.status_code == 400 and said in found.json()["error"]["message"], found.text
    assert len(found.json()["error"]["message"]) < 200
    assert host.attempts == []


def test_a_picture_that_is_not_streamed_may_say_so(drawing: GatewayServer) -> None:
    tree = {"model": "cloud/brush", "prompt": "a crane", "stream": False, "size": "512x512"}
    found = drawing.post("/v1/images/generations", tree)
    assert found.status_code == 200 and "x-intermodal-ignored" not in found.headers, found.text
