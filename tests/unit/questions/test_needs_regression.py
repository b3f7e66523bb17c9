"""What is told of a question by the weighted votes of example questions."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.e2e.questions import FITTED

from intermodal.plans.facts import Medium, PropertiesNeed, QuestionFacts
from intermodal.questions.needs_regression import (
    EXAMPLED,
    OUTPUTS,
    SOURCES,
    VECTORS,
    Examples,
    ExamplesHeader,
    NeedsNetwork,
    embedded_form,
    joined_questions,
    load_examples,
    of_length_one,
    question_needs,
    sentences,
)

# Texts, the media they are examples of, what they need, whether that is more than words, and their vectors.
ROWS = (
    ("Is she angry?", "audio", "tone", True, (1, 0, 0)),
    ("What does he say?", "audio", "words", False, (0, 1, 0)),
    ("What colour is it?", "photo", "appearance", True, (1, 0, 0)),
    ("What does the sign say?", "photo", "words", False, (0, 1, 0)),
    ("Is it late?", "video", "words", False, (-1, 0, 0)),
)


def examples(base: float = -1.0, strength: float = 2.0) -> Examples:
    """Examples that vote for what they need: with ``strength`` from themselves, from ``base`` on."""
    weights = {medium: np.zeros((len(ROWS), len(OUTPUTS)), np.float32) for medium in EXAMPLED}
    needing: dict[str, dict[str, list[int]]] = {medium: {"": []} for medium in EXAMPLED}
    for place, (_, medium, aspect, more, _) in enumerate(ROWS):
        weights[medium][place, OUTPUTS.index(aspect)] = strength
        weights[medium][place, OUTPUTS.index("more")] = strength if more else 0
        needing[medium].setdefault(aspect, []).append(place)
        needing[medium][""].append(place)
    return Examples(
        model="a model of three dimensions",
        mean=np.zeros(3, np.float32),
        directions=np.array([[0, 0, 1]], np.float32),
        axes=np.eye(3, dtype=np.float32),
        texts=tuple(text for text, *_ in ROWS),
        vectors=of_length_one(np.array([vector for *_, vector in ROWS], np.float32)),
        needing={
            medium: {aspect: np.array(there, np.intp) for aspect, there in by_aspect.items()}
            for medium, by_aspect in needing.items()
        },
        weights=weights,
        base=np.full(len(OUTPUTS), base, np.float32),
    )


def says(value: float) -> NeedsNetwork:
    """A network that says the same of every vector."""
    nothing = np.zeros((len(EXAMPLED), 1), np.float32)
    return NeedsNetwork(np.zeros((3, 1), np.float32), nothing, nothing, np.full(len(EXAMPLED), value, np.float32))


def needs(found: QuestionFacts, medium: str) -> tuple[dict[str, str], dict[str, str]]:
    each = next(each for each in found.media if each.medium == medium)
    return {need.aspect: need.like for need in each.needed}, {need.aspect: need.like for need in each.unsure}


def test_the_votes_of_examples_of_a_medium_say_what_is_needed_of_it_and_the_nearest_is_the_evidence() -> None:
    found = question_needs([(1.0, 0.0, 0.0)], examples())
    assert needs(found, "audio") == ({"tone": "Is she angry?"}, {})
    assert needs(found, "photo") == ({"appearance": "What colour is it?"}, {})
    assert needs(question_needs([(0.0, 1.0, 0.0)], examples()), "audio") == ({"words": "What does he say?"}, {})


def test_a_score_is_half_of_one_and_the_votes() -> None:
    (need,) = question_needs([(1.0, 0.0, 0.0)], examples()).needs_of("audio").needed
    assert need.score == 1.0
    (weaker,) = question_needs([(1.0, 0.0, 0.0)], examples(strength=1.2)).needs_of("audio").needed
    assert weaker.score == pytest.approx((-1 + 1.2 + 1) / 2, abs=0.01)


@pytest.mark.parametrize(
    ("strength", "needed", "unsure"),
    [(1.2, ["tone"], []), (0.8, [], ["tone"]), (0.6, [], [])],
    ids=["more than words", "perhaps", "words"],
)
def test_whether_words_suffice_is_decided_before_which_aspect_beyond_them_is_needed(
    strength: float, needed: list[str], unsure: list[str]
) -> None:
    found = question_needs([(1.0, 0.0, 0.0)], examples(strength=strength))
    assert [list(each) for each in needs(found, "audio")] == [needed, unsure]


@pytest.mark.parametrize(("strength", "needed"), [(0.8, ["words"]), (0.6, [])], ids=["perhaps words", "nothing"])
def test_where_nothing_beyond_words_is_needed_words_that_may_be_needed_are(strength: float, needed: list[str]) -> None:
    found = question_needs([(0.0, 1.0, 0.0)], examples(strength=strength))
    assert [list(each) for each in needs(found, "audio")] == [needed, []]


@pytest.mark.parametrize(
    "typed", ["Is she angry?", "is she angry", "IS SHE ANGRY!!", "¿Is she angry", "Ｉｓ she angry？"]
)
def test_a_sentence_is_compared_without_case_and_the_signs_at_its_ends(typed: str) -> None:
    assert embedded_form(typed) == "is she angry"


def test_a_sentence_of_signs_is_compared_as_it_is() -> None:
    assert embedded_form("?!") == "?!"


@pytest.mark.parametrize(
    ("nets", "needed", "unsure"),
    [((), [], ["tone"]), ((1.0,), ["tone"], []), ((-1.0,), [], []), ((0.5, -0.9), [], ["tone"])],
    ids=["no network", "more than words", "words", "networks that differ"],
)
def test_networks_have_half_a_say_in_whether_words_suffice(
    nets: tuple[float, ...], needed: list[str], unsure: list[str]
) -> None:
    found = question_needs(
        [(1.0, 0.0, 0.0)], msgspec.structs.replace(examples(strength=0.8), nets=tuple(map(says, nets)))
    )
    assert [list(each) for each in needs(found, "audio")] == [needed, unsure]


def test_a_network_sees_the_vector_and_the_medium() -> None:
    place = EXAMPLED.index("audio")
    of_media, more = np.zeros((2, len(EXAMPLED), 1), np.float32)
    of_media[place], more[place] = -0.5, 2.0
    net = NeedsNetwork(np.array([[1.0], [0.0], [0.0]], np.float32), of_media, more, np.zeros(len(EXAMPLED), np.float32))
    vectors = np.array([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], np.float32)
    assert net.evaluate(vectors, "audio").tolist() == [1.0, 0.0]
    assert net.evaluate(vectors, "photo").tolist() == [0.0, 0.0]


def test_a_question_that_is_near_to_nothing_is_never_sure() -> None:
    sure, unsure = needs(question_needs([(1.0, 0.0, 0.0)], examples(base=0.5)), "video")
    assert not sure
    assert "words" in unsure


def test_each_sentence_adds_what_it_needs() -> None:
    found = question_needs([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], examples())
    assert set(needs(found, "audio")[0]) == {"tone", "words"}


def test_a_question_for_properties_of_a_file_needs_nothing_of_its_contents() -> None:
    known = examples()
    known.weights["audio"][0, OUTPUTS.index("properties")] = 2.0
    known.weights["audio"][0, OUTPUTS.index("tone")] = known.weights["audio"][0, OUTPUTS.index("more")] = 0.0
    known.needing["audio"]["properties"] = np.array([0], np.intp)
    told = question_needs([(1.0, 0.0, 0.0)], known).needs_of("audio")
    assert told.properties == PropertiesNeed(score=1.0, like="Is she angry?")
    assert told.properties_alone and not told.needed
    assert question_needs([(0.0, 1.0, 0.0)], known).needs_of("audio").properties is None


def test_a_question_joined_to_one_for_properties_counts_whatever_it_needs() -> None:
    known = examples()
    known.weights["audio"][0] = 0.0
    known.weights["audio"][0, OUTPUTS.index("properties")] = 2.0
    known.needing["audio"]["properties"] = np.array([0], np.intp)
    told = question_needs([(1.0, 0.0, 0.0)], known, joined_vectors=[(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]).needs_of("audio")
    assert told.properties is not None and [need.aspect for need in told.needed] == ["words"]
    assert not told.properties_alone


@pytest.mark.parametrize(
    ("strength", "needed"), [(2.0, {"tone", "words"}), (1.2, {"words"})], ids=["certain", "not certain"]
)
def test_a_joined_question_counts_where_it_certainly_needs_more_than_words(strength: float, needed: set[str]) -> None:
    found = question_needs(
        [(0.0, 1.0, 0.0)], examples(strength=strength), joined_vectors=[(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
    )
    assert set(needs(found, "audio")[0]) == needed


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What does it say, and what colour is it?", ("What does it say", "what colour is it")),
        ("was steht da und welche farbe hat das auto", ("was steht da", "welche farbe hat das auto")),
        ("Что написано и какого цвета машина?", ("Что написано", "какого цвета машина")),
        ("What does it say? What colour is it?", ("What does it say", "What colour is it")),
        ("What is shown, what does it say?", ("What is shown", "what does it say")),
        ("Beschreib es und lies mir den Text vor", ("Beschreib es", "lies mir den Text vor")),
        ("牌子上写了什么,旁边站着几个人", ("牌子上写了什么", "旁边站着几个人")),
        ("何と書いてあって、どんな絵が描いてある?", ("何と書いてあって", "どんな絵が描いてある")),
        ("가격이 얼마고 색깔은 뭐야", ("가격이 얼마", "색깔은 뭐야")),
        ("ماذا كتب على اللافتة وكم شخصا يقف تحتها", ("ماذا كتب على اللافتة", "كم شخصا يقف تحتها")),
        ("क्या लिखा है और वहाँ कितने लोग हैं", ("क्या लिखा है", "वहाँ कितने लोग हैं")),
        ("co tu jest napisane i jakiego koloru jest samochód", ("co tu jest napisane", "jakiego koloru jest samochód")),
        ("Who and what is it?", ()),
        ("What did I say?", ()),
        ("متى وقت الدفع", ()),
        ("word " * 40 + "and what is it?", ()),
    ],
)
def test_a_short_sentence_is_parted_where_it_joins_questions(question: str, found: tuple[str, ...]) -> None:
    assert joined_questions(question) == found


def test_what_tells_languages_apart_does_not_count() -> None:
    assert question_needs([(0.4, 0.0, 5.0)], examples()) == question_needs([(0.4, 0.0, 0.0)], examples())


def test_of_a_picture_that_nobody_looked_at_the_score_is_between_those_of_a_photo_and_a_page() -> None:
    found = question_needs([(1.0, 0.0, 0.0)], examples(base=0.0, strength=1.0))
    media: tuple[Medium, ...] = ("photo", "image")
    score = {
        medium: need.score for medium in media for need in found.needs_of(medium).needed if need.aspect == "appearance"
    }
    assert score == {"photo": 1.0, "image": 0.75}


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Who is it?", ("Who is it?",)),
        ("你好。谁先开口说话？", ("你好。谁先开口说话？",)),
        ("An oral exam.\n How is her accent?", ("An oral exam. How is her accent?",)),
        (
            f"First {'v' * 60}. Second {'w' * 60}. Third {'x' * 60}. Is it a fourth sentence? Fifth {'y' * 30}. Last.",
            (f"First {'v' * 60}.", f"Second {'w' * 60}.", "Is it a fourth sentence?", f"Fifth {'y' * 30}. Last."),
        ),
        (
            f"It was taped {'last year ' * 14}. My mentor says that I sound harsh. Be honest. Do I?",
            (f"It was taped {'last year ' * 14}.", "My mentor says that I sound harsh. Be honest. Do I?"),
        ),
        (f"{'A' * 300}. Is that what it says?", ("A" * 240, "Is that what it says?")),
        ("", ()),
    ],
)
def test_a_short_question_is_looked_at_as_it_is_and_a_long_one_where_it_asks(
    question: str, parts: tuple[str, ...]
) -> None:
    assert sentences(question) == parts


def test_the_vectors_are_those_of_the_examples_that_are_written_down() -> None:
    """After a change of a source: python scripts/question_vectors.py."""
    head = msgspec.json.decode(VECTORS.read_bytes().partition(b"\n")[0], type=ExamplesHeader)
    assert head.digest == hashlib.sha256(b"".join(path.read_bytes() for path in (*SOURCES, FITTED))).hexdigest()
    found = load_examples()
    assert len(found.vectors) == len(found.texts) == len({row.text for row in head.rows})


@pytest.mark.parametrize("change", [lambda whole: whole[:-1], lambda whole: whole + b"\0"], ids=["cut", "longer"])
def test_examples_that_are_not_whole_are_an_error(tmp_path: Path, change: object) -> None:
    path = tmp_path / "examples.bin"
    path.write_bytes(change(VECTORS.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"examples\.bin"):
        load_examples(path)
