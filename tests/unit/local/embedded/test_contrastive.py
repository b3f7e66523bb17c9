"""Folders of contrastive models as the hub keeps them: which of their outputs are compared, and how."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from tests.onnx_bytes import INT64, model, node, tensor, value

from intermodal.errors import WeightsError
from intermodal.local.embedded.contrastive import ContrastiveModel

pytest.importorskip("onnxruntime")  # of the extra ``embedded``

SIDE, LENGTH = 8, 6
SCALE, BIAS = 21.0, -9.25
PIXELS, IDS = value("pixel_values", "batch", 3, SIDE, SIDE), value("input_ids", "batch", LENGTH, kind=INT64)
WORDS = ("<pad>", "<other>", "a", "photo", "of", "cat", "seven", "red", "stones", "in", "the", "rain")


def seen(out: str) -> list[bytes]:
    """The mean of each colour is the vector of an image."""
    return [node("ReduceMean", ["pixel_values"], out, axes=[2, 3], keepdims=0)]


def said(out: str) -> list[bytes]:
    return [node("Cast", ["input_ids"], "numbers", to=1), node("MatMul", ["numbers", "words"], out)]


WORD_WEIGHTS = tensor("words", (LENGTH, 3), [(7 * at) % 5 - 2 for at in range(3 * LENGTH)])


def vector(name: str) -> bytes:
    return value(name, "batch", 3)


def whole() -> bytes:
    nodes = [
        *seen("seen"), *said("said"),
        node("LpNormalization", ["seen"], "image_embeds", axis=1, p=2),
        node("LpNormalization", ["said"], "text_embeds", axis=1, p=2),
        node("Transpose", ["text_embeds"], "turned", perm=[1, 0]),
        node("MatMul", ["image_embeds", "turned"], "cosines"),
        node("Mul", ["cosines", "scale"], "scaled"),
        node("Add", ["scaled", "bias"], "logits_per_image"),
    ]  # fmt: skip
    outputs = [value("logits_per_image", "pictures", "texts"), vector("text_embeds"), vector("image_embeds")]
    weights = [WORD_WEIGHTS, tensor("scale", (), [SCALE]), tensor("bias", (), [BIAS])]
    return model(nodes, [IDS, PIXELS], outputs, weights)


def folder(place: Path, kind: str, out: tuple[str, str], **config: Any) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    (place / "onnx").mkdir(parents=True)
    (place / "onnx" / "vision_model.onnx").write_bytes(model(seen(out[0]), [PIXELS], [vector(out[0])]))
    (place / "onnx" / "text_model.onnx").write_bytes(model(said(out[1]), [IDS], [vector(out[1])], [WORD_WEIGHTS]))
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<other>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(place / "tokenizer.json"))
    told = {"model_type": kind, "text_config": {"max_position_embeddings": LENGTH, "pad_token_id": 0}, **config}
    (place / "config.json").write_text(json.dumps(told))
    preprocessor = {"size": {"height": SIDE, "width": SIDE}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (place / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return place


def png(colour: tuple[int, int, int] = (200, 30, 90)) -> bytes:
    from PIL import Image

    Image.new("RGB", (11, 9), colour).save(out := io.BytesIO(), "PNG")
    return out.getvalue()


def test_halves_of_siglip_take_scale_and_bias_of_the_whole_beside_them(tmp_path: Path) -> None:
    """As the hub has them: the halves say pooler_output, the whole says otherwise, the configuration says no number."""
    place = folder(tmp_path / "siglip", "siglip", ("pooler_output", "pooler_output"))
    (place / "onnx" / "model_quantized.onnx").write_bytes(whole())
    found = ContrastiveModel(place)
    assert found.loss == "sigmoid"
    assert (found.scale, found.bias) == pytest.approx((SCALE, BIAS), rel=1e-3)
    assert len(found.embed_image(png())[0]) == len(found.embed_texts(["a cat"])[0][0]) == 3


def test_the_whole_is_not_opened_where_the_configuration_says_both_numbers(tmp_path: Path) -> None:
    place = folder(tmp_path / "siglip", "siglip", ("pooler_output", "pooler_output"), logit_scale=3.0, logit_bias=-4.0)
    (place / "onnx" / "model.onnx").write_bytes(
        model([node("NoSuchOperator", ["x"], "y")], [value("x", 1)], [vector("y")])
    )
    assert ContrastiveModel(place).bias == -4.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resize_mode": "longest", "size": SIDE}, "resize_mode"),
        ({"resize_mode": "shortest"}, "a size of"),
        ({"interpolation": "lanczos", "size": SIDE}, "interpolation"),
        ({"image_mean": None}, "image_mean"),
        ({"image_std": [0.5, 0.5]}, "three numbers"),
    ],
)
def test_pixels_that_would_be_others_than_the_model_learned_from_are_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    place = folder(tmp_path / "clip", "clip", ("image_embeds", "text_embeds"))
    ContrastiveModel(place)
    path = place / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WeightsError, match=said):
        ContrastiveModel(place)


def test_nothing_is_needed_to_normalise_where_nothing_is_normalised(tmp_path: Path) -> None:
    place = folder(tmp_path / "clip", "clip", ("image_embeds", "text_embeds"))
    (place / "preprocessor_config.json").write_text(json.dumps({"size": SIDE, "do_normalize": False}))
    assert len(ContrastiveModel(place).embed_image(png())[0]) == 3


@pytest.mark.parametrize("name", ["pooler_output", "last_hidden_state"])
def test_a_clip_before_its_projection_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no vectors"):
        ContrastiveModel(folder(tmp_path / "clip", "clip", (name, "text_embeds")))
