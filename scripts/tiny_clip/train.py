"""Train the tiny contrastive model on generated pictures and captions, and write it as the hub keeps such models.

    python scripts/tiny_clip/train.py FOLDER [--steps 1500]

It needs torch, onnx and tokenizers, which nothing else here does. A convolutional encoder of pictures of 64 x 64
pixels and a small transformer of words learn one space of 64 numbers, by the loss of CLIP. A caption holds for every
picture of which it is true, so a row has as many right answers as the batch has of them, and not one.

It proves the path, from a picture and labels to scores that depend on both. It knows nothing but the generated world.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import sys
import time
import warnings
from pathlib import Path

import torch
from pictures import CHARTS, COLOURS, GROUNDS, NUMBERS, SHAPES, Truth, caption, holds, picture, words
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional

SIDE, WIDTH, SPACE, TOKENS = 64, 64, 64, 24
MEAN, SPREAD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
BATCH = 96
TEMPLATES = ("a photo of {}.", "a picture of {}.", "{}", "{}.", "the picture shows {}.", "a photo of a {}.")
SPECIAL = ("<|startoftext|>", "<|endoftext|>", "<|unknown|>")


class Vision(nn.Module):
    """Pixels to a vector."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        layers: list[nn.Module] = []
        for inward, outward in itertools.pairwise(widths):
            layers += [nn.Conv2d(inward, outward, 3, 2, 1), nn.BatchNorm2d(outward), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(128 * 16, SPACE)

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.head(self.body(pixel_values).flatten(1))


class Words(nn.Module):
    """Tokens to a vector: the state of the token that ends the text, as in CLIP."""

    def __init__(self, vocabulary: int, end: int) -> None:
        super().__init__()
        self.end = end
        self.tokens = nn.Embedding(vocabulary, WIDTH)
        self.places = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        self.query = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.wide = nn.ModuleList(nn.Linear(WIDTH, 2 * WIDTH) for _ in range(2))
        self.narrow = nn.ModuleList(nn.Linear(2 * WIDTH, WIDTH) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(5))
        self.head = nn.Linear(WIDTH, SPACE)

    def forward(self, input_ids: Tensor) -> Tensor:
        state = self.tokens(input_ids) + self.places[: input_ids.shape[1]]
        first = (input_ids == self.end).int().argmax(1)
        length = input_ids.shape[1]
        later = torch.arange(length)[None, :] > first[:, None]  # padding is looked at by nobody
        for layer in range(2):
            q, k, v = self.query[layer](self.norms[2 * layer](state)).chunk(3, -1)
            weights = (q @ k.transpose(1, 2)) / math.sqrt(WIDTH)
            weights = weights.masked_fill(later[:, None, :], -1e4).softmax(-1)
            state = state + self.out[layer](weights @ v)
            state = state + self.narrow[layer](functional.gelu(self.wide[layer](self.norms[2 * layer + 1](state))))
        ended = self.norms[4](state)[torch.arange(input_ids.shape[0]), first]
        return self.head(ended)


def vocabulary() -> Tokenizer:
    """Words of the generated world, each a token; others are one and the same."""
    said = set(" ".join(TEMPLATES).replace("{}", " ").replace(".", " . ").split())
    said |= set(COLOURS) | set(GROUNDS) | set(NUMBERS.values()) | set(CHARTS)
    said |= {each + end for each in SHAPES for end in ("", "s")}
    said |= {"an", "on", "background", "chart", "with", "rising", "falling", "values"}
    said |= {"page", "printed", "text", "one", "shape"}
    known = {word: number for number, word in enumerate((*SPECIAL, *sorted(said)))}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token=SPECIAL[2]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[0]} $A {SPECIAL[1]}", special_tokens=[(SPECIAL[0], 0), (SPECIAL[1], 1)]
    )
    return tokenizer


def pixels(image: Image.Image) -> Tensor:
    """A picture as the model takes it: what preprocessor_config.json says."""
    data = torch.frombuffer(
        bytearray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).tobytes()), dtype=torch.uint8
    )
    return (data.view(SIDE, SIDE, 3).permute(2, 0, 1).float() / 255 - 0.5) / 0.5


