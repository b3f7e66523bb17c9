"""Encoders in ONNX that are built here: masked words through the command line, and folders that say two things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.command import intermodal
from tests.e2e.onnx_folders import config
from tests.onnx_bytes import INT64, model, node, tensor, value

from intermodal.catalog.encoder_heads import encoder_head
from intermodal.errors import UsageError, WeightsError
from intermodal.local.embedded.encoder import EncoderModel

pytest.importorskip("onnxruntime")  # of the extra ``embedded``
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "film", "was", "good", "bad", "long")
MASK = 4
CHANCES = {"good": 3.0, "bad": 1.0}  # logits of words where one is masked


def masked(place: Path, **config: Any) -> Path:
    """A model that says the same of every mask: a table of logits by token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    place.mkdir()
    count = len(WORDS)
    logits = [0.0] * (count * count)
    for word, logit in CHANCES.items():
        logits[MASK * count + WORDS.index(word)] = logit
    ids = value("input_ids", "batch", "tokens", kind=INT64)
    nodes = [node("Gather", ["table", "input_ids"], "logits", axis=0)]
    out = [value("logits", "batch", "tokens", count)]
    (place / "model.onnx").write_bytes(model(nodes, [ids], out, [tensor("table", (count, count), logits)]))
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(place / "tokenizer.json"))
    told = {"architectures": ["BertForMaskedLM"], "max_position_embeddings": 16, "pad_token_id": 0, **config}
    (place / "config.json").write_text(json.dumps(told))
    return place


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with such a model."""
    folder = masked(tmp_path / "film")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "encoder", film=folder)))
    return folder


def test_the_word_that_is_masked_is_chosen_among_those_that_are_given(film: Path) -> None:
    ran = intermodal("ask", "--json", "--model", "film", "--labels", "bad,good", "the film was [MASK]")
    assert ran.code == 0, ran.err
    assert ran.document["label"] == "good"
    scores = ran.document["scores"]
    assert list(scores) == ["bad", "good"]
    assert scores["good"] / scores["bad"] == pytest.approx(2.71828**2, rel=1e-3)
    assert sum(scores.values()) < 1, "other words have the rest"


def test_without_words_the_likeliest_are_shown(film: Path) -> None:
    ran = intermodal("ask", "--output", "scores", "--model", "film", "the film was [MASK]")
    assert ran.code == 0, ran.err
    assert [line.split()[1] for line in ran.out.splitlines()[:2]] == ["good", "bad"]
    assert len(ran.out.splitlines()) == 6, "marks such as [PAD] are no words"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "text", "said"),
    [
        ("good,bad", "the film was good", "has no mask"),
        ("good,bad", "[MASK] [MASK]", "has 2 masks"),
        ("good,not so good", "the film was [MASK]", "'not so good' is more than one token"),
    ],
)
def test_what_is_no_question_for_such_a_model_is_one_sentence(film: Path, labels: str, text: str, said: str) -> None:
    ran = intermodal("ask", "--model", "film", "--labels", labels, text)
    assert ran.code not in (0, 1), ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_model_of_masked_words_is_asked_by_its_name_alone(film: Path) -> None:
    ran = intermodal("explain", "--labels", "good,bad", "the film was [MASK]")
    assert ran.code == 0, ran.err
    assert "says which word is masked: for that, name it (--model)" in " ".join(ran.out.split())


def test_a_head_is_asked_for_what_it_makes_and_for_nothing_else(tmp_path: Path) -> None:
    encoder = EncoderModel(masked(tmp_path / "film"))
    with pytest.raises(Exception, match="has no labels"):
        encoder.classify("the film")
    with pytest.raises(UsageError, match="has no mask"):
        encoder.fill("the film", [])


def test_an_input_that_nobody_gives_is_named(tmp_path: Path) -> None:
    place = masked(tmp_path / "film")
    ids = value("input_ids", "batch", "tokens", kind=INT64)
    more = value("pixel_values", "batch", 3)
    nodes = [node("Gather", ["table", "input_ids"], "logits", axis=0), node("Identity", ["pixel_values"], "other")]
    out = [value("logits", "batch", "tokens", 2)]
    (place / "model.onnx").write_bytes(model(nodes, [ids, more], out, [tensor("table", (2, 2), [0.0] * 4)]))
    with pytest.raises(WeightsError, match="requires the input pixel_values, which is not provided"):
        EncoderModel(place)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "names no architecture"),
        ({"architectures": "BertModel"}, "names no architecture"),
        ({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "2": "b"}}, "missing"),
        ({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "A"}}, "duplicate labels"),
        (
            {
                "architectures": ["BertForSequenceClassification"],
                "id2label": {str(n): f"label {n}" for n in range(20_000)},
            },
            "20,000 labels",
        ),
    ],
)
def test_a_configuration_that_says_no_head_says_why(config: dict[str, Any], said: str) -> None:
    head = encoder_head(config)
    assert head.kind == ""
    assert said in head.why
