"""Advice over a small catalog that is the same on every machine and every day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from tests.plans import catalogs

from intermodal.advisor.advice import Advice
from intermodal.advisor.advise import make_question
from intermodal.advisor.candidate_catalog import CandidateCatalog
from intermodal.advisor.decision import decide
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.plans.machine import Machine

DAY = "2026-11-24"
GIB = 2**30
LAPTOP = Machine(cores=2, memory=16 * GIB, free=12 * GIB)


def strong_here() -> Endpoint:
    """A model of one's own that writes, strong enough not to be below the floor."""
    talker = next(each for each in catalogs.desk() if each.model.id == "qwen/qwen3-8b")
    return msgspec.structs.replace(talker, memory=catalogs.exact(6 * GIB), context=100_000)


def endpoints() -> tuple[Endpoint, ...]:
    some = (*catalogs.embedded(), *catalogs.acme(), *catalogs.voices(), strong_here())
    return tuple({each.id: each for each in some}.values())


def offers(some: Iterable[Endpoint]) -> CandidateCatalog:
    catalog = Catalog(endpoints=tuple(some), consent=("acme",), version="2026-11-20")
    return CandidateCatalog(
        catalog=catalog, endpoints=len(catalog.endpoints), hosts=1, dated="a list of 2026-11-20", rationed=0, doubted=0
    )


def advice(takes: str, makes: str = "text", *, among: Iterable[Endpoint] | None = None, **options: Any) -> Advice:
    """Advice for a laptop."""
    question = make_question(takes, makes, LAPTOP, **options)
    return decide(question, offers(endpoints() if among is None else among), DAY)
