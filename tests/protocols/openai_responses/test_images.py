"""Images by the tool of OpenAI's responses. The referees are the types of OpenAI's published client."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from tests.protocols.calls import BYTES, TEXTS
from tests.protocols.published import strictly

from intermodal import errors
from intermodal.catalog.image_options import supported_image_options
from intermodal.catalog.types import Host
from intermodal.executor.drivers.codecs import image_codec
from intermodal.protocols.calls import ImageCall, NotExpressible, WireImage, WireUsage
from intermodal.protocols.openai_media import images as openai_media_images
from intermodal.protocols.openai_responses import images as openai_responses_images
from intermodal.protocols.openai_responses.images import decode_reply, encode_request

HOST = Host(id="h", protocol="openai-responses", quirks=("pictures_in_chat",))
MASKED = Host(id="m", protocol="openai-responses", quirks=("pictures_in_chat", "image_mask"))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100
USAGE = {
    "input_tokens": 40, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 60,
}  # fmt: skip
TOOL_USAGE = {
    "image_gen": {
        "input_tokens": 300, "input_tokens_details": {"text_tokens": 12, "image_tokens": 288}, "output_tokens": 1056,
        "total_tokens": 1356,
    },
    "web_search": {"num_requests": 0},
}  # fmt: skip


def tree_of(call: ImageCall, host: Host = HOST) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(encode_request(call, host).segments))
    return tree


def drawn(**more: Any) -> dict[str, Any]:
    return {"type": "image_generation_call", "id": "ig_1", "status": "completed", **more}


def reply(*output: dict[str, Any], **more: Any) -> bytes:
    """As OpenAI's own type has it, which is asked."""
    tree = {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "output": list(output), "tools": [],
        "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0, "tool_choice": {"type": "image_generation"},
        "usage": USAGE, "tool_usage": TOOL_USAGE, **more,
    }  # fmt: skip
    Response.model_validate(tree)
    return json.dumps(tree).encode()


def test_the_tool_draws_where_a_row_says_so_and_the_pictures_address_elsewhere() -> None:
    assert image_codec(HOST) is openai_responses_images
    assert image_codec(Host(id="h", protocol="openai-responses")) is openai_media_images
    assert supported_image_options(HOST) == {"size", "quality", "format", "edits"}
    assert supported_image_options(MASKED) == {"size", "quality", "format", "edits", "mask"}


@pytest.mark.slow
@given(
    prompt=TEXTS,
    images=st.lists(
        st.builds(WireImage, data=BYTES, media_type=st.sampled_from(["image/png", "image/jpeg", "image/webp"])),
        max_size=3,
    ),
    mask=BYTES,
    size=st.none() | st.tuples(st.integers(16, 3840), st.integers(16, 2160)),
    quality=st.sampled_from(["", "low", "medium", "high"]),
    format=st.sampled_from(["", "png", "jpeg", "webp"]),
)
def test_every_wish_is_a_request_of_openai_s_types_and_nothing_is_kept_there(
    prompt: str, images: list[WireImage], mask: bytes, size: Any, quality: Any, format: Any
) -> None:
    mask = mask if images else b""
    tree = tree_of(
        ImageCall(model="m", prompt=prompt, images=tuple(images), mask=mask, size=size, quality=quality, format=format),
        MASKED,
    )
    strictly(ResponseCreateParamsNonStreaming).validate_python(tree)
    assert tree["store"] is False and tree["tool_choice"] == {"type": "image_generation"}
    (tool,) = tree["tools"]
    assert tool.get("size") == (f"{size[0]}x{size[1]}" if size else None)
    assert (tool.get("quality", ""), tool.get("output_format", "")) == (quality, format)
    assert bool(mask) is ("input_image_mask" in tool)
    (message,) = tree["input"]
    shown = [part["image_url"].partition(",")[2] for part in message["content"][1:]]
    assert [base64.b64decode(each) for each in shown] == [image.data for image in images]


@pytest.mark.parametrize(
    "wish",
    [
        {"seed": 7}, {"steps": 9}, {"negative": "people"}, {"count": 2},
        {"images": (WireImage(data=b"x"),), "mask": b"x"},
        {"images": (WireImage(data=b"x", media_type="image/bmp"),)},
    ],
)  # fmt: skip
def test_image_options_that_responses_cannot_express_are_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(NotExpressible):
        encode_request(ImageCall(model="m", prompt="x", **wish), HOST)


def test_a_picture_comes_back_with_its_prompt_and_what_both_models_took() -> None:
    item = drawn(result=base64.b64encode(PNG).decode(), output_format="webp", revised_prompt="a red crane")
    made = decode_reply(reply(item), "h:m")
    assert made.images == (WireImage(data=PNG, media_type="image/webp"),)
    assert made.prompts == ("a red crane",)
    assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.image_tokens) == (340, 1076, 1056)
    assert made.usage.input_by_modality == (("text", 52), ("image", 288))


def test_where_the_tool_s_tokens_are_not_told_none_are() -> None:
    item = drawn(result=base64.b64encode(PNG).decode())
    assert decode_reply(reply(item, tool_usage=None), "h:m").usage == WireUsage()


SAID = {
    "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
    "content": [{"type": "output_text", "text": "Which crane?", "annotations": []}],
}  # fmt: skip
REFUSED = {**SAID, "content": [{"type": "refusal", "refusal": "Not that."}]}
BLOCKED = drawn(
    status="failed", result=None,
    error={"code": "moderation_blocked", "message": "Your request was rejected.", "type": "image_generation_error"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (reply(SAID), errors.CallError, "Which crane?"),
        (reply(REFUSED), errors.ContentRefused, "Not that"),
        (reply(BLOCKED), errors.ContentRefused, "Your request was rejected"),
        (reply(drawn(result="!")), errors.CallError, "no image"),
        (reply(drawn(result=""), incomplete_details={"reason": "content_filter"}), errors.ContentRefused, "refused"),
        (reply()[:-9], errors.StreamCut, "not whole"),
        (b'{"error":{"message":"no","code":"moderation_blocked"}}', errors.ContentRefused, ""),
        (b"[]", errors.CallError, ""),
    ],
)
def test_no_picture_is_an_error_with_what_was_said(body: bytes, error: type[errors.CallError], said: str) -> None:
    with pytest.raises(error) as caught:
        decode_reply(body, "h:m")
    assert said in str(caught.value)
