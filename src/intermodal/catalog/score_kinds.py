"""The kind of probability that a label's score is: of that label by itself, or its share among all that were held."""

from __future__ import annotations

from typing import Literal

from intermodal.catalog.types import Model

ScoreKind = Literal["independent", "exclusive", "word"]

SCORES: dict[ScoreKind, str] = {
    "independent": "each score is the probability of that label by itself (sigmoid): several may be high, or none",
    "exclusive": "the scores are shares of 1 among these labels (softmax): one is high even where none fits",
    "word": "the scores are probabilities among all words that the model knows (softmax), so they need not add up to 1",
}
_OF_HEAD = "the scores are shares of 1 among all labels of the head (softmax): one is high even where none fits"
_ENTAILED = "each score is entailment of that label against contradiction, by itself: several may be high, or none"


def score_kind(model: Model, *, independent: bool) -> ScoreKind:
    """Return the kind of the scores that a model gives; ``independent``: it was asked to judge each label by itself."""
    if model.fills_masks:
        return "word"
    if model.entails:
        return "independent" if independent else "exclusive"
    return "independent" if model.independent else "exclusive"


def scores_text(model: Model, *, independent: bool) -> str:
    """Return in words what the scores of a model are."""
    kind = score_kind(model, independent=independent)
    if kind == "independent" and model.entails:
        return _ENTAILED
    return _OF_HEAD if kind == "exclusive" and model.classifies else SCORES[kind]


__all__ = ["ScoreKind", "score_kind", "scores_text"]
