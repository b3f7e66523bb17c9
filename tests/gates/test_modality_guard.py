"""A10: an image never reaches a server that takes text only; real servers, every byte looked at.

500 seeded requests of mixed parts and policies are planned, and run with answers of one token, over a real llama.cpp
server without an eye and one with; ``make test`` takes a sample. Conversions repeat, so most come from the cache.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.e2e.servers import EYE, LlamaServer, llama_server, trace_of
from tests.media.tiny_eye import world

import intermodal
from intermodal.catalog.types import Endpoint
from intermodal.core.content import BytesSource
from intermodal.core.request import Request
from intermodal.errors import NoContentFound, NoRoute
from intermodal.planner import frontier
from intermodal.plans.plan import Candidate
from intermodal.plans.step import Call, Transform

pytestmark = [pytest.mark.gate, pytest.mark.e2e, pytest.mark.timeout(3000)]

FULL, SAMPLE, SEED = 500, 8, 20_261_125
PICTURES = ("frames", "render")  # transforms that make images
QUESTIONS = (
    "What does it say?", "Describe the picture: what colour, what shape?", "Summarise all of it.", "What is the total?",
    "What is said, and what is shown?", "Does the picture agree with the text?",
)  # fmt: skip


class Pool(NamedTuple):
    """What requests are made of. ``pictures`` are all bytes that may not get out, the pages of the scan among them."""

    files: dict[str, bytes]
    pictures: tuple[bytes, ...]


@pytest.fixture(scope="module")
def text_server() -> Iterator[LlamaServer]:
    with llama_server() as server:
        yield server


@pytest.fixture(scope="module")
def eye_server() -> Iterator[LlamaServer]:
    with llama_server(eye=EYE) as server:
        yield server


@pytest.fixture
def pool(media: Path) -> Pool:
    chance = random.Random(SEED)
    pictures = {f"picture{number}.png": world.any_of(chance).png for number in range(6)}
    pictures["sign.png"] = world.sign("LIGHTHOUSE BAKERY", "red", "star").png
    pictures["photo.jpg"] = _photo(media / "photo-cat.jpg")
    scan = BytesIO()
    world.page().image.save(scan, "PDF", resolution=90)
    others = {
        "notes.txt": b"The crane at gate seven was inspected before noon. The total was 42 euros.",
        "speech.mp3": (media / "jfk.mp3").read_bytes(),
        "report.pdf": (media / "report.pdf").read_bytes(),
        "scan.pdf": scan.getvalue(),
    }
    return Pool({**pictures, **others}, (*pictures.values(), scan.getvalue()))


def test_A10_no_byte_of_a_picture_reaches_a_server_that_takes_text_only(
    text_server: LlamaServer, eye_server: LlamaServer, pool: Pool, full_gates: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config = tmp_path / "intermodal.toml"
    config.write_text(text_server.row("text") + eye_server.row("eye"))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config))
    chance = random.Random(SEED)
    asked = answered = sent_text = seen = 0
    with intermodal.Client() as client:
        for number in range(FULL if full_gates else SAMPLE):
            request = _request(chance, pool)
            asked += 1
            try:
                prepared = client.prepare(request)
                plan = client.plan(request)
            except NoRoute:
                continue
            for candidate in (plan.chosen, *plan.fallbacks, *frontier(prepared.inputs)):
                _only_takers_get_pictures(candidate, prepared.inputs.facts.parts, client.asynchronous.catalog.by_id)
            try:
                list(client.execute(prepared, plan))
                answered += 1
            except NoContentFound:  # its words were asked for, and it has none
                pass
            assert trace_of(text_server.reached, *pool.pictures) == "", f"request {number}: {request}"
            for server in (text_server, eye_server):  # neither hears
                assert b"input_audio" not in server.reached and b"input_video" not in server.reached
            sent_text += bool(text_server.reached)
            seen += bool(trace_of(eye_server.reached))
            for server in (text_server, eye_server):
                server.record.forget()
    counts = (asked, answered, sent_text, seen)
    logging.warning("A10: %d asked, %d ran, %d reached the text server, %d were seen", *counts)  # for out/gates.txt
    assert answered >= asked * 0.6
    assert sent_text >= asked * 0.15 and seen >= asked * 0.05, "both servers had work, or this proves nothing"


def test_A10_the_look_for_traces_finds_a_picture_in_any_of_its_forms(pool: Pool) -> None:
    """Otherwise the gate above would pass blindly."""
    import base64

    picture = pool.files["sign.png"]
    photo = pool.files["photo.jpg"]
    for hidden in (picture, photo):
        for around in (b"", b"x", b"xy"):
            middle = hidden[len(hidden) // 3 : len(hidden) // 3 + 4000]
            assert trace_of(b"POST / " + around + middle + b"...", picture, photo)
            assert trace_of(b'{"text": "' + base64.b64encode(around + middle) + b'"}', picture, photo)
    assert trace_of(b'{"messages": [{"role": "user", "content": "What is the total?"}]}', picture, photo) == ""


def test_A10_a_server_without_vision_refuses_a_picture_so_nothing_is_guessed(text_server: LlamaServer) -> None:
    """What would happen if the guard failed: the server itself says no."""
    import base64

    import httpx

    url = "data:image/png;base64," + base64.b64encode(world.shape("red", "star").png).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]
    reply = httpx.post(
        f"{text_server.base_url}/chat/completions",
        json={"messages": [{"role": "user", "content": content}], "max_tokens": 4}, timeout=300,
    )  # fmt: skip
    assert reply.status_code >= 400
    text_server.record.forget()


def _request(chance: random.Random, pool: Pool) -> Request:
    """One to four parts, a question, a policy; some name the text model, some the eye."""
    names = chance.sample(sorted(pool.files), chance.randint(1, 4))
    if not any(name.endswith((".png", ".jpg", "scan.pdf")) for name in names):
        names.append("sign.png")
    options: dict[str, Any] = {"max_tokens": 1, "temperature": 0.0}
    options["model"] = chance.choice(["", "", "text:desk/smollm2-135m", "eye:desk/smollm2-135m-with-tiny-eye"])
    options["objective"] = chance.choice(["default", "default", "cheapest", "fastest", "best"])
    if chance.random() < 0.1:
        options["keep"] = "appearance"
    if chance.random() < 0.2:
        options["private"] = chance.choice(["image", "document"])
        names = [name for name in names if not name.endswith(".mp3")] or ["sign.png"]
        if not any(name.endswith(".pdf" if options["private"] == "document" else (".png", ".jpg")) for name in names):
            del options["private"]
    parts = [BytesSource(data=pool.files[name], name=name) for name in names]
    return intermodal.make_request(chance.choice(QUESTIONS), *parts, **options)


def _only_takers_get_pictures(candidate: Candidate, parts: Any, endpoints: dict[str, Endpoint]) -> None:
    """By the plan: whatever is an image goes to an endpoint whose row takes images."""
    pictures = {f"step:{step.id}" for step in candidate.steps if isinstance(step, Transform) and step.op in PICTURES}
    pictures |= {f"part:{part.index}" for part in parts if part.kind == "image"}
    for step in candidate.steps:
        if isinstance(step, Call) and pictures & set(step.inputs):
            assert "image" in endpoints[step.endpoint].input, f"{step.op} of {step.inputs} at {step.endpoint}"


def _photo(path: Path) -> bytes:
    """Small, as images of a test are."""
    from PIL import Image

    out = BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").resize((256, 192)).save(out, "JPEG")
    return out.getvalue()
