"""What an answer says of how it came about, where that is not what was planned."""

from __future__ import annotations

from tests.unit.plans.made import film

from intermodal.events import Actual, Finished, Replanned, StepFinished, StepStarted
from intermodal.gateway.told import Told, headers_of

AGAIN = Replanned(
    step="t1", reason="the transcript repeats itself", before="c0ffee", after="c1", endpoint="desk:a/b", plan="p2",
    summary="text read from the pictures", loses=("tone",), calls=("read embedded:a/ocr", "generate desk:a/b"),
    sends=({"what": "1 image", "from": "film.mp4", "host": "desk", "zone": "network"},),
)  # fmt: skip


def test_what_was_done_instead_of_the_plan_is_told_and_its_calls_count() -> None:
    plan = film()
    said = Told(plan)
    for step, endpoint in (("t1", "acme:acme/hark"), ("x9", "embedded:a/ocr"), ("cut", ""), ("g9", "desk:a/b")):
        said.feed(StepStarted(step=step, title="", endpoint=endpoint))
        said.feed(StepFinished(actual=Actual(step=step, seconds=1.0)))
        if step == "t1":
            said.feed(AGAIN)
    assert said.attempts == 3
    about = said.about(Finished(endpoint="desk:a/b"))
    assert (about["summary"], about["loses"], about["sends"]) == (AGAIN.summary, ["tone"], list(AGAIN.sends))
    head = headers_of(plan, now=said.now)
    assert head["x-intermodal-steps"] == "read embedded:a/ocr; generate desk:a/b"
    assert (head["x-intermodal-loses"], head["x-intermodal-sends"]) == ("tone", "desk")
    assert headers_of(plan)["x-intermodal-route"] == plan.chosen.endpoint
