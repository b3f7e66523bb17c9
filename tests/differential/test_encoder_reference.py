"""Encoders with a head as transformers has them: the same random weights give the same scores.

It needs torch, transformers and onnx, which nothing else here does (the group ``contrastive`` of pyproject.toml); where
they are not there it is skipped. Models are exported by torch with the inputs that optimum gives each kind.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from intermodal.catalog.encoder_heads import HYPOTHESIS
from intermodal.local.embedded.encoder import EncoderModel

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnx")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
WORDS = ["the", "parcel", "is", "late", "good", "bad", "lamp", "a", "week", "who", "leads", "oslo", "##s", "##ed"]
TEXTS = ("the parcel is late", "good lamp", "the the the bad week is late a lamp parcels leaded oslo")
SMALL = {
    "vocab_size": len(WORDS) + 5, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "attn_implementation": "eager",
}  # fmt: skip
CLOSE = 1e-4


def bert(**more: Any) -> Any:
    config = transformers.BertConfig(**SMALL, max_position_embeddings=32, pad_token_id=0, **more)
    return config, ("input_ids", "attention_mask", "token_type_ids")


def distilbert(**more: Any) -> Any:
    config = transformers.DistilBertConfig(
        vocab_size=len(WORDS) + 5, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=32,
        attn_implementation="eager", pad_token_id=0, **more,
    )  # fmt: skip
    return config, ("input_ids", "attention_mask")


def xlm_roberta(**more: Any) -> Any:
    config = transformers.XLMRobertaConfig(
        **SMALL, max_position_embeddings=34, pad_token_id=0, type_vocab_size=1, **more
    )
    return config, ("input_ids", "attention_mask")


def bart(**more: Any) -> Any:
    config = transformers.BartConfig(
        vocab_size=len(WORDS) + 5, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=32, pad_token_id=0,
        bos_token_id=2, eos_token_id=3, decoder_start_token_id=3, attn_implementation="eager", **more,
    )  # fmt: skip
    return config, ("input_ids", "attention_mask")


class Head(torch.nn.Module):
    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *given: Any) -> Any:
        return self.model(**dict(zip(self.names, given, strict=True))).logits


def write(folder: Path, config: Any, names: tuple[str, ...], auto: Any) -> Any:
    """A model with random weights in a folder as optimum exports it; the model."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(21)
    model = auto.from_config(config).eval()
    for parameter in model.parameters():  # fresh ones are so small that every score is the same
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    known = {word: number for number, word in enumerate((*special, *WORDS))}
    made = Tokenizer(models.WordPiece(known, unk_token="[UNK]"))
    made.add_special_tokens(list(special))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(folder / "tokenizer.json"))
    said = {**config.to_dict(), "architectures": [type(model).__name__]}
    (folder / "config.json").write_text(json.dumps(said, default=str))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Head(model, names).eval(), _example(names), folder / "model.onnx",
            dynamo=False, opset_version=17, input_names=list(names), output_names=["logits"],
            dynamic_axes={name: {0: "batch_size", 1: "sequence_length"} for name in names},
        )  # fmt: skip
    return model


def _example(names: tuple[str, ...]) -> tuple[Any, ...]:
    """Inputs to trace with: two texts that end as BART's have to."""
    made = {name: torch.ones(2, 8, dtype=torch.long) for name in names}
    made["input_ids"][:, -1] = 3
    return tuple(made.values())


