"""Contrastive models as transformers has them: the same random weights give the same vectors and the same scores.

It needs torch, transformers and onnx, which nothing else here does (the group ``contrastive`` of pyproject.toml); where
they are not there it is skipped. Models are exported by torch in the layouts of the hub: two files, or one of both.
"""

from __future__ import annotations

import io
import json
import math
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from intermodal.executor.drivers.interface import ContrastiveScale
from intermodal.executor.outputs.scores import pair_scores
from intermodal.local.embedded.contrastive import ContrastiveModel

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnx")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(600),
]
WORDS = ["a", "photo", "of", "red", "blue", "star", "circle", "cat", "dog", "on", "the", "table", "two", "three"]
CAPTIONS = ("a photo of a cat", "two red star on the table", "dog", "a blue circle " * 20)
SIZES = ((64, 64), (301, 47), (33, 200), (20, 18), (640, 480))
CLOSE = 1e-4
TEXT = {
    "vocab_size": len(WORDS) + 3, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "pad_token_id": 1, "eos_token_id": 1,
}  # fmt: skip
VISION = {
    "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 48, "patch_size": 16,
}  # fmt: skip


def pictures() -> list[Image.Image]:
    chance, found = random.Random(3), []
    for width, height in SIZES:
        image = Image.new("RGB", (width, height), tuple(chance.randrange(256) for _ in range(3)))
        draw = ImageDraw.Draw(image)
        for _ in range(6):
            x, y = chance.randrange(width), chance.randrange(height)
            draw.ellipse((x, y, x + width // 3, y + height // 3), fill=tuple(chance.randrange(256) for _ in range(3)))
        found.append(image)
    return found


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def tokenizer(folder: Path, *, begins: bool) -> None:
    """Words, each a token. 0 begins a text where the model wants that, 1 ends and fills it, 2 is any other word."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = ("<begin>", "<end>", "<other>", *WORDS)
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(names)}, unk_token="<other>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    single = "<begin> $A <end>" if begins else "$A <end>"
    made.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<begin>", 0), ("<end>", 1)])
    made.save(str(folder / "tokenizer.json"))


def encoded(folder: Path, texts: tuple[str, ...], most: int, *, fill: bool) -> Any:
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.enable_truncation(most)
    made.enable_padding(pad_id=1, pad_token="<end>", length=most if fill else None)
    return torch.tensor([row.ids for row in made.encode_batch(list(texts))])


def by_pillow(name: str) -> Any:
    """The processor that resizes by Pillow, as the models were trained with; that of torchvision rounds some pixels
    otherwise, by one of 256 levels."""
    return getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)


def write(folder: Path, config: Any, processor: Any, *, begins: bool) -> None:
    """The files beside the weights."""
    tokenizer(folder, begins=begins)
    (folder / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    processor.save_pretrained(folder)


def clip(folder: Path) -> tuple[Any, Any]:
    config = transformers.CLIPConfig(
        text_config={**TEXT, "max_position_embeddings": 24, "bos_token_id": 0},
        vision_config={**VISION, "hidden_size": 48},
        projection_dim=40,
    )
    torch.manual_seed(11)
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        model.logit_scale.fill_(math.log(37.5))
    processor = by_pillow("CLIPImageProcessor")(
        size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}, resample=3
    )
    write(folder, config, processor, begins=True)
    return model, processor


def siglip(folder: Path) -> tuple[Any, Any]:
    config = transformers.SiglipConfig(
        text_config={**TEXT, "max_position_embeddings": 16, "projection_size": 32},
        vision_config={**VISION, "hidden_size": 32},
    )
    torch.manual_seed(12)
    model = transformers.SiglipModel(config).eval()
    with torch.no_grad():
        model.logit_scale.fill_(math.log(21.0))
        model.logit_bias.fill_(-9.25)
    processor = by_pillow("SiglipImageProcessor")(size={"height": 48, "width": 48}, resample=3)
    write(folder, config, processor, begins=False)
    return model, processor


class Whole(torch.nn.Module):
    def __init__(self, model: Any, *outputs: str) -> None:
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(self, input_ids: Any, pixel_values: Any) -> Any:
        made = self.model(input_ids=input_ids, pixel_values=pixel_values)
        return tuple(getattr(made, name) for name in self.outputs)


class Side(torch.nn.Module):
    """One of the two towers with its projection, before its vector is made to have length 1."""

    def __init__(self, model: Any, which: str) -> None:
        super().__init__()
        self.model, self.which = model, which

    def forward(self, given: Any) -> Any:
        if self.which == "vision":
            pooled = self.model.vision_model(pixel_values=given).pooler_output
            return self.model.visual_projection(pooled) if hasattr(self.model, "visual_projection") else pooled
        pooled = self.model.text_model(input_ids=given).pooler_output
        return self.model.text_projection(pooled) if hasattr(self.model, "text_projection") else pooled


def export(model: Any, folder: Path, layout: str, ids: Any, pixels: Any) -> None:
    (folder / "onnx").mkdir(exist_ok=True)
    axes = {"input_ids": {0: "texts", 1: "tokens"}, "pixel_values": {0: "pictures"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if layout == "one file":
            names = ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"]
            torch.onnx.export(
                Whole(model, *names), (ids, pixels), folder / "onnx" / "model.onnx", dynamo=False, opset_version=17,
                input_names=["input_ids", "pixel_values"], output_names=names, dynamic_axes=axes,
            )  # fmt: skip
            return
        for which, given, name, out in (
            ("vision", pixels, "pixel_values", "image_embeds"), ("text", ids, "input_ids", "text_embeds"),
        ):  # fmt: skip
            torch.onnx.export(
                Side(model, which), (given,), folder / "onnx" / f"{which}_model.onnx", dynamo=False, opset_version=17,
                input_names=[name], output_names=[out], dynamic_axes={name: axes[name]},
            )  # fmt: skip


@pytest.mark.parametrize("layout", ["one file", "two files"])
@pytest.mark.parametrize("make", [clip, siglip], ids=["CLIPModel", "SiglipModel"])
def test_vectors_and_scores_are_those_of_the_reference(make: Any, layout: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    model, processor = make(folder)
    sigmoid = make is siglip
    images = pictures()
    pixels = processor(images=images, return_tensors="pt")["pixel_values"]
    ids = encoded(folder, CAPTIONS, 16 if sigmoid else 24, fill=sigmoid)
    export(model, folder, layout, ids, pixels)
    if layout == "two files":  # nothing in two towers says how they are compared
        config = json.loads((folder / "config.json").read_text())
        config |= {"logit_scale": model.logit_scale.item()}
        config |= {"logit_bias": model.logit_bias.item()} if sigmoid else {}
        (folder / "config.json").write_text(json.dumps(config))
    with torch.no_grad():
        expected = model(input_ids=ids, pixel_values=pixels)

    ours = ContrastiveModel(folder)
    said, _, cut = ours.embed_texts(list(CAPTIONS))
    assert cut == 1
    assert torch.allclose(torch.tensor(said, dtype=torch.float64), expected.text_embeds.double(), atol=CLOSE)
    matching = ContrastiveScale(loss=ours.loss, scale=ours.scale, bias=ours.bias)
    logits = expected.logits_per_image.double()
    probabilities = torch.sigmoid(logits) if sigmoid else logits.softmax(-1)
    for place, image in enumerate(images):
        seen, _ = ours.embed_image(png(image))
        assert torch.allclose(
            torch.tensor(seen, dtype=torch.float64), expected.image_embeds[place].double(), atol=CLOSE
        ), image.size
        assert pair_scores(seen, said, matching) == pytest.approx(probabilities[place].tolist(), abs=1e-3)
