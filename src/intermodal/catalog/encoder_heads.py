"""The head of an encoder (such as BERT), read from its configuration, and the kind of probability its scores are.

A head outputs label scores, one ranking score, words for a mask, or whether a text entails a sentence, with which
arbitrary labels can be scored. A label's score is either its own probability, or its share among all labels scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from intermodal.catalog.types import Model

# Output of the head: probabilities of labels, one ranking score, probabilities of words, or entailment of a sentence.
HeadKind = Literal["", "labels", "rank", "words", "entails"]
HeadTask = Literal["text-classification", "text-ranking", "fill-mask", "zero-shot-classification"]
HYPOTHESIS: Final = "This example is {}."  # a label as a sentence: the template of transformers' pipeline
MAX_LABELS: Final = 10_000
DEFAULT_CONTEXT: Final = 512  # tokens, if the configuration does not state them: BERT's
_PLACES_BEFORE: Final = ("roberta", "camembert", "mpnet", "longformer")  # position indices start at 2, after padding


class EncoderHead(NamedTuple):
    """A head.

    ``several``: each label is scored independently, so several or none may apply. ``why``: the reason why the head
    cannot be used, else "".
    """

    kind: HeadKind
    labels: tuple[str, ...] = ()
    several: bool = False
    why: str = ""

    @property
    def task(self) -> HeadTask:
        """The task's name at Hugging Face."""
        return _TASK[self.kind]

    @property
    def entailment(self) -> tuple[int, int]:
        """The indices of contradiction and entailment, as found by transformers' zero-shot pipeline."""
        entails = _entailment(self.labels)
        return (-1 if entails == 0 else 0), entails


_TASK: Mapping[HeadKind, HeadTask] = {
    "labels": "text-classification", "rank": "text-ranking", "words": "fill-mask", "": "text-classification",
    "entails": "zero-shot-classification",
}  # fmt: skip


def encoder_head(config: Mapping[str, Any]) -> EncoderHead:
    """Return the head that a ``config.json`` describes.

    >>> encoder_head({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "bad", "1": "good"}}).labels
    ('bad', 'good')
    """
    architectures = config.get("architectures")
    names = [each for each in architectures if isinstance(each, str)] if isinstance(architectures, list) else []
    if any(name.endswith("ForMaskedLM") for name in names):
        return EncoderHead("words")
    if not any(name.endswith("ForSequenceClassification") for name in names):
        what = f"names the architecture {', '.join(names)}" if names else "names no architecture"
        return EncoderHead("", why=f"its config.json {what}, but no ...ForSequenceClassification or ...ForMaskedLM")
    labels = _labels(config)
    if labels is None:
        return EncoderHead("", why="its config.json has an id2label with missing numbers or duplicate labels")
    if len(labels) > MAX_LABELS:
        return EncoderHead("", why=f"its head has {len(labels):,} labels, more than {MAX_LABELS:,}")
    if len(labels) == 1:
        return EncoderHead("rank")
    if _entailment(labels) >= 0:
        return EncoderHead("entails", labels)
    problem = config.get("problem_type")
    if problem == "regression":
        return EncoderHead("", why="its head was trained for numbers (problem_type regression), and has no labels")
    return EncoderHead("labels", labels, several=problem == "multi_label_classification")


def _entailment(labels: tuple[str, ...]) -> int:
    """Return the index of the entailment label if the head was trained for inference between two texts, else -1.

    Such a head has two labels, entailment and its opposite, or three with a neutral one.

    >>> _entailment(("contradiction", "neutral", "entailment")), _entailment(("sport", "politics"))
    (2, -1)
    """
    found = [index for index, label in enumerate(labels) if label.lower().startswith("entail")]
    return found[0] if len(found) == 1 and len(labels) in (2, 3) else -1


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the labels by index; transformers' two default labels if none are named, None if they are unusable."""
    id2label = config.get("id2label")
    if not isinstance(id2label, dict) or not id2label:
        count = config.get("num_labels")
        return tuple(f"LABEL_{index}" for index in range(count if isinstance(count, int) and count > 0 else 2))
    found = [id2label.get(str(index), id2label.get(index)) for index in range(len(id2label))]
    labels = tuple(each for each in found if isinstance(each, str) and each.strip())
    folded = {each.casefold() for each in labels}
    return labels if len(labels) == len(id2label) == len(folded) else None


def context_of_config(config: Mapping[str, Any]) -> int:
    """Return the context length in tokens of a model with this configuration.

    >>> context_of_config({"max_position_embeddings": 514, "model_type": "xlm-roberta"}), context_of_config({})
    (512, 512)
    """
    most = config.get("max_position_embeddings")
    if not isinstance(most, int) or not 8 <= most <= 1 << 20:
        return DEFAULT_CONTEXT
    has_reserved_places = any(each in str(config.get("model_type", "")) for each in _PLACES_BEFORE)
    return most - 2 if has_reserved_places else most


def label_indices(labels: tuple[str, ...], head_labels: tuple[str, ...]) -> tuple[int, ...]:
    """Return the index of each label among ``head_labels``, ignoring case; -1 for an unknown one.

    >>> label_indices(("positive", "neutral"), ("NEGATIVE", "POSITIVE"))
    (1, -1)
    """
    index_of_label = {label.casefold(): place for place, label in enumerate(head_labels)}
    return tuple(index_of_label.get(label.strip().casefold(), -1) for label in labels)


def unknown_labels(labels: tuple[str, ...], head_labels: tuple[str, ...]) -> list[str]:
    """Return the labels that are not among the head's labels."""
    return [label for label, index in zip(labels, label_indices(labels, head_labels), strict=True) if index < 0]


ScoreKind = Literal["independent", "exclusive", "word"]

SCORES: dict[ScoreKind, str] = {
    "independent": "each score is the probability of that label by itself (sigmoid): several may be high, or none",
    "exclusive": "the scores are shares of 1 among these labels (softmax): one is high even where none fits",
    "word": "the scores are probabilities among all words that the model knows (softmax), so they need not add up to 1",
}
_OF_HEAD = "the scores are shares of 1 among all labels of the head (softmax): one is high even where none fits"
_ENTAILMENT_SCORES = (
    "each score is entailment of that label against contradiction, by itself: several may be high, or none"
)


def score_kind(model: Model, *, independent: bool) -> ScoreKind:
    """Return the kind of a model's scores. ``independent``: the request scores each label separately."""
    if model.fills_masks:
        return "word"
    if model.entails:
        return "independent" if independent else "exclusive"
    return "independent" if model.independent else "exclusive"


def scores_text(model: Model, *, independent: bool) -> str:
    """Return a sentence that explains the scores of a model."""
    kind = score_kind(model, independent=independent)
    if kind == "independent" and model.entails:
        return _ENTAILMENT_SCORES
    return _OF_HEAD if kind == "exclusive" and model.classifies else SCORES[kind]
