"""jina-clip in its published layout: halves for version 1, one file for version 2, and a preprocessor in open_clip's
words. The weights are random; what they have to make is worked out here with numpy and Pillow alone.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.onnx_bytes import INT64, model, node, tensor, value

from intermodal.errors import WeightsError
from intermodal.local.embedded.contrastive import ContrastiveModel

numpy = pytest.importorskip("numpy")
pytest.importorskip("onnxruntime")  # of the extra ``embedded``

SIDE, WIDTH = 16, 5
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PREPROCESSOR = {
    "image_processor_type": "JinaCLIPImageProcessor", "size": SIDE, "mean": list(MEAN), "std": list(STD),
    "resize_mode": "shortest", "interpolation": "bicubic", "fill_color": 0,
}  # fmt: skip
# The vocabularies of both versions: BERT's, in which 0 fills a text, and XLM-RoBERTa's, in which 1 does.
WORDS = {1: ("[PAD]", "[UNK]", "a", "red", "cat", "on", "the", "mat"), 2: ("<s>", "<pad>", "<unk>", "a", "red", "cat")}
PAD = {1: 0, 2: 1}
CAPTIONS = ["a red cat", "cat", "a " * 600]
PIXELS = value("pixel_values", "pictures", 3, SIDE, SIDE)
IDS = value("input_ids", "texts", "tokens", kind=INT64)


class Reference:
    """The two networks: a linear one of all pixels, and the mean of the vectors of all words that are no padding."""

    def __init__(self, version: int) -> None:
        chance = numpy.random.default_rng(version)
        self.version = version
        self.eyes = chance.standard_normal((3 * SIDE * SIDE, WIDTH)).astype("float32")
        self.words = chance.standard_normal((len(WORDS[version]), WIDTH)).astype("float32")

    def picture(self, image: Image.Image) -> Any:
        """As torchvision's ``Resize(SIDE, BICUBIC)``, ``CenterCrop(SIDE)``, ``ToTensor`` and ``Normalize`` do."""
        width, height = image.size
        if width <= height:
            resized = image.resize((SIDE, int(SIDE * height / width)), Image.Resampling.BICUBIC)
        else:
            resized = image.resize((int(SIDE * width / height), SIDE), Image.Resampling.BICUBIC)
        left, top = (round((side - SIDE) / 2.0) for side in resized.size)
        pixels = numpy.asarray(resized.crop((left, top, left + SIDE, top + SIDE)), dtype="float32") / 255
        pixels = ((pixels - numpy.float32(MEAN)) / numpy.float32(STD)).transpose(2, 0, 1)
        return unit(pixels.reshape(-1) @ self.eyes)

    def text(self, caption: str) -> Any:
        known = WORDS[self.version]
        ids = [known.index(word) for word in caption.split()][:512]
        return unit(self.words[ids].mean(axis=0))

    def write(self, place: Path) -> Path:
        from tokenizers import Tokenizer, models, pre_tokenizers

        names = WORDS[self.version]
        made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(names)}, unk_token=names[self.version]))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        (place / "onnx").mkdir(parents=True)
        made.save(str(place / "tokenizer.json"))
        (place / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
        config = {
            "model_type": "jina_clip", "logit_scale_init_value": 2.6592, "projection_dim": WIDTH,
            "text_config": {"embed_dim": WIDTH, "pooler_type": "mean_pooler"},
            "vision_config": {"embed_dim": WIDTH, "image_size": SIDE, "patch_size": 8},
        }  # fmt: skip
        (place / "config.json").write_text(json.dumps(config))
        onnx = place / "onnx"
        vision, text = self._vision(), self._text()
        seen = [value("image_embeddings", "pictures", WIDTH), value("l2norm_image_embeddings", "pictures", WIDTH)]
        said = [value("text_embeddings", "texts", WIDTH), value("l2norm_text_embeddings", "texts", WIDTH)]
        if self.version == 1:
            (onnx / "vision_model.onnx").write_bytes(model(vision[0], [PIXELS], seen[:1], vision[1]))
            (onnx / "text_model.onnx").write_bytes(model(text[0], [IDS], said[:1], text[1]))
        else:
            outputs = [said[0], seen[0], said[1], seen[1]]
            both = model([*text[0], *vision[0]], [IDS, PIXELS], outputs, [*text[1], *vision[1]])
            (onnx / "model_quantized.onnx").write_bytes(both)
        return place

    def _vision(self) -> tuple[list[bytes], list[bytes]]:
        nodes = [
            node("Flatten", ["pixel_values"], "flat", axis=1),
            node("MatMul", ["flat", "eyes"], "image_embeddings"),
            node("LpNormalization", ["image_embeddings"], "l2norm_image_embeddings", axis=1, p=2),
        ]
        return nodes, [tensor("eyes", self.eyes.shape, self.eyes.reshape(-1).tolist())]

    def _text(self) -> tuple[list[bytes], list[bytes]]:
        nodes = [
            node("Gather", ["words", "input_ids"], "found", axis=0),
            node("Cast", ["input_ids"], "numbers", to=1),
            node("Equal", ["numbers", "pad"], "padding"),
            node("Not", ["padding"], "real"),
            node("Cast", ["real"], "mask", to=1),
            node("Unsqueeze", ["mask"], "weights", axes=[2]),
            node("Mul", ["found", "weights"], "kept"),
            node("ReduceSum", ["kept"], "sum", axes=[1], keepdims=0),
            node("ReduceSum", ["weights"], "count", axes=[1], keepdims=0),
            node("Div", ["sum", "count"], "text_embeddings"),
            node("LpNormalization", ["text_embeddings"], "l2norm_text_embeddings", axis=1, p=2),
        ]
        weights = tensor("words", self.words.shape, self.words.reshape(-1).tolist())
        return nodes, [weights, tensor("pad", (), [float(PAD[self.version])])]


def unit(vector: Any) -> Any:
    return vector / numpy.linalg.norm(vector)


def pictures() -> list[Image.Image]:
    """Among them images of whose longer side an odd number of pixels is left over, where roundings differ."""
    chance = numpy.random.default_rng(7)
    sizes = ((40, 40), (33, 20), (20, 29), (37, 17), (23, 64))
    return [Image.fromarray(chance.integers(0, 256, (high, wide, 3), dtype="uint8")) for wide, high in sizes]


def png(image: Image.Image) -> bytes:
    image.save(out := io.BytesIO(), "PNG")
    return out.getvalue()


@pytest.mark.parametrize("version", [1, 2])
def test_vectors_are_those_of_the_published_preparation(version: int, tmp_path: Path) -> None:
    reference = Reference(version)
    ours = ContrastiveModel(reference.write(tmp_path / "jina"))
    for image in pictures():
        assert ours.embed_image(png(image))[0] == pytest.approx(reference.picture(image), abs=1e-4), image.size
    vectors, _, cut = ours.embed_texts(CAPTIONS)
    assert cut == 1  # at 512 tokens, not at the 77 of CLIP
    for caption, found in zip(CAPTIONS, vectors, strict=True):
        assert found == pytest.approx(reference.text(caption), abs=1e-4), caption


def test_the_scale_of_the_model_is_marked_as_assumed(tmp_path: Path) -> None:
    ours = ContrastiveModel(Reference(1).write(tmp_path / "jina"))
    assert (ours.loss, ours.scale, ours.assumed_scale) == ("softmax", 100.0, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"resize_mode": "longest"}, "resize_mode"), ({"mean": None}, "image_mean"), ({"size": 10**6}, "pixels")],
)
def test_a_preprocessor_that_is_not_known_is_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    place = Reference(2).write(tmp_path / "jina")
    (place / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | change))
    with pytest.raises(WeightsError, match=said):
        ContrastiveModel(place)
