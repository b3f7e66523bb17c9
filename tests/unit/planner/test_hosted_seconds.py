"""Seconds of hosts nobody timed: by the size of a model, with their basis; a placeholder makes no route win."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.plans import catalogs, invariants, runner

from intermodal.catalog.default_speeds import (
    PLACEHOLDER,
    SIZE_UNKNOWN,
    ZONE_SPEEDS,
    default_speed,
    is_assumed,
    size_class,
)
from intermodal.catalog.load import load_catalog
from intermodal.catalog.types import Endpoint, Evidence, Model, Strength
from intermodal.plans.plan import Plan


def model(name: str, source: str = SIZE_UNKNOWN, **more: Any) -> Model:
    strength = Strength(task="text-generation", tier="small", evidence=Evidence(level="proxy", source=source))
    return Model(id=name, tasks=("text-generation",), strength=(strength,), **more)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (model("v/thing-nano"), "mini"), (model("google/gemini-9-flash"), "mini"), (model("minimax/one"), None),
        (model("v/x", parameters=8e9), "mini"), (model("v/x", parameters=70e9), "mid"),
        (model("v/x", parameters=405e9), "large"), (model("v/x", parameters=671e9, active=37e9), "mid"),
        (model("v/nameless"), None), (model("v/lined", "the vendor's small line"), "mini"),
    ],
)  # fmt: skip
def test_the_class_of_a_model_is_told_by_its_parameters_its_name_or_its_line(given: Model, size: str | None) -> None:
    assert size_class(given) == size
    basis = default_speed(given, "internet").decode.basis
    assert basis == (f"assumed: class {size}" if size else PLACEHOLDER)
    assert is_assumed(default_speed(given, "internet").decode), "what is assumed is no word of anybody's"


def test_a_large_model_is_not_as_fast_as_the_smallest_of_its_vendor() -> None:
    known = load_catalog(env={"OPENAI_API_KEY": "k"}, installed={}, weights=frozenset()).by_id
    small, large = (known[f"openai:openai/{name}"].speed for name in ("gpt-5.4-mini", "gpt-6-astra"))
    assert small.decode.mid > 1.5 * large.decode.mid and small.overhead.mid < large.overhead.mid


def test_no_class_is_slower_in_the_middle_than_a_placeholder() -> None:
    held = ZONE_SPEEDS["internet"]
    for name in ("v/thing-mini", "v/x-70b", "v/x-405b"):
        size = {"v/x-70b": 70e9, "v/x-405b": 405e9}.get(name)
        speed = default_speed(model(name, parameters=size), "internet")
        assert speed.decode.mid > held.decode.mid and speed.overhead.mid < held.overhead.mid
        assert speed.prompt.mid >= held.prompt.mid


# ---- placeholders choose nothing ------------------------------------------------------------------


def hosted(name: str, *, timed: bool, decode: float = 80.0) -> Endpoint:
    made = catalogs.hosted(catalogs.ACME, name, "large", (0.5, 1.5), decode=decode)
    return made if timed else msgspec.structs.replace(made, speed=ZONE_SPEEDS["internet"])


def planned(*endpoints: Endpoint, objective: str) -> Plan:
    inputs = runner.inputs_of({"catalog": "embedded", "ask": "Who wrote Hamlet?", "policy": {"objective": objective}})
    catalog = msgspec.structs.replace(
        inputs.catalog, endpoints=(*inputs.catalog.endpoints, *endpoints), consent=("acme",), version="v"
    )
    return invariants.plan_of(msgspec.structs.replace(inputs, catalog=catalog))


def test_a_tie_falls_to_whose_seconds_somebody_stated() -> None:
    unknown, slow = hosted("acme/a-unknown", timed=False), hosted("acme/z-slow", timed=True, decode=4.0)
    plan = planned(unknown, slow, objective="cheapest")
    assert plan.chosen.endpoint == slow.id, "though the placeholder is the faster number"
    assert plan.fallbacks[0].total.seconds.mid < plan.chosen.total.seconds.mid


def test_between_placeholders_no_second_decides() -> None:
    one, other = hosted("acme/a", timed=False), hosted("acme/b", timed=False)
    quick = msgspec.structs.replace(
        other,
        speed=msgspec.structs.replace(other.speed, overhead=msgspec.structs.replace(other.speed.overhead, mid=0.4)),
    )
    assert planned(one, quick, objective="cheapest").chosen.endpoint == one.id


def test_the_fastest_is_not_the_fastest_guess() -> None:
    unknown, stated = hosted("acme/unknown", timed=False), hosted("acme/stated", timed=True, decode=20.0)
    plan = planned(unknown, stated, objective="fastest")
    assert plan.chosen.endpoint == stated.id
    assert plan.fallbacks[0].total.seconds.mid < plan.chosen.total.seconds.mid
    assert plan.chosen.answering.estimate.seconds.basis == "typical"
