"""Train a tiny encoder on generated texts, and write it as the hub keeps such models.

    python scripts/tiny_bert/train.py classifier FOLDER [--steps 600]
    python scripts/tiny_bert/train.py reranker FOLDER [--steps 900]

It needs torch, transformers, onnx and tokenizers, which nothing else here does. Both are transformers'
``BertForSequenceClassification`` of two layers: one tells the subject of a letter among four, the other says with one
number how well a passage answers a question. ``held_out.json`` beside the model has what it was never shown.

They prove the path. They know nothing but the generated world.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import warnings
from pathlib import Path

import torch
from texts import SUBJECTS, letter, search, words
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTEXT = 64
BATCH = 64
AMONG = 8  # passages of a question


def vocabulary() -> Tokenizer:
    """Words of the generated world, each a token; of others the letters."""
    pieces = [
        *"abcdefghijklmnopqrstuvwxyz0123456789",
        *(f"##{each}" for each in "abcdefghijklmnopqrstuvwxyz0123456789"),
    ]
    known = dict.fromkeys((*SPECIAL, *".,?!'-", *pieces, *words()))
    tokenizer = Tokenizer(models.WordPiece({each: n for n, each in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def encoded(tokenizer: Tokenizer, texts: list[str] | list[tuple[str, str]]) -> dict[str, Tensor]:
    rows = tokenizer.encode_batch(texts)
    most = min(CONTEXT, max(len(row.ids) for row in rows))
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    return {
        name: torch.tensor([(getattr(row, column) + [0] * most)[:most] for row in rows])
        for name, column in columns.items()
    }


def model_of(tokenizer: Tokenizer, labels: tuple[str, ...]) -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=CONTEXT, attn_implementation="eager", initializer_range=0.1,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=len(labels) or 1,
    )  # fmt: skip
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
        config.problem_type = "single_label_classification"
    return BertForSequenceClassification(config)


def loss_of(kind: str, model: nn.Module, tokenizer: Tokenizer, chance: random.Random) -> Tensor:
    if kind == "classifier":
        some = [letter(chance) for _ in range(BATCH)]
        logits = model(**encoded(tokenizer, [each.text for each in some])).logits
        return functional.cross_entropy(logits, torch.tensor([SUBJECTS.index(each.subject) for each in some]))
    asked = [search(chance, AMONG) for _ in range(BATCH // 2)]
    pairs = [(each.question, passage) for each in asked for passage in each.passages]
    logits = model(**encoded(tokenizer, pairs)).logits.view(-1, AMONG)
    right = torch.zeros_like(logits)
    right[:, 0] = 1.0
    weights = torch.where(right > 0, float(AMONG - 1), 1.0)
    by_pairs = functional.binary_cross_entropy_with_logits(logits, right, weight=weights)
    return by_pairs + functional.cross_entropy(logits, torch.zeros(len(asked), dtype=torch.long))


def train(kind: str, tokenizer: Tokenizer, steps: int, seed: int) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    chance = random.Random(seed)
    model = model_of(tokenizer, SUBJECTS if kind == "classifier" else ())
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-4, total_steps=steps, pct_start=0.1)
    began = time.monotonic()
    for step in range(steps):
        loss = loss_of(kind, model, tokenizer, chance)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"{step:5} loss {loss.item():.3f}  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return model.eval()


@torch.no_grad()
def held_out(kind: str, model: nn.Module, tokenizer: Tokenizer, count: int, seed: int) -> tuple[float, list[object]]:
    """How often it is right about what another seed makes, and what that was."""
    chance = random.Random(seed)
    right = 0
    shown: list[object] = []
    for _ in range(count):
        if kind == "classifier":
            text, subject = letter(chance)
            best = SUBJECTS[model(**encoded(tokenizer, [text])).logits[0].argmax().item()]
            right += best == subject
            shown.append({"text": text, "label": subject})
        else:
            asked = search(chance, AMONG)
            logits = model(**encoded(tokenizer, [(asked.question, each) for each in asked.passages])).logits[:, 0]
            right += logits.argmax().item() == 0
            shown.append({"question": asked.question, "passages": asked.passages})
    return right / count, shown


class Head(nn.Module):
    """The model as it is exported: tensors in, logits out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits


def write(folder: Path, model: BertForSequenceClassification, tokenizer: Tokenizer) -> None:
    """The files that a repository of such a model has."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    given = tuple(torch.ones(2, 8, dtype=torch.long) for _ in names)
    torch.onnx.export(
        Head(model), given, folder / "onnx" / "model.onnx", dynamo=False, input_names=names, output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "sequence"} for name in names}, opset_version=17,
    )  # fmt: skip
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {key: value for key, value in model.config.to_dict().items() if value is not None}
    config["architectures"] = ["BertForSequenceClassification"]
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("classifier", "reranker"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = vocabulary()
    steps = given.steps or (600 if given.kind == "classifier" else 900)
    model = train(given.kind, tokenizer, steps, given.seed)
    share, shown = held_out(given.kind, model, tokenizer, 1000, given.seed + 1_000_000)
    print(json.dumps({"kind": given.kind, "held out": share}))
    write(given.folder, model, tokenizer)
    (given.folder / "held_out.json").write_text(json.dumps(shown[:100], indent=1) + "\n")


if __name__ == "__main__":
    main()
