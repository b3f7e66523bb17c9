"""Advice over the whole shipped snapshot: no pick contradicts what is known of its model, whatever the task."""

from __future__ import annotations

from functools import cache

import pytest

from intermodal.advisor.advice import Advice, RoutePick
from intermodal.advisor.advise import make_question
from intermodal.advisor.advise_options import AdviseOptions
from intermodal.advisor.candidate_catalog import CandidateCatalog, candidate_catalog
from intermodal.advisor.decision import decide
from intermodal.advisor.question import AdviceQuestion
from intermodal.catalog.load import load_snapshot
from intermodal.catalog.shipped_rows import data_policies, shipped_rows
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.interpretation import agreed_capabilities
from intermodal.core.request import Retention
from intermodal.plans.machine import Machine

pytestmark = pytest.mark.slow

DAY = "2026-11-28"
GIB = 2**30
HERE = Machine(cores=8, memory=64 * GIB, free=64 * GIB)

TASKS: tuple[tuple[str, str, AdviseOptions], ...] = (
    ("audio", "text", {"prompt": "Is the caller angry?", "keep": ["tone"], "requests": "5000/day"}),
    ("audio", "text", {"prompt": "Is the caller angry?"}),
    ("audio,image", "json", {"prompt": "Is she upset, and which colour has the car?", "requests": "100/day"}),
    ("text", "text", {"prompt": "Summarise this contract for our lawyers", "requests": "20000/month"}),
    ("text", "json", {"objective": "cheapest"}),
    ("text", "text", {"objective": "best"}),
    ("text", "text", {"objective": "fastest"}),
    ("image", "text", {"prompt": "Which bar of the chart is highest?", "keep": ["figures"]}),
    ("image", "text", {"prompt": "What colour is the car?", "shows": "scene", "requests": "1000/day"}),
    ("image", "text", {"shows": "text", "keep": ["layout"], "requests": "1000/day"}),
    ("pdf", "text", {"requests": "20000/month"}),
    ("pdf", "text", {"figures": True, "keep": ["figures"], "requests": "20000/month"}),
    ("pdf,image", "json", {"scanned": True}),
    ("video", "text", {"prompt": "What does she wear?", "keep": ["appearance"]}),
    ("audio", "transcript", {"requests": "20000/month"}),
    ("text", "embedding", {}),
    ("text", "image", {}),
    ("text", "speech", {}),
)


@cache
def everything(licence: str) -> CandidateCatalog:
    question = asked("text", "text", {"licence": licence})  # type: ignore[typeddict-item]
    return candidate_catalog(question.hardware, DAY, policy=question.policy)


def asked(takes: str, makes: str, options: AdviseOptions) -> AdviceQuestion:
    return make_question(takes, makes, HERE, **options)


@cache
def advice(place: int) -> Advice:
    return decide(asked(*TASKS[place]), everything("commercial"), DAY)


def picks(made: Advice) -> tuple[RoutePick, ...]:
    return made.best + ((made.otherwise,) if made.otherwise is not None else ())


def given(pick: RoutePick) -> set[str]:
    """Kinds that reach the answering model as they are, by what the route is used as."""
    return {"vision": {"image"}, "hearing": {"audio"}}.get(pick.use, set())


@pytest.mark.parametrize("place", range(len(TASKS)), ids=lambda place: f"{place}-{TASKS[place][0]}-{TASKS[place][1]}")
def test_no_pick_lacks_what_the_task_needs_or_is_for_research_alone(place: int) -> None:
    made = advice(place)
    for pick in picks(made):
        model = pick.offer.model
        rows, own = load_snapshot().by_model.get(model, []), shipped_rows().rows.get(model)
        takes = set(own.input) if own is not None and own.input else set(agreed_capabilities(rows).input)
        assert given(pick) <= takes, f"{model} takes {sorted(takes)}, and is picked as {pick.title}"
        licence = interpretation.licence_of(model)
        permits = own.permits if own is not None and own.permits else licence.permits if licence else ""
        vendors_own = pick.offer.endpoint.partition(":")[0] == model.partition("/")[0]
        assert permits != "research" or vendors_own, f"{model} is for research only"
        assert pick.offer.terms


