"""A real contrastive model end to end: labels of images and films, vectors in one space, and what is refused.

The model is tiny-clip (``tests/media/tiny_clip``), which knows generated shapes and charts; what it is asked about is
drawn by another program than the one it learned from.
"""

from __future__ import annotations

import io
import json
import random
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw
from tests.e2e.command import intermodal
from tests.e2e.onnx_folders import CLIP, config, copied, cut
from tests.media.tiny_eye import world

from intermodal.catalog.types import Endpoint
from intermodal.client.async_client import AsyncClient
from intermodal.core.request import EmbeddingOutput, ScoresOutput
from intermodal.local.embedded.results import ContrastiveResult
from intermodal.plans.plan import Plan
from intermodal.plans.step import Call, Transform

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(300)]
GENERATOR = Path(__file__).parents[2] / "scripts" / "tiny_clip" / "pictures.py"
TINY = "mine:test/tiny-clip"
SHAPES = (
    "a red star",
    "a green circle",
    "a blue square",
    "an orange triangle",
    "a bar chart",
    "a page of printed text",
)


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "contrastive", tiny_clip=CLIP)))


def ops(plan: Plan) -> list[str]:
    return [step.op for step in plan.chosen.steps if isinstance(step, (Call, Transform))]


async def test_pictures_of_another_program_get_the_right_label_nine_times_in_ten(client: AsyncClient) -> None:
    drawn = [
        (world.shape(colour, what, ground), f"a {colour} {what}")
        for colour in ("red", "green", "blue", "purple")
        for what in world.SHAPES
        for ground in ("white", "black")
    ]
    labels = tuple(dict.fromkeys(label for _, label in drawn))
    assert len(labels) == 16
    right = 0
    for picture, label in drawn:
        answer = await client.ask("", picture.png, output=ScoresOutput(labels=labels))
        assert sum(answer.result.scores.values()) == pytest.approx(1.0)
        right += max(answer.result.scores, key=answer.result.scores.__getitem__) == label
    assert right / len(drawn) >= 0.9


async def test_no_text_is_read_from_a_photo_with_labels_and_the_verdict_names_the_model(client: AsyncClient) -> None:
    plan = await client.plan("", world.shape("red", "star").png, output=ScoresOutput(labels=SHAPES))
    assert ops(plan) == ["score"]
    assert plan.chosen.endpoint == TINY
    assert plan.verdict.value == "no_language_model"
    assert plan.verdict.instead == "contrastive model"
    assert plan.headline.startswith("a contrastive model is enough")


