"""Images that are drawn from others: the form of OpenAI's clients, its mask, and what is refused."""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image
from tests.unit.gateway.gateway_server import GatewayServer, house_before

from intermodal.testing import FakeHost

PATH = "/v1/images/edits"
BRUSH = (
    'id = "cloud/brush"; tasks = ["text-to-image", "image-to-image"]; input = ["text", "image"]; picture = 0.01; '
    'tier = "large"'
)
FIELDS = {"model": "cloud/brush", "prompt": "make it blue"}


def png(size: tuple[int, int] = (64, 64), colour: Any = (200, 30, 30), mode: str = "RGB") -> bytes:
    Image.new(mode, size, colour).save(out := io.BytesIO(), "PNG")
    return out.getvalue()


PICTURE = ("star.png", png(), "image/png")


@pytest.fixture
def drawing(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    with house_before(monkeypatch, tmp_path, ("cloud", host.base_url, BRUSH)) as served:
        yield served


def test_openais_client_edits_a_picture_and_several(drawing: GatewayServer, host: FakeHost) -> None:
    with openai.OpenAI(base_url=drawing.base_url, api_key="none", max_retries=0) as client:
        for pictures in (PICTURE, [PICTURE, ("other.png", png(colour=(0, 0, 200)), "image/png")]):
            made = client.images.edit(model="cloud/brush", image=pictures, prompt="make it blue", n=1)
            assert made.data is not None and made.data[0].b64_json is not None
            assert Image.open(io.BytesIO(b64decode(made.data[0].b64_json))).size[0] > 0
    assert [each.path for each in host.attempts] == ["/v1/images/edits"] * 2
    assert b"make it blue" in host.attempts[0].body and host.attempts[0].body.count(b"\x89PNG") == 1
    assert host.attempts[1].body.count(b"\x89PNG") == 2


def test_an_edit_is_planned_priced_and_counted_as_other_pictures_are(drawing: GatewayServer) -> None:
    found = drawing.http.post(PATH, data={**FIELDS, "background": "opaque"}, files={"image": PICTURE})
    assert found.status_code == 200, found.text
    assert float(found.headers["x-intermodal-cost"]) == pytest.approx(0.01)
    assert found.headers["x-intermodal-ignored"] == "background"
    assert found.json()["usage"]["intermodal"]["route"] == "cloud:cloud/brush"
    assert 'path="/v1/images/edits"' in drawing.http.get("/metrics").text


@pytest.mark.parametrize(
    ("fields", "files", "said"),
    [
        (FIELDS, {}, "needs an image in the field image"),
        ({**FIELDS, "image": "star.png"}, {}, "needs an image as a file"),
        ({"prompt": "x"}, {"image": PICTURE}, "'model' is missing"),
        ({"model": "cloud/brush"}, {"image": PICTURE}, "'prompt' is missing"),
        ({**FIELDS, "n": "two"}, {"image": PICTURE}, "n 'two': write a whole number"),
        ({**FIELDS, "n": "11"}, {"image": PICTURE}, "n is 1 to 10"),
        ({**FIELDS, "strength": "much"}, {"image": PICTURE}, "strength 'much': write a number"),
        ({**FIELDS, "strength": "7"}, {"image": PICTURE}, "strength"),
        ({**FIELDS, "strength": "nan"}, {"image": PICTURE}, "strength"),
        ({**FIELDS, "stream": "true"}, {"image": PICTURE}, "images come whole here"),
        ({**FIELDS, "response_format": "url"}, {"image": PICTURE}, "images come as b64_json"),
        ({**FIELDS, "size": "0x0"}, {"image": PICTURE}, "1 to 16,384 pixels"),
        ({**FIELDS, "api_base": "http://example.com"}, {"image": PICTURE}, "may not set api_base"),
        (FIELDS, {"image": ("star.png", b"")}, "star.png"),
        (FIELDS, {"image": ("star.png", b"no picture at all")}, "star.png"),
        (FIELDS, {"image": PICTURE, "mask": ("m.png", b"no picture at all")}, "m.png"),
        (FIELDS, {"image": PICTURE, "mask": ("m.png", png((32, 32)))}, "32x32 pixels and star.png 64x64"),
    ],
)
def test_what_cannot_be_edited_is_refused_in_one_sentence(
    drawing: GatewayServer, host: FakeHost, fields: dict[str, str], files: dict[str, Any], said: str
) -> None:
    found = drawing.http.post(PATH, data=fields, files=files or {"other": ("a.txt", b"a")})
    assert found.status_code in (400, 415), found.text
    message = found.json()["error"]["message"]
    assert said in message and len(message) < 250, message
    assert host.attempts == []


def test_a_mask_is_of_one_picture(drawing: GatewayServer, host: FakeHost) -> None:
    files = [("image[]", PICTURE), ("image[]", PICTURE), ("mask", PICTURE)]
    found = drawing.http.post(PATH, data=FIELDS, files=files)
    assert found.status_code == 400 and "a mask is of one image" in found.json()["error"]["message"]
    assert host.attempts == []


def test_a_host_without_a_word_for_masks_is_not_given_one(drawing: GatewayServer, host: FakeHost) -> None:
    found = drawing.http.post(PATH, data=FIELDS, files={"image": PICTURE, "mask": ("m.png", png())})
    assert found.status_code == 400 and "a mask" in found.text
    assert host.attempts == []


def half_mask(mode: str, changes: Any, rest: Any) -> bytes:
    image = Image.new(mode, (64, 64), rest)
    image.paste(changes, (0, 0, 32, 64))
    image.save(out := io.BytesIO(), "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "mask", [half_mask("RGBA", (0, 0, 0, 0), (200, 90, 10, 255)), half_mask("L", 255, 0)], ids=["transparent", "white"]
)
def test_a_host_that_takes_masks_gets_one_that_is_transparent_where_the_picture_may_change(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: bytes
) -> None:
    rows = f'{BRUSH}; quirks = ["image_mask"]'
    with house_before(monkeypatch, tmp_path, ("cloud", host.base_url, rows)) as served:
        found = served.http.post(PATH, data=FIELDS, files={"image": PICTURE, "mask": ("m.png", mask)})
    assert found.status_code == 200, found.text
    (attempt,) = host.attempts
    assert attempt.path == "/v1/images/edits"
    picture, sent = (Image.open(io.BytesIO(each)) for each in attempt.images)
    assert (picture.size, sent.format, sent.mode, sent.size) == ((64, 64), "PNG", "RGBA", (64, 64))
    alpha = sent.getchannel("A")
    assert alpha.crop((0, 0, 32, 64)).getextrema() == (0, 0), "what may change is transparent"
    assert alpha.crop((32, 0, 64, 64)).getextrema() == (255, 255), "what may not is opaque"
