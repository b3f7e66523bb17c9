"""Requests for the words of files and nothing else: text and speech recognition answer, and no language model is
called.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.e2e.command import intermodal
from tests.unit.gateway.gateway_server import GatewayServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
READER = "embedded:paddlepaddle/ppocr-v6-small"
TRANSCRIBER = "embedded:openai/whisper-base"


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
    assert other.code != 0 and "it reads text from images" in other.err


def planned(question: str, *files: Path) -> dict[str, Any]:
    made = intermodal("explain", question, *map(str, files), "--json").document["plan"]
    assert isinstance(made, dict)
    return made


def ops(plan: dict[str, Any]) -> list[str]:
    return [step["op"] for step in plan["chosen"]["steps"]]


@pytest.mark.parametrize("question", ["Transcribe", "What is said?", "Was wird gesagt?"])
def test_what_is_said_in_a_recording_is_the_answer_and_no_language_model_is_called(media: Path, question: str) -> None:
    done = intermodal("ask", question, str(media / "jfk.wav"), "--json", "-q")
    assert done.code == 0, done.err
    told = done.document
    assert "ask not what your country can do for you" in told["text"].lower()
    assert told["endpoint"] == TRANSCRIBER and told["cost"] == 0
    made = planned(question, media / "jfk.wav")
    assert ops(made) == ["transcribe"]
    assert (made["verdict"]["value"], made["verdict"]["instead"]) == ("no_language_model", "speech recognition")
    assert made["verdict"]["language_model"]["endpoint"], "the price of a model that answers stands beside"
    assert "a model that answers: " in made["headline"]


def test_of_a_film_its_speech_is_the_answer_and_no_frame_is_read(media: Path) -> None:
    made = planned("What is said in the video?", media / "talk-over-stills.mp4")
    assert ops(made) == ["demux", "transcribe"] and made["verdict"]["instead"] == "speech recognition"
    done = intermodal("ask", "What is said in the video?", str(media / "talk-over-stills.mp4"), "-q")
    assert done.code == 0, done.err
    assert "your country" in done.out and "INV-20417" not in done.out


def test_the_words_of_pictures_scans_and_pages_are_put_together_under_their_names(media: Path) -> None:
    files = [media / name for name in ("screenshot-invoice.png", "report.pdf", "scanned.pdf")]
    made = planned("Extract the text", *files)
    assert ops(made)[-1] == "concat" and "generate" not in ops(made)
    assert (made["verdict"]["value"], made["verdict"]["instead"]) == ("no_language_model", "text recognition")
    done = intermodal("ask", "Extract the text", *map(str, files), "--json", "-q")
    assert done.code == 0, done.err
    text = done.document["text"]
    places = [text.index(f"{file.name}:\n") for file in files]
    assert places == sorted(places) and "INV-20417" in text[: places[1]]
    assert "Northbound Rail Freight moved 48,210 containers" in text[places[1] : places[2]].replace("\n", " ")
    assert len(text[places[2] :]) > 200


def test_of_files_without_words_the_others_are_the_answer_and_it_is_said(media: Path) -> None:
    files = [str(media / "photo-cat.jpg"), str(media / "screenshot-invoice.png")]
    done = intermodal("ask", "What do they say?", *files)
    assert done.code == 0, done.err
    assert "INV-20417" in done.out and "photo-cat.jpg:" not in done.out
    assert "photo-cat.jpg" in done.err


def test_a_recording_and_a_picture_are_transcribed_by_a_model_each(media: Path) -> None:
    files = [media / "jfk.wav", media / "screenshot-invoice.png"]
    made = planned("Transcribe", *files)
    assert made["verdict"]["instead"] == "text and speech recognition"
    done = intermodal("ask", "Transcribe", *map(str, files), "-q")
    assert done.code == 0, done.err
    assert "your country" in done.out and "INV-20417" in done.out


def test_the_words_of_pages_with_a_text_layer_need_no_model_at_all(media: Path) -> None:
    made = planned("Extract the text", media / "report.pdf")
    assert ops(made) == ["extract"] and made["chosen"].get("endpoint", "") == ""
    assert made["verdict"]["instead"] == "text extraction"
    done = intermodal("ask", "Extract the text", str(media / "report.pdf"), "--json", "-q")
    assert done.code == 0, done.err
    assert done.document["endpoint"] == "" and done.document["cost"] == 0 and len(done.document["text"]) > 500


@pytest.mark.parametrize(
    ("question", "file"),
    [
        ("Transcribe and summarise", "jfk.wav"),
        ("Transcribe in bullet points", "jfk.wav"),
        ("Who says what?", "jfk.wav"),
        ("What does it say?", "talk-over-stills.mp4"),
        ("Extract the dates", "scanned.pdf"),
    ],
)
def test_what_asks_for_more_than_the_words_goes_to_a_model(media: Path, question: str, file: str) -> None:
    made = planned(question, media / file)
    assert ops(made)[-1] == "generate" and made["verdict"].get("value", "enough") != "no_language_model"


def test_a_recording_without_speech_is_an_error_that_says_so(media: Path) -> None:
    done = intermodal("ask", "Transcribe", str(media / "music.ogg"), "-q")
    assert done.code != 0 and "No speech was found in music.ogg" in done.err and "to ask" not in done.err


def test_a_transcriber_can_be_named_and_answers_no_question(media: Path) -> None:
    done = intermodal("ask", "", str(media / "jfk.wav"), "--model", "whisper-base", "-q")
    assert done.code == 0 and "your country" in done.out, done.err
    other = intermodal("ask", "Who is it?", str(media / "jfk.wav"), "--model", "whisper-base", "-q")
    assert other.code != 0


# ---- a limit of tokens, and a sequence that ends an answer ---------------------------------------------

LIMIT = 8


def test_an_answer_of_words_alone_is_cut_at_the_limit_of_tokens_and_says_so(media: Path) -> None:
    picture = str(media / "screenshot-invoice.png")
    whole = intermodal("ask", "What does the picture say?", picture, "-q").out.strip()
    done = intermodal("ask", "What does the picture say?", picture, "--max-tokens", str(LIMIT))
    assert done.code == 11, "the exit code of an answer that was cut"
    assert whole.startswith(done.out.strip()) and 0 < len(done.out.strip()) < len(whole) / 3
    assert f"the answer was cut after {LIMIT} tokens; allow more with --max-tokens" in done.err
    made = intermodal("explain", "What does the picture say?", picture, "--max-tokens", str(LIMIT))
    assert f"are cut after {LIMIT}" in made.out
    long = intermodal("ask", "What does the picture say?", picture, "--max-tokens", "4000", "-q")
    assert long.code == 0 and long.out.strip() == whole


def test_python_is_told_that_an_answer_of_words_alone_was_cut(media: Path) -> None:
    from intermodal import Client

    with Client() as client:
        result = client.run("Transcribe", media / "jfk.wav", max_tokens=LIMIT)
        assert result.finish_reason == "length" and 0 < len(result.text) < 60
        whole = client.run("Transcribe", media / "jfk.wav")
        assert whole.finish_reason == "stop" and whole.text.startswith(result.text.strip())


def test_clients_of_each_api_are_told_that_an_answer_of_words_alone_was_cut(media: Path) -> None:
    data = base64.b64encode((media / "screenshot-invoice.png").read_bytes()).decode()
    url = f"data:image/png;base64,{data}"
    question = "Read the text in this image."
    with GatewayServer() as house, openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as client:
        chat = client.chat.completions.create(
            model="auto", max_tokens=LIMIT,
            messages=[{"role": "user", "content": [
                {"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": url}}]}],
        )  # fmt: skip
        assert chat.choices[0].finish_reason == "length" and chat.choices[0].message.content
        ended = client.chat.completions.create(
            model="auto", stop=["INV"],
            messages=[{"role": "user", "content": [
                {"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": url}}]}],
        )  # fmt: skip
        assert ended.choices[0].finish_reason == "stop" and "INV" not in (ended.choices[0].message.content or "")
        reply = client.responses.create(
            model="auto", max_output_tokens=16,
            input=[{"role": "user", "content": [
                {"type": "input_text", "text": question},
                {"type": "input_image", "image_url": url, "detail": "auto"}]}],
        )  # fmt: skip
        assert reply.status == "incomplete" and reply.incomplete_details is not None
        assert reply.incomplete_details.reason == "max_output_tokens"
        root = house.base_url.removesuffix("/v1")
        with anthropic.Anthropic(base_url=root, api_key="none", max_retries=0) as other:
            said = other.messages.create(
                model="auto", max_tokens=LIMIT,
                messages=[{"role": "user", "content": [
                    {"type": "text", "text": question},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]}],
            )  # fmt: skip
        assert said.stop_reason == "max_tokens"


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
