"""Names, pages and aspects: the small judgements a plan rests on."""

from __future__ import annotations

import pytest
from tests.plans import catalogs

from intermodal.catalog.model_names import resolve_name
from intermodal.core.quantity import exact
from intermodal.errors import UnknownModel
from intermodal.planner.conversion.fidelity import FACT_PENALTY, MUST_KEEP, UNSURE_PENALTY, aspect_needs
from intermodal.planner.conversion.page_relevance import named_pages, page_scores, select_pages
from intermodal.planner.eligibility.rules import RULES
from intermodal.plans.facts import MediumNeeds, Need, PageFacts, PartFacts, QuestionFacts
from intermodal.questions.keyword_needs import needed_aspects, needs_from_keywords

ALL = catalogs.catalog("all")


# ---- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        ("acme:acme/vista", "acme:acme/vista"),
        ("acme/vista", "acme:acme/vista"),
        ("ACME/Vista", "acme:acme/vista"),
        ("vista", "acme:acme/vista"),
        ("vista-mini", "acme:acme/vista-mini"),
        ("smollm2", "embedded:huggingfacetb/smollm2-135m-instruct"),
        ("acme:vista", "acme:acme/vista"),
        ("embedded:whisper-base", "embedded:openai/whisper-base"),
    ],
)
def test_a_name_in_any_of_its_forms_is_the_same_endpoint(name: str, endpoint: str) -> None:
    assert [found.id for found in resolve_name(ALL, name)] == [endpoint]


def test_a_model_at_several_hosts_is_all_of_them() -> None:
    where = catalogs.host("other")
    twin = catalogs.hosted(where, "acme/vista", "large", (1.0, 2.0))
    both = catalogs.Catalog(endpoints=(*catalogs.acme(), twin))
    assert [found.id for found in resolve_name(both, "acme/vista")] == ["acme:acme/vista", "other:acme/vista"]
    assert [found.id for found in resolve_name(both, "other:acme/vista")] == ["other:acme/vista"]


def test_a_host_s_name_is_its_model_where_it_has_one_and_lists_them_where_it_has_more() -> None:
    alone = catalogs.hosted(catalogs.host("up.story"), "acme/story", "small", (0.0, 0.0))
    catalog = catalogs.Catalog(endpoints=(*catalogs.acme(), alone))
    assert resolve_name(catalog, "up.story") == (alone,)
    with pytest.raises(UnknownModel, match="say which: acme/"):
        resolve_name(catalog, "acme")


def test_an_ambiguous_name_lists_the_models() -> None:
    with pytest.raises(UnknownModel, match=r"2 models; say which: openai/whisper-base, openai/whisper-tiny\.en"):
        resolve_name(ALL, "whisper")


def test_an_unknown_name_gets_near_ones() -> None:
    with pytest.raises(UnknownModel, match="did you mean acme/vista"):
        resolve_name(ALL, "acme/vitsa")
    with pytest.raises(UnknownModel, match="see intermodal models"):
        resolve_name(ALL, "zzzzzz")


# ---- pages ------------------------------------------------------------------------------------


def page(number: int, words: str = "", chars: int = 500) -> PageFacts:
    return PageFacts(number=number, width=595, height=842, chars=chars, words=tuple(words.split()))


def test_the_page_that_shares_rare_words_with_the_question_comes_first() -> None:
    pages = [page(1, "contract parties"), page(2, "contract penalties late"), page(3, "contract annex")]
    points = page_scores(pages, ("what", "penalty", "penalties", "contract"), frozenset())
    assert points.index(max(points)) == 1
    assert points[0] == points[2] > 0


def test_a_page_named_in_the_question_comes_before_all() -> None:
    points = page_scores(
        [page(1, "penalty"), page(2)], ("penalty",), named_pages("What does page 2 say about the penalty?")
    )
    assert points[1] > points[0]


def test_selection_fills_the_budget_and_keeps_reading_order() -> None:
    assert select_pages([300, 300, 300, 100], [0.0, 2.0, 1.0, 0.0], 650) == (1, 2)
    assert select_pages([300, 300], [1.0, 2.0], 250) == ()


def test_a_page_number_is_no_text_layer() -> None:
    assert page(1, chars=3).scanned and not page(1, chars=300).scanned


# ---- aspects ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "aspects"),
    [
        ("What colour is the car?", {"appearance"}),
        ("What does the chart show?", {"figures"}),
        ("Who says that?", {"speakers", "words"}),
        ("Is she angry?", {"tone"}),
        ("At which minute is the price named?", {"timing", "words"}),
        ("Look at the invoice and tell me the total.", {"words"}),
        ("What is the total?", {"words"}),
        ("What is the order number?", {"words"}),
        ("Count the number of stars.", set()),
        ("Is the square blue or red?", {"appearance"}),
        ("Are the walls white?", {"appearance"}),
        ("Is the buyer Mr Green?", set()),
        ("Were we in the red?", set()),
    ],
)
def test_the_words_of_a_question_say_what_it_needs(question: str, aspects: set[str]) -> None:
    assert needed_aspects(question) == aspects


def test_a_part_is_asked_only_for_what_it_can_have() -> None:
    speech = PartFacts(index=0, name="call.wav", kind="audio", seconds=exact(9.0))
    assert aspect_needs(speech, needs_from_keywords("What colour is the angry caller's car?")) == {
        "tone": MUST_KEEP,
        "words": FACT_PENALTY,
    }


def test_needs_of_one_medium_do_not_apply_to_another() -> None:
    told_of_speech = MediumNeeds(
        medium="audio",
        needed=(Need(aspect="tone", score=0.9, like="Is she angry?"),),
        unsure=(Need(aspect="speakers", score=0.25),),
    )
    question = QuestionFacts(by="a sentence model", media=(told_of_speech,))
    speech = PartFacts(index=0, name="call.wav", kind="audio", seconds=exact(9.0))
    assert aspect_needs(speech, question) == {
        "tone": MUST_KEEP,
        "speakers": UNSURE_PENALTY * 0.25,
        "words": FACT_PENALTY,
    }
    film = PartFacts(index=1, name="film.mp4", kind="video", channels=2, seconds=exact(9.0))
    assert aspect_needs(film, question) == {"words": FACT_PENALTY}


def test_words_suffice_of_a_picture_is_believed_where_examples_told_it() -> None:
    picture = PartFacts(index=0, name="x.png", kind="image", width=9, height=9)
    words = MediumNeeds(medium="image", needed=(Need(aspect="words", score=0.9, like="What is the total?"),))
    assert aspect_needs(picture, QuestionFacts(by="a sentence model", media=(words,))) == {"words": MUST_KEEP}


@pytest.mark.parametrize(
    ("density", "aspects"), [(0.3, {"words", "layout"}), (0.0, {"appearance"}), (0.08, {"words", "appearance"})]
)
def test_density_suggests_what_a_picture_is_about(density: float, aspects: set[str]) -> None:
    picture = PartFacts(index=0, name="x.png", kind="image", width=9, height=9, text_density=exact(density))
    assert set(aspect_needs(picture, QuestionFacts())) == aspects


# ---- rules ------------------------------------------------------------------------------------


def test_rules_have_unique_names_and_come_in_stages() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    stages = [rule.stage for rule in RULES]
    assert stages == sorted(stages, key=("endpoint", "option", "route").index)
