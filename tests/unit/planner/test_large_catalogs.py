"""Many endpoints, and many catalogs made of one: nothing is worked out twice, and nothing else comes out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from tests.plans import catalogs
from tests.unit.planner.requests import cases, inputs_of
from tests.unit.planner.test_properties import planned, quick

from intermodal.advisor.candidate_catalog import without_dominated
from intermodal.catalog.reasoning_effort import NO_THINKING_REQUEST, ThinkingRequest
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.cost_model import rates as rates_module
from intermodal.cost_model.rates import Rates
from intermodal.planner import catalog_index as planner_index
from intermodal.planner import plan_without_id
from intermodal.planner.catalog_index import catalog_index
from intermodal.plans.plan import Inputs
from intermodal.plans.statistics import Statistics

DAY = "2026-11-29"


def without(catalog: Catalog, models: frozenset[str]) -> Catalog:
    return msgspec.structs.replace(catalog, endpoints=tuple(e for e in catalog.endpoints if e.model.id not in models))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_worth_pricing_without_some_models_is_so_in_a_catalog_that_never_had_them(seed: int) -> None:
    catalog = catalogs.many(400, seed=seed, hosts=4)
    worth = without_dominated(catalog, DAY)
    best = frozenset(endpoint.model.id for endpoint in worth.endpoints[::3])
    left = without_dominated(catalog, DAY, without=best)
    assert left == without_dominated(without(catalog, best), DAY)
    assert {each.id for each in left.endpoints} - {each.id for each in worth.endpoints}, "others take their places"


def test_an_endpoint_is_priced_once_for_all_catalogs_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    priced: list[str] = []

    def noted(
        endpoint: Endpoint, statistics: Statistics, as_of: str, asked: ThinkingRequest = NO_THINKING_REQUEST
    ) -> Rates:
        priced.append(endpoint.id)
        return real(endpoint, statistics, as_of, asked)

    real = rates_module.endpoint_rates
    monkeypatch.setattr(rates_module, "endpoint_rates", noted)
    catalog = catalogs.many(200, hosts=2)
    for some in (catalog, without(catalog, frozenset({catalog.endpoints[0].model.id}))):
        for group in catalog_index(some).groups:
            catalog_index(some).best_rates(group, DAY, NO_THINKING_REQUEST)
    assert priced and len(priced) == len(set(priced))


@pytest.mark.slow
@quick
@given(cases())
def test_a_choice_is_the_plan_without_its_id_and_the_digest_of_its_inputs(case: dict[str, object]) -> None:
    inputs = inputs_of(case)
    made = planned(inputs)
    if made is not None:
        chosen = plan_without_id(
            inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of
        )
        assert chosen == msgspec.structs.replace(made, id="", inputs="")


@pytest.mark.slow
@quick
@given(cases())
def test_a_catalog_made_of_another_gives_the_plan_of_one_that_was_made_anew(case: dict[str, object]) -> None:
    inputs = inputs_of(case)
    planned(inputs)  # the classes of the whole catalog are worked out
    for name in (inputs.catalog.endpoints[0].id, inputs.catalog.endpoints[-1].id):
        left = tuple(each for each in inputs.catalog.endpoints if each.id != name)
        made = msgspec.structs.replace(inputs, catalog=inputs.catalog.among(left))
        anew = msgspec.json.decode(msgspec.json.encode(made), type=Inputs)
        assert msgspec.json.encode(planned(made)) == msgspec.json.encode(planned(anew))


def test_classes_that_stay_as_they_were_are_not_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = catalogs.many(200, hosts=2)
    for group in catalog_index(catalog).groups:
        catalog_index(catalog).band(group, DAY, NO_THINKING_REQUEST)
    gone = max(catalog_index(catalog).groups, key=lambda group: len(group.members)).members[0]
    anew: list[int] = []

    def noted(members: list[Endpoint], as_of: str, asked: ThinkingRequest) -> tuple[Endpoint, ...]:
        anew.append(len(members))
        return real(members, as_of, asked)

    real = planner_index.undominated_members
    monkeypatch.setattr(planner_index, "undominated_members", noted)
    made = catalog.among(tuple(each for each in catalog.endpoints if each is not gone))
    for group in catalog_index(made).groups:
        catalog_index(made).band(group, DAY, NO_THINKING_REQUEST)
    assert len(anew) == 1, "of the one class that lost a member"
