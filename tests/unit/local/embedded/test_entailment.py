"""Labels of a text by entailment: a head trained for inference between two texts, as transformers' pipeline uses it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.command import intermodal
from tests.e2e.onnx_folders import config
from tests.onnx_bytes import INT64, model, node, tensor, value

from intermodal.catalog.encoder_heads import encoder_head
from intermodal.local.embedded.encoder import EncoderModel

pytest.importorskip("onnxruntime")  # of the extra ``embedded``
WORDS = (
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "this", "example", "is", ".", "the", "lamp", "broke", "praise", "complaint",
)  # fmt: skip
INFERENCE = {"0": "contradiction", "1": "neutral", "2": "entailment"}
LOGITS = {"broke": (1.0, 0.0, 2.0), "praise": (9.0, 0.0, -6.0), "complaint": (-7.0, 1.0, 8.0), "lamp": (0.5, 0.5, 0.5)}


def entailing(place: Path, labels: dict[str, str], **more: Any) -> Path:
    """A model whose logits are the mean of those of its tokens, from a table."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    place.mkdir()
    count = len(labels)
    table = [number for word in WORDS for number in LOGITS.get(word, (0.0, 0.0, 0.0))[3 - count :]]
    ids = value("input_ids", "batch", "tokens", kind=INT64)
    nodes = [
        node("Gather", ["table", "input_ids"], "each", axis=0),
        node("ReduceMean", ["each"], "logits", axes=[1], keepdims=0),
    ]
    out = [value("logits", "batch", count)]
    (place / "model.onnx").write_bytes(model(nodes, [ids], out, [tensor("table", (len(WORDS), count), table)]))
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.normalizer = normalizers.Lowercase()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(place / "tokenizer.json"))
    told = {"architectures": ["BertForSequenceClassification"], "id2label": labels, "max_position_embeddings": 32}
    (place / "config.json").write_text(json.dumps(told | more))
    return place


def logit(words: str, column: int) -> float:
    """The mean over the tokens of a pair, its three marks included."""
    found = words.lower().replace(".", " .").split()
    return sum(LOGITS.get(word, (0.0, 0.0, 0.0))[column] for word in found) / (len(found) + 3)


def test_a_head_of_entailment_is_told_from_one_of_subjects() -> None:
    told = {"architectures": ["BartForSequenceClassification"]}
    assert encoder_head(told | {"id2label": INFERENCE}).task == "zero-shot-classification"
    assert encoder_head(told | {"id2label": INFERENCE}).entailment == (0, 2)
    assert encoder_head(told | {"id2label": {"0": "ENTAILMENT", "1": "not_entailment"}}).entailment == (-1, 0)
    assert encoder_head(told | {"id2label": {"0": "sport", "1": "politics"}}).kind == "labels"


def test_labels_are_scored_by_how_well_the_text_entails_each_beside_the_others(tmp_path: Path) -> None:
    found = EncoderModel(entailing(tmp_path / "nli", INFERENCE)).entail(
        "the lamp broke", ["This example is praise.", "This example is complaint."]
    )
    each = [logit(f"the lamp broke this example is {label} .", 2) for label in ("praise", "complaint")]
    powers = [math.exp(number) for number in each]
    assert found["scores"] == pytest.approx([power / sum(powers) for power in powers], abs=1e-6)
    assert found["windows"] == 1 and found["cut"] == 0


def test_a_single_label_is_entailment_against_contradiction(tmp_path: Path) -> None:
    found = EncoderModel(entailing(tmp_path / "nli", INFERENCE)).entail("the lamp", ["This example is complaint."])
    against, entails = (logit("the lamp this example is complaint .", column) for column in (0, 2))
    assert found["scores"] == pytest.approx([1 / (1 + math.exp(against - entails))], abs=1e-6)


def test_of_a_text_longer_than_the_model_reads_each_window_counts_and_the_label_stands_in_all(tmp_path: Path) -> None:
    model_ = EncoderModel(entailing(tmp_path / "nli", INFERENCE))
    long = model_.entail("the lamp broke " * 30, ["This example is praise.", "This example is complaint."])
    assert long["windows"] > 2 and long["cut"] == 0
    assert long["scores"][1] > 0.5 and sum(long["scores"]) == pytest.approx(1)
    assert model_.entail("the " * 100_000, ["This example is praise."])["cut"] == 1


