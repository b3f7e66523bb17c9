"""What is told of a question by the votes of its nearest examples."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from intermodal.plans.facts import QuestionFacts
from intermodal.questions.examples import SOURCE, VECTORS, Head, load
from intermodal.questions.nearest import Example, Examples, sentences, told


def example(text: str, medium: str, needs: str, *vector: int) -> Example:
    return Example(text, frozenset((medium,)), frozenset(needs.split()), vector, sum(x * x for x in vector) ** 0.5)


EXAMPLES = Examples(
    model="a model of three dimensions",
    mean=(0.0, 0.0, 0.0),
    directions=((0.0, 0.0, 1.0),),
    rows=(
        example("Is she angry?", "audio", "tone", 100, 0, 0),
        example("What does he say?", "audio", "words", 0, 100, 0),
        example("What colour is it?", "photo", "appearance", 100, 0, 0),
        example("Is it late?", "video", "words", -100, 0, 0),
    ),
)


def needs(found: QuestionFacts, medium: str) -> tuple[dict[str, float], dict[str, float]]:
    each = next(each for each in found.media if each.medium == medium)
    return {n.aspect: n.score for n in each.needed}, {n.aspect: n.score for n in each.unsure}


def test_the_nearest_examples_of_a_medium_say_what_is_needed_of_it() -> None:
    found = told([(1.0, 0.0, 0.0)], EXAMPLES)
    assert needs(found, "audio") == ({"tone": 1.0}, {})
    assert needs(found, "photo") == ({"appearance": 1.0}, {})


def test_where_examples_disagree_it_is_left_open() -> None:
    found = told([(1.0, 0.96, 0.0)], EXAMPLES)
    sure, unsure = needs(found, "audio")
    assert list(sure) == ["tone"]
    assert list(unsure) == ["words"]


@pytest.mark.parametrize(
    ("others", "open_"),
    [({"tone": 84}, []), ({"tone": 87}, ["tone"]), ({"tone": 86, "speakers": 86}, ["speakers", "tone"])],
    ids=["a sixth beside clear words", "a fifth beside clear words", "a sixth beside words that are not clear"],
)
def test_a_sense_of_few_votes_is_no_doubt_where_words_are_clear(others: dict[str, int], open_: list[str]) -> None:
    rows = [example("What does he say?", "audio", "words", 100, 0, 0)]
    rows += [
        example(f"Is it {aspect}?", "audio", aspect, cosine, round((10_000 - cosine**2) ** 0.5), 0)
        for aspect, cosine in others.items()
    ]
    found = told([(1.0, 0.0, 0.0)], msgspec.structs.replace(EXAMPLES, rows=tuple(rows)))
    assert needs(found, "audio")[0].keys() == {"words"} and list(needs(found, "audio")[1]) == open_


def test_a_question_that_is_near_to_nothing_is_never_sure() -> None:
    sure, unsure = needs(told([(1.0, 0.0, 0.0)], EXAMPLES), "video")
    assert not sure
    assert list(unsure) == ["words"]


def test_each_sentence_adds_what_it_needs() -> None:
    found = told([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], EXAMPLES)
    assert set(needs(found, "audio")[0]) == {"tone", "words"}


def test_what_tells_languages_apart_does_not_count() -> None:
    assert told([(0.4, 0.0, 5.0)], EXAMPLES) == told([(0.4, 0.0, 0.0)], EXAMPLES)


def test_of_a_picture_that_nobody_looked_at_both_sorts_of_examples_vote() -> None:
    found = told([(1.0, 0.0, 0.0)], EXAMPLES)
    assert needs(found, "image") == needs(found, "photo")


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Who is it?", ("Who is it?",)),
        ("你好。谁先开口说话？", ("你好。", "谁先开口说话？")),
        ("One. Two. Three. Four? Five. Six.", ("Three.", "Four?", "Five.", "Six.")),
        ("", ()),
    ],
)
def test_a_long_question_is_looked_at_where_it_asks(question: str, parts: tuple[str, ...]) -> None:
    assert sentences(question) == parts


def test_the_vectors_are_those_of_the_examples_that_are_written_down() -> None:
    """After a change of examples.toml: python scripts/question_vectors.py."""
    head = msgspec.json.decode(VECTORS.read_bytes().partition(b"\n")[0], type=Head)
    assert head.digest == hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    assert len(load().rows) == len(head.rows)
