"""Images that come in an answer of a chat: as OpenRouter's guide has requests and replies."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from intermodal import errors
from intermodal.catalog.shipped_rows import known_hosts
from intermodal.catalog.types import Host
from intermodal.executor.drivers.codecs import image_codec
from intermodal.protocols.calls import ImageCall, NotExpressible, WireImage
from intermodal.protocols.openai_chat import images as openai_chat_images
from intermodal.protocols.openai_chat.images import decode_reply, encode_request
from intermodal.protocols.openai_media import images as openai_media_images

HOST = Host(id="h", quirks=("pictures_in_chat",))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200_000)
URL = "data:image/png;base64," + base64.b64encode(PNG).decode()


def tree_of(call: ImageCall) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(encode_request(call, HOST).segments))
    return tree


def reply(message: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    return json.dumps({"id": "gen-1", "choices": [choice], **more}).encode()


def test_openrouter_draws_in_its_chat_and_others_do_not() -> None:
    hosts = {row.id: row.host() for row in known_hosts()}
    assert image_codec(hosts["openrouter"]) is openai_chat_images
    assert image_codec(hosts["openai"]) is openai_media_images


def test_says_what_is_wanted_in_openrouter_s_words() -> None:
    assert tree_of(ImageCall(model="a/b", prompt="a crane", size=(1344, 768), writes=True)) == {
        "model": "a/b", "messages": [{"role": "user", "content": "a crane"}], "modalities": ["image", "text"],
        "stream": False, "image_config": {"aspect_ratio": "16:9"},
    }  # fmt: skip
    assert tree_of(ImageCall(model="a/b", prompt="a crane"))["modalities"] == ["image"]
    edited = tree_of(ImageCall(model="a/b", prompt="more sky", images=(WireImage(data=PNG),)))
    assert edited["messages"][0]["content"] == [
        {"type": "text", "text": "more sky"}, {"type": "image_url", "image_url": {"url": URL}},
    ]  # fmt: skip


@pytest.mark.parametrize("media_type", ["image/png", "image/webp"])
def test_openai_s_types_know_the_messages_it_sends(media_type: str) -> None:
    """OpenRouter's own fields aside, a request is one of OpenAI's chat."""
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
    from tests.protocols.published import strictly

    tree = tree_of(
        ImageCall(model="m", prompt="x", images=(WireImage(data=PNG, media_type=media_type),), size=(1024, 1024))
    )
    assert tree.pop("modalities") == ["image"] and tree.pop("image_config") == {"aspect_ratio": "1:1"}
    strictly(CompletionCreateParamsNonStreaming).validate_python(tree)


@pytest.mark.parametrize(
    "wish",
    [
        {"seed": 7}, {"steps": 9}, {"negative": "people"}, {"format": "webp"}, {"quality": "low"}, {"count": 2},
        {"size": (512, 512)}, {"mask": b"x"}, {"images": (WireImage(data=b"x", media_type="image/bmp"),)},
    ],
)  # fmt: skip
def test_image_options_that_chat_cannot_express_are_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(NotExpressible):
        encode_request(ImageCall(model="m", prompt="x", **wish), HOST)


def test_pictures_come_back_with_what_was_counted() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 1290, "completion_tokens_details": {"image_tokens": 1280}}
    made = decode_reply(reply({"content": "", "images": [{"image_url": {"url": URL}}] * 2}, usage=usage), "h:m")
    assert [image.data for image in made.images] == [PNG, PNG] and made.images[0].media_type == "image/png"
    assert (made.usage.input_tokens, made.usage.output_tokens) == (7, 1290)


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (reply({"content": "I cannot see you."}), errors.CallError, "I cannot see you"),
        (reply({"content": "", "images": [{"image_url": {"url": "https://x/y.png"}}]}), errors.CallError, "base64"),
        (
            reply({"content": "", "images": [{"image_url": {"url": "data:text/html;base64,aGk="}}]}),
            errors.CallError,
            "no image",
        ),
        (reply({"content": "", "refusal": "Not that."}), errors.ContentRefused, "Not that"),
        (b'{"error":{"code":402,"message":"Insufficient credits"}}', errors.CredentialsRefused, "credit"),
        (b'{"choices":[{"error":{"code":502,"message":"Provider returned error"}}]}', errors.Unreachable, "gateway"),
        (b'{"choices":[{"mess', errors.StreamCut, "whole"),
        (b"[]", errors.CallError, "failed"),
        (b'{"choices":[null]}', errors.CallError, "no image"),
    ],
)
def test_no_picture_is_an_error_with_what_was_said(body: bytes, error: type[errors.CallError], said: str) -> None:
    with pytest.raises(error, match=said):
        decode_reply(body, "h:m")
