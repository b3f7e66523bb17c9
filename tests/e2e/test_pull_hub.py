"""From a repository of a hub to an answer about a picture: real files, a hub-shaped server, the real llama.cpp."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REAL_WEIGHTS
from tests.e2e.command import fresh as intermodal
from tests.e2e.servers import EYE, weights_of
from tests.media.tiny_eye import world
from tests.unit.sizing.hub_server import HubServer, serving

from intermodal.config.config_file import cache_dir, data_dir

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

REPO = "desk/SmolLM2-135M-Eye-GGUF"
MODEL, PROJECTOR = "SmolLM2-135M-Eye-Q4_1.gguf", "mmproj-SmolLM2-135M-Eye-F16.gguf"
NAME = "smollm2-135m-eye-q4_1"
LOOKS = "Describe the picture: what colour, what shape?"


@pytest.fixture(scope="module")
def model() -> bytes:
    return weights_of("smollm2-135m-instruct").read_bytes()


@pytest.fixture(autouse=True)
def own_weights(own_home: Path) -> Iterator[Path]:
    """A folder of this test's own, with the developer's weights beside what it pulls."""
    folder = cache_dir(os.environ) / "weights"
    folder.unlink()
    folder.mkdir()
    for each in REAL_WEIGHTS.iterdir():
        if each.is_dir() and not each.name.startswith("."):
            (folder / each.name).symlink_to(each, target_is_directory=True)
    yield folder
    intermodal("down", "-q")


@pytest.fixture
def hub(model: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving(HubServer({REPO: {MODEL: model, PROJECTOR: EYE.read_bytes(), "README.md": b"# eye"}})) as hub:
        monkeypatch.setenv("INTERMODAL_HUB", hub.url)
        yield hub


@pytest.fixture
def star(tmp_path: Path) -> Path:
    path = tmp_path / "star.png"
    path.write_bytes(world.shape("blue", "star").png)
    return path


def asked_about(picture: Path, *more: str) -> dict[str, Any]:
    ran = intermodal(
        "ask", LOOKS, str(picture), "--json", "--max-tokens", "40", "--temperature", "0", "--seed", "1", *more
    )  # fmt: skip
    assert ran.answered, ran.out + ran.err
    return ran.document


def test_a_repository_with_a_projector_is_pulled_and_then_answers_about_a_picture(
    hub: HubServer, star: Path, own_weights: Path
) -> None:
    ran = intermodal("pull", f"hf:{REPO}")
    assert ran.code == 0, ran.err
    assert f"{NAME}: fits: " in ran.err and "checked against the hub's SHA-256" in ran.err
    assert {path.name for path in (own_weights / NAME).iterdir()} == {"complete.json", MODEL, PROJECTOR}
    made = asked_about(star)
    chosen = made["plan"]["chosen"]
    assert chosen["endpoint"] == f"embedded:desk/{NAME}", "nothing was said of a model: it is the only one that sees"
    assert "blue" in made["text"] and "star" in made["text"]
    listed = intermodal("models", "--json").document["models"]
    assert any(row["id"] == f"embedded:desk/{NAME}" and "image" in row["input"] for row in listed)
    found = {(each["area"], each["name"]): each for each in intermodal("doctor", "--json").document["findings"]}
    assert found["weights", NAME]["state"] == "ok"
    assert found["able", "sees images"]["state"] == "ok"
    ranked = intermodal("fit", "--all", "--for", "sight", "--json").document["models"]
    assert any(row["name"] == NAME and row["source"] == "here" for row in ranked)


def test_the_same_model_is_shared_as_a_server_with_its_projector(hub: HubServer, star: Path) -> None:
    assert intermodal("pull", f"hf:{REPO}", "-q").code == 0
    up = intermodal("up", NAME, "--context", "2048", "--json", timeout=200)
    assert up.answered, up.out + up.err
    assert up.document["server"]["projector"].endswith(PROJECTOR)
    made = asked_about(star, "--model", up.document["server"]["endpoint"])
    assert "blue" in made["text"] and "star" in made["text"]


def test_a_pull_that_is_interrupted_registers_nothing_and_goes_on_from_what_came(
    hub: HubServer, model: bytes, own_weights: Path
) -> None:
    hub.cuts = [30_000_000] + [0] * 50  # then the line is dead for a while
    command = [sys.executable, "-m", "intermodal.cli.main", "pull", f"hf:{REPO}"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    part = own_weights / NAME / f"{MODEL}.part"
    end = time.monotonic() + 300
    while not (part.exists() and part.stat().st_size >= 30_000_000):
        assert running.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=300)
    assert running.returncode == 130
    held = part.stat().st_size
    assert 30_000_000 <= held < len(model)
    assert not (data_dir(os.environ) / "weights-lock.json").exists()
    assert NAME not in intermodal("models", "--all", "--json").out
    hub.cuts, hub.asked = [], []
    assert intermodal("pull", f"hf:{REPO}").code == 0
    assert hub.downloads(MODEL) == [f"bytes={held}-"]
    assert (own_weights / NAME / MODEL).read_bytes() == model
    lock = json.loads((data_dir(os.environ) / "weights-lock.json").read_text())
    assert [each["revision"] for each in lock["models"]] == [hub.commit(REPO)]
