"""Advice where no language model may be needed: labels of images and of texts, and speech in another language."""

from __future__ import annotations

from typing import Any

import pytest

import intermodal
from intermodal.advisor.advice import Advice
from intermodal.errors import UsageError

pytestmark = pytest.mark.slow


def advice(takes: str, makes: str, **options: Any) -> Advice:
    """Over the rows that are shipped, of a machine that is stated: the same wherever it runs."""
    return intermodal.advise(takes, makes, hardware="24GB 8cores", **options)


def test_labels_of_a_picture_are_told_apart_by_a_contrastive_model_where_strength_does_not_matter() -> None:
    made = advice("image", "scores", shows="scene", labels=["damaged", "whole"], local=True, at_least="tiny")
    assert made.use == "matching" and "contrastive model is enough" in made.headline
    assert made.offer.usd.mid == 0 and made.offer.seconds.known


def test_the_kinds_of_models_for_labels_are_beside_each_other_in_numbers() -> None:
    made = advice("image", "scores", shows="scene", requests="50000/day")
    kinds = {kind.use: kind.best for kind in made.kinds}
    assert {"matching", "vision"} <= set(kinds)
    assert all(best is not None and best.usd.known and best.seconds.known for best in kinds.values())
    assert "labels" in " ".join(made.assumed)


def test_labels_of_a_text_are_told_apart_by_vectors_or_by_a_language_model() -> None:
    made = advice("text", "scores", sizes={"text": 300})
    assert {"embedding", "llm"} <= {kind.use for kind in made.kinds}


def test_speech_into_english_needs_no_language_model_and_into_german_does() -> None:
    english = advice("audio", "transcript", translate="en", local=True)
    assert english.use == "translation" and english.verdict.instead == "speech translation"
    assert {"translation", "cascade"} <= {kind.use for kind in english.kinds}
    german = advice("audio", "transcript", translate="de", local=True)
    assert german.use == "cascade"
    (refused,) = [kind.offers[0].refused for kind in german.kinds if kind.use == "translation"]
    assert any("into en only, and de is asked for" in reason for reason in refused)


@pytest.mark.parametrize(
    ("takes", "makes", "options", "said"),
    [
        ("text", "text", {"labels": ["a", "b"]}, "labels are told apart by scores"),
        ("text", "scores", {"labels": ["a"]}, "one label"),
        ("text", "text", {"translate": "en"}, "nothing that goes in is spoken"),
        ("audio", "transcript", {"translate": "xx"}, "no language 'xx'"),
    ],
)
def test_what_makes_no_sense_is_refused(takes: str, makes: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        advice(takes, makes, **options)
