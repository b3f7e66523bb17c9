"""What an answer says of how it came about, where that is not what was planned."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.gateway.direct.test_both_paths_openai_chat import picture
from tests.unit.gateway.gateway_server import GatewayServer
from tests.unit.plans.example_plans import film

from intermodal.events import Actual, Finished, Replanned, StepFinished, StepStarted
from intermodal.gateway.response_metadata import RunMetadata, plan_headers
from intermodal.plans.verdict import Judged, Verdict

AGAIN = Replanned(
    step="t1", reason="the transcript repeats itself", before="c0ffee", after="c1", endpoint="desk:a/b", plan="p2",
    summary="text read from the images", loses=("tone",), calls=("read embedded:a/ocr", "generate desk:a/b"),
    sends=({"what": "1 image", "from": "film.mp4", "host": "desk", "zone": "network"},),
)  # fmt: skip


def test_what_was_done_instead_of_the_plan_is_told_and_its_calls_count() -> None:
    plan = film()
    said = RunMetadata(plan)
    for step, endpoint in (("t1", "acme:acme/hark"), ("x9", "embedded:a/ocr"), ("cut", ""), ("g9", "desk:a/b")):
        said.record_event(StepStarted(step=step, title="", endpoint=endpoint))
        said.record_event(StepFinished(actual=Actual(step=step, seconds=1.0)))
        if step == "t1":
            said.record_event(AGAIN)
    assert said.attempts == 3
    about = said.about(Finished(endpoint="desk:a/b"))
    assert (about["summary"], about["loses"], about["sends"]) == (AGAIN.summary, ["tone"], list(AGAIN.sends))
    head = plan_headers(plan, now=said.now)
    assert head["x-intermodal-steps"] == "read embedded:a/ocr; generate desk:a/b"
    assert (head["x-intermodal-loses"], head["x-intermodal-sends"]) == ("tone", "desk")
    assert plan_headers(plan)["x-intermodal-route"] == plan.chosen.endpoint


@pytest.mark.usefixtures("either_way")
def test_the_verdict_is_a_header_where_more_than_words_goes_in(house: GatewayServer) -> None:
    words = {"type": "text", "text": "What colour is the square?"}
    for content, verdict in (([words, picture()], "broader_needed"), ("What colour is the sky?", None)):
        tree = {"model": "auto", "messages": [{"role": "user", "content": content}]}
        for more in ({}, {"stream": True}):
            said = house.post("/v1/chat/completions", {**tree, **more})
            assert said.status_code == 200, said.text
            assert said.headers.get("x-intermodal-verdict") == verdict
    told = house.post("/v1/explain", {"model": "auto", "messages": [{"role": "user", "content": [words, picture()]}]})
    assert told.json()["plan"]["verdict"]["value"] == "broader_needed"


def test_the_verdict_of_an_answer_is_that_of_the_route_which_answered() -> None:
    judged = Verdict(value="broader_needed", parts=(Judged(title="film.mp4", needs=("tone",), as_text=("tone",)),))
    plan = msgspec.structs.replace(film(), verdict=judged)
    assert plan_headers(plan)["x-intermodal-verdict"] == "broader_needed"
    worse = msgspec.structs.replace(AGAIN, verdict="not_enough")
    assert plan_headers(plan, now=worse)["x-intermodal-verdict"] == "not_enough"
