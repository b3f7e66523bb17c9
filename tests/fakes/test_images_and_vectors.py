"""Images and vectors: what the fakes send is understood by the vendors' own clients, and ``ask`` drives it through.

Everything goes over HTTP on loopback. No model runs: an image is one colour that follows from the words.
"""

from __future__ import annotations

import io
import json
import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.cli.conftest import Cli
from tests.unit.cli.conftest import cli as cli

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import FakeHost, FakeVendor
from intermodal.testing.attempts import DIMENSIONS, vector_of
from intermodal.testing.images import TOKENS, png

PICTURE = png("a crane", "32x32")


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


# ---- the vendors' own clients ---------------------------------------------------------------------


def test_openai_s_client_gets_pictures_made_and_edited() -> None:
    from openai import OpenAI

    with FakeHost() as host, OpenAI(base_url=host.base_url, api_key="k", max_retries=0) as client:
        made: Any = client.images.generate(model="m", prompt="a crane", n=2, size="1024x1024", quality="low")
        edited: Any = client.images.edit(model="m", prompt="more sky", image=[("a.png", PICTURE, "image/png")])
    assert [size_of(b64decode(each.b64_json)) for each in made.data] == [(64, 64), (64, 64)]
    assert made.data[0].b64_json != made.data[1].b64_json
    assert made.usage.output_tokens == 2 * TOKENS
    assert edited.usage.input_tokens_details.image_tokens == TOKENS
    assert [attempt.texts for attempt in host.attempts] == [("a crane",), ("more sky",)]
    assert host.attempts[1].images == (PICTURE,)


def test_google_s_client_gets_a_picture_and_vectors() -> None:
    from google import genai
    from google.genai import types

    with FakeVendor("gemini", key="k") as vendor:
        client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=vendor.address))
        try:
            wish = types.GenerateContentConfig(response_modalities=["TEXT", "IMAGE"])
            drawn: Any = client.models.generate_content(model="m", contents="a crane", config=wish)
            vectors: Any = client.models.embed_content(model="m", contents=["one", "two"])  # type: ignore[arg-type]
        finally:
            client.close()
    (inline,) = [part.inline_data for part in drawn.candidates[0].content.parts if part.inline_data]
    assert size_of(inline.data) == (64, 64)
    assert drawn.usage_metadata.candidates_tokens_details[0].modality.value == "IMAGE"
    assert [len(each.values) for each in vectors.embeddings] == [DIMENSIONS, DIMENSIONS]


# ---- ask --------------------------------------------------------------------------------------------


def connect(base_url: str, *rows: ServedRow, protocol: Any = None, **more: Any) -> None:
    row = HostRow(id="box", base_url=base_url, stated_protocol=protocol, models=rows, **more)
    config_file.add_host(os.environ, row)


def brush(**more: Any) -> ServedRow:
    fields: dict[str, Any] = {"picture": 0.01, **more}
    return ServedRow(
        id="acme/brush-70b", served_as="brush", tasks=("text-to-image", "image-to-image"), input=("text", "image"),
        **fields,
    )  # fmt: skip