def encoded(tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    rows = [tokenizer.encode(text).ids[:TOKENS] for text in texts]
    most = max(map(len, rows))
    return torch.tensor([row + [1] * (most - len(row)) for row in rows])


def batch(chance: random.Random, tokenizer: Tokenizer) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, tokens of captions, and which caption holds for which picture."""
    images, truths, said, texts = [], [], [], []
    for _ in range(BATCH):
        image, truth = picture(chance)
        text, claim = caption(truth, chance)
        template = chance.choice(TEMPLATES)
        bare = text.removeprefix("a ").removeprefix("an ") if template.endswith("a {}.") else text
        images.append(pixels(image))
        truths.append(truth)
        said.append(claim)
        texts.append(template.format(bare))
    right = torch.tensor([[float(holds(claim, truth)) for claim in said] for truth in truths])
    return torch.stack(images), encoded(tokenizer, texts), right


def train(tokenizer: Tokenizer, steps: int, seed: int) -> tuple[Vision, Words, nn.Parameter]:
    torch.manual_seed(seed)
    chance = random.Random(seed)
    vision, text = Vision(), Words(tokenizer.get_vocab_size(), 1)
    scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    parameters = [*vision.parameters(), *text.parameters(), scale]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    began = time.monotonic()
    for step in range(steps):
        images, tokens, right = batch(chance, tokenizer)
        seen = functional.normalize(vision(images), dim=-1)
        read = functional.normalize(text(tokens), dim=-1)
        logits = scale.exp().clamp(max=100.0) * seen @ read.T
        rows = right / right.sum(1, keepdim=True)
        columns = (right / right.sum(0, keepdim=True)).T
        loss = (functional.cross_entropy(logits, rows) + functional.cross_entropy(logits.T, columns)) / 2
        floor = -(rows * rows.clamp(min=1e-9).log()).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"{step:5} loss {loss.item():.3f} (at best about {floor.item():.3f}) scale {scale.exp().item():.1f} "
                  f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)  # fmt: skip
    return vision.eval(), text.eval(), scale


def choices(truth: Truth) -> list[str]:
    """The labels among which the right one is to be found; the right one is first."""
    right = words(truth)
    kind = truth["kind"]
    if kind in ("shape", "shapes"):
        others = [{**truth, "shape": each} for each in SHAPES if each != truth["shape"]] + [
            {**truth, "colour": each} for each in COLOURS if each not in (truth["colour"], truth["ground"])
        ]
    else:
        others = [{"kind": "chart", "chart": each} for each in CHARTS]
        others += [
            {"kind": "chart", "chart": each, "trend": way} for each in ("bar", "line") for way in ("rising", "falling")
        ]
        others += [{"kind": "page"}]
        others = [each for each in others if not holds(each, truth)]
    return [right, *map(words, others)]


@torch.no_grad()
def accuracy(vision: Vision, text: Words, tokenizer: Tokenizer, count: int, seed: int) -> dict[str, float]:
    """Of pictures that training never drew: how often the right label has the highest score, by kind of picture."""
    chance = random.Random(seed)
    right: dict[str, list[bool]] = {}
    for _ in range(count):
        image, truth = picture(chance)
        labels = [f"a photo of {label}." for label in choices(truth)]
        seen = functional.normalize(vision(pixels(image)[None]), dim=-1)
        read = functional.normalize(text(encoded(tokenizer, labels)), dim=-1)
        right.setdefault(truth["kind"], []).append(bool((seen @ read.T).argmax().item() == 0))
    everything = [each for found in right.values() for each in found]
    found = {kind: sum(each) / len(each) for kind, each in sorted(right.items())}
    return {**found, "all": sum(everything) / len(everything)}


def write(folder: Path, vision: Vision, text: Words, scale: float, tokenizer: Tokenizer) -> None:
    """The files that a repository of such a model has."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    torch.onnx.export(
        vision, (torch.zeros(2, 3, SIDE, SIDE),), folder / "onnx" / "vision_model.onnx", dynamo=False,
        input_names=["pixel_values"], output_names=["image_embeds"], dynamic_axes={"pixel_values": {0: "batch"}},
        opset_version=17,
    )  # fmt: skip
    torch.onnx.export(
        text, (torch.ones(2, 8, dtype=torch.long),), folder / "onnx" / "text_model.onnx", dynamo=False,
        input_names=["input_ids"], output_names=["text_embeds"], opset_version=17,
        dynamic_axes={"input_ids": {0: "batch", 1: "tokens"}},
    )  # fmt: skip
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "clip", "architectures": ["CLIPModel"], "projection_dim": SPACE,
        "logit_scale": math.log(scale),
        "text_config": {"max_position_embeddings": TOKENS, "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1},
        "vision_config": {"image_size": SIDE},
    }  # fmt: skip
    preprocessor = {
        "do_resize": True, "size": {"height": SIDE, "width": SIDE}, "resample": 3, "do_center_crop": False,
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": MEAN, "image_std": SPREAD,
        "do_convert_rgb": True,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = vocabulary()
    vision, text, scale = train(tokenizer, given.steps, given.seed)
    found = accuracy(vision, text, tokenizer, 1000, given.seed + 1_000_000)
    print(json.dumps({kind: round(value, 3) for kind, value in found.items()}))
    write(given.folder, vision, text, min(100.0, scale.exp().item()), tokenizer)


if __name__ == "__main__":
    main()