@pytest.mark.parametrize("place", range(len(TASKS)), ids=lambda place: f"{place}-{TASKS[place][0]}-{TASKS[place][1]}")
def test_the_best_three_are_of_different_models_and_begin_with_the_decision(place: int) -> None:
    made = advice(place)
    models = [pick.offer.model.partition("@")[0] for pick in made.best]
    assert len(set(models)) == len(models) and 1 <= len(models) <= 3
    assert made.best[0].offer.endpoint == made.endpoint and made.best[0].use == made.use
    text = " ".join(str(made).split())
    assert all(pick.offer.endpoint in text for pick in picks(made))


def test_a_monthly_bill_is_ranked_by_money_and_the_pick_for_waiting_stands_beside_it() -> None:
    bill = [pick.offer.per_month.mid for pick in advice(3).best]
    assert bill == sorted(bill) and bill[0] > 0
    waiting = decide(
        asked("text", "text", {"prompt": TASKS[3][2]["prompt"], "waits": True}), everything("commercial"), DAY
    )
    other = advice(3).otherwise
    assert other is not None and other.offer.endpoint == waiting.endpoint
    assert other.offer.usd.mid >= advice(3).offer.usd.mid and other.offer.seconds.mid <= advice(3).offer.seconds.mid


def test_who_says_whether_somebody_waits_gets_one_answer() -> None:
    prompt = TASKS[3][2]["prompt"]
    for waits in (True, False):
        made = decide(asked("text", "text", {"prompt": prompt, "requests": "20000/month", "waits": waits}),
                      everything("commercial"), DAY)  # fmt: skip
        assert made.otherwise is None
        assert made.by == ("money and waiting" if waits else "money")


def test_a_server_that_nobody_has_is_not_free_for_having_no_price() -> None:
    made = advice(0)
    assert made.place == "hosted" and made.offer.usd.mid > 0
    assert all(pick.offer.usd.mid > 0 for pick in advice(3).best)
    here = next(offer for offer in made.decided_use.offers if offer.place == "here")
    assert here.refused or not here.counted


def test_a_research_licence_is_left_out_by_default_and_said() -> None:
    reasons = dict(everything("commercial").refused)
    assert reasons["its licence is for research only (--licence any)"] > 0
    assert not everything("any").refused
    assert any("licence commercial" in line and "research only" in line for line in advice(3).sources)


@cache
def kept(region: str, retention: Retention) -> tuple[dict[str, int], CandidateCatalog]:
    """How many endpoints each reason leaves out under these bounds, and what is left."""
    question = asked("text", "text", {"regions": [region] if region else [], "retention": retention})
    found = candidate_catalog(question.hardware, DAY, policy=question.policy)
    return dict(found.refused), found


def test_a_region_or_retention_that_nobody_states_is_left_out_and_counted() -> None:
    refused, _ = kept("eu", "no-training")
    assert refused["where its host computes is unknown, and eu is asked for (--region)"] > 1000
    assert any("computes in cn" in reason for reason in refused)


def hosts_of(found: CandidateCatalog) -> set[str]:
    assert found.full_catalog is not None
    return {each.host.id for each in found.full_catalog.endpoints if each.host.zone == "internet"}


def test_hosts_that_state_a_region_are_left_and_all_of_them_state_it() -> None:
    _, found = kept("eu", "any")
    assert hosts_of(found) >= {"scaleway", "ovhcloud", "greenpt", "regolo-ai"}
    assert all(data_policies()[host].regions == ("eu",) for host in hosts_of(found))
    assert 20 < found.endpoints < 200


def test_hosts_that_keep_nothing_are_left_and_who_keeps_or_trains_is_counted() -> None:
    refused, found = kept("", "none")
    assert hosts_of(found) >= {"cerebras", "fireworks-ai", "perplexity", "scaleway", "ovhcloud"}
    assert all(data_policies()[host].retention_days == 0 for host in hosts_of(found))
    assert refused["its host trains on content (--retention any)"] > 0
    assert refused["its host keeps content for up to 30 days (--retention)"] > 0
    assert refused["how long its host keeps content is unknown (--retention)"] > 1000


def test_a_bound_that_is_asked_for_is_met_by_a_word_that_the_pick_cites() -> None:
    made = decide(asked("text", "text", {"regions": ["eu"], "requests": "100/day"}), kept("eu", "any")[1], DAY)
    assert made.place == "hosted"
    assert "it states that it computes in eu" in made.offer.terms and "read 2026-" in made.offer.terms
    assert "https://" in made.offer.terms
    assert "it states" not in advice(3).offer.terms, "who does not ask is not told"
