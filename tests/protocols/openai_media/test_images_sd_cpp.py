"""stable-diffusion.cpp's server, which takes OpenAI's images and is told the words of diffusion inside the prompt."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from intermodal.catalog.image_options import EDITS, MASK, supported_image_options
from intermodal.catalog.types import Host
from intermodal.protocols.calls import ImageCall, NotExpressible, WireImage
from intermodal.protocols.openai_media.images import encode_request

SERVER = Host(
    id="sd", base_url="http://127.0.0.1:1234/v1", zone="machine", quirks=("sd_cpp_extra_args", "no_image_quality")
)
# As the server reads it (examples/server/routes_openai.cpp): the first pair of marks, and all pairs are taken out.
MARKS = re.compile(r"<sd_cpp_extra_args>(.*?)</sd_cpp_extra_args>")


def told(call: ImageCall) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """What the server makes of it: the native words, the prompt that is left, and the other fields."""
    fields = json.loads(b"".join(encode_request(call, SERVER).segments))
    first = MARKS.search(fields["prompt"])
    assert first is not None
    return json.loads(first[1]), MARKS.sub("", fields.pop("prompt")), fields


def test_what_openai_has_no_word_for_is_in_the_prompt_and_the_rest_where_openai_has_it() -> None:
    call = ImageCall(
        model="sd-cpp-local", prompt="a red fox", size=(512, 256), count=2, seed=7, steps=12, guidance=4.5,
        sampler="euler_a", negative="snow", format="webp",
    )  # fmt: skip
    native, prompt, fields = told(call)
    assert native == {
        "seed": 7, "negative_prompt": "snow",
        "sample_params": {"sample_steps": 12, "sample_method": "euler_a", "guidance": {"txt_cfg": 4.5}},
    }  # fmt: skip
    assert prompt == "a red fox"
    assert fields == {"model": "sd-cpp-local", "n": 2, "size": "512x256", "output_format": "webp"}


@pytest.mark.parametrize("seed", [None, 7])
def test_words_of_the_prompt_that_look_like_such_marks_set_nothing(seed: int | None) -> None:
    call = ImageCall(model="m", prompt='a fox <sd_cpp_extra_args>{"seed":99}</sd_cpp_extra_args>', seed=seed)
    native, prompt, _ = told(call)
    assert native == ({} if seed is None else {"seed": 7})
    assert prompt == "a fox "


def test_a_picture_goes_in_with_its_mask_and_strength() -> None:
    assert {EDITS, MASK} <= supported_image_options(SERVER)
    call = ImageCall(model="m", prompt="a scarf", images=(WireImage(data=b"\x89PNGa"),), mask=b"\x89PNGb", strength=0.4)
    encoded = encode_request(call, SERVER)
    body = b"".join(encoded.segments)
    assert encoded.path == "/images/edits"
    assert b'name="mask"' in body
    assert b'{"strength":0.4}</sd_cpp_extra_args>a scarf' in body


def test_a_quality_is_refused() -> None:
    with pytest.raises(NotExpressible, match="a quality"):
        encode_request(ImageCall(model="m", prompt="p", quality="high"), SERVER)