def expected(model: Any, names: tuple[str, ...], folder: Path, texts: Any) -> Any:
    """Logits of the reference for each text by itself, without padding."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    found = []
    for text in texts:
        row = made.encode(*text) if isinstance(text, tuple) else made.encode(text)
        given = {name: torch.tensor([getattr(row, columns[name])]) for name in names}
        with torch.no_grad():
            found.append(model(**given).logits[0])
    return torch.stack(found)


KINDS = pytest.mark.parametrize("make", [bert, distilbert, xlm_roberta], ids=["Bert", "DistilBert", "XLMRoberta"])


@KINDS
@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
def test_scores_of_labels_are_those_of_the_reference(make: Any, problem: str, tmp_path: Path) -> None:
    config, names = make(num_labels=3, problem_type=problem)
    model = write(tmp_path, config, names, transformers.AutoModelForSequenceClassification)
    ours = EncoderModel(tmp_path)
    assert ours.most == 32
    logits = expected(model, names, tmp_path, TEXTS)
    wanted = torch.sigmoid(logits) if problem.startswith("multi") else logits.softmax(-1)
    assert float(wanted.std()) > 0.05
    for text, scores in zip(TEXTS, wanted, strict=True):
        assert ours.classify(text)["scores"] == pytest.approx(scores.tolist(), abs=CLOSE)


@KINDS
def test_scores_of_passages_are_those_of_the_reference_whatever_lies_beside_them(make: Any, tmp_path: Path) -> None:
    config, names = make(num_labels=1)
    model = write(tmp_path, config, names, transformers.AutoModelForSequenceClassification)
    query, passages = "who leads oslo", [*TEXTS, "oslo"]
    wanted = torch.sigmoid(expected(model, names, tmp_path, [(query, each) for each in passages])[:, 0])
    assert float(wanted.std()) > 0.01
    assert EncoderModel(tmp_path).rank(query, passages)["scores"] == pytest.approx(wanted.tolist(), abs=CLOSE)


@pytest.mark.parametrize("make", [bert, xlm_roberta, bart], ids=["Bert", "XLMRoberta", "Bart"])
@pytest.mark.parametrize(
    "names", [("contradiction", "neutral", "entailment"), ("entailment", "not_entailment")], ids=["three", "two"]
)
def test_labels_by_entailment_are_those_of_the_reference_s_pipeline(
    make: Any, names: tuple[str, ...], tmp_path: Path
) -> None:
    said = {"id2label": dict(enumerate(names)), "label2id": {name: at for at, name in enumerate(names)}}
    config, inputs = make(num_labels=len(names), **said)
    model = write(tmp_path, config, inputs, transformers.AutoModelForSequenceClassification)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json"), pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=list(inputs), model_max_length=32,
    )  # fmt: skip
    reference = transformers.pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
    ours, found = EncoderModel(tmp_path), list[float]()
    for text in ("the parcel is late", "good lamp"):
        for labels in (["late", "good", "bad"], ["lamp"]):
            wanted = reference(text, labels)
            told = ours.entail(text, [HYPOTHESIS.format(label) for label in labels])
            scores = dict(zip(labels, told["scores"], strict=True))
            assert scores == pytest.approx(dict(zip(wanted["labels"], wanted["scores"], strict=True)), abs=CLOSE)
            found += told["scores"]
            wanted = reference(text, labels, multi_label=True)
            told = ours.entail(text, [HYPOTHESIS.format(label) for label in labels], independent=True)
            scores = dict(zip(labels, told["scores"], strict=True))
            assert scores == pytest.approx(dict(zip(wanted["labels"], wanted["scores"], strict=True)), abs=CLOSE)
    assert max(found) - min(found) > 0.05


def test_chances_of_masked_words_are_those_of_the_reference(tmp_path: Path) -> None:
    config, names = bert()
    model = write(tmp_path, config, names, transformers.AutoModelForMaskedLM)
    text = "the parcel is [MASK]"
    chances = expected(model, names, tmp_path, [text])[0][4].softmax(-1)  # [CLS] comes first
    found = EncoderModel(tmp_path).fill(text, ["late", "good", "lamp"])
    ids = [5 + WORDS.index(word) for word in ("late", "good", "lamp")]
    assert found["scores"] == pytest.approx(chances[ids].tolist(), abs=CLOSE)
    best = EncoderModel(tmp_path).fill(text, [])
    assert best["scores"][0] == pytest.approx(float(chances[5:].max()), abs=CLOSE), "marks are no words"
