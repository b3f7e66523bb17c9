"""Labels as captions, and cosines as scores, the way contrastive models were trained."""

from __future__ import annotations

import math

import pytest

from intermodal.errors import CallError
from intermodal.executor.drivers.interface import ContrastiveScale
from intermodal.executor.outputs.captions import caption
from intermodal.executor.outputs.scores import pair_scores
from intermodal.executor.outputs.vector_math import cosine

PICTURE = (1.0, 0.0)
CAPTIONS = ((1.0, 0.0), (0.6, 0.8), (0.0, 1.0))


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("cat", "a photo of a cat."),
        ("Orange", "a photo of an Orange."),
        ("a red star", "a photo of a red star."),
        ("two red stars", "a photo of two red stars."),
        ("a screenshot of an invoice", "a screenshot of an invoice."),
        ("dog.", "a photo of a dog."),
    ],
)
def test_a_label_becomes_a_caption(label: str, said: str) -> None:
    assert caption(label) == said


def test_softmax_shares_one_among_all_and_a_larger_scale_is_surer() -> None:
    soft = pair_scores(PICTURE, CAPTIONS, ContrastiveScale(loss="softmax", scale=1.0))
    hard = pair_scores(PICTURE, CAPTIONS, ContrastiveScale(loss="softmax", scale=100.0))
    assert math.isclose(sum(soft), 1.0) and math.isclose(sum(hard), 1.0)
    assert soft[0] > soft[1] > soft[2]
    assert hard[0] > 0.999


def test_vectors_of_different_lengths_are_not_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        pair_scores((1.0, 0.0, 0.0), CAPTIONS, ContrastiveScale(loss="softmax", scale=1.0))


def test_sigmoid_judges_each_by_itself() -> None:
    found = pair_scores(PICTURE, CAPTIONS, ContrastiveScale(loss="sigmoid", scale=100.0, bias=-90.0))
    assert found == pytest.approx([1 / (1 + math.exp(-10)), 1 / (1 + math.exp(30)), 1 / (1 + math.exp(90))])
    assert pair_scores(PICTURE, CAPTIONS[1:], ContrastiveScale(loss="sigmoid", scale=1e6, bias=-1e9)) == pytest.approx(
        [0.0, 0.0]
    )


def test_cosines_of_vectors_of_different_lengths_are_refused() -> None:
    with pytest.raises(CallError, match="vectors of 2 and of 3 numbers, which cannot be compared"):
        cosine((1.0, 0.0), (1.0, 0.0, 0.0))
