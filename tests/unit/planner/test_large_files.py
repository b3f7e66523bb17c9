"""What would have to be in memory to be sent is not planned to be sent, whoever may take it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.plans import catalogs

from intermodal.catalog.types import Catalog
from intermodal.core.content import PathSource, Text, Video
from intermodal.core.quantity import exact
from intermodal.core.request import Message, Policy, Request
from intermodal.planner import plan
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.plan import Plan
from intermodal.plans.statistics import Statistics

ALL = catalogs.hosted(catalogs.ACME, "acme/all", "large", (0.3, 2.5), inputs=("text", "video"), context=1_000_000)
CATALOG = Catalog(endpoints=(ALL, catalogs.ear("quick"), catalogs.reader(), catalogs.smollm2()))


def planned(size: int) -> Plan:
    facts = (
        PartFacts(index=0, name="prompt", kind="text", chars=13, size=13),
        PartFacts(
            index=1, name="film.mp4", kind="video", media_type="video/mp4", seconds=exact(60.0), channels=1, size=size,
            width=640, height=360, fps=25.0, frames=1_500,
        ),
    )  # fmt: skip
    parts: tuple[Any, ...] = (Text(text="What is shown?"), Video(source=PathSource(path="film.mp4")))
    request = Request(messages=(Message(role="user", parts=parts),), policy=Policy(hosts=("acme",)))
    return plan(request, Facts(parts=facts), CATALOG, catalogs.LAPTOP, Statistics(), "2026-11-24")


@pytest.mark.parametrize(("size", "whole"), [(500 << 20, True), (513 << 20, False)])
def test_a_film_is_sent_as_it_is_up_to_what_can_be_in_memory(size: int, whole: bool) -> None:
    found = planned(size)
    sent = {send.kind for send in found.chosen.sends if send.origin == "film.mp4"}
    assert sent == ({"video"} if whole else {"text"})
    assert (
        "film.mp4: 538 MB of files, and no more than 537 MB are sent as they are" in " ".join(str(found).split())
    ) is not whole
