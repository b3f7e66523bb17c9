"""What one answer says in several places does not contradict itself."""

from __future__ import annotations

import msgspec
import pytest
from tests.plans import catalogs
from tests.unit.advisor.advice_of import DAY, LAPTOP, advice, endpoints, offers

from intermodal.advisor.advice import UseOffers
from intermodal.advisor.advise import make_question
from intermodal.advisor.decision import decide, why_labels_do_not_matter

# Sees, and costs little more than the model that answers from read text.
CHEAP = catalogs.hosted(catalogs.ACME, "acme/glance", "medium", (0.01, 0.02), inputs=("text", "image"))


def test_what_the_question_does_not_need_is_no_reason_for_the_decision() -> None:
    made = advice("image", shows="text", prompt="What is the total?", requests="500/day", among=(*endpoints(), CHEAP))
    assert made.verdict.value == "enough_with_loss" and made.use == "vision"
    assert "does not seem to need" in made.headline and "otherwise" not in made.reason


def test_what_is_to_be_kept_and_what_a_picture_shows_do_not_contradict_each_other() -> None:
    made = advice("image", shows="scene", keep=("words",), among=(*endpoints(), CHEAP))
    assert made.verdict.value == "enough_with_loss" and "neither --keep nor the question asks for" in made.headline
    assert "does not seem to need" not in made.headline, "nobody asked a question"


def test_waiting_is_not_named_where_money_alone_ranks() -> None:
    made = advice("image", shows="text", prompt="What is the total?", requests="500/day", among=(*endpoints(), CHEAP))
    assert made.by.startswith("money") and made.verdict.language_model is not None
    assert "waiting" not in made.headline and "better by money" in made.headline


def test_only_is_not_said_where_another_use_keeps_it_too() -> None:
    made = advice("image", keep=("words",), prompt="Read the sign, then say what it means")
    assert made.use == "vision" and len([kind for kind in made.kinds if kind.best is not None]) == 2
    assert "only this" not in made.reason


def test_a_reader_that_has_no_time_is_not_called_none() -> None:
    made = advice("pdf", sizes={"pdf": 30}, scanned=True, requests="500/day")
    assert made.use == "vision" and made.verdict.language_model is not None
    assert "no available model can" not in made.headline
    reader = "embedded:paddlepaddle/ppocr-v6-small"
    assert f"{reader}, which could read pdf, is out: too slow for that many requests" in made.headline


def test_a_reader_that_keeps_up_is_not_out_for_the_seconds_of_the_model_that_answers() -> None:
    """A month has time for 30,000 pages of OCR here; the seconds of a server of one's own are not its."""
    made = advice("image", shows="text", prompt="What is the total?", requests="1000/day")
    assert made.use == "cascade" and "too slow" not in made.headline


@pytest.mark.parametrize(("times", "near"), [(0.0, False), (0.5, False), (0.97, True), (1.05, True), (2.0, False)])
def test_uses_whose_money_is_far_apart_are_not_called_near(times: float, near: bool) -> None:
    made = advice("image", shows="text", prompt="What is the total?", requests="1000/day", among=(*endpoints(), CHEAP))
    decided = next(kind for kind in made.kinds if kind.use == made.use).best
    assert decided is not None and decided.score > 0
    offer = msgspec.structs.replace(decided, model="acme/another", score=decided.score * times)
    kinds = [UseOffers(use="cascade", title="a cascade", offers=(offer,))]
    question = make_question("image", "text", LAPTOP, requests="1000/day")
    said = why_labels_do_not_matter(question, kinds, made.use, decided)
    assert ("too near to tell apart" in said) is near, said


def test_where_conditions_leave_no_host_the_answer_says_so_and_how_to_state_it() -> None:
    question = make_question("image", "text", LAPTOP, regions=("eu",), requests="20/day")
    why = "where its host computes is unknown, and eu is asked for (--region)"
    here = [each for each in endpoints() if each.host.id != "acme"]
    found = msgspec.structs.replace(offers(here), endpoints=0, hosts=0, unhosted=((why, 7),))
    made = decide(question, found, DAY)
    hosted = [each for kind in made.kinds for each in kind.offers if each.place == "hosted"]
    assert hosted and all(each.refused[0].startswith(f"7 endpoints: {why}") for each in hosted)
    assert all('[hosts.NAME] with regions = ["eu"]' in each.refused[0] for each in hosted)


def test_losses_are_named_as_a_reason_only_where_they_rank() -> None:
    made = advice("image", shows="text", prompt="What is the total?", requests="500/day", among=(*endpoints(), CHEAP))
    assert made.by == "money and what is lost"
    cascade = next(kind for kind in made.kinds if kind.use == "cascade")
    assert "for what is lost" in cascade.lost
    assert advice("text", requests="500/day").by == "money"
