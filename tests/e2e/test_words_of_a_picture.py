"""Requests for the words of a picture and nothing else: text recognition answers, and no language model is called."""

from __future__ import annotations

import base64
from pathlib import Path

import openai
import pytest
from tests.e2e.command import intermodal
from tests.unit.gateway.gateway_server import GatewayServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
READER = "embedded:paddlepaddle/ppocr-v6-small"


def test_the_words_of_an_invoice_are_the_answer_and_no_language_model_is_called(media: Path) -> None:
    done = intermodal("ask", "What does the picture say?", str(media / "screenshot-invoice.png"), "--json", "-q")
    assert done.code == 0, done.err
    told = done.document
    assert "INV-20417" in told["text"] and "1,380.50" in told["text"]
    assert told["endpoint"] == READER and told["cost"] == 0
    plan = intermodal("explain", "What does the picture say?", str(media / "screenshot-invoice.png"), "--json")
    made = plan.document["plan"]
    assert made["verdict"]["value"] == "no_language_model" and made["verdict"]["instead"] == "text recognition"
    assert made["verdict"]["language_model"]["endpoint"], "the price of a model that answers stands beside"
    assert [step["op"] for step in made["chosen"]["steps"]] == ["read"]


def test_a_question_about_the_words_is_answered_by_a_model(media: Path) -> None:
    done = intermodal("explain", "What is the total of this invoice?", str(media / "screenshot-invoice.png"), "--json")
    made = done.document["plan"]
    assert made["verdict"]["value"] != "no_language_model"
    assert made["chosen"]["steps"][-1]["op"] == "generate"


def test_the_content_of_a_qr_code_is_the_answer(media: Path) -> None:
    done = intermodal("ask", "What does the QR code say?", str(Path(__file__).parents[1] / "media" / "codes.png"), "-q")
    assert done.code == 0, done.err
    assert "DE89370400440532013000" in done.out


def test_a_picture_without_words_is_an_error_that_says_so(media: Path) -> None:
    done = intermodal("ask", "What does the picture say?", str(media / "photo-cat.jpg"), "-q")
    assert done.code != 0 and "No text was found in photo-cat.jpg" in done.err


def test_a_model_that_reads_text_can_be_named_and_answers_no_question(media: Path) -> None:
    picture = str(media / "screenshot-invoice.png")
    done = intermodal("ask", "", picture, "--model", "ppocr-v6-small", "-q")
    assert done.code == 0 and "INV-20417" in done.out, done.err
    other = intermodal("ask", "Who sent it?", picture, "--model", "ppocr-v6-small", "-q")
    assert other.code != 0 and "it reads text from pictures" in other.err


@pytest.mark.parametrize("streamed", [False, True])
def test_openais_client_of_the_gateway_gets_the_words(media: Path, streamed: bool) -> None:
    data = base64.b64encode((media / "screenshot-invoice.png").read_bytes()).decode()
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    content = [{"type": "text", "text": "Read the text in this image."}, picture]
    with GatewayServer() as house, openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as client:
        ask = client.chat.completions.with_raw_response.create
        found = ask(model="auto", messages=[{"role": "user", "content": content}], stream=streamed)  # type: ignore[call-overload]
        assert found.headers["x-intermodal-verdict"] == "no_language_model"
        made = found.parse()
        if streamed:
            text = "".join(each.choices[0].delta.content or "" for each in made if each.choices)
        else:
            text = made.choices[0].message.content
            assert made.choices[0].finish_reason == "stop"
    assert "INV-20417" in text
