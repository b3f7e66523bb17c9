"""One extraction in four formats of prompt files, by real models: an image of an invoice goes in, JSON comes out.

The models are small. SmolLM2 135M, with the image's words read for it, gets the total of an invoice of three lines
right; of the number that is asked for beside it, it mostly makes something up. tiny-eye cannot read at all. So a
server that sees is asked what does not depend on how good its model is: that every format sends it the same, and that
what it answers has the type of the file.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.e2e.conftest import configure
from tests.e2e.servers import LlamaServer, trace_of

from intermodal import Client
from intermodal.plans.plan import Call, Plan

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
EXAMPLES = Path(__file__).parents[2] / "examples" / "prompts"
FORMATS = ("invoice.prompt", "invoice.poml", "invoice.prompty", "invoice.baml")


@pytest.fixture(scope="module")
def invoice() -> bytes:
    picture = Image.new("RGB", (640, 240), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(28)
    for row, words in enumerate(("Invoice number: 4711", "Total: 42.00", "Currency: EUR")):
        pen.text((30, 30 + 60 * row), words, fill="black", font=font)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def steps(plan: Plan) -> list[tuple[str, str]]:
    return [(step.op, step.endpoint) for step in plan.chosen.steps if isinstance(step, Call)]


def is_typed(value: dict[str, Any]) -> bool:
    kinds = {name: type(each).__name__.replace("int", "float") for name, each in value.items()}
    return kinds == {"number": "str", "total": "float", "currency": "str"}


def test_every_format_gives_the_same_plan_and_the_same_total_on_this_machine(invoice: bytes) -> None:
    with Client() as client:
        answers = [client.prompt(EXAMPLES / name).run(photo=("invoice.png", invoice)) for name in FORMATS]
    plans = [steps(answer.plan) for answer in answers]
    assert [op for op, _ in plans[0]] == ["read", "generate"]
    assert all(plan == plans[0] for plan in plans)
    assert all(is_typed(answer.value) for answer in answers)
    assert [answer.value["total"] for answer in answers] == [42.0] * len(FORMATS)


def test_every_format_sends_a_server_that_sees_the_same_and_its_answer_has_the_files_type(
    eye_server: LlamaServer, invoice: bytes, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path_factory, monkeypatch, eye_server.row("eye"))
    asked = []
    with Client() as client:
        for name in FORMATS:
            eye_server.record.forget()
            prompt = client.prompt(
                EXAMPLES / name, model=f"eye:{eye_server.model}", keep=("appearance",), max_tokens=100, evidence="off"
            )
            answer = prompt.run(photo=("invoice.png", invoice))
            assert answer.result.endpoint == f"eye:{eye_server.model}"
            assert is_typed(answer.value), name
            assert trace_of(eye_server.reached), "the picture itself"
            asked.append((steps(answer.plan), *said(eye_server.reached)))
    assert all(each == asked[0] for each in asked)


def said(reached: bytes) -> tuple[Any, ...]:
    """Roles, images, the first words of each text, how the answer is drawn and what it is held to, of a chat."""
    body = json.loads(reached[reached.rindex(b"\r\n\r\n") + 4 :])
    parts = [
        (message["role"], part.get("image_url") or _first_words(part["text"]))
        for message in body["messages"]
        for part in (message["content"] if isinstance(message["content"], list) else [{"text": message["content"]}])
    ]
    return parts, body["temperature"], body["response_format"]["json_schema"]["schema"]


def _first_words(text: str) -> str:
    """A text up to where the schema is told, which BAML does in words of its own; a block of data by its inside."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("---")]
    ends = [number for number, line in enumerate(lines) if line.startswith("Answer ")]
    return "\n".join(lines[: ends[0]] if ends else lines)
