"""Requests, policies and catalogs of all shapes, drawn by hypothesis or from a seed."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st
from tests.plans import catalogs, runner

from intermodal.catalog.types import Catalog
from intermodal.core.request import ASPECTS, OBJECTIVES, TIERS, ZONES
from intermodal.plans.plan import Inputs

QUESTIONS = (
    "What is the total?",
    "What colour is it?",
    "Is the caller angry?",
    "What does the chart show?",
    "Summarise.",
    "How does it move, and what is said?",
)

pages = st.lists(
    st.fixed_dictionaries(
        {"chars": st.sampled_from((0, 5, 400, 3000)), "figures": st.sampled_from((0.0, 0.3, 0.9))},
        optional={"words": st.sampled_from(("total due", "chart trend", "annex"))},
    ),
    min_size=1,
    max_size=5,
)
part = st.one_of(
    st.fixed_dictionaries({"kind": st.just("text"), "words": st.integers(1, 3000)}),
    st.fixed_dictionaries(
        {"kind": st.just("image"), "width": st.integers(1, 4000), "height": st.integers(1, 4000)},
        optional={"density": st.sampled_from((0.0, 0.05, 0.2, 0.6)), "detail": st.sampled_from(("low", "high"))},
    ),
    st.fixed_dictionaries(
        {"kind": st.just("audio"), "seconds": st.sampled_from((0.3, 11.0, 63.0, 900.0))},
        optional={"language": st.sampled_from(("en", "fr"))},
    ),
    st.fixed_dictionaries({"kind": st.just("document"), "pages": pages}),
    st.fixed_dictionaries(
        {
            "kind": st.just("video"), "seconds": st.sampled_from((5.0, 40.0, 600.0)),
            "channels": st.sampled_from((0, 2)), "width": st.just(1280), "height": st.just(720), "fps": st.just(25.0),
        },
        optional={"cuts": st.sampled_from(([2.0], [1.0, 2.0, 3.0])), "density": st.sampled_from((0.0, 0.1))},
    ),
    st.fixed_dictionaries(
        {"kind": st.just("image"), "width": st.just(320), "height": st.just(240), "frames": st.sampled_from((5, 90))}
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("audio"), "seconds": st.just(63.0),
            "outcomes": st.sampled_from((
                [{"op": "transcribe", "endpoint": "embedded:openai/whisper-base", "chars": 4000}],
                [{"op": "transcribe", "endpoint": "embedded:openai/whisper-base", "problem": "looped"}],
            )),
        }
    ),
)  # fmt: skip
policy = st.fixed_dictionaries(
    {},
    optional={
        "objective": st.sampled_from(OBJECTIVES),
        "at_least": st.sampled_from(TIERS),
        "max_cost": st.sampled_from((0.0, 0.001, 0.01, 1.0)),
        "deadline": st.sampled_from((1.0, 30.0, 600.0)),
        "farthest": st.sampled_from(ZONES),
        "keep": st.lists(st.sampled_from(ASPECTS), max_size=2, unique=True),
        "language": st.sampled_from(("en", "fr")),
        "private": st.lists(st.sampled_from(("audio", "image", "document", "text", "video")), max_size=2, unique=True),
        "release": st.sampled_from((["audio:text", "document:image"], ["video:text"], ["video:image", "image:text"])),
    },
)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """A plan case as ``tests/plans/runner.py`` reads it."""
    parts = draw(st.lists(part, max_size=5))
    for index, each in enumerate(parts):
        each["name"] = f"{each['kind']}{index}"
    return {
        "catalog": draw(st.sampled_from(tuple(catalogs.SLICES))),
        "consent": draw(st.sampled_from(((), ("acme",), ("acme", "plain")))),
        "ask": draw(st.sampled_from(QUESTIONS)),
        "output": draw(st.sampled_from(("text", "text", "json", "embedding"))),
        "policy": draw(policy),
        "part": parts,
        "machine": draw(st.sampled_from(({}, {"free": 1}, {"loaded": ["embedded:openai/whisper-base"]}))),
    }


def inputs_of(case: dict[str, Any]) -> Inputs:
    return runner.inputs_of(case)


def seeded(seed: int) -> tuple[dict[str, Any], Catalog]:
    """A small case of mixed media over a catalog of a few dozen endpoints, the same for the same seed."""
    rng = random.Random(seed)
    parts: list[dict[str, Any]] = []
    for index in range(rng.randint(1, 3)):
        kind = rng.choice(("image", "image", "audio", "document", "text", "video"))
        each: dict[str, Any] = {"kind": kind, "name": f"{kind}{index}"}
        if kind == "image":
            each |= {
                "width": rng.randint(200, 3000),
                "height": rng.randint(200, 3000),
                "density": rng.choice((0.0, 0.05, 0.3)),
            }
        elif kind == "audio":
            each |= {"seconds": rng.choice((5, 60, 400))}
        elif kind == "video":
            each |= {
                "seconds": rng.choice((8.0, 60.0)), "channels": rng.choice((0, 2)), "width": 1280, "height": 720,
                "cuts": [2.0, 5.0], "density": rng.choice((0.0, 0.1)),
            }  # fmt: skip
        elif kind == "document":
            each |= {
                "pages": [
                    {"chars": rng.choice((0, 900, 4000)), "figures": rng.choice((0.0, 0.4))}
                    for _ in range(rng.randint(1, 3))
                ]
            }
        else:
            each |= {"words": rng.randint(10, 2000)}
        parts.append(each)
    case: dict[str, Any] = {
        "ask": rng.choice(QUESTIONS),
        "output": rng.choice(("text", "text", "text", "json")),
        "policy": {
            "objective": rng.choice(OBJECTIVES),
            "language": "en",
            "max_cost": rng.choice((0.002, 0.05, 1.0)),
            **({"deadline": rng.choice((20.0, 120.0))} if rng.random() < 0.2 else {}),
            **({"private": ["audio"], "release": ["audio:text"]} if rng.random() < 0.2 else {}),
        },
        "part": parts,
    }
    small = catalogs.many(40, seed=seed, hosts=4)
    endpoints = (*small.endpoints, *catalogs.acme(), *catalogs.desk())
    return case, Catalog(endpoints=endpoints, consent=(*small.consent, "acme"), version="2026-11-20")