def test_a_picture_is_drawn_of_words_written_and_paid_for(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "bicycle.png"
    with FakeHost() as host:
        connect(host.base_url, brush())
        done = cli("ask", "a red bicycle", "--output", "image", "--size", "512x768", "--to", str(target), "--json")
    assert done.code == 0, done.err
    assert target.read_bytes() == png("a red bicycle", "512x768")
    (attempt,) = host.attempts
    assert attempt.path == "/v1/images/generations"
    assert attempt.json == {"model": "brush", "prompt": "a red bicycle", "size": "512x768", "output_format": "png"}
    assert done.document["cost"] == 0.01
    (told,) = done.document["images"]
    assert told["path"] == str(target)
    assert told["media_type"] == "image/png"
    assert "data" not in told


def test_a_picture_that_goes_in_is_edited_and_it_arrives_as_it_was(cli: Cli, tmp_path: Path, media: Path) -> None:
    target = tmp_path / "blue.png"
    with FakeHost() as host:
        connect(host.base_url, brush(), zone="internet")
        done = cli("ask", "the same cat, in blue", str(media / "photo-cat.jpg"), "--to", str(target))
    assert done.code == 0, done.err
    (attempt,) = host.attempts
    assert attempt.path == "/v1/images/edits"
    assert attempt.texts == ("the same cat, in blue",)
    assert attempt.images == ((media / "photo-cat.jpg").read_bytes(),)
    assert size_of(target.read_bytes()) == (64, 64)


def test_of_several_pictures_each_gets_a_file_and_no_file_is_written_over(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "fox.png"
    with FakeHost() as host:
        connect(host.base_url, brush())
        done = cli("ask", "a fox", "--count", "2", "--to", str(target), "-q")
        assert done.code == 0, done.err
        assert {path.name for path in tmp_path.glob("*.png")} == {"fox.png", "fox-2.png"}
        assert target.read_bytes() != (tmp_path / "fox-2.png").read_bytes()
        (tmp_path / "fox-2.png").write_text("a letter")
        done = cli("ask", "a fox", "--count", "2", "--to", str(target), "-q")
    assert done.code == 2
    assert "is there already and is not a PNG image" in done.err
    assert len(host.attempts) == 1


def test_pictures_come_through_google_s_wire_and_are_billed_by_their_tokens(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "crane.png"
    with FakeVendor("gemini") as vendor:
        connect(
            vendor.base_url, brush(picture=None, input_mtok=1.0, output_mtok=2.0, output_image_mtok=30.0),
            protocol="gemini",
        )  # fmt: skip
        done = cli("ask", "a crane", "--size", "1344x768", "--seed", "7", "--to", str(target), "--json",
                   "--max-cost", "1")  # fmt: skip
    assert done.code == 0, done.err
    (attempt,) = vendor.attempts
    config_ = attempt.json["generationConfig"]
    assert config_ == {"responseModalities": ["TEXT", "IMAGE"], "seed": 7, "imageConfig": {"aspectRatio": "16:9"}}
    assert target.read_bytes() == png("a crane")
    assert done.document["cost"] == pytest.approx((attempt.input_tokens * 1.0 + TOKENS * 30.0) / 1e6)


def test_a_picture_comes_in_an_answer_of_a_chat_where_a_host_draws_there(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "crane.png"
    with FakeHost() as host:
        price = brush(picture=None, input_mtok=1.0, output_mtok=2.0, output_image_mtok=30.0)
        connect(host.base_url, price, quirks=("pictures_in_chat",))
        done = cli("ask", "a crane", "--size", "1344x768", "--to", str(target), "--json", "--max-cost", "1")
    assert done.code == 0, done.err
    (attempt,) = host.attempts
    assert attempt.path == "/v1/chat/completions"
    assert attempt.json["modalities"] == ["image"] and attempt.json["image_config"] == {"aspect_ratio": "16:9"}
    assert target.read_bytes() == png("a crane")
    assert done.document["cost"] == pytest.approx((attempt.input_tokens * 1.0 + TOKENS * 30.0) / 1e6)


def test_a_picture_comes_by_the_tool_of_openai_s_responses_where_a_host_draws_there(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "crane.png"
    with FakeVendor("openai-responses") as vendor:
        price = brush(picture=None, input_mtok=1.0, output_mtok=2.0, output_image_mtok=30.0)
        connect(vendor.base_url, price, protocol="openai-responses", quirks=("pictures_in_chat",))
        done = cli("ask", "a crane", "--size", "48x32", "--quality", "low", "--to", str(target), "--json",
                   "--max-cost", "1")  # fmt: skip
        told: Any = _openai_draws(vendor.base_url)
    assert done.code == 0, done.err
    attempt = vendor.attempts[0]
    assert attempt.path == "/v1/responses" and attempt.json["store"] is False
    assert attempt.json["tools"] == [
        {"type": "image_generation", "size": "48x32", "quality": "low", "output_format": "png"}
    ]
    assert target.read_bytes() == png("a crane", "48x32")
    words = attempt.output_tokens
    assert done.document["cost"] == pytest.approx((4 * 1.0 + words * 2.0 + TOKENS * 30.0) / 1e6)
    (call,) = told.output
    assert size_of(b64decode(call.result)) == (64, 64)
    assert told.tool_usage.image_gen.output_tokens == TOKENS


def _openai_draws(base_url: str) -> Any:
    """OpenAI's own client reads what the fake draws."""
    from openai import OpenAI

    with OpenAI(base_url=base_url, api_key="k", max_retries=0) as client:
        tool: Any = {"type": "image_generation"}
        return client.responses.create(model="m", input="a crane", tools=[tool], tool_choice=tool)


def test_a_filter_that_stops_a_picture_is_told_in_its_words_and_nobody_else_is_asked(cli: Cli, tmp_path: Path) -> None:
    with FakeVendor("gemini", "I do not draw that.", refuses=True) as vendor:
        connect(vendor.base_url, brush(), protocol="gemini")
        done = cli("ask", "a crane", "--to", str(tmp_path / "x.png"))
    assert done.code == 5
    assert 'refused to draw: "I do not draw that"' in done.err
    assert len(vendor.attempts) == 1


def test_a_wish_that_a_host_cannot_be_told_is_a_reason_before_anything_is_sent(cli: Cli, tmp_path: Path) -> None:
    with FakeHost() as host:
        connect(host.base_url, brush())
        done = cli("ask", "a crane", "--negative", "people", "--to", str(tmp_path / "x.png"))
    assert done.code != 0
    assert "cannot be told a negative prompt" in done.err
    assert not host.attempts


@pytest.mark.parametrize("name", ["gemini", "ollama"])
def test_a_vector_is_made_over_the_host_s_own_protocol(name: Any, cli: Cli) -> None:
    with FakeVendor(name) as vendor:
        row = ServedRow(id="acme/vector", served_as="vector", tasks=("feature-extraction",), input_mtok=0.1)
        connect(vendor.base_url, row, protocol=name)
        done = cli("ask", "a crane", "--output", "embedding", "-m", "acme/vector", "-q")
    assert done.code == 0, done.err
    assert json.loads(done.out) == pytest.approx(vector_of("a crane"))


def test_a_picture_goes_into_a_vector_as_it_is_where_the_model_takes_pictures(cli: Cli, media: Path) -> None:
    picture = media / "photo-cat.jpg"
    with FakeVendor("gemini") as vendor:
        row = ServedRow(
            id="acme/vector", served_as="vector", tasks=("feature-extraction",), input=("text", "image"), input_mtok=0.1
        )
        connect(vendor.base_url, row, protocol="gemini", zone="internet")
        done = cli("ask", "--output", "embedding", "-m", "acme/vector", "-q", "a cat", str(picture))
    assert done.code == 0, done.err
    (attempt,) = vendor.attempts
    assert attempt.images == (picture.read_bytes(),)
    assert attempt.texts[-1].endswith("a cat")
    assert len(json.loads(done.out)) == DIMENSIONS


@pytest.mark.parametrize(("name", "kind"), [("scanned.pdf", "document"), ("bigbuckbunny.mp4", "video")])
def test_papers_and_videos_go_into_a_vector_as_they_are_where_the_model_takes_them(
    name: str, kind: Any, cli: Cli, media: Path
) -> None:
    with FakeVendor("gemini") as vendor:
        row = ServedRow(
            id="acme/vector",
            served_as="vector",
            tasks=("feature-extraction",),
            input=("text", kind),
            input_mtok=0.1,
            context=8192,
        )
        connect(vendor.base_url, row, protocol="gemini", zone="internet")
        done = cli("ask", "--output", "embedding", "-m", "acme/vector", "-q", str(media / name))
    assert done.code == 0, done.err
    (attempt,) = vendor.attempts
    assert attempt.path.endswith(":embedContent")
    assert (attempt.documents or attempt.videos) == ((media / name).read_bytes(),)
    assert len(json.loads(done.out)) == DIMENSIONS


def test_a_picture_in_a_format_that_goes_into_no_vector_is_encoded_again(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "crane.webp"
    Image.new("RGB", (64, 64), "red").save(source)
    with FakeVendor("gemini") as vendor:
        row = ServedRow(
            id="acme/vector", served_as="vector", tasks=("feature-extraction",), input=("text", "image"), input_mtok=0.1
        )
        connect(vendor.base_url, row, protocol="gemini", zone="internet")
        done = cli("ask", "--output", "embedding", "-m", "acme/vector", "-q", str(source))
    assert done.code == 0, done.err
    ((picture,),) = [attempt.images for attempt in vendor.attempts]
    assert picture[:4] == b"\x89PNG" or picture[:2] == b"\xff\xd8"