@pytest.fixture
def inference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = entailing(tmp_path / "nli", INFERENCE)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "encoder", nli=folder)))
    return folder


@pytest.mark.slow
def test_any_labels_are_scored_by_it_on_the_command_line_and_the_plan_counts_a_pair_for_each(inference: Path) -> None:
    ran = intermodal("ask", "--json", "--model", "nli", "--labels", "praise,complaint", "The lamp broke.")
    assert ran.code == 0, ran.err
    assert ran.document["label"] == "complaint" and list(ran.document["scores"]) == ["praise", "complaint"]
    assert sum(ran.document["scores"].values()) == pytest.approx(1)
    plans = {
        labels: intermodal("explain", "--json", "--model", "nli", "--labels", labels, "The lamp broke. " * 40)
        for labels in ("praise,complaint", "praise,complaint,lamp,example")
    }
    two, four = (each.document["plan"] for each in plans.values())
    assert two["verdict"]["value"] == "no_language_model" and two["verdict"]["instead"] == "encoder"
    assert "it judges how well the text entails each label" in two["headline"]
    tokens = [plan["chosen"]["steps"][-1]["estimate"]["input_tokens"]["mid"] for plan in (two, four)]
    assert tokens[1] == pytest.approx(2 * tokens[0], rel=0.05)


def test_the_entailment_model_is_chosen_without_being_named(inference: Path) -> None:
    ran = intermodal("explain", "--json", "--labels", "praise,complaint", "The lamp broke.")
    plan = ran.document["plan"]
    assert plan["chosen"]["endpoint"] == "mine:test/nli"
    weaker = [name for row in plan["rejected"] if row["rule"] == "floor" for name in row["endpoints"]]
    assert "embedded:intfloat/multilingual-e5-small" in weaker, "medium comes before small"
    assert plan["verdict"]["language_model"]["endpoint"]


@pytest.mark.slow
def test_labels_are_judged_each_by_itself_where_that_is_asked_for(inference: Path) -> None:
    text = "The lamp broke."
    ran = intermodal("ask", "--json", "--model", "nli", "--independent", "--labels", "praise,complaint", text)
    assert ran.code == 0, ran.err
    scores = ran.document["scores"]
    for label in ("praise", "complaint"):
        pair = f"the lamp broke . this example is {label} ."
        assert scores[label] == pytest.approx(1 / (1 + math.exp(logit(pair, 0) - logit(pair, 2))), abs=1e-5)
    alone = intermodal("ask", "--json", "--model", "nli", "--independent", "--labels", "praise", text).document
    assert alone["scores"] == {"praise": pytest.approx(scores["praise"], abs=1e-6)}


def test_what_chooses_one_label_among_all_is_not_asked_to_judge_each_by_itself(inference: Path) -> None:
    ran = intermodal("explain", "--json", "--independent", "--labels", "praise,complaint", "The lamp broke.", "--all")
    plan = ran.document["plan"]
    assert plan["chosen"]["endpoint"] == "mine:test/nli"
    rows = [row for row in plan["rejected"] if "not known to judge each label by itself" in row["reason"]]
    assert "embedded:intfloat/multilingual-e5-small" in [name for row in rows for name in row["endpoints"]]
    named = intermodal("ask", "--independent", "--labels", "a,b", "--model", "multilingual-e5-small", "The lamp broke.")
    assert named.code not in (0, 10, 11, 12) and "not known to judge each label by itself" in named.err
    one = intermodal("ask", "--labels", "praise", "The lamp broke.")
    assert one.code not in (0, 10, 11, 12) and "--independent" in one.err
    none = intermodal("ask", "--independent", "--output", "scores", "The lamp broke.")
    assert none.code not in (0, 10, 11, 12) and "no labels are given" in none.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--output", "scores"), "has no labels of its own"), (("--labels", ","), "label"),
        (("--labels", "praise", "--output", "embedding"), "label"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_scored_are_refused_in_one_sentence(
    inference: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = intermodal("ask", "--model", "nli", *arguments, "The lamp broke.")
    assert ran.code not in (0, 10, 11, 12) and said in ran.err and "Traceback" not in ran.err
