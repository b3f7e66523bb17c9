"""Images to be made, as they go out and come back."""

from __future__ import annotations

import json
from base64 import b64encode
from email.parser import BytesParser
from typing import Any

import pytest

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.protocols.calls import ImageCall, NotExpressible, WireImage, WireUsage
from intermodal.protocols.openai_media.images import QUIRKS, decode_reply, encode_request

OPENAI = Host(id="h")
MASKED = Host(id="m", quirks=("image_mask",))
DIFFUSION = Host(id="d", quirks=("image_seed", "image_steps", "negative_prompt", "image_b64"))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def said(call: ImageCall, host: Host) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(encode_request(call, host).segments))
    return tree


def test_says_what_is_wanted_in_the_words_each_host_has() -> None:
    call = ImageCall(model="m", prompt="a crane", size=(1024, 1536), count=2, format="png")
    assert encode_request(call, OPENAI).path == "/images/generations"
    assert said(call, OPENAI) == {
        "model": "m", "prompt": "a crane", "n": 2, "output_format": "png", "size": "1024x1536",
    }  # fmt: skip
    call = ImageCall(model="m", prompt="a crane", size=(512, 768), seed=7, steps=4, negative="text")
    assert said(call, Host(id="d", quirks=(*DIFFUSION.quirks, "width_height"))) == {
        "model": "m", "prompt": "a crane", "seed": 7, "steps": 4, "negative_prompt": "text",
        "response_format": "b64_json", "width": 512, "height": 768,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (ImageCall(model="m", prompt="p", seed=1), "a seed"),
        (ImageCall(model="m", prompt="p", steps=1), "steps"),
        (ImageCall(model="m", prompt="p", negative="n"), "a negative prompt"),
        (ImageCall(model="m", prompt="p", images=(WireImage(data=PNG),), mask=PNG), "a mask"),
        (ImageCall(model="m", prompt="p", images=(WireImage(data=b"x", media_type="image/tiff"),)), "image/tiff"),
    ],
)
def test_what_the_wire_has_no_words_for_is_refused(call: ImageCall, part: str) -> None:
    with pytest.raises(NotExpressible, match=part):
        encode_request(call, OPENAI)


def test_an_edit_is_a_form_that_somebody_else_s_parser_reads_with_the_picture_as_it_was() -> None:
    picture = PNG * 9000
    call = ImageCall(
        model="m", prompt="more sky", images=(WireImage(data=picture), WireImage(data=b"j", media_type="image/jpeg")),
        mask=PNG,
    )  # fmt: skip
    encoded = encode_request(call, MASKED)
    assert encoded.path == "/images/edits"
    assert any(segment is picture for segment in encoded.segments)
    head = f"content-type: {dict(encoded.headers)['content-type']}\r\n\r\n".encode()
    form = BytesParser().parsebytes(head + b"".join(encoded.segments)).get_payload()
    parts = [
        (part.get_param("name", header="content-disposition"), part.get_content_type(), part.get_payload(decode=True))
        for part in form  # type: ignore[union-attr]
    ]
    assert parts == [
        ("model", "text/plain", b"m"),
        ("prompt", "text/plain", b"more sky"),
        ("image[]", "image/png", picture),
        ("image[]", "image/jpeg", b"j"),
        ("mask", "image/png", PNG),
    ]


def test_pictures_come_back_with_what_was_counted() -> None:
    body = {
        "created": 1,
        "data": [{"b64_json": b64encode(PNG).decode(), "revised_prompt": "a red crane"}],
        "usage": {
            "input_tokens": 9, "output_tokens": 4160, "total_tokens": 4169,
            "input_tokens_details": {"text_tokens": 9, "image_tokens": 0},
        },
    }  # fmt: skip
    made = decode_reply(json.dumps(body).encode(), "h:m")
    assert made.images == (WireImage(data=PNG),)
    assert made.prompts == ("a red crane",)
    assert made.usage == WireUsage(input_tokens=9, output_tokens=4160, input_by_modality=(("text", 9), ("image", 0)))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"data":[{"b64_', errors.StreamCut),
        (b'{"data":[]}', errors.CallError),
        (b'{"data":[{"url":"https://a/b.png"}]}', errors.CallError),
        (b'{"data":[{"b64_json":"!"}]}', errors.CallError),
        (b'{"error":{"message":"no","code":"moderation_blocked"}}', errors.ContentRefused),
    ],
)
def test_no_picture_is_an_error(body: bytes, error: type[errors.CallError]) -> None:
    with pytest.raises(error):
        decode_reply(body, "h:m")


def test_every_quirk_is_explained() -> None:
    assert set(DIFFUSION.quirks) <= set(QUIRKS)