async def test_a_large_photograph_is_shrunk_before_the_model_and_its_vector_stays_the_same_to_a_thousandth(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As large as a phone's: a pattern of all sizes, as photographs have, with shapes on it."""
    from intermodal.executor.preparation import part_inputs

    chance = random.Random(5)
    large = Image.new("RGB", (4000, 3000))
    for cells in (4, 16, 64, 256):
        grain = Image.frombytes("RGB", (cells, cells), chance.randbytes(3 * cells * cells))
        large = ImageChops.add(large, grain.resize(large.size, Image.Resampling.BICUBIC), scale=1.4)
    ImageDraw.Draw(large).regular_polygon((2000, 1500, 900), 3, fill=(220, 30, 30))
    large.save(out := io.BytesIO(), "JPEG", quality=92)
    sizes: list[int] = []
    looked = client.runtimes.embed_image

    async def look(endpoint: Endpoint, png: bytes) -> ContrastiveResult:
        sizes.append(min(Image.open(io.BytesIO(png)).size))
        return await looked(endpoint, png)

    monkeypatch.setattr(client.runtimes, "embed_image", look)
    shrunk = (await client.ask("", out.getvalue(), output=EmbeddingOutput(), model=TINY)).result.embedding
    monkeypatch.setattr(part_inputs, "CONTRASTIVE_SIDE", 3000)
    whole = (await client.ask("", out.getvalue(), output=EmbeddingOutput(), model=TINY)).result.embedding
    assert sizes == [768, 3000]
    assert max(abs(a - b) for a, b in zip(shrunk, whole, strict=True)) < 1e-3
    assert shrunk != whole, "the second was made of all pixels"


async def test_words_lie_nearest_to_the_picture_they_say(client: AsyncClient) -> None:
    pictures = {
        "a red star": world.shape("red", "star").png, "a bar chart": world.chart("bar").png,
        "a page of printed text": world.page().png,
    }  # fmt: skip
    seen = {}
    for said, picture in pictures.items():
        seen[said] = (await client.ask("", picture, output=EmbeddingOutput(), model=TINY)).result.embedding
    for said in pictures:
        vector = (await client.ask(said, output=EmbeddingOutput(), model=TINY)).result.embedding
        near = {other: sum(a * b for a, b in zip(vector, seen[other], strict=True)) for other in seen}
        assert max(near, key=near.__getitem__) == said


async def test_a_text_that_is_cut_for_its_vector_is_said_to_be(client: AsyncClient) -> None:
    def cut(answer: Any) -> list[str]:
        return [note for note in answer.result.notes if "was cut" in note]

    long = await client.ask("a red star and a blue circle " * 40, output=EmbeddingOutput(), model=TINY)
    assert cut(long) == [f"the text is longer than {TINY} reads, and was cut"]
    assert not cut(await client.ask("a red star", output=EmbeddingOutput(), model=TINY))


async def test_a_picture_that_only_looks_like_print_is_compared_where_nothing_can_be_read(
    client: AsyncClient, tmp_path: Path
) -> None:
    """Bars look like lines of print from afar, so their words come first; where there are none, what it shows
    counts."""
    generator = spec_from_file_location("pictures", GENERATOR)
    assert generator is not None and generator.loader is not None
    pictures = module_from_spec(generator)
    generator.loader.exec_module(pictures)
    chance, chart = random.Random(7), tmp_path / "chart.png"
    *_, (image, _) = [pictures.picture(chance, "chart") for _ in range(3)]
    image.resize((300, 300)).save(chart)
    plan = await client.plan("", chart, output=ScoresOutput(labels=SHAPES))
    assert "read" in ops(plan) and plan.fallbacks[0].endpoint == TINY
    result = (await client.ask("", chart, output=ScoresOutput(labels=SHAPES))).result
    assert result.endpoint == TINY and set(result.scores) == set(SHAPES)
    assert any("was given no words: going on with the fallback" in note for note in result.notes)


async def test_a_film_is_labelled_by_its_frames(client: AsyncClient, tmp_path: Path) -> None:
    film = tmp_path / "shapes.mp4"
    _film(film, [world.shape("blue", "square"), world.shape("blue", "square", "black")])
    plan = await client.plan("", film, output=ScoresOutput(labels=SHAPES))
    assert ops(plan) == ["frames", "score"]
    answer = await client.ask("", film, output=ScoresOutput(labels=SHAPES))
    assert max(answer.result.scores, key=answer.result.scores.__getitem__) == "a blue square"


def _film(path: Path, scenes: list[Any]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 192
        stream.pix_fmt = "yuv420p"
        for scene in scenes:
            frame = av.VideoFrame.from_image(scene.image.convert("RGB"))
            for _ in range(30):
                for packet in stream.encode(frame):
                    container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def test_several_files_without_a_question_are_all_looked_at(tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        (tmp_path / f"{colour}.png").write_bytes(world.shape(colour, "star").png)
    ran = intermodal("ask", "--json", "--labels", "a red star,a blue star", *map(str, sorted(tmp_path.glob("*.png"))))
    assert ran.code == 0, ran.err
    scores = ran.document["scores"]
    assert scores["a red star"] == pytest.approx(0.5, abs=0.1)


def test_words_of_a_document_are_no_picture_to_be_labelled(media: Path) -> None:
    """What compares images tells what is shown, and not what is written."""
    ran = intermodal("explain", "--json", "--labels", "invoice,letter", str(media / "screenshot-invoice.png"))
    assert ran.code == 0, ran.err
    assert "multilingual-e5-small" in ran.document["plan"]["chosen"]["endpoint"]


def test_what_the_plan_says_of_scores_is_not_said_again_by_the_run(tmp_path: Path) -> None:
    (tmp_path / "star.png").write_bytes(world.shape("red", "star").png)
    ran = intermodal("ask", "--labels", "star,circle", str(tmp_path / "star.png"))
    assert ran.code == 0 and ran.err.count("one is high even where none fits") == 1, ran.err


# ---- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "onnx/vision_model.onnx").write_bytes(b"\x08\x07" + b"x" * 5_000), "ONNX"),
        (lambda f: cut(f / "onnx/text_model.onnx"), "is cut"),
        (lambda f: (f / "onnx/text_model.onnx").unlink(), "has no vision_model.onnx and text_model.onnx"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda f: (f / "config.json").write_text("[1]"), "config.json"),
        (lambda f: (f / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 900000}}'), "900000"),
    ],
    ids=["no onnx", "cut", "missing", "no tokenizer", "config is no table", "a side of 900,000 pixels"],
)
async def test_a_broken_folder_is_one_sentence_that_names_the_file(
    damage: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(CLIP, tmp_path)
    damage(folder)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "contrastive", tiny_clip=folder)))
    picture = tmp_path / "star.png"
    picture.write_bytes(world.shape("red", "star").png)
    ran = intermodal("ask", "--labels", "star,circle", str(picture))
    assert ran.code not in (0, 70), ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--output", "scores"), "labels"),
        (("--labels", "star"), "one label cannot be compared with others"),
        (("--labels", "star,star"), "the same"),
        (("--labels", ",".join(f"label {number}" for number in range(10_000))), "10,000 labels"),
    ],
    ids=["no labels", "one", "twice the same", "ten thousand"],
)
async def test_wrong_labels_are_refused_in_one_sentence(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    picture = tmp_path / "star.png"
    picture.write_bytes(world.shape("red", "star").png)
    ran = intermodal("ask", *arguments, str(picture))
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err) < 400


async def test_a_folder_that_is_not_there_is_said_by_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "contrastive", tiny_clip=tmp_path / "nowhere")))
    ran = intermodal("models", "--json", "--host", "mine")
    assert f"there is no {tmp_path / 'nowhere'}" in json.dumps(json.loads(ran.out))
