"""A server that nobody has yet is no bargain among equals, and better than what cannot answer the question."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.plans import catalogs
from tests.unit.advisor.advice_of import GIB, advice, strong_here

from intermodal.advisor.candidate_catalog import OWN_SERVER
from intermodal.catalog.types import FREE, Endpoint
from intermodal.core.quantity import exact

WRITER = "own-server:qwen/qwen3-8b"
EAR = "own-server:acme/sonata"
TALKS = tuple(each for each in catalogs.acme() if "audio" not in each.input)  # nobody hears at this host


def own(endpoint: Endpoint, gib: float = 6) -> Endpoint:
    name = f"{OWN_SERVER.id}:{endpoint.model.id}"
    return msgspec.structs.replace(endpoint, id=name, host=OWN_SERVER, price=FREE, memory=exact(gib * GIB))


def ear(gib: float = 6) -> Endpoint:
    sonata = next(each for each in catalogs.acme() if each.model.id == "acme/sonata")
    return own(msgspec.structs.replace(sonata, speed=strong_here().speed), gib)


@pytest.mark.parametrize("by_bill", [{"requests": "2000/month"}, {"requests": "1000000/day"}, {"waits": False}])
def test_an_own_server_decides_where_all_that_is_there_misses_the_floor(by_bill: dict[str, Any]) -> None:
    made = advice("text", among=(*catalogs.embedded(), own(strong_here())), **by_bill)
    assert made.endpoint == WRITER and made.offer.tier == "medium"
    assert "not reached" not in str(made)


@pytest.mark.parametrize("by_bill", [{"requests": "100/day"}, {"requests": "1000000/day"}, {"waits": False}])
def test_an_own_server_decides_where_all_that_is_there_loses_what_is_needed(by_bill: dict[str, Any]) -> None:
    among = (*catalogs.embedded(), *TALKS, own(strong_here()), ear())
    made = advice("audio", prompt="Is the caller angry?", among=among, **by_bill)
    assert made.endpoint == EAR and not made.offer.lost
    assert "nothing that is known" not in str(made) and "keeps everything" not in str(made)


def test_an_own_server_does_not_decide_where_a_host_does_as_well() -> None:
    made = advice("text", among=(*catalogs.embedded(), *TALKS, own(strong_here())), requests="100/day")
    assert made.place == "hosted" and not made.offer.weak


def test_what_would_keep_it_is_named_though_it_does_not_fit_here() -> None:
    among = (*catalogs.embedded(), *TALKS, ear(gib=100))
    made = advice("audio", prompt="Is the caller angry?", among=among, requests="100/day")
    assert made.verdict.value == "not_enough" and made.verdict.keeps is not None
    assert made.verdict.keeps.endpoint == EAR and "100" in made.verdict.keeps.kept_out
    assert f"{EAR} would keep it" in made.headline and "nothing that is known" not in made.headline
