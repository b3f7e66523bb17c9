"""``best`` goes by strength and its evidence, ``cheapest`` by money among what keeps what is needed; neither counts on
a free tier, and of equals the model's own vendor comes first."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.plans import catalogs, invariants, runner

from intermodal.catalog.types import Endpoint, Evidence, Strength
from intermodal.errors import NoRoute
from intermodal.plans.plan import Plan
from intermodal.plans.step import Call

ASK = "Explain how a gantry crane works."
PHOTO = {"kind": "image", "name": "photo.jpg", "width": 640, "height": 480, "density": 0.01}
LETTER = {"kind": "image", "name": "letter.png", "width": 620, "height": 877, "density": 0.3}
ACME, SHOP = catalogs.host("acme"), catalogs.host("a-shop")


def model(
    name: str, price: float, *, where: Any = ACME, level: Any = "proxy", opened: str = "", served: str = "", **more: Any
) -> Endpoint:
    made = catalogs.hosted(where, name, "large", (price / 4, price), **more)
    evidence = Evidence(level=level, source="made up", checked=opened)
    strength = tuple(Strength(task=task, tier="large", evidence=evidence) for task in made.model.tasks)
    made = msgspec.structs.replace(made, model=msgspec.structs.replace(made.model, strength=strength))
    return msgspec.structs.replace(made, served_as=served or made.served_as)


def planned(*endpoints: Endpoint, ask: str = ASK, part: dict[str, Any] | None = None, **more: Any) -> Plan:
    inputs = runner.inputs_of({"catalog": "embedded", "ask": ask, "part": [part] if part else [], **more})
    hosts = tuple({each.host.id for each in endpoints})
    catalog = msgspec.structs.replace(
        inputs.catalog, endpoints=(*inputs.catalog.endpoints, *endpoints), consent=hosts, version="v"
    )
    return invariants.plan_of(msgspec.structs.replace(inputs, catalog=catalog))


def best(*endpoints: Endpoint, **more: Any) -> Plan:
    return planned(*endpoints, policy={"objective": "best", **more})


# ---- best ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strong", "weak"),
    [
        (model("acme/z", 0.4, level="measured"), model("acme/a", 8.0, level="benchmark")),
        (model("acme/z", 0.4, level="benchmark"), model("acme/a", 8.0)),
        (model("acme/z", 0.4, opened="2026-11-01"), model("acme/a", 8.0)),
        (model("acme/z", 8.0, level="measured"), model("acme/a", 0.4)),
    ],
    ids=["measured here", "published", "a source that was opened", "measured here and dearer"],
)
def test_of_one_tier_the_better_evidence_comes_first(strong: Endpoint, weak: Endpoint) -> None:
    made = best(strong, weak)
    assert made.chosen.endpoint == strong.id
    assert made.fallbacks[0].endpoint == weak.id


def test_of_the_same_evidence_the_cheapest_does_not_come_first() -> None:
    cheap, dear = model("acme/a", 0.4), model("acme/z", 8.0)
    assert best(cheap, dear).chosen.endpoint == dear.id
    assert best(cheap, dear, max_cost=0.002, max_cost_stated=True).chosen.endpoint == cheap.id, "a limit is a limit"


def test_a_host_does_not_come_first_for_being_dear() -> None:
    own, resold = model("acme/z", 8.0), model("acme/z", 16.0, where=SHOP)
    assert resold.id < own.id and best(own, resold).chosen.endpoint == own.id


def test_the_difference_to_the_chosen_model_is_stated() -> None:
    models = [model("acme/z", 8.0, level="benchmark"), *(model(f"acme/m{n}", 1.0 + n) for n in range(6))]
    made = best(*models)
    assert made.chosen.endpoint == "acme:acme/z" and made.outranked
    assert all("weaker evidence (proxy, unverified and not benchmark)" in each.reason for each in made.outranked)


# ---- ties ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["default", "cheapest", "fastest", "best"])
def test_of_equals_the_models_own_vendor_comes_first(objective: str) -> None:
    own, resold = model("acme/twin", 2.0), model("acme/twin", 2.0, where=SHOP)
    assert resold.id < own.id, "by name it would come second"
    assert planned(own, resold, policy={"objective": objective}).chosen.endpoint == own.id


# ---- free tiers ----------------------------------------------------------------------------------------

PAID, FREE = model("acme/paid", 2.0), model("acme/gift", 0.0, served="gift:free")


@pytest.mark.parametrize("objective", ["best", "cheapest"])
def test_a_free_tier_is_taken_only_where_it_is_asked_for(objective: str) -> None:
    made = planned(PAID, FREE, policy={"objective": objective})
    assert made.chosen.endpoint == PAID.id and all(each.endpoint != FREE.id for each in made.fallbacks)
    assert any(row.rule == "rationed" and "--free-tiers" in row.reason for row in made.rejected)
    routes = planned(PAID, FREE, policy={"objective": objective, "free_tiers": True})
    assert FREE.id in (routes.chosen.endpoint, routes.fallbacks[0].endpoint)
    assert planned(PAID, FREE, policy={"objective": objective, "model": "acme/gift"}).chosen.endpoint == FREE.id


def test_a_free_tier_does_not_look_at_a_picture_for_the_cheapest_answer_either() -> None:
    eye = model("acme/eye", 0.0, served="eye:free", inputs=("text", "image"), image_tokens="fixed:576")
    dear = model("acme/seer", 8.0, inputs=("text", "image"), image_tokens="fixed:576")
    made = planned(PAID, eye, dear, ask="What colour is the cat?", part=PHOTO, policy={"objective": "cheapest"})
    assert not made.chosen.lost and eye.id not in {getattr(step, "endpoint", "") for step in made.chosen.steps}


def test_other_objectives_weigh_a_free_tier_like_any_other() -> None:
    assert planned(PAID, FREE).chosen.endpoint == FREE.id


def test_where_only_a_free_tier_is_left_the_refusal_says_how_to_let_it_in() -> None:
    with pytest.raises(NoRoute) as refused:
        planned(FREE, policy={"objective": "cheapest", "at_least": "large"})
    said = refused.value.wording_for("command line")
    assert "let free tiers in: --free-tiers" in str(said) or any("--free-tiers" in reason for reason in said.reasons)


# ---- cheapest keeps what is needed ---------------------------------------------------------------------


def test_the_cheapest_route_is_that_of_those_that_keep_what_is_needed() -> None:
    seer = model("acme/seer", 40.0, inputs=("text", "image"), image_tokens="fixed:576")
    text = model("acme/text", 0.01)
    made = planned(text, seer, ask="What colour is the cat?", part=PHOTO, policy={"objective": "cheapest"})
    assert not made.chosen.lost and made.verdict.value == "broader_needed"


# ---- labels over an image -----------------------------------------------------------------------------


def test_labels_over_a_photo_are_never_chosen_by_words_that_were_read_in_it() -> None:
    with pytest.raises(NoRoute) as refused:
        planned(ask="", part=PHOTO, output="scores")
    assert "labels go by appearance of photo.jpg, and reading loses it" in str(refused.value)
    assert refused.value.rule == "labelled" and "allow a host" in refused.value.todo


@pytest.mark.parametrize("objective", ["default", "cheapest", "fastest", "best"])
def test_labels_over_a_photo_are_chosen_by_who_sees_it(objective: str) -> None:
    seer = model("acme/seer", 8.0, inputs=("text", "image"), image_tokens="fixed:576")
    made = planned(PAID, seer, ask="", part=PHOTO, output="scores", policy={"objective": objective})
    assert not made.chosen.lost
    for route in (made.chosen, *made.fallbacks):
        looked = {step.op for step in route.steps} & {"describe"} or {each.kind for each in route.takes}
        assert looked, f"{route.summary}: nobody sees it"


def test_labels_over_a_page_of_text_may_go_by_its_words() -> None:
    assert planned(ask="", part=LETTER, output="scores").chosen.endpoint.startswith("embedded:")


def test_of_transcribers_that_are_billed_by_tokens_the_text_they_write_counts_too() -> None:
    """More of them than are priced to the end: who is cheap by its sound alone must not push out who is cheap."""
    ears = []
    for number in range(9):
        ear = catalogs.hosted(
            ACME, f"acme/ear-{number}", "medium", (None, None), inputs=("audio",), context=None, second=0.0,
            tasks=("automatic-speech-recognition",),
        )  # fmt: skip
        price = msgspec.structs.replace(
            ear.price, second=None, input_mtok=2.0, input_audio_mtok=2.0 + number / 1000, output_mtok=90.0 - 10 * number
        )
        ears.append(msgspec.structs.replace(ear, price=price))
    call = {"kind": "audio", "name": "call.flac", "seconds": 600}
    wish = {"objective": "cheapest", "keep": ["words"], "max_cost": 5.0}
    inputs = runner.inputs_of({"catalog": "embedded", "ask": "What is agreed?", "part": [call], "policy": wish})
    catalog = msgspec.structs.replace(
        inputs.catalog, endpoints=(model("acme/reads", 0.4), *ears), consent=("acme",), version="v"
    )
    made = invariants.plan_of(msgspec.structs.replace(inputs, catalog=catalog))
    heard_by = [step.endpoint for step in made.chosen.steps if isinstance(step, Call) and step.op == "transcribe"]
    assert heard_by == ["acme:acme/ear-8"]
